#!/usr/bin/env python3
"""Every command and every tree in the documents is what haspan really prints.

    tests/docs.py [--fill|--haproxy] [FILE.md...]    from the top of the tree; default: README.md doc/*.md

    ```log [OPTIONS]   the lines are fed to haspan OPTIONS; the next ```text block is its standard output
    ```console         `$ command` lines, each followed by what it prints
    ```haproxy         must pass `haproxy -c` without a word; a fragment gets the timeouts and backends it lacks, but no mode.
                       A block that says `2.9` is for a HAProxy of that version: skipped by an older one.

Without FILE also: README.md links each document once; links within the tree lead somewhere; the ring of HAProxy's is the same wherever it is shown.

--fill writes the real output into the files; --haproxy checks the ```haproxy blocks alone. $HAPROXY names the binary.
"""
import difflib
import glob
import os
import re
import subprocess
import sys
import tempfile

ENV = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "HASPAN_"))}
ENV["PATH"] = os.path.abspath("build") + ":" + os.environ["PATH"]
ENV.update(COLUMNS="80", TZ="UTC", LC_ALL="C.UTF-8")
HAPROXY = os.environ.get("HAPROXY") or "haproxy"
BLOCK = re.compile(r"^(```[^\n]*\n.*?^```)[ \t]*$", re.M | re.S)
PARTS = re.compile(r"```([a-z]*)[ ]?([^\n]*)\n(.*)^```$", re.M | re.S)
DEFAULTS = "defaults\n    timeout connect 5s\n    timeout client 30s\n    timeout server 30s\n"


def run(command, stdin=b"", merge=False):
    done = subprocess.run(["bash", "-c", command], input=stdin, env=ENV, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT if merge else subprocess.DEVNULL, timeout=120)
    return done.stdout.decode().rstrip("\n") + "\n"


def haproxy_version():
    said = subprocess.run([HAPROXY, "-v"], capture_output=True, text=True).stdout
    return tuple(int(n) for n in re.search(r"version (\d+)\.(\d+)", said).groups())


def haproxy_accepts(body, info):
    wanted = re.search(r"(\d+)\.(\d+)", info)
    if wanted and haproxy_version() < tuple(int(n) for n in wanted.groups()):
        return True
    text = body if re.search(r"^defaults", body, re.M) else DEFAULTS + body
    for backend in sorted(set(re.findall(r"(?:default_backend|use_backend)\s+(\S+)", text))):
        if not re.search(r"^(backend|listen)\s+" + re.escape(backend) + r"\b", text, re.M):
            mode = "http" if re.search(r"^\s+mode http", text, re.M) else "tcp"
            text += f"\nbackend {backend}\n    mode {mode}\n    server s1 127.0.0.1:8081\n"
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as file:
        file.write(text)
        file.flush()
        done = subprocess.run([HAPROXY, "-c", "-f", file.name], capture_output=True, text=True)
    wrong = done.returncode != 0 or "[WARNING]" in done.stderr
    if wrong:
        print(done.stdout + done.stderr)
    return not wrong


def commands(body):
    """The `$ ` lines, with what continues them: a backslash, an open quote, a here-document."""
    found, here = [], None
    for line in body.split("\n"):
        if here:
            found[-1] += "\n" + line
            here = None if line == here else here
            continue
        if line.startswith("$ "):
            found.append(line[2:])
        elif found and (found[-1].endswith("\\") or found[-1].count("'") % 2):
            found[-1] += "\n" + line
        else:
            continue
        begins = re.search(r"<<'(\w+)'", line)
        here = begins and begins[1]
    return found


def console(body):
    out = ""
    for command in commands(body):
        said = run(command, merge=True)
        out += "$ " + command + "\n" + (said if said.strip() else "")
    return out


def check(path, fill, haproxy_alone):
    """Returns (checked, wrong)."""
    parts = BLOCK.split(open(path).read())
    pending, checked, wrong = None, 0, 0
    for i, part in enumerate(parts):
        block = PARTS.match(part)
        if not block:
            continue
        kind, info, body = block.groups()
        real = body
        if haproxy_alone and kind != "haproxy":
            continue
        if kind == "log":
            pending = run("build/haspan " + info, body.encode())
            continue
        if kind == "haproxy":
            checked += 1
            wrong += not haproxy_accepts(body, info)
            continue
        if kind == "text" and pending is not None:
            real, pending = pending, None
        elif kind == "console":
            real = console(body)
        else:
            continue
        checked += 1
        if real == body:
            continue
        if fill:
            parts[i] = f"```{kind}{' ' + info if info else ''}\n{real}```"
        else:
            wrong += 1
            print("\n".join(difflib.unified_diff(body.split("\n"), real.split("\n"), path, "real", lineterm="", n=1)))
    if fill:
        open(path, "w").write("".join(parts))
    return checked, wrong


def headings(path):
    """As a link names them"""
    text = re.sub(r"(?ms)^```.*?^```", "", open(path).read())
    found = [re.sub(r"[^\w\- ]", "", line.strip().lower()) for line in re.findall(r"(?m)^#+ (.*)$", text)]
    return [heading.replace(" ", "-") for heading in found]


def reachable():
    """Returns (checked, wrong): links within the tree lead to a file, and to a heading of it."""
    checked, wrong = 0, 0
    for path in ["README.md"] + sorted(glob.glob("doc/*.md")):
        text = re.sub(r"(?ms)^```.*?^```", "", open(path).read())
        for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
            name, _, heading = link.partition("#")
            target = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
            checked += 1
            if not os.path.exists(target) or (heading and heading not in headings(target)):
                print(f"{path}: [..]({link}) leads nowhere")
                wrong += 1
    return checked, wrong


def linked():
    """Returns (checked, wrong): how often README.md links each document."""
    text, files = open("README.md").read(), sorted(glob.glob("doc/*.md"))
    bad = [path for path in files if text.count(f"]({path})") != 1]
    for path in bad:
        print(f"README.md links {path} {text.count(f']({path})')} times")
    return len(files), len(bad)


RING = re.compile(r"^ring haspan\n(?:[ ]+.*\n)+", re.M)


def one_ring():
    """The ring that is recommended, in README.md, its document and the packaged configuration"""
    paths = "README.md", "doc/syslog-streams.md", "packaging/haspan.conf"
    found = [RING.findall(re.sub(r"(?m)^#[ ]{0,3}", "", open(path).read())) for path in paths]
    logs = [re.search(r"log ring@haspan .*", open(path).read())[0] for path in paths]
    if len({tuple(rings) for rings in found}) == 1 and len(found[0]) == 1 and len(set(logs)) == 1:
        return 1, 0
    print("not the same ring:", *zip(paths, found, logs), sep="\n")
    return 1, 1


def main():
    words = sys.argv[1:]
    fill = "--fill" in words
    files = [w for w in words if not w.startswith("--")] or ["README.md"] + sorted(glob.glob("doc/*.md"))
    results = [check(path, fill, "--haproxy" in words) for path in files]
    if words in ([], ["--fill"]):
        results += [linked(), reachable(), one_ring()]
    checked, wrong = (sum(column) for column in zip(*results))
    print(f"{checked - wrong} passed, {wrong} failed")
    sys.exit(wrong != 0)


main()
