#!/usr/bin/env python3
"""What haspan costs: `make bench`, or tests/bench/bench.py [--quick] [--long] [--update].

How to read the report (also in build/bench.txt)

  One line is one row: what was measured, its value, the ratio to what it is compared with, the limit, and
  `ok`, `OVER` (the limit does not hold), `-` (no limit, for information) or `skip` with the reason.
  A number over its limit never fails the run: a busy machine makes slow numbers. Exit status 1 means that
  something could not be run, or that haspan's own summary contradicts its input.

  CPU     user + system seconds of one process with all its threads, from wait4(). Peer and haspan take turns
          (first one, then the other begins), pinned to one core; each turn gives one ratio, the row shows the
          median of the ratios and, in brackets, the smallest and the largest. A wide bracket: measure again.
  wall    seconds from spawn to exit. The start, measured with an empty file, is taken off where it says so.
  memory  the peak resident size of the process: ru_maxrss, or, since a child begins as a copy of this script
          and can't show less than the script itself, the last VmHWM seen while it ran (marked `~`).
  Ir      instructions as callgrind counts them, for 20,000 lines less an empty file, divided by the lines: no
          clock, so no noise. `self` rows tile the whole by the function's prefix (house rule: the prefix is
          the file); `inclusive` rows count what a function calls too. The ratio is to baseline.json beside
          this file, which `bench.py --update` writes; `OVER` there means more than 2 % above it. Another
          compiler or C library gives other numbers: compare on one machine.
  ceiling how much faster two unrelated haspans on two cores are than one, per line: what this machine can
          give at all. Two threads can't beat it; below 1.9 the machine is shared or short of memory speed.

The lines come from build/gen_lines (tests/bench/gen.c) and are kept under
${HASPAN_CACHE:-${XDG_CACHE_HOME:-~/.cache}/haspan}/bench: 450 MB, with --long 3.3 GB. --quick uses 100,000
lines and 3 pairs and needs half a minute; its numbers are a hint, not a measurement.
The peer is halog, from HAProxy's own package (Debian: haproxy). Parts about receiving are in live_bench.py; their peers are
rsyslog and HAProxy under wrk.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import live_bench

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BASELINE = os.path.join(HERE, "baseline.json")
MIB = 1 << 20

LIMIT_NULL, AIM_NULL, LIMIT_JSON = 4.0, 3.0, 8.0
LIMIT_CORES = 1.8
LIMIT_MEMORY = 48 * MIB
LIMIT_START = 0.020
LIMIT_CFG_START = 0.100
LIMIT_SIZE = 1_000_000
LIMIT_EVEN = 0.10
LIMIT_IR = 1.02
LIMIT_STATS, LIMIT_STATS_MEMORY = 1.3, 64 * MIB      # the table's CPU against --to null's
LIMIT_SAMPLED = 0.7                     # the time at 1 % against that of all
LIMIT_RULES_NS = 30                     # of three typical expressions, a line
LIMIT_OBJECTS = 1.5                     # the time per byte of lines with members against httplog's

CALLGRIND_LINES = 20_000
JSON_LINES = 20_000
LONG_LINE = 10_000_000
MANY_FORMATS = 200
FRONTENDS = 1000


class Failed(Exception):
    pass


# ---- running ----------------------------------------------------------------------------------------------


class Run:
    """What one process cost and said."""

    def __init__(self, wall, usage, seen, stderr):
        self.wall = wall
        self.cpu = usage.ru_utime + usage.ru_stime
        self.rss = usage.ru_maxrss * 1024
        self.seen = seen
        self.stderr = stderr

    def word(self, name):
        """A number of the summary line, None when it isn't there."""
        for line in reversed(self.stderr.splitlines()):
            if "lines=" in line:
                m = re.search(r"(?:^|\s)%s=(\d+)" % re.escape(name), line)
                return int(m.group(1)) if m else None
        return None


def environment():
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "HASPAN_"))}
    env.update(TZ="UTC", LC_ALL="C")
    return env


ENV = environment()
ALL_CPUS = sorted(os.sched_getaffinity(0))


def spawn(argv, cpus, stdin, stderr_fd):
    os.sched_setaffinity(0, cpus)       # inherited by the child: no wrapper process in the measurement
    try:
        return os.posix_spawn(argv[0], argv, ENV, file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, stdin, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, stderr_fd, 2)])
    finally:
        os.sched_setaffinity(0, ALL_CPUS)


