//! Certificates, authorities, revocation lists and crt-lists of the running process, and the one change of each kind that
//! is in the making (management manual section 9.3, `set ssl cert` and its kin). Messages are HAProxy's.

use crate::encrypted::Passphrases;
use crate::ocsp;
use crate::revocation::Revocations;
use crate::rows::conf::At;
use crate::rows::crt_list::{self, Row};
use crate::settings::{Entry, GlobalTls, Origin};
use crate::store::{
    Certificate, Chains, Draft, Line, List, Parts, Slot, authorities, certificates, crls, key_of,
};
use crate::x509::{self, Cert};
use portcullis_config::runtime::NoFiles;
use portcullis_wire::base64;
use rustls::pki_types::CertificateDer;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A change that is not in force yet.
#[derive(Debug)]
pub struct Pending<T> {
    /// What it is about.
    pub name: String,
    /// What will be there.
    pub value: T,
}

/// The process' certificates.
#[derive(Debug, Default)]
pub struct Live {
    /// `global`; what was read or made since is in its store.
    pub global: GlobalTls,
    /// Certificates that were made and have nothing in them yet (`new ssl cert`).
    pub empty: BTreeSet<String>,
    /// `set ssl cert`
    pub certificate: Option<Pending<Draft>>,
    /// `set ssl ca-file`
    pub authorities: Option<Pending<Vec<CertificateDer<'static>>>>,
    /// `set ssl crl-file`
    pub revoked: Option<Pending<Vec<Revocations>>>,
}

/// Is a change to this one possible beside the one that is in the making?
///
/// # Errors
/// It is about another one.
pub fn begin<T>(pending: Option<&Pending<T>>, name: &str) -> Result<(), String> {
    match pending.filter(|p| p.name != name) {
        Some(p) => {
            Err(format!("The ongoing transaction is about '{}' but you are trying to set '{name}'\n", p.name))
        }
        None => Ok(()),
    }
}

/// Gives a change up.
///
/// # Errors
/// There is none, or it is about another one.
pub fn abort<T>(pending: &mut Option<Pending<T>>, name: &str) -> Result<String, String> {
    match pending {
        None => Err("No ongoing transaction!\n".to_owned()),
        Some(p) if p.name != name => Err(format!(
            "The ongoing transaction is about '{}' but you are trying to abort a transaction for '{name}'\n",
            p.name
        )),
        _ => {
            *pending = None;
            Ok(format!("Transaction aborted for certificate '{name}'!\n"))
        }
    }
}

/// What a payload is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Pem,
    Key,
    Issuer,
    Ocsp,
}

