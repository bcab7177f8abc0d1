#!/usr/bin/env python3
"""Other people's HTTP/2 against the proxy: curl, nghttp, h2load, nginx in front and behind, headless Chromium, Python's h2 and
httpx, grpcio, WebSocket over HTTP/2.

    make peers                         # our binary
    make peers PEERSARGS="--binary /usr/local/bin/haproxy35"   # what another one makes of it
    make peers PEERSARGS="--only grpc,chromium"

All traffic stays on 127.0.0.1. The last line counts; what a peer said otherwise than it should stands above it.
"""
import argparse
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE = 30
PEERS = []


def peer(function):
    PEERS.append(function)
    return function


class World:
    """A proxy, what is behind it and what is in front of it."""

    def __init__(self, binary):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="peers"))
        self.dir.chmod(0o755)
        self.processes = []
        ports = [self.free() for _ in range(8)]
        self.plain, self.clear, self.tls, self.h1, self.grpc, self.nginx, self.front, self.frontg = (p for p, _ in ports)
        for _, s in ports:
            s.close()
        subprocess.run(
            ["openssl", "req", "-x509", "-nodes", "-days", "30", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", self.dir / "key", "-out", self.dir / "crt"], check=True, capture_output=True)
        (self.dir / "pem").write_text((self.dir / "crt").read_text() + (self.dir / "key").read_text())
        (self.dir / "1m").write_bytes(b"n" * (1 << 20))
        (self.dir / "cfg").write_text(f"""
global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend plain
  bind 127.0.0.1:{self.plain}
  bind 127.0.0.1:{self.clear} proto h2
  bind 127.0.0.1:{self.tls} ssl crt {self.dir}/pem alpn h2,http/1.1
  http-response set-header x-version %[fc_http_major]
  use_backend grpc if {{ path_beg /t.Peers/ }}
  use_backend nginx if {{ path_beg /nginx }}
  default_backend h1
backend h1
  server s1 127.0.0.1:{self.h1}
backend grpc
  server s1 127.0.0.1:{self.grpc} proto h2
backend nginx
  http-request replace-path /nginx(.*) \\1
  server s1 127.0.0.1:{self.nginx} ssl verify none alpn h2
""")
        (self.dir / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid {self.dir}/nginx.pid; error_log {self.dir}/nginx.err;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {self.dir}/t1; proxy_temp_path {self.dir}/t2; fastcgi_temp_path {self.dir}/t3;
  uwsgi_temp_path {self.dir}/t4; scgi_temp_path {self.dir}/t5; client_max_body_size 8m;
  ssl_certificate {self.dir}/crt; ssl_certificate_key {self.dir}/key;
  server {{ listen 127.0.0.1:{self.nginx} ssl http2; root {self.dir}; location = / {{ return 200 behind; }} location / {{ }} }}
  server {{ listen 127.0.0.1:{self.front} ssl http2; location / {{ proxy_pass http://127.0.0.1:{self.plain}; proxy_http_version 1.1; }} }}
  server {{ listen 127.0.0.1:{self.frontg} http2; location / {{ grpc_pass grpc://127.0.0.1:{self.clear}; }} }}
}}
""")
        self.start([sys.executable, HERE / "servers.py", "http1", self.h1], self.h1)
        self.start([sys.executable, HERE / "servers.py", "grpc", self.grpc], self.grpc)
        self.start(["nginx", "-c", self.dir / "nginx.conf"], self.nginx)
        self.start([binary, "-db", "-f", self.dir / "cfg"], self.plain)

    @staticmethod
    def free():
        s = socket.socket()
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1], s

    def start(self, command, port):
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=open(self.dir / "errors", "ab"), start_new_session=True)
        self.processes.append(process)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                return socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                if process.poll() is not None:
                    break
                time.sleep(0.02)
        sys.exit(f"{command} does not serve:\n" + (self.dir / "errors").read_text()[-3000:])

    def end(self):
        for process in reversed(self.processes):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, timeout=2 * PATIENCE)
    return done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")


def same(what, want):
    assert what == want, f"{what!r} is not {want!r}"


@peer
def curl(w):
    for url, how in ((f"http://127.0.0.1:{w.plain}", "--http2-prior-knowledge"), (f"http://127.0.0.1:{w.clear}", "--http2-prior-knowledge"),
                     (f"https://127.0.0.1:{w.tls}", "--http2")):
        same(run("curl", "-sk", how, "-w", "|%{http_version}", f"{url}/a"), "/a|2")
        same(run("curl", "-sk", how, "-o", w.dir / "got", "-w", "%{size_download}", f"{url}/1m"), str(1 << 20))
        same(run("curl", "-sk", how, "--data-binary", f"@{w.dir}/1m", f"{url}/up"), str(1 << 20))
        same(run("curl", "-sk", how, f"{url}/nginx/"), "behind")
    # (Debian's curl 7.88 asks nothing more on a clear text connection that it has used before)
    many = run("curl", "-sk", "--http2", "-Z", "--parallel-max", "50", f"https://127.0.0.1:{w.tls}/n?[1-200]", "-w", "\n%{response_code}\n")
    same(many.count("\n200"), 200)
    # Upgrade: h2c is not answered: HTTP/1.1 goes on
    same(run("curl", "-s", "--http2", "-w", "|%{http_version}", f"http://127.0.0.1:{w.plain}/c"), "/c|1.1")


@peer
def nghttp(w):
    for url in (f"http://127.0.0.1:{w.clear}", f"https://127.0.0.1:{w.tls}"):
        said = run("nghttp", "-ns", "--no-verify-peer", "-m", 5, f"{url}/x")
        same(len(re.findall(r" 200 ", said)), 5)
        said = run("nghttp", "-ns", "--no-verify-peer", "-d", w.dir / "1m", "--trailer", "x-t: 1", f"{url}/up")
        same(len(re.findall(r" 200 ", said)), 1)


@peer
def h2load(w):
    for url in (f"http://127.0.0.1:{w.clear}/", f"https://127.0.0.1:{w.tls}/", f"https://127.0.0.1:{w.tls}/nginx/1m"):
        n = 40 if url.endswith("m") else 1000
        said = run("h2load", "-n", n, "-c", 4, "-m", 10, url)
        assert f"{n} succeeded, 0 failed" in said, said


@peer
def nginx_in_front(w):
    same(run("curl", "-sk", "--http2", "-w", "|%{http_version}", f"https://127.0.0.1:{w.front}/a"), "/a|2")
    same(run("curl", "-sk", "--http2", "--data-binary", f"@{w.dir}/1m", f"https://127.0.0.1:{w.front}/up"), str(1 << 20))
    # over HTTP/2 to us
    grpc_calls(f"127.0.0.1:{w.frontg}", 200)


@peer
def python_h2(w):
    import h2.config, h2.connection, h2.events
    for port in (w.plain, w.clear):
        s = socket.create_connection(("127.0.0.1", port))
        s.settimeout(PATIENCE)
        c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        c.initiate_connection()
        got = {}
        for n in range(100):
            sid = 2 * n + 1
            c.send_headers(sid, [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", f"/{n}"), ("cookie", "a=1")], end_stream=True)
            got[sid] = b""
        left = set(got)
        while left:
            s.sendall(c.data_to_send())
            data = s.recv(65536)
            assert data, "closed"
            for e in c.receive_data(data):
                assert not isinstance(e, (h2.events.StreamReset, h2.events.ConnectionTerminated)), e
                if isinstance(e, h2.events.DataReceived):
                    got[e.stream_id] += e.data
                    c.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
                if isinstance(e, h2.events.StreamEnded):
                    left.discard(e.stream_id)
        same(got, {2 * n + 1: b"/%d" % n for n in range(100)})
        s.close()


@peer
def httpx(w):
    import asyncio
    import httpx as hx

    async def ask():
        async with hx.AsyncClient(http2=True, verify=False, timeout=PATIENCE) as c:
            all_ = await asyncio.gather(*(c.get(f"https://127.0.0.1:{w.tls}/{n}") for n in range(100)))
            same([(r.http_version, r.text, r.headers["x-version"]) for r in all_], [("HTTP/2", f"/{n}", "2") for n in range(100)])
            r = await c.post(f"https://127.0.0.1:{w.tls}/up", content=b"z" * 3_000_000)
            same(r.text, "3000000")

            async def pieces():
                for _ in range(100):
                    yield b"y" * 1000
            r = await c.post(f"https://127.0.0.1:{w.tls}/up", content=pieces())
            same(r.text, "100000")
            r = await c.get(f"https://127.0.0.1:{w.tls}/nginx/1m")
            same(len(r.content), 1 << 20)
    asyncio.run(ask())


def grpc_calls(target, messages, credentials=None):
    import grpc
    options = [("grpc.ssl_target_name_override", "localhost")]
    channel = grpc.secure_channel(target, credentials, options) if credentials else grpc.insecure_channel(target)
    path = "/t.Peers/"
    with channel:
        answer, call = channel.unary_unary(path + "Unary").with_call(b"hello", timeout=PATIENCE)
        same((answer, call.trailing_metadata()[0].value), (b"hello", "all"))
        big = b"b" * 3_000_000
        same(channel.unary_unary(path + "Unary")(big, timeout=PATIENCE) == big, True)
        same(list(channel.unary_stream(path + "Down")(b"500", timeout=PATIENCE)), [b"%d" % n for n in range(500)])
        same(channel.stream_unary(path + "Up")((b"x" for _ in range(500)), timeout=PATIENCE), b"500")
        n = 0
        for n, said in enumerate(channel.stream_stream(path + "Both")((b"%d" % n for n in range(messages)), timeout=4 * PATIENCE), 1):
            assert said == b"%d" % (n - 1), said
        same(n, messages)
        try:
            channel.unary_unary(path + "Fail")(b"", timeout=PATIENCE)
            raise AssertionError("no failure")
        except grpc.RpcError as e:
            same((e.code(), e.details()), (grpc.StatusCode.INVALID_ARGUMENT, "that is none: \u00e9"))
        # the server hears of a deadline and of a cancellation
        mark = b"%d" % time.monotonic_ns()
        try:
            channel.unary_unary(path + "Slow")(mark, timeout=0.3)
            raise AssertionError("no deadline")
        except grpc.RpcError as e:
            same(e.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        same(channel.unary_unary(path + "Ended")(mark, timeout=PATIENCE), b"1")
        call = channel.unary_unary(path + "Slow").future(mark + b"c")
        channel.unary_unary(path + "Unary")(b"in between", timeout=PATIENCE)
        call.cancel()
        same(channel.unary_unary(path + "Ended")(mark + b"c", timeout=PATIENCE), b"1")


@peer
def grpc(w):
    grpc_calls(f"127.0.0.1:{w.clear}", 100_000)
    grpc_calls(f"127.0.0.1:{w.plain}", 1000)


@peer
def grpc_over_tls(w):
    import grpc as g
    grpc_calls(f"127.0.0.1:{w.tls}", 1000, g.ssl_channel_credentials((w.dir / "crt").read_bytes()))


@peer
def websocket_over_http2(w):
    import h2.config, h2.connection, h2.events, h2.settings
    import wsproto.frame_protocol as fp
    s = socket.create_connection(("127.0.0.1", w.clear))
    s.settimeout(PATIENCE)
    c = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    c.initiate_connection()
    s.sendall(c.data_to_send())
    while not any(isinstance(e, h2.events.RemoteSettingsChanged) for e in c.receive_data(s.recv(65536))):
        pass
    same(c.remote_settings.enable_connect_protocol, 1)
    c.send_headers(1, [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "a"), (":path", "/ws"),
                       ("sec-websocket-version", "13")])
    frames = fp.FrameProtocol(client=True, extensions=[])
    n, status = 0, None
    while n < 1000:
        s.sendall(c.data_to_send())
        for e in c.receive_data(s.recv(65536)):
            if isinstance(e, h2.events.ResponseReceived):
                status = dict(e.headers)[b":status"]
                c.send_data(1, frames.send_data(b"message 0", True))
            assert not isinstance(e, (h2.events.StreamReset, h2.events.ConnectionTerminated)), e
            if isinstance(e, h2.events.DataReceived):
                c.acknowledge_received_data(e.flow_controlled_length, 1)
                frames.receive_bytes(e.data)
                for f in frames.received_frames():
                    same(bytes(f.payload), b"message %d" % n)
                    n += 1
                    c.send_data(1, frames.send_data(b"message %d" % n, True))
    same(status, b"200")
    s.close()


@peer
def chromium(w):
    browser = subprocess.Popen(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--ignore-certificate-errors", f"--user-data-dir={w.dir}/chromium",
         f"--log-net-log={w.dir}/net.json", "--remote-debugging-port=0", f"https://127.0.0.1:{w.tls}/page"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        until = time.monotonic() + 2 * PATIENCE
        said = ""
        while not said and time.monotonic() < until:
            time.sleep(0.1)
            said = run("curl", "-s", f"http://127.0.0.1:{w.h1}/result")
        same(said, "fetch 60, upload 1048576, protocol h2, websocket hello 99")
    finally:
        os.killpg(browser.pid, signal.SIGTERM)
        try:
            browser.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()
    assert '":protocol: websocket"' in (w.dir / "net.json").read_text(errors="replace"), "its WebSocket did not go over HTTP/2"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--binary", required=True)
    ap.add_argument("--only", help="names of peers, with commas")
    a = ap.parse_args()
    wanted = [p for p in PEERS if not a.only or p.__name__ in a.only.split(",")]
    w, failed = World(a.binary), 0
    try:
        for function in wanted:
            began = time.monotonic()
            try:
                function(w)
                print(f"{function.__name__:22} ok, {time.monotonic() - began:.1f} s", flush=True)
            except Exception:
                failed += 1
                print(f"{function.__name__:22} FAILED\n{traceback.format_exc()}", flush=True)
    finally:
        w.end()
    print(f"make peers: {len(wanted) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
