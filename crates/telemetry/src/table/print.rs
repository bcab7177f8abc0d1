//! The formats of `show stat`: CSV, typed, JSON.

use super::columns::{COLUMNS, STATIC};
use super::line::Line;
use super::value::{Value, csv, json_tail};

/// The header of the CSV format.
#[must_use]
pub fn header() -> String {
    let mut out = String::from("# ");
    for (i, c) in COLUMNS.iter().enumerate() {
        if i == STATIC {
            out.push_str("-,");
        }
        out.push_str(c.name);
        out.push(',');
    }
    out.push('\n');
    out
}

/// A line of CSV.
pub fn csv_line(line: &Line, out: &mut String) {
    for (i, cell) in line.cells.iter().enumerate() {
        if i == STATIC {
            out.push_str("-,");
        }
        match cell {
            Some((Value::Text(t), _)) => out.push_str(&csv(t)),
            Some((v, _)) => out.push_str(&v.to_string()),
            None => {}
        }
        out.push(',');
    }
    out.push('\n');
}

/// One line a column: `F.2.0.0.pxname.1:KNSV:str:www`.
pub fn typed_lines(line: &Line, describe: bool, out: &mut String) {
    for (i, (cell, column)) in line.cells.iter().zip(COLUMNS).enumerate() {
        let Some((value, tag)) = cell else { continue };
        out.push_str(&format!(
            "{}.{}.{}.{i}.{}.1:{tag}:{}:{value}",
            line.kind.letter(),
            line.iid,
            line.sid,
            column.name,
            value.kind()
        ));
        if describe {
            out.push_str(&format!(":\"{}\"", column.help));
        }
        out.push('\n');
    }
}

/// An array with one object a column.
pub fn json_array(line: &Line, out: &mut String) {
    out.push('[');
    let mut first = true;
    for (i, (cell, column)) in line.cells.iter().zip(COLUMNS).enumerate() {
        let Some((value, tag)) = cell else { continue };
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        out.push_str(&format!(
            "{{\"objType\":\"{}\",\"proxyId\":{},\"id\":{},\"field\":{{\"pos\":{i},\"name\":\"{}\"}},",
            line.kind.name(),
            line.iid,
            line.sid,
            column.name
        ));
        json_tail(tag, value, out);
    }
    out.push(']');
}
