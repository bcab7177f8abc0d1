//! A connection as the rest has it: a socket of its own, or a stream of one that is shared.

use crate::buffer::Buffer;
use crate::h2::Stream;
use crate::socket::Socket;
use portcullis_tls::info::Info;
use portcullis_tls::stream::Stream as TlsStream;
use rustix::fd::{BorrowedFd, OwnedFd};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An Internet address.
    Inet(SocketAddr),
    /// A Unix socket.
    Unix,
}

impl Peer {
    /// The Internet address, if it has one.
    #[must_use]
    pub fn addr(self) -> Option<SocketAddr> {
        match self {
            Self::Inet(a) => Some(a),
            Self::Unix => None,
        }
    }
}

/// What can be seen of a connection's receive side without taking it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing new.
    Nothing,
    /// Bytes wait.
    Data,
    /// The peer has finished sending.
    End,
    /// The connection is broken.
    Broken,
}

/// A connection: a socket, or a stream of HTTP/2 over one.
#[derive(Debug)]
pub struct Conn(Over);

#[derive(Debug)]
enum Over {
    Socket(Socket),
    Stream(Stream),
}

impl From<Stream> for Conn {
    fn from(stream: Stream) -> Self {
        Self(Over::Stream(stream))
    }
}

/// A connection on its way from one thread to another.
#[derive(Debug)]
pub struct Parted {
    fd: OwnedFd,
    tls: Option<portcullis_tls::stream::Parted>,
}

impl Parted {
    /// Gives it to this thread.
    #[must_use]
    pub fn whole(self) -> Conn {
        let mut conn = Conn::new(self.fd);
        if let Some(tls) = self.tls {
            conn.begin_tls(tls.whole());
        }
        conn
    }
}

/// A stream is no socket.
fn no_socket<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
}

impl Conn {
    /// Takes a non-blocking connected (or connecting) socket.
    #[must_use]
    pub fn new(fd: OwnedFd) -> Self {
        Self(Over::Socket(Socket::new(fd)))
    }

    /// Is it on the reactor, because it was waited for? A stream's connection always is.
    #[inline]
    #[must_use]
    pub fn is_registered(&self) -> bool {
        match &self.0 {
            Over::Socket(s) => s.is_registered(),
            Over::Stream(_) => true,
        }
    }

    /// The stream that it is, if it is none of its own.
    #[inline]
    #[must_use]
    pub fn stream(&self) -> Option<&Stream> {
        match &self.0 {
            Over::Socket(_) => None,
            Over::Stream(s) => Some(s),
        }
    }

    /// The socket below; a stream whose connection has none has none.
    #[inline]
    pub(crate) fn socket(&self) -> Option<&Socket> {
        match &self.0 {
            Over::Socket(s) => Some(s),
            Over::Stream(s) => s.below()?.socket(),
        }
    }

    /// The socket leaves the reactor: for somebody else's. None: it is a stream.
    #[must_use]
    pub fn into_fd(self) -> Option<OwnedFd> {
        match self.0 {
            Over::Socket(s) => Some(s.into_fd()),
            Over::Stream(_) => None,
        }
    }

    /// Takes it away from its thread, TLS and all. None: it is a stream, or shakes hands still.
    #[must_use]
    pub fn part(self) -> Option<Parted> {
        let Over::Socket(socket) = self.0 else { return None };
        let (fd, tls) = socket.into_parts();
        let tls = match tls {
            Some(stream) => Some(stream.part()?),
            None => None,
        };
        Some(Parted { fd, tls })
    }

    /// Reads what there is, up to the buffer's room. 0: the peer has finished. A full buffer is an error of the caller
    /// and reads nothing.
    ///
    /// # Errors
    /// The system's; the connection is then broken.
    #[inline]
    pub fn poll_recv(&self, cx: &mut Context<'_>, into: &mut Buffer) -> Poll<io::Result<usize>> {
        match &self.0 {
            Over::Socket(s) => s.poll_recv(cx, into),
            Over::Stream(s) => s.poll_recv(cx, into),
        }
    }

