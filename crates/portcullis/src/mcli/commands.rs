//! The master's own commands: one row each, beside what it does.

use super::client::{Mode, State};
use super::{Supervisor, show};
use portcullis_admin::Level;
use portcullis_admin::near::{self, Entry};

/// A command of the master.
pub struct Row {
    /// Its words, one blank between them.
    name: &'static str,
    args: &'static str,
    /// What a connection must be allowed to do.
    level: Level,
    help: &'static str,
    /// It is the connection's, in whatever process the connection is.
    pub everywhere: bool,
    /// `help` does not list it.
    hidden: bool,
    run: fn(&mut Call<'_>) -> Outcome,
}

/// A command as it runs.
pub struct Call<'a> {
    /// The master.
    pub master: &'a dyn Supervisor,
    /// The connection.
    pub state: &'a mut State,
    /// The command's words.
    pub words: &'a [Vec<u8>],
}

/// What a command answers.
pub enum Outcome {
    /// Not even an empty line.
    Silent,
    /// Text, and the empty line behind it.
    Text(String),
    /// Load the configuration again.
    Reload {
        /// The old workers end at once.
        hard: bool,
    },
    /// Close the connection.
    Close,
}

const fn row(
    name: &'static str,
    args: &'static str,
    level: Level,
    help: &'static str,
    run: fn(&mut Call<'_>) -> Outcome,
) -> Row {
    Row { name, args, level, help, everywhere: false, hidden: false, run }
}

impl Row {
    const fn everywhere(mut self) -> Self {
        self.everywhere = true;
        self
    }
    const fn hide(mut self) -> Self {
        self.hidden = true;
        self
    }
    fn fits(&self, words: &[Vec<u8>]) -> bool {
        self.name.split(' ').enumerate().all(|(i, w)| words.get(i).is_some_and(|g| g == w.as_bytes()))
    }
    fn entry(&self) -> Entry {
        Entry { name: self.name, usage: portcullis_admin::command::usage(self.name, self.args, self.help) }
    }
}

fn nothing(_: &mut Call<'_>) -> Outcome {
    Outcome::Silent
}

/// Every command, in the order of `help`. Prefixes are taken off before a command is looked for: their rows are for `help`.
const ROWS: &[Row] = &[
    row("@!<pid>", "", Level::User, "send a command to the <pid> process", nothing),
    row("@<relative pid>", "", Level::User, "send a command to the <relative pid> process", nothing),
    row("@master", "", Level::User, "send a command to the master process", nothing),
    row("_loadstatus", "", Level::User, "how the last start or reload went", |c| {
        if c.state.level < Level::Operator {
            return Outcome::Text(String::new());
        }
        let good = u8::from(!c.master.reload_failed());
        Outcome::Text(format!("Success={good}\n--\n{}", c.master.startup_logs()))
    })
    .hide(),
    row("echo", "<text>", Level::User, "print text to the output", |c| {
        Outcome::Text(format!("{}\n", String::from_utf8_lossy(&c.words.get(1..).unwrap_or_default().join(&b' '))))
    }),
    row("experimental-mode", "[on|off]", Level::Admin, "switch experimental mode for this session", |c| {
        c.state.experimental = on(c);
        Outcome::Silent
    })
    .everywhere()
    .hide(),
    row("expert-mode", "[on|off]", Level::Admin, "switch expert mode for this session", |c| {
        c.state.expert = on(c);
        Outcome::Silent
    })
    .everywhere()
    .hide(),
    row("hard-reload", "", Level::Operator, "achieve a hard-reload (-st) of haproxy", |_| {
        Outcome::Reload { hard: true }
    }),
    row("mcli-debug-mode", "[on|off]", Level::Admin, "switch the commands of workers on for the master", |_| {
        Outcome::Text("'mcli-debug-mode' is not supported: the master of Portcullis has none of the workers' state.\n".into())
    })
    .everywhere()
    .hide(),
    row("operator", "", Level::Operator, "lower the level of the current CLI session to operator", |c| {
        c.state.level = Level::Operator;
        Outcome::Silent
    })
    .everywhere(),
    row("reload", "", Level::Operator, "achieve a soft-reload (-sf) of haproxy", |_| {
        Outcome::Reload { hard: false }
    }),
    row("show cli level", "", Level::User, "display the level of the current CLI session", |c| {
        Outcome::Text(format!("{}\n", c.state.level.name()))
    }),
    row("show cli sockets", "", Level::User, "dump list of cli sockets", |_| Outcome::Text(String::new())),
    row("show env", "[var]", Level::Operator, "dump environment variables known to the process", env),
    row("show proc", "", Level::Operator, "show processes status", |c| match c.words.get(2) {
        Some(word) if word != b"debug" => {
            Outcome::Text("'show proc' only supports 'debug' as argument\n".into())
        }
        debug => {
            let (master, workers) = c.master.listed();
            Outcome::Text(show::processes(&master, &workers, debug.is_some()))
        }
    }),
    row("show startup-logs", "", Level::Operator, "report logs emitted during HAProxy startup", |c| {
        Outcome::Text(c.master.startup_logs())
    }),
    row("show version", "", Level::User, "show version of the current process", |_| {
        Outcome::Text(format!("{}\n", portcullis_config::VERSION))
    }),
    row("user", "", Level::User, "lower the level of the current CLI session to user", |c| {
        c.state.level = Level::User;
        Outcome::Silent
    })
    .everywhere(),
    row("help", "[<command>]", Level::User, "list matching or all commands", |c| {
        let words = c.words.get(1..).unwrap_or_default();
        Outcome::Text(format!("The following commands are valid at this level:\n{}", near::lines(&entries(), words)))
    }),
    row("prompt", "[help | n | i | p | timed ]*", Level::User, "toggle interactive mode with prompt", prompt)
        .everywhere(),
    row("quit", "", Level::User, "disconnect", |_| Outcome::Close).everywhere(),
];

/// The row of a command: the longest that fits.
pub fn find(words: &[Vec<u8>]) -> Option<&'static Row> {
    ROWS.iter().filter(|r| r.fits(words)).max_by_key(|r| r.name.len())
}

