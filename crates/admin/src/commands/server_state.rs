//! `set server`, `enable server`, `disable server`

use super::{Named, server};
use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_backend::health::Which;
use portcullis_backend::{Admin, Health};
use std::net::{IpAddr, SocketAddr};

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row::new(
        "set server",
        "<bk>/<srv> [opts]",
        Level::Admin,
        "change a server's state, weight, address, name or ssl",
        set,
    ),
    Row::new(
        "disable server",
        "(DEPRECATED)",
        Level::Admin,
        "disable a server for maintenance (use 'set server' instead)",
        |c| admin(c, Admin::Maint),
    ),
    Row::new(
        "enable server",
        " (DEPRECATED)",
        Level::Admin,
        "enable a disabled server (use 'set server' instead)",
        |c| admin(c, Admin::Ready),
    ),
    Row::new("disable health", "", Level::Admin, "disable health checks", |c| {
        switch(c, Which::Health, false)
    }),
    Row::new("enable health", "", Level::Admin, "enable health checks", |c| switch(c, Which::Health, true)),
    Row::new("disable agent", "", Level::Admin, "disable agent checks", |c| switch(c, Which::Agent, false)),
    Row::new("enable agent", "", Level::Admin, "enable agent checks", |c| switch(c, Which::Agent, true)),
];

const USAGE: &str = "usage: set server <backend>/<server> addr | agent | agent-addr | agent-port | agent-send | \
    check-addr | check-port | fqdn | health | name | ssl | state | weight";

fn admin(call: &mut Call<'_>, to: Admin) -> Outcome {
    match server(call, 2) {
        Ok(named) => change(call, &named, to),
        Err(e) => e,
    }
}

fn change(call: &Call<'_>, named: &Named, to: Admin) -> Outcome {
    named.on(call).admin(to, &call.admin.process);
    Outcome::Nothing
}

/// `enable` and `disable` of `health` and `agent`
fn switch(call: &Call<'_>, which: Which, on: bool) -> Outcome {
    let named = match server(call, 2) {
        Ok(n) => n,
        Err(e) => return e,
    };
    if !named.on(call).switch(which, on) && on && !named.server.life.lock().probe(which).configured {
        let what = if which == Which::Agent { "Agent" } else { "Health check" };
        return Outcome::err(format!("{what} was not configured on this server, cannot enable."));
    }
    Outcome::Nothing
}

fn set(call: &mut Call<'_>) -> Outcome {
    let named = match server(call, 2) {
        Ok(n) => n,
        Err(e) => return e,
    };
    match &*call.arg(3) {
        "weight" => super::servers::set_weight(call, &named, 4),
        "state" => match &*call.arg(4) {
            "ready" => change(call, &named, Admin::Ready),
            "drain" => change(call, &named, Admin::Drain),
            "maint" => change(call, &named, Admin::Maint),
            _ => Outcome::err("'set server <srv> state' expects 'ready', 'drain' and 'maint'."),
        },
        "health" => health(call, &named),
        "addr" => address(call, &named),
        "maxconn" => super::limits::set_server_maxconn(&named, &call.arg(4)),
        "fqdn" => Outcome::err("set server <b>/<s> fqdn failed because no resolution is configured."),
        "agent" => agent(call, &named),
        "agent-addr" => target(call, &named, Which::Agent, true),
        "agent-port" => target(call, &named, Which::Agent, false),
        "check-addr" => target(call, &named, Which::Health, true),
        "check-port" => target(call, &named, Which::Health, false),
        "agent-send" => agent_send(call, &named),
        what @ ("name" | "ssl") => Outcome::err(format!("'set server <b>/<s> {what}' is not supported yet.")),
        _ => Outcome::err(USAGE),
    }
}

fn health(call: &Call<'_>, named: &Named) -> Outcome {
    let to = match &*call.arg(4) {
        "up" => Health::Up,
        "stopping" => Health::Stopping,
        "down" => Health::Down,
        _ => return Outcome::err("'set server <srv> health' expects 'up', 'stopping', or 'down'."),
    };
    if named.server.life.lock().tracked().is_some() {
        return Outcome::err("cannot change health on a tracking server.");
    }
    named.on(call).health(to, &call.admin.process);
    Outcome::Nothing
}

