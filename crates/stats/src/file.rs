//! Counters kept over restarts (`stats-file`, `dump stats-file`; management manual 9.5): those of what has a `guid`.
//!
//! A table each for fronts (`#fe`: frontends, listeners) and backs (`#be`: servers, backends), with the columns of `show stat` that
//! last. What is computed from others (`reqbin` from `bin`, `h1sess` from `stot`, ...) and rates are written but not read.

use crate::lines::{self, Moment};
use portcullis_config::rows::value::one;
use portcullis_config::{Cx, Does, Keyword, Line as ConfigLine, Model, Opts, Rows, Sections};
use portcullis_proxy::plan::Plan;
use portcullis_telemetry::counter::Counter;
use portcullis_telemetry::stats::{BackendCounters, FrontendCounters, ListenerCounters, ServerCounters};
use portcullis_telemetry::table::{COLUMNS, Line, Value};
use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;

/// What a `#fe` table has.
const FRONTS: &str = "stot,bin,bout,dreq,dresp,ereq,rate,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,req_rate,req_tot,\
                      comp_in,comp_out,comp_byp,comp_rsp,conn_rate,conn_tot,intercepted,dcon,dses,wrew,cache_lookups,cache_hits,eint,\
                      h1sess,h2sess,h3sess,req_other,h1req,h2req,h3req,reqbin,reqbout,resbin,resbout,cache_hint_hits";
/// What a `#be` table has.
const BACKS: &str = "stot,bin,bout,dreq,dresp,econ,eresp,wretr,wredis,chkfail,chkdown,lastchg,lbtot,rate,hrsp_1xx,hrsp_2xx,hrsp_3xx,\
                     hrsp_4xx,hrsp_5xx,hrsp_other,hanafail,req_tot,cli_abrt,srv_abrt,comp_in,comp_out,comp_byp,comp_rsp,lastsess,wrew,\
                     connect,reuse,cache_lookups,cache_hits,eint,reqbin,reqbout,resbin,resbout,cache_hint_hits";

/// Where the counter of a column is.
type Fields<T> = &'static [(&'static str, fn(&T) -> &Counter)];

macro_rules! fields {
    ($name:ident, $of:ty, { $($column:literal => $field:ident,)* }) => {
        const $name: Fields<$of> = &[$(($column, |c| &c.$field),)*];
    };
}

fields!(FRONTEND, FrontendCounters, {
    "stot" => cum_sess, "bin" => bytes_in, "bout" => bytes_out, "dreq" => denied_req, "dresp" => denied_resp,
    "ereq" => failed_req, "hrsp_1xx" => http_1xx, "hrsp_2xx" => http_2xx, "hrsp_3xx" => http_3xx, "hrsp_4xx" => http_4xx,
    "hrsp_5xx" => http_5xx, "hrsp_other" => http_other, "req_tot" => cum_req, "conn_tot" => cum_conn,
    "intercepted" => intercepted, "dcon" => denied_conn, "dses" => denied_sess, "wrew" => failed_rewrites,
    "eint" => internal_errors, "req_other" => req_other, "h2sess" => h2_sess, "reqbout" => req_out, "resbin" => res_in,
});
fields!(LISTENER, ListenerCounters, {
    "stot" => cum_sess, "bin" => bytes_in, "bout" => bytes_out, "dreq" => denied_req, "dresp" => denied_resp,
    "ereq" => failed_req, "conn_tot" => cum_conn, "dcon" => denied_conn, "dses" => denied_sess, "wrew" => failed_rewrites,
    "eint" => internal_errors, "reqbout" => req_out,
});
fields!(BACKEND, BackendCounters, {
    "stot" => cum_sess, "bin" => bytes_in, "bout" => bytes_out, "dreq" => denied_req, "dresp" => denied_resp,
    "econ" => failed_conns, "eresp" => failed_resp, "wretr" => retries, "wredis" => redispatches, "lbtot" => lb_total,
    "hrsp_1xx" => http_1xx, "hrsp_2xx" => http_2xx, "hrsp_3xx" => http_3xx, "hrsp_4xx" => http_4xx,
    "hrsp_5xx" => http_5xx, "hrsp_other" => http_other, "req_tot" => cum_req, "cli_abrt" => cli_aborts,
    "srv_abrt" => srv_aborts, "wrew" => failed_rewrites, "connect" => connect, "reuse" => reuse, "eint" => internal_errors,
    "reqbout" => req_out, "resbin" => res_in,
});
fields!(SERVER, ServerCounters, {
    "stot" => cum_sess, "bin" => bytes_in, "bout" => bytes_out, "dresp" => denied_resp, "econ" => failed_conns,
    "eresp" => failed_resp, "wretr" => retries, "wredis" => redispatches, "lbtot" => lb_total, "hrsp_1xx" => http_1xx,
    "hrsp_2xx" => http_2xx, "hrsp_3xx" => http_3xx, "hrsp_4xx" => http_4xx, "hrsp_5xx" => http_5xx,
    "hrsp_other" => http_other, "cli_abrt" => cli_aborts, "srv_abrt" => srv_aborts, "wrew" => failed_rewrites,
    "connect" => connect, "reuse" => reuse, "eint" => internal_errors, "req_tot" => cum_req, "reqbout" => req_out,
    "resbin" => res_in,
});

