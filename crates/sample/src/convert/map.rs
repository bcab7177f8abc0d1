//! Maps (manual section 7.3.1, `map`): every way of matching with every type of output.

use crate::args::{Arg, ArgKind, Args};
use crate::pattern::shared::{self, How, Values, View};
use crate::pattern::{Method, Patterns, Set};
use crate::row::Convert;
use crate::value::{Bytes, Sample, Type, Value, leading_int, parse_ip};
use std::borrow::Cow;
use std::sync::Arc;

/// What a map gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Str,
    Int,
    Ip,
    /// The entry's key.
    Key,
    /// The value with the groups of the regex in it.
    Groups,
}

/// A map as a converter uses it.
struct Map {
    view: View,
    output: Output,
    default: Option<Value<'static>>,
}

fn convert(output: Output, text: Vec<u8>) -> Option<Value<'static>> {
    Some(match output {
        Output::Int => Value::Int(leading_int(&text)),
        Output::Ip => Value::ip(parse_ip(&text)?),
        _ => Value::Str(Cow::Owned(text)),
    })
}

fn check(args: &mut Args, method: Method, output: Output) -> Result<(), String> {
    let name = String::from_utf8_lossy(args.text(0)).into_owned();
    let list = shared::open(&name, true, &|n| crate::files::read(n.as_bytes()))?;
    list.expect(match output {
        Output::Int => Values::Numbers,
        Output::Ip => Values::Addresses,
        _ => Values::Text,
    });
    let mut wrong = None;
    list.visit(None, 0, usize::MAX, |_, e| {
        let right = match output {
            Output::Int => crate::args::int(e.value).is_some(),
            Output::Ip => parse_ip(e.value).is_some(),
            _ => true,
        };
        if !right && wrong.is_none() {
            wrong = Some((String::from_utf8_lossy(e.value).into_owned(), e.line));
        }
    });
    if let Some((wrong, line)) = wrong {
        return Err(format!("unable to parse '{wrong}' at line {line} of file '{}'", list.name));
    }
    let default = match args.0.get(1) {
        None => None,
        Some(Arg::Int(n)) => Some(Value::Int(*n)),
        Some(Arg::Str(t)) => match convert(output, t.to_vec()) {
            Some(v) => Some(v),
            None => {
                let text = String::from_utf8_lossy(t);
                return Err(format!("map: cannot parse default ip <{text}>."));
            }
        },
        Some(_) => None,
    };
    let view = list.view(How::of(method))?;
    args.0 = vec![Arg::Made(Arc::new(Map { view, output, default }))];
    Ok(())
}

/// The value with `\1` and the like replaced by what the regex's groups matched.
fn with_groups(text: &[u8], patterns: Option<&Patterns>, index: u32, value: &[u8]) -> Vec<u8> {
    let Some(Patterns { set: Set::Regexes(list), .. }) = patterns else { return value.to_vec() };
    let found = list.iter().find(|r| r.1 == index).and_then(|r| r.0.groups_at(text, 0));
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value.iter();
    while let Some(b) = bytes.next() {
        match (b, bytes.as_slice().first()) {
            (b'\\', Some(d)) if d.is_ascii_digit() => {
                bytes.next();
                let group = found.as_ref().and_then(|f| *f.get(usize::from(d - b'0'))?);
                out.extend_from_slice(group.and_then(|(from, to)| text.get(from..to)).unwrap_or(&[]));
            }
            (b'\\', Some(other)) => {
                bytes.next();
                out.push(*other);
            }
            _ => out.push(*b),
        }
    }
    out
}

fn lookup<'s>(a: &'s Args, v: Value<'s>) -> Sample<'s> {
    let Some(map) = a.made::<Map>(0) else { return Sample::Missing };
    let text: Option<Bytes<'_>> =
        if map.output == Output::Groups { v.bytes().map(|b| b.to_vec().into()) } else { None };
    let found = map.view.lookup(v, |key, value, patterns, index| match map.output {
        Output::Key => Some(Value::Str(Cow::Owned(key.to_vec()))),
        Output::Int => Some(Value::Int(leading_int(value))),
        Output::Ip => parse_ip(value).map(Value::ip),
        Output::Str => Some(Value::Str(Cow::Owned(value.to_vec()))),
        Output::Groups => {
            let text = text.as_deref().unwrap_or(&[]);
            Some(Value::Str(Cow::Owned(with_groups(text, patterns, index, value))))
        }
    });
    found.flatten().or_else(|| map.default.clone()).into()
}

const STR: &[ArgKind] = &[ArgKind::Str, ArgKind::Str];
const INT: &[ArgKind] = &[ArgKind::Str, ArgKind::Int];
const KEY: &[ArgKind] = &[ArgKind::Str];

macro_rules! row {
    ($name:expr, $input:ident, $method:ident, $out:ident, $type:ident, $args:ident) => {
        Convert::new($name, Type::$input, Type::$type, "What a map has for the input.", |a, v, _| {
            lookup(a, v)
        })
        .with(1, $args)
        .checked(|a| check(a, Method::$method, Output::$out))
        .impure()
    };
}
macro_rules! maps {
    ($($name:literal $input:ident $method:ident;)*) => {
        &[
            row!("map", Str, Str, Str, Str, STR),
            row!("map_regm", Str, Reg, Groups, Str, STR),
            $(
                row!($name, $input, $method, Str, Str, STR),
                row!(concat!($name, "_int"), $input, $method, Int, Int, INT),
                row!(concat!($name, "_ip"), $input, $method, Ip, Addr, STR),
                row!(concat!($name, "_key"), $input, $method, Key, Str, KEY),
            )*
        ]
    };
}

/// Rows.
pub const ROWS: &[Convert] = maps! {
    "map_str" Str Str;
    "map_beg" Str Beg;
    "map_sub" Str Sub;
    "map_dir" Str Dir;
    "map_dom" Str Dom;
    "map_end" Str End;
    "map_reg" Str Reg;
    "map_int" Int Int;
    "map_ip" Addr Ip;
};
