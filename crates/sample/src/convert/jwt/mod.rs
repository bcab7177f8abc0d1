//! JSON Web Tokens: their parts and their signatures (RFC 7515); what is encrypted, `decrypt` opens.

pub mod decrypt;
mod keys;

use super::bytes;
use super::crypto::Algorithm;
use super::json::{Query, check_query};
use crate::args::{Arg, ArgKind, Args};
use crate::row::Convert;
use crate::scope::Scope;
use crate::value::{Sample, Type, Value};
use aws_lc_rs::digest as lc;
use aws_lc_rs::signature::{self as sig, UnparsedPublicKey, VerificationAlgorithm};
use portcullis_wire::base64::{URL, decode, decode_strict};
use std::borrow::Cow;

const INVALID_TOKEN: i64 = -3;
const UNMANAGED: i64 = -2;
const UNKNOWN_KEY: i64 = -5;

/// How a token is signed.
#[derive(Clone, Copy)]
enum Signed {
    None,
    Mac(&'static lc::Algorithm),
    Key(&'static dyn VerificationAlgorithm),
}

/// RFC 7518 section 3.1.
fn algorithm(name: &[u8]) -> Option<Signed> {
    Some(match name {
        b"none" => Signed::None,
        b"HS256" => Signed::Mac(&lc::SHA256),
        b"HS384" => Signed::Mac(&lc::SHA384),
        b"HS512" => Signed::Mac(&lc::SHA512),
        b"RS256" => Signed::Key(&sig::RSA_PKCS1_2048_8192_SHA256),
        b"RS384" => Signed::Key(&sig::RSA_PKCS1_2048_8192_SHA384),
        b"RS512" => Signed::Key(&sig::RSA_PKCS1_2048_8192_SHA512),
        b"ES256" => Signed::Key(&sig::ECDSA_P256_SHA256_FIXED),
        b"ES384" => Signed::Key(&sig::ECDSA_P384_SHA384_FIXED),
        b"ES512" => Signed::Key(&sig::ECDSA_P521_SHA512_FIXED),
        b"PS256" => Signed::Key(&sig::RSA_PSS_2048_8192_SHA256),
        b"PS384" => Signed::Key(&sig::RSA_PSS_2048_8192_SHA384),
        b"PS512" => Signed::Key(&sig::RSA_PSS_2048_8192_SHA512),
        _ => return None,
    })
}

fn check_verify(args: &mut Args) -> Result<(), String> {
    args.maybe_var(0);
    args.maybe_var(1);
    let name = args.text(0);
    let named = args.var(0).is_none();
    if named && algorithm(name).is_none() {
        return Err(format!("unknown JWT algorithm: {}", String::from_utf8_lossy(name)));
    }
    if args.var(1).is_none() && args.text(1).is_empty() {
        return Err("missing key".into());
    }
    let secret = named && name.starts_with(b"HS");
    if args.var(1).is_none() && !secret {
        let path = args.text(1);
        // with the algorithm in a variable it may be a secret
        if !keys::read_public(path) && named {
            return Err(format!("failed to parse public key file '{}'", String::from_utf8_lossy(path)));
        }
    }
    Ok(())
}

/// As [`check_verify`], for a certificate.
fn check_certificate(args: &mut Args) -> Result<(), String> {
    args.maybe_var(0);
    args.maybe_var(1);
    let name = args.text(0);
    if args.var(0).is_none() {
        match algorithm(name) {
            None => return Err(format!("unknown JWT algorithm: {}", String::from_utf8_lossy(name))),
            Some(Signed::Mac(_)) => {
                return Err("HMAC-signed tokens can't be processed by this converter".into());
            }
            Some(_) => {}
        }
    }
    if args.var(1).is_none() {
        keys::read_certificate(args.text(1));
    }
    Ok(())
}

/// What signatures are verified with.
enum With<'k> {
    /// A secret, or the path of a public key.
    Key(&'k [u8]),
    /// The path of a certificate.
    Certificate(&'k [u8]),
}

/// 1: valid; 0: not; below: why that can't be told.
fn verify(token: &[u8], alg: &[u8], key: &With<'_>) -> i64 {
    let Some(signed) = algorithm(alg) else { return -1 };
    let Some(dot) = token.iter().rposition(|b| *b == b'.') else { return INVALID_TOKEN };
    let (message, signature) = (token.get(..dot).unwrap_or(&[]), token.get(dot + 1..).unwrap_or(&[]));
    if message.iter().filter(|b| **b == b'.').count() != 1 {
        return INVALID_TOKEN;
    }
    match signed {
        Signed::None => i64::from(signature.is_empty()),
        Signed::Mac(a) => {
            let Some(signature) = decode_strict(URL, signature).filter(|s| !s.is_empty()) else {
                return INVALID_TOKEN;
            };
            let With::Key(key) = key else { return UNMANAGED };
            let mac = Algorithm::Lc(a).mac(key, message).unwrap_or_default();
            i64::from(aws_lc_rs::constant_time::verify_slices_are_equal(&mac, &signature).is_ok())
        }
        Signed::Key(a) => {
            let Some(signature) = decode_strict(URL, signature).filter(|s| !s.is_empty()) else {
                return INVALID_TOKEN;
            };
            let right =
                |der: &[u8]| i64::from(UnparsedPublicKey::new(a, der).verify(message, &signature).is_ok());
            match key {
                With::Key(path) => keys::public(path).map_or(UNKNOWN_KEY, |der| right(&der)),
                With::Certificate(path) => keys::certificate(path).map_or(UNKNOWN_KEY, |c| right(&c.public)),
            }
        }
    }
}

fn verified<'s>(a: &Args, v: Value<'s>, s: &Scope<'_>, with: for<'k> fn(&'k [u8]) -> With<'k>) -> Sample<'s> {
    let (Some(token), Some(alg), Some(key)) = (bytes(v), a.bytes_now(0, s), a.bytes_now(1, s)) else {
        return Sample::Missing;
    };
    Value::Int(verify(&token, &alg, &with(&key))).into()
}

/// A decoded part of the token, or what a query finds in it.
fn part<'s>(a: &Args, v: Value<'s>, index: usize) -> Sample<'s> {
    let Some(token) = bytes(v) else { return Sample::Missing };
    let parts = token.split(|b| *b == b'.').count();
    let possible = if index == 0 { parts == 3 || parts == 5 } else { parts == 3 };
    if !possible {
        return Sample::Missing;
    }
    let Some(text) = token.split(|b| *b == b'.').nth(index).and_then(|p| decode(URL, false, p)) else {
        return Sample::Missing;
    };
    match a.made::<Query>(0) {
        Some(q) => q.run(&text).into(),
        None => Value::Str(Cow::Owned(text)).into(),
    }
}

