//! Connection modes towards both sides and reuse of server connections (manual: option http-*, http-reuse, pool-*).
use crate::sections;
use portcullis_e2e::{Gate, World, scenario};

/// Two requests on one client connection, then one on another.
fn three_requests(w: &mut World) {
    let mut a = w.client("fe");
    a.get("/1", "").response();
    a.get("/2", "").response();
    let mut b = w.client("fe");
    b.get("/3", "").response();
    a.close();
    b.close();
    w.logs(3);
}

fn mode(name: &str, frontend: &'static str, backend: &'static str) {
    scenario(&format!("connections/{name}"), |w| {
        w.ok("o1");
        w.proxy(&sections(frontend, backend));
        three_requests(w);
    });
}

#[test]
fn keep_alive_is_the_default() {
    mode("keep_alive_is_the_default", "", "");
}

#[test]
fn http_reuse_never() {
    mode("http_reuse_never", "", "http-reuse never");
}

#[test]
fn http_reuse_always() {
    mode("http_reuse_always", "", "http-reuse always");
}

#[test]
fn http_reuse_aggressive() {
    mode("http_reuse_aggressive", "", "http-reuse aggressive");
}

#[test]
fn http_reuse_safe() {
    mode("http_reuse_safe", "", "http-reuse safe");
}

#[test]
fn http_server_close() {
    mode("http_server_close", "", "option http-server-close");
}

#[test]
fn http_keep_alive_overrides_server_close_of_defaults() {
    mode("http_keep_alive_overrides_server_close", "option http-keep-alive", "option http-keep-alive");
}

/// The next request of a client whose connection is to be closed comes on a new one.
#[test]
fn httpclose_in_the_frontend() {
    scenario("connections/httpclose_in_the_frontend", |w| {
        w.ok("o1");
        w.proxy(&sections("option httpclose", ""));
        w.client("fe").get("/1", "").read_to_end();
        w.client("fe").get("/2", "").read_to_end();
        w.logs(2);
    });
}

#[test]
fn httpclose_in_the_backend() {
    scenario("connections/httpclose_in_the_backend", |w| {
        w.ok("o1");
        w.proxy(&sections("timeout client 1s", "option httpclose"));
        w.client("fe").get("/1", "").read_to_end();
        w.client("fe").get("/2", "").read_to_end();
        w.logs(2);
    });
}

#[test]
fn http_pretend_keepalive() {
    scenario("connections/http_pretend_keepalive", |w| {
        w.ok("o1");
        w.proxy(&sections("", "option http-server-close\noption http-pretend-keepalive"));
        let mut c = w.client("fe");
        c.get("/1", "").response();
        c.get("/2", "").response();
        c.close();
        w.logs(2);
    });
}

/// An idle connection that waits for reuse by another client.
#[test]
fn idle_connection_of_a_gone_client_is_used_again() {
    for mode in ["never", "safe", "aggressive", "always"] {
        scenario(&format!("connections/idle_connection_of_a_gone_client_{mode}"), |w| {
            w.ok("o1");
            w.proxy(&sections("", &format!("http-reuse {mode}")));
            for path in ["/1", "/2", "/3"] {
                let mut c = w.client("fe");
                c.get(path, "").response();
                c.get(path, "Connection: close\r\n").read_to_end();
            }
            w.logs(6);
        });
    }
}

#[test]
fn pool_max_conn_zero_keeps_nothing() {
    scenario("connections/pool_max_conn_zero_keeps_nothing", |w| {
        w.ok("o1");
        w.proxy(&sections("", "http-reuse always\ndefault-server pool-max-conn 0"));
        for path in ["/1", "/2"] {
            w.client("fe").get(path, "Connection: close\r\n").read_to_end();
        }
        w.logs(2);
    });
}

#[test]
fn max_reuse_bounds_a_connection() {
    scenario("connections/max_reuse_bounds_a_connection", |w| {
        w.ok("o1");
        w.proxy(&sections("", "http-reuse always\ndefault-server max-reuse 1"));
        let mut c = w.client("fe");
        for path in ["/1", "/2", "/3", "/4"] {
            c.get(path, "").response();
        }
        c.close();
        w.logs(4);
    });
}

