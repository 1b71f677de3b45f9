"""A cluster of real processes for a test: `with Cluster() as c:`. Everything it starts it ends, also
when the test fails."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get('CAIRN_BINARY', os.path.join(ROOT, 'build', 'cairn'))
LIMIT_S = 60
# Timeouts that a busy machine's pauses do not reach, where a test is not about cuts: cp refuses while a majority is
# not heard.
CALM = ('--profile', 'wan')


class Failed(Exception):
    pass


class TooFew(Failed):
    """Nothing is wrong with what was seen, but it is too little to show anything."""


def is_sanitized():
    """Is the binary one of scripts/sanitize, which looks for leaks, and needs more of the machine than others?"""
    return b'__asan_init' in subprocess.run(['nm', '-D', BINARY], capture_output=True).stdout


def about_time(function):
    """Marks a test of how long things take, which a sanitizer distorts: it is left out there."""
    function.is_about_time = True
    return function


def check(condition, *what):
    if not condition:
        raise Failed(' '.join(str(w) for w in what) or 'check failed')


def is_gone(pid):
    """Every thread of it: the first may be dead while another still holds the node's files."""
    try:
        threads = os.listdir(f'/proc/{pid}/task')
        with open(f'/proc/{pid}/stat') as file:
            return len(threads) <= 1 and file.read().rpartition(')')[2].split()[0] == 'Z'
    except OSError:
        return True


def stop_process(pid):
    """SIGSTOP, and until no thread of it runs any more."""
    def is_stopped():
        states = []
        for thread in os.listdir(f'/proc/{pid}/task'):
            with open(f'/proc/{pid}/task/{thread}/stat') as file:
                states.append(file.read().rpartition(')')[2].split()[0])
        return all(state == 'T' for state in states)
    os.kill(pid, signal.SIGSTOP)
    until(f'{pid} is stopped', is_stopped)


class DiskWatch(threading.Thread):
    """How long this machine's disk has stood still, whoever's doing that is: a small write that takes longer than a fifth of a
    second tells. Disks of shared machines do so for ten seconds and more, and a node that writes waits for its disk."""
    USUAL_S = 0.2

    def __init__(self):
        super().__init__(daemon=True)
        self.stood_s, self.began = 0.0, None
        self.file = tempfile.TemporaryFile()

    def run(self):
        while True:
            self.began = time.monotonic()
            os.pwrite(self.file.fileno(), bytes(4096), 0)
            os.fdatasync(self.file.fileno())
            began, self.began = self.began, None
            self.stood_s += max(0.0, time.monotonic() - began - self.USUAL_S)
            time.sleep(0.1)

    def total_s(self):
        began = self.began
        return self.stood_s + (0.0 if began is None else max(0.0, time.monotonic() - began - self.USUAL_S))


def disk_stood_s(watches=[]):  # noqa: one for the process, from the first question on
    """So many seconds in all, since the first time that this was asked."""
    if not watches:
        watches.append(DiskWatch())
        watches[0].start()
    return watches[0].total_s()


def until(what, condition, limit_s=20):
    """Waits until condition() is true; returns what it gave. What the machine's disk stands still meanwhile is waited for three
    times: an election, a recovery are several writes in a row."""
    began, stood_s = time.monotonic(), disk_stood_s()
    while True:
        value = condition()
        if value:
            return value
        stands_s = disk_stood_s() - stood_s
        if time.monotonic() - began > limit_s + 3 * stands_s:
            raise Failed(f'still not so after {limit_s} s, and three times the {stands_s:.1f} s that the disk stood still: {what}')
        time.sleep(0.01)


class Result:
    def __init__(self, done):
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr

    def complaint(self):
        """The first answer that is a refusal or an unknown outcome, and how many there are."""
        lines = [l.decode(errors='replace') for l in self.out.splitlines() if l.startswith((b'refused', b'unknown', b'{"error'))]
        return f'{lines[0]} ({len(lines)} such answers)' if lines else ''

    def rows(self):
        return [json.loads(line) for line in self.out.splitlines() if line]


def run(*args, env=None, stdin=b'', limit_s=LIMIT_S, **more):
    done = subprocess.run([BINARY, *map(str, args)], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env={**os.environ, **(env or {})}, timeout=limit_s, **more)
    return Result(done)


def done(cairn, *args, **more):
    """The command's result, which must be 0. A log is asked for again, as its exit status 3 says, where the disk of this
    machine hangs for longer than the command waits: elections need one write of it."""
    result = cairn(*args, **more)
    for _ in range(3):
        if args[:2] != ('log', 'create') or result.status != 3 or b'its disk hangs' not in cairn('status').out:
            break
        result = cairn(*args, **more)
        if result.status == 1 and b'exists' in result.err:
            result.status = 0
    check(result.status == 0, args, 'ended with', result.status, result.err.decode(), result.complaint())
    return result


