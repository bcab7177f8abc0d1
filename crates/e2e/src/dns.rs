//! A tiny name server, over UDP and TCP, whose zone a scenario changes as it goes.
use crate::process::{PATIENCE, wait_for};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a name has.
#[derive(Clone, Debug, Default)]
struct Entry {
    /// Records that answer, and those that come with them.
    answers: Vec<Vec<u8>>,
    additional: Vec<Vec<u8>>,
    code: u8,
    silent: bool,
}

type Zone = BTreeMap<(String, u16), Entry>;

struct Shared {
    zone: Mutex<Zone>,
    asked: AtomicUsize,
    by_tcp: AtomicUsize,
    stop: AtomicBool,
}

/// A name server.
pub struct Dns {
    shared: Arc<Shared>,
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
    }
}

impl Dns {
    /// Listens on this port of 127.0.0.1; knows nothing yet.
    pub fn start(port: u16) -> Dns {
        let shared = Arc::new(Shared {
            zone: Mutex::default(),
            asked: AtomicUsize::new(0),
            by_tcp: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        // a process that is being started may hold a copy of a closed socket for a moment
        let socket = wait_for(PATIENCE, || UdpSocket::bind(("127.0.0.1", port)).ok()).expect("a free port");
        let listener =
            wait_for(PATIENCE, || TcpListener::bind(("127.0.0.1", port)).ok()).expect("a free port");
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        listener.set_nonblocking(true).unwrap();
        let all = shared.clone();
        std::thread::spawn(move || {
            let mut question = [0; 4096];
            while !all.stop.load(Ordering::SeqCst) {
                if let Ok((n, from)) = socket.recv_from(&mut question)
                    && let Some(answer) = all.answer(&question[..n])
                {
                    let _ = socket.send_to(&answer, from);
                }
                if let Ok((stream, _)) = listener.accept() {
                    let all = all.clone();
                    std::thread::spawn(move || serve(&all, stream));
                }
            }
        });
        Dns { shared }
    }

    /// A line a record: `a.test A 127.0.0.1`, `_h._t.x SRV <weight> <port> <target>`, `a.test CNAME b.test`,
    /// `add t.test A 127.0.0.1` with SRV records, `a.test refused`, `a.test fails`, `a.test silent`, `a.test empty`. What is not
    /// named does not exist.
    pub fn zone(&self, text: &str) {
        let mut zone = Zone::new();
        let mut additional = Vec::new();
        for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["add", name, "A" | "AAAA", ip] => additional.push(address(name, ip)),
                [name, "A" | "AAAA", ip] => {
                    let kind = if ip.contains(':') { 28 } else { 1 };
                    zone.entry(((*name).into(), kind)).or_default().answers.push(address(name, ip));
                }
                [name, "SRV", weight, port, target] => {
                    let mut data = vec![0, 1];
                    data.extend(weight.parse::<u16>().unwrap().to_be_bytes());
                    data.extend(port.parse::<u16>().unwrap().to_be_bytes());
                    data.extend(wire(target));
                    zone.entry(((*name).into(), 33)).or_default().answers.push(record(name, 33, &data));
                }
                [name, "CNAME", target] => {
                    for kind in [1, 28] {
                        let entry = zone.entry(((*name).into(), kind)).or_default();
                        entry.answers.push(record(name, 5, &wire(target)));
                    }
                }
                [name, how] => {
                    for kind in [1, 28, 33] {
                        let entry = zone.entry(((*name).into(), kind)).or_default();
                        entry.silent = *how == "silent";
                        entry.code =
                            ["", "", "fails", "", "", "refused"].iter().position(|w| w == how).unwrap_or(0)
                                as u8;
                    }
                }
                _ => panic!("{line}"),
            }
        }
        // aliases come with what they lead to
        let aliased: Vec<_> = zone.iter().map(|(key, entry)| (key.clone(), entry.clone())).collect();
        for ((name, kind), entry) in &aliased {
            for target in entry.answers.iter().filter_map(|r| target_of(name, r)) {
                let more = zone.get(&(target, *kind)).map(|e| e.answers.clone()).unwrap_or_default();
                zone.entry((name.clone(), *kind)).or_default().answers.extend(more);
            }
        }
        zone.values_mut().for_each(|e| e.additional = additional.clone());
        *self.shared.zone.lock().unwrap() = zone;
    }

    /// Questions so far.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// Questions over TCP so far.
    pub fn asked_by_tcp(&self) -> usize {
        self.shared.by_tcp.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let (mut at, mut labels) = (12, Vec::new());
        while let Some(n) = question.get(at).map(|n| usize::from(*n)).filter(|n| *n > 0) {
            labels.push(String::from_utf8_lossy(question.get(at + 1..at + 1 + n)?).to_ascii_lowercase());
            at += 1 + n;
        }
        let kind = u16::from_be_bytes(question.get(at + 1..at + 3)?.try_into().ok()?);
        let entry = self.zone.lock().unwrap().get(&(labels.join("."), kind)).cloned();
        let entry = entry.unwrap_or(Entry { code: 3, ..Entry::default() });
        if entry.silent {
            return None;
        }
        let mut out = question.get(..2)?.to_vec();
        for word in [
            0x8180 | u16::from(entry.code),
            1,
            entry.answers.len() as u16,
            0,
            if kind == 33 { entry.additional.len() as u16 } else { 0 },
        ] {
            out.extend(word.to_be_bytes());
        }
        out.extend(question.get(12..at + 5)?);
        entry.answers.iter().for_each(|r| out.extend(r));
        if kind == 33 {
            entry.additional.iter().for_each(|r| out.extend(r));
        }
        Some(out)
    }
}

fn serve(shared: &Shared, mut stream: TcpStream) {
    let _ = stream.set_nonblocking(false);
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut question).is_err() {
            return;
        }
        shared.by_tcp.fetch_add(1, Ordering::SeqCst);
        if let Some(answer) = shared.answer(&question) {
            let mut out = (answer.len() as u16).to_be_bytes().to_vec();
            out.extend(answer);
            let _ = stream.write_all(&out);
        }
    }
}

fn wire(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.') {
        out.push(label.len() as u8);
        out.extend(label.as_bytes());
    }
    out.push(0);
    out
}

fn record(name: &str, kind: u16, data: &[u8]) -> Vec<u8> {
    let mut out = wire(name);
    for word in [kind, 1, 0, 5, data.len() as u16] {
        out.extend(word.to_be_bytes());
    }
    out.extend(data);
    out
}

fn address(name: &str, ip: &str) -> Vec<u8> {
    match ip.parse::<IpAddr>().unwrap() {
        IpAddr::V4(ip) => record(name, 1, &ip.octets()),
        IpAddr::V6(ip) => record(name, 28, &ip.octets()),
    }
}

/// The target of an alias of this name.
fn target_of(name: &str, record: &[u8]) -> Option<String> {
    let rest = record.get(wire(name).len()..)?;
    if rest.get(..2)? != [0, 5] {
        return None;
    }
    let (mut labels, mut data) = (Vec::new(), rest.get(10..)?);
    while let Some((n, more)) = data.split_first().filter(|(n, _)| **n > 0) {
        labels.push(String::from_utf8_lossy(more.get(..usize::from(*n))?).into_owned());
        data = more.get(usize::from(*n)..)?;
    }
    Some(labels.join("."))
}
