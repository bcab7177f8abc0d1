//! "Did you mean": the nearest name by edit distance.

/// The nearest of `names`, if it is near enough to be meant.
pub(crate) fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if name.is_empty() || name.len() > 64 {
        return None;
    }
    let limit = (name.len() / 3).clamp(1, 3);
    names
        .map(|n| (distance(name.as_bytes(), n.as_bytes()), n))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, n)| (*d, n.len()))
        .map(|(_, n)| n)
}

/// Levenshtein distance.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (j, y) in b.iter().enumerate() {
            let above = row.get(j + 1).copied().unwrap_or(0);
            let now = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            if let Some(cell) = row.get_mut(j) {
                *cell = left;
            }
            diagonal = above;
            left = now;
        }
        if let Some(last) = row.last_mut() {
            *last = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found() {
        assert_eq!(distance(b"kitten", b"sitting"), 3);
        assert_eq!(nearest("hdrr", ["hdr", "path"].into_iter()), Some("hdr"));
        assert_eq!(nearest("zzzz", ["hdr", "path"].into_iter()), None);
    }
}
