//! What the client said about the persistence cookie, and what became of the server's.
use super::rows;
use portcullis_e2e::World;

/// A backend with these lines and servers; its origin answers with the field that the request has in `set`. The client sends one
/// request with these fields.
fn ask(w: &mut World, lines: &str, servers: &[&str], fields: &str) {
    w.origin("o1", |mut c| {
        while let Some(request) = c.request() {
            let set = request.field("set").map(|s| format!("{s}\r\n")).unwrap_or_default();
            c.send_quietly(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{set}\r\n").as_bytes());
        }
    });
    let servers: String = servers
        .iter()
        .enumerate()
        .map(|(n, s)| match s.strip_prefix("refusing ") {
            Some(s) => format!("server s{n} 127.0.0.1:${{none}} {s}\n"),
            None => format!("server s{n} 127.0.0.1:${{o1}} {s}\n"),
        })
        .collect();
    super::start(w, "http", "", &format!("{lines}\n{servers}"));
    let mut c = w.client("fe");
    c.get("/", &format!("{fields}Connection: close\r\n"));
    c.wait_end();
}

const TWO: &[&str] = &["cookie A", "cookie B"];
const INSERT: &str = "cookie SRV insert indirect";
const OWN: &str = "set: Set-Cookie: SRV=own\r\n";

rows! { "cookies";
    none_none = "--NN", "No cookie came and none was set: `postonly`, and this was a GET.", |w| ask(w, "cookie SRV insert indirect postonly", TWO, "");
    none_inserted = "--NI", "No cookie came, one was inserted.", |w| ask(w, INSERT, TWO, "");
    none_provided = "--NP", "No cookie came, the server's own went to the client as it is.", |w| ask(w, "cookie SRV insert indirect preserve", TWO, OWN);
    none_rewritten = "--NR", "No cookie came, the server's own was given the name of the server.", |w| ask(w, "cookie SRV rewrite", TWO, OWN);
    none_deleted = "--ND", "No cookie came, the server's own was taken away: `postonly`, and this was a GET.", |w| ask(w, "cookie SRV insert indirect postonly", TWO, OWN);
    unknown_inserted = "--II", "The cookie names no server; one was inserted.", |w| ask(w, INSERT, TWO, "Cookie: SRV=Z\r\n");
    unknown_none = "--IN", "The cookie names no server; none was set.", |w| ask(w, "cookie SRV insert indirect postonly", TWO, "Cookie: SRV=Z\r\n");
    down_inserted = "--DI", "The cookie's server is down: another one was chosen and its cookie inserted.", |w| ask(w, INSERT, &["cookie A", "cookie B disabled"], "Cookie: SRV=B\r\n");
    down_none = "--DN", "The cookie's server is down, and the client is sent there nevertheless (`option persist`).", |w| ask(w, "cookie SRV insert indirect\noption persist", &["cookie A", "cookie B disabled", "cookie B"], "Cookie: SRV=B\r\n");
    valid_none = "--VN", "The client came back to its server.", |w| ask(w, INSERT, TWO, "Cookie: SRV=B\r\n");
    valid_updated = "--VU", "The cookie has no date and `maxidle` wants one: it was set anew.", |w| ask(w, "cookie SRV insert indirect maxidle 1h", TWO, "Cookie: SRV=B\r\n");
    valid_inserted = "--DI", "The cookie's server refuses connections: another one was chosen and its cookie inserted (the manual: `VI`).", |w| {
        ask(w, "cookie SRV insert indirect\noption redispatch 1\nretries 1", &["cookie A", "refusing cookie B"], "Cookie: SRV=B\r\n");
    };
    valid_provided = "--VP", "The client came back, and the server's own cookie went to it as it is.", |w| ask(w, "cookie SRV insert preserve indirect", TWO, "Cookie: SRV=B\r\nset: Set-Cookie: SRV=own\r\n");
    valid_rewritten = "--VR", "The client came back, and the server's own cookie was given the name of the server.", |w| ask(w, "cookie SRV rewrite", TWO, "Cookie: SRV=B\r\nset: Set-Cookie: SRV=own\r\n");
    valid_deleted = "--VD", "The client came back, and the server's own cookie was taken away.", |w| ask(w, INSERT, TWO, "Cookie: SRV=B\r\nset: Set-Cookie: SRV=own\r\n");
    expired_inserted = "--EI", "The cookie was last seen longer ago than `maxidle`: one was inserted.", |w| ask(w, "cookie SRV insert indirect maxidle 1h", TWO, "Cookie: SRV=B|AAAAB\r\n");
    old_inserted = "--OI", "The cookie was first seen longer ago than `maxlife`: one was inserted.", |w| ask(w, "cookie SRV insert indirect maxlife 1h", TWO, "Cookie: SRV=B||AAAAB\r\n");
    unused_none = "--UN", "A cookie came, and `use-server` chose.", |w| ask(w, "cookie SRV insert indirect\nuse-server s0 if TRUE", TWO, "Cookie: SRV=A\r\n");
    refused_valid = "PRVN", "A rule refuses the request of a client that came back.", |w| ask(w, "cookie SRV insert indirect\nhttp-request deny", TWO, "Cookie: SRV=B\r\n");
}
