//! Revocation lists (RFC 5280 section 5): which one counts for a certificate, and whether the certificate is in it.

use crate::der::{Der, Element, INTEGER, OID, SEQUENCE};
use crate::path::Path;
use crate::verify::x509_err as err;
use crate::x509::{Cert, Extension, Signed, same_name, seconds, usage};
use parking_lot::Mutex;

/// Identifiers of extensions of lists and of their entries.
mod id {
    pub const NUMBER: &[u8] = &[0x55, 0x1d, 0x14];
    pub const REASON: &[u8] = &[0x55, 0x1d, 0x15];
    pub const DELTA: &[u8] = &[0x55, 0x1d, 0x1b];
    pub const SCOPE: &[u8] = &[0x55, 0x1d, 0x1c];
    pub const ENTRY_ISSUER: &[u8] = &[0x55, 0x1d, 0x1d];
    pub const AUTHORITY_KEY: &[u8] = &[0x55, 0x1d, 0x23];
}

/// removeFromCRL
const REMOVED: &[u8] = &[8];

/// A revocation list as it is kept, with what can be said of it before anybody's certificate is looked at: a list may have
/// 100,000 entries, and each handshake looks into it.
#[derive(Debug)]
pub struct Revocations {
    der: Vec<u8>,
    /// Where entries begin among all, ordered by their serial numbers, those of one number as they come.
    index: Box<[u32]>,
    /// An entry demands that something is understood that is not.
    demands_unknown: bool,
    /// Keys that were looked at, and whether they have signed it.
    signers: Mutex<Vec<(Box<[u8]>, bool)>>,
}

/// So many keys are remembered for a list: one of its issuer's, and some that only say so.
const MAX_SIGNERS: usize = 4;

impl Revocations {
    /// Keeps a list. `None`: it is none.
    #[must_use]
    pub fn new(der: Vec<u8>) -> Option<Self> {
        let entries = Crl::parse(&der)?.entries;
        let at = |e: &Element<'_>| (e.whole.as_ptr().addr() - entries.as_ptr().addr()) as u32;
        let mut index: Vec<u32> = Der(entries).map(|e| at(&e)).collect();
        index.sort_by_key(|at| serial(entries, *at));
        let known = [id::REASON, id::ENTRY_ISSUER];
        let unknown = |e: Extension<'_>| e.critical && !known.contains(&e.oid);
        let demands_unknown = Der(entries).any(|e| extensions(e).any(unknown));
        let index = index.into_boxed_slice();
        Some(Self { der, index, demands_unknown, signers: Mutex::default() })
    }

    /// As it was read.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// What it says of a serial number; `entries` are its own.
    fn entry(&self, entries: &[u8], number: &[u8]) -> Entry {
        let first = self.index.partition_point(|at| serial(entries, *at) < number);
        let found = self.index.get(first).filter(|at| serial(entries, **at) == number);
        let Some(found) = found.and_then(|at| entry(entries, *at)) else { return Entry::None };
        let reason = extensions(found).find(|e| e.oid == id::REASON).and_then(|e| Der(e.value).next());
        let removed = reason.is_some_and(|r| r.content == REMOVED);
        if removed { Entry::Removed } else { Entry::Revoked }
    }

    /// Has this authority signed it?
    fn is_by(&self, issuer: &Cert<'_>, signed: &Signed<'_>) -> bool {
        let known = |all: &[(Box<[u8]>, bool)]| all.iter().find(|k| *k.0 == *issuer.spki).map(|k| k.1);
        if let Some(said) = known(&self.signers.lock()) {
            return said;
        }
        // this takes long
        let says = issuer.verifies(signed);
        let mut all = self.signers.lock();
        if all.len() >= MAX_SIGNERS {
            // whoever has signed it stays
            all.retain(|k| k.1);
        }
        if all.len() < MAX_SIGNERS && known(&all).is_none() {
            all.push((issuer.spki.into(), says));
        }
        says
    }
}

