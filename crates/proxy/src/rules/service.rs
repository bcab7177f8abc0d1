//! The action `use-service` (manual section 4.4).

use super::action::Action;
use super::lang::Parsing;
use super::table::{Parsed, Sets};
use crate::applet;

/// `use-service <service-name>`
pub(super) fn parse(p: &mut Parsing<'_, '_, '_>, set: Sets) -> Result<Parsed, String> {
    // 3.5 names the word at another place in front of TCP's messages
    let tcp = set == Sets::TCP_REQUEST;
    let subject = if tcp { "tcp-request" } else { "use-service" };
    let word = p.want(&format!("'{subject}' expects a service name."))?;
    let name = word.str();
    let Some(service) = applet::find(&name) else {
        let subject = if tcp { "content" } else { &*name };
        return Err(format!("'{subject}' unknown service name."));
    };
    if !service.sets.contains(set) {
        return Err(service.elsewhere.to_owned());
    }
    Ok(Parsed { action: Action::Service(service), condition: None })
}
