//! A TLS ClientHello in the buffer, RDP cookies, and counted blocks (manual section 7.3.5). Everything here reads
//! bytes of strangers: whatever they are, it ends and takes no memory beyond the hello's.

use crate::args::{Arg, ArgKind, Args};
use crate::place::{CLIENT_CONNECTION, EITHER_BYTES, REQUEST_BYTES, RESPONSE_BYTES};
use crate::row::{Cursor, Fetch, FetchFn, SampleRows};
use crate::scope::{Direction, Payload, Scope};
use crate::value::{Sample, Type, Value};
use std::borrow::Cow;

/// What can be said of bytes that may be incomplete.
enum Seen<T> {
    /// It is there.
    There(T),
    /// It is none.
    Not,
    /// More is needed.
    Short,
}

/// A handshake message of this type from as many records as it takes: its version in the record, and its body.
fn handshake(bytes: &[u8], kind: u8) -> Seen<(u16, Cow<'_, [u8]>)> {
    let (mut body, mut at, mut version): (Cow<'_, [u8]>, usize, u16) = (Cow::Borrowed(&[]), 0, 0);
    loop {
        let Some(record) = bytes.get(at..at + 5) else {
            let plausible = bytes.get(at).is_none_or(|t| *t == 22);
            return if plausible { Seen::Short } else { Seen::Not };
        };
        let len = usize::from(record[3]) << 8 | usize::from(record[4]);
        if record[0] != 22 || record[1] != 3 || len == 0 || len > 16384 + 256 {
            return Seen::Not;
        }
        if at == 0 {
            version = u16::from(record[1]) << 8 | u16::from(record[2]);
        }
        let whole = bytes.get(at + 5..at + 5 + len);
        let part = whole.or_else(|| bytes.get(at + 5..)).unwrap_or(&[]);
        if body.is_empty() {
            body = Cow::Borrowed(part);
        } else {
            body.to_mut().extend_from_slice(part);
        }
        if body.first().is_some_and(|t| *t != kind) {
            return Seen::Not;
        }
        if let Some(head) = body.get(..4) {
            let size = usize::from(head[1]) << 16 | usize::from(head[2]) << 8 | usize::from(head[3]);
            if size > 65536 {
                return Seen::Not;
            }
            if body.len() >= 4 + size {
                return Seen::There((version, cut(body, 4, 4 + size)));
            }
        }
        if whole.is_none() {
            return Seen::Short;
        }
        at += 5 + len;
    }
}

fn cut(b: Cow<'_, [u8]>, start: usize, end: usize) -> Cow<'_, [u8]> {
    match b {
        Cow::Borrowed(b) => Cow::Borrowed(b.get(start..end).unwrap_or(&[])),
        Cow::Owned(b) => Cow::Owned(b.get(start..end).unwrap_or(&[]).to_vec()),
    }
}

/// Reads from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }
    fn number(&mut self, n: usize) -> Option<usize> {
        Some(self.take(n)?.iter().fold(0, |v, b| v << 8 | usize::from(*b)))
    }
    /// A block with its length in `n` bytes before it.
    fn counted(&mut self, n: usize) -> Option<&'a [u8]> {
        let len = self.number(n)?;
        self.take(len)
    }
}

/// The parts of a ClientHello that samples are made of.
struct Hello<'a> {
    version: u16,
    ciphers: &'a [u8],
    extensions: &'a [u8],
}

