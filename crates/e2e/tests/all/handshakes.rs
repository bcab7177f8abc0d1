//! What clients are told when a handshake fails, which group of the key exchange is taken, and which sessions are counted.
use crate::certificates::{answer, ask, give, start};
use crate::tls::{own, show, signed};
use portcullis_e2e::{World, scenario};
use std::process::{Command, Stdio};

/// Notes the alert that a client is sent. In TLS 1.3 it may come behind the client's own part of the handshake: it waits for it.
fn alert(w: &mut World, port: &str, args: &str) {
    let address = format!("127.0.0.1:{}", w.port(port));
    let out = Command::new("openssl")
        .args(["s_client", "-ign_eof", "-connect", &address])
        .args(args.split_whitespace())
        .current_dir(w.dir())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    let number = said.rsplit_once("SSL alert number ").map_or("none", |(_, rest)| rest.trim());
    w.note(format!("{args}: alert {}", number.lines().next().unwrap_or("none")));
}

#[test]
fn refusals_say_why() {
    scenario("handshakes/refusals_say_why", |w| {
        own(w, "a", true, "DNS:a.test");
        own(w, "ca", false, "DNS:ca");
        start(
            w,
            "frontend fe
  bind 127.0.0.1:${strict} ssl crt ${dir}/a.pem strict-sni
  bind 127.0.0.1:${clients} ssl crt ${dir}/a.pem verify required ca-file ${dir}/ca.pem
  bind 127.0.0.1:${one} ssl crt ${dir}/a.pem
  http-request return status 200
",
        );
        for version in ["-tls1_2", "-tls1_3"] {
            alert(w, "strict", &format!("{version} -servername b.test"));
            alert(w, "strict", &format!("{version} -noservername"));
            alert(w, "clients", version);
            alert(w, "one", &format!("{version} -sigalgs ECDSA+SHA256"));
        }
    });
}

#[test]
fn the_servers_order_of_groups_counts() {
    scenario("handshakes/the_servers_order_of_groups_counts", |w| {
        own(w, "a", true, "DNS:a.test");
        start(
            w,
            "frontend fe
  bind 127.0.0.1:${one} ssl crt ${dir}/a.pem curves P-384:P-256
  bind 127.0.0.1:${two} ssl crt ${dir}/a.pem ecdhe P-384:X25519:P-256 alpn h2
  bind 127.0.0.1:${client} ssl crt ${dir}/a.pem curves P-384:P-256 prefer-client-ciphers
  http-request return status 200 hdr group %[ssl_fc_curve]
",
        );
        for port in ["one", "two", "client"] {
            for groups in ["X25519:P-256:P-384", "P-256:P-384", "P-256", "P-384:P-256"] {
                for version in ["-tls1_2", "-tls1_3"] {
                    show(w, port, &format!("{version} -groups {groups}"));
                }
            }
        }
    });
}

/// What goes on with an earlier session is not counted as one of its own.
#[test]
fn whole_handshakes_are_counted() {
    scenario("handshakes/whole_handshakes_are_counted", |w| {
        own(w, "a", true, "DNS:a.test");
        start(
            w,
            "frontend fe
  bind 127.0.0.1:${one} ssl crt ${dir}/a.pem
  http-request return status 200 hdr resumed %[ssl_fc_is_resumed]
",
        );
        for version in ["-tls1_2", "-tls1_3"] {
            show(w, "one", &format!("{version} -sess_out session{version}"));
            show(w, "one", &format!("{version} -sess_in session{version}"));
            show(w, "one", &format!("{version} -sess_in session{version}"));
        }
        let table = answer(w, "show stat fe 1 -1");
        let mut lines = table.lines();
        let names: Vec<&str> = lines.next().unwrap().split(',').collect();
        let values: Vec<&str> = lines.next().unwrap().split(',').collect();
        for name in ["ssl_sess", "ssl_reused_sess", "ssl_failed_handshake"] {
            let at = names.iter().position(|n| *n == name).unwrap();
            w.note(format!("{name} {}", values[at]));
        }
    });
}

