//! TLS over a socket. The bytes of the network are worked on in buffers of the thread; what cannot go on yet stays with
//! the connection, so that one that rests holds nothing but its keys.

use crate::buffer::Buffer;
use crate::conn::Seen;
use crate::ktls;
use crate::socket::Socket;
use portcullis_tls::info::Info;
use portcullis_tls::stream::{Progress, Stream};
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Bytes of the network that are read at once.
const READ: usize = 72 * 1024;

/// A thread's buffers.
#[derive(Default)]
struct Scratch {
    incoming: Buffer,
    plain: Vec<u8>,
    out: Vec<u8>,
    staging: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Why a handshake failed.
#[derive(Debug)]
pub enum Failed {
    /// The peer closed the connection; true: in the middle, after it had sent something.
    Closed(bool),
    /// The connection broke.
    Broken(io::Error),
    /// TLS says no.
    Tls(portcullis_tls::Error),
}

/// TLS of one connection.
#[derive(Debug)]
pub(crate) struct Tls {
    stream: RefCell<Stream>,
}

fn broken() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

impl Tls {
    /// Over a connection that has not shaken hands yet.
    #[must_use]
    pub fn new(stream: Stream) -> Self {
        Self { stream: RefCell::new(stream) }
    }

    /// Its TLS alone.
    #[must_use]
    pub fn into_stream(self) -> Stream {
        self.stream.into_inner()
    }

    /// What is known of it.
    #[must_use]
    pub fn info(&self) -> Option<Rc<Info>> {
        self.stream.borrow().info().cloned()
    }

    /// Is there something to be read, whatever the socket says?
    #[must_use]
    pub fn is_readable(&self) -> bool {
        let s = self.stream.borrow();
        s.has_plain() || s.is_unread() || s.is_over()
    }

    /// Does the kernel make its records?
    #[must_use]
    pub fn is_kernels(&self) -> bool {
        self.stream.borrow().is_kernels()
    }

    /// Does it, or shall it once it can?
    #[must_use]
    pub fn may_be_kernels(&self) -> bool {
        self.stream.borrow().may_be_kernels()
    }

    /// The kernel took so many bytes from a pipe.
    ///
    /// # Errors
    /// Its key is used up.
    pub fn spliced(&self, bytes: usize) -> io::Result<()> {
        let s = &mut *self.stream.borrow_mut();
        let good = s.spend(bytes);
        // the pipe tells of them
        s.confirm();
        if good { Ok(()) } else { Err(broken()) }
    }

