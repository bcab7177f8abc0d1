//! The `userlist` section.

use super::{Crypt, Group, Password, User, Userlist, Userlists};
use portcullis_config::{Cx, Diagnostics, Does, Keyword, Line, Model, Place, Sections, Severity};
use std::sync::Arc;

/// A user as read: name, password as option and text, groups.
type DraftUser = (String, Option<(bool, String)>, Vec<Group>);

/// A section as it is read.
#[derive(Clone, Debug)]
pub struct Draft {
    name: String,
    place: Place,
    users: Vec<DraftUser>,
    /// Name, and users.
    groups: Vec<(Group, Vec<String>)>,
    /// Another section has its name.
    ignored: bool,
}

const fn row(
    name: &'static str,
    args: &'static str,
    help: &'static str,
    parse: fn(&mut Cx<'_>, &Line),
) -> Keyword {
    Keyword { name, sections: Sections::USERLIST, args, help, negatable: false, does: Does::Works(parse) }
}

/// The rows of this file.
pub(crate) const KEYWORDS: &[Keyword] = &[
    row("userlist", "<listname>", "Opens a section with users.", userlist),
    row("group", "<groupname> [users <user>,<user>,(...)]", "A group of users.", group),
    row(
        "user",
        "<username> [password|insecure-password <password>] [groups <group>,<group>,(...)]",
        "A user and a password.",
        user,
    ),
];

fn text(line: &Line, i: usize) -> String {
    line.word(i).map(|w| w.str().into_owned()).unwrap_or_default()
}

fn names(list: &str) -> Vec<String> {
    list.split(',').filter(|n| !n.is_empty()).map(str::to_owned).collect()
}

fn userlist(cx: &mut Cx<'_>, line: &Line) {
    let name = text(line, 1);
    if let Some(extra) = line.word(2) {
        let message = format!("'userlist' cannot handle unexpected argument '{}'.", extra.str());
        cx.alert(Some(extra), message);
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '_' | '-');
    if let Some(bad) = name.chars().find(|c| !allowed(*c)) {
        let message = format!("character '{bad}' is not permitted in 'userlist' name '{name}'.");
        cx.alert(line.word(1), message);
    }
    let all = &mut cx.model.ext.entry::<Userlists>().drafts;
    let ignored = all.iter().any(|d| d.name == name);
    all.push(Draft {
        name: name.clone(),
        place: line.place(),
        users: Vec::new(),
        groups: Vec::new(),
        ignored,
    });
    if ignored {
        cx.warn(line.word(1), format!("ignoring duplicated userlist '{name}'."));
    }
}

fn group(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(1) else {
        cx.alert(None, "'group' expects <name> as arguments.");
        return;
    };
    let name = text(line, 1);
    let Some(draft) = cx.model.ext.entry::<Userlists>().drafts.last_mut() else { return };
    if draft.groups.iter().any(|(g, _)| *g == name) {
        let message = format!("ignoring duplicated group '{name}' in userlist '{}'.", draft.name);
        cx.warn(Some(word), message);
        return;
    }
    let mut users = Vec::new();
    let mut at = 2;
    while let Some(option) = line.word(at) {
        if !option.is("users") {
            cx.alert(Some(option), "'group' only supports 'users' option.");
            return;
        }
        users = names(&text(line, at + 1));
        at += 2;
    }
    draft.groups.push((name, users));
}

fn user(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = line.word(1) else {
        cx.alert(None, "'user' expects <name> as arguments.");
        return;
    };
    let name = text(line, 1);
    let Some(draft) = cx.model.ext.entry::<Userlists>().drafts.last_mut() else { return };
    if draft.users.iter().any(|u| u.0 == name) {
        let message = format!("ignoring duplicated user '{name}' in userlist '{}'.", draft.name);
        cx.warn(Some(word), message);
        return;
    }
    let (mut password, mut groups) = (None, Vec::new());
    let mut at = 2;
    while let Some(option) = line.word(at) {
        let value = text(line, at + 1);
        match &*option.str() {
            "password" => password = Some((false, value)),
            "insecure-password" => password = Some((true, value)),
            "groups" => groups = names(&value),
            _ => {
                cx.alert(
                    Some(option),
                    "'user' only supports 'password', 'insecure-password' and 'groups' options.",
                );
                return;
            }
        }
        at += 2;
    }
    draft.users.push((name, password, groups));
}

/// Puts users and groups together.
pub(crate) fn check(model: &mut Model, diags: &mut Diagnostics) {
    let lists = model.ext.entry::<Userlists>();
    let drafts = std::mem::take(&mut lists.drafts);
    for draft in drafts.into_iter().filter(|d| !d.ignored) {
        match finish(draft) {
            Ok(list) => lists.list.push(Arc::new(list)),
            Err((place, message)) => {
                diags.add(Severity::Alert, Some(place), message);
            }
        }
    }
}

fn finish(draft: Draft) -> Result<Userlist, (Place, String)> {
    let list = &draft.name;
    for (group, users) in &draft.groups {
        if let Some(none) = users.iter().find(|u| !draft.users.iter().any(|known| known.0 == **u)) {
            let message = format!("userlist '{list}': no such user '{none}' specified in group '{group}'");
            return Err((draft.place, message));
        }
    }
    for (user, _, groups) in &draft.users {
        if let Some(none) = groups.iter().find(|g| !draft.groups.iter().any(|known| known.0 == **g)) {
            let message = format!("userlist '{list}': no such group '{none}' specified in user '{user}'");
            return Err((draft.place, message));
        }
    }
    let member = |user: &str, own: &[Group]| {
        let all = draft.groups.iter();
        let of = all.filter(|(g, users)| own.contains(g) || users.iter().any(|u| u == user));
        of.map(|(g, _)| g.clone()).collect()
    };
    let users = draft.users.iter().map(|(name, password, groups)| User {
        name: name.clone(),
        password: match password {
            None => Password::None,
            Some((true, plain)) => Password::Plain(plain.as_bytes().into()),
            Some((false, hash)) => Password::Crypt(Arc::new(Crypt::new(hash.clone()))),
        },
        groups: member(name, groups),
    });
    let users = users.collect();
    let groups = draft.groups.iter().map(|g| g.0.clone()).collect();
    Ok(Userlist { name: draft.name, place: draft.place, users, groups })
}
