//! What an agent says (manual section 5.2 `agent-check`): one line of words.

use super::status::Status;
use crate::server::Admin;

/// What a line of an agent asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// `ready`, `drain`, `maint`
    pub admin: Option<Admin>,
    /// `up`, or `down`, `fail` and `stopped`: the status, and the word.
    pub state: Option<(Status, String)>,
    /// What stands behind `#`.
    pub description: Option<String>,
    /// `75%`, `weight:20`
    pub weight: Option<String>,
    /// `maxconn:30`
    pub maxconn: Option<String>,
    /// The first word that means nothing.
    pub unknown: Option<String>,
}

const SEPARATORS: [char; 3] = [' ', '\t', ','];

/// Reads a line; it ends with the first CR or LF. `None`: it is not complete.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<Said> {
    let end = bytes.iter().position(|b| matches!(b, b'\r' | b'\n'))?;
    let line = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default());
    let mut said = Said::default();
    let mut rest = line.trim_start_matches(SEPARATORS);
    while !rest.is_empty() {
        if let Some(text) = rest.strip_prefix('#') {
            said.description = Some(text.trim().to_owned());
            break;
        }
        let (word, more) = rest.split_at(rest.find(SEPARATORS).unwrap_or(rest.len()));
        said.take(word);
        rest = more.trim_start_matches(SEPARATORS);
    }
    Some(said)
}

impl Said {
    fn take(&mut self, word: &str) {
        let lower = word.to_ascii_lowercase();
        match lower.as_str() {
            "up" => self.state = Some((Status::L7Ok, word.to_owned())),
            "down" | "fail" | "stopped" => self.state = Some((Status::L7Status, word.to_owned())),
            "ready" => self.admin = Some(Admin::Ready),
            "drain" => self.admin = Some(Admin::Drain),
            "maint" => self.admin = Some(Admin::Maint),
            _ => {
                if let Some(weight) = lower.strip_prefix("weight:") {
                    self.weight = Some(weight.to_owned());
                } else if let Some(n) = lower.strip_prefix("maxconn:") {
                    self.maxconn = Some(n.to_owned());
                } else if lower.ends_with('%') {
                    self.weight = Some(lower);
                } else {
                    self.unknown.get_or_insert_with(|| word.to_owned());
                }
            }
        }
    }

    /// The check's status and text; `warning` is what its orders led to.
    #[must_use]
    pub fn status(&self, warning: Option<&str>) -> (Status, String) {
        if let Some((status, word)) = &self.state {
            return match self.description.as_deref().filter(|d| !d.is_empty()) {
                Some(text) => (*status, format!("via agent : {word} ({text})")),
                None => (*status, format!("via agent : {word}")),
            };
        }
        let text = match (&self.unknown, warning) {
            (Some(word), _) => format!("agent reports an error : {word}"),
            (None, Some(warning)) => format!("agent warns : {warning}"),
            (None, None) => String::new(),
        };
        (Status::Checked, text)
    }
}
