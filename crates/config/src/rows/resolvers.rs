//! The `resolvers` section, and `dns-accept-family` (manual sections 5.3.2 and 3.1).

use super::address::{self, Wants};
use super::server;
use super::value::{self, TimeError};
use crate::addr::{Address, Host, Ports, Transport};
use crate::cx::Cx;
use crate::diag::{Diagnostics, Place, Severity};
use crate::files::Files;
use crate::model::{DnsFamilies, Hold, Model, Nameserver, Resolvers, Server, ServerSettings};
use crate::row::{Does, Keyword, Sections};
use crate::word::{Line, Word};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

macro_rules! row {
    ($name:literal, $section:ident, $args:literal, $works:expr, $help:literal) => {
        Keyword {
            name: $name,
            sections: Sections::$section,
            args: $args,
            help: $help,
            negatable: false,
            does: Does::Works($works),
        }
    };
}

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    row!("resolvers", RESOLVERS, "<resolvers id>", open, "Begins the section."),
    row!("nameserver", RESOLVERS, "<name> <address>[:port] [param*]", nameserver, "A DNS server."),
    row!("parse-resolv-conf", RESOLVERS, "", resolv_conf, "Takes the servers of /etc/resolv.conf."),
    row!(
        "hold",
        RESOLVERS,
        "{ nx | obsolete | other | refused | timeout | valid } <period>",
        hold,
        "How long a valid answer still counts after one of this kind."
    ),
    row!("resolve_retries", RESOLVERS, "<nb>", retries, "How often a question is sent before giving up."),
    row!(
        "timeout",
        RESOLVERS,
        "{ resolve | retry } <time>",
        timeout,
        "Times between resolutions, and between the questions of one."
    ),
    row!("accepted_payload_size", RESOLVERS, "<nb>", payload, "Largest answer, in bytes."),
    row!(
        "dns-accept-family",
        GLOBAL,
        "<family>[,...]",
        families,
        "Families of addresses that DNS resolution asks for."
    ),
];

/// The file that the system's resolver is configured by.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Most servers that are taken from it; the system itself takes three.
const MOST_OF_SYSTEM: usize = 32;

fn open(cx: &mut Cx<'_>, line: &Line) {
    let name = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
    if let Some(c) = name.chars().find(|c| !c.is_ascii_alphanumeric() && !"_-.:".contains(*c)) {
        let text = format!("character '{c}' is not permitted in 'resolvers' name '{name}'.");
        cx.alert(line.word(1), text);
    }
    if let Some(first) = cx.model.resolvers.iter().find(|r| r.name == name) {
        let text = format!(
            "resolvers '{name}' has same name as another resolvers (declared at {}).",
            at(cx.diags, first.place)
        );
        cx.alert(line.word(1), text);
    }
    cx.model.resolvers.push(Resolvers::new(line.place(), name));
}

fn at(diags: &Diagnostics, place: Place) -> String {
    let file = diags.files.get(place.file.0 as usize).map_or("?", String::as_str);
    format!("{file}:{}", place.line)
}

fn section<'c>(cx: &'c mut Cx<'_>) -> &'c mut Resolvers {
    let all = &mut cx.model.resolvers;
    if all.is_empty() {
        all.push(Resolvers::new(Place::default(), String::new()));
    }
    let last = all.len() - 1;
    &mut all[last]
}

fn nameserver(cx: &mut Cx<'_>, line: &Line) {
    let (Some(name), Some(word)) = (line.word(1), line.word(2).filter(|w| !w.text.is_empty())) else {
        cx.alert(line.words.last(), "'nameserver' expects <name> and <addr>[:<port>] as arguments.");
        return;
    };
    let text = name.str().into_owned();
    if let Some(c) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !"_-.:".contains(*c)) {
        cx.alert(Some(name), format!("character '{c}' is not permitted in server name '{text}'."));
        return;
    }
    let first = section(cx).nameservers.iter().find(|n| n.name == text).map(|n| n.place);
    if let Some(first) = first {
        let text = format!(
            "nameserver '{text}' has same name as another nameserver (declared at {}).",
            at(cx.diags, first)
        );
        cx.alert(Some(name), text);
        return;
    }
    let address = match place_of(cx, &word.str()) {
        Ok(address) => address,
        Err(e) => {
            cx.alert(Some(word), format!("'nameserver {text}' : {e}"));
            return;
        }
    };
    let set = match address.transport == Transport::Datagram {
        // words behind the address are not looked at
        true => None,
        false => match parameters(cx, line, &text, &address) {
            Some(set) => Some(set),
            None => return,
        },
    };
    section(cx).nameservers.push(Nameserver { place: line.place(), name: text, address, set });
}

