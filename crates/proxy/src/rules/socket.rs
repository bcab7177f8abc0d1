//! Actions on sockets and on how a stream is queued and retried: `set-fc-tos`, `set-fc-mark`, `set-bc-tos`,
//! `set-bc-mark`, `silent-drop`, `set-priority-class`, `set-priority-offset`, `set-retries` (manual section 4.4).

use super::action::Action;
use super::cx::{Flow, RuleCx};
use super::lang::{Expr, Parsing};
use super::table::{Parsed, Sets};
use portcullis_config::ProxyKind;
use portcullis_transport::Conn;

/// What an action sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    ClientTos,
    ClientMark,
    ServerTos,
    ServerMark,
    Class,
    Offset,
    Retries,
}

/// A number that is given or evaluated.
#[derive(Debug)]
enum Number {
    Fixed(i64),
    Expr(Expr),
}

/// One of these actions, but `silent-drop`.
#[derive(Debug)]
pub struct Setting {
    what: What,
    number: Number,
}

impl Setting {
    /// A sample that gives nothing changes nothing; a system that refuses neither.
    pub(super) fn run(&self, cx: &mut RuleCx<'_, '_>) {
        let number = match &self.number {
            Number::Fixed(n) => Some(*n),
            Number::Expr(e) => e.integer(&cx.scope()),
        };
        let Some(n) = number else { return };
        // as HAProxy does, the lower bits count
        match self.what {
            What::ClientTos => cx.effects.client.set(|c| c.tos = Some(n as u8)),
            What::ClientMark => cx.effects.client.set(|c| c.mark = Some(n as u32)),
            What::ServerTos => cx.facts.side.tos = Some(n as u8),
            What::ServerMark => cx.facts.side.mark = Some(n as u32),
            What::Class => cx.facts.side.class = n.clamp(-2047, 2047) as i32,
            What::Offset => cx.facts.side.offset = n.clamp(-524_287, 524_287) as i32,
            What::Retries => {
                cx.facts.side.retries = u32::try_from(n).ok().filter(|n| *n <= 100);
            }
        }
    }
}

/// What rules want done to the client's connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientSide {
    any: bool,
    tos: Option<u8>,
    mark: Option<u32>,
    /// `silent-drop`, with its `rst-ttl`.
    vanish: Option<Option<u8>>,
}

impl ClientSide {
    fn set(&mut self, how: impl FnOnce(&mut Self)) {
        self.any = true;
        how(self);
    }
    /// Does it. What the system refuses (marks need CAP_NET_ADMIN) is left.
    #[inline]
    pub fn apply(&mut self, client: &Conn) {
        if !self.any {
            return;
        }
        let this = std::mem::take(self);
        if let Some(tos) = this.tos {
            client.set_tos(tos);
        }
        if let Some(mark) = this.mark {
            client.set_mark(mark);
        }
        if let Some(ttl) = this.vanish {
            client.vanish(ttl);
        }
    }
}

#[allow(clippy::unnecessary_wraps)] // parsers end with it
fn done(what: What, number: Number) -> Result<Parsed, String> {
    Ok(Parsed { action: Action::Setting(Box::new(Setting { what, number })), condition: None })
}

/// A number, decimal or hexadecimal, or an expression.
fn number(p: &mut Parsing<'_, '_, '_>, missing: &str) -> Result<Number, String> {
    let word = p.args.peek().filter(|_| !p.at_end()).ok_or_else(|| missing.to_owned())?.str();
    let parsed = match word.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => word.parse().ok(),
    };
    match parsed {
        Some(n) => {
            p.args.next();
            Ok(Number::Fixed(n))
        }
        None => p.expr_here().map(Number::Expr),
    }
}

macro_rules! settings {
    ($($name:ident $what:ident $help:literal;)*) => {
        $(#[doc = $help]
        pub(super) fn $name(p: &mut Parsing<'_, '_, '_>, _: Sets) -> Result<Parsed, String> {
            done(What::$what, number(p, "expects an argument")?)
        })*
    };
}

settings! {
    client_tos ClientTos "`set-fc-tos`, `set-tos`";
    client_mark ClientMark "`set-fc-mark`, `set-mark`";
    server_tos ServerTos "`set-bc-tos`";
    server_mark ServerMark "`set-bc-mark`";
}

/// `set-priority-class <expr>`
pub(super) fn priority_class(p: &mut Parsing<'_, '_, '_>, _: Sets) -> Result<Parsed, String> {
    done(What::Class, Number::Expr(p.expr_here()?))
}

/// `set-priority-offset <expr>`
pub(super) fn priority_offset(p: &mut Parsing<'_, '_, '_>, _: Sets) -> Result<Parsed, String> {
    done(What::Offset, Number::Expr(p.expr_here()?))
}

/// `set-retries { <int> | <expr> }`
pub(super) fn retries(p: &mut Parsing<'_, '_, '_>, _: Sets) -> Result<Parsed, String> {
    if p.cx.proxy().kind == ProxyKind::Defaults {
        return Err("'set-retries' is not allowed in 'defaults' sections".into());
    }
    if p.cx.proxy().kind == ProxyKind::Frontend {
        return Err("'set-retries' only available in backend or listen section".into());
    }
    match number(p, "expects exactly 1 argument (an expression or an integer between 1 and 100)")? {
        Number::Fixed(n) if !(0..=100).contains(&n) => {
            Err("expects an expression or an integer between 1 and 100".into())
        }
        number => done(What::Retries, number),
    }
}

/// `silent-drop [ rst-ttl <ttl> ]`
pub(super) fn silent_drop(p: &mut Parsing<'_, '_, '_>, _: Sets) -> Result<Parsed, String> {
    let mut ttl = None;
    if p.args.accept("rst-ttl") {
        // 3.5 ends these messages with a newline of their own
        let word = p.args.next().ok_or("missing rst-ttl value\n")?.str();
        let digits = word.bytes().take_while(u8::is_ascii_digit).count();
        if digits < word.len() {
            let rest = word.get(digits..).unwrap_or("");
            return Err(format!("invalid character starting at '{rest}' (value 1-255 expected)\n"));
        }
        let value = word.parse::<u8>().ok().filter(|n| *n > 0);
        ttl = Some(value.ok_or("valid rst-ttl values are [1-255]\n")?);
    }
    Ok(Parsed { action: Action::SilentDrop(ttl), condition: None })
}

/// The client's connection vanishes, without a packet if the system lets us.
pub(super) fn drop_silently(ttl: Option<u8>, cx: &mut RuleCx<'_, '_>) -> Flow {
    cx.effects.client.set(|c| c.vanish = Some(ttl));
    Flow::Reject
}
