//! A server, ready to be connected to.

use crate::preface::Values;
use crate::rules::lang::Expr;
use crate::tls::{PoolName, Sni};
use portcullis_backend::{PoolSettings, ServerState, SpotPort, Whereabouts};
use portcullis_config::addr::{Address, Host, Ports, Transport};
use portcullis_config::{
    Diagnostics, Mode, Model, Opts, Proto, Proxy, ResolveOptions, Server, ServerSettings, Severity, Source,
    UseSrc, Websockets,
};
use portcullis_sample::Format;
use portcullis_tls::connector::{self, Connector};
use portcullis_tls::settings::{GlobalTls, ServerTls};
use portcullis_transport::connect::{ConnectOptions, Target};
use portcullis_transport::listen::{abstract_name, socket_addr};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// In the place of an address.
const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// How a server's name is looked up at run time.
#[derive(Clone, Debug)]
pub struct ResolvePlan {
    /// Which of the plan's `resolvers` sections.
    pub section: usize,
    /// `resolve-opts`, `resolve-net`, `resolve-prefer`
    pub options: ResolveOptions,
}

/// TLS towards a server.
#[derive(Debug)]
pub struct ServerTlsPlan {
    /// What connections are made with.
    pub connector: Connector,
    /// `sni`
    pub sni: Option<Arc<Expr>>,
    /// `sni-auto`: the name of the Host header.
    pub auto: bool,
}

/// A `server` line.
#[derive(Clone, Debug)]
pub struct ServerPlan {
    /// Its name.
    pub name: Arc<str>,
    /// `id`
    pub id: u32,
    /// `weight`
    pub weight: u32,
    /// Its line says the `id`.
    pub id_given: bool,
    /// Its line says `disabled`.
    pub disabled: bool,
    /// Something else in the configuration names it.
    pub named: bool,
    /// `guid`
    pub guid: Option<Arc<str>>,
    /// The line of a server that came while the process runs; those of others are in the model.
    pub line: Option<Box<Server>>,
    /// Hash of the words of its line.
    pub said: u64,
    /// Its state, shared by all workers.
    pub state: Arc<ServerState>,
    /// Where it is.
    pub target: Target,
    /// Its port is the client's destination port, plus this (a server without a port, or with `+N`/`-N`).
    pub port_offset: Option<i32>,
    /// Settings of its sockets.
    pub connect: ConnectOptions,
    /// `usesrc` and the like, resolved for each connection.
    pub usesrc: UseSrc,
    /// `send-proxy`
    pub send_proxy: bool,
    /// `send-proxy-v2`
    pub send_proxy_v2: bool,
    /// `proxy-v2-options`
    pub proxy_v2_options: Vec<String>,
    /// `set-proxy-v2-tlv-fmt`
    pub proxy_v2_values: Vec<(u8, Arc<Format>)>,
    /// TLS towards it.
    pub tls: Option<Arc<ServerTlsPlan>>,
    /// The same while an operator has switched it off.
    pub spare_tls: Option<Arc<ServerTlsPlan>>,
    /// `pool-conn-name`
    pub pool_name: Option<Arc<Expr>>,
    /// `redir`
    pub redir: Option<Box<[u8]>>,
    /// `strict-maxconn`, and there is a `maxconn`.
    pub strict_maxconn: bool,
    /// Its connections are made by itself (`rhttp@`, `attach-srv`).
    pub reversed: bool,
    /// `proto`
    pub proto: Option<Proto>,
    /// `ws`
    pub websockets: Websockets,
    /// `idle-ping`
    pub idle_ping: Option<Duration>,
    /// `pool-max-conn`, `max-reuse` and their kin.
    pub pool: PoolSettings,
    /// Its checks.
    pub check: Option<Arc<crate::check::CheckPlan>>,
    /// How its name is looked up at run time.
    pub resolve: Option<Box<ResolvePlan>>,
    /// `socks4`
    pub socks4: Option<SocketAddr>,
    /// Hash of all that connections to it are made from.
    pub fingerprint: u64,
    /// Connections of another generation are not used again ([`ServerState::generation`]).
    pub generation: u32,
}

