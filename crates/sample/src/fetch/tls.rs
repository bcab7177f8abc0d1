//! Samples of TLS on both sides (manual section 7.3.4), and of what ended a client's connection (section 7.3.3).

use crate::args::{ArgKind, Args};
use crate::convert::hash::xxh64;
use crate::place::{CLIENT_SESSION, RESPONSE_LINE};
use crate::row::{Fetch, FetchFn, SampleRows};
use crate::scope::Scope;
use crate::value::{Sample, Type, Value};
use portcullis_tls::der;
use portcullis_tls::dn;
use portcullis_tls::info::Info;
use portcullis_tls::x509::{self, Cert};
use portcullis_wire::hex;

fn bytes(b: Option<&[u8]>) -> Sample<'_> {
    b.map(|b| Value::Bin(b.into())).into()
}
fn word(s: &str) -> Sample<'_> {
    (!s.is_empty()).then(|| Value::str(s.as_bytes())).into()
}
fn string(s: Option<String>) -> Sample<'static> {
    s.map(|s| Value::Str(s.into_bytes().into())).into()
}
fn text(s: Option<Vec<u8>>) -> Sample<'static> {
    s.map(|s| Value::Str(s.into())).into()
}
fn int(n: impl Into<i64>) -> Sample<'static> {
    Value::Int(n.into()).into()
}

/// The client's side.
fn fc<'s>(s: &Scope<'s>) -> Option<&'s Info> {
    s.facts.frontend_tls.as_deref()
}
/// The server's side.
fn bc<'s>(s: &Scope<'s>) -> Option<&'s Info> {
    s.facts.backend_tls.as_deref()
}
/// Certificates, one behind the other; none: there are none.
fn chain_der<C: AsRef<[u8]>>(chain: Option<&[C]>) -> Sample<'static> {
    let all = chain.filter(|c| !c.is_empty()).map(|c| c.iter().flat_map(|c| c.as_ref().to_vec()).collect());
    all.map(|all: Vec<u8>| Value::Bin(all.into())).into()
}
fn client_cert<'s>(s: &Scope<'s>) -> Option<Cert<'s>> {
    Cert::parse(fc(s)?.peer.first()?.as_ref())
}
fn own_cert<'s>(s: &Scope<'s>) -> Option<Cert<'s>> {
    Cert::parse(fc(s)?.own.as_ref()?.cert.first()?.as_ref())
}
fn server_cert<'s>(s: &Scope<'s>) -> Option<Cert<'s>> {
    Cert::parse(bc(s)?.peer.first()?.as_ref())
}

/// A name, or one of its entries, as the arguments say. An entry has one format.
fn dn(name: &[u8], args: &Args) -> Option<Vec<u8>> {
    let entry = String::from_utf8_lossy(args.text(0)).into_owned();
    let text = match (entry.as_str(), args.text(2)) {
        ("", b"rfc2253") => Some(dn::rfc2253(name).into_bytes()),
        ("", _) => Some(dn::one_line(name)),
        (entry, _) => dn_entry(name, entry, args.int(1).unwrap_or(1)),
    };
    text.filter(|text| !text.contains(&0))
}

/// An entry of this name: the first, the second, or with a negative number from the end.
fn dn_entry(name: &[u8], entry: &str, number: i64) -> Option<Vec<u8>> {
    let named = |oid: &[u8]| match x509::short_name(oid) {
        Some(n) => n.eq_ignore_ascii_case(entry),
        None => der::dotted(oid) == entry,
    };
    let found: Vec<_> = x509::attributes(name).filter(|(oid, _)| named(oid)).collect();
    let at = match number {
        0 => None,
        n @ 1.. => usize::try_from(n - 1).ok(),
        n => found.len().checked_sub(usize::try_from(n.unsigned_abs()).ok()?),
    };
    found.get(at?).map(|(_, value)| dn::shown(*value))
}

/// `YYMMDDhhmmss[Z]`, as certificates have it.
fn date(e: der::Element<'_>) -> Sample<'_> {
    // the years of a GeneralizedTime begin with the century
    let text = if e.tag == 0x18 { e.content.get(2..).unwrap_or(&[]) } else { e.content };
    Value::str(text).into()
}

fn serial(n: &[u8]) -> &[u8] {
    match n {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    }
}

fn sha1(der: &[u8]) -> Sample<'static> {
    use aws_lc_rs::digest;
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der);
    Value::Bin(hash.as_ref().to_vec().into()).into()
}