impl Live {
    /// Is there a certificate of this name, with something in it or not?
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.empty.contains(name) || self.global.store.lock().certificates.contains_key(name)
    }

    /// Another configuration is in force. Changes in the making go on if what they are about is still there.
    pub fn follow(&mut self, global: GlobalTls) {
        let store = global.store.lock();
        self.empty.retain(|name| !store.certificates.contains_key(name));
        let known = |name: &str| store.certificates.contains_key(name) || self.empty.contains(name);
        self.certificate = self.certificate.take().filter(|p| known(&p.name));
        self.authorities = self.authorities.take().filter(|p| store.authorities.contains_key(&p.name));
        self.revoked = self.revoked.take().filter(|p| store.revoked.contains_key(&p.name));
        if let Some(p) = &mut self.certificate
            && let Some(slot) = store.certificates.get(&p.name)
        {
            p.value.load = slot.get().load.clone();
        }
        drop(store);
        self.global = global;
    }

    /// `set ssl cert`: the payload becomes a part of the change. `origin` as the command names it: the file of a
    /// certificate, or that with `.key`, `.issuer` or `.ocsp` behind it.
    ///
    /// # Errors
    /// Why it cannot; nothing has changed.
    pub fn set(&mut self, origin: &str, payload: &[u8]) -> Result<String, String> {
        const PARTS: [(&str, Part); 3] =
            [(".key", Part::Key), (".issuer", Part::Issuer), (".ocsp", Part::Ocsp)];
        let of = |(end, part): &(&str, Part)| {
            origin.strip_suffix(end).filter(|name| self.knows(name)).map(|name| (name, *part))
        };
        let found = if self.knows(origin) { Some((origin, Part::Pem)) } else { PARTS.iter().find_map(of) };
        let base = || PARTS.iter().find_map(|(end, _)| origin.strip_suffix(end)).unwrap_or(origin);
        begin(self.certificate.as_ref(), found.map_or_else(base, |(name, _)| name))?;
        let (name, part) =
            found.ok_or("Can't replace a certificate which is not referenced by the configuration!\n")?;
        let store = self.global.store.lock();
        let current = store.certificates.get(name).map(|slot| Draft::of(&slot.get()));
        let before = self.certificate.as_ref().map(|p| p.value.clone()).or(current);
        let with = (&mut store.passphrases.known_only(), &store.chains);
        let value = part_of(name, part, payload, before, with)
            .map_err(|e| format!("{e}\nCan't load the payload\n"))?;
        drop(store);
        let done = if self.certificate.is_some() { "updated" } else { "created" };
        let name = name.to_owned();
        let text = format!("Transaction {done} for certificate {name}!\n");
        self.certificate = Some(Pending { name, value });
        Ok(text)
    }

    /// `commit ssl cert`: what is in the making is put in force. The slot, for those that answer with it. Where nobody does (`used`),
    /// the key may come later.
    ///
    /// # Errors
    /// Why it cannot. The change goes on if it can be mended.
    pub fn commit(
        &mut self,
        name: &str,
        used: impl Fn(&Arc<Slot<Certificate>>) -> bool,
    ) -> Result<Arc<Slot<Certificate>>, String> {
        let cannot = format!("Can't commit {name}!\n");
        let Some(p) = &self.certificate else { return Err(format!("No ongoing transaction! !\n{cannot}")) };
        begin(Some(p), name).map_err(|e| format!("{e}{cannot}"))?;
        let there = self.global.store.lock().certificates.get(name).cloned();
        if p.value.key.is_none() && there.as_ref().is_some_and(used) {
            self.certificate = None;
            return Err(format!(
                "Committing {name}\nunable to load SSL private key into SSL Context '{name}': there is none.\nFailed!\n"
            ));
        }
        let made = p.value.finish_public(name).map_err(|e| format!("{e}\n{cannot}"))?;
        self.certificate = None;
        self.empty.remove(name);
        Ok(match there {
            Some(slot) => {
                slot.set(made);
                slot
            }
            None => self.global.store.lock().insert(name, made),
        })
    }

    /// `set ssl ocsp-response`: the certificates that a response is about answer with it from now on, if they have had one, or
    /// were to have one.
    ///
    /// # Errors
    /// It is about none of these, or cannot be stapled.
    pub fn staple(&mut self, response: &[u8]) -> Result<(), String> {
        let read = ocsp::read(response, x509::now()).map_err(|why| format!("{why}.\n"))?;
        let store = self.global.store.lock();
        let wanted = |slot: &&Arc<Slot<Certificate>>| {
            let current = slot.get();
            let expected = current.stapled.is_some() || self.global.ocsp.wants(current.load.ocsp_update);
            expected && current.ocsp_id().is_some_and(|id| read.is_about(&id))
        };
        let mut about = store.certificates.values().filter(wanted).peekable();
        if about.peek().is_none() {
            return Err(
                "OCSP single response: Certificate ID does not match any certificate or issuer.\n".into()
            );
        }
        about.try_for_each(|slot| store.staple(slot, response).map(|_| ())).map_err(|why| format!("{why}.\n"))
    }

    /// `set ssl ca-file`, `add ssl ca-file` (`more`): what is in the payload, once each.
    ///
    /// # Errors
    /// Why it cannot; nothing has changed.
    pub fn set_authorities(&mut self, name: &str, payload: &[u8], more: bool) -> Result<String, String> {
        begin(self.authorities.as_ref(), name)?;
        let Some(current) = self.global.store.lock().authorities.get(name).cloned() else {
            return Err("Can't replace a CA file which is not referenced by the configuration!\n".into());
        };
        let mut value = match (&self.authorities, more) {
            (Some(p), true) => p.value.clone(),
            (None, true) => current.get().to_vec(),
            _ => Vec::new(),
        };
        let new = authorities(payload);
        if new.is_empty() || new.iter().any(|c| Cert::parse(c.as_ref()).is_none()) {
            return Err("Invalid payload\n".into());
        }
        for c in new {
            if !value.contains(&c) {
                value.push(c);
            }
        }
        let done = if self.authorities.is_some() { "updated" } else { "created" };
        self.authorities = Some(Pending { name: name.to_owned(), value });
        Ok(format!("transaction {done} for CA {name}!\n"))
    }

    /// `set ssl crl-file`
    ///
    /// # Errors
    /// Why it cannot; nothing has changed.
    pub fn set_revoked(&mut self, name: &str, payload: &[u8]) -> Result<String, String> {
        begin(self.revoked.as_ref(), name)?;
        if !self.global.store.lock().revoked.contains_key(name) {
            return Err("Can't replace a CRL file which is not referenced by the configuration!\n".into());
        }
        let value = crls(name, payload).map_err(|_| "Invalid payload\n")?;
        let done = if self.revoked.is_some() { "updated" } else { "created" };
        self.revoked = Some(Pending { name: name.to_owned(), value });
        Ok(format!("transaction {done} for CRL {name}!\n"))
    }

    /// A line that `add ssl crt-list` brings: its entries, not in force yet.
    ///
    /// # Errors
    /// In HAProxy's words.
    pub fn line(&mut self, list: &str, text: &str) -> Result<(Line, Vec<Entry>), String> {
        let Some(there) = self.global.store.lock().lists.get(list).cloned() else {
            return Err(format!("crt-list '{list}' does not exist!"));
        };
        let number = there.last + 1;
        let read = crt_list::row(text).map_err(|e| format!("parsing [CLI:1]: {e}"))?;
        let mut row: Row = read.ok_or("parsing [CLI:1]: no certificate")?;
        crt_list::options(&mut At::new(&NoFiles, &mut self.global), &mut row.clone(), "CLI:1")?;
        let known = self.global.store.lock().find(self.global.crt_base.as_deref(), &row.crt);
        match known {
            Some(slot) => row.crt = slot.name.to_string(),
            None if self.empty.contains(&row.crt) => {
                return Err(format!("certificate '{}' is empty!", row.crt));
            }
            None => return Err(format!("certificate '{}' does not exist!", row.crt)),
        }
        fits(&there, &row)?;
        let origin = Origin { list: list.into(), number };
        let mut at = At::new(&NoFiles, &mut self.global);
        let entries = crt_list::entries(&mut at, &mut row, "CLI:1", origin)?;
        Ok((Line { number, row }, entries))
    }
}