fn place_of(cx: &Cx<'_>, text: &str) -> Result<Address, String> {
    let text = &*address::expand(cx.env, text);
    let mut address = address::parse(text, Wants { name: true, ..address::NAMESERVER })?;
    if let Host::Name(name) = &address.host {
        let found = super::resolve::host(cx, name);
        address.host = found.ok_or_else(|| format!("invalid address: '{name}' in '{text}'"))?;
    }
    match (&address.host, address.transport) {
        (Host::V4(_) | Host::V6(_), _) => Ok(address),
        (Host::Unix(_) | Host::Abstract(_) | Host::AbstractZ(_), Transport::Stream) => Ok(address),
        _ => Err(value::not_yet(&format!("'{text}'"), "datagrams over Unix sockets")),
    }
}

/// What stands behind the address of a server that is asked over TCP: parameters of section 5.2, of which those about
/// connections matter here.
fn parameters(cx: &mut Cx<'_>, line: &Line, name: &str, address: &Address) -> Option<Box<ServerSettings>> {
    let mut as_server =
        Server::new(line.place(), name.to_owned(), address.clone(), ServerSettings::default());
    server::options(cx, &mut as_server, &mut line.args(3)).then_some(Box::new(as_server.set))
}

fn resolv_conf(cx: &mut Cx<'_>, line: &Line) {
    let place = line.place();
    match of_system(cx.files, place) {
        Some((found, odd)) => {
            for text in odd {
                let message =
                    format!("address '{text}' could not be recognized, nameserver will be excluded.");
                cx.warn(line.word(0), message);
            }
            let servers = &mut section(cx).nameservers;
            for new in found {
                if servers.iter().all(|n| n.name != new.name) {
                    servers.push(new);
                }
            }
        }
        None => {
            cx.alert(line.word(0), format!("failed to open {RESOLV_CONF}."));
        }
    }
}

/// The name servers of the system, and what stands there but is no address.
fn of_system(files: &dyn Files, place: Place) -> Option<(Vec<Nameserver>, Vec<String>)> {
    let text = files.read(Path::new(RESOLV_CONF)).ok()?;
    let text = String::from_utf8_lossy(&text);
    let (mut found, mut odd) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some("nameserver"), Some(word)) = (words.next(), words.next()) else { continue };
        match word.parse::<IpAddr>() {
            Ok(ip) => found.push(Nameserver {
                place,
                name: word.to_owned(),
                address: Address { transport: Transport::Datagram, host: ip.into(), ports: Ports::One(53) },
                set: None,
            }),
            Err(_) => odd.push(word.to_owned()),
        }
    }
    found.truncate(MOST_OF_SYSTEM);
    Some((found, odd))
}

/// The section `default`, if no line begins one and the system has name servers.
pub fn add_default(model: &mut Model, files: &dyn Files) {
    if model.resolvers.iter().any(|r| r.name == "default") {
        return;
    }
    let Some((found, _)) = of_system(files, Place::default()) else { return };
    if !found.is_empty() {
        let section = Resolvers::new(Place::default(), "default".into());
        model.resolvers.push(Resolvers { nameservers: found, ..section });
    }
}

/// A time, or the words about it.
fn time(cx: &mut Cx<'_>, word: &Word, of: &str, named: &str) -> Option<Duration> {
    match value::time(cx, word) {
        Ok(time) => return Some(time),
        Err(TimeError::Character(c)) => {
            cx.alert(Some(word), format!("unexpected character '{c}' in argument to <{of}>."));
        }
        Err(TimeError::Overflow) => {
            let text = format!(
                "timer overflow in argument <{named}> to <{of}>, maximum value is 2147483647 ms (~24.8 days)."
            );
            cx.alert(Some(word), text);
        }
    }
    None
}

/// The member of `hold` with this name.
fn held<'h>(hold: &'h mut Hold, event: &str) -> Option<&'h mut Duration> {
    Some(match event {
        "nx" => &mut hold.nx,
        "refused" => &mut hold.refused,
        "timeout" => &mut hold.timeout,
        "other" => &mut hold.other,
        "valid" => &mut hold.valid,
        "obsolete" => &mut hold.obsolete,
        _ => return None,
    })
}

