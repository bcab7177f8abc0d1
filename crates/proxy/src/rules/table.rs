//! One row an action (manual sections 4.3 and 4.4). Their order is that of 3.5's lists of expected actions.

use super::action::Action;
use super::lang::{Condition, Parsing};
use super::parse::actions;

bitflags::bitflags! {
    /// Rule sets.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Sets: u8 {
        /// `tcp-request connection`
        const TCP_CONNECTION = 1;
        /// `tcp-request session`
        const TCP_SESSION = 2;
        /// `tcp-request content`
        const TCP_REQUEST = 4;
        /// `tcp-response content`
        const TCP_RESPONSE = 8;
        /// `http-request`
        const HTTP_REQUEST = 16;
        /// `http-response`
        const HTTP_RESPONSE = 32;
        /// `http-after-response`
        const HTTP_AFTER = 64;
    }
}

/// An action as parsed; a redirection brings its condition with it.
pub struct Parsed {
    /// The action.
    pub action: Action,
    /// Already parsed condition.
    pub condition: Option<Condition>,
}

/// Parses an action's arguments; errors are 3.5's without the final dot. The set that it is for is given.
pub type Parse = fn(&mut Parsing<'_, '_, '_>, Sets) -> Result<Parsed, String>;

/// Does it work?
#[derive(Clone, Copy)]
pub enum Works {
    /// Yes.
    Yes(Parse),
    /// It comes with this capability.
    NotYet(&'static str),
}

/// One action.
#[derive(Clone, Copy)]
pub struct ActionRow {
    /// Its name; `(*)` at the end: an argument follows directly.
    pub name: &'static str,
    /// Where it is valid.
    pub sets: Sets,
    /// Its arguments as the manual writes them.
    pub args: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// Does it work?
    pub works: Works,
}

impl ActionRow {
    /// Is this word it?
    #[must_use]
    pub fn is(&self, word: &str) -> bool {
        match self.name.strip_suffix("(*)") {
            // bare, these have a message of their own
            Some(stem @ ("set-var" | "set-var-fmt" | "unset-var")) if word == stem => true,
            Some("track-sc") => word.starts_with("track-sc"),
            Some(stem) => word.strip_prefix(stem).is_some_and(|rest| rest.starts_with('(')),
            None => word == self.name,
        }
    }
}

const TCP: Sets =
    Sets::TCP_CONNECTION.union(Sets::TCP_SESSION).union(Sets::TCP_REQUEST).union(Sets::TCP_RESPONSE);
const TCP_IN: Sets = Sets::TCP_CONNECTION.union(Sets::TCP_SESSION).union(Sets::TCP_REQUEST);
const CONTENT: Sets = Sets::TCP_REQUEST.union(Sets::TCP_RESPONSE);
const REQ: Sets = Sets::HTTP_REQUEST;
const RES: Sets = Sets::HTTP_RESPONSE;
const AFTER: Sets = Sets::HTTP_AFTER;
const HTTP: Sets = REQ.union(RES).union(AFTER);
const REQ_RES: Sets = REQ.union(RES);

const fn row(
    name: &'static str,
    sets: Sets,
    args: &'static str,
    help: &'static str,
    works: Works,
) -> ActionRow {
    ActionRow { name, sets, args, help, works }
}

use Works::{NotYet, Yes};

const STICK: Works = NotYet("stick tables");

/// The actions.
pub const ACTIONS: &[ActionRow] = &[
    row(
        "send-spoe-group",
        CONTENT.union(REQ_RES),
        "<engine-name> <group-name>",
        "Sends a group of SPOE messages.",
        NotYet("SPOE"),
    ),
    row(
        "wait-for-handshake",
        REQ,
        "",
        "Waits until the TLS handshake is done.",
        Yes(actions::wait_for_handshake),
    ),
    row(
        "set-retries",
        Sets::TCP_REQUEST.union(REQ),
        "<int> | <expr>",
        "Overrides \"retries\" for the stream.",
        Yes(super::socket::retries),
    ),
    row(
        "set-log-level",
        CONTENT.union(HTTP),
        "<level>",
        "Changes the level of the log line.",
        Yes(actions::set_log_level),
    ),
    row(
        "set-nice",
        CONTENT.union(REQ_RES),
        "<nice>",
        "Changes the priority of the stream's processing.",
        Yes(actions::set_nice),
    ),
    row(
        "switch-mode",
        Sets::TCP_REQUEST,
        "http [ proto <name> ]",
        "Upgrades the connection to HTTP.",
        Yes(actions::switch_mode),
    ),
    row(
        "use-service",
        Sets::TCP_REQUEST.union(REQ),
        "<service-name>",
        "Lets a service answer.",
        Yes(super::service::parse),
    ),
    row("sc-add-gpc(*)", TCP.union(HTTP), "{ <int> | <expr> }", "Adds to a general purpose counter.", STICK),
    row("sc-inc-gpc(*)", TCP.union(HTTP), "", "Increments a general purpose counter.", STICK),
    row("sc-inc-gpc0(*)", TCP.union(HTTP), "", "Increments gpc0.", STICK),
    row("sc-inc-gpc1(*)", TCP.union(HTTP), "", "Increments gpc1.", STICK),
    row("sc-set-gpt(*)", TCP.union(HTTP), "{ <int> | <expr> }", "Sets a general purpose tag.", STICK),
    row("sc-set-gpt0(*)", TCP.union(HTTP), "{ <int> | <expr> }", "Sets gpt0.", STICK),
    row(
        "do-resolve(*)",
        Sets::TCP_REQUEST.union(REQ),
        "<expr>",
        "Resolves a name.",
        Yes(super::do_resolve::parse),
    ),
    row("cache-use", REQ, "<name> [no-early-hints]", "Answers from a cache.", NotYet("caches")),
    row("cache-store", RES, "<name>", "Stores the response in a cache.", NotYet("caches")),
    row("add-acl(*)", REQ_RES, "<key fmt>", "Adds an entry to an ACL.", Yes(super::lists::add_acl)),
    row("add-header", HTTP, "<name> <fmt>", "Adds a header field.", Yes(actions::add_header)),
    row(
        "add-headers-bin",
        HTTP,
        "<expr> [ prefix <str> ]",
        "Adds encoded header fields.",
        Yes(super::headers_bin::add),
    ),
    row("allow", HTTP, "", "Ends the rule set; the message passes.", Yes(actions::accept)),
    row("auth", REQ, "[realm <realm>]", "Asks for a user and a password.", Yes(super::auth::parse)),
    row(
        "capture",
        HTTP,
        "<sample> [ len <length> | id <id> ]",
        "Captures a sample for logs.",
        Yes(super::capture::action),
    ),
    row("del-acl(*)", HTTP, "<key fmt>", "Deletes an entry of an ACL.", Yes(super::lists::del_acl)),
    row("del-header", HTTP, "<name> [ -m <meth> ]", "Removes header fields.", Yes(actions::del_header)),
    row(
        "del-headers-bin",
        HTTP,
        "<expr> [ -m <meth> ]",
        "Removes encoded header names.",
        Yes(super::headers_bin::delete),
    ),
    row("del-map(*)", HTTP, "<key fmt>", "Deletes an entry of a map.", Yes(super::lists::del_map)),
    row(
        "deny",
        REQ_RES,
        "[ { status | deny_status } <code> ] ...",
        "Rejects with an answer, an error page by default.",
        Yes(actions::deny),
    ),
    row(
        "disable-l7-retry",
        REQ,
        "",
        "Disables retries other than of connections.",
        Yes(actions::disable_l7_retry),
    ),
    row("do-log", HTTP, "[profile <log_profile>]", "Writes a log line.", Yes(super::do_log::parse)),
    row("early-hint", REQ, "<name> <fmt>", "Adds a field to a 103 response.", Yes(actions::early_hint)),
    row("normalize-uri", REQ, "<normalizer>", "Normalizes the URI.", Yes(super::normalize::parse)),
    row("pause", REQ_RES, "{ <timeout> | <expr> }", "Waits.", Yes(actions::pause)),
    row("redirect", REQ_RES, "<rule>", "Redirects.", Yes(actions::redirect)),
    row("reject", REQ, "", "Closes the connection without an answer.", Yes(actions::reject)),
    row(
        "replace-header",
        HTTP,
        "<name> <match-regex> <replace-fmt>",
        "Replaces values of header fields.",
        Yes(actions::replace_header),
    ),
    row("replace-path", REQ, "<match-regex> <replace-fmt>", "Replaces the path.", Yes(actions::replace_path)),
    row(
        "replace-pathq",
        REQ,
        "<match-regex> <replace-fmt>",
        "Replaces path and query.",
        Yes(actions::replace_pathq),
    ),
    row("replace-uri", REQ, "<match-regex> <replace-fmt>", "Replaces the URI.", Yes(actions::replace_uri)),
    row(
        "replace-value",
        HTTP,
        "<name> <match-regex> <replace-fmt>",
        "Replaces elements of header fields.",
        Yes(actions::replace_value),
    ),
    row(
        "return",
        REQ_RES,
        "[ status <code> ] [ content-type <type> ] ...",
        "Answers.",
        Yes(actions::r#return),
    ),
    row("set-header", HTTP, "<name> <fmt>", "Sets a header field.", Yes(actions::set_header)),
    row(
        "set-headers-bin",
        HTTP,
        "<expr> [ prefix <str> ]",
        "Sets encoded header fields.",
        Yes(super::headers_bin::set),
    ),
    row("set-map(*)", HTTP, "<key fmt> <value fmt>", "Sets an entry of a map.", Yes(super::lists::set_map)),
    row("set-method", REQ, "<fmt>", "Rewrites the method.", Yes(actions::set_method)),
    row("set-path", REQ, "<fmt>", "Rewrites the path.", Yes(actions::set_path)),
    row("set-pathq", REQ, "<fmt>", "Rewrites path and query.", Yes(actions::set_pathq)),
    row("set-query", REQ, "<fmt>", "Rewrites the query.", Yes(actions::set_query)),
    row(
        "set-status",
        RES.union(AFTER),
        "<status> [reason <str>]",
        "Replaces the status.",
        Yes(actions::set_status),
    ),
    row("set-uri", REQ, "<fmt>", "Rewrites the URI.", Yes(actions::set_uri)),
    row(
        "strict-mode",
        HTTP,
        "{ on | off }",
        "Chooses whether a rewrite that fails is an error.",
        Yes(actions::strict_mode),
    ),
    row(
        "tarpit",
        REQ,
        "[ { status | deny_status } <code> ] ...",
        "Answers after a delay.",
        Yes(actions::tarpit),
    ),
    row("track-sc(*)", REQ_RES, "<key> [table <table>]", "Tracks a stick table's entry.", STICK),
    row(
        "set-timeout",
        REQ_RES,
        "{ client | connect | queue | server | tarpit | tunnel } { <timeout> | <expr> }",
        "Overrides a timeout for the stream.",
        Yes(actions::set_timeout),
    ),
    row(
        "wait-for-body",
        REQ_RES,
        "time <time> [ at-least <bytes> ] [use-large-buffer]",
        "Waits for the body.",
        Yes(actions::wait_for_body),
    ),
    row("set-var-fmt(*)", TCP.union(HTTP), "<fmt>", "Sets a variable.", Yes(super::variables::set_format)),
    row("set-var(*)", TCP.union(HTTP), "<expr>", "Sets a variable.", Yes(super::variables::set)),
    row("unset-var(*)", TCP.union(HTTP), "", "Unsets a variable.", Yes(super::variables::unset)),
    row(
        "attach-srv",
        Sets::TCP_SESSION,
        "<srv> [name <expr>]",
        "Hands the connection over to a server.",
        Yes(super::attach::parse),
    ),
    row("do-log", TCP, "[profile <log_profile>]", "Writes a log line.", Yes(super::do_log::parse)),
    row(
        "set-bc-mark",
        Sets::TCP_REQUEST.union(REQ),
        "{ <mark> | <expr> }",
        "Marks packets to the server.",
        Yes(super::socket::server_mark),
    ),
    row(
        "set-bc-tos",
        Sets::TCP_REQUEST.union(REQ),
        "{ <tos> | <expr> }",
        "Sets the TOS field of packets to the server.",
        Yes(super::socket::server_tos),
    ),
    row("set-dst", TCP_IN.union(REQ), "<expr>", "Sets the destination address.", Yes(actions::set_dst)),
    row(
        "set-dst-port",
        TCP_IN.union(REQ),
        "<expr>",
        "Sets the destination port.",
        Yes(actions::set_dst_port),
    ),
    row(
        "set-fc-mark",
        TCP.union(REQ_RES),
        "{ <mark> | <expr> }",
        "Marks packets to the client.",
        Yes(super::socket::client_mark),
    ),
    row(
        "set-fc-tos",
        TCP.union(REQ_RES),
        "{ <tos> | <expr> }",
        "Sets the TOS field of packets to the client.",
        Yes(super::socket::client_tos),
    ),
    row(
        "set-mark",
        TCP.union(REQ_RES),
        "<mark>",
        "The old name of set-fc-mark.",
        Yes(super::socket::client_mark),
    ),
    row("set-src", TCP_IN.union(REQ), "<expr>", "Sets the source address.", Yes(actions::set_src)),
    row("set-src-port", TCP_IN.union(REQ), "<expr>", "Sets the source port.", Yes(actions::set_src_port)),
    row(
        "set-tos",
        TCP.union(REQ_RES),
        "<tos>",
        "The old name of set-fc-tos.",
        Yes(super::socket::client_tos),
    ),
    row(
        "silent-drop",
        TCP.union(REQ_RES),
        "[ rst-ttl <ttl> ]",
        "Lets the client's connection vanish.",
        Yes(super::socket::silent_drop),
    ),
    row(
        "set-bandwidth-limit",
        CONTENT.union(REQ_RES),
        "<name> [limit {<expr> | <size>}] [period {<expr> | <time>}]",
        "Enables a bandwidth limit.",
        Yes(super::bandwidth::parse),
    ),
    row(
        "set-priority-class",
        Sets::TCP_REQUEST.union(REQ),
        "<expr>",
        "Sets the class in the queue.",
        Yes(super::socket::priority_class),
    ),
    row(
        "set-priority-offset",
        Sets::TCP_REQUEST.union(REQ),
        "<expr>",
        "Sets the offset in the queue.",
        Yes(super::socket::priority_offset),
    ),
];

/// Actions of the TCP rule sets that are parsed with their keyword; they come first in lists.
pub const TCP_REQUEST_FIRST: &str =
    "'accept', 'reject', 'capture', 'expect-proxy', 'expect-netscaler-cip', 'track-sc0' ... 'track-sc2'";
/// See [`TCP_REQUEST_FIRST`].
pub const TCP_RESPONSE_FIRST: &str = "'accept', 'close', 'reject'";

/// The row of this word in this set.
#[must_use]
pub fn find(set: Sets, word: &str) -> Option<&'static ActionRow> {
    ACTIONS.iter().find(|r| r.sets.contains(set) && r.is(word))
}

/// Every action of a set as 3.5 lists them.
#[must_use]
pub fn list(set: Sets) -> String {
    let names: Vec<String> =
        ACTIONS.iter().filter(|r| r.sets.contains(set)).map(|r| format!("'{}'", r.name)).collect();
    names.join(", ")
}

/// The action whose name is nearest, if one is near.
#[must_use]
pub fn nearest(set: Sets, word: &str) -> Option<&'static str> {
    let near = |r: &&ActionRow| (distance(r.name.trim_end_matches("(*)"), word), r.name);
    let (distance, name) =
        ACTIONS.iter().filter(|r| r.sets.contains(set)).map(|r| near(&r)).min_by_key(|n| n.0)?;
    (!word.is_empty() && distance <= (word.len() / 4).max(1)).then_some(name)
}

/// Edits (insert, delete, replace) from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from HAProxy 3.5-dev5.
    #[test]
    fn lists_equal_haproxy() {
        assert_eq!(
            list(Sets::HTTP_REQUEST),
            "'send-spoe-group', 'wait-for-handshake', 'set-retries', 'set-log-level', 'set-nice', 'use-service', 'sc-add-gpc(*)', 'sc-inc-gpc(*)', 'sc-inc-gpc0(*)', 'sc-inc-gpc1(*)', 'sc-set-gpt(*)', 'sc-set-gpt0(*)', 'do-resolve(*)', 'cache-use', 'add-acl(*)', 'add-header', 'add-headers-bin', 'allow', 'auth', 'capture', 'del-acl(*)', 'del-header', 'del-headers-bin', 'del-map(*)', 'deny', 'disable-l7-retry', 'do-log', 'early-hint', 'normalize-uri', 'pause', 'redirect', 'reject', 'replace-header', 'replace-path', 'replace-pathq', 'replace-uri', 'replace-value', 'return', 'set-header', 'set-headers-bin', 'set-map(*)', 'set-method', 'set-path', 'set-pathq', 'set-query', 'set-uri', 'strict-mode', 'tarpit', 'track-sc(*)', 'set-timeout', 'wait-for-body', 'set-var-fmt(*)', 'set-var(*)', 'unset-var(*)', 'set-bc-mark', 'set-bc-tos', 'set-dst', 'set-dst-port', 'set-fc-mark', 'set-fc-tos', 'set-mark', 'set-src', 'set-src-port', 'set-tos', 'silent-drop', 'set-bandwidth-limit', 'set-priority-class', 'set-priority-offset'"
        );
        assert_eq!(
            list(Sets::HTTP_RESPONSE),
            "'send-spoe-group', 'set-log-level', 'set-nice', 'sc-add-gpc(*)', 'sc-inc-gpc(*)', 'sc-inc-gpc0(*)', 'sc-inc-gpc1(*)', 'sc-set-gpt(*)', 'sc-set-gpt0(*)', 'cache-store', 'add-acl(*)', 'add-header', 'add-headers-bin', 'allow', 'capture', 'del-acl(*)', 'del-header', 'del-headers-bin', 'del-map(*)', 'deny', 'do-log', 'pause', 'redirect', 'replace-header', 'replace-value', 'return', 'set-header', 'set-headers-bin', 'set-map(*)', 'set-status', 'strict-mode', 'track-sc(*)', 'set-timeout', 'wait-for-body', 'set-var-fmt(*)', 'set-var(*)', 'unset-var(*)', 'set-fc-mark', 'set-fc-tos', 'set-mark', 'set-tos', 'silent-drop', 'set-bandwidth-limit'"
        );
        assert_eq!(
            list(Sets::HTTP_AFTER),
            "'set-log-level', 'sc-add-gpc(*)', 'sc-inc-gpc(*)', 'sc-inc-gpc0(*)', 'sc-inc-gpc1(*)', 'sc-set-gpt(*)', 'sc-set-gpt0(*)', 'add-header', 'add-headers-bin', 'allow', 'capture', 'del-acl(*)', 'del-header', 'del-headers-bin', 'del-map(*)', 'do-log', 'replace-header', 'replace-value', 'set-header', 'set-headers-bin', 'set-map(*)', 'set-status', 'strict-mode', 'set-var-fmt(*)', 'set-var(*)', 'unset-var(*)'"
        );
        assert_eq!(
            list(Sets::TCP_CONNECTION),
            "'sc-add-gpc(*)', 'sc-inc-gpc(*)', 'sc-inc-gpc0(*)', 'sc-inc-gpc1(*)', 'sc-set-gpt(*)', 'sc-set-gpt0(*)', 'set-var-fmt(*)', 'set-var(*)', 'unset-var(*)', 'do-log', 'set-dst', 'set-dst-port', 'set-fc-mark', 'set-fc-tos', 'set-mark', 'set-src', 'set-src-port', 'set-tos', 'silent-drop'"
        );
        assert_eq!(
            list(Sets::TCP_RESPONSE),
            "'send-spoe-group', 'set-log-level', 'set-nice', 'sc-add-gpc(*)', 'sc-inc-gpc(*)', 'sc-inc-gpc0(*)', 'sc-inc-gpc1(*)', 'sc-set-gpt(*)', 'sc-set-gpt0(*)', 'set-var-fmt(*)', 'set-var(*)', 'unset-var(*)', 'do-log', 'set-fc-mark', 'set-fc-tos', 'set-mark', 'set-tos', 'silent-drop', 'set-bandwidth-limit'"
        );
        assert!(list(Sets::TCP_REQUEST).starts_with("'send-spoe-group', 'set-retries', 'set-log-level', 'set-nice', 'switch-mode', 'use-service', 'sc-add-gpc(*)'"));
        assert!(list(Sets::TCP_SESSION).contains("'unset-var(*)', 'attach-srv', 'do-log', 'set-dst'"));
    }

    #[test]
    fn names_with_arguments_and_near_misses() {
        assert_eq!(find(Sets::HTTP_REQUEST, "set-var(txn.a)").map(|r| r.name), Some("set-var(*)"));
        assert_eq!(find(Sets::HTTP_REQUEST, "set-var").map(|r| r.name), Some("set-var(*)"));
        assert!(find(Sets::HTTP_REQUEST, "add-acl").is_none());
        assert!(find(Sets::HTTP_REQUEST, "set-status").is_none());
        assert_eq!(nearest(Sets::HTTP_REQUEST, "denyy"), Some("deny"));
        assert_eq!(nearest(Sets::HTTP_REQUEST, "foo"), None);
    }
}
