//! Showing an authority that a name is ours (RFC 8555 section 8).

use super::account::{AccountKey, coded, quoted};
use super::section::{Challenge, Section};
use aws_lc_rs::digest;
use portcullis_sample::pattern::shared::{self, Which};
use portcullis_tls::alpn_challenge as alpn;
use portcullis_tls::keys::{self, KeyType, Names};

/// What an authority wants to find.
#[derive(Clone, Debug)]
pub struct Task {
    /// The name, as its authorization has it.
    pub domain: String,
    /// Where the authority is told that it can look.
    pub url: String,
    token: String,
}

impl Task {
    /// Of a challenge that an authorization offers.
    #[must_use]
    pub fn new(domain: String, url: String, token: String) -> Self {
        Self { domain, url, token }
    }

    fn authorization(&self, key: &AccountKey) -> String {
        format!("{}.{}", self.token, key.thumbprint())
    }

    /// The name and the content of the record that somebody has to set.
    #[must_use]
    pub fn record(&self, section: &Section, key: &AccountKey, account: &str) -> Option<(String, String)> {
        let bare = self.domain.strip_prefix("*.").unwrap_or(&self.domain);
        match section.challenge {
            Challenge::Dns => {
                let hash = digest::digest(&digest::SHA256, self.authorization(key).as_bytes());
                Some((format!("_acme-challenge.{bare}"), coded(hash.as_ref())))
            }
            Challenge::DnsPersist => {
                Some((format!("_validation-persist.{bare}"), format!("accounturi={account}")))
            }
            _ => None,
        }
    }

    /// What is said of it to who sets records (the events of `dpapi`): `authorization` is what the authority says of the name.
    #[must_use]
    pub fn event(
        &self,
        certificate: &str,
        section: &Section,
        key: &AccountKey,
        (account, authorization): (&str, &[u8]),
    ) -> Option<String> {
        let (_, content) = self.record(section, key, account)?;
        let line = |name: &str, value: &str| format!("{name} {}\n", quoted(value));
        let said =
            |name: &str, value: &Option<String>| value.as_ref().map(|v| line(name, v)).unwrap_or_default();
        Some(format!(
            "acme deploy {certificate} thumbprint {}\n{}{}{}{}\n",
            key.thumbprint(),
            said("provider-name", &section.provider),
            said("acme-vars", &section.vars),
            line(&format!("{}-record", section.challenge.name()), &content),
            String::from_utf8_lossy(authorization)
        ))
    }

    /// Answers whoever looks from now on, until [`Task::clean`].
    ///
    /// # Errors
    /// Why it cannot.
    pub fn set(&self, section: &Section, key: &AccountKey, now: i64) -> Result<(), String> {
        match section.challenge {
            Challenge::Http => match map(section) {
                Some(map) => map.add(None, self.token.as_bytes(), key.thumbprint().as_bytes()),
                // the configuration answers with the thumbprint by itself
                None if section.map.is_none() => Ok(()),
                None => Err("its map is used by no rule".to_owned()),
            },
            Challenge::TlsAlpn => {
                let cannot = || "no certificate can be made for its challenge".to_owned();
                let hash = digest::digest(&digest::SHA256, self.authorization(key).as_bytes());
                let pair = KeyType::P256.generate().ok_or_else(cannot)?;
                let names = Names { domains: vec![self.domain.clone()], addresses: Vec::new() };
                let more = keys::acme_identifier(hash.as_ref());
                let der = keys::self_signed(&pair, &self.domain, &names, (now, 86_400), &more)
                    .ok_or_else(cannot)?;
                alpn::set(&self.domain, der, &pair).ok_or_else(cannot)
            }
            Challenge::Dns | Challenge::DnsPersist => Ok(()),
        }
    }

    /// Nobody looks any more.
    pub fn clean(&self, section: &Section) {
        match section.challenge {
            Challenge::Http => {
                if let Some(map) = map(section) {
                    map.remove(Which::Key(self.token.as_bytes()));
                }
            }
            Challenge::TlsAlpn => alpn::remove(&self.domain),
            Challenge::Dns | Challenge::DnsPersist => {}
        }
    }
}

fn map(section: &Section) -> Option<std::sync::Arc<shared::Shared>> {
    shared::named(section.map.as_deref()?).filter(|list| list.is_map())
}
