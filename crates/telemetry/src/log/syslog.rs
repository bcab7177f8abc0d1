//! A log message that came from elsewhere (RFC 3164, RFC 5424), taken apart and written in another format. What a message
//! says is kept; what it does not say is missing, as HAProxy 3.5 has it (manual section 12.6).

use super::framing::Framing;
use super::stamp::{MONTHS, Stamp};
use super::{HostField, Level};
use portcullis_config::LogFraming;
use std::time::Duration;

/// When it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Time<'m> {
    #[default]
    Unsaid,
    /// `Nov 23 08:28:21`
    Bsd(&'m [u8]),
    /// `2026-11-23T08:28:21.189907+00:00`
    Iso(&'m [u8]),
}

/// A message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Message<'m> {
    priority: Option<u16>,
    time: Time<'m>,
    host: Option<&'m [u8]>,
    tag: Option<&'m [u8]>,
    pid: Option<&'m [u8]>,
    id: Option<&'m [u8]>,
    data: Option<&'m [u8]>,
    /// What is left of it.
    pub text: &'m [u8],
    /// Nobody has looked into it: it has its own header, if any.
    as_is: bool,
}

impl<'m> Message<'m> {
    /// As it is, whatever it says (`option dont-parse-log`).
    #[must_use]
    pub fn whole(bytes: &'m [u8]) -> Self {
        Self { text: trimmed(bytes), as_is: true, ..Self::default() }
    }

    /// Takes it apart, as far as it is in one of the formats.
    #[must_use]
    pub fn parse(bytes: &'m [u8]) -> Self {
        let bytes = trimmed(bytes);
        let Some((priority, rest)) = priority(bytes) else { return Self { text: bytes, ..Self::default() } };
        let found = modern(rest).or_else(|| old(rest)).unwrap_or(Self { text: rest, ..Self::default() });
        Self { priority: Some(priority), ..found }
    }

    /// Its severity; the most severe if it says none.
    #[must_use]
    pub fn level(&self) -> Level {
        super::loggers::from_number((self.priority.unwrap_or(0) % 8) as u8)
    }

    /// Appends it as a line of at most `max` bytes. `host` is the field as it is to be.
    pub(super) fn write(
        &self,
        to: &mut Vec<u8>,
        framing: &Framing,
        (stamp, wall): (&Stamp, Duration),
        level: Level,
        host: Option<&[u8]>,
        max: usize,
    ) {
        let start = to.len();
        let format = self.format(framing.format(), host);
        let priority = match self.priority {
            Some(said) => said / 8 * 8 + level as u16,
            None => u16::from(framing.facility()) * 8 + level as u16,
        };
        let push_tag = |to: &mut Vec<u8>| {
            let Some(tag) = self.tag else { return };
            to.extend_from_slice(tag);
            if let Some(pid) = self.pid {
                [&b"["[..], pid, b"]"].iter().for_each(|part| to.extend_from_slice(part));
            }
            to.extend_from_slice(b": ");
        };
        match format {
            LogFraming::Raw => {}
            LogFraming::Short | LogFraming::Timed => push_priority(to, level as u16),
            LogFraming::Iso => {}
            _ => push_priority(to, priority),
        }
        match format {
            LogFraming::Raw | LogFraming::Short | LogFraming::Priority => {}
            LogFraming::Timed | LogFraming::Iso => {
                self.push_iso(to, stamp, wall);
                to.push(b' ');
            }
            LogFraming::Rfc5424 => {
                to.extend_from_slice(b"1 ");
                self.push_iso(to, stamp, wall);
                for field in [host, self.tag, self.pid, self.id, self.data] {
                    to.push(b' ');
                    to.extend_from_slice(field.unwrap_or(b"-"));
                }
                to.push(b' ');
            }
            LogFraming::Rfc3164 => {
                self.push_bsd(to, stamp);
                to.push(b' ');
                to.extend_from_slice(host.unwrap_or(b"localhost"));
                to.push(b' ');
                push_tag(to);
            }
            LogFraming::Local | LogFraming::Unspecified => {
                self.push_bsd(to, stamp);
                to.push(b' ');
                push_tag(to);
            }
        }
        to.extend_from_slice(self.text);
        to.truncate(start + max.saturating_sub(1));
        to.push(b'\n');
    }

    /// The format that is asked for; none: the one that has room for what the message says.
    fn format(&self, said: LogFraming, host: Option<&[u8]>) -> LogFraming {
        match (said, host, self.time) {
            (LogFraming::Unspecified, ..) if self.as_is => LogFraming::Raw,
            (LogFraming::Unspecified, Some(_), Time::Iso(_)) => LogFraming::Rfc5424,
            (LogFraming::Unspecified, Some(_), _) => LogFraming::Rfc3164,
            (LogFraming::Unspecified, None, _) if self.priority.is_some() => LogFraming::Priority,
            (LogFraming::Unspecified, None, _) => LogFraming::Raw,
            (said, ..) => said,
        }
    }

