//! End-to-end tests of the real binary: scenarios are played against Portcullis, against Debian's haproxy, and compared with
//! what HAProxy 3.5 was recorded to do.
//!
//! A [`scenario`] is a closure over a [`World`]: it starts origins, a proxy and clients. Everything that its actors see is
//! written to a transcript (times, pids and free ports masked). The transcript must equal the fixture recorded from HAProxy
//! 3.5 under `fixtures/`; where the fixture says that Debian's haproxy does the same, that one is run beside, too.
//!
//! * `PORTCULLIS_BIN=path` plays the scenarios with another binary, such as a haproxy.
//! * `E2E_RECORD=1` records fixtures anew from `haproxy35` (or `HAPROXY35=path`) and Debian's `haproxy`.
//! * `E2E_ALONE=1` leaves the live comparison with Debian's haproxy out.
#![allow(clippy::unwrap_used, clippy::expect_used)] // test support: a failure here is a failed test

pub mod binary;
pub mod client;
pub mod conn;
pub mod dns;
pub mod fixture;
pub mod gate;
pub mod h2;
pub mod mask;
pub mod message;
pub mod origin;
pub mod ports;
pub mod proc;
pub mod process;
pub mod quiet;
pub mod sink;
pub mod world;

pub use client::Client;
pub use conn::{Conn, End};
pub use dns::Dns;
pub use fixture::scenario;
pub use gate::Gate;
pub use h2::H2;
pub use origin::{Origin, OriginConn};
pub use process::{Output, Process};
pub use world::World;
