#!/usr/bin/env python3
"""The requirements of RFC 9113 and RFC 7541 on a server, asked of real ones over the wire.

    make conformance                     # ours must fit; haproxy's and nginx's answers stand beside, where they differ

Each row is a requirement: its section, what a client does, and what has to come of it: `GOAWAY n` (a connection error; closing
without a word is told apart), `RST n` (a stream error; a connection error is allowed for one), `refused` (any of them, or a
status of 4xx), `the end` (of the connection), `answer` (the request is served) or `silence`. What the answers look like inside, the tests of `wire::h2` say.
"""
import argparse
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NO, PROTOCOL, INTERNAL, FLOW, TIMEOUT, CLOSED, SIZE, REFUSED, CANCEL, COMPRESSION, CONNECT, CALM = range(12)


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def block(*fields):
    text = lambda t: bytes([len(t.encode("latin1"))]) + t.encode("latin1")
    return b"".join(b"\0" + text(n) + text(v) for n, v in fields)


START = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")]
POST = [(":method", "POST")] + START[1:]
GET = block(*START)


def get(stream, *more, base=START, end=1):
    return frame(HEADERS, 4 | end, stream, block(*base, *more))


def post(stream, *more):
    return get(stream, *more, base=POST, end=0)


def setting(n, value):
    return frame(SETTINGS, 0, 0, struct.pack(">HI", n, value))


def number(kind, stream, n):
    return frame(kind, 0, stream, struct.pack(">I", n))


def without(name):
    return [f for f in START if f[0] != name]


def goaway(n):
    return f"GOAWAY {n}"


def rst(n):
    return f"RST {n}"


