#!/usr/bin/env python3
"""Completion in real shells: what a Tab offers behind a part of a command line. The binary is $HASPAN, or build/haspan.

bash is asked by the function that its Tab calls and once by a Tab itself; zsh by a Tab on a terminal; fish by its own
`complete -C`. A shell that is not installed is skipped.
"""
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

HASPAN = os.path.realpath(os.environ.get('HASPAN', 'build/haspan'))
passed = failed = 0


def claim(what, holds, seen=''):
    global passed, failed
    passed, failed = passed + bool(holds), failed + (not holds)
    if not holds:
        print('FAILED %s\n  > %s' % (what, str(seen)[:600]))


def out(*words, **kw):
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, **kw).stdout


def type_in(shell, setup, line, wanted, cwd):
    """Start `shell` on a terminal, send `setup`, then `line` and Tabs until `wanted` is on the screen; what was there."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.environ.update(PS1='> ', TERM='dumb', HISTFILE='/dev/null', PATH=os.path.dirname(HASPAN) + ':' + os.environ['PATH'])
        os.execvp(shell[0], shell)
    screen, end, sent = '', time.monotonic() + 20, 0
    os.write(fd, (setup + '\necho rea""dy\n').encode())
    while time.monotonic() < end and not (sent and re.search(wanted, screen)):
        if select.select([fd], [], [], 0.3)[0]:
            try:
                screen += os.read(fd, 65536).decode('utf-8', 'replace')
            except OSError:
                break
            if 'ready' in screen and not sent:
                screen, sent = '', 1
                os.write(fd, line.encode())
        elif sent and sent < 8:
            os.write(fd, b'\t')
            sent += 1
    os.close(fd)
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        pass
    os.waitpid(pid, 0)
    return screen


# What is typed, what must be offered, what must not.
CASES = [
    ('haspan --pha', ['--phases'], ['--pace']),
    ('haspan --s', ['--sampler', '--slowest', '--spool', '--strict'], ['--to']),
    ('haspan --phases ', ['auto', 'all', 'none'], ['a.log']),
    ('haspan --phases=a', ['auto', 'all'], ['none']),
    ('haspan --compression ', ['none', 'gzip'], []),
    ('haspan --sampler parentbased_always', ['parentbased_always_on', 'parentbased_always_off'], ['always_on']),
    ('haspan --to ', ['tree', 'stats', 'null', 'file:', 'http://'], []),
    ('haspan --by ', ['backend', 'route', 'none'], ['a.log']),
    ('haspan check --output j', ['json', 'junit'], ['sarif']),
    ('haspan check --rules a.', ['a.log'], []),
    ('haspan check --ba', ['--baseline', '--baseline-alpha'], []),
    ('haspan -t t', ['tree'], ['null']),
    ('haspan --rejects a.', ['a.log'], ['folder']),
    ('haspan --state fo', ['folder'], ['a.log']),
    ('haspan --format http', ['httplog', 'httpslog'], ['tcplog']),
    ('haspan --to null a.', ['a.log'], []),
    ('haspan ', ['run', 'check', 'doctor', 'explain', 'formats', 'a.log'], ['--to']),
    ('haspan doctor --', ['--fix', '--json'], ['--spool']),
    ('haspan completion ', ['bash', 'zsh', 'fish'], []),
    ('haspan check --', ['--from', '--format', '--capture-request', '--capture-response', '--rules'], ['--spool', '--fix']),
    ('haspan check --baseline a.', ['a.log'], []),
]


def descriptions(shell):
    """What stands beside an option says something, and does not end in the middle of it."""
    script = out(HASPAN, 'completion', shell)
    for name, beginning in (('by', 'stats: what requests are grouped by'), ('output', 'check: say what was found as people'),
                            ('to', 'write to tree, stats, http://HOST:4318'), ('limit', 'of tree: stop after N requests')):
        claim('%s: what stands beside --%s' % (shell, name), beginning in script.replace('\\', ''),
              [line for line in script.splitlines() if name in line])
    ends = re.findall(r"(?:-d '|\[)([^\n\]]*[a-z]) (?:a|an|the|of|or|and|to|by|as|in)(?:'\n|\])", script)
    claim('%s: no cut descriptions' % shell, ends == [], ends)


def bash(folder):
    script = out(HASPAN, 'completion', 'bash')
    names = re.findall(r'^OPTION\([A-Z_]+, "([a-z-]+)"', open('cli.def', encoding='utf-8').read(), re.M)

    def ask(line, breaks=' \t\n"\'><=;|&(:'):
        call = ('%s\nCOMP_LINE=$1 COMP_POINT=${#1} COMP_WORDBREAKS=$2\n_haspan\nprintf "%%s\\n" "${COMPREPLY[@]}"' % script)
        return out('bash', '--norc', '-c', call, '-', line, breaks, cwd=folder).splitlines()

    claim('bash: every option', set(ask('haspan --')) == {'--' + n for n in names}, ask('haspan --'))
    for line, there, absent in CASES:
        got = ask(line)
        claim('bash: %r' % line, set(there) <= set(got) and not set(absent) & set(got), got)
    claim('bash: a path behind file:', ask('haspan --to file:a.') == ['a.log'], ask('haspan --to file:a.'))
    claim('bash: ... where : ends no word', ask('haspan --to file:a.', ' \t\n=') == ['file:a.log'],
          ask('haspan --to file:a.', ' \t\n='))
    claim('bash: a name with a blank', ask('haspan b') == ['b c.log'], ask('haspan b'))
    screen = type_in(['bash', '--norc', '--noprofile', '-i'], 'source <(haspan completion bash)', 'haspan --compression gz', 'gzip', folder)
    claim('bash: a Tab', 'gzip' in screen, screen)
    screen = type_in(['bash', '--norc', '--noprofile', '-i'], 'source <(haspan completion bash)', 'haspan b', r'b\\ c\.log', folder)
    claim('bash: a Tab escapes a blank', 'b\\ c.log' in screen, screen)


def zsh(folder):
    with open(os.path.join(folder, '_haspan'), 'w', encoding='utf-8') as f:
        f.write(out(HASPAN, 'completion', 'zsh'))
    claim('zsh: it is valid', out('zsh', '-f', '-n', os.path.join(folder, '_haspan')) == '')
    descriptions('zsh')
    setup = 'fpath=(%s $fpath); autoload -Uz compinit; compinit -D -u; LISTMAX=500; bindkey "^I" complete-word; PS1="> "' % folder
    for line, wanted in (('haspan --pha', '--phases'), ('haspan --compression g', 'gzip'), ('haspan --to file:a.', r'file:a\.log'),
                         ('haspan --to nul', 'null'), ('haspan -t tre', 'tree'), ('haspan doct', 'doctor'), ('haspan --rejects a.', r'a\.log'),
                         ('haspan completion fi', 'fish'), ('haspan doctor --js', '--json'), ('haspan a.', r'a\.log')):
        screen = type_in(['zsh', '-f', '-i'], setup, line, wanted, folder)
        claim('zsh: %r' % line, re.search(wanted, screen), screen)


def fish(folder):
    script = os.path.join(folder, 'haspan.fish')
    with open(script, 'w', encoding='utf-8') as f:
        f.write(out(HASPAN, 'completion', 'fish'))
    env = dict(os.environ, HOME=folder, XDG_CONFIG_HOME=folder)
    claim('fish: it is valid', out('fish', '--no-config', '-n', script, env=env) == '')
    descriptions('fish')
    for line, there, absent in CASES:
        got = out('fish', '--no-config', '-c', 'source %s; complete -C "$argv"' % script, line, cwd=folder, env=env).splitlines()
        words = [w.split('\t')[0].split('=')[-1] if '=' in line else w.split('\t')[0].rstrip('/') if w.split('\t')[0] == 'folder/' else w.split('\t')[0] for w in got]
        claim('fish: %r' % line, set(there) <= set(words) and not set(absent) & set(words), words)


def main():
    claim('no such shell: exit code 2', subprocess.run([HASPAN, 'completion', 'csh'], capture_output=True, check=False).returncode == 2)
    with tempfile.TemporaryDirectory() as folder:
        for name in ('a.log', 'b c.log'):
            with open(os.path.join(folder, name), 'w', encoding='utf-8'):
                pass
        os.mkdir(os.path.join(folder, 'folder'))
        for shell in (bash, zsh, fish):
            if shutil.which(shell.__name__):
                shell(folder)
            else:
                print('   skipped: there is no %s' % shell.__name__)
    print('%d passed, %d failed' % (passed, failed))
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
