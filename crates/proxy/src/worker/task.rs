//! What every task of a connection holds: its timer and its slot.

use super::Worker;
use super::slots::{Abort, SlotId};
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
        Self { timer, slot: worker.slots.add(), worker: worker.clone() }
    }

    /// A timer and a slot for a task of the worker's own, which nobody ends.
    #[must_use]
    pub fn service(worker: &Rc<Worker>) -> Self {
        let timer = worker.wheel.borrow_mut().add();
        Self { timer, slot: worker.slots.add_service(), worker: worker.clone() }
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
        if let Some(why) = self.worker.slots.aborted(self.slot) {
            return Some(Woken::Aborted(why));
        }
        let deadline = wheel.deadline(self.timer);
        if deadline != Millis::NEVER && self.worker.clock.now() >= deadline {
            return Some(Woken::Late);
        }
        None
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.worker.wheel.borrow_mut().remove(self.timer);
        self.worker.slots.remove(self.slot);
    }
}
