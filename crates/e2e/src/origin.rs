//! A scripted server: a closure plays each connection.
use crate::conn::{Conn, Socket, Transcript};
use crate::process::{PATIENCE, wait_for};
use crate::quiet::Crew;
use std::net::{TcpListener, TcpStream};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One accepted connection, and which one it is.
pub struct OriginConn {
    conn: Conn,
    /// Counted from 0 in order of acceptance.
    pub number: usize,
}

impl OriginConn {
    /// Closes with a reset.
    pub fn reset(self) {
        self.conn.reset();
    }

    /// Answers every request with these bytes until the peer closes.
    pub fn answer_all(mut self, response: &[u8]) {
        while self.request().is_some() {
            self.conn.send_quietly(response);
        }
    }
}

impl From<OriginConn> for Conn {
    fn from(conn: OriginConn) -> Conn {
        conn.conn
    }
}

impl Deref for OriginConn {
    type Target = Conn;
    fn deref(&self) -> &Conn {
        &self.conn
    }
}

impl DerefMut for OriginConn {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.conn
    }
}

/// A listening server of a scenario.
pub struct Origin {
    /// The name that configurations know its port by.
    pub name: String,
    port: u16,
    connections: Arc<Mutex<Vec<Transcript>>>,
    stop: Arc<AtomicBool>,
    crew: Crew,
}

impl Origin {
    /// Listens on `port` and plays each connection in a thread of its own.
    pub fn start(name: &str, port: u16, script: impl Fn(OriginConn) + Send + Sync + 'static) -> Origin {
        // a process that is being started may hold a copy of a closed socket for a moment
        let listener =
            wait_for(PATIENCE, || TcpListener::bind(("127.0.0.1", port)).ok()).expect("a free port");
        let (connections, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (mine, stopped, script) = (connections.clone(), stop.clone(), Arc::new(script));
        let crew = Crew::default();
        let (member, all) = (crew.announce(), crew.clone());
        std::thread::spawn(move || {
            member.here();
            for stream in listener.incoming() {
                if stopped.load(Ordering::Acquire) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let transcript = Transcript::default();
                let number = {
                    let mut all: std::sync::MutexGuard<'_, Vec<Transcript>> = mine.lock().unwrap();
                    all.push(transcript.clone());
                    all.len() - 1
                };
                let (script, member) = (script.clone(), all.announce());
                std::thread::spawn(move || {
                    member.here();
                    script(OriginConn { conn: Conn::new(Socket::Tcp(stream), transcript), number });
                });
            }
        });
        Origin { name: name.into(), port, connections, stop, crew }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The threads that play it.
    pub fn crew(&self) -> &Crew {
        &self.crew
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> usize {
        self.connections.lock().unwrap().len()
    }

    /// Waits until it has accepted `n` connections.
    pub fn wait_connections(&self, n: usize) {
        wait_for(PATIENCE, || (self.connections() >= n).then_some(()))
            .unwrap_or_else(|| panic!("{} has {} connections, expected {n}", self.name, self.connections()));
    }

    /// Waits until connection `number` has seen a line that starts so.
    pub fn wait_line(&self, number: usize, start: &str) {
        let seen = || {
            let all = self.connections.lock().unwrap();
            all.get(number)?.lines().iter().any(|l| l.starts_with(start)).then_some(())
        };
        wait_for(PATIENCE, seen)
            .unwrap_or_else(|| panic!("{}: no line {start:?} on connection {number}", self.name));
    }

    /// The story of each connection.
    pub fn transcripts(&self) -> Vec<Vec<String>> {
        self.connections.lock().unwrap().iter().map(Transcript::lines).collect()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // wakes the accepting thread, which then ends
        let _ = TcpStream::connect_timeout(&([127, 0, 0, 1], self.port).into(), Duration::from_secs(1));
    }
}
