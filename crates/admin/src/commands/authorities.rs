//! Certificates of authorities and revocation lists (management manual section 9.3, `show ssl ca-file`, `show ssl crl-file`
//! and their kin).

use super::certificates::{name, tried};
use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_proxy::plan::{Plan, ServerPlan};
use portcullis_tls::acceptor::Acceptor;
use portcullis_tls::describe;
use portcullis_tls::live;
use portcullis_tls::revocation::Revocations;
use portcullis_tls::settings::BindTls;
use portcullis_tls::store::{Authorities, CertificateDer, Revoked, Slot, Store};
use portcullis_tls::verify::Policy;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row::new("abort ssl ca-file", "<cafile>", Level::Admin, "abort a transaction for a CA file", |c| {
        match name(c, "'abort ssl ca-file' expects a filename\n") {
            Ok(name) => tried(live::abort(&mut c.admin.tls.lock().authorities, &name)),
            Err(missing) => missing,
        }
    }),
    Row::new("abort ssl crl-file", "<crlfile>", Level::Admin, "abort a transaction for a CRL file", |c| {
        match name(c, "'abort ssl crl-file' expects a filename\n") {
            Ok(name) => tried(live::abort(&mut c.admin.tls.lock().revoked, &name)),
            Err(missing) => missing,
        }
    }),
    Row::new(
        "add ssl ca-file",
        "<cafile> <payload>",
        Level::Admin,
        "add a certificate into the CA file",
        |c| set_authorities(c, true),
    ),
    Row::new("commit ssl ca-file", "<cafile>", Level::Admin, "commit a CA file", commit_authorities),
    Row::new("commit ssl crl-file", "<crlfile>", Level::Admin, "commit a CRL file", commit_revoked),
    Row::new("del ssl ca-file", "<cafile>", Level::Admin, "delete an unused CA file", |c| {
        match name(c, "'del ssl ca-file' expects a CA file name\n") {
            Ok(name) => {
                let plan = c.admin.plan();
                let used = |slot: &_| judging(&plan, |p| trusts(p, slot)) > 0;
                let live = c.admin.tls.lock();
                let store = &mut *live.global.store.lock();
                del(&mut store.authorities, ("CA", &name), live.authorities.as_ref(), used)
            }
            Err(missing) => missing,
        }
    }),
    Row::new("del ssl crl-file", "<crlfile>", Level::Admin, "delete an unused CRL file", |c| {
        match name(c, "'del ssl crl-file' expects a CRL file name\n") {
            Ok(name) => {
                let plan = c.admin.plan();
                let used = |slot: &_| judging(&plan, |p| looks_up(p, slot)) > 0;
                let live = c.admin.tls.lock();
                let store = &mut *live.global.store.lock();
                del(&mut store.revoked, ("CRL", &name), live.revoked.as_ref(), used)
            }
            Err(missing) => missing,
        }
    }),
    Row::new(
        "new ssl ca-file",
        "<cafile>",
        Level::Admin,
        "create a new CA file to be used in a crt-list",
        |c| match name(c, "'new ssl ca-file' expects a filename\n") {
            Ok(name) => new(&mut c.admin.tls.lock().global.store.lock(), "CA", &name, |s| &mut s.authorities),
            Err(missing) => missing,
        },
    ),
    Row::new(
        "new ssl crl-file",
        "<crlfile>",
        Level::Admin,
        "create a new CRL file to be used in a crt-list",
        |c| match name(c, "'new ssl crl-file' expects a filename\n") {
            Ok(name) => new(&mut c.admin.tls.lock().global.store.lock(), "CRL", &name, |s| &mut s.revoked),
            Err(missing) => missing,
        },
    ),
    Row::new("set ssl ca-file", "<cafile> <payload>", Level::Admin, "replace a CA file", |c| {
        set_authorities(c, false)
    }),
    Row::new("set ssl crl-file", "<crlfile> <payload>", Level::Admin, "replace a CRL file", set_revoked),
    Row::new(
        "show ssl ca-file",
        "[<cafile>[:<index>]]",
        Level::Operator,
        "display the SSL CA files used in memory, or the details of a <cafile>, or a single certificate of index <index> of a CA file <cafile>",
        show_authorities,
    ),
    Row::new(
        "show ssl crl-file",
        "[<crlfile[:<index>>]]",
        Level::Operator,
        "display the SSL CRL files used in memory, or the details of a <crlfile>, or a single CRL of index <index> of CRL file <crlfile>",
        show_revoked,
    ),
];

/// Slots by file name.
type Files<T> = BTreeMap<String, Arc<Slot<Vec<T>>>>;

/// Makes an empty file of one kind; both kinds have their names in common.
fn new<T>(store: &mut Store, what: &str, name: &str, files: fn(&mut Store) -> &mut Files<T>) -> Outcome {
    if store.authorities.contains_key(name) || store.revoked.contains_key(name) {
        return Outcome::err(format!("{what} file '{name}' already exists!\n"));
    }
    files(store).insert(name.to_owned(), Slot::new(name, Vec::new()));
    Outcome::notice(format!("New {what} file created '{name}'!\n"))
}

