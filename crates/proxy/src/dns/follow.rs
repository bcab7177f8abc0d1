//! What an answer means for the servers with that name, and what is told of it.

use super::ask::{Answer, Failure};
use super::counters::Count;
use super::resolution::{Follower, Resolution, Resolver, Service, Wanted};
use crate::check::report;
use crate::worker::Worker;
use portcullis_backend::discovery::{Told, Wants, deal, weight};
use portcullis_backend::health::Report;
use portcullis_backend::{Spot, SpotPort, Whereabouts};
use portcullis_telemetry::log::Level;
use portcullis_transport::Millis;
use portcullis_wire::dns::{Data, Message};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

/// Most services of a name that are looked at.
const MOST_SERVICES: usize = 1024;
/// As the log tells it.
const REMOVED: &str = "entry removed from SRV record";
const NO_ADDRESS: &str = "No IP for server ";

/// An answer has come, or none.
pub(super) fn settle(
    worker: &Rc<Worker>,
    resolver: &Rc<Resolver>,
    resolution: &Resolution,
    answer: &Result<Answer, Failure>,
) {
    let followers: Vec<Follower> = resolution.followers.borrow().clone();
    let now = worker.clock.now();
    match answer {
        Ok(answer) => match &answer.records {
            Some(message) => services(worker, resolver, resolution, &followers, message, now),
            None => {
                let by = resolver.plan.nameservers.get(answer.by);
                let name = by.map(|n| format!("{}/{}", resolver.plan.name, n.name)).unwrap_or_default();
                let changed = addresses(worker, resolution, &followers, &name);
                if let Some(server) = by.filter(|_| changed) {
                    server.counters.add(Count::Update);
                }
            }
        },
        Err(failure) => {
            let hold = failure.hold(&resolver.plan.hold).as_millis() as u64;
            if now.since(resolution.valid_at.get()) >= hold {
                lost(worker, resolver, resolution, &followers, *failure);
            }
        }
    }
}

/// Nothing good was heard for too long.
fn lost(
    worker: &Rc<Worker>,
    resolver: &Rc<Resolver>,
    resolution: &Resolution,
    followers: &[Follower],
    failure: Failure,
) {
    resolution.known.borrow_mut().clear();
    resolution.services.borrow_mut().clear();
    for follower in followers {
        match resolution.key.1 {
            Wanted::Services => vacate(worker, resolver, follower),
            _ => lose(worker, follower, failure.text()),
        }
    }
}

/// A server has no address any more.
fn lose(worker: &Rc<Worker>, follower: &Follower, reason: &str) {
    let reports = follower.backend.lose_address(&follower.server, reason, worker.clock.now().0);
    report::deliver(worker, reports);
    crate::upstream::close_idle(&worker.process, &follower.server);
}

/// A log line of a server's backend, said on standard error, too.
fn tell(worker: &Rc<Worker>, follower: &Follower, text: String) {
    let report =
        Report::Log { backend: follower.backend.name.clone(), level: Level::Notice, text, mail: None };
    report::deliver(worker, vec![report]);
}

/// Deals out the addresses of a name; has any server another one than before?
fn addresses(worker: &Rc<Worker>, resolution: &Resolution, followers: &[Follower], by: &str) -> bool {
    let known: Vec<IpAddr> = resolution.known.borrow().iter().map(|(ip, _)| *ip).collect();
    let wants: Vec<Wants<'_>> = followers
        .iter()
        .map(|f| {
            let given = f.server.naming.lock().given;
            let has = given.or_else(|| f.server.place().map(|a| a.ip()));
            Wants { group: Arc::as_ptr(&f.backend) as usize, has, options: &f.options }
        })
        .collect();
    let dealt = deal(&wants, &known);
    let mut changed = false;
    for (follower, ip) in followers.iter().zip(&dealt) {
        let Some(ip) = ip else { continue };
        let name = if changed { "DNS cache" } else { by };
        changed |= place(worker, follower, *ip, name);
    }
    for (follower, ip) in followers.iter().zip(dealt) {
        match ip {
            Some(_) => found(worker, follower),
            None => lose(worker, follower, NO_ADDRESS),
        }
    }
    changed
}

/// A server gets this address; has it been elsewhere?
fn place(worker: &Rc<Worker>, follower: &Follower, ip: IpAddr, by: &str) -> bool {
    let server = &follower.server;
    let port = {
        let mut naming = server.naming.lock();
        if naming.given == Some(ip) && !server.is_unresolved() {
            return false;
        }
        naming.given = Some(ip);
        match (&naming.srv_record, server.whereabouts()) {
            (Some(_), _) => SpotPort::Fixed(naming.srv_port),
            (None, Whereabouts::At(spot)) => spot.port,
            (None, _) => SpotPort::Configured,
        }
    };
    // that an SRV record has a port is no news here
    let line = match (port, follower.port) {
        (SpotPort::Fixed(_), SpotPort::Offset(_)) => port,
        (_, line) => line,
    };
    move_to(worker, follower, Spot { ip, port }, by, line)
}

