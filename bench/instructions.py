#!/usr/bin/env python3
"""How many instructions an append and a millisecond of rest cost the nodes, in a run that is the same each time.

    instructions.py [--binary FILE] [--json]           counts
    instructions.py --check                            exits 1 where a count is 3 % above what is pinned
    instructions.py --pin                              pins what it counts, in bench/instructions.json

Two scenarios of the simulator run under callgrind, which counts what nodes do in their turns (node_turn and all that it
calls) and nothing of the simulator: calm-rest, three nodes that nobody asks anything, and calm-appends, ten thousand
appends of 64 bytes to a majority in memory. An append costs, at all three nodes, what the second takes above the first's
share of its time; rest is heartbeats. The compiler is part of what is counted: Debian 12's, as scripts/build calls it.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PINNED = os.path.join(ROOT, 'bench', 'instructions.json')
APPENDS = 10000
NODES = 3
SHARE = 1.03


def counted_in(path):
    """Instructions in cairn's own code: the C library has other code for other processors."""
    lines = subprocess.run(['callgrind_annotate', '--threshold=100', path], stdout=subprocess.PIPE, text=True,
                           check=True).stdout.splitlines()
    rows = (re.match(r' *([\d,]+) \(.*%\)  .*cairn\]$', line) for line in lines)
    return sum(int(row.group(1).replace(',', '')) for row in rows if row)


def run(binary, scenario):
    """Instructions of all nodes' turns, and virtual milliseconds."""
    with tempfile.TemporaryDirectory(prefix='cairn-bench-') as directory:
        done = subprocess.run(['valgrind', '--tool=callgrind', '--toggle-collect=node_turn',
                               f'--callgrind-out-file={directory}/%p', binary, 'sim', '--scenario', scenario, '--json'],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f'instructions: {scenario} failed: {done.stderr[-500:]}')
        counts = [counted_in(os.path.join(directory, name)) for name in os.listdir(directory)]
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{')]
    return max(counts), rows[-1]['virtual_ms']


def measure(binary):
    rest, rest_ms = run(binary, 'calm-rest')
    busy, busy_ms = run(binary, 'calm-appends')
    return {'per_append': round((busy - rest * busy_ms / rest_ms) / APPENDS, 1),
            'per_ms_at_rest': round(rest / rest_ms / NODES, 1)}


def check(counted):
    with open(PINNED) as file:
        pinned = json.load(file)
    worse = [f'{key}: {counted[key]} instead of {pinned[key]}' for key in pinned if counted[key] > SHARE * pinned[key]]
    for line in worse:
        print(f'instructions: more than 3 % above what is pinned: {line} (what cost them? bench/instructions.py --pin '
              f'where it is worth them)', file=sys.stderr)
    return 1 if worse else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--binary', default=os.path.join(ROOT, 'build', 'cairn'))
    parser.add_argument('--json', action='store_true')
    parser.add_argument('--check', action='store_true')
    parser.add_argument('--pin', action='store_true')
    options = parser.parse_args()
    counted = measure(options.binary)
    if options.pin:
        with open(PINNED, 'w') as file:
            json.dump(counted, file)
            file.write('\n')
    if options.json:
        print(json.dumps(counted))
    else:
        print(f"instructions: {counted['per_append']} an append at three nodes, {counted['per_ms_at_rest']} a millisecond of rest and node")
    return check(counted) if options.check else 0


sys.exit(main())
