//! Section keywords and what their first line takes.

use crate::row::Sections;

/// What stands behind a section's keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// Nothing.
    None,
    /// A name.
    Required,
    /// A name, or nothing.
    Optional,
}

/// A section keyword.
#[derive(Clone, Copy, Debug)]
pub struct SectionRow {
    /// The keyword.
    pub name: &'static str,
    /// Its bit.
    pub section: Sections,
    /// Does it take a name?
    pub naming: Naming,
}

const fn row(name: &'static str, section: Sections, naming: Naming) -> SectionRow {
    SectionRow { name, section, naming }
}

/// Every section keyword.
pub const SECTIONS: &[SectionRow] = &[
    row("global", Sections::GLOBAL, Naming::None),
    row("defaults", Sections::DEFAULTS, Naming::Optional),
    row("frontend", Sections::FRONTEND, Naming::Required),
    row("listen", Sections::LISTEN, Naming::Required),
    row("backend", Sections::BACKEND, Naming::Required),
    row("userlist", Sections::USERLIST, Naming::Required),
    row("peers", Sections::PEERS, Naming::Required),
    row("mailers", Sections::MAILERS, Naming::Required),
    row("resolvers", Sections::RESOLVERS, Naming::Required),
    row("http-errors", Sections::HTTP_ERRORS, Naming::Required),
    row("ring", Sections::RING, Naming::Required),
    row("log-forward", Sections::LOG_FORWARD, Naming::Required),
    row("log-profile", Sections::LOG_PROFILE, Naming::Required),
    row("cache", Sections::CACHE, Naming::Required),
    row("fcgi-app", Sections::FCGI_APP, Naming::Required),
    row("crt-store", Sections::CRT_STORE, Naming::Optional),
    row("traces", Sections::TRACES, Naming::None),
    row("acme", Sections::ACME, Naming::Required),
    row("healthcheck", Sections::HEALTHCHECK, Naming::Required),
    row("otel", Sections::OTEL, Naming::Required),
];

/// The section that this keyword begins.
#[must_use]
pub fn find(name: &[u8]) -> Option<&'static SectionRow> {
    SECTIONS.iter().find(|s| s.name.as_bytes() == name)
}

/// The keyword of a section's bit.
#[must_use]
pub fn name_of(section: Sections) -> &'static str {
    SECTIONS.iter().find(|s| s.section == section).map_or("?", |s| s.name)
}
