//! Keywords of the `otel` section.

use super::section::{Endpoint, Sampling, Section, Sections as All};
use crate::rules::rows::works;
use portcullis_config::addr::Host;
use portcullis_config::rows::{address, resolve, value};
use portcullis_config::{Cx, Keyword, Line, Sections, Word};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const fn row(
    name: &'static str,
    args: &'static str,
    help: &'static str,
    parse: fn(&mut Cx<'_>, &Line),
) -> Keyword {
    works(name, Sections::OTEL, args, help, parse)
}

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    row("otel", "<name>", "Sends traces and log lines to a collector of OpenTelemetry.", open),
    row("endpoint", "<url>", "The collector, which takes OTLP over HTTP.", endpoint),
    row(
        "service-name",
        "<name>",
        "What the process is called there; the section's name by default.",
        |cx, l| {
            if let Some(text) = one(cx, l, "a name") {
                change(cx, |s| s.service = Some(text));
            }
        },
    ),
    row("attribute", "<key> <value>", "An attribute of the process.", |cx, l| {
        if let Some(pair) = pair(cx, l, "an attribute's key and its value") {
            change(cx, |s| s.attributes.push(pair));
        }
    }),
    row("header", "<name> <value>", "A field of the requests to the collector.", header),
    row("timeout", "<time>", "How long a request to the collector may take.", |cx, l| {
        if let Some(time) = time(cx, l) {
            change(cx, |s| s.timeout = time);
        }
    }),
    row("compression", "{ none | gzip }", "Whether what is sent is compressed; not by default.", encoding),
    row("batch-interval", "<time>", "How often records are sent.", |cx, l| {
        if let Some(time) = time(cx, l) {
            change(cx, |s| s.interval = time);
        }
    }),
    row("batch-size", "<number>", "How many records are sent at once, and sooner than that.", batch),
    row("queue-size", "<size>", "Bytes of each kind of record that may wait.", queue),
    row("sample", "<ratio>", "Which part of the traces that begin here is recorded, from 0 to 1.", sample),
    row(
        "client-context",
        "{ follow | ignore }",
        "Whether clients say which trace a request belongs to, and whether it is recorded.",
        context,
    ),
    row("signals", "{ traces | logs } ...", "What is sent; both by default.", signals),
];

/// Begins the section.
fn open(cx: &mut Cx<'_>, line: &Line) {
    let name = text(line.word(1));
    let place = line.place();
    cx.model.logs_collected = true;
    let before = cx.model.ext.entry::<All>().0.first().map(Section::place);
    cx.model.ext.entry::<All>().0.push(Section::new(name.clone(), place));
    if let Some(first) = before {
        let file = cx.diags.files.get(first.file.0 as usize).cloned().unwrap_or_default();
        let message =
            format!("otel section '{name}': there is one already, declared at {file}:{}.", first.line);
        cx.alert(line.word(1), message)
            .hint("a collector can pass records on to several places; 'no option otel' leaves a proxy out");
    }
}

fn change(cx: &mut Cx<'_>, work: impl FnOnce(&mut Section)) {
    if let Some(section) = cx.model.ext.entry::<All>().0.last_mut() {
        work(section);
    }
}

fn text(word: Option<&Word>) -> String {
    word.map(|w| w.str().into_owned()).unwrap_or_default()
}

/// The only argument.
fn one(cx: &mut Cx<'_>, line: &Line, what: &str) -> Option<String> {
    let message = format!("'{}' expects {what}.", text(line.word(0)));
    let word = value::one(cx, line, 1, &message)?;
    Some(word.str().into_owned())
}

/// Two arguments.
fn pair(cx: &mut Cx<'_>, line: &Line, what: &str) -> Option<(String, String)> {
    let (Some(key), Some(value)) = (line.word(1).filter(|w| !w.text.is_empty()), line.word(2)) else {
        let message = format!("'{}' expects {what}.", text(line.word(0)));
        cx.alert(line.words.last(), message);
        return None;
    };
    value::no_more(cx, line, 3);
    Some((key.str().into_owned(), value.str().into_owned()))
}

fn endpoint(cx: &mut Cx<'_>, line: &Line) {
    change(cx, |s| s.has_endpoint = true);
    let Some(url) = one(cx, line, "the URL of a collector") else { return };
    match parse(cx, &url) {
        Ok(endpoint) => change(cx, |s| s.endpoint = Some(endpoint)),
        Err(why) => {
            cx.alert(line.word(1), format!("'endpoint' : {why}."))
                .hint("for instance 'http://127.0.0.1:4318', where a collector takes OTLP over HTTP (not gRPC's port 4317)");
        }
    }
}

