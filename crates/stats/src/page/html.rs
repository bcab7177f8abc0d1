//! The page as HTML: one table a proxy, one row a line of statistics.

use super::Common;
use super::post::ACTIONS;
use super::query::Options;
use super::style::CSS;
use crate::Vitals;
use crate::figures::Info;
use crate::walk::Item;
use portcullis_config::{BRANCH, Mode, Model, ProxyKind, VERSION};
use portcullis_proxy::plan::{Plan, ProxyPlan};
use portcullis_telemetry::table::{COLUMNS, Col, Kind, Line, STATIC, Value};
use std::fmt::Write;
use std::sync::Arc;

/// A line of a cell's tooltip.
type Tip = (&'static str, Col);

/// What a cell shows.
#[derive(Clone, Copy)]
enum Show {
    Number(Col),
    /// `-`: there is none.
    Limit(Col),
    /// How long ago.
    Ago(Col),
    /// How long.
    Time(Col),
    /// `Y` or `-` for a server, how many for a backend.
    Count(Col),
    Percent(Col),
    Status,
    LastCheck,
    Weight,
}

struct Cell {
    title: &'static str,
    show: Show,
    tips: &'static [Tip],
}

const fn cell(title: &'static str, show: Show) -> Cell {
    Cell { title, show, tips: &[] }
}

const fn told(title: &'static str, show: Show, tips: &'static [Tip]) -> Cell {
    Cell { title, show, tips }
}

const RATES: &[Tip] =
    &[("connections/s", Col::ConnRate), ("sessions/s", Col::Rate), ("requests/s", Col::ReqRate)];
const RATE_MAXIMA: &[Tip] =
    &[("connections/s", Col::ConnRateMax), ("sessions/s", Col::RateMax), ("requests/s", Col::ReqRateMax)];
const CONNECTIONS: &[Tip] = &[
    ("active sessions", Col::Scur),
    ("connections in use", Col::UsedConnCur),
    ("idle connections", Col::SrvIcur),
    ("idle, unsafe", Col::IdleConnCur),
    ("idle, safe", Col::SafeConnCur),
    ("idle, private", Col::PrivIdleCur),
    ("connections needed (estimate)", Col::NeedConnEst),
    ("limit of idle connections", Col::SrcIlim),
];
const TOTALS: &[Tip] = &[
    ("connections", Col::ConnTot),
    ("sessions", Col::Stot),
    ("HTTP/1 sessions", Col::H1sess),
    ("HTTP/2 sessions", Col::H2sess),
    ("HTTP/3 sessions", Col::H3sess),
    ("other sessions", Col::SessOther),
    ("new connections", Col::Connect),
    ("reused connections", Col::Reuse),
    ("HTTP requests", Col::ReqTot),
    ("HTTP/1 requests", Col::H1req),
    ("HTTP/2 requests", Col::H2req),
    ("HTTP/3 requests", Col::H3req),
    ("other requests", Col::ReqOther),
    ("1xx responses", Col::Hrsp1xx),
    ("2xx responses", Col::Hrsp2xx),
    ("compressed responses", Col::CompRsp),
    ("3xx responses", Col::Hrsp3xx),
    ("4xx responses", Col::Hrsp4xx),
    ("5xx responses", Col::Hrsp5xx),
    ("other responses", Col::HrspOther),
    ("requests answered here", Col::Intercepted),
    ("cache lookups", Col::CacheLookups),
    ("cache hits", Col::CacheHits),
    ("failed header rewrites", Col::Wrew),
    ("internal errors", Col::Eint),
    ("queue time, average ms", Col::Qtime),
    ("connect time, average ms", Col::Ctime),
    ("response time, average ms", Col::Rtime),
    ("total time, average ms", Col::Ttime),
    ("queue time, highest ms", Col::QtimeMax),
    ("connect time, highest ms", Col::CtimeMax),
    ("response time, highest ms", Col::RtimeMax),
    ("total time, highest ms", Col::TtimeMax),
];
const BYTES: &[Tip] = &[
    ("response bytes in", Col::Resbin),
    ("compression in", Col::CompIn),
    ("compression out", Col::CompOut),
    ("compression bypassed", Col::CompByp),
];
const ABORTS: &[Tip] =
    &[("transfers ended by clients", Col::CliAbrt), ("transfers ended by servers", Col::SrvAbrt)];
const CHECK: &[Tip] = &[("", Col::CheckDesc), ("", Col::LastChk), ("code", Col::CheckCode)];

/// The columns in their groups.
const GROUPS: &[(&str, &[Cell])] = &[
    (
        "Queue",
        &[
            cell("Cur", Show::Number(Col::Qcur)),
            cell("Max", Show::Number(Col::Qmax)),
            cell("Limit", Show::Limit(Col::Qlimit)),
        ],
    ),
    (
        "Session rate",
        &[
            told("Cur", Show::Number(Col::Rate), RATES),
            told("Max", Show::Number(Col::RateMax), RATE_MAXIMA),
            cell("Limit", Show::Limit(Col::RateLim)),
        ],
    ),
    (
        "Sessions",
        &[
            told("Cur", Show::Number(Col::Scur), CONNECTIONS),
            cell("Max", Show::Number(Col::Smax)),
            cell("Limit", Show::Limit(Col::Slim)),
            told("Total", Show::Number(Col::Stot), TOTALS),
            cell("LbTot", Show::Number(Col::Lbtot)),
            cell("Last", Show::Ago(Col::Lastsess)),
        ],
    ),
    ("Bytes", &[cell("In", Show::Number(Col::Bin)), told("Out", Show::Number(Col::Bout), BYTES)]),
    ("Denied", &[cell("Req", Show::Number(Col::Dreq)), cell("Resp", Show::Number(Col::Dresp))]),
    (
        "Errors",
        &[
            cell("Req", Show::Number(Col::Ereq)),
            cell("Conn", Show::Number(Col::Econ)),
            told("Resp", Show::Number(Col::Eresp), ABORTS),
        ],
    ),
    ("Warnings", &[cell("Retr", Show::Number(Col::Wretr)), cell("Redis", Show::Number(Col::Wredis))]),
    (
        "Server",
        &[
            cell("Status", Show::Status),
            told("LastChk", Show::LastCheck, CHECK),
            cell("Wght", Show::Weight),
            cell("Act", Show::Count(Col::Act)),
            cell("Bck", Show::Count(Col::Bck)),
            cell("Chk", Show::Number(Col::Chkfail)),
            cell("Dwn", Show::Number(Col::Chkdown)),
            cell("Dwntme", Show::Time(Col::Downtime)),
            cell("Thrtle", Show::Percent(Col::Throttle)),
        ],
    ),
];

/// What is said about what came of a change: its code, how it is shown, its words.
const SAID: &[(&str, &str, &str)] = &[
    ("DONE", "up", "Action processed successfully."),
    ("NONE", "godown", "Nothing has changed."),
    ("PART", "godown", "Action partially processed: some servers are not known."),
    ("ERRP", "down", "Action not processed: the action, the backend or the servers are not known."),
    ("EXCD", "down", "Action not processed: the form is too long. Retry with fewer servers at a time."),
    ("DENY", "down", "Action denied."),
    ("IVAL", "down", "Invalid request."),
    ("UNKN", "nocheck", "Unexpected result."),
];

/// The colours and what they mean.
const LEGEND: &[(&str, &str)] = &[
    ("up", "active UP"),
    ("up bk", "backup UP"),
    ("godown", "active UP, going down"),
    ("godown bk", "backup UP, going down"),
    ("goup", "active DOWN, going up"),
    ("goup bk", "backup DOWN, going up"),
    ("down", "active or backup DOWN"),
    ("nocheck", "not checked"),
    ("maint", "down for maintenance (MAINT)"),
    ("drain", "NOLB or DRAIN: up without load balancing"),
];

/// The page in the making.
pub struct Html {
    common: Arc<Common>,
    options: Options,
    admin: bool,
    model: Arc<Model>,
    /// Rows of the proxy at hand can be chosen.
    choosing: bool,
}

impl Html {
    /// A page that begins.
    pub fn new(common: &Arc<Common>, options: &Options, admin: bool, vitals: &Vitals) -> Self {
        Self {
            common: common.clone(),
            options: options.clone(),
            admin,
            model: vitals.model(),
            choosing: false,
        }
    }

    /// What stands before the first proxy.
    pub fn head(&self, vitals: &Vitals, plan: &Plan, out: &mut String) {
        let settings = &self.common.settings;
        let on = self.common.node.as_deref().map(|n| format!(" on {}", text(n))).unwrap_or_default();
        let _ = write!(
            out,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
             <title>Statistics Report for HAProxy{on}</title><link rel=\"icon\" href=\"data:,\"><style>{CSS}</style></head><body>\n"
        );
        let version = match settings.version {
            true => format!(" {} (HAProxy {BRANCH} configurations, {VERSION})", env!("CARGO_PKG_VERSION")),
            false => String::new(),
        };
        let about = settings.description.as_deref().map(|d| format!(": {}", text(d))).unwrap_or_default();
        let pid = std::process::id();
        let _ = write!(
            out,
            "<h1>Portcullis{version}</h1>\n<h2>Statistics Report for pid {pid}{on}{about}</h2>\n<div class=\"top\">"
        );
        general(&Info::new(vitals, plan, false), pid, out);
        out.push_str("<div class=\"legend\">");
        for (class, what) in LEGEND {
            let _ = write!(out, "<span class=\"{class}\">{what}</span>");
        }
        out.push_str("</div>");
        self.links(out);
        out.push_str("</div>\n");
        self.said(out);
    }

    fn uri(&self, options: &str) -> String {
        text(&format!("{}{options}", self.common.settings.uri))
    }

    fn links(&self, out: &mut String) {
        let o = &self.options;
        let scope = text(&o.scope);
        let _ = write!(
            out,
            "<div><h3>Display option</h3><ul><li><form method=\"get\"><label>Scope \
             <input name=\"scope\" value=\"{scope}\" size=\"8\" maxlength=\"20\"></label></form></li>"
        );
        let mut link = |what: &str, to: String| {
            let _ = write!(out, "<li><a href=\"{}\">{what}</a></li>", self.uri(&to));
        };
        let hide = if o.up { "Show all servers" } else { "Hide 'DOWN' servers" };
        link(hide, o.text_with(!o.up, o.norefresh));
        if !self.common.settings.refresh.is_zero() {
            let what = if o.norefresh { "Enable refresh" } else { "Disable refresh" };
            link(what, o.text_with(o.up, !o.norefresh));
        }
        link("Refresh now", o.text());
        let plain =
            Options { up: false, no_maint: false, norefresh: false, ..o.clone() }.text_with(false, true);
        link("CSV export", format!(";csv{plain}"));
        link("JSON export", format!(";json{plain}"));
        link("JSON schema", ";json-schema".into());
        out.push_str("</ul></div>");
    }

    fn said(&self, out: &mut String) {
        let said = self.options.state.as_deref().and_then(|s| SAID.iter().find(|r| r.0 == s));
        if let Some((_, class, words)) = said {
            let back = self.uri(&self.options.text());
            let _ = writeln!(
                out,
                "<p class=\"said {class}\"><a href=\"{back}\" title=\"Remove this message\">[X]</a> {words}</p>"
            );
        }
    }

    /// A proxy begins, a line of it, or its end.
    pub fn item(&mut self, item: &Item, out: &mut String) {
        match item {
            Item::Begin(p) => self.proxy(p, out),
            Item::Line(line) => self.row(line, out),
            Item::End(p) => self.proxy_end(p, out),
        }
    }

    fn proxy(&mut self, p: &ProxyPlan, out: &mut String) {
        self.choosing = self.admin && p.state.is_some() && !p.servers.is_empty();
        let name = text(&p.name);
        let legend = if self.common.settings.legends { proxy_legend(p) } else { String::new() };
        let about = p.section(&self.model).and_then(|p| p.description.as_deref());
        let about = about.map(|d| format!("<small>{}</small>", text(d))).unwrap_or_default();
        let _ = write!(
            out,
            "<section class=\"px\"><h3 id=\"{name}\"{legend}><a href=\"#{name}\">{name}</a>{about}</h3>"
        );
        if self.choosing {
            out.push_str("<form method=\"post\">");
        }
        out.push_str("<div class=\"wide\"><table><thead><tr>");
        if self.choosing {
            let all =
                "for(const c of this.closest('table').querySelectorAll('[name=s]'))c.checked=this.checked";
            let _ = write!(
                out,
                "<th rowspan=\"2\"><input type=\"checkbox\" title=\"all\" onclick=\"{all}\"></th>"
            );
        }
        out.push_str("<th class=\"n\" rowspan=\"2\"></th>");
        for (group, cells) in GROUPS {
            let _ = write!(out, "<th colspan=\"{}\">{group}</th>", cells.len());
        }
        if self.common.settings.modules {
            out.push_str("<th rowspan=\"2\">Modules</th>");
        }
        out.push_str("</tr><tr>");
        for cell in GROUPS.iter().flat_map(|g| g.1) {
            let _ = write!(out, "<th>{}</th>", cell.title);
        }
        out.push_str("</tr></thead><tbody>\n");
    }

    fn row(&self, line: &Line, out: &mut String) {
        let _ = write!(out, "<tr class=\"{}\">", class(line));
        let name = word(line, Col::Svname);
        if self.choosing {
            match line.kind {
                Kind::Server => {
                    let _ =
                        write!(out, "<td><input type=\"checkbox\" name=\"s\" value=\"{}\"></td>", text(name));
                }
                _ => out.push_str("<td></td>"),
            }
        }
        let shown = match line.kind {
            Kind::Frontend => "Frontend",
            Kind::Backend => "Backend",
            Kind::Server | Kind::Listener => name,
        };
        let id = format!("{}/{}", text(word(line, Col::Pxname)), text(shown));
        let legend = if self.common.settings.legends { line_legend(line) } else { String::new() };
        let _ = write!(out, "<td class=\"n\" id=\"{id}\"{legend}><a href=\"#{id}\">{}</a></td>", text(shown));
        for cell in GROUPS.iter().flat_map(|g| g.1) {
            write_cell(cell, line, out);
        }
        if self.common.settings.modules {
            let extra = COLUMNS.iter().zip(&line.cells).skip(STATIC);
            let all: Vec<String> =
                extra.filter_map(|(c, cell)| Some(format!("{}: {}", c.name, cell.as_ref()?.0))).collect();
            match all.is_empty() {
                true => out.push_str("<td></td>"),
                false => {
                    let _ = write!(out, "<td class=\"c\" title=\"{}\">+</td>", text(&all.join("\n")));
                }
            }
        }
        out.push_str("</tr>\n");
    }

    fn proxy_end(&mut self, p: &ProxyPlan, out: &mut String) {
        out.push_str("</tbody></table></div>");
        if std::mem::take(&mut self.choosing) {
            out.push_str("<div class=\"do\"><label>Action for the chosen servers: <select name=\"action\"><option value=\"\"></option>");
            for action in ACTIONS.iter().filter(|a| !a.title.is_empty()) {
                let _ = write!(out, "<option value=\"{}\">{}</option>", action.name, action.title);
            }
            let _ = write!(
                out,
                "</select></label><input type=\"hidden\" name=\"b\" value=\"#{}\"><button>Apply</button></div></form>",
                p.id
            );
        }
        out.push_str("</section>\n");
    }

    /// What stands behind the last proxy.
    pub fn end(&self, out: &mut String) {
        out.push_str("</body></html>\n");
    }
}

/// The process.
fn general(info: &Info<'_>, pid: u32, out: &mut String) {
    let value = |name: &str| {
        let figure = info.figures().find(|f| f.name == name);
        figure.map(|f| f.value(info).to_string()).unwrap_or_default()
    };
    let _ = write!(
        out,
        "<div><h3>General process information</h3><p><b>pid</b> {pid} (nbthread = {})<br><b>uptime</b> {}; warnings = {}<br>\
         <b>system limits</b> ulimit-n = {}; maxsock = {}; maxconn = {}; maxpipes = {}<br>\
         <b>now</b> conns = {}; pipes = {}; conn rate = {}/s; bit rate = {}<br><b>running</b> tasks = {}; idle = {}&nbsp;%</p></div>",
        value("Nbthread"),
        value("Uptime"),
        value("TotalWarnings"),
        value("Ulimit-n"),
        value("Maxsock"),
        value("Maxconn"),
        value("Maxpipes"),
        value("CurrConns"),
        value("PipesUsed"),
        value("ConnRate"),
        bit_rate(value("BytesOutRate").parse().unwrap_or(0)),
        value("Tasks"),
        value("Idle_pct"),
    );
}

fn bit_rate(bytes: u64) -> String {
    let bits = bytes as f64 * 8.0;
    match bits {
        b if b >= 1e9 => format!("{:.3} Gbps", b / 1e9),
        b if b >= 1e6 => format!("{:.3} Mbps", b / 1e6),
        b => format!("{:.3} kbps", b / 1e3),
    }
}

/// Text as HTML has it, also inside of quotes.
fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push_str("&#10;"),
            c => out.push(c),
        }
    }
    out
}