def check(argv, status, stderr):
    code = os.waitstatus_to_exitcode(status)
    if code:
        raise Failed("%s: exit %d: %s" % (" ".join(argv[:6]), code, stderr.strip()[-300:]))


def peak_until_end(pid):
    """The last VmHWM of a process that could be read before it ended."""
    seen = 0
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        with open("/proc/%d/status" % pid, encoding="ascii", errors="replace") as f:
            m = re.search(r"VmHWM:\s*(\d+) kB", f.read())
        seen = int(m.group(1)) * 1024 if m else seen
        time.sleep(0.001)
    return seen


def run(argv, cpus, stdin=os.devnull, watch=False):
    with tempfile.TemporaryFile() as err:
        t0 = time.perf_counter()
        pid = spawn(argv, cpus, stdin, err.fileno())
        seen = peak_until_end(pid) if watch else 0
        _, status, usage = os.wait4(pid, 0)
        wall = time.perf_counter() - t0
        err.seek(0)
        text = err.read().decode("utf-8", "replace")
    check(argv, status, text)
    return Run(wall, usage, seen, text)


def together(argvs):
    """Two processes at the same time, a core each; the wall time until the last has ended."""
    with tempfile.TemporaryFile() as err:
        t0 = time.perf_counter()
        pids = [spawn(a, {c}, os.devnull, err.fileno()) for a, c in zip(argvs, ALL_CPUS[-2:])]
        ends = [os.wait4(p, 0)[1] for p in pids]
        wall = time.perf_counter() - t0
    for argv, status in zip(argvs, ends):
        check(argv, status, "")
    return wall


def find(name):
    path = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin" + os.pathsep + "/sbin"
    return shutil.which(name, path=path)


# ---- data -------------------------------------------------------------------------------------------------


