//! Listeners, connections, buffers, timers: everything between a socket and a codec.

pub mod buffer;
pub mod clock;
pub mod conn;
pub mod connect;
pub mod h2;
pub mod handover;
pub mod hangup;
pub mod ktls;
pub mod listen;
mod socket;
pub mod sockets;
pub mod splice;
pub mod tls;
pub mod wheel;

pub use buffer::{Buffer, Buffers};
pub use clock::{Clock, Millis, TurnClock};
pub use conn::{Conn, Peer};
pub use sockets::{LocalSockets, Sockets};
pub use wheel::{TimerId, Wheel};
