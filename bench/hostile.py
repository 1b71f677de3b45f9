#!/usr/bin/env python3
"""What do hostile clients of a machine cost the others?

    bench/hostile.py [--seconds 10] [--runs 3] [--only KIND] [--profile shared] [--own-core] [--json FILE]

Three nodes of default settings; one client appends a line every two milliseconds to a log whose leader is n1, one administrator asks
n1 how it does fifty times a second. Meanwhile there is nobody else (`quiet`); a process that only spins (`busy`: what the
machine takes from everybody); or, on the same core as that, one of these at n1:

    reads-nothing   as many clients as one user may have, each with many requests, none of which takes an answer
    dies            clients that die at each step: connected, half a line, attached, half a request, a read under way
    connections     10,000 connections, kept open, and opened again where they are closed
    ring-changes    requests of any numbers whose bytes change while they are read, indices that lie, bells that are spoiled

--own-core: one node, whose worker spins on a core of its own, as on a machine that has one for each; all else is on another. What
clients cost each other is then what the node lets them, and not which of them the kernel gives the workers' cores.

As root they are another user's, whom the cluster file names as a client. A row each: the append's p50 and p99, and their ratios to
`busy`, the median over all runs; the administrator's p99 and worst; what hostile clients did. Exit status 1: an append is
refused, the administrator waits for more than 100 ms, or a node has ended.
"""
import argparse
import contextlib
import json
import os
import random
import resource
import select
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import types

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'cluster'))
from harness import BINARY, Failed, until
from raw_client import APPEND, PAGE, READ, RawClient, record
from test_clients import hostile_requests

CONNECTIONS = 10000
HOSTILE_UID = 65534
NODE = 'n1'
ADMINISTRATION_MAX_NS = 100000000


def attach(directory):
    return RawClient(types.SimpleNamespace(dir=directory), NODE)


def be_busy(directory):
    while True:
        yield


def read_nothing(directory):
    clients = []
    while True:
        with contextlib.suppress(OSError, Failed, ValueError):
            clients.append(attach(directory))
            log = clients[-1].number_of('k')
            for token in range(8):
                clients[-1].put(READ, log, flags=1, token=token, first=1, last=2 ** 63)
        for client in clients:
            if client.room() > 4096:
                client.put(APPEND, 0xffff, 1, token=9, body=record(b'x'))
            yield
        yield


def die(directory):
    path = os.path.join(directory, NODE + '.sock')
    draw = random.Random(1)
    while True:
        step = draw.randrange(6)
        with contextlib.suppress(OSError, Failed, ValueError), socket.socket(socket.AF_UNIX) as plain:
            if step < 2:
                plain.connect(path)
                plain.sendall(b'{"cmd":"sta' if step else b'')
            else:
                client = attach(directory)
                if step == 3:
                    client.put_bytes(bytes(24))
                if step > 3:
                    client.put(READ, client.number_of('k'), 4 if step == 4 else 0, 1, token=1, first=1, last=2 ** 63)
                client.close()
        yield


def connect_often(directory):
    resource.setrlimit(resource.RLIMIT_NOFILE, (CONNECTIONS + 100, CONNECTIONS + 100))
    path, held, ends = os.path.join(directory, NODE + '.sock'), [], select.epoll()
    while True:
        if len(held) < CONNECTIONS:
            sock = socket.socket(socket.AF_UNIX)
            sock.setblocking(False)
            held.append(sock)
            try:
                sock.connect(path)
                sock.send(b'{"cmd":')
                ends.register(sock, select.EPOLLRDHUP)
            except OSError:
                held.pop().close()  # there is no room even in the backlog: asked again at once
        else:
            closed = {fd for fd, _ in ends.poll(0)}
            for sock in [s for s in held if s.fileno() in closed]:
                sock.close()
                held.remove(sock)
        yield


def change_rings(directory):
    draw = random.Random(2)
    while True:
        with contextlib.suppress(OSError, Failed, ValueError), attach(directory) as client:
            log = client.number_of('k')
            for kind, numbers, body in hostile_requests(draw, log, 2000):
                if client.room() < 8192:
                    break
                client.put(kind, body=body, **numbers)
                for _ in range(4):
                    at = (struct.unpack_from('Q', client.memory, 64)[0] + 8 * draw.randrange(64)) % client.ring_bytes & ~7
                    client.memory[2 * PAGE + at:2 * PAGE + at + 8] = draw.randbytes(8)
                client.memory[128:136] = bytes(8)
                yield
            for index in (0, 64, PAGE, PAGE + 64):
                client.memory[index:index + 8] = draw.choice([bytes(8), b'\xff' * 8, draw.randbytes(8)])
        yield


