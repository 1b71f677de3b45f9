"""What operators do to a cluster under load: acts, and the round that one is played in.

An act is a function of a Round, marked with @act. It does its deed and undoes what has to be undone; whose memory it
takes it says by round.forgets(), one member at a time unless it is marked `beyond`: then what was acknowledged may be
lost, and what is asked of the cluster afterwards is a refusal that says so, or service.
"""
import contextlib
import os
import random
import shutil
import signal
import struct
import subprocess
import time

import history
from harness import BINARY, Cluster, check, is_gone, until
from load import Client, append_one, empty_history, entries_of, has_recovered, read_current
from test_disk_faults import ORDERS

LOGS = {'bank': ('cp', None), 'feed': ('adaptive', None), 'ledger': ('ca', 'cp')}
CURRENT = {'bank': ('--level', 'linearizable'), 'feed': ('--level', 'linearizable'), 'ledger': ()}
ACKS = [None, None, 'majority', 'all']
TESTS = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(BINARY))), 'tests')
DAY_S = 86400
ACTS = {}


def act(on=('memory', 'disk'), root=False, beyond=False, not_yet=''):
    """on: the durabilities that it is played with; root: only where this is root; not_yet: why it fails, played only
    where it is asked for by name."""
    def mark(function):
        function.on, function.root, function.beyond, function.not_yet = on, root, beyond, not_yet
        ACTS[function.__name__] = function
        return function
    return mark


class Round:
    """One act on a new cluster under load, and the accounts."""

    def __init__(self, cluster, deed, seed, durability):
        self.cluster, self.deed, self.durable = cluster, deed, durability == 'disk'
        self.choose, self.told, self.turns, self.undo = random.Random(seed), empty_history(LOGS), list(LOGS), []

    # What acts are made of.

    def a_node(self):
        return self.choose.choice(self.cluster.names)

    def others(self, node):
        return [name for name in self.cluster.names if name != node]

    def pause(self, least_s=0.02, most_s=0.3):
        time.sleep(self.choose.uniform(least_s, most_s))
        self.look()

    def forgets(self, node):
        if not self.durable:
            self.told['forgot'].append(node)

    def kill(self, node):
        self.cluster.kill(node)
        self.told['restarted'].append(node)
        self.forgets(node)

    def stop(self, node):
        """As a person does, or a machine that reboots."""
        pid = self.cluster.pid(node)
        os.kill(pid, signal.SIGTERM)
        until(f'{node} has stopped', lambda: is_gone(pid))
        self.told['restarted'].append(node)
        self.forgets(node)

    def start(self, node, env=None, *options):
        cluster = self.cluster
        with open(os.path.join(cluster.dir, node + '.log'), 'ab') as log:
            cluster.started.append(subprocess.Popen(
                [BINARY, 'server', '--node', node, '--cluster', cluster.file, '--allow-faults', *options],
                env={**os.environ, **(env or {})}, stderr=log))

    def is_well(self, node):
        return has_recovered(self.cluster, node, ['_catalog', *LOGS])

    def recovers(self, node, limit_s=30):
        until(f'{node} has recovered', lambda: self.is_well(node), limit_s)

    def restart(self, node, env=None, *options):
        self.start(node, env, *options)
        self.recovers(node)

    def look(self, log=None):
        """What a log has just acknowledged, a current read at any node shows, or is refused. None: each in turn."""
        if log is None:
            log = self.turns[0]
            self.turns.append(self.turns.pop(0))
        row = append_one(self.cluster, self.told, log, self.a_node(), 'majority')
        return row is not None and read_current(self.cluster, self.told, log, self.a_node(), max(1, row['lsn'] - 20), None,
                                                CURRENT[log])

    # The round.

    def settle(self):
        until('all links are whole', lambda: self.cluster.cairn('fault', 'heal').status == 0)
        for log in LOGS:
            self.cluster.converged(log)
        for log in LOGS:
            until(f'{log} is read', lambda log=log: self.look(log))
        for log in LOGS:
            self.cluster.converged(log)
            self.told['logs'][log]['entries'] = entries_of(self.cluster, log, self.a_node())

    def play(self):
        for log, (policy, when_cut) in LOGS.items():
            self.cluster.ok('log', 'create', log, '--policy', policy, *(['--when-cut', when_cut] if when_cut else []))
        clients = [Client(self.cluster, log, node, self.choose.choice(ACKS), 0.004) for log in LOGS
                   for node in self.cluster.names]
        try:
            time.sleep(0.2)
            self.look()
            self.deed(self)
            self.pause()
        finally:
            for undo in reversed(self.undo):
                undo()
            for client in clients:
                client.stopping.set()
        self.told['appends'] += [client.stop(30) for client in clients]
        if self.deed.beyond and not all(map(self.is_well, self.cluster.names)):
            return self.refuses()
        self.settle()
        answered, acked = history.judge(self.told)
        return {'answered': answered, 'acked': acked, 'reads': sum(read['status'] == 0 for read in self.told['reads'])}

    def refuses(self):
        """Beyond the promise nothing is invented: every log that is not well says what is missing."""
        for log in LOGS:
            done = self.cluster.cairn('append', log, '--json', '--deadline-ms', 500, stdin=b'after\n')
            check(done.status in (0, 3, 4), log, 'ended with', done.status, done.err)
        roles = {row['role'] for row in self.cluster.cairn('status', '--json').rows()}
        check('recovering' in roles, 'nothing says why it does not go on:', roles)
        return {'answered': 0, 'acked': 0, 'reads': 0, 'refused': True}


