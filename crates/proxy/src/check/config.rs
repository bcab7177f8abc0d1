//! What a section says about its checks: the kind, and the rules of `tcp-check` and `http-check`.

use super::expect::Expect;
use crate::rules::lang::{Expr, Format};
use crate::rules::variables::Variable;
use portcullis_config::Proto;
use portcullis_config::diag::Place;
use std::net::IpAddr;
use std::sync::Arc;

/// Which kind of check (`option …`, `type …`).
#[derive(Clone, Debug, Default)]
pub enum Method {
    /// None was said: a connection.
    #[default]
    Connect,
    /// `tcp-check`
    Tcp,
    /// `httpchk`, with its request.
    Http(Arc<HttpSend>),
    /// `ssl-hello-chk`
    SslHello,
    /// `smtpchk`: the line that is sent.
    Smtp(String),
    /// `mysql-check`: what logs in, if anybody does.
    Mysql(Option<Mysql>),
    /// `pgsql-check`: who logs in.
    Pgsql(String),
    /// `redis-check`
    Redis,
    /// `ldap-check`
    Ldap,
    /// `spop-check`
    Spop,
    /// `external-check`
    External,
}

/// `mysql-check user`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mysql {
    /// Who logs in.
    pub user: String,
    /// How.
    pub login: portcullis_wire::probe::mysql::Login,
}

/// A list of rules; those of a `defaults` section are left behind where a section has its own.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Where the section begins that they stand in.
    owner: Option<Place>,
    /// The rules.
    pub list: Vec<Arc<Rule>>,
}

impl Rules {
    /// Are there some that stand in the section that begins there?
    #[must_use]
    pub fn of(&self, owner: Place) -> bool {
        self.owner == Some(owner) && !self.list.is_empty()
    }
    /// May a rule that does this follow those of the section that begins there? `paired`: a request stands between a
    /// connection and what is expected.
    ///
    /// # Errors
    /// Why not; `kind`: the name of such rules.
    pub fn accept(&self, owner: Place, act: &Act, kind: &str, paired: bool) -> Result<(), String> {
        let mut done =
            self.list.iter().filter(|_| self.owner == Some(owner)).map(|r| &r.act).filter_map(Step::of);
        let (Some(step), Some(first)) = (Step::of(act), done.next()) else { return Ok(()) };
        if step == Step::Connect && first != Step::Connect {
            return Err("first step MUST also be a 'connect', optionally preceded by a 'set-var', an 'unset-var' or a \
                        'comment', when there is a 'connect' step in the tcp-check ruleset"
                .into());
        }
        let Some(missing) = step.missing_after(done.next_back().unwrap_or(first)).filter(|_| paired) else {
            return Ok(());
        };
        let number = self.next_number();
        let (step, missing) = (step.name(), missing.name());
        Err(format!("unable to add {kind} {step} rule at step {number} (missing {missing} rule)."))
    }
    /// The number of the next rule as HAProxy counts: from the last request on.
    fn next_number(&self) -> usize {
        let since = self.list.iter().rev().position(|r| matches!(r.act, Act::Request(_)));
        since.map_or(self.list.len(), |n| n + 1) + 1
    }
    /// Adds one that stands in the section that begins there.
    pub fn add(&mut self, owner: Place, rule: Rule) {
        if self.owner != Some(owner) {
            self.list.clear();
            self.owner = Some(owner);
        }
        self.list.push(Arc::new(rule));
    }
}

/// What a connection goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Connect,
    Send,
    Expect,
}

impl Step {
    fn of(act: &Act) -> Option<Self> {
        match act {
            Act::Connect(_) => Some(Self::Connect),
            Act::Send(_) | Act::Request(_) => Some(Self::Send),
            Act::Expect(_) => Some(Self::Expect),
            Act::Comment | Act::Variable(_) => None,
        }
    }
    /// What would have to stand between this and the one before.
    fn missing_after(self, before: Self) -> Option<Self> {
        match (before, self) {
            (Self::Connect | Self::Send, Self::Connect) => Some(Self::Expect),
            (Self::Connect, Self::Expect) => Some(Self::Send),
            (Self::Send | Self::Expect, Self::Send) => Some(Self::Connect),
            _ => None,
        }
    }
    fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Send => "send",
            Self::Expect => "expect",
        }
    }
}

