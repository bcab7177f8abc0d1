//! What a request's URI says behind the page's own: `;csv`, `;up`, `;st=DONE` and so on.

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The page.
    Html,
    /// `;csv`
    Csv,
    /// `;json`
    Json,
    /// `;json-schema`
    Schema,
    /// `;typed`
    Typed,
}

/// The options of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What is wanted.
    pub form: Form,
    /// `;up`
    pub up: bool,
    /// `;no-maint`
    pub no_maint: bool,
    /// `;norefresh`
    pub norefresh: bool,
    /// `;st=`: what came of a change; four letters.
    pub state: Option<String>,
    /// `scope=`: a part of names.
    pub scope: String,
}

/// Longest part of a name that is looked for.
const SCOPE: usize = 20;

impl Options {
    /// What stands behind the page's URI.
    #[must_use]
    pub fn parse(rest: &[u8]) -> Self {
        let has = |word: &[u8]| find(rest, word).is_some();
        let form = if has(b";csv") {
            Form::Csv
        } else if has(b";typed") {
            Form::Typed
        } else if has(b";json-schema") {
            Form::Schema
        } else if has(b";json") {
            Form::Json
        } else {
            Form::Html
        };
        let state = find(rest, b";st=").and_then(|at| rest.get(at + 4..at + 8));
        Self {
            form,
            up: has(b";up"),
            no_maint: has(b";no-maint"),
            norefresh: has(b";norefresh"),
            state: state.map(|s| String::from_utf8_lossy(s).into_owned()),
            scope: scope(rest),
        }
    }

    /// Nothing is refreshed, so that this need not be said.
    #[must_use]
    pub fn without_refresh(mut self) -> Self {
        self.norefresh = false;
        self
    }

    /// They as a URI has them, without what is wanted and what came of a change.
    #[must_use]
    pub fn text(&self) -> String {
        self.text_with(self.up, self.norefresh)
    }

    /// The same with these two as they are given.
    #[must_use]
    pub fn text_with(&self, up: bool, norefresh: bool) -> String {
        let mut out = String::new();
        for (on, word) in [(up, ";up"), (self.no_maint, ";no-maint"), (norefresh, ";norefresh")] {
            if on {
                out.push_str(word);
            }
        }
        if !self.scope.is_empty() {
            out.push_str("?scope=");
            out.push_str(&self.scope);
        }
        out
    }
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|w| w == word)
}

fn scope(rest: &[u8]) -> String {
    let begins = [&b"?scope="[..], b"&scope=", b";scope="].into_iter().filter_map(|w| find(rest, w)).min();
    let value = begins.and_then(|at| rest.get(at + 7..)).unwrap_or_default();
    let part: Vec<u8> = value
        .iter()
        .copied()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
        .take(SCOPE)
        .collect();
    String::from_utf8_lossy(&part).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As 3.5 understands them.
    #[test]
    fn options() {
        let o = Options::parse(b";st=DONE;up;norefresh?scope=oth");
        assert_eq!(o.state.as_deref(), Some("DONE"));
        assert_eq!((o.form, o.up, o.norefresh, o.no_maint), (Form::Html, true, true, false));
        assert_eq!(o.text(), ";up;norefresh?scope=oth");
        assert_eq!(o.text_with(false, true), ";norefresh?scope=oth");
        assert_eq!(Options::parse(b"?x;csv").form, Form::Csv);
        assert_eq!(Options::parse(b";json-schema").form, Form::Schema);
        assert_eq!(Options::parse(b"/csv").form, Form::Html);
        assert_eq!(Options::parse(b";csv;scope=a<b").scope, "a");
        assert_eq!(Options::parse(b";st=DO").state, None);
    }
}
