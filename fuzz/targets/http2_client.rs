//! HTTP/2 with a server: whatever it sends, in whatever pieces: the same comes of it; what is said to it is well-formed; what
//! waits is bounded; a response that is taken can be written as HTTP/1, and means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_message::{Head, Method, Version};
use portcullis_wire::h1::{self, Framing, Limits, Parsed};
use portcullis_wire::h2::frame::{self, HEADER, Header, PREFACE};
use portcullis_wire::h2::request::Limits as Heads;
use portcullis_wire::h2::{Answer, Config, Connection, Event, Reason, Sent};
use std::io::IoSlice;

const CONFIG: Config = Config {
    window: 16_384,
    shared: 65_536,
    unit: 16_384,
    streams: 4,
    total: 0,
    frame: 16_384,
    table: 4096,
    connect: true,
    heads: Heads { size: 4_096, fields: 20, relaxed: false },
};

/// A response's head as HTTP/1: it is one response, and ends where it ends here.
fn is_http1(head: &Head, answer: &Answer, method: Method) {
    let mut head = head.clone();
    if answer.info.framing == Framing::Pieces {
        head.push(b"transfer-encoding", b"chunked");
    }
    let mut text = Vec::new();
    h1::encode::response(&head, None, &mut text);
    let limits = Limits { max_fields: 101, relaxed: false, any_method_payload: true };
    let mut again = Head::default();
    match h1::parse_response(&text, &limits, &mut again, method) {
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

/// What came of it, as text.
fn run(raw: &[u8], piece: usize) -> Vec<String> {
    let mut conn: Connection<()> = Connection::client(CONFIG, b"");
    let (mut told, mut waiting, mut head) = (Vec::new(), Vec::new(), Head::default());
    let mut methods = Vec::new();
    let mut request = Head::default();
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
    let mut answered = Vec::new();
    for part in raw.chunks(piece) {
        waiting.extend_from_slice(part);
        loop {
            let (n, event) = conn.receive(&waiting, 0, &mut head);
            match event {
                Event::Response(id, answer) => {
                    assert!(!answered.contains(&id), "one final response");
                    let method = methods.iter().find(|(m, _)| *m == id).expect("a stream of ours").1;
                    is_http1(&head, &answer, method);
                    told.push(format!("{id} {answer:?} {}", head.status));
                    if !answer.interim {
                        answered.push(id);
                    }
                }
                Event::Data(id, bytes, last) => {
                    assert!(answered.contains(&id));
                    let text = format!("data {id} ");
                    match told.last_mut() {
                        Some(last) if last.starts_with(&text) => last.push_str(&format!("{bytes:?}")),
                        _ => told.push(format!("{text}{bytes:?}")),
                    }
                    let len = bytes.len();
                    conn.consumed(id, len);
                    if last {
                        told.push(format!("end {id}"));
                    }
                }
                Event::End(id, trailers) => {
                    assert!(answered.contains(&id));
                    told.push(format!("end {id} {trailers:?}"));
                }
                Event::Reset(id, fault) => {
                    told.push(format!("reset {id} {fault} {}", conn.is_refused(id)));
                    conn.release(id, Reason::Cancel);
                }
                Event::Fatal(fatal) => {
                    told.push(format!("{fatal:?}"));
                    assert!(conn.is_over());
                }
                Event::Leaving => told.push("leaving".to_owned()),
                Event::Request(..) | Event::Refused(_) => panic!("servers ask for nothing"),
                Event::Nothing | Event::Window(_) if n > 0 || !conn.is_between_frames() && !waiting.is_empty() => {
                    waiting.drain(..n);
                    if waiting.is_empty() && conn.is_between_frames() {
                        break;
                    }
                    continue;
                }
                Event::Nothing | Event::Window(_) => break,
                Event::More | Event::Full => {
                    waiting.drain(..n);
                    break;
                }
            }
            waiting.drain(..n);
        }
        assert!(conn.streams_kept() <= 4);
        assert!(conn.output().len() < 400_000);
    }
    let mut rest = conn.output().strip_prefix(&PREFACE[..]).expect("the preface");
    while let Some(header) = Header::read(rest) {
        rest = rest.get(HEADER + header.length as usize..).expect("a whole frame");
    }
    assert!(rest.is_empty());
    // empty pieces of data say nothing
    told.retain(|t| !(t.starts_with("data") && t.ends_with("[]")));
    told.iter().map(|t| t.replace("][", ", ")).collect()
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, raw)) = data.split_first() else { return };
    let mut bytes = Vec::new();
    if choice & 1 == 0 {
        frame::settings(&[], &mut bytes);
    }
    bytes.extend_from_slice(raw);
    let whole = run(&bytes, usize::MAX);
    let pieces = run(&bytes, usize::from(choice >> 1).max(1));
    assert_eq!(whole, pieces);
});
