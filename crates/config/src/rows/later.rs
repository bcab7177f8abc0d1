//! Sections of capabilities that are not there yet: their keywords, so that what is wrong in them is found all the same.
//! The section as a whole is refused; see [`crate::refused`].

use crate::row::{Does, Keyword, Sections};

const fn row(
    name: &'static str,
    sections: Sections,
    args: &'static str,
    what: &'static str,
    help: &'static str,
) -> Keyword {
    Keyword { name, sections, args, help, negatable: false, does: Does::NotYet(what) }
}

macro_rules! section {
    ($($table:ident, $section:ident, $what:literal: $($name:literal $args:literal $help:literal),+;)+) => {
        $(const $table: &[Keyword] = &[$(row($name, Sections::$section, $args, $what, $help)),+];)+
        /// The tables of this file.
        pub const TABLES: &[&[Keyword]] = &[$($table),+];
    };
}

section! {
    PEERS, PEERS, "peers":
        "bind" "[<address>]:port [param*]" "Where the local peer listens.",
        "default-bind" "[param*]" "Options of the lines of this kind that follow.",
        "default-server" "[param*]" "Options of the servers that follow.",
        "disabled" "" "The section is not started.",
        "enabled" "" "The section is started.",
        "log" "<target> [param*]" "Where peers are logged.",
        "peer" "<peername>" "A peer and its address.",
        "server" "<peername>" "A peer and its address.",
        "shards" "<shards>" "How many parts the tables are cut in.",
        "table" "<tablename> type { ip | ipv6 | integer | string | binary } [param*]" "A stick table that the section owns.";
    CACHE, CACHE, "caches":
        "early-hints" "<on|off>" "Sends early hints.",
        "max-age" "[<seconds>]" "Longest life of an entry.",
        "max-object-size" "<bytes>" "Largest entry.",
        "max-secondary-entries" "<number>" "Entries of one key.",
        "process-vary" "[on|off]" "Heeds the Vary header.",
        "total-max-size" "[<megabytes>]" "Room for all entries.";
    FCGI_APP, FCGI_APP, "FastCGI":
        "acl" "<aclname> <criterion> [flags] [operator] <value> ..." "A condition with a name.",
        "docroot" "<path>" "Where scripts are on the server.",
        "index" "<script-name>" "The script of a directory.",
        "log-stderr" "<target>" "Where the application's errors are logged.",
        "option" "<option>" "keep-conn, max-reqs, mpxs-conns, get-values.",
        "pass-header" "<name> [ { if | unless } <condition> ]" "A header that the application gets.",
        "path-info" "<regex>" "How the path is cut.",
        "set-param" "<name> <fmt> [ { if | unless } <condition> ]" "A parameter of the application.";
}
