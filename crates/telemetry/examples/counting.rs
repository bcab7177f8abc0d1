//! What the hot calls of this room cost, in nanoseconds a call: `cargo run --release -p portcullis-telemetry --example counting`

use portcullis_config::addr::{Address, Host, Ports, Transport};
use portcullis_config::{LogFraming, LogTarget, LogTo, Place};
use portcullis_telemetry::log::{Level, LogWriter, Loggers, Sinks};
use portcullis_telemetry::{Frontend, Process};
use std::hint::black_box;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// CPU time of this thread in nanoseconds.
fn cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn time(what: &str, rounds: u32, mut call: impl FnMut(u32)) {
    for n in 0..rounds / 10 {
        call(n);
    }
    let begin = cpu();
    for n in 0..rounds {
        call(n);
    }
    println!("{:6.1} ns  {what}", (cpu() - begin) as f64 / f64::from(rounds));
}

fn main() -> std::io::Result<()> {
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = receiver.local_addr()?.port();
    let target = LogTarget {
        place: Place::default(),
        global: false,
        to: LogTo::Address(Address {
            transport: Transport::Datagram,
            host: Host::V4(Ipv4Addr::LOCALHOST),
            ports: Ports::One(port),
        }),
        len: 1024,
        format: LogFraming::Unspecified,
        sample: None,
        profile: None,
        facility: 16,
        max_level: 7,
        min_level: 0,
    };
    let process = Arc::new(Process::new(1, 0, 0, 0));
    let sinks = Sinks::new(Vec::new(), None, "portcullis");
    let Ok(loggers) = Loggers::new(&sinks, &[target], &[], None) else { return Ok(()) };
    let mut writer = LogWriter::new(0, process.clone());
    let message = b"127.0.0.1:51234 [23/Nov/2026:08:28:21.189] f b/s1 0/0/0/1/1 200 250 - - ---- 64/64/0/0/0 0/0 \"GET /some/path?of=usual&length=1 HTTP/1.1\"";
    let wall = Duration::from_millis(1_795_422_501_189);
    for batch in [1, 4, 16, 64] {
        time(&format!("a log line by UDP, {batch} a flush, system call included"), 640_000, |n| {
            writer.log(&loggers, Level::Info, wall, b"", black_box(message));
            if n % batch == 0 {
                let _ = black_box(writer.flush());
            }
        });
    }
    let stamps = [wall, wall + Duration::from_secs(1)];
    time("a log line, queued only (or dropped, when the queue is full)", 4000, |n| {
        writer.log(&loggers, Level::Info, stamps[(n % 2) as usize / 2], b"", black_box(message));
    });
    let frontend = Frontend::new(1, 0, 0);
    time("count a request in frontend and process", 5_000_000, |n| {
        frontend.request(black_box(&process), 0, u64::from(n) / 10_000);
    });
    time("count a response and four byte counters", 5_000_000, |_| {
        let counters = frontend.counters.of(black_box(0));
        counters.response(200);
        counters.bytes_in.add(100);
        counters.bytes_out.add(100);
        counters.req_in.add(100);
        counters.res_out.add(100);
    });
    println!("{} lines dropped", process.counters.totals().dropped_logs);
    Ok(())
}
