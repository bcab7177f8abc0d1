//! Certificates and revocation lists in words, as the Runtime API's listings have them (management manual section 9.3,
//! `show ssl cert`).

use crate::der::{Der, Element, INTEGER, OID, SEQUENCE};
use crate::x509::{Cert, attributes, seconds, short_name, text};
use aws_lc_rs::digest;
use portcullis_wire::{base64, hex};
use std::fmt::Write as _;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Year, month, day, hour, minute and second of a time in seconds since the epoch.
#[must_use]
pub fn civil(at: i64) -> [i64; 6] {
    let (days, rest) = (at.div_euclid(86_400) + 719_468, at.rem_euclid(86_400));
    let (era, doe) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    [year, month, day, rest / 3600, rest / 60 % 60, rest % 60]
}

/// A time of a certificate, `Nov 26 22:40:59 2026 GMT`.
#[must_use]
pub fn date(e: Element<'_>) -> String {
    let Some(at) = seconds(e) else { return String::new() };
    let [year, month, day, hour, minute, second] = civil(at);
    format!("{} {day:2} {hour:02}:{minute:02}:{second:02} {year} GMT", self::month(month))
}

/// The short name of a month, 1 to 12.
#[must_use]
pub fn month(number: i64) -> &'static str {
    usize::try_from(number - 1).ok().and_then(|m| MONTHS.get(m)).unwrap_or(&"")
}

/// A serial number without the zero that DER puts in front.
#[must_use]
pub fn serial(n: &[u8]) -> String {
    match n {
        [0, rest @ ..] if !rest.is_empty() => hex::text(rest),
        all => hex::text(all),
    }
}

/// The alternative names, `DNS:a.example, IP Address:192.0.2.1`.
fn alternatives(cert: &Cert<'_>) -> String {
    let one = |e: Element<'_>| match e.tag {
        0x81 => format!("email:{}", String::from_utf8_lossy(e.content)),
        0x82 => format!("DNS:{}", String::from_utf8_lossy(e.content)),
        0x86 => format!("URI:{}", String::from_utf8_lossy(e.content)),
        0x87 => match <[u8; 4]>::try_from(e.content) {
            Ok(v4) => format!("IP Address:{}", std::net::Ipv4Addr::from(v4)),
            Err(_) => {
                let groups = e.content.chunks(2).map(|g| g.iter().fold(0, |v, b| v << 8 | u32::from(*b)));
                format!("IP Address:{}", groups.map(|g| format!("{g:X}")).collect::<Vec<_>>().join(":"))
            }
        },
        0xa4 => format!("DirName:{}", text(e)),
        _ => "othername:<unsupported>".to_owned(),
    };
    cert.alt_names().map(one).collect::<Vec<_>>().join(", ")
}

/// What a listing says of a certificate, a line each.
pub fn certificate(der: &[u8], out: &mut String) {
    let Some(cert) = Cert::parse(der) else { return };
    let (kind, bits) = cert.key_name();
    let print = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der);
    let _ = writeln!(out, "Serial: {}", serial(cert.serial));
    let _ = writeln!(out, "notBefore: {}", date(cert.not_before));
    let _ = writeln!(out, "notAfter: {}", date(cert.not_after));
    let _ = writeln!(out, "Subject Alternative Name: {}", alternatives(&cert));
    let _ = writeln!(out, "Algorithm: {kind}{bits}");
    let _ = writeln!(out, "SHA1 FingerPrint: {}", hex::text(print.as_ref()));
    names("", der, out);
}

/// Whose certificate it is, and who issued it; `prefix` stands before each.
pub fn names(prefix: &str, der: &[u8], out: &mut String) {
    let Some(cert) = Cert::parse(der) else { return };
    let _ = writeln!(out, "{prefix}Subject: {}", line(cert.subject));
    let _ = writeln!(out, "{prefix}Issuer: {}", line(cert.issuer));
}

