//! The configuration read again in place: `reload config`, `reload-mode in-place`. HAProxy has nothing like it, so nothing is compared.
use crate::runtime_api::ask;
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{Gate, World, proc};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;

const GLOBAL: &str = "\
global
  stats socket ${dir}/cli level admin
  nbthread 2
  set-var proc.kept str(first)
defaults
  mode http
  timeout connect 10s
  timeout client 30s
  timeout server 30s
";

/// A frontend and a backend with these lines.
fn config(global: &str, front: &str, back: &str) -> String {
    let global = GLOBAL.replacen("global\n", &format!("global\n{}", crate::indent(global)), 1);
    format!(
        "{global}frontend fe\n  bind 127.0.0.1:${{fe}}\n{}  default_backend be\nbackend be\n  balance roundrobin\n{}",
        crate::indent(front),
        crate::indent(back)
    )
}

fn world() -> World {
    let mut w = World::new(Binary::under_test());
    for name in ["o1", "o2"] {
        w.origin(name, move |mut c| {
            while c.request().is_some() {
                let text = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{name}");
                c.send(text);
            }
        });
    }
    w
}

fn start(w: &mut World, text: &str) {
    w.proxy(text);
    let socket = w.dir().join("cli");
    assert!(wait_for(PATIENCE, || socket.exists().then_some(())).is_some(), "no stats socket");
}

/// Puts this in the place of the configuration and has it read.
fn reload(w: &mut World, text: &str) -> String {
    w.file("0.cfg", text);
    ask(w, "reload config")
}

/// The body that a request on this connection gets.
fn body(c: &mut portcullis_e2e::Client, path: &str) -> String {
    String::from_utf8_lossy(&c.get(path, "").response().body).into_owned()
}

/// How many plans are in use beside the newest; the one before it may be for a moment.
fn older(answer: &str) -> Option<usize> {
    let line = answer.lines().find(|l| l.contains("older ones are still in use"))?;
    line.rsplit_once("opened). ")?.1.split(' ').next()?.parse().ok()
}

#[test]
fn a_change_is_followed_by_connections_that_are_open() {
    let mut w = world();
    let map = w.file("m", "a 1\n").display().to_string();
    let front = format!("http-request set-header x %[path,map({map},none)]");
    start(&mut w, &config("", &front, "server s1 127.0.0.1:${o1}\nserver s2 127.0.0.1:${o1} weight 7"));
    let mut c = w.client("fe");
    assert_eq!(body(&mut c, "/1"), "o1");
    for command in [
        "set server be/s2 weight 3",
        &format!("add map {map} /b 2"),
        "set maxconn frontend fe 77",
        "experimental-mode on; set var proc.kept str(second)",
    ] {
        ask(&w, command);
    }
    let answer = reload(
        &mut w,
        &config(
            "",
            &format!("bind 127.0.0.1:${{more}}\n{front}"),
            "server s1 127.0.0.1:${o2}\nserver s2 127.0.0.1:${o2} weight 7\nserver s3 127.0.0.1:${o2}",
        ),
    );
    assert!(answer.starts_with("Success=1\n"), "{answer}");
    assert!(answer.contains("2 listeners (1 opened)"), "{answer}");
    // the same connection, an idle one to the old server notwithstanding
    for n in 0..6 {
        assert_eq!(body(&mut c, &format!("/{n}")), "o2");
    }
    let mut more = w.client("more");
    assert_eq!(body(&mut more, "/"), "o2");
    // what the run time changed stays; counters go on
    assert!(ask(&w, "get weight be/s2").starts_with("3 (initial 7)"), "{}", ask(&w, "get weight be/s2"));
    assert!(ask(&w, &format!("get map {map} /b")).contains("value=\"2\""));
    assert!(ask(&w, "get var proc.kept").contains("second"));
    let stat = ask(&w, "show stat fe 1 -1");
    let row: Vec<&str> = stat.lines().nth(1).unwrap().split(',').collect();
    assert_eq!((row[6], row[48]), ("77", "8"), "{stat}");
    // a list whose file has changed is the file's
    w.file("m", "a 5\n");
    let same = std::fs::read_to_string(w.dir().join("0.cfg")).unwrap();
    assert!(reload(&mut w, &same).starts_with("Success=1"));
    assert!(!ask(&w, &format!("get map {map} /b")).contains("value=\"2\""));
    assert_eq!(ask(&w, "show map").matches("pattern loaded").count(), 1);
    // a listener that is gone, and what is connected to it
    let plain = config("", &front, "server s1 127.0.0.1:${o2}");
    let answer = reload(&mut w, &plain);
    assert!(answer.contains("1 listeners (0 opened)"), "{answer}");
    more.wait_end();
    let port = w.port("more");
    assert!(wait_for(PATIENCE, || TcpStream::connect(("127.0.0.1", port)).is_err().then_some(())).is_some());
    let last = c.get("/last", "").response();
    assert_eq!(String::from_utf8_lossy(&last.body), "o2", "{last:?} {:?}", c.end());
    assert!(!ask(&w, "show servers state").contains(" s2 "));
    // nothing holds on to what is over
    let gone = wait_for(PATIENCE, || (older(&reload(&mut w, &plain))? <= 1).then_some(()));
    assert!(gone.is_some(), "{}", reload(&mut w, &plain));
}

