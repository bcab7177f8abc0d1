//! Changes of heads. Each says whether it could be done (`strict-mode`).

use super::action::{NameMatch, Part};
use super::cx::RuleCx;
use super::lang::{Format, Groups, Regex};
use crate::reply::codes;
use portcullis_message::{Head, HeaderId, uri, values};

/// Is there room for so many bytes more? What changes have left behind is cleared away first if need be.
fn room(head: &mut Head, bytes: usize, limit: usize) -> bool {
    if head.size() + bytes > limit {
        compact(head);
    }
    head.size() + bytes <= limit
}

/// Is there room for so many bytes once `gone` others are not there any more? `clear` takes those away, which happens only if
/// both do not fit beside each other.
fn room_instead(
    head: &mut Head,
    bytes: usize,
    gone: usize,
    limit: usize,
    clear: impl FnOnce(&mut Head),
) -> bool {
    if room(head, bytes, limit) {
        return true;
    }
    if head.size() + bytes > limit + gone {
        return false;
    }
    clear(head);
    compact(head);
    true
}

/// Another target.
fn change_target(head: &mut Head, target: &[u8], limit: usize) -> bool {
    let gone = head.target().len();
    let fits = room_instead(head, target.len(), gone, limit, |head| head.set_target(b""));
    if fits {
        head.set_target(target);
    }
    fits
}

/// Makes the arena hold nothing but what is used.
fn compact(head: &mut Head) {
    let mut fresh = Head::default();
    if head.status == 0 {
        fresh.set_request(head.method(), head.target(), head.version);
        fresh.normalized = head.normalized;
    } else {
        fresh.set_response(head.version, head.status, head.reason());
    }
    for field in head.fields() {
        fresh.push(field.name, field.value);
    }
    *head = fresh;
}

/// A change of `Host` shows in an absolute target too, and in that of CONNECT.
fn host_changed(head: &mut Head, name: &[u8], value: &[u8]) {
    if HeaderId::of(name) != HeaderId::Host || head.status != 0 {
        return;
    }
    if uri::is_authority(head.target()) {
        head.set_target(value);
        return;
    }
    let target = head.target();
    if uri::authority(target).is_none() {
        return;
    }
    let Some(start) = target.windows(3).position(|w| w == b"://") else { return };
    let end = uri::path_start(target).unwrap_or(target.len());
    let new = [&target[..start + 3], value, &target[end..]].concat();
    head.set_target(&new);
}

/// `set-header`
pub fn set_header(cx: &mut RuleCx<'_, '_>, name: &[u8], format: &Format) -> bool {
    let value = format.bytes(&cx.scope());
    put_header(cx, name, &value, true)
}

/// `add-header`
pub fn add_header(cx: &mut RuleCx<'_, '_>, name: &[u8], format: &Format) -> bool {
    let value = format.bytes(&cx.scope());
    put_header(cx, name, &value, false)
}

/// Adds a field, or (`set`) lets it take the place of those of its name.
pub fn put_header(cx: &mut RuleCx<'_, '_>, name: &[u8], value: &[u8], set: bool) -> bool {
    let limit = cx.limit;
    let Some(head) = cx.head() else { return false };
    if !room(head, name.len() + value.len(), limit) {
        // what it takes the place of makes room
        if !set || head.remove_all(name) == 0 || !room(head, name.len() + value.len(), limit) {
            return false;
        }
    }
    if set {
        head.set(name, value);
    } else {
        head.push(name, value);
    }
    host_changed(head, name, value);
    true
}

/// `del-header`
pub fn del_header(cx: &mut RuleCx<'_, '_>, name: &NameMatch) -> bool {
    let Some(head) = cx.head() else { return false };
    match name {
        NameMatch::Exact(name) => {
            head.remove_all(name);
        }
        NameMatch::Begin(prefix) => head
            .retain(|f| !f.name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))),
        NameMatch::End(suffix) => head.retain(|f| {
            let at = f.name.len().wrapping_sub(suffix.len());
            !f.name.get(at..).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
        }),
        NameMatch::Contains(part) => head.retain(|f| {
            !(part.is_empty() || f.name.windows(part.len()).any(|w| w.eq_ignore_ascii_case(part)))
        }),
        NameMatch::Regex(regex) => head.retain(|f| !regex.is_match(&f.name.to_ascii_lowercase())),
    }
    true
}

/// `replace-header`, `replace-value`: all fields of this name whose value (or element) matches.
pub fn replace_header(
    cx: &mut RuleCx<'_, '_>,
    name: &[u8],
    elements: bool,
    regex: &Regex,
    with: &Format,
) -> bool {
    let template = with.bytes(&cx.scope());
    let limit = cx.limit;
    let Some(head) = cx.head() else { return false };
    for index in 0..head.len() {
        let Some(field) = head.field(index) else { break };
        if !field.name.eq_ignore_ascii_case(name) {
            continue;
        }
        let new = if elements {
            replace_elements(field.value, regex, &template)
        } else {
            replace_whole(field.value, regex, &template)
        };
        let Ok(new) = new else { return false };
        let Some(new) = new else { continue };
        let gone = field.value.len();
        if !room_instead(head, new.len(), gone, limit, |head| head.set_value(index, b"")) {
            return false;
        }
        head.set_value(index, &new);
        host_changed(head, name, &new);
    }
    true
}

/// A template that can't be expanded.
struct Malformed;

/// The text that takes the place of a text that matches; `None`: it doesn't.
fn replace_whole(text: &[u8], regex: &Regex, template: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
    let Some(groups) = regex.groups(text) else { return Ok(None) };
    expand(template, text, &groups).map(Some)
}

