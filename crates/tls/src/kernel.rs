//! Connections whose records the kernel makes and opens (`ktls on`): what it is told, and what it leaves to us. The handshake is
//! the library's.

use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::{
    AlertDescription, CipherSuite, CommonState, ConnectionTrafficSecrets, Error, InvalidMessage,
    ProtocolVersion, SupportedCipherSuite,
};

/// `TLS_1_2_VERSION`, `TLS_1_3_VERSION`
const V12: u16 = 0x0303;
const V13: u16 = 0x0304;
/// `TLS_CIPHER_AES_GCM_128`, `TLS_CIPHER_AES_GCM_256`, `TLS_CIPHER_CHACHA20_POLY1305`
const AES_128: u16 = 51;
const AES_256: u16 = 52;
const CHACHA: u16 = 54;

/// Types of records (RFC 8446 section 5.1) and of messages (section 4).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const HELLO_REQUEST: u8 = 0;
const NEW_SESSION_TICKET: u8 = 4;
/// A peer that sends more of a message before it is complete sends none.
const MAX_MESSAGE: usize = 70_000;
/// Most payload of a record.
const RECORD: usize = 16384;

/// A version of TLS and a cipher, by the kernel's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    version: u16,
    cipher: u16,
}

/// Those that a kernel may know.
pub const KINDS: [Kind; 6] = [
    Kind { version: V12, cipher: AES_128 },
    Kind { version: V12, cipher: AES_256 },
    Kind { version: V12, cipher: CHACHA },
    Kind { version: V13, cipher: AES_128 },
    Kind { version: V13, cipher: AES_256 },
    Kind { version: V13, cipher: CHACHA },
];

/// What the kernel is told of one direction: a `struct tls12_crypto_info_*` of `linux/tls.h`.
pub struct Keys(Vec<u8>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.0.fill(0);
        std::hint::black_box(&mut self.0);
    }
}

impl AsRef<[u8]> for Keys {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Kind {
    /// What was negotiated, if a kernel may know it.
    pub(crate) fn of(connection: &CommonState) -> Option<Self> {
        let version = match connection.protocol_version()? {
            ProtocolVersion::TLSv1_2 => V12,
            ProtocolVersion::TLSv1_3 => V13,
            _ => return None,
        };
        let cipher = match connection.negotiated_cipher_suite()?.suite() {
            CipherSuite::TLS13_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => AES_128,
            CipherSuite::TLS13_AES_256_GCM_SHA384
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => AES_256,
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => CHACHA,
            _ => return None,
        };
        Some(Self { version, cipher })
    }

    /// Keys of zeros, for asking the kernel whether it knows this.
    #[must_use]
    pub fn blank(self) -> Keys {
        let key = if self.cipher == AES_128 { 16 } else { 32 };
        self.write(&vec![0; key], &[0; 12], 0)
    }

    /// The keys of what is sent or received from record `number` on. `None`: a cipher that is none of these.
    pub(crate) fn keys(self, (number, secrets): (u64, ConnectionTrafficSecrets), sent: bool) -> Option<Keys> {
        let (key, iv) = match &secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv }
            | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
            | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (key, iv),
            _ => return None,
        };
        let mut iv: [u8; 12] = iv.as_ref().try_into().ok()?;
        if sent && self.version == V12 && self.cipher != CHACHA {
            // The kernel counts nonces upwards from this one, the library has taken this one's exclusive-or with the numbers of
            // its records: in the other half of them no nonce can come twice (RFC 5288 section 3).
            iv[4] ^= 0x80;
        }
        Some(self.write(key.as_ref(), &iv, number))
    }

    fn write(self, key: &[u8], iv: &[u8; 12], number: u64) -> Keys {
        let (salt, rest) = iv.split_at(if self.cipher == CHACHA { 0 } else { 4 });
        let mut out = Vec::with_capacity(64);
        out.extend(self.version.to_ne_bytes());
        out.extend(self.cipher.to_ne_bytes());
        out.extend(rest);
        out.extend(key);
        out.extend(salt);
        out.extend(number.to_be_bytes());
        Keys(out)
    }
}

/// What is left of a connection that the kernel has.
pub(crate) struct Kernel {
    /// Takes a server's tickets.
    tickets: Option<KernelConnection<ClientConnectionData>>,
    /// The beginning of a message whose end has not come.
    message: Vec<u8>,
    /// Records that may be sent still: more with one key would tell of it (RFC 8446 section 5.5).
    left: u64,
    /// What it took, and nobody has been told that it is sent.
    pub(crate) unconfirmed: usize,
}

