use super::*;

fn whole(raw: &[u8]) -> Header<'_> {
    match parse(raw) {
        Ok(Parsed::Complete(h)) => h,
        other => panic!("{:?}: {other:?}", String::from_utf8_lossy(raw)),
    }
}
fn inet(src: &str, dst: &str) -> Option<Addresses> {
    Some(Addresses::Inet { src: src.parse().unwrap(), dst: dst.parse().unwrap() })
}
fn v2(command: u8, family: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [SIGNATURE, &[command, family][..], &(body.len() as u16).to_be_bytes(), &body].concat()
}
fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Tlv { kind, value }.write(&mut out);
    out
}
const A4: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8, 3, 232, 7, 208];

#[test]
fn v1_lines() {
    for (line, want) in [
        ("PROXY TCP4 1.2.3.4 5.6.7.8 10 20\r\n", inet("1.2.3.4:10", "5.6.7.8:20")),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 0 65535\r\n", inet("1.2.3.4:0", "5.6.7.8:65535")),
        ("PROXY TCP6 ::1 2001:db8::5 10 20\r\n", inet("[::1]:10", "[2001:db8::5]:20")),
        ("PROXY TCP6 ::ffff:1.2.3.4 ::1 10 20\r\n", inet("[::ffff:1.2.3.4]:10", "[::1]:20")),
        ("PROXY UNKNOWN\r\n", None),
    ] {
        for cut in 0..line.len() {
            assert_eq!(parse(&line.as_bytes()[..cut]), Ok(Parsed::Partial), "{line:?} {cut}");
        }
        let raw = format!("{line}GET /");
        let h = whole(raw.as_bytes());
        assert_eq!((h.addresses, h.len, h.version, h.local), (want, line.len(), 1, false), "{line:?}");
    }
}

/// What HAProxy 3.5 reads more leniently than the specification says.
#[test]
fn v1_numbers() {
    for (line, want) in [
        ("PROXY TCP4 01.2.3.4 5.6.7.8 10 20\r\n", inet("1.2.3.4:10", "5.6.7.8:20")),
        ("PROXY TCP4 1.2.3 5.6.7.8 10 20\r\n", inet("1.2.3.0:10", "5.6.7.8:20")),
        ("PROXY TCP4 1..3.999 5.6.7.8 10 20\r\n", inet("1.0.6.231:10", "5.6.7.8:20")),
        ("PROXY TCP4 4294967296.1.1.1 5.6.7.8 10 20\r\n", inet("40.1.1.1:10", "5.6.7.8:20")),
        ("PROXY TCP4  5.6.7.8 010 65537\r\n", inet("0.0.0.0:10", "5.6.7.8:1")),
        ("PROXY TCP4 1.2.3.4 5.6.7.8  20\r\n", inet("1.2.3.4:0", "5.6.7.8:20")),
        ("PROXY TCP6 ::1 ::2  10 20\r\n", inet("[::1]:0", "[::2]:10")),
        ("PROXY TCP6 ::1 ::2 10 20 \r\n", inet("[::1]:10", "[::2]:20")),
    ] {
        assert_eq!(whole(line.as_bytes()).addresses, want, "{line:?}");
    }
}

#[test]
fn v1_refusals() {
    let endless = format!("PROXY TCP4 1.2.3.4 5.6.7.8 10 {}", "2".repeat(90));
    for (line, fault) in [
        ("PROXY TCP4 1.2.3.4.5 5.6.7.8 10 20\r\n", Fault::Bad),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 +1 20\r\n", Fault::Bad),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 10\r\n", Fault::Bad),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 10 20 \r\n", Fault::Bad),
        ("PROXY TCP4\t1.2.3.4 5.6.7.8 10 20\r\n", Fault::Protocol),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 10 20\n", Fault::Bad),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 10 20\r\r\n", Fault::Bad),
        ("PROXY TCP4 ::1 ::2 10 20\r\n", Fault::Bad),
        ("PROXY TCP6 1.2.3.4 5.6.7.8 10 20\r\n", Fault::Bad),
        ("PROXY TCP6 fe80::1%lo ::1 10 20\r\n", Fault::Bad),
        ("PROXY TCP6 ::1 ::2 10\r\n", Fault::Bad),
        ("PROXY UDP4 1.2.3.4 5.6.7.8 10 20\r\n", Fault::Protocol),
        ("PROXY UNKNOWNX\r\n", Fault::Protocol),
        ("PROXY UNKNOWN ::1 ::2 1 2\r\n", Fault::Protocol),
        ("PROXY  TCP4 1.2.3.4 5.6.7.8 10 20\r\n", Fault::Protocol),
        ("proxy TCP4 1.2.3.4 5.6.7.8 10 20\r\n", Fault::NotHeader),
        ("GET / HTTP/1.1\r\n\r\n", Fault::NotHeader),
        ("PROXX", Fault::Truncated),
        ("NOPROXY 345678\r", Fault::Truncated),
        ("NOPROXY 345678\r\n", Fault::NotHeader),
        (&endless, Fault::Bad),
    ] {
        assert_eq!(parse(line.as_bytes()), Err(fault.into()), "{line:?}");
    }
}

