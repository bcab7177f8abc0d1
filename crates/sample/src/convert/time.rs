//! Dates.

use crate::args::{ArgKind, Args};
use crate::number::{padded, signed};
use crate::row::Convert;
use crate::value::{Sample, Type, Value};
use portcullis_message::date::{Civil, DAYS, MONTHS};
use portcullis_sys::localtime::local_time;
use std::borrow::Cow;

const LONG_DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const LONG_MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A moment, and how it is written.
#[derive(Clone, Copy)]
struct Moment<'z> {
    epoch: i64,
    nanos: u32,
    offset: i64,
    zone: &'z str,
}

/// strftime(3) in the C locale.
#[cfg(test)]
fn strftime(format: &[u8], epoch: i64, offset: i64, zone: &str) -> Vec<u8> {
    write(format, Moment { epoch, nanos: 0, offset, zone }, false)
}

/// strftime(3) in the C locale; with `fine`, `%N` and `%3N` are parts of a second.
fn write(format: &[u8], moment: Moment<'_>, fine: bool) -> Vec<u8> {
    let Moment { epoch, offset, .. } = moment;
    let c = Civil::from_unix(epoch.saturating_add(offset));
    let mut out = Vec::with_capacity(format.len() * 2);
    let mut bytes = format.iter();
    while let Some(b) = bytes.next() {
        if *b != b'%' {
            out.push(*b);
            continue;
        }
        if fine {
            let rest = bytes.as_slice();
            let digit = rest.first().filter(|d| matches!(d, b'1'..=b'9'));
            if rest.get(usize::from(digit.is_some())) == Some(&b'N') {
                bytes = rest.get(1 + usize::from(digit.is_some())..).unwrap_or(&[]).iter();
                let width = u32::from(digit.map_or(9, |d| d - b'0'));
                padded(&mut out, u64::from(moment.nanos / 10u32.pow(9 - width)), width as usize);
                continue;
            }
        }
        match bytes.next() {
            Some(spec) => conversion(*spec, &c, moment, &mut out),
            None => out.push(b'%'),
        }
    }
    out
}

fn conversion(spec: u8, c: &Civil, moment: Moment<'_>, out: &mut Vec<u8>) {
    let Moment { epoch, offset, zone, .. } = moment;
    let mut again = |f: &[u8]| out.extend_from_slice(&write(f, moment, false));
    match spec {
        b'F' => return again(b"%Y-%m-%d"),
        b'T' | b'X' => return again(b"%H:%M:%S"),
        b'R' => return again(b"%H:%M"),
        b'D' | b'x' => return again(b"%m/%d/%y"),
        b'r' => return again(b"%I:%M:%S %p"),
        b'c' => return again(b"%a %b %e %H:%M:%S %Y"),
        _ => {}
    }
    let mut number = |n: i64, width| padded(out, n.unsigned_abs(), width);
    let hour12 = i64::from((c.hour + 11) % 12 + 1);
    let year_day = i64::from(c.day) + day_of_year(c);
    match spec {
        b'Y' => signed(out, c.year),
        b'C' => number(c.year / 100, 2),
        b'y' => number(c.year.rem_euclid(100), 2),
        b'm' => number(c.month.into(), 2),
        b'd' => number(c.day.into(), 2),
        b'H' => number(c.hour.into(), 2),
        b'I' => number(hour12, 2),
        b'M' => number(c.minute.into(), 2),
        b'S' => number(c.second.into(), 2),
        b'j' => number(year_day, 3),
        b'u' => number(i64::from((c.weekday + 6) % 7 + 1), 1),
        b'w' => number(c.weekday.into(), 1),
        b'G' => signed(out, iso_week(c, year_day).0),
        b'g' => number(iso_week(c, year_day).0.rem_euclid(100), 2),
        b'V' => number(iso_week(c, year_day).1, 2),
        b'U' => number((year_day + 6 - i64::from(c.weekday)) / 7, 2),
        b'W' => number((year_day + 6 - i64::from((c.weekday + 6) % 7)) / 7, 2),
        b'e' => spaced(out, c.day.into()),
        b'k' => spaced(out, c.hour.into()),
        b'l' => spaced(out, hour12),
        b's' => signed(out, epoch),
        b'p' => out.extend_from_slice(if c.hour < 12 { b"AM" } else { b"PM" }),
        b'P' => out.extend_from_slice(if c.hour < 12 { b"am" } else { b"pm" }),
        b'a' => name(&DAYS, c.weekday, out),
        b'A' => name(&LONG_DAYS, c.weekday, out),
        b'b' | b'h' => name(&MONTHS, c.month - 1, out),
        b'B' => name(&LONG_MONTHS, c.month - 1, out),
        b'z' => {
            out.push(if offset < 0 { b'-' } else { b'+' });
            padded(out, (offset.abs() / 3600 * 100 + offset.abs() / 60 % 60).unsigned_abs(), 4);
        }
        b'Z' => out.extend_from_slice(zone.as_bytes()),
        b'n' => out.push(b'\n'),
        b't' => out.push(b'\t'),
        b'%' => out.push(b'%'),
        other => out.extend_from_slice(&[b'%', other]),
    }
}

