//! The server's side of a listener: which certificate and which configuration a ClientHello gets.

use crate::again::fingerprint;
use crate::compression;
use crate::ecdsa;
use crate::encrypted::Passphrases;
use crate::groups::{Group, Order};
use crate::hello::Hello;
use crate::mint::Mint;
use crate::names;
use crate::odd_name::{self, Name, OddName};
use crate::secrets;
use crate::settings::{BindTls, Conf, Entry, GlobalTls, Origin, Verify};
use crate::store::{Certificate, Parts, Slot, build};
use crate::stream::Records;
use crate::tickets::{Cache, Sessions, Tickets};
use crate::verify::{Clients, Policy, Purpose};
use crate::x509::{Cert, KeyKind};
use parking_lot::RwLock;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{
    DistinguishedName, ServerConfig, SignatureAlgorithm, SignatureScheme, SupportedProtocolVersion, version,
};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

thread_local! {
    /// A resolver does not know its connection: who runs the handshake leaves the certificate here.
    static CHOSEN: RefCell<Option<Arc<CertifiedKey>>> = const { RefCell::new(None) };
    /// How often that has changed which its client is judged by.
    static DEMANDS: Cell<u64> = const { Cell::new(0) };
}

/// The choice that the handshake which is run next on this thread goes by.
pub fn set_chosen(choice: &Choice) {
    CHOSEN.set(choice.certificate.as_ref().map(|c| c.answers().clone()));
    DEMANDS.set(choice.clients.as_ref().map_or(0, |c| c.policy.changes()));
    ecdsa::set_v13(choice.v13);
}

/// What sessions of the handshake that is under way in this thread are bound to: the end entity certificate, and what clients
/// are judged by.
pub(crate) fn binding() -> Vec<u8> {
    CHOSEN.with_borrow(|key| {
        let leaf = key.as_ref().and_then(|k| k.cert.first()).map_or(&[][..], |c| c.as_ref());
        [leaf, &DEMANDS.get().to_be_bytes()].concat()
    })
}

#[derive(Debug)]
struct Chosen {
    /// `sigalgs`
    schemes: Option<Arc<[SignatureScheme]>>,
}

impl ResolvesServerCert for Chosen {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let key = CHOSEN.with_borrow(Clone::clone)?;
        Some(limited(key, self.schemes.as_ref()))
    }
}

/// A certificate whose key signs with these schemes only, if some are said.
pub(crate) fn limited(key: Arc<CertifiedKey>, schemes: Option<&Arc<[SignatureScheme]>>) -> Arc<CertifiedKey> {
    let Some(schemes) = schemes else { return key };
    let limited = Limited { key: key.key.clone(), schemes: schemes.clone() };
    let mut new = CertifiedKey::new(key.cert.clone(), Arc::new(limited));
    new.ocsp.clone_from(&key.ocsp);
    Arc::new(new)
}

/// A key that signs with some schemes only.
#[derive(Debug)]
struct Limited {
    key: Arc<dyn SigningKey>,
    schemes: Arc<[SignatureScheme]>,
}

impl SigningKey for Limited {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let both: Vec<SignatureScheme> =
            self.schemes.iter().copied().filter(|s| offered.contains(s)).collect();
        self.key.choose_scheme(&both)
    }
    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }
}

/// A configuration, and the certificate that goes with it.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The configuration.
    pub config: Arc<ServerConfig>,
    /// The certificate; none: the client is refused (`strict-sni`).
    pub certificate: Option<Arc<Certificate>>,
    /// Its file.
    pub name: Option<Box<str>>,
    /// How the client's certificate is judged.
    pub clients: Option<Arc<Clients>>,
    /// The client asks for an OCSP response.
    pub status: bool,
    /// It comes to TLS 1.3, if to anything.
    pub v13: bool,
    /// The client's server name is none of the DNS.
    pub odd: Option<Box<OddName>>,
}

/// A configuration as it is, and without ALPN: for clients that want no protocol of ours.
#[derive(Debug)]
struct Pair {
    own: Arc<ServerConfig>,
    without: Arc<ServerConfig>,
}

impl Pair {
    fn new(config: ServerConfig) -> Self {
        let mut without = config.clone();
        without.alpn_protocols.clear();
        Self { own: Arc::new(config), without: Arc::new(without) }
    }
}

