//! What large lists cost: `cargo run --release -p portcullis-sample --example maps`.

#![allow(clippy::unwrap_used)]

use portcullis_sample::pattern::Method;
use portcullis_sample::pattern::shared::{How, open};
use portcullis_sample::value::Value;
use std::time::Instant;

fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|n| n.parse::<usize>().ok()).unwrap_or(0) * 4096
}

fn main() {
    let million: String =
        (0..1_000_000).map(|i| format!("host{i}.example.com backend{}\n", i % 100)).collect();
    let nets: String = (0..100_000u32)
        .map(|i| format!("{}/{}\n", std::net::Ipv4Addr::from(i.wrapping_mul(2_654_435_761)), 16 + i % 17))
        .collect();
    for (name, text, method, map) in [
        ("1,000,000 names, str", &million, Method::Str, true),
        ("1,000,000 names, beg", &million, Method::Beg, true),
        ("1,000,000 names, end", &million, Method::End, true),
        ("100,000 nets", &nets, Method::Ip, false),
    ] {
        let (before, began) = (resident(), Instant::now());
        let list = open(name, map, &|_| Ok(text.clone().into_bytes())).unwrap();
        let view = list.view(How::of(method)).unwrap();
        let (loaded, memory) = (began.elapsed(), resident().saturating_sub(before));
        let rounds = 200_000u32;
        let began = Instant::now();
        let mut hits = 0u32;
        for i in 0..rounds {
            let n = i.wrapping_mul(7919) % 2_000_000;
            let hit = if method == Method::Ip {
                view.matches(&Value::V4(n.wrapping_mul(2_654_435_761).into()))
            } else {
                let key = format!("host{n}.example.com");
                view.lookup(Value::str(key.as_bytes()), |_, value, _, _| value.len()).is_some()
            };
            hits += u32::from(hit);
        }
        let each = began.elapsed() / rounds;
        println!(
            "{name}: loaded in {loaded:?}, {} MiB, a lookup {each:?}, {hits} of {rounds} hit",
            memory >> 20
        );
    }
}
