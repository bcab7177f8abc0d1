//! Digests, message authentication codes, AES.

use super::bytes;
pub(super) use super::digests::Algorithm;
use crate::args::{Arg, ArgKind, Args};
use crate::row::Convert;
use crate::scope::Scope;
use crate::value::{Sample, Type, Value};
use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    self, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::digest as lc;
use aws_lc_rs::iv::FixedLength;
use portcullis_wire::base64::{self, STANDARD, decode};
use std::borrow::Cow;
use std::sync::Arc;

fn check_digest(args: &mut Args) -> Result<(), String> {
    let algorithm = Algorithm::of(args.text(0))?;
    if let Some(a) = args.0.first_mut() {
        *a = Arg::Made(Arc::new(algorithm));
    }
    Ok(())
}

fn check_sha2(args: &mut Args) -> Result<(), String> {
    let algorithm = match args.int(0).unwrap_or(256) {
        224 => &lc::SHA224,
        256 => &lc::SHA256,
        384 => &lc::SHA384,
        512 => &lc::SHA512,
        n => return Err(format!("Unsupported number of bits: '{n}'")),
    };
    args.0 = vec![Arg::Made(Arc::new(Algorithm::Lc(algorithm)))];
    Ok(())
}

/// The SHA-1 digest.
pub(super) fn sha1(b: &[u8]) -> Vec<u8> {
    Algorithm::Lc(&lc::SHA1_FOR_LEGACY_USE_ONLY).of_parts(&[b])
}

/// The argument is base64, or a variable that holds base64.
fn check_coded(args: &mut Args, i: usize, what: &str) -> Result<(), String> {
    args.maybe_var(i);
    if let Some(a @ Arg::Str(_)) = args.0.get_mut(i) {
        let Arg::Str(text) = &*a else { return Ok(()) };
        let raw = decode(STANDARD, true, text).ok_or_else(|| {
            format!(
                "failed to parse {what} : argument needs to be base64 encoded, and can either be a string or a variable"
            )
        })?;
        *a = Arg::Str(raw.into());
    }
    Ok(())
}
fn coded<'a>(args: &'a Args, i: usize, scope: &Scope<'_>) -> Option<Cow<'a, [u8]>> {
    match args.0.get(i)? {
        Arg::Var(_) => decode(STANDARD, true, &args.bytes_now(i, scope)?).map(Cow::Owned),
        _ => args.bytes_now(i, scope),
    }
}

fn check_hmac(args: &mut Args) -> Result<(), String> {
    check_digest(args)?;
    check_coded(args, 1, "key")
}

fn digest<'s>(a: &Args, v: Value<'s>) -> Sample<'s> {
    let (Some(b), Some(algorithm)) = (bytes(v), a.made::<Algorithm>(0)) else { return Sample::Missing };
    Value::Bin(Cow::Owned(algorithm.of_parts(&[&b]))).into()
}

fn hmac<'s>(a: &Args, v: Value<'s>, s: &Scope<'_>) -> Sample<'s> {
    let (Some(b), Some(algorithm), Some(key)) = (bytes(v), a.made::<Algorithm>(0), coded(a, 1, s)) else {
        return Sample::Missing;
    };
    algorithm.mac(&key, &b).map(|mac| Value::Bin(Cow::Owned(mac))).into()
}

/// Bits of the key, then arguments in base64.
fn check_aes(args: &mut Args, names: &[&str]) -> Result<(), String> {
    if !matches!(args.int(0), Some(128 | 192 | 256)) {
        return Err("key size must be 128, 192 or 256 (bits).".into());
    }
    names.iter().enumerate().try_for_each(|(i, name)| check_coded(args, i + 1, name))
}
fn check_cbc(args: &mut Args) -> Result<(), String> {
    check_aes(args, &["nonce", "key", "aad"])
}
fn check_gcm_dec(args: &mut Args) -> Result<(), String> {
    check_aes(args, &["nonce", "key", "aead_tag", "aad"])
}
/// The tag's argument is the variable that the tag goes to.
fn check_gcm_enc(args: &mut Args) -> Result<(), String> {
    check_aes(args, &["nonce", "key"])?;
    args.make_var(3).map_err(|m| format!("failed to parse aead_tag : {m}"))?;
    check_coded(args, 4, "aad")
}

fn gcm_key(args: &Args, s: &Scope<'_>) -> Option<(LessSafeKey, Nonce)> {
    let (bits, nonce, key) = (args.int(0)?, coded(args, 1, s)?, coded(args, 2, s)?);
    let algorithm = match bits {
        128 => &aead::AES_128_GCM,
        192 => &aead::AES_192_GCM,
        _ => &aead::AES_256_GCM,
    };
    let key = LessSafeKey::new(UnboundKey::new(algorithm, &key).ok()?);
    Some((key, Nonce::try_assume_unique_for_key(&nonce).ok()?))
}

