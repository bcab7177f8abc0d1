//! The configuration read again in place (`reload config`, `reload-mode in-place`): validated as a whole, then followed by this
//! process. What is wrong changes nothing.
//!
//! Everything here is done by the main thread. The configuration is compiled twice: for a process that does not exist, to know all
//! that is wrong with it and to open what it listens on, and then for this one, whose states it finds again.

use crate::confinement::{covered, jailed};
use crate::limits::Limits;
use crate::opener::{Helped, Opener, store};
use crate::options::Options;
use crate::{compose, load};
use portcullis_admin::{Admin, Asker};
use portcullis_config::files::{self, LocalFiles};
use portcullis_config::{Diagnostics, Global, Loaded, Model, Needs, Setting, Severity, render};
use portcullis_proxy::altered::Altered;
use portcullis_proxy::plan::{self, ListenerPlan, Plan};
use portcullis_proxy::start::{self, Bound, Running};
use portcullis_sample::pattern::shared;
use portcullis_sample::users::Userlists;
use portcullis_stats::Vitals;
use portcullis_telemetry::trace;
use portcullis_tls::again;
use portcullis_transport::LocalSockets;
use portcullis_transport::sockets::Sockets;
use portcullis_upkeep::export::Wanted;
use portcullis_upkeep::{Exporter, Force, Upkeep};
use std::collections::{BTreeSet, HashMap};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};

/// The way to have the configuration read again from another thread.
#[derive(Debug)]
pub struct Bell {
    line: UnixStream,
    askers: Sender<Asker>,
}

impl Bell {
    /// Asks the main thread.
    pub fn ring(&self, asker: Asker) {
        // the process ends
        let _ = self.askers.send(asker);
        // full: it was rung already
        let _ = (&self.line).write(b"r");
    }
}

/// The main thread's end of it.
#[derive(Debug)]
pub struct Askers {
    line: UnixStream,
    waiting: Receiver<Asker>,
}

/// Both ends.
///
/// # Errors
/// The system's.
pub fn bell() -> std::io::Result<(Bell, Askers)> {
    let (theirs, mine) = UnixStream::pair()?;
    theirs.set_nonblocking(true)?;
    mine.set_nonblocking(true)?;
    let (askers, waiting) = channel();
    Ok((Bell { line: theirs, askers }, Askers { line: mine, waiting }))
}

impl Askers {
    /// Readable when somebody asks.
    #[must_use]
    pub fn fd(&self) -> &UnixStream {
        &self.line
    }
    /// Who has asked; all of them are answered by one reload.
    #[must_use]
    pub fn all(&self) -> Vec<Asker> {
        while matches!((&self.line).read(&mut [0; 64]), Ok(1..)) {}
        self.waiting.try_iter().collect()
    }
}

/// How often the files are read again because an operator changed something meanwhile.
const MOST_ATTEMPTS: u32 = 10;

/// Why the configuration is not followed.
#[derive(Debug)]
pub enum Refusal {
    /// It is wrong, or something that it needs is not to be had.
    Wrong(String),
    /// A running process cannot do it.
    Fixed(String),
}

impl Refusal {
    /// What is said.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Wrong(text) | Self::Fixed(text) => text,
        }
    }
}

/// What is in force, and what is needed to follow something else.
pub struct Reloader<'o> {
    /// The command line.
    pub options: &'o Options,
    /// The configuration in force.
    pub model: Arc<Model>,
    /// What of it holds as long as the process lives.
    pub settings: Vec<Setting>,
    /// Sockets of the process.
    pub sockets: Arc<LocalSockets>,
    /// What statistics know.
    pub vitals: Arc<Vitals>,
    /// What commands work on.
    pub admin: Option<Arc<Admin>>,
    /// Who keeps certificates fresh.
    pub upkeep: Option<Arc<Upkeep>>,
    /// Who sends what workers tell a collector.
    pub exporter: Option<Arc<Exporter>>,
    /// Who reads files where this process cannot.
    pub opener: Option<Opener>,
    /// Directories of files that can be read; none: all that the user may.
    pub reach: Option<BTreeSet<PathBuf>>,
    /// Plans that were in force, for as long as something uses them.
    pub older: Vec<Weak<Plan>>,
}

