#!/usr/bin/env python3
"""The unit, `make install`, `make deb`, and the package under a real systemd.

    tests/service.py [--no-boot] [--deb FILE]

systemd runs in a container (systemd-nspawn) over a copy-on-write view of this machine's own files: what is installed
there is gone with it. It takes root; where no container can be had, those claims are skipped, and that is said.
"""
import argparse
import contextlib
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOG = os.path.join(ROOT, 'samples', 'demo', 'haproxy.log')
BOOT_SECONDS = 150
counts = {'passed': 0, 'failed': 0}


def claim(what, right, *detail):
    counts['passed' if right else 'failed'] += 1
    print('ok    ' if right else 'FAILED', what, flush=True)
    if not right:
        print('   >', *detail, flush=True)
    return right


def run(*words, **more):
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600, **more)


def until(test, seconds=20):
    """What test() says, as soon as that is something; else its last word."""
    end = time.monotonic() + seconds
    while True:
        said = test()
        if said or time.monotonic() > end:
            return said
        time.sleep(0.05)


# ---- on this machine ------------------------------------------------------------------------------------

def unit_is_tight():
    said = run('systemd-analyze', 'security', '--offline=true', '--no-pager', 'packaging/haspan.service')
    level = re.search(r'exposure level for \S+: ([\d.]+)', said.stdout)
    claim('systemd-analyze security: %s, at most 2.0' % (level and level.group(1)),
          level and float(level.group(1)) <= 2.0, said.stdout)


def install(work):
    to = os.path.join(work, 'root')
    words = ['make', '--no-print-directory', 'install', 'DESTDIR=' + to, 'PREFIX=/opt/haspan', 'SYSCONFDIR=/opt/etc']
    words += ['BUILD=' + os.environ['BUILD']] if os.environ.get('BUILD') else []
    said = run(*words)
    files = sorted(os.path.relpath(os.path.join(d, f), to) for d, _, names in os.walk(to) for f in names)
    wanted = ['opt/etc/haspan/haspan.conf', 'opt/haspan/bin/haspan', 'opt/haspan/lib/systemd/system/haspan.service',
              'opt/haspan/lib/sysusers.d/haspan.conf', 'opt/haspan/share/man/man1/haspan.1',
              'opt/haspan/share/doc/haspan/LICENSE', 'opt/haspan/share/doc/haspan/doc/ids.md',
              'opt/haspan/share/doc/haspan/examples/haspan.socket',
              'opt/haspan/share/bash-completion/completions/haspan', 'opt/haspan/share/zsh/site-functions/_haspan',
              'opt/haspan/share/fish/vendor_completions.d/haspan.fish']
    if not claim('make install: program, manual, unit, configuration, documents, completion',
                 said.returncode == 0 and not set(wanted) - set(files), said.stdout, files):
        return
    unit = open(os.path.join(to, wanted[2])).read()
    claim('the unit names the installed program and its configuration',
          'ExecStart=/opt/haspan/bin/haspan run --config /opt/etc/haspan/haspan.conf' in unit, unit)
    conf = os.path.join(to, wanted[0])
    with open(conf, 'a') as file:
        file.write('# mine\n')
    run(*words)
    claim('a second install leaves the configuration as it is', open(conf).read().endswith('# mine\n'))
    run(*words[:2], 'uninstall', *words[3:])
    left = [f for d, _, names in os.walk(to) for f in names]
    claim('make uninstall takes all but the configuration', left == ['haspan.conf'], left)


def package(work):
    said = run('make', '--no-print-directory', 'deb', 'BUILD=' + os.path.join(work, 'build'))
    debs = [w for w in said.stdout.split() if w.endswith('.deb')]
    if not claim('make deb', said.returncode == 0 and len(debs) == 1, said.stdout[-3000:]):
        return None
    changes = [f for f in os.listdir(os.path.join(work, 'build', 'deb')) if f.endswith('.changes')]
    lint = run('lintian', '--allow-root', '--fail-on', 'error,warning', os.path.join(work, 'build', 'deb', changes[0]))
    claim('lintian: no error, no warning', lint.returncode == 0, lint.stdout)
    return debs[0]


# ---- in the container -----------------------------------------------------------------------------------

def show(name, unit='haspan.service'):
    return run('systemctl', 'show', '--value', '-p', name, unit).stdout.strip()


def main_pid():
    return int(show('MainPID') or 0)


def drop_in(text):
    os.makedirs('/etc/systemd/system/haspan.service.d', exist_ok=True)
    with open('/etc/systemd/system/haspan.service.d/test.conf', 'w') as file:
        file.write('[Service]\n' + text)
    run('systemctl', 'daemon-reload')


def status_of(pid):
    return dict(line.split(':\t', 1) for line in open('/proc/%d/status' % pid).read().splitlines() if ':\t' in line)


def journal():
    return run('journalctl', '--no-pager', '-o', 'cat', '-u', 'haspan').stdout


def send(port):
    lines = open(LOG, 'rb').read()
    with socket.create_connection(('127.0.0.1', port), timeout=10) as s:
        s.sendall(lines)
    return lines.count(b'\n')


