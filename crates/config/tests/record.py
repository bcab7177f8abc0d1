#!/usr/bin/env python3
"""Records what the reference says about the snippets of verdicts.txt: `record.py [haproxy binary] < verdicts.txt`.

verdicts.txt: a line `T: TEMPLATE` (with \\n, and %s for the snippet) begins a block, every other line is a snippet.
Output, tab separated: template, snippet, verdict (ok, warn, alert), line (0: none), first message."""
import re, subprocess, sys, tempfile, os

def run(binary, text):
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "F")
        open(path, "w").write(text)
        env = dict(os.environ, A="a1", EMPTY="", LIST="one two  three", ADDR="127.0.0.1", PORT="8080", BOTH="127.0.0.1:80")
        r = subprocess.run([binary, "-c", "-f", path], capture_output=True, text=True, errors="replace", timeout=20, env=env)
    out = re.sub(r"\(\d+\) ", "", r.stdout + r.stderr).replace(path, "F")
    said = [l for l in out.split("\n") if l.startswith(("[ALERT]", "[WARNING]"))]
    want = "[ALERT]" if r.returncode else "[WARNING]"
    first = next((l for l in said if l.startswith(want) and "Fatal errors" not in l and "Error(s) found" not in l), "")
    verdict = "alert" if r.returncode else "warn" if first else "ok"
    at = re.search(r"\[F:(\d+)\]", first)
    text = re.sub(r"^\[\w+\] *: *(config *:)? *(config *:)? *([Pp]arsing)? *(\[F:\d+\])? *:? *(parsing \[F:\d+\] *:)? *", "", first)
    return verdict, at.group(1) if at else "0", text

template = "%s"
for line in sys.stdin.read().split("\n"):
    if line.startswith("T: "):
        template = line[3:]
    elif line:
        v = run(sys.argv[1] if len(sys.argv) > 1 else "haproxy35", (template + "\n").replace("%s", line).replace("\\n", "\n"))
        print(template, line, *v, sep="\t")
