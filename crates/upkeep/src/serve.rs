//! The thread that keeps certificates fresh, and what others see of it.

use crate::acme::section::Acme;
use crate::acme::state::Directory;
use crate::acme::{self, Job, Jobs, Revocation, Surroundings};
use crate::client::{Client, Settings};
use crate::log::Log;
use crate::ocsp::{self, Entry, Question, Status, Table};
use parking_lot::{Mutex, RwLock};
use portcullis_config::Model;
use portcullis_proxy::plan::Plan;
use portcullis_proxy::process::Process;
use portcullis_telemetry::log::{Level, Loggers, Ring};
use portcullis_tls::connector;
use portcullis_tls::ocsp::Unusable;
use portcullis_tls::settings::{Conf, GlobalTls, ServerTls, Verify};
use portcullis_tls::store::{Certificate, Draft, Slot};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Bytes of the events for who sets records of the DNS.
const EVENTS: usize = 256 * 1024;

/// The events for who sets records of the DNS.
fn events(process: &Process) -> Arc<Ring> {
    process.sinks.events("dpapi", "DPAPI ring buffer", EVENTS)
}

/// What of a configuration this room needs.
pub struct Force {
    global: GlobalTls,
    acme: Acme,
    /// `state-dir`, by section.
    kept: BTreeMap<String, Directory>,
    client: Arc<Client>,
    loggers: Loggers,
}

impl Force {
    /// Of a model.
    ///
    /// # Errors
    /// A log target that cannot be opened, or settings of TLS that do not fit.
    pub fn new(model: &Model, process: &Arc<Process>) -> Result<Self, String> {
        let global = model.global.ext.get::<GlobalTls>().cloned().unwrap_or_default();
        let settings = model.global.ext.get::<Settings>().cloned().unwrap_or_default();
        let loggers = loggers(model, process)?;
        let connector = match settings.no_verify || settings.ca.is_some() {
            true => Some(connect(&global, &settings)?),
            false => None,
        };
        let client = Arc::new(Client { process: process.clone(), settings, connector });
        let acme = model.global.ext.get::<Acme>().cloned().unwrap_or_default();
        if !acme.sections.is_empty() {
            events(process);
        }
        let mut kept = BTreeMap::new();
        for section in &acme.sections {
            if let Some(dir) = &section.state_dir {
                let open =
                    Directory::open(dir).map_err(|e| format!("'state-dir {dir}' cannot be opened: {e}"))?;
                kept.insert(section.name.clone(), open);
            }
        }
        Ok(Self { global, acme, kept, client, loggers })
    }

    /// Is there something to look after?
    #[must_use]
    pub fn is_needed(&self) -> bool {
        !self.global.store.lock().certificates.is_empty()
    }
}

/// The targets of `global`.
pub(crate) fn loggers(model: &Model, process: &Process) -> Result<Loggers, String> {
    let logs = &model.global.logs;
    Loggers::new(&process.sinks, logs, logs, None)
        .map_err(|e| format!("a log target of 'global' cannot be opened: {}", e.1))
}

/// TLS to servers, as a model says.
pub(crate) fn connector(model: &Model, settings: &Settings) -> Result<connector::Connector, String> {
    connect(&model.global.ext.get::<GlobalTls>().cloned().unwrap_or_default(), settings)
}

/// TLS to servers.
fn connect(global: &GlobalTls, settings: &Settings) -> Result<connector::Connector, String> {
    let verify = Some(if settings.no_verify { Verify::None } else { Verify::Required });
    let conf = Conf { verify, ca: settings.ca.clone(), ..Conf::default() };
    let tls = ServerTls { ssl: true, conf, ..ServerTls::default() };
    connector::compile(global, &tls).map_err(|e| e.replace("{}", "the HTTP client"))
}

/// What looks after certificates.
pub struct Upkeep {
    process: Arc<Process>,
    force: RwLock<Arc<Force>>,
    ocsp: Mutex<Table>,
    jobs: Arc<Mutex<Jobs>>,
    log: Log,
    wake: Notify,
    renew: Notify,
    told: Arc<Notify>,
}

