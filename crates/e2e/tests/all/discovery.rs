//! Names of servers: at the start (`init-addr`, state files) and while the process runs (`resolvers`; manual sections 5.2 and
//! 5.3).
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{Dns, Origin, World, scenario};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

const GLOBAL: &str = "\
global
  log 127.0.0.1:${log} local0
  stats socket ${dir}/cli level admin
  nbthread 1
  dns-accept-family ipv4,ipv6
defaults
  mode http
  log global
  timeout connect 2s
  timeout client 5s
  timeout server 5s
  default-server init-addr none resolvers r resolve-prefer ipv4
resolvers r
  nameserver d1 127.0.0.1:${dns}
  timeout resolve 300ms
  timeout retry 300ms
  hold nx 0
  hold refused 0
  hold other 0
  hold timeout 0
frontend fe
  bind 127.0.0.1:${fe}
  default_backend be
";

fn dns(w: &mut World, zone: &str) -> Dns {
    let dns = Dns::start(w.port("dns"));
    let zone = w.expand(zone);
    dns.zone(&zone);
    dns
}

fn start(w: &mut World, config: &str) {
    w.proxy(&format!("{GLOBAL}{config}"));
    ready(w);
}

fn ready(w: &World) {
    let socket = w.dir().join("cli");
    assert!(wait_for(PATIENCE, || socket.exists().then_some(())).is_some(), "no stats socket");
}

fn ask(w: &World, command: &str) -> String {
    let mut s = UnixStream::connect(w.dir().join("cli")).unwrap();
    s.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = s.write_all(format!("{command}\n").as_bytes());
    let _ = s.shutdown(Shutdown::Write);
    let mut answer = String::new();
    let _ = s.read_to_string(&mut answer);
    answer
}

fn command(w: &World, line: &str) {
    let answer = ask(w, line);
    w.note(format!("$ {line}"));
    w.note(format!("| {}", answer.trim()));
}

/// Columns of `show servers state` that say where a server is and why: all but ids, times and checks.
fn states(w: &World) -> Vec<String> {
    let text = ask(w, "show servers state");
    let lines = text.lines().filter(|l| l.split(' ').count() > 20 && !l.starts_with('#'));
    let pick = |l: &str| {
        let c: Vec<&str> = l.split(' ').collect();
        [1, 3, 4, 5, 6, 7, 17, 18, 19].iter().map(|at| c[*at]).collect::<Vec<_>>().join(" ")
    };
    lines.map(pick).collect()
}

fn note_states(w: &World) {
    states(w).into_iter().for_each(|s| w.note(s));
}

/// Waits until a server's line begins so.
fn until(w: &World, begins: &str) {
    let there = wait_for(PATIENCE, || states(w).iter().any(|s| s.starts_with(begins)).then_some(()));
    assert!(there.is_some(), "no '{begins}' in {:#?}", states(w));
}

/// The messages of the log so far, without their dates.
fn log(w: &mut World, n: usize) {
    let lines = w.logs(n);
    w.forget_logs();
    for line in lines {
        let (level, rest) = line.split_once('>').unwrap_or(("", &line));
        w.note(format!("{level}> {}", rest.split_once("]: ").map_or(rest, |(_, t)| t)));
    }
}

fn get(w: &mut World, host: &str) {
    let mut c = w.client("fe");
    c.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
    c.read_to_end();
}

#[test]
fn an_address_comes_changes_and_goes() {
    scenario("discovery/an_address_comes_changes_and_goes", |w| {
        w.ok("o1");
        let dns = dns(w, "");
        start(w, "backend be\n  server s1 A.test:${o1}\n");
        get(w, "h");
        note_states(w);
        dns.zone("a.test A 127.0.0.1");
        until(w, "be s1 127.0.0.1 2 0");
        get(w, "h");
        dns.zone("a.test A 127.0.0.2");
        until(w, "be s1 127.0.0.2");
        get(w, "h");
        dns.zone("");
        until(w, "be s1 -");
        get(w, "h");
        dns.zone("a.test refused");
        note_states(w);
        dns.zone("a.test CNAME b.test\nb.test A 127.0.0.1");
        until(w, "be s1 127.0.0.1 2");
        dns.zone("a.test refused");
        until(w, "be s1 -");
        dns.zone("a.test AAAA ::1");
        until(w, "be s1 ::1 2");
        dns.zone("a.test fails");
        until(w, "be s1 -");
        dns.zone("a.test A 127.0.0.1");
        until(w, "be s1 127.0.0.1 2");
        dns.zone("a.test silent");
        until(w, "be s1 -");
        dns.zone("a.test A 127.0.0.1");
        until(w, "be s1 127.0.0.1 2");
        dns.zone("a.test empty");
        until(w, "be s1 -");
        log(w, 30);
    });
}

