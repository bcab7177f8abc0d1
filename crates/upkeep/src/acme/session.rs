//! Speaking to an authority (RFC 8555 sections 6 and 7): signed requests, each with a nonce of the answer before.

use super::account::{coded, quoted};
use super::section::Section;
use crate::client::{Answer, Client, Request};
use portcullis_sample::convert::json::look;
use std::time::Duration;
use tokio::time::sleep;

/// How often a request is sent that fails for the moment: the next one 3 seconds later, then 9, 27, 81.
const TRIES: u32 = 5;
/// How many nonces of one request may be refused.
const NONCES: u32 = 30;
/// Longest wait between two looks at something.
const MOST_WAIT: u64 = 60;

/// Who speaks to an authority, and for whom.
#[derive(Clone, Copy)]
pub struct Speaker<'s> {
    /// Sends requests.
    pub client: &'s Client,
    /// The certificate that it is about.
    pub certificate: &'s str,
    /// Says something in the log.
    pub say: &'s dyn Fn(&str),
}

impl Speaker<'_> {
    /// Tells that a request has failed, and waits before it is sent again. `tries`: how often it was sent.
    async fn wait(&self, tries: u32, why: &str) {
        if tries >= TRIES {
            return;
        }
        let wait = 3_u64.pow(tries);
        let name = self.certificate;
        (self.say)(&format!("acme: {name}: {why}, retrying in {wait}s ({tries}/{TRIES} retries)..."));
        sleep(Duration::from_secs(wait)).await;
    }

    /// A request without a signature, whose answer `read` can use. What fails for the moment is sent again.
    async fn plain<T>(
        &self,
        method: &str,
        url: &str,
        read: impl Fn(Answer) -> Result<T, String>,
    ) -> Result<T, String> {
        let mut last = String::new();
        for tries in 1..=TRIES {
            match plain(self.client, method, url).await.and_then(&read) {
                Ok(read) => return Ok(read),
                Err(why) => last = why,
            }
            self.wait(tries, &last).await;
        }
        Err(last)
    }
}

/// Where an authority takes what (RFC 8555 section 7.1.1).
struct Directory {
    new_nonce: String,
    new_account: String,
    new_order: String,
    revoke_cert: Option<String>,
}

impl Directory {
    fn read(answer: Answer) -> Result<Self, String> {
        let of = |name: &str| {
            look(&answer.body, &format!("$.{name}")).ok_or_else(|| format!("the directory has no {name}"))
        };
        let (new_nonce, new_account, new_order) = (of("newNonce")?, of("newAccount")?, of("newOrder")?);
        Ok(Self { new_nonce, new_account, new_order, revoke_cert: of("revokeCert").ok() })
    }
}

/// A conversation with an authority.
pub struct Session<'s> {
    speaker: Speaker<'s>,
    section: &'s Section,
    directory: Directory,
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
    pub async fn begin(speaker: Speaker<'s>, section: &'s Section) -> Result<Session<'s>, String> {
        let directory = speaker.plain("GET", &section.directory, Directory::read).await?;
        let mut session = Session { speaker, section, directory, nonce: None, account: None };
        session.find_account().await?;
        Ok(session)
    }

    async fn find_account(&mut self) -> Result<(), String> {
        let mut payload = r#"{"termsOfServiceAgreed":true"#.to_owned();
        if let Some(mail) = &self.section.contact {
            payload += &format!(r#","contact":[{}]"#, quoted(&format!("mailto:{mail}")));
        }
        let url = self.directory.new_account.clone();
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
        let url = self.directory.new_order.clone();
        self.post(&url, &format!(r#"{{"identifiers":[{identifiers}]{profile}}}"#)).await
    }

    /// Has a certificate (DER) revoked that was issued to the account (RFC 8555 section 7.6).
    ///
    /// # Errors
    /// What the authority says.
    pub async fn revoke(&mut self, certificate: &[u8]) -> Result<(), String> {
        let url = self.directory.revoke_cert.clone().ok_or("the directory has no revokeCert")?;
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
            self.speaker.wait(tries, &last).await;
        }
        Err(last)
    }

    async fn post_once(&mut self, url: &str, payload: &str) -> Result<Answer, String> {
        let nonce = match self.nonce.take() {
            Some(nonce) => nonce,
            None => {
                let answer = plain(self.speaker.client, "HEAD", &self.directory.new_nonce).await?;
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
            .speaker
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