#[test]
fn what_is_wrong_changes_nothing() {
    let mut w = world();
    let map = w.file("m", "a 1\n").display().to_string();
    let front = format!("http-request set-header x %[path,map({map},none)]");
    let good = config("", &front, "server s1 127.0.0.1:${o1}");
    start(&mut w, &good);
    let mut c = w.client("fe");
    assert_eq!(body(&mut c, "/"), "o1");
    ask(&w, &format!("add map {map} b 2"));
    w.file("m", "c 3\n");
    let wrong = config("", &format!("{front}\nbogus"), "server s2 127.0.0.1:${o2}");
    let answer = reload(&mut w, &wrong);
    let line = wrong.lines().position(|l| l.contains("bogus")).unwrap() + 1;
    assert!(answer.starts_with("Success=0\n"), "{answer}");
    assert!(answer.contains(&format!("0.cfg:{line}] : unknown keyword 'bogus'")), "{answer}");
    // only known when everything is put together
    let port = w.port("o1");
    let taken = config("", &format!("bind 127.0.0.1:{port}"), "server s2 127.0.0.1:${o2}");
    let answer = reload(&mut w, &taken);
    assert!(answer.starts_with("Success=0\n") && answer.contains("cannot bind socket"), "{answer}");
    let settled =
        config("tune.bufsize 20000", &front, "server s2 127.0.0.1:${o2}").replace("nbthread 2", "nbthread 1");
    let answer = reload(&mut w, &settled);
    for words in [
        "'nbthread 1' is new or changed",
        "'nbthread 2' is not there any more",
        "'tune.bufsize 20000' is new",
        "SIGUSR2 to the master",
    ] {
        assert!(answer.contains(words), "{words}: {answer}");
    }
    assert!(ask(&w, &format!("get map {map} b")).contains("value=\"2\""));
    assert!(
        ask(&w, "show servers state").contains(" s1 ") && !ask(&w, "show servers state").contains(" s2 ")
    );
    assert_eq!(body(&mut c, "/"), "o1");
    assert!(reload(&mut w, &good).starts_with("Success=1"));
    assert_eq!(body(&mut c, "/"), "o1");
}