/// A configuration that can be followed.
struct Ready {
    loaded: Loaded,
    /// Compiled for a process that does not exist.
    plan: Plan,
    bound: Vec<Bound>,
    /// The plan in force, whose changes at run time are in it.
    before: Arc<Plan>,
    /// Those of the configuration's own servers.
    altered: Altered,
}

impl Reloader<'_> {
    /// Reads the configuration and follows it.
    ///
    /// # Errors
    /// Why not; nothing has changed then.
    pub fn reload(&mut self, running: &mut Running) -> Result<String, Refusal> {
        for _ in 0..MOST_ATTEMPTS {
            shared::begin();
            again::begin(&store(&self.model));
            let done = self.prepare(running).and_then(|ready| self.follow(ready, running));
            if !matches!(done, Ok(Some(_))) {
                shared::roll_back();
                again::roll_back();
            }
            if let Some(done) = done.transpose() {
                return done;
            }
        }
        Err(impossible("servers come and go all the time."))
    }

    /// Everything that reads files, before what opens sockets.
    fn prepare(&self, running: &Running) -> Result<Ready, Refusal> {
        files::forget_named();
        let mut ready = match &self.opener {
            Some(opener) => {
                let seen = opener.look().map_err(|e| {
                    impossible(&format!(
                        "the process that reads files for this confined one does not answer ({e})."
                    ))
                })?;
                files::within(Arc::new(seen), || self.read(running))
            }
            None => confined(&self.model.global).and_then(|()| self.read(running)),
        }?;
        let helped = self.opener.as_ref().map(|opener| Helped { opener, own: &self.sockets });
        let sockets: &dyn Sockets = match &helped {
            Some(helped) => helped,
            None => &*self.sockets,
        };
        ready.bound = start::bind_again(&ready.plan, &running.bound, sockets).map_err(|all| {
            let wrong = Refusal::Wrong(all.iter().map(|text| said(Severity::Alert, text)).collect());
            self.reachable(&ready.loaded.model).err().unwrap_or(wrong)
        })?;
        Ok(ready)
    }

    fn read(&self, running: &Running) -> Result<Ready, Refusal> {
        let mut loaded = load::again(self.options, &self.settings, &LocalFiles)
            .map_err(|text| Refusal::Wrong(said(Severity::Alert, &text)))?;
        loaded.model.global.maxconn = self.model.global.maxconn;
        self.reachable(&loaded.model)?;
        if !loaded.fixed.is_empty() {
            return Err(fixed(&loaded));
        }
        let before = running.process.newest().unwrap_or_else(|| running.plan.clone());
        let altered = running.process.altered.lock().kept(&loaded.model);
        altered.apply(&mut loaded.model, &self.model, &before);
        let limits = Limits { maxconn: self.vitals.hard_maxconn, wanted: 0, automatic: false };
        let nobody = compose::process(&loaded.model, &limits, self.options, false)
            .map_err(|text| Refusal::Wrong(said(Severity::Alert, &text)))?;
        let plan = plan::compile(&loaded.model, &nobody, &mut loaded.diags);
        judge(&loaded)?;
        self.helpers(&loaded.model, &plan, running)?;
        Ok(Ready { loaded, plan, bound: Vec::new(), before, altered })
    }

    /// Is this process confined to less than what the configuration needs?
    fn reachable(&self, model: &Model) -> Result<(), Refusal> {
        let lacking = Needs::of(&model.global).difference(Needs::of(&self.model.global));
        if !lacking.is_empty() {
            return Err(impossible(&format!("the process is confined, without {}.", lacking.names())));
        }
        let Some(reach) = &self.reach else { return Ok(()) };
        let named = files::named();
        match named.read.iter().chain(&named.made).find(|dir| !covered(reach, dir)) {
            None => Ok(()),
            Some(dir) => Err(impossible(&format!(
                "the process is confined to directories that its configuration named when it started, and '{}' is not among \
                 them ('insecure-paths-wanted' admits all).",
                dir.display()
            ))),
        }
    }

    /// Threads and rings that are made when a process starts, if its configuration needs them.
    fn helpers(&self, model: &Model, plan: &Plan, running: &Running) -> Result<(), Refusal> {
        let servers = || plan.proxies.iter().flat_map(|p| &p.servers);
        let programs = servers().any(|s| s.check.as_ref().is_some_and(|c| c.program.is_some()));
        if programs && running.process.programs().is_none() {
            return Err(impossible("the first 'external-check' needs a thread that only a new process has."));
        }
        let hashes = model.ext.get::<Userlists>().is_some_and(|all| all.list.iter().any(|l| l.has_hashes()));
        if hashes && portcullis_sample::work::start().is_err() {
            return Err(impossible("the first hashed password needs a thread that only a new process has."));
        }
        let known = compose::trace_sinks(&running.process);
        if let Some((_, name)) = compose::unknown_sinks(model, &known).next() {
            return Err(Refusal::Wrong(said(
                Severity::Alert,
                &format!("traces: sink '{name}' doesn't exist."),
            )));
        }
        let force =
            Force::new(model, &running.process).map_err(|e| Refusal::Wrong(said(Severity::Alert, &e)))?;
        if force.is_needed() && self.upkeep.is_none() {
            return Err(impossible("the first certificate needs a thread that only a new process has."));
        }
        let wanted =
            Wanted::new(model, &running.process).map_err(|e| Refusal::Wrong(said(Severity::Alert, &e)))?;
        if wanted.is_some() && self.exporter.is_none() {
            return Err(impossible("the first 'otel' section needs a thread that only a new process has."));
        }
        Ok(())
    }

    /// Yields what is to be said; none: servers have come or gone since the files were read.
    fn follow(&mut self, ready: Ready, running: &mut Running) -> Result<Option<String>, Refusal> {
        let Ready { mut loaded, plan: trial, mut bound, before, altered } = ready;
        let process = running.process.clone();
        if process.newest().is_some_and(|newest| !Arc::ptr_eq(&newest, &before)) {
            return Ok(None);
        }
        let mut diags = Diagnostics { files: loaded.diags.files.clone(), ..Diagnostics::default() };
        let mut plan = plan::compile(&loaded.model, &process, &mut diags);
        if diags.failed() {
            // states have begun to follow it
            let _ = plan::compile(&self.model, &process, &mut Diagnostics::default());
            return Err(Refusal::Wrong(render::all(&diags, Severity::Notice, std::process::id())));
        }
        portcullis_proxy::live::switch_again(&mut plan, &before);
        plan.generation = before.generation + 1;
        let plan = Arc::new(plan);
        adopt(&mut bound, &trial, &plan);
        let opened =
            bound.iter().filter(|b| running.bound.iter().all(|o| !Arc::ptr_eq(&o.fd, &b.fd))).count();
        running.follow(&plan, bound).map_err(|e| {
            let _ = plan::compile(&self.model, &process, &mut Diagnostics::default());
            Refusal::Wrong(said(Severity::Alert, &format!("Cannot share the listening sockets : {e}")))
        })?;
        let _ = process.renew(|_| Ok::<_, ()>(plan.clone()));
        shared::commit();
        again::commit(&store(&loaded.model));
        *process.altered.lock() = altered;
        // traces that an operator has begun go on, unless the sections say something else than before
        if let Some(traces) = compose::traces(&loaded.model)
            .filter(|new| compose::traces(&self.model).is_none_or(|old| old != *new))
        {
            trace::with(|t| t.clone_from(traces));
        }
        self.settle(&loaded.model.global, running);
        process.retain(&before, &plan);
        close_changed(running, &before, &plan);
        self.model = Arc::new(std::mem::take(&mut loaded.model));
        match &self.admin {
            Some(admin) => admin.follow(self.model.clone()),
            None => self.vitals.set_model(self.model.clone()),
        }
        if let Some(upkeep) = &self.upkeep
            && let Ok(force) = Force::new(&self.model, &process)
        {
            upkeep.follow(force, &plan);
        }
        if let Some(exporter) = &self.exporter {
            exporter.follow(Wanted::new(&self.model, &process).ok().flatten());
        }
        self.older.push(Arc::downgrade(&before));
        drop(before);
        Ok(Some(self.report(&loaded.diags, &plan, opened)))
    }

    /// What of `global` is changed where it is.
    fn settle(&self, global: &Global, running: &Running) {
        use std::sync::atomic::Ordering::Relaxed;
        let (old, counts) = (&self.model.global, &running.process.counts);
        if old.maxconnrate != global.maxconnrate {
            counts.maxconnrate.store(global.maxconnrate, Relaxed);
        }
        if old.maxsessrate != global.maxsessrate {
            counts.maxsessrate.store(global.maxsessrate, Relaxed);
        }
    }

    fn report(&mut self, diags: &Diagnostics, plan: &Plan, opened: usize) -> String {
        self.older.retain(|p| p.strong_count() > 0);
        let mut text = render::all(diags, Severity::Warning, std::process::id());
        text.push_str(&said(
            Severity::Notice,
            &format!(
                "Configuration {} is in force: {} proxies, {} listeners ({opened} opened). {} older ones are still in use.",
                plan.generation + 1,
                plan.proxies.len(),
                plan.listeners.len(),
                self.older.len()
            ),
        ));
        text
    }
}

