//! What the configuration says about TLS, as it stands there.

use crate::store::{Authorities, Certificate, Extra, Revoked, Shared, Slot};
use crate::stream::Records;
use crate::tickets::KeyFile;
use crate::verify::Ignored;
use std::net::SocketAddr;
use std::sync::Arc;

/// `verify`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// Nothing is asked for, or looked at.
    #[default]
    None,
    /// Clients may show a certificate.
    Optional,
    /// They must.
    Required,
}

/// Which versions are spoken (`ssl-min-ver` and its kin), as indexes of [`crate::names::VERSIONS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// `ssl-min-ver`, `force-*`
    pub min: Option<u8>,
    /// `ssl-max-ver`, `force-*`
    pub max: Option<u8>,
    /// `no-*`: bit i is version i.
    pub off: u8,
}

impl Versions {
    /// Those that are left, as bits; `None` in `min` is the default.
    #[must_use]
    pub fn enabled(&self, default_min: u8) -> u8 {
        let range =
            |min: u8, max: u8| (0..5u8).filter(|v| (min..=max).contains(v)).fold(0, |s, v| s | 1 << v);
        match (self.min, self.max) {
            (None, None) if self.off != 0 => {
                // what is switched off may leave what is below the default out
                let all = 0x1f & !self.off;
                all & range(default_min, 4)
            }
            (min, max) => range(min.unwrap_or_else(|| default_min.min(max.unwrap_or(4))), max.unwrap_or(4)),
        }
    }
}

/// What `bind`, a line of a crt-list and `server` have in common.
#[derive(Clone, Debug, Default)]
pub struct Conf {
    /// `alpn`; inside, `None` is `no-alpn`.
    pub alpn: Option<Vec<Vec<u8>>>,
    /// `verify`
    pub verify: Option<Verify>,
    /// `ca-file`
    pub ca: Option<Authorities>,
    /// `ca-verify-file`
    pub ca_verify: Option<Authorities>,
    /// `crl-file`
    pub crl: Option<Revoked>,
    /// `crt-ignore-err`
    pub crt_ignore: Ignored,
    /// `ca-ignore-err`
    pub ca_ignore: Ignored,
    /// `no-ca-names`
    pub no_ca_names: bool,
    /// `allow-0rtt`
    pub early: bool,
    /// `ktls`
    pub ktls: Option<bool>,
    /// Versions.
    pub versions: Versions,
    /// `ciphers`
    pub ciphers: Option<String>,
    /// `ciphersuites`
    pub suites: Option<String>,
    /// `curves`
    pub curves: Option<String>,
    /// `ecdhe`
    pub ecdhe: Option<String>,
    /// `sigalgs`
    pub sigalgs: Option<String>,
    /// `client-sigalgs`
    pub client_sigalgs: Option<String>,
}

impl BindTls {
    /// Does any of its certificates have `ktls on`?
    #[must_use]
    pub fn wants_kernel(&self) -> bool {
        let lines = self.entries.iter().filter_map(|e| e.conf.as_ref()?.ktls);
        self.ssl && self.conf.ktls.into_iter().chain(lines).any(|on| on)
    }
}

/// A certificate that a listener answers with.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The certificate.
    pub slot: Arc<Slot<Certificate>>,
    /// The names that it is used for (`*.` in front of those with a wildcard, `!` of those that are left out); empty:
    /// those that it is valid for.
    pub filters: Vec<String>,
    /// What its line says.
    pub conf: Option<Arc<Conf>>,
    /// `default-crt`
    pub default: bool,
    /// The line of a crt-list that it comes from.
    pub origin: Option<Origin>,
}

/// A line of a crt-list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub list: Arc<str>,
    /// The number of the line.
    pub number: u32,
}

/// TLS on a `bind` line.
#[derive(Clone, Debug, Default)]
pub struct BindTls {
    /// `ssl`
    pub ssl: bool,
    /// The certificates, in their order.
    pub entries: Vec<Entry>,
    /// The crt-lists and directories that some of them come from.
    pub lists: Vec<String>,
    /// `strict-sni`
    pub strict_sni: Option<bool>,
    /// `no-tls-tickets`, `tls-tickets`
    pub tickets: Option<bool>,
    /// `tls-ticket-keys`
    pub ticket_keys: Option<Arc<KeyFile>>,
    /// `prefer-client-ciphers`
    pub client_order: bool,
    /// `generate-certificates`
    pub generate: bool,
    /// `ca-sign-file`: the file and its content, if it can be read.
    pub ca_sign: Option<(String, Option<Vec<u8>>)>,
    /// `ca-sign-pass`
    pub ca_sign_pass: Option<String>,
    /// The rest.
    pub conf: Conf,
}

