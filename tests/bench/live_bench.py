"""What haspan costs as a receiver: parts of tests/bench/bench.py (`make bench BENCH="--only udp,tcp,loss,haproxy"`).

  udp      1,000,000 httplog datagrams at a steady pace into one core: haspan makes spans of them and sends those as OTLP
           protobuf over HTTP to a local server that swallows them; rsyslog's imudp (or a bare recvmmsg loop) throws the
           lines away. CPU is that of the receiver with all its threads, from its start to its end.
  tcp      the same lines as one octet-counted TCP stream, as fast as they are taken; against rsyslog's imtcp. `null` is
           haspan without a collector: what receiving, parsing and encoding cost by themselves.
  loss     the same at growing rates, pinned to nothing: how many datagrams the kernel dropped. The sender may not reach the
           rate that it was asked for: what it reached is in the row.
  haproxy  HAProxy on a core of its own under wrk, a server behind it: its CPU per request without a log, and with one
           by each way, once into something that only counts and once into haspan. What arrived is in the row.

The programs beside it: build/bench_send (send.c) sends the lines of a file, build/bench_sink (sink.c) counts what comes.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SEND, SINK = (os.path.join(ROOT, "build", "bench_" + n) for n in ("send", "sink"))

LIMIT_RECEIVE = 1.0                     # of rsyslog's CPU
LIMIT_REQUESTS = {"udp": 0.25, "tcp": 0.12}      # CPU-s for 100,000 requests, end to end
LIMIT_HAPROXY = 1.03                    # HAProxy's CPU per request, haspan against a counter
LIMIT_MEMORY = (48 + 16) << 20          # with --buffer-max
PACE = 150_000                          # a second: below what either loses lines at, on two cores
RATES = (200_000, 250_000, 300_000, 350_000)
RCVBUF = 8 << 20
ENV = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "HASPAN_"))}
CPUS = sorted(os.sched_getaffinity(0))
OWN, OTHERS = {CPUS[-1]}, {CPUS[0]}

RSYSLOG = """
global(workDirectory="%(dir)s" maxMessageSize="64k")
module(load="%(module)s"%(module_options)s)
main_queue(queue.size="500000" queue.dequeuebatchsize="1024")
input(type="%(module)s" port="%(port)d" address="127.0.0.1"%(input_options)s)
action(type="omfile" file="/dev/null" template="RSYSLOG_TraditionalFileFormat")
"""
IMUDP = {"module": "imudp", "module_options": ' batchSize="64" timeRequery="2"',
         "input_options": ' rcvbufSize="%d"' % RCVBUF}
IMTCP = {"module": "imtcp", "module_options": "", "input_options": ""}

HAPROXY = """
global
    nbthread 1
    stats socket %(dir)s/admin mode 600 level admin
defaults
    mode http
    timeout client 30s
    timeout server 30s
    timeout connect 5s
    option httplog
frontend f
    bind 127.0.0.1:%(port)d
%(log)s
    default_backend b
backend b
    server s 127.0.0.1:%(origin)d
