//! "Did you mean" in the words of `bind` and `server` options.

/// `; did you mean 'NAME' maybe ?`, or nothing if no name is near.
pub fn hint<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> String {
    match crate::suggest::nearest(word, names) {
        Some(name) => format!("; did you mean '{name}' maybe ?"),
        None => String::new(),
    }
}
