//! Userlists and `auth`, lists and maps that rules and the Runtime API change, variables of the process (manual 12.2, 4.4).
use crate::sections;
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{World, scenario};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

const GLOBAL: &str = "\
global
  stats socket ${dir}/cli mode 600 level admin
  nbthread 1
  set-var proc.a int(5)
  set-var-fmt proc.b \"x%[int(3)]y z\"
  tune.vars.txn-max-size 10000
defaults
  mode http
  timeout connect 10s
  timeout client 30s
  timeout server 30s
";

const USERS: &str = "\
userlist team
  group G1 users tiger,scott
  group G2 users xdb,scott
  group G3
  user tiger insecure-password pw groups G3
  user scott insecure-password 'el:gato'
  user xdb password $1$saltsalt$9xy1btjgzLYfb7hivXtC//
  user sha256 password $5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA
  user sha512 password $6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1
  user yescrypt password $y$j9T$abcdefghijklmnop$3dL1LkYnZM.OVXuVdnnaKVDlLYT92dRwOzDZ5XiVCe.
  user locked
";

fn start(w: &mut World, config: &str) {
    w.proxy(&format!("{GLOBAL}{config}"));
    let socket = w.dir().join("cli");
    assert!(wait_for(PATIENCE, || socket.exists().then_some(())).is_some(), "no stats socket");
}

/// References as one mark.
fn masked(text: &str) -> String {
    let mask = |line: &str| match (line.starts_with("0x"), line.split_once(' ')) {
        (true, Some((_, rest))) => format!("0x… {rest}"),
        // two regex libraries have two opinions of what is wrong
        _ if line.contains("(error=") => line.split("(error=").next().unwrap_or(line).to_owned(),
        _ => line.to_owned(),
    };
    text.split('\n').map(mask).collect::<Vec<_>>().join("\n")
}