"""


class Failed(Exception):
    pass


def find(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")


def free_port(kind=socket.SOCK_DGRAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def until(what, true, seconds=20):
    end = time.monotonic() + seconds
    while not (value := true()):
        if time.monotonic() > end:
            raise Failed("%s never came" % what)
        time.sleep(0.01)
    return value


def udp_row(port):
    """Our row of /proc/net/udp: (bytes waiting, drops), or None"""
    with open("/proc/net/udp", encoding="ascii") as f:
        for row in f:
            cells = row.split()
            if cells[1].endswith(":%04X" % port):
                return int(cells[4].split(":")[1], 16), int(cells[12])
    return None


class Process:
    """A program on some cores; .end() stops it: .cpu (seconds, all threads), .out, .err, .hwm"""

    def __init__(self, argv, cpus):
        self.files = [tempfile.TemporaryFile() for _ in range(2)]
        os.sched_setaffinity(0, cpus)
        try:
            self.p = subprocess.Popen(argv, env=ENV, stdin=subprocess.DEVNULL, stdout=self.files[0], stderr=self.files[1])
        finally:
            os.sched_setaffinity(0, CPUS)
        self.pid = self.p.pid

    def read(self, which):
        return os.pread(self.files[which].fileno(), 1 << 20, 0).decode("utf-8", "replace")

    def ready(self, what=None):
        """Wait until it says `ready PORT`, or until `what` is there"""
        def there():
            if self.p.poll() is not None:
                raise Failed("it ended: %s" % self.read(1)[-300:])
            m = re.search(r"^ready (\d+)$", self.read(0), re.M)
            return what() if what else m and int(m[1])
        return until("the start", there)

    def ticks(self):
        with open("/proc/%d/stat" % self.pid, encoding="ascii") as f:
            cells = f.read().rsplit(")", 1)[1].split()
        return (int(cells[11]) + int(cells[12])) / os.sysconf("SC_CLK_TCK")

    def end(self, how=signal.SIGTERM):
        with contextlib.suppress(OSError), open("/proc/%d/status" % self.pid, encoding="ascii") as f:
            self.hwm = int(re.search(r"VmHWM:\s*(\d+)", f.read())[1]) * 1024
        self.p.send_signal(how)
        _, status, usage = os.wait4(self.pid, 0)
        self.p.returncode = os.waitstatus_to_exitcode(status)
        self.cpu = usage.ru_utime + usage.ru_stime
        self.out, self.err = self.read(0), self.read(1)
        for f in self.files:
            f.close()
        return self

    def words(self):
        return {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", self.out + self.err)}


def send(words, path, rate, cpus):
    """How many were sent, and at what rate"""
    p = Process([SEND, *words, "-r", str(rate), path], cpus)
    p.p.wait()
    text = p.read(0)
    m = re.search(r"sent=(\d+) .*wall=([\d.]+)", text)
    if not m:
        raise Failed("the sender: %s" % p.read(1)[-300:])
    return int(m[1]), int(m[1]) / float(m[2])


# ---- receivers --------------------------------------------------------------------------------------------


class Receiver:
    """One way to receive what the sender sends, for as long as it is open"""

    def __init__(self, cpus):
        self.cpus = cpus
        self.dir = tempfile.mkdtemp(prefix="haspan-bench-")
        self.server = None

    def rsyslog(self, kind, port):
        conf = os.path.join(self.dir, "rsyslog.conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write(RSYSLOG % dict(kind, dir=self.dir, port=port))
        return Process([find("rsyslogd"), "-n", "-f", conf, "-i", os.path.join(self.dir, "pid")], self.cpus)

    def haspan(self, binary, source, threads, to=None):
        if not to:
            self.server = Process([SINK, "http", "0"], OTHERS)
            to = "http://127.0.0.1:%d" % self.server.ready()
        return Process([binary, "--threads", str(threads), "--from", source, "--to", to], self.cpus)

    def close(self):
        if self.server:
            self.server.end()
        shutil.rmtree(self.dir, ignore_errors=True)


class Result:
    pass


def receive_udp(bench, who, path, rate, cpus=OWN, threads=1):
    """One run: .cpu, .sent, .lost, .rate, .hwm"""
    r, port, out = Receiver(cpus), free_port(), Result()
    try:
        if who == "rsyslog":
            p = r.rsyslog(IMUDP, port)
        elif who == "bare":
            p = Process([SINK, "udp", str(port), str(RCVBUF), "1000"], cpus)
        else:
            p = r.haspan(bench.haspan, "udp://127.0.0.1:%d?rcvbuf=%d" % (port, RCVBUF), threads)
        p.ready(lambda: udp_row(port))
        time.sleep(0.1)
        out.sent, out.rate = send(["-u", str(port)], path, rate, OTHERS if cpus == OWN else set(CPUS))
        until("the end of the queue", lambda: udp_row(port)[0] == 0)
        out.lost = udp_row(port)[1]
        time.sleep(0.3 if who == "haspan" else 1.0)     # rsyslog's own queue
        p.end()
        words = p.words()
        if who == "haspan" and words["lines"] + out.lost != out.sent:
            raise Failed("%d sent, %d dropped, but %d lines" % (out.sent, out.lost, words["lines"]))
        out.cpu, out.hwm = p.cpu, p.hwm
        return out
    finally:
        r.close()


def spread(xs, fmt="%.2f"):
    return "%s (%s..%s)" % tuple(fmt % x for x in (statistics.median(xs), min(xs), max(xs)))


def udp(bench):
    report, pairs = bench.report, 3 if bench.quick else 5
    n = 200_000 if bench.quick else 1_000_000
    path = bench.data.lines(n)
    peers = (["rsyslog"] if find("rsyslogd") else []) + ["bare"]
    runs = {who: [] for who in [*peers, "haspan"]}
    for i in range(pairs):
        for who in (list(runs) if i % 2 else reversed(list(runs))):
            runs[who].append(receive_udp(bench, who, path, PACE))
    cpu = {who: [r.cpu for r in rs] for who, rs in runs.items()}
    for who, rs in runs.items():
        name = {"rsyslog": "rsyslog imudp to /dev/null", "bare": "bare recvmmsg loop"}.get(who, "haspan, UDP to OTLP over HTTP")
        ratio = [a / b for a, b in zip(cpu[who], cpu["rsyslog"])] if "rsyslog" in cpu and who == "haspan" else None
        report.row(name + ", CPU", "%.2f s for 1 M, lost %d" % (
            statistics.median(cpu[who]) * 1e6 / n, max(r.lost for r in rs)), spread(ratio) if ratio else "",
            "<= %g" % LIMIT_RECEIVE if ratio else "", statistics.median(ratio) <= LIMIT_RECEIVE if ratio else None)
    if "rsyslog" not in cpu:
        report.skip("against rsyslog", "no rsyslogd (Debian: apt install rsyslog)")
    hwm = max(r.hwm for r in runs["haspan"])
    report.row("  haspan's memory", "%.1f MiB" % (hwm / (1 << 20)), "", "<= %d MiB" % (LIMIT_MEMORY >> 20), hwm <= LIMIT_MEMORY)
    few = [receive_udp(bench, "haspan", bench.data.lines(100_000), 25_000).cpu for _ in range(3)]
    report.row("100,000 requests by UDP, 25,000/s, CPU", "%.3f s" % statistics.median(few), "",
               "<= %g s" % LIMIT_REQUESTS["udp"], statistics.median(few) <= LIMIT_REQUESTS["udp"])


def listens(port):
    with open("/proc/net/tcp", encoding="ascii") as f:
        return ":%04X 00000000:0000 0A" % port in f.read()


def still(process):
    """Has it stopped working? Its clock is looked at twice in 300 ms."""
    before = process.ticks()
    time.sleep(0.3)
    return process.ticks() == before


def receive_tcp(bench, who, path):
    """One run: CPU seconds, for how many lines"""
    r, port = Receiver(OWN), free_port(socket.SOCK_STREAM)
    try:
        if who == "rsyslog":
            p = r.rsyslog(IMTCP, port)
        else:
            p = r.haspan(bench.haspan, "tcp://127.0.0.1:%d" % port, 1, "null" if who == "null" else None)
        p.ready(lambda: listens(port))
        sent, _ = send(["-t", str(port)], path, 0, OTHERS)
        until("the end of its work", lambda: still(p), 60)
        p.end()
        if who != "rsyslog" and (p.words()["lines"] != sent or p.words()["rejected"]):
            raise Failed("%d sent, but: %s" % (sent, p.err))
        return p.cpu, sent
    finally:
        r.close()


def tcp(bench):
    report, path = bench.report, bench.data.lines(200_000 if bench.quick else 1_000_000)
    names = {"rsyslog": "rsyslog imtcp to /dev/null", "haspan": "haspan, TCP to OTLP over HTTP", "null": "haspan, TCP to null"}
    runs = {who: [] for who in names if who != "rsyslog" or find("rsyslogd")}
    for i in range(3 if bench.quick else 5):
        for who in (list(runs) if i % 2 else reversed(list(runs))):
            runs[who].append(receive_tcp(bench, who, path))
    for who, rs in runs.items():
        ratio = [a / b for (a, _), (b, _) in zip(rs, runs["rsyslog"])] if "rsyslog" in runs and who != "rsyslog" else None
        limit = "<= %g" % LIMIT_RECEIVE if ratio else ""
        report.row(names[who] + ", CPU", "%.2f s for 1 M" % (statistics.median(c * 1e6 / n for c, n in rs)),
                   spread(ratio) if ratio else "", limit, statistics.median(ratio) <= LIMIT_RECEIVE if ratio else None)
    if "rsyslog" not in runs:
        report.skip("against rsyslog", "no rsyslogd (Debian: apt install rsyslog)")
    few = statistics.median(receive_tcp(bench, "haspan", bench.data.lines(100_000))[0] for _ in range(3))
    report.row("100,000 requests by TCP, CPU", "%.3f s" % few, "", "<= %g s" % LIMIT_REQUESTS["tcp"], few <= LIMIT_REQUESTS["tcp"])


def loss(bench):
    path = bench.data.lines(200_000 if bench.quick else 1_000_000)
    rsyslog_loses = False
    for rate in RATES:
        row = {who: [receive_udp(bench, who, path, rate, set(CPUS), 2) for _ in range(1 if bench.quick else 3)]
               for who in (["rsyslog"] if find("rsyslogd") else []) + ["haspan"]}
        lost = {who: sorted(r.lost for r in rs) for who, rs in row.items()}
        rsyslog_loses |= bool(lost.get("rsyslog", [1])[0])
        reached = min(r.rate for rs in row.values() for r in rs)
        bench.report.row("lost at %d/s (reached %d/s)" % (rate, reached),
                         ", ".join("%s %s" % (who, "/".join(map(str, v))) for who, v in lost.items()), "",
                         "" if rsyslog_loses else "0", None if rsyslog_loses else lost["haspan"][0] == 0)


# ---- HAProxy's side ---------------------------------------------------------------------------------------


class Way:
    """How HAProxy logs, and to whom"""

    def __init__(self, name, log="", ring="", open_=lambda bench, folder: (None, {"at": ""})):
        self.name, self.log, self.ring, self.open = name, log, ring, open_


def counter(kind):
    def start(bench, folder):
        at = os.path.join(folder, "log") if kind == "unix" else "0"
        p = Process([SINK, kind, at] + ([str(RCVBUF), "1000"] if kind == "udp" else []), OTHERS)
        if kind == "unix":
            p.ready(lambda: os.path.exists(at))
        return p, {"at": at if kind == "unix" else "127.0.0.1:%d" % p.ready()}
    return start


def haspan_reads(kind):
    def start(bench, folder):
        port = free_port(socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
        at = os.path.join(folder, "log") if kind == "unix" else "127.0.0.1:%d" % port
        p = Process([bench.haspan, "--threads", "1", "--from", ("unix:" if kind == "unix" else kind + "://") + at,
                     "--to", "null"], OTHERS)
        time.sleep(0.5)
        if p.p.poll() is not None:
            raise Failed(p.read(1)[-300:])
        return p, {"at": at}
    return start


RING = ("    log ring@r local0\n",
        "ring r\n    format rfc5424\n    maxlen 8192\n    size 1048576\n    timeout connect 5s\n    timeout server 10s\n"
        "    server c %(at)s log-proto octet-count\n")
DIRECT = "    log %(at)s len 8192 local0\n"

WAYS = [
    Way("no log"),
    Way("UDP to a counter", DIRECT, "", counter("udp")),
    Way("UDP to haspan", DIRECT, "", haspan_reads("udp")),
    Way("unix to a counter", DIRECT, "", counter("unix")),
    Way("unix to haspan", DIRECT, "", haspan_reads("unix")),
    Way("ring, TCP to a counter", RING[0], RING[1], counter("tcp")),
    Way("ring, TCP to haspan", RING[0], RING[1], haspan_reads("tcp")),
]


def admin(folder, command):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.path.join(folder, "admin"))
        s.sendall(command.encode() + b"\n")
        return b"".join(iter(lambda: s.recv(65536), b"")).decode()


def requests_of(folder):
    """HAProxy's own count: req_tot of its frontend"""
    row = next(r for r in admin(folder, "show stat").splitlines() if r.startswith("f,FRONTEND"))
    return int(row.split(",")[48])


