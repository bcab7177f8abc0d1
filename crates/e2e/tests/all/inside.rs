//! What the process tells of its inside: pools, tasks and what they cost, workers that are held up, developers' commands
//! (management.txt section 9.3 `show pools`, `show profiling`, `show tasks`, `debug`; configuration.txt 3.1
//! `warn-blocked-traffic-after`, 3.2.2 `profiling.tasks`).
use crate::certificates::answer;
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{World, scenario};

const SECTIONS: &str = "defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend fe
  bind 127.0.0.1:${fe}
  default_backend be
backend be
  server s1 127.0.0.1:${o1}
";

fn ours() -> bool {
    std::env::var_os("PORTCULLIS_BIN").is_none() && std::env::var_os("E2E_RECORD").is_none()
}

fn start(w: &mut World, global: &str) {
    w.ok("o1");
    w.proxy(&format!(
        "global\n  nbthread 1\n  stats socket ${{dir}}/cli level admin\n  {global}\n{SECTIONS}"
    ));
    let cli = w.dir().join("cli");
    assert!(wait_for(PATIENCE, || cli.exists().then_some(())).is_some(), "no stats socket");
}

fn ask(w: &World, command: &str) {
    let answer = answer(w, command);
    w.note(format!("$ {command}"));
    answer.lines().filter(|l| !l.is_empty()).for_each(|l| w.note(format!("| {}", w.mask(l))));
}

#[test]
fn answers() {
    scenario("inside/answers", |w| {
        start(w, "profiling.tasks off");
        for command in [
            "show profiling status",
            "show profiling foo",
            "show profiling 0",
            "show profiling memory",
            "set profiling",
            "set profiling foo on",
            "set profiling tasks",
            "set profiling tasks foo",
            "set profiling tasks on foo",
            "set profiling memory on",
            "set profiling tasks on",
            "show profiling status",
            "set profiling tasks off no-lock no-memory",
            "show profiling status",
            "set profiling tasks auto",
            "operator; show profiling; set profiling tasks on",
            "user; show pools match nothing; debug counters",
            "show pools foo",
            "show pools match",
            "show pools match nothing",
            "show pools match nothing byname 3",
            "show pools match nothing 0",
            "debug counters foo",
            "debug counters reset",
            "debug counters",
            "debug dev hash foo",
            "debug dev hash",
            "set anon on 5;debug dev hash foo",
            "debug dev loop 10",
            "debug dev write 10",
            "expert-mode on; debug dev write 10",
            "expert-mode on; debug dev write",
            "expert-mode on; debug dev loop 1",
            "expert-mode on; debug dev delay 1",
            "expert-mode on; debug dev log a b",
            "help show pools",
            "help debug counters",
        ] {
            ask(w, command);
        }
    });
}

