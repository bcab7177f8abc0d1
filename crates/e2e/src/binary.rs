//! Which binary plays a scenario.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A load balancer that understands haproxy's command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// Where it is.
    pub path: PathBuf,
}

impl Binary {
    /// The binary under test: `PORTCULLIS_BIN`, else the one of the build that this test belongs to.
    pub fn under_test() -> Binary {
        static FOUND: OnceLock<Binary> = OnceLock::new();
        FOUND.get_or_init(|| Binary { path: find_ours() }).clone()
    }

    /// Debian's haproxy (`HAPROXY`, else `/usr/sbin/haproxy`), if it is installed.
    pub fn debian() -> Option<Binary> {
        Self::existing(&std::env::var("HAPROXY").unwrap_or("/usr/sbin/haproxy".into()))
    }

    /// HAProxy 3.5 (`HAPROXY35`, else `/usr/local/bin/haproxy35`), from which fixtures are recorded.
    pub fn haproxy35() -> Option<Binary> {
        Self::existing(&std::env::var("HAPROXY35").unwrap_or("/usr/local/bin/haproxy35".into()))
    }

    fn existing(path: &str) -> Option<Binary> {
        Path::new(path).exists().then(|| Binary { path: path.into() })
    }

    /// The version in the first line of `-v`.
    pub fn version(&self) -> String {
        let out = Command::new(&self.path).arg("-v").output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        text.split_ascii_whitespace().nth(2).unwrap_or("unknown").to_string()
    }
}

/// `target/PROFILE/portcullis` beside this test's own `target/PROFILE/deps/all-HASH`; built when it is not there.
fn find_ours() -> PathBuf {
    if let Some(path) = std::env::var_os("PORTCULLIS_BIN") {
        return path.into();
    }
    let me = std::env::current_exe().unwrap();
    let profile_dir = me.parent().and_then(Path::parent).unwrap();
    let path = profile_dir.join("portcullis");
    if !path.exists() {
        let profile = match profile_dir.file_name().and_then(|n| n.to_str()).unwrap_or("debug") {
            "debug" => "dev",
            other => other,
        };
        let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
        let done = Command::new(cargo)
            .args(["build", "--quiet", "-p", "portcullis", "--profile", profile])
            .env("CARGO_TARGET_DIR", profile_dir.parent().unwrap())
            .status();
        assert!(done.is_ok_and(|s| s.success()) && path.exists(), "building {} failed", path.display());
    }
    path
}
