"""Python packages with which tests read what haspan writes, in a virtual environment that is made when it is not there.

It lives in $HASPAN_CACHE/venv; HASPAN_CACHE is ~/.cache/haspan unless said.
"""
import fcntl
import importlib.util
import os
import subprocess
import sys

CACHE = os.environ.get('HASPAN_CACHE') or os.path.join(
    os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'), 'haspan')
VENV = os.path.join(CACHE, 'venv')


def has(python, module):
    return subprocess.run([python, '-c', 'import ' + module], stderr=subprocess.DEVNULL).returncode == 0


def need(*wanted):
    """need(MODULE, PACKAGE, …): go on when all modules can be imported; else run this script again with the Python that has
    them.

    A package is NAME==VERSION; another version will do where that one is not to be had."""
    pairs = list(zip(wanted[::2], wanted[1::2]))
    if all(importlib.util.find_spec(module.split('.')[0]) and has(sys.executable, module) for module, _ in pairs):
        return
    python = os.path.join(VENV, 'bin', 'python3')
    if os.path.realpath(sys.prefix) == os.path.realpath(VENV):
        sys.exit('%s: %s lacks one of %s' % (os.path.basename(sys.argv[0]), VENV, ', '.join(wanted[::2])))
    os.makedirs(CACHE, exist_ok=True)
    with open(os.path.join(CACHE, 'venv.lock'), 'w', encoding='utf-8') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(python):
            subprocess.run([sys.executable, '-m', 'venv', VENV], check=True)
        for module, package in pairs:
            if has(python, module):
                continue
            pip = [python, '-m', 'pip', 'install', '-q', '--disable-pip-version-check']
            if subprocess.run(pip + [package]).returncode and subprocess.run(pip + [package.split('=')[0]]).returncode:
                sys.exit('%s: cannot install %s into %s' % (os.path.basename(sys.argv[0]), package, VENV))
    os.execv(python, [python, os.path.abspath(sys.argv[0]), *sys.argv[1:]])