fn check_part(args: &mut Args) -> Result<(), String> {
    if args.0.iter().all(|a| matches!(a, Arg::Str(t) if t.is_empty())) {
        args.0.clear();
        return Ok(());
    }
    check_query(args)
}

const TWO: &[ArgKind] = &[ArgKind::Str, ArgKind::Str];

/// Rows.
pub const ROWS: &[Convert] = &[
    Convert::new("jwt_header_query", Type::Bin, Type::Any, "The token's header, or of it.", |a, v, _| {
        part(a, v, 0)
    })
    .with(0, TWO)
    .checked(check_part),
    Convert::new("jwt_payload_query", Type::Bin, Type::Any, "The token's payload, or of it.", |a, v, _| {
        part(a, v, 1)
    })
    .with(0, TWO)
    .checked(check_part),
    Convert::new("jwt_verify", Type::Bin, Type::Int, "Verifies the token's signature.", |a, v, s| {
        verified(a, v, s, |k| With::Key(k))
    })
    .with(2, TWO)
    .checked(check_verify),
    Convert::new(
        "jwt_verify_cert",
        Type::Bin,
        Type::Int,
        "Verifies the token's signature with a certificate.",
        |a, v, s| verified(a, v, s, |k| With::Certificate(k)),
    )
    .with(2, TWO)
    .checked(check_certificate),
];
