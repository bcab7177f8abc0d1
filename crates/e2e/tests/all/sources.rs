//! Where server connections come from (manual: `source`, `usesrc`).
use crate::sections;
use portcullis_e2e::scenario;

#[test]
fn an_address() {
    from("an_address", "", "127.0.0.5", &[""]);
}

#[test]
fn an_interface_that_is_not_there() {
    from("an_interface_that_is_not_there", "", "0.0.0.0 interface nope0", &[""]);
}

#[test]
fn usesrc_address() {
    from("usesrc_address", "", "127.0.0.5 usesrc 127.0.0.7", &[""]);
}

#[test]
fn usesrc_header() {
    from("usesrc_header", "", "0.0.0.0 usesrc hdr_ip(x-f)", &["X-F: 127.0.0.33, 127.0.0.34\r\n"]);
    from(
        "usesrc_header_first",
        "",
        "0.0.0.0 usesrc hdr_ip(x-f,1)",
        &["X-F: 127.0.0.33\r\nX-F: 127.0.0.34\r\n"],
    );
}

/// Server connections are told with the address that an inner listener sees and logs.
fn from(name: &str, frontend: &'static str, source: &'static str, fields: &'static [&'static str]) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    scenario(&format!("sources/{name}"), |w| {
        w.ok("o1");
        w.proxy(
            &(sections(&format!("{frontend}\nno log"), &format!("source {source}"))
                + "frontend inner\n  bind 127.0.0.1:${in}\n  mode tcp\n  log-format \"%ci\"\n  default_backend last\nbackend last\n  mode tcp\n  server s 127.0.0.1:${o1}\n")
                .replacen("server s1 127.0.0.1:${o1}", "server s1 127.0.0.1:${in} pool-max-conn 0", 1),
        );
        for f in fields {
            w.client("fe").get("/", &format!("{f}Connection: close\r\n")).read_to_end();
        }
        w.logs(fields.len());
    });
}

/// The client's address as rules have it.
#[test]
fn usesrc_clientip() {
    let set_src = "http-request set-src hdr(x-f)";
    from("usesrc_clientip", set_src, "0.0.0.0 usesrc clientip", &["X-F: 127.0.0.77\r\n"]);
}

/// A header that holds no address of the server's family leaves the choice to the system.
#[test]
fn usesrc_header_without_an_address() {
    let fields = &["X-F: bad\r\n", "X-F: ::1\r\n"];
    from("usesrc_header_without_an_address", "", "0.0.0.0 usesrc hdr_ip(x-f)", fields);
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
