#!/usr/bin/env python3
"""Makes the profile that releases are optimized by (pgo/, scripts/rustc).

    make profile        # after changes to the message path, before a release: two builds' time

A release that counts what it does serves the kinds of traffic below for some seconds each; what it has counted is merged into
pgo/rustc-VERSION.profdata. Needs llvm-profdata of the compiler's LLVM: rustup's component llvm-tools, or Debian's llvm-22.
"""
import argparse
import glob
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

from common import Bench, log_sink

ROOT = pathlib.Path(__file__).resolve().parent.parent
ORIGINS, HTTP2_ORIGINS, LOG_PORT, PORT = (9861, 9862), (9863,), 9869, 9870
HOSTS = 200_000  # in the map

# Section lines of a frontend, and the loads that it gets: a program with arguments, of which {url} is the address.
H1 = "wrk -t1 -c{} -d{{secs}}s {{url}}"
H2 = "h2load -c{} -m{} -D{{secs}} {{url}}"
WEB = ["mode http", "option httplog", "option forwardfor", "default_backend b"]
HEADERS = [f"http-request set-header X-H{i} %[src]:%[method]" for i in range(10)]
PATHS = [f"acl a{i} path_beg /p{i}/\n    http-request deny if a{i}" for i in range(10)]
KINDS = ("hdr(host) -i h{0}.example", "path_beg /s{0}/ }} !{{ method POST", "hdr_end(host) -i .d{0}.example", "src 10.{0}.0.0/16")
MIXED = [("use_backend b if {{ " + KINDS[i % 4] + " }}").format(i % 256) for i in range(400)]
TRAFFIC = [
    ("http", "", WEB, [H1.format(64), H1.format(1000), H1.format(64) + " -H 'Connection: close'", H1.format(16) + "1m"]),
    ("http", "", WEB + HEADERS + PATHS, [H1.format(64)]),
    ("http", "", WEB + MIXED, [H1.format(64) + " -s {dir}/hosts.lua"]),
    ("http", "", WEB + ["use_backend %[req.hdr(host),lower,map({dir}/map,b)]"], [H1.format(64) + " -s {dir}/hosts.lua"]),
    ("http", "", ["mode tcp", "option tcplog", "default_backend t"], [H1.format(64), H1.format(16) + "1m"]),
    ("http", "proto h2", WEB, [H2.format(64, 1), H2.format(16, 10), H2.format(16, 100), H2.format(4, 4) + "1m"]),
    ("http", "proto h2", WEB[:-1] + ["default_backend h2"], [H2.format(16, 10), H2.format(4, 4) + "1m"]),
    ("https", "ssl crt {dir}/ec.pem", WEB, [H1.format(64), H1.format(64) + " -H 'Connection: close'", H1.format(16) + "1m"]),
    ("https", "ssl crt {dir}/ec.pem alpn h2", WEB, [H2.format(16, 10)]),
]


def config(folder):
    http1 = "".join(f"    server s{port} 127.0.0.1:{port}\n" for port in ORIGINS)
    http2 = "".join(f"    server s{port} 127.0.0.1:{port} proto h2\n" for port in HTTP2_ORIGINS)
    text = f"""
global
    nbthread 1
    maxconn 7000
    hard-stop-after 2s
    insecure-syscalls-wanted    # it writes its profile when it ends
    insecure-paths-wanted
    log 127.0.0.1:{LOG_PORT} local0
defaults
    log global
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 300s
backend b
    mode http
    http-reuse always
{http1}backend h2
    mode http
    http-reuse always
{http2}backend t
    mode tcp
    server one 127.0.0.1:{ORIGINS[0]}
"""
    for n, (_, bind, lines, _) in enumerate(TRAFFIC):
        body = "".join(f"    {line}\n" for line in lines).replace("{dir}", str(folder))
        text += f"frontend f{n}\n    bind 127.0.0.1:{PORT + n} {bind.replace('{dir}', str(folder))}\n{body}"
    return text


def files(bench):
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=localhost", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-keyout", bench.dir / "key", "-out", bench.dir / "crt"],
        check=True, capture_output=True,
    )
    bench.write("ec.pem", (bench.dir / "crt").read_text() + (bench.dir / "key").read_text())
    bench.write("map", "".join(f"h{i}.example b\n" for i in range(HOSTS)))
    bench.write(
        "hosts.lua",
        f"""
local n = 0
function request()
  n = n + 1
  wrk.headers["Host"] = string.format("h%d.example", math.random(0, {2 * HOSTS}))
  return wrk.format("GET", "/?" .. n)
end
""",
    )


def serve(binary, counts, secs):
    """Has the program serve all kinds of traffic."""
    with Bench() as bench:
        sink = log_sink(LOG_PORT)
        files(bench)
        bench.origin(ORIGINS, http2=HTTP2_ORIGINS)
        os.environ["LLVM_PROFILE_FILE"] = f"{counts}/%p.profraw"
        process = bench.start([binary, "-db", "-f", bench.write("haproxy.cfg", config(bench.dir))], "0")
        bench.wait_port(PORT, process)
        for n, (scheme, bind, _, loads) in enumerate(TRAFFIC):
            for load in loads:
                url = f"{scheme}://127.0.0.1:{PORT + n}/"
                command = load.format(url=url, secs=secs, dir=bench.dir)
                done = subprocess.run(f"taskset -c 1 {command}", shell=True, check=True, capture_output=True, text=True)
                number = re.search(r"(\d+) requests in", done.stdout) or re.search(r"(\d+) succeeded", done.stdout)
                print(f"{number[1]:>8} requests: {bind.replace(' crt {dir}/ec.pem', ''):12} {load.format(url='', secs=secs, dir='')}", flush=True)
        process.send_signal(signal.SIGUSR1)
        process.wait(30)
        sink.close()


def profdata():
    """The program that merges profiles."""
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], check=True, capture_output=True, text=True).stdout.strip()
    version = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    major = re.search(r"LLVM version: (\d+)", version)[1]
    found = glob.glob(f"{sysroot}/lib/rustlib/*/bin/llvm-profdata") + [shutil.which(f"llvm-profdata-{major}")]
    return next((f for f in found if f), None) or sys.exit(f"no llvm-profdata: install Debian's llvm-{major}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", type=pathlib.Path, default=ROOT / "target", help="where to build")
    parser.add_argument("--secs", type=int, default=2, help="seconds of each load")
    options = parser.parse_args()
    merge, target = profdata(), options.target.resolve() / "profile"
    counts = target / "counts"
    shutil.rmtree(counts, ignore_errors=True)
    build = ["cargo", "build", "--locked", "--release", "-p", "portcullis", "--target-dir", target]
    # what build scripts and macros count while they run goes elsewhere
    subprocess.run(build, cwd=ROOT, check=True, env={**os.environ, "PORTCULLIS_PROFILE_TO": str(target / "build")})
    serve(target / "release/portcullis", counts, options.secs)
    rustc = subprocess.run(["rustc", "-V"], check=True, capture_output=True, text=True).stdout.split()[1]
    profile = ROOT / f"pgo/rustc-{rustc}.profdata"
    subprocess.run([merge, "merge", "-sparse", "-o", profile, *glob.glob(f"{counts}/*.profraw")], check=True)
    # cargo does not know what scripts/rustc adds
    subprocess.run(["cargo", "clean", "--release", "--target-dir", options.target], cwd=ROOT, check=True)
    print(f"{profile}: {profile.stat().st_size >> 10} KiB")


if __name__ == "__main__":
    main()