fn del<T>(
    files: &mut Files<T>,
    (what, name): (&str, &str),
    pending: Option<&live::Pending<Vec<T>>>,
    used: impl Fn(&Arc<Slot<Vec<T>>>) -> bool,
) -> Outcome {
    let cannot =
        |why: &str| Outcome::err(format!("Can't remove the {what} file: {what} file '{name}' {why}!\n"));
    if pending.is_some_and(|p| p.name == name) {
        return Outcome::err(format!(
            "Can't remove the {what} file: ongoing transaction for the {what} file '{name}'\n"
        ));
    }
    match files.get(name) {
        None => return cannot("doesn't exist"),
        Some(slot) if used(slot) => return cannot("in use, can't be deleted"),
        Some(_) => {}
    }
    files.remove(name);
    Outcome::notice(format!("{what} file '{name}' deleted!\n"))
}

/// For how many certificates of listeners, and how many servers, peers are judged by such a policy.
fn judging(plan: &Plan, by: impl Fn(&Policy) -> bool) -> usize {
    let clients: usize = plan.acceptors().iter().map(|a| a.judging(&by)).sum();
    let servers = plan.proxies.iter().flat_map(|p| p.servers.iter());
    let policy =
        |s: &ServerPlan| s.tls.as_ref().is_some_and(|t| t.connector.policy.as_ref().is_some_and(&by));
    clients + servers.filter(|s| policy(s)).count()
}

fn trusts(policy: &Policy, slot: &Authorities) -> bool {
    policy.trusted.iter().any(|t| Arc::ptr_eq(t, slot))
}

fn looks_up(policy: &Policy, slot: &Revoked) -> bool {
    policy.revoked.as_ref().is_some_and(|r| Arc::ptr_eq(r, slot))
}

fn set_authorities(call: &mut Call<'_>, more: bool) -> Outcome {
    let Some(payload) = call.payload.filter(|_| call.has(3)) else {
        return Outcome::err("'set ssl ca-file' expects a filename and CAs as a payload\n");
    };
    let name = call.arg(3);
    let done = call.admin.tls.lock().set_authorities(&name, payload, more);
    tried(done.map_err(|e| format!("{e}Can't update {name}!\n")))
}

fn set_revoked(call: &mut Call<'_>) -> Outcome {
    let Some(payload) = call.payload.filter(|_| call.has(3)) else {
        return Outcome::err("'set ssl crl-file' expects a filename and CRLs as a payload\n");
    };
    let name = call.arg(3);
    let done = call.admin.tls.lock().set_revoked(&name, payload);
    tried(done.map_err(|e| format!("{e}Can't update {name}!\n")))
}

/// Puts what is in the making in force.
fn commit<T>(
    pending: &mut Option<live::Pending<Vec<T>>>,
    files: &Files<T>,
    name: &str,
) -> Result<Arc<Slot<Vec<T>>>, Outcome> {
    let cannot = |why: &str| Outcome::err(format!("{why}Can't commit {name}!\n"));
    if pending.is_none() {
        return Err(cannot("No ongoing transaction! !\n"));
    }
    live::begin(pending.as_ref(), name).map_err(|e| cannot(&e))?;
    let (Some(slot), Some(p)) = (files.get(name), pending.take()) else {
        return Err(cannot("It was deleted meanwhile.\n"));
    };
    slot.set(p.value);
    Ok(slot.clone())
}

fn commit_authorities(call: &mut Call<'_>) -> Outcome {
    let name = match name(call, "'commit ssl ca-file' expects a filename\n") {
        Ok(name) => name,
        Err(missing) => return missing,
    };
    let plan = call.admin.plan();
    let live = &mut *call.admin.tls.lock();
    let slot = match commit(&mut live.authorities, &live.global.store.lock().authorities, &name) {
        Ok(slot) => slot,
        Err(why) => return why,
    };
    for (tls, bind) in using(&plan, |p| trusts(p, &slot)) {
        if let Err(e) = tls.rebuild(&live.global, bind) {
            return Outcome::err(format!("Committing {name}\n{e}\nFailed!\n"));
        }
    }
    committed(&name, judging(&plan, |p| trusts(p, &slot)))
}

fn committed(name: &str, instances: usize) -> Outcome {
    Outcome::Text(format!("Committing {name}{}\nSuccess!\n", ".".repeat(instances)).into_bytes())
}

