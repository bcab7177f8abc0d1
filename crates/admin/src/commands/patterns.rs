//! Lists of patterns and maps at run time: `show`, `get`, `add`, `set`, `del`, `clear`, `prepare`, `commit`.

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_sample::pattern::shared::{self, Found, Shared, Which};
use std::sync::Arc;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row::new("add acl", "[@<ver>] <acl> <pattern>", Level::Admin, "add an acl entry", |c| add(c, ACL)),
    Row::new(
        "add map",
        "[@<ver>] <map> <key> <val>",
        Level::Admin,
        "add a map entry (payload supported instead of key/val)",
        |c| add(c, MAP),
    ),
    Row::new("clear acl", "[@<ver>] <acl>", Level::Admin, "clear the contents of this acl", |c| {
        clear(c, ACL)
    }),
    Row::new("clear map", "[@<ver>] <map>", Level::Admin, "clear the contents of this map", |c| {
        clear(c, MAP)
    }),
    Row::new("commit acl", "@<ver> <acl>", Level::Admin, "commit the ACL at this version", |c| {
        commit(c, ACL)
    }),
    Row::new("commit map", "@<ver> <map>", Level::Admin, "commit the map at this version", |c| {
        commit(c, MAP)
    }),
    Row::new("del acl", "<acl> [<key>|#<ref>]", Level::Admin, "delete acl entries matching <key>", |c| {
        delete(c, ACL)
    }),
    Row::new("del map", "<map> [<key>|#<ref>]", Level::Admin, "delete map entries matching <key>", |c| {
        delete(c, MAP)
    }),
    Row::new(
        "get acl",
        "<acl> <value>",
        Level::Admin,
        "report the patterns matching a sample for an ACL",
        |c| get(c, ACL),
    ),
    Row::new(
        "get map",
        "<map> <value>",
        Level::Admin,
        "report the keys and values matching a sample for a map",
        |c| get(c, MAP),
    ),
    Row::new("prepare acl", "<acl>", Level::Admin, "prepare a new version for atomic ACL replacement", |c| {
        prepare(c, ACL)
    }),
    Row::new("prepare map", "<map>", Level::Admin, "prepare a new version for atomic map replacement", |c| {
        prepare(c, MAP)
    }),
    Row::new("set map", "<map> [<key>|#<ref>] <value>", Level::Admin, "modify a map entry", set),
    Row::new(
        "show acl",
        "[@<ver>] <acl>",
        Level::Admin,
        "report available acls or dump an acl's contents",
        |c| show(c, ACL),
    ),
    Row::new(
        "show map",
        "[@<ver>] [map]",
        Level::Admin,
        "report available maps or dump a map's contents",
        |c| show(c, MAP),
    ),
];

/// Which of the two a command is about.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Side {
    /// In messages.
    name: &'static str,
    map: bool,
}
const ACL: Side = Side { name: "ACL", map: false };
const MAP: Side = Side { name: "map", map: true };

impl Side {
    fn has(self, list: &Shared) -> bool {
        if self.map { list.in_maps() } else { list.in_acls() }
    }
    fn unknown(self) -> Outcome {
        Outcome::err(format!("Unknown {} identifier. Please use #<id> or <file>.", self.name))
    }
    /// The list of this side.
    fn list(self, name: &str) -> Result<Arc<Shared>, Outcome> {
        shared::named(name).filter(|l| self.has(l)).ok_or_else(|| self.unknown())
    }
    /// The list, whoever uses it.
    fn any(self, name: &str) -> Result<Arc<Shared>, Outcome> {
        shared::named(name).ok_or_else(|| self.unknown())
    }
}

/// The version that word 2 gives as `@<ver>`, and the number of the word that follows.
fn version(call: &Call<'_>) -> (Option<u32>, usize) {
    match call.arg(2).strip_prefix('@') {
        Some(text) => (u32::try_from(super::number(text)).ok(), 3),
        None => (None, 2),
    }
}

/// `#<ref>` or a key.
fn which(text: &[u8]) -> Which<'_> {
    let hex = text.strip_prefix(b"#").map(|t| t.strip_prefix(b"0x").unwrap_or(t));
    let reference =
        hex.and_then(|t| std::str::from_utf8(t).ok()).and_then(|t| u64::from_str_radix(t, 16).ok());
    reference.map_or(Which::Key(text), Which::Reference)
}

/// Bytes of a word; empty when there is none.
fn bytes<'c>(call: &Call<'c>, i: usize) -> &'c [u8] {
    call.words.get(i).map_or(&[], |w| w)
}

fn show(call: &mut Call<'_>, side: Side) -> Outcome {
    let (version, at) = version(call);
    if !call.has(2) {
        let mut text = String::from("# id (file) description\n");
        for l in shared::listed(side.map) {
            let (current, next) = l.versions;
            text.push_str(&format!(
                "{} ({}) {}. curr_ver={current} next_ver={next} entry_cnt={}\n",
                l.number, l.name, l.description, l.count
            ));
        }
        return Outcome::Text(text.into_bytes());
    }
    let list = match side.list(&call.arg(at)) {
        Ok(list) => list,
        Err(e) => return e,
    };
    let map = list.is_map();
    let mut next = Some(0);
    Outcome::Pieces(Box::new(std::iter::from_fn(move || {
        let mut piece = Vec::new();
        next = list.visit(version, next?, 200, |_, e| {
            piece.extend_from_slice(format!("{:#x} ", e.reference()).as_bytes());
            piece.extend_from_slice(e.key);
            if map {
                piece.push(b' ');
                piece.extend_from_slice(e.value);
            }
            piece.push(b'\n');
        });
        Some(piece)
    })))
}

