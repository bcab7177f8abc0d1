//! Fields that the proxy adds, changes or drops by option (manual: option forwardfor, forwarded, originalto, h1-case-adjust ...).
use crate::sections;
use portcullis_e2e::scenario;

/// What a server sees, with these lines in frontend and backend.
fn seen(name: &str, frontend: &'static str, backend: &'static str, fields: &'static str) {
    scenario(&format!("fields/{name}"), |w| {
        w.answering("o1", "HTTP/1.1 200 OK\r\nX-From-Server: 1\r\nContent-Length: 0\r\n\r\n");
        w.proxy(&sections(frontend, backend));
        let mut c = w.client("fe");
        c.get("/", fields).response();
        c.close();
    });
}

macro_rules! seen {
    ($($name:ident: $frontend:expr, $backend:expr, $fields:expr;)*) => {
        $(#[test]
        fn $name() {
            seen(stringify!($name), $frontend, $backend, $fields);
        })*
    };
}

seen! {
    destination_in_rules_of_the_backend: "option httplog",
        "http-request set-header x-dst %[dst] if { dst_port ge 1 }\nhttp-request set-header x-fc %[fc_dst]", "";
    destination_of_an_id: "option httplog\nunique-id-format %fi-%[dst]\nunique-id-header x-u", "", "";
    forwardfor: "option forwardfor", "", "";
    forwardfor_in_the_backend: "", "option forwardfor", "";
    forwardfor_in_both: "option forwardfor", "option forwardfor", "";
    forwardfor_is_added_to_one: "option forwardfor", "", "X-Forwarded-For: 10.0.0.1\r\n";
    forwardfor_except_network: "option forwardfor except 127.0.0.0/8", "", "";
    forwardfor_except_other_network: "option forwardfor except 10.0.0.0/8", "", "";
    forwardfor_header: "option forwardfor header X-Client", "", "";
    forwardfor_if_none: "option forwardfor if-none", "", "X-Forwarded-For: 10.0.0.1\r\n";
    forwardfor_if_none_without: "option forwardfor if-none", "", "";
    originalto: "option originalto", "", "";
    originalto_header: "option originalto header X-Dest", "", "";
    originalto_except: "option originalto except 127.0.0.1", "", "";
    forwarded: "", "option forwarded", "";
    forwarded_proto_for: "", "option forwarded proto for", "";
    forwarded_with_port: "", "option forwarded proto host by by_port for", "";
    forwarded_expressions: "", "option forwarded host-expr str(a.test) for-expr str(10.1.2.3)", "";
    send_name_header: "", "http-send-name-header X-Server", "";
    send_name_header_replaces: "", "http-send-name-header X-Server", "X-Server: lie\r\n";
    restrict_names_preserve: "", "option http-restrict-req-hdr-names preserve", "x_under: 1\r\nX.dot: 2\r\nok-1: 3\r\n";
    restrict_names_delete: "", "option http-restrict-req-hdr-names delete", "x_under: 1\r\nX.dot: 2\r\nok-1: 3\r\n";
    restrict_names_reject: "", "option http-restrict-req-hdr-names reject", "x_under: 1\r\n";
    use_proxy_header: "option http-use-proxy-header", "", "Proxy-Connection: keep-alive\r\n";
    set_add_del_header: "http-request set-header X-A new\nhttp-request add-header X-B two\nhttp-request del-header X-C", "",
        "X-A: old\r\nX-B: one\r\nX-C: gone\r\nX-A: older\r\n";
    del_header_by_prefix: "http-request del-header X- -m beg", "", "X-A: 1\r\nX-B: 2\r\nY: 3\r\n";
    response_headers: "", "http-response set-header X-From-Server 2\nhttp-response add-header X-More yes", "";
    set_header_from_source: "http-request set-header X-Src %[src]\nhttp-request set-header X-Line \"%[method] %[path]\"", "", "";
    conditional_header: "http-request set-header X-If yes if { path / }\nhttp-request set-header X-Not yes unless { path / }", "", "";
}

#[test]
fn h1_case_adjust() {
    scenario("fields/h1_case_adjust", |w| {
        w.answering("o1", "HTTP/1.1 200 OK\r\nx-from-server: 1\r\nContent-Length: 0\r\n\r\n");
        w.file(
            "cases",
            "x-wiRED X-WIRED\ncontent-length Content-Length\nx-from-server X-From-SERVER\nhost HOST\n",
        );
        w.proxy(
            "
global
  h1-case-adjust x-one X-One
  h1-case-adjust-file ${dir}/cases
defaults
  mode http
  timeout connect 10s
  timeout client 30s
  timeout server 30s
frontend fe
  bind 127.0.0.1:${fe}
  option h1-case-adjust-bogus-client
  default_backend be
backend be
  option h1-case-adjust-bogus-server
  server s1 127.0.0.1:${o1}
",
        );
        let mut c = w.client("fe");
        c.get("/", "x-one: 1\r\nx-two: 2\r\n").response();
        c.close();
    });
}