fn word(line: &Line, col: Col) -> &str {
    match line.get(col) {
        Some(Value::Text(text)) => text,
        _ => "",
    }
}

fn number(line: &Line, col: Col) -> Option<i64> {
    match line.get(col)? {
        Value::S32(n) => Some((*n).into()),
        Value::U32(n) => Some((*n).into()),
        Value::U64(n) => i64::try_from(*n).ok(),
        _ => None,
    }
}

/// With a narrow blank between groups of three digits.
fn grouped(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut out = if n < 0 { String::from("-") } else { String::new() };
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(c);
    }
    out
}

/// Seconds in two units at most; what never was is unknown.
fn duration(seconds: i64) -> String {
    let s = match u64::try_from(seconds) {
        Ok(s) => s,
        Err(_) => return "?".into(),
    };
    let (first, second, names) = match s {
        s if s < 60 => return format!("{s}s"),
        s if s < 3600 => (s / 60, s % 60, ('m', 's')),
        s if s < 86_400 => (s / 3600, s % 3600 / 60, ('h', 'm')),
        s => (s / 86_400, s % 86_400 / 3600, ('d', 'h')),
    };
    match second {
        0 => format!("{first}{}", names.0),
        second => format!("{first}{}{second}{}", names.0, names.1),
    }
}

