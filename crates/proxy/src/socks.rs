//! Connections to servers through a SOCKS4 server (manual section 5.2 `socks4`, `check-via-socks4`).

use portcullis_transport::Conn;
use portcullis_transport::connect::Target;
use portcullis_wire::socks4;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll};

/// Where to connect first, and where to go from there.
#[must_use]
pub fn way(through: Option<SocketAddr>, to: Target) -> (Target, Option<SocketAddr>) {
    match (through, &to) {
        (Some(through), Target::Inet { addr, .. }) => {
            (Target::Inet { addr: through, mptcp: false }, Some(*addr))
        }
        _ => (to, None),
    }
}

/// The talk with a SOCKS4 server, before anything else is said.
pub struct Talk {
    request: Vec<u8>,
    answer: [u8; socks4::ANSWER],
    read: usize,
}

impl Talk {
    /// To be connected to this address.
    ///
    /// # Errors
    /// It has no way to say IPv6 addresses.
    pub fn new(to: SocketAddr) -> io::Result<Self> {
        let SocketAddr::V4(to) = to else { return Err(io::ErrorKind::Unsupported.into()) };
        Ok(Self { request: socks4::connect(to), answer: [0; socks4::ANSWER], read: 0 })
    }

    /// Is the connection there?
    pub fn poll(&mut self, conn: &Conn, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.request.is_empty() {
            match conn.poll_send(cx, &[IoSlice::new(&self.request)], false) {
                Poll::Ready(Ok(n)) => drop(self.request.drain(..n)),
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => return Poll::Pending,
            }
        }
        while self.read < socks4::ANSWER {
            let rest = self.answer.get_mut(self.read..).unwrap_or_default();
            // not a byte more: what follows is the server's
            let got = conn.poll_read_with(cx, |fd| rustix::io::read(fd, &mut *rest));
            match got {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(Ok(n)) => self.read += n,
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(match socks4::is_granted(&self.answer) {
            true => Ok(()),
            false => Err(io::ErrorKind::ConnectionRefused.into()),
        })
    }
}
