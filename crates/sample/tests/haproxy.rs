//! What HAProxy 3.5 answers for expressions, and what we do.
//!
//! Each file of `tests/answers` has lines `expression<TAB>answer`; a line that begins with `> ` is the request that the
//! following expressions are evaluated on. Answers: `=text`, `-` (no sample), `!message` (refused). An expression
//! without an answer fails; `SAMPLE_RECORD=1 cargo test -p portcullis-sample --test haproxy` asks haproxy35 for it.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use portcullis_config::Word;
use portcullis_message::{Head, Version};
use portcullis_sample::acl::{Reader, Verdict};
use portcullis_sample::format::Options;
use portcullis_sample::place::Places;
use portcullis_sample::scope::{Message, Payload, Random, Scope};
use portcullis_sample::{Expr, Facts, Format, Sample, vocabulary};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const DEFAULT: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

struct Case {
    line: usize,
    request: String,
    expr: String,
    answer: Option<String>,
}

fn escape(b: &[u8]) -> String {
    b.iter().fold(String::new(), |mut s, c| {
        match c {
            b'\\' => s.push_str("\\\\"),
            b'\r' => s.push_str("\\r"),
            b'\n' => s.push_str("\\n"),
            b'\t' => s.push_str("\\t"),
            32..127 => s.push(char::from(*c)),
            _ => write!(s, "\\x{c:02x}").unwrap(),
        }
        s
    })
}

fn unescape(s: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut b = s.bytes();
    while let Some(c) = b.next() {
        if c != b'\\' {
            out.push(c);
            continue;
        }
        out.push(match b.next().unwrap() {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'x' => {
                let hex: String = [b.next().unwrap(), b.next().unwrap()].map(char::from).iter().collect();
                u8::from_str_radix(&hex, 16).unwrap()
            }
            other => other,
        });
    }
    out
}

fn cases(text: &str) -> Vec<Case> {
    let mut request = escape(DEFAULT.as_bytes());
    let mut all = Vec::new();
    for (line, l) in text.lines().enumerate() {
        if let Some(r) = l.strip_prefix("> ") {
            request = r.into();
        } else if !l.starts_with('#') && !l.is_empty() {
            let (expr, answer) = l.split_once('\t').map_or((l, None), |(e, a)| (e, Some(a.to_string())));
            all.push(Case { line, request: request.clone(), expr: expr.into(), answer });
        }
    }
    all
}

/// Head and body of a request; `x-case` is what tells cases apart at haproxy.
fn request(raw: &str, case: usize) -> (Head, Vec<u8>, Vec<u8>) {
    let raw = unescape(raw);
    let end = raw.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 2;
    let mut wire = raw[..end].to_vec();
    wire.extend_from_slice(format!("x-case: {case}\r\n").as_bytes());
    wire.extend_from_slice(&raw[end..]);
    let mut head = Head::default();
    let mut lines = wire[..wire.windows(4).position(|w| w == b"\r\n\r\n").unwrap()]
        .split(|b| *b == b'\n')
        .map(|l| l.strip_suffix(b"\r").unwrap_or(l));
    let first: Vec<&[u8]> = lines.next().unwrap().split(|b| *b == b' ').collect();
    let version = if first[2] == b"HTTP/1.0" { Version::HTTP_10 } else { Version::HTTP_11 };
    head.set_request(first[0], first[1], version);
    for l in lines {
        let colon = l.iter().position(|b| *b == b':').unwrap();
        head.push(&l[..colon].to_ascii_lowercase(), l[colon + 1..].trim_ascii());
    }
    (head, raw[end + 2..].to_vec(), wire)
}

/// A condition instead of an expression: `expression` and flags or patterns, separated by blanks.
fn condition(expr: &str) -> Option<&str> {
    expr.strip_prefix("? ")
}

fn our_condition(text: &str, scope: &Scope<'_>) -> String {
    let words: Vec<Word> =
        text.split(' ').map(|w| Word { text: w.as_bytes().to_vec(), ..Word::default() }).collect();
    let vocabulary = vocabulary();
    let resolve = |n: &str| PathBuf::from(n);
    let reader =
        Reader { vocabulary: &vocabulary, files: &portcullis_config::files::LocalFiles, resolve: &resolve };
    match reader.test(&words, &mut Vec::new()) {
        Err(e) => format!("!{e}"),
        Ok(t) if t.eval(scope) == Verdict::True => "=1".into(),
        Ok(_) => "-".into(),
    }
}