#[test]
fn v2_families_and_commands() {
    let a6 = [&(0..32).collect::<Vec<u8>>()[..], &[3, 232, 7, 208]].concat();
    let six = inet("[1:203:405:607:809:a0b:c0d:e0f]:1000", "[1011:1213:1415:1617:1819:1a1b:1c1d:1e1f]:2000");
    let four = inet("1.2.3.4:1000", "5.6.7.8:2000");
    use Transport::{Stream, Unspec};
    for (raw, local, transport, want) in [
        (v2(0x21, 0x11, &[A4]), false, Stream, four),
        (v2(0x21, 0x21, &[&a6]), false, Stream, six),
        (v2(0x20, 0x00, &[]), true, Unspec, None),
        (v2(0x20, 0x11, &[]), true, Unspec, None),
        (v2(0x20, 0x00, &[&tlv(1, b"h2")]), true, Unspec, None),
    ] {
        for cut in 0..raw.len() {
            assert_eq!(parse(&raw[..cut]), Ok(Parsed::Partial), "{raw:?} {cut}");
        }
        let more = [&raw[..], b"GET /"].concat();
        let h = whole(&more);
        assert_eq!((h.version, h.len, h.local), (2, raw.len(), local), "{raw:?}");
        assert_eq!((h.transport, h.addresses), (transport, want), "{raw:?}");
    }
}

#[test]
fn v2_refusals() {
    for (raw, fault) in [
        (v2(0x11, 0x11, &[A4]), Fault::NotHeader),
        (v2(0x22, 0x11, &[A4]), Fault::Bad),
        (v2(0x21, 0x12, &[A4]), Fault::Bad),
        (v2(0x21, 0x31, &[&[0; 216]]), Fault::Bad),
        (v2(0x21, 0x00, &[]), Fault::Bad),
        (v2(0x20, 0x11, &[A4]), Fault::Bad),
        (v2(0x21, 0x11, &[&A4[..11]]), Fault::Bad),
        (v2(0x21, 0x21, &[A4]), Fault::Bad),
        (v2(0x21, 0x11, &[A4, b"\x02\0\x05abc"]), Fault::Bad),
        (v2(0x21, 0x11, &[A4, &tlv(2, b"a"), b"\x02\0"]), Fault::Bad),
        (v2(0x21, 0x11, &[A4, &tlv(2, b"a"), b"\x02"]), Fault::Bad),
        (v2(0x21, 0x11, &[A4, &tlv(kind::UNIQUE_ID, &[b'i'; 129])]), Fault::Bad),
        (v2(0x21, 0x11, &[A4, &tlv(kind::AUTHORITY, &[b'i'; 256])]), Fault::Bad),
        (v2(0x21, 0x11, &[A4, &tlv(0xe0, &[b'i'; 1025])]), Fault::Bad),
        (v2(0x21, 0x11, &[A4, &tlv(kind::CRC32C, b"abc")]), Fault::Bad),
        (v2(0x21, 0x11, &[A4, &tlv(kind::CRC32C, b"abcd")]), Fault::Bad),
        (v2(0x20, 0x00, &[&tlv(kind::CRC32C, b"abcd")]), Fault::Bad),
        (b"\r\n\r\nX".to_vec(), Fault::Truncated),
    ] {
        assert_eq!(parse(&raw).map_err(|e| e.fault), Err(fault), "{raw:?}");
    }
}

