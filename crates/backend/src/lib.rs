//! Servers: their state, balancing, slots and queues, idle connections, retries.
//!
//! Nothing here does I/O or reads a clock; times come in as milliseconds of the process clock.
//!
//! - [`States`] finds a [`BackendState`] and its [`ServerState`]s again by name when a new Plan comes.
//! - [`BackendState::balance`] chooses a server and takes a slot of it ([`SlotGuard`]), or says where to queue;
//!   [`BackendState::enqueue`] gives the [`Ticket`] to await.
//! - [`health`] is what checks found and what follows from it.
//! - [`IdlePool`] keeps one worker's idle server connections.
//! - [`retry::decide`] says what follows a failed connection attempt.
#![forbid(unsafe_code)]

pub mod backend;
pub mod balance;
pub mod cookies;
pub mod discovery;
pub mod health;
pub mod idle;
pub mod indexes;
pub mod queue;
pub mod restore;
pub mod retry;
pub mod server;
pub mod states;
pub mod weight;

pub use backend::{BackendState, Choice, QueueAt};
pub use balance::Ask;
pub use cookies::Named;
pub use idle::{Class, Connection, Descriptors, Handle, IdlePool, Lease, PoolSettings};
pub use queue::{Grant, Priority, QueueFull, Ticket};
pub use retry::{Attempt, Next, RetryPolicy};
pub use server::{Admin, Health, Naming, ServerConfig, ServerState, SlotGuard, Spot, SpotPort, Whereabouts};
pub use states::States;

#[cfg(test)]
mod tests;
