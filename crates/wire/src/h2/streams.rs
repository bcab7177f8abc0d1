//! The streams of a connection.

use super::priority::USUAL;
use std::collections::VecDeque;

/// A stream, and what its user keeps with it.
#[derive(Debug)]
pub(super) struct Stream<T> {
    pub id: u32,
    /// What may be sent; settings can make it negative (RFC 9113 section 6.9.2).
    pub send: i64,
    /// What the peer may still send.
    pub left: i64,
    /// What it may send at once.
    pub window: u32,
    /// How much of the shared window it has.
    pub extra: u32,
    /// What was consumed and the peer does not know of yet.
    pub debt: u32,
    /// What is to come of a body whose length is known.
    pub body: Option<u64>,
    /// The peer has ended it.
    pub ended: bool,
    /// A final response has begun.
    pub answered: bool,
    /// It was ended here.
    pub done: bool,
    /// It was reset, by one side or the other.
    pub reset: bool,
    /// The reason that its peer has reset it for.
    pub rst_code: Option<u32>,
    /// Its peer has reset it, and has not been told that nothing may follow.
    pub left_by_peer: bool,
    /// Its peer has not looked at it.
    pub refused: bool,
    /// What comes has no body, whatever its head says (HEAD).
    pub bodyless: bool,
    /// It becomes a tunnel if its peer agrees (CONNECT).
    pub connects: bool,
    /// Its user has gone.
    pub gone: bool,
    /// See [`super::priority`].
    pub urgency: u8,
    /// It stands in the queue for room.
    pub queued: bool,
    pub user: T,
}

impl<T: Default> Stream<T> {
    /// A stream with these windows.
    pub fn new(id: u32, send: u32, window: u32) -> Self {
        Self {
            id,
            send: i64::from(send),
            left: i64::from(window),
            window,
            extra: 0,
            debt: 0,
            body: None,
            ended: false,
            answered: false,
            done: false,
            reset: false,
            rst_code: None,
            left_by_peer: false,
            refused: false,
            bodyless: false,
            connects: false,
            gone: false,
            urgency: USUAL,
            queued: false,
            user: T::default(),
        }
    }
}

impl<T> Stream<T> {
    /// Does it count as open (RFC 9113 section 5.1.2)?
    pub fn is_open(&self) -> bool {
        !(self.reset || (self.ended && self.done))
    }
}

/// How many streams that were reset here are remembered, so that what the peer had sent before it knew does no harm.
const REMEMBERED: usize = 64;

/// All of them.
#[derive(Debug)]
pub(super) struct Streams<T> {
    /// In the order of their numbers. Boxed, as one that goes has all behind it moved.
    all: Vec<(u32, Box<Stream<T>>)>,
    forgotten: VecDeque<u32>,
    /// Those that wait for room or for the connection's window, in turn.
    pub queue: VecDeque<u32>,
    /// How many were taken out and not counted yet.
    pub settled: u32,
}

impl<T> Streams<T> {
    pub fn new() -> Self {
        Self { all: Vec::new(), forgotten: VecDeque::new(), queue: VecDeque::new(), settled: 0 }
    }
    pub fn len(&self) -> usize {
        self.all.len()
    }
    pub fn open(&self) -> usize {
        self.all.iter().filter(|(_, s)| s.is_open()).count()
    }
    /// One more, with the highest number so far.
    pub fn push(&mut self, stream: Stream<T>) {
        self.all.push((stream.id, Box::new(stream)));
    }
    fn at(&self, id: u32) -> Option<usize> {
        match self.all.last() {
            Some((last, _)) if *last == id => Some(self.all.len() - 1),
            _ => self.all.binary_search_by_key(&id, |(id, _)| *id).ok(),
        }
    }
    pub fn get(&self, id: u32) -> Option<&Stream<T>> {
        self.all.get(self.at(id)?).map(|(_, s)| &**s)
    }
    pub fn get_mut(&mut self, id: u32) -> Option<&mut Stream<T>> {
        let at = self.at(id)?;
        self.all.get_mut(at).map(|(_, s)| &mut **s)
    }
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream<T>> {
        self.all.iter_mut().map(|(_, s)| &mut **s)
    }
    /// Takes it out if nobody needs it any more.
    pub fn settle(&mut self, id: u32) {
        if let Some(at) = self.at(id)
            && self.all.get(at).is_some_and(|(_, s)| s.gone && !s.is_open())
        {
            self.all.remove(at);
            self.settled += 1;
            if self.all.is_empty() {
                // an idle connection is small
                (self.all, self.queue) = (Vec::new(), VecDeque::new());
            }
        }
    }
    /// It was reset here.
    pub fn remember(&mut self, id: u32) {
        if self.forgotten.len() == REMEMBERED {
            self.forgotten.pop_front();
        }
        self.forgotten.push_back(id);
    }
    pub fn was_reset(&self, id: u32) -> bool {
        self.forgotten.contains(&id)
    }
    /// It waits for room, once, behind all that are as urgent.
    pub fn enqueue(&mut self, id: u32) {
        let Some(s) = self.get_mut(id).filter(|s| !s.queued) else { return };
        s.queued = true;
        let mine = s.urgency;
        let urgency = |id: u32| self.get(id).map_or(USUAL, |s| s.urgency);
        let ahead = self.queue.iter().rev().take_while(|other| urgency(**other) > mine).count();
        self.queue.insert(self.queue.len() - ahead, id);
    }
}