/// `stats-file`
#[derive(Clone, Debug, Default)]
struct StatsFile {
    path: String,
    /// None: it cannot be read.
    text: Option<String>,
}

const ROWS: &[Keyword] = &[Keyword {
    name: "stats-file",
    sections: Sections::GLOBAL,
    args: "<path>",
    help: "A file of counters to begin with.",
    negatable: false,
    does: Does::Works(stats_file),
}];

/// The rows of this file.
#[must_use]
pub fn rows() -> Rows {
    Rows { keywords: ROWS, ..Rows::default() }
}

fn stats_file(cx: &mut Cx<'_>, line: &ConfigLine) {
    let missing = "'stats-file' expect one argument: a file path.";
    let Some(word) = one(cx, line, 1, missing) else { return };
    if cx.model.global.ext.get::<StatsFile>().is_some() {
        cx.alert(line.word(0), "'stats-file' already specified. Continuing.").harmless();
        return;
    }
    let path = word.str().into_owned();
    let text = cx.files.read(Path::new(&path)).ok().map(|t| String::from_utf8_lossy(&t).into_owned());
    *cx.global_ext::<StatsFile>() = StatsFile { path, text };
}

/// Everything that has a `guid`, with its counters.
#[must_use]
pub fn dump(plan: &Plan, model: &Model, m: Moment) -> String {
    let (mut fronts, mut backs) = (String::new(), String::new());
    for (p, said) in plan.proxies.iter().zip(&model.proxies) {
        if let Some(guid) = said.guid.as_deref().filter(|_| lines::has_front(p)) {
            row(&mut fronts, guid, FRONTS, &lines::frontend(p, m));
        }
        for l in plan.listeners.iter().filter(|l| l.frontend == p.index && p.has(Opts::SOCKET_STATS)) {
            if let Some(prefix) = &l.bind.guid_prefix {
                let guid = format!("{prefix}-{}", l.number);
                row(&mut fronts, &guid, FRONTS, &lines::listener(p, l, l.bind.id, m));
            }
        }
        for (server, said) in p.servers.iter().zip(&said.servers) {
            if let (Some(guid), Some(state)) = (&said.guid, p.state_of(server)) {
                row(&mut backs, guid, BACKS, &lines::server(p, &state, server, m));
            }
        }
        if let (Some(guid), Some(state)) = (&said.guid, &p.state) {
            row(&mut backs, guid, BACKS, &lines::backend(p, state, m, false));
        }
    }
    format!("#fe guid,{FRONTS},\n{fronts}\n#be guid,{BACKS},\n{backs}")
}

fn row(out: &mut String, guid: &str, columns: &str, line: &Line) {
    out.push_str(guid);
    for name in columns.split(',') {
        let at = COLUMNS.iter().position(|c| c.name == name);
        let value = at.and_then(|at| line.cells.get(at)?.as_ref());
        let number = match value.map(|(v, _)| v) {
            Some(Value::U32(n)) => u64::from(*n),
            Some(Value::U64(n)) => *n,
            _ => 0,
        };
        let _ = write!(out, ",{number}");
    }
    out.push_str(",\n");
}

