//! `balance` (but for the expression of `balance hash`, which a higher room compiles), `hash-type`,
//! `hash-balance-factor`, `hash-preserve-affinity`.

use super::value;
use crate::balance::{Affinity, Algorithm, HashFunction, HashType, UriPart};
use crate::cx::Cx;
use crate::row::{Does, Keyword, Sections};
use crate::word::{Args, Line, Word};

macro_rules! row {
    ($name:literal, $sections:ident, $args:literal, $parse:expr, $help:literal) => {
        Keyword {
            name: $name,
            sections: Sections::$sections,
            args: $args,
            help: $help,
            negatable: false,
            does: Does::Works($parse),
        }
    };
}

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    Keyword {
        name: "be-unpublished",
        sections: Sections::PROXY,
        args: "",
        help: "Content switching ignores the backend until it is published.",
        negatable: false,
        does: Does::Works(unpublished),
    },
    row!("balance", BACK, "<algorithm> [<arguments>]", balance, "How a server is chosen."),
    row!(
        "hash-type",
        BACK,
        "{ map-based | consistent } [<function> [avalanche]]",
        hash_type,
        "How a key leads to a server."
    ),
    row!(
        "hash-balance-factor",
        BACK,
        "<factor>",
        hash_balance_factor,
        "How much more than the average a server may have, in percent, before keys go elsewhere."
    ),
    row!(
        "hash-preserve-affinity",
        BACK,
        "{ always | maxconn | maxqueue }",
        hash_preserve_affinity,
        "Whether keys stay on a server that is full."
    ),
];

const UNKNOWN: &str = "balance only supports 'roundrobin', 'static-rr', 'leastconn', 'source', 'uri', 'url_param', 'hash', \
     'hdr(name)', 'rdp-cookie(name)', 'log-hash' and 'sticky' options.";

/// Algorithms without arguments; what follows them is not looked at.
const PLAIN: &[(&str, Algorithm)] = &[
    ("roundrobin", Algorithm::RoundRobin),
    ("static-rr", Algorithm::StaticRoundRobin),
    ("leastconn", Algorithm::LeastConn),
    ("first", Algorithm::First),
    ("sticky", Algorithm::Sticky),
    ("source", Algorithm::Source),
];

