//! A `resolvers` section, ready to be used.

use super::counters::Counters;
use super::family::Families;
use crate::process::Process;
use portcullis_config::addr::{Host, Ports};
use portcullis_config::{Diagnostics, Hold, Model, Nameserver, Severity};
use portcullis_tls::settings::ServerTls;
use portcullis_transport::connect::ConnectOptions;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Most connections to a name server that is asked over TCP, if nothing is said.
const MOST_CONNECTIONS: u32 = 64;

/// A section.
#[derive(Debug)]
pub struct ResolversPlan {
    /// Its name.
    pub name: Arc<str>,
    /// The name servers.
    pub nameservers: Vec<NameserverPlan>,
    /// `accepted_payload_size`
    pub payload: u16,
    /// `resolve_retries`: how often a question is sent.
    pub retries: u32,
    /// `timeout resolve`
    pub resolve: Duration,
    /// `timeout retry`
    pub retry: Duration,
    /// `hold`
    pub hold: Hold,
    /// `dns-accept-family`
    pub families: Arc<Families>,
}

/// A name server.
#[derive(Debug)]
pub struct NameserverPlan {
    /// Its name.
    pub name: Arc<str>,
    /// Where it is.
    pub address: SocketAddr,
    /// How it is asked over TCP; none: it is asked over UDP.
    pub stream: Option<StreamPlan>,
    /// What is counted of it.
    pub counters: Arc<Counters>,
}

/// How a name server is asked over TCP.
#[derive(Debug)]
pub struct StreamPlan {
    /// Settings of its sockets.
    pub connect: ConnectOptions,
    /// `maxconn`
    pub maxconn: u32,
}

/// All sections of a configuration.
pub fn compile(model: &Model, process: &Process, diags: &mut Diagnostics) -> Vec<Arc<ResolversPlan>> {
    let families = Arc::new(Families::new(model.global.dns_families));
    let one = |r: &portcullis_config::Resolvers, diags: &mut Diagnostics| {
        let nameservers = r.nameservers.iter().filter_map(|n| nameserver(&r.name, n, process, diags));
        Arc::new(ResolversPlan {
            name: r.name.as_str().into(),
            nameservers: nameservers.collect(),
            payload: r.payload,
            retries: r.retries.max(1),
            resolve: r.resolve,
            retry: r.retry.max(Duration::from_millis(1)),
            hold: r.hold,
            families: families.clone(),
        })
    };
    model.resolvers.iter().map(|r| one(r, diags)).collect()
}

fn nameserver(
    section: &str,
    n: &Nameserver,
    process: &Process,
    diags: &mut Diagnostics,
) -> Option<NameserverPlan> {
    let ip = match n.address.host {
        Host::V4(ip) => ip.into(),
        Host::V6(ip) => ip.into(),
        _ => return None,
    };
    let port = match n.address.ports {
        Ports::One(port) => port,
        _ => return None,
    };
    if n.set.as_ref().is_some_and(|s| s.ext.get::<ServerTls>().is_some_and(|t| t.ssl)) {
        let text = format!("'nameserver {}' : 'ssl' is not supported yet for name servers.", n.name);
        diags.add(Severity::Alert, Some(n.place), text);
        return None;
    }
    let stream = n.set.as_deref().map(|set| StreamPlan {
        connect: ConnectOptions {
            source: set.source.as_ref().and_then(crate::plan::server::source_ports),
            interface: set.source.as_ref().and_then(|s| s.interface.clone()),
            user_timeout: set.tcp_ut,
            congestion: set.cc.clone(),
            md5sig: set.tcp_md5sig.clone(),
            fast_open: set.tfo,
            namespace: set.namespace.clone(),
            ..ConnectOptions::default()
        },
        maxconn: if set.maxconn == 0 { MOST_CONNECTIONS } else { set.maxconn },
    });
    Some(NameserverPlan {
        name: n.name.as_str().into(),
        address: SocketAddr::new(ip, port),
        stream,
        counters: process.nameserver(section, &n.name),
    })
}
