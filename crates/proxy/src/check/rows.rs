//! `option httpchk` and its kin, `tcp-check`, `http-check`, `external-check`, and `healthcheck` sections (manual sections 4.2
//! and 12.9).

use super::config::{
    Act, CheckConfig, Connect, HttpSend, Method, Mysql, NamedSections, Port, Rule, Section, Text,
};
use super::expect::{Expect, Pattern, Test};
use crate::rules::lang::{At, Format, Parsing, Regex};
use crate::rules::rows::works as row;
use crate::rules::variables;
use portcullis_backend::health::Status;
use portcullis_config::rows::value;
use portcullis_config::{Cx, Keyword, Line, Place, Proto, Sections, Word};
use portcullis_wire::hex;
use portcullis_wire::probe::mysql::Login;
use std::net::IpAddr;
use std::sync::Arc;

const BACK: Sections = Sections::BACK;
const RULES: Sections = Sections::from_bits_retain(Sections::BACK.bits() | Sections::HEALTHCHECK.bits());

const EXPECT: &str = "[min-recv <int>] [comment <msg>] [ok-status <st>] [error-status <st>] [tout-status <st>] \
                      [on-success <fmt>] [on-error <fmt>] [status-code <expr>] [!] <match> <pattern>";
const CONNECT: &str = "[default] [port <expr>] [addr <ip>] [send-proxy] [via-socks4] [ssl] [sni <sni>] [alpn <alpn>] [linger] \
     [proto <name>] [comment <msg>]";

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    row("option tcp-check", BACK, "", "Checks servers by 'tcp-check' rules.", option),
    row(
        "option httpchk",
        BACK,
        "[<method>] [<uri>] [<version>] [<host>]",
        "Checks servers by an HTTP request.",
        option,
    ),
    row("option ssl-hello-chk", BACK, "", "Checks that servers speak SSL.", option),
    row("option smtpchk", BACK, "[<hello> <domain>]", "Checks mail servers.", option),
    row(
        "option mysql-check",
        BACK,
        "[user <username> [{ post-41 | pre-41 | post-80 }]]",
        "Checks MySQL servers.",
        option,
    ),
    row("option pgsql-check", BACK, "user <username>", "Checks PostgreSQL servers.", option),
    row("option redis-check", BACK, "", "Checks Redis servers.", option),
    row("option ldap-check", BACK, "", "Checks LDAP servers.", option),
    row("option spop-check", BACK, "", "Checks SPOP agents.", option),
    row("option external-check", BACK, "", "Checks servers by a program.", option),
    row("external-check command", BACK, "<command>", "The program that checks.", |cx, l| {
        if let Some(word) = argument(cx, l, 2, "missing argument after 'command'") {
            cx.ext::<CheckConfig>().command = Some(word);
        }
    }),
    row("external-check path", BACK, "<path>", "Where it finds other programs.", |cx, l| {
        if let Some(word) = argument(cx, l, 2, "missing argument after 'path'") {
            cx.ext::<CheckConfig>().path = Some(word);
        }
    }),
    row("http-check comment", RULES, "<string>", "A comment about the next rule.", http),
    row("http-check connect", RULES, CONNECT, "Opens a connection.", http),
    row("http-check disable-on-404", RULES, "", "404: the server wants no new clients.", http),
    row("http-check expect", RULES, EXPECT, "What the response must be like.", http),
    row(
        "http-check send",
        RULES,
        "[meth <method>] [{ uri <uri> | uri-lf <fmt> }] [ver <version>] [hdr <name> <fmt>]* [{ body <string> | body-lf \
         <fmt> }] [comment <msg>]",
        "The request.",
        http,
    ),
    row("http-check send-state", RULES, "", "Tells servers how they are seen.", http),
    row(
        "http-check",
        RULES,
        "{ set-var | set-var-fmt | unset-var }(<var-name>) ...",
        "Sets variables.",
        http,
    ),
    row("tcp-check comment", RULES, "<string>", "A comment about the next rule.", tcp),
    row("tcp-check connect", RULES, CONNECT, "Opens a connection.", tcp),
    row("tcp-check expect", RULES, EXPECT, "What the answer must be like.", tcp),
    row("tcp-check send", RULES, "<data> [comment <msg>]", "Sends text.", tcp),
    row("tcp-check send-lf", RULES, "<fmt> [comment <msg>]", "Sends text that is made.", tcp),
    row("tcp-check send-binary", RULES, "<hexstring> [comment <msg>]", "Sends bytes.", tcp),
    row("tcp-check send-binary-lf", RULES, "<hexfmt> [comment <msg>]", "Sends bytes that are made.", tcp),
    row("tcp-check", RULES, "{ set-var | set-var-fmt | unset-var }(<var-name>) ...", "Sets variables.", tcp),
    row("healthcheck", Sections::HEALTHCHECK, "<name>", "A check that servers name.", section),
    row("type", Sections::HEALTHCHECK, "<type> [<param>]*", "What kind of check.", kind),
];

