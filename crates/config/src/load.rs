//! Files into a model: lines, conditional blocks, sections, keywords. Never stops at the first error.

use crate::condition;
use crate::cx::Cx;
use crate::diag::{Diagnostics, FileId, Place, Severity};
use crate::env::Env;
use crate::files::Files;
use crate::lexer;
use crate::model::{Model, Open, Proxy, ProxyKind};
use crate::row::{Does, Keyword, Registry, Sections};
use crate::sections::{self, Naming, SectionRow};
use crate::word::{Line, Span, Word};
use crate::{known, rows, suggest};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// One file's text.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Its name, for messages.
    pub name: String,
    /// Its bytes.
    pub text: Vec<u8>,
}

/// What was loaded. The model may only be used if `diags` has no alert.
#[derive(Debug, Default)]
pub struct Loaded {
    /// What was understood.
    pub model: Model,
    /// Every message.
    pub diags: Diagnostics,
    /// Names of the files that have errors, in order.
    pub bad_files: Vec<String>,
    /// The lines that counted, as [`Manner::dump`] asked for them.
    pub dump: String,
}

/// How to load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// Looks at `global` only: what a master has to know. Messages about other sections are not complete then.
    pub global_only: bool,
    /// Keeps the lines that count in [`Loaded::dump`], split and put together again (`-dC`); true: with their numbers.
    pub dump: Option<bool>,
}

/// Reads the files and directories that `-f` names; of a directory its `*.cfg` files by name.
///
/// # Errors
/// HAProxy's message about the one that cannot be read.
pub fn gather(paths: &[PathBuf], files: &dyn Files) -> Result<Vec<SourceFile>, String> {
    let cannot = |p: &Path, e: std::io::Error| {
        let text = e.to_string();
        let text = text.split(" (os error").next().unwrap_or_default().to_string();
        format!("config : Cannot open configuration file/directory {} : {text}", p.display())
    };
    let mut all = Vec::new();
    for path in paths {
        if files.is_dir(path) {
            for file in files.list(path).map_err(|e| cannot(path, e))? {
                let hidden = file.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
                if !hidden && file.extension().is_some_and(|e| e == "cfg") {
                    let text = files.read(&file).map_err(|e| cannot(&file, e))?;
                    all.push(SourceFile { name: file.display().to_string(), text });
                }
            }
        } else {
            let text = files.read(path).map_err(|e| cannot(path, e))?;
            all.push(SourceFile { name: path.display().to_string(), text });
        }
    }
    Ok(all)
}

/// Loads a configuration.
#[must_use]
pub fn load(sources: &[SourceFile], registry: &Registry, files: &dyn Files, env: &mut Env) -> Loaded {
    load_as(Manner::default(), sources, registry, files, env)
}

/// Loads a configuration in this manner.
#[must_use]
pub fn load_as(
    manner: Manner,
    sources: &[SourceFile],
    registry: &Registry,
    files: &dyn Files,
    env: &mut Env,
) -> Loaded {
    let mut loaded = Loaded::default();
    loaded.model.defaults.push(Proxy::default());
    let index = Index::new(registry);
    for source in sources {
        let before = loaded.diags.count(Severity::Alert);
        let file = FileId(loaded.diags.files.len() as u32);
        loaded.diags.files.push(source.name.clone());
        env.file.clone_from(&source.name);
        let mut loader = Loader {
            model: &mut loaded.model,
            diags: &mut loaded.diags,
            manner,
            dump: &mut loaded.dump,
            registry,
            index: &index,
            files,
            env,
            file,
            section: None,
            skipping: false,
            blocks: Vec::new(),
        };
        loader.file(&source.text);
        if loaded.diags.count(Severity::Alert) > before {
            loaded.bad_files.push(source.name.clone());
        }
    }
    for check in registry.rooms.iter().filter(|_| !manner.global_only).filter_map(|r| r.check) {
        check(&mut loaded.model, &mut loaded.diags);
    }
    loaded
}

/// A line put together again from its words; what would be split or replaced is quoted.
fn dumped(line: &Line, section: bool, numbered: bool) -> String {
    let mut out = if numbered { format!("{}\t", line.number) } else { String::new() };
    if !section {
        out.push('\t');
    }
    for word in &line.words {
        let text = word.str();
        match text.is_empty() || text.contains([' ', '\t', '"', '\'', '#', '\\', '$', '{']) {
            true => out.push_str(&format!("'{}' ", text.replace('\'', "'\\''"))),
            false => out.push_str(&format!("{text} ")),
        }
    }
    out.push('\n');
    out
}

