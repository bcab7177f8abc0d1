//! TLS on both sides (manual sections 5.1, 5.2 and 7.3.4). Certificates are made with the openssl command, which is the
//! client too.
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{World, scenario};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Timeouts for a proxy that logs nothing.
const QUIET: &str = "defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
";

const DEFAULTS: &str = "global
  log 127.0.0.1:${log} local0
defaults
  mode http
  log global
  timeout connect 5s
  timeout client 30s
  timeout server 30s
";

pub fn openssl(dir: &Path, args: &str) {
    let out = Command::new("openssl").args(args.split_whitespace()).current_dir(dir).output().unwrap();
    assert!(out.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&out.stderr));
}

fn key(dir: &Path, name: &str, rsa: bool) {
    let kind = if rsa { "RSA -pkeyopt rsa_keygen_bits:2048" } else { "EC -pkeyopt ec_paramgen_curve:P-256" };
    openssl(dir, &format!("genpkey -algorithm {kind} -out {name}.key"));
}

/// A certificate that signs itself, with its key, as `NAME.pem`.
pub fn own(w: &World, name: &str, rsa: bool, names: &str) {
    let dir = w.dir();
    key(dir, name, rsa);
    openssl(
        dir,
        &format!(
            "req -x509 -new -key {name}.key -out {name}.crt -subj /CN={name}.test -days 3650 -set_serial 4661 -addext subjectAltName={names}"
        ),
    );
    join(dir, name);
}

/// Certificate and key in one file; the parts go, as nothing beside it shall be read.
fn join(dir: &Path, name: &str) {
    let part = |ext: &str| std::fs::read(dir.join(format!("{name}.{ext}"))).unwrap();
    std::fs::write(dir.join(format!("{name}.pem")), [part("crt"), part("key")].concat()).unwrap();
}

/// A certificate of the authority `ca`, as `NAME.pem`.
pub fn signed(w: &World, name: &str, days: &str) {
    let dir = w.dir();
    key(dir, name, false);
    openssl(dir, &format!("req -new -key {name}.key -out {name}.csr -subj /C=FR/O=Portcullis/CN={name}"));
    openssl(
        dir,
        &format!("x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -set_serial 4660 -out {name}.crt {days}"),
    );
    join(dir, name);
}

/// Sends a request with `openssl s_client` and gives what came back.
fn fetch(w: &mut World, port: &str, args: &str) -> String {
    let port = w.port(port);
    get(w.dir(), port, args)
}

pub fn get(dir: &Path, port: u16, args: &str) -> String {
    let address = format!("127.0.0.1:{port}");
    let mut child = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", &address])
        .args(args.split_whitespace())
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // the client may be gone already
    let _ = input.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let out = child.wait_with_output().unwrap();
    drop(input);
    String::from_utf8_lossy(&out.stdout).replace('\r', "").trim_end().to_owned()
}

pub fn show(w: &mut World, port: &str, args: &str) {
    let text = fetch(w, port, args);
    let text = if text.is_empty() { "nothing".to_owned() } else { text };
    w.note(format!("{args}: {}", text.lines().filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" | ")));
}

#[test]
fn names_choose_certificates() {
    scenario("tls/names_choose_certificates", |w| {
        own(w, "a", true, "DNS:a.test");
        own(w, "b", false, "DNS:b.test,DNS:*.wild.test");
        own(w, "c", true, "DNS:c.test");
        w.file("list", "${dir}/a.pem\n${dir}/b.pem [ssl-max-ver TLSv1.2] *.list.test !no.list.test\n");
        w.proxy(&format!(
            "{DEFAULTS}
frontend fe
  option httpslog
  bind 127.0.0.1:${{one}} ssl crt ${{dir}}/a.pem crt ${{dir}}/b.pem
  bind 127.0.0.1:${{strict}} ssl crt ${{dir}}/a.pem crt ${{dir}}/c.pem strict-sni
  bind 127.0.0.1:${{list}} ssl crt-list ${{dir}}/list ssl-min-ver TLSv1.2 ciphers ECDHE+AESGCM:!AES128
  http-request return status 200 hdr tls \"%[ssl_fc] %[ssl_fc_protocol] %[ssl_fc_cipher] %[ssl_fc_use_keysize] sni=%[ssl_fc_sni] %[ssl_fc_has_sni] %[ssl_f_s_dn] %[ssl_f_key_alg] %[ssl_f_sig_alg] %[ssl_f_version]\"
"
        ));
        for name in ["a.test", "b.test", "x.wild.test", "y.x.wild.test", "other.test"] {
            show(w, "one", &format!("-servername {name}"));
        }
        show(w, "one", "-noservername");
        show(w, "one", "-servername b.test -tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256");
        show(w, "one", "-servername B.TEST -tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384");
        for name in ["a.test", "c.test", "b.test"] {
            show(w, "strict", &format!("-servername {name}"));
        }
        show(w, "list", "-servername x.list.test");
        show(w, "list", "-servername no.list.test");
        show(w, "list", "-servername a.test -tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256");
        w.logs(14);
    });
}

