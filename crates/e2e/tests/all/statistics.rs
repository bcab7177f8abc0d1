//! The statistics page: `stats …` in proxies (manual section 4.2).
use crate::indent;
use portcullis_e2e::{Client, Conn, End, World, message, scenario};

/// A frontend with these lines, and two backends.
fn page(lines: &str) -> String {
    format!(
        "frontend fe\n  bind 127.0.0.1:${{fe}}\n{}  default_backend be\nbackend be\n  balance roundrobin\n  server s1 127.0.0.1:${{o1}}\n  server s2 127.0.0.1:1 disabled\nbackend other\n  server s1 127.0.0.1:1\n",
        indent(lines)
    )
}

/// Asks and notes the head of what comes, and some of the body.
fn head(c: &mut Conn, w: &World, request: &str) -> String {
    c.send(request);
    let m = message::read_response(c, "GET");
    w.note(String::from_utf8_lossy(&m.head).trim_end().replace("\r\n", "\n"));
    String::from_utf8_lossy(&m.body).into_owned()
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

/// Proxy, server and state of each line of CSV.
fn lines(w: &World, body: &str) {
    for line in body.lines().skip(1) {
        let fields: Vec<_> = line.split(',').collect();
        w.note([fields.first(), fields.get(1), fields.get(17)].map(|f| *f.unwrap_or(&"")).join(" "));
    }
}

#[test]
fn forms_of_the_page() {
    scenario("statistics/forms_of_the_page", |w| {
        w.ok("o1");
        w.proxy(&page("stats uri /s\nstats refresh 90s\nhttp-response set-header x-resp 1\nhttp-after-response set-header x-after 1"));
        let mut c = w.client("fe");
        for target in
            ["/s", "/s;norefresh", "/s;csv", "/s;json", "/s;typed", "/s;json-schema", "/sabc", "/other"]
        {
            let body = head(&mut c, w, &get(target));
            let kind = match body.as_bytes().first() {
                Some(b'<') => "a page",
                Some(b'#') => "CSV",
                Some(b'[') => "JSON",
                Some(b'{') => "a schema",
                Some(b'F') => "lines",
                _ => "something else",
            };
            w.note(kind);
        }
    });
}

#[test]
fn head_and_old_clients() {
    scenario("statistics/head_and_old_clients", |w| {
        w.ok("o1");
        w.proxy(&page("stats uri /s"));
        w.client("fe").send("HEAD /s HTTP/1.1\r\nHost: h\r\n\r\n").read_to_end();
        w.client("fe").send("HEAD /s;csv HTTP/1.0\r\n\r\n").read_to_end();
        let mut c = w.client("fe");
        c.send_quietly(b"GET /s;csv HTTP/1.0\r\n\r\n");
        let body = read_quietly(&mut c);
        w.note(body.split("pxname").next().unwrap_or_default().replace("\r\n", "\n"));
        w.note(format!("ends with a line: {}", body.ends_with(",\n")));
    });
}

fn read_quietly(c: &mut Client) -> String {
    while c.fill() {}
    let n = c.buffered().len();
    String::from_utf8_lossy(&c.take(n)).into_owned()
}

#[test]
fn other_methods_are_not_for_it() {
    scenario("statistics/other_methods_are_not_for_it", |w| {
        w.ok("o1");
        w.proxy(&page("stats uri /s"));
        let mut c = w.client("fe");
        c.send("PUT /s HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na").response();
        c.send("DELETE /s HTTP/1.1\r\nHost: h\r\n\r\n").response();
        c.send("OPTIONS /s HTTP/1.1\r\nHost: h\r\n\r\n").response();
        w.logs(3);
    });
}

#[test]
fn lines_that_are_shown() {
    scenario("statistics/lines_that_are_shown", |w| {
        w.ok("o1");
        w.proxy(&page("stats uri /s"));
        let mut c = w.client("fe");
        for options in ["", ";up", ";no-maint", "?scope=th", ";scope=be;up", "?scope=nothing"] {
            w.note(format!("csv{options}"));
            let body = head(&mut c, w, &get(&format!("/s;csv{options}")));
            lines(w, &body);
        }
    });
}

#[test]
fn scope() {
    scenario("statistics/scope", |w| {
        w.ok("o1");
        w.proxy(&page("stats uri /s\nstats scope .\nstats scope other\nstats scope nowhere"));
        let mut c = w.client("fe");
        let body = head(&mut c, w, &get("/s;csv"));
        lines(w, &body);
    });
}

#[test]
fn passwords() {
    scenario("statistics/passwords", |w| {
        w.ok("o1");
        w.proxy(&page("stats uri /s\nstats auth u:p\nstats auth v:q:r\nstats realm A\\ realm"));
        let mut c = w.client("fe");
        // u:p, u:q, v:q:r, not base64, another scheme
        for said in ["", "Basic dTpw", "Basic dTpx", "basic djpxOnI=", "Basic !!!", "Bearer dTpw"] {
            let fields = if said.is_empty() { String::new() } else { format!("Authorization: {said}\r\n") };
            head(&mut c, w, &format!("GET /s;csv HTTP/1.1\r\nHost: h\r\n{fields}\r\n"));
        }
    });
}

#[test]
fn rules_of_its_own() {
    scenario("statistics/rules_of_its_own", |w| {
        w.ok("o1");
        w.proxy(&page(
            "stats uri /s\nstats http-request allow if { url_sub allow }\nstats http-request deny if { url_sub deny }\nstats http-request auth realm foo if { url_sub foo }\nstats http-request auth",
        ));
        for target in ["/s?allow;csv", "/s?deny", "/s?foo", "/s"] {
            let mut c = w.client("fe");
            head(&mut c, w, &get(target));
        }
    });
}

#[test]
fn userlists() {
    scenario("statistics/userlists", |w| {
        w.ok("o1");
        let users = "userlist l\n  group admins users adm\n  user adm insecure-password p\n  user ro insecure-password p\n";
        w.proxy(&(users.to_owned() + &page(
            "stats uri /s\nacl AUTH http_auth(l)\nacl ADMIN http_auth_group(l) admins\nstats http-request auth unless AUTH\nstats admin if ADMIN",
        )));
        let mut c = w.client("fe");
        let post = |auth: &str| {
            let body = "s=s1&b=be&action=drain";
            format!("POST /s HTTP/1.1\r\nHost: h\r\n{auth}Content-Length: {}\r\n\r\n{body}", body.len())
        };
        head(&mut c, w, &get("/s"));
        for auth in ["Authorization: Basic cm86cA==\r\n", "Authorization: Basic YWRtOnA=\r\n"] {
            head(&mut c, w, &format!("GET /s;csv HTTP/1.1\r\nHost: h\r\n{auth}\r\n"));
            head(&mut c, w, &post(auth));
            let body = head(&mut c, w, &format!("GET /s;csv HTTP/1.1\r\nHost: h\r\n{auth}\r\n"));
            lines(w, &body);
        }
    });
}

#[test]
fn before_redirects_and_behind_rules() {
    scenario("statistics/before_redirects_and_behind_rules", |w| {
        w.ok("o1");
        w.proxy(&page(
            "stats uri /s\nhttp-request return status 204 if { path /s/rule }\nhttp-request set-path /s;csv if { path /short }\nredirect location /elsewhere",
        ));
        let mut c = w.client("fe");
        for target in ["/s", "/s/rule", "/short", "/other"] {
            head(&mut c, w, &get(target));
        }
    });
}

#[test]
fn own_lines_end_what_defaults_say() {
    scenario("statistics/own_lines_end_what_defaults_say", |w| {
        let head_ = "global\n  nbthread 1\ndefaults\n  mode http\n  timeout connect 1s\n  timeout client 5s\n  timeout server 5s\n  stats auth u:p\n  stats uri /d\n";
        w.proxy(&format!(
            "{head_}frontend fe\n  bind 127.0.0.1:${{fe}}\nfrontend fe2\n  bind 127.0.0.1:${{fe2}}\n  stats uri /s\nfrontend fe3\n  bind 127.0.0.1:${{fe3}}\n  stats hide-version\nlisten li\n  bind 127.0.0.1:${{fe4}}\n  stats enable\n"
        ));
        for (port, target) in [
            ("fe", "/d"),
            ("fe2", "/d"),
            ("fe2", "/s;csv"),
            ("fe3", "/d"),
            ("fe4", "/haproxy?stats;csv"),
            ("fe4", "/d"),
        ] {
            let mut c = w.client(port);
            head(&mut c, w, &get(target));
        }
    });
}

#[test]
fn in_a_backend() {
    scenario("statistics/in_a_backend", |w| {
        w.ok("o1");
        w.proxy(
            "frontend fe\n  bind 127.0.0.1:${fe}\n  http-response set-header x-fe 1\n  default_backend be\nbackend be\n  stats uri /s\n  stats scope .\n  http-request set-header x-be 1\n  server s1 127.0.0.1:${o1}\n",
        );
        let mut c = w.client("fe");
        let body = head(&mut c, w, &get("/s;csv"));
        lines(w, &body);
        c.get("/", "").response();
        c.get("/s;csv;scope=nothing", "Connection: close\r\n").read_to_end();
    });
}

/// `;st=` and what came of it, for each form.
#[test]
fn changes() {
    scenario("statistics/changes", |w| {
        w.ok("o1");
        w.proxy(&page("stats uri /s\nstats refresh 9s\nstats admin if TRUE"));
        let mut c = w.client("fe");
        for (options, body) in [
            ("", "s=s1&b=be&action=maint"),
            ("", "s=s1&s=s2&action=ready&b=be"),
            (";up", "s=s1&b=be&action=drain"),
            (";norefresh;up;scope=be", "s=s1&b=%233&action=ready"),
            ("", "s=s1&b=be&action=disable"),
            ("", "s=s1&b=be&action=disable"),
            ("", "s=s1&b=be&action=enable"),
            ("", "s=s1&b=be&action=nonsense"),
            ("", "s=nobody&b=be&action=maint"),
            ("", "s=s1&s=nobody&b=be&action=maint"),
            ("", "s=s1&b=nowhere&action=maint"),
            ("", "s=s1&b=fe&action=maint"),
            ("", "b=be&action=maint"),
            ("", "s=s1&b=be"),
            ("", "s=s1&b=be&action="),
            ("", "s=s1&b=be&action=hdown"),
            ("", "s=s1&b=be&action=hrunn"),
            ("", "s=s1&b=be&action=dhlth"),
            ("", "s=s1&b=be&action=shutdown"),
            ("", "junk"),
        ] {
            w.note(body);
            let n = body.len();
            head(
                &mut c,
                w,
                &format!(
                    "POST /s{options} HTTP/1.1\r\nHost: h\r\nOrigin: http://h\r\nContent-Length: {n}\r\n\r\n{body}"
                ),
            );
            let body = head(&mut c, w, &get("/s;csv;scope=be"));
            lines(w, &body);
        }
    });
}

#[test]
fn changes_that_are_denied() {
    scenario("statistics/changes_that_are_denied", |w| {
        w.ok("o1");
        w.proxy(&page("stats uri /s\nstats scope be\nstats admin if { path_beg /s;admin }"));
        let mut c = w.client("fe");
        for (target, fields, body) in [
            ("/s", "", "s=s1&b=be&action=maint"),
            ("/s;admin", "Origin: http://evil\r\n", "s=s1&b=be&action=maint"),
            ("/s;admin", "Referer: http://evil/h\r\n", "s=s1&b=be&action=maint"),
            ("/s;admin", "", "s=s1&b=other&action=maint"),
            ("/s;admin", "", "s=s1&b=nowhere&action=maint"),
            ("/s;admin", "Referer: http://h/x\r\n", "s=s1&b=be&action=maint"),
        ] {
            let n = body.len();
            head(
                &mut c,
                w,
                &format!("POST {target} HTTP/1.1\r\nHost: h\r\n{fields}Content-Length: {n}\r\n\r\n{body}"),
            );
        }
        let body = head(&mut c, w, &get("/s;csv"));
        lines(w, &body);
    });
}

#[test]
fn forms_that_come_slowly_in_chunks_or_too_long() {
    scenario("statistics/forms_that_come_slowly_in_chunks_or_too_long", |w| {
        w.ok("o1");
        w.proxy(&page("stats uri /s\nstats admin if TRUE"));
        let mut c = w.client("fe");
        c.send("POST /s HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 22\r\n\r\n")
            .response();
        c.send("s=s1&b=be&");
        c.send("action=maint").response();
        let chunks = "5\r\ns=s1&\r\n11\r\nb=be&action=ready\r\n0\r\n\r\n";
        c.send(format!("POST /s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"))
            .response();
        let long = format!("s=s1&b=be&action=maint&x={}", "y".repeat(20_000));
        c.send_quietly(
            format!("POST /s HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{long}", long.len()).as_bytes(),
        );
        c.response();
        let body = head(&mut c, w, &get("/s;csv;scope=be"));
        lines(w, &body);
    });
}

#[test]
fn log_and_counters() {
    scenario("statistics/log_and_counters", |w| {
        w.ok("o1");
        w.proxy(&page("stats uri /s\nstats scope nothing\nstats admin if TRUE"));
        let mut c = w.client("fe");
        c.get("/s;csv", "").response();
        c.send("POST /s HTTP/1.1\r\nHost: h\r\nContent-Length: 22\r\n\r\ns=s1&b=be&action=maint").response();
        c.get("/s;csv", "Connection: close\r\n").read_to_end();
        w.logs(3);
    });
}

#[test]
fn counters_of_both_sides_of_a_listen() {
    scenario("statistics/counters_of_both_sides_of_a_listen", |w| {
        w.proxy("listen li\n  bind 127.0.0.1:${fe}\n  stats uri /s\n");
        let mut c = w.client("fe");
        c.send_quietly(get("/s").as_bytes());
        message::read_response(&mut c, "GET");
        let body = head(&mut c, w, &get("/s;csv"));
        let names: Vec<_> = body.lines().next().unwrap_or_default().split(',').collect();
        for line in body.lines().skip(1) {
            for (name, value) in names.iter().zip(line.split(',')) {
                if matches!(*name, "svname" | "stot" | "hrsp_2xx" | "req_tot" | "intercepted" | "conn_tot") {
                    w.note(format!("{name} {value}"));
                }
            }
        }
    });
}

/// What the page has that people and scripts look for; its words are ours.
#[test]
fn page_for_people() {
    let binary = portcullis_e2e::binary::Binary::under_test();
    let mut w = World::new(binary);
    w.ok("o1");
    w.proxy(&page(
        "description The <first>\nstats uri /s\nstats refresh 5s\nstats show-legends\nstats show-node n1\nstats show-desc My \"desc\"\nstats admin if TRUE",
    ));
    let mut c = w.client("fe");
    let mut ask = |target: &str| {
        c.send_quietly(get(target).as_bytes());
        String::from_utf8_lossy(&message::read_response(&mut c, "GET").body).into_owned()
    };
    let html = ask("/s");
    if !html.contains("Portcullis") {
        return; // another binary has its own page
    }
    for part in [
        "on n1: My desc",
        "<small>The &lt;first&gt;</small>",
        "name=\"s\" value=\"s1\"",
        "<option value=\"drain\">",
        "<tr class=\"nocheck\">",
        "<tr class=\"maint\">",
        "id=\"be/Backend\"",
        "title=\"cap: frontend, mode: http, id: 2\"",
        "address: 127.0.0.1:1",
        "href=\"/s;csv;norefresh\"",
        "href=\"/s;up\"",
    ] {
        assert!(html.contains(part), "{part}\n{html}");
    }
    assert!(!html.contains("<first>"));
    let html = ask("/s;st=DENY;up?scope=other%22%3E");
    assert!(html.contains("Action denied.") && html.contains("value=\"other\""));
    assert!(!html.contains("id=\"be\""));
    let html = ask("/s;st=FOO");
    assert!(!html.contains("[X]"));
}

/// What of a stats-file is not 0, without times and rates.
fn nonzero(w: &World, text: &str) {
    let mut columns: Vec<&str> = Vec::new();
    for line in text.lines() {
        if let Some(header) = line.strip_prefix('#') {
            columns = header.split(',').collect();
            w.note(line);
            continue;
        }
        let known = |name: &str| {
            !matches!(name, "lastchg" | "lastsess" | "rate" | "req_rate" | "conn_rate" | "h1sess" | "h1req")
        };
        // 3.5 has no number of a frontend's requests in the file, we have
        let front = columns.first() == Some(&"fe guid");
        let known = |name: &str| known(name) && !(front && name == "req_tot");
        let cells = columns.iter().zip(line.split(','));
        let shown =
            cells.filter(|(c, v)| *v != "0" && !v.is_empty() && known(c)).map(|(c, v)| format!("{c}={v}"));
        w.note(shown.collect::<Vec<_>>().join(" "));
    }
}

#[test]
fn a_stats_file() {
    scenario("statistics/a_stats_file", |w| {
        w.ok("o1");
        let file = "#fe guid,stot,bin,nonsense,dreq,conn_tot,hrsp_2xx,\nfe-guid,5,100,7,3,6,9,\nli-guid,50\n\
                    nobody,1,2,3,4,\nb-0,55,0,3,2,1,0\n\n\
                    #be guid,stot,lbtot,econ,hrsp_5xx,\nbe-guid,10,11,14,15,\nsrv-guid,20,21,24,25,\nfe-guid,1,1\n";
        let path = w.file("stats", file).display().to_string();
        let text = format!(
            "global\n  stats-file {path}\n  stats socket ${{dir}}/cli level admin\n  nbthread 1\ndefaults\n  mode http\n  \
             timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n\
             frontend fe\n  guid fe-guid\n  option socket-stats\n  bind 127.0.0.1:${{fe}} guid-prefix b\n  default_backend be\n\
             backend be\n  guid be-guid\n  server s1 127.0.0.1:${{o1}} guid srv-guid\n  server s2 127.0.0.1:1 disabled\n\
             listen li\n  guid li-guid\n  bind 127.0.0.1:${{li}}\n"
        );
        w.proxy(&text);
        let mut c = w.client("fe");
        c.get("/", "Connection: close\r\n").response();
        c.close();
        w.settle();
        let dumped = crate::runtime_api::ask(w, "dump stats-file");
        nonzero(w, &dumped.split_once("reqbin").map_or(String::new(), |_| dumped.clone()));
    });
}

/// A body that nobody wants is read as long as it comes: a client that stops in it is late.
#[test]
fn a_form_that_does_not_end() {
    let mut w = World::new(portcullis_e2e::binary::Binary::under_test());
    w.ok("o1");
    w.proxy(&page("timeout client 300ms\nstats uri /s\nstats admin if TRUE"));
    let mut c = w.client("fe");
    c.send("POST /s HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n");
    c.send(vec![b'x'; 40_000]);
    assert_eq!(c.response().status(), 303);
    assert!(!c.send_until_refused(&[b'x'; 65536], 16 << 20));
    assert_eq!(c.wait_end(), End::Fin);
}

/// What a `stats-file` knows of times and of connections over HTTP/2, and what went to clients.
#[test]
fn a_stats_file_with_times() {
    scenario("statistics/a_stats_file_with_times", |w| {
        let file = "#fe guid,stot,req_tot,h1sess,h2sess,h1req,h2req,reqbin,bin,reqbout,resbin,bout,resbout,\n\
                    fe-guid,9,30,5,4,10,20,70,70,60,50,50,80,\n\n\
                    #be guid,stot,lastchg,lastsess,reqbin,bin,reqbout,resbin,bout,resbout,\n\
                    be-guid,20,50000,7000,31,31,32,33,33,34,\nsrv-guid,20,60000,8000,41,41,41,42,42,44,\n";
        let path = w.file("stats", file).display().to_string();
        w.proxy(&format!(
            "global\n  stats-file {path}\n  stats socket ${{dir}}/cli level admin\n  nbthread 1\ndefaults\n  mode http\n  \
             timeout connect 5s\n  timeout client 5s\n  timeout server 5s\nfrontend fe\n  guid fe-guid\n  bind 127.0.0.1:${{fe}}\n  \
             default_backend be\nbackend be\n  guid be-guid\n  server s1 127.0.0.1:1 guid srv-guid\n"
        ));
        let stat = crate::runtime_api::ask(w, "show stat");
        let mut lines = stat.lines();
        let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
        for line in lines.filter(|l| !l.is_empty()) {
            let cells: Vec<&str> = line.split(',').collect();
            let told = [
                "lastchg", "lastsess", "h1sess", "h2sess", "h1req", "h2req", "bin", "bout", "reqbin",
                "reqbout", "resbin", "resbout",
            ];
            let shown = told.iter().map(|name| {
                let at = columns.iter().position(|c| c == name).unwrap();
                // a moment passes
                let value = cells[at]
                    .parse::<i64>()
                    .map_or(String::new(), |n| if n >= 1000 { n / 1000 * 1000 } else { n }.to_string());
                format!("{name}={value}")
            });
            w.note(format!("{} {}: {}", cells[0], cells[1], shown.collect::<Vec<_>>().join(" ")));
        }
    });
}

/// What counts as a session, a request and an error: what ends before it is one, and what rules let not through.
#[test]
fn what_is_no_request_counts() {
    scenario("statistics/what_is_no_request_counts", |w| {
        w.origin("o1", |mut c| {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort");
        });
        w.proxy(
            "global\n  nbthread 1\n  stats socket ${dir}/cli level admin\ndefaults\n  mode http\n  timeout connect 1s\n  \
             timeout client 300ms\n  timeout server 5s\n  retries 1\nfrontend fe\n  option socket-stats\n  bind 127.0.0.1:${fe}\n  \
             tcp-request content reject if { path /reject }\n  http-request deny if { path /deny }\n  \
             use_backend none if { path /none }\n  default_backend be\n\
             frontend no\n  option socket-stats\n  bind 127.0.0.1:${no}\n  tcp-request connection reject\n\
             frontend nor\n  option socket-stats\n  bind 127.0.0.1:${nor} accept-proxy\n  tcp-request session reject\n\
             frontend probed\n  option http-ignore-probes\n  bind 127.0.0.1:${probed}\n\
             frontend null\n  option dontlognull\n  bind 127.0.0.1:${null}\n\
             backend be\n  server s 127.0.0.1:${o1}\nbackend none\n  server s 127.0.0.1:1\n",
        );
        w.settle();
        let steps: [(&str, &str, &str); 10] = [
            ("nothing", "fe", ""),
            ("a part", "fe", "GET /x HT"),
            ("a rejected one", "fe", "GET /reject HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("a denied one", "fe", "GET /deny HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
            ("one that is cut short", "fe", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
            ("one without a server", "fe", "GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
            ("a rejected connection", "no", ""),
            ("a rejected session", "nor", "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\nGET / HTTP/1.1\r\n\r\n"),
            ("a probe", "probed", ""),
            ("nothing, not logged", "null", ""),
        ];
        for (what, port, bytes) in steps {
            crate::runtime_api::ask(w, "clear counters all");
            let mut s = std::net::TcpStream::connect(("127.0.0.1", w.port(port))).unwrap();
            // a rejected connection may be closed already
            let _ = std::io::Write::write_all(&mut s, bytes.as_bytes());
            if !bytes.ends_with("\r\n\r\n") {
                let _ = s.shutdown(std::net::Shutdown::Write);
            }
            let _ = std::io::Read::read_to_end(&mut s, &mut Vec::new());
            w.settle();
            w.note(what);
            let stat = crate::runtime_api::ask(w, "show stat");
            let mut lines = stat.lines();
            let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
            let told = [
                "stot",
                "req_tot",
                "ereq",
                "dreq",
                "dcon",
                "dses",
                "econ",
                "eresp",
                "hrsp_4xx",
                "hrsp_5xx",
                "hrsp_other",
                "reqbout",
            ];
            for line in lines.filter(|l| !l.is_empty()) {
                let cells: Vec<&str> = line.split(',').collect();
                let shown = told.iter().filter_map(|name| {
                    let cell = cells[columns.iter().position(|c| c == name)?];
                    (!cell.is_empty() && cell != "0").then(|| format!(" {name}={cell}"))
                });
                let shown: String = shown.collect();
                if !shown.is_empty() {
                    w.note(format!("  {}/{}:{shown}", cells[0], cells[1]));
                }
            }
        }
    });
}
