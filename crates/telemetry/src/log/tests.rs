//! Lines as HAProxy 3.5 sends them (recorded on UDP, Unix and standard output; only time and pid were replaced).

use super::*;
use crate::gate::Process;
use portcullis_config::addr::{Address, Host, Ports, Transport};
use portcullis_config::{LogFraming, LogTarget, LogTo, Place};
use portcullis_sys::localtime::local_time;
use std::io::Read;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::Arc;
use std::time::Duration;

const MOMENT: Duration = Duration::new(1_795_422_501, 189_907_123);

fn target(host: Host, port: u16) -> LogTarget {
    let ports = if port == 0 { Ports::None } else { Ports::One(port) };
    LogTarget {
        place: Place::default(),
        global: false,
        to: LogTo::Address(Address { transport: Transport::Datagram, host, ports }),
        len: 1024,
        format: LogFraming::Unspecified,
        sample: None,
        profile: None,
        facility: 16,
        max_level: 7,
        min_level: 0,
    }
}

fn udp() -> (UdpSocket, LogTarget) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let port = socket.local_addr().expect("bound").port();
    (socket, target(Host::V4(Ipv4Addr::LOCALHOST), port))
}

fn sinks(host: Option<&str>) -> Sinks {
    let mut sinks = Sinks::new(Vec::new(), host.map(|h| Some(h.to_string())), "haproxy35");
    sinks.set_pid(11147);
    sinks
}

fn receive(socket: &UdpSocket) -> String {
    let mut buffer = [0; 70_000];
    let n = socket.recv(&mut buffer).expect("a datagram");
    String::from_utf8_lossy(&buffer[..n]).into_owned()
}

/// The moment as the formats show it in the zone that the test runs in.
fn stamps() -> (String, String) {
    let mut stamp = stamp::Stamp::default();
    stamp.at(MOMENT);
    let mut iso = Vec::new();
    stamp.push_iso(MOMENT, &mut iso);
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    (text(&stamp.bsd), text(&iso))
}

fn writer() -> (LogWriter, Arc<Process>) {
    let process = Arc::new(Process::new(1, 0, 0, 0));
    (LogWriter::new(0, process.clone()), process)
}

/// What one message becomes.
fn line(
    target: LogTarget,
    socket: &UdpSocket,
    host: Option<&str>,
    tag: Option<&str>,
    data: &str,
    message: &str,
) -> String {
    let sinks = sinks(host);
    let loggers = Loggers::new(&sinks, &[target], &[], tag).expect("opened");
    let (mut writer, _) = writer();
    writer.log(&loggers, Level::Info, MOMENT, data.as_bytes(), message.as_bytes());
    assert_eq!(writer.flush(), Flush::Done);
    receive(socket)
}

#[test]
fn every_format() {
    use LogFraming::{Iso, Local, Priority, Raw, Rfc3164, Rfc5424, Short, Timed, Unspecified};
    let (bsd, iso) = stamps();
    assert_eq!(iso.len(), "2026-11-23T08:28:21.189907+00:00".len());
    assert_eq!(local_time(MOMENT.as_secs() as i64).year, 2026);
    let (socket, base) = udp();
    for (format, facility, host, expected) in [
        (Unspecified, 16, None, format!("<134>{bsd} haproxy35[11147]: hello\n")),
        (Local, 17, None, format!("<142>{bsd} haproxy35[11147]: hello\n")),
        (Rfc3164, 18, None, format!("<150>{bsd} localhost haproxy35[11147]: hello\n")),
        (Rfc5424, 19, None, format!("<158>1 {iso} - haproxy35 11147 - - hello\n")),
        (Priority, 20, None, "<166>hello\n".to_string()),
        (Short, 21, None, "<6>hello\n".to_string()),
        (Timed, 22, None, format!("<6>{iso} hello\n")),
        (Iso, 23, None, format!("{iso} hello\n")),
        (Raw, 3, None, "hello\n".to_string()),
        (Rfc5424, 1, None, format!("<14>1 {iso} - haproxy35 11147 - - hello\n")),
        (Unspecified, 0, Some("vm"), format!("<6>{bsd} vm haproxy35[11147]: hello\n")),
        (Local, 17, Some("vm"), format!("<142>{bsd} vm haproxy35[11147]: hello\n")),
        (Rfc3164, 18, Some("vm"), format!("<150>{bsd} vm haproxy35[11147]: hello\n")),
        (Rfc5424, 19, Some("vm"), format!("<158>1 {iso} vm haproxy35 11147 - - hello\n")),
        (Iso, 23, Some("vm"), format!("{iso} hello\n")),
    ] {
        let target = LogTarget { format, facility, ..base.clone() };
        assert_eq!(line(target, &socket, host, None, "", "hello"), expected, "{format:?}");
    }
}