/// What was made of the options of a listener, or of a line of a crt-list.
#[derive(Debug)]
struct Made {
    any: Pair,
    /// What that is made of, and the same for clients whose server name is odd, once there was one.
    recipe: Recipe,
    odd: OnceLock<Option<Pair>>,
    /// The groups of the key exchange that are said, and the configuration for each of them alone.
    order: Order,
    narrowed: Vec<Pair>,
    clients: Option<Arc<Clients>>,
}

impl Made {
    /// The configuration for a client.
    fn pair(&self, hello: &Hello, odd: bool) -> &Pair {
        if odd {
            let make = || self.recipe.make(odd_name::provider(self.recipe.provider.clone())).ok();
            let pair = self.odd.get_or_init(|| Some(Pair::new(like(&self.any.own, make()?))));
            return pair.as_ref().unwrap_or(&self.any);
        }
        self.order.choose(hello).and_then(|at| self.narrowed.get(at)).unwrap_or(&self.any)
    }
}

/// What a configuration begins with.
struct Recipe {
    provider: CryptoProvider,
    versions: Vec<&'static SupportedProtocolVersion>,
    clients: Option<Arc<Clients>>,
    chosen: Arc<Chosen>,
}

impl std::fmt::Debug for Recipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recipe({:?})", self.versions)
    }
}

impl Recipe {
    /// A configuration of a provider.
    fn make(&self, provider: CryptoProvider) -> Result<ServerConfig, String> {
        let builder = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&self.versions)
            .map_err(|e| format!("{e} for {{}}."))?;
        let builder = match &self.clients {
            None => builder.with_no_client_auth(),
            Some(clients) => builder.with_client_cert_verifier(clients.clone()),
        };
        Ok(builder.with_cert_resolver(self.chosen.clone()))
    }
}

/// A certificate in the table of names.
#[derive(Clone, Debug)]
struct Known {
    slot: Arc<Slot<Certificate>>,
    /// What its line says, and what was made of it.
    conf: Option<(Arc<Conf>, Arc<Made>)>,
    filters: Vec<String>,
    /// It is for clients that no other is for: `default-crt`, or the filter `*`.
    default: bool,
    /// It is the first of its line, and thereby such a default, too.
    first: bool,
    origin: Option<Origin>,
}

/// Who is used for which name: indexes of `Known`.
#[derive(Debug, Default)]
struct Table {
    exact: HashMap<Box<str>, Vec<u32>>,
    /// By what stands behind `*`.
    wild: HashMap<Box<str>, Vec<u32>>,
    default: Vec<u32>,
}

/// Everything of a listener that can change while it runs.
#[derive(Clone, Debug)]
struct State {
    /// The listener's configuration.
    base: Arc<Made>,
    known: Vec<Known>,
    table: Arc<Table>,
}

/// The server's side of a listener.
#[derive(Debug)]
pub struct Acceptor {
    state: RwLock<Arc<State>>,
    /// The crt-lists and directories that lines can be added to.
    lists: Vec<String>,
    strict: bool,
    /// `generate-certificates`
    mint: Option<Mint>,
    /// ClientHellos are kept for samples (`tune.ssl.capture-buffer-size`).
    pub capture: usize,
    /// How large records may be.
    pub records: Records,
    cache: Arc<Cache>,
    identity: String,
    http: bool,
    /// How many configurations were made: each has sessions of its own.
    made: AtomicUsize,
}

/// A name that certificates are found by, as `show ssl sni` lists it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The name, with `*` for what any label may stand for.
    pub name: String,
    /// Names that are left out.
    pub except: Vec<String>,
    /// The certificate.
    pub slot: Arc<Slot<Certificate>>,
}

/// Sessions that can be resumed, for the whole process.
#[must_use]
pub fn cache(global: &GlobalTls) -> Arc<Cache> {
    Arc::new(Cache::new(match global.cache_size {
        Some(0) => Arc::new(rustls::server::NoServerSessionStorage {}),
        n => ServerSessionMemoryCache::new(n.unwrap_or(20_000)),
    }))
}

/// Most bytes of early data.
const EARLY: u32 = 16_384;

