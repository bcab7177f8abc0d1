//! The messages of OTLP (opentelemetry-proto 1.x) that are sent, in protobuf's encoding: they are written as they are told, field
//! by field, and nothing is built in between.

/// Which kind of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
}

impl Signal {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Traces, Self::Logs];
    /// Where it is sent to, below the collector's address.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Logs => "/v1/logs",
        }
    }
    /// As configuration and listings call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
        }
    }
}

/// `SpanKind`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request from outside.
    Server = 2,
    /// A request to another one.
    Client = 3,
}

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;
/// The field of records in `ScopeSpans` and `ScopeLogs`.
const RECORD: u32 = 2;
/// `Status.code` of what has failed.
const ERROR: u64 = 2;
/// `SpanFlags`: whether the parent is elsewhere is known, and it is.
const REMOTE_KNOWN: u32 = 0x100;
const REMOTE: u32 = 0x200;

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn tag(out: &mut Vec<u8>, field: u32, kind: u32) {
    varint(out, u64::from(field << 3 | kind));
}

fn number(out: &mut Vec<u8>, field: u32, n: u64) {
    tag(out, field, VARINT);
    varint(out, n);
}

fn fixed64(out: &mut Vec<u8>, field: u32, n: u64) {
    tag(out, field, FIXED64);
    out.extend_from_slice(&n.to_le_bytes());
}

fn fixed32(out: &mut Vec<u8>, field: u32, n: u32) {
    tag(out, field, FIXED32);
    out.extend_from_slice(&n.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u32, b: &[u8]) {
    tag(out, field, BYTES);
    varint(out, b.len() as u64);
    out.extend_from_slice(b);
}

/// Text has to be UTF-8.
fn text(out: &mut Vec<u8>, field: u32, b: &[u8]) {
    bytes(out, field, String::from_utf8_lossy(b).as_bytes());
}

/// A message in a message: its length stands in front of it and is known behind it.
fn nested(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    tag(out, field, BYTES);
    let at = out.len();
    // most of them are short
    out.push(0);
    write(out);
    let len = out.len() - at - 1;
    if let (Ok(short @ 0..0x80), Some(place)) = (u8::try_from(len), out.get_mut(at)) {
        *place = short;
        return;
    }
    let mut prefix = Vec::with_capacity(5);
    varint(&mut prefix, len as u64);
    out.splice(at..=at, prefix);
}

/// A list of attributes in the making, in a field of its message.
pub struct Attributes<'o> {
    out: &'o mut Vec<u8>,
    field: u32,
}

impl<'o> Attributes<'o> {
    /// A span's, to be kept until its time comes ([`Span::attributes`]).
    #[must_use]
    pub fn of_span(out: &'o mut Vec<u8>) -> Self {
        Self { out, field: 9 }
    }
    fn pair(&mut self, key: &str, value: impl FnOnce(&mut Vec<u8>)) {
        nested(self.out, self.field, |out| {
            bytes(out, 1, key.as_bytes());
            nested(out, 2, value);
        });
    }
    /// Text; what is not UTF-8 in it is replaced.
    pub fn text(&mut self, key: &str, value: &[u8]) {
        self.pair(key, |out| text(out, 1, value));
    }
    /// A truth.
    pub fn flag(&mut self, key: &str, value: bool) {
        self.pair(key, |out| number(out, 2, value.into()));
    }
    /// A whole number.
    pub fn number(&mut self, key: &str, value: i64) {
        self.pair(key, |out| number(out, 3, value.cast_unsigned()));
    }
}

/// A span that is over.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// Its trace.
    pub trace: &'a [u8; 16],
    /// It.
    pub id: &'a [u8; 8],
    /// Its parent.
    pub parent: Option<&'a [u8; 8]>,
    /// The parent is elsewhere.
    pub remote: bool,
    /// `tracestate`
    pub state: &'a [u8],
    /// Its name.
    pub name: &'a str,
    /// Its kind.
    pub kind: Kind,
    /// From when until when, in nanoseconds since the epoch.
    pub time: (u64, u64),
    /// It has failed.
    pub failed: bool,
    /// Attributes that were written before.
    pub attributes: &'a [u8],
    /// What happened when.
    pub events: &'a [(u64, &'a str)],
}

