//! Cookie fields whose persistence cookie is taken out or shortened: it is gone, the others are as they were. Set-Cookie
//! fields that are rewritten name the server.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_backend::Named;
use portcullis_config::{Cookie, CookieMode};
use portcullis_message::{Head, HeaderId, Version};
use portcullis_proxy::persist::request::{look, pairs};
use portcullis_proxy::persist::response::{From, pair, pass};
use portcullis_proxy::persist::{CookiePlan, Visit};

const NOW: u32 = 1_795_719_612;
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn plan(mode: CookieMode) -> CookiePlan {
    let (maxidle, maxlife) = (100, 1000);
    CookiePlan::new(&Cookie {
        name: b"S".to_vec(),
        mode,
        indirect: mode == CookieMode::Insert,
        maxidle,
        maxlife,
        ..Cookie::default()
    })
}

/// Cookies but the persistence cookie, and without attributes.
fn others(head: &Head) -> Pairs {
    let all = head.all(HeaderId::Cookie).flat_map(pairs);
    all.filter(|(n, _)| *n != b"S" && !n.starts_with(b"$")).map(|(n, v)| (n.to_vec(), v.to_vec())).collect()
}

fuzz_target!(|raw: &[u8]| {
    let lines: Vec<&[u8]> = raw.split(|b| matches!(b, b'\r' | b'\n' | 0)).map(<[u8]>::trim_ascii).collect();
    for mode in [CookieMode::Insert, CookieMode::Prefix] {
        let mut head = Head::default();
        head.set_request(b"GET", b"/", Version::HTTP_11);
        lines.iter().for_each(|l| head.push(b"cookie", l));
        let before = others(&head);
        let mut visit = Visit::new(None);
        look(&plan(mode), &mut head, &mut visit, NOW, |_| Named::Nobody);
        // the end of a prefix in quotes takes the first of them away, as in 3.5: others may come out of it
        assert!(mode == CookieMode::Prefix || others(&head) == before);
        let left = head.all(HeaderId::Cookie).flat_map(pairs).filter(|(n, _)| *n == b"S").count();
        assert!(mode == CookieMode::Prefix || left == 0, "the application sees it");
        assert!(matches!(visit.letter, b'N' | b'I' | b'E' | b'O'));
    }
    for mode in [CookieMode::Insert, CookieMode::Rewrite, CookieMode::Prefix] {
        let mut head = Head::default();
        head.set_response(Version::HTTP_11, 200, b"OK");
        lines.iter().for_each(|l| head.push(b"set-cookie", l));
        let from = From { method: b"GET", value: Some(b"A"), direct: false, now: NOW };
        pass(&plan(mode), &mut head, &Visit::new(None), &from);
        for (_, value) in head.all(HeaderId::SetCookie).filter_map(pair).filter(|(n, _)| *n == b"S") {
            assert!(value.starts_with(b"A"), "{mode:?}");
        }
    }
});
