//! Options of `server` lines about checks (manual section 5.2).

use portcullis_backend::health::{CheckSettings, InitState, Observe, OnError};
use portcullis_config::rows::value::{self, TimeError};
use portcullis_config::{Args, Cx, Does, Proto, Sections, Server, ServerOption, Word};
use std::sync::Arc;
use std::time::Duration;

const fn opt(
    name: &'static str,
    args: &'static str,
    help: &'static str,
    parse: fn(&mut Cx<'_>, &mut Server, &mut Args<'_>),
) -> ServerOption {
    ServerOption { name, sections: Sections::BACK, args, help, negatable: false, does: Does::Works(parse) }
}

/// The rows of this file.
pub const OPTIONS: &[ServerOption] = &[
    opt("check", "", "The server is checked.", |_, s, _| set(s).check = true),
    opt("no-check", "", "Takes 'check' back.", |_, s, _| set(s).check = false),
    opt("inter", "<delay>", "Time between checks.", |cx, s, a| {
        time(cx, s, a, "inter", |c, t| c.inter = t);
    }),
    opt("fastinter", "<delay>", "The same while a server's state is changing.", |cx, s, a| {
        time(cx, s, a, "fastinter", |c, t| c.fastinter = Some(t));
    }),
    opt("downinter", "<delay>", "The same while a server is down.", |cx, s, a| {
        time(cx, s, a, "downinter", |c, t| c.downinter = Some(t));
    }),
    opt("rise", "<count>", "Good checks after which a server works.", |cx, s, a| {
        count(cx, s, a, "rise", |c, n| c.rise = n);
    }),
    opt("fall", "<count>", "Bad checks after which a server does not work.", |cx, s, a| {
        count(cx, s, a, "fall", |c, n| c.fall = n);
    }),
    opt("init-state", "{ fully-up | up | down | fully-down | none }", "How a server begins.", |cx, s, a| {
        choice(cx, s, a, "init-state", INIT, |c, v| c.init = v);
    }),
    opt("addr", "<ipv4|ipv6>", "Where checks go.", |cx, s, a| {
        address(cx, s, a, "addr", |c, ip| c.addr = Some(ip));
    }),
    opt("port", "<port>", "The port that checks go to.", |cx, s, a| {
        port(cx, s, a, "port", |c, n| c.port = n);
    }),
    opt("check-send-proxy", "", "Checks begin with a PROXY header.", |_, s, _| set(s).send_proxy = true),
    opt("no-check-send-proxy", "", "Takes 'check-send-proxy' back.", |_, s, _| set(s).send_proxy = false),
    opt("check-via-socks4", "", "Checks go through the SOCKS4 server.", |_, s, _| set(s).via_socks4 = true),
    opt("check-proto", "<name>", "The protocol that checks speak.", protocol),
    opt("check-ssl", "", "Checks use TLS.", |_, s, _| set(s).ssl = Some(true)),
    opt("no-check-ssl", "", "Checks do not use TLS, though the server does.", |_, s, _| {
        set(s).ssl = Some(false)
    }),
    opt("check-sni", "<sni>", "The server name that checks send in the handshake.", sni),
    opt("check-sni-auto", "", "Takes 'no-check-sni-auto' back.", |_, s, _| set(s).no_sni_auto = false),
    opt("no-check-sni-auto", "", "Checks do not send the name of their Host header.", |_, s, _| {
        set(s).no_sni_auto = true;
    }),
    opt("check-reuse-pool", "", "HTTP checks go over idle connections if there are any.", |_, s, _| {
        set(s).reuse_pool = true;
    }),
    opt("no-check-reuse-pool", "", "Takes 'check-reuse-pool' back.", |_, s, _| set(s).reuse_pool = false),
    opt("check-pool-conn-name", "<name>", "The name of those connections.", |cx, s, a| {
        text(cx, s, a, "check-pool-conn-name", |c, t| c.pool_name = Some(t.str().into_owned()));
    }),
    opt("check-alpn", "<protocols>", "The protocols that checks offer.", alpn),
    opt("observe", "{ layer4 | layer7 }", "Traffic says how a server is.", |cx, s, a| {
        choice(cx, s, a, "observe", OBSERVE, |c, v| c.observe = v);
    }),
    opt("error-limit", "<count>", "Errors in a row that mean something.", |cx, s, a| {
        count(cx, s, a, "error-limit", |c, n| c.error_limit = n);
    }),
    opt(
        "on-error",
        "{ fastinter | fail-check | sudden-death | mark-down }",
        "What they mean.",
        |cx, s, a| {
            choice(cx, s, a, "on-error", ON_ERROR, |c, v| c.on_error = v);
        },
    ),
    opt("on-marked-down", "shutdown-sessions", "What happens when a server goes down.", |cx, s, a| {
        choice(cx, s, a, "on-marked-down", &[("shutdown-sessions", true)], |c, v| c.kill_on_down = v);
    }),
    opt("on-marked-up", "shutdown-backup-sessions", "What happens when a server comes up.", |cx, s, a| {
        let known = &[("shutdown-backup-sessions", true)];
        choice(cx, s, a, "on-marked-up", known, |c, v| c.kill_backups_on_up = v);
    }),
    opt("track", "[<backend>/]<server>", "Follows the state of another server.", |cx, s, a| {
        text(cx, s, a, "track", |c, t| c.track = Some(t.str().into_owned()));
    }),
    opt("healthcheck", "<name>", "The 'healthcheck' section that says how to check.", |cx, s, a| {
        text(cx, s, a, "healthcheck", |c, t| c.healthcheck = Some(t.str().into_owned()));
    }),
    opt("agent-check", "", "The server's agent is asked.", |_, s, _| set(s).agent = true),
    opt("no-agent-check", "", "Takes 'agent-check' back.", |_, s, _| set(s).agent = false),
    opt("agent-addr", "<addr>", "Where the agent is.", |cx, s, a| {
        address(cx, s, a, "agent-addr", |c, ip| c.agent_addr = Some(ip));
    }),
    opt("agent-port", "<port>", "The agent's port.", |cx, s, a| {
        port(cx, s, a, "agent-port", |c, n| c.agent_port = n);
    }),
    opt("agent-inter", "<delay>", "Time between questions to the agent.", |cx, s, a| {
        time(cx, s, a, "agent-inter", |c, t| c.agent_inter = Some(t));
    }),
    opt("agent-send", "<string>", "What the agent is sent.", |cx, s, a| {
        text(cx, s, a, "agent-send", |c, t| c.agent_send = Some(t.text.clone()));
    }),
];

