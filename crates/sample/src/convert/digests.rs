//! Message digests by their OpenSSL names.

use aws_lc_rs::digest as lc;
use md5::Digest;
use sha3::digest::core_api::BlockSizeUser;
use sha3::digest::{ExtendableOutput as _, Update as _, XofReader as _};

/// A message digest.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Algorithm {
    /// One of the library that TLS stands on.
    Lc(&'static lc::Algorithm),
    /// Another one.
    Other {
        /// The digest of parts behind one another.
        digest: fn(&[&[u8]]) -> Vec<u8>,
        /// Bytes of the blocks that its HMAC goes by; 0: it has none.
        block: usize,
    },
}

/// One that is made of blocks.
const fn blocks<D: Digest + BlockSizeUser>(block: usize) -> Algorithm {
    Algorithm::Other { digest: hash::<D>, block }
}

fn hash<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
    let mut state = D::new();
    parts.iter().for_each(|p| state.update(p));
    state.finalize().to_vec()
}

fn shake128(parts: &[&[u8]]) -> Vec<u8> {
    let mut state = sha3::Shake128::default();
    parts.iter().for_each(|p| state.update(p));
    let mut out = vec![0; 16];
    state.finalize_xof().read(&mut out);
    out
}

fn shake256(parts: &[&[u8]]) -> Vec<u8> {
    let mut state = sha3::Shake256::default();
    parts.iter().for_each(|p| state.update(p));
    let mut out = vec![0; 32];
    state.finalize_xof().read(&mut out);
    out
}

fn md5_sha1(parts: &[&[u8]]) -> Vec<u8> {
    let sha1 = Algorithm::Lc(&lc::SHA1_FOR_LEGACY_USE_ONLY);
    [hash::<md5::Md5>(parts), sha1.of_parts(parts)].concat()
}

/// The names that OpenSSL 3 has, in lower case, and its digests; object identifiers are names too.
const NAMES: &[(&str, Algorithm)] = &[
    ("md5 ssl3-md5 rsa-md5 md5withrsaencryption 1.2.840.113549.2.5", blocks::<md5::Md5>(64)),
    ("md5-sha1", Algorithm::Other { digest: md5_sha1, block: 64 }),
    (
        "sha1 sha-1 ssl3-sha1 rsa-sha1 rsa-sha1-2 sha1withrsa sha1withrsaencryption 1.3.14.3.2.26",
        Algorithm::Lc(&lc::SHA1_FOR_LEGACY_USE_ONLY),
    ),
    (
        "sha224 sha-224 sha2-224 rsa-sha224 sha224withrsaencryption 2.16.840.1.101.3.4.2.4",
        Algorithm::Lc(&lc::SHA224),
    ),
    (
        "sha256 sha-256 sha2-256 rsa-sha256 sha256withrsaencryption 2.16.840.1.101.3.4.2.1",
        Algorithm::Lc(&lc::SHA256),
    ),
    (
        "sha384 sha-384 sha2-384 rsa-sha384 sha384withrsaencryption 2.16.840.1.101.3.4.2.2",
        Algorithm::Lc(&lc::SHA384),
    ),
    (
        "sha512 sha-512 sha2-512 rsa-sha512 sha512withrsaencryption 2.16.840.1.101.3.4.2.3",
        Algorithm::Lc(&lc::SHA512),
    ),
    (
        "sha512-224 sha-512/224 sha2-512/224 rsa-sha512/224 sha512-224withrsaencryption 2.16.840.1.101.3.4.2.5",
        blocks::<sha2::Sha512_224>(128),
    ),
    (
        "sha512-256 sha-512/256 sha2-512/256 rsa-sha512/256 sha512-256withrsaencryption 2.16.840.1.101.3.4.2.6",
        Algorithm::Lc(&lc::SHA512_256),
    ),
    (
        "sha3-224 rsa-sha3-224 id-rsassa-pkcs1-v1_5-with-sha3-224 2.16.840.1.101.3.4.2.7",
        blocks::<sha3::Sha3_224>(144),
    ),
    (
        "sha3-256 rsa-sha3-256 id-rsassa-pkcs1-v1_5-with-sha3-256 2.16.840.1.101.3.4.2.8",
        Algorithm::Lc(&lc::SHA3_256),
    ),
    (
        "sha3-384 rsa-sha3-384 id-rsassa-pkcs1-v1_5-with-sha3-384 2.16.840.1.101.3.4.2.9",
        Algorithm::Lc(&lc::SHA3_384),
    ),
    (
        "sha3-512 rsa-sha3-512 id-rsassa-pkcs1-v1_5-with-sha3-512 2.16.840.1.101.3.4.2.10",
        Algorithm::Lc(&lc::SHA3_512),
    ),
    ("shake128 shake-128 2.16.840.1.101.3.4.2.11", Algorithm::Other { digest: shake128, block: 0 }),
    ("shake256 shake-256 2.16.840.1.101.3.4.2.12", Algorithm::Other { digest: shake256, block: 0 }),
    (
        "ripemd160 ripemd ripemd-160 rmd160 rsa-ripemd160 ripemd160withrsa 1.3.36.3.2.1",
        blocks::<ripemd::Ripemd160>(64),
    ),
    ("blake2b512 blake2b-512 1.3.6.1.4.1.1722.12.2.1.16", blocks::<blake2::Blake2b512>(128)),
    ("blake2s256 blake2s-256 1.3.6.1.4.1.1722.12.2.2.8", blocks::<blake2::Blake2s256>(64)),
    ("sm3 rsa-sm3 sm3withrsaencryption 1.2.156.10197.1.401", blocks::<sm3::Sm3>(64)),
];

