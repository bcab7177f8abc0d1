//! Keywords of `global` (manual sections 3.1 and 3.2).

use super::conf::{At, left_out, option};
use crate::settings::{Conf, GlobalTls};
use crate::store::{Chains, certificates};
use portcullis_config::rows::value;
use portcullis_config::{Cx, Keyword, Line, Needs, global_keyword as row};
use std::path::Path;
use std::sync::Arc;

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    row!(
        "ca-base",
        "<dir>",
        |cx, l| base(cx, l, |g| &mut g.ca_base),
        "Where 'ca-file' and 'crl-file' are looked for."
    ),
    row!(
        "key-base",
        "<dir>",
        |cx, l| base(cx, l, |g| &mut g.key_base),
        "Where the keys of 'load' lines are looked for."
    ),
    row!(
        "maxsslconn",
        "<number>",
        |cx, l| limit(cx, l, |g| &mut g.max_conns),
        "TLS connections of the process at the same time, clients' and servers' together."
    ),
    row!(
        "maxsslrate",
        "<number>",
        |cx, l| limit(cx, l, |g| &mut g.max_rate),
        "New TLS connections of clients a second of the process."
    ),
    row!(
        "ssl-passphrase-cmd",
        "<cmd> <args> ...",
        passphrase_command,
        "The program that says the passphrases of encrypted keys when they are read."
    ),
    row!("noktls", "", |cx, _| tls(cx).no_ktls = true, "The kernel makes no TLS records."),
    row!("crt-base", "<dir>", |cx, l| base(cx, l, |g| &mut g.crt_base), "Where certificates are looked for."),
    row!(
        "ssl-default-bind-ciphers",
        "<ciphers>",
        |cx, l| text(cx, l, "a cipher suite", |g| &mut g.bind.conf.ciphers),
        "'ciphers' of 'bind' lines without."
    ),
    row!(
        "ssl-default-bind-ciphersuites",
        "<ciphersuites>",
        |cx, l| text(cx, l, "a cipher suite", |g| &mut g.bind.conf.suites),
        "'ciphersuites' of 'bind' lines without."
    ),
    row!(
        "ssl-default-bind-client-sigalgs",
        "<sigalgs>",
        |cx, l| text(cx, l, "signature algorithms", |g| &mut g.bind.conf.client_sigalgs),
        "'client-sigalgs' of 'bind' lines without."
    ),
    row!(
        "ssl-default-bind-curves",
        "<curves>",
        |cx, l| text(cx, l, "a curves suite", |g| &mut g.bind.conf.curves),
        "'curves' of 'bind' lines without."
    ),
    row!(
        "ssl-default-bind-options",
        "[<option>]...",
        bind_options,
        "Options of all 'bind' lines with 'ssl'."
    ),
    row!(
        "ssl-default-bind-sigalgs",
        "<sigalgs>",
        |cx, l| text(cx, l, "signature algorithms", |g| &mut g.bind.conf.sigalgs),
        "'sigalgs' of 'bind' lines without."
    ),
    row!(
        "ssl-default-server-ciphers",
        "<ciphers>",
        |cx, l| text(cx, l, "a cipher suite", |g| &mut g.server.conf.ciphers),
        "'ciphers' of 'server' lines without."
    ),
    row!(
        "ssl-default-server-ciphersuites",
        "<ciphersuites>",
        |cx, l| text(cx, l, "a cipher suite", |g| &mut g.server.conf.suites),
        "'ciphersuites' of 'server' lines without."
    ),
    row!(
        "ssl-default-server-curves",
        "<curves>",
        |cx, l| text(cx, l, "a curves suite", |g| &mut g.server.conf.curves),
        "'curves' of 'server' lines without."
    ),
    row!(
        "ssl-default-server-options",
        "[<option>]...",
        server_options,
        "Options of all 'server' lines with 'ssl'."
    ),
    row!(
        "ssl-default-server-sigalgs",
        "<sigalgs>",
        |cx, l| text(cx, l, "signature algorithms", |g| &mut g.server.conf.sigalgs),
        "'sigalgs' of 'server' lines without."
    ),
    row!(
        "ssl-load-extra-del-ext",
        "",
        |cx, _| cx.global_ext::<GlobalTls>().extra.replace = true,
        "'.key' and its kin replace the extension of a certificate's file."
    ),
    row!(
        "ssl-load-extra-files",
        "<none|all|bundle|sctl|ocsp|issuer|key>*",
        extra_files,
        "Which files beside a certificate's are read."
    ),
    row!(
        "ssl-default-server-client-sigalgs",
        "<sigalgs>",
        |cx, l| text(cx, l, "signature algorithms", |g| &mut g.server.conf.client_sigalgs),
        "'client-sigalgs' of 'server' lines without."
    ),
    row!(
        "ssl-security-level",
        "<number>",
        security_level,
        "How strong suites, groups and keys have to be, from 0 to 5, as OpenSSL counts."
    ),
    row!(
        "ssl-skip-self-issued-ca",
        "",
        |cx, _| chains(cx, |c| c.skip_self_issued = true),
        "Sends no authority that issued itself, though a certificate's file has it."
    ),
    row!(
        "issuers-chain-path",
        "<dir>",
        issuers,
        "Where the chains are that complete certificates whose files have none."
    ),
    row!("ssl-server-verify", "[none|required]", server_verify, "'verify' of 'server' lines without."),
    row!("tune.ssl.cachesize", "<number>", cache_size, "Sessions that can be resumed without tickets."),
    row!(
        "tune.ssl.capture-buffer-size",
        "<number>",
        capture,
        "Bytes of a ClientHello that are kept for samples; larger ones are not."
    ),
    row!(
        "tune.ssl.capture-cipherlist-size",
        "<number>",
        |cx, l| {
            cx.warn(
                l.word(0),
                "'tune.ssl.capture-cipherlist-size' is deprecated and will be removed in version 2.7. Please use \
                 'tune.ssl.capture-buffer-size' instead.",
            );
            capture(cx, l);
        },
        "The old name of 'tune.ssl.capture-buffer-size'."
    ),
    row!(
        "tune.ssl.certificate-compression",
        "{ auto | off }",
        compression,
        "Whether certificates may be sent compressed with TLS 1.3."
    ),
    row!(
        "tune.ssl.hard-maxrecord",
        "<number>",
        |cx, l| record(cx, l, |g| &mut g.hard_max_record),
        "Most bytes of a record."
    ),
    row!(
        "tune.ssl.keylog",
        "{ on | off }",
        key_log,
        "Keeps the secrets of connections for the samples that key logs are made of."
    ),
    row!(
        "tune.ssl.keyupdate-rate-limit",
        "<limit>",
        key_updates,
        "Changes of its keys that a peer may make in a second."
    ),
    row!(
        "tune.ssl.maxrecord",
        "<number>",
        |cx, l| record(cx, l, |g| &mut g.max_record),
        "Most bytes of a record where a connection begins to send."
    ),
    row!(
        "tune.ssl.ssl-ctx-cache-size",
        "<number>",
        minted,
        "Certificates of 'generate-certificates' that are kept."
    ),
    row!("tune.ssl.lifetime", "<timeout>", lifetime, "How long a session can be resumed."),
];