impl<'a> Hello<'a> {
    fn of(body: &'a [u8]) -> Option<Self> {
        let mut r = Reader(body);
        let version = r.number(2)? as u16;
        r.take(32)?;
        r.counted(1)?;
        let ciphers = r.counted(2)?;
        r.counted(1)?;
        let extensions = if r.0.is_empty() { &[] } else { r.counted(2)? };
        Some(Self { version, ciphers, extensions })
    }
    fn extension(&self, id: usize) -> Option<&'a [u8]> {
        let mut r = Reader(self.extensions);
        loop {
            let this = r.number(2)?;
            let content = r.counted(2)?;
            if this == id {
                return Some(content);
            }
        }
    }
    fn server_name(&self) -> Option<&'a [u8]> {
        let mut list = Reader(Reader(self.extension(0)?).counted(2)?);
        loop {
            let kind = list.number(1)?;
            let name = list.counted(2)?;
            if kind == 0 {
                return Some(name);
            }
        }
    }
    /// The protocols of ALPN.
    fn protocols(&self) -> Option<impl Iterator<Item = &'a [u8]>> {
        let mut list = Reader(Reader(self.extension(16)?).counted(2)?);
        Some(std::iter::from_fn(move || list.counted(1)))
    }
    /// The groups for which there are key shares.
    fn key_shares(&self) -> Option<Vec<u8>> {
        let mut list = Reader(Reader(self.extension(51)?).counted(2)?);
        let mut out = Vec::new();
        while let Some(group) = list.take(2) {
            list.counted(2)?;
            out.extend_from_slice(group);
        }
        Some(out)
    }
}

fn owned(b: &[u8], text: bool) -> Value<'static> {
    let b = Cow::Owned(b.to_vec());
    if text { Value::Str(b) } else { Value::Bin(b) }
}

fn client<'s>(s: &Scope<'s>, pick: impl FnOnce(&Hello<'_>) -> Option<Value<'static>>) -> Sample<'s> {
    let Some(p) = s.raw(Direction::Request) else { return Sample::Missing };
    match handshake(p.bytes, 1) {
        Seen::There((_, body)) => Hello::of(&body).and_then(|h| pick(&h)).into(),
        Seen::Short if p.may_grow => Sample::NotYet,
        _ => Sample::Missing,
    }
}

/// Type of the handshake message at the start of the buffer.
fn kind<'s>(p: Option<Payload<'s>>, wanted: fn(u8) -> bool) -> Sample<'s> {
    let Some(p) = p else { return Sample::Missing };
    let Some(head) = p.bytes.get(..6) else {
        let plausible = p.bytes.first().is_none_or(|b| *b == 22);
        return if p.may_grow && plausible { Sample::NotYet } else { Sample::Missing };
    };
    if head[0] != 22 || head[1] != 3 || !wanted(head[5]) {
        return Sample::Missing;
    }
    // known once its record is whole
    let record = 5 + (usize::from(head[3]) << 8 | usize::from(head[4]));
    match p.bytes.len() {
        n if n >= record => Value::Int(head[5].into()).into(),
        _ if p.may_grow => Sample::NotYet,
        _ => Sample::Missing,
    }
}

/// Major version in the upper half, minor in the lower, as the manual has it for 3.1 to 3.4.
fn version(h: &Hello<'_>) -> Option<Value<'static>> {
    let v = i64::from(h.version);
    Some(Value::Int((v >> 8) << 16 | v & 0xFF))
}

/// `msts`-like cookie of an RDP connection request: `Cookie: name=value CR LF` behind TPKT and X.224 headers.
/// `NotYet`: there are too few bytes to say.
fn rdp<'s>(p: Payload<'s>, name: &[u8]) -> Sample<'s> {
    let Some(head) = p.bytes.get(..11) else { return Sample::NotYet };
    // TPKT version 3, an X.224 connection request
    let total = usize::from(head[2]) << 8 | usize::from(head[3]);
    if head[0] != 3 || head[1] != 0 || head[5] & 0xF0 != 0xE0 || usize::from(head[4]) + 5 != total {
        return Sample::Missing;
    }
    let Some(body) = p.bytes.get(11..total) else {
        return if p.bytes.len() < total { Sample::NotYet } else { Sample::Missing };
    };
    let cookie = body.get(..7).filter(|c| c.eq_ignore_ascii_case(b"Cookie:")).and_then(|_| body.get(7..));
    let Some(cookie) = cookie.map(<[u8]>::trim_ascii_start) else { return Sample::Missing };
    let end = cookie.iter().position(|b| matches!(b, b'\r' | b'\n')).unwrap_or(cookie.len());
    let line = cookie.get(..end).unwrap_or(cookie);
    let Some(eq) = line.iter().position(|b| *b == b'=') else { return Sample::Missing };
    let (n, v) = (line.get(..eq).unwrap_or(&[]), line.get(eq + 1..).unwrap_or(&[]));
    if name.is_empty() || n.eq_ignore_ascii_case(name) { Value::str(v).into() } else { Sample::Missing }
}

