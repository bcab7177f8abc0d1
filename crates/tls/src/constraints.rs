//! Name constraints (RFC 5280 section 4.2.1.10): which names certificates below an authority may have. What is wrong is told as
//! the number of an X509 error.

use crate::der::{Der, Element, SEQUENCE};
use crate::verify::x509_err as err;
use crate::x509::{Cert, attributes, comparable};

/// Names are not compared more often than this for one certificate.
const MOST: usize = 1 << 20;

/// Tags of general names (RFC 5280 section 4.2.1.6).
mod tag {
    pub const OTHER: u8 = 0xa0;
    pub const MAIL: u8 = 0x81;
    pub const DNS: u8 = 0x82;
    pub const DIRECTORY: u8 = 0xa4;
    pub const URI: u8 = 0x86;
    pub const ADDRESS: u8 = 0x87;
}

/// The name constraints of a certificate.
#[derive(Clone, Debug)]
pub struct Constraints<'a> {
    permitted: Vec<Subtree<'a>>,
    excluded: Vec<Subtree<'a>>,
}

/// Names that are alike.
#[derive(Clone, Copy, Debug)]
struct Subtree<'a> {
    base: Element<'a>,
    /// It says a distance, which nobody uses (RFC 5280: minimum is 0 and maximum is absent).
    bounded: bool,
}

/// A general name.
#[derive(Clone, Copy, Debug)]
struct Name<'a> {
    tag: u8,
    content: &'a [u8],
}

impl<'a> Constraints<'a> {
    /// Takes the extension's value apart.
    #[must_use]
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (mut permitted, mut excluded) = (Vec::new(), Vec::new());
        for part in Der(Der(value).only(SEQUENCE)?).all()? {
            let list = match part.tag {
                0xa0 => &mut permitted,
                0xa1 => &mut excluded,
                _ => return None,
            };
            for subtree in Der(part.content).all()? {
                list.push(Subtree::parse(subtree)?);
            }
        }
        Some(Self { permitted, excluded })
    }

    /// Does a certificate obey? `own`: it is the peer's own, whose common name counts as a host if it has no DNS name.
    ///
    /// # Errors
    /// The X509 error.
    pub fn check(&self, cert: &Cert<'_>, own: bool) -> Result<(), u32> {
        let alt: Vec<Name<'_>> = cert.alt_names().map(|e| Name { tag: e.tag, content: e.content }).collect();
        let parts = attributes(cert.subject).count();
        if (alt.len() + parts).saturating_mul(self.permitted.len() + self.excluded.len()) > MOST {
            return Err(err::UNSPECIFIED);
        }
        if parts > 0 {
            self.obeys(Name { tag: tag::DIRECTORY, content: cert.subject })?;
            for (_, address) in attributes(cert.subject).filter(|(oid, _)| *oid == MAIL_ATTRIBUTE) {
                if address.tag != IA5 {
                    return Err(err::NAME_SYNTAX);
                }
                self.obeys(Name { tag: tag::MAIL, content: address.content })?;
            }
        }
        for name in &alt {
            self.obeys(*name)?;
        }
        if own && !alt.iter().any(|n| n.tag == tag::DNS) {
            for name in cert.common_names() {
                let name = name.trim_end_matches('\0');
                if name.contains('\0') {
                    return Err(err::NAME_SYNTAX);
                }
                if is_host(name) {
                    self.obeys(Name { tag: tag::DNS, content: name.as_bytes() })?;
                }
            }
        }
        Ok(())
    }

    /// One of the permitted ones of its kind, if there are any, and none of the excluded ones?
    fn obeys(&self, name: Name<'_>) -> Result<(), u32> {
        let of_kind = |list: &[Subtree<'a>]| -> Vec<Subtree<'a>> {
            list.iter().copied().filter(|s| s.is_for(&name)).collect()
        };
        let permitted = of_kind(&self.permitted);
        let mut found = permitted.is_empty();
        for subtree in permitted {
            found = found || subtree.has(&name)?;
        }
        if !found {
            return Err(err::NOT_PERMITTED);
        }
        for subtree in of_kind(&self.excluded) {
            if subtree.has(&name)? {
                return Err(err::EXCLUDED);
            }
        }
        Ok(())
    }
}

/// emailAddress
const MAIL_ATTRIBUTE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];
/// Tag of an IA5String.
const IA5: u8 = 0x16;

