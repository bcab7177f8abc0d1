//! Server names into addresses, once everything has been read without an error (`init-addr libc`).

use crate::addr::Host;
use crate::diag::Severity;
use crate::files::Files;
use crate::load::Loaded;
use std::collections::HashMap;
use std::net::IpAddr;

/// Resolves the names of all servers; it may block. A name that is not known is an error, or disables its server if
/// `lenient` (`-dr`).
pub fn servers(loaded: &mut Loaded, files: &dyn Files, lenient: bool) {
    if loaded.diags.failed() {
        return;
    }
    let mut known: HashMap<String, Option<IpAddr>> = HashMap::new();
    let mut failed = false;
    for proxy in loaded.model.proxies.iter_mut().filter(|p| !p.disabled) {
        for server in &mut proxy.servers {
            let Host::Name(name) = &server.address.host else { continue };
            if let Some(ip) = *known.entry(name.clone()).or_insert_with(|| files.resolve(name)) {
                server.address.host = ip.into();
                continue;
            }
            let file = loaded.diags.files.get(server.place.file.0 as usize).map_or("?", String::as_str);
            let name = name.split_once('@').map_or(name.as_str(), |(_, bare)| bare);
            let text = format!(
                "[{file}:{}] : 'server {}/{}' : could not resolve address '{name}'",
                server.place.line, proxy.name, server.name
            );
            // an empty label, as a variable that is not set leaves behind
            if name.trim_end_matches('.').split('.').any(str::is_empty) {
                let text = text
                    .replace(&format!("could not resolve address '{name}'"), "Can't create DNS resolution");
                failed = true;
                loaded.diags.late(Severity::Alert, None, format!("{text} for server '{}'", server.name));
                continue;
            }
            if lenient {
                server.set.disabled = true;
                loaded.diags.late(Severity::Notice, None, format!("{text}, disabling server."));
            } else {
                failed = true;
                loaded.diags.late(Severity::Alert, None, format!("{text}."));
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
