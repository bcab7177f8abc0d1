//! MySQL: the server's greeting, a login without a password, and what comes of it.

use super::{Answer, Note};

/// How a client logs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Login {
    /// Protocol 4.1 (`post-41`).
    #[default]
    Post41,
    /// The protocol before (`pre-41`).
    Pre41,
    /// Protocol 4.1, naming `mysql_native_password` (`post-80`).
    Post80,
}

const LONG_PASSWORD_OFF: u32 = 0;
/// CLIENT_PROTOCOL_41 and CLIENT_SECURE_CONNECTION
const PROTOCOL_41: u32 = 0x0000_8200;
/// CLIENT_PLUGIN_AUTH
const PLUGIN_AUTH: u32 = 0x0008_0000;
/// utf8_general_ci
const CHARSET: u8 = 33;
const PLUGIN: &[u8] = b"mysql_native_password\0";

/// The login packet and a QUIT.
#[must_use]
pub fn login(user: &str, how: Login) -> Vec<u8> {
    let mut body = Vec::new();
    match how {
        Login::Pre41 => {
            // 16 bits of capabilities, 24 bits of the largest packet
            body.extend_from_slice(&(0x8000u32 | LONG_PASSWORD_OFF).to_le_bytes()[..2]);
            body.extend_from_slice(&[0, 0, 1]);
        }
        Login::Post41 | Login::Post80 => {
            let more = if how == Login::Post80 { PLUGIN_AUTH } else { 0 };
            body.extend_from_slice(&(PROTOCOL_41 | more).to_le_bytes());
            body.extend_from_slice(&0x0100_8000u32.to_le_bytes());
            body.push(CHARSET);
            body.extend_from_slice(&[0; 23]);
        }
    }
    body.extend_from_slice(user.as_bytes());
    // the name's end, and a password of no length
    body.extend_from_slice(&[0, 0]);
    if how == Login::Post80 {
        body.extend_from_slice(PLUGIN);
    }
    let mut out = packet(1, &body);
    out.extend_from_slice(&packet(0, &[1]));
    out
}

fn packet(sequence: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(0);
    let mut out = length.to_le_bytes()[..3].to_vec();
    out.push(sequence);
    out.extend_from_slice(body);
    out
}

/// The body of the first packet and what follows it; `None`: not all of it is there.
fn first(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let head = bytes.get(..4)?;
    let length = head.iter().take(3).rev().fold(0usize, |n, b| (n << 8) | usize::from(*b));
    Some((bytes.get(4..4 + length)?, bytes.get(4 + length..)?))
}

/// An error packet: its code and text.
fn error(body: &[u8]) -> Answer {
    let code = match body.get(1..3) {
        Some([low, high]) => i64::from(u16::from_le_bytes([*low, *high])),
        _ => 0,
    };
    // the state of protocol 4.1: `#` and five characters
    let text = body.get(3..).unwrap_or_default();
    let text = if text.first() == Some(&b'#') { text.get(6..).unwrap_or_default() } else { text };
    Answer::Refused(Note::new(code, super::line(text)))
}

/// The greeting alone (no user): its server version.
#[must_use]
pub fn greeting(bytes: &[u8], ended: bool) -> Answer {
    let Some((body, _)) = first(bytes) else { return unfinished(ended) };
    match body.first() {
        Some(0xff) => error(body),
        Some(9 | 10) if body.len() > 2 => {
            let text = body.get(1..).unwrap_or_default();
            let end = text.iter().position(|b| *b == 0).unwrap_or(text.len());
            Answer::Good(Note::new(0, super::line(text.get(..end).unwrap_or_default())))
        }
        _ => Answer::Garbage(Note::default()),
    }
}

/// The greeting and the answer to the login.
#[must_use]
pub fn logged_in(bytes: &[u8], ended: bool) -> Answer {
    let Some((hello, rest)) = first(bytes) else { return unfinished(ended) };
    match greeting(bytes, ended) {
        Answer::Good(_) => {}
        other => return other,
    }
    let Some((body, _)) = first(rest) else { return unfinished(ended) };
    match body.first() {
        Some(0xff) => error(body),
        Some(_) => greeting(&packet(0, hello), true),
        None => Answer::Garbage(Note::default()),
    }
}

fn unfinished(ended: bool) -> Answer {
    if ended { Answer::Garbage(Note::default()) } else { Answer::More }
}
