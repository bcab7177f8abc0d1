//! Typed samples, fetches, converters, conditions and log formats.
//!
//! - [`Scope`] is what everything is evaluated on; [`Facts`] in it is the record of a session or stream.
//! - [`Expr`] is a fetch with converters; it gives a [`Sample`]: there, missing, or not yet decidable.
//! - [`acl`] and [`condition`]: tests of samples against [`pattern`] sets; [`Condition`] is read from words, its
//!   [`Program`] is what the data plane runs.
//! - [`format`]: log formats and everything else that takes a `<fmt>`.
//! - [`row`]: the rows of all of that; a higher room adds its own with [`row::install`].

pub mod account;
pub mod acl;
pub mod args;
pub mod condition;
pub mod convert;
pub mod dump;
pub mod ends;
pub mod expr;
pub mod facts;
pub mod fetch;
pub mod files;
pub mod format;
pub mod global;
pub mod known;
pub mod names;
mod near;
pub mod number;
pub mod pattern;
pub mod place;
pub mod row;
pub mod scope;
pub mod trace;
pub mod users;
pub mod value;
pub mod vars;
pub mod work;

pub use acl::{Acl, Acls, Conflict, Reader, Test, Verdict, Warning, Watch};
pub use condition::{Condition, Program};
pub use convert::sha1;
pub use expr::{Expr, ExprError};
pub use facts::{Altered, Captured, Facts, ServerSide, Socket, Timeout, Timers};
pub use fetch::auth::basic as basic_authorization;
pub use format::Format;
pub use place::Places;
pub use row::{AclKeyword, Convert, Fetch, SampleRows, Vocabulary, vocabulary};
pub use scope::{Direction, Message, Payload, Random, RequestLine, Scope, Unread};
pub use trace::Trace;
pub use value::{Sample, Type, Value};

/// Keywords of this room's sections.
#[must_use]
pub fn keywords() -> [portcullis_config::Rows; 2] {
    use portcullis_config::Rows;
    [
        Rows { keywords: users::KEYWORDS, check: Some(users::check), ..Rows::default() },
        Rows { keywords: global::ROWS, ..Rows::default() },
    ]
}

/// This room's rows, as the first of [`vocabulary`].
pub(crate) const ROOMS: [&[SampleRows]; 2] = [&fetch::ROWS, &convert::ROWS];
