//! Errors of certificates by name.

use super::Convert;
use crate::value::{Sample, Type, Value};
use portcullis_tls::rows::errors::NAMES;

/// The name of an error; a number that has none, as it is.
fn name<'s>(n: i64) -> Sample<'s> {
    // as HAProxy, which counts in 32 bits, and shows what has no name without a sign
    let at = NAMES.binary_search_by_key(&(n as u32), |(number, _)| *number);
    match at.ok().and_then(|i| NAMES.get(i)) {
        Some((_, name)) => Value::str(name.as_bytes()).into(),
        None => Value::Str((n as u64).to_string().into_bytes().into()).into(),
    }
}

/// Rows.
pub const ROWS: &[Convert] = &[Convert::new(
    "x509_v_err_str",
    Type::Int,
    Type::Str,
    "The name of OpenSSL's error of this number.",
    |_, v, _| v.to_int().map_or(Sample::Missing, name),
)];
