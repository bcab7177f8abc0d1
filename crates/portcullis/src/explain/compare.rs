//! What was expected of a request, and what came of it.

use super::{Loaded, tell};
use portcullis_proxy::explain::{Sent, Told};
use portcullis_sample::Verdict;
use portcullis_sample::pattern::Regex;

/// A text that is expected.
#[derive(Clone, Debug)]
pub enum Text {
    /// This one.
    Is(String),
    /// One with this inside.
    Contains(String),
    /// One that this regular expression (and how it is written) matches.
    Matches(Regex, String),
}

impl Text {
    fn fits(&self, text: &str) -> bool {
        match self {
            Self::Is(t) => t == text,
            Self::Contains(t) => text.contains(&**t),
            Self::Matches(r, _) => r.is_match(text.as_bytes()),
        }
    }
    fn shown(&self) -> String {
        match self {
            Self::Is(t) => format!("{t:?}"),
            Self::Contains(t) => format!("something with {t:?}"),
            Self::Matches(_, t) => format!("something like {t:?}"),
        }
    }
}

/// What is expected of a message.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// Of a request.
    pub method: Option<Text>,
    /// Of a request.
    pub uri: Option<Text>,
    /// Of a response.
    pub body: Option<Text>,
    /// By name in lower case; `None`: there is no such field.
    pub fields: Vec<(String, Option<Text>)>,
}

/// What is expected.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// Its name.
    pub frontend: Option<String>,
    /// Its name; inside, `None`: there is none.
    pub backend: Option<Option<String>>,
    /// As `backend`.
    pub server: Option<Option<String>>,
    /// What the client gets.
    pub status: Option<u16>,
    /// Numbers of lines, or parts of them, of rules that match.
    pub rules: Vec<String>,
    /// The same of rules that do not.
    pub no_rules: Vec<String>,
    /// The log line.
    pub log: Option<Text>,
    /// What the server gets.
    pub request: Head,
    /// What the client gets.
    pub response: Head,
}

/// What is not as expected, a line each.
pub fn wrong(loaded: &Loaded, expected: &Expected, told: &Told) -> Vec<String> {
    let mut wrong = Vec::new();
    let t = &told.trace;
    let mut named = |what: &str, want: &Option<String>, got: &Option<String>| {
        if want != got {
            let shown = |n: &Option<String>| n.clone().unwrap_or_else(|| "none".into());
            wrong.push(format!("{what}: {} is expected, it is {}", shown(want), shown(got)));
        }
    };
    if expected.frontend.is_some() {
        named("frontend", &expected.frontend, &t.frontend);
    }
    if let Some(want) = &expected.backend {
        named("backend", want, &t.backend);
    }
    if let Some(want) = &expected.server {
        named("server", want, &t.server);
    }
    let (response, body) = tell::response(&told.got);
    if let Some(want) = expected.status {
        let got = response.as_ref().and_then(|r| r.line.get(..3)).unwrap_or("none").to_owned();
        if got != want.to_string() {
            wrong.push(format!("status: {want} is expected, it is {got}"));
        }
    }
    for (list, matching) in [(&expected.rules, true), (&expected.no_rules, false)] {
        for rule in list {
            let ran = t.rules.iter().filter(|r| r.verdict == Verdict::True);
            let found = ran.map(|r| (r.place.line, loaded.line(r.place).1)).any(|(n, l)| is_rule(rule, n, l));
            if found != matching {
                let how = if matching { "does not match" } else { "matches" };
                wrong.push(format!("rules: {rule:?} {how}"));
            }
        }
    }
    if let Some(want) = &expected.log
        && !t.logs.iter().any(|l| want.fits(l))
    {
        wrong.push(format!("log: {} is expected, it is {:?}", want.shown(), t.logs.join("\n")));
    }
    message("request", &expected.request, t.sent.as_ref(), b"", &mut wrong);
    message("response", &expected.response, response.as_ref(), &body, &mut wrong);
    wrong
}

/// A rule is named by its line's number or a part of its text.
fn is_rule(name: &str, number: u32, line: &str) -> bool {
    match name.parse::<u32>() {
        Ok(n) => n == number,
        Err(_) => line.contains(name),
    }
}

fn message(what: &str, want: &Head, got: Option<&Sent>, body: &[u8], wrong: &mut Vec<String>) {
    if want.method.is_none() && want.uri.is_none() && want.body.is_none() && want.fields.is_empty() {
        return;
    }
    let Some(got) = got else {
        wrong.push(format!("{what}: there is none"));
        return;
    };
    let mut compare = |name: &str, want: &Text, got: &str| {
        if !want.fits(got) {
            wrong.push(format!("{what}: {name}: {} is expected, it is {got:?}", want.shown()));
        }
    };
    let mut line = got.line.split(' ');
    for (name, want) in [("method", &want.method), ("uri", &want.uri)] {
        let part = line.next().unwrap_or_default();
        if let Some(want) = want {
            compare(name, want, part);
        }
    }
    if let Some(want) = &want.body {
        compare("body", want, &String::from_utf8_lossy(body));
    }
    for (name, want) in &want.fields {
        let values: Vec<&str> = got.fields.iter().filter(|f| f.0 == *name).map(|f| &*f.1).collect();
        match want {
            None if values.is_empty() => {}
            None => wrong.push(format!("{what}: {name}: none is expected, it is {:?}", values.join(", "))),
            Some(want) if values.iter().any(|v| want.fits(v)) => {}
            Some(want) if values.is_empty() => {
                wrong.push(format!("{what}: {name}: {} is expected, there is none", want.shown()));
            }
            Some(want) => {
                let shown = want.shown();
                wrong.push(format!("{what}: {name}: {shown} is expected, it is {:?}", values.join(", ")));
            }
        }
    }
}
