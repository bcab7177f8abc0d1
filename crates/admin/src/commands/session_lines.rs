//! The lines of `show sess`: HAProxy's, in its order, as far as we have what they tell; addresses in its memory are numbers of
//! streams here.

use crate::admin::{Admin, Client};
use crate::veil::Veil;
use portcullis_proxy::plan::ListenerPlan;
use portcullis_proxy::worker::Worker;
use portcullis_proxy::worker::slots::SlotId;
use portcullis_proxy::worker::story::{End, Phase, Story};
use portcullis_sys::localtime::stamp;
use portcullis_transport::{Clock, Millis, Peer};
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A stream that is this much too late (ms) is stuck.
const STUCK: u64 = 1000;

/// The present, by both clocks.
pub struct Now {
    now: Millis,
    wall: Duration,
}

impl Now {
    fn of(clock: Clock) -> Self {
        Self { now: clock.now(), wall: clock.wall() }
    }
    /// Of this process.
    pub fn new(admin: &Admin) -> Self {
        Self::of(admin.process.clock)
    }
    /// `[28/Nov/2026:03:44:41.612910]` of a moment of the process' clock.
    fn date(&self, at: Millis) -> String {
        let wall = self.wall.saturating_sub(Duration::from_millis(self.now.since(at)));
        format!("[{}{:03}]", stamp(wall), wall.subsec_micros() % 1000)
    }
    /// The time until then; none: it does not come.
    fn until(&self, due: Millis) -> Option<String> {
        (due != Millis::NEVER).then(|| age(due.0.saturating_sub(self.now.0) / 1000))
    }
    /// The same for lines that always have a word there.
    fn or_never(&self, due: Millis) -> String {
        self.until(due).unwrap_or_else(|| "<NEVER>".into())
    }
}

/// A proxy as listings show it.
struct Shown {
    name: Arc<str>,
    id: u32,
    mode: &'static str,
}

impl Shown {
    fn of(p: &portcullis_proxy::plan::ProxyPlan) -> Self {
        let mode = if p.mode == portcullis_config::Mode::Http { "http" } else { "tcp" };
        Self { name: p.name.clone(), id: p.id, mode }
    }
}

/// A stream as its worker reports it.
pub struct Told {
    /// Its worker.
    pub worker: u16,
    /// Its slot there.
    pub slot: SlotId,
    /// Milliseconds since it began.
    pub age: u64,
    at: Now,
    began: Millis,
    client: Option<Peer>,
    frontend: Shown,
    backend: Option<Shown>,
    server: Option<(Arc<str>, u32)>,
    /// Name, `id` and address of the `bind` line.
    listener: Option<(Option<String>, u32, Option<SocketAddr>)>,
    request: u32,
    story: Option<Box<Story>>,
}

impl Told {
    /// What there is to tell about a slot of this worker; none: no stream is there.
    pub fn new(worker: &Worker, slot: SlotId) -> Option<Self> {
        let info = worker.slots.heard(slot)?;
        let stream = info.stream.as_ref()?;
        let front = stream.plan.proxies.get(stream.frontend as usize)?;
        let came_to =
            |l: &&Arc<ListenerPlan>| l.frontend == front.index && l.number == usize::from(info.listener);
        let listener = stream.plan.listeners.iter().find(came_to).map(|l| {
            let name = l.bind.name.as_ref().map(ToString::to_string);
            (name, l.bind.id, portcullis_transport::listen::socket_addr(&l.bind.address))
        });
        let at = Now::of(worker.clock.exact());
        Some(Self {
            worker: worker.id,
            slot,
            age: at.now.since(stream.began),
            began: stream.began,
            at,
            client: info.client,
            frontend: Shown::of(front),
            backend: stream.to().map(|b| Shown::of(b)),
            server: stream.on(&worker.process).map(|s| (s.name.clone(), s.id)),
            listener,
            request: stream.request,
            story: info.story,
        })
    }
    /// The number that stands for it; an address in HAProxy.
    pub fn id(&self) -> u64 {
        (u64::from(self.worker) + 1) << 52
            | u64::from(self.slot.index) << 24
            | u64::from(self.slot.generation & 0xff_ffff)
    }
    /// The name of its frontend.
    pub fn frontend(&self) -> &Arc<str> {
        &self.frontend.name
    }
    /// The name of its backend, once chosen.
    pub fn backend(&self) -> Option<&Arc<str>> {
        self.backend.as_ref().map(|b| &b.name)
    }
    /// The name of its server, once chosen.
    pub fn server(&self) -> Option<&Arc<str>> {
        self.server.as_ref().map(|s| &s.0)
    }
    /// Should it have gone on long ago: does it not answer, or has its deadline passed?
    pub fn is_suspicious(&self) -> bool {
        self.story
            .as_ref()
            .is_none_or(|s| s.due != Millis::NEVER && s.due.0.saturating_add(STUCK) < self.at.now.0)
    }

