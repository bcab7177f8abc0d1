//! The typed model: what a configuration says, before anything is resolved to indexes.
//!
//! Times are [`Duration`]s, sizes bytes. `None` means "not said"; defaults are applied by `Plan`.
//! Rules, conditions and formats are kept by higher rooms in `ext`.

use crate::addr::Address;
use crate::balance::{Balancing, HashKey};
use crate::diag::Place;
use crate::ext::Extensions;
use crate::needs::Needs;
use crate::persist::Cookie;
use crate::retry_on::RetryOn;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// A whole configuration.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// `global`
    pub global: Global,
    /// `defaults` sections in order; the first is the built-in one.
    pub defaults: Vec<Proxy>,
    /// `frontend`, `listen` and `backend` sections in order.
    pub proxies: Vec<Proxy>,
    /// `ring` sections in order.
    pub rings: Vec<Ring>,
    /// `resolvers` sections in order; the one named `default` is added at the end if no section is.
    pub resolvers: Vec<Resolvers>,
    /// Log lines are sent to a collector (`otel`), but for proxies with `no option otel`.
    pub logs_collected: bool,
    /// `peers`, `resolvers` … : what higher rooms keep for sections of their own.
    pub ext: Extensions,
    /// Which proxy section is open while parsing.
    pub open: Open,
    /// A section other than `global` has begun: the number of threads is fixed by now.
    pub past_global: bool,
    /// `default-path` in force while parsing.
    pub default_path: DefaultPath,
}

/// Which proxy section is open while parsing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Open {
    /// The last of `defaults`.
    #[default]
    Defaults,
    /// The last of `proxies`.
    Proxy,
}

/// `default-path`: what relative file names stand under.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DefaultPath {
    /// The directory that the process was started in.
    #[default]
    Current,
    /// The directory of the configuration file.
    Config,
    /// The directory above it.
    Parent,
    /// This directory.
    Origin(String),
}

impl Model {
    /// Do a proxy's log lines go anywhere?
    pub fn logs(&self, proxy: &Proxy) -> bool {
        let collected = self.logs_collected && !proxy.no_opts.contains(Opts::OTEL);
        collected || proxy.logs.iter().any(|l| !l.global || !self.global.logs.is_empty())
    }
    /// The proxy section that is open.
    pub fn open_proxy(&mut self) -> &mut Proxy {
        let list = match self.open {
            Open::Defaults => &mut self.defaults,
            Open::Proxy => &mut self.proxies,
        };
        if list.is_empty() {
            list.push(Proxy::default());
        }
        let last = list.len() - 1;
        &mut list[last]
    }
}

/// `profiling.tasks`: whether it is measured what calls of tasks cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profiling {
    /// While a worker is slow.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// `global` (manual chapter 3).
