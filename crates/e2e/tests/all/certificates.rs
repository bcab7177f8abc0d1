//! Certificates that change while the process runs (management.txt section 9.3, `set ssl cert` and its kin).
use crate::tls::{get, own, show, signed};
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{World, scenario};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

const GLOBAL: &str = "global
  stats socket ${dir}/cli level admin
  log 127.0.0.1:${log} local0
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
";

pub fn start(w: &mut World, config: &str) {
    w.proxy(&format!("{GLOBAL}{config}"));
    let cli = w.dir().join("cli");
    assert!(wait_for(PATIENCE, || cli.exists().then_some(())).is_some(), "no stats socket");
}

/// What a command answers.
pub fn answer(w: &World, command: &str) -> String {
    let mut s = wait_for(PATIENCE, || UnixStream::connect(w.dir().join("cli")).ok()).expect("a stats socket");
    s.set_read_timeout(Some(PATIENCE)).unwrap();
    s.write_all(format!("{command}\n").as_bytes()).unwrap();
    s.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    s.read_to_string(&mut answer).unwrap();
    answer
}

/// The same, noted without what differs from key to key.
pub fn ask(w: &World, command: &str) {
    let answer = answer(w, command);
    w.note(format!("$ {}", w.mask(command.lines().next().unwrap())));
    const DIFFERS: [&str; 7] = [
        "Serial:",
        "notBefore:",
        "notAfter:",
        "SHA1 FingerPrint:",
        "Last Update:",
        "Next Update:",
        "Revocation Date:",
    ];
    let same = |l: &&str| !l.is_empty() && !DIFFERS.iter().any(|d| l.trim_start().starts_with(d));
    for line in answer.lines().filter(same) {
        // the last two columns of `show ssl sni` are dates; 3.5-dev5 ends the value of `alpn` with a NUL
        let columns: Vec<&str> = line.split('\t').take(5).collect();
        w.note(format!("| {}", w.mask(&columns.join(" ").replace('\0', " "))));
    }
}

/// A command with the content of a file as its payload.
pub fn give(w: &World, command: &str, file: &str) {
    let text = std::fs::read_to_string(w.dir().join(file)).unwrap();
    ask(w, &format!("{command} <<\n{text}\n"));
}

#[test]
fn certificates_change_live() {
    scenario("certificates/certificates_change_live", |w| {
        own(w, "a", false, "DNS:a.test");
        own(w, "b", false, "DNS:b.test,DNS:*.b.test");
        own(w, "c", true, "DNS:c.test");
        start(
            w,
            "frontend fe
  bind 127.0.0.1:${one} ssl crt ${dir}/a.pem
  http-request return status 200 hdr who %[ssl_f_s_dn]
",
        );
        let dir = w.dir().display().to_string();
        ask(w, "show ssl cert");
        ask(w, &format!("show ssl cert {dir}/a.pem"));
        ask(w, "show ssl cert nobody.pem");
        show(w, "one", "-servername a.test");
        give(w, &format!("set ssl cert {dir}/a.pem"), "b.pem");
        ask(w, "show ssl cert");
        ask(w, &format!("show ssl cert *{dir}/a.pem"));
        show(w, "one", "-servername a.test");
        ask(w, "commit ssl cert other.pem");
        ask(w, &format!("commit ssl cert {dir}/a.pem"));
        show(w, "one", "-servername x.b.test");
        ask(w, "show ssl sni");
        ask(w, &format!("commit ssl cert {dir}/a.pem"));
        // another kind of key; first a key that is not the certificate's
        give(w, &format!("set ssl cert {dir}/a.pem"), "c.pem");
        give(w, &format!("set ssl cert {dir}/a.pem.key"), "b.pem");
        ask(w, &format!("commit ssl cert {dir}/a.pem"));
        ask(w, &format!("abort ssl cert {dir}/a.pem"));
        give(w, &format!("set ssl cert {dir}/a.pem"), "c.pem");
        ask(w, &format!("commit ssl cert {dir}/a.pem"));
        show(w, "one", "-servername c.test");
        ask(w, &format!("del ssl cert {dir}/a.pem"));
        ask(w, "set ssl cert nobody.pem <<\nx\n");
        ask(w, &format!("set ssl cert {dir}/a.pem <<\nx\n"));
        ask(w, "new ssl cert fresh.pem");
        ask(w, "new ssl cert fresh.pem");
        ask(w, "show ssl cert fresh.pem");
        ask(w, "del ssl cert fresh.pem");
        ask(w, "del ssl cert fresh.pem");
    });
}

