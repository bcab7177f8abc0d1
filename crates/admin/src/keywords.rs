//! The rows of `stats socket`, `stats timeout`, `stats maxconn` in `global`, and the `bind` options that belong to them.

use crate::socket::{CliBind, CliConfig, Level, SeverityOutput};
use portcullis_config::rows::{bind, value};
use portcullis_config::{Args, Bind, BindOption, Cx, Does, Keyword, Line, Rows, Sections};

macro_rules! row {
    ($name:literal, $args:literal, $works:expr, $help:literal) => {
        Keyword {
            name: $name,
            sections: Sections::GLOBAL,
            args: $args,
            help: $help,
            negatable: false,
            does: Does::Works($works),
        }
    };
}

const ROWS: &[Keyword] = &[
    row!("stats socket", "<address> [param*]", socket, "Listens for Runtime API commands."),
    row!("stats timeout", "<timeout>", timeout, "Ends idle Runtime API connections."),
    row!("stats maxconn", "<connections>", maxconn, "Runtime API connections at the same time."),
    row!("anonkey", "<key>", anonkey, "The key with which names are hidden when nothing else is said."),
    row!(
        "tune.cli.max-payload-size",
        "<size>",
        max_payload,
        "Most bytes of what is given to a command of the Runtime API after '<<'."
    ),
    row!("stats bind-process", "", gone, "Removed."),
    row!("stats", "", unknown, "Settings of the Runtime API."),
];

macro_rules! opt {
    ($name:literal, $args:literal, $works:expr, $help:literal) => {
        BindOption {
            name: $name,
            sections: Sections::GLOBAL.union(Sections::FRONTEND).union(Sections::LISTEN),
            args: $args,
            help: $help,
            negatable: false,
            does: Does::Works($works),
        }
    };
}

const OPTIONS: &[BindOption] = &[
    opt!("expose-fd", "listeners", expose_fd, "Lets a new process take the listening sockets over."),
    opt!("level", "{ user | operator | admin }", level, "What may be done over this socket."),
    opt!(
        "severity-output",
        "{ none | number | string }",
        severity,
        "Severity in front of the messages of this socket."
    ),
];

/// What this room brings to the registry.
#[must_use]
pub fn rows() -> Rows {
    Rows { keywords: ROWS, bind: OPTIONS, check: Some(crate::secure::check), ..Rows::default() }
}

fn socket(cx: &mut Cx<'_>, line: &Line) {
    if line.word(2).is_none_or(|w| w.text.is_empty()) {
        cx.alert(
            line.word(1),
            "'stats socket' in global section expects an address or a path to a UNIX socket",
        );
        return;
    }
    let binds = bind::sockets(cx, line, 2, "stats socket");
    cx.global_ext::<CliConfig>().sockets.extend(binds);
}

fn timeout(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(2) else {
        cx.alert(line.word(1), "'stats timeout' : unexpected character '\0'".trim_end_matches(['\0', '\'']));
        return;
    };
    match value::time(cx, word) {
        Ok(t) if t.is_zero() => {
            cx.alert(Some(word), "'stats timeout' expects a positive value");
        }
        Ok(t) => cx.global_ext::<CliConfig>().timeout = Some(t),
        Err(value::TimeError::Overflow) => {
            cx.alert(Some(word), value::overflow(word, "stats timeout"));
        }
        Err(_) => {
            let text = word.str();
            let bad = text.chars().find(|c| !c.is_ascii_digit()).unwrap_or(' ');
            cx.alert(Some(word), format!("'stats timeout' : unexpected character '{bad}'"));
        }
    }
}

fn maxconn(cx: &mut Cx<'_>, line: &Line) {
    let n = line.word(2).map_or(0, |w| value::leading(&w.text).0);
    match u32::try_from(n) {
        Ok(n @ 1..) => cx.global_ext::<CliConfig>().maxconn = Some(n),
        _ => {
            cx.alert(line.word(2).or(line.word(1)), "'stats maxconn' expects a positive value");
        }
    }
}

fn anonkey(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(1) else {
        cx.alert(None, "a key is expected after 'anonkey'.");
        return;
    };
    match u32::try_from(value::leading(&word.text).0) {
        Ok(n) => cx.global_ext::<CliConfig>().anon_key = n,
        Err(_) => {
            let given = word.str();
            cx.alert(
                Some(word),
                format!("'anonkey' value must be within range 0-4294967295 (was '{given}')."),
            );
        }
    }
}

fn max_payload(cx: &mut Cx<'_>, line: &Line) {
    const OF: &str = "tune.cli.max-payload-size";
    let Some(word) = value::one(cx, line, 1, &format!("'{OF}' expects a size argument.")) else { return };
    match value::size(&word.text) {
        Ok(n) => cx.global_ext::<CliConfig>().max_payload = usize::try_from(n).ok(),
        Err(rest) => {
            cx.alert(Some(word), format!("unexpected '{rest}' after size passed to '{OF}'"));
        }
    }
}

fn gone(cx: &mut Cx<'_>, line: &Line) {
    cx.alert(line.word(1), "'stats bind-process' is not supported anymore.");
}

fn unknown(cx: &mut Cx<'_>, line: &Line) {
    let got = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
    if got == "calculate-max-counters" {
        cx.alert(line.word(1), value::not_yet("'stats calculate-max-counters'", "statistics"));
        return;
    }
    cx.alert(
        line.word(1).or(line.word(0)),
        format!(
            "'stats' only supports 'socket', 'maxconn', 'bind-process', 'calculate-max-counters'  and 'timeout' (got '{got}')"
        ),
    );
}

fn level(cx: &mut Cx<'_>, b: &mut Bind, args: &mut Args<'_>) {
    let Some(word) = args.next().filter(|w| !w.text.is_empty()) else {
        bind::complain(cx, b, args.words.last(), "'level' : missing level");
        return;
    };
    match Level::of(&word.str()) {
        Some(level) => b.ext.entry::<CliBind>().level = level,
        None => {
            let message =
                format!("'level' only supports 'user', 'operator', and 'admin' (got '{}')", word.str());
            bind::complain(cx, b, Some(word), &message);
        }
    }
}

fn severity(cx: &mut Cx<'_>, b: &mut Bind, args: &mut Args<'_>) {
    let Some(word) = args.next().filter(|w| !w.text.is_empty()) else {
        bind::complain(cx, b, args.words.last(), "'severity-output' : missing format");
        return;
    };
    match SeverityOutput::of(&word.str()) {
        Some(s) => b.ext.entry::<CliBind>().severity = s,
        None => {
            let message = format!(
                "'severity-output' only supports 'none', 'number', and 'string' (got '{}')",
                word.str()
            );
            bind::complain(cx, b, Some(word), &message);
        }
    }
}

fn expose_fd(cx: &mut Cx<'_>, b: &mut Bind, args: &mut Args<'_>) {
    match args.next().filter(|w| !w.text.is_empty()) {
        None => bind::complain(cx, b, args.words.last(), "'expose-fd' : missing fd type"),
        Some(word) if word.is("listeners") => b.ext.entry::<CliBind>().exposes = true,
        Some(word) => {
            let message = format!("'expose-fd' only supports 'listeners' (got '{}')", word.str());
            bind::complain(cx, b, Some(word), &message);
        }
    }
}
