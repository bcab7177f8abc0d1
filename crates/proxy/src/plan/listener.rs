//! A `bind` address, ready to be opened and accepted on.

use super::ProxyPlan;
use portcullis_config::addr::{Host, Ports, Transport};
use portcullis_config::{Bind, Diagnostics, Global, Mode, Model, Opts, Proxy, Severity, Shards};
use portcullis_telemetry::gate::Listener;
use portcullis_tls::acceptor::{self, Acceptor};
use portcullis_tls::rows::load::FrontendTls;
use portcullis_tls::settings::{BindTls, GlobalTls};
use portcullis_tls::tickets::Cache;
use portcullis_transport::listen::ListenOptions;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// The kernel's own ceiling for a backlog is lower than this.
const MAX_BACKLOG: u32 = i32::MAX as u32;

/// One listening address of a frontend.
#[derive(Debug)]
pub struct ListenerPlan {
    /// Index of the frontend in the plan.
    pub frontend: usize,
    /// The frontend itself, as it was when the listener was made.
    pub proxy: Arc<ProxyPlan>,
    /// Which of the frontend's addresses, from 0.
    pub number: usize,
    /// Its name.
    pub frontend_name: Arc<str>,
    /// Its section's keyword.
    pub frontend_kind: &'static str,
    /// The file that the `bind` line stands in.
    pub file: String,
    /// The `bind` line's settings.
    pub bind: Bind,
    /// What the socket is asked for.
    pub options: ListenOptions,
    /// Is it to be opened?
    pub enabled: bool,
    /// Its connections are made here, to this server: BACKEND/SERVER (`rhttp@`).
    pub reversed: Option<Arc<str>>,
    /// How many sockets.
    pub shards: u16,
    /// Which of them each worker accepts on, from 0; none where `thread` leaves it out.
    pub shard_of: Vec<Option<u16>>,
    /// Gauge and counters; `maxconn` of the `bind` line.
    pub counts: Arc<Listener>,
    /// A newer plan has it no more: its sockets close when nobody waits there, its connections when what they do is done.
    pub gone: AtomicBool,
    /// Something comes before the first stream: rules, a PROXY header.
    pub shakes_hands: bool,
    /// Connections speak TLS.
    pub tls: Option<Arc<Acceptor>>,
    /// Workers that may serve it (bit i: worker i); 0: all.
    pub workers: u64,
}

impl ListenerPlan {
    /// The same for the same address of the same frontend in every plan.
    #[must_use]
    pub fn identity(&self) -> usize {
        Arc::as_ptr(&self.counts) as usize
    }
    /// Is it in no plan any more?
    #[inline]
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.gone.load(Relaxed)
    }
    /// May this worker (from 0) serve it?
    #[must_use]
    pub fn allows_worker(&self, i: usize) -> bool {
        self.workers == 0 || self.workers & (1 << (i & 63)) != 0
    }
}

/// The listeners of a frontend.
pub fn compile(
    model: &Model,
    index: usize,
    p: &Proxy,
    plan: &Arc<ProxyPlan>,
    (process, sessions): (&crate::process::Process, &Arc<Cache>),
    diags: &mut Diagnostics,
) -> Vec<Arc<ListenerPlan>> {
    let maxconn = p.maxconn.unwrap_or_else(|| process.counts.conns.limit());
    let mut last_id = 0;
    p.binds
        .iter()
        .enumerate()
        .map(|(number, bind)| {
            let mut bind = bind.clone();
            if bind.id == 0 {
                // the next one that no line has taken
                last_id = (last_id + 1..).find(|id| p.binds.iter().all(|b| b.id != *id)).unwrap_or(0);
                bind.id = last_id;
            }
            let nth = p.binds.iter().take(number).filter(|b| b.text == bind.text).count();
            let wanted = bind.backlog.or(p.backlog).unwrap_or_else(|| bind.maxconn.unwrap_or(maxconn));
            let keepalive = (p.opts.intersects(Opts::CLITCPKA | Opts::TCPKA)).then(|| {
                let s = |d: Option<Duration>| d.map_or(0, |d| d.as_secs() as u32);
                (p.clitcpka.cnt.unwrap_or(0), s(p.clitcpka.idle), s(p.clitcpka.intvl))
            });
            let inet = matches!(bind.address.host, Host::V4(_) | Host::V6(_));
            let reversed = match &bind.address.host {
                Host::Rhttp(server) => Some(Arc::from(server.as_str())),
                _ => None,
            };
            let datagram = bind.address.transport == Transport::Datagram;
            // one worker keeps the order of datagrams
            let workers = match (workers_of(&bind), datagram) {
                (workers, false) => workers,
                (0, true) => 1 << (number % usize::from(model.global.nbthread.unwrap_or(1).clamp(1, 64))),
                (workers, true) => 1 << workers.trailing_zeros(),
            };
            let shards = match bind.shards.unwrap_or(model.global.tune.default_shards) {
                _ if !inet || datagram || model.global.noreuseport => Shards::ByProcess,
                said => said,
            };
            let shard_of = shard_of(&model.global, workers, shards);
            let sockets = shard_of.iter().flatten().max().map_or(1, |last| last + 1);
            let tls = acceptor(model, p, &bind, number, sessions, diags);
            let tune = &model.global.tune;
            let (rcvbuf, sndbuf) = match datagram {
                true => (tune.rcvbuf_frontend, tune.sndbuf_frontend),
                false => (tune.rcvbuf_client, tune.sndbuf_client),
            };
            Arc::new(ListenerPlan {
                frontend: index,
                number,
                proxy: plan.clone(),
                frontend_name: plan.name.clone(),
                frontend_kind: p.kind.name(),
                file: diags.files.get(bind.place.file.0 as usize).cloned().unwrap_or_default(),
                options: ListenOptions {
                    backlog: if wanted == 0 { 1024 } else { wanted.min(MAX_BACKLOG) as i32 },
                    reuse_port: !model.global.noreuseport,
                    no_delay: p.mode == Mode::Http || inet,
                    keepalive,
                    smart_accept: p.opts.contains(Opts::TCP_SMART_ACCEPT)
                        || (p.mode == Mode::Http && !p.no_opts.contains(Opts::TCP_SMART_ACCEPT)),
                    rcvbuf,
                    sndbuf,
                    notsent_lowat: model.global.tune.notsent_lowat_client,
                },
                enabled: reversed.is_none() && !(inet && bind.address.ports == Ports::None),
                reversed,
                shards: sockets,
                shard_of,
                counts: process.listener(
                    &p.name,
                    &bind.text,
                    (nth, tls.is_some()),
                    // as many on each of its sockets
                    bind.maxconn.unwrap_or(0).saturating_mul(sockets as u32),
                ),
                gone: AtomicBool::new(false),
                shakes_hands: bind.accept_proxy
                    || bind.accept_cip.is_some()
                    || tls.is_some()
                    || plan
                        .rules
                        .as_ref()
                        .is_some_and(|r| !r.tcp_connection.is_empty() || !r.tcp_session.is_empty()),
                tls,
                workers,
                bind,
            })
        })
        .collect()
}

