//! What the targets of both sides of HTTP/2 have in common: a connection is given bytes in pieces, and what came of them is told.

use portcullis_message::Head;
use portcullis_wire::h1;
use portcullis_wire::h2::frame::{HEADER, Header};
use portcullis_wire::h2::request::Limits as Heads;
use portcullis_wire::h2::{Config, Connection, Event};

/// Small, so that limits are met.
pub const CONFIG: Config = Config {
    window: 16_384,
    shared: 65_536,
    unit: 16_384,
    streams: 4,
    offered: None,
    total: 50,
    frame: 16_384,
    table: 4096,
    connect: true,
    heads: Heads { size: 4_096, fields: 20, relaxed: false },
};

/// How HTTP/1 reads what was written of a head.
pub const LIMITS: h1::Limits = h1::Limits { max_fields: 101, relaxed: false, any_method_payload: true };

/// What came of some bytes, as text.
#[derive(Default)]
pub struct Told(pub Vec<String>);

impl Told {
    pub fn say(&mut self, text: String) {
        self.0.push(text);
    }

    /// Payload is the same in whatever pieces it comes.
    pub fn data(&mut self, id: u32, bytes: &[u8]) {
        let begin = format!("data {id} ");
        match self.0.last_mut() {
            _ if bytes.is_empty() => {}
            Some(last) if last.starts_with(&begin) => {
                last.push_str(&format!(", {bytes:?}").replace(['[', ']'], ""))
            }
            _ => self.0.push(format!("{begin}{bytes:?}").replace(['[', ']'], "")),
        }
    }
}

/// Gives a connection bytes in pieces of a size; `on` acts on what comes of them. `kept`: streams there may be at most.
pub fn feed(
    conn: &mut Connection<()>,
    raw: &[u8],
    piece: usize,
    kept: usize,
    mut on: impl FnMut(&mut Connection<()>, Event<'_>, &mut Head, &mut Told),
) -> Vec<String> {
    let (mut told, mut waiting, mut head) = (Told::default(), Vec::new(), Head::default());
    for part in raw.chunks(piece) {
        waiting.extend_from_slice(part);
        loop {
            let (n, event) = conn.receive(&waiting, 0, &mut head);
            let more = match event {
                Event::More | Event::Full => false,
                Event::Nothing | Event::Window(_) => {
                    n > 0 || (!conn.is_between_frames() && !waiting.is_empty())
                }
                _ => true,
            };
            if let Event::Data(id, bytes, _) = event {
                told.data(id, bytes);
                let len = bytes.len();
                conn.consumed(id, len);
            }
            on(conn, event, &mut head, &mut told);
            waiting.drain(..n);
            if !more {
                break;
            }
        }
        assert!(conn.streams_kept() <= kept);
        assert!(conn.output().len() < 400_000);
    }
    told.0
}

/// What is to be written is whole frames.
pub fn is_well_formed(mut bytes: &[u8]) {
    while let Some(header) = Header::read(bytes) {
        bytes = bytes.get(HEADER + header.length as usize..).expect("a whole frame");
    }
    assert!(bytes.is_empty());
}