    /// The host field as it is to be; `source` is where the message came from, if that has an address.
    #[must_use]
    pub fn host(&self, strategy: HostField, source: Option<&str>) -> Option<Vec<u8>> {
        let own = self.host.map(<[u8]>::to_vec);
        let Some(source) = source.map(|s| s.as_bytes().to_vec()) else { return own };
        match (strategy, own) {
            (HostField::Keep, own) => own,
            (HostField::Fill, Some(own)) => Some(own),
            (HostField::Append, Some(own)) => Some([own, source].join(&b',')),
            (_, _) => Some(source),
        }
    }

    fn push_bsd(&self, to: &mut Vec<u8>, stamp: &Stamp) {
        match self.time {
            Time::Bsd(text) => to.extend_from_slice(text),
            Time::Iso(text) => match bsd_of(text) {
                Some(text) => to.extend_from_slice(&text),
                None => to.extend_from_slice(&stamp.bsd),
            },
            Time::Unsaid => to.extend_from_slice(&stamp.bsd),
        }
    }

    fn push_iso(&self, to: &mut Vec<u8>, stamp: &Stamp, wall: Duration) {
        match self.time {
            Time::Iso(text) => to.extend_from_slice(text),
            Time::Bsd(text) => match iso_of(text, stamp.year()) {
                Some(text) => to.extend_from_slice(&text),
                None => stamp.push_iso(wall, to),
            },
            Time::Unsaid => stamp.push_iso(wall, to),
        }
    }
}

fn push_priority(to: &mut Vec<u8>, priority: u16) {
    to.extend_from_slice(format!("<{priority}>").as_bytes());
}

/// Without what ends it.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|b| !b"\n\0".contains(b)).map_or(0, |at| at + 1);
    bytes.get(..end).unwrap_or_default()
}

/// `<134>`, and what follows.
fn priority(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let rest = bytes.strip_prefix(b"<")?;
    let end = rest.iter().take(4).position(|b| *b == b'>').filter(|end| *end > 0)?;
    let digits = rest.get(..end)?;
    let number = std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
    Some((number.parse().ok()?, rest.get(end + 1..)?))
}

/// A word, and what follows behind its blank.
fn word(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|b| *b == b' ').filter(|end| *end > 0)?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}

/// Behind the priority: RFC 5424.
fn modern(bytes: &[u8]) -> Option<Message<'_>> {
    let mut rest = bytes.strip_prefix(b"1 ")?;
    let mut next = || {
        let (found, behind) = word(rest)?;
        rest = behind;
        Some((found != b"-").then_some(found))
    };
    let (time, host, tag, pid, id) = (next()?, next()?, next()?, next()?, next()?);
    let (data, text) = match rest.strip_prefix(b"-") {
        Some(text) => (None, text),
        None => {
            let end = data_end(rest)?;
            (rest.get(..end), rest.get(end..)?)
        }
    };
    let text = text.strip_prefix(b" ").unwrap_or(text);
    let time = time.map_or(Time::Unsaid, Time::Iso);
    Some(Message { priority: None, time, host, tag, pid, id, data, text, as_is: false })
}

/// Where structured data ends: `[id name="value"][...]`.
fn data_end(bytes: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped, mut inside) = (false, false, false);
    for (at, b) in bytes.iter().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if inside => quoted = !quoted,
            b'[' if !inside => inside = true,
            b']' if inside && !quoted => {
                inside = false;
                if bytes.get(at + 1) != Some(&b'[') {
                    return Some(at + 1);
                }
            }
            _ if !inside => return None,
            _ => {}
        }
    }
    None
}

/// Behind the priority: RFC 3164.
fn old(bytes: &[u8]) -> Option<Message<'_>> {
    let time = bytes.get(..15).filter(|t| is_bsd(t))?;
    let rest = bytes.get(15..)?.strip_prefix(b" ")?;
    let (host, rest) = word(rest)?;
    let (tag, pid, text) = tagged(rest).unwrap_or((None, None, rest));
    Some(Message { time: Time::Bsd(time), host: Some(host), tag, pid, text, ..Message::default() })
}

/// `tag: text` or `tag[pid]: text`.
type Tagged<'m> = (Option<&'m [u8]>, Option<&'m [u8]>, &'m [u8]);