impl Kernel {
    pub(crate) fn new(
        suite: SupportedCipherSuite,
        tickets: Option<KernelConnection<ClientConnectionData>>,
    ) -> Self {
        let left = match suite {
            SupportedCipherSuite::Tls12(s) => s.common.confidentiality_limit,
            SupportedCipherSuite::Tls13(s) => s.common.confidentiality_limit,
        };
        Self { tickets, message: Vec::new(), left, unconfirmed: 0 }
    }

    /// So much was sent. False: the key is used up.
    pub(crate) fn spend(&mut self, bytes: usize) -> bool {
        self.left = self.left.saturating_sub(bytes.div_ceil(RECORD) as u64);
        self.left > 0
    }

    /// A record came that is none of data. True: the peer sends no more.
    ///
    /// # Errors
    /// An alert that ends the connection, or something that nobody may send now; also new keys of the peer's, which kernels
    /// before 6.14 do not take.
    pub(crate) fn control(&mut self, kind: u8, bytes: &[u8]) -> Result<bool, Error> {
        match (kind, bytes) {
            (ALERT, [_, 0]) => Ok(true),
            // `user_canceled` is followed by the end
            (ALERT, [_, 90]) => Ok(false),
            (ALERT, [_, number]) => Err(Error::AlertReceived(AlertDescription::from(*number))),
            (HANDSHAKE, _) if self.message.len() + bytes.len() <= MAX_MESSAGE => {
                self.message.extend_from_slice(bytes);
                self.messages().map(|()| false)
            }
            _ => Err(InvalidMessage::InvalidContentType.into()),
        }
    }

    fn messages(&mut self) -> Result<(), Error> {
        while let [kind, a, b, c, rest @ ..] = self.message.as_slice() {
            let len = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            let Some(body) = rest.get(..len) else { break };
            match (*kind, &mut self.tickets) {
                (NEW_SESSION_TICKET, Some(tickets)) => tickets.handle_new_session_ticket(body)?,
                // asks for another handshake, which need not be answered (RFC 5246 section 7.4.1.1)
                (HELLO_REQUEST, Some(_)) => {}
                _ => {
                    return Err(Error::General(
                        "a message that a connection of the kernel's cannot take".to_owned(),
                    ));
                }
            }
            self.message.drain(..4 + len);
        }
        if self.message.is_empty() {
            self.message = Vec::new();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::crypto::cipher::{AeadKey, Iv};

    fn secrets() -> (u64, ConnectionTrafficSecrets) {
        let iv = Iv::copy(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        (3, ConnectionTrafficSecrets::Aes256Gcm { key: AeadKey::from([7; 32]), iv })
    }

    /// `struct tls12_crypto_info_aes_gcm_256`: nonce, key, salt, number.
    #[test]
    fn as_the_kernel_wants_it() {
        let keys = KINDS[4].keys(secrets(), true).unwrap();
        let bytes = keys.as_ref();
        assert_eq!(bytes.len(), 4 + 8 + 32 + 4 + 8);
        assert_eq!(bytes[..4], [V13.to_ne_bytes(), AES_256.to_ne_bytes()].concat());
        assert_eq!(bytes[4..12], [5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(bytes[12..44], [7; 32]);
        assert_eq!(bytes[44..], [1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 3]);
        assert_eq!(KINDS[5].blank().as_ref().len(), 4 + 12 + 32 + 8);
    }

    /// The library has used the first nonces of TLS 1.2 with this key.
    #[test]
    fn no_nonce_comes_twice() {
        let nonce = |sent| KINDS[1].keys(secrets(), sent).unwrap().as_ref()[4..12].to_vec();
        assert_eq!(nonce(false), [5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(nonce(true), [0x85, 6, 7, 8, 9, 10, 11, 12]);
    }

    #[test]
    fn what_is_no_data() {
        let suite = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
        let mut k = Kernel::new(suite, None);
        assert_eq!(k.control(ALERT, &[1, 0]), Ok(true));
        assert_eq!(k.control(ALERT, &[1, 90]), Ok(false));
        assert_eq!(k.control(ALERT, &[2, 20]), Err(Error::AlertReceived(AlertDescription::BadRecordMac)));
        assert!(k.control(20, &[1]).is_err());
        // a message in two records
        assert_eq!(k.control(HANDSHAKE, &[24, 0, 0]), Ok(false));
        assert!(k.control(HANDSHAKE, &[1, 0]).is_err());
        assert!(k.spend(1));
        assert!(!k.spend(RECORD << 24));
    }
}
