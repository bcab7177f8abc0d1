//! One worker's idle server connections (`http-reuse`, `pool-max-conn`, `pool-purge-delay` …; manual sections 4.2
//! and 5.2).
//!
//! The pool owns connections that rest. A connection carries a [`Lease`], which knows its server and how often it was
//! used again; counts of idle and used connections are kept a worker and a server, each with one writer, so that to
//! put and to take costs no locked instruction and no allocation.

mod counts;
mod pool;

pub use counts::{Descriptors, IdleCounts, Lease, WorkerIdle};
pub use pool::IdlePool;

use portcullis_config::{Reuse, ServerSettings};

/// What the pool must know about a connection.
pub trait Connection {
    /// Its lease.
    fn lease(&mut self) -> &mut Lease;
    /// Did the server close it, or say something that nobody asked for? Such a connection is never handed out.
    fn is_dead(&self) -> bool;
}

/// Who may get an idle connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Anybody whose `http-reuse` allows it; it has been reused before, so the server keeps its word.
    Safe,
    /// The same, but it has carried its first requests only.
    Idle,
    /// Only the session that holds its [`Handle`] (`http-reuse never`, NTLM and the like).
    Private,
}

/// Names an idle connection; worth nothing once it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    pub(crate) at: u32,
    pub(crate) generation: u32,
}

/// Pool settings of a `server` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// `pool-max-conn` of the process; -1: no limit.
    pub max_conn: i32,
    /// `pool-low-conn`
    pub low_conn: u32,
    /// `pool-purge-delay` in milliseconds; 0: nothing is kept.
    pub purge_delay: u64,
    /// `max-reuse`; -1: no limit.
    pub max_reuse: i32,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self { max_conn: -1, low_conn: 0, purge_delay: 5000, max_reuse: -1 }
    }
}

impl PoolSettings {
    /// From the model.
    pub fn new(set: &ServerSettings) -> Self {
        let default = Self::default();
        let delay = set.pool_purge_delay.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
        Self {
            max_conn: set.pool_max_conn.unwrap_or(default.max_conn),
            low_conn: set.pool_low_conn,
            purge_delay: delay.unwrap_or(default.purge_delay),
            max_reuse: set.max_reuse.unwrap_or(default.max_reuse),
        }
    }
}

/// Which idle connections a request may use, in order of preference: connections that were never reused go to
/// requests that can afford to lose one, so that the safe ones remain for first requests.
pub fn allowed(reuse: Reuse, first_request: bool) -> &'static [Class] {
    match (reuse, first_request) {
        (Reuse::Never, _) | (Reuse::Safe, true) => &[],
        (Reuse::Aggressive, true) => &[Class::Safe],
        _ => &[Class::Idle, Class::Safe],
    }
}

#[cfg(test)]
mod tests;
