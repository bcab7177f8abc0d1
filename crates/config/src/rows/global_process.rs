//! `global`: how the process lives (manual section 3.1).

use super::value;
use crate::cx::Cx;
use crate::model::{Chroot, Global};
use crate::row::{Does, Keyword, Sections};
use crate::word::{Line, Word};

macro_rules! row {
    ($name:literal, $args:literal, $works:expr, $help:literal) => {
        row!($name, $args, false, $works, $help)
    };
    ($name:literal, $args:literal, $no:literal, $works:expr, $help:literal) => {
        Keyword {
            name: $name,
            sections: Sections::GLOBAL,
            args: $args,
            help: $help,
            negatable: $no,
            does: Does::Works($works),
        }
    };
}

macro_rules! switch {
    ($name:literal, $set:expr, $help:literal) => {
        row!($name, "", |cx, line| switch(cx, line, $set), $help)
    };
}

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    switch!("daemon", |g| g.daemon = true, "Goes into the background."),
    switch!("quiet", |g| g.quiet = true, "Says nothing while it starts."),
    switch!("zero-warning", |g| g.zero_warning = true, "Refuses to start with warnings."),
    switch!(
        "expose-experimental-directives",
        |g| g.experimental = true,
        "Admits keywords that may still change."
    ),
    switch!(
        "expose-deprecated-directives",
        |g| g.deprecated = true,
        "Admits keywords that are about to go, without warnings."
    ),
    row!("master-worker", "", master_worker, "Removed in 3.5: the command line option -W replaces it."),
    row!("nbproc", "", nbproc, "Removed in 2.5: threads replace it."),
    row!("chroot", "{ <jail dir> | auto }", chroot, "The directory that the process locks itself into."),
    row!("pidfile", "<pidfile>", pidfile, "The file that takes the numbers of the processes."),
    row!("user", "<user name>", user, "The user that the process becomes."),
    row!(
        "uid",
        "<number>",
        |cx, l| number_of(cx, l, "uid", "user", |g, n| g.uid = Some(n)),
        "The user that the process becomes, as a number."
    ),
    row!("group", "<group name>", group, "The group that the process becomes."),
    row!(
        "gid",
        "<number>",
        |cx, l| number_of(cx, l, "gid", "group", |g, n| g.gid = Some(n)),
        "The group that the process becomes, as a number."
    ),
    row!("setcap", "<name>[,<name>...]", setcap, "Capabilities that stay when the user changes."),
    row!("set-dumpable", "[ on | off | libs ]", true, set_dumpable, "Lets the system write core files."),
    row!(
        "insecure-fork-wanted",
        "",
        true,
        |cx, l| both(cx, l, |g, on| g.insecure_fork = on),
        "Admits programs to be started."
    ),
    switch!(
        "insecure-setuid-wanted",
        |g| g.insecure_setuid = true,
        "Admits set-user-id programs to be started."
    ),
    switch!(
        "insecure-syscalls-wanted",
        |g| g.insecure_syscalls = true,
        "Admits every system call to the process that serves."
    ),
    switch!(
        "insecure-paths-wanted",
        |g| g.insecure_paths = true,
        "Admits files everywhere to the process that serves."
    ),
    row!("mworker-max-reloads", "<number>", max_reloads, "Reloads that an old worker may outlive."),
    row!(
        "reload-mode",
        "{ new-process | in-place }",
        reload_mode,
        "What a reload does: start a new process, or have the running one follow the configuration."
    ),
    row!("node", "<name>", node, "The node's name on the statistics page."),
    row!("description", "<text>", description, "A text for the statistics page."),
    row!("localpeer", "<name>", localpeer, "This node's name among peers."),
    row!(
        "grace",
        "<time>",
        |cx, l| time(cx, l, "grace", |g, t| g.grace = Some(t)),
        "How long listeners stay open after a soft stop was asked for."
    ),
    row!(
        "hard-stop-after",
        "<time>",
        |cx, l| time(cx, l, "hard-stop-after", |g, t| g.hard_stop_after = Some(t)),
        "How long a soft stop may last."
    ),
    row!(
        "close-spread-time",
        "{ <time> | infinite }",
        close_spread_time,
        "The time over which a soft stop spreads the end of connections."
    ),
    row!(
        "unix-bind",
        "[ prefix <prefix> ] [ mode <mode> ] [ user <user> ] [ uid <uid> ] [ group <group> ] [ gid <gid> ]",
        unix_bind,
        "What all Unix sockets of 'bind' lines have in common."
    ),
    row!(
        "harden.reject-privileged-ports.tcp",
        "{ on | off }",
        reject_privileged,
        "Refuses TCP clients with a source port below 1024."
    ),
];

fn switch(cx: &mut Cx<'_>, line: &Line, set: fn(&mut Global)) {
    if value::no_more(cx, line, 1) {
        set(&mut cx.model.global);
    }
}