#[test]
fn lines_of_a_crt_list_come_and_go() {
    scenario("certificates/lines_of_a_crt_list_come_and_go", |w| {
        own(w, "a", false, "DNS:a.test");
        own(w, "b", false, "DNS:b.test");
        w.file("list", "${dir}/a.pem [alpn http/1.1] a.test\n");
        start(
            w,
            "frontend fe
  bind 127.0.0.1:${one} ssl crt-list ${dir}/list
  http-request return status 200 hdr who \"%[ssl_f_s_dn] %[ssl_fc_protocol]\"
",
        );
        let dir = w.dir().display().to_string();
        ask(w, "show ssl crt-list");
        ask(w, &format!("add ssl crt-list {dir}/list {dir}/new.pem"));
        ask(w, &format!("new ssl cert {dir}/new.pem"));
        ask(w, &format!("add ssl crt-list {dir}/list {dir}/new.pem"));
        give(w, &format!("set ssl cert {dir}/new.pem"), "b.pem");
        ask(w, &format!("commit ssl cert {dir}/new.pem"));
        show(w, "one", "-servername b.test");
        ask(w, &format!("add ssl crt-list {dir}/list {dir}/new.pem"));
        ask(
            w,
            &format!(
                "add ssl crt-list {dir}/list <<\n{dir}/new.pem [ssl-max-ver TLSv1.2] *.more.test !no.more.test\n"
            ),
        );
        ask(w, &format!("add ssl crt-list {dir}/list <<\n{dir}/new.pem [nonsense x] n.test\n"));
        ask(w, &format!("show ssl crt-list -n {dir}/list"));
        for name in ["a.test", "b.test", "x.more.test", "no.more.test"] {
            show(w, "one", &format!("-servername {name}"));
        }
        ask(w, "show ssl sni -f fe");
        ask(w, "show ssl sni -A");
        ask(w, &format!("show ssl cert {dir}/new.pem"));
        ask(w, &format!("del ssl cert {dir}/new.pem"));
        ask(w, &format!("del ssl crt-list {dir}/list {dir}/new.pem"));
        ask(w, &format!("del ssl crt-list {dir}/list {dir}/new.pem:2"));
        ask(w, &format!("del ssl crt-list {dir}/list {dir}/new.pem"));
        ask(w, &format!("del ssl crt-list {dir}/list {dir}/a.pem"));
        show(w, "one", "-servername b.test");
        ask(w, &format!("del ssl cert {dir}/new.pem"));
        ask(w, &format!("show ssl crt-list {dir}/list"));
    });
}

/// Sessions with servers end when what they were verified by, or who they were begun as, is another one.
#[test]
fn sessions_with_servers_end_with_what_they_were_verified_by() {
    scenario("certificates/sessions_with_servers_end_with_what_they_were_verified_by", |w| {
        own(w, "other", false, "DNS:other");
        own(w, "ca", false, "DNS:ca");
        own(w, "me", false, "DNS:me");
        own(w, "you", true, "DNS:you");
        signed(w, "server", "-days 3650");
        let server = |name: &str, bind: &str| {
            format!(
                "backend {name}\n  http-reuse never\n  server s 127.0.0.1:${{{bind}}} ssl verify required ca-file ${{dir}}/ca.crt crt ${{dir}}/me.pem no-sni-auto no-check-sni-auto\n"
            )
        };
        let tls = "ssl crt ${dir}/server.pem verify optional ca-file ${dir}/other.crt crt-ignore-err all ca-ignore-err all";
        start(
            w,
            &format!(
                "frontend fe
  bind 127.0.0.1:${{one}}
  use_backend old if {{ path /old }}
  default_backend new
{}{}frontend servers
  bind 127.0.0.1:${{tls13}} {tls}
  bind 127.0.0.1:${{tls12}} {tls} ssl-max-ver TLSv1.2
  http-request return status 200 hdr who \"%[ssl_c_s_dn(cn)] %[ssl_fc_is_resumed]\"
",
                server("new", "tls13"),
                server("old", "tls12")
            ),
        );
        let dir = w.dir().display().to_string();
        let both = |w: &mut World| {
            for path in ["/new", "/old"] {
                for _ in 0..3 {
                    let mut client = w.client("one");
                    client.get(path, "Connection: close\r\n");
                    client.response();
                    client.close();
                }
            }
        };
        both(w);
        give(w, &format!("set ssl cert {dir}/me.pem"), "you.pem");
        ask(w, &format!("commit ssl cert {dir}/me.pem"));
        both(w);
        give(w, &format!("set ssl ca-file {dir}/ca.crt"), "other.crt");
        ask(w, &format!("commit ssl ca-file {dir}/ca.crt"));
        both(w);
        give(w, &format!("set ssl ca-file {dir}/ca.crt"), "ca.crt");
        ask(w, &format!("commit ssl ca-file {dir}/ca.crt"));
        both(w);
        w.forget_logs();
    });
}

