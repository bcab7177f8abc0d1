//! Tests of lists.

use super::*;

fn how(method: Method) -> How {
    How { method, fold: false, resolve: false }
}
fn value(v: &View, key: &str) -> Option<String> {
    v.lookup(Value::str(key.as_bytes()), |e, _, _| String::from_utf8_lossy(e.value).into_owned())
}

#[test]
fn lines_and_changes() {
    let text = b"# no\n\n  a.example \t one and more \r\nb.example two\na.example three\n";
    let list = open("test-lines.map", true, None, &|_| Ok(text.to_vec())).unwrap();
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
    assert!(Arc::ptr_eq(&list, &open("opt@test-lines.map", true, None, &|_| Ok(text.to_vec())).unwrap()));
}

#[test]
fn what_is_added_and_removed_again_and_again_takes_no_room() {
    let list = open("virt@churn", true, None, &|_| Ok(Vec::new())).unwrap();
    let view = list.view(how(Method::Str)).unwrap();
    for i in 0..2000 {
        list.add(None, format!("k{i}").as_bytes(), b"v").unwrap();
        assert!(list.remove(Which::Key(format!("k{i}").as_bytes())));
    }
    assert!(list.inner.read().entries.dead() <= 64);
    list.add(None, b"k", b"last").unwrap();
    assert_eq!(value(&view, "k").as_deref(), Some("last"));
}
