#!/usr/bin/env python3
"""gRPC messages a CPU second through a proxy, beside haproxy's.

    make messages                               # wants Python's grpcio, which `make peers` installs

`calls`: what gRPC says for a call of one message (h2load asks, nghttpd echoes it with trailers), as fast as the proxy can. `unary`
and `stream`: grpcio at both ends, which is slower than the proxies by far: they sleep between messages, and what is measured is
the system's wake-ups. Both proxies have one worker on CPU 0, all else runs on CPU 1. Rounds alternate. The ratio of `calls` has
to be at least 1.3 (messages of ours for one of haproxy's).
"""
import argparse
import pathlib
import re
import statistics
import subprocess
import sys

from common import Bench, cpu_seconds

SERVERS = pathlib.Path(__file__).resolve().parent.parent / "scripts/peers/servers.py"
GRPC, CALLS, BASE = 9851, 9850, 9852
KINDS = {"calls": 0, "unary": 3000, "stream": 30000}
WANTED = 1.3


def config(port):
    return f"""
global
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend fe
    bind 127.0.0.1:{port} proto h2
    use_backend calls if {{ path_beg /calls/ }}
    default_backend grpc
backend grpc
    http-reuse always
    server s1 127.0.0.1:{GRPC} proto h2
backend calls
    http-reuse always
    server s1 127.0.0.1:{CALLS} proto h2
"""


def calls(port, message, secs):
    """How many were answered."""
    command = ["taskset", "-c", "1", "h2load", "-c8", "-m32", f"-D{secs}", "-d", str(message), "-H", "content-type: application/grpc",
               "-H", "te: trailers", "-H", "grpc-accept-encoding: identity,gzip", f"http://127.0.0.1:{port}/calls/Echo"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+) succeeded, 0 failed", out)
    assert found, out
    return int(found[1])


def client(port, kind, messages):
    """Runs in a process of its own."""
    import grpc

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        body = b"m" * 50
        if kind == "unary":
            call = channel.unary_unary("/t.Peers/Unary")
            for _ in range(messages // 50):
                for answer in [call.future(body, timeout=60) for _ in range(50)]:
                    answer.result()
            return
        call = channel.stream_stream("/t.Peers/Both")
        streams = [call((body for _ in range(messages // 8)), timeout=60) for _ in range(8)]
        got = sum(1 for s in streams for _ in s)
        assert got == messages // 8 * 8, got


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--binary", required=True)
    ap.add_argument("--ref", default="haproxy")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--secs", type=int, default=2)
    ap.add_argument("--only", default=",".join(KINDS), help="kinds, with commas")
    a = ap.parse_args()
    failed = 0
    with Bench() as bench:
        bench.wait_port(GRPC, bench.start([sys.executable, SERVERS, "grpc", GRPC], "1"))
        message = bench.write("message", "\0\0\0\0\x32" + "m" * 50)
        echo = ["nghttpd", "--no-tls", "--echo-upload", "--trailer", "grpc-status: 0", "-d", bench.dir, "-a", "127.0.0.1", CALLS]
        bench.wait_port(CALLS, bench.start(echo, "1"))
        proxies = []
        for n, binary in enumerate((a.ref, a.binary)):
            p = bench.start([binary, "-db", "-f", bench.write(f"{n}.cfg", config(BASE + n))], "0")
            bench.wait_port(BASE + n, p)
            proxies.append((p.pid, BASE + n))
        for kind, messages in [(k, KINDS[k]) for k in a.only.split(",")]:
            used = [[], []]
            for turn in range(a.rounds + 1):
                for n in (0, 1) if turn % 2 else (1, 0):
                    pid, port = proxies[n]
                    before = cpu_seconds(pid)
                    if kind == "calls":
                        count = calls(port, message, a.secs)
                    else:
                        client = ["taskset", "-c", "1", sys.executable, __file__, "--client", str(port), kind, str(messages)]
                        subprocess.run(client, check=True)
                        count = messages
                    if turn:
                        used[n].append((cpu_seconds(pid) - before) / count)
            ref, ours = map(statistics.median, used)
            ratio = ref / ours
            verdict = "" if kind != "calls" else "PASS" if ratio >= WANTED else "FAIL"
            failed += verdict == "FAIL"
            print(f"{kind:8} haproxy {ref * 1e6:6.2f} us, ours {ours * 1e6:6.2f} us a message: {1 / ref:8.0f} and {1 / ours:8.0f} a CPU second, "
                  f"ratio {ratio:.2f} {verdict}", flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        client(int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    else:
        main()