def play_round(seed, name, durability, workers):
    with Cluster(3, '--durability', durability, '--workers', workers) as cluster:
        return Round(cluster, ACTS[name], seed, durability).play()


def chosen_act(seed, names):
    """Which act a seed plays, and on what, and on how many workers: each in turn, so that a range has them all."""
    can = [(name, durability) for name in names for durability in ACTS[name].on
           if not ACTS[name].root or os.geteuid() == 0]
    return *can[seed % len(can)], 1 + (seed + seed // len(can)) % 2


# The acts.


@act()
def reboot(round):
    node = round.a_node()
    round.stop(node)
    round.pause(0, 0.5)
    round.restart(node)


@act()
def power_cut(round):
    node = round.a_node()
    round.kill(node)
    round.pause(0, 0.5)
    round.restart(node)


@act(on=('disk',))
def power_cut_of_two(round):
    nodes = round.others(round.a_node())
    for node in nodes:
        round.kill(node)
    time.sleep(round.choose.uniform(0, 0.3))
    for node in nodes:
        round.start(node)
    for node in nodes:
        round.recovers(node)


@act()
def rolling_restart(round):
    """The next one when the former has recovered."""
    nodes = round.cluster.names[:]
    round.choose.shuffle(nodes)
    for node in nodes:
        round.stop(node)
        round.restart(node)
        round.look()


@act(on=('disk',))
def restart_too_early_on_disk(round):
    for node in round.cluster.names:
        round.stop(node)
        round.start(node)
    for node in round.cluster.names:
        round.recovers(node)


@act(on=('memory',), beyond=True, not_yet='what was under way when two forgot is not answered by its deadline')
def restart_too_early(round):
    """The next one while the former may not have recovered: two of three may have forgotten at once."""
    for node in round.cluster.names[:2]:
        round.kill(node)
        round.start(node)
    time.sleep(2)


@act()
def start_again_and_again(round):
    """It dies while it starts, some times."""
    node = round.a_node()
    round.kill(node)
    for _ in range(round.choose.randint(1, 4)):
        old = round.cluster.pid(node)
        round.start(node)
        process = round.cluster.started[-1]
        time.sleep(round.choose.uniform(0, 0.3))
        process.kill()
        process.wait()
        check(old != process.pid)
    round.restart(node)


@act()
def hang(round):
    pid = round.cluster.pid(round.choose.choice([round.a_node(), round.cluster.leader('bank')]))
    round.undo.append(lambda: os.kill(pid, signal.SIGCONT))
    os.kill(pid, signal.SIGSTOP)
    time.sleep(round.choose.choice([0.02, 0.1, 0.5, 2]))
    os.kill(pid, signal.SIGCONT)


@act()
def cut_off(round):
    node = round.a_node()
    round.cluster.cairn('fault', 'partition', f'{",".join(round.others(node))}|{node}')
    for _ in range(3):
        round.pause()
    until('it is healed', lambda: round.cluster.cairn('fault', 'heal').status == 0)


@act()
def hand_over(round):
    for _ in range(3):
        round.cluster.cairn('member', 'transfer', round.a_node())
        round.pause()


@act()
def member_removed_and_added(round):
    node = round.a_node()
    for log in LOGS:
        until(f'{node} is removed', lambda: round.cluster.cairn('member', 'remove', node, '--log', log).status == 0)
    round.pause()
    for log in LOGS:
        until(f'{node} is added', lambda: round.cluster.cairn('member', 'add', node, '--log', log).status == 0)
    until('it votes', lambda: all(node in round.cluster.status(log).get(node, {}).get('voters', []) for log in LOGS))


@act()
def file_edited(round):
    """In what means nothing: a comment. One node after the other is started with it."""
    with open(round.cluster.file, 'a') as file:
        file.write('# looked at by a person\n')
    rolling_restart(round)


def home(round, node):
    return os.path.join(round.cluster.dir, node)


@act()
def reboot_without_its_directory(round):
    """/run is a tmpfs, or the disk was replaced: it comes back with nothing."""
    node = round.a_node()
    round.choose.choice([round.stop, round.kill])(node)
    shutil.rmtree(home(round, node), ignore_errors=True)
    round.told['forgot'].append(node)
    round.pause(0, 0.3)
    round.restart(node)


@act()
def rolling_reboot_without_directories(round):
    """The same of all, the next one when the former has recovered."""
    for node in round.cluster.names:
        round.stop(node)
        shutil.rmtree(home(round, node), ignore_errors=True)
        round.told['forgot'].append(node)
        round.restart(node)
        round.look()


@act(on=('disk',))
def volume_missing_once(round):
    """It lives a life without its disk, which is there again at the next start."""
    node = round.a_node()
    round.stop(node)
    shutil.move(home(round, node), home(round, node) + '.volume')
    round.told['forgot'].append(node)
    round.restart(node)
    round.pause()
    round.stop(node)
    shutil.rmtree(home(round, node))
    shutil.move(home(round, node) + '.volume', home(round, node))
    round.restart(node)


@act(on=('disk',))
def old_copy_put_back(round):
    """Of its directory, after it has acknowledged more."""
    node = round.a_node()
    round.stop(node)
    shutil.copytree(home(round, node), home(round, node) + '.old')
    round.restart(node)
    round.pause(0.2, 0.6)
    round.choose.choice([round.stop, round.kill])(node)
    shutil.rmtree(home(round, node))
    shutil.move(home(round, node) + '.old', home(round, node))
    round.told['forgot'].append(node)
    round.restart(node)


@act()
def member_replaced(round):
    """What it held counts no more, whether its directory is there or not."""
    node = round.a_node()
    round.kill(node)
    if round.choose.random() < 0.5:
        shutil.rmtree(home(round, node), ignore_errors=True)
    round.told['forgot'].append(node)
    until(f'{node} is replaced', lambda: round.cluster.cairn('member', 'replace', node).status == 0)
    round.pause(0, 0.3)
    round.restart(node)


def with_one_more(round, node):
    path = f'{round.cluster.file}.{node}'
    with open(round.cluster.file) as file, open(path, 'w') as more:
        more.write(file.read().rstrip('\n') + f'\n  - name: {node}\n')
    return path


@act()
def node_added_and_removed(round):
    """A fourth comes, votes, and goes or stays."""
    path = with_one_more(round, 'n4')
    log = open(os.path.join(round.cluster.dir, 'n4.log'), 'ab')
    with log:
        fourth = subprocess.Popen([BINARY, 'server', '--node', 'n4', '--cluster', path, '--allow-faults'], stderr=log)
    round.cluster.started.append(fourth)
    if round.choose.random() < 0.5:
        round.pause()
    until('n4 is added', lambda: round.cluster.cairn('cluster', 'add', 'n4').status == 0)
    until('n4 is a member', lambda: round.cluster.cairn('member', 'add', 'n4').status == 0, 40)
    round.pause()
    if round.choose.random() < 0.3:
        round.cluster.cairn('member', 'transfer', 'n4')
    round.pause()
    until('n4 is no member', lambda: round.cluster.cairn('member', 'remove', 'n4').status == 0, 40)
    until('n4 is removed', lambda: round.cluster.cairn('cluster', 'remove', 'n4').status == 0)
    check(fourth.wait(20) == 1, 'n4 goes on though it was removed')


@act()
def node_removed_and_added(round):
    """One of three goes, and comes back as another member with nothing."""
    node = round.a_node()
    pid = round.cluster.pid(node)
    until(f'{node} is no member', lambda: round.cluster.cairn('member', 'remove', node).status == 0, 40)
    until(f'{node} is removed', lambda: round.cluster.cairn('cluster', 'remove', node).status == 0)
    until(f'{node} has ended', lambda: is_gone(pid))
    round.told['restarted'].append(node)
    round.told['forgot'].append(node)
    round.pause()
    shutil.rmtree(home(round, node), ignore_errors=True)
    until(f'{node} is added', lambda: round.cluster.cairn('cluster', 'add', node).status == 0)
    round.start(node)
    until(f'{node} is a member', lambda: round.cluster.cairn('member', 'add', node).status == 0, 40)
    round.recovers(node)


@act()
def timing_changed(round):
    """The timeout, on which leases rest, with a node cut off or not."""
    if round.choose.random() < 0.5:
        node = round.a_node()
        round.cluster.cairn('fault', 'partition', f'{",".join(round.others(node))}|{node}')
    for timeout_us in round.choose.sample([6000, 8000, 15000, 30000, 60000, 200000], 3):
        until('the timeout is changed', lambda: round.cluster.cairn('cluster', 'set', '--timeout-us', timeout_us).status in (0, 1))
        round.pause()
    until('it is healed', lambda: round.cluster.cairn('fault', 'heal').status == 0)


@act()
def file_contradicts(round):
    """A node is started with a file that says otherwise, is refused, and started with the right one."""
    node = round.a_node()
    wrong = round.cluster.file + '.wrong'
    with open(round.cluster.file) as file:
        text = file.read()
    with open(wrong, 'w') as file:
        file.write(round.choose.choice([text.replace('- name: n2\n', '- name: n7\n'), text + '  - name: n4\n',
                                        text.replace('timeout_us: 0', 'timeout_us: 77000'),
                                        text.replace('memory_mib: 512', 'memory_mib: 64')]))
    round.stop(node)
    if round.durable:
        refused = subprocess.run([BINARY, 'server', '--node', node, '--cluster', wrong], stderr=subprocess.PIPE, timeout=20)
        check(refused.returncode in (1, 2) and refused.stderr, refused.returncode, refused.stderr)
    round.restart(node)


def preloaded(library, variable, path):
    return {'LD_PRELOAD': os.path.join(TESTS, library), variable: path,
            'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':verify_asan_link_order=0'}


def clock_of(round, node):
    """The node is started anew with a clock that can be set; returns the file that sets it."""
    path = os.path.join(round.cluster.dir, node + '.shift')
    with open(path, 'wb') as file:
        file.write(struct.pack('<q', 0))
    round.stop(node)
    round.restart(node, preloaded('libclock_shift.so', 'CAIRN_CLOCK_SHIFT', path))
    return path


@act()
def clock_set(round):
    """By seconds to days, either way, and back or not."""
    path = clock_of(round, round.a_node())
    for shift_s in (round.choose.choice([-1, 1]) * round.choose.choice([1, 50, 3600, DAY_S, 10 * DAY_S]), 0):
        with open(path, 'r+b') as file:
            file.write(struct.pack('<q', shift_s))
        round.pause(0.1, 0.5)
        if round.choose.random() < 0.3:
            return


@act(on=('disk',))
def disk_slow(round):
    """Every write of one node takes up to 30 ms longer, for a while."""
    node = round.a_node()
    path = os.path.join(round.cluster.dir, node + '.orders')
    with open(path, 'wb') as file:
        file.write(bytes(4 * len(ORDERS)))
    round.stop(node)
    round.restart(node, preloaded('libdisk_faults.so', 'CAIRN_DISK_FAULTS', path), '--no-uring')
    for delay_us in (round.choose.randint(1000, 30000), 0):
        with open(path, 'r+b') as file:
            file.seek(4 * ORDERS.index('delay_us'))
            file.write(struct.pack('<i', delay_us))
        round.pause(0.2, 0.8)


def unmount(path):
    until('the disk can be taken away', lambda: subprocess.run(['umount', path], stderr=subprocess.DEVNULL).returncode == 0)


def fill(ballast):
    """All but the last MiB there, while others write there too: what was free a moment ago may be theirs by now."""
    with open(ballast, 'wb') as file:
        for _ in range(20):
            room = os.fstatvfs(file.fileno())
            with contextlib.suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, max(room.f_bavail * room.f_bsize - (1 << 20), 1 << 12))
                return


@act(on=('disk',), root=True)
def disk_full(round):
    """One node's, for a second or two; then there is space again."""
    node = round.a_node()
    place = os.path.join(round.cluster.dir, node)
    round.stop(node)
    shutil.move(place, place + '.was')
    os.mkdir(place)
    mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=256m,mode=700', 'none', place], stderr=subprocess.DEVNULL)
    if mounted.returncode == 0:
        def take_away():
            if is_gone(round.cluster.pid(node)):
                return
            round.cluster.kill(node)
            shutil.copytree(place, place + '.now')
            unmount(place)
            os.rmdir(place)
            shutil.move(place + '.now', place)
            round.restart(node)
        round.undo.append(take_away)
    shutil.copytree(place + '.was', place, dirs_exist_ok=True)
    round.restart(node)
    if mounted.returncode != 0:
        return
    ballast = os.path.join(place, 'ballast')
    fill(ballast)
    for _ in range(4):
        round.pause(0.1, 0.6)
    os.unlink(ballast)
    round.pause()
