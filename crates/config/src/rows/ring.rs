//! The `ring` section (manual section 12.5).

use super::value;
use crate::addr::{Host, Transport};
use crate::cx::Cx;
use crate::model::{LogFraming, Ring};
use crate::row::{Does, Keyword, Sections};
use crate::word::Line;

macro_rules! row {
    ($name:literal, $args:literal, $works:expr, $help:literal) => {
        Keyword {
            name: $name,
            sections: Sections::RING,
            args: $args,
            help: $help,
            negatable: false,
            does: Does::Works($works),
        }
    };
}

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    row!("ring", "<ringname>", open, "Begins the section."),
    row!("size", "<size>", size, "Bytes that the ring holds."),
    row!("maxlen", "<length>", maxlen, "Longest event, in bytes."),
    row!("format", "<format>", format, "How events are written."),
    row!("description", "<text>", description, "A text for 'show events'."),
    row!(
        "timeout",
        "{ connect | server } <timeout>",
        timeout,
        "Timeouts of the servers that the ring is sent to."
    ),
    row!("server", "<name> <address> [param*]", server, "Sends the events to a server over a stream."),
    row!("backing-file", "<path>", file, "Keeps the ring in a file that survives the process."),
];

/// Begins the section: `ring <name>`.
fn open(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(1).filter(|w| !w.text.is_empty()) else {
        cx.alert(line.word(0), "missing ring name.");
        cx.model.rings.push(Ring::default());
        return;
    };
    let name = word.str().into_owned();
    if let Some(c) = name.chars().find(|c| !c.is_ascii_alphanumeric() && !"_-.:".contains(*c)) {
        cx.alert(Some(word), format!("invalid ring name '{name}' (character '{c}' is not permitted)."));
    }
    if cx.model.rings.iter().any(|r| r.name == name) {
        cx.alert(Some(word), format!("sink named '{name}' already exists."));
    }
    cx.model.rings.push(Ring { place: line.place(), name, ..Ring::default() });
}

fn ring<'c>(cx: &'c mut Cx<'_>) -> &'c mut Ring {
    let rings = &mut cx.model.rings;
    if rings.is_empty() {
        rings.push(Ring::default());
    }
    let last = rings.len() - 1;
    &mut rings[last]
}

fn bytes(cx: &mut Cx<'_>, line: &Line) -> Option<usize> {
    let word = line.word(1);
    let size =
        word.and_then(|w| value::size(&w.text).ok()).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    if size.is_none() {
        let text = word.map(|w| w.str().into_owned()).unwrap_or_default();
        cx.alert(word.or(line.word(0)), format!("invalid size '{text}' for new sink buffer."));
    }
    size
}

fn size(cx: &mut Cx<'_>, line: &Line) {
    if let Some(n) = bytes(cx, line) {
        ring(cx).size = Some(n);
    }
}

fn maxlen(cx: &mut Cx<'_>, line: &Line) {
    if let Some(n) = bytes(cx, line) {
        ring(cx).maxlen = Some(n);
    }
}

fn format(cx: &mut Cx<'_>, line: &Line) {
    match line.word(1).and_then(|w| super::log::framing(&w.text)) {
        Some(format) => ring(cx).format = format,
        None => {
            let text = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
            ring(cx).format = LogFraming::Raw;
            cx.alert(line.words.last(), format!("unknown format '{text}'."));
        }
    }
}

fn description(cx: &mut Cx<'_>, line: &Line) {
    match super::proxy_http::text(line) {
        Some(text) => ring(cx).description = Some(text),
        None => {
            cx.alert(line.word(0), "missing ring description text.");
        }
    }
}

fn timeout(cx: &mut Cx<'_>, line: &Line) {
    let name = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
    if !matches!(&*name, "connect" | "server") {
        let message =
            format!("'timeout {name}' in a ring section is ignored: it knows 'connect' and 'server'.");
        cx.notice(line.word(1).or(line.word(0)), message);
        return;
    }
    let of = format!("timeout {name}");
    let Some(word) = line.word(2) else {
        cx.alert(line.word(1), format!("'{of}' expects <time> as argument."));
        return;
    };
    match value::time(cx, word) {
        Ok(time) if name == "connect" => ring(cx).connect_timeout = Some(time),
        Ok(time) => ring(cx).server_timeout = Some(time),
        Err(e) => {
            cx.alert(Some(word), value::time_message(e, word, &of));
        }
    }
}

fn server(cx: &mut Cx<'_>, line: &Line) {
    let Some(mut server) = super::server::of_ring(cx, line) else { return };
    if let Host::Name(name) = &server.address.host {
        let found = super::resolve::host(cx, name);
        match found {
            Some(host) => server.address.host = host,
            None => {
                let message = format!("'server {}' : could not resolve address '{name}'.", server.name);
                cx.alert(line.word(2), message);
                return;
            }
        }
    }
    if server.address.transport == Transport::Datagram {
        // HAProxy 3.5-dev5 takes it and dies of it when it starts
        cx.alert(line.word(2), value::not_yet("a datagram address", "rings that are sent over UDP"))
            .hint("a 'log' line with 'udp@' sends datagrams without a ring");
        return;
    }
    ring(cx).servers.push(server);
}

fn file(cx: &mut Cx<'_>, line: &Line) {
    let path = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
    if path.is_empty() {
        let name = ring(cx).name.clone();
        let message = format!("cannot open backing-file '' for ring '{name}': No such file or directory.");
        cx.alert(line.word(0), message);
        return;
    }
    ring(cx).file = Some(path);
}
