//! State files: what `show servers state` said about servers of a process before (management manual section 9.3; manual
//! sections 3.1 `server-state-file` and 4.2 `load-server-state-from-file`).

use crate::diag::Severity;
use crate::files::Files;
use crate::load::Loaded;
use crate::model::{Global, LoadState, Proxy};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a state file says about a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// `be_id`
    pub backend_id: u32,
    /// `srv_addr`; none: it had no address.
    pub address: Option<IpAddr>,
    /// `srv_port`, and whether it is an offset
    pub port: u16,
    /// `srv_op_state`
    pub operation: u8,
    /// `srv_admin_state`
    pub admin: u8,
    /// `srv_uweight`
    pub weight: u32,
    /// `srv_iweight`
    pub initial_weight: u32,
    /// `srv_time_since_last_change`, in seconds
    pub since: u64,
    /// `srv_check_status`, the number of a status.
    pub check_status: u8,
    /// `srv_check_result`
    pub check_result: u8,
    /// `srv_check_health`
    pub check_health: u32,
    /// `srv_check_state`
    pub check_state: u8,
    /// `srv_agent_state`
    pub agent_state: u8,
    /// `srv_fqdn`
    pub fqdn: Option<String>,
    /// `srvrecord`
    pub srv_record: Option<String>,
    /// `srv_check_port`
    pub check_port: u16,
    /// `srv_check_addr`
    pub check_addr: Option<IpAddr>,
    /// `srv_agent_addr`
    pub agent_addr: Option<IpAddr>,
    /// `srv_agent_port`
    pub agent_port: u16,
}

/// Bits of `srv_admin_state`.
pub mod admin {
    /// Maintenance that an operator wants.
    pub const FORCED_MAINT: u8 = 0x01;
    /// Maintenance by the configuration.
    pub const CONFIG_MAINT: u8 = 0x04;
    /// An operator wants it to drain.
    pub const FORCED_DRAIN: u8 = 0x08;
    /// Its name is not that of the configuration.
    pub const OTHER_NAME: u8 = 0x40;
}

/// Columns of a line.
const COLUMNS: usize = 25;
/// Columns that must be there; later versions added the others.
const LEAST: usize = 19;

/// Names of backend and server.
type Key = (String, String);

impl Saved {
    /// One line.
    ///
    /// # Errors
    /// `None`: it is not one. Otherwise backend and server, and what is wrong.
    fn parse(line: &str) -> Result<(Key, Self), Option<(Key, String)>> {
        let columns: Vec<&str> = line.split_ascii_whitespace().take(COLUMNS).collect();
        if columns.len() < LEAST {
            return Err(None);
        }
        let column = |at: usize| columns.get(at).copied().unwrap_or("-");
        let text = |at: usize| Some(column(at)).filter(|c| *c != "-").map(str::to_owned);
        let mut wrong = Vec::new();
        let mut number = |at: usize, name: &str, max: u64| match column(at).parse::<u64>() {
            Ok(n) if n <= max => n,
            _ => {
                wrong.push(format!("invalid {name} value '{}'", column(at)));
                0
            }
        };
        let port = |at: usize| column(at).parse::<u16>().unwrap_or(0);
        let saved = Self {
            backend_id: column(0).parse().unwrap_or(0),
            address: column(4).parse().ok(),
            operation: number(5, "srv_op_state", 3) as u8,
            admin: number(6, "srv_admin_state", 0x7f) as u8,
            weight: number(7, "srv_uweight", 256) as u32,
            initial_weight: number(8, "srv_iweight", 256) as u32,
            since: number(9, "srv_last_time_change", u64::from(u32::MAX)),
            check_status: number(10, "srv_check_status", 31) as u8,
            check_result: number(11, "srv_check_result", 4) as u8,
            check_health: number(12, "srv_check_health", u64::from(u32::MAX)) as u32,
            check_state: number(13, "srv_check_state", 0x1f) as u8,
            agent_state: number(14, "srv_agent_state", 0x1f) as u8,
            fqdn: text(17),
            port: port(18),
            srv_record: text(19),
            check_port: port(21),
            check_addr: column(22).parse().ok(),
            agent_addr: column(23).parse().ok(),
            agent_port: port(24),
        };
        let key = (column(1).to_owned(), column(3).to_owned());
        if wrong.is_empty() { Ok((key, saved)) } else { Err(Some((key, wrong.join(", ")))) }
    }
}

/// A file's servers.
#[derive(Debug, Default)]
struct File {
    servers: HashMap<Key, Arc<Saved>>,
    /// Servers whose lines make no sense.
    bad: HashMap<Key, String>,
    /// The backend's id in a line that makes no sense.
    other_id: Option<u32>,
}

/// Why a file is not used.
enum Wrong {
    Open(io::Error),
    Empty,
    Version,
    Line(usize),
}

fn read(path: &Path, files: &dyn Files) -> Result<File, Wrong> {
    let text = files.read(path).map_err(Wrong::Open)?;
    if text.is_empty() {
        return Err(Wrong::Empty);
    }
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines();
    if lines.next().map(str::trim) != Some("1") {
        return Err(Wrong::Version);
    }
    let mut file = File::default();
    for (at, line) in lines.enumerate().filter(|(_, l)| !l.starts_with('#') && !l.is_empty()) {
        match Saved::parse(line) {
            Ok((key, saved)) => {
                file.servers.entry(key).or_insert_with(|| Arc::new(saved));
            }
            Err(Some((key, text))) => {
                file.bad.entry(key).or_insert(text);
                file.other_id = line.split(' ').next().and_then(|id| id.parse().ok());
            }
            Err(None) => return Err(Wrong::Line(at + 1)),
        }
    }
    Ok(file)
}