#[test]
fn len_counts_the_newline() {
    let (bsd, iso) = stamps();
    let (socket, base) = udp();
    let long = format!("hello 200 /{}", "x".repeat(90));
    let of = |format, data: &str, message: &str| {
        let target = LogTarget { len: 80, format, facility: 19, ..base.clone() };
        line(target, &socket, Some("my.host"), Some("ftag"), data, message)
            .replace(&iso, "ISO")
            .replace(&bsd, "BSD")
    };
    let xs = |n| "x".repeat(n);
    assert_eq!(
        of(LogFraming::Unspecified, "", &long),
        format!("<158>BSD my.host ftag[11147]: hello 200 /{}\n", xs(26))
    );
    assert_eq!(of(LogFraming::Raw, "", &long), format!("hello 200 /{}\n", xs(68)));
    let sd = |path: &str| format!("[ex@1 a=\"{path}\"]");
    assert_eq!(
        of(LogFraming::Rfc5424, &sd("/a"), "hello 200 /a a"),
        "<158>1 ISO my.host ftag 11147 - [ex@1 a=\"/a\"] hell\n"
    );
    assert_eq!(of(LogFraming::Rfc5424, &sd(&long), "hello"), "<158>1 ISO my.host ftag 11147 - \n");
}

#[test]
fn levels_and_samples() {
    let (socket, base) = udp();
    let raw = LogTarget { format: LogFraming::Priority, facility: 0, ..base.clone() };
    let lines = [
        LogTarget { max_level: 3, ..raw.clone() },
        LogTarget { min_level: 5, facility: 1, ..raw.clone() },
        LogTarget { sample: Some((vec![(1, 1), (3, 4)], 5)), facility: 2, ..raw.clone() },
    ];
    let sinks = sinks(None);
    // all go through one socket
    let loggers = Loggers::new(&sinks, &lines, &[], None).expect("opened");
    assert_eq!(loggers.structured(), Structured::Unwanted);
    let (mut writer, _) = writer();
    for n in 1..=7 {
        writer.log(&loggers, Level::Info, MOMENT, b"", format!("i{n}").as_bytes());
    }
    writer.log(&loggers, Level::Alert, MOMENT, b"", b"alert");
    assert_eq!(writer.flush(), Flush::Done);
    let mut got = Vec::new();
    while got.last().is_none_or(|l: &String| !l.contains("<17>alert")) {
        got.push(receive(&socket));
    }
    let of = |from: &str| {
        got.iter().filter(|l| l.contains(from)).map(|l| l.trim_end().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of("<1>"), ["<1>alert"]);
    assert_eq!(of("<13>"), ["<13>alert"], "capped at notice");
    assert_eq!(of("<14>").len(), 7);
    assert_eq!(of("<22>"), ["<22>i1", "<22>i3", "<22>i4", "<22>i6"]);
    assert_eq!(of("<17>"), ["<17>alert"], "the eighth of them is the third of five");
}

#[test]
fn log_global_stands_for_the_lines_of_global() {
    let (socket, base) = udp();
    let global = [
        LogTarget { format: LogFraming::Raw, ..base.clone() },
        LogTarget { format: LogFraming::Rfc5424, ..base.clone() },
    ];
    let sinks = sinks(None);
    let line = LogTarget { global: true, ..base };
    let loggers = Loggers::new(&sinks, &[line], &global, Some("t")).expect("opened");
    assert_eq!((loggers.list.len(), loggers.structured()), (2, Structured::Wanted));
    assert!(Loggers::new(&sinks, &[], &global, None).expect("none").is_empty());
    let (mut writer, _) = writer();
    writer.log(&loggers, Level::Info, MOMENT, b"[x@1]", b"m");
    assert!(!writer.is_flushed());
    assert_eq!(writer.flush(), Flush::Done);
    assert!(writer.is_flushed());
    assert_eq!(receive(&socket), "m\n");
    assert!(receive(&socket).ends_with(" - t 11147 - [x@1] m\n"));
}

#[test]
fn many_lines_in_few_calls_keep_their_borders() {
    let (socket, base) = udp();
    let target = LogTarget { format: LogFraming::Raw, ..base };
    let sinks = sinks(None);
    let loggers = Loggers::new(&sinks, &[target], &[], None).expect("opened");
    let (mut writer, process) = writer();
    for count in [1, 2, 7, 8, 9, 63, 64, 65, 150] {
        for n in 0..count {
            writer.log(&loggers, Level::Info, MOMENT, b"", format!("line {n}").as_bytes());
        }
        assert_eq!(writer.flush(), Flush::Done);
        for n in 0..count {
            assert_eq!(receive(&socket), format!("line {n}\n"));
        }
    }
    assert_eq!(process.counters.totals().dropped_logs, 0);
}

#[test]
fn nobody_listens() {
    let (socket, target) = udp();
    drop(socket);
    let sinks = sinks(None);
    let loggers = Loggers::new(&sinks, &[target], &[], None).expect("no error: it may come");
    let (mut writer, _) = writer();
    for _ in 0..10 {
        writer.log(&loggers, Level::Info, MOMENT, b"", b"lost");
        assert_eq!(writer.flush(), Flush::Done);
    }
}

fn path(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("portcullis-{}-{name}", std::process::id()))
}

