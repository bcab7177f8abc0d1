//! The way from a peer's certificate up to an authority that is trusted (RFC 5280 section 6.1, openssl-verification-options(1)).

use crate::x509::{Cert, Purpose};

/// More certificates are never above a peer's own.
pub(crate) const MAX_DEPTH: usize = 100;
/// More certificates of a peer's are not looked at: chains are short, and each is compared with the others.
pub(crate) const MAX_SENT: usize = 32;

/// A chain of certificates, a peer's own first, as far up as it could be built.
#[derive(Debug)]
pub(crate) struct Path<'a> {
    pub certs: Vec<Cert<'a>>,
    /// How many of them the peer has sent; those above are from the store.
    pub sent: usize,
    /// It ends with a root that is trusted, or with whoever is said to be.
    pub trusted: bool,
    /// Whoever it ends with is said not to be trusted.
    pub rejected: bool,
}

impl<'a> Path<'a> {
    /// Builds it. Whoever is trusted goes before whom the peer has sent, and above such a one there are only others of the store.
    pub fn build(
        leaf: Cert<'a>,
        sent: &[Cert<'a>],
        roots: &[Cert<'a>],
        (purpose, now): (Purpose, i64),
    ) -> Self {
        let mut path = Self { certs: vec![leaf], sent: 1, trusted: false, rejected: false };
        let mut last = leaf;
        while path.certs.len() <= MAX_DEPTH {
            if last.self_signed() {
                let root = roots.iter().find(|r| r.der == last.der);
                path.trusted = root.is_some();
                path.rejected = root.is_some_and(|r| r.trusted_for(purpose) == Some(false));
                break;
            }
            let sent = if path.sent == path.certs.len() { sent } else { &[] };
            // names are seldom written in two ways, and it costs to see that they are the same then
            let found = [true, false].into_iter().find_map(|as_written| {
                let trusted = path.issuer(roots, &last, as_written, now).map(|i| (i, 0));
                trusted.or_else(|| path.issuer(sent, &last, as_written, now).map(|i| (i, 1)))
            });
            let Some((issuer, sent)) = found else { break };
            path.certs.push(issuer);
            path.sent += sent;
            last = issuer;
            let said = issuer.trusted_for(purpose).filter(|_| sent == 0);
            if let Some(yes) = said {
                (path.trusted, path.rejected) = (true, !yes);
                break;
            }
        }
        path
    }

    /// Who of these has issued a certificate: one that is valid now, else the one that is longest. `as_written`: their names are
    /// the same byte for byte.
    fn issuer(&self, of: &[Cert<'a>], cert: &Cert<'a>, as_written: bool, now: i64) -> Option<Cert<'a>> {
        let mut best: Option<Cert<'a>> = None;
        let named = |c: &&Cert<'a>| !as_written || c.subject == cert.issuer;
        let known = |c: &Cert<'a>| self.certs.iter().any(|k| k.der == c.der);
        for issuer in of.iter().filter(named).filter(|c| cert.issued_by(c) && !known(c)) {
            let (from, to) = issuer.validity();
            if (from..=to).contains(&now) {
                return Some(*issuer);
            }
            if best.is_none_or(|b| b.validity().1 < to) {
                best = Some(*issuer);
            }
        }
        best
    }

    /// The depth of the highest one.
    pub fn top(&self) -> usize {
        self.certs.len() - 1
    }
}
