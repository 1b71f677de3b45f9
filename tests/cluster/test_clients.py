"""What clients in shared memory may do to a node and to each other: nothing."""
import contextlib
import os
import pty
import random
import resource
import signal
import socket
import struct
import subprocess
import time

from harness import BINARY, CALM, Cluster, check, is_gone, stop_process, until
from raw_client import ANSWER, APPEND, CANCEL, ENDED, MEMBER, PAGE, READ, RawClient, append_to_catalog, record

OK, FULL, NO_LOG, FORBIDDEN = 0, 10, 13, 28
LOCAL, LINEARIZABLE, FOLLOW = 1, 4, 1
READERS = 64  # of a node


def serves(cluster, log='k'):
    """Another client is served, and the node is the one that it was."""
    row = cluster.ok('append', log, '--json', stdin=b'another\n').rows()[0]
    check(row.get('lsn'), row)


@contextlib.contextmanager
def a_cluster_of_one(*logs):
    with Cluster(1, *CALM) as cluster:
        for log in logs:
            cluster.ok('log', 'create', log, '--policy', 'cp')
            cluster.leader(log)
        yield cluster


def test_every_answer_of_a_client_that_reads_none_is_kept_for_it():
    with a_cluster_of_one('k') as cluster:
        with RawClient(cluster, 'n1') as slow:
            log, given = slow.number_of('k'), 0
            # Appends that are refused at once, more than there is room for answers; then reads that are refused as well.
            while given < 100000 and slow.room() >= 4096:
                slow.put(APPEND, 0xffff, LOCAL, token=given, body=record(b'x'))
                given += 1
            for token in range(given, given + 40):
                slow.put(READ, 0xffff, token=token, last=2 ** 63)
            time.sleep(1)
            check(not slow.taken(), 'requests were taken that there is no room to answer')
            serves(cluster)
            answers = slow.take_all(given + 40)
            check([a[2] for a in answers] == list(range(given + 40)), 'answers are missing, or in another order')
            check({a[1] for a in answers} == {NO_LOG}, {a[1] for a in answers})
            # It is as good a client as before.
            slow.put(APPEND, log, LOCAL, token=7, body=record(b'mine'))
            check(slow.take_all(1)[0][1:3] == (OK, 7), 'the next append was not taken')
        serves(cluster)


