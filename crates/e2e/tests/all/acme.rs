//! Certificates over ACME (manual section 12.8), from Debian's `pebble`, which refuses every second nonce.
use crate::certificates::answer;
use crate::tls::openssl;
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{World, ports, scenario};
use rustix::process::Signal;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// An authority with a name server that says of every name that it is here.
struct Authority(Vec<Child>);

impl Drop for Authority {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Authority {
    /// `more` goes into its configuration.
    fn start(w: &mut World, more: &str) -> Self {
        let dir = w.dir().to_owned();
        openssl(
            &dir,
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout pebble.key -out pebble.crt -days 60 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1",
        );
        w.file(
            "pebble.json",
            &format!(
                r#"{{"pebble": {{"listenAddress": "127.0.0.1:${{acme}}", "managementListenAddress": "127.0.0.1:${{management}}",
  "certificate": "pebble.crt", "privateKey": "pebble.key", "httpPort": ${{http}}, "tlsPort": ${{https}}{more}}}}}"#
            ),
        );
        let (names, records) = (w.port("names"), w.port("records"));
        let run = |program: &str, args: String| {
            Command::new(program)
                .args(args.split(' ').map(|a| if a == "''" { "" } else { a }))
                .current_dir(&dir)
                .env("PEBBLE_VA_NOSLEEP", "1")
                .env("PEBBLE_WFE_NONCEREJECT", "50")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        };
        let authority = Self(vec![
            run("pebble", format!("-config pebble.json -dnsserver 127.0.0.1:{names}")),
            run(
                "pebble-challtestsrv",
                format!(
                    "-dns01 127.0.0.1:{names} -http01 '' -https01 '' -tlsalpn01 '' -management 127.0.0.1:{records} -defaultIPv4 127.0.0.1 -defaultIPv6 ''"
                ),
            ),
        ]);
        let acme = w.port("acme");
        assert!(
            wait_for(PATIENCE, || ports::is_listening(acme).then_some(())).is_some(),
            "pebble does not listen"
        );
        authority
    }
}

const GLOBAL: &str = "global
  expose-experimental-directives
  stats socket ${dir}/cli level admin
  log 127.0.0.1:${log} local0
  httpclient.ssl.ca-file ${dir}/pebble.crt
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
crt-store
  load crt ${dir}/site.pem acme LE domains a.test,b.test alias site
";

/// Waits for a certificate of the authority's with another serial number than this, and gives its own.
fn issued(w: &World, before: &str) -> String {
    let shown = || {
        let text = answer(w, "show ssl cert @/site");
        let of = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)).unwrap_or_default().to_owned();
        let scheduled = answer(w, "acme status").contains("\tScheduled\t");
        (scheduled && of("Issuer: ").contains("Pebble")).then(|| of("Serial: ")).filter(|s| s != before)
    };
    wait_for(Duration::from_secs(90), shown).unwrap_or_else(|| panic!("{}", answer(w, "acme status")))
}

fn subject_names(w: &World) -> String {
    let text = answer(w, "show ssl cert @/site");
    text.lines().find(|l| l.starts_with("Subject Alternative Name")).unwrap_or_default().to_owned()
}

#[test]
fn certificates_are_issued_and_renewed() {
    let mut w = World::new(Binary::under_test());
    let _authority = Authority::start(&mut w, "");
    w.proxy(&format!(
        "{GLOBAL}frontend fe
  bind 127.0.0.1:${{http}}
  bind 127.0.0.1:${{https}} ssl crt @/site
  http-request return status 200 content-type text/plain lf-string \"%[path,field(-1,/)].%[path,field(-1,/),map(virt@acme)]\\n\" if {{ path_beg /.well-known/acme-challenge/ }}
  http-request return status 200
acme LE
  directory https://127.0.0.1:${{acme}}/dir
  account-key ${{dir}}/account.key
  contact me@example.com
  keytype RSA
  map virt@acme
"
    ));
    let first = issued(&w, "");
    assert_eq!(subject_names(&w), "Subject Alternative Name: DNS:a.test, DNS:b.test");
    // tokens do not stay in the map
    assert_eq!(answer(&w, "show map virt@acme").trim(), "");
    // another certificate, while the listener goes on
    assert_eq!(answer(&w, "acme renew @/site").trim(), "");
    issued(&w, &first);
    let answers = ["acme renew nobody", "acme challenge_ready x", "acme challenge_ready x domain y"];
    let answers: Vec<String> = answers.iter().map(|a| answer(&w, a).trim().to_owned()).collect();
    assert_eq!(answers[0], "Can't find the certificate 'nobody'.");
    assert!(answers[1].starts_with("Not enough parameters: "), "{answers:?}");
    assert!(
        answers[2].starts_with("Couldn't find an ACME task using crt \"x\" and dns \"y\""),
        "{answers:?}"
    );
    let lines = w.logs(4);
    let said: Vec<&str> =
        lines.iter().filter_map(|l| l.split_once("acme: @/site: ")).map(|(_, said)| said).collect();
    assert_eq!(
        said,
        [
            "Starting update of the certificate.",
            "Successful update of the certificate.",
            "Starting update of the certificate.",
            "Successful update of the certificate."
        ]
    );
}