/// The TLS of a `bind` line with `ssl`.
fn acceptor(
    model: &Model,
    p: &Proxy,
    bind: &Bind,
    number: usize,
    sessions: &Arc<Cache>,
    diags: &mut Diagnostics,
) -> Option<Arc<Acceptor>> {
    let tls = bind.ext.get::<BindTls>().filter(|t| t.ssl && !diags.has_bad_lines())?;
    if matches!(bind.address.host, Host::Rhttp(_)) {
        // the server's settings say how its connections are made
        diags.add(Severity::Alert, None, "'ssl' option is not accepted for reverse HTTP");
        return None;
    }
    let mut tls = tls.clone();
    if let Some(own) = p.ext.get::<FrontendTls>() {
        tls.entries.extend(own.entries.iter().cloned());
        tls.lists.push(format!("@{}", p.name));
    }
    let nothing = GlobalTls::default();
    let global = model.global.ext.get::<GlobalTls>().unwrap_or(&nothing);
    let file = diags.files.get(bind.place.file.0 as usize).cloned().unwrap_or_default();
    let here = format!("bind '{}' at [{file}:{}]", bind.text, bind.place.line);
    let tell = |text: &str| format!("Proxy '{}': {}", p.name, text.replace("{}", &here));
    let identity = format!("{} {number}", p.name);
    let made = acceptor::compile(global, &tls, sessions, (&identity, p.mode == Mode::Http), &mut |text| {
        diags.add(Severity::Warning, None, tell(&text));
    });
    match made {
        Ok(acceptor) => {
            if tls.wants_kernel() && !global.no_ktls {
                portcullis_transport::ktls::look();
            }
            Some(Arc::new(acceptor))
        }
        Err(text) => {
            diags.add(Severity::Alert, None, tell(&text));
            None
        }
    }
}

/// Which socket each worker accepts on.
fn shard_of(global: &Global, workers: u64, shards: Shards) -> Vec<Option<u16>> {
    let group = |worker: u16| {
        let holds = |(_, first, last): &&(u16, u16, u16)| (*first..=*last).contains(&(worker + 1));
        global.thread_group.iter().find(holds).map_or(1, |(group, ..)| *group)
    };
    let (mut rank, mut groups) = (0, Vec::new());
    let one = |worker: u16| {
        if workers != 0 && workers & (1 << (worker & 63)) == 0 {
            return None;
        }
        let shard = match shards {
            Shards::ByProcess => 0,
            Shards::ByThread => rank,
            Shards::Count(n) => rank % n.max(1),
            Shards::ByGroup => {
                let group = group(worker);
                let known = groups.iter().position(|g| *g == group);
                known.unwrap_or_else(|| {
                    groups.push(group);
                    groups.len() - 1
                }) as u16
            }
        };
        rank += 1;
        Some(shard)
    };
    (0..global.nbthread.unwrap_or(1)).map(one).collect()
}

/// The workers that `thread` names, as bits.
fn workers_of(bind: &Bind) -> u64 {
    bind.threads
        .iter()
        .flat_map(|(_, first, last)| *first..=*last)
        .fold(0, |set, t| set | 1 << ((t - 1) & 63))
}
