#!/usr/bin/env python3
"""`haspan check`: captured logs against rules.

    tests/rules.py [--update] [WORD...]     the binary is $HASPAN, or build/haspan; tests whose name has a WORD

samples/check/CASE/: rules.txt, capture.log, options (may be missing); expected: people.txt, results.json (each missing when the
rules are refused), said.txt (standard error without the summary), exit. `--update` writes what it says now.
"""
import contextlib
import glob
import json
import os
import pty
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unicodedata

from lab import ENV, HASPAN, ROOT, Failure, expect, free_port

CASES = sorted(glob.glob(os.path.join(ROOT, "samples/check/*/")))
LOG = os.path.join(ROOT, "samples/demo/haproxy.log")
ENV = dict(ENV, COLUMNS="110")
UPDATE = "--update" in sys.argv


def check(*args, stdin=b"", rules=None, env=None, **more):
    """The finished process; `rules` is the text of a rules file"""
    with tempfile.TemporaryDirectory(prefix="haspan-check-") as folder:
        words = []
        if rules is not None:
            path = os.path.join(folder, "rules")
            with open(path, "wb") as f:
                f.write(rules if isinstance(rules, bytes) else rules.encode())
            words = ["--rules", path]
        return subprocess.run([HASPAN, "check", *words, *args], input=stdin, capture_output=True, env=env or ENV, timeout=120,
                              cwd=ROOT, **more)


def exits(done, code):
    expect(done.returncode == code, f"exit {done.returncode}, not {code}\n{done.stdout.decode()}\n{done.stderr.decode()}")
    return done


def results(*args, **more):
    done = check("--output", "json", *args, **more)
    return json.loads(done.stdout), done


def steady(text):
    """Without what no two runs have in common"""
    text = re.sub(r"  \(\d+\.\d\d s\)\n", "  (TIME)\n", text)
    return re.sub(r'"elapsed_s":\d+\.\d+', '"elapsed_s":0', re.sub(r'"haspan":"[^"]*"', '"haspan":""', text))


def words_of(case):
    path = os.path.join(case, "options")
    return open(path).read().split() if os.path.exists(path) else []


# ---------------------------------------------------------------- folders

def a_case(case):
    folder = os.path.relpath(case, ROOT)
    words = ["--rules", folder + "/rules.txt", *words_of(case), folder + "/capture.log"]
    people, machine = check(*words), check("--output", "json", *words)
    said = "".join(line + "\n" for line in people.stderr.decode().splitlines() if not re.match("lines=|rule=", line))
    found = {"people.txt": steady(people.stdout.decode()), "results.json": steady(machine.stdout.decode()), "said.txt": said,
             "exit": f"{people.returncode}\n"}
    expect(machine.returncode == people.returncode, "two outputs, two exit codes")
    for name, text in found.items():
        path = os.path.join(case, name)
        if UPDATE:
            if not text:
                with contextlib.suppress(FileNotFoundError):
                    os.remove(path)
            else:
                with open(path, "w", encoding="utf-8", newline="") as f:
                    f.write(text)
            continue
        with open(path, encoding="utf-8", newline="") if os.path.exists(path) else open(os.devnull) as f:
            expect(text == f.read(), f"{folder}/{name} is not what it says now:\n{text}")


def folders_say_what_they_said():
    """Each folder of samples/check: both outputs, the messages, the exit code"""
    expect(len(CASES) >= 8, "folders are missing")
    for case in CASES:
        a_case(case)


# ---------------------------------------------------------------- what is promised

def any_number_of_threads_finds_the_same():
    """Counts, quantiles, groups and worst requests, also beyond the bounds, with 1 to 8 threads"""
    line = ("10.0.0.%d:%d [21/Nov/2026:08:15:%02d.%03d] fe be%d/s%d %d/%d/1/%d/%d %d 512 - - ---- 10/5/3/1/0 0/0 "
            "\"GET /r%d/x HTTP/1.1\"\n")
    log = "".join(line % (i % 250, 1024 + i, i % 60, i % 1000, i % 7, i % 3, i % 2, i % 5, i * 7919 % 1000, i * 7919 % 1000 + 9,
                          503 if i % 97 == 0 else 200, i * 31 % 3000) for i in range(20000)).encode()
    rules = ("a: p95(duration) < 150ms by path\nb: p99(Tr) < 300ms by backend\nc: status < 500\nd: mean(Tr) < 1ms\n"
             "e: every span has parent where backend == \"be1\"\n")
    with tempfile.NamedTemporaryFile() as file:
        file.write(log)
        file.flush()
        said = [steady(check("-o", "json", "-j", str(n), file.name, rules=rules).stdout.decode()) for n in (1, 2, 3, 8)]
    said = [re.sub(r'"file":"[^"]*",', "", text) for text in said]
    expect(len(set(said)) == 1, "threads differ")
    found = json.loads(said[0])["results"]
    rest = [r for r in found if "folded" in r]
    expect(rest and sum(r["seen"] for r in found if r["name"] == "a") == 20000, "groups lose requests")


