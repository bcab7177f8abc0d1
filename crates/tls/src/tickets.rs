//! Session tickets: what a server would have to remember, sealed and given to the client. All workers share the keys.

use crate::acceptor;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, rand};
use parking_lot::RwLock;
use portcullis_wire::base64;
use rustls::server::{ProducesTickets, StoresServerSessions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};

const NAME: usize = 16;

/// Reads the keys of a `tls-ticket-keys` file: at least three lines of base64, of 48 or 80 bytes.
///
/// # Errors
/// In HAProxy's words.
pub fn keys(text: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut all = Vec::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
        match base64::decode(base64::STANDARD, true, line.as_bytes()) {
            Some(key) if key.len() == 48 || key.len() == 80 => all.push(key),
            _ => return Err("unable to decode base64 key".to_owned()),
        }
    }
    if all.len() < 3 {
        return Err("please supply at least 3 keys in the tls-tickets-file".to_owned());
    }
    Ok(all.split_off(all.len() - 3))
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |t| t.as_secs())
}

/// With the time in front.
fn dated(content: &[u8]) -> Vec<u8> {
    [&now().to_be_bytes(), content].concat()
}

/// Without it, unless that is longer ago than `lifetime` seconds.
fn fresh(dated: &[u8], lifetime: u32) -> Option<Vec<u8>> {
    let (time, content) = dated.split_first_chunk::<8>()?;
    (now().saturating_sub(u64::from_be_bytes(*time)) <= u64::from(lifetime)).then(|| content.to_vec())
}

struct Key {
    name: [u8; NAME],
    key: LessSafeKey,
}

/// The keys of a `tls-ticket-keys` file, and those that an operator has put in their place since (`set ssl tls-key`).
#[derive(Debug)]
pub struct KeyFile {
    /// The file.
    pub name: String,
    /// Tells what was read of it.
    pub(crate) source: u64,
    keys: RwLock<Arc<Vec<Vec<u8>>>>,
    /// How often they were changed.
    changes: AtomicU64,
}

impl KeyFile {
    /// With what was read of it.
    #[must_use]
    pub fn new(name: &str, keys: Vec<Vec<u8>>) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            source: crate::again::fingerprint(&keys),
            keys: RwLock::new(Arc::new(keys)),
            changes: AtomicU64::new(0),
        })
    }
    /// The keys now, the oldest first.
    #[must_use]
    pub fn keys(&self) -> Arc<Vec<Vec<u8>>> {
        self.keys.read().clone()
    }
    /// One more behind them; the oldest goes. False: it is not of their size.
    pub fn push(&self, key: Vec<u8>) -> bool {
        let mut keys = self.keys.write();
        if keys.first().is_none_or(|k| k.len() != key.len()) {
            return false;
        }
        *keys = Arc::new(keys.iter().skip(1).cloned().chain([key]).collect());
        self.changes.fetch_add(1, Relaxed);
        true
    }
}

/// Keys of one configuration.
struct Made {
    keys: Vec<Key>,
    /// The one that seals.
    current: usize,
    /// Of which state of the file.
    changes: u64,
}

impl Made {
    fn of(materials: &[Vec<u8>], identity: &[u8], changes: u64) -> Option<Self> {
        let mut keys = Vec::new();
        for material in materials {
            let mut context = digest::Context::new(&digest::SHA256);
            context.update(b"portcullis ticket");
            context.update(identity);
            context.update(material);
            let secret = context.finish();
            let name = material.get(..NAME)?.try_into().ok()?;
            keys.push(Key {
                name,
                key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret.as_ref()).ok()?),
            });
        }
        // of a file's keys, the last but one seals: the last may not have reached all machines yet
        let current = keys.len().saturating_sub(2);
        Some(Self { keys, current, changes })
    }
}

impl Key {
    /// What a ticket is bound to besides the key: nobody who resumes is served under another certificate, or let in after
    /// his own was revoked.
    fn under(&self) -> Aad<Vec<u8>> {
        Aad::from([&self.name[..], &acceptor::binding()].concat())
    }
}

/// What the keys of this process are made from where no file has some: tickets outlive the configuration that they were made for.
fn random() -> Option<Vec<u8>> {
    static RANDOM: LazyLock<Option<[u8; 48]>> = LazyLock::new(|| {
        let mut random = [0; 48];
        rand::fill(&mut random).ok().map(|()| random)
    });
    RANDOM.map(|random| random.to_vec())
}

/// Seals and opens tickets of one configuration.
pub struct Tickets {
    file: Option<Arc<KeyFile>>,
    identity: Vec<u8>,
    made: RwLock<Arc<Made>>,
    lifetime: u32,
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tickets({:?})", self.file.as_ref().map(|file| &file.name))
    }
}

