//! The action `auth` (manual section 4.4): asks for user and password.

use super::action::Action;
use super::cx::RuleCx;
use super::lang::{Facts, Parsing, Scope};
use super::table::{Parsed, Sets};
use crate::reply::Answer;
use portcullis_config::Opts;

/// The question: 401 with a challenge for the realm, the backend's name unless the rule has one; 407 to those who use
/// us as their proxy (`option http-use-proxy-header`).
#[must_use]
pub fn challenge(realm: Option<&[u8]>, cx: &RuleCx<'_, '_>) -> Answer {
    let scope = cx.scope();
    let absolute = cx.request.as_deref().is_some_and(|r| !matches!(r.target().first(), Some(b'/' | b'*')));
    let front = super::internal::frontend_at_work(&scope);
    let proxied = absolute && front.is_some_and(|f| f.opts.contains(Opts::HTTP_USE_PROXY_HEADER));
    let (status, field) =
        if proxied { (407, &b"proxy-authenticate"[..]) } else { (401, &b"www-authenticate"[..]) };
    let facts = Facts { status: status.into(), ..cx.facts.clone() };
    let mut answer = cx.pages.answer(status, &Scope { facts: &facts, ..scope });
    answer.head.remove_all(field);
    let mut value = b"Basic realm=\"".to_vec();
    value.extend_from_slice(realm.unwrap_or(cx.facts.backend_name.as_bytes()));
    value.push(b'"');
    answer.head.push(field, &value);
    answer
}

/// `auth [realm <realm>]`
pub(super) fn parse(p: &mut Parsing<'_, '_, '_>, _: Sets) -> Result<Parsed, String> {
    let mut realm = None;
    if p.args.accept("realm") {
        realm = Some(p.want("missing realm value")?.text.as_slice().into());
    }
    Ok(Parsed { action: Action::Auth(realm), condition: None })
}
