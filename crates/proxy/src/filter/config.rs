//! `filter` and `filter-sequence` (manual sections 4.2 and 9), one row a filter.

use super::{Filter, bwlim, trace};
use crate::rules::action::Action;
use crate::rules::parse::kind;
use crate::rules::{RuleSets, number};
use portcullis_config::{
    Args, Cx, Diagnostics, Does, Keyword, Line, Model, ProxyKind, Sections, Severity, Word,
};
use portcullis_sample::Direction;
use std::sync::Arc;

/// Parses the words behind a filter's name; the errors are HAProxy's without what stands in front of them.
type Parse = fn(&str, &mut Args<'_>, &str) -> Result<Spec, String>;

/// A kind of filter.
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// What `-dKflt` shows behind it.
    pub group: &'static str,
    /// Its arguments as the manual writes them.
    pub args: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// What parses it, or the capability that it waits for.
    works: Result<Parse, &'static str>,
}

impl Row {
    /// Does it work, or which capability does it wait for?
    ///
    /// # Errors
    /// The capability.
    pub fn works(&self) -> Result<(), &'static str> {
        self.works.map(|_| ())
    }
}

const LIMIT: &str = "<name> default-limit <size> default-period <time> [min-size <sz>]";

/// The kinds of filters.
pub const FILTERS: &[Row] = &[
    row("bwlim-in", "BWLIM", LIMIT, "Limits how fast a stream sends.", Ok(limit)),
    row("bwlim-out", "BWLIM", LIMIT, "Limits how fast a stream receives.", Ok(limit)),
    row("cache", "CACHE", "<name>", "Keeps responses.", Err("caches")),
    row("comp-req", "COMP", "", "Compresses requests.", Err("compression")),
    row("comp-res", "COMP", "", "Compresses responses.", Err("compression")),
    row("compression", "COMP", "", "Compresses.", Err("compression")),
    row("fcgi-app", "FCGI", "<name>", "Speaks FastCGI with servers.", Err("FastCGI")),
    row("spoe", "SPOE", "[engine <name>] config <file>", "Asks agents.", Err("SPOE")),
    row(
        "trace",
        "TRACE",
        "[name <name>] [random-forwarding] [max-fwd <max>] [hexdump] [quiet]",
        "Tells what a stream does.",
        Ok(tracer),
    ),
];

const fn row(
    name: &'static str,
    group: &'static str,
    args: &'static str,
    help: &'static str,
    works: Result<Parse, &'static str>,
) -> Row {
    Row { name, group, args, help, works }
}

/// The keywords.
pub const KEYWORDS: [Keyword; 2] = [
    Keyword {
        name: "filter",
        sections: Sections::PROXY,
        args: "<name> [param*]",
        help: "Adds a filter to the proxy.",
        negatable: false,
        does: Does::Works(filter),
    },
    Keyword {
        name: "filter-sequence",
        sections: Sections::PROXY,
        args: "{ request | response } <filter_list>",
        help: "Says in which order filters are run.",
        negatable: false,
        does: Does::Works(sequence),
    },
];

/// A filter as declared.
#[derive(Clone, Debug)]
enum Spec {
    Trace(Arc<trace::Spec>),
    Limit(Arc<bwlim::Spec>),
}

/// The filters of a proxy.
#[derive(Clone, Debug, Default)]
pub struct FilterSet {
    declared: Vec<(&'static str, Spec)>,
    sequence: [Option<Vec<String>>; 2],
    /// Positions among the declared ones, in the order of requests and in that of responses.
    pub order: [Vec<usize>; 2],
}

impl FilterSet {
    /// One of each, for a stream, in the order of declaration.
    pub fn instances(&self) -> impl Iterator<Item = Box<dyn Filter>> {
        self.declared.iter().map(|(_, spec)| match spec {
            Spec::Trace(spec) => Box::new(trace::Tracer::new(spec.clone())) as Box<dyn Filter>,
            Spec::Limit(spec) => Box::new(bwlim::Limiter::new(spec.clone())),
        })
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.declared.is_empty()
    }

    /// Those that have something to say when a process begins say it. `wall`: since the Unix epoch.
    pub fn announce(&self, wall: std::time::Duration) {
        for (_, spec) in &self.declared {
            if let Spec::Trace(spec) = spec {
                spec.announce(wall);
            }
        }
    }

