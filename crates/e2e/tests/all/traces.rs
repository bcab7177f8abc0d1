//! Traces (management.txt section 9.3 `trace`, `show trace`; configuration.txt 12.1; `-dt`).
use crate::certificates::answer;
use crate::tls::own;
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{World, scenario};

fn ours() -> bool {
    std::env::var_os("PORTCULLIS_BIN").is_none() && std::env::var_os("E2E_RECORD").is_none()
}

const SECTIONS: &str = "defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
ring r1
  format raw
  maxlen 2000
  size 262144
frontend fe
  bind 127.0.0.1:${fe}
  default_backend be
backend be
  server s1 127.0.0.1:${o1}
";

fn start(w: &mut World, more: &str) {
    w.ok("o1");
    w.proxy(&format!("global\n  nbthread 1\n  stats socket ${{dir}}/cli level admin\n{SECTIONS}{more}"));
    let cli = w.dir().join("cli");
    assert!(wait_for(PATIENCE, || cli.exists().then_some(())).is_some(), "no stats socket");
}

/// Answers, without the sources, events and sinks of one version.
fn ask(w: &World, command: &str) {
    let answer = answer(w, command);
    w.note(format!("$ {command}"));
    let lines = answer.lines().filter(|l| !l.is_empty() && !l.contains("dpapi"));
    lines.for_each(|l| w.note(format!("| {}", w.mask(l.trim_end()))));
}

#[test]
fn language() {
    scenario("traces/language", |w| {
        start(w, "");
        for command in [
            "trace foo",
            "trace h1",
            "trace h1 foo",
            "trace h1 level",
            "trace h1 level foo",
            "trace all level",
            "trace h1 verbosity",
            "trace session verbosity clean",
            "trace h1 lock",
            "trace h2 lock",
            "trace check lock",
            "trace applet lock",
            "trace stream lock",
            "trace session lock foo",
            "trace session event",
            "trace session event foo",
            "trace session start",
            "trace all event any",
            "trace all verbosity quiet",
            "trace h1 sink",
            "trace h1 sink foo",
            "trace h1 follow foo",
            "trace h1 start now h1c_new",
            "trace h1 event none event +rx_headers level proto sink r1 verbosity quiet lock session",
            "trace session event -sess_new pause sess_end stop sess_err follow h1",
            "show trace session",
            "show trace foo",
            "trace 0",
            "user; trace",
        ] {
            ask(w, command);
        }
    });
}

/// The texts of a ring's events: source and what happened, in their order.
fn events(w: &World, ring: &str) -> Vec<String> {
    let text = answer(w, &format!("show events {ring}"));
    let said = |l: &str| {
        let (head, rest) = l.get(l.find('[')?..)?.split_once("] ")?;
        let source = head.split('|').nth(1)?;
        Some(format!("{source}: {}", rest.split(" : ").next()?.trim_end()))
    };
    text.lines().filter_map(said).collect()
}

fn wait_events(w: &World, ring: &str, last: &str) -> Vec<String> {
    let done = wait_for(PATIENCE, || events(w, ring).iter().any(|e| e == last).then_some(()));
    assert!(done.is_some(), "{last}: {:?}", answer(w, &format!("show events {ring}")));
    events(w, ring)
}

/// A request's way as users see it.
#[test]
fn a_request() {
    scenario("traces/a_request", |w| {
        start(w, "");
        ask(w, "trace h1 sink r1 level user start now");
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        let heads = |e: &String| e.contains("headers");
        let all = wait_events(w, "r1", "h1: H1 response fully xferred");
        all.iter().filter(|e| heads(e)).for_each(|e| w.note(e.clone()));
        ask(w, "trace 0");
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        w.note(format!("{}", events(w, "r1").len() == all.len()));
    });
}

