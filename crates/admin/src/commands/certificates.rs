//! Certificates (management manual section 9.3, `show ssl cert` and its kin): a change is made in a transaction, one at
//! a time, and put in force as a whole.

use super::ocsp;
use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_proxy::plan::Plan;
use portcullis_tls::describe;
use portcullis_tls::jwt;
use portcullis_tls::live::{self, Live};
use portcullis_tls::rows::ocsp::not_stapled;
use portcullis_tls::store::{Certificate, Draft, Load, Slot};
use std::sync::Arc;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row::new(
        "abort ssl cert",
        "<certfile>",
        Level::Admin,
        "abort a transaction for a certificate file",
        abort,
    ),
    Row::new(
        "add ssl jwt",
        "<certfile>",
        Level::Admin,
        "add a certificate to those that JWT may be verified with",
        |c| tokens(c, true),
    ),
    Row::new(
        "del ssl jwt",
        "<certfile>",
        Level::Admin,
        "remove a certificate from those that JWT may be verified with",
        |c| tokens(c, false),
    ),
    Row::new(
        "show ssl jwt",
        "",
        Level::Operator,
        "display the certificates that JWT may be verified with",
        |_| {
            let names: String = jwt::names().iter().map(|n| format!("{n}\n")).collect();
            Outcome::Text(format!("# filename\n{names}").into_bytes())
        },
    ),
    Row::new("commit ssl cert", "<certfile>", Level::Admin, "commit a certificate file", commit),
    Row::new("del ssl cert", "<certfile>", Level::Admin, "delete an unused certificate file", del),
    Row::new("dump ssl cert", "<certfile>", Level::Admin, "dump the SSL certificates in PEM format", dump),
    Row::new(
        "new ssl cert",
        "<certfile>",
        Level::Admin,
        "create a new certificate file to be used in a crt-list or a directory",
        new,
    ),
    Row::new("set ssl cert", "<certfile> <payload>", Level::Admin, "replace a certificate file", set),
    Row::new(
        "show ssl cert",
        "[<certfile>]",
        Level::Operator,
        "display the SSL certificates used in memory, or the details of a file",
        show,
    ),
];

/// How many listeners and servers answer with a certificate.
fn instances(plan: &Plan, slot: &Arc<Slot<Certificate>>) -> usize {
    let clients: usize = plan.acceptors().iter().map(|a| a.instances(slot)).sum();
    let own = |s: &portcullis_proxy::plan::ServerPlan| {
        let tls = s.tls.as_ref().and_then(|t| t.connector.certificate.as_ref());
        tls.is_some_and(|c| Arc::ptr_eq(c, slot))
    };
    clients + plan.proxies.iter().flat_map(|p| p.servers.iter()).filter(|s| own(s)).count()
}

/// What the command is about; the error says what it misses.
pub fn name(call: &Call<'_>, what: &'static str) -> Result<String, Outcome> {
    if call.has(3) { Ok(call.arg(3).into_owned()) } else { Err(Outcome::err(what)) }
}

/// A change that was tried: what it says.
pub fn tried(done: Result<String, String>) -> Outcome {
    match done {
        Ok(text) => Outcome::notice(text),
        Err(text) => Outcome::err(text),
    }
}

/// `add ssl jwt`, `del ssl jwt`
fn tokens(call: &mut Call<'_>, yes: bool) -> Outcome {
    let name = match name(call, "'add ssl cert' expects a filename\n") {
        Ok(name) => name,
        Err(missing) => return missing,
    };
    let slot = call.admin.tls.lock().global.store.lock().certificates.get(&name).cloned();
    match slot {
        Some(slot) => {
            jwt::say(&slot, yes);
            Outcome::Nothing
        }
        None => Outcome::err(NOT_FOUND),
    }
}

