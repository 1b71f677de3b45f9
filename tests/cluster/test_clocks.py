"""Machines whose wall clock is wrong: clock_faults.c is preloaded into the nodes."""
import os
import struct
import subprocess
import time

from harness import BINARY, CALM, Cluster, check, until

SHIM = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(BINARY))), 'tests', 'libclock_faults.so')
DISK = ('--durability', 'disk')
DAY_S = 86400


class Clocks:
    """The nodes of a cluster, started anew with clocks that can be set."""

    def __init__(self, cluster):
        self.cluster = cluster
        for node in cluster.names:
            cluster.kill(node)
            self.set(node, 0)
        for node in cluster.names:
            self.start(node)
        cluster.leader('_catalog')

    def path(self, node):
        return os.path.join(self.cluster.dir, node + '.shift')

    def start(self, node):
        cluster = self.cluster
        env = {'LD_PRELOAD': SHIM, 'CAIRN_CLOCK_SHIFT': self.path(node),
               'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'}
        with open(os.path.join(cluster.dir, node + '.log'), 'ab') as log:
            process = subprocess.Popen(
                ['env', *(f'{key}={value}' for key, value in env.items()), BINARY, 'server', '--node', node, '--cluster',
                 cluster.file, '--allow-faults'], stderr=log)
        cluster.started.append(process)

    def set(self, node, ahead_s):
        """Written over, so that no moment has half of it."""
        with open(self.path(node), 'r+b' if os.path.exists(self.path(node)) else 'wb') as file:
            file.write(struct.pack('<q', ahead_s))


def lines(first, last):
    return b''.join(b'%d\n' % i for i in range(first, last + 1))


def lead(cluster, log, node):
    def leads():
        return cluster.leader(log) == node or cluster.cairn('member', 'transfer', node, '--log', log).status == 0
    until(f'{node} leads', leads)
    until(f'{node} is known to lead', lambda: cluster.leader(log) == node)


def clock_events(cluster, node, text):
    return [e for e in cluster.events('clock') if e['node'] == node and text in e['reason']]


def test_a_node_a_day_ahead_deletes_nothing_and_advances_nobody():
    with Cluster(3, *DISK, *CALM, '--clock-bound-ms', 2000) as cluster:
        clocks = Clocks(cluster)
        cluster.ok('log', 'create', 'L', '--policy', 'cp', '--retain-age', '1h')
        cluster.ok('append', 'L', stdin=lines(1, 1000))
        cluster.kill('n3')
        clocks.set('n3', DAY_S)
        clocks.start('n3')
        for node in ('n1', 'n2', 'n3'):
            until('the clock is named', lambda: clock_events(cluster, node, "n3's clock"))
        check(len(clock_events(cluster, 'n1', "n3's clock")) == 1)
        until('status shows it', lambda: cluster.status('L')['n3']['clock_ahead_ms'] > 86000000)
        check(b'clock +86400' in cluster.ok('status').out)
        lead(cluster, 'L', 'n3')
        cluster.ok('append', 'L', stdin=lines(1001, 1100))
        time.sleep(3)
        for node in cluster.names:
            check(cluster.read('L', node) == lines(1, 1100), node)
        lead(cluster, 'L', 'n1')
        cluster.ok('append', 'L', stdin=lines(1101, 1200))
        hlcs = [row['hlc'] for row in cluster.ok('read', 'L', '--json').rows()]
        check(hlcs == sorted(hlcs) and len(hlcs) == 1200 and hlcs[-1] < time.time_ns() + 3600 * 10**9)
        # What is that old goes in its time, by the word of a leader whose clock agrees.
        cluster.ok('log', 'set', 'L', '--retain-age', '1s')
        until('it is too old', lambda: all(row['first_lsn'] > 1000 for row in cluster.status('L').values()))
        check(cluster.read('L', 'n2', '--since', '0ms') == b'')


def test_clocks_that_jump_and_return_delete_nothing():
    with Cluster(3, *DISK, *CALM) as cluster:
        clocks = Clocks(cluster)
        cluster.ok('log', 'create', 'L', '--policy', 'cp', '--retain-age', '7d')
        cluster.ok('append', 'L', stdin=lines(1, 1000))
        for ahead_s in (10 * DAY_S, 3650 * DAY_S):
            for node in cluster.names:
                clocks.set(node, ahead_s)
            time.sleep(1.5)
            cluster.ok('append', 'L', stdin=b'while\n')
            for node in cluster.names:
                clocks.set(node, 0)
            time.sleep(0.5)
        for node in cluster.names:
            check(cluster.read('L', node) == lines(1, 1000) + b'while\nwhile\n', node)
            until('it is told', lambda: len(clock_events(cluster, node, 'was set by')) == 4)
        cluster.ok('append', 'L', stdin=lines(1, 5))
        last = cluster.ok('read', 'L', '--json').rows()[-1]
        check(abs(last['hlc'] - time.time_ns()) < 60 * 10**9, last)
        time.sleep(1.5)
        check(cluster.read('L', 'n1', '--since', '1s') == b'')
