//! What an operator changed while the process runs, and what a reload in place makes of it: it stays as long as the files say the
//! same of that very thing. HAProxy has nothing like it, so nothing is compared.
use crate::certificates::answer;
use crate::tls::own;
use portcullis_e2e::World;
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::{PATIENCE, wait_for};

const GLOBAL: &str = "\
global
  stats socket ${dir}/cli level admin
  nbthread 2
defaults web
  mode http
  timeout connect 5s
  timeout client 10s
  timeout server 10s
";

fn start(w: &mut World, config: &str) {
    w.proxy(&format!("{GLOBAL}{config}"));
    let cli = w.dir().join("cli");
    assert!(wait_for(PATIENCE, || cli.exists().then_some(())).is_some(), "no stats socket");
}

fn reload(w: &mut World, config: &str) {
    w.file("0.cfg", &format!("{GLOBAL}{config}"));
    let said = answer(w, "reload config");
    assert!(said.starts_with("Success=1"), "{said}");
}

/// Commands whose answers have these words in them.
fn ask(w: &mut World, commands: &[(&str, &str)]) {
    for (command, expected) in commands {
        let sent = w.expand(command);
        let said = answer(w, &sent);
        assert!(said.contains(expected), "{sent}: {said}");
    }
}

/// Names of a backend's servers.
fn servers(w: &World, backend: &str) -> Vec<String> {
    let text = answer(w, &format!("show servers state {backend}"));
    text.lines().skip(2).filter_map(|l| l.split(' ').nth(3).map(str::to_owned)).collect()
}

const FRONT: &str = "frontend fe
  bind 127.0.0.1:${fe}
  use_backend %[req.hdr(to)]
  default_backend be
";

