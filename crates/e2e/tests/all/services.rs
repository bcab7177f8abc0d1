//! Services in a server's place: `use-service` and the Prometheus exporter.
use crate::indent;
use portcullis_e2e::{Conn, World, message, scenario};
use std::collections::BTreeSet;

fn exporter(lines: &str) -> String {
    format!(
        "frontend fe\n  bind 127.0.0.1:${{fe}}\n  http-request use-service prometheus-exporter if {{ path_beg /metrics }}\n{}  default_backend be\nbackend be\n  server s1 127.0.0.1:${{o1}}\n",
        indent(lines)
    )
}

const ONE: &str = "/metrics?scope=global&metrics=haproxy_process_nbthread";

#[test]
fn a_stream_cannot_tell_it_from_a_server() {
    scenario("services/a_stream_cannot_tell_it_from_a_server", |w| {
        w.ok("o1");
        w.proxy(&exporter(
            "capture response header content-type len 10\nhttp-response set-header x-resp %[status]\nhttp-after-response set-header x-after %[res.hdr(x-resp)]",
        ));
        let mut c = w.client("fe");
        c.get(ONE, "").response();
        c.get("/metrics?scope=", "").response();
        c.get("/other", "").response();
        c.send(format!("POST {ONE} HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")).response();
        let chunks = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        c.send(format!("PUT {ONE} HTTP/1.1\r\nHost: h\r\n{chunks}")).response();
        w.logs(5);
    });
}

#[test]
fn head_has_no_body() {
    scenario("services/head_has_no_body", |w| {
        w.ok("o1");
        w.proxy(&exporter(""));
        let mut c = w.client("fe");
        c.send(format!("HEAD {ONE} HTTP/1.1\r\nHost: h\r\n\r\n")).response_to("HEAD");
        c.get("/", "Connection: close\r\n").read_to_end();
    });
}

#[test]
fn pipelined_requests() {
    scenario("services/pipelined_requests", |w| {
        w.ok("o1");
        w.proxy(&exporter(""));
        let mut c = w.client("fe");
        let one = format!("GET {ONE} HTTP/1.1\r\nHost: h\r\n\r\n");
        c.send(format!("{one}{one}GET / HTTP/1.1\r\nHost: h\r\n\r\n{one}"));
        (0..4).for_each(|_| drop(c.response()));
        w.logs(4);
    });
}

