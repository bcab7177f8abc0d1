//! The two ends of an applet as the directions of a stream see them.

use super::Applet;
use crate::http::flow::{Sink, Source};
use crate::worker::Worker;
use portcullis_transport::Buffer;
use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// Where the request's body goes.
pub struct Body<'a>(pub &'a RefCell<Box<dyn Applet>>);

impl Sink for Body<'_> {
    fn poll_send(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>], _: bool) -> Poll<io::Result<usize>> {
        let mut taken = 0;
        for slice in slices.iter().filter(|s| !s.is_empty()) {
            match self.0.borrow_mut().poll_take(cx, slice) {
                Poll::Ready(n) => taken += n.min(slice.len()),
                Poll::Pending => break,
            }
            if taken < slice.len() {
                break;
            }
        }
        if taken > 0 { Poll::Ready(Ok(taken)) } else { Poll::Pending }
    }
}

/// Where the response's body comes from.
pub struct Output<'a> {
    applet: &'a RefCell<Box<dyn Applet>>,
    worker: Rc<Worker>,
    /// What was made and did not fit.
    made: RefCell<Vec<u8>>,
    at: Cell<usize>,
    ended: Cell<bool>,
    queued: Cell<bool>,
}

impl<'a> Output<'a> {
    /// Of this applet.
    #[must_use]
    pub fn new(applet: &'a RefCell<Box<dyn Applet>>, worker: &Rc<Worker>) -> Self {
        Self {
            applet,
            worker: worker.clone(),
            made: RefCell::default(),
            at: Cell::new(0),
            ended: Cell::new(false),
            queued: Cell::new(false),
        }
    }

    /// Lets the applet make as much as the buffer may take, if this turn of the worker has room for it.
    fn make(&self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<()>> {
        let mut queued = self.queued.get();
        let now = self.worker.turn.make(&mut queued, cx.waker());
        self.queued.set(queued);
        if !now {
            return Poll::Pending;
        }
        self.queued.set(false);
        let mut made = self.made.borrow_mut();
        made.clear();
        self.at.set(0);
        while made.len() < room && !self.ended.get() {
            let before = made.len();
            match self.applet.borrow_mut().poll_body(cx, &mut made) {
                Poll::Ready(Ok(more)) => self.ended.set(!more),
                Poll::Ready(Err(_)) => return Poll::Ready(Err(io::Error::other("applet"))),
                Poll::Pending if made.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
            // it works at something longer: that is a piece of its own
            if made.len() == before {
                break;
            }
        }
        if made.is_empty() && !self.ended.get() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl Source for Output<'_> {
    fn poll_readable(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn poll_recv(&self, cx: &mut Context<'_>, into: &mut Buffer) -> Poll<io::Result<usize>> {
        if into.is_empty() {
            into.clear();
        }
        let room = into.capacity() - into.len();
        if self.at.get() >= self.made.borrow().len() && !self.ended.get() {
            ready!(self.make(cx, room))?;
        }
        let made = self.made.borrow();
        let rest = made.get(self.at.get()..).unwrap_or_default();
        let part = rest.get(..room.min(rest.len())).unwrap_or_default();
        into.extend(part);
        self.at.set(self.at.get() + part.len());
        Poll::Ready(Ok(part.len()))
    }
}
