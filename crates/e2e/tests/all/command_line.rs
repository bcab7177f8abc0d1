//! The command line (management.txt section 3) and what -c says.
use crate::sections;
use portcullis_e2e::process::wait_for;
use portcullis_e2e::{Output, World, scenario};
use std::io::{Read, Write};
use std::time::Duration;

const VALID: &str = "defaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\nfrontend fe\n  bind 127.0.0.1:${fe}\n  default_backend be\nbackend be\n  server s1 127.0.0.1:${o1}\n";
const WARNS: &str = "frontend fe\n  mode http\n  bind 127.0.0.1:${fe}\n";
const WRONG: &str = "frontend fe\n  mode http\n  nonsense\n  bind 127.0.0.1:${fe}\n";

fn note(w: &World, what: &str, output: &Output) {
    let says = |text: &str| if text.trim().is_empty() { "silent" } else { "speaks" };
    w.note(format!(
        "{what}: code {}, stdout {}, stderr {}",
        output.code,
        says(&output.stdout),
        says(&output.stderr)
    ));
}

#[test]
fn check_codes() {
    scenario("command_line/check_codes", |w| {
        for (name, config) in [
            ("valid", VALID),
            ("warns", WARNS),
            ("wrong", WRONG),
            ("empty", ""),
            ("blank", "\n# only a comment\n"),
        ] {
            for args in [&[][..], &["-V"], &["-q"], &["-dW"], &["-q", "-dW"]] {
                let output = w.check(config, args);
                note(w, &format!("{name} {args:?}"), &output);
            }
        }
    });
}

#[test]
fn zero_warning_refuses_warnings() {
    scenario("command_line/zero_warning_refuses_warnings", |w| {
        for (name, config) in [("valid", VALID), ("warns", WARNS)] {
            let output = w.check(&format!("global\n  zero-warning\n{config}"), &[]);
            note(w, name, &output);
        }
    });
}

#[test]
fn check_says_valid() {
    scenario("command_line/check_says_valid", |w| {
        for args in [&[][..], &["-V"]] {
            let output = w.check(VALID, args);
            w.note(format!("{args:?} {:?}", output.stdout.lines().last().unwrap_or("")));
        }
    });
}

#[test]
fn version_line() {
    for arg in ["-v", "-vv"] {
        scenario(&format!("command_line/version_line{arg}"), |w| {
            let output = w.run(&[arg]);
            let first = output.stdout.lines().next().unwrap_or("");
            w.note(format!("code {}, {}", output.code, first.starts_with("HAProxy version ")));
        });
    }
}

/// The version that tools look for, and that it is us.
#[test]
fn version_is_ours() {
    let binary = portcullis_e2e::binary::Binary::under_test();
    if binary.is_haproxy() {
        return; // the reference plays the scenarios
    }
    let mut w = World::new(binary);
    let output = w.run(&["-v"]);
    let mut lines = output.stdout.lines();
    assert!(lines.next().is_some_and(|l| l.starts_with("HAProxy version 3.5")), "{}", output.stdout);
    assert!(output.stdout.to_lowercase().contains("portcullis"), "{}", output.stdout);
    let output = w.run(&["-vv"]);
    assert!(output.stdout.starts_with("HAProxy version 3.5"), "{}", output.stdout);
}

#[test]
fn usage_errors() {
    scenario("command_line/usage_errors", |w| {
        for args in [
            &[][..],
            &["-Z"],
            &["-f"],
            &["-f", "${dir}/not-there", "-c"],
            &["-n", "x", "-c", "-f", "/dev/null"],
            &["-c"],
            &["-h"],
        ] {
            let output = w.run(args);
            w.note(format!("{args:?}: code {}", output.code));
        }
    });
}

