//! Diagnostics: what is wrong, where, and what was expected.

/// Index of a file in [`Diagnostics::files`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// A line of a file: where something was declared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which file.
    pub file: FileId,
    /// Line number, from 1.
    pub line: u32,
}

/// How bad it is, in HAProxy's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Shown with `-dD` only.
    Diag,
    /// For information; never stops anything.
    Notice,
    /// Works, but probably not as meant; `-dW` and `zero-warning` stop on it.
    Warning,
    /// Nothing loads.
    Alert,
}

/// One message to the operator.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// Where, if it concerns a line.
    pub place: Option<Place>,
    /// The columns of the offending word in the raw line, and the raw line itself, to mark it.
    pub mark: Option<(crate::word::Span, String)>,
    /// The message, without "parsing [file:line] :".
    pub message: String,
    /// What to do about it, on a line of its own.
    pub hint: Option<String>,
    /// Found when everything had been read: it is about the whole, and the place is only where to look first.
    pub late: bool,
    /// An alert that stops nothing, as HAProxy has a few.
    pub harmless: bool,
}

/// Every message of one load, in order.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    /// Names of the files, by [`FileId`].
    pub files: Vec<String>,
    /// The messages.
    pub list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Adds a message about a line as a whole.
    pub fn add(
        &mut self,
        severity: Severity,
        place: Option<Place>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let d = Diagnostic {
            severity,
            place,
            mark: None,
            message: message.into(),
            hint: None,
            late: false,
            harmless: false,
        };
        let at = self.list.len();
        self.list.push(d);
        &mut self.list[at]
    }
    /// Adds a message about the whole configuration, found when all of it had been read.
    pub fn late(
        &mut self,
        severity: Severity,
        place: Option<Place>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let d = self.add(severity, place, message);
        d.late = true;
        d
    }
    /// Is there anything that keeps the configuration from loading?
    pub fn failed(&self) -> bool {
        self.list.iter().any(|d| d.severity == Severity::Alert && !d.harmless)
    }
    /// Was a line refused? What can only be said of all of them together is not looked at then.
    pub fn has_bad_lines(&self) -> bool {
        self.list.iter().any(|d| d.severity == Severity::Alert && !d.harmless && d.place.is_some())
    }
    /// How many of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.list.iter().filter(|d| d.severity == severity).count()
    }
}

impl Diagnostic {
    /// Adds a hint.
    pub fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }
    /// Makes an alert one that stops nothing.
    pub fn harmless(&mut self) -> &mut Self {
        self.harmless = true;
        self
    }
    /// Marks a word of the line.
    pub fn mark(&mut self, line: &crate::word::Line, span: crate::word::Span) -> &mut Self {
        self.mark = Some((span, String::from_utf8_lossy(&line.raw).into_owned()));
        self
    }
}
