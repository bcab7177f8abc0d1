//! Passwords that are kept as hashes of crypt(3). A hash costs milliseconds, and a browser sends the password with every
//! request: what was found right or wrong lately is remembered by a keyed digest.

use super::same;
use crate::work;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};
use yescrypt::{PasswordHashRef, PasswordVerifier, Yescrypt};

/// Wrong passwords of a user that are remembered.
const WRONG: usize = 16;

/// A hash.
#[derive(Debug)]
pub struct Crypt {
    hash: String,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    right: Option<Digest>,
    wrong: VecDeque<Digest>,
}

type Digest = Box<[u8]>;

/// Key of the digests; made anew by each process.
static KEY: LazyLock<aws_lc_rs::hmac::Key> = LazyLock::new(|| {
    let mut key = [0; 32];
    // without randomness the digests are still no clear text
    let _ = aws_lc_rs::rand::fill(&mut key);
    aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key)
});

impl Crypt {
    /// Of this hash.
    #[must_use]
    pub fn new(hash: String) -> Self {
        Self { hash, known: Mutex::default() }
    }

    /// Is this its password? `None`: a thread is finding out; without one it is found out here and now.
    pub(super) fn is(self: &Arc<Self>, given: &[u8]) -> Option<bool> {
        let digest: Digest = aws_lc_rs::hmac::sign(&KEY, given).as_ref().into();
        if let Some(answer) = self.known.lock().of(&digest) {
            return Some(answer);
        }
        let (own, password) = (self.clone(), given.to_vec());
        match work::submit(Box::new(move || own.find_out(&password, digest))) {
            work::Submitted::Waits => None,
            work::Submitted::Full => Some(false),
            work::Submitted::Here(job) => {
                job();
                self.known.lock().of(aws_lc_rs::hmac::sign(&KEY, given).as_ref())
            }
        }
    }

    fn find_out(&self, password: &[u8], digest: Digest) {
        // another request may have asked the same meanwhile
        if self.known.lock().of(&digest).is_some() {
            return;
        }
        let right = verify(password, &self.hash);
        let mut known = self.known.lock();
        if right {
            known.right = Some(digest);
            return;
        }
        if known.wrong.len() >= WRONG {
            known.wrong.pop_front();
        }
        known.wrong.push_back(digest);
    }
}

impl Known {
    fn of(&self, digest: &[u8]) -> Option<bool> {
        if self.right.as_ref().is_some_and(|k| same(k, digest)) {
            return Some(true);
        }
        self.wrong.iter().any(|k| same(k, digest)).then_some(false)
    }
}

fn verify(password: &[u8], hash: &str) -> bool {
    if !hash.starts_with("$y$") {
        return pwhash::unix::verify(password, hash);
    }
    PasswordHashRef::new(hash).is_ok_and(|h| Yescrypt::default().verify_password(password, h).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes made by openssl passwd, htpasswd and perl's crypt for "secret".
    #[test]
    fn hashes_of_crypt() {
        for hash in HASHES {
            let p = Arc::new(Crypt::new((*hash).into()));
            for (given, right) in
                [("Secret", false), ("Secret", false), ("secret", true), ("secret", true), ("", false)]
            {
                assert_eq!(p.is(given.as_bytes()), Some(right), "{hash} {given}");
            }
        }
        assert_eq!(Arc::new(Crypt::new("secret".into())).is(b"secret"), Some(false));
        assert_eq!(Arc::new(Crypt::new("$y$".into())).is(b"secret"), Some(false));
    }

    const HASHES: &[&str] = &[
        "$1$saltsalt$9xy1btjgzLYfb7hivXtC//",
        "$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA",
        "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1",
        "$5$rounds=1400$anotherlongsalt$5y0oTZRDdf9EeBuPgkf9VoE/WDN/4ZWqUs1zWU1lTn9",
        "$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
        "abNANd1rDfiNc",
        "$y$j9T$abcdefghijklmnop$3dL1LkYnZM.OVXuVdnnaKVDlLYT92dRwOzDZ5XiVCe.",
    ];
}