#[test]
fn several_files_and_a_directory() {
    scenario("command_line/several_files_and_a_directory", |w| {
        let global = w.expand(portcullis_e2e::world::PREAMBLE);
        w.file("a.cfg", &global);
        w.file("conf/20-be.cfg", "backend be\n  http-request return status 200 hdr X-From directory\n");
        w.file("conf/10-fe.cfg", "frontend fe\n  bind 127.0.0.1:${fe}\n  default_backend be\n");
        w.file("conf/.hidden.cfg", "nonsense\n");
        w.file("conf/other.txt", "nonsense\n");
        let output = w.run(&["-c", "-f", "${dir}/a.cfg", "-f", "${dir}/conf"]);
        note(w, "-f twice", &output);
        let output = w.run(&["-c", "--", "${dir}/a.cfg", "${dir}/conf/20-be.cfg", "${dir}/conf/10-fe.cfg"]);
        note(w, "--", &output);
        let output = w.run(&["-c", "-f", "${dir}/conf/20-be.cfg", "--", "${dir}/a.cfg"]);
        note(w, "-f and --", &output);
        let output = w.run(&["-c", "-C", "${dir}/conf", "-f", "20-be.cfg"]);
        note(w, "-C", &output);
        let output = w.run(&["-c", "-C", "${dir}/nowhere", "-f", "20-be.cfg"]);
        note(w, "-C to nowhere", &output);
    });
}

#[test]
fn daemon_leaves_the_terminal() {
    scenario("command_line/daemon_leaves_the_terminal", |w| {
        w.ok("o1");
        w.proxy_with(&sections("", ""), &["-D", "-p", "${dir}/pid"]);
        let output = w.process(0).wait(portcullis_e2e::process::PATIENCE);
        w.note(format!("parent: {:?}", output.map(|o| o.code)));
        let mut c = w.client("fe");
        c.get("/", "Connection: close\r\n").response();
        let pid = std::fs::read_to_string(w.dir().join("pid")).unwrap_or_default();
        let pid = pid.trim().parse::<i32>().ok().and_then(rustix::process::Pid::from_raw).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::USR1).unwrap();
        let gone = portcullis_e2e::process::wait_for(portcullis_e2e::process::PATIENCE, || {
            rustix::process::test_kill_process(pid).err()
        });
        w.note(format!("soft stop ends it: {}", gone.is_some()));
    });
}

#[test]
fn port_in_use() {
    scenario("command_line/port_in_use", |w| {
        let origin = w.ok("fe");
        let file = w.file("x.cfg", VALID).display().to_string();
        let output = w.run(&["-db", "-f", &file]);
        w.note(format!("code {}, alert {}", output.code, output.stderr.contains("[ALERT]")));
        drop(origin);
    });
}

macro_rules! conditions {
    ($($name:ident: $text:expr;)*) => {
        /// `-cc` answers by its exit code: 0 true, 1 false or wrong.
        #[test]
        fn conditions() {
            $(scenario(concat!("conditions/", stringify!($name)), |w| {
                w.env("SET", "value");
                w.env("EMPTY", "");
                let output = w.run(&["-cc", $text]);
                w.note(format!("{} -> {}", $text, output.code));
            });)*
        }
    };
}

conditions! {
    empty: "";
    one: "1";
    zero: "0";
    text: "text";
    not_zero: "!0";
    not_not: "!!1";
    and: "1 && 0";
    or: "0 || 1";
    precedence: "1 || 0 && 0";
    parentheses: "(1 || 0) && 0";
    nested: "((1))";
    unclosed: "(1";
    spaces: "  1  &&  !0 ";
    dangling: "1 &&";
    defined_set: "defined(SET)";
    defined_empty: "defined(EMPTY)";
    defined_not: "defined(NOT_THERE)";
    not_defined: "!defined(NOT_THERE)";
    streq: "streq(a,a)";
    streq_false: "streq(a,b)";
    streq_env: "streq(\"$SET\",value)";
    streq_quoted: "streq(\"a b\",\"a b\")";
    strneq: "strneq(a,b)";
    strstr: "strstr(haystack,sta)";
    strstr_false: "strstr(haystack,none)";
    version_atleast: "version_atleast(2.4)";
    version_atleast_dev: "version_atleast(2.5-dev2)";
    version_before: "version_before(9.0)";
    version_before_false: "version_before(2.0)";
    feature_thread: "feature(THREAD)";
    feature_openssl: "feature(OPENSSL)";
    feature_unknown: "feature(NO_SUCH_THING)";
    feature_wurfl: "feature(WURFL)";
    openssl: "openssl_version_atleast(1.1.1)";
    openssl_before: "openssl_version_before(0.9.8)";
    api_atleast: "enabled(SPLICE)";
    enabled_poll: "enabled(EPOLL)";
    enabled_unknown: "enabled(NOTHING)";
    unknown_function: "nonsense(1)";
    arguments_missing: "streq(a)";
    arguments_too_many: "streq(a,b,c)";
}

