//! `server` and `default-server` with their options (manual sections 4.2 and 5.2).

use super::{address, discovery, near, resolve, source, value};
use crate::addr::{Address, Host, Ports, Transport};
use crate::balance::HashKey;
use crate::cx::Cx;
use crate::diag::Severity;
use crate::known;
use crate::model::{LogProto, Proto, Server, ServerSettings, Websockets};
use crate::needs::Needs;
use crate::row::{Does, Keyword, Sections, ServerOption};
use crate::server_option as opt;
use crate::word::{Args, Line, Word};

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    Keyword {
        name: "server",
        sections: Sections::from_bits_retain(Sections::LISTEN.bits() | Sections::BACKEND.bits()),
        args: "<name> <address>[:[port]] [from <origin>] [param*]",
        help: "A server of the backend.",
        negatable: false,
        does: Does::Works(server),
    },
    Keyword {
        name: "default-server",
        sections: Sections::BACK,
        args: "[name <name>] [from <origin>] [param*]",
        help: "What the servers on the lines below begin with.",
        negatable: false,
        does: Does::Works(default_server),
    },
];

/// The options of `server`.
pub const OPTIONS: &[ServerOption] = &[
    opt!("backup", "", |_, s, _| s.set.backup = true, "Used only when no other server is there."),
    opt!(
        "cc",
        "<algo>",
        |cx, s, a| s.set.cc = string(cx, s, a, "'cc' : missing TCP congestion control algorithm"),
        "TCP congestion control algorithm."
    ),
    opt!(
        "cookie",
        "<value>",
        |cx, s, a| s.set.cookie = bytes(cx, s, a, "'cookie' : expects <value> as argument."),
        "Its value of the backend's persistence cookie."
    ),
    opt!("disabled", "", |_, s, _| s.set.disabled = true, "Starts in maintenance."),
    opt!(
        "enabled",
        "",
        |_, s, _| s.set.disabled = false,
        "Starts in service, whatever 'default-server' says."
    ),
    opt!("guid", "<string>", guid, "A name of the server that is unique in the whole configuration."),
    opt!("hash-key", "<key>", hash_key, "What its places on a consistent ring are made from."),
    opt!("id", "<value>", id, "Number of the server in statistics."),
    opt!("log-bufsize", "<bufsize>", log_bufsize, "Bytes of the ring before it, in a backend in mode log."),
    opt!(
        "log-proto",
        "{ legacy | octet-count }",
        log_proto,
        "How log messages follow one another on a connection."
    ),
    opt!("max-reuse", "<count>", max_reuse, "How often a connection is used again; -1 for no limit."),
    opt!(
        "maxconn",
        "<maxconn>",
        |cx, s, a| s.set.maxconn = count(cx, a, "maxconn"),
        "Connections at the same time; others wait in the queue."
    ),
    opt!("maxqueue", "<maxqueue>", |cx, s, a| s.set.maxqueue = count(cx, a, "maxqueue"), "Longest queue."),
    opt!(
        "minconn",
        "<minconn>",
        |cx, s, a| s.set.minconn = count(cx, a, "minconn"),
        "Connections at the same time while the backend has little load."
    ),
    opt!(
        "namespace",
        "<name>",
        namespace,
        "Network namespace to connect from; '*' takes that of the client."
    ),
    opt!("no-backup", "", |_, s, _| s.set.backup = false, "Takes 'backup' back."),
    opt!("no-send-proxy", "", |_, s, _| s.set.send_proxy = false, "Takes 'send-proxy' back."),
    opt!("no-send-proxy-v2", "", |_, s, _| s.set.send_proxy_v2 = false, "Takes 'send-proxy-v2' back."),
    opt!("no-send-proxy-v2-ssl", "", |_, s, _| no_tls(s), "Takes 'send-proxy-v2-ssl' back."),
    opt!("no-send-proxy-v2-ssl-cn", "", |_, s, _| no_tls(s), "Takes 'send-proxy-v2-ssl-cn' back."),
    opt!("no-tfo", "", |_, s, _| s.set.tfo = false, "Takes 'tfo' back."),
    opt!("pool-low-conn", "<max>", pool_low_conn, "Idle connections that a worker leaves to the others."),
    opt!("pool-max-conn", "<max>", pool_max_conn, "Idle connections that are kept; -1 for no limit."),
    opt!(
        "pool-purge-delay",
        "<delay>",
        pool_purge_delay,
        "How often half of the idle connections that were not needed are closed."
    ),
    opt!("proto", "<name>", proto, "The protocol that is spoken without negotiation."),
    opt!(
        "proxy-v2-options",
        "<option>[,<option>]*",
        proxy_v2_options,
        "What a version 2 PROXY header carries besides addresses."
    ),
    opt!(
        "redir",
        "<prefix>",
        |cx, s, a| s.set.redir = bytes(cx, s, a, "'redir' : expects <prefix> as argument."),
        "GET and HEAD requests are redirected to this prefix with the requested path behind it."
    ),
    opt!(
        "send-proxy",
        "",
        |_, s, _| s.set.send_proxy = true,
        "Connections begin with a PROXY protocol header, version 1."
    ),
    opt!(
        "send-proxy-v2",
        "",
        |_, s, _| s.set.send_proxy_v2 = true,
        "Connections begin with a PROXY protocol header, version 2."
    ),
    opt!(
        "send-proxy-v2-ssl",
        "",
        |_, s, _| tells(s, "ssl"),
        "The same, with what is known of the client's TLS."
    ),
    opt!(
        "send-proxy-v2-ssl-cn",
        "",
        |_, s, _| tells(s, "cert-cn"),
        "The same, with the name in the client's certificate."
    ),
    opt!(
        "strict-maxconn",
        "",
        |_, s, _| s.set.strict_maxconn = true,
        "Never more connections than 'maxconn', idle ones counted."
    ),
    opt!(
        "slowstart",
        "<start_time_in_ms>",
        slowstart,
        "Time over which a server that has come back takes more and more load."
    ),
    opt!("idle-ping", "<delay>", idle_ping, "How often idle HTTP/2 connections are pinged."),
    opt!("socks4", "<addr>:<port>", socks4, "A SOCKS4 server to connect through."),
    opt!(
        "source",
        "<addr>[:<pl>[-<ph>]] [usesrc ...] [interface <name>]",
        source_of,
        "The local address of connections."
    ),
    opt!("tcp-md5sig", "<password>", tcp_md5sig, "Signs TCP segments (RFC 2385)."),
    opt!("tcp-ut", "<delay>", tcp_ut, "Time after which unacknowledged data end a connection."),
    opt!("tfo", "", |_, s, _| s.set.tfo = true, "TCP Fast Open."),
    opt!(
        "usesrc",
        "",
        |cx, s, a| complain(cx, s, last(a), "'usesrc' only allowed after a 'source' statement."),
        "Stands behind 'source' only."
    ),
    opt!("weight", "<weight>", weight, "Its share of the load, 0 to 256."),
    opt!("ws", "{ auto | h1 | h2 }", websockets, "What streams of WebSocket are relayed over."),
];