/// The colour of a line.
fn class(line: &Line) -> String {
    let state = match line.kind {
        Kind::Frontend => return "fe".into(),
        Kind::Listener => return "so".into(),
        Kind::Backend => return "be".into(),
        Kind::Server => match word(line, Col::Status) {
            s if s.starts_with("MAINT") => "maint",
            s if s.starts_with("DRAIN") => "drain",
            s if s.starts_with("NOLB") => "nolb",
            "no check" => "nocheck",
            "UP" => "up",
            s if s.starts_with("UP") => "godown",
            "DOWN" => "down",
            s if s.starts_with("DOWN ") && !s.contains("agent") => "goup",
            _ => "down",
        },
    };
    if number(line, Col::Bck) == Some(1) { format!("{state} bk") } else { state.into() }
}

fn shown(show: Show, line: &Line) -> String {
    let server = line.kind == Kind::Server;
    match show {
        Show::Number(col) => number(line, col).map(grouped).unwrap_or_default(),
        Show::Limit(Col::Slim) if server => number(line, Col::Slim).map_or_else(|| "-".into(), grouped),
        Show::Limit(Col::Qlimit) if server => number(line, Col::Qlimit).map_or_else(|| "-".into(), grouped),
        Show::Limit(col) => match number(line, col) {
            Some(0) => "-".into(),
            other => other.map(grouped).unwrap_or_default(),
        },
        Show::Ago(col) | Show::Time(col) => number(line, col).map(duration).unwrap_or_default(),
        Show::Count(col) => match number(line, col) {
            Some(n) if server => (if n > 0 { "Y" } else { "-" }).into(),
            other => other.map(grouped).unwrap_or_default(),
        },
        Show::Percent(col) => number(line, col).map(|n| format!("{n}%")).unwrap_or_default(),
        Show::Status => {
            let changed = number(line, Col::Lastchg).filter(|_| word(line, Col::Status) != "no check");
            let ago = changed.map(|n| format!("{} ", duration(n))).unwrap_or_default();
            format!("{ago}{}", word(line, Col::Status))
        }
        Show::LastCheck => {
            let status = word(line, Col::CheckStatus);
            let took = number(line, Col::CheckDuration).map(|ms| format!(" in {ms}ms")).unwrap_or_default();
            if status.is_empty() { String::new() } else { format!("{status}{took}") }
        }
        Show::Weight => match (number(line, Col::Weight), number(line, Col::Uweight)) {
            (Some(now), Some(said)) => format!("{now}/{said}"),
            _ => String::new(),
        },
    }
}

