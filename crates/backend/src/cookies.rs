//! Which server a persistence cookie names: values of the configuration, or `dynamic` ones that are made of the server's
//! address and a secret (manual section 4.2 "cookie", "dynamic-cookie-key").

use crate::backend::Entry;
use crate::server::ServerState;
use parking_lot::{Mutex, RwLock};
use portcullis_config::Proxy;
use portcullis_sample::convert::hash::xxh64;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A backend's cookies; requests only read.
#[derive(Debug, Default)]
pub(crate) struct Cookies {
    dynamic: Mutex<Dynamic>,
    jar: RwLock<Jar>,
}

/// Whether and with which secret values are made, and what the configuration said about it.
#[derive(Debug, Default)]
struct Dynamic {
    on: bool,
    key: Option<Vec<u8>>,
    configured: (bool, Option<Vec<u8>>),
}

#[derive(Debug, Default)]
struct Jar {
    /// In the order of declaration.
    by_value: HashMap<Arc<[u8]>, Vec<Arc<ServerState>>>,
    by_slot: Vec<Option<Arc<[u8]>>>,
}

impl Cookies {
    /// Takes what the section says, where that is something new.
    pub fn follow(&self, proxy: &Proxy) {
        let said = (proxy.cookie.as_ref().is_some_and(|c| c.dynamic), proxy.dynamic_cookie_key.clone());
        let mut now = self.dynamic.lock();
        if now.configured != said {
            (now.on, now.key) = said.clone();
            now.configured = said;
        }
    }
    /// `enable` and `disable dynamic-cookie backend`
    pub fn switch(&self, on: bool) {
        self.dynamic.lock().on = on;
    }
    /// `set dynamic-cookie-key backend`
    pub fn set_key(&self, key: &[u8]) {
        self.dynamic.lock().key = Some(key.to_vec());
    }

    /// Makes all values again: servers, addresses or the secret have changed.
    pub fn bake(&self, servers: &[Entry]) {
        let mut jar = Jar::default();
        {
            let dynamic = self.dynamic.lock();
            let key = dynamic.key.as_deref().filter(|_| dynamic.on);
            for entry in servers {
                let own = entry.config.cookie.clone();
                let made = || Some(value(key?, entry.state.place()?));
                let Some(value) = own.or_else(made) else { continue };
                let slot = entry.state.slot as usize;
                if jar.by_slot.len() <= slot {
                    jar.by_slot.resize(slot + 1, None);
                }
                if let Some(of) = jar.by_slot.get_mut(slot) {
                    *of = Some(value.clone());
                }
                jar.by_value.entry(value).or_default().push(entry.state.clone());
            }
        }
        *self.jar.write() = jar;
    }

    /// The first server with this value that is up; with `down`, the first of all.
    pub fn server(&self, value: &[u8], down: bool) -> Named {
        let jar = self.jar.read();
        let Some(servers) = jar.by_value.get(value) else { return Named::Nobody };
        match if down { servers.first() } else { servers.iter().find(|s| s.persistable()) } {
            Some(server) if server.persistable() => Named::Up(server.clone()),
            other => Named::Down(other.cloned()),
        }
    }
    /// A server's value.
    pub fn of(&self, server: &ServerState) -> Option<Arc<[u8]>> {
        self.jar.read().by_slot.get(server.slot as usize).cloned().flatten()
    }
}

/// Whom a cookie names.
#[derive(Clone, Debug)]
pub enum Named {
    /// No server has this value.
    Nobody,
    /// A server that works.
    Up(Arc<ServerState>),
    /// All servers with this value are down; the first of them where the request shall go there nevertheless.
    Down(Option<Arc<ServerState>>),
}

/// The value of a server at this address, as 16 hexadecimal digits.
fn value(key: &[u8], at: SocketAddr) -> Arc<[u8]> {
    let mut text = key.to_vec();
    match at.ip() {
        IpAddr::V4(ip) => text.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => text.extend_from_slice(&ip.octets()),
    }
    text.extend_from_slice(&u32::from(at.port()).to_be_bytes());
    format!("{:016x}", xxh64(0, &text)).into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen in 3.5's `show stat`.
    #[test]
    fn values_are_haproxys() {
        for (key, at, wanted) in [
            ("secret", "127.0.0.1:18801", "381d789818c18541"),
            ("secret", "127.0.0.2:18801", "b746df0fac6ed61b"),
            ("secret", "[::1]:18801", "493ea25f4a0d4ea7"),
            ("other", "127.0.0.1:18801", "aea90114e55184df"),
        ] {
            let made = value(key.as_bytes(), at.parse().unwrap());
            assert_eq!(String::from_utf8_lossy(&made), wanted);
        }
    }
}