/// Algorithms with arguments, behind blanks or in parentheses.
type Parse = fn(&Word, &mut Args<'_>) -> Result<Algorithm, String>;
const WORDS: &[(&str, Parse)] = &[
    ("uri", |_, args| uri(args)),
    ("url_param", |_, args| url_param(args)),
    ("hash", |_, args| hash(args)),
    ("log-hash", |_, args| match args.next() {
        Some(w) => Ok(Algorithm::LogHash(w.text.as_slice().into())),
        None => Err("balance log-hash requires a converter list.".to_owned()),
    }),
];
const PREFIXES: &[(&str, Parse)] =
    &[("random", |word, _| random(word)), ("hdr(", header), ("rdp-cookie", |word, _| rdp_cookie(word))];

fn balance(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(1) else {
        cx.proxy().balance.algorithm = Algorithm::Unsaid;
        return;
    };
    let mut args = line.args(2);
    let name = word.str();
    let plain = PLAIN.iter().find(|(n, _)| *n == name).map(|(_, a)| Ok(a.clone()));
    let by_word = || WORDS.iter().find(|(n, _)| *n == name).map(|(_, parse)| *parse);
    let by_prefix = || PREFIXES.iter().find(|(n, _)| name.starts_with(n)).map(|(_, parse)| *parse);
    let found = plain.unwrap_or_else(|| match by_word().or_else(by_prefix) {
        Some(parse) => parse(word, &mut args),
        None => Err(UNKNOWN.to_owned()),
    });
    match found {
        Ok(algorithm) => cx.proxy().balance.algorithm = algorithm,
        Err(why) => {
            let at = args.at.checked_sub(1).and_then(|at| args.words.get(at)).filter(|_| args.at > 2);
            cx.alert(at.or(Some(word)), why);
        }
    }
}

/// `random`, `random(<draws>)`; what is behind the parenthesis is not looked at.
fn random(word: &Word) -> Result<Algorithm, String> {
    let Some(at) = word.text.iter().position(|b| *b == b'(') else { return Ok(Algorithm::Random(2)) };
    let text = word.text.get(at + 1..).unwrap_or_default();
    let Some(end) = text.iter().position(|b| *b == b')') else {
        return Err("balance random : missing closing parenthesis.".to_owned());
    };
    let text = text.get(..end).unwrap_or_default();
    if text.is_empty() {
        return Ok(Algorithm::Random(2));
    }
    let n = value::leading(text).0;
    if let Some(odd) = text.iter().find(|b| !(b.is_ascii_digit() || b"+-".contains(b))) {
        return Err(format!("balance random : unexpected character '{}' after argument.", char::from(*odd)));
    }
    match u32::try_from(n) {
        Ok(n) if n > 0 => Ok(Algorithm::Random(n)),
        _ => Err("balance random : number of draws must be at least 1.".to_owned()),
    }
}

fn uri(args: &mut Args<'_>) -> Result<Algorithm, String> {
    let mut part = UriPart::default();
    while let Some(word) = args.next() {
        match &*word.str() {
            "whole" => part.whole = true,
            "path-only" => part.path_only = true,
            "len" => part.len = positive(args, "len")?,
            "depth" => part.depth = positive(args, "depth")?,
            other => {
                return Err(format!(
                    "balance uri only accepts parameters 'len', 'depth', 'path-only', and 'whole' (got '{other}')."
                ));
            }
        }
    }
    Ok(Algorithm::Uri(part))
}

fn positive(args: &mut Args<'_>, of: &str) -> Result<u32, String> {
    let text = args.next().map(|w| w.text.clone()).unwrap_or_default();
    u32::try_from(value::leading(&text).0).ok().filter(|n| *n > 0).ok_or_else(|| {
        format!("balance uri : '{of}' expects a positive integer (got '{}').", String::from_utf8_lossy(&text))
    })
}

/// `url_param <name> [check_post [<max_wait>]]`: bodies of POST requests are always looked at.
fn url_param(args: &mut Args<'_>) -> Result<Algorithm, String> {
    let name = args.next().ok_or("balance url_param requires an URL parameter name.")?;
    match args.next().filter(|w| !w.is("check_post")) {
        Some(other) => {
            Err(format!("balance url_param only accepts 'check_post' modifier (got '{}').", other.str()))
        }
        None => Ok(Algorithm::UrlParam(name.text.as_slice().into())),
    }
}

fn header(word: &Word, args: &mut Args<'_>) -> Result<Algorithm, String> {
    let text = word.text.get(4..).unwrap_or_default();
    let name = text.iter().position(|b| *b == b')').and_then(|end| text.get(..end)).unwrap_or_default();
    if name.is_empty() {
        return Err("balance hdr requires an http header field name.".to_owned());
    }
    let modifier = args.next();
    if let Some(other) = modifier.filter(|w| !w.is("use_domain_only")) {
        return Err(format!(
            "balance hdr({}) only accepts 'use_domain_only' modifier (got '{}').",
            String::from_utf8_lossy(name),
            other.str()
        ));
    }
    Ok(Algorithm::Header { name: name.to_ascii_lowercase().into(), domain_only: modifier.is_some() })
}

fn rdp_cookie(word: &Word) -> Result<Algorithm, String> {
    let text = word.text.get("rdp-cookie".len()..).unwrap_or_default();
    if text.is_empty() {
        return Ok(Algorithm::RdpCookie(b"mstshash".as_slice().into()));
    }
    let name = text.strip_prefix(b"(").and_then(|t| t.split_last_chunk::<1>());
    match name {
        Some((name, b")")) if !name.is_empty() => Ok(Algorithm::RdpCookie(name.into())),
        _ => Err("balance rdp-cookie : missing cookie name.".to_owned()),
    }
}

fn hash(args: &mut Args<'_>) -> Result<Algorithm, String> {
    let expr = args.next().ok_or("balance hash requires a sample expression.")?;
    match args.next() {
        Some(extra) => Err(format!("balance hash takes no other argument (got '{}').", extra.str())),
        None => Ok(Algorithm::Hash(expr.text.as_slice().into())),
    }
}

const FUNCTIONS: &[(&str, HashFunction)] = &[
    ("sdbm", HashFunction::Sdbm),
    ("djb2", HashFunction::Djb2),
    ("wt6", HashFunction::Wt6),
    ("crc32", HashFunction::Crc32),
    ("none", HashFunction::None),
];

fn hash_type(cx: &mut Cx<'_>, line: &Line) {
    let method = line.word(1);
    let consistent = match method {
        Some(w) if w.is("consistent") => true,
        Some(w) if w.is("map-based") => false,
        Some(w) if w.is("avalanche") => {
            cx.alert(
                method,
                "experimental feature 'hash-type avalanche' is not supported anymore, please use 'hash-type \
                 map-based sdbm avalanche' instead.",
            );
            return;
        }
        _ => {
            cx.alert(method, "'hash-type' only supports 'consistent' and 'map-based'.");
            return;
        }
    };
    let mut hash = HashType { consistent, function: HashFunction::Sdbm, avalanche: consistent };
    if let Some(word) = line.word(2) {
        let Some((_, function)) = FUNCTIONS.iter().find(|(n, _)| word.is(n)) else {
            let message = "'hash-type' only supports 'sdbm', 'djb2', 'crc32', or 'wt6' hash functions.";
            cx.alert(Some(word), message);
            return;
        };
        let modifier = line.word(3);
        if modifier.is_some_and(|w| !w.is("avalanche")) {
            let message = "'hash-type' only supports 'avalanche' as a modifier for hash functions.";
            cx.alert(modifier, message);
            return;
        }
        (hash.function, hash.avalanche) = (*function, modifier.is_some());
    }
    cx.proxy().balance.hash = hash;
}

fn hash_balance_factor(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(1) else {
        cx.alert(line.word(0), "'hash-balance-factor' expects an integer argument.");
        return;
    };
    match u32::try_from(value::leading(&word.text).0) {
        Ok(n) if n == 0 || n > 100 => cx.proxy().balance.factor = n,
        _ => {
            cx.alert(Some(word), "'hash-balance-factor' must be 0 or greater than 100.");
        }
    }
}

fn hash_preserve_affinity(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(1) else {
        let message = "'hash-preserve-affinity' needs a keyword to specify when to preserve hash affinity";
        cx.alert(line.word(0), message);
        return;
    };
    cx.proxy().balance.affinity = match &*word.str() {
        "always" => Affinity::Always,
        "maxconn" => Affinity::Maxconn,
        "maxqueue" => Affinity::Maxqueue,
        other => {
            let message = format!("'hash-preserve-affinity': unknown keyword '{other}'");
            cx.alert(Some(word), message);
            return;
        }
    };
}

fn unpublished(cx: &mut Cx<'_>, line: &Line) {
    if !cx.section.intersects(Sections::LISTEN | Sections::BACKEND) {
        cx.alert(line.word(0), "'be-unpublished' only available in backend or listen section.");
        return;
    }
    cx.proxy().unpublished = true;
}
