//! Samples of layer 4, and of the proxies and the server that are in use (manual section 7.3.3).

use crate::args::Args;
use crate::facts::Facts;
use crate::place::{BACKEND, CLIENT_CONNECTION, FRONTEND, SERVER_ADDRESS, SERVER_CONNECTION};
use crate::row::{Cursor, Fetch, SampleRows};
use crate::scope::Scope;
use crate::value::{Sample, Type, Value};
use std::net::{SocketAddr, UdpSocket};

fn ip(a: Option<SocketAddr>) -> Sample<'static> {
    a.map(|a| Value::ip(a.ip())).into()
}
fn port(a: Option<SocketAddr>) -> Sample<'static> {
    a.map(|a| Value::Int(i64::from(a.port()))).into()
}
/// The ends of the client's connection itself, ours first: a PROXY header told of other ones.
fn connected(s: &Scope<'_>) -> (Option<SocketAddr>, Option<SocketAddr>) {
    match s.facts.proxied {
        true => s.facts.client_link.socket.ends().map_or((None, None), |(ours, its)| (Some(ours), Some(its))),
        false => (s.facts.connected_to(), s.facts.client),
    }
}
/// Does the address belong to this host? Only then can a socket be bound to it.
fn local(a: Option<SocketAddr>) -> Sample<'static> {
    a.map(|a| Value::Bool(a.ip().is_loopback() || UdpSocket::bind((a.ip(), 0)).is_ok())).into()
}
fn name<'s>(n: &'s str, there: bool) -> Sample<'s> {
    there.then(|| Value::str(n.as_bytes())).into()
}
fn id(n: u32) -> Sample<'static> {
    (n != 0).then(|| Value::Int(i64::from(n))).into()
}
/// Something that only a stream has.
fn stream(s: &Scope<'_>, n: u32) -> Sample<'static> {
    s.facts.stream.then_some(Value::Int(n.into())).into()
}
fn source(f: &Facts<'_>) -> Option<SocketAddr> {
    f.source()
}
fn destination(f: &Facts<'_>) -> Option<SocketAddr> {
    f.destination()
}
fn server<'s>(_: &'s Args, s: &Scope<'s>, _: &mut Cursor) -> Sample<'s> {
    name(s.facts.server_name, s.facts.server_id != 0)
}

/// Rows.
pub const ROWS: SampleRows = SampleRows {
    fetches: &[
        Fetch::new(
            "src",
            Type::Addr,
            CLIENT_CONNECTION,
            "The client's address, as rules may have changed it.",
            |_, s, _| ip(source(s.facts)),
        ),
        Fetch::new("src_port", Type::Int, CLIENT_CONNECTION, "The client's port.", |_, s, _| {
            port(source(s.facts))
        }),
        Fetch::new(
            "src_is_local",
            Type::Bool,
            CLIENT_CONNECTION,
            "Is the client's address one of this host?",
            |_, s, _| local(source(s.facts)),
        ),
        Fetch::new(
            "dst",
            Type::Addr,
            CLIENT_CONNECTION,
            "The address that the client connected to, as rules may have changed it.",
            |_, s, _| ip(destination(s.facts)),
        ),
        Fetch::new(
            "dst_port",
            Type::Int,
            CLIENT_CONNECTION,
            "The port that the client connected to.",
            |_, s, _| port(destination(s.facts)),
        ),
        Fetch::new(
            "dst_is_local",
            Type::Bool,
            CLIENT_CONNECTION,
            "Is the destination address one of this host?",
            |_, s, _| local(destination(s.facts)),
        ),
        Fetch::new(
            "fc_src",
            Type::Addr,
            CLIENT_CONNECTION,
            "The client's address of the connection itself.",
            |_, s, _| ip(connected(s).1),
        ),
        Fetch::new(
            "fc_src_port",
            Type::Int,
            CLIENT_CONNECTION,
            "The client's port of the connection itself.",
            |_, s, _| port(connected(s).1),
        ),
        Fetch::new(
            "fc_src_is_local",
            Type::Bool,
            CLIENT_CONNECTION,
            "Is the connection's source address one of this host?",
            |_, s, _| local(connected(s).1),
        ),
        Fetch::new(
            "fc_dst",
            Type::Addr,
            CLIENT_CONNECTION,
            "The destination address of the connection itself.",
            |_, s, _| ip(connected(s).0),
        ),
        Fetch::new(
            "fc_dst_port",
            Type::Int,
            CLIENT_CONNECTION,
            "The destination port of the connection itself.",
            |_, s, _| port(connected(s).0),
        ),
        Fetch::new(
            "fc_dst_is_local",
            Type::Bool,
            CLIENT_CONNECTION,
            "Is the connection's destination address one of this host?",
            |_, s, _| local(connected(s).0),
        ),
        Fetch::new(
            "bc_src",
            Type::Addr,
            SERVER_ADDRESS,
            "Our address of the connection to the server.",
            |_, s, _| ip(s.facts.our_end()),
        ),
        Fetch::new(
            "bc_src_port",
            Type::Int,
            SERVER_ADDRESS,
            "Our port of the connection to the server.",
            |_, s, _| port(s.facts.our_end()),
        ),
        Fetch::new("bc_dst", Type::Addr, SERVER_ADDRESS, "The server's address.", |_, s, _| {
            ip(s.facts.server)
        }),
        Fetch::new("bc_dst_port", Type::Int, SERVER_ADDRESS, "The server's port.", |_, s, _| {
            port(s.facts.server)
        }),
        Fetch::new("fe_name", Type::Str, FRONTEND, "Name of the frontend.", |_, s, _| {
            name(s.facts.frontend_name, true)
        }),
        Fetch::new("fe_id", Type::Int, FRONTEND, "Id of the frontend.", |_, s, _| id(s.facts.frontend_id)),
        Fetch::new("be_name", Type::Str, BACKEND, "Name of the backend.", |_, s, _| {
            name(s.facts.backend_name, s.facts.backend_id != 0)
        }),
        Fetch::new("be_id", Type::Int, BACKEND, "Id of the backend.", |_, s, _| id(s.facts.backend_id)),
        Fetch::new("srv_name", Type::Str, SERVER_CONNECTION, "Name of the server.", server),
        Fetch::new("srv_id", Type::Int, SERVER_CONNECTION, "Id of the server.", |_, s, _| {
            id(s.facts.server_id)
        }),
        Fetch::new("so_name", Type::Str, FRONTEND, "`name` of the listening socket.", |_, s, _| {
            s.facts.listener_name.map(|n| Value::str(n.as_bytes())).into()
        }),
        Fetch::new("so_id", Type::Int, FRONTEND, "Id of the listening socket.", |_, s, _| {
            id(s.facts.listener_id)
        }),
        Fetch::new(
            "bc_be_queue",
            Type::Int,
            SERVER_ADDRESS,
            "Requests served before this one from the backend's queue.",
            |_, s, _| stream(s, s.facts.backend_queue),
        ),
        Fetch::new(
            "bc_srv_queue",
            Type::Int,
            SERVER_ADDRESS,
            "Requests served before this one from the server's queue.",
            |_, s, _| stream(s, s.facts.server_queue),
        ),
    ],
    converters: &[],
    acls: &[],
};
