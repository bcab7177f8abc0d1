//! Master and workers (management.txt sections 3 and 4), stopping in steps, taking over.
use crate::sections;
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{World, proc, scenario};
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::net::UnixDatagram;

fn kill(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, signal).unwrap();
}

fn ended(w: &mut World, index: usize) {
    let code = w.process(index).wait(PATIENCE).map(|o| o.code);
    w.note(format!("process {index} ended with {code:?}"));
}

fn answers(w: &mut World) {
    let mut c = w.client("fe");
    c.get("/up", "Connection: close\r\n").response();
    c.close();
}

/// A configuration with these lines in `global`.
fn with_global(lines: &str, rest: &str) -> String {
    let lines: String = lines.lines().map(|l| format!("  {}\n", l.trim())).collect();
    let preamble = portcullis_e2e::world::PREAMBLE.replacen("global\n", &format!("global\n{lines}"), 1);
    format!("{preamble}{rest}")
}

fn notes_of_systemd(w: &mut World) -> UnixDatagram {
    let path = w.dir().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    w.env("NOTIFY_SOCKET", &path.display().to_string());
    socket
}

/// The next datagram, numbers masked.
fn heard(socket: &UnixDatagram) -> String {
    let mut datagram = [0; 1024];
    let n = socket.recv(&mut datagram).unwrap_or(0);
    let text = String::from_utf8_lossy(&datagram[..n]).into_owned();
    let lines: Vec<_> = text
        .lines()
        .map(|l| match l.split_once('=') {
            Some((name @ ("MAINPID" | "MONOTONIC_USEC"), value)) => {
                format!("{name}={}", if value.parse::<u64>().is_ok() { "number" } else { value })
            }
            _ => l.to_string(),
        })
        .collect();
    lines.join(", ")
}

/// A master that takes signals.
fn start(w: &mut World, config: &str) -> UnixDatagram {
    let socket = notes_of_systemd(w);
    w.proxy_with(config, &["-Ws", "-db"]);
    assert!(heard(&socket).contains("READY=1"));
    socket
}

#[test]
fn what_systemd_hears() {
    scenario("master/what_systemd_hears", |w| {
        w.ok("o1");
        let socket = notes_of_systemd(w);
        w.proxy_with(&sections("", ""), &["-Ws"]);
        w.note(heard(&socket));
        w.process(0).signal(Signal::USR2);
        w.note(heard(&socket));
        w.note(heard(&socket));
        w.process(0).signal(Signal::TERM);
        w.note(heard(&socket));
        ended(w, 0);
    });
}

#[test]
fn a_killed_worker_ends_the_master() {
    scenario("master/a_killed_worker_ends_the_master", |w| {
        w.ok("o1");
        let _socket = start(w, &sections("", ""));
        let worker = proc::only_child(w.process(0).pid(), None).unwrap();
        kill(worker, Signal::KILL);
        ended(w, 0);
        let said = w.process(0).stderr();
        for words in
            ["exited with code 137 (Killed)", "exit-on-failure: killing every processes with SIGTERM"]
        {
            w.note(format!("{words}: {}", said.contains(words)));
        }
    });
}

/// What ends a process by default ends it, even if it is nobody's fault.
#[test]
fn a_worker_dies_of_the_first_fault() {
    for (name, signal, words) in [
        ("segv", Signal::SEGV, "exited with code 139 (Segmentation fault)"),
        ("bus", Signal::BUS, "exited with code 135 (Bus error)"),
    ] {
        scenario(&format!("master/a_worker_dies_of_the_first_fault_{name}"), |w| {
            w.ok("o1");
            let _socket = start(w, &sections("", ""));
            kill(proc::only_child(w.process(0).pid(), None).unwrap(), signal);
            ended(w, 0);
            let told = w.process(0).stderr().contains(words);
            w.note(format!("{words}: {told}"));
        });
    }
}

#[test]
fn a_worker_that_is_told_to_end_takes_its_master_along() {
    scenario("master/a_worker_that_is_told_to_end", |w| {
        w.ok("o1");
        let _socket = start(w, &sections("", ""));
        let worker = proc::only_child(w.process(0).pid(), None).unwrap();
        kill(worker, Signal::TERM);
        ended(w, 0);
    });
}

