//! The converter `debug`: tells somebody what it sees, and changes nothing (manual section 7.3.1).

use crate::args::{Arg, ArgKind, Args};
use crate::names;
use crate::row::Convert;
use crate::value::{Sample, Type, Value};
use portcullis_config::Place;
use std::cell::RefCell;
use std::sync::OnceLock;

/// Where it tells by default: a ring that is always there.
pub const DEFAULT: &str = "buf0";
/// Bytes of a value that are shown.
const MOST: usize = 1024;

/// Writes a line (without its end) to the sink of this name; must not block.
pub type Writer = Box<dyn Fn(&str, &[u8]) + Send + Sync>;

static WRITER: OnceLock<Writer> = OnceLock::new();

thread_local! {
    /// Sinks that were named, since the last [`take`].
    static SINKS: RefCell<Vec<(Place, String)>> = const { RefCell::new(Vec::new()) };
}

/// Says who writes; once.
pub fn install(writer: Writer) {
    let _ = WRITER.set(writer);
}

/// The sinks that expressions named on this thread since the last call, and where.
#[must_use]
pub fn take() -> Vec<(Place, String)> {
    SINKS.take()
}

#[allow(clippy::unnecessary_wraps)] // the type of all checks
fn check(args: &mut Args) -> Result<(), String> {
    let sink = match args.text(1) {
        b"" => DEFAULT.to_owned(),
        name => String::from_utf8_lossy(name).into_owned(),
    };
    let prefix = args.text(0).to_vec();
    args.0 = vec![Arg::Str(prefix.into()), Arg::Str(sink.clone().into_bytes().into())];
    SINKS.with_borrow_mut(|all| all.push((names::place(), sink)));
    Ok(())
}

/// `[debug] <prefix>: type=<type> <value>`
fn line(prefix: &[u8], value: &Value<'_>) -> Vec<u8> {
    let mut out = b"[debug] ".to_vec();
    out.extend_from_slice(prefix);
    out.extend_from_slice(format!(": type={} <", value.kind().name()).as_bytes());
    let mut text = Vec::new();
    value.write(&mut text);
    // a value ends where a C string would
    let shown = text
        .iter()
        .take(MOST)
        .take_while(|b| **b != 0)
        .map(|b| if matches!(b, b' '..=b'~') { *b } else { b'.' });
    out.extend(shown);
    out.push(b'>');
    out
}

/// Rows.
pub const ROWS: &[Convert] =
    &[Convert::new("debug", Type::Any, Type::Same, "Tells a sink what comes by.", |a, v, _| {
        if let Some(writer) = WRITER.get() {
            writer(&String::from_utf8_lossy(a.text(1)), &line(a.text(0), &v));
        }
        Sample::There(v)
    })
    .with(0, &[ArgKind::Str, ArgKind::Str])
    .checked(check)
    .impure()];

#[cfg(test)]
mod tests {
    use super::*;

    /// As 3.5-dev5 writes them.
    #[test]
    fn lines() {
        for (prefix, value, text) in [
            ("pre", Value::str(b"a\tb \xc3\xa9"), "[debug] pre: type=str <a.b ..>"),
            ("b", Value::Bool(true), "[debug] b: type=bool <1>"),
            ("num", Value::Int(12), "[debug] num: type=sint <12>"),
            ("", Value::V4([127, 0, 0, 1].into()), "[debug] : type=ipv4 <127.0.0.1>"),
            ("m", Value::Method(b"GET".into()), "[debug] m: type=meth <GET>"),
            ("x", Value::bin(b"z&\x00"), "[debug] x: type=bin <z&>"),
        ] {
            assert_eq!(String::from_utf8(line(prefix.as_bytes(), &value)).unwrap(), text);
        }
    }
}