#[derive(Clone, Debug, Default)]
pub struct Global {
    /// `daemon`
    pub daemon: bool,
    /// `master-worker`
    pub master_worker: bool,
    /// `quiet`
    pub quiet: bool,
    /// `zero-warning`
    pub zero_warning: bool,
    /// `expose-experimental-directives`
    pub experimental: bool,
    /// Something experimental was used.
    pub experimental_used: bool,
    /// `expose-deprecated-directives`
    pub deprecated: bool,
    /// `chroot`
    pub chroot: Option<Chroot>,
    /// `pidfile`
    pub pidfile: Option<String>,
    /// The command line's `-m`: MiB that the process may allocate.
    pub memory: Option<u64>,
    /// `user` or `uid`
    pub uid: Option<u32>,
    /// `group` or `gid`
    pub gid: Option<u32>,
    /// Name given with `user`, for the supplementary groups.
    pub user: Option<String>,
    /// `setcap`: capability names.
    pub setcap: Vec<String>,
    /// `set-dumpable`
    pub dumpable: bool,
    /// `insecure-fork-wanted`
    pub insecure_fork: bool,
    /// `insecure-setuid-wanted`
    pub insecure_setuid: bool,
    /// `insecure-syscalls-wanted`
    pub insecure_syscalls: bool,
    /// `insecure-paths-wanted`
    pub insecure_paths: bool,
    /// What rows said that they need; [`Needs::of`] knows all.
    pub needs: Needs,
    /// `ulimit-n`
    pub ulimit_n: Option<u64>,
    /// `fd-hard-limit`
    pub fd_hard_limit: Option<u64>,
    /// `strict-limits` (on unless `no`)
    pub no_strict_limits: bool,
    /// `master-worker no-exit-on-failure`: a dead worker does not end the master.
    pub no_exit_on_failure: bool,
    /// `mworker-max-reloads`
    pub mworker_max_reloads: Option<u32>,
    /// `reload-mode in-place`
    pub reload_in_place: bool,
    /// `node`, `description`
    pub node: Option<String>,
    /// `description`
    pub description: Option<String>,
    /// `localpeer`
    pub localpeer: Option<String>,
    /// `nbthread`
    pub nbthread: Option<u16>,
    /// `thread-groups`
    pub thread_groups: Option<u16>,
    /// `thread-group`: group number and its threads (first, last; from 1).
    pub thread_group: Vec<(u16, u16, u16)>,
    /// `thread-hard-limit`
    pub thread_hard_limit: Option<u16>,
    /// `max-threads-per-group`
    pub max_threads_per_group: Option<u16>,
    /// `cpu-map`: (thread group from 1, thread from 1 or 0 for all, CPUs), expanded.
    pub cpu_map: Vec<CpuMap>,
    /// The CPUs of each thread, found when everything was read; nothing (or no entry): any.
    pub thread_cpus: Vec<Vec<u16>>,
    /// `no numa-cpu-mapping`: no `cpu-policy` looks at where CPUs and memory are.
    pub no_numa: bool,
    /// `tune.renice.runtime`
    pub nice: Option<i32>,
    /// The nice value before `tune.renice.startup` was set.
    pub nice_before: Option<i32>,
    /// `cpu-policy`
    pub cpu_policy: Option<String>,
    /// `threads-per-core` of `cpu-policy`; `None`: automatic.
    pub cpu_policy_threads_per_core: Option<u16>,
    /// `cpu-affinity`, with ` loose` behind `per-group` if that was said.
    pub cpu_affinity: Option<String>,
    /// `cpu-set`: directives in order, as words.
    pub cpu_set: Vec<Vec<String>>,
    /// `maxconn` of the process.
    pub maxconn: Option<u32>,
    /// `maxconnrate` a second.
    pub maxconnrate: u32,
    /// `maxsessrate` a second.
    pub maxsessrate: u32,
    /// `maxpipes`
    pub maxpipes: Option<u32>,
    /// `nosplice`
    pub nosplice: bool,
    /// `noreuseport`
    pub noreuseport: bool,
    /// `grace`
    pub grace: Option<Duration>,
    /// `hard-stop-after`
    pub hard_stop_after: Option<Duration>,
    /// `profiling.tasks`
    pub profiling: Profiling,
    /// `warn-blocked-traffic-after`; between 1 ms and a second, 100 ms if not said.
    pub warn_blocked_after: Option<Duration>,
    /// `close-spread-time`; `Some(None)` is `infinite`.
    pub close_spread_time: Option<Option<Duration>>,
    /// `log` lines.
    pub logs: Vec<LogTarget>,
    /// `log-send-hostname`: `Some(None)` takes the system's name.
    pub log_send_hostname: Option<Option<String>>,
    /// `log-tag`
    pub log_tag: Option<String>,
    /// `unix-bind`
    pub unix_bind: UnixBind,
    /// `h1-case-adjust` and `h1-case-adjust-file`: the names as they shall look.
    pub h1_case_adjust: Vec<String>,
    /// The names of `h1-case-adjust-file`, likewise.
    pub h1_case_adjust_file: Vec<String>,
    /// `h1-accept-payload-with-any-method`
    pub h1_accept_payload_with_any_method: bool,
    /// `h1-do-not-close-on-insecure-transfer-encoding`
    pub h1_do_not_close_on_insecure_te: bool,
    /// `h2-workaround-bogus-websocket-clients`
    pub h2_no_websockets: bool,
    /// `pp2-never-send-local`
    pub pp2_never_send_local: bool,
    /// `spread-checks` in percent.
    pub spread_checks: u32,
    /// `harden.reject-privileged-ports.tcp`
    pub reject_privileged_ports_tcp: bool,
    /// `dns-accept-family`, or `-4` of the command line.
    pub dns_families: DnsFamilies,
    /// `server-state-base`
    pub server_state_base: Option<String>,
    /// `server-state-file`
    pub server_state_file: Option<String>,
    /// `tune.*` settings.
    pub tune: Tune,
    /// `stats socket`, `stats timeout`, `stats maxconn` as far as they work; kept by `admin` in `ext`.
    pub ext: Extensions,
}

/// `chroot`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chroot {
    /// Into this directory.
    Dir(String),
    /// `auto`: into an anonymous empty directory.
    Auto,
}

/// One expanded `cpu-map` assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuMap {
    /// Thread group, from 1.
    pub group: u16,
    /// Thread in the group, from 1; 0: all threads of it.
    pub thread: u16,
    /// CPU numbers.
    pub cpus: Vec<u16>,
}

/// `unix-bind`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnixBind {
    /// `prefix`
    pub prefix: Option<String>,
    /// Ownership and mode.
    pub perm: UnixPerm,
}

/// Ownership and mode of a Unix socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnixPerm {
    /// `mode`
    pub mode: Option<u32>,
    /// `user` or `uid`
    pub uid: Option<u32>,
    /// `group` or `gid`
    pub gid: Option<u32>,
}

