//! What is known of one server's checks, behind its lock: looked at by checks, operators and statistics only.

use super::settings::{CheckSettings, InitState};
use super::status::{Status, Verdict};
use crate::backend::BackendState;
use crate::server::ServerState;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Most bytes of a check's text that are kept.
const MAX_TEXT: usize = 256;

/// Which of a server's two checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    /// `check`
    Health,
    /// `agent-check`
    Agent,
}

/// How a check ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What was found.
    pub status: Status,
    /// The code of the answer, or 0.
    pub code: i64,
    /// A text about it.
    pub text: String,
    /// How long it took, in milliseconds.
    pub duration: u64,
}

impl Outcome {
    /// With a status and a text.
    #[must_use]
    pub fn new(status: Status, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), ..Self::default() }
    }
    /// As log lines tell it.
    #[must_use]
    pub fn reason(&self) -> String {
        let mut out = format!(", reason: {}", self.status.text());
        if self.status.has_code() {
            out.push_str(&format!(", code: {}", self.code));
        }
        if !self.text.is_empty() {
            out.push_str(&format!(", info: \"{}\"", printable(&self.text)));
        }
        // what traffic shows took no time of a check
        if self.status != Status::Analyzed {
            out.push_str(&format!(", check duration: {}ms", self.duration));
        }
        out
    }
}

/// A text between quotation marks: what might end them, and bytes that are no ASCII, by their numbers.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b'"' | b'<' | b'>' | 127.. => out.push_str(&format!("<{b:02X}>")),
            plain => out.push(char::from(plain)),
        }
    }
    out
}

/// One of a server's two checks.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    /// The `server` line asks for it.
    pub configured: bool,
    /// Not switched off by an operator.
    pub enabled: bool,
    /// The server is in maintenance.
    pub paused: bool,
    /// One is under way.
    pub running: bool,
    /// How the last one ended.
    pub last: Outcome,
    /// Did one end?
    pub ended: bool,
    /// What the last one meant.
    pub verdict: Verdict,
    /// 0 to `rise + fall - 1`; up from `rise` on.
    pub health: u32,
    /// `rise`
    pub rise: u32,
    /// `fall`
    pub fall: u32,
}

impl Probe {
    fn new(configured: bool, rise: u32, fall: u32) -> Self {
        let status = if configured { Status::Initializing } else { Status::Unknown };
        let last = Outcome { status, ..Outcome::default() };
        Self { configured, enabled: configured, last, rise, fall, ..Self::default() }
    }
    /// As good as it gets.
    #[must_use]
    pub fn full(&self) -> u32 {
        (self.rise + self.fall).saturating_sub(1)
    }
    /// Does it say that the server works? What is not checked does.
    #[must_use]
    pub fn is_good(&self) -> bool {
        !self.asked() || self.health >= self.rise
    }
    /// Is it configured, and not switched off by an operator?
    #[must_use]
    pub fn asked(&self) -> bool {
        self.configured && self.enabled
    }
    /// May one begin?
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.asked() && !self.paused
    }
    /// A check has passed: one step up.
    pub(crate) fn step_up(&mut self) {
        if self.health < self.full() {
            self.health += 1;
            if self.health >= self.rise {
                self.health = self.full();
            }
        }
    }
    /// A check has failed: one step down; true: it had counted as working.
    pub(crate) fn step_down(&mut self) -> bool {
        let counted = self.health >= self.rise;
        self.health = if counted { self.health - 1 } else { 0 };
        if self.health < self.rise {
            self.health = 0;
        }
        counted
    }
    pub(crate) fn end(&mut self, outcome: Outcome, verdict: Verdict) {
        self.last = outcome;
        if self.last.text.len() > MAX_TEXT {
            let cut = (0..=MAX_TEXT).rev().find(|at| self.last.text.is_char_boundary(*at)).unwrap_or(0);
            self.last.text.truncate(cut);
        }
        self.verdict = verdict;
        self.ended = true;
        self.running = false;
    }
}

/// Where a check goes, as far as `server`, `set server … check-addr` and their kin say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// `addr`, `agent-addr`; none: the server's.
    pub addr: Option<IpAddr>,
    /// `port`, `agent-port`; none: the server's.
    pub port: Option<u16>,
}

