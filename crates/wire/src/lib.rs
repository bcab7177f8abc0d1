//! Sans-IO codecs: bytes in, events out, no sockets, no clocks.

pub mod base64;
pub mod dns;
pub mod h1;
pub mod h2;
pub mod hex;
pub mod netscaler_cip;
pub mod otlp;
pub mod probe;
pub mod proxy_protocol;
pub mod smtp;
pub mod socks4;
pub mod syslog;
pub mod trace_context;
