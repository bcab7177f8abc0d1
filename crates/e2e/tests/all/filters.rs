//! Filters (manual section 9): bandwidth limits and traces.
use crate::indent;
use portcullis_e2e::{World, scenario};
use std::time::Instant;

fn http(frontend: &str, backend: &str) -> String {
    format!(
        "frontend fe\n  mode http\n  bind 127.0.0.1:${{fe}}\n{}  default_backend be\nbackend be\n  mode http\n{}  server s1 127.0.0.1:${{o1}}\n",
        indent(frontend),
        indent(backend)
    )
}

/// Notes how long something took, in a window that is wide enough for a busy machine.
fn timed<T>(w: &World, what: &str, at_least: u128, at_most: u128, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = run();
    let took = start.elapsed().as_millis();
    w.note(format!(
        "{what}: at least {at_least} ms {}, at most {at_most} ms {}",
        took >= at_least,
        took <= at_most
    ));
    done
}

fn ok_of(n: usize) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {n}\r\n\r\n{}", "x".repeat(n))
}

fn download(name: &str, rules: &str, n: usize, at_least: u128, at_most: u128) {
    scenario(name, |w| {
        w.origin("o1", move |c| c.answer_all(ok_of(n).as_bytes()));
        w.proxy(&http(rules, ""));
        let mut c = w.client("fe");
        timed(w, "download", at_least, at_most, || c.get("/", "").response());
    });
}

const OUT: &str = "filter bwlim-out lim default-limit 20k default-period 500ms\n";

#[test]
fn download_is_limited() {
    let rules = format!("{OUT}http-request set-bandwidth-limit lim\n");
    download("filters/download_is_limited", &rules, 40_000, 700, 1500);
}

#[test]
fn limit_without_rule_is_off() {
    download("filters/limit_without_rule_is_off", OUT, 40_000, 0, 400);
}

#[test]
fn rule_may_change_the_limit() {
    let rules = format!("{OUT}http-response set-bandwidth-limit lim limit 400k period int(400)\n");
    download("filters/rule_may_change_the_limit", &rules, 40_000, 0, 400);
}

#[test]
fn chunks_are_limited_and_stay_whole() {
    scenario("filters/chunks_are_limited_and_stay_whole", |w| {
        w.origin("o1", |c| {
            let body = format!("4e20\r\n{0}\r\n4e20\r\n{0}\r\n0\r\n\r\n", "y".repeat(20_000));
            c.answer_all(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}").as_bytes());
        });
        w.proxy(&http(&format!("{OUT}http-request set-bandwidth-limit lim\n"), ""));
        let mut c = w.client("fe");
        let m = timed(w, "download", 700, 1500, || {
            c.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
            portcullis_e2e::message::read_response(&mut c, "GET")
        });
        w.note(format!("{} bytes of body", m.body.len()));
    });
}

#[test]
fn upload_is_limited() {
    scenario("filters/upload_is_limited", |w| {
        w.ok("o1");
        let rules = "filter bwlim-in up default-limit 20k default-period 500ms\n\
                     tcp-request content set-bandwidth-limit up\n";
        w.proxy(&http("", rules));
        let mut c = w.client("fe");
        timed(w, "upload", 700, 1500, || {
            c.send(format!(
                "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 40000\r\n\r\n{}",
                "z".repeat(40_000)
            ));
            c.response()
        });
    });
}

#[test]
fn tcp_is_limited() {
    scenario("filters/tcp_is_limited", |w| {
        w.origin("o1", |mut c| {
            c.send("t".repeat(40_000));
            c.half_close();
            c.read_to_end();
        });
        w.proxy(
            "listen fe\n  mode tcp\n  bind 127.0.0.1:${fe}\n  filter bwlim-out lim default-limit 20k default-period 500ms\n  \
             tcp-request content set-bandwidth-limit lim\n  server s1 127.0.0.1:${o1}\n",
        );
        let mut c = w.client("fe");
        timed(w, "download", 700, 1500, || c.read_exactly(40_000));
        c.half_close().wait_end();
    });
}

