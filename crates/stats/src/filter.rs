//! What statistics show: `[<proxy> <type> <sid>] [up] [no-maint]` of `show stat`, `stats scope` and what a page's URI says.

use crate::lines;
use portcullis_backend::{Admin, ServerState};
use portcullis_config::ProxyKind;
use portcullis_proxy::plan::ProxyPlan;
use std::sync::Arc;

/// Which lines are wanted.
#[derive(Clone, Debug)]
pub struct Filter {
    /// This proxy only.
    pub proxy: Option<u32>,
    /// 1 frontends, 2 backends, 4 servers, 8 listeners.
    pub kinds: u32,
    /// This server or listener only.
    pub sid: Option<u32>,
    /// Servers that are up only.
    pub up: bool,
    /// No servers in maintenance.
    pub no_maint: bool,
    /// Proxies of these names only (`stats scope`).
    pub scope: Option<Arc<[String]>>,
    /// Proxies only whose name holds this.
    pub part: String,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            proxy: None,
            kinds: 0xffff_ffff,
            sid: None,
            up: false,
            no_maint: false,
            scope: None,
            part: String::new(),
        }
    }
}

impl Filter {
    /// Is this proxy wanted?
    #[must_use]
    pub fn proxy(&self, p: &ProxyPlan) -> bool {
        !p.disabled
            && p.kind != ProxyKind::Forward
            && self.proxy.is_none_or(|id| id == p.id)
            && self.scope.as_ref().is_none_or(|names| names.iter().any(|n| **n == *p.name))
            && p.name.contains(&self.part)
    }
    /// Is this server wanted, as it is now?
    #[must_use]
    pub fn server(&self, s: &ServerState) -> bool {
        (!self.no_maint || s.admin() != Admin::Maint) && (!self.up || lines::is_up(s))
    }
    /// May servers be missing?
    #[must_use]
    pub fn partial(&self) -> bool {
        self.up || self.no_maint
    }
    /// Are lines of this kind wanted?
    #[must_use]
    pub fn kind(&self, bit: u32) -> bool {
        self.kinds & bit != 0
    }
    /// Is this server or listener wanted?
    #[must_use]
    pub fn id(&self, sid: u32) -> bool {
        self.sid.is_none_or(|s| s == sid)
    }
}
