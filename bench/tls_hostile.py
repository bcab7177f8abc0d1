#!/usr/bin/env python3
"""Slow and hostile TLS handshakes: what each costs in memory, and whether `timeout client-hs` ends all of them.

usage: bench/tls_hostile.py [--count N] BINARY

Each attack opens N connections (default 2,000) at once: silent ones, one byte, half a ClientHello, one that drips in, garbage, and one
that says it is 16 MiB long. Fails if a connection is open 12 s later (the timeout is 3 s) or costs more than 64 KiB.
"""
import argparse, atexit, pathlib, socket, struct, subprocess, sys, tempfile, time


def start(binary, folder, port):
    subprocess.run(["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=localhost", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-keyout", folder / "k", "-out", folder / "c"], check=True, capture_output=True)
    (folder / "pem").write_text((folder / "c").read_text() + (folder / "k").read_text())
    (folder / "cfg").write_text(f"""global
  nbthread 1
  maxconn 5000
defaults
  mode http
  timeout client 30s
  timeout client-hs 3s
  timeout server 5s
  timeout connect 5s
frontend fe
  bind 127.0.0.1:{port} ssl crt {folder}/pem
  http-request return status 200
""")
    process = subprocess.Popen([binary, "-db", "-f", folder / "cfg"], stderr=subprocess.DEVNULL)
    atexit.register(process.kill)
    for _ in range(200):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return process.pid
        time.sleep(0.05)
    sys.exit("it does not listen")


def resident(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def ended(s, drip):
    try:
        if drip:
            s.sendall(drip)
        s.recv(100)
        return True  # an alert, or the end
    except BlockingIOError:
        return False
    except OSError:
        return True


def attack(pid, port, count, first, drip):
    before, peak, conns = resident(pid), 0, []
    for _ in range(count):
        s = socket.create_connection(("127.0.0.1", port))
        s.sendall(first)
        s.setblocking(False)
        conns.append(s)
    opened = time.time()
    while conns and time.time() - opened < 12:
        peak = max(peak, resident(pid))
        conns = [s for s in conns if not ended(s, drip)]
        time.sleep(0.2)
    return max(0, peak - before) / count, time.time() - opened, len(conns)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--count", type=int, default=2000)
    ap.add_argument("binary")
    a = ap.parse_args()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    pid = start(a.binary, pathlib.Path(tempfile.mkdtemp(prefix="tls-hostile")), port)
    record = b"\x16\x03\x01" + struct.pack(">H", 16384)
    attacks = {"silence": (b"", b""), "one byte": (b"\x16", b""), "half a ClientHello": (record + b"\x01\x00\x40\x00\x03\x03" + b"x" * 10000, b""),
               "drip": (record + b"\x01\x00\x40\x00", b"x" * 200), "garbage": (b"GET / HTTP/1.1\r\n\r\n", b""),
               "ClientHello of 16 MiB": (record + b"\x01\xff\xff\xff\x03\x03" + b"x" * 16378, b"")}
    bad = False
    for name, (first, drip) in attacks.items():
        each, took, left = attack(pid, port, a.count, first, drip)
        bad |= left > 0 or each > 64
        print(f"{name:24} {each:6.1f} KiB each at most, all ended after {took:.1f} s, {left} left", flush=True)
    sys.exit(bad)


if __name__ == "__main__":
    main()
