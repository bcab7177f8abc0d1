//! `bind` and its options (manual sections 4.2 and 5.1).

use super::{address, near, value};
use crate::addr::{Address, Host, Ports};
use crate::bind_option as opt;
use crate::cx::Cx;
use crate::known;
use crate::model::{Bind, Shards};
use crate::needs::Needs;
use crate::row::{BindOption, Does, Keyword, Sections};
use crate::word::{Args, Line, Word};

/// The rows of this file.
pub const ROWS: &[Keyword] = &[Keyword {
    name: "bind",
    sections: Sections::from_bits_retain(Sections::FRONTEND.bits() | Sections::LISTEN.bits()),
    args: "[<address>]:<port_range> [, ...] [param*]",
    help: "Listens on addresses.",
    negatable: false,
    does: Does::Works(bind),
}];

/// The options of `bind`.
pub const OPTIONS: &[BindOption] = &[
    opt!(
        "accept-netscaler-cip",
        "<magic number>",
        accept_cip,
        "Every connection begins with a NetScaler Client IP header."
    ),
    opt!(
        "accept-proxy",
        "",
        |_, b, _| b.accept_proxy = true,
        "Every connection begins with a PROXY protocol header."
    ),
    opt!("backlog", "<backlog>", backlog, "Connections that the system may keep waiting."),
    opt!(
        "cc",
        "<algo>",
        |cx, b, a| b.cc = string(cx, b, a, "cc", "missing TCP congestion control algorithm"),
        "TCP congestion control algorithm of accepted connections."
    ),
    opt!("defer-accept", "", |_, b, _| b.defer_accept = true, "Connections come when their first data do."),
    opt!(
        "gid",
        "<gid>",
        |cx, b, a| b.perm.gid = number(cx, b, a, "gid"),
        "Group of the Unix socket, as a number."
    ),
    opt!(
        "group",
        "<group>",
        |cx, b, a| b.perm.gid = account(cx, b, a, "group", value::group),
        "Group of the Unix socket."
    ),
    opt!("guid-prefix", "<string>", guid_prefix, "Unique names of these sockets begin with this."),
    opt!("id", "<id>", id, "Number of the socket in statistics."),
    opt!("idle-ping", "<delay>", idle_ping, "How often idle HTTP/2 connections are pinged."),
    opt!(
        "interface",
        "<interface>",
        |cx, b, a| b.interface = string(cx, b, a, "interface", "missing interface name"),
        "Takes what comes over this interface only."
    ),
    opt!("maxconn", "<maxconn>", maxconn, "Connections that each of these sockets serves at the same time."),
    opt!("mode", "<mode>", mode, "Access rights of the Unix socket, octal."),
    opt!("mss", "<maxseg>", mss, "TCP maximum segment size."),
    opt!(
        "name",
        "<name>",
        |cx, b, a| b.name = string(cx, b, a, "name", "missing name"),
        "Name of these sockets in statistics."
    ),
    opt!("namespace", "<name>", namespace, "Network namespace to listen in."),
    opt!("nbconn", "<nbconn>", nbconn, "How many connections reverse HTTP keeps to its server."),
    opt!("label", "<label>", label, "A label of the sockets; no effect."),
    opt!("nice", "<nice>", nice, "How readily these connections let others go first, -1024 to 1024."),
    opt!("process", "", process, "Removed: 'thread' replaces it."),
    opt!("proto", "<name>", proto, "The protocol that is spoken without further negotiation."),
    opt!(
        "shards",
        "{ <number> | by-thread | by-group }",
        shards,
        "How many sockets of the system share an address."
    ),
    opt!("tcp-md5sig", "<password>", tcp_md5sig, "Signs TCP segments (RFC 2385)."),
    opt!("tcp-ss", "<mode>", tcp_ss, "Keeps the SYN packets of connections."),
    opt!("tcp-ut", "<delay>", tcp_ut, "Time after which unacknowledged data end a connection."),
    opt!("tfo", "", |_, b, _| b.tfo = true, "TCP Fast Open."),
    opt!("thread", "[<thread-group>/]<thread-set>[,...]", thread, "Threads that serve these sockets."),
    opt!(
        "transparent",
        "",
        |_, b, _| b.transparent = true,
        "Takes connections to addresses that are not of this host."
    ),
    opt!(
        "uid",
        "<uid>",
        |cx, b, a| b.perm.uid = number(cx, b, a, "uid"),
        "Owner of the Unix socket, as a number."
    ),
    opt!(
        "user",
        "<user>",
        |cx, b, a| b.perm.uid = account(cx, b, a, "user", value::user),
        "Owner of the Unix socket."
    ),
    opt!("v4v6", "", v4v6, "An IPv6 socket takes IPv4 connections too."),
    opt!("v6only", "", |_, b, _| b.v4v6 = Some(false), "An IPv6 socket takes no IPv4 connections."),
];

