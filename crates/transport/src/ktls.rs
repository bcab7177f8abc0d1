//! TLS connections whose records the kernel makes (`ktls on`). The library shakes hands; with the first bytes that are sent after
//! that, the kernel gets the keys of both directions. Where it cannot, everything stays with the library.

use crate::buffer::Buffer;
use crate::conn::Seen;
use crate::socket::Socket;
use portcullis_sys::ktls::{self as sys, Way};
use portcullis_tls::kernel::{KINDS, Keys, Kind};
use portcullis_tls::stream::Stream;
use rustix::fd::AsFd;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};

/// What the kernel knows, in the order of [`KINDS`].
static KNOWN: OnceLock<[bool; KINDS.len()]> = OnceLock::new();
/// Most of a record that is none of data.
const RECORD: usize = 16 * 1024;

/// Looks, once a process, which versions and ciphers the kernel knows. Until then no connection is given to it.
pub fn look() {
    KNOWN.get_or_init(|| KINDS.map(|kind| knows(&kind.blank()).is_ok()));
}

/// A pair of sockets of this host's is given keys of zeros.
fn knows(keys: &Keys) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    sys::attach(client.as_fd())?;
    sys::set_keys(client.as_fd(), Way::Sent, keys.as_ref())?;
    sys::set_keys(client.as_fd(), Way::Received, keys.as_ref())
}

fn can(kind: Kind) -> bool {
    let known = KNOWN.get().map_or(&[][..], |k| k);
    KINDS.iter().zip(known).any(|(k, known)| *k == kind && *known)
}

fn broken() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

/// Gives the connection to the kernel, if it may be now and the kernel takes it.
///
/// # Errors
/// It was given away and not taken: it is lost.
pub(crate) fn hand_over(s: &mut Stream, conn: &Socket) -> io::Result<()> {
    let Some(kind) = s.for_kernel() else { return Ok(()) };
    if !can(kind) || sys::attach(conn.fd()).is_err() {
        s.keep_from_kernel();
        return Ok(());
    }
    let [sent, received] = s.hand_over(kind).map_err(|_| broken())?;
    let taken = sys::set_keys(conn.fd(), Way::Sent, sent.as_ref())
        .and_then(|()| sys::set_keys(conn.fd(), Way::Received, received.as_ref()));
    taken.inspect_err(|_| s.lose())
}

/// See [`crate::Conn::poll_send`]. What the kernel took and still holds back counts as sent once the socket has room again: a
/// connection that is closed before loses it.
pub(crate) fn poll_send(
    s: &mut Stream,
    conn: &Socket,
    cx: &mut Context<'_>,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if s.unconfirmed() == 0 {
        if s.is_over() && !s.is_kernels() {
            return Poll::Ready(Err(broken()));
        }
        // a record that waits for more would wait for ever
        let n = ready!(conn.poll_send_raw(cx, slices, false))?;
        if !s.spend(n) {
            return Poll::Ready(Err(broken()));
        }
    }
    ready!(conn.poll_has_room(cx))?;
    Poll::Ready(Ok(s.confirm()))
}

/// See [`crate::Conn::poll_recv`].
pub(crate) fn poll_recv(
    s: &mut Stream,
    conn: &Socket,
    cx: &mut Context<'_>,
    into: &mut Buffer,
) -> Poll<io::Result<usize>> {
    let spare = into.spare();
    let room = spare.capacity() - spare.len();
    if room == 0 {
        return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
    }
    let taken = s.take_plain(spare, room);
    if taken > 0 || s.is_over() {
        return Poll::Ready(Ok(taken));
    }
    let before = spare.len();
    loop {
        let (n, kind) = ready!(conn.poll_read_with(cx, |fd| sys::receive(fd, spare, room, false)))?;
        if n == 0 {
            s.end();
        }
        if n == 0 || kind == sys::DATA {
            return Poll::Ready(Ok(n));
        }
        let done = s.control(kind, spare.get(before..).unwrap_or(&[]));
        spare.truncate(before);
        match done {
            Ok(()) if s.is_over() => return Poll::Ready(Ok(0)),
            Ok(()) => {}
            Err(_) => return Poll::Ready(Err(broken())),
        }
    }
}

/// See [`crate::Conn::poll_peek`].
pub(crate) fn poll_peek(s: &mut Stream, conn: &Socket, cx: &mut Context<'_>) -> Seen {
    if conn.register().is_err() {
        return Seen::Broken;
    }
    let mut record = Vec::new();
    loop {
        if s.has_plain() {
            return Seen::Data;
        }
        if s.is_over() {
            return Seen::End;
        }
        record.reserve(1);
        match conn.poll_read_with(cx, |fd| sys::receive(fd, &mut record, 1, true)) {
            Poll::Pending => return Seen::Nothing,
            Poll::Ready(Ok((0, _))) => s.end(),
            Poll::Ready(Ok((_, sys::DATA))) => return Seen::Data,
            Poll::Ready(Ok(_)) => {
                record.clear();
                record.reserve(RECORD);
                let taken = conn.poll_read_with(cx, |fd| sys::receive(fd, &mut record, RECORD, false));
                match taken {
                    Poll::Ready(Ok((_, kind))) if kind != sys::DATA && s.control(kind, &record).is_ok() => {}
                    _ => return Seen::Broken,
                }
                record.clear();
            }
            Poll::Ready(Err(_)) => return Seen::Broken,
        }
    }
}

/// Tells the peer that nothing more comes, as far as the socket takes it.
pub(crate) fn close(s: &mut Stream, conn: &Socket) {
    const CLOSE_NOTIFY: [u8; 2] = [1, 0];
    if s.begin_close() {
        let _ = sys::send_record(conn.fd(), sys::ALERT, &CLOSE_NOTIFY);
    }
}
