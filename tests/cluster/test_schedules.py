"""Random partitions, stops and crashes of a real cluster, under load from clients at every node; after each heal the
accounts, by history.py.

CAIRN_SCHEDULES=N plays N schedules (default 6), CAIRN_SCHEDULE_SEED=S from that seed on; half of each batch on nodes of two
workers, or all on nodes of W with CAIRN_SCHEDULE_WORKERS=W.
"""
import collections
import os
import random
import signal
import time

import history
from harness import Cluster, check, until
from load import Client, append_one, empty_history, entries_of, has_recovered, read_current

# A log's policy, and what it does when cut off.
LOGS = {'bank': ('cp', None), 'feed': ('adaptive', None), 'likes': ('ap', None), 'ledger': ('ca', None), 'vault': ('ca', 'cp')}
# How a current read of it is asked for, and the append before it that it has to show.
CURRENT = {'bank': ('--level', 'linearizable'), 'feed': ('--level', 'linearizable'), 'likes': ('--level', 'linearizable'),
           'ledger': (), 'vault': ()}
ACKS = [None, None, None, 'local', 'majority', 'all']
SHOWN = collections.Counter()
SCHEDULES = int(os.environ.get('CAIRN_SCHEDULES', 6))
SEED = int(os.environ.get('CAIRN_SCHEDULE_SEED', 1))
WORKERS = os.environ.get('CAIRN_SCHEDULE_WORKERS')


def cut(choose, cluster):
    """One change of the network; what it was, for people. A node that is just starting anew takes no faults."""
    names = cluster.names
    kind = choose.choice(['whole', 'whole', 'all apart', 'one way', 'partial', 'lossy'])
    one, other = choose.sample(names, 2)
    rest = ','.join(n for n in names if n != one)
    if kind == 'whole':
        cluster.cairn('fault', 'partition', f'{rest}|{one}')
    elif kind == 'all apart':
        cluster.cairn('fault', 'partition', '|'.join(names))
    elif kind == 'one way':
        cluster.cairn('fault', 'link', f'{one}>{other}', 'drop=1')
    elif kind == 'partial':
        cluster.cairn('fault', 'link', f'{one}>{other}', 'drop=1')
        cluster.cairn('fault', 'link', f'{other}>{one}', 'drop=1')
    else:
        cluster.cairn('fault', 'link', f'{one}>{other}', 'drop=0.3', 'delay_us=300', 'dup=0.1', 'reorder=0.2')
    return f'{kind} {one} {other}'


def heal(cluster):
    until('all links are healed', lambda: cluster.cairn('fault', 'heal').status == 0)


class Schedule:
    """One seed's disturbances of a cluster, and what is lived through meanwhile."""

    def __init__(self, cluster, told, seed, durable):
        self.cluster, self.told, self.durable, self.choose = cluster, told, durable, random.Random(seed)
        self.turns = list(CURRENT)
        self.choose.shuffle(self.turns)
        self.acts = [f'seed {seed}']

    def stop(self):
        """It hangs, sockets open, for so long that the others may go on without it, or not."""
        node = self.choose.choice(self.cluster.names)
        pid = self.cluster.pid(node)
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(self.choose.uniform(0.005, 0.4))
        finally:
            os.kill(pid, signal.SIGCONT)
        return f'stop {node}'

    def crash(self):
        """With its disk at any time; with its memory alone when nobody else is without, as `memory` promises to survive."""
        node = self.choose.choice(self.cluster.names)
        if not self.durable:
            heal(self.cluster)
        self.cluster.kill(node)
        self.told['restarted'].append(node)
        if not self.durable:
            self.told['forgot'].append(node)
        time.sleep(self.choose.uniform(0, 0.2))
        self.cluster.restart(node)
        if not self.durable:
            until(f'{node} has recovered', lambda: has_recovered(self.cluster, node, ['_catalog', *LOGS]))
        return f'kill {node}'

    def look(self, log=None):
        """What a log has just acknowledged, every read of it that is answered shows, at whatever node. None: each in turn."""
        choose = self.choose
        if log is None:
            log = self.turns[0]
            self.turns.append(self.turns.pop(0))
        row = append_one(self.cluster, self.told, log, choose.choice(self.cluster.names), choose.choice(['majority', 'all', None]))
        if row is None or 'branch' in row or row['ack'] == 'local':
            return False
        shown = read_current(self.cluster, self.told, log, choose.choice(self.cluster.names), max(1, row['lsn'] - 20), None,
                             CURRENT[log])
        SHOWN[log] += shown
        return shown

    def disturb(self):
        for _ in range(self.choose.randint(1, 4)):
            what = self.choose.random()
            if what < 0.55:
                self.acts.append(cut(self.choose, self.cluster))
            elif what < 0.7:
                self.cluster.cairn('fault', 'heal')
                self.acts.append('heal')
            elif what < 0.85:
                self.acts.append(self.stop())
            else:
                self.acts.append(self.crash())
            time.sleep(self.choose.uniform(0.005, 0.25))
            self.look()
        heal(self.cluster)

    def play(self):
        choose, cluster = self.choose, self.cluster
        clients = [Client(cluster, log, node, choose.choice(ACKS)) for log in LOGS for node in cluster.names
                   if LOGS[log][0] != 'ca' or choose.random() < 1 / 3]
        time.sleep(0.15)
        self.disturb()
        for client in clients:
            client.stopping.set()
        self.told['appends'] += [client.stop() for client in clients]
        for log in LOGS:
            cluster.converged(log)
        # At peace, each log: a busy machine may cut one off for a moment.
        for log in LOGS:
            until(f'{log} is read in peace', lambda log=log: self.look(log))
        for log in LOGS:
            cluster.converged(log)
            self.told['logs'][log]['entries'] = entries_of(cluster, log, choose.choice(cluster.names))


def play(seeds, durability, workers):
    told = empty_history(LOGS)
    with Cluster(3, '--durability', durability, '--workers', workers) as cluster:
        for log, (policy, when_cut) in LOGS.items():
            cluster.ok('log', 'create', log, '--policy', policy, *(['--when-cut', when_cut] if when_cut else []))
        for seed in seeds:
            schedule = Schedule(cluster, told, seed, durability == 'disk')
            try:
                schedule.play()
                answers = history.judge(told)
            except Exception as error:
                error.args = (f'{error} ({durability}, {workers} workers: {", ".join(schedule.acts)})',)
                raise
    history.check_that_it_can_say_no(told)
    return answers


def batches(first, count):
    """Seeds, and how many workers they are played with."""
    for start in range(first, first + count, 20):
        end = min(start + 20, first + count)
        if WORKERS:
            yield range(start, end), WORKERS
        else:
            yield range(start, (start + end) // 2), '1'
            yield range((start + end) // 2, end), '2'


def report(totals):
    print(f'      {SCHEDULES} schedules: {sum(t[0] for t in totals)} appends answered, {sum(t[1] for t in totals)} taken; '
          f'current reads answered: {dict(SHOWN)}')


def test_random_partitions_and_crashes_in_memory_lose_and_double_nothing():
    report([play(seeds, 'memory', workers) for seeds, workers in batches(SEED, SCHEDULES) if seeds])


def test_random_partitions_and_crashes_lose_and_double_nothing_on_disk():
    report([play(seeds, 'disk', workers) for seeds, workers in batches(SEED + 100000, SCHEDULES) if seeds])