/// Whoever comes back after a certificate was replaced sees the new one: sessions are bound to the certificate.
#[test]
fn sessions_of_clients_end_with_the_certificate() {
    scenario("certificates/sessions_of_clients_end_with_the_certificate", |w| {
        own(w, "a", false, "DNS:a");
        own(w, "b", false, "DNS:b");
        w.file("keys", &format!("{0}\n{0}\n{0}\n", "A".repeat(64)));
        let listeners = [
            ("plain", ""),
            ("old", "ssl-max-ver TLSv1.2"),
            ("stateful", "no-tls-tickets"),
            ("oldstateful", "no-tls-tickets ssl-max-ver TLSv1.2"),
            ("keyfile", "tls-ticket-keys ${dir}/keys"),
        ];
        let binds: String = listeners
            .iter()
            .map(|(n, options)| format!("  bind 127.0.0.1:${{{n}}} ssl crt ${{dir}}/a.pem {options}\n"))
            .collect();
        let servers: String = listeners
            .iter()
            .map(|(n, _)| {
                format!(
                    "backend {n}\n  http-reuse never\n  server s 127.0.0.1:${{{n}}} ssl verify none no-sni-auto\n  \
                     http-response set-header seen \"%[ssl_s_s_dn(cn)] %[ssl_bc_is_resumed]\"\n"
                )
            })
            .collect();
        start(
            w,
            &format!(
                "frontend fe
  bind 127.0.0.1:${{one}}
  use_backend %[path,field(2,/)]
{servers}frontend servers
{binds}  http-request return status 200 hdr who \"%[ssl_f_s_dn(cn)] %[ssl_fc_is_resumed]\"
"
            ),
        );
        let dir = w.dir().display().to_string();
        let all = |w: &mut World, times: usize| {
            for (name, _) in listeners {
                for _ in 0..times {
                    let mut client = w.client("one");
                    client.get(&format!("/{name}"), "Connection: close\r\n");
                    client.response();
                    client.close();
                }
            }
        };
        all(w, 2);
        give(w, &format!("set ssl cert {dir}/a.pem"), "b.pem");
        ask(w, &format!("commit ssl cert {dir}/a.pem"));
        all(w, 1);
        w.forget_logs();
    });
}

