"""Nodes started by hand, as on machines of their own: each has its part of a directory, which can be taken away, kept aside,
put back."""
import os
import shutil
import signal
import subprocess
import tempfile

from harness import BINARY, Failed, done, is_gone, run, until

LINES = b''.join(b'line %d\n' % i for i in range(200))


class Machines:
    """Three nodes, a directory for all; each node's own part of it can be taken away, kept aside, put back."""

    def __init__(self, durability='disk', nodes=3):
        self.durability, self.names = durability, [f'n{i + 1}' for i in range(nodes)]
        self.running = {}

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix='cairn-test-')
        self.file = os.path.join(self.dir, 'cluster.yaml')
        self.number = int.from_bytes(os.urandom(4), 'little') | 1
        self.write_file(self.file)
        return self

    def __exit__(self, *_):
        for process in self.running.values():
            if process.poll() is None:
                process.kill()
            process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def write_file(self, path, names=None, memory_mib=128, number=None, more='', durability=None):
        with open(path, 'w') as file:
            file.write(f'cluster: {number or self.number}\ntransport: memif\nprofile: wan\nmemory_mib: {memory_mib}\n'
                       f'durability: {durability or self.durability}\n{more}directory: {self.dir}\nnodes:\n')
            file.writelines(f'  - name: {name}\n' for name in names or self.names)

    def own(self, node):
        return os.path.join(self.dir, node)

    def journal(self, node, worker=0):
        return os.path.join(self.own(node), f'w{worker}')

    def log(self, node):
        with open(os.path.join(self.dir, node + '.out'), 'rb') as file:
            return file.read().decode(errors='replace')

    def start(self, *nodes, file=None):
        for node in nodes or self.names:
            with open(os.path.join(self.dir, node + '.out'), 'ab') as out:
                self.running[node] = subprocess.Popen([BINARY, 'server', '--node', node, '--cluster', file or self.file],
                                                      stdout=out, stderr=out)
        return self

    def stop(self, *nodes, how=signal.SIGKILL):
        for node in nodes or self.names:
            self.running[node].send_signal(how)
        for node in nodes or self.names:
            pid = self.running[node].pid
            until(f'{node} is gone', lambda: self.running[node].poll() is not None or is_gone(pid))

    def ended(self, node):
        """What it said when it ended by itself, and its exit status."""
        status = until(f'{node} ends', lambda: self.running[node].poll() is not None and (self.running[node].poll(),))
        return status[0], self.log(node).splitlines()[-1]

    def wipe(self, node):
        shutil.rmtree(self.own(node))

    def cairn(self, *args, **more):
        return run(*args, '--cluster', self.file, **more)

    def ok(self, *args, **more):
        return done(self.cairn, *args, **more)

    def says(self, node, text):
        until(f'{node} says {text!r}', lambda: text in self.log(node))

    def found(self):
        until('all can be asked', lambda: self.cairn('status', '--json').status == 0)
        until('a cluster is founded', lambda: self.cairn('cluster', 'bootstrap').status == 0)
        return self

    def rows(self, log):
        return {row['node']: row for row in self.cairn('status', '--json').rows() if row['log'] == log}

    def serves(self, log='a', nodes=None):
        def well():
            rows = self.rows(log)
            return all(n in rows and rows[n]['role'] in ('leader', 'follower') for n in nodes or self.names) and \
                any(row['role'] == 'leader' for row in rows.values())
        try:
            until(f'{log} is served by all', well, 30)
        except Failed as failed:
            raise Failed(f'{failed}: {self.rows(log)} ' + ' '.join(self.log(n)[-300:] for n in self.names))

    def with_log(self):
        """Founded, with a log that holds LINES."""
        self.start().found()
        self.ok('log', 'create', 'a', '--policy', 'cp')
        self.serves()
        self.ok('append', 'a', stdin=LINES)
        return self

    def is_met(self, node, life):
        def met(other):
            rows = self.cairn('cluster', 'show', '--via', other, '--json').rows()
            return any(row['node'] == node and row['start'] == life for row in rows)
        for other in self.names:
            until(f'{other} has met life {life} of {node}', lambda: met(other))

    def is_missed(self, node):
        until(f'{node} is missed', lambda: all(node not in row['hears'] for row in self.rows('a').values()))

    def put_back(self, node, aside):
        """A directory of a former life takes the place of what the node has now, which the others know better."""
        self.stop(node)
        self.wipe(node)
        os.rename(aside, self.own(node))
        self.start(node)
        self.says(node, 'a life that others know of')
        self.serves()

    def holds(self, node, log='a'):
        return self.cairn('read', log, '--via', node, '--level', 'stale').out

    def hold_all(self):
        for node in self.names:
            until(f'{node} holds all', lambda: self.holds(node) == LINES)
