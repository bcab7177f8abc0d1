//! Encrypted private keys: PKCS #8 with PBES2 (RFC 8018) and the older form whose headers stand in the PEM block; and who is
//! asked for passphrases (`ssl-passphrase-cmd`).

use crate::der::{Der, INTEGER, OCTETS, OID, SEQUENCE};
use aws_lc_rs::cipher::{
    AES_128, AES_256, Algorithm, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use portcullis_wire::{base64, hex};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use std::num::NonZeroU32;
use std::process::{Command, Stdio};

/// Most rounds of a key derivation.
const MOST_ROUNDS: u32 = 10_000_000;

/// An encrypted block of a PEM text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What stands behind `BEGIN`.
    label: String,
    /// `DEK-Info`, of the older form.
    dek: Option<String>,
    /// Its content.
    der: Vec<u8>,
}

/// The first encrypted private key of a PEM text.
#[must_use]
pub fn find(text: &[u8]) -> Option<Block> {
    let has = |part: &[u8]| text.windows(part.len()).any(|w| w == part);
    if !has(b"ENCRYPTED") {
        return None;
    }
    let text = String::from_utf8_lossy(text);
    text.split("-----BEGIN ").skip(1).find_map(block)
}

fn block(text: &str) -> Option<Block> {
    let (label, rest) = text.split_once("-----")?;
    let (body, _) = rest.split_once("-----END")?;
    let modern = label == "ENCRYPTED PRIVATE KEY";
    let old = label.ends_with("PRIVATE KEY") && body.contains("Proc-Type: 4,ENCRYPTED");
    if !modern && !old {
        return None;
    }
    let dek = body.lines().find_map(|l| l.strip_prefix("DEK-Info: ")).map(|d| d.trim().to_owned());
    let content: String = body.lines().filter(|l| !l.contains(':')).collect();
    let der = base64::decode_lines(content.as_bytes())?;
    Some(Block { label: label.to_owned(), dek, der })
}

/// Passphrases that are known, and who is asked for further ones.
#[derive(Clone, Debug, Default)]
pub struct Passphrases {
    /// `ssl-passphrase-cmd`
    pub command: Vec<String>,
    /// Those that opened something.
    known: Vec<Vec<u8>>,
}

impl Passphrases {
    /// One that is known from the start (`ca-sign-pass`).
    #[must_use]
    pub fn of(passphrase: &[u8]) -> Self {
        Self { command: Vec::new(), known: vec![passphrase.to_vec()] }
    }

    /// Those that are known, without anybody to be asked: a running process starts no program for it.
    #[must_use]
    pub fn known_only(&self) -> Self {
        Self { command: Vec::new(), known: self.known.clone() }
    }

    /// Opens a key with a passphrase that is known, or with what the command says; `file` is its first argument.
    pub fn open(&mut self, file: &str, block: &Block) -> Option<PrivateKeyDer<'static>> {
        if let Some(key) = self.known.iter().find_map(|p| decrypt(block, p)) {
            return Some(key);
        }
        let said = ask(&self.command, file)?;
        let key = decrypt(block, &said)?;
        self.known.push(said);
        Some(key)
    }
}

/// What the command says on its standard output, without the end of the line.
fn ask(command: &[String], file: &str) -> Option<Vec<u8>> {
    let (program, args) = command.split_first()?;
    let mut command = Command::new(program);
    command.arg(file).args(args).stdin(Stdio::null()).stderr(Stdio::inherit());
    let mut said = command.output().ok().filter(|o| o.status.success())?.stdout;
    while said.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
        said.pop();
    }
    Some(said)
}

/// The key, if the passphrase is right.
fn decrypt(block: &Block, passphrase: &[u8]) -> Option<PrivateKeyDer<'static>> {
    let Some(dek) = &block.dek else {
        let plain = pbes2(&block.der, passphrase)?;
        Der(&plain).inside(SEQUENCE)?;
        return Some(PrivatePkcs8KeyDer::from(plain).into());
    };
    let (name, iv) = dek.split_once(',')?;
    let iv = hex::decode(iv.as_bytes()).ok()?;
    let (algorithm, len) = match name {
        "AES-256-CBC" => (&AES_256, 32),
        "AES-128-CBC" => (&AES_128, 16),
        _ => return None,
    };
    let key = digest_key(passphrase, iv.get(..8)?, len);
    let plain = cbc(algorithm, &key, &iv, &block.der)?;
    Der(&plain).inside(SEQUENCE)?;
    Some(match block.label.as_str() {
        "RSA PRIVATE KEY" => PrivatePkcs1KeyDer::from(plain).into(),
        "EC PRIVATE KEY" => PrivateSec1KeyDer::from(plain).into(),
        _ => PrivatePkcs8KeyDer::from(plain).into(),
    })
}

