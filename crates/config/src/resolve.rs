//! Server names into addresses, once everything has been read without an error (`init-addr`), and what else needs files
//! then: state files, the name servers of the system.

use crate::addr::{Host, Ports};
use crate::diag::{Diagnostics, Severity};
use crate::files::Files;
use crate::load::Loaded;
use crate::model::{InitAddr, Server};
use crate::{rows, saved};
use std::collections::HashMap;
use std::net::IpAddr;

/// How one server's name fared.
enum Found {
    Address(IpAddr),
    /// It begins without.
    Nothing,
    /// It has to have one.
    Failed(&'static str),
}

/// Names that were looked up.
struct Names<'f> {
    files: &'f dyn Files,
    known: HashMap<String, Option<IpAddr>>,
}

impl Names<'_> {
    fn look_up(&mut self, name: &str) -> Option<IpAddr> {
        *self.known.entry(name.to_owned()).or_insert_with(|| self.files.resolve(name))
    }
}

/// Gives servers the state that was saved and finds the addresses of their names; it may block. A name without an address
/// is an error; with `lenient` (`-dr`), or if its server has `resolvers`, the server begins in maintenance.
pub fn servers(loaded: &mut Loaded, files: &dyn Files, lenient: bool) {
    if loaded.diags.failed() {
        return;
    }
    rows::resolvers::add_default(&mut loaded.model, files);
    saved::load(loaded, files);
    let mut names = Names { files, known: HashMap::new() };
    let mut failed = false;
    for proxy in loaded.model.proxies.iter_mut().filter(|p| !p.disabled) {
        for server in &mut proxy.servers {
            let Host::Name(name) = &server.address.host else { continue };
            match find(server, name, &mut names) {
                Found::Address(ip) => server.address.host = ip.into(),
                Found::Nothing => {}
                Found::Failed(why) => {
                    let lenient = lenient || server.set.resolvers.is_some();
                    failed |= !lenient;
                    tell(&mut loaded.diags, &proxy.name, server, why, lenient);
                }
            }
        }
    }
    if failed {
        loaded
            .diags
            .late(Severity::Alert, None, "Failed to initialize server(s) addr.")
            .hint("'-dr' starts without the servers whose names are not known");
    }
}

const LIBC: &str = "could not resolve address";
const NO_METHOD: &str = "no method found to resolve address";

/// Tries the methods in turn.
fn find(server: &Server, name: &str, names: &mut Names<'_>) -> Found {
    let said = server.set.init_addr.as_slice();
    let methods = if said.is_empty() { &[InitAddr::Last, InitAddr::Libc] } else { said };
    let mut why = NO_METHOD;
    for method in methods {
        let found = match method {
            InitAddr::Last => server.saved.as_ref().and_then(|s| s.address),
            InitAddr::Libc if server.is_srv() => None,
            InitAddr::Libc => {
                why = LIBC;
                names.look_up(name)
            }
            InitAddr::None => return Found::Nothing,
            InitAddr::Ip(ip) => Some(*ip),
        };
        if let Some(ip) = found {
            return Found::Address(ip);
        }
    }
    Found::Failed(why)
}

fn tell(diags: &mut Diagnostics, proxy: &str, server: &Server, why: &str, lenient: bool) {
    let file = diags.files.get(server.place.file.0 as usize).map_or("?", String::as_str);
    let name = server.fqdn.as_deref().unwrap_or_default();
    let text = format!("[{file}:{}] : {} : {why} '{name}'", server.place.line, server.called(proxy));
    match lenient {
        true => diags.late(Severity::Notice, None, format!("{text}, disabling server.")),
        false => diags.late(Severity::Alert, None, format!("{text}.")),
    };
}

/// The port of an address, 0 if it has none of its own.
#[must_use]
pub fn port(ports: Ports) -> u16 {
    match ports {
        Ports::One(port) | Ports::Range(port, _) => port,
        Ports::None | Ports::Offset(_) => 0,
    }
}
