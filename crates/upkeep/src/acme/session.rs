//! Speaking to an authority (RFC 8555 sections 6 and 7): signed requests, each with a nonce of the answer before.

use super::account::{coded, quoted};
use super::section::Section;
use crate::client::{Answer, Client, Request};
use portcullis_sample::convert::json::look;
use std::time::Duration;
use tokio::time::sleep;

/// How often a request is tried that fails for the moment.
const TRIES: u32 = 5;
/// How many nonces of one request may be refused.
const NONCES: u32 = 30;
/// Longest wait between two looks at something.
const MOST_WAIT: u64 = 60;

/// A conversation with an authority.
pub struct Session<'s> {
    client: &'s Client,
    section: &'s Section,
    new_nonce: String,
    new_account: String,
    new_order: String,
    revoke_cert: Option<String>,
    nonce: Option<String>,
    account: Option<String>,
}

/// An answer, and where it says that something is.
pub struct Reply {
    /// `Location`
    pub location: Option<String>,
    /// How long to wait before the next look.
    pub wait: Option<Duration>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// What a path leads to in the body.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<String> {
        look(&self.body, path)
    }

    /// What all elements of a list are.
    #[must_use]
    pub fn all(&self, list: &str) -> Vec<String> {
        (0..100).map_while(|i| self.at(&format!("$.{list}[{i}]"))).collect()
    }
}

fn problem(answer: &Answer) -> String {
    let of = |path: &str| look(&answer.body, path).unwrap_or_default();
    format!("status {}: {} ({})", answer.head.status, of("$.detail"), of("$.type"))
}

/// Does this say that the authority does not want to, whenever it is asked?
#[must_use]
pub fn is_refusal(why: &str) -> bool {
    why.starts_with("status 4")
}

