//! The lines of statistics: what each column of a frontend, listener, server or backend is made from.

use portcullis_backend::health::Probe;
use portcullis_backend::{Admin, BackendState, Health, ServerState};
use portcullis_config::addr::Host;
use portcullis_config::{Mode, Opts, ProxyKind};
use portcullis_proxy::check::report::standing;
use portcullis_proxy::plan::{ListenerPlan, ProxyPlan, ServerPlan};
use portcullis_telemetry::gate::Running;
use portcullis_telemetry::muxes::Muxes;
use portcullis_telemetry::table::{Col, Kind, Line, Value};
use portcullis_transport::listen::socket_addr;
use std::borrow::Cow;
use std::sync::atomic::Ordering::Relaxed;

/// What is the same for all lines of one answer.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Now, in milliseconds of the process' clock.
    pub now: u64,
    /// `maxconn` of the process.
    pub maxconn: u32,
    /// Addresses and algorithms are shown (levels operator and admin).
    pub legends: bool,
}

/// A line with what all have.
fn fresh(kind: Kind, proxy: &ProxyPlan, name: Cow<'static, str>, sid: u32) -> Line {
    let mut line = Line::new(kind, (&proxy.name, proxy.id), name, sid);
    let mode = match proxy.mode {
        Mode::Tcp => "tcp",
        Mode::Http => "http",
        Mode::Log => "syslog",
        Mode::Spop => "spop",
        Mode::Haterm => "haterm",
    };
    line.put(Col::Mode, Value::Text(mode.into()));
    for c in [
        Col::SslSess,
        Col::SslReusedSess,
        Col::SslFailedHandshake,
        Col::SslOcspStaple,
        Col::SslFailedOcspStaple,
    ] {
        line.big(c, 0);
    }
    line
}

/// The front side of a proxy.
#[must_use]
pub fn frontend(p: &ProxyPlan, m: Moment) -> Line {
    let mut line = fresh(Kind::Frontend, p, "FRONTEND".into(), 0);
    let (front, t) = (&p.front, p.front.counters.totals());
    line.num(Col::Scur, front.sessions.get());
    line.num(Col::Smax, front.sessions.highest());
    line.num(Col::Slim, front.sessions.bound().unwrap_or(m.maxconn));
    line.big(Col::Stot, t.cum_sess);
    line.bytes([t.bytes_in, t.bytes_out, t.bytes_in, t.req_out, t.res_in, t.bytes_out + t.res_out]);
    line.big(Col::Dreq, t.denied_req);
    line.big(Col::Dresp, t.denied_resp);
    line.big(Col::Ereq, t.failed_req);
    let status = match front.running() {
        Running::Ready => "OPEN",
        Running::Paused => "PAUSED",
        Running::Stopped => "STOP",
    };
    line.put(Col::Status, Value::Text(status.into()));
    let (sess, conn, req) = (front.sess_rate(m.now), front.conn_rate(m.now), front.req_rate(m.now));
    line.rate(Col::Rate, sess.per_second(m.now));
    line.num(Col::RateLim, front.rate_limit.load(Relaxed));
    line.rate(Col::RateMax, front.sess_rate_max.get(sess));
    line.rate(Col::ReqRate, req.per_second(m.now));
    line.rate(Col::ReqRateMax, front.req_rate_max.get(req));
    line.big(Col::ReqTot, t.cum_req);
    line.compression();
    line.rate(Col::ConnRate, conn.per_second(m.now));
    line.rate(Col::ConnRateMax, front.conn_rate_max.get(conn));
    line.big(Col::ConnTot, t.cum_conn);
    if p.mode == Mode::Http {
        line.statuses([t.http_1xx, t.http_2xx, t.http_3xx, t.http_4xx, t.http_5xx, t.http_other]);
        line.big(Col::Intercepted, t.intercepted);
        line.cache();
    }
    line.big(Col::Dcon, t.denied_conn);
    line.big(Col::Dses, t.denied_sess);
    line.big(Col::Wrew, t.failed_rewrites);
    line.big(Col::Eint, t.internal_errors);
    line.big(Col::SslSess, t.tls_sess);
    line.big(Col::SslReusedSess, t.tls_reused);
    line.big(Col::SslFailedHandshake, t.tls_failed);
    line.big(Col::SslOcspStaple, t.ocsp_stapled);
    let muxes = front_muxes(p);
    line.big(Col::SessOther, if p.mode == Mode::Http { 0 } else { t.cum_sess });
    line.big(Col::H1sess, muxes.h1[2]);
    line.big(Col::H2sess, muxes.h2.connections());
    line.big(Col::H3sess, 0);
    line.big(Col::ReqOther, t.req_other);
    line.big(Col::H1req, muxes.h1[3]);
    line.big(Col::H2req, muxes.h2.streams());
    line.big(Col::H3req, 0);
    line.muxes(&front.forgotten.rest(muxes));
    line
}

