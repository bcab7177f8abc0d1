//! Certificates that are sent compressed (RFC 8879, manual section 3.2, `tune.ssl.certificate-compression`). What was made is
//! kept: the same certificate goes to many clients.

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;
use rustls::compress::{
    CertCompressor, CertDecompressor, CompressionCache, CompressionFailed, CompressionLevel, ZLIB_COMPRESSOR,
    ZLIB_DECOMPRESSOR,
};
use rustls::{CertificateCompressionAlgorithm, ClientConfig, ServerConfig};
use std::collections::HashMap;
use std::sync::Arc;

/// Most messages that are kept; each has some KiB.
const MOST: usize = 1000;

/// Compressed messages, by the digest of what they were made of.
type Made = HashMap<[u8; 32], Box<[u8]>>;

/// zlib, with what it has made.
#[derive(Debug)]
struct Kept(Mutex<Option<Made>>);

/// All configurations send what this has made.
static KEPT: Kept = Kept(Mutex::new(None));

impl CertCompressor for Kept {
    fn compress(&self, input: Vec<u8>, _: CompressionLevel) -> Result<Vec<u8>, CompressionFailed> {
        let mut key = [0; 32];
        key.copy_from_slice(digest(&SHA256, &input).as_ref());
        if let Some(made) = self.0.lock().as_ref().and_then(|kept| kept.get(&key)) {
            return Ok(made.to_vec());
        }
        let made = ZLIB_COMPRESSOR.compress(input, CompressionLevel::Amortized)?;
        let mut kept = self.0.lock();
        let kept = kept.get_or_insert_default();
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(key, made.clone().into());
        Ok(made)
    }
    fn algorithm(&self) -> CertificateCompressionAlgorithm {
        ZLIB_COMPRESSOR.algorithm()
    }
}

fn both(on: bool) -> (Vec<&'static dyn CertCompressor>, Vec<&'static dyn CertDecompressor>) {
    if on { (vec![&KEPT], vec![ZLIB_DECOMPRESSOR]) } else { (Vec::new(), Vec::new()) }
}

/// Whether clients get, and may send, compressed certificates.
pub fn of_server(config: &mut ServerConfig, on: bool) {
    (config.cert_compressors, config.cert_decompressors) = both(on);
    config.cert_compression_cache = Arc::new(CompressionCache::Disabled);
}

/// Whether servers get, and may send, compressed certificates.
pub fn of_client(config: &mut ClientConfig, on: bool) {
    (config.cert_compressors, config.cert_decompressors) = both(on);
    config.cert_compression_cache = Arc::new(CompressionCache::Disabled);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_kept_and_bounded() {
        let kept = Kept(Mutex::new(None));
        let make = |n: usize| kept.compress(vec![n as u8; n], CompressionLevel::Interactive).unwrap();
        let long = make(4000);
        assert!(long.len() < 100);
        assert_eq!(make(4000), long);
        let mut out = vec![0; 4000];
        ZLIB_DECOMPRESSOR.decompress(&long, &mut out).unwrap();
        assert_eq!(out, vec![4000_usize as u8; 4000]);
        for n in 1..=MOST + 5 {
            make(n);
            assert!(kept.0.lock().as_ref().unwrap().len() <= MOST);
        }
    }
}
