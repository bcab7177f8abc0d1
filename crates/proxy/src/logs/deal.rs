//! Backends in mode log: each line goes to one of the servers (manual section 4.2, "mode" and "balance").

use super::feed::FeedPlan;
use crate::plan::ProxyPlan;
use crate::process::Process;
use portcullis_backend::balance::hash;
use portcullis_backend::{BackendState, ServerState};
use portcullis_config::{Algorithm, Diagnostics, HashType, Model, Proxy};
use portcullis_sample::place::CONSTANT;
use portcullis_sample::row::{Fetch, vocabulary};
use portcullis_sample::scope::{Direction, Payload};
use portcullis_sample::{Expr, Facts, Random, Scope, Type, Value};
use portcullis_telemetry::log::{Chooser, Sink};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// What the converters of `log-hash` are given.
static MESSAGE: Fetch = Fetch::new("log", Type::Str, CONSTANT, "The log message.", |_, scope, _| {
    scope.raw(Direction::Request).map(|message| Value::Str(message.bytes.into())).into()
});

/// How a server is chosen.
enum Method {
    /// One after the other.
    Turns(AtomicU32),
    /// By chance.
    Random,
    /// One as long as it works, then the first that does: its slot.
    Sticky(AtomicU32),
    /// By a hash of the message.
    Hash(Box<Expr>, HashType),
}

/// A backend in mode log.
struct Dealer {
    state: Arc<BackendState>,
    /// Where the lines of each server go, by its slot.
    sinks: Vec<Option<Arc<Sink>>>,
    method: Method,
    allbackups: bool,
}

/// Says where lines for this backend go from now on; yields what is sent over streams.
///
/// # Errors
/// What is wrong with it.
pub fn compile(
    model: &Model,
    section: &Proxy,
    plan: &ProxyPlan,
    process: &Process,
    diags: &mut Diagnostics,
) -> Result<Vec<FeedPlan>, String> {
    let Some(state) = plan.state.clone() else { return Ok(Vec::new()) };
    let mut feeds = Vec::new();
    let mut sinks: Vec<Option<Arc<Sink>>> = Vec::new();
    for (s, server) in section.servers.iter().zip(&plan.servers) {
        let name = format!("{}/{}", section.name, s.name);
        let file = diags.files.get(s.place.file.0 as usize).cloned().unwrap_or_default();
        let declared = format!("'{file}' at line {}", s.place.line);
        let (sink, ring) = process
            .sinks
            .open_server(&name, &s.address, s.set.log_bufsize, &declared)
            .map_err(|e| format!("error when creating sink from '{}' log server ({e})", s.name))?;
        super::feed::unproxied(s, diags);
        if let Some(ring) = ring {
            let timeouts = (section.timeouts.connect, section.timeouts.server);
            feeds.extend(FeedPlan::of_server(model, &section.name, s, &ring, timeouts, diags));
        }
        let slot = server.state.slot as usize;
        sinks.resize_with(sinks.len().max(slot + 1), || None);
        if let Some(seat) = sinks.get_mut(slot) {
            *seat = Some(sink);
        }
    }
    let method = Method::of(section)?;
    let allbackups = section.opts.contains(portcullis_config::Opts::ALLBACKUPS);
    let dealer = Dealer { state, sinks, method, allbackups };
    process.sinks.deal(&section.name, dealer.chooser(process.clock.wall().as_nanos() as u64));
    Ok(feeds)
}

impl Method {
    fn of(section: &Proxy) -> Result<Self, String> {
        Ok(match &section.balance.algorithm {
            Algorithm::RoundRobin => Self::Turns(AtomicU32::new(0)),
            Algorithm::Sticky => Self::Sticky(AtomicU32::new(u32::MAX)),
            Algorithm::LogHash(converters) => {
                let text = [b"log,", &**converters].concat();
                let expr = Expr::parse_as(&text, &MESSAGE, &vocabulary())
                    .map_err(|why| format!("{why} (from converter list argument in \"balance log-hash\")"))?;
                Self::Hash(Box::new(expr), section.balance.hash)
            }
            _ => Self::Random,
        })
    }
}

impl Dealer {
    fn chooser(self, seed: u64) -> Chooser {
        let random = Mutex::new(Random::new(0x9E37_79B9_7F4A_7C15 ^ seed));
        Box::new(move |message| {
            let random = random.lock().unwrap_or_else(PoisonError::into_inner);
            let servers = self.working();
            let server = self.choose(&servers, message, &random)?;
            self.sinks.get(server.slot as usize)?.clone()
        })
    }

    /// The servers that take lines: active ones, or else backups (one, if not `option allbackups`).
    fn working(&self) -> Vec<Arc<ServerState>> {
        let (backups, mut active): (Vec<_>, Vec<_>) =
            self.state.servers().into_iter().filter(|s| s.usable()).partition(|s| s.backup());
        if active.is_empty() {
            active = backups;
            active.truncate(if self.allbackups { usize::MAX } else { 1 });
        }
        active
    }

    fn choose<'s>(
        &self,
        servers: &'s [Arc<ServerState>],
        message: &[u8],
        random: &Random,
    ) -> Option<&'s Arc<ServerState>> {
        let at = match &self.method {
            Method::Turns(turn) => turn.fetch_add(1, Relaxed),
            Method::Random => random.next() as u32,
            Method::Hash(expr, how) => hash::of_bytes(*how, &key(expr, message, random)?),
            Method::Sticky(current) => {
                let now = current.load(Relaxed);
                let stays = servers.iter().find(|s| s.slot == now).or(servers.first())?;
                current.store(stays.slot, Relaxed);
                return Some(stays);
            }
        };
        let total: u32 = servers.iter().map(|s| s.weight()).sum();
        let mut left = at % total.max(1);
        servers.iter().find(|s| {
            let here = left < s.weight();
            left = left.wrapping_sub(s.weight());
            here
        })
    }
}

/// What the converters make of a message; nothing is no key, and goes to nobody.
fn key(expr: &Expr, message: &[u8], random: &Random) -> Option<Vec<u8>> {
    let facts = Facts::new();
    let scope = Scope {
        request_bytes: Some(Payload { bytes: message, may_grow: false }),
        ..Scope::new(&facts, random)
    };
    let value = expr.eval(&scope).there()?.cast(Type::Str)?;
    value.bytes().filter(|key| !key.is_empty()).map(<[u8]>::to_vec)
}
