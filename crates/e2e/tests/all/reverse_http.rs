//! Reverse HTTP: who makes a connection serves what comes by it (manual: "rhttp@", "nbconn", "attach-srv").
use portcullis_e2e::binary::Binary;
use portcullis_e2e::h2::{block, frame, start};
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{Client, H2, World, scenario};
use portcullis_wire::h2::frame::{flag, kind};
use rustix::process::Signal;

const GLOBAL: &str = "global\n  log 127.0.0.1:${log} local0\n  nbthread 1\n  expose-experimental-directives\n\
                      \x20 stats socket ${dir}/cli level admin\n\
                      defaults\n  mode http\n  log global\n  option httplog\n  timeout connect 10s\n  timeout client 30s\n\
                      \x20 timeout server 30s\n";

/// Waits for connections at `reg`, and sends what comes at `fe` by them.
fn passive(server: &str, rule: &str) -> String {
    format!(
        "{GLOBAL}frontend fe\n  bind 127.0.0.1:${{fe}}\n  default_backend rev\n\
         frontend reg\n  bind 127.0.0.1:${{reg}} proto h2\n  tcp-request session attach-srv rev/s1 {rule}\n\
         backend rev\n  server s1 rhttp@ {server}\n"
    )
}

/// Makes connections to `reg`, and serves them.
fn active(nbconn: u32) -> String {
    let global = GLOBAL.replace("${dir}/cli", "${dir}/active");
    format!(
        "{global}frontend inner\n  bind rhttp@dial/s1 nbconn {nbconn}\n  http-response set-header x-by %f,%[fc_http_major]\n\
         \x20 default_backend be\n\
         backend dial\n  server s1 127.0.0.1:${{reg}} proto h2\nbackend be\n  server s1 127.0.0.1:${{o1}}\n"
    )
}

fn quiet(w: &mut World) -> Client {
    Client::tcp(w.port("fe"), Default::default())
}

fn stop(w: &mut World, process: usize) {
    w.process(process).signal(Signal::KILL);
    assert!(w.process(process).wait(PATIENCE).is_some());
}

fn status(w: &mut World) -> u16 {
    quiet(w).get("/status", "").response().status()
}

fn comes_to(w: &mut World, wanted: u16) {
    let met = wait_for(PATIENCE, || (status(w) == wanted).then_some(()));
    assert!(met.is_some(), "{wanted}");
}

/// Resting connections of the server, as `show servers conn` has them.
fn resting(w: &World) -> usize {
    let said = crate::runtime_api::ask(w, "show servers conn");
    let line = said.lines().find(|l| l.starts_with("rev/s1")).expect("its line").to_owned();
    line.split_whitespace().nth(14).and_then(|n| n.parse().ok()).expect("a number")
}

