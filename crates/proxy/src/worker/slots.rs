//! A worker's streams and connections, outside their futures: so that they can be listed, and told to end.

use crate::plan::{Plan, ProxyPlan, ServerPlan};
use crate::process::Process;
use crate::worker::story::Story;
use portcullis_transport::{Millis, Peer, TimerId};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Why a stream is ended from outside. What it shows in the log is in `Outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abort {
    /// An operator asked (`shutdown session`): `K`.
    Killed,
    /// The server went down with `on-marked-down shutdown-sessions`: `D`.
    ServerDown,
    /// A primary server came back with `on-marked-up shutdown-backup-sessions`: `U`.
    ServerUp,
    /// The process ends (`hard-stop-after`, SIGTERM).
    Stopping,
}

impl Abort {
    /// The first character of the termination state.
    #[must_use]
    pub fn letter(self) -> u8 {
        match self {
            Self::Killed | Self::Stopping => b'K',
            Self::ServerDown => b'D',
            Self::ServerUp => b'U',
        }
    }
}

/// What somebody wants of a stream, to be looked at by its task when it is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// It shall end.
    End(Abort),
    /// It shall tell of itself ([`Story`]).
    Tell,
}

/// Handle of a slot: index and generation, so that an old handle never means a newer stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotId {
    /// Which.
    pub index: u32,
    /// Whose.
    pub generation: u32,
}

/// What a listing shows of a connection and the stream on it.
#[derive(Clone, Debug, Default)]
pub struct Info {
    /// The client; none: no connection, but a task of the worker's own.
    pub client: Option<Peer>,
    /// Which of its frontend's addresses it came to ([`ListenerPlan::number`](crate::plan::ListenerPlan)).
    pub listener: u16,
    /// When the connection was accepted.
    pub accepted: Millis,
    /// The stream on it, if there is one.
    pub stream: Option<Stream>,
    /// What it told of itself, if it was asked.
    pub story: Option<Box<Story>>,
}

/// A stream, by indexes into its plan.
#[derive(Clone, Debug)]
pub struct Stream {
    /// The plan that it began with.
    pub plan: Rc<Arc<Plan>>,
    /// When it began.
    pub began: Millis,
    /// The frontend.
    pub frontend: u32,
    /// The backend, once chosen.
    pub backend: Option<u32>,
    /// The slot of the server in the backend, once chosen.
    pub server: Option<u32>,
    /// Requests on the connection, this one included.
    pub request: u32,
}

impl Stream {
    /// The backend that it goes to.
    #[must_use]
    pub fn to(&self) -> Option<&Arc<ProxyPlan>> {
        self.plan.proxies.get(self.backend? as usize)
    }
    /// The server that it is on; one that came after its plan is found in the newest.
    #[must_use]
    pub fn on(&self, process: &Process) -> Option<Arc<ServerPlan>> {
        let (back, slot) = (self.to()?, self.server?);
        let late = || process.newest()?.proxies.get(back.index)?.seat(slot).cloned();
        back.seat(slot).cloned().or_else(late)
    }
}

/// What is known of a connection or stream from outside: one line of the cache, because each request writes it.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Slot {
    generation: u32,
    used: bool,
    /// A task of the worker's own, which neither listings show nor anybody ends.
    service: bool,
    idle: bool,
    call: Option<Call>,
    timer: Option<TimerId>,
    accepted: Millis,
    stream: Option<Stream>,
}

/// What only listings look at.
#[derive(Debug, Default)]
struct Aside {
    client: Option<Peer>,
    listener: u16,
    story: Option<Box<Story>>,
}

const _: () = assert!(size_of::<Slot>() == 64);

/// The slab.
#[derive(Debug, Default)]
pub struct Slots {
    all: RefCell<Vec<Slot>>,
    /// By the same indexes.
    asides: RefCell<Vec<Aside>>,
    free: RefCell<Vec<u32>>,
}

impl Slots {
    /// A slot for a new connection.
    pub fn add(&self, timer: TimerId) -> SlotId {
        self.take(false, timer)
    }
    /// A slot for a task of the worker's own.
    pub fn add_service(&self, timer: TimerId) -> SlotId {
        self.take(true, timer)
    }
    fn take(&self, service: bool, timer: TimerId) -> SlotId {
        let mut all = self.all.borrow_mut();
        let index = self.free.borrow_mut().pop().unwrap_or_else(|| {
            all.push(Slot::default());
            self.asides.borrow_mut().push(Aside::default());
            (all.len() - 1) as u32
        });
        let slot = &mut all[index as usize];
        let generation = slot.generation.wrapping_add(1);
        *slot = Slot { generation, used: true, service, idle: true, timer: Some(timer), ..Slot::default() };
        SlotId { index, generation }
    }
    /// Gives a slot back.
    pub fn remove(&self, id: SlotId) {
        let mut all = self.all.borrow_mut();
        let slot = &mut all[id.index as usize];
        (slot.used, slot.stream) = (false, None);
        self.asides.borrow_mut()[id.index as usize] = Aside::default();
        self.free.borrow_mut().push(id.index);
    }
    /// Is it between two requests? Soft stop ends such connections.
    pub fn set_idle(&self, id: SlotId, idle: bool) {
        self.all.borrow_mut()[id.index as usize].idle = idle;
    }
    /// Whose connection it is.
    pub fn connected(&self, id: SlotId, client: Peer, listener: usize, accepted: Millis) {
        let slot = &mut self.all.borrow_mut()[id.index as usize];
        (slot.accepted, slot.stream) = (accepted, None);
        let aside = Aside { client: Some(client), listener: listener as u16, story: None };
        self.asides.borrow_mut()[id.index as usize] = aside;
    }
    /// A stream begins on it, or ends.
    pub fn set_stream(&self, id: SlotId, stream: Option<Stream>) {
        self.all.borrow_mut()[id.index as usize].stream = stream;
    }
    /// The stream on it goes to this backend, and to this server of it.
    pub fn set_server(&self, id: SlotId, backend: usize, server: Option<u32>) {
        if let Some(s) = &mut self.all.borrow_mut()[id.index as usize].stream {
            (s.backend, s.server) = (Some(backend as u32), server);
        }
    }
    /// What is wanted of it, if something is.
    #[inline]
    #[must_use]
    pub fn call(&self, id: SlotId) -> Option<Call> {
        self.all.borrow()[id.index as usize].call
    }
    /// Asks a stream to end. False: it is gone already.
    pub fn abort(&self, id: SlotId, why: Abort) -> bool {
        match self.all.borrow_mut().get_mut(id.index as usize) {
            Some(s) if s.used && !s.service && s.generation == id.generation => {
                s.call = Some(Call::End(why));
                true
            }
            _ => false,
        }
    }
    /// Asks a stream to tell of itself. Then: the timer to wake it by.
    pub fn ask(&self, id: SlotId) -> Option<TimerId> {
        let mut all = self.all.borrow_mut();
        let slot = all.get_mut(id.index as usize).filter(|s| s.used && s.generation == id.generation)?;
        let asked = slot.call.is_none() && slot.stream.is_some();
        slot.call.get_or_insert(Call::Tell);
        slot.timer.filter(|_| asked)
    }
    /// What a stream was asked for.
    pub fn tell(&self, id: SlotId, story: Box<Story>) {
        let slot = &mut self.all.borrow_mut()[id.index as usize];
        slot.call.take_if(|c| *c == Call::Tell);
        self.asides.borrow_mut()[id.index as usize].story = Some(story);
    }
    /// What is known of one, and what it told, which is known no more.
    #[must_use]
    pub fn heard(&self, id: SlotId) -> Option<Info> {
        let mut all = self.all.borrow_mut();
        let slot = all.get_mut(id.index as usize).filter(|s| s.used && s.generation == id.generation)?;
        slot.call.take_if(|c| *c == Call::Tell);
        let mut info = self.info(id.index as usize, slot);
        info.story = self.asides.borrow_mut().get_mut(id.index as usize)?.story.take();
        Some(info)
    }
    /// Was it asked, and has not answered?
    #[must_use]
    pub fn is_asked(&self, id: SlotId) -> bool {
        let all = self.all.borrow();
        all.get(id.index as usize).is_some_and(|s| {
            s.used && s.generation == id.generation && s.stream.is_some() && s.call == Some(Call::Tell)
        })
    }
    /// Every connection's slot: idle, and what it is about.
    #[must_use]
    pub fn list(&self) -> Vec<(SlotId, bool, Info)> {
        let all = self.all.borrow();
        let used = all.iter().enumerate().filter(|(_, s)| s.used && !s.service);
        used.map(|(i, s)| (SlotId { index: i as u32, generation: s.generation }, s.idle, self.info(i, s)))
            .collect()
    }
    fn info(&self, index: usize, slot: &Slot) -> Info {
        let asides = self.asides.borrow();
        let (client, listener) = asides.get(index).map_or((None, 0), |a| (a.client, a.listener));
        Info { client, listener, accepted: slot.accepted, stream: slot.stream.clone(), story: None }
    }
    /// Those in use of at most `many` slots from index `from` on, and where to go on; none when there are no more.
    #[must_use]
    pub fn list_from(&self, from: u32, many: usize) -> Option<(Vec<SlotId>, u32)> {
        let all = self.all.borrow();
        let part = all.get(from as usize..)?;
        let part = part.get(..many.min(part.len())).filter(|p| !p.is_empty())?;
        let used = part.iter().zip(from..).filter(|(s, _)| s.used);
        let slots = used.map(|(s, index)| SlotId { index, generation: s.generation });
        Some((slots.collect(), from + part.len() as u32))
    }
    /// What one is about, by its index.
    #[must_use]
    pub fn about(&self, index: u32) -> Option<Info> {
        let all = self.all.borrow();
        all.get(index as usize).filter(|s| s.used).map(|slot| self.info(index as usize, slot))
    }
    /// Bytes of one, how many there are, how many of them are in use.
    #[must_use]
    pub fn counts(&self) -> [u64; 3] {
        let size = size_of::<Slot>() + size_of::<Aside>();
        [size as u64, self.all.borrow().len() as u64, self.len() as u64]
    }
    /// How many are in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.borrow().len() - self.free.borrow().len()
    }
    /// None in use?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_s_own_tasks_are_nobody_s_business() {
        let slots = Slots::default();
        let mut wheel = portcullis_transport::Wheel::new(Millis(0));
        let timer = wheel.add();
        let (own, conn) = (slots.add_service(timer), slots.add(timer));
        assert_eq!(slots.list().iter().map(|(id, ..)| *id).collect::<Vec<_>>(), [conn]);
        assert!(!slots.abort(own, Abort::Stopping));
        assert!(slots.abort(conn, Abort::Stopping));
        assert_eq!(slots.call(own), None);
        slots.remove(own);
        let again = slots.add(timer);
        assert!(slots.abort(again, Abort::Killed) && !slots.abort(own, Abort::Killed));
    }
}