impl<'s> Session<'s> {
    /// Asks for the authority's directory, and for the account.
    ///
    /// # Errors
    /// What the authority says, or that it is not there.
    pub async fn begin(client: &'s Client, section: &'s Section) -> Result<Session<'s>, String> {
        let answer = plain(client, "GET", &section.directory).await?;
        let of = |name: &str| {
            look(&answer.body, &format!("$.{name}")).ok_or_else(|| format!("the directory has no {name}"))
        };
        let mut session = Session {
            client,
            section,
            new_nonce: of("newNonce")?,
            new_account: of("newAccount")?,
            new_order: of("newOrder")?,
            revoke_cert: of("revokeCert").ok(),
            nonce: None,
            account: None,
        };
        session.find_account().await?;
        Ok(session)
    }

    async fn find_account(&mut self) -> Result<(), String> {
        let mut payload = r#"{"termsOfServiceAgreed":true"#.to_owned();
        if let Some(mail) = &self.section.contact {
            payload += &format!(r#","contact":[{}]"#, quoted(&format!("mailto:{mail}")));
        }
        let url = self.new_account.clone();
        if let (Some(binding), Some(key)) = (self.section.binding(), &self.section.account) {
            payload += &format!(r#","externalAccountBinding":{}"#, binding.signed(key, &url));
        }
        let reply = self.post(&url, &(payload + "}")).await?;
        self.account = Some(reply.location.ok_or("the authority does not say where the account is")?);
        Ok(())
    }

    /// The URL of the account.
    #[must_use]
    pub fn account(&self) -> &str {
        self.account.as_deref().unwrap_or_default()
    }

    /// Orders a certificate for these identifiers, a JSON list.
    ///
    /// # Errors
    /// What the authority says.
    pub async fn order(&mut self, identifiers: &str) -> Result<Reply, String> {
        let profile = self.section.profile.as_ref();
        let profile = profile.map_or_else(String::new, |p| format!(r#","profile":{}"#, quoted(p)));
        let url = self.new_order.clone();
        self.post(&url, &format!(r#"{{"identifiers":[{identifiers}]{profile}}}"#)).await
    }

    /// Has a certificate (DER) revoked that was issued to the account (RFC 8555 section 7.6).
    ///
    /// # Errors
    /// What the authority says.
    pub async fn revoke(&mut self, certificate: &[u8]) -> Result<(), String> {
        let url = self.revoke_cert.clone().ok_or("the directory has no revokeCert")?;
        match self.post(&url, &format!(r#"{{"certificate":"{}"}}"#, coded(certificate))).await {
            Err(why) if !why.contains(":alreadyRevoked") => Err(why),
            _ => Ok(()),
        }
    }

    /// Sends something signed; an empty `payload` only asks. What fails for the moment is tried again.
    ///
    /// # Errors
    /// What the authority says.
    pub async fn post(&mut self, url: &str, payload: &str) -> Result<Reply, String> {
        let mut last = String::new();
        let (mut tries, mut nonces) = (0, 0);
        while tries < TRIES && nonces < NONCES {
            match self.post_once(url, payload).await {
                Ok(answer) if answer.head.status < 400 => {
                    let wait = answer.field("retry-after").and_then(|s| s.parse::<u64>().ok());
                    return Ok(Reply {
                        location: answer.field("location"),
                        wait: wait.map(|s| Duration::from_secs(s.clamp(1, MOST_WAIT))),
                        body: answer.body,
                    });
                }
                Ok(answer) => {
                    last = problem(&answer);
                    let kind = look(&answer.body, "$.type").unwrap_or_default();
                    if kind.ends_with(":badNonce") {
                        // the answer has brought another one (RFC 8555 section 6.5)
                        nonces += 1;
                        continue;
                    }
                    if answer.head.status < 500 && !kind.ends_with(":rateLimited") {
                        return Err(last);
                    }
                }
                Err(text) => last = text,
            }
            tries += 1;
            sleep(Duration::from_millis(500 << tries)).await;
        }
        Err(last)
    }

    async fn post_once(&mut self, url: &str, payload: &str) -> Result<Answer, String> {
        let nonce = match self.nonce.take() {
            Some(nonce) => nonce,
            None => {
                let answer = plain(self.client, "HEAD", &self.new_nonce).await?;
                answer.field("replay-nonce").ok_or("the authority gives no nonce")?
            }
        };
        let key = self.section.account.as_ref().ok_or("there is no account key")?;
        let account = self.account.as_deref();
        let body = key.signed(url, &nonce, account, payload).ok_or("the account key cannot sign")?;
        let fields = [("content-type", "application/jose+json")];
        let request = Request {
            method: "POST",
            url,
            fields: &fields,
            body: body.as_bytes(),
            proxy: None,
            address: None,
        };
        let answer = self
            .client
            .send(request)
            .await
            .map_err(|f| format!("{} does not answer ({:?})", url, f.cause))?;
        self.nonce = answer.field("replay-nonce");
        Ok(answer)
    }

    /// Looks at something until its `status` is none of those that are passing.
    ///
    /// # Errors
    /// What the authority says, or that it takes too long.
    pub async fn settled(&mut self, url: &str, passing: &[&str]) -> Result<Reply, String> {
        for _ in 0..60 {
            let reply = self.post(url, "").await?;
            let status = reply.at("$.status").unwrap_or_default();
            if !passing.contains(&status.as_str()) {
                return Ok(reply);
            }
            sleep(reply.wait.unwrap_or(Duration::from_secs(1))).await;
        }
        Err("the authority takes too long".to_owned())
    }
}

/// A request without a signature.
async fn plain(client: &Client, method: &str, url: &str) -> Result<Answer, String> {
    let request = Request { method, url, fields: &[], body: b"", proxy: None, address: None };
    let answer = client.send(request).await.map_err(|f| format!("{url} does not answer ({:?})", f.cause))?;
    if answer.head.status >= 400 {
        return Err(problem(&answer));
    }
    Ok(answer)
}
