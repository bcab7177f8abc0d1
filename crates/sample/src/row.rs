//! Rows of fetches and converters, and the vocabulary that is made of them.

use crate::args::{ArgKind, Args};
use crate::place::Needs;
use crate::scope::Scope;
use crate::value::{Sample, Type, Value};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, RwLock};

/// Where a fetch that has several values (`hdr`) stands; starts as default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The value may be another one once more bytes have come.
    pub grows: bool,
    /// Set by conditions: every value is wanted, first to last. Otherwise a fetch with several gives its usual one.
    pub all: bool,
    /// Free for the fetch: which field.
    pub index: u32,
    /// Free for the fetch: where in it.
    pub offset: u32,
    /// Set by the fetch: calling again with this cursor gives another value.
    pub more: bool,
}

/// Gives the value that the cursor points at.
pub type FetchFn = for<'s> fn(&'s Args, &Scope<'s>, &mut Cursor) -> Sample<'s>;
/// Converts a value that has the row's input type.
pub type ConvertFn = for<'s> fn(&'s Args, Value<'s>, &Scope<'s>) -> Sample<'s>;
/// Judges and prepares arguments once; the message is what follows "… : ".
pub type CheckFn = fn(&mut Args) -> Result<(), String>;

/// Arguments: how many must be there, and their kinds.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// How many at least.
    pub min: usize,
    /// Their kinds.
    pub kinds: &'static [ArgKind],
}

impl Cursor {
    /// At the first of all values.
    #[must_use]
    pub fn each() -> Self {
        Self { all: true, ..Self::default() }
    }
}

/// No arguments.
pub const NO_ARGS: Spec = Spec { min: 0, kinds: &[] };

/// One sample fetch.
#[derive(Clone, Copy)]
pub struct Fetch {
    /// Name.
    pub name: &'static str,
    /// Arguments.
    pub args: Spec,
    /// Output type.
    pub output: Type,
    /// What it needs, and so where it is valid.
    pub needs: Needs,
    /// Depends on the scope's unchanging inputs only: two evaluations in one rule set that changes nothing give the
    /// same value.
    pub pure: bool,
    /// It may take longer than a worker may ([`crate::work`]).
    pub slow: bool,
    /// One sentence.
    pub help: &'static str,
    /// Judges the arguments.
    pub check: Option<CheckFn>,
    /// Gives the value.
    pub eval: FetchFn,
}

impl Fetch {
    /// A row without arguments; see [`Fetch::with`] and [`Fetch::impure`].
    #[must_use]
    pub const fn new(
        name: &'static str,
        output: Type,
        needs: Needs,
        help: &'static str,
        eval: FetchFn,
    ) -> Self {
        Self { name, args: NO_ARGS, output, needs, pure: true, slow: false, help, check: None, eval }
    }
    /// With these arguments.
    #[must_use]
    pub const fn with(mut self, min: usize, kinds: &'static [ArgKind]) -> Self {
        self.args = Spec { min, kinds };
        self
    }
    /// With a check of its arguments.
    #[must_use]
    pub const fn checked(mut self, check: CheckFn) -> Self {
        self.check = Some(check);
        self
    }
    /// May take longer than a worker may.
    #[must_use]
    pub const fn slow(mut self) -> Self {
        self.slow = true;
        self
    }
    /// Not the same at each evaluation.
    #[must_use]
    pub const fn impure(mut self) -> Self {
        self.pure = false;
        self
    }
}

impl Convert {
    /// A row without arguments.
    #[must_use]
    pub const fn new(
        name: &'static str,
        input: Type,
        output: Type,
        help: &'static str,
        eval: ConvertFn,
    ) -> Self {
        Self { name, args: NO_ARGS, input, output, pure: true, help, check: None, eval }
    }
    /// With these arguments.
    #[must_use]
    pub const fn with(mut self, min: usize, kinds: &'static [ArgKind]) -> Self {
        self.args = Spec { min, kinds };
        self
    }
    /// With a check of its arguments.
    #[must_use]
    pub const fn checked(mut self, check: CheckFn) -> Self {
        self.check = Some(check);
        self
    }
    /// Reads or writes more than its input and arguments.
    #[must_use]
    pub const fn impure(mut self) -> Self {
        self.pure = false;
        self
    }
}

