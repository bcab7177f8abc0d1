//! The key of an account, and what is signed with it (RFC 7515, RFC 7517, RFC 7638, RFC 8555 section 6.2).

use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use aws_lc_rs::{digest, hmac, rand};
use portcullis_tls::der::{Der, INTEGER, SEQUENCE};
use portcullis_tls::store::Key;
use portcullis_wire::base64;

/// Base64 as these formats have it: for URLs, without padding.
#[must_use]
pub fn coded(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&base64::encode(base64::URL, false, bytes)).into_owned()
}

/// A text as JSON has it, with its quotes.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out + "\""
}

enum Pair {
    /// With the length of a coordinate.
    Ec(EcdsaKeyPair, usize),
    Rsa(RsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// The key of an account.
pub struct AccountKey {
    pair: Pair,
    /// Its public half as a JWK, members in the order that thumbprints want.
    pub jwk: String,
}

impl AccountKey {
    /// Takes a private key, if it is of a kind that accounts may have.
    #[must_use]
    pub fn new(key: &Key<'static>) -> Option<Self> {
        let der = key.secret_der();
        let ec = |algorithm, size| {
            EcdsaKeyPair::from_private_key_der(algorithm, der).ok().map(|k| Pair::Ec(k, size))
        };
        let pair = ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, 32)
            .or_else(|| ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING, 48))
            .or_else(|| {
                RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der)).ok().map(Pair::Rsa)
            })
            .or_else(|| Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok().map(Pair::Ed))?;
        let jwk = jwk(&pair)?;
        Some(Self { pair, jwk })
    }

    /// Its thumbprint, which challenges are answered with.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        coded(digest::digest(&digest::SHA256, self.jwk.as_bytes()).as_ref())
    }

    fn algorithm(&self) -> &'static str {
        match &self.pair {
            Pair::Ec(_, 32) => "ES256",
            Pair::Ec(..) => "ES384",
            Pair::Rsa(_) => "RS256",
            Pair::Ed(_) => "EdDSA",
        }
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = rand::SystemRandom::new();
        Some(match &self.pair {
            Pair::Ec(pair, _) => pair.sign(&random, message).ok()?.as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut signature).ok()?;
                signature
            }
        })
    }

    /// A request's body: `payload` for `url`, signed; `account` stands for the key once there is an account.
    #[must_use]
    pub fn signed(&self, url: &str, nonce: &str, account: Option<&str>, payload: &str) -> Option<String> {
        let who = match account {
            Some(url) => format!("\"kid\":{}", quoted(url)),
            None => format!("\"jwk\":{}", self.jwk),
        };
        let header = format!(
            r#"{{"alg":"{}",{who},"nonce":{},"url":{}}}"#,
            self.algorithm(),
            quoted(nonce),
            quoted(url)
        );
        let (header, payload) = (coded(header.as_bytes()), coded(payload.as_bytes()));
        let signature = coded(&self.sign(format!("{header}.{payload}").as_bytes())?);
        Some(flattened(&header, &payload, &signature))
    }
}

fn flattened(header: &str, payload: &str, signature: &str) -> String {
    format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#)
}

fn jwk(pair: &Pair) -> Option<String> {
    Some(match pair {
        Pair::Ec(pair, size) => {
            let point = pair.public_key().as_ref().get(1..)?;
            let (x, y) = point.split_at_checked(*size)?;
            let curve = if *size == 32 { "P-256" } else { "P-384" };
            format!(r#"{{"crv":"{curve}","kty":"EC","x":"{}","y":"{}"}}"#, coded(x), coded(y))
        }
        Pair::Rsa(pair) => {
            let mut numbers = Der(pair.public_key().as_ref()).inside(SEQUENCE)?;
            let plain = |n: &[u8]| coded(n.strip_prefix(&[0]).unwrap_or(n));
            let n = plain(numbers.tagged(INTEGER)?.content);
            let e = plain(numbers.tagged(INTEGER)?.content);
            format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)
        }
        Pair::Ed(pair) => {
            format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, coded(pair.public_key().as_ref()))
        }
    })
}

/// How an authority knows of an account that it has made elsewhere (RFC 8555 section 7.3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// `eab-key-id`
    pub id: String,
    /// `eab-mac-key`
    pub key: Vec<u8>,
    /// `eab-mac-alg`
    pub algorithm: Mac,
}

/// `eab-mac-alg`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mac {
    /// `HS256`
    #[default]
    Hs256,
    /// `HS384`
    Hs384,
    /// `HS512`
    Hs512,
}

impl Binding {
    /// Binds an account's key, for the URL where accounts are made.
    #[must_use]
    pub fn signed(&self, account: &AccountKey, url: &str) -> String {
        let (name, algorithm) = match self.algorithm {
            Mac::Hs256 => ("HS256", hmac::HMAC_SHA256),
            Mac::Hs384 => ("HS384", hmac::HMAC_SHA384),
            Mac::Hs512 => ("HS512", hmac::HMAC_SHA512),
        };
        let header = format!(r#"{{"alg":"{name}","kid":{},"url":{}}}"#, quoted(&self.id), quoted(url));
        let (header, payload) = (coded(header.as_bytes()), coded(account.jwk.as_bytes()));
        let key = hmac::Key::new(algorithm, &self.key);
        let tag = hmac::sign(&key, format!("{header}.{payload}").as_bytes());
        flattened(&header, &payload, &coded(tag.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_tls::keys::KeyType;

    #[test]
    fn keys_of_accounts() {
        for (kind, algorithm, size) in
            [(KeyType::P256, "ES256", 64), (KeyType::P384, "ES384", 96), (KeyType::Rsa(2048), "RS256", 256)]
        {
            let key = AccountKey::new(&kind.generate().unwrap()).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            assert_eq!(key.sign(b"x").unwrap().len(), size);
            assert_eq!(key.thumbprint().len(), 43);
            let body = key.signed("http://h/\"", "n", None, "{}").unwrap();
            assert!(body.contains(r#""payload":"e30""#), "{body}");
        }
    }

    #[test]
    fn texts_cannot_end() {
        assert_eq!(quoted("a\"\\\n"), r#""a\"\\\u000a""#);
    }
}
