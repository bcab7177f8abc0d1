//! What has broken a connection, in the numbers of `fc_err` and `bc_err` (manual section 7.3.3).

use portcullis_sample::fetch::link::error_of_name;
use portcullis_tls::info::Info;
use portcullis_transport::Conn;

/// The number of what has broken a connection that was there; 0: nothing has.
#[must_use]
pub fn of(conn: &Conn, tls: Option<&Info>) -> u8 {
    match tls {
        Some(tls) if tls.flooded.get() => error_of_name("SSL_KEYUPDATE"),
        Some(tls) if tls.error.get() != 0 => error_of_name("SSL_FATAL"),
        _ => conn.broken().map_or(0, |e| number(&e)),
    }
}

/// The number of an error of the system's.
#[must_use]
pub fn number(e: &std::io::Error) -> u8 {
    use rustix::io::Errno;
    let name = match e.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::CONNREFUSED) => "EREFUSED",
        Some(Errno::CONNRESET) => "ERESET",
        Some(Errno::NETUNREACH | Errno::HOSTUNREACH) => "EUNREACH",
        Some(Errno::NOMEM) => "ENOMEM",
        Some(Errno::INVAL) => "EINVAL",
        Some(Errno::NOBUFS) => "ENOBUFS",
        Some(Errno::PIPE) => "EPIPE",
        Some(Errno::MFILE) => "PROC_FDLIM",
        Some(Errno::NFILE) => "SYS_FDLIM",
        Some(Errno::ADDRINUSE) => "ADDR_INUSE",
        Some(Errno::ADDRNOTAVAIL) => "FREE_PORTS",
        Some(Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT) => "NOPROTO",
        _ => "SOCK_ERR",
    };
    error_of_name(name)
}
