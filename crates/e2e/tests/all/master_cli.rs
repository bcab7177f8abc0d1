//! The master CLI (`-S`; management.txt section 9.4).
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{World, proc, scenario};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

const CONFIG: &str = "\
global
  maxconn 100
  nbthread 1
  user root
  chroot /
  stats socket ${dir}/cli level admin
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend fe
  bind 127.0.0.1:${fe}
  http-request return status 200
";

/// A master and its worker, ready to be talked to.
fn start(w: &mut World, options: &str) {
    start_with(w, options, CONFIG);
}

fn start_with(w: &mut World, options: &str, config: &str) {
    let socket = format!("${{dir}}/master{options}");
    w.proxy_with(config, &["-W", "-db", "-S", &socket]);
    let serves = wait_for(PATIENCE, || {
        connect(w).and_then(|s| talk(s, "@1 show version").contains("3.5").then_some(()))
    });
    assert!(serves.is_some(), "no master CLI: {}", w.process(0).stderr());
}

fn connect(w: &World) -> Option<UnixStream> {
    let s = UnixStream::connect(w.dir().join("master")).ok()?;
    s.set_read_timeout(Some(PATIENCE)).unwrap();
    Some(s)
}

/// What comes back for these bytes and the end behind them.
fn talk(mut s: UnixStream, command: &str) -> String {
    let _ = s.write_all(format!("{command}\n").as_bytes());
    let _ = s.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = s.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Numbers and blanks at the ends of lines are not for comparison.
fn masked(text: &str) -> String {
    let text = text.replace("3.5-dev5-50872daa6", "VERSION").replace("3.5-dev5", "VERSION");
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' if out.ends_with('N') => {}
            '0'..='9' => out.push('N'),
            c => out.push(c),
        }
    }
    let line = |l: &str| l.split_whitespace().collect::<Vec<_>>().join(" ");
    out.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Sends a command and notes the answer.
fn ask(w: &World, command: &str) {
    w.note(format!("$ {}", command.escape_debug()));
    let answer = masked(&talk(connect(w).unwrap(), command));
    answer.split('\n').for_each(|l| w.note(format!("| {}", w.mask(l))));
}

/// Commands one after the other on one connection, each when the answer to the one before has come to its prompt.
fn dialogue(w: &World, commands: &[&str]) {
    let mut s = connect(w).unwrap();
    for command in commands {
        s.write_all(format!("{command}\n").as_bytes()).unwrap();
        let (mut answer, mut chunk) = (Vec::new(), [0; 4096]);
        while !answer.ends_with(b"> ") {
            match s.read(&mut chunk) {
                Ok(n @ 1..) => answer.extend_from_slice(&chunk[..n]),
                _ => break,
            }
        }
        w.note(format!("{command}: {:?}", masked(&String::from_utf8_lossy(&answer))));
    }
}

#[test]
fn commands_and_prefixes() {
    scenario("master_cli/commands_and_prefixes", |w| {
        start(w, ",mode,600");
        for command in [
            "show version",
            "show proc",
            "show proc x",
            "show cli level",
            "show cli sockets",
            "show env HAPROXY_MASTER_CLI",
            "show env HAPROXY_MWORKER",
            "@1 show version; show version",
            "@1;show cli level;@;show cli level",
            "@ show version",
            "@0 show version",
            "@master show version",
            "@2 show version; show version",
            "@!99999999 show version",
            "@x show version",
            "@@1 show version;show version",
            "@1;@@1 show version;show version",
            "@1 quit;show version",
            "user;show proc",
            "user;reload",
            "user;@1 show env",
            "operator;@1 show cli level;show cli level",
            "help show",
            "help",
            "@1 add map x <<%E\na b\n\nc d\n%E",
            "prompt i\n@1 add map x <<\na b\n\nshow version",
            "prompt x",
            "",
        ] {
            ask(w, command);
        }
    });
}

#[test]
fn prompts() {
    scenario("master_cli/prompts", |w| {
        start(w, "");
        dialogue(
            w,
            &[
                "prompt",
                "show version",
                "expert-mode on",
                "experimental-mode on",
                "expert-mode",
                "@1",
                "show version",
                "@",
                "@@1",
                "show version",
                "quit",
                "@9 show version",
                "show version",
                "prompt timed",
                "@1",
                "quit",
            ],
        );
    });
}

