//! Header field names that the proxy acts on itself.

macro_rules! ids {
    ($($id:ident = $name:literal,)*) => {
        /// A header field name, if it is one that the proxy acts on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum HeaderId {
            /// Any other name.
            Other,
            $(#[doc = $name] $id,)*
        }
        impl HeaderId {
            /// The name in lower case; empty for [`HeaderId::Other`].
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    Self::Other => "",
                    $(Self::$id => $name,)*
                }
            }
            /// Which one a name is, in whatever case.
            #[inline]
            #[must_use]
            pub fn of(name: &[u8]) -> Self {
                // length and last letter leave at most two candidates
                let Some(last) = name.last() else { return Self::Other };
                $(if name.len() == $name.len()
                    && last | 0x20 == $name.as_bytes()[$name.len() - 1]
                    && name.eq_ignore_ascii_case($name.as_bytes())
                {
                    return Self::$id;
                })*
                Self::Other
            }
        }
    };
}

ids! {
    Host = "host",
    Connection = "connection",
    ContentLength = "content-length",
    TransferEncoding = "transfer-encoding",
    Upgrade = "upgrade",
    Expect = "expect",
    KeepAlive = "keep-alive",
    ProxyConnection = "proxy-connection",
    Te = "te",
    Trailer = "trailer",
    Http2Settings = "http2-settings",
    XForwardedFor = "x-forwarded-for",
    XOriginalTo = "x-original-to",
    Forwarded = "forwarded",
    Cookie = "cookie",
    SetCookie = "set-cookie",
    WebSocketKey = "sec-websocket-key",
    WebSocketAccept = "sec-websocket-accept",
}

/// Is this byte allowed in a token (RFC 9110 section 5.6.2)?
#[inline]
#[must_use]
pub const fn is_token(b: u8) -> bool {
    matches!(
        b,
        b'!' | b'#'
            | b'$'
            | b'%'
            | b'&'
            | b'\''
            | b'*'
            | b'+'
            | b'-'
            | b'.'
            | b'^'
            | b'_'
            | b'`'
            | b'|'
            | b'~'
    ) || b.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case_and_nothing_else_is() {
        for id in [
            HeaderId::Host,
            HeaderId::ContentLength,
            HeaderId::Te,
            HeaderId::WebSocketAccept,
            HeaderId::Http2Settings,
        ] {
            assert_eq!(HeaderId::of(id.name().as_bytes()), id);
            assert_eq!(HeaderId::of(id.name().to_uppercase().as_bytes()), id);
        }
        for other in ["", "h", "hos", "hosts", "content_length", "x"] {
            assert_eq!(HeaderId::of(other.as_bytes()), HeaderId::Other, "{other}");
        }
    }
}