def drive(bench, way, origin, seconds):
    """HAProxy under wrk: .per_request (CPU seconds of HAProxy), .requests, .dropped (by HAProxy), .arrived"""
    folder, out, port = tempfile.mkdtemp(prefix="haspan-bench-"), Result(), free_port(socket.SOCK_STREAM)
    reader = haproxy = None
    try:
        reader, words = way.open(bench, folder)
        with open(os.path.join(folder, "haproxy.cfg"), "w", encoding="ascii") as f:
            f.write(HAPROXY % {"dir": folder, "port": port, "origin": origin, "log": way.log % words} + way.ring % words)
        haproxy = Process([find("haproxy"), "-db", "-f", os.path.join(folder, "haproxy.cfg")], OWN)
        haproxy.ready(lambda: os.path.exists(os.path.join(folder, "admin")))
        wrk = ["-t1", "-c32", "http://127.0.0.1:%d/api/v1/orders/4711?page=2&limit=50" % port]
        Process([find("wrk"), "-d1", *wrk], OTHERS).p.wait()
        before = haproxy.ticks(), requests_of(folder)
        Process([find("wrk"), "-d%d" % seconds, *wrk], OTHERS).p.wait()
        ticks, out.requests = haproxy.ticks(), requests_of(folder)
        out.per_request = (ticks - before[0]) / (out.requests - before[1])
        out.rate = (out.requests - before[1]) / seconds
        out.dropped = int(re.search(r"DroppedLogs: (\d+)", admin(folder, "show info"))[1])
        time.sleep(0.3)
        haproxy.end(signal.SIGUSR1)
        haproxy = None
        time.sleep(0.3)
        out.arrived = None
        if reader:
            words = reader.end().words()
            out.arrived = words.get("requests", words.get("count"))
            reader = None
        return out
    finally:
        for p in (haproxy, reader):
            if p:
                p.end(signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def haproxy(bench):
    report = bench.report
    if not find("haproxy") or not find("wrk") or len(CPUS) < 2:
        return report.skip("HAProxy's CPU per request", "needs haproxy, wrk and two cores")
    server = Process([SINK, "http", "0"], OTHERS)
    origin = server.ready()
    rounds, seconds = (2, 2) if bench.quick else (5, 4)
    got = {way.name: [] for way in WAYS}
    broken = {}
    try:
        for i in range(rounds):
            for way in (WAYS if i % 2 == 0 else reversed(WAYS)):
                try:
                    got[way.name].append(drive(bench, way, origin, seconds))
                except Failed as e:
                    broken[way.name] = str(e).strip()
    finally:
        server.end()
    none = [r.per_request for r in got["no log"]]
    for way in WAYS:
        if way.name in broken:
            report.skip("HAProxy, " + way.name, broken[way.name].splitlines()[0])
            continue
        haproxy_row(report, way.name, got, none)


def haproxy_row(report, name, got, none):
    runs = got[name]
    ratio = [r.per_request / n for r, n in zip(runs, none)]
    value = "%.1f us, %.0f/s" % (statistics.median(r.per_request for r in runs) * 1e6, statistics.median(r.rate for r in runs))
    if name == "no log":
        return report.row("HAProxy, no log, CPU per request", value)
    requests, dropped = (sum(getattr(r, k) for r in runs) for k in ("requests", "dropped"))
    if "to a counter" in name and "TCP" in name:
        arrived = "not counted"
    else:
        arrived = "%.2f %% arrived" % (100 * sum(r.arrived for r in runs) / requests)
    report.row("HAProxy, %s, against no log" % name, value, spread(ratio), "")
    report.line("    %s, DroppedLogs %d" % (arrived, dropped))
    beside = name.replace("haspan", "a counter")
    if beside != name:
        ratio = [a.per_request / b.per_request for a, b in zip(runs, got[beside])]
        report.row("  haspan against a counter", "", spread(ratio), "<= %g" % LIMIT_HAPROXY,
                   statistics.median(ratio) <= LIMIT_HAPROXY)


PARTS = {
    "udp": ("Receiving (CPU of the receiver, one core)", udp),
    "tcp": ("Receiving a stream (CPU of the receiver, one core)", tcp),
    "loss": ("Loss", loss),
    "haproxy": ("HAProxy's side", haproxy),
}