/// For each kind of key its own exact name counts before a wildcard, and a wildcard before another kind's exact name.
#[test]
fn a_kind_of_key_is_found_under_wildcards_too() {
    scenario("tls/a_kind_of_key_is_found_under_wildcards_too", |w| {
        own(w, "rsa", true, "DNS:a.test");
        own(w, "ecwild", false, "DNS:*.test");
        own(w, "ec", false, "DNS:a.test");
        own(w, "rsawild", true, "DNS:*.test");
        w.file("list", "${dir}/rsa.pem\n${dir}/ecwild.pem *.test !a.test\n");
        w.proxy(&format!(
            "{QUIET}
frontend fe
  bind 127.0.0.1:${{wildec}} ssl crt ${{dir}}/rsa.pem crt ${{dir}}/ecwild.pem
  bind 127.0.0.1:${{wildrsa}} ssl crt ${{dir}}/ec.pem crt ${{dir}}/rsawild.pem
  bind 127.0.0.1:${{list}} ssl crt-list ${{dir}}/list
  bind 127.0.0.1:${{strict}} ssl strict-sni crt ${{dir}}/ec.pem crt ${{dir}}/rsawild.pem
  http-request return status 200 hdr served \"%[ssl_f_s_dn] %[ssl_f_key_alg]\"
"
        ));
        for port in ["wildec", "wildrsa", "list", "strict"] {
            w.note(port);
            for kinds in [
                "ECDSA+SHA256:rsa_pss_rsae_sha256:RSA+SHA256",
                "ECDSA+SHA256",
                "rsa_pss_rsae_sha256:RSA+SHA256",
            ] {
                show(w, port, &format!("-servername a.test -sigalgs {kinds}"));
                show(w, port, &format!("-servername b.test -sigalgs {kinds}"));
            }
            show(w, port, "-servername a.test -tls1_2 -cipher aRSA");
        }
    });
}

#[test]
fn forwarded_says_https() {
    scenario("tls/forwarded_says_https", |w| {
        own(w, "a", false, "DNS:a.test");
        w.ok("o1");
        w.proxy(&format!(
            "{QUIET}listen fe\n  bind 127.0.0.1:${{fe}} ssl crt ${{dir}}/a.pem\n  option forwarded\n  server s1 127.0.0.1:${{o1}}\n"
        ));
        show(w, "fe", "-servername a.test");
    });
}

/// A server's certificate has to be valid for what the request asks for, whatever that is.
#[test]
fn hosts_that_are_no_names() {
    scenario("tls/hosts_that_are_no_names", |w| {
        own(w, "a", false, "DNS:a.test");
        w.proxy(&format!(
            "{QUIET}frontend fe\n  bind 127.0.0.1:${{fe}}\n  default_backend be\n\
             backend be\n  retries 0\n  server s1 127.0.0.1:${{o}} ssl ca-file ${{dir}}/a.crt\n\
             listen o\n  bind 127.0.0.1:${{o}} ssl crt ${{dir}}/a.pem\n  http-request return status 200\n"
        ));
        for host in ["a.test", "a.test:80", "10.1.2.3", "[::1]:8", "64", "-x.other", "127.0.0.1"] {
            let mut c = w.client("fe");
            c.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
            let status = c.response().status();
            w.note(format!("{host}: {status}"));
        }
    });
}

/// A server's name is sent as it is spelt, and who shows another one's certificate is asked again at once (`retries`).
#[test]
fn names_of_servers_are_sent_as_they_are() {
    scenario("tls/names_of_servers_are_sent_as_they_are", |w| {
        own(w, "a", false, "DNS:a.test");
        w.proxy(&format!(
            "{QUIET}  retries 3
frontend tls
  bind 127.0.0.1:${{tls}} ssl crt ${{dir}}/a.pem
  http-request return status 200 hdr named %[ssl_fc_sni]
listen fe
  bind 127.0.0.1:${{fe}}
  server s 127.0.0.1:${{tls}} ssl verify required ca-file ${{dir}}/a.pem
"
        ));
        w.client("fe").send("GET / HTTP/1.1\r\nHost: A.Test:80\r\nConnection: close\r\n\r\n").read_to_end();
        let began = std::time::Instant::now();
        w.client("fe").send("GET / HTTP/1.1\r\nHost: b.test\r\nConnection: close\r\n\r\n").read_to_end();
        w.note(format!(
            "without a delay for each try: {}",
            began.elapsed() < std::time::Duration::from_secs(2)
        ));
    });
}

#[test]
fn client_certificates() {
    scenario("tls/client_certificates", |w| {
        own(w, "a", false, "DNS:a.test");
        own(w, "stranger", false, "DNS:stranger");
        let dir = w.dir().to_owned();
        key(&dir, "ca", false);
        openssl(&dir, "req -x509 -new -key ca.key -out ca.crt -subj /CN=authority -days 3650");
        signed(w, "good", "-days 3650");
        signed(w, "late", "-days -1");
        w.proxy(&format!(
            "{DEFAULTS}
frontend fe
  log-format \"%ci %ft %sslv %[ssl_c_verify] %ST %ts\"
  error-log-format \"error %ft %[fc_err] %[fc_err_str] %[ssl_fc_err,hex] %[ssl_c_err] %[ssl_c_ca_err] %[ssl_c_ca_err_depth]\"
  bind 127.0.0.1:${{required}} ssl crt ${{dir}}/a.pem verify required ca-file ${{dir}}/ca.crt
  bind 127.0.0.1:${{optional}} ssl crt ${{dir}}/a.pem verify optional ca-file ${{dir}}/ca.crt
  bind 127.0.0.1:${{lenient}} ssl crt ${{dir}}/a.pem verify optional ca-file ${{dir}}/ca.crt crt-ignore-err all ca-ignore-err all
  http-request return status 200 hdr tls \"%[ssl_c_used] %[ssl_fc_has_crt] %[ssl_c_verify] %[ssl_c_err] %[ssl_c_ca_err] %[ssl_c_ca_err_depth]\" hdr cert \"%[ssl_c_s_dn] %[ssl_c_s_dn(cn)] %[ssl_c_s_dn(,0,rfc2253)] %[ssl_c_i_dn(CN)] %[ssl_c_serial,hex] %[ssl_c_sig_alg] %[ssl_c_version]\" if {{ ssl_c_used }}
  http-request return status 200 hdr tls \"%[ssl_c_used] %[ssl_fc_has_crt] %[ssl_c_verify] %[ssl_c_err]\"
"
        ));
        for port in ["required", "optional", "lenient"] {
            w.note(port);
            show(w, port, "-tls1_2");
            for name in ["good", "late", "stranger"] {
                show(w, port, &format!("-tls1_2 -cert {name}.crt -key {name}.key"));
            }
        }
        w.logs(12);
    });
}

