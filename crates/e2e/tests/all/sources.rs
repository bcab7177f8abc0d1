//! Where server connections come from (manual: `source`, `usesrc`).
use crate::sections;
use portcullis_e2e::{World, scenario};

/// Server connections are told with the address that the log has of them.
fn from(name: &str, source: &'static str, fields: &'static [&'static str]) {
    if !rustix::process::geteuid().is_root() {
        return; // addresses of others need privileges
    }
    scenario(&format!("sources/{name}"), |w: &mut World| {
        w.ok("o1");
        w.proxy(
            &(sections("log-format \"%bi %ST %ts\"", &format!("source {source}"))
                + "frontend inner\n  bind 127.0.0.1:${in}\n  mode tcp\n  log-format \"%ci\"\n  default_backend last\nbackend last\n  mode tcp\n  server s 127.0.0.1:${o1}\n")
                .replacen("server s1 127.0.0.1:${o1}", "server s1 127.0.0.1:${in}", 1),
        );
        for f in fields {
            w.client("fe").get("/", &format!("{f}Connection: close\r\n")).read_to_end();
        }
        w.logs(2 * fields.len());
    });
}

#[test]
fn an_address() {
    from("an_address", "127.0.0.5", &[""]);
}

#[test]
fn an_interface_that_is_not_there() {
    from("an_interface_that_is_not_there", "0.0.0.0 interface nope0", &[""]);
}

#[test]
fn usesrc_address() {
    from("usesrc_address", "127.0.0.5 usesrc 127.0.0.7", &[""]);
}

#[test]
fn usesrc_header() {
    from(
        "usesrc_header",
        "0.0.0.0 usesrc hdr_ip(x-f)",
        &["X-F: 127.0.0.33, 127.0.0.34\r\n", "X-F: bad\r\n", "X-F: ::1\r\n"],
    );
    from("usesrc_header_first", "0.0.0.0 usesrc hdr_ip(x-f,1)", &["X-F: 127.0.0.33\r\nX-F: 127.0.0.34\r\n"]);
}

/// The client's address as rules have it.
#[test]
fn usesrc_clientip() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    scenario("sources/usesrc_clientip", |w| {
        w.ok("o1");
        w.proxy(
            &(sections("http-request set-src hdr(x-f)\nno log", "source 0.0.0.0 usesrc clientip")
                + "frontend inner\n  bind 127.0.0.1:${in}\n  mode tcp\n  log-format \"%ci\"\n  default_backend last\nbackend last\n  mode tcp\n  server s 127.0.0.1:${o1}\n")
                .replacen("server s1 127.0.0.1:${o1}", "server s1 127.0.0.1:${in}", 1),
        );
        w.client("fe").get("/", "X-F: 127.0.0.77\r\nConnection: close\r\n").read_to_end();
        w.logs(1);
    });
}

#[test]
fn usesrc_header_that_is_not_there() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    scenario("sources/usesrc_header_that_is_not_there", |w| {
        w.ok("o1");
        w.proxy(&sections("", "source 0.0.0.0 usesrc hdr_ip(x-f)"));
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        w.logs(1);
    });
}
