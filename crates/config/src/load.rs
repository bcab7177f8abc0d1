//! Files into a model: lines, conditional blocks, sections, keywords. Never stops at the first error.

use crate::blocks::Blocks;
use crate::cx::Cx;
use crate::diag::{Diagnostics, FileId, Place, Severity};
use crate::env::Env;
use crate::files::Files;
use crate::in_place::{self, Setting};
use crate::lexer;
use crate::model::{Model, Open, Proxy, ProxyKind};
use crate::refused::Refused;
use crate::row::{Does, Keyword, Registry, Sections};
use crate::sections::{self, Naming, SectionRow};
use crate::word::{Line, Span, Word};
use crate::{no_effect, suggest, unknown};
use std::collections::{HashMap, HashSet};
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
    /// The lines of settings that hold as long as the process lives ([`in_place`]).
    pub settings: Vec<Setting>,
    /// Those of them that a running process would have to change.
    pub fixed: Vec<Setting>,
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
    match paths {
        [only, ..] if all.is_empty() => {
            Err(format!("config : No configuration file (*.cfg) in directory {}", only.display()))
        }
        _ => Ok(all),
    }
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
    load_into(None, manner, sources, registry, files, env)
}

/// Loads a configuration for a process that runs with these settings already: what would change one of them is not done,
/// and told in [`Loaded::fixed`].
#[must_use]
pub fn load_again(
    held: &[Setting],
    sources: &[SourceFile],
    registry: &Registry,
    files: &dyn Files,
    env: &mut Env,
) -> Loaded {
    let known: HashSet<&str> = held.iter().map(|s| s.text.as_str()).collect();
    let mut loaded = load_into(Some(&known), Manner::default(), sources, registry, files, env);
    let now: HashSet<&str> = loaded.settings.iter().map(|s| s.text.as_str()).collect();
    let gone = held.iter().filter(|s| !now.contains(s.text.as_str()));
    let gone: Vec<_> = gone.map(|s| Setting { place: None, ..s.clone() }).collect();
    loaded.fixed.extend(gone);
    loaded
}

fn load_into(
    held: Option<&HashSet<&str>>,
    manner: Manner,
    sources: &[SourceFile],
    registry: &Registry,
    files: &dyn Files,
    env: &mut Env,
) -> Loaded {
    let mut loaded = Loaded::default();
    loaded.model.defaults.push(Proxy::default());
    let index = Index::new(registry);
    if env.get("HAPROXY_CFGFILES").is_none() {
        let names: Vec<_> = sources.iter().map(|s| s.name.as_str()).collect();
        env.set("HAPROXY_CFGFILES", names.join(";").into_bytes());
    }
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
            settings: &mut loaded.settings,
            fixed: &mut loaded.fixed,
            held,
            registry,
            index: &index,
            files,
            env,
            file,
            section: None,
            skipping: false,
            blocks: Blocks::default(),
            refused: None,
            continued: false,
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
            None => {
                // what proxies of another kind have is meant rather than what other sections have
                let proxy = section.intersects(Sections::PROXY);
                let kin = list.iter().filter(|k| proxy && k.sections.intersects(Sections::PROXY)).find(fits);
                kin.or_else(|| list.iter().find(fits)).map(|k| (*k, false))
            }
        }
    }
}

/// What may stand behind `no` and `default`.
const NEGATION: &str = "negation/default currently supported only for options, log, busy-polling, set-dumpable, \
                        strict-limits, insecure-fork-wanted and numa-cpu-mapping.";

/// Sections whose names are made of letters, digits and `.:_-`.
const STRICT_NAMES: Sections = Sections::USERLIST.union(Sections::PEERS).union(Sections::RESOLVERS);

/// The first character that a name may not have.
fn bad_name(name: &str) -> Option<char> {
    name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '_' | '-')))
}

fn not_permitted(bad: char, section: &SectionRow, name: &str) -> String {
    format!("character '{bad}' is not permitted in '{}' name '{name}'.", section.name)
}

struct Loader<'a> {
    model: &'a mut Model,
    diags: &'a mut Diagnostics,
    manner: Manner,
    dump: &'a mut String,
    settings: &'a mut Vec<Setting>,
    fixed: &'a mut Vec<Setting>,
    /// What the process runs with already.
    held: Option<&'a HashSet<&'a str>>,
    registry: &'a Registry,
    index: &'a Index,
    files: &'a dyn Files,
    env: &'a mut Env,
    file: FileId,
    section: Option<&'static SectionRow>,
    /// The section is refused or nameless: its lines are not looked at.
    skipping: bool,
    blocks: Blocks,
    /// The section is refused; its lines are only looked at for what is wrong.
    refused: Option<Refused>,
    /// The next line is what somebody took for the continuation of a wrong one.
    continued: bool,
}

