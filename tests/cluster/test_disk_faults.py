"""Nodes whose disk fails, writes short or takes long: disk_faults.c is preloaded into them."""
import os
import struct
import subprocess
import time

from harness import BINARY, Cluster, check, until

SHIM = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(BINARY))), 'tests', 'libdisk_faults.so')
ORDERS = ('fail_writes', 'short_writes', 'fail_reads', 'delay_us', 'met')


class Disks:
    """The nodes of a cluster, started anew on disks that can be told to fail."""

    def __init__(self, cluster, *options):
        self.cluster, self.options = cluster, options
        for node in cluster.names:
            cluster.kill(node)
        for node in cluster.names:
            with open(self.path(node), 'wb') as file:
                file.write(bytes(4 * len(ORDERS)))
            self.start(node)
        cluster.leader('_catalog')

    def path(self, node):
        return os.path.join(self.cluster.dir, node + '.orders')

    def start(self, node, shim=True):
        cluster, env = self.cluster, {}
        if shim:
            env = {'LD_PRELOAD': SHIM, 'CAIRN_DISK_FAULTS': self.path(node),
                   'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'}
        with open(os.path.join(cluster.dir, node + '.log'), 'ab') as log:
            process = subprocess.Popen(
                ['env', *(f'{key}={value}' for key, value in env.items()), BINARY, 'server', '--node', node, '--cluster',
                 cluster.file, '--allow-faults', *self.options], stderr=log)
        cluster.started.append(process)

    def order(self, node, what, value=1):
        with open(self.path(node), 'r+b') as file:
            file.seek(4 * ORDERS.index(what))
            file.write(struct.pack('<i', value))

    def met(self, node):
        with open(self.path(node), 'rb') as file:
            return struct.unpack('<5i', file.read())[4]


def disk_failed(cluster, node, log):
    return cluster.status(log).get(node, {}).get('disk_failed')


def a_failing_write(order, *options):
    with Cluster(3, '--durability', 'disk') as cluster:
        disks = Disks(cluster, *options)
        cluster.ok('log', 'create', 'f', '--policy', 'cp')
        cluster.ok('append', 'f', stdin=b''.join(b'before %d\n' % i for i in range(1000)))
        failing = cluster.leader('f')
        others = [node for node in cluster.names if node != failing]
        disks.order(failing, order)
        lines = [b'while %d ' % i + b'x' * 2000 for i in range(3000)]
        result = cluster.cairn('append', 'f', '--json', '--deadline-ms', 5000, stdin=b'\n'.join(lines) + b'\n')
        rows = result.rows()
        check(len(rows) == len(lines), 'an append was not answered:', len(rows), result.err)
        acked = {line: row['lsn'] for line, row in zip(lines, rows) if 'lsn' in row}
        until('the node says that its disk failed', lambda: disk_failed(cluster, failing, 'f'))
        check(disks.met(failing) > 0)
        check([e for e in cluster.events('disk_failed') if e['node'] == failing], 'no event')
        check(cluster.leader('f', others) in others)
        cluster.ok('append', 'f', stdin=b'after\n')
        # It goes on giving what it has.
        check(cluster.read('f', failing, '--level', 'stale').startswith(b'before 0\nbefore 1\n'), 'it does not read on')
        check(not any(disk_failed(cluster, node, 'f') for node in others))
        # With its disk whole again it must be started anew: nothing is written behind a write that failed.
        disks.order(failing, order, 0)
        time.sleep(0.1)
        check(disk_failed(cluster, failing, 'f'), 'it goes on as if nothing had happened')
        cluster.kill(failing)
        disks.start(failing, shim=False)
        until('it is back', lambda: failing in cluster.status('f'))
        cluster.converged('f')
        for node in cluster.names:
            at = {row['lsn']: row['payload'].encode() for row in cluster.ok('read', 'f', '--json', '--via', node).rows()}
            lost = [line for line, lsn in acked.items() if at.get(lsn) != line]
            check(not lost, node, len(lost), 'of', len(acked), 'acknowledged entries are lost')
            check(len(set(at.values())) == len(at), node, 'an entry stands twice')


def test_a_node_whose_write_fails_gives_up_and_loses_nothing():
    a_failing_write('fail_writes')


def test_a_node_whose_write_fails_gives_up_and_loses_nothing_without_io_uring():
    a_failing_write('fail_writes', '--no-uring')


def test_a_write_that_is_short_is_no_write():
    a_failing_write('short_writes')


def test_a_write_that_is_short_is_no_write_without_io_uring():
    a_failing_write('short_writes', '--no-uring')


def leader_outlasts(cluster, disks, slow, lines):
    """Appends while the disks that slow() names are slow; does the leader remain what it is?"""
    leader = cluster.leader('s')
    term = cluster.status('s')[leader]['term']
    nodes = slow(leader)
    for node in nodes:
        disks.order(node, 'delay_us', 50000)
    cluster.ok('append', 's', '--deadline-ms', 20000, stdin=b'\n'.join(lines) + b'\n')
    same = cluster.leader('s') == leader and cluster.status('s')[leader]['term'] == term
    for node in nodes:
        check(disks.met(node) > 0)
        disks.order(node, 'delay_us', 0)
    return same


