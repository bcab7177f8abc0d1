//! What can only be judged when every file has been read: names that must exist or be unique, settings that need each
//! other, numbers given in order. Threads are looked at in [`super::check_threads`].

use super::proxy_http::called;
use crate::diag::{Diagnostics, Place, Severity};
use crate::model::{LogFormat, Mode, Model, Opts, Proto, Proxy, ProxyKind, Server};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Judges the whole model.
pub fn check(model: &mut Model, diags: &mut Diagnostics) {
    names(model, diags);
    proxy_ids(model, diags);
    guids(model, diags);
    buffers(model, diags);
    rings(model, diags);
    if !diags.failed() {
        super::check_threads::check(model, diags);
    }
    // lines that were refused would make most of what follows wrong
    let whole = !diags.failed();
    let mut proxies = std::mem::take(&mut model.proxies);
    for proxy in &mut proxies {
        listener_ids(proxy);
        server_ids(proxy, diags);
        if whole && !proxy.disabled {
            one_proxy(model, proxy, diags);
        }
    }
    model.proxies = proxies;
    default_backends(model, diags);
    if !whole {
        return;
    }
    super::log_backends::targets(model, diags);
    super::log_forward::check(model, diags);
    super::resolvers::check(model, diags);
    super::server_state::check(model, diags);
    if model.global.experimental && !model.global.experimental_used {
        diags
            .add(
                Severity::Warning,
                None,
                "Option 'expose-experimental-directives' is set in the global section but is no longer used.",
            )
            .hint("remove it, so that no experimental directive gets in by accident later");
    }
}

fn one_proxy(model: &Model, proxy: &mut Proxy, diags: &mut Diagnostics) {
    super::log_backends::check(proxy, diags);
    sides(proxy, diags);
    if proxy.mode != Mode::Log {
        timeouts(proxy, diags);
    }
    log_format(model, proxy, diags);
    protocols(proxy, diags);
    servers(proxy, diags);
    super::persist::without_http(proxy, diags);
    if proxy.mode != Mode::Http && !proxy.switches_to_http {
        http_only(proxy, diags);
    }
}

/// `FILE:LINE` of a place.
fn at(diags: &Diagnostics, place: Place) -> String {
    let file = diags.files.get(place.file.0 as usize).map_or("", String::as_str);
    format!("{file}:{}", place.line)
}

fn alert(diags: &mut Diagnostics, place: Place, message: String) {
    diags.add(Severity::Alert, Some(place), message);
}

/// A warning about the whole, which HAProxy gives no line.
fn warn(diags: &mut Diagnostics, place: Place, message: String) {
    diags.late(Severity::Warning, Some(place), message);
}

/// All proxies share one set of names (since 3.3).
fn names(model: &Model, diags: &mut Diagnostics) {
    let mut seen: HashMap<&str, &Proxy> = HashMap::new();
    for proxy in &model.proxies {
        let Some(first) = seen.insert(&proxy.name, proxy) else { continue };
        let message = format!(
            "{} has the same name as {} declared at {}. Please rename one or the other.",
            called(proxy),
            called(first),
            at(diags, first.place)
        );
        alert(diags, proxy.place, message);
    }
}

/// Numbers not given are given in order from 2 (1 is the process itself), leaving out those that are taken.
fn proxy_ids(model: &mut Model, diags: &mut Diagnostics) {
    let mut taken: HashMap<u32, usize> = HashMap::new();
    for (i, proxy) in model.proxies.iter().enumerate().filter(|(_, p)| p.id != 0) {
        if let Some(first) = taken.insert(proxy.id, i).and_then(|i| model.proxies.get(i)) {
            let message = format!(
                "{} {} reuses same custom id as {} {} (declared at {}).",
                proxy.kind.name(),
                proxy.name,
                first.kind.name(),
                first.name,
                at(diags, first.place)
            );
            alert(diags, proxy.id_place, message);
        }
    }
    let mut next = 2;
    // no statistics show those that only forward log messages
    let counted = |p: &&mut Proxy| p.id == 0 && p.kind != ProxyKind::Forward;
    for proxy in model.proxies.iter_mut().filter(counted) {
        while taken.contains_key(&next) {
            next += 1;
        }
        proxy.id = next;
        next += 1;
    }
}

