//! Stopping and reloading (management.txt section 4).
use crate::sections;
use portcullis_e2e::process::PATIENCE;
use portcullis_e2e::{Gate, World, scenario};
use rustix::process::Signal;
use std::os::unix::net::UnixDatagram;

fn ended(w: &mut World, index: usize) {
    let note = match w.process(index).wait(PATIENCE) {
        Some(output) => format!("process {index} ended with {}", output.code),
        None => format!("process {index} does not end"),
    };
    w.note(note);
}

/// A request that has been answered: the process has started for sure.
fn up(w: &mut World) {
    let mut c = w.client("fe");
    c.get("/up", "Connection: close\r\n").response();
    c.close();
}

#[test]
fn stop_signals_when_idle() {
    for (name, signal) in [("usr1", Signal::USR1), ("term", Signal::TERM), ("int", Signal::INT)] {
        scenario(&format!("signals/{name}_when_idle"), |w| {
            w.ok("o1");
            w.proxy(&sections("", ""));
            up(w);
            w.process(0).signal(signal);
            ended(w, 0);
        });
    }
}

#[test]
fn soft_stop_finishes_what_runs() {
    scenario("signals/soft_stop_finishes_what_runs", |w| {
        let gate = Gate::default();
        let wait = gate.clone();
        let origin = w.origin("o1", move |mut c| {
            let slow = c.request().is_some_and(|r| r.start_line().contains("slow"));
            if slow {
                wait.wait();
            }
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        });
        w.proxy(&sections("", ""));
        up(w);
        let mut c = w.client("fe");
        c.get("/slow", "");
        origin.wait_line(1, "< GET /slow");
        w.process(0).signal(Signal::USR1);
        let port = w.port("fe");
        let closed = portcullis_e2e::process::wait_for(PATIENCE, || {
            (!portcullis_e2e::ports::is_listening(port)).then_some(())
        });
        w.note(format!("listener closed: {}", closed.is_some()));
        gate.open();
        c.read_to_end();
        ended(w, 0);
    });
}

#[test]
fn soft_stop_closes_idle_clients() {
    scenario("signals/soft_stop_closes_idle_clients", |w| {
        w.ok("o1");
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/", "").response();
        w.process(0).signal(Signal::USR1);
        c.read_to_end();
        ended(w, 0);
    });
}

#[test]
fn hard_stop_after_ends_what_stays() {
    scenario("signals/hard_stop_after_ends_what_stays", |w| {
        let origin = w.origin("o1", |mut c| {
            c.request();
            c.wait_end();
        });
        w.proxy(&format!(
            "global\n  nbthread 1\n  hard-stop-after 500ms\ndefaults\n  mode http\n  timeout connect 2s\n  timeout client 30s\n  timeout server 30s\n{}",
            sections("", "")
        ));
        let mut c = w.client("fe");
        c.get("/", "");
        origin.wait_line(0, "< GET");
        w.process(0).signal(Signal::USR1);
        c.wait_end();
        ended(w, 0);
    });
}

#[test]
fn terminate_ends_what_runs() {
    scenario("signals/terminate_ends_what_runs", |w| {
        let origin = w.origin("o1", |mut c| {
            c.request();
            c.wait_end();
        });
        w.proxy(&sections("", ""));
        let mut c = w.client("fe");
        c.get("/", "");
        origin.wait_line(0, "< GET");
        w.process(0).signal(Signal::TERM);
        c.wait_end();
        ended(w, 0);
    });
}

#[test]
fn hangup_and_quit_do_not_end_it() {
    scenario("signals/hangup_and_quit_do_not_end_it", |w| {
        w.ok("o1");
        w.proxy(&sections("", ""));
        up(w);
        w.process(0).signal(Signal::HUP);
        w.process(0).signal(Signal::QUIT);
        w.process(0).signal(Signal::PIPE);
        up(w);
        let running = w.process(0).is_running();
        w.note(format!("running: {running}"));
    });
}

#[test]
fn a_new_process_takes_over() {
    scenario("signals/a_new_process_takes_over", |w| {
        w.ok("o1");
        w.proxy(&sections("", ""));
        up(w);
        let old = w.process(0).pid().to_string();
        let text = sections("http-request set-header X-New 1", "");
        w.proxy_with(&text, &["-db", "-sf", &old]);
        ended(w, 0);
        up(w);
        w.process(1).signal(Signal::TERM);
        ended(w, 1);
    });
}

#[test]
fn a_new_process_ends_the_old_at_once() {
    scenario("signals/a_new_process_ends_the_old_at_once", |w| {
        w.ok("o1");
        w.proxy(&sections("", ""));
        up(w);
        let mut idle = w.client("fe");
        idle.get("/", "").response();
        let old = w.process(0).pid().to_string();
        w.proxy_with(&sections("", ""), &["-db", "-st", &old]);
        idle.wait_end();
        ended(w, 0);
        up(w);
    });
}