/// Can such a line be added to a list?
fn fits(list: &List, row: &Row) -> Result<(), String> {
    if !list.directory {
        return Ok(());
    }
    if list.lines.iter().any(|l| l.row.crt == row.crt) {
        return Err("file already exists in this directory!".to_owned());
    }
    match row.options.is_empty() && row.filters.is_empty() {
        true => Ok(()),
        false => {
            Err("this is a directory, SSL configuration, crt-store keywords and filters are not allowed"
                .to_owned())
        }
    }
}

/// A certificate in the making with another part.
fn part_of(
    name: &str,
    part: Part,
    payload: &[u8],
    before: Option<Draft>,
    (passphrases, chains): (&mut Passphrases, &Arc<Chains>),
) -> Result<Draft, String> {
    if part == Part::Pem {
        let parts = Parts { pem: payload.to_vec(), chains: chains.clone(), ..Parts::default() };
        let new = Draft::read(name, &parts, passphrases)?;
        return Ok(match before {
            Some(old) => Draft { issuer: old.issuer, ocsp: None, load: old.load, ..new },
            None => new,
        });
    }
    let Some(mut draft) = before else {
        return Err(format!("unable to load certificate from file '{name}': there is none yet."));
    };
    match part {
        Part::Key => {
            let key = key_of(name, payload, passphrases)?;
            draft.key = Some(key.ok_or_else(|| format!("unable to load private key from file '{name}'."))?);
        }
        Part::Issuer => {
            let issuer = certificates(payload).into_iter().next();
            draft.issuer = Some(issuer.ok_or_else(|| format!("unable to load issuer from file '{name}'."))?);
        }
        _ => {
            let der = base64::decode_lines(payload).filter(|der| !der.is_empty());
            draft.ocsp = Some(der.ok_or("unable to decode the OCSP response, it is no base64.")?);
        }
    }
    Ok(draft)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_change_at_a_time() {
        let mut pending = Some(Pending { name: "a".to_owned(), value: () });
        assert!(begin(pending.as_ref(), "a").is_ok());
        assert!(begin(pending.as_ref(), "b").unwrap_err().contains("'a' but you are trying to set 'b'"));
        assert!(abort(&mut pending, "b").is_err());
        assert!(abort(&mut pending, "a").is_ok());
        assert_eq!(abort(&mut pending, "a").unwrap_err(), "No ongoing transaction!\n");
    }

    #[test]
    fn what_the_configuration_does_not_name_cannot_be_set() {
        let mut live = Live::default();
        assert!(live.set("x.pem", b"").unwrap_err().contains("not referenced"));
        assert!(live.set("x.pem.key", b"").unwrap_err().contains("not referenced"));
        live.empty.insert("x.pem".to_owned());
        assert!(live.set("x.pem", b"xx").unwrap_err().contains("no start line.\nCan't load the payload"));
        assert!(live.commit("x.pem", |_| true).unwrap_err().starts_with("No ongoing transaction! !"));
        assert!(live.line("list", "x.pem").unwrap_err().contains("does not exist"));
    }
}
