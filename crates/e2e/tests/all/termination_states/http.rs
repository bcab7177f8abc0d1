//! HTTP/1 on both sides.
use super::{kill, rows, server};
use crate::runtime_api::ask;
use portcullis_e2e::{Gate, OriginConn, World};

fn start(w: &mut World, front: &str, back: &str) {
    super::start(w, "http", front, back);
}

/// With one server and these options.
fn one(w: &mut World, front: &str, options: &str) {
    start(w, front, &server(options));
}

/// Takes the request and says nothing.
fn silent(mut c: OriginConn) {
    c.request();
    c.wait_end();
}

/// Answers with these bytes and stays.
fn says(w: &mut World, bytes: &'static str) {
    w.origin("o1", move |mut c| {
        c.request();
        c.send(bytes);
        c.wait_end();
    });
}

const PART: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf!";
const CLOSE: &str = "Connection: close\r\n";
const HALF_A_BODY: &str = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhalf!";

fn closed(w: &mut World) {
    w.client("fe").get("/", CLOSE).read_to_end();
}

/// Gets this far and then resets its connection.
fn leaves(w: &mut World, bytes: &str) {
    let mut c = w.client("fe");
    c.send(bytes);
    w.settle();
    c.reset();
}

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// One stream holds the server's only slot, the next one waits.
fn queue(w: &mut World, front: &str, back: &str) -> [portcullis_e2e::Client; 2] {
    w.origin("o1", silent);
    start(w, front, &format!("{back}\n{}", server("maxconn 1")));
    let mut first = w.client("fe");
    first.get("/", "");
    let mut second = w.client("fe");
    second.get("/", "");
    w.settle();
    [first, second]
}

/// An active server that is down and a backup that has the stream.
fn on_backup(w: &mut World, answer: &'static str) {
    w.origin("o2", move |mut c| {
        c.request();
        c.send(answer);
        c.wait_end();
    });
    w.ok("o1");
    start(
        w,
        "",
        "server s1 127.0.0.1:${o1} check inter 1h rise 1 on-marked-up shutdown-backup-sessions\nserver s2 127.0.0.1:${o2} backup",
    );
    w.settle();
    ask(w, "set server be/s1 health down");
}

/// A stream on a server that is found down.
fn on_dying(w: &mut World) {
    one(w, "", "check inter 1h on-marked-down shutdown-sessions");
    w.settle();
}

fn marked_down(w: &mut World) {
    w.settle();
    ask(w, "set server be/s1 health down");
}