impl<'a> Subtree<'a> {
    fn parse(e: Element<'a>) -> Option<Self> {
        let mut rest = Der(e.content).all().filter(|_| e.tag == SEQUENCE)?.into_iter();
        let base = rest.next()?;
        let bounded = rest.any(|e| e.tag != 0x80 || e.content != [0]);
        Some(Self { base, bounded })
    }

    /// Is it about names of this kind? Other names are of as many kinds as they have identifiers.
    fn is_for(&self, name: &Name<'_>) -> bool {
        let kind = |content| Der(content).next().map(|oid| oid.content);
        self.base.tag == name.tag && (name.tag != tag::OTHER || kind(self.base.content) == kind(name.content))
    }

    /// Is a name of its kind in it?
    fn has(&self, name: &Name<'_>) -> Result<bool, u32> {
        if self.bounded {
            return Err(err::SUBTREE_BOUNDS);
        }
        let (name, base) = (name.content, self.base.content);
        match self.base.tag {
            tag::DIRECTORY => Ok(comparable(name).starts_with(&comparable(base))),
            tag::DNS => Ok(below(name, base)),
            tag::MAIL => mail(name, base),
            tag::URI => uri(name, base),
            tag::ADDRESS => address(name, base),
            _ => Err(err::CONSTRAINT_TYPE),
        }
    }
}

/// Is a host this one, or below it? Nothing is above all.
fn below(host: &[u8], base: &[u8]) -> bool {
    let Some(at) = host.len().checked_sub(base.len()) else { return false };
    let (before, end) = host.split_at(at);
    let whole_label = before.is_empty() || base.starts_with(b".") || before.ends_with(b".");
    base.is_empty() || (whole_label && end.eq_ignore_ascii_case(base))
}

/// Is a host below this domain, which begins with a dot, or that very host?
fn at_host(host: &[u8], base: &[u8]) -> bool {
    match base.first() {
        Some(b'.') => {
            host.len() > base.len()
                && host.get(host.len() - base.len()..).is_some_and(|end| end.eq_ignore_ascii_case(base))
        }
        _ => host.eq_ignore_ascii_case(base),
    }
}

fn mail(name: &[u8], base: &[u8]) -> Result<bool, u32> {
    let at = |b: &[u8]| b.iter().rposition(|c| *c == b'@');
    let (local, host) = at(name).map(|p| name.split_at(p)).ok_or(err::NAME_SYNTAX)?;
    let host = host.get(1..).unwrap_or(&[]);
    Ok(match at(base).map(|p| base.split_at(p)) {
        None => at_host(host, base),
        Some((wanted, rest)) => {
            (wanted.is_empty() || wanted == local) && host.eq_ignore_ascii_case(rest.get(1..).unwrap_or(&[]))
        }
    })
}

fn uri(name: &[u8], base: &[u8]) -> Result<bool, u32> {
    let scheme = name.iter().position(|b| *b == b':').ok_or(err::NAME_SYNTAX)?;
    let rest = name.get(scheme + 1..).and_then(|r| r.strip_prefix(b"//")).ok_or(err::NAME_SYNTAX)?;
    let host = rest.split(|b| matches!(b, b':' | b'/')).next();
    match host.unwrap_or(&[]) {
        [] => Err(err::NAME_SYNTAX),
        host => Ok(at_host(host, base)),
    }
}

/// An address, and a base with the bits of it that count behind it.
fn address(name: &[u8], base: &[u8]) -> Result<bool, u32> {
    if !matches!(name.len(), 4 | 16) || !matches!(base.len(), 8 | 32) {
        return Err(err::NAME_SYNTAX);
    }
    let (network, mask) = base.split_at(base.len() / 2);
    let same = name.iter().zip(network).zip(mask).all(|((a, b), m)| (a ^ b) & m == 0);
    Ok(name.len() == network.len() && same)
}

