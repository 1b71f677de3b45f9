"""Nodes of several workers: each has its logs, its links, its rings to clients and its journal."""
import json
import os
import re
import shutil
import signal
import socket

from harness import CALM, Cluster, check, run, until
from machines import LINES, Machines
from test_slow import Held, worker_threads

WORKERS = 'workers: 3\n'


def loads(cluster, node):
    """Entries a second, by worker, as the node's status has them."""
    with socket.socket(socket.AF_UNIX) as asked, asked.makefile('rb') as answer:
        asked.connect(os.path.join(cluster.dir, node + '.sock'))
        asked.sendall(b'{"cmd":"status"}\n')
        return [worker['entries_per_s'] for worker in json.loads(answer.readline())['workers']]


def worker_of(place, log):
    return {row['log']: row['worker'] for row in place.cairn('log', 'list', '--json').rows()}[log]


def test_logs_are_shared_out_and_served_alike():
    with Cluster(3, '--workers', '3', *CALM) as cluster:
        for log in 'abcdef':
            cluster.ok('log', 'create', log, '--policy', 'cp')
        check(sorted(worker_of(cluster, log) for log in 'abcdef') == [0, 0, 1, 1, 2, 2])
        cluster.ok('log', 'create', 'chosen', '--policy', 'cp', '--worker', '2')
        check(worker_of(cluster, 'chosen') == 2)
        refused = cluster.cairn('log', 'create', 'no', '--policy', 'cp', '--worker', '3')
        check(refused.status == 1 and b'no worker 3' in refused.err, refused.err)
        refused = cluster.cairn('log', 'create', 'chosen', '--policy', 'cp', '--worker', '1')
        check(refused.status == 1 and b'exists at worker 2' in refused.err, refused.err)
        for log in 'abcdef':
            cluster.ok('append', log, '--ack', 'all', stdin=log.encode() + b'\n')
            for level in ('lease', 'linearizable'):
                check(cluster.ok('read', log, '--level', level).out == log.encode() + b'\n', log, level)
        for log in 'abc':
            token = os.path.join(cluster.dir, 'session-' + log)
            cluster.ok('append', log, '--session', token, stdin=b'of one session\n')
            check(cluster.ok('read', log, '--session', token).out.endswith(b'of one session\n'), log)
        for row in cluster.cairn('status', '--json').rows():
            check(row['worker'] == (0 if row['log'] == '_catalog' else worker_of(cluster, row['log'])), row)


def test_what_is_busy_gets_no_new_log():
    with Cluster(3, '--workers', '2', *CALM) as cluster:
        cluster.ok('log', 'create', 'busy', '--policy', 'cp', '--worker', '1')
        cluster.ok('append', 'busy', stdin=b'x\n' * 200000)
        until('it is seen to be busy', lambda: any(loads(cluster, node)[1] > 5000 for node in cluster.names))
        for log in ('one', 'two'):
            cluster.ok('log', 'create', log, '--policy', 'cp')
            check(worker_of(cluster, log) == 0, log)


def test_another_number_is_another_cluster():
    with Machines() as m:
        m.write_file(m.file, memory_mib=256, more=WORKERS)
        m.start().found()
        m.ok('log', 'create', 'a', '--policy', 'cp', '--worker', '2')
        m.serves()
        m.ok('append', 'a', stdin=LINES)
        m.stop()
        for number, said in (('workers: 2', b'workers is 2 here, but the cluster has agreed on 3'),
                             ('workers: 17', b'workers'), ('workers: 03', b'workers'), ('workers: two', b'workers')):
            other = m.file + '.other'
            text = open(m.file).read()
            with open(other, 'w') as file:
                file.write(text.replace('workers: 3', number))
            refused = run('server', '--node', 'n1', '--cluster', other)
            check(refused.status == 1 and said in refused.err, number, refused.err)
            line = text.splitlines().index('workers: 3') + 1
            check(f':{line}'.encode() in refused.err or f'line {line}'.encode() in refused.err, number, refused.err)
        # A file that says nothing goes by what was agreed on.
        with open(m.file, 'w') as file:
            file.write(text.replace('workers: 3\n', ''))
        m.start()
        m.serves()
        m.hold_all()


def test_little_memory_is_not_shared_out():
    with Machines() as m:
        m.write_file(m.file, memory_mib=128, more=WORKERS)
        refused = run('server', '--node', 'n1', '--cluster', m.file, '--check')
        check(refused.status == 1 and b'memory_mib 128 is 64 too little for 3 workers' in refused.err, refused.err)


def with_three(m):
    m.write_file(m.file, memory_mib=256, more=WORKERS)
    m.start().found()
    for worker, log in enumerate('abc'):
        m.ok('log', 'create', log, '--policy', 'cp', '--worker', worker)
        m.serves(log)
        m.ok('append', log, stdin=LINES)
    for log in 'abc':
        for node in m.names:
            until(f'{node} holds {log}', lambda: m.holds(node, log) == LINES)


def test_all_journals_come_back():
    with Machines() as m:
        with_three(m)
        for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
            m.stop(how=how)
            seen = run('inspect', '--digest', *(m.own(node) for node in m.names))
            check(seen.status == 0 and b'identical' in seen.out, seen.out, seen.err)
            m.start()
            for log in 'abc':
                m.serves(log)
                check(m.ok('read', log).out == LINES, log)