/// `tune.*` (manual section 3.2); sizes in bytes, zero or `None` for "not said".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tune {
    /// `tune.bufsize`
    pub bufsize: usize,
    /// `tune.bufsize.small`
    pub bufsize_small: usize,
    /// `tune.bufsize.large`; 0: none.
    pub bufsize_large: usize,
    /// `tune.maxrewrite`
    pub maxrewrite: usize,
    /// `tune.http.maxhdr`
    pub http_maxhdr: usize,
    /// `tune.http.logurilen`
    pub http_logurilen: usize,
    /// `tune.http.cookielen`
    pub http_cookielen: usize,
    /// `tune.maxaccept`; `None`: automatic, -1: no limit.
    pub maxaccept: Option<i32>,
    /// `tune.pipesize`
    pub pipesize: usize,
    /// `tune.idletimer`
    pub idletimer: Option<Duration>,
    /// `tune.idle-pool.shared`
    pub idle_pool_shared: bool,
    /// `tune.pool-high-fd-ratio` in percent.
    pub pool_high_fd_ratio: u32,
    /// `tune.pool-low-fd-ratio` in percent.
    pub pool_low_fd_ratio: u32,
    /// `tune.rcvbuf.client`
    pub rcvbuf_client: Option<usize>,
    /// `tune.rcvbuf.server`
    pub rcvbuf_server: Option<usize>,
    /// `tune.sndbuf.client`
    pub sndbuf_client: Option<usize>,
    /// `tune.sndbuf.server`
    pub sndbuf_server: Option<usize>,
    /// `tune.rcvbuf.frontend`: of sockets that clients share.
    pub rcvbuf_frontend: Option<usize>,
    /// `tune.sndbuf.frontend`
    pub sndbuf_frontend: Option<usize>,
    /// `tune.sndbuf.backend`: of sockets that log lines of many go through.
    pub sndbuf_backend: Option<usize>,
    /// `tune.streams-elasticity` in percent of `maxconn`; 0: connections have as many streams as they are set to.
    pub streams_elasticity: u32,
    /// `tune.notsent-lowat.client`
    pub notsent_lowat_client: Option<usize>,
    /// `tune.notsent-lowat.server`
    pub notsent_lowat_server: Option<usize>,
    /// `tune.h1.fe.glitches-threshold`
    pub h1_fe_glitches: u32,
    /// `tune.h1.be.glitches-threshold`
    pub h1_be_glitches: u32,
    /// `tune.glitches.kill.cpu-usage` in percent.
    pub glitches_kill: u32,
    /// `tune.runqueue-depth`, for `rq-load auto` (`tune.h2.fe.max-concurrent-streams`).
    pub runqueue_depth: Option<u32>,
    /// `tune.max-rules-at-once`
    pub max_rules_at_once: u32,
    /// `tune.listener.default-shards`
    pub default_shards: Shards,
    /// `tune.listener.multi-queue`
    pub multi_queue: MultiQueue,
    /// `tune.h2.*`
    pub h2: H2Tune,
    /// `tune.buffers.limit` and others without a typed field yet stay `None` here and are refused by their rows.
    pub buffers_limit: Option<usize>,
}

impl Default for Tune {
    fn default() -> Self {
        Self {
            bufsize: 16384,
            bufsize_small: 1024,
            bufsize_large: 0,
            maxrewrite: 1024,
            http_maxhdr: 101,
            http_logurilen: 1024,
            http_cookielen: 63,
            maxaccept: None,
            pipesize: 0,
            idletimer: None,
            idle_pool_shared: true,
            pool_high_fd_ratio: 25,
            pool_low_fd_ratio: 20,
            rcvbuf_client: None,
            rcvbuf_server: None,
            sndbuf_client: None,
            sndbuf_server: None,
            rcvbuf_frontend: None,
            sndbuf_frontend: None,
            sndbuf_backend: None,
            streams_elasticity: 0,
            notsent_lowat_client: None,
            notsent_lowat_server: None,
            h1_fe_glitches: 0,
            h1_be_glitches: 0,
            glitches_kill: 0,
            runqueue_depth: None,
            max_rules_at_once: 0,
            default_shards: Shards::ByGroup,
            multi_queue: MultiQueue::On,
            h2: H2Tune::default(),
            buffers_limit: None,
        }
    }
}

/// `tune.h2.*`, as far as it is about clients or both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct H2Tune {
    /// `tune.h2.fe.glitches-threshold`; 0: none.
    pub fe_glitches: u32,
    /// `tune.h2.fe.initial-window-size`
    pub fe_window: Option<u32>,
    /// `tune.h2.fe.max-concurrent-streams`; 0: no limit.
    pub fe_streams: Option<u32>,
    /// What the load of a worker makes of that.
    pub fe_load: H2Load,
    /// `tune.h2.fe.max-frames-at-once`; 0: no limit.
    pub fe_frames_at_once: u32,
    /// `tune.h2.fe.max-rst-at-once`; 0: no limit.
    pub fe_resets_at_once: u32,
    /// `tune.h2.fe.max-total-streams`; 0: no limit.
    pub fe_total: u32,
    /// `tune.h2.fe.rxbuf`
    pub fe_rxbuf: Option<usize>,
    /// `tune.h2.be.glitches-threshold`; 0: none.
    pub be_glitches: u32,
    /// `tune.h2.be.initial-window-size`
    pub be_window: Option<u32>,
    /// `tune.h2.be.max-concurrent-streams`; 0: no limit.
    pub be_streams: Option<u32>,
    /// `tune.h2.be.max-frames-at-once`; 0: no limit.
    pub be_frames_at_once: u32,
    /// `tune.h2.be.rxbuf`
    pub be_rxbuf: Option<usize>,
    /// `tune.h2.header-table-size`
    pub table: u32,
    /// `tune.h2.initial-window-size`
    pub window: Option<u32>,
    /// `tune.h2.log-errors`
    pub log_errors: H2LogErrors,
    /// `tune.h2.max-concurrent-streams`; 0: no limit.
    pub streams: Option<u32>,
    /// `tune.h2.max-frame-size`
    pub frame: Option<u32>,
}

/// `rq-load` and `min` of `tune.h2.fe.max-concurrent-streams`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct H2Load {
    /// From which load on fewer streams are announced.
    pub from: RqLoad,
    /// So many are announced all the same; 0 is 1.
    pub least: u32,
}

/// `rq-load`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RqLoad {
    /// The load is not looked at.
    #[default]
    Ignore,
    /// `tune.runqueue-depth`
    Auto,
    /// So many tasks that wait to run.
    Above(u32),
}

impl Default for H2Tune {
    fn default() -> Self {
        Self {
            fe_glitches: 0,
            fe_window: None,
            fe_streams: None,
            fe_load: H2Load::default(),
            fe_frames_at_once: 0,
            fe_resets_at_once: 0,
            fe_total: 0,
            fe_rxbuf: None,
            be_glitches: 0,
            be_window: None,
            be_streams: None,
            be_frames_at_once: 0,
            be_rxbuf: None,
            table: 4096,
            window: None,
            log_errors: H2LogErrors::Stream,
            streams: None,
            frame: None,
        }
    }
}