#[test]
fn authorities_and_revocations_change_live() {
    scenario("certificates/authorities_and_revocations_change_live", |w| {
        own(w, "other", false, "DNS:other");
        own(w, "ca", false, "DNS:ca");
        own(w, "server", false, "DNS:server.test");
        signed(w, "me", "-days 3650");
        w.file("crl.cnf", "[ca]\ndefault_ca=d\n[d]\ndatabase=${dir}/index\ncrlnumber=${dir}/number\ndefault_md=sha256\ndefault_crl_days=3650\n");
        w.file("index", "");
        w.file("number", "01\n");
        for args in [
            "ca -config crl.cnf -cert ca.crt -keyfile ca.key -gencrl -out good.crl",
            "ca -config crl.cnf -cert ca.crt -keyfile ca.key -revoke me.crt",
            "ca -config crl.cnf -cert ca.crt -keyfile ca.key -gencrl -out bad.crl",
        ] {
            crate::tls::openssl(w.dir(), args);
        }
        start(
            w,
            "frontend fe
  bind 127.0.0.1:${one} ssl crt ${dir}/server.pem verify optional crt-ignore-err all ca-ignore-err all ca-file ${dir}/other.crt
  bind 127.0.0.1:${two} ssl crt ${dir}/server.pem verify optional crt-ignore-err all ca-ignore-err all ca-file ${dir}/ca.crt crl-file ${dir}/good.crl
  http-request return status 200 hdr verify %[ssl_c_verify]
",
        );
        let dir = w.dir().display().to_string();
        let with = "-cert me.pem -no_ticket";
        show(w, "one", with);
        show(w, "two", with);
        ask(w, &format!("show ssl ca-file {dir}/other.crt"));
        ask(w, &format!("show ssl crl-file {dir}/good.crl"));
        give(w, &format!("add ssl ca-file {dir}/other.crt"), "ca.crt");
        ask(w, &format!("show ssl ca-file *{dir}/other.crt:2"));
        ask(w, &format!("commit ssl ca-file {dir}/other.crt"));
        show(w, "one", with);
        give(w, &format!("set ssl crl-file {dir}/good.crl"), "bad.crl");
        ask(w, "show ssl crl-file");
        ask(w, &format!("show ssl crl-file *{dir}/good.crl"));
        ask(w, &format!("abort ssl crl-file {dir}/other.crl"));
        ask(w, &format!("commit ssl crl-file {dir}/good.crl"));
        show(w, "two", with);
        ask(w, &format!("del ssl ca-file {dir}/other.crt"));
        ask(w, "new ssl ca-file fresh.crt");
        give(w, "set ssl ca-file fresh.crt", "ca.crt");
        give(w, "set ssl ca-file older.crt", "ca.crt");
        ask(w, "abort ssl ca-file fresh.crt");
        ask(w, "del ssl ca-file fresh.crt");
        ask(w, &format!("set ssl ca-file {dir}/other.crt <<\nx\n"));
    });
}

/// Who is "used" is who judges somebody: a file that is only named, or whose line has gone, can be deleted.
#[test]
fn authorities_of_lines_that_came_later() {
    scenario("certificates/authorities_of_lines_that_came_later", |w| {
        own(w, "a", false, "DNS:a.test");
        own(w, "b", false, "DNS:b.test");
        own(w, "ca", false, "DNS:ca");
        signed(w, "me", "-days 3650");
        w.file("list", "${dir}/a.pem a.test\n${dir}/b.pem [verify optional ca-file ${dir}/b.crt] b.test\n");
        start(
            w,
            "frontend fe
  bind 127.0.0.1:${one} ssl crt-list ${dir}/list ca-file ${dir}/a.crt crt-ignore-err all ca-ignore-err all
  http-request return status 200 hdr verify \"%[ssl_c_verify] %[ssl_c_used]\"
",
        );
        let dir = w.dir().display().to_string();
        ask(w, &format!("show ssl ca-file {dir}/a.crt"));
        ask(w, &format!("show ssl ca-file {dir}/b.crt"));
        ask(w, "new ssl ca-file fresh.crt");
        give(w, "set ssl ca-file fresh.crt", "b.crt");
        ask(w, "commit ssl ca-file fresh.crt");
        ask(
            w,
            &format!(
                "add ssl crt-list {dir}/list <<\n{dir}/b.pem [verify optional ca-file fresh.crt] c.test\n"
            ),
        );
        ask(w, "show ssl ca-file fresh.crt");
        let with = "-cert me.pem -no_ticket -servername";
        show(w, "one", &format!("{with} b.test"));
        show(w, "one", &format!("{with} c.test"));
        give(w, "set ssl ca-file fresh.crt", "ca.crt");
        ask(w, "commit ssl ca-file fresh.crt");
        show(w, "one", &format!("{with} c.test"));
        ask(w, "del ssl ca-file fresh.crt");
        ask(w, &format!("del ssl crt-list {dir}/list {dir}/b.pem:3"));
        ask(w, "del ssl ca-file fresh.crt");
        ask(w, &format!("del ssl ca-file {dir}/b.crt"));
        ask(w, &format!("del ssl crt-list {dir}/list {dir}/b.pem"));
        ask(w, &format!("del ssl ca-file {dir}/b.crt"));
    });
}