class Cluster:
    def __init__(self, nodes=3, *options):
        self.nodes, self.options = nodes, options
        self.names = [f'n{i + 1}' for i in range(nodes)]
        self.started = []

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix='cairn-test-')
        self.file = os.path.join(self.dir, 'cluster.yaml')
        try:
            memory = () if '--memory-mib' in self.options else ('--memory-mib', 512)
            result = run('dev', '--detach', '--dir', self.dir, '--nodes', self.nodes, '--allow-faults', *memory,
                         *self.options)
            check(result.status == 0 and b'ready' in result.out, 'dev did not start:', result.err.decode())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        subprocess.run([BINARY, 'dev', '--stop', '--dir', self.dir], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def cairn(self, *args, **more):
        return run(*args, env={'CAIRN_CLUSTER': self.file}, **more)

    def ok(self, *args, **more):
        return done(self.cairn, *args, **more)

    def start(self, *args, **more):
        """A command in the background."""
        process = subprocess.Popen([BINARY, *map(str, args)], env={**os.environ, 'CAIRN_CLUSTER': self.file}, **more)
        self.started.append(process)
        return process

    def pid(self, node):
        with open(os.path.join(self.dir, node + '.pid')) as file:
            return int(file.read())

    def kill(self, node):
        pid = self.pid(node)
        os.kill(pid, signal.SIGKILL)
        until(f'{node} is gone', lambda: is_gone(pid))

    def restart(self, node):
        with open(os.path.join(self.dir, node + '.log'), 'ab') as log:
            return self.start('server', '--node', node, '--cluster', self.file, '--allow-faults', stderr=log)

    def status(self, log):
        """Row by node, of the nodes that answer."""
        result = self.cairn('status', '--json')
        return {row['node']: row for row in result.rows() if row['log'] == log}

    def leader(self, log, among=None):
        def find():
            leaders = [row for row in self.status(log).values() if row['role'] == 'leader' and
                       (among is None or row['node'] in among)]
            return max(leaders, key=lambda row: row['term'])['node'] if leaders else None
        try:
            return until(f'{log} has a leader', find)
        except Failed as failed:
            raise Failed(f'{failed}: {self.said(log)}')

    def converged(self, log, nodes=None):
        """All (these) nodes hold the same committed trunk and no branch; returns the digest."""
        nodes = nodes or self.names

        def same():
            rows = self.status(log)
            if not all(n in rows and rows[n]['mode'] in ('CP', 'AP') and rows[n]['branch_entries'] == 0 and
                       rows[n]['role'] != 'recovering' for n in nodes):
                return None
            marks = {(rows[n]['commit_lsn'], rows[n]['last_lsn'], rows[n]['digest']) for n in nodes}
            return marks.pop() if len(marks) == 1 and all(
                rows[n]['commit_lsn'] == rows[n]['last_lsn'] for n in nodes) else None
        try:
            return until(f'{log} is the same on {nodes}', same)[2]
        except Failed as failed:
            raise Failed(f'{failed}: {self.said(log)}')

    def said(self, log):
        """What there is to know of a cluster that does not do as it should."""
        logs = {n: open(os.path.join(self.dir, n + '.log')).read()[-300:] for n in self.names}
        events = self.cairn('events', '--json').out.decode()[-4000:]
        return f'{json.dumps(self.status(log))}, logs {logs}, events {events}'

    def branch_with_copy(self, log, lines):
        """Of five nodes n4 and n5 are cut off together; n5 accepts the lines, n4 has a copy of them."""
        self.ok('log', 'create', log, '--policy', 'adaptive')
        self.ok('append', log, stdin=b'before\n')
        self.ok('fault', 'partition', 'n1,n2,n3|n4,n5')
        until('n4 and n5 accept alone', lambda: all(self.status(log)[n]['mode'] == 'AP' for n in ('n4', 'n5')))
        self.ok('append', log, '--via', 'n5', stdin=lines)
        until('n4 shows what n5 accepted',
              lambda: self.ok('read', log, '--via', 'n4', '--tentative').out == b'before\n' + lines)

    def read(self, log, node, *more):
        return self.ok('read', log, '--via', node, *more).out

    def events(self, event=None, since_ns=0):
        return [row for row in self.ok('events', '--json').rows()
                if (event is None or row['event'] == event) and row['t_ns'] >= since_ns]