/// `tune.h2.log-errors`: the least that an error must end to be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum H2LogErrors {
    /// A stream.
    Stream,
    /// The connection.
    Connection,
    /// None is.
    None,
}

/// `tune.listener.multi-queue`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MultiQueue {
    /// Connections go to the least loaded worker.
    #[default]
    On,
    /// In turns.
    Fair,
    /// They stay where they were accepted.
    Off,
}

/// What a proxy section can do, and `defaults`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProxyKind {
    /// `defaults`
    #[default]
    Defaults,
    /// `frontend`
    Frontend,
    /// `listen`
    Listen,
    /// `backend`
    Backend,
    /// `log-forward`
    Forward,
}

impl ProxyKind {
    /// Does it accept connections?
    pub fn front(self) -> bool {
        matches!(self, Self::Frontend | Self::Listen | Self::Forward)
    }
    /// Does it have servers?
    pub fn back(self) -> bool {
        matches!(self, Self::Backend | Self::Listen)
    }
    /// The section's keyword.
    pub fn name(self) -> &'static str {
        match self {
            Self::Defaults => "defaults",
            Self::Frontend => "frontend",
            Self::Listen => "listen",
            Self::Backend => "backend",
            Self::Forward => "log-forward",
        }
    }
}

/// `mode`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// `tcp`
    #[default]
    Tcp,
    /// `http`
    Http,
    /// `log`
    Log,
    /// `spop`
    Spop,
    /// `haterm`
    Haterm,
}

bitflags::bitflags! {
    /// `option …` that are either on or off.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Opts: u64 {
        /// `abortonclose`
        const ABORTONCLOSE = 1;
        /// `clitcpka`
        const CLITCPKA = 1 << 1;
        /// `srvtcpka`
        const SRVTCPKA = 1 << 2;
        /// `contstats`
        const CONTSTATS = 1 << 3;
        /// `dontlog-normal`
        const DONTLOG_NORMAL = 1 << 4;
        /// `dontlognull`
        const DONTLOGNULL = 1 << 5;
        /// `h1-case-adjust-bogus-client`
        const H1_CASE_ADJUST_CLIENT = 1 << 6;
        /// `h1-case-adjust-bogus-server`
        const H1_CASE_ADJUST_SERVER = 1 << 7;
        /// `http-buffer-request`
        const HTTP_BUFFER_REQUEST = 1 << 8;
        /// `http-drop-request-trailers`
        const HTTP_DROP_REQUEST_TRAILERS = 1 << 9;
        /// `http-drop-response-trailers`
        const HTTP_DROP_RESPONSE_TRAILERS = 1 << 10;
        /// `http-ignore-probes`
        const HTTP_IGNORE_PROBES = 1 << 11;
        /// `http-no-delay`
        const HTTP_NO_DELAY = 1 << 12;
        /// `http-pretend-keepalive`
        const HTTP_PRETEND_KEEPALIVE = 1 << 13;
        /// `http-use-proxy-header`
        const HTTP_USE_PROXY_HEADER = 1 << 14;
        /// `idle-close-on-response`
        const IDLE_CLOSE_ON_RESPONSE = 1 << 15;
        /// `independent-streams`
        const INDEPENDENT_STREAMS = 1 << 16;
        /// `log-health-checks`
        const LOG_HEALTH_CHECKS = 1 << 17;
        /// `log-separate-errors`
        const LOG_SEPARATE_ERRORS = 1 << 18;
        /// `logasap`
        const LOGASAP = 1 << 19;
        /// `nolinger`
        const NOLINGER = 1 << 20;
        /// `socket-stats`
        const SOCKET_STATS = 1 << 21;
        /// `splice-auto`
        const SPLICE_AUTO = 1 << 22;
        /// `splice-request`
        const SPLICE_REQUEST = 1 << 23;
        /// `splice-response`
        const SPLICE_RESPONSE = 1 << 24;
        /// `tcp-smart-accept` (on by default; `no` clears)
        const TCP_SMART_ACCEPT = 1 << 25;
        /// `tcp-smart-connect`
        const TCP_SMART_CONNECT = 1 << 26;
        /// `tcpka`
        const TCPKA = 1 << 27;
        /// `transparent` / `http_proxy`-less dispatch to the original destination
        const TRANSPARENT = 1 << 28;
        /// `disable-h2-upgrade`
        const DISABLE_H2_UPGRADE = 1 << 29;
        /// `accept-unsafe-violations-in-http-request`
        const UNSAFE_REQUEST = 1 << 30;
        /// `accept-unsafe-violations-in-http-response`
        const UNSAFE_RESPONSE = 1 << 31;
        /// `checkcache`
        const CHECKCACHE = 1 << 32;
        /// `persist`
        const PERSIST = 1 << 33;
        /// `prefer-last-server`
        const PREFER_LAST_SERVER = 1 << 34;
        /// `allbackups`
        const ALLBACKUPS = 1 << 35;
        /// `use-small-buffers` for queued requests
        const USE_SMALL_BUFFERS = 1 << 36;
        /// `otel` (on by default where there is such a section; `no` clears)
        const OTEL = 1 << 37;
    }
}

/// How long HTTP connections are kept (`http-keep-alive`, `http-server-close`, `httpclose`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConnectionMode {
    /// Both sides stay open (the default).
    #[default]
    KeepAlive,
    /// The server side is closed after each answer.
    ServerClose,
    /// Both sides are closed.
    Close,
}