/// Does a common name look like the name of a host? It has a dot, and labels of the usual letters.
fn is_host(name: &str) -> bool {
    let usual = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    name.contains('.') && name.split('.').all(usual)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::{INTEGER, element};

    fn subtree(tag: u8, base: &[u8]) -> Vec<u8> {
        element(SEQUENCE, &[&element(tag, &[base])])
    }

    fn judged(permitted: &[Vec<u8>], excluded: &[Vec<u8>], tag: u8, name: &[u8]) -> Result<(), u32> {
        let list = |tag: u8, l: &[Vec<u8>]| match l {
            [] => Vec::new(),
            l => element(tag, &[&l.concat()]),
        };
        let value = element(SEQUENCE, &[&list(0xa0, permitted), &list(0xa1, excluded)]);
        Constraints::parse(&value).unwrap().obeys(Name { tag, content: name })
    }

    #[test]
    fn names_of_every_kind() {
        // what the base is, the name, and the error
        let cases: &[(u8, &[u8], &[u8], u32)] = &[
            (tag::DNS, b"ok.example", b"x.ok.example", 0),
            (tag::DNS, b"ok.example", b"OK.example", 0),
            (tag::DNS, b"ok.example", b"notok.example", 47),
            (tag::DNS, b".ok.example", b"x.ok.example", 0),
            (tag::DNS, b".ok.example", b"ok.example", 47),
            (tag::DNS, b"", b"anything", 0),
            (tag::MAIL, b"ok.example", b"a@ok.example", 0),
            (tag::MAIL, b"ok.example", b"a@x.ok.example", 47),
            (tag::MAIL, b".ok.example", b"a@x.ok.example", 0),
            (tag::MAIL, b"a@ok.example", b"a@OK.example", 0),
            (tag::MAIL, b"a@ok.example", b"A@ok.example", 47),
            (tag::MAIL, b"@ok.example", b"A@ok.example", 0),
            (tag::MAIL, b"ok.example", b"nobody", 53),
            (tag::URI, b"ok.example", b"https://ok.example/a", 0),
            (tag::URI, b"ok.example", b"https://ok.example:8/a", 0),
            (tag::URI, b".ok.example", b"https://x.ok.example", 0),
            (tag::URI, b"ok.example", b"https://bad.example", 47),
            (tag::URI, b"ok.example", b"urn:x", 53),
            (tag::URI, b"ok.example", b"https://", 53),
            (tag::ADDRESS, &[10, 0, 0, 0, 255, 0, 0, 0], &[10, 1, 2, 3], 0),
            (tag::ADDRESS, &[10, 0, 0, 0, 255, 0, 0, 0], &[11, 1, 2, 3], 47),
            (tag::ADDRESS, &[10, 0, 0, 0, 255, 0, 0, 0], &[0; 16], 47),
            (tag::ADDRESS, &[10, 0, 0, 0], &[10, 1, 2, 3], 53),
            // kinds that constraints cannot be of
            (0x88, &[0x2a], &[0x2a], 51),
            // about another kind of name
            (tag::ADDRESS, &[10, 0, 0, 0], b"", 0),
        ];
        for (kind, base, name, expected) in cases {
            let of = if name.is_empty() { tag::DNS } else { *kind };
            let found = judged(&[subtree(*kind, base)], &[], of, name);
            assert_eq!(found.err().unwrap_or(0), *expected, "{base:?} {name:?}");
            if *expected == 0 && of == *kind {
                assert_eq!(judged(&[], &[subtree(*kind, base)], of, name), Err(48), "{base:?} {name:?}");
            }
        }
        // one of several is enough
        let two = [subtree(tag::DNS, b"a"), subtree(tag::DNS, b"b")];
        assert_eq!(judged(&two, &[], tag::DNS, b"x.b"), Ok(()));
        assert_eq!(judged(&two, &[subtree(tag::DNS, b"x.b")], tag::DNS, b"x.b"), Err(48));
    }

    #[test]
    fn distances_are_for_nobody() {
        let with = |more: &[u8]| element(SEQUENCE, &[&element(tag::DNS, &[b"a"]), more]);
        assert_eq!(judged(&[with(&[0x80, 1, 0])], &[], tag::DNS, b"a"), Ok(()));
        assert_eq!(judged(&[with(&[0x80, 1, 1])], &[], tag::DNS, b"a"), Err(49));
        assert_eq!(judged(&[with(&[0x81, 1, 0])], &[], tag::DNS, b"a"), Err(49));
    }

    #[test]
    fn hosts() {
        assert!(is_host("a.b-c.example") && is_host("a_b.c"));
        for no in ["leaf", "a b.c", "-a.b", "a-.b", ".a", "a..b", "*.a"] {
            assert!(!is_host(no), "{no}");
        }
    }

    #[test]
    fn what_cannot_be_read() {
        for bad in [&[5, 0][..], &[0x30, 2, 5, 0], &[0x30, 3, 0xa0, 1, 0x30], &[0x30, 0, 0]] {
            assert!(Constraints::parse(bad).is_none(), "{bad:?}");
        }
        assert!(Constraints::parse(&element(INTEGER, &[])).is_none());
    }
}