/// What is here and not in HAProxy, and the other way round.
#[test]
fn pools_and_tasks() {
    if !ours() {
        return;
    }
    let mut w = World::new(Binary::under_test());
    start(&mut w, "profiling.tasks on");
    let mut client = w.client("fe");
    client.get("/", "").response();
    let line = |text: &str, start: &str| {
        text.lines().find(|l| l.trim_start().starts_with(start)).unwrap_or_default().to_owned()
    };
    let pools = answer(&w, "show pools byname");
    for name in ["buffer (16384 bytes/8)", "request", "stream", "task_accept", "task_session"] {
        let line = line(&pools, &format!("- Pool {name}"));
        assert!(!line.is_empty() && !line.contains(" : 0 allocated"), "{name}: {line}\n{pools}");
    }
    // one connection rests: its request's objects are kept for the next
    let streams = line(&pools, "- Pool stream ");
    assert!(streams.contains("needed_avg"), "{streams}");
    let sessions = line(&pools, "- Pool task_session");
    assert!(sessions.contains(" : 1 allocated") && sessions.contains("needed_avg 1,"), "{sessions}");
    // with what Tokio adds that is 512 bytes: one more, and it takes 640 for every connection that rests
    let size = sessions.split(['(', ' ']).filter_map(|w| w.parse::<u32>().ok()).next();
    assert!(size.is_some_and(|n| n <= 416), "{sessions}");
    let some = answer(&w, "show pools bysize match task 2");
    assert!(some.starts_with("Dumping pools usage (limited to the first 2 entries)."), "{some}");
    assert_eq!(some.lines().filter(|l| l.contains("- Pool task_")).count(), 2, "{some}");
    let detailed = answer(&w, "show pools byusage detailed match buffer");
    assert!(detailed.contains("      >  buffer      : size=16384 "), "{detailed}");
    let tasks = answer(&w, "show tasks");
    assert!(tasks.starts_with("Running tasks: ") && tasks.contains(" (1 threads)"), "{tasks}");
    assert!(line(&tasks, "session").split_whitespace().nth(1) == Some("1"), "{tasks}");
    let costs = answer(&w, "show profiling");
    assert!(costs.starts_with("Per-task CPU profiling              : on "), "{costs}");
    let session = line(&costs, "session");
    let cells: Vec<&str> = session.split_whitespace().collect();
    assert!(cells.len() == 8 && cells[1].parse::<u32>().unwrap() > 0 && cells[2].ends_with('s'), "{costs}");
    let info = answer(&w, "show info");
    assert!(!line(&info, "PoolAlloc_bytes: ").ends_with(": 0"), "{info}");
    let activity = answer(&w, "show activity");
    assert!(activity.contains("avg_loop_us: ") && !activity.contains("loops: 0 "), "{activity}");
    client.close();
    let gone = wait_for(PATIENCE, || {
        answer(&w, "show pools match task_session").contains(": 0 allocated").then_some(())
    });
    assert!(gone.is_some(), "{}", answer(&w, "show pools match task_session"));
    let lock = answer(&w, "set profiling tasks lock");
    assert!(lock.contains("not measured here"), "{lock}");
    for command in ["hex", "sym", "task", "tkill", "sched", "stream", "fd", "close", "deadlock", "bug"] {
        let said = answer(&w, &format!("debug dev {command}"));
        assert!(said.contains(&format!("'debug dev {command}' does not exist here: ")), "{said}");
    }
    let said = answer(&w, "debug counters all");
    assert!(said.contains("0          BUG proxy/session.rs"), "{said}");
}

#[test]
fn a_worker_that_is_held_up() {
    scenario("inside/a_worker_that_is_held_up", |w| {
        start(w, "warn-blocked-traffic-after 20ms");
        let command = "expert-mode on; debug dev loop 400 warn";
        let told = |w: &mut World, text: &str| {
            let told = wait_for(PATIENCE, || {
                answer(w, command);
                w.process(0).stderr().contains(text).then_some(())
            });
            w.note(format!("{text}: {}", told.is_some()));
        };
        told(w, "thread 1 has stopped processing traffic for ");
        if ours() {
            let after = " milliseconds: a task of kind 'mailbox' has held it up.";
            assert!(wait_for(PATIENCE, || w.process(0).stderr().contains(after).then_some(())).is_some());
        }
    });
}

/// The whole process, ended by an operator.
#[test]
fn an_end_with_a_code() {
    scenario("inside/an_end_with_a_code", |w| {
        start(w, "");
        let file = w.dir().join("0.cfg").display().to_string();
        for (at, command) in ["debug dev exit 7", "debug dev abort", "debug dev panic"].iter().enumerate() {
            if at > 0 {
                std::fs::remove_file(w.dir().join("cli")).unwrap();
                let text = std::fs::read_to_string(&file).unwrap();
                w.proxy(&text);
            }
            ask(w, command);
            let (expert, dir) = (format!("expert-mode on; {command}\n"), w.dir().to_owned());
            let mut cli = std::os::unix::net::UnixStream::connect(dir.join("cli")).unwrap();
            std::io::Write::write_all(&mut cli, expert.as_bytes()).unwrap();
            let code = w.process(at).wait(PATIENCE).map(|o| o.code);
            // which signal it is, is a matter of taste
            w.note(format!("{:?}", code.map(|c| c.min(128))));
        }
    });
}