big = b"x" * 16385
done = "done"  # the answer of stream 1 is waited for first
# section, what a client does, its bytes (behind preface and settings; tuples wait for what they name), what has to come of it
CASES = [
    ("9113 3.4", "another preface", (b"raw", b"GET / HTTP/2.0\r\n\r\nXX\r\n\r\n"), "the end"),
    ("9113 3.4", "first frame is no SETTINGS", (b"raw", PREFACE + frame(PING, 0, 0, bytes(8))), goaway(PROTOCOL)),
    ("9113 4.1", "unknown type of frame", frame(77, 255, 3, b"abc") + get(1), "answer"),
    ("9113 4.1", "undefined flags", frame(HEADERS, 5 | 0x82, 1, GET), "answer"),
    ("9113 4.1", "reserved bit", frame(HEADERS, 5, 1 | 1 << 31, GET), "answer"),
    ("9113 4.2", "DATA above the limit", post(1) + frame(DATA, 1, 1, big), goaway(SIZE)),
    ("9113 4.2", "HEADERS above the limit", frame(HEADERS, 5, 1, GET + big), goaway(SIZE)),
    ("9113 4.2", "SETTINGS above the limit", frame(SETTINGS, 0, 0, bytes(16386)), goaway(SIZE)),
    ("9113 4.3", "a block that cannot be decoded", frame(HEADERS, 5, 1, b"\xff\xff\xff\xff\xff\xff\xff\xff"), goaway(COMPRESSION)),
    ("9113 4.3", "a block that is cut off", frame(HEADERS, 5, 1, GET + b"\0\x05ab"), goaway(COMPRESSION)),
    ("9113 4.3", "PING within a block", frame(HEADERS, 1, 1, GET) + frame(PING, 0, 0, bytes(8)), goaway(PROTOCOL)),
    ("9113 4.3", "another stream's HEADERS within a block", frame(HEADERS, 1, 1, GET) + get(3), goaway(PROTOCOL)),
    ("9113 5.1", "DATA on an idle stream", frame(DATA, 1, 1, b"a"), goaway(PROTOCOL)),
    ("9113 5.1", "RST_STREAM on an idle stream", number(RST, 1, 8), goaway(PROTOCOL)),
    ("9113 5.1", "WINDOW_UPDATE on an idle stream", number(WINDOW, 1, 8), goaway(PROTOCOL)),
    ("9113 5.1", "CONTINUATION on an idle stream", frame(CONTINUATION, 4, 1, GET), goaway(PROTOCOL)),
    ("9113 5.1", "DATA behind END_STREAM", get(1) + frame(DATA, 1, 1, b"a"), rst(CLOSED)),
    ("9113 5.1", "HEADERS behind END_STREAM", get(1) + get(1), rst(CLOSED)),
    ("9113 5.1", "DATA on a closed stream", (get(1), done, frame(DATA, 1, 1, b"a")), rst(CLOSED)),
    ("9113 5.1", "HEADERS on a closed stream", (get(1), done, get(1)), goaway(CLOSED)),
    ("9113 5.1", "DATA on a stream that the client has reset", post(1) + number(RST, 1, 8) + frame(DATA, 1, 1, b"a"), rst(CLOSED)),
    ("9113 5.1", "PRIORITY on a closed stream", (get(1), done, frame(PRIORITY, 0, 1, b"\0\0\0\0\1") + get(3)), "answer"),
    ("9113 5.1", "WINDOW_UPDATE on a closed stream", (get(1), done, number(WINDOW, 1, 1) + get(3)), "answer"),
    ("9113 5.1.1", "an even stream", get(2), goaway(PROTOCOL)),
    ("9113 5.1.1", "a lower stream", get(5) + get(3), "the end"),
    ("9113 5.1.2", "more streams than announced", b"".join(post(2 * n + 1) for n in range(129)), "refused"),
    ("9113 5.5", "an unknown frame within a block", frame(HEADERS, 1, 1, GET) + frame(77, 0, 0), goaway(PROTOCOL)),
    ("9113 6.1", "DATA on stream 0", frame(DATA, 0, 0, b"a"), goaway(PROTOCOL)),
    ("9113 6.1", "DATA with more padding than frame", post(1) + frame(DATA, 9, 1, b"\x05abcd"), goaway(PROTOCOL)),
    ("9113 6.2", "HEADERS on stream 0", frame(HEADERS, 5, 0, GET), goaway(PROTOCOL)),
    ("9113 6.2", "HEADERS with more padding than frame", frame(HEADERS, 13, 1, b"\xff" + GET), goaway(PROTOCOL)),
    ("9113 6.2", "HEADERS with padding and priority", frame(HEADERS, 5 | 0x28, 1, b"\x02\0\0\0\0\0" + GET + b"\0\0"), "answer"),
    ("9113 6.3", "PRIORITY on stream 0", frame(PRIORITY, 0, 0, bytes(5)), goaway(PROTOCOL)),
    ("9113 6.3", "PRIORITY of four bytes", frame(PRIORITY, 0, 1, bytes(4)), rst(SIZE)),
    ("9113 6.4", "RST_STREAM on stream 0", number(RST, 0, 8), goaway(PROTOCOL)),
    ("9113 6.4", "RST_STREAM of three bytes", post(1) + frame(RST, 0, 1, bytes(3)), goaway(SIZE)),
    ("9113 6.5", "SETTINGS on a stream", frame(SETTINGS, 0, 1), goaway(PROTOCOL)),
    ("9113 6.5", "SETTINGS of five bytes", frame(SETTINGS, 0, 0, bytes(5)), goaway(SIZE)),
    ("9113 6.5", "an acknowledgement with payload", frame(SETTINGS, 1, 0, bytes(6)), goaway(SIZE)),
    ("9113 6.5.2", "ENABLE_PUSH of 2", setting(2, 2), goaway(PROTOCOL)),
    ("9113 6.5.2", "INITIAL_WINDOW_SIZE above 2^31-1", setting(4, 1 << 31), goaway(FLOW)),
    ("9113 6.5.2", "MAX_FRAME_SIZE below 16384", setting(5, 16383), goaway(PROTOCOL)),
    ("9113 6.5.2", "MAX_FRAME_SIZE above 2^24-1", setting(5, 1 << 24), goaway(PROTOCOL)),
    ("9113 6.5.2", "an unknown setting", setting(999, 1) + get(1), "answer"),
    ("9113 6.6", "PUSH_PROMISE", post(1) + frame(PUSH, 4, 1, b"\0\0\0\2" + GET), goaway(PROTOCOL)),
    ("9113 6.7", "PING on a stream", frame(PING, 0, 1, bytes(8)), goaway(PROTOCOL)),
    ("9113 6.7", "PING of six bytes", frame(PING, 0, 0, bytes(6)), goaway(SIZE)),
    ("9113 6.7", "PING", frame(PING, 0, 0, b"abcdefgh"), "PONG"),
    ("9113 6.7", "the acknowledgement of no PING", frame(PING, 1, 0, bytes(8)) + get(1), "answer"),
    ("9113 6.8", "GOAWAY on a stream", frame(GOAWAY, 0, 1, bytes(8)), goaway(PROTOCOL)),
    ("9113 6.9", "WINDOW_UPDATE of 0", number(WINDOW, 0, 0), goaway(PROTOCOL)),
    ("9113 6.9", "a stream's WINDOW_UPDATE of 0", post(1) + number(WINDOW, 1, 0), rst(PROTOCOL)),
    ("9113 6.9", "WINDOW_UPDATE of three bytes", frame(WINDOW, 0, 0, bytes(3)), goaway(SIZE)),
    ("9113 6.9.1", "a window above 2^31-1", number(WINDOW, 0, 0x7FFFFFFF), goaway(FLOW)),
    ("9113 6.9.1", "a stream's window above 2^31-1", post(1) + number(WINDOW, 1, 0x7FFFFFFF), rst(FLOW)),
    ("9113 6.9.1", "no window at all", setting(4, 0) + get(1), "no data"),
    ("9113 6.9.2", "a window that is opened by SETTINGS", setting(4, 0) + get(1) + setting(4, 65535), "answer"),
    ("9113 6.10", "CONTINUATION behind END_HEADERS", post(1) + frame(CONTINUATION, 4, 1, block(("a", "b"))), goaway(PROTOCOL)),
    ("9113 6.10", "CONTINUATION on stream 0", frame(HEADERS, 1, 1, GET) + frame(CONTINUATION, 4, 0), goaway(PROTOCOL)),
    ("9113 6.10", "a block in three frames", frame(HEADERS, 1, 1, GET[:9]) + frame(CONTINUATION, 0, 1, GET[9:12]) + frame(CONTINUATION, 4, 1, GET[12:]), "answer"),
    ("9113 8.1", "a second block without END_STREAM", post(1) + frame(HEADERS, 4, 1, block(("a", "b"))), "refused"),
    ("9113 8.1", "trailers", post(1) + frame(HEADERS, 5, 1, block(("a", "b"))), "answer"),
    ("9113 8.1.1", "less DATA than Content-Length", post(1, ("content-length", "5")) + frame(DATA, 1, 1, b"abc"), "refused"),
    ("9113 8.1.1", "more DATA than Content-Length", post(1, ("content-length", "1")) + frame(DATA, 1, 1, b"abc"), "refused"),
    ("9113 8.1.1", "Content-Length and END_STREAM", get(1, ("content-length", "5")), "refused"),
    ("9113 8.2.1", "a name in upper case", get(1, ("Upper", "x")), "refused"),
    ("9113 8.2.1", "a name with a blank", get(1, ("a b", "x")), "refused"),
    ("9113 8.2.1", "a name with a colon", get(1, ("a:b", "x")), "refused"),
    ("9113 8.2.1", "a value with CR", get(1, ("a", "x\ry")), "refused"),
    ("9113 8.2.1", "a value with LF", get(1, ("a", "x\ny")), "refused"),
    ("9113 8.2.1", "a value with NUL", get(1, ("a", "x\0y")), "refused"),
    *(("9113 8.2.2", f"{n}: {v}", get(1, (n, v)), "refused") for n, v in (
        ("connection", "close"), ("keep-alive", "1"), ("proxy-connection", "close"), ("transfer-encoding", "chunked"), ("upgrade", "a"), ("te", "gzip"))),
    ("9113 8.2.2", "te: trailers", get(1, ("te", "trailers")), "answer"),
    ("9113 8.3", "an unknown pseudo-header field", get(1, base=START + [(":foo", "x")]), "refused"),
    ("9113 8.3", "a response's pseudo-header field", get(1, base=START + [(":status", "200")]), "refused"),
    ("9113 8.3", "a pseudo-header field behind others", get(1, base=START[:3] + [("a", "b")] + START[3:]), "refused"),
    ("9113 8.3", "a pseudo-header field in trailers", post(1) + frame(HEADERS, 5, 1, block((":path", "/"))), "refused"),
    *(("9113 8.3.1", f"no {n}", get(1, base=without(n)), "refused") for n in (":method", ":scheme", ":path")),
    *(("9113 8.3.1", f"{n} twice", get(1, base=[(n, v)] + START), "refused") for n, v in START[:3]),
    ("9113 8.3.1", "an empty :path", get(1, base=without(":path") + [(":path", "")]), "refused"),
    ("9113 8.3.1", "a :path without a slash", get(1, base=without(":path") + [(":path", "a")]), "refused"),
    ("9113 8.3.1", "user information in :authority", get(1, base=without(":authority") + [(":authority", "u@a")]), "refused"),
    ("9113 8.3.1", ":authority is not Host", get(1, ("host", "b")), "any"),
    ("9113 8.5", "CONNECT with :scheme and :path", get(1, base=[(":method", "CONNECT")] + START[1:]), "refused"),
    ("9113 8.5", "CONNECT without :authority", get(1, base=[(":method", "CONNECT")]), "refused"),
    ("7541 2.3.3", "an index beyond the tables", frame(HEADERS, 5, 1, GET + b"\xfe"), goaway(COMPRESSION)),
    ("7541 4.2", "a table above what was announced", frame(HEADERS, 5, 1, b"\x3f\xff\xff\x03" + GET), goaway(COMPRESSION)),
    ("7541 4.2", "a change of the table's size behind fields", frame(HEADERS, 5, 1, GET + b"\x20"), goaway(COMPRESSION)),
    ("7541 4.2", "a change of the table's size", frame(HEADERS, 5, 1, b"\x20\x3f\xe1\x1f" + GET), "answer"),
    ("7541 5.1", "an integer without end", frame(HEADERS, 5, 1, GET + b"\x7f" + b"\xff" * 12), goaway(COMPRESSION)),
    ("7541 5.2", "padding of more than seven bits", frame(HEADERS, 5, 1, GET + b"\0\x01a\x82\x1f\xff"), goaway(COMPRESSION)),
    ("7541 5.2", "padding that is not of EOS", frame(HEADERS, 5, 1, GET + b"\0\x01a\x81\x18"), goaway(COMPRESSION)),
    ("7541 5.2", "EOS in a string", frame(HEADERS, 5, 1, GET + b"\0\x01a\x84\xff\xff\xff\xff"), goaway(COMPRESSION)),
    ("7541 6.1", "index 0", frame(HEADERS, 5, 1, GET + b"\x80"), goaway(COMPRESSION)),
]


