//! `mode`, names and numbers of proxies, `default_backend`, and the HTTP keywords that are no options.

use super::value;
use crate::cx::Cx;
use crate::model::{Mode, Proxy, ProxyKind, Reuse};
use crate::row::{Does, Keyword, Sections};
use crate::word::Line;

macro_rules! row {
    ($name:literal, $args:literal, $sections:ident, $works:expr, $help:literal) => {
        Keyword {
            name: $name,
            sections: Sections::$sections,
            args: $args,
            help: $help,
            negatable: false,
            does: Does::Works($works),
        }
    };
}

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    row!("mode", "{ tcp | http | log | spop | haterm }", PROXY, mode, "What the proxy speaks."),
    row!("id", "<number>", NAMED, id, "The number of the proxy in statistics."),
    row!("guid", "<string>", NAMED, guid, "A name of the proxy that is unique in the whole configuration."),
    row!("description", "<text>", NAMED, description, "A text for the statistics page."),
    row!("disabled", "", PROXY, |cx, l| disabled(cx, l, true), "The proxy is not started."),
    row!(
        "enabled",
        "",
        PROXY,
        |cx, l| disabled(cx, l, false),
        "The proxy is started although its defaults say 'disabled'."
    ),
    row!(
        "default_backend",
        "<backend>",
        FRONT,
        default_backend,
        "The backend of what no 'use_backend' rule has sent elsewhere."
    ),
    row!(
        "http-reuse",
        "{ never | safe | aggressive | always }",
        BACK,
        reuse,
        "Which requests may go over an idle server connection of another client."
    ),
    row!(
        "http-send-name-header",
        "<header>",
        BACK,
        send_name_header,
        "The header that tells a server its name."
    ),
    row!(
        "monitor-uri",
        "<uri>",
        FRONT,
        monitor_uri,
        "The URI that is answered with 200 at once, for monitoring."
    ),
    row!(
        "dispatch",
        "<address>:<port>",
        PROXY,
        dispatch,
        "Removed in 3.5: a server with that address does the same."
    ),
    row!("redisp", "", PROXY, redispatch, "Removed in 2.1: 'option redispatch' replaces it."),
    row!("redispatch", "", PROXY, redispatch, "Removed in 2.1: 'option redispatch' replaces it."),
    row!(
        "transparent",
        "",
        PROXY,
        transparent,
        "Removed in 3.5: a server with address 0.0.0.0 does the same."
    ),
    row!("appsession", "", PROXY, appsession, "Removed in 1.6: stick tables replace it."),
    row!("block", "", PROXY, block, "Removed in 2.1: 'http-request deny' replaces it."),
];

fn mode(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(1) else {
        cx.alert(line.word(0), "unknown proxy mode ''.").hint("expected 'tcp' or 'http'");
        return;
    };
    let later = |what: &str| value::not_yet(&format!("'mode {}'", word.str()), what);
    let (mode, refused) = match word.text.as_slice() {
        b"tcp" => (Mode::Tcp, None),
        b"http" => (Mode::Http, None),
        b"log" if cx.proxy().kind == ProxyKind::Frontend => {
            (Mode::Log, Some("mode syslog is only applicable on proxies with backend capability.".to_owned()))
        }
        b"log" => (Mode::Log, None),
        b"spop" => (Mode::Spop, Some(later("SPOE"))),
        b"haterm" => (Mode::Haterm, Some(later("the built-in test server"))),
        b"health" => (
            Mode::Tcp,
            Some(
                "'mode health' doesn't exist anymore. Please use 'http-request return status 200' instead."
                    .to_owned(),
            ),
        ),
        _ => (Mode::Tcp, Some(format!("unknown proxy mode '{}'.", word.str()))),
    };
    if let Some(message) = refused {
        cx.alert(Some(word), message);
    }
    if value::no_more(cx, line, 2) {
        (cx.proxy().mode, cx.proxy().mode_said) = (mode, true);
    }
}

fn id(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = value::one(cx, line, 1, "'id' expects an integer argument.") else { return };
    let Ok(id @ 1..) = i32::try_from(value::leading(&word.text).0) else {
        cx.alert(Some(word), "custom id has to be > 0.");
        return;
    };
    let place = line.place();
    let proxy = cx.proxy();
    if proxy.id == id.unsigned_abs() {
        let (name, begins) = (proxy.name.clone(), proxy.place);
        let file = cx.diags.files.get(begins.file.0 as usize).cloned().unwrap_or_default();
        let at = format!("{file}:{}", begins.line);
        let who = match cx.proxy().kind {
            ProxyKind::Frontend => "frontend",
            ProxyKind::Backend => "backend",
            _ => "proxy",
        };
        let text = format!("{who} {name} reuses same custom id as {who} {name} (declared at {at}).");
        cx.alert(Some(word), text);
        return;
    }
    proxy.id = id.unsigned_abs();
    proxy.id_place = place;
}