/// Clients' certificates that openssl-verify(1) refuses, whatever errors are ignored, and lists that cannot be used.
#[test]
fn certificates_that_nobody_may_take() {
    scenario("tls/certificates_that_nobody_may_take", |w| {
        own(w, "a", false, "DNS:a.test");
        let dir = w.dir().to_owned();
        for name in ["ca", "narrow"] {
            key(&dir, name, false);
        }
        openssl(&dir, "req -x509 -new -key ca.key -out ca.crt -subj /CN=authority -days 3650");
        let mut sign = |name: &str, subject: &str, by: &str, extensions: &str| {
            w.file("ext", extensions);
            openssl(&dir, &format!("req -new -key {name}.key -out {name}.csr -subj {subject}"));
            openssl(
                &dir,
                &format!(
                    "x509 -req -in {name}.csr -CA {by}.crt -CAkey {by}.key -set_serial 77 -days 3650 -out {name}.crt -extfile ext"
                ),
            );
        };
        sign(
            "narrow",
            "/CN=narrow",
            "ca",
            "basicConstraints=critical,CA:TRUE\nnameConstraints=critical,permitted;DNS:ok.test,excluded;DNS:not.ok.test\n",
        );
        let clients = [
            ("within", "narrow", "subjectAltName=DNS:x.ok.test\n"),
            ("outside", "narrow", "subjectAltName=DNS:other.test\n"),
            ("excluded", "narrow", "subjectAltName=DNS:x.not.ok.test\n"),
            ("strange", "ca", "1.2.3.4.5=critical,DER:0500\n"),
            ("enciphers", "ca", "keyUsage=dataEncipherment\n"),
            ("anything", "ca", "extendedKeyUsage=anyExtendedKeyUsage\n"),
            ("good", "ca", "keyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n"),
        ];
        for (name, by, extensions) in clients {
            key(&dir, name, false);
            sign(name, &format!("/CN={name}"), by, extensions);
        }
        let crl = |days: &str, name: &str| {
            std::fs::write(dir.join("index"), "").unwrap();
            std::fs::write(
                dir.join("ca.cnf"),
                "[ca]\ndefault_ca=own\n[own]\ndatabase=index\ndefault_md=sha256\n",
            )
            .unwrap();
            openssl(
                &dir,
                &format!("ca -config ca.cnf -gencrl -keyfile ca.key -cert ca.crt {days} -out {name}.crl"),
            );
        };
        crl("-crldays 3650", "now");
        crl("-crl_lastupdate 20990101000000Z -crl_nextupdate 20991231000000Z", "later");
        let bind = |port: &str, more: &str| {
            format!(
                "  bind 127.0.0.1:${{{port}}} ssl crt ${{dir}}/a.pem verify required ca-file ${{dir}}/ca.crt {more}\n"
            )
        };
        let ignoring = "crt-ignore-err all ca-ignore-err all";
        w.proxy(&format!(
            "{DEFAULTS}frontend fe\n  log-format \"%ft %[ssl_c_verify] %ST\"\n  \
             error-log-format \"%ft %[fc_err] %[ssl_c_err] %[ssl_c_ca_err] %[ssl_c_ca_err_depth]\"\n\
             {}{}{}{}  http-request return status 200 hdr tls \"%[ssl_c_verify] %[ssl_c_err] %[ssl_c_s_dn(cn)]\"\n",
            bind("required", ""),
            bind("lenient", ignoring),
            bind("current", "crl-file ${dir}/now.crl"),
            bind("late", "crl-file ${dir}/later.crl"),
        ));
        let mut asked = 0;
        for port in ["required", "lenient"] {
            w.note(port);
            for (name, by, _) in clients {
                show(w, port, &format!("-tls1_2 -cert {name}.crt -key {name}.key -cert_chain {by}.crt"));
                asked += 1;
            }
        }
        for port in ["current", "late"] {
            w.note(port);
            show(w, port, "-tls1_2 -cert good.crt -key good.key");
            asked += 1;
        }
        w.logs(asked);
    });
}

#[test]
fn servers() {
    scenario("tls/servers", |w| {
        own(w, "a", false, "DNS:a.test");
        own(w, "b", true, "DNS:b.test");
        w.file("both.crt", "");
        let dir = w.dir().to_owned();
        let crt = |n: &str| std::fs::read(dir.join(format!("{n}.crt"))).unwrap();
        std::fs::write(dir.join("both.crt"), [crt("a"), crt("b")].concat()).unwrap();
        let listen = |name: &str, options: &str| {
            format!(
                "listen {name}
  bind 127.0.0.1:${{{name}}}
  http-response set-header bc \"%[ssl_bc] %[ssl_bc_protocol] %[ssl_bc_cipher] sni=%[ssl_bc_sni] %[ssl_s_s_dn]\"
  server s 127.0.0.1:${{origin}} {options}
"
            )
        };
        let config = [
            DEFAULTS
                .replace("  log 127.0.0.1:${log} local0\n", "")
                .replace("  log global\n", "  retries 0\n"),
            "frontend origin
  bind 127.0.0.1:${origin} ssl crt ${dir}/a.pem crt ${dir}/b.pem
  http-request return status 200 hdr got \"%[ssl_fc_sni] %[ssl_fc_protocol] %[ssl_f_s_dn]\"
"
            .to_owned(),
            listen("plain", "ssl verify none no-sni-auto"),
            listen("auto", "ssl verify none"),
            listen("named", "ssl verify required ca-file ${dir}/both.crt sni str(b.test)"),
            listen("wrongca", "ssl verify required ca-file ${dir}/a.crt sni str(b.test)"),
            listen("wronghost", "ssl verify required ca-file ${dir}/both.crt no-sni-auto verifyhost b.test"),
            listen("host", "ssl verify required ca-file ${dir}/both.crt no-sni-auto verifyhost a.test"),
            listen("old", "ssl verify none force-tlsv12 ciphers ECDHE-RSA-AES256-GCM-SHA384 sni str(b.test)"),
        ]
        .concat();
        w.proxy(&config);
        for port in ["plain", "auto", "named", "wrongca", "wronghost", "host", "old"] {
            let mut c = w.client(port);
            c.send("GET / HTTP/1.1\r\nHost: b.test:80\r\nConnection: close\r\n\r\n").response();
            c.close();
        }
    });
}

