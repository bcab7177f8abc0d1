//! What the hot calls of this room cost, in nanoseconds a call: `cargo run --release -p portcullis-backend --example cost`

use portcullis_backend::{Ask, Choice, Connection, Descriptors, IdlePool, Lease, PoolSettings, States};
use portcullis_config::addr::{Address, Host, Ports, Transport};
use portcullis_config::{Place, Proxy, Reuse, Server, ServerSettings};
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::Arc;

struct Conn(Lease);
impl Connection for Conn {
    fn lease(&mut self) -> &mut Lease {
        &mut self.0
    }
    fn is_dead(&self) -> bool {
        false
    }
}

fn section(servers: usize, maxconn: u32) -> Proxy {
    let server = |n: usize| {
        let address = Address {
            transport: Transport::Stream,
            host: Host::V4(Ipv4Addr::LOCALHOST),
            ports: Ports::One(80),
        };
        let set = ServerSettings { maxconn, weight: Some(1 + n as u32 % 7), ..ServerSettings::default() };
        Server::new(Place::default(), format!("s{n}"), address, set)
    };
    Proxy { name: "b".into(), servers: (0..servers).map(server).collect(), ..Proxy::default() }
}

/// CPU time of this thread in nanoseconds.
fn cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn time(what: &str, mut call: impl FnMut()) {
    let rounds = 2_000_000u32;
    for _ in 0..rounds / 10 {
        call();
    }
    let begin = cpu();
    for _ in 0..rounds {
        call();
    }
    println!("{:6.1} ns  {what}", (cpu() - begin) as f64 / f64::from(rounds));
}

fn main() {
    for (servers, maxconn) in [(2, 0), (2, 100), (10, 0), (1000, 0), (1000, 100), (10_000, 0)] {
        let states = States::new(2);
        let backend = states.backend(&section(servers, maxconn), 10);
        time(
            &format!("choose a server of {servers} (maxconn {maxconn}), take its slot, give it back"),
            || {
                if let Choice::Server(slot) = backend.balance(Ask::default()) {
                    drop(black_box(slot));
                }
            },
        );
    }
    let states = States::new(2);
    let backend = states.backend(&section(2, 0), 10);
    let Some(server) = backend.server("s0") else { return };
    for idle in [1, 1000] {
        let mut pool = IdlePool::new(0, Arc::new(Descriptors::default()));
        let settings = PoolSettings::default();
        for _ in 0..idle {
            let _ = pool.put(Conn(Lease::new(server.clone(), 0)), 0, false, &settings, 0);
        }
        time(&format!("take an idle connection of {idle} and put it back"), || {
            if let Some(mut conn) = pool.take(&server, 0, Reuse::Always, false) {
                conn.0.resume(0);
                let _ = black_box(pool.put(conn, 0, false, &settings, 0));
            }
        });
    }
}