/// Two clients at once need two server connections, whatever the mode.
#[test]
fn a_busy_connection_is_not_shared() {
    scenario("connections/a_busy_connection_is_not_shared", |w| {
        let gate = Gate::default();
        let wait = gate.clone();
        let origin = w.origin("o1", move |mut c| {
            while c.request().is_some() {
                wait.wait();
                c.send_quietly(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        });
        w.proxy(&sections("", "http-reuse always"));
        let mut a = w.client("fe");
        a.get("/1", "");
        origin.wait_line(0, "< GET");
        let mut b = w.client("fe");
        b.get("/1", "");
        origin.wait_line(1, "< GET");
        gate.open();
        a.response();
        b.response();
        a.close();
        b.close();
    });
}

/// A reused connection that the server closes at the moment of use: the request is sent again where that is safe.
#[test]
fn reused_connection_dies_with_the_second_request() {
    for (name, request) in [
        ("get", "GET /2 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
        ("post", "POST /2 HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"),
    ] {
        scenario(&format!("connections/reused_connection_dies_with_a_{name}"), |w| {
            w.origin("o1", |mut c| {
                if c.number == 0 {
                    c.request();
                    c.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                    c.request();
                } else {
                    c.answer_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew");
                }
            });
            w.proxy(&sections("", ""));
            let mut c = w.client("fe");
            c.get("/1", "").response();
            c.send(request).read_to_end();
            w.logs(1);
        });
    }
}

#[test]
fn retry_on_empty_response() {
    scenario("connections/retry_on_empty_response", |w| {
        w.origin("o1", |mut c| match c.number {
            0 => drop(c.request()),
            _ => c.answer_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew"),
        });
        w.proxy(&sections("", "retry-on empty-response conn-failure"));
        let mut c = w.client("fe");
        c.get("/1", "").response();
        c.close();
        w.logs(1);
    });
}

#[test]
fn retries_end_in_503() {
    scenario("connections/retries_end_in_503", |w| {
        w.proxy(&sections("", "retries 2\ntimeout connect 100ms"));
        let mut c = w.client("fe");
        c.get("/", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn redispatch_to_another_server() {
    scenario("connections/redispatch_to_another_server", |w| {
        w.ok("o2");
        w.proxy(
            "
frontend fe
  bind 127.0.0.1:${fe}
  default_backend be
backend be
  balance roundrobin
  retries 1
  timeout connect 100ms
  option redispatch
  server s1 127.0.0.1:${o1} weight 256
  server s2 127.0.0.1:${o2} weight 1
",
        );
        let mut c = w.client("fe");
        c.get("/", "").response();
        c.close();
        w.logs(1);
    });
}

#[test]
fn roundrobin_over_weights() {
    scenario("connections/roundrobin_over_weights", |w| {
        for o in ["o1", "o2", "o3"] {
            w.ok(o);
        }
        w.proxy(
            "
frontend fe
  bind 127.0.0.1:${fe}
  default_backend be
backend be
  balance roundrobin
  http-reuse never
  server s1 127.0.0.1:${o1} weight 1
  server s2 127.0.0.1:${o2} weight 2
  server s3 127.0.0.1:${o3} weight 3
",
        );
        for n in 0..12 {
            w.client("fe").get(&format!("/{n}"), "Connection: close\r\n").read_to_end();
            w.logs(n + 1);
        }
    });
}

#[test]
fn backup_servers_wait_their_turn() {
    scenario("connections/backup_servers_wait_their_turn", |w| {
        for o in ["o1", "o2"] {
            w.ok(o);
        }
        w.proxy(
            "
frontend fe
  bind 127.0.0.1:${fe}
  use_backend backups if { path /backups }
  use_backend none if { path /none }
  default_backend be
backend be
  server s1 127.0.0.1:${o1}
  server s2 127.0.0.1:${o2} backup
backend backups
  server s1 127.0.0.1:${o1} disabled
  server s2 127.0.0.1:${o2} backup
  server s3 127.0.0.1:${o1} backup
backend none
  server s1 127.0.0.1:${o1} disabled
",
        );
        for path in ["/", "/", "/backups", "/backups", "/none"] {
            w.client("fe").get(path, "Connection: close\r\n").read_to_end();
        }
        w.logs(5);
    });
}

#[test]
fn weight_zero_gets_nothing() {
    scenario("connections/weight_zero_gets_nothing", |w| {
        w.ok("o1");
        w.ok("o2");
        w.proxy(
            "
frontend fe
  bind 127.0.0.1:${fe}
  default_backend be
backend be
  server s1 127.0.0.1:${o1} weight 0
  server s2 127.0.0.1:${o2}
",
        );
        for _ in 0..3 {
            w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        }
        w.logs(3);
    });
}

#[test]
fn no_server_at_all() {
    scenario("connections/no_server_at_all", |w| {
        w.proxy("frontend fe\n  bind 127.0.0.1:${fe}\n  default_backend be\nbackend be\n");
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn no_backend_at_all() {
    scenario("connections/no_backend_at_all", |w| {
        w.proxy("frontend fe\n  bind 127.0.0.1:${fe}\n");
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn listen_section_and_unix_sockets() {
    scenario("connections/listen_section_and_unix_sockets", |w| {
        w.proxy(
            "
listen front
  bind 127.0.0.1:${fe}
  bind unix@${dir}/front.sock mode 600
  server s1 unix@${dir}/inner.sock
listen inner
  bind ${dir}/inner.sock
  http-request return status 200 content-type text/plain string \"inside\"
",
        );
        let mut c = w.client("fe");
        c.get("/tcp", "").response();
        let mut u = w.unix_client("front.sock");
        u.get("/unix", "").response();
        c.close();
        u.close();
        w.logs(4);
    });
}

#[test]
fn source_address_of_server_connections() {
    scenario("connections/source_address_of_server_connections", |w| {
        w.proxy(
            "
listen front
  bind 127.0.0.1:${fe}
  server s1 127.0.0.1:${inner} source 127.0.0.9
listen inner
  bind 127.0.0.1:${inner}
  http-request return status 200 content-type text/plain lf-string %[src]
",
        );
        w.client("fe").get("/", "").response();
    });
}

#[test]
fn use_backend_conditions() {
    scenario("connections/use_backend_conditions", |w| {
        w.proxy(
            "
frontend fe
  bind 127.0.0.1:${fe}
  acl api path_beg /api/ /v1/
  acl from_here src 127.0.0.0/8
  acl www hdr(host) -i www.test
  use_backend exact if { path /exact }
  use_backend api if api !{ method POST }
  use_backend posts if { method POST } or { method PUT }
  use_backend www if www from_here
  use_backend elsewhere unless from_here
  default_backend rest
backend exact
  http-request return status 200 hdr X-Backend exact
backend api
  http-request return status 200 hdr X-Backend api
backend posts
  http-request return status 200 hdr X-Backend posts
backend www
  http-request return status 200 hdr X-Backend www
backend elsewhere
  http-request return status 200 hdr X-Backend elsewhere
backend rest
  http-request return status 200 hdr X-Backend rest
",
        );
        let mut c = w.client("fe");
        c.get("/exact", "").response();
        c.get("/exact?q", "").response();
        c.get("/exactly", "").response();
        c.get("/api/x", "").response();
        c.get("/v1/", "").response();
        c.send("POST /api/x HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n").response();
        c.send("PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n").response();
        c.send("GET / HTTP/1.1\r\nHost: WWW.Test\r\n\r\n").response();
        c.get("/", "").response();
        c.close();
        w.logs(9);
    });
}

#[test]
fn http_buffer_request_waits_for_the_body() {
    scenario("connections/http_buffer_request_waits_for_the_body", |w| {
        let origin = w.ok("o1");
        w.proxy(&sections("", "option http-buffer-request"));
        let mut c = w.client("fe");
        c.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\nabc");
        let mut other = w.client("fe");
        other.get("/other", "").response();
        w.note(format!("connections before the body is whole: {}", origin.connections()));
        c.send("def").response();
        c.close();
        other.close();
        w.logs(2);
    });
}

#[test]
fn client_aborts_while_the_server_thinks() {
    for (name, options) in
        [("abortonclose", "option abortonclose"), ("no_abortonclose", "no option abortonclose")]
    {
        scenario(&format!("connections/client_aborts_with_{name}"), |w| {
            let gate = Gate::default();
            let wait = gate.clone();
            let origin = w.origin("o1", move |mut c| {
                c.request();
                wait.wait();
                c.send_quietly(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                c.wait_end();
            });
            w.proxy(&sections("", options));
            let mut c = w.client("fe");
            c.get("/", "");
            origin.wait_line(0, "< GET");
            c.half_close();
            if name == "abortonclose" {
                c.read_to_end();
                gate.open();
            } else {
                gate.open();
                c.read_to_end();
            }
            w.logs(1);
        });
    }
}

#[test]
fn client_resets_while_the_server_thinks() {
    scenario("connections/client_resets_while_the_server_thinks", |w| {
        let origin = w.origin("o1", |mut c| {
            c.request();
            let end = c.wait_end();
            c.transcript().add(format!("end {end:?}"));
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/", "");
        origin.wait_line(0, "< GET");
        c.reset();
        w.logs(1);
        origin.wait_line(0, "end");
    });
}

#[test]
fn client_leaves_during_the_response() {
    scenario("connections/client_leaves_during_the_response", |w| {
        let origin = w.origin("o1", |mut c| {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
            let end = c.wait_end();
            c.transcript().add(format!("end {end:?}"));
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/", "");
        c.head();
        c.read_exactly(4);
        c.reset();
        w.logs(1);
        origin.wait_line(0, "end");
    });
}

#[test]
fn server_resets_during_the_response() {
    scenario("connections/server_resets_during_the_response", |w| {
        let gate = Gate::default();
        let wait = gate.clone();
        w.origin("o1", move |mut c| {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
            wait.wait();
            c.reset();
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/", "");
        c.head();
        c.read_exactly(4);
        gate.open();
        c.wait_end();
        w.logs(1);
    });
}

#[test]
fn client_leaves_during_its_request_body() {
    scenario("connections/client_leaves_during_its_request_body", |w| {
        let origin = w.origin("o1", |mut c| {
            c.head();
            let end = c.wait_end();
            c.transcript().add(format!("end {end:?}"));
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhalf");
        origin.wait_line(0, "< POST");
        c.close();
        w.logs(1);
        origin.wait_line(0, "end");
    });
}
