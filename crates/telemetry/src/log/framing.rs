//! Headers of the formats, byte for byte as HAProxy 3.5 sends them.

use super::Level;
use super::stamp::Stamp;
use portcullis_config::LogFraming;
use std::time::Duration;

/// What a header says about the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sender<'a> {
    /// `log-send-hostname`
    pub(super) host: Option<&'a str>,
    pub(super) tag: &'a str,
    pub(super) pid: u32,
}

/// A format with everything about the sender already written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Framing {
    format: LogFraming,
    facility: u8,
    /// What stands between the time and the message (or the structured data).
    after_time: Box<[u8]>,
}

/// One message on its way to a target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) level: Level,
    /// Since the epoch.
    pub(super) wall: Duration,
    /// `log-format-sd`
    pub(super) data: &'a [u8],
    pub(super) message: &'a [u8],
}

impl Framing {
    /// `Unspecified` is `local`.
    pub(super) fn new(format: LogFraming, facility: u8, sender: &Sender<'_>) -> Self {
        let Sender { host, tag, pid } = sender;
        let after_time = match format {
            LogFraming::Unspecified | LogFraming::Local => match host {
                Some(host) => format!(" {host} {tag}[{pid}]: "),
                None => format!(" {tag}[{pid}]: "),
            },
            LogFraming::Rfc3164 => format!(" {} {tag}[{pid}]: ", host.unwrap_or("localhost")),
            LogFraming::Rfc5424 => format!(" {} {tag} {pid} - ", host.unwrap_or("-")),
            LogFraming::Timed | LogFraming::Iso => " ".to_string(),
            LogFraming::Priority | LogFraming::Short | LogFraming::Raw => String::new(),
        };
        Self { format, facility, after_time: after_time.into_bytes().into() }
    }

    /// As it was said.
    pub(super) fn format(&self) -> LogFraming {
        self.format
    }
    /// The number of the facility.
    pub(super) fn facility(&self) -> u8 {
        self.facility
    }

    /// Appends one line: header, structured data (rfc5424 only), message, newline; at most `max` bytes in all.
    pub(super) fn write(&self, to: &mut Vec<u8>, stamp: &Stamp, record: &Record<'_>, max: usize) {
        let Record { level, wall, data, mut message } = *record;
        let start = to.len();
        let room = max.saturating_sub(1);
        match self.format {
            LogFraming::Unspecified | LogFraming::Local | LogFraming::Rfc3164 => {
                push_priority(to, self.facility, level);
                to.extend_from_slice(&stamp.bsd);
            }
            LogFraming::Rfc5424 => {
                push_priority(to, self.facility, level);
                to.extend_from_slice(b"1 ");
                stamp.push_iso(wall, to);
            }
            LogFraming::Priority => push_priority(to, self.facility, level),
            LogFraming::Short => push_priority(to, 0, level),
            LogFraming::Timed => {
                push_priority(to, 0, level);
                stamp.push_iso(wall, to);
            }
            LogFraming::Iso => stamp.push_iso(wall, to),
            LogFraming::Raw => {}
        }
        to.extend_from_slice(&self.after_time);
        if self.format == LogFraming::Rfc5424 {
            let data = if data.is_empty() { b"-" } else { data };
            if to.len() - start + data.len() < room {
                to.extend_from_slice(data);
                to.push(b' ');
            } else {
                // structured data is never cut, and nothing follows what does not fit
                message = b"";
            }
        }
        let left = room.saturating_sub(to.len() - start);
        to.extend_from_slice(message.get(..left).unwrap_or(message));
        to.truncate(start + room);
        to.push(b'\n');
    }
}

fn push_priority(to: &mut Vec<u8>, facility: u8, level: Level) {
    let priority = facility.min(23) * 8 + level as u8;
    to.push(b'<');
    if priority >= 100 {
        to.push(b'1');
    }
    if priority >= 10 {
        to.push(b'0' + priority / 10 % 10);
    }
    to.push(b'0' + priority % 10);
    to.push(b'>');
}
