//! What came of a request, as text.

use super::Loaded;
use super::case::Case;
use portcullis_proxy::explain::{Judged, Sent, Told};
use portcullis_sample::Verdict;
use std::fmt::Write as _;

/// Everything, one thing after the other.
pub fn text(loaded: &Loaded, case: &Case, told: &Told, all: bool) -> String {
    let t = &told.trace;
    let mut out = String::new();
    let from = case.source.map_or("127.0.0.1".to_owned(), |s| s.ip().to_string());
    let by = t.frontend.as_deref().or(case.frontend.as_deref()).unwrap_or("the only frontend");
    let _ = writeln!(out, "client {from}, by {by}");
    head(&mut out, "request", t.received.as_ref(), None);
    let shown: Vec<&Judged> = t.rules.iter().filter(|r| all || r.verdict == Verdict::True).collect();
    let _ = writeln!(out, "rules that match{}", if shown.is_empty() { ": none" } else { "" });
    for r in shown {
        rule(&mut out, loaded, r, all);
    }
    let name = |n: &Option<String>| n.clone().unwrap_or_else(|| "none".into());
    let _ = writeln!(out, "backend {}, server {}", name(&t.backend), name(&t.server));
    head(&mut out, "to the server", t.sent.as_ref(), t.received.as_ref());
    head(&mut out, "from the server", t.answered.as_ref(), None);
    let (response, body) = response(&told.got);
    match response {
        Some(response) => head(&mut out, "to the client", Some(&response), t.answered.as_ref()),
        None if told.late => out.push_str("to the client: nothing within a minute\n"),
        None if t.received.is_some() => out.push_str("to the client: nothing, the connection is closed\n"),
        None => {}
    }
    if !body.is_empty() {
        let text = String::from_utf8_lossy(&body);
        let _ =
            writeln!(out, "\n{}", text.get(..text.floor_char_boundary(2000)).unwrap_or_default().trim_end());
    }
    t.logs.iter().for_each(|l| {
        let _ = writeln!(out, "log\n  {l}");
    });
    out
}

/// A head; fields that the other one has not are marked, and those that only it has.
fn head(out: &mut String, title: &str, head: Option<&Sent>, before: Option<&Sent>) {
    let Some(head) = head else { return };
    let _ = writeln!(out, "{title}");
    let known = |f: &(String, String)| before.is_none_or(|b| b.fields.contains(f));
    let mark = |same: bool| if same { ' ' } else { '+' };
    let _ = writeln!(out, "  {} {}", mark(before.is_none_or(|b| b.line == head.line)), head.line);
    for f in &head.fields {
        let _ = writeln!(out, "  {} {}: {}", mark(known(f)), f.0, f.1);
    }
    for f in before.iter().flat_map(|b| &b.fields).filter(|f| !head.fields.contains(f)) {
        let _ = writeln!(out, "  - {}: {}", f.0, f.1);
    }
}

fn rule(out: &mut String, loaded: &Loaded, r: &Judged, all: bool) {
    let (file, line) = loaded.line(r.place);
    let file = file.rsplit('/').next().unwrap_or(file);
    let no = if all && r.verdict != Verdict::True { "(no) " } else { "" };
    let _ = writeln!(out, "  {file}:{}  {no}{line}", r.place.line);
    for l in &r.looked {
        let verdict = match l.verdict {
            Verdict::True => "matches",
            Verdict::False => "does not match",
            Verdict::NotYet => "is not known yet",
        };
        match &l.value {
            Some(value) => {
                let _ = writeln!(out, "      {} is {value:?}: {verdict}", l.sample);
            }
            None => {
                let _ = writeln!(out, "      {} has no value: {verdict}", l.sample);
            }
        }
    }
    r.changes.iter().for_each(|c| {
        let _ = writeln!(out, "      {c}");
    });
}

/// The final response among what a client got, and its body.
pub fn response(got: &[u8]) -> (Option<Sent>, Vec<u8>) {
    let mut rest = got;
    loop {
        let Some(end) = rest.windows(4).position(|w| w == b"\r\n\r\n") else { return (None, Vec::new()) };
        let text = String::from_utf8_lossy(rest.get(..end).unwrap_or(&[])).into_owned();
        let body = rest.get(end + 4..).unwrap_or(&[]);
        let mut lines = text.split("\r\n");
        let line = lines.next().and_then(|l| l.split_once(' ')).map(|l| l.1.to_owned()).unwrap_or_default();
        let field = |l: &str| l.split_once(':').map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()));
        let sent = Sent { line, fields: lines.filter_map(field).collect() };
        // 103 and its kin come before the response
        if !sent.line.starts_with('1') || sent.line.starts_with("101") {
            return (Some(sent), body.to_vec());
        }
        rest = body;
    }
}
