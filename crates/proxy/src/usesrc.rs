//! `source … usesrc`: server connections that come from an address which is not ours (manual section 4.2 "source").

use portcullis_config::UseSrc;
use portcullis_message::Head;
use portcullis_message::values::elements;
use portcullis_sample::Facts;
use portcullis_transport::listen::socket_addr;
use std::net::{IpAddr, SocketAddr};

/// The header that `hdr_ip` names is not in the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoHeader;

/// The address that a connection to `to` is to come from; none: ours.
///
/// # Errors
/// [`NoHeader`]. A header that holds something else than an address of the server's family is no error.
pub fn source(
    wanted: &UseSrc,
    facts: &Facts<'_>,
    request: Option<&Head>,
    to: Option<SocketAddr>,
) -> Result<Option<SocketAddr>, NoHeader> {
    let client = facts.source();
    let found = match wanted {
        UseSrc::None => return Ok(None),
        UseSrc::Client => client,
        UseSrc::ClientIp => client.map(|c| SocketAddr::new(c.ip(), 0)),
        UseSrc::Address(address) => socket_addr(address),
        UseSrc::HdrIp(name, occurrence) => {
            let value = request.and_then(|head| nth(head, name, *occurrence)).ok_or(NoHeader)?;
            let ip = std::str::from_utf8(value).ok().and_then(|text| text.parse::<IpAddr>().ok());
            ip.map(|ip| SocketAddr::new(ip, 0))
        }
    };
    Ok(found.filter(|from| to.is_some_and(|to| to.is_ipv4() == from.is_ipv4())))
}

/// The value at this place among all of a header: from 1 on, or from the last, -1, backwards.
fn nth<'h>(head: &'h Head, name: &str, occurrence: i32) -> Option<&'h [u8]> {
    let named = head.fields().filter(|f| f.name.eq_ignore_ascii_case(name.as_bytes()));
    let mut values = named.flat_map(|f| elements(f.value));
    match usize::try_from(occurrence) {
        Ok(n @ 1..) => values.nth(n - 1),
        _ => {
            let all: Vec<_> = values.collect();
            all.len().checked_sub(occurrence.unsigned_abs().max(1) as usize).and_then(|i| all.get(i).copied())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_a_header() {
        let mut head = Head::default();
        head.push(b"x-f", b"10.0.0.1, 10.0.0.2");
        head.push(b"x-f", b"bad");
        let facts = Facts::new();
        let of = |n, name: &str| {
            source(&UseSrc::HdrIp(name.into(), n), &facts, Some(&head), "10.1.1.1:80".parse().ok())
        };
        let ip = |text: &str| Ok(text.parse().ok());
        assert_eq!(of(1, "X-F"), ip("10.0.0.1:0"));
        assert_eq!(of(-2, "x-f"), ip("10.0.0.2:0"));
        assert_eq!(of(-1, "x-f"), Ok(None));
        assert_eq!(of(-4, "x-f"), Err(NoHeader));
        assert_eq!(of(1, "x-g"), Err(NoHeader));
    }

    #[test]
    fn the_client() {
        let mut facts = Facts::new();
        facts.client = "10.0.0.9:1234".parse().ok();
        let to = |text: &str| text.parse().ok();
        assert_eq!(source(&UseSrc::Client, &facts, None, to("10.1.1.1:80")), Ok(to("10.0.0.9:1234")));
        assert_eq!(source(&UseSrc::ClientIp, &facts, None, to("10.1.1.1:80")), Ok(to("10.0.0.9:0")));
        assert_eq!(source(&UseSrc::ClientIp, &facts, None, to("[::1]:80")), Ok(None));
    }
}
