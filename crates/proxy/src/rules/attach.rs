//! `attach-srv`: a client's connection is handed over to a server, whose requests go by it from then on (manual section 4.4,
//! reverse HTTP).

use super::action::Action;
use super::cx::RuleCx;
use super::lang::{Expr, Parsing};
use super::sets::RuleSets;
use super::table::{Parsed, Sets};
use crate::tls::{PoolName, pool_key};
use portcullis_config::{Diagnostics, Model, Severity};
use std::sync::Arc;

/// The action.
#[derive(Debug)]
pub struct Attach {
    /// BACKEND/SERVER
    server: Arc<str>,
    /// `name`: what requests must ask for to get it (`pool-conn-name`).
    name: Option<Expr>,
}

/// To which server a connection goes.
#[derive(Clone, Debug)]
pub struct Attached {
    /// BACKEND/SERVER
    server: Arc<str>,
    /// What requests must have in common to use it.
    pub key: u64,
}

impl Attached {
    /// Backend and server.
    #[must_use]
    pub fn server(&self) -> (&str, &str) {
        self.server.split_once('/').unwrap_or(("", ""))
    }
}

impl Attach {
    /// The connection goes to the server once its settings are known.
    pub(super) fn run(&self, cx: &mut RuleCx<'_, '_>) {
        let name = self.name.as_ref().and_then(|e| e.text(&cx.scope()).map(std::borrow::Cow::into_owned));
        let key =
            pool_key(name.as_deref().and_then(|n| std::str::from_utf8(n).ok()).filter(|n| !n.is_empty()));
        cx.effects.attached = Some(Box::new(Attached { server: self.server.clone(), key }));
    }
}

/// `attach-srv <srv> [name <expr>]`
pub(super) fn parse(p: &mut Parsing<'_, '_, '_>, _: Sets) -> Result<Parsed, String> {
    if !p.cx.model.global.experimental {
        return Err("'attach-srv' action is experimental, must be allowed via a global 'expose-experimental-directives'".to_owned());
    }
    let server: Arc<str> = p.args.next().map(|w| w.str().as_ref().into()).unwrap_or_else(|| "".into());
    let name = match p.args.accept("name") {
        true if p.at_end() => return Err("missing name value".to_owned()),
        true => Some(p.expr_here()?),
        false => None,
    };
    Ok(Parsed { action: Action::Attach(Box::new(Attach { server, name })), condition: None })
}

/// Are the servers there, and may they have such connections?
pub fn check(model: &Model, diags: &mut Diagnostics) {
    for proxy in &model.proxies {
        let Some(sets) = proxy.ext.get::<RuleSets>() else { continue };
        for rule in &sets.tcp_session.list {
            let Action::Attach(attach) = &rule.action else { continue };
            let wrong = wrong(model, attach).map(|why| format!("Proxy '{}': {why}", proxy.name));
            if let Some(message) = wrong {
                diags.late(Severity::Alert, Some(rule.place), message);
            }
        }
    }
}

fn wrong(model: &Model, attach: &Attach) -> Option<String> {
    let text = &attach.server;
    let Some((backend, server)) = text.split_once('/') else {
        return Some(format!("attach-srv rule: invalid server name '{text}'."));
    };
    let Some(backend) = model.proxies.iter().find(|p| p.kind.back() && p.name == backend) else {
        return Some(format!("attach-srv rule: no such backend '{text}'."));
    };
    let Some(server) = backend.servers.iter().find(|s| s.name == server) else {
        return Some(format!("attach-srv rule: no such server '{text}'."));
    };
    let named = server.set.ext.get::<PoolName>().is_some_and(|n| n.0.is_some());
    (attach.name.is_some() && !named).then(|| {
        format!(
            "attach-srv rule has a name argument while server '{text}' does not use pool-conn-name; either reconfigure the \
             server or remove the name argument from this attach-srv rule."
        )
    })
}
