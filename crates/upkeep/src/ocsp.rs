//! OCSP responses, fetched before those that are stapled end (manual section 12.7.1, `ocsp-update`).
//!
//! One at a time, the one that is due first. A response counts for all certificates that it is about.

use crate::client::{Answer, Client, Failed, Request};
use crate::url::escape;
use portcullis_proxy::plan::Plan;
use portcullis_tls::ocsp::{self, Unusable};
use portcullis_tls::settings::{GlobalTls, OcspUpdate};
use portcullis_tls::store::{Certificate, Slot};
use portcullis_wire::base64;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest URL that a request is sent in (RFC 6960 appendix A.1).
const MOST_URL: usize = 255;
/// Seconds that the first failure is waited for; each further one doubles them.
const PATIENCE: i64 = 60;

/// How the last update went (management manual section 9.3, `show ssl ocsp-updates`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// There was none.
    #[default]
    Unknown,
    /// It succeeded.
    Successful,
    /// There was no answer, or not 200.
    Http,
    /// The answer is of another type.
    Header,
    /// It may not be used.
    Unusable(Unusable),
}

impl Status {
    /// Its number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Successful => 1,
            Self::Http => 2,
            Self::Header => 3,
            Self::Unusable(Unusable::Check(_)) => 4,
            Self::Unusable(Unusable::Insertion(_)) => 5,
        }
    }
    /// In HAProxy's words.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::Unknown => "Unknown".to_owned(),
            Self::Successful => "Update successful".to_owned(),
            Self::Http => "HTTP error".to_owned(),
            Self::Header => "Missing \"ocsp-response\" header".to_owned(),
            Self::Unusable(why @ Unusable::Check(_)) => {
                format!("OCSP response check failure ({})", why.text())
            }
            Self::Unusable(why @ Unusable::Insertion(_)) => {
                format!("Error during insertion ({})", why.text())
            }
        }
    }
}

/// A response that is looked after.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The first certificate that it is about.
    pub path: Box<str>,
    /// Whom to ask.
    pub responder: String,
    /// The certificates that it is about.
    pub slots: Vec<Arc<Slot<Certificate>>>,
    /// When it is fetched next, in seconds since the epoch.
    pub next: i64,
    /// When it was fetched last.
    pub last: Option<i64>,
    /// How often it was.
    pub successes: u32,
    /// How often it could not be.
    pub failures: u32,
    /// How the last time went.
    pub status: Status,
    /// It is fetched again and again; otherwise once, as somebody asked.
    pub again: bool,
    /// Failures since the last success.
    row: u32,
}

/// All responses that are looked after, by `CertID`.
#[derive(Debug, Default)]
pub struct Table(BTreeMap<Vec<u8>, Entry>);

/// When a response that was fetched, or came with the configuration, is fetched again: it is stapled until then.
fn after(settings: &OcspUpdate, now: i64, until: i64) -> i64 {
    now + (until - now).min(settings.max.into()).max(settings.min.into())
}

/// The certificates that listeners answer with, each once.
#[must_use]
pub fn in_use(plan: &Plan) -> Vec<Arc<Slot<Certificate>>> {
    let mut all: Vec<Arc<Slot<Certificate>>> = plan.acceptors().iter().flat_map(|a| a.slots()).collect();
    let mut seen = std::collections::HashSet::new();
    all.retain(|slot| seen.insert(Arc::as_ptr(slot)));
    all
}

impl Table {
    /// Looks at which responses are wanted now; what is known of those that are still wanted is kept.
    pub fn gather(&mut self, plan: &Plan, global: &GlobalTls, now: i64) {
        let mut old = std::mem::take(&mut self.0);
        for slot in in_use(plan) {
            let certificate = slot.get();
            if global.ocsp.wants(certificate.load.ocsp_update)
                && let Some(responder) = certificate.responder()
                && let Some(id) = certificate.ocsp_id()
            {
                let next = match &certificate.stapled {
                    Some(Ok(stapled)) => after(&global.ocsp, now, stapled.until),
                    _ => now,
                };
                let known = old.remove(&id).filter(|e| e.responder == responder);
                let known = known.map(|e| Entry { again: true, slots: Vec::new(), ..e });
                let entry = self.0.entry(id);
                let entry = entry
                    .or_insert_with(|| known.unwrap_or_else(|| Entry::new(&slot, responder, next, true)));
                entry.slots.push(slot);
            }
        }
        self.0.extend(old.into_iter().filter(|(_, e)| !e.again));
    }

    /// A response about this certificate is wanted now.
    pub fn hurry(&mut self, id: Vec<u8>, slot: &Arc<Slot<Certificate>>, responder: String, now: i64) {
        let entry = self.0.entry(id).or_insert_with(|| Entry {
            slots: vec![slot.clone()],
            ..Entry::new(slot, responder, now, false)
        });
        entry.next = now;
    }

    /// The response that is due first, and when.
    #[must_use]
    pub fn first(&self) -> Option<(Vec<u8>, i64)> {
        let due = self.0.iter().filter(|(_, e)| e.next != i64::MAX);
        due.min_by_key(|(_, e)| e.next).map(|(id, e)| (id.clone(), e.next))
    }

