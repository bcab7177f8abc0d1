//! crt-lists and the names that certificates are found by (management manual section 9.3, `show ssl crt-list`,
//! `show ssl sni`).

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_config::rows::value::{TimeError, time_up_to};
use portcullis_tls::describe;
use portcullis_tls::settings::{BindTls, Origin};
use portcullis_tls::store::{List, list_name};
use portcullis_tls::x509::{Cert, KeyKind};
use std::sync::Arc;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row::new(
        "add ssl crt-list",
        "<list> <cert> [opts]*",
        Level::Admin,
        "add to crt-list file <list> a line <cert> or a payload",
        add,
    ),
    Row::new(
        "del ssl crt-list",
        "<list> <cert[:line]>",
        Level::Admin,
        "delete a line <cert> from crt-list file <list>",
        del,
    ),
    Row::new(
        "show ssl crt-list",
        "[-n] [<list>]",
        Level::Admin,
        "show the list of crt-lists or the content of a crt-list file <list>",
        show,
    ),
    Row::new(
        "show ssl sni",
        "[-f <frontend>] [-A] [-t <offset>]",
        Level::User,
        "display the list of SNI and their corresponding filename",
        sni,
    ),
];

fn add(call: &mut Call<'_>) -> Outcome {
    if !call.has(3) || (call.payload.is_none() && !call.has(4)) {
        return Outcome::err("'add ssl crtlist' expects a filename and a certificate name\n");
    }
    let list = list_name(&call.arg(3)).to_owned();
    let text = match call.payload {
        Some(payload) => String::from_utf8_lossy(payload).trim_end_matches('\n').to_owned(),
        None => call.arg(4).into_owned(),
    };
    if text.contains('\n') {
        return Outcome::err("Can't edit the crt-list: only one line of payload is supported!\n");
    }
    let plan = call.admin.plan();
    let live = &mut *call.admin.tls.lock();
    let (line, entries) = match live.line(&list, &text) {
        Ok(made) => made,
        Err(e) => return Outcome::err(format!("Can't edit the crt-list: {e}\n")),
    };
    for l in &plan.listeners {
        let (Some(tls), Some(bind)) = (&l.tls, l.bind.ext.get::<BindTls>()) else { continue };
        let there = entries.first().and_then(|e| e.origin.as_ref()).is_some_and(|o| tls.has(o));
        if there || !tls.has_list(&list) {
            continue;
        }
        if let Err(e) = tls.add(&live.global, bind, &entries) {
            return Outcome::err(format!("Can't edit the crt-list: {e}\n"));
        }
    }
    let text = format!("Inserting certificate '{}' in crt-list '{list}'.\nSuccess!\n", line.row.crt);
    let mut store = live.global.store.lock();
    let list = store.lists.entry(list).or_default();
    list.last = line.number;
    list.lines.push(line);
    drop(store);
    Outcome::Text(text.into_bytes())
}

/// Which line of a list `<cert>` or `<cert>:<line>` means, if it has the certificate.
fn line_of(list: &List, text: &str) -> Result<Option<u32>, String> {
    let (name, number) = match text.rsplit_once(':') {
        Some((name, n)) if !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) => (name, n.parse().ok()),
        _ => (text, None),
    };
    let found: Vec<_> = list.lines.iter().filter(|l| l.row.crt == name).collect();
    let numbers = || found.iter().map(|l| list.shown(l).to_string()).collect::<Vec<_>>().join(", ");
    let number = number.filter(|n| *n != 0);
    if let Some(line) = found.iter().find(|l| number == Some(list.shown(l))) {
        return Ok(Some(line.number));
    }
    match (found.as_slice(), number) {
        ([], _) => Ok(None),
        (_, Some(_)) => Err(format!(
            "found a certificate '{name}' but the line number is incorrect, please specify a correct line number preceded by colons ({})",
            numbers()
        )),
        ([one], None) => Ok(Some(one.number)),
        (_, None) => Err(format!(
            "found the certificate '{name}' in several entries, please specify a line number preceded by colons ({})",
            numbers()
        )),
    }
}

