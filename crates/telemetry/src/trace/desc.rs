//! `-dt`: traces on standard error from the start (management manual 3).

use super::source::{Level, Source};
use super::state::Traces;

/// `-dt help`
pub const HELP: &str = "\
-dt activates traces on stderr output via the command-line.
Without argument, all registered trace sources are activated with error level as filter.
A list can be specified as argument to configure several trace sources with comma as separator.
Each entry can contains the trace name, a log level and a verbosity using colon as separator.
Every fields are optional and can be left empty, or with a colon to specify the next one.

An empty name or the alias 'all' will activate all registered sources.
Verbosity cannot be configured in this case except 'quiet' as their values are specific to each source.

Examples:
-dt           activate every sources on error level
-dt all:user  activate every sources on user level
-dt h1        activate HTTP/1 traces on error level
-dt h2:data   activate HTTP/2 traces on data level
-dt h1::clean,h2::minimal
    activate both HTTP/1 and HTTP/2 traces on error level with their custom verbosity
";

/// Reads the argument of `-dt` and begins what it says.
///
/// # Errors
/// What is wrong with it.
pub fn parse(traces: &mut Traces, text: &str) -> Result<(), String> {
    text.split(',').try_for_each(|one| begin(traces, one))
}

fn begin(traces: &mut Traces, one: &str) -> Result<(), String> {
    let fields: Vec<&str> = one.split(':').collect();
    let field = |at: usize| fields.get(at).copied().filter(|f| !f.is_empty());
    let source = match field(0) {
        None | Some("all") => None,
        Some(name) => Some(Source::named(name).ok_or_else(|| format!("unknown trace source '{name}'."))?),
    };
    let level = match field(1) {
        None => Level::Error,
        Some(name) => Level::named(name).ok_or_else(|| {
            let names: Vec<_> = Level::ALL.iter().map(|l| l.1).collect();
            format!("no such trace level '{name}', available levels are {}.", choice(&names))
        })?,
    };
    if fields.len() > 3 {
        return Err("too many colon separators in trace definition.".into());
    }
    for s in source.as_ref().map_or(Source::ALL, std::slice::from_ref) {
        let verbosity = match field(2) {
            None => None,
            Some("quiet") => Some(0),
            Some(_) if source.is_none() => {
                return Err("trace source must be specified for verbosity other than 'quiet'.".into());
            }
            Some(name) => Some(s.verbosities().position(|(v, _)| v == name).ok_or_else(|| {
                let names: Vec<_> = s.verbosities().map(|v| v.0).collect();
                format!(
                    "no such trace verbosity '{name}' for source '{}', available verbosities for this source are: {}.",
                    s.name(),
                    choice(&names)
                )
            })?),
        };
        let state = traces.of_mut(*s);
        state.level = level;
        state.sink = Some("stderr".into());
        if let Some(verbosity) = verbosity {
            state.verbosity = u8::try_from(verbosity).unwrap_or(u8::MAX);
        }
        state.start_now();
    }
    Ok(())
}

/// `'a', 'b', and 'c'`
fn choice(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|n| format!("'{n}'")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{}, and {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
