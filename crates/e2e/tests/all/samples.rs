//! Samples where they are rarely asked for: messages of HTTP in TCP rules, bytes of other protocols, connections, TLS, what
//! a response's conditions see (manual sections 7.3.3 to 7.3.6).
use crate::sections;
use crate::tls::{openssl, own, signed};
use portcullis_e2e::{World, scenario};

const TCP: &str = "global
  log 127.0.0.1:${log} len 8192 local0
  nbthread 1
defaults
  mode tcp
  log global
  timeout connect 5s
  timeout client 30s
  timeout server 30s
";

/// Rules that keep each expression, and the log format that shows them.
fn kept(set: &str, expressions: &[&str]) -> (String, String) {
    let rules =
        expressions.iter().enumerate().map(|(i, e)| format!("  {set} set-var(sess.v{i}) {e}\n")).collect();
    let shown: Vec<String> = expressions
        .iter()
        .enumerate()
        .map(|(i, e)| format!("{}=<%[var(sess.v{i}),hex]>", named(e)))
        .collect();
    (rules, format!("  log-format \"{}\"\n", shown.join(" ")))
}

fn named(expression: &str) -> String {
    expression.replace('%', "%%").replace('"', "")
}

/// Each of these sends is logged with what a TCP frontend made of it.
fn inspected(w: &mut World, before: &str, expressions: &[&str], sends: &[&[u8]]) {
    let (rules, format) = kept("tcp-request content", expressions);
    w.proxy(&format!(
        "{TCP}frontend fe\n  bind 127.0.0.1:${{fe}}\n  tcp-request inspect-delay 20s\n{before}{rules}  tcp-request content reject\n{format}"
    ));
    for bytes in sends {
        w.client("fe").send(bytes).half_close().read_to_end();
        w.logs(1);
    }
}

#[test]
fn requests_in_tcp_rules() {
    scenario("samples/requests_in_tcp_rules", |w| {
        inspected(
            w,
            "  tcp-request content reject if !HTTP\n",
            &[
                "req.proto_http",
                "req_proto_http",
                "req.ver",
                "method",
                "url",
                "path",
                "pathq",
                "query",
                "base",
                "req.hdr(host)",
                "req.fhdr(x-a)",
                "req.hdr(x-a)",
                "req.cook(a)",
                "urlp(a)",
                "req.hdr_ip(x-ip)",
                "base32",
                "http_auth_type",
                "req.body_len",
                "req.len",
                "req.payload(0,8)",
                "wait_end",
                "http_first_req",
                "fc_http_major",
            ],
            &[
                b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
                b"GET /a?a=1&b HTTP/1.0\r\n\r\n",
                b"POST /p?a=q HTTP/1.1\r\nHost: H:80\r\nX-A: 1, 2\r\nCookie: a=c\r\nX-IP: 1.2.3.4\r\nContent-Length: 7\r\n\r\na=b&c=d",
                b"GET http://u@x.y:81/z?a=b HTTP/1.1\r\nHost: other\r\nAuthorization: Basic dTpw\r\n\r\n",
                b"GET / HTTP/1.1\nHost: h\n\n",
                b"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\nmore bytes",
                b"GET / HTTP/1.1\r\nHost: h\r\n",
                b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
                b"SSH-2.0-x\r\n\r\n",
                b"",
            ],
        );
    });
}

#[test]
fn requests_in_tcp_rules_in_front_of_http() {
    scenario("samples/requests_in_tcp_rules_in_front_of_http", |w| {
        let (rules, format) = kept(
            "tcp-request content",
            &[
                "method",
                "path",
                "req.hdr(host)",
                "wait_end",
                "req.ver",
                "req.body",
                "http_first_req",
                "urlp(a)",
            ],
        );
        w.proxy(&format!(
            "{TCP}frontend fe\n  mode http\n  bind 127.0.0.1:${{fe}}\n  tcp-request content reject if {{ path_beg /no }}\n{rules}  http-request return status 200\n{format}"
        ));
        for request in [
            "GET /a?a=b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
            "GET /no HTTP/1.1\r\nHost: h\r\n\r\n",
        ] {
            w.client("fe").send(request).read_to_end();
            w.logs(1);
        }
    });
}