rows! { "http";
    normal = "----", "The answer came whole.", |w| {
        w.ok("o1");
        one(w, "", "");
        closed(w);
    };
    client_leaves_while_connecting = "CC--", "The client resets its connection while the one to the server is being made (`option abortonclose`).", |w| {
        let full = w.full_listener("o1");
        start(w, "", &format!("option abortonclose\n{}", server("")));
        leaves(w, GET);
        w.logs(1);
        drop(full);
    };
    client_leaves_while_receiving = "CD--", "The client resets its connection in the middle of the answer's body.", |w| {
        says(w, PART);
        one(w, "", "");
        let mut c = w.client("fe");
        c.get("/", "").head();
        w.settle();
        c.reset();
    };
    client_leaves_while_sending = "CD--", "The client resets its connection in the middle of the request's body, when the answer has begun.", |w| {
        w.origin("o1", |mut c| {
            c.head();
            c.send(PART);
            c.wait_end();
        });
        one(w, "", "");
        let mut c = w.client("fe");
        c.send(HALF_A_BODY);
        c.head();
        w.settle();
        c.reset();
    };
    client_does_not_receive = "cD--", "The client takes nothing of the answer's body any more: `timeout client`.", |w| {
        w.origin("o1", |mut c| {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
            c.send_until_refused(&[b'x'; 65536], 100_000_000);
        });
        one(w, "timeout client 500ms", "");
        let mut c = w.client("fe");
        c.get("/", "");
        w.logs(1);
        c.close();
    };
    client_does_not_go_on_sending = "cD--", "The client sends nothing more of its request's body though the answer has begun: `timeout client`.", |w| {
        w.origin("o1", |mut c| {
            c.head();
            c.send(PART);
            c.wait_end();
        });
        one(w, "timeout client 300ms", "");
        let mut c = w.client("fe");
        c.send(HALF_A_BODY);
        c.wait_end();
    };
    client_leaves_before_the_answer = "CD--", "The client resets its connection before the server has answered.", |w| {
        w.origin("o1", silent);
        start(w, "", &format!("option abortonclose\n{}", server("")));
        leaves(w, GET);
    };
    client_closes_before_the_answer = "CH--", "The client closes its connection before the server has answered (`option abortonclose`).", |w| {
        w.origin("o1", silent);
        start(w, "", &format!("option abortonclose\n{}", server("")));
        let mut c = w.client("fe");
        c.send(GET);
        w.settle();
        c.close();
    };
    client_leaves_in_its_body = "CH--", "The client resets its connection in the middle of its request's body, before the server has answered.", |w| {
        w.origin("o1", silent);
        one(w, "", "");
        leaves(w, HALF_A_BODY);
    };
    client_stalls_in_its_body = "cH--", "The rest of a request's body does not come: `timeout client`.", |w| {
        w.origin("o1", |mut c| {
            c.head();
            c.wait_end();
        });
        one(w, "timeout client 300ms", "");
        w.client("fe").send(HALF_A_BODY).read_to_end();
    };
    client_leaves_the_queue = "CQ--", "The client resets its connection while its request waits for one of the server's `maxconn` places.", |w| {
        let [first, second] = queue(w, "", "option abortonclose");
        second.reset();
        w.logs(1);
        first.reset();
        w.logs(2);
    };
    client_leaves_in_the_request = "CR--", "The client closes its connection in the middle of a request's head.", |w| {
        w.ok("o1");
        one(w, "", "");
        let mut c = w.client("fe");
        c.send("GET / HTTP/1.1\r\nHost: te");
        c.close();
    };
    request_does_not_come = "cR--", "The rest of a request's head does not come: `timeout http-request`.", |w| {
        w.ok("o1");
        one(w, "timeout http-request 300ms", "");
        w.client("fe").send("GET / HTTP/1.1\r\nHost: te").read_to_end();
    };
    body_does_not_come = "cR--", "A rule waits for the request's body, and it does not come.", |w| {
        w.ok("o1");
        one(w, "timeout client 300ms\nhttp-request wait-for-body time 20s", "");
        w.client("fe").send(HALF_A_BODY).read_to_end();
    };
    client_leaves_the_tarpit = "PT--" / "CT--", "The client resets its connection while its request is tarpitted.", |w| {
        w.ok("o1");
        one(w, "timeout tarpit 300ms\nhttp-request tarpit", "");
        leaves(w, GET);
    };
    client_closes_in_the_tarpit = "PT--", "The client closes its connection while its request is tarpitted (the manual: `CT`).", |w| {
        w.ok("o1");
        one(w, "option abortonclose\ntimeout tarpit 300ms\nhttp-request tarpit", "");
        let mut c = w.client("fe");
        c.send(GET);
        w.settle();
        c.close();
    };
    server_with_redir = "LC--", "The server chosen has `redir`: the client is sent there.", |w| {
        w.ok("o1");
        one(w, "", "redir http://elsewhere");
        closed(w);
    };
    answered_by_a_rule = "LR--", "`http-request return` answers.", |w| {
        w.ok("o1");
        one(w, "http-request return status 200", "");
        closed(w);
    };
    redirected = "LR--", "`http-request redirect` answers.", |w| {
        w.ok("o1");
        one(w, "http-request redirect location /there", "");
        closed(w);
    };
    statistics = "LR--", "The statistics page answers.", |w| {
        w.ok("o1");
        one(w, "stats uri /stats", "");
        w.client("fe").get("/stats", CLOSE).wait_end();
    };
    client_leaves_an_applet = "LR--", "The client resets its connection while it gets the statistics page's body.", |w| {
        w.ok("o1");
        let servers: String = (0..20_000).map(|n| format!("server t{n} 127.0.0.1:1 disabled\n")).collect();
        start(w, "stats uri /stats", &format!("{}\n{servers}", server("")));
        let mut c = w.client("fe");
        c.get("/stats", "");
        c.fill();
        w.settle();
        c.reset();
    };
    answer_replaced = "LH--", "`http-response return` answers in the server's place.", |w| {
        w.ok("o1");
        one(w, "http-response return status 200", "");
        closed(w);
    };
    client_leaves_an_early_answer = "CL--", "The answer is whole before the request is, and then the client resets its connection.", |w| {
        w.origin("o1", |mut c| {
            c.head();
            c.send("HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n");
            c.wait_end();
        });
        one(w, "", "");
        let mut c = w.client("fe");
        c.send(HALF_A_BODY);
        c.head();
        w.settle();
        c.reset();
    };
    client_stalls_after_an_early_answer = "cL--", "The answer is whole before the request is, and nothing more of this comes: `timeout client`.", |w| {
        w.origin("o1", |mut c| {
            c.head();
            c.send("HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n");
            c.wait_end();
        });
        one(w, "timeout client 300ms", "");
        let mut c = w.client("fe");
        c.send(HALF_A_BODY);
        c.wait_end();
    };
    connection_refused = "SC--", "The server refuses the connection.", |w| {
        w.port("o1");
        one(w, "", "");
        closed(w);
    };
    no_server = "SC--", "No server is up.", |w| {
        w.port("o1");
        one(w, "", "disabled");
        closed(w);
    };
    connecting_takes_too_long = "sC--", "The connection to the server is not made: `timeout connect`.", |w| {
        let full = w.full_listener("o1");
        start(w, "", &format!("timeout connect 300ms\n{}", server("")));
        closed(w);
        w.logs(1);
        drop(full);
    };
    server_leaves_in_the_body = "SD--", "The server closes its connection in the middle of the answer's body.", |w| {
        w.origin("o1", |mut c| {
            c.request();
            c.send(PART).half_close();
            c.wait_end();
        });
        one(w, "", "");
        closed(w);
    };
    server_resets_in_the_body = "SD--", "The server resets its connection in the middle of the answer's body.", |w| {
        let gate = Gate::default();
        let go = gate.clone();
        w.origin("o1", move |mut c| {
            c.request();
            c.send(PART);
            go.wait();
            c.reset();
        });
        one(w, "", "");
        let mut c = w.client("fe");
        c.get("/", "").head();
        gate.open();
        c.wait_end();
    };
    server_stalls_in_the_body = "sD--", "The rest of the answer's body does not come: `timeout server`.", |w| {
        says(w, PART);
        start(w, "", &format!("timeout server 300ms\n{}", server("")));
        closed(w);
    };
    server_leaves_before_the_answer = "SH--", "The server closes its connection without an answer.", |w| {
        w.origin("o1", |mut c| {
            c.request();
        });
        one(w, "", "");
        closed(w);
    };
    server_leaves_in_the_head = "PH--", "The server closes its connection in the middle of the answer's head.", |w| {
        w.origin("o1", |mut c| {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nConte");
        });
        one(w, "", "");
        closed(w);
    };
    server_does_not_answer = "sH--", "The server does not answer: `timeout server`.", |w| {
        w.origin("o1", silent);
        start(w, "", &format!("timeout server 300ms\n{}", server("")));
        closed(w);
    };
    queue_takes_too_long = "sQ--", "No place at the server becomes free: `timeout queue`.", |w| {
        let [first, mut second] = queue(w, "", "timeout queue 300ms");
        second.wait_end();
        w.logs(1);
        first.reset();
        w.logs(2);
    };
    no_source_port = "SC--" / "RC--", "All ports of `source` are in use (the manual: `RC`).", |w| {
        w.origin("o1", silent);
        let port = w.port("source");
        one(w, "", &format!("source 127.0.0.1:{port}-{port}"));
        let mut first = w.client("fe");
        first.get("/", "");
        closed(w);
        w.logs(1);
        first.reset();
        w.logs(2);
    };
    malformed_chunk = "PD--", "A chunk of the answer has no valid size.", |w| {
        let gate = Gate::default();
        let go = gate.clone();
        w.origin("o1", move |mut c| {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf!\r\n");
            go.wait();
            c.send("nonsense\r\n").wait_end();
        });
        one(w, "", "");
        let mut c = w.client("fe");
        c.get("/", CLOSE).head();
        gate.open();
        c.wait_end();
    };
    malformed_chunk_at_once = "PH--", "The same, and it comes with the answer's head.", |w| {
        says(w, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf!\r\nnonsense\r\n");
        one(w, "", "");
        w.client("fe").get("/", CLOSE).wait_end();
    };
    malformed_chunk_of_a_request_late = "PD--", "A chunk of the request has no valid size; the answer has begun.", |w| {
        w.origin("o1", |mut c| {
            c.head();
            c.send(PART);
            c.wait_end();
        });
        one(w, "", "");
        let mut c = w.client("fe");
        c.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf!\r\n").head();
        c.send("nonsense\r\n").wait_end();
    };
    malformed_answer = "PH--", "The answer's head is not valid.", |w| {
        says(w, "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n");
        one(w, "", "");
        closed(w);
    };
    answer_denied = "PH--", "`http-response deny` keeps the answer back.", |w| {
        w.ok("o1");
        one(w, "http-response deny", "");
        closed(w);
    };
    malformed_chunk_of_a_request = "PH--", "A chunk of the request has no valid size; the server has not answered.", |w| {
        w.origin("o1", |mut c| {
            c.head();
            c.wait_end();
        });
        one(w, "", "");
        let mut c = w.client("fe");
        c.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf!\r\n");
        w.settle();
        c.send("nonsense\r\n").wait_end();
    };
    malformed_request = "PR--", "The request's head is not valid.", |w| {
        w.ok("o1");
        one(w, "", "");
        w.client("fe").send("GET / HTTP/1.1\r\nBad Name: x\r\n\r\n").read_to_end();
    };
    request_denied = "PR--", "`http-request deny` refuses the request.", |w| {
        w.ok("o1");
        one(w, "http-request deny", "");
        closed(w);
    };
    rewriting_fails = "PR--", "A rule's change of the request does not fit (`tune.maxrewrite`).", |w| {
        w.ok("o1");
        one(w, "http-request set-header x %[req.hdr(big)]", "");
        let big = "b".repeat(14_000);
        let request = format!("GET / HTTP/1.1\r\nHost: test\r\nbig: {big}\r\n{CLOSE}\r\n");
        w.client("fe").send_quietly(request.as_bytes()).wait_end();
    };
    no_descriptor = "SC--" / "RC--", "The process may open no other socket (the manual: `RC`, `PC`).", |w| {
        w.ok("o1");
        let prime = "listen prime\nbind 127.0.0.1:${prime}\nlog-format prime\nserver s1 127.0.0.1:${o1}";
        start(w, "", &format!("{}\n{prime}", server("")));
        // the socket for log lines is open then
        w.client("prime").get("/", CLOSE).read_to_end();
        w.logs(1);
        w.settle();
        let pid = w.process(0).pid();
        let open = || {
            let all = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
            all.filter_map(|e| e.file_name().to_str()?.parse::<u64>().ok()).collect::<Vec<_>>()
        };
        // room for the client's connection only
        let used = open();
        let most = (0..).filter(|n| !used.contains(n)).nth(1);
        let pid = rustix::process::Pid::from_raw(pid as i32);
        let limit = rustix::process::Rlimit { current: most, maximum: most };
        rustix::process::prlimit(pid, rustix::process::Resource::Nofile, limit).unwrap();
        w.client("fe").get("/", CLOSE).wait_end();
        w.logs(2);
    };
    tarpitted = "PT--", "`http-request tarpit` has held the request for its time.", |w| {
        w.ok("o1");
        one(w, "timeout tarpit 300ms\nhttp-request tarpit", "");
        closed(w);
    };
    no_source_address = "IC--", "The address to connect from (`usesrc`) is not to be had.", |w| {
        w.ok("o1");
        one(w, "", "source 0.0.0.0 usesrc hdr_ip(x-none)");
        closed(w);
    };
    server_found_down_before_the_answer = "DC--" / "DH--", "The server is found down before it has answered (`on-marked-down shutdown-sessions`).", |w| {
        w.origin("o1", silent);
        on_dying(w);
        let mut c = w.client("fe");
        c.get("/", "");
        marked_down(w);
        c.wait_end();
        w.logs(2);
    };
    server_found_down_in_the_body = "DC--" / "DD--", "The server is found down in the middle of the answer's body (`on-marked-down shutdown-sessions`).", |w| {
        says(w, PART);
        on_dying(w);
        let mut c = w.client("fe");
        c.get("/", "").head();
        marked_down(w);
        c.wait_end();
        w.logs(2);
    };
    better_server_found_up_before_the_answer = "UC--" / "UH--", "A server is up again before the backup has answered (`on-marked-up shutdown-backup-sessions`).", |w| {
        on_backup(w, "");
        let mut c = w.client("fe");
        c.get("/", "");
        w.settle();
        ask(w, "set server be/s1 health up");
        c.wait_end();
        w.logs(2);
    };
    better_server_found_up_in_the_body = "UC--" / "UD--", "A server is up again in the middle of the backup's answer (`on-marked-up shutdown-backup-sessions`).", |w| {
        on_backup(w, PART);
        let mut c = w.client("fe");
        c.get("/", "").head();
        w.settle();
        ask(w, "set server be/s1 health up");
        c.wait_end();
        w.logs(2);
    };
    shut_down_before_the_answer = "KC--" / "KH--", "An operator ends the stream before the server has answered.", |w| {
        w.origin("o1", silent);
        one(w, "", "");
        let mut c = w.client("fe");
        c.get("/", "");
        kill(w, "be");
        c.wait_end();
    };
    shut_down_in_the_body = "KC--" / "KD--", "An operator ends the stream in the middle of the answer's body.", |w| {
        says(w, PART);
        one(w, "", "");
        let mut c = w.client("fe");
        c.get("/", "").head();
        kill(w, "be");
        c.wait_end();
    };
    shut_down_while_connecting = "KC--", "An operator ends the stream while the connection to the server is being made.", |w| {
        let full = w.full_listener("o1");
        one(w, "", "");
        let mut c = w.client("fe");
        c.get("/", "");
        kill(w, "be");
        c.wait_end();
        w.logs(1);
        drop(full);
    };
    shut_down_in_the_queue = "KC--" / "KQ--", "An operator ends the stream while it waits for a place at the server.", |w| {
        w.origin("o1", silent);
        w.proxy(&format!(
            "{}  mode http\nfrontend fe\n  bind 127.0.0.1:${{fe}}\n  default_backend be\nfrontend other\n  bind 127.0.0.1:${{other}}\n  default_backend be\nbackend be\n  {}\n",
            super::GLOBAL,
            server("maxconn 1")
        ));
        let mut first = w.client("other");
        first.get("/", "");
        let mut second = w.client("fe");
        second.get("/", "");
        kill(w, "be");
        second.wait_end();
        w.logs(1);
        first.reset();
        w.logs(2);
    };
    shut_down_in_the_tarpit = "KC--" / "KT--", "An operator ends the stream while its request is tarpitted.", |w| {
        w.ok("o1");
        one(w, "timeout tarpit 20s\nhttp-request tarpit", "");
        let mut c = w.client("fe");
        c.get("/", "");
        kill(w, "<NONE>");
        c.wait_end();
    };
    shut_down_in_the_request = "KC--" / "KR--", "An operator ends the stream while a rule waits for the request's body.", |w| {
        w.ok("o1");
        one(w, "http-request wait-for-body time 20s", "");
        let mut c = w.client("fe");
        c.send(HALF_A_BODY);
        kill(w, "<NONE>");
        c.wait_end();
    };
}