impl ServerPlan {
    /// The same server by another name.
    pub(crate) fn renamed(&self, to: &str) -> Self {
        let line = self.line.clone().map(|line| Box::new(Server { name: to.to_owned(), ..*line }));
        Self { name: to.into(), line, ..self.clone() }
    }
    /// The same server with or without TLS towards it; connections that were made in the other way are not used again.
    pub(crate) fn with_tls(&self, on: bool) -> Self {
        let both = self.tls.clone().or_else(|| self.spare_tls.clone());
        let (tls, spare_tls) = if on { (both, None) } else { (None, both) };
        let generation = self.state.generation(self.fingerprint ^ u64::from(!on));
        Self { tls, spare_tls, generation, ..self.clone() }
    }
    /// Where to connect for a client that asked for `dst`; `state` knows if an operator or the DNS moved the server. None:
    /// nowhere, no address is known for its name.
    #[must_use]
    pub fn target_for(&self, state: &ServerState, dst: Option<SocketAddr>) -> Option<Target> {
        match (&self.target, self.address_for(state, dst)) {
            (Target::Inet { mptcp, .. }, Some(addr)) => Some(Target::Inet { addr, mptcp: *mptcp }),
            (_, Some(addr)) => Some(Target::Inet { addr, mptcp: false }),
            (Target::Inet { .. }, None) => None,
            (other, None) => Some(other.clone()),
        }
    }
    /// The IP address and port to connect to for a client that asked for `dst`.
    #[must_use]
    pub fn address_for(&self, state: &ServerState, dst: Option<SocketAddr>) -> Option<SocketAddr> {
        let (mut addr, mut offset) = match &self.target {
            Target::Inet { addr, .. } => (*addr, self.port_offset),
            Target::Unix(_) | Target::Abstract(_) => (UNKNOWN, None),
        };
        match state.whereabouts() {
            Whereabouts::Configured if addr == UNKNOWN && offset.is_none() => return None,
            Whereabouts::Configured => {}
            Whereabouts::Nowhere => return None,
            Whereabouts::At(spot) => {
                addr.set_ip(spot.ip);
                match spot.port {
                    SpotPort::Configured => {}
                    SpotPort::Fixed(port) => (offset, _) = (None, addr.set_port(port)),
                    SpotPort::Offset(n) => offset = Some(n),
                }
            }
        }
        if let (Some(offset), Some(dst)) = (offset, dst) {
            addr.set_port((i32::from(dst.port()) + offset).rem_euclid(65536) as u16);
            if addr.ip().is_unspecified() {
                addr.set_ip(dst.ip());
            }
        }
        Some(addr)
    }
    /// Its Internet address, if it has one; `state` knows if an operator or the DNS moved it.
    #[must_use]
    pub fn address(&self, state: &ServerState) -> Option<SocketAddr> {
        self.address_for(state, None)
    }
    /// The port of its line, as changes of it are told.
    #[must_use]
    pub fn port(&self) -> SpotPort {
        match (self.port_offset, &self.target) {
            (Some(n), _) => SpotPort::Offset(n),
            (None, Target::Inet { addr, .. }) => SpotPort::Fixed(addr.port()),
            (None, _) => SpotPort::Configured,
        }
    }
    /// Is this one of its `proxy-v2-options`?
    #[must_use]
    pub fn sends(&self, option: &str) -> bool {
        self.proxy_v2_options.iter().any(|o| o == option)
    }
    /// Does every connection to it look the same, so that idle ones can be shared?
    #[must_use]
    pub fn shareable(&self) -> bool {
        !self.send_proxy && !self.send_proxy_v2 && self.usesrc == UseSrc::None && self.port_offset.is_none()
    }
}

