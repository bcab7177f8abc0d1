//! Idle server connections that one client's connection has for itself, its streams together: with `http-reuse never`, to servers that cannot be
//! shared, and those on which NTLM or Negotiate was spoken, which authenticate the connection (manual, "http-reuse",
//! "max-session-srv-conns", "option prefer-last-server", "max-keep-alive-queue").

use crate::plan::ProxyPlan;
use crate::upstream::Idle;
use portcullis_backend::{Handle, ServerState};
use portcullis_message::{Head, values};
use std::cell::{RefCell, RefMut};
use std::rc::Rc;
use std::sync::Arc;

/// What a client's connection has for itself; its streams have it together.
#[derive(Clone, Debug, Default)]
pub struct Shared(Rc<RefCell<Own>>);

impl Shared {
    /// It, for a moment.
    #[must_use]
    pub fn borrow(&self) -> RefMut<'_, Own> {
        self.0.borrow_mut()
    }

    /// A stream or the connection itself has ended: the last of them closes what is left.
    pub fn end(self, idle: &mut Idle) {
        let Some(own) = Rc::into_inner(self.0) else { return };
        for handle in own.into_inner().all() {
            if let Some(up) = idle.pool.remove(handle) {
                idle.close(up);
            }
        }
    }
}

/// A session's own connections, the server used first in front; never more than `max-session-srv-conns` that rest. Streams
/// side by side may have several to one server.
#[derive(Debug, Default)]
pub struct Own {
    servers: Vec<(Arc<ServerState>, Option<Handle>)>,
    /// A server has asked for NTLM or Negotiate: the session stays with it as long as it can.
    bound: bool,
}

impl Own {
    /// A connection to this server that fits, if there is one.
    pub fn take(
        &mut self,
        server: &Arc<ServerState>,
        fits: &mut dyn FnMut(Handle) -> bool,
    ) -> Option<Handle> {
        let of = |(s, h): &&mut (Arc<ServerState>, Option<Handle>)| {
            Arc::ptr_eq(s, server) && h.is_some_and(&mut *fits)
        };
        self.servers.iter_mut().find(of)?.1.take()
    }

    /// May one more connection rest?
    #[must_use]
    pub fn has_room(&self, most: u32) -> bool {
        self.servers.iter().filter(|(_, h)| h.is_some()).count() < most as usize
    }

    /// A connection rests now.
    pub fn put(&mut self, server: &Arc<ServerState>, handle: Handle) {
        match self.servers.iter_mut().find(|(s, h)| h.is_none() && Arc::ptr_eq(s, server)) {
            Some(found) => found.1 = Some(handle),
            None => self.servers.push((server.clone(), Some(handle))),
        }
    }

    /// Forgets servers to which there is no connection any more.
    pub fn tidy(&mut self, idle: &mut Idle) {
        self.servers.retain(|(_, h)| h.is_some_and(|h| idle.pool.get_mut(h).is_some()));
    }

    /// The session stays with the servers that it has connections to.
    pub fn bind(&mut self) {
        self.bound = true;
    }

    /// The server that the next request to `back` goes to rather than to another one: balancing would choose any, and
    /// there is a connection to it.
    #[must_use]
    pub fn preferred(&self, back: &ProxyPlan) -> Option<Arc<ServerState>> {
        let wanted = self.bound || back.has(portcullis_config::Opts::PREFER_LAST_SERVER);
        if !wanted || back.key.is_some() {
            return None;
        }
        let may_wait = |s: &ServerState| {
            let most = back.max_keep_alive_queue.filter(|_| !self.bound);
            !s.saturated() || most.is_none_or(|most| s.queued() < most)
        };
        let here = |s: &ServerState| back.server_of(s).is_some() && *s.backend == *back.name;
        let of = |s: &&(Arc<ServerState>, Option<Handle>)| here(&s.0) && s.0.usable() && may_wait(&s.0);
        self.servers.iter().find(of).map(|(s, _)| s.clone())
    }

    /// All connections, to be closed.
    fn all(self) -> impl Iterator<Item = Handle> {
        self.servers.into_iter().filter_map(|(_, h)| h)
    }
}

/// Does this response ask for an authentication of the connection itself, NTLM or Negotiate?
#[must_use]
pub fn asks_for_connection(response: &Head) -> bool {
    let field = match response.status {
        401 => &b"www-authenticate"[..],
        407 => &b"proxy-authenticate"[..],
        _ => return false,
    };
    let begins = |e: &[u8], with: &[u8]| e.get(..4).is_some_and(|b| b.eq_ignore_ascii_case(with));
    response.named(field).flat_map(values::elements).any(|e| begins(e, b"nego") || begins(e, b"ntlm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes() {
        let asks = |status, name: &[u8], value: &[u8]| {
            let mut head = Head::default();
            head.set_response(portcullis_message::Version::HTTP_11, status, b"");
            head.push(name, value);
            asks_for_connection(&head)
        };
        assert!(asks(401, b"www-authenticate", b"NTLM"));
        assert!(asks(401, b"www-authenticate", b"Basic realm=a, nTLM"));
        assert!(asks(407, b"proxy-authenticate", b"Negotiate abc"));
        assert!(!asks(401, b"www-authenticate", b"Nt"));
        assert!(!asks(401, b"proxy-authenticate", b"NTLM"));
        assert!(!asks(200, b"www-authenticate", b"NTLM"));
    }
}
