//! `set server`, `enable server`, `disable server`

use super::{Named, server};
use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
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
    named.on(call).admin(to);
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
        "agent" => Outcome::err("agent checks are not enabled on this server."),
        what
        @ ("agent-addr" | "agent-port" | "agent-send" | "check-addr" | "check-port" | "name" | "ssl") => {
            Outcome::err(format!("'set server <b>/<s> {what}' is not supported yet."))
        }
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
    named.on(call).health(to);
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