/// One converter.
#[derive(Clone, Copy)]
pub struct Convert {
    /// Name.
    pub name: &'static str,
    /// Arguments.
    pub args: Spec,
    /// Input type.
    pub input: Type,
    /// Output type.
    pub output: Type,
    /// It neither changes anything nor depends on more than its input and arguments.
    pub pure: bool,
    /// One sentence.
    pub help: &'static str,
    /// Judges the arguments.
    pub check: Option<CheckFn>,
    /// Converts.
    pub eval: ConvertFn,
}

/// A keyword for conditions only: a fetch with a matching method.
#[derive(Clone, Copy, Debug)]
pub struct AclKeyword {
    /// Name.
    pub name: &'static str,
    /// The fetch.
    pub fetch: &'static str,
    /// The matching method (`-m`).
    pub method: crate::pattern::Method,
}

/// What a room brings.
#[derive(Clone, Copy, Default)]
pub struct SampleRows {
    /// Fetches.
    pub fetches: &'static [Fetch],
    /// Converters.
    pub converters: &'static [Convert],
    /// ACL keywords.
    pub acls: &'static [AclKeyword],
}

/// Every row by name.
#[derive(Default)]
pub struct Vocabulary {
    fetches: HashMap<&'static str, &'static Fetch>,
    converters: HashMap<&'static str, &'static Convert>,
    acls: HashMap<&'static str, &'static AclKeyword>,
}

impl Vocabulary {
    /// Of these rooms; a later row replaces an earlier one of the same name.
    #[must_use]
    pub fn of(rooms: &[SampleRows]) -> Self {
        let mut v = Self::default();
        for r in rooms {
            v.fetches.extend(r.fetches.iter().map(|f| (f.name, f)));
            v.converters.extend(r.converters.iter().map(|c| (c.name, c)));
            v.acls.extend(r.acls.iter().map(|a| (a.name, a)));
        }
        v
    }
    /// The fetch of this name.
    #[must_use]
    pub fn fetch(&self, name: &str) -> Option<&'static Fetch> {
        self.fetches.get(name).copied()
    }
    /// The converter of this name.
    #[must_use]
    pub fn converter(&self, name: &str) -> Option<&'static Convert> {
        self.converters.get(name).copied()
    }
    /// The ACL keyword of this name.
    #[must_use]
    pub fn acl(&self, name: &str) -> Option<&'static AclKeyword> {
        self.acls.get(name).copied()
    }
    /// All fetches, by name.
    #[must_use]
    pub fn fetches(&self) -> Vec<&'static Fetch> {
        let mut all: Vec<_> = self.fetches.values().copied().collect();
        all.sort_by_key(|f| f.name);
        all
    }
    /// All converters, by name.
    #[must_use]
    pub fn converters(&self) -> Vec<&'static Convert> {
        let mut all: Vec<_> = self.converters.values().copied().collect();
        all.sort_by_key(|f| f.name);
        all
    }
    /// All ACL keywords, by name.
    #[must_use]
    pub fn acls(&self) -> Vec<&'static AclKeyword> {
        let mut all: Vec<_> = self.acls.values().copied().collect();
        all.sort_by_key(|f| f.name);
        all
    }
}

static ROOMS: RwLock<Vec<SampleRows>> = RwLock::new(Vec::new());
static VOCABULARY: OnceLock<Arc<Vocabulary>> = OnceLock::new();

/// Adds a room's rows; only the composition root does, before any configuration is read.
pub fn install(rows: SampleRows) {
    if let Ok(mut rooms) = ROOMS.write() {
        rooms.push(rows);
    }
}

/// Every row of this process. It is made at the first call; rows installed later are not in it.
#[must_use]
pub fn vocabulary() -> Arc<Vocabulary> {
    VOCABULARY
        .get_or_init(|| {
            let mut rooms = crate::ROOMS.concat();
            if let Ok(more) = ROOMS.read() {
                rooms.extend(more.iter());
            }
            Arc::new(Vocabulary::of(&rooms))
        })
        .clone()
}