#[test]
fn slow_limit_outlasts_timeouts() {
    scenario("filters/slow_limit_outlasts_timeouts", |w| {
        w.origin("o1", move |c| c.answer_all(ok_of(3000).as_bytes()));
        let rules = "timeout client 400ms\nfilter bwlim-out lim default-limit 1k default-period 600ms\n\
                     http-request set-bandwidth-limit lim\n";
        w.proxy(&http(rules, ""));
        let mut c = w.client("fe");
        timed(w, "download", 1000, 2500, || c.get("/", "").response());
    });
}

/// What the traces say, but who says when, and what only HAProxy's inside knows.
fn told(w: &mut World, process: usize, last: &str) {
    let lines = |w: &mut World| {
        let text = w.process(process).stderr();
        text.lines()
            .filter_map(|l| {
                let (_, rest) = l.split_once(" [")?;
                let (name, rest) = rest.split_once(']')?;
                let (_, what) = rest.split_once("[strm ")?.1.split_once("] ")?;
                Some(format!("{}: {}", name.trim_end(), what.trim_end()))
            })
            .collect::<Vec<_>>()
    };
    portcullis_e2e::process::wait_for(std::time::Duration::from_secs(5), || {
        lines(w).iter().any(|l| l.contains(last)).then_some(())
    });
    for line in lines(w) {
        let inside = ["trace_chn_", "payload", "trace_http_end"].iter().any(|f| line.contains(f));
        if !inside {
            w.note(line);
        }
    }
}

#[test]
fn trace_tells_the_story() {
    scenario("filters/trace_tells_the_story", |w| {
        w.ok("o1");
        let p = w.proxy(&http(
            "filter trace name A\nfilter trace\nfilter trace name Q quiet\n",
            "filter trace name B\nhttp-response set-header a b\n",
        ));
        w.client("fe").get("/x", "").response();
        told(w, p, "trace_detach             : filter-type=frontend");
    });
}

#[test]
fn random_forwarding_and_max_fwd_lose_nothing() {
    scenario("filters/random_forwarding_and_max_fwd_lose_nothing", |w| {
        w.origin("o1", move |c| c.answer_all(ok_of(30_000).as_bytes()));
        w.proxy(&http("filter trace quiet random-forwarding\nfilter trace quiet max-fwd 1000\n", ""));
        w.client("fe").get("/", "").response();
    });
}

#[test]
fn mistakes() {
    scenario("filters/mistakes", |w| {
        for lines in [
            "filter trace bogus",
            "filter trace name",
            "filter trace max-fwd -1",
            "filter bwlim-in",
            "filter bwlim-in x",
            "filter bwlim-in x default-limit 10",
            "filter bwlim-in x default-limit z default-period 1s",
            "filter bwlim-in x default-limit 10 default-period 1q",
            "filter bwlim-in x default-limit 10 default-period 1s bogus",
            "filter bwlim-in x limit 10 default-period 1s",
            "http-request set-bandwidth-limit",
            "http-request set-bandwidth-limit nope",
            "filter bwlim-in x default-limit 1k default-period 1s\nhttp-request set-bandwidth-limit x limit zork",
            "filter trace\nfilter-sequence request foo",
        ] {
            w.note(format!("## {lines}"));
            let output = w.check(&http(&format!("{lines}\n"), ""), &[]);
            w.note(format!("code {}", output.code));
            for line in output.stderr.lines().filter(|l| l.starts_with("[ALERT]")) {
                let (_, what) = line.split_once(" : ").unwrap_or(("", line));
                if !what.contains("found in configuration") {
                    w.note(what.trim_start_matches("config : ").split_once("cfg:").map_or(what, |x| x.1));
                }
            }
        }
    });
}
