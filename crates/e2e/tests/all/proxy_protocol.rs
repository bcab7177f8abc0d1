//! PROXY protocol versions 1 and 2, both ways, and NetScaler's header (proxy-protocol.txt, netscaler-client-ip-insertion-protocol.txt).
use portcullis_e2e::binary::Binary;
use portcullis_e2e::{World, scenario};

const SHOW: &str = "
frontend fe
  bind 127.0.0.1:${fe} accept-proxy
  http-request return status 200 hdr X-Src %[src]:%[src_port] hdr X-Dst %[dst]:%[dst_port]
";

fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x20 | command, family]);
    header.extend((addresses.len() as u16).to_be_bytes());
    header.extend(addresses);
    header
}

fn accepted(name: &str, header: &[u8]) {
    scenario(&format!("proxy_protocol/{name}"), |w| {
        w.proxy(SHOW);
        let mut c = w.client("fe");
        c.send([header, b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"].concat()).read_to_end();
        w.logs(1);
    });
}

macro_rules! accepted {
    ($($name:ident: $header:expr;)*) => {
        $(#[test]
        fn $name() {
            accepted(stringify!($name), &$header[..]);
        })*
    };
}

const V4: &[u8] = &[10, 1, 2, 3, 10, 4, 5, 6, 0x30, 0x39, 0x00, 0x50];
const V6: &[u8] = &[
    0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 2, 0x30, 0x39, 0, 80,
];

accepted! {
    v1_tcp4: b"PROXY TCP4 10.1.2.3 10.4.5.6 12345 80\r\n";
    v1_tcp6: b"PROXY TCP6 2001:db8::1 2001:db8::2 12345 80\r\n";
    v1_unknown: b"PROXY UNKNOWN\r\n";
    v1_unknown_with_addresses: b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n";
    v1_port_too_large: b"PROXY TCP4 10.1.2.3 10.4.5.6 123456 80\r\n";
    v1_bad_address: b"PROXY TCP4 10.1.2.300 10.4.5.6 12345 80\r\n";
    v1_lf_only: b"PROXY TCP4 10.1.2.3 10.4.5.6 12345 80\n";
    v1_family_mismatch: b"PROXY TCP4 2001:db8::1 2001:db8::2 12345 80\r\n";
    v1_two_spaces: b"PROXY TCP4  10.1.2.3 10.4.5.6 12345 80\r\n";
    v1_leading_zero_port: b"PROXY TCP4 10.1.2.3 10.4.5.6 012345 80\r\n";
    v1_lower_case: b"proxy TCP4 10.1.2.3 10.4.5.6 12345 80\r\n";
    v1_too_long: b"PROXY UNKNOWN aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";
    none_at_all: b"";
    v2_tcp4: v2(1, 0x11, V4);
    v2_tcp6: v2(1, 0x21, V6);
    v2_local: v2(0, 0x00, b"");
    v2_local_with_addresses: v2(0, 0x11, V4);
    v2_unspecified: v2(1, 0x00, b"");
    v2_udp4: v2(1, 0x12, V4);
    v2_unix: v2(1, 0x31, &[b'/'; 216]);
    v2_short_addresses: v2(1, 0x11, &V4[..8]);
    v2_with_tlvs: v2(1, 0x11, &[V4, &[0x01, 0, 2, b'h', b'2'], &[0x04, 0, 1, 0]].concat());
    v2_with_cut_tlv: v2(1, 0x11, &[V4, &[0x01, 0, 9, b'h']].concat());
    v2_bad_version: { let mut h = v2(1, 0x11, V4); h[12] = 0x31; h };
    v2_bad_command: { let mut h = v2(1, 0x11, V4); h[12] = 0x2f; h };
    v2_unknown_family: v2(1, 0x41, V4);
    v2_bad_crc: v2(1, 0x11, &[V4, &[0x03, 0, 4, 1, 2, 3, 4]].concat());
}

/// HAProxy takes or refuses a header in pieces as they happen to arrive (the protocol lets it); we always take it.
#[test]
fn header_in_pieces() {
    let binary = Binary::under_test();
    if binary.is_haproxy() {
        return;
    }
    let mut w = World::new(binary);
    w.proxy(SHOW);
    let mut c = w.client("fe");
    for byte in
        b"PROXY TCP4 10.1.2.3 10.4.5.6 12345 80\r\nGET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
    {
        c.send_quietly(&[*byte]);
    }
    assert_eq!(c.response().field("x-src").as_deref(), Some("10.1.2.3:12345"));
}

#[test]
fn header_never_comes() {
    scenario("proxy_protocol/header_never_comes", |w| {
        w.proxy(&SHOW.replace("accept-proxy\n", "accept-proxy\n  timeout client 300ms\n"));
        w.client("fe").send("PROXY TC").read_to_end();
        w.logs(1);
    });
}

#[test]
fn expect_proxy_rule() {
    scenario("proxy_protocol/expect_proxy_rule", |w| {
        w.proxy(
            "
frontend fe
  bind 127.0.0.1:${fe}
  tcp-request connection expect-proxy layer4 if { src 127.0.0.0/8 }
  http-request return status 200 hdr X-Src %[src]:%[src_port]
",
        );
        w.client("fe").send("PROXY TCP4 10.1.2.3 10.4.5.6 12345 80\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").read_to_end();
    });
}

/// What a server gets with these server options; the first bytes of version 2 are shown escaped.
fn sent(name: &str, server: &'static str) {
    scenario(&format!("proxy_protocol/{name}"), |w| {
        let origin = w.origin("o1", |mut c| {
            if c.number == 0 {
                while c.buffered().windows(4).filter(|w| w == b"\r\n\r\n").count() < 1
                    || !c.buffered().ends_with(b"\r\n\r\n")
                {
                    if !c.fill() {
                        break;
                    }
                }
                let n = c.buffered().len();
                let bytes = c.take(n);
                c.transcript().add(describe(&bytes));
                c.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        w.proxy(&format!(
            "frontend fe\n  bind 127.0.0.1:${{fe}} accept-proxy\n  default_backend be\nbackend be\n  server s1 127.0.0.1:${{o1}} {server}\n"
        ));
        w.client("fe")
            .send("PROXY TCP4 10.1.2.3 10.4.5.6 12345 80\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .read_to_end();
        origin.wait_line(0, ">");
    });
}

/// The header up to the request, then the request line.
fn describe(bytes: &[u8]) -> String {
    let at = bytes.windows(4).position(|w| w == b"GET ").unwrap_or(bytes.len());
    bytes[..at].escape_ascii().to_string()
}

#[test]
fn send_proxy() {
    sent("send_proxy", "send-proxy");
}

#[test]
fn send_proxy_v2() {
    sent("send_proxy_v2", "send-proxy-v2");
}

#[test]
fn send_proxy_v2_with_crc() {
    sent("send_proxy_v2_with_crc", "send-proxy-v2 proxy-v2-options crc32c");
}

#[test]
fn set_proxy_v2_tlv() {
    sent("set_proxy_v2_tlv", "send-proxy-v2 set-proxy-v2-tlv-fmt(0xE1) hello");
}

#[test]
fn through_two_proxies() {
    scenario("proxy_protocol/through_two_proxies", |w| {
        w.proxy(
            "
listen outer
  bind 127.0.0.1:${fe}
  http-reuse never
  balance roundrobin
  server a 127.0.0.1:${inner} send-proxy source 127.0.0.7
  server b 127.0.0.1:${inner} send-proxy-v2 source 127.0.0.7
listen inner
  bind 127.0.0.1:${inner} accept-proxy
  http-request return status 200 hdr X-Src %[src] hdr X-Dst-Port %[dst_port]
",
        );
        for _ in 0..2 {
            w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        }
    });
}

#[test]
fn netscaler_cip() {
    scenario("proxy_protocol/netscaler_cip", |w| {
        w.proxy(
            "
frontend fe
  bind 127.0.0.1:${fe} accept-netscaler-cip 4242
  http-request return status 200 hdr X-Src %[src]:%[src_port] hdr X-Dst %[dst]:%[dst_port]
",
        );
        // legacy header: magic, length, then IPv4 and TCP headers
        let mut ip = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 1, 2, 3, 10, 4, 5, 6];
        let mut tcp = vec![0x30, 0x39, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0, 0, 0, 0, 0, 0, 0];
        ip.append(&mut tcp);
        let mut header = 4242u32.to_be_bytes().to_vec();
        header.extend((ip.len() as u32).to_be_bytes());
        header.extend(&ip);
        let mut c = w.client("fe");
        c.send([&header[..], b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"].concat())
            .read_to_end();
        let mut bad = w.client("fe");
        bad.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").wait_end();
        w.logs(2);
    });
}

/// How leniently HAProxy reads the numbers of version 1.
#[test]
fn v1_numbers() {
    scenario("proxy_protocol/v1_numbers", |w| {
        w.proxy(SHOW);
        for addresses in [
            "TCP4 1.2.3 10.4.5.6 12345 80",
            "TCP4 1.2.3. 10.4.5.6 12345 80",
            "TCP4 .1.2.3 10.4.5.6 12345 80",
            "TCP4 1.2.3.4.5 10.4.5.6 12345 80",
            "TCP4 1.2.3.999 10.4.5.6 12345 80",
            "TCP4 16909060 10.4.5.6 12345 80",
            "TCP4  10.4.5.6 12345 80",
            "TCP4 1.2.3.4 10.4.5.6 00080 80",
            "TCP4 1.2.3.4 10.4.5.6 99999999999 80",
            "TCP4 1.2.3.4 10.4.5.6 -1 80",
            "TCP4 1.2.3.4 10.4.5.6 80 80 ",
            "TCP4 1.2.3.4 10.4.5.6 80",
            "TCP6 ::1 ::2 10 20 ",
            "TCP6 ::1 ::2 10",
            "TCP6 ::1 1.2.3.4 10 20",
            "UNKNOWN ",
        ] {
            let mut c = w.client("fe");
            c.send(format!("PROXY {addresses}\r\nGET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"))
                .read_to_end();
        }
        w.logs(16);
    });
}

/// Lengths of values, and version 2 headers of the proxy's own connections.
#[test]
fn v2_values() {
    scenario("proxy_protocol/v2_values", |w| {
        w.proxy(SHOW);
        let tlv =
            |kind: u8, len: usize| [&[kind][..], &(len as u16).to_be_bytes(), &vec![b'a'; len]].concat();
        for values in [
            tlv(2, 255),
            tlv(2, 256),
            tlv(5, 128),
            tlv(5, 129),
            tlv(0xe1, 1024),
            tlv(3, 5),
            vec![1],
            vec![1, 0, 0],
        ] {
            let mut c = w.client("fe");
            let header = v2(1, 0x11, &[V4, &values].concat());
            c.send([&header[..], b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"].concat())
                .read_to_end();
        }
        for header in [v2(0, 0, &tlv(1, 2)), v2(0, 0x11, b""), v2(1, 0x21, V4), v2(1, 0x22, V6)] {
            let mut c = w.client("fe");
            c.send([&header[..], b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"].concat())
                .read_to_end();
        }
        w.logs(12);
    });
}

/// Connections that end, or say nothing, before their header is there.
#[test]
fn no_header_comes() {
    scenario("proxy_protocol/no_header_comes", |w| {
        w.proxy(
            "
frontend fe
  bind 127.0.0.1:${fe} accept-proxy name here
  timeout client-hs 300ms
  option log-separate-errors
  http-request return status 200
frontend cip
  bind 127.0.0.1:${cip} accept-netscaler-cip 4242
  timeout client 300ms
  http-request return status 200
frontend quiet
  bind 127.0.0.1:${quiet} accept-proxy
  option dontlognull
  http-request return status 200
frontend rejects
  bind 127.0.0.1:${rejects} accept-proxy
  tcp-request session reject
  http-request return status 200
",
        );
        let mut n = 0;
        for port in ["fe", "cip"] {
            w.client(port).half_close().read_to_end();
            n += 1;
            w.logs(n);
            w.client(port).read_to_end();
            n += 1;
            w.logs(n);
        }
        w.client("cip").send("\0\0").half_close().read_to_end();
        w.logs(n + 1);
        w.client("quiet").half_close().read_to_end();
        w.client("quiet").send("PRO").half_close().read_to_end();
        w.logs(n + 2);
        w.client("rejects").send("PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n").read_to_end();
        w.logs(n + 3);
    });
}

#[test]
fn send_proxy_v2_with_unique_id() {
    scenario("proxy_protocol/send_proxy_v2_with_unique_id", |w| {
        let origin = w.origin("o1", |mut c| {
            while !c.buffered().ends_with(b"\r\n\r\n") || c.buffered().len() < 20 {
                if !c.fill() {
                    break;
                }
            }
            let n = c.buffered().len();
            let bytes = c.take(n);
            c.transcript().add(describe(&bytes));
            c.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        });
        w.proxy("frontend fe\n  bind 127.0.0.1:${fe} accept-proxy\n  unique-id-format id-%ci\n  default_backend be\nbackend be\n  server s1 127.0.0.1:${o1} send-proxy-v2 proxy-v2-options unique-id,crc32c set-proxy-v2-tlv-fmt(0xE2) %[path]\n");
        w.client("fe")
            .send("PROXY TCP4 10.1.2.3 10.4.5.6 12345 80\r\nGET /p HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .read_to_end();
        origin.wait_line(0, ">");
    });
}

/// What a server is told of the client's TLS (`send-proxy-v2-ssl` and its kin).
#[test]
fn told_of_tls() {
    scenario("proxy_protocol/told_of_tls", |w| {
        crate::tls::own(w, "a", true, "DNS:a.test");
        crate::tls::own(w, "b", false, "DNS:b.test");
        let cases = [
            ("ssl", "send-proxy-v2-ssl"),
            ("cn", "send-proxy-v2-ssl-cn"),
            ("all", "send-proxy-v2 proxy-v2-options cert-cn,cert-sig,cert-key,authority"),
            ("none", "send-proxy-v2-ssl no-send-proxy-v2-ssl send-proxy-v2 proxy-v2-options authority"),
        ];
        let mut config = String::from(
            "frontend pp\n  bind 127.0.0.1:${pp} accept-proxy\n  http-request return status 200 content-type text/plain lf-string \
             \"%[fc_pp_tlv(0x20),hex] %[fc_pp_authority]\"\n",
        );
        for (name, options) in cases {
            // a client without TLS; one with a certificate; one without
            config.push_str(&format!(
                "listen {name}\n  bind 127.0.0.1:${{{name}_plain}}\n  bind 127.0.0.1:${{{name}_tls}} ssl crt ${{dir}}/a.pem ca-file \
                 ${{dir}}/b.pem verify optional crt-ignore-err all ca-ignore-err all\n  server s 127.0.0.1:${{pp}} {options}\n\
                 listen {name}_shown\n  bind 127.0.0.1:${{{name}_shown}}\n  server s 127.0.0.1:${{{name}_tls}} ssl verify none crt \
                 ${{dir}}/b.pem sni str(a.test)\nlisten {name}_bare\n  bind 127.0.0.1:${{{name}_bare}}\n  server s \
                 127.0.0.1:${{{name}_tls}} ssl verify none no-sni-auto\n"
            ));
        }
        w.proxy(&config);
        for (name, options) in cases {
            w.note(options);
            for client in ["plain", "shown", "bare"] {
                let mut c = w.client(&format!("{name}_{client}"));
                c.get("/", "Connection: close\r\n");
                let answer = String::from_utf8_lossy(&c.read_to_end().0).into_owned();
                w.note(format!("{client}: {}", answer.rsplit("\r\n").next().unwrap_or("")));
            }
        }
        w.forget_logs();
    });
}

/// The header tells of the client; the connection itself is with who sent the header.
#[test]
fn the_connection_itself_is_the_senders() {
    scenario("proxy_protocol/the_connection_itself_is_the_senders", |w| {
        w.proxy(
            "frontend fe\n  bind 127.0.0.1:${fe} accept-proxy\n  http-request return status 200 content-type text/plain lf-string \
             \"%[src] %[src_port] %[dst] %[dst_port] %[fc_src] %[fc_src_is_local] %[fc_dst] %[fc_dst_is_local]\"\n",
        );
        let mut c = w.client("fe");
        c.send("PROXY TCP4 192.0.2.1 192.0.2.2 1000 2000\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .read_to_end();
    });
}
