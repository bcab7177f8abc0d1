//! Free TCP and UDP ports, each owned by one scenario: parallel tests and parallel test processes never collide.
use rustix::fs::{FlockOperation, flock};
use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{self, AddressFamily, SocketType};
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// First port handed out and how many follow; all below the kernel's ephemeral range.
const FIRST: u32 = 10_000;
const COUNT: u32 = 9_000;

/// Numbers that fixtures speak of (sizes, ports in PROXY headers): were they a scenario's ports, they would be masked there.
const SPOKEN: [u16; 12] =
    [10_000, 11_199, 12_345, 15_000, 15_007, 15_019, 15_360, 15_361, 16_300, 16_384, 17_000, 17_001];

/// A port that nobody else gets while this lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Reserves a port that is that nobody listens on.
    pub fn reserve() -> Port {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let dir = lock_dir();
        for _ in 0..COUNT {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let number = (FIRST + (std::process::id().wrapping_mul(131) + step) % COUNT) as u16;
            if SPOKEN.contains(&number) {
                continue;
            }
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

/// Whether nobody listens there. The probe never listens itself, so that it is in nobody's way even where a process that is
/// being started still holds a copy of it.
fn is_free(port: u16) -> bool {
    probe(port).is_ok()
}

fn probe(port: u16) -> rustix::io::Result<()> {
    let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    set_socket_reuseaddr(&socket, true)?;
    net::bind(&socket, &SocketAddr::from(([0, 0, 0, 0], port)))
}

fn lock_dir() -> PathBuf {
    let dir = std::env::temp_dir().join("portcullis-e2e-ports");
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// Whether some process listens on this TCP port of any address, without connecting to it.
pub fn is_listening(port: u16) -> bool {
    probe(port) == Err(rustix::io::Errno::ADDRINUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn numbers_of(folder: &Path, found: &mut Vec<u16>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                numbers_of(&entry.path(), found);
            } else {
                let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
                found.extend(text.split(|c: char| !c.is_ascii_digit()).filter_map(|w| w.parse::<u16>().ok()));
            }
        }
    }

    #[test]
    fn no_fixture_speaks_of_a_number_that_may_be_a_port() {
        let mut found = Vec::new();
        numbers_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures"), &mut found);
        found.retain(|n| (FIRST..FIRST + COUNT).contains(&u32::from(*n)) && !SPOKEN.contains(n));
        assert!(found.is_empty(), "add to SPOKEN: {found:?}");
    }
}
