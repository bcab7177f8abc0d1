//! Alerts that end a handshake where OpenSSL, and so HAProxy, sends another one than the library, or one where it sends none.

use rustls::{Error, PeerIncompatible, ProtocolVersion};

/// `handshake_failure` (RFC 8446 section 6.2)
const HANDSHAKE_FAILURE: u8 = 40;
/// `unrecognized_name`
const UNRECOGNIZED_NAME: u8 = 112;

/// The record of the alert that a server sends instead of the library's, while nothing of its own is encrypted yet. `nobody`: there
/// is no certificate for the client (`strict-sni`).
pub(super) fn instead(error: &Error, version: Option<ProtocolVersion>, nobody: bool) -> Option<[u8; 7]> {
    let alert = match error {
        Error::General(_) if nobody => UNRECOGNIZED_NAME,
        Error::NoCertificatesPresented if version == Some(ProtocolVersion::TLSv1_2) => HANDSHAKE_FAILURE,
        Error::PeerIncompatible(PeerIncompatible::NoSignatureSchemesInCommon) => HANDSHAKE_FAILURE,
        _ => return None,
    };
    Some([21, 3, 3, 0, 2, 2, alert])
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
}