fn del(call: &mut Call<'_>) -> Outcome {
    if !call.has(4) {
        return Outcome::err("'del ssl crtlist' expects a filename and a certificate name\n");
    }
    let (list, what) = (list_name(&call.arg(3)).to_owned(), call.arg(4).into_owned());
    let plan = call.admin.plan();
    let live = &mut *call.admin.tls.lock();
    let cannot = |why: &str| Outcome::err(format!("Can't delete the entry: {why}!\n"));
    let store = &mut *live.global.store.lock();
    let Some(there) = store.lists.get_mut(&list) else {
        return cannot(&format!("crt-list '{list}' does not exist"));
    };
    let name = what.rsplit_once(':').map_or(&*what, |(name, _)| name);
    if live.empty.contains(name) {
        return cannot(&format!("certificate '{name}' is empty"));
    }
    if !store.certificates.contains_key(name) && !store.certificates.contains_key(&what) {
        return cannot(&format!("certificate '{name}' does not exist"));
    }
    let number = match line_of(there, &what) {
        Ok(Some(number)) => number,
        Ok(None) => return cannot(&format!("certificate '{name}' can't be found in crt-list '{list}'")),
        Err(why) => return cannot(&why),
    };
    let origin = Origin { list: Arc::from(&*list), number };
    let using: Vec<_> = plan.listeners.iter().filter_map(|l| Some((l, l.tls.as_ref()?))).collect();
    let mut default: Vec<String> =
        using.iter().filter(|(_, t)| t.is_first(&origin)).map(|(l, _)| place(call, l)).collect();
    default.dedup();
    if !default.is_empty() {
        let places: String = default.iter().map(|p| format!("\t- {p}\n")).collect();
        return Outcome::err(format!(
            "Can't delete the entry: certificate '{name}' cannot be deleted, it is used as default certificate by the following frontends:\n{places}"
        ));
    }
    using.iter().for_each(|(_, tls)| tls.remove(&origin));
    there.lines.retain(|l| l.number != number);
    Outcome::notice(format!("Entry '{name}' deleted in crtlist '{list}'!\n"))
}

/// Where a `bind` line stands.
fn place(call: &Call<'_>, l: &portcullis_proxy::plan::ListenerPlan) -> String {
    let file = call.admin.about.files.get(l.bind.place.file.0 as usize).cloned().unwrap_or_default();
    format!("{file}:{}", l.bind.place.line)
}

fn show(call: &mut Call<'_>) -> Outcome {
    let live = call.admin.tls.lock();
    let numbered = call.arg(3) == "-n";
    let at = if numbered { 4 } else { 3 };
    let lists = &live.global.store.lock().lists;
    if numbered && !call.has(at) {
        return Outcome::err("'show ssl crt-list -n' expects a filename or a directory\n");
    }
    if !call.has(at) {
        return Outcome::Text(lists.keys().map(|n| format!("{n}\n")).collect::<String>().into_bytes());
    }
    let name = call.arg(at);
    let name = list_name(&name);
    let Some(list) = lists.get(name) else { return Outcome::err("didn't find the specified filename\n") };
    let mut text = format!("# {name}\n");
    for line in &list.lines {
        text += &line.row.crt;
        if numbered {
            text += &format!(":{}", list.shown(line));
        }
        if line.row.bracketed {
            text += &format!(" [{}]", options(&line.row.options));
        }
        line.row.filters.iter().for_each(|f| text += &format!(" {f}"));
        text.push('\n');
    }
    Outcome::Text(text.into_bytes())
}