/// `http-reuse`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reuse {
    /// Never shared between sessions.
    Never,
    /// Not for the first request of a session.
    #[default]
    Safe,
    /// First requests too, over connections that were reused already.
    Aggressive,
    /// Always.
    Always,
}

/// `option http-restrict-req-hdr-names`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestrictNames {
    /// Left as they are.
    Preserve,
    /// Such headers are removed.
    Delete,
    /// Such requests get a 403.
    Reject,
}

/// `option forwardfor` and `option originalto`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddAddress {
    /// `except`: networks from which the header is not added.
    pub except: Option<(IpAddr, u8)>,
    /// `header`
    pub header: String,
    /// `if-none`
    pub if_none: bool,
}

/// `timeout …`; `None`: not said, `Some(ZERO)`: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// `client`
    pub client: Option<Duration>,
    /// `client-fin`
    pub client_fin: Option<Duration>,
    /// `client-hs`
    pub client_hs: Option<Duration>,
    /// `connect`
    pub connect: Option<Duration>,
    /// `server`
    pub server: Option<Duration>,
    /// `server-fin`
    pub server_fin: Option<Duration>,
    /// `tunnel`
    pub tunnel: Option<Duration>,
    /// `queue`
    pub queue: Option<Duration>,
    /// `check`
    pub check: Option<Duration>,
    /// `tarpit`
    pub tarpit: Option<Duration>,
    /// `http-request`
    pub http_request: Option<Duration>,
    /// `http-keep-alive`
    pub http_keep_alive: Option<Duration>,
}

/// `clitcpka-*` / `srvtcpka-*`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepAlive {
    /// Probes before giving up.
    pub cnt: Option<u32>,
    /// Idle time before the first probe.
    pub idle: Option<Duration>,
    /// Between probes.
    pub intvl: Option<Duration>,
}

/// A `defaults`, `frontend`, `listen` or `backend` section.
#[derive(Clone, Debug, Default)]
pub struct Proxy {
    /// Which.
    pub kind: ProxyKind,
    /// Its name.
    pub name: String,
    /// Where it begins.
    pub place: Place,
    /// Index in `Model::defaults` of the section that it inherits from.
    pub from: usize,
    /// `id`, or given in order when the model is complete.
    pub id: u32,
    /// Where the `id` was given.
    pub id_place: Place,
    /// It came while the process runs; no file has it.
    pub late: bool,
    /// `guid`
    pub guid: Option<String>,
    /// Where that was given.
    pub guid_place: Place,
    /// `description`
    pub description: Option<String>,
    /// `disabled`
    pub disabled: bool,
    /// What a `log-forward` section says of messages.
    pub forward: Option<Box<Forward>>,
    /// `mode`
    pub mode: Mode,
    /// The section says that itself.
    pub mode_said: bool,
    /// `bind` lines, one element an address.
    pub binds: Vec<Bind>,
    /// `server` lines.
    pub servers: Vec<Server>,
    /// What `default-server` set so far.
    pub default_server: ServerSettings,
    /// The section says that itself.
    pub has_default_server: bool,
    /// What `default-server name NAME` set.
    pub named_default_servers: Vec<(String, ServerSettings)>,
    /// `default_backend`
    pub default_backend: Option<(String, Place)>,
    /// `maxconn`
    pub maxconn: Option<u32>,
    /// `fullconn`
    pub fullconn: Option<u32>,
    /// `backlog`
    pub backlog: Option<u32>,
    /// `rate-limit sessions`
    pub rate_limit_sessions: u32,
    /// `balance`, `hash-type` and their kin
    pub balance: Balancing,
    /// `retries`
    pub retries: Option<u32>,
    /// `retry-on`
    pub retry_on: RetryOn,
    /// `option redispatch N`: `None` off; -1 only the last retry, N every Nth, -N at the Nth from the last.
    pub redispatch: Option<i32>,
    /// `max-keep-alive-queue`; `None`: no limit.
    pub max_keep_alive_queue: Option<u32>,
    /// `max-session-srv-conns`
    pub max_session_srv_conns: Option<u32>,
    /// `cookie`
    pub cookie: Option<Cookie>,
    /// `dynamic-cookie-key`
    pub dynamic_cookie_key: Option<Vec<u8>>,
    /// `persist rdp-cookie`: the cookie's name.
    pub rdp_persist: Option<Vec<u8>>,
    /// Boolean options that are on.
    pub opts: Opts,
    /// Boolean options that were switched off by `no`.
    pub no_opts: Opts,
    /// `option httpclose` and its kin; `None`: not said.
    pub connection_mode: Option<ConnectionMode>,
    /// `http-reuse`
    pub reuse: Option<Reuse>,
    /// `option http-restrict-req-hdr-names`
    pub restrict_names: Option<RestrictNames>,
    /// In mode tcp: a rule makes HTTP of connections (`switch-mode`), so what is for HTTP only has its use.
    pub switches_to_http: bool,
    /// `option forwardfor`
    pub forwardfor: Option<AddAddress>,
    /// `option originalto`
    pub originalto: Option<AddAddress>,
    /// `timeout`
    pub timeouts: Timeouts,
    /// `clitcpka-cnt/idle/intvl`
    pub clitcpka: KeepAlive,
    /// `srvtcpka-cnt/idle/intvl`
    pub srvtcpka: KeepAlive,
    /// `source` for all servers.
    pub source: Option<Source>,
    /// `http-send-name-header`
    pub send_name_header: Option<String>,
    /// `monitor-uri`
    pub monitor_uri: Option<String>,
    /// `log` lines, `log global` included as [`LogTarget::global`].
    pub logs: Vec<LogTarget>,
    /// `log-tag`
    pub log_tag: Option<String>,
    /// `option httplog`, `option tcplog`, `log-format` …
    pub log_format: LogFormat,
    /// Where that was said.
    pub log_format_place: Place,
    /// `be-unpublished`
    pub unpublished: bool,
    /// `load-server-state-from-file`
    pub load_state: LoadState,
    /// `server-state-file-name`; none: the backend's name.
    pub state_file: Option<String>,
    /// What higher rooms keep: rules, conditions, error pages …
    pub ext: Extensions,
}