/// An authority that cannot answer for the moment is asked again soon.
#[test]
fn failed_requests_are_sent_again() {
    let mut w = World::new(Binary::under_test());
    let _authority = Authority::start(&mut w, "");
    let file = |name: &str| std::fs::read_to_string(w.dir().join(name)).unwrap();
    let both = file("pebble.crt") + &file("pebble.key");
    w.file("both.pem", &both);
    w.proxy(&format!(
        "{GLOBAL}frontend fe
  bind 127.0.0.1:${{https}} ssl crt @/site
  http-request return status 200
frontend flaky
  bind 127.0.0.1:${{flaky}} ssl crt ${{dir}}/both.pem
  http-request set-var(txn.first) bool(true) if !{{ var(proc.asked) -m found }}
  http-request set-var(proc.asked) int(1)
  http-request return status 503 if {{ var(txn.first) -m bool }}
  default_backend authority
backend authority
  server a 127.0.0.1:${{acme}} ssl verify none
acme LE
  directory https://127.0.0.1:${{flaky}}/dir
  account-key ${{dir}}/account.key
  challenge tls-alpn-01
"
    ));
    issued(&w, "");
    let lines = w.logs(3);
    let said: Vec<&str> =
        lines.iter().filter_map(|l| l.split_once("acme: @/site: ")).map(|(_, said)| said).collect();
    assert_eq!(said.len(), 3, "{lines:?}");
    assert!(
        said[1].starts_with("status 503: ") && said[1].ends_with(", retrying in 3s (1/5 retries)..."),
        "{said:?}"
    );
    assert_eq!(said[2], "Successful update of the certificate.");
}

/// A certificate is revoked at the authority, and another one with another key takes its place, though keys are kept otherwise.
#[test]
fn certificates_are_revoked() {
    let mut w = World::new(Binary::under_test());
    let _authority = Authority::start(&mut w, "");
    w.proxy(&format!(
        "{GLOBAL}frontend fe
  bind 127.0.0.1:${{https}} ssl crt @/site
  http-request return status 200
acme LE
  directory https://127.0.0.1:${{acme}}/dir
  account-key ${{dir}}/account.key
  challenge tls-alpn-01
  reuse-key on
"
    ));
    let key = |w: &World| {
        std::fs::write(w.dir().join("dump"), answer(w, "dump ssl cert @/site")).unwrap();
        openssl(w.dir(), "x509 -in dump -pubkey -noout -out public");
        std::fs::read(w.dir().join("public")).unwrap()
    };
    let first = issued(&w, "");
    let first_key = key(&w);
    answer(&w, "acme renew @/site");
    let second = issued(&w, &first);
    assert_eq!(key(&w), first_key);
    assert_eq!(answer(&w, "acme revoke @/site").trim(), "");
    issued(&w, &second);
    assert_ne!(key(&w), first_key);
    let number = second.replace(':', "");
    let url = format!("https://127.0.0.1:{}/cert-status-by-serial/{number}", w.port("management"));
    let status = Command::new("curl").args(["-sSk", &url]).output().unwrap();
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.contains("Revoked"), "{number}: {status}");
}

#[test]
fn challenges_are_answered_by_alpn() {
    let mut w = World::new(Binary::under_test());
    let _authority = Authority::start(&mut w, "");
    w.proxy(&format!(
        "{GLOBAL}frontend fe
  bind 127.0.0.1:${{https}} ssl crt @/site
  http-request return status 200
acme LE
  directory https://127.0.0.1:${{acme}}/dir
  account-key ${{dir}}/account.key
  challenge tls-alpn-01
"
    ));
    issued(&w, "");
}

/// Sets a TXT record with the authority's name server.
fn set_record(w: &mut World, name: &str, content: &str) {
    let body = format!("{{\"host\":\"{name}.\",\"value\":\"{content}\"}}");
    let url = format!("http://127.0.0.1:{}/set-txt", w.port("records"));
    assert!(Command::new("curl").args(["-sS", "-d", &body, &url]).status().unwrap().success());
}