#[test]
fn a_unix_receiver_comes_back() {
    let path = path("log.sock");
    let _ = std::fs::remove_file(&path);
    let target =
        LogTarget { format: LogFraming::Raw, ..target(Host::Unix(path.to_string_lossy().into_owned()), 0) };
    let sinks = sinks(None);
    let loggers = Loggers::new(&sinks, &[target], &[], None).expect("no error: it may come");
    let (mut writer, process) = writer();
    let mut now = MOMENT;
    let mut send = |writer: &mut LogWriter, text: &str| {
        now += Duration::from_secs(1);
        writer.log(&loggers, Level::Info, now, b"", text.as_bytes());
        writer.flush()
    };
    assert_eq!(send(&mut writer, "lost"), Flush::Done);
    assert_eq!(process.counters.totals().dropped_logs, 1);
    for round in 0..3 {
        let receiver = UnixDatagram::bind(&path).expect("bound");
        receiver.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        let text = format!("round {round}");
        assert_eq!(send(&mut writer, &text), Flush::Done);
        let mut buffer = [0; 100];
        let n = receiver.recv(&mut buffer).expect("a datagram");
        assert_eq!(&buffer[..n], format!("{text}\n").as_bytes());
        drop(receiver);
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(send(&mut writer, "lost"), Flush::Done);
    }
    assert_eq!(process.counters.totals().dropped_logs, 4);
}