fn ask(w: &World, command: &str) -> String {
    let mut s = UnixStream::connect(w.dir().join("cli")).unwrap();
    s.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = s.write_all(format!("{command}\n").as_bytes());
    let _ = s.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = s.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn all(w: &World, commands: &[&str]) {
    for c in commands {
        w.note(format!("$ {}", c.escape_debug()));
        masked(&ask(w, c)).split('\n').for_each(|l| w.note(format!("| {l}")));
    }
}

fn get(w: &mut World, path: &str, fields: &str) {
    w.client("fe").get(path, &format!("{fields}Connection: close\r\n")).read_to_end();
}

#[test]
fn who_may_come_in() {
    scenario("users_and_lists/who_may_come_in", |w| {
        w.ok("o1");
        let front = "acl known http_auth(team)\nacl g1 http_auth_group(team) G1\nacl g23 http_auth_group(team) G2 G3\nhttp-request return status 200 hdr x \"%[http_auth(team)] %[http_auth_group(team)]\" if { path /show }\nhttp-request return status 201 if { path /g1 } g1\nhttp-request return status 202 if { path /g23 } g23\nhttp-request auth realm \"a b\" if { path /realm }\nhttp-request auth unless known";
        w.proxy(&(USERS.to_owned() + &sections(front, "http-request auth if { path /back }")));
        // tiger:pw scott:el:gato xdb:secret sha256:secret sha512:secret yescrypt:secret, then wrong ones
        let users = [
            "dGlnZXI6cHc=",
            "c2NvdHQ6ZWw6Z2F0bw==",
            "eGRiOnNlY3JldA==",
            "c2hhMjU2OnNlY3JldA==",
            "c2hhNTEyOnNlY3JldA==",
            "eWVzY3J5cHQ6c2VjcmV0",
            "eWVzY3J5cHQ6d3Jvbmc=",
            "eGRiOndyb25n",
            "bm9ib2R5Og==",
            "bG9ja2VkOg==",
            "!!",
        ];
        for user in users {
            for path in ["/show", "/g1", "/g23", "/"] {
                get(w, path, &format!("Authorization: Basic {user}\r\n"));
            }
        }
        get(w, "/show", "");
        get(w, "/", "");
        get(w, "/realm", "Authorization: Basic dGlnZXI6cHc=\r\n");
        get(w, "/back", "Authorization: Basic dGlnZXI6cHc=\r\n");
        w.logs(48);
    });
}

#[test]
fn lists_at_run_time() {
    scenario("users_and_lists/lists_at_run_time", |w| {
        w.ok("o1");
        w.file("words", "# words\n/a\n/b\n");
        w.file("nets", "10.0.0.0/8\n::1\n");
        w.file("map", "/a one\n/b two words\n/c\n");
        let front = "http-request return status 200 if { path -m str -f ${dir}/words }\nhttp-request deny if { src -f ${dir}/nets }\nhttp-request deny if { path -i -m beg -f virt@begin }\nhttp-request deny if { path -m reg -f virt@regex }\nhttp-request return status 201 hdr x %[path,map(${dir}/map)] hdr y %[path,map_reg(${dir}/map)] hdr n %[path,map_int(virt@numbers,-1)] hdr i %[src,map_ip_ip(virt@ips)]";
        start(w, &sections(front, ""));
        get(w, "/a", "");
        get(w, "/b1", "");
        let map = w.dir().join("map").display().to_string();
        let of = |command: &str| command.replace("MAP", &map);
        all(
            w,
            &["show acl #0", "show acl #2", "show acl #99", "show acl foo", "show map foo", "show map #0"],
        );
        let map_commands: Vec<String> = [
            "show map MAP",
            "get map MAP /b",
            "get map MAP /zz",
            "get acl MAP /b",
            "add map MAP k",
            "add map MAP k v w",
            "add map MAP ( v",
            "add map MAP <<\nk1 v1 v2\n\nk2 v3\n",
            "add map MAP <<\nk3\n",
            "show map MAP",
            "set map MAP k",
            "set map MAP k1 z",
            "set map MAP nokey z",
            "set map MAP #0x1 z",
            "del map MAP k2",
            "del map MAP k2",
            "show map MAP",
            "prepare map MAP",
            "add map @1 MAP /n new",
            "add map @5 MAP /n new",
            "show map @1 MAP",
            "commit map MAP",
            "commit map @9 MAP",
            "commit acl @1 MAP",
            "commit map @1 MAP",
            "show map MAP",
            "commit map @1 MAP",
            "clear map @7 MAP",
            "add acl MAP x",
            "prepare acl MAP",
            "del acl MAP x",
        ]
        .iter()
        .map(|c| of(c))
        .collect();
        for c in &map_commands {
            let shown = c.replace(&map, "MAP");
            w.note(format!("$ {}", shown.escape_debug()));
            masked(&ask(w, c)).replace(&map, "MAP").split('\n').for_each(|l| w.note(format!("| {l}")));
        }
        all(
            w,
            &[
                "get acl #0 /b",
                "get acl #0 z",
                "add acl",
                "add acl foo x",
                "add acl #0",
                "add acl #0 /new",
                "add acl #0 /b1 more",
                "show acl #0",
                "get acl #2 10.1.1.1",
                "get acl #2 ::1",
                "add acl #2 nonsense",
                "add acl #2 127.0.0.0/8",
                "del acl",
                "del acl #0",
                "del acl #0 nokey",
                "del acl #0 /a",
                "del acl #0 #0x1",
                "show acl #0",
                "add acl virt@begin /Beg",
                "get acl virt@begin /beginning",
                "add acl virt@regex ^/r.x$",
                "get acl virt@regex /rex",
                "add acl virt@regex (",
                "add map virt@numbers /n 7",
                "add map virt@numbers /n x",
                "set map virt@numbers /n x",
                "get map virt@numbers 7",
                "add map virt@ips 127.0.0.0/8 1.2.3.4",
                "get map virt@ips 127.0.0.1",
                "add map virt@ips 127.0.0.0/8 here",
                "get map",
                "get map foo",
                "clear map",
                "clear map foo",
                "prepare acl",
                "prepare acl #0",
                "add acl @1 #0 /later",
                "show acl #0",
                "show acl @1 #0",
                "commit acl @1 #0",
                "show acl #0",
                "clear acl #0",
                "show acl #0",
                "commit map",
                "commit map @1 foo",
                "set map",
                "set map foo a b",
                "add map",
            ],
        );
        for path in ["/a", "/b1", "/beg", "/rax", "/n", "/k"] {
            get(w, path, "");
        }
        all(w, &["clear acl #2"]);
        for path in ["/a", "/beg", "/rax", "/n", "/k"] {
            get(w, path, "");
        }
    });
}

/// As [`all`], without what names of folders and HAProxy's own ACLs add to listings.
fn listings(w: &World, commands: &[&str]) {
    let dir = w.dir().display().to_string();
    for c in commands {
        w.note(format!("$ {}", c.escape_debug()));
        let answer = masked(&ask(w, &c.replace("${dir}", &dir))).replace(&dir, "DIR");
        answer.split('\n').filter(|l| !l.contains("'httpclient'")).for_each(|l| w.note(format!("| {l}")));
    }
}

/// Patterns that stand in the configuration have numbers, and can be changed.
#[test]
fn patterns_of_the_configuration() {
    scenario("users_and_lists/patterns_of_the_configuration", |w| {
        w.ok("o1");
        w.file("words", "/file\n");
        w.file("map", "/m 1\n");
        let mut front = String::from(
            "acl a path -i /x /y
            acl early path -u 0 /first
            acl n hdr_cnt(x) gt 5 ge 7 8 le 2 lt 3 eq 4 5:6 9:
            acl net src 10.0.0.0/8 192.168.0.1
            acl found path -m found
            acl u path -u 44 -f ${dir}/words /u
            acl u path -f ${dir}/words
            acl low hdr(h),lower -m str low
            acl v req.ssl_ver 3.1:3.3 gt 3.1 lt 3.1
            acl r path -m reg ^/r[0-9]
            acl both path /both
            acl both path_beg /begin
            http-request return status 201 if a
            http-request return status 202 if u
            http-request return status 203 if both
            http-request return status 204 if r
            http-request return status 205 if net
            http-request set-var(txn.m) path,map(${dir}/map)
            http-request return status 206 if METH_PUT
            http-request return status 207 if METH_PUT { path_end .end }
            http-request return status 208 unless { path_len lt 9 }
            ",
        );
        for rule in 0..6 {
            front += &format!("http-request return status 30{rule} if {{ path /p{rule} }}\n");
        }
        front += "http-request return status 209 if { path /nothing } or { hdr(x) -m beg a }";
        start(w, &sections(&front, ""));
        let paths =
            ["/x", "/first", "/file", "/u", "/begin1", "/r1", "/p3", "/new", "/p1", "/p", "/0123456789"];
        let round = |w: &mut World| {
            for path in paths {
                get(w, path, "X: abc\r\n");
            }
        };
        round(w);
        listings(w, &["show acl", "show map"]);
        let each: Vec<String> = (0..24).chain([44]).map(|n| format!("show acl #{n}")).collect();
        listings(w, &each.iter().map(String::as_str).collect::<Vec<_>>());
        listings(
            w,
            &[
                "get acl #1 /X",
                "get acl #1 /z",
                "get acl #3 10.1.1.1",
                "get acl #2 7",
                "get acl #4 x",
                "add acl #1 /new",
                "add acl #2 12",
                "add acl #3 127.0.0.0/8",
                "add acl #8 3.5",
                "add acl #99 x",
                "show acl #1",
                "show acl #2",
                "show acl #3",
                "show acl #8",
                "add map #1 a b",
                "clear map #1",
                "show map #1",
            ],
        );
        round(w);
        // rules whose lookups are shared see the change too
        listings(w, &["del acl #3 127.0.0.0/8", "del acl #1 /new", "del acl #1 /nope", "add acl #18 /new"]);
        listings(w, &["clear acl #16", "show acl #16", "show acl #18"]);
        round(w);
        listings(
            w,
            &[
                "prepare acl #1",
                "add acl @1 #1 /r1",
                "show acl @1 #1",
                "show acl",
                "commit acl @1 #1",
                "show acl #1",
            ],
        );
        round(w);
        listings(
            w,
            &["add acl #2 gt", "add acl #2 x", "add acl #3 nonsense.invalid", "add acl #8 x", "show acl #2"],
        );
    });
}

#[test]
fn lists_that_rules_change() {
    scenario("users_and_lists/lists_that_rules_change", |w| {
        w.ok("o1");
        let front = "http-request add-acl(virt@seen) %[path,field(3,/)] if { path_beg /add/ }\nhttp-request del-acl(virt@seen) %[path,field(3,/)] if { path_beg /del/ }\nhttp-request set-map(virt@values) %[path,field(3,/)] %[path,field(4,/)] if { path_beg /set/ }\nhttp-request del-map(virt@values) %[path,field(3,/)] if { path_beg /unset/ }\nhttp-response set-map(virt@values) status %[status] if { path_beg /add/ }\nhttp-request return status 200 hdr x %[path,field(3,/),map(virt@values,none)] if { path,field(3,/) -m str -f virt@seen }\nhttp-request return status 201 hdr x %[path,field(3,/),map(virt@values,none)]";
        start(w, &sections(front, ""));
        for path in [
            "/see/a", "/add/a", "/add/a", "/see/a", "/set/a/1", "/see/a", "/set/a/2", "/see/a", "/see/b",
            "/unset/a", "/see/a", "/del/a", "/see/a",
        ] {
            get(w, path, "");
        }
        all(w, &["show acl virt@seen", "show map virt@values"]);
    });
}

#[test]
fn variables_of_the_process() {
    scenario("users_and_lists/variables_of_the_process", |w| {
        w.ok("o1");
        let front = "http-request set-var(proc.c) path\nhttp-request set-var(proc.d) src\nhttp-request set-var(proc.e) bool(1)\nhttp-request set-var(proc.m) method\nhttp-request return status 200 hdr a %[var(proc.a)] hdr b %[var(proc.b)] hdr n %[var(proc.new)]";
        start(w, &sections(front, ""));
        get(w, "/", "");
        all(
            w,
            &[
                "get var proc.a",
                "get var proc.b",
                "get var proc.c",
                "get var proc.d",
                "get var proc.e",
                "get var proc.m",
                "get var proc.none",
                "get var",
                "get var foo",
                "get var txn.a",
                "set var proc.a int(7)",
                "experimental-mode on; set var",
                "experimental-mode on; set var proc.a",
                "experimental-mode on; set var proc.a int(7)",
                "get var proc.a",
                "experimental-mode on; set var proc.a expr int(8)",
                "experimental-mode on; set var proc.a int(9) more",
                "experimental-mode on; set var proc.new fmt a%[int(3)]",
                "experimental-mode on; set var txn.a int(1)",
                "experimental-mode on; set var foo int(1)",
                "experimental-mode on; set var proc.a src",
                "experimental-mode on; set var proc.a nope",
                "get var proc.a",
                "get var proc.new",
            ],
        );
        get(w, "/", "");
    });
}

#[test]
fn fetches_of_proxies() {
    scenario("users_and_lists/fetches_of_proxies", |w| {
        w.ok("o1");
        let front = "http-request return status 200 hdr a \"%[nbsrv(be)] %[be_conn(be)] %[be_conn_free(be)] %[be_conn_free(b2)] %[be_conn_free(b3)] %[connslots(be)] %[connslots(b2)] %[connslots(b3)] %[avg_queue(be)] %[queue(be)]\" hdr b \"%[srv_conn_free(be/s1)] %[srv_conn_free(b2/s)] %[srv_weight(b2/s)] %[srv_iweight(b2/s)] %[srv_uweight(b2/s)] %[be_sess_rate(be)]\" hdr c \"%[fe_conn] %[fe_conn(fe)] %[act_conn] %[fe_defbe] %[fe_client_timeout] %[fe_tarpit_timeout]\" hdr d \"%[str(b2),nbsrv] %[str(fe),fe_exists] %[str(zz),fe_exists] %[str(b2/s),srv_is_up] %[str(b2/s),srv_queue] %[str(zz),nbsrv] %[srv_is_up(b4/s)] %[srv_weight(b4/s)] %[nbsrv(b4)]\" if { path /a }";
        let back = "timeout queue 7s\nhttp-request return status 200 hdr a \"%[be_server_timeout] %[be_connect_timeout] %[be_queue_timeout] %[be_tunnel_timeout] %[be_tarpit_timeout] %[be_max_retries]\" hdr b \"%[be_conn] %[nbsrv] %[srv_conn(s1)]\" if { nbsrv gt 0 } { srv_is_up(s1) }";
        let more = "backend b2\n  server s 127.0.0.1:1 maxconn 10 weight 7\n  server t 127.0.0.1:1 maxconn 5 maxqueue 3\nbackend b3\n  server s 127.0.0.1:1 maxconn 10 maxqueue 3\n  server t 127.0.0.1:1 maxconn 5 maxqueue 3 backup\nbackend b4\n  server s 127.0.0.1:1 disabled weight 9\n";
        start(w, &(sections(front, back) + more));
        get(w, "/a", "");
        get(w, "/b", "");
    });
}

#[test]
fn normalized_targets() {
    scenario("users_and_lists/normalized_targets", |w| {
        let ways = [
            "fragment-encode",
            "fragment-strip",
            "path-merge-slashes",
            "path-strip-dot",
            "path-strip-dotdot",
            "path-strip-dotdot full",
            "percent-decode-unreserved",
            "percent-decode-unreserved strict",
            "percent-to-uppercase",
            "percent-to-uppercase strict",
            "query-sort-by-name",
        ];
        // without conditions: behind a normalizer that may have an option, 3.5-dev5 takes "if" for one and does another thing
        let mut config = String::from(
            "global\n  expose-experimental-directives\ndefaults\n  mode http\n  timeout connect 10s\n  timeout client 30s\n  timeout server 30s\n",
        );
        for (i, way) in ways.iter().enumerate() {
            config.push_str(&format!("frontend f{i}\n  bind 127.0.0.1:${{f{i}}}\n  option accept-unsafe-violations-in-http-request\n  http-request normalize-uri {way}\n  http-request return status 200 hdr url %[url]\n"));
        }
        w.proxy(&config);
        let targets = [
            "/",
            "/#foo",
            "/a#b?c",
            "/a?b#c",
            "/.",
            "/./bar/",
            "/a/./a/.",
            "/.well-known/./",
            "/foo/../",
            "/foo/..",
            "/a/../..",
            "/../bar/",
            "/bar/../../",
            "/foo//../",
            "/a/b/../../../c/..",
            "//",
            "/foo//bar///",
            "/a?b//c/../d/./e",
            "/%61dmin?%61=%7e%2F",
            "/%%36%36",
            "/%ZZ",
            "/%zz%6f",
            "/x%6",
            "/?c=3&a=1&b=2",
            "/?aaa=3&a=1&aa=2&a",
            "/?a=3&b=4&a=1&b=5&a=2",
            "/?b&&a&",
            "/?b=1?a=2",
            "http://host/a/../b//c",
            "http://host",
            "*",
        ];
        for i in 0..ways.len() {
            for target in targets {
                let method = if target == "*" { "OPTIONS" } else { "GET" };
                let request =
                    format!("{method} {target} HTTP/1.1\r\nHost: host\r\nConnection: close\r\n\r\n");
                w.client(&format!("f{i}")).send(&request).read_to_end();
            }
        }
    });
}

#[test]
fn proxies_ask_with_407() {
    scenario("users_and_lists/proxies_ask_with_407", |w| {
        w.ok("o1");
        w.proxy(&sections(
            "option http-use-proxy-header\nlog-format \"%ST %[last_rule_line] %[thread] %[tgroup]\"\nhttp-request auth if { path /a }\nhttp-request return status 200",
            "",
        ));
        for target in ["/a", "http://h/a", "http://h/b"] {
            w.client("fe").get(target, "Connection: close\r\n").read_to_end();
        }
        w.logs(3);
    });
}

/// The converter `debug` tells a ring, by default one of its own.
#[test]
fn what_debug_tells() {
    scenario("users_and_lists/what_debug_tells", |w| {
        w.ok("o1");
        let front = "http-request set-var(txn.a) req.hdr(x),debug(pre)\nhttp-request set-var(txn.a) int(12),debug,mul(2),debug(twice,mine)\nhttp-request set-var(txn.a) bin(00ff41),debug(bin)\nhttp-request set-var(txn.a) method,debug(m)\nhttp-request set-var(txn.a) bool(1),debug(b,mine)\nhttp-request set-header y %[req.hdr(x),debug(same),upper]";
        start(w, &(sections(front, "") + "ring mine\n  format raw\n  size 4096\n"));
        get(w, "/", "X: a\tb \u{e9} c\r\n");
        for ring in ["buf0", "mine"] {
            w.note(format!("$ show events {ring}"));
            for line in ask(w, &format!("show events {ring}")).lines() {
                // without the time
                w.note(format!("| {}", line.find("[debug]").map_or(line, |at| &line[at..])));
            }
        }
    });
}
