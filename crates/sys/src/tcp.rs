//! What the kernel knows of a TCP connection.

use std::mem::{MaybeUninit, size_of};

/// Parts of `TCP_INFO`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpInfo {
    /// The state of the connection, as `tcp(7)` numbers them.
    pub state: u8,
    /// Round trip time in microseconds.
    pub rtt: u32,
    /// Its variance in microseconds.
    pub rttvar: u32,
    /// Segments that were not acknowledged yet.
    pub unacked: u32,
    /// Segments that were selectively acknowledged.
    pub sacked: u32,
    /// Segments that are counted as lost.
    pub lost: u32,
    /// Segments that are being sent again.
    pub retrans: u32,
    /// Segments that were acknowledged ahead.
    pub fackets: u32,
    /// How far segments come out of order.
    pub reordering: u32,
}

/// `TCP_INFO` of the socket with this number. `None`: it is none, or not TCP.
#[must_use]
pub fn info(fd: i32) -> Option<TcpInfo> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut len = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).ok()?;
    // SAFETY: the pointers and the length describe `info`, of which the kernel writes no more than that; a number that is
    // no socket is answered with an error.
    let done = unsafe {
        libc::getsockopt(
            fd,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            std::ptr::from_mut(&mut len),
        )
    };
    if done != 0 {
        return None;
    }
    // SAFETY: all of it was zeroed, and any bits are valid integers.
    let i = unsafe { info.assume_init() };
    Some(TcpInfo {
        state: i.tcpi_state,
        rtt: i.tcpi_rtt,
        rttvar: i.tcpi_rttvar,
        unacked: i.tcpi_unacked,
        sacked: i.tcpi_sacked,
        lost: i.tcpi_lost,
        retrans: i.tcpi_retrans,
        fackets: i.tcpi_fackets,
        reordering: i.tcpi_reordering,
    })
}

/// The SYN packet that was kept of this socket's connection (`TCP_SAVED_SYN`); the system gives it once.
#[must_use]
pub fn saved_syn(fd: i32) -> Option<Vec<u8>> {
    let mut bytes = vec![0u8; 512];
    let mut len = libc::socklen_t::try_from(bytes.len()).ok()?;
    // SAFETY: pointer and length describe `bytes`, of which the kernel writes no more than that; a number that is no
    // socket is answered with an error.
    let done = unsafe {
        libc::getsockopt(
            fd,
            libc::IPPROTO_TCP,
            libc::TCP_SAVED_SYN,
            bytes.as_mut_ptr().cast(),
            std::ptr::from_mut(&mut len),
        )
    };
    bytes.truncate(usize::try_from(len).ok()?);
    (done == 0 && !bytes.is_empty()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    #[test]
    fn of_a_connection_and_of_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(info(client.as_raw_fd()).unwrap().rtt > 0);
        assert_eq!(saved_syn(client.as_raw_fd()), None);
        assert_eq!(info(-1), None);
    }
}