fn ours(case: &Case, number: usize) -> String {
    let vocabulary = vocabulary();
    let (head, body, _) = request(&case.request, number);
    let random = Random::new(1);
    let client = Some("127.0.0.1:1024".parse().unwrap());
    let facts = Facts {
        client,
        frontend_name: "f",
        backend_name: "f",
        frontend_id: 2,
        http: true,
        request_number: 1,
        ..Facts::new()
    };
    let scope = Scope {
        request: Message::Here(&head),
        request_bytes: Some(Payload { bytes: &body, may_grow: false }),
        ..Scope::new(&facts, &random)
    };
    if let Some(text) = condition(&case.expr) {
        return our_condition(text, &scope);
    }
    let expr = match Expr::parse(case.expr.as_bytes(), &vocabulary) {
        Ok(e) => e,
        Err(e) => return format!("!{e}"),
    };
    if !matches!(expr.eval(&scope), Sample::There(_)) {
        return "-".into();
    }
    let format = format!("%[{}]", case.expr);
    let options = Options::plain(Places::FE_HTTP_REQUEST);
    let (format, _) = match Format::compile(format.as_bytes(), options, &vocabulary) {
        Ok(f) => f,
        Err(e) => return format!("?{e}"),
    };
    let mut out = Vec::new();
    format.run(&scope, &mut out);
    format!("={}", escape(&out))
}

fn quote(s: &str) -> String {
    let mut out = String::from("\"");
    for c in s.chars() {
        if matches!(c, '"' | '\\' | '$') {
            out.push('\\');
        }
        out.push(c);
    }
    out + "\""
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/answers")
}

/// Asks haproxy35 which expressions it refuses, and why.
fn refused(wanted: &[(usize, &Case)], dir: &Path) -> Vec<(usize, String)> {
    let mut cfg = String::from("frontend f\n mode http\n timeout client 5s\n bind 127.0.0.1:1\n");
    let begin = cfg.lines().count();
    for (_, c) in wanted {
        match condition(&c.expr) {
            Some(text) => writeln!(cfg, " http-request deny if {{ {text} }}").unwrap(),
            None => writeln!(cfg, " http-request set-var(txn.zzz) {}", quote(&c.expr)).unwrap(),
        }
    }
    cfg.push_str("userlist users\n user ann insecure-password secret\n group g users ann\nbackend be\n server s 127.0.0.1:2\n");
    let path = dir.join("check.cfg");
    std::fs::write(&path, cfg).unwrap();
    let out =
        Command::new("haproxy35").arg("-c").arg("-f").arg(&path).current_dir(directory()).output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    let mut all = Vec::new();
    for l in text.lines().filter(|l| l.contains("[ALERT]")) {
        let Some(at) = l.find("check.cfg:") else { continue };
        let Ok(n) =
            l[at + 10..].chars().take_while(char::is_ascii_digit).collect::<String>().parse::<usize>()
        else {
            continue;
        };
        let message = l
            .split_once("' rule : ")
            .or_else(|| l.split_once("' condition : "))
            .map_or_else(|| l.split_once("]: ").map_or(l, |m| m.1), |m| m.1);
        if let Some((number, _)) = n.checked_sub(begin + 1).and_then(|i| wanted.get(i)) {
            all.push((*number, message.strip_suffix('.').unwrap_or(message).to_string()));
        }
    }
    all
}

