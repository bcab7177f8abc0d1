//! HTTP checks: the request.

use super::config::HttpSend;
use crate::rules::lang::Scope;

/// Writes the request; `state` is the value of `x-haproxy-server-state`, `last` whether no other follows on the connection.
pub fn write_request(send: &HttpSend, state: Option<&str>, last: bool, scope: &Scope<'_>, out: &mut Vec<u8>) {
    let method = send.method.as_deref().unwrap_or(b"OPTIONS");
    let version = send.version.as_deref().unwrap_or(b"HTTP/1.0");
    let headers: Vec<(&[u8], Vec<u8>)> =
        send.headers.iter().map(|(n, f)| (n.as_slice(), f.bytes(scope))).collect();
    let host = headers.iter().find(|(n, _)| *n == b"host").map(|(_, v)| v.as_slice());
    let uri = send.uri.as_ref().map_or_else(|| b"/".to_vec(), |u| u.bytes(scope));
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(&with_authority(uri, host));
    out.push(b' ');
    out.extend_from_slice(version);
    out.extend_from_slice(b"\r\n");
    let mut connection = false;
    for (name, value) in &headers {
        // what it says about the connection is not passed on
        if *name == b"connection" {
            connection = true;
            continue;
        }
        field(name, value, out);
    }
    if let Some(state) = state {
        field(b"x-haproxy-server-state", state.as_bytes(), out);
    }
    let body = send.body.as_ref().map(|b| b.bytes(scope)).unwrap_or_default();
    if !body.is_empty() {
        field(b"content-length", body.len().to_string().as_bytes(), out);
    }
    if version == b"HTTP/1.1" && !connection && last {
        field(b"connection", b"close", out);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&body);
}

/// A value cannot end its line.
fn field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend(value.iter().filter(|b| !matches!(b, b'\r' | b'\n' | 0)));
    out.extend_from_slice(b"\r\n");
}

/// An absolute URI has the authority that the Host field says.
fn with_authority(uri: Vec<u8>, host: Option<&[u8]>) -> Vec<u8> {
    let Some(host) = host else { return uri };
    let Some(at) =
        uri.windows(3).position(|w| w == b"://").filter(|at| *at > 0 && uri.first() != Some(&b'/'))
    else {
        return uri;
    };
    let rest = uri.get(at + 3..).unwrap_or_default();
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let mut out = uri.get(..at + 3).unwrap_or_default().to_vec();
    out.extend_from_slice(host);
    out.extend_from_slice(rest.get(end..).unwrap_or_default());
    out
}