/// Makes a server's plan.
pub fn compile(
    model: &Model,
    p: &Proxy,
    s: &Server,
    state: Arc<ServerState>,
    check: Option<Box<crate::check::CheckPlan>>,
    diags: &mut Diagnostics,
) -> ServerPlan {
    let set = &s.set;
    let source = set.source.as_ref().or(p.source.as_ref());
    let tune = &model.global.tune;
    let keepalive = p.opts.intersects(Opts::SRVTCPKA | Opts::TCPKA).then(|| {
        let seconds = |d: Option<Duration>| d.map_or(0, |d| d.as_secs() as u32);
        (p.srvtcpka.cnt.unwrap_or(0), seconds(p.srvtcpka.idle), seconds(p.srvtcpka.intvl))
    });
    let mut plan = ServerPlan {
        name: s.name.as_str().into(),
        weight: s.set.weight.unwrap_or(1),
        id: s.id,
        id_given: s.id_given,
        disabled: s.set.disabled && !s.late,
        guid: s.guid.as_deref().map(Into::into),
        line: s.late.then(|| Box::new(s.clone())),
        said: s.said,
        named: model.ext.get::<super::Named>().is_some_and(|n| n.has_server(&p.name, &s.name)),
        state,
        target: target(s, diags),
        port_offset: match s.address.ports {
            Ports::Offset(n) => Some(n),
            _ if follows_client(s) => Some(0),
            _ => None,
        },
        connect: ConnectOptions {
            source: source.and_then(source_ports),
            interface: source.and_then(|s| s.interface.clone()),
            keepalive,
            user_timeout: set.tcp_ut,
            congestion: set.cc.clone(),
            md5sig: set.tcp_md5sig.clone(),
            rcvbuf: tune.rcvbuf_server,
            sndbuf: tune.sndbuf_server,
            notsent_lowat: tune.notsent_lowat_server,
            fast_open: set.tfo,
            namespace: set.namespace.clone(),
            quick_ack_off: p.opts.contains(Opts::TCP_SMART_CONNECT),
        },
        usesrc: source.map(|s| s.usesrc.clone()).unwrap_or_default(),
        send_proxy: set.send_proxy,
        send_proxy_v2: set.send_proxy_v2,
        proxy_v2_options: set.proxy_v2_options.clone(),
        proxy_v2_values: set.ext.get::<Values>().map(|v| v.0.clone()).unwrap_or_default(),
        tls: tls(model, p, s, diags).map(Arc::from),
        spare_tls: None,
        pool_name: set.ext.get::<PoolName>().and_then(|n| n.0.clone()),
        redir: set.redir.as_deref().map(Into::into),
        strict_maxconn: set.strict_maxconn && set.maxconn > 0,
        reversed: matches!(s.address.host, Host::Rhttp(_)),
        proto: set.proto,
        websockets: set.websockets,
        idle_ping: set.idle_ping,
        pool: pool(s),
        check: check.map(Arc::from),
        resolve: resolve(model, s),
        socks4: set.socks4.as_ref().and_then(socket_addr),
        fingerprint: 0,
        generation: 0,
    };
    plan.fingerprint = fingerprint(&plan, p, s);
    plan.generation = plan.state.generation(plan.fingerprint);
    plan
}

/// What may rest. Who makes connections by himself says how many there are (`nbconn`): one that is not kept comes again at once.
fn pool(s: &Server) -> PoolSettings {
    let said = PoolSettings::new(&s.set);
    match s.address.host {
        Host::Rhttp(_) => PoolSettings { low_conn: u32::MAX, ..said },
        _ => said,
    }
}

/// Hash of all that connections to a server are made from, in this process.
fn fingerprint(plan: &ServerPlan, p: &Proxy, s: &Server) -> u64 {
    let mut hasher = DefaultHasher::new();
    (p.mode == Mode::Http, &plan.target, plan.port_offset, &plan.connect, plan.socks4).hash(&mut hasher);
    (plan.send_proxy, plan.send_proxy_v2, &plan.proxy_v2_options).hash(&mut hasher);
    let rest = (&plan.usesrc, &plan.proxy_v2_values, s.set.ext.get::<ServerTls>());
    if !matches!(rest, (UseSrc::None, values, None) if values.is_empty()) {
        format!("{rest:?}").hash(&mut hasher);
    }
    hasher.finish()
}

/// An Internet server without a port takes the client's.
#[must_use]
pub fn follows_client(s: &Server) -> bool {
    let inet = matches!(s.address.host, Host::V4(_) | Host::V6(_) | Host::Name(_));
    inet && matches!(s.address.ports, Ports::None | Ports::One(0) | Ports::Offset(_))
}