impl Span<'_> {
    /// Adds it to a batch.
    pub fn write(&self, out: &mut Vec<u8>, more: impl FnOnce(&mut Attributes<'_>)) {
        nested(out, RECORD, |out| {
            bytes(out, 1, self.trace);
            bytes(out, 2, self.id);
            if !self.state.is_empty() {
                text(out, 3, self.state);
            }
            if let Some(parent) = self.parent {
                bytes(out, 4, parent);
            }
            text(out, 5, self.name.as_bytes());
            number(out, 6, self.kind as u64);
            fixed64(out, 7, self.time.0);
            fixed64(out, 8, self.time.1);
            out.extend_from_slice(self.attributes);
            more(&mut Attributes::of_span(out));
            for (at, what) in self.events {
                nested(out, 11, |out| {
                    fixed64(out, 1, *at);
                    text(out, 2, what.as_bytes());
                });
            }
            if self.failed {
                nested(out, 15, |out| number(out, 3, ERROR));
            }
            // only what is sampled is recorded
            fixed32(out, 16, 1 | REMOTE_KNOWN | if self.remote { REMOTE } else { 0 });
        });
    }
}

/// A log record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// When, in nanoseconds since the epoch.
    pub time: u64,
    /// How bad, as syslog numbers it.
    pub severity: u8,
    /// The line.
    pub body: &'a [u8],
    /// The trace and the span that it is about, and whether they are recorded.
    pub about: Option<(&'a [u8; 16], &'a [u8; 8], bool)>,
}

/// `SeverityNumber` and text of syslog's severities (OpenTelemetry's "Logs Data Model", appendix B).
const SEVERITIES: [(u64, &str); 8] = [
    (21, "emerg"),
    (19, "alert"),
    (18, "crit"),
    (17, "err"),
    (13, "warning"),
    (10, "notice"),
    (9, "info"),
    (5, "debug"),
];

impl Record<'_> {
    /// Adds it to a batch.
    pub fn write(&self, out: &mut Vec<u8>, more: impl FnOnce(&mut Attributes<'_>)) {
        let (severity, name) = SEVERITIES.get(usize::from(self.severity)).copied().unwrap_or((5, "debug"));
        nested(out, RECORD, |out| {
            fixed64(out, 1, self.time);
            number(out, 2, severity);
            bytes(out, 3, name.as_bytes());
            nested(out, 5, |out| text(out, 1, self.body));
            more(&mut Attributes { out, field: 6 });
            if let Some((trace, span, sampled)) = self.about {
                fixed32(out, 8, sampled.into());
                bytes(out, 9, trace);
                bytes(out, 10, span);
            }
            fixed64(out, 11, self.time);
        });
    }
}

/// The request that sends records: `ExportTraceServiceRequest` or `ExportLogsServiceRequest`, which have the same fields.
/// `resource` writes what is common to all of them; `scope` is name and version of who has made them.
pub fn request(
    out: &mut Vec<u8>,
    resource: impl FnOnce(&mut Attributes<'_>),
    scope: (&str, &str),
    records: &[u8],
) {
    nested(out, 1, |out| {
        nested(out, 1, |out| resource(&mut Attributes { out, field: 1 }));
        nested(out, 2, |out| {
            nested(out, 1, |out| {
                bytes(out, 1, scope.0.as_bytes());
                bytes(out, 2, scope.1.as_bytes());
            });
            out.extend_from_slice(records);
        });
    });
}

/// Bytes and number of the first records, so many and so many bytes at most, but one at least.
#[must_use]
pub fn first(records: &[u8], most: u32, most_bytes: usize) -> (usize, u32) {
    let (mut at, mut n) = (0, 0);
    while n < most {
        let Some(Field { len, .. }) = records.get(at..).and_then(Field::read) else { break };
        if n > 0 && at + len > most_bytes {
            break;
        }
        (at, n) = (at + len, n + 1);
    }
    (at, n)
}

/// What a collector says of the records that it was sent (`Export…PartialSuccess`, or `google.rpc.Status`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Records that it has not taken.
    pub rejected: u64,
    /// Why, or whatever else it wants to be known.
    pub message: String,
}

/// Reads the answer to records that were taken. What cannot be read says nothing.
#[must_use]
pub fn answer(body: &[u8]) -> Said {
    let mut said = Said::default();
    for partial in fields(body).filter(|f| f.number == 1) {
        for field in fields(partial.bytes) {
            match field.number {
                1 => said.rejected = field.value,
                2 => said.message = String::from_utf8_lossy(field.bytes).into_owned(),
                _ => {}
            }
        }
    }
    said
}

