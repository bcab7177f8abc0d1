//! Sections and rules that stand where they can do nothing.
use crate::sections;
use portcullis_e2e::scenario;

#[test]
fn disabled_backends_serve_nobody() {
    scenario("places/disabled_backends_serve_nobody", |w| {
        w.ok("o1");
        w.proxy(
            &(sections("use_backend other if { path /other }", "disabled")
                + "backend other\n  disabled\n  server s1 127.0.0.1:${o1}\nlisten tcp\n  mode tcp\n  option tcplog\n  bind 127.0.0.1:${tcp}\n  default_backend be2\nbackend be2\n  mode tcp\n  disabled\n  server s1 127.0.0.1:${o1}\n"),
        );
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        w.client("fe").get("/other", "Connection: close\r\n").read_to_end();
        w.client("tcp").read_to_end();
        w.logs(3);
    });
}

#[test]
fn acls_on_requests_never_match_responses() {
    scenario("places/acls_on_requests_never_match_responses", |w| {
        w.ok("o1");
        w.proxy(&sections(
            "acl mixed path /a\nacl mixed status 200\nhttp-response set-header x-path yes if { path /a }\nhttp-response set-header x-no-path yes unless { path /a }\nhttp-response set-header x-mixed yes if mixed",
            "http-response set-header x-not-method yes if !{ method GET }",
        ));
        w.client("fe").get("/a", "Connection: close\r\n").read_to_end();
    });
}

#[test]
fn responses_have_no_query_to_keep() {
    scenario("places/responses_have_no_query_to_keep", |w| {
        w.ok("o1");
        w.proxy(&sections("", "http-response redirect location /x keep-query if { status 200 }"));
        w.client("fe").get("/a?b=c", "Connection: close\r\n").read_to_end();
    });
}
