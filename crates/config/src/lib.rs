//! From text to a typed model: lexer, conditionals, sections, keyword rows, diagnostics.
//!
//! `load` turns files into a [`Model`] and every [`Diagnostic`]; nothing here opens a file on its own, the
//! [`Files`] handle does. Keywords are rows ([`Keyword`], [`BindOption`], [`ServerOption`]) gathered in a
//! [`Registry`]; a higher room adds rows of its own and keeps what they parse in [`Extensions`].

pub mod addr;
pub mod balance;
pub mod blocks;
pub mod condition;
pub mod cx;
pub mod diag;
pub mod env;
pub mod env_rows;
pub mod ext;
pub mod files;
pub mod in_place;
pub mod known;
pub mod lexer;
pub mod load;
pub mod model;
pub mod needs;
pub mod no_effect;
pub mod persist;
pub mod refused;
pub mod render;
pub mod resolve;
pub mod retry_on;
pub mod row;
pub mod rows;
pub mod runtime;
pub mod saved;
pub mod sections;
pub mod snapshot;
pub mod suggest;
pub mod unknown;
pub mod word;

pub use balance::{Affinity, Algorithm, Balancing, HashFunction, HashKey, HashType, UriPart};
pub use cx::Cx;
pub use diag::{Diagnostic, Diagnostics, FileId, Place, Severity};
pub use ext::Extensions;
pub use files::Files;
pub use in_place::Setting;
pub use load::{Loaded, Manner, SourceFile, gather, load, load_again, load_as};
pub use model::*;
pub use needs::Needs;
pub use persist::{Cookie, CookieMode};
pub use retry_on::RetryOn;
pub use row::{BindOption, Does, Keyword, Registry, Row, Rows, Sections, ServerOption};
pub use word::{Args, Line, Span, Word};

/// The version of HAProxy's language and output formats that this is compatible with.
pub const VERSION: &str = "3.5-dev5";
/// Its branch.
pub const BRANCH: &str = "3.5";
