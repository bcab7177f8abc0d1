//! The actions `set-var`, `set-var-fmt` and `unset-var` (manual section 4.4).

use super::action::Action;
use super::cx::RuleCx;
use super::lang::{Expr, Format, Parsing, Scope, Value};
use super::table::{Parsed, Sets};
use portcullis_sample::convert::vars::Conditions;
use portcullis_sample::vars::{VarName, VarScope};

/// What a variable is set to.
#[derive(Debug)]
enum Source {
    Expr(Expr),
    Format(Format),
    /// `unset-var`
    Nothing,
}

/// One action on a variable.
#[derive(Debug)]
pub struct Variable {
    name: VarName,
    conditions: Conditions,
    source: Source,
}

impl Variable {
    /// A sample that gives nothing leaves the variable as it is.
    pub(super) fn run(&self, cx: &RuleCx<'_, '_>) {
        self.apply(&cx.scope());
    }
    /// The same, for what is no stream.
    pub fn apply(&self, scope: &Scope<'_>) {
        let vars = &scope.facts.vars;
        let value = match &self.source {
            Source::Nothing => {
                vars.unset(self.name, scope.direction);
                return;
            }
            Source::Expr(expr) => expr.value(scope),
            Source::Format(format) => Some(Value::str(&format.bytes(scope)).into_owned()),
        };
        if let Some(value) = value
            && self.conditions.hold(self.name, &value, scope)
        {
            vars.set(self.name, scope.direction, value);
        }
    }
}

/// The name in parentheses, and what stands behind it. The action's own word is the last one that was read.
fn named(p: &Parsing<'_, '_, '_>) -> Result<(VarName, Vec<String>), String> {
    const EXPECTS: &str =
        "Expects 'set-var(<var-name>)', 'set-var-fmt(<var-name>)' or 'unset-var(<var-name>)'";
    let word = p.args.at.checked_sub(1).and_then(|at| p.args.words.get(at));
    let word = word.map(|w| w.str().into_owned()).unwrap_or_default();
    let Some((_, inside)) = word.split_once('(') else {
        return Err(format!("invalid or incomplete action '{word}'. {EXPECTS}"));
    };
    let Some(inside) = inside.strip_suffix(')') else {
        return Err(format!("incomplete argument after action '{word}'. {EXPECTS}"));
    };
    let mut parts = inside.split(',').map(str::to_owned);
    let name = parts.next().unwrap_or_default();
    if name.is_empty() {
        return Err("Empty variable name cannot be accepted".into());
    }
    Ok((VarName::parse(name.as_bytes())?, parts.collect()))
}

fn conditions(names: &[String]) -> Result<Conditions, String> {
    names.iter().try_fold(Conditions::empty(), |all, name| Ok(all | Conditions::of(name.as_bytes())?))
}

#[allow(clippy::unnecessary_wraps)] // parsers end with it
fn done(name: VarName, conditions: Conditions, source: Source) -> Result<Parsed, String> {
    let action = Action::Variable(Box::new(Variable { name, conditions, source }));
    Ok(Parsed { action, condition: None })
}

/// One of the three, as a check has it; the word that names it is the last one that was read.
pub(crate) fn of_check(p: &mut Parsing<'_, '_, '_>, keyword: &str) -> Result<Variable, String> {
    let (name, rest) = named(p)?;
    if !matches!(name.scope, VarScope::Proc | VarScope::Sess | VarScope::Check) {
        return Err("invalid variable scope : only 'proc', 'sess' and 'check' are possible here".into());
    }
    let conditions = conditions(&rest)?;
    let source = match keyword {
        "set-var" => Source::Expr(p.expr_here()?),
        "set-var-fmt" => {
            let text = p.want("expects a format")?;
            Source::Format(p.format(text)?)
        }
        _ => Source::Nothing,
    };
    Ok(Variable { name, conditions, source })
}

/// `set-var(<name>[,<cond>...]) <expr>`
pub(super) fn set(p: &mut Parsing<'_, '_, '_>, _: Sets) -> Result<Parsed, String> {
    let (name, rest) = named(p)?;
    let conditions = conditions(&rest)?;
    done(name, conditions, Source::Expr(p.expr_here()?))
}

/// `set-var-fmt(<name>[,<cond>...]) <fmt>`
pub(super) fn set_format(p: &mut Parsing<'_, '_, '_>, _: Sets) -> Result<Parsed, String> {
    let (name, rest) = named(p)?;
    let conditions = conditions(&rest)?;
    let text = p.want("expects a format")?;
    done(name, conditions, Source::Format(p.plain_format(text)?))
}

/// `unset-var(<name>)`
pub(super) fn unset(p: &mut Parsing<'_, '_, '_>, _: Sets) -> Result<Parsed, String> {
    let (name, rest) = named(p)?;
    if !rest.is_empty() {
        return Err("unset-var does not expect parameters after the variable name. Only \"set-var\" and \
                    \"set-var-fmt\" manage conditions"
            .into());
    }
    done(name, Conditions::empty(), Source::Nothing)
}