/// Begins with the counters of the `stats-file`, if there is one; what is wrong with it is told.
///
/// # Errors
/// HAProxy's warning.
pub fn preload(plan: &Plan, model: &Model) -> Result<(), String> {
    let Some(file) = model.global.ext.get::<StatsFile>() else { return Ok(()) };
    let Some(text) = &file.text else {
        return Err(format!("config: Can't load stats-file '{}': cannot open file.", file.path));
    };
    let tables =
        read(text).ok_or_else(|| format!("config: Invalid stats-file format in file '{}'.", file.path))?;
    for (p, said) in plan.proxies.iter().zip(&model.proxies) {
        let own = said.guid.as_deref();
        if let Some(values) = own.filter(|_| lines::has_front(p)).and_then(|g| tables.fronts.get(g)) {
            let counters = p.front.counters.of(usize::MAX);
            set(counters, FRONTEND, values);
            counters.res_out.add(own_bytes(values));
            p.front.h2.of(usize::MAX).begin_with(value(values, "h2sess"), value(values, "h2req"));
        }
        for l in plan.listeners.iter().filter(|l| l.frontend == p.index && p.has(Opts::SOCKET_STATS)) {
            let guid = l.bind.guid_prefix.as_ref().map(|prefix| format!("{prefix}-{}", l.number));
            if let Some(values) = guid.and_then(|g| tables.fronts.get(g.as_str())) {
                let counters = l.counts.counters.of(usize::MAX);
                set(counters, LISTENER, values);
                counters.res_out.add(own_bytes(values));
            }
        }
        for (server, said) in p.servers.iter().zip(&said.servers) {
            let values = said.guid.as_deref().and_then(|g| tables.backs.get(g));
            if let (Some(values), Some(state)) = (values, p.state_of(server)) {
                let counters = state.counters.of(usize::MAX);
                set(counters, SERVER, values);
                counters.res_out.add(own_bytes(values));
                let of = |name| value(values, name);
                state.unchanged_before(of("lastchg").saturating_mul(1000));
                if let Some(used) = last_session(values) {
                    state.was_used(used);
                }
                let mut life = state.life.lock();
                (life.failed, life.observed, life.downs) = (of("chkfail"), of("hanafail"), of("chkdown"));
            }
        }
        if let (Some(values), Some(state)) = (own.and_then(|g| tables.backs.get(g)), &p.state) {
            let counters = state.counters.of(usize::MAX);
            set(counters, BACKEND, values);
            counters.res_out.add(own_bytes(values));
            let changed = value(values, "lastchg").saturating_mul(1000);
            state.begin_with(Some(changed), last_session(values), value(values, "chkdown"));
        }
    }
    Ok(())
}

/// The value of a column.
fn value(values: &[(&str, u64)], name: &str) -> u64 {
    values.iter().find(|(n, _)| *n == name).map_or(0, |(_, v)| *v)
}

/// What went to clients beside what servers said.
fn own_bytes(values: &[(&str, u64)]) -> u64 {
    value(values, "resbout").saturating_sub(value(values, "bout"))
}

/// How long ago the last session was, in milliseconds. A file has 0 for never, too.
fn last_session(values: &[(&str, u64)]) -> Option<u64> {
    (value(values, "stot") > 0).then(|| value(values, "lastsess").saturating_mul(1000))
}

fn set<T>(counters: &T, fields: Fields<T>, values: &[(&str, u64)]) {
    for (name, value) in values {
        if let Some((_, field)) = fields.iter().find(|(n, _)| n == name) {
            field(counters).add(*value);
        }
    }
}

/// Rows by their guid.
type Table<'t> = HashMap<&'t str, Vec<(&'t str, u64)>>;

#[derive(Default)]
struct Tables<'t> {
    fronts: Table<'t>,
    backs: Table<'t>,
}

/// None: that is no such file. What is not a number counts nothing; columns and names that are not known are left out.
fn read(text: &str) -> Option<Tables<'_>> {
    let mut tables = Tables::default();
    let mut header: Option<(bool, Vec<&str>)> = None;
    for line in text.lines().filter(|l| !l.trim().is_empty()) {
        if let Some(rest) = line.strip_prefix('#') {
            let (side, columns) = rest.split_once(' ')?;
            let mut columns = columns.split(',');
            if columns.next() != Some("guid") || !matches!(side, "fe" | "be") {
                return None;
            }
            header = Some((side == "fe", columns.filter(|c| !c.is_empty()).collect()));
            continue;
        }
        let (front, columns) = header.as_ref()?;
        let mut cells = line.split(',');
        let guid = cells.next()?;
        let values = columns.iter().zip(cells).filter_map(|(c, v)| Some((*c, v.parse().ok()?)));
        let table = if *front { &mut tables.fronts } else { &mut tables.backs };
        table.insert(guid, values.collect());
    }
    header.is_some().then_some(tables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_by_column_name() {
        let text = "#fe guid,stot,bin,odd,\na,5,x,7,\n\n#be guid,lbtot,stot,\nb,1,2,\nb2,3\n";
        let tables = read(text).unwrap();
        assert_eq!(tables.fronts["a"], [("stot", 5), ("odd", 7)]);
        assert_eq!(tables.backs["b"], [("lbtot", 1), ("stot", 2)]);
        assert_eq!(tables.backs["b2"], [("lbtot", 3)]);
        assert!(read("a,1\n").is_none() && read("#xx guid,a\n").is_none() && read("").is_none());
    }

    #[test]
    fn columns_are_those_of_statistics() {
        for name in FRONTS.split(',').chain(BACKS.split(',')) {
            assert!(COLUMNS.iter().any(|c| c.name == name), "{name}");
        }
        let counters = ServerCounters::default();
        set(&counters, SERVER, &[("stot", 4), ("none", 1), ("econ", 2)]);
        assert_eq!((counters.cum_sess.get(), counters.failed_conns.get()), (4, 2));
    }
}