/// The sockets are for the listeners of the plan that is followed.
fn adopt(bound: &mut [Bound], trial: &Plan, plan: &Plan) {
    let twins: HashMap<*const ListenerPlan, &Arc<ListenerPlan>> =
        trial.listeners.iter().map(Arc::as_ptr).zip(&plan.listeners).collect();
    for b in bound {
        if let Some(listener) = twins.get(&Arc::as_ptr(&b.listener)) {
            b.listener = Arc::clone(listener);
        }
    }
}

/// Idle connections to servers that are gone or are connected to otherwise now.
fn close_changed(running: &Running, before: &Plan, now: &Plan) {
    for old in &before.proxies {
        let new = now.backends.get(old.name.as_bytes()).and_then(|at| now.proxies.get(*at));
        let Some(state) = &old.state else { continue };
        for server in &old.servers {
            let same = new.is_some_and(|p| {
                p.servers.iter().any(|s| s.name == server.name && s.fingerprint == server.fingerprint)
            });
            if same {
                continue;
            }
            if let Some(gone) = old.state_of(server).or_else(|| state.server(&server.name)) {
                portcullis_proxy::upstream::close_idle(&running.process, &gone);
            }
        }
    }
}

/// Can files be read at all?
fn confined(global: &Global) -> Result<(), Refusal> {
    match jailed(global) {
        false => Ok(()),
        true => Err(impossible(
            "the process is confined ('chroot'), so that it cannot read files any more; one that starts with 'reload-mode in-place' in \
             'global' has another process that reads them for it.",
        )),
    }
}

