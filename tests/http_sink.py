#!/usr/bin/env python3
"""The HTTP sink (through build/tests/http_driver) against tests/collector.py: the table of answers.

    http_sink.py [--driver build/tests/http_driver] [--loose] [NAME…]

Each case ends with the same two questions: is exported + refused + dropped + held what was
submitted, and does the collector hold exactly the spans that are said to be exported? `--loose`
skips what sanitizers and valgrind make meaningless: memory and speed.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

from ports import free_port

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = []


def case(function):
    CASES.append(function)
    return function


def span_ids(**settings):
    """What the driver sends."""
    wires, traces, spans = (
        int(settings.get(k, v)) for k, v in (("wires", 4), ("traces", 10), ("spans", 3))
    )
    return {
        "%016x" % (t * 256 + n) for t in range(1, wires * traces + 1) for n in range(1, spans + 1)
    }


class Collector:
    def __init__(self, folder, script="", port=0, extra=()):
        self.out, self.log = os.path.join(folder, "spans"), os.path.join(folder, "requests")
        self.process = subprocess.Popen(
            [
                sys.executable,
                os.path.join(HERE, "collector.py"),
                "--port",
                str(port),
                "--out",
                self.out,
                "--log",
                self.log,
                "--script",
                script,
                *extra,
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self.process.stdout.readline().split()[1])

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.process.stdout.close()
        # A last line may be cut: only what was written before an answer counts.
        self.requests = (
            [json.loads(line) for line in open(self.log)] if os.path.exists(self.log) else []
        )
        spans = [json.loads(line) for line in open(self.out)] if os.path.exists(self.out) else []
        self.taken = collections.Counter(s["span_id"] for s in spans if not s.get("rejected"))
        self.rejected = {s["span_id"] for s in spans if s.get("rejected")}
        self.by_request = collections.defaultdict(list)
        for s in spans:
            self.by_request[s["sha256"]].append(s)


class Run:
    """One run of the driver, and what both sides say of it."""

    def __init__(
        self,
        script="",
        uri="http://127.0.0.1:{port}",
        late=None,
        twice=False,
        extra=(),
        env=None,
        **settings
    ):
        self.settings = settings
        with tempfile.TemporaryDirectory() as folder:
            port = free_port()
            collector = (
                None
                if late is not None
                else Collector(folder, script.format(port=port), port, extra)
            )
            command = [OPTIONS.driver, uri.format(port=port)]
            command += ["%s=%s" % pair for pair in settings.items()]
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "no_proxy": "*", **(env or {})},
            )
            if late is not None and late is not False:
                time.sleep(late)
                collector = Collector(folder, script, port, extra)
            try:
                stdout, self.said = process.communicate(timeout=120)
            except subprocess.TimeoutExpired:
                process.kill()
                raise AssertionError("the driver hangs: %s" % process.communicate()[1])
            finally:
                if collector:
                    collector.close()
        self.code, self.collector = process.returncode, collector
        if self.code == 0:
            self.read(stdout, twice)

    def read(self, stdout, twice):
        for name, value in re.findall(r"(\w+)=(\d+)", stdout):
            setattr(self, name, int(value))
        equal(self.exported + self.refused + self.dropped + self.held, self.submitted + self.restored)
        equal(self.failed, int(self.held > 0))
        if not self.collector:
            equal(self.exported, 0)
            return
        self.requests = self.collector.requests
        taken = self.collector.taken
        assert set(taken) <= span_ids(**self.settings), "spans that nobody sent"
        # Without an answer lost on the way the two sides agree exactly; with one, it may have more.
        if self.held == 0 or not twice:
            equal(len(taken), self.exported)
        assert twice or set(taken.values()) <= {1}, "spans were sent twice"

    def gaps(self):
        return [b["began"] - a["ended"] for a, b in zip(self.requests, self.requests[1:])]

    def statuses(self):
        return [r["status"] for r in self.requests]


def equal(got, wanted):
    assert got == wanted, "%r, not %r" % (got, wanted)


def between(got, low, high):
    assert low <= got <= high, "%r is not in [%r, %r]" % (got, low, high)


def says(run, text, times=None):
    count = run.said.count(text)
    assert count == times if times is not None else count, "%r said %d times in: %s" % (
        text,
        count,
        run.said,
    )


def all_exported(run):
    equal(run.exported, run.submitted)
    equal(run.failed, 0)


# ---- success -------------------------------------------------------------------------------------


@case
def full_success():
    run = Run(wires=20)
    all_exported(run)
    equal(run.submitted, 600)
    equal(run.said, "")
    for request in run.requests:
        headers = request["headers"]
        equal(headers["content-type"], "application/x-protobuf")
        assert re.fullmatch(r"haspan/(\S+) OTel-OTLP-Exporter-C/\1", headers["user-agent"]), headers
        assert "expect" not in headers and "content-encoding" not in headers, headers
        equal(request["path"], "/v1/traces")


@case
def json_is_one_wire_per_request():
    run = Run(wires=20, json=1)
    all_exported(run)
    equal([r["spans"] for r in run.requests], [30] * 20)
    equal({r["headers"]["content-type"] for r in run.requests}, {"application/json"})


@case
def json_is_joined_too():
    run = Run("slow=700ms", wires=20, json=1, join=1 << 20, connections=1)
    all_exported(run)
    between(len(run.requests), 1, 10)
    # The arrays of one request can be cut again, and nobody but us is to read what we made.
    run = Run("slow=300ms 413>4000", wires=20, json=1, join=1 << 20, connections=1)
    all_exported(run)
    traces_are_whole(run, 3)


@case
def small_wires_wait_for_others_but_not_for_long():
    run = Run(wires=40, delay=400, pause_ms=10, connections=4)
    all_exported(run)
    between(len(run.requests), 1, 6)
    run = Run(wires=1, delay=300, pause_ms=1000)
    all_exported(run)
    assert run.finish_ms < 500, run.finish_ms
    # The end does not wait, nor does what is large enough.
    run = Run(wires=1, delay=60000)
    all_exported(run)
    assert run.finish_ms < 2000, run.finish_ms
    run = Run(wires=3, delay=60000, pad=20000, traces=50, pause_ms=100, connections=1)
    all_exported(run)
    equal(len(run.requests), 3)


@case
def waiting_wires_are_joined_up_to_a_mebibyte():
    run = Run("slow=700ms", wires=60, pad=2000, connections=1)
    all_exported(run)
    sizes = [r["size"] for r in run.requests]
    # The first goes alone; the others have waited for it. One is about 64 kB.
    assert len(sizes) < 10 and max(sizes) > 900000 and max(sizes) <= 1 << 20, sizes


@case
def gzip_is_smaller():
    plain, packed = Run(wires=5, json=1, pad=100), Run(wires=5, json=1, pad=100, gzip=1)
    all_exported(packed)
    equal({r["headers"]["content-encoding"] for r in packed.requests}, {"gzip"})
    between(sum(r["size"] for r in packed.requests), 1, sum(r["size"] for r in plain.requests) / 3)


@case
def gzip_of_protobuf_survives_a_retry_and_a_split():
    run = Run("503 413>4000", wires=3, pad=300, gzip=1, spans=8, traces=50)
    all_exported(run)


@case
def connections_are_kept_alive():
    run = Run(wires=30, connections=1, pause_ms=3, json=1)
    all_exported(run)
    equal(len(run.requests), 30)
    equal(len({r["connection"] for r in run.requests}), 1)


@case
def the_opentelemetry_package_reads_the_same():
    try:
        import opentelemetry.proto  # noqa: F401
    except ImportError:
        return
    all_exported(Run("413>3000", wires=5, extra=("--decoder", "package")))


@case
def several_requests_are_in_flight():
    run = Run("slow=300ms*16", wires=16, json=1, connections=4)
    all_exported(run)
    edges = sorted(
        [(r["began"], 1) for r in run.requests] + [(r["ended"], -1) for r in run.requests]
    )
    flying = peak = 0
    for _, step in edges:
        flying += step
        peak = max(peak, flying)
    equal(peak, 4)
    equal(len({r["connection"] for r in run.requests}), 4)


@case
def other_successes_are_taken_as_such():
    all_exported(Run("202 204 201", wires=3, json=1))


# ---- retries -------------------------------------------------------------------------------------


@case
def the_same_bytes_again_after_503():
    run = Run("503 502 504 429 200", wires=1, gzip=1)
    all_exported(run)
    equal(run.statuses(), [503, 502, 504, 429, 200])
    equal(len({r["sha256"] for r in run.requests}), 1)
    says(run, "answered 503: scripted", 1)
    says(run, "takes spans again", 1)


@case
def retry_after_in_seconds():
    run = Run("429:retry-after=1 200", wires=1, give_up=5000)
    all_exported(run)
    between(run.gaps()[0], 0.99, 2.5)


@case
def retry_after_holds_the_other_connections_too():
    run = Run("503:retry-after=1", wires=60, json=1, connections=3, give_up=5000, pause_ms=30)
    all_exported(run)
    told = run.requests[0]["ended"]
    early = told + (0.5 if OPTIONS.loose else 0.1)
    equal([r for r in run.requests if early < r["began"] < told + 0.98], [])


@case
def retry_after_as_a_date():
    run = Run("503:retry-after=date+2 200", wires=1, give_up=8000)
    all_exported(run)
    between(run.gaps()[0], 0.9, 3.5)


@case
def an_absurd_retry_after_is_clamped():
    for text in ("99999999", "99999999999999999999999", "date+99999999"):
        run = Run("503:retry-after=%s 200" % text, wires=1, after_max=600, give_up=5000)
        all_exported(run)
        between(run.gaps()[0], 0.59, 2)


@case
def a_senseless_retry_after_is_ignored():
    for text in ("-5", "soon", "date-100", "1.5", "", "2_days"):
        run = Run("503:retry-after=%s 200" % text, wires=1)
        all_exported(run)
        between(run.gaps()[0], 0, 0.5)


@case
def a_reset_or_closed_connection_is_retried():
    for script in ("reset 200", "close 200", "reset reset close reset"):
        run = Run(script, wires=6, json=1)
        all_exported(run)


@case
def a_lost_answer_makes_duplicates_not_gaps():
    run = Run("lost lost", wires=6, json=1, twice=True)
    all_exported(run)
    equal(max(run.collector.taken.values()), 2)


@case
def slow_is_not_dead():
    run = Run("slow=500ms", wires=1)
    all_exported(run)
    equal(len(run.requests), 1)


@case
def too_slow_is_tried_again():
    run = Run("slow=1500ms", wires=1, timeout=300, twice=True, give_up=5000)
    all_exported(run)
    says(run, "timed out")


@case
def no_answer_at_all_is_tried_again():
    run = Run("hang", wires=2, timeout=300, json=1, give_up=5000)
    all_exported(run)


@case
def a_collector_that_comes_late_gets_everything():
    run = Run(late=8 if OPTIONS.loose else 0.8, wires=5, give_up=20000, backoff_max=100)
    all_exported(run)
    says(run, "takes spans again", 1)


@case
def a_collector_that_never_comes():
    run = Run(late=False, wires=5, give_up=700)
    equal(run.held, run.submitted)
    between(run.finish_ms, 700, 1700)
    says(run, "gave up with 150 spans held", 1)
    says(run, "Failed to connect", 2)


@case
def giving_up_counts_from_the_last_acknowledgement():
    run = Run("slow=400ms*4 503*10000", wires=6, json=1, connections=1, give_up=800)
    equal(run.exported, 4 * 30)
    equal(run.held, 2 * 30)
    between(run.finish_ms, 2000, 4000)


# ---- for good ------------------------------------------------------------------------------------


@case
def other_answers_are_refused_at_once():
    for status in (400, 404, 405, 408, 410, 422, 500, 501, 505, 300, 301, 302, 303, 304):
        run = Run("%d" % status, wires=1)
        equal(run.refused, 30)
        equal(run.failed, 0)
        equal(len(run.requests), 1)
        says(run, "answered %d" % status, 1)
        says(run, "is the path right?", 1 if status in (404, 405) else 0)
        says(run, "30 spans are refused for good (30 so far)", 1)


@case
def the_collectors_words_are_told():
    for json_sent in (0, 1):
        run = Run("400:message=no_such_tenant", wires=1, json=json_sent)
        says(run, "answered 400: no such tenant;", 1)


@case
def the_collectors_words_cannot_hurt():
    run = Run("400:message=%1b[31m%0a%c2%9b2J%e2%80%ae", wires=1)
    says(run, "answered 400: ?[31m???2J???;", 1)
    equal(run.said.count("\n"), 1)


@case
def only_some_are_refused():
    run = Run("200 400 200 500", wires=6, json=1, connections=1)
    equal((run.exported, run.refused), (120, 60))
    says(run, "refused for good", 1)


# ---- credentials ---------------------------------------------------------------------------------


@case
def unauthorised_is_held_not_lost():
    run = Run("401 403 401 200", wires=3, json=1, connections=1, hold=300, give_up=5000)
    all_exported(run)
    equal(run.statuses()[:4], [401, 403, 401, 200])
    assert min(run.gaps()[:3]) >= 0.29, run.gaps()
    says(run, "check the credentials", 1)
    says(run, "takes spans again", 1)


@case
def one_401_stops_all_connections():
    run = Run("401*40", wires=8, json=1, connections=2, hold=400, give_up=1000)
    says(run, "run haspan again when that is mended", 1)
    equal(run.held, run.submitted)
    assert len(run.requests) <= 8, run.requests


# ---- splitting -----------------------------------------------------------------------------------


def traces_are_whole(run, spans):
    for request in run.collector.by_request.values():
        for trace, n in collections.Counter(s["trace_id"] for s in request).items():
            equal((trace, n), (trace, spans))


@case
def too_large_is_split_down_to_single_traces():
    for json_sent in (0, 1):
        run = Run(
            "413>%d" % (900 if json_sent else 450), wires=3, traces=17, spans=4, json=json_sent
        )
        all_exported(run)
        traces_are_whole(run, 4)
        equal({r["spans"] for r in run.requests if r["status"] == 200}, {4})


@case
def what_is_sent_together_grows_again_after_a_413():
    def sizes(**more):
        run = Run("413*3", wires=400, connections=1, pause_ms=5, delay=100, **more)
        all_exported(run)
        return [r["spans"] for r in run.requests if r["status"] == 200]

    patient, quick = sizes(rejoin=60000), sizes(rejoin=50)
    assert max(patient[-5:]) <= 90, patient
    assert max(quick[-12:]) >= 200, quick
    # New settings begin anew.
    assert max(sizes(rejoin=60000, reload_ms=1000)[-12:]) >= 200


@case
def too_large_is_split_only_as_far_as_needed():
    run = Run("413>20000", wires=4, traces=100, spans=4, pad=50, connections=1)
    all_exported(run)
    traces_are_whole(run, 4)
    between(len(run.requests), 8, 40)


@case
def a_single_trace_too_large_is_refused():
    for json_sent in (0, 1):
        run = Run("413>100", wires=2, traces=5, json=json_sent)
        equal(run.refused, run.submitted)
        equal(set(run.statuses()), {413})


@case
def too_large_and_hung_up_is_asked_before_the_next_try():
    run = Run("413>9000:rude", wires=2, traces=50, pad=300, json=1, give_up=30000, backoff_max=50)
    all_exported(run)
    traces_are_whole(run, 3)
    assert 413 in run.statuses() and 0 in run.statuses(), run.statuses()


@case
def too_large_said_before_the_body_was_read():
    run = Run("413>60000:early", wires=2, traces=400, pad=3000, spans=2, give_up=30000)
    all_exported(run)
    traces_are_whole(run, 2)


# ---- partial success -----------------------------------------------------------------------------


@case
def partial_success_is_counted_and_not_retried():
    for json_sent in (0, 1):
        run = Run(
            "partial=3:message=no_room partial=1",
            wires=4,
            json=json_sent,
            connections=1,
            join=1,
        )
        equal((run.exported, run.refused), (116, 4))
        equal(len(run.collector.rejected), 4)
        says(run, "did not take 3 spans of a batch: no room", 1)
        equal(len(run.requests), 4)


@case
def partial_success_is_clamped():
    for json_sent in (0, 1):
        run = Run("partial=99999", wires=1, json=json_sent)
        equal((run.exported, run.refused), (0, 30))
        run = Run("partial=-7", wires=1, json=json_sent)
        equal((run.exported, run.refused), (30, 0))


@case
def a_warning_is_told():
    run = Run("warn:message=old_protocol", wires=1)
    all_exported(run)
    says(run, "old protocol", 1)


@case
def an_unreadable_success_is_success():
    for script in ("garbage", "garbage:type=text/html", "200:type=text/html"):
        run = Run(script, wires=1)
        all_exported(run)
        says(run, "a body that is no OTLP", int(script.startswith("garbage")))


@case
def an_endless_answer_is_not_read():
    run = Run("big big", wires=2, json=1)
    all_exported(run)
    says(run, "more than 4194304 bytes", 1)
    if not OPTIONS.loose:
        between(run.peak_kb, 0, 40000)


# ---- redirects -----------------------------------------------------------------------------------


@case
def redirects_that_keep_the_method_are_followed():
    for status in (307, 308):
        run = Run("%d:location=/there/v1/traces" % status, wires=1, user_headers=1)
        all_exported(run)
        equal([r["path"] for r in run.requests], ["/v1/traces", "/there/v1/traces"])
        equal([r["headers"].get("x-token") for r in run.requests], ["s3cret"] * 2)


@case
def secrets_do_not_follow_to_another_host():
    run = Run(
        "307:location=http://localhost:{port}/v1/traces 200 503",
        wires=2,
        user_headers=1,
        json=1,
        uri="http://me:pw@127.0.0.1:{port}",
        connections=1,
    )
    all_exported(run)
    seen = [(r["headers"].get("x-token"), "authorization" in r["headers"]) for r in run.requests]
    equal(seen, [("s3cret", True), (None, False), ("s3cret", True), ("s3cret", True)])


@case
def redirects_that_lead_nowhere_are_refused():
    for script, reason in (
        ("307", "without a place"),
        ("308:location=https://127.0.0.1:1/", "another scheme"),
        ("308:location=file:///etc/passwd", "another scheme"),
        ("307:location=/v1/traces*9", "too many redirects"),
    ):
        run = Run(script, wires=1)
        equal(run.refused, 30)
        says(run, reason, 1)


# ---- what is sent --------------------------------------------------------------------------------


@case
def a_users_name_and_password_are_sent_and_never_shown():
    run = Run("503", uri="http://us%65r:p%40ss@127.0.0.1:{port}/?exact=true", wires=1)
    equal((run.refused, run.exported), (30, 0))  # the path is `/`, and that is what was asked for
    run = Run("503 400", uri="http://us%65r:p%40ss@127.0.0.1:{port}", wires=1)
    equal({r["headers"]["authorization"] for r in run.requests}, {"Basic dXNlcjpwQHNz"})
    assert "ss@" not in run.said and "p%40ss" not in run.said and "http://127" in run.said, run.said


@case
def parameters_are_taken_out_of_the_url():
    run = Run(
        uri="http://127.0.0.1:{port}/a/v1/traces?protocol=http/json&tenant=7&header=X-A:b%20c&"
        "compression=gzip&timeout=900&connections=3&header=x-token:mine&y",
        wires=1,
        json=1,
        user_headers=1,
    )
    all_exported(run)
    headers = run.requests[0]["headers"]
    equal(run.requests[0]["path"], "/a/v1/traces?tenant=7&y")
    equal((headers["x-a"], headers["x-token"], headers["x-empty"]), ("b c", "mine", ""))
    equal((headers["content-type"], headers["content-encoding"]), ("application/json", "gzip"))


@case
def mistakes_in_a_url_are_shown():
    run = Run(late=False, uri="http://me:secret@h:4318/?timeout=1s")
    equal(run.code, 2)
    says(run, "milliseconds expected")
    assert "secret" not in run.said, run.said
    equal(run.said.splitlines()[2].index("^") - 4, len("http://me:secret@h:4318/?timeout="))
    run = Run(late=False, env={"DRIVER_CA": "/nonexistent"})
    equal(run.code, 3)
    says(run, "CA file /nonexistent: No such file")


# ---- bounds --------------------------------------------------------------------------------------

BIG = {"wires": 60, "traces": 100, "spans": 2, "pad": 5000}  # 60 times a megabyte


@case
def a_slow_collector_slows_the_source():
    run = Run("slow=40ms*1000", buffer=4000000, connections=1, give_up=20000, **BIG)
    all_exported(run)
    if not OPTIONS.loose:
        between(run.submit_ms, 60 * 40 * 0.8, 60000)
        between(run.peak_kb, 0, 40000)


@case
def a_wire_larger_than_the_buffer_is_still_taken():
    run = Run(buffer=1000, connections=4, give_up=20000, wires=10)
    all_exported(run)


@case
def memory_stays_bounded_while_nobody_answers():
    run = Run(late=False, buffer=4000000, stop_ms=600, drain=300, give_up=0, **BIG)
    between(run.held, 200, 60 * 200)
    equal(run.exported, 0)
    if not OPTIONS.loose:
        between(run.peak_kb, 0, 40000)
        between(run.submit_ms + run.finish_ms, 800, 2000)


@case
def a_stop_drains_and_then_leaves():
    run = Run("503*100000", wires=3, stop_ms=300, drain=500, give_up=0, pause_ms=20)
    equal(run.held, run.submitted)
    between(run.submit_ms + run.finish_ms, 500, 2000)
    says(run, "gave up", 1)


@case
def a_stop_waits_for_what_is_on_its_way():
    run = Run(
        "slow=600ms*3",
        wires=30,
        json=1,
        connections=3,
        stop_ms=200,
        drain=5000,
        give_up=0,
        pause_ms=20,
    )
    all_exported(run)
    equal(run.said, "")


# ---- TLS -----------------------------------------------------------------------------------------


def certificates(folder):
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    for name in ("ca", "other"):
        openssl(
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=" + name,
            "-keyout",
            name + ".key",
            "-out",
            name + ".pem",
        )
    with open(os.path.join(folder, "san"), "w") as f:
        f.write("subjectAltName=IP:127.0.0.1\n")
    openssl(
        "req",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-subj",
        "/CN=end",
        "-keyout",
        "end.key",
        "-out",
        "end.csr",
    )
    openssl(
        "x509",
        "-req",
        "-in",
        "end.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "san",
        "-out",
        "end.pem",
    )
    return lambda name: os.path.join(folder, name)


@case
def tls_with_certificates_on_both_sides():
    with tempfile.TemporaryDirectory() as folder:
        pem = certificates(folder)
        extra = ("--cert", pem("end.pem"), "--key", pem("end.key"), "--client-ca", pem("ca.pem"))
        client = {"DRIVER_CERT": pem("end.pem"), "DRIVER_KEY": pem("end.key")}
        uri = "https://127.0.0.1:{port}"
        all_exported(
            Run(uri=uri, extra=extra, env={"DRIVER_CA": pem("ca.pem"), **client}, give_up=10000)
        )
        run = Run(uri=uri, extra=extra, env={"DRIVER_CA": pem("other.pem"), **client}, give_up=500)
        equal(run.held, run.submitted)
        says(run, "certificate")
        run = Run(uri=uri, extra=extra, env={"DRIVER_CA": pem("ca.pem")}, give_up=500)
        equal(run.held, run.submitted)


# --------------------------------------------------------------------------------------------------


def attempt(function):
    start = time.time()
    try:
        function()
        return function.__name__, time.time() - start, None
    except Exception:
        return function.__name__, time.time() - start, traceback.format_exc()


def main():
    global OPTIONS
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    driver = os.path.join(HERE, "..", "build", "tests", "http_driver")
    parser.add_argument("--driver", default=driver)
    parser.add_argument("--loose", action="store_true")
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("names", nargs="*")
    OPTIONS = parser.parse_args()
    chosen = [c for c in CASES if not OPTIONS.names or c.__name__ in OPTIONS.names] * OPTIONS.times
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(OPTIONS.jobs) as pool:
        for name, seconds, fault in pool.map(attempt, chosen):
            if fault or OPTIONS.names:
                print("%s %s (%.1f s)" % ("FAILED" if fault else "ok", name, seconds))
            if fault:
                failed += 1
                print(fault.strip().splitlines()[-1])
    print("http: %d cases, %d failed" % (len(chosen), failed))
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
