//! Who gets mails about a proxy's servers, ready to be used.

use portcullis_config::{Diagnostics, Model, Place, Proxy, Severity};
use portcullis_telemetry::log::Level;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long it may take to send a mail, if nothing is said.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A mail server.
#[derive(Clone, Debug)]
pub struct Mailer {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub address: SocketAddr,
}

/// A `mailers` section.
#[derive(Clone, Debug, Default)]
pub struct MailersSection {
    /// Its name.
    pub name: String,
    /// Where it begins.
    pub place: Place,
    /// The mail servers.
    pub list: Vec<Mailer>,
    /// `timeout mail`
    pub timeout: Option<Duration>,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Sections(pub Vec<MailersSection>);

/// What a section says of `email-alert`.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// `from`
    pub from: Option<String>,
    /// `to`
    pub to: Option<String>,
    /// `mailers`
    pub mailers: Option<String>,
    /// `myhostname`
    pub hello: Option<String>,
    /// `level`
    pub level: Option<Level>,
}

/// Where a proxy's mails go.
#[derive(Debug)]
pub struct Alerts {
    /// `email-alert from`
    pub from: String,
    /// `email-alert to`
    pub to: String,
    /// `email-alert myhostname`
    pub hello: String,
    /// `email-alert level`: what matters less is not sent.
    pub level: Level,
    /// The mail servers: each gets every mail.
    pub mailers: Vec<Mailer>,
    /// How long sending may take.
    pub timeout: Duration,
}

impl Alerts {
    /// What this section says; none: nobody is told.
    #[must_use]
    pub fn of(model: &Model, p: &Proxy) -> Option<Arc<Self>> {
        let said = p.ext.get::<Said>()?;
        let mailers = find(model, said.mailers.as_deref()?)?;
        Some(Arc::new(Self {
            from: said.from.clone()?,
            to: said.to.clone()?,
            hello: said.hello.clone().unwrap_or_else(portcullis_sys::localtime::host_name),
            level: said.level.unwrap_or(Level::Alert),
            mailers: mailers.list.clone(),
            timeout: mailers.timeout.unwrap_or(TIMEOUT),
        }))
    }
}

fn find<'m>(model: &'m Model, name: &str) -> Option<&'m MailersSection> {
    model.ext.get::<Sections>()?.0.iter().find(|s| s.name == name)
}

/// What can only be judged when everything was read.
pub fn check(model: &mut Model, diags: &mut Diagnostics) {
    let mut used = Vec::new();
    for p in model.proxies.iter().filter(|p| !p.disabled) {
        let Some(said) = p.ext.get::<Said>() else { continue };
        let (Some(name), Some(_), Some(_)) = (&said.mailers, &said.from, &said.to) else {
            let text = format!(
                "'email-alert' will be ignored for {} '{}' (the presence any of 'email-alert from', 'email-alert level' \
                 'email-alert mailers', 'email-alert myhostname', or 'email-alert to' requires each of 'email-alert from', \
                 'email-alert mailers' and 'email-alert to' to be present).",
                crate::rules::parse::kind(p),
                p.name
            );
            diags.late(Severity::Warning, None, text);
            continue;
        };
        match find(model, name) {
            Some(section) => used.push(section.name.clone()),
            None => {
                let text = format!("Proxy '{}': unable to find mailers '{name}'.", p.name);
                diags.late(Severity::Alert, None, text);
            }
        }
    }
    for section in model.ext.get::<Sections>().iter().flat_map(|s| &s.0) {
        if !used.contains(&section.name) {
            let text = format!("Removing incomplete section 'mailers {}'.", section.name);
            diags.late(Severity::Warning, Some(section.place), text);
        }
    }
}