fn algorithm(oid: Option<&[u8]>) -> Sample<'static> {
    string(oid.map(|oid| x509::short_name(oid).map_or_else(|| der::dotted(oid), str::to_owned)))
}

/// The alternative names of a certificate as text.
fn san(cert: &Cert<'_>) -> Option<String> {
    let mut out: Vec<String> = Vec::new();
    for e in cert.alt_names() {
        let text = String::from_utf8_lossy(e.content).into_owned();
        match (e.tag, e.content.len()) {
            (0x82, _) => out.push(format!("DNS:{text}")),
            (0x81, _) => out.push(format!("email:{text}")),
            (0x86, _) => out.push(format!("URI:{text}")),
            (0x87, 4) => {
                let b: Vec<String> = e.content.iter().map(u8::to_string).collect();
                out.push(format!("IP Address:{}", b.join(".")));
            }
            (0x87, 16) => {
                let b: Vec<String> = e
                    .content
                    .chunks_exact(2)
                    .map(|c| format!("{:X}", u16::from(c[0]) << 8 | u16::from(c[1])))
                    .collect();
                out.push(format!("IP Address:{}", b.join(":")));
            }
            _ => out.push("othername:<unsupported>".to_owned()),
        }
    }
    (!out.is_empty()).then(|| out.join(", "))
}

fn policies(cert: &Cert<'_>, wanted: &[u8]) -> Option<String> {
    let (v, _) = cert.extension(&[0x55, 0x1d, 0x20])?;
    let list = der::Der(v).inside(der::SEQUENCE)?;
    let all: Vec<String> =
        list.filter_map(|p| der::Der(p.content).tagged(der::OID)).map(|o| der::dotted(o.content)).collect();
    match wanted {
        [] => (!all.is_empty()).then(|| all.join(",")),
        oid => all.into_iter().find(|p| p.as_bytes() == oid),
    }
}

/// The part of a ClientHello that a sample is made of.
fn hello_part<'s>(s: &Scope<'s>, part: fn(&Hello<'s>) -> Option<&'s [u8]>) -> Option<&'s [u8]> {
    part(&Hello::of(fc(s)?.hello.as_deref()?)?)
}

struct Hello<'a> {
    version: &'a [u8],
    ciphers: &'a [u8],
    extensions: &'a [u8],
}

fn counted<'a>(b: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (len, rest) = b.split_at_checked(n)?;
    let len = len.iter().fold(0, |v, b| v << 8 | usize::from(*b));
    let (content, rest) = rest.split_at_checked(len)?;
    *b = rest;
    Some(content)
}

impl<'a> Hello<'a> {
    fn of(body: &'a [u8]) -> Option<Self> {
        let (version, rest) = body.split_at_checked(2)?;
        let (_, mut rest) = rest.split_at_checked(32)?;
        counted(&mut rest, 1)?;
        let ciphers = counted(&mut rest, 2)?;
        counted(&mut rest, 1)?;
        let extensions = counted(&mut rest, 2).unwrap_or(&[]);
        Some(Self { version, ciphers, extensions })
    }
    fn each(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut rest = self.extensions;
        std::iter::from_fn(move || {
            let (id, mut behind) = rest.split_at_checked(2)?;
            let content = counted(&mut behind, 2)?;
            rest = behind;
            Some((id, content))
        })
    }
    fn extension(&self, wanted: u16) -> Option<&'a [u8]> {
        self.each().find(|(id, _)| *id == wanted.to_be_bytes()).map(|(_, content)| content)
    }
}

/// Values of two bytes, without those that mean nothing (GREASE) if argument 0 is 1.
fn pairs(list: Option<Vec<u8>>, args: &Args) -> Sample<'static> {
    let filter = args.int(0) == Some(1);
    let kept = list.map(|l| {
        let grease = |c: &&[u8]| !(filter && c[0] == c[1] && c[0] & 0x0f == 0x0a);
        l.chunks_exact(2).filter(grease).flatten().copied().collect::<Vec<u8>>()
    });
    kept.map(|k| Value::Bin(k.into())).into()
}

fn ciphers(s: &Scope<'_>) -> Option<Vec<u8>> {
    hello_part(s, |h| Some(h.ciphers)).map(<[u8]>::to_vec)
}