/// TLS on a `server` line.
#[derive(Clone, Debug, Default)]
pub struct ServerTls {
    /// `ssl`
    pub ssl: bool,
    /// `crt`
    pub crt: Option<Arc<Slot<Certificate>>>,
    /// `verifyhost`
    pub verify_host: Option<String>,
    /// `no-ssl-reuse`
    pub no_reuse: bool,
    /// `no-tls-tickets`
    pub no_tickets: bool,
    /// `sni-auto`, `no-sni-auto`
    pub sni_auto: Option<bool>,
    /// The rest.
    pub conf: Conf,
}

/// TLS in `global`.
#[derive(Clone, Debug, Default)]
pub struct GlobalTls {
    /// What was read, and what was made since; copies of this share it.
    pub store: Shared,
    /// `crt-base`
    pub crt_base: Option<String>,
    /// `key-base`
    pub key_base: Option<String>,
    /// `ca-base`
    pub ca_base: Option<String>,
    /// `ssl-load-extra-files`, `ssl-load-extra-del-ext`
    pub extra: Extra,
    /// `ssl-server-verify none`
    pub server_verify_none: bool,
    /// `ssl-default-bind-*`
    pub bind: BindTls,
    /// `ssl-default-server-*`
    pub server: ServerTls,
    /// `maxsslconn`; 0: none.
    pub max_conns: u32,
    /// `maxsslrate`; 0: none.
    pub max_rate: u32,
    /// `tune.ssl.keylog`
    pub key_log: bool,
    /// `tune.ssl.maxrecord`; 0: none.
    pub max_record: usize,
    /// `tune.ssl.hard-maxrecord`; 0: none.
    pub hard_max_record: usize,
    /// `tune.ssl.ssl-ctx-cache-size`
    pub minted: Option<usize>,
    /// `tune.ssl.keyupdate-rate-limit`, a second; 0: none.
    pub key_updates: Option<u32>,
    /// `tune.ssl.certificate-compression off`
    pub no_compression: bool,
    /// `ssl-security-level`
    pub security_level: Option<u8>,
    /// `tune.ssl.cachesize`
    pub cache_size: Option<usize>,
    /// `tune.ssl.lifetime`, in seconds
    pub lifetime: Option<u32>,
    /// `tune.ssl.capture-buffer-size`
    pub capture: usize,
    /// `ocsp-update.*`
    pub ocsp: OcspUpdate,
    /// `noktls`
    pub no_ktls: bool,
    /// `expose-experimental-directives`, as far as was read
    pub experimental: bool,
}

/// How OCSP responses are fetched (`ocsp-update.*`).
#[derive(Clone, Copy, Debug)]
pub struct OcspUpdate {
    /// `ocsp-update.disable`
    pub disabled: bool,
    /// `ocsp-update.mode`: certificates that say nothing.
    pub mode: bool,
    /// `ocsp-update.mindelay`, in seconds
    pub min: u32,
    /// `ocsp-update.maxdelay`, in seconds
    pub max: u32,
    /// `ocsp-update.httpproxy`
    pub proxy: Option<SocketAddr>,
}

impl Default for OcspUpdate {
    fn default() -> Self {
        Self { disabled: false, mode: false, min: 300, max: 3600, proxy: None }
    }
}

impl OcspUpdate {
    /// Are the responses of a certificate fetched, whose own `ocsp-update` is this?
    #[must_use]
    pub fn wants(&self, own: Option<bool>) -> bool {
        !self.disabled && own.unwrap_or(self.mode)
    }
}

impl GlobalTls {
    /// Is the kernel to make the records of who says this about `ktls`? It makes them as large as it likes.
    #[must_use]
    pub fn to_kernel(&self, said: Option<bool>) -> bool {
        said.unwrap_or(false) && !self.no_ktls && self.hard_max_record == 0
    }

    /// What records may be like.
    #[must_use]
    pub fn records(&self) -> Records {
        let updates = self.key_updates.unwrap_or(100);
        Records { start: self.max_record, hard: self.hard_max_record, updates }
    }
}

/// A path under a base directory, unless it is absolute.
#[must_use]
pub fn under(base: Option<&str>, path: &str) -> String {
    match base {
        Some(base) if !path.starts_with('/') && !path.starts_with('@') => format!("{base}/{path}"),
        _ => path.to_owned(),
    }
}
