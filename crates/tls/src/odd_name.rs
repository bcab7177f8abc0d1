//! Clients that send a server name which is none of the DNS (`a b.example`, `-x.example`, a URL). The library refuses them; HAProxy
//! takes the bytes as they are.
//!
//! The library is shown another name of the same length instead, and what it has signed and compared, the digest of all messages,
//! is made over the bytes that the client has sent: suites of such a connection have digests that know both. A client gains nothing by
//! sending what looks like the other name: its own digests would be wrong then.

use crate::hello::Hello;
use aws_lc_rs::digest::{SHA256, digest};
use rustls::crypto::hash::{Context, Hash, HashAlgorithm, Output};
use rustls::crypto::{CipherSuiteCommon, CryptoProvider};
use rustls::pki_types::ServerName;
use rustls::{SupportedCipherSuite, Tls12CipherSuite, Tls13CipherSuite};
use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::LazyLock;

/// The longest name that stands for another one.
const MOST: usize = 253;

/// The extension with a server name as a client has sent it, and the one that the library is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OddName {
    sent: Box<[u8]>,
    shown: Box<[u8]>,
}

/// What can be said of the server name of a ClientHello.
#[derive(Debug, PartialEq, Eq)]
pub enum Name {
    /// The library takes it, or there is none.
    Good,
    /// It does not.
    Odd(OddName),
    /// Nobody takes it: there are NUL bytes in it, or it is empty, or too long.
    Bad,
}

impl Name {
    /// Looks at the server name.
    #[must_use]
    pub fn of(hello: &Hello) -> Self {
        let Some(name) = hello.server_name() else { return Self::Good };
        if ServerName::try_from(name).is_ok() {
            return Self::Good;
        }
        match name.is_empty() || name.len() > MOST || name.contains(&0) {
            true => Self::Bad,
            false => Self::Odd(OddName::new(name)),
        }
    }
}

impl OddName {
    fn new(name: &[u8]) -> Self {
        Self { sent: extension(name), shown: extension(&stand_in(name)) }
    }

    /// Shows the library the other name, wherever `bytes` have the extension as it was sent.
    pub(crate) fn show(&self, bytes: &mut [u8]) {
        let mut at = 0;
        while let Some(found) = find(bytes.get(at..).unwrap_or(&[]), &self.sent) {
            at += found;
            if let Some(place) = bytes.get_mut(at..at + self.shown.len()) {
                place.copy_from_slice(&self.shown);
            }
        }
    }
}

/// `server_name` with this name (RFC 6066 section 3).
fn extension(name: &[u8]) -> Box<[u8]> {
    let len = |more: usize| ((name.len() + more) as u16).to_be_bytes();
    [&[0, 0], &len(5)[..], &len(3)[..], &[0], &len(0)[..], name].concat().into()
}

/// A name of the DNS of the same length, another one for each.
fn stand_in(name: &[u8]) -> Vec<u8> {
    const LABEL: usize = 50;
    let print = digest(&SHA256, name);
    let digits = print.as_ref().iter().flat_map(|b| [b >> 4, b & 15]).map(|n| b'a' + n).cycle();
    let digits = digits.take(name.len()).enumerate();
    let last = name.len() - 1;
    digits.map(|(at, digit)| if at % LABEL == LABEL - 1 && at != last { b'.' } else { digit }).collect()
}

/// Where the second begins in the first.
fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|part| part == what)
}

thread_local! {
    /// A digest does not know its connection: who runs the handshake leaves the name here.
    static NAME: RefCell<Option<OddName>> = const { RefCell::new(None) };
}

/// The name for the handshake that is run next on this thread; none: it has no odd one.
pub(crate) fn set(name: Option<&OddName>) {
    NAME.with_borrow_mut(|there| {
        if there.as_ref() != name {
            *there = name.cloned();
        }
    });
}

