"""A default cluster on cores that others keep busy: it stays up, says how long it waits for peers and why, and is quick again
when the cores are quiet."""
import os
import random
import signal
import subprocess
import sys
import threading
import time

from harness import Cluster, about_time, check, until

LOOPS = 8
SECONDS = float(os.environ.get('CAIRN_BUSY_SECONDS', 20))
ELECTIONS_MAX = 3
STALL_S = 0.05
LOOP = 'while True: pass'


class Busy:
    """Loops that never sleep, beside whatever else runs on two cores."""

    def __enter__(self):
        cores = sorted(os.sched_getaffinity(0))[:2]
        self.loops = [subprocess.Popen([sys.executable, '-c', LOOP], preexec_fn=lambda: os.sched_setaffinity(0, cores))
                      for _ in range(LOOPS)]
        return self

    def __exit__(self, *_):
        for loop in self.loops:
            loop.kill()
            loop.wait()


class Load:
    """Somebody appends a line every 20 ms."""

    def __init__(self, cluster, log):
        self.process = cluster.start('append', log, '--json', '--deadline-ms', 5000, stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.given, self.stopped = 0, threading.Event()
        self.giver, self.rows = threading.Thread(target=self.give), []
        self.reader = threading.Thread(target=self.read)
        self.giver.start()
        self.reader.start()

    def give(self):
        while not self.stopped.wait(0.02):
            self.process.stdin.write(b'line %d\n' % self.given)
            self.process.stdin.flush()
            self.given += 1
        self.process.stdin.close()

    def read(self):
        self.rows = self.process.stdout.read().splitlines()

    def end(self):
        self.stopped.set()
        self.giver.join()
        self.process.wait(30)
        self.reader.join()
        return self.rows


class Stalls(Busy):
    """What hypervisors and other people's containers do: now this node gets no core for 50 ms, now that one, now all."""

    def __init__(self, pids):
        self.pids, self.stopped, self.thread = pids, threading.Event(), threading.Thread(target=self.run)

    def run(self):
        draw = random.Random(1)
        while not self.stopped.wait(draw.uniform(0.05, 0.3)):
            struck = self.pids if draw.randrange(4) == 0 else [draw.choice(self.pids)]
            for pid in struck:
                os.kill(pid, signal.SIGSTOP)
            time.sleep(STALL_S)
            for pid in struck:
                os.kill(pid, signal.SIGCONT)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()


def stays_up(cluster, trouble, for_s):
    """Under light load; returns the rows of status at the end."""
    cluster.ok('log', 'create', 'b', '--policy', 'cp')
    cluster.leader('b')
    load = Load(cluster, 'b')
    began_ns = time.monotonic_ns()
    with trouble:
        time.sleep(for_s)
        elections = [e for e in cluster.events('leader', began_ns) if e['log'] == 'b']
        shown = cluster.status('b')
    rows = load.end()
    told = '%d elections, %d of %d answered, %d of them no acknowledgement, timeouts %s' % (
        len(elections), len(rows), load.given, sum(b'"lsn"' not in row for row in rows),
        {n: (row.get('timeout_ms'), row.get('timeout_why')) for n, row in shown.items()})
    if 'CAIRN_BUSY_SECONDS' in os.environ:
        print(told, flush=True)
    check(len(elections) <= ELECTIONS_MAX, told)
    check(len(rows) == load.given, told)
    cluster.converged('b')
    return shown


@about_time
def test_a_default_cluster_stays_up_beside_busy_loops():
    with Cluster() as cluster:
        stays_up(cluster, Busy(), SECONDS)


@about_time
def test_a_default_cluster_stays_up_on_cores_that_stall_and_says_how():
    with Cluster() as cluster:
        shown = stays_up(cluster, Stalls([cluster.pid(n) for n in cluster.names]), SECONDS)
        for node, row in shown.items():
            check(row['agreed_timeout_ms'] == 10 and 50 < row['timeout_ms'] <= 500, node, row)
            # Of a stall of its own or a peer's, or of heartbeats that came late by one and what it held up: the longest.
            check('stall' in row['timeout_why'] or 'late' in row['timeout_why'], node, row)
        told = cluster.ok('status').out
        check(b'stall' in told or b'late' in told, told)
        # Nothing of it is for ever, and a cut is noticed all the same.
        cluster.ok('fault', 'partition', 'n1,n2|n3')
        until('n3 is alone', lambda: cluster.status('b')['n3']['mode'] == 'DENIED')
        cluster.ok('fault', 'heal')
        cluster.converged('b')
