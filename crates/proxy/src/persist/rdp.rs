//! `persist rdp-cookie`: the cookie of a terminal server says where the session is, "address.port.reserved" with both as
//! decimal numbers of their bytes in memory.

use portcullis_sample::Expr;
use portcullis_sample::row::vocabulary;
use std::net::{Ipv4Addr, SocketAddr};

/// What finds the cookie of this name in what a client sent.
#[must_use]
pub fn expression(name: &[u8]) -> Option<Box<Expr>> {
    let text = [b"req.rdp_cookie(", name, b")"].concat();
    Expr::parse(&text, &vocabulary()).ok().map(Box::new)
}

/// The address that a cookie names.
#[must_use]
pub fn address(cookie: &[u8]) -> Option<SocketAddr> {
    let mut numbers = cookie.split(|b| *b == b'.').map(|n| std::str::from_utf8(n).ok());
    let ip: u32 = numbers.next()??.parse().ok()?;
    let port: u16 = numbers.next()??.parse().ok()?;
    numbers.next()?;
    Some(SocketAddr::new(Ipv4Addr::from(ip.to_le_bytes()).into(), port.swap_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(address(b"3640205228.15629.0000"), "172.31.249.216:3389".parse().ok());
        assert_eq!(address(b"16777343.15629.0000"), "127.0.0.1:3389".parse().ok());
        for none in [&b""[..], b"1.2", b"a.1.0", b"16777343.99999.0000", b"99999999999.1.0"] {
            assert_eq!(address(none), None);
        }
    }
}