fn tagged(bytes: &[u8]) -> Option<Tagged<'_>> {
    let end = bytes.iter().position(|b| b"[: ".contains(b)).filter(|end| *end > 0)?;
    let (tag, rest) = (bytes.get(..end), bytes.get(end..)?);
    let (pid, rest) = match rest.strip_prefix(b"[") {
        Some(inner) => {
            let end = inner.iter().position(|b| b"] ".contains(b))?;
            (inner.get(..end), inner.get(end..)?.strip_prefix(b"]")?)
        }
        None => (None, rest),
    };
    let text = rest.strip_prefix(b":")?;
    Some((tag, pid, text.strip_prefix(b" ").unwrap_or(text)))
}

/// Does `Nov 23 08:28:21` stand there?
fn is_bsd(time: &[u8]) -> bool {
    let fits = |(at, b): (usize, &u8)| match at {
        0..3 => true,
        3 | 6 => *b == b' ',
        9 | 12 => *b == b':',
        4 => *b == b' ' || b.is_ascii_digit(),
        _ => b.is_ascii_digit(),
    };
    MONTHS.iter().any(|m| time.starts_with(m.as_bytes())) && time.iter().enumerate().all(fits)
}

/// `2026-11-23T08:28:21...` as `Nov 23 08:28:21`.
fn bsd_of(iso: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(iso.get(..19)?).ok()?;
    let month: usize = text.get(5..7)?.parse().ok()?;
    let day: u8 = text.get(8..10)?.parse().ok()?;
    let name = MONTHS.get(month.checked_sub(1)?)?;
    Some(format!("{name} {day:2} {}", text.get(11..19)?).into_bytes())
}

