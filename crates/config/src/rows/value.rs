//! Values that many keywords take: numbers, times, sizes, switches, and the complaint about a word too many.

use crate::cx::Cx;
use crate::word::{Line, Word};
use std::time::Duration;

/// Why a time is not one (manual section 2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeError {
    /// This character does not belong there.
    Character(char),
    /// More than 2147483647 ms.
    Overflow,
}

/// The longest time of most keywords, in us.
pub const MAX_TIME: u64 = 2_147_483_647 * 1000;

/// A time of manual section 2.5 and whether it had a unit. `unit` (in us) applies when none is written.
pub fn time_with_unit(text: &[u8], unit: u64) -> Result<(Duration, bool), TimeError> {
    time_up_to(text, unit, MAX_TIME)
}

/// [`time_with_unit`] with another longest time (in us).
pub fn time_up_to(text: &[u8], unit: u64, max: u64) -> Result<(Duration, bool), TimeError> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let bad = |at: usize| {
        TimeError::Character(
            String::from_utf8_lossy(text.get(at..).unwrap_or(&[])).chars().next().unwrap_or(' '),
        )
    };
    if digits == 0 {
        return Err(bad(0));
    }
    let suffix = text.get(digits..).unwrap_or(&[]);
    let unit = match suffix {
        [] => unit,
        [b'u', b's', ..] => 1,
        [b'm', b's', ..] => 1000,
        [b's', ..] => 1_000_000,
        [b'm', ..] => 60_000_000,
        [b'h', ..] => 3_600_000_000,
        [b'd', ..] => 86_400_000_000,
        _ => return Err(bad(digits)),
    };
    let number =
        text.iter().take(digits).try_fold(0u64, |n, b| n.checked_mul(10)?.checked_add(u64::from(b - b'0')));
    match number.and_then(|n| n.checked_mul(unit)) {
        Some(us) if us <= max => Ok((Duration::from_micros(us), !suffix.is_empty())),
        _ => Err(TimeError::Overflow),
    }
}

/// A time in milliseconds unless it has a unit.
pub fn time(cx: &mut Cx<'_>, word: &Word) -> Result<Duration, TimeError> {
    let (time, _) = time_with_unit(&word.text, 1000)?;
    odd_time(cx, word);
    Ok(time)
}

/// Warns about what stands behind the unit of a time; HAProxy takes the time nevertheless.
pub fn odd_time(cx: &mut Cx<'_>, word: &Word) {
    let text = word.str().into_owned();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let len = if unit.starts_with("us") || unit.starts_with("ms") { 2 } else { 1 };
    let Some(odd) = unit.chars().nth(len) else { return };
    let message = format!(
        "unexpected character '{odd}' after the timer value '{text}', only (us=microseconds,ms=milliseconds,s=seconds,\
         m=minutes,h=hours,d=days) are supported. This will be reported as an error in next versions."
    );
    cx.warn(Some(word), message).late = true;
}

/// The words for a time out of range, as HAProxy says it.
pub fn overflow(text: &Word, of: &str) -> String {
    format!(
        "timer overflow in argument '{}' to '{of}' (maximum value is 2147483647 ms or ~24.8 days)",
        text.str()
    )
}

/// The message for a time that is none, given to the keyword `of`.
pub fn time_message(error: TimeError, text: &Word, of: &str) -> String {
    match error {
        TimeError::Character(c) => format!("unexpected character '{c}' in argument to <{of}>."),
        TimeError::Overflow => overflow(text, of),
    }
}

/// A size of manual section 2.6 in bytes; the error is the text from the offending character on.
pub fn size(text: &[u8]) -> Result<u64, String> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let rest = |at: usize| String::from_utf8_lossy(text.get(at..).unwrap_or(&[])).into_owned();
    if digits == 0 {
        return Err(rest(0));
    }
    let unit: u64 = match text.get(digits..).unwrap_or(&[]) {
        [] => 1,
        [b'k' | b'K'] => 1 << 10,
        [b'm' | b'M'] => 1 << 20,
        [b'g' | b'G'] => 1 << 30,
        _ => return Err(rest(digits)),
    };
    text.iter()
        .take(digits)
        .try_fold(0u64, |n, b| n.checked_mul(10)?.checked_add(u64::from(b - b'0')))
        .and_then(|n| n.checked_mul(unit))
        .ok_or_else(|| rest(0))
}

