//! OpenSSL's names and cipher language (ciphers(1)), translated to what rustls has.

use crate::p521::SECP521R1;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::{cipher_suite as cs, kx_group as kx};
use rustls::{CipherSuite, SignatureScheme, SupportedCipherSuite};

/// A TLS 1.2 suite: its name, and every keyword of the language that means it.
struct Suite {
    suite: SupportedCipherSuite,
    name: &'static str,
    aliases: &'static [&'static str],
}

const COMMON: &[&str] = &[
    "ALL",
    "DEFAULT",
    "PROFILE=SYSTEM",
    "HIGH",
    "kECDHE",
    "kEECDH",
    "ECDHE",
    "EECDH",
    "ECDH",
    "TLSv1.2",
    "AEAD",
];

/// In the order of OpenSSL's default.
static SUITES: &[Suite] = &[
    Suite {
        suite: cs::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        name: "ECDHE-ECDSA-AES256-GCM-SHA384",
        aliases: &["aECDSA", "ECDSA", "AES", "AES256", "AESGCM", "SHA384", "FIPS", "SUITEB192", "SUITEB128"],
    },
    Suite {
        suite: cs::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        name: "ECDHE-RSA-AES256-GCM-SHA384",
        aliases: &["aRSA", "AES", "AES256", "AESGCM", "SHA384", "FIPS"],
    },
    Suite {
        suite: cs::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        name: "ECDHE-ECDSA-CHACHA20-POLY1305",
        aliases: &["aECDSA", "ECDSA", "CHACHA20"],
    },
    Suite {
        suite: cs::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        name: "ECDHE-RSA-CHACHA20-POLY1305",
        aliases: &["aRSA", "CHACHA20"],
    },
    Suite {
        suite: cs::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        name: "ECDHE-ECDSA-AES128-GCM-SHA256",
        aliases: &["aECDSA", "ECDSA", "AES", "AES128", "AESGCM", "SHA256", "FIPS", "SUITEB128"],
    },
    Suite {
        suite: cs::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        name: "ECDHE-RSA-AES128-GCM-SHA256",
        aliases: &["aRSA", "AES", "AES128", "AESGCM", "SHA256", "FIPS"],
    },
];