/// Everything that a section says.
#[derive(Clone, Debug, Default)]
pub struct CheckConfig {
    /// Which kind.
    pub method: Method,
    /// Where that was said.
    pub place: Place,
    /// `tcp-check`
    pub tcp: Rules,
    /// `http-check`
    pub http: Rules,
    /// The section that says `option httpchk` or a rule of `http-check`: what follows is not that of its defaults.
    pub owner: Option<Place>,
    /// `http-check disable-on-404`
    pub disable_on_404: bool,
    /// `http-check send-state`
    pub send_state: bool,
    /// `external-check command`
    pub command: Option<String>,
    /// `external-check path`
    pub path: Option<String>,
}

impl CheckConfig {
    /// A section begins an HTTP check of its own.
    pub fn own(&mut self, owner: Place) {
        if self.owner != Some(owner) {
            self.owner = Some(owner);
            (self.disable_on_404, self.send_state) = (false, false);
        }
    }
    /// Does a rule connect with TLS?
    #[must_use]
    pub fn uses_tls(&self) -> bool {
        let rules = self.tcp.list.iter().chain(&self.http.list);
        rules.into_iter().any(|rule| matches!(&rule.act, Act::Connect(c) if c.ssl))
    }
}

/// A `healthcheck` section.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Where it begins.
    pub place: Place,
    /// What it says.
    pub config: CheckConfig,
    /// It has a `type`.
    pub typed: bool,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct NamedSections(pub Vec<Section>);

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// What it does.
    pub act: Act,
    /// `comment`
    pub comment: Option<String>,
}

/// What a rule does.
#[derive(Debug)]
pub enum Act {
    /// `comment`: about the next rule.
    Comment,
    /// `connect`
    Connect(Connect),
    /// `tcp-check send` and its kin.
    Send(Text),
    /// `http-check send`
    Request(HttpSend),
    /// `expect`
    Expect(Box<Expect>),
    /// `set-var`, `set-var-fmt`, `unset-var`
    Variable(Variable),
}

/// Bytes, or what makes them.
#[derive(Clone, Debug)]
pub enum Text {
    /// As they are.
    Plain(Vec<u8>),
    /// A format.
    Format(Format),
    /// A format of hexadecimal digits.
    Hex(Format),
}

/// `port`
#[derive(Clone, Debug)]
pub enum Port {
    /// A number.
    Number(u16),
    /// An expression.
    Expr(Expr),
}

/// `connect`
#[derive(Clone, Debug, Default)]
pub struct Connect {
    /// `default`: options of the server line.
    pub default: bool,
    /// `port`
    pub port: Option<Port>,
    /// `addr`, with a port perhaps.
    pub addr: Option<(IpAddr, u16)>,
    /// `send-proxy`
    pub send_proxy: bool,
    /// `linger`
    pub linger: bool,
    /// `ssl`
    pub ssl: bool,
    /// `sni`
    pub sni: Option<String>,
    /// `alpn`
    pub alpn: Option<Vec<Vec<u8>>>,
    /// `via-socks4`
    pub via_socks4: bool,
    /// Nobody wrote it.
    pub unwritten: bool,
    /// `proto`
    pub proto: Option<Proto>,
}

impl Connect {
    /// Does it say anything of its own about the way?
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.default || (self.port.is_none() && self.addr.is_none() && !self.send_proxy)
    }
}

/// `http-check send`, and what `option httpchk` says.
#[derive(Clone, Debug, Default)]
pub struct HttpSend {
    /// `meth`
    pub method: Option<Vec<u8>>,
    /// `uri`, `uri-lf`
    pub uri: Option<Text>,
    /// `ver`
    pub version: Option<Vec<u8>>,
    /// `hdr`
    pub headers: Vec<(Vec<u8>, Format)>,
    /// `body`, `body-lf`
    pub body: Option<Text>,
}

impl HttpSend {
    /// This, and what it does not say from `base`.
    #[must_use]
    pub fn over(&self, base: &HttpSend) -> HttpSend {
        let own = |name: &[u8]| self.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        let inherited = base.headers.iter().filter(|(n, _)| !own(n)).cloned();
        HttpSend {
            method: self.method.clone().or_else(|| base.method.clone()),
            uri: self.uri.clone().or_else(|| base.uri.clone()),
            version: self.version.clone().or_else(|| base.version.clone()),
            headers: inherited.chain(self.headers.iter().cloned()).collect(),
            body: self.body.clone().or_else(|| base.body.clone()),
        }
    }
}
