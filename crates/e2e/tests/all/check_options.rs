//! Options of servers for their checks and of what checks send, each seen by who is checked (manual sections 4.2 and 5.2).
use crate::tls::own;
use portcullis_e2e::scenario;

const DEFAULTS: &str = "global
  log 127.0.0.1:${log} local0
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
";

/// What a check over TLS says of itself: one check in an hour, and the line that the checked one logs of it.
#[test]
fn checks_over_tls() {
    for (name, server) in [
        ("ssl", "server check-ssl"),
        ("sni", "server check-ssl check-sni own.test"),
        ("sni_auto", "server check-ssl check-sni-auto"),
        ("no_sni_auto", "server check-ssl no-check-sni-auto"),
        ("alpn", "server check-ssl check-alpn http/1.1"),
        ("as_traffic", "server ssl"),
        ("send_proxy", "server check-ssl check-send-proxy"),
        ("no_send_proxy", "server check-ssl no-check-send-proxy"),
    ] {
        scenario(&format!("check_options/checks_over_tls_{name}"), |w| {
            own(w, "a", false, "DNS:a.test");
            let options = server.trim_start_matches("server");
            let accept = if name == "send_proxy" { "accept-proxy" } else { "" };
            w.proxy(&format!(
                "{DEFAULTS}backend b
  option httpchk
  http-check send meth GET uri /health hdr Host host.test
  server s 127.0.0.1:${{origin}} verify none inter 1h downinter 1h check{options}
frontend origin
  bind 127.0.0.1:${{origin}} {accept} ssl crt ${{dir}}/a.pem alpn h2,http/1.1
  log global
  log-format \"%ci <%[ssl_fc_sni]> <%[ssl_fc_alpn]> %[ssl_fc_is_resumed] %HM %HU\"
  http-request return status 200
"
            ));
            w.logs(1);
        });
    }
}

/// A later word takes an earlier one back.
#[test]
fn checks_that_are_no_longer_wanted() {
    scenario("check_options/checks_that_are_no_longer_wanted", |w| {
        w.ok("o1");
        w.proxy(
            "defaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n\
             frontend fe\n  bind 127.0.0.1:${fe}\n  http-request return status 200 content-type text/plain lf-string \"%[nbsrv(b)] %[srv_is_up(b/s1)] %[srv_is_up(b/s2)]\"\n\
             backend b\n  default-server inter 1h agent-inter 1h agent-port 1 agent-send hello agent-check check check-ssl check-send-proxy on-error mark-down on-marked-up shutdown-backup-sessions verify none\n\
             \x20 server s1 127.0.0.1:${o1} no-check no-agent-check no-check-ssl no-check-send-proxy\n\
             \x20 server s2 127.0.0.1:${o1} no-check no-agent-check ssl no-ssl\n",
        );
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        w.forget_origins();
    });
}

/// What an agent is sent, and where.
#[test]
fn agents() {
    scenario("check_options/agents", |w| {
        w.origin("agent", |mut c| {
            c.read_exactly(7);
            c.send_quietly(b"up 50%\n");
        });
        w.proxy(
            "defaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n\
             frontend fe\n  bind 127.0.0.1:${fe}\nbackend b\n  server s1 127.0.0.1:1 agent-check agent-addr 127.0.0.1 agent-port ${agent} agent-send \"hello\\r\\n\" agent-inter 1h\n",
        );
        w.settle();
    });
}

/// A section that says how it checks takes nothing of that from its defaults.
#[test]
fn what_defaults_say_of_checks() {
    let both = "option httpchk\n  http-check send-state";
    for (name, defaults, own) in [
        ("nothing", both, ""),
        ("option", both, "option httpchk GET /own"),
        ("rule", both, "http-check send meth GET uri /own"),
        ("flag", both, "http-check disable-on-404"),
        ("flag_alone", "http-check send-state", "option httpchk"),
    ] {
        scenario(&format!("check_options/what_defaults_say_of_checks_{name}"), move |w| {
            let origin = w.origin("o1", |mut c| {
                c.head();
            });
            w.proxy(&format!(
                "global\n  node n\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n  {defaults}\n\
                 frontend fe\n  bind 127.0.0.1:${{fe}}\n  default_backend b\n\
                 backend b\n  {own}\n  server s1 127.0.0.1:${{o1}} check init-state fully-up inter 1h fastinter 1h downinter 1h\n"
            ));
            origin.wait_connections(1);
            w.settle();
        });
    }
}

/// What checks of other protocols send.
#[test]
fn probes() {
    for (name, option, bytes) in [
        ("mysql", "option mysql-check user haproxy", 0),
        ("pgsql", "option pgsql-check user haproxy", 24),
        ("ssl_hello", "option ssl-hello-chk", 5),
        (
            "send_lf",
            "option tcp-check\n  tcp-check send-lf \"%[be_name] %[str(x)]\\r\\n\"\n  tcp-check comment last",
            5,
        ),
        ("send_binary_lf", "option tcp-check\n  tcp-check send-binary-lf \"%[be_name,hex]0d0a\"", 3),
        ("comment", "option httpchk\n  http-check comment first\n  http-check send meth OPTIONS uri /x", 10),
        ("state", "option httpchk GET /state\n  http-check send-state\n  http-check disable-on-404", 10),
    ] {
        scenario(&format!("check_options/probes_{name}"), move |w| {
            let origin = w.origin("o1", move |mut c| {
                c.read_exactly(bytes);
                if bytes == 0 {
                    c.send_quietly(b"\x08\0\0\0\xff\x15\x04#0bad");
                }
            });
            w.proxy(&format!(
                "defaults\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\nfrontend fe\n  bind 127.0.0.1:${{fe}}\nbackend b\n  {option}\n  server s1 127.0.0.1:${{o1}} check inter 1h fastinter 1h downinter 1h\n"
            ));
            origin.wait_connections(1);
            w.settle();
        });
    }
}
