//! Answers that the proxy makes itself: return, deny, redirect, error pages, monitoring (manual: http-request, http-error, monitor).
use crate::sections;
use portcullis_e2e::binary::Binary;
use portcullis_e2e::{World, scenario};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What a GET of each path is answered with these lines in the frontend.
fn answers(name: &str, frontend: &'static str, paths: &'static [&'static str]) {
    scenario(&format!("rules/{name}"), |w| {
        w.ok("o1");
        w.file(
            "page",
            "HTTP/1.0 503 Down\r\nCache-Control: no-cache\r\nContent-Type: text/plain\r\n\r\nfrom a file\n",
        );
        w.file("page400", "HTTP/1.1 400 Bad\r\nContent-Length: 4\r\nContent-Type: text/plain\r\n\r\nbad\n");
        w.file("body", "the content of a file");
        w.file("lf", "the path is %[path]");
        w.proxy(&sections(frontend, ""));
        for path in paths {
            w.client("fe").get(path, "Connection: close\r\n").read_to_end();
        }
        w.logs(paths.len());
    });
}

macro_rules! answers {
    ($($name:ident: $frontend:expr, $paths:expr;)*) => {
        $(#[test]
        fn $name() {
            answers(stringify!($name), $frontend, &$paths);
        })*
    };
}

answers! {
    return_empty: "http-request return", ["/"];
    return_status: "http-request return status 404", ["/"];
    return_string: "http-request return status 200 content-type text/plain string \"hello world\"", ["/"];
    return_lf_string: "http-request return status 200 content-type text/plain lf-string \"%[path] by %[method]\"", ["/some/path?q"];
    return_file: "http-request return status 200 content-type text/plain file ${dir}/body", ["/"];
    return_lf_file: "http-request return status 200 content-type text/plain lf-file ${dir}/lf", ["/x"];
    return_headers: "http-request return status 200 hdr X-A 1 hdr X-B %[path] content-type a/b string c", ["/x"];
    return_errorfile: "http-request return status 503 errorfile ${dir}/page", ["/"];
    return_default_errorfiles: "http-request return status 503 default-errorfiles", ["/"];
    return_204_without_body: "http-request return status 204", ["/"];
    return_conditional: "http-request return status 201 if { path /a }\nhttp-request return status 202 unless { path /b }", ["/a", "/b", "/c"];
    deny: "http-request deny if { path_beg /secret }", ["/secret", "/open"];
    deny_status: "http-request deny deny_status 429", ["/"];
    deny_status_new_form: "http-request deny status 410 content-type text/plain string gone", ["/"];
    deny_headers: "http-request deny status 401 hdr WWW-Authenticate 'Basic realm=\"x\"'", ["/"];
    redirect_location: "http-request redirect location /new", ["/old?q=1"];
    redirect_prefix: "http-request redirect prefix https://other.test", ["/old?q=1"];
    redirect_prefix_drop_query: "http-request redirect prefix /sub drop-query", ["/old?q=1"];
    redirect_prefix_append_slash: "http-request redirect prefix /sub drop-query append-slash", ["/old?q=1", "/old/"];
    redirect_scheme: "http-request redirect scheme https", ["/old?q=1"];
    redirect_codes: "http-request redirect code 301 location /301 if { path /301x }\nhttp-request redirect code 303 location /303 if { path /303x }\nhttp-request redirect code 307 location /307 if { path /307x }\nhttp-request redirect code 308 location /308", ["/301x", "/303x", "/307x", "/308x"];
    redirect_format: "http-request redirect code 302 location http://www.%[req.hdr(host)]%[path]", ["/a?b"];
    redirect_set_cookie: "http-request redirect location / set-cookie SEEN=1", ["/"];
    redirect_clear_cookie: "http-request redirect location / clear-cookie USER", ["/"];
    redirect_ignore_empty: "http-request redirect location %[req.hdr(x-none)] ignore-empty", ["/"];
    redirect_keyword_of_the_section: "redirect prefix https://other.test if { path_beg /old }", ["/old", "/new"];
    errorfile: "errorfile 503 ${dir}/page\nhttp-request deny deny_status 503", ["/"];
    errorfile_dev_null: "errorfile 403 /dev/null\nhttp-request deny", ["/"];
    http_error_string: "http-error status 403 content-type text/plain string \"no entry\" hdr X-Why rules\nhttp-request deny", ["/"];
    http_error_lf: "http-error status 403 content-type text/plain lf-string \"no %[path]\"\nhttp-request deny", ["/x"];
    errorloc_302: "errorloc 403 http://err.test/403\nhttp-request deny", ["/"];
    errorloc_303: "errorloc303 403 /403\nhttp-request deny", ["/"];
    set_status_line_of_everything: "http-response set-status 418 reason \"Teapot\"", ["/"];
    response_deny: "http-response deny status 502 if { status 200 }", ["/"];
    response_return: "http-response return status 200 content-type text/plain string replaced", ["/"];
    after_response: "http-after-response set-header X-After 1\nhttp-request return status 200 if { path /own }", ["/own", "/server"];
    set_path_and_query: "http-request set-path /new%[path]\nhttp-request set-query a=b", ["/x?y=z"];
    replace_path: "http-request replace-path /old/(.*) /new/\\1", ["/old/x?y=z"];
    set_method_and_uri: "http-request set-method PUT\nhttp-request set-uri /other?u", ["/x"];
    allow_stops_rules: "http-request allow if { path /free }\nhttp-request deny", ["/free", "/other"];
    variables: "http-request set-var(txn.a) path\nhttp-request return status 200 lf-string %[var(txn.a)] content-type text/plain", ["/v"];
    silent_drop_is_silent: "http-request reject if { path /drop }", ["/drop"];
}

#[test]
fn every_built_in_error_page() {
    for code in
        [400, 401, 403, 404, 405, 407, 408, 410, 413, 414, 421, 422, 425, 429, 431, 500, 501, 502, 503, 504]
    {
        scenario(&format!("rules/error_page_{code}"), |w| {
            w.proxy(&format!(
                "frontend fe\n  bind 127.0.0.1:${{fe}}\n  http-request deny deny_status {code}\n"
            ));
            w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        });
    }
}

#[test]
fn monitor_fail() {
    scenario("rules/monitor_fail", |w| {
        w.proxy(
            "
frontend fe
  bind 127.0.0.1:${fe}
  acl none_left nbsrv(be) lt 1
  monitor-uri /up
  monitor fail if none_left
  default_backend be
frontend ok
  bind 127.0.0.1:${ok}
  monitor-uri /up
  monitor fail if { nbsrv(other) lt 1 }
backend be
  server s1 127.0.0.1:${o1} disabled
backend other
  server s1 127.0.0.1:${o1}
",
        );
        let mut c = w.client("fe");
        c.get("/up", "").response();
        c.close();
        let mut c = w.client("ok");
        c.get("/up", "").response();
        c.send("HEAD /up HTTP/1.1\r\nHost: test\r\n\r\n").response_to("HEAD");
        c.close();
    });
}

#[test]
fn errorfiles_from_an_http_errors_section() {
    scenario("rules/errorfiles_from_an_http_errors_section", |w| {
        w.file("403", "HTTP/1.1 403 No\r\nContent-Length: 6\r\n\r\nsite a");
        w.file("503", "HTTP/1.1 503 No\r\nContent-Length: 6\r\n\r\nsite b");
        w.proxy(
            "
http-errors site
  errorfile 403 ${dir}/403
  errorfile 503 ${dir}/503
frontend fe
  bind 127.0.0.1:${fe}
  errorfiles site 503
  http-request deny if { path /403 }
  http-request deny deny_status 403 errorfiles site if { path /own }
  default_backend be
backend be
",
        );
        for path in ["/403", "/own", "/503"] {
            w.client("fe").get(path, "Connection: close\r\n").read_to_end();
        }
        w.logs(3);
    });
}

#[test]
fn errorfile_of_the_backend() {
    scenario("rules/errorfile_of_the_backend", |w| {
        w.file("page", "HTTP/1.1 503 Down\r\nContent-Length: 7\r\n\r\nbackend");
        w.proxy("frontend fe\n  bind 127.0.0.1:${fe}\n  default_backend be\nbackend be\n  errorfile 503 ${dir}/page\n");
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}

/// A monitoring request is not logged; the one after it is.
#[test]
fn monitor_uri() {
    scenario("rules/monitor_uri", |w| {
        w.ok("o1");
        w.proxy(&sections("monitor-uri /up", ""));
        for path in ["/up", "/other"] {
            w.client("fe").get(path, "Connection: close\r\n").read_to_end();
        }
        w.logs(1);
    });
}

#[test]
fn answers_on_a_kept_connection() {
    scenario("rules/answers_on_a_kept_connection", |w| {
        w.ok("o1");
        w.proxy(&sections("http-request return status 200 string a content-type text/plain if { path /own }\nhttp-request deny if { path /no }\nhttp-request redirect location /own if { path /go }", ""));
        let mut c = w.client("fe");
        for path in ["/own", "/no"] {
            c.get(path, "").response();
        }
        c.close();
        let mut c = w.client("fe");
        for path in ["/go", "/own", "/server", "/own"] {
            c.get(path, "").response();
        }
        c.send("HEAD /own HTTP/1.1\r\nHost: test\r\n\r\n").response_to("HEAD");
        c.send("POST /own HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello").response();
        c.get("/own", "Connection: close\r\n").read_to_end();
        w.logs(9);
    });
}

#[test]
fn variables_of_every_scope() {
    scenario("rules/variables_of_every_scope", |w| {
        w.ok("o1");
        w.proxy(&sections(
            "log-format \"%[var(txn.a)] %[var(sess.n)] %[var(req.b)] %[var(res.c)]\"\ntcp-request connection set-var(sess.n) int(5)\nhttp-request set-var(txn.a) path\nhttp-request set-var(req.b) str(b)\nhttp-request set-var(sess.n,ifset) var(sess.n),add(1)\nhttp-request set-var(sess.n,ifnotset) int(100)\nhttp-request set-var-fmt(txn.f) \"%[src]/%[var(sess.n)]\"\nhttp-request unset-var(txn.a) if { path /unset }\nhttp-response set-var(res.c) status\nhttp-response set-header x-v \"%[var(txn.a)] %[var(txn.f)] %[var(req.b)] %[var(res.c)]\"",
            "",
        ));
        let mut c = w.client("fe");
        for path in ["/a", "/b", "/unset"] {
            c.get(path, "").response();
        }
        c.close();
        w.logs(3);
    });
}

#[test]
fn addresses_that_rules_set() {
    scenario("rules/addresses_that_rules_set", |w| {
        w.ok("o1");
        w.proxy(&sections(
            "log-format \"%ci:%cp %fi:%fp\"\ntcp-request connection set-src ipv4(1.2.3.4)\ntcp-request session set-src-port int(77)\ntcp-request content set-dst ipv4(9.9.9.9)\nhttp-request set-dst-port int(99)\nhttp-request set-src ipv4(10.0.0.1) if { path /again }\nhttp-request return status 200 hdr x \"%[src]:%[src_port] %[dst]:%[dst_port]\"",
            "",
        ));
        for path in ["/", "/again"] {
            w.client("fe").get(path, "Connection: close\r\n").read_to_end();
        }
        w.logs(2);
    });
}

#[test]
fn log_levels_that_rules_set() {
    scenario("rules/log_levels_that_rules_set", |w| {
        w.ok("o1");
        w.proxy(&sections(
            "http-request set-log-level silent if { path /silent }\nhttp-request set-log-level err if { path /err }\nhttp-request set-tos 0x10 if { path /tos }\nhttp-request set-bc-tos 0x10 if { path /tos }\nhttp-request set-priority-class int(3) if { path /class }\nhttp-request set-priority-offset int(-3) if { path /class }",
            "http-request set-retries 1 if { path /class }",
        ));
        for path in ["/silent", "/err", "/tos", "/class"] {
            w.client("fe").get(path, "Connection: close\r\n").read_to_end();
        }
        w.logs(3);
    });
}

#[test]
fn fetches_of_servers() {
    scenario("rules/fetches_of_servers", |w| {
        w.ok("o1");
        w.proxy(
            &(sections(
                "http-request return status 200 hdr x \"%[nbsrv(be)] %[nbsrv(none)] %[srv_is_up(be/s1)] %[srv_is_up(none/s1)] %[be_conn(be)] %[queue(be)] %[srv_conn(be/s1)] %[srv_queue(be/s1)]\"",
                "",
            ) + "backend none\n  server s1 127.0.0.1:${o1} disabled\n"),
        );
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn unique_ids_are_made_once() {
    scenario("rules/unique_ids_are_made_once", |w| {
        w.ok("o1");
        w.proxy(&sections(
            "unique-id-format %ci-%[path]\nunique-id-header x-id\nhttp-request set-header x-early %[unique-id]\nhttp-request set-path /changed\nlog-format \"%ID %HP\"",
            "",
        ));
        w.client("fe").get("/path", "Connection: close\r\n").read_to_end();
        w.client("fe").send("bad\r\n\r\n").read_to_end();
        w.logs(2);
    });
}

/// Its request is acknowledged, or its system would send it again and be told that there is no such connection.
#[test]
fn a_client_that_is_dropped_hears_nothing() {
    if !rustix::process::geteuid().is_root() {
        return; // the system lets nobody else close a connection without a word
    }
    let mut w = World::new(Binary::under_test());
    w.proxy(&sections("http-request silent-drop", ""));
    let port = w.port("fe");
    // the request comes with the connection, or when it is waited for
    for first in [0, 20, 20, 0] {
        let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (now, later) = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".split_at(first);
        client.write_all(now).unwrap();
        client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        for rest in [later, b""] {
            client.write_all(rest).unwrap();
            let heard = client.read(&mut [0; 100]).map_err(|e| e.kind());
            assert_eq!(heard, Err(ErrorKind::WouldBlock));
        }
    }
}