#[test]
fn services_fill_slots() {
    scenario("discovery/services_fill_slots", |w| {
        w.ok("o1");
        w.ok("o2");
        let dns = dns(w, "_h._t.x SRV 256 ${o1} t1.test\nt1.test A 127.0.0.1");
        // 3.5 does not see that it is a service if 'resolvers' stands in a default-server
        let config = GLOBAL.replace("  default-server init-addr none resolvers r resolve-prefer ipv4\n", "");
        let servers = "  server-template s 2 _h._t.x resolvers r init-addr none resolve-prefer ipv4\n";
        w.proxy(&format!("{config}backend be\n{servers}"));
        ready(w);
        until(w, "be s1 127.0.0.1 2");
        note_states(w);
        get(w, "h");
        // another service, with its address
        let zone = w.expand(
            "_h._t.x SRV 513 ${o1} t1.test\n_h._t.x SRV 65535 ${o2} t2.test\nadd t2.test A 127.0.0.1\nt1.test A 127.0.0.1",
        );
        dns.zone(&zone);
        until(w, "be s2 127.0.0.1 2");
        until(w, "be s1 127.0.0.1 2 64 3");
        note_states(w);
        // the first one goes, and with it its slot; its address is still known
        let zone = w.expand("_h._t.x SRV 65535 ${o2} t2.test\nadd t2.test A 127.0.0.1\nt1.test A 127.0.0.1");
        dns.zone(&zone);
        until(w, "be s1 -");
        note_states(w);
        get(w, "h");
        command(w, "set server be/s1 fqdn foo.test");
        log(w, 11);
    });
}

#[test]
fn templates_share_addresses_out() {
    scenario("discovery/templates_share_addresses_out", |w| {
        let dns = dns(w, "m.test A 127.0.0.1\nm.test A 127.0.0.2");
        // 3.5 makes less of a template if 'resolvers' stands in a default-server
        let config = GLOBAL.replace("  default-server init-addr none resolvers r resolve-prefer ipv4\n", "");
        let options = "m.test:80 resolvers r init-addr none resolve-prefer ipv4";
        w.proxy(&format!(
            "{config}backend be\n  server-template s 2-4 {options}\nbackend dup\n  server-template s 2 {options} \
             resolve-opts allow-dup-ip\n"
        ));
        ready(w);
        until(w, "be s2 127");
        until(w, "be s3 127");
        until(w, "dup s2 127");
        let mut all: Vec<String> =
            states(w).iter().filter_map(|s| s.split(' ').nth(2).map(str::to_owned)).collect();
        all.sort();
        w.note(all.join(" "));
        note_states_of(w, "s4");
        dns.zone("m.test A 127.0.0.2");
        wait_for(PATIENCE, || {
            (states(w).iter().filter(|s| s.contains(" 127.0.0.2 ")).count() == 3).then_some(())
        })
        .unwrap();
        let lone = states(w).iter().filter(|s| s.starts_with("be ") && s.contains(" - ")).count();
        w.note(format!("without: {lone}"));
        w.forget_logs();
    });
}

fn note_states_of(w: &World, name: &str) {
    states(w).into_iter().filter(|s| s.split(' ').nth(1) == Some(name)).for_each(|s| w.note(s));
}

