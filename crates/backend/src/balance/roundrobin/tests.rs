//! Against the sequences recorded from HAProxy 3.5 (`vectors.tsv`: pool, request index or command, result).

use super::*;

const VECTORS: &str = include_str!("vectors.tsv");

struct Server {
    name: &'static str,
    weight: u32,
    backup: bool,
    up: bool,
}

fn pool(name: &str) -> Vec<Server> {
    let s = |name, weight| Server { name, weight, backup: false, up: true };
    let down = |name, weight| Server { name, weight, backup: false, up: false };
    let b = |name, weight| Server { name, weight, backup: true, up: true };
    match name {
        "eq" => vec![s("s1", 1), s("s2", 1), s("s3", 1), s("s4", 1), s("s5", 1)],
        "mix" => {
            let names = ["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"];
            names.into_iter().zip([1, 2, 3, 10, 50, 100, 200, 256]).map(|(n, w)| s(n, w)).collect()
        }
        "down" => vec![s("s1", 3), s("s2", 1), down("s3", 2), s("s4", 1), s("s5", 1)],
        "rr123" => vec![s("s1", 1), s("s2", 2), s("s3", 3)],
        "rr4" => vec![s("s1", 10), s("s2", 1), s("s3", 37), s("s4", 256)],
        "bk" => vec![down("s1", 4), b("s2", 6), b("s3", 6), b("s4", 2)],
        "rrfull" => vec![s("s1", 1), s("s2", 2), s("s3", 3)],
        other => panic!("no pool {other}"),
    }
}

fn eweight(s: &Server) -> u32 {
    if s.up { s.weight * 16 } else { 0 }
}

fn start(servers: &[Server]) -> RoundRobin {
    let mut rr = RoundRobin::default();
    rr.start(servers.iter().enumerate().map(|(at, s)| (at, s.backup, eweight(s))));
    rr
}

fn rows(case: &str, pool: &str) -> Vec<(&'static str, &'static str)> {
    let rows: Vec<_> = VECTORS
        .lines()
        .map(|l| l.split('\t').collect::<Vec<_>>())
        .filter(|r| r[0] == case && r[1] == pool)
        .map(|r| (r[2], r[3]))
        .collect();
    assert!(!rows.is_empty(), "no vectors for {case} {pool}");
    rows
}

#[test]
fn sequences_are_haproxys() {
    for name in ["eq", "mix", "down", "rr123", "rr4"] {
        let servers = pool(name);
        let mut rr = start(&servers);
        for (at, expected) in rows("roundrobin", name) {
            let got = rr.choose(false, None, |at| Some(servers[at].name));
            assert_eq!(got, Some(expected), "{name} {at}");
        }
    }
}

#[test]
fn all_backups() {
    let servers = pool("bk");
    let mut rr = start(&servers);
    for (at, expected) in rows("roundrobin, allbackups", "bk") {
        assert_eq!(rr.choose(true, None, |at| Some(servers[at].name)), Some(expected), "{at}");
    }
}

#[test]
fn full_servers_are_left_out() {
    let servers = pool("rrfull");
    let limits = [2, 3, 20];
    let mut used = [0; 3];
    let mut rr = start(&servers);
    for (at, expected) in rows("roundrobin with saturation (held)", "rrfull") {
        let got = rr.choose(false, None, |at| {
            (used[at] < limits[at]).then(|| {
                used[at] += 1;
                servers[at].name
            })
        });
        assert_eq!(got, Some(expected), "{at}");
    }
}

#[test]
fn weights_and_states_change() {
    let mut servers = pool("rr4");
    let mut rr = start(&servers);
    for (key, expected) in rows("roundrobin dynamic", "rr4") {
        let Some(command) = key.strip_prefix("set server BE/") else {
            assert_eq!(rr.choose(false, None, |at| Some(servers[at].name)), Some(expected), "{key}");
            continue;
        };
        let words: Vec<_> = command.split(' ').collect();
        let at = servers.iter().position(|s| s.name == words[0]).expect("known server");
        let server = &mut servers[at];
        match (words[1], words[2]) {
            // of the configured weight 1
            ("weight", "50%") => server.weight = 0,
            ("weight", n) => server.weight = n.parse().expect("a number"),
            ("state", state) => server.up = state == "ready",
            other => panic!("{other:?}"),
        }
        rr.change(at, eweight(server));
    }
}

#[test]
fn the_avoided_server_is_the_last_resort() {
    let servers = pool("rr123");
    let mut rr = start(&servers);
    for _ in 0..20 {
        assert_ne!(rr.choose(false, Some(2), Some), Some(2));
    }
    assert_eq!(rr.choose(false, Some(2), |at| (at == 2).then_some(at)), Some(2));
    assert_eq!(rr.choose(false, Some(2), |_| None::<usize>), None);
    // nobody got lost on the way
    let mut seen = [0; 3];
    for _ in 0..60 {
        seen[rr.choose(false, None, Some).expect("some server")] += 1;
    }
    assert!(seen.iter().zip([10, 20, 30]).all(|(n, w): (&i32, i32)| (n - w).abs() <= 2), "{seen:?}");
}

#[test]
fn shares_are_the_weights() {
    let weights = [1, 5, 17, 100, 256];
    let mut rr = RoundRobin::default();
    rr.start(weights.iter().enumerate().map(|(at, w)| (at, false, w * 16)));
    let mut seen = [0u32; 5];
    let rounds = 100;
    for _ in 0..weights.iter().sum::<u32>() * rounds {
        seen[rr.choose(false, None, Some).expect("some server")] += 1;
    }
    for (n, w) in seen.iter().zip(weights) {
        assert!(n.abs_diff(w * rounds) <= rounds, "{seen:?}");
    }
}

#[test]
fn nobody_at_all() {
    let mut rr = RoundRobin::default();
    assert_eq!(rr.choose(false, None, Some), None);
    rr.start([(0, false, 0), (1, true, 0)].into_iter());
    assert_eq!(rr.choose(false, None, Some), None);
    assert_eq!(rr.choose(true, None, Some), None);
    rr.change(0, 16);
    assert_eq!(rr.choose(false, None, Some), Some(0));
    rr.change(0, 0);
    assert_eq!(rr.choose(false, None, Some), None);
}
