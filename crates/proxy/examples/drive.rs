//! throwaway
use portcullis_config::addr::*;
use portcullis_config::*;
use portcullis_proxy::{plan, process::Process, start};
use std::sync::Arc;
use std::time::Duration;
#[global_allocator]
static G: mimalloc::MiMalloc = mimalloc::MiMalloc;
fn addr(s: &str) -> Address {
    let (h, p) = s.rsplit_once(':').unwrap();
    Address {
        transport: Transport::Stream,
        host: Host::V4(h.parse().unwrap()),
        ports: Ports::One(p.parse().unwrap()),
    }
}
fn main() {
    let file = std::env::args().last().unwrap();
    let text = std::fs::read_to_string(file).unwrap();
    let mut m = Model::default();
    let mut nb = 1;
    let d = |s: &str| Some(Duration::from_secs(s.trim_end_matches('s').parse().unwrap()));
    for l in text.lines() {
        let w: Vec<&str> = l.split_whitespace().collect();
        match w.as_slice() {
            ["nbthread", n] => nb = n.parse().unwrap(),
            ["frontend", n] => {
                m.open = Open::Proxy;
                let b = m.defaults[0].clone();
                m.proxies.push(Proxy { kind: ProxyKind::Frontend, name: n.to_string(), ..b })
            }
            ["backend", n] => {
                m.open = Open::Proxy;
                let b = m.defaults[0].clone();
                m.proxies.push(Proxy { kind: ProxyKind::Backend, name: n.to_string(), ..b })
            }
            ["listen", n] => {
                m.open = Open::Proxy;
                let b = m.defaults[0].clone();
                m.proxies.push(Proxy { kind: ProxyKind::Listen, name: n.to_string(), ..b })
            }
            ["mode", x] => m.open_proxy().mode = if *x == "http" { Mode::Http } else { Mode::Tcp },
            ["log", "global"] => {
                m.open_proxy().logs = vec![LogTarget {
                    place: Place::default(),
                    global: false,
                    to: LogTo::Address(Address { transport: Transport::Datagram, ..addr("127.0.0.1:9899") }),
                    len: 1024,
                    format: LogFraming::Unspecified,
                    sample: None,
                    facility: 16,
                    max_level: 7,
                    min_level: 0,
                }]
            }
            ["option", "httplog"] => m.open_proxy().log_format = LogFormat::Http,
            ["option", "tcplog"] => m.open_proxy().log_format = LogFormat::Tcp,
            ["option", "forwardfor"] => {
                m.open_proxy().forwardfor =
                    Some(AddAddress { except: None, header: String::new(), if_none: false })
            }
            ["option", "splice-auto"] => m.open_proxy().opts |= Opts::SPLICE_AUTO,
            ["timeout", "connect", t] => m.open_proxy().timeouts.connect = d(t),
            ["timeout", "client", t] => m.open_proxy().timeouts.client = d(t),
            ["timeout", "server", t] => m.open_proxy().timeouts.server = d(t),
            ["timeout", "http-keep-alive", t] => m.open_proxy().timeouts.http_keep_alive = d(t),
            ["http-reuse", "always"] => m.open_proxy().reuse = Some(Reuse::Always),
            ["default_backend", b] => {
                m.open_proxy().default_backend = Some((b.to_string(), Place::default()))
            }
            ["server", n, a] => {
                let s = Server {
                    place: Place::default(),
                    name: n.to_string(),
                    id: 0,
                    guid: None,
                    address: addr(a),
                    set: ServerSettings::default(),
                };
                m.open_proxy().servers.push(s)
            }
            ["bind", a] => m.open_proxy().binds.push(Bind {
                place: Place::default(),
                text: a.to_string(),
                address: addr(a),
                name: None,
                id: 0,
                guid_prefix: None,
                maxconn: None,
                backlog: None,
                nice: 0,
                v4v6: None,
                interface: None,
                namespace: None,
                transparent: false,
                tfo: false,
                defer_accept: false,
                mss: None,
                tcp_ut: None,
                tcp_ss: None,
                tcp_md5sig: None,
                cc: None,
                accept_proxy: false,
                accept_cip: None,
                perm: Default::default(),
                threads: vec![],
                shards: None,
                ext: Default::default(),
            }),
            _ => {}
        }
    }
    let counts = portcullis_telemetry::gate::Process::new(nb, 7500, 0, 0);
    let sinks = portcullis_telemetry::log::Sinks::new(vec![], None, "haproxy");
    let process = Process::new(nb, counts, sinks, portcullis_backend::Descriptors::new(16000, 20, 25));
    let mut diags = Diagnostics::default();
    let p = Arc::new(plan::compile(&m, &process, &mut diags));
    for d in &diags.list {
        eprintln!("{d:?}");
    }
    let bound = start::bind(&p).unwrap();
    let _r = start::start(&p, process, bound, Arc::new(|_| {})).unwrap();
    loop {
        std::thread::park();
    }
}
