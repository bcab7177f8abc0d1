//! Options of `bind` (manual section 5.1).

use super::conf::{At, Wrong, certificates, option, word};
use super::crt_list;
use crate::again;
use crate::settings::{BindTls, Conf, Entry, GlobalTls, under};
use crate::store::list_name;
use crate::tickets::KeyFile;
use portcullis_config::rows::bind::complain;
use portcullis_config::{Args, Bind, BindOption, Cx, bind_option as opt};
use std::path::Path;

/// An option that `bind` has in common with others.
macro_rules! shared {
    ($name:literal, $args:literal, $help:literal) => {
        opt!($name, $args, |cx, b, a| common(cx, b, a, $name), $help)
    };
}

/// The rows of this file.
pub const OPTIONS: &[BindOption] = &[
    shared!("allow-0rtt", "", "Takes requests that come before the handshake is done."),
    opt!("alpn", "<protocols>", alpn, "Protocols that are negotiated, the preferred one first."),
    shared!("ca-file", "<cafile>", "Authorities that clients' certificates are verified with, and told of."),
    shared!(
        "ca-ignore-err",
        "{ all | <errorID>,... }",
        "Errors above a client's certificate that do not end the handshake."
    ),
    shared!(
        "ca-verify-file",
        "<cafile>",
        "Authorities that clients' certificates are verified with, and not told of."
    ),
    shared!("ciphers", "<ciphers>", "Cipher suites of TLS 1.2, in OpenSSL's language."),
    shared!("ciphersuites", "<ciphersuites>", "Cipher suites of TLS 1.3."),
    shared!(
        "client-sigalgs",
        "<sigalgs>",
        "Signature algorithms that are accepted of clients' certificates."
    ),
    opt!(
        "ca-sign-file",
        "<cafile>",
        ca_sign,
        "The authority that certificates are made with, with its key ('generate-certificates')."
    ),
    opt!("ca-sign-pass", "<passphrase>", ca_sign_pass, "The passphrase of that key."),
    opt!(
        "generate-certificates",
        "",
        |_, b, _| tls(b).generate = true,
        "Makes certificates for names that none is for."
    ),
    shared!("crl-file", "<crlfile>", "Revocation lists that clients' certificates are looked up in."),
    opt!("crt", "<cert>", crt, "A certificate with its key, a bundle, or a directory of them."),
    shared!(
        "crt-ignore-err",
        "{ all | <errorID>,... }",
        "Errors of a client's certificate that do not end the handshake."
    ),
    opt!("crt-list", "<file>", crt_list, "Certificates with options and names of their own, one a line."),
    shared!("curves", "<curves>", "Groups of the key exchange."),
    opt!("default-crt", "<cert>", default_crt, "The certificate for clients that no other is for."),
    shared!("ecdhe", "<named curve>", "The group of the key exchange; 'curves' replaces it."),
    shared!("force-sslv3", "", "Speaks SSLv3 only, which is refused."),
    shared!("force-tlsv10", "", "Speaks TLS 1.0 only, which is refused."),
    shared!("force-tlsv11", "", "Speaks TLS 1.1 only, which is refused."),
    shared!("force-tlsv12", "", "Speaks TLS 1.2 only."),
    shared!("force-tlsv13", "", "Speaks TLS 1.3 only."),
    shared!("ktls", "<on|off>", "Whether the kernel makes TLS records, if it can."),
    shared!("no-alpn", "", "Negotiates no protocol."),
    shared!("no-ca-names", "", "Tells clients no names of authorities."),
    shared!("no-sslv3", "", "Does not speak SSLv3."),
    opt!("no-strict-sni", "", |_, b, _| tls(b).strict_sni = Some(false), "Takes 'strict-sni' back."),
    opt!(
        "no-tls-tickets",
        "",
        |_, b, _| tls(b).tickets = Some(false),
        "Resumes sessions from the cache only."
    ),
    shared!("no-tlsv10", "", "Does not speak TLS 1.0."),
    shared!("no-tlsv11", "", "Does not speak TLS 1.1."),
    shared!("no-tlsv12", "", "Does not speak TLS 1.2."),
    shared!("no-tlsv13", "", "Does not speak TLS 1.3."),
    opt!(
        "prefer-client-ciphers",
        "",
        |_, b, _| tls(b).client_order = true,
        "Takes the cipher suite that the client prefers."
    ),
    shared!("sigalgs", "<sigalgs>", "Signature algorithms that the server signs with."),
    opt!("ssl", "", |_, b, _| tls(b).ssl = true, "Speaks TLS."),
    shared!("ssl-max-ver", "[ SSLv3 | TLSv1.0 | TLSv1.1 | TLSv1.2 | TLSv1.3 ]", "The highest version."),
    shared!("ssl-min-ver", "[ SSLv3 | TLSv1.0 | TLSv1.1 | TLSv1.2 | TLSv1.3 ]", "The lowest version."),
    opt!(
        "strict-sni",
        "",
        |_, b, _| tls(b).strict_sni = Some(true),
        "Refuses clients whose server name no certificate is for."
    ),
    opt!("tls-ticket-keys", "<keyfile>", ticket_keys, "Keys of session tickets."),
    opt!(
        "tls-tickets",
        "",
        |_, b, _| tls(b).tickets = Some(true),
        "Takes 'no-tls-tickets' of the defaults back."
    ),
    shared!("verify", "[none|optional|required]", "Whether clients are asked for certificates."),
];