fn hold(cx: &mut Cx<'_>, line: &Line) {
    let (Some(event), Some(word)) = (line.word(1), line.word(2)) else {
        cx.alert(line.words.last(), "'hold' expects an <event> and a <time> as arguments.");
        let text = "<event> can be either 'valid', 'nx', 'refused', 'timeout', or 'other'";
        cx.diags.add(Severity::Alert, None, text);
        return;
    };
    let name = event.str();
    let Some(time) = time(cx, word, "hold", &name) else { return };
    match held(&mut section(cx).hold, &name) {
        Some(slot) => *slot = time,
        None => {
            let text = format!(
                "'hold' unknown <event>: '{name}', expects either 'nx', 'timeout', 'valid', 'obsolete' or 'other'."
            );
            cx.alert(Some(event), text);
        }
    }
}

fn retries(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(1).filter(|w| !w.text.is_empty()) else {
        cx.alert(line.words.last(), "'resolve_retries' expects <nb> as argument.");
        return;
    };
    let n = value::lenient_u32(cx, word, "resolve_retries");
    section(cx).retries = n;
}

fn timeout(cx: &mut Cx<'_>, line: &Line) {
    let Some(event) = line.word(1) else {
        cx.alert(line.words.last(), "'timeout' expects 'retry' or 'resolve' and <time> as arguments.");
        return;
    };
    let name = event.str().into_owned();
    if name != "resolve" && name != "retry" {
        let text = format!("'timeout' expects 'retry' or 'resolve' and <time> as arguments got '{name}'.");
        cx.alert(Some(event), text);
        return;
    }
    let of = format!("timeout {name}");
    let Some(word) = line.word(2) else {
        cx.alert(Some(event), format!("'{of}' expects <time> as argument."));
        return;
    };
    let Some(time) = time(cx, word, &of, &word.str()) else { return };
    let section = section(cx);
    match name.as_str() {
        "retry" => section.retry = time,
        _ => section.resolve = time,
    }
}

fn payload(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(1).filter(|w| !w.text.is_empty()) else {
        cx.alert(line.words.last(), "'accepted_payload_size' expects <nb> as argument.");
        return;
    };
    match u16::try_from(value::lenient(cx, word, "accepted_payload_size")) {
        Ok(n @ 12..) => section(cx).payload = n,
        _ => {
            let text = format!(
                "'accepted_payload_size' must be between 12 and 65535 inclusive (was {}).",
                word.str()
            );
            cx.alert(Some(word), text);
        }
    }
}

fn families(cx: &mut Cx<'_>, line: &Line) {
    let (mut v4, mut v6, mut auto) = (false, false, false);
    let text = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
    for word in text.split(',') {
        match word {
            "ipv4" => v4 = true,
            "ipv6" => v6 = true,
            "auto" => auto = true,
            _ => {
                let text = format!(
                    "'dns-accept-family' expects a comma-delimited list of 'ipv4' and 'ipv6' but got '{word}'."
                );
                cx.alert(line.words.last(), text);
                return;
            }
        }
    }
    if value::no_more(cx, line, 2) {
        cx.model.global.dns_families = match (v4, v6, auto) {
            (_, true, false) if v4 => DnsFamilies::Both,
            (_, true, true) => DnsFamilies::Both,
            (_, true, false) => DnsFamilies::V6,
            (_, false, true) => DnsFamilies::Auto,
            (_, false, false) => DnsFamilies::V4,
        };
    }
}

/// What can only be judged when everything was read.
pub fn check(model: &Model, diags: &mut Diagnostics) {
    for r in model.resolvers.iter().filter(|r| r.nameservers.is_empty()) {
        let text = format!("resolvers '{}' has no nameservers configured!", r.name);
        diags.add(Severity::Warning, Some(r.place), text);
    }
    let known = |name: &str| name == "default" || model.resolvers.iter().any(|r| r.name == name);
    for p in model.proxies.iter().filter(|p| p.kind.back() && !p.disabled) {
        for s in &p.servers {
            if let Some(name) = s.set.resolvers.as_deref().filter(|n| !known(n)) {
                let text = format!(
                    "{} '{}', server '{}': unable to find required resolvers '{name}'",
                    p.kind.name(),
                    p.name,
                    s.name
                );
                diags.add(Severity::Alert, None, text);
            }
        }
    }
}
