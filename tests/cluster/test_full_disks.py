"""Nodes whose disks are full, killed and started again and again: a trim gets through all the same, and helps."""
import contextlib
import os
import subprocess
import tempfile
import time
import shutil

from harness import BINARY, Failed, check, run, until

LOGS = {'c': 'cp', 'a': 'ap', 'd': 'adaptive', 'l': 'ca'}
NODES = ('n1', 'n2', 'n3')
MIB = 100
# Of each entry, so many bytes; of each log in each round, so many entries.
ENTRY_BYTES, ENTRIES = 60000, 250


def unmount(place):
    until(f'{place} can be taken away',
          lambda: subprocess.run(['umount', place], stderr=subprocess.DEVNULL).returncode == 0)


class FullDisks:
    """Three nodes, each on a file system of its own."""
    def __init__(self, stack):
        self.stack, self.processes, self.lines, self.rounds = stack, {}, {log: {} for log in LOGS}, 0
        self.dir = tempfile.mkdtemp(prefix='cairn-full-')
        stack.callback(shutil.rmtree, self.dir, ignore_errors=True)
        self.env = {'CAIRN_CLUSTER': os.path.join(self.dir, 'cluster.yaml')}
        self.said = stack.enter_context(open(os.path.join(self.dir, 'said'), 'w+b'))

    def mount(self):
        for node in NODES:
            place = os.path.join(self.dir, node)
            os.mkdir(place)
            done = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={MIB}m,mode=700', 'none', place],
                                  stderr=subprocess.PIPE)
            if done.returncode != 0:
                print('  skipped: no tmpfs can be mounted here:', done.stderr.decode().strip())
                return False
            self.stack.callback(unmount, place)
        self.stack.callback(self.kill_all)
        return True

    def begin(self):
        started = run('dev', '--detach', '--dir', self.dir, '--nodes', 3, '--memory-mib', 128, '--durability', 'disk')
        self.stack.callback(run, 'dev', '--stop', '--dir', self.dir)
        check(started.status == 0, started.err)
        for log, policy in LOGS.items():
            self.ok('log', 'create', log, '--policy', policy)
        check(run('dev', '--stop', '--dir', self.dir).status == 0)
        for node in NODES:
            self.start(node)
        until('all have started', lambda: len(self.status('c')) == 3)

    def start(self, node):
        self.processes[node] = subprocess.Popen([BINARY, 'server', '--node', node, '--cluster', self.env['CAIRN_CLUSTER']],
                                                stderr=self.said)

    def kill(self, node):
        process = self.processes.pop(node, None)
        if process is not None:
            process.kill()
            process.wait()

    def kill_all(self):
        for node in list(self.processes):
            self.processes[node].kill()
        for node in list(self.processes):
            self.kill(node)

    def cairn(self, *args, **more):
        return run(*args, env=self.env, **more)

    def ok(self, *args, **more):
        result = self.cairn(*args, **more)
        check(result.status == 0, args, 'ended with', result.status, result.err.decode(), result.complaint())
        return result

    def status(self, log):
        return [row for row in self.cairn('status', '--json').rows() if row['log'] == log]

    def has_leaders(self):
        return all(any(row['role'] == 'leader' for row in self.status(log)) for log in LOGS)

    def used_kib(self, node):
        stat = os.statvfs(os.path.join(self.dir, node))
        return (stat.f_blocks - stat.f_bfree) * stat.f_frsize >> 10

    def fill(self):
        """Until everything is refused for want of space; keeps what was acknowledged."""
        for _ in range(2):
            self.rounds += 1
            for log in LOGS:
                lines = [b'%d %s %d %s' % (self.rounds, log.encode(), i, b'x' * ENTRY_BYTES) for i in range(ENTRIES)]
                result = self.cairn('append', log, '--json', '--deadline-ms', 3000, stdin=b'\n'.join(lines) + b'\n')
                for line, row in zip(lines, result.rows()):
                    if 'error' not in row:
                        self.lines[log][line] = row.get('lsn')
        check(all(row.get('error') == 'no_space' for row in result.rows()), result.complaint())
        check(any(self.lines.values()), {log: len(lines) for log, lines in self.lines.items()})

    def trim(self):
        """Each log but for its last few entries; returns where each begins then."""
        begins = {}
        for log in LOGS:
            begins[log] = max(row['commit_lsn'] for row in self.status(log)) - 5
            self.ok('log', 'trim', log, '--before', begins[log])
        return begins

    def until_it_goes_on(self):
        for log in LOGS:
            until(f'{log} takes entries again',
                  lambda: self.cairn('append', log, '--deadline-ms', 1000, stdin=b'again\n').status == 0)

    def read(self, log, node):
        """Payloads by lsn, as the node has them."""
        rows = self.ok('read', log, '--via', node, '--level', 'stale', '--json').rows()
        return {row['lsn']: row['payload'].encode() for row in rows}

    def check_lines(self, begins, before):
        """What was acknowledged is there once and alike on all nodes, or was there where it was trimmed."""
        for log in LOGS:
            until(f'{log} is the same everywhere', lambda: len({(row['digest'], row['last_lsn'], row['branch_entries'])
                                                               for row in self.status(log)}) == 1)
            until(f'{log} begins where it was told to', lambda: all(row['first_lsn'] == begins[log] for row in self.status(log)))
            there = self.read(log, 'n1')
            check(there == self.read(log, 'n2') == self.read(log, 'n3'), log, 'is not the same on all nodes')
            lines = [line for line in there.values() if line != b'again']
            check(len(set(lines)) == len(lines), log, 'has an entry twice')
            trimmed = {line for lsn, line in before[log].items() if lsn < begins[log]}
            lost = [lsn for line, lsn in self.lines[log].items() if line not in trimmed and line not in lines]
            check(not lost, log, 'has lost', lost)
            self.lines[log].clear()