fn rdp_cookie<'s>(a: &'s Args, s: &Scope<'s>, _: &mut Cursor) -> Sample<'s> {
    let Some(p) = s.raw(Direction::Request) else {
        // HTTP has none
        return s.request.head().map(|_| Value::Int(0)).into();
    };
    match rdp(p, a.text(0)) {
        Sample::NotYet if !p.may_grow => Sample::Missing,
        cookie => cookie,
    }
}
fn rdp_count<'s>(a: &'s Args, s: &Scope<'s>, _: &mut Cursor) -> Sample<'s> {
    let Some(p) = s.raw(Direction::Request) else { return Sample::Missing };
    match rdp(p, a.text(0)) {
        Sample::There(_) => Value::Int(1).into(),
        Sample::Missing => Value::Int(0).into(),
        Sample::NotYet if !p.may_grow => Sample::Missing,
        Sample::NotYet => Sample::NotYet,
    }
}

/// A block whose length stands at an offset.
fn counted<'s>(p: Option<Payload<'s>>, a: &Args) -> Sample<'s> {
    let Some(p) = p else { return Sample::Missing };
    let (Some(Ok(offset)), Some(Ok(size))) = (a.int(0).map(usize::try_from), a.int(1).map(usize::try_from))
    else {
        return Sample::Missing;
    };
    let short = || if p.may_grow { Sample::NotYet } else { Sample::Missing };
    let Some(digits) = p.bytes.get(offset..offset.saturating_add(size)) else { return short() };
    let len = digits.iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
    let start = match (a.int(2), a.int(3)) {
        (Some(n), Some(1)) => usize::try_from((offset + size) as i64 + n).ok(),
        (Some(n), _) => usize::try_from(n).ok(),
        _ => Some(offset + size),
    };
    let Some(start) = start.filter(|_| len > 0) else { return Sample::Missing };
    match p.bytes.get(start..start.saturating_add(len)) {
        Some(b) => Value::bin(b).into(),
        None if start.saturating_add(len) > crate::facts::buffer_size() => Sample::Missing,
        None => short(),
    }
}

/// The third argument may be relative; the length field has 1 to 8 bytes.
fn check_counted(args: &mut Args) -> Result<(), String> {
    if args.int(1).is_some_and(|n| n < 1) {
        return Err("payload length must be > 0".into());
    }
    let text = args.text(2);
    if text.is_empty() {
        return Ok(());
    }
    let relative = matches!(text.first(), Some(b'+' | b'-'));
    let Some(n) = crate::args::int(text) else { return Err("payload offset2 is not a number".into()) };
    let before = args.int(0).unwrap_or(0).saturating_add(args.int(1).unwrap_or(0));
    if relative && n < -before {
        return Err("payload offset2 too negative".into());
    }
    args.0.truncate(2);
    args.0.extend([Arg::Int(n), Arg::Int(relative.into())]);
    Ok(())
}

const LV: &[ArgKind] = &[ArgKind::Int, ArgKind::Int, ArgKind::Str];

const fn hello(name: &'static str, output: Type, help: &'static str, eval: FetchFn) -> Fetch {
    Fetch::new(name, output, REQUEST_BYTES, help, eval).impure()
}

/// One that 3.5 also accepts where there is no buffer yet; it gives nothing there.
const fn early(name: &'static str, output: Type, help: &'static str, eval: FetchFn) -> Fetch {
    Fetch::new(name, output, CLIENT_CONNECTION, help, eval).impure()
}

