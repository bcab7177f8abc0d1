//! `source` of a proxy and of a server, with `usesrc` and `interface` (manual sections 4.2 and 5.2).

use super::{address, resolve};
use crate::addr::{Address, Host};
use crate::cx::Cx;
use crate::model::{Source, UseSrc};
use crate::row::{Does, Keyword, Sections};
use crate::word::{Args, Line};

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    Keyword {
        name: "source",
        sections: Sections::BACK,
        args: "<addr>[:<port>] [usesrc { <addr2>[:<port2>] | client | clientip | hdr_ip(<hdr>[,<occ>]) }] [interface <name>]",
        help: "The local address of connections to servers.",
        negatable: false,
        does: Does::Works(source),
    },
    Keyword {
        name: "usesrc",
        sections: Sections::BACK,
        args: "",
        help: "Stands behind 'source' only.",
        negatable: false,
        does: Does::Works(|cx, line| {
            cx.alert(line.word(0), "'usesrc' only allowed after a 'source' statement.");
        }),
    },
];

fn source(cx: &mut Cx<'_>, line: &Line) {
    let mut args = line.args(1);
    if args.peek().is_none() {
        cx.alert(
            line.word(0),
            "'source' expects <addr>[:<port>], and optionally 'usesrc' <addr>, and 'interface' <name>.",
        );
        return;
    }
    match parse(cx, &mut args, false) {
        Err(message) => {
            cx.alert(line.words.get(args.at.saturating_sub(1)), message);
        }
        Ok(source) => match args.peek() {
            None => cx.proxy().source = Some(source),
            Some(extra) => {
                cx.alert(Some(extra), "'source' only supports optional keywords 'interface' and 'usesrc'.");
            }
        },
    }
}

/// Parses what follows `source` up to the first word that does not belong to it. With `range`, ports may be a range.
///
/// # Errors
/// The message, in HAProxy's words; the cursor stands behind the offending word.
pub fn parse(cx: &mut Cx<'_>, args: &mut Args<'_>, range: bool) -> Result<Source, String> {
    let text = args.next().map(|w| w.str().into_owned()).unwrap_or_default();
    let address = local(cx, &text, range).map_err(|e| format!("'source {text}' : {e}"))?;
    let mut source = Source { address, interface: None, usesrc: UseSrc::None };
    loop {
        if args.accept("usesrc") {
            source.usesrc = usesrc(cx, args)?;
        } else if args.accept("interface") {
            let name = args.next().ok_or("'interface' : missing interface name.")?;
            source.interface = Some(name.str().into_owned());
        } else {
            return Ok(source);
        }
    }
}

fn local(cx: &Cx<'_>, text: &str, range: bool) -> Result<Address, String> {
    let text = &*address::expand(cx.env, text);
    let mut address = address::parse(text, address::Wants { range, ..address::SOURCE })?;
    if let Host::Name(name) = &address.host {
        address.host =
            resolve::host(cx, name).ok_or_else(|| format!("invalid address: '{name}' in '{text}'"))?;
    }
    Ok(address)
}

fn usesrc(cx: &Cx<'_>, args: &mut Args<'_>) -> Result<UseSrc, String> {
    const EXPECTS: &str =
        "'usesrc' expects <addr>[:<port>], 'client', 'clientip', or 'hdr_ip(name,#)' as argument.";
    let text = args.next().map(|w| w.str().into_owned()).ok_or(EXPECTS)?;
    if let Some(inner) = text.strip_prefix("hdr_ip(") {
        return hdr_ip(inner.trim_end_matches(')'));
    }
    match text.as_str() {
        "client" => Ok(UseSrc::Client),
        "clientip" => Ok(UseSrc::ClientIp),
        text => local(cx, text, false).map(UseSrc::Address).map_err(|e| format!("'usesrc {text}' : {e}")),
    }
}

/// `name[,occurrence]`, the last occurrence if none is given.
fn hdr_ip(inner: &str) -> Result<UseSrc, String> {
    let (name, occurrence) = match inner.split_once(',') {
        Some((name, n)) => (name, super::value::leading(n.trim().as_bytes()).0),
        None => (inner, -1),
    };
    match i32::try_from(occurrence) {
        Ok(n) if n >= -10 => Ok(UseSrc::HdrIp(name.trim().to_owned(), n)),
        _ => {
            Err("usesrc hdr_ip(name,num) does not support negative occurrences values smaller than 10."
                .into())
        }
    }
}
