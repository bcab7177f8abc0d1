//! TLS under checks: whether a connection has it, what it offers and which name it sends (`check-ssl`, `check-sni`,
//! `check-alpn`, `connect ssl`).

use super::config::{Act, Connect, HttpSend};
use super::plan::{Kind, Script};
use portcullis_backend::health::CheckSettings;
use portcullis_config::{Diagnostics, Model, Proxy, Server, Severity};
use portcullis_sample::Scope;
use portcullis_tls::connector::{self, Connector};
use portcullis_tls::settings::{GlobalTls, ServerTls};
use std::net::IpAddr;

/// Protocols as a list in an option.
type Protocols = Option<Vec<Vec<u8>>>;

/// What a server's checks need for TLS.
#[derive(Debug)]
pub struct CheckTls {
    /// Connections that say nothing of TLS have it.
    implied: bool,
    /// What connections are made with, by the protocols that they offer.
    connectors: Vec<(Protocols, Connector)>,
    /// What is offered if nothing is said: `check-alpn`, or the server's `alpn`.
    offered: Protocols,
    /// `check-sni`
    sni: Option<String>,
    /// The name of the request's Host header is sent.
    auto: bool,
}

/// The protocols of `check-alpn` or `alpn`.
#[must_use]
pub fn protocols(text: &str) -> Vec<Vec<u8>> {
    text.split(',').filter(|p| !p.is_empty()).map(|p| p.as_bytes().to_vec()).collect()
}

impl CheckTls {
    /// Of a server; none: its checks never use TLS.
    pub fn new(
        model: &Model,
        p: &Proxy,
        s: &Server,
        (settings, script): (&CheckSettings, &Script),
        diags: &mut Diagnostics,
    ) -> Option<Self> {
        let nothing = ServerTls::default();
        let tls = s.set.ext.get::<ServerTls>().unwrap_or(&nothing);
        let moved = settings.port.is_some() || settings.addr.is_some();
        let implied = settings.ssl.unwrap_or(tls.ssl && !moved);
        let connects = || {
            script.steps.iter().filter_map(|s| match &s.rule.act {
                Act::Connect(c) => Some(c),
                _ => None,
            })
        };
        let own = settings.alpn.clone().or_else(|| tls.conf.alpn.clone());
        // plain bytes are not spoken over HTTP/2
        let http = script.kind == Kind::Http;
        let offered = own.map(|all| all.into_iter().filter(|p| http || p != b"h2").collect());
        let mut wanted: Vec<Protocols> = connects().filter(|c| c.ssl).map(|c| c.alpn.clone()).collect();
        if implied && connects().any(|c| c.default && !c.ssl) {
            wanted.push(offered.clone());
        }
        if wanted.is_empty() || diags.has_bad_lines() {
            return None;
        }
        let mut made = Self {
            implied,
            connectors: Vec::new(),
            offered,
            sni: settings.sni.clone(),
            auto: !settings.no_sni_auto && script.kind == Kind::Http,
        };
        for alpn in wanted {
            if made.connectors.iter().any(|(known, _)| *known == alpn) {
                continue;
            }
            match connect(model, tls, alpn.clone()) {
                Ok(connector) => made.connectors.push((alpn, connector)),
                // traffic needs the same, and says so
                Err(_) if tls.ssl => return None,
                Err(why) => {
                    complain(p, s, &why, diags);
                    return None;
                }
            }
        }
        Some(made)
    }

    /// What this connection shakes hands with, and the name that it sends; none: it has no TLS.
    pub fn of(
        &self,
        c: &Connect,
        request: Option<&HttpSend>,
        scope: &Scope<'_>,
    ) -> Option<(&Connector, Option<String>)> {
        let (alpn, name) = match c.ssl {
            true => (&c.alpn, c.sni.clone()),
            false if c.default && self.implied => (&self.offered, self.name(c, request, scope)),
            false => return None,
        };
        let (_, connector) = self.connectors.iter().find(|(known, _)| known == alpn)?;
        Some((connector, name.filter(|n| !n.is_empty())))
    }

    fn name(&self, c: &Connect, request: Option<&HttpSend>, scope: &Scope<'_>) -> Option<String> {
        if self.sni.is_some() {
            return self.sni.clone();
        }
        let headers = &request.filter(|_| self.auto && c.unwritten)?.headers;
        let (_, host) = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"host"))?;
        let name = crate::tls::bare(&String::from_utf8(host.bytes(scope)).ok()?)?;
        // addresses are no names of servers
        name.parse::<IpAddr>().is_err().then_some(name)
    }
}

fn complain(p: &Proxy, s: &Server, why: &str, diags: &mut Diagnostics) {
    let file = diags.files.get(s.place.file.0 as usize).cloned().unwrap_or_default();
    let text = format!("[{file}:{}] : 'server {}/{}' : {why}", s.place.line, p.name, s.name);
    diags.add(Severity::Alert, None, text);
}

/// A server without checks, in a section whose rules of checks use TLS, needs all the same what they would.
pub fn demand(model: &Model, p: &Proxy, s: &Server, diags: &mut Diagnostics) {
    let nothing = ServerTls::default();
    let tls = s.set.ext.get::<ServerTls>().unwrap_or(&nothing);
    if tls.ssl || diags.has_bad_lines() {
        return;
    }
    if let Err(why) = connect(model, tls, None) {
        complain(p, s, &why, diags);
    }
}

fn connect(model: &Model, tls: &ServerTls, alpn: Protocols) -> Result<Connector, String> {
    let nothing = GlobalTls::default();
    let global = model.global.ext.get::<GlobalTls>().unwrap_or(&nothing);
    let mut tls = tls.clone();
    tls.conf.alpn = alpn;
    connector::compile(global, &tls)
}
