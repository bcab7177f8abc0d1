//! Variables (manual section 2.8): typed values by scope and name, with the limits of `tune.vars.*`.
//!
//! Names become numbers when the configuration is read. A scope is a short list that its owner drops: `txn`, `req` and
//! `res` belong to a stream, `sess` to a session, `proc` to the process.

use crate::scope::Direction;
use crate::value::Value;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, RwLock};

/// Where a variable lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VarScope {
    /// The process.
    Proc,
    /// The session.
    Sess,
    /// Request and response.
    Txn,
    /// While the request is processed.
    Req,
    /// While the response is processed.
    Res,
    /// A health check.
    Check,
    /// A scope of the stream that this one was made for (`psess`, `ptxn`, `preq`, `pres`); nothing is there without one.
    Parent,
}

/// Names of the scopes.
const SCOPES: [(&str, VarScope); 10] = [
    ("proc", VarScope::Proc),
    ("sess", VarScope::Sess),
    ("txn", VarScope::Txn),
    ("req", VarScope::Req),
    ("res", VarScope::Res),
    ("check", VarScope::Check),
    ("psess", VarScope::Parent),
    ("ptxn", VarScope::Parent),
    ("preq", VarScope::Parent),
    ("pres", VarScope::Parent),
];

/// Stands before the names of checks: a check has no stream, and keeps its variables where a stream has `txn`.
const CHECK: &str = "check:";

/// Marks the variables of a check; no name has this number.
const OF_CHECK: u32 = u32::MAX;

fn own_name(scope: VarScope, name: &str) -> Cow<'_, str> {
    if scope == VarScope::Check { format!("{CHECK}{name}").into() } else { name.into() }
}

/// A variable's name, resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VarName {
    /// Its scope.
    pub scope: VarScope,
    id: u32,
}

static NAMES: LazyLock<RwLock<HashMap<Box<str>, u32>>> = LazyLock::new(RwLock::default);

impl VarName {
    /// Reads `scope.name`.
    ///
    /// # Errors
    /// HAProxy's message.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let shown = String::from_utf8_lossy(text);
        let Some((scope, name)) = shown.split_once('.') else {
            return Err(no_scope(&shown));
        };
        let Some((_, scope)) = SCOPES.iter().find(|(n, _)| *n == scope) else {
            return Err(no_scope(&shown));
        };
        if name.is_empty() {
            return Err(no_scope(&shown));
        }
        if let Some(bad) = name.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))) {
            return Err(format!(
                "invalid syntax at char '{}'",
                name.get(bad..).and_then(|n| n.chars().next()).unwrap_or(' ')
            ));
        }
        let mut names = NAMES.write().map_err(|_| "internal error".to_string())?;
        let next = names.len() as u32;
        let id = *names.entry(own_name(*scope, name).into()).or_insert(next);
        drop(names);
        let this = Self { scope: *scope, id };
        if this.scope == VarScope::Proc {
            declare(id);
        }
        Ok(this)
    }
    /// The name, if somebody has used it before.
    #[must_use]
    pub fn known(text: &[u8]) -> Option<Self> {
        let (scope, name) = std::str::from_utf8(text).ok()?.split_once('.')?;
        let (_, scope) = SCOPES.iter().find(|(n, _)| *n == scope)?;
        let id = *NAMES.read().ok()?.get(&*own_name(*scope, name))?;
        Some(Self { scope: *scope, id })
    }
    /// Does this text begin like a variable's name?
    #[must_use]
    pub fn looks_like(text: &[u8]) -> bool {
        SCOPES.iter().any(|(n, _)| text.strip_prefix(n.as_bytes()).is_some_and(|r| r.first() == Some(&b'.')))
    }
    /// The name as written, without its scope.
    #[must_use]
    pub fn name(&self) -> String {
        let names = NAMES.read();
        names
            .ok()
            .and_then(|n| {
                n.iter().find(|(_, i)| **i == self.id).map(|(n, _)| n.trim_start_matches(CHECK).to_owned())
            })
            .unwrap_or_default()
    }
}

fn no_scope(name: &str) -> String {
    format!(
        "invalid variable name '{name}'. A variable name must start with its scope. The scope can be 'proc', '(p)sess', '(p)txn', '(p)req', '(p)res' or 'check'"
    )
}

/// Limits in bytes (`tune.vars.*-max-size`); 0: none.
#[derive(Debug, Default)]
pub struct Limits {
    /// `tune.vars.check-max-size`
    pub check: AtomicU64,
    /// `tune.vars.global-max-size`
    pub global: AtomicU64,
    /// `tune.vars.proc-max-size`
    pub proc: AtomicU64,
    /// `tune.vars.sess-max-size`
    pub sess: AtomicU64,
    /// `tune.vars.txn-max-size`
    pub txn: AtomicU64,
    /// `tune.vars.reqres-max-size`
    pub reqres: AtomicU64,
}

