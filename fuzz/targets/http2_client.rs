//! HTTP/2 with a server: whatever it sends, in whatever pieces: the same comes of it; what is said to it is well-formed; what
//! waits is bounded; a response that is taken can be written as HTTP/1, and means the same.
#![no_main]

mod h2;

use libfuzzer_sys::fuzz_target;
use portcullis_message::{Head, Method, Version};
use portcullis_wire::h1::{self, Framing, Parsed};
use portcullis_wire::h2::frame::{self, PREFACE};
use portcullis_wire::h2::{Answer, Config, Connection, Event, Reason, Sent};
use std::io::IoSlice;

/// A response's head as HTTP/1: it is one response, and ends where it ends here.
fn is_http1(head: &Head, answer: &Answer, method: Method) {
    let mut head = head.clone();
    if answer.info.framing == Framing::Pieces {
        head.push(b"transfer-encoding", b"chunked");
    }
    let mut text = Vec::new();
    h1::encode::response(&head, None, &mut text);
    let mut again = Head::default();
    match h1::parse_response(&text, &h2::LIMITS, &mut again, method) {
        Ok(Parsed::Complete(n, info)) => {
            assert_eq!((n, again.status), (text.len(), head.status));
            match answer.info.framing {
                Framing::Length(n) => assert_eq!(info.framing, Framing::Length(n)),
                Framing::Pieces => assert_eq!(info.framing, Framing::Chunked),
                _ => {}
            }
        }
        other => panic!("{other:?} {}", String::from_utf8_lossy(&text)),
    }
}

/// A connection with requests of several methods.
fn asked() -> (Connection<()>, Vec<(u32, Method)>) {
    let mut conn = Connection::client(Config { total: 0, ..h2::CONFIG }, b"");
    let (mut methods, mut request) = (Vec::new(), Head::default());
    for method in [&b"GET"[..], b"POST", b"HEAD", b"CONNECT"] {
        request.clear();
        request.set_request(method, b"ex.com:80", Version::HTTP_11);
        let id = conn.open_stream(&request, &Sent { scheme: b"https", upgrade: false }).expect("room");
        if method != b"CONNECT" {
            conn.send_data(id, &[IoSlice::new(b"some payload")]);
            conn.send_end(id, None);
        }
        methods.push((id, Method::of(method)));
    }
    (conn, methods)
}

/// What came of it, as text.
fn run(raw: &[u8], piece: usize) -> Vec<String> {
    let (mut conn, methods) = asked();
    let mut answered = Vec::new();
    let told = h2::feed(&mut conn, raw, piece, 4, |conn, event, head, told| match event {
        Event::Response(id, answer) => {
            assert!(!answered.contains(&id), "one final response");
            let method = methods.iter().find(|(m, _)| *m == id).expect("a stream of ours").1;
            is_http1(head, &answer, method);
            told.say(format!("{id} {answer:?} {}", head.status));
            if !answer.interim {
                answered.push(id);
            }
        }
        Event::Data(id, _, last) => {
            assert!(answered.contains(&id));
            if last {
                told.say(format!("end {id} []"));
            }
        }
        Event::End(id, trailers) => {
            assert!(answered.contains(&id));
            told.say(format!("end {id} {trailers:?}"));
        }
        Event::Reset(id, fault) => {
            told.say(format!("reset {id} {fault} {}", conn.is_refused(id)));
            conn.release(id, Reason::Cancel);
        }
        Event::Fatal(fatal) => {
            told.say(format!("{fatal:?}"));
            assert!(conn.is_over());
        }
        Event::Leaving => told.say("leaving".to_owned()),
        Event::Request(..) | Event::Refused(_) => panic!("servers ask for nothing"),
        Event::Nothing | Event::Window(_) | Event::More | Event::Full => {}
    });
    h2::is_well_formed(conn.output().strip_prefix(&PREFACE[..]).expect("the preface"));
    told
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, raw)) = data.split_first() else { return };
    let mut bytes = Vec::new();
    if choice & 1 == 0 {
        frame::settings(&[], &mut bytes);
    }
    bytes.extend_from_slice(raw);
    assert_eq!(run(&bytes, usize::MAX), run(&bytes, usize::from(choice >> 1).max(1)));
});
