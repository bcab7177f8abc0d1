//! Userlists (manual section 12.2): who may come in, and to which groups they belong.

mod rows;

pub(crate) use rows::{KEYWORDS, check};

use parking_lot::Mutex;
use portcullis_config::Place;
use std::sync::{Arc, LazyLock};

/// Name of a group.
pub type Group = String;

/// How a password is kept.
#[derive(Debug)]
pub enum Password {
    /// None was given: nobody can log in.
    None,
    /// `insecure-password`
    Plain(Box<[u8]>),
    /// `password`: a hash of crypt(3).
    Crypt {
        /// The hash.
        hash: String,
        /// Keyed digest of the password that was right last: hashes cost milliseconds, and a browser sends the
        /// password with every request.
        known: Mutex<Option<Box<[u8]>>>,
    },
}

/// One user.
#[derive(Debug)]
pub struct User {
    /// Name.
    pub name: String,
    /// Password.
    pub password: Password,
    /// Groups, by name.
    pub groups: Vec<Group>,
}

/// A userlist.
#[derive(Debug)]
pub struct Userlist {
    /// Name.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// Its users.
    pub users: Vec<User>,
    /// Its groups.
    pub groups: Vec<Group>,
}

/// All userlists, kept with the model.
#[derive(Clone, Debug, Default)]
pub struct Userlists {
    /// Those that are complete, once everything was read.
    pub list: Vec<Arc<Userlist>>,
    drafts: Vec<rows::Draft>,
}

/// Key of the digests; made anew by each process.
static KEY: LazyLock<aws_lc_rs::hmac::Key> = LazyLock::new(|| {
    let mut key = [0; 32];
    // without randomness the digests are still no clear text
    let _ = aws_lc_rs::rand::fill(&mut key);
    aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key)
});

fn same(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

impl Password {
    /// Is this the password?
    #[must_use]
    pub fn is(&self, given: &[u8]) -> bool {
        match self {
            Self::None => false,
            Self::Plain(plain) => same(plain, given),
            Self::Crypt { hash, known } => {
                let digest = aws_lc_rs::hmac::sign(&KEY, given);
                if known.lock().as_ref().is_some_and(|k| same(k, digest.as_ref())) {
                    return true;
                }
                let right = pwhash::unix::verify(given, hash);
                if right {
                    *known.lock() = Some(digest.as_ref().into());
                }
                right
            }
        }
    }
}

impl Userlist {
    /// The user of this name, if the password is right.
    #[must_use]
    pub fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<&User> {
        self.users.iter().find(|u| u.name.as_bytes() == name).filter(|u| u.password.is(password))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes made by openssl passwd and htpasswd for "secret".
    #[test]
    fn hashes_of_crypt() {
        for hash in HASHES {
            let p = Password::Crypt { hash: (*hash).into(), known: Mutex::default() };
            assert!(!p.is(b"Secret") && p.is(b"secret") && p.is(b"secret") && !p.is(b""), "{hash}");
        }
        assert!(!Password::Crypt { hash: "secret".into(), known: Mutex::default() }.is(b"secret"));
    }

    const HASHES: &[&str] = &[
        "$1$saltsalt$9xy1btjgzLYfb7hivXtC//",
        "$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA",
        "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1",
        "$5$rounds=1400$anotherlongsalt$5y0oTZRDdf9EeBuPgkf9VoE/WDN/4ZWqUs1zWU1lTn9",
        "$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
        "abNANd1rDfiNc",
    ];
}
