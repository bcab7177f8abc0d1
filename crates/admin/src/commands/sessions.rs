//! `show sess`, `shutdown session`, `shutdown sessions server`

use crate::admin::Client;
use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use crate::veil::Veil;
use portcullis_proxy::worker::Worker;
use portcullis_proxy::worker::mailbox::Mail;
use portcullis_proxy::worker::slots::{Abort, Info, SlotId, Stream};
use portcullis_telemetry::ledger::Kind;
use portcullis_transport::Peer;
use std::net::SocketAddr;
use std::rc::Rc;
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
Available options: 
   older <age>  only display streams older than <age> seconds
   server <b/s> only show streams attached to this backend+server
   backend <b>  only show streams attached to this backend
   frontend <f> only show streams attached to this frontend
Without any argument, all streams are dumped in a shorter format.
";

/// Slots that a worker looks at without letting others run.
const SLICE: usize = 512;

/// A stream as a worker reports it.
struct Told {
    worker: u16,
    slot: SlotId,
    client: Option<Peer>,
    frontend: (Arc<str>, u32),
    backend: Option<(Arc<str>, u32)>,
    server: Option<(Arc<str>, u32)>,
    http: bool,
    /// Milliseconds since it began.
    age: u64,
    request: u32,
}

impl Told {
    fn new(worker: &Worker, slot: SlotId, info: Info, stream: &Stream) -> Option<Self> {
        let front = stream.plan.proxies.get(stream.frontend as usize)?;
        let back = stream.to();
        let server = stream.on(&worker.process);
        Some(Self {
            worker: worker.id,
            slot,
            client: info.client,
            frontend: (front.name.clone(), front.id),
            backend: back.map(|b| (b.name.clone(), b.id)),
            server: server.map(|s| (s.name.clone(), s.id)),
            http: front.mode == portcullis_config::Mode::Http,
            age: worker.clock.now().since(stream.began),
            request: stream.request,
        })
    }
    /// The number that stands for it; an address in HAProxy.
    fn id(&self) -> u64 {
        (u64::from(self.worker) + 1) << 52
            | u64::from(self.slot.index) << 24
            | u64::from(self.slot.generation & 0xff_ffff)
    }
    fn protocol(&self) -> (&'static str, String) {
        match self.client {
            Some(Peer::Inet(SocketAddr::V4(a))) => ("tcpv4", a.to_string()),
            Some(Peer::Inet(SocketAddr::V6(a))) => ("tcpv6", format!("{}:{}", a.ip(), a.port())),
            Some(Peer::Unix) | None => ("unix_stream", "unix:1".into()),
        }
    }
    fn short(&self, veil: Veil) -> String {
        let (protocol, source) = self.protocol();
        let name = |n: &Option<(Arc<str>, u32)>, none: &str| {
            n.as_ref().map_or(none.to_owned(), |(n, _)| veil.word(n))
        };
        format!(
            "{:#x}: proto={protocol} src={source} fe={} be={} srv={} ts=00 epoch=0 age={} calls={} rate=0 cpu=0 lat=0 \
             rq[f=0h,i=0,an=00h,ax=] rp[f=0h,i=0,an=00h,ax=] scf=[8,0h,fd=-1,rex=,wex=] scb=[8,0h,fd=-1,rex=,wex=] \
             exp= rc=0 c_exp=\n",
            self.id(),
            veil.word(&self.frontend.0),
            name(&self.backend, "<NONE>"),
            name(&self.server, "<none>"),
            age(self.age / 1000),
            self.request,
        )
    }
    fn long(&self, veil: Veil) -> String {
        let (protocol, source) = self.protocol();
        let mode = if self.http { "http" } else { "tcp" };
        let back = match &self.backend {
            Some((n, id)) => format!("{} (id={id} mode={mode})", veil.word(n)),
            None => "<NONE> (id=-1 mode=-)".into(),
        };
        let server = match &self.server {
            Some((n, id)) => format!("{} (id={id})", veil.word(n)),
            None => "<none> (id=-1)".into(),
        };
        format!(
            "{:#x}: proto={protocol} source={source}\n  frontend={} (id={} mode={mode})\n  backend={back}\n  \
             server={server}\n  worker={} request={} age={}\n",
            self.id(),
            veil.word(&self.frontend.0),
            self.frontend.1,
            self.worker + 1,
            self.request,
            age(self.age / 1000),
        )
    }
}

/// As `1d2h`, `3h4m`, `5m6s`, `7s`.
fn age(s: u64) -> String {
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m{}s", s / 60, s % 60),
        3600..86400 => format!("{}h{}m", s / 3600, s / 60 % 60),
        _ => format!("{}d{}h", s / 86400, s / 3600 % 24),
    }
}

/// What a listing is narrowed to.
#[derive(Default)]
struct Narrow {
    all: bool,
    id: Option<u64>,
    older: u64,
    frontend: Option<Arc<str>>,
    backend: Option<Arc<str>>,
    server: Option<Arc<str>>,
}

