//! `show sess`, `shutdown session`, `shutdown sessions server`

use super::session_lines::{Now, Told, client};
use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_proxy::worker::Worker;
use portcullis_proxy::worker::mailbox::Mail;
use portcullis_proxy::worker::slots::{Abort, SlotId};
use portcullis_telemetry::ledger::Kind;
use std::sync::Arc;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row::new(
        "show sess",
        "[help|<id>|all] [opts...]",
        Level::Operator,
        "report the list of current streams or dump this exact stream",
        show,
    ),
    Row::new("shutdown session", "[id]", Level::Admin, "kill a specific session", shutdown),
    Row::new(
        "shutdown sessions server",
        "<bk>/<srv>",
        Level::Admin,
        "kill sessions on a server",
        shutdown_server,
    ),
];

const HELP: &str = "Usage: show sess [<id> | all | help] [<options>*]
Dumps active streams (formerly called 'sessions'). Available selectors:
   <id>         dump only this stream identifier (0x...)
   all          dump all matching streams in large format
   help         show this message
   susp         report streams considered suspicious
Available options: 
   show-uri     also display the transaction URI, if available
   older <age>  only display streams older than <age> seconds
   server <b/s> only show streams attached to this backend+server
   backend <b>  only show streams attached to this backend
   frontend <f> only show streams attached to this frontend
Without any argument, all streams are dumped in a shorter format.
";

/// Slots that a worker looks at without letting others run.
const SLICE: usize = 512;

/// What a listing is narrowed to.
#[derive(Default)]
struct Narrow {
    all: bool,
    suspicious: bool,
    uri: bool,
    id: Option<u64>,
    older: u64,
    frontend: Option<Arc<str>>,
    backend: Option<Arc<str>>,
    server: Option<Arc<str>>,
}

impl Narrow {
    /// Nothing was left out.
    fn everything(&self) -> bool {
        !self.suspicious
            && self.older == 0
            && self.frontend.is_none()
            && self.backend.is_none()
            && self.server.is_none()
    }
    fn wants(&self, t: &Told) -> bool {
        let same =
            |want: &Option<Arc<str>>, got: Option<&Arc<str>>| want.as_ref().is_none_or(|w| Some(w) == got);
        self.id.is_none_or(|id| id == t.id())
            && t.age / 1000 >= self.older
            && (!self.suspicious || t.is_suspicious())
            && same(&self.frontend, Some(t.frontend()))
            && same(&self.backend, t.backend())
            && same(&self.server, t.server())
    }
}