fn argument(cx: &mut Cx<'_>, line: &Line, at: usize, missing: &str) -> Option<String> {
    let word = value::one(cx, line, at, missing)?;
    Some(word.str().into_owned())
}

/// `healthcheck NAME`
fn section(cx: &mut Cx<'_>, line: &Line) {
    let Some(name) = argument(cx, line, 1, "'healthcheck' expects a name.") else { return };
    if let Some(c) = name.chars().find(|c| !c.is_ascii_alphanumeric() && !"_-.:".contains(*c)) {
        cx.alert(line.word(1), format!("character '{c}' is not permitted in 'healthcheck' name '{name}'."));
    }
    let sections = cx.model.ext.entry::<NamedSections>();
    let first = sections.0.iter().find(|s| s.name == name).map(|s| s.place);
    if let Some(first) = first {
        let file = cx.diags.files.get(first.file.0 as usize).map_or("?", String::as_str);
        let text = format!("healthcheck section '{name}' already defined at {file}:{}.", first.line);
        cx.alert(line.word(1), text);
    }
    let sections = cx.model.ext.entry::<NamedSections>();
    sections.0.push(Section { name, place: line.place(), ..Section::default() });
}

/// What the open section says, and where the section begins.
fn open<'c>(cx: &'c mut Cx<'_>) -> (&'c mut CheckConfig, Place) {
    if cx.section == Sections::HEALTHCHECK {
        let sections = cx.model.ext.entry::<NamedSections>();
        if sections.0.is_empty() {
            sections.0.push(Section::default());
        }
        let last = sections.0.len() - 1;
        let section = &mut sections.0[last];
        return (&mut section.config, section.place);
    }
    let place = cx.proxy().place;
    (cx.ext(), place)
}

/// `option KIND …`
fn option(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(1) else { return };
    let kind = word.str().into_owned();
    let place = line.place();
    if let Some(method) = chosen(cx, line, word, &format!("option {kind}")) {
        let (config, owner) = open(cx);
        if matches!(method, Method::Http(_)) {
            config.own(owner);
        }
        (config.method, config.place) = (method, place);
    }
}

/// `type KIND …`
fn kind(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(1) else {
        cx.alert(line.word(0), "'type' expects a healthcheck type.");
        return;
    };
    if cx.model.ext.entry::<NamedSections>().0.last().is_some_and(|s| s.typed) {
        cx.alert(line.word(0), "healthcheck type already defined.");
        return;
    }
    let kind = word.str().into_owned();
    if !TYPES.contains(&&*kind) {
        let all: Vec<String> = TYPES.iter().map(|t| format!("'{t}'")).collect();
        let text = format!("unknown healthcheck type '{kind}' (expects {}).", all.join(", "));
        cx.alert(Some(word), text);
    } else if let Some(method) = chosen(cx, line, word, &kind) {
        let place = line.place();
        if let Some(section) = cx.model.ext.entry::<NamedSections>().0.last_mut() {
            section.typed = true;
            (section.config.method, section.config.place) = (method, place);
        }
    }
}

/// Types of `healthcheck` sections.
const TYPES: [&str; 9] = [
    "tcp-check",
    "httpchk",
    "ssl-hello-chk",
    "smtpchk",
    "pgsql-check",
    "redis-check",
    "mysql-check",
    "ldap-check",
    "spop-check",
];