fn suites(list: &[u8]) -> String {
    let name = |number: u16| {
        portcullis_tls::suites::name(number).map_or_else(|| format!("UNKNOWN({number:04x})"), str::to_owned)
    };
    let (numbers, _) = list.as_chunks::<2>();
    numbers.iter().map(|n| name(u16::from_be_bytes(*n))).collect::<Vec<_>>().join(",")
}

/// A list with its length before it, out of an extension.
fn list(s: &Scope<'_>, id: u16, width: usize) -> Option<Vec<u8>> {
    let hello = Hello::of(fc(s)?.hello.as_deref()?)?;
    let mut content = hello.extension(id)?;
    counted(&mut content, width).map(<[u8]>::to_vec)
}

const DN: &[ArgKind] = &[ArgKind::Str, ArgKind::Int, ArgKind::Str];
const FILTER: &[ArgKind] = &[ArgKind::Int];

fn check_dn(args: &mut Args) -> Result<(), String> {
    match args.text(2) {
        b"" | b"rfc2253" => Ok(()),
        other => Err(format!(
            "only rfc2253 or a blank value are currently supported for the format, not '{}'",
            String::from_utf8_lossy(other)
        )),
    }
}

const fn own(name: &'static str, output: Type, help: &'static str, eval: FetchFn) -> Fetch {
    Fetch::new(name, output, CLIENT_SESSION, help, eval)
}
const fn back(name: &'static str, output: Type, help: &'static str, eval: FetchFn) -> Fetch {
    Fetch::new(name, output, RESPONSE_LINE, help, eval)
}

/// What every certificate has: the client's, ours, the server's.
macro_rules! certificate {
    ($who:literal, $cert:ident) => {
        [
            own(concat!("ssl_", $who, "_der"), Type::Bin, "The certificate, DER.", |_, s, _| {
                bytes($cert(s).map(|c| c.der))
            }),
            own(concat!("ssl_", $who, "_i_dn"), Type::Str, "The issuer's name.", |a, s, _| {
                text($cert(s).and_then(|c| dn(c.issuer, a)))
            })
            .with(0, DN)
            .checked(check_dn),
            own(concat!("ssl_", $who, "_s_dn"), Type::Str, "The subject's name.", |a, s, _| {
                text($cert(s).and_then(|c| dn(c.subject, a)))
            })
            .with(0, DN)
            .checked(check_dn),
            own(concat!("ssl_", $who, "_key_alg"), Type::Str, "The algorithm of its key.", |_, s, _| {
                algorithm($cert(s).and_then(|c| c.key()).map(|(oid, ..)| oid))
            }),
            own(concat!("ssl_", $who, "_notafter"), Type::Str, "The end of its time.", |_, s, _| {
                $cert(s).map_or(Sample::Missing, |c| date(c.not_after))
            }),
            own(concat!("ssl_", $who, "_notbefore"), Type::Str, "The beginning of its time.", |_, s, _| {
                $cert(s).map_or(Sample::Missing, |c| date(c.not_before))
            }),
            own(concat!("ssl_", $who, "_serial"), Type::Bin, "Its serial number.", |_, s, _| {
                bytes($cert(s).map(|c| serial(c.serial)))
            }),
            own(concat!("ssl_", $who, "_sha1"), Type::Bin, "Its SHA-1 fingerprint.", |_, s, _| {
                $cert(s).map_or(Sample::Missing, |c| sha1(c.der))
            }),
            own(concat!("ssl_", $who, "_sig_alg"), Type::Str, "What it is signed with.", |_, s, _| {
                algorithm($cert(s).map(|c| c.signature_oid))
            }),
            own(concat!("ssl_", $who, "_version"), Type::Int, "Its version.", |_, s, _| {
                $cert(s).map_or(Sample::Missing, |c| int(c.version))
            }),
        ]
    };
}