def test_a_journal_that_is_gone_is_its_workers_alone():
    with Machines() as m:
        with_three(m)
        # Without it one of three would count what it does not know: the others are not there to tell.
        m.stop('n2')
        shutil.rmtree(m.journal('n2', 1))
        m.stop('n3')
        m.start('n2')
        m.says('n2', 'worker 1 of node n2 has forgotten what it promised')
        m.serves('a', ('n1', 'n2'))
        m.serves('c', ('n1', 'n2'))
        check(m.ok('append', 'a', stdin=b'on\n').status == 0)
        row = m.rows('b')['n2']
        check(row['role'] == 'recovering', row)
        m.start('n3')
        m.serves('b')
        until('it has it again', lambda: m.holds('n2', 'b') == LINES)
        until('that is kept', lambda: 'forgetful 0\n' in open(os.path.join(m.own('n2'), 'identity')).read())
        m.stop('n2')
        m.start('n2')
        m.serves('b')
        check(m.log('n2').count('worker 1 of node n2 has forgotten') == 1, m.log('n2'))


def test_a_journal_that_is_older_is_told_by_the_others():
    with Machines() as m:
        with_three(m)
        m.stop('n2', how=signal.SIGTERM)
        shutil.copytree(m.journal('n2', 2), m.journal('n2', 2) + '.old')
        m.start('n2')
        m.serves('c')
        until('all hold it', lambda: m.cairn('append', 'c', '--ack', 'all', stdin=b'later\n').status == 0)
        until('the others know how far it is', lambda: m.holds('n1', 'c').endswith(b'later\n'))
        m.stop('n2')
        shutil.rmtree(m.journal('n2', 2))
        os.rename(m.journal('n2', 2) + '.old', m.journal('n2', 2))
        m.start('n2')
        m.says('n2', 'worker 2 of node n2 has forgotten')
        for log in 'abc':
            m.serves(log)
        until('it has it again', lambda: m.holds('n2', 'c') == LINES + b'later\n')


def test_journals_that_were_mixed_up_are_refused():
    with Machines() as m:
        with_three(m)
        m.stop()
        one, other = m.journal('n1', 1), m.journal('n1', 2)
        os.rename(one, one + '.aside')
        os.rename(other, one)
        os.rename(one + '.aside', other)
        m.start('n1')
        status, said = m.ended('n1')
        check(status == 1 and re.search("journal-.*(another's|mixed up)", said), status, said)


def test_a_journal_that_is_gone_is_not_shown_as_nothing():
    with Machines() as m:
        with_three(m)
        m.stop('n1', how=signal.SIGTERM)
        own = m.own('n1')
        whole = run('inspect', own, '--verify')
        check(whole.status == 0 and b'damaged' not in whole.out, whole.out, whole.err)
        none = run('inspect', own, '--log', 'nosuch')
        check(none.status == 1 and b"no log 'nosuch'" in none.err, none.out, none.err)
        for worker, log in ((1, 'b'), (2, 'c'), (0, '_catalog')):
            os.rename(m.journal('n1', worker), own + '.aside')
            seen = run('inspect', own)
            check(seen.status == 0 and f'worker {worker} has no journal'.encode() in seen.out, seen.out, seen.err)
            for number, other in ((1, b'b '), (2, b'c ')):
                held = re.search(other + rb'.* lsn 1 to (\d+)', seen.out)
                check(worker == 0 or (held is not None and (held[1] == b'0') == (number == worker)), seen.out)
            check(run('inspect', own, '--verify').status == 1)
            os.mkdir(m.journal('n1', worker))
            empty = run('inspect', own, '--verify')
            check(empty.status == 1 and f'worker {worker} has no journal'.encode() in empty.out, empty.out, empty.err)
            os.rmdir(m.journal('n1', worker))
            os.rename(own + '.aside', m.journal('n1', worker))


def test_one_worker_that_hangs_is_its_logs_affair():
    with Cluster(3, '--workers', '2', *CALM) as cluster:
        for worker, log in enumerate('ab'):
            cluster.ok('log', 'create', log, '--policy', 'cp', '--worker', worker)
        check(b' worker ' in cluster.ok('status').out.splitlines()[0] and b'\nworker 1' not in cluster.ok('status').out)
        cluster.kill('n2')
        with open(cluster.file) as file:
            text = file.read()
        with open(cluster.file, 'w') as file:
            file.write(text.replace('  - name: n2\n', '  - name: n2\n    lcores: 2\n'))
        cluster.restart('n2')
        until('n2 counts again', lambda: all(cluster.status(log).get('n2', {}).get('role') in ('leader', 'follower') for log in 'ab'))
        # A thread a worker, in their order.
        threads = sorted(worker_threads(cluster.pid('n2')))
        check(len(threads) == 2, threads)
        with Held(threads[1]):
            until('the others miss it at worker 1', lambda: 'n2' not in cluster.status('b')['n1']['hears'])
            until('it says so itself', lambda: cluster.status('b')['n2']['worker_hung'])
            check('n2' in cluster.status('a')['n1']['hears'] and not cluster.status('a')['n2']['worker_hung'])
            first, second = cluster.ok('status').out.split(b'\nworker 1')
            check(b'HUNG' not in first and b'HUNG' in second, first, second)
            event = cluster.events('worker_hung')[0]
            check(event['node'] == 'n2' and event['worker'] == 1, event)
            cluster.ok('append', 'a', '--ack', 'all', stdin=b'all hold it\n')
            cluster.ok('append', 'b', '--via', cluster.leader('b', ['n1', 'n3']), stdin=b'two hold it\n')
        until('it takes turns again', lambda: not cluster.status('b')['n2']['worker_hung'])
        for log in 'ab':
            cluster.converged(log)
