#!/usr/bin/env python3
"""The requirements of RFC 9113, RFC 7541 and RFC 8441 on a client (an intermediary's side towards servers), asked over the wire.

    make conformance                     # ours must fit; haproxy's answers stand beside, where they differ

A client of HTTP/1 asks a proxy whose server is this program. Each row is a requirement: its section, what the server does behind its
settings once the request is there, what it has to hear (`GOAWAY n`: a connection error; `RST n`: a stream error, for which a
connection error will do, too; `refused`: any of them; `the end` of the connection; `nothing` that is an error), and what the
client has to get: a status, `200 cut` for a response that ends too early, or `any`.
"""
import argparse
import concurrent.futures
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from conformance import (
    CLOSED, COMPRESSION, CONTINUATION, DATA, FLOW, GOAWAY, HEADERS, PING, PREFACE, PRIORITY, PROTOCOL, PUSH, REFUSED, RST, SETTINGS, SIZE,
    WINDOW, Talk, big, block, frame, goaway, number, rst, setting,
)

STATUS = [(":status", "200")]
OK = block(*STATUS)


def head(*more, base=STATUS, end=1, stream=1):
    return frame(HEADERS, 4 | end, stream, block(*base, *more))


def body(data=b"ok", end=1, stream=1):
    return frame(DATA, end, stream, data)


def interim(status, end=0):
    return head(base=[(":status", status)], end=end)