/// Names of digests that OpenSSL 3 takes and has no value for, as they belong to its legacy provider.
const LEGACY: &str = "md4 rsa-md4 md4withrsaencryption whirlpool";

impl Algorithm {
    /// By its name, in any case.
    ///
    /// # Errors
    /// The name is not known; HAProxy's message.
    pub(super) fn of(name: &[u8]) -> Result<Self, String> {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let is_one = |names: &str| names.split(' ').any(|n| n == name);
        match NAMES.iter().find(|(names, _)| is_one(names)) {
            Some((_, algorithm)) => Ok(*algorithm),
            None if is_one(LEGACY) => Err(format!(
                "message digest '{name}' is not supported (OpenSSL 3 gives no value for it either)."
            )),
            None => Err("algorithm must be a valid OpenSSL message digest name.".into()),
        }
    }

    /// Digest of the parts behind one another.
    pub(in super::super) fn of_parts(self, parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Other { digest, .. } => digest(parts),
            Self::Lc(a) => {
                let mut c = lc::Context::new(a);
                parts.iter().for_each(|p| c.update(p));
                c.finish().as_ref().to_vec()
            }
        }
    }

    fn block(self) -> usize {
        match self {
            Self::Other { block, .. } => block,
            Self::Lc(a) => a.block_len(),
        }
    }

    /// HMAC (RFC 2104); none where the digest has none.
    pub(in super::super) fn mac(self, key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
        let block = self.block();
        if block == 0 {
            return None;
        }
        let short;
        let key = if key.len() > block {
            short = self.of_parts(&[key]);
            &short[..]
        } else {
            key
        };
        let pad = |x: u8| -> Vec<u8> { (0..block).map(|i| key.get(i).copied().unwrap_or(0) ^ x).collect() };
        Some(self.of_parts(&[&pad(0x5c), &self.of_parts(&[&pad(0x36), message])]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02X}")).collect()
    }

    /// `digest` and `hmac` of "abc" with the key "key", the beginning of each as 3.5 gives it.
    #[test]
    fn as_haproxy_has_them() {
        for (name, digest, mac) in [
            ("MD5", "900150983CD24FB0", "D2FE98063F876B03"),
            ("md5-sha1", "900150983CD24FB0", "A76E5CC4BDAA99B8"),
            ("RSA-SHA1-2", "A9993E364706816A", "4FD0B215276EF12F"),
            ("sha-224", "23097D223405D822", "F524670B7E34F314"),
            ("2.16.840.1.101.3.4.2.1", "BA7816BF8F01CFEA", "9C196E32DC0175F8"),
            ("sha2-384", "CB00753F45A35E8B", "30DDB9C8F347CFFB"),
            ("sha512WithRSAEncryption", "DDAF35A193617ABA", "3926A207C8C42B0C"),
            ("sha512-224", "4634270F707B6A54", "28BC0433EF684EA9"),
            ("sha2-512/256", "53048E2681941EF9", "F367B7CA80AB2CF8"),
            ("sha3-224", "E642824C3F8CF24A", "09D9D74E7D761C8F"),
            ("sha3-256", "3A985DA74FE225B2", "09B6DBAB8D11795C"),
            ("sha3-384", "EC01498288516FC9", "94F2AA7AE7C4B7B8"),
            ("RSA-SHA3-512", "B751850B1A57168A", "085E4E83503F40B8"),
            ("shake128", "5881092DD818BF5C", ""),
            ("shake-256", "483366601360A877", ""),
            ("ripemd160", "8EB208F7E05D987A", "67FDCE738EBFC737"),
            ("blake2b512", "BA80A53F981C4D0D", "05CC4815438D5CFE"),
            ("blake2s-256", "508C5E8C327C14E2", "0018BFDDC0C878B3"),
            ("sm3", "66C7F0F462EEEDD9", "28E63256E7C5A087"),
        ] {
            let algorithm = Algorithm::of(name.as_bytes()).expect(name);
            let whole = hex(&algorithm.of_parts(&[b"a", b"bc"]));
            assert!(whole.starts_with(digest), "{name} {whole}");
            let mac_ = algorithm.mac(b"key", b"abc").map(|m| hex(&m)).unwrap_or_default();
            assert!(mac_.starts_with(mac) && mac_.is_empty() == mac.is_empty(), "{name} {mac_}");
        }
        let lengths = |name: &[u8]| Algorithm::of(name).expect("known").of_parts(&[]).len();
        assert_eq!((lengths(b"shake128"), lengths(b"shake256"), lengths(b"md5-sha1")), (16, 32, 36));
        for unknown in ["md4", "whirlpool", "mdc2", "sha2", "sha3", "null"] {
            assert!(Algorithm::of(unknown.as_bytes()).is_err(), "{unknown}");
        }
    }
}
