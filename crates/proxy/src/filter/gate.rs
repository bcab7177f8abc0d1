//! Where the bytes of one direction wait for the filters.

use super::{Chain, Pass, Point};
use crate::worker::Task;
use portcullis_sample::Direction;
use portcullis_transport::Millis;
use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll};

/// A filter ended the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

/// The gate of one direction.
pub struct Gate {
    chain: Rc<RefCell<Chain>>,
    direction: Direction,
    /// When the filters are to be asked again; it has a timer of its own beside the stream's timeouts.
    timer: Task,
    until: Millis,
    over: bool,
}

impl Gate {
    /// A gate in front of a direction of a stream with filters.
    #[must_use]
    pub fn new(chain: &Rc<RefCell<Chain>>, task: &Task, direction: Direction) -> Box<Self> {
        chain.borrow_mut().reset(direction);
        let timer = Task::service(&task.worker);
        Box::new(Self { chain: chain.clone(), direction, timer, until: Millis(0), over: false })
    }

    /// How many of these bytes go on now; ready when there is one.
    ///
    /// # Errors
    /// When a filter ends the stream.
    pub fn poll(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Ended>> {
        let worker = &self.timer.worker;
        if worker.clock.now() >= self.until {
            match self.chain.borrow_mut().payload(worker, self.direction, bytes) {
                Pass::Bytes(n) => {
                    self.until = Millis(0);
                    return Poll::Ready(Ok(n));
                }
                Pass::Wait(until) => self.until = until,
                Pass::End => return Poll::Ready(Err(Ended)),
            }
        }
        self.timer.deadline(self.until);
        if self.timer.poll_woken(cx).is_some() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Do bytes wait?
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.until > Millis(0)
    }

    /// The direction's last byte went on.
    pub fn end(&mut self) {
        if !std::mem::replace(&mut self.over, true) {
            self.chain.borrow_mut().tell(&self.timer.worker, self.direction, Point::End);
        }
    }
}