/// What a configuration is made for.
struct Making<'m> {
    global: &'m GlobalTls,
    bind: &'m BindTls,
    cache: &'m Arc<Cache>,
    /// What tells this listener's sessions apart.
    identity: String,
    /// `mode http`
    http: bool,
}

/// Makes a listener's side. Warnings go to `warn`.
///
/// # Errors
/// What is wrong, in HAProxy's words as far as they do not name the listener.
pub fn compile(
    global: &GlobalTls,
    bind: &BindTls,
    cache: &Arc<Cache>,
    (identity, http): (&str, bool),
    warn: &mut dyn FnMut(String),
) -> Result<Acceptor, String> {
    let versions = &bind.conf.versions;
    let bounds =
        versions.min.or(global.bind.conf.versions.min).or(versions.max).or(global.bind.conf.versions.max);
    if bounds.is_some() && (versions.off | global.bind.conf.versions.off) != 0 {
        warn(
            "no-sslv3/no-tlsv1x are ignored for {}. Use only 'ssl-min-ver' and 'ssl-max-ver' to fix."
                .to_owned(),
        );
    }
    let early = bind.conf.early || bind.entries.iter().any(|e| e.conf.as_ref().is_some_and(|c| c.early));
    if early && bind.ticket_keys.is_some() {
        warn("'allow-0rtt' wins over 'tls-ticket-keys' for {}: sessions are kept here.".to_owned());
    }
    let making = Making { global, bind, cache, identity: identity.to_owned(), http };
    let base = making.config(None, 0)?;
    let (mut known, made) = making.known(&bind.entries, 1)?;
    mark_first(&mut known);
    let strict = bind.strict_sni.or(global.bind.strict_sni).unwrap_or(false);
    match (known.is_empty(), strict) {
        (true, false) => return Err("no SSL certificate specified for {} (use 'crt').".to_owned()),
        (true, true) => {
            warn("no SSL certificate specified for {}, ssl connections will fail (use 'crt').".to_owned());
        }
        (false, true) if bind.entries.iter().any(|e| e.default) => warn(
            "both 'default-crt' and 'strict-sni' keywords are used in {}, certificates won't be used as fallback (use 'crt' instead)."
                .to_owned(),
        ),
        (false, _) => {}
    }
    let state = State { base: Arc::new(base), table: Arc::new(table(&known)), known };
    Ok(Acceptor {
        state: RwLock::new(Arc::new(state)),
        lists: bind.lists.clone(),
        strict,
        mint: mint(global, bind)?,
        capture: global.capture,
        records: global.records(),
        cache: cache.clone(),
        identity: identity.to_owned(),
        http,
        made: AtomicUsize::new(made),
    })
}

/// `generate-certificates`
fn mint(global: &GlobalTls, bind: &BindTls) -> Result<Option<Mint>, String> {
    if !bind.generate {
        return Ok(None);
    }
    let Some((path, content)) = &bind.ca_sign else {
        return Err(
            "cannot enable certificate generation, no CA certificate File configured for {}.".to_owned()
        );
    };
    let failed = |why: &str| format!("Failed to read CA certificate file '{path}' for {{}}. {why}");
    let pem = content.clone().ok_or_else(|| failed("It cannot be read."))?;
    let mut passphrases =
        bind.ca_sign_pass.as_ref().map(|p| Passphrases::of(p.as_bytes())).unwrap_or_default();
    let made = build(path, &Parts { pem, ..Parts::default() }, &mut passphrases);
    let made = made.map_err(|e| failed(&format!("Chain loading failed: {e}")))?;
    Ok(Some(Mint::new(made.key, global.minted.unwrap_or(1000))))
}

/// The first certificate of a line is for clients that no other is for, whatever else is said (manual section 5.1, `default-crt`).
/// The files of a bundle that `crt` names are one; those of a line of a crt-list are not.
fn mark_first(known: &mut [Known]) {
    let base = |name: &str| {
        let (base, kind) = name.rsplit_once('.').unwrap_or((name, ""));
        if crate::store::BUNDLE.contains(&kind) { base.to_owned() } else { name.to_owned() }
    };
    let Some((first, more)) = known.split_first_mut() else { return };
    first.first = true;
    let bundle = base(&first.slot.name);
    let listed = first.origin.is_some();
    more.iter_mut()
        .take_while(|k| !listed && k.origin.is_none() && base(&k.slot.name) == bundle)
        .for_each(|k| k.first = true);
}

