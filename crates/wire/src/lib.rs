//! Sans-IO codecs: bytes in, events out, no sockets, no clocks.

pub mod h1;
