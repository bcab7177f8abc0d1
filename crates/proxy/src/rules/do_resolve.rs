//! `do-resolve`: a rule that waits for the DNS (manual section 4.4).

use super::action::Action;
use super::cx::{Cursor, Flow, RuleCx, Wait};
use super::lang::{Expr, Parsing, Value};
use super::sets::RuleSets;
use super::table::{Parsed, Sets};
use crate::dns;
use portcullis_config::{Diagnostics, Model, Severity};
use portcullis_sample::vars::VarName;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// The action.
#[derive(Debug)]
pub struct DoResolve {
    name: VarName,
    section: Arc<str>,
    prefer_v4: bool,
    expr: Expr,
}

/// What a stream's rule waits for, from another worker.
#[derive(Debug)]
pub struct Remote {
    coming: RefCell<oneshot::Receiver<Option<IpAddr>>>,
    come: Cell<Option<Option<IpAddr>>>,
}

impl Remote {
    /// Is it there?
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.come.get().is_some() {
            return Poll::Ready(());
        }
        let answer = match Pin::new(&mut *self.coming.borrow_mut()).poll(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(answer) => answer,
        };
        // nobody answers when a new plan has come meanwhile
        self.come.set(Some(answer.unwrap_or(None)));
        Poll::Ready(())
    }
}

impl DoResolve {
    /// Asks, or takes the answer; `None`: on to the next rule.
    pub(super) fn run(&self, cursor: &mut Cursor, cx: &mut RuleCx<'_, '_>) -> Option<Flow> {
        if let Some(remote) = cx.effects.remote.take() {
            match remote.come.get() {
                Some(Some(ip)) => {
                    cx.facts.vars.set(self.name, cx.direction, Value::ip(ip));
                }
                Some(None) => {}
                None => {
                    cx.effects.remote = Some(remote);
                    return Some(Flow::Wait(Wait::Remote));
                }
            }
            return None;
        }
        let (worker, _) = cx.log?;
        let name = String::from_utf8(self.expr.text(&cx.scope())?.into_owned()).ok()?;
        let section = worker.plan().resolvers.iter().position(|r| r.name == self.section)?;
        let coming = dns::look_up(&worker.process, section, name, self.prefer_v4);
        cx.effects.remote = Some(Rc::new(Remote { coming: RefCell::new(coming), come: Cell::new(None) }));
        cursor.entered = true;
        Some(Flow::Wait(Wait::Remote))
    }
}

/// `do-resolve(<var>,<resolvers>[,ipv4|ipv6]) <expr>`
pub(super) fn parse(p: &mut Parsing<'_, '_, '_>, _: Sets) -> Result<Parsed, String> {
    const EXPECTS: &str = "Expects 'do-resolve(<varname>,<resolvers>[,<options>]) <expr>'. Available options are \
                           'ipv4' and 'ipv6'";
    let word = p.args.at.checked_sub(1).and_then(|at| p.args.words.get(at));
    let word = word.map(|w| w.str().into_owned()).unwrap_or_default();
    let inside = word.split_once('(').and_then(|(_, inside)| inside.strip_suffix(')')).unwrap_or_default();
    let parts: Vec<&str> = inside.split(',').map(str::trim).collect();
    let (name, section, prefer_v4) = match parts.as_slice() {
        [name, section] => (*name, *section, false),
        [name, section, "ipv4"] => (*name, *section, true),
        [name, section, "ipv6"] => (*name, *section, false),
        _ => return Err(format!("Can't parse '{word}'. {EXPECTS}")),
    };
    let name = VarName::parse(name.as_bytes())?;
    if p.at_end() {
        return Err(format!("Can't parse '': missing fetch method. {EXPECTS}"));
    }
    let expr = p.expr_here()?;
    let action = DoResolve { name, section: section.into(), prefer_v4, expr };
    Ok(Parsed { action: Action::DoResolve(Box::new(action)), condition: None })
}

/// The sections that rules name must be there.
pub(super) fn check(model: &Model, diags: &mut Diagnostics) {
    for proxy in &model.proxies {
        let Some(sets) = proxy.ext.get::<RuleSets>() else { continue };
        for rule in sets.http_request.list.iter().chain(&sets.tcp_request.list) {
            let Action::DoResolve(action) = &rule.action else { continue };
            let known =
                &*action.section == "default" || model.resolvers.iter().any(|r| r.name == *action.section);
            if !known {
                let text = format!(
                    "Proxy '{}': Can't find resolvers section '{}' for do-resolve action.",
                    proxy.name, action.section
                );
                diags.add(Severity::Alert, None, text);
            }
        }
    }
}
