//! Trace context in fields of HTTP (W3C Recommendation "Trace Context", level 1): `traceparent` and `tracestate`.

/// Bytes of a `traceparent` of version 00.
pub const LENGTH: usize = 55;
/// The only flag that version 00 defines: the caller may have recorded what it does.
const SAMPLED: u8 = 1;
/// Most members of a `tracestate` (section 3.3.1.1).
const MOST_MEMBERS: usize = 32;

/// Number of a trace.
pub type TraceId = [u8; 16];
/// Number of a span in it.
pub type SpanId = [u8; 8];

/// Which span of which trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The trace; never all zero.
    pub trace: TraceId,
    /// The span, which is the parent of what follows; never all zero.
    pub span: SpanId,
    /// It is recorded.
    pub sampled: bool,
}

impl Context {
    /// Reads a `traceparent`. Those of later versions are read as far as version 00 goes (section 3.2.4). `None`: it is none.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (fixed, rest) = text.split_at_checked(LENGTH)?;
        let separated = [2, 35, 52].iter().all(|at| fixed.get(*at) == Some(&b'-'));
        let [version] = digits(fixed.get(..2)?)?;
        let more = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest.starts_with(b"-"),
        };
        let trace: TraceId = digits(fixed.get(3..35)?)?;
        let span: SpanId = digits(fixed.get(36..52)?)?;
        let [flags] = digits(fixed.get(53..)?)?;
        let there = trace != TraceId::default() && span != SpanId::default();
        (separated && more && there).then_some(Self { trace, span, sampled: flags & SAMPLED != 0 })
    }

    /// The `traceparent` that says it, of version 00.
    #[must_use]
    pub fn text(&self) -> [u8; LENGTH] {
        let mut out = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write(&mut out[3..35], &self.trace);
        write(&mut out[36..52], &self.span);
        write(&mut out[53..], &[if self.sampled { SAMPLED } else { 0 }]);
        out
    }
}

/// Bytes that lower-case hexadecimal digits stand for; upper-case ones are none here.
fn digits<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let value = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    for (to, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *to = value(*pair.first()?)? << 4 | value(*pair.get(1)?)?;
    }
    (text.len() == 2 * N).then_some(out)
}

/// Lower-case hexadecimal digits, two a byte.
fn write(to: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, b) in to.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]);
    }
}

/// The same as text.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut out = vec![0; bytes.len() * 2];
    write(&mut out, bytes);
    String::from_utf8(out).unwrap_or_default()
}

/// All `tracestate` fields of a message as one list (section 3.3.1). `None`: there is nothing in them, or they are no such list,
/// or too long a one, or a key stands there twice.
#[must_use]
pub fn state<'a>(fields: impl Iterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut keys: Vec<&[u8]> = Vec::new();
    let mut out = Vec::new();
    for member in fields.flat_map(|f| f.split(|b| *b == b',')).map(trim).filter(|m| !m.is_empty()) {
        let (key, value) = member.split_at(member.iter().position(|b| *b == b'=')?);
        let value = value.get(1..)?;
        if !is_key(key) || !is_value(value) || keys.contains(&key) || keys.len() == MOST_MEMBERS {
            return None;
        }
        keys.push(key);
        if !out.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(member);
    }
    (!out.is_empty()).then_some(out)
}

/// Optional white space is around members; in front of them it is part of none, and no value ends with it.
fn trim(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}

/// Section 3.3.1.3.1: `name`, or `tenant@system`.
fn is_key(key: &[u8]) -> bool {
    let part = |text: &[u8], most: usize, begins: fn(&u8) -> bool| {
        text.len() <= most && text.first().is_some_and(begins) && text.iter().all(in_key)
    };
    match key.iter().position(|b| *b == b'@') {
        None => part(key, 256, u8::is_ascii_lowercase),
        Some(at) => {
            let (tenant, system) = (&key[..at], &key[at + 1..]);
            part(tenant, 241, |b| b.is_ascii_lowercase() || b.is_ascii_digit())
                && part(system, 14, u8::is_ascii_lowercase)
        }
    }
}

fn in_key(b: &u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'*' | b'/')
}

/// Section 3.3.1.3.2
fn is_value(value: &[u8]) -> bool {
    let allowed = |b: &u8| matches!(b, 0x20..=0x7e) && !matches!(b, b',' | b'=');
    (1..=256).contains(&value.len()) && value.iter().all(allowed) && value.last() != Some(&b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn read_and_written() {
        let context = Context::parse(TEXT).unwrap();
        assert_eq!(hex(&context.trace), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(hex(&context.span), "b7ad6b7169203331");
        assert!(context.sampled);
        assert_eq!(context.text(), *TEXT);
        let unsampled = Context { sampled: false, ..context };
        assert_eq!(Context::parse(&unsampled.text()), Some(unsampled));
    }

    /// Flags that version 00 does not know are not passed on.
    #[test]
    fn flags() {
        let with = |flags: &str| Context::parse(&[&TEXT[..53], flags.as_bytes()].concat()).unwrap();
        assert!(!with("00").sampled && !with("02").sampled && !with("fe").sampled);
        assert!(with("03").sampled && with("ff").sampled);
        assert_eq!(&with("ff").text()[53..], b"01");
    }

    #[test]
    fn later_versions_as_far_as_this_one_goes() {
        let later = |more: &str| Context::parse(&[b"cc", &TEXT[2..], more.as_bytes()].concat());
        assert_eq!(later(""), Context::parse(TEXT));
        assert_eq!(later("-what-the-future-will-be-like"), Context::parse(TEXT));
        assert_eq!(later("-"), Context::parse(TEXT));
        assert_eq!(later(".what"), None);
        assert_eq!(later("0"), None);
    }

    #[test]
    fn refused() {
        let text = |s: &str| Context::parse(s.as_bytes());
        for bad in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0A",
            "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0.",
            "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331_01",
            "0-00af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(text(bad), None, "{bad}");
        }
    }

    fn states(fields: &[&str]) -> Option<String> {
        state(fields.iter().map(|f| f.as_bytes())).map(|s| String::from_utf8(s).unwrap())
    }

    #[test]
    fn lists_of_states() {
        assert_eq!(
            states(&["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"]).unwrap(),
            "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
        );
        assert_eq!(states(&["a=1", " , b@c=2 ,\t", "1x@y= 3"]).unwrap(), "a=1,b@c=2,1x@y= 3");
        assert_eq!(states(&[]), None);
        assert_eq!(states(&[" , ,"]), None);
        let many: Vec<String> = (0..33).map(|n| format!("k{n}=v")).collect();
        assert!(states(&[&many[..32].join(",")]).is_some());
        assert_eq!(states(&[&many.join(",")]), None);
    }

    #[test]
    fn what_is_no_list_of_states() {
        for bad in [
            "a",
            "a=",
            "=1",
            "A=1",
            "1=1",
            "a=1,a=2",
            "a=b=c",
            "a@=1",
            "@a=1",
            "a@1=2",
            "a@b@c=1",
            "a b=1",
            "a=\u{e9}",
            "a@abcdefghijklmno=1",
        ] {
            assert_eq!(states(&["ok=1", bad]), None, "{bad}");
        }
        assert!(states(&[&format!("{}=1", "a".repeat(256))]).is_some());
        assert_eq!(states(&[&format!("{}=1", "a".repeat(257))]), None);
        assert!(states(&[&format!("a={}", "v".repeat(256))]).is_some());
        assert_eq!(states(&[&format!("a={}", "v".repeat(257))]), None);
    }
}