/// What is known of a connection on either side.
macro_rules! connection {
    ($side:literal, $info:ident, $row:ident) => {
        [
            $row(concat!("ssl_", $side), Type::Bool, "Does it speak TLS?", |_, s, _| {
                Value::Bool($info(s).is_some()).into()
            }),
            $row(
                concat!("ssl_", $side, "_alg_keysize"),
                Type::Int,
                "Bits of the cipher's key.",
                |_, s, _| $info(s).filter(|i| i.key_size > 0).map_or(Sample::Missing, |i| int(i.key_size)),
            ),
            $row(concat!("ssl_", $side, "_use_keysize"), Type::Int, "Bits of the key in use.", |_, s, _| {
                $info(s).filter(|i| i.key_size > 0).map_or(Sample::Missing, |i| int(i.key_size))
            }),
            $row(
                concat!("ssl_", $side, "_alpn"),
                Type::Str,
                "The protocol that was negotiated.",
                |_, s, _| $info(s).and_then(|i| i.alpn.as_deref()).map(Value::str).into(),
            ),
            $row(concat!("ssl_", $side, "_cipher"), Type::Str, "The cipher suite.", |_, s, _| {
                $info(s).map_or(Sample::Missing, |i| word(i.cipher))
            }),
            $row(concat!("ssl_", $side, "_curve"), Type::Str, "The group of the key exchange.", |_, s, _| {
                $info(s).map_or(Sample::Missing, |i| word(i.group))
            }),
            $row(
                concat!("ssl_", $side, "_err"),
                Type::Int,
                "What ended the handshake; 0: nothing.",
                |_, s, _| $info(s).map_or(Sample::Missing, |i| int(i.error.get())),
            ),
            $row(concat!("ssl_", $side, "_err_str"), Type::Str, "The same in words.", |_, s, _| {
                string($info(s).map(|i| i.error.get()).filter(|n| *n != 0).map(portcullis_tls::errors::text))
            }),
            $row(concat!("ssl_", $side, "_is_resumed"), Type::Bool, "Was a session resumed?", |_, s, _| {
                Value::Bool($info(s).is_some_and(|i| i.resumed)).into()
            }),
            $row(concat!("ssl_", $side, "_protocol"), Type::Str, "The protocol's version.", |_, s, _| {
                $info(s).map_or(Sample::Missing, |i| word(i.version))
            }),
            $row(concat!("ssl_", $side, "_sni"), Type::Str, "The server name that was sent.", |_, s, _| {
                $info(s).and_then(|i| i.sni.as_deref()).map(|n| Value::str(n.as_bytes())).into()
            }),
        ]
    };
}

/// What key logs are made of.
macro_rules! secrets {
    ($side:literal, $info:ident, $row:ident) => {
        [
            $row(
                concat!("ssl_", $side, "_client_random"),
                Type::Bin,
                "The client's random number.",
                |_, s, _| bytes($info(s).and_then(|i| i.randoms[0].as_ref().map(<[u8; 32]>::as_slice))),
            ),
            $row(
                concat!("ssl_", $side, "_server_random"),
                Type::Bin,
                "The server's random number.",
                |_, s, _| bytes($info(s).and_then(|i| i.randoms[1].as_ref().map(<[u8; 32]>::as_slice))),
            ),
            $row(
                concat!("ssl_", $side, "_session_id"),
                Type::Bin,
                "What its session is known by.",
                |_, s, _| bytes($info(s).map(|i| i.session.bytes())),
            ),
            $row(
                concat!("ssl_", $side, "_session_key"),
                Type::Bin,
                "The master secret of TLS 1.2, with 'tune.ssl.keylog'.",
                |_, s, _| bytes(secret($info(s), "CLIENT_RANDOM")),
            ),
            own(
                concat!("ssl_", $side, "_client_early_traffic_secret"),
                Type::Str,
                "CLIENT_EARLY_TRAFFIC_SECRET, with 'tune.ssl.keylog'.",
                |_, s, _| digits(secret($info(s), "CLIENT_EARLY_TRAFFIC_SECRET")),
            ),
            own(
                concat!("ssl_", $side, "_client_handshake_traffic_secret"),
                Type::Str,
                "CLIENT_HANDSHAKE_TRAFFIC_SECRET, with 'tune.ssl.keylog'.",
                |_, s, _| digits(secret($info(s), "CLIENT_HANDSHAKE_TRAFFIC_SECRET")),
            ),
            own(
                concat!("ssl_", $side, "_server_handshake_traffic_secret"),
                Type::Str,
                "SERVER_HANDSHAKE_TRAFFIC_SECRET, with 'tune.ssl.keylog'.",
                |_, s, _| digits(secret($info(s), "SERVER_HANDSHAKE_TRAFFIC_SECRET")),
            ),
            own(
                concat!("ssl_", $side, "_client_traffic_secret_0"),
                Type::Str,
                "CLIENT_TRAFFIC_SECRET_0, with 'tune.ssl.keylog'.",
                |_, s, _| digits(secret($info(s), "CLIENT_TRAFFIC_SECRET_0")),
            ),
            own(
                concat!("ssl_", $side, "_server_traffic_secret_0"),
                Type::Str,
                "SERVER_TRAFFIC_SECRET_0, with 'tune.ssl.keylog'.",
                |_, s, _| digits(secret($info(s), "SERVER_TRAFFIC_SECRET_0")),
            ),
            own(
                concat!("ssl_", $side, "_exporter_secret"),
                Type::Str,
                "EXPORTER_SECRET, with 'tune.ssl.keylog'.",
                |_, s, _| digits(secret($info(s), "EXPORTER_SECRET")),
            ),
            own(
                concat!("ssl_", $side, "_early_exporter_secret"),
                Type::Str,
                "EARLY_EXPORTER_SECRET: the library never tells of it.",
                |_, s, _| digits(secret($info(s), "EARLY_EXPORTER_SECRET")),
            ),
            $row(
                concat!("ssl_", $side, "_npn"),
                Type::Str,
                "The protocol that NPN negotiated: nobody speaks that any more.",
                |_, _, _| Sample::Missing,
            ),
        ]
    };
}

