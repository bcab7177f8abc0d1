//! Tests of lists.

use super::*;

fn how(method: Method) -> How {
    How::of(method)
}
fn value(v: &View, key: &str) -> Option<String> {
    v.lookup(Value::str(key.as_bytes()), |_, value, _, _| String::from_utf8_lossy(value).into_owned())
}

#[test]
fn lines_and_changes() {
    let text = b"# no\n\n  a.example \t one and more \r\nb.example two\na.example three\n";
    let list = open("test-lines.map", true, &|_| Ok(text.to_vec())).unwrap();
    let (exact, suffix) = (list.view(how(Method::Str)).unwrap(), list.view(how(Method::End)).unwrap());
    assert_eq!(value(&exact, "a.example").as_deref(), Some("one and more"));
    assert_eq!(value(&suffix, "x.b.example").as_deref(), Some("two"));
    assert!(list.set(Which::Key(b"b.example"), b"2") && !list.set(Which::Key(b"z"), b""));
    assert_eq!(value(&suffix, "b.example").as_deref(), Some("2"));
    assert!(list.remove(Which::Key(b"a.example")) && !list.remove(Which::Key(b"a.example")));
    assert_eq!((value(&exact, "a.example"), value(&suffix, "a.example")), (None, None));
    list.add(None, b"c", b"new").unwrap();
    assert_eq!((value(&exact, "c").as_deref(), value(&suffix, "xc").as_deref()), (Some("new"), Some("new")));
    let v = list.prepare();
    list.add(Some(v), b"only", b"this").unwrap();
    assert_eq!((value(&exact, "only"), list.len()), (None, 2));
    assert!(list.commit(v) && !list.commit(v));
    assert_eq!((value(&exact, "only").as_deref(), value(&exact, "c"), list.len()), (Some("this"), None, 1));
    list.clear(None);
    assert!(list.is_empty() && value(&exact, "only").is_none());
    assert!(Arc::ptr_eq(&list, &open("opt@test-lines.map", true, &|_| Ok(text.to_vec())).unwrap()));
}

#[test]
fn what_is_added_and_removed_again_and_again_takes_no_room() {
    let list = open("virt@churn", true, &|_| Ok(Vec::new())).unwrap();
    let view = list.view(how(Method::Str)).unwrap();
    for i in 0..2000 {
        list.add(None, format!("k{i}").as_bytes(), b"v").unwrap();
        assert!(list.remove(Which::Key(format!("k{i}").as_bytes())));
    }
    assert!(list.inner.read().entries.dead() <= 64);
    list.add(None, b"k", b"last").unwrap();
    assert_eq!(value(&view, "k").as_deref(), Some("last"));
}

/// What is kept in lines of the cache follows every change.
#[test]
fn large_lists_change_as_small_ones_do() {
    let text: String = (0..6000).map(|i| format!("k{i} v{i}\n")).collect();
    let list = open("virt-large.map", true, &|_| Ok(text.clone().into_bytes())).unwrap();
    let view = list.view(how(Method::Str)).unwrap();
    let found = |key: &str| value(&view, key);
    for i in 0..6000 {
        assert_eq!(found(&format!("k{i}")), Some(format!("v{i}")));
        assert_eq!(found(&format!("n{i}")), None);
    }
    assert!(view.matches(&Value::str(b"k7")) && !view.matches(&Value::str(b"n7")));
    assert!(list.set(Which::Key(b"k1"), b"a longer value than there was"));
    assert!(list.remove(Which::Key(b"k2")));
    list.add(None, b"k3", b"second").unwrap();
    list.add(None, b"n1", b"new").unwrap();
    list.put(b"k4", Some(b"put")).unwrap();
    let now = ["k1", "k2", "k3", "n1", "k4"].map(found);
    let wanted = [Some("a longer value than there was"), None, Some("v3"), Some("new"), Some("put")];
    assert_eq!(now, wanted.map(|w| w.map(str::to_owned)));
    assert!(list.remove(Which::Key(b"k3")) && found("k3").is_none());
    for i in 100..4000 {
        assert!(list.remove(Which::Key(format!("k{i}").as_bytes())));
    }
    assert_eq!([found("k100"), found("k3999")], [None, None]);
    assert_eq!(found("k4000").as_deref(), Some("v4000"));
    let next = list.prepare();
    (0..5000).for_each(|i| list.add(Some(next), format!("k{i}").as_bytes(), b"next").unwrap());
    assert_eq!(found("k5000").as_deref(), Some("v5000"));
    assert!(list.commit(next));
    assert_eq!(
        [found("k0").as_deref(), found("k4999").as_deref(), found("k5000").as_deref()],
        [Some("next"), Some("next"), None]
    );
    list.clear(None);
    assert_eq!(found("k0"), None);
}