def exit_codes_are_the_contracts():
    """0, 1, 2, 3, 4; an error fails, a warning and a note do not"""
    exits(check(LOG, rules="status < 600"), 0)
    exits(check(LOG, rules="status < 500"), 1)
    exits(check(LOG, rules="[warning]: status < 500\nb [note]: status < 500"), 0)
    exits(check(LOG), 2)
    exits(check(LOG, "--output", "xml", rules="status < 600"), 2)
    exits(check(LOG, "-o", "json", "-o", "people", rules="status < 600"), 2)
    exits(check(LOG, "--rejected-ok", "few", rules="status < 600"), 2)
    exits(check(LOG, rules="stats < 600"), 3)
    exits(check(LOG, rules="# none\n"), 3)
    exits(check(LOG, "--rules", "/nowhere"), 3)
    exits(check(LOG, "-o", "json=/nowhere/x", rules="status < 600"), 3)
    exits(check("/nowhere", rules="status < 600"), 4)
    exits(check("-n", LOG, rules="status < 500"), 0)
    exits(check("-n", LOG, rules="stats < 500"), 3)


def a_mistake_shows_its_place():
    """File, line, column, a caret, the nearest name"""
    said = exits(check(LOG, rules="ok: status < 500\n\n  bad: status < 500 where backnd == \"x\"\n"), 3).stderr.decode()
    at = said.index("backnd")
    caret = said.splitlines()[-1]
    expect(re.search(r"/rules:3:27: no such name: did you mean backend\?", said), said)
    expect(caret.endswith("^") and said.splitlines()[-2][caret.index("^"):].startswith("backnd"), said, at)


def rejected_lines_fail_unless_allowed():
    """The default is none; --rejected-ok N; a rule of one's own takes its place"""
    with open(LOG, "rb") as f:
        log = f.read() + b"nonsense\nmore nonsense\n"
    done = exits(check(rules="status < 600", stdin=log), 1)
    expect(b"not understood: nonsense" in done.stdout, done.stdout.decode())
    exits(check("--rejected-ok", "1", rules="status < 600", stdin=log), 1)
    exits(check("--rejected-ok", "2", rules="status < 600", stdin=log), 0)
    exits(check(rules="status < 600\nrejected <= 2", stdin=log), 0)
    exits(check(rules="status < 600\nrejected < 2", stdin=log), 1)
    exits(check("--rejected-ok", "2", rules="status < 600\nrejected < 2", stdin=log), 1)


def a_stopped_pattern_passes_nothing():
    """A text on which a pattern runs out of steps: neither ~ nor !~, an error of its rule, or of the run"""
    line = "10.0.0.1:%d [21/Nov/2026:08:15:49.811] fe be/s 0/0/0/1/1 200 10 - - ---- 1/1/0/0/0 0/0 \"GET /%s! HTTP/1.1\"\n"
    log = "".join(line % (1000 + i, "a" * 640 + "c../../etc/passwd") for i in range(20)).encode()
    pattern = "\"^/(a|aa)+c?b|^/(a+)+c../../etc/passwd!?x?$|^/(a|a)+d\""
    for text in (f"x: path !~ {pattern}", f"x: path ~ {pattern}, may be empty", f"x: status < 1 where path !~ {pattern}, may be empty",
                 f"x: rate(path !~ {pattern}) <= 100%", f"x: status < 500 where path ~ {pattern} by backend, may be empty"):
        for threads in "1", "3":
            found, done = results("-j", threads, rules=text + "\nfine: status < 500", stdin=log)
            verdicts = {r["name"]: r["verdict"] for r in found["results"]}
            expect(verdicts == {"x": "error", "fine": "passed", "rejected lines": "passed"}, text, verdicts)
            expect(done.returncode == 1 and "20 requests" in found["results"][0]["why"], found["results"][0])
    for words in (["--drop", f"path ~ {pattern}"], ["--keep", f"path !~ {pattern}"], ["--grep", "(a|aa)+c?b|(a+)+c.x"]):
        done = exits(check(*words, rules="fine: status < 500, may be empty", stdin=log), 1)
        expect(b"patterns" in done.stdout and b"can't be told" in done.stdout, done.stdout.decode())


def an_empty_capture_fails():
    """Nothing matched, whatever the rule, unless it may be empty"""
    exits(check(rules="status < 600", stdin=b""), 1)
    exits(check(rules="rejected == 0", stdin=b""), 1)
    exits(check(rules="status < 600 may be empty", stdin=b""), 0)