/// What a listing says of a revocation list.
pub fn revocations(der: &[u8], out: &mut String) {
    let Some(mut outer) = Der(der).inside(SEQUENCE) else { return };
    let Some(mut d) = outer.inside(SEQUENCE) else { return };
    let version = d.tagged(INTEGER).and_then(|v| v.content.last().copied()).unwrap_or(0) + 1;
    let algorithm = d.inside(SEQUENCE).and_then(|mut a| a.tagged(OID)).map_or(&[][..], |e| e.content);
    let issuer = d.tagged(SEQUENCE).map_or(&[][..], |e| e.whole);
    let _ = writeln!(out, "Version {version}");
    let _ = writeln!(out, "Signature Algorithm: {}", signature_name(algorithm));
    let _ = writeln!(out, "Issuer: {}", line(issuer));
    let _ = writeln!(out, "Last Update: {}", d.next().map(date).unwrap_or_default());
    let next = d.tagged(0x17).or_else(|| d.tagged(0x18));
    let _ = writeln!(out, "Next Update: {}", next.map_or("NONE".to_owned(), date));
    let mut entries = d.inside(SEQUENCE).unwrap_or(Der(&[])).peekable();
    let _ = match entries.peek() {
        Some(_) => writeln!(out, "Revoked Certificates:"),
        None => writeln!(out, "No Revoked Certificates."),
    };
    for entry in entries {
        let mut e = Der(entry.content);
        let number = e.tagged(INTEGER).map_or(&[][..], |n| n.content);
        let _ = writeln!(out, "    Serial Number: {}", serial(number));
        let _ = writeln!(out, "        Revocation Date: {}", e.next().map(date).unwrap_or_default());
    }
}

/// The long name of a signature algorithm, as listings of revocation lists have it.
#[must_use]
pub fn signature_name(oid: &[u8]) -> String {
    match short_name(oid) {
        Some("RSA-SHA1") => "sha1WithRSAEncryption".to_owned(),
        Some("RSA-SHA256") => "sha256WithRSAEncryption".to_owned(),
        Some("RSA-SHA384") => "sha384WithRSAEncryption".to_owned(),
        Some("RSA-SHA512") => "sha512WithRSAEncryption".to_owned(),
        Some(name) => name.to_owned(),
        None => crate::der::dotted(oid),
    }
}

/// A name as OpenSSL's listings of OCSP responses have it, `C = FR, CN = x`.
#[must_use]
pub fn spaced(name: &[u8]) -> String {
    let one = |(oid, value): (&[u8], Element<'_>)| {
        let label = short_name(oid).map_or_else(|| crate::der::dotted(oid), str::to_owned);
        format!("{label} = {}", text(value))
    };
    attributes(name).map(one).collect::<Vec<_>>().join(", ")
}

/// DER as PEM.
pub fn pem(label: &str, der: &[u8], out: &mut String) {
    let _ = writeln!(out, "-----BEGIN {label}-----");
    for line in der.chunks(48) {
        let coded = base64::encode(base64::STANDARD, true, line);
        let _ = writeln!(out, "{}", String::from_utf8_lossy(&coded));
    }
    let _ = writeln!(out, "-----END {label}-----");
}

/// A name in one line.
fn line(name: &[u8]) -> String {
    String::from_utf8_lossy(&crate::dn::one_line(name)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_openssls() {
        let e = |tag, content| Element { tag, content, whole: content };
        assert_eq!(date(e(0x17, b"261126224059Z")), "Nov 26 22:40:59 2026 GMT");
        assert_eq!(date(e(0x18, b"20500101000000Z")), "Jan  1 00:00:00 2050 GMT");
        assert_eq!(date(e(0x17, b"000229235959Z")), "Feb 29 23:59:59 2000 GMT");
        assert_eq!(date(e(0x17, b"nonsense")), "");
    }

    #[test]
    fn pem_lines_have_64_columns() {
        let mut out = String::new();
        pem("X", &[0xff; 49], &mut out);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines[0], "-----BEGIN X-----");
        assert_eq!(lines[1], "/".repeat(64));
        assert_eq!(lines[2], "/w==");
        assert_eq!(lines[3], "-----END X-----");
    }

    #[test]
    fn garbage_says_nothing() {
        let mut out = String::new();
        certificate(b"\x30\x03abc", &mut out);
        revocations(b"\x30\x80", &mut out);
        assert_eq!(out, "");
    }
}
