//! Encrypted tokens in the compact serialization (RFC 7516) with the algorithms of RFC 7518.

use super::super::bytes;
use super::super::crypto::Algorithm;
use super::keys::{self, CURVES, Key, Private};
use crate::args::{Arg, ArgKind, Args};
use crate::row::Convert;
use crate::scope::Scope;
use crate::value::{Sample, Type, Value};
use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, UnparsedPublicKey};
use aws_lc_rs::cipher::{self, DecryptingKey, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest as lc;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey,
    Pkcs1PrivateDecryptingKey, PrivateDecryptingKey,
};
use portcullis_wire::base64::{STANDARD, URL, decode};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How the content key comes with the token.
#[derive(Clone, Copy)]
enum Keyed {
    /// RSA PKCS #1 v1.5
    Pkcs1,
    /// RSA-OAEP
    Oaep(&'static OaepAlgorithm),
    /// Wrapped (RFC 3394).
    Wrapped,
    /// Encrypted with AES-GCM.
    Gcm,
    /// It is the key.
    Direct,
    /// Agreed upon; with bytes: for the wrapping key.
    Agreed(Option<usize>),
}

/// Values of `alg`; the key's length in bytes where it is fixed. The first is off unless the configuration names it.
const ALGORITHMS: [(&str, Keyed, usize); 14] = [
    ("RSA1_5", Keyed::Pkcs1, 0),
    ("RSA-OAEP", Keyed::Oaep(&OAEP_SHA1_MGF1SHA1), 0),
    ("RSA-OAEP-256", Keyed::Oaep(&OAEP_SHA256_MGF1SHA256), 0),
    ("A128KW", Keyed::Wrapped, 16),
    ("A192KW", Keyed::Wrapped, 24),
    ("A256KW", Keyed::Wrapped, 32),
    ("A128GCMKW", Keyed::Gcm, 16),
    ("A192GCMKW", Keyed::Gcm, 24),
    ("A256GCMKW", Keyed::Gcm, 32),
    ("dir", Keyed::Direct, 0),
    ("ECDH-ES", Keyed::Agreed(None), 0),
    ("ECDH-ES+A128KW", Keyed::Agreed(Some(16)), 0),
    ("ECDH-ES+A192KW", Keyed::Agreed(Some(24)), 0),
    ("ECDH-ES+A256KW", Keyed::Agreed(Some(32)), 0),
];

/// Values of `enc`: AES-GCM, or AES-CBC with this HMAC; the key's length in bytes.
const ENCRYPTIONS: [(&str, Option<&lc::Algorithm>, usize); 6] = [
    ("A128GCM", None, 16),
    ("A192GCM", None, 24),
    ("A256GCM", None, 32),
    ("A128CBC-HS256", Some(&lc::SHA256), 32),
    ("A192CBC-HS384", Some(&lc::SHA384), 48),
    ("A256CBC-HS512", Some(&lc::SHA512), 64),
];

/// `jwt.decrypt_alg_list`: a bit for each row.
static ALLOWED: AtomicU32 = AtomicU32::new(!1);
/// `jwt.decrypt_enc_list`
static ALLOWED_ENC: AtomicU32 = AtomicU32::new(!0);

/// Reads a list of names, `ALL` and `!name`.
fn allow<'n>(list: &str, names: impl Iterator<Item = &'n str> + Clone, to: &AtomicU32) -> Result<(), String> {
    let mut bits = 0;
    for item in list.split(':').filter(|i| !i.is_empty()) {
        if item == "ALL" {
            bits = !0;
            continue;
        }
        let name = item.strip_prefix('!').unwrap_or(item);
        let bit = names.clone().position(|n| n == name);
        let bit = 1_u32 << bit.ok_or_else(|| format!("Unknown algorithm/encoding {name}"))?;
        if name.len() == item.len() { bits |= bit } else { bits &= !bit }
    }
    to.store(bits, Ordering::Relaxed);
    Ok(())
}

/// `jwt.decrypt_alg_list`
///
/// # Errors
/// HAProxy's message.
pub fn allow_algorithms(list: &str) -> Result<(), String> {
    allow(list, ALGORITHMS.iter().map(|a| a.0), &ALLOWED)
}

/// `jwt.decrypt_enc_list`
///
/// # Errors
/// HAProxy's message.
pub fn allow_encryptions(list: &str) -> Result<(), String> {
    allow(list, ENCRYPTIONS.iter().map(|a| a.0), &ALLOWED_ENC)
}