def sampling_hides_nothing():
    """Samplers, --drop and OTEL_TRACES_SAMPLER leave requests, ids and parents to be checked"""
    rules = "a: count == 13\nb: every request has parent\nc: every span has parent\nd: p50(duration) > 1h"
    plain, _ = results(LOG, rules=rules)
    for words, env in ((["--sampler", "always_off"], {}), (["--drop", "status >= 0"], {}),
                       ([], {"OTEL_TRACES_SAMPLER": "always_off"}), (["--to", "null", "--sampler", "traceidratio:0"], {})):
        other, _ = results(*words, LOG, rules=rules, env=dict(ENV, **env))
        strip = [[{k: v for k, v in r.items() if k != "file"} for r in x["results"]] for x in (plain, other)]
        expect(strip[0] == strip[1], words, env, strip[1])


def proposed_rules_hold():
    """--write-rules: what it proposes is valid, and holds for the same capture; without requests it fails"""
    captures = [LOG] + sorted(glob.glob(os.path.join(ROOT, "samples/*/*/input.log")))
    tried = 0
    for path in captures:
        done = check("--write-rules", path)
        if done.returncode:
            expect(done.returncode == 1 and b"no request to learn from" in done.stdout, path, done.stderr.decode())
            continue
        tried += 1
        again = check(path, rules=done.stdout)
        expect(again.returncode == 0, path, done.stdout.decode(), again.stdout.decode(), again.stderr.decode())
    expect(tried > 50, f"only {tried} captures have requests")
    few = [line for line in check("--write-rules", LOG).stdout.decode().splitlines() if "backend" in line]
    expect(few and all(line.startswith("# ") for line in few), few)
    with tempfile.NamedTemporaryFile("w", suffix=".log") as f:
        for _ in range(3):
            with open(LOG) as log:
                f.write("".join(line for line in log for _ in range(5)))
        f.flush()
        done = check("--write-rules", f.name).stdout.decode()
    expect('\n# many do: be_app fails seldom: rate(failed) < 80% where backend == "be_app"\n' in done, done)
    expect("\nbe_app is fast: " in done, done)
    exits(check("--write-rules", "--rules", "x", LOG), 2)


def ten_thousand_rules_load_in_a_second():
    """CPU time of a run of 10,000 rules of all kinds on no lines"""
    kinds = ("r%d: status in (200, 201, 204, 301, 302, 304, %d)", "r%d: p99(Tr) < %dms where backend == \"api\" and path ~ \"^/a[0-9]+\"",
             "r%d: rate(status >= 500) < 0.%d%%", "r%d [warning]: no phase failed where path == \"/%d\", may be empty")
    rules = "\n".join(kinds[i % 4] % (i, i) for i in range(10000))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = check("-n", LOG, rules=rules)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    exits(done, 0)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    limit = 1 if "SAN_OPTIONS" not in " ".join(ENV) and "/san/" not in HASPAN and "/tsan/" not in HASPAN else 10
    expect(took < limit, f"{took:.2f} s")
    exits(check("-o", "json=/dev/null", LOG, rules=rules), 1)


REQUEST = "10.0.0.1:1 [21/Nov/2026:08:15:49.811] fe be/s 0/0/0/%s/1 200 10 - - ---- 1/1/0/0/0 0/0 {%s} \"GET /%s HTTP/1.1\"\n"
HEADER = ["--format", "httplog", "--capture-request", "x-n"]


def long_groups_stay_apart():
    """Groups that begin alike for 200 bytes have names of their own, in a check and in statistics"""
    log = "".join(REQUEST % (1, "", "é" * 100 + tail) for tail in ("/a", "/b", "/c")).encode()
    found, _ = results(*HEADER, rules="a: status < 600 by path", stdin=log)
    groups = [r["group"] for r in found["results"] if r["name"] == "a"]
    expect(len(set(groups)) == 3 and all(re.search("é…[0-9a-f]{8}$", g) for g in groups), groups)
    table = subprocess.run([HASPAN, *HEADER, "--to", "stats", "--by", "path"], input=log, capture_output=True,
                           env=dict(ENV, COLUMNS="300"), timeout=60, check=False).stdout.decode()
    expect(len(set(re.findall("…[0-9a-f]{8}", table))) == 3, table)


def numbers_are_what_they_are():
    """Large ones in JSON and in proposals, quantiles of negative ones"""
    big = REQUEST % (9007199254740, "9007199254740992", "x")
    found, _ = results(*HEADER, rules="a: max(http.request.header.x-n) >= 0\nb: rate(status < 500) > 0.1%", stdin=big.encode())
    expect(found["results"][0]["value"] == 9007199254740992 and found["results"][1]["limit"] == 0.001, found["results"])
    for ms in (9007199254740, 2 ** 53, 2 ** 53 - 1):
        log = (REQUEST % (ms, "", "x")).encode()
        done = check("--write-rules", *HEADER, stdin=log)
        exits(check(*HEADER, rules=done.stdout, stdin=log), 0)
    name = "http.request.header.x-n"
    for values, quantile, verdict in (((-5,) * 9, "p50(%s) < 0", "error"), ((-5, -5, 7), "p50(%s) < 0", "error"),
                                      ((-5, 7, 7), "p50(%s) == 7", "passed"), ((-5, 7, 7), "p0(%s) < 0", "error"),
                                      ((-5, 0, 0, 9), "median(%s) == 0", "passed"), ((-5,) * 3, "max(%s) < 0", "passed")):
        log = "".join(REQUEST % (1, v, "x") for v in values).encode()
        found, _ = results(*HEADER, rules="a: " + quantile % name, stdin=log)
        expect(found["results"][0]["verdict"] == verdict, values, quantile, found["results"][0])


