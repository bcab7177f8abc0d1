//! `ocsp-update.*` of `global` (manual section 3.1).

use crate::settings::{GlobalTls, OcspUpdate};
use crate::store::NO_ID;
use portcullis_config::addr::{Host, Ports};
use portcullis_config::rows::{address, value};
use portcullis_config::{Cx, Diagnostics, Keyword, Line, Model, Severity, global_keyword as row};
use std::net::{IpAddr, SocketAddr};

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    row!(
        "ocsp-update.disable",
        "[ on | off ]",
        |cx, l| switch(cx, l, |o| &mut o.disabled),
        "Fetches no OCSP responses, whatever else is said."
    ),
    row!(
        "ocsp-update.httpproxy",
        "<address>[:port]",
        proxy,
        "The HTTP proxy that OCSP responses are fetched through."
    ),
    row!("ocsp-update.maxdelay", "<number>", delay, "Most seconds between two fetches of an OCSP response."),
    row!("ocsp-update.mindelay", "<number>", delay, "Least seconds between two fetches of an OCSP response."),
    row!(
        "ocsp-update.mode",
        "[ on | off ]",
        |cx, l| switch(cx, l, |o| &mut o.mode),
        "'ocsp-update' of certificates without."
    ),
    row!("tune.ssl.ocsp-update.maxdelay", "<number>", delay, "The old name of 'ocsp-update.maxdelay'."),
    row!("tune.ssl.ocsp-update.mindelay", "<number>", delay, "The old name of 'ocsp-update.mindelay'."),
];

fn settings<'c>(cx: &'c mut Cx<'_>) -> &'c mut OcspUpdate {
    &mut cx.global_ext::<GlobalTls>().ocsp
}

fn switch(cx: &mut Cx<'_>, line: &Line, of: fn(&mut OcspUpdate) -> &mut bool) {
    let name = line.word(0).map(|w| w.str().into_owned()).unwrap_or_default();
    match line.word(1).map(|w| w.str().into_owned()).as_deref() {
        Some("on") => *of(settings(cx)) = true,
        Some("off") => *of(settings(cx)) = false,
        _ => {
            cx.warn(line.word(1).or(line.word(0)), format!("'{name}' : expecting <on|off>"));
        }
    }
}

fn delay(cx: &mut Cx<'_>, line: &Line) {
    let name = line.word(0).map(|w| w.str().into_owned()).unwrap_or_default();
    let Some(word) = value::one(cx, line, 1, &format!("'{name}' expects an integer argument.")) else {
        return;
    };
    let Ok(seconds) = u32::try_from(value::lenient(cx, word, &name)) else {
        cx.alert(Some(word), format!("'{name}' expects a positive numeric value."));
        return;
    };
    let OcspUpdate { min, max, .. } = *settings(cx);
    match name.ends_with("mindelay") {
        true if seconds > max => {
            let text = format!("'{name}' can not be higher than tune.ssl.ocsp-update.maxdelay.");
            cx.alert(Some(word), text);
        }
        false if seconds < min => {
            let text = format!("'{name}' can not be lower than tune.ssl.ocsp-update.mindelay.");
            cx.alert(Some(word), text);
        }
        true => settings(cx).min = seconds,
        false => settings(cx).max = seconds,
    }
}

fn proxy(cx: &mut Cx<'_>, line: &Line) {
    let text = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
    let ip: Option<(IpAddr, u16)> =
        address::parse(&text, address::Wants { name: false, port: false, ..address::SERVER }).ok().and_then(
            |a| {
                let ip = match a.host {
                    Host::V4(ip) => ip.into(),
                    Host::V6(ip) => ip.into(),
                    _ => return None,
                };
                match a.ports {
                    Ports::One(port) => Some((ip, port)),
                    _ => Some((ip, 80)),
                }
            },
        );
    value::no_more(cx, line, 2);
    match ip {
        Some((ip, port)) => settings(cx).proxy = Some(SocketAddr::new(ip, port)),
        None => {
            let text = format!("ocsp-update: Failed to parse destination address in '{text}'");
            cx.alert(line.word(1).or(line.word(0)), text);
        }
    }
}

/// Certificates whose responses are not stapled, or cannot be asked for.
pub fn check(model: &mut Model, diags: &mut Diagnostics) {
    let Some(global) = model.global.ext.get::<GlobalTls>() else { return };
    for (name, slot) in &global.store.lock().certificates {
        let certificate = slot.get();
        if let Some(Err(why)) = &certificate.stapled {
            let file = certificate.load.ocsp.as_deref().unwrap_or(name);
            diags.add(Severity::Warning, None, not_stapled(file, why));
        }
        if certificate.load.ocsp_update == Some(true)
            && global.ocsp.wants(Some(true))
            && certificate.responder().is_some()
            && certificate.ocsp_id().is_none()
        {
            let text = format!(
                "'{name}' has an OCSP auto-update set to 'on' but an error occurred (maybe the OCSP URI or the issuer could \
                 not be found)'."
            );
            diags.add(Severity::Warning, None, text);
        }
    }
}

/// What is said of a response that was given along with a certificate and is not stapled.
#[must_use]
pub fn not_stapled(file: &str, why: &str) -> String {
    match why {
        NO_ID => format!(
            "'{file}' is present and activates OCSP but it is impossible to compute the OCSP certificate ID (maybe the issuer \
             could not be found)'."
        ),
        _ => format!("Loading: {why}. Content will be ignored."),
    }
}