#[test]
fn levels() {
    scenario("master_cli/levels", |w| {
        start(w, ",level,operator");
        for command in ["show cli level", "@1 show cli level", "@1 set maxconn global 10", "user;_loadstatus"]
        {
            ask(w, command);
        }
        told(&talk(connect(w).unwrap(), "reload")).into_iter().for_each(|l| w.note(l));
    });
}

/// Lines of the messages that both have, in their order, which differs in what comes from different processes.
fn told(answer: &str) -> Vec<String> {
    let known = [
        "Success=",
        "Initializing new worker",
        "Loading success.",
        "unknown keyword",
        "Failed to load worker",
    ];
    let mut lines: Vec<String> =
        answer.lines().filter(|l| known.iter().any(|k| l.contains(k))).map(masked).collect();
    lines.sort();
    lines
}

#[test]
fn reloads() {
    scenario("master_cli/reloads", |w| {
        start(w, "");
        let file = w.dir().join("0.cfg");
        let good = std::fs::read_to_string(&file).unwrap();
        let master = w.process(0).pid();
        for (command, text) in [
            ("reload", good.clone()),
            ("reload;show version", format!("{good}  bogus\n")),
            ("hard-reload", good.clone()),
            ("reload", good),
        ] {
            std::fs::write(&file, text).unwrap();
            let answer = talk(connect(w).unwrap(), command);
            w.note(command);
            told(&answer).into_iter().for_each(|l| w.note(w.mask(&l)));
            // one worker is left
            assert!(proc::only_child(master, None).is_some());
            let reaped = wait_for(PATIENCE, || {
                let text = talk(connect(w)?, "show proc");
                (text.matches(" worker ").count() == 1).then_some(text)
            });
            masked(&reaped.unwrap_or_default()).lines().for_each(|l| w.note(format!("| {l}")));
            dialogue(w, &["prompt", "quit"]);
            for command in ["show startup-logs", "_loadstatus"] {
                let logs = talk(connect(w).unwrap(), command);
                told(&logs).into_iter().for_each(|l| w.note(w.mask(&l)));
            }
        }
        let same = w.process(0).is_running() && w.process(0).pid() == master;
        w.note(format!("same master: {same}"));
    });
}

/// One that is asked for while another is under way answers for itself.
#[test]
fn reloads_at_once() {
    let mut w = World::new(Binary::under_test());
    start(&mut w, "");
    let (pipe, file) = (w.dir().join("pipe"), w.dir().join("0.cfg"));
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let good = std::fs::read_to_string(&file).unwrap();
    let slow = format!("return status 200 if {{ path -f {} }}", pipe.display());
    std::fs::write(&file, good.replace("return status 200", &slow)).unwrap();
    let reload = |w: &World| {
        let mut s = connect(w).unwrap();
        s.write_all(b"reload\n").unwrap();
        s
    };
    let first = reload(&w);
    let begun = || talk(connect(&w)?, "show proc").contains("old workers").then_some(());
    assert!(wait_for(PATIENCE, begun).is_some());
    // it opens once the new worker reads from it, which has read its configuration by then
    let mut feed = std::fs::File::options().write(true).open(&pipe).unwrap();
    std::fs::write(&file, format!("{good}  bogus\n")).unwrap();
    let others = [reload(&w), reload(&w)];
    // theirs are taken before this is
    assert!(talk(connect(&w).unwrap(), "show version").contains("3.5"));
    feed.write_all(b"/a\n").unwrap();
    drop(feed);
    let told = |mut s: UnixStream| {
        let mut text = String::new();
        s.read_to_string(&mut text).map(|_| text).unwrap_or_default()
    };
    assert!(told(first).starts_with("Success=1\n"));
    others.into_iter().for_each(|s| assert!(told(s).starts_with("Success=0\n")));
}

