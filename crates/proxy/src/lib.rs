//! Sessions and streams: accept, rules, routing, forwarding, filters, answers of our own, applets.
//!
//! A connection's way: [`accept`] takes it under the limits, [`session`] speaks to it, [`http::exchange`] or [`tcp`]
//! runs its streams, [`upstream`] finds a server, [`outcome`] tells how it ended. [`check`] looks after servers, [`dns`] after their names.

pub mod accept;
pub mod altered;
pub mod applet;
pub mod broken;
pub mod captured;
pub mod check;
pub mod debug;
pub mod dns;
pub mod explain;
pub mod filter;
pub mod h2;
pub mod handshake;
pub mod http;
pub mod live;
pub mod logs;
pub mod mail;
pub mod otel;
pub mod outcome;
pub mod own;
pub mod persist;
pub mod plan;
pub mod preface;
pub mod process;
pub mod relay;
pub mod reply;
pub mod rules;
pub mod session;
pub mod socks;
pub mod start;
pub mod tcp;
pub mod tls;
pub mod traced;
pub mod upstream;
pub mod usesrc;
pub mod worker;
