"""Clients under load for tests that disturb a cluster, and what they lived through, as history.py judges it."""
import itertools
import json
import os
import subprocess
import threading
import time

from harness import check, until

serial = itertools.count()


class Client:
    """Appends to a log by way of a node, a numbered line after the other, until it is told to stop."""

    def __init__(self, cluster, log, node, ack=None, every_s=0.002, deadline_ms=3000):
        self.log, self.ack, self.every_s = log, ack, every_s
        self.name, self.stopping, self.lines = f'{node}-{next(serial)}', threading.Event(), []
        self.out = open(os.path.join(cluster.dir, f'{self.name}.out'), 'w+b')
        self.began = time.monotonic()
        self.process = cluster.start('append', log, '--via', node, '--deadline-ms', deadline_ms, '--json',
                                     *(['--ack', ack] if ack else []), stdin=subprocess.PIPE, stdout=self.out,
                                     stderr=subprocess.DEVNULL)
        self.feeder = threading.Thread(target=self.feed)
        self.feeder.start()

    def feed(self):
        try:
            while not self.stopping.wait(self.every_s):
                line = f'{self.name} {len(self.lines)}'
                self.lines.append(line)
                self.process.stdin.write(line.encode() + b'\n')
                self.process.stdin.flush()
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # it found no node when it began: then it was given nothing that counts

    def stop(self, limit_s=15):
        """No more; every answer has to come. What it lived through."""
        self.stopping.set()
        self.feeder.join()
        try:
            status = self.process.wait(timeout=limit_s)
        except subprocess.TimeoutExpired:
            check(False, f'{self.name}: appends to {self.log} were not all answered {limit_s} s after the last')
        self.out.seek(0)
        rows = [json.loads(line) for line in self.out.read().splitlines()]
        self.out.close()
        return {'client': self.name, 'log': self.log, 'asked': self.ack, 'began': self.began, 'ended': time.monotonic(),
                'lines': self.lines, 'rows': rows, 'status': status}


def empty_history(logs):
    """logs: by name, what each was made with: its policy, and what is done when it is cut off."""
    return {'logs': {name: {'policy': policy, 'when_cut': when_cut, 'entries': []} for name, (policy, when_cut) in logs.items()},
            'appends': [], 'reads': [], 'forgot': [], 'restarted': []}


def append_one(cluster, history, log, via, ack=None, deadline_ms=300):
    """One line, as an append of its own; its row, or None where it is not acknowledged."""
    name, began = f'one-{next(serial)}', time.monotonic()
    line = f'{name} 0'
    done = cluster.cairn('append', log, '--via', via, '--deadline-ms', deadline_ms, '--json', *(['--ack', ack] if ack else []),
                         stdin=line.encode() + b'\n')
    rows = done.rows()
    history['appends'].append({'client': name, 'log': log, 'asked': ack, 'began': began, 'ended': time.monotonic(),
                               'lines': [line], 'rows': rows, 'status': done.status})
    return rows[0] if rows and 'error' not in rows[0] else None


def read_current(cluster, history, log, via, from_lsn, to_lsn=None, level=()):
    """A read that is the most recent write or refused; whether it was answered."""
    began = time.monotonic()
    done = cluster.cairn('read', log, '--via', via, '--from', from_lsn, *(['--to', to_lsn] if to_lsn else []), '--json', *level)
    history['reads'].append({'log': log, 'node': via, 'from': from_lsn, 'to': to_lsn, 'began': began,
                             'ended': time.monotonic(), 'status': done.status,
                             'entries': [{'lsn': row['lsn'], 'payload': row['payload']} for row in done.rows()]})
    return done.status == 0


def entries_of(cluster, log, node):
    """A busy machine may cut the node off once more meanwhile: then it refuses, and is asked again."""
    def read():
        done = cluster.cairn('read', log, '--via', node, '--json')
        check(done.status in (0, 3), done.status, done.err)
        return [done.rows()] if done.status == 0 else None
    return until(f'{node} serves {log}', read)[0]


def has_recovered(cluster, node, logs):
    rows = {row['log']: row for row in cluster.cairn('status', '--json').rows() if row['node'] == node}
    return all(log in rows and rows[log]['role'] != 'recovering' for log in logs)