fn new(call: &mut Call<'_>) -> Outcome {
    let name = match name(call, "'new ssl cert' expects a filename\n") {
        Ok(name) => name,
        Err(missing) => return missing,
    };
    let mut live = call.admin.tls.lock();
    if live.knows(&name) {
        return Outcome::err(format!("Certificate '{name}' already exists!\n"));
    }
    live.empty.insert(name.clone());
    Outcome::notice(format!("New empty certificate store '{name}'!\n"))
}

fn set(call: &mut Call<'_>) -> Outcome {
    let given = |payload: &&[u8]| call.has(3) && !payload.trim_ascii().is_empty();
    let Some(payload) = call.payload.filter(given) else {
        return Outcome::err("'set ssl cert' expects a filename and a certificate as a payload\n");
    };
    let name = call.arg(3);
    let done = call.admin.tls.lock().set(&name, payload);
    tried(done.map_err(|e| format!("{e}Can't update {name}!\n")))
}

fn abort(call: &mut Call<'_>) -> Outcome {
    match name(call, "'abort ssl cert' expects a filename\n") {
        Ok(name) => tried(live::abort(&mut call.admin.tls.lock().certificate, &name)),
        Err(missing) => missing,
    }
}

fn commit(call: &mut Call<'_>) -> Outcome {
    let name = match name(call, "'commit ssl cert' expects a filename\n") {
        Ok(name) => name,
        Err(missing) => return missing,
    };
    let plan = call.admin.plan();
    let slot = match call.admin.tls.lock().commit(&name, |slot| instances(&plan, slot) > 0) {
        Ok(slot) => slot,
        Err(text) => return Outcome::err(text),
    };
    for acceptor in plan.acceptors().iter().filter(|a| a.instances(&slot) > 0) {
        acceptor.refresh();
    }
    if let Some(upkeep) = &call.admin.upkeep {
        upkeep.refresh(&plan);
    }
    let mut text = format!("Committing {name}{}\n", ".".repeat(instances(&plan, &slot)));
    if let Some(Err(why)) = slot.get().stapled {
        text += &format!("{}\n", not_stapled(&format!("{name}.ocsp"), why));
    }
    Outcome::Text((text + "Success!\n").into_bytes())
}

fn del(call: &mut Call<'_>) -> Outcome {
    let name = match name(call, "'del ssl cert' expects a certificate name\n") {
        Ok(name) => name,
        Err(missing) => return missing,
    };
    let plan = call.admin.plan();
    let mut live = call.admin.tls.lock();
    let cannot =
        |why: &str| Outcome::err(format!("Can't remove the certificate: certificate '{name}' {why}!\n"));
    if !live.knows(&name) {
        return cannot("doesn't exist");
    }
    if live.certificate.as_ref().is_some_and(|p| p.name == name) {
        return Outcome::err(format!(
            "Can't remove the certificate: ongoing transaction for the certificate '{name}'\n"
        ));
    }
    if jwt::allowed(&name).is_some() {
        return cannot("in use for JWT validation, can't be deleted");
    }
    let slot = live.global.store.lock().certificates.get(&name).cloned();
    if slot.is_some_and(|slot| instances(&plan, &slot) > 0) {
        return cannot("in use, can't be deleted");
    }
    live.empty.remove(&name);
    live.global.store.lock().certificates.remove(&name);
    Outcome::notice(format!("Certificate '{name}' deleted!\n"))
}

const NOT_FOUND: &str = "Can't display the certificate: Not found or the certificate is a bundle!\n";

/// What a name stands for; with `*` in front, what is in the making.
fn draft(live: &Live, name: &str) -> Option<Draft> {
    match name.strip_prefix('*') {
        Some(name) => live.certificate.as_ref().filter(|p| p.name == name).map(|p| p.value.clone()),
        None => live.global.store.lock().certificates.get(name).map(|slot| Draft::of(&slot.get())),
    }
}