class Data:
    """Files of lines, made once and kept."""

    def __init__(self, gen):
        base = os.environ.get("HASPAN_CACHE") or os.path.join(
            os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "haspan")
        self.dir = os.path.join(base, "bench")
        self.gen = gen
        with open(os.path.join(HERE, "gen.c"), "rb") as f:
            self.tag = hashlib.sha256(f.read()).hexdigest()[:10]
        os.makedirs(self.dir, exist_ok=True)
        for old in os.listdir(self.dir):
            m = re.fullmatch(r"lines-\w+-(\w{10})\.log(\.tmp)?", old)
            if m and m.group(1) != self.tag:
                os.unlink(os.path.join(self.dir, old))

    def path(self, name):
        return os.path.join(self.dir, "lines-%s-%s.log" % (name, self.tag))

    def make(self, name, write):
        path = self.path(name)
        if not os.path.exists(path):
            with open(path + ".tmp", "wb") as f:
                write(f)
            os.rename(path + ".tmp", path)
        with open(path, "rb") as f:         # into the page cache
            while f.read(MIB):
                pass
        return path

    def generate(self, f, n, kind):
        subprocess.run([self.gen, "-n", str(n), "-f", kind, "-e", "rfc3164"], stdout=f, check=True)

    def lines(self, n, kind="httplog"):
        return self.make(str(n) if kind == "httplog" else "%s%d" % (kind, n), lambda f: self.generate(f, n, kind))

    def format(self, kind):
        """The log-format of such lines"""
        return subprocess.run([self.gen, "-f", kind, "--print-format"], stdout=subprocess.PIPE, check=True,
                              text=True).stdout.rstrip("\n")

    def empty(self):
        return self.make("empty", lambda f: None)

    def frontends(self, n, of, tail):
        """The lines of `of` frontends in turn (in no order that a cache could guess), each with `tail` behind it."""

        def write(f):
            with open(self.lines(n), "rb") as g:
                for i, line in enumerate(g):
                    k = i * 7919 % of
                    head, _, rest = line.partition(b"] ")
                    rest = re.sub(rb"^[^ ~]+", b"frontend_%04d_of_bench" % k, rest.rstrip(b"\n"))
                    f.write(head + b"] " + rest + (tail % k).encode() + b"\n" if tail else
                            head + b"] " + rest + b"\n")

        return self.make("fe%d-%d%s" % (of, n, "x" if tail else ""), write)

    def configuration(self, of, text):
        """A haproxy.cfg of `of` frontends, each with the lines of `text`, where %d is its number."""

        def write(f):
            f.write(b"defaults\n    mode http\n")
            for k in range(of):
                f.write(b"frontend frontend_%04d_of_bench\n" % k + text.replace("%d", str(k)).encode())

        name = "cfg%d-%s" % (of, hashlib.sha256(text.encode()).hexdigest()[:6])
        path = self.path(name)
        if os.path.exists(path):
            os.unlink(path)
        return self.make(name, write)

    def long_line(self):
        """A thousand lines, one of 10 MB, a thousand lines."""

        def write(f):
            with open(self.lines(1000), "rb") as g:
                usual = g.read()
            head, _, tail = usual.split(b"\n", 1)[0].rpartition(b" HTTP/")
            f.write(usual + head + b"/")
            for _ in range(LONG_LINE // 1000):      # never whole in memory: see tiny_rss
                f.write(b"x" * 1000)
            f.write(b" HTTP/" + tail + b"\n" + usual)

        return self.make("long", write)


# ---- the report -------------------------------------------------------------------------------------------


class Report:
    WIDTHS = (45, 24, 18, 14)

    def __init__(self, path):
        self.path = path
        self.text = []
        self.noted = set()
        self.over = 0
        self.failed = 0

    def line(self, text=""):
        self.text.append(text)
        print(text, flush=True)

    def row(self, name, value, ratio="", limit="", ok=None):
        verdict = "-" if ok is None else "ok" if ok else "OVER"
        self.over += ok is False
        cells = [c.ljust(w) for c, w in zip((name, value, ratio, limit), self.WIDTHS)]
        self.line("  ".join(cells) + "  " + verdict)

    def note(self, kind, text):
        """Something to look at, said once a kind."""
        if kind not in self.noted:
            self.noted.add(kind)
            self.line("note: " + text)

    def skip(self, name, why):
        self.line("%s  skip: %s" % (name.ljust(self.WIDTHS[0]), why))

    def fail(self, name, why):
        self.failed += 1
        self.line("%s  FAILED: %s" % (name.ljust(self.WIDTHS[0]), why))

    def title(self, text):
        self.line()
        self.line(text)

    def save(self):
        with open(self.path, "w", encoding="utf-8") as f:
            f.write("\n".join(self.text) + "\n")


def spread(xs, fmt="%.2f"):
    return "%s (%s..%s)" % tuple(fmt % x for x in (statistics.median(xs), min(xs), max(xs)))


def mib(n):
    return "%.1f MiB" % (n / MIB)


def machine():
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
            model = next((x.split(":", 1)[1].strip() for x in f if x.startswith("model name")), model)
    except OSError:
        pass
    return "%s, %d cores usable, Linux %s, load %.2f" % (
        model, len(ALL_CPUS), platform.release(), os.getloadavg()[0])


# ---- the measurements -------------------------------------------------------------------------------------


class Bench:
    def __init__(self, args, data, report):
        self.haspan = os.path.abspath(args.haspan)
        self.data = data
        self.report = report
        self.quick = args.quick
        self.long = args.long
        self.update = args.update
        self.pairs = args.pairs or (3 if args.quick else 9)
        self.n = 100_000 if args.quick else 1_000_000
        self.core = {ALL_CPUS[-1]}
        self.halog = find("halog")
        self.floor = 0

    def tiny_rss(self):
        """ru_maxrss of a child that is nearly nothing: the largest this script has ever been."""
        true = find("true")
        return run([true], self.core).rss if true else 0

    def argv(self, path, sink="null", threads=1, formats=(), cfg=None, more=()):
        argv = [self.haspan, "--threads", str(threads), *more]
        if cfg:
            argv += ["--haproxy-cfg", cfg]
        for f in formats:
            argv += ["--format", f]
        return argv + ["--to", sink, path]

    def run(self, path, lines, cpus=None, odd=0, watch=False, **kw):
        """Run haspan and hold its summary against what went in; `odd` lines may be anything."""
        r = run(self.argv(path, **kw), cpus or self.core, watch=watch)
        got = {word: r.word(word) for word in ("lines", "requests", "rejected")}
        if None in got.values():
            raise Failed("no summary: %s" % r.stderr.strip()[-300:])
        if got["lines"] != lines or got["requests"] < lines - odd or got["rejected"] > odd:
            raise Failed("%d lines, but %s" % (lines, " ".join("%s=%d" % x for x in got.items())))
        if (r.word("truncated") or 0) > odd:
            self.report.note("truncated", "haspan calls %d of %d lines truncated, none is" % (
                r.word("truncated"), lines))
        return r

    def start_of(self, attr, times=9, **kw):
        path = self.data.empty()
        cpus = set(ALL_CPUS) if kw.get("threads", 1) > 1 else self.core
        return statistics.median(getattr(self.run(path, 0, cpus=cpus, **kw), attr) for _ in range(times))

    def alternate(self, *actions):
        """Each action once per pair, in turning order; a list of results per action."""
        out = [[] for _ in actions]
        for a in actions:
            a()                             # warm
        for i in range(self.pairs):
            for k in range(len(actions)):
                j = (i + k) % len(actions)
                out[j].append(actions[j]())
        return out

    # -- CPU against halog --

    def halog_counts(self, path):
        """halog must see every line as an HTTP line, or it is no peer."""
        with open(path, "rb") as f:
            p = subprocess.run([self.halog, "-q", "-st"], stdin=f, env=ENV, check=True,
                               stdout=subprocess.PIPE, text=True)
        return sum(int(x.split()[1]) for x in p.stdout.splitlines() if re.match(r"-?\d+ \d+$", x))

    def peer(self):
        path = self.data.lines(self.n)
        if not self.halog:
            return self.report.skip("CPU against halog -q -pct", "no halog (Debian: apt install haproxy)")
        seen = self.halog_counts(path)
        if seen != self.n:
            raise Failed("halog counts %d of %d lines" % (seen, self.n))
        peer, null, json_ = self.alternate(
            lambda: run([self.halog, "-q", "-pct"], self.core, stdin=path).cpu,
            lambda: self.run(path, self.n).cpu,
            lambda: self.run(path, self.n, sink="file:/dev/null").cpu)
        self.report.row("halog -q -pct, CPU", self.per_line(peer))
        self.against("haspan --to null, CPU", null, peer, LIMIT_NULL, AIM_NULL)
        self.against("haspan --to file:/dev/null (JSON), CPU", json_, peer, LIMIT_JSON)

    def per_line(self, cpu):
        ns = statistics.median(cpu) / self.n * 1e9
        return "%.0f ns/line, %.2f M/s" % (ns, 1e3 / ns)

    def against(self, name, own, peer, limit, aim=None):
        ratios = [a / b for a, b in zip(own, peer)]
        said = "<= %g" % limit + (", aim %g" % aim if aim else "")
        self.report.row(name, self.per_line(own), spread(ratios), said, statistics.median(ratios) <= limit)

    # -- two cores --

    def cores(self):
        if len(ALL_CPUS) < 2:
            return self.report.skip("two cores against one, wall", "only one core")
        path, two = self.data.lines(self.n), set(ALL_CPUS[-2:])
        s1, s2 = self.start_of("wall"), self.start_of("wall", threads=2)
        w1, w2, both = self.alternate(
            lambda: self.run(path, self.n).wall - s1,
            lambda: self.run(path, self.n, cpus=two, threads=2).wall - s2,
            lambda: together([self.argv(path)] * 2) - s1)
        gains = [a / b for a, b in zip(w1, w2)]
        self.report.row("--threads 2 against 1, wall without start", "%.3f s / %.3f s" % (
            statistics.median(w1), statistics.median(w2)), spread(gains), ">= %g" % LIMIT_CORES,
            statistics.median(gains) >= LIMIT_CORES)
        self.report.row("  ceiling: two processes, two cores", "%.3f s" % statistics.median(both),
                        spread([2 * a / b for a, b in zip(w1, both)]))

    # -- memory --

    def memory_row(self, name, path, lines, **kw):
        runs = [self.run(path, lines, cpus=set(ALL_CPUS), threads=2, watch=True, **kw) for _ in range(3)]
        rss = max(r.rss for r in runs)
        value = mib(rss)
        if rss <= self.floor * 1.02:
            value = "~ " + mib(max(r.seen for r in runs))
        self.report.row("peak memory, --threads 2, " + name, value, "", "<= " + mib(LIMIT_MEMORY),
                        rss <= LIMIT_MEMORY)

    def memory(self):
        self.floor = self.tiny_rss()
        sizes = [100_000] + ([] if self.quick else [1_000_000]) + ([10_000_000] if self.long else [])
        for n in sizes:
            self.memory_row("%d lines" % n, self.data.lines(n), n)
        self.memory_row("%d lines, JSON" % self.n, self.data.lines(self.n), self.n, sink="file:/dev/null")
        self.memory_row("one line of %d MB" % (LONG_LINE // 10**6), self.data.long_line(), 2001, odd=1)

    # -- start and size --

    def start(self):
        for name, argv in (("--version", [self.haspan, "--version"]),
                           ("an empty file", self.argv(self.data.empty()))):
            walls = [run(argv, self.core).wall for _ in range(50)]
            self.report.row("start, %s, wall" % name, spread([w * 1e3 for w in walls]) + " ms", "",
                            "<= %g ms" % (LIMIT_START * 1e3), statistics.median(walls) <= LIMIT_START)

    def size(self):
        with tempfile.TemporaryDirectory() as tmp:
            out = os.path.join(tmp, "stripped")
            subprocess.run(["strip", "-o", out, self.haspan], check=True)
            n = os.path.getsize(out)
        self.report.row("stripped size", "%d bytes" % n, "", "<= %d" % LIMIT_SIZE, n <= LIMIT_SIZE)

    # -- evenness --

    def even(self, name, ratio, value):
        mid = statistics.median(ratio)
        self.report.row(name, value, spread(ratio), "1 +- %g" % LIMIT_EVEN, abs(mid - 1) <= LIMIT_EVEN)

    def speed(self, path, lines, start, repeat=1, **kw):
        cpu = sum(self.run(path, lines, **kw).cpu for _ in range(repeat))
        return lines / (cpu / repeat - start)

    def sizes(self):
        few = 100_000
        many = 10_000_000 if self.long else 300_000 if self.quick else self.n
        start = self.start_of("cpu", 21)
        small, large = self.data.lines(few), self.data.lines(many)
        a, b = self.alternate(lambda: self.speed(small, few, start, 5),
                              lambda: self.speed(large, many, start))
        self.even("lines/s, %d against %d lines" % (many, few), [y / x for x, y in zip(a, b)],
                  "%.2f, %.2f M/s" % (statistics.median(b) / 1e6, statistics.median(a) / 1e6))

    def formats(self):
        many, one = many_formats(), ["httplog"]
        n = min(self.n, 300_000)
        path = self.data.lines(n)
        s1, s2 = self.start_of("cpu", 21, formats=one), self.start_of("cpu", 21, formats=many)
        a, b = self.alternate(lambda: self.speed(path, n, s1, formats=one),
                              lambda: self.speed(path, n, s2, formats=many))
        self.even("lines/s, %d formats against 1" % len(many), [y / x for x, y in zip(a, b)],
                  "%.2f, %.2f M/s" % (statistics.median(b) / 1e6, statistics.median(a) / 1e6))
        self.report.row("  start with %d formats, CPU" % len(many), "%.1f ms" % (s2 * 1e3))

    def objects(self):
        """Lines whose fields have names, by their own format: time per byte"""
        n = min(self.n, 200_000)

        def per_byte(kind, form):
            path = self.data.lines(n, kind)
            start = self.start_of("cpu", 9, formats=[form])
            return lambda: 1e9 * n / self.speed(path, n, start, formats=[form]) / os.path.getsize(path)

        plain = per_byte("httplog", "httplog")
        for kind, what in (("kv", "key=value"), ("jsontext", "hand-written JSON"), ("json", "%{+json}o"),
                           ("cbor", "%{+cbor}o")):
            a, b = self.alternate(plain, per_byte(kind, self.data.format(kind)))
            ratio = [y / x for x, y in zip(a, b)]
            self.report.row("ns per byte, %s against httplog" % what, "%.2f, %.2f" % (
                statistics.median(b), statistics.median(a)), spread(ratio), "<= %g" % LIMIT_OBJECTS,
                statistics.median(ratio) <= LIMIT_OBJECTS)

    # -- the table of --to stats --

    def stats(self):
        """By what configurations name, and by more paths than are told apart"""
        path = self.data.lines(self.n)
        grouped = [["--by", by] for by in ("frontend,backend,server", "path")]
        null, *tables = self.alternate(
            lambda: self.run(path, self.n).cpu,
            *(lambda more=more: self.run(path, self.n, sink="stats", more=more).cpu for more in grouped))
        self.report.row("haspan --to null, CPU", self.per_line(null))
        for more, cpu in zip(grouped, tables):
            self.against("--to stats %s, CPU" % " ".join(more), cpu, null, LIMIT_STATS)
        runs = [self.run(path, self.n, cpus=set(ALL_CPUS), threads=4, watch=True, sink="stats", more=grouped[1])
                for _ in range(3)]
        rss = max(r.seen for r in runs)
        self.report.row("peak memory, --to stats --by path, --threads 4", mib(rss), "", "<= " + mib(LIMIT_STATS_MEMORY),
                        rss <= LIMIT_STATS_MEMORY)

    # -- what is left out --

    def sampled(self):
        """Who samples 1 % pays for reading, hardly for spans."""
        path = self.data.lines(self.n)
        every, few = self.alternate(
            lambda: self.run(path, self.n, more=("--sampler", "always_on")).cpu,
            lambda: self.run(path, self.n, more=("--sampler", "traceidratio:0.01")).cpu)
        self.report.row("--sampler always_on, CPU", self.per_line(every))
        self.against("--sampler traceidratio:0.01, CPU", few, every, LIMIT_SAMPLED)
        rules = ("--keep", "status >= 500 and backend == 'web'", "--keep", "Ta > 5m", "--drop", "path ~ '^/healthz'")
        none, three = self.alternate(
            lambda: self.run(path, self.n).cpu, lambda: self.run(path, self.n, more=rules).cpu)
        self.report.row("three rules of --keep and --drop, CPU", self.per_line(three), spread([b / a for a, b in zip(none, three)]))

    def rules(self):
        """The expressions alone: a unit test prints the least of many short loops."""
        test = os.path.join(os.path.dirname(self.haspan), "tests", "test_expr")
        if not os.access(test, os.X_OK):
            return self.report.skip("three expressions", "no %s: `make units`" % test)
        said = subprocess.run([test], env=ENV, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
        ns = float(re.search(r"three rules: ([\d.]+) ns a line", said).group(1))
        self.report.row("three expressions, CPU", "%.1f ns/line" % ns, "", "<= %g ns" % LIMIT_RULES_NS, ns <= LIMIT_RULES_NS)

    # -- haproxy.cfg --

    def cfg(self):
        captured = ("    option httplog\n    capture request header Host len 64\n"
                    "    capture request header X-Header-%d len 64\n    default_backend backend_%d\n")
        custom = ("    log-format \"%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc "
                  "%ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r n%d=%%d\"\n").replace("%%d", "%rt")
        n = min(self.n, 300_000)
        shared = captured.replace("-%d len", " len")
        for name, text, tail in (("captures in common", shared, ""), ("captures of their own", captured, ""), ("formats of their own", custom, " n%d=7")):
            one, many = (self.data.configuration(k, text) for k in (1, FRONTENDS))
            wall = self.start_of("wall", 21, cfg=many)
            self.report.row("start, %d frontends, %s, wall" % (FRONTENDS, name), "%.1f ms" % (wall * 1e3), "",
                            "<= %g ms" % (LIMIT_CFG_START * 1e3), wall <= LIMIT_CFG_START)
            of = [self.data.frontends(n, k, tail) for k in (1, FRONTENDS)]
            s1, s2 = self.start_of("cpu", 21, cfg=one), self.start_of("cpu", 21, cfg=many)
            a, b = self.alternate(lambda: self.speed(of[0], n, s1, cfg=one), lambda: self.speed(of[1], n, s2, cfg=many))
            ratio, value = [y / x for x, y in zip(a, b)], "%.2f, %.2f M/s" % (
                statistics.median(b) / 1e6, statistics.median(a) / 1e6)
            if not tail:
                self.even("lines/s, %d frontends against 1" % FRONTENDS, ratio, value)
            else:
                self.report.row("lines/s, %d formats against 1" % FRONTENDS, value, spread(ratio))

    # -- bytes --

    def wire(self):
        n = JSON_LINES
        path = self.data.lines(n)
        with tempfile.TemporaryDirectory() as tmp:
            out = os.path.join(tmp, "spans.json")
            r = self.run(path, n, sink="file:" + out)
            size = os.path.getsize(out)
        spans = r.word("spans")
        if spans:
            self.report.row("spans per line", "%.2f" % (spans / n))
        self.report.row("log bytes per line", "%.0f" % (os.path.getsize(path) / n))
        self.report.row("OTLP JSON bytes per line", "%.0f" % (size / n))
        encoded = self.run(path, n).word("bytes")
        if encoded:
            self.report.row("OTLP protobuf bytes per line", "%.0f" % (encoded / n))
        else:
            self.report.skip("OTLP protobuf bytes per line", "no bytes= in the summary")

    # -- instructions --

    def instructions(self):
        if not find("valgrind"):
            return self.report.skip("instructions per line", "no valgrind")
        n = CALLGRIND_LINES
        now = {}
        for sink, name in (("null", "null"), ("file:/dev/null", "json")):
            full = Profile(self.argv(self.data.lines(n), sink=sink))
            none = Profile(self.argv(self.data.empty(), sink=sink))
            now[name] = full.minus(none, n)
        old = baseline_read()
        for name in now:
            self.instruction_rows(name, now[name], old.get(name, {}))
        if self.update:
            baseline_write(now)
            self.report.line("written: tests/bench/baseline.json")
        elif not old:
            self.report.line("no baseline.json to compare with: bench.py --update writes it")

    def instruction_rows(self, sink, now, old):
        self.ir_row("--to %s, all" % sink, now["total"], old.get("total"), True)
        for kind in ("self", "inclusive"):
            floor = now["total"] * (0.005 if kind == "self" else 0.01)
            for f, v in sorted(now[kind].items(), key=lambda x: -x[1]):
                if v >= floor:
                    self.ir_row("  %s %s" % (kind, f), v, old.get(kind, {}).get(f))

    def ir_row(self, name, v, was, judged=False):
        ratio = "%.3f" % (v / was) if was else "new"
        ok = v / was <= LIMIT_IR if was and judged else None
        self.report.row(name, "%.1f Ir/line" % v, ratio, "<= %g" % LIMIT_IR if judged and was else "", ok)


def many_formats():
    """199 formats that are almost httplog and part ways with it early or late, then httplog."""
    out = []
    for i in range(MANY_FORMATS - 1):
        head = "app%d %%ci:%%cp [%%tr]" % i if i % 4 == 0 else "%ci:%cp [%tr]"
        late = " k%d=%%ID" % i if i % 4 == 1 else ""
        early = " site-%d" % i if i % 4 == 2 else ""
        tail = " x%d=%%rt" % i if i % 4 == 3 else ""
        out.append(head + early + " %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B" + late + " %CC %CS %tsc"
                   + tail + " %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r")
    return out + ["httplog"]


# ---- callgrind --------------------------------------------------------------------------------------------


class Profile:
    """Instructions of one run: the total, by prefix (self), by function (inclusive)."""

    def __init__(self, argv):
        with tempfile.TemporaryDirectory() as tmp:
            out = os.path.join(tmp, "callgrind.out")
            p = subprocess.run([find("valgrind"), "-q", "--tool=callgrind", "--callgrind-out-file=" + out,
                                "--error-exitcode=99"] + argv, env=ENV, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            if p.returncode:
                raise Failed("callgrind: exit %d: %s" % (p.returncode, p.stderr.strip()[-300:]))
            own = os.path.basename(argv[0])
            self.total, rows = annotate(out, "no", own)
            self.self_ = {}
            for function, home, n in rows:
                key = re.sub(r"(?<=.)_.*", "_", function) if home else "[libc] " + function
                self.self_[key] = self.self_.get(key, 0) + n
            self.inclusive = {}
            for function, home, n in annotate(out, "yes", own)[1]:
                if home and "_" in function.strip("_"):
                    self.inclusive[function] = max(n, self.inclusive.get(function, 0))

    def minus(self, empty, lines):
        def less(a, b):
            per = {k: (v - b.get(k, 0)) / lines for k, v in a.items()}
            return {k: round(v, 2) for k, v in per.items() if v >= 0.5}

        return {"total": round((self.total - empty.total) / lines, 2),
                "self": less(self.self_, empty.self_),
                "inclusive": less(self.inclusive, empty.inclusive)}


def annotate(path, inclusive, own):
    """callgrind_annotate's table: the total, and rows of function, whether it is haspan's own, and cost."""
    text = subprocess.run([find("callgrind_annotate"), "--inclusive=" + inclusive, "--threshold=100",
                           "--show-percs=no", "--auto=no", path], check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, env=ENV).stdout
    total, rows = 0, []
    for line in text.splitlines():
        m = re.match(r"\s*([\d,]+)\s+(?:\([^)]*\)\s+)?(.*)$", line)
        if not m:
            continue
        n, what = int(m.group(1).replace(",", "")), m.group(2)
        if what.startswith("PROGRAM TOTALS"):
            total = n
            continue
        place = re.match(r"(.*?):([^:\[]+?)(?:'\d+)?(?: \[(.*)\])?$", what)
        if place:
            rows.append((place.group(2).split(".")[0].strip(), place.group(1), place.group(3), n))
    if not total:
        raise Failed("callgrind_annotate: no totals")
    # What was inlined from another file has rows without an object: the function's other rows know it.
    objects = {f: os.path.basename(obj) for f, _, obj, _ in rows if obj}
    foreign = {f for f, src, _, _ in rows if objects.get(f, "" if src.startswith("./") else own) != own}
    return total, [(f, f not in foreign, n) for f, _, _, n in rows]


def baseline_read():
    try:
        with open(BASELINE, encoding="utf-8") as f:
            return json.load(f)
    except FileNotFoundError:
        return {}


def baseline_write(now):
    with open(BASELINE, "w", encoding="utf-8") as f:
        json.dump(now, f, indent=1, sort_keys=True)
        f.write("\n")


# ---- the command ------------------------------------------------------------------------------------------


def arguments():
    p = argparse.ArgumentParser(description="measure haspan; see the top of this file")
    p.add_argument("--quick", action="store_true", help="100,000 lines, 3 pairs")
    p.add_argument("--long", action="store_true", help="10,000,000 lines too")
    p.add_argument("--update", action="store_true", help="write tests/bench/baseline.json")
    p.add_argument("--pairs", type=int, metavar="N", help="pairs of runs a row (9)")
    p.add_argument("--only", metavar="NAME,...", help="only these parts: " + ", ".join(PARTS))
    p.add_argument("--haspan", default=os.path.join(ROOT, "build", "haspan"), metavar="PATH")
    p.add_argument("--gen", default=os.path.join(ROOT, "build", "gen_lines"), metavar="PATH")
    p.add_argument("--out", default=os.path.join(ROOT, "build", "bench.txt"), metavar="FILE")
    args = p.parse_args()
    if args.quick and args.long:
        p.error("--quick or --long")
    if args.only and set(args.only.split(",")) - set(PARTS):
        p.error("--only knows " + ", ".join(PARTS))
    return args


PARTS = {
    "peer": ("CPU on one core against halog", Bench.peer),
    "cores": ("Two cores", Bench.cores),
    "memory": ("Memory", Bench.memory),
    "start": ("Start and size", Bench.start),
    "size": (None, Bench.size),
    "sizes": ("Evenness (CPU without start)", Bench.sizes),
    "formats": (None, Bench.formats),
    "objects": ("Lines with members (CPU without start)", Bench.objects),
    "stats": ("Statistics", Bench.stats),
    "sampled": ("What is left out (CPU)", Bench.sampled),
    "rules": (None, Bench.rules),
    "cfg": ("haproxy.cfg", Bench.cfg),
    "wire": ("Size of the output", Bench.wire),
    "instructions": ("Instructions per line (callgrind)", Bench.instructions),
    **live_bench.PARTS,
}


def measure(args, bench, report):
    for name, (title, part) in PARTS.items():
        if args.only and name not in args.only.split(","):
            continue
        if title:
            report.title(title)
        try:
            part(bench)
        except (Failed, live_bench.Failed, OSError, subprocess.CalledProcessError) as e:
            report.fail(name, str(e))


def main():
    args = arguments()
    for path, what in ((args.haspan, "make"), (args.gen, "make bench")):
        if not os.access(path, os.X_OK):
            sys.exit("bench.py: %s is not there: `%s` makes it" % (path, what))
    report = Report(args.out)
    bench = Bench(args, Data(args.gen), report)
    n, path = bench.n, bench.data.lines(bench.n)
    report.line("haspan bench, %s" % time.strftime("%Y-%m-%d %H:%M:%S %Z"))
    report.line(machine())
    if os.getloadavg()[0] > 0.5:
        report.note("load", "the machine is busy: don't believe the wall times, measure again")
    report.line("%d httplog lines, %.1f MB, %d pairs" % (n, os.path.getsize(path) / 1e6, bench.pairs))
    measure(args, bench, report)
    report.line()
    report.line("%d over, %d failed" % (report.over, report.failed))
    report.save()
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
