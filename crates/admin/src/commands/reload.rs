//! `reload config`: the configuration read again without another process. A command of ours; HAProxy has none like it.

use crate::command::{Call, Outcome, Row};
use crate::socket::Level;

/// The rows of this file.
pub const ROWS: &[Row] = &[Row::new(
    "reload config",
    "",
    Level::Admin,
    "read the configuration again and follow it, in this process",
    reload,
)];

/// `Success=1` or `Success=0`, a line of dashes, and what was said: as `reload` of the master.
fn reload(call: &mut Call<'_>) -> Outcome {
    let Some(reloads) = &call.admin.reloads else { return Outcome::err("Not possible in this process.") };
    let (tell, answer) = tokio::sync::oneshot::channel();
    reloads(crate::Asker(tell));
    Outcome::Later(Box::pin(async move {
        match answer.await {
            Ok(r) => Outcome::Text(format!("Success={}\n--\n{}", u8::from(r.success), r.text).into_bytes()),
            Err(_) => Outcome::err("The process is ending."),
        }
    }))
}
