//! The end of a connection while bytes of it wait that nobody takes. Its own registration cannot tell of that without losing
//! sight of the bytes, so that it gets another one, on a descriptor of its own: it costs three system calls, and is made when
//! somebody has to wait for long.

use crate::conn::{Conn, Seen};
use portcullis_sys::reactor::register;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::fcntl_dupfd_cloexec;
use std::task::{Context, Poll};
use tokio::io::Ready;
use tokio::io::unix::AsyncFd;

/// Watches a connection for its end.
#[derive(Debug)]
pub struct HangUp(AsyncFd<OwnedFd>);

impl HangUp {
    /// Of a connection. None: it is a stream of another one, or the system has nothing left.
    #[must_use]
    pub fn of(conn: &Conn) -> Option<Self> {
        if conn.stream().is_some() {
            return None;
        }
        let fd = fcntl_dupfd_cloexec(conn.fd()?, 0).ok()?;
        register(fd).ok().map(Self)
    }

    /// [`Seen::End`] when the peer has finished, [`Seen::Broken`] when it has reset the connection; otherwise
    /// [`Seen::Nothing`], and the waker of `cx` is kept.
    pub fn poll(&self, cx: &mut Context<'_>) -> Seen {
        loop {
            match self.0.poll_read_ready(cx) {
                Poll::Pending => return Seen::Nothing,
                Poll::Ready(Err(_)) => return Seen::Broken,
                Poll::Ready(Ok(mut guard)) => {
                    if guard.ready().is_read_closed() {
                        return if self.is_broken() { Seen::Broken } else { Seen::End };
                    }
                    guard.clear_ready_matching(Ready::READABLE);
                }
            }
        }
    }

    /// Can nothing be sent any more either?
    fn is_broken(&self) -> bool {
        let mut fds = [PollFd::new(self.0.get_ref(), PollFlags::empty())];
        let _ = poll(&mut fds, Some(&Timespec::default()));
        fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::io::Write;
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::task::Waker;

    /// A connection with unread bytes, and its other end.
    fn pair() -> (Conn, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let ours = listener.accept().unwrap().0;
        ours.set_nonblocking(true).unwrap();
        theirs.write_all(b"unread").unwrap();
        (Conn::new(ours.into()), theirs)
    }

    #[test]
    fn an_end_is_seen_behind_unread_bytes() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let seen = async |hang: &HangUp| {
                poll_fn(|cx| match hang.poll(cx) {
                    Seen::Nothing => Poll::Pending,
                    seen => Poll::Ready(seen),
                })
                .await
            };
            let (ours, theirs) = pair();
            let hang = HangUp::of(&ours).unwrap();
            assert_eq!(hang.poll(&mut Context::from_waker(Waker::noop())), Seen::Nothing);
            theirs.shutdown(Shutdown::Write).unwrap();
            assert_eq!(seen(&hang).await, Seen::End);
            let (ours, theirs) = pair();
            let hang = HangUp::of(&ours).unwrap();
            rustix::net::sockopt::set_socket_linger(&theirs, Some(std::time::Duration::ZERO)).unwrap();
            drop(theirs);
            assert_eq!(seen(&hang).await, Seen::Broken);
        });
    }
}