/// A `server` line without its defaults, whose parameters are among `allowed` (`add server`).
pub(crate) fn at_run_time(cx: &mut Cx<'_>, line: &Line, allowed: &[&str]) {
    read(cx, line, ServerSettings::default(), Some(allowed));
}

fn server(cx: &mut Cx<'_>, line: &Line) {
    let set = cx.proxy().default_server.clone();
    read(cx, line, set, None);
}

/// The server of a line in a `ring` section.
pub(super) fn of_ring(cx: &mut Cx<'_>, line: &Line) -> Option<Server> {
    parsed(cx, line, ServerSettings::default(), None)
}

fn read(cx: &mut Cx<'_>, line: &Line, set: ServerSettings, allowed: Option<&[&str]>) {
    if let Some(server) = parsed(cx, line, set, allowed) {
        cx.proxy().servers.push(server);
    }
}

fn parsed(cx: &mut Cx<'_>, line: &Line, set: ServerSettings, allowed: Option<&[&str]>) -> Option<Server> {
    let (Some(name), Some(word)) = (line.word(1), line.word(2).filter(|w| !w.text.is_empty())) else {
        cx.alert(line.words.last(), "'server' expects <name> and <addr>[:<port>] as arguments.");
        return None;
    };
    let text = name.str().into_owned();
    if let Some(c) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !"_-.:".contains(*c)) {
        cx.alert(Some(name), format!("character '{c}' is not permitted in server name '{text}'."));
        return None;
    }
    let mut server = Server::new(line.place(), text, nowhere(), set).saying(line);
    match address_of(cx, &word.str()) {
        Ok(address) => server.address = address,
        Err(e) => {
            complain(cx, &server, Some(word), &e);
            return None;
        }
    }
    let fine = discovery::name_of(cx, &mut server, word) && some(cx, &mut server, &mut line.args(3), allowed);
    fine.then_some(server)
}