fn sni<'s>(_: &'s Args, s: &Scope<'s>, _: &mut Cursor) -> Sample<'s> {
    client(s, |h| h.server_name().map(|n| owned(n, true)))
}
/// A condition looks at each protocol.
fn alpn<'s>(_: &'s Args, s: &Scope<'s>, c: &mut Cursor) -> Sample<'s> {
    let sample = client(s, |h| h.protocols()?.nth(c.index as usize).map(|p| owned(p, true)));
    if c.all {
        c.index += 1;
        c.more = matches!(sample, Sample::There(_));
    }
    sample
}
fn client_kind<'s>(_: &'s Args, s: &Scope<'s>, _: &mut Cursor) -> Sample<'s> {
    kind(s.raw(Direction::Request), |t| t <= 4)
}
fn server_kind<'s>(_: &'s Args, s: &Scope<'s>, _: &mut Cursor) -> Sample<'s> {
    kind(s.raw(Direction::Response), |t| t <= 4)
}
fn hello_version<'s>(_: &'s Args, s: &Scope<'s>, _: &mut Cursor) -> Sample<'s> {
    client(s, version)
}

/// Rows.
pub const ROWS: SampleRows = SampleRows {
    fetches: &[
        hello("req.ssl_sni", Type::Str, "Server name in the ClientHello.", sni),
        hello("req_ssl_sni", Type::Str, "Server name in the ClientHello.", sni),
        hello("req.ssl_hello_type", Type::Int, "Type of the client's handshake message.", client_kind),
        hello("req_ssl_hello_type", Type::Int, "Type of the client's handshake message.", client_kind),
        hello("req.ssl_ver", Type::Int, "Version in the ClientHello.", hello_version),
        hello("req_ssl_ver", Type::Int, "Version in the ClientHello.", hello_version),
        hello("req.ssl_alpn", Type::Str, "Protocols in the ClientHello.", alpn),
        hello("req.ssl_ec_ext", Type::Bool, "Are there elliptic curves in the ClientHello?", |_, s, _| {
            client(s, |h| Some(Value::Bool(h.extension(10).is_some())))
        }),
        early("req.ssl_cipherlist", Type::Bin, "Ciphers in the ClientHello.", |_, s, _| {
            client(s, |h| Some(owned(h.ciphers, false)))
        }),
        early("req.ssl_sigalgs", Type::Bin, "Signature algorithms in the ClientHello.", |_, s, _| {
            client(s, |h| Reader(h.extension(13)?).counted(2).map(|b| owned(b, false)))
        }),
        early("req.ssl_supported_groups", Type::Bin, "Groups in the ClientHello.", |_, s, _| {
            client(s, |h| Reader(h.extension(10)?).counted(2).map(|b| owned(b, false)))
        }),
        early(
            "req.ssl_keyshare_groups",
            Type::Bin,
            "Groups of the key shares in the ClientHello.",
            |_, s, _| client(s, |h| h.key_shares().map(|b| Value::Bin(Cow::Owned(b)))),
        ),
        hello("req.ssl_st_ext", Type::Int, "Is there a session ticket in the ClientHello?", |_, s, _| {
            client(s, |h| Some(Value::Int(h.extension(35).map_or(0, |t| if t.is_empty() { 1 } else { 2 }))))
        }),
        Fetch::new(
            "rep_ssl_hello_type",
            Type::Int,
            RESPONSE_BYTES,
            "Type of the server's message.",
            server_kind,
        )
        .impure(),
        Fetch::new(
            "res.ssl_hello_type",
            Type::Int,
            RESPONSE_BYTES,
            "Type of the server's message.",
            server_kind,
        )
        .impure(),
        hello("req.rdp_cookie", Type::Str, "An RDP cookie.", rdp_cookie).with(0, &[ArgKind::Str]),
        hello("rdp_cookie", Type::Str, "An RDP cookie.", rdp_cookie).with(0, &[ArgKind::Str]),
        hello("req.rdp_cookie_cnt", Type::Int, "Is the RDP cookie there?", rdp_count)
            .with(0, &[ArgKind::Str]),
        hello("rdp_cookie_cnt", Type::Int, "Is the RDP cookie there?", rdp_count).with(0, &[ArgKind::Str]),
        Fetch::new(
            "req.payload_lv",
            Type::Bin,
            REQUEST_BYTES,
            "A counted block of the request.",
            |a, s, _| counted(s.raw(Direction::Request), a),
        )
        .with(2, LV)
        .checked(check_counted)
        .impure(),
        Fetch::new(
            "res.payload_lv",
            Type::Bin,
            RESPONSE_BYTES,
            "A counted block of the response.",
            |a, s, _| counted(s.raw(Direction::Response), a),
        )
        .with(2, LV)
        .checked(check_counted)
        .impure(),
        Fetch::new("payload_lv", Type::Bin, EITHER_BYTES, "A counted block of the buffer.", |a, s, _| {
            counted(s.raw(s.direction), a)
        })
        .with(2, LV)
        .checked(check_counted)
        .impure(),
    ],
    converters: &[],
    acls: &[],
};