/// The kind of check that a line names, `name` in messages.
fn chosen(cx: &mut Cx<'_>, line: &Line, word: &Word, name: &str) -> Option<Method> {
    let mut p = Parsing::new(cx, line.args(2), At::Check);
    match method(&mut p, &word.str()) {
        Ok(method) => match p.args.next() {
            Some(extra) => {
                let kind = word.str();
                let text = format!("'{kind}' cannot handle unexpected argument '{}'.", extra.str());
                p.cx.alert(Some(extra), text);
                None
            }
            None => Some(method),
        },
        Err(why) => {
            p.cx.alert(Some(word), format!("'{name}' : {why}."));
            None
        }
    }
}

fn method(p: &mut Parsing<'_, '_, '_>, kind: &str) -> Result<Method, String> {
    Ok(match kind {
        "tcp-check" => Method::Tcp,
        "httpchk" => Method::Http(Arc::new(request_line(p)?)),
        "ssl-hello-chk" => Method::SslHello,
        "smtpchk" => {
            let hello = p.args.next().map(|w| w.str().into_owned());
            match (hello, p.args.next()) {
                (Some(hello), Some(domain)) => {
                    let verb = if hello == "EHLO" { "EHLO" } else { "HELO" };
                    Method::Smtp(format!("{verb} {}\r\n", domain.str()))
                }
                // a <hello> without a <domain> is not used
                _ => Method::Smtp("HELO localhost\r\n".into()),
            }
        }
        "mysql-check" => Method::Mysql(mysql(p)?),
        "pgsql-check" => {
            if !p.args.accept("user") {
                return Err("expects 'user <username>' as argument".into());
            }
            Method::Pgsql(p.want("'user' expects <username> as argument")?.str().into_owned())
        }
        "redis-check" => Method::Redis,
        "ldap-check" => Method::Ldap,
        "spop-check" => Method::Spop,
        "external-check" => Method::External,
        other => return Err(format!("unknown type '{other}'")),
    })
}

fn mysql(p: &mut Parsing<'_, '_, '_>) -> Result<Option<Mysql>, String> {
    if p.args.peek().is_none() {
        return Ok(None);
    }
    if !p.args.accept("user") {
        return Err("only supports optional values: 'user'".into());
    }
    let user = p.want("'user' expects <username> as argument")?.str().into_owned();
    let login = match p.args.next().map(|w| w.str()).as_deref() {
        None | Some("post-41") => Login::Post41,
        Some("pre-41") => Login::Pre41,
        Some("post-80") => Login::Post80,
        Some(_) => return Err("keyword only supports 'post-41', 'pre-41' and 'post-80'".into()),
    };
    Ok(Some(Mysql { user, login }))
}

/// What stands behind `httpchk`.
fn request_line(p: &mut Parsing<'_, '_, '_>) -> Result<HttpSend, String> {
    let mut send = HttpSend::default();
    let words: Vec<&Word> = p.args.by_ref().take(4).collect();
    match words.as_slice() {
        [] => {}
        [uri] => send.uri = Some(Text::Plain(uri.text.clone())),
        [method, uri, rest @ ..] => {
            send.method = Some(method.text.clone());
            send.uri = Some(Text::Plain(uri.text.clone()));
            if let Some(version) = rest.first() {
                if version.text.contains(&b'\r') || version.text.contains(&b'\n') {
                    return Err(
                        "hiding headers or body at the end of the version string is unsupported. Use \
                                'http-check send' directive instead"
                            .into(),
                    );
                }
                send.version = Some(version.text.clone());
            }
            if let Some(host) = rest.get(1) {
                send.headers.push((b"host".to_vec(), p.format(host)?));
            }
        }
    }
    Ok(send)
}

/// `tcp-check ACTION …`
fn tcp(cx: &mut Cx<'_>, line: &Line) {
    rule(cx, line, false);
}

/// `http-check ACTION …`
fn http(cx: &mut Cx<'_>, line: &Line) {
    rule(cx, line, true);
}