fn identifier(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// Reads the arguments from word 2 on.
fn narrow(call: &Call<'_>) -> Result<Narrow, Outcome> {
    let mut n = Narrow::default();
    let mut at = 2;
    while call.has(at) {
        let word = call.arg(at);
        match &*word {
            "all" => n.all = true,
            "help" => return Err(Outcome::info(HELP)),
            "susp" => n.suspicious = true,
            "show-uri" => n.uri = true,
            "older" if !call.has(at + 1) => {
                return Err(Outcome::err("Expects a minimum age (in seconds by default)."));
            }
            "older" => {
                let time =
                    portcullis_config::rows::value::time_with_unit(call.arg(at + 1).as_bytes(), 1_000_000);
                n.older = time.map_err(|_| Outcome::err("Invalid age."))?.0.as_secs();
                at += 1;
            }
            "frontend" | "backend" | "server" if n.frontend.is_some() || n.backend.is_some() => {
                return Err(Outcome::err("Only one of backend, frontend or server may be set."));
            }
            "frontend" | "backend" => {
                let front = word == "frontend";
                if !call.has(at + 1) {
                    return Err(Outcome::err(format!("Missing {word} name.")));
                }
                let plan = call.admin.plan();
                let found = super::find_proxy(&plan, &call.arg(at + 1), |p| {
                    if front { p.kind.front() } else { p.kind.back() }
                });
                let Some(p) = found.and_then(|i| plan.proxies.get(i)) else {
                    return Err(Outcome::err(format!("No such {word}.")));
                };
                *(if front { &mut n.frontend } else { &mut n.backend }) = Some(p.name.clone());
                at += 1;
            }
            "server" if !call.has(at + 1) => {
                return Err(Outcome::err("Missing server name (<backend>/<server>)."));
            }
            "server" => {
                let named = super::server(call, at + 1)?;
                n.backend = Some(named.backend.name.clone());
                n.server = Some(named.server.name.get());
                at += 1;
            }
            _ => match identifier(&word) {
                Some(id) => n.id = Some(id),
                None => {
                    return Err(Outcome::err(format!(
                        "Unsupported option '{word}', try 'help' for more info."
                    )));
                }
            },
        }
        at += 1;
    }
    Ok(n)
}

/// Asks every worker; each tells of its streams in slices, so that it serves others in between. `told`: streams are asked to
/// tell what only they know.
async fn ask(process: Arc<portcullis_proxy::process::Process>, told: bool) -> Vec<Told> {
    let (tell, mut heard) = tokio::sync::mpsc::unbounded_channel();
    process.tell_all(|| {
        let tell = tell.clone();
        Mail::Run(Box::new(move |worker| {
            let worker = worker.clone();
            let of = worker.clone();
            portcullis_proxy::worker::spawn(&of, Kind::Listing, None, async move {
                let mut from = 0;
                while let Some((ids, next)) = worker.slots.list_from(from, SLICE) {
                    from = next;
                    if told {
                        hear(&worker, &ids).await;
                    }
                    let part: Vec<Told> = ids.iter().filter_map(|id| Told::new(&worker, *id)).collect();
                    if tell.send(part).is_err() {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            });
        }))
    });
    drop(tell);
    let mut all = Vec::new();
    while let Some(part) = heard.recv().await {
        all.extend(part);
    }
    all
}

/// Turns of the event loop that streams have for telling of themselves.
const TURNS: usize = 64;

/// Wakes these streams, so that they tell of themselves, and waits until they did.
async fn hear(worker: &Worker, ids: &[SlotId]) {
    for id in ids {
        if let Some(timer) = worker.slots.ask(*id) {
            worker.wake(timer);
        }
    }
    for _ in 0..TURNS {
        if !ids.iter().any(|id| worker.slots.is_asked(*id)) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

fn show(call: &mut Call<'_>) -> Outcome {
    let narrow = match narrow(call) {
        Ok(n) => n,
        Err(e) => return e,
    };
    let process = call.admin.process.clone();
    let (cli, veil) = (call.admin.clone(), call.cli.veil());
    Outcome::Later(Box::pin(async move {
        let mut all = ask(process, true).await;
        all.retain(|t| narrow.wants(t));
        let uri = narrow.uri;
        if narrow.id.is_some() {
            return match all.first() {
                Some(t) => Outcome::Text(t.long(veil, uri).into_bytes()),
                None => Outcome::Text(b"Session not found.\n".to_vec()),
            };
        }
        all.sort_by_key(|t| (std::cmp::Reverse(t.age), t.id()));
        let mut text: String =
            all.iter().map(|t| if narrow.all { t.long(veil, uri) } else { t.short(veil, uri) }).collect();
        if narrow.everything() {
            let now = Now::new(&cli);
            cli.clients.lock().iter().for_each(|c| text.push_str(&client(c, &now, narrow.all, veil)));
        }
        Outcome::Text(text.into_bytes())
    }))
}

fn shutdown(call: &mut Call<'_>) -> Outcome {
    let Some(id) = identifier(&call.arg(2)) else {
        return Outcome::err("Session pointer expected (use 'show sess').");
    };
    let process = call.admin.process.clone();
    Outcome::Later(Box::pin(async move {
        let found = ask(process.clone(), false).await.into_iter().find(|t| t.id() == id);
        match found {
            Some(t) => {
                kill(&process, &t);
                Outcome::Nothing
            }
            None => Outcome::err("No such session (use 'show sess')."),
        }
    }))
}

fn kill(process: &portcullis_proxy::process::Process, t: &Told) {
    if let Some(worker) = process.workers().get(usize::from(t.worker)) {
        worker.send(Mail::Abort(t.slot, Abort::Killed));
    }
}

/// One message a worker, however many streams: each of them is woken once.
fn kill_all(process: &portcullis_proxy::process::Process, all: &[Told]) {
    for (id, worker) in (0..).zip(process.workers()) {
        let slots: Vec<SlotId> = all.iter().filter(|t| t.worker == id).map(|t| t.slot).collect();
        if slots.is_empty() {
            continue;
        }
        worker.send(Mail::Run(Box::new(move |w| {
            for slot in slots {
                w.slots.abort(slot, Abort::Killed);
            }
            w.wake_all();
        })));
    }
}

fn shutdown_server(call: &mut Call<'_>) -> Outcome {
    let named = match super::server(call, 3) {
        Ok(n) => n,
        Err(e) => return e,
    };
    let process = call.admin.process.clone();
    Outcome::Later(Box::pin(async move {
        let narrow = Narrow {
            backend: Some(named.backend.name.clone()),
            server: Some(named.server.name.get()),
            ..Narrow::default()
        };
        let mut all = ask(process.clone(), false).await;
        all.retain(|t| narrow.wants(t));
        kill_all(&process, &all);
        Outcome::Nothing
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers() {
        assert_eq!(identifier("0x1f"), Some(31));
        assert_eq!(identifier("1f"), None);
        assert_eq!(identifier("0xzz"), None);
    }
}