const INIT: &[(&str, InitState)] = &[
    ("fully-up", InitState::FullyUp),
    ("up", InitState::Up),
    ("down", InitState::Down),
    ("fully-down", InitState::FullyDown),
    ("none", InitState::None),
];
const OBSERVE: &[(&str, Observe)] =
    &[("none", Observe::No), ("layer4", Observe::Layer4), ("layer7", Observe::Layer7)];
const ON_ERROR: &[(&str, OnError)] = &[
    ("fastinter", OnError::FastInter),
    ("fail-check", OnError::FailCheck),
    ("sudden-death", OnError::SuddenDeath),
    ("mark-down", OnError::MarkDown),
];

fn set(server: &mut Server) -> &mut CheckSettings {
    Arc::make_mut(server.set.ext.entry())
}

fn complain(cx: &mut Cx<'_>, server: &Server, word: Option<&Word>, message: &str) {
    let message = match server.name.is_empty() {
        true => message.to_owned(),
        false => format!("'server {}/{}' : {message}", cx.proxy().name, server.name),
    };
    cx.alert(word, message);
}

fn last<'w>(args: &Args<'w>) -> Option<&'w Word> {
    args.words.get(args.at.saturating_sub(1)).or(args.words.last())
}

fn text(
    cx: &mut Cx<'_>,
    server: &mut Server,
    args: &mut Args<'_>,
    name: &str,
    take: impl FnOnce(&mut CheckSettings, &Word),
) {
    match args.next().filter(|w| !w.text.is_empty()) {
        Some(word) => take(set(server), word),
        None => complain(cx, server, last(args), &format!("'{name}' expects an argument.")),
    }
}