#[test]
fn pid_file() {
    scenario("signals/pid_file", |w| {
        w.ok("o1");
        w.proxy_with(&sections("", ""), &["-W", "-p", "${dir}/pid"]);
        up(w);
        let pid = w.process(0).pid().to_string();
        let path = w.dir().join("pid");
        let text = portcullis_e2e::process::wait_for(PATIENCE, || {
            std::fs::read_to_string(&path).ok().filter(|t| !t.is_empty())
        });
        w.note(format!("the master's pid: {}", text.unwrap_or_default().trim() == pid));
    });
}

#[test]
fn master_worker_stops_with_its_workers() {
    for (name, signal) in [("usr1", Signal::USR1), ("term", Signal::TERM)] {
        scenario(&format!("signals/master_{name}"), |w| {
            w.ok("o1");
            // a worker may serve before its master takes signals
            let socket = notify_socket(w);
            w.proxy_with(&sections("", ""), &["-Ws", "-db"]);
            wait_ready(&socket);
            up(w);
            w.process(0).signal(signal);
            ended(w, 0);
        });
    }
}

#[test]
fn master_reloads_on_usr2() {
    scenario("signals/master_reloads_on_usr2", |w| {
        let answer = |n: u32| {
            format!(
                "frontend fe\n  bind 127.0.0.1:${{fe}}\n  http-request return status 200 hdr X-Version {n}\n"
            )
        };
        w.proxy_with(&answer(1), &["-W", "-db"]);
        up(w);
        let text = format!("{}{}", portcullis_e2e::world::PREAMBLE, answer(2));
        w.file("0.cfg", &text);
        w.process(0).signal(Signal::USR2);
        let seen = portcullis_e2e::process::wait_for(PATIENCE, || {
            let port = w.port("fe");
            let mut c = portcullis_e2e::Client::tcp(port, Default::default());
            (c.get("/", "Connection: close\r\n").response().field("x-version").as_deref() == Some("2"))
                .then_some(())
        });
        w.note(format!("reloaded: {}", seen.is_some()));
        w.process(0).signal(Signal::TERM);
        ended(w, 0);
    });
}

#[test]
fn master_keeps_its_workers_when_the_new_configuration_is_wrong() {
    scenario("signals/master_keeps_its_workers", |w| {
        w.ok("o1");
        w.proxy_with(&sections("", ""), &["-W", "-db"]);
        up(w);
        w.file("0.cfg", "frontend fe\n  nonsense\n");
        w.process(0).signal(Signal::USR2);
        let process = w.process(0);
        let said = portcullis_e2e::process::wait_for(PATIENCE, || {
            process.stderr().contains("nonsense").then_some(())
        });
        w.note(format!("error shown: {}", said.is_some()));
        up(w);
    });
}

/// What systemd listens on for a service of type notify.
fn notify_socket(w: &mut World) -> UnixDatagram {
    let path = w.dir().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    w.env("NOTIFY_SOCKET", &path.display().to_string());
    socket
}

/// The next datagram on it.
fn notified(socket: &UnixDatagram) -> String {
    let mut datagram = [0; 1024];
    let n = socket.recv(&mut datagram).unwrap_or(0);
    String::from_utf8_lossy(&datagram[..n]).into_owned()
}

/// Waits until the master says that it serves.
fn wait_ready(socket: &UnixDatagram) {
    loop {
        let text = notified(socket);
        assert!(!text.is_empty(), "the master never says that it serves");
        if text.lines().any(|l| l == "READY=1") {
            return;
        }
    }
}

/// systemd's notification socket hears READY=1 from a master started with -Ws.
#[test]
fn systemd_is_told() {
    scenario("signals/systemd_is_told", |w| {
        w.ok("o1");
        let socket = notify_socket(w);
        w.proxy_with(&sections("", ""), &["-Ws"]);
        let text = notified(&socket);
        w.note(format!("ready: {}", text.lines().any(|l| l == "READY=1")));
    });
}

#[test]
fn workers_hold_no_more_descriptors_after_load() {
    scenario("signals/descriptors_come_back", |w| {
        w.ok("o1");
        w.proxy(&sections("timeout http-keep-alive 5s", "http-reuse never"));
        up(w);
        up(w);
        let before = w.process(0).descriptors();
        let port = w.port("fe");
        for _ in 0..20 {
            let mut c = portcullis_e2e::Client::tcp(port, Default::default());
            c.get("/", "").response();
        }
        let process = w.process(0);
        let back =
            portcullis_e2e::process::wait_for(PATIENCE, || (process.descriptors() <= before).then_some(()));
        w.note(format!("back to the start: {}", back.is_some()));
    });
}

/// An alarm means nothing to the process.
#[test]
fn an_alarm() {
    scenario("signals/an_alarm", |w| {
        w.ok("o1");
        w.proxy(&sections("", ""));
        up(w);
        w.process(0).signal(Signal::ALARM);
        up(w);
        w.process(0).signal(Signal::TERM);
        ended(w, 0);
    });
}