#[test]
fn switching_by_what_a_tcp_stream_says() {
    scenario("samples/switching_by_what_a_tcp_stream_says", |w| {
        w.answering("o1", "first\n");
        w.answering("o2", "second\n");
        w.proxy(&format!(
            "{TCP}frontend fe\n  bind 127.0.0.1:${{fe}}\n  option tcplog\n  tcp-request inspect-delay 20s\n  tcp-request content accept if HTTP\n  use_backend b2 if {{ req.hdr(host) -i two.test }} || {{ path_beg /two }}\n  default_backend b1\nbackend b1\n  server s1 127.0.0.1:${{o1}}\nbackend b2\n  server s2 127.0.0.1:${{o2}}\n"
        ));
        for request in [
            "GET / HTTP/1.1\r\nHost: one.test\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: two.test\r\n\r\n",
            "GET /two HTTP/1.1\r\n\r\n",
        ] {
            w.client("fe").send(request).half_close().read_to_end();
            w.logs(1);
        }
    });
}

/// `tcp-request content switch-mode`: one port for HTTP and for something else.
#[test]
fn switch_mode() {
    scenario("samples/switch_mode", |w| {
        w.answering("o1", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        w.answering("o2", "raw\n");
        w.proxy(&format!(
            "{TCP}frontend fe\n  bind 127.0.0.1:${{fe}}\n  log-format \"%ft %b %ST %ts %HM %HP\"\n  tcp-request inspect-delay 20s\n  tcp-request content switch-mode http if HTTP\n  tcp-request content reject if {{ req.payload(0,3) -m str BAD }}\n  use_backend web if HTTP\n  default_backend raw\nbackend web\n  mode http\n  http-request set-header x-path %[path]\n  server s1 127.0.0.1:${{o1}}\nbackend raw\n  server s2 127.0.0.1:${{o2}}\n"
        ));
        w.client("fe").send("GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").read_to_end();
        w.logs(1);
        w.client("fe").send("SSH-2.0-x\r\n\r\n").half_close().read_to_end();
        w.logs(1);
        w.client("fe").send("BADBAD\r\n").half_close().read_to_end();
        w.logs(1);
    });
}

/// A ClientHello of TLS 1.3 with everything that samples look for.
fn hello() -> Vec<u8> {
    fn part(width: usize, content: &[u8]) -> Vec<u8> {
        let len = content.len().to_be_bytes();
        [&len[len.len() - width..], content].concat()
    }
    let extension = |id: u16, content: &[u8]| [&id.to_be_bytes()[..], &part(2, content)].concat();
    let name = part(2, &[&b"\0"[..], &part(2, b"www.Example.test")].concat());
    let protocols = part(2, &[part(1, b"h2"), part(1, b"http/1.1")].concat());
    let shares = part(2, &[&b"\x00\x1d"[..], &part(2, &[7; 32]), b"\x6a\x6a", &part(2, b"\0")].concat());
    let extensions = [
        extension(0x6a6a, b""),
        extension(0, &name),
        extension(16, &protocols),
        extension(10, &part(2, b"\x6a\x6a\x00\x1d\x00\x17")),
        extension(11, &part(1, b"\0")),
        extension(13, &part(2, b"\x04\x03\x08\x04")),
        extension(35, b""),
        extension(43, &part(1, b"\x6a\x6a\x03\x04\x03\x03")),
        extension(51, &shares),
    ]
    .concat();
    let body = [
        &b"\x03\x03"[..],
        &[9; 32],
        &part(1, &[8; 32]),
        &part(2, b"\x6a\x6a\x13\x01\x13\x02\xc0\x2b"),
        &part(1, b"\0"),
        &part(2, &extensions),
    ]
    .concat();
    let message = [&b"\x01"[..], &part(3, &body)].concat();
    [&b"\x16\x03\x01"[..], &part(2, &message)].concat()
}

#[test]
fn what_a_client_hello_says() {
    scenario("samples/what_a_client_hello_says", |w| {
        let whole = hello();
        inspected(
            w,
            "  tcp-request content reject if !{ req.ssl_hello_type 1 }\n",
            &[
                "req.ssl_hello_type",
                "req_ssl_hello_type",
                "req.ssl_ver",
                "req_ssl_ver",
                "req.ssl_sni",
                "req_ssl_sni",
                "req.ssl_alpn",
                "req.ssl_cipherlist",
                "req.ssl_ec_ext",
                "req.ssl_st_ext",
                "req.ssl_keyshare_groups",
                "req.ssl_sigalgs",
                "req.ssl_supported_groups",
                "rdp_cookie",
                "req.rdp_cookie(x)",
                "req.len",
            ],
            &[
                &whole,
                &whole[..100],
                b"\x16\x03\x01\x00\x01\x02",
                b"GET / HTTP/1.1\r\n\r\n",
                b"\x80\x2e\x01\x03\x01",
            ],
        );
    });
}

#[test]
fn conditions_on_a_client_hello() {
    scenario("samples/conditions_on_a_client_hello", |w| {
        let mut conditions = String::new();
        for (i, condition) in [
            "req_ssl_sni -i www.example.test",
            "req_ssl_sni www.example.test",
            "req_ssl_ver 3.3",
            "req_ssl_ver 3.0:3.2",
            "req.ssl_ver 3.4",
            "payload_lv(3,2) -m len 1000:",
            "payload(0,3) -m bin 160301",
            "req_rdp_cookie none",
            "req_rdp_cookie_cnt 0",
            "req_rdp_cookie_cnt gt 0",
        ]
        .iter()
        .enumerate()
        {
            conditions.push_str(&format!(
                "  tcp-request content set-var(sess.v{i}) str(yes) if {{ {condition} }}\n"
            ));
        }
        let shown: String = (0..10).map(|i| format!("<%[var(sess.v{i})]>")).collect();
        w.proxy(&format!(
            "{TCP}frontend fe\n  bind 127.0.0.1:${{fe}}\n  tcp-request inspect-delay 20s\n{conditions}  tcp-request content reject\n  log-format \"{shown}\"\n"
        ));
        let rdp = b"\x03\x00\x00\x28\x23\xe0\x00\x00\x00\x00\x00Cookie: msts=none.1234\r\n\x01\x00\x08\x00\x00\x00\x00";
        for bytes in [&hello()[..], rdp, b"none"] {
            w.client("fe").send(bytes).half_close().read_to_end();
            w.logs(1);
        }
    });
}

#[test]
fn bytes_with_lengths_and_cookies_of_rdp() {
    scenario("samples/bytes_with_lengths_and_cookies_of_rdp", |w| {
        let mut rdp =
            b"\x03\x00\x00\x2a\x25\xe0\x00\x00\x00\x00\x00Cookie: msts=3640205228.5 0.1\r\n".to_vec();
        rdp.extend_from_slice(b"\x01\x00\x08\x00\x00\x00\x00");
        inspected(
            w,
            "  tcp-request content reject if !{ wait_end }\n",
            &[
                "payload_lv(0,1)",
                "payload_lv(0,2)",
                "req.payload_lv(1,1)",
                "payload_lv(2,2)",
                "payload(1,2)",
                "req.payload(0,0)",
                "rdp_cookie",
                "rdp_cookie(msts)",
                "rdp_cookie(mstshash)",
                "rdp_cookie_cnt",
                "req.rdp_cookie",
                "req.rdp_cookie_cnt(msts)",
            ],
            &[b"\x03abcdef", b"\x00\x02xyz", b"\x02\xffz", b"\xff\xff\xff", &rdp, &rdp[..20]],
        );
    });
}

#[test]
fn a_server_hello() {
    scenario("samples/a_server_hello", |w| {
        for (name, bytes) in [
            ("o1", "\x16\x03\x03\x00\x04\x02\x00\x00\x00"),
            ("o2", "\x16\x03\x03\x00\x04\x0e\x00\x00\x00"),
            ("o3", "HTTP/1.1 200 OK\r\n\r\n"),
        ] {
            w.origin(name, move |mut c| {
                c.take(1);
                c.send_quietly(bytes.as_bytes());
            });
        }
        let listen = |n: u8| {
            format!(
                "listen l{n}\n  bind 127.0.0.1:${{l{n}}}\n  tcp-response inspect-delay 10s\n  tcp-response content set-var(sess.lv) res.payload_lv(3,2) if {{ res.len gt 8 }}\n  tcp-response content set-var(sess.p) res.payload(0,3) if {{ res.len gt 8 }}\n  tcp-response content reject if {{ rep_ssl_hello_type 2 }}\n  tcp-response content accept if {{ res.ssl_hello_type 14 }}\n  log-format \"%[var(sess.lv),hex] %[var(sess.p),hex]\"\n  server s 127.0.0.1:${{o{n}}}\n"
            )
        };
        w.proxy(&format!("{TCP}{}{}{}", listen(1), listen(2), listen(3)));
        for port in ["l1", "l2", "l3"] {
            w.client(port).send("x").half_close().read_to_end();
            w.logs(1);
        }
        w.forget_origins();
    });
}

#[test]
fn addresses_of_both_connections() {
    scenario("samples/addresses_of_both_connections", |w| {
        w.ok("o1");
        w.proxy(&sections(
            "http-request set-src hdr(x-src)\nhttp-request set-dst ipv4(192.0.2.9)\nhttp-request set-dst-port int(99)\n\
             http-request set-var(txn.a) fc_dst_is_local\nhttp-request set-var(txn.b) fc_src_is_local\n\
             http-request set-var(txn.c) src_is_local\nhttp-request set-var(txn.d) dst_is_local\n\
             log-format \"src %[src] %[fc_src] %[fc_src_port,length] dst %[dst] %[fc_dst] %[fc_dst_port] %[dst_port] \
             server %[bc_dst] %[bc_dst_port] %[bc_src] %[bc_src_port,length] local %[var(txn.a)] %[var(txn.b)] \
             %[var(txn.c)] %[var(txn.d)] none %[always_false] queue %[bc_be_queue] %[bc_srv_queue] \
             in %[bytes_in,length] out %[bytes_out,length]\"",
            "",
        ));
        w.client("fe").get("/", "X-Src: 192.0.2.1\r\nConnection: close\r\n").read_to_end();
        w.logs(1);
    });
}

/// What cannot be the same twice: how long it is, or that it is there.
#[test]
fn times_and_counts() {
    scenario("samples/times_and_counts", |w| {
        w.ok("o1");
        let there = |names: &[&str]| -> String {
            let tests = names.iter().map(|n| format!("{}=%[{n},length,iif(there,there)]", named(n)));
            tests.collect::<Vec<_>>().join(" ")
        };
        let times = there(&[
            "accept_date",
            "accept_date(ms)",
            "request_date(us)",
            "date_us",
            "uptime",
            "fc_rtt",
            "fc_rtt(us)",
            "fc_rttvar",
            "bc_rtt",
            "bc_rttvar(us)",
            "fc_reordering",
            "fc_sacked",
            "fc.timer.handshake",
            "fc.timer.total",
            "bc.timer.connect",
            "req.timer.queue",
            "res.timer.data",
            "txn.timer.total",
            "txn.timer.user",
            "txn.id32",
            "cpu_calls",
            "cpu_ns_avg",
            "cpu_ns_tot",
            "lat_ns_avg",
            "lat_ns_tot",
            "cpu_usage_grp",
            "cpu_usage_proc",
            "cpu_usage_thr",
            "fs.debug_str",
            "bs.debug_str",
        ]);
        w.proxy(&sections(
            &format!(
                "http-request set-var(txn.t1) req.timer.idle,iif(there,there)\nhttp-request set-var(txn.t2) req.timer.hdr,iif(there,there)\nhttp-request set-var(txn.t3) req.timer.tq,iif(there,there)\nhttp-response set-var(txn.t4) res.timer.hdr,iif(there,there)\nhttp-request set-var(sess.b) str(x)\ncapture response header Content-Length len 5\n\
                 log-format \"{times} state %[txn.sess_term_state] rule %[last_rule_file,length] {} %[fe_req_rate] \
                 %[fe_sess_rate] %[srv_sess_rate(be/s1)] captured %[capture.res.hdr(0)]\"",
                "%[var(txn.t1)] %[var(txn.t2)] %[var(txn.t3)] %[var(txn.t4)] %[dump_all_vars(sess)]"
            ),
            "",
        ));
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn conditions_on_responses() {
    scenario("samples/conditions_on_responses", |w| {
        w.answering(
            "o1",
            "HTTP/1.1 200 OK\r\nX-H: /one/two.three/four, five\r\nSet-Cookie: c=/a/b.c/d; Path=/\r\nContent-Length: 0\r\n\r\n",
        );
        let conditions = [
            "scook(c) /a/b.c/d",
            "scook(c) five",
            "scook(c) x",
            "scook_beg(c) /a",
            "scook_beg(c) /one",
            "scook_beg(c) fi",
            "scook_dir(c) b.c",
            "scook_dir(c) two.three",
            "scook_dir(c) wo",
            "scook_dom(c) b",
            "scook_dom(c) three",
            "scook_dom(c) hre",
            "scook_end(c) d",
            "scook_end(c) four",
            "scook_end(c) ive",
            "scook_len(c) 8",
            "scook_len(c) 4",
            "scook_len(c) 0:3",
            "scook_reg(c) ^/[a-z]/",
            "scook_reg(c) r$",
            "scook_reg(c) ^five$",
            "scook_sub(c) b.c",
            "scook_sub(c) two",
            "scook_sub(c) zzz",
            "shdr(x-h) /a/b.c/d",
            "shdr(x-h) five",
            "shdr(x-h) x",
            "shdr_beg(x-h) /a",
            "shdr_beg(x-h) /one",
            "shdr_beg(x-h) fi",
            "shdr_dir(x-h) b.c",
            "shdr_dir(x-h) two.three",
            "shdr_dir(x-h) wo",
            "shdr_dom(x-h) b",
            "shdr_dom(x-h) three",
            "shdr_dom(x-h) hre",
            "shdr_end(x-h) d",
            "shdr_end(x-h) four",
            "shdr_end(x-h) ive",
            "shdr_len(x-h) 8",
            "shdr_len(x-h) 4",
            "shdr_len(x-h) 0:3",
            "shdr_reg(x-h) ^/[a-z]/",
            "shdr_reg(x-h) r$",
            "shdr_reg(x-h) ^five$",
            "shdr_sub(x-h) b.c",
            "shdr_sub(x-h) two",
            "shdr_sub(x-h) zzz",
        ];
        let rule = |c: &&str| format!("http-response add-header x-yes '{c}' if {{ {c} }}\n");
        let rules: String = conditions.iter().map(rule).collect();
        w.proxy(&sections(&rules, ""));
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        w.forget_logs();
    });
}

#[test]
fn answers_know_their_status() {
    scenario("samples/answers_know_their_status", |w| {
        w.ok("o1");
        w.proxy(&sections(
            "http-request return status 418 content-type text/plain string x if { path /request }\n\
             http-response deny deny_status 429 content-type text/plain lf-string \"<%[txn.status]>\" if { capture.req.uri /response }\n\
             http-after-response set-header x-after %[txn.status]",
            "",
        ));
        for path in ["/request", "/response", "/"] {
            w.client("fe").get(path, "Connection: close\r\n").read_to_end();
        }
        w.forget_logs();
    });
}

/// The `when` converter with an ACL, in a log line.
#[test]
fn when_an_acl_says_so() {
    scenario("samples/when_an_acl_says_so", |w| {
        w.ok("o1");
        w.proxy(&sections(
            "acl named path_beg /named\nacl never always_false\nhttp-request set-var(txn.p) path\n\
             http-request return status 200 content-type text/plain lf-string \"<%[path,when(acl,named)]> <%[path,when(acl,never)]> <%[path,when(normal)]>\" if { path_end /now }\n\
             log-format \"<%[var(txn.p),when(acl,never)]> <%[var(txn.p),when(normal)]> <%[var(txn.p),when(!normal)]> <%[var(txn.p),when(error)]> <%[var(txn.p),when(toapplet)]>\"",
            "",
        ));
        for path in ["/named/now", "/other/now", "/named", "/other"] {
            w.client("fe").get(path, "Connection: close\r\n").read_to_end();
            w.logs(1);
        }
    });
}

/// Hashes of passwords are computed off the worker; what an action's format asks of them is waited for.
#[test]
fn passwords_in_formats_of_actions() {
    scenario("samples/passwords_in_formats_of_actions", |w| {
        w.ok("o1");
        let users = "userlist ul\n  group admins users ann\n  user ann password $5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA\n  user bob insecure-password bob\n";
        let actions = "http-request set-header x-known %[http_auth(ul)]
http-request set-header x-group %[http_auth_group(ul)]
http-request set-var-fmt(txn.k) \"known %[http_auth(ul)]\"
http-request add-header x-var %[var(txn.k)]
http-request set-query known=%[http_auth(ul)] if { path /query }
http-request redirect location /known/%[http_auth(ul)] if { path /redirect }
http-request return status 200 content-type text/plain lf-string \"<%[http_auth(ul)] %[http_auth_group(ul)]>\" if { path /return }
http-request capture http_auth(ul) len 5
http-request early-hint x-hint %[http_auth(ul)] if { path /hint }";
        w.proxy(&(users.to_owned() + &sections(&format!("{actions}\nlog-format \"%hr %ST\""), "")));
        let ann = "Authorization: Basic YW5uOnNlY3JldA==\r\nConnection: close\r\n";
        let bob = "Authorization: Basic Ym9iOmJvYg==\r\nConnection: close\r\n";
        let wrong = "Authorization: Basic YW5uOndyb25n\r\nConnection: close\r\n";
        for who in [ann, bob, wrong, "Connection: close\r\n"] {
            for path in ["/", "/query", "/redirect", "/return", "/hint"] {
                w.client("fe").get(path, who).read_to_end();
                w.logs(1);
            }
        }
    });
}

#[test]
fn binary_headers_go() {
    scenario("samples/binary_headers_go", |w| {
        w.answering("o1", "HTTP/1.1 200 OK\r\nX-A: 1\r\nX-B: 2\r\nAB: 3\r\nContent-Length: 0\r\n\r\n");
        w.proxy(&sections(
            "tcp-request content set-priority-offset int(5)\ntcp-request content set-priority-class int(2)\n\
             http-request set-header x-prio \"%[prio_class] %[prio_offset]\"\n\
             http-response del-headers-bin bin(03782d6100) if { status 200 }\n\
             http-after-response del-headers-bin bin(02782d00) -m beg if { capture.req.uri /after }\n\
             http-after-response del-headers-bin bin(02616200) if { capture.req.uri /ab }",
            "",
        ));
        for path in ["/", "/after", "/ab"] {
            w.client("fe").get(path, "Connection: close\r\n").read_to_end();
        }
        w.forget_logs();
    });
}

/// Authority, a client's certificate and a server's, all for one day of the same year.
fn certificates(w: &World) {
    own(w, "a", false, "DNS:a.test,IP:192.0.2.1,email:a@b.test");
    let dir = w.dir();
    openssl(dir, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ca.key");
    openssl(
        dir,
        "req -x509 -new -key ca.key -out ca.crt -subj /C=FR/O=Portcullis/CN=authority -days 3650 -addext certificatePolicies=1.2.3.4",
    );
    signed(w, "good", "-days 3650");
}

/// What is said of certificates, and of what it is only said that it is there.
const OF_CERTIFICATES: [&[&str]; 2] = [
    &[
        "ssl_f_i_dn",
        "ssl_f_s_dn",
        "ssl_f_key_alg",
        "ssl_f_sig_alg",
        "ssl_f_version",
        "ssl_f_serial,hex",
        "ssl_c_i_dn",
        "ssl_c_s_dn",
        "ssl_c_key_alg",
        "ssl_c_sig_alg",
        "ssl_c_version",
        "ssl_c_serial,hex",
        "ssl_s_i_dn",
        "ssl_s_s_dn",
        "ssl_s_key_alg",
        "ssl_s_sig_alg",
        "ssl_s_version",
        "ssl_s_serial,hex",
        "ssl_c_r_dn",
        "ssl_c_san",
        "ssl_c_policies",
    ],
    &[
        "ssl_f_der",
        "ssl_f_sha1",
        "ssl_f_notafter",
        "ssl_f_notbefore",
        "ssl_c_der",
        "ssl_c_sha1",
        "ssl_c_notafter",
        "ssl_c_notbefore",
        "ssl_s_der",
        "ssl_s_sha1",
        "ssl_s_notafter",
        "ssl_s_notbefore",
        "ssl_s_chain_der",
    ],
];

/// A format that shows these samples, and of the others that they are there.
fn shown(exact: &[&str], there: &[&str]) -> String {
    let exact = exact.iter().map(|n| format!("{n}=%[{n}]"));
    let there = there.iter().map(|n| format!("{n}=%[{n},length,iif(there,there)]"));
    exact.chain(there).collect::<Vec<_>>().join(" ")
}

#[test]
fn certificates_in_samples() {
    scenario("samples/certificates_in_samples", |w| {
        certificates(w);
        let [exact, there] = OF_CERTIFICATES;
        let shown = shown(exact, there);
        w.proxy(&format!(
            "global
  log 127.0.0.1:${{log}} len 8192 local0
  tune.ssl.capture-buffer-size 512
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
listen fe
  bind 127.0.0.1:${{fe}} ssl crt ${{dir}}/a.pem verify required ca-file ${{dir}}/ca.crt
  log global
  log-format \"{shown}\"
  server s 127.0.0.1:${{origin}} ssl verify none
listen origin
  bind 127.0.0.1:${{origin}} ssl crt ${{dir}}/a.pem
  http-request return status 200
"
        ));
        let port = w.port("fe");
        crate::tls::get(w.dir(), port, "-tls1_2 -servername a.test -cert good.crt -key good.key");
        w.logs(1);
    });
}

#[test]
fn tls_connections_in_samples() {
    scenario("samples/tls_connections_in_samples", |w| {
        certificates(w);
        let exact = [
            "ssl_fc",
            "ssl_fc_alg_keysize",
            "ssl_fc_use_keysize",
            "ssl_fc_alpn",
            "ssl_fc_npn",
            "ssl_fc_curve",
            "ssl_fc_is_resumed",
            "ssl_fc_cipher",
            "ssl_fc_protocol",
            "ssl_fc_err",
            "ssl_fc_err_str",
            "ssl_bc",
            "ssl_bc_alg_keysize",
            "ssl_bc_use_keysize",
            "ssl_bc_alpn",
            "ssl_bc_npn",
            "ssl_bc_curve",
            "ssl_bc_is_resumed",
            "ssl_bc_cipher",
            "ssl_bc_protocol",
            "ssl_bc_err",
            "ssl_bc_err_str",
            "ssl_fc_cipherlist_bin,hex",
            "ssl_fc_cipherlist_bin(1),hex",
            "ssl_fc_ecformats_bin,hex",
            "ssl_fc_eclist_bin(1),hex",
            "ssl_fc_sigalgs_bin,hex",
            "ssl_fc_supported_versions_bin,hex",
            "ssl_fc_protocol_hello_id,hex",
            "ssl_fc_cipherlist_hex",
            "ssl_fc_cipherlist_str",
            "ssl_fc_cipherlist_xxh",
            "ssl_fc_early_rcvd",
            "ssl_fc_sni",
        ];
        let there = [
            "ssl_fc_client_random",
            "ssl_fc_server_random",
            "ssl_fc_client_early_traffic_secret",
            "ssl_fc_client_handshake_traffic_secret",
            "ssl_fc_server_handshake_traffic_secret",
            "ssl_fc_client_traffic_secret_0",
            "ssl_fc_server_traffic_secret_0",
            "ssl_fc_exporter_secret",
            "ssl_fc_early_exporter_secret",
            "ssl_bc_client_random",
            "ssl_bc_server_random",
            "ssl_bc_client_early_traffic_secret",
            "ssl_bc_client_handshake_traffic_secret",
            "ssl_bc_server_handshake_traffic_secret",
            "ssl_bc_client_traffic_secret_0",
            "ssl_bc_server_traffic_secret_0",
            "ssl_bc_exporter_secret",
            "ssl_bc_early_exporter_secret",
            "ssl_fc_extlist_bin",
            "ssl_fc_crtname",
        ];
        let shown = shown(&exact, &there);
        w.proxy(&format!(
            "global
  log 127.0.0.1:${{log}} len 8192 local0
  tune.ssl.capture-buffer-size 512
  tune.ssl.keylog on
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
listen fe
  bind 127.0.0.1:${{fe}} ssl crt ${{dir}}/a.pem alpn h2,http/1.1
  log global
  log-format \"{shown}\"
  acl ends ssl_fc_sni_end .test
  acl matches ssl_fc_sni_reg ^a[.]
  http-request set-header x-sni both if ends matches
  server s 127.0.0.1:${{origin}} ssl verify none curves P-256
listen origin
  bind 127.0.0.1:${{origin}} ssl crt ${{dir}}/a.pem
  http-request return status 200 hdr x-sni \"%[req.hdr(x-sni)]\"
"
        ));
        for options in [
            "-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256:AES128-SHA -curves P-256 -sigalgs ECDSA+SHA256 -servername a.test",
            "-tls1_3 -ciphersuites TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256 -curves P-256:X25519 -sigalgs ECDSA+SHA256:RSA-PSS+SHA256 -servername b.other",
            "-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384 -curves X25519:P-256 -sigalgs ECDSA+SHA256 -alpn http/1.1 -noservername",
        ] {
            crate::tls::show(w, "fe", options);
            w.logs(1);
        }
    });
}

/// `tune.vars.*-max-size`: what does not fit is not set.
#[test]
fn limits_of_variables() {
    for (name, limit) in [
        ("none", ""),
        ("global", "tune.vars.global-max-size 1000"),
        ("proc", "tune.vars.proc-max-size 1000"),
        ("sess", "tune.vars.sess-max-size 1000"),
        ("txn", "tune.vars.txn-max-size 1000"),
        ("reqres", "tune.vars.reqres-max-size 1000"),
    ] {
        scenario(&format!("samples/limits_of_variables_{name}"), |w| {
            let long = "x".repeat(1500);
            let scopes = ["proc", "sess", "txn", "req"];
            let set: String = scopes
                .iter()
                .map(|s| format!("http-request set-var({s}.short) str(abc)\nhttp-request set-var({s}.long) req.hdr(x)\n"))
                .collect();
            let shown: Vec<String> =
                scopes.iter().map(|s| format!("{s} %[var({s}.short)] %[var({s}.long),length]")).collect();
            w.proxy(&format!(
                "global\n  {limit}\n{}",
                sections(
                    &format!(
                        "{set}http-request return status 200 content-type text/plain lf-string \"{}\"",
                        shown.join(", ")
                    ),
                    ""
                )
            ));
            let request = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {long}\r\nConnection: close\r\n\r\n");
            w.client("fe").send(request).read_to_end();
            w.forget_logs();
        });
    }
}

/// The chain of a client of TLS 1.2; and what 3.5 has not, the secret of TLS 1.2 towards a server with `tune.ssl.keylog`.
#[test]
fn chains_and_old_secrets() {
    if std::env::var_os("PORTCULLIS_BIN").is_some() || std::env::var_os("E2E_RECORD").is_some() {
        return;
    }
    let mut w = World::new(portcullis_e2e::binary::Binary::under_test());
    certificates(&w);
    w.proxy(
        "global
  log 127.0.0.1:${log} local0
  expose-experimental-directives
  tune.ssl.keylog on
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
listen fe
  bind 127.0.0.1:${fe} ssl crt ${dir}/a.pem verify required ca-file ${dir}/ca.crt
  log global
  log-format \"<%[ssl_c_chain_der,length,iif(there,)]> <%[ssl_bc_session_key,hex,length]>\"
  server s 127.0.0.1:${origin} ssl verify none force-tlsv12 ktls off
listen origin
  bind 127.0.0.1:${origin} ssl crt ${dir}/a.pem
  http-request return status 200
",
    );
    let port = w.port("fe");
    // the chain is what a client sends beside its own certificate, as 3.5 has it
    for more in ["", " -cert_chain ca.crt"] {
        crate::tls::get(w.dir(), port, &format!("-tls1_2 -cert good.crt -key good.key{more}"));
    }
    let lines = w.logs(2);
    assert!(lines[0].contains("<-> <96>") && lines[1].contains("<there> <96>"), "{lines:?}");
}

/// A condition on all that has come is not decided by its first bytes: messages in two segments.
#[test]
fn whole_buffers_that_grow() {
    const HELLO: &[u8] = b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04abcd";
    scenario("samples/whole_buffers_that_grow", |w| {
        w.proxy(&format!(
            "{TCP}frontend fe
  bind 127.0.0.1:${{fe}}
  tcp-request inspect-delay 20s
  tcp-request content reject unless {{ req.payload(0,0),mqtt_is_valid }}
  tcp-request content set-var(txn.id) req.payload(0,0),mqtt_field_value(connect,client_identifier)
  tcp-request content reject
  log-format \"%[var(txn.id)] %ts\"
frontend end
  bind 127.0.0.1:${{end}}
  tcp-request inspect-delay 20s
  tcp-request content set-var(txn.id) req.len if {{ req.payload(0,0),lower -m end foo }}
  tcp-request content reject if {{ var(txn.id) -m found }}
  log-format \"%[var(txn.id)] %ts\"
"
        ));
        for (port, first, second) in [("fe", &HELLO[..5], &HELLO[5..]), ("end", b"aaa", b"FOO")] {
            let mut c = w.client(port);
            c.send(first);
            w.settle();
            c.send(second).read_to_end();
            w.logs(1);
        }
    });
}
