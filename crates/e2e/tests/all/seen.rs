//! What rules and log lines see of requests and responses, where rules have changed them or they are malformed.
use crate::sections;
use portcullis_e2e::scenario;

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
