//! A keyword without a row where it stands: at home elsewhere, known but not there yet, or unknown, with what was perhaps
//! meant.

use crate::cx::Cx;
use crate::known;
use crate::row::{Keyword, Sections};
use crate::rows::place;
use crate::sections;
use crate::suggest;
use crate::word::{Line, Word};

/// Says so. `elsewhere`: the row of this name in other sections.
pub fn refuse(cx: &mut Cx<'_>, line: &Line, elsewhere: Option<&Keyword>) {
    let section = sections::name_of(cx.section);
    let Some(first) = line.word(0) else { return };
    let one = first.str().into_owned();
    let list = match cx.section {
        Sections::GLOBAL => known::GLOBAL,
        s if s.intersects(Sections::PROXY) => known::PROXY,
        Sections::HEALTHCHECK => known::HEALTHCHECK,
        _ => &[],
    };
    if let Some(k) = elsewhere
        && k.sections.intersects(Sections::PROXY)
        && cx.section.intersects(Sections::PROXY)
    {
        place::misplaced(cx, k);
        return;
    }
    if let Some(known) = known_as(list, line) {
        cx.alert(Some(first), format!("'{known}' is not supported yet."));
        return;
    }
    if let Some(k) = elsewhere.filter(|_| !list.is_empty() && !is_family(list, &one)) {
        let homes = sections::SECTIONS.iter().filter(|s| k.sections.contains(s.section));
        let homes: Vec<_> = homes.map(|s| s.name).collect();
        cx.alert(Some(first), format!("unknown keyword '{}' in '{section}' section.", k.name))
            .hint(format!("it is valid in: {}", homes.join(", ")));
        return;
    }
    let family = line.word(1).filter(|_| is_family(list, &one));
    let wrong = family.map_or(one.clone(), |w| format!("{one} {}", w.str()));
    let rows = cx.registry.keywords().filter(|k| k.sections.intersects(cx.section)).map(|k| k.name);
    let near = suggest::nearest(&wrong, list.iter().copied().chain(rows)).map(str::to_owned);
    let text = match (family, &near) {
        (Some(word), _) => format!("unknown {one} '{}'.", word.str()),
        (None, Some(near)) => {
            format!("unknown keyword '{one}' in '{section}' section; did you mean '{near}' maybe ?")
        }
        (None, None) => format!("unknown keyword '{one}' in '{section}' section"),
    };
    let d = cx.alert(family.or(Some(first)), text);
    if let Some(near) = near {
        d.hint(format!("did you mean '{near}'?"));
    }
}

/// The keyword of this list that the line begins with, in as many words as it has.
fn known_as(list: &[&'static str], line: &Line) -> Option<&'static str> {
    let words: Vec<_> = line.words.iter().take(3).map(Word::str).collect();
    let family = words.len() > 1 && words.first().is_some_and(|w| is_family(list, w));
    (if family { 2 } else { 1 }..=words.len()).rev().find_map(|n| {
        let name = words[..n].join(" ");
        let name = name.split('(').next().unwrap_or_default();
        list.binary_search(&name).ok().map(|i| list[i])
    })
}

/// Does this word begin keywords of several words only ("option", "timeout", "stats" …)?
fn is_family(list: &[&'static str], word: &str) -> bool {
    let at = list.partition_point(|k| *k <= word);
    list.get(at).is_some_and(|k| k.strip_prefix(word).is_some_and(|r| r.starts_with(' ')))
}