ANSWER = head(end=0) + body()
raw, silent, upload = "raw", "silent", "upload"  # no settings first; the client does not read; the request has 100 bytes of body
# section, what a server does, its bytes, what it hears, what the client gets, and how the row is special
CASES = [
    ("9113 3.4", "first frame is no SETTINGS", frame(PING, 0, 0, bytes(8)) + ANSWER, goaway(PROTOCOL), "502", raw),
    ("9113 3.4", "an answer of HTTP/1", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "the end", "502", raw),
    ("9113 3.4", "an acknowledgement before its settings", frame(SETTINGS, 1, 0) + ANSWER, goaway(PROTOCOL), "502", raw),
    ("9113 4.1", "unknown type of frame", frame(77, 255, 1, b"abc") + ANSWER, "nothing", "200"),
    ("9113 4.1", "undefined flags", frame(HEADERS, 5 | 0x82, 1, OK), "nothing", "200"),
    ("9113 4.1", "reserved bit", frame(HEADERS, 5, 1 | 1 << 31, OK), "nothing", "200"),
    ("9113 4.2", "DATA above the limit", head(end=0) + body(big), goaway(SIZE), "any"),
    ("9113 4.2", "HEADERS above the limit", frame(HEADERS, 5, 1, OK + big), goaway(SIZE), "502"),
    ("9113 4.2", "SETTINGS above the limit", frame(SETTINGS, 0, 0, bytes(16386)), goaway(SIZE), "502"),
    ("9113 4.3", "a block that cannot be decoded", frame(HEADERS, 5, 1, b"\xff" * 8), goaway(COMPRESSION), "502"),
    ("9113 4.3", "a block that is cut off", frame(HEADERS, 5, 1, OK + b"\0\x05ab"), goaway(COMPRESSION), "502"),
    ("9113 4.3", "a broken block of trailers", head(end=0) + frame(HEADERS, 5, 1, b"\0\x05ab"), goaway(COMPRESSION), "any"),
    ("9113 4.3", "a broken block on a stream that is over", ANSWER + frame(HEADERS, 5, 1, b"\0\x05ab"), "the end", "200"),
    ("9113 4.3", "PING within a block", frame(HEADERS, 1, 1, OK) + frame(PING, 0, 0, bytes(8)), goaway(PROTOCOL), "502"),
    ("9113 4.3", "another stream's HEADERS within a block", frame(HEADERS, 1, 1, OK) + head(stream=3), goaway(PROTOCOL), "502"),
    ("9113 5.1", "HEADERS on an idle stream", head(stream=9), goaway(PROTOCOL), "502"),
    ("9113 5.1", "DATA on an idle stream", body(stream=9), goaway(PROTOCOL), "502"),
    ("9113 5.1", "RST_STREAM on an idle stream", number(RST, 9, 8), goaway(PROTOCOL), "502"),
    ("9113 5.1", "WINDOW_UPDATE on an idle stream", number(WINDOW, 9, 8), goaway(PROTOCOL), "502"),
    ("9113 5.1", "CONTINUATION on an idle stream", frame(CONTINUATION, 4, 9, OK), goaway(PROTOCOL), "502"),
    ("9113 5.1", "PRIORITY on an idle stream", frame(PRIORITY, 0, 9, b"\0\0\0\0\1") + ANSWER, "nothing", "200"),
    ("9113 5.1.1", "a stream of its own", head(stream=2), goaway(PROTOCOL), "502"),
    ("9113 5.4.2", "a reset", number(RST, 1, 2), "nothing", "502"),
    ("9113 5.4.2", "a reset within the body", head(end=0) + body(b"abc", 0) + number(RST, 1, 2), "nothing", "200 cut"),
    ("9113 5.5", "an unknown frame within a block", frame(HEADERS, 1, 1, OK) + frame(77, 0, 0), goaway(PROTOCOL), "502"),
    ("9113 6.1", "DATA on stream 0", body(stream=0), goaway(PROTOCOL), "502"),
    ("9113 6.1", "DATA with more padding than frame", head(end=0) + frame(DATA, 9, 1, b"\x05abcd"), goaway(PROTOCOL), "any"),
    ("9113 6.1", "DATA with padding", head(end=0) + frame(DATA, 9, 1, b"\x02ok\0\0"), "nothing", "200"),
    ("9113 6.2", "HEADERS on stream 0", head(stream=0), goaway(PROTOCOL), "502"),
    ("9113 6.2", "HEADERS with more padding than frame", frame(HEADERS, 13, 1, b"\xff" + OK), goaway(PROTOCOL), "502"),
    ("9113 6.2", "HEADERS with padding and priority", frame(HEADERS, 5 | 0x28, 1, b"\x02\0\0\0\0\0" + OK + b"\0\0"), "nothing", "200"),
    ("9113 6.3", "PRIORITY on stream 0", frame(PRIORITY, 0, 0, bytes(5)), goaway(PROTOCOL), "502"),
    ("9113 6.3", "PRIORITY of four bytes", frame(PRIORITY, 0, 1, bytes(4)), rst(SIZE), "502"),
    ("9113 6.4", "RST_STREAM on stream 0", number(RST, 0, 8), goaway(PROTOCOL), "502"),
    ("9113 6.4", "RST_STREAM of three bytes", frame(RST, 0, 1, bytes(3)), goaway(SIZE), "502"),
    ("9113 6.5", "SETTINGS", b"", "ACK", "any"),
    ("9113 6.5", "SETTINGS on a stream", frame(SETTINGS, 0, 1), goaway(PROTOCOL), "502"),
    ("9113 6.5", "SETTINGS of five bytes", frame(SETTINGS, 0, 0, bytes(5)), goaway(SIZE), "502"),
    ("9113 6.5", "an acknowledgement with payload", frame(SETTINGS, 1, 0, bytes(6)), goaway(SIZE), "502"),
    ("9113 6.5.2", "ENABLE_PUSH of 0", setting(2, 0) + ANSWER, "nothing", "200"),
    ("9113 6.5.2", "ENABLE_PUSH of 1", setting(2, 1), goaway(PROTOCOL), "502"),
    ("9113 6.5.2", "INITIAL_WINDOW_SIZE above 2^31-1", setting(4, 1 << 31), goaway(FLOW), "502"),
    ("9113 6.5.2", "MAX_FRAME_SIZE below 16384", setting(5, 16383), goaway(PROTOCOL), "502"),
    ("9113 6.5.2", "MAX_FRAME_SIZE above 2^24-1", setting(5, 1 << 24), goaway(PROTOCOL), "502"),
    ("9113 6.5.2", "an unknown setting", setting(999, 1) + ANSWER, "nothing", "200"),
    ("8441 3", "ENABLE_CONNECT_PROTOCOL of 2", setting(8, 2), goaway(PROTOCOL), "502"),
    ("8441 3", "ENABLE_CONNECT_PROTOCOL that is taken back", setting(8, 1) + setting(8, 0), goaway(PROTOCOL), "502"),
    ("9113 6.6, 8.4", "PUSH_PROMISE", frame(PUSH, 4, 1, b"\0\0\0\2" + OK), goaway(PROTOCOL), "502"),
    ("9113 6.7", "PING", frame(PING, 0, 0, b"abcdefgh"), "PONG", "any"),
    ("9113 6.7", "PING on a stream", frame(PING, 0, 1, bytes(8)), goaway(PROTOCOL), "502"),
    ("9113 6.7", "PING of six bytes", frame(PING, 0, 0, bytes(6)), goaway(SIZE), "502"),
    ("9113 6.7", "the acknowledgement of no PING", frame(PING, 1, 0, bytes(8)) + ANSWER, "nothing", "200"),
    ("9113 6.8", "GOAWAY on a stream", frame(GOAWAY, 0, 1, bytes(8)), goaway(PROTOCOL), "502"),
    ("9113 6.8", "GOAWAY before the answer", frame(GOAWAY, 0, 0, b"\0\0\0\1" + bytes(4)) + ANSWER, "nothing", "200"),
    ("9113 6.8", "GOAWAY below the request", frame(GOAWAY, 0, 0, bytes(8)), "nothing", "5xx"),
    ("9113 6.9", "WINDOW_UPDATE of 0", number(WINDOW, 0, 0), goaway(PROTOCOL), "502"),
    ("9113 6.9", "a stream's WINDOW_UPDATE of 0", number(WINDOW, 1, 0), rst(PROTOCOL), "any", upload),
    ("9113 6.9", "WINDOW_UPDATE of three bytes", frame(WINDOW, 0, 0, bytes(3)), goaway(SIZE), "502"),
    ("9113 6.9.1", "a window above 2^31-1", number(WINDOW, 0, 0x7FFFFFFF), goaway(FLOW), "502"),
    ("9113 6.9.1", "a stream's window above 2^31-1", number(WINDOW, 1, 0x7FFFFFFF), rst(FLOW), "any", upload),
    ("9113 6.9.1", "a window of 10 bytes", setting(4, 10), "10 bytes", "any", upload),
    ("9113 6.9.1", "10 bytes, and 20 more", setting(4, 10) + number(WINDOW, 1, 20), "30 bytes", "any", upload),
    ("9113 6.9.2", "a window that becomes negative", setting(4, 50) + number(WINDOW, 1, 10) + setting(4, 0) + number(WINDOW, 1, 25), "at most 60", "any", upload),
    ("9113 6.9", "more payload than it may send", head(end=0) + body(bytes(16384), 0) * 1024, rst(FLOW), "any", silent),
    ("9113 6.10", "CONTINUATION behind END_HEADERS", head(end=0) + frame(CONTINUATION, 4, 1, block(("a", "b"))), goaway(PROTOCOL), "any"),
    ("9113 6.10", "CONTINUATION on stream 0", frame(HEADERS, 1, 1, OK) + frame(CONTINUATION, 4, 0), goaway(PROTOCOL), "502"),
    ("9113 6.10", "a block in three frames", frame(HEADERS, 1, 1, OK[:3]) + frame(CONTINUATION, 0, 1, OK[3:7]) + frame(CONTINUATION, 4, 1, OK[7:]), "nothing", "200"),
    ("9113 8.1", "DATA before the head", body(), rst(PROTOCOL), "502"),
    ("9113 8.1", "interim responses", interim("103") + interim("100") + ANSWER, "nothing", "200"),
    ("9113 8.1", "an interim response with END_STREAM", interim("103", 1), rst(PROTOCOL), "502"),
    ("9113 8.1", "the end behind an interim response", interim("103") + body(b"", 1), rst(PROTOCOL), "502"),
    ("9113 8.1", "a second block without END_STREAM", head(end=0) + frame(HEADERS, 4, 1, block(("a", "b"))), rst(PROTOCOL), "any"),
    ("9113 8.1", "trailers", head(end=0) + body(end=0) + frame(HEADERS, 5, 1, block(("a", "b"))), "nothing", "200"),
    ("9113 8.1", "DATA behind trailers", head(end=0) + frame(HEADERS, 5, 1, block(("a", "b"))) + body(), "refused or nothing", "200"),
    ("9113 8.1.1", "less DATA than Content-Length", head(("content-length", "5"), end=0) + body(b"abc"), rst(PROTOCOL), "200 cut"),
    ("9113 8.1.1", "more DATA than Content-Length", head(("content-length", "2"), end=0) + body(b"abc"), rst(PROTOCOL), "any"),
    ("9113 8.1.1", "Content-Length and END_STREAM", head(("content-length", "5")), rst(PROTOCOL), "502"),
    ("9113 8.1.1", "two Content-Lengths", head(("content-length", "1"), ("content-length", "2"), end=0) + body(), rst(PROTOCOL), "502"),
    *(("9113 8.2.1", what, head(f), rst(PROTOCOL), "502") for what, f in (
        ("a name in upper case", ("Upper", "x")), ("a name with a blank", ("a b", "x")), ("a name with a colon", ("a:b", "x")),
        ("a value with CR", ("a", "x\ry")), ("a value with LF", ("a", "x\ny")), ("a value with NUL", ("a", "x\0y")))),
    ("9113 8.2.1", "an empty name", head(("", "x")), "refused", "502"),
    *(("9113 8.2.2", f"{n}: {v}", head((n, v)), rst(PROTOCOL), "502") for n, v in (
        ("connection", "close"), ("keep-alive", "1"), ("proxy-connection", "close"), ("transfer-encoding", "chunked"), ("upgrade", "a"))),
    ("9113 8.3", "an unknown pseudo-header field", head(base=STATUS + [(":foo", "x")]), rst(PROTOCOL), "502"),
    ("9113 8.3", "a request's pseudo-header field", head(base=STATUS + [(":path", "/")]), rst(PROTOCOL), "502"),
    ("9113 8.3", "a pseudo-header field behind others", head(base=[("a", "b")] + STATUS), rst(PROTOCOL), "502"),
    ("9113 8.3", "a pseudo-header field in trailers", head(end=0) + body(end=0) + frame(HEADERS, 5, 1, OK), rst(PROTOCOL), "any"),
    ("9113 8.3.2", "no :status", head(("a", "b"), base=[]), rst(PROTOCOL), "502"),
    ("9113 8.3.2", ":status twice", head(base=STATUS * 2), rst(PROTOCOL), "502"),
    *(("9113 8.3.2", f":status of {s or 'nothing'}", head(base=[(":status", s)]), rst(PROTOCOL), "502") for s in ("", "20", "2000", "2x0", "+20")),
    ("9113 8.6", ":status of 101", head(base=[(":status", "101")], end=0), rst(PROTOCOL), "502"),
    ("9113 8.7", "a refused stream", number(RST, 1, REFUSED), "nothing", "5xx"),
    ("9113 10.5.1", "a block without end", frame(HEADERS, 1, 1, OK) + frame(CONTINUATION, 0, 1, bytes(16000)) * 20, "the end", "502"),
    ("9113 10.5", "PINGs without end", frame(PING, 0, 0, bytes(8)) * 20000, "the end", "502"),
    ("7541 2.3.3", "an index beyond the tables", frame(HEADERS, 5, 1, OK + b"\xfe"), goaway(COMPRESSION), "502"),
    ("7541 4.2", "a table above what was announced", frame(HEADERS, 5, 1, b"\x3f\xff\xff\x03" + OK), goaway(COMPRESSION), "502"),
    ("7541 4.2", "a change of the table's size behind fields", frame(HEADERS, 5, 1, OK + b"\x20"), goaway(COMPRESSION), "502"),
    ("7541 4.2", "a change of the table's size", frame(HEADERS, 5, 1, b"\x20\x3f\xe1\x1f" + OK), "nothing", "200"),
    ("7541 5.1", "an integer without end", frame(HEADERS, 5, 1, OK + b"\x7f" + b"\xff" * 12), goaway(COMPRESSION), "502"),
    ("7541 5.2", "padding of more than seven bits", frame(HEADERS, 5, 1, OK + b"\0\x01a\x82\x1f\xff"), goaway(COMPRESSION), "502"),
    ("7541 5.2", "padding that is not of EOS", frame(HEADERS, 5, 1, OK + b"\0\x01a\x81\x18"), goaway(COMPRESSION), "502"),
    ("7541 5.2", "EOS in a string", frame(HEADERS, 5, 1, OK + b"\0\x01a\x84\xff\xff\xff\xff"), goaway(COMPRESSION), "502"),
    ("7541 6.1", "index 0", frame(HEADERS, 5, 1, OK + b"\x80"), goaway(COMPRESSION), "502"),
]