/// What clients' connections of a proxy have seen.
#[must_use]
pub fn front_muxes(p: &ProxyPlan) -> Muxes {
    let (front, t, h2) = (&p.front, p.front.counters.totals(), p.front.h2.totals());
    let pairs = [
        (front.sessions.get().into(), h2.open()),
        (0, 0),
        (t.cum_sess, t.h2_sess),
        (t.cum_req, h2.streams()),
        (t.bytes_in, t.h2_in),
        (t.bytes_out, t.h2_out),
        (0, 0),
        (0, 0),
    ];
    Muxes { h1: without(p, pairs), h2 }
}

/// What connections with a proxy's servers have seen.
#[must_use]
pub fn back_muxes(p: &ProxyPlan, b: &BackendState) -> Muxes {
    let (t, h2) = (b.counters.totals(), b.h2.totals());
    let open = |s: &ServerState| u64::from(s.idle.used() + s.idle.shared() + s.idle.private());
    let pairs = [
        (b.servers().iter().map(|s| open(s)).sum(), h2.open()),
        (0, 0),
        (t.connect, h2.connections()),
        (t.cum_req, h2.streams()),
        (t.res_in, t.h2_in),
        (t.req_out, t.h2_out),
        (0, 0),
        (0, 0),
    ];
    Muxes { h1: without(p, pairs), h2 }
}

/// All without those of HTTP/2 are of HTTP/1, if it is HTTP at all.
fn without(p: &ProxyPlan, pairs: [(u64, u64); 8]) -> [u64; 8] {
    pairs.map(|(all, h2)| if p.mode == Mode::Http { all.saturating_sub(h2) } else { 0 })
}

/// One address of a proxy's `bind` lines; `sid` is its number.
#[must_use]
pub fn listener(p: &ProxyPlan, l: &ListenerPlan, sid: u32, m: Moment) -> Line {
    let name = l.bind.name.clone().unwrap_or_else(|| format!("sock-{sid}"));
    let mut line = fresh(Kind::Listener, p, name.into(), sid);
    let t = l.counts.counters.totals();
    line.num(Col::Scur, l.counts.conns.get());
    line.num(Col::Smax, l.counts.conns.highest());
    line.num(Col::Slim, l.counts.conns.limit());
    line.big(Col::Stot, t.cum_sess);
    line.bytes([t.bytes_in, t.bytes_out, t.bytes_in, t.req_out, t.bytes_out, t.bytes_out + t.res_out]);
    line.big(Col::Dreq, t.denied_req);
    line.big(Col::Dresp, t.denied_resp);
    line.big(Col::Ereq, t.failed_req);
    let status = if l.counts.conns.full() { "FULL" } else { "OPEN" };
    line.put(Col::Status, Value::Text(status.into()));
    let (addr, proto) = match &l.bind.address.host {
        Host::V4(_) | Host::V6(_) => {
            let addr = socket_addr(&l.bind.address);
            let proto = if addr.is_some_and(|a| a.is_ipv6()) { "tcpv6" } else { "tcpv4" };
            (addr.map_or_else(String::new, |a| a.to_string()), proto)
        }
        Host::Abstract(_) => ("unix".to_owned(), "abns_stream"),
        Host::AbstractZ(_) => ("unix".to_owned(), "abnsz_stream"),
        _ => ("unix".to_owned(), "unix_stream"),
    };
    if m.legends {
        line.put(Col::Addr, Value::text(addr));
    }
    line.put(Col::Proto, Value::Text(proto.into()));
    line.big(Col::ConnTot, t.cum_conn);
    line.big(Col::Dcon, t.denied_conn);
    line.big(Col::Dses, t.denied_sess);
    line.big(Col::Wrew, t.failed_rewrites);
    line.big(Col::Eint, t.internal_errors);
    line
}

