//! What a row's function works with: the model so far, the section that is open, and where to report.

use crate::diag::{Diagnostic, Diagnostics, Severity};
use crate::ext::Extensions;
use crate::files::Files;
use crate::model::{Model, Proxy};
use crate::row::{Registry, Sections};
use crate::word::{Line, Word};

/// The parse in progress, as a row's function sees it.
pub struct Cx<'a> {
    /// Everything read so far.
    pub model: &'a mut Model,
    /// All messages so far.
    pub diags: &'a mut Diagnostics,
    /// All rows.
    pub registry: &'a Registry,
    /// How to reach files that the configuration names (`default-path` applied by [`Model::path`]).
    pub files: &'a dyn Files,
    /// Environment variables as the configuration sees them.
    pub env: &'a mut crate::env::Env,
    /// The line being parsed.
    pub line: &'a Line,
    /// The section that is open (one bit).
    pub section: Sections,
    /// `no` stood before the keyword.
    pub negated: bool,
    /// `default` stood before the keyword.
    pub defaulted: bool,
}

impl<'a> Cx<'a> {
    /// The proxy section that is open (`defaults`, `frontend`, `listen` or `backend`). The parser calls rows of
    /// proxy sections only inside one.
    pub fn proxy(&mut self) -> &mut Proxy {
        self.model.open_proxy()
    }
    /// What a higher room keeps with the open proxy section.
    pub fn ext<T: Clone + Default + Send + Sync + 'static>(&mut self) -> &mut T {
        self.model.open_proxy().ext.entry()
    }
    /// What a higher room keeps with `global`.
    pub fn global_ext<T: Clone + Default + Send + Sync + 'static>(&mut self) -> &mut T {
        let e: &mut Extensions = &mut self.model.global.ext;
        e.entry()
    }
    /// An error: nothing loads. `word` is marked in the line.
    pub fn alert(&mut self, word: Option<&Word>, message: impl Into<String>) -> &mut Diagnostic {
        self.report(Severity::Alert, word, message.into())
    }
    /// A warning.
    pub fn warn(&mut self, word: Option<&Word>, message: impl Into<String>) -> &mut Diagnostic {
        self.report(Severity::Warning, word, message.into())
    }
    /// A notice.
    pub fn notice(&mut self, word: Option<&Word>, message: impl Into<String>) -> &mut Diagnostic {
        self.report(Severity::Notice, word, message.into())
    }
    /// Something that is probably not as meant, shown with `-dD` only.
    pub fn diag(&mut self, word: Option<&Word>, message: impl Into<String>) -> &mut Diagnostic {
        self.report(Severity::Diag, word, message.into())
    }
    fn report(&mut self, severity: Severity, word: Option<&Word>, message: String) -> &mut Diagnostic {
        let d = self.diags.add(severity, Some(self.line.place()), message);
        match word {
            Some(w) => d.mark(self.line, w.span),
            None => d,
        }
    }
}
