//! TCP.
use super::{kill, rows, server};
use crate::runtime_api::ask;
use portcullis_e2e::{Client, OriginConn, World};

fn start(w: &mut World, front: &str, back: &str) {
    // two characters: what they say of cookies is HTTP's
    super::start(w, "tcp", &format!("log-format \"%Tw/%Tc/%Tt ts=%ts\"\n{front}"), back);
}

fn one(w: &mut World, front: &str, options: &str) {
    start(w, front, &server(options));
}

/// Greets and stays.
fn greets(mut c: OriginConn) {
    c.send("hello\n");
    c.wait_end();
}

fn greeted(w: &mut World) -> Client {
    let mut c = w.client("fe");
    c.read_exactly(6);
    c
}

/// One session holds the server's only slot, the next one waits.
fn queue(w: &mut World, back: &str) -> [Client; 2] {
    w.origin("o1", greets);
    start(w, "", &format!("{back}\n{}", server("maxconn 1")));
    let first = greeted(w);
    let mut second = w.client("fe");
    second.send("hi\n");
    w.settle();
    [first, second]
}

rows! { "tcp";
    normal = "--", "Both sides have closed in order.", |w| {
        w.origin("o1", |mut c| {
            c.read_to_end();
            c.send("bye\n");
        });
        one(w, "", "");
        w.client("fe").send("hello\n").half_close().read_to_end();
    };
    client_leaves_while_connecting = "CC", "The client closes its connection while the one to the server is being made (`option abortonclose`).", |w| {
        let full = w.full_listener("o1");
        start(w, "", &format!("option abortonclose\n{}", server("")));
        let c = w.client("fe");
        w.settle();
        c.close();
        w.logs(1);
        drop(full);
    };
    client_resets = "CD", "The client resets its connection while data are exchanged.", |w| {
        w.origin("o1", greets);
        one(w, "", "");
        let c = greeted(w);
        w.settle();
        c.reset();
    };
    client_idles = "cD", "Nothing comes from the client: `timeout client`.", |w| {
        w.origin("o1", greets);
        one(w, "timeout client 300ms", "");
        w.client("fe").wait_end();
    };
    client_leaves_the_queue = "CD", "The client resets its connection while it waits for one of the server's `maxconn` places.", |w| {
        let [first, second] = queue(w, "option abortonclose");
        second.reset();
        w.logs(1);
        first.close();
        w.logs(2);
    };
    client_closes_in_the_queue = "CQ", "The client closes its connection while it waits for one of the server's `maxconn` places (`option abortonclose`).", |w| {
        let [first, second] = queue(w, "option abortonclose");
        second.close();
        w.logs(1);
        first.close();
        w.logs(2);
    };
    client_is_reset_in_the_queue = "CD", "The client resets its connection while it waits for a place at the server, without `option abortonclose`.", |w| {
        let [first, second] = queue(w, "no option abortonclose");
        second.reset();
        w.logs(1);
        first.close();
        w.logs(2);
    };
    client_ends_in_the_queue = "sQ", "The client has sent all that it has to say and waits for a place at the server, for longer than `timeout queue`.", |w| {
        let [first, mut second] = queue(w, "no option abortonclose\ntimeout queue 300ms");
        second.half_close();
        w.logs(1);
        first.close();
        w.logs(2);
    };
    client_leaves_while_inspected = "CR", "The client resets its connection while rules wait for what it says.", |w| {
        w.origin("o1", greets);
        one(w, "tcp-request inspect-delay 20s\ntcp-request content accept if { req.len gt 10 }", "");
        let mut c = w.client("fe");
        c.send("hello\n");
        w.settle();
        c.reset();
    };
    client_idles_while_inspected = "cR", "Rules wait for what the client says, and it says nothing: `timeout client`.", |w| {
        w.origin("o1", greets);
        one(w, "timeout client 300ms\ntcp-request inspect-delay 20s\ntcp-request content accept if { req.len gt 10 }", "");
        let mut c = w.client("fe");
        c.send("hello\n").wait_end();
    };
    rejected = "PR", "`tcp-request content reject` refuses the session.", |w| {
        w.origin("o1", greets);
        one(w, "tcp-request content reject", "");
        w.client("fe").wait_end();
    };
    answer_rejected = "PD", "`tcp-response content reject` refuses what the server says.", |w| {
        w.origin("o1", greets);
        start(w, "", &format!("tcp-response inspect-delay 5s\ntcp-response content reject if {{ res.len gt 0 }}\n{}", server("")));
        w.client("fe").wait_end();
    };
    connection_refused = "SC", "The server refuses the connection.", |w| {
        w.port("o1");
        one(w, "", "");
        w.client("fe").wait_end();
    };
    connecting_takes_too_long = "sC", "The connection to the server is not made: `timeout connect`.", |w| {
        let full = w.full_listener("o1");
        start(w, "", &format!("timeout connect 300ms\n{}", server("")));
        w.client("fe").wait_end();
        w.logs(1);
        drop(full);
    };
    server_resets = "SD", "The server resets its connection while data are exchanged.", |w| {
        w.origin("o1", |mut c| {
            c.send("hello\n");
            c.read_exactly(3);
            c.reset();
        });
        one(w, "", "");
        let mut c = greeted(w);
        c.send("go\n").wait_end();
    };
    server_idles = "sD", "Nothing comes from the server: `timeout server`.", |w| {
        w.origin("o1", greets);
        start(w, "", &format!("timeout server 300ms\n{}", server("")));
        w.client("fe").wait_end();
    };
    queue_takes_too_long = "sQ", "No place at the server becomes free: `timeout queue`.", |w| {
        let [first, mut second] = queue(w, "timeout queue 300ms");
        second.wait_end();
        w.logs(1);
        first.close();
        w.logs(2);
    };
    no_source_port = "SC" / "RC", "All ports of `source` are in use (the manual: `RC`).", |w| {
        w.origin("o1", greets);
        let port = w.port("source");
        one(w, "", &format!("source 127.0.0.1:{port}-{port}"));
        let first = greeted(w);
        w.client("fe").wait_end();
        w.logs(1);
        first.close();
        w.logs(2);
    };
    server_found_down = "DC" / "DD", "The server is found down while data are exchanged (`on-marked-down shutdown-sessions`).", |w| {
        w.origin("o1", greets);
        one(w, "", "check inter 1h on-marked-down shutdown-sessions");
        w.settle();
        let mut c = greeted(w);
        w.settle();
        ask(w, "set server be/s1 health down");
        c.wait_end();
        w.logs(2);
    };
    better_server_found_up = "UC" / "UD", "A server is up again, and the session's is a backup (`on-marked-up shutdown-backup-sessions`).", |w| {
        w.origin("o2", greets);
        w.ok("o1");
        start(
            w,
            "",
            "server s1 127.0.0.1:${o1} check inter 1h rise 1 on-marked-up shutdown-backup-sessions\nserver s2 127.0.0.1:${o2} backup",
        );
        w.settle();
        ask(w, "set server be/s1 health down");
        let mut c = greeted(w);
        w.settle();
        ask(w, "set server be/s1 health up");
        c.wait_end();
        w.logs(2);
    };
    shut_down = "KC" / "KD", "An operator ends the session while data are exchanged.", |w| {
        w.origin("o1", greets);
        one(w, "", "");
        let mut c = greeted(w);
        kill(w, "be");
        c.wait_end();
    };
    shut_down_while_connecting = "KC", "An operator ends the session while the connection to the server is being made.", |w| {
        let full = w.full_listener("o1");
        one(w, "", "");
        let mut c = w.client("fe");
        kill(w, "be");
        c.wait_end();
        w.logs(1);
        drop(full);
    };
}