/// Takes an endpoint apart and looks its host up.
fn parse(cx: &Cx<'_>, url: &str) -> Result<Endpoint, String> {
    let wrong = || format!("'{url}' is no URL with 'http' or 'https', a host, and perhaps a port and a path");
    let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
    let secure = match &*scheme.to_ascii_lowercase() {
        "http" => false,
        "https" => true,
        _ => return Err(wrong()),
    };
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'@');
    if !rest.bytes().all(plain) {
        return Err(wrong());
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (host, port) = match authority.strip_prefix('[').and_then(|a| a.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(wrong)?)),
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err(wrong());
    }
    let default = if secure { 443 } else { 80 };
    let port = port.map_or(Some(default), |p| p.parse().ok().filter(|p| *p > 0)).ok_or_else(wrong)?;
    let ip = host.parse().ok().or_else(|| looked_up(cx, host));
    let ip = ip.ok_or_else(|| format!("could not resolve address '{host}'"))?;
    let url = format!("{scheme}://{authority}{}", path.trim_end_matches('/'));
    Ok(Endpoint { url, secure, address: SocketAddr::new(ip, port) })
}

fn looked_up(cx: &Cx<'_>, name: &str) -> Option<IpAddr> {
    match resolve::host(cx, &address::expand(cx.env, name))? {
        Host::V4(ip) => Some(ip.into()),
        Host::V6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// Fields that the client writes itself.
const OWN: [&str; 7] =
    ["host", "content-length", "content-type", "connection", "transfer-encoding", "accept", "user-agent"];

fn header(cx: &mut Cx<'_>, line: &Line) {
    let Some((name, content)) = pair(cx, line, "a field's name and its value") else { return };
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if !name.bytes().all(token) || OWN.contains(&&*name.to_ascii_lowercase()) {
        cx.alert(line.word(1), format!("'header' : '{name}' cannot be said here."));
        return;
    }
    if content.bytes().any(|b| b < b' ' || b == 0x7f) {
        cx.alert(
            line.word(2),
            format!("'header' : the value of '{name}' has characters that no field can have."),
        );
        return;
    }
    change(cx, |s| s.headers.push((name, content)));
}

fn time(cx: &mut Cx<'_>, line: &Line) -> Option<Duration> {
    let name = text(line.word(0));
    let word = value::one(cx, line, 1, &format!("'{name}' expects a time."))?;
    match value::time(cx, word) {
        Ok(time) if !time.is_zero() => Some(time),
        Ok(_) => {
            cx.alert(Some(word), format!("'{name}' expects a time that is not 0."));
            None
        }
        Err(e) => {
            let message = value::time_message(e, word, &name);
            cx.alert(Some(word), message);
            None
        }
    }
}

/// Most records in one request.
const MOST: u32 = 65_536;

fn batch(cx: &mut Cx<'_>, line: &Line) {
    let Some(said) = one(cx, line, "a number of records") else { return };
    match said.parse().ok().filter(|n| (1..=MOST).contains(n)) {
        Some(n) => change(cx, |s| s.batch = n),
        None => {
            cx.alert(line.word(1), format!("'batch-size' expects a number from 1 to {MOST}, not '{said}'."));
        }
    }
}

/// Least room for records.
const LEAST: u64 = 64 * 1024;

fn queue(cx: &mut Cx<'_>, line: &Line) {
    let Some(said) = one(cx, line, "a size") else { return };
    match value::size(said.as_bytes()) {
        Ok(n) if n >= LEAST => change(cx, |s| s.queue = n),
        _ => {
            cx.alert(line.word(1), format!("'queue-size' expects a size of at least 64k, not '{said}'."));
        }
    }
}

fn sample(cx: &mut Cx<'_>, line: &Line) {
    let Some(said) = one(cx, line, "a ratio from 0 to 1") else { return };
    match said.parse().ok().and_then(Sampling::ratio) {
        Some(sampling) => change(cx, |s| s.sampling = sampling),
        None => {
            cx.alert(line.word(1), format!("'sample' expects a ratio from 0 to 1, not '{said}'."))
                .hint("'sample 0.1' records one trace of ten");
        }
    }
}

fn context(cx: &mut Cx<'_>, line: &Line) {
    match one(cx, line, "'follow' or 'ignore'").as_deref() {
        Some("follow") => change(cx, |s| s.follows = true),
        Some("ignore") => change(cx, |s| s.follows = false),
        Some(said) => {
            cx.alert(line.word(1), format!("'client-context' expects 'follow' or 'ignore', not '{said}'."));
        }
        None => {}
    }
}

fn encoding(cx: &mut Cx<'_>, line: &Line) {
    match one(cx, line, "'none' or 'gzip'").as_deref() {
        Some("none") => change(cx, |s| s.gzip = false),
        Some("gzip") => change(cx, |s| s.gzip = true),
        Some(said) => {
            cx.alert(line.word(1), format!("'compression' expects 'none' or 'gzip', not '{said}'."));
        }
        None => {}
    }
}

fn signals(cx: &mut Cx<'_>, line: &Line) {
    let (mut traces, mut logs) = (false, false);
    for word in line.words.iter().skip(1) {
        match &*word.str() {
            "traces" => traces = true,
            "logs" => logs = true,
            other => {
                cx.alert(Some(word), format!("'signals' expects 'traces', 'logs', or both, not '{other}'."));
                return;
            }
        }
    }
    if !traces && !logs {
        cx.alert(line.word(0), "'signals' expects 'traces', 'logs', or both.");
        return;
    }
    change(cx, |s| (s.traces, s.logs) = (traces, logs));
    cx.model.logs_collected = logs;
}