#[test]
fn bodies_of_all_sizes_pass() {
    scenario("tls/bodies_of_all_sizes_pass", |w| {
        own(w, "a", false, "DNS:a.test");
        let body = "0123456789abcdef".repeat(40_000);
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let answer: &'static str = Box::leak(answer.into_boxed_str());
        w.answering("o1", answer);
        w.proxy(
            "defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
listen inner
  bind 127.0.0.1:${inner} ssl crt ${dir}/a.pem
  server s 127.0.0.1:${o1}
listen outer
  bind 127.0.0.1:${outer} ssl crt ${dir}/a.pem
  server s 127.0.0.1:${inner} ssl verify none
",
        );
        for version in ["-tls1_2", "-tls1_3"] {
            let text = fetch(w, "outer", version);
            let (_, got) = text.split_once("\n\n").unwrap_or(("", ""));
            w.note(format!("{version}: {} bytes, the same: {}", got.len(), got == body));
        }
    });
}

#[test]
fn sessions_are_resumed() {
    scenario("tls/sessions_are_resumed", |w| {
        own(w, "a", false, "DNS:a.test");
        w.proxy(&format!(
            "{}
frontend fe
  bind 127.0.0.1:${{tickets}} ssl crt ${{dir}}/a.pem
  bind 127.0.0.1:${{stateful}} ssl crt ${{dir}}/a.pem no-tls-tickets
  http-request return status 200 hdr resumed %[ssl_fc_is_resumed]
",
            DEFAULTS.replace("  log 127.0.0.1:${log} local0\n", "").replace("  log global\n", "")
        ));
        for port in ["tickets", "stateful"] {
            for version in ["-tls1_2", "-tls1_3"] {
                w.note(format!("{port} {version}"));
                show(w, port, &format!("{version} -sess_out {port}{version}.session"));
                show(w, port, &format!("{version} -sess_in {port}{version}.session"));
            }
        }
    });
}

#[test]
fn what_is_wrong_with_certificates() {
    scenario("tls/what_is_wrong_with_certificates", |w| {
        own(w, "a", false, "DNS:a.test");
        own(w, "b", false, "DNS:b.test");
        w.file("empty.pem", "");
        let dir = w.dir().to_owned();
        let read = |n: &str| std::fs::read(dir.join(n)).unwrap();
        std::fs::write(dir.join("mixed.pem"), [read("a.crt"), read("b.key")].concat()).unwrap();
        std::fs::create_dir(dir.join("x")).unwrap();
        std::fs::write(dir.join("x/keyless.pem"), read("a.crt")).unwrap();
        let lines = [
            "crt ${dir}/none.pem",
            "crt ${dir}/empty.pem",
            "crt ${dir}/mixed.pem",
            "crt ${dir}/x/keyless.pem",
            "crt",
            "",
            "crt ${dir}/a.pem verify sometimes",
            "crt ${dir}/a.pem verify required",
            "crt ${dir}/a.pem ciphers FOO",
            "crt ${dir}/a.pem ciphersuites FOO",
            "crt ${dir}/a.pem curves FOO",
            "crt ${dir}/a.pem ssl-min-ver TLSv2",
            "crt ${dir}/a.pem ssl-min-ver TLSv1.3 ssl-max-ver TLSv1.2",
            "crt ${dir}/a.pem ca-file ${dir}/none.pem",
            "crt ${dir}/a.pem crt-ignore-err 10,FOO",
            "crt-list ${dir}/none",
            "crt ${dir}/a.pem no-sslv3 no-tlsv10 ssl-min-ver TLSv1.2",
        ];
        for line in lines {
            let config = format!(
                "defaults\n  mode http\n  timeout client 1s\nfrontend fe\n  bind 127.0.0.1:${{one}} ssl {line}\n  http-request return status 200\n"
            );
            let out = w.check(&config, &[]);
            let text = out.stderr.clone();
            w.note(format!("{line}: {:?}", out.code));
            for l in text.lines().filter(|l| l.contains("[ALERT]") && l.contains("fe")) {
                let words = l.split_once(" : ").map_or(l, |(_, rest)| rest);
                let words =
                    w.mask(words.trim_start_matches("config : ")).replace(&*dir.to_string_lossy(), "DIR");
                w.note(words);
            }
        }
    });
}

#[test]
fn plain_text_is_sent_elsewhere() {
    scenario("tls/plain_text_is_sent_elsewhere", |w| {
        own(w, "a", false, "DNS:a.test");
        w.proxy(&format!(
            "{DEFAULTS}
frontend fe
  option httpslog
  bind 127.0.0.1:${{http}}
  bind 127.0.0.1:${{https}} ssl crt ${{dir}}/a.pem alpn h2,http/1.1
  http-request redirect scheme https code 301 unless {{ ssl_fc }}
  http-request return status 200
"
        ));
        let mut c = w.client("http");
        c.get("/x", "Connection: close\r\n").response();
        c.close();
        show(w, "https", "-alpn http/1.1 -tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256 -servername a.test");
        w.logs(2);
        let mut c = w.client("https");
        c.send("GET / HTTP/1.1\r\n\r\n").wait_end();
        w.logs(3);
    });
}

