use super::*;
use std::cell::RefCell;

fn sinks() -> Vec<command::Sink> {
    vec![("stderr".into(), "standard output (fd#2)".into()), ("buf0".into(), "in-memory ring buffer".into())]
}

fn text(said: Said) -> String {
    match said {
        Said::Nothing => String::new(),
        Said::Text(t) | Said::Wrong(t) => t,
        Said::Stopped(t) => t.into(),
    }
}

fn say(traces: &mut Traces, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').filter(|w| !w.is_empty()).collect();
    text(run(traces, &words, &sinks))
}

/// Is an event shown?
fn shown(traces: &mut Traces, source: Source, events: u64, level: Level, subject: Subject<'_>) -> bool {
    let event = Event { source, events, level, what: "x", subject, details: &|_, _| {} };
    traces.take(&event).is_some()
}

/// Recorded from 3.5, the sources and events that there are here.
#[test]
fn answers_are_haproxy_s() {
    let mut t = Traces::default();
    assert!(say(&mut t, "").contains(" [.] h1         : HTTP/1 multiplexer\n"));
    assert_eq!(say(&mut t, "foo"), "No such trace source 'foo'");
    assert_eq!(
        say(&mut t, "spop sink buf0 level user"),
        "Trace source 'spop' is not supported yet: there is no SPOP here."
    );
    assert_eq!(say(&mut t, "h1 foo"), "Unknown trace keyword 'foo'");
    assert_eq!(say(&mut t, "h1 start now h1c_new"), "Unknown trace keyword 'h1c_new'");
    assert_eq!(say(&mut t, "all event any"), "'event' not applicable to meta-source 'all'");
    assert_eq!(say(&mut t, "h1 event foo"), "No such trace event 'foo'");
    assert_eq!(say(&mut t, "h1 lock foo"), "Unsupported lock-on criterion 'foo'");
    assert_eq!(say(&mut t, "h1 sink foo"), "No such trace sink 'foo' ");
    assert_eq!(say(&mut t, "h1 follow foo"), "No such trace source 'foo'");
    assert_eq!(
        say(&mut t, "session verbosity clean"),
        "No such verbosity level 'clean'. Supported trace verbosities for source session:\n    \
         quiet      : only report basic information with no decoding\n  \
         * default    : report extra information when available"
    );
    assert_eq!(
        say(&mut t, "session lock"),
        "Supported lock-on criteria for source session:\n    \
         frontend   : lock on the frontend that started the trace\n    \
         listener   : lock on the listener that started the trace\n  \
         * nothing    : do not lock on anything\n    \
         session    : lock on the session that started the trace\n    \
         thread     : lock on the thread that started the trace\n"
    );
    assert_eq!(
        say(&mut t, "session start now event"),
        "Supported events for source session (+=enabled, -=disabled):\n  \
         - none         : disable all event types\n  \
         - any          : enable all event types\n  \
         + sess_new     : new session creation\n  \
         + sess_end     : session termination\n  \
         + sess_err     : session error\n"
    );
    assert_eq!(
        say(&mut t, "session sink buf0 level developer lock session start sess_new pause sess_end"),
        ""
    );
    assert_eq!(
        t.show(Some("session")).unwrap(),
        "Trace status for session:\n  - sink: buf0 [0 dropped]\n  \
         - event name   :     report    start    stop    pause\n    \
         sess_new     :        +        +        -       -\n    \
         sess_end     :        +        -        -       +\n    \
         sess_err     :        +        -        -       -\n"
    );
    assert!(t.show(None).unwrap().contains(" [R] session    -> buf0 [drp 0]  [client session management]\n"));
    assert_eq!(t.show(Some("foo")), Err("No such trace source"));
    assert_eq!(say(&mut t, "0"), "All traces now stopped");
    assert!(t.show(None).unwrap().contains(" [.] session    -> buf0"));
    assert!(say(&mut t, "h1 follow").starts_with("Not currently following any other source.\n"));
    assert_eq!(say(&mut t, "all follow session"), "");
    assert!(say(&mut t, "h1 follow").starts_with("Currently following source 'session'.\n"));
    assert!(say(&mut t, "session follow").starts_with("Not currently"));
}

