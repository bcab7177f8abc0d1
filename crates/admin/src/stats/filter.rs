//! What `show stat` shows: `[<proxy> <type> <sid>] [up] [no-maint]`.

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
}

impl Default for Filter {
    fn default() -> Self {
        Self { proxy: None, kinds: 0xffff_ffff, sid: None, up: false, no_maint: false }
    }
}

impl Filter {
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
