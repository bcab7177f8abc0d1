//! `-dKsmp`, `-dKcnv`, `-dKacl`: the rows in HAProxy's form.

use crate::place::NAMES;
use crate::row::{Spec, Vocabulary};
use std::fmt::Write;

/// The arguments of a fetch or converter, as dumps show them.
#[must_use]
pub fn signature(spec: &Spec) -> String {
    if spec.kinds.is_empty() {
        return String::new();
    }
    let mut out = String::from("(");
    for (i, kind) in spec.kinds.iter().enumerate() {
        if i == spec.min {
            out.push('[');
        }
        if i > 0 {
            out.push(',');
        }
        out.push_str(kind.name());
    }
    if spec.min < spec.kinds.len() {
        out.push(']');
    }
    out.push(')');
    out
}

/// `-dKsmp`
#[must_use]
pub fn fetches(v: &Vocabulary) -> String {
    let mut out = String::from("# List of registered sample fetch functions:\n");
    for (i, name) in NAMES.iter().enumerate() {
        let _ = write!(out, "#{}", " ".repeat(23 - i));
        out.push_str(&"/ ".repeat(i));
        let _ = writeln!(out, "_.{} {name}", "-".repeat(22 - i));
    }
    let _ = writeln!(out, "# {} ", "/ ".repeat(22));
    let _ = writeln!(out, "# {}", "| ".repeat(22));
    for f in v.fetches() {
        out.push_str("[ ");
        for i in 0..NAMES.len() {
            out.push_str(if f.needs.places.bits() >> i & 1 == 1 { "Y " } else { ". " });
        }
        let _ = writeln!(out, "] {}{}: {}", f.name, signature(&f.args), f.output.name());
    }
    out
}

/// `-dKcnv`
#[must_use]
pub fn converters(v: &Vocabulary) -> String {
    let mut out = String::from("# List of registered sample converter functions:\n");
    for c in v.converters() {
        let _ = writeln!(out, "{}{}: {} => {}", c.name, signature(&c.args), c.output.name(), c.input.name());
    }
    out
}

/// `-dKacl`
#[must_use]
pub fn acls(v: &Vocabulary) -> String {
    let mut out = String::from("# List of registered ACL keywords:\n");
    for a in v.acls() {
        let _ = writeln!(out, "{} = {} -m {}", a.name, a.fetch, a.method.name());
    }
    out
}
