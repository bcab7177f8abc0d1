//! A section that is refused as a whole because its capability is not there yet. Its lines are looked at for what is wrong
//! with them, so that a slip is found now and not when the capability comes; nothing else is said about them.

use crate::cx::Cx;
use crate::diag::{Diagnostics, Severity};
use crate::env::Env;
use crate::row::{Keyword, Sections};
use crate::sections;
use crate::word::Line;

/// The refused section that is open.
#[derive(Debug)]
pub struct Refused {
    /// Its first line.
    line: Line,
    /// Which kind.
    section: Sections,
    /// How many messages there were when it began.
    before: usize,
    /// It does something: a `peers` section has the local peer, a `cache` its size.
    complete: bool,
}

impl Refused {
    /// The section begins.
    pub fn open(line: &Line, section: Sections, diags: &Diagnostics) -> Self {
        let complete = !section.intersects(Sections::PEERS | Sections::CACHE);
        Self { line: line.clone(), section, before: diags.list.len(), complete }
    }

    /// A line of it, whose keyword is known.
    pub fn line(&mut self, cx: &mut Cx<'_>, row: &Keyword, line: &Line) {
        let name = line.words.get(1).map(|w| w.text.clone());
        match (self.section, row.name) {
            (Sections::CACHE, "total-max-size") => self.complete = true,
            (Sections::PEERS, "bind" | "disabled") => self.complete = true,
            (Sections::PEERS, "peer") if line.words.len() < 3 => {
                let name = name.map(|n| String::from_utf8_lossy(&n).into_owned()).unwrap_or_default();
                let message =
                    format!("'peer {name}' : ignoring invalid peer definition (missing address:port)");
                cx.warn(line.word(0), message);
                return;
            }
            (Sections::PEERS, "peer" | "server") => {
                self.complete |= name.is_some() && name == cx.env.get("HAPROXY_LOCALPEER");
            }
            _ => {}
        }
        if let Err((word, message)) = arguments(row, line) {
            cx.alert(line.word(word), message);
        } else if row.args.is_empty()
            && let Some(extra) = line.word(1)
        {
            let message = format!("'{}' cannot handle unexpected argument '{}'.", row.name, extra.str());
            cx.alert(Some(extra), message);
        }
    }

    /// The section ends: it is refused now, unless something in it was.
    pub fn close(self, diags: &mut Diagnostics, env: &Env) {
        if diags.list.iter().skip(self.before).any(|d| d.severity == Severity::Alert) {
            return;
        }
        let name = self.line.words.get(1).map(|w| w.str().into_owned()).unwrap_or_default();
        match self.section {
            Sections::CACHE if !self.complete => {
                let text = format!("config : Size not specified for cache '{name}'");
                diags.late(Severity::Alert, Some(self.line.place()), text);
            }
            Sections::PEERS if !self.complete => {
                let peer = env.get("HAPROXY_LOCALPEER").unwrap_or_default();
                let peer = String::from_utf8_lossy(&peer);
                let text = format!("Removing incomplete section 'peers {name}' (no peer named '{peer}').");
                diags.late(Severity::Warning, Some(self.line.place()), text);
            }
            section => {
                let text = format!("section '{}' is not supported yet.", sections::name_of(section));
                let d = diags.add(Severity::Alert, Some(self.line.place()), text);
                if let Some(word) = self.line.words.first() {
                    d.mark(&self.line, word.span);
                }
            }
        }
    }
}

/// Are the arguments there that the row's begin with: `<any>`, `{ one | of | these }`, or a word as it is?
fn arguments(row: &Keyword, line: &Line) -> Result<(), (usize, String)> {
    let mut expected = row.args.split(' ');
    let mut at = 0;
    while let Some(token) = expected.next().filter(|t| !t.is_empty() && !t.starts_with('[')) {
        at += 1;
        let word = line.word(at);
        let missing = || (0, format!("'{}' expects {} as arguments.", row.name, mandatory(row.args)));
        let word = word.ok_or_else(missing)?;
        let fits = match token {
            "{" => {
                let choices = expected.by_ref().take_while(|t| *t != "}").filter(|t| *t != "|");
                choices.fold(false, |found, t| found | word.is(t))
            }
            any if any.starts_with('<') => true,
            exact => word.is(exact),
        };
        if !fits {
            let message = format!("'{}' : unexpected '{}', expects {}.", row.name, word.str(), row.args);
            return Err((at, message));
        }
    }
    Ok(())
}

/// The arguments that must be there, joined as HAProxy does.
fn mandatory(args: &str) -> String {
    args.split(" [").next().unwrap_or_default().replace("> <", "> and <")
}