/// Which log format a frontend uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// The short default ("Connect from …").
    #[default]
    Connect,
    /// `option tcplog`
    Tcp,
    /// `option tcplog clf`
    TcpClf,
    /// `option httplog`
    Http,
    /// `option httplog clf`
    HttpClf,
    /// `option httpslog`
    Https,
    /// `log-format` text, compiled by a higher room.
    Custom(String),
}

impl LogFormat {
    /// The keyword that chose it; none for the default.
    #[must_use]
    pub fn keyword(&self) -> Option<&'static str> {
        match self {
            Self::Connect => None,
            Self::Tcp | Self::TcpClf => Some("option tcplog"),
            Self::Http | Self::HttpClf => Some("option httplog"),
            Self::Https => Some("option httpslog"),
            Self::Custom(_) => Some("log-format"),
        }
    }
}

/// `shards`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shards {
    /// `by-process`: one socket.
    ByProcess,
    /// `by-group`: one a thread group.
    #[default]
    ByGroup,
    /// `by-thread`: one a thread.
    ByThread,
    /// A number.
    Count(u16),
}

/// `proto`: what is spoken without negotiation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proto {
    /// `h1`: HTTP/1, in mode http.
    H1,
    /// `h2`: HTTP/2, in mode http.
    H2,
    /// `none`: bytes, in mode tcp.
    None,
}

/// `ws`: what streams of WebSocket are relayed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Websockets {
    /// `auto`: what everything else is, or HTTP/1.1 where that is offered as well.
    #[default]
    Auto,
    /// `h1`: HTTP/1.1.
    H1,
    /// `h2`: HTTP/2.
    H2,
}

/// `source`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The address and port range to bind to.
    pub address: Address,
    /// `interface`
    pub interface: Option<String>,
    /// `usesrc`
    pub usesrc: UseSrc,
}

/// `usesrc`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UseSrc {
    /// Not said.
    #[default]
    None,
    /// `client`: address and port of the client.
    Client,
    /// `clientip`: its address.
    ClientIp,
    /// This address.
    Address(Address),
    /// `hdr_ip(name,occurrence)`
    HdrIp(String, i32),
}

/// One address of a `bind` line with its options (manual section 5.1).
#[derive(Clone, Debug)]
pub struct Bind {
    /// Where it stands.
    pub place: Place,
    /// The address as written, for messages.
    pub text: String,
    /// The address; port ranges are one element each.
    pub address: Address,
    /// `name`
    pub name: Option<String>,
    /// `id`; 0: given in order.
    pub id: u32,
    /// `guid-prefix`
    pub guid_prefix: Option<String>,
    /// `maxconn`
    pub maxconn: Option<u32>,
    /// `backlog`
    pub backlog: Option<u32>,
    /// `nbconn`: connections that reverse HTTP keeps.
    pub nbconn: u32,
    /// `nice`
    pub nice: i32,
    /// `v4v6` true, `v6only` false.
    pub v4v6: Option<bool>,
    /// `interface`
    pub interface: Option<String>,
    /// `namespace`
    pub namespace: Option<String>,
    /// `transparent`
    pub transparent: bool,
    /// `tfo`
    pub tfo: bool,
    /// `defer-accept`
    pub defer_accept: bool,
    /// `mss`
    pub mss: Option<i32>,
    /// `tcp-ut`
    pub tcp_ut: Option<Duration>,
    /// `tcp-ss`
    pub tcp_ss: Option<u32>,
    /// `tcp-md5sig`
    pub tcp_md5sig: Option<String>,
    /// `cc`
    pub cc: Option<String>,
    /// `accept-proxy`
    pub accept_proxy: bool,
    /// `accept-netscaler-cip`: the magic number.
    pub accept_cip: Option<u32>,
    /// `mode`, `user`, `uid`, `group`, `gid`
    pub perm: UnixPerm,
    /// `thread`: sets of (group, first, last), from 1; empty: all. Group 0: numbers that count over all groups.
    pub threads: Vec<(u16, u16, u16)>,
    /// `shards`
    pub shards: Option<Shards>,
    /// `proto`
    pub proto: Option<Proto>,
    /// `idle-ping`
    pub idle_ping: Option<Duration>,
    /// What higher rooms keep (TLS …).
    pub ext: Extensions,
}

impl Bind {
    /// A listener at `address`, with nothing else said about it.
    pub fn new(place: Place, text: String, address: Address) -> Self {
        Self {
            place,
            text,
            address,
            name: None,
            id: 0,
            guid_prefix: None,
            maxconn: None,
            backlog: None,
            nbconn: 1,
            nice: 0,
            v4v6: None,
            interface: None,
            namespace: None,
            transparent: false,
            tfo: false,
            defer_accept: false,
            mss: None,
            tcp_ut: None,
            tcp_ss: None,
            tcp_md5sig: None,
            cc: None,
            accept_proxy: false,
            accept_cip: None,
            perm: UnixPerm::default(),
            threads: Vec::new(),
            shards: None,
            proto: None,
            idle_ping: None,
            ext: Extensions::default(),
        }
    }
}