def spans(path):
    with contextlib.suppress(FileNotFoundError):
        return len({(s['trace_id'], s['span_id']) for s in map(json.loads, open(path))})
    return 0


def installed(deb):
    said = run('dpkg', '-i', deb)
    claim('dpkg -i', said.returncode == 0, said.stdout)
    said = run('haspan', '--version')
    claim('haspan --version: ' + said.stdout.strip(), said.stdout.startswith('haspan '), said.stdout)
    said = run('systemd-analyze', 'verify', '--man=no', '/lib/systemd/system/haspan.service',
               '/usr/share/doc/haspan/examples/haspan.socket')
    claim('systemd-analyze verify', said.returncode == 0 and not said.stdout, said.stdout)
    said = run('runuser', '-u', 'haspan', '--', 'haspan', 'run', '--config', '/etc/haspan/haspan.conf', '-n')
    claim('the configuration that comes with it is right', said.returncode == 0 or 'in use' in said.stdout, said.stdout)


def started():
    until(lambda: show('ActiveState') == 'active')
    if not claim('it was started, and said that it is ready', show('ActiveState') == 'active' and
                 show('Type') == 'notify', show('ActiveState'), show('Result'), journal()):
        return False
    have = status_of(main_pid())
    claim('its user is haspan, in group adm', int(have['Uid'].split()[0]) == pwd.getpwnam('haspan').pw_uid and
          len(have['Groups'].split()) >= 1, have['Uid'], have['Groups'])
    claim('it has no capability, and takes on none', all(int(have['Cap' + c], 16) == 0 for c in
          ('Eff', 'Prm', 'Inh', 'Bnd', 'Amb')) and have['NoNewPrivs'] == '1', have)
    # systemd's filters are in force too: haspan's own is one more
    claim('system calls are filtered', have['Seccomp'] == '2', have['Seccomp'])
    state = os.stat('/var/lib/haspan')
    claim('/var/lib/haspan is its own', state.st_uid == pwd.getpwnam('haspan').pw_uid and not state.st_mode & 0o007)
    return True


def traced(out):
    send(5514)
    claim('lines by TCP arrive at a collector as spans', until(lambda: spans(out) == 36), spans(out), journal())
    claim('the spool is there', os.path.isdir('/var/lib/haspan/spool'))


def steered():
    pid = main_pid()
    said = run('systemctl', 'reload', 'haspan')
    claim('systemctl reload: the same process goes on', said.returncode == 0 and main_pid() == pid and
          until(lambda: show('ActiveState') == 'active'), said.stdout, journal())
    said = run('python3', '-c', '''
import socket
s = socket.socket(socket.AF_UNIX)
s.connect("/run/haspan/admin.sock")
s.sendall(b"show info\\n")
print(s.makefile().read())
''')
    claim('show info by /run/haspan/admin.sock', 'pid' in said.stdout.lower(), said.stdout)
    os.kill(pid, signal.SIGKILL)
    claim('kill -9: systemd starts it again', until(lambda: main_pid() not in (0, pid) and
          show('ActiveState') == 'active'), show('ActiveState'))


def watched():
    drop_in('WatchdogSec=2s\n')
    run('systemctl', 'restart', 'haspan')
    pid = main_pid()
    time.sleep(5)
    claim('the watchdog hears of it', main_pid() == pid and show('NRestarts') == '0', show('NRestarts'), journal())
    os.kill(pid, signal.SIGSTOP)
    claim('stopped dead: the watchdog starts it again', until(lambda: main_pid() not in (0, pid) and
          show('ActiveState') == 'active'), show('ActiveState'), journal())
    drop_in('')


def activated(out):
    run('systemctl', 'stop', 'haspan')
    text = open('/usr/share/doc/haspan/examples/haspan.socket').read()
    with open('/etc/systemd/system/haspan.socket', 'w') as file:
        file.write(text)
    run('systemctl', 'daemon-reload')
    said = run('systemctl', 'start', 'haspan.socket')
    claim('port 514 by haspan.socket, without a right to bind it', said.returncode == 0, said.stdout)
    before = spans(out)
    with open(out, 'w'):
        pass
    send(514)
    claim('the first connection starts haspan, which takes the socket', until(lambda: spans(out) == 36),
          before, spans(out), journal())
    pid = main_pid()
    run('systemctl', 'restart', 'haspan')
    claim('a restart keeps the socket', main_pid() not in (0, pid) and send(514) > 0)


def stopped():
    run('systemctl', 'stop', 'haspan.socket', 'haspan.service')
    claim('systemctl stop is no failure', show('ActiveState') == 'inactive' and show('Result') == 'success',
          show('ActiveState'), show('Result'), journal())
    with contextlib.suppress(FileNotFoundError):
        os.unlink('/etc/systemd/system/haspan.socket')
    shutil.rmtree('/etc/systemd/system/haspan.service.d', ignore_errors=True)
    said = run('dpkg', '--purge', 'haspan')
    left = [p for p in ('/etc/haspan', '/var/lib/haspan', '/usr/bin/haspan', '/lib/systemd/system/haspan.service')
            if os.path.exists(p)]
    claim('dpkg --purge leaves nothing', said.returncode == 0 and not left, said.stdout, left)