#[cfg(test)]
mod tests {
    use super::*;

    /// A hello with a server name and two protocols, in records of so many bytes.
    fn client_hello(record: usize) -> Vec<u8> {
        let block = |n: usize, b: &[u8]| [&b.len().to_be_bytes()[8 - n..], b].concat();
        let ext = |id: u16, b: &[u8]| [&id.to_be_bytes()[..], &block(2, b)].concat();
        let names = block(2, &[&[0][..], &block(2, b"shop.example")].concat());
        let protocols = block(2, &[block(1, b"h2"), block(1, b"http/1.1")].concat());
        let versions = block(1, &[0x0a, 0x0a, 3, 4, 3, 3]);
        let extensions = [ext(0, &names), ext(16, &protocols), ext(43, &versions)].concat();
        let body = [
            &[3, 3][..],
            &[7; 32],
            &block(1, &[]),
            &block(2, &[0x13, 1]),
            &block(1, &[0]),
            &block(2, &extensions),
        ]
        .concat();
        let message = [&[1][..], &block(3, &body)].concat();
        message.chunks(record).flat_map(|c| [&[22, 3, 1][..], &block(2, c)].concat()).collect()
    }

    #[test]
    fn hellos_in_pieces() {
        for record in [1, 7, 40, 5000] {
            let all = client_hello(record);
            for end in 0..all.len() {
                assert!(matches!(handshake(&all[..end], 1), Seen::Short), "{record} {end}");
            }
            let Seen::There((_, body)) = handshake(&all, 1) else { panic!("{record}") };
            let h = Hello::of(&body).unwrap();
            assert_eq!(h.server_name(), Some(&b"shop.example"[..]));
            assert_eq!(h.protocols().unwrap().collect::<Vec<_>>(), [&b"h2"[..], b"http/1.1"]);
            assert_eq!(version(&h), Some(Value::Int(3 << 16 | 3)));
        }
        assert!(matches!(handshake(b"GET / HTTP/1.1\r\n", 1), Seen::Not));
    }

    #[test]
    fn strangers_bytes_do_no_harm() {
        let good = client_hello(5000);
        for i in 0..good.len() {
            for v in [0, 1, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[i] = v;
                if let Seen::There((_, body)) = handshake(&bad, 1)
                    && let Some(h) = Hello::of(&body)
                {
                    let _ = (h.server_name(), h.protocols().map(Iterator::count), h.key_shares());
                }
            }
        }
    }

    #[test]
    fn rdp_cookies() {
        let line = b"Cookie: mstshash=ann\r\n";
        let mut m = vec![3, 0, 0, 11 + line.len() as u8, 6 + line.len() as u8, 0xE0, 0, 0, 0, 0, 0];
        m.extend_from_slice(line);
        let p = |b| Payload { bytes: b, may_grow: true };
        assert_eq!(rdp(p(&m), b"MSTSHASH"), Value::str(b"ann").into());
        assert_eq!(rdp(p(&m), b"msts"), Sample::Missing);
        assert_eq!(rdp(p(&m[..20]), b""), Sample::NotYet);
        assert_eq!(rdp(p(b"GET / HTTP/1"), b""), Sample::Missing);
    }
}