/// The same for each element of a list; what stands between two commas is replaced.
fn replace_elements(value: &[u8], regex: &Regex, template: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
    let mut out = Vec::with_capacity(value.len() + template.len());
    let mut changed = false;
    for (i, raw) in raw_elements(value).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        match replace_whole(values::trim(raw), regex, template)? {
            Some(new) => {
                out.extend_from_slice(&new);
                changed = true;
            }
            None => out.extend_from_slice(raw),
        }
    }
    Ok(changed.then_some(out))
}

/// What stands between commas outside of quotes, blanks included.
fn raw_elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    value.split(move |b| {
        match *b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' => return !quoted,
            _ => {}
        }
        false
    })
}

/// `\0` to `\9` are groups, `\xHH` is a byte, `\` before anything else is dropped.
fn expand(template: &[u8], text: &[u8], groups: &Groups) -> Result<Vec<u8>, Malformed> {
    let mut out = Vec::with_capacity(template.len() + text.len());
    let mut rest = template.iter();
    while let Some(b) = rest.next() {
        if *b != b'\\' {
            out.push(*b);
            continue;
        }
        match rest.next() {
            None => return Err(Malformed),
            Some(d @ b'0'..=b'9') => {
                if let Some((start, end)) = groups[usize::from(d - b'0')] {
                    out.extend_from_slice(text.get(start..end).unwrap_or(&[]));
                }
            }
            Some(b'x') => {
                let mut digit = || rest.next().and_then(|b| char::from(*b).to_digit(36)).ok_or(Malformed);
                let (high, low) = (digit()?, digit()?);
                out.push((high * 16 + low) as u8);
            }
            Some(other) => out.push(*other),
        }
    }
    Ok(out)
}

/// `replace-path`, `replace-pathq`, `replace-uri`
pub fn replace_target(cx: &mut RuleCx<'_, '_>, part: Part, regex: &Regex, with: &Format) -> bool {
    let Some(head) = cx.request.as_deref() else { return false };
    let target = head.target();
    if matches!(part, Part::Path | Part::PathQuery) && uri::path_start(target).is_none() {
        return true;
    }
    let old = match part {
        Part::Path => uri::path(target),
        Part::PathQuery => uri::pathq(target),
        Part::Query => uri::query(target).unwrap_or(&[]),
        Part::Uri => target,
    };
    let Some(groups) = regex.groups(old) else { return true };
    let template = with.bytes(&cx.scope());
    let Ok(new) = expand(&template, old, &groups) else { return false };
    put_target(cx, part, &new)
}

/// `set-path`, `set-pathq`, `set-query`, `set-uri`
pub fn set_target(cx: &mut RuleCx<'_, '_>, part: Part, format: &Format) -> bool {
    let new = format.bytes(&cx.scope());
    put_target(cx, part, &new)
}

fn put_target(cx: &mut RuleCx<'_, '_>, part: Part, new: &[u8]) -> bool {
    let limit = cx.limit;
    let Some(head) = cx.request.as_deref_mut() else { return false };
    let target = head.target();
    let whole = match part {
        Part::Uri => new.to_vec(),
        Part::Query => with_query(target, new),
        Part::Path | Part::PathQuery => with_path(target, part, new),
    };
    if !change_target(head, &whole, limit) {
        return false;
    }
    if part != Part::Uri {
        return true;
    }
    head.normalized = false;
    target_changed(head)
}

/// The whole target, whose authority is the same.
pub(super) fn put_whole(cx: &mut RuleCx<'_, '_>, target: &[u8]) -> bool {
    let limit = cx.limit;
    let Some(head) = cx.request.as_deref_mut() else { return false };
    change_target(head, target, limit)
}

/// A target with an authority says the host anew; an empty one is none.
fn target_changed(head: &mut Head) -> bool {
    let target = head.target();
    let authority = match target.first() {
        None | Some(b'/' | b'*') => return true,
        Some(_) => uri::authority(target)
            .unwrap_or_else(|| target.split(|b| matches!(b, b'/' | b'?' | b'#')).next().unwrap_or(&[])),
    };
    let host = authority.to_vec();
    let index = head.fields().position(|f| f.id == HeaderId::Host);
    if let Some(index) = index {
        head.set_value(index, &host);
    }
    !host.is_empty()
}

/// The target with another query; a question mark is never removed.
fn with_query(target: &[u8], new: &[u8]) -> Vec<u8> {
    match target.iter().position(|b| *b == b'?') {
        Some(mark) => [&target[..=mark], new].concat(),
        None if new.is_empty() => target.to_vec(),
        None => [target, b"?", new].concat(),
    }
}

/// The target with another path; one without a path is replaced as a whole, but for its query.
fn with_path(target: &[u8], part: Part, new: &[u8]) -> Vec<u8> {
    let old = if part == Part::Path { uri::path(target) } else { uri::pathq(target) };
    if old.is_empty() {
        let query = target.iter().position(|b| *b == b'?').filter(|_| part == Part::Path);
        return [new, query.map_or(&[], |at| &target[at..])].concat();
    }
    let start = uri::path_start(target).unwrap_or(0);
    [&target[..start], new, &target[start + old.len()..]].concat()
}

/// `set-method`
pub fn set_method(cx: &mut RuleCx<'_, '_>, format: &Format) -> bool {
    let method = format.bytes(&cx.scope());
    let limit = cx.limit;
    let Some(head) = cx.request.as_deref_mut() else { return false };
    if !room(head, method.len(), limit) {
        return false;
    }
    head.set_method(&method);
    true
}

/// `set-status`
pub fn set_status(cx: &mut RuleCx<'_, '_>, status: u16, reason: Option<&[u8]>) -> bool {
    let Some(head) = cx.response.as_deref_mut() else { return false };
    head.status = status;
    head.set_reason(reason.unwrap_or_else(|| codes::reason(status).as_bytes()));
    true
}
