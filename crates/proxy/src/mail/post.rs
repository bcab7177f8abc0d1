//! Mails on their way. One worker sends them all, so that each mail server gets them in order and one at a time.

use super::plan::Alerts;
use crate::check::report;
use crate::check::run::system;
use crate::worker::Worker;
use crate::worker::mailbox::Mail as Message;
use portcullis_config::Severity;
use portcullis_sys::localtime;
use portcullis_telemetry::ledger::Kind;
use portcullis_telemetry::log::Level;
use portcullis_transport::connect::{self, ConnectOptions, Target};
use portcullis_wire::smtp::{Dialogue, Mail, Next};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Mails that wait for a mail server; more are lost, and the log says so.
const MOST_WAITING: usize = 1024;

/// A mail for one mail server.
struct Letter {
    /// Whose servers it is about.
    backend: Arc<str>,
    alerts: Arc<Alerts>,
    /// The mail server's place among those of the section.
    mailer: usize,
    text: Arc<str>,
    /// Since the epoch.
    wall: Duration,
}

/// What waits, by mail server; an entry is there while a task empties it.
#[derive(Default)]
pub struct Post(HashMap<SocketAddr, VecDeque<Letter>>);

/// Tells all mail servers of a proxy.
pub fn send(worker: &Worker, backend: Arc<str>, alerts: Arc<Alerts>, text: &str) {
    let text: Arc<str> = text.strip_suffix('.').unwrap_or(text).into();
    let wall = worker.clock.wall();
    if let Some(first) = worker.process.workers().first() {
        first.send(Message::Run(Box::new(move |worker| {
            for mailer in 0..alerts.mailers.len() {
                let (backend, alerts, text) = (backend.clone(), alerts.clone(), text.clone());
                put(worker, Letter { backend, alerts, mailer, text, wall });
            }
        })));
    }
}

fn put(worker: &Rc<Worker>, letter: Letter) {
    let Some(address) = letter.alerts.mailers.get(letter.mailer).map(|m| m.address) else { return };
    let mut post = worker.post.borrow_mut();
    match post.0.get_mut(&address) {
        Some(waiting) if waiting.len() >= MOST_WAITING => {
            drop(post);
            letter.is_lost(worker, "too many are waiting");
        }
        Some(waiting) => waiting.push_back(letter),
        None => {
            post.0.insert(address, VecDeque::from([letter]));
            crate::worker::spawn(worker, Kind::Mail, None, carry(worker.clone(), address));
        }
    }
}

/// Brings all that waits for a mail server.
async fn carry(worker: Rc<Worker>, address: SocketAddr) {
    let next = || {
        let mut post = worker.post.borrow_mut();
        let letter = post.0.get_mut(&address).and_then(VecDeque::pop_front);
        if letter.is_none() {
            post.0.remove(&address);
        }
        letter
    };
    while let Some(letter) = next() {
        match timeout(letter.alerts.timeout, letter.deliver(address)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => letter.is_lost(&worker, &why),
            Err(_) => letter.is_lost(&worker, "it took too long"),
        }
    }
}

impl Letter {
    fn is_lost(&self, worker: &Worker, why: &str) {
        let name = self.alerts.mailers.get(self.mailer).map_or("", |m| &m.name);
        let text = format!("Can't send email alert to {name}: {why}.");
        report::log(worker, &self.backend, Level::Warning, &text, Severity::Warning, &text);
    }

    async fn deliver(&self, address: SocketAddr) -> Result<(), String> {
        let target = Target::Inet { addr: address, mptcp: false };
        let connected = connect::stream(&target, &ConnectOptions::default()).await;
        let socket = connected.map_err(|e| format!("Can't connect to \"{address}\" ({})", system(&e)))?;
        let mut dialogue = Dialogue::new(&Mail {
            hello: &self.alerts.hello,
            from: &self.alerts.from,
            to: &self.alerts.to,
            date: &date(self.wall),
            subject: &format!("[HAProxy Alert] {}", self.text),
            text: &self.text,
        });
        loop {
            let heard = hear(&socket).await.map_err(|e| system(&e))?;
            match dialogue.receive(&heard)? {
                Next::Wait => {}
                Next::Say(bytes) => say(&socket, &bytes).await.map_err(|e| system(&e))?,
                Next::Done => return Ok(()),
            }
        }
    }
}

async fn hear(socket: &TcpStream) -> io::Result<Vec<u8>> {
    let mut buffer = [0; 1024];
    loop {
        socket.readable().await?;
        match socket.try_read(&mut buffer) {
            Ok(0) => {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "Connection unexpectedly closed"));
            }
            Ok(n) => return Ok(buffer.get(..n).unwrap_or_default().to_vec()),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
}

async fn say(socket: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        socket.writable().await?;
        match socket.try_write(bytes) {
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// `Fri, 27 Nov 2026 06:47:09 +0000 (UTC)`
fn date(wall: Duration) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let epoch = i64::try_from(wall.as_secs()).unwrap_or(0);
    let t = localtime::local_time(epoch);
    let days = (epoch + i64::from(t.offset)).div_euclid(86400);
    // the epoch was a Thursday
    let day = usize::try_from((days + 4).rem_euclid(7)).unwrap_or(0);
    let month = MONTHS.get(usize::from(t.month).saturating_sub(1)).unwrap_or(&"");
    let (sign, offset) = (if t.offset < 0 { '-' } else { '+' }, t.offset.unsigned_abs());
    let zone = format!("{sign}{:02}{:02} ({})", offset / 3600, offset / 60 % 60, localtime::zone_name(epoch));
    let day = DAYS.get(day).unwrap_or(&"");
    format!("{day}, {:02} {month} {} {:02}:{:02}:{:02} {zone}", t.day, t.year, t.hour, t.minute, t.second)
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates_of_mails() {
        let text = super::date(std::time::Duration::from_secs(1_795_762_029));
        let utc = portcullis_sys::localtime::local_time(1_795_762_029).offset == 0;
        assert!(!utc || text.starts_with("Fri, 27 Nov 2026 06:47:09 +0000 ("), "{text}");
        assert_eq!(text.split(' ').count(), 7, "{text}");
    }
}
