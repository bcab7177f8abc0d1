//! `portcullis explain` and `portcullis test` (docs/explain.md), and the configurations of `examples/` with their cases.
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

fn files(ending: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir(examples()).unwrap().map(|f| f.unwrap().path());
    let mut all: Vec<_> = all.filter(|p| p.extension().is_some_and(|e| e == ending)).collect();
    all.sort();
    all
}

/// Other binaries have no such commands.
fn ours(args: &[&str]) -> Option<Output> {
    if std::env::var_os("PORTCULLIS_BIN").is_some() || std::env::var_os("E2E_RECORD").is_some() {
        return None;
    }
    Some(
        Command::new(portcullis_e2e::binary::Binary::under_test().path)
            .args(args)
            .current_dir(examples())
            .output()
            .unwrap(),
    )
}

#[test]
fn every_example_passes_its_cases() {
    let files = files("yaml");
    assert!(files.len() >= 12, "{files:?}");
    let args: Vec<&str> = files.iter().map(|f| f.file_name().unwrap().to_str().unwrap()).collect();
    let Some(out) = ours(&[&["test"], &args[..]].concat()) else { return };
    let (told, said) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{told}{said}");
    assert!(told.lines().filter(|l| l.starts_with("ok")).count() >= 60, "{told}");
    assert!(!said.contains("WARNING"), "{said}");
}

#[test]
fn what_is_not_as_expected_is_told() {
    let dir = std::env::temp_dir().join(format!("cases-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let config = examples().join("host-routing.cfg");
    let text = format!(
        "config: {}\ncases:\n - request: GET http://api.example.com/v2/x\n   expect: {{ backend: www, status: 404, request: {{ uri: /v2/x, headers: {{ host: null, x: y }} }}, rules: [use_backend blog] }}\n",
        config.display()
    );
    let file = dir.join("a.yaml");
    std::fs::write(&file, text).unwrap();
    let Some(out) = ours(&["test", file.to_str().unwrap()]) else { return };
    std::fs::remove_dir_all(&dir).unwrap();
    let told = String::from_utf8_lossy(&out.stdout).into_owned();
    assert_eq!(out.status.code(), Some(1), "{told}");
    for line in [
        "backend: www is expected, it is api_v2",
        "status: 404 is expected, it is 200",
        "rules: \"use_backend blog\" does not match",
        "request: uri: \"/v2/x\" is expected, it is \"/x\"",
        "request: host: none is expected, it is \"api.example.com\"",
        "request: x: \"y\" is expected, there is none",
        "0 passed, 1 failed",
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }
}

#[test]
fn a_request_is_explained() {
    let args = [
        "explain",
        "-f",
        "host-routing.cfg",
        "GET http://api.example.com/v2/users?id=1",
        "--src",
        "10.0.0.7",
        "-H",
        "X-A: b",
    ];
    let Some(out) = ours(&args) else { return };
    let told = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{told}");
    for line in [
        "client 10.0.0.7, by web\n",
        "use_backend api_v2 if { req.hdr(host),host_only -m str -i api.example.com } { path_beg /v2/ }\n",
        "      req.hdr(host),host_only is \"api.example.com\": matches\n",
        "      path_beg is \"/v2/users\": matches\n",
        "      - GET /v2/users?id=1 HTTP/1.1\n      + GET /users?id=1 HTTP/1.1\n",
        "backend api_v2, server api2\n",
        "  + x-forwarded-for: 10.0.0.7\n",
        "to the client\n    200 OK\n",
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }
    let Some(out) = ours(&["explain", "-f", "host-routing.cfg", "--frontend", "none", "http://a/"]) else {
        return;
    };
    assert!(!out.status.success() && String::from_utf8_lossy(&out.stderr).contains("no frontend 'none'"));
}

/// What comes of persistence behind the rules, and how a stream with a server ends.
#[test]
fn persistence_is_explained() {
    let dir = std::env::temp_dir().join(format!("explained-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("a.cfg");
    let text = "defaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n\
        frontend fe\n  bind 127.0.0.1:1\n  log 127.0.0.1:2 local0\n  log-format \"line %tsc %s\"\n  default_backend be\n\
        backend be\n  cookie SRV insert indirect nocache\n  server s1 127.0.0.1:1 cookie one\n  server s2 127.0.0.1:1 cookie two\n";
    std::fs::write(&file, text).unwrap();
    let name = file.to_str().unwrap();
    let first = ours(&["explain", "-f", name, "http://a/"]);
    let again = ours(&["explain", "-f", name, "http://a/", "-H", "Cookie: SRV=two"]);
    std::fs::remove_dir_all(&dir).unwrap();
    let (Some(first), Some(again)) = (first, again) else { return };
    let told = |out: &Output| String::from_utf8_lossy(&out.stdout).into_owned();
    let (first, again) = (told(&first), told(&again));
    let by = |name: &str, server: &str| {
        first.contains(&format!("+ set-cookie: SRV={name}; path=/\n"))
            && first.contains(&format!("line --NI {server}\n"))
    };
    assert!(by("one", "s1") || by("two", "s2"), "{first}");
    assert!(!again.contains("set-cookie") && again.contains("line --VN s2\n"), "{again}");
    assert!(again.contains("- cookie: SRV=two\n"), "{again}");
}