/// Numbers of sockets: in order from 1, each line counting on whether or not it has a number of its own.
fn listener_ids(proxy: &mut Proxy) {
    let taken: HashSet<u32> = proxy.binds.iter().map(|b| b.id).filter(|id| *id != 0).collect();
    let mut next = 1;
    for bind in &mut proxy.binds {
        in_order(&mut bind.id, &mut next, &taken);
    }
}

fn in_order(id: &mut u32, next: &mut u32, taken: &HashSet<u32>) {
    if *id == 0 {
        while taken.contains(next) {
            *next = next.saturating_add(1);
        }
        *id = *next;
    }
    *next = next.saturating_add(1);
}

fn server_ids(proxy: &mut Proxy, diags: &mut Diagnostics) {
    let mut taken: HashMap<u32, &Server> = HashMap::new();
    let mut names: HashMap<&str, &Server> = HashMap::new();
    for server in &proxy.servers {
        let who = server.called(&proxy.name);
        if let Some(first) = names.insert(&server.name, server) {
            let message = format!(
                "{who} : another server named '{}' was already defined at line {}, please use a distinct name.",
                server.name, first.place.line
            );
            alert(diags, server.place, message);
        }
        if server.id == 0 {
            continue;
        }
        if let Some(first) = taken.insert(server.id, server) {
            let message = format!(
                "{who} : 'id' : custom id {} already used at {} ('server {}').",
                server.id,
                at(diags, first.place),
                first.name
            );
            alert(diags, server.place, message);
        }
    }
    let taken: HashSet<u32> = taken.into_keys().collect();
    let mut next = 1;
    for server in &mut proxy.servers {
        in_order(&mut server.id, &mut next, &taken);
    }
}

/// One set of names for everything that has a `guid`.
fn guids(model: &Model, diags: &mut Diagnostics) {
    let mut seen: HashMap<String, String> = HashMap::new();
    let mut add = |guid: Option<String>, who: String, line: String, place: Place| {
        let Some(first) = guid.and_then(|g| seen.insert(g, who)) else { return };
        alert(diags, place, format!("{line}'guid': duplicate entry with {first}."));
    };
    for proxy in &model.proxies {
        let who = format!("{} {}", proxy.kind.name(), proxy.name);
        add(proxy.guid.clone(), who, String::new(), proxy.guid_place);
        let mut line = (Place::default(), 0);
        for bind in &proxy.binds {
            line = if line.0 == bind.place { (line.0, line.1 + 1) } else { (bind.place, 0) };
            let guid = bind.guid_prefix.as_ref().map(|p| format!("{p}-{}", line.1));
            add(guid, format!("listener {}", bind.text), String::new(), bind.place);
        }
        for server in &proxy.servers {
            let name = format!("{}/{}", proxy.name, server.name);
            add(server.guid.clone(), format!("server {name}"), format!("'server {name}' : "), server.place);
        }
    }
}

fn buffers(model: &mut Model, diags: &mut Diagnostics) {
    let tune = &mut model.global.tune;
    for (name, size) in [("bufsize", tune.bufsize), ("bufsize_large", tune.bufsize_large)] {
        if size >= 256 << 20 {
            let message = format!(
                "global.tune.{name} must be below 256 MB when HTTP is in use (current value = {size})."
            );
            diags.late(Severity::Alert, None, message);
        }
    }
    tune.bufsize = tune.bufsize.next_multiple_of(8);
    if tune.bufsize_small > tune.bufsize {
        let message = format!(
            "invalid small buffer size {} bytes which is greater than default bufsize {} bytes.",
            tune.bufsize_small, tune.bufsize
        );
        diags.late(Severity::Warning, None, message);
        tune.bufsize_small = 0;
    }
    if tune.bufsize_large != 0 && tune.bufsize_large < tune.bufsize {
        let message = format!(
            "tune.bufsize.large ({}) is lower than tune.bufsize ({}). large buffers support is disabled. Please fix either \
             value to remove this warning.",
            tune.bufsize_large, tune.bufsize
        );
        diags.late(Severity::Warning, None, message);
        tune.bufsize_large = 0;
    }
    tune.maxrewrite = tune.maxrewrite.min(tune.bufsize / 2);
}