/// A state file's path.
fn path(global: &Global, name: &str) -> PathBuf {
    match &global.server_state_base {
        Some(base) => Path::new(base).join(name),
        None => name.into(),
    }
}

/// Reads the state files that the configuration names and gives each server what is known of it.
pub fn load(loaded: &mut Loaded, files: &dyn Files) {
    let Loaded { model, diags, .. } = loaded;
    let mut tell = |severity, text: String| {
        diags.late(severity, None, text);
    };
    let wanted = |p: &&mut Proxy, from| p.kind.back() && !p.disabled && p.load_state == from;
    let mut global = None;
    if model.proxies.iter_mut().any(|p| wanted(&p, LoadState::Global))
        && let Some(name) = &model.global.server_state_file
    {
        let path = path(&model.global, name);
        let shown = path.display();
        match read(&path, files) {
            Ok(file) => global = Some(file),
            Err(Wrong::Open(e)) => tell(
                Severity::Notice,
                format!("config: Can't open global server state file '{shown}': {}", reason(&e)),
            ),
            Err(Wrong::Empty | Wrong::Version) => tell(
                Severity::Warning,
                format!("config: Can't get version of the global server state file '{shown}'."),
            ),
            Err(Wrong::Line(n)) => tell(
                Severity::Warning,
                format!("config: corrupted global server state file '{shown}' at line {n}."),
            ),
        }
    }
    for p in model.proxies.iter_mut().filter(|p| wanted(p, LoadState::Global)) {
        if let Some(file) = &global {
            apply(p, file, &mut tell);
        }
    }
    for p in model.proxies.iter_mut().filter(|p| wanted(p, LoadState::Local)) {
        let path = path(&model.global, p.state_file.as_deref().unwrap_or(&p.name));
        let shown = path.display();
        match read(&path, files) {
            Ok(file) => {
                let other = file.servers.iter().find(|(key, s)| key.0 == p.name && s.backend_id != p.id);
                let other = other.map(|(_, s)| s.backend_id).or(file.other_id.filter(|id| *id != p.id));
                if let Some(id) = other {
                    let text = format!(
                        "Proxy '{}': backend ID mismatch: from server state file: '{id}', from running config '{}'",
                        p.name, p.id
                    );
                    tell(Severity::Warning, text);
                }
                apply(p, &file, &mut tell);
            }
            Err(Wrong::Open(e)) => tell(
                Severity::Notice,
                format!("Proxy '{}': Can't open server state file '{shown}': {}.", p.name, reason(&e)),
            ),
            Err(Wrong::Empty) => {
                tell(Severity::Notice, format!("Proxy '{}': Empty server state file '{shown}'.", p.name));
            }
            Err(Wrong::Version) => tell(
                Severity::Warning,
                format!("Proxy '{}': Can't get version of the server state file '{shown}'.", p.name),
            ),
            Err(Wrong::Line(n)) => tell(
                Severity::Warning,
                format!("Proxy '{}': corrupted server state file '{shown}' at line {n}.", p.name),
            ),
        }
    }
}

/// The system's words without the number that the standard library adds.
fn reason(e: &io::Error) -> String {
    e.to_string().split(" (os error").next().unwrap_or_default().to_owned()
}

fn apply(p: &mut Proxy, file: &File, tell: &mut dyn FnMut(Severity, String)) {
    for s in &mut p.servers {
        let key = (p.name.clone(), s.name.clone());
        s.saved = file.servers.get(&key).cloned();
        if s.saved.is_none()
            && let Some(text) = file.bad.get(&key)
        {
            let text = format!("server-state application failed for server '{}/{}', {text}", p.name, s.name);
            tell(Severity::Warning, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let line = "3 be 1 s1 127.0.0.9 2 8 5 10 100 6 3 4 6 22 0 0 a.test 9001 _h._t.x 0 66 127.0.0.99 - 77";
        let (key, saved) = Saved::parse(line).unwrap();
        assert_eq!(key, ("be".to_owned(), "s1".to_owned()));
        assert_eq!((saved.address, saved.port), ("127.0.0.9".parse().ok(), 9001));
        assert_eq!((saved.operation, saved.admin, saved.weight, saved.initial_weight), (2, 8, 5, 10));
        assert_eq!((saved.fqdn.as_deref(), saved.srv_record.as_deref()), (Some("a.test"), Some("_h._t.x")));
        assert_eq!((saved.check_port, saved.agent_port, saved.agent_addr), (66, 77, None));
        assert!(matches!(Saved::parse("3 be 1 s1"), Err(None)));
        let bad = "3 be 1 s1 127.0.0.9 99 x 5 10 100 6 3 4 6 22 0 0 a.test 9001";
        let Err(Some((_, text))) = Saved::parse(bad) else { panic!("taken") };
        assert_eq!(text, "invalid srv_op_state value '99', invalid srv_admin_state value 'x'");
    }
}
