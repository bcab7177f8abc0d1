//! The sockets: what the configuration says of them, and how they are opened.

use portcullis_config::addr::Host;
use portcullis_config::{Bind, Model};
use portcullis_tls::acceptor::Acceptor;
use portcullis_transport::Sockets;
use portcullis_transport::listen::{self, ListenOptions};
use rustix::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// What may be done over a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Reading what is not sensitive.
    User,
    /// Reading everything, changing what does no harm.
    #[default]
    Operator,
    /// Everything.
    Admin,
}

impl Level {
    /// By name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        [Self::User, Self::Operator, Self::Admin].into_iter().find(|l| l.name() == name)
    }
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// How the severity of a message is shown in front of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SeverityOutput {
    /// Not at all.
    #[default]
    None,
    /// As `[3]: `.
    Number,
    /// As `[err]: `.
    Text,
}

impl SeverityOutput {
    /// By name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "number" => Some(Self::Number),
            "string" => Some(Self::Text),
            _ => None,
        }
    }
}

/// What a `bind` line says for the Runtime API.
#[derive(Clone, Copy, Debug, Default)]
pub struct CliBind {
    /// `level`
    pub level: Level,
    /// `severity-output`
    pub severity: SeverityOutput,
    /// `expose-fd listeners`
    pub exposes: bool,
    /// `accept-proxy`
    pub accepts_proxy: bool,
}

/// `stats socket`, `stats timeout`, `stats maxconn`; kept in `global`'s extensions.
#[derive(Clone, Debug, Default)]
pub struct CliConfig {
    /// The sockets, one element an address.
    pub sockets: Vec<Bind>,
    /// The TLS of each, once all was read.
    pub tls: Vec<Option<Arc<Acceptor>>>,
    /// `stats timeout`; 10 s when not said.
    pub timeout: Option<Duration>,
    /// `stats maxconn`; 10 when not said.
    pub maxconn: Option<u32>,
    /// `anonkey`; 0: none.
    pub anon_key: u32,
    /// `tune.cli.max-payload-size` in bytes; 128 KiB when not said.
    pub max_payload: Option<usize>,
}

/// A listening socket of the Runtime API.
#[derive(Debug)]
pub struct Bound {
    /// The socket.
    pub fd: Arc<OwnedFd>,
    /// Its address as `show cli sockets` prints it.
    pub name: String,
    /// What its connections may do.
    pub cli: CliBind,
    /// Its TLS.
    pub tls: Option<Arc<Acceptor>>,
}

/// Opens every `stats socket`. Call it before privileges are dropped.
///
/// # Errors
/// One message a socket, in HAProxy's words.
pub fn bind(model: &Model, files: &[String], sockets: &dyn Sockets) -> Result<Vec<Bound>, Vec<String>> {
    let Some(config) = model.global.ext.get::<CliConfig>() else { return Ok(Vec::new()) };
    let backlog = config.maxconn.unwrap_or(10).min(i32::MAX as u32) as i32;
    let options = options(backlog.max(16), !model.global.noreuseport);
    let (mut bound, mut failed) = (Vec::new(), Vec::new());
    for (number, bind) in config.sockets.iter().enumerate() {
        match sockets.listen(bind, &options) {
            Ok((fd, _)) => {
                let said = bind.ext.get::<CliBind>().copied().unwrap_or_default();
                let cli = CliBind { accepts_proxy: bind.accept_proxy, ..said };
                let tls = config.tls.get(number).cloned().flatten();
                bound.push(Bound { fd, name: name(bind), cli, tls });
            }
            Err(e) => {
                let file = files.get(bind.place.file.0 as usize).map_or("", String::as_str);
                let reason = e.reason.to_string();
                let reason = reason.split(" (os error").next().unwrap_or(&reason);
                failed.push(format!(
                    "Binding [{file}:{}] for frontend GLOBAL: {} ({reason}) for [{}]",
                    bind.place.line, e.step, bind.text
                ));
            }
        }
    }
    if failed.is_empty() { Ok(bound) } else { Err(failed) }
}

/// What a socket of commands is asked for.
#[must_use]
pub fn options(backlog: i32, reuse_port: bool) -> ListenOptions {
    ListenOptions {
        backlog,
        reuse_port,
        no_delay: false,
        keepalive: None,
        smart_accept: false,
        rcvbuf: None,
        sndbuf: None,
        notsent_lowat: None,
    }
}

/// An address with its family in front.
#[must_use]
pub fn name(bind: &Bind) -> String {
    let printable =
        |b: &[u8]| String::from_utf8_lossy(b.split(|c| *c == 0).next().unwrap_or_default()).into_owned();
    match &bind.address.host {
        Host::Unix(path) => format!("unix@{path}"),
        Host::Abstract(n) => format!("abns@{}", printable(n)),
        Host::AbstractZ(n) => format!("abnsz@{}", printable(n)),
        Host::Fd(n) => format!("fd@{n}"),
        Host::SockPair(n) => format!("sockpair@{n}"),
        Host::V4(_) | Host::V6(_) | Host::Name(_) | Host::Rhttp(_) => {
            match listen::socket_addr(&bind.address) {
                Some(a) if a.is_ipv4() => format!("ipv4@{a}"),
                Some(a) => format!("ipv6@[{}]:{}", a.ip(), a.port()),
                None => bind.text.clone(),
            }
        }
    }
}
