#!/usr/bin/env python3
"""Portcullis against Debian's haproxy and nginx, in turns in one run.

    make bench                                                    # every row, some ten minutes
    make bench BENCHARGS="--rows h1-64,h1-1m --rounds 2 --secs 1" # under a minute

All proxies run the same job: one worker pinned to CPU 0 (rows "2w" have two workers on both CPUs), access log to a syslog
socket, `option forwardfor`, keep-alive on both sides. The origin (nginx) and the load (wrk) run on CPU 1. Short loads go
round the proxies, so that what else the machine does hits all alike. Ratios of one run mean something, absolute figures
do not. CPU is the scheduler's count (schedstat) of every thread of the proxy, user and kernel.

Columns: CPU microseconds a request, requests a CPU second, median and 99th percentile latency under full load, the ratio of
CPU to haproxy's, and PASS or FAIL where there is a target.
"""
import argparse
import re
import socket
import statistics
import subprocess
import sys
import time

from common import Bench, cpu_seconds, log_sink, rss_kib

ORIGINS = (9811, 9812)
H2_ORIGINS = (9813, 9814)
LOG_PORT = 9819
H1, TCP, H2, H2H2 = 0, 1, 2, 3  # offsets from a proxy's base port

# name: (connections, port offset, path, close, workers, highest ratio to haproxy's CPU[, streams of HTTP/2])
ROWS = {
    "h1-64": (64, H1, "/", False, 1, 0.82),
    "h1-1000": (1000, H1, "/", False, 1, 0.68),
    "h1-close": (64, H1, "/", True, 1, 0.85),
    "h1-1m": (16, H1, "/1m", False, 1, 0.70),
    "tcp-1m-splice": (16, TCP, "/1m", False, 1, 0.35),
    "h1-64-2w": (64, H1, "/", False, 2, None),
    "h2-m1": (64, H2, "/", False, 1, 0.95, 1),
    "h2-m10": (16, H2, "/", False, 1, 0.95, 10),
    "h2-m100": (16, H2, "/", False, 1, 0.95, 100),
    "h2-1m": (4, H2, "/1m", False, 1, 0.95, 4),
    "h2h2-m1": (64, H2H2, "/", False, 1, 0.95, 1),
    "h2h2-m10": (16, H2H2, "/", False, 1, 0.95, 10),
    "h2h2-m100": (16, H2H2, "/", False, 1, 0.95, 100),
    "h2h2-1m": (4, H2H2, "/1m", False, 1, 0.95, 4),
    "h1-1000-2w": (1000, H1, "/", False, 2, None),
}
# rows over many servers, each with a process of its own: balance lines and how many servers
POOLS = {
    f"{name}-{count}": (lines, count)
    for count in (10, 1000, 10000)
    for name, lines in (
        ("leastconn", ["balance leastconn"]),
        ("random", ["balance random"]),
        ("chash", ["balance hash rand(1000000)", "hash-type consistent"]),
    )
}
ROWS |= {row: (64, H1, "/", False, 1, 0.82 if count == 1000 else None) for row, (_, count) in POOLS.items()}
IDLE_LIMIT_KIB = 1.2


def haproxy_config(base, workers):
    return f"""
global
    nbthread {workers}
    maxconn 7000
    log 127.0.0.1:{LOG_PORT} local0
defaults
    log global
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 300s
frontend web
    mode http
    option httplog
    option forwardfor
    bind 127.0.0.1:{base + H1}
    default_backend servers
frontend web2
    mode http
    option httplog
    option forwardfor
    bind 127.0.0.1:{base + H2} proto h2
    default_backend servers
frontend web22
    mode http
    option httplog
    option forwardfor
    bind 127.0.0.1:{base + H2H2} proto h2
    default_backend servers2
backend servers2
    mode http
    balance roundrobin
    http-reuse always
    server one 127.0.0.1:{H2_ORIGINS[0]} proto h2
    server two 127.0.0.1:{H2_ORIGINS[1]} proto h2
backend servers
    mode http
    balance roundrobin
    http-reuse always
    server one 127.0.0.1:{ORIGINS[0]}
    server two 127.0.0.1:{ORIGINS[1]}
listen stream
    mode tcp
    option tcplog
    option splice-auto
    bind 127.0.0.1:{base + TCP}
    server one 127.0.0.1:{ORIGINS[0]}
"""


