#!/usr/bin/env python3
"""What large lists cost a request, against haproxy in turns in one run.

    bench/lists.py --binary target/release/portcullis [--haproxy HAPROXY] [--rounds 9] [--secs 2]

Both run the same frontends, pinned to CPU 0; the load (wrk with random hosts and client addresses, half of which are in the
lists) and the origin run on CPU 1. Rows: `base` without lists; `map-1m` chooses the backend by a map of 1,000,000 hosts;
`src-base` sets the source from a header; `nets-100k` does so and matches it against an ACL of 100,000 networks. Columns: CPU
a request, user CPU, and the median of what each round's user CPU is above that of the row without lists.
"""
import argparse
import glob
import random
import re
import statistics
import subprocess
import sys
import time

from common import Bench, log_sink, members, rss_kib

ORIGINS = (9831, 9832)
LOG_PORT = 9839
ROWS = {"base": (0, None), "map-1m": (1, "base"), "src-base": (2, None), "nets-100k": (3, "src-base")}
TARGET = 0.4  # us of user CPU over the row without lists
NAMES, NETS = 1_000_000, 100_000


def net(i):
    """The i-th network: spread over the addresses, of 17 to 32 bits."""
    return (i * 2_654_435_761 & 0xFFFFFFFF), 17 + i % 16


def dotted(a):
    return ".".join(str(a >> s & 255) for s in (24, 16, 8, 0))


def config(bench, base):
    def frontend(n, lines):
        body = "".join(f"    {line}\n" for line in lines)
        return f"frontend f{n}\n    bind 127.0.0.1:{base + n}\n{body}    default_backend b\n"

    source = "http-request set-src req.hdr(x-client)"
    return f"""
global
    nbthread 1
    log 127.0.0.1:{LOG_PORT} local0
defaults
    mode http
    log global
    option httplog
    timeout connect 5s
    timeout client 60s
    timeout server 60s
backend b
    balance roundrobin
    http-reuse always
    server o1 127.0.0.1:{ORIGINS[0]}
    server o2 127.0.0.1:{ORIGINS[1]}
""" + "".join(
        frontend(n, lines)
        for n, lines in enumerate([
            [],
            [f"use_backend %[req.hdr(host),lower,map({bench.dir}/map,b)]"],
            [source],
            [source, f"acl known src -f {bench.dir}/nets", "http-request set-log-level notice if known"],
        ])
    )


def script(bench):
    addresses = ",".join(f'"{dotted(net(random.randrange(2 * NETS))[0])}"' for _ in range(20_000))
    return bench.write(
        "load.lua",
        f"""
local n, addresses = 0, {{{addresses}}}
function request()
  n = n + 1
  wrk.headers["Host"] = string.format("host%d.example", math.random(0, {2 * NAMES - 1}))
  wrk.headers["X-Client"] = addresses[math.random(#addresses)]
  return wrk.format("GET", "/?" .. n)
end
""",
    )


def cpu(session):
    """(seconds by the scheduler, user ticks, system ticks)"""
    total = user = system = 0
    for pid in members(session):
        try:
            total += sum(int(open(p).read().split()[0]) for p in glob.glob(f"/proc/{pid}/task/*/schedstat"))
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        user, system = user + int(fields[11]), system + int(fields[12])
    return total / 1e9, user, system


def turn(session, port, lua, seconds):
    """(us a request, us of user CPU)"""
    before = cpu(session)
    command = ["taskset", "-c", "1", "wrk", "-t1", "-c64", f"-d{seconds}s", "-s", lua, f"http://127.0.0.1:{port}/"]
    out = subprocess.run(list(map(str, command)), capture_output=True, text=True).stdout
    used = [b - a for a, b in zip(before, cpu(session))]
    found = re.search(r"(\d+) requests in", out)
    if not found or "Non-2xx" in out:
        sys.exit(f"port {port}: {out}")
    each = used[0] * 1e6 / int(found[1])
    return each, each * used[1] / max(1, used[1] + used[2])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/portcullis")
    parser.add_argument("--haproxy", default="haproxy")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--secs", type=int, default=2)
    parser.add_argument("--alone", action="store_true", help="without haproxy")
    a = parser.parse_args()
    random.seed(1)
    with Bench() as bench:
        sink = log_sink(LOG_PORT)
        bench.origin(ORIGINS)
        bench.write("map", "".join(f"host{i}.example b\n" for i in range(NAMES)))
        bench.write("nets", "".join(f"{dotted(n)}/{bits}\n" for n, bits in map(net, range(NETS))))
        lua = script(bench)
        contestants = [("portcullis", a.binary, 23300)] + ([] if a.alone else [("haproxy", a.haproxy, 23400)])
        running = {}
        for name, binary, base in contestants:
            began = time.time()
            process = bench.start([binary, "-db", "-f", bench.write(f"{name}.cfg", config(bench, base))], "0")
            bench.wait_port(base, process)
            running[name] = (process.pid, base)
            print(f"# {name}: ready in {time.time() - began:.2f} s, {rss_kib(process.pid) / 1024:.0f} MiB", flush=True)
        results = {(name, row): [] for name in running for row in ROWS}
        for n in range(a.rounds + 1):
            for name, (session, base) in running.items():
                for row, (offset, _) in ROWS.items():
                    figures = turn(session, base + offset, lua, a.secs if n else 1)
                    if n:  # the first is for caches and pools
                        results[name, row].append(figures)
        passed = True
        for row, (_, bare) in ROWS.items():
            for name in running:
                mine = results[name, row]
                line = f"{row:10} {name:11} {statistics.median(m[0] for m in mine):7.2f} us, user {statistics.median(m[1] for m in mine):6.2f}"
                if bare:
                    over = statistics.median(m[1] - b[1] for m, b in zip(mine, results[name, bare]))
                    verdict = ""
                    if name == "portcullis":
                        passed &= over <= TARGET
                        verdict = f"{'PASS' if over <= TARGET else 'FAIL'} (at most {TARGET})"
                    line += f", over {bare}: {over:+.2f}  {verdict}"
                print(line, flush=True)
        sink.close()
    print(f"bench/lists.py: {'PASS' if passed else 'FAIL'}")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
