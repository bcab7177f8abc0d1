//! From a formatted line to UDP, Unix sockets, descriptors and rings (manual section 4.2 "log").
//!
//! [`Sinks`] opens every destination once, before chroot. [`Loggers`] are the compiled `log` lines of one proxy. Each
//! worker has a [`LogWriter`]: it adds headers and queues; [`LogWriter::flush`] sends, with one system call a
//! destination, once a turn of the event loop. Nothing here ever blocks; what finds no room is counted and dropped.

mod framing;
mod loggers;
mod ring;
mod sink;
mod stamp;
mod store;
mod syslog;
mod writer;

pub use loggers::{Loggers, Structured};
pub use ring::{Reader, Ring, RingConfig};
pub use sink::{Chooser, Sink, Sinks};
pub use syslog::Message;
pub use writer::{Flush, LogWriter};

pub use portcullis_config::HostField;

/// Severity, as syslog numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// `emerg`
    Emerg = 0,
    /// `alert`
    Alert = 1,
    /// `crit`
    Crit = 2,
    /// `err`
    Err = 3,
    /// `warning`
    Warning = 4,
    /// `notice`
    Notice = 5,
    /// `info`
    Info = 6,
    /// `debug`
    Debug = 7,
}

impl Level {
    /// The level of this number, from 0 (`emerg`) on.
    #[must_use]
    pub fn numbered(n: u8) -> Self {
        [Self::Emerg, Self::Alert, Self::Crit, Self::Err, Self::Warning, Self::Notice, Self::Info]
            .get(usize::from(n))
            .copied()
            .unwrap_or(Self::Debug)
    }
}

#[cfg(test)]
mod tests;
