//! The version-independent HTTP message: head, header list, status, URI, dates.

pub mod date;
pub mod field;
pub mod head;
pub mod method;
pub mod perfect;
pub mod status;
pub mod uri;
pub mod values;

pub use field::HeaderId;
pub use head::{Field, Head, Version};
pub use method::Method;
