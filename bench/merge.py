#!/usr/bin/env python3
"""How long a large branch takes to the trunk, and whether each entry gets there once, also through kills.

    bench/merge.py [--entries 1000000] [--kill] [--durability disk|memory] [--dir DIR]

Three nodes; n3 is cut off and takes so many entries. Measured is from the heal until every node holds the same trunk
and no branch is left. With --kill the leader is killed (-9) when a tenth of the branch is on the trunk, and n3 when a
third is; both are started again at once. In the end each entry must stand on the trunk of every node once, in the order
in which n3 took them. Status 1: it does not, or the merge was over before both were killed.
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'cluster'))
from harness import BINARY, is_gone


class Dev:
    def __init__(self, parent, durability):
        self.dir = tempfile.mkdtemp(prefix='cairn-merge-', dir=parent)
        self.env = dict(os.environ, CAIRN_CLUSTER=os.path.join(self.dir, 'cluster.yaml'))
        self.started = []
        self.run('dev', '--detach', '--dir', self.dir, '--nodes', '3', '--durability', durability, '--memory-mib', '1024',
                 '--allow-faults')

    def run(self, *arguments):
        done = subprocess.run([BINARY, *arguments], env=self.env, stdout=subprocess.PIPE)
        if done.returncode != 0:
            sys.exit(f'merge: {arguments[0]} ended with {done.returncode}')
        return done.stdout

    def status(self):
        done = subprocess.run([BINARY, 'status', '--json'], env=self.env, capture_output=True)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        return {row['node']: row for row in rows if row['log'] == 'm'}

    def kill_and_start(self, node):
        with open(os.path.join(self.dir, node + '.pid')) as file:
            pid = int(file.read())
        os.kill(pid, signal.SIGKILL)
        while not is_gone(pid):
            time.sleep(0.005)
        with open(os.path.join(self.dir, node + '.log'), 'ab') as log:
            self.started.append(subprocess.Popen(
                [BINARY, 'server', '--node', node, '--cluster', self.env['CAIRN_CLUSTER'], '--allow-faults'],
                stdout=log, stderr=log))

    def close(self):
        subprocess.run([BINARY, 'dev', '--stop', '--dir', self.dir], env=self.env, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def settled(rows):
    return len(rows) == 3 and all(row['branch_entries'] == 0 and row['mode'] == 'CP' for row in rows.values()) and \
        len({(row['commit_lsn'], row['last_lsn'], row['digest']) for row in rows.values()}) == 1


def wait_merged(dev, entries, kill):
    """Seconds from the heal on; whom it killed."""
    killed, began = [], time.monotonic()
    dev.run('fault', 'heal')
    while True:
        rows = dev.status()
        left = rows.get('n3', {}).get('branch_entries')
        leader = next((node for node, row in rows.items() if row['role'] == 'leader'), None)
        if kill and not killed and left is not None and left < entries * 9 // 10 and leader not in (None, 'n3'):
            killed.append(leader)
            dev.kill_and_start(leader)
        elif kill and len(killed) == 1 and left is not None and 0 < left < entries * 2 // 3:
            killed.append('n3')
            dev.kill_and_start('n3')
        if settled(rows):
            return time.monotonic() - began, killed
        if time.monotonic() - began > 300:
            sys.exit(f'merge: not merged after 300 s: {rows}')
        time.sleep(0.005)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--entries', type=int, default=1000000)
    parser.add_argument('--kill', action='store_true')
    parser.add_argument('--durability', default='disk', choices=('disk', 'memory'))
    parser.add_argument('--dir', default=None)
    options = parser.parse_args()
    dev = Dev(options.dir, options.durability)
    try:
        dev.run('log', 'create', 'm', '--policy', 'adaptive')
        dev.run('fault', 'partition', 'n1,n2|n3')
        while dev.status().get('n3', {}).get('mode') != 'AP':
            time.sleep(0.01)
        lines = [b'%d' % i for i in range(options.entries)]
        path = os.path.join(dev.dir, 'input')
        with open(path, 'wb') as file:
            file.write(b'\n'.join(lines) + b'\n')
        dev.run('append', 'm', '--via', 'n3', '--file', path)
        before = dev.status()['n3']['branch_entries']
        seconds, killed = wait_merged(dev, options.entries, options.kill)
        whole = []
        for node in ('n1', 'n2', 'n3'):
            whole.append(dev.run('read', 'm', '--via', node).split(b'\n')[:-1] == lines)
        print(json.dumps({'entries': before, 'merge_s': round(seconds, 2), 'killed': killed,
                          'each_once_in_order': whole}))
        if not all(whole) or before != options.entries or len(killed) != (2 if options.kill else 0):
            sys.exit(1)
    finally:
        dev.close()


if __name__ == '__main__':
    main()
