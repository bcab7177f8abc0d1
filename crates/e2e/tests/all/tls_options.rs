//! Options of TLS on both sides, each seen working (manual sections 3.1, 5.1 and 5.2): versions, suites, groups, signatures,
//! tickets, names. The client is the openssl command.
use crate::tls::{openssl, own, show, signed};
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::PATIENCE;
use portcullis_e2e::{World, scenario};
use std::io::{Read, Write};
use std::net::TcpStream;

const DEFAULTS: &str = "defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
";
const SEEN: &str = "%[ssl_fc_protocol] %[ssl_fc_cipher] %[ssl_fc_curve] %[ssl_f_s_dn] %[ssl_fc_is_resumed]";

/// One listener for each set of options, with the certificate `a` behind what is global.
fn listeners(w: &mut World, global: &str, options: &[(&str, &str)]) {
    let binds: String = options
        .iter()
        .map(|(name, bind)| {
            let options = bind.trim_start_matches("bind");
            format!("  bind 127.0.0.1:${{{name}}} ssl crt ${{dir}}/a.pem{options}\n")
        })
        .collect();
    w.proxy(&format!(
        "global\n{}{DEFAULTS}frontend fe\n{binds}  http-request return status 200 hdr seen \"{SEEN}\"\n",
        crate::indent(global)
    ));
}

/// Each listener is asked with each set of the client's options.
fn asked(w: &mut World, ports: &[(&str, &str)], clients: &[&str]) {
    for (port, options) in ports {
        w.note(format!("# {options}"));
        for client in clients {
            show(w, port, client);
        }
    }
}

#[test]
fn versions() {
    scenario("tls_options/versions", |w| {
        own(w, "a", false, "DNS:a.test");
        let options = [
            ("p1", "bind force-tlsv12"),
            ("p2", "bind force-tlsv13"),
            ("p3", "bind no-tlsv13"),
            ("p4", "bind no-tlsv12"),
            ("p5", "bind no-sslv3 no-tlsv10 no-tlsv11"),
            ("p6", "bind ssl-min-ver TLSv1.2 ssl-max-ver TLSv1.2"),
        ];
        listeners(w, "", &options);
        asked(
            w,
            &options,
            &[
                "-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256",
                "-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256",
            ],
        );
    });
}

/// What is older than TLS 1.2 is not there, and is said not to be.
#[test]
fn old_versions_are_refused() {
    let mut w = World::new(Binary::under_test());
    if std::env::var_os("PORTCULLIS_BIN").is_some() {
        return;
    }
    own(&w, "a", false, "DNS:a.test");
    for (bind, server) in [
        ("bind force-sslv3", "server force-sslv3"),
        ("bind force-tlsv10", "server force-tlsv10"),
        ("bind force-tlsv11", "server force-tlsv11"),
        ("bind ssl-max-ver TLSv1.1", "server ssl-max-ver TLSv1.1"),
    ] {
        let (bind, server) = (bind.trim_start_matches("bind"), server.trim_start_matches("server"));
        for lines in [
            format!("frontend f\n  bind 127.0.0.1:${{f}} ssl crt ${{dir}}/a.pem{bind}\n"),
            format!("backend b\n  server s 127.0.0.1:${{s}} ssl verify none{server}\n"),
        ] {
            let config = w.expand(&format!("{DEFAULTS}{lines}"));
            let out = w.check(&config, &[]);
            let said = &out.stderr;
            assert_eq!(out.code, 1, "{lines}{said}");
            assert!(said.contains("not supported"), "{lines}{said}");
        }
    }
}

#[test]
fn suites_and_groups() {
    scenario("tls_options/suites_and_groups", |w| {
        own(w, "a", false, "DNS:a.test");
        let options = [
            ("p1", "bind ciphersuites TLS_CHACHA20_POLY1305_SHA256"),
            ("p2", "bind ciphers ECDHE-ECDSA-AES256-GCM-SHA384"),
            ("p3", "bind curves P-384"),
            ("p4", "bind ecdhe secp384r1"),
            ("p5", "bind prefer-client-ciphers tls-tickets"),
            ("p6", "bind sigalgs ECDSA+SHA256"),
        ];
        listeners(w, "", &options);
        asked(
            w,
            &options,
            &[
                "-tls1_3 -curves P-256:P-384",
                "-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384 -curves P-256",
                "-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305 -curves P-256",
                "-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384 -sigalgs ECDSA+SHA256",
                "-tls1_3 -ciphersuites TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256 -curves P-384",
            ],
        );
    });
}