/// In the place of an address that is still to be read.
pub(super) fn nowhere() -> Address {
    Address { transport: Transport::Stream, host: Host::Fd(-1), ports: Ports::None }
}

/// The address of a `server` or `server-template` line.
pub(super) fn address_of(cx: &Cx<'_>, text: &str) -> Result<Address, String> {
    let text = &*address::expand(cx.env, text);
    let address = address::parse(text, address::SERVER)?;
    match &address.host {
        Host::SockPair(n) => {
            resolve::socket(*n).map_err(|e| format!("cannot use file descriptor '{n}' : {e}."))?;
            return Err(value::not_yet(&format!("'{text}'"), "connections over socket pairs"));
        }
        Host::Rhttp(_) if !cx.model.global.experimental => {
            return Err(format!(
                "Address '{text}' is experimental, must be allowed via a global 'expose-experimental-directives'"
            ));
        }
        _ => {}
    }
    Ok(address)
}

fn default_server(cx: &mut Cx<'_>, line: &Line) {
    let mut args = line.args(1);
    let name = match args.accept("name") {
        false => None,
        true => match args.next() {
            Some(w) => Some(w.str().into_owned()),
            None => {
                cx.alert(line.words.last(), "name: missing value.");
                return;
            }
        },
    };
    let proxy = cx.proxy();
    let set = match &name {
        None => proxy.default_server.clone(),
        Some(n) => proxy
            .named_default_servers
            .iter()
            .find(|(m, _)| m == n)
            .map(|(_, s)| s.clone())
            .unwrap_or_default(),
    };
    let mut server = Server::new(line.place(), String::new(), nowhere(), set);
    if !options(cx, &mut server, &mut args) {
        return;
    }
    let proxy = cx.proxy();
    match name {
        None => (proxy.default_server, proxy.has_default_server) = (server.set, true),
        Some(n) => {
            proxy.named_default_servers.retain(|(m, _)| *m != n);
            proxy.named_default_servers.push((n, server.set));
        }
    }
}

/// Reads `from` and the options up to the end of the line; false if something is wrong.
pub(super) fn options(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) -> bool {
    some(cx, server, args, None)
}

fn some(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>, allowed: Option<&[&str]>) -> bool {
    if args.accept("from") && !from(cx, server, args) {
        return false;
    }
    while let Some(word) = args.next() {
        let before = cx.diags.list.len();
        let name = word.str();
        let known = || known::SERVER.binary_search(&bare(&name)).is_ok();
        match allowed.is_none_or(|all| all.contains(&bare(&name)) || !known()) {
            true => option(cx, server, word, args),
            false => complain(
                cx,
                server,
                Some(word),
                &format!("'{name}' option is not accepted for dynamic server"),
            ),
        }
        if cx.diags.list.iter().skip(before).any(|d| d.severity == Severity::Alert) {
            return false;
        }
    }
    true
}

