//! Persistence: which server a client shall come back to (manual section 4.2 "cookie", "persist rdp-cookie",
//! "ignore-persist", "force-persist", "option persist").
//!
//! [`CookiePlan`] is a backend's `cookie`, [`Visit`] what a request's cookie said; [`request`] reads and cleans Cookie
//! fields, [`response`] the Set-Cookie ones. Which server has which value, the backend's state knows.

pub mod cacheable;
pub mod rdp;
pub mod request;
pub mod response;
pub mod stamp;

use portcullis_backend::ServerState;
use portcullis_config::{Cookie, CookieMode};
use std::sync::Arc;

/// A backend's `cookie`, ready to be used.
#[derive(Debug)]
pub struct CookiePlan {
    /// Its name.
    pub name: Box<[u8]>,
    mode: CookieMode,
    indirect: bool,
    nocache: bool,
    postonly: bool,
    preserve: bool,
    maxidle: u32,
    maxlife: u32,
    /// What stands behind the value: path, domains, HttpOnly ….
    attributes: Box<[u8]>,
}

impl CookiePlan {
    /// From the configuration.
    #[must_use]
    pub fn new(c: &Cookie) -> Self {
        let mut attributes = b"; path=/".to_vec();
        let mut add = |parts: &[&[u8]]| {
            attributes.extend_from_slice(b"; ");
            parts.iter().for_each(|p| attributes.extend_from_slice(p));
        };
        c.domains.iter().for_each(|d| add(&[b"domain=", d.as_bytes()]));
        if c.httponly {
            add(&[b"HttpOnly"]);
        }
        if c.secure {
            add(&[b"Secure"]);
        }
        c.attrs.iter().for_each(|a| add(&[a]));
        Self {
            name: c.name.as_slice().into(),
            mode: c.mode,
            indirect: c.indirect,
            nocache: c.nocache,
            postonly: c.postonly,
            preserve: c.preserve,
            maxidle: c.maxidle,
            maxlife: c.maxlife,
            attributes: attributes.into(),
        }
    }
    /// Does the termination state tell about cookies?
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.mode != CookieMode::Passive || self.indirect
    }
}

/// What a rule says about the persistence of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// `ignore-persist`
    Ignore,
    /// `force-persist`: to servers that are down as well, and without redispatch.
    Force,
}

/// What a request's persistence cookie said, and what was done about it.
#[derive(Debug)]
pub struct Visit {
    /// What a rule wants.
    pub wish: Option<Wish>,
    /// Something else (`use-server`) chooses the server.
    pub chosen: bool,
    /// Third letter of the termination state.
    pub letter: u8,
    /// The server that the cookie brings the request to.
    pub server: Option<Arc<ServerState>>,
    /// The date of the last visit in seconds; 0: none.
    last: i32,
    /// That of the first one.
    first: i32,
}

impl Visit {
    /// Nothing known yet.
    #[must_use]
    pub fn new(wish: Option<Wish>) -> Self {
        Self { wish, chosen: false, letter: b'N', server: None, last: 0, first: 0 }
    }
    /// The cookie is not looked at to find a server.
    fn is_bypassed(&self) -> bool {
        self.chosen || self.wish == Some(Wish::Ignore)
    }
    /// The request went to another server than its cookie's.
    pub fn redispatched(&mut self) {
        if self.server.take().is_some() {
            self.letter = b'D';
        }
    }
}