fn table(known: &[Known]) -> Table {
    let mut table = Table::default();
    for (at, k) in known.iter().enumerate() {
        let at = at as u32;
        let mut put = |name: &str| {
            let (map, key) = match name.strip_prefix('*') {
                Some("") => return table.default.push(at),
                Some(rest) => (&mut table.wild, rest),
                None => (&mut table.exact, name),
            };
            map.entry(key.into()).or_default().push(at);
        };
        if k.first || k.default {
            put("*");
        }
        if k.filters.is_empty() {
            k.slot.get().names.iter().for_each(|n| put(n));
        } else {
            k.filters.iter().filter(|f| !f.starts_with('!') && *f != "*").for_each(|f| put(f));
        }
    }
    table
}

impl Acceptor {
    /// What a client gets.
    #[must_use]
    pub fn choose(&self, hello: &Hello) -> Choice {
        if let Some(config) = crate::alpn_challenge::wanted(hello) {
            return Choice {
                config,
                certificate: None,
                name: None,
                clients: None,
                status: false,
                v13: true,
                odd: None,
            };
        }
        let state = self.state.read().clone();
        let found = hello.sni.as_deref().and_then(|name| state.find(&name.to_ascii_lowercase(), hello));
        let default = || state.best(state.of(&state.table.default), hello);
        if found.is_none()
            && let (Some(mint), Some(name), Some(default)) = (&self.mint, &hello.sni, default())
            && let Some(minted) = mint.certificate(&name.to_ascii_lowercase(), &default.slot.get())
        {
            return self.chosen(&state.base, hello, Some(minted), None);
        }
        let found = found.or_else(|| if self.strict { None } else { default() });
        let made = found.and_then(|k| k.conf.as_ref()).map_or(&state.base, |(_, made)| made);
        self.chosen(made, hello, found.map(|k| k.slot.get()), found.map(|k| k.slot.name.clone()))
    }

    fn chosen(
        &self,
        made: &Made,
        hello: &Hello,
        certificate: Option<Arc<Certificate>>,
        name: Option<Box<str>>,
    ) -> Choice {
        let odd = match Name::of(hello) {
            Name::Odd(name) => Some(Box::new(name)),
            Name::Good | Name::Bad => None,
        };
        let pair = made.pair(hello, odd.is_some());
        let protocols = &pair.own.alpn_protocols;
        let common = protocols.is_empty() || protocols.iter().any(|p| hello.offers(p));
        Choice {
            config: if common { pair.own.clone() } else { pair.without.clone() },
            certificate,
            name,
            clients: made.clients.clone(),
            status: hello.status,
            v13: made.order.v13 && hello.speaks(0x0304),
            odd,
        }
    }

