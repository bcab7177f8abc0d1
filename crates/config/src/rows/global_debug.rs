//! Keywords of `global` about what the process says of itself (manual section 3.3 and 3.2.2).

use super::value::{self, TimeError};
use crate::cx::Cx;
use crate::model::Profiling;
use crate::row::{Does, Keyword, Row, Sections};
use crate::word::{Line, Word};
use std::time::Duration;

/// A row of `global` that works.
pub(super) const fn row(
    name: &'static str,
    args: &'static str,
    works: fn(&mut Cx<'_>, &Line),
    help: &'static str,
) -> Keyword {
    Row { name, sections: Sections::GLOBAL, args, help, negatable: false, does: Does::Works(works) }
}

/// The rows of this file.
pub const ROWS: &[Keyword] = &[
    row(
        "profiling.tasks",
        "{ auto | on | off | lock | no-lock | memory | no-memory }*",
        profiling,
        "Whether it is measured what calls of tasks cost.",
    ),
    row(
        "warn-blocked-traffic-after",
        "<time>",
        warn_blocked,
        "How long a worker may be busy with one task before that is told.",
    ),
];

fn profiling(cx: &mut Cx<'_>, line: &Line) {
    for at in 1..line.words.len().max(2) {
        let word = line.word(at);
        match word.map_or(&b""[..], |w| &w.text) {
            b"auto" => cx.model.global.profiling = Profiling::Auto,
            b"on" => cx.model.global.profiling = Profiling::On,
            b"off" => cx.model.global.profiling = Profiling::Off,
            b"no-lock" | b"no-memory" => {}
            b"lock" | b"memory" => {
                let what = word.map(Word::str).unwrap_or_default();
                let message = format!(
                    "'profiling.tasks {what}' has no effect: workers share nothing that they wait for long, and the \
                     allocator is not HAProxy's."
                );
                cx.notice(word, message);
            }
            other => {
                let got = String::from_utf8_lossy(other);
                let message = format!(
                    "'profiling.tasks' expects a combination of either 'on', 'auto', 'off', 'lock', 'no-lock', 'memory', \
                     or 'no-memory', but got '{got}'."
                );
                cx.alert(word.or_else(|| line.word(0)), message);
                return;
            }
        }
    }
}

fn warn_blocked(cx: &mut Cx<'_>, line: &Line) {
    const OF: &str = "warn-blocked-traffic-after";
    let Some(word) = line.word(1).filter(|w| !w.text.is_empty()) else {
        cx.alert(line.word(0), format!("'{OF}' expects <time> as argument between 1 and 1000 ms."));
        return;
    };
    let text = word.str();
    match value::time(cx, word) {
        // HAProxy rounds up to milliseconds
        Ok(time) if !time.is_zero() && time <= Duration::from_secs(1) => {
            cx.model.global.warn_blocked_after = Some(time.max(Duration::from_millis(1)));
        }
        Err(TimeError::Character(c)) => {
            cx.alert(Some(word), format!("unexpected character '{c}' in argument to <{OF}>."));
        }
        Err(TimeError::Overflow) => {
            let message = format!("timer overflow in argument '{text}' to '{OF}' (maximum value is 1000 ms)");
            cx.alert(Some(word), message);
        }
        Ok(_) => {
            let message = format!(
                "timer out of range in argument '{text}' to '{OF}' (value must be between 1 and 1000 ms)"
            );
            cx.alert(Some(word), message);
        }
    }
}
