//! Error pages of a proxy, and the `http-errors` sections that they may come from (manual section 12.4).

use super::codes;
use super::page::Page;
use super::spec::Spec;
use portcullis_config::{Cx, Diagnostics, Model, Place, Proxy, Severity};
use std::sync::{Arc, LazyLock, OnceLock};

/// How many statuses have a page.
pub const COUNT: usize = codes::PAGES.len();

static BUILT_IN: LazyLock<Vec<Page>> = LazyLock::new(|| (0..COUNT).map(Page::built_in).collect());

/// The page that the proxy has by itself. `index` is that of [`codes::index`].
#[must_use]
pub fn built_in(index: usize) -> &'static Page {
    &BUILT_IN[index.min(COUNT - 1)]
}

/// Where an error page comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A whole response.
    Page(Arc<Page>),
    /// `http-error` with something to evaluate.
    Spec(Arc<Spec>),
}

/// What one directive says about one or all statuses.
#[derive(Clone, Debug)]
pub enum Say {
    /// Nothing any more: `default-errorfiles`.
    Reset,
    /// This.
    Source(Source),
    /// What the section has.
    Section(Arc<SectionRef>),
}

/// Error pages of one proxy: kept in its `ext`, inherited from `defaults`.
#[derive(Clone, Debug, Default)]
pub struct ErrorPages {
    /// In source order; `None`: every status that the section has.
    directives: Vec<(Option<usize>, Say)>,
    /// By index of the status, once everything has been read.
    table: Vec<Option<Source>>,
}

impl ErrorPages {
    /// One more directive about the status at this index, or about all.
    pub fn say(&mut self, index: Option<usize>, what: Say) {
        self.directives.push((index, what));
    }

    /// What stands for the status at this index.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Source> {
        self.table.get(index)?.as_ref()
    }

    /// The page for what was not even a request: nothing can be evaluated for it.
    #[must_use]
    pub fn early(&self, status: u16) -> &Page {
        let index = codes::index(status).unwrap_or(1);
        match self.get(index) {
            Some(Source::Page(page)) => page,
            _ => built_in(index),
        }
    }

    /// Fills the table; sections are known now.
    fn resolve(&mut self) {
        let mut table = vec![None; COUNT];
        for (index, what) in &self.directives {
            let statuses = index.map_or(0..COUNT, |i| i..i + 1);
            for (slot, page) in table[statuses.clone()].iter_mut().zip(&codes::PAGES[statuses]) {
                match what {
                    Say::Reset => *slot = None,
                    Say::Source(source) => *slot = Some(source.clone()),
                    Say::Section(section) => {
                        if let Some(found) = section.page(page.status) {
                            *slot = Some(Source::Page(found.clone()));
                        }
                    }
                }
            }
        }
        self.table = table;
    }
}

/// An `http-errors` section.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// Its pages by index of the status.
    pub pages: Vec<Option<Arc<Page>>>,
}

/// A section that is referred to by name and may stand further down.
#[derive(Debug)]
pub struct SectionRef {
    name: String,
    proxy: String,
    place: Place,
    /// Said in a rule, not in the proxy itself: the message differs.
    rule: bool,
    found: OnceLock<Arc<Section>>,
}

impl SectionRef {
    /// The section's page for this status.
    #[must_use]
    pub fn page(&self, status: u16) -> Option<&Arc<Page>> {
        self.found.get()?.pages.get(codes::index(status)?)?.as_ref()
    }
}

/// All sections, and who refers to them; kept with the model.
#[derive(Clone, Debug, Default)]
pub struct Sections {
    /// In source order.
    pub list: Vec<Section>,
    refs: Vec<Arc<SectionRef>>,
}

/// Notes that the open proxy refers to a section.
pub fn refer(cx: &mut Cx<'_>, name: &str, rule: bool) -> Arc<SectionRef> {
    // an `http-error` line is no rule
    let rule = rule && !cx.line.word(0).is_some_and(|w| w.is("http-error"));
    let made = Arc::new(SectionRef {
        name: name.to_owned(),
        proxy: cx.proxy().name.clone(),
        place: cx.line.place(),
        rule,
        found: OnceLock::new(),
    });
    cx.model.ext.entry::<Sections>().refs.push(made.clone());
    made
}

/// Finds the sections that are referred to and fills every proxy's table.
pub fn check(model: &mut Model, diags: &mut Diagnostics) {
    let sections = std::mem::take(model.ext.entry::<Sections>());
    let shared: Vec<Arc<Section>> = sections.list.iter().cloned().map(Arc::new).collect();
    for wanted in &sections.refs {
        if let Some(found) = shared.iter().find(|s| s.name == wanted.name) {
            let _ = wanted.found.set(found.clone());
            continue;
        }
        let message = if wanted.rule {
            format!(
                "Proxy '{}': unknown http-errors section '{}' referenced by an http reply .",
                wanted.proxy, wanted.name
            )
        } else {
            let file = diags.files.get(wanted.place.file.0 as usize).cloned().unwrap_or_default();
            format!(
                "proxy '{}': unknown http-errors section '{}' (at {file}:{}).",
                wanted.proxy, wanted.name, wanted.place.line
            )
        };
        diags.late(Severity::Alert, Some(wanted.place), message);
    }
    let all = model.proxies.iter_mut().chain(&mut model.defaults);
    all.for_each(|proxy: &mut Proxy| proxy.ext.entry::<ErrorPages>().resolve());
}
