//! A number or text with what kind it is, and how it is written in the typed and JSON formats (manual 9.2).

use std::borrow::Cow;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `s32`
    S32(i32),
    /// `u32`
    U32(u32),
    /// `u64`
    U64(u64),
    /// `flt`
    Float(f64),
    /// `str`
    Text(Cow<'static, str>),
}

impl Value {
    /// Text that is made now.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Cow::Owned(text.into()))
    }
    /// The type's name.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::S32(_) => "s32",
            Self::U32(_) => "u32",
            Self::U64(_) => "u64",
            Self::Float(_) => "flt",
            Self::Text(_) => "str",
        }
    }
    /// As in a JSON object's `value`.
    pub fn json(&self, out: &mut String) {
        match self {
            Self::Text(t) => quote_json(t, out),
            other => out.push_str(&other.to_string()),
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::S32(n) => n.fmt(f),
            Self::U32(n) => n.fmt(f),
            Self::U64(n) => n.fmt(f),
            Self::Float(n) => {
                let text = format!("{n:.6}");
                f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
            }
            Self::Text(t) => f.write_str(t),
        }
    }
}

/// A JSON string.
pub fn quote_json(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A CSV field: in quotes only if it holds a quote or a comma.
#[must_use]
pub fn csv(text: &str) -> Cow<'_, str> {
    if text.contains(['"', ',', '\n', '\r']) {
        Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(text)
    }
}

/// `"tags":{…}` and `"value":{…}` of one JSON item.
pub fn json_tail(tag: &str, value: &Value, out: &mut String) {
    let at = |i: usize| tag.as_bytes().get(i).copied().unwrap_or(b'?');
    let origin = match at(0) {
        b'M' => "Metric",
        b'S' => "Status",
        b'K' => "Key",
        b'C' => "Config",
        b'P' => "Product",
        _ => "Unknown",
    };
    let nature = match at(1) {
        b'G' => "Gauge",
        b'L' => "Limit",
        b'm' => "Min",
        b'M' => "Max",
        b'R' => "Rate",
        b'C' => "Counter",
        b'D' => "Duration",
        b'A' => "Age",
        b'T' => "Time",
        b'N' => "Name",
        b'O' => "Output",
        b'a' => "Avg",
        _ => "Unknown",
    };
    let scope = match at(2) {
        b'C' => "Cluster",
        b'P' => "Process",
        b'S' => "Service",
        b's' => "System",
        _ => "Unknown",
    };
    out.push_str(&format!(
        "\"processNum\":1,\"tags\":{{\"origin\":\"{origin}\",\"nature\":\"{nature}\",\"scope\":\"{scope}\"}},\"value\":{{\"type\":\"{}\",\"value\":",
        value.kind()
    ));
    value.json(out);
    out.push_str("}}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_forms() {
        assert_eq!(csv("a,b"), "\"a,b\"");
        assert_eq!(csv("say \"x\""), "\"say \"\"x\"\"\"");
        assert_eq!(csv("plain"), "plain");
        assert_eq!(Value::Float(1.5).to_string(), "1.5");
        assert_eq!(Value::Float(3.0).to_string(), "3");
        let mut out = String::new();
        json_tail("MaPV", &Value::text("a\"b"), &mut out);
        assert_eq!(
            out,
            r#""processNum":1,"tags":{"origin":"Metric","nature":"Avg","scope":"Process"},"value":{"type":"str","value":"a\"b"}}"#
        );
    }
}