/// A server is there from now on; has it been elsewhere? `line` is the port that it had if nothing was said.
fn move_to(worker: &Rc<Worker>, follower: &Follower, to: Spot, by: &str, line: SpotPort) -> bool {
    let server = &follower.server;
    let Some(text) = Told::now(server, line).change(&Told::spot(to, line), by) else {
        follower.backend.move_server(server, Whereabouts::At(to));
        return false;
    };
    tell(worker, follower, format!("{}/{}: {text}.", server.backend, server.name));
    follower.backend.move_server(server, Whereabouts::At(to));
    crate::upstream::close_idle(&worker.process, server);
    true
}

fn found(worker: &Rc<Worker>, follower: &Follower) {
    let reports = follower.backend.find_address(&follower.server, worker.clock.now().0);
    report::deliver(worker, reports);
}

/// SRV records have come: servers keep, lose and get their hosts.
fn services(
    worker: &Rc<Worker>,
    resolver: &Rc<Resolver>,
    resolution: &Resolution,
    followers: &[Follower],
    message: &Message,
    now: Millis,
) {
    let options = followers.first().map(|f| f.options.clone()).unwrap_or_default();
    let heard = heard(message, |ip| resolver.takes(now, &options, ip));
    let obsolete = resolver.plan.hold.obsolete.as_millis() as u64;
    let is = |s: &Service, target: &str, port: u16| s.target == target && s.port == port;
    let all: Vec<Service> = {
        let mut known = resolution.services.borrow_mut();
        known.retain(|(old, seen)| {
            now.since(*seen) < obsolete && !heard.iter().any(|s| is(s, &old.target, old.port))
        });
        let old = std::mem::take(&mut *known);
        *known = heard.into_iter().map(|s| (s, now)).chain(old).collect();
        known.iter().map(|(s, _)| s.clone()).collect()
    };
    let mut served = vec![false; all.len()];
    let mut free = Vec::new();
    for follower in followers {
        let (host, port) = {
            let naming = follower.server.naming.lock();
            (naming.fqdn.clone(), naming.srv_port)
        };
        let at = host.as_ref().and_then(|host| all.iter().position(|s| is(s, host, port)));
        match at {
            Some(at) if !served.get(at).copied().unwrap_or(true) => {
                if let (Some(flag), Some(service)) = (served.get_mut(at), all.get(at)) {
                    *flag = true;
                    serve(worker, resolver, follower, service, false);
                }
            }
            _ => {
                if host.is_some() {
                    vacate(worker, resolver, follower);
                }
                free.push(follower);
            }
        }
    }
    let unserved = all.iter().zip(&served).filter(|(_, served)| !**served).map(|(s, _)| s);
    for (follower, service) in free.into_iter().zip(unserved) {
        serve(worker, resolver, follower, service, true);
    }
}

/// The services of an answer.
fn heard(message: &Message, takes: impl Fn(IpAddr) -> Option<u8>) -> Vec<Service> {
    let mut all: Vec<Service> = Vec::new();
    for record in &message.answers {
        let Data::Service { weight, port, target, .. } = &record.data else { continue };
        let twice = all.iter().any(|s| s.target == *target && s.port == *port);
        // the root says that there is no such service
        if twice || target.is_empty() || all.len() >= MOST_SERVICES {
            continue;
        }
        let address = message.address_of(target, &takes);
        all.push(Service { target: target.clone(), port: *port, weight: *weight, address });
    }
    all
}

/// A server stands for this service, newly or still.
fn serve(worker: &Rc<Worker>, resolver: &Rc<Resolver>, follower: &Follower, service: &Service, new: bool) {
    let server = &follower.server;
    let weight = weight(service.weight);
    if !follower.options.ignore_weight && (new || server.weight() != weight) {
        let reports = follower.backend.set_weight(server, weight);
        crate::check::report::deliver(worker, reports);
        follower.backend.touch(worker.clock.now().0);
    }
    if let Some(ip) = service.address {
        resolver.unfollow_host(server);
        server.naming.lock().given = Some(ip);
        let spot = Spot { ip, port: SpotPort::Fixed(service.port) };
        if server.whereabouts() != Whereabouts::At(spot) {
            move_to(worker, follower, spot, "DNS additional record", follower.port);
        }
    }
    if new {
        let mut naming = server.naming.lock();
        naming.fqdn = Some(service.target.as_str().into());
        naming.srv_port = service.port;
        naming.renamed = true;
        drop(naming);
        let text = format!(
            "{}/{} changed its FQDN from (null) to {} by 'SRV record'",
            server.backend, server.name, service.target
        );
        tell(worker, follower, text);
    }
    match service.address {
        Some(_) => found(worker, follower),
        None => resolver.follow_host(worker, &service.target, follower.clone()),
    }
}

/// A server stands for no service any more.
fn vacate(worker: &Rc<Worker>, resolver: &Rc<Resolver>, follower: &Follower) {
    resolver.unfollow_host(&follower.server);
    follower.server.naming.lock().fqdn = None;
    lose(worker, follower, REMOVED);
}
