#!/usr/bin/env python3
"""Full load for a long time, with clients that reset, stall and half-close; then: nothing grew and nothing was lost.

    make soak                            # ten minutes
    make soak SOAKARGS="--secs 30"

wrk keeps the proxy busy with well-behaved clients; every one of their requests must be answered with 200. Beside them a few
hundred clients misbehave in every way of `MISBEHAVIOURS`; those that are owed an answer check that it came whole. At the end
the descriptors of the proxy must be back at their start value and its memory where it was after the warm-up.
"""
import argparse
import asyncio
import collections
import random
import re
import socket
import struct
import subprocess
import sys
import time

from common import Bench, descriptors, log_sink, rss_kib

ORIGINS = (9821, 9822)
STALLING = 9823
LOG_PORT = 9829
WEB, TCP = 23400, 23401
GET = b"GET %s HTTP/1.1\r\nHost: soak\r\n%s\r\n"
SAMPLE_SECONDS = 5
POOLED_PIPES = 64

CONFIG = f"""
global
    maxconn 7000
    log 127.0.0.1:{LOG_PORT} local0
defaults
    mode http
    log global
    option httplog
    option forwardfor
    no option abortonclose
    default-server pool-purge-delay 500ms
    timeout connect 2s
    timeout client 3s
    timeout server 3s
    timeout http-request 2s
    timeout http-keep-alive 3s
frontend web
    bind 127.0.0.1:{WEB}
    use_backend stalling if {{ path_beg /stall }}
    default_backend servers
backend servers
    balance roundrobin
    server one 127.0.0.1:{ORIGINS[0]} maxconn 400
    server two 127.0.0.1:{ORIGINS[1]} maxconn 400
backend stalling
    server one 127.0.0.1:{STALLING}
listen stream
    mode tcp
    option tcplog
    option splice-auto
    bind 127.0.0.1:{TCP}
    server one 127.0.0.1:{ORIGINS[0]}
"""


class Lost(Exception):
    """An answer that was owed and did not come."""


async def answer(reader, size=None):
    """Reads one whole 200 answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise Lost(head[:40])
    length = int(re.search(rb"content-length: (\d+)", head, re.I)[1])
    if size and length != size:
        raise Lost(f"{length} bytes announced, {size} expected")
    await reader.readexactly(length)


def abort(writer):
    """Closes with a reset."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def keeps_alive(reader, writer):
    for _ in range(random.randint(1, 20)):
        writer.write(GET % (b"/", b""))
        await answer(reader)


async def pipelines(reader, writer):
    writer.write(GET % (b"/", b"") * 5)
    for _ in range(5):
        await answer(reader)


async def posts_nothing_odd(reader, writer):
    writer.write(b"GET / HTTP/1.1\r\nHost: soak\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n")
    await answer(reader)


async def downloads(reader, writer):
    writer.write(GET % (b"/1m", b""))
    await answer(reader, 1 << 20)


async def half_closes_after_its_request(reader, writer):
    writer.write(GET % (b"/", b"Connection: close\r\n"))
    writer.write_eof()
    await answer(reader)


async def resets_before_sending(reader, writer):
    abort(writer)


async def resets_in_the_head(reader, writer):
    writer.write(b"GET / HTTP/1.1\r\nHo")
    await writer.drain()
    abort(writer)


async def resets_while_waiting(reader, writer):
    writer.write(GET % (b"/stall", b""))
    await asyncio.sleep(random.random() / 5)
    abort(writer)


async def resets_in_a_download(reader, writer):
    writer.write(GET % (b"/1m", b""))
    await reader.read(1000)
    abort(writer)


