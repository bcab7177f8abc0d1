//! Connections that break: what logs say of them (`fc_err`, `bc_err`, `ssl_fc_err`: manual sections 7.3.3 and 7.3.4), before, in and
//! after the handshake.
use crate::certificates::answer;
use crate::tls::{get, openssl, own, signed};
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{World, scenario};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

const DEFAULTS: &str = "global
  log 127.0.0.1:${log} local0
  stats socket ${dir}/cli level admin
defaults
  mode http
  log global
  retries 0
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  log-format \"%ft %ST %ts %[fc_err] %[fc_err_name] <%[fc_err_str]> %[bc_err] %[bc_err_name] <%[bc_err_str]>\"
  error-log-format \"error %ft %[fc_err] %[fc_err_name] <%[fc_err_str]> <%[ssl_fc_err_str]> %ts\"
";

#[test]
fn resets_are_told_of() {
    scenario("broken/resets_are_told_of", |w| {
        w.origin("o", |mut conn| {
            let Some(request) = conn.request() else { return };
            if request.start_line().contains("/half") {
                conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
                // it has been read when it is gone
                conn.is_silent_for(std::time::Duration::from_millis(200));
            }
            conn.reset();
        });
        w.proxy(&format!(
            "{DEFAULTS}listen fe
  bind 127.0.0.1:${{fe}}
  server s 127.0.0.1:${{o}}
listen tcp
  mode tcp
  log-format \"%ft %ts %[fc_err] %[fc_err_name] %[bc_err] %[bc_err_name]\"
  bind 127.0.0.1:${{tcp}}
  server s 127.0.0.1:${{o}}
"
        ));
        w.client("fe").reset();
        w.logs(1);
        let mut half = w.client("fe");
        half.send("GET / HT");
        w.settle();
        half.reset();
        w.logs(2);
        for (port, path, lines) in [("fe", "/", 3), ("fe", "/half", 4), ("tcp", "/", 5), ("tcp", "/half", 6)]
        {
            let mut c = w.client(port);
            c.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
            c.wait_end();
            c.close();
            w.logs(lines);
        }
        w.forget_origins();
    });
}

/// Passes a connection on and spoils the last byte of the client's `nth` record of data, counted from 0.
fn spoil(listener: &TcpListener, port: u16, nth: usize) {
    let (mut client, _) = listener.accept().unwrap();
    let mut server = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (mut back, mut from) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let down = thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut back);
        let _ = back.shutdown(Shutdown::Write);
    });
    let (mut head, mut seen) = ([0; 5], 0);
    while client.read_exact(&mut head).is_ok() {
        let mut body = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        client.read_exact(&mut body).unwrap();
        if head[0] == 23 {
            if seen == nth {
                *body.last_mut().unwrap() ^= 1;
            }
            seen += 1;
        }
        let _ = server.write_all(&[&head[..], &body].concat());
    }
    let _ = server.shutdown(Shutdown::Write);
    down.join().unwrap();
}

/// Records that were changed on their way end a connection, and its log line says so.
#[test]
fn spoilt_records_are_told_of() {
    scenario("broken/spoilt_records_are_told_of", |w| {
        own(w, "a", false, "DNS:a.test");
        // the number of the error is another library's with TLS 1.2 in 3.5
        w.proxy(&format!(
            "{DEFAULTS}  error-log-format \"error %ft %[fc_err] %[fc_err_name] %ts\"
frontend fe
  bind 127.0.0.1:${{fe}} ssl crt ${{dir}}/a.pem
  http-request return status 200
frontend tcp
  mode tcp
  log-format \"%ft %[fc_err] %[fc_err_name]\"
  bind 127.0.0.1:${{tcp}} ssl crt ${{dir}}/a.pem
  default_backend none
backend none
  mode tcp
  server s 127.0.0.1:${{o}}
"
        ));
        w.origin("o", |mut conn| {
            conn.wait_end();
        });
        let mut lines = 0;
        for port in ["fe", "tcp"] {
            // the end of a handshake of TLS 1.3 is such a record, too
            for (version, nth) in [("-tls1_2", 0), ("-tls1_3", 1)] {
                let listener = TcpListener::bind(("127.0.0.1", w.port(&format!("{port}{version}")))).unwrap();
                let (relay, to, dir) =
                    (listener.local_addr().unwrap().port(), w.port(port), w.dir().to_owned());
                let relays = thread::spawn(move || spoil(&listener, to, nth));
                get(&dir, relay, version);
                relays.join().unwrap();
                lines += 1;
                w.logs(lines);
            }
        }
        w.forget_origins();
    });
}

/// A ClientHello of such a version, with a suite of that time and one of TLS 1.2.
fn old_hello(version: u8) -> Vec<u8> {
    let mut hello = vec![22, 3, 1, 0, 47, 1, 0, 0, 43, 3, version];
    hello.extend([7; 32]);
    hello.extend([0, 0, 4, 0xc0, 0x13, 0xc0, 0x2b, 1, 0]);
    hello
}

