"""Ports that are free, and stay so until whoever asked has bound them.

The kernel gives the ports from net.ipv4.ip_local_port_range to whoever connects; these lie below it, and every test that asks,
in whatever process, gets the next one.
"""

import fcntl
import os
import socket

FIRST, LAST = 12000, 31999
COUNTER = '/tmp/haspan-ports-%d' % os.getuid()


def is_free(port):
    for family, host in ((socket.AF_INET, '0.0.0.0'), (socket.AF_INET6, '::')):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            try:
                with socket.socket(family, kind) as s:
                    if family == socket.AF_INET6:
                        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    s.bind((host, port))
            except OSError as e:
                # without IPv6 nobody is there
                if not (family == socket.AF_INET6 and e.errno in (97, 99)):
                    return False
    return True


def free_port():
    with open(os.open(COUNTER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), 'r+', encoding='ascii') as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        text = f.read().strip()
        at = int(text) if text.isdigit() else FIRST + os.getpid() % (LAST - FIRST)
        for _ in range(LAST - FIRST + 1):
            at = at + 1 if FIRST <= at < LAST else FIRST
            if is_free(at):
                f.seek(0)
                f.truncate()
                f.write(str(at))
                return at
    raise OSError('no port is free')
