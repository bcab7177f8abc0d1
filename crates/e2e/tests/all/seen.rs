//! What rules and log lines see of requests and responses, where rules have changed them or they are malformed.
use crate::sections;
use portcullis_e2e::binary::Binary;
use portcullis_e2e::{World, scenario};

const HTTP: &str =
    "defaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n";

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

/// A target that a rule writes may have no path, and an authority that is nothing is an error.
#[test]
fn targets_that_rules_break() {
    const TARGETS: [&str; 8] = ["?k=1", "\\#x", "h2?k=1", "a/b", "http:///x", "*", "http://u@q/", "/z"];
    let rules: String = TARGETS
        .iter()
        .enumerate()
        .map(|(i, t)| format!("http-request set-uri {t} if {{ req.hdr(c) {i} }}\n"))
        .collect();
    scenario("seen/targets_that_rules_break", |w| {
        w.proxy(&sections(
            &format!(
                "{rules}
                 http-request replace-path ^ pre if {{ req.hdr(c) 20:22 }}
                 http-request set-path %[var(txn.none)] if {{ req.hdr(c) 21 }}
                 http-request set-path /x if {{ req.hdr(c) 22 }}
                 http-request replace-path .* /x if {{ req.hdr(c) 30 }}
                 http-request replace-pathq .* /x if {{ req.hdr(c) 30 }}
                 http-request set-header host \" x , y\" if {{ req.hdr(c) 31 32 }}
                 http-request redirect scheme https if {{ req.hdr(c) 32 }}
                 http-request return status 200 hdr url %[url] hdr host %[req.fhdr(host)] hdr base %[base] hdr base32 %[base32] hdr url32 %[url32]"
            ),
            "",
        ));
        for case in (0..TARGETS.len()).chain(20..=22).chain(31..=32) {
            w.client("fe").get("/p?a=1", &format!("c: {case}\r\nConnection: close\r\n")).read_to_end();
        }
        let star = "OPTIONS * HTTP/1.1\r\nHost: h\r\nc: 30\r\nConnection: close\r\n\r\n";
        w.client("fe").send(star).read_to_end();
        w.forget_logs();
    });
}

/// Bytes that are not for logs, in fields of headers and in ids.
#[test]
fn unsafe_bytes_in_fields() {
    const ITEMS: &str =
        "%HU %HP %HPO %HQ %r %hr %hrl %{+Q}HU %{+E}hr %{+M}CC %{+M}sslv %{+M}[var(txn.none)] %[url]";
    scenario("seen/unsafe_bytes_in_fields", |w| {
        w.proxy(&sections(
            &format!(
                "option accept-unsafe-violations-in-http-request
                 capture request header c len 40
                 unique-id-format \"%HU %{{+M}}CC %{{+M,+Q}}hr\"
                 http-request set-header field \"{ITEMS}\"
                 http-request return status 200 hdr field %[req.hdr(field)] hdr id %ID"
            ),
            "",
        ));
        let fields = "c: a\"b{c|d}#\\]\r\nConnection: close\r\n";
        w.client("fe").get("/p\"\u{e4}#{|}?a=\"b\"#c", fields).read_to_end();
        w.forget_logs();
    });
}

/// Where the final rule stands that was executed last, for `http-after-response` rules and for the log.
#[test]
fn rules_that_answer() {
    scenario("seen/rules_that_answer", |w| {
        w.proxy(&sections(
            "http-request redirect location \"%[var(txn.none)]\" ignore-empty if { path /empty }
             http-request redirect location /x if { path /redirect /allowed }
             http-request auth if { path /auth }
             http-request deny if { path /deny }
             http-request tarpit if { path /tarpit }
             redirect location /y if { path /keyword /kept }
             http-request allow if { path /kept }
             http-request return status 200 unless { path /keyword }
             http-after-response set-header last \"<%[last_rule_line]>\"
             http-after-response allow if { res.hdr(location) /x /y } { capture.req.uri /allowed /keyword }
             timeout tarpit 1ms
             log-format \"%HU %[last_rule_line]\"",
            "",
        ));
        for path in ["/empty", "/redirect", "/allowed", "/auth", "/deny", "/tarpit", "/keyword", "/kept", "/"]
        {
            w.client("fe").get(path, "Connection: close\r\n").read_to_end();
        }
        w.logs(9);
    });
}

/// A format that comes to nothing is no line, whatever its structured data says.
#[test]
fn lines_that_say_nothing() {
    scenario("seen/lines_that_say_nothing", |w| {
        w.proxy(&sections(
            "log-format \"%{-M}CC%HQ%{-M}[var(txn.x)]\"
             http-request set-var(txn.x) str(done) if { path /two }
             http-request return status 200",
            "",
        ));
        for path in ["/one", "/two", "/three"] {
            w.client("fe").get(path, "Connection: close\r\n").read_to_end();
        }
        w.logs(1);
    });
}

