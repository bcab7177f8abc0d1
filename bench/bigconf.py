#!/usr/bin/env python3
"""A large configuration checked by Portcullis and by haproxy, in turns: time and peak memory of `-c`.

    make bigconf
    make bigconf BIGARGS="--backends 1000 --rounds 3"
"""
import argparse
import os
import statistics
import sys
import time

from common import Bench


def config(backends, servers):
    lines = ["defaults", "    mode http", "    timeout connect 5s", "    timeout client 30s", "    timeout server 30s"]
    lines += ["frontend web", "    bind 127.0.0.1:23300"]
    lines += [f"    use_backend b{n} if {{ path_beg /b{n}/ }}" for n in range(backends)]
    for n in range(backends):
        lines += [f"backend b{n}", "    balance roundrobin", "    option forwardfor"]
        lines += [f"    server s{s} 10.{n >> 8 & 255}.{n & 255}.{s + 1}:8080 weight {s + 1} maxconn 100" for s in range(servers)]
    return "\n".join(lines) + "\n"


def check(binary, path):
    """(seconds, peak KiB) of one run of -c; ends the benchmark when it refuses the file."""
    start = time.monotonic()
    null = os.open(os.devnull, os.O_WRONLY)
    pid = os.posix_spawnp(
        binary, [binary, "-c", "-q", "-f", str(path)], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, null, 1)]
    )
    _, status, usage = os.wait4(pid, 0)
    os.close(null)
    if status:
        sys.exit(f"{binary} -c ended with {os.waitstatus_to_exitcode(status)}")
    return time.monotonic() - start, usage.ru_maxrss


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/portcullis")
    parser.add_argument("--haproxy", default="haproxy")
    parser.add_argument("--backends", type=int, default=10_000)
    parser.add_argument("--servers", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    a = parser.parse_args()
    with Bench() as bench:
        path = bench.write("big.cfg", config(a.backends, a.servers))
        print(f"{a.backends} backends of {a.servers} servers, {path.stat().st_size / 1e6:.1f} MB")
        results = {a.binary: [], a.haproxy: []}
        for n in range(a.rounds):
            for binary in list(results)[:: 1 if n % 2 else -1]:
                results[binary].append(check(binary, path))
    seconds = {b: statistics.median(t for t, _ in r) for b, r in results.items()}
    memory = {b: max(m for _, m in r) for b, r in results.items()}
    for binary in results:
        print(
            f"{binary}: {seconds[binary]:.2f} s ({seconds[binary] / seconds[a.haproxy]:.2f}),"
            f" peak {memory[binary] / 1024:.0f} MiB ({memory[binary] / memory[a.haproxy]:.2f})"
        )
    good = seconds[a.binary] <= seconds[a.haproxy] and memory[a.binary] <= memory[a.haproxy]
    print(f"make bigconf: {'PASS' if good else 'FAIL'} (no slower, in no more memory)")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