#[test]
fn v2_values() {
    let ssl = [&[3, 0, 0, 0, 1][..], &tlv(kind::SSL_VERSION, b"TLSv1.3"), &tlv(kind::SSL_CN, b"me")].concat();
    let raw =
        v2(0x21, 0x11, &[A4, &tlv(1, b"h2"), &tlv(2, b"a"), &tlv(2, b"b"), &tlv(0x20, &ssl), &tlv(4, b"")]);
    let h = whole(&raw);
    assert_eq!(h.tlvs.iter().map(|t| t.kind).collect::<Vec<_>>(), [1, 2, 2, 0x20, 4]);
    assert_eq!((h.tlvs.get(kind::ALPN), h.tlvs.get(kind::AUTHORITY)), (Some(&b"h2"[..]), Some(&b"a"[..])));
    let s = h.tlvs.ssl().unwrap();
    assert_eq!((s.client, s.verify), (ssl_client::SSL | ssl_client::CERT_CONN, 1));
    assert_eq!(s.subs.get(kind::SSL_CN), Some(&b"me"[..]));
}

/// The check value of the CRC catalogue.
#[test]
fn crc_of_the_nine_digits() {
    assert_eq!(crc32c(&[b"12345", b"6789"]), 0xe306_9283);
}

/// Bytes as HAProxy 3.5 sent them (`send-proxy-v2 proxy-v2-options crc32c,unique-id set-proxy-v2-tlv-fmt(0xE1) hello`).
#[test]
fn a_header_that_haproxy_sent_is_understood_and_written_alike() {
    let sent = b"\r\n\r\n\x00\r\nQUIT\n!\x11\x00+\x7f\x00\x00\x01\x7f\x00\x00\x01\xe0\xfay\x1d\
        \xe1\x00\x05hello\x03\x00\x04\xca\x9a\xf7@\x05\x00\r7F000001:E0FA";
    let h = whole(sent);
    assert_eq!(h.addresses, inet("127.0.0.1:57594", "127.0.0.1:31005"));
    assert_eq!(h.tlvs.get(kind::UNIQUE_ID), Some(&b"7F000001:E0FA"[..]));
    let mut out = Vec::new();
    encode_v2(Transport::Stream, h.addresses.as_ref(), &h.tlvs.iter().collect::<Vec<_>>(), &mut out);
    assert_eq!(out, sent);
}

#[test]
fn what_is_written_is_read_again() {
    let mut line = Vec::new();
    encode_v1(inet("127.0.0.1:56894", "127.0.0.1:31003").as_ref(), &mut line);
    assert_eq!(line, b"PROXY TCP4 127.0.0.1 127.0.0.1 56894 31003\r\n");
    for (addresses, v2_addresses) in [
        (inet("1.2.3.4:5", "6.7.8.9:10"), inet("1.2.3.4:5", "6.7.8.9:10")),
        (inet("[::1]:5", "[::2]:10"), inet("[::1]:5", "[::2]:10")),
        (inet("1.2.3.4:5", "[::2]:10"), inet("[::ffff:1.2.3.4]:5", "[::2]:10")),
        (None, None),
    ] {
        let mut out = Vec::new();
        encode_v1(addresses.as_ref(), &mut out);
        let mixed = addresses != v2_addresses;
        assert_eq!(whole(&out).addresses, if mixed { None } else { addresses });
        let mut out = b"before".to_vec();
        let tlvs = [Tlv { kind: 0xe0, value: b"x" }, Tlv { kind: kind::CRC32C, value: &[0; 4] }];
        encode_v2(Transport::Stream, addresses.as_ref(), &tlvs, &mut out);
        if addresses.is_none() {
            // 3.5 refuses what is proxied and has no addresses
            assert_eq!(parse(&out[6..]), Err(Fault::Bad.into()));
            continue;
        }
        assert_eq!(whole(&out[6..]).addresses, v2_addresses);
        assert_eq!(whole(&out[6..]).tlvs.get(0xe0), Some(&b"x"[..]));
    }
    let mut out = Vec::new();
    encode_v2_local(&[], &mut out);
    assert_eq!(out, v2(0x20, 0, &[]));
    let huge = vec![0; 65_000];
    let mut out = Vec::new();
    encode_v2(
        Transport::Stream,
        None,
        &[Tlv { kind: 0xe0, value: &huge }, Tlv { kind: 0xe1, value: &huge }],
        &mut out,
    );
    assert_eq!(out.len(), 16 + 3 + 65_000);
}
