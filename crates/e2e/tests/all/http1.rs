//! HTTP/1.1 message forwarding (RFC 9110, RFC 9112).
use portcullis_e2e::scenario;

/// One frontend and one backend with one server; `${0}` stands for nothing.
const PLAIN: &str = "
frontend fe
  bind 127.0.0.1:${fe}
  default_backend be
backend be
  server s1 127.0.0.1:${o1}
";

#[test]
fn keep_alive() {
    scenario("http1/keep_alive", |w| {
        w.ok("o1");
        w.proxy(PLAIN);
        let mut c = w.client("fe");
        c.get("/1", "").response();
        c.get("/2", "X-Custom: One\r\nX-Custom:   two  \r\n").response();
        c.close();
        w.logs(2);
    });
}