/// One that is none.
#[test]
fn an_error() {
    scenario("traces/an_error", |w| {
        start(w, "traces\n  trace h1 sink r1 level error start now\n");
        w.client("fe").send("GET x y\r\n\r\n").read_to_end();
        w.note(wait_events(w, "r1", "h1: parsing error, reject H1 message").remove(0));
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        let good = events(w, "r1").iter().any(|e| e.contains("rcvd"));
        w.note(format!("others are told, too: {good}"));
    });
}

/// All sources at once, with what there is to tell.
/// What passes is told of at level data.
#[test]
fn bytes_that_pass() {
    if !ours() {
        return;
    }
    let mut w = World::new(Binary::under_test());
    start(
        &mut w,
        "backend checked
  option tcp-check
  tcp-check send GET\\ /\\ HTTP/1.0\\r\\n\\r\\n
  tcp-check set-var(check.x) int(1)
  tcp-check expect string nothing
  server s1 127.0.0.1:${o1} check inter 1s
traces
  trace all sink r1 level data
  trace h1 start now
  trace check start now
",
    );
    w.client("fe").get("/there", "Connection: close\r\n").read_to_end();
    for what in [
        "h1: sending response body",
        "check: sending data",
        "check: eval action rule",
        "check: receiving data",
        "check: rule failed",
    ] {
        wait_events(&w, "r1", what);
    }
}

