//! From text to a typed model: lexer, conditionals, sections, keyword rows, diagnostics.
//!
//! `load` turns files into a [`Model`] and every [`Diagnostic`]; nothing here opens a file on its own, the
//! [`Files`] handle does. Keywords are rows ([`Keyword`], [`BindOption`], [`ServerOption`]) gathered in a
//! [`Registry`]; a higher room adds rows of its own and keeps what they parse in [`Extensions`].

pub mod addr;
pub mod cx;
pub mod diag;
pub mod ext;
pub mod files;
pub mod model;
pub mod row;
pub mod rows;
pub mod word;

pub use cx::Cx;
pub use diag::{Diagnostic, Diagnostics, FileId, Place, Severity};
pub use ext::Extensions;
pub use files::Files;
pub use model::*;
pub use row::{BindOption, Does, Keyword, Registry, Row, Rows, Sections, ServerOption};
pub use word::{Args, Line, Span, Word};