/// What a ring's own bookkeeping takes of its size; it is never smaller than a page.
const RING_OVERHEAD: usize = 197;

fn rings(model: &mut Model, diags: &mut Diagnostics) {
    for ring in &mut model.rings {
        let size = ring.size.unwrap_or(model.global.tune.bufsize).max(4096);
        let most = size - RING_OVERHEAD;
        if let Some(len) = ring.maxlen.filter(|len| *len > most) {
            let message = format!(
                "ring '{}' event max length '{len}' exceeds max payload size, forced to '{most}'.",
                ring.name
            );
            warn(diags, ring.place, message);
            ring.maxlen = Some(most);
        }
    }
}

fn sides(proxy: &Proxy, diags: &mut Diagnostics) {
    if proxy.kind.front() && proxy.binds.is_empty() {
        let message = format!(
            "{} has no 'bind' directive. Please declare it as a backend if this was intended.",
            called(proxy)
        );
        warn(diags, proxy.place, message);
    }
}

fn timeouts(proxy: &Proxy, diags: &mut Diagnostics) {
    let missing = |t: Option<Duration>| t.is_none_or(|t| t.is_zero());
    let t = &proxy.timeouts;
    let front = proxy.kind.front() && missing(t.client);
    let back = proxy.kind.back() && !proxy.servers.is_empty() && (missing(t.connect) || missing(t.server));
    if front || back {
        diags
            .late(Severity::Warning, Some(proxy.place), format!("missing timeouts for {}.", called(proxy)))
            .hint(
                "without 'timeout client', 'timeout connect' and 'timeout server' above zero, dead connections stay \
                 for ever",
            );
    }
}

fn log_format(model: &Model, proxy: &mut Proxy, diags: &mut Diagnostics) {
    if !proxy.kind.front() {
        return;
    }
    let name = match proxy.log_format {
        LogFormat::Http | LogFormat::HttpClf => "option httplog",
        LogFormat::Https => "option httpslog",
        _ => "",
    };
    if !name.is_empty() && proxy.mode != Mode::Http {
        let message = format!(
            "'{name}' not usable with {} (needs 'mode http'). Falling back to 'option tcplog'.",
            called(proxy)
        );
        diags.add(Severity::Warning, Some(proxy.log_format_place), message);
        proxy.log_format = LogFormat::Tcp;
    }
    if proxy.log_format != LogFormat::Connect && !model.logs(proxy) {
        let message = format!("log format ignored for {} since it has no log address.", called(proxy));
        warn(diags, proxy.log_format_place, message);
    }
}

/// `proto` must be of the proxy's mode.
fn protocols(proxy: &Proxy, diags: &mut Diagnostics) {
    let wrong: &[(Proto, &str)] = match proxy.mode {
        Mode::Http => &[(Proto::None, "none")],
        _ => &[(Proto::H1, "h1"), (Proto::H2, "h2")],
    };
    for (proto, name) in wrong {
        for bind in proxy.binds.iter().filter(|b| b.proto == Some(*proto)) {
            let message =
                format!("{} : MUX protocol '{name}' is not usable for 'bind {}'.", called(proxy), bind.text);
            alert(diags, bind.place, message);
        }
        for server in proxy.servers.iter().filter(|s| s.set.proto == Some(*proto)) {
            let message = format!(
                "{} : MUX protocol '{name}' is not usable for server '{}'.",
                called(proxy),
                server.name
            );
            alert(diags, server.place, message);
        }
    }
}

fn servers(proxy: &mut Proxy, diags: &mut Diagnostics) {
    let name = &proxy.name;
    for server in &mut proxy.servers {
        let set = &mut server.set;
        set.maxconn = set.maxconn.max(set.minconn);
        if set.tfo {
            let message = format!(
                "'server {name}/{}' : server has tfo activated, the backend should be configured with at least \
                 'conn-failure', 'empty-response' and 'response-timeout' or we wouldn't be able to retry the \
                 connection on failure.",
                server.name
            );
            diags.add(Severity::Warning, Some(server.place), message);
        }
    }
}

