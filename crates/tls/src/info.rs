//! What is known of a TLS connection once its handshake is over (or has failed): logs and samples read it.

use crate::ahead::{self, Ahead};
use crate::secrets::{Secret, SessionId};
use crate::verify::Verdict;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

impl Info {
    /// Has something come that another may have sent, because the handshake is not done yet?
    #[must_use]
    pub fn is_early(&self) -> bool {
        self.early.as_ref().is_some_and(|early| early.load(Relaxed))
    }

    /// What became of data that was sent to the server before it had answered; none: there was none.
    #[must_use]
    pub fn ahead(&self) -> Option<Ahead> {
        self.ahead.as_ref().map(|ahead| ahead.get())
    }
}

/// One side's TLS.
#[derive(Clone, Debug, Default)]
pub struct Info {
    /// `TLSv1.3` …; empty: the handshake was not completed.
    pub version: &'static str,
    /// OpenSSL's name of the cipher suite.
    pub cipher: &'static str,
    /// Bits of its key.
    pub key_size: u16,
    /// The group of the key exchange.
    pub group: &'static str,
    /// The server name that the client sent.
    pub sni: Option<Box<str>>,
    /// The protocol that was negotiated.
    pub alpn: Option<Box<[u8]>>,
    /// The handshake was completed.
    pub complete: bool,
    /// An earlier session was resumed.
    pub resumed: bool,
    /// An OCSP response was sent with our certificate.
    pub stapled: bool,
    /// The peer's certificates, its own first, refused or not.
    pub peer: Vec<CertificateDer<'static>>,
    /// The certificate was shown in this handshake and not taken from an earlier session.
    pub peer_shown: bool,
    /// Our certificate.
    pub own: Option<Arc<CertifiedKey>>,
    /// The file of our certificate.
    pub own_name: Option<Box<str>>,
    /// What came of looking at the peer's certificate.
    pub verdict: Verdict,
    /// The ClientHello's body.
    pub hello: Option<Box<[u8]>>,
    /// Early data came; true: and the handshake is not done yet.
    pub early: Option<Arc<AtomicBool>>,
    /// Data was sent to the server before it had answered: what became of it.
    pub ahead: Option<Arc<ahead::Shared>>,
    /// The client's random number, and the server's.
    pub randoms: [Option<[u8; 32]>; 2],
    /// What its session is known by.
    pub session: SessionId,
    /// Secrets, with `tune.ssl.keylog`.
    pub secrets: Vec<Secret>,
    /// The error that ended the handshake, or the connection later, in the numbers of OpenSSL; 0: none. Whoever has looked at a
    /// connection that goes on sees it, too.
    pub error: Cell<u32>,
    /// The peer has changed its keys too often.
    pub flooded: Cell<bool>,
}