class Server(Talk):
    """One connection from a proxy, and what comes by it."""

    def __init__(self, s):
        self.s, self.buffer = s, b""
        s.settimeout(0.5)

    def begin(self, special):
        """Waits for a request; settings are said unless the row has none."""
        self.s.settimeout(3)
        while len(self.buffer) < len(PREFACE) and (got := self.s.recv(65536)):
            self.buffer += got
        self.buffer = self.buffer[len(PREFACE) :]
        if special != raw:
            self.send(frame(SETTINGS, 0, 0))
        if special == raw:
            return
        for kind, _, stream, _ in self.frames(time.monotonic() + 3):
            if kind == HEADERS and stream == 1:
                break
        self.s.settimeout(0.5)

    def hears(self, want):
        """The first thing of note behind what it has said."""
        self.s.settimeout(0.6 if want.endswith(("bytes", "60")) else 0.3)
        payload_bytes = 0
        for kind, flags, _, payload in self.frames(time.monotonic() + 3):
            if kind is None:
                return "closed"
            if kind == GOAWAY and (n := int.from_bytes(payload[4:8], "big")):
                return goaway(n)
            if kind == RST and (n := int.from_bytes(payload[:4], "big")) not in (0, 8):
                return rst(n)
            if kind == PING and flags & 1 and want == "PONG":
                return "PONG"
            if kind == SETTINGS and flags & 1 and want == "ACK":
                return "ACK"
            payload_bytes += len(payload) if kind == DATA else 0
        return f"{payload_bytes} bytes" if payload_bytes else "nothing"


