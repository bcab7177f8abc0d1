//! What an `otel` section says.

use portcullis_config::{Diagnostics, Model, Place, Severity};
use portcullis_wire::trace_context::TraceId;
use std::net::SocketAddr;
use std::time::Duration;

/// Where a collector is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its URL without a slash at the end; what is sent goes to `/v1/traces` and `/v1/logs` below it.
    pub url: String,
    /// `https`
    pub secure: bool,
    /// The address that its host has.
    pub address: SocketAddr,
}

/// Which new traces are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling(u64);

impl Sampling {
    /// All of them.
    pub const ALL: Self = Self(1 << 63);
    /// Of so many; 0 to 1.
    #[must_use]
    pub fn ratio(ratio: f64) -> Option<Self> {
        let bound = || Self((ratio * (1_u64 << 63) as f64) as u64);
        (0.0..=1.0).contains(&ratio).then(bound)
    }
    /// Is a new trace of that number recorded? Its last 63 bits decide, as with `TraceIdRatioBased` of OpenTelemetry.
    #[must_use]
    pub fn takes(self, trace: &TraceId) -> bool {
        (u128::from_be_bytes(*trace) as u64) >> 1 < self.0
    }
}

/// An `otel` section.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its name.
    pub name: String,
    place: Place,
    /// `endpoint`
    pub endpoint: Option<Endpoint>,
    /// An `endpoint` line is there.
    pub has_endpoint: bool,
    /// `service-name`; its name if nothing is said.
    pub service: Option<String>,
    /// `attribute`
    pub attributes: Vec<(String, String)>,
    /// `header`
    pub headers: Vec<(String, String)>,
    /// `timeout`
    pub timeout: Duration,
    /// `compression gzip`
    pub gzip: bool,
    /// `batch-size`
    pub batch: u32,
    /// `batch-interval`
    pub interval: Duration,
    /// `queue-size`, in bytes, for each kind of record.
    pub queue: u64,
    /// `sample`
    pub sampling: Sampling,
    /// `client-context`
    pub follows: bool,
    /// `signals traces`
    pub traces: bool,
    /// `signals logs`
    pub logs: bool,
}

/// The section of a configuration; there is one at most.
#[derive(Clone, Debug, Default)]
pub struct Sections(pub Vec<Section>);

impl Section {
    pub(super) fn new(name: String, place: Place) -> Self {
        Self {
            name,
            place,
            endpoint: None,
            has_endpoint: false,
            service: None,
            attributes: Vec::new(),
            headers: Vec::new(),
            timeout: Duration::from_secs(10),
            gzip: false,
            batch: 2048,
            interval: Duration::from_secs(5),
            queue: 16 << 20,
            sampling: Sampling::ALL,
            follows: true,
            traces: true,
            logs: true,
        }
    }
    /// Where it begins.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }
    /// That of a model.
    #[must_use]
    pub fn of(model: &Model) -> Option<&Self> {
        model.ext.get::<Sections>()?.0.first()
    }
    /// What is sent is said to come from.
    #[must_use]
    pub fn service(&self) -> &str {
        self.service.as_deref().unwrap_or(&self.name)
    }
}

/// What can be known once all lines were read.
pub fn check(model: &mut Model, diags: &mut Diagnostics) {
    let Some(section) = Section::of(model) else { return };
    if !section.has_endpoint {
        let text = format!("otel section '{}' has no 'endpoint'.", section.name);
        diags
            .add(Severity::Alert, Some(section.place), text)
            .hint("for instance 'endpoint http://127.0.0.1:4318', where a collector takes OTLP over HTTP");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampling() {
        let trace = |low: u64| (u128::from(u64::MAX) << 64 | u128::from(low)).to_be_bytes();
        let half = Sampling::ratio(0.5).unwrap();
        assert!(half.takes(&trace(0)) && half.takes(&trace((1 << 63) - 1)) && !half.takes(&trace(1 << 63)));
        assert!(Sampling::ALL.takes(&trace(u64::MAX)));
        assert_eq!(Sampling::ratio(1.0), Some(Sampling::ALL));
        assert!(!Sampling::ratio(0.0).unwrap().takes(&trace(0)));
        for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Sampling::ratio(bad), None);
        }
    }
}
