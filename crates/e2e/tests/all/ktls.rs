//! `ktls on`: the kernel makes the records. Where it cannot, the library does, and nothing else changes; which of both it was
//! is what `/proc/net/tls_stat` says. `make ktls` runs these tests where the kernel can.
use crate::tls::own;
use portcullis_e2e::World;
use portcullis_e2e::binary::Binary;
use portcullis_e2e::origin::OriginConn;
use portcullis_e2e::process::{PATIENCE, wait_for};
use std::process::Command;

const DEFAULTS: &str = "defaults
  mode http
  option splice-auto
  timeout connect 10s
  timeout client 60s
  timeout server 60s
";
const LENGTH: usize = 2 << 20;

/// Connections that the kernel was given so far: what they send, and what they receive.
fn given() -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/net/tls_stat").ok()?;
    let of = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)?.trim().parse().ok());
    Some((of("TlsTxSw")?, of("TlsRxSw")?))
}

/// Runs this, and says how many connections more the kernel was given; none where it cannot.
fn counted(work: impl FnOnce()) -> Option<u64> {
    let before = given();
    work();
    let (before, after) = (before?, given()?);
    assert_eq!(after.0 - before.0, after.1 - before.1, "both directions");
    Some(after.0 - before.0)
}

/// Bytes in which a piece that is lost, or comes twice, is seen.
fn body() -> Vec<u8> {
    (0..LENGTH as u32 / 4).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

/// Sends the body, for `/close` without saying how long it is; takes what is posted, and says how much it was.
fn serve(mut c: OriginConn, body: &[u8]) {
    while let Some(request) = c.request() {
        let line = request.start_line();
        if line.starts_with("POST") {
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}",
                8,
                format_args!("{:8}", request.body.len())
            );
            c.send(answer);
        } else if line.contains("/close") {
            c.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").send(body);
            return;
        } else if line.contains("/small") {
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        } else {
            c.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())).send(body);
        }
    }
}

/// A proxy with TLS on both sides and on one, in HTTP and TCP.
fn world(global: &str) -> World {
    let mut w = World::new(Binary::under_test());
    own(&w, "a", true, "DNS:a.test");
    let bytes = body();
    w.origin("origin", move |c| serve(c, &bytes));
    w.proxy(&format!(
        "global\n  expose-experimental-directives\n{global}{DEFAULTS}listen plain\n  bind 127.0.0.1:${{plain}} ssl crt \
         ${{dir}}/a.pem ktls on\n  server s 127.0.0.1:${{origin}}\nlisten inner\n  bind 127.0.0.1:${{inner}} ssl crt ${{dir}}/a.pem\n  \
         server s 127.0.0.1:${{origin}}\nlisten both\n  bind 127.0.0.1:${{both}} ssl crt ${{dir}}/a.pem ktls on\n  server s \
         127.0.0.1:${{inner}} ssl verify none ktls on\nlisten tcp\n  mode tcp\n  bind 127.0.0.1:${{tcp}} ssl crt ${{dir}}/a.pem ktls on\n  \
         server s 127.0.0.1:${{origin}}\n"
    ));
    w
}

