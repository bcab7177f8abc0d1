//! Wrong configurations: the exit code and the lines that are complained about must be HAProxy's; the words are ours.
use portcullis_e2e::{Output, World, scenario};
use std::collections::BTreeSet;

/// `ALERT 3` for each message that names a line of the file.
fn complaints(output: &Output) -> String {
    let mut found = BTreeSet::new();
    for line in output.stderr.lines() {
        let Some(severity) =
            ["ALERT", "WARNING", "NOTICE", "DIAG"].iter().find(|s| line.starts_with(&format!("[{s}]")))
        else {
            continue;
        };
        for place in line.split("check.cfg:").skip(1).take(1) {
            let digits: String = place.chars().take_while(char::is_ascii_digit).collect();
            if let Ok(number) = digits.parse::<u32>() {
                found.insert((number, severity.to_string()));
            }
        }
    }
    found.iter().map(|(n, s)| format!("{s} {n}")).collect::<Vec<_>>().join(", ")
}

const HEAD: &str = "defaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n";

macro_rules! wrong {
    ($($name:ident: $text:expr;)*) => {
        $(#[test]
        fn $name() {
            scenario(concat!("config_errors/", stringify!($name)), |w| {
                let output = w.check(&format!("{HEAD}{}", $text), &[]);
                w.note(format!("code {}: {}", output.code, complaints(&output)));
            });
        })*
    };
}

