//! What holds for whatever comes: converters that undo one another, sets of patterns that find what a list would find,
//! expressions that are read back as they were written.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use portcullis_message::{Head, Version};
use portcullis_sample::format::Options;
use portcullis_sample::pattern::{Method, Patterns};
use portcullis_sample::place::Places;
use portcullis_sample::{Expr, Facts, Format, Message, Random, Sample, Scope, Value, vocabulary};

/// Texts of a few letters, so that they meet.
struct Texts(Random);

impl Texts {
    fn below(&self, n: u64) -> usize {
        (self.0.next() >> 33) as usize % n as usize
    }
    fn of(&self, alphabet: &[u8], most: u64) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| alphabet[self.below(alphabet.len() as u64)]).collect()
    }
    fn bytes(&self, most: u64) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| (self.0.next() >> 40) as u8).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn eval(text: &str) -> Option<Vec<u8>> {
    let (facts, random) = (Facts::new(), Random::new(1));
    let expr = Expr::parse(text.as_bytes(), &vocabulary()).unwrap_or_else(|e| panic!("{text}: {e}"));
    match expr.eval(&Scope::new(&facts, &random)) {
        Sample::There(v) => Some(v.into_text().into_owned()),
        _ => None,
    }
}

#[test]
fn converters_that_undo_one_another() {
    let texts = Texts(Random::new(7));
    for _ in 0..500 {
        let mut bytes = [vec![1], texts.bytes(40)].concat();
        let shown = hex(&bytes);
        for (there, back) in [
            ("base64", "b64dec"),
            ("ub64enc", "ub64dec"),
            (
                "aes_cbc_enc(128,AAAAAAAAAAAAAAAAAAAAAA==,AAAAAAAAAAAAAAAAAAAAAA==)",
                "aes_cbc_dec(128,AAAAAAAAAAAAAAAAAAAAAA==,AAAAAAAAAAAAAAAAAAAAAA==)",
            ),
        ] {
            assert_eq!(eval(&format!("bin({shown}),{there},{back}")).unwrap(), bytes, "{there} {shown}");
        }
        assert_eq!(eval(&format!("bin({shown}),hex")).unwrap(), shown.to_uppercase().as_bytes());
        // texts end at a NUL
        bytes.retain(|b| *b != 0);
        let shown = hex(&bytes);
        for (there, back) in [("url_enc", "url_dec"), ("reverse", "reverse")] {
            assert_eq!(eval(&format!("bin({shown}),{there},{back}")).unwrap(), bytes, "{there} {shown}");
        }
        let n = texts.0.next() as i64;
        for (there, back) in [("neg", "neg"), ("cpl", "cpl"), ("xor(-1)", "cpl"), ("htonl", "htonl")] {
            if there == "htonl" || n == i64::MIN {
                continue;
            }
            assert_eq!(
                eval(&format!("int({n}),{there},{back}")).unwrap(),
                n.to_string().as_bytes(),
                "{there}"
            );
        }
    }
}

/// What a pattern means, the slow way.
fn matches(method: Method, pattern: &[u8], text: &[u8], fold: bool) -> bool {
    let lower = |b: &[u8]| if fold { b.to_ascii_lowercase() } else { b.to_vec() };
    let (p, t) = (lower(pattern), lower(text));
    let part = |marks: &[u8]| {
        // between delimiters, which may stand at the pattern's own ends
        let trimmed: Vec<u8> = {
            let start = p.iter().position(|b| !marks.contains(b)).unwrap_or(p.len());
            let end = p.iter().rposition(|b| !marks.contains(b)).map_or(start, |i| i + 1);
            p[start..end].to_vec()
        };
        !trimmed.is_empty()
            && (0..=t.len().saturating_sub(trimmed.len())).any(|i| {
                t[i..].starts_with(&trimmed)
                    && (i == 0 || marks.contains(&t[i - 1]))
                    && t.get(i + trimmed.len()).is_none_or(|b| marks.contains(b))
            })
    };
    match method {
        Method::Str => p == t,
        Method::Beg => t.starts_with(&p),
        Method::End => t.ends_with(&p),
        Method::Sub => p.is_empty() || t.windows(p.len()).any(|w| w == p),
        Method::Dir => part(b"/?"),
        Method::Dom => part(b"/?.:"),
        _ => unreachable!(),
    }
}

#[test]
fn sets_of_texts_find_what_a_list_would() {
    let texts = Texts(Random::new(11));
    for round in 0..3000 {
        let method =
            [Method::Str, Method::Beg, Method::End, Method::Sub, Method::Dir, Method::Dom][round % 6];
        let mut set = Patterns::new(method);
        let list: Vec<(Vec<u8>, bool)> =
            (0..1 + texts.below(30)).map(|_| (texts.of(b"abA/.", 4), texts.below(2) == 1)).collect();
        for (p, fold) in list.iter().filter(|(p, _)| !p.is_empty()) {
            set.add(p, *fold, false).unwrap();
        }
        set.seal();
        for _ in 0..20 {
            let text = texts.of(b"abA/.", 8);
            let found = set.matches(Value::str(&text));
            let wanted =
                list.iter().filter(|(p, _)| !p.is_empty()).any(|(p, fold)| matches(method, p, &text, *fold));
            let shown = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
            let all: Vec<_> = list.iter().map(|(p, f)| (shown(p), f)).collect();
            assert_eq!(found, wanted, "{method:?} {all:?} on {:?}", shown(&text));
        }
    }
}

