//! Thread and CPU sets as words: `thread` of `bind`, `cpu-map`, `cpu-set`, `thread-group`.

/// Threads of a process at most, and groups, and threads of a group.
pub const MAX_THREADS: u16 = 1024;
/// Thread groups at most.
pub const MAX_GROUPS: u16 = 32;
/// Threads of one group at most.
pub const MAX_PER_GROUP: u16 = 64;
/// The highest CPU number.
pub const MAX_CPU: u16 = 1023;

/// `[<thread-group>/]<thread-set>[,...]` as (group, first, last); group 0 stands for numbers that count over the whole
/// process.
///
/// # Errors
/// The message, in HAProxy's words.
pub fn bind_set(text: &str) -> Result<Vec<(u16, u16, u16)>, String> {
    let mut all: Vec<(u16, u16, u16)> = Vec::new();
    if text.is_empty() {
        return Ok(all);
    }
    for part in text.split(',') {
        let (group, set) = match part.split_once('/') {
            Some((g, s)) if g.bytes().all(|b| b.is_ascii_digit()) => (Some(g), s),
            _ => (None, part),
        };
        let group = match group {
            None => 0,
            Some(g) => g.parse().ok().filter(|n| (1..=MAX_GROUPS).contains(n)).ok_or_else(|| {
                format!("invalid thread group number '{g}', permitted range is 1..{MAX_GROUPS} in '{part}'.")
            })?,
        };
        if let Some((before, ..)) = all.first()
            && (*before == 0) != (group == 0)
        {
            let (this, that) =
                if group == 0 { ("absolute", "group-relative") } else { ("group-relative", "absolute") };
            return Err(format!(
                "{this} thread specification '{part}' is not permitted after a {that} thread range."
            ));
        }
        let max = if group == 0 { MAX_THREADS } else { MAX_PER_GROUP };
        all.extend(set_of(set, max)?.into_iter().map(|(a, b)| (group, a, b)));
    }
    Ok(all)
}

/// `all`, `odd`, `even` or a range, as ranges up to `max`.
fn set_of(text: &str, max: u16) -> Result<Vec<(u16, u16)>, String> {
    match text {
        "" | "all" => return Ok(vec![(1, max)]),
        "odd" => return Ok((1..=max).step_by(2).map(|n| (n, n)).collect()),
        "even" => return Ok((2..=max).step_by(2).map(|n| (n, n)).collect()),
        _ => {}
    }
    let (first, last) = match text.split_once('-') {
        Some((a, b)) => (a, b),
        None => (text, text),
    };
    let number = |t: &str, empty: u16, which: &str| match t {
        "" => Ok(empty),
        t => t.parse().ok().filter(|n| (1..=max).contains(n)).ok_or_else(|| {
            format!(
                "invalid {which} thread number '{t}', permitted range is 1..{max}, or 'all', 'odd', 'even'."
            )
        }),
    };
    let (a, b) = (number(first, 1, "first")?, number(last, max, "last")?);
    Ok(vec![(a.min(b), a.max(b))])
}

/// A range of `cpu-map` (`all`, `odd`, `even`, a number, a range that may be open at its end) from 1 to 64.
///
/// # Errors
/// The message, in HAProxy's words.
pub fn map_range(text: &str) -> Result<Vec<u16>, String> {
    let max = MAX_PER_GROUP;
    match text {
        "all" => return Ok((1..=max).collect()),
        "odd" => return Ok((1..=max).step_by(2).collect()),
        "even" => return Ok((2..=max).step_by(2).collect()),
        _ => {}
    }
    let (first, last) = match text.split_once('-') {
        Some((a, b)) => (a, b),
        None => (text, text),
    };
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if !digits(first) || !(last.is_empty() || digits(last)) {
        return Err(format!("'{text}' is not a valid number/range."));
    }
    let fits = |t: &str| t.parse().ok().filter(|n| (1..=max).contains(n));
    let wrong = || format!("'{text}' is not a valid number/range. It supports numbers from 1 to {max}.");
    let a = fits(first).ok_or_else(wrong)?;
    let b = if last.is_empty() { max } else { fits(last).ok_or_else(wrong)? };
    Ok((a.min(b)..=a.max(b)).collect())
}

/// One CPU set word: numbers and ranges, comma separated; an open range ends at the highest CPU.
///
/// # Errors
/// The message, in HAProxy's words.
pub fn cpus(text: &str) -> Result<Vec<u16>, String> {
    let mut all = Vec::new();
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((a, b)) => (a, b),
            None => (part, part),
        };
        let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
        if first.is_empty() || !digits(first) || !digits(last) {
            return Err(format!("'{part}' is not a CPU range."));
        }
        let fits = |t: &str| {
            t.parse()
                .ok()
                .filter(|n| *n <= MAX_CPU)
                .ok_or(format!("supports CPU numbers from 0 to {MAX_CPU}."))
        };
        let a = fits(first)?;
        let b = if last.is_empty() { MAX_CPU } else { fits(last)? };
        all.extend(a.min(b)..=a.max(b));
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets() {
        assert_eq!(bind_set("1-2,4"), Ok(vec![(0, 1, 2), (0, 4, 4)]));
        assert_eq!(bind_set("2/1-"), Ok(vec![(2, 1, 64)]));
        assert_eq!(bind_set("all"), Ok(vec![(0, 1, 1024)]));
        assert_eq!(bind_set("1/odd").map(|s| s.len()), Ok(32));
        assert!(bind_set("1,1/2").is_err());
        assert!(bind_set("33/1").is_err());
        assert_eq!(map_range("3-"), Ok((3..=64).collect()));
        assert!(map_range("0").is_err());
        assert_eq!(cpus("3,1-2"), Ok(vec![1, 2, 3]));
        assert!(cpus("all").is_err());
    }
}