def test_reads_share_room_with_answers_that_are_owed():
    with a_cluster_of_one('k') as cluster:
        cluster.ok('append', 'k', stdin=b''.join(b'%01000d\n' % i for i in range(8000)))
        with RawClient(cluster, 'n1') as slow:
            log = slow.number_of('k')
            for token in range(8):
                slow.put(READ, log, flags=FOLLOW, token=token, first=1, last=2 ** 63)
            until('there is no more room for entries', lambda: slow.answers_waiting() > slow.ring_bytes // 2)
            time.sleep(0.2)
            for token in range(100, 1100):
                slow.put(APPEND, log, LOCAL, token=token, body=record(b'beside'))
            for token in range(8):
                slow.put(CANCEL, token=token)
            until('all is taken', slow.taken)
            kinds = {}
            while sum(k == ENDED for k, *_ in kinds.values()) < 8:
                for answer in slow.take_all(1):
                    kinds[answer[2]] = answer
            appended = [token for token, answer in kinds.items() if token >= 100 and answer[1] == OK]
            check(len(appended) + slow.answers_waiting() // 72 >= 1000, len(appended), 'of 1000 appends were answered')


def test_all_readers_taken_is_said_and_lets_go():
    """By the node's own user, whose share is all of it."""
    with Cluster(3, *CALM) as cluster:
        cluster.ok('log', 'create', 'k', '--policy', 'cp')
        node = cluster.leader('k')
        with RawClient(cluster, node) as many:
            log = many.number_of('k')
            for token in range(READERS + 6):
                many.put(READ, log, flags=FOLLOW, token=token, first=1, last=2 ** 63)
            until('all is taken', many.taken)
            refused = many.take_all(6)
            check({a[1] for a in refused} == {FULL} and {a[2] for a in refused} <= set(range(READERS + 6)), refused)
            check(cluster.cairn('status', '--via', node).status == 0)
            # Whoever has room for readers leads.
            until('another leads', lambda: cluster.leader('k') != node)
            check(any(e['event'] == 'steps_aside' for e in cluster.events()), 'nobody said why')
        until('they are free again', lambda: cluster.cairn('read', 'k', '--via', node).status == 0)


def hostile_requests(draw, log, count):
    """Whole requests of any numbers, and some that are no requests."""
    for _ in range(count):
        kind = draw.choice([APPEND, READ, CANCEL, MEMBER, 0, 5, 255])
        numbers = {'level': draw.choice([0, 1, 2, 3, 4, 5, 255]), 'flags': draw.getrandbits(16) & draw.choice([7, 0xffff]),
                   'log': draw.choice([log, log, 0, 1, 0xffffffff]), 'token': draw.choice([draw.getrandbits(64), 1, 2]),
                   'first': draw.choice([0, 1, 2 ** 64 - 1, draw.getrandbits(64)]),
                   'last': draw.choice([0, 1, 2 ** 64 - 1, draw.getrandbits(64)])}
        body = draw.choice([b'', bytes(8), record(b'hostile'), draw.randbytes(8 * draw.randrange(60)),
                            record(b'a', draw.choice([1, 2 ** 64 - 1]), draw.choice([0, 1, 2 ** 63, 2 ** 64 - 1]))])
        yield kind, numbers, body


def test_a_hostile_client_harms_itself_alone():
    """Requests of any numbers, indices that lie, bytes that change while they are looked at; then it is gone."""
    with a_cluster_of_one('k', 'other') as cluster:
        pid = cluster.pid('n1')
        for seed in range(12):
            draw = random.Random(seed)
            with RawClient(cluster, 'n1') as hostile:
                log = hostile.number_of('k')
                for kind, numbers, body in hostile_requests(draw, log, 400):
                    if hostile.room() < 8192:
                        break
                    hostile.put(kind, body=body, **numbers)
                    if draw.random() < 0.05:
                        at = draw.randrange(0, len(hostile.memory) - 8)
                        hostile.memory[at:at + 8] = draw.randbytes(8)
                    if draw.random() < 0.3:
                        hostile.take() if hostile.answers_waiting() < 2 ** 20 else None
                for index in (0, 64, 4096, 4096 + 64):
                    hostile.memory[index:index + 8] = draw.choice([bytes(8), b'\xff' * 8, draw.randbytes(8)])
                    time.sleep(0.005)
            check(not is_gone(pid), 'the node has ended, seed', seed)
            serves(cluster, 'other')
        serves(cluster)


def scribble(client, seed):
    """In a process of its own: writes over the requests that are to be read next, for ever."""
    draw = random.Random(seed)
    while True:
        tail = struct.unpack_from('Q', client.memory, 64)[0]
        at = 2 * PAGE + ((tail + 8 * draw.randrange(32)) % client.ring_bytes & ~7)
        client.memory[at:at + 8] = draw.choice([bytes(8), b'\xff' * 8, draw.randbytes(8), struct.pack('<IBBH', draw.randrange(200), READ, 0, 1)])


@contextlib.contextmanager
def a_scribbler(client, seed):
    pid = os.fork()
    if pid == 0:
        try:
            scribble(client, seed)
        finally:
            os._exit(0)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_ring_that_changes_while_it_is_read_harms_nobody_else():
    """100,000 requests, over which somebody writes meanwhile."""
    given = 0
    with a_cluster_of_one('k', 'other') as cluster:
        pid = cluster.pid('n1')
        for seed in range(10):
            with RawClient(cluster, 'n1') as hostile, a_scribbler(hostile, seed):
                log = hostile.number_of('k')
                for kind, numbers, body in hostile_requests(random.Random(seed), log, 10000):
                    hostile.put(kind, body=body, **numbers)
                    given += 1
                    # It takes all answers, whatever they are: none is waited for.
                    struct.pack_into('Q', hostile.memory, PAGE + 64, struct.unpack_from('Q', hostile.memory, PAGE)[0])
            check(not is_gone(pid), 'the node has ended, seed', seed)
            serves(cluster, 'other')
        check(given == 100000, given)
        serves(cluster)


def test_ten_thousand_connections_keep_nobody_out():
    """Half a line on each, all of them held; meanwhile, and afterwards, whoever asks is answered."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (10500, max(10500, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    with a_cluster_of_one('k') as cluster, contextlib.ExitStack() as held:
        for i in range(10000):
            sock = held.enter_context(socket.socket(socket.AF_UNIX))
            sock.connect(os.path.join(cluster.dir, 'n1.sock'))
            with contextlib.suppress(OSError):  # it was let go already
                sock.sendall(b'{"cmd":"att')
            if i % 1000 == 999:
                check(cluster.cairn('status').status == 0)
                serves(cluster)
        check(len(os.listdir(f'/proc/{cluster.pid("n1")}/fd')) < 150, 'descriptors are not let go')


def test_names_of_the_future_shut_nobody_out():
    """More producers than a log remembers, of ids as far ahead as they may be: who comes later is told from which name on."""
    with a_cluster_of_one('k') as cluster:
        first = (int(time.time() * 1000) + 24 * 3600 * 1000 - 30000) << 21
        with RawClient(cluster, 'n1') as hostile:
            log = hostile.number_of('k')
            for i in range(8000):
                hostile.put(APPEND, log, LOCAL, token=i, body=record(b'', first + i, 1))
                while hostile.take():
                    pass
            until('all is taken', hostile.taken)
        for lines in (1, 500):
            rows = cluster.ok('append', 'k', '--json', stdin=b'mine\n' * lines).rows()
            check(len(rows) == lines and all('lsn' in row for row in rows), rows[:3])


def test_repeats_that_are_looked_for_keep_nobody_waiting():
    """Each is looked for through two hundred thousand entries: another client's append does not wait until all have been."""
    with Cluster(1, *CALM, '--memory-mib', 512) as cluster:
        cluster.ok('log', 'create', 'k', '--policy', 'cp')
        cluster.leader('k')
        with RawClient(cluster, 'n1') as hostile, RawClient(cluster, 'n1') as other:
            log, producer = hostile.number_of('k'), int(time.time() * 1000) << 21
            cluster.ok('append', 'k', stdin=b'before\n' * 200000)
            hostile.put(APPEND, log, LOCAL, token=0, body=record(b'first', producer, 1))
            hostile.take_all(1)
            cluster.ok('append', 'k', stdin=b'between\n')
            # From now on only its last run is remembered.
            hostile.put(APPEND, log, LOCAL, token=1, body=record(b'second', producer, 2))
            hostile.take_all(1)
            for token in range(64):
                hostile.put(APPEND, log, LOCAL, token=token, body=record(b'first', producer, 1))
            until('one is answered', lambda: hostile.answers_waiting() > 0)
            other.put(APPEND, other.number_of('k'), LOCAL, token=7, body=record(b'other'))
            check(other.take_all(1)[0][1] == OK)
            waiting = hostile.answers_waiting() // ANSWER.size
            check(waiting < 60, 'it waited until', waiting, 'repeats of another client had been looked for')
            answers = hostile.take_all(64)
            check({a[1] for a in answers} == {OK} and {a[3] for a in answers} == {answers[0][3]} and answers[0][3] > 0, answers[:3])


def test_one_clients_repeats_leave_room_for_others_and_administrators():
    with Cluster(3, *CALM) as cluster:
        cluster.ok('log', 'create', 'k', '--policy', 'cp')
        leader = cluster.leader('k')
        away, other = [node for node in cluster.names if node != leader]
        stop_process(cluster.pid(away))
        with RawClient(cluster, leader) as hostile:
            log, producer = hostile.number_of('k'), int(time.time() * 1000) << 21
            # At level `all` nobody answers while one is stopped: so each repeat waits.
            for token in range(1500):
                hostile.put(APPEND, log, 3, token=token, body=record(b'one', producer, 1))
            time.sleep(0.5)
            removed = cluster.cairn('member', 'remove', away, '--log', 'k', limit_s=30)
            check(removed.status == 0, removed.status, removed.out, removed.err)
        os.kill(cluster.pid(away), signal.SIGCONT)


def test_who_takes_nothing_keeps_nobody_from_old_entries():
    """Sixteen readers of what is on disk only, by a client that takes no answers: another reads there as before."""
    with Cluster(1, *CALM, '--durability', 'disk', '--memory-mib', 64) as cluster:
        cluster.ok('log', 'create', 'k', '--policy', 'cp')
        cluster.leader('k')
        cluster.ok('append', 'k', stdin=b''.join(b'%06000d\n' % i for i in range(24000)))
        with RawClient(cluster, 'n1') as hostile:
            log = hostile.number_of('k')
            for token in range(16):
                hostile.put(READ, log, token=token, first=100 + 600 * token, last=2 ** 63)
            until('there is no more room', lambda: hostile.answers_waiting() > hostile.ring_bytes // 2)
            for first in (12, 3300, 5500):
                done = cluster.cairn('read', 'k', '--from', first, '--to', first + 50, limit_s=30)
                check(done.status == 0 and done.out.count(b'\n') == 51, first, done.status, done.err)


def test_a_client_that_dies_leaves_nothing_behind():
    with a_cluster_of_one('k') as cluster:
        for i in range(70):
            client = RawClient(cluster, 'n1')
            log = client.number_of('k')
            client.put(APPEND, log, LOCAL, token=1, body=record(b'and gone'))
            client.put(READ, log, LINEARIZABLE, FOLLOW, token=2, first=1, last=2 ** 63)
            client.close()
        process = cluster.start('tail', 'k', stdout=subprocess.DEVNULL)
        time.sleep(0.3)
        process.send_signal(signal.SIGKILL)
        process.wait()
        until('there is room for clients', lambda: cluster.cairn('read', 'k').status == 0)
        serves(cluster)
        check(len(os.listdir(f'/proc/{cluster.pid("n1")}/fd')) < 60, 'descriptors are left behind')


def test_what_the_system_writes_no_client_touches():
    """Neither by its name nor by its number; nor does whoever is no administrator change who holds a log."""
    with a_cluster_of_one('k') as cluster:
        with RawClient(cluster, 'n1') as client:
            client.socket.sendall(b'{"cmd":"open","log":"_catalog"}\n')
            answer = client.socket.recv(65536)
            check(b'"forbidden"' in answer and b'system' in answer, answer)
            client.put(APPEND, 0, LOCAL, token=1, body=record(b'{"op":"create","name":"x","policy":"cp"}'))
            client.put(READ, 0, token=2, last=2 ** 63)
            client.put(MEMBER, 0, level=2, token=3)
            check([a[1] for a in client.take_all(3)] == [FORBIDDEN] * 3)
        for args in (('append', '_catalog'), ('read', '_catalog'), ('tail', '_catalog'), ('view', '_catalog', '--resolve', 'lww'),
                     ('log', 'trim', '_catalog', '--before', 2), ('log', 'set', '_catalog', '--retain-age', '1s'),
                     ('log', 'set', '_catalog', '--policy', 'ap'), ('log', 'create', '_x', '--policy', 'cp')):
            refused = cluster.cairn(*args, stdin=b'x\n')
            check(refused.status in (1, 2) and b'belong to the system' in refused.err, args, refused.status, refused.out, refused.err)
        # Whoever writes there nevertheless changes nothing that is not to be changed.
        for text in (b'{"op":"set","name":"_catalog","policy":"ap","retain_age_ms":1000}', b'{"op":"trim","name":"_catalog","trim_before":2}',
                     b'{"op":"create","name":"_x","policy":"cp"}', b'{"op":"create","name":"../x","policy":"cp"}',
                     b'{"op":"create","name":"a\\nb","policy":"cp"}', b'{"op":"create","name":"q\\"","policy":"cp"}'):
            append_to_catalog(cluster, text)
        # And of an entry that says something that cannot be nothing counts.
        for wrong in (b'"retain_age_ms":-1', b'"retain_age_ms":9223372036854775807', b'"retain_bytes":"7"', b'"when_cut":"ap"', b'"deny":7',
                      b'"trim_before":4611686018427387904'):
            append_to_catalog(cluster, b'{"op":"set","name":"k","policy":"ap",%s}' % wrong)
        check(cluster.status('k')['n1']['policy'] == 'cp', cluster.status('k'))
        row = cluster.status('_catalog')['n1']
        check((row['policy'], row['retain_age_ms'], row['first_lsn']) == ('cp', 0, 1), row)
        check({row['log'] for row in cluster.ok('status', '--json').rows()} == {'_catalog', 'k'})
        serves(cluster)


def on_a_terminal(*args):
    master, slave = pty.openpty()
    done = subprocess.run([BINARY, *args], stdout=slave, stderr=subprocess.PIPE, timeout=20)
    os.close(slave)
    shown = b''
    with contextlib.suppress(OSError):
        while chunk := os.read(master, 65536):
            shown += chunk
    os.close(master)
    check(done.returncode == 0, args, done.stderr)
    return shown


def test_what_was_appended_steers_no_terminal():
    hostile = b'\x1b]0;mine\x07\x1b[2J\xc2\x9b31m\xff caf\xc3\xa9'
    with a_cluster_of_one('k') as cluster:
        cluster.ok('append', 'k', '--key-until', '=', stdin=b'\x1b[31mcolour=' + hostile + b'\n')
        check(cluster.read('k', 'n1') == hostile + b'\n', 'a pipe does not get it as it is')
        for args in (('read', 'k'), ('view', 'k', '--resolve', 'lww')):
            shown = on_a_terminal(*args, '--cluster', cluster.file)
            check(b'\x1b' not in shown and b'\x9b' not in shown and b'\xff' not in shown and b'\\x1b[2J' in shown and
                  'café'.encode() in shown, args, shown)