    /// What is known of a response.
    #[must_use]
    pub fn get(&self, id: &[u8]) -> Option<&Entry> {
        self.0.get(id)
    }

    /// All of them, by when they are fetched next.
    #[must_use]
    pub fn all(&self) -> Vec<(&[u8], &Entry)> {
        let mut all: Vec<(&[u8], &Entry)> = self.0.iter().map(|(id, e)| (id.as_slice(), e)).collect();
        all.sort_by_key(|(_, e)| e.next);
        all
    }

    /// Notes how an update went: until when the response is stapled. The entry as it is then; none: nobody wants it any more.
    pub fn done(
        &mut self,
        id: &[u8],
        settings: &OcspUpdate,
        now: i64,
        outcome: Result<i64, Status>,
    ) -> Option<Entry> {
        let entry = self.0.get_mut(id)?;
        entry.next = match outcome {
            Ok(until) => {
                (entry.status, entry.last, entry.row) = (Status::Successful, Some(now), 0);
                entry.successes += 1;
                after(settings, now, until)
            }
            Err(status) => {
                entry.status = status;
                (entry.failures, entry.row) = (entry.failures + 1, entry.row + 1);
                now + (PATIENCE << entry.row.min(16)).min(settings.max.into())
            }
        };
        if !entry.again {
            entry.next = i64::MAX;
        }
        Some(entry.clone())
    }
}

impl Entry {
    fn new(slot: &Slot<Certificate>, responder: String, next: i64, again: bool) -> Self {
        Self {
            path: slot.name.clone(),
            responder,
            slots: Vec::new(),
            next,
            last: None,
            successes: 0,
            failures: 0,
            status: Status::default(),
            again,
            row: 0,
        }
    }
}

/// What a responder is asked, and how.
#[derive(Debug)]
pub struct Question {
    /// The URL; it ends with the request if that is short.
    pub url: String,
    /// The request, if it is sent as a body.
    pub body: Vec<u8>,
}

impl Question {
    /// About this certificate.
    #[must_use]
    pub fn new(responder: &str, id: &[u8]) -> Self {
        let request = ocsp::request(id);
        let text = escape(&base64::encode(base64::STANDARD, true, &request));
        let url = format!("{}/{text}", responder.trim_end_matches('/'));
        match url.len() <= MOST_URL {
            true => Self { url, body: Vec::new() },
            false => Self { url: responder.to_owned(), body: request },
        }
    }

    /// Its method.
    #[must_use]
    pub fn method(&self) -> &'static str {
        if self.body.is_empty() { "GET" } else { "POST" }
    }

    /// Asks.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn ask(&self, client: &Client, settings: &OcspUpdate) -> Result<Answer, Failed> {
        let fields = [("content-type", "application/ocsp-request")];
        let fields: &[_] = if self.body.is_empty() { &[] } else { &fields };
        let request = Request {
            method: self.method(),
            url: &self.url,
            fields,
            body: &self.body,
            proxy: settings.proxy,
            address: None,
        };
        client.send(request).await
    }
}

/// The response in an answer.
///
/// # Errors
/// There is none.
pub fn of_answer(answer: &Answer) -> Result<&[u8], Status> {
    if answer.head.status != 200 {
        return Err(Status::Http);
    }
    let kind = answer.field("content-type").unwrap_or_default();
    match kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/ocsp-response")
    {
        true => Ok(&answer.body),
        false => Err(Status::Header),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_it_is_fetched_again() {
        let settings = OcspUpdate::default();
        assert_eq!(after(&settings, 1000, 1010), 1300);
        assert_eq!(after(&settings, 1000, 2000), 2000);
        assert_eq!(after(&settings, 1000, 1_000_000), 4600);
    }

    #[test]
    fn failures_are_waited_for_longer_and_longer() {
        let settings = OcspUpdate::default();
        let mut table = Table::default();
        let entry = Entry {
            path: "a".into(),
            responder: String::new(),
            slots: Vec::new(),
            next: 0,
            last: None,
            successes: 0,
            failures: 0,
            status: Status::Unknown,
            again: true,
            row: 0,
        };
        table.0.insert(vec![1], entry);
        for wait in [120, 240, 480, 960, 1920, 3600, 3600] {
            let e = table.done(&[1], &settings, 0, Err(Status::Http)).unwrap();
            assert_eq!((e.next, e.status), (wait, Status::Http));
        }
        let e = table.done(&[1], &settings, 7, Ok(0)).unwrap();
        assert_eq!((e.next, e.last, e.successes, e.failures), (307, Some(7), 1, 7));
        assert_eq!(table.done(&[1], &settings, 0, Err(Status::Header)).unwrap().next, 120);
    }

    #[test]
    fn questions() {
        let q = Question::new("http://h/", &[0x30, 2, 5, 0]);
        assert_eq!((q.method(), q.url.as_str()), ("GET", "http://h/MAowCDAGMAQwAgUA"));
        let q = Question::new("http://h/", &[0; 300]);
        assert_eq!((q.method(), q.url.as_str()), ("POST", "http://h/"));
    }
}
