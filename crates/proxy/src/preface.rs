//! What goes to a server before anything else: PROXY protocol headers.

use crate::plan::ServerPlan;
use crate::rules::lang::{At, Parsing};
use portcullis_config::{Args, Cx, Does, Sections, Server, ServerOption};
use portcullis_sample::{Format, Scope};
use portcullis_wire::proxy_protocol::{Addresses, Tlv, Transport, encode_v1, encode_v2, kind};
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
    if server.sends("unique-id") {
        tlvs.extend(scope.unique_id().map(|value| Tlv { kind: kind::UNIQUE_ID, value }));
    }
    encode_v2(Transport::Stream, addresses.as_ref(), &tlvs, out);
}