fn rule(cx: &mut Cx<'_>, line: &Line, http: bool) {
    let kind = if http { "http-check" } else { "tcp-check" };
    let Some(word) = line.word(1) else {
        cx.alert(line.word(0), format!("'{kind}' expects an action."));
        return;
    };
    let action = word.str().into_owned();
    let name = action.split('(').next().unwrap_or_default().to_owned();
    let mut p = Parsing::new(cx, line.args(2), At::Check);
    let parsed = match (name.as_str(), http) {
        ("disable-on-404", true) => flag(&mut p, |c| c.disable_on_404 = true),
        ("send-state", true) => flag(&mut p, |c| c.send_state = true),
        _ => parse(&mut p, &name, http).map(Some),
    };
    match parsed {
        Ok(Some(rule)) => {
            let named = p.cx.section == Sections::HEALTHCHECK;
            let (config, owner) = open(p.cx);
            let other = if http {
                matches!(config.method, Method::Tcp).then_some("TCP")
            } else {
                matches!(config.method, Method::Http(_)).then_some("HTTP")
            };
            if let Some(other) = other.filter(|_| named) {
                let text = format!("unable to configure '{kind}' rule for '{other}' healthcheck.");
                p.cx.alert(Some(word), text);
                return;
            }
            let paired = http && matches!(config.method, Method::Http(_));
            let rules = if http { &config.http } else { &config.tcp };
            if let Err(why) = rules.accept(owner, &rule.act, kind, paired) {
                p.cx.alert(Some(word), format!("'{kind} {action}' : {why}."));
                return;
            }
            if http {
                config.own(owner);
                config.http.add(owner, rule);
            } else {
                config.tcp.add(owner, rule);
            }
        }
        Ok(None) => {}
        Err(why) => {
            p.cx.alert(Some(word), format!("'{kind} {action}' : {why}."));
        }
    }
}

fn flag(p: &mut Parsing<'_, '_, '_>, set: fn(&mut CheckConfig)) -> Result<Option<Rule>, String> {
    if let Some(extra) = p.args.next() {
        return Err(format!("unexpected argument '{}'", extra.str()));
    }
    set(open(p.cx).0);
    Ok(None)
}

fn parse(p: &mut Parsing<'_, '_, '_>, name: &str, http: bool) -> Result<Rule, String> {
    match name {
        "comment" => {
            let text = p.want("expects a string as argument")?.str().into_owned();
            Ok(Rule { act: Act::Comment, comment: Some(text) })
        }
        "connect" => connect(p, http),
        "expect" => expect(p, http),
        "send" if http => request(p),
        "send" | "send-lf" | "send-binary" | "send-binary-lf" if !http => send(p, name),
        "set-var" | "set-var-fmt" | "unset-var" => {
            let variable = variables::of_check(p, name)?;
            done(p)?;
            Ok(Rule { act: Act::Variable(variable), comment: None })
        }
        _ => Err("unknown action".into()),
    }
}

fn done(p: &mut Parsing<'_, '_, '_>) -> Result<(), String> {
    match p.args.next() {
        Some(extra) => Err(format!("unexpected argument '{}'", extra.str())),
        None => Ok(()),
    }
}

fn comment(p: &mut Parsing<'_, '_, '_>) -> Result<String, String> {
    Ok(p.want("'comment' expects a string as argument")?.str().into_owned())
}

fn connect(p: &mut Parsing<'_, '_, '_>, http: bool) -> Result<Rule, String> {
    let mut connect = Connect::default();
    let mut about = None;
    while let Some(word) = p.args.next() {
        match &*word.str() {
            "default" => connect.default = true,
            "port" => {
                let word = p.want("'port' expects a port number or a sample expression as argument")?;
                connect.port = Some(port(p, word)?);
            }
            "addr" => {
                let word = p.want("'addr' expects <ipv4|ipv6> as argument")?;
                connect.addr = Some(address(&word.str())?);
            }
            "send-proxy" => connect.send_proxy = true,
            "linger" => connect.linger = true,
            "comment" => about = Some(comment(p)?),
            "proto" => {
                let word = p.want("'proto' expects a MUX protocol as argument")?;
                connect.proto = match (&*word.str(), http) {
                    ("h1", true) => Some(Proto::H1),
                    ("h2", true) => Some(Proto::H2),
                    ("none", false) => Some(Proto::None),
                    (other @ ("h1" | "h2" | "none"), _) => {
                        let kind = if http { "http-check" } else { "tcp-check" };
                        return Err(format!("'proto' : invalid MUX protocol '{other}' for {kind}"));
                    }
                    (other, _) => {
                        return Err(value::not_yet(&format!("'proto {other}'"), "HTTP/3").replace('.', ""));
                    }
                };
            }
            "ssl" => connect.ssl = true,
            "sni" => connect.sni = Some(p.want("'sni' expects a string as argument")?.str().into_owned()),
            "alpn" => {
                let word = p.want("'alpn' : missing the comma-delimited ALPN protocol suite")?;
                connect.alpn = Some(super::tls::protocols(&word.str()));
            }
            "via-socks4" => connect.via_socks4 = true,
            other => return Err(format!("unexpected argument '{other}'")),
        }
    }
    Ok(Rule { act: Act::Connect(connect), comment: about })
}

