//! `use_backend`, `use-server`.

use super::order::{self, Stage};
use crate::persist::Wish;
use crate::rules::action::{Target, UseBackend};
use crate::rules::lang::{At, Parsing};
use crate::rules::sets::{Guard, RuleSets};
use portcullis_config::{Cx, Line, ProxyKind};
use portcullis_sample::work;
use std::sync::Arc;

/// `use_backend`
pub fn use_backend(cx: &mut Cx<'_>, line: &Line) {
    let (kind, name) = (cx.proxy().kind, cx.proxy().name.clone());
    if kind == ProxyKind::Defaults {
        cx.alert(line.word(0), "'use_backend' not allowed in 'defaults' section.");
        return;
    }
    if kind == ProxyKind::Backend {
        let message = format!("'use_backend' ignored because backend '{name}' has no frontend capability.");
        cx.warn(line.word(0), message);
    }
    let Some(backend) = line.word(1) else {
        cx.alert(None, "'use_backend' expects a backend name.");
        return;
    };
    let mut p = Parsing::new(cx, line.args(2), At::Switch);
    if !p.at_end() {
        let message = format!(
            "unexpected keyword '{}' after switching rule, only 'if' and 'unless' are allowed.",
            p.args.peek().map(|w| w.str().into_owned()).unwrap_or_default()
        );
        cx.alert(line.word(2), message);
        return;
    }
    let condition = match p.condition() {
        Ok(condition) => condition.map(Arc::new),
        Err(why) => {
            cx.alert(None, format!("error detected while parsing switching rule : {why}."));
            return;
        }
    };
    drop(work::noted());
    let target = if backend.text.contains(&b'%') {
        match p.plain_format(backend) {
            Ok(format) => Target::Format(Arc::new(format)),
            Err(why) => {
                let text = backend.str();
                cx.alert(Some(backend), format!("failed to parse use_backend rule '{text}' : {why}."));
                return;
            }
        }
    } else {
        Target::Name(backend.str().into_owned(), usize::MAX)
    };
    cx.ext::<RuleSets>().use_backend.list.push(UseBackend {
        target,
        condition,
        place: line.place(),
        slow: !work::noted().is_empty(),
    });
    order::warn(cx, Stage::UseBackend);
}

/// `force-persist`, `ignore-persist`
pub fn persist(cx: &mut Cx<'_>, line: &Line, wish: Wish) {
    let keyword = line.word(0).map(|w| w.str().into_owned()).unwrap_or_default();
    let (kind, name) = (cx.proxy().kind, cx.proxy().name.clone());
    if kind == ProxyKind::Defaults {
        cx.alert(line.word(0), format!("'{keyword}' not allowed in 'defaults' section."));
        return;
    }
    if kind == ProxyKind::Frontend {
        let message = format!("'{keyword}' ignored because frontend '{name}' has no backend capability.");
        cx.warn(line.word(0), message);
        return;
    }
    if !line.word(1).is_some_and(|w| w.is("if") || w.is("unless")) {
        let message = format!("'{keyword}' requires either 'if' or 'unless' followed by a condition.");
        cx.alert(line.word(1), message);
        return;
    }
    match Parsing::new(cx, line.args(1), At::TcpRequest).condition() {
        Ok(Some(condition)) => {
            let guard = Guard { condition: Arc::new(condition), place: line.place() };
            cx.ext::<RuleSets>().persist.push((wish, guard));
        }
        Ok(None) => {}
        Err(why) => {
            cx.alert(None, format!("error detected while parsing a '{keyword}' rule : {why}."));
        }
    }
}

/// `force-be-switch`
pub fn force_switch(cx: &mut Cx<'_>, line: &Line) {
    if !matches!(cx.proxy().kind, ProxyKind::Frontend | ProxyKind::Listen) {
        cx.alert(line.word(0), "'force-be-switch' only available in frontend or listen section.");
        return;
    }
    if !line.word(1).is_some_and(|w| w.is("if") || w.is("unless")) {
        let message = "'force-be-switch' requires either 'if' or 'unless' followed by a condition.";
        cx.alert(line.word(1).or(line.word(0)), message);
        return;
    }
    match Parsing::new(cx, line.args(1), At::Switch).condition() {
        Ok(Some(condition)) => {
            let guard = Guard { condition: Arc::new(condition), place: line.place() };
            cx.ext::<RuleSets>().force_switch.push(guard);
        }
        Ok(None) => {}
        Err(why) => {
            cx.alert(None, format!("'force-be-switch' : {why}."));
        }
    }
}

/// `use-server`
pub fn use_server(cx: &mut Cx<'_>, line: &Line) {
    let (kind, name) = (cx.proxy().kind, cx.proxy().name.clone());
    if kind == ProxyKind::Defaults {
        cx.alert(line.word(0), "'use-server' not allowed in 'defaults' section.");
        return;
    }
    if kind == ProxyKind::Frontend {
        let message = format!("'use-server' ignored because frontend '{name}' has no backend capability.");
        cx.warn(line.word(0), message);
    }
    let Some(server) = line.word(1) else {
        cx.alert(None, "'use-server' expects a server name.");
        return;
    };
    let mut p = Parsing::new(cx, line.args(2), At::Server);
    if !p.at_end() || p.args.peek().is_none() {
        cx.alert(line.word(2), "'use-server' requires either 'if' or 'unless' followed by a condition.");
        return;
    }
    let condition = match p.condition() {
        Ok(condition) => condition.map(Arc::new),
        Err(why) => {
            cx.alert(None, format!("error detected while parsing switching rule : {why}."));
            return;
        }
    };
    let target = if server.text.contains(&b'%') {
        match p.plain_format(server) {
            Ok(format) => Target::Format(Arc::new(format)),
            Err(why) => {
                let text = server.str();
                let message = format!("use-server rule failed to parse log-format '{text}' : {why}.");
                cx.alert(Some(server), message);
                return;
            }
        }
    } else {
        Target::Name(server.str().into_owned(), usize::MAX)
    };
    cx.ext::<RuleSets>().use_server.list.push(UseBackend {
        target,
        condition,
        place: line.place(),
        // what it asks for is known when a backend has been chosen
        slow: false,
    });
}
