//! Figures of the process (`show info`): one row each.

use crate::Vitals;
use portcullis_proxy::plan::Plan;
use portcullis_proxy::process::PIPES_USED;
use portcullis_sample::pattern::tally;
use portcullis_telemetry::endpoints::{self, Which};
use portcullis_telemetry::gate::{Process, Running};
use portcullis_telemetry::rate::Window;
use portcullis_telemetry::stats::ProcessTotals;
use portcullis_telemetry::table::Value;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// A figure of `show info`.
pub struct Figure {
    /// Its number in the typed format.
    pub position: u16,
    /// Its name.
    pub name: &'static str,
    /// Origin, nature, scope, persistence (manual 9.2).
    pub tag: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Its value now.
    value: fn(&Info<'_>) -> Value,
}

impl Figure {
    /// Origin, nature, scope, persistence of this value: two figures of TLS are rates where they have fractions, as with 3.5.
    #[must_use]
    pub fn tag_of(&self, value: &Value) -> &'static str {
        match (self.position, value) {
            (35 | 37, Value::Float(_)) => "MRPV",
            _ => self.tag,
        }
    }
}

impl Figure {
    /// Its value.
    #[must_use]
    pub fn value(&self, info: &Info<'_>) -> Value {
        (self.value)(info)
    }
}

/// The release of HAProxy that this is compatible with.
const RELEASE_DATE: &str = "2026/08/21";

/// What figures are computed from.
pub struct Info<'a> {
    vitals: &'a Vitals,
    plan: &'a Plan,
    totals: ProcessTotals,
    /// Milliseconds of the process' clock.
    now: u64,
    up: Duration,
    descriptors: u64,
    /// Bytes of pools, and those in use.
    pools: (u64, u64),
    float: bool,
}

impl<'a> Info<'a> {
    /// Of this moment. `float`: with fractions of seconds.
    #[must_use]
    pub fn new(vitals: &'a Vitals, plan: &'a Plan, float: bool) -> Self {
        let now = vitals.process.clock.now().0;
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        Self {
            plan,
            totals: vitals.process.counts.counters.totals(),
            now,
            up: Duration::from_millis(now),
            descriptors: limit.unwrap_or(0),
            pools: crate::pools::bytes(&vitals.process),
            float,
            vitals,
        }
    }
    /// The figures that there are: without a description there is none of it.
    pub fn figures(&self) -> impl Iterator<Item = &'static Figure> {
        let described = self.vitals.model().global.description.is_some();
        FIGURES.iter().filter(move |f| described || f.name != "description")
    }
    fn counts(&self) -> &Process {
        &self.vitals.process.counts
    }
    /// One of TLS' rates: the sliding second.
    fn tls_window(&self, of: Which) -> Window {
        endpoints::window(&self.counts().counters, of, self.now)
    }
    fn tls_rate(&self, of: Which) -> u64 {
        self.tls_window(of).per_second(self.now)
    }
    /// Percent of clients' connections of the second that went on with an earlier session.
    fn reused(&self) -> u64 {
        let (all, new) = (self.tls_rate(|c| &c.tls_rate), self.tls_rate(|c| &c.front_keys));
        (all.saturating_sub(new) * 100).checked_div(all).unwrap_or(0)
    }
    fn workers(&self) -> u64 {
        self.vitals.process.load.len() as u64
    }
    fn seconds(&self, time: Duration) -> Value {
        if self.float { Value::Float(time.as_secs_f64()) } else { u32(time.as_secs()) }
    }
    /// What is counted in a second.
    fn rate(&self, n: u64) -> Value {
        if self.float { Value::Float(n as f64) } else { u32(n) }
    }
    fn uptime(&self) -> String {
        let s = self.up.as_secs();
        format!("{}d {}h{:02}m{:02}s", s / 86400, s / 3600 % 24, s / 60 % 60, s % 60)
    }
    fn listeners(&self) -> u32 {
        let open = self.plan.listeners.iter().filter(|l| l.enabled);
        let open = open.filter(|l| l.proxy.front.running() == Running::Ready).count();
        (open + self.vitals.sockets.load(Relaxed) as usize) as u32
    }
    fn jobs(&self) -> u32 {
        self.listeners() + self.counts().conns.get() + self.vitals.clients.load(Relaxed)
    }
    /// `-m`, in MiB; 0: none.
    fn memory_limit(&self) -> u64 {
        self.vitals.model().global.memory.unwrap_or(0)
    }
    fn node(&self) -> String {
        let global = &self.vitals.model().global;
        global.node.clone().unwrap_or_else(portcullis_sys::localtime::host_name)
    }
}

