"""Headers of spool records, whole and damaged, one file each. Checksums are not made here: a fuzzer finds none by chance,
so fuzz_spool.c writes records of its own around these bytes."""
import struct
import sys

header = b'\xffhs\x01' + struct.pack('<IIIQQQ', 3, 1, 0, 0, 1, 2)
mark = b'\xffhsmark\x01' + struct.pack('<QQQ', 1, 2, 3)
seeds = [header + b'abc', header[:20], b'x' * 30 + header + b'abc' + header, mark, b'\xff' * 100, b'', bytes(64)]
for n, seed in enumerate(seeds):
    for k in (b'\0\0', b'\x05\x03'):
        with open('%s/%d-%d' % (sys.argv[1], n, k[0]), 'wb') as f:
            f.write(k + seed)
