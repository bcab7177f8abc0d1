//! `acl`

use super::anonymous;
use crate::rules::lang::{At, Parsing};
use portcullis_config::{Cx, Line};

/// `acl`
pub fn acl(cx: &mut Cx<'_>, line: &Line) {
    if anonymous(cx) {
        cx.alert(line.word(0), "'acl' not allowed in anonymous 'defaults' section.");
        return;
    }
    let Some(name) = line.word(1) else {
        cx.alert(None, "'acl' expects a name.");
        return;
    };
    let text = name.str().into_owned();
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '_' | '-');
    if let Some(bad) = text.chars().find(|c| !allowed(c)) {
        cx.alert(Some(name), format!("character '{bad}' is not permitted in acl name '{text}'."));
        return;
    }
    if text.eq_ignore_ascii_case("or") {
        let message = format!(
            "acl name '{text}' will never match. 'or' is used to express a logical disjunction within a condition."
        );
        cx.alert(Some(name), message);
        return;
    }
    let mut p = Parsing::new(cx, line.args(2), At::HttpRequest);
    if let Err(why) = p.acl(&text) {
        cx.alert(line.word(2), format!("error detected while parsing ACL '{text}' : {why}."));
    }
}