#[test]
fn a_full_unix_receiver_blocks_nobody() {
    let path = path("full.sock");
    let _ = std::fs::remove_file(&path);
    let receiver = UnixDatagram::bind(&path).expect("bound");
    receiver.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let target =
        LogTarget { format: LogFraming::Raw, ..target(Host::Unix(path.to_string_lossy().into_owned()), 0) };
    let sinks = sinks(None);
    let loggers = Loggers::new(&sinks, &[target], &[], None).expect("opened");
    let (mut writer, process) = writer();
    let mut sent = 0;
    loop {
        writer.log(&loggers, Level::Info, MOMENT, b"", format!("{sent}").as_bytes());
        sent += 1;
        if writer.flush() == Flush::Pending {
            break;
        }
    }
    let most = 6000;
    for _ in 0..most {
        writer.log(&loggers, Level::Info, MOMENT, b"", format!("{sent}").as_bytes());
        sent += 1;
    }
    let lost = process.counters.totals().dropped_logs;
    assert!(lost > 0 && lost < most, "{lost}");
    let mut buffer = [0; 100];
    for expected in 0..sent - lost {
        // what was dropped is the end, not the middle
        let n = receiver.recv(&mut buffer).expect("a datagram");
        assert_eq!(&buffer[..n], format!("{expected}\n").as_bytes());
        let _ = writer.flush();
    }
    assert_eq!(writer.flush(), Flush::Done);
    std::fs::remove_file(&path).expect("removed");
}

fn descriptor(fd: i32) -> LogTarget {
    LogTarget { format: LogFraming::Raw, ..target(Host::Fd(fd), 0) }
}

#[test]
fn a_pipe_takes_whole_lines() {
    let (mut reader, pipe) = std::io::pipe().expect("a pipe");
    let sinks = sinks(None);
    let target = LogTarget { len: 65_535, ..descriptor(pipe.as_raw_fd()) };
    let loggers = Loggers::new(&sinks, &[target], &[], None).expect("opened");
    let (mut writer, process) = writer();
    let mut expected = String::new();
    // until the pipe is full, long lines among short ones
    let mut n = 0;
    let mut pending = false;
    while !pending {
        for _ in 0..50 {
            let text = if n % 37 == 36 { "y".repeat(9000) } else { format!("line {n}") };
            writer.log(&loggers, Level::Info, MOMENT, b"", text.as_bytes());
            expected += &text;
            expected.push('\n');
            n += 1;
        }
        pending = writer.flush() == Flush::Pending;
    }
    drop(pipe);
    let length = expected.len();
    let all = std::thread::spawn(move || {
        let mut all = vec![0; length];
        reader.read_exact(&mut all).expect("everything comes");
        all
    });
    while writer.flush() == Flush::Pending {
        std::thread::yield_now();
    }
    assert_eq!(String::from_utf8_lossy(&all.join().expect("read")), expected);
    assert_eq!(process.counters.totals().dropped_logs, 0);
}

#[test]
fn a_stuck_pipe_blocks_nobody_and_its_flags_stay() {
    let (_reader, pipe) = std::io::pipe().expect("a pipe");
    let sinks = sinks(None);
    let loggers = Loggers::new(&sinks, &[descriptor(pipe.as_raw_fd())], &[], None).expect("opened");
    let flags = rustix::fs::fcntl_getfl(&pipe).expect("flags");
    assert!(!flags.contains(rustix::fs::OFlags::NONBLOCK));
    let (mut writer, process) = writer();
    for _ in 0..20_000 {
        writer.log(&loggers, Level::Info, MOMENT, b"", b"a line of some length, again and again");
        let _ = writer.flush();
    }
    assert!(process.counters.totals().dropped_logs > 10_000);
    let before = process.counters.totals().dropped_logs;
    drop(writer);
    assert!(process.counters.totals().dropped_logs > before, "what still waited is counted too");
}

