//! Options of `server` (manual section 5.2).

use super::conf::{At, certificates, option, word};
use crate::settings::ServerTls;
use portcullis_config::rows::server::complain;
use portcullis_config::{Args, Cx, Server, ServerOption, server_option as opt};

/// An option that `server` has in common with others.
macro_rules! shared {
    ($name:literal, $args:literal, $help:literal) => {
        opt!($name, $args, |cx, s, a| common(cx, s, a, $name), $help)
    };
}

/// The rows of this file.
pub const OPTIONS: &[ServerOption] = &[
    shared!(
        "allow-0rtt",
        "",
        "Sends requests before the handshake is done, if the client did or 'retry-on 0rtt-rejected' says so."
    ),
    shared!("alpn", "<protocols>", "Protocols that are offered, the preferred one first."),
    shared!("ca-file", "<cafile>", "Authorities that the server's certificate is verified with."),
    shared!("ciphers", "<ciphers>", "Cipher suites of TLS 1.2, in OpenSSL's language."),
    shared!("ciphersuites", "<ciphersuites>", "Cipher suites of TLS 1.3."),
    shared!("crl-file", "<crlfile>", "Revocation lists that the server's certificate is looked up in."),
    shared!(
        "client-sigalgs",
        "<sigalgs>",
        "Signature algorithms that we sign with where servers want a certificate."
    ),
    opt!("crt", "<cert>", crt, "The certificate that servers are shown when they ask."),
    shared!("curves", "<curves>", "Groups of the key exchange."),
    shared!("force-sslv3", "", "Speaks SSLv3 only, which is refused."),
    shared!("force-tlsv10", "", "Speaks TLS 1.0 only, which is refused."),
    shared!("force-tlsv11", "", "Speaks TLS 1.1 only, which is refused."),
    shared!("force-tlsv12", "", "Speaks TLS 1.2 only."),
    shared!("force-tlsv13", "", "Speaks TLS 1.3 only."),
    shared!("ktls", "<on|off>", "Whether the kernel makes TLS records, if it can."),
    opt!("no-renegotiate", "", |_, _, _| (), "Connections are never renegotiated, which they never are."),
    opt!("no-sni-auto", "", |_, s, _| tls(s).sni_auto = Some(false), "Sends no name but what 'sni' says."),
    opt!("no-ssl", "", |_, s, _| tls(s).ssl = false, "Takes 'ssl' back."),
    opt!("no-ssl-reuse", "", |_, s, _| tls(s).no_reuse = true, "Resumes no sessions."),
    shared!("no-sslv3", "", "Does not speak SSLv3."),
    opt!("no-tls-tickets", "", |_, s, _| tls(s).no_tickets = true, "Resumes no sessions by tickets."),
    shared!("no-tlsv10", "", "Does not speak TLS 1.0."),
    shared!("no-tlsv11", "", "Does not speak TLS 1.1."),
    shared!("no-tlsv12", "", "Does not speak TLS 1.2."),
    shared!("no-tlsv13", "", "Does not speak TLS 1.3."),
    opt!("no-verifyhost", "", |_, s, _| tls(s).verify_host = None, "Takes 'verifyhost' back."),
    opt!("renegotiate", "", |cx, _, a| renegotiate(cx, last(a)), "Lets servers renegotiate; no effect."),
    shared!("sigalgs", "<sigalgs>", "Signature algorithms that are accepted of servers."),
    opt!("sni-auto", "", |_, s, _| tls(s).sni_auto = Some(true), "Sends the name of the Host header."),
    opt!("ssl", "", |_, s, _| tls(s).ssl = true, "Speaks TLS."),
    shared!("ssl-max-ver", "[ SSLv3 | TLSv1.0 | TLSv1.1 | TLSv1.2 | TLSv1.3 ]", "The highest version."),
    shared!("ssl-min-ver", "[ SSLv3 | TLSv1.0 | TLSv1.1 | TLSv1.2 | TLSv1.3 ]", "The lowest version."),
    opt!("ssl-reuse", "", |_, s, _| tls(s).no_reuse = false, "Takes 'no-ssl-reuse' back."),
    opt!("tls-tickets", "", |_, s, _| tls(s).no_tickets = false, "Takes 'no-tls-tickets' back."),
    opt!("verify", "[none|required]", verify, "Whether the server's certificate is verified."),
    opt!(
        "verifyhost",
        "<hostname>",
        verify_host,
        "The name that its certificate must be for when no SNI is sent."
    ),
];

fn tls(server: &mut Server) -> &mut ServerTls {
    server.set.ext.entry()
}

fn last<'w>(args: &Args<'w>) -> Option<&'w portcullis_config::Word> {
    args.words.get(args.at.saturating_sub(1)).or(args.words.last())
}

fn common(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>, name: &str) {
    let conf = &mut tls(server).conf;
    let mut at = At::of(cx);
    let done = option(&mut at, conf, name, &mut || args.next().map(|w| w.str().into_owned()));
    at.said.extend(at.global.store.lock().not_sent());
    let (said, experimental) = (at.said, at.experimental_used);
    cx.model.global.experimental_used |= experimental;
    for text in said {
        cx.notice(last(args), text);
    }
    if let Some(Err(wrong)) = done {
        if let Some(first) = wrong.first {
            complain(cx, server, last(args), &first);
            cx.diags.add(portcullis_config::Severity::Alert, None, format!("{}.", wrong.message));
            return;
        }
        complain(cx, server, last(args), &format!("{}.", wrong.message));
    }
}

/// Tells that nothing comes of it.
pub(super) fn renegotiate(cx: &mut Cx<'_>, word: Option<&portcullis_config::Word>) {
    portcullis_config::no_effect::tell(cx, word, "server … renegotiate");
}

fn verify(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    use crate::settings::Verify;
    let message = match args.next().map(|w| w.str().into_owned()).as_deref() {
        Some("none") => return tls(server).conf.verify = Some(Verify::None),
        Some("required") => return tls(server).conf.verify = Some(Verify::Required),
        Some(other) => {
            format!("'verify' : unknown verify method '{other}', only 'none' and 'required' are supported.")
        }
        None => "'verify' : missing verify method.".to_owned(),
    };
    complain(cx, server, last(args), &message);
}

fn verify_host(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    match word(args) {
        Some(host) => tls(server).verify_host = Some(host),
        None => complain(cx, server, last(args), "'verifyhost' : missing hostname to verify against."),
    }
}

fn crt(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    let Some(path) = word(args) else {
        return complain(cx, server, last(args), "'crt' : missing certificate file path.");
    };
    match certificates(&mut At::of(cx), &path) {
        Ok(slots) => tls(server).crt = slots.into_iter().next(),
        Err(e) => complain(cx, server, last(args), &e),
    }
}
