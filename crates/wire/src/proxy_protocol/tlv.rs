//! The type-length-value vectors of version 2 (section 2.2).

use super::Fault;

/// Registered types.
pub mod kind {
    /// The negotiated application protocol.
    pub const ALPN: u8 = 0x01;
    /// The host name that the client asked for (SNI).
    pub const AUTHORITY: u8 = 0x02;
    /// Checksum of the whole header.
    pub const CRC32C: u8 = 0x03;
    /// Padding.
    pub const NOOP: u8 = 0x04;
    /// The connection's identifier, up to 128 bytes.
    pub const UNIQUE_ID: u8 = 0x05;
    /// TLS information, see [`super::Ssl`].
    pub const SSL: u8 = 0x20;
    /// TLS version.
    pub const SSL_VERSION: u8 = 0x21;
    /// Common name of the client certificate.
    pub const SSL_CN: u8 = 0x22;
    /// Cipher.
    pub const SSL_CIPHER: u8 = 0x23;
    /// Signature algorithm of the frontend's certificate.
    pub const SSL_SIG_ALG: u8 = 0x24;
    /// Key algorithm of the frontend's certificate.
    pub const SSL_KEY_ALG: u8 = 0x25;
    /// Key exchange group.
    pub const SSL_GROUP: u8 = 0x26;
    /// Signature scheme of the handshake.
    pub const SSL_SIG_SCHEME: u8 = 0x27;
    /// The client's certificate (DER).
    pub const SSL_CLIENT_CERT: u8 = 0x28;
    /// Name of the network namespace.
    pub const NETNS: u8 = 0x30;
}

/// Bits of [`Ssl::client`].
pub mod ssl_client {
    /// The client came over TLS.
    pub const SSL: u8 = 0x01;
    /// It gave a certificate on this connection.
    pub const CERT_CONN: u8 = 0x02;
    /// It gave one at least once in this TLS session.
    pub const CERT_SESS: u8 = 0x04;
}

/// Most bytes of one value. HAProxy 3.5 drops connections with longer ones.
const MAX_VALUE: usize = 1024;
/// Most bytes of an authority (a host name), as HAProxy 3.5 has it.
const MAX_AUTHORITY: usize = 255;
/// Most bytes of a unique id (section 2.2.5).
const MAX_UNIQUE_ID: usize = 128;

/// One value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// Its type, see [`kind`].
    pub kind: u8,
    /// Its bytes.
    pub value: &'a [u8],
}

/// All values of a header, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tlvs<'a>(&'a [u8]);

impl<'a> Tlvs<'a> {
    /// From the bytes behind the addresses.
    ///
    /// # Errors
    /// [`Fault::Bad`] when a value is cut off or longer than its type allows.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (tlv, next) = split(rest).ok_or(Fault::Bad)?;
            let most = match tlv.kind {
                kind::AUTHORITY => MAX_AUTHORITY,
                kind::UNIQUE_ID => MAX_UNIQUE_ID,
                _ => MAX_VALUE,
            };
            if tlv.value.len() > most || (tlv.kind == kind::CRC32C && tlv.value.len() != 4) {
                return Err(Fault::Bad);
            }
            rest = next;
        }
        Ok(Self(bytes))
    }
    /// None at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// The bytes as they came, to be kept for `fc_pp_tlv`.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.0
    }
    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = Tlv<'a>> + use<'a> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (tlv, next) = split(rest)?;
            rest = next;
            Some(tlv)
        })
    }
    /// The first value of this type.
    #[must_use]
    pub fn get(&self, kind: u8) -> Option<&'a [u8]> {
        self.iter().find(|t| t.kind == kind).map(|t| t.value)
    }
    /// What [`kind::SSL`] says, if it is there and well-formed.
    #[must_use]
    pub fn ssl(&self) -> Option<Ssl<'a>> {
        let [client, a, b, c, d, subs @ ..] = self.get(kind::SSL)? else { return None };
        Some(Ssl {
            client: *client,
            verify: u32::from_be_bytes([*a, *b, *c, *d]),
            subs: Self::new(subs).ok()?,
        })
    }
}

fn split(bytes: &[u8]) -> Option<(Tlv<'_>, &[u8])> {
    let [kind, hi, lo, rest @ ..] = bytes else { return None };
    let (value, next) = rest.split_at_checked(usize::from(u16::from_be_bytes([*hi, *lo])))?;
    Some((Tlv { kind: *kind, value }, next))
}

/// TLS information (section 2.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ssl<'a> {
    /// Bits of [`ssl_client`].
    pub client: u8,
    /// 0: the client's certificate was verified.
    pub verify: u32,
    /// Version, names and so on (`kind::SSL_…`).
    pub subs: Tlvs<'a>,
}

impl Ssl<'_> {
    /// Writes the value of a [`kind::SSL`] vector with these sub-vectors.
    pub fn write(client: u8, verify: u32, subs: &[Tlv<'_>], out: &mut Vec<u8>) {
        out.push(client);
        out.extend_from_slice(&verify.to_be_bytes());
        for t in subs {
            t.write(out);
        }
    }
}

impl Tlv<'_> {
    /// Writes it; a value of more than 65,535 bytes is cut there.
    pub fn write(&self, out: &mut Vec<u8>) {
        let len = u16::try_from(self.value.len()).unwrap_or(u16::MAX);
        out.push(self.kind);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&self.value[..usize::from(len)]);
    }
}
