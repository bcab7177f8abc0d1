//! Arithmetic and logic. Results saturate.

use crate::args::{Arg, ArgKind, Args};
use crate::row::Convert;
use crate::scope::Scope;
use crate::value::{Sample, Type, Value};
use crate::vars::VarName;

const ONE: &[ArgKind] = &[ArgKind::Str];

/// The arguments are integers, or variables that hold some.
pub(super) fn check_int(args: &mut Args) -> Result<(), String> {
    for i in 0..args.len() {
        let text = args.text(i);
        if !matches!(args.0.get(i), Some(Arg::Str(_))) {
            continue;
        }
        let made = match crate::args::int(text) {
            Some(n) => Arg::Int(n),
            None if text.is_empty() => Arg::Int(0),
            None => VarName::parse(text)
                .map(Arg::Var)
                .map_err(|_| "expects an integer or a variable name".to_string())?,
        };
        if let Some(a) = args.0.get_mut(i) {
            *a = made;
        }
    }
    Ok(())
}

fn binary(args: &Args, v: Value<'_>, s: &Scope<'_>, op: fn(i64, i64) -> i64) -> Sample<'static> {
    match (v, args.int_now(0, s)) {
        (Value::Int(a), Some(b)) => Value::Int(op(a, b)).into(),
        _ => Sample::Missing,
    }
}
fn unary(v: Value<'_>, op: fn(i64) -> Value<'static>) -> Sample<'static> {
    match v {
        Value::Int(a) => op(a).into(),
        _ => Sample::Missing,
    }
}

fn divide(a: i64, b: i64) -> i64 {
    if b == 0 { i64::MAX } else { a.checked_div(b).unwrap_or(i64::MAX) }
}
fn remainder(a: i64, b: i64) -> i64 {
    if b == 0 { 0 } else { a.checked_rem(b).unwrap_or(0) }
}

macro_rules! arithmetic {
    ($name:literal, $help:literal, $op:expr) => {
        Convert::new($name, Type::Int, Type::Int, $help, |a, v, s| binary(a, v, s, $op))
            .with(1, ONE)
            .checked(check_int)
    };
}

/// Rows.
pub const ROWS: &[Convert] = &[
    arithmetic!("add", "Adds the argument.", i64::saturating_add),
    arithmetic!("sub", "Takes the argument away.", i64::saturating_sub),
    arithmetic!("mul", "Multiplies by the argument.", i64::saturating_mul),
    arithmetic!("div", "Divides by the argument.", divide),
    arithmetic!("mod", "The remainder of dividing by the argument.", remainder),
    arithmetic!("and", "Bits that both have.", |a, b| a & b),
    arithmetic!("or", "Bits that either has.", |a, b| a | b),
    arithmetic!("xor", "Bits that one of both has.", |a, b| a ^ b),
    Convert::new("cpl", Type::Int, Type::Int, "Flips every bit.", |_, v, _| unary(v, |a| Value::Int(!a))),
    Convert::new("neg", Type::Int, Type::Int, "The opposite.", |_, v, _| {
        unary(v, |a| Value::Int(a.checked_neg().unwrap_or(i64::MAX)))
    }),
    Convert::new("not", Type::Int, Type::Bool, "True for zero.", |_, v, _| unary(v, |a| Value::Bool(a == 0))),
    Convert::new("bool", Type::Int, Type::Bool, "True for anything but zero.", |_, v, _| {
        unary(v, |a| Value::Bool(a != 0))
    }),
    Convert::new("even", Type::Int, Type::Bool, "Is it even?", |_, v, _| {
        unary(v, |a| Value::Bool(a & 1 == 0))
    }),
    Convert::new("odd", Type::Int, Type::Bool, "Is it odd?", |_, v, _| unary(v, |a| Value::Bool(a & 1 == 1))),
    Convert::new("htonl", Type::Int, Type::Bin, "As 32 bits in network order.", |_, v, _| {
        unary(v, |a| Value::Bin((a as u32).to_be_bytes().to_vec().into()))
    }),
    Convert::new(
        "iif",
        Type::Bool,
        Type::Str,
        "The first argument for true, the second for false.",
        |a, v, _| match v {
            Value::Bool(b) => Value::str(a.text(usize::from(!b))).into(),
            _ => Sample::Missing,
        },
    )
    .with(2, &[ArgKind::Str, ArgKind::Str]),
    Convert::new("ipmask", Type::Addr, Type::Addr, "Keeps the address under a mask.", |a, v, _| {
        let v = match v {
            Value::V6(ip) => ip.to_ipv4_mapped().map_or(Value::V6(ip), Value::V4),
            other => other,
        };
        match (v, a.0.first(), a.0.get(1)) {
            (Value::V4(ip), Some(Arg::V4(m)), _) => Value::V4(ip & *m).into(),
            (Value::V6(ip), _, Some(Arg::V6(m))) => Value::V6(ip & *m).into(),
            _ => Sample::Missing,
        }
    })
    .with(1, &[ArgKind::Mask4, ArgKind::Mask6]),
];