wrong! {
    cache_of_less_than_nothing: "global\n  tune.ssl.cachesize -1\n";
    dh_parameters_too_short: "global\n  tune.ssl.default-dh-param 100\n";
    dh_parameters_that_are_no_number: "global\n  tune.ssl.default-dh-param x\n";
    threads_of_a_stats_socket: "global\n  nbthread 2\n  stats socket ${dir}/cli thread 9\n";
    stats_alone: "frontend fe\n  bind :${fe}\n  stats\n";
    stats_unknown: "frontend fe\n  bind :${fe}\n  stats foo\n";
    stats_auth_alone: "frontend fe\n  bind :${fe}\n  stats auth\n";
    stats_uri_alone: "frontend fe\n  bind :${fe}\n  stats uri\n";
    stats_realm_alone: "frontend fe\n  bind :${fe}\n  stats realm\n";
    stats_scope_alone: "frontend fe\n  bind :${fe}\n  stats scope\n";
    stats_refresh_of_nonsense: "frontend fe\n  bind :${fe}\n  stats refresh x\n";
    stats_admin_without_condition: "frontend fe\n  bind :${fe}\n  stats admin\n";
    stats_admin_unknown_acl: "frontend fe\n  bind :${fe}\n  stats admin if FOO\n";
    stats_rule_unknown: "frontend fe\n  bind :${fe}\n  stats http-request foo\n";
    stats_rules_and_users: "frontend fe\n  bind :${fe}\n  stats http-request allow\n  stats auth a:b\n";
    stats_node_of_nonsense: "frontend fe\n  bind :${fe}\n  stats show-node a/b\n";
    stats_admin_in_defaults: "  stats admin if TRUE\nfrontend fe\n  bind :${fe}\n";
    stats_in_tcp: "listen fe\n  mode tcp\n  bind :${fe}\n  stats enable\n";
    service_unknown: "frontend fe\n  bind :${fe}\n  http-request use-service foo\n";
    service_without_name: "frontend fe\n  bind :${fe}\n  http-request use-service\n";
    service_without_name_in_tcp: "frontend fe\n  bind :${fe}\n  tcp-request content use-service\n";
    service_unknown_in_tcp: "frontend fe\n  bind :${fe}\n  tcp-request content use-service foo\n";
    service_of_http_in_tcp: "frontend fe\n  bind :${fe}\n  tcp-request content use-service prometheus-exporter\n";
    service_with_too_much: "frontend fe\n  bind :${fe}\n  http-request use-service prometheus-exporter x\n";
    service_with_condition: "frontend fe\n  bind :${fe}\n  http-request use-service prometheus-exporter if TRUE\n";
    service_in_tcp: "listen fe\n  mode tcp\n  bind :${fe}\n  http-request use-service prometheus-exporter\n";
    service_is_final: "frontend fe\n  bind :${fe}\n  http-request use-service prometheus-exporter\n  http-request deny\n";
    tls_of_checks_without_authority: "listen l\n  mode tcp\n  bind :${fe}\n  tcp-check connect port 443 ssl\n  server s1 127.0.0.1:1\n  server s2 127.0.0.1:1 verify none\n  server s3 127.0.0.1:1 agent-check agent-port 2\n";
    patterns_that_are_none: "frontend fe\n  bind :${fe}\n  acl a path_reg a**\n  acl b path_reg x{,3}\n  acl c path_reg \\\\u0061\n  acl d path_reg .{0,70000}\n  acl e path_reg a+?*\n  acl f int(1) +1\n  acl g int(1) 1:99999999999999999999\n  acl h src -n 127.1\n  acl i src 127.1 10 127/8\n  acl j src 0x7f000001\n";
    kinds_of_addresses: "listen l\n  mode tcp\n  bind :${fe}\n  bind stream+udp@127.0.0.1:1\n  bind dgram+tcp@127.0.0.1:1\n  source stream+udp@127.0.0.1:1\nlog-forward f\n  dgram-bind ,\n  dgram-bind ,127.0.0.1:1\n  dgram-bind 127.0.0.1:1,\n  dgram-bind stream+udp@127.0.0.1:1\n  dgram-bind dgram+tcp@127.0.0.1:1\n";
    unknown_section: "fronted fe\n  bind :80\n";
    unknown_keyword: "frontend fe\n  bnd :80\n";
    keyword_outside: "bind :80\n";
    two_unknown_keywords: "frontend fe\n  bind :${fe}\n  nonsense\n  default_backend be\n  rubbish\nbackend be\n  more\n";
    frontend_without_name: "frontend\n  bind :${fe}\n";
    frontend_twice: "frontend fe\n  bind :${fe}\nfrontend fe\n  bind :${fe2}\n";
    backend_twice: "backend be\nbackend be\n";
    bad_name: "frontend f/e\n  bind :${fe}\n";
    unknown_backend: "frontend fe\n  bind :${fe}\n  default_backend nowhere\n";
    unknown_use_backend: "frontend fe\n  bind :${fe}\n  use_backend nowhere if { path / }\n";
    bind_without_address: "frontend fe\n  bind\n";
    bind_without_port: "frontend fe\n  bind 127.0.0.1\n";
    bind_bad_port: "frontend fe\n  bind 127.0.0.1:99999\n";
    bind_unknown_option: "frontend fe\n  bind 127.0.0.1:${fe} nonsense\n";
    bind_option_without_value: "frontend fe\n  bind 127.0.0.1:${fe} maxconn\n";
    bind_in_backend: "backend be\n  bind :${fe}\n";
    server_in_frontend: "frontend fe\n  bind :${fe}\n  server s1 127.0.0.1:80\n";
    server_without_address: "backend be\n  server s1\n";
    server_bad_address: "backend be\n  server s1 127.0.0.300:80\n";
    server_twice: "backend be\n  server s1 127.0.0.1:80\n  server s1 127.0.0.1:81\n";
    server_unknown_option: "backend be\n  server s1 127.0.0.1:80 nonsense\n";
    server_weight_too_large: "backend be\n  server s1 127.0.0.1:80 weight 257\n";
    server_weight_not_a_number: "backend be\n  server s1 127.0.0.1:80 weight x\n";
    timeout_unknown: "frontend fe\n  bind :${fe}\n  timeout nothing 1s\n";
    timeout_bad_unit: "frontend fe\n  bind :${fe}\n  timeout client 1x\n";
    timeout_without_value: "frontend fe\n  bind :${fe}\n  timeout client\n";
    timeout_too_large: "frontend fe\n  bind :${fe}\n  timeout client 9999999d\n";
    timeout_extra_word: "frontend fe\n  bind :${fe}\n  timeout client 1s 2s\n";
    option_unknown: "frontend fe\n  bind :${fe}\n  option nothing\n";
    option_missing: "frontend fe\n  bind :${fe}\n  option\n";
    option_of_the_other_side: "frontend fe\n  bind :${fe}\n  option redispatch\n";
    no_with_a_keyword_that_has_none: "frontend fe\n  no bind :${fe}\n";
    mode_unknown: "frontend fe\n  mode ftp\n  bind :${fe}\n";
    balance_unknown: "backend be\n  balance nothing\n";
    acl_bad_name: "frontend fe\n  bind :${fe}\n  acl a/b path /\n";
    acl_without_fetch: "frontend fe\n  bind :${fe}\n  acl a\n";
    acl_unknown_fetch: "frontend fe\n  bind :${fe}\n  acl a nonsense x\n";
    acl_unknown_in_condition: "frontend fe\n  bind :${fe}\n  http-request deny if nowhere\n";
    condition_unclosed: "frontend fe\n  bind :${fe}\n  http-request deny if { path /\n";
    condition_empty: "frontend fe\n  bind :${fe}\n  http-request deny if\n";
    http_request_unknown: "frontend fe\n  bind :${fe}\n  http-request nothing\n";
    http_request_missing: "frontend fe\n  bind :${fe}\n  http-request\n";
    return_bad_status: "frontend fe\n  bind :${fe}\n  http-request return status 99\n";
    return_string_without_type: "frontend fe\n  bind :${fe}\n  http-request return status 200 string a\n";
    deny_bad_status: "frontend fe\n  bind :${fe}\n  http-request deny deny_status 99\n";
    redirect_without_target: "frontend fe\n  bind :${fe}\n  http-request redirect\n";
    redirect_bad_code: "frontend fe\n  bind :${fe}\n  http-request redirect code 200 location /\n";
    set_header_without_value: "frontend fe\n  bind :${fe}\n  http-request set-header X-A\n";
    log_format_unclosed: "frontend fe\n  bind :${fe}\n  log-format \"%[path\"\n";
    log_format_unknown_alias: "frontend fe\n  bind :${fe}\n  log-format %zz\n";
    log_format_unknown_fetch: "frontend fe\n  bind :${fe}\n  log-format %[nonsense]\n";
    log_bad_facility: "frontend fe\n  bind :${fe}\n  log 127.0.0.1 nothing\n";
    log_bad_level: "frontend fe\n  bind :${fe}\n  log 127.0.0.1 local0 nothing\n";
    errorfile_missing: "frontend fe\n  bind :${fe}\n  errorfile 503 ${dir}/none\n";
    errorfile_bad_code: "frontend fe\n  bind :${fe}\n  errorfile 299 /dev/null\n";
    errorfiles_unknown: "frontend fe\n  bind :${fe}\n  errorfiles nowhere\n";
    from_unknown_defaults: "frontend fe from nowhere\n  bind :${fe}\n";
    maxconn_not_a_number: "frontend fe\n  bind :${fe}\n  maxconn x\n";
    retries_not_a_number: "backend be\n  retries x\n";
    forwardfor_unknown_word: "frontend fe\n  bind :${fe}\n  option forwardfor nonsense\n";
    http_reuse_unknown: "backend be\n  http-reuse sometimes\n";
    tcp_request_unknown: "frontend fe\n  bind :${fe}\n  tcp-request nothing\n";
    tcp_request_in_backend: "backend be\n  tcp-request connection reject\n";
    unclosed_quote: "frontend fe\n  bind \":${fe}\n";
    unclosed_strong_quote: "frontend fe\n  bind ':${fe}\n";
    trailing_backslash: "frontend fe\n  bind :${fe}\\";
    if_without_endif: ".if 1\nfrontend fe\n  bind :${fe}\n";
    endif_without_if: "frontend fe\n  bind :${fe}\n.endif\n";
    else_without_if: ".else\nfrontend fe\n  bind :${fe}\n.endif\n";
    elif_after_else: ".if 0\n.else\n.elif 1\n.endif\nfrontend fe\n  bind :${fe}\n";
    if_nonsense: ".if nonsense(1)\n.endif\nfrontend fe\n  bind :${fe}\n";
    alert_directive: "frontend fe\n  bind :${fe}\n.alert \"stop here\"\n";
    warning_directive: "frontend fe\n  bind :${fe}\n.warning \"mind this\"\n";
    notice_directive: "frontend fe\n  bind :${fe}\n.notice \"by the way\"\n";
    unknown_directive: "frontend fe\n  bind :${fe}\n.nothing\n";
    global_unknown: "global\n  nothing\n";
    global_nbthread_bad: "global\n  nbthread x\n";
    global_nbthread_too_large: "global\n  nbthread 100000\n";
    global_maxconn_bad: "global\n  maxconn x\n";
    bufsize_bad: "global\n  tune.bufsize x\n";
    tune_unknown: "global\n  tune.nothing 1\n";
    late_bind_after_rule: "frontend fe\n  http-request deny if { path /x }\n  tcp-request connection accept\n  bind :${fe}\n";
    use_backend_before_http_request: "frontend fe\n  bind :${fe}\n  use_backend be if { path / }\n  http-request deny\nbackend be\n";
    block_order_of_redirect: "frontend fe\n  bind :${fe}\n  redirect location / if { path /a }\n  http-request deny\n";
    tcp_mode_with_http_rules: "frontend fe\n  mode tcp\n  bind :${fe}\n  http-request deny\n";
    missing_timeouts: "defaults\n  mode http\nfrontend fe\n  bind :${fe}\n  default_backend be\nbackend be\n  server s1 127.0.0.1:80\n";
    same_address_twice: "frontend fe\n  bind 127.0.0.1:${fe}\n  bind 127.0.0.1:${fe}\n";
    removed_keyword_reqadd: "frontend fe\n  bind :${fe}\n  reqadd X-A:\\ 1\n";
    removed_keyword_httpclose_option: "frontend fe\n  bind :${fe}\n  option forceclose\n";
    removed_keyword_block: "frontend fe\n  bind :${fe}\n  block if { path / }\n";
    deprecated_needs_gate: "frontend fe\n  bind :${fe}\n  option http-use-htx\n";
    experimental_needs_gate: "global\n  force-cfg-parser-pause 10ms\n";
    userlist_bad: "userlist u\n  user\n";
    peers_bad: "peers p\n  peer\n";
    resolvers_bad: "resolvers r\n  nameserver\n";
    cache_bad: "cache c\n  max-age x\n";
    mailers_bad: "mailers m\n  mailer\n";
    program_gone: "program p\n  command ls\n";
    long_line_of_many_words: (["frontend fe\n  bind :${fe}\n  acl many path", &" /a".repeat(200), "\n"].concat());
    default_server_bad: "backend be\n  default-server nonsense\n";
    defaults_with_rule_unnamed: "defaults\n  mode http\n  http-request deny\n";
    forbidden_in_defaults: "defaults\n  use_backend be if TRUE\n";
    empty_word: "frontend fe\n  bind :${fe}\n  http-request return status 200 hdr X-A \"\"\n";
    line_continuation: "frontend fe\n  bind :${fe}\n  http-request return \\\n    status 200\n";
    no_option_httplog: "frontend fe\n  bind :${fe}\n  no option httplog\n";
    no_option_forwardfor: "frontend fe\n  bind :${fe}\n  no option forwardfor\n";
    drop_request_trailers_in_frontend: "frontend fe\n  bind :${fe}\n  option http-drop-request-trailers\n";
    argument_with_comma: "frontend fe\n  bind :${fe}\n  http-request return status 200 hdr X-A %[str(a,b)]\n";
    env_with_bad_brace: "frontend fe\n  bind \":${FE\"\n";
}

