//! OCSP responses (management manual section 9.3, `show ssl ocsp-response` and its kin).

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_tls::describe::{self, civil};
use portcullis_tls::ocsp;
use portcullis_tls::store::{Certificate, Slot};
use portcullis_upkeep::ocsp::in_use;
use portcullis_wire::{base64, hex};
use std::sync::Arc;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row::new(
        "set ssl ocsp-response",
        "<resp|payload>",
        Level::Admin,
        "update a certificate's OCSP Response from a base64-encode DER",
        staple,
    ),
    Row::new(
        "show ssl ocsp-response",
        "[[text|base64] id]",
        Level::Admin,
        "display the IDs of the OCSP responses used in memory, or the details of a single OCSP response (in text or base64 format)",
        show,
    ),
    Row::new(
        "show ssl ocsp-updates",
        "",
        Level::Admin,
        "display information about the next 'nb' ocsp responses that will be updated automatically",
        updates,
    ),
    Row::new(
        "update ssl ocsp-response",
        "<certfile>",
        Level::Admin,
        "send ocsp request and update stored ocsp response",
        update,
    ),
];

/// What stands for a response in listings.
pub fn key(id: &[u8]) -> String {
    hex::text(id).to_ascii_lowercase()
}

fn staple(call: &mut Call<'_>) -> Outcome {
    let word = call.words.get(3).map(Vec::as_slice);
    let Some(text) = call.payload.or(word).filter(|text| !text.trim_ascii().is_empty()) else {
        return Outcome::err("'set ssl ocsp-response' expects response in base64 encoding.\n");
    };
    let Some(response) = base64::decode_lines(text) else {
        return Outcome::err("'set ssl ocsp-response' received invalid base64 encoded response.\n");
    };
    match call.admin.tls.lock().staple(&response) {
        Ok(()) => Outcome::info("OCSP Response updated!\n"),
        Err(text) => Outcome::err(text),
    }
}

/// Certificates that listeners answer with and that have a response, or shall have one, with their identifiers.
fn all(call: &Call<'_>) -> Vec<(Vec<u8>, Arc<Slot<Certificate>>)> {
    let wanted = call.admin.tls.lock().global.ocsp;
    let mut all: Vec<(Vec<u8>, Arc<Slot<Certificate>>)> = Vec::new();
    for slot in in_use(&call.admin.plan()) {
        let certificate = slot.get();
        let updated = wanted.wants(certificate.load.ocsp_update) && certificate.responder().is_some();
        if let Some(id) = certificate.ocsp_id().filter(|_| updated || certificate.stapled.is_some())
            && !all.iter().any(|(known, _)| *known == id)
        {
            all.push((id, slot));
        }
    }
    all
}

fn show(call: &mut Call<'_>) -> Outcome {
    let (format, name) = match &*call.arg(3) {
        "" => return list(call),
        "text" => ("text", call.arg(4)),
        "base64" => ("base64", call.arg(4)),
        name => ("text", name.to_owned().into()),
    };
    if name.is_empty() {
        return Outcome::err("'show ssl ocsp-response [text|base64]' expects a valid certid.\n");
    }
    let found = all(call).into_iter().find(|(id, slot)| *slot.name == *name || key(id) == *name);
    let Some((_, slot)) = found else {
        let is_key = hex::decode(name.as_bytes()).is_ok();
        return Outcome::err(match is_key {
            true => "Certificate ID or path does not match any certificate.\n",
            false => "'show ssl ocsp-response' expects a valid certid or certificate path.\n",
        });
    };
    let certificate = slot.get();
    let Some(response) = certificate.response() else { return Outcome::Nothing };
    Outcome::Text(match format {
        "base64" => [base64::encode(base64::STANDARD, true, response), b"\n".to_vec()].concat(),
        _ => ocsp::text(response).unwrap_or_default().into_bytes(),
    })
}

fn list(call: &Call<'_>) -> Outcome {
    let mut text = String::new();
    for (id, slot) in all(call) {
        let Some(parts) = ocsp::CertId::of(&id) else { continue };
        text += &format!(
            "Certificate ID key : {}\nCertificate path : {}\n Certificate ID:\n   Issuer Name Hash: {}\n   Issuer Key \
             Hash: {}\n   Serial Number: {}\n",
            key(&id),
            slot.name,
            hex::text(parts.issuer_name_hash),
            hex::text(parts.issuer_key_hash),
            describe::serial(parts.serial)
        );
    }
    if !text.is_empty() {
        text.insert_str(0, "# Certificate IDs\n");
    }
    Outcome::Text(text.into_bytes())
}

/// `27/Nov/2026:06:48:28 +0000`; nothing: a dash.
fn moment(at: Option<i64>) -> String {
    let Some(at) = at else { return "-".to_owned() };
    let [year, month, day, hour, minute, second] = civil(at);
    format!("{day:02}/{}/{year}:{hour:02}:{minute:02}:{second:02} +0000", describe::month(month))
}

fn updates(call: &mut Call<'_>) -> Outcome {
    let mut text =
        "OCSP Certid | Path | Next Update | Last Update | Successes | Failures | Last Update Status | Last \
                    Update Status (str)\n"
            .to_owned();
    let Some(upkeep) = &call.admin.upkeep else { return Outcome::Text(text.into_bytes()) };
    upkeep.responses(|table| {
        for (id, e) in table.all() {
            let next = moment(Some(e.next).filter(|at| *at != i64::MAX));
            text += &format!(
                "{} | {} | {next} | {} | {} | {} | {} | {}\n",
                key(id),
                e.path,
                moment(e.last),
                e.successes,
                e.failures,
                e.status.code(),
                e.status.text()
            );
        }
    });
    Outcome::Text(text.into_bytes())
}

fn update(call: &mut Call<'_>) -> Outcome {
    if !call.has(3) {
        return Outcome::err("'update ssl ocsp-response' expects a filename\n");
    }
    let name = call.arg(3).into_owned();
    let cannot = |why: &str| Outcome::err(format!("{why}\nCan't send ocsp request for {name}!\n"));
    let slot = call.admin.tls.lock().global.store.lock().certificates.get(&name).cloned();
    let Some(slot) = slot else {
        return cannot(
            "Unknown certificate! 'update ssl ocsp-response' expects an already known certificate file name.",
        );
    };
    let known = all(call).into_iter().find(|(_, s)| s.get().ocsp_id() == slot.get().ocsp_id());
    let (Some((id, _)), Some(upkeep)) = (known, &call.admin.upkeep) else {
        return cannot(
            "'update ssl ocsp-response' only works on certificates that already have a known OCSP response.",
        );
    };
    match slot.get().responder() {
        Some(responder) => upkeep.fetch_now(id, &slot, responder),
        None => return cannot("The certificate names no OCSP responder."),
    }
    Outcome::Nothing
}