fn option(cx: &mut Cx<'_>, server: &mut Server, word: &Word, args: &mut Args<'_>) {
    let name = word.str();
    let row = cx.registry.server_option(bare(&name));
    match row.map(|r| r.does) {
        Some(Does::Works(parse)) => parse(cx, server, args),
        Some(Does::NoEffect(why)) => {
            cx.notice(Some(word), format!("'{name}' has no effect: {why}"));
            let takes = row.map_or(0, |r| r.args.split_whitespace().filter(|a| a.starts_with('<')).count());
            args.by_ref().take(takes).for_each(drop);
        }
        Some(Does::NotYet(what)) => {
            complain(cx, server, Some(word), &value::not_yet(&format!("'{name}'"), what))
        }
        None if known::SERVER.binary_search(&bare(&name)).is_ok() => {
            complain(cx, server, Some(word), &format!("'{name}' is not supported yet."));
        }
        None => {
            let hint = near::hint(&name, known::SERVER.iter().copied());
            let address =
                if server.name.is_empty() { " Hint: no address was expected for this server." } else { "" };
            complain(cx, server, Some(word), &format!("unknown keyword '{name}'{hint}.{address}"));
        }
    }
}

/// The name without an argument in it, as `set-proxy-v2-tlv-fmt(<id>)` has one.
fn bare(name: &str) -> &str {
    name.split_once('(').map_or(name, |(name, _)| name)
}

/// `from { none | be:[<name>] | srv:[<backend>/]<server> }`
fn from(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) -> bool {
    let Some(word) = args.next() else {
        complain(cx, server, last(args), "from: missing value.");
        return false;
    };
    match origin(cx, &word.str()) {
        Ok(set) => server.set = set,
        Err(e) => {
            complain(cx, server, Some(word), &e);
            return false;
        }
    }
    true
}

fn origin(cx: &mut Cx<'_>, text: &str) -> Result<ServerSettings, String> {
    if text == "none" {
        return Ok(ServerSettings::default());
    }
    if let Some(backend) = text.strip_prefix("be:") {
        return proxy_named(cx, backend).map(|p| p.default_server.clone());
    }
    let Some(path) = text.strip_prefix("srv:") else {
        return Err(format!("invalid '{text}' value for 'from' keyword."));
    };
    let (backend, name) = path.split_once('/').unwrap_or(("", path));
    let proxy = proxy_named(cx, backend)?;
    let server = proxy.servers.iter().find(|s| s.name == name).map(|s| &s.set);
    server
        .or_else(|| proxy.named_default_servers.iter().find(|(n, _)| n == name).map(|(_, s)| s))
        .cloned()
        .ok_or_else(|| format!("from: unknown server '{name}' in backend '{}'.", proxy.name))
}

fn proxy_named<'c>(cx: &'c mut Cx<'_>, name: &str) -> Result<&'c crate::model::Proxy, String> {
    if name.is_empty() {
        return Ok(cx.proxy());
    }
    cx.model
        .proxies
        .iter()
        .find(|p| p.kind.back() && p.name == name)
        .ok_or_else(|| format!("from: unknown backend instance '{name}'."))
}

/// The word before the cursor.
pub(super) fn last<'w>(args: &Args<'w>) -> Option<&'w Word> {
    args.words.get(args.at.saturating_sub(1)).or(args.words.last())
}

/// An alert about a `server` line (which names the server) or a `default-server` line.
pub fn complain(cx: &mut Cx<'_>, server: &Server, word: Option<&Word>, message: &str) {
    let message = about(cx, server, message);
    cx.alert(word, message);
}

/// The same, as a warning.
pub fn remark(cx: &mut Cx<'_>, server: &Server, word: &Word, message: &str) {
    let message = about(cx, server, message);
    cx.warn(Some(word), message);
}