def complete(got):
    """Status of the final response, and whether all of it is here."""
    while got.startswith(b"HTTP/1.1 1") and b"\r\n\r\n" in got:
        got = got.partition(b"\r\n\r\n")[2]
    fields, blank, rest = got.partition(b"\r\n\r\n")
    status = got[9:12].decode() or "nothing"
    if not blank:
        return status, False
    if length := re.search(rb"content-length: *(\d+)", fields, re.I):
        return status, len(rest) >= int(length[1])
    return status, rest.endswith((b"0\r\n\r\n", b"a: b\r\n\r\n"))


def client(port, special):
    """Asks, and says what has come."""
    got = b""
    try:
        s = socket.create_connection(("127.0.0.1", port))
        s.settimeout(2)
        if special == upload:
            s.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n")
            # what the server says is there before that
            time.sleep(0.3)
            s.sendall(b"x" * 100)
        else:
            s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        if special == silent:
            time.sleep(3)
            s.close()
            return "any"
        while not complete(got)[1] and (part := s.recv(65536)):
            got += part
        s.close()
    except OSError:
        pass
    status, whole = complete(got)
    return status if status != "200" or whole else "200 cut"


def ask(port, listener, case):
    _, _, what, want, _, *special = case
    special = special[0] if special else None
    answer = []
    asking = threading.Thread(target=lambda: answer.append(client(port, special)))
    asking.start()
    listener.settimeout(3)
    try:
        server = Server(listener.accept()[0])
        server.begin(special)
        if special == silent:
            # nobody reads what comes meanwhile
            server.s.setblocking(True)
            server.s.settimeout(2)
        server.send(what)
        heard = server.hears(want)
        server.s.close()
    except OSError as e:
        heard = f"no connection: {e}"
    asking.join()
    listener.settimeout(0.01)
    return heard, answer[0]