fn write_cell(cell: &Cell, line: &Line, out: &mut String) {
    let shown = shown(cell.show, line);
    let centred = matches!(cell.show, Show::Status | Show::LastCheck | Show::Weight | Show::Count(_));
    let class = if centred { " class=\"c\"" } else { "" };
    let tips: Vec<String> = match shown.is_empty() {
        true => Vec::new(),
        false => cell.tips.iter().filter_map(|tip| tell(*tip, line)).collect(),
    };
    let title = match tips.is_empty() {
        true => String::new(),
        false => format!(" title=\"{}\"", text(&tips.join("\n"))),
    };
    let _ = write!(out, "<td{class}{title}>{}</td>", text(&shown));
}

fn tell((what, col): Tip, line: &Line) -> Option<String> {
    let value = line.get(col)?;
    let shown = number(line, col).map_or_else(|| value.to_string(), grouped);
    match (what, shown.is_empty()) {
        (_, true) => None,
        ("", _) => Some(shown),
        (what, _) => Some(format!("{what}: {shown}")),
    }
}

fn titled(parts: &[String]) -> String {
    if parts.is_empty() {
        String::new()
    } else {
        format!(" class=\"t\" title=\"{}\"", text(&parts.join(", ")))
    }
}

/// `stats show-legends` about a proxy.
fn proxy_legend(p: &ProxyPlan) -> String {
    let cap = match p.kind {
        ProxyKind::Listen => "proxy",
        kind => kind.name(),
    };
    let mode = match p.mode {
        Mode::Http => "http",
        Mode::Tcp => "tcp",
        _ => "other",
    };
    titled(&[format!("cap: {cap}"), format!("mode: {mode}"), format!("id: {}", p.id)])
}

