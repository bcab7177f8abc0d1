//! What rules and log lines see of requests and responses, where rules have changed them or they are malformed.
use crate::sections;
use portcullis_e2e::binary::Binary;
use portcullis_e2e::{World, scenario};

/// Host and target say the same thing, whichever of them a rule changes.
#[test]
fn targets_that_name_a_host() {
    scenario("seen/targets_that_name_a_host", |w| {
        w.proxy(&sections(
            "http-request set-header host z:1 if { req.hdr(c) 1 }
             http-request set-uri q:1 if { req.hdr(c) 2 }
             http-request set-uri http://q/z if { req.hdr(c) 3 } !METH_CONNECT
             http-request set-uri /z if { req.hdr(c) 4 }
             http-request replace-path .* /n if { req.hdr(c) 5 }
             http-request replace-pathq .* /n?q if { req.hdr(c) 6 }
             http-request set-path /n if { req.hdr(c) 7 }
             http-request return status 404 hdr url %[url] hdr host %[req.hdr(host)] hdr path %[path]",
            "",
        ));
        for line in ["CONNECT h:443", "GET http://h:443/x", "GET /x"] {
            for case in 1..=7 {
                let request =
                    format!("{line} HTTP/1.1\r\nHost: h:443\r\nc: {case}\r\nConnection: close\r\n\r\n");
                w.client("fe").send(&request).read_to_end();
            }
        }
    });
}