/// The parts of a token.
struct Token<'t> {
    /// The header as it came: what is authenticated beside the content.
    coded_header: &'t [u8],
    header: Vec<u8>,
    key: Vec<u8>,
    iv: Vec<u8>,
    content: Vec<u8>,
    tag: Vec<u8>,
}

impl<'t> Token<'t> {
    fn read(text: &'t [u8]) -> Option<Self> {
        let mut parts = text.split(|b| *b == b'.');
        let coded_header = parts.next()?;
        let mut next = || decode(URL, false, parts.next()?);
        let (key, iv, content, tag) = (next()?, next()?, next()?, next()?);
        if parts.next().is_some() {
            return None;
        }
        Some(Self { coded_header, header: decode(URL, false, coded_header)?, key, iv, content, tag })
    }
}

/// The content of a token; `key` gives the key that it is encrypted with.
fn decrypt(text: &[u8], key: &Opener<'_>) -> Option<Vec<u8>> {
    let token = Token::read(text)?;
    let named = |path: &[u8]| keys::text(&token.header, path);
    let (alg, enc) = (named(b"$.alg")?, named(b"$.enc")?);
    let at = ALGORITHMS.iter().position(|a| a.0.as_bytes() == alg)?;
    let enc_at = ENCRYPTIONS.iter().position(|e| e.0.as_bytes() == enc)?;
    if ALLOWED.load(Ordering::Relaxed) >> at & 1 == 0
        || ALLOWED_ENC.load(Ordering::Relaxed) >> enc_at & 1 == 0
    {
        return None;
    }
    let (_, keyed, key_len) = ALGORITHMS.get(at)?;
    let (_, mac, content_len) = ENCRYPTIONS.get(enc_at)?;
    let content_key = match (keyed, key) {
        (Keyed::Pkcs1, Opener::Private(Private::Rsa(k))) => pkcs1(k, &token.key)?,
        (Keyed::Oaep(how), Opener::Private(Private::Rsa(k))) => oaep(how, k, &token.key)?,
        (Keyed::Agreed(wrapping), Opener::Private(Private::Ec(k))) => {
            let name: &[u8] = if wrapping.is_some() { &alg } else { &enc };
            let agreed = agree(k, &token.header, name, wrapping.unwrap_or(*content_len))?;
            if wrapping.is_some() { unwrap(&agreed, &token.key)? } else { agreed }
        }
        (Keyed::Wrapped, Opener::Secret(k)) if k.len() == *key_len => unwrap(k, &token.key)?,
        (Keyed::Gcm, Opener::Secret(k)) if k.len() == *key_len => {
            let coded = |path: &[u8]| keys::coded(&token.header, path);
            gcm(k, &coded(b"$.iv")?, b"", &token.key, &coded(b"$.tag")?)?
        }
        (Keyed::Direct, Opener::Secret(k)) if token.key.is_empty() => k.to_vec(),
        _ => return None,
    };
    if content_key.len() != *content_len {
        return None;
    }
    match mac {
        None => gcm(&content_key, &token.iv, token.coded_header, &token.content, &token.tag),
        Some(mac) => cbc(mac, &content_key, &token),
    }
}