fn time(
    cx: &mut Cx<'_>,
    server: &mut Server,
    args: &mut Args<'_>,
    name: &str,
    take: impl FnOnce(&mut CheckSettings, Duration),
) {
    let Some(word) = args.next() else {
        complain(cx, server, last(args), &format!("'{name}' expects a delay."));
        return;
    };
    match value::time_with_unit(&word.text, 1000) {
        Ok((t, _)) if t.is_zero() => {
            let message =
                format!("invalid value {} for argument '{name}' of server {}.", word.str(), server.name);
            complain(cx, server, Some(word), &message);
        }
        Ok((t, unit)) => {
            value::odd_time(cx, word);
            if !unit && t < Duration::from_millis(100) {
                let text = word.str();
                let message = format!(
                    "'{name} {text}' in server '{}' is suspiciously small for a value in milliseconds. Please use an \
                     explicit unit ('{text}ms') if that was the intent.",
                    server.name
                );
                portcullis_config::rows::server::remark(cx, server, word, &message);
            }
            take(set(server), t);
        }
        Err(TimeError::Overflow) => complain(cx, server, Some(word), &value::overflow(word, name)),
        Err(TimeError::Character(c)) => {
            let message =
                format!("unexpected character '{c}' in '{name}' argument of server {}.", server.name);
            complain(cx, server, Some(word), &message);
        }
    }
}

fn count(
    cx: &mut Cx<'_>,
    server: &mut Server,
    args: &mut Args<'_>,
    name: &str,
    take: impl FnOnce(&mut CheckSettings, u32),
) {
    let word = args.next();
    match word.map(|w| value::leading(&w.text).0).and_then(|n| u32::try_from(n).ok()) {
        Some(n @ 1..) => take(set(server), n),
        _ => complain(cx, server, word.or(last(args)), &format!("'{name}' has to be > 0.")),
    }
}

fn choice<T: Copy>(
    cx: &mut Cx<'_>,
    server: &mut Server,
    args: &mut Args<'_>,
    name: &str,
    known: &[(&str, T)],
    take: impl FnOnce(&mut CheckSettings, T),
) {
    let word = args.next();
    match word.and_then(|w| known.iter().find(|(n, _)| w.is(n))) {
        Some((_, value)) => take(set(server), *value),
        None => {
            let names: Vec<String> = known.iter().map(|(n, _)| format!("'{n}'")).collect();
            let got = word.map_or(String::new(), |w| format!(" but got '{}'", w.str()));
            complain(
                cx,
                server,
                word.or(last(args)),
                &format!("'{name}' expects one of {}{got}.", names.join(", ")),
            );
        }
    }
}

fn address(
    cx: &mut Cx<'_>,
    server: &mut Server,
    args: &mut Args<'_>,
    name: &str,
    take: impl FnOnce(&mut CheckSettings, std::net::IpAddr),
) {
    let Some(word) = args.next() else {
        complain(cx, server, last(args), &format!("'{name}' expects <ipv4|ipv6> as argument."));
        return;
    };
    match super::rows::resolve(&word.str()) {
        Ok(ip) => take(set(server), ip),
        Err(why) => complain(cx, server, Some(word), &format!("'{name}' : {why}.")),
    }
}

fn port(
    cx: &mut Cx<'_>,
    server: &mut Server,
    args: &mut Args<'_>,
    name: &str,
    take: impl FnOnce(&mut CheckSettings, Option<u16>),
) {
    let word = args.next();
    match word.map(|w| value::leading(&w.text).0).map(u16::try_from) {
        // 0: the one that it would be anyway
        Some(Ok(n)) => take(set(server), Some(n).filter(|n| *n > 0)),
        _ => complain(
            cx,
            server,
            word.or(last(args)),
            &format!("'{name}' expects a port number from 0 to 65535."),
        ),
    }
}

fn sni(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    match args.next().filter(|w| !w.text.is_empty()) {
        Some(word) => set(server).sni = Some(word.str().into_owned()),
        None => complain(cx, server, last(args), "'check-sni' : missing SNI."),
    }
}

fn alpn(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    match args.next().filter(|w| !w.text.is_empty()) {
        Some(word) => set(server).alpn = Some(super::tls::protocols(&word.str())),
        None => {
            let text = "'check-alpn' : missing the comma-delimited ALPN protocol suite.";
            complain(cx, server, last(args), text);
        }
    }
}

/// `check-proto`
fn protocol(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    let word = args.next();
    let name = word.map(|w| w.str().into_owned()).unwrap_or_default();
    match name.as_str() {
        "h1" => set(server).proto = Some(Proto::H1),
        "h2" => set(server).proto = Some(Proto::H2),
        "none" => set(server).proto = Some(Proto::None),
        "quic" | "qmux" | "fcgi" | "spop" => {
            let message = value::not_yet(&format!("'check-proto {name}'"), "HTTP/3, FastCGI and SPOE");
            complain(cx, server, word, &message);
        }
        _ => complain(
            cx,
            server,
            word.or(last(args)),
            &format!("'check-proto' :  unknown MUX protocol '{name}'."),
        ),
    }
}
