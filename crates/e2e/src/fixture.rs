//! Recorded transcripts: what HAProxy 3.5 did, and whether Debian's haproxy did the same.
use crate::binary::Binary;
use crate::world::World;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

/// Scenarios play side by side; what must not be hurried by others plays alone.
static STAGE: RwLock<()> = RwLock::new(());

/// Plays a scenario with the binary under test and compares it with the fixture `name`; plays it with Debian's haproxy as
/// well when the fixture says that this one does the same.
pub fn scenario(name: &str, play: impl Fn(&mut World)) {
    let run = |binary: Binary| {
        let mut world = World::new(binary);
        play(&mut world);
        world.finish()
    };
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(format!("{name}.txt"));
    if std::env::var_os("E2E_RECORD").is_some() {
        return record(&path, run);
    }
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|_| panic!("no fixture {}: record it with E2E_RECORD=1", path.display()));
    let (header, expected) = text.split_once('\n').unwrap_or(("", &text));
    let ours = Binary::under_test();
    let together = STAGE.read().unwrap_or_else(PoisonError::into_inner);
    let got = run(ours.clone());
    if got != expected {
        panic!("{name}: differs from {}\n{}", header.trim_start_matches("# "), difference(expected, &got));
    }
    let alone = std::env::var_os("E2E_ALONE").is_some();
    if let Some(debian) = Binary::debian().filter(|d| *d != ours && !alone && header.ends_with("same")) {
        // what is tested is not it: when others were in its way, it gets more chances, at last with the machine to itself
        let once = || attempt(|| run(debian.clone())).is_some_and(|t| t == expected);
        let mut matches = (0..3).any(|_| once());
        drop(together);
        if !matches {
            let _alone = STAGE.write().unwrap_or_else(PoisonError::into_inner);
            matches = (0..4).any(|_| once());
        }
        assert!(matches, "{name}: {} no longer does what was recorded", debian.version());
    }
}

fn record(path: &PathBuf, run: impl Fn(Binary) -> String) {
    let newest = Binary::haproxy35().expect("recording needs haproxy35");
    let text = run(newest.clone());
    let debian = match Binary::debian() {
        Some(debian) if attempt(|| run(debian.clone())).is_some_and(|t| t == text) => {
            format!("{}: same", debian.version())
        }
        Some(debian) => format!("{}: differs", debian.version()),
        None => "Debian's haproxy not asked".into(),
    };
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, format!("# recorded from HAProxy {}; {debian}\n{text}", newest.version())).unwrap();
}

/// A run that may fail, as with a keyword that an older version does not know.
fn attempt(run: impl FnOnce() -> String) -> Option<String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).ok()
}

/// The two texts line by line, what is missing marked by `-` and what is too much by `+`.
fn difference(expected: &str, got: &str) -> String {
    let (a, b): (Vec<_>, Vec<_>) = (expected.lines().collect(), got.lines().collect());
    // longest common subsequence; transcripts are short
    let mut table = vec![vec![0u32; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            table[i][j] =
                if a[i] == b[j] { table[i + 1][j + 1] + 1 } else { table[i + 1][j].max(table[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, String::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            out += &format!("    {}\n", a[i]);
            (i, j) = (i + 1, j + 1);
        } else if i < a.len() && (j == b.len() || table[i + 1][j] >= table[i][j + 1]) {
            out += &format!("  - {}\n", a[i]);
            i += 1;
        } else {
            out += &format!("  + {}\n", b[j]);
            j += 1;
        }
    }
    out
}