/// Options as 3.5 shows them: a blank behind what `alpn` says.
fn options(words: &[String]) -> String {
    let mut after_alpn = false;
    let shown = words.iter().map(|w| {
        let text = if after_alpn { format!("{w} ") } else { w.clone() };
        after_alpn = w == "alpn";
        text
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// What `show ssl sni` is asked for.
#[derive(Default)]
struct Asked {
    frontend: Option<String>,
    /// Only those that have ended when so many seconds have passed.
    ended: bool,
    offset: i64,
}

fn asked(call: &Call<'_>) -> Result<Asked, Outcome> {
    let mut asked = Asked::default();
    let mut i = 3;
    while call.has(i) {
        match &*call.arg(i) {
            "-f" => {
                i += 1;
                asked.frontend = Some(call.arg(i).into_owned());
            }
            "-A" => asked.ended = true,
            "-t" => {
                i += 1;
                asked.offset = offset(&call.arg(i)).map_err(Outcome::err)?;
            }
            _ => {
                return Err(Outcome::err(
                    "Invalid parameters, 'show ssl sni' only supports '-f', '-A' or '-t' options!\n",
                ));
            }
        }
        i += 1;
    }
    Ok(asked)
}

/// What is added to the current time, in seconds.
fn offset(text: &str) -> Result<i64, String> {
    if text.is_empty() {
        return Err("'-t' requires an offset argument!\n".into());
    }
    match time_up_to(text.as_bytes(), 1_000_000, u64::MAX) {
        Ok((time, _)) => Ok(i64::try_from(time.as_secs()).unwrap_or(i64::MAX)),
        Err(TimeError::Character(c)) => Err(format!("'-t {text}' : unexpected character '{c}'\n")),
        Err(TimeError::Overflow) => Err(format!("'-t {text}' : timer overflow\n")),
    }
}

fn sni(call: &mut Call<'_>) -> Outcome {
    let asked = match asked(call) {
        Ok(asked) => asked,
        Err(wrong) => return wrong,
    };
    let plan = call.admin.plan();
    if let Some(name) = &asked.frontend
        && !plan.proxies.iter().any(|p| p.kind.front() && *p.name == **name)
    {
        return Outcome::err("Couldn't find the specified frontend!\n");
    }
    let mut text =
        String::from("# Frontend/Bind\tSNI\tNegative Filter\tType\tFilename\tNotAfter\tNotBefore\n");
    let now = i64::try_from(call.admin.process.clock.wall().as_secs()).unwrap_or(i64::MAX);
    let until = now.saturating_add(asked.offset);
    for l in &plan.listeners {
        let Some(tls) = &l.tls else { continue };
        if asked.frontend.as_ref().is_some_and(|f| **f != *l.frontend_name) {
            continue;
        }
        for listed in tls.listed() {
            let certificate = listed.slot.get();
            let Some(cert) = certificate.key.cert.first().and_then(|c| Cert::parse(c.as_ref())) else {
                continue;
            };
            if asked.ended && cert.validity().1 > until {
                continue;
            }
            let except: String = listed.except.iter().map(|f| format!("{f} ")).collect();
            let kind = match certificate.kind {
                KeyKind::Ecdsa => "ecdsa",
                KeyKind::Rsa => "rsa",
                KeyKind::Other => "dsa",
            };
            text += &format!(
                "{}/{}\t{}\t{}\t{kind}\t{}\t{}\t{}\n",
                l.frontend_name,
                place(call, l),
                listed.name,
                if except.is_empty() { "-" } else { &except },
                listed.slot.name,
                describe::date(cert.not_after),
                describe::date(cert.not_before),
            );
        }
    }
    Outcome::Text(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_tls::rows::crt_list::Row as ListRow;
    use portcullis_tls::store::Line;

    fn line(number: u32, crt: &str) -> Line {
        Line { number, row: ListRow { crt: crt.to_owned(), ..ListRow::default() } }
    }

    #[test]
    fn a_line_is_named_by_its_certificate_where_that_does() {
        let lines = vec![line(1, "a"), line(2, "b"), line(3, "a")];
        let lines = List { lines, ..List::default() };
        assert_eq!(line_of(&lines, "b"), Ok(Some(2)));
        assert_eq!(line_of(&lines, "a:3"), Ok(Some(3)));
        assert!(line_of(&lines, "a").unwrap_err().contains("(1, 3)"));
        assert!(line_of(&lines, "a:2").unwrap_err().contains("incorrect"));
        assert_eq!(line_of(&lines, "c"), Ok(None));
        let files = List { unnumbered: 2, ..lines };
        assert_eq!((line_of(&files, "b:0"), line_of(&files, "a:1")), (Ok(Some(2)), Ok(Some(3))));
    }

    #[test]
    fn options_are_shown_as_they_are_in_3_5() {
        let words = |t: &str| t.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(options(&words("alpn h2 verify none")), "alpn h2  verify none");
        assert_eq!(options(&words("alpn h2")), "alpn h2 ");
    }
}