    /// Puts another state in force; handshakes that have begun keep the old one.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.write();
        let mut new = State::clone(&state);
        change(&mut new);
        new.table = Arc::new(table(&new.known));
        *state = Arc::new(new);
    }

    /// Certificates have changed: the names are looked at again.
    pub fn refresh(&self) {
        self.change(|_| {});
    }

    fn making<'m>(&'m self, global: &'m GlobalTls, bind: &'m BindTls) -> Making<'m> {
        Making { global, bind, cache: &self.cache, identity: self.identity.clone(), http: self.http }
    }

    /// Further lines of a crt-list.
    ///
    /// # Errors
    /// What is wrong with their options.
    pub fn add(&self, global: &GlobalTls, bind: &BindTls, entries: &[Entry]) -> Result<(), String> {
        let first = self.made.fetch_add(entries.len(), Ordering::Relaxed);
        let (known, _) = self.making(global, bind).known(entries, first)?;
        self.change(|state| state.known.extend(known));
        Ok(())
    }

    /// A line of a crt-list goes.
    pub fn remove(&self, origin: &Origin) {
        self.change(|state| state.known.retain(|k| k.origin.as_ref() != Some(origin)));
    }

    /// Authorities have changed: the names of theirs that clients are told are made anew.
    ///
    /// # Errors
    /// When the library refuses the configuration.
    pub fn rebuild(&self, global: &GlobalTls, bind: &BindTls) -> Result<(), String> {
        let making = self.making(global, bind);
        let base = Arc::new(making.config(None, 0)?);
        let known = self.state.read().known.clone();
        let entries: Vec<Entry> = known
            .iter()
            .map(|k| Entry {
                slot: k.slot.clone(),
                filters: k.filters.clone(),
                conf: k.conf.as_ref().map(|(conf, _)| conf.clone()),
                default: k.default,
                origin: k.origin.clone(),
            })
            .collect();
        // sessions of before are not taken for those of another line
        let number = self.made.fetch_add(entries.len(), Ordering::Relaxed);
        let first: Vec<bool> = known.iter().map(|k| k.first).collect();
        let (mut known, _) = making.known(&entries, number)?;
        known.iter_mut().zip(first).for_each(|(k, first)| k.first = first);
        self.change(|state| (state.base, state.known) = (base, known));
        Ok(())
    }

    /// For how many certificates clients' ones are judged by such a policy.
    #[must_use]
    pub fn judging(&self, by: impl Fn(&Policy) -> bool) -> usize {
        let state = self.state.read().clone();
        let made = |k: &Known| k.conf.as_ref().map_or(state.base.clone(), |(_, made)| made.clone());
        let clients = state.known.iter().filter_map(|k| made(k).clients.clone());
        clients.filter(|c| by(&c.policy)).count()
    }

    /// The certificates that it answers with, in their order.
    #[must_use]
    pub fn slots(&self) -> Vec<Arc<Slot<Certificate>>> {
        self.state.read().known.iter().map(|k| k.slot.clone()).collect()
    }

    /// How often a certificate stands here.
    #[must_use]
    pub fn instances(&self, slot: &Arc<Slot<Certificate>>) -> usize {
        self.state.read().known.iter().filter(|k| Arc::ptr_eq(&k.slot, slot)).count()
    }

    /// Does it answer from this crt-list?
    #[must_use]
    pub fn has_list(&self, list: &str) -> bool {
        self.lists.iter().any(|l| l == list)
    }

    /// Is this line there?
    #[must_use]
    pub fn has(&self, origin: &Origin) -> bool {
        self.state.read().known.iter().any(|k| k.origin.as_ref() == Some(origin))
    }

    /// Is this line the first one, without which clients that no certificate is for may get none?
    #[must_use]
    pub fn is_first(&self, origin: &Origin) -> bool {
        self.state.read().known.iter().any(|k| k.first && k.origin.as_ref() == Some(origin))
    }

    /// Every name that certificates are found by: whole ones first, in their order.
    #[must_use]
    pub fn listed(&self) -> Vec<Listed> {
        let state = self.state.read().clone();
        let mut all = Vec::new();
        let mut put = |name: String, wild: bool, list: &[u32]| {
            for k in list.iter().filter_map(|at| state.known.get(*at as usize)) {
                let except = k.filters.iter().filter(|f| wild && f.starts_with('!')).cloned().collect();
                all.push(Listed { name: name.clone(), except, slot: k.slot.clone() });
            }
        };
        let mut exact: Vec<_> = state.table.exact.iter().collect();
        exact.sort();
        exact.iter().for_each(|(name, list)| put(name.to_string(), false, list));
        put("*".to_owned(), true, &state.table.default);
        let mut wild: Vec<_> = state.table.wild.iter().collect();
        wild.sort();
        wild.iter().for_each(|(name, list)| put(format!("*{name}"), true, list));
        all
    }
}

impl State {
    fn find(&self, name: &str, hello: &Hello) -> Option<&Known> {
        let table = &self.table;
        let exact = table.exact.get(name).map_or(&[][..], Vec::as_slice);
        let rest = name.find('.').and_then(|dot| name.get(dot..));
        let wild = rest.and_then(|rest| table.wild.get(rest)).map_or(&[][..], Vec::as_slice);
        let refused = |k: &Known| k.filters.iter().any(|f| f.strip_prefix('!') == Some(name));
        self.best(self.of(exact).chain(self.of(wild).filter(|k| !refused(k))), hello)
    }

    /// The certificates at these places.
    fn of<'s>(&'s self, list: &'s [u32]) -> impl Iterator<Item = &'s Known> + Clone {
        list.iter().filter_map(|at| self.known.get(*at as usize))
    }

