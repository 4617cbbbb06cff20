#!/usr/bin/env python3
"""Significance tests of `haspan check --baseline` against scipy, on random numbers with and without ties.

    tests/compare.py [--driver FILE]        FILE: build/tests/infer_driver unless said

U, p and A12 of the Mann-Whitney test, the precedence test, Fisher's exact test and Holm's correction must be scipy's;
what the bins of a sketch blur must stay small; equal distributions must not be told apart more often than stated.
"""
import argparse
import math
import os
import random
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, 'tests'))
import packages                                                         # noqa: E402

packages.need('scipy.stats', 'scipy==1.17.1')
from scipy import stats                                                 # noqa: E402

ALPHA = 0.01                            # of compare_usual (report/compare.c)
passed = failed = 0


def claim(right, text, *what):
    global passed, failed
    if right:
        passed += 1
        print('   ' + text)
    else:
        failed += 1
        print('FAILED %s: %s' % (text, ' '.join(map(str, what))))


def ask(driver, questions):
    """The answers, each a list of numbers; None for `none`"""
    done = subprocess.run([driver], input='\n'.join(questions) + '\n', capture_output=True, text=True, timeout=300)
    if done.returncode:
        sys.exit('%s: exit %d %s' % (driver, done.returncode, done.stderr))
    lines = done.stdout.splitlines()
    if len(lines) != len(questions):
        sys.exit('%s: %d answers to %d questions' % (driver, len(lines), len(questions)))
    return [None if line == 'none' else [float(word) for word in line.split()] for line in lines]


def near(a, b, share=1e-9):
    return math.isclose(a, b, rel_tol=share, abs_tol=1e-290)


# ---------------------------------------------------------------- ranks

def milliseconds(rng, n, shift):
    """Whole milliseconds as microseconds, below 128 ms: each has a bin of its own"""
    kind = rng.randrange(4)
    draw = (lambda: rng.randrange(3), lambda: rng.randrange(120), lambda: int(rng.lognormvariate(2, 0.7)),
            lambda: rng.choice((1, 1, 1, 90)))[kind]
    return [1000 * min(draw() + shift, 127) for _ in range(n)]


def pairs(rng, count, numbers):
    for _ in range(count):
        n, m = rng.choice((1, 5, 20, 100, 1000)), rng.choice((1, 7, 20, 150, 2000))
        yield numbers(rng, n, 0), numbers(rng, m, rng.choice((0, 0, 1, 5)))


def question(old, now, what='ranks'):
    return ' '.join(map(str, [what, len(old), len(now), *old, *now]))


def theirs(old, now):
    r = stats.mannwhitneyu(now, old, alternative='greater', method='asymptotic', use_continuity=True)
    return float(r.statistic), float(r.statistic) / len(old) / len(now), float(r.pvalue)


def ranks_are_scipys(driver, rng):
    asked = list(pairs(rng, 298, milliseconds)) + [([5000] * 30, [5000] * 40), ([0], [0])]
    wrong, same, ties = [], 0, 0
    for (old, now), answer in zip(asked, ask(driver, [question(*pair) for pair in asked])):
        both = old + now
        ties += len(set(both)) < len(both)
        if answer is None:
            same += 1
            if len(set(both)) > 1:
                wrong.append((old, now))
        elif not all(near(a, b) for a, b in zip(answer, theirs(old, now))):
            wrong.append((answer, theirs(old, now)))
    claim(not wrong, "Mann-Whitney: U, A12 and p of 300 pairs, %d with ties and %d all the same, are scipy's" %
          (ties, same), len(wrong), wrong[:2])


def bins_blur_little(driver, rng):
    """Microseconds of any size: those closer to each other than 1 part in 64 may be ties"""
    worst = 0
    asked = []
    for _ in range(100):
        n, spread = rng.choice((20, 100, 1000)), rng.choice((0.3, 1, 2))
        asked.append([[int(rng.lognormvariate(9 + shift, spread)) for _ in range(n)]
                      for shift in (0, rng.choice((0, 0.1, 1)))])
    for (old, now), answer in zip(asked, ask(driver, [question(*pair) for pair in asked])):
        worst = max(worst, abs(answer[1] - theirs(old, now)[1]))
    claim(worst < 0.005, 'bins move A12 of 100 pairs of microseconds by at most %.4f' % worst, worst)