#[test]
fn orders_and_names_at_run_time() {
    scenario("discovery/orders_and_names_at_run_time", |w| {
        w.ok("o1");
        let dns = dns(w, "b.test A 127.0.0.1");
        // checks are no part of the transcript
        let _checked = Origin::start("checked", w.port("checked"), drop);
        start(
            w,
            "backend be\n  balance first\n  server s1 a.test:${o1}\n  server s2 127.0.0.1:${o1} track be/s3\n  server s3 127.0.0.1:${o1} \
             check inter 1h port ${checked}\n  server s4 none.test:80 init-addr none\n  server s5 127.0.0.1\n",
        );
        for line in [
            "set server be/s1 state maint",
            "set server be/s1 state ready",
            "set server be/s1 addr 127.0.0.9",
            "set server be/s1 fqdn",
            "set server be/s1 fqdn a..b",
            "set server be/s1 fqdn a.test",
            "set server be/s5 addr 127.0.0.9",
            "set server be/s5 addr 127.0.0.9 port +5",
            "set server be/s5 addr 127.0.0.8 port 5",
            "set server be/s5 addr 127.0.0.8",
            "set server be/s5 addr 127.0.0.8 port -7",
            "show resolvers nobody",
            "show stat domain nobody",
        ] {
            command(w, line);
        }
        note_states(w);
        command(w, "set server be/s3 fqdn c.test");
        until(w, "be s3 - 0 96");
        command(w, "set server be/s1 fqdn b.test");
        until(w, "be s1 127.0.0.1 2 64");
        get(w, "h");
        dns.zone("");
        until(w, "be s1 - 0 96");
        command(w, "set server be/s1 state drain");
        dns.zone("b.test A 127.0.0.1");
        until(w, "be s1 127.0.0.1 2 72");
        command(w, "set server be/s1 state maint");
        dns.zone("");
        until(w, "be s1 - 0 97");
        command(w, "set server be/s1 state ready");
        dns.zone("b.test A 127.0.0.1");
        until(w, "be s1 127.0.0.1 2 64");
        log(w, 17);
        let names: Vec<String> = ask(w, "show resolvers")
            .lines()
            .take_while(|l| !l.contains("section default"))
            .map(|l| l.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned())
            .collect();
        names.into_iter().for_each(|n| w.note(n));
        let header = ask(w, "show stat domain resolvers");
        w.note(header.lines().next().unwrap_or_default());
    });
}

#[test]
fn questions_go_over_tcp() {
    scenario("discovery/questions_go_over_tcp", |w| {
        w.ok("o1");
        let dns = dns(w, "a.test A 127.0.0.1");
        let config = GLOBAL.replace("nameserver d1 ", "nameserver d1 tcp@");
        w.proxy(&format!("{config}backend be\n  server s1 a.test:${{o1}}\n"));
        ready(w);
        until(w, "be s1 127.0.0.1 2");
        assert!(dns.asked_by_tcp() > 0 && dns.asked_by_tcp() == dns.asked());
        get(w, "h");
        dns.zone("");
        until(w, "be s1 -");
        log(w, 6);
    });
}

/// DNS over TLS, and over a Unix socket: this very process passes the questions on to the name server.
#[test]
fn questions_go_over_tls() {
    for (known, server) in [
        (true, "tcp@127.0.0.1:${dot} ssl ca-file ${dir}/a.crt.pem verifyhost a.test"),
        (false, "tcp@127.0.0.1:${dot} ssl ca-file ${dir}/b.crt.pem"),
        (true, "uxst@${dir}/dot"),
        (true, "tcp@localhost:${dot} ssl verify none"),
    ] {
        let mut w = World::new(Binary::under_test());
        for own in ["a", "b"] {
            crate::tls::own(&w, own, false, &format!("DNS:{own}.test"));
            // without its key
            let pem = std::fs::read_to_string(w.dir().join(format!("{own}.pem"))).unwrap();
            let end = pem.find("-----END CERTIFICATE-----\n").unwrap() + 26;
            w.file(&format!("{own}.crt.pem"), &pem[..end]);
        }
        let dns = dns(&mut w, "n.test A 127.0.0.1");
        let config = GLOBAL.replace("nameserver d1 127.0.0.1:${dns}", &format!("nameserver d1 {server}"));
        w.proxy(&format!(
            "{config}listen dot\n  mode tcp\n  bind 127.0.0.1:${{dot}} ssl crt ${{dir}}/a.pem\n  bind ${{dir}}/dot\n  server s \
             127.0.0.1:${{dns}}\nbackend be\n  server s1 n.test:80\n"
        ));
        ready(&w);
        if known {
            until(&w, "be s1 127.0.0.1 2");
            assert!(dns.asked_by_tcp() > 0 && dns.asked_by_tcp() == dns.asked());
        } else {
            let failed = || {
                let text = ask(&w, "show resolvers");
                let timeouts = text.lines().find_map(|l| l.trim().strip_prefix("timeout:"))?;
                (timeouts.trim() != "0").then_some(())
            };
            assert!(wait_for(PATIENCE, failed).is_some(), "{}", ask(&w, "show resolvers"));
            assert_eq!(dns.asked(), 0);
        }
    }
}