static SUITES_13: &[(SupportedCipherSuite, &str)] = &[
    (cs::TLS13_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384"),
    (cs::TLS13_CHACHA20_POLY1305_SHA256, "TLS_CHACHA20_POLY1305_SHA256"),
    (cs::TLS13_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256"),
];

/// Named in the language of TLS 1.3 suites, but not offered by the library.
const OTHER_13: &[&str] = &["TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"];

/// OpenSSL's name of a suite, and the bits of its key.
#[must_use]
pub fn cipher(suite: CipherSuite) -> (&'static str, u16) {
    let name = SUITES
        .iter()
        .map(|s| (s.suite.suite(), s.name))
        .chain(SUITES_13.iter().map(|(s, name)| (s.suite(), *name)))
        .find(|(s, _)| *s == suite)
        .map_or("", |(_, name)| name);
    (name, if name.contains("128") { 128 } else { 256 })
}

/// The TLS 1.2 suites when nothing is said.
#[must_use]
pub fn default_ciphers() -> Vec<SupportedCipherSuite> {
    SUITES.iter().map(|s| s.suite).collect()
}

/// The TLS 1.3 suites when nothing is said.
#[must_use]
pub fn default_suites() -> Vec<SupportedCipherSuite> {
    SUITES_13.iter().map(|(s, _)| *s).collect()
}

impl Suite {
    fn is(&self, keyword: &str) -> bool {
        keyword == self.name || COMMON.contains(&keyword) || self.aliases.contains(&keyword)
    }
}

/// The items of a cipher string. A command (`@`) may follow another item directly.
fn cipher_items(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split([':', ',', ' ', ';']).flat_map(|part| {
        let (item, command) = part.split_at(part.find('@').unwrap_or(part.len()));
        [item, command]
    });
    parts.filter(|item| !item.is_empty())
}

/// The level that a cipher string asks for (`@SECLEVEL`, 0 to 5): the last one counts.
#[must_use]
pub fn security_level(text: &str) -> Option<u8> {
    let levels = cipher_items(text).filter_map(|item| item.strip_prefix("@SECLEVEL="));
    levels.last()?.parse().ok().filter(|level| *level <= 5)
}

/// Reads a cipher string. What is left may be empty; names of suites that no modern library has are told too.
#[must_use]
pub fn ciphers(text: &str) -> (Vec<SupportedCipherSuite>, Vec<String>) {
    let (mut list, mut dead, mut unknown): (Vec<usize>, Vec<usize>, Vec<String>) = Default::default();
    for item in cipher_items(text) {
        if let Some(command) = item.strip_prefix('@') {
            if command == "STRENGTH" {
                list.sort_by_key(|i| SUITES.get(*i).is_some_and(|s| s.name.contains("128")));
            }
            if command.starts_with("SECLEVEL=") && security_level(item).is_none() {
                return Default::default();
            }
            continue;
        }
        let (sign, what) = match item.split_at_checked(1) {
            Some((s @ ("!" | "-" | "+"), rest)) => (s, rest),
            _ => ("", item),
        };
        let matching: Vec<usize> = (0..SUITES.len())
            .filter(|i| SUITES.get(*i).is_some_and(|s| what.split('+').all(|k| s.is(k))))
            .collect();
        match sign {
            "!" => {
                list.retain(|i| !matching.contains(i));
                dead.extend(matching);
            }
            "-" => list.retain(|i| !matching.contains(i)),
            "+" => {
                let (moved, kept): (Vec<usize>, Vec<usize>) = list.iter().partition(|i| matching.contains(i));
                list = kept;
                list.extend(moved);
            }
            _ => {
                if matching.is_empty() && what.contains('-') {
                    unknown.push(what.to_owned());
                }
                for i in matching {
                    if !list.contains(&i) && !dead.contains(&i) {
                        list.push(i);
                    }
                }
            }
        }
    }
    (list.into_iter().filter_map(|i| SUITES.get(i)).map(|s| s.suite).collect(), unknown)
}

/// Reads a list of TLS 1.3 suites; `None`: no name is known. Unknown ones beside known ones are left out.
#[must_use]
pub fn suites(text: &str) -> Option<Vec<SupportedCipherSuite>> {
    let (mut out, mut known, mut unknown) = (Vec::new(), false, false);
    for name in text.split(':').filter(|n| !n.is_empty()) {
        match SUITES_13.iter().find(|(_, n)| n.eq_ignore_ascii_case(name)) {
            Some((s, _)) => out.push(*s),
            None if OTHER_13.contains(&name) => known = true,
            None => unknown = true,
        }
    }
    (known || !unknown || !out.is_empty()).then_some(out)
}

/// Names of a list, with colons between, that are known and stand for nothing here; `count` reads a list.
#[must_use]
pub fn gone(text: &str, count: impl Fn(&str) -> Option<usize>) -> Vec<String> {
    let names = text.split(':').filter(|n| !n.is_empty());
    names.filter(|n| count(n) == Some(0)).map(str::to_owned).collect()
}

/// The groups of key exchanges when nothing is said: post-quantum first.
#[must_use]
pub fn default_groups() -> Vec<&'static dyn SupportedKxGroup> {
    vec![kx::X25519MLKEM768, kx::X25519, kx::SECP256R1, kx::SECP384R1, SECP521R1]
}

/// Reads a list of groups; `None`: a name is unknown. What the library lacks is left out.
#[must_use]
pub fn groups(text: &str) -> Option<Vec<&'static dyn SupportedKxGroup>> {
    let mut out: Vec<&'static dyn SupportedKxGroup> = Vec::new();
    for name in text.split(':').filter(|n| !n.is_empty()) {
        let name = name.trim_start_matches(['*', '?']).to_ascii_lowercase();
        match name.as_str() {
            "x25519" => out.push(kx::X25519),
            "p-256" | "prime256v1" | "secp256r1" => out.push(kx::SECP256R1),
            "p-384" | "secp384r1" => out.push(kx::SECP384R1),
            "p-521" | "secp521r1" => out.push(SECP521R1),
            "x25519mlkem768" => out.push(kx::X25519MLKEM768),
            "secp256r1mlkem768" => out.push(kx::SECP256R1MLKEM768),
            "mlkem768" => out.push(kx::MLKEM768),
            "x448" | "secp256k1" | "secp224r1" | "p-224" | "mlkem512" | "mlkem1024"
            | "secp384r1mlkem1024" | "x448mlkem1024" | "ffdhe2048" | "ffdhe3072" | "ffdhe4096"
            | "ffdhe6144" | "ffdhe8192" | "brainpoolp256r1" | "brainpoolp384r1" | "brainpoolp512r1" => {}
            _ => return None,
        }
    }
    Some(out)
}