/// The listeners where clients are judged by such a policy.
fn using(plan: &Plan, by: impl Fn(&Policy) -> bool) -> Vec<(&Acceptor, &BindTls)> {
    let mut left = plan.acceptors();
    let mut found = Vec::new();
    for l in &plan.listeners {
        let (Some(tls), Some(bind)) = (&l.tls, l.bind.ext.get::<BindTls>()) else { continue };
        let Some(at) = left.iter().position(|a| Arc::ptr_eq(a, tls)) else { continue };
        left.remove(at);
        if tls.judging(&by) > 0 {
            found.push((&**tls, bind));
        }
    }
    found
}

fn commit_revoked(call: &mut Call<'_>) -> Outcome {
    let name = match name(call, "'commit ssl crl-file' expects a filename\n") {
        Ok(name) => name,
        Err(missing) => return missing,
    };
    let plan = call.admin.plan();
    let live = &mut *call.admin.tls.lock();
    let done = commit(&mut live.revoked, &live.global.store.lock().revoked, &name);
    match done {
        Ok(slot) => committed(&name, judging(&plan, |p| looks_up(p, &slot))),
        Err(why) => why,
    }
}

/// `<name>` or `<name>:<index>`; with `*` in front, what is in the making.
fn indexed<'t>(text: &'t str, what: &str) -> Result<(&'t str, Option<usize>), Outcome> {
    let Some((name, index)) = text.rsplit_once(':') else { return Ok((text, None)) };
    match index.parse() {
        Ok(n) if n > 0 => Ok((name, Some(n))),
        _ => Err(Outcome::err(format!("wrong {what} index after colons in '{text}'!\n"))),
    }
}

/// Tells whether something has a file's contents.
type Used<'d, T> = &'d dyn Fn(&Arc<Slot<Vec<T>>>) -> bool;

/// What a listing shows of one file.
struct Details<'d, T> {
    what: &'static str,
    /// Of one element, behind its heading.
    one: fn(&T, &mut String),
    heading: &'static str,
    files: &'d Files<T>,
    pending: Option<&'d live::Pending<Vec<T>>>,
    /// Is anybody judged by it?
    used: Used<'d, T>,
}

impl<T> Details<'_, T> {
    fn show(&self, text: &str) -> Outcome {
        let (name, index) = match indexed(text, self.what) {
            Ok(parts) => parts,
            Err(wrong) => return wrong,
        };
        let not_found = || Outcome::err(format!("Can't display the {} file : Not found!\n", self.what));
        let there;
        let (all, status) = match name.strip_prefix('*') {
            Some(plain) => match self.pending.filter(|p| p.name == plain) {
                Some(p) => (&p.value, "Uncommitted"),
                None => return not_found(),
            },
            None => match self.files.get(name) {
                Some(slot) => {
                    there = slot.get();
                    let used = || if (self.used)(slot) { "Used" } else { "Unused" };
                    (&*there, if there.is_empty() { "Empty" } else { used() })
                }
                None => return not_found(),
            },
        };
        if index.is_some_and(|n| !(1..=all.len()).contains(&n)) {
            return Outcome::Nothing;
        }
        let mut out = format!("Filename: {name}\nStatus: {status}\n");
        for (i, one) in (1..).zip(all).filter(|(i, _)| index.is_none_or(|n| n == *i)) {
            out += &format!(" \n{} #{i}:\n", self.heading);
            (self.one)(one, &mut out);
        }
        Outcome::Text(out.into_bytes())
    }

    fn list(&self, count: impl Fn(usize) -> String) -> Outcome {
        let mut out = String::new();
        if let Some(p) = self.pending {
            out += &format!("# transaction\n*{}{}\n", p.name, count(p.value.len()));
        }
        out += "# filename\n";
        self.files.iter().for_each(|(name, slot)| out += &format!("{name}{}\n", count(slot.get().len())));
        Outcome::Text(out.into_bytes())
    }
}

fn show_authorities(call: &mut Call<'_>) -> Outcome {
    let plan = call.admin.plan();
    let live = call.admin.tls.lock();
    let store = live.global.store.lock();
    let details = Details {
        what: "CA",
        one: |c: &CertificateDer<'static>, out| describe::certificate(c.as_ref(), out),
        heading: "Certificate",
        files: &store.authorities,
        pending: live.authorities.as_ref(),
        used: &|slot| judging(&plan, |p| trusts(p, slot)) > 0,
    };
    match call.has(3) {
        true => details.show(&call.arg(3)),
        false => details.list(|n| format!(" - {n} certificate(s)")),
    }
}

fn show_revoked(call: &mut Call<'_>) -> Outcome {
    let plan = call.admin.plan();
    let live = call.admin.tls.lock();
    let store = live.global.store.lock();
    let details = Details {
        what: "CRL",
        one: |list: &Revocations, out| describe::revocations(list.der(), out),
        heading: "Certificate Revocation List",
        files: &store.revoked,
        pending: live.revoked.as_ref(),
        used: &|slot| judging(&plan, |p| looks_up(p, slot)) > 0,
    };
    match call.has(3) {
        true => details.show(&call.arg(3)),
        false => details.list(|_| String::new()),
    }
}