#[test]
fn what_global_says() {
    scenario("tls_options/what_global_says", |w| {
        own(w, "a", false, "DNS:a.test");
        let options = [("p1", "bind"), ("p2", "bind ciphersuites TLS_AES_128_GCM_SHA256 curves P-384")];
        listeners(
            w,
            "ssl-default-bind-ciphersuites TLS_AES_256_GCM_SHA384
ssl-default-bind-ciphers ECDHE-ECDSA-AES256-GCM-SHA384
ssl-default-bind-curves P-256
ssl-default-bind-sigalgs ECDSA+SHA256
ssl-default-bind-client-sigalgs ECDSA+SHA256:RSA+SHA256
ssl-security-level 2
tune.ssl.lifetime 100
tune.ssl.cachesize 1000
tune.ssl.ssl-ctx-cache-size 10
ca-base ${dir}
ssl-load-extra-del-ext",
            &options,
        );
        asked(
            w,
            &options,
            &[
                "-tls1_3 -curves P-384:P-256",
                "-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384",
                "-tls1_3 -curves P-521",
            ],
        );
    });
}

#[test]
fn names_and_their_absence() {
    scenario("tls_options/names_and_their_absence", |w| {
        own(w, "a", false, "DNS:a.test");
        own(w, "b", false, "DNS:b.test");
        let options =
            [("p1", "bind crt ${dir}/b.pem no-strict-sni"), ("p2", "bind crt ${dir}/b.pem strict-sni")];
        listeners(w, "", &options);
        asked(
            w,
            &options,
            &["-servername a.test", "-servername b.test", "-servername c.test", "-noservername"],
        );
    });
}

