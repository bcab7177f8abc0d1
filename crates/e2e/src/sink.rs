//! A syslog receiver over UDP or a Unix datagram socket.
use crate::process::{PATIENCE, wait_for};
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

/// Receives log lines; none is lost between two looks.
pub struct LogSink {
    socket: Socket,
    lines: Vec<String>,
}

impl LogSink {
    /// Listens on a UDP port of 127.0.0.1.
    pub fn udp(port: u16) -> LogSink {
        // a process that is being started may hold a copy of a closed socket for a moment
        let socket = wait_for(PATIENCE, || UdpSocket::bind(("127.0.0.1", port)).ok()).expect("a free port");
        LogSink { socket: Socket::Udp(socket), lines: Vec::new() }
    }

    /// Listens on a Unix datagram socket.
    pub fn unix(path: &Path) -> LogSink {
        LogSink { socket: Socket::Unix(UnixDatagram::bind(path).unwrap()), lines: Vec::new() }
    }

    fn receive(&mut self, patience: Duration) -> bool {
        let patience = Some(patience.max(Duration::from_micros(1)));
        let mut datagram = [0; 65536];
        let got = match &self.socket {
            Socket::Udp(s) => s.set_read_timeout(patience).and_then(|()| s.recv(&mut datagram)),
            Socket::Unix(s) => s.set_read_timeout(patience).and_then(|()| s.recv(&mut datagram)),
        };
        if let Ok(n) = got {
            self.lines
                .push(String::from_utf8_lossy(&datagram[..n]).trim_end_matches(['\n', '\0']).to_string());
        }
        got.is_ok()
    }

    /// Waits until `n` lines have come; gives all that are there then, fewer when [`PATIENCE`] is over.
    pub fn wait(&mut self, n: usize) -> &[String] {
        let end = Instant::now() + PATIENCE;
        while self.lines.len() < n && Instant::now() < end {
            self.receive(end.saturating_duration_since(Instant::now()));
        }
        &self.lines
    }

    /// All lines that have arrived by now.
    pub fn drain(&mut self) -> Vec<String> {
        while self.receive(Duration::ZERO) {}
        self.lines.clone()
    }
}