/// Runs a command if the connection may.
pub fn run(call: &mut Call<'_>) -> Outcome {
    match find(call.words) {
        None => {
            let first = call.words.first().map(|w| String::from_utf8_lossy(w)).unwrap_or_default();
            Outcome::Text(format!(
                "Unknown command: '{first}', but maybe one of the following ones is a better match:\n{}",
                near::lines(&entries(), call.words)
            ))
        }
        Some(row) if row.level > call.state.level => Outcome::Text("Permission denied\n".into()),
        Some(row) => (row.run)(call),
    }
}

/// Names of the commands, for `-dKcli`.
pub fn dump() -> Vec<&'static str> {
    ROWS.iter().map(|r| r.name).collect()
}

/// Arguments and help of a command that works.
pub fn about(name: &str) -> Option<(&'static str, &'static str)> {
    let row = ROWS.iter().find(|r| r.name == name && r.name != "mcli-debug-mode")?;
    Some((row.args, row.help))
}

fn entries() -> Vec<Entry> {
    ROWS.iter().filter(|r| !r.hidden).map(Row::entry).collect()
}

/// Without `on`, a mode is switched off.
fn on(call: &Call<'_>) -> bool {
    call.words.get(1).is_some_and(|w| w == b"on")
}

fn env(call: &mut Call<'_>) -> Outcome {
    let mut all: Vec<(String, String)> = std::env::vars_os()
        .map(|(k, v)| (k.to_string_lossy().into_owned(), v.to_string_lossy().into_owned()))
        .filter(|(k, _)| k != crate::master::STATE)
        .collect();
    for (name, value) in [
        ("HAPROXY_STARTUP_VERSION", portcullis_config::VERSION.to_string()),
        ("HAPROXY_BRANCH", portcullis_config::BRANCH.to_string()),
        ("HAPROXY_CFGFILES", call.master.files()),
        ("HAPROXY_MWORKER", "1".to_string()),
        ("HAPROXY_MASTER_CLI", call.master.addresses()),
    ] {
        all.retain(|(k, _)| k != name);
        all.push((name.to_string(), value));
    }
    let Some(name) = call.words.get(2).map(|w| String::from_utf8_lossy(w)) else {
        return Outcome::Text(all.iter().map(|(k, v)| format!("{k}={v}\n")).collect());
    };
    match all.iter().find(|(k, _)| *k == name) {
        Some((k, v)) => Outcome::Text(format!("{k}={v}\n")),
        None => Outcome::Text("Variable not found\n".into()),
    }
}

const PROMPT: &str = "Usage: prompt [help | i | p | timed]*
Changes the default prompt and interactive mode. Available options:
  help    display this help
  i       set to interactive mode only (no prompt, multi-command)
  p       set to prompt+interactive mode (prompt + multi-command)
  timed   toggle displaying the current date in the prompt
Without any argument, toggles between i<->p.";

fn prompt(call: &mut Call<'_>) -> Outcome {
    let state = &mut *call.state;
    if call.words.len() < 2 {
        state.mode = if state.mode == Mode::Prompt { Mode::Interactive } else { Mode::Prompt };
    }
    for word in call.words.iter().skip(1) {
        match word.as_slice() {
            b"i" => state.mode = Mode::Interactive,
            b"p" => state.mode = Mode::Prompt,
            b"timed" => {
                state.mode = Mode::Prompt;
                state.timed = !state.timed;
            }
            _ => return Outcome::Text(PROMPT.into()),
        }
    }
    Outcome::Silent
}
