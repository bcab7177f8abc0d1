//! `add-headers-bin`, `set-headers-bin` and `del-headers-bin`: header fields in the encoding of `req.hdrs_bin` (manual
//! section 4.4).

use super::action::{Action, NameMatch};
use super::cx::RuleCx;
use super::lang::{Expr, Parsing};
use super::rewrite;
use super::table::{Parsed, Sets};

/// What is done with the fields or names.
#[derive(Debug)]
enum What {
    /// Fields whose names begin so are added, or take the place of those that are there.
    Put { set: bool, prefix: Box<[u8]> },
    /// Fields with these names go.
    Delete(fn(Box<[u8]>) -> NameMatch),
}

/// One of these actions.
#[derive(Debug)]
pub struct HeadersBin {
    expr: Expr,
    what: What,
}

impl HeadersBin {
    /// False: the bytes are not what they should be, or there is no room. A sample that gives nothing changes nothing.
    pub(super) fn run(&self, cx: &mut RuleCx<'_, '_>) -> bool {
        let Some(bytes) = self.expr.text(&cx.scope()).map(|b| b.into_owned()) else { return true };
        match &self.what {
            What::Put { set, prefix } => {
                let Some(fields) = fields(&bytes, prefix) else { return false };
                fields.into_iter().all(|(name, value)| rewrite::put_header(cx, &name, value, *set))
            }
            What::Delete(matching) => {
                let Some(names) = names(&bytes) else { return false };
                names
                    .into_iter()
                    .all(|name| rewrite::del_header(cx, &matching(name.to_ascii_lowercase().into())))
            }
        }
    }
}

/// A counted string, and what follows it.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, mut rest) = bytes.split_first()?;
    let mut len = u64::from(*first);
    if len >= 240 {
        let mut shift = 4;
        loop {
            let (next, more) = rest.split_first()?;
            rest = more;
            len = len.checked_add(u64::from(*next).checked_shl(shift)?)?;
            if *next < 128 {
                break;
            }
            shift += 7;
        }
    }
    rest.split_at_checked(usize::try_from(len).ok()?)
}

/// Names, in lower case, and values up to an empty pair; of the names, those that begin with `prefix`. Nothing that would end a line may be in them.
fn fields<'b>(bytes: &'b [u8], prefix: &[u8]) -> Option<Vec<(Vec<u8>, &'b [u8])>> {
    let clean = |text: &[u8]| !text.iter().any(|b| matches!(b, b'\r' | b'\n' | 0));
    let mut all = Vec::new();
    let mut rest = bytes;
    loop {
        let (name, more) = counted(rest)?;
        let (value, more) = counted(more)?;
        match (name, value) {
            (b"", b"") => return Some(all),
            (b"", _) => return None,
            _ if !clean(name) || name.contains(&b':') || !clean(value) => return None,
            _ if !name.starts_with(prefix) => {}
            _ => all.push((name.to_ascii_lowercase(), value)),
        }
        rest = more;
    }
}

/// Names up to an empty one.
fn names(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut all = Vec::new();
    let mut rest = bytes;
    loop {
        let (name, more) = counted(rest)?;
        if name.is_empty() {
            return Some(all);
        }
        all.push(name);
        rest = more;
    }
}

fn done(expr: Expr, what: What) -> Parsed {
    Parsed { action: Action::HeadersBin(Box::new(HeadersBin { expr, what })), condition: None }
}

fn put(p: &mut Parsing<'_, '_, '_>, set: bool) -> Result<Parsed, String> {
    if p.at_end() {
        return Err("expects exactly one argument or three arguments <headers> prefix <pfx>".into());
    }
    let expr = p.expr_here()?;
    let mut prefix: Box<[u8]> = Box::default();
    if p.args.accept("prefix") {
        let message = "expects 1 argument: <headers>; or 3 arguments: <headers> prefix <pfx>";
        prefix = p.want(message)?.text.clone().into();
    }
    Ok(done(expr, What::Put { set, prefix }))
}

/// `add-headers-bin <expr> [ prefix <str> ]`
pub(super) fn add(p: &mut Parsing<'_, '_, '_>, _: Sets) -> Result<Parsed, String> {
    put(p, false)
}

/// `set-headers-bin <expr> [ prefix <str> ]`
pub(super) fn set(p: &mut Parsing<'_, '_, '_>, _: Sets) -> Result<Parsed, String> {
    put(p, true)
}

/// `del-headers-bin <expr> [ -m <meth> ]`
pub(super) fn delete(p: &mut Parsing<'_, '_, '_>, _: Sets) -> Result<Parsed, String> {
    if p.at_end() {
        return Err("expects at least 1 argument".into());
    }
    let expr = p.expr_here()?;
    let mut matching: fn(Box<[u8]>) -> NameMatch = NameMatch::Exact;
    if p.args.accept("-m") {
        let method = p.want("-m flag expects exactly 1 argument")?.str();
        matching = match &*method {
            "str" => NameMatch::Exact,
            "beg" => NameMatch::Begin,
            "end" => NameMatch::End,
            "sub" => NameMatch::Contains,
            "reg" => {
                return Err("-m reg is unsupported with del-headers-bin due to performance reasons".into());
            }
            other => return Err(format!("-m with unsupported matching method '{other}'")),
        };
    }
    Ok(done(expr, What::Delete(matching)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_fields_and_names() {
        let all = |b: &'static [u8]| fields(b, b"");
        assert_eq!(all(b"\x03A-b\x01x\x00\x00").unwrap(), [(b"a-b".to_vec(), &b"x"[..])]);
        assert!(all(b"\x01a\x01x").is_none() && all(b"\x00\x01x\x00\x00").is_none());
        assert!(all(b"\x01a\x02x\n\x00\x00").is_none());
        assert!(fields(b"\x03A-b\x01x\x00\x00", b"a").unwrap().is_empty());
        assert_eq!(names(b"\x03x-a\x00\x01b").unwrap(), [b"x-a"]);
        assert!(names(b"\x03x-").is_none());
        let long = [&[0xF0, 0x01][..], &[b'n'; 256], b"\0"].concat();
        assert_eq!(names(&long).unwrap()[0].len(), 256);
    }
}