fn judge(loaded: &Loaded) -> Result<(), Refusal> {
    let refused = loaded.diags.failed() || (load::warned(loaded) && loaded.model.global.zero_warning);
    if !refused {
        return Ok(());
    }
    let mut text = render::all(&loaded.diags, Severity::Notice, std::process::id());
    for f in &loaded.bad_files {
        text.push_str(&said(
            Severity::Alert,
            &format!("config : Error(s) found in configuration file : {f}"),
        ));
    }
    text.push_str(&said(Severity::Alert, "The configuration is not used; what was in force goes on."));
    Err(Refusal::Wrong(text))
}

/// What cannot be changed in a running process.
fn fixed(loaded: &Loaded) -> Refusal {
    let mut text = String::new();
    for s in &loaded.fixed {
        let file = |place: portcullis_config::Place| {
            loaded.diags.files.get(place.file.0 as usize).map_or("?", String::as_str)
        };
        let what = match s.place {
            Some(place) => format!("[{}:{}] : '{}' is new or changed", file(place), place.line, s.text),
            None => format!("'{}' is not there any more", s.text),
        };
        text.push_str(&said(
            Severity::Alert,
            &format!("{what}: '{}' in '{}' is settled when a process starts.", s.keyword, s.section),
        ));
    }
    text.push_str(&way_out());
    Refusal::Fixed(text)
}

fn impossible(why: &str) -> Refusal {
    Refusal::Fixed(format!(
        "{}{}",
        said(Severity::Alert, &format!("Not possible in place: {why}")),
        way_out()
    ))
}

/// What to do instead.
fn way_out() -> String {
    said(
        Severity::Notice,
        "A new process can follow it: 'reload' of the master CLI, SIGUSR2 to the master ('-W'), or a new start with '-sf' and '-x'.",
    )
}

fn said(severity: Severity, text: &str) -> String {
    format!("{} ({}) : {text}\n", render::tag(severity), std::process::id())
}
