//! Constants (manual section 7.3.2).

use crate::args::{Arg, ArgKind, Args};
use crate::place::{CONSTANT, INTERNAL};
use crate::row::{Fetch, SampleRows};
use crate::value::{Sample, Type, Value};

/// Rows.
pub const ROWS: SampleRows = SampleRows {
    fetches: &[
        Fetch::new("always_false", Type::Bool, CONSTANT, "False.", |_, _, _| Value::Bool(false).into()),
        Fetch::new("always_true", Type::Bool, CONSTANT, "True.", |_, _, _| Value::Bool(true).into()),
        Fetch::new("bool", Type::Bool, CONSTANT, "This boolean.", |a, _, _| {
            Value::Bool(a.int(0) == Some(1)).into()
        })
        .with(1, &[ArgKind::Str])
        .checked(check_bool),
        Fetch::new("int", Type::Int, CONSTANT, "This integer.", |a, _, _| a.int(0).map(Value::Int).into())
            .with(1, &[ArgKind::Int]),
        Fetch::new("str", Type::Str, CONSTANT, "This string.", |a, _, _| Value::str(a.text(0)).into())
            .with(1, &[ArgKind::Str]),
        Fetch::new("meth", Type::Method, CONSTANT, "This HTTP method.", |a, _, _| {
            Value::Method(a.text(0).into()).into()
        })
        .with(1, &[ArgKind::Str]),
        Fetch::new("bin", Type::Bin, CONSTANT, "These bytes, given in hexadecimal.", |a, _, _| {
            Value::bin(a.text(0)).into()
        })
        .with(1, &[ArgKind::Str])
        .checked(check_bin),
        Fetch::new("ipv4", Type::V4, CONSTANT, "This IPv4 address.", |a, _, _| match a.0.first() {
            Some(Arg::V4(a)) => Value::V4(*a).into(),
            _ => Sample::Missing,
        })
        .with(1, &[ArgKind::V4]),
        Fetch::new("ipv6", Type::V6, CONSTANT, "This IPv6 address.", |a, _, _| match a.0.first() {
            Some(Arg::V6(a)) => Value::V6(*a).into(),
            _ => Sample::Missing,
        })
        .with(1, &[ArgKind::V6]),
        Fetch::new("wait_end", Type::Bool, INTERNAL, "True at the end of content inspection.", |_, s, _| {
            if s.last_call { Value::Bool(true).into() } else { Sample::NotYet }
        }),
    ],
    converters: &[],
    acls: &[],
};

fn check_bool(args: &mut Args) -> Result<(), String> {
    let b = match args.text(0) {
        t if t.eq_ignore_ascii_case(b"true") || t == b"1" => 1,
        t if t.eq_ignore_ascii_case(b"false") || t == b"0" => 0,
        _ => return Err("Expects 'true', 'false', '0' or '1'".into()),
    };
    args.0 = vec![Arg::Int(b)];
    Ok(())
}

fn check_bin(args: &mut Args) -> Result<(), String> {
    if args.text(0).is_empty() {
        return Err("expects hexadecimal digits".into());
    }
    let bytes = crate::pattern::unhex(args.text(0))?;
    args.0 = vec![Arg::Str(bytes.into())];
    Ok(())
}
