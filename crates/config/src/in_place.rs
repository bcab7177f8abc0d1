//! What a running process can follow when its configuration is read again (`reload config`), and what it cannot.
//!
//! Proxies, and all that a Plan is made of, follow. A line of `global` does only if it is in [`FOLLOWED`]: everything else
//! there is settled when a process starts (privileges, threads, sizes of buffers, sockets of the Runtime API, ...), as are rings.

use crate::diag::Place;
use crate::row::Sections;

/// A line that settles something as long as the process lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its keyword.
    pub keyword: &'static str,
    /// The kind of section that it stands in.
    pub section: &'static str,
    /// The line, split and put together again.
    pub text: String,
    /// Where it stands; none: it does not stand there any more.
    pub place: Option<Place>,
}

/// Keywords of `global` whose effect is in the Plan, or on what is read or done later.
const FOLLOWED: &[&str] = &[
    "acme.scheduler",
    "ca-base",
    "close-spread-time",
    "crt-base",
    "default-path",
    "description",
    "dns-accept-family",
    "expose-deprecated-directives",
    "expose-experimental-directives",
    "grace",
    "h1-accept-payload-with-any-method",
    "h1-case-adjust",
    "h1-case-adjust-file",
    "h1-do-not-close-on-insecure-transfer-encoding",
    "h2-workaround-bogus-websocket-clients",
    "hard-stop-after",
    "harden.reject-privileged-ports.tcp",
    "httpclient.resolvers.disabled",
    "httpclient.resolvers.id",
    "httpclient.resolvers.prefer",
    "httpclient.retries",
    "httpclient.ssl.ca-file",
    "httpclient.ssl.verify",
    "httpclient.timeout.connect",
    "log",
    "max-spread-checks",
    "maxconnrate",
    "maxsessrate",
    "mworker-max-reloads",
    "ocsp-update.disable",
    "ocsp-update.httpproxy",
    "ocsp-update.maxdelay",
    "ocsp-update.mindelay",
    "ocsp-update.mode",
    "pp2-never-send-local",
    "presetenv",
    "reload-mode",
    "resetenv",
    "server-state-base",
    "server-state-file",
    "setenv",
    "spread-checks",
    "ssl-default-bind-ciphers",
    "ssl-default-bind-ciphersuites",
    "ssl-default-bind-client-sigalgs",
    "ssl-default-bind-curves",
    "ssl-default-bind-options",
    "ssl-default-bind-sigalgs",
    "ssl-default-server-ciphers",
    "ssl-default-server-ciphersuites",
    "ssl-default-server-curves",
    "ssl-default-server-options",
    "ssl-default-server-sigalgs",
    "ssl-load-extra-del-ext",
    "ssl-load-extra-files",
    "ssl-server-verify",
    "stats-file",
    "tune.glitches.kill.cpu-usage",
    "tune.h1.be.glitches-threshold",
    "tune.h1.fe.glitches-threshold",
    "tune.h2.be.glitches-threshold",
    "tune.h2.be.initial-window-size",
    "tune.h2.be.max-concurrent-streams",
    "tune.h2.be.max-frames-at-once",
    "tune.h2.be.rxbuf",
    "tune.h2.fe.glitches-threshold",
    "tune.h2.fe.initial-window-size",
    "tune.h2.fe.max-concurrent-streams",
    "tune.h2.fe.max-frames-at-once",
    "tune.h2.fe.max-rst-at-once",
    "tune.h2.fe.max-total-streams",
    "tune.h2.fe.rxbuf",
    "tune.h2.header-table-size",
    "tune.h2.initial-window-size",
    "tune.h2.log-errors",
    "tune.h2.max-concurrent-streams",
    "tune.h2.max-frame-size",
    "tune.http.logurilen",
    "tune.http.maxhdr",
    "tune.listener.default-shards",
    "tune.listener.multi-queue",
    "tune.max-checks-per-thread",
    "tune.maxaccept",
    "tune.maxrewrite",
    "tune.notsent-lowat.client",
    "tune.notsent-lowat.server",
    "tune.defaults.purge",
    "tune.rcvbuf.backend",
    "tune.rcvbuf.client",
    "tune.rcvbuf.frontend",
    "tune.rcvbuf.server",
    "tune.sndbuf.client",
    "tune.sndbuf.frontend",
    "tune.sndbuf.server",
    "tune.streams-elasticity",
    "unix-bind",
    "unsetenv",
    "zero-warning",
];

/// Done when the process starts and not again: what came of it may have been changed since.
const ONCE: &[&str] = &["set-var", "set-var-fmt"];

/// Does this keyword settle something in this section?
pub(crate) fn settles(section: Sections, keyword: &str) -> bool {
    match section {
        Sections::GLOBAL => !FOLLOWED.contains(&keyword),
        other => other == Sections::RING,
    }
}

/// Is it not to be done again?
pub(crate) fn once(keyword: &str) -> bool {
    ONCE.contains(&keyword)
}

#[cfg(test)]
mod tests {
    use crate::env::Env;
    use crate::files::LocalFiles;
    use crate::load::{SourceFile, load, load_again};
    use crate::row::Registry;

    fn source(text: &str) -> [SourceFile; 1] {
        [SourceFile { name: "test".into(), text: text.as_bytes().to_vec() }]
    }

    #[test]
    fn what_is_settled_is_not_changed() {
        let registry = Registry::new(vec![crate::rows::rows()]);
        let first = "global\n nbthread 2\n tune.bufsize 20000\n spread-checks 3\nring r\n size 5000\n";
        let loaded = load(&source(first), &registry, &LocalFiles, &mut Env::default());
        assert!(!loaded.diags.failed(), "{:?}", loaded.diags.list);
        let held = loaded.settings;
        let again =
            |text: &str| load_again(&held, &source(text), &registry, &LocalFiles, &mut Env::default());
        assert!(again(first).fixed.is_empty());
        // the same words, written otherwise
        let same = "global\n  spread-checks   5 # other\n  \"nbthread\"  2\n tune.bufsize 20000\nring r\n size 5000\n";
        let same = again(same);
        assert_eq!((same.fixed.len(), same.model.global.spread_checks), (0, 5));
        let other = again("global\n nbthread 3\n tune.bufsize 20000\nring r\n size 6000\nring s\n");
        let told: Vec<_> = other.fixed.iter().map(|s| (s.text.as_str(), s.place.map(|p| p.line))).collect();
        assert_eq!(
            told,
            [
                ("nbthread 3", Some(2)),
                ("r : size 6000", Some(5)),
                ("s : ring s", Some(6)),
                ("nbthread 2", None),
                ("r : size 5000", None)
            ]
        );
        assert_ne!(other.model.global.nbthread, Some(3));
    }
}