#[test]
fn body_is_asked_for_and_waited_for() {
    scenario("services/body_is_asked_for_and_waited_for", |w| {
        w.ok("o1");
        w.proxy(&exporter(""));
        let mut c = w.client("fe");
        c.send(format!(
            "POST {ONE} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        ));
        c.response();
        c.response();
        c.send("abc");
        c.get("/metrics?scope=", "").response();
        w.logs(2);
    });
}

#[test]
fn body_that_does_not_come() {
    scenario("services/body_that_does_not_come", |w| {
        w.ok("o1");
        w.proxy(&exporter("timeout client 300ms"));
        let mut c = w.client("fe");
        c.send(format!("POST {ONE} HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na"));
        c.response();
        c.wait_end();
        w.logs(1);
    });
}

#[test]
fn bad_scopes_are_refused() {
    scenario("services/bad_scopes_are_refused", |w| {
        w.ok("o1");
        w.proxy(&exporter("http-response set-header x-resp 1"));
        for query in
            ["?scope=bad", "?scope=server&scope=bad", "?scope", "?scope=GLOBAL", "?scope=global,server"]
        {
            w.client("fe").get(&format!("/metrics{query}"), "").read_to_end();
        }
        w.logs(5);
    });
}

fn on_response(name: &str, rule: &str) {
    scenario(name, |w| {
        w.ok("o1");
        w.proxy(&exporter(rule));
        let mut c = w.client("fe");
        c.get("/metrics?scope=", "").response();
        c.get("/metrics?scope=", "Connection: close\r\n").read_to_end();
        w.logs(2);
    });
}

#[test]
fn response_denied() {
    on_response("services/response_denied", "http-response deny");
}

#[test]
fn response_replaced() {
    on_response(
        "services/response_replaced",
        "http-response return status 203 content-type text/plain string abc",
    );
}

#[test]
fn response_status_changed() {
    on_response("services/response_status_changed", "http-response set-status 299");
}

#[test]
fn in_a_backend() {
    scenario("services/in_a_backend", |w| {
        w.proxy(
            "frontend fe\n  bind 127.0.0.1:${fe}\n  http-response set-header x-fe 1\n  default_backend be\nbackend be\n  http-request use-service prometheus-exporter\n  http-response set-header x-be 1\n",
        );
        let mut c = w.client("fe");
        c.get(ONE, "").response();
        c.get("/anything?scope=", "Connection: close\r\n").read_to_end();
        w.logs(2);
    });
}

#[test]
fn seen_by_filters() {
    scenario("services/seen_by_filters", |w| {
        w.ok("o1");
        w.proxy(&exporter(
            "filter bwlim-out lim default-limit 1m default-period 1s\nhttp-response set-bandwidth-limit lim",
        ));
        let mut c = w.client("fe");
        c.get(ONE, "").response();
        c.get("/", "Connection: close\r\n").read_to_end();
        w.logs(2);
    });
}

/// A long answer comes whole to a client that reads slowly, on a connection that is used again.
#[test]
fn slow_reader() {
    scenario("services/slow_reader", |w| {
        w.ok("o1");
        let many: String = (0..300)
            .map(|i| format!("backend b{i}\n  server s1 127.0.0.1:1\n  server s2 127.0.0.1:2\n"))
            .collect();
        w.proxy(&(exporter("") + &many));
        let mut c = w.client("fe");
        let target = "/metrics?scope=backend&scope=server&metrics=-haproxy_backend_agg_check_status";
        c.send_quietly(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        // nothing is read before the proxy can write no more
        std::thread::yield_now();
        let whole = message::read_response(&mut c, "GET");
        let text = String::from_utf8_lossy(&whole.body);
        let lines: BTreeSet<_> = text.lines().filter(|l| l.contains("_server_weight{")).collect();
        w.note(format!(
            "complete {}, {} weights, last {:?}",
            whole.complete,
            lines.len(),
            text.ends_with('\n')
        ));
        c.get("/metrics?scope=", "").response();
    });
}

/// Every metric with its labels; values differ from run to run.
fn names(c: &mut Conn, w: &World, target: &str) {
    c.send_quietly(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
    let body = message::read_response(c, "GET").body;
    w.note(format!("{target}:"));
    for line in String::from_utf8_lossy(&body).lines() {
        let shown = match line.strip_prefix('#') {
            Some(_) => line,
            None => line.rsplit_once(' ').map_or(line, |(name, _)| name),
        };
        // those of the system are others on another machine
        let system = shown.contains("haproxy_resolver_") && target != RESOLVERS;
        if !system && !shown.contains("version=") {
            w.note(shown);
        }
    }
}

const RESOLVERS: &str = "/metrics?scope=resolver&extra-counters&desc-labels";

/// Counters of name servers.
#[test]
fn exposition_of_resolvers() {
    scenario("services/exposition_of_resolvers", |w| {
        let text = EVERYTHING.replacen(
            "defaults\n",
            "resolvers r\n  nameserver first 127.0.0.1:1\n  nameserver second 127.0.0.1:1\nresolvers default\n  nameserver own 127.0.0.1:1\n\
             defaults\n",
            1,
        );
        w.proxy(&text);
        let mut c = w.client("fe");
        names(&mut c, w, RESOLVERS);
    });
}

const EVERYTHING: &str = "global
  nbthread 1
  node n1
  description \"a global description\"
defaults
  mode http
  timeout connect 1s
  timeout client 5s
  timeout server 5s
frontend fe
  description first
  bind 127.0.0.1:${fe}
  bind 127.0.0.1:${fe2} name second
  option socket-stats
  http-request use-service prometheus-exporter
  default_backend be
backend be
  server s1 127.0.0.1:1 maxconn 10 maxqueue 3
  server s2 127.0.0.1:1 backup
  server s3 127.0.0.1:1 disabled
listen li
  mode tcp
  bind 127.0.0.1:${fe3}
  server s1 127.0.0.1:1
backend empty
frontend off
  disabled
  bind 127.0.0.1:1
";

#[test]
fn exposition() {
    scenario("services/exposition", |w| {
        w.proxy(EVERYTHING);
        let mut c = w.client("fe");
        names(&mut c, w, "/metrics?extra-counters");
    });
}

#[test]
fn exposition_by_scope_and_name() {
    scenario("services/exposition_by_scope_and_name", |w| {
        w.proxy(EVERYTHING);
        let mut c = w.client("fe");
        let status = "metrics=haproxy_server_status,haproxy_frontend_status,haproxy_listener_status,haproxy_backend_status";
        for query in [
            format!("{status}&desc-labels"),
            format!("{status}&scope=server&no-maint"),
            format!("{status}&scope=server&scope=frontend"),
            "scope=global&desc-labels&metrics=-haproxy_process_nbproc".into(),
            "sc%6fpe=listener&metrics=-haproxy_listener_status".into(),
            "scope=resolver&scope=sticktable".into(),
            "scope=*&scope=listener&metrics=haproxy_process_node&metrics=haproxy_listener_status".into(),
        ] {
            names(&mut c, w, &format!("/metrics?{query}"));
        }
    });
}

/// States and counters of what is known.
#[test]
fn values() {
    scenario("services/values", |w| {
        w.proxy(EVERYTHING);
        let mut c = w.client("fe");
        for _ in 0..2 {
            let wanted = "haproxy_server_status,haproxy_backend_agg_server_status,haproxy_server_limit_sessions,haproxy_server_weight,haproxy_frontend_http_requests_total,haproxy_frontend_intercepted_requests_total,haproxy_frontend_http_responses_total,haproxy_server_queue_limit,haproxy_backend_last_session_seconds,haproxy_server_queue_time_average_seconds,haproxy_process_description";
            c.send_quietly(format!("GET /metrics?metrics={wanted} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
            let body = message::read_response(&mut c, "GET").body;
            String::from_utf8_lossy(&body).lines().filter(|l| !l.starts_with('#')).for_each(|l| w.note(l));
        }
    });
}

/// How times are spread, in buckets: ours alone. What has seen nothing has none.
#[test]
fn times_in_buckets() {
    if std::env::var_os("PORTCULLIS_BIN").is_some() || std::env::var_os("E2E_RECORD").is_some() {
        return;
    }
    let mut w = World::new(portcullis_e2e::binary::Binary::under_test());
    w.ok("o1");
    w.proxy(&(exporter("") + "backend idle\n  server s1 127.0.0.1:1\n"));
    let mut c = w.client("fe");
    (0..3).for_each(|_| drop(c.get("/", "").response()));
    let text =
        String::from_utf8_lossy(&c.get("/metrics", "Connection: close\r\n").read_to_end().0).into_owned();
    for expected in [
        "# TYPE haproxy_backend_response_duration_seconds histogram\n",
        "haproxy_backend_response_duration_seconds_bucket{proxy=\"be\",le=\"+Inf\"} 3\n",
        "haproxy_backend_response_duration_seconds_count{proxy=\"be\"} 3\n",
        "haproxy_backend_total_duration_seconds_bucket{proxy=\"be\",le=\"10\"} 3\n",
        "haproxy_server_response_duration_seconds_count{proxy=\"be\",server=\"s1\"} 3\n",
        "haproxy_server_total_duration_seconds_bucket{proxy=\"be\",server=\"s1\",le=\"+Inf\"} 3\n",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    assert!(text.contains("haproxy_backend_total_duration_seconds_sum{proxy=\"be\"} 0."), "{text}");
    assert!(!text.contains("duration_seconds_count{proxy=\"idle\""), "{text}");
}