/// Keywords by their first word, those of more words first.
struct Index(HashMap<&'static str, Vec<&'static Keyword>>);

impl Index {
    fn new(registry: &Registry) -> Self {
        let mut all: HashMap<&'static str, Vec<&'static Keyword>> = HashMap::new();
        for k in registry.keywords() {
            all.entry(k.name.split(' ').next().unwrap_or(k.name)).or_default().push(k);
        }
        for list in all.values_mut() {
            list.sort_by_key(|k| std::cmp::Reverse(k.name.split(' ').count()));
        }
        Self(all)
    }
    /// The longest keyword that the line begins with: in this section, or else anywhere.
    fn find(&self, words: &[Word], section: Sections) -> Option<(&'static Keyword, bool)> {
        let first = std::str::from_utf8(&words.first()?.text).ok()?;
        let list = self.0.get(first)?;
        let fits = |k: &&&Keyword| {
            k.name.split(' ').enumerate().all(|(i, part)| words.get(i).is_some_and(|w| w.is(part)))
        };
        let here = list.iter().filter(|k| k.sections.intersects(section)).find(fits);
        match here {
            Some(k) => Some((k, true)),
            None => list.iter().find(fits).map(|k| (*k, false)),
        }
    }
}

/// One level of `.if`.
struct Block {
    begun: u32,
    active: bool,
    /// Some branch of it was taken already.
    taken: bool,
    has_else: bool,
    /// The blocks around it are all active.
    outer: bool,
}

struct Loader<'a> {
    model: &'a mut Model,
    diags: &'a mut Diagnostics,
    manner: Manner,
    dump: &'a mut String,
    registry: &'a Registry,
    index: &'a Index,
    files: &'a dyn Files,
    env: &'a mut Env,
    file: FileId,
    section: Option<&'static SectionRow>,
    /// The section is refused or nameless: its lines are not looked at.
    skipping: bool,
    blocks: Vec<Block>,
}