/// `ssl-passphrase-cmd`: the program is given the file and says the passphrase.
#[test]
fn encrypted_keys_are_opened_when_they_are_read() {
    let mut w = World::new(portcullis_e2e::binary::Binary::under_test());
    let dir = w.dir().to_owned();
    own(&w, "a", false, "DNS:a.test");
    own(&w, "b", true, "DNS:b.test");
    openssl(&dir, "pkcs8 -topk8 -in a.key -out a.enc -passout pass:secret");
    openssl(&dir, "rsa -in b.key -aes256 -traditional -out b.enc -passout pass:secret");
    for name in ["a", "b"] {
        let part = |ext: &str| std::fs::read(dir.join(format!("{name}.{ext}"))).unwrap();
        std::fs::write(dir.join(format!("{name}.pem")), [part("crt"), part("enc")].concat()).unwrap();
    }
    w.file("say", "#!/bin/sh\necho \"$1 $2\" >> ${dir}/asked\necho secret\n");
    assert!(Command::new("chmod").arg("+x").arg(dir.join("say")).status().unwrap().success());
    w.proxy(&format!(
        "global
  ssl-passphrase-cmd ${{dir}}/say word
{QUIET}frontend fe
  bind 127.0.0.1:${{one}} ssl crt ${{dir}}/a.pem crt ${{dir}}/b.pem
  http-request return status 200 hdr who %[ssl_f_s_dn]
"
    ));
    for name in ["a.test", "b.test"] {
        assert!(fetch(&mut w, "one", &format!("-servername {name}")).contains(&format!("who: /CN={name}")));
    }
    // asked once: the first passphrase opens the second key too
    let asked = std::fs::read_to_string(dir.join("asked")).unwrap();
    assert_eq!(asked, format!("{}/a.pem word\n", dir.display()));
}

/// `maxsslconn` leaves connections in the backlog until there is a place again (3.5-dev5 never takes them then);
/// `show info` counts what TLS does.
#[test]
fn connections_are_limited_and_counted() {
    let mut w = World::new(portcullis_e2e::binary::Binary::under_test());
    own(&w, "a", false, "DNS:a.test");
    w.proxy(
        "global
  stats socket ${dir}/cli level admin
  maxsslconn 1
  maxsslrate 1000
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 5s
frontend fe
  bind 127.0.0.1:${one} ssl crt ${dir}/a.pem no-tls-tickets
  http-request return status 200 hdr resumed %[ssl_fc_is_resumed]
",
    );
    let figure = |w: &World, name: &str| {
        let info = crate::certificates::answer(w, "show info");
        let line =
            info.lines().find_map(|l| l.strip_prefix(&format!("{name}: "))).unwrap_or("none").to_owned();
        line.parse::<u64>().unwrap()
    };
    // one that does nothing has the only place
    let idle = std::net::TcpStream::connect(("127.0.0.1", w.port("one"))).unwrap();
    let taken = || (figure(&w, "CurrSslConns") == 1).then_some(());
    assert!(wait_for(PATIENCE, taken).is_some());
    let other = std::thread::scope(|s| {
        let port = w.port("one");
        let dir = w.dir().to_owned();
        let other = s.spawn(move || get(&dir, port, "-tls1_2 -sess_out s"));
        // the other waits in the backlog: its connection is not counted
        assert_eq!(figure(&w, "CumSslConns"), 1);
        drop(idle);
        other.join().unwrap()
    });
    assert!(other.contains("resumed: 0"), "{other}");
    assert!(fetch(&mut w, "one", "-tls1_2 -sess_in s").contains("resumed: 1"));
    for (name, expected) in [
        ("MaxSslConns", 1),
        ("CumSslConns", 3),
        ("SslRateLimit", 1000),
        ("SslCacheLookups", 1),
        ("SslCacheMisses", 0),
    ] {
        assert_eq!(figure(&w, name), expected, "{name}");
    }
    assert_eq!(crate::certificates::answer(&w, "set rate-limit ssl-sessions global 7").trim(), "");
    assert_eq!(figure(&w, "SslRateLimit"), 7);
}

/// What key logs are made of: the secrets are those that the client logs.
#[test]
fn secrets_are_those_that_the_client_knows() {
    let mut w = World::new(portcullis_e2e::binary::Binary::under_test());
    own(&w, "a", false, "DNS:a.test");
    w.proxy(&format!(
        "global
  tune.ssl.keylog on
{QUIET}frontend fe
  bind 127.0.0.1:${{one}} ssl crt ${{dir}}/a.pem
  http-request return status 200 hdr log \"%[ssl_fc_client_random,hex] %[ssl_fc_client_handshake_traffic_secret] %[ssl_fc_server_handshake_traffic_secret] %[ssl_fc_client_traffic_secret_0] %[ssl_fc_server_traffic_secret_0] %[ssl_fc_exporter_secret]\" hdr old %[ssl_fc_session_key,hex] hdr random %[ssl_fc_server_random,hex]
"
    ));
    const LABELS: [&str; 5] = [
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "SERVER_TRAFFIC_SECRET_0",
        "EXPORTER_SECRET",
    ];
    let header = |text: &str, name: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_default().to_owned()
    };
    let answer = fetch(&mut w, "one", "-tls1_3 -keylogfile new");
    let known = std::fs::read_to_string(w.dir().join("new")).unwrap();
    let value =
        |label: &str| known.lines().find_map(|l| l.strip_prefix(&format!("{label} "))).unwrap().to_owned();
    let log = header(&answer, "log");
    let mut said = log.split(' ');
    let random = said.next().unwrap().to_ascii_lowercase();
    for (label, secret) in LABELS.iter().zip(said) {
        assert_eq!(value(label), format!("{random} {secret}"), "{label}");
    }
    assert_eq!(header(&answer, "random").len(), 64);
    let answer = fetch(&mut w, "one", "-tls1_2 -keylogfile old");
    let known = std::fs::read_to_string(w.dir().join("old")).unwrap();
    let master = known.lines().find(|l| l.starts_with("CLIENT_RANDOM")).unwrap().rsplit(' ').next().unwrap();
    assert_eq!(header(&answer, "old").to_ascii_lowercase(), master);
}

