//! What a metric is: its names, and where its samples come from.

use portcullis_telemetry::histogram::Histogram;
use portcullis_telemetry::stats::Times;
use portcullis_telemetry::table::{Col, Line, Value};

/// What a metric is about (`scope=`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The process.
    Global,
    /// Frontends.
    Frontend,
    /// Addresses of `bind` lines, with `option socket-stats`.
    Listener,
    /// Backends.
    Backend,
    /// Servers.
    Server,
    /// Name servers of `resolvers` sections.
    Resolver,
}

impl Scope {
    /// What metric names have it as.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Global => "process",
            Self::Frontend => "frontend",
            Self::Listener => "listener",
            Self::Backend => "backend",
            Self::Server => "server",
            Self::Resolver => "resolver",
        }
    }
    /// The bit of its lines, as `show stat` has it.
    #[must_use]
    pub fn kind(self) -> u32 {
        match self {
            Self::Global | Self::Resolver => 0,
            Self::Frontend => 1,
            Self::Backend => 2,
            Self::Server => 4,
            Self::Listener => 8,
        }
    }
}

/// Where samples come from.
#[derive(Clone, Copy, Debug)]
pub enum Of {
    /// A column.
    Col(Col),
    /// A column in milliseconds.
    Seconds(Col),
    /// A figure of the process; one that there is not has no value.
    Figure(&'static str),
    /// A figure that is text: it is a label of this name, and the value is 1.
    Label(&'static str, &'static str),
    /// `status` of a frontend or backend.
    Up,
    /// `status` of a listener.
    Listener,
    /// `status` of a server.
    Server,
    /// `check_status`, `agent_status`: the column.
    Check(Col),
    /// How many servers are in each state.
    Servers,
    /// How many servers had each result of a check.
    Checks,
    /// A counter of a name server, by its place among them.
    Nameserver(usize),
    /// How times are spread: ours alone.
    Spread(fn(&Times) -> &Histogram),
}

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// What it is about.
    pub scope: Scope,
    /// Its name without what all of the scope begin with.
    pub name: &'static str,
    /// `counter` or `gauge`
    pub kind: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Where its samples come from.
    pub of: Of,
    /// Proxies that do not speak HTTP have none.
    pub http: bool,
    /// Only with `extra-counters`; the label `mod`.
    pub module: Option<&'static str>,
    /// Instead of one column: one each, with the label `code`.
    pub codes: &'static [(&'static str, Col)],
}

impl Metric {
    const fn new(scope: Scope, name: &'static str, kind: &'static str, of: Of, help: &'static str) -> Self {
        Self { scope, name, kind, help, of, http: false, module: None, codes: &[] }
    }
    /// Only of HTTP.
    #[must_use]
    pub const fn http(mut self) -> Self {
        self.http = true;
        self
    }
    /// Of a module's own counters.
    #[must_use]
    pub const fn extra(mut self, module: &'static str) -> Self {
        self.module = Some(module);
        self
    }
    /// The whole name.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("haproxy_{}_{}", self.scope.prefix(), self.name)
    }
    /// Its states, if it has a sample for each.
    #[must_use]
    pub fn states(&self) -> &'static [&'static str] {
        match self.of {
            Of::Up => &["DOWN", "UP"],
            Of::Listener => &["WAITING", "OPEN", "FULL"],
            Of::Server | Of::Servers => &SERVER_STATES,
            Of::Check(_) | Of::Checks => &CHECK_STATES,
            _ => &[],
        }
    }
}

/// A column.
pub const fn col(
    scope: Scope,
    name: &'static str,
    kind: &'static str,
    col: Col,
    help: &'static str,
) -> Metric {
    Metric::new(scope, name, kind, Of::Col(col), help)
}
/// A column in milliseconds.
pub const fn seconds(scope: Scope, name: &'static str, col: Col, help: &'static str) -> Metric {
    Metric::new(scope, name, "gauge", Of::Seconds(col), help)
}
/// A figure.
pub const fn figure(
    name: &'static str,
    kind: &'static str,
    figure: &'static str,
    help: &'static str,
) -> Metric {
    Metric::new(Scope::Global, name, kind, Of::Figure(figure), help)
}
/// A figure that is text.
pub const fn label(
    name: &'static str,
    figure: &'static str,
    help: &'static str,
    label: &'static str,
) -> Metric {
    Metric::new(Scope::Global, name, "gauge", Of::Label(figure, label), help)
}
/// How times are spread.
pub const fn spread(
    scope: Scope,
    name: &'static str,
    of: fn(&Times) -> &Histogram,
    help: &'static str,
) -> Metric {
    Metric::new(scope, name, "histogram", Of::Spread(of), help)
}
/// A counter of a name server, by its place among them.
pub const fn nameserver(at: usize, name: &'static str, help: &'static str) -> Metric {
    Metric::new(Scope::Resolver, name, "gauge", Of::Nameserver(at), help)
}
/// States.
pub const fn state(scope: Scope, name: &'static str, of: Of, help: &'static str) -> Metric {
    Metric::new(scope, name, "gauge", of, help)
}

const SERVER_STATES: [&str; 5] = ["DOWN", "UP", "MAINT", "DRAIN", "NOLB"];
const CHECK_STATES: [&str; 16] = [
    "HANA", "SOCKERR", "L4OK", "L4TOUT", "L4CON", "L6OK", "L6TOUT", "L6RSP", "L7TOUT", "L7RSP", "L7OK",
    "L7OKC", "L7STS", "PROCERR", "PROCTOUT", "PROCOK",
];

/// A sample's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// There is none.
    Nan,
    /// A counter.
    Big(u64),
    /// -1 for never.
    Small(i64),
    /// With six decimals.
    Float(f64),
}

impl Number {
    /// A value of a line or figure.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        match value {
            Value::S32(n) => Self::Small((*n).into()),
            Value::U32(n) => Self::Big((*n).into()),
            Value::U64(n) => Self::Big(*n),
            Value::Float(n) => Self::Float(*n),
            Value::Text(_) => Self::Nan,
        }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nan => f.write_str("NaN"),
            Self::Big(n) => n.fmt(f),
            Self::Small(n) => n.fmt(f),
            Self::Float(n) => write!(f, "{n:.6}"),
        }
    }
}

/// Which of [`Metric::states`] a server's `status` is.
#[must_use]
pub fn server_state(status: &str) -> usize {
    let begins = |state: &&str| status.starts_with(*state);
    // without checks it counts as up
    SERVER_STATES.iter().position(begins).unwrap_or(1)
}

/// Which of [`Metric::states`] a `check_status` is; one in progress has `* ` in front.
#[must_use]
pub fn check_state(status: &str) -> Option<usize> {
    CHECK_STATES.iter().position(|s| *s == status.trim_start_matches("* "))
}

/// The sample of a line for a column; a time is in seconds.
#[must_use]
pub fn sample(line: &Line, of: Of) -> Number {
    match of {
        Of::Col(col) => line.get(col).map_or(Number::Nan, Number::of),
        Of::Seconds(col) => match line.get(col).map(Number::of) {
            Some(Number::Big(ms)) => Number::Float(ms as f64 / 1000.0),
            Some(other) => other,
            None => Number::Nan,
        },
        _ => Number::Nan,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_servers() {
        for (status, state) in
            [("no check", 1), ("UP", 1), ("UP 1/3", 1), ("DOWN 1/2", 0), ("MAINT (via a/b)", 2), ("DRAIN", 3)]
        {
            assert_eq!(server_state(status), state, "{status}");
        }
        assert_eq!(check_state("* L4OK"), Some(2));
        assert_eq!(check_state("INI"), None);
    }
}