pub(super) fn bind(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(1).filter(|w| !w.text.is_empty()) else {
        cx.alert(
            line.word(0),
            "'bind' expects {<path>|[addr1]:port1[-end1]}{,[addr]:port[-end]}... as arguments.",
        );
        return;
    };
    let text = word.str().into_owned();
    let first = cx.proxy().binds.len();
    let Some(mut addresses) = addresses(cx, word, &text, "bind", address::BIND) else { return };
    addresses.iter_mut().for_each(|a| prefix_unix(cx, a));
    let Some(one) = addresses.first() else { return };
    let several = addresses.len() > 1;
    let mut bind = Bind::new(line.place(), text, one.clone());
    bind.perm = cx.model.global.unix_bind.perm.clone();
    options(cx, &mut bind, &mut line.args(2));
    if several && bind.id != 0 {
        complain(cx, &bind, None, "'id' can only be used with a single socket");
        bind.id = 0;
    }
    if matches!(bind.address.host, Host::Rhttp(_)) {
        reversed(cx, &bind);
    }
    unique_id(cx, &bind, first);
    for address in addresses {
        cx.proxy().binds.push(Bind { address, ..bind.clone() });
    }
}

/// `dgram-bind` of a `log-forward` section; options that have nothing to do with datagrams are ignored.
pub(super) fn dgram_bind(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(1).filter(|w| !w.text.is_empty()) else {
        cx.alert(line.word(0), "'dgram-bind' expects an address as argument.");
        return;
    };
    let text = word.str().into_owned();
    let of = format!("dgram-bind {text}");
    let Some(all) = addresses(cx, word, &text, &of, address::DGRAM_BIND) else { return };
    let Some(one) = all.first() else { return };
    let mut bind = Bind::new(line.place(), text, one.clone());
    options(cx, &mut bind, &mut line.args(2));
    cx.proxy().binds.extend(all.into_iter().map(|address| Bind { address, ..bind.clone() }));
}

/// Sockets of a keyword that takes what `bind` takes (`stats socket`): an address at word `at`, then options. Empty if
/// something was wrong, which was reported then.
pub fn sockets(cx: &mut Cx<'_>, line: &Line, at: usize, of: &str) -> Vec<Bind> {
    let Some(word) = line.word(at) else { return Vec::new() };
    let text = word.str().into_owned();
    let Some(addresses) = addresses(cx, word, &text, of, address::BIND) else { return Vec::new() };
    let Some(one) = addresses.first() else { return Vec::new() };
    let mut bind = Bind::new(line.place(), text, one.clone());
    options(cx, &mut bind, &mut line.args(at + 1));
    addresses.into_iter().map(|address| Bind { address, ..bind.clone() }).collect()
}

