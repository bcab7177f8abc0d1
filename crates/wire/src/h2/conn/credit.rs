//! A peer's credit: work that brings it nothing costs some of it, requests that are answered bring some back, and so does
//! time. A connection that has none left ends.

/// The most.
pub const MOST: i32 = 2_000;
/// What comes back in a second.
pub const A_SECOND: u64 = 200;
/// A frame that asks for nothing but work.
pub const FRAME: i32 = 1;
/// A stream that is reset before it was answered.
pub const RESET: i32 = 8;
/// A request.
pub const REQUEST: i32 = 2;
/// A response that went out whole.
pub const ANSWER: i32 = 8;
/// A piece of payload that went out.
pub const DATA: i32 = 2;
/// A frame of payload that came in.
pub const TAKEN: i32 = 1;
/// So many bytes of a header block that is refused cost one: they were decoded all the same.
pub const REFUSED_BLOCK: i32 = 64;