#[test]
fn events_begin_pause_and_stop() {
    let mut t = Traces::default();
    let see = |t: &mut Traces, e| shown(t, Source::Session, e, Level::State, Subject::default());
    assert!(!see(&mut t, events::session::SESS_NEW));
    say(&mut t, "session sink buf0 level state start sess_new pause sess_end stop sess_err");
    assert_ne!(t.active(), 0);
    assert!(!see(&mut t, events::session::SESS_END), "it waits for its first event");
    assert!(see(&mut t, events::session::SESS_NEW) && see(&mut t, events::session::SESS_END));
    assert!(!see(&mut t, events::session::SESS_END), "it was paused");
    assert!(see(&mut t, events::session::SESS_NEW) && see(&mut t, events::session::SESS_ERR));
    assert!(!see(&mut t, events::session::SESS_NEW));
    assert_eq!(t.active(), 0);
    say(&mut t, "session event none event sess_end start now");
    assert!(!see(&mut t, events::session::SESS_NEW) && see(&mut t, events::session::SESS_END));
    say(&mut t, "session event any level user start now");
    assert!(!see(&mut t, events::session::SESS_NEW), "its level is higher");
}

#[test]
fn one_is_stuck_to_and_followed() {
    let mut t = Traces::default();
    say(&mut t, "session sink buf0 level state lock session start sess_new pause sess_end");
    say(&mut t, "h1 sink buf0 follow session");
    let of = |n| Subject { session: Some(n), ..Subject::default() };
    let h1 = |t: &mut Traces, n| shown(t, Source::H1, events::h1::RX_HEADERS, Level::User, of(n));
    assert!(!h1(&mut t, 1));
    let (new, end) = (events::session::SESS_NEW, events::session::SESS_END);
    assert!(shown(&mut t, Source::Session, new, Level::State, of(1)));
    assert!(!shown(&mut t, Source::Session, new, Level::State, of(2)));
    assert!(h1(&mut t, 1) && !h1(&mut t, 2));
    assert!(!shown(&mut t, Source::Session, end, Level::State, of(2)));
    assert!(shown(&mut t, Source::Session, end, Level::State, of(1)));
    assert!(!h1(&mut t, 1), "it waits for the next");
    assert!(shown(&mut t, Source::Session, new, Level::State, of(3)) && h1(&mut t, 3));
}

#[test]
fn the_command_line_begins_traces_on_standard_error() {
    let mut t = Traces::default();
    parse(&mut t, "h1:proto:quiet,h2").unwrap();
    let h1 = t.of(Source::H1);
    assert_eq!((h1.level, h1.verbosity, h1.status), (Level::Proto, 0, Status::Running));
    assert_eq!(t.of(Source::H2).level, Level::Error);
    assert_eq!(t.of(Source::Session).status, Status::Stopped);
    parse(&mut t, "").unwrap();
    assert_eq!(t.of(Source::Session).sink.as_deref(), Some("stderr"));
    let wrong = |text: &str| parse(&mut Traces::default(), text).unwrap_err();
    assert_eq!(wrong("foo"), "unknown trace source 'foo'.");
    assert_eq!(wrong("h1:user:clean:c"), "too many colon separators in trace definition.");
    assert_eq!(
        wrong("h1:foo"),
        "no such trace level 'foo', available levels are 'error', 'user', 'proto', 'state', 'data', and 'developer'."
    );
    assert!(
        wrong("h1::x").ends_with("are: 'quiet', 'clean', 'minimal', 'simple', 'advanced', and 'complete'.")
    );
    assert!(wrong("all::clean").starts_with("trace source must be specified"));
}

#[test]
fn a_line_is_one_line() {
    let said = RefCell::new(0);
    let details = |to: &mut String, verbosity| {
        *said.borrow_mut() = verbosity;
        to.push_str("a\nb");
    };
    let event = Event {
        source: Source::H1,
        events: 1,
        level: Level::User,
        what: "rcvd",
        subject: Subject { thread: 3, session: Some(26), ..Subject::default() },
        details: &details,
    };
    let place = Location::caller();
    let short = |text: String| text.split_once(']').unwrap().1.to_owned();
    assert_eq!(short(line(&event, place, 0, Level::User)), " rcvd");
    let full = line(&event, place, 2, Level::Developer);
    assert!(full.starts_with("[03|h1|1|"), "{full}");
    assert_eq!(full.find(']'), Some("[03|h1|1|".len() + 13));
    assert_eq!((short(full).as_str(), *said.borrow()), (" rcvd : ab - sess=0x1a", 2));
}
