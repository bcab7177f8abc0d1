//! What stands in place of names and addresses where they are hidden (`set anon on`, management manual section 9.3).

use portcullis_sample::convert::hash::xxh32;
use std::net::IpAddr;

/// Hides words by a key; 0: it hides nothing.
#[derive(Clone, Copy, Debug)]
pub struct Veil(pub u32);

impl Veil {
    /// A name.
    #[must_use]
    pub fn word(self, word: &str) -> String {
        match self.0 {
            0 => word.to_owned(),
            key => format!("{:06x}", xxh32(key, word.as_bytes()) & 0x00ff_ffff),
        }
    }
    /// An address as text, or a dash. That of this host stays.
    #[must_use]
    pub fn address(self, text: &str) -> String {
        match text.parse::<IpAddr>() {
            Ok(ip) if self.0 == 0 || ip.is_loopback() => text.to_owned(),
            Ok(IpAddr::V4(_)) => format!("IPV4({})", self.word(text)),
            Ok(IpAddr::V6(_)) => format!("IPV6({})", self.word(text)),
            Err(_) => self.word(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As 3.5 shows them.
    #[test]
    fn words_and_addresses() {
        let veil = Veil(1234);
        assert_eq!(veil.word("be"), "ef0d7f");
        assert_eq!(veil.address("10.11.12.13"), "IPV4(3c6704)");
        assert_eq!(veil.address("127.0.0.1"), "127.0.0.1");
        assert_eq!(veil.address("-"), "f55821");
        assert_eq!(Veil(0).address("-"), "-");
    }
}
