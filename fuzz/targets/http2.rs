//! HTTP/2: whatever a client sends, in whatever pieces: the same comes of it; what is answered is well-formed; what waits
//! is bounded; a request that is taken is taken as HTTP/1, too, and means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_message::{Head, HeaderId};
use portcullis_wire::h1::{self, Framing, Limits, Parsed};
use portcullis_wire::h2::frame::{self, HEADER, Header};
use portcullis_wire::h2::request::Limits as Heads;
use portcullis_wire::h2::{Config, Connection, Event, Reason};
use std::io::IoSlice;

const CONFIG: Config = Config {
    window: 16_384,
    shared: 65_536,
    unit: 16_384,
    streams: 4,
    total: 50,
    frame: 16_384,
    table: 4096,
    connect: true,
    heads: Heads { size: 4_096, fields: 20, relaxed: false },
};

/// A request's head as HTTP/1: it is one request, and ends where it ends here.
fn is_http1(head: &Head, framing: Framing) {
    let mut head = head.clone();
    if framing == Framing::Pieces {
        head.push(b"transfer-encoding", b"chunked");
    }
    let mut text = Vec::new();
    h1::encode::request(&head, None, &mut text);
    let limits = Limits { max_fields: 101, relaxed: false, any_method_payload: true };
    let mut again = Head::default();
    match h1::parse_request(&text, &limits, &mut again) {
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

/// What came of it, as text.
fn run(raw: &[u8], piece: usize) -> Vec<String> {
    let mut conn: Connection<()> = Connection::new(CONFIG);
    let (mut told, mut waiting, mut head) = (Vec::new(), Vec::new(), Head::default());
    let mut live = Vec::new();
    let mut ended: Option<(u32, Vec<u8>)> = None;
    for part in raw.chunks(piece) {
        waiting.extend_from_slice(part);
        loop {
            let (n, event) = conn.receive(&waiting, 0, &mut head);
            let again = n > 0;
            match event {
                Event::Request(id, request) => {
                    told.push(format!("{id} {request:?} {}", String::from_utf8_lossy(head.target())));
                    live.push(id);
                    if request.status == 0 {
                        is_http1(&head, request.info.framing);
                    }
                }
                Event::Data(id, bytes, last) => {
                    assert!(live.contains(&id));
                    ended = last.then_some((id, Vec::new()));
                    match told.last_mut() {
                        Some(last) if last.starts_with(&format!("data {id} ")) => {
                            last.push_str(&format!("{bytes:?}"));
                        }
                        _ => told.push(format!("data {id} {bytes:?}")),
                    }
                    let len = bytes.len();
                    conn.consumed(id, len);
                }
                Event::End(id, trailers) => {
                    assert!(live.contains(&id));
                    ended = Some((id, trailers));
                }
                Event::Reset(id, fault) => {
                    told.push(format!("reset {id} {fault}"));
                    conn.release(id, Reason::Cancel);
                    live.retain(|l| *l != id);
                }
                Event::Fatal(fatal) => {
                    told.push(format!("{fatal:?}"));
                    assert!(conn.is_over());
                }
                Event::Refused(id) => told.push(format!("refused {id}")),
                Event::Response(..) => panic!("clients do not answer"),
                Event::Leaving => told.push("leaving".to_owned()),
                Event::Nothing | Event::Window(_) => {
                    if again || !conn.is_between_frames() && !waiting.is_empty() {
                        waiting.drain(..n);
                        if waiting.is_empty() && conn.is_between_frames() {
                            break;
                        }
                        continue;
                    }
                    break;
                }
                Event::More | Event::Full => {
                    waiting.drain(..n);
                    break;
                }
            }
            waiting.drain(..n);
            if let Some((id, trailers)) = ended.take() {
                told.push(format!("end {id} {trailers:?}"));
                if id % 4 == 1 {
                    head.clear();
                    head.set_response(portcullis_message::Version::HTTP_11, 200, b"OK");
                    conn.send_head(id, &head);
                    conn.send_data(id, &[IoSlice::new(b"some payload")]);
                    conn.send_end(id, None);
                    conn.release(id, Reason::Cancel);
                    live.retain(|l| *l != id);
                }
            }
        }
        assert!(conn.streams_kept() <= 2 * 4 + 16);
        assert!(conn.output().len() < 400_000);
    }
    let mut rest = conn.output();
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
        bytes.extend_from_slice(frame::PREFACE);
        frame::settings(&[], &mut bytes);
    }
    bytes.extend_from_slice(raw);
    let whole = run(&bytes, usize::MAX);
    let pieces = run(&bytes, 1 + usize::from(choice >> 1));
    assert_eq!(whole, pieces);
});
