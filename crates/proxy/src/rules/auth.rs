//! The action `auth` (manual section 4.4): asks for user and password.

use super::action::Action;
use super::cx::RuleCx;
use super::lang::Parsing;
use super::table::{Parsed, Sets};
use crate::reply::Answer;

/// The question: 401 with a challenge for the realm, the backend's name unless the rule has one.
pub(super) fn challenge(realm: Option<&[u8]>, cx: &RuleCx<'_, '_>) -> Answer {
    const FIELD: &[u8] = b"www-authenticate";
    let mut answer = cx.pages.answer(401, &cx.scope());
    answer.head.remove_all(FIELD);
    let mut value = b"Basic realm=\"".to_vec();
    value.extend_from_slice(realm.unwrap_or(cx.facts.backend_name.as_bytes()));
    value.push(b'"');
    answer.head.push(FIELD, &value);
    answer
}

/// `auth [realm <realm>]`
#[allow(clippy::unnecessary_wraps)] // the type of all parsers
pub(super) fn parse(p: &mut Parsing<'_, '_, '_>, _: Sets) -> Result<Parsed, String> {
    let mut realm = None;
    if p.args.words.get(p.args.at + 1).is_some() && p.args.accept("realm") {
        realm = p.args.next().map(|w| w.text.as_slice().into());
    }
    Ok(Parsed { action: Action::Auth(realm), condition: None })
}
