//! The language itself: quoting, environment, conditional blocks, units, addresses, defaults (manual chapter 2).
use portcullis_e2e::scenario;

/// The fields that a `return` rule gives back, to see what its words became.
fn words(name: &str, rules: &'static str) {
    scenario(&format!("config_language/{name}"), |w| {
        w.env("NAME", "value");
        w.env("SPACED", "two words");
        w.env("LIST", "one two  three");
        w.env("EMPTY", "");
        w.proxy(&format!("frontend fe\n  bind 127.0.0.1:${{fe}}\n{rules}\n"));
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
    });
}

macro_rules! words {
    ($($name:ident: $rules:expr;)*) => {
        $(#[test]
        fn $name() {
            words(stringify!($name), $rules);
        })*
    };
}

words! {
    weak_quotes: "  http-request return status 200 hdr X-A \"a b  c\" hdr X-B \"it's\" hdr X-C \"say \\\"hi\\\"\"";
    strong_quotes: "  http-request return status 200 hdr X-A 'a b  c' hdr X-B '\"$NAME\" \\n'";
    backslashes: "  http-request return status 200 hdr X-A a\\ b hdr X-B a\\#b hdr X-C a\\\\b hdr X-D \\x41\\x42 hdr X-E a\\\"b\\'c";
    joined_quotes: "  http-request return status 200 hdr X-A a\" b\"'c d'e\\ f";
    empty_word_at_the_end: "  http-request return status 200 hdr X-A \"$NAME\" \"${EMPTY[*]}\"";
    comments: "  http-request return status 200 hdr X-A a # hdr X-B b\n  # a whole line\n#another";
    comment_inside_quotes: "  http-request return status 200 hdr X-A \"a # b\" hdr X-B 'c # d' hdr X-C e#f";
    tabs_between_words: "\thttp-request\treturn status\t200   hdr X-A a\t";
    environment: "  http-request return status 200 hdr X-A \"$NAME\" hdr X-B \"${NAME}s\" hdr X-C \"${NOT_THERE-default}\" hdr X-D \"${EMPTY-default}x\" hdr X-E $NAME hdr X-F '$NAME'";
    environment_default_with_spaces: "  http-request return status 200 hdr X-A \"${NOT_THERE-a b}\" hdr X-B \"${NAME-a b}\" hdr X-C \"x${NOT_THERE}y\"";
    environment_list: "  acl any path \"${LIST[*]}\"\n  http-request return status 200 hdr X-A \"$LIST\" hdr X-B \"$SPACED\"";
    pseudo_variables: "  http-request return status 200 hdr X-Line \"${.LINE}\" hdr X-Section \"${.SECTION}\" hdr X-Proxy \"$HAPROXY_LOCALPEER\"";
    percent_sign: "  http-request return status 200 hdr X-A 100%% hdr X-B \"%[str(50)]%%\"";
    arguments_of_fetches: "  http-request return status 200 hdr X-A %[str(a)] hdr X-B \"%[str('a,b')]\" hdr X-D '%[str(\"x)y\")]'";
    second_level_quotes: "  http-request return status 200 hdr X-A \"%[str('it is, so')]\" hdr X-B '%[str(\"a\\\"b\")]'";
    presetenv_in_file: "  http-request return status 200 hdr X-A \"$NAME\"";
    conditional_blocks: ".if defined(NAME)\n  http-request set-header X-A 1\n.else\n  nonsense here\n.endif\n.if streq(\"$NAME\",other)\n  nonsense\n.elif strstr(\"$LIST\",two)\n  http-request return status 200 hdr X-Branch elif\n.else\n  nonsense\n.endif";
    nested_conditional_blocks: ".if 0\n  nonsense\n  .if 1\n  nonsense\n  .else\n  nonsense\n  .endif\n.else\n  .if 1 && !0\n  http-request return status 200 hdr X-Branch inner\n  .endif\n.endif";
    indented_directives: "   .if version_atleast(2.4)\n  http-request return status 200 hdr X-A yes\n   .endif";
}