    /// The first of the kind that the client likes best, or the first of all.
    fn best<'s>(&self, mut all: impl Iterator<Item = &'s Known> + Clone, hello: &Hello) -> Option<&'s Known> {
        let likes = |k: &&Known| match k.slot.get().kind {
            KeyKind::Ecdsa => hello.ecdsa,
            KeyKind::Rsa => hello.rsa,
            KeyKind::Other => hello.ed25519,
        };
        all.clone().filter(likes).min_by_key(|k| k.slot.get().kind).or_else(|| all.next())
    }
}

/// The versions of these bits that the library speaks.
pub(crate) fn versions(bits: u8) -> Vec<&'static SupportedProtocolVersion> {
    let mut out = Vec::new();
    if bits & 1 << 4 != 0 {
        out.push(&version::TLS13);
    }
    if bits & 1 << 3 != 0 {
        out.push(&version::TLS12);
    }
    out
}

/// What the cipher strings of a side's options and defaults say of the level (`@SECLEVEL`), or else `ssl-security-level`.
pub(crate) fn security_level(confs: [&Conf; 3], global: &GlobalTls) -> Option<u8> {
    let ciphers = confs.into_iter().find_map(|conf| conf.ciphers.as_deref());
    ciphers.and_then(names::security_level).or(global.security_level)
}

/// Suites and groups as a side's options and defaults say; the message begins behind the proxy's name.
pub(crate) fn provider(
    own: &Conf,
    base: &Conf,
    default: &Conf,
    level: Option<u8>,
) -> Result<CryptoProvider, String> {
    let said = |of: fn(&Conf) -> &Option<String>| {
        of(own).as_deref().or(of(base).as_deref()).or(of(default).as_deref()).map(str::to_owned)
    };
    let mut provider = aws_lc_rs::default_provider();
    let suites = match said(|c| &c.suites) {
        Some(text) => names::suites(&text)
            .filter(|s| !s.is_empty())
            .ok_or_else(|| format!("unable to set TLS 1.3 cipher suites to '{text}' for {{}}."))?,
        None => names::default_suites(),
    };
    let ciphers = match said(|c| &c.ciphers) {
        Some(text) => {
            let (list, _) = names::ciphers(&text);
            if list.is_empty() {
                return Err(format!("unable to set SSL cipher list to '{text}' for {{}}."));
            }
            list
        }
        None => names::default_ciphers(),
    };
    provider.cipher_suites = suites.into_iter().chain(ciphers).collect();
    provider.kx_groups = match (said(|c| &c.curves), said(|c| &c.ecdhe)) {
        (Some(text), _) => names::groups(&text)
            .filter(|g| !g.is_empty())
            .ok_or_else(|| format!("unable to set SSL curves list to '{text}' for {{}}."))?,
        (None, Some(text)) => names::groups(&text)
            .filter(|g| !g.is_empty())
            .ok_or_else(|| format!("unable to set elliptic named curve to '{text}' for {{}}."))?,
        (None, None) => names::default_groups(),
    };
    if let Some(level) = level {
        let bits = names::security_bits(level);
        provider.cipher_suites.retain(|s| names::cipher(s.suite()).1 >= bits);
        provider.kx_groups.retain(|g| names::group_bits(g.name()) >= bits);
        if provider.cipher_suites.is_empty() || provider.kx_groups.is_empty() {
            return Err(format!("nothing is left at 'ssl-security-level {level}' for {{}}."));
        }
    }
    Ok(provider)
}

/// A list of signature algorithms.
pub(crate) fn schemes(text: Option<&str>) -> Result<Option<Vec<SignatureScheme>>, String> {
    let Some(text) = text else { return Ok(None) };
    let list = names::signatures(text).filter(|l| !l.is_empty());
    list.map(Some).ok_or_else(|| format!("unable to set SSL Signature Algorithm list to '{text}' for {{}}."))
}