/// OpenSSL's name of a group.
#[must_use]
pub fn group(g: rustls::NamedGroup) -> &'static str {
    match g {
        rustls::NamedGroup::X25519 => "X25519",
        rustls::NamedGroup::secp256r1 => "prime256v1",
        rustls::NamedGroup::secp384r1 => "secp384r1",
        rustls::NamedGroup::secp521r1 => "secp521r1",
        rustls::NamedGroup::X25519MLKEM768 => "X25519MLKEM768",
        rustls::NamedGroup::secp256r1MLKEM768 => "SecP256r1MLKEM768",
        rustls::NamedGroup::MLKEM768 => "MLKEM768",
        _ => "",
    }
}

/// Bits that everything has to be worth at this `ssl-security-level` (SSL_CTX_set_security_level(3)).
#[must_use]
pub fn security_bits(level: u8) -> u16 {
    match level {
        0 => 0,
        1 => 80,
        2 => 112,
        3 => 128,
        4 => 192,
        _ => 256,
    }
}

/// Bits that a group is worth.
#[must_use]
pub fn group_bits(g: rustls::NamedGroup) -> u16 {
    match g {
        rustls::NamedGroup::secp521r1 => 256,
        rustls::NamedGroup::secp384r1 | rustls::NamedGroup::X25519MLKEM768 | rustls::NamedGroup::MLKEM768 => {
            192
        }
        _ => 128,
    }
}

/// Bits that a key of this kind and size is worth.
#[must_use]
pub fn key_bits(kind: &str, size: usize) -> u16 {
    match (kind, size) {
        ("RSA", 15_360..) => 256,
        ("RSA", 7_680..) => 192,
        ("RSA", 3_072..) => 128,
        ("RSA", 2_048..) => 112,
        ("RSA", 1_024..) => 80,
        ("EC", size) => (size / 2) as u16,
        ("ED25519", _) => 128,
        _ => 0,
    }
}

/// Reads a list of signature algorithms (`RSA+SHA256`, `rsa_pss_rsae_sha256`, `ECDSA+SHA384` …); `None`: one is unknown.
#[must_use]
pub fn signatures(text: &str) -> Option<Vec<SignatureScheme>> {
    use SignatureScheme as S;
    let mut out = Vec::new();
    for name in text.split(':').filter(|n| !n.is_empty()) {
        let name = name.trim_start_matches('?').to_ascii_lowercase();
        let schemes: &[S] = match name.as_str() {
            "rsa+sha256" | "rsa_pkcs1_sha256" => &[S::RSA_PKCS1_SHA256],
            "rsa+sha384" | "rsa_pkcs1_sha384" => &[S::RSA_PKCS1_SHA384],
            "rsa+sha512" | "rsa_pkcs1_sha512" => &[S::RSA_PKCS1_SHA512],
            "rsa-pss+sha256" | "pss+sha256" | "rsa_pss_rsae_sha256" => &[S::RSA_PSS_SHA256],
            "rsa-pss+sha384" | "pss+sha384" | "rsa_pss_rsae_sha384" => &[S::RSA_PSS_SHA384],
            "rsa-pss+sha512" | "pss+sha512" | "rsa_pss_rsae_sha512" => &[S::RSA_PSS_SHA512],
            "ecdsa+sha256" | "ecdsa_secp256r1_sha256" => &[S::ECDSA_NISTP256_SHA256],
            "ecdsa+sha384" | "ecdsa_secp384r1_sha384" => &[S::ECDSA_NISTP384_SHA384],
            "ecdsa+sha512" | "ecdsa_secp521r1_sha512" => &[S::ECDSA_NISTP521_SHA512],
            "ed25519" => &[S::ED25519],
            "ed448" | "rsa+sha1" | "rsa_pkcs1_sha1" | "ecdsa+sha1" | "ecdsa_sha1" | "rsa+sha224"
            | "ecdsa+sha224" | "dsa+sha1" | "dsa+sha224" | "dsa+sha256" | "dsa+sha384" | "dsa+sha512"
            | "rsa_pss_pss_sha256" | "rsa_pss_pss_sha384" | "rsa_pss_pss_sha512" => &[],
            _ => return None,
        };
        out.extend(schemes);
    }
    Some(out)
}

