//! What the `global` section says about expressions: variables with their limits, algorithms of tokens (manual section 3).

use crate::convert::jwt::decrypt;
use crate::expr::Expr;
use crate::facts::Facts;
use crate::format::{Format, Options};
use crate::place::Places;
use crate::row::vocabulary;
use crate::scope::{Random, Scope};
use crate::value::Value;
use crate::vars::{self, LIMITS, VarName, VarScope};
use portcullis_config::{Cx, Does, Keyword, Line, Sections};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

const fn row(
    name: &'static str,
    args: &'static str,
    help: &'static str,
    parse: fn(&mut Cx<'_>, &Line),
) -> Keyword {
    Keyword { name, sections: Sections::GLOBAL, args, help, negatable: false, does: Does::Works(parse) }
}

macro_rules! limit {
    ($name:literal, $which:ident, $help:literal) => {
        row($name, "<size>", $help, |cx, line| limit(cx, line, $name, &LIMITS.$which))
    };
}

/// The rows of this file.
pub(crate) const ROWS: &[Keyword] = &[
    row("set-var", "<var-name> <expr>", "Sets a variable of the process.", |cx, line| {
        set(cx, line, "set-var")
    }),
    row("set-var-fmt", "<var-name> <fmt>", "Sets a variable of the process to a text.", |cx, line| {
        set(cx, line, "set-var-fmt");
    }),
    row("jwt.decrypt_alg_list", "<list>", "Algorithms that encrypted tokens may use.", |cx, line| {
        allow(cx, line, decrypt::allow_algorithms);
    }),
    row("jwt.decrypt_enc_list", "<list>", "Encryptions that encrypted tokens may use.", |cx, line| {
        allow(cx, line, decrypt::allow_encryptions);
    }),
    limit!("tune.vars.check-max-size", check, "Most bytes of a health check's variables."),
    limit!("tune.vars.global-max-size", global, "Most bytes of all variables together."),
    limit!("tune.vars.proc-max-size", proc, "Most bytes of the process' variables and all inside."),
    limit!("tune.vars.sess-max-size", sess, "Most bytes of a session's variables and all inside."),
    limit!("tune.vars.txn-max-size", txn, "Most bytes of a transaction's variables and all inside."),
    limit!("tune.vars.reqres-max-size", reqres, "Most bytes of a request's or response's variables."),
];

fn allow(cx: &mut Cx<'_>, line: &Line, set: fn(&str) -> Result<(), String>) {
    let list = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
    if let Err(message) = set(&list) {
        cx.alert(line.word(1), message);
    }
}

fn limit(cx: &mut Cx<'_>, line: &Line, name: &str, to: &AtomicU64) {
    let Some(word) = line.word(1) else {
        to.store(0, Ordering::Relaxed);
        return;
    };
    let (n, whole) = portcullis_config::rows::value::leading(&word.text);
    match u64::try_from(n) {
        Ok(n) if whole => to.store(n, Ordering::Relaxed),
        // HAProxy takes a negative size for a huge one
        Err(_) if whole => to.store(0, Ordering::Relaxed),
        _ => {
            cx.alert(Some(word), format!("{name}: '{}' is an invalid size", word.str()));
        }
    }
}

fn set(cx: &mut Cx<'_>, line: &Line, keyword: &str) {
    let (Some(name), Some(text)) = (line.word(1), line.word(2)) else {
        let what = if keyword == "set-var" { "a sample expression" } else { "a format string" };
        let message =
            format!("'{keyword}' requires a process-wide variable name ('proc.<name>') and {what}.");
        cx.alert(None, message);
        return;
    };
    let how = if keyword == "set-var" { Source::Expr } else { Source::Format };
    if let Err(message) =
        assign(keyword, "in the global section", &name.text, how, &text.text, Places::CONFIG)
    {
        cx.alert(Some(text), message);
    }
}

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An expression.
    Expr,
    /// A format.
    Format,
}

/// Sets a variable of the process to what a text comes to (`set-var` in `global`, `set var` of the Runtime API).
///
/// # Errors
/// HAProxy's message.
pub fn assign(
    keyword: &str,
    here: &str,
    name: &[u8],
    how: Source,
    text: &[u8],
    places: Places,
) -> Result<(), String> {
    let variable = VarName::parse(name)?;
    let shown = String::from_utf8_lossy(name);
    if variable.scope != VarScope::Proc {
        return Err(format!(
            "'{keyword}': cannot set variable '{shown}', only scope 'proc' is permitted {here}."
        ));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let facts = Facts { now, ..Facts::new() };
    let random = Random::new(now.as_nanos() as u64);
    let scope = Scope::new(&facts, &random);
    let value = match how {
        Source::Expr => {
            let expr = Expr::parse(text, &vocabulary()).map_err(|e| e.to_string())?;
            if !expr.valid_in(places) {
                return Err(format!(
                    "fetch method 'set-var({shown})' extracts information from '{}', none of which is available here",
                    expr.fetch().needs.name
                ));
            }
            expr.eval(&scope).there().map(Value::into_owned)
        }
        Source::Format => {
            let (format, _) = Format::compile(text, Options::rule(places), &vocabulary()).map_err(|e| e.0)?;
            let mut out = Vec::new();
            format.run(&scope, &mut out);
            Some(Value::Str(out.into()))
        }
    };
    match value.map(|v| vars::set_process(variable, v)) {
        Some(false) => {
            Err(format!("'{keyword}': variable '{shown}' does not fit in 'tune.vars.proc-max-size'."))
        }
        Some(true) | None => Ok(()),
    }
}