/// Versions that are left, or why there is none.
pub(crate) fn enabled(
    own: &Conf,
    base: &Conf,
    default: &Conf,
) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let all = [&own.versions, &base.versions, &default.versions];
    let merged = crate::settings::Versions {
        min: all.iter().find_map(|v| v.min),
        max: all.iter().find_map(|v| v.max),
        off: all.iter().fold(0, |s, v| s | v.off),
    };
    let bits = merged.enabled(3);
    let list = versions(bits);
    match (list.is_empty(), bits) {
        (false, _) => Ok(list),
        (true, 0) => Err("all SSL/TLS versions are disabled for {}.".to_owned()),
        (true, _) => {
            Err("only versions below TLSv1.2 are enabled for {}: they are not supported.".to_owned())
        }
    }
}

impl Making<'_> {
    /// What entries are in the table; the second value: the number of the next configuration.
    fn known(&self, entries: &[Entry], first: usize) -> Result<(Vec<Known>, usize), String> {
        let (mut number, mut confs) = (first, Vec::<(Arc<Conf>, Arc<Made>)>::new());
        let mut known = Vec::new();
        for Entry { slot, filters, conf, default, origin } in entries {
            self.strong_enough(slot)?;
            let conf = match conf {
                None => None,
                Some(conf) => match confs.iter().find(|(c, _)| Arc::ptr_eq(c, conf)) {
                    Some(there) => Some(there.clone()),
                    None => {
                        confs.push((conf.clone(), Arc::new(self.config(Some(conf), number)?)));
                        number += 1;
                        confs.last().cloned()
                    }
                },
            };
            let (slot, filters, origin) = (slot.clone(), filters.clone(), origin.clone());
            let default = *default || filters.iter().any(|f| f == "*");
            known.push(Known { slot, conf, filters, default, first: false, origin });
        }
        Ok((known, number))
    }

    /// Is the key of a certificate long enough for `ssl-security-level`?
    fn strong_enough(&self, slot: &Slot<Certificate>) -> Result<(), String> {
        let Some(level) = self.global.security_level else { return Ok(()) };
        let certificate = slot.get();
        let key = certificate.key.cert.first().and_then(|c| Cert::parse(c.as_ref())).map(|c| c.key_name());
        match key {
            Some((kind, bits)) if names::key_bits(kind, bits) < names::security_bits(level) => Err(format!(
                "unable to load SSL certificate into SSL Context '{}': ee key too small.",
                slot.name
            )),
            _ => Ok(()),
        }
    }

    /// The configuration of a listener, or of one line of a crt-list.
    fn config(&self, own: Option<&Conf>, number: usize) -> Result<Made, String> {
        let (mut clients, mut asked) = (None, 0);
        let nothing = Conf::default();
        let (own, base, default) = (own.unwrap_or(&nothing), &self.bind.conf, &self.global.bind.conf);
        let level = security_level([own, base, default], self.global);
        let provider = provider(own, base, default, level)?;
        let algorithms = provider.signature_verification_algorithms;
        let either = |of: fn(&Conf) -> &Option<String>| {
            of(own).as_deref().or(of(base).as_deref()).or(of(default).as_deref())
        };
        let signing = schemes(either(|c| &c.sigalgs))?;
        let verifying = schemes(either(|c| &c.client_sigalgs))?;
        let versions = enabled(own, base, default)?;
        match own.verify.or(base.verify).unwrap_or_default() {
            Verify::None => {}
            verify => {
                let ca = own.ca.as_ref().or(base.ca.as_ref());
                let more = own.ca_verify.as_ref().or(base.ca_verify.as_ref());
                if ca.is_none() && more.is_none() {
                    return Err("verify is enabled but no CA file specified for {}.".to_owned());
                }
                let names = if own.no_ca_names || base.no_ca_names { None } else { ca };
                let pick = |a: &crate::verify::Ignored, b: &crate::verify::Ignored| {
                    if *a == Default::default() { b.clone() } else { a.clone() }
                };
                let made = Arc::new(Clients {
                    policy: Policy {
                        trusted: ca.into_iter().chain(more).cloned().collect(),
                        revoked: own.crl.as_ref().or(base.crl.as_ref()).cloned(),
                        crt_ignore: pick(&own.crt_ignore, &base.crt_ignore),
                        ca_ignore: pick(&own.ca_ignore, &base.ca_ignore),
                        purpose: Purpose::Client,
                        level,
                    },
                    required: verify == Verify::Required,
                    hints: names.map(hints).unwrap_or_default(),
                    algorithms,
                    schemes: verifying,
                });
                // a session that began under other demands is never resumed under these
                let trusted: Vec<_> = made.policy.trusted.iter().map(|t| t.get()).collect();
                let trusted = trusted.iter().flat_map(|t| t.iter().map(AsRef::as_ref));
                let demands = (made.required, trusted.collect::<Vec<&[u8]>>());
                asked = fingerprint((
                    demands,
                    format!("{:?}", (&made.policy.crt_ignore, &made.policy.ca_ignore)),
                ));
                clients = Some(made);
            }
        }
        let chosen = Arc::new(Chosen { schemes: signing.map(Into::into) });
        let recipe = Recipe { provider, versions, clients: clients.clone(), chosen };
        let provider = &recipe.provider;
        let mut config = recipe.make(provider.clone())?;
        config.alpn_protocols = alpn(own.alpn.as_ref().or(base.alpn.as_ref()), self.http);
        config.ignore_client_order = !(self.bind.client_order || self.global.bind.client_order);
        let identity = format!("{} {number} {asked:x}", self.identity);
        let lifetime = self.global.lifetime.unwrap_or(300);
        let early = own.early || base.early;
        if early {
            // the library takes early data of sessions that it keeps itself, so that none is taken twice
            (config.max_early_data_size, config.send_half_rtt_data) = (EARLY, true);
        }
        if !early && self.bind.tickets.or(self.global.bind.tickets).unwrap_or(true) {
            let keys = self.bind.ticket_keys.clone();
            if let Some(tickets) = Tickets::new(keys, identity.as_bytes(), lifetime) {
                config.ticketer = tickets;
            }
        }
        config.session_storage =
            Arc::new(Sessions { cache: self.cache.clone(), identity: identity.into_bytes(), lifetime });
        compression::of_server(&mut config, !self.global.no_compression);
        if self.global.key_log {
            config.key_log = Arc::new(secrets::Log);
        }
        config.enable_secret_extraction = self.global.to_kernel(own.ktls.or(base.ktls));
        let said = either(|c| &c.curves).or(either(|c| &c.ecdhe)).is_some();
        let counts = said && provider.kx_groups.len() > 1;
        let ordered = if counts { provider.kx_groups.clone() } else { Vec::new() };
        let narrowed: Result<Vec<Pair>, String> = ordered
            .iter()
            .map(|group| {
                let one = CryptoProvider { kx_groups: vec![*group], ..provider.clone() };
                Ok(Pair::new(like(&config, recipe.make(one)?)))
            })
            .collect();
        Ok(Made {
            order: Order {
                groups: ordered.iter().map(|g| Group::of(*g)).collect(),
                v13: recipe.versions.contains(&&version::TLS13),
                client: !config.ignore_client_order,
            },
            narrowed: narrowed?,
            any: Pair::new(config),
            recipe,
            odd: OnceLock::new(),
            clients,
        })
    }
}