const SOUND: &str = "\
global
  nbthread 1
  maxconn 100
  tune.bufsize 16k
  log 127.0.0.1:514 local0 notice
  hard-stop-after 10s
defaults
  mode http
  log global
  option httplog
  option dontlognull
  option forwardfor except 127.0.0.0/8
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  retries 2
  errorfile 503 /dev/null
frontend web
  bind 127.0.0.1:${fe} name main maxconn 50
  acl static path_beg /static
  http-request deny deny_status 403 if { path_end .php }
  http-request set-header X-Proto http unless static
  use_backend files if static
  default_backend app
backend app
  balance roundrobin
  option http-server-close
  http-reuse safe
  server a 127.0.0.1:8001 weight 10 maxconn 5 backup
  server b 127.0.0.1:8002 send-proxy-v2 disabled
backend files
  http-response set-header X-From files
  server c 127.0.0.1:8003 source 127.0.0.1 minconn 1
";

/// The line with one of its words wrong.
fn spoilt(line: &str, which: usize) -> Option<String> {
    let mut words: Vec<String> = line.split(' ').map(String::from).collect();
    let spoil: Vec<usize> = (0..words.len())
        .filter(|i| {
            words[*i].len() > 1 && words[*i].chars().all(|c| c.is_ascii_lowercase() || "-_".contains(c))
        })
        .collect();
    let word = words.get_mut(*spoil.get(which)?)?;
    word.insert_str(1, "zq");
    Some(words.join(" "))
}