/// A session has the identifier that the client knows, and keeps it; with TLS 1.3 each connection has one of its own.
#[test]
fn sessions_have_names() {
    let mut w = World::new(portcullis_e2e::binary::Binary::under_test());
    own(&w, "a", false, "DNS:a.test");
    w.proxy(&format!(
        "{QUIET}frontend fe
  bind 127.0.0.1:${{one}} ssl crt ${{dir}}/a.pem no-tls-tickets
  http-request return status 200 hdr id %[ssl_fc_session_id,hex]
listen behind
  bind 127.0.0.1:${{behind}}
  server s 127.0.0.1:${{one}} ssl verify none ssl-max-ver TLSv1.2
  http-response set-header own %[ssl_bc_session_id,hex]
"
    ));
    let mut ids = |args: &str| {
        let answer = fetch(&mut w, "one", args);
        answer.lines().find_map(|l| l.strip_prefix("id: ")).unwrap_or_default().to_owned()
    };
    let first = ids("-tls1_2 -sess_out session");
    assert_eq!(ids("-tls1_2 -sess_in session"), first);
    let new = [ids("-tls1_3"), ids("-tls1_3")];
    assert!(new[0].len() == 64 && new[0] != new[1], "{new:?}");
    let known = Command::new("openssl")
        .args(["sess_id", "-in", "session", "-noout", "-text"])
        .current_dir(w.dir())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&known.stdout).contains(&format!("Session-ID: {first}")), "{first}");
    let answer = w.client("behind").get("/", "Connection: close\r\n").response();
    assert!(answer.field("id").is_some_and(|id| !id.is_empty() && answer.field("own") == Some(id)));
}