/// The key of the older form: MD5 over and over (EVP_BytesToKey(3), one round).
fn digest_key(passphrase: &[u8], salt: &[u8], len: usize) -> Vec<u8> {
    use md5::{Digest, Md5};
    let (mut key, mut last) = (Vec::new(), Vec::new());
    while key.len() < len {
        let mut md5 = Md5::new();
        md5.update(&last);
        md5.update(passphrase);
        md5.update(salt);
        last = md5.finalize().to_vec();
        key.extend_from_slice(&last);
    }
    key.truncate(len);
    key
}

/// AES in CBC mode with padding.
fn cbc(algorithm: &'static Algorithm, key: &[u8], iv: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let iv: [u8; 16] = iv.try_into().ok()?;
    let key = UnboundCipherKey::new(algorithm, key).ok()?;
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?;
    let mut data = sealed.to_vec();
    let plain = key.decrypt(&mut data, DecryptionContext::Iv128(FixedLength::from(&iv))).ok()?;
    Some(plain.to_vec())
}

/// An `EncryptedPrivateKeyInfo` with PBES2, PBKDF2 and AES (RFC 8018 appendix A).
fn pbes2(der: &[u8], passphrase: &[u8]) -> Option<Vec<u8>> {
    const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13];
    const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 12];
    const AES: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1];
    let mut outer = Der(der).inside(SEQUENCE)?;
    let mut scheme = outer.inside(SEQUENCE)?;
    let sealed = outer.tagged(OCTETS)?.content;
    (scheme.tagged(OID)?.content == PBES2).then_some(())?;
    let mut parameters = scheme.inside(SEQUENCE)?;
    let mut derivation = parameters.inside(SEQUENCE)?;
    let mut cipher = parameters.inside(SEQUENCE)?;
    (derivation.tagged(OID)?.content == PBKDF2).then_some(())?;
    let mut d = derivation.inside(SEQUENCE)?;
    let salt = d.tagged(OCTETS)?.content;
    let rounds = d.tagged(INTEGER)?.content.iter().fold(0u32, |v, b| v.saturating_mul(256) | u32::from(*b));
    let rounds = NonZeroU32::new(rounds).filter(|r| r.get() <= MOST_ROUNDS)?;
    d.tagged(INTEGER); // the key's length, which the cipher says too
    let prf = match d.inside(SEQUENCE).and_then(|mut a| a.tagged(OID)).map(|o| o.content) {
        None | Some([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 7]) => pbkdf2::PBKDF2_HMAC_SHA1,
        Some([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 9]) => pbkdf2::PBKDF2_HMAC_SHA256,
        Some([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 10]) => pbkdf2::PBKDF2_HMAC_SHA384,
        Some([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 11]) => pbkdf2::PBKDF2_HMAC_SHA512,
        _ => return None,
    };
    let (algorithm, len) = match cipher.tagged(OID)?.content.strip_prefix(AES)? {
        [2] => (&AES_128, 16),
        [42] => (&AES_256, 32),
        _ => return None,
    };
    let iv = cipher.tagged(OCTETS)?.content;
    let mut key = vec![0; len];
    pbkdf2::derive(prf, rounds, salt, passphrase, &mut key);
    cbc(algorithm, &key, iv, sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PKCS8: &[u8] = include_bytes!("../tests/encrypted_pkcs8.pem");
    const OLD: &[u8] = include_bytes!("../tests/encrypted_old.pem");

    #[test]
    fn both_forms_open_with_their_passphrase_only() {
        for text in [PKCS8, OLD] {
            let block = find(text).unwrap();
            assert!(decrypt(&block, b"secret").is_some());
            assert!(decrypt(&block, b"other").is_none());
            assert!(Passphrases::default().open("x", &block).is_none());
            assert!(Passphrases::of(b"secret").open("x", &block).is_some());
        }
    }

    #[test]
    fn a_command_is_asked_once() {
        let command = ["/bin/sh", "-c", "printf 'secret\\n'; test \"$0\" = one"];
        let mut passphrases = Passphrases {
            command: command[..1].iter().map(|s| (*s).to_owned()).collect(),
            known: Vec::new(),
        };
        // the file comes before the other arguments: no such script
        assert!(passphrases.open("/nonexistent", &find(PKCS8).unwrap()).is_none());
        let dir = std::env::temp_dir().join(format!("portcullis-passphrase-{}", std::process::id()));
        std::fs::write(&dir, "printf 'secret\\n'").unwrap();
        let file = dir.display().to_string();
        assert!(passphrases.open(&file, &find(PKCS8).unwrap()).is_some());
        std::fs::remove_file(&dir).unwrap();
        // what it said is known now
        assert!(passphrases.open(&file, &find(OLD).unwrap()).is_some());
    }

    #[test]
    fn plain_keys_are_none() {
        assert_eq!(find(include_bytes!("../tests/self_signed.pem")), None);
        assert_eq!(find(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nxx"), None);
        assert_eq!(pbes2(b"\x30\x84\xff", b""), None);
    }
}