fn tls<'c>(cx: &'c mut Cx<'_>) -> &'c mut GlobalTls {
    cx.global_ext()
}

fn base(cx: &mut Cx<'_>, line: &Line, of: fn(&mut GlobalTls) -> &mut Option<String>) {
    let name = line.word(0).map(|w| w.str().into_owned()).unwrap_or_default();
    match line.word(1).map(|w| w.str().into_owned()) {
        Some(dir) if of(tls(cx)).is_some() => {
            cx.alert(line.word(1), format!("'{name}' already specified. Continuing."));
            let _ = dir;
        }
        Some(dir) => *of(tls(cx)) = Some(dir),
        None => {
            cx.alert(
                line.word(0),
                format!("global statement '{name}' expects a directory path as an argument."),
            );
        }
    }
}

fn security_level(cx: &mut Cx<'_>, line: &Line) {
    let word = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
    match word.parse::<i64>() {
        Ok(level @ 0..=5) => tls(cx).security_level = u8::try_from(level).ok(),
        Ok(_) => {
            cx.alert(line.word(1), "'ssl-security-level' : expects a value between 0 and 5");
        }
        Err(_) => {
            let text = format!("'ssl-security-level' : expects an integer argument, found '{word}'");
            cx.alert(line.word(1).or(line.word(0)), text);
        }
    }
}

/// Changes how chains are completed.
fn chains(cx: &mut Cx<'_>, change: impl FnOnce(&mut Chains)) {
    let store = tls(cx).store.clone();
    change(Arc::make_mut(&mut store.lock().chains));
}

fn issuers(cx: &mut Cx<'_>, line: &Line) {
    let dir = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
    let Ok(list) = cx.files.list(Path::new(&dir)) else {
        let text = "global statement 'issuers-chain-path' expects a directory path as an argument.";
        cx.alert(line.word(1).or(line.word(0)), text);
        return;
    };
    for file in list {
        let name = file.display();
        let chain = certificates(&cx.files.read(&file).unwrap_or_default());
        let Some(first) = chain.first().cloned() else {
            cx.warn(None, format!("unable to load issuers-chain {name} : pem certificate not found."));
            continue;
        };
        let mut known = false;
        chains(cx, |c| {
            known = c.issuers.iter().any(|c| c.first() == Some(&first));
            if !known {
                c.issuers.push(chain);
            }
        });
        if known {
            cx.warn(None, format!("duplicate issuers-chain {name}: it is known already."));
        }
    }
}