/// The issuer of a file of its own says whom an OCSP response is about, and is sent to nobody.
#[test]
fn issuers_are_not_sent() {
    scenario("handshakes/issuers_are_not_sent", |w| {
        own(w, "ca", false, "DNS:ca");
        signed(w, "server", "-days 3650");
        std::fs::copy(w.dir().join("ca.crt"), w.dir().join("server.pem.issuer")).unwrap();
        std::fs::remove_file(w.dir().join("server.crt")).unwrap();
        // another extension stays when `.crt` is taken away
        std::fs::copy(w.dir().join("server.pem"), w.dir().join("other.cer")).unwrap();
        std::fs::write(w.dir().join("other.ocsp"), "none").unwrap();
        std::fs::write(w.dir().join("other.key"), "none").unwrap();
        w.proxy(
            "global
  stats socket ${dir}/cli level admin
  ssl-load-extra-del-ext
  log 127.0.0.1:${log} local0
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
crt-store
  load crt ${dir}/server.pem issuer ${dir}/ca.crt alias named
frontend fe
  bind 127.0.0.1:${one} ssl crt ${dir}/server.pem
  bind 127.0.0.1:${two} ssl crt @/named
  bind 127.0.0.1:${three} ssl crt ${dir}/other.cer
  http-request return status 200
",
        );
        let dir = w.dir().display().to_string();
        for name in [&format!("{dir}/server.pem"), "@/named", &format!("{dir}/other.cer")] {
            ask(w, &format!("show ssl cert {name}"));
            let count = answer(w, &format!("dump ssl cert {name}")).matches("BEGIN CERTIFICATE").count();
            w.note(format!("{count} certificates"));
        }
        for port in ["one", "two", "three"] {
            let address = format!("127.0.0.1:{}", w.port(port));
            let out = Command::new("openssl")
                .args(["s_client", "-showcerts", "-connect", &address])
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let count = String::from_utf8_lossy(&out.stdout).matches("BEGIN CERTIFICATE").count();
            w.note(format!("{port}: {count} sent"));
        }
    });
}

/// A certificate that nobody answers with may get its key later.
#[test]
fn keys_come_later() {
    scenario("handshakes/keys_come_later", |w| {
        own(w, "a", false, "DNS:a.test");
        own(w, "b", false, "DNS:b.test");
        let text = std::fs::read_to_string(w.dir().join("b.pem")).unwrap();
        let (certificate, key) = text.split_once("-----BEGIN PRIVATE").unwrap();
        std::fs::write(w.dir().join("b.only"), certificate).unwrap();
        std::fs::write(w.dir().join("b.secret"), format!("-----BEGIN PRIVATE{key}")).unwrap();
        w.file("list", "${dir}/a.pem\n");
        start(
            w,
            "frontend fe
  bind 127.0.0.1:${one} ssl crt-list ${dir}/list
  http-request return status 200 hdr who %[ssl_f_s_dn]
",
        );
        let dir = w.dir().display().to_string();
        ask(w, "new ssl cert n.pem");
        give(w, "set ssl cert n.pem", "b.only");
        ask(w, "commit ssl cert n.pem");
        ask(w, "show ssl cert n.pem");
        give(w, "set ssl cert n.pem.key", "b.secret");
        ask(w, "commit ssl cert n.pem");
        ask(w, &format!("add ssl crt-list {dir}/list n.pem"));
        show(w, "one", "-servername b.test");
        // what answers keeps its key
        give(w, "set ssl cert n.pem", "b.only");
        let committed = answer(w, "commit ssl cert n.pem");
        w.note(format!("committed: {}", committed.contains("Success")));
        show(w, "one", "-servername b.test");
    });
}

/// Authorities and revocation lists have their names in common.
#[test]
fn one_name_for_one_file() {
    scenario("handshakes/one_name_for_one_file", |w| {
        own(w, "a", false, "DNS:a.test");
        start(
            w,
            "frontend fe
  bind 127.0.0.1:${one} ssl crt ${dir}/a.pem ca-file ${dir}/a.pem verify optional
  http-request return status 200
",
        );
        let dir = w.dir().display().to_string();
        ask(w, &format!("new ssl crl-file {dir}/a.pem"));
        ask(w, "new ssl crl-file n");
        ask(w, "new ssl ca-file n");
        ask(w, "del ssl crl-file n");
        ask(w, "new ssl ca-file n");
        ask(w, "new ssl crl-file n");
    });
}
