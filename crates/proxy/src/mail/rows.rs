//! `mailers` sections (manual section 12.3) and `email-alert` (4.2).

use super::plan::{Mailer, MailersSection, Said, Sections as Mailers};
use crate::rules::rows::works as row;
use portcullis_config::addr::{Host, Ports, Transport};
use portcullis_config::rows::{address, log, resolve, value};
use portcullis_config::{Cx, Keyword, Line, Sections};
use portcullis_telemetry::log::Level;
use std::net::SocketAddr;

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    row("mailers", Sections::MAILERS, "<mailersect>", "Mail servers that are told about servers.", open),
    row("mailer", Sections::MAILERS, "<mailername> <ip>:<port>", "A mail server.", mailer),
    row("timeout", Sections::MAILERS, "mail <time>", "Time that sending may take.", timeout),
    row(
        "email-alert from",
        Sections::PROXY,
        "<emailaddr>",
        "From whom mails about servers come.",
        |cx, l| {
            said(cx).from = Some(word(l));
        },
    ),
    row("email-alert level", Sections::PROXY, "<level>", "Which of them are sent.", level),
    row(
        "email-alert mailers",
        Sections::PROXY,
        "<mailersect>",
        "The mail servers that get them.",
        |cx, l| {
            said(cx).mailers = Some(word(l));
        },
    ),
    row("email-alert myhostname", Sections::PROXY, "<hostname>", "What this host calls itself.", |cx, l| {
        said(cx).hello = Some(word(l));
    }),
    row("email-alert to", Sections::PROXY, "<emailaddr>", "To whom they are sent.", |cx, l| {
        said(cx).to = Some(word(l));
    }),
];

fn said<'c>(cx: &'c mut Cx<'_>) -> &'c mut Said {
    cx.ext()
}

fn word(line: &Line) -> String {
    line.word(2).map(|w| w.str().into_owned()).unwrap_or_default()
}

fn level(cx: &mut Cx<'_>, line: &Line) {
    let found = line.word(2).and_then(log::level_number).map(Level::numbered);
    match found {
        Some(level) => said(cx).level = Some(level),
        None => {
            let text = format!("unknown log level '{}' after 'email-alert level'.", word(line));
            cx.alert(line.words.last(), text);
        }
    }
}

/// `mailers NAME`
fn open(cx: &mut Cx<'_>, line: &Line) {
    let name = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
    if let Some(c) = name.chars().find(|c| !c.is_ascii_alphanumeric() && !"_-.:".contains(*c)) {
        cx.alert(line.word(1), format!("character '{c}' is not permitted in 'mailers' name '{name}'."));
    }
    let place = line.place();
    let sections = cx.model.ext.entry::<Mailers>();
    let first = sections.0.iter().find(|s| s.name == name).map(|s| s.place);
    sections.0.push(MailersSection { name: name.clone(), place, ..MailersSection::default() });
    if let Some(first) = first {
        let file = cx.diags.files.get(first.file.0 as usize).map_or("?", String::as_str);
        let text = format!(
            "mailers section '{name}' has the same name as another mailers section declared at {file}:{}.",
            first.line
        );
        cx.alert(line.word(1), text);
    }
}

fn section<'c>(cx: &'c mut Cx<'_>) -> Option<&'c mut MailersSection> {
    cx.model.ext.entry::<Mailers>().0.last_mut()
}

/// `mailer NAME ADDRESS`
fn mailer(cx: &mut Cx<'_>, line: &Line) {
    let (Some(name), Some(place)) = (line.word(1), line.word(2)) else {
        cx.alert(line.words.last(), "'mailer' expects <name> and <addr>[:<port>] as arguments.");
        return;
    };
    match server(cx, &place.str()) {
        Ok(address) => {
            let mailer = Mailer { name: name.str().into_owned(), address };
            if let Some(section) = section(cx) {
                section.list.push(mailer);
            }
        }
        Err(e) => {
            cx.alert(Some(place), format!("'mailer {}' : {e}.", name.str()));
        }
    }
}

/// An address that TCP reaches, with a port.
fn server(cx: &Cx<'_>, text: &str) -> Result<SocketAddr, String> {
    let text = &*address::expand(cx.env, text);
    let mut found = address::parse(text, address::MAILER)?;
    if let Host::Name(name) = &found.host {
        found.host =
            resolve::host(cx, name).ok_or_else(|| format!("invalid address: '{name}' in '{text}'"))?;
    }
    match (found.transport, found.host, found.ports) {
        (Transport::Stream, Host::V4(ip), Ports::One(port)) => Ok(SocketAddr::new(ip.into(), port)),
        (Transport::Stream, Host::V6(ip), Ports::One(port)) => Ok(SocketAddr::new(ip.into(), port)),
        (Transport::Stream, Host::V4(_) | Host::V6(_), _) => {
            Err(format!("missing port specification in '{text}'"))
        }
        _ => Err("TCP not supported for this address family".into()),
    }
}

/// `timeout mail TIME`
fn timeout(cx: &mut Cx<'_>, line: &Line) {
    match line.word(1) {
        Some(w) if w.is("mail") => {}
        Some(w) => {
            let text = format!("'timeout' expects 'mail' and <time> as arguments got '{}'.", w.str());
            cx.alert(Some(w), text);
            return;
        }
        None => {
            cx.alert(line.word(0), "'timeout' expects 'mail' and <time> as arguments.");
            return;
        }
    }
    let Some(word) = line.word(2) else {
        cx.alert(line.word(1), "'timeout mail' expects <time> as argument.");
        return;
    };
    match value::time(cx, word) {
        Ok(time) => {
            if let Some(section) = section(cx) {
                section.timeout = Some(time);
            }
        }
        Err(e) => {
            cx.alert(Some(word), value::time_message(e, word, "timeout mail"));
        }
    }
}
