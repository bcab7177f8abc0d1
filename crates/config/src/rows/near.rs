//! "Did you mean": the known word that is nearest to a mistyped one.

/// `; did you mean 'NAME' maybe ?`, or nothing if no name is near.
pub fn hint<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> String {
    match nearest(word, names) {
        Some(name) => format!("; did you mean '{name}' maybe ?"),
        None => String::new(),
    }
}

/// The nearest of `names`, if it is near enough to be meant: a third of its letters may differ.
pub fn nearest<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let limit = (word.len() / 3).max(1);
    names
        .filter(|n| n.len().abs_diff(word.len()) <= limit)
        .map(|n| (distance(word.as_bytes(), n.as_bytes()), n))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, _)| *d)
        .map(|(_, n)| n)
}

/// Edit distance in which two swapped neighbours count once.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let up = row.get(j + 1).map_or(usize::MAX, |n| n + 1);
            let left = next.get(j).map_or(usize::MAX, |n| n + 1);
            let diagonal = row.get(j).map_or(usize::MAX, |n| n + usize::from(x != y));
            let swapped = match (i.checked_sub(1), j.checked_sub(1)) {
                (Some(p), Some(q)) if a.get(p) == Some(y) && b.get(q) == Some(x) => {
                    before.get(q).map_or(usize::MAX, |n| n + 1)
                }
                _ => usize::MAX,
            };
            next.push(up.min(left).min(diagonal).min(swapped));
        }
        before = row;
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let names = ["mode", "maxconn", "dontlognull", "weight"];
        let near = |w| nearest(w, names.iter().copied());
        assert_eq!(near("mod"), Some("mode"));
        assert_eq!(near("maxcon"), Some("maxconn"));
        assert_eq!(near("wieght"), Some("weight"));
        assert_eq!(near("dontlogull"), Some("dontlognull"));
        assert_eq!(near("xyz"), None);
    }
}
