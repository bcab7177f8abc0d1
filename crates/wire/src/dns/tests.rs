use super::*;
use std::net::IpAddr;

fn name(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    name::write(text, &mut out).unwrap();
    out
}

fn record(of: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let mut out = of.to_vec();
    for word in [kind, 1, 0, 60, data.len() as u16] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(data);
    out
}

fn message(flags: u16, question: &str, kind: Kind, answers: &[Vec<u8>], additional: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [7, flags, 1, answers.len() as u16, 0, additional.len() as u16] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend(name(question));
    for word in [kind.number(), 1] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    for r in answers.iter().chain(additional) {
        out.extend_from_slice(r);
    }
    out
}

#[test]
fn questions() {
    let asked = query(0x1234, "a.Test.", Kind::Aaaa, 512).unwrap();
    let wanted = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\x01\x01a\x04Test\0\0\x1c\0\x01\0\0\x29\x02\0\0\0\0\0\0\0";
    assert_eq!(asked, wanted);
    for wrong in ["", ".", "a..b", &"x".repeat(64), &"a.".repeat(200)] {
        assert_eq!(query(1, wrong, Kind::A, 512), None, "{wrong}");
    }
}

#[test]
fn addresses_through_aliases() {
    // a pointer to the question's name at offset 12
    let answers = [
        record(&[0xc0, 12], 5, &name("Other.test")),
        record(&name("other.TEST"), 1, &[127, 0, 0, 1]),
        record(&name("unasked.test"), 1, &[127, 0, 0, 2]),
    ];
    let m = Message::parse(&message(0x8180, "a.test", Kind::A, &answers, &[])).unwrap();
    assert!(m.answers(7, "a.test", Kind::A) && !m.answers(8, "a.test", Kind::A));
    assert!(!m.answers(7, "b.test", Kind::A) && !m.answers(7, "a.test", Kind::Aaaa));
    let found = m.settle("a.test", Kind::A).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].data, Data::Address(IpAddr::from([127, 0, 0, 1])));
    assert_eq!(m.settle("a.test", Kind::Aaaa), Err(Empty::Alias));
    assert_eq!(m.settle("nobody.test", Kind::A), Err(Empty::Foreign));
    let m = Message::parse(&message(0x8180, "a.test", Kind::A, &[], &[])).unwrap();
    assert_eq!(m.settle("a.test", Kind::A), Err(Empty::Nothing));
}

#[test]
fn services() {
    let mut data = vec![0, 1, 1, 0, 0x1f, 0x41];
    data.extend(name("t1.test"));
    let answers = [record(&[0xc0, 12], 33, &data)];
    let additional = [
        record(&[0], 41, &[]),
        record(&name("t1.test"), 28, &[0; 16]),
        record(&name("t1.test"), 1, &[1, 2, 3, 4]),
    ];
    let m = Message::parse(&message(0x8180, "_h._t.x", Kind::Srv, &answers, &additional)).unwrap();
    let found = m.settle("_h._t.x", Kind::Srv).unwrap();
    let Data::Service { priority, weight, port, target } = &found[0].data else { panic!("no service") };
    assert_eq!((*priority, *weight, *port, target.as_str()), (1, 256, 8001, "t1.test"));
    let v4_first = |ip: IpAddr| Some(u8::from(ip.is_ipv6()));
    assert_eq!(m.address_of("t1.test", v4_first), Some(IpAddr::from([1, 2, 3, 4])));
    assert_eq!(m.address_of("t1.test", |ip| ip.is_ipv6().then_some(0)), Some(IpAddr::from([0; 16])));
    assert_eq!(m.address_of("t2.test", v4_first), None);
}

#[test]
fn texts() {
    let answers = [
        record(&[0xc0, 12], 5, &name("other.test")),
        record(&name("other.test"), 16, b"\x03abc\0\x02de"),
        record(&name("other.test"), 16, b""),
        record(&name("a.test"), 16, b"\x01x"),
    ];
    let m = Message::parse(&message(0x8180, "a.test", Kind::Txt, &answers, &[])).unwrap();
    assert!(m.answers(7, "a.test", Kind::Txt));
    assert_eq!(m.texts("a.test"), [b"abcde".to_vec(), Vec::new()]);
    assert!(m.texts("nobody.test").is_empty());
    let cut = [record(&[0xc0, 12], 16, b"\x04abc")];
    assert_eq!(Message::parse(&message(0x8180, "a.test", Kind::Txt, &cut, &[])), Err(Invalid));
}

#[test]
fn chains_end() {
    let loops = [record(&name("a.test"), 5, &name("b.test")), record(&name("b.test"), 5, &name("a.test"))];
    let m = Message::parse(&message(0x8180, "a.test", Kind::A, &loops, &[])).unwrap();
    assert_eq!(m.settle("a.test", Kind::A), Err(Empty::Alias));
}

#[test]
fn errors_need_no_question() {
    let m = Message::parse(b"\0\x07\x81\x81\0\0\0\0\0\0\0\0").unwrap();
    assert_eq!(m.code, 1);
    assert!(m.answers(7, "a.test", Kind::A));
    // but who has an answer says to what
    let m = Message::parse(b"\0\x07\x81\x80\0\0\0\0\0\0\0\0").unwrap();
    assert!(!m.answers(7, "a.test", Kind::A));
    // a question is not an answer
    let m = Message::parse(&message(0x0100, "a.test", Kind::A, &[], &[])).unwrap();
    assert!(!m.answers(7, "a.test", Kind::A));
}

#[test]
fn odd_messages() {
    let whole = message(0x8180, "a.test", Kind::A, &[record(&[0xc0, 12], 1, &[127, 0, 0, 1])], &[]);
    for cut in 0..whole.len() {
        assert_eq!(Message::parse(&whole[..cut]), Err(Invalid), "{cut}");
    }
    // a pointer to itself, one forward, an unknown kind of label, an address of three bytes, a name beyond its record
    for bad in [
        record(&[0xc0, 24], 1, &[1, 2, 3, 4]),
        record(&[0xc0, 40], 1, &[1, 2, 3, 4]),
        record(&[0x80, 0], 1, &[1, 2, 3, 4]),
        record(&[0xc0, 12], 1, &[1, 2, 3]),
        record(&[0xc0, 12], 5, &[9, b'a']),
        record(&name("a\u{1}b"), 1, &[1, 2, 3, 4]),
    ] {
        assert_eq!(
            Message::parse(&message(0x8180, "a.test", Kind::A, std::slice::from_ref(&bad), &[])),
            Err(Invalid),
            "{bad:?}"
        );
    }
    // what stands behind the answers may be broken
    let m = Message::parse(&message(0x8180, "a.test", Kind::A, &[], &[record(&[0xc0, 24], 1, &[1])]));
    assert!(m.is_ok());
    assert!(Message::parse(&message(0x8380, "a.test", Kind::A, &[], &[])).unwrap().truncated);
}
