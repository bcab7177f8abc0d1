//! `do-log`: a log line while rules run (manual section 4.4).

use super::action::Action;
use super::cx::RuleCx;
use super::lang::Parsing;
use super::table::{Parsed, Sets};
use crate::outcome::{self, Steps};

/// The action.
#[derive(Debug)]
pub struct DoLog {
    step: Steps,
    /// `profile`
    pub(super) profile: Option<Box<str>>,
}

impl DoLog {
    /// Logs, unless the stream is silent.
    pub(super) fn run(&self, cx: &mut RuleCx<'_, '_>) {
        let Some(to) = cx.log else { return };
        let level = match cx.effects.log_level {
            Some(None) => return,
            Some(level) => level,
            None => None,
        };
        let before = std::mem::replace(&mut cx.facts.log_origin, self.step.origin());
        outcome::log_now(to, &cx.scope(), level, self.step, self.profile.as_deref());
        cx.facts.log_origin = before;
    }
}

/// `do-log [profile <log_profile>]`
pub(super) fn parse(p: &mut Parsing<'_, '_, '_>, set: Sets) -> Result<Parsed, String> {
    let mut profile = None;
    if p.args.accept("profile") {
        let word = p.want("action 'do-log': 'profile' expects argument.")?;
        profile = Some(word.str().as_ref().into());
    }
    let step = match set {
        Sets::TCP_CONNECTION => Steps::TCP_CONNECTION,
        Sets::TCP_SESSION => Steps::TCP_SESSION,
        Sets::TCP_REQUEST => Steps::TCP_REQUEST,
        Sets::TCP_RESPONSE => Steps::TCP_RESPONSE,
        Sets::HTTP_REQUEST => Steps::HTTP_REQUEST,
        Sets::HTTP_RESPONSE => Steps::HTTP_RESPONSE,
        _ => Steps::HTTP_AFTER,
    };
    Ok(Parsed { action: Action::DoLog(Box::new(DoLog { step, profile })), condition: None })
}