/// The entry that begins here.
fn entry(entries: &[u8], at: u32) -> Option<Element<'_>> {
    Der(entries.get(at as usize..)?).next()
}

/// Its serial number, as DER has it.
fn serial(entries: &[u8], at: u32) -> &[u8] {
    let number = entry(entries, at).and_then(|e| Der(e.content).tagged(INTEGER));
    number.map_or(&[], |n| n.content)
}

/// The extensions of an entry.
fn extensions(entry: Element<'_>) -> impl Iterator<Item = Extension<'_>> {
    let mut d = Der(entry.content);
    d.tagged(INTEGER);
    d.next();
    d.inside(SEQUENCE).into_iter().flatten().filter_map(Extension::parse)
}

/// A revocation list that was taken apart.
#[derive(Debug)]
pub(crate) struct Crl<'a> {
    signed: Signed<'a>,
    issuer: &'a [u8],
    this_update: Element<'a>,
    next_update: Option<Element<'a>>,
    entries: &'a [u8],
    /// authorityKeyIdentifier
    issuer_key: Option<&'a [u8]>,
    scope: Scope<'a>,
    number: &'a [u8],
    /// It is the difference to the list of this number.
    delta: Option<&'a [u8]>,
    /// It demands that something is understood that is not.
    demands_unknown: bool,
}

/// What a list is about (issuingDistributionPoint, RFC 5280 section 5.2.5).
#[derive(Debug, Default)]
struct Scope<'a> {
    point: Option<&'a [u8]>,
    users: bool,
    authorities: bool,
    attributes: bool,
    /// Some reasons only, certificates of others, or nothing that can be read: such lists are not used.
    partial: bool,
}

/// What a list says of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    None,
    Revoked,
    Removed,
}

impl<'a> Scope<'a> {
    fn parse(value: &'a [u8]) -> Option<Self> {
        let mut scope = Self::default();
        let yes = |e: &Element<'_>| e.content != [0];
        for part in Der(Der(value).only(SEQUENCE)?).all()? {
            match part.tag {
                0xa0 => scope.point = Some(part.content),
                0x81 => scope.users = yes(&part),
                0x82 => scope.authorities = yes(&part),
                0x83 => scope.partial = true,
                0x84 => scope.partial |= yes(&part),
                0x85 => scope.attributes = yes(&part),
                _ => return None,
            }
        }
        let kinds = [scope.users, scope.authorities, scope.attributes];
        (kinds.iter().filter(|k| **k).count() <= 1).then_some(scope)
    }

    /// Is a certificate of this issuer's in it?
    fn has(&self, cert: &Cert<'_>, issuer: &[u8]) -> bool {
        let authority = cert.constraints().is_some_and(|(ca, _)| ca);
        if self.attributes || (self.users && authority) || (self.authorities && !authority) {
            return false;
        }
        let is_here = |point: Element<'_>| {
            let mut d = Der(point.content);
            let name = d.tagged(0xa0);
            if d.tagged(0x81).is_some() {
                return false;
            }
            let by_this = d.tagged(0xa2).is_none_or(|names| {
                Der(names.content).any(|n| n.tag == 0xa4 && same_name(n.content, issuer))
            });
            by_this && name.zip(self.point).is_none_or(|(a, b)| same_point(a.content, b))
        };
        self.point.is_none() || cert.distribution_points().any(is_here)
    }
}

/// Do two distribution points have a name in common?
fn same_point(a: &[u8], b: &[u8]) -> bool {
    let names = |p| Der(p).inside(0xa0);
    match (names(a), names(b)) {
        (Some(a), Some(b)) => a.into_iter().any(|x| b.into_iter().any(|y| x.whole == y.whole)),
        _ => a == b,
    }
}