#[test]
fn a_worker_without_master_ends() {
    scenario("master/a_worker_without_master_ends", |w| {
        w.ok("o1");
        let _socket = start(w, &sections("", ""));
        let worker = proc::only_child(w.process(0).pid(), None).unwrap();
        w.process(0).signal(Signal::KILL);
        ended(w, 0);
        let gone = wait_for(PATIENCE, || {
            let state = proc::status(worker, "State");
            (state == "?" || state.starts_with('Z')).then_some(())
        });
        w.note(format!("worker gone: {}", gone.is_some()));
    });
}

#[test]
fn reload_replaces_the_worker_and_ends_no_transfer() {
    scenario("master/reload_ends_no_transfer", |w| {
        let gate = portcullis_e2e::Gate::default();
        let wait = gate.clone();
        let origin = w.origin("o1", move |mut c| {
            if c.request().is_some_and(|r| r.start_line().contains("slow")) {
                wait.wait();
            }
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        });
        let socket = start(w, &sections("", ""));
        let master = w.process(0).pid();
        let before = proc::only_child(master, None).unwrap();
        let mut slow = w.client("fe");
        slow.get("/slow", "");
        origin.wait_line(0, "< GET /slow");
        w.process(0).signal(Signal::USR2);
        assert!(heard(&socket).contains("RELOADING=1"));
        assert!(heard(&socket).contains("READY=1"));
        // the old worker has heard that it shall stop
        let port = w.port("fe");
        assert!(proc::stops_listening(before, port));
        answers(w);
        gate.open();
        slow.response();
        let after = proc::only_child(master, Some(before));
        w.note(format!("another worker: {}", after.is_some()));
        let running = w.process(0).is_running();
        w.note(format!("same master: {running}"));
    });
}

/// Every connection attempt during several reloads is answered: listening sockets pass from worker to worker.
#[test]
fn no_connection_is_lost_in_reloads() {
    let binary = portcullis_e2e::binary::Binary::under_test();
    let mut w = World::new(binary);
    let socket = start(&mut w, "frontend fe\n  bind 127.0.0.1:${fe}\n  http-request return status 200\n");
    let port = w.port("fe");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let client = std::thread::spawn({
        let stop = stop.clone();
        move || {
            let mut served = 0;
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                let mut c = portcullis_e2e::Client::tcp(port, Default::default());
                let response = c.get("/", "Connection: close\r\n").response();
                assert!(response.start_line().contains("200"), "lost after {served} connections");
                served += 1;
            }
            served
        }
    });
    for _ in 0..3 {
        w.process(0).signal(Signal::USR2);
        assert!(heard(&socket).contains("RELOADING=1"));
        assert!(heard(&socket).contains("READY=1"));
    }
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(client.join().unwrap() > 0);
}

#[test]
fn workers_survive_so_many_reloads_only() {
    scenario("master/workers_survive_so_many_reloads_only", |w| {
        let gate = portcullis_e2e::Gate::default();
        let wait = gate.clone();
        let origin = w.origin("o1", move |mut c| {
            c.request();
            wait.wait();
        });
        let socket = start(w, &with_global("mworker-max-reloads 1", &sections("", "")));
        let master = w.process(0).pid();
        let first = proc::only_child(master, None).unwrap();
        let mut slow = w.client("fe");
        slow.get("/slow", "");
        origin.wait_line(0, "< GET /slow");
        for _ in 0..2 {
            w.process(0).signal(Signal::USR2);
            assert!(heard(&socket).contains("RELOADING=1"));
            assert!(heard(&socket).contains("READY=1"));
        }
        let gone = wait_for(PATIENCE, || (!proc::children(master).contains(&first)).then_some(()));
        w.note(format!("the first worker was ended: {}", gone.is_some()));
        gate.open();
        slow.wait_end();
    });
}

#[test]
fn stopping_is_logged() {
    scenario("master/stopping_is_logged", |w| {
        w.ok("o1");
        w.proxy(&sections("", ""));
        w.process(0).signal(Signal::USR1);
        ended(w, 0);
        w.logs(2);
    });
}

#[test]
fn hard_stop_is_logged() {
    scenario("master/hard_stop_is_logged", |w| {
        let origin = w.origin("o1", |mut c| {
            c.request();
            c.wait_end();
        });
        w.proxy(&with_global("hard-stop-after 300ms", &sections("", "")));
        let mut c = w.client("fe");
        c.get("/", "");
        origin.wait_line(0, "< GET");
        w.process(0).signal(Signal::USR1);
        c.wait_end();
        ended(w, 0);
        let said = w.process(0).stderr();
        for words in [
            "soft-stop running for too long, performing a hard-stop.",
            "Proxy fe hard-stopped (1 remaining conns will be closed).",
        ] {
            w.note(format!("{words} {}", said.contains(words)));
        }
    });
}