def test_a_disk_that_takes_long_only_costs_time():
    with Cluster(3, '--durability', 'disk') as cluster:
        disks = Disks(cluster, '--no-uring')
        cluster.ok('log', 'create', 's', '--policy', 'cp')
        lines, appended = [b'%d' % i for i in range(200)], 0
        for slow in (lambda leader: [], lambda leader: cluster.names):
            # A machine that runs nobody for a timeout deposes a leader now and then; a worker that waits for its disk
            # deposes it every time.
            for _ in range(8):
                appended += 1
                if leader_outlasts(cluster, disks, slow, lines):
                    break
            else:
                check(False, 'its leader is deposed while disks are slow')
        cluster.converged('s')
        check(cluster.read('s', 'n2').split() == appended * lines)


def steps_aside(cluster, log, leader, event):
    """Another comes to lead, and both what ails the old one and that it stepped aside are told."""
    others = [node for node in cluster.names if node != leader]
    new = cluster.leader(log, others)
    # Its control thread makes files, too, and may be waiting for the same disk.
    until(f'{event} is told', lambda: [e for e in cluster.events(event) if e['node'] == leader], 30)
    told = [e['reason'] for e in cluster.events('steps_aside') if e['node'] == leader and e['log'] == log]
    check(told and 'disk' in told[-1], told)
    return new


def test_a_leader_whose_disk_hangs_lets_another_lead():
    with Cluster(3, '--durability', 'disk', '--profile', 'wan') as cluster:
        disks = Disks(cluster, '--no-uring')
        cluster.ok('log', 'create', 'h', '--policy', 'cp')
        cluster.ok('append', 'h', stdin=b''.join(b'before %d\n' % i for i in range(100)))
        leader = cluster.leader('h')
        disks.order(leader, 'delay_us', 8_000_000)
        started = time.monotonic()
        cluster.ok('append', 'h', '--deadline-ms', 20000, stdin=b'while it hangs\n')
        cluster.ok('append', 'h', '--deadline-ms', 5000, stdin=b'after\n')
        check(time.monotonic() - started < 7, 'it waited for the disk')
        disks.order(leader, 'delay_us', 0)
        new = steps_aside(cluster, 'h', leader, 'disk_hangs')
        until('its disk is well', lambda: [e for e in cluster.events('disk_steady') if e['node'] == leader], 30)
        check(cluster.leader('h') == new, 'leadership went to and fro')
        cluster.converged('h')
        check(cluster.read('h', leader).split(b'\n')[100:102] == [b'while it hangs', b'after'])


def test_a_leader_whose_disk_is_slow_lets_another_lead():
    with Cluster(3, '--durability', 'disk', '--profile', 'wan') as cluster:
        disks = Disks(cluster, '--no-uring')
        cluster.ok('log', 'create', 's', '--policy', 'cp')
        for i in range(50):
            cluster.ok('append', 's', stdin=b'before %d\n' % i)
        leader = cluster.leader('s')
        disks.order(leader, 'delay_us', 150_000)
        for i in range(20):
            cluster.ok('append', 's', '--deadline-ms', 20000, stdin=b'meanwhile %d\n' % i)
        steps_aside(cluster, 's', leader, 'disk_slow')
        disks.order(leader, 'delay_us', 0)
        cluster.converged('s')


def test_with_slow_disks_another_is_elected():
    with Cluster(3, '--durability', 'disk') as cluster:
        disks = Disks(cluster, '--no-uring')
        cluster.ok('log', 'create', 's', '--policy', 'cp')
        cluster.ok('append', 's', stdin=b'before\n')
        leader = cluster.leader('s')
        others = [node for node in cluster.names if node != leader]
        for node in others:
            disks.order(node, 'delay_us', 100000)
        cluster.kill(leader)
        cluster.leader('s', others)
        cluster.ok('append', 's', '--via', others[0], '--deadline-ms', 20000, stdin=b'after\n')
        check(all(disks.met(node) > 0 for node in others))
        check(cluster.read('s', others[0], '--level', 'linearizable').split() == [b'before', b'after'])


def test_what_a_node_cannot_read_others_give():
    with Cluster(3, '--durability', 'disk', '--memory-mib', 64) as cluster:
        disks = Disks(cluster)
        cluster.ok('log', 'create', 'r', '--policy', 'cp')
        payload = b''.join(b'%d %s\n' % (i, b'x' * 4000) for i in range(30000))
        cluster.ok('append', 'r', stdin=payload)
        cluster.converged('r')
        disks.order('n1', 'fail_reads')
        result = cluster.cairn('read', 'r', '--via', 'n1', '--level', 'stale')
        check(disks.met('n1') > 0, 'it was all in memory: the test shows nothing')
        check(result.status == 1 and b'another node' in result.err, result.status, result.err)
        check(payload.startswith(result.out), 'what is read before is not what was written')
        check([e for e in cluster.events('damaged') if e['node'] == 'n1'], 'no event')
        for node in ('n2', 'n3'):
            check(cluster.read('r', node) == payload, node)
        disks.order('n1', 'fail_reads', 0)
        # By then it may have started anew, which is how a node mends what it found damaged.
        until('it reads again', lambda: cluster.cairn('read', 'r', '--via', 'n1', '--level', 'stale').out == payload)
