//! The client's side towards one server.

use crate::acceptor::{enabled, limited, provider, schemes, security_level};
use crate::compression;
use crate::settings::{Conf, GlobalTls, ServerTls, Verify};
use crate::store::{Certificate, Slot};
use crate::stream::Records;
use crate::verify::{Policy, Purpose, Servers};
use parking_lot::RwLock;
use rustls::client::{
    ClientConfig, ClientSessionMemoryCache, ResolvesClientCert, Resumption, Tls12Resumption,
};
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, SignatureScheme, client::UnbufferedClientConnection};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// The client's side towards one server.
#[derive(Debug)]
pub struct Connector {
    /// What connections begin with, as long as what they are verified by stays.
    current: RwLock<Configs>,
    /// `alpn`
    protocols: Vec<Vec<u8>>,
    /// `no-ssl-reuse` and `no-tls-tickets`
    keeps: Keeps,
    /// `allow-0rtt`
    early: bool,
    /// What the last connection has agreed on that was offered all: see [`Connector::agreed`].
    agreed: AtomicU8,
    /// `crt`
    pub certificate: Option<Arc<Slot<Certificate>>>,
    /// How the server's certificate is judged.
    pub policy: Option<Policy>,
    /// How large records may be.
    pub records: Records,
    /// `ktls on`
    pub to_kernel: bool,
}

/// What the library makes connections of: everything else is the same in all of them, and so are the sessions.
#[derive(Debug)]
struct Configs {
    /// How often the certificate, the authorities and the revocation lists had changed when the first session was kept. Those
    /// that were kept before a change stand for a verification that might fail now.
    changes: u64,
    /// By what is offered ([`Offer`]).
    offers: [Arc<ClientConfig>; 3],
    /// Likewise, with early data where a session allows it.
    early: Option<[Arc<ClientConfig>; 3]>,
}

impl Configs {
    fn new(changes: u64, offers: [Arc<ClientConfig>; 3], early: bool) -> Self {
        let early = early.then(|| offers.each_ref().map(with_early_data));
        Self { changes, offers, early }
    }

    /// The same without the sessions. Connections that have begun keep theirs in the old place, which ends with them.
    fn afresh(&self, changes: u64, keeps: Keeps) -> Self {
        let resumption = keeps.resumption();
        let offers = self.offers.each_ref().map(|config| {
            let mut config = ClientConfig::clone(config);
            config.resumption = resumption.clone();
            Arc::new(config)
        });
        Self::new(changes, offers, self.early.is_some())
    }

    fn of(&self, offer: Offer, early: bool) -> Arc<ClientConfig> {
        let all = self.early.as_ref().filter(|_| early).unwrap_or(&self.offers);
        let [first, http1, http2] = all;
        match offer {
            Offer::All => first,
            Offer::Http1 => http1,
            Offer::Http2 => http2,
        }
        .clone()
    }
}

/// Which sessions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeps {
    /// `no-ssl-reuse`
    None,
    /// `no-tls-tickets`
    Ids,
    All,
}

impl Keeps {
    fn resumption(self) -> Resumption {
        let kept = || Resumption::store(Arc::new(ClientSessionMemoryCache::new(256)));
        match self {
            Self::None => Resumption::disabled(),
            Self::Ids => kept().tls12_resumption(Tls12Resumption::SessionIdOnly),
            Self::All => kept(),
        }
    }
}

/// Stands for the server where there is no name.
pub(crate) const NOBODY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

#[derive(Debug)]
struct Own {
    slot: Arc<Slot<Certificate>>,
    /// `client-sigalgs`
    schemes: Option<Arc<[SignatureScheme]>>,
}

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(limited(self.slot.get().key.clone(), self.schemes.as_ref()))
    }
    fn has_certs(&self) -> bool {
        true
    }
}

/// Which protocols a connection offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offer {
    /// What the configuration says (`alpn`).
    #[default]
    All,
    /// HTTP/1.1, if the configuration says anything.
    Http1,
    /// HTTP/2, if the configuration says anything.
    Http2,
}