TIMED = ("10.0.0.1:%d [21/Nov/2026:08:15:%02d.%03d] fe %s/s1 0/0/1/%d/%d 200 512 - - ---- 10/5/3/1/0 0/0 "
         "\"GET /r HTTP/1.1\"\n")


def timed(*lengths, backend="be"):
    """A log of requests with these Tr, in ms"""
    return "".join(TIMED % (i % 60000 + 1024, i % 60, i % 1000, backend, n, n + 1) for i, n in enumerate(lengths)).encode()


def quantiles_are_judged_exactly():
    """p95 of whole numbers of any size, right at the limit and beside it, against the sorted numbers; what is shown agrees"""
    logs = [[5] + 97 * [1000] + 2 * [2000], [5] + 97 * [303] + 2 * [600], list(range(300, 500)), [128 + i * 37 % 5000 for i in range(2000)]]
    quantiles = {"p0.01": 100, "p50": 500000, "median": 500000, "p90": 900000, "p95": 950000, "p99": 990000, "p99.9": 999000, "p100": 1000000}
    holds = {"<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
             "==": lambda a, b: a == b, "!=": lambda a, b: a != b}
    for numbers in logs:
        numbers.sort()
        want, rules = {}, ""
        for name, ppm in quantiles.items():
            true = numbers[max(1, -(-len(numbers) * ppm // 1000000)) - 1]
            for op, f in holds.items():
                for limit in (true - 1, true - 0.5, true, true + 0.5, true + 1):
                    rule = f"{name}(Tr) {op} {limit}ms"
                    want[rule] = (f(true, limit), true)
                    rules += rule + "\n"
        for threads in ("1", "4"):
            found, _ = results("-j", threads, rules=rules, stdin=timed(*numbers))
            for r in found["results"]:
                if r["rule"] not in want:
                    continue
                held, true = want[r["rule"]]
                expect(r["verdict"] == ("passed" if held else "failed"), r["rule"], r["why"], "truly", true)
                expect(abs(r["value"] - true) <= r.get("relative_error", 0) * true, r["rule"], r["why"], "truly", true)
                expect(("\u2248" in r["why"]) == ("relative_error" in r), r["why"])
                shown = holds[r["op"]](r["value"], r["limit"])
                expect(shown == held or "\u2248" in r["why"], r["why"], "looks otherwise")
    done = check(rules="p95(Tr) < 2s", stdin=timed(*logs[3]))
    expect("\u2248 4," in done.stdout.decode().splitlines()[0] and done.returncode == 1, done.stdout.decode())


def slips_are_refused():
    """A share that always holds, a measure of nothing, a file without a rule: exit 3, and what to do"""
    for rule, words in (("rate(status >= 500) < 5", "did you mean 5%?"), ("rate(failed) <= 1.5", "did you mean 1.5%?"),
                        ("rate(failed) < 1", "did you mean 1%?"), ("rate(failed) <= 1.0", "did you mean 1.0%?"),
                        ("rate(failed) > 100.1%", "no share is above 100%"), ("p95 < 200ms", "of what? Expected p95(Tr)"),
                        ("# none", "rules: there is no rule in it")):
        said = exits(check(LOG, rules=rule), 3).stderr.decode()
        expect(words in said, rule, said)
    for rule in ("rate(failed) <= 100%", "rate(status < 600) <= 0.99", "rate(duration >= 0) >= 1", "rate(failed) < 1%"):
        done = check(LOG, rules=rule)
        expect(done.returncode in (0, 1), rule, done.stderr.decode())
    exits(check(LOG, "--route", "/x", rules="status < 600 by route"), 0)


def sentences_say_something():
    """Numbers that look equal get digits; != and counters say a thing once; traceparent is `parent`; notes are no warnings"""
    slow = os.path.join(ROOT, "samples/ci/slow.log")
    for rule, words in (("requests != 140", "which it must not be"),
                        ("rate(status < 500) == 97.14%", r"exactly: 97\.1428571\d+, not 97\.14"),
                        ("every request has traceparent", "140 of 140 requests break it: did you mean `every request has parent`\\?")):
        said = exits(check(slow, rules=rule), 1).stdout.decode()
        expect(re.search(words, said), rule, said)
    said = exits(check(LOG, rules="a [note]: status < 500\nb [note]: count > 99\nc [warning]: count > 99"), 0).stdout.decode()
    expect("1 passed, 0 failed, 1 warned, 2 noted" in said.splitlines()[-1], said)


def few_requests_teach_nothing():
    """--write-rules: what a backend of fewer than 20 requests shows is a comment"""
    for n in (19, 20):
        said = exits(check("--write-rules", stdin=timed(*([7] * n))), 0).stdout.decode()
        expect(("\nbe is fast: " in said) == (n == 20) and ("\n# be is fast: " in said) == (n == 19), n, said)


def a_check_of_a_socket_says_what_comes():
    """--from udp://: no talk of --to stats"""
    with tempfile.TemporaryDirectory(prefix="haspan-check-") as folder:
        path, socket = os.path.join(folder, "rules"), os.path.join(folder, "s")
        with open(path, "w", encoding="utf-8") as f:
            f.write("status < 600 may be empty\n")
        process = subprocess.Popen([HASPAN, "check", "--rules", path, "--from", "unix:" + socket], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, env=ENV)
        said = ""
        while "sends nothing" not in said:
            line = process.stderr.readline().decode()
            if not line:
                break
            said += line
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    expect("sends nothing: the verdict comes at the end" in said, said)


# ---------------------------------------------------------------- what others wrote

HOSTILE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]")


def hostile_captures_are_inert():
    """Control characters, ANSI, bidi, U+2028, invalid UTF-8: none of it is in any output, on a terminal neither"""
    case = os.path.join(ROOT, "samples/check/hostile/")
    words = ["--rules", case + "rules.txt", *words_of(case), case + "capture.log"]
    done = exits(check(*words), 1)
    text = done.stdout.decode()                         # strict
    expect(not HOSTILE.search(text), repr(HOSTILE.search(text)))
    expect("<script>" in text, "it is not in there at all")
    expect(not any(unicodedata.category(c) in ("Cf", "Cs") for c in text), "format characters")
    machine = exits(check("-o", "json", *words), 1).stdout.decode()
    expect(not HOSTILE.search(machine), repr(HOSTILE.search(machine)))

    def strings(x):
        if isinstance(x, str):
            yield x
        elif isinstance(x, (dict, list)):
            for y in x.values() if isinstance(x, dict) else x:
                yield from strings(y)
    for s in strings(json.loads(machine)):
        expect(not HOSTILE.search(s), repr(s))
    colours = re.compile("\x1b\\[(?:[0-4]|3[1-4])?m")
    shown = on_terminal(*words)[0].replace("\r\n", "\n")
    expect(colours.search(shown), "a terminal gets colours")
    expect(not HOSTILE.search(colours.sub("", shown)), repr(HOSTILE.search(colours.sub("", shown))))


def no_command_reaches_a_runner():
    """What GitHub's runner acts on, from paths, headers, backends and lines that are not understood: in no output, nor in messages"""
    line = ("10.0.0.1:1 [21/Nov/2026:08:15:49.811] fe ::add-mask::b/s##[e] 0/0/0/1/1 503 10 - - ---- 1/1/0/0/0 0/0 "
            "\"::error::GET /##[error]p?##[group]x=1 HTTP/1.1\"\n")
    log = (line * 30 + "##[error]no line of HAProxy's\n::error::neither\n").encode()
    rules = "status < 500\nby path: status < 500 by path\nstatus < 400 by backend\np99(Tr) < 0 by method"
    said = [check("-o", form, rules=rules, stdin=log) for form in ("people", "json", "junit", "sarif", "github")]
    for words in (["--to", "tree"], ["--to", "stats", "--by", "backend,path,method"], ["--to", "stats", "--by", "backend"],
                  ["--to", "null", "--log-level", "debug"], ["explain"]):
        words = ["explain", "-"] if words == ["explain"] else words
        said.append(subprocess.run([HASPAN, *words], input=log, capture_output=True, env=ENV, timeout=60, check=False))
    for i, done in enumerate(said):
        text = done.stdout.decode() + done.stderr.decode()
        expect("##[" not in text, done.args, text)
        own = re.compile(r"\s*::(error|warning|notice) (file=|title=)") if i == 4 else re.compile("$.")
        for out in text.splitlines():
            expect(not out.strip().startswith("::") or own.match(out), done.args, out)
    expect("#?[error]" in said[0].stdout.decode(), said[0].stdout.decode())


def on_terminal(*words, env=None):
    """(what a terminal shows of standard output, the exit code)"""
    master, slave = pty.openpty()
    process = subprocess.Popen([HASPAN, "check", *words], stdin=subprocess.DEVNULL, stdout=slave, stderr=subprocess.DEVNULL,
                               env=env or ENV, cwd=ROOT)
    os.close(slave)
    shown = b""
    while True:
        try:
            more = os.read(master, 65536)
        except OSError:
            break
        if not more:
            break
        shown += more
    os.close(master)
    return shown.decode(), process.wait(60)


def colours_are_for_terminals():
    """None when piped or in a file, none with NO_COLOR"""
    with tempfile.TemporaryDirectory(prefix="haspan-check-") as folder:
        path, out = os.path.join(folder, "rules"), os.path.join(folder, "out")
        with open(path, "w", encoding="utf-8") as f:
            f.write("status < 500\n")
        shown, code = on_terminal("--rules", path, "-o", "people", "-o", "people=" + out, "-o", "json=" + out + ".json", LOG)
        expect(code == 1 and "\x1b[31m" in shown, shown)
        for name in (out, out + ".json"):
            with open(name, encoding="utf-8") as f:
                expect("\x1b" not in f.read() and "u001b" not in f.read(), name)
        shown, _ = on_terminal("--rules", path, LOG, env=dict(ENV, NO_COLOR="1"))
        expect("\x1b" not in shown, shown)
    expect(b"\x1b" not in check(LOG, rules="status < 500").stdout, "piped")


# ---------------------------------------------------------------- interrupted, full, kept

def an_interrupt_shows_what_was_found():
    """SIGINT on a pipe that goes on: a verdict about what was read, exit 1 although all of it holds"""
    with tempfile.TemporaryDirectory(prefix="haspan-check-") as folder:
        path, fifo = os.path.join(folder, "rules"), os.path.join(folder, "fifo")
        with open(path, "w", encoding="utf-8") as f:
            f.write("status < 600\n")
        os.mkfifo(fifo)
        process = subprocess.Popen([HASPAN, "check", "-o", "json", "--rules", path, fifo], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, env=ENV)
        with open(fifo, "wb", buffering=0) as f, open(LOG, "rb") as log:
            text = log.read() * 100
            for _ in range(20):                         # more than the pipe holds: blocks have been read
                f.write(text)
            process.send_signal(signal.SIGINT)
            deadline = time.monotonic() + 30
            with contextlib.suppress(BrokenPipeError):
                while process.poll() is None and time.monotonic() < deadline:
                    f.write(text)
        out = process.communicate(timeout=30)[0]
    found = json.loads(out)
    expect(process.returncode == 1 and found["interrupted"] and not found["passed"], process.returncode, out[:300])
    # the last line may have been cut: it is rejected then
    expect(found["results"][0]["verdict"] == "passed" and found["requests"] > 0, out[:300])


def settings(folder):
    """No output takes the place of what configures the run, in a folder or on standard input neither"""
    cfg, rules, formats = (os.path.join(folder, name) for name in ("c.d/a.cfg", "r", "formats"))
    os.mkdir(os.path.dirname(cfg))
    for path, text in ((rules, "status < 600\n"), (cfg, "frontend f\n mode http\n option httplog\n"), (formats, "# mine\n%ci %t %ST %Ta\n")):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        with open(rules, "rb") as stdin:
            words = {cfg: ["--haproxy-cfg", os.path.dirname(cfg)], rules: [], formats: ["--format", formats]}[path]
            done = subprocess.run([HASPAN, "check", "--rules", "-", "-o", "json=" + path, *words, LOG], stdin=stdin, env=ENV,
                                  capture_output=True, timeout=60)
        expect(b"is being read" in exits(done, 2).stderr, path, done.stderr.decode())
        with open(path, encoding="utf-8") as f:
            expect(f.read() == text, path)


def a_stop_behind_the_end_is_none():
    """All is read, and the export waits: SIGTERM interrupts no verdict"""
    with tempfile.TemporaryDirectory(prefix="haspan-check-") as folder, socket.create_server(("127.0.0.1", 0)) as hung:
        path = os.path.join(folder, "rules")
        with open(path, "w", encoding="utf-8") as f:
            f.write("status < 600\n")
        process = subprocess.Popen([HASPAN, "check", "-o", "json", "--rules", path, "--drain-timeout", "1s", "--to",
                                    f"http://127.0.0.1:{hung.getsockname()[1]}", LOG], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, env=ENV)
        hung.settimeout(60)
        with hung.accept()[0] as asks:                  # the spans are on their way: the log is read by then
            asks.recv(100)
            time.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            out = process.communicate(timeout=60)[0]
    found = json.loads(out)
    expect(process.returncode == 5 and found["passed"] and not found["interrupted"], process.returncode, out[:300])


def listener(pid):
    """The port on which it listens"""
    mine = set()
    for fd in glob.glob(f"/proc/{pid}/fd/*"):
        with contextlib.suppress(OSError):
            mine.add(os.readlink(fd))
    with open("/proc/net/tcp", encoding="ascii") as f:
        rows = [row.split() for row in list(f)[1:]]
    return next((int(r[1].split(":")[1], 16) for r in rows if r[3] == "0A" and f"socket:[{r[9]}]" in mine), None)


def a_range_of_kafka_is_interrupted():
    """It has an end: who stops before that gets no verdict. The broker is librdkafka's mock, in a haspan that serves it alone"""
    broker = subprocess.Popen([HASPAN, "--to", "null", "--from", "kafka://127.0.0.1:1/t1?group=g&test.mock.num.brokers=1"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENV)
    try:
        deadline = time.monotonic() + 30
        while not (port := listener(broker.pid)):
            expect(broker.poll() is None and time.monotonic() < deadline, "no mock broker")
            time.sleep(0.05)
        with open(LOG, "rb") as f:
            log = f.read() * 2000
        topic = f"kafka://127.0.0.1:{port}/t1"
        subprocess.run([HASPAN, "--to", topic + "?encoding=raw"], input=log, capture_output=True, env=ENV, timeout=60, check=True)
        found, done = results("--from", topic + "?until=end", rules="status < 600")
        expect(done.returncode == 0 and found["passed"] and not found["interrupted"], done.stdout[:300])
        with tempfile.NamedTemporaryFile(mode="w") as rules:
            rules.write("status < 600\n")
            rules.flush()
            process = subprocess.Popen([HASPAN, "check", "-o", "json", "--rules", rules.name, "--rate", "10", "--from",
                                        topic + "?until=end"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENV)
            while b"sends nothing" not in process.stderr.readline():
                expect(process.poll() is None, "it has ended")
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            out = process.communicate(timeout=60)[0]
    finally:
        broker.kill()
        broker.wait()
    found = json.loads(out)
    expect(process.returncode == 1 and found["interrupted"] and not found["passed"], process.returncode, out[:300])


def lost_datagrams_fail():
    """What the kernel dropped is in the results; a rule of one's own may allow it"""
    with open(LOG, "rb") as f:
        line = f.readline()
    for rules, code in (("status < 600", 1), ("status < 600\nlost >= 1", 0)):
        with tempfile.TemporaryDirectory(prefix="haspan-check-") as folder, \
             socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            path, port = os.path.join(folder, "rules"), free_port()
            with open(path, "w", encoding="utf-8") as f:
                f.write(rules + "\n")
            words = ["-o", "json", "-o", "people=" + os.path.join(folder, "p"), "--rules", path, "--from",
                     f"udp://127.0.0.1:{port}?rcvbuf=2K"]
            process = subprocess.Popen([HASPAN, "check", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENV)
            while b"listens on" not in process.stderr.readline():
                expect(process.poll() is None, "it has ended")
            process.send_signal(signal.SIGSTOP)
            os.waitpid(process.pid, os.WUNTRACED)       # from here on nobody reads
            for _ in range(300):
                out.sendto(line, ("127.0.0.1", port))
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=60)[0]
            with open(os.path.join(folder, "p"), encoding="utf-8") as f:
                people = f.read()
        found = json.loads(said)
        expect(process.returncode == code and found["passed"] == (code == 0) and not found["interrupted"], said)
        expect(found["lost"] > 200 and found["lost"] + found["lines"] == 300, said)
        expect(f", {found['lost']} lost;" in people, people)
        own = [r for r in found["results"] if r["name"] == "lost datagrams"]
        expect([r["verdict"] for r in own] == (["failed"] if code else []), said)


def outputs_go_where_they_are_told():
    """Several at once, each into its file; a full disk is exit 5"""
    with tempfile.TemporaryDirectory(prefix="haspan-check-") as folder:
        a, b = os.path.join(folder, "a.json"), os.path.join(folder, "b.txt")
        done = exits(check("-o", "json=" + a, "-o", "people=" + b, "-o", "json", LOG, rules="status < 600"), 0)
        with open(a, encoding="utf-8") as f, open(b, encoding="utf-8") as g:
            expect(steady(f.read()) == steady(done.stdout.decode()), "the same twice")
            expect("PASSED" in g.read(), "people's")
        exits(check("-n", "-o", "json=" + a, "-o", "people", LOG, rules="status < 600"), 0)
        # what is read is not written over, nor one file by two
        log = os.path.join(folder, "log")
        shutil.copy(LOG, log)
        exits(check("-o", "json=" + log, log, rules="status < 600"), 2)
        exits(check("-o", "json=" + log, os.path.join(folder, "l*"), rules="status < 600"), 2)
        exits(check("-o", "json=" + log, "--rules", log, LOG), 2)
        exits(check("-o", "json=" + a, "-o", "people=" + a, LOG, rules="status < 600"), 2)
        for words in (["--from", "follow:" + log], ["--from", "follow:" + log + "?start=end"], ["--baseline", "file:" + log, LOG],
                      ["--baseline", os.path.join(folder, "l*"), LOG], ["--to", "file:" + log, LOG], ["--rejects", log, LOG]):
            exits(check("-o", "json=" + log, *words, rules="status < 600"), 2)
        with open(log, "rb") as f, open(LOG, "rb") as g:
            expect(f.read() == g.read(), "the capture is gone")
        settings(folder)
        # a mistake in the rules leaves no verdict of an earlier run
        exits(check("-o", "json=" + b, LOG, rules="stats < 600"), 3)
        expect(os.path.getsize(b) == 0, "an old verdict")
    exits(check("-o", "json=/dev/full", LOG, rules="status < 600"), 5)


def spans_still_go_where_they_are_sent():
    """--to beside a check; without it nothing is exported"""
    with tempfile.TemporaryDirectory(prefix="haspan-check-") as folder:
        out = os.path.join(folder, "spans")
        exits(check("--to", "file:" + out, LOG, rules="status < 600"), 0)
        plain = subprocess.run([HASPAN, "--to", "-", LOG], capture_output=True, env=ENV, check=True)
        with open(out, "rb") as f:
            expect(f.read() == plain.stdout, "other spans than those of a run")


def memory_is_bounded():
    """20,000 routes on four threads in 64 MiB, with what was folded said aloud"""
    line = "10.0.0.1:1 [21/Nov/2026:08:15:%02d.%03d] fe be/s 0/0/1/%d/%d 200 512 - - ---- 10/5/3/1/0 0/0 \"GET /%d HTTP/1.1\"\n"
    log = "".join(line % (i % 60, i % 1000, i % 977, i % 977 + 3, i % 20000) for i in range(60000)).encode()
    rules = "a: p95(duration) < 1ms by path\nb: status < 1 by path\nc: rate(status < 500) < 1% by path\n"
    with tempfile.NamedTemporaryFile() as file, tempfile.TemporaryDirectory(prefix="haspan-check-") as folder:
        file.write(log)
        file.flush()
        path = os.path.join(folder, "rules")
        with open(path, "w", encoding="utf-8") as f:
            f.write(rules)
        process = subprocess.Popen([HASPAN, "check", "-j4", "--rules", path, file.name], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, env=ENV)
        said = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    expect(process.returncode == 1 and re.search(r"about [\d,]+ others", said), said[-500:])
    with tempfile.NamedTemporaryFile() as file:
        file.write(log)
        file.flush()
        said = exits(check(file.name, rules="a: p95(duration) < 1h by path\n"), 0).stdout.decode()
    expect(re.search(r"about [\d,]+ more groups were judged as one", said), said)
    sanitized = "/san/" in HASPAN or "/tsan/" in HASPAN
    expect(sanitized or usage.ru_maxrss < 64 * 1024, f"{usage.ru_maxrss} KiB")


def why_it_fails_helps():
    """A value that looks like the limit, a negation, traceparent for parent, routes without --route"""
    exactly = exits(check(LOG, rules="rate(status >= 500) == 30.77%"), 1).stdout
    expect(b"30.77 % (exactly: 30.7692307692, not 30.77)" in exactly, exactly)
    plain = exits(check(LOG, rules="rate(status >= 500) == 30%"), 1).stdout
    expect(b"exactly" not in plain, plain)
    negated = exits(check(LOG, rules="requests != 13"), 1).stdout
    expect(b"requests is 13 requests, which it must not be" in negated, negated)
    parent = exits(check(LOG, rules="every request has traceparent"), 1).stdout
    expect(b"did you mean `every request has parent`?" in parent, parent)
    for rule in "p95(Tr) < 9s by route", "status < 600 by http.route":
        said = exits(check(LOG, rules=rule), 0).stderr
        expect(b"by route: no --route names any" in said, said)
        said = check("--route", "/{a}", LOG, rules=rule).stderr
        expect(b"no --route" not in said, said)


TESTS = [why_it_fails_helps, folders_say_what_they_said, any_number_of_threads_finds_the_same, exit_codes_are_the_contracts, a_mistake_shows_its_place,
         rejected_lines_fail_unless_allowed, a_stopped_pattern_passes_nothing, an_empty_capture_fails, sampling_hides_nothing,
         long_groups_stay_apart, numbers_are_what_they_are, no_command_reaches_a_runner, proposed_rules_hold,
         ten_thousand_rules_load_in_a_second, quantiles_are_judged_exactly, slips_are_refused, sentences_say_something,
         few_requests_teach_nothing, a_check_of_a_socket_says_what_comes, hostile_captures_are_inert, colours_are_for_terminals,
         an_interrupt_shows_what_was_found, a_stop_behind_the_end_is_none, a_range_of_kafka_is_interrupted, lost_datagrams_fail,
         outputs_go_where_they_are_told, spans_still_go_where_they_are_sent, memory_is_bounded]


def main():
    words = [w for w in sys.argv[1:] if not w.startswith("--")]
    passed = failed = 0
    for test in TESTS:
        if words and not any(w in test.__name__ for w in words):
            continue
        try:
            test()
            passed += 1
            print(f"   {test.__name__}: {test.__doc__}")
        except (Failure, subprocess.TimeoutExpired, ValueError, OSError) as e:
            failed += 1
            print(f"FAILED {test.__name__}: {e}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed != 0 or passed == 0)


main()
