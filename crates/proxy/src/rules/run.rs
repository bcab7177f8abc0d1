//! The interpreter: runs a rule set until it is over or has to wait.

use super::action::{Action, Delay, Rule, Side};
use super::cx::{Cursor, Flow, RuleCx, Wait};
use super::lang::{Direction, Expr, Verdict};
use super::rewrite;
use super::sets::Rules;
use crate::explain::{self, Observer};
use crate::reply::{Answer, Spec, codes};
use portcullis_message::{Head, Version};
use portcullis_sample::work;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// What one action came to.
enum Step {
    /// On to the next rule.
    Next,
    /// The rule set is over, or waits.
    End(Flow),
    /// A rewrite was not possible.
    Failed,
}

/// Runs the rules from the cursor on.
pub fn run(rules: &Rules, cursor: &mut Cursor, cx: &mut RuleCx<'_, '_>) -> Flow {
    match explain::observer() {
        None => run_observed(rules, cursor, cx, &mut ()),
        Some(mut observer) => run_observed(rules, cursor, cx, &mut observer),
    }
}

fn run_observed<O: Observer>(
    rules: &Rules,
    cursor: &mut Cursor,
    cx: &mut RuleCx<'_, '_>,
    observer: &mut O,
) -> Flow {
    let mut hint = None;
    cx.facts.waiting = None;
    let flow = loop {
        if !cursor.entered {
            cursor.index = rules.jumps.skip(cursor.index, &cx.scope());
        }
        let Some(rule) = rules.list.get(cursor.index) else { break Flow::Done };
        if hint.is_some() && !matches!(rule.action, Action::EarlyHint(..)) {
            cx.effects.hints.extend(hint.take());
        }
        if !cursor.entered {
            let verdict = match &rule.condition {
                None => Verdict::True,
                Some(condition) if condition.program().slow() => {
                    let (verdict, pending) = work::waiting(|| condition.eval_watched(&cx.scope(), observer));
                    if let Some(pending) = pending {
                        break Flow::Wait(Wait::Work(pending));
                    }
                    verdict
                }
                Some(condition) => condition.eval_watched(&cx.scope(), observer),
            };
            observer.judged(rule.place, verdict);
            match verdict {
                Verdict::True => {}
                Verdict::NotYet if cx.inspecting && !cx.last_call => break Flow::Wait(Wait::Data),
                Verdict::False | Verdict::NotYet => {
                    cursor.index += 1;
                    continue;
                }
            }
        }
        if !rule.slow.is_empty() && !cursor.entered {
            let scope = cx.scope();
            let evaluate = || rule.slow.iter().for_each(|e| drop(e.eval(&scope)));
            if let ((), Some(pending)) = work::waiting(evaluate) {
                break Flow::Wait(Wait::Work(pending));
            }
        }
        // a capture waits for what it captures
        if let Action::Capture(capture) = &rule.action
            && cx.inspecting
            && !cx.last_call
            && capture.is_waiting(cx)
        {
            break Flow::Wait(Wait::Data);
        }
        observer.before(cx);
        // what an action asks for is what there is
        let last_call = std::mem::replace(&mut cx.last_call, true);
        let mut step = execute(&rule.action, cursor, cx, &mut hint);
        cx.last_call = last_call;
        observer.after(cx);
        if rule.action.is_final() {
            note_last(rule, &mut step, cx);
        }
        match step {
            Step::Next => {}
            Step::End(flow) => break flow,
            Step::Failed if cursor.lax => cx.effects.failed_rewrites += 1,
            Step::Failed => {
                cx.effects.failed_rewrites += 1;
                break Flow::Failed(page(500, REFUSED, cx));
            }
        }
        *cursor = Cursor { index: cursor.index + 1, lax: cursor.lax, ..Cursor::default() };
    };
    cx.effects.hints.extend(hint);
    if matches!(flow, Flow::Wait(_)) {
        cx.facts.waiting = rules.list.get(cursor.index).map(|r| r.place);
    }
    if matches!(flow, Flow::Wait(Wait::Data)) {
        // with more of the contents here all rules are evaluated anew (manual section 4.2, tcp-request content)
        *cursor = Cursor::default();
    }
    flow
}

/// Notes where a final rule stands that has ended its set (`last_rule_line`): at once, or once what it answers has been sent.
fn note_last(rule: &Rule, step: &mut Step, cx: &mut RuleCx<'_, '_>) {
    match step {
        Step::End(Flow::Return(answer) | Flow::Redirect(answer)) => {
            answer.rule = rule.action.is_noted().then_some(rule.place);
        }
        Step::End(_) => cx.facts.last_rule = Some(rule.place),
        Step::Next | Step::Failed => {}
    }
}

/// How a stream ends when a rule on its request, or on its response, ends it: cause and phase.
type Ends = [[u8; 2]; 2];
const REFUSED: Ends = [*b"PR", *b"PH"];
const TARPITTED: Ends = [*b"PT"; 2];
const ANSWERED: Ends = [*b"LR", *b"LH"];
const LATE: Ends = [*b"cR", *b"sH"];

