//! HTTP/2 with clients.
use super::{rows, server};
use portcullis_e2e::h2::start as head;
use portcullis_e2e::{Gate, H2, OriginConn, World};

fn start(w: &mut World, front: &str, back: &str) {
    w.proxy(&format!(
        "{}  mode http\nfrontend fe\n  bind 127.0.0.1:${{fe}} proto h2\n{}  default_backend be\nbackend be\n{}",
        super::GLOBAL,
        crate::indent(front),
        crate::indent(back)
    ));
}

fn silent(mut c: OriginConn) {
    c.request();
    c.wait_end();
}

const CANCEL: u32 = 8;

fn client(w: &mut World) -> H2 {
    w.h2_client("fe", &[])
}

rows! { "http2";
    cancelled_before_the_answer = "CD--", "The client cancels the stream before the server has answered.", |w| {
        w.origin("o1", silent);
        start(w, "", &format!("option abortonclose\n{}", server("")));
        let mut c = client(w);
        c.get(1, "/", &[]);
        w.settle();
        c.reset(1, CANCEL);
        w.logs(1);
    };
    cancelled_in_the_body = "CD--", "The client cancels the stream in the middle of the answer's body.", |w| {
        w.origin("o1", |mut c| {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf!");
            c.wait_end();
        });
        start(w, "", &server(""));
        let mut c = client(w);
        c.get(1, "/", &[]).head(1);
        w.settle();
        c.reset(1, CANCEL);
        w.logs(1);
    };
    cancelled_in_the_queue = "CQ--", "The client cancels the stream while it waits for a place at the server.", |w| {
        w.origin("o1", silent);
        start(w, "", &format!("option abortonclose\n{}", server("maxconn 1")));
        let mut c = client(w);
        c.get(1, "/", &[]);
        w.settle();
        c.get(3, "/", &[]);
        w.settle();
        c.reset(3, CANCEL);
        w.logs(1);
        c.close();
        w.logs(2);
    };
    cancelled_in_the_tarpit = "PT--" / "CT--", "The client cancels the stream while it is tarpitted.", |w| {
        w.ok("o1");
        start(w, "timeout tarpit 300ms\nhttp-request tarpit", &server(""));
        let mut c = client(w);
        c.get(1, "/", &[]);
        w.settle();
        c.reset(1, CANCEL);
        w.logs(1);
    };
    body_does_not_come = "cH--", "The rest of the request's body does not come: `timeout client`.", |w| {
        w.origin("o1", |mut c| {
            c.head();
            c.wait_end();
        });
        start(w, "timeout client 300ms", &server(""));
        let mut c = client(w);
        c.headers(1, &head("POST", "/"), false).data(1, b"half!", false);
        w.logs(1);
    };
    no_window = "cL--", "The client opens no window for the rest of the answer's body: `timeout client`.", |w| {
        w.answering("o1", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789");
        start(w, "timeout client 300ms", &server(""));
        let mut c = w.h2_client("fe", &[(4, 5)]);
        c.get(1, "/", &[]);
        w.logs(1);
    };
    server_leaves_in_the_body = "SD--", "The server closes its connection in the middle of the answer's body.", |w| {
        w.origin("o1", |mut c| {
            c.request();
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf!");
        });
        start(w, "", &server(""));
        let mut c = client(w);
        c.get(1, "/", &[]);
        w.logs(1);
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
        start(w, "", &server(""));
        let mut c = client(w);
        c.get(1, "/", &[]).head(1);
        gate.open();
        w.logs(1);
    };
    request_denied = "PR--", "`http-request deny` refuses the request.", |w| {
        w.ok("o1");
        start(w, "http-request deny", &server(""));
        let mut c = client(w);
        c.get(1, "/", &[]).answer(1);
        w.logs(1);
    };
}