/// Everything that goes over such connections, whoever is at their ends.
fn both_ways(outer: Binary, inner: Binary) {
    let mut w = World::new(outer);
    w.origin("o1", |mut c| {
        while let Some(request) = c.request() {
            let body = format!("{} {}", request.start_line(), request.body.len());
            c.send_quietly(
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes(),
            );
        }
    });
    let waits = w.proxy(&passive("", ""));
    assert_eq!(status(&mut w), 503, "nobody has come yet");
    let outer = std::mem::replace(&mut w.binary, inner);
    let first = w.proxy(&active(2));
    comes_to(&mut w, 200);
    assert!(wait_for(PATIENCE, || (resting(&w) == 2).then_some(())).is_some(), "nbconn");
    let mut c = quiet(&mut w);
    let answer = c.get("/a?b", "").response();
    assert_eq!(answer.field("x-by").as_deref(), Some("inner,2"));
    assert!(answer.body.ends_with(b"GET /a?b HTTP/1.1 0"), "{answer:?}");
    let body = "x".repeat(300_000);
    c.send(format!("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    assert!(c.response().body.ends_with(b"POST /up HTTP/1.1 300000"));
    c.close();
    // the inner side goes, and another one comes
    stop(&mut w, first);
    comes_to(&mut w, 503);
    w.proxy(&active(1));
    comes_to(&mut w, 200);
    // the outer side goes, and another one comes
    stop(&mut w, waits);
    w.binary = outer;
    w.proxy(&passive("", ""));
    comes_to(&mut w, 200);
}

#[test]
fn between_two_of_us() {
    both_ways(Binary::under_test(), Binary::under_test());
}

#[test]
fn with_haproxy_outside() {
    if let Some(haproxy) = Binary::haproxy35() {
        both_ways(haproxy, Binary::under_test());
    }
}

#[test]
fn with_haproxy_inside() {
    if let Some(haproxy) = Binary::haproxy35() {
        both_ways(Binary::under_test(), haproxy);
    }
}

/// A connection rests with one worker and goes to another one that needs it, TLS and all.
#[test]
fn workers_lend_each_other_what_has_come() {
    for tls in [false, true] {
        let mut w = World::new(Binary::under_test());
        w.answering("o1", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        crate::tls::own(&w, "a", false, "DNS:localhost");
        let mut waits = passive("", "").replace("nbthread 1", "nbthread 2").replace(
            "default_backend rev",
            "http-response set-header x-thread %[thread]\n  default_backend rev",
        );
        let mut serves = active(1);
        if tls {
            waits = waits.replace("${reg} proto h2", "${reg} ssl crt ${dir}/a.pem alpn h2");
            serves = serves.replace("${reg} proto h2", "${reg} ssl verify none alpn h2");
        }
        w.proxy(&waits);
        w.proxy(&serves);
        comes_to(&mut w, 200);
        let mut threads = std::collections::BTreeMap::<String, u32>::new();
        let met = wait_for(PATIENCE, || {
            let answer = quiet(&mut w).get("/status", "").response();
            assert_eq!(answer.status(), 200, "{threads:?} {answer:?}");
            *threads.entry(answer.field("x-thread").expect("its thread")).or_default() += 1;
            (threads.len() == 2 && threads.values().all(|n| *n > 4)).then_some(())
        });
        assert!(met.is_some(), "{threads:?}");
        assert_eq!(resting(&w), 1, "it is still the only one");
        let said = crate::runtime_api::ask(&w, "show stat");
        let line = said.lines().find(|l| l.starts_with("rev,BACKEND")).expect("a line").to_owned();
        let columns: Vec<&str> = said.lines().next().expect("columns").split(',').collect();
        let column = |name: &str| {
            let at = columns.iter().position(|c| *c == name).expect("a column");
            line.split(',').nth(at).expect("a value").to_owned()
        };
        assert_eq!([column("h2_open_connections"), column("h2_total_connections")], ["1", "1"]);
    }
}

/// What an attached connection hears, and that nothing but its settings may come before.
#[test]
fn an_attached_connection() {
    scenario("reverse_http/an_attached_connection", |w| {
        w.proxy(&passive("pool-conn-name req.hdr(x-name)", "name str(one)"));
        let mut early = H2::begin(Client::tcp(w.port("reg"), Default::default()), &[]);
        early.send(frame(kind::HEADERS, 5, 1, &block(&start("GET", "/"))));
        let told = std::iter::from_fn(|| early.next_frame()).find(|(f, _)| f.kind == kind::GOAWAY);
        w.note(format!("one that asks itself: {:?}", told.expect("a reason").1.get(4..8)));
        let mut server = w.h2_client("reg", &[]);
        server.until(|h| h.kind == kind::SETTINGS && h.has(flag::ACK));
        let fits = wait_for(PATIENCE, || (resting(w) == 1).then_some(()));
        w.note(format!("rests: {}", fits.is_some()));
        let mut c = w.client("fe");
        c.get("/for/nobody", "X-Name: two\r\n").response();
        c.get("/for/one", "X-Name: one\r\n");
        server.until(|h| h.kind == kind::HEADERS);
        server.headers(1, &[(":status", "200"), ("x-from", "inside")], false).data(1, b"ok", true);
        c.response();
        c.close();
    });
}

/// Listeners whose server is none for them.
#[test]
fn servers_that_do_not_fit() {
    for (server, why) in [("dial/nope", "No such server"), ("dial/s1", "HTTP/2")] {
        let mut w = World::new(Binary::under_test());
        let text = active(1)
            .replace("rhttp@dial/s1", &format!("rhttp@{server}"))
            .replace("${reg} proto h2", "${reg}");
        let file = w.file("wrong.cfg", &text).display().to_string();
        let out = w.run(&["-db", "-f", &file]);
        assert_eq!(out.code, 1);
        assert!(out.stderr.contains(why), "{}", out.stderr);
    }
}