/// A directory without a configuration, and a master's socket without a master.
#[test]
fn refused_lines() {
    scenario("command_line/refused_lines", |w| {
        let empty = w.dir().join("nothing");
        std::fs::create_dir(&empty).unwrap();
        let file = w.file("valid.cfg", "").display().to_string();
        for (name, args) in [
            ("empty directory", vec!["-c", "-f", empty.to_str().unwrap()]),
            ("-S without -W", vec!["-c", "-S", "127.0.0.1:1", "-f", &file]),
            ("-S with -W", vec!["-c", "-W", "-S", "127.0.0.1:1", "-f", &file]),
            ("-dV", vec!["-c", "-dV", "-f", &file]),
        ] {
            let output = w.run(&args);
            w.note(format!("{name}: code {}", output.code));
        }
    });
}

/// Descriptors that a service manager hands over are not there when the configuration is checked.
#[test]
fn check_without_descriptors() {
    scenario("command_line/check_without_descriptors", |w| {
        let config = VALID.replace("default_backend be\n", "default_backend be\n  log fd@77 local0\n");
        let output = w.check(&config, &[]);
        w.note(format!("log: code {}", output.code));
    });
}

/// `-m`: what it takes to serve fits into little.
#[test]
fn little_memory() {
    for megabytes in ["100", "500"] {
        scenario(&format!("command_line/memory_{megabytes}"), |w| {
            w.ok("o1");
            w.proxy_with(&crate::sections("", ""), &["-db", "-m", megabytes]);
            for _ in 0..3 {
                w.client("fe").get("/", "Connection: close\r\n").read_to_end();
            }
        });
    }
}

/// The words of a line that `-d` shows, without numbers of streams, descriptors and ports.
fn shown(line: &str) -> Option<String> {
    let (who, what) = line.split_once(':')?.1.split_once('.')?;
    let name = what.split(['(', '[']).next()?;
    let text = if name == "accept" { what.rsplit_once("] ")?.1 } else { what.split_once(']')?.1 };
    Some(format!("{who}.{name} {text}"))
}

/// As a test harness or a service manager starts it: `-d`, and a listening socket that was left in blocking mode.
#[test]
fn debug_mode_on_an_inherited_socket() {
    scenario("command_line/debug_mode_on_an_inherited_socket", |w| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let inherited = rustix::io::dup(&listener).unwrap(); // stays open in who is started
        w.answering("o1", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-a: b\r\n\r\nok");
        let bind = format!("fd@{}", std::os::fd::AsRawFd::as_raw_fd(&inherited));
        let process = w.proxy_with(&VALID.replace("127.0.0.1:${fe}", &bind), &["-d"]);
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        client.write_all(b"GET /a HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        w.note(format!("answer: {}", String::from_utf8_lossy(&answer).lines().next().unwrap_or("")));
        let closed = |text: &str| text.lines().any(|l| l.contains("be.closed"));
        let output = wait_for(Duration::from_secs(10), || {
            Some(w.process(process).stdout()).filter(|text| closed(text))
        });
        for line in output.as_deref().unwrap_or("nothing").lines() {
            w.note(shown(line).unwrap_or_else(|| line.to_owned()));
        }
    });
}

/// `-dC` shows the configuration and does not serve it.
#[test]
fn a_dump_ends_the_process() {
    scenario("command_line/a_dump_ends_the_process", |w| {
        let config = w.expand(VALID);
        let path = w.file("valid.cfg", &config);
        let output = w.run(&["-dC", "-f", path.to_str().unwrap()]);
        w.note(format!("{:?} {}", output.code, output.stdout.contains("default_backend be")));
    });
}
