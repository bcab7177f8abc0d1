//! Certificates that an authority issues over ACME (RFC 8555, manual section 12.8).
//!
//! A certificate with `acme` has a [`Job`]: it is renewed ahead of its end, or when somebody says so. A renewal is a task of its
//! own on the upkeep thread: [`session`] speaks to the authority, [`challenge`] shows that names are ours.

pub mod account;
pub mod challenge;
pub mod section;
pub mod session;
pub mod state;

use crate::client::Client;
use challenge::Task;
use parking_lot::Mutex;
use portcullis_telemetry::log::Ring;
use portcullis_tls::keys;
use portcullis_tls::store::{Certificate, Draft, Key, Slot, certificates};
use section::{Challenge, Section};
use session::{Reply, Session, Speaker};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

/// Seconds that the first failure is waited for; each further one doubles them.
const PATIENCE: i64 = 60;
/// Longest wait.
const MOST_PATIENCE: i64 = 12 * 3600;
/// How long records are waited for that somebody has to set; orders do not last longer as a rule.
const MOST_RECORDS: Duration = Duration::from_secs(7 * 86_400);
/// How long before its end a certificate without a beginning is renewed.
const WEEK: i64 = 7 * 86_400;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running,
    /// It will.
    Scheduled,
    /// Nobody starts it but an operator (`acme.scheduler off`).
    Stopped,
}

impl State {
    /// As `acme status` shows it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Scheduled => "Scheduled",
            Self::Stopped => "Stopped",
        }
    }
}

/// Whether the certificate that is there is revoked before there is another one (`acme revoke`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Revocation {
    /// It is not.
    #[default]
    None,
    /// It shall be.
    Wanted,
    /// It has been; its key is not used again.
    Done,
}

/// A certificate that an authority issues.
#[derive(Clone, Debug)]
pub struct Job {
    /// The certificate.
    pub slot: Arc<Slot<Certificate>>,
    /// Its section.
    pub section: String,
    /// Where it stands.
    pub state: State,
    /// When it is renewed next.
    pub next: i64,
    /// Whether it is revoked before.
    pub revocation: Revocation,
    /// Failures since it was renewed last.
    row: u32,
}

/// All of them, by name of the certificate.
#[derive(Debug, Default)]
pub struct Jobs {
    all: BTreeMap<String, Job>,
    /// Names that somebody has said to be ready (`acme challenge_ready`), with their certificates.
    ready: BTreeSet<(String, String)>,
    /// Names whose records are waited for.
    waiting: BTreeSet<(String, String)>,
}

/// When a certificate is to be renewed.
#[must_use]
pub fn due(certificate: &Certificate) -> i64 {
    let Some((from, to)) = certificate.validity() else { return 0 };
    if from == i64::MIN { to - WEEK } else { to - (to - from) / 12 }
}

