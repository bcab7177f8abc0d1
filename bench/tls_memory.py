#!/usr/bin/env python3
"""Memory of idle TLS connections: resident KiB each, after a request that was answered.

usage: bench/tls_memory.py [--count N] BINARY...

Every binary runs the same configuration with one worker, which answers by itself; N connections (default 2,000) shake hands with
TLS 1.3, send one request and rest.
"""
import argparse, pathlib, signal, socket, ssl, subprocess, sys, tempfile, time


def resident(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def measure(binary, folder, count):
    port = free_port()
    config = folder / "cfg"
    config.write_text(f"""global
  nbthread 1
  maxconn {count + 100}
defaults
  mode http
  timeout client 300s
  timeout server 10s
  timeout connect 10s
  timeout http-keep-alive 300s
frontend fe
  bind 127.0.0.1:{port} ssl crt {folder}/pem alpn http/1.1
  http-request return status 200
""")
    process = subprocess.Popen([binary, "-db", "-f", config], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def one():
        s = context.wrap_socket(socket.create_connection(("127.0.0.1", port), 5))
        s.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        s.recv(4096)
        return s

    try:
        for _ in range(200):
            try:
                one().close()
                break
            except OSError:
                if process.poll() is not None:
                    sys.exit(process.stderr.read().decode()[-2000:])
                time.sleep(0.05)
        warm = [one() for _ in range(100)]
        before = resident(process.pid)
        conns = [one() for _ in range(count)]
        time.sleep(1)
        after = resident(process.pid)
        for s in warm + conns:
            s.close()
        return (after - before) / count, after / 1024
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--count", type=int, default=2000)
    ap.add_argument("binaries", nargs="+")
    a = ap.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tls-memory"))
    subprocess.run(["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=localhost", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-keyout", folder / "k", "-out", folder / "c"], check=True, capture_output=True)
    (folder / "pem").write_text((folder / "c").read_text() + (folder / "k").read_text())
    for binary in a.binaries:
        each, total = measure(binary, folder, a.count)
        print(f"{pathlib.Path(binary).name:20} {each:8.2f} KiB each, {total:6.0f} MiB in all", flush=True)


if __name__ == "__main__":
    main()
