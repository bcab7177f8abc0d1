//! Variables of the process: `get var`, `set var`.

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_sample::global::{self, Source};
use portcullis_sample::place::Places;
use portcullis_sample::value::Value;
use portcullis_sample::vars::{self, VarName};

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row::new("get var", "<name>", Level::Operator, "retrieve contents of a process-wide variable", get),
    Row::new(
        "set var",
        "<name> [fmt|expr] {<fmt>|<expr>}",
        Level::Operator,
        "set variable from an expression or a format",
        set,
    ),
];

fn get(call: &mut Call<'_>) -> Outcome {
    if !call.has(2) {
        return Outcome::err("Missing process-wide variable identifier.");
    }
    let name = call.arg(2);
    let Some(value) = VarName::known(name.as_bytes()).and_then(vars::process) else {
        return Outcome::err("Variable not found.");
    };
    let mut text = format!("{name}: type={} value=<", value.kind().name()).into_bytes();
    match &value {
        Value::Bin(bytes) => bytes.iter().for_each(|b| match b {
            b' ' | b'\\' => text.extend_from_slice(&[b'\\', *b]),
            33..127 => text.push(*b),
            _ => text.push(b'.'),
        }),
        _ => text.extend_from_slice(&Value::into_text(value)),
    }
    text.extend_from_slice(b">\n");
    Outcome::Text(text)
}

fn set(call: &mut Call<'_>) -> Outcome {
    if !call.cli.experimental {
        return Outcome::err("This command is restricted to experimental mode only.");
    }
    if !call.has(2) {
        return Outcome::err("Missing process-wide variable identifier.");
    }
    let (how, at) = match (call.has(3), call.has(4), &*call.arg(3)) {
        (false, ..) => return Outcome::err("Missing either 'expr', 'fmt' or expression."),
        (_, false, _) => (Source::Expr, 3),
        (_, _, "expr") => (Source::Expr, 4),
        (_, _, "fmt") => (Source::Format, 4),
        (_, _, other) => {
            return Outcome::err(format!(
                "'set var': arg type must be either 'expr' or 'fmt' but got '{other}'."
            ));
        }
    };
    let word = |i: usize| call.words.get(i).map_or(&b""[..], |w| w);
    match global::assign("set var", "here", word(2), how, word(at), Places::CLI) {
        Ok(()) => Outcome::Nothing,
        Err(message) => Outcome::err(message),
    }
}