/// Every address of the comma separated list, ranges taken apart.
fn addresses(
    cx: &mut Cx<'_>,
    word: &Word,
    text: &str,
    of: &str,
    wants: address::Wants,
) -> Option<Vec<Address>> {
    let mut all = Vec::new();
    let text = address::expand(cx.env, text).into_owned();
    // a comma may end the list
    for part in text.strip_suffix(',').unwrap_or(&text).split(',') {
        if part.is_empty() {
            let message = format!("'{of}' : '' resolves to an empty address (environment variable missing?)");
            cx.alert(Some(word), message);
            return None;
        }
        match address::parse(part, wants).and_then(|a| usable(cx, a, part)) {
            Ok(a) => spread(a, &mut all),
            Err(e) => {
                cx.alert(Some(word), format!("'{of}' : {e}"));
                return None;
            }
        }
    }
    Some(all)
}

/// One address a port.
fn spread(address: Address, all: &mut Vec<Address>) {
    match address.ports {
        Ports::Range(first, last) => {
            all.extend((first..=last).map(|p| Address { ports: Ports::One(p), ..address.clone() }));
        }
        _ => all.push(address),
    }
}

fn prefix_unix(cx: &Cx<'_>, address: &mut Address) {
    if let (Host::Unix(path), Some(prefix)) = (&mut address.host, &cx.model.global.unix_bind.prefix) {
        path.insert_str(0, prefix);
    }
}