/// An answer; its formats see its status as what the client gets, and how the stream ends with it.
fn answer(spec: &Spec, ends: Ends, cx: &mut RuleCx<'_, '_>) -> Box<Answer> {
    Box::new(cx.ending(spec.status, ends, |cx| spec.answer(cx.pages, &cx.scope())))
}

/// The error page of a status.
fn page(status: u16, ends: Ends, cx: &mut RuleCx<'_, '_>) -> Box<Answer> {
    Box::new(cx.ending(status, ends, |cx| cx.pages.answer(status, &cx.scope())))
}

/// What is answered when the request's target cannot be normalized.
pub(super) fn malformed(cx: &mut RuleCx<'_, '_>) -> Box<Answer> {
    page(400, REFUSED, cx)
}

fn ok(done: bool) -> Step {
    if done { Step::Next } else { Step::Failed }
}

fn execute(action: &Action, cursor: &mut Cursor, cx: &mut RuleCx<'_, '_>, hint: &mut Option<Head>) -> Step {
    match action {
        Action::Accept => Step::End(Flow::Accept),
        Action::SwitchMode(proto) => Step::End(Flow::SwitchMode(*proto)),
        Action::Reject => Step::End(Flow::Reject),
        Action::Close => Step::End(Flow::Close),
        Action::Deny(spec) => Step::End(Flow::Deny(answer(spec, REFUSED, cx))),
        Action::Tarpit(spec) => Step::End(Flow::Tarpit(answer(spec, TARPITTED, cx))),
        Action::Return(spec) => Step::End(Flow::Return(answer(spec, ANSWERED, cx))),
        Action::Service(service) => Step::End(Flow::Service(service)),
        Action::Auth(realm) => {
            Step::End(Flow::Return(Box::new(super::auth::challenge(realm.as_deref(), cx))))
        }
        Action::List(change) => {
            change.run(cx);
            Step::Next
        }
        Action::Redirect(redirect) => match redirect.answer(cx.request.as_deref(), &cx.scope()) {
            Some(answer) => Step::End(Flow::Redirect(Box::new(answer))),
            None => Step::Next,
        },
        Action::ExpectProxy => {
            cx.effects.expect_proxy = true;
            Step::Next
        }
        Action::ExpectNetscalerCip => {
            cx.effects.expect_netscaler_cip = true;
            Step::Next
        }
        Action::SetHeader(name, format) => ok(rewrite::set_header(cx, name, format)),
        Action::AddHeader(name, format) => ok(rewrite::add_header(cx, name, format)),
        Action::DelHeader(name) => ok(rewrite::del_header(cx, name)),
        Action::DoLog(log) => {
            log.run(cx);
            Step::Next
        }
        Action::DoResolve(resolve) => resolve.run(cursor, cx).map_or(Step::Next, Step::End),
        Action::HeadersBin(change) => ok(change.run(cx)),
        Action::ReplaceHeader { name, values, regex, with } => {
            ok(rewrite::replace_header(cx, name, *values, regex, with))
        }
        Action::ReplaceTarget { part, regex, with } => ok(rewrite::replace_target(cx, *part, regex, with)),
        Action::Normalize(how) => match super::normalize::run(*how, cx) {
            Ok(done) => ok(done),
            Err(flow) => Step::End(flow),
        },
        Action::SetMethod(format) => ok(rewrite::set_method(cx, format)),
        Action::SetTarget(part, format) => ok(rewrite::set_target(cx, *part, format)),
        Action::SetStatus(status, reason) => {
            let done = rewrite::set_status(cx, *status, reason.as_deref());
            if done {
                cx.facts.status = (*status).into();
            }
            ok(done)
        }
        Action::SetLogLevel(level) => {
            cx.effects.log_level = Some(*level);
            Step::Next
        }
        Action::StrictMode(strict) => {
            cursor.lax = !strict;
            Step::Next
        }
        Action::DisableL7Retry => {
            cx.effects.no_l7_retry = true;
            Step::Next
        }
        Action::Nice(turns) if *turns > 0 && !cursor.entered => {
            cursor.entered = true;
            Step::End(Flow::Wait(Wait::Turns(*turns)))
        }
        Action::Nice(_) => Step::Next,
        Action::Pause(delay) => pause(delay, cursor, cx),
        Action::SetTimeout(which, delay) => {
            if let Some(time) = evaluate(delay, cx) {
                cx.facts.set_timeout(*which, time);
            }
            Step::Next
        }
        Action::WaitForHandshake => wait_for_handshake(cursor, cx),
        Action::WaitForBody { time, at_least, large } => {
            wait_for_body(*time, (*at_least, *large), cursor, cx)
        }
        Action::EarlyHint(name, format) => {
            let value = format.bytes(&cx.scope());
            if cx.request.as_ref().is_some_and(|r| r.version >= Version::HTTP_11) {
                let head = hint.get_or_insert_with(|| {
                    let mut head = Head::default();
                    head.set_response(Version::HTTP_11, 103, codes::reason(103).as_bytes());
                    head
                });
                head.push(name, &value);
            }
            Step::Next
        }
        Action::Variable(variable) => {
            variable.run(cx);
            Step::Next
        }
        Action::Attach(attach) => {
            attach.run(cx);
            Step::Next
        }
        Action::Setting(setting) => {
            setting.run(cx);
            Step::Next
        }
        Action::LimitBandwidth(limit) => {
            limit.run(cx);
            Step::Next
        }
        Action::SilentDrop(ttl) => Step::End(super::socket::drop_silently(*ttl, cx)),
        Action::Capture(capture) => {
            capture.run(cx);
            Step::Next
        }
        Action::SetAddress(side, expr) => {
            set_address(*side, expr, cx);
            Step::Next
        }
        Action::SetPort(side, expr) => {
            set_port(*side, expr, cx);
            Step::Next
        }
    }
}