impl Tickets {
    /// With the keys of a file, or the random one of the process. `identity` tells configurations apart: a session of one, which may have
    /// asked for a certificate, is never resumed under another.
    #[must_use]
    pub fn new(file: Option<Arc<KeyFile>>, identity: &[u8], lifetime: u32) -> Option<Arc<Self>> {
        let materials = match &file {
            Some(file) => file.keys(),
            None => Arc::new(vec![random()?]),
        };
        let made = RwLock::new(Arc::new(Made::of(&materials, identity, 0)?));
        Some(Arc::new(Self { file, identity: identity.to_vec(), made, lifetime }))
    }

    /// The keys; made anew if those of the file have changed.
    fn made(&self) -> Arc<Made> {
        let made = self.made.read().clone();
        let Some(file) = &self.file else { return made };
        let changes = file.changes.load(Relaxed);
        if changes == made.changes {
            return made;
        }
        match Made::of(&file.keys(), &self.identity, changes).map(Arc::new) {
            Some(new) => {
                *self.made.write() = new.clone();
                new
            }
            None => made,
        }
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }
    fn lifetime(&self) -> u32 {
        self.lifetime
    }
    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let plain = dated(plain);
        let made = self.made();
        let key = made.keys.get(made.current)?;
        let mut nonce = [0u8; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut sealed = plain;
        key.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), key.under(), &mut sealed)
            .ok()?;
        Some([&key.name[..], &nonce, &sealed].concat())
    }
    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let made = self.made();
        let key = made.keys.iter().find(|k| k.name == name)?;
        let nonce = Nonce::assume_unique_for_key(nonce.try_into().ok()?);
        let mut plain = sealed.to_vec();
        let len = key.key.open_in_place(nonce, key.under(), &mut plain).ok()?.len();
        plain.truncate(len);
        fresh(&plain, self.lifetime)
    }
}

/// Sessions that can be resumed, of the whole process.
#[derive(Debug)]
pub struct Cache {
    sessions: Arc<dyn StoresServerSessions>,
    /// How often one was looked for (`SslCacheLookups`).
    pub lookups: AtomicU64,
    /// How often it was not there (`SslCacheMisses`).
    pub misses: AtomicU64,
}

impl Cache {
    /// Over something that keeps them.
    #[must_use]
    pub fn new(sessions: Arc<dyn StoresServerSessions>) -> Self {
        Self { sessions, lookups: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }
    fn looked(&self, found: Option<Vec<u8>>) -> Option<Vec<u8>> {
        self.lookups.fetch_add(1, Relaxed);
        self.misses.fetch_add(found.is_none().into(), Relaxed);
        found
    }
}

/// Sessions of one configuration in the cache of the process.
#[derive(Debug)]
pub struct Sessions {
    /// The cache.
    pub cache: Arc<Cache>,
    /// What tells this configuration's apart.
    pub identity: Vec<u8>,
    /// Seconds that they last.
    pub lifetime: u32,
}

impl Sessions {
    fn key(&self, key: &[u8]) -> Vec<u8> {
        let mut hasher = DefaultHasher::new();
        acceptor::binding().hash(&mut hasher);
        [&self.identity, &hasher.finish().to_ne_bytes()[..], key].concat()
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.cache.sessions.put(self.key(&key), dated(&value))
    }
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let found = self.cache.sessions.get(&self.key(key));
        self.cache.looked(found.and_then(|v| fresh(&v, self.lifetime)))
    }
    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let found = self.cache.sessions.take(&self.key(key));
        self.cache.looked(found.and_then(|v| fresh(&v, self.lifetime)))
    }
    fn can_cache(&self) -> bool {
        self.cache.sessions.can_cache()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_for_one_configuration() {
        let file = keys(&format!("{0}\n{0}\n{0}\n", "A".repeat(64))).unwrap();
        let file = KeyFile::new("file", file);
        let a = Tickets::new(Some(file.clone()), b"a", 300).unwrap();
        let same = Tickets::new(Some(file.clone()), b"a", 300).unwrap();
        let b = Tickets::new(Some(file), b"b", 300).unwrap();
        let ticket = a.encrypt(b"secret").unwrap();
        assert_eq!(same.decrypt(&ticket).as_deref(), Some(&b"secret"[..]));
        assert_eq!(b.decrypt(&ticket), None);
        assert_eq!(a.decrypt(&ticket[1..]), None);
        assert!(keys("x\n").is_err());
        assert!(keys(&"A".repeat(64)).is_err());
    }

    /// The last but one seals; what was sealed opens until its key has gone.
    #[test]
    fn keys_are_replaced_while_it_runs() {
        let file = KeyFile::new("file", (0..3).map(|n| vec![n; 48]).collect());
        let tickets = Tickets::new(Some(file.clone()), b"a", 300).unwrap();
        let ticket = tickets.encrypt(b"secret").unwrap();
        assert!(ticket.starts_with(&[1; 16]));
        assert!(!file.push(vec![9; 80]) && file.push(vec![9; 48]));
        assert!(tickets.encrypt(b"x").unwrap().starts_with(&[2; 16]));
        assert_eq!(tickets.decrypt(&ticket).as_deref(), Some(&b"secret"[..]));
        assert!(file.push(vec![10; 48]));
        assert_eq!(tickets.decrypt(&ticket), None);
    }
}