fn minted(cx: &mut Cx<'_>, line: &Line) {
    record(cx, line, |g| g.minted.insert(0));
}

fn key_log(cx: &mut Cx<'_>, line: &Line) {
    match line.word(1).map(|w| w.str().into_owned()).unwrap_or_default().as_str() {
        "on" => tls(cx).key_log = true,
        "off" => tls(cx).key_log = false,
        other => {
            let text = format!("'tune.ssl.keylog' expects either 'on' or 'off' but got '{other}'.");
            cx.alert(line.word(1).or(line.word(0)), text);
        }
    }
}

fn key_updates(cx: &mut Cx<'_>, line: &Line) {
    let name = "tune.ssl.keyupdate-rate-limit";
    let missing = format!("'{name}' expects a number (KeyUpdates/s, 0 to disable).");
    let Some(word) = value::one(cx, line, 1, &missing) else { return };
    match u32::try_from(value::lenient(cx, word, name)) {
        Ok(n) => tls(cx).key_updates = Some(n),
        Err(_) => {
            cx.alert(Some(word), format!("'{name}' expects a positive number."));
        }
    }
}

fn compression(cx: &mut Cx<'_>, line: &Line) {
    match line.word(1).map(|w| w.str().into_owned()).unwrap_or_default().as_str() {
        "auto" => tls(cx).no_compression = false,
        "off" => tls(cx).no_compression = true,
        other => {
            let text = format!(
                "'tune.ssl.certificate-compression' expects either 'auto' or 'off' but got '{other}'."
            );
            cx.alert(line.word(1).or(line.word(0)), text);
        }
    }
}

fn record(cx: &mut Cx<'_>, line: &Line, of: fn(&mut GlobalTls) -> &mut usize) {
    let name = line.word(0).map(|w| w.str().into_owned()).unwrap_or_default();
    let Some(word) = value::one(cx, line, 1, &format!("'{name}' expects an integer argument.")) else {
        return;
    };
    match usize::try_from(value::lenient(cx, word, &name)) {
        Ok(n) => *of(tls(cx)) = n,
        Err(_) => {
            cx.alert(Some(word), format!("'{name}' expects a positive numeric value."));
        }
    }
}

fn limit(cx: &mut Cx<'_>, line: &Line, of: fn(&mut GlobalTls) -> &mut u32) {
    let name = line.word(0).map(|w| w.str().into_owned()).unwrap_or_default();
    let Some(word) = value::one(cx, line, 1, &format!("'{name}' expects an integer argument.")) else {
        return;
    };
    match u32::try_from(value::lenient(cx, word, &name)) {
        Ok(n) => *of(tls(cx)) = n,
        Err(_) => {
            cx.alert(Some(word), format!("'{name}' expects a positive numeric value."));
        }
    }
}

fn passphrase_command(cx: &mut Cx<'_>, line: &Line) {
    let command: Vec<String> = line.words.iter().skip(1).map(|w| w.str().into_owned()).collect();
    if command.is_empty() {
        let text = "global statement 'ssl-passphrase-cmd' expects a command line to a passphrase-providing tool \
                    (script/binary...) and its arguments.";
        cx.warn(line.word(0), text);
        return;
    }
    cx.model.global.needs |= Needs::PROGRAMS;
    tls(cx).store.lock().passphrases.command = command;
}

fn text(cx: &mut Cx<'_>, line: &Line, what: &str, of: fn(&mut GlobalTls) -> &mut Option<String>) {
    let name = line.word(0).map(|w| w.str().into_owned()).unwrap_or_default();
    match line.word(1).filter(|w| !w.text.is_empty()) {
        Some(w) => {
            let value = w.str().into_owned();
            value::no_more(cx, line, 2);
            if let Some(text) = name.rsplit('-').next().and_then(|last| left_out(last, &value)) {
                cx.notice(Some(w), text);
            }
            *of(tls(cx)) = Some(value);
        }
        None => {
            cx.alert(line.word(0), format!("global statement '{name}' expects {what} as an argument."));
        }
    }
}

