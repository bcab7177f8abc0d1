//! Upgrades, CONNECT and WebSocket, and how their tunnels end (RFC 9110 sections 7.8 and 9.3.6, RFC 6455).
use crate::sections;
use portcullis_e2e::{OriginConn, scenario};

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n";
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: foo\r\n";

fn switching(mut c: OriginConn) {
    c.head();
    c.send(SWITCH);
    c.read_exactly(5);
    c.send("world");
    c.wait_end();
}

#[test]
fn websocket_with_its_answer() {
    scenario("tunnels/websocket_with_its_answer", |w| {
        w.origin("o1", |mut c| {
            c.head();
            c.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            );
            c.read_exactly(5);
            c.send("world").half_close();
            c.wait_end();
        });
        w.proxy(&sections("", "option http-server-close"));
        let mut c = w.client("fe");
        c.get(
            "/chat",
            "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
        );
        c.response();
        c.send("hello").read_exactly(5);
        c.wait_end();
        c.close();
        w.logs(1);
    });
}

#[test]
fn websocket_without_a_key() {
    scenario("tunnels/websocket_without_a_key", |w| {
        w.ok("o1");
        w.proxy(&sections("", ""));
        w.client("fe")
            .get("/chat", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n")
            .read_to_end();
        w.logs(1);
    });
}

#[test]
fn the_client_ends_first() {
    scenario("tunnels/the_client_ends_first", |w| {
        w.origin("o1", switching);
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/", UPGRADE).response();
        c.send("hello").read_exactly(5);
        c.half_close().read_to_end();
        w.logs(1);
    });
}

#[test]
fn the_server_ends_first() {
    scenario("tunnels/the_server_ends_first", |w| {
        w.origin("o1", |mut c| {
            c.head();
            c.send(SWITCH);
            c.read_exactly(5);
            c.send("world");
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/", UPGRADE).response();
        c.send("hello").read_to_end();
        c.close();
        w.logs(1);
    });
}

#[test]
fn the_client_resets() {
    scenario("tunnels/the_client_resets", |w| {
        let origin = w.origin("o1", |mut c| {
            c.head();
            c.send(SWITCH);
            c.read_exactly(5);
            c.send("world");
            let end = c.wait_end();
            c.transcript().add(format!("end {end:?}"));
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/", UPGRADE).response();
        c.send("hello").read_exactly(5);
        c.reset();
        origin.wait_line(0, "end");
        w.logs(1);
    });
}

#[test]
fn idle_for_too_long() {
    for (name, frontend, backend) in [
        ("client", "timeout client 300ms", ""),
        ("server", "", "timeout server 300ms"),
        ("tunnel", "timeout client 100ms", "timeout server 100ms\ntimeout tunnel 400ms"),
        ("client_fin", "timeout client-fin 200ms", "timeout tunnel 5s"),
    ] {
        scenario(&format!("tunnels/idle_{name}"), |w| {
            w.origin("o1", switching);
            w.proxy(&sections(frontend, backend));
            let mut c = w.client("fe");
            c.get("/", UPGRADE).response();
            c.send("hello").read_exactly(5);
            if name == "client_fin" {
                c.half_close();
            }
            c.wait_end();
            w.logs(1);
        });
    }
}

#[test]
fn switch_without_upgrade_field() {
    scenario("tunnels/switch_without_upgrade_field", |w| {
        w.origin("o1", |mut c| {
            c.head();
            c.send("HTTP/1.1 101 Switching Protocols\r\n\r\n");
            c.wait_end();
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/", UPGRADE).response();
        c.close();
        w.logs(1);
    });
}

#[test]
fn upgrade_by_http_1_0() {
    scenario("tunnels/upgrade_by_http_1_0", |w| {
        w.origin("o1", |mut c| {
            c.head();
            c.send(SWITCH).send("hi");
            c.wait_end();
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.send("GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n").response();
        c.read_exactly(2);
        c.close();
        w.logs(1);
    });
}

#[test]
fn connect_with_modes() {
    for (name, frontend, backend) in
        [("server_close", "", "option http-server-close"), ("httpclose", "option httpclose", "")]
    {
        scenario(&format!("tunnels/connect_with_{name}"), |w| {
            w.origin("o1", |mut c| {
                c.head();
                c.send(
                    "HTTP/1.1 200 Connected\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
                );
                c.wait_end();
            });
            w.proxy(&sections(frontend, backend));
            let mut c = w.client("fe");
            c.send("CONNECT test:80 HTTP/1.1\r\nHost: test:80\r\n\r\n").response_to("CONNECT");
            c.read_exactly(5);
            c.close();
            w.logs(1);
        });
    }
}

#[test]
fn interim_answers_before_a_switch() {
    scenario("tunnels/interim_answers_before_a_switch", |w| {
        w.origin("o1", |mut c| {
            c.head();
            c.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").send(SWITCH);
            c.wait_end();
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/", UPGRADE).response();
        c.response();
        c.close();
        w.logs(1);
    });
}

#[test]
fn interim_answers_to_http_1_0() {
    scenario("tunnels/interim_answers_to_http_1_0", |w| {
        w.origin("o1", |mut c| {
            c.head();
            c.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            c.wait_end();
        });
        w.proxy(&sections("", ""));
        w.client("fe").send("GET / HTTP/1.0\r\n\r\n").read_to_end();
        w.logs(1);
    });
}

/// Once one side has ended, only the other one can be late.
#[test]
fn half_closed() {
    for (name, client_ends, frontend, backend) in [
        ("client", true, "timeout client 300ms", "timeout server 900ms"),
        ("client_with_tunnel", true, "", "timeout tunnel 600ms"),
        ("server", false, "timeout client 900ms", "timeout server 300ms"),
        ("server_with_tunnel", false, "", "timeout tunnel 600ms"),
    ] {
        scenario(&format!("tunnels/half_closed_by_{name}"), |w| {
            let gate = portcullis_e2e::Gate::default();
            let held = gate.clone();
            w.origin("o1", move |mut c| {
                c.head();
                c.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n");
                c.read_exactly(6);
                if !client_ends {
                    c.half_close();
                }
                c.read_to_end();
                held.wait();
            });
            w.proxy(&sections(frontend, backend));
            let mut c = w.client("fe");
            c.get("/", "Connection: Upgrade\r\nUpgrade: foo\r\n");
            c.head();
            c.send("hello\n");
            if client_ends {
                c.half_close();
            }
            c.read_to_end();
            w.logs(1);
            gate.open();
        });
    }
}
