//! Traces and log lines for a collector of OpenTelemetry (docs/opentelemetry.md), which HAProxy does not have. What is sent is decoded
//! by OpenTelemetry's own definitions.
use crate::tls_sink::{TlsSink, until};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use portcullis_e2e::binary::Binary;
use portcullis_e2e::message::Message;
use portcullis_e2e::process::{PATIENCE, wait_for};
use portcullis_e2e::{Gate, OriginConn, World, h2};
use prost::Message as _;
use rustix::process::Signal;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

/// The context of a client, as `traceparent`.
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// Other binaries have nothing of the kind.
fn world() -> Option<World> {
    let ours = std::env::var_os("PORTCULLIS_BIN").is_none() && std::env::var_os("E2E_RECORD").is_none();
    ours.then(|| World::new(Binary::under_test()))
}

/// The body of a request, which may be compressed.
fn plain(request: &Message) -> Vec<u8> {
    if request.field("content-encoding").is_none() {
        return request.body.clone();
    }
    let mut out = vec![0; 1 << 20];
    let config = zlib_rs::InflateConfig { window_bits: 15 + 16 };
    let (done, code) = zlib_rs::decompress_slice(&mut out, &request.body, config);
    assert_eq!(code, zlib_rs::ReturnCode::Ok);
    done.to_vec()
}

