//! Numbers and addresses as text, without `core::fmt`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Decimal.
#[inline]
pub fn unsigned(out: &mut Vec<u8>, n: u64) {
    if n < 10 {
        return out.push(b'0' + n as u8);
    }
    longer(out, n);
}

fn longer(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        if let Some(d) = digits.get_mut(at) {
            *d = b'0' + (n % 10) as u8;
        }
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(at..).unwrap_or(&[]));
}

/// Decimal with a sign where negative.
#[inline]
pub fn signed(out: &mut Vec<u8>, n: i64) {
    if n < 0 {
        out.push(b'-');
    }
    unsigned(out, n.unsigned_abs());
}

/// Exactly `width` decimal digits (at most 20), zeros in front.
#[inline]
pub fn padded(out: &mut Vec<u8>, n: u64, width: usize) {
    let mut power = 10u64.saturating_pow(width.saturating_sub(1) as u32);
    for _ in 0..width {
        out.push(b'0' + (n / power % 10) as u8);
        power = (power / 10).max(1);
    }
}

/// Dotted quad.
#[inline]
pub fn v4(out: &mut Vec<u8>, a: Ipv4Addr) {
    let mut text = [b'.'; 16];
    let mut len = 0;
    let mut put = |b: u8| {
        if let Some(place) = text.get_mut(len) {
            *place = b;
        }
        len += 1;
    };
    for (i, o) in a.octets().into_iter().enumerate() {
        if i > 0 {
            put(b'.');
        }
        if o >= 100 {
            put(b'0' + o / 100);
        }
        if o >= 10 {
            put(b'0' + o / 10 % 10);
        }
        put(b'0' + o % 10);
    }
    out.extend_from_slice(text.get(..len).unwrap_or(&[]));
}

/// An address as `inet_ntop` writes it.
#[inline]
pub fn ip(out: &mut Vec<u8>, a: IpAddr) {
    match a {
        IpAddr::V4(a) => v4(out, a),
        IpAddr::V6(a) => v6(out, a),
    }
}

/// As `inet_ntop` writes it: IPv4-compatible addresses in dotted form too.
pub fn v6(out: &mut Vec<u8>, a: Ipv6Addr) {
    use std::io::Write;
    let s = a.segments();
    if s[..6] == [0; 6] && s[6] != 0 {
        out.extend_from_slice(b"::");
        let [.., a, b, c, d] = a.octets();
        v4(out, Ipv4Addr::new(a, b, c, d));
    } else {
        let _ = write!(out, "{a}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_std_writes_them() {
        for n in [0i64, 7, -1, i64::MIN, i64::MAX, 1_000_000] {
            let mut out = Vec::new();
            signed(&mut out, n);
            assert_eq!(out, n.to_string().as_bytes());
        }
        let mut out = Vec::new();
        padded(&mut out, 42, 3);
        v4(&mut out, Ipv4Addr::new(10, 0, 255, 1));
        assert_eq!(out, b"04210.0.255.1");
    }
}