/// A `guid` (manual section 4.2): at most 127 letters, digits and `.:-_`.
///
/// # Errors
/// What is wrong with it.
pub fn check_guid(text: &str) -> Result<(), String> {
    if text.len() > 127 {
        return Err("guid too long, at most 127 characters are possible".to_owned());
    }
    match text.chars().find(|c| !c.is_ascii_alphanumeric() && !".:-_".contains(*c)) {
        Some(c) => Err(format!("invalid character '{c}'")),
        None => Ok(()),
    }
}

fn guid(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(1) else {
        cx.alert(line.word(0), "'guid' : expects an argument");
        return;
    };
    let text = word.str().into_owned();
    match check_guid(&text) {
        Ok(()) => {
            cx.proxy().guid = Some(text);
            cx.proxy().guid_place = line.place();
        }
        Err(e) => {
            cx.alert(Some(word), format!("'guid': {e}"));
        }
    }
}

fn description(cx: &mut Cx<'_>, line: &Line) {
    match text(line) {
        Some(text) => cx.proxy().description = Some(text),
        None => {
            cx.alert(line.word(0), "'description' expects a string argument.");
        }
    }
}

/// All words behind the keyword as one text.
pub fn text(line: &Line) -> Option<String> {
    let words: Vec<_> = line.args(1).map(|w| w.str()).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

fn disabled(cx: &mut Cx<'_>, line: &Line, disabled: bool) {
    if value::no_more(cx, line, 1) {
        cx.proxy().disabled = disabled;
    }
}

fn default_backend(cx: &mut Cx<'_>, line: &Line) {
    if let Some(word) = value::one(cx, line, 1, "'default_backend' expects a backend name.") {
        cx.proxy().default_backend = Some((word.str().into_owned(), line.place()));
    }
}

fn reuse(cx: &mut Cx<'_>, line: &Line) {
    let reuse = match line.word(1).map(|w| w.text.as_slice()) {
        Some(b"never") => Reuse::Never,
        Some(b"safe") => Reuse::Safe,
        Some(b"aggressive") => Reuse::Aggressive,
        Some(b"always") => Reuse::Always,
        _ => {
            cx.alert(
                line.words.last(),
                "'http-reuse' only supports 'never', 'safe', 'aggressive', 'always'.",
            );
            return;
        }
    };
    if value::no_more(cx, line, 2) {
        cx.proxy().reuse = Some(reuse);
    }
}

/// Fields that frame or route messages: a server's name cannot stand in them.
const NOT_FOR_NAMES: &[&str] = &["connection", "content-length", "host", "transfer-encoding"];

fn send_name_header(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(1) else {
        cx.alert(line.word(0), "'http-send-name-header' requires a header string.");
        return;
    };
    let name = word.str();
    if NOT_FOR_NAMES.iter().any(|n| name.eq_ignore_ascii_case(n)) {
        let message =
            format!("'{name}' cannot be used as header name for 'http-send-name-header' directive.");
        cx.alert(Some(word), message);
        return;
    }
    if let Some(name) = super::proxy_options::header_name(cx, word, "http-send-name-header") {
        cx.proxy().send_name_header = Some(name);
    }
}

fn monitor_uri(cx: &mut Cx<'_>, line: &Line) {
    if let Some(word) = value::one(cx, line, 1, "'monitor-uri' expects an URI.") {
        cx.proxy().monitor_uri = Some(word.str().into_owned());
    }
}

fn dispatch(cx: &mut Cx<'_>, line: &Line) {
    let address = line.word(1).map(|w| w.str().into_owned()).unwrap_or_default();
    cx.alert(
        line.word(0),
        "support for 'dispatch' was removed in version 3.5. The modern way to do the same is to create a server with \
         the same address, and possibly to assign any extra server a weight of zero if any.",
    )
    .hint(format!("server dispatch {address}"));
}

fn redispatch(cx: &mut Cx<'_>, line: &Line) {
    let name = line.word(0).map(|w| w.str().into_owned()).unwrap_or_default();
    let message = format!(
        "keyword '{name}' directive is not supported anymore since HAProxy 2.1. Use 'option redispatch'."
    );
    cx.alert(line.word(0), message);
}

fn transparent(cx: &mut Cx<'_>, line: &Line) {
    cx.alert(
        line.word(0),
        "support for 'transparent' was removed in version 3.5. The modern way to do the same is to create a server \
         with address 0.0.0.0.",
    );
}

fn appsession(cx: &mut Cx<'_>, line: &Line) {
    cx.alert(line.word(0), "'appsession' is not supported anymore since HAProxy 1.6.")
        .hint("'stick-table' and 'stick store-response' do the same");
}

fn block(cx: &mut Cx<'_>, line: &Line) {
    cx.alert(
        line.word(0),
        "The 'block' directive is not supported anymore since HAProxy 2.1. Use 'http-request deny' which uses the \
         exact same syntax.",
    );
}

/// How messages name a proxy: `frontend 'x'`, `backend 'x'`, and `proxy 'x'` for `listen`.
pub fn called(proxy: &Proxy) -> String {
    let kind = match proxy.kind {
        crate::model::ProxyKind::Listen => "proxy",
        crate::model::ProxyKind::Forward => "frontend",
        kind => kind.name(),
    };
    format!("{kind} '{}'", proxy.name)
}