fn both(cx: &mut Cx<'_>, line: &Line, set: fn(&mut Global, bool)) {
    if value::no_more(cx, line, 1) {
        set(&mut cx.model.global, !cx.negated);
    }
}

fn master_worker(cx: &mut Cx<'_>, line: &Line) {
    let (word, message) = match line.word(1) {
        None => (
            line.word(0),
            "support for 'master-worker' was removed in version 3.5. Use -W or -Ws in the startup script instead.",
        ),
        Some(w) if w.is("no-exit-on-failure") => {
            cx.model.global.no_exit_on_failure = true;
            return;
        }
        Some(w) => (Some(w), "'master-worker' only supports 'no-exit-on-failure' option"),
    };
    cx.alert(word, message);
}

fn nbproc(cx: &mut Cx<'_>, line: &Line) {
    cx.alert(
        line.word(0),
        "nbproc is not supported any more since HAProxy 2.5. Threads will automatically be used on multi-processor \
         machines if available.",
    );
}

fn chroot(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = value::one(cx, line, 1, "'chroot' expects a directory as an argument.") else { return };
    if cx.model.global.chroot.is_some() {
        cx.warn(line.word(0), "'chroot' is already specified. Continuing.");
        return;
    }
    cx.model.global.chroot = Some(match word.is("auto") {
        true => Chroot::Auto,
        false => Chroot::Dir(word.str().into_owned()),
    });
}

fn pidfile(cx: &mut Cx<'_>, line: &Line) {
    if let Some(word) = value::one(cx, line, 1, "'pidfile' expects a file name as an argument.") {
        if cx.model.global.pidfile.is_some() {
            cx.warn(line.word(0), "'pidfile' already specified. Continuing.");
            return;
        }
        cx.model.global.pidfile = Some(word.str().into_owned());
    }
}

fn user(cx: &mut Cx<'_>, line: &Line) {
    let said = cx.model.global.uid.is_some();
    if value::again(cx, line, said, "user/uid") {
        return;
    }
    let Some(word) = value::one(cx, line, 1, "cannot find user id for ''") else { return };
    let name = word.str().into_owned();
    let Some(uid) = value::user(cx, &name) else {
        cx.alert(Some(word), format!("cannot find user id for '{name}'"));
        return;
    };
    let global = &mut cx.model.global;
    global.uid = Some(uid);
    global.user = Some(name);
}

fn group(cx: &mut Cx<'_>, line: &Line) {
    let said = cx.model.global.gid.is_some();
    if value::again(cx, line, said, "gid/group was") {
        return;
    }
    let Some(word) = value::one(cx, line, 1, "cannot find group id for ''") else { return };
    let name = word.str();
    match value::group(cx, &name) {
        Some(gid) => cx.model.global.gid = Some(gid),
        None => {
            cx.alert(Some(word), format!("cannot find group id for '{name}'"));
        }
    }
}

fn number_of(cx: &mut Cx<'_>, line: &Line, of: &str, instead: &str, set: fn(&mut Global, u32)) {
    let global = &cx.model.global;
    let said = if of == "uid" { global.uid } else { global.gid }.is_some();
    if value::again(cx, line, said, &format!("{instead}/{of}")) {
        return;
    }
    let Some(word) = value::one(cx, line, 1, &format!("'{of}' expects an integer argument.")) else { return };
    let (n, whole) = value::leading(&word.text);
    if !whole {
        cx.warn(Some(word), format!(" {of}: string '{}' is not a number.", word.str()))
            .hint(format!("You might want to use the '{instead}' parameter to use a system {instead} name."));
    }
    set(&mut cx.model.global, u32::try_from(n).unwrap_or(0));
}

/// Capabilities that can be kept.
const CAPABILITIES: &[&str] = &["cap_net_raw", "cap_net_admin", "cap_net_bind_service", "cap_sys_admin"];

fn setcap(cx: &mut Cx<'_>, line: &Line) {
    const SUPPORTED: &str =
        "Supported ones are: cap_net_raw, cap_net_admin, cap_net_bind_service and cap_sys_admin.";
    let Some(word) = line.word(1).filter(|w| !w.text.is_empty()) else {
        cx.alert(line.word(0), format!("'setcap' : missing capability name(s).  {SUPPORTED}"));
        return;
    };
    for name in word.str().split(',') {
        if !CAPABILITIES.contains(&name) {
            cx.alert(Some(word), format!("'setcap' : unsupported capability '{name}'.  {SUPPORTED}"));
            return;
        }
        let known = &mut cx.model.global.setcap;
        if !known.iter().any(|n| n == name) {
            known.push(name.to_owned());
        }
    }
}

fn set_dumpable(cx: &mut Cx<'_>, line: &Line) {
    let on = match line.word(1).map(|w| w.text.as_slice()) {
        None | Some(b"on" | b"libs") => true,
        Some(b"off") => false,
        Some(_) => {
            let got = line.word(1).map(Word::str).unwrap_or_default();
            let message =
                format!("'set-dumpable' only supports 'on', 'off' and 'libs' as an argument, found '{got}'.");
            cx.alert(line.word(1), message);
            return;
        }
    };
    cx.model.global.dumpable = on && !cx.negated;
}