#[test]
fn a_stream_socket_cut_in_a_line_goes_on_there() {
    let (mut reader, stream) = UnixStream::pair().expect("a pair");
    let sinks = sinks(None);
    let loggers = Loggers::new(&sinks, &[descriptor(stream.as_raw_fd())], &[], None).expect("opened");
    let (mut writer, _) = writer();
    let mut count = 0;
    while writer.is_flushed() || writer.flush() == Flush::Done {
        for _ in 0..100 {
            writer.log(&loggers, Level::Info, MOMENT, b"", format!("number {count}").as_bytes());
            count += 1;
        }
    }
    let all = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("text");
        text
    });
    while writer.flush() == Flush::Pending {
        std::thread::yield_now();
    }
    drop((writer, loggers, sinks, stream));
    let text = all.join().expect("read");
    let expected: String = (0..count).map(|n| format!("number {n}\n")).collect();
    assert!(text == expected);
}

#[test]
fn a_file_keeps_the_offset() {
    let path = path("log.txt");
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(&path)
        .expect("a file");
    std::io::Write::write_all(&mut file, b"before\n").expect("written");
    let sinks = sinks(None);
    let loggers = Loggers::new(&sinks, &[descriptor(file.as_raw_fd())], &[], None).expect("opened");
    let (mut writer, _) = writer();
    for n in 0..3 {
        writer.log(&loggers, Level::Info, MOMENT, b"", format!("{n}").as_bytes());
    }
    assert_eq!(writer.flush(), Flush::Done);
    std::io::Write::write_all(&mut file, b"after\n").expect("written");
    assert_eq!(std::fs::read_to_string(&path).expect("text"), "before\n0\n1\n2\nafter\n");
    std::fs::remove_file(&path).expect("removed");
}

#[test]
fn bad_targets_are_refused() {
    let sinks = sinks(None);
    for bad in [
        descriptor(-3),
        descriptor(1_000_000),
        LogTarget { to: LogTo::Ring("none".into()), ..descriptor(1) },
        target(Host::Rhttp("b/s".into()), 1),
        target(Host::Unix("x".repeat(300)), 0),
    ] {
        assert!(Loggers::new(&sinks, std::slice::from_ref(&bad), &[], None).is_err(), "{bad:?}");
    }
}

#[test]
fn rings() {
    let config = RingConfig { maxlen: 20, format: LogFraming::Unspecified, ..RingConfig::new("r", 100) };
    let ring = Arc::new(Ring::new(config));
    let sinks = Sinks::new(vec![ring.clone()], None, "t");
    // the format of the line is the ring's, whatever the log line says
    let target = LogTarget { to: LogTo::Ring("r".into()), format: LogFraming::Rfc5424, ..descriptor(1) };
    let loggers = Loggers::new(&sinks, &[target], &[], None).expect("opened");
    let (mut writer, _) = writer();
    writer.log(&loggers, Level::Info, MOMENT, b"", b"hello");
    assert!(writer.is_flushed(), "rings are written at once");
    writer.log(&loggers, Level::Info, MOMENT, b"", "x".repeat(50).as_bytes());
    let mut out = Vec::new();
    // each event has four bytes before it
    assert_eq!(ring.read(0, b'\n', 1000, &mut out), 4 + 5 + 4 + 19);
    assert_eq!(out, format!("hello\n{}\n", "x".repeat(19)).as_bytes());
    // the oldest make room
    for n in 0..50 {
        writer.log(&loggers, Level::Info, MOMENT, b"", format!("event {n}").as_bytes());
    }
    let (first, next) = ring.range();
    let after = (4 + 5 + 4 + 19) + 10 * (4 + 7) + 40 * (4 + 8);
    assert_eq!(next, after);
    out.clear();
    assert_eq!(ring.read(1, b'\n', 1000, &mut out), after);
    let text = String::from_utf8_lossy(&out).into_owned();
    assert_eq!(text.lines().map(|l| 4 + l.len() as u64).sum::<u64>(), next - first);
    assert!(text.ends_with("event 48\nevent 49\n") && text.len() < 100);
    // in pieces
    out.clear();
    let at = ring.read(first, b'\n', 10, &mut out);
    let rest = ring.read(at, b'\n', out.len() + 1000, &mut out);
    assert_eq!((rest, String::from_utf8_lossy(&out).into_owned()), (after, text));
    // waiting
    let waker = std::task::Waker::noop();
    assert!(!ring.wait(after - 12, waker), "there is one already");
    assert!(ring.wait(after, waker));
    ring.push(&[b'z'; 300]);
    assert!(!ring.wait(after, waker));
    assert_eq!(ring.dropped(), 0);
    Ring::new(RingConfig { size: 10, ..RingConfig::new("s", 100) }).push(b"longer than that");
}