/// Reads the options of a line: those that both kinds know, then `own`.
fn options(
    cx: &mut Cx<'_>,
    line: &Line,
    conf: fn(&mut GlobalTls) -> &mut Conf,
    own: fn(&mut GlobalTls, &str) -> bool,
) {
    let name = line.word(0).map(|w| w.str().into_owned()).unwrap_or_default();
    let mut args = line.args(1);
    if args.peek().is_none() {
        cx.alert(line.word(0), format!("global statement '{name}' expects an option as an argument."));
    }
    while let Some(word) = args.next() {
        let text = word.str().into_owned();
        if text == "renegotiate" && name == "ssl-default-server-options" {
            super::server::renegotiate(cx, Some(word));
            continue;
        }
        if own(tls(cx), &text) {
            continue;
        }
        let known = text.starts_with("no-") || text.starts_with("force-") || text.starts_with("ssl-m");
        let mut read = conf(tls(cx)).clone();
        let mut at = At::of(cx);
        let mut next = || args.next().map(|w| w.str().into_owned());
        match known.then(|| option(&mut at, &mut read, &text, &mut next)).flatten() {
            Some(Ok(())) => *conf(tls(cx)) = read,
            Some(Err(wrong)) => {
                cx.alert(Some(word), format!("global statement '{name}' : {}.", wrong.message));
            }
            None => {
                cx.alert(Some(word), format!("unknown option '{text}' on global statement '{name}'."));
            }
        }
    }
}

fn bind_options(cx: &mut Cx<'_>, line: &Line) {
    options(
        cx,
        line,
        |g| &mut g.bind.conf,
        |g, option| {
            match option {
                "prefer-client-ciphers" => g.bind.client_order = true,
                "no-tls-tickets" => g.bind.tickets = Some(false),
                "tls-tickets" => g.bind.tickets = Some(true),
                "strict-sni" => g.bind.strict_sni = Some(true),
                "no-strict-sni" => g.bind.strict_sni = Some(false),
                _ => return false,
            }
            true
        },
    );
}

fn server_options(cx: &mut Cx<'_>, line: &Line) {
    options(
        cx,
        line,
        |g| &mut g.server.conf,
        |g, option| {
            match option {
                "no-tls-tickets" => g.server.no_tickets = true,
                "tls-tickets" => g.server.no_tickets = false,
                "no-renegotiate" => {}
                _ => return false,
            }
            true
        },
    );
}

fn extra_files(cx: &mut Cx<'_>, line: &Line) {
    let mut extra = crate::store::Extra { replace: tls(cx).extra.replace, ..crate::store::Extra::NONE };
    let mut known = line.words.len() > 1;
    for word in line.words.iter().skip(1) {
        match word.text.as_slice() {
            b"none" => {}
            b"all" => extra = crate::store::Extra { replace: extra.replace, ..Default::default() },
            b"bundle" => extra.bundle = true,
            b"ocsp" => extra.ocsp = true,
            b"issuer" => extra.issuer = true,
            b"key" => extra.key = true,
            b"sctl" => {
                extra.sctl = true;
                portcullis_config::no_effect::tell(cx, Some(word), super::load::TIMESTAMPS);
            }
            _ => known = false,
        }
    }
    if known {
        tls(cx).extra = extra;
        return;
    }
    let message =
        "'ssl-load-extra-files' expects one or multiple arguments (none, all, bundle, sctl, ocsp, issuer).";
    cx.alert(line.word(1), message);
}

fn server_verify(cx: &mut Cx<'_>, line: &Line) {
    match line.word(1).map(|w| w.str().into_owned()).as_deref() {
        Some("none") => tls(cx).server_verify_none = true,
        Some("required") => tls(cx).server_verify_none = false,
        _ => {
            cx.alert(line.word(1), "'ssl-server-verify' expects 'none' or 'required' as argument.");
        }
    }
}

fn cache_size(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = value::one(cx, line, 1, "expects an integer argument") else { return };
    let n = value::lenient(cx, word, "tune.ssl.cachesize");
    if n < 0 {
        cx.alert(Some(word), "'tune.ssl.cachesize' expects a positive numeric value.");
        return;
    }
    tls(cx).cache_size = usize::try_from(n).ok();
}

fn lifetime(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = value::one(cx, line, 1, "expects ssl sessions <lifetime> in seconds as argument") else {
        return;
    };
    match value::time_with_unit(&word.text, 1_000_000) {
        Ok((t, _)) => tls(cx).lifetime = Some(u32::try_from(t.as_secs()).unwrap_or(u32::MAX)),
        Err(e) => {
            let message = value::time_message(e, word, "tune.ssl.lifetime");
            cx.alert(Some(word), message);
        }
    }
}

fn capture(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = value::one(cx, line, 1, "'tune.ssl.capture-buffer-size' expects an integer argument.")
    else {
        return;
    };
    match usize::try_from(value::lenient(cx, word, "tune.ssl.capture-buffer-size")) {
        Ok(n) => tls(cx).capture = n,
        Err(_) => {
            cx.alert(Some(word), "'tune.ssl.capture-buffer-size' expects a positive numeric value.");
        }
    }
}
