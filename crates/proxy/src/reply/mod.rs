//! Answers that the proxy gives itself: error pages, `return`, `deny`, redirections.
//!
//! A [`Spec`] is what a rule or `http-error` says; [`ErrorPages`] is what a proxy has for each status; both make an
//! [`Answer`], which `http-after-response` rules may still change before it is written.

pub mod answer;
pub mod codes;
pub mod page;
pub mod pages;
pub mod rows;
pub mod spec;

pub use answer::{Answer, Body, write_early};
pub use page::Page;
pub use pages::{ErrorPages, built_in};
pub use spec::{Content, Of, Pages, Spec};
