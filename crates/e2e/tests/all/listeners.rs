//! What `bind` lines ask the system for, and what happens where it refuses (manual section 5.1).
use crate::sections;
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{World, scenario};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

const DEFAULTS: &str =
    "defaults\n  mode http\n  timeout connect 10s\n  timeout client 30s\n  timeout server 30s\n";

fn answers(w: &mut World) {
    w.client("fe").get("/up", "Connection: close\r\n").read_to_end();
}

/// Warnings and alerts that name a listener.
fn complaints(w: &mut World) {
    let told = || Some(w.process(0).stderr()).filter(|text| text.contains("protocol tcpv4:"));
    let text = wait_for(PATIENCE, told).unwrap_or_default();
    for line in text.lines().filter(|l| l.contains("protocol tcpv4:")) {
        let from = line.find(']').map_or(0, |at| at + 1);
        let message = line[from..].split_once(" : ").map_or("", |(_, m)| m);
        w.note(format!("{}{message}", &line[..from]));
    }
}

fn refused(name: &str, options: &'static str) {
    scenario(&format!("listeners/{name}"), |w| {
        w.ok("o1");
        w.proxy(&sections("", "").replace("${fe}", &format!("${{fe}} {options}")));
        answers(w);
        complaints(w);
    });
}

#[test]
fn an_interface_that_is_not_there() {
    refused("an_interface_that_is_not_there", "interface nope0");
}

#[test]
fn a_segment_size_that_cannot_be() {
    refused("a_segment_size_that_cannot_be", "mss 50");
}

#[test]
fn an_algorithm_that_is_not_there() {
    refused("an_algorithm_that_is_not_there", "cc nope");
}

/// What the kernel tells of the listener in `ss`: the backlog.
fn backlog(w: &mut World, name: &str) -> String {
    let port = w.port(name);
    let out = Command::new("ss").args(["-ltnH", &format!("sport = :{port}")]).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    text.split_whitespace().nth(2).unwrap_or("none").to_owned()
}

#[test]
fn backlogs() {
    scenario("listeners/backlogs", |w| {
        w.proxy(&format!(
            "global\n  nbthread 1\n  maxconn 321\n{DEFAULTS}  http-request return status 200\n\
             frontend a\n  bind 127.0.0.1:${{fe}}\n  bind 127.0.0.1:${{bind}} backlog 17\n  bind 127.0.0.1:${{limit}} maxconn 18\n\
             frontend b\n  bind 127.0.0.1:${{section}}\n  backlog 19\n\
             frontend c\n  bind 127.0.0.1:${{frontend}}\n  maxconn 20\n"
        ).replace("  http-request return status 200\n", "").replace("frontend b", "  http-request return status 200\nfrontend b"));
        for name in ["fe", "bind", "limit", "section", "frontend"] {
            let n = backlog(w, name);
            w.note(format!("{name} {n}"));
        }
        answers(w);
    });
}

#[test]
fn unix_sockets_have_a_prefix_and_an_owner() {
    if !rustix::process::geteuid().is_root() {
        return; // only root gives files away
    }
    scenario("listeners/unix_sockets_have_a_prefix_and_an_owner", |w| {
        w.proxy(&format!(
            "global\n  nbthread 1\n  unix-bind prefix ${{dir}}/u- mode 770 uid 65534 gid 65533\n  \
             stats socket ${{dir}}/own\n{DEFAULTS}frontend a\n  \
             bind 127.0.0.1:${{fe}}\n  bind unix@a\n  bind unix@b mode 600 uid 1\n  http-request return status 200\n"
        ));
        answers(w);
        for name in ["u-a", "u-b", "own"] {
            let file = std::fs::metadata(w.dir().join(name)).unwrap();
            w.note(format!("{name} {:o} {} {}", file.permissions().mode() & 0o777, file.uid(), file.gid()));
        }
        w.unix_client("u-a").get("/unix", "Connection: close\r\n").read_to_end();
    });
}

