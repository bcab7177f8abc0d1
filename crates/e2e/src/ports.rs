//! Free TCP and UDP ports, each owned by one scenario: parallel tests and parallel test processes never collide.
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// First port handed out and how many follow; all below the kernel's ephemeral range.
const FIRST: u32 = 10_000;
const COUNT: u32 = 20_000;

/// A port that nobody else gets while this lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Reserves a port that is free for TCP and UDP on 127.0.0.1.
    pub fn reserve() -> Port {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let dir = lock_dir();
        for _ in 0..COUNT {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let number = (FIRST + (std::process::id().wrapping_mul(131) + step) % COUNT) as u16;
            let Ok(lock) = File::options().create(true).append(true).open(dir.join(number.to_string()))
            else {
                continue;
            };
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() && is_free(number) {
                return Port { number, _lock: lock };
            }
        }
        panic!("no free port left");
    }

    /// The port number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("0.0.0.0", port)).is_ok() && UdpSocket::bind(("0.0.0.0", port)).is_ok()
}

fn lock_dir() -> PathBuf {
    let dir = std::env::temp_dir().join("portcullis-e2e-ports");
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// Whether some process listens on this TCP port, without connecting to it.
pub fn is_listening(port: u16) -> bool {
    let suffix = format!(":{port:04X}");
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        std::fs::read_to_string(table).unwrap_or_default().lines().skip(1).any(|line| {
            let mut words = line.split_ascii_whitespace().skip(1);
            words.next().is_some_and(|local| local.ends_with(&suffix)) && words.nth(1) == Some("0A")
        })
    })
}