fn show(call: &mut Call<'_>) -> Outcome {
    let plan = call.admin.plan();
    let live = call.admin.tls.lock();
    if !call.has(3) {
        return Outcome::Text(list(&live).into_bytes());
    }
    let name = call.arg(3);
    if let Some(of) = name.strip_suffix(".ocsp").filter(|_| draft(&live, &name).is_none())
        && let Some(draft) = draft(&live, of)
    {
        let text = draft.ocsp.as_deref().and_then(portcullis_tls::ocsp::text);
        return Outcome::Text(text.unwrap_or_default().into_bytes());
    }
    let mut text = format!("Filename: {name}\n");
    let plain = name.strip_prefix('*').unwrap_or(&name);
    let slot = live.global.store.lock().certificates.get(plain).cloned();
    if let Some(slot) = &slot {
        files(&slot.get().load, &mut text);
    }
    let wanted = &live.global.ocsp;
    let updated = slot.as_ref().is_some_and(|s| wanted.wants(s.get().load.ocsp_update));
    let word = |on: bool| if on { "on" } else { "off" };
    text += &format!("Option: ocsp-update {}\n", word(updated));
    text += &format!("Option: jwt {}\n", word(jwt::allowed(plain).is_some()));
    if live.empty.contains(&*name) {
        return Outcome::Text(format!("{text}Status: Empty\nOCSP Response Key: \n").into_bytes());
    }
    let Some(draft) = draft(&live, &name) else { return Outcome::err(NOT_FOUND) };
    text += match slot.as_ref().filter(|_| *name == *plain) {
        None => "Status: Uncommitted\n",
        Some(_) if jwt::allowed(plain).is_some() => "Status: Used for JWT verification\n",
        Some(slot) if instances(&plan, slot) > 0 => "Status: Used\n",
        Some(_) => "Status: Unused\n",
    };
    if let Some(own) = draft.chain.first() {
        describe::certificate(own.as_ref(), &mut text);
    }
    for above in draft.chain.iter().skip(1) {
        describe::names("Chain ", above.as_ref(), &mut text);
    }
    let key = slot.filter(|_| updated || draft.ocsp.is_some()).and_then(|s| s.get().ocsp_id());
    text += &format!("OCSP Response Key: {}\n", key.map(|id| ocsp::key(&id)).unwrap_or_default());
    Outcome::Text(text.into_bytes())
}

/// The files that a certificate was loaded of.
fn files(load: &Load, text: &mut String) {
    let named = [
        ("Crt", &load.crt),
        ("Key", &load.key),
        ("OCSP", &load.ocsp),
        ("OCSP Issuer", &load.issuer),
        ("SCTL", &load.sctl),
    ];
    for (what, file) in named {
        if let Some(file) = file {
            *text += &format!("{what} filename: {file}\n");
        }
    }
}

/// Names of certificates, those without anything in them too.
fn list(live: &Live) -> String {
    let mut text = String::new();
    if let Some(p) = &live.certificate {
        text += &format!("# transaction\n*{}\n", p.name);
    }
    text += "# filename\n";
    let store = live.global.store.lock();
    let mut names: Vec<&String> = store.certificates.keys().chain(&live.empty).collect();
    names.sort();
    names.iter().for_each(|n| text += &format!("{n}\n"));
    text
}

fn dump(call: &mut Call<'_>) -> Outcome {
    let live = call.admin.tls.lock();
    if live.empty.contains(&*call.arg(3)) {
        return Outcome::Nothing;
    }
    let Some(draft) = draft(&live, &call.arg(3)) else { return Outcome::err(NOT_FOUND) };
    let mut text = String::new();
    if let Some(key) = &draft.key {
        let label = match key {
            portcullis_tls::store::Key::Pkcs1(_) => "RSA PRIVATE KEY",
            portcullis_tls::store::Key::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        describe::pem(label, key.secret_der(), &mut text);
    }
    draft.chain.iter().for_each(|c| describe::pem("CERTIFICATE", c.as_ref(), &mut text));
    Outcome::Text(text.into_bytes())
}