def precedence(old, now):
    """p of the precedence test at the 95th percentile, by its definition; None: nothing lies beyond"""
    rank = -(-len(old) * 95 // 100)
    limit = sorted(old)[rank - 1]
    beyond = sum(x > limit for x in now)
    ranks = max(len(old) - rank, sum(x > limit for x in old))
    if not beyond:
        return None
    return [float(stats.hypergeom.sf(beyond - 1, len(old) + len(now), ranks + beyond, len(now)))]


def precedence_is_exact(driver, rng):
    asked = list(pairs(rng, 300, milliseconds))
    wrong, none = [], 0
    for (old, now), answer in zip(asked, ask(driver, [question(*pair, 'beyond') for pair in asked])):
        expected = precedence(old, now)
        none += expected is None
        if (answer is None) != (expected is None) or (answer and not near(answer[0], expected[0], 1e-6)):
            wrong.append((answer, expected))
    claim(not wrong, 'precedence test: p of 300 pairs, %d with nothing beyond, is by its definition' % none,
          len(wrong), wrong[:3])


def false_alarms_are_rare(driver, rng):
    asked = []
    for _ in range(1000):
        numbers = rng.choice((lambda: int(rng.lognormvariate(3, 1)), lambda: rng.randrange(3),
                              lambda: rng.randrange(1000)))
        n, m = rng.choice((20, 50, 300)), rng.choice((20, 80, 300))
        asked.append(([1000 * numbers() for _ in range(n)], [1000 * numbers() for _ in range(m)]))
    # one in 10,000 runs would have more, if the level were as stated
    limit = stats.binom.ppf(0.9999, len(asked), ALPHA)
    for what, name in ('ranks', 'Mann-Whitney'), ('beyond', 'precedence'):
        answers = ask(driver, [question(*pair, what) for pair in asked])
        alarms = sum(answer is not None and answer[-1] < ALPHA for answer in answers)
        claim(alarms <= limit, '%s: %d alarms in 1,000 pairs of equal distributions, level %g' % (name, alarms, ALPHA),
              alarms, limit)


# ---------------------------------------------------------------- shares, and several tests at once

def fisher_is_scipys(driver, rng):
    tables = [(0, 20, 0, 20), (0, 1, 1, 1), (5, 5, 5, 5), (0, 10000, 30, 10000), (3, 10 ** 7, 9, 10 ** 7),
              (10 ** 6, 10 ** 7, 1003000, 10 ** 7), (20, 20, 0, 20), (900, 1000, 950, 1000)]
    for _ in range(300):
        n, m = rng.choice((1, 20, 1000, 100000)), rng.choice((1, 30, 2000))
        share = rng.random() ** 3
        tables.append((sum(rng.random() < share for _ in range(min(n, 2000))), n,
                       sum(rng.random() < share for _ in range(m)), m))
    wrong = []
    for (a, n, b, m), (p,) in zip(tables, ask(driver, ['fisher %d %d %d %d' % t for t in tables])):
        expected = float(stats.hypergeom.sf(b - 1, n + m, a + b, m)) if b else 1.0
        if not near(p, expected, 1e-6) and abs(p - expected) > 1e-12:
            wrong.append(((a, n, b, m), p, expected))
    claim(not wrong, "Fisher: p of %d tables, up to 10,000,000 requests, is scipy's" % len(tables),
          len(wrong), wrong[:3])


def holm_is_holms(driver, rng):
    asked = [[rng.random() ** rng.choice((1, 3, 20)) for _ in range(n)] for n in (1, 2, 3, 10, 500) for _ in range(10)]
    asked += [[0.01] * 4, [0.04, 0.01, 0.03, 0.02]]
    wrong = []
    for p, answer in zip(asked, ask(driver, [' '.join(['holm', str(len(p)), *map(repr, p)]) for p in asked])):
        order = sorted(range(len(p)), key=p.__getitem__)
        expected, least = [0] * len(p), 0
        for i, k in enumerate(order):
            least = max(least, min(1, p[k] * (len(p) - i)))
            expected[k] = least
        if not all(near(a, b) for a, b in zip(answer, expected)):
            wrong.append((p, answer, expected))
    claim(not wrong, "Holm: %d sets of up to 500 are corrected by his definition" % len(asked), wrong[:1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--driver', default='build/tests/infer_driver')
    driver = os.path.join(ROOT, parser.parse_args().driver)
    for test in (ranks_are_scipys, bins_blur_little, precedence_is_exact, false_alarms_are_rare, fisher_is_scipys,
                 holm_is_holms):
        test(driver, random.Random(test.__name__))
    print('%d passed, %d failed' % (passed, failed))
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