fn about(cx: &mut Cx<'_>, server: &Server, message: &str) -> String {
    match server.name.is_empty() {
        true => message.to_owned(),
        false if cx.section == Sections::RESOLVERS => format!("'nameserver {}' : {message}", server.name),
        false if cx.section == Sections::RING => {
            let ring = cx.model.rings.last().map_or("", |r| r.name.as_str());
            format!("'server {ring}/{}' : {message}", server.name)
        }
        false => format!("{} : {message}", server.called(&cx.proxy().name)),
    }
}

fn word<'w>(cx: &mut Cx<'_>, server: &Server, args: &mut Args<'w>, missing: &str) -> Option<&'w Word> {
    let word = args.next().filter(|w| !w.text.is_empty());
    if word.is_none() {
        complain(cx, server, last(args), &format!("{missing}."));
    }
    word
}

fn string(cx: &mut Cx<'_>, server: &Server, args: &mut Args<'_>, missing: &str) -> Option<String> {
    word(cx, server, args, missing).map(|w| w.str().into_owned())
}

fn bytes(cx: &mut Cx<'_>, server: &Server, args: &mut Args<'_>, missing: &str) -> Option<Vec<u8>> {
    word(cx, server, args, missing).map(|w| w.text.clone())
}

/// A count that may be missing (0), as HAProxy takes it.
fn count(cx: &mut Cx<'_>, args: &mut Args<'_>, of: &str) -> u32 {
    args.next().map_or(0, |w| value::lenient_u32(cx, w, of))
}

fn log_proto(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    let word = args.next();
    let text = word.map(Word::str).unwrap_or_default();
    server.set.log_proto = match &*text {
        "legacy" => LogProto::Legacy,
        "octet-count" => LogProto::OctetCount,
        _ => {
            let message = format!("'log-proto' expects one of 'legacy' or 'octet-count' but got '{text}'.");
            complain(cx, server, word, &message);
            return;
        }
    };
}

fn log_bufsize(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    let word = args.next();
    match word.map(|w| value::leading(&w.text).0).and_then(|n| usize::try_from(n).ok()) {
        Some(n @ 1..) => server.set.log_bufsize = Some(n),
        None if word.is_none() => complain(cx, server, None, "'log-bufsize' expects an integer argument."),
        _ => complain(cx, server, word, "log-bufsize has to be > 0."),
    }
}

fn hash_key(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    let word = args.next();
    server.set.hash_key = match word.map(|w| w.str()).as_deref() {
        Some("id") => HashKey::Id,
        Some("id32") => HashKey::Id32,
        Some("guid") => HashKey::Guid,
        Some("addr") => HashKey::Addr,
        Some("addr-port") => HashKey::AddrPort,
        _ => {
            let message = "'hash-key' has to be 'id', 'id32', 'guid', 'addr', or 'addr-port'.";
            complain(cx, server, word, message);
            return;
        }
    };
}

fn weight(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    let Some(word) = args.next() else {
        server.set.weight = Some(0);
        return;
    };
    match u32::try_from(value::lenient(cx, word, "weight")) {
        Ok(n @ 0..=256) => server.set.weight = Some(n),
        _ => {
            let message = format!(
                "weight of server {} is not within 0 and 256 ({}).",
                server.name,
                value::leading(&word.text).0
            );
            complain(cx, server, Some(word), &message);
        }
    }
}

/// `id` and `guid` belong to one server: on `default-server` they are left out with a warning.
fn only_servers(cx: &mut Cx<'_>, server: &Server, args: &mut Args<'_>, of: &str) -> bool {
    if server.name.is_empty() {
        let word = last(args);
        args.next();
        cx.warn(word, format!("'{of}' option is not accepted in default-server sections"));
    }
    !server.name.is_empty()
}

fn id(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    if !only_servers(cx, server, args, "id") {
        return;
    }
    let Some(word) = word(cx, server, args, "'id' : expects an integer argument") else { return };
    match u32::try_from(value::leading(&word.text).0) {
        Ok(n @ 1..) => (server.id, server.id_given) = (n, true),
        _ => complain(cx, server, Some(word), "'id' : custom id has to be between 1 and 4294967295."),
    }
}