/// Resolves a name, and looks whether a descriptor is a socket.
fn usable(cx: &Cx<'_>, mut address: Address, text: &str) -> Result<Address, String> {
    match &address.host {
        Host::Name(name) => {
            address.host = super::resolve::host(cx, name)
                .ok_or_else(|| format!("invalid address: '{name}' in '{text}'"))?;
        }
        Host::Fd(n) | Host::SockPair(n) => {
            if let Err(e) = super::resolve::socket(*n) {
                return Err(format!("cannot use file descriptor '{n}' : {e}."));
            }
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

/// Reads options up to the end of the line.
fn options(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    while let Some(word) = args.next() {
        let name = word.str();
        let row = cx.registry.bind().find(|r| word.is(r.name));
        match row.map(|r| r.does) {
            Some(Does::Works(parse)) => {
                let before = cx.diags.list.len();
                parse(cx, bind, args);
                if cx.diags.list.iter().skip(before).any(|d| d.severity == crate::diag::Severity::Alert) {
                    return;
                }
            }
            Some(Does::NoEffect(why)) => {
                cx.notice(Some(word), format!("'bind {}' : '{name}' has no effect: {why}", bind.text));
                let takes =
                    row.map_or(0, |r| r.args.split_whitespace().filter(|a| a.starts_with('<')).count());
                args.by_ref().take(takes).for_each(drop);
            }
            Some(Does::NotYet(what)) => {
                complain(cx, bind, Some(word), &value::not_yet(&format!("'{name}'"), what));
                return;
            }
            None if known::BIND.binary_search(&name.as_ref()).is_ok() => {
                complain(cx, bind, Some(word), &format!("'{name}' is not supported yet."));
                return;
            }
            None => {
                let hint = near::hint(&name, known::BIND.iter().copied());
                if cx.section == Sections::GLOBAL {
                    cx.alert(Some(word), format!("'stats socket' : unknown keyword '{name}'{hint}."));
                    return;
                }
                let section = cx.proxy().kind.name();
                let message =
                    format!("'bind {}' in section '{section}': unknown keyword '{name}'{hint}.", bind.text);
                cx.alert(Some(word), message);
                return;
            }
        }
    }
}

/// Reports what is wrong with an option.
pub fn complain(cx: &mut Cx<'_>, bind: &Bind, word: Option<&Word>, message: &str) {
    if cx.section == Sections::GLOBAL {
        cx.alert(word, format!("'stats socket' : '{message}'"));
        return;
    }
    let section = cx.proxy().kind.name();
    cx.alert(word, format!("'bind {}' in section '{section}' : {message}", bind.text));
}

fn unique_id(cx: &mut Cx<'_>, bind: &Bind, before: usize) {
    if bind.id == 0 {
        return;
    }
    let Some(other) = cx.proxy().binds.iter().take(before).find(|b| b.id == bind.id).cloned() else { return };
    let file = cx.diags.files.get(other.place.file.0 as usize).cloned().unwrap_or_default();
    let message = format!(
        "'id' : custom id {} already used at {file}:{} ('bind {}')",
        bind.id, other.place.line, other.text
    );
    complain(cx, bind, None, &message);
}

fn word<'w>(cx: &mut Cx<'_>, bind: &Bind, args: &mut Args<'w>, of: &str, missing: &str) -> Option<&'w Word> {
    let word = args.next().filter(|w| !w.text.is_empty());
    if word.is_none() {
        complain(cx, bind, args.words.last(), &format!("'{of}' : {missing}"));
    }
    word
}

fn string(cx: &mut Cx<'_>, bind: &Bind, args: &mut Args<'_>, of: &str, missing: &str) -> Option<String> {
    word(cx, bind, args, of, missing).map(|w| w.str().into_owned())
}

fn number(cx: &mut Cx<'_>, bind: &Bind, args: &mut Args<'_>, of: &str) -> Option<u32> {
    let word = word(cx, bind, args, of, "missing value")?;
    // -1 leaves the owner alone, as chown(2) has it
    match value::lenient(cx, word, of) {
        -1 => None,
        n => u32::try_from(n).ok(),
    }
}

fn account(
    cx: &mut Cx<'_>,
    bind: &Bind,
    args: &mut Args<'_>,
    of: &str,
    find: fn(&Cx<'_>, &str) -> Option<u32>,
) -> Option<u32> {
    let word = word(cx, bind, args, of, &format!("missing {of} name"))?;
    let number = find(cx, &word.str());
    if number.is_none() {
        complain(cx, bind, Some(word), &format!("'{of}' : unknown {of} name '{}'", word.str()));
    }
    number
}

fn at_least_zero(cx: &mut Cx<'_>, bind: &Bind, args: &mut Args<'_>, of: &str, rule: &str) -> Option<u32> {
    let word = word(cx, bind, args, of, "missing value")?;
    let n = value::lenient(cx, word, of);
    match u32::try_from(n) {
        Ok(n) => Some(n),
        Err(_) => {
            complain(cx, bind, Some(word), &format!("'{of}' : invalid value {n}, must be {rule}"));
            None
        }
    }
}

fn maxconn(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    bind.maxconn = at_least_zero(cx, bind, args, "maxconn", ">= 0").filter(|n| *n > 0);
}

/// `nbconn`, of reverse HTTP only.
fn nbconn(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    let of = "nbconn";
    if !cx.model.global.experimental {
        let why =
            format!("'{of}' is experimental, must be allowed via a global 'expose-experimental-directives'");
        complain(cx, bind, args.words.first(), &why);
        return;
    }
    if !matches!(bind.address.host, Host::Rhttp(_)) {
        complain(cx, bind, args.words.first(), &format!("'{of}' : only valid for reverse HTTP listeners."));
        return;
    }
    let Some(word) = word(cx, bind, args, of, "missing value.") else { return };
    match value::leading(&word.text).0 {
        n @ 1.. => bind.nbconn = u32::try_from(n).unwrap_or(u32::MAX),
        n => complain(cx, bind, Some(word), &format!("'{of}' : invalid value {n}, must be > 0.")),
    }
}

/// What a listener of reverse HTTP cannot have.
fn reversed(cx: &mut Cx<'_>, bind: &Bind) {
    let said = [
        ("accept-proxy", bind.accept_proxy),
        ("proto", bind.proto.is_some()),
        ("shards", bind.shards.is_some()),
    ];
    for (name, _) in said.iter().filter(|(_, said)| *said) {
        cx.alert(None, format!("'{name}' option is not accepted for reverse HTTP"));
    }
}

fn backlog(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    bind.backlog = at_least_zero(cx, bind, args, "backlog", "> 0").filter(|n| *n > 0);
}

fn accept_cip(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    let of = "accept-netscaler-cip";
    let Some(word) = word(cx, bind, args, of, "missing value") else { return };
    let n = value::lenient(cx, word, of);
    if n <= 0 {
        complain(cx, bind, Some(word), &format!("'{of}' : invalid value {n}, must be > 0"));
        return;
    }
    // the header has room for 32 bits, what is above never matches
    bind.accept_cip = Some((n & 0xffff_ffff) as u32);
}

fn id(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    let Some(word) = word(cx, bind, args, "id", "expects an integer argument") else { return };
    match (value::leading(&word.text), i32::try_from(value::leading(&word.text).0)) {
        ((_, false), _) => {
            complain(
                cx,
                bind,
                Some(word),
                &format!("'id' : expects an integer argument, found '{}'", word.str()),
            );
        }
        (_, Ok(n @ 1..)) if bind.id != 0 => {
            let file = cx.diags.files.get(bind.place.file.0 as usize).cloned().unwrap_or_default();
            let (line, text) = (bind.place.line, &bind.text);
            let text = format!("'id' : custom id {n} already used at {file}:{line} ('bind {text}')");
            complain(cx, bind, Some(word), &text);
        }
        (_, Ok(n @ 1..)) => bind.id = n.unsigned_abs(),
        _ => complain(cx, bind, Some(word), "'id' : custom id has to be > 0"),
    }
}

fn guid_prefix(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    let Some(text) = string(cx, bind, args, "guid-prefix", "expects an argument") else { return };
    match super::proxy_http::check_guid(&text) {
        Ok(()) => bind.guid_prefix = Some(text),
        Err(e) => complain(
            cx,
            bind,
            args.words.get(args.at.saturating_sub(1)),
            &format!("error on GUID generation : {e}. You may fix it by adjusting guid-prefix."),
        ),
    }
}

fn namespace(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    let Some(name) = string(cx, bind, args, "namespace", "missing namespace id") else { return };
    if super::resolve::namespace(cx, &name) {
        cx.model.global.needs |= Needs::NAMESPACES;
        bind.namespace = Some(name);
    } else {
        let word = args.words.get(args.at.saturating_sub(1));
        complain(cx, bind, word, &format!("'namespace' : Cannot open namespace '{name}'."));
    }
}

fn label(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    if let Some(word) = word(cx, bind, args, "label", "missing label") {
        crate::no_effect::tell(cx, Some(word), "bind … label");
    }
}

fn nice(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    let Some(word) = word(cx, bind, args, "nice", "missing value") else { return };
    let n = value::lenient(cx, word, "nice");
    match i32::try_from(n) {
        Ok(-1024..=1024) => crate::no_effect::tell(cx, Some(word), "bind … nice"),
        _ => complain(
            cx,
            bind,
            Some(word),
            &format!("'nice' : invalid value {n}, allowed range is -1024..1024"),
        ),
    }
}

fn mode(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    let word = args.next();
    let text = word.map(|w| w.str().into_owned()).unwrap_or_default();
    match u32::from_str_radix(&text, 8) {
        Ok(n) => bind.perm.mode = Some(n & 0o7777),
        Err(_) => {
            let message = format!("'mode' : missing or invalid mode '{text}' (octal integer expected)");
            complain(cx, bind, word.or(args.words.last()), &message);
        }
    }
}

fn mss(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    let Some(word) = word(cx, bind, args, "mss", "missing MSS value") else { return };
    match i32::try_from(value::lenient(cx, word, "mss")) {
        Ok(n) if (1..=65535).contains(&n.unsigned_abs()) => bind.mss = Some(n),
        _ => complain(
            cx,
            bind,
            Some(word),
            "'mss' : expects an MSS with and absolute value between 1 and 65535",
        ),
    }
}

fn process(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    let word = args.next();
    let text = word.map(|w| w.str().into_owned()).unwrap_or_default();
    let message =
        format!("'process {text}' on 'bind' lines is not supported anymore, please use 'thread' instead.");
    complain(cx, bind, word, &message);
}

fn proto(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    let Some(word) = word(cx, bind, args, "proto", "missing value") else { return };
    match word.text.as_slice() {
        // `checks` sees that they fit the mode
        b"h2" => bind.proto = Some(crate::model::Proto::H2),
        b"h1" => bind.proto = Some(crate::model::Proto::H1),
        b"none" => bind.proto = Some(crate::model::Proto::None),
        b"quic" | b"qmux" | b"fcgi" | b"spop" => {
            complain(cx, bind, Some(word), &value::not_yet(&format!("'proto {}'", word.str()), "HTTP/3"));
        }
        _ => complain(cx, bind, Some(word), &format!("'proto' :  unknown MUX protocol '{}'", word.str())),
    }
}

fn shards(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    let Some(word) = word(cx, bind, args, "shards", "missing value") else { return };
    bind.shards = match word.text.as_slice() {
        b"by-thread" => Some(Shards::ByThread),
        b"by-group" => Some(Shards::ByGroup),
        text => match u16::try_from(value::leading(text).0) {
            Ok(n @ 1..=1024) => Some(Shards::Count(n)),
            _ => {
                let n = value::leading(text).0;
                let message = format!(
                    "'shards' : invalid value {n}, allowed range is 1..1024 or 'by-thread' or 'by-group'"
                );
                complain(cx, bind, Some(word), &message);
                return;
            }
        },
    };
}

fn tcp_md5sig(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    let Some(text) = string(cx, bind, args, "tcp-md5sig", "missing TCP MD5 signature password") else {
        return;
    };
    if text.len() > 80 {
        complain(cx, bind, None, "'tcp-md5sig' : password too long (at most 80 characters expected)");
        return;
    }
    bind.tcp_md5sig = Some(text);
}

fn tcp_ss(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    let word = args.next();
    match word.and_then(|w| value::integer(&w.text)) {
        Some(n @ 0..=2) => bind.tcp_ss = u32::try_from(n).ok(),
        _ => complain(
            cx,
            bind,
            word.or(args.words.last()),
            "'tcp-ss' : TCP Save SYN option expects an integer argument from 0 to 2",
        ),
    }
}

fn tcp_ut(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    let Some(word) = word(cx, bind, args, "tcp-ut", "missing TCP User Timeout value") else { return };
    match value::time(cx, word) {
        Ok(t) => bind.tcp_ut = Some(t),
        Err(value::TimeError::Overflow) => complain(cx, bind, Some(word), &value::overflow(word, "tcp-ut")),
        Err(_) => complain(cx, bind, Some(word), "'tcp-ut' : expects a positive delay in milliseconds"),
    }
}

fn idle_ping(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    let Some(word) = args.next().filter(|w| !w.text.is_empty()) else {
        return complain(cx, bind, args.words.last(), "'idle-ping' expects an argument.");
    };
    match value::time(cx, word) {
        Ok(t) => bind.idle_ping = Some(t).filter(|t| !t.is_zero()),
        Err(value::TimeError::Overflow) => {
            let text = format!(
                "timer overflow in argument <{}> to <idle-ping> on bind line, maximum value is 2147483647 ms (~24.8 days).",
                word.str()
            );
            complain(cx, bind, Some(word), &text);
        }
        Err(value::TimeError::Character(c)) => {
            let text = format!("unexpected character '{c}' in 'idle-ping' argument on bind line.");
            complain(cx, bind, Some(word), &text);
        }
    }
}

/// `v6only` wins, wherever it stands.
fn v4v6(_: &mut Cx<'_>, bind: &mut Bind, _: &mut Args<'_>) {
    bind.v4v6 = bind.v4v6.or(Some(true));
}

fn thread(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    let word = args.next();
    let text = word.map(|w| w.str().into_owned()).unwrap_or_default();
    match super::threads::bind_set(&text) {
        Ok(set) => bind.threads.extend(set),
        Err(e) => complain(cx, bind, word, &e),
    }
}
