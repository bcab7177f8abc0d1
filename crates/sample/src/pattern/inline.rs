//! Patterns that stand in the configuration itself. Each test has a list of them with a number and no name, which the Runtime
//! API lists and changes as it does with files. What a test compares with is compiled into it; once its list is changed it
//! looks at the list instead. As long as nobody changes any, that costs a test one load of a static.

use super::shared::{How, Shared, View};
use crate::names::At;
use parking_lot::{Mutex, RwLock};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

static ANY_CHANGED: AtomicBool = AtomicBool::new(false);
/// Which were changed, by [`Inline::born`].
static CHANGED: RwLock<Vec<u32>> = RwLock::new(Vec::new());

/// Was any list changed whose patterns stand in the configuration?
#[inline]
#[must_use]
pub fn any_changed() -> bool {
    ANY_CHANGED.load(Ordering::Relaxed)
}

/// Shows [`Inline::born`] of all that were changed.
pub fn each_changed(f: impl FnMut(u32)) {
    CHANGED.read().iter().copied().for_each(f);
}

/// Notes that a list will be changed.
pub(super) fn changing(born: u32) {
    let known = || CHANGED.read().contains(&born);
    if any_changed() && known() {
        return;
    }
    CHANGED.write().push(born);
    ANY_CHANGED.store(true, Ordering::Release);
}

/// Tells whether a list is the same as another.
pub(super) fn source(keyword: &str, how: How, patterns: &[Box<[u8]>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (keyword, how, patterns).hash(&mut hasher);
    hasher.finish()
}

/// The patterns of one test.
#[derive(Debug)]
pub struct Inline {
    /// Lists have these in the order in which they were made.
    pub born: u32,
    /// Its number in `show acl`, once it has one.
    pub(super) number: OnceLock<u32>,
    keyword: Box<str>,
    at: Mutex<At>,
    how: How,
    patterns: Box<[Box<[u8]>]>,
    list: OnceLock<View>,
}

impl Inline {
    /// Patterns of a test with this keyword that is being read; `number`: the one that `-u` gives.
    #[must_use]
    pub(super) fn new(
        born: u32,
        number: Option<u32>,
        keyword: &str,
        how: How,
        patterns: Vec<Box<[u8]>>,
    ) -> Self {
        super::tally::added(patterns.len());
        Self {
            born,
            number: number.map(OnceLock::from).unwrap_or_default(),
            keyword: keyword.into(),
            at: Mutex::new(crate::names::at()),
            how,
            patterns: patterns.into(),
            list: OnceLock::new(),
        }
    }
    /// Is it the same test of the same patterns?
    pub(super) fn same(&self, keyword: &str, how: How, patterns: &[Box<[u8]>]) -> bool {
        *self.keyword == *keyword && self.how == how && *self.patterns == *patterns
    }
    /// [`source`] of this one.
    pub(super) fn source(&self) -> u64 {
        source(&self.keyword, self.how, &self.patterns)
    }
    /// It is in this place now.
    pub(super) fn moved(&self, at: At) {
        *self.at.lock() = at;
    }
    /// What it says about itself in listings.
    #[must_use]
    pub fn description(&self) -> String {
        format!("acl '{}' {}", self.keyword, self.at.lock())
    }
    /// The current version, the one that was prepared last, and how many entries there are.
    #[must_use]
    pub fn state(&self) -> (u32, u32, usize) {
        match self.list.get() {
            Some(view) => {
                let (current, next) = view.list().versions();
                (current, next, view.list().count())
            }
            None => (0, 0, self.patterns.len()),
        }
    }
    /// The list that commands look at and change; made when it is asked for first.
    #[must_use]
    pub fn list(&self) -> Arc<Shared> {
        self.list.get_or_init(|| Shared::of_patterns(self.born, self.how, &self.patterns)).list().clone()
    }
    /// What the test looks at instead of its compiled patterns.
    #[must_use]
    pub(super) fn changed(&self) -> Option<&View> {
        self.list.get()
    }
}