/// The limits of this process; written when the configuration has been read.
pub static LIMITS: Limits = Limits {
    check: AtomicU64::new(0),
    global: AtomicU64::new(0),
    proc: AtomicU64::new(0),
    sess: AtomicU64::new(0),
    txn: AtomicU64::new(0),
    reqres: AtomicU64::new(0),
};

/// What a variable counts besides its contents, as HAProxy 3.5 has it, so that as many fit into a limit.
const OVERHEAD: u64 = 88;

/// Is this more than a limit allows?
fn over(limit: &AtomicU64, used: u64) -> bool {
    let limit = limit.load(Ordering::Relaxed);
    limit != 0 && used > limit
}

fn size(v: &Value<'_>) -> u64 {
    OVERHEAD + v.bytes().map_or(0, |b| b.len() as u64)
}

/// One scope's variables.
#[derive(Clone, Debug, Default)]
pub struct Store {
    list: Vec<(u32, Value<'static>)>,
    used: u64,
}

impl Store {
    fn get(&self, id: u32) -> Option<&Value<'static>> {
        self.list.iter().find(|(i, _)| *i == id).map(|(_, v)| v)
    }
    /// How many bytes this value would add.
    fn growth(&self, id: u32, v: &Value<'_>) -> i64 {
        size(v) as i64 - self.get(id).map_or(0, size) as i64
    }
    fn set(&mut self, id: u32, v: Value<'static>) {
        self.used = self.used.saturating_add_signed(self.growth(id, &v));
        match self.list.iter_mut().find(|(i, _)| *i == id) {
            Some((_, old)) => *old = v,
            None => self.list.push((id, v)),
        }
    }
    fn unset(&mut self, id: u32) -> bool {
        let Some(at) = self.list.iter().position(|(i, _)| *i == id) else { return false };
        let (_, v) = self.list.swap_remove(at);
        self.used = self.used.saturating_sub(size(&v));
        true
    }
}

/// Process variables: every name that the configuration mentions is there, set or not.
static PROCESS: LazyLock<RwLock<HashMap<u32, Option<Value<'static>>>>> = LazyLock::new(RwLock::default);
static PROCESS_USED: AtomicU64 = AtomicU64::new(0);

fn declare(id: u32) {
    if let Ok(mut p) = PROCESS.write() {
        p.entry(id).or_default();
    }
}

/// Variables of a session, shared by its streams.
#[derive(Clone, Debug, Default)]
pub struct SessionVars(RefCell<Option<Rc<RefCell<Store>>>>);

impl SessionVars {
    fn with<T>(&self, f: impl FnOnce(&Store) -> T) -> Option<T> {
        self.0.borrow().as_ref().map(|s| f(&s.borrow()))
    }
    fn with_mut<T>(&self, f: impl FnOnce(&mut Store) -> T) -> T {
        let mut slot = self.0.borrow_mut();
        f(&mut slot.get_or_insert_default().borrow_mut())
    }
    /// The same variables for another holder. What either sets later, the other sees only if something was set before;
    /// give them back with [`SessionVars::take_from`] when the stream ends.
    #[must_use]
    pub fn share(&self) -> Self {
        Self(RefCell::new(self.0.borrow().clone()))
    }
    /// The same variables for another holder, who sees at once what is set by either.
    #[must_use]
    pub fn shared(&self) -> Self {
        self.0.borrow_mut().get_or_insert_default();
        self.share()
    }
    /// Keeps what a stream has set.
    pub fn take_from(&self, stream: &SessionVars) {
        if let Some(s) = stream.0.borrow().as_ref() {
            *self.0.borrow_mut() = Some(s.clone());
        }
    }
}

/// The variables that a stream sees. Nothing is allocated before one is set.
#[derive(Clone, Debug, Default)]
pub struct Vars {
    /// `sess.`
    pub session: SessionVars,
    own: RefCell<Option<Box<Own>>>,
}

/// The variables of a stream itself.
#[derive(Clone, Debug, Default)]
struct Own {
    txn: Store,
    req: Store,
    res: Store,
}

impl Own {
    /// Those of a scope, if it is there now.
    fn of(&self, scope: VarScope, direction: Direction) -> Option<&Store> {
        match scope {
            VarScope::Txn | VarScope::Check => Some(&self.txn),
            VarScope::Req if direction == Direction::Request => Some(&self.req),
            VarScope::Res if direction == Direction::Response => Some(&self.res),
            _ => None,
        }
    }
    fn of_mut(&mut self, scope: VarScope, direction: Direction) -> Option<&mut Store> {
        match scope {
            VarScope::Txn | VarScope::Check => Some(&mut self.txn),
            VarScope::Req if direction == Direction::Request => Some(&mut self.req),
            VarScope::Res if direction == Direction::Response => Some(&mut self.res),
            _ => None,
        }
    }
}