#[test]
fn stores_name_certificates() {
    scenario("certificates/stores_name_certificates", |w| {
        for name in ["a", "b", "c", "d"] {
            own(w, name, name == "d", &format!("DNS:{name}.test"));
        }
        w.file("list", "${dir}/d.crt [key ${dir}/d.key ssl-max-ver TLSv1.2] d.test\n");
        start(
            w,
            "crt-store
  load crt ${dir}/a.crt key ${dir}/a.key alias first
crt-store web
  crt-base ${dir}
  key-base ${dir}
  load crt b.crt key b.key jwt on
  load crt c.pem alias third
frontend fe
  bind 127.0.0.1:${one} ssl crt @/first crt @web/b.crt crt @web/third crt-list ${dir}/list
  http-request return status 200 hdr who \"%[ssl_f_s_dn] %[ssl_fc_protocol]\"
frontend own
  bind 127.0.0.1:${two} ssl
  bind 127.0.0.1:${three} ssl strict-sni
  ssl-f-use crt ${dir}/a.pem
  ssl-f-use crt ${dir}/d.pem ssl-max-ver TLSv1.2
  http-request return status 200 hdr who \"%[ssl_f_s_dn] %[ssl_fc_protocol]\"
",
        );
        let dir = w.dir().display().to_string();
        for name in ["a.test", "b.test", "c.test", "d.test"] {
            show(w, "one", &format!("-servername {name}"));
        }
        for name in ["a.test", "d.test", "b.test"] {
            show(w, "two", &format!("-servername {name}"));
            show(w, "three", &format!("-servername {name}"));
        }
        ask(w, "show ssl cert");
        for name in ["@/first", "@web/b.crt", "@web/third", &format!("{dir}/d.crt")] {
            ask(w, &format!("show ssl cert {name}"));
        }
        ask(w, "show ssl crt-list");
        ask(w, &format!("show ssl crt-list -n {dir}/list"));
        ask(w, "show ssl jwt");
        ask(w, "add ssl jwt @/first");
        ask(w, "show ssl jwt");
        ask(w, "show ssl cert @/first");
        ask(w, "del ssl jwt @web/b.crt");
        ask(w, "del ssl jwt nobody.pem");
        ask(w, "add ssl jwt nobody.pem");
        ask(w, "show ssl jwt");
        give(w, "set ssl cert @web/third", "a.pem");
        ask(w, "commit ssl cert @web/third");
        show(w, "one", "-servername c.test");
    });
}

/// Certificates that are made while the configuration is read (`generate-dummy`), of each kind of key.
#[test]
fn certificates_stand_in() {
    scenario("certificates/certificates_stand_in", |w| {
        start(
            w,
            "crt-store
  load crt rsa.pem generate-dummy on
  load crt large.pem generate-dummy on keytype RSA bits 3072 curves P-256
  load crt ec.pem generate-dummy on keytype ECDSA alias ec
  load crt small.pem generate-dummy on keytype ECDSA curves P-256
frontend fe
  bind 127.0.0.1:${one} ssl crt rsa.pem
  bind 127.0.0.1:${two} ssl crt large.pem
  bind 127.0.0.1:${three} ssl crt @/ec
  bind 127.0.0.1:${four} ssl
  ssl-f-use crt small.pem ssl-max-ver TLSv1.2
  http-request return status 200 hdr who \"%[ssl_f_s_dn] %[ssl_f_key_alg] %[ssl_f_i_dn]\"
",
        );
        for port in ["one", "two", "three", "four"] {
            show(w, port, "-servername a.test");
        }
        ask(w, "show ssl cert");
        for name in ["rsa.pem", "large.pem", "@/ec", "small.pem"] {
            ask(w, &format!("show ssl cert {name}"));
        }
        ask(w, "show ssl crt-list @fe");
        // what stands in gives way
        own(w, "a", false, "DNS:a.test");
        give(w, "set ssl cert rsa.pem", "a.pem");
        ask(w, "commit ssl cert rsa.pem");
        show(w, "one", "-servername a.test");
    });
}

