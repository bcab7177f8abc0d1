//! Broken-down local time, for log lines.

/// A moment in the local time zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalTime {
    /// Year, as in 2026.
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
    /// Seconds east of Greenwich.
    pub offset: i32,
}

/// Local time (environment variable `TZ`, or `/etc/localtime`) of `epoch` seconds since 1970. The C library reads its
/// zone file at the first call of the process: call once before chroot.
pub fn local_time(epoch: i64) -> LocalTime {
    let Some(tm) = broken_down(epoch) else {
        return LocalTime { year: 1970, month: 1, day: 1, ..LocalTime::default() };
    };
    LocalTime {
        year: tm.tm_year.saturating_add(1900),
        month: (tm.tm_mon + 1).clamp(1, 12) as u8,
        day: tm.tm_mday.clamp(1, 31) as u8,
        hour: tm.tm_hour.clamp(0, 23) as u8,
        minute: tm.tm_min.clamp(0, 59) as u8,
        second: tm.tm_sec.clamp(0, 60) as u8,
        offset: i32::try_from(tm.tm_gmtoff).unwrap_or(0),
    }
}

/// What the local time zone is called then (`CET`, `CEST`).
pub fn zone_name(epoch: i64) -> String {
    let zone = broken_down(epoch).map(|tm| tm.tm_zone).filter(|zone| !zone.is_null());
    // SAFETY: localtime_r has set it to a string that ends with zero and that the C library keeps as long as the zone is
    // not read again, which nothing here makes it do.
    let name = zone.map(|zone| unsafe { std::ffi::CStr::from_ptr(zone) });
    name.map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

fn broken_down(epoch: i64) -> Option<libc::tm> {
    let time: libc::time_t = epoch;
    // SAFETY: tm is plain old data (integers and a pointer), for which all zeros is a valid value.
    let mut tm: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live, properly typed locals; localtime_r writes to `tm` only and locks its own
    // state. Nothing in this workspace changes the environment after threads have started.
    let done = unsafe { libc::localtime_r(&raw const time, &raw mut tm) };
    (!done.is_null()).then_some(tm)
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A moment since the epoch in local time, as in log lines: `26/Nov/2026:22:08:45.949`.
#[must_use]
pub fn stamp(wall: std::time::Duration) -> String {
    let t = local_time(i64::try_from(wall.as_secs()).unwrap_or(0));
    let month = MONTHS.get(usize::from(t.month).wrapping_sub(1)).unwrap_or(&"Jan");
    let millis = wall.subsec_millis();
    format!("{:02}/{month}/{:04}:{:02}:{:02}:{:02}.{millis:03}", t.day, t.year, t.hour, t.minute, t.second)
}

/// Name of this host (`gethostname`), empty if it has none.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_its_own_offset() {
        let t = local_time(1_790_000_000);
        let days_before_year = (i64::from(t.year) - 1970) * 365 + (i64::from(t.year) - 1969) / 4;
        let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][usize::from(t.month) - 1];
        let leap = i64::from(t.year % 4 == 0 && t.month > 2);
        let days = days_before_year + before + leap + i64::from(t.day) - 1;
        let secs = days * 86400 + i64::from(t.hour) * 3600 + i64::from(t.minute) * 60 + i64::from(t.second);
        assert_eq!(secs - i64::from(t.offset), 1_790_000_000);
    }
}