/// A key as the converters have it.
enum Opener<'k> {
    Secret(&'k [u8]),
    Private(&'k Private),
}

fn pkcs1(key: &PrivateDecryptingKey, text: &[u8]) -> Option<Vec<u8>> {
    let key = Pkcs1PrivateDecryptingKey::new(key.clone()).ok()?;
    let mut out = vec![0; key.min_output_size()];
    let n = key.decrypt(text, &mut out).ok()?.len();
    out.truncate(n);
    Some(out)
}

fn oaep(how: &'static OaepAlgorithm, key: &PrivateDecryptingKey, text: &[u8]) -> Option<Vec<u8>> {
    let key = OaepPrivateDecryptingKey::new(key.clone()).ok()?;
    let mut out = vec![0; key.min_output_size()];
    let n = key.decrypt(how, text, &mut out, None).ok()?.len();
    out.truncate(n);
    Some(out)
}

/// Key agreement with the header's ephemeral key (RFC 7518 section 4.6) for so many bytes.
fn agree(key: &agreement::PrivateKey, header: &[u8], name: &[u8], len: usize) -> Option<Vec<u8>> {
    let curve = keys::text(header, b"$.epk.crv")?;
    let (_, algorithm, size) = CURVES.iter().find(|c| c.0 == curve)?;
    let mut point = vec![4];
    for path in [&b"$.epk.x"[..], b"$.epk.y"] {
        let coordinate = keys::coded(header, path)?;
        point.extend(std::iter::repeat_n(0, size.checked_sub(coordinate.len())?));
        point.extend_from_slice(&coordinate);
    }
    let mut info = Vec::new();
    let party = |path: &[u8]| keys::coded(header, path).unwrap_or_default();
    for part in [name, &party(b"$.apu"), &party(b"$.apv")] {
        info.extend(u32::try_from(part.len()).ok()?.to_be_bytes());
        info.extend_from_slice(part);
    }
    info.extend(u32::try_from(len * 8).ok()?.to_be_bytes());
    let derive = |secret: &[u8]| {
        let mut out = Vec::new();
        for round in 1_u32.. {
            if out.len() >= len {
                break;
            }
            out.extend(Algorithm::Lc(&lc::SHA256).of_parts(&[&round.to_be_bytes(), secret, &info]));
        }
        out.truncate(len);
        Ok(out)
    };
    agreement::agree(key, UnparsedPublicKey::new(algorithm, &point), (), derive).ok()
}

fn block_cipher(key: &[u8]) -> Option<UnboundCipherKey> {
    let algorithm = match key.len() {
        16 => &cipher::AES_128,
        24 => &cipher::AES_192,
        32 => &cipher::AES_256,
        _ => return None,
    };
    UnboundCipherKey::new(algorithm, key).ok()
}

/// Takes a key out of its wrapping (RFC 3394 section 2.2.2).
fn unwrap(key: &[u8], wrapped: &[u8]) -> Option<Vec<u8>> {
    let key = DecryptingKey::ecb(block_cipher(key)?).ok()?;
    let (check, rest) = wrapped.split_first_chunk::<8>()?;
    let mut blocks: Vec<[u8; 8]> = rest.as_chunks::<8>().0.to_vec();
    if rest.is_empty() || !rest.len().is_multiple_of(8) || rest.len() > 1024 {
        return None;
    }
    let mut check = u64::from_be_bytes(*check);
    let count = blocks.len();
    for step in (1..=6 * count).rev() {
        let block = blocks.get_mut((step - 1) % count)?;
        let mut both = [0; 16];
        let (left, right) = both.split_at_mut(8);
        left.copy_from_slice(&(check ^ step as u64).to_be_bytes());
        right.copy_from_slice(block);
        key.decrypt(&mut both, DecryptionContext::None).ok()?;
        check = u64::from_be_bytes(*both.first_chunk()?);
        *block = *both.last_chunk()?;
    }
    (check == 0xa6a6_a6a6_a6a6_a6a6).then(|| blocks.concat())
}

fn gcm(key: &[u8], iv: &[u8], aad: &[u8], text: &[u8], tag: &[u8]) -> Option<Vec<u8>> {
    let algorithm = match key.len() {
        16 => &aead::AES_128_GCM,
        24 => &aead::AES_192_GCM,
        _ => &aead::AES_256_GCM,
    };
    let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
    let nonce = Nonce::try_assume_unique_for_key(iv).ok()?;
    let mut out = vec![0; text.len()];
    key.open_separate_gather(nonce, Aad::from(aad), text, tag, &mut out).ok()?;
    Some(out)
}

/// AES-CBC with an HMAC over header, vector and content (RFC 7518 section 5.2.2.2).
fn cbc(mac: &'static lc::Algorithm, key: &[u8], token: &Token<'_>) -> Option<Vec<u8>> {
    let (mac_key, key) = key.split_at_checked(key.len() / 2)?;
    let mut message = token.coded_header.to_vec();
    message.extend_from_slice(&token.iv);
    message.extend_from_slice(&token.content);
    message.extend((token.coded_header.len() as u64 * 8).to_be_bytes());
    let own = Algorithm::Lc(mac).mac(mac_key, &message)?;
    verify_slices_are_equal(own.get(..own.len() / 2)?, &token.tag).ok()?;
    let iv = <[u8; 16]>::try_from(&token.iv[..]).ok()?;
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(block_cipher(key)?).ok()?;
    let mut text = token.content.clone();
    let n = key.decrypt(&mut text, DecryptionContext::Iv128(FixedLength::from(&iv))).ok()?.len();
    text.truncate(n);
    Some(text)
}

fn check_secret(args: &mut Args) -> Result<(), String> {
    args.maybe_var(0);
    if let Some(a @ Arg::Str(_)) = args.0.first_mut() {
        let Arg::Str(text) = &*a else { return Ok(()) };
        let raw = decode(STANDARD, true, text).ok_or(
            "failed to parse secret: argument needs to be base64 encoded, and can either be a string or a variable",
        )?;
        *a = Arg::Str(raw.into());
    }
    Ok(())
}

fn check_jwk(args: &mut Args) -> Result<(), String> {
    args.maybe_var(0);
    if let Some(a @ Arg::Str(_)) = args.0.first_mut() {
        let Arg::Str(text) = &*a else { return Ok(()) };
        *a = Arg::Made(Arc::new(keys::jwk(text)?));
    }
    Ok(())
}

fn check_certificate(args: &mut Args) -> Result<(), String> {
    args.maybe_var(0);
    if args.var(0).is_none() && keys::certificate(args.text(0)).is_none() {
        return Err(format!("unknown certificate {}", String::from_utf8_lossy(args.text(0))));
    }
    Ok(())
}

fn with_secret(a: &Args, token: &[u8], s: &Scope<'_>) -> Option<Vec<u8>> {
    let given = a.bytes_now(0, s)?;
    let raw = match a.var(0) {
        Some(_) => Cow::Owned(decode(STANDARD, true, &given)?),
        None => given,
    };
    decrypt(token, &Opener::Secret(&raw))
}

fn with_jwk(a: &Args, token: &[u8], s: &Scope<'_>) -> Option<Vec<u8>> {
    let opened = |key: &Key| match key {
        Key::Secret(secret) => decrypt(token, &Opener::Secret(secret)),
        Key::Private(private) => decrypt(token, &Opener::Private(private)),
    };
    match a.made::<Key>(0) {
        Some(key) => opened(key),
        None => opened(&keys::jwk(&a.bytes_now(0, s)?).ok()?),
    }
}

fn with_certificate(a: &Args, token: &[u8], s: &Scope<'_>) -> Option<Vec<u8>> {
    let certificate = keys::certificate(&a.bytes_now(0, s)?)?;
    decrypt(token, &Opener::Private(certificate.private.as_ref()?))
}

fn content<'s>(v: Value<'s>, open: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Sample<'s> {
    let Some(token) = bytes(v) else { return Sample::Missing };
    open(&token).map(|text| Value::Bin(Cow::Owned(text))).into()
}