#[test]
fn a_reader_is_waited_for() {
    let ring = Arc::new(Ring::new(RingConfig::new("r", 60)));
    let event = |n: u32| format!("event {n}");
    let held = |from: u64| {
        let mut out = Vec::new();
        let next = ring.read(from, b' ', 1000, &mut out);
        (next, String::from_utf8_lossy(&out).into_owned())
    };
    let reader = ring.attach(0);
    (0..10).for_each(|n| ring.push(event(n).as_bytes()));
    // five of eleven bytes each find room; the others are lost, and the reader has missed nothing
    assert_eq!(ring.dropped(), 5);
    let (next, text) = held(reader.place());
    assert_eq!(text, "event 0 event 1 event 2 event 3 event 4 ");
    reader.advance(next);
    ring.push(event(10).as_bytes());
    assert_eq!(held(next).1, "event 10 ");
    // nobody reads any more: the newest stay
    drop(reader);
    (0..10).for_each(|n| ring.push(event(n).as_bytes()));
    assert_eq!((held(0).1.as_str(), ring.dropped()), ("event 5 event 6 event 7 event 8 event 9 ", 5));
    // who comes back goes on with the oldest that is there
    assert_eq!(ring.attach(next).place(), ring.range().0);
}

#[test]
fn a_line_over_a_stream_has_a_ring_of_its_own() {
    let sinks = sinks(None);
    let address =
        Address { transport: Transport::Stream, host: Host::V4(Ipv4Addr::LOCALHOST), ports: Ports::One(514) };
    let target =
        LogTarget { to: LogTo::Address(address.clone()), format: LogFraming::Rfc3164, ..descriptor(1) };
    let loggers = Loggers::new(&sinks, &[target.clone(), target], &[], None).expect("opened");
    let (mut writer, _) = writer();
    writer.log(&loggers, Level::Info, MOMENT, b"", b"hello");
    let streams = sinks.streams();
    assert_eq!((streams.len(), &streams[0].1), (1, &address));
    assert_eq!(streams[0].0.config().name, "ring#1");
    let mut out = Vec::new();
    streams[0].0.read(0, b'\n', 10, &mut out);
    let expected = format!("<134>{} localhost haproxy35[11147]: hello\n", stamps().0);
    assert_eq!(String::from_utf8_lossy(&out), expected);
}

#[test]
fn a_backend_deals_lines_out() {
    let sinks = sinks(None);
    let (socket, _) = udp();
    let address = Address {
        transport: Transport::Datagram,
        host: Host::V4(Ipv4Addr::LOCALHOST),
        ports: Ports::One(socket.local_addr().expect("bound").port()),
    };
    let target = LogTarget { to: LogTo::Backend("b".into()), ..descriptor(1) };
    let loggers = Loggers::new(&sinks, &[target], &[], None).expect("opened");
    let (mut writer, process) = writer();
    // nobody says yet where to
    writer.log(&loggers, Level::Info, MOMENT, b"", b"lost");
    let (sink, ring) = sinks.open_server("b/s", &address, None, "x").expect("opened");
    assert!(ring.is_none());
    sinks.deal("b", Box::new(move |text| (text == b"taken").then(|| sink.clone())));
    writer.log(&loggers, Level::Info, MOMENT, b"", b"taken");
    writer.log(&loggers, Level::Info, MOMENT, b"", b"refused");
    assert_eq!(writer.flush(), Flush::Done);
    assert_eq!(receive(&socket), "taken\n");
    assert_eq!(process.counters.sum(|c| c.dropped_logs.get()), 2);
}
