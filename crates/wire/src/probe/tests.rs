use super::*;

fn good(a: &Answer) -> bool {
    matches!(a, Answer::Good(_))
}

#[test]
fn what_is_sent() {
    assert_eq!(pgsql::startup("joe"), b"\0\0\0\x12\0\x03\0\0user\0joe\0\0");
    assert_eq!(mysql::login("joe", mysql::Login::Pre41), b"\x0a\0\0\x01\0\x80\0\0\x01joe\0\0\x01\0\0\0\x01");
    let new = mysql::login("joe", mysql::Login::Post80);
    assert_eq!(new.len(), 4 + 59 + 5);
    assert_eq!(new.get(..13), Some(&b"\x3b\0\0\x01\0\x82\x08\0\0\x80\0\x01\x21"[..]));
    assert_eq!(tls::hello().len(), 5 + 0x79);
    assert_eq!(spop::hello().len(), 4 + 0x4e);
}

#[test]
fn redis_and_smtp() {
    assert!(good(&redis::pong(b"+PONG\r\n", false)));
    assert_eq!(redis::pong(b"+PO", false), Answer::More);
    assert_eq!(redis::pong(b"-NOAUTH x\r\n", false), Answer::Refused(Note::new(0, "-NOAUTH x")));
    assert_eq!(smtp::reply(b"220 hi\r\n", false), Answer::Good(Note::new(220, "hi")));
    assert_eq!(smtp::reply(b"220", false), Answer::More);
    assert_eq!(smtp::reply(b"220-hi\r\n220 x\r\n", false), Answer::Garbage(Note::new(0, "220-hi")));
    assert_eq!(smtp::hello(b"250-a\r\n250 b\r\n", false), Answer::Good(Note::new(250, "b")));
    assert_eq!(smtp::reply(b"421 busy now\r\n", false), Answer::Refused(Note::new(421, "busy now")));
    assert_eq!(smtp::reply(b"+OK\r\n", false), Answer::Garbage(Note::new(0, "+OK")));
}

#[test]
fn databases() {
    assert!(good(&pgsql::answer(b"R\0\0\0\x0c\0\0\0\x05abcd", false)));
    assert_eq!(pgsql::answer(b"R\0\0", false), Answer::More);
    assert_eq!(pgsql::answer(b"E\0\0\0\x20SFATAL\0C28000\0", false), Answer::Garbage(Note::new(0, "FATAL")));
    let hello = b"\x0b\0\0\0\x0a8.0.3\0\x01\0\0\0";
    assert_eq!(mysql::greeting(hello, false), Answer::Good(Note::new(0, "8.0.3")));
    assert_eq!(mysql::greeting(&hello[..8], false), Answer::More);
    let mut both = hello.to_vec();
    assert_eq!(mysql::logged_in(&both, false), Answer::More);
    both.extend_from_slice(b"\x07\0\0\x02\0\0\0\x02\0\0\0");
    assert!(good(&mysql::logged_in(&both, false)));
    let denied = b"\x0d\0\0\0\xff\x15\x04#28000No";
    assert_eq!(mysql::greeting(denied, true), Answer::Garbage(Note::default()));
    let denied = b"\x0b\0\0\0\xff\x15\x04#28000No";
    assert_eq!(mysql::greeting(denied, false), Answer::Refused(Note::new(1045, "No")));
}

#[test]
fn ldap_tls_and_spop() {
    let ok = [0x30, 0x0c, 2, 1, 1, 0x61, 7, 0x0a, 1, 0, 4, 0, 4, 0];
    assert!(good(&ldap::answer(&ok, false)));
    assert_eq!(ldap::answer(&ok[..5], false), Answer::More);
    let mut no = ok;
    no[9] = 49;
    assert!(matches!(ldap::answer(&no, false), Answer::Refused(Note { code: 49, .. })));
    assert!(matches!(ldap::answer(b"+OK", false), Answer::Garbage(_)));
    assert!(good(&tls::record(b"\x15\x03\0\0\x02", false)));
    assert_eq!(tls::record(b"\x16\x03", false), Answer::More);
    assert!(matches!(tls::record(b"+OK", false), Answer::Garbage(_)));
    assert!(good(&spop::answer(b"\0\0\0\x07\x65\0\0\0\x01\0\0", false)));
    assert!(matches!(spop::answer(b"+OK hello", false), Answer::Garbage(_)));
}

/// No bytes make them panic.
#[test]
fn anything_goes() {
    let readers: [fn(&[u8], bool) -> Answer; 9] = [
        redis::pong,
        smtp::reply,
        smtp::hello,
        pgsql::answer,
        ldap::answer,
        mysql::greeting,
        mysql::logged_in,
        spop::answer,
        tls::record,
    ];
    let mut seed = 1u32;
    for n in 0..20_000usize {
        let bytes: Vec<u8> = (0..n % 40)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8 & if n % 2 == 0 { 0xff } else { 0x31 }
            })
            .collect();
        for read in readers {
            let _ = read(&bytes, n % 3 == 0);
        }
    }
}
