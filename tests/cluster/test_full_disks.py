"""Nodes whose disks are full, killed and started again and again: a trim gets through all the same, and helps."""
import contextlib
import os
import subprocess
import tempfile
import time
import shutil

from harness import BINARY, Failed, check, done, run, until

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

    def grow(self):
        for node in NODES:
            subprocess.run(['mount', '-o', f'remount,size={4 * MIB}m', os.path.join(self.dir, node)], check=True)

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
        self.processes[node] = subprocess.Popen([BINARY, 'server', '--node', node, '--cluster', self.env['CAIRN_CLUSTER'],
                                                 '--allow-faults'], stderr=self.said)

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
        return done(self.cairn, *args, **more)

    def status(self, log):
        return [row for row in self.cairn('status', '--json').rows() if row['log'] == log]

    def has_leaders(self):
        return all(any(row['role'] == 'leader' for row in self.status(log)) for log in LOGS)

    def used_kib(self, node):
        stat = os.statvfs(os.path.join(self.dir, node))
        return (stat.f_blocks - stat.f_bfree) * stat.f_frsize >> 10

    def append(self, log, *args, entries=ENTRIES, entry_bytes=ENTRY_BYTES):
        """Keeps what is acknowledged; returns what errors there were, None among them where something was."""
        self.rounds += 1
        lines = [b'%d %s %d %s' % (self.rounds, log.encode(), i, b'x' * entry_bytes) for i in range(entries)]
        rows = self.cairn('append', log, '--json', '--deadline-ms', 3000, *args, stdin=b'\n'.join(lines) + b'\n').rows()
        check(len(rows) == len(lines), len(rows), 'answers to', len(lines), 'lines')
        for line, row in zip(lines, rows):
            if 'error' not in row:
                self.lines[log][line] = row.get('lsn')
        return {row.get('error') for row in rows}

    def fill(self):
        """Until everything is refused for want of space."""
        until('everything is refused for want of space', lambda: [self.append(log) for log in LOGS][-1] == {'no_space'}, 60)
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
            # What is on disk alone goes by whole segments: docs/storage.md, Retention.
            firsts = [row['first_lsn'] for row in self.status(log)]
            check(1 < min(firsts) and max(firsts) <= begins[log], log, 'begins at', firsts, 'and not at', begins[log])
            reads = [self.read(log, node) for node in NODES]
            for lsn in range(max(firsts), max(reads[0]) + 1):
                check(len({read.get(lsn) for read in reads}) == 1, log, 'is not the same on all nodes at', lsn)
            there = reads[0]
            lines = [line for line in there.values() if line != b'again']
            check(len(set(lines)) == len(lines), log, 'has an entry twice')
            trimmed = {line for lsn, line in before[log].items() if lsn < begins[log]}
            lost = [lsn for line, lsn in self.lines[log].items() if line not in trimmed and line not in lines]
            check(not lost, log, 'has lost', lost)
            self.lines[log].clear()


@contextlib.contextmanager
def full_disks(fill=FullDisks.fill):
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
            fill(disks)
            yield disks
        except BaseException as error:
            disks.said.seek(0)
            events, status = disks.cairn('events').out.decode()[-3000:], disks.cairn('status').out.decode()
            status += '\n'.join(str({key: row.get(key) for key in ('node', 'log', 'first_lsn', 'commit_lsn', 'last_lsn')})
                                for log in LOGS for row in disks.status(log))
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
    # What is on disk alone goes by whole segments, and a file when nothing in it is wanted.
    until('space is free on every node', lambda: all(disks.used_kib(node) < MIB * 800 for node in NODES))
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
            reserves = [os.path.getsize(os.path.join(disks.dir, node, 'w0', 'reserve')) for node in NODES]
            check(min(reserves) >= 512 << 10, 'the reserve is used up', again, reserves)
        # While there is space for a whole file, a start leaves what it wrote; in none does it leave a file as it was made.
        check(all(last - first < 8 * 256 for last, first in zip(used[-1], used[5])), 'each start takes space', used)
        end_with_a_trim(disks)


def fill_with_branches(disks):
    """What the nodes acknowledged alone is more than all their disks have space for on the trunk."""
    for log in 'cdlcd':
        disks.append(log)
    disks.ok('fault', 'partition', 'n1|n2|n3')
    for node in NODES:
        disks.append('a', '--via', node, entries=5000, entry_bytes=200)
        # A branch is bounded by memory, too.
        until(f'{node} is full of what it acknowledged alone',
              lambda: disks.append('a', '--via', node) <= {'no_space', 'full'}, 60)
    disks.ok('fault', 'heal')


def test_full_of_what_was_acknowledged_alone_and_larger_disks_help():
    with full_disks(fill_with_branches) as disks:
        if disks is None:
            return
        for again in range(5):
            kill_and_start_all(disks)
        # What is agreed on goes on being agreed on.
        disks.ok('log', 'create', 'one-more', '--policy', 'cp')
        disks.grow()
        disks.until_it_goes_on()
        until('all is merged', lambda: all(row['branch_entries'] == 0 for row in disks.status('a')), 60)
        until('a is the same everywhere', lambda: len({(row['digest'], row['last_lsn']) for row in disks.status('a')}) == 1)
        there = [line for line in disks.read('a', 'n1').values() if line != b'again']
        check(len(set(there)) == len(there) and not set(disks.lines['a']) - set(there), 'a has lost or doubled entries')


def append_with_retention(disks):
    """Until each file of the journal has been written over as another a few times, while they are looked through."""
    disks.ok('log', 'set', 'c', '--retain-bytes', '4MiB')
    end = time.monotonic() + 15
    while time.monotonic() < end:
        check(None in disks.append('c'), 'everything is refused')


def test_a_file_that_is_used_again_is_no_damage():
    with full_disks(append_with_retention) as disks:
        if disks is None:
            return
        disks.said.seek(0)
        check(b'anew' not in disks.said.read(), 'a node started anew')
        damaged = [row for row in disks.ok('events', '--json').rows() if row['event'] == 'damaged']
        check(not damaged, damaged)
