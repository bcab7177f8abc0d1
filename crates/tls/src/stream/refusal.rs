//! Alerts that end a handshake where OpenSSL, and so HAProxy, sends another one than the library, or one where it sends none.

use crate::errors;
use rustls::{Error, PeerIncompatible, ProtocolVersion};

/// `unexpected_message` (RFC 8446 section 6.2)
const UNEXPECTED_MESSAGE: u8 = 10;
/// `record_overflow`
const RECORD_OVERFLOW: u8 = 22;
/// `handshake_failure`
const HANDSHAKE_FAILURE: u8 = 40;
/// `illegal_parameter`
const ILLEGAL_PARAMETER: u8 = 47;
/// `protocol_version`
const PROTOCOL_VERSION: u8 = 70;
/// `unrecognized_name`
const UNRECOGNIZED_NAME: u8 = 112;

/// A record with an alert.
type Alert = [u8; 7];

const fn fatal(alert: u8) -> Alert {
    [21, 3, 3, 0, 2, 2, alert]
}

/// What is answered to a client that has sent something else than a ClientHello, and the error in OpenSSL's numbers. What is no
/// record of TLS at all is not answered.
pub(super) fn no_hello(bytes: &[u8]) -> (Option<Alert>, u32) {
    /// More is in no record, even if it was to be decrypted.
    const MOST: u16 = 16384 + 256;
    let (answer, number) = match *bytes {
        [20..=23, 3, _, 0, 0, ..] => (Some(UNEXPECTED_MESSAGE), errors::RECORD_TOO_SMALL),
        [20..=23, 3, _, high, low, ..] if u16::from_be_bytes([high, low]) > MOST => {
            (Some(RECORD_OVERFLOW), errors::PACKET_TOO_LONG)
        }
        // it would have been taken otherwise
        [22, 3, _, _, _, 1, 1..=255, ..] => (Some(ILLEGAL_PARAMETER), errors::MESSAGE_TOO_LARGE),
        [22, 3, _, _, _, 1, ..] => (None, errors::LENGTH_MISMATCH),
        [20..=23, 3, ..] => (Some(UNEXPECTED_MESSAGE), errors::UNEXPECTED_MESSAGE),
        _ if errors::is_http(bytes) => (None, errors::HTTP_REQUEST),
        _ => (None, errors::WRONG_VERSION),
    };
    (answer.map(fatal), errors::LIBRARY | number)
}

/// The same for a ClientHello whose newest version is `newest`, if that is none that anybody speaks here.
pub(super) fn too_old(newest: u16) -> Option<(Alert, u32)> {
    let (alert, number) = match newest {
        ..=0x0300 => (HANDSHAKE_FAILURE, errors::VERSION_TOO_LOW),
        0x0301 | 0x0302 => (PROTOCOL_VERSION, errors::UNSUPPORTED_PROTOCOL),
        _ => return None,
    };
    Some((fatal(alert), errors::LIBRARY | number))
}

/// The same for a ClientHello with a server name that nobody can have.
pub(super) fn no_name() -> (Alert, u32) {
    (fatal(UNRECOGNIZED_NAME), errors::LIBRARY | errors::CALLBACK_FAILED)
}

/// The record of the alert that a server sends instead of the library's, while nothing of its own is encrypted yet. `nobody`: there
/// is no certificate for the client (`strict-sni`).
pub(super) fn instead(error: &Error, version: Option<ProtocolVersion>, nobody: bool) -> Option<Alert> {
    let alert = match error {
        Error::General(_) | Error::PeerIncompatible(_) if nobody => UNRECOGNIZED_NAME,
        // there is no scheme that both sides have
        Error::General(_) if version == Some(ProtocolVersion::TLSv1_2) => HANDSHAKE_FAILURE,
        Error::NoCertificatesPresented if version == Some(ProtocolVersion::TLSv1_2) => HANDSHAKE_FAILURE,
        Error::PeerIncompatible(PeerIncompatible::NoSignatureSchemesInCommon) => HANDSHAKE_FAILURE,
        _ => return None,
    };
    Some(fatal(alert))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_it_is_another_one() {
        let no_certificate = |version| instead(&Error::NoCertificatesPresented, Some(version), false);
        assert_eq!(no_certificate(ProtocolVersion::TLSv1_2), Some([21, 3, 3, 0, 2, 2, 40]));
        assert_eq!(no_certificate(ProtocolVersion::TLSv1_3), None);
        let none = Error::General("no server certificate chain resolved".to_owned());
        assert_eq!(instead(&none, None, true).map(|r| r[6]), Some(112));
        assert_eq!(instead(&none, None, false), None);
        assert_eq!(instead(&Error::DecryptError, None, true), None);
    }

    #[test]
    fn what_is_no_hello() {
        let said = |bytes: &[u8]| {
            let (record, number) = no_hello(bytes);
            (record.map(|r| r[6]), number & 0xfff)
        };
        assert_eq!(said(&[22, 3, 1, 0xff, 0xff, 1, 1]), (Some(22), 0x0c6));
        assert_eq!(said(&[22, 3, 1, 0, 0, 22, 3]), (Some(10), 0x12a));
        assert_eq!(said(&[23, 3, 3, 0, 5, b'h', b'e']), (Some(10), 0x0f4));
        assert_eq!(said(&[22, 3, 3, 0, 4, 2, 0, 0, 0]), (Some(10), 0x0f4));
        assert_eq!(said(&[22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff]), (Some(47), 0x098));
        assert_eq!(said(b"GET / HTTP/1.0"), (None, 0x09c));
        assert_eq!(said(&[0xff; 40]), (None, 0x10b));
    }

    #[test]
    fn old_versions() {
        let said = |newest| too_old(newest).map(|(record, number)| (record[6], number & 0xfff));
        assert_eq!(said(0x0300), Some((40, 0x18c)));
        assert_eq!(said(0x0301), Some((70, 0x102)));
        assert_eq!(said(0x0302), Some((70, 0x102)));
        assert_eq!((said(0x0303), said(0x0304)), (None, None));
    }
}
