//! Diagnostics as operators know them.

use crate::diag::{Diagnostic, Diagnostics, Severity};
use std::fmt::Write;

/// How a severity looks at the beginning of a line.
#[must_use]
pub fn tag(severity: Severity) -> &'static str {
    match severity {
        Severity::Alert => "[ALERT]   ",
        Severity::Warning => "[WARNING] ",
        Severity::Notice => "[NOTICE]  ",
        Severity::Diag => "[DIAG]    ",
    }
}

/// One message with its marked line and hint, each line ended.
#[must_use]
pub fn message(all: &Diagnostics, d: &Diagnostic, pid: u32) -> String {
    let mut out = format!("{} ({pid}) : ", tag(d.severity));
    let file = |place: crate::diag::Place| all.files.get(place.file.0 as usize).map_or("?", String::as_str);
    match d.place {
        Some(place) if !d.late => {
            let _ = write!(out, "config : parsing [{}:{}] : ", file(place), place.line);
        }
        _ if !d.late && !d.message.starts_with("config") => out.push_str("config : "),
        _ => {}
    }
    out.push_str(&d.message);
    out.push('\n');
    if let Some(place) = d.place.filter(|_| d.late) {
        let _ = writeln!(out, "  see [{}:{}]", file(place), place.line);
    }
    if let Some((span, line)) = &d.mark {
        let shown: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let _ = writeln!(out, "  {shown}");
        let start = line.get(..span.start as usize).map_or(0, |s| s.chars().count());
        let len = (span.end.saturating_sub(span.start)).max(1) as usize;
        let _ = writeln!(out, "  {}{}", " ".repeat(start), "^".repeat(len));
    }
    if let Some(hint) = &d.hint {
        let _ = writeln!(out, "  hint: {hint}");
    }
    out
}

/// Every message from `least` on.
#[must_use]
pub fn all(diags: &Diagnostics, least: Severity, pid: u32) -> String {
    diags.list.iter().filter(|d| d.severity >= least).map(|d| message(diags, d, pid)).collect()
}
