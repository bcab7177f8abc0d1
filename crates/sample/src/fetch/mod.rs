//! Sample fetches (manual sections 7.3.2 to 7.3.6).

pub mod bytes;
pub mod connection;
pub mod constant;
pub mod http;
pub mod internal;

use crate::pattern::Method;
use crate::row::{AclKeyword, SampleRows};

macro_rules! derived {
    ($($base:literal of $fetch:literal),* ; $($name:literal = $of:literal $method:ident),* $(,)?) => {
        &[
            $(
                AclKeyword { name: $base, fetch: $fetch, method: Method::Str },
                AclKeyword { name: concat!($base, "_beg"), fetch: $fetch, method: Method::Beg },
                AclKeyword { name: concat!($base, "_dir"), fetch: $fetch, method: Method::Dir },
                AclKeyword { name: concat!($base, "_dom"), fetch: $fetch, method: Method::Dom },
                AclKeyword { name: concat!($base, "_end"), fetch: $fetch, method: Method::End },
                AclKeyword { name: concat!($base, "_len"), fetch: $fetch, method: Method::Len },
                AclKeyword { name: concat!($base, "_reg"), fetch: $fetch, method: Method::Reg },
                AclKeyword { name: concat!($base, "_sub"), fetch: $fetch, method: Method::Sub },
            )*
            $(AclKeyword { name: $name, fetch: $of, method: Method::$method },)*
        ]
    };
}

/// Rows.
pub const ROWS: [SampleRows; 6] =
    [constant::ROWS, connection::ROWS, http::ROWS, bytes::ROWS, internal::ROWS, ACL_ROWS];

/// ACL keywords.
const ACL_ROWS: SampleRows = SampleRows {
    fetches: &[],
    converters: &[],
    acls: derived! {
        "base" of "base", "hdr" of "req.hdr", "path" of "path", "shdr" of "res.hdr", "url" of "url";
        "method" = "method" Str,
        "payload" = "req.payload" Bin,
        "req_ver" = "req.ver" Str,
        "resp_ver" = "res.ver" Str,
    },
};
