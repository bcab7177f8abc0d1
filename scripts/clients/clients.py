#!/usr/bin/env python3
"""Clients of HAProxy's stats socket and exporter against Portcullis, and against haproxy on the same configuration.

What they get is compared: haproxyadmin and haproxy-stats (PyPI), Prometheus' own parser of its text format, CSV as
collectd's plugins read it, Debian's hatop on a terminal, and the commands of the management manual over socat.
Numbers that differ from run to run are masked; what differs otherwise is told, unless it is in KNOWN with its reason.

    clients.py --binary PORTCULLIS [--reference HAPROXY] [--only NAME,...] [-v]
"""
import argparse, csv, difflib, io, os, re, shutil, socket, subprocess, sys, tempfile, time, traceback, urllib.request

CONFIG = """global
  stats socket {dir}/haproxy.sock mode 600 level admin
  stats timeout 30s
  nbthread 1
  maxconn 1000
  node here
  description clients
defaults
  mode http
  option httplog
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend web
  bind 127.0.0.1:{web}
  http-request set-var(txn.x) path,map_str({dir}/paths.map,none)
  use_backend api if {{ path_beg /api }}
  default_backend app
frontend metrics
  bind 127.0.0.1:{metrics}
  http-request use-service prometheus-exporter if {{ path /metrics }}
  stats enable
  stats uri /stats
backend app
  balance roundrobin
  cookie SRV insert
  server a1 127.0.0.1:{origin} cookie a1 weight 10 check inter 1s
  server a2 127.0.0.1:{origin} cookie a2 weight 20 maxconn 30
  server a3 127.0.0.1:{origin} backup
backend api
  server b1 127.0.0.1:{origin} check inter 1s
  server b2 127.0.0.1:{closed} disabled
frontend origin
  bind 127.0.0.1:{origin}
  http-request return status 200 content-type text/plain string ok
"""

# What differs, and why: patterns of lines that are left out on both sides.
KNOWN = [
    # the version has no number of a commit
    r"^(Version|\d+\.Version|[NS]\.Version|N\.Build info|N-devN|3\.5-dev)",
    # a section for HAProxy's own HTTP client, made from resolv.conf
    r"haproxy_resolver_",
    # patterns of HAProxy's own client, and those that stand in lines
    r"^N \(\) acl '",
    # what comes nearest to a slip
    r"^  .* : (print text|report a server's current|display the current state of anon|report information about the running|wait the|commit|add an acl|activate the anon|report the keys)",
    # not there yet
    r"^'show table' is not supported yet",
    r"^(Release_date|Memmax|Ulimit-n|Maxsock|Maxpipes|Hard_maxconn|Tasks|Run_queue|Idle_pct|PoolAlloc|PoolUsed|Uptime|BytesOutRate|Build info)",
    r"haproxy_process_(build_info|pool|memory|nbthread|max_fds|max_sockets|idle|current_tasks|current_run|start_time|uptime)",
]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Proxy:
    """A running proxy on CONFIG."""

    def __init__(self, binary):
        self.dir = tempfile.mkdtemp(prefix="clients-")
        names = ["web", "metrics", "origin", "closed"]
        self.ports = {n: free_port() for n in names}
        with open(f"{self.dir}/paths.map", "w") as f:
            f.write("/a one\n/b two\n")
        path = f"{self.dir}/haproxy.cfg"
        with open(path, "w") as f:
            f.write(CONFIG.format(dir=self.dir, **self.ports))
        self.errors = open(f"{self.dir}/errors", "w+")
        self.process = subprocess.Popen([binary, "-db", "-f", path], stdout=self.errors, stderr=self.errors)
        deadline = time.time() + 15
        while not (os.path.exists(self.sock) and self.listens()):
            if time.time() > deadline or self.process.poll() is not None:
                self.errors.seek(0)
                sys.exit(f"{binary} does not start:\n{self.errors.read()}")
            time.sleep(0.02)
        for path in ["/a", "/b", "/api/x", "/a"]:
            urllib.request.urlopen(f"http://127.0.0.1:{self.ports['web']}{path}").read()
        # both have seen each checked server answer
        self.until(lambda: self.ask("show stat").count("L4OK") == 2)

    def listens(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.ports["web"])) == 0

    @property
    def sock(self):
        return f"{self.dir}/haproxy.sock"

    def ask(self, command):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(self.sock)
            s.sendall(command.encode() + b"\n")
            parts = []
            while part := s.recv(65536):
                parts.append(part)
        return b"".join(parts).decode(errors="replace")

    def until(self, what, patience=15):
        deadline = time.time() + patience
        while not what():
            if time.time() > deadline:
                return False
            time.sleep(0.05)
        return True

    def mask(self, text):
        for name, port in self.ports.items():
            text = text.replace(str(port), f"<{name}>")
        return text.replace(self.dir, "<dir>")

    def end(self):
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.dir, ignore_errors=True)


