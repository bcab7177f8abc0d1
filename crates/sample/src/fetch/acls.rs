//! The fetch `acl`: named ACLs as a sample (manual section 7.3.2).

use crate::acl::{Acl, Test, Verdict};
use crate::args::{Arg, ArgKind, Args};
use crate::place::CONSTANT;
use crate::row::{Cursor, Fetch, SampleRows};
use crate::scope::Scope;
use crate::value::{Sample, Type, Value};
use std::sync::{Arc, OnceLock};

/// An ACL that an argument names.
pub(crate) struct Named {
    /// `!` stands in front of it.
    negated: bool,
    acl: Arc<Acl>,
    /// Its tests, once the configuration is complete.
    tests: OnceLock<Vec<Arc<Test>>>,
}

impl Named {
    /// Of this name, as far as ACLs have been read.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn of(name: &str, negated: bool) -> Result<Self, String> {
        let acl = crate::acl::named(name).ok_or_else(|| format!("ACL '{name}' not found"))?;
        Ok(Self { negated, acl, tests: OnceLock::new() })
    }
    fn tests(&self) -> &[Arc<Test>] {
        self.tests.get_or_init(|| self.acl.tests())
    }
    pub(crate) fn eval(&self, scope: &Scope<'_>) -> Verdict {
        let mut verdict = Verdict::False;
        for test in self.tests() {
            match test.eval(scope) {
                Verdict::True => {
                    verdict = Verdict::True;
                    break;
                }
                Verdict::NotYet => verdict = Verdict::NotYet,
                Verdict::False => {}
            }
        }
        if self.negated { !verdict } else { verdict }
    }
}

fn check(args: &mut Args) -> Result<(), String> {
    for arg in &mut args.0 {
        let Arg::Str(text) = &*arg else { continue };
        let shown = String::from_utf8_lossy(text).into_owned();
        let name = shown.strip_prefix('!').unwrap_or(&shown);
        *arg = Arg::Made(Arc::new(Named::of(name, name.len() < shown.len())?));
    }
    Ok(())
}

fn all<'s>(args: &'s Args, scope: &Scope<'s>, _: &mut Cursor) -> Sample<'s> {
    for at in 0..args.len() {
        match args.made::<Named>(at).map(|n| n.eval(scope)) {
            Some(Verdict::True) => {}
            Some(Verdict::NotYet) => return Sample::NotYet,
            _ => return Value::Bool(false).into(),
        }
    }
    Value::Bool(true).into()
}

/// The tests of the ACLs that the arguments name.
pub(crate) fn tests(args: &Args) -> impl Iterator<Item = &Arc<Test>> {
    (0..args.len()).filter_map(|at| args.made::<Named>(at)).flat_map(|named| named.tests())
}

/// Rows.
pub const ROWS: SampleRows = SampleRows {
    fetches: &[Fetch::new("acl", Type::Bool, CONSTANT, "Do all of these ACLs match?", all)
        .with(1, &[ArgKind::Str; 12])
        .checked(check)
        .impure()],
    converters: &[],
    acls: &[],
};