fn port(p: &mut Parsing<'_, '_, '_>, word: &Word) -> Result<Port, String> {
    if word.text.first().is_some_and(u8::is_ascii_digit) {
        return match word.str().parse::<u16>() {
            Ok(n @ 1..) => Ok(Port::Number(n)),
            _ => Err(format!("expects a port number from 1 to 65535, got '{}'", word.str())),
        };
    }
    p.args.at -= 1;
    Ok(Port::Expr(p.expr_here()?))
}

fn address(text: &str) -> Result<(IpAddr, u16), String> {
    let bare = text.strip_prefix("ipv4@").or_else(|| text.strip_prefix("ipv6@")).unwrap_or(text);
    if let Ok(ip) = bare.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok((ip, 0));
    }
    if let Ok(a) = bare.parse::<std::net::SocketAddr>() {
        return Ok((a.ip(), a.port()));
    }
    use std::net::ToSocketAddrs;
    let (host, port) = bare.rsplit_once(':').unwrap_or((bare, "0"));
    let port = port.parse::<u16>().map_err(|_| format!("invalid address '{text}'"))?;
    let mut found = (host, port).to_socket_addrs().map_err(|_| format!("invalid address '{text}'"))?;
    found.next().map(|a| (a.ip(), port)).ok_or_else(|| format!("invalid address '{text}'"))
}

/// `tcp-check send` and its kin
fn send(p: &mut Parsing<'_, '_, '_>, name: &str) -> Result<Rule, String> {
    let word = p.want("expects a string as argument")?;
    let text = match name {
        "send" => Text::Plain(word.text.clone()),
        "send-binary" => Text::Plain(hex::decode(&word.text).map_err(|_| bad_hex(word))?),
        "send-lf" => Text::Format(p.format(word)?),
        _ => Text::Hex(p.format(word)?),
    };
    let about = if p.args.accept("comment") { Some(comment(p)?) } else { None };
    done(p)?;
    Ok(Rule { act: Act::Send(text), comment: about })
}

fn bad_hex(word: &Word) -> String {
    format!("expects an even number of hexadecimal digits, got '{}'", word.str())
}

/// `http-check send`
fn request(p: &mut Parsing<'_, '_, '_>) -> Result<Rule, String> {
    let mut send = HttpSend::default();
    let mut about = None;
    while let Some(word) = p.args.next() {
        match &*word.str() {
            "meth" => send.method = Some(p.want("'meth' expects a string as argument")?.text.clone()),
            "uri" => send.uri = Some(Text::Plain(p.want("'uri' expects a string as argument")?.text.clone())),
            "uri-lf" => {
                let word = p.want("'uri-lf' expects a string as argument")?;
                send.uri = Some(Text::Format(p.format(word)?));
            }
            "ver" => send.version = Some(p.want("'ver' expects a string as argument")?.text.clone()),
            "hdr" => {
                let name = p.want("'hdr' expects <name> and <value> as arguments")?.text.to_ascii_lowercase();
                let word = p.want("'hdr' expects <name> and <value> as arguments")?;
                let value = p.format(word)?;
                // the codec says how long the body is, and that nothing follows
                let own = matches!(name.as_slice(), b"content-length" | b"transfer-encoding");
                if !own {
                    send.headers.push((name, value));
                }
            }
            "body" => {
                send.body = Some(Text::Plain(p.want("'body' expects a string as argument")?.text.clone()))
            }
            "body-lf" => {
                let word = p.want("'body-lf' expects a string as argument")?;
                send.body = Some(Text::Format(p.format(word)?));
            }
            "comment" => about = Some(comment(p)?),
            other => {
                return Err(format!(
                    "expects 'meth', 'uri', 'uri-lf', 'ver', 'hdr', 'body', 'body-lf' or \
                                         'comment' but got '{other}'"
                ));
            }
        }
    }
    Ok(Rule { act: Act::Request(send), comment: about })
}