KINDS = {'busy': be_busy, 'reads-nothing': read_nothing, 'dies': die, 'connections': connect_often, 'ring-changes': change_rings}


def be_hostile(kind, directory):
    """Until told to stop; then it says how many steps it has made."""
    steps, stopped = 0, []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    for _ in KINDS[kind](directory):
        steps += 1
        if stopped:
            break
    print(steps, flush=True)
    os._exit(0)


class Hostile:
    def __init__(self, kind, directory):
        self.process = None
        if kind == 'quiet':
            return
        core = max(os.sched_getaffinity(0))
        user = ['setpriv', f'--reuid={HOSTILE_UID}', f'--regid={HOSTILE_UID}', '--clear-groups'] if os.geteuid() == 0 else []
        if kind == 'connections':
            user = ['prlimit', f'--nofile={CONNECTIONS + 200}', *user]
        self.process = subprocess.Popen(['taskset', '-c', str(core), *user, sys.executable, os.path.abspath(__file__), '--as', kind, directory],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def stop(self):
        if self.process is None:
            return 0
        self.process.terminate()
        out, err = self.process.communicate(timeout=30)
        if self.process.returncode != 0 or not out:
            raise Failed('the hostile client failed: ' + err.decode()[-500:])
        return int(out)


class Administrator(threading.Thread):
    """A connection for each question, as a command has."""

    def __init__(self, path):
        super().__init__()
        self.path, self.waits, self.stopping = path, [], threading.Event()

    def run(self):
        while not self.stopping.wait(0.02):
            began = time.monotonic_ns()
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(10)
                answer = b''
                try:
                    self.connect(sock)
                    sock.sendall(b'{"cmd":"status"}\n')
                    while not answer.endswith(b'\n'):
                        got = sock.recv(65536)
                        if not got:
                            break
                        answer += got
                except OSError:
                    pass
            self.waits.append(time.monotonic_ns() - began if b'"ok":true' in answer else 10 ** 12)

    def connect(self, sock):
        """As commands do: where there is no room in the backlog, again in a millisecond."""
        end = time.monotonic() + 10
        while True:
            try:
                return sock.connect(self.path)
            except BlockingIOError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.001)

    def stop(self):
        self.stopping.set()
        self.join()
        return sorted(self.waits)


