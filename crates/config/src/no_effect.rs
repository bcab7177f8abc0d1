//! Keywords that are accepted with a notice because they only make sense for C or OpenSSL internals: the one closed
//! list, from which `docs/no-effect.md` is made.

use crate::row::{Does, Keyword, Row, Sections};
use crate::rows::value::size;
use crate::word::Line;

const fn row(name: &'static str, args: &'static str, reason: &'static str) -> Keyword {
    Row {
        name,
        sections: Sections::GLOBAL,
        args,
        help: "Accepted without effect.",
        negatable: true,
        does: Does::NoEffect(reason),
    }
}

const POLLER: &str =
    "the event loop is not chosen: Linux epoll is used, and nothing else is there to fall back to";
const ENGINE: &str = "OpenSSL engines and providers do not exist in rustls with aws-lc-rs";
const DEVICE: &str =
    "the device detection libraries are C modules that are not part of a normal build of HAProxy either";
const ALLOCATOR: &str = "it tunes HAProxy's own memory pools; the allocator here is another one";
const ZERO_COPY: &str = "it switches internal forwarding paths of HAProxy on or off; the bytes are the same";
const SCHEDULER: &str = "it tunes HAProxy's own scheduler; tasks here are run by Tokio";
const ZLIB: &str = "it tunes zlib; compression uses another library";
const DHE: &str = "the suites with DHE are not offered: those with ECDHE are";
const SHARED: &str = "there is one process, whose workers share the cache of sessions anyway";
const DEBUG: &str = "it serves HAProxy's own debugging";

/// The rows.
pub const ROWS: &[Keyword] = &[
    row("51degrees-allow-unmatched", "<on|off>", DEVICE),
    row("51degrees-cache-size", "<number>", DEVICE),
    row("51degrees-data-file", "<file>", DEVICE),
    row("51degrees-difference", "<number>", DEVICE),
    row("51degrees-drift", "<number>", DEVICE),
    row("51degrees-property-name-list", "<names>", DEVICE),
    row("51degrees-property-separator", "<char>", DEVICE),
    row("51degrees-use-performance-graph", "<on|off>", DEVICE),
    row("51degrees-use-predictive-graph", "<on|off>", DEVICE),
    row("busy-polling", "", POLLER),
    row("debug.counters", "<on|off>", DEBUG),
    row("deviceatlas-json-file", "<file>", DEVICE),
    row("deviceatlas-log-level", "<number>", DEVICE),
    row("deviceatlas-properties-cookie", "<name>", DEVICE),
    row("deviceatlas-separator", "<char>", DEVICE),
    row("no-memory-trimming", "", ALLOCATOR),
    row("noepoll", "", POLLER),
    row("noevports", "", POLLER),
    row("nokqueue", "", POLLER),
    row("nogetaddrinfo", "", "names are asked with getaddrinfo; there is no older function to fall back to"),
    row("nopoll", "", POLLER),
    row("prealloc-fd", "", ALLOCATOR),
    row("profiling.memory", "<on|off>", DEBUG),
    row("ssl-dh-param-file", "<file>", DHE),
    row("ssl-engine", "<name> [algo <list>]", ENGINE),
    row("ssl-mode-async", "", ENGINE),
    row("ssl-propquery", "<query>", ENGINE),
    row("ssl-provider", "<name>", ENGINE),
    row("ssl-provider-path", "<path>", ENGINE),
    row("stress-level", "<level>", DEBUG),
    row("tune.applet.zero-copy-forwarding", "<on|off>", ZERO_COPY),
    row("tune.buffers.reserve", "<number>", ALLOCATOR),
    row("tune.disable-fast-forward", "", ZERO_COPY),
    row("tune.disable-zero-copy-forwarding", "", ZERO_COPY),
    row("tune.epoll.mask-events", "<events>", POLLER),
    row("tune.events.max-events-at-once", "<number>", SCHEDULER),
    row("tune.fail-alloc", "<percent>", DEBUG),
    row("tune.fd.edge-triggered", "<on|off>", POLLER),
    row("tune.fd.tables", "<number>", ALLOCATOR),
    row("tune.h1.zero-copy-fwd-recv", "<on|off>", ZERO_COPY),
    row("tune.h1.zero-copy-fwd-send", "<on|off>", ZERO_COPY),
    row("tune.h2.zero-copy-fwd-send", "<on|off>", ZERO_COPY),
    row("tune.maxpollevents", "<number>", POLLER),
    row("tune.memory.hot-size", "<size>", ALLOCATOR),
    row(
        "tune.pattern.cache-size",
        "<count>",
        "what is looked up in a list costs the same however long it is: there is nothing to remember",
    ),
    row("tune.pt.zero-copy-forwarding", "<on|off>", ZERO_COPY),
    row("tune.recv_enough", "<size>", SCHEDULER),
    row("tune.ring.queues", "<queues>", "there are no queues in front of a ring: a line is copied into it"),
    row("tune.sched.low-latency", "<on|off>", SCHEDULER),
    row("tune.ssl.default-dh-param", "<bits>", DHE),
    row("tune.ssl.force-private-cache", "", SHARED),
    row("tune.zlib.memlevel", "<number>", ZLIB),
    row("tune.zlib.windowsize", "<number>", ZLIB),
    row("wurfl-cache-size", "<number>", DEVICE),
    row("wurfl-data-file", "<file>", DEVICE),
    row("wurfl-information-list", "<names>", DEVICE),
    row("wurfl-information-list-separator", "<char>", DEVICE),
];