fn tls(bind: &mut Bind) -> &mut BindTls {
    bind.ext.entry()
}

/// Runs something that needs files and `global`, and the settings of the line.
fn with<T>(cx: &mut Cx<'_>, work: impl FnOnce(&mut At<'_>) -> T) -> T {
    let mut at = At::of(cx);
    let done = work(&mut at);
    at.said.extend(at.global.store.lock().not_sent());
    let (said, warned, experimental) = (at.said, at.warned, at.experimental_used);
    cx.model.global.experimental_used |= experimental;
    for text in said {
        cx.notice(None, text);
    }
    for text in warned {
        cx.warn(None, text);
    }
    done
}

/// Options that are not those of `bind` alone.
fn common(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>, name: &str) {
    let conf: &mut Conf = &mut tls(bind).conf;
    let done = with(cx, |at| option(at, conf, name, &mut || args.next().map(|w| w.str().into_owned())));
    if let Some(Err(wrong)) = done {
        refuse(cx, bind, args, wrong);
    }
}

fn refuse(cx: &mut Cx<'_>, bind: &Bind, args: &Args<'_>, wrong: Wrong) {
    let word = args.words.get(args.at.saturating_sub(1)).or(args.words.last());
    if let Some(first) = wrong.first {
        cx.diags.add(portcullis_config::Severity::Alert, None, first);
    }
    complain(cx, bind, word, &wrong.message);
}

fn alpn(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    common(cx, bind, args, "alpn");
}

/// `crt` and `default-crt`: a certificate, the files of a bundle, or a directory, which is a list.
fn add(cx: &mut Cx<'_>, bind: &mut Bind, args: &Args<'_>, path: &str, default: bool) {
    let base = cx.global_ext::<GlobalTls>().crt_base.clone();
    let directory = under(base.as_deref(), list_name(path));
    if cx.files.is_dir(Path::new(&directory)) {
        let read = with(cx, |at| crt_list::directory(at, &directory));
        return list(cx, bind, args, directory, read);
    }
    match with(cx, |at| certificates(at, path)) {
        Ok(slots) => {
            let entry = |slot| Entry { slot, filters: Vec::new(), conf: None, default, origin: None };
            tls(bind).entries.extend(slots.into_iter().map(entry));
        }
        Err(e) => refuse(cx, bind, args, e.into()),
    }
}

/// A list that was read: it may be empty, and filled later.
fn list(cx: &mut Cx<'_>, bind: &mut Bind, args: &Args<'_>, name: String, read: Result<Vec<Entry>, String>) {
    match read {
        Ok(entries) => {
            tls(bind).entries.extend(entries);
            tls(bind).lists.push(name);
        }
        Err(e) => refuse(cx, bind, args, e.into()),
    }
}

fn crt(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    match word(args) {
        Some(path) => add(cx, bind, args, &path, false),
        None => refuse(cx, bind, args, "'crt' : missing certificate location".to_owned().into()),
    }
}

fn default_crt(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    match word(args) {
        Some(path) => add(cx, bind, args, &path, true),
        None => refuse(cx, bind, args, "'default-crt' : missing certificate location".to_owned().into()),
    }
}

fn crt_list(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    let Some(path) = word(args) else {
        return refuse(cx, bind, args, "'crt-list' : missing certificate location".to_owned().into());
    };
    let read = with(cx, |at| crt_list::read(at, &path)).map_err(|e| format!("'crt-list' : {e}"));
    list(cx, bind, args, list_name(&path).to_owned(), read);
}

fn ca_sign(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    let Some(path) = word(args) else {
        return refuse(cx, bind, args, "'ca-sign-file' : missing CAfile path".to_owned().into());
    };
    let path = under(cx.global_ext::<GlobalTls>().ca_base.as_deref(), &path);
    let content = cx.files.read(Path::new(&path)).ok();
    tls(bind).ca_sign = Some((path, content));
}

fn ca_sign_pass(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    match word(args) {
        Some(word) => tls(bind).ca_sign_pass = Some(word),
        None => refuse(cx, bind, args, "'ca-sign-pass' : missing CAkey password".to_owned().into()),
    }
}

/// Lines of base64, the last three count: the one before the last signs new tickets.
fn ticket_keys(cx: &mut Cx<'_>, bind: &mut Bind, args: &mut Args<'_>) {
    let Some(path) = word(args) else {
        return refuse(
            cx,
            bind,
            args,
            "'tls-ticket-keys' : missing TLS ticket keys file path".to_owned().into(),
        );
    };
    let Ok(text) = cx.files.read(Path::new(&path)) else {
        return refuse(cx, bind, args, format!("'{path}' : unable to load ssl tickets keys file").into());
    };
    match crate::tickets::keys(&String::from_utf8_lossy(&text)) {
        Ok(keys) => {
            let store = cx.global_ext::<GlobalTls>().store.clone();
            let files = &mut store.lock().ticket_files;
            let known = files.iter().find(|f| f.name == path).cloned();
            let file = known.unwrap_or_else(|| {
                let file = KeyFile::new(&path, keys);
                let file = again::ticket_keys(&path, file.source).unwrap_or(file);
                files.push(file.clone());
                file
            });
            tls(bind).ticket_keys = Some(file);
        }
        Err(e) => refuse(cx, bind, args, format!("'{path}' : {e}").into()),
    }
}
