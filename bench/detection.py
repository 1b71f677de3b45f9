#!/usr/bin/env python3
"""How long after a link goes down does a log change its mode?

    bench/detection.py [--cuts 200] [--profile shared|dedicated|wan] [--load] [--json FILE]

Three nodes in network namespaces (`cairn dev --transport netns`, as root); n3's link is taken down from outside, by an
ioctl on the bridge's port, and put up again. Measured from before the ioctl to the event's own time on n3, which loses
its majority. Beside it, on each core, a process sleeps until each next millisecond and notes how late it wakes: what the
machine adds to every timer. The bound is timeout + one interval + that, of each cut while it lasted.
"""
import argparse
import ctypes
import fcntl
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BINARY = os.environ.get('CAIRN_BINARY', os.path.join(ROOT, 'build', 'cairn'))
TIMING_MS = {'shared': (1, 10), 'dedicated': (0.05, 0.5), 'wan': (20, 200)}
CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def enter(namespace):
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f'/run/netns/{namespace}') as file:
        if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
            sys.exit(f'detection: {namespace}: {os.strerror(ctypes.get_errno())}')


def link(name, up):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack('16sH14x', name.encode(), 0)
        flags = struct.unpack('16sH14x', fcntl.ioctl(sock, SIOCGIFFLAGS, request))[1]
        flags = flags | IFF_UP if up else flags & ~IFF_UP
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack('16sH14x', name.encode(), flags))


TIMER = '''
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[2])})
while not os.path.exists(sys.argv[1]):
    due = (time.monotonic_ns() // 1000000 + 1) * 1000000
    time.sleep(max(0, due - time.monotonic_ns()) / 1e9)
    print(due, time.monotonic_ns() - due)
'''


class Timers:
    """A plain timer on each core: how late does this machine wake anybody?"""
    def __init__(self, stop):
        self.stop, self.late = stop, []  # of each tick: when it was due, and how late it came
        self.processes = [subprocess.Popen([sys.executable, '-c', TIMER, stop, str(core)], stdout=open(f'{stop}-{core}', 'wb'))
                          for core in os.sched_getaffinity(0)]

    def end(self):
        open(self.stop, 'w').close()
        for process in self.processes:
            process.wait()

    def read(self):
        for core in os.sched_getaffinity(0):
            with open(f'{self.stop}-{core}') as file:
                self.late += [tuple(map(int, line.split())) for line in file]

    def latest_ns(self, from_ns, to_ns):
        """How late was who was due then, at most?"""
        return max(late for due, late in self.late if due < to_ns and due + late > from_ns)


