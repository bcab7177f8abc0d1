//! Who offers applets: services that rules name, and what a proxy answers by itself.

use super::{Applet, Ask};
use crate::reply::Answer;
use crate::rules::Rules;
use crate::rules::table::Sets;
use portcullis_message::Head;
use std::sync::RwLock;

/// A service of `use-service`: one row.
#[derive(Debug)]
pub struct Service {
    /// Its name.
    pub name: &'static str,
    /// What logs show in a server's place.
    pub server: &'static str,
    /// Rule sets that may use it.
    pub sets: Sets,
    /// What is said where another set uses it.
    pub elsewhere: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Makes an applet for a request.
    pub begin: fn(&Ask<'_, '_, '_>) -> Box<dyn Applet>,
}

static SERVICES: RwLock<Vec<&'static Service>> = RwLock::new(Vec::new());

/// Adds a room's services. To be done before a configuration is read.
pub fn install(rows: &'static [Service]) {
    if let Ok(mut all) = SERVICES.write() {
        all.extend(rows);
    }
}

/// Every service.
#[must_use]
pub fn services() -> Vec<&'static Service> {
    SERVICES.read().map(|all| all.clone()).unwrap_or_default()
}

/// The service of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Service> {
    services().into_iter().find(|s| s.name == name)
}

/// What takes some of a proxy's requests, behind its `http-request` rules.
pub trait Intercept: std::fmt::Debug + Send + Sync {
    /// What logs show in a server's place.
    fn server(&self) -> &'static str;
    /// Is this request for it?
    fn wants(&self, request: &Head) -> bool;
    /// Rules of its own that are run first.
    fn rules(&self) -> &Rules;
    /// Makes an applet for a request.
    ///
    /// # Errors
    /// What is answered instead.
    fn begin(&self, ask: &Ask<'_, '_, '_>) -> Result<Box<dyn Applet>, Box<Answer>>;
}
