//! Certificates that authorities issue (management manual section 9.3, `acme status` and its kin).

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;
use portcullis_tls::describe::civil;
use portcullis_upkeep::Upkeep;
use portcullis_upkeep::acme::State;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    Row::new(
        "acme challenge_ready",
        "<certfile> domain <domain>",
        Level::Admin,
        "notify HAProxy that the ACME challenge is ready",
        challenge_ready,
    ),
    Row::new("acme renew", "<certfile>", Level::Admin, "renew a certificate using the ACME protocol", renew),
    Row::new(
        "acme revoke",
        "<certfile>",
        Level::Admin,
        "revoke a certificate using the ACME protocol, and get another one with another key",
        revoke,
    ),
    Row::new("acme status", "", Level::Admin, "show status of certificates configured with ACME", status),
];

fn challenge_ready(call: &mut Call<'_>) -> Outcome {
    if !call.has(4) || call.arg(3) != "domain" {
        return Outcome::err("Not enough parameters: \"acme challenge_ready <certfile> domain <domain>\"\n");
    }
    let (name, domain) = (call.arg(2).into_owned(), call.arg(4).into_owned());
    match call.admin.upkeep.as_ref().and_then(|u| u.record_is_there(&name, &domain)) {
        None => Outcome::err(format!(
            "Couldn't find an ACME task using crt \"{name}\" and dns \"{domain}\" to set as ready!\n"
        )),
        Some(0) => Outcome::info(format!(
            "'{name}' challenges ready! All challenges ready, starting challenges validation!\n"
        )),
        Some(left) => {
            Outcome::info(format!("'{name}' challenge(s) ready! Remaining challenges to deploy: {left}\n"))
        }
    }
}

fn renew(call: &mut Call<'_>) -> Outcome {
    start(call, "renew", |upkeep, name| upkeep.renew_now(name))
}

/// HAProxy does not have it.
fn revoke(call: &mut Call<'_>) -> Outcome {
    start(call, "revoke", |upkeep, name| upkeep.revoke_now(name))
}

/// Has something done about a certificate of an authority's.
fn start(call: &mut Call<'_>, what: &str, work: fn(&Upkeep, &str) -> bool) -> Outcome {
    if !call.has(2) {
        return Outcome::err(format!("'acme {what}' expects a certificate filename\n"));
    }
    let name = call.arg(2).into_owned();
    let live = call.admin.tls.lock();
    let slot = live.global.store.lock().certificates.get(&name).cloned();
    let Some(slot) = slot else { return Outcome::err(format!("Can't find the certificate '{name}'.\n")) };
    if slot.get().load.acme.is_none() {
        return Outcome::err(format!("No ACME configuration found for file '{name}'\n"));
    }
    match call.admin.upkeep.as_ref().is_some_and(|u| work(u, &name)) {
        true => Outcome::Nothing,
        false => Outcome::err(format!(
            "Task already exists for '{name}' certificate.\nCan't start the ACME client.\n"
        )),
    }
}

/// `2025-08-04T11:50:54Z`
fn date(at: i64) -> String {
    let [year, month, day, hour, minute, second] = civil(at);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `89d 23h01m13s`
fn left(seconds: i64) -> String {
    let s = seconds.max(0);
    format!("{}d {}h{:02}m{:02}s", s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60)
}

fn status(call: &mut Call<'_>) -> Outcome {
    let now = i64::try_from(call.admin.process.clock.wall().as_secs()).unwrap_or(0);
    let mut text = "# certificate\tsection\tstate\texpiration date (UTC)\texpires in\tscheduled date (UTC)\tscheduled in\n".to_owned();
    let Some(upkeep) = &call.admin.upkeep else { return Outcome::Text(text.into_bytes()) };
    upkeep.issued(|jobs| {
        for (name, job) in jobs.all() {
            let ends = job.slot.get().validity().map_or(0, |(_, to)| to);
            let next = if job.next == 0 { now } else { job.next };
            let scheduled = match job.state {
                State::Scheduled => format!("{}\t{}", date(next), left(next - now)),
                State::Running | State::Stopped => "-\t-".to_owned(),
            };
            text += &format!(
                "{name}\t{}\t{}\t{}\t{}\t{scheduled}\n",
                job.section,
                job.state.text(),
                date(ends),
                left(ends - now)
            );
        }
    });
    Outcome::Text(text.into_bytes())
}
