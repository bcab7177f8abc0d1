//! `httpclient.*` of `global` (manual section 3.12).

use crate::acme::section;
use crate::client::Settings;
use portcullis_config::rows::value;
use portcullis_config::{Cx, Keyword, Line, Rows, global_keyword as row};
use portcullis_tls::settings::{GlobalTls, under};

/// The rows of this file.
const ROWS: &[Keyword] = &[
    row!(
        "httpclient.resolvers.disabled",
        "<on|off>",
        |cx, l| {
            if let Some(word) = choice(cx, l, &["on", "off"]) {
                client(cx).no_names = word == "on";
            }
        },
        "The HTTP client looks no names up."
    ),
    row!(
        "httpclient.resolvers.id",
        "<resolvers id>",
        resolvers,
        "The 'resolvers' section that the HTTP client asks."
    ),
    row!(
        "httpclient.resolvers.prefer",
        "<ipv4|ipv6>",
        |cx, l| {
            if let Some(word) = choice(cx, l, &["ipv4", "ipv6"]) {
                client(cx).prefer_v4 = word == "ipv4";
            }
        },
        "Which addresses the HTTP client prefers."
    ),
    row!("httpclient.retries", "<number>", retries, "How often the HTTP client connects again."),
    row!("httpclient.ssl.ca-file", "<cafile>", ca_file, "Authorities that the HTTP client trusts."),
    row!(
        "httpclient.ssl.verify",
        "[none|required]",
        |cx, l| {
            if let Some(word) = choice(cx, l, &["none", "required"]) {
                client(cx).no_verify = word == "none";
            }
        },
        "Whether the HTTP client verifies servers' certificates."
    ),
    row!(
        "httpclient.timeout.connect",
        "<timeout>",
        timeout,
        "How long the HTTP client waits for a connection."
    ),
];

/// Everything that this room brings to the registry.
#[must_use]
pub fn rows() -> [Rows; 3] {
    [
        Rows { keywords: ROWS, check: Some(crate::export::check), ..Rows::default() },
        Rows { keywords: section::ROWS, check: Some(section::check), ..Rows::default() },
        Rows { keywords: section::GLOBAL, ..Rows::default() },
    ]
}

fn client<'c>(cx: &'c mut Cx<'_>) -> &'c mut Settings {
    cx.global_ext()
}

fn name(line: &Line) -> String {
    line.word(0).map(|w| w.str().into_owned()).unwrap_or_default()
}

/// The one of these words that stands there.
fn choice(cx: &mut Cx<'_>, line: &Line, words: &[&'static str]) -> Option<&'static str> {
    let said = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
    let found = words.iter().find(|w| **w == said).copied();
    if found.is_none() {
        let text = format!("'{}' expects '{}' as argument.", name(line), words.join("' or '"));
        cx.alert(line.word(1).or(line.word(0)), text);
    }
    value::no_more(cx, line, 2);
    found
}

fn resolvers(cx: &mut Cx<'_>, line: &Line) {
    let text = format!("'{}' expects a resolvers section's name.", name(line));
    if let Some(word) = value::one(cx, line, 1, &text) {
        client(cx).resolvers = Some(word.str().into_owned());
    }
}

fn retries(cx: &mut Cx<'_>, line: &Line) {
    let name = name(line);
    let Some(word) = value::one(cx, line, 1, &format!("'{name}' expects an integer argument.")) else {
        return;
    };
    match u32::try_from(value::lenient(cx, word, &name)) {
        Ok(n) => client(cx).retries = n,
        Err(_) => {
            cx.alert(Some(word), format!("'{name}' expects a positive numeric value."));
        }
    }
}

fn timeout(cx: &mut Cx<'_>, line: &Line) {
    let name = name(line);
    let Some(word) = value::one(cx, line, 1, &format!("'{name}' expects a time.")) else { return };
    match value::time_with_unit(&word.text, 1_000) {
        Ok((time, _)) => client(cx).connect = time,
        Err(e) => {
            let message = value::time_message(e, word, &name);
            cx.alert(Some(word), message);
        }
    }
}

fn ca_file(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = value::one(cx, line, 1, "'httpclient.ssl.ca-file' expects a ca-file.") else { return };
    let files = cx.files;
    let global = cx.global_ext::<GlobalTls>();
    let path = under(global.ca_base.as_deref(), &word.str());
    let read = global.store.lock().authorities(files, &path);
    match read {
        Ok(ca) => client(cx).ca = Some(ca),
        Err(e) => {
            cx.alert(Some(word), e);
        }
    }
}