#[test]
fn pause_and_resume() {
    scenario("master/pause_and_resume", |w| {
        w.ok("o1");
        w.proxy(&sections("", ""));
        answers(w);
        w.logs(1); // its line is out before the next one comes from elsewhere
        let port = w.port("fe");
        for (signal, listens) in
            [(Signal::TTOU, false), (Signal::TTIN, true), (Signal::TTOU, false), (Signal::TTIN, true)]
        {
            w.process(0).signal(signal);
            let done =
                wait_for(PATIENCE, || (portcullis_e2e::ports::is_listening(port) == listens).then_some(()));
            w.note(format!("{signal:?}: {}", done.is_some()));
        }
        answers(w);
        w.logs(6);
    });
}

/// Without SO_REUSEPORT the old process has to let go of its ports before the new one can have them.
#[test]
fn the_old_process_is_asked_to_pause() {
    scenario("master/the_old_process_is_asked_to_pause", |w| {
        w.ok("o1");
        w.proxy(&with_global("noreuseport", &sections("", "")));
        answers(w);
        let old = w.process(0).pid().to_string();
        w.proxy_with(
            &with_global("noreuseport", &sections("http-request set-header X-New 1", "")),
            &["-db", "-sf", &old],
        );
        ended(w, 0);
        answers(w);
    });
}

/// A master passes that on to its worker.
#[test]
fn the_old_master_is_asked_to_pause() {
    scenario("master/the_old_master_is_asked_to_pause", |w| {
        w.ok("o1");
        w.proxy_with(&with_global("noreuseport", &sections("", "")), &["-W"]);
        answers(w);
        let old = w.process(0).pid().to_string();
        w.proxy_with(
            &with_global("noreuseport", &sections("http-request set-header X-New 1", "")),
            &["-db", "-sf", &old],
        );
        ended(w, 0);
        answers(w);
    });
}

/// ... and goes on when the new one does not start for all that.
#[test]
fn the_old_process_goes_on_when_the_new_one_fails() {
    scenario("master/the_old_process_goes_on", |w| {
        w.ok("o1");
        w.ok("taken");
        w.proxy(&with_global("noreuseport", &sections("", "")));
        answers(w);
        let old = w.process(0).pid().to_string();
        let text = with_global("noreuseport", &sections("bind 127.0.0.1:${taken}", ""));
        let file = w.file("new.cfg", &text).display().to_string();
        let output = w.run(&["-db", "-f", &file, "-sf", &old]);
        w.note(format!("new process: {}", output.code));
        let process = w.process(0);
        let resumed = || process.stderr().contains("Resumed frontend fe.").then_some(());
        let back = wait_for(PATIENCE, resumed);
        w.note(format!("listens again: {}", back.is_some()));
        answers(w);
    });
}

#[test]
fn grace_delays_the_stop() {
    scenario("master/grace_delays_the_stop", |w| {
        w.ok("o1");
        w.proxy(&with_global("grace 400ms", &sections("", "")));
        answers(w);
        w.process(0).signal(Signal::USR1);
        let told = wait_for(PATIENCE, || {
            w.process(0).stderr().contains("Scheduling a soft-stop in 400 ms.").then_some(())
        });
        w.note(format!("told: {}", told.is_some()));
        answers(w);
        ended(w, 0);
    });
}

#[test]
fn connections_that_nobody_makes_end() {
    scenario("master/close_spread_time_infinite", |w| {
        w.ok("o1");
        w.proxy(&with_global("close-spread-time infinite", &sections("", "")));
        let mut c = w.client("fe");
        c.get("/1", "").response();
        w.process(0).signal(Signal::USR1);
        let port = w.port("fe");
        let closed = wait_for(PATIENCE, || (!portcullis_e2e::ports::is_listening(port)).then_some(()));
        w.note(format!("listener closed: {}", closed.is_some()));
        c.get("/2", "").response();
        c.close();
        ended(w, 0);
    });
}

#[test]
fn connections_end_within_the_time() {
    scenario("master/close_spread_time", |w| {
        w.ok("o1");
        w.proxy(&with_global("close-spread-time 500ms", &sections("timeout http-keep-alive 60s", "")));
        let mut clients: Vec<_> = (0..5).map(|_| w.client("fe")).collect();
        for c in &mut clients {
            c.get("/", "").response();
        }
        w.process(0).signal(Signal::USR1);
        for c in &mut clients {
            c.wait_end();
        }
        ended(w, 0);
    });
}