#[test]
fn streams_end_on_the_plan_that_they_began_with() {
    let mut w = World::new(Binary::under_test());
    let (gate, wait) = (Gate::default(), Gate::default());
    let (held, ended) = (gate.clone(), wait.clone());
    w.origin("o1", move |mut c| {
        c.request();
        c.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nol");
        held.wait();
        c.send("d.");
        ended.wait();
    });
    w.answering("o2", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew");
    let back = "http-response set-header x-plan PLAN\nserver s1 127.0.0.1:PORT";
    let text = |plan: &str, port: &str| config("", "", &back.replace("PLAN", plan).replace("PORT", port));
    start(&mut w, &text("old", "${o1}"));
    let mut slow = w.client("fe");
    slow.get("/", "");
    assert!(slow.head().is_some());
    assert!(reload(&mut w, &text("new", "${o2}")).starts_with("Success=1"));
    let mut other = w.client("fe");
    let answer = other.get("/", "").response();
    assert_eq!((answer.field("x-plan").as_deref(), &answer.body[..]), (Some("new"), &b"new"[..]));
    // one that is used, and two that are over
    let answer = reload(&mut w, &text("new", "${o2}"));
    assert!(answer.contains("older ones are still in use"), "{answer}");
    gate.open();
    slow.read_exactly(4);
    let answer = slow.get("/", "").response();
    assert_eq!(answer.field("x-plan").as_deref(), Some("new"));
    wait.open();
    let done = wait_for(PATIENCE, || (older(&reload(&mut w, &text("new", "${o2}")))? <= 1).then_some(()));
    assert!(done.is_some());
}

#[test]
fn http2_connections_move_between_their_streams() {
    let mut w = World::new(Binary::under_test());
    let text = |status: u32, more: &str| {
        config("", &format!("bind 127.0.0.1:${{h}} proto h2\n{more}http-request return status {status}"), "")
    };
    start(&mut w, &text(201, ""));
    let mut c = w.h2_client("h", &[]);
    c.get(1, "/", &[]).answer(1);
    assert!(reload(&mut w, &text(202, "")).starts_with("Success=1"));
    c.get(3, "/", &[]).answer(3);
    // without its listener the connection ends in order
    assert!(reload(&mut w, &config("", "http-request return status 203", "")).starts_with("Success=1"));
    c.rest();
    let seen = w.finish();
    assert!(seen.contains("201") && seen.contains("202"), "{seen}");
}

#[test]
fn streams_of_older_plans_end_in_time() {
    let mut w = World::new(Binary::under_test());
    let gate = Gate::default();
    let wait = gate.clone();
    w.origin("o1", move |mut c| {
        c.request();
        c.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nol");
        wait.wait();
    });
    let text = config("hard-stop-after 100ms", "", "server s1 127.0.0.1:${o1}");
    start(&mut w, &text);
    let mut slow = w.client("fe");
    slow.get("/", "");
    assert!(slow.head().is_some());
    assert!(reload(&mut w, &text).starts_with("Success=1"));
    slow.wait_end();
    gate.open();
}

#[test]
fn by_signals_and_by_the_master() {
    let mut w = world();
    let text = |mode: &str, front: &str| {
        config(mode, front, "server s1 127.0.0.1:${o1}")
            .replace("stats socket ${dir}/cli level admin", "maxconn 100")
    };
    w.proxy_with(&text("reload-mode in-place", ""), &["-W", "-db", "-S", "${dir}/master"]);
    let talk = |w: &World, command: &str| {
        let mut s = UnixStream::connect(w.dir().join("master")).ok()?;
        s.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = s.write_all(format!("{command}\n").as_bytes());
        let _ = s.shutdown(Shutdown::Write);
        let mut answer = String::new();
        let _ = s.read_to_string(&mut answer);
        Some(answer)
    };
    assert!(wait_for(PATIENCE, || talk(&w, "@1 show info")?.contains("Pid").then_some(())).is_some());
    let master = w.process(0).pid();
    let worker = proc::only_child(master, None).unwrap();
    let status = |w: &mut World| {
        let mut c = w.client("fe");
        let status = c.get("/", "Connection: close\r\n").response().status();
        c.close();
        status
    };
    w.file("0.cfg", &text("reload-mode in-place", "http-request return status 201"));
    let answer = talk(&w, "reload").unwrap();
    assert!(answer.starts_with("Success=1\n") && answer.contains("is in force"), "{answer}");
    assert_eq!((status(&mut w), proc::only_child(master, None)), (201, Some(worker)));
    // a signal does the same
    w.file("0.cfg", &text("reload-mode in-place", "http-request return status 202"));
    w.process(0).signal(Signal::USR2);
    assert!(wait_for(PATIENCE, || (status(&mut w) == 202).then_some(())).is_some());
    assert_eq!(proc::only_child(master, None), Some(worker));
    w.file("0.cfg", &text("reload-mode in-place", "bogus"));
    let answer = talk(&w, "reload").unwrap();
    assert!(answer.starts_with("Success=0\n") && answer.contains("unknown keyword 'bogus'"), "{answer}");
    assert_eq!((status(&mut w), proc::only_child(master, None)), (202, Some(worker)));
    // what only a new process can do is done by one
    w.file("0.cfg", &text("reload-mode in-place\ntune.bufsize 20000", "http-request return status 203"));
    let answer = talk(&w, "reload").unwrap();
    assert!(answer.starts_with("Success=1\n"), "{answer}");
    let said = w.process(0).stderr();
    assert!(said.contains("'tune.bufsize 20000' is new or changed"), "{said}");
    assert!(wait_for(PATIENCE, || (status(&mut w) == 203).then_some(())).is_some());
    let other = wait_for(PATIENCE, || proc::only_child(master, None).filter(|p| *p != worker));
    assert!(other.is_some());
}

/// A connection of either kind.
trait ReadWrite: std::io::Read + std::io::Write {}
impl<T: std::io::Read + std::io::Write> ReadWrite for T {}

/// A process that is in a jail and somebody else's has another one read files for it, and opens none itself.
fn in_a_jail(args: &[&str]) {
    use std::os::unix::fs::PermissionsExt;
    if !rustix::process::geteuid().is_root() {
        return; // an unprivileged user cannot give anything up
    }
    let mut w = world();
    w.unix_sink("log.sock");
    std::fs::create_dir_all(w.dir().join("jail")).unwrap();
    let secret = |w: &mut World, name: &str, content: &str| {
        let path = w.file(name, content);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    crate::tls::own(&w, "site", false, "DNS:one.test");
    secret(&mut w, "map", "/a one\n");
    secret(&mut w, "403.http", "HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\none");
    let text = config(
        "reload-mode in-place\nchroot ${dir}/jail\nuid 65534\ngid 65534\nlog ${dir}/log.sock local0",
        "bind 127.0.0.1:${tls} ssl crt ${dir}/site.pem\nlog global\nlog-format %HP\nerrorfile 403 ${dir}/403.http
         http-request deny if { path /deny }
         http-request return status 200 content-type text/plain lf-string %[path,map(${dir}/map,none)]",
        "server s1 127.0.0.1:${o1}",
    );
    w.file("more/a.cfg", "frontend more\n  bind 127.0.0.1:${more}\n  http-request return status 201\n");
    secret(&mut w, "more/0.cfg", &text);
    w.proxy_with("global\n  maxconn 1000\n", &[args, &["-db", "-f", "${dir}/more"]].concat());
    let socket = w.dir().join("cli");
    assert!(wait_for(PATIENCE, || socket.exists().then_some(())).is_some(), "{}", w.process(0).stderr());
    assert_eq!(body(&mut w.client("fe"), "/a"), "one");

    secret(&mut w, "map", "/a two\n");
    secret(&mut w, "403.http", "HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\ntwo");
    secret(&mut w, "apart/map", "/a apart\n");
    crate::tls::own(&w, "site", false, "DNS:two.test");
    w.file(
        "more/a.cfg",
        "frontend more\n  bind 127.0.0.1:${more}\n  http-request return status 200 content-type text/plain \
         lf-string %[path,map(${dir}/apart/map,none)]\nfrontend new\n  mode http\n  bind 127.0.0.1:${new}\n",
    );
    let first = w.process(0).pid();
    let server = if args.is_empty() { first } else { proc::only_child(first, None).unwrap() };
    let into = w.dir().join("trace").display().to_string();
    let strace = Binary { path: "/usr/bin/strace".into() };
    let arguments =
        ["-f", "-p", &server.to_string(), "-e", "trace=%file,sendmsg", "-o", &into].map(String::from);
    let mut tracer = portcullis_e2e::Process::spawn(&strace, &arguments, &[]);
    let attached = || tracer.stderr().contains(" attached").then_some(());
    assert!(wait_for(PATIENCE, attached).is_some(), "{}", tracer.stderr());
    let answer = ask(&w, "reload config");
    tracer.signal(Signal::INT);
    tracer.wait(PATIENCE);
    assert!(answer.starts_with("Success=1\n") && answer.contains("(1 opened)"), "{answer}");
    let trace = std::fs::read_to_string(&into).unwrap_or_default();
    assert!(trace.contains("sendmsg("), "{trace}");
    let known = ["sendmsg(", "+++", "---", "resumed"];
    let files: Vec<&str> = trace.lines().filter(|l| !known.iter().any(|k| l.contains(k))).collect();
    assert!(files.is_empty(), "{files:#?}");

    assert_eq!(body(&mut w.client("fe"), "/a"), "two");
    assert_eq!(body(&mut w.client("fe"), "/deny"), "two");
    assert_eq!(body(&mut w.client("more"), "/a"), "apart");
    assert_eq!(w.client("new").get("/", "").response().status(), 503);
    let certificate = ask(&w, &format!("show ssl cert {}/site.pem", w.dir().display()));
    assert!(certificate.contains("two.test"), "{certificate}");
    let logged: Vec<String> =
        w.logs(3).iter().map(|l| l.rsplit(' ').next().unwrap_or(l).to_owned()).collect();
    assert_eq!(logged, ["/a", "/a", "/deny"]);

    // what it may not listen on is opened for it: a port below 1024, a path outside the jail
    let low = w.port("low") % 250 + 1;
    let privileged = format!("127.77.{low}.1:79");
    let more = std::fs::read_to_string(w.dir().join("more/a.cfg")).unwrap();
    let path = w.dir().join("new.sock");
    let more =
        format!("{more}  bind {privileged}\n  bind {}\n  http-request return status 203\n", path.display());
    w.file("more/a.cfg", &more);
    let answer = ask(&w, "reload config");
    assert!(answer.starts_with("Success=1\n") && answer.contains("(2 opened)"), "{answer}");
    let status = |stream: &mut dyn ReadWrite| {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.split(' ').nth(1).map(str::to_owned)
    };
    let mut tcp = std::net::TcpStream::connect(&*privileged).unwrap();
    assert_eq!(status(&mut tcp).as_deref(), Some("203"));
    let mut unix = std::os::unix::net::UnixStream::connect(&path).unwrap();
    assert_eq!(status(&mut unix).as_deref(), Some("203"));
    // a failure there is told as one here
    let taken = std::net::TcpListener::bind(format!("127.77.{low}.2:79")).unwrap();
    w.file("more/a.cfg", &format!("{more}  bind 127.77.{low}.2:79\n"));
    let answer = ask(&w, "reload config");
    assert!(answer.starts_with("Success=0\n") && answer.contains("(Address already in use)"), "{answer}");
    drop(taken);
    w.file("more/a.cfg", &more);
    assert!(ask(&w, "reload config").starts_with("Success=1\n"));

    std::fs::remove_file(w.dir().join("apart/map")).unwrap();
    let answer = ask(&w, "reload config");
    assert!(answer.starts_with("Success=0\n") && answer.contains("apart/map"), "{answer}");
    assert!(answer.contains("failed to open pattern file"), "{answer}");
    assert_eq!(body(&mut w.client("more"), "/a"), "apart");

    let reader = proc::only_child(server, None).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(reader as i32).unwrap(), Signal::KILL)
        .unwrap();
    let gone = || ask(&w, "reload config").contains("the process that reads files").then_some(());
    assert!(wait_for(PATIENCE, gone).is_some());
    assert_eq!(body(&mut w.client("fe"), "/a"), "two");
}

#[test]
fn in_a_jail_without_a_master() {
    in_a_jail(&[]);
}

#[test]
fn in_a_jail_with_a_master() {
    in_a_jail(&["-W"]);
}

#[test]
fn in_a_jail_that_was_not_meant_to_follow() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut w = world();
    let text = config("chroot auto\nuid 65534", "", "server s1 127.0.0.1:${o1}");
    start(&mut w, &text);
    let answer = reload(&mut w, &text);
    assert!(answer.starts_with("Success=0\n"), "{answer}");
    assert!(answer.contains("one that starts with 'reload-mode in-place'"), "{answer}");
}