/// The message of a `google.rpc.Status`.
#[must_use]
pub fn refusal(body: &[u8]) -> String {
    let message = fields(body).find(|f| f.number == 2).map(|f| String::from_utf8_lossy(f.bytes).into_owned());
    message.unwrap_or_default()
}

/// A field of a message that was received.
#[derive(Clone, Copy, Debug)]
struct Field<'a> {
    number: u64,
    value: u64,
    bytes: &'a [u8],
    /// Bytes of all of it.
    len: usize,
}

impl<'a> Field<'a> {
    /// The first one. `None`: there is none, or not all of it.
    fn read(input: &'a [u8]) -> Option<Self> {
        let (tag, mut at) = unvarint(input)?;
        let (mut value, mut bytes) = (0, &[][..]);
        match (tag & 7) as u32 {
            VARINT => {
                let (n, len) = unvarint(input.get(at..)?)?;
                (value, at) = (n, at + len);
            }
            FIXED64 => at += 8,
            FIXED32 => at += 4,
            BYTES => {
                let (n, len) = unvarint(input.get(at..)?)?;
                at += len;
                let end = at.checked_add(usize::try_from(n).ok()?)?;
                bytes = input.get(at..end)?;
                at = end;
            }
            _ => return None,
        }
        (at <= input.len()).then_some(Self { number: tag >> 3, value, bytes, len: at })
    }
}

fn fields(mut input: &[u8]) -> impl Iterator<Item = Field<'_>> {
    std::iter::from_fn(move || {
        let field = Field::read(input)?;
        input = input.get(field.len..)?;
        Some(field)
    })
}

fn unvarint(input: &[u8]) -> Option<(u64, usize)> {
    let mut n = 0;
    for (i, b) in input.iter().take(10).enumerate() {
        n |= u64::from(b & 0x7f).checked_shl(7 * i as u32)?;
        if b & 0x80 == 0 {
            return Some((n, i + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (n, want) in [(0, &[0][..]), (1, &[1]), (127, &[127]), (128, &[128, 1]), (300, &[0xac, 2])] {
            let mut out = Vec::new();
            varint(&mut out, n);
            assert_eq!(out, want);
            assert_eq!(unvarint(&out), Some((n, out.len())));
        }
        let mut out = Vec::new();
        varint(&mut out, u64::MAX);
        assert_eq!((out.len(), unvarint(&out)), (10, Some((u64::MAX, 10))));
        assert_eq!(unvarint(&[0x80; 11]), None);
        assert_eq!(unvarint(&[]), None);
    }

    #[test]
    fn messages_in_messages() {
        for len in [0, 1, 127, 128, 20_000] {
            let mut out = Vec::new();
            nested(&mut out, 1, |out| out.resize(out.len() + len, 7));
            let field = Field::read(&out).unwrap();
            assert_eq!((field.number, field.bytes.len(), field.len), (1, len, out.len()));
        }
    }

    fn span(name: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let span = Span {
            trace: &[1; 16],
            id: &[2; 8],
            parent: None,
            remote: false,
            state: b"",
            name,
            kind: Kind::Server,
            time: (1, 2),
            failed: false,
            attributes: b"",
            events: &[],
        };
        span.write(&mut out, |a| a.text("k", b"v"));
        out
    }

    #[test]
    fn batches_are_cut_between_records() {
        let (a, b) = (span("a"), span(&"b".repeat(200)));
        let all = [&a[..], &b, &a].concat();
        assert_eq!(first(&all, 2, usize::MAX), (a.len() + b.len(), 2));
        assert_eq!(first(&all, 9, usize::MAX), (all.len(), 3));
        assert_eq!(first(&all, 9, a.len() + b.len()), (a.len() + b.len(), 2));
        assert_eq!(first(&all, 9, 1), (a.len(), 1));
        assert_eq!(first(b"", 9, 9), (0, 0));
    }

    #[test]
    fn answers() {
        assert_eq!(answer(b""), Said::default());
        let mut body = Vec::new();
        nested(&mut body, 1, |out| {
            number(out, 1, 3);
            text(out, 2, b"too old");
        });
        assert_eq!(answer(&body), Said { rejected: 3, message: "too old".into() });
        assert_eq!(answer(&body[..body.len() - 1]), Said::default());
        assert_eq!(answer(b"{}"), Said::default());
        let mut body = Vec::new();
        number(&mut body, 1, 8);
        text(&mut body, 2, b"slow down");
        assert_eq!(refusal(&body), "slow down");
        assert_eq!(refusal(b"no such page"), "");
    }
}