def digits(text):
    return re.sub(r"\d+(\.\d+)?", "N", text)


# ---- clients: each gives lines

def haproxyadmin(p):
    """The library of that name: what it lists, and what it changes."""
    import haproxyadmin as states
    from haproxyadmin import haproxy
    h = haproxy.HAProxy(socket_dir=p.dir)
    out = [f"process {h.nodename} {h.releasedate and 'dated'} {h.description!r}"]
    out += [f"frontend {f.name} {f.status} {f.maxconn} {f.requests >= 0} {f.iid}" for f in h.frontends()]
    for b in h.backends():
        out.append(f"backend {b.name} {b.status} {b.iid} {b.process_nb}")
        for s in b.servers():
            out.append(f"server {b.name}/{s.name} {s.status} {s.weight} {s.address} {s.port} {s.check_status} {s.last_status}")
    out.append("metrics " + " ".join(sorted(f"{f.name}:{f.metric('scur')}:{f.metric('stot')}" for f in h.frontends() if f.name != "origin")))
    app = h.backend("app")
    a1 = app.server("a1")
    for state in [states.STATE_DISABLE, states.STATE_ENABLE, states.STATE_DRAIN, states.STATE_READY, states.STATE_MAINT, states.STATE_READY]:
        out.append(f"{state}: {a1.setstate(state)} {a1.status}")
    out.append(f"weight: {a1.setweight(33)} {a1.weight} {a1.setweight('50%')} {a1.weight}")
    out.append(f"shutdown: {a1.shutdown()}")
    web = h.frontend("web")
    out.append(f"frontend: {web.disable()} {web.status} {web.enable()} {web.status} {web.setmaxconn(500)} {web.maxconn}")
    out.append(f"maxconn: {h.setmaxconn(900)} {h.maxconn}")
    m = f"{p.dir}/paths.map"
    out.append(f"map: {h.add_map(m, '/c', 'three')} {h.get_map(m, '/c')} {h.set_map(m, '/c', 'four')} {h.get_map(m, '/c')} {h.del_map(m, '/c')}")
    out += [re.sub("0x[0-9a-f]+", "0x", l) for l in h.show_map(m)]
    out.append(f"clear: {h.clear_map(m)} {h.show_map(m)}")
    out.append(f"rates: {h.setratelimitconn(100)} {h.ratelimitconn} {h.setratelimitsess(0)}")
    out.append(f"counters: {h.clearcounters()} {h.clearcounters(all=True)}")
    out.append(f"errors: {len(h.errors())}")
    return out


def haproxy_stats(p):
    """The library haproxy-stats: parsed statistics."""
    from haproxystats import HAProxyServer
    server = HAProxyServer(f"127.0.0.1:{p.ports['metrics']}/stats")
    out = [f"failed: {server.failed}", " ".join(server.fields)]
    for kind in ("frontends", "backends", "listeners"):
        for service in getattr(server, kind):
            out.append(f"{kind} {service.pxname}/{service.svname} {service.status} {service.iid}")
    return out


def prometheus(p):
    """Prometheus' parser: families, their types, and the labels of their samples."""
    from prometheus_client.parser import text_string_to_metric_families
    url = f"http://127.0.0.1:{p.ports['metrics']}/metrics"
    text = urllib.request.urlopen(url).read().decode()
    out = []
    for family in text_string_to_metric_families(text):
        if family.type == "histogram" and "duration" in family.name:
            continue  # our own addition
        labels = sorted({tuple(sorted(f"{k}={v}" for k, v in s.labels.items() if k not in ("version",))) for s in family.samples})
        out.append(f"{family.name} {family.type} {family.documentation!r}")
        out += [f"  {family.name} {' '.join(l)}" for l in labels]
    return out


def collectd(p):
    """CSV as collectd's plugins read it: every row by column, numbers as numbers."""
    text = p.ask("show stat")
    rows = list(csv.DictReader(io.StringIO(text.lstrip("# "))))
    kind = lambda v: "" if v == "" else "N" if re.fullmatch(r"-?\d+", v) else v
    skip = {"pid", "check_status", "last_chk", "agent_status", "lastchg", "downtime", "addr", "check_desc", "idle_conn_cur", "safe_conn_cur", "used_conn_cur", "need_conn_est"}
    out = [",".join(c for c in (rows[0] if rows else {}) if c)]
    for row in rows:
        out += [f"{row['pxname']}/{row['svname']} {c}={kind(v)}" for c, v in row.items() if c and c not in skip]
    info = dict(l.split(": ", 1) for l in p.ask("show info").splitlines() if ": " in l)
    return out + [f"{k}: {kind(v)}" for k, v in info.items()]