/// A worker is listed as soon as it has begun, long before it serves.
#[test]
fn starting_workers() {
    scenario("master_cli/starting_workers", |w| {
        let pipe = w.dir().join("pipe");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let own = "http-request return status 200";
        let config = CONFIG.replace(own, "http-request return status 200 if { path -f ${dir}/pipe }");
        // who reads the pipe waits until somebody has written
        let feed = || std::fs::write(&pipe, "/a\n").unwrap();
        std::thread::scope(|s| {
            let dir = w.dir().to_owned();
            let first = s.spawn(move || {
                let listed = wait_for(PATIENCE, || {
                    let mut s = UnixStream::connect(dir.join("master")).ok()?;
                    s.set_read_timeout(Some(PATIENCE)).ok()?;
                    s.write_all(b"show proc\n").ok()?;
                    s.shutdown(Shutdown::Write).ok()?;
                    let mut text = String::new();
                    s.read_to_string(&mut text).ok()?;
                    text.contains("worker ").then_some(text)
                });
                std::fs::write(dir.join("pipe"), "/a\n").unwrap();
                listed
            });
            start_with(w, "", &config);
            let listed = masked(&first.join().unwrap().unwrap_or_default());
            listed.split('\n').for_each(|l| w.note(format!("| {}", w.mask(l))));
        });
        ask(w, "show proc");
        w.process(0).signal(Signal::USR2);
        let reloads = || talk(connect(w)?, "show proc").contains("old workers").then_some(());
        w.note(format!("reloading: {}", wait_for(PATIENCE, reloads).is_some()));
        ask(w, "show proc");
        feed();
        let gone = || (!talk(connect(w)?, "show proc").contains("old workers")).then_some(());
        w.note(format!("reloaded: {}", wait_for(PATIENCE, gone).is_some()));
        ask(w, "show proc");
    });
}

/// A leaving worker is listed, and can be visited, until it ends.
#[test]
fn old_workers() {
    scenario("master_cli/old_workers", |w| {
        let gate = portcullis_e2e::Gate::default();
        let wait = gate.clone();
        let origin = w.origin("o1", move |mut c| {
            c.request();
            wait.wait();
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        });
        let own = "http-request return status 200";
        let proxied = "default_backend be\nbackend be\n  server s1 127.0.0.1:${o1}";
        start_with(w, "", &CONFIG.replace(own, proxied));
        let first = proc::only_child(w.process(0).pid(), None).unwrap();
        let mut c = w.client("fe");
        c.get("/slow", "Connection: close\r\n");
        origin.wait_line(0, "< GET /slow");
        assert!(talk(connect(w).unwrap(), "reload").starts_with("Success=1"));
        ask(w, "show proc");
        w.note(format!(
            "visited: {}",
            talk(connect(w).unwrap(), &format!("@!{first} show info")).contains(&format!("Pid: {first}\n"))
        ));
        gate.open();
        c.wait_end();
        let gone =
            wait_for(PATIENCE, || (!talk(connect(w)?, "show proc").contains("old workers")).then_some(()));
        w.note(format!("gone: {}", gone.is_some()));
        w.note(talk(connect(w).unwrap(), &format!("@!{first} show info")).replace(&first.to_string(), "PID"));
        w.process(0).signal(Signal::TERM);
        let code = w.process(0).wait(PATIENCE).map(|o| o.code);
        w.note(format!("ended: {code:?}"));
    });
}

#[test]
fn what_cannot_be_opened() {
    scenario("master_cli/what_cannot_be_opened", |w| {
        let text = w.expand(CONFIG);
        let file = w.file("0.cfg", &text).display().to_string();
        let output = w.run(&["-db", "-f", &file, "-S", "${dir}/master"]);
        w.note(format!("no -W: {}", output.code));
        for options in ["${dir}/none/master", "127.0.0.1", "${dir}/master,level,foo", "${dir}/master,foo"] {
            let output = w.run(&["-W", "-db", "-f", &file, "-S", options]);
            w.note(format!("{options}: {}", output.code));
        }
    });
}

/// Connections that say nothing do not keep an operator out. HAProxy has no such bound.
#[test]
fn silent_clients_make_way() {
    let mut w = World::new(portcullis_e2e::binary::Binary::under_test());
    start(&mut w, "");
    let mut silent: Vec<UnixStream> = (0..40).map(|_| connect(&w).unwrap()).collect();
    assert!(talk(connect(&w).unwrap(), "show proc").contains("master"));
    let mut last = silent.pop().unwrap();
    // the one that came last is still there
    last.write_all(b"show version\n").unwrap();
    last.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    last.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("3.5"), "{answer}");
    let mut first = silent.remove(0);
    assert_eq!(first.read(&mut [0; 8]).unwrap_or(0), 0);
}
