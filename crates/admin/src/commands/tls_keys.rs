//! Keys of session tickets (management manual section 9.3, `show tls-keys`, `set ssl tls-key`).

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_tls::tickets::KeyFile;
use portcullis_wire::base64::{self, STANDARD};
use std::sync::Arc;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row::new(
        "set ssl tls-key",
        "[id|file] <key>",
        Level::Admin,
        "set the next TLS key for the <id> or <file> listener to <key>",
        set,
    ),
    Row::new(
        "show tls-keys",
        "[id|*]",
        Level::Admin,
        "show tls keys references or dump tls ticket keys when id specified",
        show,
    ),
];

/// The files with their numbers: the last that was read has 0.
fn files(call: &Call<'_>) -> Vec<Arc<KeyFile>> {
    let live = call.admin.tls.lock();
    let store = live.global.store.lock();
    store.ticket_files.iter().rev().cloned().collect()
}

/// Which of them a word means: a number behind `#`, or the file.
fn find(files: &[Arc<KeyFile>], word: &str) -> Option<usize> {
    match word.strip_prefix('#') {
        Some(n) => n.parse().ok().filter(|n| *n < files.len()),
        None => files.iter().position(|f| f.name == word),
    }
}

fn show(call: &mut Call<'_>) -> Outcome {
    let files = files(call);
    let word = call.arg(2);
    let only = match &*word {
        "" | "*" => None,
        word => match find(&files, word) {
            Some(at) => Some(at),
            None => return Outcome::err("'show tls-keys' unable to locate referenced filename\n"),
        },
    };
    let mut text = String::from(if word.is_empty() { "# id (file)\n" } else { "# id secret\n" });
    for (id, file) in files.iter().enumerate().filter(|(id, _)| only.is_none_or(|o| o == *id)) {
        if word.is_empty() {
            text += &format!("{id} ({})\n", file.name);
            continue;
        }
        text += &format!("# {id} ({})\n", file.name);
        for (n, key) in file.keys().iter().enumerate() {
            let key = base64::encode(STANDARD, true, key);
            text += &format!("{id}.{n} {}\n", String::from_utf8_lossy(&key));
        }
    }
    Outcome::Text(text.into_bytes())
}

fn set(call: &mut Call<'_>) -> Outcome {
    if !call.has(4) {
        return Outcome::err(
            "'set ssl tls-key' expects a filename and the new TLS key in base64 encoding.\n",
        );
    }
    let files = files(call);
    let Some(file) = find(&files, &call.arg(3)).and_then(|at| files.get(at)) else {
        return Outcome::err("'set ssl tls-key' unable to locate referenced filename\n");
    };
    let Some(key) = base64::decode(STANDARD, true, call.arg(4).as_bytes()) else {
        return Outcome::err("'set ssl tls-key' received invalid base64 encoded TLS key.\n");
    };
    match file.push(key) {
        true => Outcome::info("TLS ticket key updated!\n"),
        false => Outcome::err("'set ssl tls-key' received a key of wrong size.\n"),
    }
}