impl Loader<'_> {
    fn place(&self, line: u32) -> Option<Place> {
        Some(Place { file: self.file, line })
    }

    fn file(&mut self, text: &[u8]) {
        let body = text.strip_suffix(b"\n");
        let mut lines = body.unwrap_or(text).split(|b| *b == b'\n').peekable();
        let mut count = 0;
        while let Some(raw) = lines.next() {
            count += 1;
            self.env.line = count;
            if body.is_none() && lines.peek().is_none() && !raw.is_empty() {
                let text = format!(
                    "Missing LF on last line, file might have been truncated at position {}.",
                    raw.len() + 1
                );
                self.diags.add(Severity::Alert, self.place(count), text);
            } else {
                self.line(raw, count);
            }
        }
        self.close();
        for begun in self.blocks.open() {
            let place = self.place(count);
            self.diags
                .add(Severity::Alert, place, "non-terminated '.if' block.")
                .hint(format!("it begins at line {begun}"));
        }
    }

    fn line(&mut self, raw: &[u8], number: u32) {
        let mut line = Line { file: self.file, number, raw: raw.to_vec(), words: Vec::new() };
        let active = self.blocks.active();
        match lexer::split(raw, self.env) {
            Ok(words) => line.words = words,
            Err(e) => {
                let text = format!("{} at position {}:", e.message, e.at + 1);
                let span = Span { start: e.at as u32, end: e.at as u32 + 1 };
                self.diags.add(Severity::Alert, self.place(number), text).mark(&line, span);
                return;
            }
        }
        let continued = std::mem::take(&mut self.continued);
        let Some(first) = line.words.first().filter(|w| !w.text.is_empty()) else { return };
        if first.text.starts_with(b".") {
            self.blocks.directive(self.diags, self.env, &line);
            return;
        }
        if !active || continued {
            return;
        }
        if let Some((n, word)) = lexer::empty_argument(&line.words) {
            let (span, at) = (word.span, word.span.start + 2);
            let text = format!(
                "argument number {n} at position {at} is empty and marks the end of the argument list:"
            );
            self.diags.add(Severity::Alert, self.place(number), text).mark(&line, span).hint(
                "everything behind it would be ignored; a variable that may be empty is written \"${NAME[*]}\"",
            );
            return;
        }
        let unfinished = line.words.last().is_some_and(|w| w.is("\\"));
        let before = self.diags.list.len();
        let section = sections::find(&first.text);
        if let Some(numbered) = self.manner.dump {
            self.dump.push_str(&dumped(&line, section.is_some(), numbered));
        }
        match section {
            Some(section) if self.manner.global_only && section.section != Sections::GLOBAL => {
                self.close();
                self.section = Some(section);
                self.skipping = true;
                self.model.past_global = true;
            }
            Some(section) => self.begin(section, &line),
            None => self.statement(line),
        }
        if unfinished && let Some(d) = self.diags.list.get_mut(before) {
            d.hint("a line ends at its end: a backslash does not continue it on the next one");
            self.continued = true;
        }
    }

    /// The section ends.
    fn close(&mut self) {
        if let Some(refused) = self.refused.take() {
            refused.close(self.diags, self.env);
        }
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

    /// A section begins.
    fn begin(&mut self, section: &'static SectionRow, line: &Line) {
        self.close();
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
        if bit == Sections::ACME && !self.model.global.experimental {
            self.skipping = true;
            let text = "section 'acme' is experimental, must be allowed via a global 'expose-experimental-directives'";
            self.alert(line, 0, text);
            return;
        }
        if section.naming == Naming::Required && line.words.len() < 2 {
            self.skipping = true;
            let text = match section.name {
                name @ ("userlist" | "fcgi-app") => format!("'{name}' expects <name> as argument."),
                "ring" => "missing ring name.".to_owned(),
                "cache" => "'cache' expects a <name> argument".to_owned(),
                name => format!("missing name for {name} section."),
            };
            self.alert(line, 0, text);
            return;
        }
        if !self.registry.keywords().any(|k| k.sections.intersects(bit) && matches!(k.does, Does::Works(_))) {
            let bad =
                line.words.get(1).filter(|_| STRICT_NAMES.intersects(bit)).and_then(|w| bad_name(&w.str()));
            match bad {
                None => self.refused = Some(Refused::open(line, bit, self.diags)),
                Some(bad) => {
                    self.skipping = true;
                    let text = not_permitted(bad, section, &line.words[1].str());
                    self.alert(line, 1, text);
                }
            }
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
        if kind != ProxyKind::Defaults
            && let Some(bad) = bad_name(&name)
        {
            // HAProxy says so and goes on
            self.alert(line, 1, not_permitted(bad, section, &name)).harmless();
        }
        let named = words.next();
        if next.is_some_and(|w| w.is("from"))
            && let Some(extra) = words.next()
        {
            let text = format!("'{}' cannot handle unexpected argument '{}'.", section.name, extra.str());
            let at = line.words.len().saturating_sub(1 + words.count());
            self.alert(line, at, text);
        }
        let from = self.from(section, line, next, named);
        let base = match (kind, from) {
            // a defaults section starts anew unless it says `from`
            (ProxyKind::Defaults, None) => Proxy::default(),
            (_, Some(i)) => self.model.defaults[i].clone(),
            (_, None) => self.model.defaults.last().cloned().unwrap_or_default(),
        };
        let from =
            from.unwrap_or(if kind == ProxyKind::Defaults { 0 } else { self.model.defaults.len() - 1 });
        let proxy = Proxy { kind, name, place: line.place(), from, mode_said: false, ..base };
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
        let Some(name) = name.filter(|_| keyword.is("from")) else {
            // an address stood here once
            if section.section.intersects(Sections::FRONTEND | Sections::LISTEN) {
                self.alert(line, at, "please use the 'bind' keyword for listening addresses.");
            } else {
                let place = Some(line.place());
                let text = format!("'{}' ignores unexpected argument '{}'.", section.name, keyword.str());
                self.diags.add(Severity::Diag, place, text);
            }
            return None;
        };
        let name = name.str();
        let mut found =
            self.model.defaults.iter().enumerate().filter(|(_, d)| !d.name.is_empty() && d.name == name);
        let first = found.next().map(|(i, _)| i);
        let again = found.next().is_some();
        drop(found);
        if first.is_none() {
            let own = line.words.get(1).filter(|w| !w.is("from")).map(Word::str).unwrap_or_default();
            let text = format!("defaults section '{name}' not found for {} '{own}'.", section.name);
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
        if (negated || defaulted) && line.words.len() == 1 {
            self.alert(&line, 0, NEGATION);
            return;
        }
        if negated || defaulted {
            line.words.remove(0);
        }
        match self.index.find(&line.words, section.section) {
            Some((k, true)) if self.refused.is_some() => {
                let mut refused = self.refused.take();
                if let Some(r) = &mut refused {
                    self.with(&line, negated, defaulted, |cx| r.line(cx, k, &line));
                }
                self.refused = refused;
            }
            Some((k, true)) => self.call(k, line, negated, defaulted),
            Some((k, false)) if (negated || defaulted) && !k.negatable && !k.name.starts_with("option ") => {
                self.alert(&line, 0, NEGATION);
            }
            found => {
                self.with(&line, negated, defaulted, |cx| unknown::refuse(cx, &line, found.map(|(k, _)| k)))
            }
        }
    }

    fn call(&mut self, k: &'static Keyword, line: Line, negated: bool, defaulted: bool) {
        if (negated || defaulted) && !k.negatable {
            self.alert(&line, 0, NEGATION).hint(format!("'{}' has no opposite", k.name));
            return;
        }
        match k.does {
            Does::Works(_) if !self.settle(k, &line, negated, defaulted) => {}
            Does::Works(run) => self.with(&line, negated, defaulted, |cx| run(cx, &line)),
            Does::NoEffect(reason) => match no_effect::wrong(k, &line) {
                Some((word, text)) => {
                    self.alert(&line, word, text);
                }
                None => {
                    let text = format!("'{}' is accepted but has no effect: {reason}.", k.name);
                    self.diags.add(Severity::Notice, Some(line.place()), text);
                }
            },
            Does::NotYet(_) => {
                let text = format!("'{}' is not supported yet.", k.name);
                self.alert(&line, 0, text);
            }
        }
    }

    /// Keeps a line that settles something for the process' life. False: it is not to be done (again).
    fn settle(&mut self, k: &'static Keyword, line: &Line, negated: bool, defaulted: bool) -> bool {
        let section = self.section.map_or(Sections::GLOBAL, |s| s.section);
        if !in_place::settles(section, k.name) {
            return true;
        }
        let mut text = dumped(line, true, false);
        text.truncate(text.trim_end().len());
        let sign = if negated {
            "no "
        } else if defaulted {
            "default "
        } else {
            ""
        };
        let of = if section == Sections::GLOBAL { String::new() } else { format!("{} : ", self.env.section) };
        let setting = Setting {
            keyword: k.name,
            section: self.section.map_or("", |s| s.name),
            text: format!("{of}{sign}{text}"),
            place: Some(line.place()),
        };
        let again = self.held.map(|held| held.contains(setting.text.as_str()));
        let done = match again {
            Some(false) => {
                self.fixed.push(setting.clone());
                false
            }
            Some(true) => !in_place::once(k.name),
            None => true,
        };
        self.settings.push(setting);
        done
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
}