impl Upkeep {
    /// For a process; nothing is done before [`Upkeep::serve`].
    #[must_use]
    pub fn new(process: &Arc<Process>, force: Force) -> Arc<Self> {
        Arc::new(Self {
            process: process.clone(),
            force: RwLock::new(Arc::new(force)),
            ocsp: Mutex::default(),
            jobs: Arc::default(),
            log: Log::new(process),
            wake: Notify::new(),
            renew: Notify::new(),
            told: Arc::default(),
        })
    }

    /// Begins, on a thread of its own that ends with the process.
    ///
    /// # Errors
    /// When the thread cannot be made.
    pub fn serve(self: &Arc<Self>, plan: &Plan) -> io::Result<()> {
        self.refresh(plan);
        let upkeep = self.clone();
        std::thread::Builder::new().name("upkeep".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, async { tokio::join!(upkeep.fetch(), upkeep.clone().renew()) });
            Ok::<_, io::Error>(())
        })?;
        Ok(())
    }

    /// Another configuration is in force.
    pub fn follow(&self, force: Force, plan: &Plan) {
        *self.force.write() = Arc::new(force);
        self.refresh(plan);
    }

    /// Certificates have changed.
    pub fn refresh(&self, plan: &Plan) {
        let force = self.force.read().clone();
        self.ocsp.lock().gather(plan, &force.global, self.now());
        self.wake.notify_one();
        let store = force.global.store.lock();
        self.jobs.lock().gather(store.certificates.values(), force.acme.by_hand);
        drop(store);
        self.renew.notify_one();
    }

    /// `acme renew`: a certificate is renewed now. False: it is none of an authority's, or is being renewed.
    #[must_use]
    pub fn renew_now(&self, name: &str) -> bool {
        let found = self.jobs.lock().hurry(name, Revocation::None);
        self.renew.notify_one();
        found
    }

    /// `acme revoke`: likewise, and the one that is there now is revoked before.
    #[must_use]
    pub fn revoke_now(&self, name: &str) -> bool {
        let found = self.jobs.lock().hurry(name, Revocation::Wanted);
        self.renew.notify_one();
        found
    }

    /// `acme challenge_ready`: a record is there. How many are still waited for; none: nobody waits for it.
    #[must_use]
    pub fn record_is_there(&self, name: &str, domain: &str) -> Option<usize> {
        let left = self.jobs.lock().ready(name, domain);
        self.told.notify_waiters();
        left
    }

    /// Works on what is known of certificates that authorities issue.
    pub fn issued<T>(&self, work: impl FnOnce(&Jobs) -> T) -> T {
        work(&self.jobs.lock())
    }

    /// `update ssl ocsp-response`: a response is fetched now.
    pub fn fetch_now(&self, id: Vec<u8>, slot: &Arc<Slot<Certificate>>, responder: String) {
        self.ocsp.lock().hurry(id, slot, responder, self.now());
        self.wake.notify_one();
    }

    /// Works on what is known of responses.
    pub fn responses<T>(&self, work: impl FnOnce(&Table) -> T) -> T {
        work(&self.ocsp.lock())
    }

    fn now(&self) -> i64 {
        i64::try_from(self.process.clock.wall().as_secs()).unwrap_or(i64::MAX)
    }

    /// Fetches responses as they become due.
    async fn fetch(&self) {
        loop {
            let first = self.ocsp.lock().first();
            let now = self.now();
            match first {
                Some((id, at)) if at <= now => self.update(&id).await,
                due => {
                    // clocks may be set: look again from time to time
                    let wait = due.map_or(3600, |(_, at)| (at - now).clamp(1, 3600));
                    let wait = Duration::from_secs(wait.unsigned_abs());
                    let _ = tokio::time::timeout(wait, self.wake.notified()).await;
                }
            }
        }
    }

    /// Renews certificates as their time comes, each in a task of its own.
    async fn renew(self: Arc<Self>) {
        loop {
            let now = self.now();
            for job in self.jobs.lock().take(now) {
                tokio::task::spawn_local(self.clone().issue(job));
            }
            let wait = self.jobs.lock().first().map_or(3600, |at| (at - now).clamp(1, 3600));
            let wait = Duration::from_secs(wait.unsigned_abs());
            let _ = tokio::time::timeout(wait, self.renew.notified()).await;
        }
    }

    async fn issue(self: Arc<Self>, job: Job) {
        let force = self.force.read().clone();
        let name = job.slot.name.to_string();
        let upkeep = self.clone();
        let around = Surroundings {
            client: force.client.clone(),
            jobs: self.jobs.clone(),
            told: self.told.clone(),
            say: Box::new(move |text| {
                let force = upkeep.force.read().clone();
                upkeep.log.line(&force.loggers, Level::Notice, text);
            }),
            events: events(&self.process),
            now: self.now(),
        };
        (around.say)(&format!("acme: {name}: Starting update of the certificate."));
        let done = match force.acme.section(&job.section) {
            Some(section) => acme::issue(&job, section, &around).await,
            None => Err(format!("there is no section '{}'", job.section)),
        };
        let done = done.and_then(|draft| self.put_in_force(&force, &job, &draft));
        let wait = self.jobs.lock().done(&name, self.now(), force.acme.by_hand, done.is_ok());
        let (level, text) = match done {
            Ok(()) => (Level::Notice, format!("acme: {name}: Successful update of the certificate.")),
            Err(why) => (Level::Err, format!("acme: {name}: {why}. Next try in {wait} s.")),
        };
        self.log.line(&force.loggers, level, &text);
        self.renew.notify_one();
    }

    /// Clients get the new certificate from now on.
    fn put_in_force(&self, force: &Force, job: &Job, draft: &Draft) -> Result<(), String> {
        let made = draft.finish(&job.slot.name)?;
        let store = force.global.store.lock();
        job.slot.set(made);
        drop(store);
        if let Some(Err(e)) = force.kept.get(&job.section).map(|dir| dir.keep(&job.slot.name, draft)) {
            let text = format!("acme: {}: the certificate cannot be kept: {e}", job.slot.name);
            self.log.line(&force.loggers, Level::Err, &text);
        }
        events(&self.process)
            .note(self.process.clock.wall(), format!("acme newcert {}\n", job.slot.name).as_bytes());
        if let Some(plan) = self.process.newest() {
            plan.acceptors().iter().filter(|a| a.instances(&job.slot) > 0).for_each(|a| a.refresh());
            self.ocsp.lock().gather(&plan, &force.global, self.now());
            self.wake.notify_one();
        }
        Ok(())
    }

    async fn update(&self, id: &[u8]) {
        let force = self.force.read().clone();
        let Some(entry) = self.ocsp.lock().get(id).cloned() else { return };
        let question = Question::new(&entry.responder, id);
        let answer = question.ask(&force.client, &force.global.ocsp).await;
        let outcome = match &answer {
            Ok(answer) => ocsp::of_answer(answer).and_then(|r| self.put(&force, &entry, id, r)),
            Err(_) => Err(Status::Http),
        };
        let Some(entry) = self.ocsp.lock().done(id, &force.global.ocsp, self.now(), outcome) else { return };
        let text = format!(
            "<OCSP-UPDATE> {} {} \"{}\" {} {}",
            entry.path,
            entry.status.code(),
            entry.status.text(),
            entry.failures,
            entry.successes
        );
        self.log.line(&force.loggers, Level::Notice, &text);
        let request = format!("{} {}", question.method(), question.url);
        match &answer {
            Ok(answer) => self.log.answered(&force.loggers, "OCSP-UPDATE", &request, answer),
            Err(failed) => self.log.failed(&force.loggers, "OCSP-UPDATE", &request, failed),
        }
    }

    /// All certificates that a response is about answer with it, if it may be used.
    fn put(&self, force: &Force, entry: &Entry, id: &[u8], response: &[u8]) -> Result<i64, Status> {
        let store = force.global.store.lock();
        let mut outcome = Err(Status::Unknown);
        for slot in &entry.slots {
            let certificate = slot.get();
            // it may be another one by now
            if certificate.ocsp_id().as_deref() != Some(id) {
                continue;
            }
            let verified = certificate.verify_response(response, self.now()).map_err(Unusable::Check);
            let stapled = verified.and_then(|()| store.staple(slot, response).map_err(Unusable::Insertion));
            outcome = stapled.map_err(Status::Unusable);
            if outcome.is_err() {
                break;
            }
        }
        outcome
    }
}