class Talk:
    """A connection, and what was heard on it."""

    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", port))
        self.s.settimeout(0.6)
        self.buffer = b""

    def frames(self, until):
        """Frames until nothing comes any more."""
        while time.monotonic() < until:
            while len(self.buffer) >= 9 and len(self.buffer) >= 9 + (n := int.from_bytes(self.buffer[:3], "big")):
                kind, flags, stream = self.buffer[3], self.buffer[4], int.from_bytes(self.buffer[5:9], "big")
                payload, self.buffer = self.buffer[9 : 9 + n], self.buffer[9 + n :]
                yield kind, flags, stream, payload
            try:
                got = self.s.recv(65536)
            except TimeoutError:
                return
            except OSError:
                got = b""
            if not got:
                yield None, 0, 0, b""
                return
            self.buffer += got

    def send(self, data):
        try:
            self.s.sendall(data)
        except OSError:
            pass

    def outcome(self, want):
        """The first thing of note."""
        status = None
        for kind, flags, stream, payload in self.frames(time.monotonic() + 3):
            if kind is None:
                return "closed"
            if kind == GOAWAY:
                return goaway(int.from_bytes(payload[4:8], "big"))
            if kind == RST and (n := int.from_bytes(payload[:4], "big")) != NO:
                return rst(n)
            if kind == PING and flags & 1:
                return "PONG"
            if kind == SETTINGS and not flags & 1:
                self.send(frame(SETTINGS, 1, 0))
            if kind == HEADERS and not want.startswith(("GOAWAY", "RST")):
                status = payload[:1]
                if status not in b"\x88\x89" and want == "refused":
                    return "4xx"
            if kind in (HEADERS, DATA) and flags & 1 and status is not None:
                return "answer"
        return "silence" if status is None else "no data"