/// A page that says that it is HTTP/1.0 leaves the connection open as any other.
#[test]
fn old_pages_on_kept_connections() {
    scenario("seen/old_pages_on_kept_connections", |w| {
        w.file("page", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok");
        w.proxy(&sections("http-request return status 200 errorfile ${dir}/page", ""));
        let mut client = w.client("fe");
        client.get("/", "").response();
        client.get("/", "Connection: close\r\n").read_to_end();
        w.forget_logs();
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

/// What rules know of the stream that they work on: nothing is counted yet, and `TR` is known when its request was taken.
#[test]
fn counts_and_timers_in_rules() {
    const SEEN: &str = "%U,%B,%[req.bytes_in],%[req.bytes_out],%ST,%ac,%fc,%lc";
    scenario("seen/counts_and_timers_in_rules", |w| {
        w.ok("o1");
        w.proxy(&sections(
            &format!(
                "http-request set-header x-front \"{SEEN} %TR %[req.timer.hdr]\"
                 http-request do-log
                 http-request set-log-level silent if {{ path /own }}
                 http-request return status 201 hdr x \"{SEEN} %TR\" if {{ path /own }}
                 http-response set-status 404
                 http-response set-header x-response \"{SEEN} %[res.bytes_in] %[txn.status]\"
                 http-response do-log
                 log-format \"%OG %U %B %[req.bytes_in] %[req.bytes_out] %[res.bytes_in] %[res.bytes_out] %lc %ST\""
            ),
            &format!("http-request set-header x-back \"{SEEN} %TR %[req.timer.hdr]\""),
        ));
        w.client("fe").get("/own", "Connection: close\r\n").read_to_end();
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        w.logs(4);
    });
}

/// Tests of what is not there in a rule set are made all the same: some have a value.
#[test]
fn tests_of_what_is_not_there() {
    let names = [
        "ssl_bc",
        "bc_be_queue",
        "bc_srv_queue",
        "txn.conn_retries",
        "txn.redispatched",
        "req.timer.queue",
        "bc.timer.connect",
        "res.hdr(x)",
        "res.body",
        "srv_name",
        "bc_src",
        "status",
    ];
    let rules: String =
        names.iter().map(|n| format!("http-request add-header x {n} if {{ {n} -m found }}\n")).collect();
    scenario("seen/tests_of_what_is_not_there", |w| {
        w.proxy(&sections(&format!("{rules}http-request return status 200 hdr x %[req.hdr(x)]"), ""));
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        w.forget_logs();
    });
}

/// The address at the beginning of a text.
#[test]
fn addresses_in_texts() {
    scenario("seen/addresses_in_texts", |w| {
        w.proxy(&sections(
            "http-request set-var(txn.x) req.fhdr(x)
             http-request set-src req.fhdr(x)
             http-request return status 200 hdr a \"%[req.fhdr(x),ipmask(32,128)] %[var(txn.x),ipmask(24,64)] %[src]\" if { req.fhdr(x) -m ip 1.2.3.4 ::1 }
             http-request return status 404 hdr a \"%[req.fhdr(x),ipmask(32,128)]\"",
            "",
        ));
        for x in [
            "1.2.3.4:55123",
            "1.2.3.4, 5.6.7.8",
            "1.2.3.4/24",
            "01.002.3.4x",
            "1.2.3.4",
            "1.2.3.4.",
            "1.2.3.4.5",
            "1.2.3",
            "1.2.3.256",
            "1.2.3.0256",
            ".1.2.3.4",
            "9.2.3.4;",
            "::1x",
            "[::1]:80",
        ] {
            w.client("fe").get("/", &format!("x: {x}\r\nConnection: close\r\n")).read_to_end();
        }
        w.forget_logs();
    });
}

/// The formats of pages see their status, and how the stream ends.
#[test]
fn pages_that_say_how_it_ended() {
    let pages: String = [400, 403, 408, 500, 502, 503]
        .iter()
        .map(|s| {
            format!("http-error status {s} content-type text/plain lf-string \"<%ST %tsc %s %{{+Q}}HM>\"\n")
        })
        .collect();
    const OWN: &str = "content-type text/plain lf-string \"<%ST %tsc>\"";
    scenario("seen/pages_that_say_how_it_ended", |w| {
        w.ok("o1");
        let value: String = (0..30).map(|_| "%[req.hdr(x)]").collect();
        w.proxy(&format!(
            "global\n  expose-experimental-directives\n{HTTP}{}",
            sections(
                &format!(
                    "{pages}timeout tarpit 1ms
                     http-request set-var(txn.p) path
                     http-request return status 201 {OWN} if {{ path /return }}
                     http-request deny if {{ path /deny }}
                     http-request deny status 410 {OWN} if {{ path /denied }}
                     http-request tarpit status 429 {OWN} if {{ path /tarpit }}
                     http-request set-header y {value} if {{ path /long }}
                     http-request normalize-uri percent-decode-unreserved strict
                     http-request wait-for-body time 1ms if {{ path /late }}
                     http-response deny if {{ var(txn.p) -m str /answer }}"
                ),
                "http-request deny if { path /back }\nhttp-response return status 202 content-type text/plain lf-string \"<%ST %tsc>\" if { var(txn.p) -m str /returned }",
            )
        ));
        for path in ["/return", "/deny", "/denied", "/tarpit", "/%zz", "/back", "/answer", "/returned"] {
            w.client("fe").get(path, "Connection: close\r\n").read_to_end();
        }
        let long = format!("x: {}\r\nConnection: close\r\n", "b".repeat(1000));
        w.client("fe").get("/long", &long).read_to_end();
        let late = "POST /late HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\nConnection: close\r\n\r\n";
        w.client("fe").send(late).response();
        w.forget_logs();
    });
}

/// A captured cookie is the one that `http-response` rules leave; those behind it come later.
#[test]
fn cookies_that_rules_of_responses_write() {
    scenario("seen/cookies_that_rules_of_responses_write", |w| {
        w.answering("o1", "HTTP/1.1 200 OK\r\nSet-Cookie: sid=orig\r\nContent-Length: 0\r\n\r\n");
        w.proxy(&sections(
            "http-request set-var(txn.p) path
             capture cookie sid= len 20
             http-response del-header set-cookie if { var(txn.p) -m str /del }
             http-response set-header set-cookie sid=mine if { var(txn.p) -m str /set }
             http-after-response set-header set-cookie sid=late if { var(txn.p) -m str /late }
             log-format \"%CS\"",
            "",
        ));
        for path in ["/", "/del", "/set", "/late"] {
            w.client("fe").get(path, "Connection: close\r\n").read_to_end();
        }
        w.logs(4);
    });
}

/// Without rules of TCP: what a client has sent before its stream is routed is seen.
#[test]
fn bytes_that_are_there_when_a_stream_is_routed() {
    let mut w = World::new(Binary::under_test());
    w.ok("o1");
    w.proxy(
        "frontend fe\n  mode tcp\n  bind 127.0.0.1:${fe} defer-accept\n  log-format \"%b %s\"\n  use_backend b2 if { req.payload(0,4) -m str GET\\  }\n  default_backend be\nbackend be\n  mode tcp\n  server s1 127.0.0.1:${o1}\nbackend b2\n  mode tcp\n  use-server s2 if { path /two }\n  server s1 127.0.0.1:${o1}\n  server s2 127.0.0.1:${o1} weight 0\n",
    );
    for path in ["/one", "/two"] {
        let mut client = w.client("fe");
        client.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")).response();
        client.half_close().wait_end();
    }
    let lines = w.logs(2);
    assert!(lines[0].ends_with("b2 s1") && lines[1].ends_with("b2 s2"), "{lines:?}");
}

/// A rewrite that fails is counted, and so is the error that comes of it (`wrew`, `eint`).
#[test]
fn rewrites_that_fail_are_counted() {
    let mut w = World::new(Binary::under_test());
    w.ok("o1");
    let value: String = (0..30).map(|_| "%[req.hdr(x)]").collect();
    w.proxy(&format!(
        "global\n  stats socket ${{dir}}/cli\n{HTTP}{}",
        sections(
            &format!(
                "http-request strict-mode off if {{ path /lax }}\n http-request set-header y {value} if !{{ path /back }}"
            ),
            &format!("http-request set-header y {value} if {{ path /back }}"),
        )
    ));
    let long = format!("x: {}\r\nConnection: close\r\n", "b".repeat(1000));
    for path in ["/lax", "/strict", "/back"] {
        w.client("fe").get(path, &long).read_to_end();
    }
    let table = String::from_utf8(w.unix_client("cli").send("show stat\n").read_to_end().0).unwrap();
    let head = table.lines().next().unwrap_or_default();
    let names: Vec<&str> = head.trim_start_matches("# ").split(',').collect();
    let figures = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        ["wrew", "eint"].map(|n| fields[names.iter().position(|name| *name == n).unwrap()].to_owned())
    };
    let of = |begin: &str| table.lines().find(|l| l.starts_with(begin)).map(figures).unwrap();
    assert_eq!(of("fe,FRONTEND,"), ["3", "2"]);
    assert_eq!(of("be,BACKEND,"), ["1", "1"]);
}
