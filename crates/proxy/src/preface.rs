//! What goes to a server before anything else: PROXY protocol headers.

use crate::plan::ServerPlan;
use crate::rules::lang::{At, Parsing};
use portcullis_config::{Args, Cx, Does, Sections, Server, ServerOption};
use portcullis_sample::{Format, Scope};
use portcullis_tls::info::Info;
use portcullis_tls::x509::{self, Cert};
use portcullis_wire::proxy_protocol::{
    Addresses, Ssl, Tlv, Transport, encode_v1, encode_v2, kind, ssl_client,
};
use std::sync::Arc;

/// The rows of this file.
pub const OPTIONS: &[ServerOption] = &[ServerOption {
    name: "set-proxy-v2-tlv-fmt",
    sections: Sections::BACK,
    args: "(<id>) <fmt>",
    help: "Adds a value of one's own to version 2 PROXY headers.",
    negatable: false,
    does: Does::Works(set_tlv),
}];

/// The `set-proxy-v2-tlv-fmt` of a server, in order.
#[derive(Clone, Debug, Default)]
pub struct Values(pub Vec<(u8, Arc<Format>)>);

/// `set-proxy-v2-tlv-fmt(<id>) <fmt>`
fn set_tlv(cx: &mut Cx<'_>, server: &mut Server, args: &mut Args<'_>) {
    let Some(word) = args.at.checked_sub(1).and_then(|at| args.words.get(at)) else { return };
    let name = word.str();
    let (id, format) = (id(&name), args.next());
    let read = id.map_err(|why| format!("'{name}' : {why}.")).and_then(|id| {
        // without a format there is nothing to add
        let Some(text) = format else { return Ok(None) };
        let mut p = Parsing::new(cx, Args { words: args.words, at: args.at }, At::HttpRequest);
        Ok(Some((id, Arc::new(p.format(text)?.inner().clone()))))
    });
    match read {
        Ok(value) => server.set.ext.entry::<Values>().0.extend(value),
        Err(why) => {
            let message = format!("'server {}/{}' : {why}", cx.proxy().name, server.name);
            cx.alert(Some(word), message);
        }
    }
}

/// The number in the parentheses, decimal or hexadecimal.
fn id(name: &str) -> Result<u8, &'static str> {
    const EXPECTS: &str = "expects set-proxy-v2-tlv(<TLV ID>)";
    let inside = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).ok_or(EXPECTS)?;
    if inside.is_empty() {
        return Err("could not convert TLV ID");
    }
    let number = match inside.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => inside.parse(),
    };
    u8::try_from(number.map_err(|_| EXPECTS)?).map_err(|_| "the maximum allowed TLV ID is 255")
}

/// Appends the header that `send-proxy` and its kin ask for.
pub fn write(server: &ServerPlan, scope: &Scope<'_>, out: &mut Vec<u8>) {
    if !server.send_proxy && !server.send_proxy_v2 {
        return;
    }
    let facts = scope.facts;
    let src = facts.source();
    let dst = facts.destination();
    let addresses = src.zip(dst).map(|(src, dst)| Addresses::Inet { src, dst });
    if !server.send_proxy_v2 {
        return encode_v1(addresses.as_ref(), out);
    }
    let (mut own, mut ends) = (Vec::new(), Vec::new());
    for (id, format) in &server.proxy_v2_values {
        let start = own.len();
        format.run(scope, &mut own);
        // a value has a length of 16 bits
        own.truncate(own.len().min(start + usize::from(u16::MAX)));
        ends.push((*id, own.len()));
    }
    let mut tlvs = Vec::new();
    let mut start = 0;
    for (kind, end) in ends {
        tlvs.push(Tlv { kind, value: own.get(start..end).unwrap_or(&[]) });
        start = end;
    }
    if server.sends("crc32c") {
        tlvs.push(Tlv { kind: kind::CRC32C, value: &[0; 4] });
    }
    let info = facts.frontend_tls.as_deref();
    if server.sends("authority") {
        let name = info.and_then(|i| i.sni.as_deref());
        tlvs.extend(name.map(|name| Tlv { kind: kind::AUTHORITY, value: name.as_bytes() }));
    }
    if server.sends("unique-id") {
        tlvs.extend(scope.unique_id().map(|value| Tlv { kind: kind::UNIQUE_ID, value }));
    }
    let mut of_tls = Vec::new();
    if ABOUT_TLS.iter().any(|o| server.sends(o)) {
        tls(server, info, &mut of_tls);
        tlvs.push(Tlv { kind: kind::SSL, value: &of_tls });
    }
    encode_v2(Transport::Stream, addresses.as_ref(), &tlvs, out);
}

/// Each of these options brings what is known of the client's TLS.
const ABOUT_TLS: [&str; 5] = ["ssl", "cert-cn", "ssl-cipher", "cert-sig", "cert-key"];

/// What is known of the client's TLS, as far as the server wants to know it (proxy-protocol.txt, section 2.2.6).
fn tls(server: &ServerPlan, info: Option<&Info>, out: &mut Vec<u8>) {
    let Some(info) = info else { return Ssl::write(0, 0, &[], out) };
    let peer = info.peer.first().and_then(|c| Cert::parse(c.as_ref()));
    let own = info.own.as_ref().and_then(|own| Cert::parse(own.cert.first()?.as_ref()));
    let name = peer.and_then(|c| c.common_names().next());
    let key = own.as_ref().map(|c| c.key_name()).map(|(kind, bits)| format!("{kind}{bits}"));
    let signature = own.as_ref().and_then(|c| x509::short_name(c.signature_oid));
    let mut subs = vec![Tlv { kind: kind::SSL_VERSION, value: info.version.as_bytes() }];
    for (option, kind, value) in [
        ("cert-cn", kind::SSL_CN, name.as_deref()),
        ("cert-key", kind::SSL_KEY_ALG, key.as_deref()),
        ("cert-sig", kind::SSL_SIG_ALG, signature),
        ("ssl-cipher", kind::SSL_CIPHER, Some(info.cipher)),
    ] {
        let value = value.filter(|_| server.sends(option));
        subs.extend(value.map(|value| Tlv { kind, value: value.as_bytes() }));
    }
    let now = if info.peer_shown { ssl_client::CERT_CONN } else { 0 };
    let ever = if info.peer.is_empty() { 0 } else { ssl_client::CERT_SESS };
    Ssl::write(ssl_client::SSL | now | ever, info.verdict.last, &subs, out);
}
