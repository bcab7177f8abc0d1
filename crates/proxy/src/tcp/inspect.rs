//! `tcp-response content` in TCP mode: the first bytes of a server are looked at before they go on (manual: tcp-response).

use crate::filter::Chain;
use crate::plan::{Plan, ProxyPlan};
use crate::relay::{Inspect, Ruling, Seen};
use crate::reply::Pages;
use crate::rules::{BodyState, Cursor, Effects, Flow, RuleCx, Rules, Wait, run as run_rules};
use crate::worker::Task;
use portcullis_sample::{Direction, Facts, Payload};
use portcullis_transport::{Conn, Millis};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The backend's rules on one stream's response.
pub struct ResponseRules<'r, 'p> {
    rules: &'p Rules,
    cursor: Cursor,
    stream: Parts<'r, 'p>,
    /// Beside the stream's timeouts: `inspect-delay`.
    timer: Task,
    give_up: Millis,
    /// When rules ask to be called again.
    again: Millis,
    /// How much there was at the last look.
    looked_at: Option<usize>,
}

/// What rules may know and change of a stream.
pub struct Parts<'r, 'p> {
    /// What is known.
    pub facts: &'r mut Facts<'p>,
    /// What rules leave behind.
    pub effects: &'r mut Effects,
    /// The whole configuration.
    pub plan: &'p Arc<Plan>,
    /// The frontend.
    pub front: &'p ProxyPlan,
    /// The filters.
    pub filters: Option<&'r Rc<RefCell<Chain>>>,
    /// The client's connection.
    pub client: &'r Conn,
}

impl<'r, 'p> ResponseRules<'r, 'p> {
    /// For a stream whose server was just reached. None: its backend has no rules.
    pub fn of(back: &'p ProxyPlan, stream: Parts<'r, 'p>, task: &Task) -> Option<Box<Self>> {
        let sets = back.rules.as_deref().filter(|r| !r.tcp_response.is_empty())?;
        let timer = Task::service(&task.worker);
        let now = task.worker.clock.now();
        Some(Box::new(Self {
            rules: &sets.tcp_response,
            cursor: Cursor::default(),
            stream,
            timer,
            give_up: sets.response_delay.map_or(now, |d| now.after(Some(d))),
            again: Millis(0),
            looked_at: None,
        }))
    }

    fn run(&mut self, seen: &Seen<'_>) -> Flow {
        let worker = &self.timer.worker;
        let s = &mut self.stream;
        let last_call = seen.all || worker.clock.now() >= self.give_up;
        let mut cx = RuleCx {
            facts: s.facts,
            random: &worker.random,
            now: worker.clock.now(),
            wall: worker.clock.wall(),
            direction: Direction::Response,
            request: None,
            response: None,
            head_pending: false,
            unread: None,
            request_bytes: None,
            response_bytes: Some(Payload { bytes: seen.bytes, may_grow: !last_call }),
            inspecting: true,
            last_call,
            ext: crate::rules::internal::ext(s.plan),
            line: None,
            log: Some((worker, s.front)),
            pages: Pages { backend: None, frontend: s.front.pages.as_deref().unwrap_or(&super::NO_PAGES) },
            effects: s.effects,
            filters: s.filters.map(|f| &**f),
            limit: worker.buffers.size(),
            body: BodyState::default(),
        };
        run_rules(self.rules, &mut self.cursor, &mut cx)
    }
}

impl Inspect for ResponseRules<'_, '_> {
    fn poll(&mut self, cx: &mut Context<'_>, seen: Seen<'_>) -> Poll<Result<(), Ruling>> {
        let amount = Some(seen.bytes.len() + usize::from(seen.all));
        if self.looked_at == amount && self.timer.worker.clock.now() < self.again {
            self.timer.deadline(self.again);
            if self.timer.poll_woken(cx).is_none() {
                return Poll::Pending;
            }
        }
        self.looked_at = amount;
        loop {
            let flow = self.run(&seen);
            self.stream.effects.client.apply(self.stream.client);
            self.again = match flow {
                Flow::Done | Flow::Accept => return Poll::Ready(Ok(())),
                Flow::Wait(Wait::Data) => self.give_up,
                Flow::Wait(Wait::Turns(_) | Wait::Work(_)) => {
                    cx.waker().wake_by_ref();
                    self.looked_at = None;
                    return Poll::Pending;
                }
                Flow::Wait(Wait::Until(t) | Wait::Body(t, _)) => t,
                Flow::Close => return Poll::Ready(Err(Ruling::Close)),
                _ => return Poll::Ready(Err(Ruling::Reject)),
            };
            self.timer.deadline(self.again);
            if self.timer.poll_woken(cx).is_none() {
                return Poll::Pending;
            }
        }
    }
}
