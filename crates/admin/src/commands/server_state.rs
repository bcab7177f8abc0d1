//! `set server`, `enable server`, `disable server`

use super::{Named, server};
use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_backend::discovery::Told;
use portcullis_backend::health::Which;
use portcullis_backend::{Admin, Health, Spot, SpotPort, Whereabouts};
use portcullis_proxy::live::{self, Unrenamed};
use std::net::IpAddr;

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
    if !named.on(call).switch(which, on) && on {
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
        "fqdn" => fqdn(call, &named),
        "agent" => agent(call, &named),
        "agent-addr" => target(call, &named, Which::Agent, true),
        "agent-port" => target(call, &named, Which::Agent, false),
        "check-addr" => target(call, &named, Which::Health, true),
        "check-port" => target(call, &named, Which::Health, false),
        "agent-send" => agent_send(call, &named),
        "ssl" => tls(call, &named),
        "name" => rename(call, &named),
        _ => Outcome::err(USAGE),
    }
}

/// `set server … ssl`
fn tls(call: &Call<'_>, named: &Named) -> Outcome {
    if named.server_plan().is_some_and(|p| p.line.is_some()) {
        return Outcome::err("'set server <srv> ssl' not supported on dynamic servers\n");
    }
    if named.server_plan().is_none_or(|p| p.tls.is_none() && p.spare_tls.is_none()) {
        return Outcome::err(
            "'set server <srv> ssl' cannot be set.  default-server should define ssl settings",
        );
    }
    let on = match &*call.arg(4) {
        "on" => true,
        "off" => false,
        _ => return Outcome::err("'set server <srv> ssl' expects 'on' or 'off'."),
    };
    match live::switch_tls(&call.admin.process, &named.server, on) {
        true => Outcome::notice("server ssl setting updated."),
        false => Outcome::err("No such server."),
    }
}

/// `set server … name`
fn rename(call: &Call<'_>, named: &Named) -> Outcome {
    let to = call.arg(4);
    if to.is_empty() {
        return Outcome::err("set server <b>/<s> name requires a new name.");
    }
    if to.chars().any(|c| !c.is_ascii_alphanumeric() && !"_-.:".contains(c)) {
        return Outcome::err("Server name contains invalid characters.");
    }
    let server = &named.server;
    if server.own_admin() != Admin::Maint {
        return Outcome::err(
            "Server must be in maintenance mode to be renamed (set server <b>/<s> state maint).",
        );
    }
    let before = server.name.get();
    match live::rename_server(&call.admin.process, server, &to) {
        Ok(()) => {
            if *before != *to {
                let text = format!("Server {}/{to} renamed from '{before}'.", server.backend);
                call.admin.process.say(portcullis_config::Severity::Notice, &text);
            }
            Outcome::notice("Server name updated.")
        }
        Err(Unrenamed::Gone) => Outcome::err("No such server."),
        Err(Unrenamed::Taken) => Outcome::err("A server with the same name already exists in this backend."),
        Err(Unrenamed::Named) => Outcome::err(
            "Cannot rename: server's name is statically referenced (use-server, track, or sample argument).",
        ),
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
        text => match text.parse::<i64>().map(u16::try_from) {
            Ok(Ok(n)) => Some(n),
            Ok(Err(_)) => return Outcome::err("provided port is invalid"),
            Err(_) => return Outcome::err("provided port is not an integer"),
        },
    };
    let to = match which {
        Which::Health => &mut life.target,
        Which::Agent => &mut life.agent_target,
    };
    to.addr = addr.or(to.addr);
    if port.is_some() {
        // 0: the server's own
        to.port = port.filter(|n| *n > 0 || which == Which::Agent);
    }
    Outcome::Nothing
}

/// `addr <ip> [port <port>]`
fn address(call: &Call<'_>, named: &Named) -> Outcome {
    if !call.has(4) {
        return Outcome::err("set server <b>/<s> addr requires an address and optionally a port.");
    }
    let Some(plan) = named.server_plan() else { return Outcome::err("No such server.") };
    if plan.address(&named.server).is_none() {
        return Outcome::err(
            "Update for the current server address family is only supported through configuration file.",
        );
    }
    let text = call.arg(4);
    let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() else {
        return Outcome::err(format!("Invalid addr '{text}'"));
    };
    let old = match named.server.whereabouts() {
        Whereabouts::At(spot) if spot.port != SpotPort::Configured => spot.port,
        _ => plan.port(),
    };
    let port = match (&*call.arg(5), call.has(5)) {
        (_, false) => old,
        ("port", _) => match port(&call.arg(6)) {
            Some(port) => port,
            None if call.arg(6).bytes().any(|b| b.is_ascii_digit()) => {
                return Outcome::err(format!("Invalid port '{}'", call.arg(6)));
            }
            None => {
                return Outcome::err(format!("problem converting port '{}' to an int", call.arg(6)));
            }
        },
        _ => return Outcome::err("set server <b>/<s> addr requires an address and optionally a port."),
    };
    let to = Spot { ip, port };
    let before = Told::now(&named.server, plan.port());
    let Some(said) = before.change(&Told::spot(to, plan.port()), "stats socket command") else {
        return Outcome::notice("nothing changed");
    };
    named.backend.move_server(&named.server, Whereabouts::At(to));
    portcullis_proxy::upstream::close_idle(&call.admin.process, &named.server);
    Outcome::notice(said)
}

/// `80`, or `+80` and `-80`: more or less than what the client asked for.
fn port(text: &str) -> Option<SpotPort> {
    let digits = text.trim_start_matches(['+', '-']);
    let number = digits.parse::<u16>().ok()?;
    match text.strip_suffix(digits)? {
        "" => (number > 0).then_some(SpotPort::Fixed(number)),
        "+" => Some(SpotPort::Offset(number.into())),
        "-" => Some(SpotPort::Offset(-i32::from(number))),
        _ => None,
    }
}

/// `fqdn <FQDN>`
fn fqdn(call: &Call<'_>, named: &Named) -> Outcome {
    if !call.has(4) {
        return Outcome::err("set server <b>/<s> fqdn requires a FQDN.");
    }
    let Some(plan) = named.server_plan().filter(|p| p.resolve.is_some()) else {
        return Outcome::err("set server <b>/<s> fqdn failed because no resolution is configured.");
    };
    let new = call.arg(4);
    let who = format!("{}/{}", named.server.backend, named.server.name);
    let old = {
        let mut naming = named.server.naming.lock();
        if naming.srv_record.is_some() {
            return Outcome::err("set server <b>/<s> fqdn failed because SRV resolution is configured.");
        }
        if naming.fqdn.as_deref() == Some(&*new) {
            return Outcome::notice("no need to change the FDQN by 'stats socket command'");
        }
        if !portcullis_config::rows::discovery::is_name(&new) {
            return Outcome::err(format!("could not update {who} FQDN by 'stats socket command'"));
        }
        naming.renamed = true;
        naming.given = None;
        naming.fqdn.replace(new.as_ref().into()).unwrap_or_else(|| "(null)".into())
    };
    portcullis_proxy::dns::renamed(&call.admin.process, plan, &named.backend, &named.server);
    Outcome::notice(format!("{who} changed its FQDN from {old} to {new} by 'stats socket command'"))
}
