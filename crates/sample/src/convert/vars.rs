//! Converters that read or write variables, and `when`.

use super::bytes;
use crate::acl::Verdict;
use crate::args::{Arg, ArgKind, Args};
use crate::facts::Captured;
use crate::fetch::acls::Named;
use crate::row::Convert;
use crate::scope::Scope;
use crate::value::{Bytes, Sample, Type, Value, until_nul};
use std::borrow::Cow;
use std::sync::Arc;

const STR: ArgKind = ArgKind::Str;

bitflags::bitflags! {
    /// Conditions of `set-var` (all must hold).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Conditions: u8 {
        /// `ifexists`
        const EXISTS = 1;
        /// `ifnotexists`
        const NOT_EXISTS = 2;
        /// `ifempty`
        const EMPTY = 4;
        /// `ifnotempty`
        const NOT_EMPTY = 8;
        /// `ifset`
        const SET = 16;
        /// `ifnotset`
        const NOT_SET = 32;
        /// `ifgt`
        const GREATER = 64;
        /// `iflt`
        const LESS = 128;
    }
}

impl Conditions {
    /// By name.
    ///
    /// # Errors
    /// HAProxy's message.
    pub fn of(name: &[u8]) -> Result<Self, String> {
        Ok(match name {
            b"ifexists" => Self::EXISTS,
            b"ifnotexists" => Self::NOT_EXISTS,
            b"ifempty" => Self::EMPTY,
            b"ifnotempty" => Self::NOT_EMPTY,
            b"ifset" => Self::SET,
            b"ifnotset" => Self::NOT_SET,
            b"ifgt" => Self::GREATER,
            b"iflt" => Self::LESS,
            _ => return Err(format!("unknown condition \"{}\"", String::from_utf8_lossy(name))),
        })
    }
    /// Do they allow this value to be written to this variable?
    #[must_use]
    pub fn hold(self, name: crate::vars::VarName, value: &Value<'_>, scope: &Scope<'_>) -> bool {
        if self.is_empty() {
            return true;
        }
        let (vars, direction) = (&scope.facts.vars, scope.direction);
        let exists = vars.exists(name, direction);
        let old = vars.with(name, direction, |v| if let Value::Int(n) = v { Some(*n) } else { None });
        let empty = value.bytes().is_some_and(<[u8]>::is_empty);
        let compared = match (old.flatten(), value) {
            (Some(old), Value::Int(new)) => Some(old.cmp(new)),
            _ => None,
        };
        let fails = |c: Self, ok: bool| self.contains(c) && !ok;
        !(fails(Self::EXISTS, exists)
            || fails(Self::NOT_EXISTS, !exists)
            || fails(Self::EMPTY, empty)
            || fails(Self::NOT_EMPTY, !empty)
            || fails(Self::SET, old.is_some())
            || fails(Self::NOT_SET, old.is_none())
            || fails(Self::GREATER, compared.is_none_or(|c| c.is_gt()))
            || fails(Self::LESS, compared.is_none_or(|c| c.is_lt())))
    }
}

fn check_set(args: &mut Args) -> Result<(), String> {
    args.make_var(0)?;
    let mut all = Conditions::empty();
    for i in 1..args.len() {
        all |= Conditions::of(args.text(i))?;
    }
    args.0.truncate(1);
    args.0.push(Arg::Made(Arc::new(all)));
    Ok(())
}

fn set<'s>(a: &Args, v: Value<'s>, s: &Scope<'_>) -> Sample<'s> {
    let Some(name) = a.var(0) else { return Sample::Missing };
    let allowed = a.made::<Conditions>(1).copied().unwrap_or_default().hold(name, &v, s);
    if allowed && s.facts.vars.set(name, s.direction, v.clone()) { v.into() } else { Sample::Missing }
}