/// Early data: a request that came before the handshake was done is told of, may be made to wait, and is not taken twice.
#[test]
fn requests_before_the_handshake_is_done() {
    scenario("tls/requests_before_the_handshake_is_done", |w| {
        own(w, "a", false, "DNS:a.test");
        w.origin("o", |mut c| {
            while let Some(request) = c.request() {
                let early = request.field("early-data").unwrap_or_else(|| "none".into());
                c.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nseen: {early}\r\n\r\n").as_bytes());
            }
        });
        w.file("early", "GET /early HTTP/1.1\r\nHost: h\r\n\r\n");
        w.file("wait", "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
        w.proxy(&format!(
            "{DEFAULTS}
frontend fe
  bind 127.0.0.1:${{one}} ssl crt ${{dir}}/a.pem alpn http/1.1 allow-0rtt
  bind 127.0.0.1:${{two}} ssl crt ${{dir}}/a.pem alpn http/1.1
  http-request wait-for-handshake if {{ path /wait }}
  http-request set-var(txn.early) ssl_fc_has_early
  http-response set-header early %[var(txn.early)]
  default_backend be
backend be
  server s 127.0.0.1:${{o}}
"
        ));
        w.forget_logs();
        w.forget_origins();
        for (port, file) in [("one", "early"), ("one", "wait"), ("two", "early")] {
            show(w, port, "-tls1_3 -alpn http/1.1 -sess_out s");
            w.note(format!("{port} {file}"));
            show(w, port, &format!("-tls1_3 -alpn http/1.1 -sess_in s -early_data {file}"));
        }
    });
}

/// What completes a chain, and what is left out of one.
#[test]
fn chains_are_completed_and_cut() {
    scenario("tls/chains_are_completed_and_cut", |w| {
        let dir = w.dir().to_owned();
        key(&dir, "ca", false);
        openssl(&dir, "req -x509 -new -key ca.key -out ca.crt -subj /CN=authority -days 3650");
        w.file("ext", "authorityKeyIdentifier=keyid\n");
        signed(w, "a", "-days 3650 -extfile ext");
        w.file("above", "basicConstraints=CA:TRUE\nauthorityKeyIdentifier=keyid\n");
        signed(w, "sub", "-days 3650 -extfile above");
        key(&dir, "b", false);
        openssl(&dir, "req -new -key b.key -out b.csr -subj /CN=b");
        openssl(
            &dir,
            "x509 -req -in b.csr -CA sub.crt -CAkey sub.key -set_serial 3 -out b.crt -days 3650 -extfile ext",
        );
        let part = |name: &str| std::fs::read(dir.join(name)).unwrap();
        let long = [part("b.crt"), part("sub.crt"), part("ca.crt"), part("b.key")].concat();
        std::fs::write(dir.join("long.pem"), long).unwrap();
        std::fs::create_dir(dir.join("issuers")).unwrap();
        std::fs::write(dir.join("issuers/ca.pem"), part("ca.crt")).unwrap();
        std::fs::write(dir.join("whole.pem"), [part("a.crt"), part("ca.crt"), part("a.key")].concat())
            .unwrap();
        std::fs::remove_file(dir.join("a.crt")).unwrap();
        for (n, global) in
            ["", "issuers-chain-path ${dir}/issuers", "ssl-skip-self-issued-ca"].iter().enumerate()
        {
            w.proxy(&format!(
                "global
  {global}
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend fe
  bind 127.0.0.1:${{alone{n}}} ssl crt ${{dir}}/a.pem
  bind 127.0.0.1:${{whole{n}}} ssl crt ${{dir}}/whole.pem
  bind 127.0.0.1:${{long{n}}} ssl crt ${{dir}}/long.pem
  http-request return status 200
"
            ));
            for port in [format!("alone{n}"), format!("whole{n}"), format!("long{n}")] {
                let port = w.port(&port);
                let out = Command::new("openssl")
                    .args(["s_client", "-showcerts", "-connect", &format!("127.0.0.1:{port}")])
                    .stdin(Stdio::null())
                    .output()
                    .unwrap();
                let text = String::from_utf8_lossy(&out.stdout).into_owned();
                w.note(format!("{global}: {} certificates", text.matches("BEGIN CERTIFICATE").count()));
            }
        }
    });
}

/// Records of a limited size.
#[test]
fn records_are_no_larger_than_they_may_be() {
    let mut w = World::new(portcullis_e2e::binary::Binary::under_test());
    own(&w, "a", false, "DNS:a.test");
    w.file("body", &"x".repeat(40_000));
    for (n, (limit, most)) in
        [("tune.ssl.hard-maxrecord 1000", 1000), ("tune.ssl.maxrecord 500", 500)].iter().enumerate()
    {
        w.proxy(&format!(
            "global
  tune.bufsize 65536
  {limit}
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend fe
  bind 127.0.0.1:${{p{n}}} ssl crt ${{dir}}/a.pem
  http-request return status 200 content-type text/plain file ${{dir}}/body
"
        ));
        let port = w.port(&format!("p{n}"));
        let address = format!("127.0.0.1:{port}");
        let mut child = Command::new("openssl")
            .args(["s_client", "-msg", "-tls1_3", "-ign_eof", "-connect", &address])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
        let out = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(text.contains(&"x".repeat(100)));
        // a record's header is shown as five bytes: the length is the last two
        let sizes: Vec<usize> = text
            .split("<<< TLS 1.2, RecordHeader [length 0005]")
            .skip(1)
            .filter_map(|t| {
                let bytes: Vec<&str> = t.split_whitespace().take(5).collect();
                (bytes.first() == Some(&"17")).then_some(())?;
                usize::from_str_radix(&format!("{}{}", bytes.get(3)?, bytes.get(4)?), 16).ok()
            })
            .collect();
        let bulk = sizes.iter().filter(|n| **n == most + 17).count();
        assert!(bulk >= 30, "{limit}: {sizes:?}");
        assert!(sizes.iter().filter(|n| **n > most + 17).count() <= 4, "{limit}: {sizes:?}");
    }
}

/// The library sends no lists of timestamps: whoever has one beside a certificate is told so, once for a line.
#[test]
fn timestamps_beside_a_certificate_are_told_of() {
    let mut w = portcullis_e2e::World::new(portcullis_e2e::binary::Binary::under_test());
    own(&w, "a", false, "DNS:a.test");
    own(&w, "b", false, "DNS:b.test");
    std::fs::create_dir(w.dir().join("all")).unwrap();
    // one timestamp of four bytes
    let list = [0, 6, 0, 4, 1, 2, 3, 4];
    for name in ["a.pem", "b.pem"] {
        std::fs::copy(w.dir().join(name), w.dir().join("all").join(name)).unwrap();
        std::fs::write(w.dir().join("all").join(format!("{name}.sctl")), list).unwrap();
    }
    std::fs::write(w.dir().join("a.pem.sctl"), b"nonsense").unwrap();
    let mut told = |crt: &str| {
        let out = w.check(&format!("{QUIET}frontend fe\n  bind :80 ssl crt ${{dir}}/{crt}\n"), &["-V"]);
        (out.code, out.stderr)
    };
    let (code, text) = told("all");
    assert!(
        code == 0 && text.contains("a.pem.sctl' and 1 more: 'sctl' is accepted but has no effect"),
        "{text}"
    );
    let (code, text) = told("a.pem");
    assert!(code == 1 && text.contains("a.pem.sctl' is present but cannot be read or parsed"), "{text}");
    let (code, text) = told("b.pem");
    assert!(code == 0 && !text.contains("sctl"), "{text}");
}

/// All attributes that OpenSSL has names for have them; values that are no ASCII, parts with several attributes, and values of
/// attributes without a name have their forms in RFC 2253.
#[test]
fn names_of_clients() {
    scenario("tls/names_of_clients", |w| {
        own(w, "server", false, "DNS:server.test");
        let subjects = [
            ("bank", "/C=FR/organizationIdentifier=PSDFR-1/telephoneNumber=1 2/jurisdictionC=FR/CN=bank"),
            ("parts", "/DC=test/CN=b+O=o/1.2.3.4.5=v/UID=u/mail=a@b.test/CN=a,b"),
            ("wide", "/O=#x/CN=Jürgen /unstructuredName=n"),
        ];
        let dir = w.dir().to_owned();
        for (name, subject) in subjects {
            key(&dir, name, false);
            let made = Command::new("openssl")
                .args(["req", "-x509", "-new", "-utf8", "-days", "3650", "-subj", subject])
                .args(["-key", &format!("{name}.key"), "-out", &format!("{name}.crt")])
                .current_dir(&dir)
                .stderr(Stdio::null())
                .status();
            assert!(made.is_ok_and(|status| status.success()));
        }
        w.proxy(&format!(
            "{DEFAULTS}
frontend fe
  bind 127.0.0.1:${{one}} ssl crt ${{dir}}/server.pem verify optional ca-file ${{dir}}/server.crt crt-ignore-err all ca-ignore-err all
  http-request return status 200 hdr line \"%[ssl_c_s_dn]\" hdr rfc \"%[ssl_c_s_dn(,0,rfc2253)]\" hdr one \"%[ssl_c_s_dn(organizationIdentifier)] %[ssl_c_s_dn(mail)] %[ssl_c_s_dn(1.2.3.4.5)] %[ssl_c_s_dn(CN,-1)] %[ssl_c_s_dn(CN,1,rfc2253)] %[ssl_c_s_dn(CN,0)]\"
"
        ));
        for (name, _) in subjects {
            show(w, "one", &format!("-cert {name}.crt -key {name}.key"));
        }
        w.logs(3);
        w.forget_logs();
    });
}

/// Directories of authorities and of revocation lists: hidden files do not count, and without an authority nobody is trusted. Unknown
/// suites of TLS 1.3 are left out.
#[test]
fn directories_of_authorities() {
    scenario("tls/directories_of_authorities", |w| {
        own(w, "ca", false, "DNS:ca");
        own(w, "other", false, "DNS:other");
        signed(w, "me", "-days 3650");
        let dir = w.dir().to_owned();
        w.file("crl.cnf", "[ca]\ndefault_ca=d\n[d]\ndatabase=${dir}/index\ncrlnumber=${dir}/number\ndefault_md=sha256\ndefault_crl_days=3650\n");
        w.file("index", "");
        w.file("number", "01\n");
        for name in ["trusted", "lists", "nobody"] {
            std::fs::create_dir(dir.join(name)).unwrap();
        }
        openssl(&dir, "ca -config crl.cnf -cert ca.crt -keyfile ca.key -revoke me.crt");
        openssl(&dir, "ca -config crl.cnf -cert ca.crt -keyfile ca.key -gencrl -out lists/ca.crl");
        std::fs::copy(dir.join("ca.crt"), dir.join("trusted/ca.crt")).unwrap();
        std::fs::copy(dir.join("other.crt"), dir.join("trusted/.other.crt")).unwrap();
        std::fs::copy(dir.join("other.crt"), dir.join("nobody/other.txt")).unwrap();
        let bind = |port: &str, more: &str| {
            format!(
                "  bind 127.0.0.1:${{{port}}} ssl crt ${{dir}}/other.pem verify optional crt-ignore-err all ca-ignore-err all {more}\n"
            )
        };
        let suites = "ciphersuites TLS13-AES-128-GCM-SHA256:TLS_AES_128_GCM_SHA256:TLS_SM4_GCM_SM3";
        w.proxy(&format!(
            "{DEFAULTS}frontend fe\n{}{}{}  http-request return status 200 hdr verify %[ssl_c_verify]\n",
            bind("one", &format!("ca-file ${{dir}}/trusted {suites}")),
            bind("two", "ca-file ${dir}/ca.crt crl-file ${dir}/lists"),
            bind("three", "ca-file ${dir}/nobody"),
        ));
        for port in ["one", "two", "three"] {
            w.note(port);
            for name in ["me", "other"] {
                show(w, port, &format!("-tls1_3 -cert {name}.pem"));
            }
        }
        w.logs(6);
        w.forget_logs();
    });
}

/// The time of the handshakes and the time until the first byte of a request stand in the log, each on its own.
#[test]
fn waiting_for_the_first_byte_is_idle_time() {
    let mut w = portcullis_e2e::World::new(portcullis_e2e::binary::Binary::under_test());
    w.proxy(
        "global\n  log 127.0.0.1:${log} local0\n  nbthread 1\ndefaults\n  mode http\n  log global\n  timeout client 10s\n  timeout server 10s\n  \
         timeout connect 10s\n  log-format \"%HP Th=%Th Ti=%Ti TR=%TR Tq=%Tq Tt=%Tt Tu=%Tu\"\n\
         frontend fe\n  bind 127.0.0.1:${fe}\n  http-request wait-for-body time 9s if METH_POST\n  http-request return status 200\n\
         frontend proxied\n  bind 127.0.0.1:${proxied} accept-proxy\n  http-request return status 200\n",
    );
    let pause = std::time::Duration::from_millis(150);
    // what is measured is how long this client waits
    let mut plain = w.client("fe");
    assert!(plain.is_silent_for(pause));
    plain.get("/plain", "Connection: close\r\n").read_to_end();
    let mut proxied = w.client("proxied");
    assert!(proxied.is_silent_for(pause));
    proxied.send("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n");
    assert!(proxied.is_silent_for(pause));
    proxied.get("/proxied", "Connection: close\r\n").read_to_end();
    let mut slow = w.client("fe");
    slow.send("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\n");
    assert!(slow.is_silent_for(pause));
    slow.send("ok").read_to_end();
    let lines = w.logs(3);
    let number = |line: &str, name: &str| -> i64 {
        let from = line.find(name).unwrap_or_else(|| panic!("no {name} in {line}")) + name.len();
        let digits: String = line[from..].chars().take_while(|c| c.is_ascii_digit() || *c == '-').collect();
        digits.parse().unwrap()
    };
    let waited = i64::try_from(pause.as_millis()).unwrap();
    let line = |path: &str| lines.iter().find(|l| l.contains(path)).unwrap_or_else(|| panic!("{lines:?}"));
    let (plain, proxied, slow) = (line("/plain"), line("/proxied"), line("/slow"));
    assert!(number(slow, "TR=") >= waited - 1, "{slow}");
    assert!(number(plain, "Th=") < waited && number(plain, "Ti=") >= waited - 1, "{plain}");
    assert!(number(proxied, "Th=") >= waited - 1 && number(proxied, "Ti=") >= waited - 1, "{proxied}");
    for line in [plain, proxied] {
        let parts = number(line, "Th=") + number(line, "Ti=") + number(line, "TR=");
        assert!(
            number(line, "Tq=") == parts && number(line, "Tu=") == number(line, "Tt=") - number(line, "Ti="),
            "{line}"
        );
    }
}