/// `agent { up | down }`
fn agent(call: &Call<'_>, named: &Named) -> Outcome {
    if !named.server.life.lock().agent.enabled {
        return Outcome::err("agent checks are not enabled on this server.");
    }
    let up = match &*call.arg(4) {
        "up" => true,
        "down" => false,
        _ => return Outcome::err("'set server <srv> agent' expects 'up' or 'down'."),
    };
    named.on(call).agent(up, &call.admin.process);
    Outcome::Nothing
}

/// `agent-send <value>`
fn agent_send(call: &Call<'_>, named: &Named) -> Outcome {
    let mut life = named.server.life.lock();
    if !life.agent.enabled {
        return Outcome::err("agent checks are not enabled on this server.");
    }
    life.agent_send = call.words.get(4).cloned().unwrap_or_default();
    Outcome::Nothing
}

/// `check-addr <ip> [port <port>]`, `check-port <port>`, and the same for agents.
fn target(call: &Call<'_>, named: &Named, which: Which, with_address: bool) -> Outcome {
    let (kind, checks) = match which {
        Which::Health => ("check", "health"),
        Which::Agent => ("agent", "agent"),
    };
    if !call.has(4) {
        return Outcome::err(match with_address {
            true => format!("set server <b>/<s> {kind}-addr requires an address and optionally a port."),
            false => format!("set server <b>/<s> {kind}-port requires a port."),
        });
    }
    let mut life = named.server.life.lock();
    if !life.probe(which).enabled {
        return Outcome::err(format!("{checks} checks are not enabled on this server"));
    }
    let (addr, port) = match with_address {
        false => (None, call.arg(4)),
        true => {
            let text = call.arg(4);
            let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() else {
                return Outcome::err(format!("invalid addr '{text}'"));
            };
            (Some(ip), if &*call.arg(5) == "port" { call.arg(6) } else { "".into() })
        }
    };
    let port = match &*port {
        "" => None,
        text => match text.parse::<u16>() {
            Ok(n) if n > 0 => Some(n),
            _ => return Outcome::err("provided port is invalid"),
        },
    };
    let to = match which {
        Which::Health => &mut life.target,
        Which::Agent => &mut life.agent_target,
    };
    to.addr = addr.or(to.addr);
    to.port = port.or(to.port);
    Outcome::Nothing
}

/// `addr <ip> [port <port>]`
fn address(call: &Call<'_>, named: &Named) -> Outcome {
    if !call.has(4) {
        return Outcome::err("set server <b>/<s> addr requires an address and optionally a port.");
    }
    let text = call.arg(4);
    let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() else {
        return Outcome::err(format!("Invalid addr '{text}'"));
    };
    let Some(plan) = named.server_plan() else { return Outcome::err("No such server.") };
    let Some(old) = plan.address(&named.server) else {
        return Outcome::err("Changing the address of a server on a UNIX socket is not supported yet.");
    };
    let port = match (&*call.arg(5), call.has(5)) {
        (_, false) => old.port(),
        ("port", _) => match call.arg(6).parse::<u16>() {
            Ok(p) if p > 0 => p,
            _ => return Outcome::err(format!("Invalid port '{}'", call.arg(6))),
        },
        _ => return Outcome::err("set server <b>/<s> addr requires an address and optionally a port."),
    };
    if plan.port_offset.is_some() {
        return Outcome::err(
            "Changing the address of a server whose port depends on the client's is not supported yet.",
        );
    }
    let new = SocketAddr::new(ip, port);
    let mut said = Vec::new();
    if old.ip() != ip {
        said.push(format!("IP changed from '{}' to '{ip}'", old.ip()));
    }
    if old.port() != port {
        said.push(format!("port changed from '{}' to '{port}'", old.port()));
    }
    if said.is_empty() {
        return Outcome::notice("nothing changed");
    }
    named.backend.set_address(&named.server, new);
    close_idle(call, named);
    Outcome::notice(format!("{} by 'stats socket command'", said.join(", ")))
}

/// Idle connections lead to the old address.
fn close_idle(call: &Call<'_>, named: &Named) {
    let server = named.server.clone();
    call.admin.process.tell_all(|| {
        let server = server.clone();
        portcullis_proxy::worker::mailbox::Mail::Run(Box::new(move |worker| {
            worker.idle.borrow_mut().close_server(&server);
        }))
    });
}