/// A variable's value as text.
fn text(a: &Args, i: usize, s: &Scope<'_>) -> Option<Bytes<'static>> {
    a.var(i).and_then(|v| s.facts.vars.get(v, s.direction)).map(Value::into_text)
}

/// The same as far as C sees it: to its first NUL.
fn c_text(a: &Args, i: usize, s: &Scope<'_>) -> Option<Bytes<'static>> {
    text(a, i, s).map(until_nul)
}

/// The first argument names a variable.
fn required(args: &mut Args) -> Result<(), String> {
    if args.text(0).is_empty() {
        return Err("missing variable name".into());
    }
    register(args, 0)
}

fn register(args: &mut Args, i: usize) -> Result<(), String> {
    if args.text(i).is_empty() {
        return Ok(());
    }
    let name = String::from_utf8_lossy(args.text(i)).into_owned();
    args.make_var(i).map_err(|_| format!("failed to register variable name '{name}'"))
}

fn concat<'s>(a: &Args, v: Value<'s>, s: &Scope<'_>) -> Sample<'s> {
    let Some(b) = bytes(v) else { return Sample::Missing };
    let mut out = b.into_owned();
    out.extend_from_slice(a.text(0));
    if let Some(t) = c_text(a, 1, s) {
        out.extend_from_slice(&t);
    }
    out.extend_from_slice(a.text(2));
    Value::Str(Cow::Owned(out)).into()
}

fn add_item<'s>(a: &Args, v: Value<'s>, s: &Scope<'_>) -> Sample<'s> {
    let Some(b) = bytes(v) else { return Sample::Missing };
    let var = c_text(a, 1, s).filter(|t| !t.is_empty());
    if var.is_none() && a.text(2).is_empty() {
        return Value::Str(b).into();
    }
    let mut out = b.into_owned();
    if !out.is_empty() {
        out.extend_from_slice(a.text(0));
    }
    out.extend_from_slice(&var.unwrap_or_default());
    out.extend_from_slice(a.text(2));
    Value::Str(Cow::Owned(out)).into()
}

fn check_add_item(args: &mut Args) -> Result<(), String> {
    if args.text(1).is_empty() && args.text(2).is_empty() {
        return Err("one of the optional arguments has to be nonempty".into());
    }
    register(args, 1)
}

/// strcmp(3): the difference of the first bytes that differ; -1 or 1 where one text is the beginning of the other.
fn strcmp<'s>(a: &Args, v: Value<'s>, s: &Scope<'_>) -> Sample<'s> {
    let (Some(b), Some(t)) = (bytes(v), c_text(a, 0, s)) else { return Sample::Missing };
    let differ = b.iter().zip(t.iter()).find(|(x, y)| x != y).map(|(x, y)| i64::from(*x) - i64::from(*y));
    Value::Int(differ.unwrap_or(b.len().cmp(&t.len()) as i64)).into()
}

/// In constant time where the lengths are the same.
fn same<'s>(a: &Args, v: Value<'s>, s: &Scope<'_>) -> Sample<'s> {
    let (Some(b), Some(t)) = (bytes(v), text(a, 0, s)) else { return Sample::Missing };
    let differences = b.iter().zip(t.iter()).fold(0, |d, (x, y)| std::hint::black_box(d | (x ^ y)));
    Value::Bool(b.len() == t.len() && differences == 0).into()
}

/// What `when` asks.
enum Question {
    Stopping,
    Normal,
    Error,
    Forwarded,
    ToApplet,
    Processed,
    Acl(Named),
}

fn check_when(args: &mut Args) -> Result<(), String> {
    let text = args.text(0);
    let (negated, name) = text.strip_prefix(b"!").map_or((false, text), |n| (true, n));
    let question = match name {
        b"stopping" => Question::Stopping,
        b"normal" => Question::Normal,
        b"error" => Question::Error,
        b"forwarded" => Question::Forwarded,
        b"toapplet" => Question::ToApplet,
        b"processed" => Question::Processed,
        b"acl" if args.text(1).is_empty() => {
            return Err("'acl' selector requires an extra argument with the ACL name".into());
        }
        b"acl" => Question::Acl(Named::of(&String::from_utf8_lossy(args.text(1)), false)?),
        _ => {
            return Err(format!(
                "expects a supported keyword among {{stopping,normal,error,forwarded,toapplet,processed,acl}} but got '{}'",
                String::from_utf8_lossy(name)
            ));
        }
    };
    args.0 = vec![Arg::Made(Arc::new((negated, question)))];
    Ok(())
}

fn when<'s>(a: &Args, v: Value<'s>, s: &Scope<'_>) -> Sample<'s> {
    let Some((negated, question)) = a.made::<(bool, Question)>(0) else { return Sample::Missing };
    let f = s.facts;
    // what we answered ourselves went well
    let error = !matches!(f.termination[0], b'-' | b'L') || (500..=599).contains(&f.status) || f.redispatched;
    let forwarded = f.server_id != 0;
    let applet = !forwarded && f.server_name.starts_with('<') && f.server_name != "<NOSRV>";
    let answer = match question {
        Question::Stopping => crate::facts::stopping(),
        Question::Normal => !error,
        Question::Error => error,
        Question::Forwarded => forwarded,
        Question::ToApplet => applet,
        Question::Processed => forwarded || applet,
        Question::Acl(acl) => acl.eval(s) == Verdict::True,
    };
    if answer != *negated { v.into() } else { Sample::Missing }
}

/// `capture-req`, `capture-res`: keeps the value, or fails where there is no place for it.
fn kept<'s>(list: &Captured, args: &Args, v: Value<'s>) -> Sample<'s> {
    let slot = args.int(0).and_then(|n| usize::try_from(n).ok());
    let (Some(slot), Some(text)) = (slot, v.bytes()) else { return Sample::Missing };
    if list.set(slot, text) { v.into() } else { Sample::Missing }
}

