//! The client of a scenario.
use crate::conn::{Conn, Socket, Transcript};
use std::net::TcpStream;
use std::ops::{Deref, DerefMut};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A client connection; everything is [`Conn`]'s.
pub struct Client(Conn);

impl Client {
    /// Connects to a TCP port.
    pub fn tcp(port: u16, transcript: Transcript) -> Client {
        let stream =
            TcpStream::connect(("127.0.0.1", port)).unwrap_or_else(|e| panic!("connect to {port}: {e}"));
        Client(Conn::new(Socket::Tcp(stream), transcript))
    }

    /// Connects to a Unix socket.
    pub fn unix(path: &Path, transcript: Transcript) -> Client {
        let stream =
            UnixStream::connect(path).unwrap_or_else(|e| panic!("connect to {}: {e}", path.display()));
        Client(Conn::new(Socket::Unix(stream), transcript))
    }

    /// A GET with `Host: test` and these further lines (each ended by CR LF).
    pub fn get(&mut self, path: &str, fields: &str) -> &mut Self {
        self.0.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n"));
        self
    }

    /// Closes with a reset.
    pub fn reset(self) {
        self.0.reset();
    }

    /// Closes in order.
    pub fn close(self) {
        self.0.close();
    }
}

impl From<Client> for Conn {
    fn from(client: Client) -> Conn {
        client.0
    }
}

impl Deref for Client {
    type Target = Conn;
    fn deref(&self) -> &Conn {
        &self.0
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.0
    }
}
