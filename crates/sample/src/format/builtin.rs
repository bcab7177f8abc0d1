//! The formats that options select.

use super::{Format, Options};
use crate::number::{ip, unsigned};
use crate::scope::Scope;
use std::net::SocketAddr;
use std::sync::LazyLock;

/// `option httplog` (manual section 8.2.3); also `HAPROXY_HTTP_LOG_FMT`.
pub const HTTP_LOG: &str = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r";
/// `option httpslog` (manual section 8.2.4); also `HAPROXY_HTTPS_LOG_FMT`.
pub const HTTPS_LOG: &str = portcullis_config::env::HTTPS_LOG_FMT;
/// `option httplog clf`; also `HAPROXY_HTTP_CLF_LOG_FMT`.
pub const HTTP_CLF_LOG: &str = "%{+Q}o %{-Q}ci - - [%trg] %r %ST %B \"\" \"\" %cp %ms %ft %b %s %TR %Tw %Tc %Tr %Ta %tsc %ac %fc %bc %sc %rc %sq %bq %CC %CS %hrl %hsl";
/// `option tcplog` (manual section 8.2.2); also `HAPROXY_TCP_LOG_FMT`.
pub const TCP_LOG: &str = "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq";
/// `option tcplog clf`; also `HAPROXY_TCP_CLF_LOG_FMT`.
pub const TCP_CLF_LOG: &str = "%{Q}o %{-Q}ci - - [%T] \"TCP \" 000 %B \"\" \"\" %cp %ms %ft %b %s %Th %Tw %Tc %Tt %U %ts-- %ac %fc %bc %sc %rc %sq %bq \"\" \"\" ";
/// The head of the default error line (manual section 8.2.5), in front of "bind: message".
pub const ERROR_LOG: &str = "%ci:%cp [%t] %f/";

macro_rules! compiled {
    ($name:ident, $text:ident, $what:literal) => {
        #[doc = $what]
        #[must_use]
        pub fn $name() -> Format {
            static MADE: LazyLock<Format> = LazyLock::new(|| {
                Format::compile($text.as_bytes(), Options::LOG, &crate::row::vocabulary())
                    .map(|f| f.0)
                    .unwrap_or_default()
            });
            MADE.clone()
        }
    };
}

compiled!(builtin_http, HTTP_LOG, "[`HTTP_LOG`], compiled.");
compiled!(builtin_https, HTTPS_LOG, "[`HTTPS_LOG`], compiled.");
compiled!(builtin_http_clf, HTTP_CLF_LOG, "[`HTTP_CLF_LOG`], compiled.");
compiled!(builtin_tcp, TCP_LOG, "[`TCP_LOG`], compiled.");
compiled!(builtin_tcp_clf, TCP_CLF_LOG, "[`TCP_CLF_LOG`], compiled.");

/// The line of a frontend without a log format, at accept (manual section 8.2.1):
/// `Connect from 10.0.1.2:33312 to 10.0.3.31:8012 (www/HTTP)`.
pub fn connect_line(scope: &Scope<'_>, out: &mut Vec<u8>) {
    let f = scope.facts;
    let end = |a: Option<SocketAddr>, out: &mut Vec<u8>| match a {
        Some(a) => {
            ip(out, a.ip());
            out.push(b':');
            unsigned(out, a.port().into());
        }
        None => {
            out.extend_from_slice(b"unix:");
            unsigned(out, f.listener_id.into());
        }
    };
    out.extend_from_slice(b"Connect from ");
    end(f.client, out);
    out.extend_from_slice(b" to ");
    end(f.connected_to(), out);
    out.extend_from_slice(b" (");
    out.extend_from_slice(f.frontend_name.as_bytes());
    out.extend_from_slice(if f.http { b"/HTTP)" } else { b"/TCP)" });
}

/// The line of a session that fails before there is a stream (manual section 8.2.5):
/// `127.0.0.1:56059 [03/Dec/2012:17:35:10.380] frt/f1: Connection error during SSL handshake`.
pub fn error_line(scope: &Scope<'_>, message: &str, out: &mut Vec<u8>) {
    static HEAD: LazyLock<Format> = LazyLock::new(|| {
        Format::compile(ERROR_LOG.as_bytes(), Options::LOG, &crate::row::vocabulary())
            .map(|f| f.0)
            .unwrap_or_default()
    });
    HEAD.run(scope, out);
    match scope.facts.listener_name {
        Some(n) => out.extend_from_slice(n.as_bytes()),
        None => unsigned(out, scope.facts.listener_id.into()),
    }
    out.extend_from_slice(b": ");
    out.extend_from_slice(message.as_bytes());
}