impl Loader<'_> {
    fn place(&self, line: u32) -> Option<Place> {
        Some(Place { file: self.file, line })
    }

    fn file(&mut self, text: &[u8]) {
        let complete = text.is_empty() || text.ends_with(b"\n");
        let mut count = 0;
        let mut last = 0;
        let body = text.strip_suffix(b"\n").unwrap_or(text);
        for raw in body.split(|b| *b == b'\n') {
            count += 1;
            last = raw.len();
            self.env.line = count;
            if !text.is_empty() {
                self.line(raw, count);
            }
        }
        if !complete {
            let text =
                format!("Missing LF on last line, file might have been truncated at position {}.", last + 1);
            self.diags.add(Severity::Alert, self.place(count + 1), text);
        }
        for b in std::mem::take(&mut self.blocks) {
            let place = self.place(count + 1);
            self.diags
                .add(Severity::Alert, place, "non-terminated '.if' block.")
                .hint(format!("it begins at line {}", b.begun));
        }
    }

    fn line(&mut self, raw: &[u8], number: u32) {
        let words = match lexer::split(raw, self.env) {
            Ok(words) => words,
            Err(_) if !self.active() => return,
            Err(e) => {
                let line = Line { file: self.file, number, raw: raw.to_vec(), words: Vec::new() };
                let text = format!("{} at position {}:", e.message, e.at + 1);
                let span = Span { start: e.at as u32, end: e.at as u32 + 1 };
                self.diags.add(Severity::Alert, self.place(number), text).mark(&line, span);
                return;
            }
        };
        let Some(first) = words.first() else { return };
        if first.text.starts_with(b".") {
            let line = Line { file: self.file, number, raw: raw.to_vec(), words };
            self.directive(&line);
            return;
        }
        if !self.active() {
            return;
        }
        let line = Line { file: self.file, number, raw: raw.to_vec(), words };
        let section = line.words.first().and_then(|w| sections::find(&w.text));
        if let Some(numbered) = self.manner.dump {
            self.dump.push_str(&dumped(&line, section.is_some(), numbered));
        }
        match section {
            Some(section) if self.manner.global_only && section.section != Sections::GLOBAL => {
                self.section = Some(section);
                self.skipping = true;
                self.model.past_global = true;
            }
            Some(section) => self.begin(section, &line),
            None => self.statement(line),
        }
    }

    fn active(&self) -> bool {
        self.blocks.last().is_none_or(|b| b.active)
    }

    fn alert(
        &mut self,
        line: &Line,
        word: usize,
        message: impl Into<String>,
    ) -> &mut crate::diag::Diagnostic {
        let place = Some(line.place());
        let d = self.diags.add(Severity::Alert, place, message);
        match line.words.get(word) {
            Some(w) => d.mark(line, w.span),
            None => d,
        }
    }

    /// `.if` and its kin, `.notice` and its kin.
    fn directive(&mut self, line: &Line) {
        let name = line.words[0].str().into_owned();
        match name.as_str() {
            ".if" => {
                let outer = self.active();
                let value = outer && self.condition(line);
                let block = Block { begun: line.number, active: value, taken: value, has_else: false, outer };
                self.blocks.push(block);
            }
            ".elif" => match self.blocks.last() {
                None => {
                    self.alert(line, 0, "lone '.elif' with no matching '.if'.");
                }
                Some(b) if b.has_else => {
                    self.alert(line, 0, "'.elif' after '.else' is not permitted.");
                }
                Some(b) => {
                    let value = b.outer && !b.taken && self.condition(line);
                    if let Some(b) = self.blocks.last_mut() {
                        b.active = value;
                        b.taken |= value;
                    }
                }
            },
            ".else" => match self.blocks.last_mut() {
                None => {
                    self.alert(line, 0, "lone '.else' with no matching '.if'.");
                }
                Some(b) if b.has_else => {
                    self.alert(line, 0, "'.else' after '.else' is not permitted.");
                }
                Some(b) => {
                    b.has_else = true;
                    b.active = b.outer && !b.taken;
                    b.taken = true;
                }
            },
            ".endif" => {
                if self.blocks.pop().is_none() {
                    self.alert(line, 0, "lone '.endif' with no matching '.if'.");
                }
            }
            _ if !self.active() => {}
            ".diag" | ".notice" | ".warning" | ".alert" => {
                let severity = match name.as_str() {
                    ".diag" => Severity::Diag,
                    ".notice" => Severity::Notice,
                    ".warning" => Severity::Warning,
                    _ => Severity::Alert,
                };
                match line.words.as_slice() {
                    [_, text] => {
                        let text = format!("'{}'.", text.str());
                        self.diags.add(severity, Some(line.place()), text);
                    }
                    _ => {
                        let text = format!("'{name}' expects exactly one string argument.");
                        self.alert(line, 2, text);
                    }
                }
            }
            _ => {
                let text = format!("unknown directive '{name}'.");
                self.alert(line, 0, text);
            }
        }
    }

    fn condition(&mut self, line: &Line) -> bool {
        let text: Vec<_> = line.words[1..].iter().map(Word::str).collect();
        match condition::evaluate(&text.join(" "), self.env) {
            Ok(value) => value,
            Err(e) => {
                let directive = line.words[0].str().into_owned();
                let text = format!(
                    "{} in conditional expression in '{directive}' at position {}:",
                    e.message,
                    e.at + 1
                );
                self.alert(line, 1, text);
                false
            }
        }
    }

    /// A section begins.
    fn begin(&mut self, section: &'static SectionRow, line: &Line) {
        self.section = Some(section);
        self.skipping = false;
        self.model.past_global |= section.section != Sections::GLOBAL;
        let name = line.words.get(1).filter(|w| !w.is("from") || section.naming == Naming::Required);
        self.env.section = name.map_or(section.name.to_string(), |w| w.str().into_owned());
        match section.section {
            Sections::GLOBAL => {
                if line.words.len() > 1 {
                    self.alert(line, 1, "'global' section takes no argument.");
                }
            }
            Sections::DEFAULTS | Sections::FRONTEND | Sections::LISTEN | Sections::BACKEND => {
                self.proxy(section, line)
            }
            other => self.other(section, other, line),
        }
    }

    /// Sections of higher rooms: the keyword row of the same name begins them; without one they are refused.
    fn other(&mut self, section: &'static SectionRow, bit: Sections, line: &Line) {
        if !self.registry.keywords().any(|k| k.sections.intersects(bit) && matches!(k.does, Does::Works(_))) {
            self.skipping = true;
            let text = format!("section '{}' is not supported yet.", section.name);
            self.alert(line, 0, text);
            return;
        }
        if section.naming == Naming::Required && line.words.len() < 2 {
            self.skipping = true;
            let text = format!("'{}' expects a name.", section.name);
            self.alert(line, 0, text);
            return;
        }
        // a row with the section's own name sees its first line
        if let Some((k, true)) = self.index.find(&line.words, bit)
            && k.name == section.name
        {
            self.call(k, line.clone(), false, false);
        }
    }

    /// `defaults`, `frontend`, `listen`, `backend`.
    fn proxy(&mut self, section: &'static SectionRow, line: &Line) {
        let kind = match section.section {
            Sections::DEFAULTS => ProxyKind::Defaults,
            Sections::FRONTEND => ProxyKind::Frontend,
            Sections::LISTEN => ProxyKind::Listen,
            _ => ProxyKind::Backend,
        };
        let mut words = line.words[1..].iter();
        let mut next = words.next();
        let name = match next {
            Some(w) if kind != ProxyKind::Defaults || !w.is("from") => {
                next = words.next();
                w.str().into_owned()
            }
            None if kind != ProxyKind::Defaults => {
                self.skipping = true;
                let text = format!("'{}' expects an <id> argument", section.name);
                self.alert(line, 0, text);
                return;
            }
            _ => String::new(),
        };
        if let Some(bad) =
            name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '_' | '-')))
        {
            let text = format!("character '{bad}' is not permitted in '{}' name '{name}'.", section.name);
            self.alert(line, 1, text);
        }
        let from = self.from(section, line, next, words.next());
        if let Some(extra) = words.next() {
            let text = format!("cannot handle unexpected argument '{}'.", extra.str());
            self.alert(line, 4, text);
        }
        let base = match (kind, from) {
            // a defaults section starts anew unless it says `from`
            (ProxyKind::Defaults, None) => Proxy::default(),
            (_, Some(i)) => self.model.defaults[i].clone(),
            (_, None) => self.model.defaults.last().cloned().unwrap_or_default(),
        };
        let from =
            from.unwrap_or(if kind == ProxyKind::Defaults { 0 } else { self.model.defaults.len() - 1 });
        let proxy = Proxy { kind, name, place: line.place(), from, ..base };
        if kind == ProxyKind::Defaults {
            self.model.defaults.push(proxy);
            self.model.open = Open::Defaults;
        } else {
            self.model.proxies.push(proxy);
            self.model.open = Open::Proxy;
        }
    }

    /// `from NAME`: which defaults section.
    fn from(
        &mut self,
        section: &SectionRow,
        line: &Line,
        keyword: Option<&Word>,
        name: Option<&Word>,
    ) -> Option<usize> {
        let keyword = keyword?;
        let at = line.words.iter().position(|w| std::ptr::eq(w, keyword)).unwrap_or(1);
        if !keyword.is("from") {
            let text = format!(
                "'{}' cannot handle unexpected argument '{}'; only 'from' may follow the name.",
                section.name,
                keyword.str()
            );
            self.alert(line, at, text);
            return None;
        }
        let Some(name) = name else {
            let text = format!("'{}' expects a name behind 'from'.", section.name);
            self.alert(line, at, text);
            return None;
        };
        let name = name.str();
        let mut found =
            self.model.defaults.iter().enumerate().filter(|(_, d)| !d.name.is_empty() && d.name == name);
        let first = found.next().map(|(i, _)| i);
        let again = found.next().is_some();
        drop(found);
        if first.is_none() {
            let text = format!("unknown defaults section '{name}'.");
            let near = suggest::nearest(&name, self.model.defaults.iter().map(|d| d.name.as_str()))
                .map(str::to_owned);
            let d = self.alert(line, at + 1, text);
            if let Some(near) = near {
                d.hint(format!("did you mean '{near}'?"));
            }
        } else if again {
            let text = format!("ambiguous defaults section name '{name}': it is declared more than once.");
            self.alert(line, at + 1, text);
        }
        first
    }

    /// A line inside a section.
    fn statement(&mut self, mut line: Line) {
        if self.skipping {
            return;
        }
        let Some(section) = self.section else {
            let text = format!("unknown keyword '{}' out of section.", line.words[0].str());
            self.alert(&line, 0, text);
            return;
        };
        let negated = line.words[0].is("no");
        let defaulted = line.words[0].is("default");
        if (negated || defaulted) && line.words.len() > 1 {
            line.words.remove(0);
        }
        match self.index.find(&line.words, section.section) {
            Some((k, true)) => self.call(k, line, negated, defaulted),
            found => self.unknown(section, &line, found.map(|(k, _)| k)),
        }
    }

    fn call(&mut self, k: &'static Keyword, line: Line, negated: bool, defaulted: bool) {
        if (negated || defaulted) && !k.negatable {
            let word = if negated { "no" } else { "default" };
            let text = format!("'{word}' is not supported for '{}'.", k.name);
            self.alert(&line, 0, text);
            return;
        }
        match k.does {
            Does::Works(run) => self.with(&line, negated, defaulted, |cx| run(cx, &line)),
            Does::NoEffect(_) if k.args.is_empty() && line.words.len() > k.name.split(' ').count() => {
                let at = k.name.split(' ').count();
                let text =
                    format!("'{}' cannot handle unexpected argument '{}'.", k.name, line.words[at].str());
                self.alert(&line, at, text);
            }
            Does::NoEffect(reason) => {
                let text = format!("'{}' is accepted but has no effect: {reason}.", k.name);
                let place = Some(line.place());
                self.diags.add(Severity::Notice, place, text);
            }
            Does::NotYet(_) => {
                let text = format!("'{}' is not supported yet.", k.name);
                self.alert(&line, 0, text);
            }
        }
    }

    /// Gives a row what it works with.
    fn with(&mut self, line: &Line, negated: bool, defaulted: bool, run: impl FnOnce(&mut Cx<'_>)) {
        run(&mut Cx {
            model: self.model,
            diags: self.diags,
            registry: self.registry,
            files: self.files,
            env: self.env,
            line,
            section: self.section.map_or(Sections::GLOBAL, |s| s.section),
            negated,
            defaulted,
        });
    }

    /// No row in this section: known but not there yet, at home elsewhere, or unknown.
    fn unknown(&mut self, section: &SectionRow, line: &Line, elsewhere: Option<&Keyword>) {
        let one = line.words[0].str().into_owned();
        let two = line.words.get(1).map(|w| format!("{one} {}", w.str()));
        let list = if section.section == Sections::GLOBAL { known::GLOBAL } else { known::PROXY };
        let three = line.words.get(2).and_then(|w| two.as_ref().map(|t| format!("{t} {}", w.str())));
        let known = [three, two.clone(), Some(one.clone())]
            .into_iter()
            .flatten()
            .find(|k| list.binary_search(&k.as_str()).is_ok());
        if let Some(k) = elsewhere
            && !list.iter().any(|l| {
                *l == k.name && known.as_deref() == Some(l) && !k.sections.intersects(Sections::PROXY)
            })
        {
            if k.sections.intersects(Sections::PROXY) && section.section.intersects(Sections::PROXY) {
                self.with(line, false, false, |cx| rows::place::misplaced(cx, k));
                return;
            }
            let homes: Vec<_> = sections::SECTIONS
                .iter()
                .filter(|s| k.sections.contains(s.section))
                .map(|s| s.name)
                .collect();
            let text = format!("'{}' not allowed in '{}' section.", k.name, section.name);
            self.alert(line, 0, text).hint(format!("it is valid in: {}", homes.join(", ")));
            return;
        }
        if let Some(known) = known {
            let text = format!("'{known}' is not supported yet.");
            self.alert(line, 0, text);
            return;
        }
        let (text, word, wrong, candidates) = match &two {
            Some(two) if one == "option" || one == "timeout" => {
                let given = line.words[1].str().into_owned();
                (format!("unknown {one} '{given}'."), 1, two.as_str(), list)
            }
            _ => (format!("unknown keyword '{one}' in '{}' section", section.name), 0, one.as_str(), list),
        };
        let rows =
            self.registry.keywords().filter(|k| k.sections.intersects(section.section)).map(|k| k.name);
        let near = suggest::nearest(wrong, candidates.iter().copied().chain(rows));
        let text = match near {
            Some(near) if word == 0 => format!("{text}; did you mean '{near}' maybe ?"),
            _ => text,
        };
        let near = near.map(str::to_owned);
        let d = self.alert(line, word, text);
        if let Some(near) = near {
            d.hint(format!("did you mean '{near}'?"));
        }
    }
}