/// The same about a line.
fn line_legend(line: &Line) -> String {
    let named = |what: &str, col| {
        let value = word(line, col);
        (!value.is_empty()).then(|| format!("{what}: {value}"))
    };
    let id = (line.sid > 0).then(|| format!("id: {}", line.sid));
    let parts =
        [named("address", Col::Addr), named("balancing", Col::Algo), id, named("cookie", Col::Cookie)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    titled(&parts).replace(" class=\"t\"", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_forms() {
        assert_eq!(
            [0, 999, 1000, -1_234_567].map(grouped),
            ["0", "999", "1\u{202f}000", "-1\u{202f}234\u{202f}567"]
        );
        let times = [-1, 0, 59, 60, 61, 3600, 3660, 86_400, 90_000].map(duration);
        assert_eq!(times, ["?", "0s", "59s", "1m", "1m1s", "1h", "1h1m", "1d", "1d1h"]);
        assert_eq!(text("<a href='x'>&\"\n"), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;&#10;");
        assert_eq!(bit_rate(1_000_000), "8.000 Mbps");
    }

    #[test]
    fn colours() {
        for (status, backup, expected) in [
            ("UP", 0, "up"),
            ("UP 1/3", 0, "godown"),
            ("DOWN", 1, "down bk"),
            ("DOWN 1/2", 0, "goup"),
            ("no check", 1, "nocheck bk"),
            ("MAINT (via a/b)", 0, "maint"),
            ("DRAIN", 0, "drain"),
        ] {
            let mut line = Line::new(Kind::Server, ("p", 1), "s".into(), 1);
            line.put(Col::Status, Value::text(status));
            line.num(Col::Bck, backup);
            assert_eq!(class(&line), expected);
        }
    }
}
