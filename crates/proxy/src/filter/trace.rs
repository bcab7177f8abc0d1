//! `filter trace`: tells on the standard error output what a stream does (manual section 9.1).

use super::{At, Filter, Pass, Point, Stage, Verdict};
use portcullis_message::Head;
use portcullis_sample::{Direction, Random};
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

/// A `trace` filter as declared.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// `name`, `TRACE` if there is none, and its proxy's name.
    pub name: String,
    /// `quiet`
    pub quiet: bool,
    /// `random-forwarding`
    pub random: bool,
    /// `hexdump`
    pub hexdump: bool,
    /// `max-fwd`; 0: no limit.
    pub most: usize,
}

impl Spec {
    fn say(&self, wall: Duration, what: &str) {
        if self.quiet {
            return;
        }
        let (s, us) = (wall.as_secs(), wall.subsec_micros());
        // nobody can be told if this fails
        let _ = std::io::stderr().write_all(format!("{s}.{us:06} [{:<20}] {what}\n", self.name).as_bytes());
    }

    /// Tells that the filter is there.
    pub fn announce(&self, wall: Duration) {
        let Self { quiet, random, hexdump, most, .. } = self;
        self.say(
            wall,
            &format!(
                "filter initialized [quiet={quiet} - fwd random={random} - hexdump={hexdump} - max fwd={most}]"
            ),
        );
    }
}

/// A `trace` filter of one stream.
pub struct Tracer {
    spec: std::sync::Arc<Spec>,
    random: Random,
}

impl Tracer {
    /// One of this kind.
    #[must_use]
    pub fn new(spec: std::sync::Arc<Spec>) -> Self {
        Self { spec, random: Random::new(1) }
    }

    /// HAProxy shows the stream's address and two masks of its analysers; ours has a number and none.
    fn say(&self, at: &At, what: &str) {
        let (id, n) = at.stream;
        self.spec.say(at.wall, &format!("[strm {id:#x}({n}) 0x00000000 0x00000000] {what}"));
    }

    fn call(&self, at: &At, function: &str, more: &str) {
        let colon = if more.is_empty() { "" } else { ": " };
        self.say(at, &format!("{function:<25}{colon}{more}"));
    }

    fn channel(&self, at: &At, function: &str, more: &str) {
        self.call(at, function, &format!("{}{more}", channel(at)));
    }

    fn head(&self, at: &At, head: &Head) {
        if !at.http {
            return;
        }
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        let version = format!("HTTP/{}.{}", head.version.major, head.version.minor);
        let line = match at.direction {
            Direction::Request => format!("\t{} {} {version}", text(head.method()), text(head.target())),
            Direction::Response => format!("\t{version} {} {}", head.status, text(head.reason())),
        };
        self.channel(at, "trace_http_headers", &line);
        for field in head.fields() {
            self.say(at, &format!("\t{}: {}", text(field.name), text(field.value)));
        }
    }
}

fn channel(at: &At) -> String {
    let channel = if at.direction == Direction::Request { "REQUEST" } else { "RESPONSE" };
    let mode = if at.http { "HTTP" } else { "TCP" };
    let side = if at.routed { "backend" } else { "frontend" };
    format!("channel={channel:<10} - mode={mode:<5} ({side})")
}

/// HAProxy's names of those that run the rules.
fn analyser(at: &At, stage: Stage) -> &'static str {
    match (stage, at.http) {
        (Stage::Frontend, true) => "AN_REQ_HTTP_PROCESS_FE",
        (Stage::Frontend, false) => "AN_REQ_INSPECT_FE",
        (Stage::Switching, _) => "AN_REQ_SWITCHING_RULES",
        (Stage::Backend, true) => "AN_REQ_HTTP_PROCESS_BE",
        (Stage::Backend, false) => "AN_REQ_INSPECT_BE",
        (Stage::Response, true) => "AN_RES_HTTP_PROCESS_FE/BE",
        (Stage::Response, false) => "AN_RES_INSPECT",
    }
}

impl Filter for Tracer {
    fn at(&mut self, at: &At, point: Point<'_>) -> Verdict {
        if self.spec.quiet {
            return Verdict::Continue;
        }
        let side = || format!("filter-type={}", if at.front { "frontend" } else { "backend" });
        let analyse = |stage, step| {
            self.channel(
                at,
                "trace_chn_analyze",
                &format!(" - analyzer={} - step={step}", analyser(at, stage)),
            );
        };
        match point {
            Point::Attach => self.call(at, "trace_attach", &side()),
            Point::Start => self.call(at, "trace_stream_start", ""),
            Point::Begin => self.channel(at, "trace_chn_start_analyze", ""),
            Point::Before(stage) => analyse(stage, "PRE"),
            Point::After(stage) => analyse(stage, "POST"),
            Point::Backend(name) => self.call(at, "trace_stream_set_backend", &format!("backend={name}")),
            Point::Head(head) => self.head(at, head),
            Point::End if at.http => self.channel(at, "trace_http_end", ""),
            Point::End => {}
            Point::Finish => self.channel(at, "trace_chn_end_analyze", ""),
            Point::Stop => self.call(at, "trace_stream_stop", ""),
            Point::Detach => self.call(at, "trace_detach", &side()),
        }
        Verdict::Continue
    }

    fn payload(&mut self, at: &At, bytes: &[u8]) -> Pass {
        let len = bytes.len();
        let mut n = if self.spec.most == 0 { len } else { len.min(self.spec.most) };
        if self.spec.random {
            n = 1 + usize::try_from(self.random.next() % n as u64).unwrap_or(0);
        }
        if !self.spec.quiet {
            let function = if at.http { "trace_http_payload" } else { "trace_tcp_payload" };
            self.channel(at, function, &format!(" - offset=0 - len={len} - forward={n}"));
            if self.spec.hexdump {
                let _ = std::io::stderr().write_all(dump(&bytes[..n]).as_bytes());
            }
        }
        Pass::Bytes(n)
    }
}

/// Sixteen bytes a line, in hexadecimal and as text.
fn dump(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (i, line) in bytes.chunks(16).enumerate() {
        let _ = write!(out, "\t0x{:06x}: ", i * 16);
        for at in 0..16 {
            match line.get(at) {
                Some(b) => _ = write!(out, "{b:02x} "),
                None => out.push_str("   "),
            }
            if at == 7 {
                out.push_str("  ");
            }
        }
        let text: String =
            line.iter().map(|b| if (0x20..0x7f).contains(b) { char::from(*b) } else { '.' }).collect();
        let _ = writeln!(out, "  |{text}|");
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_dump_is_that_of_haproxy() {
        assert_eq!(
            super::dump(b"0123456789abcdef\nxyz"),
            "\t0x000000: 30 31 32 33 34 35 36 37   38 39 61 62 63 64 65 66   |0123456789abcdef|\n\
             \t0x000010: 0a 78 79 7a                                         |.xyz|\n"
        );
    }
}
