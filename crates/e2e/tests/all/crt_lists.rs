//! Which certificates clients get that no certificate is for, and crt-lists and directories that are filled while the
//! process runs (manual section 5.1, `crt-list` and `default-crt`).
use crate::certificates::{ask, give, start};
use crate::tls::{own, show};
use portcullis_e2e::{World, scenario};

/// A frontend with these `bind` options on the port `one`, which says whose certificate it answers with.
fn frontend(options: &str) -> String {
    format!(
        "frontend fe
  bind 127.0.0.1:${{one}} ssl {options}
  http-request return status 200 hdr who \"%[ssl_f_s_dn] %[ssl_f_key_alg]\"
"
    )
}

/// Certificates `a` (RSA), `b` (RSA) and `e` (ECDSA).
fn three(w: &World) {
    own(w, "a", true, "DNS:a.test");
    own(w, "b", true, "DNS:b.test");
    own(w, "e", false, "DNS:e.test");
}

/// What clients get that give no name, by what they can verify.
fn defaults(w: &mut World) {
    show(w, "one", "-noservername -sigalgs RSA-PSS+SHA256:RSA+SHA256");
    show(w, "one", "-noservername -sigalgs ECDSA+SHA256");
    show(w, "one", "-servername other.test");
}

#[test]
fn the_first_certificate_stays_a_default() {
    scenario("crt_lists/the_first_certificate_stays_a_default", |w| {
        three(w);
        start(w, &frontend("crt ${dir}/a.pem default-crt ${dir}/b.pem default-crt ${dir}/e.pem"));
        defaults(w);
        ask(w, "show ssl sni");
    });
}

#[test]
fn the_first_line_stays_a_default() {
    scenario("crt_lists/the_first_line_stays_a_default", |w| {
        three(w);
        w.file("list", "${dir}/e.pem\n${dir}/a.pem *\n${dir}/b.pem *\n");
        start(w, &frontend("crt-list ${dir}/list/"));
        defaults(w);
        ask(w, "show ssl sni");
        let dir = w.dir().display().to_string();
        // it cannot go, others can
        ask(w, &format!("del ssl crt-list {dir}/list {dir}/e.pem"));
        ask(w, &format!("del ssl crt-list {dir}/list/ {dir}/a.pem"));
        defaults(w);
    });
}

#[test]
fn of_a_bundle_in_a_list_one_is_the_default() {
    scenario("crt_lists/of_a_bundle_in_a_list_one_is_the_default", |w| {
        three(w);
        std::fs::rename(w.dir().join("a.pem"), w.dir().join("m.rsa")).unwrap();
        std::fs::rename(w.dir().join("e.pem"), w.dir().join("m.ecdsa")).unwrap();
        w.file("list", "${dir}/m\n${dir}/b.pem\n");
        start(
            w,
            &format!(
                "{}  bind 127.0.0.1:${{two}} ssl crt ${{dir}}/m crt ${{dir}}/b.pem\n",
                frontend("crt-list ${dir}/list")
            ),
        );
        defaults(w);
        show(w, "two", "-noservername -sigalgs RSA-PSS+SHA256:RSA+SHA256");
        show(w, "two", "-noservername -sigalgs ECDSA+SHA256");
        ask(w, "show ssl sni");
    });
}

/// A list with nothing in it, and an empty directory, answer with what is added to them.
#[test]
fn empty_lists_are_filled() {
    scenario("crt_lists/empty_lists_are_filled", |w| {
        three(w);
        w.file("list", "# nothing yet\n");
        std::fs::create_dir(w.dir().join("empty")).unwrap();
        start(
            w,
            &format!(
                "{}  bind 127.0.0.1:${{two}} ssl crt ${{dir}}/empty/ strict-sni\n",
                frontend("crt-list ${dir}/list crt ${dir}/b.pem")
            ),
        );
        let dir = w.dir().display().to_string();
        ask(w, "show ssl crt-list");
        show(w, "one", "-servername a.test");
        show(w, "two", "-servername a.test");
        let new = format!("{dir}/empty/new.pem");
        ask(w, &format!("new ssl cert {new}"));
        give(w, &format!("set ssl cert {new}"), "a.pem");
        ask(w, &format!("commit ssl cert {new}"));
        ask(w, &format!("add ssl crt-list {dir}/list {new}"));
        ask(w, &format!("add ssl crt-list {dir}/empty {new}"));
        ask(w, &format!("show ssl crt-list -n {dir}/list"));
        ask(w, &format!("show ssl crt-list -n {dir}/empty/"));
        show(w, "one", "-servername a.test");
        show(w, "two", "-servername a.test");
        ask(w, "show ssl sni");
        ask(w, &format!("del ssl crt-list {dir}/empty {new}"));
        ask(w, &format!("add ssl crt-list {dir}/empty {new}"));
        ask(w, &format!("show ssl crt-list -n {dir}/empty"));
        show(w, "two", "-servername a.test");
    });
}

#[test]
fn a_directory_is_a_list() {
    scenario("crt_lists/a_directory_is_a_list", |w| {
        three(w);
        std::fs::create_dir(w.dir().join("certs")).unwrap();
        for name in ["a.pem", "e.pem"] {
            std::fs::rename(w.dir().join(name), w.dir().join("certs").join(name)).unwrap();
        }
        start(w, &frontend("crt ${dir}/certs default-crt ${dir}/b.pem"));
        let dir = w.dir().display().to_string();
        defaults(w);
        ask(w, "show ssl crt-list");
        ask(w, &format!("add ssl crt-list {dir}/certs {dir}/nobody.pem"));
        ask(w, &format!("add ssl crt-list {dir}/certs <<\n{dir}/b.pem [alpn h2]\n"));
        ask(w, &format!("add ssl crt-list {dir}/certs <<\n{dir}/b.pem x.test\n"));
        ask(w, &format!("add ssl crt-list {dir}/certs {dir}/b.pem"));
        ask(w, &format!("add ssl crt-list {dir}/certs {dir}/b.pem"));
        ask(w, &format!("show ssl crt-list -n {dir}/certs"));
        ask(w, &format!("del ssl crt-list {dir}/certs {dir}/b.pem:7"));
        ask(w, &format!("del ssl crt-list {dir}/certs {dir}/certs/a.pem"));
        ask(w, &format!("del ssl crt-list {dir}/certs {dir}/certs/e.pem:0"));
        show(w, "one", "-servername e.test");
        ask(w, &format!("show ssl crt-list -n {dir}/certs"));
        ask(w, "show ssl sni");
    });
}

#[test]
fn lines_that_cannot_be_added() {
    scenario("crt_lists/lines_that_cannot_be_added", |w| {
        three(w);
        w.file("list", "\n# a comment\n${dir}/a.pem\n\n# the end\n");
        start(w, &frontend("crt-list ${dir}/list"));
        let dir = w.dir().display().to_string();
        for line in ["one.test\nDIR/a.pem two.test", "alpn h2] x", "[ alpn h2 ] q [x]", "q]", "[alpn h2] q]"]
        {
            ask(w, &format!("add ssl crt-list {dir}/list <<\n{dir}/a.pem {}\n", line.replace("DIR", &dir)));
        }
        ask(w, &format!("add ssl crt-list {dir}/list <<\n[alpn h2] x\n"));
        ask(w, &format!("add ssl crt-list {dir}/list {dir}/a.pem"));
        ask(w, &format!("show ssl crt-list -n {dir}/list"));
    });
}
