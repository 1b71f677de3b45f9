#!/usr/bin/env python3
"""Is one build slower than another? Alternating pairs on the same machine, so that what the machine does meets both.

    pairs.py OLD NEW [--pairs 15] [--seconds 2] [-- ARGUMENTS OF cairn bench]

Each pair runs `cairn bench latency` and `cairn bench throughput` once with either binary, the one that begins changing from pair
to pair. Says the median of each, the median of the differences in per cent (above 0: the new one is slower), and the interval
that holds the median of all such differences with 95 % (from the order of those seen: a sign test, which assumes no
distribution). Raw round trips of the same runs say how the machine was meanwhile.
"""
import argparse
import json
import math
import statistics
import subprocess
import sys


def measure(binary, what, seconds, more):
    done = subprocess.run([binary, 'bench', what, '--seconds', str(seconds), '--runs', '1', '--json', *more],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    row = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{')][-1]
    return {'p50_ns': row['p50_ns'], 'entries_per_s': row['entries_per_s'], 'raw_rtt_p50_ns': row['raw_rtt_p50_ns']}


def interval(values):
    """The narrowest pair of order statistics that holds the median with 95 % at least."""
    count, ordered = len(values), sorted(values)
    below = 0
    while below + 1 < count / 2 and 2 * sum(math.comb(count, k) for k in range(below + 2)) / 2 ** count <= 0.05:
        below += 1
    return ordered[below], ordered[count - 1 - below]


def tell(title, old, new, slower_is_more):
    differences = [100 * (b / a - 1) * (1 if slower_is_more else -1) for a, b in zip(old, new)]
    low, high = interval(differences)
    print(f'{title}: {statistics.median(old):.0f} and {statistics.median(new):.0f}; the new one is slower by '
          f'{statistics.median(differences):+.1f} % (95 %: {low:+.1f} to {high:+.1f}; {len(old)} pairs)', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('old')
    parser.add_argument('new')
    parser.add_argument('--pairs', type=int, default=15)
    parser.add_argument('--seconds', type=int, default=2)
    options, more = parser.parse_known_args()
    more = [argument for argument in more if argument != '--']
    for what, key, slower_is_more in (('latency', 'p50_ns', True), ('throughput', 'entries_per_s', False)):
        rows = {options.old: [], options.new: []}
        for pair in range(options.pairs):
            for binary in (options.old, options.new) if pair % 2 == 0 else (options.new, options.old):
                rows[binary].append(measure(binary, what, options.seconds, more))
        tell(f'{what}, {key}', *([row[key] for row in rows[b]] for b in (options.old, options.new)), slower_is_more)
        raw = [row['raw_rtt_p50_ns'] for b in rows for row in rows[b]]
        print(f'  raw round trips meanwhile: {min(raw)} to {max(raw)} ns, median {statistics.median(raw):.0f}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