    fn protocol(&self) -> (&'static str, String) {
        match self.client {
            Some(Peer::Inet(SocketAddr::V4(a))) => ("tcpv4", a.to_string()),
            Some(Peer::Inet(SocketAddr::V6(a))) => ("tcpv6", format!("{}:{}", a.ip(), a.port())),
            Some(Peer::Unix) | None => ("unix_stream", "unix:1".into()),
        }
    }

    /// One line.
    pub fn short(&self, veil: Veil, uri: bool) -> String {
        let (protocol, source) = self.protocol();
        let none = Story::default();
        let story = self.story.as_deref().unwrap_or(&none);
        let fd = |end: &Option<End>| end.and_then(|e| e.fd).unwrap_or(-1);
        let until = |due| self.at.until(due).unwrap_or_default();
        let waits = story.phase != Phase::Established && story.phase != Phase::Begun;
        let mut text = format!(
            "{:#x}: proto={protocol} src={source} fe={} be={} srv={} ts=00 epoch=0 age={} calls={} rate=0 cpu=0 lat=0 \
             rq[f=0h,i=0,an=00h,ax=] rp[f=0h,i=0,an=00h,ax=] scf=[8,0h,fd=1/{},rex={},wex=] \
             scb=[{},0h,fd=1/{},rex={},wex=] exp={} rc={} c_exp={}",
            self.id(),
            veil.word(&self.frontend.name),
            self.backend.as_ref().map_or("<NONE>".into(), |b| veil.word(&b.name)),
            self.server.as_ref().map_or("<none>".into(), |s| veil.word(&s.0)),
            age(self.age / 1000),
            self.request,
            fd(&story.client),
            until(story.sides[0]),
            story.phase as u8,
            fd(&story.server),
            until(story.sides[1]),
            until(story.due),
            story.retries,
            if waits { until(story.due) } else { String::new() },
        );
        if let Some(line) = story.request.as_ref().filter(|_| uri) {
            let _ = write!(text, " uri=\"{}\"", veil.word(&String::from_utf8_lossy(&line.text)));
        }
        text.push('\n');
        text
    }

    /// All that is known of it.
    pub fn long(&self, veil: Veil, uri: bool) -> String {
        let (protocol, source) = self.protocol();
        let (id, at) = (self.id(), &self.at);
        let mut text =
            format!("{id:#x}: {} id={} proto={protocol} source={source}\n", at.date(self.began), id);
        let none = Story::default();
        let story = self.story.as_deref().unwrap_or(&none);
        let connects = story.phase != Phase::Established;
        let _ = writeln!(
            text,
            "  conn_retries={}, conn_exp={}",
            story.retries,
            if connects { at.or_never(story.due) } else { "<NEVER>".into() }
        );
        self.ways(&mut text, veil, story);
        let _ = writeln!(
            text,
            "  task={id:#x} (calls={} exp={} tid={}(1/{}) age={})",
            self.request,
            at.or_never(story.due),
            self.worker,
            self.worker,
            age(self.age / 1000),
        );
        self.transaction(&mut text, veil, story, uri);
        for (n, name) in [(0, "scf"), (1, "scb")] {
            self.side(&mut text, story, n, name);
        }
        text
    }

    /// Frontend, backend and server with the addresses of the connections.
    fn ways(&self, text: &mut String, veil: Veil, story: &Story) {
        let f = &self.frontend;
        let _ = write!(text, "  frontend={} (id={} mode={})", veil.word(&f.name), f.id, f.mode);
        if let Some((name, id, bound)) = &self.listener {
            let name = name.as_ref().map_or("?".into(), |n| veil.word(n));
            let local = story.client.and_then(|c| c.local).or(*bound);
            let local = local.map_or("unix:1".to_owned(), |a| a.to_string());
            let _ = write!(text, ", listener={name} (id={id}) addr={local}");
        }
        match &self.backend {
            Some(b) => {
                let _ = write!(text, "\n  backend={} (id={} mode={})", veil.word(&b.name), b.id, b.mode);
            }
            None => text.push_str("\n  backend=<NONE> (id=-1 mode=-)"),
        }
        if let Some(source) = story.server.and_then(|s| s.local) {
            let _ = write!(text, " addr={source}");
        }
        match (&self.server, &self.backend) {
            (Some((name, id)), _) => {
                let _ = write!(text, "\n  server={} (id={id})", veil.word(name));
            }
            (None, Some(_)) => text.push_str("\n  server=<none> (id=0)"),
            (None, None) => text.push_str("\n  server=<NONE> (id=-1)"),
        }
        if let Some(to) = story.server.and_then(|s| s.remote) {
            let _ = write!(text, " addr={to}");
        }
        text.push('\n');
    }