fn get(call: &mut Call<'_>, side: Side) -> Outcome {
    if !call.has(3) {
        return Outcome::err(format!("Missing {} identifier and/or key.", side.name));
    }
    let list = match side.any(&call.arg(2)) {
        Ok(list) => list,
        Err(e) => return e,
    };
    let mut text = Vec::new();
    for Found { how, indexed, entry, kind } in list.get(bytes(call, 3)) {
        let case = if how.fold { "insensitive" } else { "sensitive" };
        let word = if side.map { "found" } else { "match" };
        text.extend_from_slice(format!("type={}, case={case}, {word}=", how.method.name()).as_bytes());
        let Some((found, value)) = entry else {
            text.extend_from_slice(b"no\n");
            continue;
        };
        let index = if indexed { "tree" } else { "list" };
        let key = if side.map { "key" } else { "pattern" };
        text.extend_from_slice(format!("yes, idx={index}, {key}=\"").as_bytes());
        text.extend_from_slice(&found);
        text.push(b'"');
        match kind.filter(|_| side.map) {
            Some(kind) => {
                text.extend_from_slice(b", value=\"");
                text.extend_from_slice(&value);
                text.extend_from_slice(format!("\", type=\"{kind}\"").as_bytes());
            }
            None if side.map => text.extend_from_slice(b", value=none"),
            None => {}
        }
        text.push(b'\n');
    }
    Outcome::Text(text)
}

fn add(call: &mut Call<'_>, side: Side) -> Outcome {
    let (version, at) = version(call);
    let payload = call.payload.filter(|_| side.map);
    let complete = if side.map {
        (payload.is_none() && call.has(at + 2)) || (payload.is_some() && call.has(at))
    } else {
        call.has(at + 1)
    };
    if !complete {
        return Outcome::err(if side.map {
            "'add map' expects three parameters (map identifier, key and value) or one parameter (map identifier) and a payload"
        } else {
            "'add acl' expects two parameters: ACL identifier and pattern."
        });
    }
    let list = match side.any(&call.arg(at)) {
        Ok(list) => list,
        Err(e) => return e,
    };
    if !side.map && list.is_map() {
        return Outcome::err(
            "This ACL is shared with a map containing samples. You must use the command 'add map' to add values.",
        );
    }
    if version.is_some_and(|v| v > list.versions().1) {
        let command = if side.map { "prepare map" } else { "prepare acl" };
        return Outcome::err(format!("Version number in the future, please use '{command}' before."));
    }
    let Some(payload) = payload else {
        return match list.add(version, bytes(call, at + 1), bytes(call, at + 2)) {
            Ok(()) => Outcome::Nothing,
            Err(message) => Outcome::err(format!("{message}.")),
        };
    };
    for line in payload.split(|b| *b == b'\n') {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let end = line.iter().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(line.len());
        let (key, value) = line.split_at(end);
        let value = value.trim_ascii();
        if value.is_empty() {
            let key = String::from_utf8_lossy(key);
            return Outcome::err(format!("Missing value for key '{key}'."));
        }
        if let Err(message) = list.add(version, key, value) {
            return Outcome::err(format!("{message}."));
        }
    }
    Outcome::Nothing
}

fn set(call: &mut Call<'_>) -> Outcome {
    if !call.has(4) {
        return Outcome::err("'set map' expects three parameters: map identifier, key and value.");
    }
    let list = match MAP.any(&call.arg(2)) {
        Ok(list) => list,
        Err(e) => return e,
    };
    let which = which(bytes(call, 3));
    if let Err(message) = list.judge(bytes(call, 4)) {
        return Outcome::err(format!("{message}."));
    }
    match (list.set(which, bytes(call, 4)), which) {
        (true, _) => Outcome::Nothing,
        (false, Which::Key(_)) => Outcome::err("entry not found."),
        (false, Which::Reference(_)) => Outcome::err("key or pattern not found."),
    }
}

fn delete(call: &mut Call<'_>, side: Side) -> Outcome {
    if !call.has(3) {
        return Outcome::err(format!(
            "This command expects two parameters: {} identifier and key.",
            side.name
        ));
    }
    match side.list(&call.arg(2)) {
        Ok(list) if list.remove(which(bytes(call, 3))) => Outcome::Nothing,
        Ok(_) => Outcome::err("Key not found."),
        Err(e) => e,
    }
}

fn clear(call: &mut Call<'_>, side: Side) -> Outcome {
    let (version, at) = version(call);
    if !call.has(at) {
        return Outcome::err(format!("Missing {} identifier.", side.name));
    }
    match side.list(&call.arg(at)) {
        Ok(list) => {
            list.clear(version);
            Outcome::Nothing
        }
        Err(e) => e,
    }
}

fn prepare(call: &mut Call<'_>, side: Side) -> Outcome {
    match side.list(&call.arg(2)) {
        Ok(list) => Outcome::info(format!("New version created: {}\n", list.prepare())),
        Err(e) => e,
    }
}

fn commit(call: &mut Call<'_>, side: Side) -> Outcome {
    let (Some(version), at) = version(call) else {
        return Outcome::err("Missing version number.");
    };
    match side.list(&call.arg(at)) {
        Ok(list) if list.commit(version) => Outcome::Nothing,
        Ok(_) => Outcome::err("Version number out of range."),
        Err(e) => e,
    }
}
