//! OCSP responses that are fetched (manual section 12.7.1, `ocsp-update`), from `openssl ocsp` as the responder.
use crate::certificates::{answer, ask, give};
use crate::tls::{own, signed};
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{World, ports, scenario};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A responder that speaks of the authority `ca`'s certificates, until it is dropped.
struct Responder(Child);

impl Responder {
    fn start(dir: &Path, port: u16, signer: &str) -> Self {
        let port = port.to_string();
        let args =
            format!("ocsp -index index -rsigner {signer}.crt -rkey {signer}.key -CA ca.crt -ndays 30 -port");
        let child = Command::new("openssl")
            .args(args.split(' '))
            .arg(&port)
            .current_dir(dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let number = port.parse().unwrap();
        assert!(wait_for(PATIENCE, || ports::is_listening(number).then_some(())).is_some());
        Self(child)
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const GLOBAL: &str = "global
  stats socket ${dir}/cli level admin
  log 127.0.0.1:${log} local0
  httpclient.retries 0
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
";

/// Waits for the first line of `show ssl ocsp-updates` that has this in it, and notes it without what differs from run to run.
fn update(w: &World, what: &str) {
    let line = || answer(w, "show ssl ocsp-updates").lines().find(|l| l.contains(what)).map(str::to_owned);
    let line = wait_for(PATIENCE, line);
    let line = line.unwrap_or_else(|| panic!("{}", answer(w, "show ssl ocsp-updates")));
    let columns = line.split(" | ").enumerate().map(|(i, c)| match i {
        0 => "ID",
        2 | 3 if c != "-" => "DATE",
        _ => c,
    });
    w.note(w.mask(&columns.collect::<Vec<_>>().join(" | ")));
}

/// What is stapled for a client that asks.
fn staple(w: &mut World) {
    let port = w.port("one");
    let out = Command::new("openssl")
        .args(["s_client", "-status", "-connect", &format!("127.0.0.1:{port}"), "-CAfile", "ca.crt"])
        .current_dir(w.dir())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let said: Vec<&str> = text.lines().map(str::trim).filter(|l| l.starts_with("Cert Status")).collect();
    w.note(format!("stapled: {}", said.join(", ")));
}

/// The certificate `server`, whose responder is at the port `ocsp`, with its issuer behind it.
fn certificates(w: &mut World) {
    own(w, "ca", false, "DNS:ca");
    w.file(
        "ext",
        "authorityInfoAccess = OCSP;URI:http://127.0.0.1:${ocsp}\nsubjectAltName = DNS:server.test\n",
    );
    signed(w, "server", "-days 3650 -extfile ext");
    let part = |name: &str| std::fs::read(w.dir().join(name)).unwrap();
    let whole = [part("server.pem"), part("ca.crt")].concat();
    std::fs::write(w.dir().join("server.pem"), whole).unwrap();
    std::fs::remove_file(w.dir().join("server.crt")).unwrap();
}

fn index(w: &mut World, state: &str) {
    w.file("index", &format!("{state}\t\t1234\tunknown\t/C=FR/O=Portcullis/CN=server\n"));
}

#[test]
fn responses_are_fetched() {
    scenario("ocsp/responses_are_fetched", |w| {
        certificates(w);
        index(w, "V\t361122000000Z");
        let (dir, port) = (w.dir().to_owned(), w.port("ocsp"));
        let responder = Responder::start(&dir, port, "ca");
        w.file("list", "${dir}/server.pem [ocsp-update on]\n");
        w.proxy(&format!(
            "{GLOBAL}frontend fe
  bind 127.0.0.1:${{one}} ssl crt-list ${{dir}}/list
  http-request return status 200
"
        ));
        let path = format!("{}/server.pem", dir.display());
        update(w, "Update successful");
        staple(w);
        let shown = answer(w, &format!("show ssl ocsp-response {path}"));
        let same = |l: &&str| !["Produced", "Hash:", "Update:"].iter().any(|d| l.contains(d));
        shown.lines().take(15).filter(same).for_each(|l| w.note(l));
        let listed = answer(w, "show ssl ocsp-response");
        for line in listed.lines().filter(|l| !l.contains("Hash:")) {
            let line =
                if line.starts_with("Certificate ID key : 303b300906052b0e03021a0500") { "ID" } else { line };
            w.note(w.mask(line));
        }
        for wrong in
            ["show ssl ocsp-response nobody", "show ssl ocsp-response text", "update ssl ocsp-response"]
        {
            w.note(answer(w, wrong).trim_end());
        }
        drop(responder);
        w.note(format!("update: {:?}", answer(w, &format!("update ssl ocsp-response {path}"))));
        update(w, "HTTP error");
        // what was fetched is stapled all the same
        staple(w);
        let lines = w.logs(3);
        assert!(
            lines[0].contains("<133>") && lines[0].ends_with("server.pem 1 \"Update successful\" 0 1"),
            "{lines:?}"
        );
        assert!(lines[1].ends_with("server.pem 2 \"HTTP error\" 1 1"), "{lines:?}");
        assert!(lines[2].contains("<OCSP-UPDATE> -/- "), "{lines:?}");
        assert!(lines[2].contains(" 503 0 - - SC-- 0/0/0/0/0 0/0 {} \"GET http://"), "{lines:?}");
        w.forget_logs();
    });
}

/// A response that somebody else has signed is not used.
#[test]
fn responses_of_others_are_not_used() {
    scenario("ocsp/responses_of_others_are_not_used", |w| {
        certificates(w);
        index(w, "V\t361122000000Z");
        own(w, "other", false, "DNS:other");
        let (dir, port) = (w.dir().to_owned(), w.port("ocsp"));
        let _responder = Responder::start(&dir, port, "other");
        w.proxy(&format!(
            "{GLOBAL}crt-store
  load crt ${{dir}}/server.pem ocsp-update on
frontend fe
  bind 127.0.0.1:${{one}} ssl crt ${{dir}}/server.pem
  http-request return status 200
"
        ));
        update(w, "OCSP response check failure");
        staple(w);
        w.logs(1);
        w.forget_logs();
    });
}

/// A responder's error is logged with the request that it is about; an answer that is no response is not.
#[test]
fn errors_of_the_responder_are_logged() {
    scenario("ocsp/errors_of_the_responder_are_logged", |w| {
        certificates(w);
        w.file("list", "${dir}/server.pem [ocsp-update on]\n");
        w.proxy(&format!(
            "{GLOBAL}frontend responder
  bind 127.0.0.1:${{ocsp}}
  http-request return status 500
frontend fe
  bind 127.0.0.1:${{one}} ssl crt-list ${{dir}}/list
  http-request return status 200
"
        ));
        update(w, "HTTP error");
        let lines = w.logs(2);
        assert!(lines[0].ends_with("server.pem 2 \"HTTP error\" 1 0"), "{lines:?}");
        assert!(lines[1].contains("<OCSP-UPDATE> -/- "), "{lines:?}");
        assert!(
            lines[1].contains(" 500 ")
                && lines[1].contains(" - - ---- ")
                && lines[1].contains("0/0/0/0 0/0 {} \"GET http://")
        );
        w.forget_logs();
    });
}

/// What is not about a certificate, or not of now, is neither stapled nor a reason not to start.
#[test]
fn responses_that_are_not_stapled() {
    scenario("ocsp/responses_that_are_not_stapled", |w| {
        own(w, "ca", false, "DNS:ca");
        signed(w, "server", "-days 3650");
        let dir = w.dir().to_owned();
        let part = |name: &str| std::fs::read(dir.join(name)).unwrap();
        std::fs::write(dir.join("server.pem"), [part("server.pem"), part("ca.crt")].concat()).unwrap();
        std::fs::remove_file(dir.join("server.crt")).unwrap();
        let run = |args: &str| crate::tls::openssl(&dir, args);
        run("ocsp -issuer ca.crt -serial 0x1234 -no_nonce -reqout ours");
        run("ocsp -issuer ca.crt -serial 0x99 -no_nonce -reqout others");
        let known = |serial: &str| format!("V\t361122000000Z\t\t{serial}\tunknown\t/CN={serial}\n");
        w.file("known", &(known("99") + &known("1234")));
        w.file("empty", "");
        let respond = |name: &str, request: &str, index: &str, lasts: &str| {
            run(&format!(
                "ocsp -index {index} -rsigner ca.crt -rkey ca.key -CA ca.crt -reqin {request} -respout {name}.der {lasts}"
            ));
            run(&format!("base64 -in {name}.der -out {name}.b64"));
        };
        respond("good", "ours", "known", "-ndays 30");
        respond("ends", "ours", "known", "-nmin 4");
        respond("endless", "ours", "known", "");
        respond("unknown", "ours", "empty", "-ndays 30");
        respond("other", "others", "known", "-ndays 30");
        std::fs::write(dir.join("text.der"), "hello").unwrap();
        run("base64 -in text.der -out text.b64");
        let bad = ["ends", "endless", "unknown", "other", "text"];
        let config = format!(
            "{GLOBAL}frontend fe
  bind 127.0.0.1:${{one}} ssl crt ${{dir}}/server.pem
  http-request return status 200
"
        );
        for name in bad {
            std::fs::copy(dir.join(format!("{name}.der")), dir.join("server.pem.ocsp")).unwrap();
            let out = w.check(&config, &["-V"]);
            let told = out.stderr.lines().filter_map(|l| l.split_once("Loading: "));
            let told: Vec<&str> = told.map(|(_, why)| why).collect();
            w.note(format!("{name}: {} {}", out.code, told.join(", ")));
        }
        std::fs::remove_file(dir.join("server.pem.ocsp")).unwrap();
        w.proxy(&config);
        give(w, "set ssl ocsp-response", "good.b64");
        staple(w);
        for name in bad {
            w.note(name);
            give(w, "set ssl ocsp-response", &format!("{name}.b64"));
            give(w, &format!("set ssl cert {}/server.pem.ocsp", dir.display()), &format!("{name}.b64"));
            ask(w, &format!("commit ssl cert {}/server.pem", dir.display()));
            staple(w);
        }
        give(w, &format!("set ssl cert {}/server.pem.ocsp", dir.display()), "good.b64");
        ask(w, &format!("commit ssl cert {}/server.pem", dir.display()));
        staple(w);
        // 3.5 staples nothing any more after it was given one that ends soon
        for name in &bad[1..] {
            give(w, "set ssl ocsp-response", &format!("{name}.b64"));
        }
        staple(w);
        give(w, "set ssl ocsp-response", "good.b64");
    });
}
