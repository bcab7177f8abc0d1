#![allow(missing_docs)]
//! temporary stand-in
use crate::{Expr, Scope, Vocabulary};
#[derive(Clone, Debug)]
pub enum Node { Text(Vec<u8>), Expr(Expr) }
#[derive(Clone, Debug, Default)]
pub struct Format(pub Vec<Node>);
impl Format {
    pub fn parse(text: &[u8], v: &Vocabulary, places: crate::Places) -> Result<Self, String> {
        let mut nodes = Vec::new(); let mut lit = Vec::new(); let mut i = 0;
        while i < text.len() {
            if text[i..].starts_with(b"%%") { lit.push(b'%'); i += 2; continue; }
            if text[i..].starts_with(b"%[") {
                nodes.push(Node::Text(std::mem::take(&mut lit)));
                let rest = &text[i+2..];
                let (e, used) = Expr::parse_prefix(rest, v).map_err(|e| format!("failed to parse sample expression <{}> : {e}", String::from_utf8_lossy(rest)))?;
                if rest.get(used) != Some(&b']') { return Err(format!("missing ']' after '{}'", String::from_utf8_lossy(&rest[..used]))); }
                if !e.fetch().needs.places.intersects(places) { return Err(format!("sample fetch <{}> may not be reliably used here because it needs '{}' which is not available here", e.fetch().name, e.fetch().needs.name)); }
                nodes.push(Node::Expr(e)); i += 2 + used + 1; continue;
            }
            lit.push(text[i]); i += 1;
        }
        nodes.push(Node::Text(lit));
        Ok(Self(nodes))
    }
    pub fn write(&self, scope: &Scope<'_>, out: &mut Vec<u8>) {
        for n in &self.0 { match n { Node::Text(t) => out.extend_from_slice(t), Node::Expr(e) => if let Some(t) = e.eval_text(scope) { out.extend_from_slice(&t) } } }
    }
}
