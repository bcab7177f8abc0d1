//! The Portcullis binary.
fn main() {}