/// Options of `expect`, in any order.
#[derive(Default)]
struct Options {
    min_recv: Option<usize>,
    ok: Option<Status>,
    error: Option<Status>,
    timeout: Option<Status>,
    on_success: Option<Format>,
    on_error: Option<Format>,
    code: Option<crate::rules::lang::Expr>,
    comment: Option<String>,
}

fn expect(p: &mut Parsing<'_, '_, '_>, http: bool) -> Result<Rule, String> {
    let mut options = Options::default();
    let mut found: Option<(Pattern, bool)> = None;
    while let Some(word) = p.args.next() {
        let text = word.str();
        if expect_option(p, &text, &mut options)? {
            continue;
        }
        if found.is_some() {
            return Err("only one pattern expected".into());
        }
        let (inverse, name) = match text.strip_prefix('!') {
            Some("") => (true, p.want("expects a match behind '!'")?.str().into_owned()),
            Some(rest) => (true, rest.to_owned()),
            None => (false, text.into_owned()),
        };
        found = Some((pattern(p, &name, http)?, inverse));
    }
    let Some((pattern, inverse)) = found else { return Err("expects a match and a pattern".into()) };
    let mut expect = Expect::new(pattern);
    expect.inverse = inverse;
    expect.min_recv = options.min_recv;
    expect.ok = options.ok.unwrap_or(expect.ok);
    expect.error = options.error;
    expect.timeout = options.timeout.unwrap_or(expect.timeout);
    (expect.on_success, expect.on_error, expect.code) = (options.on_success, options.on_error, options.code);
    Ok(Rule { act: Act::Expect(Box::new(expect)), comment: options.comment })
}

const OK: &[&str] = &["L7OK", "L7OKC", "L6OK", "L4OK"];
const ERROR: &[&str] = &["L7OKC", "L7RSP", "L7STS", "L6RSP", "L4CON"];
const TIMEOUT: &[&str] = &["L7TOUT", "L6TOUT", "L4TOUT"];

/// True: it was one, and it was taken.
fn expect_option(p: &mut Parsing<'_, '_, '_>, name: &str, o: &mut Options) -> Result<bool, String> {
    match name {
        "min-recv" => {
            let word = p.want("'min-recv' expects an integer as argument")?;
            let n = value::integer(&word.text).filter(|n| (-1..=i64::from(i32::MAX)).contains(n));
            let n = n.ok_or("'min-recv' expects -1 or an integer from 0 to INT_MAX")?;
            o.min_recv = usize::try_from(n).ok();
        }
        "comment" => o.comment = Some(comment(p)?),
        "ok-status" => o.ok = Some(status(p, name, OK)?),
        "error-status" => o.error = Some(status(p, name, ERROR)?),
        "tout-status" => o.timeout = Some(status(p, name, TIMEOUT)?),
        "on-success" => o.on_success = Some(format(p)?),
        "on-error" => o.on_error = Some(format(p)?),
        "status-code" => o.code = Some(p.expr_here()?),
        _ => return Ok(false),
    }
    Ok(true)
}

fn format(p: &mut Parsing<'_, '_, '_>) -> Result<Format, String> {
    let word = p.want("expects a string as argument")?;
    p.plain_format(word)
}

fn status(p: &mut Parsing<'_, '_, '_>, of: &str, known: &[&str]) -> Result<Status, String> {
    let word = p.want("expects a status")?;
    let name = word.str();
    Status::named(&name)
        .filter(|_| known.contains(&&*name))
        .ok_or_else(|| format!("'{of}' only supports {} (got '{name}')", known.join(", ")))
}

