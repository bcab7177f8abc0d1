//! A connected stream socket, TCP or Unix, on its worker's reactor, with or without TLS.
//!
//! Readiness is edge triggered: after a short read or write it is cleared without asking the system again, which
//! saves a system call an answer. A hang-up stays visible whatever has been cleared. The reactor is told of a connection
//! when it is first waited for, see [`Watched`].

use crate::buffer::Buffer;
use crate::conn::Seen;
use crate::tls::Tls;
use portcullis_sys::reactor::{Done, Watched};
use portcullis_tls::info::Info;
use portcullis_tls::stream::Stream;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A connected stream socket. Its descriptor is marked when the peer hears nothing any more, not even the end.
#[derive(Debug)]
pub(crate) struct Socket {
    io: Watched,
    /// TLS over it, if it speaks TLS.
    tls: Option<Box<Tls>>,
}

impl Socket {
    /// Takes a non-blocking connected (or connecting) socket.
    #[must_use]
    pub fn new(fd: OwnedFd) -> Self {
        Self { io: Watched::new(fd), tls: None }
    }

    /// Leaves the reactor.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.io.into_fd()
    }

    /// Leaves the reactor with its TLS, if it speaks TLS.
    #[must_use]
    pub fn into_parts(self) -> (OwnedFd, Option<Stream>) {
        let tls = self.tls.map(|tls| tls.into_stream());
        (self.io.into_fd(), tls)
    }

    /// Is it on the reactor, because it was waited for?
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.io.is_registered()
    }

    /// Reads what there is, up to the buffer's room. 0: the peer has finished. A full buffer is an error of the caller
    /// and reads nothing.
    ///
    /// # Errors
    /// The system's; the connection is then broken.
    pub fn poll_recv(&self, cx: &mut Context<'_>, into: &mut Buffer) -> Poll<io::Result<usize>> {
        if let Some(tls) = &self.tls {
            return tls.poll_recv(self, cx, into);
        }
        self.poll_recv_raw(cx, into)
    }

    /// [`Socket::poll_recv`] of the socket itself, below TLS.
    pub(crate) fn poll_recv_raw(&self, cx: &mut Context<'_>, into: &mut Buffer) -> Poll<io::Result<usize>> {
        let spare = into.spare();
        let room = spare.capacity() - spare.len();
        if room == 0 {
            return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
        }
        self.io.poll_read(cx, |fd| {
            let (n, _) = rustix::net::recv(fd, rustix::buffer::spare_capacity(spare), RecvFlags::empty())?;
            Ok(Done { value: n, short: n < room && n > 0 })
        })
    }

    /// Writes what the socket takes of these slices. `more`: more follows at once (a full segment is worth waiting for).
    ///
    /// # Errors
    /// The system's; the connection is then broken.
    pub fn poll_send(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        more: bool,
    ) -> Poll<io::Result<usize>> {
        if let Some(tls) = &self.tls {
            return tls.poll_send(self, cx, slices, more);
        }
        self.poll_send_raw(cx, slices, more)
    }

    /// [`Socket::poll_send`] of the socket itself, below TLS.
    pub(crate) fn poll_send_raw(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        more: bool,
    ) -> Poll<io::Result<usize>> {
        let flags = if more { SendFlags::NOSIGNAL | SendFlags::MORE } else { SendFlags::NOSIGNAL };
        self.io.poll_write(cx, |fd| {
            let n = match slices {
                [one] => rustix::net::send(fd, one, flags),
                many => rustix::net::sendmsg(fd, many, &mut SendAncillaryBuffer::default(), flags),
            }?;
            Ok(Done { value: n, short: n < slices.iter().map(|s| s.len()).sum() })
        })
    }

    /// Waits until there is something to read (bytes, the end or an error).
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.tls.as_ref().is_some_and(|tls| tls.is_readable()) {
            return Poll::Ready(());
        }
        self.io.poll_readable(cx).map(|_| ())
    }

    /// Waits until the socket takes bytes; for one that is connecting: until that has ended, one way or the other.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.io.poll_writable(cx).map(|_| ())
    }

    /// Looks at the receive side without taking anything, and without a system call when nothing has happened.
    /// The waker of `cx` is kept for when something does.
    pub fn poll_peek(&self, cx: &mut Context<'_>) -> Seen {
        if let Some(tls) = &self.tls {
            return tls.poll_peek(self, cx);
        }
        self.poll_peek_raw(cx)
    }

    pub(crate) fn poll_peek_raw(&self, cx: &mut Context<'_>) -> Seen {
        let mut byte = [0u8; 1];
        let seen = self.io.register().map(|()| {
            self.io.poll_read(cx, |fd| {
                let (n, _) = rustix::net::recv(fd, &mut byte[..], RecvFlags::PEEK)?;
                Ok(Done { value: n, short: false })
            })
        });
        match seen {
            Ok(Poll::Pending) => Seen::Nothing,
            Ok(Poll::Ready(Ok(0))) => Seen::End,
            Ok(Poll::Ready(Ok(_))) => Seen::Data,
            Ok(Poll::Ready(Err(_))) | Err(_) => Seen::Broken,
        }
    }

    /// Throws away what has come and was not read, before the connection is closed: closing would reset it otherwise.
    /// `surely`: ask the system even if nothing is known to have come. Was there something?
    pub fn discard_input(&self, surely: bool) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let known = self.io.is_registered();
        if !surely && known && self.io.poll_readable(&mut cx).is_pending() {
            return false;
        }
        let mut scrap = [0u8; 16 * 1024];
        let mut some = false;
        // of TCP nothing is copied (MSG_TRUNC); a client that sends without end is reset
        for _ in 0..64 {
            match rustix::net::recv(&self.io, &mut scrap[..], RecvFlags::TRUNC) {
                Ok((_, 1..)) => some = true,
                Err(rustix::io::Errno::INTR) => {}
                _ => break,
            }
        }
        some
    }

    /// What has broken it, if anything has.
    #[must_use]
    pub fn broken(&self) -> Option<io::Error> {
        self.io.broken()
    }

    /// How a connection attempt ended, once it is writable.
    ///
    /// # Errors
    /// The reason why it failed.
    pub fn connected(&self) -> io::Result<()> {
        match rustix::net::sockopt::socket_error(&self.io)? {
            Ok(()) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Nothing more will be sent; the peer reads the end, unless the socket has vanished.
    pub fn finish(&self) {
        if self.io.is_marked() {
            return;
        }
        self.say_goodbye();
        let _ = rustix::net::shutdown(&self.io, Shutdown::Write);
    }

    /// Begins to speak TLS: [`Socket::poll_handshake`] comes next.
    pub fn begin_tls(&mut self, stream: Stream) {
        self.tls = Some(Box::new(Tls::new(stream)));
    }

    /// May pages be spliced into it: does it speak no TLS, or does the kernel make its records?
    #[must_use]
    pub fn takes_pages(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| tls.is_kernels())
    }

    /// Likewise, now or once the kernel does.
    #[must_use]
    pub fn may_take_pages(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| tls.may_be_kernels())
    }

    /// So many bytes were spliced into it.
    ///
    /// # Errors
    /// No more may be.
    pub fn spliced(&self, bytes: usize) -> io::Result<()> {
        self.tls.as_ref().map_or(Ok(()), |tls| tls.spliced(bytes))
    }

    /// Waits until what was spliced into it is on its way. Only the kernel's TLS holds something back.
    pub fn poll_passed_on(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.tls.is_some() { self.poll_has_room(cx) } else { Poll::Ready(Ok(())) }
    }

    /// Waits until the system has room for more, and asks it surely.
    pub(crate) fn poll_has_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_with(cx, |fd| {
            let mut asked = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
            match rustix::event::poll(&mut asked, Some(&Timespec::default()))? {
                0 => Err(rustix::io::Errno::AGAIN),
                _ => Ok(()),
            }
        })
    }

    /// Puts it on the reactor, if it is not there yet.
    ///
    /// # Errors
    /// When the reactor cannot take it.
    pub(crate) fn register(&self) -> io::Result<()> {
        self.io.register()
    }

    /// Does it speak TLS?
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// What is known of its TLS.
    #[must_use]
    pub fn tls_info(&self) -> Option<Rc<Info>> {
        self.tls.as_ref().and_then(|tls| tls.info())
    }

    /// Drives the handshake to its end. A connection without TLS has none.
    ///
    /// # Errors
    /// Why it failed; the peer was told if it can be told.
    pub fn poll_handshake(&self, cx: &mut Context<'_>) -> Poll<Result<(), crate::tls::Failed>> {
        match &self.tls {
            Some(tls) => tls.poll_handshake(self, cx),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Tells a TLS peer that nothing more comes, as far as the socket takes it now.
    pub fn say_goodbye(&self) {
        if let Some(tls) = self.tls.as_ref().filter(|_| !self.io.is_marked()) {
            tls.close(self);
        }
    }

    /// Closing will reset the connection (`option nolinger`, aborted transfers): nothing is left behind.
    pub fn reset_on_close(&self) {
        let _ = rustix::net::sockopt::set_socket_linger(&self.io, Some(Duration::ZERO));
    }

    /// The TOS (traffic class) of what is sent; a socket that has none is left as it is.
    pub fn set_tos(&self, tos: u8) {
        portcullis_sys::socket::set_tos(&self.io, tos);
    }

    /// The mark of what is sent (needs CAP_NET_ADMIN; otherwise nothing changes).
    pub fn set_mark(&self, mark: u32) {
        let _ = portcullis_sys::socket::set_mark(self.io.as_fd(), mark);
    }

    /// Closing will send nothing at all to the peer (needs CAP_NET_ADMIN), or a reset that dies on its way, after so
    /// many hops or at the next router.
    pub fn vanish(&self, ttl: Option<u8>) {
        self.io.mark();
        if ttl.is_none() && portcullis_sys::socket::set_repair(self.io.as_fd()).is_ok() {
            return;
        }
        let ttl = u32::from(ttl.unwrap_or(1));
        let _ = rustix::net::sockopt::set_ip_ttl(&self.io, ttl);
        let _ = rustix::net::sockopt::set_ipv6_unicast_hops(&self.io, Some(ttl as u8));
        self.reset_on_close();
    }

    /// Was it made to vanish?
    #[must_use]
    pub fn has_vanished(&self) -> bool {
        self.io.is_marked()
    }

    /// This end's address: the destination that the client asked for.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        rustix::net::getsockname(&self.io).ok()?.try_into().ok()
    }

    /// The other end's address.
    #[must_use]
    pub fn remote(&self) -> Option<SocketAddr> {
        rustix::net::getpeername(&self.io).ok()??.try_into().ok()
    }

    /// For socket options and splicing.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }

    /// Runs a read-like system call when the socket is readable; `AGAIN` waits for the next edge.
    pub fn poll_read_with<T>(
        &self,
        cx: &mut Context<'_>,
        mut call: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> Poll<io::Result<T>> {
        self.io.poll_read(cx, |fd| Ok(Done { value: call(fd)?, short: false }))
    }

    /// Runs a write-like system call when the socket is writable; `AGAIN` waits for the next edge.
    pub fn poll_write_with<T>(
        &self,
        cx: &mut Context<'_>,
        mut call: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> Poll<io::Result<T>> {
        self.io.poll_write(cx, |fd| Ok(Done { value: call(fd)?, short: false }))
    }
}