impl Narrow {
    /// Nothing was left out.
    fn everything(&self) -> bool {
        self.older == 0 && self.frontend.is_none() && self.backend.is_none() && self.server.is_none()
    }
    fn wants(&self, t: &Told) -> bool {
        let same =
            |want: &Option<Arc<str>>, got: Option<&Arc<str>>| want.as_ref().is_none_or(|w| Some(w) == got);
        self.id.is_none_or(|id| id == t.id())
            && t.age / 1000 >= self.older
            && same(&self.frontend, Some(&t.frontend.0))
            && same(&self.backend, t.backend.as_ref().map(|b| &b.0))
            && same(&self.server, t.server.as_ref().map(|s| &s.0))
    }
}

/// A connection of the Runtime API itself.
fn client(c: &Client, now: u64, all: bool, veil: Veil) -> String {
    let frontend = veil.word("GLOBAL");
    let since = age(now.saturating_sub(c.since) / 1000);
    if all {
        return format!(
            "{:#x}: proto={} source={}\n  frontend={frontend} (id=0 mode=tcp)\n  backend=<NONE> (id=-1 mode=-)\n  \
             server=<NONE> (id=-1)\n  age={since}\n",
            c.id, c.protocol, c.source,
        );
    }
    format!(
        "{:#x}: proto={} src={} fe={frontend} be=<NONE> srv=<none> ts=00 epoch=0 age={since} calls=1 rate=0 cpu=0 lat=0 \
         rq[f=0h,i=0,an=00h,ax=] rp[f=0h,i=0,an=00h,ax=] scf=[8,0h,fd=-1,rex=,wex=] scb=[8,1h,fd=-1,rex=,wex=] \
         exp= rc=0 c_exp=\n",
        c.id, c.protocol, c.source,
    )
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
            "older" => {
                let time =
                    portcullis_config::rows::value::time_with_unit(call.arg(at + 1).as_bytes(), 1_000_000);
                n.older = time.map_err(|_| Outcome::err("Invalid age."))?.0.as_secs();
                at += 1;
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
            "server" => {
                let named = super::server(call, at + 1)?;
                n.backend = Some(named.backend.name.clone());
                n.server = Some(named.server.name.get());
                at += 1;
            }
            "susp" | "show-uri" => {
                return Err(Outcome::err(format!("'show sess {word}' is not supported yet.")));
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

/// Asks every worker; each tells of its streams in slices, so that it serves others in between.
async fn ask(process: Arc<portcullis_proxy::process::Process>) -> Vec<Told> {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    process.tell_all(|| {
        let tell = tell.clone();
        Mail::Run(Box::new(move |worker| {
            let worker = worker.clone();
            let of = worker.clone();
            portcullis_proxy::worker::spawn(&of, Kind::Listing, None, async move {
                let mut from = 0;
                while let Some((part, next)) = slice(&worker, from) {
                    from = next;
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
    while let Some(part) = told.recv().await {
        all.extend(part);
    }
    all
}

/// Streams in the slots from `from` on, and where to go on; none at the end.
fn slice(worker: &Rc<Worker>, from: u32) -> Option<(Vec<Told>, u32)> {
    let (slots, next) = worker.slots.list_from(from, SLICE)?;
    let told = slots.into_iter().filter_map(|(slot, info)| {
        let stream = info.stream.clone()?;
        Told::new(worker, slot, info, &stream)
    });
    Some((told.collect(), next))
}

fn show(call: &mut Call<'_>) -> Outcome {
    let narrow = match narrow(call) {
        Ok(n) => n,
        Err(e) => return e,
    };
    let process = call.admin.process.clone();
    let (cli, veil) = (call.admin.clone(), call.cli.veil());
    Outcome::Later(Box::pin(async move {
        let mut all = ask(process).await;
        all.retain(|t| narrow.wants(t));
        if narrow.id.is_some() {
            return match all.first() {
                Some(t) => Outcome::Text(t.long(veil).into_bytes()),
                None => Outcome::Text(b"Session not found.\n".to_vec()),
            };
        }
        all.sort_by_key(|t| (t.age, t.id()));
        let mut text: String =
            all.iter().map(|t| if narrow.all { t.long(veil) } else { t.short(veil) }).collect();
        if narrow.everything() {
            let now = cli.now();
            cli.clients.lock().iter().for_each(|c| text.push_str(&client(c, now, narrow.all, veil)));
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
        let found = ask(process.clone()).await.into_iter().find(|t| t.id() == id);
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
        let mut all = ask(process.clone()).await;
        all.retain(|t| narrow.wants(t));
        kill_all(&process, &all);
        Outcome::Nothing
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        assert_eq!([5, 65, 3700, 90_000].map(age), ["5s", "1m5s", "1h1m", "1d1h"]);
    }

    #[test]
    fn identifiers() {
        assert_eq!(identifier("0x1f"), Some(31));
        assert_eq!(identifier("1f"), None);
        assert_eq!(identifier("0xzz"), None);
    }
}