/// A `stats socket` speaks TLS; 3.5 takes the words and speaks none. One that wants certificates of clients gets them.
#[test]
fn commands_over_tls() {
    let mut w = World::new(Binary::under_test());
    own(&w, "a", false, "DNS:a.test");
    own(&w, "b", true, "DNS:b.test");
    start(
        &mut w,
        "global
  stats socket ipv4@127.0.0.1:${one} level admin ssl crt ${dir}/a.pem
  stats socket ipv4@127.0.0.1:${two} level user ssl crt ${dir}/a.pem verify required ca-file ${dir}/b.pem
frontend fe
  bind 127.0.0.1:${three}
",
    );
    let (one, two) = (w.port("one"), w.port("two"));
    let said = say(w.dir(), one, "", "show info; show cli sockets\n");
    assert!(said.contains("Name: ") && said.contains(&format!("ipv4@127.0.0.1:{one} admin all")), "{said}");
    // an answer of many records, and a payload
    let said = say(w.dir(), one, "", "help\n");
    assert!(said.contains("acme status") && said.ends_with("\n\n"), "{said}");
    let pem = std::fs::read_to_string(w.dir().join("b.pem")).unwrap();
    let name = format!("{}/a.pem", w.dir().display());
    let said = say(w.dir(), one, "", &format!("set ssl cert {name} <<\n{pem}\n\n"));
    assert_eq!(said.trim(), format!("Transaction created for certificate {name}!"));
    assert_eq!(say(w.dir(), two, "", "show info\n"), "");
    let said = say(w.dir(), two, "-cert b.pem", "show info\n");
    assert!(said.contains("Name: "), "{said}");
    // one who says nothing of TLS is left alone
    let mut plain = TcpStream::connect(("127.0.0.1", one)).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    plain.write_all(b"show info\n").unwrap();
    let mut rest = Vec::new();
    let _ = plain.read_to_end(&mut rest);
    assert!(!rest.starts_with(b"Name"), "{rest:?}");
    let out = w.check("global\n stats socket ipv4@127.0.0.1:1 ssl\n", &[]);
    assert!(out.code != 0 && out.stderr.contains("no SSL certificate specified"), "{}", out.stderr);
}

/// What commands over TLS are answered.
fn say(dir: &Path, port: u16, args: &str, text: &str) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{port}")])
        .args(args.split_whitespace())
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // it may have been refused already
    let _ = input.write_all(text.as_bytes());
    let out = child.wait_with_output().unwrap();
    drop(input);
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// `crt` in a frontend is `ssl-f-use crt`; HAProxy's manual has it in its list of keywords only, and 3.5 does not know it.
#[test]
fn frontends_name_certificates() {
    let mut w = World::new(Binary::under_test());
    own(&w, "a", false, "DNS:a.test");
    own(&w, "b", false, "DNS:b.test");
    start(
        &mut w,
        "frontend fe
  bind 127.0.0.1:${one} ssl
  crt ${dir}/a.pem
  crt ${dir}/b.pem ssl-max-ver TLSv1.2
  http-request return status 200 hdr who \"%[ssl_f_s_dn] %[ssl_fc_protocol]\"
",
    );
    let port = w.port("one");
    for (name, wanted) in [("a.test", "/CN=a.test TLSv1.3"), ("b.test", "/CN=b.test TLSv1.2")] {
        let said = get(w.dir(), port, &format!("-servername {name}"));
        assert!(said.contains(&format!("who: {wanted}\n")), "{said}");
    }
    let list = answer(&w, "show ssl crt-list -n @fe");
    assert!(list.contains("/b.pem:2 [ssl-max-ver TLSv1.2]"), "{list}");
}

/// A response of a real responder is sent to clients that ask for one, and to nobody else.
#[test]
fn responses_of_a_responder_are_stapled() {
    scenario("certificates/responses_of_a_responder_are_stapled", |w| {
        own(w, "ca", false, "DNS:ca");
        signed(w, "server", "-days 3650");
        let dir = w.dir().to_owned();
        w.file("index", "V\t361122000000Z\t\t1234\tunknown\t/C=FR/O=Portcullis/CN=server\n");
        let run = |args: &str| crate::tls::openssl(&dir, args);
        run("ocsp -issuer ca.crt -cert server.crt -no_nonce -reqout request");
        run(
            "ocsp -index index -rsigner ca.crt -rkey ca.key -CA ca.crt -reqin request -respout good.der -ndays 30",
        );
        w.file("index", "R\t361122000000Z\t261101000000Z\t1234\tunknown\t/C=FR/O=Portcullis/CN=server\n");
        run(
            "ocsp -index index -rsigner ca.crt -rkey ca.key -CA ca.crt -reqin request -respout bad.der -ndays 30",
        );
        std::fs::copy(dir.join("good.der"), dir.join("server.pem.ocsp")).unwrap();
        std::fs::copy(dir.join("ca.crt"), dir.join("server.pem.issuer")).unwrap();
        std::fs::remove_file(dir.join("server.crt")).unwrap();
        start(
            w,
            "frontend fe
  bind 127.0.0.1:${one} ssl crt ${dir}/server.pem
  http-request return status 200
",
        );
        let port = w.port("one");
        let staple = |w: &World, args: &str| {
            let args = format!("s_client -connect 127.0.0.1:{port} -CAfile ca.crt {args}");
            let out = std::process::Command::new("openssl")
                .args(args.split_whitespace())
                .current_dir(&dir)
                .stdin(std::process::Stdio::null())
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            let lines = text.lines().map(str::trim);
            let said: Vec<&str> = lines
                .filter(|l| l.starts_with("OCSP Response Status") || l.starts_with("Cert Status"))
                .collect();
            w.note(format!(
                "{}: {}",
                if args.contains("-status") { "asked" } else { "not asked" },
                said.join(", ")
            ));
        };
        staple(w, "-status -tls1_2");
        staple(w, "-status -tls1_3");
        staple(w, "-tls1_3");
        let base64 = std::process::Command::new("openssl")
            .args(["base64", "-in", "bad.der"])
            .current_dir(&dir)
            .output()
            .unwrap();
        w.file("bad.b64", &String::from_utf8_lossy(&base64.stdout));
        give(w, "set ssl ocsp-response", "bad.b64");
        staple(w, "-status -tls1_3");
    });
}

