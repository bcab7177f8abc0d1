//! The built-in log formats (manual sections 8.2.1 to 8.2.3), written straight from the facts.

use portcullis_config::LogFormat;
use portcullis_message::date::MONTHS;
use portcullis_sample::Facts;
use std::cell::RefCell;
use std::io::Write;
use std::net::SocketAddr;

/// One line, without a line end.
pub fn line(format: &LogFormat, f: &Facts<'_>, out: &mut Vec<u8>) {
    match format {
        LogFormat::Http => http(f, out),
        LogFormat::Tcp => tcp(f, out),
        _ => connect(f, out),
    }
}

fn address(a: Option<SocketAddr>, out: &mut Vec<u8>) {
    match a {
        Some(a) => {
            let _ = write!(out, "{}:", a.ip());
            number(u64::from(a.port()), out);
        }
        None => out.extend_from_slice(b"unix:1"),
    }
}

/// Decimal digits, without the formatting machinery.
fn number(mut n: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn signed(n: i32, out: &mut Vec<u8>) {
    if n < 0 {
        out.push(b'-');
    }
    number(n.unsigned_abs().into(), out);
}

fn two(n: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'0' + n / 10, b'0' + n % 10]);
}

thread_local! {
    /// The second that was written last, and its text: most lines of a second share it.
    static LAST: RefCell<(u64, Vec<u8>)> = const { RefCell::new((u64::MAX, Vec::new())) };
}

/// `[10/Oct/2000:13:55:36.123]` in local time.
fn date(at: std::time::Duration, out: &mut Vec<u8>) {
    out.push(b'[');
    LAST.with_borrow_mut(|(second, text)| {
        if *second != at.as_secs() {
            *second = at.as_secs();
            text.clear();
            to_the_second(at.as_secs() as i64, text);
        }
        out.extend_from_slice(text);
    });
    let ms = at.subsec_millis();
    out.extend_from_slice(&[
        b'.',
        b'0' + (ms / 100) as u8,
        b'0' + (ms / 10 % 10) as u8,
        b'0' + (ms % 10) as u8,
        b']',
    ]);
}

fn to_the_second(epoch: i64, out: &mut Vec<u8>) {
    let t = portcullis_sys::localtime::local_time(epoch);
    two(t.day, out);
    out.push(b'/');
    out.extend_from_slice(MONTHS[usize::from(t.month.clamp(1, 12) - 1)].as_bytes());
    out.push(b'/');
    signed(t.year, out);
    for n in [t.hour, t.minute, t.second] {
        out.push(b':');
        two(n, out);
    }
}

fn plus(f: &Facts<'_>, out: &mut Vec<u8>) {
    if f.as_soon_as_possible {
        out.push(b'+');
    }
}

/// ` actconn/feconn/beconn/srv_conn/retries srv_queue/backend_queue`
fn counts(f: &Facts<'_>, out: &mut Vec<u8>) {
    for (i, n) in [f.actconn, f.feconn, f.beconn, f.srvconn].into_iter().enumerate() {
        out.push(if i == 0 { b' ' } else { b'/' });
        number(n.into(), out);
    }
    out.push(b'/');
    if f.redispatched {
        out.push(b'+');
    }
    number(f.retries.into(), out);
    out.push(b' ');
    number(f.server_queue.into(), out);
    out.push(b'/');
    number(f.backend_queue.into(), out);
}

fn names(f: &Facts<'_>, out: &mut Vec<u8>) {
    out.push(b' ');
    out.extend_from_slice(f.frontend_name.as_bytes());
    out.push(b' ');
    out.extend_from_slice(f.backend_name.as_bytes());
    out.push(b'/');
    out.extend_from_slice(f.server_name.as_bytes());
    out.push(b' ');
}

/// `%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r`
fn http(f: &Facts<'_>, out: &mut Vec<u8>) {
    address(f.client, out);
    out.push(b' ');
    date(f.requested, out);
    names(f, out);
    let t = &f.timers;
    for n in [t.request, t.queue, t.connect, t.response] {
        signed(n, out);
        out.push(b'/');
    }
    plus(f, out);
    signed(t.active, out);
    out.push(b' ');
    signed(f.status, out);
    out.push(b' ');
    plus(f, out);
    number(f.bytes_down, out);
    out.extend_from_slice(b" - - ");
    out.extend_from_slice(&f.termination);
    counts(f, out);
    out.extend_from_slice(b" \"");
    match f.request_line {
        [b"", ..] => out.extend_from_slice(b"<BADREQ>"),
        [method, target, version] => {
            out.extend_from_slice(method);
            out.push(b' ');
            escaped(target, out);
            out.push(b' ');
            out.extend_from_slice(version);
        }
    }
    out.push(b'"');
}

/// Bytes that would break a log line as `#XX`.
fn escaped(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for b in text {
        if b.is_ascii_graphic() && !matches!(b, b'"' | b'#' | b'{' | b'|' | b'}') {
            out.push(*b);
        } else {
            out.extend_from_slice(&[b'#', HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
        }
    }
}

/// `%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq`
fn tcp(f: &Facts<'_>, out: &mut Vec<u8>) {
    address(f.client, out);
    out.push(b' ');
    date(f.accepted, out);
    names(f, out);
    signed(f.timers.queue, out);
    out.push(b'/');
    signed(f.timers.connect, out);
    out.push(b'/');
    plus(f, out);
    signed(f.timers.total, out);
    out.push(b' ');
    plus(f, out);
    number(f.bytes_down, out);
    out.push(b' ');
    out.extend_from_slice(&f.termination[..2]);
    counts(f, out);
}

/// `Connect from %ci:%cp to %fi:%fp (%ft/mode)`
fn connect(f: &Facts<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Connect from ");
    address(f.client, out);
    out.extend_from_slice(b" to ");
    address(f.frontend, out);
    let _ = write!(out, " ({}/{})", f.frontend_name, if f.http { "HTTP" } else { "TCP" });
}