/// Rows.
pub const ROWS: &[Convert] = &[
    Convert::new(
        "capture-req",
        Type::Str,
        Type::Str,
        "Keeps the input as a capture of the request.",
        |a, v, s| kept(&s.facts.request_captures, a, v),
    )
    .with(1, &[ArgKind::Int])
    .impure(),
    Convert::new(
        "capture-res",
        Type::Str,
        Type::Str,
        "Keeps the input as a capture of the response.",
        |a, v, s| kept(&s.facts.response_captures, a, v),
    )
    .with(1, &[ArgKind::Int])
    .impure(),
    Convert::new("set-var", Type::Any, Type::Any, "Sets a variable to the input, which goes on.", set)
        .with(1, &[STR, STR, STR, STR, STR])
        .checked(check_set)
        .impure(),
    Convert::new("unset-var", Type::Any, Type::Any, "Unsets a variable; the input goes on.", |a, v, s| {
        if let Some(name) = a.var(0) {
            s.facts.vars.unset(name, s.direction);
        }
        v.into()
    })
    .with(1, &[STR])
    .checked(|a| a.make_var(0))
    .impure(),
    Convert::new("concat", Type::Str, Type::Str, "With a text, a variable and a text behind it.", concat)
        .with(1, &[STR, STR, STR])
        .checked(|a| register(a, 1)),
    Convert::new("add_item", Type::Str, Type::Str, "With a variable and a text as another item.", add_item)
        .with(2, &[STR, STR, STR])
        .checked(check_add_item),
    Convert::new("strcmp", Type::Str, Type::Int, "Compares with a variable, as strcmp(3).", strcmp)
        .with(1, &[STR])
        .checked(required),
    Convert::new("secure_memcmp", Type::Bin, Type::Bool, "Equals a variable, in constant time.", same)
        .with(1, &[STR])
        .checked(required),
    Convert::new("when", Type::Any, Type::Any, "Passes the input if this is so.", when)
        .with(1, &[STR, STR, STR])
        .checked(check_when),
];
