//! A `resolvers` section, ready to be used.

use super::counters::Counters;
use super::family::Families;
use crate::plan::server::target_of;
use crate::process::Process;
use portcullis_config::{Diagnostics, Hold, Model, Nameserver, Severity};
use portcullis_tls::connector::{self, Connector};
use portcullis_tls::settings::{GlobalTls, ServerTls};
use portcullis_transport::connect::{ConnectOptions, Target};
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
    pub target: Target,
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
    /// `ssl`: what connections are made with, and the name that is sent (`verifyhost`).
    pub tls: Option<(Connector, Option<String>)>,
}

/// All sections of a configuration.
pub fn compile(model: &Model, process: &Process, diags: &mut Diagnostics) -> Vec<Arc<ResolversPlan>> {
    let families = Arc::new(Families::new(model.global.dns_families));
    let one = |r: &portcullis_config::Resolvers, diags: &mut Diagnostics| {
        let nameservers = r.nameservers.iter().filter_map(|n| nameserver(model, &r.name, n, process, diags));
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
    model: &Model,
    section: &str,
    n: &Nameserver,
    process: &Process,
    diags: &mut Diagnostics,
) -> Option<NameserverPlan> {
    let target = target_of(&n.address)?;
    let said = n.set.as_ref().and_then(|s| s.ext.get::<ServerTls>()).filter(|t| t.ssl);
    let tls = said.map(|tls| Ok((connector(model, tls)?, tls.verify_host.clone())));
    let tls = tls.transpose().unwrap_or_else(|why: String| {
        diags.add(Severity::Alert, Some(n.place), format!("'nameserver {}' : {why}", n.name));
        None
    });
    let stream = n.set.as_deref().map(|set| StreamPlan {
        connect: crate::plan::server::plain_connect(set),
        maxconn: if set.maxconn == 0 { MOST_CONNECTIONS } else { set.maxconn },
        tls,
    });
    Some(NameserverPlan {
        name: n.name.as_str().into(),
        target,
        stream,
        counters: process.nameserver(section, &n.name),
    })
}

/// What a connection over TLS is made with.
fn connector(model: &Model, tls: &ServerTls) -> Result<Connector, String> {
    let nothing = GlobalTls::default();
    let global = model.global.ext.get::<GlobalTls>().unwrap_or(&nothing);
    connector::compile(global, tls)
}