/// Names of `abns@` are as long as can be, those of `abnsz@` as they are written; servers find both.
#[test]
fn abstract_names() {
    scenario("listeners/abstract_names", |w| {
        let unique = format!("e2e-{}-{}", std::process::id(), w.port("fe"));
        w.proxy(&format!(
            "global\n  nbthread 1\n{DEFAULTS}frontend fe\n  bind 127.0.0.1:${{fe}}\n  use_backend z if {{ path /z }}\n  \
             default_backend p\nbackend p\n  server s abns@{unique}p\nbackend z\n  server s abnsz@{unique}z\n\
             frontend inner\n  bind abns@{unique}p\n  bind abnsz@{unique}z\n  http-request return status 200\n"
        ));
        w.client("fe").get("/p", "Connection: close\r\n").read_to_end();
        w.client("fe").get("/z", "Connection: close\r\n").read_to_end();
        let all = std::fs::read_to_string("/proc/net/unix").unwrap();
        for end in ["p", "z"] {
            let name = format!("@{unique}{end}");
            let longest = all
                .lines()
                .filter_map(|l| l.split_whitespace().nth(7))
                .filter(|n| n.trim_end_matches('@') == name)
                .map(str::len)
                .max();
            let padded = longest.map(|n| if n == name.len() { "as written" } else { "padded" });
            w.note(format!("{end} {padded:?}"));
        }
    });
}

#[test]
fn several_addresses_and_ranges() {
    scenario("listeners/several_addresses_and_ranges", |w| {
        w.ok("o1");
        w.proxy(&sections("", "").replace("${fe}", "${fe},127.0.0.2:${fe},127.0.0.1:${two}"));
        answers(w);
        w.client("two").get("/two", "Connection: close\r\n").read_to_end();
    });
}

/// Every socket of a set of threads is accepted on, whatever their numbers.
#[test]
fn shards_of_some_threads() {
    scenario("listeners/shards_of_some_threads", |w| {
        w.proxy(&format!(
            "global\n  nbthread 4\n{DEFAULTS}frontend fe\n  bind 127.0.0.1:${{fe}} thread 2,4 shards by-thread\n  \
             bind 127.0.0.1:${{two}} thread 3 shards 4\n  http-request return status 200\n"
        ));
        for name in ["fe", "two"] {
            let port = w.port(name);
            let out = Command::new("ss").args(["-ltnH", &format!("sport = :{port}")]).output().unwrap();
            w.note(format!("{name} {}", String::from_utf8_lossy(&out.stdout).lines().count()));
        }
        for _ in 0..16 {
            answers(w);
        }
        w.client("two").get("/two", "Connection: close\r\n").read_to_end();
    });
}

#[test]
fn no_listener_is_an_error() {
    scenario("listeners/no_listener_is_an_error", |w| {
        for (name, text) in [
            ("disabled", "frontend fe\n  bind 127.0.0.1:${fe}\n  disabled\n"),
            ("no bind", "frontend fe\n"),
            ("no frontend", "backend be\n"),
        ] {
            let file = w.file("none.cfg", &format!("global\n  nbthread 1\n{DEFAULTS}{text}"));
            let out = w.run(&["-db", "-f", &file.display().to_string()]);
            let said =
                out.stderr.contains("No enabled listener found (check for 'bind' directives) ! Exiting.");
            w.note(format!("{name}: {:?} {said}", out.code));
        }
    });
}

/// Manual: bind, v4v6, v6only. Without either an IPv6 socket takes IPv4 connections as the system has it.
#[test]
fn any_address_of_ipv6_takes_both_families() {
    let mut w = World::new(Binary::under_test());
    w.proxy(
        "frontend fe\n  mode http\n  bind :::${fe}\n  bind [::]:${only} v6only\n  bind :::${both} v4v6\n  http-request return status 200\n",
    );
    let mut families = |name: &str| {
        let port = w.port(name);
        ["127.0.0.1", "::1"].map(|address| TcpStream::connect((address, port)).is_ok())
    };
    assert_eq!(families("both"), [true, true]);
    assert_eq!(families("only"), [false, true]);
    let system = std::fs::read_to_string("/proc/sys/net/ipv6/bindv6only").unwrap();
    assert_eq!(families("fe"), [system.trim() == "0", true]);
}