fn gcm_dec(args: &Args, v: Value<'_>, s: &Scope<'_>) -> Option<Vec<u8>> {
    let text = bytes(v)?;
    let (key, nonce) = gcm_key(args, s)?;
    let tag = coded(args, 3, s)?;
    let aad = coded(args, 4, s).unwrap_or_default();
    let mut out = vec![0; text.len()];
    key.open_separate_gather(nonce, Aad::from(&aad[..]), &text, &tag, &mut out).ok()?;
    Some(out)
}

fn gcm_enc(args: &Args, v: Value<'_>, s: &Scope<'_>) -> Option<Vec<u8>> {
    let mut text = bytes(v)?.into_owned();
    let (key, nonce) = gcm_key(args, s)?;
    let aad = coded(args, 4, s).unwrap_or_default();
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(&aad[..]), &mut text).ok()?;
    let tag = base64::encode(STANDARD, true, tag.as_ref());
    s.facts.vars.set(args.var(3)?, s.direction, Value::Str(Cow::Owned(tag)));
    Some(text)
}

fn cbc_key(args: &Args, s: &Scope<'_>) -> Option<(UnboundCipherKey, [u8; 16])> {
    let (bits, iv, key) = (args.int(0)?, coded(args, 1, s)?, coded(args, 2, s)?);
    let algorithm = match bits {
        128 => &cipher::AES_128,
        192 => &cipher::AES_192,
        _ => &cipher::AES_256,
    };
    Some((UnboundCipherKey::new(algorithm, &key).ok()?, <[u8; 16]>::try_from(&iv[..]).ok()?))
}

fn cbc_dec(args: &Args, v: Value<'_>, s: &Scope<'_>) -> Option<Vec<u8>> {
    let mut text = bytes(v)?.into_owned();
    let (key, iv) = cbc_key(args, s)?;
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?;
    let n = key.decrypt(&mut text, DecryptionContext::Iv128(FixedLength::from(&iv))).ok()?.len();
    text.truncate(n);
    Some(text)
}

fn cbc_enc(args: &Args, v: Value<'_>, s: &Scope<'_>) -> Option<Vec<u8>> {
    let mut text = bytes(v)?.into_owned();
    let (key, iv) = cbc_key(args, s)?;
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).ok()?;
    key.less_safe_encrypt(&mut text, EncryptionContext::Iv128(FixedLength::from(&iv))).ok()?;
    Some(text)
}

fn bin<'s>(b: Option<Vec<u8>>) -> Sample<'s> {
    b.map(|b| Value::Bin(Cow::Owned(b))).into()
}

const STR: ArgKind = ArgKind::Str;
const CBC: &[ArgKind] = &[ArgKind::Int, STR, STR, STR];
const GCM: &[ArgKind] = &[ArgKind::Int, STR, STR, STR, STR];

macro_rules! aes {
    ($name:literal, $help:literal, $min:literal, $kinds:ident, $check:ident, $f:ident) => {
        Convert::new($name, Type::Bin, Type::Bin, $help, |a, v, s| bin($f(a, v, s)))
            .with($min, $kinds)
            .checked($check)
    };
}

/// Rows.
pub const ROWS: &[Convert] = &[
    Convert::new("sha1", Type::Bin, Type::Bin, "SHA-1 digest.", |_, v, _| {
        bin(bytes(v).map(|b| Algorithm::Lc(&lc::SHA1_FOR_LEGACY_USE_ONLY).of_parts(&[&b])))
    }),
    Convert::new("sha2", Type::Bin, Type::Bin, "SHA-2 digest of so many bits.", |a, v, _| digest(a, v))
        .with(0, &[ArgKind::Int])
        .checked(check_sha2),
    Convert::new("digest", Type::Bin, Type::Bin, "Message digest of this name.", |a, v, _| digest(a, v))
        .with(1, &[STR])
        .checked(check_digest),
    Convert::new("hmac", Type::Bin, Type::Bin, "Message authentication code with this digest and key.", hmac)
        .with(2, &[STR, STR])
        .checked(check_hmac),
    aes!("aes_cbc_dec", "Decrypts with AES-CBC.", 3, CBC, check_cbc, cbc_dec),
    aes!("aes_cbc_enc", "Encrypts with AES-CBC.", 3, CBC, check_cbc, cbc_enc),
    aes!("aes_gcm_dec", "Decrypts with AES-GCM.", 4, GCM, check_gcm_dec, gcm_dec),
    aes!("aes_gcm_enc", "Encrypts with AES-GCM.", 4, GCM, check_gcm_enc, gcm_enc),
];
