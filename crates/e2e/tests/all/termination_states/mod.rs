//! Every termination state of the manual's section 8.5 with a situation that ends in it, as HAProxy 3.5 was recorded to log it
//! (`fixtures/termination_states`), and the table that is made from them (`docs/termination-states.md`).
use crate::indent;
use crate::runtime_api::ask;
use portcullis_e2e::binary::Binary;
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{World, scenario};
use std::fmt::Write;
use std::path::PathBuf;

mod cookies;
mod http;
mod http2;
mod tcp;

/// A situation.
struct Row {
    /// Of its fixture.
    name: &'static str,
    /// How the stream ends.
    state: &'static str,
    /// The same where ours is the manual's state and HAProxy 3.5's is not.
    ours: &'static str,
    /// What happens.
    situation: &'static str,
    play: fn(&mut World),
}

/// Rows, and a test for each of them.
macro_rules! rows {
    ($folder:literal; $($name:ident = $state:literal $(/ $ours:literal)?, $situation:literal, $play:expr;)*) => {
        pub(super) const ROWS: &[crate::termination_states::Row] = &[$(crate::termination_states::Row {
            name: concat!($folder, "/", stringify!($name)),
            state: $state,
            ours: [$($ours,)? $state][0],
            situation: $situation,
            play: $play,
        }),*];
        $(
            #[test]
            fn $name() {
                crate::termination_states::play(ROWS, concat!($folder, "/", stringify!($name)));
            }
        )*
    };
}
use rows;

const GLOBAL: &str = "global
  log 127.0.0.1:${log} local0
  stats socket ${dir}/cli level admin
  nbthread 1
defaults
  log global
  timeout connect 10s
  timeout client 30s
  timeout server 30s
  retries 0
  log-format \"%Tw/%Tc/%Tt ts=%tsc\"
";

/// Starts the binary: `mode`, lines of the frontend, lines of the backend (its servers, too).
fn start(w: &mut World, mode: &str, front: &str, back: &str) {
    w.proxy(&format!(
        "{GLOBAL}  mode {mode}\nfrontend fe\n  bind 127.0.0.1:${{fe}}\n{}  default_backend be\nbackend be\n{}",
        indent(front),
        indent(back)
    ));
}

/// Its only server, with these options.
fn server(options: &str) -> String {
    format!("server s1 127.0.0.1:${{o1}} {options}")
}

/// Ends the only stream of `fe` that is in this backend.
fn kill(w: &World, backend: &str) {
    w.settle();
    let place = format!("be={backend} ");
    let found = || {
        let all = ask(w, "show sess");
        let line = all.lines().find(|l| l.contains(" fe=fe ") && l.contains(&place))?;
        Some(line.split(':').next()?.to_string())
    };
    let id = wait_for(PATIENCE, found).unwrap_or_else(|| panic!("no such stream: {}", ask(w, "show sess")));
    assert_eq!(ask(w, &format!("shutdown session {id}")).trim(), "");
}

/// The line of a log that tells of a stream: the first is the row's.
fn state(transcript: &str) -> Option<&str> {
    let at = transcript.find(" ts=")? + 4;
    transcript[at..].split([' ', '\n']).next()
}

fn play(rows: &[Row], name: &str) {
    let row = rows.iter().find(|r| r.name == name).expect("a row");
    let through = |w: &mut World| {
        (row.play)(w);
        w.logs(1);
        // its bytes are other scenarios' matter
        w.forget_origins();
    };
    if row.ours == row.state || std::env::var_os("E2E_RECORD").is_some() {
        return scenario(&format!("termination_states/{name}"), through);
    }
    let binary = Binary::under_test();
    let expected = if binary.is_haproxy() { row.state } else { row.ours };
    let mut w = World::new(binary);
    through(&mut w);
    let transcript = w.finish();
    assert_eq!(state(&transcript), Some(expected), "{transcript}");
}

fn recorded(name: &str) -> String {
    let file =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/termination_states/{name}.txt"));
    std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// Every state is what its row says, in the fixture that each row's own test compares with what the binary logs.
fn table() -> String {
    let mut out = String::from(INTRODUCTION);
    let groups = [
        ("HTTP", http::ROWS),
        ("HTTP/2 with clients", http2::ROWS),
        ("TCP", tcp::ROWS),
        ("The persistence cookie: the third and fourth characters", cookies::ROWS),
    ];
    for (title, rows) in groups {
        let _ = write!(
            out,
            "\n## {title}\n\n| state | situation | HAProxy 3.5 | Portcullis |\n|---|---|---|---|\n"
        );
        let mut rows: Vec<&Row> = rows.iter().collect();
        rows.sort_by_key(|r| r.state.chars().flat_map(|c| [c.to_ascii_uppercase(), c]).collect::<String>());
        for row in rows {
            let transcript = recorded(row.name);
            let theirs = state(&transcript).unwrap_or_else(|| panic!("{}: no log line", row.name));
            assert_eq!(theirs, row.state, "{}", row.name);
            let _ = writeln!(out, "| `{}` | {} | `{theirs}` | `{}` |", row.state, row.situation, row.ours);
        }
    }
    out
}

const INTRODUCTION: &str = "# Termination states\n
What the log says of how a stream ended (manual, section 8.5), and a situation that ends so. Made by
`crates/e2e/tests/all/termination_states`: each line is a test of its own, which plays client and server byte by byte and compares our
log line with the one that HAProxy 3.5 was recorded to write. `WRITE_DOCS=1` writes this file anew.

Where the two differ, ours is what the manual says of the situation: 3.5-dev5 says `C` of every stream that an operator or a server's
state ends, logs it with the status 500 even if the client has got another one, and knows no `R` and no `CT`. No situation makes 3.5 say
`PC` or `VI`; what the manual has these for is below.
";

#[test]
fn the_table_is_documented() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/termination-states.md");
    let made = table();
    if std::env::var_os("WRITE_DOCS").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), made, "write it with WRITE_DOCS=1");
}

/// Every character that the manual gives a meaning, and every combination that it explains, has a row.
#[test]
fn every_state_of_the_manual_is_there() {
    let rows = [http::ROWS, http2::ROWS, tcp::ROWS, cookies::ROWS].into_iter().flatten();
    let all: Vec<&str> = rows.flat_map(|r| [r.state, r.ours]).collect();
    let letters = ["CSPLRIDUKcs-", "RQCHDLT-", "NIDVEOU-", "NIUPRD-"];
    let mut missing: Vec<String> = Vec::new();
    for (at, set) in letters.into_iter().enumerate() {
        missing.extend(
            set.chars()
                .filter(|c| all.iter().all(|s| s.chars().nth(at) != Some(*c)))
                .map(|c| format!("{c} at {at}")),
        );
    }
    const CAUSES: &str = "-- CC CD cD CH cH CQ CR cR CT LC LR LH SC sC SD sD SH sH sQ PC PD PH PR PT RC";
    missing.extend(CAUSES.split(' ').filter(|c| !all.iter().any(|s| s.starts_with(c))).map(str::to_owned));
    const COOKIES: &str = "-- NN II NI VN VU EI OI DI VI";
    missing
        .extend(COOKIES.split(' ').filter(|c| !all.iter().any(|s| s.get(2..) == Some(c))).map(str::to_owned));
    const UNHEARD: [&str; 2] = ["PC", "VI"];
    missing.retain(|m| !UNHEARD.contains(&m.as_str()));
    assert!(missing.is_empty(), "no row: {missing:?}");
}