/// A configuration that was just made, with all that another one says.
fn like(config: &ServerConfig, mut new: ServerConfig) -> ServerConfig {
    new.alpn_protocols.clone_from(&config.alpn_protocols);
    new.ignore_client_order = config.ignore_client_order;
    new.max_early_data_size = config.max_early_data_size;
    new.send_half_rtt_data = config.send_half_rtt_data;
    new.ticketer = config.ticketer.clone();
    new.session_storage = config.session_storage.clone();
    new.key_log = config.key_log.clone();
    new.enable_secret_extraction = config.enable_secret_extraction;
    new.cert_compressors.clone_from(&config.cert_compressors);
    new.cert_compression_cache = config.cert_compression_cache.clone();
    new.cert_decompressors.clone_from(&config.cert_decompressors);
    new
}

/// What is offered to clients. HTTP is negotiated also if nothing is said.
fn alpn(said: Option<&Vec<Vec<u8>>>, http: bool) -> Vec<Vec<u8>> {
    match said {
        Some(list) => list.clone(),
        None if http => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        None => Vec::new(),
    }
}

fn hints(of: &crate::store::Authorities) -> Vec<DistinguishedName> {
    let subject = |c: &rustls::pki_types::CertificateDer<'static>| {
        Cert::parse(c.as_ref()).map(|c| DistinguishedName::from(c.subject.to_vec()))
    };
    of.get().iter().filter_map(subject).collect()
}