    /// Sends what waits. Ready: nothing does any more.
    fn poll_flush(s: &mut Stream, conn: &Socket, cx: &mut Context<'_>, more: bool) -> Poll<io::Result<()>> {
        while !s.waiting().is_empty() {
            match conn.poll_send_raw(cx, &[IoSlice::new(s.waiting())], more) {
                Poll::Ready(Ok(n)) => s.sent(n),
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads from the network once, if what is here does not do, and works on it. Ready(0): the end.
    fn poll_bring(
        s: &mut Stream,
        conn: &Socket,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
    ) -> Poll<Result<usize, Failed>> {
        let incoming = &mut scratch.incoming;
        if incoming.capacity() == 0 {
            *incoming = Buffer::with_capacity(READ);
        }
        incoming.clear();
        s.take_left(incoming.vec());
        let mut n = incoming.len();
        if !s.is_unread() {
            match conn.poll_recv_raw(cx, incoming) {
                Poll::Ready(Ok(0)) => {
                    s.end();
                    return Poll::Ready(Ok(0));
                }
                Poll::Ready(Ok(read)) => n = read,
                Poll::Ready(Err(e)) => return Poll::Ready(Err(Failed::Broken(e))),
                Poll::Pending => {
                    let left = incoming.vec();
                    s.put_back(left);
                    return Poll::Pending;
                }
            }
        }
        let ahead = s.is_ahead();
        s.bring(incoming.vec()).map_err(Failed::Tls)?;
        if ahead && !s.is_ahead() {
            // the end of the handshake goes out, and whoever waits to send may
            let _ = Self::poll_flush(s, conn, cx, false);
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(n.max(1)))
    }

    /// Waits until a server has said what it thinks of early data.
    fn poll_answer(
        s: &mut Stream,
        conn: &Socket,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
    ) -> Poll<io::Result<()>> {
        while s.is_ahead() {
            match Self::poll_bring(s, conn, cx, scratch) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(_) => return Poll::Ready(Err(broken())),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// See [`crate::Conn::poll_handshake`].
    pub fn poll_handshake(&self, conn: &Socket, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let s = &mut *self.stream.borrow_mut();
            let mut any = false;
            loop {
                match Self::poll_flush(s, conn, cx, false) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(e)) => return Poll::Ready(Err(Failed::Broken(e))),
                    Poll::Pending => return Poll::Pending,
                }
                if s.progress() == Progress::Done {
                    return Poll::Ready(Ok(()));
                }
                match Self::poll_bring(s, conn, cx, scratch) {
                    Poll::Ready(Ok(0)) => {
                        s.remember();
                        return Poll::Ready(Err(Failed::Closed(any)));
                    }
                    Poll::Ready(Ok(_)) => any = true,
                    Poll::Ready(Err(e)) => {
                        let _ = Self::poll_flush(s, conn, cx, false);
                        s.remember();
                        return Poll::Ready(Err(e));
                    }
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
    }

    /// See [`crate::Conn::poll_recv`].
    pub fn poll_recv(
        &self,
        conn: &Socket,
        cx: &mut Context<'_>,
        into: &mut Buffer,
    ) -> Poll<io::Result<usize>> {
        if self.is_kernels() {
            return ktls::poll_recv(&mut self.stream.borrow_mut(), conn, cx, into);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let s = &mut *self.stream.borrow_mut();
            let spare = into.spare();
            let room = spare.capacity() - spare.len();
            if room == 0 {
                return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
            }
            let mut taken = s.take_plain(spare, room);
            while taken < room {
                if s.is_over() && !s.is_unread() {
                    break;
                }
                if taken > 0 && !s.is_unread() {
                    break;
                }
                s.lend_plain(std::mem::take(&mut scratch.plain));
                let brought = Self::poll_bring(s, conn, cx, scratch);
                taken += s.take_plain(spare, room - taken);
                let back = s.plain_back();
                if back.capacity() > 0 {
                    scratch.plain = back;
                }
                // answers to key updates
                let _ = Self::poll_flush(s, conn, cx, false);
                match brought {
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(_)) if taken > 0 => break,
                    Poll::Ready(Err(Failed::Broken(e))) => return Poll::Ready(Err(e)),
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(broken())),
                    Poll::Pending if taken > 0 => break,
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(Ok(taken))
        })
    }

    /// See [`crate::Conn::poll_send`]. What is not sent at once has to be offered again: it was made records of already.
    pub fn poll_send(
        &self,
        conn: &Socket,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        more: bool,
    ) -> Poll<io::Result<usize>> {
        let s = &mut *self.stream.borrow_mut();
        if s.waits_for_kernel() {
            ktls::hand_over(s, conn)?;
        }
        if s.is_kernels() {
            return ktls::poll_send(s, conn, cx, slices);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            loop {
                let total: usize = slices.iter().map(|s| s.len()).sum();
                if s.pending() == 0 && total > 0 {
                    s.lend_out(std::mem::take(&mut scratch.out));
                    if s.seal(slices, &mut scratch.staging).is_err() {
                        return Poll::Ready(Err(broken()));
                    }
                }
                let flushed = Self::poll_flush(s, conn, cx, more);
                let back = s.out_back();
                if back.capacity() > scratch.out.capacity() {
                    scratch.out = back;
                }
                let done = s.confirmed().min(total);
                return match flushed {
                    Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
                    _ if done > 0 || total == 0 => Poll::Ready(Ok(done)),
                    Poll::Ready(Ok(())) if s.waits_for_server() => {
                        match Self::poll_answer(s, conn, cx, scratch) {
                            Poll::Ready(Ok(())) => continue,
                            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
                            Poll::Pending => Poll::Pending,
                        }
                    }
                    Poll::Ready(Ok(())) => Poll::Ready(Ok(0)),
                    Poll::Pending => Poll::Pending,
                };
            }
        })
    }

    /// See [`crate::Conn::poll_peek`]: what the network brings is looked into, as far as nobody has to take anything.
    pub fn poll_peek(&self, conn: &Socket, cx: &mut Context<'_>) -> Seen {
        if self.is_kernels() {
            return ktls::poll_peek(&mut self.stream.borrow_mut(), conn, cx);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let s = &mut *self.stream.borrow_mut();
            loop {
                if s.has_plain() {
                    return Seen::Data;
                }
                if s.is_over() {
                    return Seen::End;
                }
                if !s.is_unread() {
                    match conn.poll_peek_raw(cx) {
                        Seen::Data => {}
                        other => return other,
                    }
                }
                match Self::poll_bring(s, conn, cx, scratch) {
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(_)) => return Seen::Broken,
                    Poll::Pending => return Seen::Nothing,
                }
            }
        })
    }

    /// Sends the alert that ends a connection in order, as far as the socket takes it.
    pub fn close(&self, conn: &Socket) {
        let s = &mut *self.stream.borrow_mut();
        if s.is_kernels() {
            return ktls::close(s, conn);
        }
        s.close();
        let _ = Self::poll_flush(s, conn, &mut Context::from_waker(Waker::noop()), false);
    }
}
