//! What is left of a process' privileges and limits once it serves, and where its threads run (manual section 3.1).
use crate::runtime_api::ask;
use crate::sections;
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{Process, World, proc, scenario};
use rustix::process::Signal;

const DEFAULTS: &str =
    "defaults\n  mode http\n  timeout connect 10s\n  timeout client 30s\n  timeout server 30s\n";

/// A configuration with these lines in `global`.
fn global(lines: &str) -> String {
    let lines: String = lines.lines().map(|l| format!("  {}\n", l.trim())).collect();
    format!("global\n{lines}{DEFAULTS}{}", sections("", ""))
}

fn answers(w: &mut World) {
    let mut c = w.client("fe");
    c.get("/up", "Connection: close\r\n").response();
    c.close();
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn jail_user_and_groups() {
    if !is_root() {
        return; // an unprivileged user cannot give anything up
    }
    scenario("confinement/jail_user_and_groups", |w| {
        w.ok("o1");
        std::fs::create_dir_all(w.dir().join("jail")).unwrap();
        w.proxy(&global("nbthread 1\n chroot ${dir}/jail\n uid 65534\n gid 65534"));
        answers(w);
        let pid = w.process(0).pid();
        w.note(format!("root {}", proc::root(pid)));
        for name in ["Uid", "Gid", "Groups", "CapEff", "CapPrm", "NoNewPrivs"] {
            w.note(format!("{name} {}", proc::status(pid, name)));
        }
    });
}

#[test]
fn anonymous_jail() {
    if !is_root() {
        return;
    }
    scenario("confinement/anonymous_jail", |w| {
        w.ok("o1");
        w.proxy(&global("nbthread 1\n chroot auto\n uid 65534"));
        answers(w);
        let pid = w.process(0).pid();
        w.note(format!("no name: {}", proc::root(pid).ends_with("(deleted)")));
        let inside = std::fs::read_dir(format!("/proc/{pid}/root")).map_or(9, Iterator::count);
        w.note(format!("files in it: {inside}"));
    });
}

#[test]
fn capabilities_that_stay() {
    if !is_root() {
        return;
    }
    scenario("confinement/capabilities_that_stay", |w| {
        w.ok("o1");
        w.proxy(&global("nbthread 1\n chroot /\n uid 65534\n setcap cap_net_raw,cap_net_bind_service"));
        answers(w);
        let pid = w.process(0).pid();
        for name in ["CapEff", "CapPrm", "CapInh"] {
            w.note(format!("{name} {:?}", proc::thread_status(pid, name).first()));
        }
    });
}

#[test]
fn what_cannot_be_done_ends_the_start() {
    scenario("confinement/what_cannot_be_done", |w| {
        for (lines, word) in [
            ("chroot /nowhere/at/all", "Cannot chroot(/nowhere/at/all)"),
            ("fd-hard-limit 200\n maxconn 5000", "Cannot raise FD limit to"),
        ] {
            let file = w.file("x.cfg", &global(lines)).display().to_string();
            let output = w.run(&["-db", "-f", &file]);
            w.note(format!("{lines:?}: code {}, says so: {}", output.code, output.stderr.contains(word)));
        }
    });
}

#[test]
fn limits_that_are_not_strict() {
    scenario("confinement/limits_that_are_not_strict", |w| {
        w.ok("o1");
        w.proxy(&global("no strict-limits\n fd-hard-limit 200\n maxconn 5000"));
        answers(w);
        let said = || w.process(0).stderr().contains("Cannot raise FD limit to").then_some(());
        let warned = wait_for(PATIENCE, said).is_some();
        w.note(format!("warned: {warned}"));
    });
}

#[test]
fn descriptors_are_limited() {
    scenario("confinement/descriptors_are_limited", |w| {
        w.ok("o1");
        w.proxy(&global("nbthread 1\n ulimit-n 3000\n maxconn 100"));
        answers(w);
        let limits =
            std::fs::read_to_string(format!("/proc/{}/limits", w.process(0).pid())).unwrap_or_default();
        let line = limits.lines().find(|l| l.starts_with("Max open files")).unwrap_or("");
        let soft = line.split_whitespace().nth(3).and_then(|n| n.parse::<u64>().ok());
        w.note(format!("enough: {}", soft.is_some_and(|n| n >= 3000)));
    });
}

#[test]
fn threads_run_where_cpu_map_says() {
    if std::thread::available_parallelism().map_or(1, std::num::NonZero::get) < 2 {
        return; // nothing to tell apart
    }
    scenario("confinement/threads_run_where_cpu_map_says", |w| {
        w.ok("o1");
        w.proxy(&global("nbthread 2\n cpu-map 1/1 0\n cpu-map 1/2 1"));
        answers(w);
        let pid = w.process(0).pid();
        let lists = proc::thread_status(pid, "Cpus_allowed_list");
        for cpu in ["0", "1"] {
            w.note(format!("a thread on {cpu}: {}", lists.iter().any(|l| l == cpu)));
        }
    });
}

#[test]
fn cpu_set_leaves_cpus_out() {
    if std::thread::available_parallelism().map_or(1, std::num::NonZero::get) < 2 {
        return;
    }
    scenario("confinement/cpu_set_leaves_cpus_out", |w| {
        w.ok("o1");
        w.proxy(&global("cpu-set drop-cpu 0"));
        answers(w);
        let pid = w.process(0).pid();
        let lists = proc::thread_status(pid, "Cpus_allowed_list");
        w.note(format!("a thread that keeps off 0: {}", lists.iter().any(|l| !l.starts_with('0'))));
    });
}

/// A log socket outside the jail is connected before the jail is entered. HAProxy looks it up inside.
#[test]
fn logs_leave_the_jail() {
    let binary = Binary::under_test();
    if binary.is_haproxy() || !is_root() {
        return;
    }
    let mut w = World::new(binary);
    w.ok("o1");
    w.unix_sink("log.sock");
    let text = format!(
        "global\n  nbthread 1\n  chroot auto\n  uid 65534\n  log ${{dir}}/log.sock local0\n{DEFAULTS}  log global\n  option httplog\n{}",
        sections("", "")
    );
    w.proxy(&text);
    answers(&mut w);
    let lines = w.logs(1);
    assert!(lines[0].contains("\"GET /up HTTP/1.1\""), "{lines:?}");
}

#[test]
fn a_failed_start_in_the_background_is_told() {
    scenario("confinement/a_failed_start_in_the_background", |w| {
        let origin = w.ok("fe");
        let file = w.file("x.cfg", &global("nbthread 1")).display().to_string();
        for args in [
            &["-D", "-f", &file][..],
            &["-D", "-p", "/nowhere/at/all", "-f", &file],
            &["-W", "-D", "-f", &file],
        ] {
            let output = w.run(args);
            w.note(format!("{}: code {}", args[..2].join(" "), output.code));
        }
        drop(origin);
    });
}

#[test]
fn the_daemon_keyword() {
    scenario("confinement/the_daemon_keyword", |w| {
        w.ok("o1");
        w.file("pid", "");
        w.proxy_with(&global("daemon\n nbthread 1\n pidfile ${dir}/pid"), &["-W", "-D"]);
        let output = w.process(0).wait(PATIENCE);
        w.note(format!("parent: {:?}", output.map(|o| o.code)));
        answers(w);
        let pid = std::fs::read_to_string(w.dir().join("pid")).unwrap_or_default();
        let pid = pid.trim().parse::<i32>().ok().and_then(rustix::process::Pid::from_raw).unwrap();
        // who waits for the end of the output waits for nobody that stays
        let number = pid.as_raw_nonzero();
        let workers = std::fs::read_to_string(format!("/proc/{number}/task/{number}/children")).unwrap();
        for process in [number.to_string()].iter().map(String::as_str).chain(workers.split_whitespace()) {
            let outputs = [1, 2].map(|fd| std::fs::read_link(format!("/proc/{process}/fd/{fd}")).unwrap());
            w.note(format!("output and errors: {outputs:?}"));
        }
        rustix::process::kill_process(pid, Signal::TERM).unwrap();
        let gone = wait_for(PATIENCE, || rustix::process::test_kill_process(pid).err());
        w.note(format!("the pid file's process ends: {}", gone.is_some()));
    });
}

/// The nice value of the proxy.
fn nice(w: &mut World) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", w.process(0).pid())).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().nth(16).unwrap().to_owned()
}