struct Killed(std::process::Child);
impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks haproxy35 for the missing answers.
fn record(all: &mut [Case]) {
    let dir = std::env::temp_dir().join(format!("sample-{}-{}", std::process::id(), all.len()));
    std::fs::create_dir_all(&dir).unwrap();
    let wanted: Vec<(usize, &Case)> = all.iter().enumerate().filter(|(_, c)| c.answer.is_none()).collect();
    if wanted.is_empty() {
        return;
    }
    // it gives up after some errors
    let mut bad: Vec<(usize, String)> = Vec::new();
    let mut good = wanted.clone();
    loop {
        let more = refused(&good, &dir);
        if more.is_empty() {
            break;
        }
        bad.extend(more);
        good.retain(|(n, _)| bad.iter().all(|(b, _)| b != n));
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut cfg = format!(
        "defaults\n mode http\n timeout client 5s\n timeout http-request 5s\n option http-buffer-request\nfrontend f\n bind 127.0.0.1:{port}\n"
    );
    for (n, c) in &good {
        if let Some(text) = condition(&c.expr) {
            writeln!(
                cfg,
                " http-request return status 200 content-type text/plain string 1 if {{ req.hdr(x-case) {n} }} {{ {text} }}\n http-request return status 404 if {{ req.hdr(x-case) {n} }}"
            )
            .unwrap();
            continue;
        }
        let (e, format) = (quote(&c.expr), quote(&format!("%[{}]", c.expr)));
        writeln!(
            cfg,
            " http-request return status 200 content-type text/plain lf-string {format} if {{ req.hdr(x-case) {n} }} {{ {e} -m found }}\n http-request return status 404 if {{ req.hdr(x-case) {n} }}"
        )
        .unwrap();
    }
    cfg.push_str("userlist users\n user ann insecure-password secret\n group g users ann\nbackend be\n server s 127.0.0.1:2\n");
    let path = dir.join("run.cfg");
    std::fs::write(&path, cfg).unwrap();
    let child = Command::new("haproxy35")
        .args(["-db", "-f"])
        .arg(&path)
        .current_dir(directory())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let mut connect = || loop {
        if let Ok(s) = TcpStream::connect(("127.0.0.1", port)) {
            return s;
        }
        assert!(child.0.try_wait().unwrap().is_none(), "haproxy35 refuses {}", path.display());
        std::thread::yield_now();
    };
    let mut answers: Vec<(usize, String)> = bad.into_iter().map(|(n, m)| (n, format!("!{m}"))).collect();
    for (n, c) in &good {
        let mut s = connect();
        s.write_all(&request(&c.request, *n).2).unwrap();
        answers.push((*n, answer(&mut s)));
    }
    for (n, a) in answers {
        all[n].answer = Some(a);
    }
}

fn answer(s: &mut TcpStream) -> String {
    let mut got = Vec::new();
    let mut buf = [0; 65536];
    loop {
        if let Some(end) = got.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&got[..end]).to_ascii_lowercase();
            if head.starts_with("http/1.1 404") {
                return "-".into();
            }
            assert!(head.starts_with("http/1.1 200"), "{head}");
            let len: usize = head
                .lines()
                .find_map(|l| l.strip_prefix("content-length: "))
                .map_or(0, |n| n.parse().unwrap());
            if got.len() >= end + 4 + len {
                return format!("={}", escape(&got[end + 4..end + 4 + len]));
            }
        }
        let n = s.read(&mut buf).unwrap();
        assert!(n > 0, "closed after {}", String::from_utf8_lossy(&got));
        got.extend_from_slice(&buf[..n]);
    }
}

fn run(name: &str, alone: bool) {
    std::env::set_current_dir(directory()).unwrap();
    let path = directory().join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut all = cases(&text);
    if std::env::var_os("SAMPLE_RECORD").is_some() {
        if alone {
            all.iter_mut().for_each(|c| record(std::slice::from_mut(c)));
        } else {
            record(&mut all);
        }
        let mut lines: Vec<String> = text.lines().map(Into::into).collect();
        for c in &all {
            lines[c.line] = format!("{}\t{}", c.expr, c.answer.as_deref().unwrap_or(""));
        }
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    }
    let mut wrong = String::new();
    for (n, c) in all.iter().enumerate() {
        let (want, got) = (c.answer.as_deref().unwrap_or("(not recorded)"), ours(c, n));
        // an error without words of its own
        if want.ends_with("(null)") && got.starts_with('!') {
            continue;
        }
        // the regex libraries' own words
        let words = |t: &str| t.split_once(" (error=").map_or(t, |w| w.0).trim_end_matches('.').to_string();
        if words(want) != words(&got) {
            writeln!(wrong, "{name}:{} {}\n    haproxy {want}\n    ours    {got}", c.line + 1, c.expr)
                .unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn converters() {
    run("converters.tsv", false);
}
/// 3.5-dev5 leaves arguments that are not there as an earlier expression had them, so each of these has a process of
/// its own.
#[test]
fn without_arguments() {
    run("alone.tsv", true);
}
#[test]
fn http() {
    run("http.tsv", false);
}
#[test]
fn maps() {
    run("maps.tsv", false);
}
#[test]
fn tokens() {
    run("tokens.tsv", false);
}
#[test]
fn errors_and_regexes() {
    run("errors_and_regexes.tsv", false);
}
/// Every converter on ordinary, edge and hostile input. Dates are left out where 3.5 prints what no calendar has.
#[test]
fn matrix() {
    run("matrix.tsv", false);
}
#[test]
fn conditions() {
    run("conditions.tsv", false);
}