/// A server's weight, less while it warms up (`slowstart`).
fn weight(s: &ServerState) -> u32 {
    s.throttle().map_or(s.weight(), |percent| (s.weight() * percent).div_ceil(100))
}

/// Is a server up, as statistics see it?
#[must_use]
pub fn is_up(s: &ServerState) -> bool {
    s.admin() != Admin::Maint && s.health() != Health::Down
}

/// The state of a server in a few words.
#[must_use]
pub fn status(s: &ServerState) -> Cow<'static, str> {
    let mut tracked = s.life.lock().tracked();
    // the end of the chain is checked
    while let Some(further) = tracked.as_ref().and_then(|t| t.life.lock().tracked()) {
        tracked = Some(further);
    }
    let via = s.life.lock().tracked_name().map(str::to_owned);
    let (check, agent) = {
        let judged = tracked.as_deref().unwrap_or(s).life.lock();
        (judged.check.clone(), judged.agent.clone())
    };
    let asked = s.life.lock().agent.asked();
    match (s.admin(), s.health()) {
        (Admin::Maint, _) if s.inherited_admin() == Admin::Maint => {
            return format!("MAINT (via {})", via.unwrap_or_default()).into();
        }
        (Admin::Maint, _) if s.is_unresolved() => return "MAINT (resolution)".into(),
        (Admin::Maint, _) => return "MAINT".into(),
        (_, Health::Down) if agent.asked() && agent.health < agent.rise => return "DOWN (agent)".into(),
        (Admin::Drain, Health::Up) if asked => return "DRAIN (agent)".into(),
        _ => {}
    }
    let draining = s.admin() == Admin::Drain && s.health() == Health::Up;
    if !check.asked() {
        let word = match s.health() {
            Health::Down => "DOWN",
            Health::Stopping => "NOLB",
            Health::Up if draining => "DRAIN",
            Health::Up => "no check",
        };
        return word.into();
    }
    let standing = standing(s.health(), &check);
    if draining { standing.replacen("UP", "DRAIN", 1).into() } else { standing.into() }
}

/// What checks know of a server.
fn checks(line: &mut Line, s: &ServerState, m: Moment) {
    let life = s.life.lock();
    if let Some(name) = life.tracked_name() {
        line.put(Col::Tracked, Value::text(name));
    }
    if life.check.asked() {
        line.big(Col::Chkfail, life.failed);
        line.big(Col::Chkdown, life.downs);
        line.rate(Col::Downtime, life.downtime(m.now) / 1000);
    }
    if life.check.asked() && s.admin() != Admin::Maint {
        let cols = [
            Col::CheckStatus,
            Col::CheckCode,
            Col::CheckDuration,
            Col::LastChk,
            Col::CheckDesc,
            Col::CheckRise,
            Col::CheckFall,
            Col::CheckHealth,
        ];
        probe(line, &life.check, cols);
    }
    if life.agent.asked() {
        let cols = [
            Col::AgentStatus,
            Col::AgentCode,
            Col::AgentDuration,
            Col::LastAgt,
            Col::AgentDesc,
            Col::AgentRise,
            Col::AgentFall,
            Col::AgentHealth,
        ];
        probe(line, &life.agent, cols);
        if !life.agent.ended {
            line.put(Col::AgentDuration, Value::U64(0));
        }
    }
}

/// Status, code, duration, text, description, rise, fall and health of a check.
fn probe(line: &mut Line, probe: &Probe, cols: [Col; 8]) {
    let [status, code, duration, text, desc, rise, fall, health] = cols;
    let last = &probe.last;
    let name = if probe.running { format!("* {}", last.status.name()) } else { last.status.name().into() };
    line.put(status, Value::text(name));
    if last.status.has_code() {
        line.num(code, u32::try_from(last.code).unwrap_or(0));
    }
    if probe.ended {
        line.put(duration, Value::U64(last.duration));
    }
    line.put(text, Value::text(&*last.text));
    line.put(desc, Value::text(last.status.text()));
    line.num(rise, probe.rise);
    line.num(fall, probe.fall);
    line.num(health, probe.health);
}

