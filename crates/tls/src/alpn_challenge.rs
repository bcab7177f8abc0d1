//! Certificates that answer challenges by ALPN (RFC 8737): a client that offers nothing but `acme-tls/1` gets the one for the
//! name that it sends.

use crate::hello::Hello;
use crate::store::Key;
use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The protocol.
const PROTOCOL: &[u8] = b"acme-tls/1";

static ALL: RwLock<BTreeMap<String, Arc<ServerConfig>>> = RwLock::new(BTreeMap::new());
/// How many there are: most of the time none, and then nobody looks.
static COUNT: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug)]
struct One(Arc<CertifiedKey>);

impl ResolvesServerCert for One {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// Answers for a name with this certificate (DER) from now on. None: the library does not take it.
pub fn set(name: &str, certificate: Vec<u8>, key: &Key<'static>) -> Option<()> {
    let key = CertifiedKey::new(vec![certificate.into()], crate::keys::signing(key)?);
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().ok()?.with_no_client_auth();
    let mut config = builder.with_cert_resolver(Arc::new(One(Arc::new(key))));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    let mut all = ALL.write();
    all.insert(name.to_ascii_lowercase(), Arc::new(config));
    COUNT.store(all.len(), Ordering::Release);
    Some(())
}

/// Answers for a name no more.
pub fn remove(name: &str) {
    let mut all = ALL.write();
    all.remove(&name.to_ascii_lowercase());
    COUNT.store(all.len(), Ordering::Release);
}

/// What such a client gets. None: it is none, or nothing is known of the name.
#[must_use]
pub(crate) fn wanted(hello: &Hello) -> Option<Arc<ServerConfig>> {
    if COUNT.load(Ordering::Acquire) == 0 || !hello.offers(PROTOCOL) {
        return None;
    }
    ALL.read().get(&hello.sni.as_deref()?.to_ascii_lowercase()).cloned()
}
