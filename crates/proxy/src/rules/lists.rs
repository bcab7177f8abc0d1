//! The actions that change lists and maps: `add-acl`, `del-acl`, `set-map`, `del-map` (manual section 4.4).

use super::action::Action;
use super::cx::RuleCx;
use super::lang::{Format, Parsing};
use super::table::{Parsed, Sets};
use portcullis_sample::pattern::shared::{self, Shared, Which};
use std::sync::{Arc, OnceLock};

/// What is done to the list.
#[derive(Debug)]
enum What {
    /// The key is added, unless it is there.
    Add,
    /// Entries with the key are removed.
    Delete,
    /// Entries with the key get this value; one is added when there is none.
    Set(Format),
}

/// A change of a list.
#[derive(Debug)]
pub struct Change {
    name: String,
    /// The list, found when the rule runs first; nobody reads one that is not there.
    list: OnceLock<Option<Arc<Shared>>>,
    key: Format,
    what: What,
}

impl Change {
    /// Changes the list. What a method refuses as key is left out.
    pub(super) fn run(&self, cx: &RuleCx<'_, '_>) {
        let Some(list) = self.list.get_or_init(|| shared::named(&self.name)) else { return };
        let scope = cx.scope();
        let key = self.key.bytes(&scope);
        match &self.what {
            What::Delete => {
                list.remove(Which::Key(&key));
            }
            What::Add => {
                let _ = list.put(&key, None);
            }
            What::Set(value) => {
                let _ = list.put(&key, Some(&value.bytes(&scope)));
            }
        }
    }
}

/// The list's name in parentheses behind the action's own word, which is the last one that was read.
fn name(p: &Parsing<'_, '_, '_>) -> String {
    let word = p.args.at.checked_sub(1).and_then(|at| p.args.words.get(at));
    let word = word.map(|w| w.str().into_owned()).unwrap_or_default();
    let inside = word.split_once('(').map_or("", |(_, inside)| inside);
    inside.strip_suffix(')').unwrap_or(inside).to_owned()
}

fn format(p: &mut Parsing<'_, '_, '_>, expects: &str) -> Result<Format, String> {
    if p.at_end() {
        return Err(expects.to_owned());
    }
    let word = p.want(expects)?;
    p.plain_format(word)
}

fn one(p: &mut Parsing<'_, '_, '_>, what: What) -> Result<Parsed, String> {
    let name = name(p);
    let key = format(p, "expects exactly 1 arguments")?;
    Ok(done(name, key, what))
}

fn done(name: String, key: Format, what: What) -> Parsed {
    let change = Change { name, list: OnceLock::new(), key, what };
    Parsed { action: Action::List(Box::new(change)), condition: None }
}

/// `add-acl(<file-name>) <key fmt>`
pub(super) fn add_acl(p: &mut Parsing<'_, '_, '_>, _: Sets) -> Result<Parsed, String> {
    one(p, What::Add)
}

/// `del-acl(<file-name>) <key fmt>`
pub(super) fn del_acl(p: &mut Parsing<'_, '_, '_>, _: Sets) -> Result<Parsed, String> {
    one(p, What::Delete)
}

/// `del-map(<map-name>) <key fmt>`
pub(super) fn del_map(p: &mut Parsing<'_, '_, '_>, _: Sets) -> Result<Parsed, String> {
    one(p, What::Delete)
}

/// `set-map(<map-name>) <key fmt> <value fmt>`
pub(super) fn set_map(p: &mut Parsing<'_, '_, '_>, _: Sets) -> Result<Parsed, String> {
    const EXPECTS: &str = "expects exactly 2 arguments";
    let name = name(p);
    let key = format(p, EXPECTS)?;
    let value = format(p, EXPECTS)?;
    Ok(done(name, key, What::Set(value)))
}