def quantile(values, hundredths):
    return sorted(values)[min(len(values) * hundredths // 100, len(values) - 1)]


class Dev:
    def __init__(self, profile):
        self.dir = tempfile.mkdtemp(prefix='cairn-detection-')
        self.env = dict(os.environ, CAIRN_CLUSTER=os.path.join(self.dir, 'cluster.yaml'))
        done = self.run('dev', '--detach', '--dir', self.dir, '--transport', 'netns', '--profile', profile,
                        '--memory-mib', '256', check=False)
        if done.returncode != 0:
            self.close()
            sys.exit(done.stderr.decode())

    def run(self, *arguments, check=True, **more):
        return subprocess.run([BINARY, *arguments], env=self.env, capture_output=True, check=check, **more)

    def rows(self, *arguments):
        return [json.loads(line) for line in self.run(*arguments, '--json').stdout.splitlines()]

    def mode(self):
        return next((r['mode'] for r in self.rows('status') if r['node'] == 'n3' and r['log'] == 'watched'), None)

    def all_hear(self):
        rows = [r for r in self.rows('status') if r['log'] == 'watched']
        return len(rows) == 3 and all(len(r['hears']) == 3 and r['mode'] == 'CP' for r in rows)

    def changed_ns(self, after_ns):
        return [r['t_ns'] for r in self.rows('events')
                if r['event'] == 'mode_changed' and r['node'] == 'n3' and r.get('log') == 'watched' and
                r['to'] == 'DENIED' and r['t_ns'] > after_ns]

    def close(self):
        subprocess.run([BINARY, 'dev', '--stop', '--dir', self.dir], capture_output=True)
        shutil.rmtree(self.dir, ignore_errors=True)


def wait(what, condition, limit_s=20):
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            sys.exit(f'detection: not in {limit_s} s: {what}')
        time.sleep(0.01)


def cut(dev, choose, quiet_s):
    wait('all hear each other', dev.all_hear)
    # Sometimes soon, sometimes when nodes have gone over to their resting pace.
    time.sleep(choose.uniform(0.01, 0.1) if choose.random() < 0.7 else choose.uniform(1.2, 1.6))
    before_ns = time.monotonic_ns()
    link('n3', False)
    after_ns = time.monotonic_ns()
    # Asking takes processes, which would be in the way of what is measured.
    time.sleep(quiet_s)
    wait('n3 denies', lambda: dev.mode() == 'DENIED')
    changed_ns = dev.changed_ns(before_ns)
    link('n3', True)
    # On a busy machine it may have been cut off already, by nobody: that is no measurement.
    return (before_ns, changed_ns[0], after_ns - before_ns) if changed_ns else cut(dev, choose, quiet_s)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--cuts', type=int, default=200)
    parser.add_argument('--profile', default='shared', choices=TIMING_MS)
    parser.add_argument('--load', action='store_true', help='appends go on meanwhile')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--json', help='a row here')
    options = parser.parse_args()
    interval_ms, timeout_ms = TIMING_MS[options.profile]
    choose = random.Random(options.seed)
    # Whatever ends this, the cluster goes with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('detection: ended'))
    dev = Dev(options.profile)
    load = timers = None
    try:
        dev.run('log', 'create', 'watched', '--policy', 'cp')
        enter('cairn-net')
        timers = Timers(os.path.join(dev.dir, 'stop'))
        if options.load:
            load = subprocess.Popen(f'while echo x; do sleep 0.001; done | "{BINARY}" append watched --via n1',
                                    shell=True, env=dev.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                    start_new_session=True)
        cuts = [cut(dev, choose, 3 * timeout_ms / 1000) for _ in range(options.cuts)]
        timers.end()
        timers.read()
    finally:
        if load is not None:
            os.killpg(load.pid, 15)
        if timers is not None:
            timers.end()
        dev.close()
    bound_ns = int((timeout_ms + interval_ms) * 1e6)
    took = [changed - before for before, changed, _ in cuts]
    late = [timers.latest_ns(before, changed) for before, changed, _ in cuts]
    row = {'cuts': options.cuts, 'profile': options.profile, 'load': options.load, 'bound_ns': bound_ns,
           'p50_ns': quantile(took, 50), 'p99_ns': quantile(took, 99), 'max_ns': max(took),
           # Of each cut, how late a timer was meanwhile, and what the cut took beyond that.
           'late_p50_ns': quantile(late, 50), 'late_p99_ns': quantile(late, 99), 'late_max_ns': max(late),
           'less_late_p99_ns': quantile([t - l for t, l in zip(took, late)], 99),
           'over': sum(t > bound_ns + l for t, l in zip(took, late)),
           'ioctl_p50_ns': quantile([ioctl for *_, ioctl in cuts], 50)}
    if options.json:
        with open(options.json, 'w') as file:
            file.write(json.dumps(row) + '\n')

    def ms(key):
        return f'{row[key] / 1e6:.2f}'
    print(f'{options.cuts} cuts, {options.profile}: p50 {ms("p50_ns")} ms, p99 {ms("p99_ns")} ms, max {ms("max_ns")} ms; timeout + '
          f'interval {timeout_ms + interval_ms} ms; meanwhile a timer was late by p50 {ms("late_p50_ns")}, p99 {ms("late_p99_ns")}, '
          f'max {ms("late_max_ns")} ms; {row["over"]} cuts took more than both')


if __name__ == '__main__':
    main()
