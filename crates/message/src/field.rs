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
                lower(name);
                let candidate = TABLE[slot(name, SEED)];
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
const SEED: u32 = seed();
const TABLE: [HeaderId; SLOTS] = table();

/// A name's slot, from its length, first, last and middle byte.
#[inline]
const fn slot(name: &[u8], seed: u32) -> usize {
    let n = name.len();
    if n == 0 {
        return 0;
    }
    let key = u32::from_le_bytes([n as u8, name[0], name[n - 1], name[n / 2]]);
    (key.wrapping_mul(seed) >> 24) as usize
}

/// The first multiplier with which all names have slots of their own.
const fn seed() -> u32 {
    let mut seed = 0x9e37_79b1_u32;
    'next: loop {
        let mut taken = [false; SLOTS];
        let mut i = 0;
        while i < NAMES.len() {
            let at = slot(NAMES[i].as_bytes(), seed);
            if taken[at] {
                seed = seed.wrapping_add(2);
                continue 'next;
            }
            taken[at] = true;
            i += 1;
        }
        return seed;
    }
}

const fn table() -> [HeaderId; SLOTS] {
    let mut table = [HeaderId::Other; SLOTS];
    let mut i = 0;
    while i < NAMES.len() {
        table[slot(NAMES[i].as_bytes(), SEED)] = ALL[i];
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
