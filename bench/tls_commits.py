#!/usr/bin/env python3
"""Certificates that change under load: 1,000 `commit ssl cert` while clients shake hands, none of which may fail.

usage: bench/tls_commits.py [--count N] [--more OPTIONS] BINARY

`--more` goes behind the `bind` line, such as `crt DIR` with many certificates beside the one that changes.
"""
import argparse, atexit, pathlib, socket, ssl, subprocess, sys, tempfile, threading, time


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--count", type=int, default=1000)
    ap.add_argument("--more", default="")
    ap.add_argument("binary")
    a = ap.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tls-commits"))
    pems = []
    for name in ("a", "b"):
        subprocess.run(["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", f"/CN={name}", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-keyout", folder / "k", "-out", folder / "c"], check=True, capture_output=True)
        pems.append((folder / "c").read_text() + (folder / "k").read_text())
    site = folder / "site.pem"
    site.write_text(pems[0])
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    (folder / "cfg").write_text(f"""global
  nbthread 1
  stats socket {folder}/cli level admin
defaults
  mode http
  timeout client 30s
  timeout server 5s
  timeout connect 5s
frontend fe
  bind 127.0.0.1:{port} ssl crt {site} {a.more}
  http-request return status 200
""")
    process = subprocess.Popen([a.binary, "-db", "-f", folder / "cfg"], stderr=subprocess.DEVNULL)
    atexit.register(process.kill)
    for _ in range(2400):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    done, good, bad = threading.Event(), [], []

    def client():
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        while not done.is_set():
            try:
                with socket.create_connection(("127.0.0.1", port), 5) as raw, context.wrap_socket(raw, server_hostname="a") as s:
                    s.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
                    good.append(s.recv(100))
            except OSError as e:
                bad.append(repr(e))

    def ask(text):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(folder / "cli"))
            s.sendall(text.encode() + b"\n")
            s.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: s.recv(4096), b"")).decode()

    clients = [threading.Thread(target=client) for _ in range(8)]
    for c in clients:
        c.start()
    began, committed = time.time(), 0
    for i in range(a.count):
        ask(f"set ssl cert {site} <<\n{pems[(i + 1) % 2]}\n")
        committed += "Success" in ask(f"commit ssl cert {site}")
        time.sleep(0.01)  # so that handshakes come between
    took = time.time() - began
    done.set()
    for c in clients:
        c.join()
    print(f"{committed} commits in {took:.1f} s, {len(good)} handshakes, {len(bad)} failed", *bad[:3])
    sys.exit(committed != a.count or bool(bad))


if __name__ == "__main__":
    main()
