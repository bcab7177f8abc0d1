//! The expression language and the formats, many expressions in one answer (manual chapter 7 and section 8.2.6).
use crate::sections;
use portcullis_e2e::scenario;

/// What a request is answered with when each of these formats is a line of the answer.
fn formats(name: &str, before: &str, lines: &[&str]) {
    scenario(&format!("language/{name}"), |w| {
        w.ok("o1");
        w.file("lf", &lines.iter().map(|l| format!("{l}\n")).collect::<String>());
        let answer = "http-request return status 200 content-type text/plain lf-file ${dir}/lf";
        w.proxy(&sections(&format!("{before}\n{answer}"), ""));
        w.client("fe").get("/path?q=1", "X: a\"b\\c</s>\r\nConnection: close\r\n").read_to_end();
        w.forget_logs();
    });
}

/// The log line of a request that a server answers, in this format.
fn logged(name: &str, before: &str, format: &str) {
    scenario(&format!("language/{name}"), |w| {
        w.ok("o1");
        let format = format.replace('"', "\\\"");
        w.proxy(&sections(&format!("{before}\nlog-format \"{format}\""), ""));
        w.client("fe").get("/path?q=1", "X: a\"b\\c</s>\r\nConnection: close\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn connections_and_streams() {
    formats(
        "connections_and_streams",
        "acl yes path_beg /pa\nacl no path /other\nhttp-request set-priority-offset int(3) if no",
        &[
            "err <%[fc_err]> <%[fc_err_name]> <%[fc_err_str]> glitches <%[fc_glitches]>",
            "streams <%[fc_nb_streams]> <%[fc_settings_streams_limit]> id <%[fs.id]> <%[fs.aborted]> <%[fs.rst_code]>",
            "unacked <%[fc_unacked]> lost <%[fc_lost]> retrans <%[fc_retrans]> fackets <%[fc_fackets]>",
            "timeout <%[cur_client_timeout]> conn <%[dst_conn]> prio <%[prio_class]> <%[prio_offset]>",
            "acl <%[acl(yes)]> <%[acl(!yes)]> <%[acl(yes,no)]> <%[acl(yes,!no)]> <%[acl(TRUE)]> <%[acl(no)]>",
            "waiting <%[waiting_entity]> syn <%[fc_saved_syn]> told <%[fc_pp_authority]> <%[fc_pp_tlv(5)]>",
            "line <%r> <%HU> <%HP> <%HQ> <%HM> <%HV>",
        ],
    );
}

#[test]
fn connections_in_the_log() {
    logged(
        "connections_in_the_log",
        "",
        "err <%[bc_err]> <%[bc_err_name]> <%[bc_err_str]> <%[fc_err]> <%[fc_err_name]> glitches <%[bc_glitches]> \
         major <%[bc_http_major]> streams <%[bc_nb_streams]> <%[bc_settings_streams_limit]> id <%[bs.id]> \
         <%[fs.id]> <%[bs.aborted]> <%[bs.rst_code]> reused <%[bc_reused]> bytes <%[req.bytes_in]> \
         <%[req.bytes_out]> <%[res.bytes_in]> <%[res.bytes_out]> retries <%[cur_max_retries]> server \
         <%[cur_server_timeout]> connect <%[cur_connect_timeout]> queue <%[cur_queue_timeout]> tarpit \
         <%[cur_tarpit_timeout]> tunnel <%[cur_tunnel_timeout]> last <%[last_entity]>",
    );
}

#[test]
fn a_server_that_refuses() {
    scenario("language/a_server_that_refuses", |w| {
        w.proxy(&sections(
            "log-format \"%[bc_err] %[bc_err_name] %[bc_err_str] %[bs.id] %tsc\"",
            "retries 0",
        ));
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn json() {
    logged(
        "json",
        "capture request header X len 20\nhttp-request set-var(txn.e) str()",
        "before %{+json}o %(ip)ci after %(st)ST %(b)B %(r)r %(ts)tsc %(hr)hr %(hrl)hrl %(hs)hs %(hsl)hsl %ci \
         %(cc)CC %(f)f %(ft)ft %(Tw:str)Tw %(i:sint)[str(12a)] %(j:str)[int(5)] %(k:bool)[int(5)] \
         %(l:bool)[str(x)] %(m)[bool(true)] %(n)[method] %(o)[var(txn.none)] %(e)[var(txn.e)] %(x)[src] \
         %(neg)[int(-5)] %(u:raw)[str(a)] %()ci %(lc)lc %(og)OG %(sp)ST",
    );
}

#[test]
fn json_of_single_items() {
    logged(
        "json_of_single_items",
        "capture request header X len 20",
        "%(x){+json}ci %{+json}B %{+json}[bool(true)] %{+json}[var(txn.none)] %{+json}hr %{+json}hrl %{+json}hs \
         %{+json}r %(a:str)ci %(:sint)[str(7)] %{+cbor}B %{+cbor}[bool(false)] %{+cbor}[bin(0011)] %{+cbor}ci",
    );
}

#[test]
fn cbor() {
    logged(
        "cbor",
        "capture request header X len 20",
        "%{+cbor}o %(ip)ci %(st)ST %(r)r %(hr)hr %(hrl)hrl %(hs)hs %(n)[int(-5)] %(big)[int(70000)] \
         %(b)[bool(true)] %(u)[var(txn.none)] %(bin)[bin(0011ff22)] %(i24)[int(24)] %(i23)[int(23)] \
         %(i32)[int(4294967296)] %(a6)[ipv6(::1)] %(m)[method] %(f)f %(ft)ft %(hu)HU",
    );
}

#[test]
fn plain_text_formats() {
    formats(
        "plain_text_formats",
        "http-request set-var-fmt(txn.a) \"%[bin(0d0a41)] %{+Q}[path] %{+M}[str()]\"\n\
         http-request set-var-fmt(txn.j) \"%{+json}o %(a)[path] %(b)[int(5)]\"\n\
         http-request set-var-fmt(txn.c) \"%{+cbor,+bin}o %(a)[path]\"\n\
         http-request set-var-fmt(txn.b) \"%{+bin}o %[bin(0001ff)]\"",
        &[
            "<%[var(txn.a)]> <%{+Q}[path]> <%[req.hdrs]>",
            "<%[var(txn.j)]> <%[var(txn.c),hex]> <%[var(txn.b),hex]>",
        ],
    );
}

#[test]
fn captures_by_converters() {
    logged(
        "captures_by_converters",
        "declare capture request len 4\ndeclare capture response len 4\n\
         http-request set-var(txn.a) path,capture-req(0),upper\nhttp-request set-var(txn.b) path,capture-req(1)\n\
         http-response set-var(txn.c) status,capture-res(0)",
        "%hr %hs <%[var(txn.a)]> <%[var(txn.b)]> <%[var(txn.c)]>",
    );
}

#[test]
fn binary_headers() {
    scenario("language/binary_headers", |w| {
        w.ok("o1");
        let rules = [
            ("add", "add-headers-bin var(txn.h)"),
            ("addp", "add-headers-bin var(txn.h) prefix x-"),
            ("upper", "add-headers-bin var(txn.h) prefix X-"),
            ("setp", "set-headers-bin var(txn.h) prefix x-"),
            ("set", "set-headers-bin bin(01610178016101790000)"),
            ("cut", "add-headers-bin bin(0161017801)"),
            ("none", "add-headers-bin var(txn.none)"),
            ("del", "del-headers-bin bin(03582d4100)"),
            ("delbeg", "del-headers-bin bin(02782d00) -m beg"),
            ("delend", "del-headers-bin bin(022d6200) -m end"),
            ("delsub", "del-headers-bin bin(012d00) -m sub"),
            ("delcut", "del-headers-bin bin(03782d61)"),
        ];
        let mut text = "http-request set-var(txn.h) req.hdrs_bin\n".to_owned();
        for (path, rule) in rules {
            text += &format!("http-request {rule} if {{ path /{path} }}\n");
        }
        text += "http-request return status 200 content-type text/plain lf-string %[req.hdrs]";
        w.proxy(&sections(&text, ""));
        for (path, _) in rules {
            let headers = "X-A: 1\r\nx-a: 2\r\nX-B: 3\r\nA: z\r\nConnection: close\r\n";
            w.client("fe").get(&format!("/{path}"), headers).read_to_end();
        }
        w.forget_logs();
    });
}

#[test]
fn origin_of_log_lines() {
    for (name, mode, option) in [
        ("close", "http", ""),
        ("asap", "http", "option logasap"),
        ("tcp_close", "tcp", ""),
        ("tcp_asap", "tcp", "option logasap"),
    ] {
        scenario(&format!("language/origin_of_log_lines_{name}"), |w| {
            w.ok("o1");
            let both = format!("mode {mode}");
            w.proxy(&sections(&format!("{both}\n{option}\nlog-format \"%OG %B %ts\""), &both));
            w.client("fe").get("/", "Connection: close\r\n").read_to_end();
            w.logs(1);
        });
    }
}

#[test]
fn values_of_a_proxy_header() {
    scenario("language/values_of_a_proxy_header", |w| {
        w.proxy(
            "frontend fe\n  bind 127.0.0.1:${fe} accept-proxy\n  error-log-format \"%[fc_err] %[fc_err_name] %[fc_err_str] %[bc_err] %[fs.id]\"\n  http-request return status 200 content-type text/plain lf-string \"%[fc_rcvd_proxy] %[fc_pp_authority] %[fc_pp_unique_id] %[fc_pp_tlv(0xe0)] %[fc_pp_tlv(ALPN)] %[fc_pp_tlv(SSL_CN)] %[src]\"\n",
        );
        let values = b"\x02\0\x04host\x05\0\x03uid\xe0\0\x01x\xe0\0\x01y";
        let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0".to_vec();
        header.push(12 + values.len() as u8);
        header.extend_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2, 0, 9, 0, 80]);
        header.extend_from_slice(values);
        let request = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        w.client("fe").send([&header[..], request].concat()).read_to_end();
        w.client("fe").send([&b"PROXY TCP4 10.0.0.1 10.0.0.2 9 80\r\n"[..], request].concat()).read_to_end();
        w.client("fe").send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").read_to_end();
        w.logs(3);
    });
}

const PROFILES: &str = "log-profile p1\n  log-tag tagged\n  on any format \"p1 %OG\"\n  on close format \"p1 end\" sd \"[x y=1]\"\n  on http-req drop\nlog-profile p2\n  on any format \"p2 %OG\"\n  on http-res sd \"[only data=1]\"\n";

/// A frontend with these lines that logs three times: without and with a profile.
fn profiled(lines: &str) -> String {
    let logs: String = ["", "profile p1 ", "profile p2 "]
        .iter()
        .map(|p| format!("  log 127.0.0.1:${{log}} format rfc5424 {p}local0\n"))
        .collect();
    format!(
        "{PROFILES}defaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\nfrontend fe\n  bind 127.0.0.1:${{fe}}\n  option httplog\n{logs}  log-format \"plain %OG %b\"\n  log-format-sd \"[sd a=%OG]\"\n  error-log-format \"wrong %OG\"\n{}  default_backend be\nbackend be\n  http-request do-log\n  http-response do-log\n  server s1 127.0.0.1:${{o1}}\n",
        crate::indent(lines)
    )
}

/// What these lines are beside their times and process ids, which nothing masks in this framing.
fn without_times(w: &mut portcullis_e2e::World, lines: usize) {
    for line in w.logs(lines) {
        let mut parts = line.splitn(3, " - ");
        let tag = parts.nth(1).and_then(|t| t.split(' ').next()).unwrap_or_default();
        let tag = if tag == "tagged" { tag } else { "own" };
        w.note(format!("{tag} {}", parts.next().unwrap_or_default()));
    }
    w.forget_logs();
}

#[test]
fn lines_while_rules_run() {
    scenario("language/lines_while_rules_run", |w| {
        w.ok("o1");
        w.proxy(&profiled(
            "tcp-request connection do-log\ntcp-request session do-log\ntcp-request content do-log\n\
             http-request do-log profile p2 if { path /p2 }\nhttp-request do-log\nhttp-response do-log\n\
             http-after-response do-log\nlog-steps connect",
        ));
        w.client("fe").get("/p2", "Connection: close\r\n").read_to_end();
        w.logs(28);
        w.client("fe").send("BAD\r\n\r\n").read_to_end();
        without_times(w, 37);
    });
}

#[test]
fn steps_of_a_stream() {
    for (name, steps, lines) in [
        ("all", "all", 20),
        ("some", "accept,response", 11),
        ("no_end", "connect", 8),
        ("nothing_normal", "accept,close\noption dontlog-normal", 5),
    ] {
        scenario(&format!("language/steps_of_a_stream_{name}"), |w| {
            w.ok("o1");
            w.proxy(&profiled(&format!("log-steps {steps}")));
            w.client("fe").get("/", "Connection: close\r\n").read_to_end();
            without_times(w, lines);
        });
    }
}

/// An id is made when it is first asked for, or as the request leaves for its server, and shown in every line.
#[test]
fn ids_are_made_before_servers() {
    for (name, rules) in [
        ("nobody", "log-steps request,close"),
        ("header", "unique-id-header x-id"),
        ("rule", "http-request set-var(txn.i) unique-id"),
        ("late", "http-response set-header x-id %ID"),
    ] {
        scenario(&format!("language/ids_are_made_before_servers_{name}"), |w| {
            w.ok("o1");
            w.proxy(&crate::sections(
                &format!(
                    "unique-id-format \"%HU %[req.hdr(x)] %[path] %b %s %ST %TR %tsc %[var(txn.a)]\"
                     {rules}
                     http-request set-header x new
                     http-request set-path /new
                     http-request set-var(txn.a) str(a)
                     log-format %ID"
                ),
                "",
            ));
            w.client("fe").get("/p?a=1", "x: old\r\nConnection: close\r\n").read_to_end();
            w.logs(if name == "nobody" { 2 } else { 1 });
        });
    }
}

/// Blanks that a rule wrote around a value, IPv4 within IPv6, and a query that is not there.
#[test]
fn values_on_their_edges() {
    scenario("language/values_on_their_edges", |w| {
        w.proxy(
            "global
  log 127.0.0.1:${log} local0
  nbthread 1
defaults
  mode http
  log global
  timeout client 10s
  timeout server 10s
  timeout connect 10s
  log-format \"<%HQ> <%{+Q}HQ> <%[src]> <%ci> <%[dst]> <%fi>\"
frontend fe
  bind 127.0.0.1:${fe} accept-proxy
  http-request set-header y \" a b \"
  http-request add-header z \" %[path] , c \"
  http-request return status 200 hdr y <%[req.hdr(y)]><%[req.fhdr(y)]> hdr z <%[req.hdr(z,1)]><%[req.hdr(z)]><%[req.fhdr(z)]> hdr found yes hdr a <%[src]><%[src,ipmask(8,32)]><%[dst]> if { req.hdr(y) \"a b\" } { src 1.2.0.0/16 2001:db8::/32 }
  http-request return status 200
",
        );
        for (client, path) in [
            ("TCP4 1.2.3.4 5.6.7.8", "/x"),
            ("TCP6 ::ffff:1.2.3.4 ::ffff:5.6.7.8", "/x?a=b"),
            ("TCP6 2001:db8::1 ::2", "/x"),
        ] {
            let mut c = w.client("fe");
            c.send(format!(
                "PROXY {client} 1111 2222\r\nGET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            ));
            c.read_to_end();
        }
        w.logs(3);
    });
}

/// Our address towards the server while rules of the response run.
#[test]
fn our_side_of_a_server_in_rules() {
    scenario("language/our_side_of_a_server_in_rules", |w| {
        w.ok("o1");
        w.proxy(
            "defaults
  mode http
  timeout client 10s
  timeout server 10s
  timeout connect 10s
listen fe
  bind 127.0.0.1:${fe}
  http-response set-header x <%[bc_src]><%[bc_src_port,bool]>
  http-response set-header y yes if { bc_src 127.0.0.0/8 }
  http-after-response set-header z <%[bc_src]>
  server s1 127.0.0.1:${o1}
",
        );
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
    });
}

/// Variables that the configuration sets are the process'.
#[test]
fn environment_of_the_process() {
    scenario("language/environment_of_the_process", |w| {
        w.proxy(
            "global
  stats socket ${dir}/cli level admin
  setenv FOO bar
  presetenv FOO other
  presetenv TWO 2
  setenv GONE x
  unsetenv GONE
defaults
  mode http
  timeout client 10s
  timeout server 10s
  timeout connect 10s
frontend fe
  bind 127.0.0.1:${fe}
  http-request return status 200 hdr x <%[env(FOO)]><%[env(TWO)]><%[env(GONE)]><%[env(HAPROXY_BRANCH)]>
",
        );
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        for name in ["FOO", "TWO", "GONE", "HAPROXY_BRANCH"] {
            w.note(format!("{name}: {}", crate::runtime_api::ask(w, &format!("show env {name}")).trim()));
        }
    });
}