#[test]
fn priority() {
    if !is_root() {
        return; // only root gets a priority back
    }
    scenario("confinement/priority", |w| {
        w.ok("o1");
        w.proxy(&global("tune.renice.startup 9\n tune.renice.runtime 3"));
        let nice = wait_for(PATIENCE, || Some(nice(w)).filter(|n| n == "3"));
        w.note(format!("nice {}", nice.unwrap_or_default()));
    });
}

/// The manual says so; 3.5-dev5 keeps the priority of the start.
#[test]
fn priority_of_the_start_alone() {
    if !is_root() || std::env::var_os("PORTCULLIS_BIN").is_some() {
        return;
    }
    let mut w = World::new(portcullis_e2e::binary::Binary::under_test());
    w.ok("o1");
    w.proxy(&global("tune.renice.startup 19"));
    answers(&mut w);
    assert_ne!(nice(&mut w), "19");
}

/// A process that is told to serve what it has in a jail, as another user, is traced: maps, error pages, answers from files, log lines,
/// commands, a server that is away.
#[test]
fn no_file_is_opened_while_it_serves() {
    let binary = Binary::under_test();
    if binary.is_haproxy() || !is_root() {
        return; // a user may not trace what has become another one
    }
    let mut w = World::new(binary);
    w.ok("o1");
    w.unix_sink("log.sock");
    w.file("map", "/up mapped\n");
    w.file("403.http", "HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\nno!\n");
    w.file("text", "from a file");
    let front = "http-request set-header x %[path,map(${dir}/map,none)]
        http-request deny if { path /deny }
        http-request return status 200 content-type text/plain file ${dir}/text if { path /file }
        use_backend away if { path /away }
        errorfile 403 ${dir}/403.http
        option httplog
        log global";
    w.proxy(&format!(
        "global\n  nbthread 2\n  chroot auto\n  uid 65534\n  stats socket ${{dir}}/cli level admin\n  log ${{dir}}/log.sock local0\n\
         {DEFAULTS}{}backend away\n  server s 127.0.0.1:1\n",
        sections(front, "")
    ));
    let pid = w.process(0).pid();
    let into = w.dir().join("trace").display().to_string();
    let strace = Binary { path: "/usr/bin/strace".into() };
    let args = ["-f", "-p", &pid.to_string(), "-e", "trace=%file,accept4,sendto,write", "-o", &into]
        .map(String::from);
    let mut tracer = Process::spawn(&strace, &args, &[]);
    let attached = || tracer.stderr().contains(" attached").then_some(());
    assert!(wait_for(PATIENCE, attached).is_some(), "{}", tracer.stderr());
    for (n, path) in ["/up", "/deny", "/file", "/away", "/up"].iter().enumerate() {
        w.client("fe").get(path, "Connection: close\r\n").read_to_end();
        assert!(ask(&w, "show map; show errors; show info; show stat").contains("Name"));
        ask(&w, &format!("add map {}/map /k{n} v", w.dir().display()));
    }
    assert_eq!(w.logs(5).len(), 5);
    tracer.signal(Signal::INT);
    tracer.wait(PATIENCE);
    let trace = std::fs::read_to_string(&into).unwrap_or_default();
    let calls = |name: &str| trace.lines().filter(|l| l.contains(&format!(" {name}("))).count();
    assert!(calls("accept4") >= 10 && calls("sendto") + calls("write") >= 10, "{trace}");
    let files: Vec<&str> = trace
        .lines()
        .filter(|l| {
            !["accept4(", "sendto(", "write(", "+++", "---", "resumed"].iter().any(|known| l.contains(known))
        })
        .collect();
    assert!(files.is_empty(), "{files:#?}");
}

