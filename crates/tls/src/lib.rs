//! TLS: certificates, OpenSSL's configuration language, and rustls connections without sockets.
//!
//! A listener's [`acceptor::Acceptor`] and a server's [`connector::Connector`] are made from what the configuration says
//! ([`settings`]); a [`stream::Stream`] is one connection: bytes of the network in, bytes of the application out.

pub mod acceptor;
pub mod again;
pub mod ahead;
pub mod alpn_challenge;
pub mod compression;
pub mod connector;
pub mod constraints;
pub mod der;
pub mod describe;
pub mod dn;
pub mod dummy;
mod ecdsa;
pub mod encrypted;
pub mod errors;
mod groups;
pub mod hello;
pub mod info;
pub mod jwt;
pub mod kernel;
pub mod keys;
pub mod live;
pub mod mint;
pub mod names;
pub mod ocsp;
pub mod odd_name;
mod p521;
mod path;
pub mod revocation;
pub mod rows;
pub mod secrets;
pub mod settings;
pub mod store;
pub mod stream;
pub mod suites;
pub mod tickets;
pub mod verify;
pub mod x509;

pub use rustls::Error;