/// A server of some backend.
pub(crate) type Link = (Weak<BackendState>, Weak<ServerState>);

/// Everything about one server's checks.
#[derive(Debug, Default)]
pub struct Life {
    /// What the configuration says.
    pub settings: Arc<CheckSettings>,
    /// `check`
    pub check: Probe,
    /// `agent-check`
    pub agent: Probe,
    /// Where the check goes.
    pub target: Target,
    /// Where the agent is.
    pub agent_target: Target,
    /// `agent-send`
    pub agent_send: Vec<u8>,
    /// Failed checks while it was up (`chkfail`).
    pub failed: u64,
    /// Failures seen in traffic (`hanafail`).
    pub observed: u64,
    /// How often it went down (`chkdown`).
    pub downs: u64,
    /// Since when it is down, in milliseconds of the process clock.
    pub(crate) down_since: Option<u64>,
    /// Milliseconds down before that.
    pub(crate) down_total: u64,
    /// The server whose state it follows: its names, and itself.
    pub(crate) tracked: Option<(String, Link)>,
    /// Servers that follow this one.
    pub(crate) trackers: Vec<Link>,
}

impl Life {
    /// Of a new server with these settings.
    #[must_use]
    pub fn new(settings: Arc<CheckSettings>) -> Self {
        let mut life = Self {
            check: Probe::new(settings.check, settings.rise, settings.fall),
            agent: Probe::new(settings.agent, 1, 1),
            target: Target { addr: settings.addr, port: settings.port },
            agent_target: Target { addr: settings.agent_addr.or(settings.addr), port: settings.agent_port },
            agent_send: settings.agent_send.clone().unwrap_or_default(),
            settings,
            ..Self::default()
        };
        life.check.health = life.initial();
        life.agent.health = life.agent.full();
        life
    }
    /// The health to begin with.
    pub(crate) fn initial(&self) -> u32 {
        if !self.check.configured {
            return 0;
        }
        match self.settings.init {
            InitState::FullyUp => self.check.full(),
            // the first check that fails marks it down
            InitState::None | InitState::Up => self.check.rise,
            InitState::Down => self.check.rise.saturating_sub(1),
            InitState::FullyDown => 0,
        }
    }
    /// Does `init-state` say that it begins as one that does not work?
    pub(crate) fn begins_down(&self) -> bool {
        self.check.configured && matches!(self.settings.init, InitState::Down | InitState::FullyDown)
    }
    /// Has an agent marked it down, with no check beside it that could tell otherwise?
    pub(crate) fn is_kept_down(&self) -> bool {
        !self.check.configured && !self.agent.is_good()
    }
    /// One of the two.
    #[must_use]
    pub fn probe(&self, which: Which) -> &Probe {
        match which {
            Which::Health => &self.check,
            Which::Agent => &self.agent,
        }
    }
    /// One of the two.
    pub fn probe_mut(&mut self, which: Which) -> &mut Probe {
        match which {
            Which::Health => &mut self.check,
            Which::Agent => &mut self.agent,
        }
    }
    /// `backend/server` of the one whose state it follows.
    #[must_use]
    pub fn tracked_name(&self) -> Option<&str> {
        self.tracked.as_ref().map(|t| t.0.as_str())
    }
    /// The server whose state it follows.
    #[must_use]
    pub fn tracked(&self) -> Option<Arc<ServerState>> {
        self.tracked.as_ref()?.1.1.upgrade()
    }
    /// Milliseconds that the server was down (`downtime`).
    #[must_use]
    pub fn downtime(&self, now: u64) -> u64 {
        self.down_total + self.down_since.map_or(0, |since| now.saturating_sub(since))
    }
    /// `clear counters all`
    pub fn clear(&mut self) {
        (self.failed, self.observed, self.downs) = (0, 0, 0);
    }
    /// How long after the beginning of a check the next one begins.
    #[must_use]
    pub fn interval(&self, which: Which, up: bool) -> Duration {
        let s = &self.settings;
        if which == Which::Agent {
            return s.agent_inter.unwrap_or(Duration::from_secs(2));
        }
        let probe = &self.check;
        match (up, probe.health) {
            (true, h) if h >= probe.full() => s.inter,
            (false, 0) => s.downinter.unwrap_or(s.inter),
            _ => s.fastinter.unwrap_or(s.inter),
        }
    }
}
