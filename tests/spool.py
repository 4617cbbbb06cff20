#!/usr/bin/env python3
"""The spool: outages, full disks, failing calls, damage, restarts.

    spool.py [NAME...]          NAME: part of a test's name

The HTTP sink (build/crash/tests/http_driver, or $BUILD: with points at which calls can be made to fail) against
tests/collector.py. Each run checks the account (submitted + restored = exported + refused + dropped + held); each test
checks what the collector has.
"""
import concurrent.futures
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)
from http_sink import Collector, between, equal, free_port, span_ids            # noqa: E402

BUILD = os.path.join(ROOT, os.environ.get('BUILD') or 'build/crash')
DRIVER, HASPAN = os.path.join(BUILD, 'tests', 'http_driver'), os.path.join(BUILD, 'haspan')
TESTS = []


def test(function):
    TESTS.append(function)
    return function


class Done:
    def __init__(self, code, out, err):
        self.code, self.said = code, err
        for name, value in re.findall(r'(\w+)=(\d+)', out):
            setattr(self, name, int(value))
        if code == 0:
            equal(self.exported + self.refused + self.dropped + self.held, self.submitted + self.restored)


class Story:
    """A spool, and what happens to it in one run after the other"""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix='haspan-spool-')
        self.port, self.most, self.collector = free_port(), 0, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.collector:
            self.collector.close()
        shutil.rmtree(self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def files(self):
        return sorted(glob.glob(self.path('spool/*/*.spool')))

    def size(self):
        total = 0
        for name in glob.glob(self.path('spool/*/*')):
            try:
                total += os.path.getsize(name)
            except FileNotFoundError:
                pass
        return total

    def collect(self, script=''):
        self.collector = Collector(self.folder, script, self.port)

    def collected(self):
        self.collector.close()
        collector, self.collector = self.collector, None
        return collector

    def start(self, fault=None, **settings):
        env = {**os.environ, 'no_proxy': '*', 'DRIVER_SPOOL': self.path('spool'), 'DRIVER_STATE': self.path('state')}
        if fault:
            env['HASPAN_FAULT'] = fault
        settings = {'backoff': 10, 'backoff_max': 50, 'give_up': 20000, **settings}
        command = [DRIVER, 'http://127.0.0.1:%d' % self.port] + ['%s=%s' % pair for pair in settings.items()]
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end(self, process):
        watching = threading.Event()

        def watch():
            while not watching.wait(0.002):
                self.most = max(self.most, self.size())
        thread = threading.Thread(target=watch)
        thread.start()
        try:
            out, err = process.communicate(timeout=90)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError('it hangs: ' + process.communicate()[1])
        finally:
            watching.set()
            thread.join()
        return Done(process.returncode, out, err)

    def run(self, fault=None, **settings):
        # Each run submits from its beginning, unless a test looks at the position.
        if os.path.exists(self.path('state')):
            os.remove(self.path('state'))
        done = self.end(self.start(fault, **settings))
        equal((done.code, done.said if done.code else ''), (0, ''))
        return done

    def settled(self):
        with open(self.path('state')) as f:
            return int(f.read())


OUTAGE = {'give_up': 300}       # nobody answers: leave soon


def has(story, **settings):
    """The collector has these spans, and no others"""
    collector = story.collected()
    equal(set(collector.taken), span_ids(**settings))
    return collector


# ---- outages

@test
def what_nobody_took_is_sent_by_the_next_run():
    with Story() as s:
        first = s.run(wires=20, **OUTAGE)
        equal((first.held, first.restored, s.settled()), (600, 0, 20))
        assert 'kept in the spool' in first.said, first.said
        s.collect()
        second = s.run(wires=0)
        equal((second.restored, second.exported, second.held), (600, 600, 0))
        assert '600 spans of an earlier run' in second.said, second.said
        equal(s.files(), [])
        equal(set(has(s, wires=20).taken.values()), {1})


@test
def a_stop_while_the_collector_is_down_keeps_all():
    with Story() as s:
        first = s.run(wires=1000, pause_ms=5, stop_ms=300, drain=200, give_up=0, buffer=9000)
        assert first.held == first.submitted > 30, first.held
        between(first.submit_ms + first.finish_ms, 400, 5000)
        equal(s.settled(), first.submitted // 30)
        s.collect('503 200 reset')
        second = s.run(wires=0)
        equal((second.restored, second.exported), (first.submitted, first.submitted))
        has(s, wires=first.submitted // 30)


@test
def recovery_goes_oldest_first_while_new_ones_come():
    with Story() as s:
        running = s.start(wires=250, pause_ms=10, buffer=30000, connections=1, spool_max=1 << 20)
        time.sleep(1)
        s.collect()
        done = s.end(running)
        equal((done.code, done.exported, done.held), (0, 7500, 0))
        collector = has(s, wires=250)
        with open(s.path('spans')) as f:
            order = [int(json.loads(line)['trace_id'], 16) for line in f]
        equal(order, sorted(order))
        # Those of the outage were sent together, and not only when all had come.
        most = max(r['spans'] for r in collector.requests)
        assert done.submit_ms > 2000 and most > 300, (done.submit_ms, most)
        equal(s.files(), [])


@test
def a_full_spool_slows_the_source_and_keeps_its_bound():
    with Story() as s:
        running = s.start(wires=200, buffer=20000, spool_max=100000, connections=2)
        time.sleep(1.2)
        equal(running.poll(), None)
        s.collect()
        done = s.end(running)
        equal((done.exported, done.held, done.dropped), (6000, 0, 0))
        assert done.submit_ms > 1000, done.submit_ms
        between(s.most, 80000, 100000 + 200)
        has(s, wires=200)


@test
def a_full_spool_at_start_is_no_deadlock():
    with Story() as s:
        first = s.run(wires=300, spool_max=200000, buffer=5000, settle_every=1000, **OUTAGE)
        equal(first.held, 9000)
        between(s.size(), 180000, 200000 + 200)
        sent = s.settled()
        between(sent, 50, 299)
        # All of it, more than the bound, and new ones behind it.
        s.collect()
        second = s.run(wires=50, first=100001, spool_max=50000)
        equal(second.exported, second.restored + second.submitted)
        equal(second.held, 0)
        taken = set(s.collected().taken)
        assert span_ids(wires=sent) <= taken, 'what was settled did not come'
        equal(len(taken), second.exported)


@test
def memory_is_bounded_by_buffer_max_alone():
    with Story() as s:
        done = s.run(wires=20000, traces=1, spans=2, buffer=100000, settle_every=5000, **OUTAGE)
        equal(done.held, 40000)
        between(done.peak_kb, 0, 24000)
        s.collect()
        done = s.run(wires=0, buffer=100000)
        equal(done.exported, 40000)
        between(done.peak_kb, 0, 24000)
        collector = has(s, wires=20000, traces=1, spans=2)
        assert len(collector.requests) < 1000, len(collector.requests)


# ---- answers

@test
def answers_mean_the_same_to_what_was_read_back():
    with Story() as s:
        s.run(wires=4, **OUTAGE)
        s.collect('garbage big drip=100ms 401 200')
        done = s.run(wires=0, join=1, hold=100)
        equal((done.exported, done.refused), (120, 0))
        has(s, wires=4)
        s.run(wires=3, **OUTAGE)
        s.collect('400 partial=3')
        done = s.run(wires=0, join=1, connections=1)
        equal((done.exported, done.refused, done.held), (57, 33, 0))
        equal(s.files(), [])
        s.collected()
        s.run(wires=20, pad=100, **OUTAGE)
        s.collect('413>3000')
        done = s.run(wires=0)
        equal((done.exported, done.refused), (600, 0))
        has(s, wires=20)


@test
def another_protocol_finds_the_old_records():
    with Story() as s:
        s.run(wires=3, **OUTAGE)
        s.run(wires=3, json=1, first=31, join=1 << 20, **OUTAGE)
        s.collect()
        done = s.run(wires=2, json=1, first=61, join=1 << 20)
        equal(done.exported, 240)
        collector = has(s, wires=8)
        kinds = {r['headers']['content-type']: r['spans'] for r in collector.requests}
        equal(set(kinds), {'application/json', 'application/x-protobuf'})


@test
def new_headers_from_the_next_request_on():
    with Story() as s:
        s.collect()
        done = s.run(wires=60, pause_ms=10, user_headers=1, reload_ms=300)
        equal(done.exported, 1800)
        tokens = [r['headers']['x-token'] for r in has(s, wires=60).requests]
        equal(sorted(set(tokens)), ['fresh', 's3cret'])
        equal(tokens, sorted(tokens, reverse=True))


# ---- calls that fail

ERRNOS = ('ENOSPC', 'EIO', 'EROFS', 'EDQUOT')


def failing(call, error, times, script='503 200 reset'):
    with Story() as s:
        s.collect(script)
        done = s.run(fault='%s:%s:%s' % (call, error, times), wires=60, buffer=9000, spool_max=60000)
        equal((done.exported, done.held, done.dropped), (1800, 0, 0))
        equal(s.settled(), 60)
        has(s, wires=60)
        return done


@test
def each_call_fails_for_a_while():
    for call in ('spool.write', 'spool.open', 'spool.fsync', 'spool.unlink'):
        for error in ERRNOS:
            done = failing(call, error, '2-5')
            assert done.spool_errors_total > 0, (call, error)
    failing('spool.write', 'ENOSPC', '3-4,spool.truncate:EIO:1')
    failing('spool.write.short', 'EIO', '3-20')


@test
def each_call_fails_for_good():
    for call in ('spool.write', 'spool.open', 'spool.fsync'):
        for error in ERRNOS:
            failing(call, error, '1')


@test
def what_could_not_be_written_is_not_settled():
    for call in ('spool.write', 'spool.open'):
        with Story() as s:
            done = s.run(fault=call + ':ENOSPC:1', wires=20, **OUTAGE)
            equal((done.held, s.settled(), s.files()), (600, 0, []))
            equal(done.said.count('No space left on device'), 1)


@test
def what_is_in_the_spool_and_what_is_not_is_said_at_the_end():
    with Story() as s:
        done = s.run(fault='spool.write:ENOSPC:4', wires=20, **OUTAGE)
        equal((done.held, s.settled()), (600, 3))
        assert '600 spans held: 90 are kept in the spool, 510 are not' in done.said, done.said
        equal(s.run(wires=0, **OUTAGE).restored, 90)
    with Story() as s:
        # Neither disk nor memory.
        done = s.run(fault='spool.write:ENOSPC:4', wires=1000, pause_ms=2, buffer=9000, stop_ms=200, drain=100, give_up=0)
        kept = int(re.search(r'spans held: (\d+) are kept in the spool', done.said)[1])
        equal((kept, s.settled()), (90, 3))
    with Story() as s:
        assert 'kept in the spool' not in s.run(wires=20, give_up=300, fault='spool.open:EIO:1').said.replace(' 0 are kept', '')


@test
def a_file_that_is_deleted_takes_nothing_else_with_it():
    with Story() as s:
        # What was vouched for before is lost, and said to be; what was not, and what comes later, is not settled by it.
        running = s.start(wires=1000, pause_ms=20, give_up=0, stop_ms=1500, drain=100, buffer=4000)
        until = time.monotonic() + 10
        while not s.files() and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.2)
        for name in s.files():
            os.remove(name)
        done = s.end(running)
        assert 'somebody has deleted a file' in done.said and done.spool_errors_total >= 1, done.said
        kept = int(re.search(r'spans held: (\d+) are kept in the spool', done.said)[1])
        between(kept, 30, done.submitted - 30)
        equal(len(s.files()), 1)
        # The first that was deleted before its sync is where a source would read again.
        s.collect()
        restored = s.run(wires=0).exported
        equal(restored, kept)
        wires = done.submitted // 30
        first = wires - kept // 30
        assert set(s.collected().taken) == span_ids(wires=wires) - span_ids(wires=first), first


@test
def a_file_that_is_deleted_is_sent_all_the_same():
    with Story() as s:
        running = s.start(wires=60, pause_ms=20, buffer=4000, connections=1)
        until = time.monotonic() + 10
        while not s.files() and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.2)
        for name in s.files():
            os.remove(name)
        s.collect()
        done = s.end(running)
        equal((done.code, done.exported, done.held, done.dropped), (0, 1800, 0, 0))
        has(s, wires=60)


@test
def what_the_disk_may_have_lost_is_not_settled():
    with Story() as s:
        done = s.run(fault='spool.fsync:EIO:1', wires=20, **OUTAGE)
        equal((done.held, s.settled()), (600, 0))
    with Story() as s:
        # Once is enough: a later fsync of the same file would say that all is well.
        done = s.run(fault='spool.fsync:EIO:5-5', wires=20, **OUTAGE)
        assert s.settled() < 5, s.settled()


@test
def when_neither_disk_nor_memory_has_room_the_source_waits():
    with Story() as s:
        running = s.start(fault='spool.write:ENOSPC:4', wires=100, buffer=20000)
        time.sleep(1)
        equal(running.poll(), None)
        s.collect()
        done = s.end(running)
        equal((done.exported, done.held), (3000, 0))
        assert done.submit_ms > 900, done.submit_ms
        has(s, wires=100)


@test
def a_disk_that_cannot_be_read_for_a_while():
    with Story() as s:
        s.run(wires=20, **OUTAGE)
        s.collect()
        done = s.run(fault='spool.read:EIO:3-4', wires=0)
        equal((done.restored, done.exported, done.dropped), (600, 600, 0))
        has(s, wires=20)


# ---- damage

@test
def a_damaged_record_is_skipped_counted_and_said():
    with Story() as s:
        s.run(wires=20, **OUTAGE)
        with open(s.files()[0], 'r+b') as f:
            f.seek(5000)
            f.write(b'damage')
        s.collect()
        done = s.run(wires=0)
        equal((done.restored, done.exported, done.dropped), (600, 570, 30))
        equal(done.spool_corrupt_total, 1)
        assert 'damaged at byte' in done.said and '30 spans in damaged records' in done.said, done.said
        equal(len(s.collected().taken), 570)
        equal(s.files(), [])


@test
def a_damaged_header_hides_its_record_alone():
    with Story() as s:
        s.run(wires=20, **OUTAGE)
        with open(s.files()[0], 'r+b') as f:
            f.write(b'damage')
        s.collect()
        done = s.run(wires=0)
        equal((done.restored, done.exported, done.dropped, done.spool_corrupt_total), (570, 570, 0, 1))


@test
def garbage_in_the_folder_hurts_nobody():
    with Story() as s:
        s.run(wires=2, **OUTAGE)
        folder = os.path.dirname(s.files()[0])
        for name, data in (('ffffffffffffff00.spool', b'x' * 500), ('0000000000000001.spool', b''), ('note.txt', b'hello'),
                           ('00000000000000AA.spool', b'x' * 500), ('0x00000000000010.spool', b'x'),
                           ('0000000000000011.spool', b'x' * 50),
                           ('00000000000000zz.spool', b'x'), ('mark', b'\xff' * 64)):
            with open(os.path.join(folder, name), 'wb') as f:
                f.write(data)
        os.symlink('/etc/passwd', os.path.join(folder, '0000000000000002.spool'))
        s.collect()
        done = s.run(wires=2, first=21)
        equal((done.restored, done.exported, done.held, done.spool_corrupt_total), (60, 120, 0, 2))
        assert os.path.exists('/etc/passwd') and os.path.exists(os.path.join(folder, 'note.txt'))


# ---- the folder

@test
def two_processes_do_not_share_a_spool():
    with Story() as s:
        first = s.start(wires=1000, pause_ms=50, stop_ms=1500, drain=100)
        until = time.monotonic() + 10
        while not s.files() and time.monotonic() < until:
            time.sleep(0.01)
        second = s.end(s.start(wires=1))
        equal(second.code, 3)
        assert 'process %d' % first.pid in second.said, second.said
        s.end(first)


def haspan(*words, **more):
    env = {k: v for k, v in os.environ.items() if k in ('PATH',) or k.endswith('SAN_OPTIONS')}
    return subprocess.run([HASPAN, *words], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                          env={**env, 'no_proxy': '*', 'TZ': 'UTC', **more})


LOG = os.path.join(ROOT, 'samples', 'demo', 'haproxy.log')


@test
def a_sink_that_is_gone_is_not_forgotten():
    with Story() as s:
        options = ('--spool', s.path('spool'), '--give-up-after', '100ms', LOG)
        done = haspan('--to', 'http://127.0.0.1:1', '--to', 'http://user:secret@127.0.0.1:2/x?key=hidden', *options)
        equal(done.returncode, 5)
        assert 'not configured' not in done.stderr, done.stderr
        names = os.listdir(s.path('spool'))
        assert len(names) == 2 and not any('secret' in n or 'hidden' in n or 'user' in n for n in names), names
        done = haspan('--to', 'http://127.0.0.1:1', '--spool', s.path('spool'), '--give-up-after', '100ms', os.devnull)
        equal(done.returncode, 5)
        assert done.stderr.count('for a sink that is not configured') == 1 and '127.0.0.1_2_x-' in done.stderr, done.stderr
        summary = dict(re.findall(r'(\w+)=(\d+)', done.stderr))
        assert summary['spans'] == '0' and summary['restored'] == summary['held'] != '0', done.stderr


@test
def mistakes_are_said_at_start():
    with Story() as s:
        for words, code, text in (
                (('--spool', '/dev/null/here'), 3, 'cannot make this folder'),
                (('--spool', '/dev/null'), 3, '/dev/null'),
                (('--spool', ''), 2, 'expected a folder'),
                (('--spool', s.path('x'), '--spool-max', '10K'), 2, 'expected at least 1M'),
                (('--batch-delay', 'soon'), 2, 'expected a number')):
            for check in ((), ('-n',)):
                done = haspan('--to', 'http://127.0.0.1:1', '--give-up-after', '100ms', *words, *check, os.devnull)
                equal((words, check, done.returncode), (words, check, code))
                assert text in done.stderr, done.stderr
        # -n leaves no trace, and does not mind a process that has the spool.
        equal(haspan('-n', '--to', 'http://127.0.0.1:1', '--spool', s.path('new'), os.devnull).returncode, 0)
        assert not os.path.exists(s.path('new'))


@test
def nothing_is_read_that_has_no_place():
    with Story() as s, open(LOG, 'rb') as f:
        # A stop, and neither the disk nor memory takes more: what a socket has is left there.
        line = next(row for row in f if b'"GET' in row) * 200
        port = free_port()
        running = subprocess.Popen(
            [HASPAN, '--from', 'tcp://127.0.0.1:%d' % port, '--to', 'http://127.0.0.1:%d' % s.port, '--spool', s.path('spool'),
             '--buffer-max', '300K', '--drain-timeout', '300ms'], text=True, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
            env={**os.environ, 'no_proxy': '*', 'HASPAN_FAULT': 'spool.write:ENOSPC:4'})
        sent = threading.Event()

        def send():
            c, until = None, time.monotonic() + 10
            while not c and time.monotonic() < until:
                try:
                    c = socket.create_connection(('127.0.0.1', port), 1)
                except OSError:
                    time.sleep(0.02)
            try:
                while True:
                    try:
                        c.sendall(line)
                    except TimeoutError:        # it reads no more: no place is left
                        sent.set()
            except OSError:
                return
        sender = threading.Thread(target=send)
        sender.start()
        assert sent.wait(20)
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=30)
        sender.join()
        total = dict(re.findall(r'(\w+)=(\d+)', said.splitlines()[-1]))
        assert running.returncode == 5 and 0 < int(total['lines']) < 20000, said
        assert 'are not, and come again only if' in said, said


def one(function):
    try:
        function()
        return None
    except Exception:
        return traceback.format_exc(limit=-3)


def main():
    chosen = [t for t in TESTS if not sys.argv[1:] or any(word in t.__name__ for word in sys.argv[1:])]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for function, wrong in zip(chosen, pool.map(one, chosen)):
            if wrong:
                failed += 1
                print('FAILED %s\n%s' % (function.__name__, wrong))
    print('%d passed, %d failed' % (len(chosen) - failed, failed))
    sys.exit(failed > 0)


if __name__ == '__main__':
    main()