/// What a collector has got.
#[derive(Clone, Default)]
struct Collector {
    requests: Arc<Mutex<Vec<Message>>>,
    answers: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Collector {
    fn start(w: &mut World) -> Self {
        Self::named(w, "collector", &[])
    }

    /// Gives these answers first, then takes everything.
    fn named(w: &mut World, name: &str, answers: &[&[u8]]) -> Self {
        let this = Self::default();
        *this.answers.lock().unwrap() = answers.iter().map(|a| a.to_vec()).collect();
        let (requests, answers) = (this.requests.clone(), this.answers.clone());
        w.origin(name, move |mut c: OriginConn| {
            let Some(request) = c.request() else { return };
            let mut answers = answers.lock().unwrap();
            let answer = if answers.is_empty() { OK.to_vec() } else { answers.remove(0) };
            drop(answers);
            // it is there for who looks before the proxy knows
            requests.lock().unwrap().push(request);
            c.send_quietly(&answer);
        });
        w.forget_origins();
        this
    }

    fn requests(&self, path: &str) -> Vec<Message> {
        let line = format!("POST {path} HTTP/1.1");
        self.requests.lock().unwrap().iter().filter(|m| m.start_line() == line).cloned().collect()
    }

    fn spans(&self) -> Vec<Span> {
        let all = self.requests("/v1/traces").into_iter();
        let all = all.flat_map(|m| ExportTraceServiceRequest::decode(&*plain(&m)).unwrap().resource_spans);
        all.flat_map(|r| r.scope_spans).flat_map(|s| s.spans).collect()
    }

    fn logs(&self) -> Vec<LogRecord> {
        let all = self.requests("/v1/logs").into_iter();
        let all = all.flat_map(|m| ExportLogsServiceRequest::decode(&*m.body).unwrap().resource_logs);
        all.flat_map(|r| r.scope_logs).flat_map(|s| s.log_records).collect()
    }

    /// Waits for so many spans, and gives them in the order of their beginnings.
    fn wait_spans(&self, n: usize) -> Vec<Span> {
        let mut spans = wait_for(PATIENCE, || Some(self.spans()).filter(|s| s.len() >= n))
            .unwrap_or_else(|| panic!("{n} spans: {:#?}", self.spans()));
        spans.sort_by_key(|s| s.start_time_unix_nano);
        spans
    }

    fn wait_logs(&self, n: usize) -> Vec<LogRecord> {
        wait_for(PATIENCE, || Some(self.logs()).filter(|l| l.len() >= n))
            .unwrap_or_else(|| panic!("{n} records: {:#?}", self.logs()))
    }
}

fn text(value: &Option<AnyValue>) -> String {
    match value.as_ref().and_then(|v| v.value.as_ref()) {
        Some(Value::StringValue(s)) => s.clone(),
        Some(Value::IntValue(n)) => n.to_string(),
        Some(Value::BoolValue(b)) => b.to_string(),
        other => panic!("{other:?}"),
    }
}

fn get(attributes: &[KeyValue], key: &str) -> Option<String> {
    let mut found = attributes.iter().filter(|a| a.key == key);
    let value = found.next().map(|a| text(&a.value));
    assert!(found.next().is_none(), "{key} stands there twice");
    value
}

#[track_caller]
fn has(attributes: &[KeyValue], want: &[(&str, &str)]) {
    for (key, value) in want {
        assert_eq!(get(attributes, key).as_deref(), Some(*value), "{key} in {attributes:#?}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn failed(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|s| s.code() == StatusCode::Error)
}

/// A configuration with an `otel` section: lines of it, of the frontend, and of the backend.
fn config(otel: &str, frontend: &str, backend: &str) -> String {
    format!(
        "global
  stats socket ${{dir}}/cli level admin
  log 127.0.0.1:${{log}} local0
defaults
  mode http
  timeout connect 10s
  timeout client 30s
  timeout server 30s
otel edge
  endpoint http://127.0.0.1:${{collector}}
  batch-interval 50ms
{otel}
frontend fe
  bind 127.0.0.1:${{fe}}
{frontend}
  default_backend be
backend be
{backend}
"
    )
}

const SERVER: &str = "  server s1 127.0.0.1:${o1}";

fn ask(w: &World, command: &str) -> String {
    let mut socket = UnixStream::connect(w.dir().join("cli")).unwrap();
    socket.write_all(format!("{command}\n").as_bytes()).unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    text
}

/// A line of `show otel`: sent, rejected, dropped, expired, failures, waiting, bytes.
fn counts(w: &World, signal: &str) -> Vec<u64> {
    let text = ask(w, "show otel");
    let line = text.lines().find(|l| l.starts_with(signal)).unwrap_or_else(|| panic!("{text}")).to_owned();
    line.split(' ').skip(1).map(|n| n.parse().unwrap()).collect()
}

/// A server that tells what it was asked, and answers so.
fn server(w: &mut World, name: &str, answer: &'static str) -> Arc<Mutex<Vec<Message>>> {
    let seen: Arc<Mutex<Vec<Message>>> = Arc::default();
    let mine = seen.clone();
    w.origin(name, move |mut c: OriginConn| {
        while let Some(request) = c.request() {
            mine.lock().unwrap().push(request);
            c.send_quietly(answer.as_bytes());
        }
    });
    seen
}

const TWO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Three lines are enough.
#[test]
fn a_request_is_a_trace_and_a_log_record() {
    let Some(mut w) = world() else { return };
    let collector = Collector::start(&mut w);
    let seen = server(&mut w, "o1", TWO);
    w.proxy(&config("", "  option httplog", SERVER));
    w.client("fe").get("/a?b=c&sig=secret", "User-Agent: test/1\r\n").response();
    let spans = collector.wait_spans(2);
    let [server, client] = &spans[..] else { panic!("{spans:#?}") };
    assert_eq!((server.kind(), client.kind()), (SpanKind::Server, SpanKind::Client));
    assert_eq!((&*server.name, &*client.name), ("GET", "GET"));
    assert_eq!((server.trace_id.len(), server.span_id.len(), server.parent_span_id.len()), (16, 8, 0));
    assert_eq!((&client.trace_id, &client.parent_span_id), (&server.trace_id, &server.span_id));
    assert!(server.start_time_unix_nano <= client.start_time_unix_nano);
    assert!(client.start_time_unix_nano < client.end_time_unix_nano);
    assert!(client.end_time_unix_nano <= server.end_time_unix_nano);
    assert!(!failed(server) && !failed(client));
    has(
        &server.attributes,
        &[
            ("http.request.method", "GET"),
            ("url.path", "/a"),
            ("url.query", "b=c&sig=REDACTED"),
            ("url.scheme", "http"),
            ("server.address", "test"),
            ("server.port", "80"),
            ("client.address", "127.0.0.1"),
            ("network.peer.address", "127.0.0.1"),
            ("network.protocol.version", "1.1"),
            ("user_agent.original", "test/1"),
            ("http.response.status_code", "200"),
            ("haproxy.frontend", "fe"),
            ("haproxy.backend", "be"),
            ("haproxy.server", "s1"),
            ("haproxy.termination_state", "----"),
        ],
    );
    assert_eq!(get(&server.attributes, "error.type"), None);
    let o1 = w.port("o1").to_string();
    has(
        &client.attributes,
        &[
            ("http.request.method", "GET"),
            ("url.full", "http://test/a?b=c&sig=REDACTED"),
            ("network.peer.address", "127.0.0.1"),
            ("network.peer.port", &o1),
            ("http.response.status_code", "200"),
            ("haproxy.server", "s1"),
            ("haproxy.connection.reused", "false"),
        ],
    );
    let events: Vec<&str> = client.events.iter().map(|e| &*e.name).collect();
    assert_eq!(events, ["connected", "response"]);
    // the server has the context of the attempt
    let parent = seen.lock().unwrap()[0].field("traceparent").unwrap();
    assert_eq!(parent, format!("00-{}-{}-01", hex(&server.trace_id), hex(&client.span_id)));
    let [record] = &collector.wait_logs(1)[..] else { panic!() };
    assert_eq!((&record.trace_id, &record.span_id), (&server.trace_id, &server.span_id));
    assert_eq!((record.severity_number, &*record.severity_text), (9, "info"));
    let line = text(&record.body);
    assert!(line.contains("fe be/s1 0/0/") && line.contains("\"GET /a?b=c&sig=secret HTTP/1.1\""), "{line}");
    has(
        &record.attributes,
        &[("haproxy.frontend", "fe"), ("haproxy.backend", "be"), ("haproxy.server", "s1")],
    );
    assert!(record.time_unix_nano.abs_diff(server.end_time_unix_nano) < 1_000_000_000);
    let told = collector.requests("/v1/traces").remove(0);
    assert_eq!(told.field("content-type").as_deref(), Some("application/x-protobuf"));
    let told = ExportTraceServiceRequest::decode(&*told.body).unwrap().resource_spans.remove(0);
    has(
        &told.resource.unwrap().attributes,
        &[("service.name", "edge"), ("telemetry.sdk.name", "portcullis")],
    );
    assert_eq!(told.scope_spans[0].scope.as_ref().unwrap().name, "portcullis");
    assert!(wait_for(PATIENCE, || (counts(&w, "traces") == [2, 0, 0, 0, 0, 0, 0]).then_some(())).is_some());
}

/// The context of a client goes on; one that is none is replaced, and its state with it.
#[test]
fn context_goes_on() {
    let Some(mut w) = world() else { return };
    let collector = Collector::start(&mut w);
    let seen = server(&mut w, "o1", TWO);
    w.proxy(&config("", "", SERVER));
    let mut c = w.client("fe");
    c.get("/1", &format!("traceparent: {PARENT}\r\ntracestate: a=1\r\ntracestate: b=2\r\n")).response();
    // a later version, read as far as this one goes
    c.get("/2", &format!("traceparent: cc{}-more\r\ntracestate: a=1\r\n", &PARENT[2..])).response();
    for (path, fields) in [
        ("/3", format!("traceparent: ff{}\r\ntracestate: a=1\r\n", &PARENT[2..])),
        (
            "/4",
            "traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01\r\ntracestate: a=1\r\n"
                .into(),
        ),
        ("/5", format!("traceparent: {PARENT}\r\ntraceparent: {PARENT}\r\ntracestate: a=1\r\n")),
    ] {
        c.get(path, &fields).response();
    }
    // a state that is no list, in a trace that is one
    c.get("/6", &format!("traceparent: {PARENT}\r\ntracestate: a=1,a=2\r\n")).response();
    let spans = collector.wait_spans(12);
    let of = |path: &str| {
        let server = spans.iter().find(|s| get(&s.attributes, "url.path").as_deref() == Some(path)).unwrap();
        let client = spans.iter().find(|s| s.parent_span_id == server.span_id).unwrap();
        let request = seen.lock().unwrap()[path[1..].parse::<usize>().unwrap() - 1].clone();
        assert_eq!(
            request.field("traceparent").unwrap(),
            format!("00-{}-{}-01", hex(&server.trace_id), hex(&client.span_id))
        );
        (server.clone(), request)
    };
    for (path, state, fields) in [("/1", "a=1,b=2", 2), ("/2", "a=1", 1), ("/6", "", 0)] {
        let (span, request) = of(path);
        assert_eq!(
            (hex(&span.trace_id), hex(&span.parent_span_id)),
            (TRACE.into(), "b7ad6b7169203331".into()),
            "{path}"
        );
        assert_eq!(span.trace_state, state);
        // the parent is elsewhere
        assert_eq!(span.flags, 0x301);
        assert_eq!(String::from_utf8_lossy(&request.head).matches("tracestate").count(), fields, "{path}");
    }
    for path in ["/3", "/4", "/5"] {
        let (span, request) = of(path);
        assert!(
            hex(&span.trace_id) != TRACE && span.parent_span_id.is_empty() && span.trace_state.is_empty(),
            "{path}"
        );
        assert_eq!(span.flags, 0x101);
        assert_eq!(request.field("tracestate"), None);
    }
}

/// Who has sent a request decides whether it is recorded; the ratio is for traces that begin here.
#[test]
fn sampling() {
    let Some(mut w) = world() else { return };
    let collector = Collector::start(&mut w);
    let seen = server(&mut w, "o1", TWO);
    w.proxy(&config("  sample 0", "  option httplog", SERVER));
    let mut c = w.client("fe");
    c.get("/new", "").response();
    let unsampled = PARENT.replace("-01", "-00");
    c.get("/unsampled", &format!("traceparent: {unsampled}\r\ntracestate: a=1\r\n")).response();
    c.get("/sampled", &format!("traceparent: {PARENT}\r\n")).response();
    let spans = collector.wait_spans(2);
    let logs = collector.wait_logs(3);
    let paths: Vec<_> = spans.iter().filter_map(|s| get(&s.attributes, "url.path")).collect();
    assert_eq!(paths, ["/sampled"]);
    assert_eq!(spans.len(), 2);
    let seen = seen.lock().unwrap();
    let parent = |n: usize| seen[n].field("traceparent").unwrap();
    assert!(parent(0).ends_with("-00") && parent(0).len() == 55);
    assert!(parent(1).starts_with(&format!("00-{TRACE}-")) && parent(1).ends_with("-00"));
    assert_eq!(seen[1].field("tracestate").as_deref(), Some("a=1"));
    assert!(parent(2).ends_with("-01"));
    // records tell of the trace, whether it is recorded or not
    let flags: Vec<u32> = logs.iter().map(|l| l.flags).collect();
    assert_eq!(flags, [0, 0, 1]);
    assert_eq!(hex(&logs[1].trace_id), TRACE);
}

#[test]
fn clients_that_are_not_believed() {
    let Some(mut w) = world() else { return };
    let collector = Collector::start(&mut w);
    let seen = server(&mut w, "o1", TWO);
    w.proxy(&config("  client-context ignore\n  signals traces", "", SERVER));
    w.client("fe").get("/", &format!("traceparent: {PARENT}\r\ntracestate: a=1\r\n")).response();
    let spans = collector.wait_spans(2);
    assert!(hex(&spans[0].trace_id) != TRACE && spans[0].parent_span_id.is_empty());
    assert_eq!(seen.lock().unwrap()[0].field("tracestate"), None);
    assert!(collector.requests("/v1/logs").is_empty());
}

/// Each attempt at a server is a span of its own: connections that fail, and answers that are not taken.
#[test]
fn attempts() {
    let Some(mut w) = world() else { return };
    let collector = Collector::start(&mut w);
    let seen = server(&mut w, "o2", "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    w.origin("o3", |mut c: OriginConn| {
        c.request();
    });
    let last = server(&mut w, "o4", TWO);
    let servers = "  retry-on conn-failure 503 empty-response\n  retries 5\n  option redispatch 1\n  balance roundrobin\n  \
         server none 127.0.0.1:${nobody}\n  server busy 127.0.0.1:${o2}\n  server gone 127.0.0.1:${o3}\n  server good 127.0.0.1:${o4}";
    w.proxy(&config("", "", servers));
    assert_eq!(w.client("fe").get("/", "").response().status(), 200);
    let spans = collector.wait_spans(5);
    let (server, attempts) = spans.split_first().unwrap();
    assert!(attempts.iter().all(|a| a.parent_span_id == server.span_id && a.kind() == SpanKind::Client));
    let told: Vec<_> = attempts
        .iter()
        .map(|a| {
            let of = |key| get(&a.attributes, key).unwrap_or_default();
            (of("haproxy.server"), of("error.type"), of("http.request.resend_count"), failed(a))
        })
        .collect();
    let want = [
        ("none", "connect_failed", "", true),
        ("busy", "503", "1", true),
        ("gone", "no_response", "2", true),
        ("good", "", "3", false),
    ]
    .map(|(a, b, c, d)| (a.to_string(), b.to_string(), c.to_string(), d));
    assert_eq!(told, want);
    assert!(attempts.windows(2).all(|p| p[0].end_time_unix_nano <= p[1].start_time_unix_nano));
    has(
        &server.attributes,
        &[("haproxy.retries", "3"), ("http.response.status_code", "200"), ("haproxy.server", "good")],
    );
    assert!(!failed(server));
    for (seen, span) in [(&seen, &attempts[1]), (&last, &attempts[3])] {
        let parent = seen.lock().unwrap()[0].field("traceparent").unwrap();
        assert_eq!(parent, format!("00-{}-{}-01", hex(&server.trace_id), hex(&span.span_id)));
    }
}

/// What has gone wrong is told, with and without a server.
#[test]
fn errors() {
    let Some(mut w) = world() else { return };
    let collector = Collector::start(&mut w);
    let rules =
        "  http-request deny if { path /denied }\n  http-request return status 500 if { path /broken }";
    w.proxy(&config("", rules, "  retries 0\n  server none 127.0.0.1:${nobody}"));
    let mut c = w.client("fe");
    for path in ["/denied", "/broken", "/nobody"] {
        c.get(path, "").response();
    }
    let spans = collector.wait_spans(4);
    let told: Vec<_> = spans
        .iter()
        .map(|s| {
            let of = |key| get(&s.attributes, key).unwrap_or_default();
            let kind = if s.kind() == SpanKind::Server { "server" } else { "client" };
            format!(
                "{kind} {} {} {} {}",
                of("http.response.status_code"),
                of("error.type"),
                of("haproxy.termination_state"),
                failed(s)
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "server 403  PR-- false",
            "server 500 500 LR-- true",
            "server 503 connect_failed SC-- true",
            "client  connect_failed  true"
        ]
    );
}

#[test]
fn streams_of_http2_and_tcp() {
    let Some(mut w) = world() else { return };
    let collector = Collector::start(&mut w);
    server(&mut w, "o1", TWO);
    let more = "frontend tcp\n  mode tcp\n  bind 127.0.0.1:${tcp}\n  default_backend raw\nbackend raw\n  mode tcp\n  server t1 127.0.0.1:${o1}\n";
    let text = format!("{}{more}", config("", "", SERVER)).replace("${fe}", "${fe} proto h2");
    w.proxy(&text);
    let mut c = w.h2_client("fe", &[]);
    c.headers(1, &[&h2::start("PATCH", "/two")[..], &[("traceparent", PARENT)]].concat(), true).answer(1);
    let spans = collector.wait_spans(2);
    has(
        &spans[0].attributes,
        &[("http.request.method", "PATCH"), ("network.protocol.version", "2"), ("url.path", "/two")],
    );
    assert_eq!(hex(&spans[1].trace_id), TRACE);
    let mut c = w.client("tcp");
    c.get("/", "").response();
    c.close();
    let spans = collector.wait_spans(4);
    let [.., server, client] = &spans[..] else { panic!() };
    assert_eq!((&*server.name, &*client.name), ("TCP", "TCP"));
    has(
        &server.attributes,
        &[("network.transport", "tcp"), ("haproxy.frontend", "tcp"), ("haproxy.termination_state", "--")],
    );
    has(&client.attributes, &[("haproxy.server", "t1")]);
    assert_eq!(get(&server.attributes, "url.path"), None);
}

/// Without a section nothing is written into requests; a proxy can be left out.
#[test]
fn proxies_that_are_left_out() {
    let Some(mut w) = world() else { return };
    let collector = Collector::start(&mut w);
    let seen = server(&mut w, "o1", TWO);
    let more = "frontend quiet\n  bind 127.0.0.1:${quiet}\n  no option otel\n  default_backend be\n";
    w.proxy(&format!("{}{more}", config("", "", SERVER)));
    w.client("quiet").get("/quiet", &format!("traceparent: {PARENT}\r\n")).response();
    w.client("fe").get("/told", "").response();
    let spans = collector.wait_spans(2);
    assert_eq!(get(&spans[0].attributes, "url.path").as_deref(), Some("/told"));
    // as it came
    assert_eq!(seen.lock().unwrap()[0].field("traceparent").as_deref(), Some(PARENT));
    assert!(
        collector
            .wait_logs(1)
            .iter()
            .all(|l| get(&l.attributes, "haproxy.frontend").as_deref() == Some("fe"))
    );
}

#[test]
fn what_the_section_says_is_sent() {
    let Some(mut w) = world() else { return };
    let collector = Collector::start(&mut w);
    server(&mut w, "o1", TWO);
    let section = "  service-name shop\n  attribute deployment.environment.name test\n  attribute host.name other\n  \
         header Authorization \"Bearer x\"\n  signals logs";
    let text = config(section, "", SERVER).replace("${collector}", "${collector}/base/");
    w.proxy(&text);
    w.client("fe").get("/", "").response();
    let got = wait_for(PATIENCE, || collector.requests("/base/v1/logs").pop()).unwrap();
    assert_eq!(got.field("authorization").as_deref(), Some("Bearer x"));
    let got = ExportLogsServiceRequest::decode(&*got.body).unwrap();
    let attributes = &got.resource_logs[0].resource.as_ref().unwrap().attributes;
    has(
        attributes,
        &[("service.name", "shop"), ("deployment.environment.name", "test"), ("host.name", "other")],
    );
    let record = &got.resource_logs[0].scope_logs[0].log_records[0];
    assert!(record.trace_id.is_empty() && record.span_id.is_empty());
}

/// A collector that asks for patience gets it; one that refuses is not asked again; one that takes a part says so.
#[test]
fn a_collector_that_is_busy() {
    let Some(mut w) = world() else { return };
    let message = ExportLogsPartialSuccess { rejected_log_records: 1, error_message: "too old".into() };
    let part = ExportLogsServiceResponse { partial_success: Some(message) };
    let part = part.encode_to_vec();
    let part =
        [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", part.len()).as_bytes(), &part].concat();
    let collector = Collector::named(
        &mut w,
        "collector",
        &[
            b"HTTP/1.1 429 Slow down\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 503 Later\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n",
            &part,
        ],
    );
    server(&mut w, "o1", TWO);
    w.proxy(&config("  signals logs", "", SERVER));
    let mut c = w.client("fe");
    let counted = |w: &World, want: [u64; 7]| {
        let done = wait_for(PATIENCE, || (counts(w, "logs") == want).then_some(()));
        assert!(done.is_some(), "{want:?} {:?}", counts(w, "logs"));
    };
    c.get("/1", "").response();
    counted(&w, [1, 0, 0, 0, 2, 0, 0]);
    c.get("/2", "").response();
    counted(&w, [1, 1, 0, 0, 3, 0, 0]);
    c.get("/3", "").response();
    counted(&w, [1, 2, 0, 0, 3, 0, 0]);
    c.get("/4", "").response();
    counted(&w, [2, 2, 0, 0, 3, 0, 0]);
    assert_eq!(collector.requests("/v1/logs").len(), 6);
    // once a minute
    let logs = w.logs(1);
    assert!(
        logs[0].contains("otel edge: cannot send logs to http://127.0.0.1:")
            && logs[0].contains("status 429"),
        "{logs:?}"
    );
}

/// Nobody waits for a collector that is not there or does not answer; what finds no room is counted.
#[test]
fn a_collector_that_is_stuck() {
    let Some(mut w) = world() else { return };
    let gate = Gate::default();
    let held = gate.clone();
    w.origin("collector", move |mut c: OriginConn| {
        c.request();
        held.wait();
    });
    server(&mut w, "o1", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    w.proxy(&config("  queue-size 64k\n  batch-size 10", "", SERVER));
    let mut c = w.client("fe");
    let long = "x".repeat(2000);
    for n in 0..100 {
        assert_eq!(c.get(&format!("/{n}/{long}"), "").response().status(), 200);
    }
    // the last request is counted when it is over, which its client may know before
    let all = wait_for(PATIENCE, || Some(counts(&w, "traces")).filter(|c| c[2] + c[5] == 200));
    let [sent, _, dropped, _, _, _, bytes] = all.unwrap_or_else(|| panic!("{:?}", counts(&w, "traces")))[..]
    else {
        panic!()
    };
    assert!(sent == 0 && dropped > 100 && bytes <= 65_536, "{:?}", counts(&w, "traces"));
    // the process ends all the same
    w.process(0).signal(Signal::USR1);
    c.close();
    assert!(w.process(0).wait(PATIENCE).is_some());
    gate.open();
}

#[test]
fn a_collector_that_comes_later() {
    let Some(mut w) = world() else { return };
    server(&mut w, "o1", TWO);
    w.port("collector");
    w.proxy(&config("", "", SERVER));
    assert_eq!(w.client("fe").get("/early", "").response().status(), 200);
    assert!(wait_for(PATIENCE, || (counts(&w, "traces")[4] > 0).then_some(())).is_some());
    let collector = Collector::start(&mut w);
    assert_eq!(collector.wait_spans(2).len(), 2);
    collector.wait_logs(1);
}

#[test]
fn a_process_that_ends_sends_what_it_has() {
    for signal in [Signal::USR1, Signal::TERM] {
        let Some(mut w) = world() else { return };
        let collector = Collector::start(&mut w);
        server(&mut w, "o1", TWO);
        // nothing is sent before
        let text = config("", "", SERVER).replace("batch-interval 50ms", "batch-interval 1h");
        w.proxy(&text);
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        assert!(wait_for(PATIENCE, || (counts(&w, "traces")[5] == 2).then_some(())).is_some());
        assert!(collector.requests.lock().unwrap().is_empty());
        w.process(0).signal(signal);
        assert!(w.process(0).wait(PATIENCE).is_some());
        assert_eq!(collector.wait_spans(2).len(), 2);
        assert!(!collector.wait_logs(1).is_empty());
    }
}

#[test]
fn a_reload_in_place_goes_on() {
    let Some(mut w) = world() else { return };
    let collector = Collector::start(&mut w);
    let other = Collector::named(&mut w, "other", &[]);
    server(&mut w, "o1", TWO);
    let text = config("", "", SERVER);
    w.proxy(&text);
    let mut c = w.client("fe");
    c.get("/1", "").response();
    collector.wait_spans(2);
    w.file("0.cfg", &text.replace("${collector}", "${other}"));
    let answer = ask(&w, "reload config");
    assert!(answer.starts_with("Success=1"), "{answer}");
    c.get("/2", "").response();
    let spans = other.wait_spans(2);
    assert_eq!(get(&spans[0].attributes, "url.path").as_deref(), Some("/2"));
    assert_eq!(collector.spans().len(), 2);
    assert!(ask(&w, "show otel").contains(&format!("endpoint: http://127.0.0.1:{}\n", w.port("other"))));
    // without the section
    let at = text.find("otel edge").unwrap();
    let end = text.find("frontend fe").unwrap();
    w.file("0.cfg", &format!("{}{}", &text[..at], &text[end..]));
    assert!(ask(&w, "reload config").starts_with("Success=1"));
    c.get("/3", "").response();
    w.file("0.cfg", &text);
    assert!(ask(&w, "reload config").starts_with("Success=1"));
    c.get("/4", "").response();
    collector.wait_spans(4);
    assert!(collector.spans().iter().all(|s| get(&s.attributes, "url.path").as_deref() != Some("/3")));
}

#[test]
fn what_is_wrong_is_told() {
    let Some(mut w) = world() else { return };
    let text = "global\ndefaults\n  mode http\notel a\n  endpoint 127.0.0.1:4318\n  sample 2\n  batch-size 0\n  queue-size 1k\n  \
         signals metrics\n  timeout 0\n  header Host x\n  attribute alone\n  client-context believe\n  colour blue\notel b\n";
    let said = w.check(text, &[]).stderr;
    for part in [
        "'endpoint' : '127.0.0.1:4318' is no URL",
        "hint",
        "'sample' expects a ratio from 0 to 1, not '2'",
        "'batch-size' expects a number from 1 to 65536, not '0'",
        "'queue-size' expects a size of at least 64k, not '1k'",
        "'signals' expects 'traces', 'logs', or both, not 'metrics'",
        "'timeout' expects a time that is not 0",
        "'header' : 'Host' cannot be said here",
        "'attribute' expects an attribute's key and its value",
        "'client-context' expects 'follow' or 'ignore', not 'believe'",
        "unknown keyword 'colour' in 'otel' section",
        "otel section 'b': there is one already, declared at",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    // lines that are collected need no 'log'
    let frontend =
        "frontend fe\n  bind 127.0.0.1:${fe}\n  option httplog\n  timeout client 1s\n  http-request return\n";
    for (more, warned) in [("", false), ("  signals traces\n", true)] {
        let otel = "otel a\n  endpoint http://127.0.0.1:4318\n";
        let text = w.expand(&format!("global\ndefaults\n  mode http\n{otel}{more}{frontend}"));
        let said = w.check(&text, &[]).stderr;
        assert_eq!(said.contains("no log address"), warned, "{said}");
    }
    let said = w.check("global\ndefaults\n  mode http\notel a\n", &[]).stderr;
    assert!(said.contains("otel section 'a' has no 'endpoint'."), "{said}");
}

#[test]
fn lines_about_servers_are_sent() {
    let Some(mut w) = world() else { return };
    let collector = Collector::start(&mut w);
    server(&mut w, "o1", TWO);
    w.proxy(&config("  signals logs", "", SERVER));
    ask(&w, "disable server be/s1");
    let record = collector.wait_logs(1).remove(0);
    assert!(text(&record.body).starts_with("Server be/s1 is going DOWN for maintenance"), "{record:?}");
    assert_eq!(
        (record.severity_number, get(&record.attributes, "haproxy.proxy").as_deref()),
        (19, Some("be"))
    );
}

/// Rules, formats and clients can be told of the trace.
#[test]
fn samples() {
    let Some(mut w) = world() else { return };
    let collector = Collector::start(&mut w);
    server(&mut w, "o1", TWO);
    let rules = "  http-response set-header X-Trace \"%[otel.trace_id]/%[otel.span_id]/%[otel.sampled]\"\n  \
         log-format \"%HP %[otel.trace_id]\"";
    w.proxy(&config("", rules, SERVER));
    let got = w.client("fe").get("/", &format!("traceparent: {PARENT}\r\n")).response();
    let spans = collector.wait_spans(2);
    assert_eq!(got.field("x-trace").unwrap(), format!("{TRACE}/{}/1", hex(&spans[0].span_id)));
    assert_eq!(text(&collector.wait_logs(1)[0].body), format!("/ {TRACE}"));
}

/// A collector over TLS, whose certificate is looked at; one connection serves many requests.
#[test]
fn a_collector_over_tls() {
    let Some(mut w) = world() else { return };
    crate::tls::own(&w, "ca", false, "DNS:ca.test");
    w.file("extensions", "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n");
    crate::tls::signed(&w, "collector", "-days 3650 -extfile extensions");
    let sink = TlsSink::start(&mut w, "collector", "collector", None);
    w.ok("o1");
    let text = config("  signals traces", "", SERVER).replace("endpoint http:", "endpoint https:");
    w.proxy(&text.replace("global\n", "global\n  httpclient.ssl.ca-file ${dir}/ca.crt\n"));
    let mut first = None;
    for n in 0..3 {
        w.client("fe").get("/", "Connection: close\r\n").read_to_end();
        let stream = first.get_or_insert_with(|| sink.accept().unwrap());
        let head = until(stream, "\r\n\r\n");
        assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
        let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok()).unwrap();
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        let spans = ExportTraceServiceRequest::decode(&*body).unwrap().resource_spans;
        assert_eq!(spans[0].scope_spans[0].spans.len(), 2, "{n}");
        stream.write_all(OK).unwrap();
    }
    // one that was closed meanwhile is replaced
    drop(first);
    w.client("fe").get("/", "Connection: close\r\n").read_to_end();
    let mut second = sink.accept().unwrap();
    assert!(until(&mut second, "\r\n\r\n").starts_with("POST /v1/traces "));
}

/// A collector whose certificate is somebody else's gets nothing.
#[test]
fn a_stranger_is_told_nothing() {
    let Some(mut w) = world() else { return };
    crate::tls::own(&w, "ca", false, "DNS:ca.test");
    crate::tls::own(&w, "stranger", false, "IP:127.0.0.1");
    let sink = TlsSink::start(&mut w, "collector", "stranger", None);
    w.ok("o1");
    let text = config("", "", SERVER).replace("endpoint http:", "endpoint https:");
    w.proxy(&text.replace("global\n", "global\n  httpclient.ssl.ca-file ${dir}/ca.crt\n"));
    w.client("fe").get("/", "Connection: close\r\n").read_to_end();
    let told = sink.accept().map(|mut s| until(&mut s, "\r\n"));
    assert!(told.is_err() || told.as_deref().is_ok_and(str::is_empty), "{told:?}");
    let line = w.logs(1).iter().any(|l| l.contains("the TLS handshake failed"));
    assert!(line || wait_for(PATIENCE, || (counts(&w, "traces")[4] > 0).then_some(())).is_some());
}

/// `compression gzip`
#[test]
fn compressed() {
    let Some(mut w) = world() else { return };
    w.ok("o1");
    let collector = Collector::start(&mut w);
    w.proxy(&config("  compression gzip", "", SERVER));
    for n in 0..20 {
        w.client("fe").get(&format!("/{n}"), "Connection: close\r\n").read_to_end();
    }
    let all = wait_for(PATIENCE, || Some(collector.spans().len()).filter(|n| *n == 40));
    assert_eq!(all, Some(40));
    let requests = collector.requests("/v1/traces");
    assert!(requests.iter().all(|m| m.field("content-encoding").as_deref() == Some("gzip")));
    let long = requests.iter().max_by_key(|m| m.body.len()).unwrap();
    assert!(long.body.len() < plain(long).len(), "{}", long.body.len());
}