fn curl(w: &World, args: &str) -> Vec<u8> {
    let out = Command::new("curl")
        .args(["-sSk", "--max-time", "60"])
        .args(args.split(' '))
        .current_dir(w.dir())
        .output();
    let out = out.unwrap();
    assert!(out.status.success(), "curl {args}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

fn same(got: &[u8], what: &str) {
    let wanted = body();
    let at = got.iter().zip(&wanted).position(|(a, b)| a != b);
    assert!(at.is_none() && got.len() == wanted.len(), "{what}: {} bytes, other at {at:?}", got.len());
}

/// Each version and cipher, with HTTP/1 and HTTP/2.
#[test]
fn versions_and_ciphers() {
    let mut w = world("");
    let port = w.port("plain");
    for ciphers in [
        "--tls-max 1.2 --ciphers ECDHE-RSA-AES128-GCM-SHA256",
        "--tls-max 1.2 --ciphers ECDHE-RSA-AES256-GCM-SHA384",
        "--tls-max 1.2 --ciphers ECDHE-RSA-CHACHA20-POLY1305",
        "--tls13-ciphers TLS_AES_128_GCM_SHA256",
        "--tls13-ciphers TLS_AES_256_GCM_SHA384",
        "--tls13-ciphers TLS_CHACHA20_POLY1305_SHA256",
    ] {
        for version in ["--http1.1", "--http2"] {
            let what = format!("{ciphers} {version}");
            let new = counted(|| same(&curl(&w, &format!("{what} https://127.0.0.1:{port}/")), &what));
            assert!(new.is_none_or(|n| n == 1), "{what}: {new:?}");
        }
    }
}

/// Bodies both ways, more than one request a connection, a message that ends with its connection, TCP.
#[test]
fn requests_of_all_kinds() {
    let mut w = world("");
    std::fs::write(w.dir().join("up"), body()).unwrap();
    for name in ["plain", "both", "tcp"] {
        let url = format!("https://127.0.0.1:{}", w.port(name));
        let new = counted(|| {
            same(&curl(&w, &format!("--http1.1 {url}/")), name);
            same(&curl(&w, &format!("--http1.1 {url}/close")), name);
            // a client that is slower than the server
            same(&curl(&w, &format!("--http1.1 --limit-rate 2M {url}/close")), name);
            let posted = format!("{:8}", LENGTH).into_bytes();
            assert_eq!(curl(&w, &format!("--http1.1 --data-binary @up {url}/post")), posted, "{name}");
            let thrice = format!("--http1.1 --data-binary @up {url}/post {url}/post {url}/post");
            assert_eq!(curl(&w, &thrice), posted.repeat(3), "{name}");
            assert_eq!(
                curl(&w, &format!("--http1.1 {url}/small {url}/small {url}/small")),
                b"okokok",
                "{name}"
            );
        });
        assert!(new.is_none_or(|n| n >= 6), "{name}: {new:?}");
    }
}

/// `noktls`, and a limit of records that the kernel does not know.
#[test]
fn switched_off() {
    for global in ["  noktls\n", "  tune.ssl.hard-maxrecord 2000\n"] {
        let mut w = world(global);
        let port = w.port("both");
        let new = counted(|| same(&curl(&w, &format!("https://127.0.0.1:{port}/")), global));
        assert!(new.is_none_or(|n| n == 0), "{global}: {new:?}");
    }
}

/// A client that goes away says so in a record that is none of data: its connection, and the server's, do not stay.
#[test]
fn connections_end() {
    let mut w = world("");
    let port = w.port("both");
    let pid = w.process(0).pid();
    let sockets = || portcullis_e2e::proc::sockets(pid).len();
    curl(&w, &format!("--http1.1 https://127.0.0.1:{port}/small"));
    let first = wait_for(PATIENCE, || Some(sockets())).unwrap();
    for _ in 0..5 {
        curl(&w, &format!("--http1.1 https://127.0.0.1:{port}/small"));
    }
    assert!(wait_for(PATIENCE, || (sockets() <= first).then_some(())).is_some(), "{} of {first}", sockets());
}

/// Experimental, as in 3.5: `bind`, `server` and the lines of a crt-list.
#[test]
fn experimental() {
    let mut w = World::new(Binary::under_test());
    own(&w, "a", true, "DNS:a.test");
    let list = format!("{}/a.pem [ktls on] a.test\n", w.dir().display());
    w.file("list", &list);
    for line in [
        "  bind 127.0.0.1:${one} ssl crt ${dir}/a.pem ktls on",
        "  bind 127.0.0.1:${one} ssl crt ${dir}/a.pem ktls off",
        "  bind 127.0.0.1:${one} ssl crt-list ${dir}/list",
        "  server s 127.0.0.1:${one} ssl verify none ktls on",
    ] {
        for (global, right) in [("", false), ("expose-experimental-directives", true)] {
            let out = w.check(&format!("global\n  {global}\n{DEFAULTS}listen l\n{line}\n"), &[]);
            assert_eq!(out.code == 0, right, "{line}: {}", out.stderr);
            let why = "'ktls' directive is experimental, must be allowed via a global 'expose-experimental-directives'";
            assert_eq!(out.stderr.contains(why), !right, "{line}: {}", out.stderr);
        }
    }
}