def ask(port, case):
    _, _, what, want = case
    parts = what if isinstance(what, tuple) else (what,)
    talk = Talk(port)
    if parts[0] == b"raw":
        parts = parts[1:]
    else:
        talk.send(PREFACE + frame(SETTINGS, 0, 0))
    for part in parts:
        if part == done:
            for kind, flags, stream, _ in talk.frames(time.monotonic() + 3):
                if kind in (DATA, HEADERS) and flags & 1:
                    break
        else:
            talk.send(part)
    got = talk.outcome(want)
    talk.s.close()
    return got


def fits(want, got):
    if want == "any":
        return True
    if want == "refused":
        return got in ("4xx", "closed") or got.startswith(("GOAWAY", "RST"))
    if want.startswith("RST"):
        # RFC 9113 section 5.4.2: a connection error will do, too
        return got == want or got.startswith("GOAWAY")
    if want == "the end":
        # RFC 9113 section 3.4: GOAWAY may be left out
        return got == "closed" or got.startswith("GOAWAY")
    return got == want


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--binary", required=True, help="the one that must fit")
    ap.add_argument("--beside", default="haproxy,nginx", help="others, with commas")
    ap.add_argument("--all", action="store_true", help="rows that are alike, too")
    a = ap.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="conformance"))
    folder.chmod(0o755)
    processes, ports = [], {}
    names = [a.binary, *a.beside.split(",")]
    free = socket.socket()
    free.bind(("127.0.0.1", 0))
    origin = free.getsockname()[1]
    free.close()
    (folder / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/err;
events {{ worker_connections 512; }}
http {{ access_log off; client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4;
 scgi_temp_path {folder}/t5;
 server {{ listen 127.0.0.1:{origin}; location / {{ return 200 hello; }} }}
 server {{ listen 127.0.0.1:{origin + 1} http2; location / {{ proxy_pass http://127.0.0.1:{origin}; proxy_http_version 1.1; }} }} }}
""")
    try:
        processes.append(subprocess.Popen(["nginx", "-c", folder / "nginx.conf"], stderr=subprocess.DEVNULL))
        for n, name in enumerate(names):
            if name == "nginx":
                ports[name] = origin + 1
                continue
            ports[name] = origin + 2 + n
            config = folder / f"{n}.cfg"
            config.write_text(f"""
defaults
  mode http
  timeout connect 5s
  timeout client 20s
  timeout server 20s
listen a
  bind 127.0.0.1:{ports[name]} proto h2
  server s 127.0.0.1:{origin}
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
        failed = 0
        print("| section | a client sends | wanted | " + " | ".join(pathlib.Path(n).name for n in names) + " |")
        print("|---" * (3 + len(names)) + "|")
        for case in CASES:
            got = [ask(ports[n], case) for n in names]
            failed += not fits(case[3], got[0])
            if a.all or not all(fits(case[3], g) for g in got):
                print("| " + " | ".join([*case[:2], case[3], *(g if fits(case[3], g) else f"**{g}**" for g in got)]) + " |", flush=True)
    finally:
        for p in processes:
            # nginx takes its workers with it
            p.terminate()
            p.wait()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"make conformance: {len(CASES) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