    fn limit(&self, name: &str) -> Option<&Arc<bwlim::Spec>> {
        self.declared.iter().find_map(|(_, spec)| match spec {
            Spec::Limit(limit) if limit.name == name => Some(limit),
            _ => None,
        })
    }

    /// Puts them in order. A name that comes again stands for the next filter of this name, if there is one.
    ///
    /// # Errors
    /// A name in a sequence that no filter has.
    fn arrange(&mut self) -> Result<(), (usize, String)> {
        for way in 0..2 {
            let Some(names) = &self.sequence[way] else {
                self.order[way] = (0..self.declared.len()).collect();
                continue;
            };
            let mut order: Vec<usize> = Vec::new();
            for name in names {
                let mut all = self.declared.iter().enumerate().filter(|(_, d)| d.0 == name).map(|(i, _)| i);
                let first = all.clone().next().ok_or_else(|| (way, name.clone()))?;
                let next = all.find(|i| !order.contains(i)).unwrap_or(first);
                if !order.contains(&next) {
                    order.push(next);
                }
            }
            self.order[way] = order;
        }
        Ok(())
    }
}

/// `filter <name> [param*]`
fn filter(cx: &mut Cx<'_>, line: &Line) {
    if cx.proxy().kind == ProxyKind::Defaults {
        cx.alert(line.word(0), "filter is not allowed in a 'default' section.");
        return;
    }
    let Some(word) = line.word(1) else {
        let proxy = cx.proxy();
        let message = format!("missing argument for 'filter' in {} '{}'.", kind(proxy), proxy.name);
        cx.alert(line.word(0), message);
        return;
    };
    let Some(row) = FILTERS.iter().find(|r| word.is(r.name)) else {
        let names: String = FILTERS
            .iter()
            .filter(|r| r.works.is_ok())
            .map(|r| format!("\n    [{}] {}", r.group, r.name))
            .collect();
        cx.alert(
            Some(word),
            format!("'filter' : unknown keyword '{}'. Registered keywords :{names}", word.str()),
        );
        return;
    };
    let mut args = line.args(2);
    let owner = cx.proxy().name.clone();
    let parsed = match row.works {
        Ok(parse) => parse(row.name, &mut args, &owner),
        Err(what) => Err(format!("is not supported yet ({what}).")),
    };
    let set = cx.ext::<FilterSet>();
    match parsed {
        Ok(Spec::Limit(limit)) if set.limit(&limit.name).is_some() => {
            let message =
                format!("'filter' : bwlim filter '{}' already declared for proxy '{owner}'", limit.name);
            cx.alert(line.word(2), message);
        }
        Ok(spec) => set.declared.push((row.name, spec)),
        Err(why) if row.works.is_err() => {
            cx.alert(Some(word), format!("'filter {}' {why}", row.name));
        }
        Err(why) if why.starts_with("unknown keyword") => {
            cx.alert(line.word(args.at - 1), format!("'filter {}' : {why}", row.name));
        }
        Err(why) => {
            cx.alert(line.word(args.at - 1), format!("'filter' : '{}' : {why}", row.name));
        }
    }
}

/// `filter-sequence { request | response } <filter_list>`
fn sequence(cx: &mut Cx<'_>, line: &Line) {
    if cx.proxy().kind == ProxyKind::Defaults {
        cx.alert(line.word(0), "filter-sequence is not allowed in a 'default' section.");
        return;
    }
    let way = match line.word(1) {
        Some(w) if w.is("request") => Ok(0),
        Some(w) if w.is("response") => Ok(1),
        Some(_) => Err("expected either 'request' or 'response'"),
        None => Err("missing argument"),
    };
    let list = line.word(2).ok_or("missing filter list");
    match way.and_then(|way| Ok((way, list?))) {
        Ok((way, list)) => {
            let names = list.str().split(',').map(|n| n.trim().to_owned()).collect();
            cx.ext::<FilterSet>().sequence[way] = Some(names);
        }
        Err(why) => {
            let proxy = cx.proxy();
            let message = format!("{why} for 'filter-sequence' in {} '{}'.", kind(proxy), proxy.name);
            cx.alert(line.word(0), message);
        }
    }
}

/// `trace [name <name>] [random-forwarding] [max-fwd <max>] [hexdump] [quiet]`
fn tracer(_: &str, args: &mut Args<'_>, owner: &str) -> Result<Spec, String> {
    let mut spec = trace::Spec::default();
    let mut name = "TRACE".to_owned();
    while let Some(word) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("'{}' option without value", word.str()));
        match &*word.str() {
            "name" => name = value()?.str().into_owned(),
            "quiet" => spec.quiet = true,
            // there is nothing to be parsed in pieces here either
            "random-forwarding" | "random-parsing" => spec.random |= word.is("random-forwarding"),
            "hexdump" => spec.hexdump = true,
            "max-fwd" => {
                let most =
                    usize::try_from(number::leading(&value()?.text)).ok().filter(|n| *n <= 0xffff_ffff);
                spec.most = most.ok_or("'max-fwd' expect unsigned integer (0 to 4294967295 expected)")?;
            }
            other => return Err(format!("unknown keyword '{other}'.")),
        }
    }
    spec.name = format!("{name}/{owner}");
    Ok(Spec::Trace(Arc::new(spec)))
}

