//! What health checks of well-known protocols send, and how they read what comes back. Each knows just enough of its
//! protocol to tell a server that works from one that does not.

pub mod ldap;
pub mod mysql;
pub mod pgsql;
pub mod redis;
pub mod smtp;
pub mod spop;
pub mod tls;

/// What came back so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// More must come.
    More,
    /// The server works.
    Good(Note),
    /// It speaks the protocol, and says that it does not work.
    Refused(Note),
    /// It does not speak the protocol.
    Garbage(Note),
}

/// A code and a text of the server's, or about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// The code; 0: none.
    pub code: i64,
    /// The text; may be empty.
    pub text: String,
}

impl Note {
    /// A note.
    #[must_use]
    pub fn new(code: i64, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

/// Text of a server, fit for a log line: up to the first line break, without what cannot be shown.
#[must_use]
pub fn line(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| matches!(b, b'\r' | b'\n')).unwrap_or(bytes.len());
    let shown = bytes.get(..end).unwrap_or_default();
    String::from_utf8_lossy(shown).chars().filter(|c| !c.is_control()).take(120).collect()
}

#[cfg(test)]
mod tests;
