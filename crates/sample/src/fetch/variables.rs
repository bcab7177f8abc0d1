//! Variables (manual section 2.8).

use crate::args::{ArgKind, Args};
use crate::place::CONSTANT;
use crate::row::{Cursor, Fetch, SampleRows};
use crate::scope::Scope;
use crate::value::{Sample, Type, Value};

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

/// Rows.
pub const ROWS: SampleRows = SampleRows {
    fetches: &[Fetch::new("var", Type::Any, CONSTANT, "A variable, or what stands for it.", variable)
        .with(1, &[ArgKind::Str, ArgKind::Str])
        .checked(check)
        .impure()],
    converters: &[],
    acls: &[],
};
