//! One row a keyword: parsing, "did you mean", `help`, the `-dK` dumps and the reference pages come from rows.

use crate::cx::Cx;
use crate::diag::Diagnostics;
use crate::model::{Bind, Model, Server};
use crate::word::{Args, Line};
use std::collections::HashMap;

bitflags::bitflags! {
    /// Sections in which a keyword is valid.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Sections: u32 {
        /// `global`
        const GLOBAL = 1;
        /// `defaults`
        const DEFAULTS = 2;
        /// `frontend`
        const FRONTEND = 4;
        /// `listen`
        const LISTEN = 8;
        /// `backend`
        const BACKEND = 16;
        /// frontend side of a proxy: defaults, frontend, listen ("X X X -")
        const FRONT = 2 | 4 | 8;
        /// backend side of a proxy: defaults, listen, backend ("X - X X")
        const BACK = 2 | 8 | 16;
        /// all proxies ("X X X X")
        const PROXY = 2 | 4 | 8 | 16;
        /// all but defaults ("- X X X")
        const NAMED = 4 | 8 | 16;
        /// `userlist`
        const USERLIST = 32;
        /// `peers`
        const PEERS = 64;
        /// `mailers`
        const MAILERS = 128;
        /// `resolvers`
        const RESOLVERS = 256;
        /// `http-errors`
        const HTTP_ERRORS = 512;
        /// `ring`
        const RING = 1024;
        /// `log-forward`
        const LOG_FORWARD = 2048;
        /// `cache`
        const CACHE = 4096;
        /// `fcgi-app`
        const FCGI_APP = 1 << 14;
        /// `crt-store`
        const CRT_STORE = 1 << 15;
        /// `traces`
        const TRACES = 1 << 16;
        /// `acme`
        const ACME = 1 << 17;
        /// `log-profile`
        const LOG_PROFILE = 1 << 18;
        /// `healthcheck`
        const HEALTHCHECK = 1 << 19;
        /// `otel`; HAProxy does not have it.
        const OTEL = 1 << 20;
    }
}

/// What a keyword does.
#[derive(Clone, Copy)]
pub enum Does<F> {
    /// It works: this function parses it (`Cx::alert` and friends report what is wrong).
    Works(F),
    /// Accepted with a notice, for this reason; every such row stands in `docs/no-effect.md`.
    NoEffect(&'static str),
    /// Refused: it belongs to a capability that is not there yet (named).
    NotYet(&'static str),
}

/// One keyword of one kind.
#[derive(Clone, Copy)]
pub struct Row<F: 'static> {
    /// The keyword; may be several words ("timeout client", "option httplog").
    pub name: &'static str,
    /// Sections where it is valid (for options of `bind` and `server`: of the line that carries them).
    pub sections: Sections,
    /// Its arguments as the manual writes them.
    pub args: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Takes the `no` (and `default`) prefix.
    pub negatable: bool,
    /// What it does.
    pub does: Does<F>,
}

/// A keyword of a section: gets its whole line; `cx.negated` tells `no`, `cx.defaulted` tells `default`.
pub type Keyword = Row<fn(&mut Cx<'_>, &Line)>;
/// An option on a `bind` line; the cursor stands behind its name.
pub type BindOption = Row<fn(&mut Cx<'_>, &mut Bind, &mut Args<'_>)>;
/// An option on a `server`, `default-server` or `server-template` line.
pub type ServerOption = Row<fn(&mut Cx<'_>, &mut Server, &mut Args<'_>)>;

/// An option of `server` that works: its name, its arguments, its function, one sentence.
#[macro_export]
macro_rules! server_option {
    ($name:literal, $args:literal, $works:expr, $help:literal) => {
        $crate::ServerOption {
            name: $name,
            sections: $crate::Sections::BACK,
            args: $args,
            help: $help,
            negatable: false,
            does: $crate::Does::Works($works),
        }
    };
}

/// An option of `bind` that works: its name, its arguments, its function, one sentence.
#[macro_export]
macro_rules! bind_option {
    ($name:literal, $args:literal, $works:expr, $help:literal) => {
        $crate::BindOption {
            name: $name,
            sections: $crate::Sections::from_bits_retain(
                $crate::Sections::FRONTEND.bits() | $crate::Sections::LISTEN.bits(),
            ),
            args: $args,
            help: $help,
            negatable: false,
            does: $crate::Does::Works($works),
        }
    };
}

/// A keyword of `global` that works: its name, its arguments, its function, one sentence.
#[macro_export]
macro_rules! global_keyword {
    ($name:literal, $args:literal, $works:expr, $help:literal) => {
        $crate::Keyword {
            name: $name,
            sections: $crate::Sections::GLOBAL,
            args: $args,
            help: $help,
            negatable: false,
            does: $crate::Does::Works($works),
        }
    };
}

/// What a room brings.
#[derive(Clone, Copy, Default)]
pub struct Rows {
    /// Section keywords.
    pub keywords: &'static [Keyword],
    /// `bind` options.
    pub bind: &'static [BindOption],
    /// `server` options.
    pub server: &'static [ServerOption],
    /// Called once when every file has been read: what can only be judged then (names that must exist,
    /// settings that contradict each other, defaults that depend on others).
    pub check: Option<fn(&mut Model, &mut Diagnostics)>,
}

/// All rows of a binary, gathered at the composition root.
#[derive(Clone, Default)]
pub struct Registry {
    /// What each room brought.
    pub rooms: Vec<Rows>,
    /// `server` options by their names.
    server: HashMap<&'static str, &'static ServerOption>,
}

impl Registry {
    /// Of these rooms.
    #[must_use]
    pub fn new(rooms: Vec<Rows>) -> Self {
        let server = rooms.iter().rev().flat_map(|r| r.server.iter().rev()).map(|r| (r.name, r)).collect();
        Self { rooms, server }
    }
    /// The `server` option of this name.
    #[must_use]
    pub fn server_option(&self, name: &str) -> Option<&'static ServerOption> {
        self.server.get(name).copied()
    }
    /// All section keywords.
    pub fn keywords(&self) -> impl Iterator<Item = &'static Keyword> + '_ {
        self.rooms.iter().flat_map(|r| r.keywords)
    }
    /// All `bind` options.
    pub fn bind(&self) -> impl Iterator<Item = &'static BindOption> + '_ {
        self.rooms.iter().flat_map(|r| r.bind)
    }
    /// All `server` options.
    pub fn server(&self) -> impl Iterator<Item = &'static ServerOption> + '_ {
        self.rooms.iter().flat_map(|r| r.server)
    }
}
