//! What clients are told when a handshake fails, which group of the key exchange is taken, and which sessions are counted.
use crate::certificates::{answer, ask, give, start};
use crate::tls::{openssl, own, show, signed};
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

/// TLS 1.2 has any digest with any curve, on both sides, and keys are exchanged on P-521, too.
#[test]
fn any_digest_with_any_curve() {
    scenario("handshakes/any_digest_with_any_curve", |w| {
        const CURVES: [&str; 3] = ["p256", "p384", "p521"];
        const DIGESTS: [&str; 3] = ["SHA256", "SHA384", "SHA512"];
        let (mut binds, mut servers) = (String::new(), String::new());
        for curve in CURVES {
            let dir = w.dir();
            openssl(
                dir,
                &format!(
                    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:{} -nodes -keyout k -out c -subj /CN={curve} -days 3650",
                    curve.replace('p', "P-")
                ),
            );
            let part = |name: &str| std::fs::read(dir.join(name)).unwrap();
            std::fs::write(dir.join(format!("{curve}.pem")), [part("c"), part("k")].concat()).unwrap();
            binds += &format!("  bind 127.0.0.1:${{{curve}}} ssl crt ${{dir}}/{curve}.pem\n");
            for digest in DIGESTS {
                let name = format!("{curve}{}", digest.to_lowercase());
                let options = format!("ssl-max-ver TLSv1.2 sigalgs ECDSA+{digest}");
                binds += &format!("  bind 127.0.0.1:${{o{name}}} ssl crt ${{dir}}/{curve}.pem {options}\n");
                servers += &format!(
                    "listen {name}\n  bind 127.0.0.1:${{{name}}}\n  server s 127.0.0.1:${{o{name}}} ssl verify none\n"
                );
            }
        }
        start(
            w,
            &format!(
                "frontend fe\n{binds}  http-request return status 200 hdr curve %[ssl_fc_curve]\n{servers}"
            ),
        );
        for curve in CURVES {
            w.note(curve);
            for digest in DIGESTS {
                show(w, curve, &format!("-tls1_2 -groups X25519:P-256:P-384:P-521 -sigalgs ECDSA+{digest}"));
                show(w, curve, &format!("-tls1_3 -groups X25519 -sigalgs ECDSA+{digest}"));
                let mut c = w.client(&format!("{curve}{}", digest.to_lowercase()));
                let status = c.get("/", "Connection: close\r\n").response().status();
                w.note(format!("to a server that signs with {digest}: {status}"));
            }
            show(w, curve, "-tls1_3 -groups P-521");
            alert(w, curve, "-tls1_2 -sigalgs RSA+SHA256");
        }
    });
}

/// Clients send names that are none of the DNS, and are served as others are: with another hello, certificates and sessions, too.
#[test]
fn odd_server_names() {
    scenario("handshakes/odd_server_names", |w| {
        const ODD: [&str; 6] =
            ["-x.test", "x..test", "*.w.test", "https://a.test:443/", "a+b.c.test", "Ünder.test"];
        own(w, "a", false, "DNS:a.test");
        own(w, "c", false, "DNS:*.c.test");
        own(w, "client", false, "DNS:client");
        start(
            w,
            "frontend fe
  bind 127.0.0.1:${one} ssl crt ${dir}/a.pem crt ${dir}/c.pem
  bind 127.0.0.1:${again} ssl crt ${dir}/a.pem crt ${dir}/c.pem curves P-384
  bind 127.0.0.1:${strict} ssl crt ${dir}/a.pem crt ${dir}/c.pem strict-sni
  bind 127.0.0.1:${clients} ssl crt ${dir}/a.pem crt ${dir}/c.pem verify required ca-file ${dir}/client.pem
  http-request return status 200 hdr seen \"%[ssl_fc_sni] %[ssl_f_s_dn] %[ssl_fc_is_resumed] %[ssl_c_s_dn]\"
",
        );
        for name in ODD {
            for version in ["-tls1_2", "-tls1_3"] {
                let named = format!("{version} -servername {name}");
                show(w, "one", &format!("{named} -sess_out session"));
                show(w, "one", &format!("{named} -sess_in session"));
                show(w, "again", &format!("{named} -groups X25519:P-384"));
                show(w, "clients", &format!("{named} -cert client.pem -key client.pem"));
                show(w, "strict", &named);
            }
        }
    });
}

/// Names of certificates that have a `*` as a part of their first label, and a dot at the end.
#[test]
fn names_in_parts() {
    scenario("handshakes/names_in_parts", |w| {
        const NAMES: [&str; 5] = ["w*.test", "*w.test", "x.test.", "*.*.test", "*.test"];
        let mut config = String::new();
        for (n, name) in NAMES.iter().enumerate() {
            own(w, &format!("c{n}"), false, &format!("DNS:{name}"));
            config += &format!(
                "frontend o{n}\n  bind 127.0.0.1:${{o{n}}} ssl crt ${{dir}}/c{n}.pem\n  http-request return status 200\nlisten fe{n}\n  retries 0\n  bind 127.0.0.1:${{fe{n}}}\n  server s 127.0.0.1:${{o{n}}} ssl verify required ca-file ${{dir}}/c{n}.pem no-ssl-reuse\n"
            );
        }
        start(w, &config);
        for (n, name) in NAMES.iter().enumerate() {
            for host in ["www.test", "w.test", "wx.test", "xw.test", "x.test", "x.test.", "a.b.test"] {
                let mut c = w.client(&format!("fe{n}"));
                c.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
                let status = c.response().status();
                w.note(format!("{name} for {host}: {status}"));
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