/// `bwlim-in <name> default-limit <size> default-period <time> [min-size <sz>]`, and `bwlim-out`
fn limit(keyword: &str, args: &mut Args<'_>, _: &str) -> Result<Spec, String> {
    let name = args.next().ok_or("a name is expected as first argument ")?.str().into_owned();
    let (mut limit, mut period, mut least, mut shared) = (0, 0, 0, None);
    while let Some(word) = args.next() {
        let option = word.str();
        let mut value = || args.next().ok_or_else(|| format!("the value is missing for '{option}' option"));
        let odd = |bad: Option<char>| {
            let bad = bad.unwrap_or('\0');
            format!("invalid value for option '{option}' (unexpected character '{bad}')")
        };
        let size = |word: &Word| number::size(&word.text).map_err(odd);
        match &*option {
            "default-limit" => limit = size(value()?)?,
            "default-period" => {
                let time = number::time(&value()?.text).map_err(odd)?;
                period = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            }
            "min-size" => least = size(value()?)?,
            "limit" | "key" | "table" => {
                value()?;
                shared = Some(option.into_owned());
            }
            other => return Err(format!("unknown keyword '{other}'.")),
        }
    }
    if let Some(option) = shared {
        if limit > 0 || period > 0 {
            return Err("cannot mix per-stream and shared parameter".into());
        }
        return Err(format!("'{option}' is not supported yet (stick tables)."));
    }
    if period == 0 {
        return Err("<default-period> option is missing".into());
    }
    if limit == 0 {
        return Err("<default-limit> option is missing".into());
    }
    let direction = if keyword == "bwlim-in" { Direction::Request } else { Direction::Response };
    Ok(Spec::Limit(Arc::new(bwlim::Spec { name, direction, limit, period, least })))
}

/// What only the whole configuration can tell: sequences of filters, and the filters that rules name.
pub fn check(model: &mut Model, diags: &mut Diagnostics) {
    let complain = |diags: &mut Diagnostics, place, message: String| {
        diags.late(Severity::Alert, Some(place), message);
    };
    for proxy in model.defaults.iter_mut().chain(&mut model.proxies) {
        let place = proxy.place;
        if proxy.ext.get::<FilterSet>().is_some()
            && let Err((way, name)) = proxy.ext.entry::<FilterSet>().arrange()
        {
            let way = ["request", "response"][way];
            let message = format!(
                "{}: error while postparsing {way} filter-sequence '{name}' : invalid filter name: '{name}' is not defined on the proxy",
                proxy.name
            );
            complain(diags, place, message);
        }
        let filters = proxy.ext.get::<FilterSet>();
        let Some(rules) = proxy.ext.get::<RuleSets>() else { continue };
        let sets = [&rules.tcp_request, &rules.tcp_response, &rules.http_request, &rules.http_response];
        for rule in sets.into_iter().flat_map(|set| &set.list) {
            let Action::LimitBandwidth(limit) = &rule.action else { continue };
            match filters.and_then(|f| f.limit(&limit.name)) {
                Some(spec) => limit.resolve(spec.clone()),
                None => {
                    let message = format!(
                        "Proxy '{}': unable to find bwlim filter '{}' referenced by set-bandwidth-limit rule.",
                        proxy.name, limit.name
                    );
                    complain(diags, rule.place, message);
                }
            }
        }
    }
}