const ONE: &[ArgKind] = &[ArgKind::Str];

/// Rows.
pub const ROWS: &[Convert] = &[
    Convert::new(
        "jwt_decrypt_cert",
        Type::Bin,
        Type::Bin,
        "The token's content, decrypted with a certificate's key.",
        |a, v, s| content(v, |t| with_certificate(a, t, s)),
    )
    .with(1, ONE)
    .checked(check_certificate),
    Convert::new(
        "jwt_decrypt_jwk",
        Type::Bin,
        Type::Bin,
        "The token's content, decrypted with a JSON Web Key.",
        |a, v, s| content(v, |t| with_jwk(a, t, s)),
    )
    .with(1, ONE)
    .checked(check_jwk),
    Convert::new(
        "jwt_decrypt_secret",
        Type::Bin,
        Type::Bin,
        "The token's content, decrypted with a secret.",
        |a, v, s| content(v, |t| with_secret(a, t, s)),
    )
    .with(1, ONE)
    .checked(check_secret),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3394 section 4.1 and 4.6.
    #[test]
    fn keys_come_out_of_their_wrapping() {
        let unhex = |t: &str| crate::pattern::unhex(t.as_bytes()).unwrap();
        let key = unhex("000102030405060708090A0B0C0D0E0F");
        let wrapped = unhex("1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5");
        assert_eq!(unwrap(&key, &wrapped).unwrap(), unhex("00112233445566778899AABBCCDDEEFF"));
        let mut spoiled = wrapped;
        spoiled[3] ^= 1;
        assert_eq!(unwrap(&key, &spoiled), None);
        assert_eq!(unwrap(&key, b"1234567"), None);
        assert_eq!(unwrap(&key, b"12345678"), None);
    }

    #[test]
    fn hostile_tokens_are_nothing() {
        for text in [
            "",
            ".",
            "....",
            ".....",
            "e30....",
            "e30.e30.e30.e30.e30",
            "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0....",
        ] {
            assert_eq!(decrypt(text.as_bytes(), &Opener::Secret(&[0; 16])), None, "{text}");
        }
    }
}