#[test]
fn rules_look_names_up() {
    scenario("discovery/rules_look_names_up", |w| {
        w.ok("o1");
        let dns = dns(w, "a.test A 127.0.0.1\nb.test AAAA ::1\nc.test refused");
        let config = GLOBAL.replace(
            "  default_backend be\n",
            "  http-request do-resolve(txn.ip,r,ipv4) hdr(host),host_only
  http-request return status 200 content-type text/plain lf-string \"%[var(txn.ip)]\" if { path /ip }
  http-request deny deny_status 404 unless { var(txn.ip) -m found }
  http-request set-dst var(txn.ip)
  http-request set-dst-port int(${o1})
  default_backend be\n",
        );
        w.proxy(&format!("{config}backend be\n  server s1 0.0.0.0:0 init-addr none\n"));
        ready(w);
        get(w, "a.test:80");
        get(w, "nobody.test");
        get(w, "c.test");
        get(w, "a..b");
        let mut c = w.client("fe");
        c.send("GET /ip HTTP/1.1\r\nHost: b.test\r\n\r\n");
        c.response();
        // known by now
        let asked = dns.asked();
        c.send("GET /ip HTTP/1.1\r\nHost: B.test\r\nConnection: close\r\n\r\n");
        c.read_to_end();
        w.note(format!("asked again: {}", dns.asked() != asked));
        // each question goes out at once, and not when it is time to ask again
        let resolvers = ask(w, "show resolvers");
        resolvers
            .lines()
            .filter(|l| l.contains("snd_error") || l.contains("timeout"))
            .for_each(|l| w.note(l));
        w.forget_logs();
    });
}

#[test]
fn addresses_at_the_start() {
    for (at, options) in [
        "",
        "init-addr none",
        "init-addr last",
        "init-addr last,none",
        "init-addr libc,none",
        "init-addr 127.0.0.9",
        "init-addr libc,::1",
        "init-addr last,libc,none,1.2.3.4,5.6.7.8",
        "init-addr foo",
        "init-addr",
        "resolvers r",
        "resolvers nobody",
        "resolvers",
        "resolve-prefer ipv5",
        "resolve-prefer",
        "resolve-net",
        "resolve-net 10.0.0.0/8,foo",
        "init-addr none resolve-net 10.0.0.0/8,fe80::/10,1.2.3.4",
        "resolve-net 1.0.0.0/8,2.0.0.0/8,3.0.0.0/8,4.0.0.0/8,5.0.0.0/8,6.0.0.0/8",
        "resolve-opts foo",
        "init-addr none resolve-opts allow-dup-ip,ignore-weight,prevent-dup-ip",
        "check init-addr none",
    ]
    .into_iter()
    .enumerate()
    {
        scenario(&format!("discovery/start_{at:02}"), |w| {
            for address in ["name.invalid:80", "_h._t.invalid", "127.0.0.1:80", "a..b:80"] {
                let text = format!(
                    "defaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\nresolvers r\n  \
                     nameserver d 127.0.0.1:53\nbackend b\n  server s {address} {options}\n"
                );
                let out = w.check(&text, &[]);
                w.note(format!("server s {address} {options}: {}", out.code));
                note_messages(w, &out.stderr);
            }
        });
    }
}

/// What is said about the configuration, without files and lines.
fn note_messages(w: &World, text: &str) {
    let about = |l: &&str| {
        let severe = l.starts_with("[ALERT]") || l.starts_with("[WARNING]");
        severe && !l.contains("rror(s) found") && !l.contains("Fatal errors")
    };
    for l in text.lines().filter(about) {
        let (severity, rest) = l.split_once(']').unwrap_or(("", l));
        let message = rest.split_once(") : ").map_or(rest, |(_, m)| m);
        let message = match message.split_once("check.cfg:") {
            Some((_, rest)) => rest.trim_start_matches(|c: char| c.is_ascii_digit() || "]: ".contains(c)),
            None => message.strip_prefix("config : ").unwrap_or(message),
        };
        // 3.5 says where the section is before that
        let message = message.trim_start_matches("resolvers 'r' ");
        w.note(format!("  {}] {}", severity, message.trim_end_matches('.')));
    }
}

