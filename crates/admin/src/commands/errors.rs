//! `show errors`

use super::number;
use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_proxy::captured::{Captured, Named};
use portcullis_proxy::plan::Plan;
use portcullis_sys::localtime::stamp;
use portcullis_transport::Peer;
use std::fmt::Write;

/// The rows of this file.
pub const ROWS: &[Row] = &[Row::new(
    "show errors",
    "[<px>] [request|response]",
    Level::Operator,
    "report last request and/or response errors for each proxy",
    show,
)];

/// Widest text behind an offset: lines have at most 79 characters.
const WIDTH: usize = 70;

fn show(call: &mut Call<'_>) -> Outcome {
    let plan = call.admin.plan();
    let Ok(of) = chosen(call, &plan) else { return Outcome::err("No such proxy.") };
    let direction = call.arg(3);
    let errors = &call.admin.vitals.process.captured;
    let wall = call.admin.vitals.process.clock.wall();
    let mut out = format!("Total events captured on [{}] : {}\n", stamp(wall), errors.count());
    for (_, response, error) in errors.all() {
        let concerned = |id| error.front.1 == id || error.back.as_ref().is_some_and(|b| b.1 == id);
        let hidden = matches!((&*direction, response), ("request", true) | ("response", false));
        if !hidden && of.is_none_or(concerned) {
            write(&error, response, &mut out);
        }
    }
    Outcome::Text(out.into_bytes())
}

/// The number of the proxy that is asked for; `None`: all.
fn chosen(call: &Call<'_>, plan: &Plan) -> Result<Option<u32>, ()> {
    let word = call.arg(2);
    if word.is_empty() {
        return Ok(None);
    }
    if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        // only -1 stands for all
        let n = number(&word);
        return Ok((n != -1).then(|| u32::try_from(n).unwrap_or(u32::MAX)));
    }
    plan.proxies.iter().find(|p| *p.name == *word).map(|p| Some(p.id)).ok_or(())
}

fn write(error: &Captured, response: bool, out: &mut String) {
    let named =
        |n: &Option<Named>| n.as_ref().map_or("<NONE> (#-1)".to_owned(), |(n, id)| format!("{n} (#{id})"));
    let (front, back, server) = (named(&Some(error.front.clone())), named(&error.back), named(&error.server));
    let at = stamp(error.wall);
    let head = match response {
        false => format!("[{at}] frontend {front}: invalid request\n  backend {back}"),
        true => format!("[{at}] backend {back}: invalid response\n  frontend {front}"),
    };
    let client = match error.client {
        Peer::Inet(a) => a.to_string(),
        Peer::Unix => "unix:1".into(),
    };
    let len = error.bytes.len();
    // flags are HAProxy's own; tools look for the lines
    let _ = writeln!(
        out,
        " \n{head}, server {server}, event #{}, src {client}\n  buffer starts at 0 (including 0 out), {} free,\n  \
         len {len}, wraps at {}, error at position {}\n  H1 connection flags 0x00000000, H1 stream flags \
         0x00000000\n  H1 msg state {}({}), H1 msg flags 0x00000000\n  H1 chunk len 0 bytes, H1 body len {} \
         bytes :\n  ",
        error.event,
        error.buffer.saturating_sub(len),
        error.buffer,
        error.at,
        error.state.0,
        error.state.1,
        error.body,
    );
    dump(&error.bytes, out);
}

/// One line of the message a line, long ones in pieces, each with its offset.
fn dump(bytes: &[u8], out: &mut String) {
    let mut at = 0;
    let mut begins = true;
    while at < bytes.len() {
        let _ = write!(out, "  {at:05}{} ", if begins { ' ' } else { '+' });
        let mut width = 0;
        begins = false;
        while let Some(b) = bytes.get(at) {
            let text = shown(*b);
            if width + text.len() > WIDTH {
                break;
            }
            width += text.len();
            out.push_str(&text);
            at += 1;
            if *b == b'\n' {
                begins = true;
                break;
            }
        }
        out.push('\n');
    }
}

fn shown(b: u8) -> String {
    match b {
        b'\t' => "\\t".into(),
        b'\n' => "\\n".into(),
        b'\r' => "\\r".into(),
        0x1b => "\\e".into(),
        b'\\' => "\\\\".into(),
        b' '..=b'~' => char::from(b).into(),
        _ => format!("\\x{b:02X}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As 3.5 prints it.
    #[test]
    fn lines_are_broken() {
        let raw =
            [b"GET /".as_slice(), &[b'a'; 200], b" HTTP/1.1\r\nX: ", &b"y\tz".repeat(20), b"\r\n\\\x80\x1b"]
                .concat();
        let mut out = String::new();
        dump(&raw, &mut out);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines[0], format!("  00000  GET /{}", "a".repeat(65)));
        assert_eq!(lines[1], format!("  00070+ {}", "a".repeat(70)));
        assert_eq!(lines[2], format!("  00140+ {} HTTP", "a".repeat(65)));
        assert_eq!(lines[3], "  00210+ /1.1\\r\\n");
        assert!(lines.iter().all(|l| l.len() <= 79), "{out}");
        assert_eq!(lines.last(), Some(&"  00281  \\\\\\x80\\e"));
    }
}
