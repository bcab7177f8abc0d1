//! Certificates that somebody shows and that have something wrong with them: extensions, names, purposes, revocation lists. Clients and
//! servers are judged alike (openssl-verification-options(1)).
use crate::tls::{openssl, own, show};
use portcullis_e2e::{World, scenario};

const DEFAULTS: &str = "global
  log 127.0.0.1:${log} local0
defaults
  mode http
  log global
  retries 0
  timeout connect 5s
  timeout client 30s
  timeout server 30s
";

/// Certificates by name, who issues them, and their extensions.
const SHOWN: &[(&str, &str, &str)] = &[
    ("plain", "ca", "basicConstraints=CA:FALSE"),
    ("critical", "ca", "1.2.3.4=critical,DER:0500"),
    ("anyuse", "ca", "extendedKeyUsage=anyExtendedKeyUsage"),
    ("forservers", "ca", "extendedKeyUsage=serverAuth"),
    ("forclients", "ca", "extendedKeyUsage=clientAuth"),
    ("cannotsign", "ca", "keyUsage=dataEncipherment"),
    ("permitted", "sub", "subjectAltName=DNS:x.ok.test"),
    ("elsewhere", "sub", "subjectAltName=DNS:bad.test"),
    ("underleaf", "leaf", "basicConstraints=CA:FALSE"),
    ("undermute", "mute", "basicConstraints=CA:FALSE"),
    ("revoked", "ca", "basicConstraints=CA:FALSE"),
];

/// Authorities below the root, and their extensions.
const AUTHORITIES: &[(&str, &str)] = &[
    ("sub", "basicConstraints=CA:TRUE\nnameConstraints=critical,permitted;DNS:ok.test"),
    ("leaf", "basicConstraints=CA:FALSE"),
    ("mute", "basicConstraints=CA:TRUE\nkeyUsage=digitalSignature"),
];

fn issue(w: &mut World, name: &str, above: &str, extensions: &str, serial: usize) {
    w.file(&format!("{name}.ext"), &format!("{extensions}\n"));
    let dir = w.dir();
    openssl(dir, &format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}.key"));
    openssl(dir, &format!("req -new -key {name}.key -out {name}.csr -subj /CN={name}"));
    openssl(
        dir,
        &format!(
            "x509 -req -in {name}.csr -CA {above}.crt -CAkey {above}.key -set_serial {serial} -out {name}.crt -days 3650 -extfile {name}.ext"
        ),
    );
    // with whoever stands between it and the root
    let part = |file: String| std::fs::read(dir.join(file)).unwrap();
    let between = if above == "ca" { Vec::new() } else { part(format!("{above}.crt")) };
    let all = [part(format!("{name}.crt")), between, part(format!("{name}.key"))].concat();
    std::fs::write(dir.join(format!("{name}.pem")), all).unwrap();
}