/// Every word of a sound configuration spoilt in turn: is that line refused?
#[test]
fn mutants() {
    scenario("config_errors/mutants", |w| {
        let lines: Vec<&str> = SOUND.lines().collect();
        for (i, line) in lines.iter().enumerate().filter(|(_, l)| l.starts_with(' ')) {
            for wrong in (0..8).filter_map(|n| spoilt(line, n)) {
                let text: String = lines
                    .iter()
                    .enumerate()
                    .map(|(n, l)| format!("{}\n", if n == i { &wrong } else { *l }))
                    .collect();
                let output = w.check(&text, &[]);
                let alert = format!("ALERT {}", i + 1);
                let refused = complaints(&output).split(", ").any(|c| c == alert);
                w.note(format!(
                    "{}: code {}, {}",
                    wrong.trim(),
                    output.code,
                    if refused { "refused there" } else { "not refused there" }
                ));
            }
        }
    });
}

/// What is said again in `global`: the first line counts, with an alert that stops nothing.
#[test]
fn said_again() {
    scenario("config_errors/said_again", |w| {
        let again = |w: &mut World, name: &str, global: &str, front: &str| {
            let config = format!(
                "global\n{}defaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\nfrontend fe\n  \
                 bind 127.0.0.1:${{fe}}\n{}",
                crate::indent(global),
                crate::indent(front)
            );
            let output = w.check(&config, &[]);
            let said = |l: &&str| l.starts_with("[ALERT]") || l.starts_with("[WARNING]");
            let lines = output.stderr.lines().filter(said).map(|l| {
                let kind = l.split(']').next().unwrap_or("");
                format!("{kind}] {}", l.rsplit(" : ").next().unwrap_or("").rsplit("]: ").next().unwrap_or(""))
            });
            let lines: Vec<String> = lines.collect();
            w.note(format!("{name}: code {} {lines:?}", output.code));
        };
        for line in [
            "maxconn 10",
            "maxconnrate 5",
            "maxsessrate 5",
            "maxpipes 5",
            "ulimit-n 1000",
            "fd-hard-limit 1000",
            "spread-checks 5",
            "log-send-hostname a",
            "uid 1",
            "gid 1",
            "chroot /tmp",
            "pidfile /tmp/x",
            "nbthread 1",
        ] {
            again(w, line, &format!("{line}\n{line}"), "");
        }
        again(w, "user and uid", "user nobody\nuid 5", "");
        again(w, "inspect-delay", "", "tcp-request inspect-delay 1s\ntcp-request inspect-delay 2s");
        again(w, "rate-limit", "", "rate-limit sessions 5\nrate-limit sessions 6");
        again(w, "id", "", "id 5\nid 5");
    });
}
