//! The client's side towards one server.

use crate::acceptor::{enabled, limited, provider, schemes};
use crate::compression;
use crate::settings::{Conf, GlobalTls, ServerTls, Verify};
use crate::store::{Certificate, Slot};
use crate::stream::Records;
use crate::verify::{Policy, Purpose, Servers};
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
    config: Arc<ClientConfig>,
    /// Likewise, but with this offer only.
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    /// `allow-0rtt`: the three of them with early data.
    early: Option<[Arc<ClientConfig>; 3]>,
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
    let provider = Arc::new(provider(own, &nothing, default, global.security_level)?);
    let policy = (verify != Verify::None).then(|| Policy {
        trusted: own.ca.iter().cloned().collect(),
        revoked: own.crl.clone(),
        purpose: Purpose::Server,
        level: global.security_level,
        ..Policy::default()
    });
    let verifier = Servers {
        policy: policy.clone(),
        host: tls.verify_host.clone(),
        algorithms: provider.signature_verification_algorithms,
        schemes: schemes(own.sigalgs.as_deref().or(default.sigalgs.as_deref()))?,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&enabled(own, &nothing, default)?)
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
    config.resumption = match (tls.no_reuse, tls.no_tickets || global.server.no_tickets) {
        (true, _) => Resumption::disabled(),
        (false, no_tickets) => {
            let kept = Resumption::store(Arc::new(ClientSessionMemoryCache::new(256)));
            if no_tickets { kept.tls12_resumption(Tls12Resumption::SessionIdOnly) } else { kept }
        }
    };
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
    let config = Arc::new(config);
    let early = own.early.then(|| [&config, &http1, &http2].map(with_early_data));
    let (certificate, records) = (tls.crt.clone(), global.records());
    let agreed = AtomicU8::default();
    Ok(Connector { config, http1, http2, early, agreed, certificate, policy, records, to_kernel })
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
        self.config.alpn_protocols.iter().any(|p| p == protocol)
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
        let config = match offer {
            Offer::All => &self.config,
            Offer::Http1 => &self.http1,
            Offer::Http2 => &self.http2,
        };
        UnbufferedClientConnection::new(config.clone(), self.named(name)?)
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
        let Some(config) = self.early.as_ref().and_then(|all| all.get(offer as usize)) else {
            return self.connect(name, offer);
        };
        UnbufferedClientConnection::new(config.clone(), self.named(name)?)
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
        self.early.as_ref()?;
        match (self.offers(b"h2"), self.config.alpn_protocols.len()) {
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
        self.early.is_some()
    }
}