/// A time in milliseconds; what is not a positive number gives none.
fn evaluate(delay: &Delay, cx: &RuleCx<'_, '_>) -> Option<Duration> {
    match delay {
        Delay::Fixed(time) => Some(*time),
        Delay::Expr(expr) => expr
            .integer(&cx.scope())
            .and_then(|n| u64::try_from(n).ok())
            .filter(|n| *n > 0)
            .map(Duration::from_millis),
    }
}

fn pause(delay: &Delay, cursor: &mut Cursor, cx: &RuleCx<'_, '_>) -> Step {
    let deadline = match cursor.deadline {
        Some(deadline) => deadline,
        None => match evaluate(delay, cx) {
            Some(time) => cx.now.after(Some(time)),
            None => return Step::Next,
        },
    };
    if cx.now >= deadline {
        return Step::Next;
    }
    (cursor.entered, cursor.deadline) = (true, Some(deadline));
    Step::End(Flow::Wait(Wait::Until(deadline)))
}

/// Who looks at the client's connection meanwhile brings its handshake on.
fn wait_for_handshake(cursor: &mut Cursor, cx: &mut RuleCx<'_, '_>) -> Step {
    const LOOK_AGAIN: Duration = Duration::from_millis(3);
    const PATIENCE: Duration = Duration::from_secs(10);
    if !cx.facts.frontend_tls.as_ref().is_some_and(|i| i.is_early()) {
        return Step::Next;
    }
    let deadline = cursor.deadline.unwrap_or_else(|| cx.now.after(Some(PATIENCE)));
    if cx.now >= deadline {
        return Step::End(Flow::Deny(page(425, REFUSED, cx)));
    }
    (cursor.entered, cursor.deadline) = (true, Some(deadline));
    Step::End(Flow::Wait(Wait::Until(cx.now.after(Some(LOOK_AGAIN)))))
}

fn wait_for_body(
    time: Duration,
    (at_least, large): (u64, usize),
    cursor: &mut Cursor,
    cx: &mut RuleCx<'_, '_>,
) -> Step {
    let body = cx.body;
    let full = body.full && body.room >= large;
    if body.complete || full || (at_least > 0 && body.received >= at_least) {
        return Step::Next;
    }
    let deadline = cursor.deadline.unwrap_or_else(|| cx.now.after(Some(time)));
    if cx.now >= deadline {
        let status = if cx.direction == Direction::Request { 408 } else { 504 };
        return Step::End(Flow::BodyTimeout(page(status, LATE, cx)));
    }
    (cursor.entered, cursor.deadline) = (true, Some(deadline));
    Step::End(Flow::Wait(Wait::Body(deadline, large)))
}

/// The address of a side as rules see it now.
fn address(side: Side, cx: &RuleCx<'_, '_>) -> Option<SocketAddr> {
    match side {
        Side::Source => cx.facts.source(),
        Side::Destination => cx.facts.destination(),
    }
}

fn store(side: Side, address: SocketAddr, cx: &mut RuleCx<'_, '_>) {
    match side {
        Side::Source => cx.facts.altered.get_or_insert_default().source = Some(address),
        Side::Destination => cx.facts.altered.get_or_insert_default().destination = Some(address),
    }
}

fn set_address(side: Side, expr: &Expr, cx: &mut RuleCx<'_, '_>) {
    let Some(ip) = expr.address(&cx.scope()) else { return };
    let port = address(side, cx).map_or(0, |a| a.port());
    store(side, SocketAddr::new(ip, port), cx);
}

fn set_port(side: Side, expr: &Expr, cx: &mut RuleCx<'_, '_>) {
    let Some(port) = expr.integer(&cx.scope()) else { return };
    let ip = address(side, cx).map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |a| a.ip());
    // 3.5 takes the lower 16 bits
    store(side, SocketAddr::new(ip, port as u16), cx);
}

/// Does one of the `monitor fail` conditions say so?
#[must_use]
pub fn monitor_fails(guards: &[super::sets::Guard], cx: &RuleCx<'_, '_>) -> bool {
    guards.iter().any(|g| g.condition.eval(&cx.scope()) == Verdict::True)
}

/// The answer to a request for `monitor-uri`: 200, or 503 when monitoring fails.
#[must_use]
pub fn monitor_answer(guards: &[super::sets::Guard], cx: &RuleCx<'_, '_>) -> Answer {
    cx.pages.answer(if monitor_fails(guards, cx) { 503 } else { 200 }, &cx.scope())
}