/// Threads that serve have a filter of system calls, those that start programs have none.
#[test]
fn system_calls_are_filtered() {
    let binary = Binary::under_test();
    if binary.is_haproxy() {
        return;
    }
    let filtered = |global_lines: &str, back: &str| {
        let mut w = World::new(binary.clone());
        w.ok("o1");
        w.proxy(&global(global_lines).replace("\nbackend be\n", &format!("\nbackend be\n{back}")));
        answers(&mut w);
        let all = proc::thread_status(w.process(0).pid(), "Seccomp");
        (all.iter().filter(|s| *s == "2").count(), all.iter().filter(|s| *s == "0").count())
    };
    let (with, without) = filtered("nbthread 2", "");
    assert!(with >= 3 && without == 0, "{with} {without}");
    // the first thread and the one that runs programs
    let (with, without) = filtered(
        "nbthread 2\nexternal-check\ninsecure-fork-wanted",
        "  option external-check\n  external-check command /bin/true\n  default-server check\n",
    );
    assert!(with >= 2 && without == 2, "{with} {without}");
    assert_eq!(filtered("insecure-syscalls-wanted", "").0, 0);
    assert_eq!(filtered("nbthread 2\ninsecure-setuid-wanted", "").0, 0);
}

/// A configuration that is followed in place names files where the process cannot read any more.
#[test]
fn paths_that_were_named_stay() {
    let binary = Binary::under_test();
    if binary.is_haproxy() {
        return;
    }
    let mut w = World::new(binary);
    w.ok("o1");
    w.file("map", "/up one\n");
    // not below the configuration's own directory
    let elsewhere = std::env::temp_dir().join(format!("e2e-elsewhere-{}", std::process::id()));
    std::fs::create_dir_all(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("map"), "/up two\n").unwrap();
    let (here, there) = ("${dir}/map", elsewhere.join("map").display().to_string());
    let text = |place: &str, more: &str| {
        let rule = format!(
            "http-request return status 200 content-type text/plain lf-string %[path,map({place},none)]"
        );
        global(&format!("nbthread 1\nstats socket ${{dir}}/cli level admin\n{more}")).replacen(
            "default_backend be\n",
            &format!("{rule}\n  default_backend be\n"),
            1,
        )
    };
    let body = |w: &mut World| {
        let mut c = w.client("fe");
        String::from_utf8_lossy(&c.get("/up", "Connection: close\r\n").response().body).into_owned()
    };
    w.proxy(&text(here, ""));
    assert_eq!(body(&mut w), "one");
    // replaced as editors and package managers do it
    w.file("new", "/up three\n");
    std::fs::rename(w.dir().join("new"), w.dir().join("map")).unwrap();
    assert!(ask(&w, "reload config").starts_with("Success=1"));
    assert_eq!(body(&mut w), "three");
    w.file("0.cfg", &text(&there, ""));
    let answer = ask(&w, "reload config");
    assert!(answer.starts_with("Success=0") && answer.contains("' is not among them"), "{answer}");
    assert!(answer.contains("A new process can follow it"), "{answer}");
    assert_eq!(body(&mut w), "three");
    // that was no reason for refusing what is reached
    w.file("0.cfg", &text(here, ""));
    assert!(ask(&w, "reload config").starts_with("Success=1"));
    drop(w);
    let mut w = World::new(Binary::under_test());
    w.ok("o1");
    w.file("map", "/up one\n");
    w.proxy(&text(here, "insecure-paths-wanted"));
    w.file("0.cfg", &text(&there, "insecure-paths-wanted"));
    assert!(ask(&w, "reload config").starts_with("Success=1"));
    assert_eq!(body(&mut w), "two");
    std::fs::remove_dir_all(&elsewhere).unwrap();
}
