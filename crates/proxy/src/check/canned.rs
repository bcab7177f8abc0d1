//! Checks of well-known protocols as scripts: `option redis-check` and its kin.

use super::config::{Act, Connect, Mysql, Rule, Text};
use super::expect::{Expect, Pattern};
use portcullis_backend::health::Status;
use portcullis_wire::probe::{Answer, ldap, mysql, pgsql, redis, smtp, spop, tls};

/// How an answer is read, and what follows.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    /// Reads it; true: nothing more will come.
    pub read: fn(&[u8], bool) -> Answer,
    /// The status of what is no answer.
    pub garbage: Status,
    /// The step that log lines name when nothing at all comes; none: `read` judges that.
    pub empty_step: Option<u32>,
}

fn reads(read: fn(&[u8], bool) -> Answer) -> Rule {
    let reader = Reader { read, garbage: Status::L7Response, empty_step: None };
    rule(Act::Expect(Box::new(Expect::new(Pattern::Own(reader)))))
}

fn rule(act: Act) -> Rule {
    Rule { act, comment: None }
}

fn sends(bytes: impl Into<Vec<u8>>) -> Rule {
    rule(Act::Send(Text::Plain(bytes.into())))
}

/// A connection.
pub fn connect() -> Rule {
    rule(Act::Connect(Connect { default: true, unwritten: true, ..Connect::default() }))
}

/// `option ssl-hello-chk`
pub fn ssl_hello() -> Vec<Rule> {
    let reader = Reader { read: tls::record, garbage: Status::L6Response, empty_step: Some(2) };
    let mut expect = Expect::new(Pattern::Own(reader));
    (expect.ok, expect.timeout) = (Status::L6Ok, Status::L6Timeout);
    vec![connect(), sends(tls::hello()), rule(Act::Expect(Box::new(expect)))]
}

/// `option smtpchk`; the line with its end.
pub fn smtp(hello: &str) -> Vec<Rule> {
    vec![
        connect(),
        reads(smtp::reply),
        sends(hello),
        reads(smtp::hello),
        sends(smtp::QUIT),
        reads(smtp::reply),
    ]
}

/// `option mysql-check`
pub fn mysql(login: Option<&Mysql>) -> Vec<Rule> {
    match login {
        None => vec![connect(), reads(mysql::greeting)],
        Some(m) => vec![connect(), sends(mysql::login(&m.user, m.login)), reads(mysql::logged_in)],
    }
}

/// `option pgsql-check`
pub fn pgsql(user: &str) -> Vec<Rule> {
    vec![connect(), sends(pgsql::startup(user)), reads(pgsql::answer)]
}

/// `option redis-check`
pub fn redis() -> Vec<Rule> {
    vec![connect(), sends(redis::PING), reads(redis::pong)]
}

/// `option ldap-check`
pub fn ldap() -> Vec<Rule> {
    vec![connect(), sends(ldap::BIND), reads(ldap::answer)]
}

/// `option spop-check`
pub fn spop() -> Vec<Rule> {
    let reader = Reader { read: spop::answer, garbage: Status::L7Response, empty_step: Some(3) };
    vec![connect(), sends(spop::hello()), rule(Act::Expect(Box::new(Expect::new(Pattern::Own(reader)))))]
}