/// One server.
#[must_use]
pub fn server(p: &ProxyPlan, s: &ServerState, plan: &ServerPlan, m: Moment) -> Line {
    let mut line = fresh(Kind::Server, p, Cow::Owned(s.name.to_string()), plan.id);
    let t = s.counters.totals();
    line.num(Col::Qcur, s.queued());
    line.num(Col::Qmax, s.queued_max());
    line.num(Col::Scur, s.sessions.get());
    line.num(Col::Smax, s.sessions.highest());
    if s.maxconn() != 0 {
        line.num(Col::Slim, s.maxconn());
    }
    line.big(Col::Stot, t.cum_sess);
    line.bytes([t.bytes_in, t.bytes_out, t.bytes_in, t.bytes_in, t.bytes_out, t.bytes_out + t.res_out]);
    line.big(Col::Dresp, t.denied_resp);
    line.big(Col::Econ, t.failed_conns);
    line.big(Col::Eresp, t.failed_resp);
    line.big(Col::Wretr, t.retries);
    line.big(Col::Wredis, t.redispatches);
    line.put(Col::Status, Value::Text(status(s)));
    checks(&mut line, s, m);
    line.num(Col::Weight, weight(s));
    if let Some(percent) = s.throttle() {
        line.put(Col::Throttle, Value::U32(percent));
    }
    line.num(Col::Act, (!s.backup()).into());
    line.num(Col::Bck, s.backup().into());
    line.rate(Col::Lastchg, s.unchanged_for(m.now) / 1000);
    if s.maxqueue() != 0 {
        line.num(Col::Qlimit, s.maxqueue());
    }
    line.big(Col::Lbtot, t.lb_total);
    let rate =
        s.counters.iter().map(|c| c.sess_rate.window(m.now)).sum::<portcullis_telemetry::rate::Window>();
    line.rate(Col::Rate, rate.per_second(m.now));
    line.rate(Col::RateMax, s.sess_rate_max.get(rate));
    if p.mode == Mode::Http {
        line.statuses([t.http_1xx, t.http_2xx, t.http_3xx, t.http_4xx, t.http_5xx, t.http_other]);
        line.big(Col::ReqTot, t.cum_req);
    }
    line.big(Col::CliAbrt, t.cli_aborts);
    line.big(Col::SrvAbrt, t.srv_aborts);
    line.put(Col::Lastsess, age(s.counters.iter().map(|c| c.times.last.get()).max(), s.used_before(), m));
    line.times(|| Box::new(s.counters.iter().map(|c| &c.times)));
    if m.legends {
        let unix = || (!s.is_unresolved()).then(|| "unix".to_owned());
        if let Some(addr) = plan.address(s).map(|a| a.to_string()).or_else(unix) {
            line.put(Col::Addr, Value::text(addr));
        }
        if let Some(cookie) = p.state.as_ref().and_then(|b| b.cookie_of(s)) {
            line.put(Col::Cookie, Value::text(String::from_utf8_lossy(&cookie)));
        }
    }
    line.big(Col::Wrew, t.failed_rewrites);
    line.big(Col::Connect, t.connect);
    line.big(Col::Reuse, t.reuse);
    line.num(Col::SrvIcur, s.idle.shared());
    if plan.pool.max_conn >= 0 {
        line.num(Col::SrcIlim, plan.pool.max_conn.unsigned_abs());
    }
    line.big(Col::Eint, t.internal_errors);
    line.num(Col::IdleConnCur, s.idle.unsafe_idle());
    line.num(Col::SafeConnCur, s.idle.safe());
    line.num(Col::UsedConnCur, s.idle.used());
    line.num(Col::NeedConnEst, s.idle.need());
    line.num(Col::Uweight, s.weight());
    line.num(Col::Srid, s.revision.load(Relaxed));
    line.num(Col::PrivIdleCur, s.idle.private());
    line
}