/// Makes all of them in the world's directory.
fn tree(w: &mut World) {
    own(w, "a", false, "DNS:a.test");
    let dir = w.dir().to_owned();
    for forger in ["ca", "forger"] {
        openssl(&dir, &format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {forger}.key"));
        openssl(
            &dir,
            &format!("req -x509 -new -key {forger}.key -out {forger}.crt -subj /CN=authority -days 3650"),
        );
    }
    for (at, (name, extensions)) in AUTHORITIES.iter().enumerate() {
        issue(w, name, "ca", extensions, 100 + at);
    }
    for (at, (name, above, extensions)) in SHOWN.iter().enumerate() {
        issue(w, name, above, extensions, 200 + at);
    }
}

/// Makes revocation lists of the root: one that counts, and others that do not.
fn lists(w: &mut World) {
    w.file(
        "crl.cnf",
        "[ca]\ndefault_ca=d\n[d]\ndatabase=${dir}/index\ncrlnumber=${dir}/number\ndefault_md=sha256\ndefault_crl_days=3650\n\
         [users]\nissuingDistributionPoint=critical,@point\n[point]\nonlyuser=TRUE\n",
    );
    w.file("index", "");
    w.file("number", "01\n");
    let dir = w.dir().to_owned();
    let ca = "ca -config crl.cnf -cert ca.crt -keyfile ca.key";
    for args in [
        format!("{ca} -revoke revoked.crt"),
        format!("{ca} -gencrl -out counts.crl"),
        format!("{ca} -gencrl -crlexts users -out users.crl"),
        format!(
            "{ca} -gencrl -crl_lastupdate 20400101000000Z -crl_nextupdate 20410101000000Z -out early.crl"
        ),
        format!("{ca} -gencrl -crl_lastupdate 20200101000000Z -crl_nextupdate 20210101000000Z -out late.crl"),
        "ca -config crl.cnf -cert forger.crt -keyfile forger.key -gencrl -out forged.crl".to_owned(),
    ] {
        openssl(&dir, &args);
    }
}

#[test]
fn clients() {
    scenario("judged/clients", |w| {
        tree(w);
        let ignore = "crt-ignore-err all ca-ignore-err all";
        w.proxy(&format!(
            "{DEFAULTS}
frontend fe
  log-format \"%ft %[ssl_c_verify] %ST\"
  error-log-format \"error %[fc_err] %[fc_err_str] %[ssl_fc_err,hex] %[ssl_c_err] %[ssl_c_ca_err] %[ssl_c_ca_err_depth]\"
  bind 127.0.0.1:${{required}} ssl crt ${{dir}}/a.pem verify required ca-file ${{dir}}/ca.crt
  bind 127.0.0.1:${{lenient}} ssl crt ${{dir}}/a.pem verify optional ca-file ${{dir}}/ca.crt {ignore}
  http-request return status 200 hdr tls \"%[ssl_c_used] %[ssl_c_verify] %[ssl_c_err] %[ssl_c_ca_err] %[ssl_c_ca_err_depth]\"
"
        ));
        let mut seen = 0;
        for port in ["required", "lenient"] {
            w.note(port);
            for (name, ..) in SHOWN {
                show(w, port, &format!("-tls1_2 -cert {name}.pem -key {name}.key -cert_chain {name}.pem"));
                seen += 1;
                w.logs(seen);
            }
        }
    });
}

/// `ssl_fc_err` is not shown: for a signature that is wrong OpenSSL has the number of another library than TLS.
#[test]
fn revocation_lists() {
    scenario("judged/revocation_lists", |w| {
        tree(w);
        lists(w);
        let all = ["counts", "forged", "early", "late", "users"];
        let bind = |name: &str, ignored: &str| {
            format!(
                "  bind 127.0.0.1:${{{name}{}}} ssl crt ${{dir}}/a.pem verify required ca-file ${{dir}}/ca.crt crl-file ${{dir}}/{name}.crl {ignored}\n",
                if ignored.is_empty() { "" } else { "lenient" }
            )
        };
        let binds: String =
            all.iter().map(|n| bind(n, "") + &bind(n, "crt-ignore-err all ca-ignore-err all")).collect();
        w.proxy(&format!(
            "{DEFAULTS}
frontend fe
  log-format \"%ft %[ssl_c_verify] %ST\"
  error-log-format \"error %[fc_err] %[fc_err_str] %[ssl_c_err] %[ssl_c_ca_err] %[ssl_c_ca_err_depth]\"
{binds}  http-request return status 200 hdr tls \"%[ssl_c_verify] %[ssl_c_err] %[ssl_c_ca_err] %[ssl_c_ca_err_depth]\"
"
        ));
        let mut seen = 0;
        for port in all.iter().flat_map(|n| [n.to_string(), format!("{n}lenient")]) {
            w.note(&port);
            for name in ["plain", "revoked", "permitted"] {
                show(w, &port, &format!("-tls1_2 -cert {name}.pem -key {name}.key -cert_chain {name}.pem"));
                seen += 1;
                w.logs(seen);
            }
        }
    });
}

#[test]
fn servers() {
    scenario("judged/servers", |w| {
        tree(w);
        lists(w);
        let mut config = DEFAULTS.replace("  log global\n", "");
        let ask = "ssl no-sni-auto verify required ca-file ${dir}/ca.crt";
        for (name, ..) in SHOWN {
            config += &format!(
                "frontend o{name}\n  bind 127.0.0.1:${{o{name}}} ssl crt ${{dir}}/{name}.pem\n  http-request return status 200\n\
                 listen {name}\n  bind 127.0.0.1:${{{name}}}\n  server s 127.0.0.1:${{o{name}}} {ask}\n"
            );
        }
        let lists = ["counts", "forged", "early", "late", "users"];
        for list in lists {
            for name in ["plain", "revoked"] {
                config += &format!(
                    "listen {list}{name}\n  bind 127.0.0.1:${{{list}{name}}}\n  server s 127.0.0.1:${{o{name}}} {ask} crl-file ${{dir}}/{list}.crl\n"
                );
            }
        }
        w.proxy(&config);
        let listed = lists.iter().flat_map(|l| [format!("{l}plain"), format!("{l}revoked")]);
        for port in SHOWN.iter().map(|(name, ..)| (*name).to_owned()).chain(listed) {
            w.note(&port);
            let mut c = w.client(&port);
            c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").response();
            c.close();
        }
    });
}