def hatop(p):
    """Debian's hatop on a terminal."""
    name = f"hatop-{os.getpid()}"
    tmux = ["tmux", "-L", name]
    subprocess.run(tmux + ["new-session", "-d", "-x", "150", "-y", "40", f"hatop -s {p.sock}"], check=True, env=dict(os.environ, TERM="xterm"))
    screens = []
    try:
        for keys, wanted in [([], "BACKEND"), (["2"], "weight"), (["4"], "CLI")]:
            for k in keys:
                subprocess.run(tmux + ["send-keys", k], check=True)
            screen = [""]
            def seen():
                screen[0] = subprocess.run(tmux + ["capture-pane", "-p"], capture_output=True, text=True).stdout
                return "app" in screen[0] or wanted in screen[0]
            p.until(seen, 8)
            time.sleep(1.2)  # hatop draws once a second
            seen()
            screens += [digits(l).rstrip() for l in screen[0].splitlines() if l.strip()]
    finally:
        subprocess.run(tmux + ["kill-server"], capture_output=True)
    # rates and times are of the moment
    return [re.sub(r"\s+", " ", re.sub(r"[|#-]{3,}", "|", l)) for l in screens if "HAProxy Version" not in l]


MANUAL = """show info;show stat
show info typed
show info desc
show stat typed
show stat up
show stat -1 4 -1
show stat json
show schema json
show backend
show servers state
show servers conn
show errors
show sess all
show table
show cli level
show cli sockets
show version
show env HAPROXY_CFGFILES
show map
show acl
show pools match nothing
show profiling status
show resolvers
show events
get weight app/a1
set weight app/a1 50%
get weight app/a1
set server app/a2 state drain
set server app/a2 state ready
set server app/a2 weight 5
set server app/a1 health down
set server app/a1 health up
set maxconn server app/a2 20
disable server app/a3
enable server app/a3
disable frontend web
enable frontend web
get map {dir}/paths.map /a
add map {dir}/paths.map /z last
show map {dir}/paths.map
del map {dir}/paths.map /z
clear map {dir}/paths.map
set rate-limit connections global 500
set rate-limit sessions global 0
shutdown sessions server app/a1
clear counters
clear counters all
help nothing
nothing at all""".splitlines()


def socat(p):
    """Commands of the management manual, as its examples send them."""
    out = []
    for command in MANUAL:
        command = command.format(dir=p.dir)
        done = subprocess.run(["socat", p.sock, "stdio"], input=command + "\n", capture_output=True, text=True, timeout=20)
        out.append(f"$ {p.mask(command)}")
        text = p.mask(done.stdout)
        if command.startswith("show sess"):
            text = "\n".join(re.sub(r"\[.*\] id=\d+ ", "", l) for l in text.splitlines() if "proto=" in l)
        if command == "show events":
            text = "\n".join(l for l in text.splitlines() if "dpapi" not in l)
        text = re.sub(r"0x[0-9a-f]+", "0xN", text)
        out += [digits(l) for l in text.splitlines()]
    return out


CLIENTS = [haproxyadmin, haproxy_stats, prometheus, collectd, hatop, socat]


def main():
    args = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    args.add_argument("--binary", required=True)
    args.add_argument("--reference", default=next((b for b in ["/usr/local/bin/haproxy35", "/usr/sbin/haproxy"] if os.path.exists(b)), "haproxy"))
    args.add_argument("--only", default="")
    args.add_argument("-v", action="store_true")
    args = args.parse_args()
    only = set(filter(None, args.only.split(",")))
    failed = []
    for client in CLIENTS:
        if only and client.__name__ not in only:
            continue
        got = []
        for binary in [args.reference, args.binary]:
            proxy = Proxy(binary)
            try:
                lines = client(proxy)
            except Exception:  # what a client stumbles over is the result
                lines = traceback.format_exc().splitlines()
            finally:
                proxy.end()
            lines = [re.sub(r"UP -?[\dN]/[\dN]", "UP", proxy.mask(l)) for l in lines]
            got.append([l for l in lines if not any(re.search(k, l) for k in KNOWN)])
        theirs, ours = got
        if args.v:
            print("\n".join("    " + l for l in ours))
        differences = [l for l in difflib.unified_diff(theirs, ours, "haproxy", "portcullis", lineterm="", n=0)]
        print(f"{client.__name__}: {len(ours)} lines, " + ("the same" if not differences else "DIFFERENT"))
        if differences:
            failed.append(client.__name__)
            print("\n".join("    " + l for l in differences[:400]))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