/// A whole decimal number, all of the word.
pub fn integer(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A number as most of HAProxy's keywords read it: sign and leading digits, whatever follows is not looked at and no
/// digits are zero. The flag tells whether all of the word was a number.
pub fn leading(text: &[u8]) -> (i64, bool) {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        all => (false, all),
    };
    let n = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    let value =
        digits.iter().take(n).fold(0i64, |v, b| v.saturating_mul(10).saturating_add(i64::from(b - b'0')));
    (if negative { -value } else { value }, n > 0 && n == digits.len())
}

/// [`leading`], with a diagnostic for the operator when the word is more or less than a number.
pub fn lenient(cx: &mut Cx<'_>, word: &Word, of: &str) -> i64 {
    let (value, whole) = leading(&word.text);
    if !whole {
        let message = format!("'{of}' : '{}' is not a number, {value} is used.", word.str());
        cx.diag(Some(word), message);
    }
    value
}

/// [`lenient`] as an unsigned 32-bit number; what does not fit becomes the nearest that does.
pub fn lenient_u32(cx: &mut Cx<'_>, word: &Word, of: &str) -> u32 {
    u32::try_from(lenient(cx, word, of).max(0)).unwrap_or(u32::MAX)
}

/// The only argument of a keyword whose name takes `name` words, or an alert with `missing`.
pub fn one<'l>(cx: &mut Cx<'_>, line: &'l Line, name: usize, missing: &str) -> Option<&'l Word> {
    let Some(word) = line.word(name).filter(|w| !w.text.is_empty()) else {
        cx.alert(line.words.last(), missing);
        return None;
    };
    no_more(cx, line, name + 1).then_some(word)
}

/// Alerts about a word at `from` or later.
pub fn no_more(cx: &mut Cx<'_>, line: &Line, from: usize) -> bool {
    let Some(extra) = line.word(from) else { return true };
    let keyword: Vec<_> =
        line.words.iter().take(from.min(if is_two(line) { 2 } else { 1 })).map(Word::str).collect();
    let message = format!("'{}' cannot handle unexpected argument '{}'.", keyword.join(" "), extra.str());
    cx.alert(Some(extra), message);
    false
}

fn is_two(line: &Line) -> bool {
    line.word(0).is_some_and(|w| w.is("option"))
}

/// `on` or `off`.
pub fn on_off(word: Option<&Word>) -> Option<bool> {
    match word?.text.as_slice() {
        b"on" => Some(true),
        b"off" => Some(false),
        _ => None,
    }
}

/// The number of a user of this host (`/etc/passwd`) or group (`/etc/group`).
pub fn account(cx: &Cx<'_>, file: &str, name: &str) -> Option<u32> {
    let text = cx.files.read(std::path::Path::new(file)).ok()?;
    let text = String::from_utf8_lossy(&text);
    text.lines().find_map(|l| {
        let mut fields = l.split(':');
        (fields.next()? == name).then_some(())?;
        fields.nth(1)?.parse().ok()
    })
}

/// Number of the user `name`.
pub fn user(cx: &Cx<'_>, name: &str) -> Option<u32> {
    account(cx, "/etc/passwd", name)
}

/// Number of the group `name`.
pub fn group(cx: &Cx<'_>, name: &str) -> Option<u32> {
    account(cx, "/etc/group", name)
}

/// The message for something that a later capability brings.
pub fn not_yet(what: &str, capability: &str) -> String {
    format!("{what} is not supported yet: it belongs to {capability}.")
}

/// A keyword of `global` whose first line alone counts: says so if it has been `said` before.
pub fn again(cx: &mut Cx<'_>, line: &Line, said: bool, keyword: &str) -> bool {
    if said {
        cx.alert(line.word(0), format!("{keyword} already specified. Continuing.")).harmless();
    }
    said
}