fn max_reloads(cx: &mut Cx<'_>, line: &Line) {
    let Some(word) = value::one(cx, line, 1, "'mworker-max-reloads' expects an integer argument.") else {
        return;
    };
    match u32::try_from(value::lenient(cx, word, "mworker-max-reloads")) {
        Ok(n) => cx.model.global.mworker_max_reloads = Some(n),
        Err(_) => {
            cx.alert(Some(word), "'mworker-max-reloads' expects a positive value or zero.");
        }
    }
}

fn reload_mode(cx: &mut Cx<'_>, line: &Line) {
    const WANTED: &str = "'reload-mode' expects 'new-process' or 'in-place'.";
    let Some(word) = value::one(cx, line, 1, WANTED) else { return };
    match &*word.str() {
        "new-process" => cx.model.global.reload_in_place = false,
        "in-place" => cx.model.global.reload_in_place = true,
        _ => {
            cx.alert(Some(word), WANTED);
        }
    }
}

fn node(cx: &mut Cx<'_>, line: &Line) {
    const VALID: &str = "'node' requires valid node name - non-empty string with digits(0-9), letters(A-Z, a-z), \
                         dot(.), hyphen(-) or underscode(_).";
    let Some(word) = value::one(cx, line, 1, VALID) else { return };
    match word.text.iter().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(b)) {
        true => cx.model.global.node = Some(word.str().into_owned()),
        false => {
            cx.alert(Some(word), VALID);
        }
    }
}

fn description(cx: &mut Cx<'_>, line: &Line) {
    match super::proxy_http::text(line) {
        Some(text) => cx.model.global.description = Some(text),
        None => {
            cx.alert(line.word(0), "'description' expects a string argument.");
        }
    }
}

fn localpeer(cx: &mut Cx<'_>, line: &Line) {
    if let Some(word) = value::one(cx, line, 1, "'localpeer' expects a name as an argument.") {
        cx.model.global.localpeer = Some(word.str().into_owned());
    }
}

fn time(cx: &mut Cx<'_>, line: &Line, of: &str, set: fn(&mut Global, std::time::Duration)) {
    let Some(word) = line.word(1).filter(|w| !w.text.is_empty()) else {
        cx.alert(line.word(0), format!("'{of}' expects <time> as argument."));
        return;
    };
    match value::time(cx, word) {
        Ok(t) => set(&mut cx.model.global, t),
        Err(e) => {
            cx.alert(Some(word), value::time_message(e, word, of));
        }
    }
}

fn close_spread_time(cx: &mut Cx<'_>, line: &Line) {
    if line.word(1).is_some_and(|w| w.is("infinite")) {
        cx.model.global.close_spread_time = Some(None);
        return;
    }
    time(cx, line, "close-spread-time", |g, t| g.close_spread_time = Some(Some(t)));
}

fn unix_bind(cx: &mut Cx<'_>, line: &Line) {
    let mut args = line.args(1);
    while let Some(option) = args.next() {
        let word = args.next();
        let text = word.map(|w| w.str().into_owned()).unwrap_or_default();
        let number = u32::try_from(value::leading(text.as_bytes()).0).ok();
        let problem = match option.text.as_slice() {
            b"prefix" if text.is_empty() => {
                Some("unix_bind 'prefix' expects a path as an argument.".to_owned())
            }
            b"prefix" => {
                cx.model.global.unix_bind.prefix = Some(text);
                None
            }
            b"mode" => {
                cx.model.global.unix_bind.perm.mode = u32::from_str_radix(&text, 8).ok().map(|n| n & 0o7777);
                None
            }
            b"uid" => {
                cx.model.global.unix_bind.perm.uid = number;
                None
            }
            b"gid" => {
                cx.model.global.unix_bind.perm.gid = number;
                None
            }
            b"user" => {
                let uid = value::user(cx, &text);
                cx.model.global.unix_bind.perm.uid = uid;
                uid.is_none().then(|| format!("'unix-bind' : '{text}' unknown user."))
            }
            b"group" => {
                let gid = value::group(cx, &text);
                cx.model.global.unix_bind.perm.gid = gid;
                gid.is_none().then(|| format!("'unix-bind' : '{text}' unknown group."))
            }
            _ => {
                let message = "'unix-bind' only supports the 'prefix', 'mode', 'uid', 'gid', 'user' and 'group' options.";
                cx.alert(Some(option), message);
                return;
            }
        };
        if let Some(message) = problem {
            cx.alert(word.or(Some(option)), message);
            return;
        }
    }
}

fn reject_privileged(cx: &mut Cx<'_>, line: &Line) {
    match value::on_off(line.word(1)) {
        Some(on) => cx.model.global.reject_privileged_ports_tcp = on,
        None => {
            cx.alert(line.words.last(), "'harden.reject-privileged-ports.tcp' expects either 'on' or 'off'.");
        }
    }
}
