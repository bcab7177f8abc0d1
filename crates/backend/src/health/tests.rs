use super::agent;
use super::*;
use crate::server::Admin;

#[test]
fn agents_words() {
    let read = |line: &str| agent::parse(line.as_bytes()).map(|s| s.status(None));
    assert_eq!(read("up"), None);
    assert_eq!(read("up\n"), Some((Status::L7Ok, "via agent : up".into())));
    assert_eq!(read("fail #boom goes\r\n"), Some((Status::L7Status, "via agent : fail (boom goes)".into())));
    assert_eq!(read("down,foo #bar\n"), Some((Status::L7Status, "via agent : down (bar)".into())));
    assert_eq!(read("Down# x\n"), Some((Status::Checked, "agent reports an error : Down#".into())));
    assert_eq!(read("\n"), Some((Status::Checked, String::new())));
    let said = agent::parse(b"ready 75%\tmaxconn:30, weight:20\nup").unwrap_or_default();
    assert_eq!((said.admin, said.state), (Some(Admin::Ready), None));
    assert_eq!((said.weight.as_deref(), said.maxconn.as_deref()), (Some("20"), Some("30")));
}

#[test]
fn rise_and_fall() {
    let settings = CheckSettings { check: true, rise: 2, fall: 3, ..CheckSettings::default() };
    let mut life = Life::new(settings.into());
    assert_eq!((life.check.health, life.check.full()), (2, 4));
    life.check.health = 0;
    life.check.step_up();
    assert!(!life.check.is_good());
    life.check.step_up();
    assert_eq!(life.check.health, 4);
    assert!(life.check.step_down() && life.check.is_good());
    assert!(life.check.step_down() && life.check.is_good());
    assert!(life.check.step_down());
    assert_eq!(life.check.health, 0);
    assert!(!life.check.step_down());
}

#[test]
fn weights() {
    use crate::weight::parse;
    assert_eq!(parse("50%", 40, false), Ok(20));
    assert_eq!(parse("256", 40, false), Ok(256));
    assert!(
        parse("257", 40, false).is_err() && parse("", 1, false).is_err() && parse("x", 1, false).is_err()
    );
    assert!(parse("5", 40, true).is_err());
    assert_eq!(parse("100%", 40, true), Ok(40));
}
