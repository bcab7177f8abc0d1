//! Makes what two runs say comparable: times, pids and ephemeral ports become words.

/// Replaces `127.0.0.1:PORT` of ports that nobody named, and named ports by their names.
pub fn addresses(text: &str, names: &[(String, String)]) -> String {
    let mut text = text.to_string();
    for (value, name) in names {
        text = replace_word(&text, value, &format!("${{{name}}}"));
    }
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("127.0.0.1:") {
        let (before, after) = rest.split_at(at + "127.0.0.1:".len());
        out.push_str(before);
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        if digits >= 4 {
            out.push_str("PORT");
        } else {
            out.push_str(&after[..digits]);
        }
        rest = &after[digits..];
    }
    out.push_str(rest);
    out
}

/// Replaces `value` where it is not a part of a longer number.
fn replace_word(text: &str, value: &str, by: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(value) {
        let (before, found) = rest.split_at(at);
        let after = &found[value.len()..];
        let in_number = |c: Option<&u8>| {
            value.ends_with(|c: char| c.is_ascii_digit()) && c.is_some_and(u8::is_ascii_digit)
        };
        let part = in_number(before.as_bytes().last()) || in_number(after.as_bytes().first());
        out.push_str(before);
        out.push_str(if part { value } else { by });
        rest = after;
    }
    out + rest
}

/// A syslog datagram with date, tag and pid masked: `<134>DATE TAG[PID]: message`.
fn syslog(line: &str) -> String {
    let Some((priority, rest)) = line.split_once('>') else {
        return message(line);
    };
    // RFC 3164: "Nov 23 08:28:45 " is sixteen bytes
    let (date, rest) = rest.split_at_checked(16).unwrap_or(("", rest));
    let dated = date.as_bytes().get(3) == Some(&b' ') && date.as_bytes().get(9) == Some(&b':');
    match rest.split_once(": ") {
        Some((tag, text)) if dated && tag.ends_with(']') && !tag.contains(' ') => {
            format!("{priority}>DATE TAG[PID]: {}", message(text))
        }
        _ => format!("{priority}>{}", message(&format!("{date}{rest}"))),
    }
}

fn message(line: &str) -> String {
    line.trim_end_matches('\n').split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn word(word: &str) -> String {
    if is_date(word) {
        return "[DATE]".into();
    }
    word.into()
}

/// `[23/Nov/2026:08:28:45.668]`, or the parts of CLF's `[23/Nov/2026:08:28:45 +0000]`.
fn is_date(word: &str) -> bool {
    let b = word.as_bytes();
    word.starts_with('[') && word.len() >= 21 && b.get(3) == Some(&b'/') && b.get(7) == Some(&b'/')
}

/// A timer keeps -1 and the plus sign of `option logasap`.
fn timer(t: &str) -> String {
    match t {
        "-1" => "-1".into(),
        t if t.starts_with('+') => "+N".into(),
        t if t.bytes().all(|b| b.is_ascii_digit()) => "N".into(),
        t => t.into(),
    }
}

fn slashed_numbers(word: &str) -> usize {
    let parts: Vec<_> = word.split('/').collect();
    let numeric = |p: &&str| {
        let p = p.strip_prefix(['-', '+']).unwrap_or(p);
        !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit())
    };
    if parts.iter().all(numeric) { parts.len() } else { 0 }
}

/// One log line of any of the standard formats: dates and pid masked, and the first word made of three or five numbers joined by
/// slashes (the timers) is masked.
pub fn line(text: &str) -> String {
    let mut seen = false;
    syslog(text)
        .split(' ')
        .map(|w| {
            if !seen && matches!(slashed_numbers(w), 3 | 5) {
                seen = true;
                return w.split('/').map(timer).collect::<Vec<_>>().join("/");
            }
            w.to_string()
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_are_masked_and_counts_kept() {
        let l = "<134>Nov 23 08:28:45 haproxy[12]: 127.0.0.1:4711 [23/Nov/2026:08:28:45.668] fe be/s1 0/0/-1/+3/4 200 106 - - ---- 1/1/0/0/0 0/0 \"GET / HTTP/1.1\"";
        assert_eq!(
            line(l),
            "<134>DATE TAG[PID]: 127.0.0.1:4711 [DATE] fe be/s1 N/N/-1/+N/N 200 106 - - ---- 1/1/0/0/0 0/0 \"GET / HTTP/1.1\""
        );
    }

    #[test]
    fn a_port_within_a_longer_number_is_none() {
        let names = [("12345".to_string(), "fe".to_string())];
        assert_eq!(addresses("123456 12345, 012345 :12345", &names), "123456 ${fe}, 012345 :${fe}");
    }

    #[test]
    fn ports_become_names() {
        let names = [("12345".to_string(), "fe".to_string())];
        assert_eq!(
            addresses("a 127.0.0.1:12345 b 127.0.0.1:40000 c", &names),
            "a 127.0.0.1:${fe} b 127.0.0.1:PORT c"
        );
    }
}
