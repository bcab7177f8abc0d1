//! What is looked at: the state of every source, and what an event does to it.

use super::source::{Criterion, Level, Source};
use super::{Event, Subject};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Is a source looked at?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// No.
    #[default]
    Stopped,
    /// From the next of its start events on.
    Waiting,
    /// Yes.
    Running,
}

impl Status {
    /// As lists show it.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Stopped => '.',
            Self::Waiting => 'w',
            Self::Running => 'R',
        }
    }
}

/// One source's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Is it looked at?
    pub status: Status,
    /// Events that are shown.
    pub report: u64,
    /// Events that begin it.
    pub start: u64,
    /// Events that end it.
    pub stop: u64,
    /// Events that have it wait for the next beginning.
    pub pause: u64,
    /// Up to which level.
    pub level: Level,
    /// How much is told of an event; 0: `quiet`.
    pub verbosity: u8,
    /// Where to; none: nowhere.
    pub sink: Option<String>,
    /// What it is locked on.
    pub lock: Criterion,
    /// Whom it follows.
    pub follow: Option<Source>,
    /// The first that matched.
    locked: Option<u64>,
    /// Lines that its sink did not take.
    pub lost: u64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            status: Status::Stopped,
            report: u64::MAX,
            start: 0,
            stop: 0,
            pause: 0,
            level: Level::default(),
            verbosity: 1,
            sink: None,
            lock: Criterion::Nothing,
            follow: None,
            locked: None,
            lost: 0,
        }
    }
}

/// Every source's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traces(Vec<State>);

impl Default for Traces {
    fn default() -> Self {
        Self(Source::ALL.iter().map(|_| State::default()).collect())
    }
}

/// What stands for a criterion of an event; none: the event has nothing of that kind.
fn key(criterion: Criterion, s: &Subject<'_>) -> Option<u64> {
    let hash = |parts: &[&str]| {
        let mut hasher = DefaultHasher::new();
        parts.hash(&mut hasher);
        hasher.finish()
    };
    match criterion {
        Criterion::Nothing => None,
        Criterion::Backend => s.backend.map(|b| hash(&[b])),
        Criterion::Check => s.check,
        Criterion::Connection => s.connection,
        Criterion::Frontend => s.frontend.map(|f| hash(&[f])),
        Criterion::Listener => s.listener,
        Criterion::Applet => s.applet,
        Criterion::Server => s.server.map(|n| hash(&[s.backend.unwrap_or_default(), n])),
        Criterion::Session => s.session,
        Criterion::Stream => s.stream,
        Criterion::Thread => Some(s.thread.into()),
    }
}

impl Traces {
    /// This source's.
    #[must_use]
    pub fn of(&self, source: Source) -> &State {
        &self.0[source as usize]
    }
    /// This source's, to be changed.
    pub fn of_mut(&mut self, source: Source) -> &mut State {
        &mut self.0[source as usize]
    }
    /// Sources that are looked at, as bits.
    #[must_use]
    pub fn active(&self) -> u32 {
        let on = |s: &&Source| {
            let state = self.of(**s);
            let own = state.status != Status::Stopped
                && (state.report | state.start | state.stop | state.pause) != 0;
            own || state.follow.is_some_and(|other| self.of(other).status != Status::Stopped)
        };
        Source::ALL.iter().filter(on).map(|s| 1 << *s as u32).sum()
    }
    /// `trace 0`
    pub fn stop_all(&mut self) {
        self.0.iter_mut().for_each(State::stop_now);
    }
    /// A line of this source was lost.
    pub fn lost(&mut self, source: Source) {
        self.of_mut(source).lost += 1;
    }

    /// An event comes: what it changes, and, if it is to be shown, its sink, the verbosity and the level.
    pub(super) fn take(&mut self, event: &Event<'_>) -> Option<(String, u8, Level)> {
        let follows = self.follows(event);
        let state = self.of_mut(event.source);
        let looks = state.looks(event);
        let shown = (looks || follows) && event.level <= state.level && state.report & event.events != 0;
        let told = (state.verbosity, state.level);
        if looks {
            state.after(event.events);
        }
        let sink = state.sink.clone().filter(|_| shown)?;
        Some((sink, told.0, told.1))
    }

    /// Is the event about what the source that is followed is locked on?
    fn follows(&self, event: &Event<'_>) -> bool {
        self.of(event.source).follow.is_some_and(|other| {
            let other = self.of(other);
            other.status == Status::Running
                && other.locked.is_some()
                && key(other.lock, &event.subject) == other.locked
        })
    }
}

impl State {
    /// `stop now`
    pub fn stop_now(&mut self) {
        (self.status, self.locked) = (Status::Stopped, None);
    }
    /// `pause now`
    pub fn pause_now(&mut self) {
        if self.status == Status::Running {
            (self.status, self.locked) = (Status::Waiting, None);
        }
    }
    /// `start now`
    pub fn start_now(&mut self) {
        (self.status, self.locked) = (Status::Running, None);
    }
    /// Waits for the first of its start events, unless it is running.
    pub fn expect(&mut self) {
        if self.status == Status::Stopped {
            self.status = Status::Waiting;
        }
    }
    /// `lock`: what it was locked on is forgotten.
    pub fn lock_on(&mut self, criterion: Criterion) {
        (self.lock, self.locked) = (criterion, None);
    }

    /// Is this event one of those that are looked at? It may begin the looking, and lock it.
    fn looks(&mut self, event: &Event<'_>) -> bool {
        if self.status == Status::Waiting && self.start & event.events != 0 {
            self.status = Status::Running;
        }
        if self.status != Status::Running {
            return false;
        }
        if self.lock == Criterion::Nothing {
            return true;
        }
        let key = key(self.lock, &event.subject);
        match (self.locked, key) {
            (None, Some(_)) => {
                self.locked = key;
                true
            }
            (None, None) => true,
            (locked, key) => locked == key,
        }
    }

    /// Such an event may end it.
    fn after(&mut self, events: u64) {
        if self.stop & events != 0 {
            self.stop_now();
        } else if self.pause & events != 0 {
            self.pause_now();
        }
    }
}
