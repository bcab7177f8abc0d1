//! Persistence: `cookie`, `dynamic-cookie-key`, `persist rdp-cookie`, and a server's `cookie` and `redir`.

use super::proxy_http::called;
use super::value::{self, TimeError};
use crate::cx::Cx;
use crate::diag::{Diagnostics, Severity};
use crate::model::{Mode, Proxy};
use crate::persist::{Cookie, CookieMode};
use crate::row::{Does, Keyword, Sections};
use crate::word::{Args, Line, Word};

macro_rules! row {
    ($name:literal, $args:literal, $parse:expr, $help:literal) => {
        Keyword {
            name: $name,
            sections: Sections::BACK,
            args: $args,
            help: $help,
            negatable: false,
            does: Does::Works($parse),
        }
    };
}

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    row!(
        "cookie",
        "<name> [ rewrite | insert | prefix ] [ indirect ] [ nocache ] [ postonly ] [ preserve ] [ httponly ] \
         [ secure ] [ domain <domain> ]* [ maxidle <idle> ] [ maxlife <life> ] [ dynamic ] [ attr <value> ]*",
        cookie,
        "The cookie that brings a client back to its server."
    ),
    row!(
        "dynamic-cookie-key",
        "<string>",
        dynamic_cookie_key,
        "The secret that dynamic cookies of servers are made with."
    ),
    row!(
        "persist",
        "rdp-cookie[(<name>)]",
        persist,
        "Brings a client back to the server that its RDP cookie names."
    ),
];

/// Options that only switch something on.
type Switch = fn(&mut Cookie);
const SWITCHES: &[(&str, Switch)] = &[
    ("indirect", |c| c.indirect = true),
    ("nocache", |c| c.nocache = true),
    ("postonly", |c| c.postonly = true),
    ("preserve", |c| c.preserve = true),
    ("httponly", |c| c.httponly = true),
    ("secure", |c| c.secure = true),
    ("dynamic", |c| c.dynamic = true),
];

const MODES: &[(&str, CookieMode)] =
    &[("rewrite", CookieMode::Rewrite), ("insert", CookieMode::Insert), ("prefix", CookieMode::Prefix)];

const SUPPORTED: &str = "'cookie' supports 'rewrite', 'insert', 'prefix', 'indirect', 'nocache', 'postonly', 'domain', \
     'maxidle', 'dynamic', 'maxlife' and 'attr' options.";

fn cookie(cx: &mut Cx<'_>, line: &Line) {
    let Some(name) = line.word(1) else {
        cx.alert(line.word(0), "'cookie' expects <cookie_name> as argument.");
        return;
    };
    let mut cookie = Cookie { name: name.text.clone(), ..Cookie::default() };
    let mut modes = 0;
    let mut args = line.args(2);
    while let Some(word) = args.next() {
        let text = word.str();
        if let Some((_, mode)) = MODES.iter().find(|(n, _)| *n == text) {
            modes += u32::from(cookie.mode != *mode);
            cookie.mode = *mode;
        } else if let Some((_, switch)) = SWITCHES.iter().find(|(n, _)| *n == text) {
            switch(&mut cookie);
        } else if let Err(why) = with_value(cx, &mut cookie, word, &mut args) {
            cx.alert(Some(word), why);
            return;
        }
    }
    let wrong = if modes > 1 {
        "cookie 'rewrite', 'insert' and 'prefix' modes are incompatible."
    } else if cookie.mode == CookieMode::Rewrite && cookie.indirect {
        "cookie 'rewrite' and 'indirect' modes are incompatible."
    } else if cookie.preserve && cookie.mode != CookieMode::Insert && !cookie.indirect {
        "cookie 'preserve' requires at least 'insert' or 'indirect'."
    } else {
        cx.proxy().cookie = Some(cookie);
        return;
    };
    cx.alert(line.word(2), wrong);
}