/// Makes a server's side.
///
/// # Errors
/// What is wrong, in HAProxy's words; `{}` stands for the server.
pub fn compile(global: &GlobalTls, tls: &ServerTls) -> Result<Connector, String> {
    let (own, default, nothing) = (&tls.conf, &global.server.conf, Conf::default());
    let verify =
        own.verify.unwrap_or(if global.server_verify_none { Verify::None } else { Verify::Required });
    if verify == Verify::Required && own.ca.is_none() {
        return Err("verify is enabled by default but no CA file specified. If you're running on a LAN where you're certain to \
                    trust the server's certificate, please set an explicit 'verify none' statement on the 'server' line, or use \
                    'ssl-server-verify none' in the global section to disable server-side verifications by default."
            .to_owned());
    }
    let versions = enabled(own, &nothing, default)?;
    let level = security_level([own, &nothing, default], global);
    let mut provider = provider(own, &nothing, default, level)?;
    // suites of a version that is not spoken would tell the server what it cannot have
    provider.cipher_suites.retain(|s| versions.iter().any(|v| v.version == s.version().version));
    let provider = Arc::new(provider);
    let policy = (verify != Verify::None).then(|| Policy {
        trusted: own.ca.iter().cloned().collect(),
        revoked: own.crl.clone(),
        purpose: Purpose::Server,
        level,
        ..Policy::default()
    });
    let verifier = Servers {
        policy: policy.clone(),
        host: tls.verify_host.clone(),
        algorithms: provider.signature_verification_algorithms,
        schemes: schemes(own.sigalgs.as_deref().or(default.sigalgs.as_deref()))?,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|e| format!("{e} for {{}}."))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match &tls.crt {
        Some(slot) => {
            let schemes = schemes(own.client_sigalgs.as_deref().or(default.client_sigalgs.as_deref()))?;
            builder.with_client_cert_resolver(Arc::new(Own {
                slot: slot.clone(),
                schemes: schemes.map(Into::into),
            }))
        }
        None => builder.with_no_client_auth(),
    };
    // nothing is offered unless it is said: an HTTP server that is told nothing takes HTTP/1.1
    config.alpn_protocols = own.alpn.iter().flatten().cloned().collect();
    config.check_selected_alpn = false;
    compression::of_client(&mut config, !global.no_compression);
    if global.key_log {
        config.key_log = Arc::new(crate::secrets::Log);
    }
    let keeps = match (tls.no_reuse, tls.no_tickets || global.server.no_tickets) {
        (true, _) => Keeps::None,
        (false, true) => Keeps::Ids,
        (false, false) => Keeps::All,
    };
    config.resumption = keeps.resumption();
    let to_kernel = global.to_kernel(own.ktls);
    config.enable_secret_extraction = to_kernel;
    let only = |protocol: &[u8]| {
        let mut config = config.clone();
        if !config.alpn_protocols.is_empty() {
            config.alpn_protocols = vec![protocol.to_vec()];
        }
        Arc::new(config)
    };
    let (http1, http2) = (only(b"http/1.1"), only(b"h2"));
    let protocols = config.alpn_protocols.clone();
    let (certificate, records) = (tls.crt.clone(), global.records());
    let changes = changes(certificate.as_ref(), policy.as_ref());
    let current = RwLock::new(Configs::new(changes, [Arc::new(config), http1, http2], own.early));
    let (early, agreed) = (own.early, AtomicU8::default());
    Ok(Connector { current, protocols, keeps, early, agreed, certificate, policy, records, to_kernel })
}

/// How often anything has changed that sessions depend on.
fn changes(certificate: Option<&Arc<Slot<Certificate>>>, policy: Option<&Policy>) -> u64 {
    certificate.map_or(0, |slot| slot.changes()) + policy.map_or(0, Policy::changes)
}

/// Likewise, with early data where a session allows it. Sessions are shared.
fn with_early_data(config: &Arc<ClientConfig>) -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(config);
    config.enable_early_data = true;
    Arc::new(config)
}

impl Connector {
    /// Is this among what is offered?
    #[must_use]
    pub fn offers(&self, protocol: &[u8]) -> bool {
        self.protocols.iter().any(|p| p == protocol)
    }

    /// A connection that sends this name, if it is one.
    ///
    /// # Errors
    /// When the library cannot make one.
    pub(crate) fn connect(
        &self,
        name: Option<&str>,
        offer: Offer,
    ) -> Result<UnbufferedClientConnection, rustls::Error> {
        UnbufferedClientConnection::new(self.config(offer, false), self.named(name)?)
    }

    /// Likewise, with early data if there is a session that allows it.
    ///
    /// # Errors
    /// When the library cannot make one.
    pub(crate) fn connect_early(
        &self,
        name: Option<&str>,
        offer: Offer,
    ) -> Result<UnbufferedClientConnection, rustls::Error> {
        UnbufferedClientConnection::new(self.config(offer, true), self.named(name)?)
    }

    /// What a connection is made of. Sessions from before a change of what they were verified by are forgotten.
    fn config(&self, offer: Offer, early: bool) -> Arc<ClientConfig> {
        let changes = changes(self.certificate.as_ref(), self.policy.as_ref());
        {
            let current = self.current.read();
            if current.changes == changes {
                return current.of(offer, early);
            }
        }
        let mut current = self.current.write();
        // another thread may have been faster, and have seen more
        if current.changes < changes {
            *current = current.afresh(changes, self.keeps);
        }
        current.of(offer, early)
    }

    /// What the library is told of a name. Addresses are not sent, but looked for in the certificate.
    ///
    /// # Errors
    /// The name can be nobody's, and the certificate is to be valid for it.
    fn named(&self, name: Option<&str>) -> Result<ServerName<'static>, rustls::Error> {
        let verified = self.policy.is_some();
        match name.map(|n| ServerName::try_from(n.to_owned())) {
            Some(Ok(name @ ServerName::DnsName(_))) => Ok(name),
            Some(Ok(name)) if verified => Ok(name),
            Some(Err(_)) if verified => Err(CertificateError::NotValidForName.into()),
            _ => Ok(ServerName::IpAddress(NOBODY.into())),
        }
    }

    /// Notes what a connection that was offered all has agreed on.
    pub fn agreed(&self, protocol: Option<&[u8]>) {
        let offer = if protocol == Some(b"h2") { Offer::Http2 } else { Offer::Http1 };
        self.agreed.store(offer as u8, Relaxed);
    }

    /// What an HTTP request that goes as early data offers, so that what is spoken is known before the server answers: what
    /// connections have agreed on so far. None: nothing may be sent early.
    #[must_use]
    pub fn offer_early(&self) -> Option<Offer> {
        if !self.early {
            return None;
        }
        match (self.offers(b"h2"), self.protocols.len()) {
            (_, 0) | (false, 1) => Some(Offer::All),
            (true, 1) => Some(Offer::Http2),
            (true, 2) if self.offers(b"http/1.1") => match self.agreed.load(Relaxed) {
                1 => Some(Offer::Http1),
                2 => Some(Offer::Http2),
                _ => None,
            },
            _ => None,
        }
    }

    /// May anything be sent early (`allow-0rtt`)?
    #[must_use]
    pub fn is_early(&self) -> bool {
        self.early
    }
}