/// A method that HAProxy knows is the first one for whoever asks, one that it does not know the last.
#[test]
fn methods_that_rules_change() {
    scenario("seen/methods_that_rules_change", |w| {
        w.ok("o1");
        w.proxy(&sections(
            "http-request set-method BAR
             http-request set-header known 1 if METH_GET
             http-request set-header now %[method],%[capture.req.method]
             log-format \"%HM %[capture.req.method]\"",
            "",
        ));
        for method in ["GET", "FOO"] {
            let request = format!("{method} / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
            w.client("fe").send(&request).read_to_end();
        }
        w.logs(2);
    });
}

/// Modifiers of items: which are known, what is put in quotes, what is nothing.
#[test]
fn modifiers_of_items() {
    const ITEMS: &str = "%{Q}b|%{+Qx}b|%{+Q +E}b|%{+E +Q}b|%{+Q}b|%{+json}HM|%{json}HM|%{+X}lc|%{+Q}OG|%{+Q}bi|%{+Q}bp|%bi|%bp|%{+Q}HU|%{+Q}[src]|%{+Q}CC|%CC|%hrl|%{+Q}hrl|%{+Q}hr|%{+X}[int(12)]";
    scenario("seen/modifiers_of_items", |w| {
        w.proxy(&sections(
            &format!(
                "capture request header x len 10
                 capture request header y len 10
                 capture request header z len 10
                 log-format \"{ITEMS}\"
                 unique-id-format \"  a  %[req.hdr(none)]   b %{{+Q}}ci %hr  %CC  x \"
                 http-request set-header field \"{ITEMS}\"
                 http-request set-var-fmt(txn.a) \"{ITEMS}\"
                 http-request return status 200 hdr field %[req.hdr(field)] hdr var %[var(txn.a)] hdr id %[unique-id] lf-string \"{ITEMS}\" content-type text/plain"
            ),
            "",
        ));
        w.client("fe").get("/", "x:\r\nz: a b\r\nConnection: close\r\n").read_to_end();
        w.logs(1);
    });
}

const LINE: &str = "%ts %ST <%[status]> <%[capture.req.ver]> <%[capture.req.method]> <%[method]> <%[var(txn.a)]> <%[var(sess.b)]> <%[server_status]> <%[txn.status]> <%[capture.res.ver]> <%[bc_be_queue]> <%[bc_srv_queue]>";

/// Of what is no request there is nothing to be seen but what the session has.
#[test]
fn lines_of_malformed_requests() {
    scenario("seen/lines_of_malformed_requests", |w| {
        w.proxy(&sections(
            &format!(
                "tcp-request session set-var(sess.b) int(3)
                 http-request set-var(txn.a) int(1)
                 log-format \"{LINE}\"
                 error-log-format \"error {LINE}\""
            ),
            "",
        ));
        w.client("fe").send("bogus\r\n\r\n").read_to_end();
        w.client("fe").send("GET / HTTP/1.1\r\nHost: a b\r\nx\r\n\r\n").read_to_end();
        let mut c = w.client("fe");
        c.send("GET /");
        c.close();
        w.logs(3);
    });
}

/// The short line is about connections with a request.
#[test]
fn short_lines_of_malformed_requests() {
    scenario("seen/short_lines_of_malformed_requests", |w| {
        w.proxy(&sections("http-request return status 200", ""));
        w.client("fe").send("bogus\r\n\r\n").read_to_end();
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}

/// What a server said stays known, whatever the client gets; what no server said is 0.
#[test]
fn statuses_of_servers() {
    scenario("seen/statuses_of_servers", |w| {
        w.answering("o1", "HTTP/2.0 203 Odd\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        w.proxy(&sections(
            "http-request deny if { path /denied }
             http-request return status 201 if { path /own }
             http-response set-status 404 if { capture.req.uri /set }
             http-response deny if { capture.req.uri /late }
             http-response set-header version %[capture.res.ver]
             http-after-response set-header seen \"%[server_status] %[status]\"
             log-format \"%ST %[server_status] %HU\"",
            "",
        ));
        for path in ["/denied", "/own", "/set", "/late", "/plain"] {
            w.client("fe").get(path, "Connection: close\r\n").read_to_end();
        }
        w.logs(5);
    });
}

/// In front of HTTP: for the log there was no request when rules of TCP refuse it.
#[test]
fn lines_of_what_rules_of_tcp_refuse() {
    scenario("seen/lines_of_what_rules_of_tcp_refuse", |w| {
        w.proxy(&sections(
            "tcp-request inspect-delay 5s
             tcp-request content reject if { path /no }
             http-request reject
             error-log-format error
             log-format \"%ts %ST %r %HM <%[capture.req.uri]>\"",
            "",
        ));
        w.client("fe").get("/no", "").wait_end();
        w.client("fe").get("/late", "").wait_end();
        w.logs(2);
    });
}

/// `tcp-request content capture` waits for what it captures.
#[test]
fn captures_of_bytes_that_come_later() {
    scenario("seen/captures_of_bytes_that_come_later", |w| {
        w.ok("o1");
        w.proxy(
            "frontend fe\n  mode tcp\n  bind 127.0.0.1:${fe}\n  tcp-request inspect-delay 10s\n  tcp-request content capture req.payload(0,4) len 10\n  log-format \"%[capture.req.hdr(0)]\"\n  default_backend be\nbackend be\n  mode tcp\n  server s1 127.0.0.1:${o1}\n",
        );
        let mut client = w.client("fe");
        client.send("GE").send("T / HTTP/1.1\r\n\r\n").response();
        client.half_close().wait_end();
        w.logs(1);
    });
}

/// 3.5 logs the same, but says nothing to the client.
#[test]
fn requests_for_a_backend_of_tcp() {
    let mut w = World::new(Binary::under_test());
    w.ok("o1");
    w.proxy(
        "frontend fe\n  mode tcp\n  bind 127.0.0.1:${fe}\n  tcp-request content switch-mode http\n  log-format \"%ts %ST %b %s\"\n  use_backend be if TRUE\nbackend be\n  mode tcp\n  server s1 127.0.0.1:${o1}\n",
    );
    w.client("fe").get("/", "Connection: close\r\n").read_to_end();
    let line = w.logs(1).remove(0);
    assert!(line.ends_with("IR 500 be <NOSRV>"), "{line}");
}
