//! HTTP/2: whatever a client sends, in whatever pieces: the same comes of it; what is answered is well-formed; what waits
//! is bounded; a request that is taken is taken as HTTP/1, too, and means the same.
#![no_main]

mod h2;

use libfuzzer_sys::fuzz_target;
use portcullis_message::{Head, HeaderId, Version};
use portcullis_wire::h1::{self, Framing, Parsed};
use portcullis_wire::h2::{Connection, Event, Reason, frame};
use std::io::IoSlice;

/// A request's head as HTTP/1: it is one request, and ends where it ends here.
fn is_http1(head: &Head, framing: Framing) {
    let mut head = head.clone();
    if framing == Framing::Pieces {
        head.push(b"transfer-encoding", b"chunked");
    }
    let mut text = Vec::new();
    h1::encode::request(&head, None, &mut text);
    let mut again = Head::default();
    match h1::parse_request(&text, &h2::LIMITS, &mut again) {
        Ok(Parsed::Complete(n, info)) => {
            assert_eq!(n, text.len(), "it goes on");
            let want = if framing == Framing::Pieces { Framing::Chunked } else { framing };
            assert_eq!(info.framing, want);
            assert_eq!(head.first(HeaderId::Host), again.first(HeaderId::Host));
        }
        // bytes that HTTP/1 does not take in a target
        Err(_) if !head.target().is_ascii() || head.method() == b"CONNECT" => {}
        Err(bad) => assert!(
            matches!(
                bad.fault,
                h1::Fault::WebSocket | h1::Fault::Host | h1::Fault::Target | h1::Fault::Payload
            ),
            "{bad:?} {}",
            String::from_utf8_lossy(&text)
        ),
        Ok(Parsed::Partial) => panic!("not whole: {}", String::from_utf8_lossy(&text)),
    }
}

/// Some streams are answered.
fn ended(conn: &mut Connection<()>, id: u32) {
    if id % 4 != 1 {
        return;
    }
    let mut head = Head::default();
    head.set_response(Version::HTTP_11, 200, b"OK");
    conn.send_head(id, &head);
    conn.send_data(id, &[IoSlice::new(b"some payload")]);
    conn.send_end(id, None);
    conn.release(id, Reason::Cancel);
}

/// What came of it, as text.
fn run(raw: &[u8], piece: usize) -> Vec<String> {
    let mut conn = Connection::new(h2::CONFIG);
    let mut live = Vec::new();
    let told = h2::feed(&mut conn, raw, piece, 2 * 4 + 16, |conn, event, head, told| match event {
        Event::Request(id, request) => {
            told.say(format!("{id} {request:?} {}", String::from_utf8_lossy(head.target())));
            live.push(id);
            if request.status == 0 {
                is_http1(head, request.info.framing);
            }
        }
        Event::Data(id, _, last) => {
            assert!(live.contains(&id));
            if last {
                told.say(format!("end {id} []"));
                ended(conn, id);
            }
        }
        Event::End(id, trailers) => {
            assert!(live.contains(&id));
            told.say(format!("end {id} {trailers:?}"));
            ended(conn, id);
        }
        Event::Reset(id, fault) => {
            told.say(format!("reset {id} {fault}"));
            conn.release(id, Reason::Cancel);
            live.retain(|l| *l != id);
        }
        Event::Fatal(fatal) => {
            told.say(format!("{fatal:?}"));
            assert!(conn.is_over());
        }
        Event::Refused(id) => told.say(format!("refused {id}")),
        Event::Response(..) => panic!("clients do not answer"),
        Event::Leaving => told.say("leaving".to_owned()),
        Event::Nothing | Event::Window(_) | Event::More | Event::Full => {}
    });
    h2::is_well_formed(conn.output());
    told
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, raw)) = data.split_first() else { return };
    let mut bytes = Vec::new();
    if choice & 1 == 0 {
        bytes.extend_from_slice(frame::PREFACE);
        frame::settings(&[], &mut bytes);
    }
    bytes.extend_from_slice(raw);
    assert_eq!(run(&bytes, usize::MAX), run(&bytes, 1 + usize::from(choice >> 1)));
});