#[test]
fn environment_set_in_global() {
    scenario("config_language/environment_set_in_global", |w| {
        w.env("OUTER", "outer");
        w.env("GONE", "gone");
        w.proxy(
            "
global
  nbthread 1
  setenv INNER inner
  presetenv OUTER changed
  presetenv FRESH fresh
  unsetenv GONE
defaults
  mode http
  timeout connect 1s
  timeout client 1s
  timeout server 1s
frontend fe
  bind 127.0.0.1:${fe}
  http-request return status 200 hdr X-A \"$INNER\" hdr X-B \"$OUTER\" hdr X-C \"$FRESH\" hdr X-D \"${GONE-unset}\"
",
        );
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
    });
}

#[test]
fn carriage_returns_and_missing_last_newline() {
    scenario("config_language/carriage_returns_and_missing_last_newline", |w| {
        let text =
            "defaults\r\n  mode http\r\n  timeout client 1s\r\nfrontend fe\r\n  bind 127.0.0.1:${fe}\r\n";
        for (name, text) in [
            ("crlf", text.to_string()),
            ("no newline", text.replace('\r', "").trim_end().to_string()),
            ("nul", text.replace('\r', "") + "\0\n"),
        ] {
            let output = w.check(&text, &[]);
            w.note(format!("{name}: code {}", output.code));
        }
    });
}

#[test]
fn defaults_are_inherited() {
    scenario("config_language/defaults_are_inherited", |w| {
        w.proxy(
            "
global
  nbthread 1
  log 127.0.0.1:${log} local0
defaults base
  mode http
  log global
  timeout connect 1s
  timeout client 2s
  timeout server 2s
  option httplog
  errorfile 403 /dev/null
defaults second from base
  no option dontlognull
  option forwardfor
defaults third
  mode http
  timeout client 1s
frontend fe from base
  bind 127.0.0.1:${fe}
  http-request return status 200
frontend fe2 from second
  bind 127.0.0.1:${fe2}
  http-request deny
frontend fe3
  bind 127.0.0.1:${fe3}
  http-request deny
",
        );
        for fe in ["fe", "fe2", "fe3"] {
            w.client(fe).get("/", "Connection: close\r\n").read_to_end();
        }
        w.logs(2);
    });
}

#[test]
fn no_prefix_and_default_server() {
    scenario("config_language/no_prefix_and_default_server", |w| {
        w.origin("o1", |mut c| {
            c.head();
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        });
        w.proxy(
            "
frontend fe
  bind 127.0.0.1:${fe}
  option http-server-close
  no option http-server-close
  default_backend be
backend be
  default-server send-proxy
  server s1 127.0.0.1:${o1} no-send-proxy
",
        );
        w.client("fe").get("/", "").response();
    });
}

/// Times and sizes in every unit, by what -c thinks of them.
#[test]
fn units() {
    scenario("config_language/units", |w| {
        for value in [
            "0",
            "1",
            "1ms",
            "1000us",
            "1s",
            "1m",
            "1h",
            "1d",
            "24d",
            "25d",
            "2147483647",
            "2147483648",
            "1.5s",
            "-1",
            "1 s",
            "1S",
            "s",
            "",
        ] {
            let output = w.check(&format!("defaults\n  timeout client {value}\n"), &["-q"]);
            w.note(format!("time {value:?}: code {}", output.code));
        }
        for value in ["16384", "16k", "1m", "1024", "1023", "1x", "-1", "k"] {
            let output = w.check(&format!("global\n  tune.bufsize {value}\n"), &["-q"]);
            w.note(format!("size {value:?}: code {}", output.code));
        }
    });
}