/// Client certificates: an authority whose name is not sent, one that only verifies, and signatures.
#[test]
fn authorities_of_clients() {
    scenario("tls_options/authorities_of_clients", |w| {
        own(w, "a", false, "DNS:a.test");
        let dir = w.dir().to_owned();
        openssl(&dir, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ca.key");
        openssl(&dir, "req -x509 -new -key ca.key -out ca.crt -subj /CN=authority -days 3650");
        signed(w, "good", "-days 3650");
        w.file("list", "${dir}/a.pem [verify required ca-file ${dir}/ca.crt no-ca-names client-sigalgs ECDSA+SHA256 ecdhe prime256v1] a.test\n${dir}/a.pem [verify required ca-verify-file ${dir}/ca.crt] b.test\n");
        let options = [
            ("p1", "bind verify required ca-file ${dir}/ca.crt no-ca-names"),
            ("p2", "bind verify required ca-verify-file ${dir}/ca.crt"),
            ("p3", "bind verify required ca-file ${dir}/ca.crt client-sigalgs ECDSA+SHA256"),
            ("p4", "bind verify required ca-file ${dir}/ca.crt client-sigalgs RSA+SHA256"),
            ("p5", "bind crt-list ${dir}/list strict-sni"),
        ];
        listeners(w, "", &options);
        asked(
            w,
            &options,
            &[
                "-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384 -servername a.test",
                "-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384 -servername a.test -cert good.crt -key good.key",
                "-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384 -servername b.test -cert good.crt -key good.key",
            ],
        );
    });
}

#[test]
fn servers() {
    scenario("tls_options/servers", |w| {
        own(w, "a", false, "DNS:a.test");
        let options = [
            ("s1", "server ciphers ECDHE-ECDSA-AES256-GCM-SHA384 ssl-max-ver TLSv1.2"),
            ("s2", "server ciphersuites TLS_AES_128_GCM_SHA256"),
            ("s3", "server force-tlsv12"),
            ("s4", "server force-tlsv13 no-sslv3 no-tlsv10 no-tlsv11"),
            ("s5", "server no-tlsv13"),
            ("s6", "server no-tlsv12"),
            ("s7", "server sigalgs ECDSA+SHA256 client-sigalgs ECDSA+SHA256 curves P-384"),
            ("s8", "server ssl-reuse tls-tickets"),
            ("s9", "server no-ssl-reuse no-tls-tickets"),
        ];
        let listens: String = options
            .iter()
            .map(|(name, server)| {
                let o = server.trim_start_matches("server");
                format!("listen {name}\n  bind 127.0.0.1:${{{name}}}\n  http-reuse never\n  server s 127.0.0.1:${{origin}} ssl verify none pool-max-conn 0{o}\n")
            })
            .collect();
        w.proxy(&format!(
            "{DEFAULTS}{listens}listen origin\n  bind 127.0.0.1:${{origin}} ssl crt ${{dir}}/a.pem\n  http-request return status 200 hdr seen \"%[ssl_fc_protocol] %[ssl_fc_is_resumed]\" hdr twelve %[ssl_fc_cipher]\n"
        ));
        for (name, _) in options {
            for _ in 0..2 {
                w.client(name).get("/", "Connection: close\r\n").read_to_end();
            }
        }
    });
}

#[test]
fn what_global_says_of_servers() {
    scenario("tls_options/what_global_says_of_servers", |w| {
        own(w, "a", false, "DNS:a.test");
        w.proxy(&format!(
            "global
  ssl-default-server-options ssl-max-ver TLSv1.2
  ssl-default-server-ciphers ECDHE-ECDSA-AES256-GCM-SHA384
  ssl-default-server-ciphersuites TLS_AES_128_GCM_SHA256
  ssl-default-server-curves P-256
  ssl-default-server-sigalgs ECDSA+SHA256
  ssl-default-server-client-sigalgs ECDSA+SHA256
{DEFAULTS}listen one
  bind 127.0.0.1:${{one}}
  server s 127.0.0.1:${{origin}} ssl verify none
listen two
  bind 127.0.0.1:${{two}}
  server s 127.0.0.1:${{origin}} ssl verify none ssl-max-ver TLSv1.3
listen origin
  bind 127.0.0.1:${{origin}} ssl crt ${{dir}}/a.pem
  http-request return status 200 hdr seen \"%[ssl_fc_protocol] %[ssl_fc_cipher] %[ssl_fc_curve]\"
"
        ));
        for name in ["one", "two"] {
            w.client(name).get("/", "Connection: close\r\n").read_to_end();
        }
    });
}

#[test]
fn names_that_servers_are_told() {
    scenario("tls_options/names_that_servers_are_told", |w| {
        own(w, "a", false, "DNS:a.test");
        w.proxy(&format!(
            "{DEFAULTS}listen one
  bind 127.0.0.1:${{one}}
  server s 127.0.0.1:${{origin}} ssl verify none sni-auto
listen two
  bind 127.0.0.1:${{two}}
  server s 127.0.0.1:${{origin}} ssl verify none no-sni-auto
listen three
  bind 127.0.0.1:${{three}}
  server s 127.0.0.1:${{origin}} ssl verify none sni str(own.test)
listen origin
  bind 127.0.0.1:${{origin}} ssl crt ${{dir}}/a.pem
  http-request return status 200 hdr seen \"<%[ssl_fc_sni]> %[ssl_fc_has_sni]\"
"
        ));
        for name in ["one", "two", "three"] {
            w.client(name)
                .send("GET / HTTP/1.1\r\nHost: h.test:80\r\nConnection: close\r\n\r\n")
                .read_to_end();
        }
    });
}

/// What `tune.ssl.certificate-compression` says is what servers are told (RFC 8879: extension 27); wrong values are refused.
#[test]
fn compressed_certificates_are_offered() {
    for (word, offered) in [("auto", true), ("off", false)] {
        let mut w = World::new(Binary::under_test());
        own(&w, "a", false, "DNS:a.test");
        w.proxy(&format!(
            "global
  tune.ssl.certificate-compression {word}
  tune.ssl.capture-buffer-size 4096
  tune.ssl.keyupdate-rate-limit 50
{DEFAULTS}listen plain
  bind 127.0.0.1:${{plain}}
  server s 127.0.0.1:${{one}} ssl verify none
frontend fe
  bind 127.0.0.1:${{one}} ssl crt ${{dir}}/a.pem
  http-request return status 200 hdr extensions %[ssl_fc_extlist_bin,hex]
"
        ));
        let mut client = TcpStream::connect(("127.0.0.1", w.port("plain"))).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        let list =
            said.lines().find_map(|l| l.strip_prefix("extensions: ")).unwrap_or_else(|| panic!("{said}"));
        let all: Vec<&[u8]> = list.as_bytes().chunks(4).collect();
        assert_eq!(all.contains(&&b"001B"[..]), offered, "{word}: {list}");
    }
    for line in [
        "tune.ssl.certificate-compression x",
        "tune.ssl.certificate-compression",
        "tune.ssl.keyupdate-rate-limit",
        "tune.ssl.keyupdate-rate-limit -1",
    ] {
        let out = World::new(Binary::under_test()).check(&format!("global\n  {line}\n"), &[]);
        assert!(out.code == 1 && out.stderr.contains("expects"), "{line}: {}", out.stderr);
    }
}

/// What takes an inherited option back, and what the library never does. 3.5-dev5 does not know `no-verifyhost`, which its manual has.
#[test]
fn inherited_options_are_taken_back() {
    let mut w = World::new(portcullis_e2e::binary::Binary::under_test());
    own(&w, "a", false, "DNS:a.test");
    let config = format!(
        "{DEFAULTS}frontend tls\n  bind 127.0.0.1:${{tls}} ssl crt ${{dir}}/a.pem\n  http-request return status 200\n\
         frontend fe\n  bind 127.0.0.1:${{fe}}\n  use_backend %[path,field(2,/)]\n\
         backend b\n  default-server ssl verify required ca-file ${{dir}}/a.crt no-sni-auto verifyhost other.test\n  \
         server wrong 127.0.0.1:${{tls}}\n\
         backend back\n  default-server ssl verify none verifyhost other.test\n  \
         server right 127.0.0.1:${{tls}} verify required ca-file ${{dir}}/a.crt no-sni-auto no-verifyhost renegotiate no-renegotiate\n"
    );
    w.file("a.crt", "");
    std::fs::copy(w.dir().join("a.pem"), w.dir().join("a.crt")).unwrap();
    w.proxy(&config);
    let status =
        |w: &mut World, path: &str| w.client("fe").get(path, "Connection: close\r\n").response().status();
    assert_eq!((status(&mut w, "/b"), status(&mut w, "/back")), (503, 200));
    let said = w.process(0).stderr();
    assert!(
        said.contains("'renegotiate' is accepted but has no effect: the library never renegotiates"),
        "{said}"
    );
}