#[test]
fn sections() {
    for (at, lines) in [
        "",
        "nameserver",
        "nameserver a",
        "nameserver a 127.0.0.1",
        "nameserver a host.invalid:53",
        "nameserver a 127.0.0.1:53-55",
        "nameserver a fd@3",
        "nameserver a/b 127.0.0.1:53",
        "nameserver a 127.0.0.1:53\nnameserver a 127.0.0.1:54",
        "nameserver a tcp@127.0.0.1:53 maxconn 3 check",
        "nameserver a 127.0.0.1:53\nhold nx",
        "nameserver a 127.0.0.1:53\nhold foo 3s",
        "nameserver a 127.0.0.1:53\nhold nx x",
        "nameserver a 127.0.0.1:53\nhold timeout 99999999999",
        "nameserver a 127.0.0.1:53\nhold valid 3d\nhold obsolete 3s\nhold refused 3s\nhold other 3m",
        "nameserver a 127.0.0.1:53\nresolve_retries",
        "nameserver a 127.0.0.1:53\nresolve_retries 0",
        "nameserver a 127.0.0.1:53\ntimeout",
        "nameserver a 127.0.0.1:53\ntimeout foo 3",
        "nameserver a 127.0.0.1:53\ntimeout retry",
        "nameserver a 127.0.0.1:53\ntimeout retry x",
        "nameserver a 127.0.0.1:53\ntimeout resolve 99999999999",
        "nameserver a 127.0.0.1:53\naccepted_payload_size",
        "nameserver a 127.0.0.1:53\naccepted_payload_size 11",
        "nameserver a 127.0.0.1:53\naccepted_payload_size 12",
        "nameserver a 127.0.0.1:53\naccepted_payload_size 65535",
        "nameserver a 127.0.0.1:53\naccepted_payload_size 65536",
        "nameserver a 127.0.0.1:53\nno hold nx 3s",
        "nameserver a 127.0.0.1:53\nresolvers r",
        "nameserver a 127.0.0.1:53\nresolvers s x\nnameserver a :53",
    ]
    .into_iter()
    .enumerate()
    {
        scenario(&format!("discovery/section_{at:02}"), |w| {
            let indented = super::indent(lines).replace("  resolvers", "resolvers");
            let out = w.check(&format!("resolvers r\n{indented}"), &[]);
            w.note(format!("{}: {}", lines.replace('\n', " | "), out.code));
            note_messages(w, &out.stderr);
        });
    }
}

#[test]
fn templates() {
    for (at, line) in [
        "",
        "s 3",
        "s 3 127.0.0.1:80",
        "s 3 localhost:80",
        "s 0 name.invalid:80 init-addr none",
        "s x name.invalid:80 init-addr none",
        "s 1-x name.invalid:80 init-addr none",
        "s 3-1 name.invalid:80 init-addr none",
        "s 0-3 name.invalid:80 init-addr none id 5",
        "s/a 3 name.invalid:80 init-addr none",
        "s 3 name.invalid:80",
        "s 3 name.invalid:80 init-addr none foox",
        "s 3 _a._b.c init-addr none check",
        "s 1 name.invalid:80 from none init-addr none",
        "s 3-4 name.invalid:80 init-addr none\n  server s4 127.0.0.1:80",
    ]
    .into_iter()
    .enumerate()
    {
        scenario(&format!("discovery/template_{at:02}"), |w| {
            let text = format!(
                "defaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\nbackend b\n  \
                 server-template {line}\n"
            );
            let out = w.check(&text, &[]);
            w.note(format!("{}: {}", line.replace('\n', " | "), out.code));
            note_messages(w, &out.stderr);
        });
    }
}