#[test]
fn servers_and_backends() {
    let mut w = World::new(Binary::under_test());
    w.answering("o1", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no1");
    w.answering("o2", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no2");
    let file = |s2: &str, more: &str| {
        format!(
            "{FRONT}backend be from web\n  server s1 127.0.0.1:${{o1}} weight 4\n  server s2 127.0.0.1:${{o1}} {s2}\n\
             \x20 server s3 127.0.0.1:${{o1}}\n{more}"
        )
    };
    let plain = file("", "");
    start(&mut w, &plain);
    ask(
        &mut w,
        &[
            ("add server be/new 127.0.0.1:${o2} check weight 7", "New server registered."),
            ("enable server be/new", ""),
            ("set server be/new weight 9", ""),
            ("set server be/s3 state maint", ""),
            ("set server be/s3 name third", "updated"),
            ("set server be/third state ready", ""),
            ("set server be/s2 state maint", ""),
            ("wait 10s srv-removable be/s2", "Done"),
            ("del server be/s2", "Server deleted."),
            ("add backend more from web mode http", "New backend registered."),
            ("publish backend more", ""),
            ("add server more/m1 127.0.0.1:${o2}", "New server registered."),
            ("enable server more/m1", ""),
        ],
    );
    for _ in 0..2 {
        reload(&mut w, &plain);
        assert_eq!(servers(&w, "be"), ["s1", "third", "new"]);
        ask(&mut w, &[("get weight be/new", "9 (initial 7)"), ("show backend", "more")]);
        let mut c = w.client("fe");
        assert_eq!(c.get("/", "To: more\r\nConnection: close\r\n").response().body, b"o2");
    }
    // the file says something else of what was removed, and has what was added
    reload(&mut w, &file("weight 3", "  server new 127.0.0.1:${o1} weight 2\n"));
    assert_eq!(servers(&w, "be"), ["s1", "s2", "third", "new"]);
    ask(&mut w, &[("get weight be/new", "2 (initial 2)")]);
    // then it is the file's
    reload(&mut w, &plain);
    assert_eq!(servers(&w, "be"), ["s1", "s2", "third"]);
    ask(
        &mut w,
        &[
            ("set server more/m1 state maint", ""),
            ("wait 10s srv-removable more/m1", "Done"),
            ("del server more/m1", "Server deleted."),
            ("unpublish backend more", ""),
            ("del backend more", "Backend deleted."),
        ],
    );
    reload(&mut w, &plain);
    assert!(!answer(&w, "show backend").contains("more"));
}

/// A command with the content of a file as its payload.
fn give(w: &mut World, command: &str, file: &str, expected: &str) {
    let text = std::fs::read_to_string(w.dir().join(file)).unwrap();
    let command = w.expand(command);
    let said = answer(w, &format!("{command} <<\n{text}\n"));
    assert!(said.contains(expected), "{command}: {said}");
}

/// The subject of what clients with this name get.
fn subject(w: &mut World, name: &str) -> String {
    let port = w.port("fe");
    let said = crate::tls::get(w.dir(), port, &format!("-servername {name}"));
    said.lines().find_map(|l| l.strip_prefix("who: ")).unwrap_or("nobody").to_owned()
}

#[test]
fn certificates_and_keys() {
    let mut w = World::new(Binary::under_test());
    for name in ["a", "b", "c", "d"] {
        own(&w, name, false, &format!("DNS:{name}.test"));
    }
    w.file("list", "${dir}/a.pem a.test\n${dir}/c.pem c.test\n# the end\n");
    let base64 = |letter: char| letter.to_string().repeat(64);
    w.file("keys", &format!("{}\n{}\n{}\n", base64('A'), base64('B'), base64('C')));
    let config = "crt-store web
  load crt ${dir}/d.pem alias d jwt on
frontend fe from web
  bind 127.0.0.1:${fe} ssl crt-list ${dir}/list tls-ticket-keys ${dir}/keys
  http-request return status 200 hdr who %[ssl_f_s_dn]
";
    start(&mut w, config);
    assert_eq!(subject(&mut w, "a.test"), "/CN=a.test");
    // another certificate in the place of one, a new one with a line of its own, a line less
    give(&mut w, "set ssl cert ${dir}/a.pem", "b.pem", "Transaction created");
    ask(&mut w, &[("commit ssl cert ${dir}/a.pem", "Success!"), ("new ssl cert fresh", "New empty")]);
    give(&mut w, "set ssl cert fresh", "d.pem", "Transaction created");
    ask(
        &mut w,
        &[
            ("commit ssl cert fresh", "Success!"),
            ("add ssl crt-list ${dir}/list fresh", "Success!"),
            ("del ssl crt-list ${dir}/list ${dir}/c.pem", "deleted"),
            ("add ssl jwt ${dir}/a.pem", ""),
            ("del ssl jwt @web/d", ""),
            (
                "set ssl tls-key ${dir}/keys DDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDDD",
                "updated",
            ),
        ],
    );
    give(&mut w, "set ssl cert fresh", "c.pem", "Transaction created");
    let dir = w.dir().display().to_string();
    let seen = |w: &mut World| {
        [
            subject(w, "a.test"),
            subject(w, "d.test"),
            subject(w, "c.test"),
            answer(w, "show ssl jwt"),
            answer(w, "show tls-keys *"),
            answer(w, &format!("show ssl crt-list -n {dir}/list")),
        ]
    };
    let before = seen(&mut w);
    assert_eq!(before[..2], ["/CN=b.test", "/CN=d.test"]);
    assert!(before[3].contains("a.pem") && !before[3].contains("@web/d"), "{before:?}");
    assert!(before[4].contains(&base64('D')), "{before:?}");
    for _ in 0..2 {
        reload(&mut w, config);
        assert_eq!(seen(&mut w), before);
    }
    // a change in the making goes on
    ask(&mut w, &[("commit ssl cert fresh", "Success!")]);
    assert_eq!(subject(&mut w, "c.test"), "/CN=c.test");
    // what is wrong changes nothing
    w.file("0.cfg", &format!("{GLOBAL}{config}  bogus\n"));
    assert!(answer(&w, "reload config").starts_with("Success=0"));
    assert_eq!(subject(&mut w, "a.test"), "/CN=b.test");
    // files that have changed are read
    std::fs::copy(w.dir().join("c.pem"), w.dir().join("a.pem")).unwrap();
    reload(&mut w, config);
    assert_eq!(subject(&mut w, "a.test"), "/CN=c.test");
    w.file("list", "${dir}/d.pem\n");
    w.file("keys", &format!("{}\n{}\n{}\n", base64('A'), base64('B'), base64('E')));
    reload(&mut w, config);
    assert_eq!(subject(&mut w, "a.test"), "/CN=d.test");
    let now = seen(&mut w);
    assert!(now[4].contains(&base64('E')) && !now[4].contains(&base64('D')), "{now:?}");
    assert_eq!(now[5].lines().filter(|l| l.contains(".pem")).count(), 1, "{now:?}");
}

/// Sessions and tickets are resumed across reloads, but never where a certificate is asked for that was not shown.
#[test]
fn sessions_are_resumed_under_the_same_demands_only() {
    let mut w = World::new(Binary::under_test());
    own(&w, "a", false, "DNS:a.test");
    let config = |more: &str| {
        format!(
            "frontend fe from web\n  bind 127.0.0.1:${{fe}} ssl crt ${{dir}}/a.pem {more}\n  \
             http-request return status 200 hdr resumed %[ssl_fc_is_resumed]\n"
        )
    };
    start(&mut w, &config(""));
    let port = w.port("fe");
    for version in ["-tls1_2", "-tls1_3"] {
        reload(&mut w, &config(""));
        let resumed = |w: &World, how: &str| {
            let said = crate::tls::get(w.dir(), port, &format!("{version} {how} session -ign_eof"));
            said.lines().find_map(|l| l.strip_prefix("resumed: ")).unwrap_or("-").to_owned()
        };
        assert_eq!(resumed(&w, "-sess_out"), "0", "{version}");
        reload(&mut w, &config(""));
        assert_eq!(resumed(&w, "-sess_in"), "1", "{version}");
        reload(&mut w, &config("verify optional ca-file ${dir}/a.pem"));
        assert_eq!(resumed(&w, "-sess_in"), "0", "{version}");
    }
}