fn pattern(p: &mut Parsing<'_, '_, '_>, name: &str, http: bool) -> Result<Pattern, String> {
    let missing = format!("'{name}' expects a pattern as argument");
    let mut word = || p.args.next().ok_or_else(|| missing.clone());
    Ok(match (name, http) {
        ("string", _) => Pattern::String(word()?.text.clone()),
        ("rstring", _) => Pattern::Regex(Regex::new(&word()?.text)?),
        ("string-lf", _) => {
            let word = word()?;
            Pattern::StringFormat(p.format(word)?)
        }
        ("binary", false) => {
            let word = word()?;
            Pattern::Binary(hex::decode(&word.text).map_err(|_| bad_hex(word))?)
        }
        ("rbinary", false) => {
            // the digits that it is matched against are upper case
            Pattern::BinaryRegex(Regex::new(&word()?.text)?)
        }
        ("binary-lf", false) => {
            let word = word()?;
            Pattern::BinaryFormat(p.format(word)?)
        }
        ("status", true) => Pattern::Status(ranges(&word()?.str())?),
        ("rstatus", true) => Pattern::StatusRegex(Regex::new(&word()?.text)?),
        ("hdr" | "fhdr", true) => header(p, name == "fhdr")?,
        (_, true) => {
            return Err(format!(
                "expects 'status', 'rstatus', 'hdr', 'fhdr', 'string', 'rstring' or 'string-lf' \
                                but got '{name}'"
            ));
        }
        (_, false) => {
            return Err(format!(
                "expects 'string', 'rstring', 'string-lf', 'binary', 'rbinary' or 'binary-lf' but \
                                got '{name}'"
            ));
        }
    })
}

/// `200,201,300-310`
fn ranges(text: &str) -> Result<Vec<(u16, u16)>, String> {
    let number = |t: &str| t.trim().parse::<u16>().map_err(|_| format!("invalid status code '{t}'"));
    text.split(',')
        .map(|part| match part.split_once('-') {
            Some((low, high)) => Ok((number(low)?, number(high)?)),
            None => number(part).map(|n| (n, n)),
        })
        .collect()
}

/// `{ name | name-lf } [-m <meth>] <name> [{ value | value-lf } [-m <meth>] <value>]`
fn header(p: &mut Parsing<'_, '_, '_>, whole: bool) -> Result<Pattern, String> {
    let name = test(p, "name")?.ok_or("expects 'name' or 'name-lf'")?;
    let value = test(p, "value")?;
    Ok(Pattern::Header(name, value, whole))
}

fn test(p: &mut Parsing<'_, '_, '_>, what: &str) -> Result<Option<Test>, String> {
    let formatted = format!("{what}-lf");
    let formatted = match p.args.peek() {
        Some(w) if w.is(what) => false,
        Some(w) if w.is(&formatted) => true,
        _ => return Ok(None),
    };
    p.args.next();
    let method = match p.args.accept("-m") {
        true => p.want("'-m' expects a matching method")?.str().into_owned(),
        false => "str".into(),
    };
    let word = p.want("expects a pattern")?;
    let text = |p: &mut Parsing<'_, '_, '_>| match formatted {
        true => p.format(word).map(Text::Format),
        false => Ok(Text::Plain(word.text.clone())),
    };
    Ok(Some(match method.as_str() {
        "str" => Test::Exact(text(p)?),
        "beg" => Test::Begin(text(p)?),
        "end" => Test::End(text(p)?),
        "sub" => Test::Sub(text(p)?),
        "reg" if formatted => return Err("log-format string is not supported with a regex".into()),
        "reg" => Test::Regex(match what {
            // names are compared without regard to case
            "name" => Regex::new(&[b"(?i)", word.text.as_slice()].concat())?,
            _ => Regex::new(&word.text)?,
        }),
        other => return Err(format!("unsupported matching method '{other}'")),
    }))
}

/// What stands at a word of a check's own line; used by [`super::options`].
pub(super) fn resolve(text: &str) -> Result<IpAddr, String> {
    address(text).map(|a| a.0)
}
