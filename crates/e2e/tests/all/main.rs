//! Every end-to-end test, in one binary.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a failure here is a failed test

mod http1;