class Place:
    def __init__(self, profile):
        self.dir = tempfile.mkdtemp(prefix='cairn-hostile-')
        self.file, self.profile, self.nodes = os.path.join(self.dir, 'cluster.yaml'), profile, ('n1', 'n2', 'n3')

    def write(self):
        with open(self.file, 'w') as text:
            text.write(f'cluster: 5\ntransport: memif\nmemory_mib: 256\nprofile: {self.profile}\ndirectory: {self.dir}\n'
                       f'clients:\n  users: [{HOSTILE_UID}]\nnodes:\n' + ''.join(f'  - name: {node}\n' for node in self.nodes))

    def start(self):
        self.cairn('dev', '--detach', '--dir', self.dir)

    def __enter__(self):
        self.write()
        try:
            self.start()
            self.cairn('log', 'create', 'k', '--policy', 'cp', '--retain-bytes', '33554432')
            self.cairn('append', 'k', given=b''.join(b'%0500d\n' % i for i in range(2000)))
            until('n1 leads', self.leads)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        subprocess.run([BINARY, 'dev', '--stop', '--dir', self.dir], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.dir, ignore_errors=True)

    def cairn(self, *args, given=b''):
        done = subprocess.run([BINARY, *args], input=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                              env={**os.environ, 'CAIRN_CLUSTER': self.file})
        if done.returncode != 0:
            raise Failed(f'{args}: {done.stderr.decode()}')
        return done.stdout

    def leads(self):
        rows = [json.loads(line) for line in self.cairn('status', '--json').splitlines()]
        if any(row['log'] == 'k' and row['node'] == NODE and row['role'] == 'leader' for row in rows):
            return True
        with contextlib.suppress(Failed):
            self.cairn('member', 'transfer', NODE)
        return False

    def pids(self):
        return [open(os.path.join(self.dir, f'{node}.pid')).read() for node in self.nodes]

    def appends(self, seconds):
        """Latencies, sorted, and how many were refused."""
        process = subprocess.Popen([BINARY, 'append', 'k', '--via', NODE, '--json', '--cluster', self.file], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        rows = []
        reader = threading.Thread(target=lambda: rows.extend(json.loads(line) for line in process.stdout))
        reader.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            process.stdin.write(b'an honest line of sixty-four bytes, as many of them as there are.\n')
            process.stdin.flush()
            time.sleep(0.002)
        process.stdin.close()
        process.wait()
        reader.join()
        return sorted(row['latency_ns'] for row in rows if 'latency_ns' in row), sum('error' in row for row in rows)


class OwnCore(Place):
    def __init__(self, profile):
        super().__init__(profile)
        self.nodes, self.server = (NODE,), None

    def start(self):
        self.server = subprocess.Popen([BINARY, 'server', '--node', NODE, '--cluster', self.file, '--idle', 'spin'],
                                       stderr=subprocess.DEVNULL)
        until('it is a cluster', self.is_cluster)
        threads = f'/proc/{self.server.pid}/task'
        core, *others = sorted(os.sched_getaffinity(0))
        if not others:
            raise Failed('there is but one core')
        for thread in os.listdir(threads):
            with open(os.path.join(threads, thread, 'comm')) as name:
                os.sched_setaffinity(int(thread), {core} if name.read() == 'cairn-worker\n' else others)
        os.sched_setaffinity(0, others)

    def is_cluster(self):
        with contextlib.suppress(Failed):
            self.cairn('cluster', 'bootstrap')
            return True
        return False

    def __exit__(self, *_):
        if self.server is not None:
            self.server.terminate()
            self.server.wait()
        super().__exit__()


def quantile(values, share):
    return values[min(len(values) - 1, int(len(values) * share))]


def measure(place, kind, seconds):
    until('n1 leads', place.leads)
    pids = place.pids()
    hostile = Hostile(kind, place.dir)
    time.sleep(1)
    administrator = Administrator(os.path.join(place.dir, NODE + '.sock'))
    administrator.start()
    latencies, refused = place.appends(seconds)
    waits, steps = administrator.stop(), hostile.stop()
    if pids != place.pids() or any(not os.path.exists(f'/proc/{pid.strip()}') for pid in pids):
        raise Failed(f'{kind}: a node has ended')
    return {'p50_ns': quantile(latencies, 0.5), 'p99_ns': quantile(latencies, 0.99), 'samples': len(latencies), 'refused': refused,
            'administration_p99_ns': quantile(waits, 0.99), 'administration_max_ns': waits[-1], 'steps': steps}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=float, default=10)
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--only')
    parser.add_argument('--profile', default='shared')
    parser.add_argument('--own-core', action='store_true')
    parser.add_argument('--json')
    parser.add_argument('--as', nargs=2, dest='hostile', help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hostile:
        be_hostile(*options.hostile)
    kinds = ['quiet', *KINDS] if options.only is None else ['quiet', 'busy', options.only]
    runs, failed = {kind: [] for kind in kinds}, False
    with (OwnCore if options.own_core else Place)(options.profile) as place:
        for _ in range(options.runs):
            for kind in kinds:
                runs[kind].append(measure(place, kind, options.seconds))
    median = lambda kind, key: statistics.median(run[key] for run in runs[kind])
    rows = []
    for kind in kinds:
        row = {'clients': kind, **{key: median(kind, key) for key in ('p50_ns', 'p99_ns', 'administration_p99_ns', 'steps')},
               'ratio_p50': round(median(kind, 'p50_ns') / median('busy', 'p50_ns'), 2),
               'ratio_p99': round(median(kind, 'p99_ns') / median('busy', 'p99_ns'), 2),
               'administration_max_ns': max(run['administration_max_ns'] for run in runs[kind]),
               'samples': sum(run['samples'] for run in runs[kind]), 'refused': sum(run['refused'] for run in runs[kind])}
        failed |= row['refused'] > 0 or row['administration_max_ns'] > ADMINISTRATION_MAX_NS
        rows.append(row)
        print(json.dumps(row), flush=True)
    if options.json:
        with open(options.json, 'w') as file:
            file.writelines(json.dumps(row) + '\n' for row in rows)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
