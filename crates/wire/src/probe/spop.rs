//! SPOP (SPOE.txt section 3): HAPROXY-HELLO as a health check, and AGENT-HELLO.

use super::{Answer, Note};

/// A string with its length, of fewer than 240 bytes.
fn string(text: &str, out: &mut Vec<u8>) {
    out.push(u8::try_from(text.len().min(239)).unwrap_or(0));
    out.extend_from_slice(text.as_bytes());
}

const UINT32: u8 = 3;
const STRING: u8 = 8;
const TRUE: u8 = 0x11;

/// HAPROXY-HELLO with `healthcheck`: versions, the largest frame (16380 bytes), no capabilities.
#[must_use]
pub fn hello() -> Vec<u8> {
    // type 1, flags FIN, stream and frame 0
    let mut frame = vec![1, 0, 0, 0, 1, 0, 0];
    string("supported-versions", &mut frame);
    frame.push(STRING);
    string("2.0", &mut frame);
    string("max-frame-size", &mut frame);
    frame.extend_from_slice(&[UINT32, 0xfc, 0xf0, 6]);
    string("capabilities", &mut frame);
    frame.push(STRING);
    string("", &mut frame);
    string("healthcheck", &mut frame);
    frame.push(TRUE);
    let mut out = u32::try_from(frame.len()).unwrap_or(0).to_be_bytes().to_vec();
    out.extend_from_slice(&frame);
    out
}

/// AGENT-HELLO (101), or AGENT-DISCONNECT (102).
#[must_use]
pub fn answer(bytes: &[u8], ended: bool) -> Answer {
    let Some(Ok(length)) = bytes.get(..4).map(<[u8; 4]>::try_from) else {
        return if ended { bad("invalid frame received") } else { Answer::More };
    };
    let length = u32::from_be_bytes(length) as usize;
    if !(7..=16380).contains(&length) {
        return bad("invalid frame received");
    }
    match bytes.get(4..4 + length) {
        None if !ended => Answer::More,
        None => bad("invalid frame received"),
        Some(frame) => match frame.first() {
            Some(101) => Answer::Good(Note::new(0, "SPOA server is ok")),
            Some(102) => bad("the agent disconnects"),
            _ => bad("unexpected frame received"),
        },
    }
}

fn bad(text: &str) -> Answer {
    Answer::Garbage(Note::new(0, text))
}