    /// The request and how far its answer is.
    fn transaction(&self, text: &mut String, veil: Veil, story: &Story, uri: bool) {
        let Some(line) = &story.request else { return };
        let status = story.status.map_or("-1".to_owned(), |s| s.to_string());
        let response = if story.status.is_some() { "MSG_DATA" } else { "MSG_RPBEFORE" };
        let _ = write!(
            text,
            "  txn={:#x} meth={} status={status} rsp.st={response}",
            self.id(),
            String::from_utf8_lossy(&line.method)
        );
        if uri {
            let _ = write!(text, " uri=\"{}\"", veil.word(&String::from_utf8_lossy(&line.text)));
        }
        text.push('\n');
    }

    /// One of its two sides: 0 the client's, 1 the server's.
    fn side(&self, text: &mut String, story: &Story, n: usize, name: &str) {
        let [up, down] = story.bytes;
        let (end, phase, input, output) = match n {
            0 => (&story.client, Phase::Established, up, down),
            _ => (&story.server, story.phase, down, up),
        };
        let id = self.id();
        let _ = writeln!(
            text,
            "  {name}={id:#x} state={} endp={} in={input} out={output} rex={}",
            phase.name(),
            if end.is_some() { "CONN" } else { "NONE" },
            self.at.or_never(story.sides.get(n).copied().unwrap_or(Millis::NEVER)),
        );
        let Some(end) = end else { return };
        let family = match (end.remote, n) {
            (Some(SocketAddr::V4(_)), _) => "tcpv4",
            (Some(SocketAddr::V6(_)), _) => "tcpv6",
            (None, 0) => self.protocol().0,
            (None, _) => "unix_stream",
        };
        let mode = if n == 0 { self.frontend.mode } else { self.backend.as_ref().map_or("tcp", |b| b.mode) };
        let mux = match (end.streamed, mode) {
            (true, _) => "H2",
            (false, "http") => "H1",
            (false, _) => "PASS",
        };
        let target = if n == 0 { "LISTENER" } else { "SERVER" };
        let _ = writeln!(
            text,
            "      co{n}={id:#x} ctrl={family} xprt={} mux={mux} target={target}",
            if end.tls { "SSL" } else { "RAW" }
        );
        if let Some(fd) = end.fd {
            let _ = writeln!(text, "      fd=1/{fd}");
        }
    }
}

/// A connection of the Runtime API itself.
pub fn client(c: &Client, at: &Now, all: bool, veil: Veil) -> String {
    let frontend = veil.word("GLOBAL");
    let since = age(at.now.0.saturating_sub(c.since) / 1000);
    if all {
        return format!(
            "{:#x}: {} id={} proto={} source={}\n  frontend={frontend} (id=0 mode=tcp)\n  backend=<NONE> (id=-1 mode=-)\n  \
             server=<NONE> (id=-1)\n  task={:#x} (calls=1 age={since})\n",
            c.id,
            at.date(Millis(c.since)),
            c.id,
            c.protocol,
            c.source,
            c.id,
        );
    }
    format!(
        "{:#x}: proto={} src={} fe={frontend} be=<NONE> srv=<none> ts=00 epoch=0 age={since} calls=1 rate=0 cpu=0 lat=0 \
         rq[f=0h,i=0,an=00h,ax=] rp[f=0h,i=0,an=00h,ax=] scf=[8,0h,fd=1/-1,rex=,wex=] scb=[8,1h,fd=1/-1,rex=,wex=] \
         exp= rc=0 c_exp=\n",
        c.id, c.protocol, c.source,
    )
}

/// As `1d2h`, `3h4m`, `5m6s`, `7s`.
pub fn age(s: u64) -> String {
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m{}s", s / 60, s % 60),
        3600..86400 => format!("{}h{}m", s / 3600, s / 60 % 60),
        _ => format!("{}d{}h", s / 86400, s / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        assert_eq!([5, 65, 3700, 90_000].map(age), ["5s", "1m5s", "1h1m", "1d1h"]);
    }

    #[test]
    fn moments_around_now() {
        let at = Now { now: Millis(5_000), wall: Duration::from_millis(1_795_837_481_612) };
        let date = at.date(Millis(4_000));
        assert!(date.starts_with("[28/Nov/2026:") && date.ends_with(":40.612000]"), "{date}");
        assert_eq!(at.or_never(Millis(7_999)), "2s");
        assert_eq!(at.or_never(Millis::NEVER), "<NEVER>");
        assert_eq!(at.until(Millis(1)), Some("0s".into()));
    }
}