impl Jobs {
    /// Looks at which certificates there are; what runs goes on.
    pub fn gather<'s>(&mut self, slots: impl Iterator<Item = &'s Arc<Slot<Certificate>>>, by_hand: bool) {
        let old = std::mem::take(&mut self.all);
        for slot in slots {
            let certificate = slot.get();
            let Some(section) = certificate.load.acme.clone() else { continue };
            let state = if by_hand { State::Stopped } else { State::Scheduled };
            let (next, revocation) = (due(&certificate), Revocation::None);
            let new = Job { slot: slot.clone(), section, state, next, revocation, row: 0 };
            let known =
                old.get(&*slot.name).filter(|j| j.state == State::Running || j.row > 0 || j.next == 0);
            let job =
                known.map_or(new.clone(), |j| Job { slot: slot.clone(), section: new.section, ..j.clone() });
            self.all.insert(slot.name.to_string(), job);
        }
    }

    /// When something is to be done next.
    #[must_use]
    pub fn first(&self) -> Option<i64> {
        self.all.values().filter(|j| j.state == State::Scheduled).map(|j| j.next).min()
    }

    /// Those whose time has come; they run from now on.
    pub fn take(&mut self, now: i64) -> Vec<Job> {
        let due = self.all.values_mut().filter(|j| j.state == State::Scheduled && j.next <= now);
        due.map(|j| {
            j.state = State::Running;
            j.clone()
        })
        .collect()
    }

    /// What is said of a certificate's revocation by whoever has tried it.
    fn revoked(&mut self, name: &str, revocation: Revocation) {
        if let Some(job) = self.all.get_mut(name) {
            job.revocation = revocation;
        }
    }

    /// `acme renew`, `acme revoke`: a certificate is renewed now. False: it cannot be.
    pub fn hurry(&mut self, name: &str, revocation: Revocation) -> bool {
        match self.all.get_mut(name) {
            Some(job) if job.state != State::Running => {
                (job.state, job.next) = (State::Scheduled, 0);
                if revocation != Revocation::None {
                    job.revocation = revocation;
                }
                true
            }
            _ => false,
        }
    }

    /// All of them, in the order of their names.
    pub fn all(&self) -> impl Iterator<Item = (&String, &Job)> {
        self.all.iter()
    }

    /// A renewal has ended. The wait before the next try, if it has failed.
    pub fn done(&mut self, name: &str, now: i64, by_hand: bool, good: bool) -> i64 {
        self.ready.retain(|(certificate, _)| certificate != name);
        self.waiting.retain(|(certificate, _)| certificate != name);
        let Some(job) = self.all.get_mut(name) else { return 0 };
        job.row = if good { 0 } else { job.row + 1 };
        if good {
            job.revocation = Revocation::None;
        }
        job.state = if by_hand { State::Stopped } else { State::Scheduled };
        let wait = (PATIENCE << job.row.min(16)).min(MOST_PATIENCE);
        job.next = if good { due(&job.slot.get()) } else { now + wait };
        wait
    }

    /// `acme challenge_ready`: a record is there. The number of those that are still waited for; none: nobody waits for it.
    pub fn ready(&mut self, name: &str, domain: &str) -> Option<usize> {
        let key = (name.to_owned(), domain.to_owned());
        if !self.waiting.remove(&key) {
            return None;
        }
        self.ready.insert(key);
        Some(self.waiting.iter().filter(|(certificate, _)| certificate == name).count())
    }
}

/// What a renewal needs of its surroundings.
pub struct Surroundings {
    /// Sends requests.
    pub client: Arc<Client>,
    /// All jobs.
    pub jobs: Arc<Mutex<Jobs>>,
    /// Somebody has said that a record is there.
    pub told: Arc<Notify>,
    /// Says something in the log.
    pub say: Box<dyn Fn(&str)>,
    /// Where who sets records reads what is wanted (`show events dpapi`).
    pub events: Arc<Ring>,
    /// Seconds since the epoch.
    pub now: i64,
}

impl Surroundings {
    /// Tells who sets records.
    pub fn tell(&self, event: &str) {
        self.events.note(self.client.process.clock.wall(), event.as_bytes());
    }
}