static CLIENT_CERT: [Fetch; 10] = certificate!("c", client_cert);
static OWN_CERT: [Fetch; 10] = certificate!("f", own_cert);
static SERVER_CERT: [Fetch; 10] = certificate!("s", server_cert);
static FRONT: [Fetch; 11] = connection!("fc", fc, own);
static BACK: [Fetch; 11] = connection!("bc", bc, back);
static FRONT_SECRETS: [Fetch; 12] = secrets!("fc", fc, own);
static BACK_SECRETS: [Fetch; 12] = secrets!("bc", bc, back);

/// A secret of a connection (`tune.ssl.keylog`).
fn secret<'i>(info: Option<&'i Info>, label: &str) -> Option<&'i [u8]> {
    info?.secrets.iter().find(|s| s.label == label).map(|s| &*s.secret)
}

/// The same as the lower case digits that key logs have.
fn digits(secret: Option<&[u8]>) -> Sample<'static> {
    string(secret.map(|s| hex::text(s).to_ascii_lowercase()))
}

/// What only one side has.
static OTHERS: &[Fetch] = &[
    own("ssl_c_ca_err", Type::Int, "The first error above the client's certificate.", |_, s, _| {
        fc(s).map_or(Sample::Missing, |i| int(i.verdict.ca))
    }),
    own("ssl_c_ca_err_depth", Type::Int, "How far above.", |_, s, _| {
        fc(s).map_or(Sample::Missing, |i| int(i.verdict.ca_depth))
    }),
    own("ssl_c_err", Type::Int, "The first error of the client's certificate.", |_, s, _| {
        fc(s).map_or(Sample::Missing, |i| int(i.verdict.crt))
    }),
    own("ssl_c_verify", Type::Int, "What came of the verification; 0: it is good.", |_, s, _| {
        fc(s).filter(|i| i.complete).map_or(Sample::Missing, |i| int(i.verdict.last))
    }),
    own(
        "ssl_c_used",
        Type::Bool,
        "Did the client show a certificate, now or when the session began?",
        |_, s, _| fc(s).map(|i| Value::Bool(!i.peer.is_empty())).into(),
    ),
    own("ssl_fc_has_crt", Type::Bool, "Did the client show a certificate in this handshake?", |_, s, _| {
        fc(s).filter(|i| i.complete).map(|i| Value::Bool(i.peer_shown)).into()
    }),
    own(
        "ssl_c_chain_der",
        Type::Bin,
        "The certificates that the client sent with its own, DER.",
        |_, s, _| // a session that is resumed has none, nor has the server's below
        chain_der(fc(s).filter(|i| !i.resumed).and_then(|i| i.peer.get(1..))),
    ),
    own("ssl_s_chain_der", Type::Bin, "The server's certificate and those above it, DER.", |_, s, _| {
        chain_der(bc(s).filter(|i| !i.resumed).map(|i| &i.peer[..]))
    }),
    own(
        "ssl_c_r_dn",
        Type::Str,
        "The name of the authority that the client's chain ends with.",
        |a, s, _| {
            let last = fc(s).and_then(|i| i.peer.last()).and_then(|c| Cert::parse(c.as_ref()));
            text(last.and_then(|c| dn(c.issuer, a)))
        },
    )
    .with(0, DN)
    .checked(check_dn),
    own("ssl_c_san", Type::Str, "The alternative names of the client's certificate.", |_, s, _| {
        string(client_cert(s).and_then(|c| san(&c)))
    }),
    own("ssl_c_policies", Type::Str, "The policies of the client's certificate.", |a, s, _| {
        string(client_cert(s).and_then(|c| policies(&c, a.text(0))))
    })
    .with(0, &[ArgKind::Str]),
    own("ssl_fc_has_sni", Type::Bool, "Did the client send a server name?", |_, s, _| {
        Value::Bool(fc(s).is_some_and(|i| i.sni.is_some())).into()
    }),
    own("ssl_fc_has_early", Type::Bool, "Did early data come, with no handshake done yet?", |_, s, _| {
        fc(s).map(|i| Value::Bool(i.is_early())).into()
    }),
    own("ssl_fc_early_rcvd", Type::Bool, "Did early data come?", |_, s, _| {
        fc(s).map(|i| Value::Bool(i.early.is_some())).into()
    }),
    own("ssl_fc_crtname", Type::Str, "The file of our certificate.", |_, s, _| {
        fc(s).and_then(|i| i.own_name.as_deref()).map(|n| Value::str(n.as_bytes())).into()
    }),
    own("ssl_fc_protocol_hello_id", Type::Int, "The version in the ClientHello.", |_, s, _| {
        hello_part(s, |h| Some(h.version))
            .map_or(Sample::Missing, |v| int(v.iter().fold(0i64, |n, b| n << 8 | i64::from(*b))))
    }),
    own("ssl_fc_cipherlist_bin", Type::Str, "The client's cipher suites.", |a, s, _| pairs(ciphers(s), a))
        .with(0, FILTER),
    own(
        "ssl_fc_cipherlist_hex",
        Type::Bin,
        "The client's cipher suites, hexadecimal.",
        |a, s, _| match pairs(ciphers(s), a) {
            Sample::There(Value::Bin(b)) => string(Some(hex::text(&b))),
            other => other,
        },
    )
    .with(0, FILTER),
    own("ssl_fc_cipherlist_str", Type::Str, "The client's cipher suites by name.", |a, s, _| {
        match pairs(ciphers(s), a) {
            Sample::There(Value::Bin(b)) => string(Some(suites(&b))),
            other => other,
        }
    })
    .with(0, FILTER),
    own("ssl_fc_cipherlist_xxh", Type::Int, "Hash of the client's cipher suites.", |_, s, _| {
        ciphers(s).map(|c| Value::Int(xxh64(0, &c).cast_signed())).into()
    }),
    own("ssl_fc_extlist_bin", Type::Str, "The client's extensions.", |a, s, _| {
        let hello = fc(s).and_then(|i| i.hello.as_deref()).and_then(Hello::of);
        pairs(hello.map(|h| h.each().flat_map(|(id, _)| id.to_vec()).collect()), a)
    })
    .with(0, FILTER),
    own("ssl_fc_eclist_bin", Type::Str, "The client's groups.", |a, s, _| pairs(list(s, 10, 2), a))
        .with(0, FILTER),
    own("ssl_fc_ecformats_bin", Type::Str, "The client's point formats.", |_, s, _| {
        list(s, 11, 1).map(|l| Value::Bin(l.into())).into()
    }),
    own("ssl_fc_sigalgs_bin", Type::Bin, "The client's signature algorithms.", |a, s, _| {
        pairs(list(s, 13, 2), a)
    })
    .with(0, FILTER),
    own("ssl_fc_supported_versions_bin", Type::Bin, "The client's versions.", |a, s, _| {
        pairs(list(s, 43, 1), a)
    })
    .with(0, FILTER),
];

const fn table(fetches: &'static [Fetch]) -> SampleRows {
    SampleRows { fetches, converters: &[], acls: &[] }
}

/// Rows.
pub const ROWS: [SampleRows; 8] = [
    table(&CLIENT_CERT),
    table(&OWN_CERT),
    table(&SERVER_CERT),
    table(&FRONT),
    table(&BACK),
    table(&FRONT_SECRETS),
    table(&BACK_SECRETS),
    table(OTHERS),
];