#[test]
fn every_source() {
    if !ours() {
        return;
    }
    let mut w = World::new(Binary::under_test());
    own(&w, "a", false, "DNS:a.test");
    start(
        &mut w,
        "listen tls
  bind 127.0.0.1:${tls} ssl crt ${dir}/a.pem alpn h2
  server s1 127.0.0.1:${two} proto h2 check inter 2s
frontend two
  bind 127.0.0.1:${two} proto h2
  stats enable
  stats uri /stats
  http-request return status 200 if { path / }
  default_backend be
frontend tcp
  mode tcp
  bind 127.0.0.1:${tcp}
  use_backend btcp
backend btcp
  mode tcp
  server s1 127.0.0.1:${o1}
traces
  trace all sink r1 level state
  trace h1 start now verbosity advanced
  trace h2 start now
  trace ssl start now verbosity simple
  trace stream start now verbosity simple
  trace check start now
  trace applet start now
  trace session start now
",
    );
    let tls = w.port("tls");
    let curl = |path: &str| {
        let url = format!("https://127.0.0.1:{tls}{path}");
        let done = std::process::Command::new("curl").args(["-sk", "--http2", &url]).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    curl("/");
    curl("/stats");
    w.client("fe").get("/there", "Connection: close\r\n").read_to_end();
    let mut tcp = w.client("tcp");
    tcp.get("/", "").response();
    tcp.close();
    let all = wait_events(&w, "r1", "check: health-check succeeded");
    for expected in [
        "session: new session",
        "session: releasing session",
        "ssl: handshake with the client",
        "ssl: handshake done with the client",
        "h2: new H2 connection",
        "h2: received preface",
        "h2: receiving H2 SETTINGS frame",
        "h2: receiving H2 HEADERS frame",
        "h2: rcvd H2 request",
        "h2: sent H2 request",
        "h2: rcvd H2 response",
        "h2: sent H2 response",
        "stream: new stream",
        "stream: request routed to its backend",
        "stream: connected to the server",
        "stream: connection routed to its backend",
        "stream: releasing stream",
        "h1: new H1 connection",
        "h1: sending request headers",
        "h1: rcvd H1 response headers",
        "check: starting health check",
        "check: eval connect rule",
        "applet: new applet",
        "applet: releasing applet",
    ] {
        assert!(all.iter().any(|e| e == expected), "{expected}: {all:#?}");
    }
    let text = answer(&w, "show events r1");
    for expected in [
        "rcvd H2 request : [1] H2 REQ: GET https://127.0.0.1:",
        "handshake done with the client : TLSv1.3 TLS_",
        "sending request headers : [B] H1 REQ: GET /there HTTP/1.1 | ",
        "connected to the server : fe=fe be=be srv=s1 state=",
        "health-check succeeded : [H] BE=tls SRV=s1 status=L4OK",
        "new session : frontend=fe client=127.0.0.1:",
    ] {
        assert!(text.contains(expected), "{expected}:\n{text}");
    }
    let (state, one) = (answer(&w, "show trace"), " [R] h2         -> r1 [drp 0]  [HTTP/2 multiplexer]");
    assert!(state.contains(one), "{state}");
    assert!(answer(&w, "trace 0").contains("All traces now stopped"));
}

/// One session, and what others tell of it.
#[test]
fn one_session() {
    if !ours() {
        return;
    }
    let mut w = World::new(Binary::under_test());
    start(&mut w, "");
    for command in [
        "trace session sink r1 level state lock session start sess_new stop sess_end",
        "trace h1 sink r1 level user follow session",
    ] {
        assert_eq!(answer(&w, command).trim(), "", "{command}");
    }
    let mut first = w.client("fe");
    first.get("/first", "").response();
    let mut second = w.client("fe");
    second.get("/second", "Connection: close\r\n").read_to_end();
    first.get("/third", "Connection: close\r\n").read_to_end();
    wait_events(&w, "r1", "session: releasing session");
    let text = answer(&w, "show events r1");
    assert!(text.contains("GET /first ") && text.contains("GET /third "), "{text}");
    assert!(!text.contains("GET /second "), "{text}");
    assert!(answer(&w, "show trace").contains(" [.] session "));
}

#[test]
fn sections_and_the_command_line() {
    scenario("traces/sections_and_the_command_line", |w| {
        let check = |w: &mut World, line: &str| {
            let global = "global\n  stats socket ${dir}/cli\n";
            let out = w.check(&format!("{global}{SECTIONS}traces\n  {line}\n"), &[]);
            // notices, and the line with what is marked in it
            let said = out.stderr.lines().filter(|l| match l.starts_with("[NOTICE]   ") {
                true => l.contains("trace"),
                false => !l.starts_with("    ") || l.contains(" : "),
            });
            let said: Vec<String> = said.map(|l| w.mask(l)).collect();
            w.note(format!("$ {line}: {:?}", out.code));
            said.iter().for_each(|l| w.note(format!("| {}", l.split(" : ").last().unwrap_or(l).trim_end())));
        };
        for line in [
            "trace h1 sink r1 level user start now",
            "trace foo",
            "trace h1 foo",
            "trace h1 level",
            "trace 0",
            "trace h1 sink nobody",
        ] {
            check(w, line);
        }
        for arg in ["h1:foo", "foo", "h1::foo", "h1:a:b:c", "all:user:clean", "h1:user:quiet,h2"] {
            let out = w.check(&format!("global\n{SECTIONS}"), &["-dt", arg]);
            let said = out.stderr.lines().find(|l| l.starts_with("[ALERT]")).unwrap_or_default().to_owned();
            let said = said.split("config : ").nth(1).unwrap_or_default().to_owned();
            w.note(format!("-dt {arg}: {:?} {}", out.code, said.trim_end()));
        }
        w.ok("o1");
        let config = format!("global\n  nbthread 1\n{SECTIONS}");
        let at = w.proxy_with(&config, &["-db", "-dt", "h1:user:quiet"]);
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        let told = wait_for(PATIENCE, || {
            w.process(at).stderr().contains("] rcvd H1 request headers\n").then_some(())
        });
        w.note(format!("told on standard error: {}", told.is_some()));
    });
}

/// A sink that is not there keeps the process from starting.
#[test]
fn a_sink_that_is_not_there() {
    scenario("traces/a_sink_that_is_not_there", |w| {
        w.ok("o1");
        let config = format!("global\n  nbthread 1\n{SECTIONS}traces\n  trace h1 sink nobody\n");
        let file = w.file("a.cfg", &config).display().to_string();
        let out = w.run(&["-db", "-f", &file]);
        let said = out.stderr.lines().find(|l| l.contains("nobody")).unwrap_or_default();
        w.note(format!("{:?} {}", out.code, said.split("traces: ").last().unwrap_or_default()));
    });
}
