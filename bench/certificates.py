#!/usr/bin/env python3
"""Time and memory to load many certificates, half RSA-2048 and half P-256, from a directory or a crt-list.

usage: bench/certificates.py [--count N] [--keep DIR] BINARY [REFERENCE]

Makes N certificates (default 50,000) of N / 100 keys of each kind, each with a name of its own, and lets every binary load them
twice: as a directory and as a crt-list. Time is until the first handshake is answered; memory is the process' own then. The last
certificate's name is asked for, so that the answer shows that it was found. Needs python3-cryptography.
"""
import argparse, datetime, os, pathlib, shutil, signal, socket, ssl, subprocess, sys, tempfile, time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa


def make(folder, count):
    """Certificates and a list of them."""
    keys = max(1, count // 1000)
    pem = lambda k: k.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    kinds = [[rsa.generate_private_key(65537, 2048) for _ in range(keys)], [ec.generate_private_key(ec.SECP256R1()) for _ in range(keys)]]
    texts = [[pem(k) for k in kind] for kind in kinds]
    authority = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
    begin = datetime.datetime(2026, 1, 1)
    lines = []
    for i in range(count):
        kind, name = i % 2, f"n{i}.example"
        key = kinds[kind][i // 2 % keys]
        cert = (x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
                .issuer_name(issuer).public_key(key.public_key()).serial_number(i + 1).not_valid_before(begin)
                .not_valid_after(begin + datetime.timedelta(days=3650))
                .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False).sign(authority, hashes.SHA256()))
        file = folder / "all" / f"{i:06}.pem"
        file.write_bytes(cert.public_bytes(serialization.Encoding.PEM) + texts[kind][i // 2 % keys])
        lines.append(f"{file} [ssl-min-ver TLSv1.2] {name}\n")
    (folder / "list").write_text("".join(lines))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def asked(port, name):
    """The name of the certificate that is answered with, or None."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as raw, context.wrap_socket(raw, server_hostname=name) as s:
            cert = x509.load_der_x509_certificate(s.getpeercert(True))
            return cert.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    except OSError:
        return None


def load(binary, folder, how, last):
    port = free_port()
    config = folder / "cfg"
    config.write_text(f"""global
  nbthread 1
  maxconn 100
defaults
  mode http
  timeout client 10s
  timeout server 10s
  timeout connect 10s
frontend fe
  bind 127.0.0.1:{port} ssl {how}
  http-request return status 200
""")
    began = time.time()
    process = subprocess.Popen([binary, "-db", "-f", config], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        while (name := asked(port, last)) is None:
            if process.poll() is not None:
                sys.exit(process.stderr.read().decode()[-2000:])
            time.sleep(0.02)
        took = time.time() - began
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        cpu = sum(int(n) for n in pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13])
        rss = int(next(l for l in status.splitlines() if l.startswith("VmRSS")).split()[1])
        return took, cpu / os.sysconf("SC_CLK_TCK"), rss, name
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--count", type=int, default=50_000)
    ap.add_argument("--keep", type=pathlib.Path, help="a folder whose certificates are made once")
    ap.add_argument("binaries", nargs="+")
    a = ap.parse_args()
    folder = a.keep or pathlib.Path(tempfile.mkdtemp(prefix="certificates"))
    if not (folder / "list").exists():
        (folder / "all").mkdir(parents=True, exist_ok=True)
        make(folder, a.count)
    last = f"n{a.count - 1}.example"
    print(f"{'':34} {'seconds':>8} {'CPU':>7} {'ms each':>8} {'MiB':>7} {'KiB each':>9}")
    for binary in a.binaries:
        for what, how in (("directory", f"crt {folder}/all"), ("crt-list", f"crt-list {folder}/list")):
            took, cpu, rss, name = load(binary, folder, how, last)
            found = "" if name == last else f"   answered with {name}"
            print(f"{pathlib.Path(binary).name + ' ' + what:34} {took:8.2f} {cpu:7.2f} {cpu * 1000 / a.count:8.3f} {rss / 1024:7.0f} {rss / a.count:9.2f}{found}", flush=True)
    if not a.keep:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