/// Keys of tickets change while the process runs: what was sealed opens until its key has gone.
#[test]
fn keys_of_tickets_change_live() {
    scenario("certificates/keys_of_tickets_change_live", |w| {
        own(w, "a", false, "DNS:a.test");
        let line = |c: &str| format!("{}\n", c.repeat(64));
        w.file("one.keys", &["A", "B", "C"].map(line).concat());
        w.file("two.keys", &["D", "E", "F", "G"].map(line).concat());
        start(
            w,
            "frontend fe
  bind 127.0.0.1:${one} ssl crt ${dir}/a.pem tls-ticket-keys ${dir}/one.keys ssl-max-ver TLSv1.2
  bind 127.0.0.1:${two} ssl crt ${dir}/a.pem tls-ticket-keys ${dir}/two.keys ssl-max-ver TLSv1.2
  http-request return status 200 hdr resumed %[ssl_fc_is_resumed]
",
        );
        let dir = w.dir().display().to_string();
        ask(w, "show tls-keys");
        ask(w, "show tls-keys *");
        ask(w, "show tls-keys #1");
        ask(w, &format!("show tls-keys {dir}/two.keys"));
        ask(w, "show tls-keys nobody");
        show(w, "one", "-sess_out s");
        show(w, "one", "-sess_in s");
        ask(w, &format!("set ssl tls-key {dir}/one.keys {}", "H".repeat(64)));
        show(w, "one", "-sess_in s");
        ask(w, &format!("set ssl tls-key {dir}/one.keys {}", "I".repeat(64)));
        show(w, "one", "-sess_in s");
        ask(w, "show tls-keys #1");
        for wrong in ["", "#0", "#0 xx", "nobody AAAA", &format!("#0 {}", "A".repeat(108))] {
            ask(w, &format!("set ssl tls-key {wrong}"));
        }
    });
}

/// `generate-certificates`: a name that no certificate is for gets one of the authority's, with the default one's key.
#[test]
fn certificates_are_made_for_names() {
    scenario("certificates/certificates_are_made_for_names", |w| {
        own(w, "a", false, "DNS:a.test");
        own(w, "ca", true, "DNS:ca");
        start(
            w,
            "frontend fe
  bind 127.0.0.1:${one} ssl crt ${dir}/a.pem generate-certificates ca-sign-file ${dir}/ca.pem
  http-request return status 200 hdr own %[ssl_f_s_dn]
",
        );
        let port = w.port("one");
        for args in ["-servername a.test", "-servername new.test -verify_hostname new.test", "-noservername"]
        {
            for _ in 0..2 {
                let out = std::process::Command::new("openssl")
                    .args(["s_client", "-CAfile", "ca.crt", "-connect", &format!("127.0.0.1:{port}")])
                    .args(args.split_whitespace())
                    .current_dir(w.dir())
                    .stdin(std::process::Stdio::null())
                    .output()
                    .unwrap();
                let text = String::from_utf8_lossy(&out.stdout).into_owned();
                let wanted = ["subject=", "issuer=", "Verify return code", "Verification"];
                let mut said: Vec<&str> =
                    text.lines().map(str::trim).filter(|l| wanted.iter().any(|w| l.starts_with(w))).collect();
                // it is said again for each ticket that came in time
                said.dedup();
                w.note(format!("{args}: {}", said.join(" | ")));
            }
        }
    });
}
