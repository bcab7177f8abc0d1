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
            #[must_use]
            pub fn of(name: &[u8]) -> Self {
                let mut lower = [0; LONGEST];
                match lower.get_mut(..name.len()) {
                    Some(l) => {
                        l.copy_from_slice(name);
                        Self::of_lowering(l)
                    }
                    None => Self::Other,
                }
            }
            /// Puts a name in lower case, and says which one it is.
            #[inline]
            pub fn of_lowering(name: &mut [u8]) -> Self {
                name.make_ascii_lowercase();
                if name.len() > LONGEST || LENGTHS & 1 << name.len() == 0 {
                    return Self::Other;
                }
                $(if name == $name.as_bytes() {
                    return Self::$id;
                })*
                Self::Other
            }
        }
        /// Length of the longest name.
        const LONGEST: usize = {
            let mut n = 0;
            $(if $name.len() > n { n = $name.len(); })*
            n
        };
        /// Bits of the lengths that names have.
        const LENGTHS: u64 = 0 $(| 1 << $name.len())*;
        const _: () = assert!(LONGEST < 64 && [$($name),*].len() < 63, "bit sets of one word");
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