impl Vars {
    /// Of a stream of this session.
    #[must_use]
    pub fn of(session: &SessionVars) -> Self {
        Self { session: session.share(), ..Self::default() }
    }

    /// Of a health check: the only one that has variables of scope `check`, in the place of `txn`.
    #[must_use]
    pub fn of_check() -> Self {
        let mut own = Own::default();
        own.txn.set(OF_CHECK, Value::Bool(true));
        Self { own: RefCell::new(Some(own.into())), ..Self::default() }
    }
    fn is_check(&self) -> bool {
        self.own.borrow().as_ref().is_some_and(|o| o.txn.get(OF_CHECK).is_some())
    }

    /// The value of a variable; `direction` is what is processed now.
    #[must_use]
    pub fn get(&self, name: VarName, direction: Direction) -> Option<Value<'static>> {
        self.with(name, direction, Clone::clone)
    }

    /// Looks at a variable where it stands.
    pub fn with<T>(
        &self,
        name: VarName,
        direction: Direction,
        f: impl FnOnce(&Value<'static>) -> T,
    ) -> Option<T> {
        match name.scope {
            VarScope::Proc => PROCESS.read().ok()?.get(&name.id)?.as_ref().map(f),
            VarScope::Sess => self.session.with(|s| s.get(name.id).map(f)).flatten(),
            VarScope::Check if !self.is_check() => None,
            _ => self.own.borrow().as_ref()?.of(name.scope, direction)?.get(name.id).map(f),
        }
    }

    /// All that are set in a scope, each with its name without the scope.
    pub fn each(&self, scope: VarScope, direction: Direction, mut f: impl FnMut(&str, &Value<'static>)) {
        let Ok(names) = NAMES.read() else { return };
        let by_id: HashMap<u32, &str> = names.iter().map(|(name, id)| (*id, &**name)).collect();
        let mut show = |id: u32, value: &Value<'static>| {
            if let Some(name) = by_id.get(&id) {
                f(name, value);
            }
        };
        let mut all = |store: &Store| store.list.iter().for_each(|(id, value)| show(*id, value));
        match scope {
            VarScope::Proc => {
                let Ok(process) = PROCESS.read() else { return };
                let mut set: Vec<_> = process.iter().filter_map(|(id, v)| Some((*id, v.as_ref()?))).collect();
                set.sort_unstable_by_key(|(id, _)| *id);
                set.into_iter().for_each(|(id, value)| show(id, value));
            }
            VarScope::Sess => {
                self.session.with(all);
            }
            VarScope::Check => {}
            _ => {
                if let Some(store) = self.own.borrow().as_ref().and_then(|o| o.of(scope, direction)) {
                    all(store);
                }
            }
        }
    }

    /// Is there such a variable, set or not?
    #[must_use]
    pub fn exists(&self, name: VarName, direction: Direction) -> bool {
        name.scope == VarScope::Proc || self.with(name, direction, |_| ()).is_some()
    }

    /// Sets a variable. False: a limit does not allow it, or its scope is not there.
    pub fn set(&self, name: VarName, direction: Direction, value: Value<'_>) -> bool {
        let value = value.into_owned();
        match name.scope {
            VarScope::Proc => set_process(name, value),
            VarScope::Sess => {
                let grown = self.session.with(|s| s.growth(name.id, &value)).unwrap_or(size(&value) as i64);
                self.allowed(grown, 1) && {
                    self.session.with_mut(|s| s.set(name.id, value));
                    true
                }
            }
            VarScope::Check if !self.is_check() => false,
            VarScope::Txn | VarScope::Check => self.put(name, direction, value, 2),
            VarScope::Req | VarScope::Res | VarScope::Parent => self.put(name, direction, value, 3),
        }
    }

    fn put(&self, name: VarName, direction: Direction, value: Value<'static>, depth: u8) -> bool {
        let grown = {
            let mut own = self.own.borrow_mut();
            let Some(store) = own.get_or_insert_default().of(name.scope, direction) else { return false };
            store.growth(name.id, &value)
        };
        let allowed = self.allowed(grown, depth);
        if allowed
            && let Some(store) = self.own.borrow_mut().as_mut().and_then(|o| o.of_mut(name.scope, direction))
        {
            store.set(name.id, value);
        }
        allowed
    }

    /// May so many bytes more be used? Each scope counts those inside it. Depth: 1 sess, 2 txn, 3 req and res.
    fn allowed(&self, grown: i64, depth: u8) -> bool {
        if grown <= 0 {
            return true;
        }
        let grown = grown.unsigned_abs();
        let own = self.own.borrow();
        let (reqres, txn) = own.as_ref().map_or((0, 0), |o| (o.req.used + o.res.used, o.txn.used));
        let txn = reqres + txn;
        let sess = txn + self.session.with(|s| s.used).unwrap_or(0);
        let middle = if self.is_check() { &LIMITS.check } else { &LIMITS.txn };
        !(depth >= 3 && over(&LIMITS.reqres, reqres + grown)
            || depth >= 2 && over(middle, txn + grown)
            || over(&LIMITS.sess, sess + grown)
            || over(&LIMITS.proc, PROCESS_USED.load(Ordering::Relaxed) + sess + grown)
            || over(&LIMITS.global, PROCESS_USED.load(Ordering::Relaxed) + sess + grown))
    }

    /// Unsets a variable; true: it was set.
    pub fn unset(&self, name: VarName, direction: Direction) -> bool {
        match name.scope {
            VarScope::Proc => unset_process(name),
            VarScope::Sess => self.session.0.borrow().as_ref().is_some_and(|s| s.borrow_mut().unset(name.id)),
            VarScope::Check if !self.is_check() => false,
            _ => {
                let mut own = self.own.borrow_mut();
                let store = own.as_mut().and_then(|o| o.of_mut(name.scope, direction));
                store.is_some_and(|s| s.unset(name.id))
            }
        }
    }
}