/// Year and number of the ISO 8601 week; `year_day` counts from 1.
fn iso_week(c: &Civil, year_day: i64) -> (i64, i64) {
    let weekday = i64::from((c.weekday + 6) % 7 + 1);
    let week = (year_day - weekday + 10) / 7;
    let p = |y: i64| (y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400)).rem_euclid(7);
    let weeks = |y: i64| 52 + i64::from(p(y) == 4 || p(y - 1) == 3);
    match week {
        0 => (c.year - 1, weeks(c.year - 1)),
        53 if weeks(c.year) == 52 => (c.year + 1, 1),
        w => (c.year, w),
    }
}

fn day_of_year(c: &Civil) -> i64 {
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap = c.month > 2 && (c.year % 4 == 0 && (c.year % 100 != 0 || c.year % 400 == 0));
    before.get(usize::from(c.month) - 1).copied().unwrap_or(0) + i64::from(leap)
}

fn name(names: &[&str], i: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(names.get(usize::from(i)).unwrap_or(&"?").as_bytes());
}

fn spaced(out: &mut Vec<u8>, n: i64) {
    if n < 10 {
        out.push(b' ');
    }
    signed(out, n);
}

/// A date in parts of a second, in local time or UTC.
fn date<'s>(args: &Args, v: &Value<'_>, per_second: i64, local: bool) -> Sample<'s> {
    let Value::Int(n) = v else { return Sample::Missing };
    let n = n.saturating_add(args.int(1).unwrap_or(0));
    let Some(epoch) = sane(n.div_euclid(per_second)) else { return Sample::Missing };
    let nanos = (n.rem_euclid(per_second) * (1_000_000_000 / per_second)) as u32;
    let offset = if local { i64::from(local_time(epoch).offset) } else { 0 };
    let zone = match (local, offset) {
        (false, _) => "GMT",
        (true, 0) => "UTC",
        _ => "",
    };
    let text = write(args.text(0), Moment { epoch, nanos, offset, zone }, per_second > 1);
    Value::Str(Cow::Owned(text)).into()
}

/// A date of an HTTP header as seconds since the epoch (RFC 9110 section 5.6.7).
fn from_http(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.trim_matches(' ');
    let parts: Vec<&str> = text.split([' ', '-']).filter(|p| !p.is_empty()).collect();
    let month = |t: &str| MONTHS.iter().position(|m| *m == t).map(|m| m as i64 + 1);
    let (day, mon, year, time) = match *parts.as_slice() {
        // Sun, 06 Nov 1994 08:49:37 GMT and Sunday, 06-Nov-94 08:49:37 GMT
        [weekday, day, mon, year, time, "GMT"] if weekday.ends_with(',') => (day, mon, year, time),
        // Sun Nov  6 08:49:37 1994
        [_, mon, day, time, year] => (day, mon, year, time),
        _ => return None,
    };
    let number = |t: &str| t.parse::<i64>().ok().filter(|n| *n >= 0);
    let mut year = number(year)?;
    if year < 100 {
        year += if year < 70 { 2000 } else { 1900 };
    }
    let clock: Vec<i64> = time.split(':').map(number).collect::<Option<_>>()?;
    let [h, m, s] = *clock.as_slice() else { return None };
    let (day, mon) = (number(day)?, month(mon)?);
    if !(1..=31).contains(&day) || h > 23 || m > 59 || s > 60 || year > 9999 {
        return None;
    }
    Some(days(year, mon, day) * 86400 + h * 3600 + m * 60 + s)
}