/// A server with `resolvers`; one that has an address may get a name later.
fn resolve(model: &Model, s: &Server) -> Option<Box<ResolvePlan>> {
    let name = s.set.resolvers.as_ref()?;
    let section = model.resolvers.iter().position(|r| r.name == *name)?;
    Some(Box::new(ResolvePlan { section, options: s.set.resolve.clone() }))
}

/// The TLS of a `server` line with `ssl`.
pub(crate) fn tls(
    model: &Model,
    p: &Proxy,
    s: &Server,
    diags: &mut Diagnostics,
) -> Option<Box<ServerTlsPlan>> {
    let tls = s.set.ext.get::<ServerTls>().filter(|t| t.ssl && !diags.has_bad_lines())?;
    let nothing = GlobalTls::default();
    let global = model.global.ext.get::<GlobalTls>().unwrap_or(&nothing);
    let http = p.mode == Mode::Http;
    match connector::compile(global, tls) {
        Ok(connector) => {
            if connector.to_kernel {
                portcullis_transport::ktls::look();
            }
            let sni = s.set.ext.get::<Sni>().and_then(|s| s.0.clone());
            let auto = http && sni.is_none() && tls.sni_auto.unwrap_or(true);
            Some(Box::new(ServerTlsPlan { connector, sni, auto }))
        }
        Err(text) => {
            let file = diags.files.get(s.place.file.0 as usize).cloned().unwrap_or_default();
            let here = format!("server '{}'", s.name);
            let text = text.replace("{}", &here);
            diags.add(
                Severity::Alert,
                None,
                format!("[{file}:{}] : 'server {}/{}' : {text}", s.place.line, p.name, s.name),
            );
            None
        }
    }
}

/// The address and the last port of a `source`.
pub fn source_ports(s: &Source) -> Option<(SocketAddr, u16)> {
    let addr = socket_addr(&s.address)?;
    let last = match s.address.ports {
        Ports::Range(_, last) => last,
        _ => addr.port(),
    };
    (!addr.ip().is_unspecified() || addr.port() != 0).then_some((addr, last))
}

/// The address. Names have been resolved when everything was read ([`portcullis_config::resolve`]); a server whose name
/// was not is nowhere, as its state says.
pub(crate) fn target(s: &Server, diags: &mut Diagnostics) -> Target {
    target_of(&s.address).unwrap_or_else(|| {
        let text = format!("'server {}' : this address form is not supported yet for servers.", s.name);
        diags.add(Severity::Alert, Some(s.place), text);
        Target::Inet { addr: UNKNOWN, mptcp: false }
    })
}

/// What to connect to for an address; none: nobody can connect to such.
pub(crate) fn target_of(address: &Address) -> Option<Target> {
    let port = portcullis_config::resolve::port(address.ports);
    let mptcp = address.transport == Transport::Mptcp;
    let ip: IpAddr = match &address.host {
        Host::Unix(path) => return Some(Target::Unix(path.clone())),
        Host::Abstract(name) => return Some(Target::Abstract(abstract_name(name))),
        Host::AbstractZ(name) => return Some(Target::Abstract(name.clone())),
        Host::V4(a) => (*a).into(),
        Host::V6(a) => (*a).into(),
        Host::Name(_) | Host::Rhttp(_) => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        Host::Fd(_) | Host::SockPair(_) => return None,
    };
    Some(Target::Inet { addr: SocketAddr::new(ip, port), mptcp })
}

/// Settings of sockets towards a server that no client is behind.
pub(crate) fn plain_connect(set: &ServerSettings) -> ConnectOptions {
    ConnectOptions {
        source: set.source.as_ref().and_then(source_ports),
        interface: set.source.as_ref().and_then(|s| s.interface.clone()),
        user_timeout: set.tcp_ut,
        congestion: set.cc.clone(),
        md5sig: set.tcp_md5sig.clone(),
        fast_open: set.tfo,
        namespace: set.namespace.clone(),
        ..ConnectOptions::default()
    }
}
