//! One process takes over the listening sockets of another (`-x`, `expose-fd listeners`, `_getsocks`).
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::{PATIENCE, Process, wait_for};
use portcullis_e2e::{Client, World, scenario};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

const CONFIG: &str = "\
global
  stats socket ${dir}/cli level admin expose-fd listeners
  stats socket ${dir}/closed level admin
  hard-stop-after 8s
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend fe
  bind 127.0.0.1:${fe}
  bind 127.0.0.1:${two} interface lo
  bind 127.0.0.1:${three} shards 2
  bind ${dir}/web
  http-request return status 200 content-type text/plain string GENERATION
";

/// What a generation of processes answers with.
fn config(w: &mut World, generation: usize) -> String {
    let text = w.expand(&CONFIG.replace("GENERATION", &format!("gen{generation}")));
    w.file(&format!("{generation}.cfg"), &text).display().to_string()
}

/// Starts the next process; it takes over from `old`.
fn next(w: &mut World, binary: &Binary, generation: usize, old: Option<&Process>) -> Process {
    let file = config(w, generation);
    let mut args = vec!["-db".to_string(), "-f".into(), file];
    if let Some(old) = old {
        let socket = w.dir().join("cli").display().to_string();
        args.extend(["-x".into(), socket, "-sf".into(), old.pid().to_string()]);
    }
    let mut process = Process::spawn(binary, &args, &[]);
    let port = w.port("fe");
    let up = wait_for(PATIENCE, || {
        assert!(process.is_running(), "{}: {}", binary.path.display(), process.stderr());
        let answer = portcullis_e2e::ports::is_listening(port).then(|| {
            let mut c = Client::tcp(port, Default::default());
            c.get("/", "Connection: close\r\n");
            String::from_utf8_lossy(&c.read_to_end().0).into_owned()
        });
        answer.filter(|a| a.contains(&format!("gen{generation}")))
    });
    assert!(up.is_some(), "{} does not answer: {}", binary.path.display(), process.stderr());
    process
}

/// A client that connects anew for every request, to one socket after the other, until told to stop.
fn connects(ports: [u16; 3], web: std::path::PathBuf, stop: Arc<AtomicBool>) -> usize {
    let mut served = 0;
    while !stop.load(SeqCst) {
        let mut c = match ports.get(served % 4) {
            Some(port) => Client::tcp(*port, Default::default()),
            None => Client::unix(&web, Default::default()),
        };
        let response = c.get("/", "Connection: close\r\n").response();
        assert!(response.start_line().contains("200"), "lost after {served} connections");
        served += 1;
    }
    served
}

/// Processes of these binaries take over from each other in turn, and no connection is lost.
fn in_turn(binaries: &[Binary]) {
    let mut w = World::new(Binary::under_test());
    let mut process = next(&mut w, &binaries[0], 0, None);
    let ports = ["fe", "two", "three"].map(|n| w.port(n));
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let (web, stop) = (w.dir().join("web"), stop.clone());
            std::thread::spawn(move || connects(ports, web, stop))
        })
        .collect();
    for (generation, binary) in binaries.iter().enumerate().skip(1) {
        let new = next(&mut w, binary, generation, Some(&process));
        let code = process.wait(PATIENCE).map(|o| o.code);
        assert_eq!(code, Some(0), "the old process has ended");
        process = new;
    }
    stop.store(true, SeqCst);
    for client in clients {
        assert!(client.join().unwrap() > 0);
    }
}

#[test]
fn from_ourselves() {
    in_turn(&[Binary::under_test(), Binary::under_test(), Binary::under_test()]);
}

#[test]
fn from_debians_haproxy_and_back() {
    let Some(haproxy) = Binary::debian() else { return };
    in_turn(&[haproxy.clone(), Binary::under_test(), haproxy]);
}

#[test]
fn from_haproxy35_and_back() {
    let Some(haproxy) = Binary::haproxy35() else { return };
    in_turn(&[haproxy.clone(), Binary::under_test(), haproxy]);
}

#[test]
fn what_cannot_be_taken() {
    scenario("takeover/what_cannot_be_taken", |w| {
        let file = config(w, 0);
        w.file("empty", "");
        for from in ["${dir}/none", "${dir}/empty"] {
            let output = w.run(&["-db", "-f", &file, "-x", from]);
            w.note(format!("{from}: {}", output.code));
            for line in output.stderr.lines().filter(|l| l.contains("old process")) {
                w.note(w.mask(line.split(" : ").last().unwrap_or_default()));
            }
        }
    });
}

/// A socket without `expose-fd listeners` gives nothing; one with it waits for the acknowledgement.
#[test]
fn who_is_given_sockets() {
    scenario("takeover/who_is_given_sockets", |w| {
        let index = w.proxy(CONFIG);
        for socket in ["closed", "cli"] {
            let up = wait_for(PATIENCE, || UnixStream::connect(w.dir().join(socket)).ok());
            let mut s = up.unwrap();
            s.set_read_timeout(Some(PATIENCE)).unwrap();
            s.write_all(b"_getsocks\n").unwrap();
            let mut answer = Vec::new();
            let _ = s.read_to_end(&mut answer);
            w.note(format!("{socket}: {answer:?}"));
        }
        let runs = w.process(index).is_running();
        w.note(format!("runs: {runs}"));
    });
}