impl<'a> Crl<'a> {
    /// Takes one apart.
    pub fn parse(der: &'a [u8]) -> Option<Self> {
        let mut outer = Der(der).inside(SEQUENCE)?;
        let tbs = outer.tagged(SEQUENCE)?;
        let oid = outer.inside(SEQUENCE)?.tagged(OID)?.content;
        let signature = outer.next()?.content.get(1..)?;
        let mut d = Der(tbs.content);
        d.tagged(INTEGER);
        d.tagged(SEQUENCE)?;
        let issuer = d.tagged(SEQUENCE)?.whole;
        let this_update = d.next()?;
        let next_update = d.tagged(0x17).or_else(|| d.tagged(0x18));
        let entries = d.tagged(SEQUENCE).map_or(&[][..], |e| e.content);
        let extensions = match d.inside(0xa0) {
            Some(list) => list.only(SEQUENCE).and_then(Extension::list),
            None => Some(Vec::new()),
        };
        let readable = extensions.is_some();
        let extensions = extensions.unwrap_or_default();
        let value = |oid: &[u8]| extensions.iter().find(|e| e.oid == oid).map(|e| e.value);
        let number = |v: &'a [u8]| Der(v).only(INTEGER);
        const KNOWN: [&[u8]; 3] = [id::SCOPE, id::DELTA, id::AUTHORITY_KEY];
        Some(Self {
            signed: Signed { tbs: tbs.whole, oid, signature },
            issuer,
            this_update,
            next_update,
            entries,
            issuer_key: value(id::AUTHORITY_KEY),
            scope: value(id::SCOPE)
                .map_or(Some(Scope::default()), Scope::parse)
                .filter(|_| readable)
                .unwrap_or(Scope { partial: true, ..Scope::default() }),
            number: value(id::NUMBER).and_then(number).unwrap_or(&[]),
            delta: value(id::DELTA).and_then(number),
            demands_unknown: extensions.iter().any(|e| e.critical && !KNOWN.contains(&e.oid)),
        })
    }

    /// What is wrong with its dates.
    fn dates(&self, now: i64) -> Option<u32> {
        match (seconds(self.this_update), self.next_update.map(seconds)) {
            (None, _) => Some(err::CRL_THIS_UPDATE),
            (Some(from), _) if now < from => Some(err::CRL_NOT_YET),
            (_, Some(None)) => Some(err::CRL_NEXT_UPDATE),
            (_, Some(Some(to))) if now > to => Some(err::CRL_EXPIRED),
            _ => None,
        }
    }

    /// Who has issued it, for a certificate of a path: the depth. `None`: it is not about the certificate.
    fn issuer(&self, path: &Path<'_>, depth: usize) -> Option<usize> {
        let cert = path.certs.get(depth)?;
        if self.scope.partial || !same_name(cert.issuer, self.issuer) {
            return None;
        }
        let named = |at: &usize| {
            let by_key = |c: &Cert<'_>| self.issuer_key.is_none_or(|key| c.is_named_by(key));
            path.certs.get(*at).is_some_and(by_key)
        };
        let next = (depth + 1).min(path.top());
        let same = |at: &usize| path.certs.get(*at).is_some_and(|c| same_name(c.subject, self.issuer));
        Some(next).filter(named).or_else(|| (next + 1..=path.top()).find(|at| same(at) && named(at)))
    }
}

/// A number of a list as it is ordered: the longer one is the greater one.
fn ordered(number: &[u8]) -> (usize, &[u8]) {
    let zeros = number.iter().take_while(|b| **b == 0).count();
    let digits = number.get(zeros..).unwrap_or(&[]);
    (digits.len(), digits)
}