/// Days since 1970-01-01 in the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let y = if month > 2 { year } else { year - 1 };
    let era = y.div_euclid(400);
    let of_era = y - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// No year beyond four digits or so: dates further away have no form.
fn sane(epoch: i64) -> Option<i64> {
    (-62_135_596_800..=31_556_889_864_403_199).contains(&epoch).then_some(epoch)
}

const FORMAT: &[ArgKind] = &[ArgKind::Str, ArgKind::Int];

fn http_date<'s>(args: &Args, v: Value<'s>) -> Sample<'s> {
    let Value::Int(n) = v else { return Sample::Missing };
    let per_second = match args.text(1) {
        b"ms" => 1000,
        b"us" => 1_000_000,
        _ => 1,
    };
    let n = n.saturating_add(args.int(0).unwrap_or(0));
    let Some(epoch) = sane(n.div_euclid(per_second)) else { return Sample::Missing };
    let mut text = portcullis_message::date::http(epoch).into_bytes();
    if per_second > 1 && text.ends_with(b" GMT") {
        text.truncate(text.len() - 4);
        text.push(b'.');
        text.extend_from_slice(n.rem_euclid(per_second).to_string().as_bytes());
        text.extend_from_slice(b" GMT");
    }
    Value::Str(Cow::Owned(text)).into()
}

fn check_http_date(args: &mut Args) -> Result<(), String> {
    match args.text(1) {
        b"" | b"s" | b"ms" | b"us" => Ok(()),
        t => Err(format!("expects 's', 'ms' or 'us', got '{}'", String::from_utf8_lossy(t))),
    }
}

macro_rules! dates {
    ($name:literal, $per_second:literal, $local:literal, $help:literal) => {
        Convert::new($name, Type::Int, Type::Str, $help, |a, v, _| date(a, &v, $per_second, $local))
            .with(1, FORMAT)
    };
}

/// Rows.
pub const ROWS: &[Convert] = &[
    dates!("ltime", 1, true, "A date in local time, as strftime(3) writes it."),
    dates!("ms_ltime", 1000, true, "A date in milliseconds, in local time."),
    dates!("us_ltime", 1_000_000, true, "A date in microseconds, in local time."),
    dates!("utime", 1, false, "A date in UTC, as strftime(3) writes it."),
    dates!("ms_utime", 1000, false, "A date in milliseconds, in UTC."),
    dates!("us_utime", 1_000_000, false, "A date in microseconds, in UTC."),
    Convert::new("date", Type::Str, Type::Int, "The time that a date of an HTTP header is.", |_, v, _| {
        v.bytes().and_then(from_http).map(Value::Int).into()
    }),
    Convert::new("http_date", Type::Int, Type::Str, "A date for HTTP headers.", |a, v, _| http_date(a, v))
        .with(0, &[ArgKind::Int, ArgKind::Str])
        .checked(check_http_date),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_the_c_library() {
        let t = 951_782_400; // Tue Feb 29 00:00:00 UTC 2000
        let all =
            strftime(b"%a %A %b %B %d %e %H %I %j %m %M %p %S %U %w %W %y %Y %F %T %D %s %z %%", t, 0, "GMT");
        let want = "Tue Tuesday Feb February 29 29 00 12 060 02 00 AM 00 09 2 09 00 2000 2000-02-29 00:00:00 02/29/00 951782400 +0000 %";
        assert_eq!(String::from_utf8_lossy(&all), want);
        assert_eq!(strftime(b"%H:%M %z", t, -5400, ""), b"22:30 -0130");
    }
}
