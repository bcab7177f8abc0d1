//! Warnings about rules whose place in the file says something else than their order of processing.

use crate::rules::sets::{RuleSets, Rules};
use portcullis_config::{Cx, Place};

/// Kinds of rules in the order in which they are processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// `tcp-request connection`
    Connection,
    /// `tcp-request session`
    Session,
    /// `tcp-request content`
    Content,
    /// `monitor fail`
    Monitor,
    /// `http-request`
    HttpRequest,
    /// `redirect`
    Redirect,
    /// `use_backend`
    UseBackend,
}

const ALL: [Stage; 7] = [
    Stage::Connection,
    Stage::Session,
    Stage::Content,
    Stage::Monitor,
    Stage::HttpRequest,
    Stage::Redirect,
    Stage::UseBackend,
];

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Connection => "a 'tcp-request connection'",
            Self::Session => "a 'tcp-request session'",
            Self::Content => "a 'tcp-request content'",
            Self::Monitor => "a 'monitor fail'",
            Self::HttpRequest => "an 'http-request'",
            Self::Redirect => "a 'redirect'",
            Self::UseBackend => "a 'use_backend'",
        }
    }
}

/// Does the section itself (not its `defaults`) have such rules already?
fn has(sets: &RuleSets, stage: Stage, section: Place) -> bool {
    let own = |rules: &Rules| rules.last().is_some_and(|r| r.place > section);
    match stage {
        Stage::Connection => own(&sets.tcp_connection),
        Stage::Session => own(&sets.tcp_session),
        Stage::Content => own(&sets.tcp_request),
        Stage::Monitor => sets.monitor_fail.last().is_some_and(|g| g.place > section),
        Stage::HttpRequest => own(&sets.http_request),
        Stage::Redirect => own(&sets.redirect),
        Stage::UseBackend => sets.use_backend.list.last().is_some_and(|u| u.place > section),
    }
}

/// Warns if rules of a later stage stand above the one being parsed: the nearest of the later ones is named, as 3.5
/// does (`a 'http-request' rule` for the new one).
pub fn warn(cx: &mut Cx<'_>, stage: Stage) {
    let section = cx.proxy().place;
    let sets: &RuleSets = cx.ext();
    let above = ALL.iter().rev().find(|later| **later > stage && has(sets, **later, section));
    // 3.5 doesn't look for monitor rules
    if let Some(above) = above.filter(|above| **above != Stage::Monitor) {
        let new = stage.name().trim_start_matches("an ").trim_start_matches("a ");
        let message =
            format!("a {new} rule placed after {} rule will still be processed before.", above.name());
        cx.warn(None, message);
    }
}
