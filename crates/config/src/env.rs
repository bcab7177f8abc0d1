//! Environment variables as the configuration sees them: a copy of the process', changed by `setenv` and its kin.

use std::collections::BTreeMap;

/// The variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Env {
    vars: BTreeMap<String, Vec<u8>>,
    /// Pseudo-variables `.FILE`, `.LINE`, `.SECTION` as they are where the parser stands.
    pub file: String,
    /// See `file`.
    pub line: u32,
    /// See `file`.
    pub section: String,
}

impl Env {
    /// A copy of the process' environment, with what HAProxy adds to it.
    #[must_use]
    pub fn of_process() -> Self {
        use std::os::unix::ffi::OsStringExt;
        let vars =
            std::env::vars_os().map(|(k, v)| (k.to_string_lossy().into_owned(), v.into_vec())).collect();
        let mut env = Self { vars, ..Self::default() };
        for (name, value) in [
            ("HAPROXY_STARTUP_VERSION", crate::VERSION),
            ("HAPROXY_BRANCH", crate::BRANCH),
            ("HAPROXY_HTTP_LOG_FMT", HTTP_LOG_FMT),
            ("HAPROXY_TCP_LOG_FMT", TCP_LOG_FMT),
        ] {
            env.set(name, value.as_bytes().to_vec());
        }
        env
    }
    /// The value of a variable or pseudo-variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        match name {
            ".FILE" => Some(self.file.clone().into_bytes()),
            ".LINE" => Some(self.line.to_string().into_bytes()),
            ".SECTION" => Some(self.section.clone().into_bytes()),
            _ => self.vars.get(name).cloned(),
        }
    }
    /// `setenv`
    pub fn set(&mut self, name: &str, value: Vec<u8>) {
        self.vars.insert(name.to_string(), value);
    }
    /// `unsetenv`
    pub fn unset(&mut self, name: &str) {
        self.vars.remove(name);
    }
    /// `resetenv`: only these stay.
    pub fn keep(&mut self, names: &[String]) {
        self.vars.retain(|k, _| names.contains(k));
    }
    /// All variables, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.vars.iter().map(|(k, v)| (k.as_str(), v.as_slice()))
    }
}

/// `option httplog` as a format (manual section 8.2.3).
pub const HTTP_LOG_FMT: &str = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r";
/// `option tcplog` as a format (manual section 8.2.2).
pub const TCP_LOG_FMT: &str = "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq";