fn guid(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    if !only_servers(cx, server, args, "guid") {
        return;
    }
    let Some(text) = string(cx, server, args, "'guid' : expects an argument") else { return };
    match super::proxy_http::check_guid(&text) {
        Ok(()) => server.guid = Some(text),
        Err(e) => complain(cx, server, last(args), &format!("'guid': {e}.")),
    }
}

fn signed(cx: &mut Cx<'_>, server: &Server, args: &mut Args<'_>, of: &str) -> Option<i32> {
    let word = word(cx, server, args, &format!("'{of}' expects <value> as argument"))?;
    Some(i32::try_from(value::lenient(cx, word, of)).unwrap_or(i32::MAX))
}

fn max_reuse(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    server.set.max_reuse = signed(cx, server, args, "max-reuse").map(|n| n.max(-1));
}

fn pool_max_conn(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    let max = signed(cx, server, args, "pool-max-conn");
    if max.is_some_and(|n| n < -1) {
        complain(cx, server, last(args), "'pool-max-conn' must be >= -1.");
        return;
    }
    server.set.pool_max_conn = max;
}

fn pool_low_conn(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    server.set.pool_low_conn =
        signed(cx, server, args, "pool-low-conn").and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
}

fn pool_purge_delay(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    let Some(word) = word(cx, server, args, "'pool-purge-delay' expects <value> as argument") else { return };
    match value::time(cx, word) {
        Ok(t) => server.set.pool_purge_delay = Some(t),
        Err(e) => complain(cx, server, Some(word), &value::time_message(e, word, "pool-purge-delay")),
    }
}

fn proto(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    let Some(word) = word(cx, server, args, "'proto' : missing value") else { return };
    match word.text.as_slice() {
        b"h1" => server.set.proto = Some(Proto::H1),
        b"none" => server.set.proto = Some(Proto::None),
        b"h2" => server.set.proto = Some(Proto::H2),
        b"quic" | b"qmux" | b"fcgi" | b"spop" => {
            let message = value::not_yet(&format!("'proto {}'", word.str()), "HTTP/3, FastCGI and SPOE");
            complain(cx, server, Some(word), &message);
        }
        _ => complain(cx, server, Some(word), &format!("'proto' :  unknown MUX protocol '{}'.", word.str())),
    }
}

/// `send-proxy-v2-ssl` and its kin: a header that says this, too.
fn tells(server: &mut Server, option: &str) {
    server.set.send_proxy_v2 = true;
    server.set.proxy_v2_options.push(option.to_owned());
}

/// `no-send-proxy-v2-ssl` and its kin
fn no_tls(server: &mut Server) {
    server.set.send_proxy_v2 = false;
    server.set.proxy_v2_options.retain(|o| o != "ssl" && o != "cert-cn");
}

/// `proxy-v2-options`: more of them.
fn proxy_v2_options(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    let word = args.next();
    let text = word.map(|w| w.str().into_owned()).unwrap_or_default();
    let mut options = Vec::new();
    for name in text.split(',') {
        match name {
            "ssl" | "cert-cn" | "ssl-cipher" | "cert-sig" | "cert-key" | "authority" | "crc32c"
            | "unique-id" => options.push(name.to_owned()),
            _ => {
                complain(
                    cx,
                    server,
                    word.or(last(args)),
                    &format!("'{name}' : proxy v2 option not implemented."),
                );
                return;
            }
        }
    }
    server.set.proxy_v2_options.extend(options);
}

fn namespace(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    let Some(name) = string(cx, server, args, "'namespace' : expects <name> as argument") else { return };
    if name == "*" || resolve::namespace(cx, &name) {
        cx.model.global.needs |= Needs::NAMESPACES;
        server.set.namespace = Some(name);
    } else {
        complain(cx, server, last(args), &format!("Cannot open namespace '{name}'."));
    }
}