const STATE: &str = "\
1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change \
srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn \
srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port
2 be 1 s1 127.0.0.9 2 0 5 10 100 1 0 0 0 0 0 0 - 9001 - 0 0 - - 0
2 be 2 s2 127.0.0.1 2 8 5 11 100 1 0 0 0 0 0 0 - 8001 - 0 0 - - 0
2 be 3 s3 127.0.0.1 0 0 5 10 100 8 2 1 6 0 0 0 - 8001 - 0 0 - - 0
2 be 4 s4 127.0.0.1 0 5 1 1 100 1 0 0 0 0 0 0 - 8001 - 0 0 - - 0
2 be 5 s5 127.0.0.1 2 0 1 1 100 1 0 0 0 0 0 0 - 8001 - 0 0 - - 0
2 be 6 s6 127.0.0.6 2 0 1 1 100 1 0 0 0 0 0 0 localhost 8001 - 0 0 - - 0
2 be 7 s7 127.0.0.7 2 0 1 1 100 1 0 0 0 0 0 0 foo.invalid 8001 - 0 0 - - 0
2 be 8 s8 127.0.0.8 2 1 1 1 100 1 0 0 0 0 0 0 other.invalid 8009 - 0 0 - - 0
2 be 9 s9 127.0.0.1 2 1 1 1 100 1 0 0 0 0 0 0 - 8001 - 0 0 - - 0
2 be 13 s13 127.0.0.13 2 0 1 1 100 1 0 0 0 0 0 0 localhost 8001 - 0 0 - - 0
2 be 15 s15 - 2 32 1 1 100 1 0 0 0 0 0 0 foo.invalid 8001 - 0 0 - - 0
2 be 12 s18 127.0.0.1 3 0 1 1 100 1 0 0 0 0 0 0 - 8001 - 0 0 - - 0
2 be 17 s99 127.0.0.1 2 2 1 1 100 1 0 0 0 0 0 0 - 8001 - 0 0 - - 0
3 nob 16 s99 127.0.0.1 2 2 1 1 100 1 0 0 0 0 0 0 - 8001 - 0 0 - - 0
";

const SAVED: &str = "\
defaults
  mode http
  timeout connect 2s
  timeout client 5s
  timeout server 5s
  load-server-state-from-file HOW
frontend fe
  bind 127.0.0.1:${fe}
  default_backend be
backend be
  server s1 127.0.0.1:8001 weight 10
  server s2 127.0.0.1:8001 weight 10
  server s3 127.0.0.1:8001 weight 10 check inter 1h rise 3 fall 4
  server s4 127.0.0.1:8001 disabled
  server s5 127.0.0.1:8001 disabled
  server s6 localhost:8001
  server s7 foo.invalid:8001 init-addr last,none
  server s8 foo.invalid:8001 init-addr last,none
  server s9 127.0.0.1:8001
  server s13 localhost:8001 init-addr libc
  server s15 foo.invalid:8001 init-addr last,none
  server s18 127.0.0.1:8001
";

#[test]
fn states_are_read_from_a_file() {
    for (name, global, how) in [
        ("global", "server-state-file ${dir}/state", "global"),
        ("base", "server-state-base ${dir}\n  server-state-file state", "global"),
        ("local", "server-state-base ${dir}", "local"),
    ] {
        scenario(&format!("discovery/states_{name}"), |w| {
            w.file("state", STATE);
            w.file("be", STATE);
            let text = format!(
                "global\n  stats socket ${{dir}}/cli level admin\n  nbthread 1\n  {global}\n{}",
                SAVED.replace("HOW", how)
            );
            w.proxy(&text);
            ready(w);
            note_states(w);
        });
    }
}

#[test]
fn state_files() {
    for (at, text) in [
        "2\n",
        "1\nfoo\n",
        "x\n",
        "1\n2 be 1 s1 127.0.0.9 99 0 5 10 100 1 0 0 0 0 0 0 - 9001 - 0 0 - - 0\n",
        "1\n2 be 1 s1 127.0.0.9 2 0 5000 10 100 1 0 0 0 0 0 0 - 9001 - 0 0 - - 0\n",
        "1\n2 be 1 s1 127.0.0.9 2 x 5 10 x 1 0 0 0 0 0 0 - 9001 - 0 0 - - 0\n",
    ]
    .into_iter()
    .enumerate()
    {
        scenario(&format!("discovery/state_file_{at}"), |w| {
            w.file("state", text);
            w.file("be", text);
            for (global, how) in
                [("server-state-file ${dir}/state", "global"), ("server-state-base ${dir}", "local")]
            {
                let config = format!("global\n  {global}\n{}", SAVED.replace("HOW", how));
                let out = w.check(&config, &[]);
                w.note(format!("{how}: {}", out.code));
                note_messages(w, &out.stderr);
            }
        });
    }
}
