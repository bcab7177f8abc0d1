//! What a `server` line says about checks (manual section 5.2).

use std::net::IpAddr;
use std::time::Duration;

/// `init-state`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InitState {
    /// `none`: up, and the first check decides.
    #[default]
    None,
    /// `fully-up`
    FullyUp,
    /// `up`
    Up,
    /// `down`
    Down,
    /// `fully-down`
    FullyDown,
}

/// `observe`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Observe {
    /// Traffic says nothing.
    #[default]
    No,
    /// `layer4`: connections.
    Layer4,
    /// `layer7`: responses.
    Layer7,
}

/// `on-error`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// `fastinter`: the next check comes sooner.
    FastInter,
    /// `fail-check`: as if a check had failed.
    #[default]
    FailCheck,
    /// `sudden-death`: the next failed check marks the server down.
    SuddenDeath,
    /// `mark-down`
    MarkDown,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckSettings {
    /// `check`
    pub check: bool,
    /// `agent-check`
    pub agent: bool,
    /// `rise`
    pub rise: u32,
    /// `fall`
    pub fall: u32,
    /// `inter`
    pub inter: Duration,
    /// `fastinter`
    pub fastinter: Option<Duration>,
    /// `downinter`
    pub downinter: Option<Duration>,
    /// `init-state`
    pub init: InitState,
    /// `observe`
    pub observe: Observe,
    /// `error-limit`
    pub error_limit: u32,
    /// `on-error`
    pub on_error: OnError,
    /// `on-marked-down shutdown-sessions`
    pub kill_on_down: bool,
    /// `on-marked-up shutdown-backup-sessions`
    pub kill_backups_on_up: bool,
    /// `addr`
    pub addr: Option<IpAddr>,
    /// `port`
    pub port: Option<u16>,
    /// `check-send-proxy`
    pub send_proxy: bool,
    /// `check-via-socks4`
    pub via_socks4: bool,
    /// `check-ssl`, `no-check-ssl`; none: as traffic, unless checks go elsewhere.
    pub ssl: Option<bool>,
    /// `check-sni`
    pub sni: Option<String>,
    /// `no-check-sni-auto`
    pub no_sni_auto: bool,
    /// `check-alpn`; none: the server's.
    pub alpn: Option<Vec<Vec<u8>>>,
    /// `check-proto`
    pub proto: Option<portcullis_config::Proto>,
    /// `check-reuse-pool`
    pub reuse_pool: bool,
    /// `check-pool-conn-name`
    pub pool_name: Option<String>,
    /// `agent-addr`
    pub agent_addr: Option<IpAddr>,
    /// `agent-port`
    pub agent_port: Option<u16>,
    /// `agent-inter`
    pub agent_inter: Option<Duration>,
    /// `agent-send`
    pub agent_send: Option<Vec<u8>>,
    /// `track`
    pub track: Option<String>,
    /// `healthcheck`
    pub healthcheck: Option<String>,
}

impl Default for CheckSettings {
    fn default() -> Self {
        Self {
            check: false,
            agent: false,
            rise: 2,
            fall: 3,
            inter: Duration::from_secs(2),
            fastinter: None,
            downinter: None,
            init: InitState::None,
            observe: Observe::No,
            error_limit: 10,
            on_error: OnError::FailCheck,
            kill_on_down: false,
            kill_backups_on_up: false,
            addr: None,
            port: None,
            send_proxy: false,
            via_socks4: false,
            ssl: None,
            sni: None,
            no_sni_auto: false,
            alpn: None,
            proto: None,
            reuse_pool: false,
            pool_name: None,
            agent_addr: None,
            agent_port: None,
            agent_inter: None,
            agent_send: None,
            track: None,
            healthcheck: None,
        }
    }
}

impl CheckSettings {
    /// Is anything said that needs a check?
    #[must_use]
    pub fn any(&self) -> bool {
        self.check || self.agent
    }
    /// May checks go over idle connections: is nothing said about connections of their own?
    #[must_use]
    pub fn shares_pool(&self) -> bool {
        let own = self.send_proxy || self.via_socks4 || self.ssl.is_some() || self.proto.is_some();
        self.reuse_pool && !own && self.addr.is_none() && self.port.is_none() && self.alpn.is_none()
    }
}