/// Settings that `default-server` shares out.
#[derive(Clone, Debug, Default)]
pub struct ServerSettings {
    /// `weight`; `None`: 1.
    pub weight: Option<u32>,
    /// `backup`
    pub backup: bool,
    /// `disabled`
    pub disabled: bool,
    /// `maxconn`; 0: no limit.
    pub maxconn: u32,
    /// `minconn`
    pub minconn: u32,
    /// `maxqueue`; 0: no limit.
    pub maxqueue: u32,
    /// `log-proto`
    pub log_proto: LogProto,
    /// `log-bufsize`: bytes of the ring of a server in a backend in mode log.
    pub log_bufsize: Option<usize>,
    /// `hash-key`
    pub hash_key: HashKey,
    /// `strict-maxconn`
    pub strict_maxconn: bool,
    /// `cookie`
    pub cookie: Option<Vec<u8>>,
    /// `redir`
    pub redir: Option<Vec<u8>>,
    /// `max-reuse`; -1: no limit.
    pub max_reuse: Option<i32>,
    /// `pool-max-conn`; -1: no limit.
    pub pool_max_conn: Option<i32>,
    /// `pool-low-conn`
    pub pool_low_conn: u32,
    /// `pool-purge-delay`
    pub pool_purge_delay: Option<Duration>,
    /// `send-proxy`
    pub send_proxy: bool,
    /// `send-proxy-v2`
    pub send_proxy_v2: bool,
    /// `proxy-v2-options`, and those that `send-proxy-v2-ssl` and `send-proxy-v2-ssl-cn` stand for.
    pub proxy_v2_options: Vec<String>,
    /// `source`
    pub source: Option<Source>,
    /// `namespace`
    pub namespace: Option<String>,
    /// `tfo`
    pub tfo: bool,
    /// `tcp-ut`
    pub tcp_ut: Option<Duration>,
    /// `tcp-md5sig`
    pub tcp_md5sig: Option<String>,
    /// `cc`
    pub cc: Option<String>,
    /// `proto`
    pub proto: Option<Proto>,
    /// `ws`
    pub websockets: Websockets,
    /// `idle-ping`
    pub idle_ping: Option<Duration>,
    /// `init-addr`; nothing: `last,libc`.
    pub init_addr: Vec<InitAddr>,
    /// `resolvers`: a section by name.
    pub resolvers: Option<String>,
    /// `resolve-opts`, `resolve-net`, `resolve-prefer`
    pub resolve: ResolveOptions,
    /// `slowstart`
    pub slowstart: Option<Duration>,
    /// `socks4`
    pub socks4: Option<Address>,
    /// What higher rooms keep.
    pub ext: Extensions,
}

/// A `server` line (manual section 5.2).
#[derive(Clone, Debug)]
pub struct Server {
    /// Where it stands.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// `id`; 0: given in order.
    pub id: u32,
    /// The line says the `id`.
    pub id_given: bool,
    /// `guid`
    pub guid: Option<String>,
    /// Its address.
    pub address: Address,
    /// The name that stood in the place of an address.
    pub fqdn: Option<String>,
    /// What a state file says about it.
    pub saved: Option<Arc<crate::saved::Saved>>,
    /// It is one of a `server-template` line.
    pub template: Option<Template>,
    /// It came while the process runs; no file has it.
    pub late: bool,
    /// Hash of the words of its line.
    pub said: u64,
    /// Everything that `default-server` can set too.
    pub set: ServerSettings,
}

/// What a server of a `server-template` line remembers of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The prefix of the names.
    pub prefix: Arc<str>,
    /// It is the first of them.
    pub first: bool,
}

impl Server {
    /// A server at `address` with these settings to begin with.
    pub fn new(place: Place, name: String, address: Address, set: ServerSettings) -> Self {
        Self {
            place,
            name,
            id: 0,
            id_given: false,
            guid: None,
            address,
            fqdn: None,
            saved: None,
            template: None,
            late: false,
            said: 0,
            set,
        }
    }
    /// With what its line says.
    #[must_use]
    pub fn saying(mut self, line: &crate::word::Line) -> Self {
        let mut hasher = DefaultHasher::new();
        line.words.iter().for_each(|w| w.text.hash(&mut hasher));
        self.said = hasher.finish();
        self
    }
    /// As messages name it: the first of a template is the template.
    #[must_use]
    pub fn called(&self, proxy: &str) -> String {
        match self.template.as_ref().filter(|t| t.first) {
            Some(t) => format!("'server-template {proxy}/{}'", t.prefix),
            None => format!("'server {proxy}/{}'", self.name),
        }
    }
    /// Is its name that of an SRV record?
    #[must_use]
    pub fn is_srv(&self) -> bool {
        self.fqdn.as_ref().is_some_and(|name| name.starts_with('_'))
    }
    /// It has a name, and no address is known for it.
    #[must_use]
    pub fn is_unresolved(&self) -> bool {
        matches!(self.address.host, crate::addr::Host::Name(_))
    }
}

/// A `log` line (manual section 4.2 "log").
#[derive(Clone, Debug, PartialEq)]
pub struct LogTarget {
    /// Where it stands.
    pub place: Place,
    /// `log global`: the targets of `global` stand here.
    pub global: bool,
    /// Where to; unused for `global`.
    pub to: LogTo,
    /// `len`
    pub len: usize,
    /// `format`
    pub format: LogFraming,
    /// `sample <ranges>:<size>`
    pub sample: Option<(Vec<(u32, u32)>, u32)>,
    /// `profile`: the `log-profile` that says what lines look like.
    pub profile: Option<Arc<str>>,
    /// Facility, 0 to 23.
    pub facility: u8,
    /// Highest level number that is sent (0 emerg to 7 debug).
    pub max_level: u8,
    /// Messages more severe than this are sent as if they had this level.
    pub min_level: u8,
}

