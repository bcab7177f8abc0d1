//! What every task of a connection holds: its timer and its slot.

use super::Worker;
use super::slots::{Abort, Call, SlotId};
use super::story::Story;
use portcullis_transport::conn::{Conn, Seen};
use portcullis_transport::{Millis, TimerId};
use std::rc::Rc;
use std::task::Context;

/// How long (ms) something is waited for before the client is watched meanwhile.
const PATIENCE: u64 = 50;

/// Why a waiting task was woken, other than by its sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The deadline has passed.
    Late,
    /// Somebody wants it to end.
    Aborted(Abort),
}

/// A task's timer and slot; given back on drop.
pub struct Task {
    /// Its worker.
    pub worker: Rc<Worker>,
    /// Its timer.
    pub timer: TimerId,
    /// Its slot.
    pub slot: SlotId,
}

impl Task {
    /// A timer and a slot on this worker.
    #[must_use]
    pub fn new(worker: &Rc<Worker>) -> Self {
        let timer = worker.wheel.borrow_mut().add();
        Self { timer, slot: worker.slots.add(timer), worker: worker.clone() }
    }

    /// A timer and a slot for a task of the worker's own, which nobody ends.
    #[must_use]
    pub fn service(worker: &Rc<Worker>) -> Self {
        let timer = worker.wheel.borrow_mut().add();
        Self { timer, slot: worker.slots.add_service(timer), worker: worker.clone() }
    }

    /// Sets when [`Task::poll_woken`] will say `Late`.
    #[inline]
    pub fn deadline(&self, at: Millis) {
        if self.worker.wheel.borrow_mut().set(self.timer, at) {
            self.worker.timer_changed();
        }
    }

    /// What the client does while somebody else is waited for. One that the reactor does not know yet is looked at only
    /// when this lasts: most answers come sooner than telling the reactor pays.
    #[inline]
    pub fn watch(&self, client: &Conn, cx: &mut Context<'_>) -> Seen {
        if client.is_registered() || self.lasts() { client.poll_peek(cx) } else { Seen::Nothing }
    }

    /// Is it worth it to watch somebody while this waits?
    pub fn lasts(&self) -> bool {
        let now = self.worker.clock.now();
        let (yes, earlier) = self.worker.wheel.borrow_mut().lasts(self.timer, now, PATIENCE);
        if earlier {
            self.worker.timer_changed();
        }
        yes
    }

    /// To be asked by a task before it waits: has its time come, shall it end? Keeps the waker.
    #[inline]
    pub fn poll_woken(&self, cx: &mut Context<'_>) -> Option<Woken> {
        let mut wheel = self.worker.wheel.borrow_mut();
        wheel.set_waker(self.timer, cx.waker());
        match self.worker.slots.call(self.slot) {
            None => {}
            Some(Call::End(why)) => return Some(Woken::Aborted(why)),
            Some(Call::Tell) => self.tell_at(Story::default(), wheel.deadline(self.timer)),
        }
        let deadline = wheel.deadline(self.timer);
        if deadline != Millis::NEVER && self.worker.clock.now() >= deadline {
            return Some(Woken::Late);
        }
        None
    }
}

impl Task {
    /// Does somebody want to know about it? A task that knows more than [`Task::poll_woken`] asks before that, and
    /// [tells](Task::tell).
    #[inline]
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.worker.slots.call(self.slot) == Some(Call::Tell)
    }

    /// Answers who asked.
    #[cold]
    pub fn tell(&self, story: Story) {
        let due = self.worker.wheel.borrow().deadline(self.timer);
        self.tell_at(story, due);
    }

    #[cold]
    fn tell_at(&self, story: Story, due: Millis) {
        self.worker.slots.tell(self.slot, Box::new(Story { due, ..story }));
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.worker.wheel.borrow_mut().remove(self.timer);
        self.worker.slots.remove(self.slot);
    }
}