/// Sets a variable of the process (`set-var proc.x` in `global`, and rules).
pub fn set_process(name: VarName, value: Value<'static>) -> bool {
    let Ok(mut p) = PROCESS.write() else { return false };
    let old = p.get(&name.id).and_then(Option::as_ref).map_or(0, size);
    let used = PROCESS_USED.load(Ordering::Relaxed).saturating_sub(old).saturating_add(size(&value));
    if over(&LIMITS.proc, used) || over(&LIMITS.global, used) {
        return false;
    }
    PROCESS_USED.store(used, Ordering::Relaxed);
    p.insert(name.id, Some(value));
    true
}

/// Unsets a variable of the process.
pub fn unset_process(name: VarName) -> bool {
    let Ok(mut p) = PROCESS.write() else { return false };
    let Some(old) = p.get_mut(&name.id).and_then(Option::take) else { return false };
    PROCESS_USED.fetch_sub(size(&old), Ordering::Relaxed);
    true
}

/// A variable of the process (`get var`).
#[must_use]
pub fn process(name: VarName) -> Option<Value<'static>> {
    if name.scope != VarScope::Proc {
        return None;
    }
    PROCESS.read().ok()?.get(&name.id)?.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_apart_and_directions_too() {
        let session = SessionVars::default();
        let vars = Vars::of(&session);
        let name = |t: &str| VarName::parse(t.as_bytes()).unwrap();
        let (req, res) = (Direction::Request, Direction::Response);
        assert!(vars.set(name("txn.a"), req, Value::Int(1)));
        assert!(vars.set(name("req.a"), req, Value::Int(2)));
        assert!(vars.set(name("sess.a"), req, Value::str(b"three")));
        assert!(!vars.set(name("res.a"), req, Value::Int(4)));
        assert_eq!(vars.get(name("txn.a"), res), Some(Value::Int(1)));
        assert_eq!(vars.get(name("req.a"), res), None);
        session.take_from(&vars.session);
        let next = Vars::of(&session);
        assert_eq!(next.get(name("sess.a"), req), Some(Value::str(b"three")));
        assert_eq!(next.get(name("txn.a"), req), None);
        assert!(next.unset(name("sess.a"), req) && !next.unset(name("sess.a"), req));
        assert!(next.exists(name("proc.z"), req) && process(name("proc.z")).is_none());
        assert!(VarName::parse(b"foo").is_err() && VarName::parse(b"x.y").is_err());
    }

    #[test]
    fn variables_of_a_check_have_a_limit_of_their_own() {
        let name = VarName::parse(b"check.a").unwrap();
        let vars = Vars::of_check();
        LIMITS.check.store(500, Ordering::Relaxed);
        assert!(vars.set(name, Direction::Request, Value::str(&[b'a'; 100])));
        assert!(!vars.set(name, Direction::Request, Value::str(&[b'a'; 600])));
        LIMITS.check.store(0, Ordering::Relaxed);
        assert!(vars.set(name, Direction::Request, Value::str(&[b'a'; 600])));
    }
}
