"""Random partitions of a real cluster, under load from clients at every node; after each heal the accounts.

CAIRN_SCHEDULES=N plays N schedules (default 6), CAIRN_SCHEDULE_SEED=S from that seed on.
"""
import collections
import itertools
import json
import os
import random
import subprocess
import threading
import time

from harness import Cluster, check, until

# A log's policy, and what else it is made with.
LOGS = {'bank': ['cp'], 'feed': ['adaptive'], 'likes': ['ap'], 'ledger': ['ca'], 'vault': ['ca', '--when-cut', 'cp']}
# Logs where a read is the most recent write or none, and how it is asked for; under ca by what the node itself holds.
CURRENT = {'bank': ('--level', 'linearizable'), 'ledger': (), 'vault': ()}
SHOWN = collections.Counter()
SCHEDULES = int(os.environ.get('CAIRN_SCHEDULES', 6))
SEED = int(os.environ.get('CAIRN_SCHEDULE_SEED', 1))


class Client:
    """Appends to a log by way of a node, a numbered line after the other, until it is told to stop."""
    serial = itertools.count()

    def __init__(self, cluster, log, node):
        self.log, self.name, self.stopping = log, f'{node}-{next(Client.serial)}', threading.Event()
        self.out = open(os.path.join(cluster.dir, f'{self.name}.out'), 'w+b')
        self.process = cluster.start('append', log, '--via', node, '--deadline-ms', 3000, '--json',
                                     stdin=subprocess.PIPE, stdout=self.out, stderr=subprocess.DEVNULL)
        self.feeder = threading.Thread(target=self.feed)
        self.feeder.start()

    def feed(self):
        number = 0
        try:
            while not self.stopping.wait(0.002):
                self.process.stdin.write(b'%s %d\n' % (self.name.encode(), number))
                self.process.stdin.flush()
                number += 1
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # it found no node when it began: then it was given nothing that counts

    def stop(self):
        """No more; every answer has to come."""
        self.stopping.set()
        self.feeder.join()
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            check(False, f'{self.name}: appends to {self.log} were not all answered 15 s after the last')
        self.out.seek(0)
        rows = [json.loads(line) for line in self.out.read().splitlines()]
        self.out.close()
        return rows


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


def check_current(choose, cluster, told):
    """What a log has just acknowledged, every read of it that is answered shows, at whatever node."""
    log, line = choose.choice(list(CURRENT)), b'current %d' % next(Client.serial)
    done = cluster.cairn('append', log, '--via', choose.choice(cluster.names), '--deadline-ms', 300, '--json',
                         stdin=line + b'\n')
    if done.status != 0:
        return
    lsn = done.rows()[0]['lsn']
    read = cluster.cairn('read', log, '--via', choose.choice(cluster.names), '--from', lsn, '--to', lsn, *CURRENT[log])
    SHOWN[log] += read.status == 0
    check(read.status != 0 or read.out == line + b'\n', told, f'{log}: a read does not show lsn', lsn, read.out)


def disturb(choose, cluster, crashes):
    told = []
    for _ in range(choose.randint(1, 4)):
        what = choose.random()
        if what < 0.7:
            told.append(cut(choose, cluster))
        elif what < 0.85 or not crashes:
            cluster.cairn('fault', 'heal')
            told.append('heal')
        else:
            node = choose.choice(cluster.names)
            told.append(f'kill {node}')
            cluster.kill(node)
            time.sleep(choose.uniform(0, 0.2))
            cluster.restart(node)
        time.sleep(choose.uniform(0.005, 0.25))
        check_current(choose, cluster, told)
    until('all links are healed', lambda: cluster.cairn('fault', 'heal').status == 0)
    return told


def account(log, policy, entries, given, told):
    """Nothing acknowledged is lost, nothing is there twice, no producer's entries out of order, nothing that was refused.

    A session whose entries are refused for its whole deadline, because what it wrote before is on the branch of a node
    that is down, goes on as another producer; order is each producer's."""
    places, last = collections.defaultdict(list), {}
    for entry in entries:
        name, number = entry['payload'].rsplit(' ', 1)
        places[name].append(int(number))
        before = last.get((name, entry['producer']), -1)
        check(int(number) > before, told, f'{log}: of {name}, {number} comes after {before}')
        last[name, entry['producer']] = int(number)
    for name, rows in given.items():
        there = set(places[name])
        check(len(there) == len(places[name]), told, f'{log}: entries of {name} are doubled')
        for number, row in enumerate(rows):
            if 'error' not in row:
                check(number in there, told, f'{log} ({policy}): {name} {number} was acknowledged and is lost', row)
            elif row['error'] != 'unknown':
                check(number not in there, told, f'{log}: {name} {number} was refused and is there', row)


def entries_of(cluster, log, node):
    """A busy machine may cut the node off once more meanwhile: then it refuses, and is asked again."""
    def read():
        done = cluster.cairn('read', log, '--via', node, '--json')
        check(done.status in (0, 3), done.status, done.err)
        return [done.rows()] if done.status == 0 else None
    return until(f'{node} serves {log}', read)[0]


def play(seeds, durability, crashes):
    with Cluster(3, '--durability', durability) as cluster:
        given = {log: {} for log in LOGS}
        for log, made in LOGS.items():
            cluster.ok('log', 'create', log, '--policy', *made)
        for seed in seeds:
            choose = random.Random(seed)
            clients = [Client(cluster, log, node) for log in LOGS for node in cluster.names
                       if LOGS[log][0] != 'ca' or choose.random() < 1 / 3]
            time.sleep(0.15)
            told = [seed] + disturb(choose, cluster, crashes)
            for client in clients:
                client.stopping.set()
            for client in clients:
                given[client.log][client.name] = client.stop()
            for log, (policy, *_) in LOGS.items():
                cluster.converged(log)
                account(log, policy, entries_of(cluster, log, choose.choice(cluster.names)), given[log], told)
        answered = sum(len(rows) for per_log in given.values() for rows in per_log.values())
        acked = sum('error' not in row for per_log in given.values() for rows in per_log.values() for row in rows)
        return answered, acked


def batches(first, count):
    for start in range(first, first + count, 20):
        yield range(start, min(start + 20, first + count))


def report(totals):
    print(f'      {SCHEDULES} schedules: {sum(t[0] for t in totals)} appends answered, {sum(t[1] for t in totals)} taken; '
          f'current reads answered: {dict(SHOWN)}')


def test_random_partitions_lose_and_double_nothing():
    report([play(seeds, 'memory', crashes=False) for seeds in batches(SEED, SCHEDULES)])


def test_random_partitions_and_crashes_lose_and_double_nothing_on_disk():
    report([play(seeds, 'disk', crashes=True) for seeds in batches(SEED + 100000, SCHEDULES)])
