//! Sample fetches (manual sections 7.3.2 to 7.3.6).

pub(crate) mod acls;
pub(crate) mod auth;
mod blocks;
pub mod bytes;
pub mod connection;
pub mod constant;
mod cookies;
mod costs;
mod distcc;
mod hello;
pub mod http;
pub mod internal;
pub mod link;
mod otel;
mod request;
pub mod tls;
mod variables;

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
pub const ROWS: [SampleRows; 28] = [
    constant::ROWS,
    acls::ROWS,
    blocks::ROWS,
    cookies::ROWS,
    costs::ROWS,
    distcc::ROWS,
    link::ROWS[0],
    link::ROWS[1],
    link::ROWS[2],
    link::ROWS[3],
    connection::ROWS,
    http::ROWS,
    request::ROWS,
    auth::ROWS,
    variables::ROWS,
    bytes::ROWS,
    hello::ROWS,
    internal::ROWS,
    otel::ROWS,
    tls::ROWS[0],
    tls::ROWS[1],
    tls::ROWS[2],
    tls::ROWS[3],
    tls::ROWS[4],
    tls::ROWS[5],
    tls::ROWS[6],
    tls::ROWS[7],
    ACL_ROWS,
];

/// ACL keywords.
const ACL_ROWS: SampleRows = SampleRows {
    fetches: &[],
    converters: &[],
    acls: derived! {
        "base" of "base", "cook" of "req.cook", "hdr" of "req.hdr", "path" of "path", "scook" of "res.cook",
        "shdr" of "res.hdr", "url" of "url", "urlp" of "urlp";
        "http_auth_group" = "http_auth_group" Str,
        "method" = "method" Str,
        "payload" = "req.payload" Bin,
        "payload_lv" = "req.payload_lv" Bin,
        "req.ssl_ver" = "req.ssl_ver" Int,
        "req_rdp_cookie" = "req.rdp_cookie" Str,
        "req_rdp_cookie_cnt" = "req.rdp_cookie_cnt" Int,
        "req_ssl_sni" = "req.ssl_sni" Str,
        "req_ssl_ver" = "req.ssl_ver" Int,
        "req_ver" = "req.ver" Str,
        "resp_ver" = "res.ver" Str,
        "ssl_fc_sni_end" = "ssl_fc_sni" End,
        "ssl_fc_sni_reg" = "ssl_fc_sni" Reg,
    },
};