/// The back side of a proxy; `partial`: not all servers are shown, its status tells how many
/// of how many are up.
#[must_use]
pub fn backend(p: &ProxyPlan, b: &BackendState, m: Moment, partial: bool) -> Line {
    let mut line = fresh(Kind::Backend, p, "BACKEND".into(), 0);
    let (t, servers) = (b.counters.totals(), b.servers());
    let (act, bck) = servers
        .iter()
        .filter(|s| s.usable())
        .fold((0, 0), |(a, b), s| if s.backup() { (a, b + 1) } else { (a + 1, b) });
    line.num(Col::Qcur, b.queued());
    line.num(Col::Qmax, b.queued_max());
    line.num(Col::Scur, b.sessions().get());
    line.num(Col::Smax, b.sessions().highest());
    line.num(Col::Slim, b.fullconn());
    line.big(Col::Stot, t.cum_sess);
    line.bytes([t.bytes_in, t.bytes_out, t.bytes_in, t.req_out, t.res_in, t.bytes_out + t.res_out]);
    line.big(Col::Dreq, t.denied_req);
    line.big(Col::Dresp, t.denied_resp);
    line.big(Col::Econ, t.failed_conns);
    line.big(Col::Eresp, t.failed_resp);
    line.big(Col::Wretr, t.retries);
    line.big(Col::Wredis, t.redispatches);
    let total = servers.len();
    let up = servers.iter().filter(|s| is_up(s)).count();
    let status: Cow<'static, str> = match (act + bck > 0 || total == 0, partial && total > 0) {
        (true, true) => format!("UP ({up}/{total})").into(),
        (true, false) => "UP".into(),
        (false, _) => "DOWN".into(),
    };
    let status = if b.is_unpublished() { format!("{status} (UNPUB)").into() } else { status };
    line.put(Col::Status, Value::Text(status));
    // the servers that take the traffic now
    let in_use = servers.iter().filter(|s| s.usable() && s.backup() == (act == 0));
    let alone = act == 0 && !p.has(Opts::ALLBACKUPS);
    let weight = in_use.take(if alone { 1 } else { usize::MAX }).map(|s| weight(s)).sum();
    line.num(Col::Weight, weight);
    line.num(Col::Uweight, weight);
    line.tagged(Col::Act, Value::U32(act), "MGPV");
    line.tagged(Col::Bck, Value::U32(bck), "MGPV");
    line.big(Col::Chkdown, b.downs());
    line.rate(Col::Lastchg, b.unchanged_for(m.now) / 1000);
    if total > 0 {
        line.rate(Col::Downtime, b.downtime(m.now) / 1000);
    }
    line.big(Col::Lbtot, t.lb_total);
    let rate =
        b.counters.iter().map(|c| c.sess_rate.window(m.now)).sum::<portcullis_telemetry::rate::Window>();
    line.rate(Col::Rate, rate.per_second(m.now));
    let highest = u32::try_from(b.sess_rate_max.get(rate)).unwrap_or(u32::MAX);
    line.tagged(Col::RateMax, Value::U32(highest), "MGPV");
    if p.mode == Mode::Http {
        line.statuses([t.http_1xx, t.http_2xx, t.http_3xx, t.http_4xx, t.http_5xx, t.http_other]);
        line.big(Col::ReqTot, t.cum_req);
        line.cache();
    }
    line.big(Col::CliAbrt, t.cli_aborts);
    line.big(Col::SrvAbrt, t.srv_aborts);
    line.compression();
    line.put(Col::Lastsess, age(b.counters.iter().map(|c| c.times.last.get()).max(), b.used_before(), m));
    line.times(|| Box::new(b.counters.iter().map(|c| &c.times)));
    if m.legends {
        line.put(Col::Algo, Value::Text(p.algorithm.into()));
        if let Some(cookie) = &p.cookie {
            line.put(Col::Cookie, Value::text(String::from_utf8_lossy(&cookie.name)));
        }
    }
    line.big(Col::Wrew, t.failed_rewrites);
    line.big(Col::Connect, t.connect);
    line.big(Col::Reuse, t.reuse);
    line.big(Col::Eint, t.internal_errors);
    for c in [Col::AggServerStatus, Col::AggServerCheckStatus, Col::AggCheckStatus] {
        line.num(c, 0);
    }
    line.muxes(&b.forgotten.rest(back_muxes(p, b)));
    line
}

/// Seconds since something last happened, in this process or so long before it; -1: never.
fn age(last: Option<u64>, before: Option<u64>, m: Moment) -> Value {
    let millis = match last {
        Some(at) if at > 0 => Some(m.now.saturating_sub(at)),
        _ => before.map(|before| before.saturating_add(m.now)),
    };
    Value::S32(millis.map_or(-1, |n| i32::try_from(n / 1000).unwrap_or(i32::MAX)))
}

/// Has this proxy a front side in statistics?
#[must_use]
pub fn has_front(p: &ProxyPlan) -> bool {
    matches!(p.kind, ProxyKind::Frontend | ProxyKind::Listen)
}
