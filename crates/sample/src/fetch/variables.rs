//! Variables (manual section 2.8).

use crate::args::{ArgKind, Args};
use crate::place::CONSTANT;
use crate::row::{Cursor, Fetch, SampleRows};
use crate::scope::Scope;
use crate::value::{Sample, Type, Value};
use crate::vars::VarScope;

fn check(args: &mut Args) -> Result<(), String> {
    if args.text(0).is_empty() {
        return Err("Empty variable name cannot be accepted".into());
    }
    args.make_var(0)
}

fn variable<'s>(a: &'s Args, s: &Scope<'s>, _: &mut Cursor) -> Sample<'s> {
    let Some(name) = a.var(0) else { return Sample::Missing };
    match s.facts.vars.get(name, s.direction) {
        Some(v) => v.into(),
        None if a.len() > 1 => Value::str(a.text(1)).into(),
        None => Sample::Missing,
    }
}

/// Scopes that `dump_all_vars` shows, in its order.
const DUMPED: [(&str, VarScope); 5] = [
    ("sess", VarScope::Sess),
    ("txn", VarScope::Txn),
    ("req", VarScope::Req),
    ("res", VarScope::Res),
    ("proc", VarScope::Proc),
];

fn check_dump(args: &mut Args) -> Result<(), String> {
    match args.text(0) {
        b"" | b"check" => Ok(()),
        scope if DUMPED.iter().any(|(n, _)| n.as_bytes() == scope) => Ok(()),
        scope => {
            let scope = String::from_utf8_lossy(scope);
            Err(format!("invalid scope '{scope}', must be one of: sess, txn, req, res, proc"))
        }
    }
}

/// A variable's value as `dump_all_vars` writes it.
fn dumped(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Bool(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
        Value::Bin(b) => {
            out.push(b'x');
            portcullis_wire::hex::upper(out, b);
        }
        Value::Str(b) | Value::Method(b) => {
            out.push(b'"');
            for byte in b.iter() {
                match byte {
                    b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
                    b'\r' => out.extend_from_slice(b"\\r"),
                    b'\n' => out.extend_from_slice(b"\\n"),
                    8 => out.extend_from_slice(b"\\b"),
                    0 => out.extend_from_slice(b"\\0"),
                    other => out.push(*other),
                }
            }
            out.push(b'"');
        }
        other => other.write(out),
    }
}

/// Variables with their values; none if it would be longer than a buffer.
fn dump<'s>(a: &'s Args, s: &Scope<'s>, _: &mut Cursor) -> Sample<'s> {
    let delimiter: &[u8] = if a.len() > 2 { a.text(2) } else { b", " };
    let mut out = Vec::new();
    for (scope_name, scope) in DUMPED {
        if !a.text(0).is_empty() && a.text(0) != scope_name.as_bytes() {
            continue;
        }
        s.facts.vars.each(scope, s.direction, |name, value| {
            if !name.as_bytes().starts_with(a.text(1)) || out.len() > MAX_DUMP {
                return;
            }
            if !out.is_empty() {
                out.extend_from_slice(delimiter);
            }
            out.extend_from_slice(scope_name.as_bytes());
            out.push(b'.');
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            dumped(value, &mut out);
        });
    }
    if out.len() > MAX_DUMP { Sample::Missing } else { Value::Str(out.into()).into() }
}

/// Most bytes of a dump.
const MAX_DUMP: usize = 16 * 1024;

/// Rows.
pub const ROWS: SampleRows = SampleRows {
    fetches: &[
        Fetch::new("dump_all_vars", Type::Str, CONSTANT, "All variables with their values.", dump)
            .with(0, &[ArgKind::Str, ArgKind::Str, ArgKind::Str])
            .checked(check_dump)
            .impure(),
        Fetch::new("var", Type::Any, CONSTANT, "A variable, or what stands for it.", variable)
            .with(1, &[ArgKind::Str, ArgKind::Str])
            .checked(check)
            .impure(),
    ],
    converters: &[],
    acls: &[],
};
