//! What `show stat` prints about frontends, listeners, backends and servers (management manual 9.1), per worker.
//!
//! Gauges (current sessions, queues) are the process's and live in [`crate::gauge`] and in `backend`.

use crate::counter::{Counter, Highest, Sharded};
use crate::histogram::Histogram;
use crate::rate::{Rate, Window};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Declares a struct of [`Counter`]s with one writer, and the struct of their sums.
macro_rules! counters {
    ($(#[$doc:meta])* $name:ident => $totals:ident { $($(#[$fdoc:meta])* $field:ident,)* } rates { $($(#[$rdoc:meta])* $rate:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $name {
            $($(#[$fdoc])* pub $field: Counter,)*
            $($(#[$rdoc])* pub $rate: Rate,)*
            /// Times over the last requests.
            pub times: Times,
        }
        #[doc = concat!("Sums of [`", stringify!($name), "`].")]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $totals { $($(#[$fdoc])* pub $field: u64,)* }
        impl $name {
            /// Adds this shard to `sum`.
            pub fn add_to(&self, sum: &mut $totals) {
                $(sum.$field = sum.$field.wrapping_add(self.$field.get());)*
            }
            /// `clear counters all`
            pub fn clear(&self) {
                $(self.$field.clear();)*
                $(self.$rate.clear();)*
                self.times.clear();
            }
        }
        impl Sharded<$name> {
            /// The sums over all workers.
            pub fn totals(&self) -> $totals {
                let mut sum = $totals::default();
                self.iter().for_each(|shard| shard.add_to(&mut sum));
                sum
            }
        }
    };
}

/// The `http_*` counters by status code.
macro_rules! by_status {
    ($name:ident) => {
        impl $name {
            /// Counts a response by the first digit of its status.
            #[inline]
            pub fn response(&self, status: u16) {
                match status / 100 {
                    1 => &self.http_1xx,
                    2 => &self.http_2xx,
                    3 => &self.http_3xx,
                    4 => &self.http_4xx,
                    5 => &self.http_5xx,
                    _ => &self.http_other,
                }
                .inc();
            }
        }
    };
}

counters! {
    /// One worker's counters of a frontend (or the front side of a `listen`).
    FrontendCounters => FrontendTotals {
        /// Connections accepted (`conn_tot`).
        cum_conn,
        /// Sessions, that is connections that passed the layer 4 rules (`stot`).
        cum_sess,
        /// HTTP requests received (`req_tot`).
        cum_req,
        /// Bytes from clients (`bin`).
        bytes_in,
        /// Bytes to clients (`bout`).
        bytes_out,
        /// Request bytes received (`reqbin`).
        req_in,
        /// Request bytes sent (`reqbout`).
        req_out,
        /// Response bytes received (`resbin`).
        res_in,
        /// Bytes of answers of our own (`resbout` has those of servers as well).
        res_out,
        /// Requests denied by rules (`dreq`).
        denied_req,
        /// Responses denied by rules (`dresp`).
        denied_resp,
        /// Connections denied by `tcp-request connection` (`dcon`).
        denied_conn,
        /// Sessions denied by `tcp-request session` (`dses`).
        denied_sess,
        /// Bad requests (`ereq`).
        failed_req,
        /// Internal errors (`eint`).
        internal_errors,
        /// Failed header rewrites (`wrew`).
        failed_rewrites,
        /// Requests answered here (`intercepted`).
        intercepted,
        /// HTTP/2 sessions that have never been of HTTP/1: by ALPN, or as their listener says.
        h2_sess,
        /// Bytes of HTTP/2 requests.
        h2_in,
        /// Bytes of their responses.
        h2_out,
        /// Streams that are not HTTP (`req_other`).
        req_other,
        /// `hrsp_1xx`
        http_1xx,
        /// `hrsp_2xx`
        http_2xx,
        /// `hrsp_3xx`
        http_3xx,
        /// `hrsp_4xx`
        http_4xx,
        /// `hrsp_5xx`
        http_5xx,
        /// `hrsp_other`
        http_other,
        /// TLS sessions that began with a whole handshake (`ssl_sess`).
        tls_sess,
        /// Those that went on with an earlier one (`ssl_reused_sess`).
        tls_reused,
        /// TLS handshakes that failed (`ssl_failed_handshake`).
        tls_failed,
        /// OCSP responses that were sent (`ssl_ocsp_staple`).
        ocsp_stapled,
    }
    rates {
        /// New connections.
        conn_rate,
        /// New sessions.
        sess_rate,
        /// Requests.
        req_rate,
    }
}
by_status!(FrontendCounters);

impl FrontendCounters {
    /// What any `clear counters` begins again of TLS.
    pub fn clear_tls(&self) {
        [&self.tls_sess, &self.tls_reused, &self.tls_failed, &self.ocsp_stapled]
            .iter()
            .for_each(|c| c.clear());
    }
}

counters! {
    /// One worker's counters of a listener (`option socket-stats`).
    ListenerCounters => ListenerTotals {
        /// Connections accepted.
        cum_conn,
        /// Sessions (`stot`).
        cum_sess,
        /// `bin`
        bytes_in,
        /// `bout`
        bytes_out,
        /// `reqbout`
        req_out,
        /// Bytes of answers of our own (`resbout` has those of servers as well).
        res_out,
        /// `dreq`
        denied_req,
        /// `dresp`
        denied_resp,
        /// `dcon`
        denied_conn,
        /// `dses`
        denied_sess,
        /// `ereq`
        failed_req,
        /// `eint`
        internal_errors,
        /// `wrew`
        failed_rewrites,
    }
    rates {}
}

counters! {
    /// One worker's counters of a backend (or the back side of a `listen`).
    BackendCounters => BackendTotals {
        /// Sessions, that is streams that came here (`stot`).
        cum_sess,
        /// HTTP requests (`req_tot`).
        cum_req,
        /// Times that balancing chose a server (`lbtot`).
        lb_total,
        /// `bin`
        bytes_in,
        /// `bout`
        bytes_out,
        /// `reqbin`
        req_in,
        /// `reqbout`
        req_out,
        /// `resbin`
        res_in,
        /// Bytes of answers of our own (`resbout` has those of servers as well).
        res_out,
        /// `dreq`
        denied_req,
        /// `dresp`
        denied_resp,
        /// Failed connections (`econ`).
        failed_conns,
        /// Response errors (`eresp`).
        failed_resp,
        /// Connection attempts repeated (`wretr`).
        retries,
        /// Requests moved to another server (`wredis`).
        redispatches,
        /// `eint`
        internal_errors,
        /// `wrew`
        failed_rewrites,
        /// `intercepted`
        intercepted,
        /// Transfers aborted by the client (`cli_abrt`).
        cli_aborts,
        /// Transfers aborted by the server (`srv_abrt`).
        srv_aborts,
        /// Connection attempts (`connect`).
        connect,
        /// Reused connections (`reuse`).
        reuse,
        /// Bytes of requests over HTTP/2.
        h2_out,
        /// Bytes of their responses.
        h2_in,
        /// `hrsp_1xx`
        http_1xx,
        /// `hrsp_2xx`
        http_2xx,
        /// `hrsp_3xx`
        http_3xx,
        /// `hrsp_4xx`
        http_4xx,
        /// `hrsp_5xx`
        http_5xx,
        /// `hrsp_other`
        http_other,
    }
    rates {
        /// New streams.
        sess_rate,
    }
}
by_status!(BackendCounters);

counters! {
    /// One worker's counters of a server.
    ServerCounters => ServerTotals {
        /// Sessions (`stot`).
        cum_sess,
        /// HTTP requests sent to it (`req_tot` is not shown for servers; kept for Prometheus).
        cum_req,
        /// `lbtot`
        lb_total,
        /// `bin`
        bytes_in,
        /// `bout`
        bytes_out,
        /// `reqbin`
        req_in,
        /// `reqbout`
        req_out,
        /// `resbin`
        res_in,
        /// Bytes of answers of our own (`resbout` has those of servers as well).
        res_out,
        /// `dresp`
        denied_resp,
        /// `econ`
        failed_conns,
        /// `eresp`
        failed_resp,
        /// `wretr`
        retries,
        /// Requests moved away from it (`wredis`).
        redispatches,
        /// `eint`
        internal_errors,
        /// `wrew`
        failed_rewrites,
        /// `cli_abrt`
        cli_aborts,
        /// `srv_abrt`
        srv_aborts,
        /// `connect`
        connect,
        /// `reuse`
        reuse,
        /// `hrsp_1xx`
        http_1xx,
        /// `hrsp_2xx`
        http_2xx,
        /// `hrsp_3xx`
        http_3xx,
        /// `hrsp_4xx`
        http_4xx,
        /// `hrsp_5xx`
        http_5xx,
        /// `hrsp_other`
        http_other,
    }
    rates {
        /// New streams.
        sess_rate,
    }
}
by_status!(ServerCounters);

counters! {
    /// One worker's counters of the process (`show info`).
    ProcessCounters => ProcessTotals {
        /// Connections accepted (`CumConns`).
        cum_conns,
        /// Requests (`CumReq`).
        cum_req,
        /// Bytes sent (`TotalBytesOut`).
        bytes_out,
        /// Bytes that went through a pipe (`TotalSplicedBytesOut`).
        spliced_bytes_out,
        /// Log lines that could not be sent (`DroppedLogs`).
        dropped_logs,
        /// Messages that `log-forward` sections received.
        cum_recv_logs,
        /// Streams that ended in a panic.
        panics,
        /// TLS connections, clients' and servers' (`CumSslConns`).
        cum_tls,
    }
    rates {
        /// New connections (`ConnRate`).
        conn_rate,
        /// New sessions (`SessRate`).
        sess_rate,
        /// New TLS connections of clients (`SslRate`).
        tls_rate,
        /// Those that shook hands without an earlier session (`SslFrontendKeyRate`).
        front_keys,
        /// The same with servers (`SslBackendKeyRate`).
        back_keys,
    }
}

/// A mean over about the last 1,024 values, as `qtime`, `ctime`, `rtime` and `ttime` are; one writer.
#[derive(Debug, Default)]
pub struct Mean {
    sum: AtomicU64,
    seen: AtomicU32,
}

const MEAN_OVER: u64 = 1024;

impl Mean {
    /// Takes a value into account.
    #[inline]
    pub fn add(&self, value: u64) {
        let (sum, seen) = (self.sum.load(Relaxed), u64::from(self.seen.load(Relaxed)));
        if seen < MEAN_OVER {
            self.seen.store(seen as u32 + 1, Relaxed);
            self.sum.store(sum + value, Relaxed);
        } else {
            self.sum.store(sum - sum.div_ceil(MEAN_OVER) + value, Relaxed);
        }
    }
    /// Sum and number of the values in it.
    pub fn parts(&self) -> (u64, u64) {
        (self.sum.load(Relaxed), self.seen.load(Relaxed).into())
    }
    /// Forgets all.
    pub fn clear(&self) {
        self.sum.store(0, Relaxed);
        self.seen.store(0, Relaxed);
    }
}

/// Mean and highest times in milliseconds.
#[derive(Debug, Default)]
pub struct Times {
    /// `qtime`
    pub queue: Mean,
    /// `ctime`
    pub connect: Mean,
    /// `rtime`
    pub response: Mean,
    /// `ttime`
    pub total: Mean,
    /// `qtime_max`
    pub queue_max: Highest,
    /// `ctime_max`
    pub connect_max: Highest,
    /// `rtime_max`
    pub response_max: Highest,
    /// `ttime_max`
    pub total_max: Highest,
    /// How response times are spread.
    pub responses: Histogram,
    /// How total times are spread.
    pub totals: Histogram,
    /// When the last stream came, in milliseconds of the process clock (`lastsess`); 0: never.
    pub last: Highest,
}

impl Times {
    /// Counts a finished stream: queue, connect, response and total time in milliseconds.
    pub fn add(&self, queue: u64, connect: u64, response: u64, total: u64) {
        for (mean, max, value) in [
            (&self.queue, &self.queue_max, queue),
            (&self.connect, &self.connect_max, connect),
            (&self.response, &self.response_max, response),
            (&self.total, &self.total_max, total),
        ] {
            mean.add(value);
            max.see(value);
        }
        self.totals.add(total);
    }
    /// Forgets all.
    pub fn clear(&self) {
        [&self.responses, &self.totals].iter().for_each(|h| h.clear());
        for mean in [&self.queue, &self.connect, &self.response, &self.total] {
            mean.clear();
        }
        for max in [&self.queue_max, &self.connect_max, &self.response_max, &self.total_max, &self.last] {
            max.clear();
        }
    }
}

/// The mean of one kind of time over all workers, rounded up as HAProxy does; `pick` names it.
pub fn mean<'a>(times: impl Iterator<Item = &'a Times>, pick: impl Fn(&Times) -> &Mean) -> u64 {
    let (sum, seen) = times.fold((0, 0), |(sum, seen), t| {
        let (s, n) = pick(t).parts();
        (sum + s, seen + n)
    });
    if seen == 0 { 0 } else { sum.div_ceil(seen) }
}

/// A rate of the whole process: shards are counted by their workers, the maximum is kept here.
#[derive(Debug, Default)]
pub struct RateMax {
    highest: AtomicU32,
    /// What ran when it was cleared: events of the second, and of the one before (upper and lower half), which do not count until
    /// another one comes.
    cleared: AtomicU64,
}

impl RateMax {
    /// Counts an event in `rate` (the caller's shard); when its second ends, the sum that `all` yields is compared.
    #[inline]
    pub fn hit<'a, I: Iterator<Item = &'a Rate>>(&self, rate: &Rate, all: impl FnOnce() -> I, now: u64) {
        if rate.hit(now) {
            self.see(all().map(|r| r.finished(now)).sum());
        }
    }
    /// Takes the rate of a whole second into account.
    pub fn see(&self, rate: u64) {
        self.highest.fetch_max(u32::try_from(rate).unwrap_or(u32::MAX), Relaxed);
    }
    /// The highest so far; `window` is the running one, which counts too.
    pub fn get(&self, window: Window) -> u64 {
        let running = if self.is_quiet(window) { 0 } else { window.current.max(window.previous) };
        u64::from(self.highest.load(Relaxed)).max(running)
    }
    /// `clear counters`, while `window` runs.
    pub fn clear(&self, window: Window) {
        self.highest.store(0, Relaxed);
        self.cleared.store(window.current << 32 | window.previous, Relaxed);
    }
    /// Has nothing come since it was cleared, in that second or the next?
    fn is_quiet(&self, window: Window) -> bool {
        let cleared = self.cleared.load(Relaxed);
        let (current, previous) = (cleared >> 32, u64::from(cleared as u32));
        window == Window { current, previous } || window == Window { current: 0, previous: current }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_sums_over_workers() {
        let all: Sharded<FrontendCounters> = Sharded::new(4);
        all.of(0).cum_req.add(3);
        all.of(3).cum_req.add(4);
        all.of(1).response(204);
        all.of(2).response(599);
        all.of(2).response(700);
        let t = all.totals();
        assert_eq!((t.cum_req, t.http_2xx, t.http_5xx, t.http_other), (7, 1, 1, 1));
        all.iter().for_each(FrontendCounters::clear);
        assert_eq!(all.totals(), FrontendTotals::default());
    }

    #[test]
    fn means() {
        let (a, b) = (Times::default(), Times::default());
        a.add(0, 1, 10, 11);
        b.add(4, 1, 20, 25);
        assert_eq!(mean([&a, &b].into_iter(), |t| &t.response), 15);
        assert_eq!(mean([&a, &b].into_iter(), |t| &t.queue), 2);
        assert_eq!(b.total_max.get(), 25);
        for _ in 0..20_000 {
            a.add(0, 0, 100, 0);
        }
        assert_eq!(mean([&a].into_iter(), |t| &t.response), 100, "old values fade");
    }

    #[test]
    fn maximum_is_the_process_s() {
        let all: Sharded<FrontendCounters> = Sharded::new(2);
        let max = RateMax::default();
        let hit = |w: usize, now| max.hit(&all.of(w).req_rate, || all.iter().map(|s| &s.req_rate), now);
        (0..5).for_each(|_| hit(0, 1500));
        (0..7).for_each(|_| hit(1, 1600));
        hit(0, 2000);
        let running: Window = all.iter().map(|s| s.req_rate.window(2000)).sum();
        assert_eq!(max.get(running), 12);
        max.clear(running);
        let later: Window = all.iter().map(|s| s.req_rate.window(3000)).sum();
        assert_eq!((max.get(running), max.get(later)), (0, 0));
        hit(1, 2500);
        let more = all.iter().map(|s| s.req_rate.window(2500)).sum();
        assert_eq!(max.get(more), 12, "what was before counts again once something comes");
        assert_eq!(running.per_second(2000), 13);
    }
}