/// Versions of the protocol, lowest first, as `ssl-min-ver` and the log name them.
pub const VERSIONS: [&str; 5] = ["SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<&'static str> {
        ciphers(text).0.iter().map(|s| cipher(s.suite()).0).collect()
    }

    #[test]
    fn the_cipher_language() {
        assert_eq!(names("HIGH:!aNULL:!MD5").len(), 6);
        assert_eq!(
            names("ECDHE+AESGCM:!aRSA"),
            ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"]
        );
        assert_eq!(names("CHACHA20:-ECDSA"), ["ECDHE-RSA-CHACHA20-POLY1305"]);
        assert_eq!(
            names("aRSA+AESGCM:+AES256"),
            ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"]
        );
        let (list, unknown) =
            ciphers("ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-SHA:AES128-SHA:@SECLEVEL=0");
        assert_eq!(
            (list.len(), unknown),
            (1, vec!["DHE-RSA-AES128-SHA".to_owned(), "AES128-SHA".to_owned()])
        );
        assert!(names("FOO").is_empty());
        assert_eq!(names("DEFAULT@SECLEVEL=0:!aECDSA").len(), 3);
        assert_eq!((security_level("ALL:@SECLEVEL=1:!MD5"), security_level("ALL")), (Some(1), None));
        assert!(names("DEFAULT:@SECLEVEL=9").is_empty());
        // '!' is for good
        assert!(names("!AESGCM:!CHACHA20:ALL").is_empty());
    }

    #[test]
    fn what_is_worth_so_many_bits() {
        assert!(key_bits("RSA", 2048) >= security_bits(2) && key_bits("RSA", 2048) < security_bits(3));
        assert!(key_bits("EC", 256) >= security_bits(3) && key_bits("EC", 384) >= security_bits(4));
        assert!(group_bits(rustls::NamedGroup::X25519) < security_bits(4));
    }

    #[test]
    fn other_names() {
        assert_eq!(groups("X25519:P-256:P-521:X448").map(|g| g.len()), Some(3));
        assert!(groups("foo").is_none());
        assert_eq!(suites("TLS_AES_128_GCM_SHA256").map(|s| s.len()), Some(1));
        assert!(suites("foo").is_none() && suites("foo:ECDHE-RSA-AES128-GCM-SHA256").is_none());
        let known = suites("TLS13-AES-128-GCM-SHA256:TLS_AES_128_GCM_SHA256:TLS_SM4_GCM_SM3:!foo");
        assert_eq!(known.map(|s| s.len()), Some(1));
        assert_eq!(suites("foo:TLS_AES_128_CCM_SHA256").map(|s| s.len()), Some(0));
        assert!(signatures("foo").is_none());
        assert_eq!(gone("X25519:X448:foo", |t| groups(t).map(|g| g.len())), ["X448"]);
        assert_eq!(signatures("RSA+SHA256:ed25519").map(|s| s.len()), Some(2));
    }
}