    /// Writes what the socket takes of these slices. `more`: more follows at once (a full segment is worth waiting for).
    ///
    /// # Errors
    /// The system's; the connection is then broken.
    #[inline]
    pub fn poll_send(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        more: bool,
    ) -> Poll<io::Result<usize>> {
        match &self.0 {
            Over::Socket(s) => s.poll_send(cx, slices, more),
            Over::Stream(s) => s.poll_send(cx, slices),
        }
    }

    /// Waits until there is something to read (bytes, the end or an error).
    #[inline]
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.0 {
            Over::Socket(s) => s.poll_readable(cx),
            Over::Stream(s) => s.poll_readable(cx),
        }
    }

    /// Waits until the socket takes bytes; for one that is connecting: until that has ended, one way or the other.
    #[inline]
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.0 {
            Over::Socket(s) => s.poll_writable(cx),
            Over::Stream(_) => Poll::Ready(()),
        }
    }

    /// Looks at the receive side without taking anything, and without a system call when nothing has happened.
    /// The waker of `cx` is kept for when something does.
    #[inline]
    pub fn poll_peek(&self, cx: &mut Context<'_>) -> Seen {
        match &self.0 {
            Over::Socket(s) => s.poll_peek(cx),
            Over::Stream(s) => s.poll_peek(cx),
        }
    }

    /// Has the peer finished sending, as far as is known now, or is the connection broken?
    #[must_use]
    pub fn is_over(&self) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        matches!(self.poll_peek(&mut cx), Seen::End | Seen::Broken)
    }

    /// Throws away what has come and was not read, before the connection is closed: closing would reset it otherwise.
    /// `surely`: ask the system even if nothing is known to have come. Was there something?
    pub fn discard_input(&self, surely: bool) -> bool {
        match &self.0 {
            Over::Socket(s) => s.discard_input(surely),
            Over::Stream(_) => false,
        }
    }

    /// What has broken it, or the connection that it is a stream of, if anything has.
    #[must_use]
    pub fn broken(&self) -> Option<io::Error> {
        self.socket()?.broken()
    }

    /// How a connection attempt ended, once it is writable.
    ///
    /// # Errors
    /// The reason why it failed.
    pub fn connected(&self) -> io::Result<()> {
        match &self.0 {
            Over::Socket(s) => s.connected(),
            Over::Stream(_) => Ok(()),
        }
    }

    /// Nothing more will be sent; the peer reads the end.
    pub fn finish(&self) {
        match &self.0 {
            Over::Socket(s) => s.finish(),
            Over::Stream(s) => s.end(None),
        }
    }

    /// Begins to speak TLS: [`Conn::poll_handshake`] comes next.
    pub fn begin_tls(&mut self, stream: TlsStream) {
        if let Over::Socket(s) = &mut self.0 {
            s.begin_tls(stream);
        }
    }

    /// Does it speak TLS?
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.socket().is_some_and(Socket::is_tls)
    }

    /// What is known of its TLS.
    #[must_use]
    pub fn tls_info(&self) -> Option<Rc<Info>> {
        self.socket()?.tls_info()
    }

    /// Drives the handshake to its end. A connection without TLS has none.
    ///
    /// # Errors
    /// Why it failed; the peer was told if it can be told.
    pub fn poll_handshake(&self, cx: &mut Context<'_>) -> Poll<Result<(), crate::tls::Failed>> {
        match &self.0 {
            Over::Socket(s) => s.poll_handshake(cx),
            Over::Stream(_) => Poll::Ready(Ok(())),
        }
    }

    /// Tells a TLS peer that nothing more comes, as far as the socket takes it now.
    pub fn say_goodbye(&self) {
        if let Over::Socket(s) = &self.0 {
            s.say_goodbye();
        }
    }

    /// Closing will reset the connection (`option nolinger`, aborted transfers): nothing is left behind.
    pub fn reset_on_close(&self) {
        if let Over::Socket(s) = &self.0 {
            s.reset_on_close();
        }
    }

    /// The TOS (traffic class) of what is sent; a socket that has none is left as it is.
    pub fn set_tos(&self, tos: u8) {
        if let Some(s) = self.socket() {
            s.set_tos(tos);
        }
    }

    /// The mark of what is sent (needs CAP_NET_ADMIN; otherwise nothing changes).
    pub fn set_mark(&self, mark: u32) {
        if let Some(s) = self.socket() {
            s.set_mark(mark);
        }
    }

    /// Closing will send nothing at all to the peer (needs CAP_NET_ADMIN), or a reset that dies on its way, after so
    /// many hops or at the next router. A stream takes its whole connection with it.
    pub fn vanish(&self, ttl: Option<u8>) {
        if let Some(s) = self.socket() {
            s.vanish(ttl);
        }
        if let Over::Stream(s) = &self.0 {
            s.end_connection();
        }
    }

    /// Does the peer hear nothing any more ([`Conn::vanish`])?
    #[must_use]
    pub fn has_vanished(&self) -> bool {
        self.socket().is_some_and(Socket::has_vanished)
    }

    /// This end's address: the destination that the client asked for.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        self.socket()?.local()
    }

    /// The other end's address.
    #[must_use]
    pub fn remote(&self) -> Option<SocketAddr> {
        self.socket()?.remote()
    }

    /// Can bytes of it be spliced into another one?
    #[must_use]
    pub fn gives_pages(&self) -> bool {
        matches!(&self.0, Over::Socket(s) if !s.is_tls())
    }

    /// May pages be spliced into it: is it a socket that speaks no TLS, or TLS whose records the kernel makes?
    #[must_use]
    pub fn takes_pages(&self) -> bool {
        matches!(&self.0, Over::Socket(s) if s.takes_pages())
    }

    /// Likewise, now or once the kernel makes them.
    #[must_use]
    pub fn may_take_pages(&self) -> bool {
        matches!(&self.0, Over::Socket(s) if s.may_take_pages())
    }

    /// The descriptor, for what the system knows of the connection.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.socket().map(Socket::fd)
    }

    /// Runs a read-like system call when the socket is readable; `AGAIN` waits for the next edge.
    pub fn poll_read_with<T>(
        &self,
        cx: &mut Context<'_>,
        call: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> Poll<io::Result<T>> {
        match &self.0 {
            Over::Socket(s) => s.poll_read_with(cx, call),
            Over::Stream(_) => no_socket(),
        }
    }

    /// Runs a write-like system call when the socket is writable; `AGAIN` waits for the next edge.
    pub fn poll_write_with<T>(
        &self,
        cx: &mut Context<'_>,
        call: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> Poll<io::Result<T>> {
        match &self.0 {
            Over::Socket(s) => s.poll_write_with(cx, call),
            Over::Stream(_) => no_socket(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    use std::task::Waker;

    #[test]
    fn the_reactor_is_told_when_a_connection_is_waited_for() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let (ours, theirs) =
                rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
            let conn = Conn::new(ours);
            let mut cx = Context::from_waker(Waker::noop());
            let mut buffer = Buffer::with_capacity(64);
            rustix::io::write(&theirs, b"abc").unwrap();
            assert!(matches!(conn.poll_recv(&mut cx, &mut buffer), Poll::Ready(Ok(3))));
            assert!(!conn.is_registered(), "what is there is read without");
            assert!(conn.poll_recv(&mut cx, &mut buffer).is_pending());
            assert!(conn.is_registered());
            // before the reactor has said that it can be written to
            for _ in 0..2 {
                assert!(matches!(conn.poll_send(&mut cx, &[IoSlice::new(b"x")], false), Poll::Ready(Ok(1))));
            }
            // full: then it is waited for, and found writable again
            let much = [0u8; 1 << 16];
            while conn.poll_send(&mut cx, &[IoSlice::new(&much)], false).is_ready() {}
            let mut scrap = vec![0u8; 1 << 20];
            while rustix::io::read(&theirs, &mut scrap).is_ok() {}
            std::future::poll_fn(|cx| conn.poll_send(cx, &[IoSlice::new(b"y")], false)).await.unwrap();
        });
    }
}
