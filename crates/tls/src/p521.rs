//! Key exchange on P-521 (secp521r1, RFC 8446 section 4.2.8.2), which the library has not: OpenSSL speaks TLS 1.2 with an ECDSA
//! certificate on a curve only to who names the curve among the groups.

use aws_lc_rs::agreement::{ECDH_P521, EphemeralPrivateKey, PublicKey, UnparsedPublicKey, agree_ephemeral};
use aws_lc_rs::rand::SystemRandom;
use rustls::crypto::{ActiveKeyExchange, GetRandomFailed, SharedSecret, SupportedKxGroup};
use rustls::ffdhe_groups::FfdheGroup;
use rustls::{Error, NamedGroup, PeerMisbehaved};

/// The group.
pub(crate) static SECP521R1: &dyn SupportedKxGroup = &Group;

#[derive(Debug)]
struct Group;

impl SupportedKxGroup for Group {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let secret = EphemeralPrivateKey::generate(&ECDH_P521, &SystemRandom::new());
        let secret = secret.map_err(|_| GetRandomFailed)?;
        let public = secret.compute_public_key().map_err(|_| GetRandomFailed)?;
        Ok(Box::new(Exchange { secret, public }))
    }
    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }
    fn name(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

/// An exchange that has begun.
struct Exchange {
    secret: EphemeralPrivateKey,
    public: PublicKey,
}

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        /// A point is written as both of its coordinates.
        const UNCOMPRESSED: u8 = 4;
        let wrong = Error::from(PeerMisbehaved::InvalidKeyShare);
        if peer.first() != Some(&UNCOMPRESSED) {
            return Err(wrong);
        }
        let peer = UnparsedPublicKey::new(&ECDH_P521, peer);
        agree_ephemeral(self.secret, peer, wrong, |secret| Ok(SharedSecret::from(secret)))
    }
    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }
    fn group(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
    fn pub_key(&self) -> &[u8] {
        self.public.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_agree() {
        let (a, b) = (SECP521R1.start().unwrap(), SECP521R1.start().unwrap());
        let (of_a, of_b) = (a.pub_key().to_vec(), b.pub_key().to_vec());
        assert_eq!(of_a.len(), 133);
        let (a, b) = (a.complete(&of_b).unwrap(), b.complete(&of_a).unwrap());
        assert_eq!(a.secret_bytes(), b.secret_bytes());
        assert_eq!(a.secret_bytes().len(), 66);
    }

    #[test]
    fn only_whole_points_of_the_curve() {
        let point = SECP521R1.start().unwrap().pub_key().to_vec();
        for wrong in [&[][..], &[4], &point[..132], &[&[2], &point[1..67]].concat(), &[4; 133]] {
            assert!(SECP521R1.start().unwrap().complete(wrong).is_err());
        }
    }
}
