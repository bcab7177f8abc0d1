//! `httpclient` (management manual 9.3): a request by hand, over the client that fetches certificates.

use super::debug::expert;
use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_upkeep::client::{Answer, Client, Request, is_known};

/// The rows of this file.
pub const ROWS: &[Row] = &[Row::new(
    "httpclient",
    "<method> <URI>",
    Level::Admin,
    "launch an HTTP request (expert mode)",
    |call| expert(call, fetch),
)];

fn fetch(call: &mut Call<'_>) -> Outcome {
    if call.arg(1) == "--htx" {
        return Outcome::err("'--htx' shows HAProxy's own form of messages, which does not exist here.");
    }
    let (method, url) = (call.arg(1).into_owned(), call.arg(2).into_owned());
    if url.is_empty() {
        return Outcome::err("Can't start the HTTP client: not enough parameters.");
    }
    if !is_known(&method, &url) {
        return Outcome::err("Can't start the HTTP client.");
    }
    let client = match Client::of(&call.admin.model(), &call.admin.vitals.process, &url) {
        Ok(client) => client,
        Err(why) => return Outcome::err(format!("Can't start the HTTP client: {why}.")),
    };
    Outcome::Later(Box::pin(async move {
        let request =
            Request { method: &method, url: &url, fields: &[], body: b"", proxy: None, address: None };
        Outcome::Text(match client.send(request).await {
            Ok(answer) => shown(&answer),
            // the manual's status for what is no answer
            Err(failed) => {
                format!("HTTP/1.1 0 Service Unavailable\n\n{}\n", failed.cause.text()).into_bytes()
            }
        })
    }))
}

/// Head and body as HAProxy prints them.
fn shown(answer: &Answer) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {} ", answer.head.status).into_bytes();
    out.extend_from_slice(answer.head.reason());
    out.push(b'\n');
    for field in answer.head.fields() {
        out.extend_from_slice(&[field.name, b": ", field.value, b"\r\n"].concat());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&answer.body);
    out
}