@contextlib.contextmanager
def full_disks():
    """None where no file system can be mounted."""
    with contextlib.ExitStack() as stack:
        disks = FullDisks(stack)
        if os.geteuid() != 0:
            print('  skipped: only root can mount a tmpfs')
            yield None
            return
        if not disks.mount():
            yield None
            return
        try:
            disks.begin()
            disks.fill()
            yield disks
        except BaseException as error:
            disks.said.seek(0)
            events, status = disks.cairn('events').out.decode()[-3000:], disks.cairn('status').out.decode()
            held = {node: sorted(os.listdir(os.path.join(disks.dir, node))) for node in NODES}
            raise Failed(f'{error}; {held}; the nodes said:\n{disks.said.read().decode()[-3000:]}\n{status}\n{events}') \
                from error


def kill_and_start_all(disks):
    disks.kill_all()
    for node in NODES:
        disks.start(node)
    until('every log has a leader', disks.has_leaders)


def end_with_a_trim(disks):
    before = {log: {lsn: line for node in NODES for lsn, line in disks.read(log, node).items()} for log in LOGS}
    begins = disks.trim()
    until('space is free on every node', lambda: all(disks.used_kib(node) < MIB * 600 for node in NODES))
    disks.until_it_goes_on()
    disks.check_lines(begins, before)


def test_all_killed_on_full_disks_and_a_trim_helps():
    with full_disks() as disks:
        if disks is None:
            return
        for again in range(5):
            kill_and_start_all(disks)
        end_with_a_trim(disks)
        # Full and killed once more: what a start took of what is set aside is there again.
        disks.fill()
        kill_and_start_all(disks)
        end_with_a_trim(disks)


def test_killed_in_turn_on_full_disks_and_a_trim_helps():
    with full_disks() as disks:
        if disks is None:
            return
        for again in range(3):
            for node in NODES:
                disks.kill(node)
                disks.start(node)
                time.sleep(1)
        until('every log has a leader', disks.has_leaders)
        end_with_a_trim(disks)


def test_starts_on_a_full_disk_use_nothing_up():
    with full_disks() as disks:
        if disks is None:
            return
        used = []
        for again in range(14):
            kill_and_start_all(disks)
            used.append([disks.used_kib(node) for node in NODES])
            reserves = [os.path.getsize(os.path.join(disks.dir, node, 'reserve')) for node in NODES]
            check(min(reserves) >= 512 << 10, 'the reserve is used up', again, reserves)
        # While there is space for a whole file, a start leaves what it wrote; in none does it leave a file as it was made.
        check(all(last - first < 8 * 256 for last, first in zip(used[-1], used[5])), 'each start takes space', used)
        end_with_a_trim(disks)