/// Somebody has to set records; the authority is told once somebody says that they are there.
#[test]
fn records_are_waited_for() {
    let mut w = World::new(Binary::under_test());
    let _authority = Authority::start(&mut w, "");
    w.proxy(&format!(
        "{GLOBAL}frontend fe
  bind 127.0.0.1:${{https}} ssl crt @/site
  http-request return status 200
acme LE
  directory https://127.0.0.1:${{acme}}/dir
  account-key ${{dir}}/account.key
  challenge dns-01
"
    ));
    let lines = w.logs(3);
    for line in lines.iter().filter(|l| l.contains("TXT record")) {
        let words: Vec<&str> = line.split('"').collect();
        set_record(&mut w, words[1], words[3]);
        assert!(words[5].starts_with("acme challenge_ready @/site domain "), "{line}");
    }
    let ready = |domain: &str| answer(&w, &format!("acme challenge_ready @/site domain {domain}"));
    assert_eq!(ready("a.test").trim(), "'@/site' challenge(s) ready! Remaining challenges to deploy: 1");
    assert_eq!(
        ready("b.test").trim(),
        "'@/site' challenges ready! All challenges ready, starting challenges validation!"
    );
    issued(&w, "");
}

/// Who sets records reads what is wanted in a ring; the authority is told once the name servers have them all.
#[test]
fn records_are_looked_for() {
    let mut w = World::new(Binary::under_test());
    let _authority = Authority::start(&mut w, "");
    w.proxy(&format!(
        "{GLOBAL}resolvers default
  nameserver n 127.0.0.1:${{names}}
frontend fe
  bind 127.0.0.1:${{https}} ssl crt @/site
  http-request return status 200
acme LE
  directory https://127.0.0.1:${{acme}}/dir
  account-key ${{dir}}/account.key
  challenge dns-01
  challenge-ready dns
  dns-delay 200ms
  dns-timeout 1m
  provider-name \"my provider\"
  acme-vars \"a=b,\\\"c\\\" d\"
"
    ));
    let events = wait_for(PATIENCE, || {
        let said = answer(&w, "show events dpapi -0");
        (said.matches("acme deploy @/site thumbprint ").count() == 2).then_some(said)
    });
    let events = events.expect("events for both names");
    for event in events.split('\0').filter(|e| e.contains("acme deploy")) {
        let lines: Vec<&str> = event.trim_start().lines().collect();
        assert!(lines[0].starts_with("<0>20") && lines[0].contains("T"), "{event}");
        assert_eq!(lines[1..3], ["provider-name \"my provider\"", r#"acme-vars "a=b,\"c\" d""#]);
        let content = lines[3].strip_prefix("dns-01-record \"").unwrap().trim_end_matches('"').to_owned();
        let name = if event.contains("\"a.test\"") { "a" } else { "b" };
        set_record(&mut w, &format!("_acme-challenge.{name}.test"), &content);
    }
    issued(&w, "");
    let said = answer(&w, "show events dpapi -0");
    assert!(said.contains(" acme newcert @/site\n\0"), "{said}");
}

/// Nobody sets the records: the renewal ends.
#[test]
fn records_are_missed() {
    let mut w = World::new(Binary::under_test());
    let _authority = Authority::start(&mut w, "");
    w.proxy(&format!(
        "{GLOBAL}resolvers default
  nameserver n 127.0.0.1:${{names}}
frontend fe
  bind 127.0.0.1:${{https}} ssl crt @/site
  http-request return status 200
acme LE
  directory https://127.0.0.1:${{acme}}/dir
  account-key ${{dir}}/account.key
  challenge dns-01
  challenge-ready dns
  dns-delay 200ms
  dns-timeout 100ms
"
    ));
    let lines = w.logs(6);
    let said = |text: &str| lines.iter().any(|l| l.contains(text));
    assert!(
        said("acme: @/site: dns-01: Couldn't get the TXT record for \"_acme-challenge.a.test\""),
        "{lines:?}"
    );
    assert!(said("dns-01: Couldn't resolve the TXT records in 0s. Aborting."), "{lines:?}");
}

/// An account that the authority has made elsewhere; what is issued survives the process.
#[test]
fn accounts_are_bound() {
    let mut w = World::new(Binary::under_test());
    let more = r#", "externalAccountBindingRequired": true, "externalAccountMACKeys": {"kid-1": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"}"#;
    let authority = Authority::start(&mut w, more);
    w.file("kid", "kid-1\n");
    w.file("mac", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W\n");
    let config = format!(
        "{GLOBAL}frontend fe
  bind 127.0.0.1:${{https}} ssl crt @/site
  http-request return status 200
acme LE
  directory https://127.0.0.1:${{acme}}/dir
  account-key ${{dir}}/account.key
  eab-key-id ${{dir}}/kid
  eab-mac-key ${{dir}}/mac
  challenge tls-alpn-01
  keytype ECDSA
  curves P-256
  state-dir ${{dir}}/state
"
    );
    std::fs::create_dir(w.dir().join("state")).unwrap();
    w.proxy(&config);
    let serial = issued(&w, "");
    // another process takes the certificate that was kept, and asks nobody
    w.process(0).signal(Signal::KILL);
    assert!(w.process(0).wait(PATIENCE).is_some());
    drop(authority);
    w.proxy(&config);
    assert_eq!(issued(&w, ""), serial);
}

/// What is right and what is wrong, as 3.5 says of the same lines.
#[test]
fn settings_are_judged() {
    let global = [
        ("acme.scheduler off", true),
        ("acme.scheduler foo", false),
        ("httpclient.resolvers.disabled on", true),
        ("httpclient.resolvers.id default", true),
        ("httpclient.resolvers.prefer ipv4", true),
        ("httpclient.resolvers.prefer x", false),
        ("httpclient.ssl.verify none", true),
        ("httpclient.timeout.connect 5s", true),
        ("ocsp-update.disable on", true),
        ("ocsp-update.httpproxy 127.0.0.1:8080", true),
        ("ocsp-update.httpproxy nobody.x:80", false),
        ("ocsp-update.maxdelay 100", false),
        ("ocsp-update.mindelay 4000", false),
        ("ocsp-update.mode on", true),
        ("tune.ssl.ocsp-update.maxdelay 400", true),
        ("tune.ssl.ocsp-update.mindelay 4000", false),
    ];
    let acme = [
        ("challenge-ready cli", false),
        ("challenge dns-01\n  challenge-ready cli,none", false),
        ("challenge dns-01\n  challenge-ready cli,delay\n  dns-delay 5s", true),
        ("challenge dns-01\n  challenge-ready cli,delay,dns\n  dns-timeout 5s", true),
        ("dns-timeout x", false),
        ("dns-timeout", false),
        ("provider-name", false),
        ("provider-name a b", false),
        ("acme-vars \"a b\"", true),
        ("acme-vars", false),
        ("eab-mac-alg XX", false),
        ("eab-mac-alg HS512", true),
        ("reuse-key x", false),
        ("reuse-key on", true),
    ];
    let mut w = World::new(Binary::under_test());
    crate::tls::own(&w, "a", false, "DNS:a.test");
    let mut judge = |global: &str, acme: &str, more: [&str; 2], right: bool| {
        let config = format!(
            "global
  expose-experimental-directives
  {global}
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
acme LE
  directory http://127.0.0.1/dir
  account-key ${{dir}}/account.key
  {acme}
listen l
  bind 127.0.0.1:${{one}} ssl crt ${{dir}}/a.pem {}
  server s 127.0.0.1:${{one}} ssl verify none {}
",
            more[0], more[1]
        );
        let out = w.check(&config, &[]);
        assert_eq!(out.code == 0, right, "{global} {acme} {more:?}: {}", out.stderr);
    };
    global.iter().for_each(|(line, right)| judge(line, "", ["", ""], *right));
    acme.iter().for_each(|(line, right)| judge("", line, ["", ""], *right));
    for (word, right) in [("ktls off", true), ("ktls foo", false), ("ktls on", true)] {
        judge("", "", [word, ""], right);
        judge("", "", ["", word], right);
    }
}

/// A section that is not there is missed when the configuration is read, whether there are others or not.
#[test]
fn sections_that_are_not_there_are_missed() {
    scenario("acme/sections_that_are_not_there_are_missed", |w| {
        crate::tls::own(w, "a", false, "DNS:a.test");
        w.file("list", "${dir}/a.pem [acme nobody] a.test\n");
        for config in [
            "crt-store\n  load crt ${dir}/a.pem acme nobody\nfrontend fe\n  bind :${one} ssl crt ${dir}/a.pem\n",
            "frontend fe\n  bind :${one} ssl crt-list ${dir}/list\n",
        ] {
            let output = w.check(
                &format!(
                    "global\n  expose-experimental-directives\ndefaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n{config}"
                ),
                &[],
            );
            let said = output.stderr.contains("acme 'nobody' was used on a crt line");
            w.note(format!("code {}: {said}", output.code));
        }
    });
}
