//! What the `level` of a `stats socket` lets a client do (management.txt section 9.3).
use crate::runtime_api::{start, talk};
use portcullis_e2e::scenario;

/// One of each kind; what runs longer or ends the process is not among them.
const COMMANDS: &[&str] = &[
    "abort ssl cert x",
    "acme challenge_ready x domain y",
    "acme renew x",
    "acme status",
    "add acl #0 x",
    "add acl @1 #0 x",
    "add map ${dir}/m.map x y",
    "add server be/n 127.0.0.1:1",
    "add ssl crt-list x y",
    "clear acl #0",
    "clear counters",
    "clear counters all",
    "clear map ${dir}/m.map",
    "commit acl @1 #0",
    "commit map @1 ${dir}/m.map",
    "commit ssl cert x",
    "del acl #0 x",
    "del map ${dir}/m.map x",
    "del server be/n",
    "disable agent be/s",
    "disable frontend none",
    "disable health be/s",
    "disable server be/s",
    "enable server be/s",
    "get acl #0 x",
    "get map ${dir}/m.map x",
    "get var proc.x",
    "get weight be/s",
    "new ssl cert x",
    "prepare acl #0",
    "prepare map ${dir}/m.map",
    "publish backend be",
    "set anon global-key 1",
    "set map ${dir}/m.map x y",
    "set maxconn frontend fe 10",
    "set maxconn global 10",
    "set maxconn server be/s 10",
    "set rate-limit connections global 10",
    "set server be/s weight 1",
    "set ssl cert x y",
    "set ssl ocsp-response x",
    "set weight be/s 1",
    "show acl",
    "show acl #0",
    "show activity",
    "show backend",
    "show cli sockets",
    "show env x",
    "show errors",
    "show events",
    "show events nothing",
    "show fd",
    "show info",
    "show map",
    "show map ${dir}/m.map",
    "show pools",
    "show resolvers",
    "show servers conn",
    "show servers state",
    "show sess",
    "show ssl crt-list",
    "show ssl ocsp-response",
    "show ssl ocsp-response x",
    "show ssl ocsp-updates",
    "show startup-logs",
    "show stat",
    "show trace",
    "show trace h1",
    "shutdown frontend none",
    "shutdown session 0x1",
    "shutdown sessions server be/s",
    "trace 0",
    "unpublish backend be",
    "update ssl ocsp-response x",
    "wait 1ms",
];

#[test]
fn who_may_do_what() {
    scenario("levels/who_may_do_what", |w| {
        w.file("m.map", "a b\n");
        start(
            w,
            "frontend fe\n  bind 127.0.0.1:${fe}\n  acl a path /x\n  http-request deny if a\n  \
             http-request set-var(txn.m) path,map(${dir}/m.map)\n  default_backend be\n\
             backend be\n  server s 127.0.0.1:${fe} weight 5\n",
        );
        let dir = w.dir().display().to_string();
        for command in COMMANDS {
            let sent = format!("{}\n", command.replace("${dir}", &dir));
            for socket in ["user", "oper"] {
                let answer = talk(w, socket, sent.as_bytes());
                let may = if answer.contains("Permission denied") { "denied" } else { "allowed" };
                w.note(format!("{socket}: {command}: {may}"));
            }
        }
    });
}