/// The options that take an argument.
fn with_value(cx: &mut Cx<'_>, cookie: &mut Cookie, word: &Word, args: &mut Args<'_>) -> Result<(), String> {
    match word.text.as_slice() {
        b"domain" => {
            let word = args.next().ok_or("'domain' expects <domain> as argument.")?;
            cookie.domains.push(domain(cx, word)?);
        }
        b"maxidle" => cookie.maxidle = seconds(cx, "maxidle", "idletime", args)?,
        b"maxlife" => cookie.maxlife = seconds(cx, "maxlife", "lifetime", args)?,
        b"attr" => {
            let word = args.next().ok_or("'attr' expects <value> as argument.")?;
            if let Some(bad) = word.text.iter().find(|b| b.is_ascii_control() || **b == b';') {
                return Err(format!("character '%x{bad:02X}' is not permitted in attribute value."));
            }
            cookie.attrs.push(word.text.clone());
        }
        _ => return Err(SUPPORTED.to_owned()),
    }
    Ok(())
}

fn domain(cx: &mut Cx<'_>, word: &Word) -> Result<String, String> {
    let name = word.str().into_owned();
    if !name.get(1..).is_some_and(|rest| rest.contains('.')) {
        let message = format!(
            "domain '{name}' contains no embedded dot, this configuration may not work properly (see RFC6265#5.2.3)."
        );
        cx.warn(Some(word), message);
    }
    match name.chars().find(|c| !c.is_ascii_alphanumeric() && !"_-.:".contains(*c)) {
        Some(c) => Err(format!("character '{c}' is not permitted in domain name '{name}'.")),
        None => Ok(name),
    }
}

/// A time in whole seconds, which are its unit unless another is written.
fn seconds(cx: &mut Cx<'_>, of: &str, what: &str, args: &mut Args<'_>) -> Result<u32, String> {
    let word = args.next().ok_or_else(|| format!("'{of}' expects <{what}> in seconds as argument."))?;
    match value::time_up_to(&word.text, 1_000_000, 2_147_483_647 * 1_000_000) {
        Ok((time, _)) => {
            value::odd_time(cx, word);
            Ok(u32::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u32::MAX))
        }
        Err(TimeError::Overflow) => Err(format!(
            "timer overflow in argument <{}> to <{of}>, maximum value is 2147483647 s (~68 years).",
            word.str()
        )),
        Err(e) => Err(value::time_message(e, word, of)),
    }
}

fn dynamic_cookie_key(cx: &mut Cx<'_>, line: &Line) {
    match line.word(1) {
        Some(key) => cx.proxy().dynamic_cookie_key = Some(key.text.clone()),
        None => {
            cx.alert(line.word(0), "'dynamic-cookie-key' expects <secret_key> as argument.");
        }
    }
}

fn persist(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(1) else {
        cx.alert(line.word(0), "missing persist method.");
        return;
    };
    let Some(argument) = word.text.strip_prefix(b"rdp-cookie") else {
        cx.alert(Some(word), "unknown persist method.");
        return;
    };
    if argument.is_empty() {
        cx.proxy().rdp_persist = Some(b"msts".to_vec());
        return;
    }
    match argument.strip_prefix(b"(").and_then(|t| t.strip_suffix(b")")).filter(|n| !n.is_empty()) {
        Some(name) => {
            if value::no_more(cx, line, 2) {
                cx.proxy().rdp_persist = Some(name.to_vec());
            }
        }
        None => {
            cx.alert(Some(word), "persist rdp-cookie(name)' requires an rdp cookie name.");
        }
    }
}

/// Cookies of a backend that does not speak HTTP do nothing; a `redir` is refused.
pub fn without_http(proxy: &mut Proxy, diags: &mut Diagnostics) {
    if !proxy.kind.back() || proxy.mode == Mode::Http {
        return;
    }
    let who = called(proxy);
    if proxy.cookie.take().is_some() {
        let text = format!("cookie will be ignored for {who} (needs 'mode http').");
        diags.late(Severity::Warning, Some(proxy.place), text);
    }
    for server in &mut proxy.servers {
        if server.set.redir.is_some() {
            let text = format!("{who} : server cannot have cookie or redirect prefix in non-HTTP mode.");
            diags.late(Severity::Alert, Some(server.place), text);
        }
        if server.set.cookie.take().is_some() {
            let text =
                format!("{who} : ignoring cookie for server '{}' as HTTP mode is disabled.", server.name);
            diags.late(Severity::Warning, Some(server.place), text);
        }
    }
}
