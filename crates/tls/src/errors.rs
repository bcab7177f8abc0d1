//! Errors of handshakes in the numbers and words of OpenSSL, which logs and `ssl_fc_err` are read for.

use rustls::{Error, InvalidMessage, PeerIncompatible};

/// Number within the library, and its words.
const REASONS: &[(u32, &str)] = &[
    (0x086, "certificate verify failed"),
    (0x09c, "http request"),
    (0x0c1, "no shared cipher"),
    (0x0c7, "peer did not return a certificate"),
    (0x0ea, "callback failed"),
    (0x0f4, "unexpected message"),
    (0x102, "unsupported protocol"),
    (0x18c, "version too low"),
    (0x12a, "record too small"),
    (0x0c6, "packet length too long"),
    (0x098, "excessive message size"),
    (0x10b, "wrong version number"),
    (0x119, "decryption failed or bad record mac"),
    (0x09f, "length mismatch"),
    (0x0eb, "no application protocol"),
    (0x065, "no suitable key share"),
    (0x076, "no suitable signature algorithm"),
    (0x044, "internal error"),
    (0x3f2, "sslv3 alert unexpected message"),
    (0x3fc, "sslv3 alert bad record mac"),
    (0x410, "sslv3 alert handshake failure"),
    (0x412, "sslv3 alert bad certificate"),
    (0x413, "sslv3 alert unsupported certificate"),
    (0x414, "sslv3 alert certificate revoked"),
    (0x415, "sslv3 alert certificate expired"),
    (0x416, "sslv3 alert certificate unknown"),
    (0x417, "sslv3 alert illegal parameter"),
    (0x418, "tlsv1 alert unknown ca"),
    (0x419, "tlsv1 alert access denied"),
    (0x41a, "tlsv1 alert decode error"),
    (0x41b, "tlsv1 alert decrypt error"),
    (0x42e, "tlsv1 alert protocol version"),
    (0x42f, "tlsv1 alert insufficient security"),
    (0x438, "tlsv1 alert internal error"),
    (0x442, "tlsv1 alert user cancelled"),
    (0x45a, "tlsv1 alert unrecognized name"),
    (0x45c, "tlsv13 alert certificate required"),
    (0x460, "tlsv1 alert no application protocol"),
];

/// OpenSSL's number of the library in an error.
pub const LIBRARY: u32 = 0x0a00_0000;
/// An HTTP request.
pub const HTTP_REQUEST: u32 = 0x09c;
/// Not TLS.
pub const WRONG_VERSION: u32 = 0x10b;
/// A message that is not the one that comes here.
pub const UNEXPECTED_MESSAGE: u32 = 0x0f4;
/// A version that is not spoken here.
pub const UNSUPPORTED_PROTOCOL: u32 = 0x102;
/// SSLv3 or less.
pub const VERSION_TOO_LOW: u32 = 0x18c;
/// Something is not as long as it says.
pub const LENGTH_MISMATCH: u32 = 0x09f;
/// A record of nothing.
pub const RECORD_TOO_SMALL: u32 = 0x12a;
/// A record that is longer than any.
pub const PACKET_TOO_LONG: u32 = 0x0c6;
/// A message that is larger than any.
pub const MESSAGE_TOO_LARGE: u32 = 0x098;
/// There is no certificate for the name.
pub const CALLBACK_FAILED: u32 = 0x0ea;

/// The number of an error.
#[must_use]
pub fn number(error: &Error) -> u32 {
    LIBRARY
        | match error {
            Error::AlertReceived(alert) => 1000 + u32::from(u8::from(*alert)),
            Error::InvalidCertificate(_) => 0x086,
            Error::NoCertificatesPresented => 0x0c7,
            Error::NoApplicationProtocol => 0x0eb,
            Error::DecryptError => 0x119,
            Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => WRONG_VERSION,
            Error::InvalidMessage(_) => LENGTH_MISMATCH,
            Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
                UNEXPECTED_MESSAGE
            }
            Error::PeerIncompatible(why) => incompatible(why),
            Error::General(_) => CALLBACK_FAILED,
            _ => 0x044,
        }
}

fn incompatible(why: &PeerIncompatible) -> u32 {
    match why {
        PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::Tls13RequiredForQuic
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => UNSUPPORTED_PROTOCOL,
        PeerIncompatible::NoCipherSuitesInCommon | PeerIncompatible::NoEcPointFormatsInCommon => 0x0c1,
        PeerIncompatible::NoKxGroupsInCommon => 0x065,
        PeerIncompatible::NoSignatureSchemesInCommon => 0x076,
        _ => 0x0c1,
    }
}

/// An error as OpenSSL prints it.
#[must_use]
pub fn text(number: u32) -> String {
    let reason = number & 0x7f_ffff;
    let words = REASONS.iter().find(|(n, _)| *n == reason).map_or("reason", |(_, w)| w);
    match words {
        "reason" => format!("error:{number:08X}:SSL routines::reason({reason})"),
        words => format!("error:{number:08X}:SSL routines::{words}"),
    }
}

/// Does it look like the beginning of an HTTP request?
#[must_use]
pub fn is_http(bytes: &[u8]) -> bool {
    [&b"GET "[..], b"POST", b"HEAD", b"PUT ", b"CONNECT"]
        .iter()
        .any(|m| bytes.starts_with(m.get(..4).unwrap_or(m)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_openssl_says() {
        let n = number(&Error::AlertReceived(rustls::AlertDescription::UnknownCA));
        assert_eq!(n, 0x0a00_0418);
        assert_eq!(text(n), "error:0A000418:SSL routines::tlsv1 alert unknown ca");
        assert_eq!(text(0x0a00_009c), "error:0A00009C:SSL routines::http request");
        assert!(is_http(b"GET / HTTP/1.0\r\n") && !is_http(b"\x16\x03"));
    }
}