#[test]
fn sets_of_nets_and_ranges_find_what_a_list_would() {
    let texts = Texts(Random::new(13));
    for _ in 0..1000 {
        let mut nets = Patterns::new(Method::Ip);
        let list: Vec<(u32, u32)> = (0..1 + texts.below(20))
            .map(|_| {
                let bits = texts.below(33) as u32;
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                ((texts.0.next() as u32 & 0x0303_0303) & mask, mask)
            })
            .collect();
        for (net, mask) in &list {
            let text = format!("{}/{}", std::net::Ipv4Addr::from(*net), mask.count_ones());
            nets.add(text.as_bytes(), false, false).unwrap();
        }
        nets.seal();
        let mut ranges = Patterns::new(Method::Int);
        let spans: Vec<(i64, i64)> = (0..1 + texts.below(10))
            .map(|_| {
                let low = texts.below(100) as i64 - 50;
                (low, low + texts.below(10) as i64)
            })
            .collect();
        for (low, high) in &spans {
            ranges.add(format!("{low}:{high}").as_bytes(), false, false).unwrap();
        }
        for _ in 0..50 {
            let ip = texts.0.next() as u32 & 0x0303_0303;
            let wanted = list.iter().any(|(net, mask)| ip & mask == *net);
            assert_eq!(nets.matches(Value::V4(ip.into())), wanted, "{list:x?} {ip:x}");
            let n = texts.below(140) as i64 - 70;
            let wanted = spans.iter().any(|(low, high)| (*low..=*high).contains(&n));
            assert_eq!(ranges.matches(Value::Int(n)), wanted, "{spans:?} {n}");
        }
    }
}

#[test]
fn expressions_are_read_back_as_they_were_written() {
    let vocabulary = vocabulary();
    let names: Vec<_> = vocabulary.converters().iter().filter(|c| c.args.min == 0).map(|c| c.name).collect();
    let texts = Texts(Random::new(17));
    for _ in 0..2000 {
        let mut text = format!("str('{}')", String::from_utf8(texts.of(b"ab ,()", 8)).unwrap());
        for _ in 0..texts.below(4) {
            text.push(',');
            text.push_str(names[texts.below(names.len() as u64)]);
        }
        let Ok(expr) = Expr::parse(text.as_bytes(), &vocabulary) else { continue };
        assert_eq!(expr.text(), text);
        let again = Expr::parse(expr.text().as_bytes(), &vocabulary).unwrap();
        assert_eq!((again.output(), again.converted()), (expr.output(), expr.converted()));
    }
}

/// What a format makes of a field's value, whatever it is: as it is, in quotes, and so escaped that it can be read back.
#[test]
fn formats_keep_what_they_are_given() {
    let vocabulary = vocabulary();
    let texts = Texts(Random::new(23));
    let facts = Facts::new();
    let compiled = |text: &str| {
        let (format, _) =
            Format::compile(text.as_bytes(), Options::plain(Places::FE_HTTP_REQUEST), &vocabulary).unwrap();
        assert_eq!(format.text(), text);
        format
    };
    let formats =
        ["%%<%[req.fhdr(x)]>%%", "%{+Q}[req.fhdr(x)]", "%{+E}[req.fhdr(x)]", "%{+Q,+E}[req.fhdr(x)]"]
            .map(compiled);
    for _ in 0..2000 {
        let value = texts.of(b"ab\"\\]%[{}(),';=", 12);
        let mut head = Head::default();
        head.set_request(b"GET", b"/", Version::HTTP_11);
        head.push(b"x", &value);
        let scope = Scope { request: Message::Here(&head), ..Scope::new(&facts, &texts.0) };
        let [plain, quoted, escaped, both] = formats.each_ref().map(|f| {
            let mut out = Vec::new();
            f.run(&scope, &mut out);
            out
        });
        if value.is_empty() {
            continue;
        }
        assert_eq!(plain, [b"%<", &value[..], b">%"].concat());
        assert_eq!(quoted, [b"\"", &value[..], b"\""].concat());
        assert_eq!(unescaped(&escaped), value);
        assert_eq!(unescaped(both.strip_prefix(b"\"").unwrap().strip_suffix(b"\"").unwrap()), value);
    }
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = text.iter().copied();
    std::iter::from_fn(|| match bytes.next() {
        Some(b'\\') => bytes.next(),
        other => other,
    })
    .collect()
}

/// Whatever stands in a format besides `%` is what comes out of it.
#[test]
fn formats_of_plain_text() {
    let vocabulary = vocabulary();
    let texts = Texts(Random::new(29));
    let facts = Facts::new();
    for _ in 0..2000 {
        let text = String::from_utf8(texts.of(b"ab\"\\][{}(),';=%", 12)).unwrap();
        let written = text.replace('%', "%%");
        let options = Options::plain(Places::FE_HTTP_REQUEST);
        let (format, _) = Format::compile(written.as_bytes(), options, &vocabulary).unwrap();
        let mut out = Vec::new();
        format.run(&Scope::new(&facts, &texts.0), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), text, "{written}");
    }
}
