//! Parsing of rules: the keywords, and what only the whole configuration can tell.

pub mod acl;
pub mod actions;
pub mod check;
pub mod http;
pub mod order;
pub mod route;
pub mod tcp;

use portcullis_config::{Cx, Proxy, ProxyKind};

/// `frontend`, `backend`, `defaults`, or `proxy` for a `listen`, as 3.5's messages call it.
pub(crate) fn kind(proxy: &Proxy) -> &'static str {
    match proxy.kind {
        ProxyKind::Defaults => "defaults",
        ProxyKind::Frontend => "frontend",
        ProxyKind::Listen => "proxy",
        ProxyKind::Backend => "backend",
        ProxyKind::Forward => "log-forward",
    }
}

/// The open section as messages call it: its kind, and its name in quotes.
pub(crate) fn section(cx: &mut Cx<'_>) -> String {
    let proxy = cx.proxy();
    format!("{} '{}'", kind(proxy), proxy.name)
}

/// Is a `defaults` section without a name open? It can't hold rules.
pub(crate) fn anonymous(cx: &mut Cx<'_>) -> bool {
    let proxy = cx.proxy();
    proxy.kind == ProxyKind::Defaults && proxy.name.is_empty()
}
