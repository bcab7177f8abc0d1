//! Commands about the connection itself.

use crate::command::{Call, Outcome, Row};
use crate::session::Mode;
use crate::socket::{Level, SeverityOutput};
use std::sync::atomic::Ordering::Relaxed;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row::new("help", "[<command>]", Level::User, "list matching or all commands", |c| crate::near::help(c)),
    Row::new(
        "prompt",
        "[help | n | i | p | timed ]*",
        Level::User,
        "toggle interactive mode with prompt",
        prompt,
    ),
    Row::new("quit", "", Level::User, "disconnect", |_| Outcome::Close),
    Row::new("echo", "<text>", Level::User, "print text to the output", echo),
    Row::new("user", "", Level::User, "lower the level of the current CLI session to user", |c| {
        c.cli.level = Level::User;
        Outcome::Nothing
    }),
    Row::new(
        "operator",
        "",
        Level::Operator,
        "lower the level of the current CLI session to operator",
        |c| {
            c.cli.level = Level::Operator;
            Outcome::Nothing
        },
    ),
    Row::new("show cli level", "", Level::User, "display the level of the current CLI session", |c| {
        Outcome::info(c.cli.level.name())
    }),
    Row::new("show cli sockets", "", Level::User, "dump list of cli sockets", sockets),
    Row::new(
        "set severity-output",
        "[none|number|string]",
        Level::User,
        "set presence of severity level in feedback information",
        severity,
    ),
    Row::new("set timeout", "[cli] <delay>", Level::User, "change a timeout setting", timeout),
    Row::new("expert-mode", "[on|off]", Level::Admin, "switch expert mode for this session", |c| {
        switch("expert-mode", c)
    })
    .hide(),
    Row::new(
        "experimental-mode",
        "[on|off]",
        Level::Admin,
        "switch experimental mode for this session",
        |c| switch("experimental-mode", c),
    )
    .hide(),
    Row::new("show anon", "", Level::User, "display the current state of anonymized mode", show_anon),
    Row::new("set anon on", "[value]", Level::User, "activate the anonymized mode", anon_on),
    Row::new("set anon off", "", Level::User, "deactivate the anonymized mode", |c| {
        c.cli.anon = 0;
        Outcome::Nothing
    }),
    Row::new("set anon global-key", "<value>", Level::Admin, "change the global anonymizing key", anon_key),
];

const PROMPT: &str = "Usage: prompt [help | n | i | p | timed]*
Changes the default prompt and interactive mode. Available options:
  help    display this help
  n       set to single-command mode (no prompt, single command)
  i       set to interactive mode only (no prompt, multi-command)
  p       set to prompt+interactive mode (prompt + multi-command)
  timed   toggle displaying the current date in the prompt
Without any argument, toggles between n/i->p, p->n.
";

fn prompt(call: &mut Call<'_>) -> Outcome {
    if !call.has(1) {
        call.cli.mode = if call.cli.mode == Mode::Prompt { Mode::Once } else { Mode::Prompt };
        return Outcome::Nothing;
    }
    for i in 1..call.words.len() {
        let word = call.arg(i).into_owned();
        match word.as_str() {
            "n" => call.cli.mode = Mode::Once,
            "i" => call.cli.mode = Mode::Interactive,
            "p" => call.cli.mode = Mode::Prompt,
            "timed" => {
                call.cli.mode = Mode::Prompt;
                call.cli.timed = !call.cli.timed;
            }
            _ => return Outcome::info(PROMPT),
        }
    }
    Outcome::Nothing
}

fn echo(call: &mut Call<'_>) -> Outcome {
    let mut text = call.words.get(1..).unwrap_or_default().join(&b' ');
    text.push(b'\n');
    Outcome::Text(text)
}

fn sockets(call: &mut Call<'_>) -> Outcome {
    let mut text = String::from("# socket lvl processes\n");
    for (name, level) in &call.admin.sockets {
        text.push_str(&format!("{name} {} all\n", level.name()));
    }
    Outcome::Text(text.into_bytes())
}

fn severity(call: &mut Call<'_>) -> Outcome {
    match SeverityOutput::of(&call.arg(2)) {
        Some(s) => {
            call.cli.severity = s;
            Outcome::Nothing
        }
        None => Outcome::err("one of 'none', 'number', 'string' is a required argument"),
    }
}

fn timeout(call: &mut Call<'_>) -> Outcome {
    if call.arg(2) != "cli" {
        return Outcome::err("'set timeout' only supports 'cli'.");
    }
    if !call.has(3) {
        return Outcome::err("Expects an integer value.");
    }
    let word = call.arg(3);
    match portcullis_config::rows::value::time_with_unit(word.as_bytes(), 1_000_000) {
        Ok((t, _)) if !t.is_zero() => {
            call.cli.timeout = t;
            Outcome::Nothing
        }
        _ => Outcome::err("Invalid timeout value."),
    }
}

fn switch(mode: &'static str, call: &mut Call<'_>) -> Outcome {
    let to = match &*call.arg(1) {
        "on" => Some(true),
        "" => None,
        _ => Some(false),
    };
    let state = if mode == "expert-mode" { &mut call.cli.expert } else { &mut call.cli.experimental };
    match to {
        Some(on) => {
            *state = on;
            Outcome::Nothing
        }
        None => Outcome::info(format!("{mode} is {}", if *state { "ON" } else { "OFF" })),
    }
}

fn show_anon(call: &mut Call<'_>) -> Outcome {
    match call.cli.anon {
        0 => Outcome::info("Anonymized mode disabled"),
        key => Outcome::info(format!("Anonymized mode enabled\nKey : {key}")),
    }
}

fn anon_on(call: &mut Call<'_>) -> Outcome {
    let global = call.admin.anon_key.load(Relaxed);
    call.cli.anon = match (call.has(3), global) {
        (true, _) => match call.arg(3).parse::<u32>() {
            Ok(n) => n & 0x7fff_ffff,
            Err(_) => return Outcome::err("The given key must be a positive integer."),
        },
        (false, 0) => {
            // nothing secret hangs on it: it only makes names unreadable
            let t = call.admin.process.clock.wall();
            (t.subsec_nanos() ^ t.as_secs() as u32).wrapping_mul(0x9E37_79B9) & 0x7fff_ffff | 1
        }
        (false, key) => key,
    };
    Outcome::Nothing
}

fn anon_key(call: &mut Call<'_>) -> Outcome {
    match call.arg(3).parse::<u32>() {
        Ok(n) => {
            call.admin.anon_key.store(n, Relaxed);
            Outcome::Nothing
        }
        Err(_) => Outcome::err("The given key must be a positive integer."),
    }
}