/// Options that do nothing unless the proxy speaks HTTP; the flag tells whether the frontend, the backend or both.
const HTTP_ONLY: &[(Opts, &str, bool, bool)] = &[
    (Opts::CHECKCACHE, "checkcache", false, true),
    (Opts::DISABLE_H2_UPGRADE, "disable-h2-upgrade", true, false),
    (Opts::HTTP_BUFFER_REQUEST, "http-buffer-request", true, true),
    (Opts::HTTP_DROP_REQUEST_TRAILERS, "http-drop-request-trailers", false, true),
    (Opts::HTTP_DROP_RESPONSE_TRAILERS, "http-drop-response-trailers", true, false),
    (Opts::HTTP_IGNORE_PROBES, "http-ignore-probes", true, false),
    (Opts::IDLE_CLOSE_ON_RESPONSE, "idle-close-on-response", true, false),
    (Opts::PREFER_LAST_SERVER, "prefer-last-server", false, true),
    (Opts::UNSAFE_REQUEST, "accept-unsafe-violations-in-http-request", true, false),
    (Opts::UNSAFE_RESPONSE, "accept-unsafe-violations-in-http-response", false, true),
    (Opts::HTTP_USE_PROXY_HEADER, "http-use-proxy-header", true, false),
    (Opts::HTTP_PRETEND_KEEPALIVE, "http-pretend-keepalive", false, true),
    (Opts::HTTP_NO_DELAY, "http-no-delay", true, true),
];

/// Is this option ("option NAME") ignored unless the proxy speaks HTTP?
#[must_use]
pub fn needs_http(option: &str) -> bool {
    option.strip_prefix("option ").is_some_and(|name| HTTP_ONLY.iter().any(|o| o.1 == name))
}

fn http_only(proxy: &mut Proxy, diags: &mut Diagnostics) {
    let who = called(proxy);
    let mut ignored = |what: &str| {
        let message = format!("'{what}' ignored for {who} as it requires HTTP mode.");
        warn(diags, proxy.place, message);
    };
    if proxy.kind.front() && proxy.monitor_uri.take().is_some() {
        ignored("monitor-uri");
    }
    for (option, name, front, back) in HTTP_ONLY {
        let here = (*front && proxy.kind.front()) || (*back && proxy.kind.back());
        if here && proxy.opts.contains(*option) {
            ignored(&format!("option {name}"));
            proxy.opts.remove(*option);
        }
    }
    if proxy.forwardfor.take().is_some() {
        ignored("option forwardfor");
    }
    if proxy.originalto.take().is_some() {
        ignored("option originalto");
    }
}

fn default_backends(model: &Model, diags: &mut Diagnostics) {
    let backends: HashMap<&str, &Proxy> =
        model.proxies.iter().filter(|p| p.kind.back()).map(|p| (p.name.as_str(), p)).collect();
    for proxy in model.proxies.iter().filter(|p| p.kind != ProxyKind::Defaults && !p.disabled) {
        let Some((name, place)) = &proxy.default_backend else { continue };
        // a backend ignores it, but what it says itself must be there all the same
        let inherited = place.file != proxy.place.file || place.line <= proxy.place.line;
        if !proxy.kind.front() && inherited {
            continue;
        }
        let message = match backends.get(name.as_str()) {
            None => {
                let close = super::near::hint(name, backends.keys().copied());
                format!("Proxy '{}': unable to find required default_backend: '{name}'{close}.", proxy.name)
            }
            Some(b) if b.name == proxy.name => {
                format!("Proxy '{}': loop detected for default_backend: '{name}'.", proxy.name)
            }
            Some(b) if !fits(proxy.mode, b.mode) => format!(
                "{} frontend '{}' ({}) tries to use incompatible {} backend '{}' ({}) as its default backend (see \
                 'mode').",
                mode_name(proxy.mode),
                proxy.name,
                at(diags, proxy.place),
                mode_name(b.mode),
                b.name,
                at(diags, b.place)
            ),
            Some(_) => continue,
        };
        diags.late(Severity::Alert, Some(*place), message);
    }
}

/// A TCP frontend may hand over to an HTTP backend, not the other way round.
fn fits(front: Mode, back: Mode) -> bool {
    front == back || (front == Mode::Tcp && back == Mode::Http)
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Tcp => "tcp",
        Mode::Http => "http",
        Mode::Log => "log",
        Mode::Spop => "spop",
        Mode::Haterm => "haterm",
    }
}