def inside():
    """All of it; the collector is up from the beginning."""
    out = '/run/spans'
    deb = [os.path.join('/run/package', f) for f in os.listdir('/run/package') if f.endswith('.deb')][0]
    collector = subprocess.Popen([sys.executable, os.path.join(ROOT, 'tests', 'collector.py'), '--port', '4318',
                                  '--out', out], stdout=subprocess.PIPE, text=True)
    collector.stdout.readline()
    try:
        installed(deb)
        if started():
            traced(out)
            steered()
            watched()
            activated(out)
        stopped()
    finally:
        collector.kill()
        collector.wait()


# ---- the container --------------------------------------------------------------------------------------

UNIT = """[Unit]
Description=tests/service.py in its container
After=basic.target
[Service]
Type=oneshot
ExecStart=-{python} {root}/tests/service.py --inside
ExecStopPost=-/bin/systemctl --no-block poweroff
StandardOutput=append:/run/report/text
StandardError=append:/run/report/text
"""


@contextlib.contextmanager
def overlay(work):
    """A folder that shows this machine's files; changes go to memory."""
    top = os.path.join(work, 'overlay')
    os.mkdir(top)
    subprocess.run(['mount', '-t', 'tmpfs', 'tmpfs', top], check=True)
    try:
        for name in ('up', 'work', 'root'):
            os.mkdir(os.path.join(top, name))
        subprocess.run(['mount', '-t', 'overlay', 'overlay', '-o', 'lowerdir=/,upperdir=%s/up,workdir=%s/work' %
                        (top, top), top + '/root'], check=True)
        try:
            yield top + '/root'
        finally:
            subprocess.run(['umount', top + '/root'])
    finally:
        subprocess.run(['umount', top])


def prepare(root):
    units = root + '/etc/systemd/system'
    os.makedirs(units + '/basic.target.wants', exist_ok=True)
    with open(units + '/haspan-test.service', 'w') as file:
        file.write(UNIT.format(root=ROOT, python=sys.executable))
    os.symlink(units[len(root):] + '/haspan-test.service', units + '/basic.target.wants/haspan-test.service')
    with contextlib.suppress(FileNotFoundError):
        os.unlink(root + '/usr/sbin/policy-rc.d')       # it would keep the package from starting the service
    for name in ('timers.target', 'systemd-resolved.service', 'network-online.target'):
        with contextlib.suppress(FileExistsError):
            os.symlink('/dev/null', units + '/' + name)


def boot(work, deb):
    report = os.path.join(work, 'report')
    os.mkdir(report)
    os.mkdir(os.path.join(work, 'package'))
    shutil.copy(deb, os.path.join(work, 'package'))
    with overlay(work) as root:
        prepare(root)
        words = ['systemd-nspawn', '-D', root, '-M', 'haspan-%d' % os.getpid(), '--register=no', '--keep-unit',
                 '--private-network', '--bind-ro=' + ROOT, '--bind=%s:/run/report' % report,
                 '--bind-ro=%s:/run/package' % os.path.join(work, 'package'), '--boot', 'systemd.unit=basic.target']
        with open(os.path.join(work, 'console'), 'wb') as console:
            box = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
            try:
                box.wait(BOOT_SECONDS)
            except subprocess.TimeoutExpired:
                box.terminate()
                box.wait(30)
    with contextlib.suppress(FileNotFoundError):
        return open(os.path.join(report, 'text')).read()
    return open(os.path.join(work, 'console'), errors='replace').read()


def can_boot():
    return os.geteuid() == 0 and shutil.which('systemd-nspawn') and \
        subprocess.run(['unshare', '--mount', '--pid', '--fork', '--net', 'true'], stderr=subprocess.DEVNULL).returncode == 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--no-boot', action='store_true')
    parser.add_argument('--inside', action='store_true')
    parser.add_argument('--deb', help='a package that is there already')
    args = parser.parse_args()
    os.chdir(ROOT)
    if args.inside:
        inside()
        print('inside: %(passed)d passed, %(failed)d failed' % counts)
        return 0
    skipped = 0
    with tempfile.TemporaryDirectory(prefix='haspan-service-') as work:
        unit_is_tight()
        install(work)
        deb = args.deb or package(work)
        if args.no_boot or not can_boot():
            skipped = 1
            print('SKIPPED: the package under systemd: no container can be had here')
        elif deb:
            said = boot(work, deb)
            print(said, end='')
            ended = re.search(r'^inside: (\d+) passed, (\d+) failed$', said, re.M)
            claim('the container ran to its end', ended)
            if ended:
                counts['passed'] += int(ended.group(1))
                counts['failed'] += int(ended.group(2))
    print('%d passed, %d failed' % (counts['passed'], counts['failed']) + (', %d skipped' % skipped if skipped else ''))
    return 1 if counts['failed'] else 0


if __name__ == '__main__':
    sys.exit(main())