/// Addresses of bind lines, by what -c thinks of them.
#[test]
fn bind_addresses() {
    scenario("config_language/bind_addresses", |w| {
        for address in [
            ":8000",
            "*:8000",
            "127.0.0.1:8000",
            "0.0.0.0:8000",
            "[::1]:8000",
            "::1:8000",
            "[::]:8000",
            ":::8000",
            "ipv4@:8000",
            "ipv6@:8000",
            "ipv4@127.0.0.1:8000",
            "ipv6@[::1]:8000",
            "ipv6@127.0.0.1:8000",
            "ipv4@[::1]:8000",
            "tcp@127.0.0.1:8000",
            "tcp4@:8000",
            "tcp6@:8000",
            "udp@127.0.0.1:8000",
            "unix@/tmp/x",
            "/tmp/x",
            "abns@x",
            "abnsz@x",
            "fd@3",
            "fd@x",
            "sockpair@3",
            "stream+ipv4@:8000",
            "dgram+ipv4@:8000",
            "127.0.0.1:8000-8002",
            "127.0.0.1:8002-8000",
            ":8000,:8001",
            "127.0.0.1:8000,[::1]:8001",
            ":0",
            ":65536",
            ":-1",
            "127.0.0.1",
            "127.0.0.1:",
            "localhost:8000",
            "no.such.host.invalid:8000",
            "127.0.0.1:+8000",
            "127.0.0.1:http",
            "mptcp@127.0.0.1:8000",
            "rhttp@x",
            "ipv4@",
            "",
            "[::1:8000",
            "127.0.0.1:8000 name a",
            "127.0.0.1:8000 id 1 name a",
            "[fe80::1%lo]:8000",
            "*",
            "quic4@:8000",
        ] {
            let output = w.check(
                &format!("defaults\n  mode http\n  timeout client 1s\nfrontend fe\n  bind {address}\n"),
                &["-q"],
            );
            w.note(format!("{address:?}: code {}", output.code));
        }
    });
}

/// Addresses of server lines, by what -c thinks of them.
#[test]
fn server_addresses() {
    scenario("config_language/server_addresses", |w| {
        for address in [
            "127.0.0.1:80",
            "127.0.0.1",
            "127.0.0.1:0",
            "127.0.0.1:+80",
            "127.0.0.1:-80",
            "[::1]:80",
            "::1:80",
            "ipv6@::1:80",
            "unix@/tmp/x",
            "/tmp/x",
            "abns@x",
            "fd@3",
            "sockpair@3",
            "*:80",
            "0.0.0.0:80",
            "0.0.0.0",
            ":80",
            "127.0.0.1:80-90",
            "127.0.0.1:99999",
            "udp@127.0.0.1:80",
            "localhost:80",
            "dgram+ipv4@127.0.0.1:80",
            "",
            "127.0.0.1:80:90",
            "rhttp@",
            "127.0.0.1:80 source 127.0.0.1:1024-65535",
        ] {
            let output = w.check(&format!("defaults\n  mode http\n  timeout client 1s\n  timeout connect 1s\n  timeout server 1s\nbackend be\n  server s1 {address}\n"), &["-q"]);
            w.note(format!("{address:?}: code {}", output.code));
        }
    });
}

#[test]
fn several_addresses_and_port_ranges() {
    scenario("config_language/several_addresses", |w| {
        w.proxy(
            "
frontend fe
  bind 127.0.0.1:${fe},127.0.0.1:${fe2} name both
  bind ipv6@[::1]:${fe3} v6only
  http-request return status 200 hdr X-Port %[dst_port]
",
        );
        for fe in ["fe", "fe2"] {
            w.client(fe).get("/", "Connection: close\r\n").read_to_end();
        }
        w.logs(2);
    });
}

#[test]
fn server_port_offset() {
    scenario("config_language/server_port_offset", |w| {
        w.proxy(
            "
listen outer
  bind 127.0.0.1:${fe}
  server s1 127.0.0.2
listen inner
  bind 127.0.0.2:${fe}
  http-request return status 200 hdr X-Inner 1
",
        );
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
    });
}
