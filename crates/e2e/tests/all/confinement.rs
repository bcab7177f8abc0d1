//! What is left of a process' privileges and limits once it serves, and where its threads run (manual section 3.1).
use crate::sections;
use portcullis_e2e::process::PATIENCE;
use portcullis_e2e::{World, proc, scenario};
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
        let said = w.process(0).stderr();
        w.note(format!("warned: {}", said.contains("Cannot raise FD limit to")));
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
    let binary = portcullis_e2e::binary::Binary::under_test();
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
        rustix::process::kill_process(pid, Signal::TERM).unwrap();
        let gone =
            portcullis_e2e::process::wait_for(PATIENCE, || rustix::process::test_kill_process(pid).err());
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
        let nice = nice(w);
        w.note(format!("nice {nice}"));
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
