"""What the benchmarks share: starting processes on chosen CPUs, reading their CPU and memory, a plain origin."""
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

KIB = 1024
ANSWER = "x" * 100  # the small body


class Bench:
    """A folder and the processes started from it; everything goes when the block ends."""

    def __enter__(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="portcullis-bench-"))
        self.dir.chmod(0o755)
        self.processes = []
        return self

    def __exit__(self, *_):
        for sig in (signal.SIGTERM, signal.SIGKILL):
            for process in self.processes:
                if process.poll() is None:
                    try:
                        os.killpg(process.pid, sig)
                    except ProcessLookupError:
                        pass
            deadline = time.time() + 1
            while time.time() < deadline and any(p.poll() is None for p in self.processes):
                time.sleep(0.02)
        shutil.rmtree(self.dir, ignore_errors=True)

    def start(self, command, cpus):
        """Starts a command in a session of its own, pinned to these CPUs ("0", "0,1")."""
        log = open(self.dir / "stderr", "ab")
        process = subprocess.Popen(
            ["taskset", "-c", cpus, *map(str, command)], stdout=subprocess.DEVNULL, stderr=log, start_new_session=True
        )
        self.processes.append(process)
        return process

    def stop(self, process):
        """Ends a started process and its children."""
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()

    def write(self, name, text):
        path = self.dir / name
        path.write_text(text)
        return path

    def wait_port(self, port, process):
        """Waits until the port answers; ends the benchmark when the process died instead."""
        for _ in range(600):
            if process.poll() is not None:
                sys.exit(f"{process.args} ended:\n" + (self.dir / "stderr").read_text()[-3000:])
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        sys.exit(f"port {port} never opened: {process.args}")

    def origin(self, ports, cpu="1", http2=()):
        """nginx as an origin: / is 100 bytes, /1m is 1 MiB. `http2`: ports where it speaks HTTP/2.

        It takes all connections that wait (multi_accept): one a turn lets a new one wait for 0.4 s under full load, which would
        stand in the tail of whoever opens connections when they are needed and not all at the start.
        """
        www = self.dir / "www"
        www.mkdir(exist_ok=True)
        (www / "1m").write_bytes(os.urandom(1 << 20))
        listen = " ".join(f"listen 127.0.0.1:{port} backlog=4096;" for port in ports)
        listen += "".join(f" listen 127.0.0.1:{port} http2 backlog=4096;" for port in http2)
        conf = self.write(
            "origin.conf",
            f"""
worker_processes 1; daemon off; pid {self.dir}/origin.pid; error_log {self.dir}/origin.err;
worker_rlimit_nofile 60000;
events {{ worker_connections 20000; multi_accept on; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 300s;
    client_body_temp_path {self.dir}/origin-body; proxy_temp_path {self.dir}/origin-proxy;
    server {{ {listen} root {www}; location = / {{ return 200 "{ANSWER}"; }} location / {{ }} }}
}}
""",
        )
        process = self.start(["nginx", "-c", conf], cpu)
        self.wait_port(ports[0], process)
        return process


def log_sink(port):
    """A socket that syslog datagrams go to; nobody reads them, the kernel drops what does not fit."""
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind(("127.0.0.1", port))
    return sink


def members(session):
    """Pids of all processes in a session."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = open(f"/proc/{entry}/stat").read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[3]) == session:
                yield int(entry)


def cpu_seconds(session):
    """CPU time of all threads of a session, from the scheduler's own nanosecond counters."""
    total = 0
    for pid in members(session):
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                total += int(open(f"/proc/{pid}/task/{thread}/schedstat").read().split()[0])
        except OSError:
            pass
    return total / 1e9


def rss_kib(session):
    """Resident memory of all processes of a session, in KiB."""
    total = 0
    for pid in members(session):
        try:
            total += int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read())[1])
        except (OSError, TypeError):
            pass
    return total


def descriptors(session):
    """Open descriptors of all processes of a session, counted by kind: socket, pipe, other."""
    kinds = {"socket": 0, "pipe": 0, "other": 0}
    for pid in members(session):
        try:
            open_now = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for fd in open_now:
            try:
                kind = os.readlink(f"/proc/{pid}/fd/{fd}").split(":")[0]
            except OSError:
                continue
            kinds[kind if kind in kinds else "other"] += 1
    return kinds