/// Where log lines go.
#[derive(Clone, Debug, PartialEq)]
pub enum LogTo {
    /// UDP address, Unix datagram socket, an inherited descriptor (stdout and stderr are 1 and 2), or a stream address.
    Address(Address),
    /// A `ring` section, by name.
    Ring(Arc<str>),
    /// A `backend` in mode log, by name.
    Backend(Arc<str>),
}

/// A `ring` section (manual section 12.5).
#[derive(Clone, Debug, Default)]
pub struct Ring {
    /// Where it begins.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// `description`; the name if not said.
    pub description: Option<String>,
    /// `size` in bytes; not said: one buffer.
    pub size: Option<usize>,
    /// `maxlen` of an event in bytes; not said: one buffer.
    pub maxlen: Option<usize>,
    /// `format`; unspecified is raw.
    pub format: LogFraming,
    /// `server`: who is sent the events over a stream.
    pub servers: Vec<Server>,
    /// `timeout connect`
    pub connect_timeout: Option<Duration>,
    /// `timeout server`
    pub server_timeout: Option<Duration>,
    /// `backing-file`
    pub file: Option<String>,
}

/// What a `log-forward` section says of messages (manual section 12.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forward {
    /// `option dont-parse-log`
    pub whole: bool,
    /// `option assume-rfc6587-ntf`
    pub transparent: bool,
    /// `option host`
    pub host: HostField,
}

/// What becomes of the host field of a message that is forwarded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostField {
    /// The sender's address takes its place.
    Replace,
    /// The sender's address, if there is none.
    #[default]
    Fill,
    /// It stays as it is.
    Keep,
    /// The sender's address is appended.
    Append,
}

/// How messages follow one another on a stream (`log-proto`; RFC 6587).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogProto {
    /// `legacy`: a line feed ends each.
    #[default]
    Legacy,
    /// `octet-count`: the length goes before each.
    OctetCount,
}

/// `format` of a `log` line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFraming {
    /// Not said: rfc3164 on sockets, `raw`… as the manual's defaults.
    #[default]
    Unspecified,
    /// `local`: rfc3164 without the host name
    Local,
    /// `rfc3164`
    Rfc3164,
    /// `rfc5424`
    Rfc5424,
    /// `priority`
    Priority,
    /// `short`
    Short,
    /// `timed`
    Timed,
    /// `iso`
    Iso,
    /// `raw`
    Raw,
}

/// One method of `init-addr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitAddr {
    /// `last`: the address of the state file.
    Last,
    /// `libc`: the system's resolver.
    Libc,
    /// `none`: it starts without.
    None,
    /// This one.
    Ip(IpAddr),
}

/// `resolve-opts`, `resolve-net`, `resolve-prefer` of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolveOptions {
    /// `resolve-prefer`: IPv4 rather than IPv6?
    pub prefer_v4: bool,
    /// `resolve-net`
    pub nets: Vec<(IpAddr, u8)>,
    /// `allow-dup-ip`
    pub allow_dup: bool,
    /// `ignore-weight`
    pub ignore_weight: bool,
}

/// `dns-accept-family`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DnsFamilies {
    /// IPv4, and IPv6 where the system has a way to it.
    #[default]
    Auto,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// Both.
    Both,
}

/// `load-server-state-from-file`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadState {
    /// `none`
    #[default]
    None,
    /// `global`: the file of `server-state-file`.
    Global,
    /// `local`: that of `server-state-file-name`.
    Local,
}

/// A `resolvers` section (manual section 5.3.2).
#[derive(Clone, Debug)]
pub struct Resolvers {
    /// Where it begins.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// `nameserver` lines, and what `parse-resolv-conf` found.
    pub nameservers: Vec<Nameserver>,
    /// `accepted_payload_size`
    pub payload: u16,
    /// `resolve_retries`
    pub retries: u32,
    /// `timeout resolve`
    pub resolve: Duration,
    /// `timeout retry`
    pub retry: Duration,
    /// `hold`
    pub hold: Hold,
}

impl Resolvers {
    /// A section with nothing said.
    #[must_use]
    pub fn new(place: Place, name: String) -> Self {
        Self {
            place,
            name,
            nameservers: Vec::new(),
            payload: 512,
            retries: 3,
            resolve: Duration::from_secs(1),
            retry: Duration::from_secs(1),
            hold: Hold::default(),
        }
    }
}

/// `hold`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// `nx`
    pub nx: Duration,
    /// `refused`
    pub refused: Duration,
    /// `timeout`
    pub timeout: Duration,
    /// `other`
    pub other: Duration,
    /// `valid`
    pub valid: Duration,
    /// `obsolete`
    pub obsolete: Duration,
}

impl Default for Hold {
    fn default() -> Self {
        let others = Duration::from_secs(30);
        Self {
            nx: others,
            refused: others,
            timeout: others,
            other: others,
            valid: Duration::from_secs(10),
            obsolete: Duration::ZERO,
        }
    }
}

/// A `nameserver` line.
#[derive(Clone, Debug)]
pub struct Nameserver {
    /// Where it stands.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub address: Address,
    /// The parameters of one that is asked over a stream.
    pub set: Option<Box<ServerSettings>>,
}