/// `Nov 23 08:28:21` as `2026-11-23T08:28:21-00:00`: the zone is not known.
fn iso_of(bsd: &[u8], year: &str) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bsd).ok()?;
    let month = MONTHS.iter().position(|m| text.starts_with(m))? + 1;
    let day: u8 = text.get(4..6)?.trim().parse().ok()?;
    Some(format!("{year}-{month:02}-{day:02}T{}-00:00", text.get(7..15)?).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::framing::Sender;
    use super::*;

    /// As HAProxy 3.5 has forwarded them: in the formats unspecified, rfc3164, rfc5424, raw, short, timed, local.
    const FORWARDED: &[(&str, [&str; 7])] = &[
        (
            "<134>Nov 27 06:00:00 myhost prog[12]: hello world",
            [
                "<134>Nov 27 06:00:00 myhost prog[12]: hello world",
                "<134>Nov 27 06:00:00 myhost prog[12]: hello world",
                "<134>1 YEAR-11-27T06:00:00-00:00 myhost prog 12 - - hello world",
                "hello world",
                "<6>hello world",
                "<6>YEAR-11-27T06:00:00-00:00 hello world",
                "<134>Nov 27 06:00:00 prog[12]: hello world",
            ],
        ),
        (
            "<134>Nov 27 06:00:00 prog[12]: nohost",
            [
                "<134>Nov 27 06:00:00 prog[12]: nohost",
                "<134>Nov 27 06:00:00 prog[12]: nohost",
                "<134>1 YEAR-11-27T06:00:00-00:00 prog[12]: - - - - nohost",
                "nohost",
                "<6>nohost",
                "<6>YEAR-11-27T06:00:00-00:00 nohost",
                "<134>Nov 27 06:00:00 nohost",
            ],
        ),
        (
            "<134>1 2026-11-27T06:00:00.123Z host app 77 ID47 [ex@1 a=\"b\"] the msg",
            [
                "<134>1 2026-11-27T06:00:00.123Z host app 77 ID47 [ex@1 a=\"b\"] the msg",
                "<134>Nov 27 06:00:00 host app[77]: the msg",
                "<134>1 2026-11-27T06:00:00.123Z host app 77 ID47 [ex@1 a=\"b\"] the msg",
                "the msg",
                "<6>the msg",
                "<6>2026-11-27T06:00:00.123Z the msg",
                "<134>Nov 27 06:00:00 app[77]: the msg",
            ],
        ),
        (
            "<134>1 2026-11-27T06:00:00.123Z - - - - - the msg",
            [
                "<134>1 2026-11-27T06:00:00.123Z 10.1.1.1 - - - - the msg",
                "<134>Nov 27 06:00:00 10.1.1.1 the msg",
                "<134>1 2026-11-27T06:00:00.123Z 10.1.1.1 - - - - the msg",
                "the msg",
                "<6>the msg",
                "<6>2026-11-27T06:00:00.123Z the msg",
                "<134>Nov 27 06:00:00 the msg",
            ],
        ),
        (
            "no prio at all",
            [
                "<168>BSD 10.1.1.1 no prio at all",
                "<168>BSD 10.1.1.1 no prio at all",
                "<168>1 ISO 10.1.1.1 - - - - no prio at all",
                "no prio at all",
                "<0>no prio at all",
                "<0>ISO no prio at all",
                "<168>BSD no prio at all",
            ],
        ),
        (
            "<999>x",
            [
                "<999>BSD 10.1.1.1 x",
                "<999>BSD 10.1.1.1 x",
                "<999>1 ISO 10.1.1.1 - - - - x",
                "x",
                "<7>x",
                "<7>ISO x",
                "<999>BSD x",
            ],
        ),
        (
            "<134>Nov  7 06:00:00 myhost prog: nopid\n",
            [
                "<134>Nov  7 06:00:00 myhost prog: nopid",
                "<134>Nov  7 06:00:00 myhost prog: nopid",
                "<134>1 YEAR-11-07T06:00:00-00:00 myhost prog - - - nopid",
                "nopid",
                "<6>nopid",
                "<6>YEAR-11-07T06:00:00-00:00 nopid",
                "<134>Nov  7 06:00:00 prog: nopid",
            ],
        ),
        (
            "<134>Nov 27 06:00:00 justtext",
            [
                "<134>BSD 10.1.1.1 Nov 27 06:00:00 justtext",
                "<134>BSD 10.1.1.1 Nov 27 06:00:00 justtext",
                "<134>1 ISO 10.1.1.1 - - - - Nov 27 06:00:00 justtext",
                "Nov 27 06:00:00 justtext",
                "<6>Nov 27 06:00:00 justtext",
                "<6>ISO Nov 27 06:00:00 justtext",
                "<134>BSD Nov 27 06:00:00 justtext",
            ],
        ),
    ];
    const FORMATS: [LogFraming; 7] = [
        LogFraming::Unspecified,
        LogFraming::Rfc3164,
        LogFraming::Rfc5424,
        LogFraming::Raw,
        LogFraming::Short,
        LogFraming::Timed,
        LogFraming::Local,
    ];
    const MOMENT: Duration = Duration::new(1_795_422_501, 189_907_123);

    fn written(message: &Message<'_>, format: LogFraming, strategy: HostField) -> String {
        let mut stamp = Stamp::default();
        stamp.at(MOMENT);
        let framing = Framing::new(format, 21, &Sender { host: None, tag: "t", pid: 1 });
        let (mut out, host) = (Vec::new(), message.host(strategy, Some("10.1.1.1")));
        message.write(&mut out, &framing, (&stamp, MOMENT), message.level(), host.as_deref(), 1024);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn forwarded_as_haproxy_does() {
        let (mut stamp, mut iso) = (Stamp::default(), Vec::new());
        stamp.at(MOMENT);
        stamp.push_iso(MOMENT, &mut iso);
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        for (message, expected) in FORWARDED {
            for (format, expected) in FORMATS.iter().zip(expected) {
                let expected = expected.replace("YEAR", stamp.year());
                let expected = expected.replace("BSD", &text(&stamp.bsd)).replace("ISO", &text(&iso));
                let got = written(&Message::parse(message.as_bytes()), *format, HostField::Fill);
                assert_eq!(got, expected + "\n", "{message} {format:?}");
            }
        }
    }

    #[test]
    fn hosts() {
        for (message, strategy, expected) in [
            ("<134>Nov 27 06:00:00 h p: x", HostField::Replace, "<134>Nov 27 06:00:00 10.1.1.1 p: x\n"),
            ("<134>Nov 27 06:00:00 h p: x", HostField::Append, "<134>Nov 27 06:00:00 h,10.1.1.1 p: x\n"),
            ("<134>Nov 27 06:00:00 h p: x", HostField::Keep, "<134>Nov 27 06:00:00 h p: x\n"),
            ("<134>1 2026-11-27T06:00:00.123Z - - - - - x", HostField::Keep, "<134>x\n"),
            ("no prio", HostField::Keep, "no prio\n"),
        ] {
            let got = written(&Message::parse(message.as_bytes()), LogFraming::Unspecified, strategy);
            assert_eq!(got, expected);
        }
        let whole = Message::whole(b"<134>Nov 27 06:00:00 h p: x\n");
        for format in [LogFraming::Raw, LogFraming::Unspecified] {
            assert_eq!(
                written(&whole, format, HostField::Fill),
                "<134>Nov 27 06:00:00 h p: x\n",
                "{format:?}"
            );
        }
    }

    #[test]
    fn odd_messages() {
        for odd in ["", "<", "<>x", "<1", "<1234>x", "<1>1 ", "<1>1 a b c d e", "<1>1 a b c d e [x", "<13>\n"]
        {
            let message = Message::parse(odd.as_bytes());
            let _ = written(&message, LogFraming::Rfc5424, HostField::Fill);
        }
        assert!(Message::parse(b"<13>").text.is_empty());
        let data = Message::parse(b"<1>1 - - - - - [a b=\"]\\\"\"][c] text");
        assert_eq!((data.data, data.text), (Some(&b"[a b=\"]\\\"\"][c]"[..]), &b"text"[..]));
    }
}