/// Messages as the client has sent them.
pub(crate) fn as_sent(messages: &[u8]) -> Cow<'_, [u8]> {
    let found = NAME.with_borrow(|name| {
        let name = name.as_ref()?;
        let at = find(messages, &name.shown)?;
        let (before, behind) = messages.split_at(at);
        Some([before, &name.sent, behind.get(name.shown.len()..)?].concat())
    });
    found.map_or(Cow::Borrowed(messages), Cow::Owned)
}

/// A digest of what the client has sent.
struct AsSent(&'static dyn Hash);

impl Hash for AsSent {
    fn start(&self) -> Box<dyn Context> {
        Box::new(Begun(self.0.start()))
    }
    fn hash(&self, data: &[u8]) -> Output {
        self.0.hash(&as_sent(data))
    }
    fn output_len(&self) -> usize {
        self.0.output_len()
    }
    fn algorithm(&self) -> HashAlgorithm {
        self.0.algorithm()
    }
}

/// One that has begun.
struct Begun(Box<dyn Context>);

impl Context for Begun {
    fn fork_finish(&self) -> Output {
        self.0.fork_finish()
    }
    fn fork(&self) -> Box<dyn Context> {
        Box::new(Self(self.0.fork()))
    }
    fn finish(self: Box<Self>) -> Output {
        self.0.finish()
    }
    fn update(&mut self, data: &[u8]) {
        self.0.update(&as_sent(data));
    }
}

/// All suites, with such digests.
static SUITES: LazyLock<Vec<SupportedCipherSuite>> = LazyLock::new(|| {
    let all = crate::names::default_suites().into_iter().chain(crate::names::default_ciphers());
    all.map(with_digests).collect()
});

fn with_digests(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    let common = |of: &CipherSuiteCommon| CipherSuiteCommon {
        suite: of.suite,
        hash_provider: Box::leak(Box::new(AsSent(of.hash_provider))),
        confidentiality_limit: of.confidentiality_limit,
    };
    match suite {
        SupportedCipherSuite::Tls13(of) => {
            SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
                common: common(&of.common),
                hkdf_provider: of.hkdf_provider,
                aead_alg: of.aead_alg,
                quic: of.quic,
            })))
        }
        SupportedCipherSuite::Tls12(of) => {
            SupportedCipherSuite::Tls12(Box::leak(Box::new(Tls12CipherSuite {
                common: common(&of.common),
                prf_provider: of.prf_provider,
                kx: of.kx,
                sign: of.sign,
                aead_alg: of.aead_alg,
            })))
        }
    }
}

/// The same provider with suites for such names.
pub(crate) fn provider(mut of: CryptoProvider) -> CryptoProvider {
    for suite in &mut of.cipher_suites {
        if let Some(with) = SUITES.iter().find(|s| s.suite() == suite.suite()) {
            *suite = *with;
        }
    }
    of
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_stand_for_others() {
        for name in
            ["-", "..", "a b", "-x.example", "https://a.example:443/", &"x".repeat(100), &"-".repeat(253)]
        {
            let stand_in = stand_in(name.as_bytes());
            assert_eq!(stand_in.len(), name.len());
            assert!(ServerName::try_from(stand_in.as_slice()).is_ok(), "{name}");
        }
        assert_ne!(stand_in(b"a b"), stand_in(b"a c"));
    }

    #[test]
    fn digests_are_made_over_what_was_sent() {
        let name = OddName::new(b"a b.example");
        let hello = [&[1, 2, 3][..], &name.sent, &[4, 5]].concat();
        let mut shown = hello.clone();
        name.show(&mut shown);
        assert!(shown.len() == hello.len() && shown != hello);
        let own = SUITES[0];
        let SupportedCipherSuite::Tls13(own) = own else { panic!("not of TLS 1.3") };
        let digests = |data: &[u8]| {
            let mut begun = own.common.hash_provider.start();
            begun.update(data);
            [begun.fork().finish(), begun.fork_finish(), own.common.hash_provider.hash(data)]
                .map(|o| o.as_ref().to_vec())
        };
        set(None);
        let right = digests(&hello);
        assert_ne!(digests(&shown), right);
        set(Some(&name));
        assert_eq!(digests(&shown), right);
        assert_eq!(digests(&hello), right);
        set(None);
    }
}
