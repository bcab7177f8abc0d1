//! Commands of the Runtime API that no other test needs, and settings that nothing shows but that traffic goes on.
use crate::certificates::answer;
use crate::tls::{get, openssl, own};
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{World, scenario};

const GLOBAL: &str = "global
  stats socket ${dir}/cli level admin
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
";

/// Is it ours that is tested?
fn ours() -> bool {
    std::env::var_os("PORTCULLIS_BIN").is_none() && std::env::var_os("E2E_RECORD").is_none()
}

fn start(w: &mut World, config: &str) {
    w.proxy(&format!("{GLOBAL}{config}"));
    let cli = w.dir().join("cli");
    assert!(wait_for(PATIENCE, || cli.exists().then_some(())).is_some(), "no stats socket");
}

fn ask(w: &World, command: &str) {
    let answer = answer(w, command);
    w.note(format!("$ {}", w.mask(command.lines().next().unwrap())));
    answer.lines().filter(|l| !l.is_empty()).for_each(|l| w.note(format!("| {}", w.mask(l))));
}

#[test]
fn agents_that_are_disabled() {
    scenario("commands/agents_that_are_disabled", |w| {
        start(
            w,
            "backend b\n  server s1 127.0.0.1:1 agent-check agent-port 1 agent-inter 1h\n  server s2 127.0.0.1:1\n",
        );
        for command in [
            "disable agent b/s1",
            "enable agent b/s1",
            "disable agent b/s2",
            "enable agent b/s2",
            "disable agent b/none",
            "disable agent",
        ] {
            ask(w, command);
        }
    });
}

/// Files of revocation lists that come and go, and a certificate that is shown as it is stored.
#[test]
fn files_that_come_and_go() {
    scenario("commands/files_that_come_and_go", |w| {
        own(w, "a", false, "DNS:a.test");
        start(
            w,
            "frontend fe\n  bind 127.0.0.1:${fe} ssl crt ${dir}/a.pem\n  http-request return status 200\n",
        );
        for command in [
            "new ssl crl-file new.crl",
            "new ssl crl-file new.crl",
            "show ssl crl-file",
            "del ssl crl-file new.crl",
            "del ssl crl-file new.crl",
            "del ssl crl-file",
        ] {
            ask(w, command);
        }
        let pem = answer(w, &format!("dump ssl cert {}", w.dir().join("a.pem").display()));
        let borders: Vec<&str> = pem.lines().filter(|l| l.starts_with("-----")).collect();
        w.note(borders.join(" "));
        ask(w, "dump ssl cert nobody.pem");
    });
}

/// What is about this process alone.
#[test]
fn the_process() {
    if !ours() {
        return;
    }
    let mut w = World::new(Binary::under_test());
    start(&mut w, "backend b\n  server s1 127.0.0.1:1\n");
    let threads = answer(&w, "show threads");
    assert!(threads.contains("hread"), "{threads}");
    assert!(answer(&w, "show activity").contains("thread_id"), "show activity");
    assert_eq!(answer(&w, "set anon global-key 77").trim(), "");
    let anon = answer(&w, "set anon on;show anon");
    assert!(anon.contains("77"), "{anon}");
}

/// Limits and options of sockets: traffic of both versions goes on.
#[test]
fn settings_that_nothing_shows() {
    scenario("commands/settings_that_nothing_shows", |w| {
        w.ok("o1");
        w.proxy(
            "global
  tune.h2.be.glitches-threshold 100
  tune.h2.be.initial-window-size 65536
  tune.h2.be.max-concurrent-streams 10
  tune.h2.be.max-frames-at-once 10
  tune.h2.be.rxbuf 65536
  tune.h2.fe.glitches-threshold 100
  tune.h2.fe.max-frames-at-once 10
  tune.h2.fe.max-rst-at-once 10
  tune.h2.fe.rxbuf 65536
  tune.h2.max-frame-size 16384
  tune.max-checks-per-thread 5
  tune.glitches.kill.cpu-usage 50
  tune.ssl.capture-buffer-size 100
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  option tcp-smart-connect
  option srvtcpka
  srvtcpka-intvl 10s
  server-state-file-name none
listen fe
  bind 127.0.0.1:${fe}
  server s1 127.0.0.1:${two} proto h2 resolve-net 127.0.0.0/8 resolve-opts prevent-dup-ip
listen two
  bind 127.0.0.1:${two} proto h2
  server s1 127.0.0.1:${o1} no-send-proxy-v2-ssl-cn
",
        );
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
    });
}

/// The old name of a setting.
#[test]
fn an_old_name() {
    let mut w = World::new(Binary::under_test());
    let config = w.expand("global\n  tune.ssl.capture-cipherlist-size 100\n");
    let out = w.check(&config, &[]);
    assert!(out.stderr.contains("tune.ssl.capture-buffer-size"), "{}", out.stderr);
}

/// Certificates that are made for the names that clients ask for, by an authority whose key is encrypted. (3.5-dev5 does not
/// try the password that it is given.)
#[test]
fn an_authority_with_a_password() {
    if !ours() {
        return;
    }
    let mut w = World::new(Binary::under_test());
    own(&w, "a", false, "DNS:a.test");
    let dir = w.dir().to_owned();
    openssl(&dir, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ca.key");
    openssl(&dir, "req -x509 -new -key ca.key -out ca.crt -subj /CN=authority -days 3650");
    openssl(&dir, "pkcs8 -topk8 -in ca.key -out ca.enc -v2 aes-256-cbc -passout pass:secret");
    let part = |name: &str| std::fs::read(dir.join(name)).unwrap();
    std::fs::write(dir.join("ca.pem"), [part("ca.crt"), part("ca.enc")].concat()).unwrap();
    start(
        &mut w,
        "frontend fe
  bind 127.0.0.1:${fe} ssl crt ${dir}/a.pem generate-certificates ca-sign-file ${dir}/ca.pem ca-sign-pass secret
  http-request return status 200 hdr who \"%[ssl_f_i_dn]\"
",
    );
    let port = w.port("fe");
    let seen = get(&dir, port, "-servername new.test");
    assert!(seen.contains("who: /CN=authority"), "{seen}");
}

/// `stats show-version` and `stats show-modules`: what the page says.
#[test]
fn what_the_page_says() {
    if !ours() {
        return;
    }
    let mut w = World::new(Binary::under_test());
    w.proxy("defaults\n  mode http\n  timeout client 5s\nfrontend one\n  bind 127.0.0.1:${one}\n  stats uri /\nfrontend two\n  bind 127.0.0.1:${two}\n  stats uri /\n  stats show-version\n  stats show-modules\n");
    let page = |w: &mut World, port: &str| {
        let (page, _) = w.client(port).get("/", "Connection: close\r\n").read_to_end();
        String::from_utf8_lossy(&page).into_owned()
    };
    let (one, two) = (page(&mut w, "one"), page(&mut w, "two"));
    let version = env!("CARGO_PKG_VERSION");
    for what in ["Modules", version] {
        assert!(two.contains(what) && !one.contains(what), "{what}: {two}");
    }
}