fn text(text: &'static str) -> Value {
    Value::Text(text.into())
}

fn u32(n: u64) -> Value {
    Value::U32(u32::try_from(n).unwrap_or(u32::MAX))
}

const fn row(
    position: u16,
    name: &'static str,
    tag: &'static str,
    help: &'static str,
    value: fn(&Info<'_>) -> Value,
) -> Figure {
    Figure { position, name, tag, help, value }
}

/// The figures, in their order.
pub const FIGURES: &[Figure] = &[
    row(0, "Name", "POSV", "Product name", |_| text("HAProxy")),
    row(1, "Version", "POSV", "Product version", |_| text(portcullis_config::VERSION)),
    row(2, "Release_date", "POSV", "Date of latest source code update", |_| text(RELEASE_DATE)),
    row(3, "Nbthread", "CGSV", "Number of started threads (global.nbthread)", |i| u32(i.workers())),
    row(4, "Nbproc", "CGSV", "Number of started worker processes (historical, always 1)", |_| Value::U32(1)),
    row(5, "Process_num", "KGPV", "Relative worker process number (1)", |_| Value::U32(1)),
    row(
        6,
        "Pid",
        "SGPV",
        "This worker process identifier for the system",
        |_| Value::U32(std::process::id()),
    ),
    row(
        7,
        "Uptime",
        "MDPV",
        "How long ago this worker process was started (days+hours+minutes+seconds)",
        |i| Value::text(i.uptime()),
    ),
    row(8, "Uptime_sec", "MDPV", "How long ago this worker process was started (seconds)", |i| {
        i.seconds(i.up)
    }),
    row(
        9,
        "Memmax_MB",
        "CLPV",
        "Worker process's hard limit on memory usage in MB (-m on command line)",
        |i| u32(i.memory_limit()),
    ),
    row(10, "PoolAlloc_MB", "MGPV", "Amount of memory allocated in pools (in MB)", |i| u32(i.pools.0 >> 20)),
    row(11, "PoolUsed_MB", "MGPV", "Amount of pool memory currently used (in MB)", |i| u32(i.pools.1 >> 20)),
    row(12, "PoolFailed", "MCPV", "Number of failed pool allocations since this worker was started", |_| {
        Value::U32(0)
    }),
    row(13, "Ulimit-n", "CLPV", "Hard limit on the number of per-process file descriptors", |i| {
        u32(i.descriptors)
    }),
    row(14, "Maxsock", "CLPV", "Hard limit on the number of per-process sockets", |i| u32(i.descriptors)),
    row(
        15,
        "Maxconn",
        "CLPV",
        "Hard limit on the number of per-process connections (configured or imposed by Ulimit-n)",
        |i| Value::U32(i.counts().conns.limit()),
    ),
    row(
        16,
        "Hard_maxconn",
        "CLPV",
        "Hard limit on the number of per-process connections (imposed by Memmax_MB or Ulimit-n)",
        |i| Value::U32(i.vitals.hard_maxconn),
    ),
    row(17, "CurrConns", "MGPV", "Current number of connections on this worker process", |i| {
        Value::U32(i.counts().conns.get())
    }),
    row(18, "CumConns", "MCPV", "Total number of connections on this worker process since started", |i| {
        u32(i.totals.cum_conns)
    }),
    row(19, "CumReq", "MCPV", "Total number of requests on this worker process since started", |i| {
        u32(i.totals.cum_req)
    }),
    row(
        20,
        "MaxSslConns",
        "MMPV",
        "Hard limit on the number of per-process SSL endpoints (front+back), 0=unlimited",
        |i| Value::U32(i.counts().tls.conns.limit()),
    ),
    row(
        21,
        "CurrSslConns",
        "MGPV",
        "Current number of SSL endpoints on this worker process (front+back)",
        |i| Value::U32(i.counts().tls.conns.get()),
    ),
    row(
        22,
        "CumSslConns",
        "MCPV",
        "Total number of SSL endpoints on this worker process since started (front+back)",
        |i| u32(i.totals.cum_tls),
    ),
    row(23, "Maxpipes", "CLPV", "Hard limit on the number of pipes for splicing, 0=unlimited", |i| {
        Value::U32(i.plan.global.maxpipes)
    }),
    row(24, "PipesUsed", "MGPV", "Current number of pipes in use in this worker process", |_| {
        Value::U32(PIPES_USED.load(Relaxed))
    }),
    row(
        25,
        "PipesFree",
        "MGPV",
        "Current number of allocated and available pipes in this worker process",
        |_| Value::U32(0),
    ),
    row(
        26,
        "ConnRate",
        "MRPV",
        "Number of front connections created on this worker process over the last second",
        |i| i.rate(i.counts().conn_rate(i.now).per_second(i.now)),
    ),
    row(27, "ConnRateLimit", "CLPV", "Hard limit for ConnRate (global.maxconnrate)", |i| {
        Value::U32(i.counts().maxconnrate.load(Relaxed))
    }),
    row(
        28,
        "MaxConnRate",
        "MMPV",
        "Highest ConnRate reached on this worker process since started (in connections per second)",
        |i| u32(i.counts().conn_rate_max.get(i.counts().conn_rate(i.now))),
    ),
    row(
        29,
        "SessRate",
        "MRPV",
        "Number of sessions created on this worker process over the last second",
        |i| i.rate(i.counts().sess_rate(i.now).per_second(i.now)),
    ),
    row(30, "SessRateLimit", "CLPV", "Hard limit for SessRate (global.maxsessrate)", |i| {
        Value::U32(i.counts().maxsessrate.load(Relaxed))
    }),
    row(
        31,
        "MaxSessRate",
        "MRPV",
        "Highest SessRate reached on this worker process since started (in sessions per second)",
        |i| u32(i.counts().sess_rate_max.get(i.counts().sess_rate(i.now))),
    ),
    row(
        32,
        "SslRate",
        "MRPV",
        "Number of SSL connections created on this worker process over the last second",
        |i| i.rate(i.tls_rate(|c| &c.tls_rate)),
    ),
    row(33, "SslRateLimit", "CLPV", "Hard limit for SslRate (global.maxsslrate)", |i| {
        Value::U32(i.counts().tls.max_rate.load(Relaxed))
    }),
    row(
        34,
        "MaxSslRate",
        "MMPV",
        "Highest SslRate reached on this worker process since started (in connections per second)",
        |i| u32(i.counts().tls.rate_max.get(i.tls_window(|c| &c.tls_rate))),
    ),
    row(
        35,
        "SslFrontendKeyRate",
        "MGPV",
        "Number of SSL keys created on frontends in this worker process over the last second",
        |i| i.rate(i.tls_rate(|c| &c.front_keys)),
    ),
    row(
        36,
        "SslFrontendMaxKeyRate",
        "MMPV",
        "Highest SslFrontendKeyRate reached on this worker process since started (in SSL keys per second)",
        |i| u32(i.counts().tls.front_keys_max.get(i.tls_window(|c| &c.front_keys))),
    ),
    row(
        37,
        "SslFrontendSessionReuse_pct",
        "MGPV",
        "Percent of frontend SSL connections which did not require a new key",
        |i| i.rate(i.reused()),
    ),
    row(
        38,
        "SslBackendKeyRate",
        "MRPV",
        "Number of SSL keys created on backends in this worker process over the last second",
        |i| i.rate(i.tls_rate(|c| &c.back_keys)),
    ),
    row(
        39,
        "SslBackendMaxKeyRate",
        "MMPV",
        "Highest SslBackendKeyRate reached on this worker process since started (in SSL keys per second)",
        |i| u32(i.counts().tls.back_keys_max.get(i.tls_window(|c| &c.back_keys))),
    ),
    row(
        40,
        "SslCacheLookups",
        "MCPV",
        "Total number of SSL session ID lookups in the SSL session cache on this worker since started",
        |i| u32(i.plan.tls_sessions.lookups.load(Relaxed)),
    ),
    row(
        41,
        "SslCacheMisses",
        "MCPV",
        "Total number of SSL session ID lookups that didn't find a session in the SSL session cache on this worker since started",
        |i| u32(i.plan.tls_sessions.misses.load(Relaxed)),
    ),
    row(
        42,
        "CompressBpsIn",
        "MRPV",
        "Number of bytes submitted to the HTTP compressor in this worker process over the last second",
        |i| i.rate(0),
    ),
    row(
        43,
        "CompressBpsOut",
        "MRPV",
        "Number of bytes emitted by the HTTP compressor in this worker process over the last second",
        |i| i.rate(0),
    ),
    row(
        44,
        "CompressBpsRateLim",
        "CLPV",
        "Limit of CompressBpsOut beyond which HTTP compression is automatically disabled",
        |_| Value::U32(0),
    ),
    row(
        47,
        "Tasks",
        "MGPV",
        "Total number of tasks in the current worker process (active + sleeping)",
        |i| Value::U32(i.jobs()),
    ),
    row(
        48,
        "Run_queue",
        "MGPV",
        "Total number of active tasks+tasklets in the current worker process",
        |_| Value::U32(0),
    ),
    row(
        49,
        "Idle_pct",
        "MaPV",
        "Percentage of last second spent waiting in the current worker thread",
        |i| Value::U32(i.vitals.idle()),
    ),
    row(50, "node", "COSV", "Node name (global.node)", |i| Value::text(i.node())),
    row(51, "description", "COSV", "Node description (global.description)", |i| {
        Value::text(i.vitals.model().global.description.clone().unwrap_or_default())
    }),
    row(52, "Stopping", "MGPV", "1 if the worker process is currently stopping, otherwise zero", |i| {
        Value::U32(i.vitals.process.is_stopping().into())
    }),
    row(
        53,
        "Jobs",
        "MGPV",
        "Current number of active jobs on the current worker process (frontend connections, master connections, listeners)",
        |i| Value::U32(i.jobs()),
    ),
    row(
        54,
        "Unstoppable Jobs",
        "MGPV",
        "Current number of unstoppable jobs on the current worker process (master connections)",
        |_| Value::U32(0),
    ),
    row(55, "Listeners", "MGPV", "Current number of active listeners on the current worker process", |i| {
        Value::U32(i.listeners())
    }),
    row(
        56,
        "ActivePeers",
        "MGPV",
        "Current number of verified active peers connections on the current worker process",
        |_| Value::U32(0),
    ),
    row(
        57,
        "ConnectedPeers",
        "MGPV",
        "Current number of peers having passed the connection step on the current worker process",
        |_| Value::U32(0),
    ),
    row(
        58,
        "DroppedLogs",
        "MGPV",
        "Total number of dropped logs for current worker process since started",
        |i| u32(i.totals.dropped_logs),
    ),
    row(
        59,
        "BusyPolling",
        "MGPV",
        "1 if busy-polling is currently in use on the worker process, otherwise zero (config.busy-polling)",
        |_| Value::U32(0),
    ),
    row(
        60,
        "FailedResolutions",
        "MGPV",
        "Total number of failed DNS resolutions in current worker process since started",
        |_| Value::U32(0),
    ),
    row(
        61,
        "TotalBytesOut",
        "MGPV",
        "Total number of bytes emitted by current worker process since started",
        |i| Value::U64(i.totals.bytes_out),
    ),
    row(
        62,
        "TotalSplicedBytesOut",
        "MGPV",
        "Total number of bytes emitted by current worker process through a kernel pipe since started",
        |i| Value::U64(i.totals.spliced_bytes_out),
    ),
    row(
        63,
        "BytesOutRate",
        "MRPV",
        "Number of bytes emitted by current worker process over the last second",
        |i| Value::U64(i.vitals.bytes_rate()),
    ),
    row(
        64,
        "DebugCommandsIssued",
        "MGPV",
        "Number of debug commands issued on this process (anything > 0 is unsafe)",
        |_| Value::U32(0),
    ),
    row(
        65,
        "CumRecvLogs",
        "MCPV",
        "Total number of log messages received by log-forwarding listeners on this worker process since started",
        |i| u32(i.totals.cum_recv_logs),
    ),
    row(66, "Build info", "POSV", "Build info", |_| text(portcullis_config::VERSION)),
    row(
        67,
        "Memmax_bytes",
        "CLPV",
        "Worker process's hard limit on memory usage in bytes (-m on command line)",
        |i| u32(i.memory_limit() << 20),
    ),
    row(68, "PoolAlloc_bytes", "MGPV", "Amount of memory allocated in pools (in bytes)", |i| {
        Value::U64(i.pools.0)
    }),
    row(69, "PoolUsed_bytes", "MGPV", "Amount of pool memory currently used (in bytes)", |i| {
        Value::U64(i.pools.1)
    }),
    row(70, "Start_time_sec", "MDPV", "Start time in seconds", |i| i.seconds(i.vitals.started)),
    row(71, "Tainted", "SGPV", "Experimental features used", |_| text("0")),
    row(72, "TotalWarnings", "MCPV", "Total warnings issued", |i| Value::U32(i.vitals.warnings)),
    row(
        73,
        "MaxconnReached",
        "MCPV",
        "Number of times an accepted connection resulted in Maxconn being reached",
        |_| Value::U32(0),
    ),
    row(
        74,
        "BootTime_ms",
        "MDPV",
        "How long ago it took to parse and process the config before being ready (milliseconds)",
        |i| Value::U32(i.vitals.boot_ms),
    ),
    row(
        75,
        "Niced_tasks",
        "MGPV",
        "Total number of active tasks+tasklets in the current worker process (Run_queue) that are niced",
        |_| Value::U32(0),
    ),
    row(76, "CurrStreams", "MGPV", "Current number of streams on this worker process", |i| {
        Value::U64(i.counts().conns.get().into())
    }),
    row(
        77,
        "CumStreams",
        "MGPV",
        "Total number of streams created on this worker process since started",
        |i| Value::U64(i.totals.cum_req),
    ),
    row(
        78,
        "BlockedTrafficWarnings",
        "MGPV",
        "Total number of warnings issued about traffic being blocked by too slow a task",
        |i| u32(i.vitals.process.ledgers.warnings()),
    ),
    row(79, "PatternsAdded", "MGPV", "Total number of patterns added (acl/map entries)", |_| {
        Value::U64(tally::counts().0)
    }),
    row(80, "PatternsFreed", "MGPV", "Total number of patterns freed (acl/map entries)", |_| {
        Value::U64(tally::counts().1)
    }),
    row(81, "NbThreadGroups", "CGSV", "Number of started thread groups (global.thread-groups)", |_| {
        Value::U32(1)
    }),
];
