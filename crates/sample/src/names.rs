//! Names in arguments that can be judged only when everything has been read: userlists, proxies, servers.
//!
//! Rules are parsed on one thread; what is parsed now ([`parsing`]) and the names that were seen are that thread's.

use crate::users::{Group, Userlist};
use portcullis_config::Place;
use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

/// What a name must be the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A userlist.
    Userlist,
    /// A proxy with a client side.
    Frontend,
    /// A proxy with a server side.
    Backend,
    /// `backend/server`, or a server of the own backend.
    Server,
}

/// What is being parsed.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The line.
    pub place: Place,
    /// The file's name.
    pub file: String,
    /// Name of the proxy.
    pub proxy: String,
    /// How messages call expressions of this rule set.
    pub rule: &'static str,
    /// A test is being read; its ACL's name, empty for an anonymous one.
    pub acl: Option<String>,
}

/// A name that was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What it must name.
    pub kind: Kind,
    /// The name; empty: none was given.
    pub name: String,
    /// The fetch.
    pub keyword: &'static str,
    /// Where.
    pub context: Context,
    /// The userlist, once it is known.
    pub found: Arc<OnceLock<Arc<Userlist>>>,
    /// Groups that must be in the userlist.
    pub groups: Option<Vec<Group>>,
}

thread_local! {
    static CONTEXT: RefCell<Context> = RefCell::default();
    static SEEN: RefCell<Vec<Seen>> = const { RefCell::new(Vec::new()) };
}

/// Says what is parsed from now on.
pub fn parsing(context: Context) {
    CONTEXT.set(context);
}

/// A test of this ACL is read from now on (`None`: no longer).
pub fn acl(name: Option<String>) {
    CONTEXT.with_borrow_mut(|c| c.acl = name);
}

/// A line of the configuration as lists say where they are used: "file 'x' line 3".
#[derive(Clone, Debug)]
pub struct At {
    file: Arc<str>,
    line: u32,
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "file '{}' line {}", self.file, self.line)
    }
}

/// The line that is being parsed, as lists show it.
pub(crate) fn at() -> At {
    thread_local! {
        static FILE: RefCell<Arc<str>> = RefCell::new("".into());
    }
    let (name, line) = CONTEXT.with_borrow(|c| (c.file.clone(), c.place.line));
    let file = FILE.with_borrow_mut(|file| {
        if **file != *name {
            *file = name.into();
        }
        file.clone()
    });
    At { file, line }
}

/// The line that is being parsed.
pub(crate) fn place() -> Place {
    CONTEXT.with_borrow(|c| c.place)
}

/// Notes a name.
pub fn note(kind: Kind, name: &[u8], keyword: &'static str) -> Arc<OnceLock<Arc<Userlist>>> {
    let found = Arc::new(OnceLock::new());
    let seen = Seen {
        kind,
        name: String::from_utf8_lossy(name).into_owned(),
        keyword,
        context: CONTEXT.with_borrow(Clone::clone),
        found: found.clone(),
        groups: None,
    };
    SEEN.with_borrow_mut(|all| all.push(seen));
    found
}

/// The groups that the test which was read last looks for.
pub(crate) fn groups(groups: impl Iterator<Item = Group>) {
    SEEN.with_borrow_mut(|all| {
        if let Some(last) = all.last_mut() {
            last.groups = Some(groups.collect());
        }
    });
}

/// All names that were seen on this thread since the last call.
#[must_use]
pub fn take() -> Vec<Seen> {
    SEEN.take()
}

impl Seen {
    /// What messages say about the place of the argument.
    #[must_use]
    pub fn described(&self) -> String {
        let Context { proxy, rule, acl, .. } = &self.context;
        match acl {
            Some(_) => format!("in arg 1 of ACL keyword '{}' in proxy '{proxy}'", self.keyword),
            None => format!(
                "in arg 1 of sample fetch keyword '{}' in {rule} expression in proxy '{proxy}'",
                self.keyword
            ),
        }
    }
}