def pool_config(base, pool):
    lines, count = pool
    servers = "".join(f"    server s{n} 127.0.0.1:{ORIGINS[n % 2]}\n" for n in range(count))
    balance = "".join(f"    {line}\n" for line in lines)
    return f"""
global
    nbthread 1
    maxconn 7000
    log 127.0.0.1:{LOG_PORT} local0
defaults
    log global
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 300s
frontend web
    option httplog
    option forwardfor
    bind 127.0.0.1:{base + H1}
    default_backend servers
backend servers
    http-reuse always
{balance}{servers}"""


def nginx_config(folder, base, workers):
    servers = "".join(f"server 127.0.0.1:{port}; " for port in ORIGINS)
    return f"""
worker_processes {workers}; daemon off; pid {folder}/nginx-{base}.pid; error_log {folder}/nginx.err;
worker_rlimit_nofile 60000;
events {{ worker_connections 20000; }}
http {{
    access_log syslog:server=127.0.0.1:{LOG_PORT} combined;
    keepalive_requests 1000000000; keepalive_timeout 300s;
    client_body_temp_path {folder}/nginx-body; proxy_temp_path {folder}/nginx-proxy;
    upstream servers {{ {servers} keepalive 1000; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{base + H1} backlog=4096;
        location / {{
            proxy_pass http://servers; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $remote_addr; proxy_max_temp_file_size 0;
        }}
    }}
}}
"""


class Proxy:
    """One contestant with a number of workers."""

    def __init__(self, bench, name, binary, base, workers, pool=None):
        self.bench, self.name, self.binary, self.base, self.workers = bench, name, binary, base, workers
        self.pool = pool

    def start(self):
        if self.name == "nginx":
            conf = self.bench.write(f"nginx-{self.base}.conf", nginx_config(self.bench.dir, self.base, self.workers))
            command = [self.binary, "-c", conf]
        else:
            text = pool_config(self.base, self.pool) if self.pool else haproxy_config(self.base, self.workers)
            conf = self.bench.write(f"{self.name}-{self.base}.cfg", text)
            command = [self.binary, "-db", "-f", conf]
        self.process = self.bench.start(command, "0" if self.workers == 1 else "0,1")
        self.bench.wait_port(self.base, self.process)
        return self

    @property
    def session(self):
        return self.process.pid

    def has(self, row):
        return not (self.name == "nginx" and ROWS[row][1] != H1)  # nginx-light has no stream module, nor HTTP/2 to servers


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]


class Turn:
    """One short load on one proxy."""

    def __init__(self, proxy, row, seconds):
        connections, port, path, close, _, _, *streams = ROWS[row]
        command = ["taskset", "-c", "1", "wrk", "--latency", "-t1", f"-c{connections}", f"-d{seconds}s"]
        if streams:
            command = ["taskset", "-c", "1", "h2load", f"-c{connections}", f"-m{streams[0]}", f"-D{seconds}"]
        if close:
            command += ["-H", "Connection: close"]
        before = cpu_seconds(proxy.session)
        out = subprocess.run([*command, f"http://127.0.0.1:{proxy.base + port}{path}"], capture_output=True, text=True).stdout
        used = cpu_seconds(proxy.session) - before
        found = re.search(r"(\d+) requests in", out) or re.search(r"requests: .* (\d+) succeeded", out)
        self.requests = int(found[1]) if found else 0
        self.cpu_us = used * 1e6 / self.requests if self.requests else float("nan")
        percentiles = dict(re.findall(r"^\s+(50|99)%\s+(\S+)$", out, re.M))
        self.p50, self.p99 = (milliseconds(percentiles[p]) if p in percentiles else float("nan") for p in ("50", "99"))
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
        errors = re.search(r"Socket errors: (.*)", out)
        bad = bad or re.search(r"done, \d+ succeeded, ([1-9]\d*) failed", out)
        self.remarks = ([f"{bad[1]} bad answers"] if bad else []) + ([errors[1]] if errors and not close else [])


