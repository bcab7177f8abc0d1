//! Every sample that a message or its bytes can be asked for, on ordinary, odd and hostile ones (manual sections 7.3.5 to
//! 7.3.7): each request of `fetches/requests.txt` is asked for each expression of a group, and the same of responses. What
//! gives nothing is not in the fixtures.
use portcullis_e2e::{World, scenario};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

const EXPRESSIONS: &str = include_str!("fetches/expressions.txt");
const REQUESTS: &str = include_str!("fetches/requests.txt");
const RESPONSE_EXPRESSIONS: &str = include_str!("fetches/response_expressions.txt");
const RESPONSES: &str = include_str!("fetches/answers.txt");

const PREAMBLE: &str = "\
global
  log 127.0.0.1:${log} len 65535 local0
  nbthread 1
  tune.bufsize 65536
defaults
  mode http
  log global
  timeout connect 10s
  timeout client 30s
  timeout server 30s
userlist ul
  group g users user
  user user insecure-password pw
";

/// A line of the files with its escapes read.
fn unescaped(line: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = line.bytes();
    while let Some(b) = bytes.next() {
        out.push(match b {
            b'\\' => match bytes.next().unwrap() {
                b'r' => b'\r',
                b'n' => b'\n',
                b't' => b'\t',
                b'x' => {
                    let digits: String = bytes.by_ref().take(2).map(char::from).collect();
                    u8::from_str_radix(&digits, 16).unwrap()
                }
                other => other,
            },
            other => other,
        });
    }
    out
}

fn group(name: &str) -> Vec<&'static str> {
    let all = EXPRESSIONS.lines().skip_while(|l| *l != format!("[{name}]"));
    all.skip(1).take_while(|l| !l.starts_with('[')).collect()
}

/// Sends it, and gives everything that comes back.
fn ask(port: u16, request: &[u8], half_close: bool) -> Vec<u8> {
    let mut conn = TcpStream::connect(("127.0.0.1", port)).unwrap();
    conn.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    conn.write_all(request).unwrap();
    if half_close {
        conn.shutdown(Shutdown::Write).unwrap();
    }
    let mut answer = Vec::new();
    let _ = conn.read_to_end(&mut answer);
    answer
}

/// Notes which expressions have which value.
fn note(w: &World, expressions: &[&str], values: &[&[u8]]) {
    let mut by_value: BTreeMap<&[u8], Vec<&str>> = BTreeMap::new();
    for (expression, value) in expressions.iter().zip(values) {
        by_value.entry(value).or_default().push(expression);
    }
    for (value, of) in by_value.iter().filter(|(value, _)| !value.is_empty()) {
        w.note(format!("  <{}>  {}", value.escape_ascii(), of.join("  ")));
    }
}

/// Values between the marks of an answer's body.
fn values(answer: &[u8]) -> Option<Vec<&[u8]>> {
    let at = answer.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    answer.starts_with(b"HTTP/1.1 200 ").then_some(())?;
    let mut rest = answer.get(at..)?;
    let mut all = Vec::new();
    while let Some(end) = rest.windows(2).position(|w| w == b">\n") {
        all.push(rest.get(1..end)?);
        rest = rest.get(end + 2..)?;
    }
    Some(all)
}

fn show(w: &World, name: &str, expressions: &[&str], answer: &[u8]) {
    let name = if name.len() > 300 { format!("{}...", &name[..300]) } else { name.to_owned() };
    w.note(name);
    match values(answer) {
        Some(values) if !values.is_empty() => {
            assert_eq!(values.len(), expressions.len());
            note(w, expressions, &values);
        }
        _ => {
            let line = answer.split(|b| *b == b'\r').next().unwrap_or_default();
            w.note(format!("  {}", line.escape_ascii()));
        }
    }
}

fn lines(expressions: impl Iterator<Item = String>) -> String {
    expressions.map(|e| format!("<%[{e}]>\n")).collect()
}

fn requests(name: &str, of: &str, before: &str) {
    scenario(&format!("fetches/{name}"), |w| {
        let expressions = group(of);
        w.file("lf", &lines(expressions.iter().map(|e| (*e).to_string())));
        w.proxy(&format!(
            "{PREAMBLE}frontend fe\n  bind 127.0.0.1:${{fe}}\n  {before}\n  http-request return status 200 content-type text/plain lf-file ${{dir}}/lf\n"
        ));
        let port = w.port("fe");
        for line in REQUESTS.lines() {
            show(w, line, &expressions, &ask(port, &unescaped(line), true));
        }
        w.forget_logs();
    });
}

#[test]
fn targets() {
    requests("targets", "target", "");
}

#[test]
fn parameters() {
    requests("parameters", "parameters", "");
}

#[test]
fn fields() {
    requests("fields", "fields", "");
}

#[test]
fn counts() {
    requests("counts", "counts", "");
}

#[test]
fn conversions_of_fields() {
    requests("conversions_of_fields", "field conversions", "");
}

#[test]
fn cookies() {
    requests("cookies", "cookies", "");
}

#[test]
fn authorizations() {
    requests("authorizations", "authorization", "");
}

#[test]
fn bodies() {
    requests("bodies", "bodies", "http-request wait-for-body time 10s");
}

#[test]
fn blocks() {
    requests("blocks", "blocks", "http-request wait-for-body time 10s");
}

fn responses(name: &str, before: &str) {
    scenario(&format!("fetches/{name}"), |w| {
        let expressions: Vec<&str> = RESPONSE_EXPRESSIONS.lines().collect();
        let answers: Vec<&str> = RESPONSES.lines().collect();
        w.origin("o1", move |mut c| {
            let head = c.head().unwrap_or_default();
            let number = String::from_utf8_lossy(&head).split(['/', '?']).nth(1).and_then(|n| n.parse().ok());
            if let Some(answer) = number.and_then(|n: usize| RESPONSES.lines().nth(n)) {
                c.send_quietly(&unescaped(answer));
            }
        });
        w.file("lf", &lines((0..expressions.len()).map(|i| format!("var(txn.v{i})"))));
        let set = |(i, e): (usize, &&str)| format!("  http-response set-var(txn.v{i}) {e}\n");
        let set: String = expressions.iter().enumerate().map(set).collect();
        w.proxy(&format!(
            "{PREAMBLE}frontend fe\n  bind 127.0.0.1:${{fe}}\n  {before}\n{set}  http-response return status 200 content-type text/plain lf-file ${{dir}}/lf\n  default_backend be\nbackend be\n  server s1 127.0.0.1:${{o1}}\n"
        ));
        let port = w.port("fe");
        for (i, line) in answers.iter().enumerate() {
            let request = format!("GET /{i}?q=1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
            show(w, line, &expressions, &ask(port, request.as_bytes(), false));
        }
        w.forget_logs();
        w.forget_origins();
    });
}

#[test]
fn answers() {
    responses("answers", "http-response wait-for-body time 10s");
}
