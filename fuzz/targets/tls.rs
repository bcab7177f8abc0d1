//! A TLS connection whose other end, or whose network, does what it wants: a server's side over arbitrary bytes, and a pair
//! of which records are cut, turned, repeated and mixed with others. Nothing is believed that was not sent, and an untouched
//! connection carries everything.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_tls::acceptor::{self, Acceptor};
use portcullis_tls::connector::{self, Connector};
use portcullis_tls::settings::{BindTls, Entry, GlobalTls, ServerTls, Verify};
use portcullis_tls::store::{Parts, Store, build};
use portcullis_tls::stream::{Progress, Stream};
use std::io::IoSlice;
use std::sync::{Arc, LazyLock};

const PEM: &[u8] = include_bytes!("../../crates/tls/tests/self_signed.pem");
/// Most bytes that either end is given to send at once.
const MOST: usize = 40_000;

type Sides = (Arc<Acceptor>, Connector);

/// Both ends for TLS 1.2 and for what they agree on by themselves.
static SIDES: LazyLock<[Sides; 2]> = LazyLock::new(|| [sides(Some(3)), sides(None)]);

fn sides(max: Option<u8>) -> Sides {
    let global = GlobalTls::default();
    let certificate =
        build("fuzz", &Parts { pem: PEM.to_vec(), ..Parts::default() }, &mut Default::default()).unwrap();
    let entry = Entry {
        slot: Store::default().insert("fuzz", certificate),
        filters: Vec::new(),
        conf: None,
        default: true,
        origin: None,
    };
    let bind = BindTls { ssl: true, entries: vec![entry], ..BindTls::default() };
    let sessions = acceptor::cache(&global);
    let acceptor = acceptor::compile(&global, &bind, &sessions, ("fuzz", true), &mut |_| {}).unwrap();
    let mut server = ServerTls { ssl: true, ..ServerTls::default() };
    server.conf.verify = Some(Verify::None);
    server.conf.versions.max = max;
    (Arc::new(acceptor), connector::compile(&global, &server).unwrap())
}

/// One end with what it was given to send and what it made of what came.
struct End {
    stream: Stream,
    /// On their way to the other end.
    wire: Vec<u8>,
    sent: Vec<u8>,
    got: Vec<u8>,
    failed: bool,
    /// It has said that it sends no more. rustls (0.23) counts that as its last alert: debug assertions do not hold if what
    /// comes then is wrong.
    closed: bool,
}

impl End {
    fn new(stream: Stream) -> Self {
        Self { stream, wire: Vec::new(), sent: Vec::new(), got: Vec::new(), failed: false, closed: false }
    }

    fn flush(&mut self) {
        let waiting = self.stream.waiting().to_vec();
        self.wire.extend_from_slice(&waiting);
        self.stream.sent(waiting.len());
        self.stream.confirmed();
        assert_eq!(self.stream.pending(), 0);
    }

    /// As `Tls::poll_bring` does it.
    fn bring(&mut self, bytes: &[u8]) {
        if self.closed {
            return;
        }
        let mut more = bytes;
        let mut turns = 0;
        loop {
            let mut buffer = Vec::new();
            self.stream.take_left(&mut buffer);
            buffer.extend_from_slice(more);
            more = &[];
            self.failed |= self.stream.bring(&mut buffer).is_err();
            if !self.failed {
                let _ = self.stream.progress();
            }
            while self.stream.has_plain() {
                self.stream.take_plain(&mut self.got, 5000);
            }
            self.flush();
            turns += 1;
            assert!(turns < 20_000, "it comes to an end");
            if self.failed || !self.stream.is_unread() {
                break;
            }
        }
    }

    fn send(&mut self, len: usize) {
        if self.failed || self.closed || self.stream.is_handshaking() {
            return;
        }
        let from = self.sent.len();
        let new: Vec<u8> = (from..from + len).map(|n| (n % 251) as u8).collect();
        let (a, b) = new.split_at(len / 3);
        if self.stream.seal(&[IoSlice::new(a), IoSlice::new(b)], &mut Vec::new()).is_ok() {
            assert_eq!(self.stream.pending(), len);
            self.sent.extend_from_slice(&new);
        }
        self.flush();
    }
}

fn pair(input: &[u8], sides: &Sides) {
    let Ok(client) = Stream::connect(&sides.1, Some("fuzz")) else { return };
    let mut ends = [End::new(client), End::new(Stream::accept(&sides.0, &[]))];
    ends[0].bring(&[]);
    let (mut touched, mut closed) = (false, false);
    let mut words = input.iter().copied();
    while let Some(op) = words.next() {
        let (who, n) = (usize::from(op & 1), usize::from(words.next().unwrap_or(255)));
        match op >> 1 & 7 {
            0 | 1 => {
                let from = &mut ends[who].wire;
                let part: Vec<u8> = from.drain(..(n * 8 + 1).min(from.len())).collect();
                ends[1 - who].bring(&part);
            }
            2 => {
                let all = std::mem::take(&mut ends[who].wire);
                ends[1 - who].bring(&all);
            }
            3 => ends[who].send((n * n).clamp(1, MOST)),
            4 if n & 7 == 0 => {
                ends[who].stream.close();
                ends[who].flush();
                (ends[who].closed, closed) = (true, true);
            }
            4 => ends[who].send(n + 1),
            5 => {
                let foreign: Vec<u8> = words.by_ref().take(n).collect();
                ends[who].wire.extend_from_slice(&foreign);
                touched |= !foreign.is_empty();
            }
            6 => {
                let at = words.next().map_or(0, usize::from);
                let wire = &mut ends[who].wire;
                if let Some(b) = wire.get_mut(at) {
                    *b ^= n as u8;
                    touched |= n > 0;
                }
            }
            _ => {
                let wire = &mut ends[who].wire;
                let part = wire.get(..n * 4).unwrap_or(wire).to_vec();
                touched |= !part.is_empty();
                wire.extend_from_slice(&part);
            }
        }
    }
    for _ in 0..6 {
        for who in [0, 1] {
            let all = std::mem::take(&mut ends[who].wire);
            ends[1 - who].bring(&all);
        }
    }
    for who in [0, 1] {
        let (got, sent) = (&ends[1 - who].got, &ends[who].sent);
        assert!(sent.starts_with(got), "something came that was not sent");
        if !touched && !closed {
            assert!(!ends[who].failed, "an untouched connection failed");
            assert_eq!(got.len(), sent.len(), "something was lost");
            assert_eq!(ends[who].stream.progress(), Progress::Done);
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((mode, rest)) = input.split_first() else { return };
    let sides = &SIDES[usize::from(mode & 1)];
    if mode & 6 == 0 {
        // a client of which nothing is known
        let mut server = End::new(Stream::accept(&sides.0, &[]));
        for piece in rest.chunks(usize::from(mode >> 3) * 7 + 1) {
            if server.failed {
                break;
            }
            server.bring(piece);
        }
        server.stream.end();
        assert!(server.got.is_empty(), "no plaintext without a handshake");
    } else {
        pair(rest, sides);
    }
});
