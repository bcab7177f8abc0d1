//! Header field names that the proxy acts on itself.

use crate::perfect;

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
                lower(name);
                let candidate = TABLE[slot(name)];
                if candidate.name().as_bytes() == name { candidate } else { Self::Other }
            }
        }
        const ALL: &[HeaderId] = &[$(HeaderId::$id,)*];
        const NAMES: &[&str] = &[$($name,)*];
        /// Length of the longest name.
        const LONGEST: usize = {
            let mut n = 0;
            $(if $name.len() > n { n = $name.len(); })*
            n
        };
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

const _: () = assert!(NAMES.len() < 63, "Head keeps them as bits of one word");

/// Slots of the table by which names are found: no two of them share one, with the right [`SEED`].
const SLOTS: usize = 256;
const SEED: u32 = perfect::seed::<8, false>(&BYTES);
const TABLE: [HeaderId; SLOTS] = table();
const BYTES: [&[u8]; NAMES.len()] = {
    let mut all: [&[u8]; NAMES.len()] = [b""; NAMES.len()];
    let mut i = 0;
    while i < NAMES.len() {
        all[i] = NAMES[i].as_bytes();
        i += 1;
    }
    all
};

/// A name's slot.
#[inline]
const fn slot(name: &[u8]) -> usize {
    perfect::slot::<8, false>(name, SEED)
}

const fn table() -> [HeaderId; SLOTS] {
    let mut table = [HeaderId::Other; SLOTS];
    let mut i = 0;
    while i < NAMES.len() {
        table[slot(BYTES[i])] = ALL[i];
        i += 1;
    }
    table
}

/// ASCII letters in lower case, eight at a time.
#[inline]
fn lower(name: &mut [u8]) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const LOW: u64 = ONES * 0x7f;
    let lower_word = |word: &mut [u8; 8]| {
        let w = u64::from_le_bytes(*word);
        let low = w & LOW;
        // the high bit of each byte: from 'A' on, and not behind 'Z', and ASCII
        let upper = (low + ONES * (0x80 - 0x41)) & !(low + ONES * (0x80 - 0x5b)) & !w & (ONES * 0x80);
        *word = (w | upper >> 2).to_le_bytes();
    };
    name.as_chunks_mut::<8>().0.iter_mut().for_each(lower_word);
    match name.last_chunk_mut::<8>() {
        // once more for some of them does no harm
        Some(last) => lower_word(last),
        None => name.make_ascii_lowercase(),
    }
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
    fn lower_case_is_of_ascii_letters_only() {
        for shift in 0..9 {
            let mut all: Vec<u8> = (0..=255).cycle().skip(shift).take(256 + shift).collect();
            let want = all.to_ascii_lowercase();
            lower(&mut all);
            assert_eq!(all, want);
        }
    }

    #[test]
    fn every_name_is_found_in_any_case_and_nothing_else_is() {
        for &id in ALL {
            assert_eq!(HeaderId::of(id.name().as_bytes()), id);
            assert_eq!(HeaderId::of(id.name().to_uppercase().as_bytes()), id);
        }
        for other in ["", "h", "hos", "hosts", "content_length", "x"] {
            assert_eq!(HeaderId::of(other.as_bytes()), HeaderId::Other, "{other}");
        }
    }
}