/// Has a certificate issued: what it consists of from now on.
///
/// # Errors
/// Why not.
pub async fn issue(job: &Job, section: &Section, around: &Surroundings) -> Result<Draft, String> {
    let before = job.slot.get();
    let mut names = before.load.wanted()?;
    if names.domains.is_empty() && names.addresses.is_empty() {
        names.domains = before.names.iter().map(ToString::to_string).collect();
    }
    let identifier =
        |kind: &str, value: &str| format!(r#"{{"type":"{kind}","value":{}}}"#, account::quoted(value));
    let domains = names.domains.iter().map(|d| identifier("dns", d));
    let addresses = names.addresses.iter().map(|a| identifier("ip", &a.to_string()));
    let identifiers: Vec<String> = domains.chain(addresses).collect();
    let speaker = Speaker { client: &around.client, certificate: &job.slot.name, say: &around.say };
    let mut session = Session::begin(speaker, section).await?;
    if job.revocation == Revocation::Wanted {
        revoke(job, &before, &mut session, around).await?;
    }
    let order = session.order(&identifiers.join(",")).await?;
    let place = order.location.clone().ok_or("the authority does not say where the order is")?;
    authorize(job, section, around, &mut session, &order).await?;
    let ready = session.settled(&place, &["pending"]).await?;
    expect(&ready, &["ready", "valid"])?;
    let finalize = ready.at("$.finalize").ok_or("the order cannot be finalized")?;
    let reuse = section.reuse_key && job.revocation == Revocation::None;
    let key = match (reuse, &before.secret) {
        (true, Some(key)) if before.key.cert.len() > 1 => key.clone_key(),
        _ => section.key_type().generate().ok_or("no key can be made")?,
    };
    let request = keys::request(&key, &names).ok_or("no request can be made")?;
    session.post(&finalize, &format!(r#"{{"csr":"{}"}}"#, account::coded(&request))).await?;
    let order = session.settled(&place, &["processing", "ready", "pending"]).await?;
    expect(&order, &["valid"])?;
    let url = order.at("$.certificate").ok_or("the authority does not say where the certificate is")?;
    let chain = session.post(&url, "").await?;
    draft(&before, &chain.body, key)
}

/// Has the certificate revoked that is there now.
async fn revoke(
    job: &Job,
    before: &Certificate,
    session: &mut Session<'_>,
    around: &Surroundings,
) -> Result<(), String> {
    let name = &job.slot.name;
    let own = before.key.cert.first().ok_or("there is no certificate")?;
    let done = session.revoke(own.as_ref()).await;
    // whom the authority does not listen to need not ask again
    let settled = match &done {
        Ok(()) => Revocation::Done,
        Err(why) if session::is_refusal(why) => Revocation::None,
        Err(_) => Revocation::Wanted,
    };
    around.jobs.lock().revoked(name, settled);
    done.map_err(|why| format!("the certificate is not revoked: {why}"))?;
    (around.say)(&format!("acme: {name}: The certificate is revoked."));
    Ok(())
}

fn expect(reply: &Reply, wanted: &[&str]) -> Result<(), String> {
    let status = reply.at("$.status").unwrap_or_default();
    match wanted.contains(&status.as_str()) {
        true => Ok(()),
        false => Err(format!("the order is {status}: {}", reply.at("$.error.detail").unwrap_or_default())),
    }
}

fn draft(before: &Certificate, pem: &[u8], key: Key<'static>) -> Result<Draft, String> {
    let chain = certificates(pem);
    if chain.is_empty() {
        return Err("what the authority sends is no certificate".to_owned());
    }
    Ok(Draft {
        chain,
        key: Some(key),
        issuer: None,
        ocsp: None,
        load: before.load.clone(),
        chains: Arc::default(),
    })
}

/// Shows the authority that all names of an order are ours.
async fn authorize(
    job: &Job,
    section: &Section,
    around: &Surroundings,
    session: &mut Session<'_>,
    order: &Reply,
) -> Result<(), String> {
    let key = section.account.clone().ok_or("there is no account key")?;
    let mut tasks = Vec::new();
    for url in order.all("authorizations") {
        let reply = session.post(&url, "").await?;
        if reply.at("$.status").as_deref() == Some("valid") {
            continue;
        }
        let domain = reply.at("$.identifier.value").ok_or("an authorization is for nobody")?;
        let at = (0..20).find(|i| {
            reply.at(&format!("$.challenges[{i}].type")).as_deref() == Some(section.challenge.name())
        });
        let of = |name: &str| at.and_then(|i| reply.at(&format!("$.challenges[{i}].{name}")));
        let Some(task) = of("url").map(|at| Task::new(domain.clone(), at, of("token").unwrap_or_default()))
        else {
            return Err(format!("the authority offers no {} for {domain}", section.challenge.name()));
        };
        if let Some(event) = task.event(&job.slot.name, section, &key, (session.account(), &reply.body)) {
            around.tell(&event);
        }
        tasks.push((url, task));
    }
    let mut outcome = Ok(());
    for (_, task) in &tasks {
        outcome = outcome.and_then(|()| task.set(section, &key, around.now));
    }
    if outcome.is_ok() {
        let records = tasks.iter().filter_map(|(_, task)| {
            let (name, content) = task.record(section, &key, session.account())?;
            Some(Record { domain: task.domain.clone(), name, content })
        });
        let records: Vec<Record> = records.collect();
        let ready = wait_for_records(&job.slot.name, section, around, &records);
        outcome = match timeout(MOST_RECORDS, ready).await {
            Ok(ready) => ready,
            Err(_) => Err("nobody says that its records are there".to_owned()),
        };
    }
    if outcome.is_ok() {
        outcome = answer(session, &tasks).await;
    }
    tasks.iter().for_each(|(_, task)| task.clean(section));
    outcome
}

/// A record that somebody has to set.
struct Record {
    /// The name that it shows to be ours.
    domain: String,
    /// Its own name.
    name: String,
    content: String,
}

/// Waits for what `challenge-ready` says.
async fn wait_for_records(
    certificate: &str,
    section: &Section,
    around: &Surroundings,
    records: &[Record],
) -> Result<(), String> {
    let kind = section.challenge.name();
    // a record that persists may be there already
    if section.challenge == Challenge::DnsPersist && missing(section, around, records).await.is_empty() {
        return Ok(());
    }
    let ready = section.ready();
    for Record { domain, name, content } in records {
        let more = match ready.cli {
            true => {
                format!(
                    " and use the \"acme challenge_ready {certificate} domain {domain}\" command over the CLI"
                )
            }
            false => String::new(),
        };
        (around.say)(&format!(
            "acme: {certificate}: {kind} requires to set the \"{name}\" TXT record to \"{content}\"{more}"
        ));
    }
    if ready.cli && !records.is_empty() {
        wait_for_operator(certificate, around, records).await;
    }
    if ready.delay {
        sleep(section.delay).await;
    }
    if ready.dns { look_for_records(certificate, section, around, records).await } else { Ok(()) }
}

/// Waits until `acme challenge_ready` was said of all records.
async fn wait_for_operator(certificate: &str, around: &Surroundings, records: &[Record]) {
    let keys: Vec<(String, String)> =
        records.iter().map(|r| (certificate.to_owned(), r.domain.clone())).collect();
    around.jobs.lock().waiting.extend(keys.iter().cloned());
    loop {
        let told = around.told.notified();
        if keys.iter().all(|key| around.jobs.lock().ready.contains(key)) {
            return;
        }
        told.await;
    }
}

/// Asks for the records again and again until they are all there.
async fn look_for_records(
    certificate: &str,
    section: &Section,
    around: &Surroundings,
    records: &[Record],
) -> Result<(), String> {
    let (kind, began) = (section.challenge.name(), Instant::now());
    loop {
        let missing = missing(section, around, records).await;
        if missing.is_empty() {
            return Ok(());
        }
        for record in missing {
            let name = &record.name;
            (around.say)(&format!("acme: {certificate}: {kind}: Couldn't get the TXT record for \"{name}\""));
        }
        if began.elapsed() + section.delay > section.timeout {
            let most = section.timeout.as_secs();
            return Err(format!("{kind}: Couldn't resolve the TXT records in {most}s. Aborting."));
        }
        sleep(section.delay).await;
    }
}

/// Those of the records that the name servers do not have: of those that persist, any content will do.
async fn missing<'r>(section: &Section, around: &Surroundings, records: &'r [Record]) -> Vec<&'r Record> {
    let mut missing = Vec::new();
    for record in records {
        let texts = around.client.texts(&record.name).await.unwrap_or_default();
        let fits =
            |text: &Vec<u8>| section.challenge == Challenge::DnsPersist || *text == record.content.as_bytes();
        if !texts.iter().any(fits) {
            missing.push(record);
        }
    }
    missing
}

/// Tells the authority that it can look, and waits until it has.
async fn answer(session: &mut Session<'_>, tasks: &[(String, Task)]) -> Result<(), String> {
    for (_, task) in tasks {
        session.post(&task.url, "{}").await?;
    }
    for (url, task) in tasks {
        let reply = session.settled(url, &["pending"]).await?;
        if reply.at("$.status").as_deref() != Some("valid") {
            let why = (0..20).find_map(|i| reply.at(&format!("$.challenges[{i}].error.detail")));
            return Err(format!(
                "the authority does not accept {}: {}",
                task.domain,
                why.unwrap_or_default()
            ));
        }
    }
    Ok(())
}
