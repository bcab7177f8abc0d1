//! What goes to a server before anything else: PROXY protocol headers.

use crate::plan::ServerPlan;
use portcullis_sample::Facts;
use portcullis_transport::Buffer;

/// The header that `send-proxy` and its kin ask for.
#[must_use]
pub fn to_server(server: &ServerPlan, facts: &Facts<'_>) -> Option<Buffer> {
    let mut bytes = Vec::new();
    write(server, facts, &mut bytes);
    if bytes.is_empty() {
        return None;
    }
    let mut b = Buffer::with_capacity(bytes.len());
    b.extend(&bytes);
    Some(b)
}

/// Appends it to what will be sent.
pub fn write(_server: &ServerPlan, _facts: &Facts<'_>, _out: &mut Vec<u8>) {}