/// What is wrong with the arguments of such a keyword, and at which word: they are judged although nothing comes of them.
#[must_use]
pub fn wrong(row: &Keyword, line: &Line) -> Option<(usize, String)> {
    let given = line.word(1);
    let is = |test: fn(&[u8]) -> bool| given.is_some_and(|w| test(&w.text));
    let number = given.map(|w| crate::rows::value::leading(&w.text).0);
    let name = row.name;
    let text = given.map(|w| w.str().into_owned()).unwrap_or_default();
    match row.args {
        "" if given.is_some() => Some((1, format!("'{name}' cannot handle unexpected argument '{text}'."))),
        "<number>" | "<percent>" if !is(|t| t.first().is_some_and(u8::is_ascii_digit)) => {
            Some((1, format!("'{name}' expects an integer argument.")))
        }
        "<bits>" if given.is_none() => Some((0, format!("'{name}' expects an integer argument."))),
        "<bits>" if number.is_none_or(|n| n < 1024) => {
            Some((1, format!("'{name}' expects a value >= 1024.")))
        }
        "<bits>" => None,
        "<count>" if number.is_none_or(|n| n < 0) => {
            Some((given.map_or(0, |_| 1), format!("'{name}' expects a positive numeric value")))
        }
        "<count>" => {
            let more = line.word(2).map(|w| w.str().into_owned());
            more.map(|w| (2, format!("'{name}' cannot handle unexpected argument '{w}'.")))
        }
        "<queues>" if number.is_some_and(|n| !(0..=16).contains(&n)) => {
            Some((1, format!("'{name}' expects a number between 0 and 16 but got '{text}'.")))
        }
        "<queues>" => None,
        "<level>" if given.is_none() => Some((0, format!("'{name}' expects a level as an argument."))),
        "<level>" if !is(|t| matches!(t, [b'0'..=b'9'])) => {
            Some((1, format!("'{name}' level must be between 0 and 9 inclusive.")))
        }
        "<size>" if !is(|t| size(t).is_ok()) => Some((1, format!("'{name}' expects a size in bytes."))),
        "<on|off>" if !is(|t| matches!(t, b"on" | b"off")) => {
            Some((1, format!("'{name}' expects either 'on' or 'off' but got '{text}'.")))
        }
        args if args.starts_with('<') && given.is_none() => {
            Some((0, format!("'{name}' expects {args} as argument.")))
        }
        _ => None,
    }
}

/// Keywords whose arguments are judged by rows of their own, which give the notice.
const JUDGED: &[(&str, &str)] = &[
    ("bind … label", "nothing groups sockets by their labels"),
    ("bind … nice", SCHEDULER),
    ("crt-store … sctl", TIMESTAMPS),
    ("option use-small-buffers", SMALL),
    ("server … renegotiate", RENEGOTIATION),
    ("tune.bufsize.small", SMALL),
    (
        "tune.defaults.purge",
        "the whole configuration is kept, so that it can be followed in place when it changes: nothing is there twice",
    ),
    ("tune.idletimer", "the size of reads follows the size of messages, not the time between them"),
    ("tune.max-rules-at-once", SCHEDULER),
    (
        "tune.rcvbuf.backend",
        "no socket of that side receives for many: log sockets receive nothing, and a question to a name server has a socket \
         of its own",
    ),
    (
        "tune.runqueue-depth",
        "it tunes HAProxy's own scheduler (but 'rq-load auto' of 'tune.h2.fe.max-concurrent-streams' goes by it)",
    ),
];
const RENEGOTIATION: &str = "the library never renegotiates, as AWS-LC does not";
const SMALL: &str =
    "a buffer is held only while bytes are in it, so that there is nothing to be saved by smaller ones";
const TIMESTAMPS: &str = "lists of certificate timestamps are looked at and not sent: the library has no such extension. \
                          Timestamps are sent in certificates and OCSP responses";

/// What is said of a keyword of [`JUDGED`].
#[must_use]
pub fn sentence(keyword: &str) -> Option<String> {
    let (name, reason) = JUDGED.iter().find(|j| j.0 == keyword)?;
    let name = name.rsplit("… ").next().unwrap_or(name);
    Some(format!("'{name}' is accepted but has no effect: {reason}."))
}

/// Tells that a keyword of [`JUDGED`] has no effect.
pub fn tell(cx: &mut crate::Cx<'_>, word: Option<&crate::Word>, keyword: &str) {
    if let Some(text) = sentence(keyword) {
        cx.notice(word, text);
    }
}

/// `docs/no-effect.md`
#[must_use]
pub fn page() -> String {
    let mut out = String::from(
        "# Keywords without effect\n\nThese keywords are accepted with a notice, so that existing \
         configurations load unchanged. Each only makes\nsense for C or OpenSSL internals. The list is closed; it is made \
         from `crates/config/src/no_effect.rs`, and a test keeps it\ntrue. Everything else that does not work yet is \
         refused.\n\n| keyword | why |\n|---|---|\n",
    );
    let rows = ROWS.iter().filter_map(|r| match r.does {
        Does::NoEffect(reason) => Some((r.name, reason)),
        _ => None,
    });
    for (name, reason) in rows.chain(JUDGED.iter().copied()) {
        out.push_str(&format!("| `{name}` | {reason} |\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/no-effect.md");
        if std::env::var_os("WRITE_DOCS").is_some() {
            std::fs::write(path, super::page()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), super::page(), "run with WRITE_DOCS=1");
    }
}
