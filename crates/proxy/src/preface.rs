//! What goes to a server before anything else: PROXY protocol headers.

use crate::plan::ServerPlan;
use portcullis_sample::Facts;
use portcullis_transport::Buffer;
use portcullis_wire::proxy_protocol::{Addresses, Tlv, Transport, encode_v1, encode_v2, kind};

/// The header that `send-proxy` and its kin ask for, in front of bytes that were read already.
#[must_use]
pub fn to_server(server: &ServerPlan, facts: &Facts<'_>, first: Option<Buffer>) -> Option<Buffer> {
    let mut bytes = Vec::new();
    write(server, facts, &mut bytes);
    if bytes.is_empty() {
        return first;
    }
    let mut b = Buffer::with_capacity(bytes.len() + first.as_ref().map_or(0, Buffer::len));
    b.extend(&bytes);
    if let Some(first) = first {
        b.extend(first.data());
    }
    Some(b)
}

/// Appends it to what will be sent.
pub fn write(server: &ServerPlan, facts: &Facts<'_>, out: &mut Vec<u8>) {
    if !server.send_proxy && !server.send_proxy_v2 {
        return;
    }
    let src = facts.source.or(facts.client);
    let dst = facts.destination.or(facts.frontend);
    let addresses = src.zip(dst).map(|(src, dst)| Addresses::Inet { src, dst });
    if server.send_proxy_v2 {
        let mut tlvs = Vec::new();
        for option in &server.proxy_v2_options {
            match option.as_str() {
                "crc32c" => tlvs.push(Tlv { kind: kind::CRC32C, value: &[0; 4] }),
                "unique-id" => {
                    tlvs.extend(facts.unique_id.as_deref().map(|value| Tlv { kind: kind::UNIQUE_ID, value }))
                }
                _ => {}
            }
        }
        encode_v2(Transport::Stream, addresses.as_ref(), &tlvs, out);
    } else {
        encode_v1(addresses.as_ref(), out);
    }
}