def fits(want, got):
    heard, status = got
    wanted, client_wants = want
    error = heard == "closed" or heard.startswith(("GOAWAY", "RST"))
    if client_wants not in ("any", status) and not (client_wants == "5xx" and status.startswith("5")):
        return False
    match wanted:
        case "refused" | "the end":
            return error
        case "refused or nothing":
            return error or heard == "nothing"
        case "at most 60":
            return heard != "nothing" and heard.endswith(" bytes") and int(heard.split()[0]) <= 60
        case "nothing":
            # a connection that is not needed any more may end
            return heard in ("nothing", "closed")
        case _ if wanted.startswith("RST"):
            return heard == wanted or heard.startswith("GOAWAY")
    return heard == wanted


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--binary", required=True, help="the one that must fit")
    ap.add_argument("--beside", default="haproxy", help="others, with commas")
    ap.add_argument("--all", action="store_true", help="rows that are alike, too")
    ap.add_argument("--only", help="part of a row's words")
    a = ap.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="origins"))
    names = [a.binary, *(n for n in a.beside.split(",") if n)]
    processes, ports, listeners = [], {}, {}
    try:
        for n, name in enumerate(names):
            listeners[name] = socket.create_server(("127.0.0.1", 0))
            with socket.create_server(("127.0.0.1", 0)) as free:
                ports[name] = free.getsockname()[1]
            config = folder / f"{n}.cfg"
            config.write_text(f"""
defaults
  mode http
  timeout connect 2s
  timeout client 5s
  timeout server 5s
  retries 0
  http-reuse never
listen a
  bind 127.0.0.1:{ports[name]}
  server s 127.0.0.1:{listeners[name].getsockname()[1]} proto h2
""")
            processes.append(subprocess.Popen([name, "-db", "-f", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        for port in ports.values():
            until = time.monotonic() + 10
            while time.monotonic() < until:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    time.sleep(0.05)
        cases = [c for c in CASES if not a.only or a.only in c[0] + " " + c[1]]
        failed = 0
        print("| section | a server sends | hears, its client gets | " + " | ".join(pathlib.Path(n).name for n in names) + " |")
        print("|---" * (3 + len(names)) + "|")
        for case in cases:
            want = case[3:5]
            with concurrent.futures.ThreadPoolExecutor() as all_at_once:
                got = [*all_at_once.map(lambda n: ask(ports[n], listeners[n], case), names)]
            failed += not fits(want, got[0])
            if a.all or not all(fits(want, g) for g in got):
                shown = (", ".join(g) if fits(want, g) else f"**{', '.join(g)}**" for g in got)
                print("| " + " | ".join([*case[:2], ", ".join(want), *shown]) + " |", flush=True)
    finally:
        for p in processes:
            p.terminate()
            p.wait()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"make conformance, towards servers: {len(cases) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
