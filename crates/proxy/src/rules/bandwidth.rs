//! `set-bandwidth-limit <name> [limit {<expr> | <size>}] [period {<expr> | <time>}]` (manual section 4.4).

use super::action::Action;
use super::cx::RuleCx;
use super::lang::{Expr, Parsing};
use super::number;
use super::table::{Parsed, Sets};
use crate::filter::{Order, bwlim};
use std::sync::{Arc, OnceLock};

/// The action.
#[derive(Debug)]
pub struct LimitBandwidth {
    /// Which filter of the proxy.
    pub name: String,
    spec: OnceLock<Arc<bwlim::Spec>>,
    limit: Option<Amount>,
    period: Option<Amount>,
}

/// Bytes or milliseconds, given or evaluated.
#[derive(Debug)]
enum Amount {
    Fixed(u64),
    Expr(Expr),
}

impl LimitBandwidth {
    /// Its filter was found.
    pub fn resolve(&self, spec: Arc<bwlim::Spec>) {
        // a rule is in one proxy: this is not called twice
        let _ = self.spec.set(spec);
    }

    /// Turns the filter on; what is not a positive number stands for the filter's own.
    pub(super) fn run(&self, cx: &mut RuleCx<'_, '_>) {
        let (Some(filters), Some(spec)) = (cx.filters, self.spec.get()) else { return };
        let amount = |given: &Option<Amount>, own| {
            match given {
                Some(Amount::Fixed(n)) => Some(*n),
                Some(Amount::Expr(e)) => e.integer(&cx.scope()).and_then(|n| u64::try_from(n).ok()),
                None => None,
            }
            .filter(|n| *n > 0)
            .unwrap_or(own)
        };
        let (bytes, period) = (amount(&self.limit, spec.limit), amount(&self.period, spec.period));
        filters.borrow_mut().order(&Order { limit: spec, bytes, period });
    }
}

/// Parses it.
pub(super) fn parse(p: &mut Parsing<'_, '_, '_>, _: Sets) -> Result<Parsed, String> {
    let name = p.want("missing bwlim filter name")?.str().into_owned();
    let (mut limit, mut period) = (None, None);
    loop {
        if p.args.accept("limit") {
            limit = Some(amount(p, "limit", "size", |text| number::size(text).ok())?);
        } else if p.args.accept("period") {
            let millis = |text: &[u8]| u64::try_from(number::time(text).ok()?.as_millis()).ok();
            period = Some(amount(p, "period", "time", millis)?);
        } else {
            break;
        }
    }
    let action = LimitBandwidth { name, spec: OnceLock::new(), limit, period };
    Ok(Parsed { action: Action::LimitBandwidth(Box::new(action)), condition: None })
}

fn amount(
    p: &mut Parsing<'_, '_, '_>,
    option: &str,
    what: &str,
    fixed: fn(&[u8]) -> Option<u64>,
) -> Result<Amount, String> {
    let word = p.args.peek();
    if let Some(n) = word.and_then(|w| fixed(&w.text)) {
        p.args.next();
        return Ok(Amount::Fixed(n));
    }
    let text = word.map(|w| w.str().into_owned()).unwrap_or_default();
    let unknown = format!("'{option}': invalid {what} value or unknown fetch method '{text}'");
    p.expr_here().map(Amount::Expr).map_err(|_| unknown)
}