async def resets_in_an_upload(reader, writer):
    writer.write(b"POST / HTTP/1.1\r\nHost: soak\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 50_000)
    await asyncio.sleep(random.random() / 10)
    abort(writer)


async def leaves_right_away(reader, writer):
    writer.close()


async def stalls_in_the_head(reader, writer):
    writer.write(b"GET / HTTP/1.1\r\nHost: soa")
    await reader.read()


async def stalls_in_an_upload(reader, writer):
    writer.write(b"POST / HTTP/1.1\r\nHost: soak\r\nContent-Length: 1000\r\n\r\nhalf")
    await reader.read()


async def stalls_in_a_download(reader, writer):
    writer.write(GET % (b"/1m", b""))
    await asyncio.sleep(4)
    abort(writer)


async def waits_for_a_stalling_server(reader, writer):
    writer.write(GET % (b"/stall", b""))
    head = await reader.read()
    if not head.startswith(b"HTTP/1.1 504"):
        raise Lost(head[:40])


async def sends_garbage(reader, writer):
    writer.write(bytes(random.randrange(256) for _ in range(500)) + b"\r\n\r\n")
    await reader.read()


async def idles(reader, writer):
    writer.write(GET % (b"/", b""))
    await answer(reader)
    await reader.read()


async def tcp_download(reader, writer):
    writer.write(GET % (b"/1m", b"Connection: close\r\n"))
    await answer(reader, 1 << 20)


async def tcp_half_close(reader, writer):
    writer.write(GET % (b"/", b"Connection: close\r\n"))
    writer.write_eof()
    await reader.read()


async def tcp_reset(reader, writer):
    writer.write(GET % (b"/1m", b""))
    await reader.read(1000)
    abort(writer)


MISBEHAVIOURS = [
    keeps_alive, pipelines, posts_nothing_odd, downloads, half_closes_after_its_request, resets_before_sending, resets_in_the_head,
    resets_while_waiting, resets_in_a_download, resets_in_an_upload, leaves_right_away, stalls_in_the_head, stalls_in_an_upload,
    stalls_in_a_download, waits_for_a_stalling_server, sends_garbage, idles, tcp_download, tcp_half_close, tcp_reset,
]  # fmt: skip
# an answer that does not come whole is a lost request for these, and nothing to speak of for the others
OWED = {keeps_alive, pipelines, posts_nothing_odd, downloads, half_closes_after_its_request, waits_for_a_stalling_server, tcp_download}


async def client(until, counts, lost):
    while time.monotonic() < until:
        behaviour = random.choice(MISBEHAVIOURS)
        counts[behaviour.__name__] += 1
        writer = None
        try:
            port = TCP if behaviour.__name__.startswith("tcp") else WEB
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.wait_for(behaviour(reader, writer), 20)
        except (OSError, EOFError, Lost, asyncio.TimeoutError) as error:
            if behaviour in OWED:
                lost[f"{behaviour.__name__}: {type(error).__name__} {error}"] += 1
        finally:
            if writer:
                writer.close()


async def stall(reader, writer):
    """The server that takes requests and says nothing."""
    try:
        while await reader.read(65536):
            pass
    except OSError:
        pass
    writer.close()


async def watch(session, samples, until):
    while time.monotonic() < until:
        samples.append((rss_kib(session), descriptors(session)))
        await asyncio.sleep(SAMPLE_SECONDS)


def is_back(start, end):
    """Sockets and files as at the start; some splice pipes may wait in a pool."""
    return end["socket"] <= start["socket"] and end["other"] <= start["other"] and end["pipe"] <= start["pipe"] + POOLED_PIPES


async def play(a, session, samples, counts, lost):
    server = await asyncio.start_server(stall, "127.0.0.1", STALLING, backlog=1000)
    until = time.monotonic() + a.secs
    load = await asyncio.create_subprocess_exec(
        "wrk", "-t1", f"-c{a.connections}", f"-d{a.secs}s", f"http://127.0.0.1:{WEB}/", stdout=subprocess.PIPE
    )
    await asyncio.gather(watch(session, samples, until), *(client(until, counts, lost) for _ in range(a.clients)))
    out = (await load.communicate())[0].decode()
    server.close()
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/portcullis")
    parser.add_argument("--secs", type=int, default=600)
    parser.add_argument("--connections", type=int, default=64, help="well-behaved connections at full load")
    parser.add_argument("--clients", type=int, default=200, help="clients that misbehave")
    a = parser.parse_args()
    samples, counts, lost = [], collections.Counter(), collections.Counter()
    with Bench() as bench:
        sink = log_sink(LOG_PORT)
        bench.origin(ORIGINS)
        proxy = bench.start([a.binary, "-db", "-f", bench.write("soak.cfg", CONFIG)], "0")
        bench.wait_port(WEB, proxy)
        time.sleep(4)  # until the connection of wait_port is forgotten
        start = descriptors(proxy.pid)
        out = asyncio.run(play(a, proxy.pid, samples, counts, lost))
        deadline = time.monotonic() + 30
        while not is_back(start, end := descriptors(proxy.pid)) and time.monotonic() < deadline:
            time.sleep(0.2)
        end_rss = rss_kib(proxy.pid)
        died = proxy.poll() is not None
        sink.close()
    # memory: after the first tenth (or three samples) pools are as large as the load makes them
    warm = max(1, len(samples) // 10, min(3, len(samples) // 4))
    early, late = [s[0] for s in samples[warm : warm + warm]], [s[0] for s in samples[-warm:]]
    growth = max(late, default=0) / max(max(early, default=1), 1)
    total = int((re.search(r"(\d+) requests in", out) or [0, 0])[1])
    bad = re.search(r"Non-2xx or 3xx responses: \d+", out)
    errors = re.search(r"Socket errors: .*", out)
    print(f"{total} well-behaved requests, {sum(counts.values())} clients that misbehaved: {dict(counts)}")
    print(f"memory (MiB): {' '.join(f'{rss / 1024:.1f}' for rss, _ in samples)}; at the end {end_rss / 1024:.1f}")
    most = max((fds for _, fds in samples), key=lambda fds: sum(fds.values()))
    print(f"descriptors: {start} at the start, {most} at most, {end} at the end")
    verdicts = {
        "alive at the end": not died,
        "every well-behaved request answered" + (f" ({bad or errors})" if bad or errors else ""): not bad and not errors and total > 0,
        f"no answer lost {dict(lost) or ''}".strip(): not lost,
        f"memory flat (last against early: {growth:.2f})": growth <= 1.10,
        "descriptors back": is_back(start, end),
    }
    for what, good in verdicts.items():
        print(f"{'PASS' if good else 'FAIL'} {what}")
    passed = all(verdicts.values())
    print(f"make soak: {'PASS' if passed else 'FAIL'}")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
