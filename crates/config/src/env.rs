//! Environment variables as the configuration sees them: a copy of the process', changed by `setenv` and its kin.

use portcullis_sys::environment::{self, Variables};

/// The variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Env {
    vars: Variables,
    /// The rest of the process learns of changes (`env()`, `show env`).
    public: bool,
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
        let mut env = Self { vars: environment::inherited(), ..Self::default() };
        for (name, value) in [("HAPROXY_STARTUP_VERSION", crate::VERSION), ("HAPROXY_BRANCH", crate::BRANCH)]
            .iter()
            .chain(LOG_FORMATS)
        {
            env.set(name, value.as_bytes().to_vec());
        }
        let name = rustix::system::uname().nodename().to_bytes().to_vec();
        env.set("HAPROXY_LOCALPEER", name);
        env.public = true;
        env.publish();
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
        self.publish();
    }
    /// `unsetenv`
    pub fn unset(&mut self, name: &str) {
        self.vars.remove(name);
        self.publish();
    }
    /// `resetenv`: only these stay.
    pub fn keep(&mut self, names: &[String]) {
        self.vars.retain(|k, _| names.contains(k));
        self.publish();
    }
    fn publish(&self) {
        if self.public {
            environment::publish(&self.vars);
        }
    }
    /// All variables, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.vars.iter().map(|(k, v)| (k.as_str(), v.as_slice()))
    }
}

/// Variables that hold the standard log formats (manual sections 2.3 and 8.2).
pub const LOG_FORMATS: &[(&str, &str)] = &[
    ("HAPROXY_HTTP_LOG_FMT", HTTP_LOG_FMT),
    ("HAPROXY_HTTP_CLF_LOG_FMT", HTTP_CLF_LOG_FMT),
    ("HAPROXY_HTTPS_LOG_FMT", HTTPS_LOG_FMT),
    ("HAPROXY_TCP_LOG_FMT", TCP_LOG_FMT),
    ("HAPROXY_TCP_CLF_LOG_FMT", TCP_CLF_LOG_FMT),
    ("HAPROXY_KEYLOG_FC_LOG_FMT", KEYLOG_FC_LOG_FMT),
    ("HAPROXY_KEYLOG_BC_LOG_FMT", KEYLOG_BC_LOG_FMT),
];

/// `option httplog` as a format (manual section 8.2.3).
pub const HTTP_LOG_FMT: &str = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r";
/// `option tcplog` as a format (manual section 8.2.2).
pub const TCP_LOG_FMT: &str = "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq";
/// `option httplog clf` as a format.
pub const HTTP_CLF_LOG_FMT: &str = "%{+Q}o %{-Q}ci - - [%trg] %r %ST %B \"\" \"\" %cp %ms %ft %b %s %TR %Tw %Tc %Tr %Ta %tsc %ac %fc %bc %sc %rc %sq %bq %CC %CS %hrl %hsl";
/// `option tcplog clf` as a format.
pub const TCP_CLF_LOG_FMT: &str = "%{+Q}o %{-Q}ci - - [%T] \"TCP \" 000 %B \"\" \"\" %cp %ms %ft %b %s %Th %Tw %Tc %Tt %U %ts-- %ac %fc %bc %sc %rc %sq %bq \"\" \"\" ";
/// `option httpslog` as a format (manual section 8.2.4).
pub const HTTPS_LOG_FMT: &str = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r %[fc_err]/%[ssl_fc_err,hex]/%[ssl_c_err]/%[ssl_c_ca_err]/%[ssl_fc_is_resumed] %[ssl_fc_sni]/%sslv/%sslc";

/// One line for each secret of a connection, as `SSLKEYLOGFILE` has them; `$side` is `f` or `b`.
macro_rules! keylog {
    ($side:literal, $gap:literal) => {
        concat!(
            "CLIENT_RANDOM %[ssl_",
            $side,
            "c_client_random,hex]",
            $gap,
            "%[ssl_",
            $side,
            "c_session_key,hex]\n",
            keylog!($side, "CLIENT_EARLY_TRAFFIC_SECRET", "client_early_traffic_secret"),
            "\n",
            keylog!($side, "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "client_handshake_traffic_secret"),
            "\n",
            keylog!($side, "SERVER_HANDSHAKE_TRAFFIC_SECRET", "server_handshake_traffic_secret"),
            "\n",
            keylog!($side, "CLIENT_TRAFFIC_SECRET_0", "client_traffic_secret_0"),
            "\n",
            keylog!($side, "SERVER_TRAFFIC_SECRET_0", "server_traffic_secret_0"),
            "\n",
            keylog!($side, "EXPORTER_SECRET", "exporter_secret"),
            "\n",
            keylog!($side, "EARLY_EXPORTER_SECRET", "early_exporter_secret")
        )
    };
    ($side:literal, $label:literal, $fetch:literal) => {
        concat!($label, " %[ssl_", $side, "c_client_random,hex] %[ssl_", $side, "c_", $fetch, "]")
    };
}

/// The secrets of a client's connection.
pub const KEYLOG_FC_LOG_FMT: &str = keylog!("f", " ");
/// The secrets of a server's connection.
pub const KEYLOG_BC_LOG_FMT: &str = keylog!("b", "  ");