/// What is no ClientHello, or one of a version that is not there, is answered with an alert that says so.
#[test]
fn hellos_that_cannot_be_answered() {
    scenario("broken/hellos_that_cannot_be_answered", |w| {
        own(w, "a", false, "DNS:a.test");
        w.proxy(&format!(
            "{DEFAULTS}frontend fe
  bind 127.0.0.1:${{fe}} ssl crt ${{dir}}/a.pem
  http-request return status 200
"
        ));
        let hellos = [
            ("SSLv3", old_hello(0)),
            ("TLS 1.0", old_hello(1)),
            ("TLS 1.1", old_hello(2)),
            ("too long a record", vec![22, 3, 1, 0xff, 0xff, 1]),
            ("empty records", [22, 3, 1, 0, 0].repeat(50)),
            ("data", b"\x17\x03\x03\0\x05hello".to_vec()),
            ("a ServerHello", vec![22, 3, 3, 0, 4, 2, 0, 0, 0]),
            ("too large a message", vec![22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff]),
            ("another message", b"\x16\x03\x01\0\x05abcde".to_vec()),
            ("not TLS", vec![0xff; 40]),
        ];
        for (lines, (name, hello)) in (1..).zip(hellos) {
            let mut stream = TcpStream::connect(("127.0.0.1", w.port("fe"))).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(&hello).unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            let alert = match answer.as_slice() {
                [21, 3, _, 0, 2, level, alert] => format!("{level} {alert}"),
                other => format!("{} bytes", other.len()),
            };
            w.note(format!("{name}: {alert}"));
            w.logs(lines);
        }
    });
}

/// Of a client's certificate that was refused the error's line knows whose it is, though nothing came of the handshake.
#[test]
fn refused_certificates_are_told_of() {
    scenario("broken/refused_certificates_are_told_of", |w| {
        own(w, "a", false, "DNS:a.test");
        let dir = w.dir().to_owned();
        openssl(
            &dir,
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -subj /CN=authority -days 3650",
        );
        signed(w, "late", "-days -1");
        w.proxy(&format!(
            "{DEFAULTS}  error-log-format \"error %ft %[fc_err] verify=<%[ssl_c_verify]> used=%[ssl_c_used] has=<%[ssl_fc_has_crt]> %[ssl_c_err] %[ssl_c_s_dn]\"
frontend fe
  bind 127.0.0.1:${{fe}} ssl crt ${{dir}}/a.pem verify required ca-file ${{dir}}/ca.crt
  http-request return status 200
"
        ));
        let port = w.port("fe");
        for (lines, args) in (1..).zip([
            "-tls1_2 -cert late.crt -key late.key",
            "-tls1_3 -cert late.crt -key late.key",
            "-tls1_2",
            "-tls1_3",
        ]) {
            get(&dir, port, args);
            w.logs(lines);
        }
    });
}

/// A checked server goes down when its authority is replaced by another one: checks resume no session of before.
#[test]
fn checks_follow_the_authority() {
    let mut w = World::new(Binary::under_test());
    own(&w, "a", false, "DNS:a.test");
    own(&w, "other", false, "DNS:other.test");
    std::fs::copy(w.dir().join("a.crt"), w.dir().join("ca.pem")).unwrap();
    w.proxy(&format!(
        "{DEFAULTS}frontend o
  bind 127.0.0.1:${{o}} ssl crt ${{dir}}/a.pem
  http-request return status 200
backend b
  option httpchk
  server s 127.0.0.1:${{o}} ssl verify required ca-file ${{dir}}/ca.pem check inter 100 fall 2 rise 1
"
    ));
    let is = |w: &World, status: &str| {
        let shown = || {
            let stat = answer(w, "show stat b 4 -1");
            stat.lines().any(|l| l.contains(&format!(",{status},"))).then_some(())
        };
        assert!(wait_for(PATIENCE, shown).is_some(), "not {status}: {}", answer(w, "show stat b 4 -1"));
    };
    let replace = |w: &World, name: &str| {
        let pem = std::fs::read_to_string(w.dir().join(format!("{name}.crt"))).unwrap();
        let file = w.dir().join("ca.pem").display().to_string();
        answer(w, &format!("set ssl ca-file {file} <<\n{pem}\n"));
        assert!(answer(w, &format!("commit ssl ca-file {file}")).contains("Success!"));
    };
    // twice, so that a session was there to be resumed
    is(&w, "UP");
    let checks = answer(&w, "show stat b 4 -1");
    assert!(wait_for(PATIENCE, || (answer(&w, "show stat b 4 -1") != checks).then_some(())).is_some());
    replace(&w, "other");
    is(&w, "DOWN");
    replace(&w, "a");
    is(&w, "UP");
}
