//! Several datagrams by one system call, those of equal length as one packet through the kernel (UDP_SEGMENT, udp(7)).

use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;
use std::mem::{size_of, zeroed};

/// Datagrams that lie one behind the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Run<'a> {
    /// Their bytes.
    pub bytes: &'a [u8],
    /// Every so many bytes begin the next one, the last may be shorter; 0: it is one datagram.
    pub segment: u16,
}

/// Most runs of one call.
pub const RUNS: usize = 16;
/// Most datagrams of one run (UDP_MAX_SEGMENTS of any kernel).
pub const SEGMENTS: usize = 64;
/// Most bytes of one run.
pub const RUN_BYTES: usize = 60_000;

/// Bytes of a control message with a `u16`, as words so that it is aligned.
const CONTROL: usize = 3;

/// Sends runs over a connected socket without blocking; how many went. More than [`RUNS`] are left to the next call.
///
/// # Errors
/// The system's for the first run. `EINVAL`, `EIO`: this way cannot be segmented for; send them one by one.
pub fn send_runs(fd: BorrowedFd<'_>, runs: &[Run<'_>]) -> Result<usize, Errno> {
    let count = runs.len().min(RUNS);
    // SAFETY: a plain structure of the C library, for which zeros are a valid value: null pointers and lengths of 0.
    let mut messages: [libc::mmsghdr; RUNS] = unsafe { zeroed() };
    // SAFETY: as above.
    let mut slices: [libc::iovec; RUNS] = unsafe { zeroed() };
    let mut controls = [[0u64; CONTROL]; RUNS];
    for (((run, message), slice), control) in
        runs.iter().zip(&mut messages).zip(&mut slices).zip(&mut controls)
    {
        slice.iov_base = run.bytes.as_ptr().cast_mut().cast();
        slice.iov_len = run.bytes.len();
        message.msg_hdr.msg_iov = slice;
        message.msg_hdr.msg_iovlen = 1;
        if run.segment > 0 {
            write_control(control, run.segment);
            message.msg_hdr.msg_control = control.as_mut_ptr().cast();
            message.msg_hdr.msg_controllen = size_of_val(control) as _;
        }
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the first `count` headers point to a slice and a control message each that live in this frame, and the
    // slices to `runs`' bytes, which the kernel only reads; `count` is at most the length of the array.
    let sent = unsafe { libc::sendmmsg(fd.as_raw_fd(), messages.as_mut_ptr(), count as u32, flags as _) };
    if sent < 0 {
        return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO));
    }
    Ok(sent as usize)
}

/// A control message of level UDP and type UDP_SEGMENT.
fn write_control(control: &mut [u64; CONTROL], segment: u16) {
    let header = libc::cmsghdr {
        cmsg_len: (size_of::<libc::cmsghdr>() + size_of::<u16>()) as _,
        cmsg_level: libc::SOL_UDP,
        cmsg_type: libc::UDP_SEGMENT,
    };
    const _: () = assert!(size_of::<libc::cmsghdr>() + size_of::<u16>() <= CONTROL * size_of::<u64>());
    // SAFETY: the words have room for header and number (asserted above) and are aligned for both.
    unsafe {
        let at = control.as_mut_ptr().cast::<libc::cmsghdr>();
        at.write(header);
        at.add(1).cast::<u16>().write(segment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    #[test]
    fn the_receiver_sees_each_datagram() {
        let (to, from) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        from.connect(to.local_addr().unwrap()).unwrap();
        let runs = [
            Run { bytes: b"one", segment: 0 },
            Run { bytes: b"aabbccd", segment: 2 },
            Run { bytes: b"last", segment: 0 },
        ];
        assert_eq!(send_runs(from.as_fd(), &runs), Ok(3));
        let mut buffer = [0; 64];
        for want in ["one", "aa", "bb", "cc", "d", "last"] {
            let n = to.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..n], want.as_bytes());
        }
    }
}
