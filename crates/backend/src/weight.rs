//! Weights as operators and agents give them: a number, or a percentage of the initial one (management manual 9.3 `set
//! server … weight`).

/// The weight that a text means.
///
/// # Errors
/// HAProxy's message.
pub fn parse(text: &str, initial: u32, fixed: bool) -> Result<u32, &'static str> {
    if text.is_empty() {
        return Err("Require <weight> or <weight%>.");
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    if end == 0 {
        return Err("Empty weight string empty or preceded by garbage");
    }
    let size = digits.get(..end).and_then(|d| d.parse::<i64>().ok()).unwrap_or(i64::from(i32::MAX));
    let n = if digits.len() == text.len() { size } else { -size };
    let weight = match digits.get(end..).unwrap_or("") {
        "" if (0..=256).contains(&n) => n,
        "" => return Err("Absolute weight can only be between 0 and 256 inclusive."),
        "%" if n < 0 => return Err("Relative weight must be positive."),
        "%" => (i64::from(initial).saturating_mul(n) / 100).min(256),
        _ => return Err("Trailing garbage in weight string"),
    };
    if fixed && weight != 0 && weight != i64::from(initial) {
        return Err("Backend is using a static LB algorithm and only accepts weights '0%' and '100%'.");
    }
    Ok(u32::try_from(weight).unwrap_or(0))
}