fn source_of(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    if args.peek().is_none() {
        let message = "'source' expects <addr>[:<port>[-<port>]], and optionally 'usesrc' <addr>, and 'interface' <name> \
                       as argument.";
        complain(cx, server, last(args), message);
        return;
    }
    match source::parse(cx, args, true) {
        Ok(source) => server.set.source = Some(source),
        Err(message) => complain(cx, server, last(args), &message),
    }
}

fn idle_ping(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    let Some(word) = args.next().filter(|w| !w.text.is_empty()) else {
        complain(cx, server, last(args), "'idle-ping' expects an argument..");
        return;
    };
    match value::time(cx, word) {
        Ok(time) => server.set.idle_ping = Some(time).filter(|t| !t.is_zero()),
        Err(value::TimeError::Character(c)) => {
            let text =
                format!("unexpected character '{c}' in 'idle-ping' argument of server {}..", server.name);
            complain(cx, server, Some(word), &text);
        }
        Err(value::TimeError::Overflow) => {
            let text = format!(
                "timer overflow in argument <{}> to <idle-ping> of server {}, maximum value is 2147483647 ms (~24.8 days)..",
                word.str(),
                server.name
            );
            complain(cx, server, Some(word), &text);
        }
    }
}

fn websockets(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    let word = args.next();
    server.set.websockets = match word.map(|w| w.text.as_slice()) {
        Some(b"auto") => Websockets::Auto,
        Some(b"h1") => Websockets::H1,
        Some(b"h2") => Websockets::H2,
        _ => return complain(cx, server, word.or(last(args)), "'ws' has to be 'auto', 'h1' or 'h2'."),
    };
}

fn slowstart(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    let Some(word) = args.next().filter(|w| !w.text.is_empty()) else {
        complain(cx, server, last(args), "'slowstart' expects a time.");
        return;
    };
    match value::time(cx, word) {
        Ok(time) => server.set.slowstart = Some(time),
        Err(value::TimeError::Character(c)) => {
            let text =
                format!("unexpected character '{c}' in 'slowstart' argument of server {}.", server.name);
            complain(cx, server, Some(word), &text);
        }
        Err(value::TimeError::Overflow) => {
            let text = format!(
                "overflow in argument <{}> to <slowstart> of server {}, maximum value is 2147483647 ms (~24.8 days).",
                word.str(),
                server.name
            );
            complain(cx, server, Some(word), &text);
        }
    }
}

fn socks4(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    let word = args.next().filter(|w| !w.text.is_empty());
    let Some(word) = word else {
        complain(cx, server, last(args), "'socks4' expects <addr>:<port> as argument.");
        return;
    };
    let text = word.str();
    let wants = address::Wants { datagram: false, both_kinds: false, ..address::NAMESERVER };
    match address::parse(&address::expand(cx.env, &text), wants) {
        Ok(address) if matches!(address.host, Host::V4(_) | Host::V6(_)) => server.set.socks4 = Some(address),
        Ok(_) => {
            let message = value::not_yet(&format!("'socks4 {text}'"), "SOCKS4 over Unix sockets");
            complain(cx, server, Some(word), &message);
        }
        Err(e) => complain(cx, server, Some(word), &format!("'socks4 {text}' : {e}.")),
    }
}

fn tcp_md5sig(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    let Some(text) = string(cx, server, args, "'tcp-md5sig' : missing TCP MD5 signature password") else {
        return;
    };
    match text.len() > 80 {
        true => complain(
            cx,
            server,
            last(args),
            "'tcp-md5sig' : password too long (at most 80 characters expected).",
        ),
        false => server.set.tcp_md5sig = Some(text),
    }
}

fn tcp_ut(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    let Some(word) = word(cx, server, args, "'tcp-ut' : missing TCP User Timeout value") else { return };
    match value::time(cx, word) {
        Ok(t) => server.set.tcp_ut = Some(t),
        Err(value::TimeError::Overflow) => complain(cx, server, Some(word), &value::overflow(word, "tcp-ut")),
        Err(_) => complain(cx, server, Some(word), "'tcp-ut' : expects a positive delay in milliseconds."),
    }
}
