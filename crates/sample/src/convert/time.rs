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

/// strftime(3) in the C locale.
fn strftime(format: &[u8], epoch: i64, offset: i64, zone: &str) -> Vec<u8> {
    let c = Civil::from_unix(epoch.saturating_add(offset));
    let mut out = Vec::with_capacity(format.len() * 2);
    let mut bytes = format.iter();
    while let Some(b) = bytes.next() {
        if *b != b'%' {
            out.push(*b);
            continue;
        }
        match bytes.next() {
            Some(spec) => conversion(*spec, &c, epoch, offset, zone, &mut out),
            None => out.push(b'%'),
        }
    }
    out
}

fn conversion(spec: u8, c: &Civil, epoch: i64, offset: i64, zone: &str, out: &mut Vec<u8>) {
    let mut again = |f: &[u8]| out.extend_from_slice(&strftime(f, epoch, offset, zone));
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

/// Seconds since the epoch, offset added.
fn shifted(args: &Args, v: &Value<'_>) -> Option<i64> {
    match v {
        Value::Int(n) => Some(n.saturating_add(args.int(1).unwrap_or(0))),
        _ => None,
    }
}

/// No year beyond four digits or so: dates further away have no form.
fn sane(epoch: i64) -> Option<i64> {
    (-62_135_596_800..=253_402_300_799).contains(&epoch).then_some(epoch)
}

const FORMAT: &[ArgKind] = &[ArgKind::Str, ArgKind::Int];

fn http_date<'s>(args: &Args, v: Value<'s>) -> Sample<'s> {
    let Value::Int(n) = v else { return Sample::Missing };
    let per_second = match args.text(1) {
        b"ms" => 1000,
        b"us" => 1_000_000,
        _ => 1,
    };
    let n = n.saturating_add(args.int(0).unwrap_or(0)).div_euclid(per_second);
    sane(n).map(|n| Value::Str(Cow::Owned(portcullis_message::date::http(n).into_bytes()))).into()
}

fn check_http_date(args: &mut Args) -> Result<(), String> {
    match args.text(1) {
        b"" | b"s" | b"ms" | b"us" => Ok(()),
        t => Err(format!("expects 's', 'ms' or 'us', got '{}'", String::from_utf8_lossy(t))),
    }
}

/// Rows.
pub const ROWS: &[Convert] = &[
    Convert::new(
        "ltime",
        Type::Int,
        Type::Str,
        "A date in local time, as strftime(3) writes it.",
        |a, v, _| {
            let Some(epoch) = shifted(a, &v).and_then(sane) else { return Sample::Missing };
            let offset = i64::from(local_time(epoch).offset);
            Value::Str(Cow::Owned(strftime(a.text(0), epoch, offset, if offset == 0 { "UTC" } else { "" })))
                .into()
        },
    )
    .with(1, FORMAT),
    Convert::new("utime", Type::Int, Type::Str, "A date in UTC, as strftime(3) writes it.", |a, v, _| {
        shifted(a, &v)
            .and_then(sane)
            .map(|epoch| Value::Str(Cow::Owned(strftime(a.text(0), epoch, 0, "GMT"))))
            .into()
    })
    .with(1, FORMAT),
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
