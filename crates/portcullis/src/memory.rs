//! What a master remembers over becoming its program again: one environment variable, parts between commas, fields between
//! colons.

use rustix::fd::OwnedFd;

/// A worker as the program before knew it.
#[derive(Debug)]
pub struct Remembered {
    /// Its pid.
    pub pid: i32,
    /// Reloads that it has survived.
    pub reloads: u32,
    /// The master's end of its pair.
    pub fd: i32,
    /// It is the one that serves.
    pub current: bool,
    /// Seconds on the system's clock since boot when it began.
    pub since: u64,
    /// Its version.
    pub version: String,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Memory {
    /// The workers.
    pub workers: Vec<Remembered>,
    /// Listening sockets of the master CLI.
    pub sockets: Vec<OwnedFd>,
    /// The connections that wait for the end of the reload.
    pub waiting: Vec<OwnedFd>,
    /// The reload ends old workers at once.
    pub hard: bool,
    /// Reloads so far, and those that failed since the last that did not.
    pub reloads: (u32, u32),
    /// When the master began.
    pub since: u64,
}

impl Memory {
    /// Reads it.
    pub fn parse(text: &str) -> Self {
        let mut memory = Self::default();
        for part in text.split(',') {
            // what cannot be read is not remembered
            let _ = memory.part(part);
        }
        memory
    }

    fn part(&mut self, part: &str) -> Option<()> {
        let (kind, rest) = part.split_once(':')?;
        let mut fields = rest.splitn(6, ':');
        let mut number = || fields.next()?.parse::<i64>().ok();
        match kind {
            "w" => {
                let (pid, reloads, fd, current, since) =
                    (number()?, number()?, number()?, number()?, number()?);
                self.workers.push(Remembered {
                    pid: i32::try_from(pid).ok()?,
                    reloads: u32::try_from(reloads).ok()?,
                    fd: i32::try_from(fd).ok()?,
                    current: current == 1,
                    since: u64::try_from(since).ok()?,
                    version: fields.next().unwrap_or_default().to_string(),
                });
            }
            "m" => {
                self.reloads = (u32::try_from(number()?).ok()?, u32::try_from(number()?).ok()?);
                self.since = u64::try_from(number()?).ok()?;
                self.hard = number()? == 1;
            }
            "s" => self.sockets.push(portcullis_sys::fd::take(i32::try_from(number()?).ok()?).ok()?),
            "c" => self.waiting.push(portcullis_sys::fd::take(i32::try_from(number()?).ok()?).ok()?),
            _ => {}
        }
        Some(())
    }
}

/// A worker's part.
pub fn worker(w: &Remembered) -> String {
    let version = w.version.replace(',', ";");
    format!("w:{}:{}:{}:{}:{}:{version}", w.pid, w.reloads, w.fd, u8::from(w.current), w.since)
}

/// The master's part.
pub fn master((reloads, failed): (u32, u32), since: u64, hard: bool) -> String {
    format!("m:{reloads}:{failed}:{since}:{}", u8::from(hard))
}

/// A listening socket's part.
pub fn socket(fd: i32) -> String {
    format!("s:{fd}")
}

/// A waiting connection's part.
pub fn waiting(fd: i32) -> String {
    format!("c:{fd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let one =
            Remembered { pid: 12, reloads: 3, fd: 7, current: true, since: 99, version: "3.5:x".into() };
        let m = Memory::parse(&format!("{},{},bogus,s:x", master((5, 1), 42, true), worker(&one)));
        assert_eq!((m.reloads, m.since, m.hard), ((5, 1), 42, true));
        let w = &m.workers[0];
        assert_eq!((w.pid, w.reloads, w.fd, w.current, w.since), (12, 3, 7, true, 99));
        assert_eq!(w.version, "3.5:x");
        assert!(m.sockets.is_empty() && m.waiting.is_empty());
        assert!(Memory::parse("").workers.is_empty());
    }
}
