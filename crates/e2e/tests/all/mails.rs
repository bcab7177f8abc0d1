//! Mails about servers (`email-alert`, `mailers`: manual section 12.3): what a mail server is told, as by the HAProxy that
//! sends mails by itself (up to 3.2).
use portcullis_e2e::World;
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::{PATIENCE, wait_for};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

/// A mail server that takes everything, and writes down each dialogue; dates are masked.
fn mail_server(port: u16) -> Arc<Mutex<Vec<String>>> {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let mails: Arc<Mutex<Vec<String>>> = Arc::default();
    let taken = mails.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut to) = stream else { return };
            let from = BufReader::new(to.try_clone().unwrap());
            let mut mail = String::new();
            let mut data = false;
            let _ = to.write_all(b"220-sink\r\n220 sink\r\n");
            for line in from.lines().map_while(Result::ok) {
                let shown = if line.starts_with("Date: ") { "Date: ..." } else { &line };
                mail.push_str(shown);
                mail.push('\n');
                let answer: &[u8] = match line.as_str() {
                    "." => b"250 taken\r\n",
                    _ if data => continue,
                    "DATA" => b"354 go on\r\n",
                    "QUIT" => b"221 bye\r\n",
                    _ => b"250 ok\r\n",
                };
                data = line == "DATA";
                let _ = to.write_all(answer);
                if line == "QUIT" {
                    break;
                }
            }
            taken.lock().unwrap().push(mail);
        }
    });
    mails
}

fn ask(w: &World, command: &str) {
    // its file is there a moment before it listens
    let mut s = wait_for(PATIENCE, || UnixStream::connect(w.dir().join("cli")).ok()).unwrap();
    let _ = s.write_all(format!("{command}\n").as_bytes());
    let _ = s.shutdown(Shutdown::Write);
    let _ = s.read_to_string(&mut String::new());
}

/// What a binary mails at this `email-alert level` while an operator plays with a server.
fn play(binary: Binary, level: &str) -> Vec<String> {
    let mut w = World::new(binary);
    let mails = mail_server(w.port("smtp"));
    w.proxy(&format!(
        "\
global
  stats socket ${{dir}}/cli level admin
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
mailers post
  mailer one 127.0.0.1:${{smtp}}
frontend fe
  bind 127.0.0.1:${{fe}}
  default_backend be
backend be
  email-alert mailers post
  email-alert from proxy@example.org
  email-alert to admin@example.org
  email-alert myhostname here
{level}  server s1 127.0.0.1:1
  server s2 127.0.0.1:2
"
    ));
    let socket = w.dir().join("cli");
    assert!(wait_for(PATIENCE, || socket.exists().then_some(())).is_some(), "no stats socket");
    for command in [
        "set server be/s1 state maint",
        "set server be/s1 state ready",
        "set server be/s1 health down",
        "set server be/s1 health up",
        "set server be/s1 state drain",
        "set server be/s1 health down",
        "set server be/s2 health down",
    ] {
        ask(&w, command);
    }
    // the last of them is mailed at every level
    let last = || mails.lock().unwrap().last().is_some_and(|m| m.contains("be/s2 is DOWN")).then_some(());
    assert!(wait_for(PATIENCE, last).is_some(), "{:?}", mails.lock().unwrap());
    let all = mails.lock().unwrap().clone();
    w.settle();
    all
}

fn mail(text: &str) -> String {
    format!(
        "HELO here\nMAIL FROM:<proxy@example.org>\nRCPT TO:<admin@example.org>\nDATA\nFrom: proxy@example.org\nTo: \
         admin@example.org\nDate: ...\nSubject: [HAProxy Alert] {text}\n\n{text}\n\n.\nQUIT\n"
    )
}

const DOWN: &str = "Server be/s1 is DOWN, changed from CLI. 1 active and 0 backup servers left. 0 sessions active, 0 \
                    requeued, 0 remaining in queue";
const UP: &str = "Server be/s1 is UP, changed from CLI. 2 active and 0 backup servers online. 0 sessions requeued, 0 total \
                  in queue";
const DRAIN: &str = "Server be/s1 enters drain state. 1 active and 0 backup servers online. 0 sessions requeued, 0 total in \
                     queue";
const LAST: &str = "Server be/s2 is DOWN, changed from CLI. 0 active and 0 backup servers left. 0 sessions active, 0 \
                    requeued, 0 remaining in queue";

#[test]
fn what_is_mailed() {
    let cases: [(&str, &[&str]); 2] =
        [("", &[DOWN, LAST]), ("  email-alert level notice\n", &[DOWN, UP, DRAIN, DOWN, LAST])];
    for (level, texts) in cases {
        let expected: Vec<String> = texts.iter().map(|t| mail(t)).collect();
        assert_eq!(play(Binary::under_test(), level), expected, "{level}");
        if let Some(debian) = Binary::debian() {
            assert_eq!(play(debian, level), expected, "Debian's, {level}");
        }
    }
}

/// What cannot be mailed is told in the log.
#[test]
fn no_mail_server() {
    let mut w = World::new(Binary::under_test());
    w.port("smtp");
    w.proxy(
        "\
global
  log 127.0.0.1:${log} local0
  stats socket ${dir}/cli level admin
defaults
  mode http
  log global
  timeout connect 5s
  timeout client 5s
  timeout server 5s
mailers post
  mailer one 127.0.0.1:${smtp}
backend be
  email-alert mailers post
  email-alert from proxy@example.org
  email-alert to admin@example.org
  server s1 127.0.0.1:1
  server s2 127.0.0.1:2
",
    );
    let socket = w.dir().join("cli");
    assert!(wait_for(PATIENCE, || socket.exists().then_some(())).is_some(), "no stats socket");
    ask(&w, "set server be/s1 health down");
    let logs = w.logs(2);
    assert!(logs.iter().any(|l| l.contains("Can't send email alert to one: Can't connect to")), "{logs:?}");
}
