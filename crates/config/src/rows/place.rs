//! A keyword in a section where it is not valid (manual section 4.1).

use crate::cx::Cx;
use crate::row::{Does, Keyword, Sections};

/// What to say when a row stands in a section that is not one of its own: HAProxy ignores the keyword with a warning
/// where a proxy lacks the side that it belongs to, and refuses it otherwise. The parser calls this instead of the row.
pub fn misplaced(cx: &mut Cx<'_>, row: &Keyword) {
    let word = cx.line.word(0);
    let name = row.name;
    if !row.sections.intersects(Sections::PROXY) || !cx.section.intersects(Sections::PROXY) {
        cx.alert(word, format!("'{name}' is not allowed in this section."));
        return;
    }
    let kind = cx.proxy().kind.name();
    if cx.section == Sections::DEFAULTS {
        cx.alert(word, format!("'{name}' not allowed in 'defaults' section."));
        return;
    }
    let side = match cx.section == Sections::BACKEND {
        true => "frontend",
        false => "backend",
    };
    let why = format!("because {kind} '{}' has no {side} capability.", cx.proxy().name);
    if matches!(name, "server" | "default-server" | "server-template") {
        cx.alert(word, format!("'{name}' not allowed {why}"));
    } else if (cx.negated || cx.defaulted) && !row.negatable && name.starts_with("option ") && !is_flag(name)
    {
        let option = name.strip_prefix("option ").unwrap_or(name);
        cx.alert(cx.line.word(0), format!("negation/default is not supported for option '{option}'."));
    } else if is_flag(name) {
        let option = name.strip_prefix("option ").unwrap_or(name);
        cx.warn(cx.line.word(1), format!("'{option}' ignored {why}"));
        cx.alert(cx.line.word(1), format!("'{name}' is unknown here {why}"));
    } else if name.contains("log-format")
        || matches!(name, "option httplog" | "option tcplog" | "option httpslog")
    {
        let name = cx.proxy().name.clone();
        cx.warn(word, format!("backend '{name}' : '{}' directive is ignored in backends.", row.name));
        arguments(cx, row);
    } else {
        let instead = match name {
            "maxconn" => " Maybe you want 'fullconn' instead ?",
            "fullconn" => " Maybe you want 'maxconn' instead ?",
            _ => "",
        };
        cx.warn(word, format!("'{name}' ignored {why}{instead}"));
        arguments(cx, row);
    }
}

/// Complains about the arguments of what is ignored, too; the section is left as it was.
fn arguments(cx: &mut Cx<'_>, row: &Keyword) {
    let Does::Works(parse) = row.does else { return };
    if row.name == "default_backend" {
        // its backend must be there all the same
        let named = cx.line.word(1).map(|w| (w.str().into_owned(), cx.line.place()));
        cx.proxy().default_backend = named;
        return;
    }
    if !LOOKED_AT.iter().any(|s| row.name.starts_with(s)) {
        return;
    }
    let before = cx.proxy().clone();
    let line = cx.line;
    parse(cx, line);
    *cx.proxy() = before;
}

/// Beginnings of keywords whose functions look at their arguments and change the section, and nothing else.
const LOOKED_AT: &[&str] = &[
    "backlog",
    "balance",
    "bind",
    "capture ",
    "clitcpka-",
    "cookie",
    "dynamic-cookie-key",
    "error-log-format",
    "external-check ",
    "force-persist",
    "fullconn",
    "hash-",
    "http-check ",
    "http-reuse",
    "http-send-name-header",
    "ignore-persist",
    "load-server-state-from-file",
    "log-format",
    "max-keep-alive-queue",
    "max-session-srv-conns",
    "monitor-uri",
    "option ",
    "persist ",
    "rate-limit",
    "retries",
    "retry-on",
    "server-state-file-name",
    "source",
    "srvtcpka-",
    "tcp-check ",
    "timeout ",
];

/// Options that are on or off are refused where they cannot work, all others ignored.
fn is_flag(name: &str) -> bool {
    const IGNORED: &[&str] = &[
        "option accept-invalid-http-request",
        "option accept-invalid-http-response",
        "option httpchk",
        "option httplog",
        "option httpslog",
        "option ldap-check",
        "option mysql-check",
        "option pgsql-check",
        "option redis-check",
        "option redispatch",
        "option smtpchk",
        "option spop-check",
        "option ssl-hello-chk",
        "option tcp-check",
        "option tcplog",
        "option use-small-buffers",
    ];
    name.starts_with("option ") && !IGNORED.contains(&name)
}