def run_row(row, proxies, rounds, seconds):
    """Loads the proxies in turns and prints the row; true unless the target is missed."""
    proxies = [p for p in proxies if p.has(row)]
    turns = {p.name: [] for p in proxies}
    for p in proxies:
        Turn(p, row, 1)  # connections, caches, pools
    for n in range(rounds):
        for p in proxies[n % len(proxies):] + proxies[: n % len(proxies)]:
            turns[p.name].append(Turn(p, row, seconds))
    median = lambda name, what: statistics.median(getattr(t, what) for t in turns[name])
    passed = True
    for p in proxies:
        cpu = median(p.name, "cpu_us")
        ratio = statistics.median(t.cpu_us / h.cpu_us for t, h in zip(turns[p.name], turns["haproxy"]))
        verdict, target = "", ROWS[row][5]
        remarks = sorted({r for t in turns[p.name] for r in t.remarks})
        if p.name == "portcullis" and target:
            good = ratio <= target and not remarks
            verdict = f"{'PASS' if good else 'FAIL'} (at most {target:.2f})"
            passed = good
        print(
            f"{row:14} {p.name:11} {cpu:8.1f} us {1e6 / cpu:9.0f}/cpu-s {median(p.name, 'p50'):8.2f} {median(p.name, 'p99'):8.2f} ms"
            f" {ratio:6.2f}  {verdict} {'; '.join(remarks)}".rstrip(),
            flush=True,
        )
    return passed


def idle_memory(proxy, count):
    """(KiB a connection, MiB in all) with `count` connections that have had one answer each, on a fresh process."""
    before, held = rss_kib(proxy.session), []
    for _ in range(count):
        s = socket.create_connection(("127.0.0.1", proxy.base + H1))
        s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = b""
        while len(answer) < 100 or not answer.endswith(b"x" * 100):
            chunk = s.recv(4096)
            if not chunk:
                sys.exit(f"{proxy.name} closed an idle connection after {len(held)}")
            answer += chunk
        held.append(s)
    time.sleep(1)  # lets the process settle before it is measured
    after = rss_kib(proxy.session)
    for s in held:
        s.close()
    return (after - before) / count, after / 1024


def run_idle(proxies, count):
    results = {p.name: idle_memory(p, count) for p in proxies}
    passed = True
    for name, (each, total) in results.items():
        verdict = ""
        if name == "portcullis":
            passed = each <= IDLE_LIMIT_KIB and total <= results["haproxy"][1]
            verdict = f"{'PASS' if passed else 'FAIL'} (at most {IDLE_LIMIT_KIB} KiB and haproxy's total)"
        ratio = each / max(results["haproxy"][0], 0.01)
        print(f"{'idle-mem':14} {name:11} {each:8.2f} KiB a connection, {total:6.1f} MiB in all {ratio:6.2f}  {verdict}".rstrip(), flush=True)
    return passed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/portcullis")
    parser.add_argument("--haproxy", default="haproxy")
    parser.add_argument("--nginx", default="nginx")
    parser.add_argument("--rows", default=",".join(["idle-mem", *(r for r in ROWS if r not in POOLS or POOLS[r][1] == 1000)]), help="rows to run, separated by commas: idle-mem, " + ", ".join(ROWS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--secs", type=int, default=2, help="seconds of load a turn")
    parser.add_argument("--idle-connections", type=int, default=5000)
    parser.add_argument("--without-nginx", action="store_true")
    a = parser.parse_args()
    rows = a.rows.split(",")
    if unknown := [r for r in rows if r not in ROWS and r != "idle-mem"]:
        sys.exit(f"no such row: {', '.join(unknown)}")
    contestants = [("portcullis", a.binary, 23000), ("haproxy", a.haproxy, 23100)]
    if not a.without_nginx:
        contestants.append(("nginx", a.nginx, 23200))
    passed = []
    with Bench() as bench:
        sink = log_sink(LOG_PORT)
        bench.origin(ORIGINS, http2=H2_ORIGINS)
        print(f"{'row':14} {'proxy':11} {'CPU a request':>11} {'requests':>14} {'p50':>9} {'p99':>8} {'CPU to haproxy':>17}")
        if "idle-mem" in rows:
            fresh = [Proxy(bench, *c, 1).start() for c in contestants]
            passed.append(run_idle(fresh, a.idle_connections))
            for p in fresh:
                bench.stop(p.process)
        for workers in (1, 2):
            mine = [r for r in rows if r in ROWS and r not in POOLS and ROWS[r][4] == workers]
            if not mine:
                continue
            proxies = [Proxy(bench, *c, workers).start() for c in contestants]
            for row in mine:
                passed.append(run_row(row, proxies, a.rounds, a.secs))
            for p in proxies:
                bench.stop(p.process)
        for row in (r for r in rows if r in POOLS):
            proxies = [Proxy(bench, *c, 1, POOLS[row]).start() for c in contestants if c[0] != "nginx"]
            passed.append(run_row(row, proxies, a.rounds, a.secs))
            for p in proxies:
                bench.stop(p.process)
        sink.close()
    print(f"make bench: {'PASS' if all(passed) else 'FAIL'}")
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    main()