/// Tells what is wrong with the certificate at a depth of a path while `go` lets it go on.
pub(crate) fn check(
    lists: &[(&Revocations, Crl<'_>)],
    path: &Path<'_>,
    depth: usize,
    now: i64,
    go: &mut dyn FnMut(u32) -> Option<()>,
) -> Option<()> {
    let Some(cert) = path.certs.get(depth) else { return Some(()) };
    let about = || lists.iter().filter_map(|(l, crl)| crl.issuer(path, depth).map(|at| (*l, crl, at)));
    let in_scope = |crl: &Crl<'_>| crl.scope.has(cert, crl.issuer);
    let newest =
        |crl: &Crl<'_>| (seconds(crl.this_update), ordered(crl.number).0, ordered(crl.number).1.to_vec());
    let whole = about().filter(|(_, crl, _)| crl.delta.is_none());
    let best = whole.max_by_key(|(_, crl, _)| {
        (!crl.demands_unknown, in_scope(crl), crl.dates(now).is_none(), newest(crl))
    });
    let Some((list, crl, issuer)) = best else { return go(err::NO_CRL) };
    let issuer = path.certs.get(issuer)?;
    if !issuer.may(usage::LISTS) {
        go(err::NO_CRL_SIGN)?;
    }
    if !in_scope(crl) {
        go(err::CRL_SCOPE)?;
    }
    if let Some(code) = crl.dates(now) {
        go(code)?;
    }
    if !list.is_by(issuer, &crl.signed) {
        go(err::CRL_SIGNATURE)?;
    }
    // what has changed since
    let changes = about().filter(|(delta, of, _)| {
        let base = of.delta.is_some_and(|base| ordered(base) <= ordered(crl.number));
        base && in_scope(of)
            && !of.demands_unknown
            && of.dates(now).is_none()
            && delta.is_by(issuer, &of.signed)
    });
    let change = changes.max_by_key(|(_, of, _)| newest(of));
    if crl.demands_unknown || list.demands_unknown || change.is_some_and(|(l, ..)| l.demands_unknown) {
        go(err::CRL_CRITICAL)?;
    }
    let changed = change.map_or(Entry::None, |(delta, of, _)| delta.entry(of.entries, cert.serial));
    match (changed, list.entry(crl.entries, cert.serial)) {
        (Entry::Revoked, _) | (Entry::None, Entry::Revoked) => go(err::REVOKED),
        _ => Some(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::element;

    /// A list with these entries: serial number, and reason if there is one.
    fn list(entries: &[(u8, Option<u8>)]) -> Revocations {
        let time = element(0x17, &[b"260101000000Z"]);
        let entries: Vec<u8> = entries
            .iter()
            .flat_map(|(serial, reason)| {
                let reason = reason.map(|reason| {
                    let value = element(crate::der::OCTETS, &[&[10, 1, reason]]);
                    element(SEQUENCE, &[&element(SEQUENCE, &[&element(OID, &[id::REASON]), &value])])
                });
                let number = element(INTEGER, &[&[*serial]]);
                element(SEQUENCE, &[&number, &time, &reason.unwrap_or_default()])
            })
            .collect();
        let algorithm = element(SEQUENCE, &[&element(OID, &[&[0x2a]])]);
        let entries = element(SEQUENCE, &[&entries]);
        let tbs = element(
            SEQUENCE,
            &[&element(INTEGER, &[&[1]]), &algorithm, &element(SEQUENCE, &[]), &time, &entries],
        );
        let signature = element(crate::der::BITS, &[&[0, 1]]);
        Revocations::new(element(SEQUENCE, &[&tbs, &algorithm, &signature])).unwrap()
    }

    /// Whatever the order of the entries is, each is found, and of the same number the first.
    #[test]
    fn entries_are_found() {
        let list = list(&[(9, None), (3, Some(1)), (7, Some(8)), (3, Some(8)), (1, None)]);
        let crl = Crl::parse(list.der()).unwrap();
        for (number, said) in [
            (0, Entry::None),
            (1, Entry::Revoked),
            (2, Entry::None),
            (3, Entry::Revoked),
            (7, Entry::Removed),
            (9, Entry::Revoked),
            (10, Entry::None),
        ] {
            assert_eq!(list.entry(crl.entries, &[number]), said, "{number}");
        }
        assert!(!list.demands_unknown && Revocations::new(vec![0x30, 0]).is_none());
    }
}
