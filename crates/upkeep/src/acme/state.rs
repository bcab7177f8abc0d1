//! What was issued, kept in a directory for the next start (`state-dir`, an addition of ours).
//!
//! The directory is opened before the process is confined; a file is written beside and then put in the old one's place.

use crate::url::escape;
use parking_lot::Mutex;
use portcullis_config::files::{self, Files, LocalFiles};
use portcullis_tls::describe;
use portcullis_tls::encrypted::Passphrases;
use portcullis_tls::store::{Certificate, Draft, Parts, Slot};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// A directory for what was issued.
#[derive(Clone, Debug)]
pub struct Directory(Arc<OwnedFd>);

/// Those that were opened, by name: a process in a jail finds them here when it reads its configuration again.
static OPENED: Mutex<BTreeMap<String, Directory>> = Mutex::new(BTreeMap::new());

/// A certificate's file: its name may have slashes.
fn file(name: &str) -> String {
    format!("{}.pem", escape(name.as_bytes()))
}

impl Directory {
    /// Opens it.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &str) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        files::note_kept(Path::new(path));
        let mut opened = OPENED.lock();
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(fd) => {
                let new = Self(Arc::new(fd));
                opened.insert(path.into(), new.clone());
                Ok(new)
            }
            Err(e) => opened.get(path).cloned().ok_or(e.into()),
        }
    }

    /// Keeps a certificate with its key.
    ///
    /// # Errors
    /// The system's.
    pub fn keep(&self, name: &str, what: &Draft) -> io::Result<()> {
        let mut text = String::new();
        what.chain.iter().for_each(|c| describe::pem("CERTIFICATE", c.as_ref(), &mut text));
        if let Some(key) = &what.key {
            describe::pem("PRIVATE KEY", key.secret_der(), &mut text);
        }
        let (place, new) = (file(name), format!(".{}.new", escape(name.as_bytes())));
        let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::CLOEXEC;
        let mut out = File::from(rustix::fs::openat(&self.0, &new, flags, Mode::RUSR | Mode::WUSR)?);
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        Ok(rustix::fs::renameat(&self.0, &new, &self.0, &place)?)
    }
}

/// Takes what was kept of a certificate, if it ends later than what is there.
///
/// # Errors
/// It cannot be used.
pub fn restore(dir: &str, slot: &Arc<Slot<Certificate>>) -> Result<(), String> {
    let path = Path::new(dir).join(file(&slot.name));
    let Ok(pem) = LocalFiles.read(&path) else { return Ok(()) };
    let current = slot.get();
    // its key is in the same file
    let load = portcullis_tls::store::Load { key: None, ..(*current.load).clone() };
    let parts = Parts { pem, load: Arc::new(load), ..Parts::default() };
    let name = path.to_string_lossy();
    let draft = Draft::read(&name, &parts, &mut Passphrases::default())?;
    let made = Draft { load: current.load.clone(), ..draft }.finish(&slot.name)?;
    if made.validity().map(|(_, to)| to) > current.validity().map(|(_, to)| to) {
        slot.set(made);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_tls::keys::{KeyType, Names, self_signed};
    use portcullis_tls::store::Load;

    fn draft(now: i64) -> Draft {
        let key = KeyType::P256.generate().unwrap();
        let names = Names { domains: vec!["a.test".into()], addresses: Vec::new() };
        let der = self_signed(&key, "a.test", &names, (now, 86_400), &[]).unwrap();
        let load = Arc::new(Load { crt: Some("x".into()), ..Load::default() });
        Draft {
            chain: vec![der.into()],
            key: Some(key),
            issuer: None,
            ocsp: None,
            load,
            chains: Arc::default(),
        }
    }

    #[test]
    fn what_was_kept_comes_back_if_it_ends_later() {
        let dir = std::env::temp_dir().join(format!("portcullis-state-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.to_str().unwrap();
        let slot = Slot::new("@/site", draft(2_000_000).finish("@/site").unwrap());
        Directory::open(path).unwrap().keep("@/site", &draft(1_000_000)).unwrap();
        restore(path, &slot).unwrap();
        assert_eq!(slot.get().validity().unwrap().1, 2_086_400);
        Directory::open(path).unwrap().keep("@/site", &draft(3_000_000)).unwrap();
        restore(path, &slot).unwrap();
        assert_eq!(slot.get().validity().unwrap().1, 3_086_400);
        assert_eq!(slot.get().load.crt.as_deref(), Some("x"));
        std::fs::write(dir.join("%40%2Fsite.pem"), "x").unwrap();
        assert!(restore(path, &slot).is_err());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
