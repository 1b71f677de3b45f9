"""A log goes to another cluster, live: entries, keys, order and clocks are kept, and each is there once."""
import os
import signal
import time

from harness import CALM, Cluster, check, until
from test_agreed import Load

DISK = ('--durability', 'disk')


def entries(cluster, log):
    """What is the same in a log and in its copy."""
    return [(row['payload'], row['key'], row['hlc'], row.get('clock_doubtful'))
            for row in cluster.ok('read', log, '--level', 'linearizable', '--json').rows()]


def copy(here, there, *more):
    return here.cairn('log', 'copy', 'a', '--to', there.file, *more)


def append_with_keys(cluster, lines):
    cluster.ok('append', 'a', '--key-until', '=', stdin=b''.join(b'key-%d=line %d\n' % (i % 7, i) for i in lines))


def test_a_log_goes_to_a_cluster_of_other_workers_under_load():
    with Cluster(3, *DISK, *CALM) as here, Cluster(3, *DISK, *CALM, '--workers', '2') as there:
        here.ok('log', 'create', 'a', '--policy', 'adaptive', '--retain-age', '7d')
        append_with_keys(here, range(5000))
        # What was accepted alone has a clock that is earlier than its place.
        here.ok('fault', 'partition', 'n1,n2|n3')
        until('n3 accepts alone', lambda: here.status('a')['n3']['mode'] == 'AP')
        here.ok('append', 'a', '--via', 'n3', '--ack', 'local', stdin=b'alone\n' * 100)
        here.ok('append', 'a', '--via', 'n1', stdin=b'meanwhile\n' * 100)
        here.ok('fault', 'heal')
        here.converged('a')
        load = Load(here.file, 'a')
        there_has = lambda: max([row['commit_lsn'] for row in there.status('a').values()], default=0)
        for again in range(4):
            copier = here.start('log', 'copy', 'a', '--to', there.file)
            before = there_has()
            until('more is copied', lambda: there_has() > before + 50)
            if again == 1:
                there.kill(there.leader('a'))
            copier.send_signal(signal.SIGKILL)
            copier.wait()
        # Two at once write each entry once.
        other = here.start('log', 'copy', 'a', '--to', there.file)
        refused = there.cairn('append', 'a', stdin=b'not yet\n')
        check(refused.status == 1 and b'copied' in refused.err + refused.out, refused.status, refused.out, refused.err)
        for node in there.names:
            if node not in there.status('a'):
                there.restart(node)
        time.sleep(0.5)
        load.end()
        done = copy(here, there, '--switch', '--json')
        check(done.status == 0, done.err)
        other.send_signal(signal.SIGTERM)
        other.wait()
        check(done.rows()[0]['switched'] and done.rows()[0]['entries'] == len(entries(here, 'a')), done.rows())
        check(entries(here, 'a') == entries(there, 'a'), 'the copy is not what was copied')
        check(there.status('a')['n1']['retain_age_ms'] == 7 * 86400000)
        refused = here.cairn('append', 'a', '--json', stdin=b'too late\n')
        check(refused.status == 1 and refused.rows()[0]['error'] == 'sealed', refused.rows())
        there.ok('append', 'a', stdin=b'goes on\n')
        again = copy(here, there, '--switch')
        check(again.status == 0 and b'already' in again.err, again.err)


def test_what_was_tried_before_the_seal_is_told_apart_after_it():
    with Cluster(3, *CALM) as here:
        here.ok('log', 'create', 'a', '--policy', 'cp')
        producer = ('--producer', 7, '--json')
        tried = here.ok('append', 'a', *producer, stdin=b'one\ntwo\n').rows()
        done = here.cairn('log', 'copy', 'a', '--to', here.file, '--as', 'b', '--switch')
        check(done.status == 0, done.err)
        repeated = here.ok('append', 'a', *producer, '--seq', 1, stdin=b'one\ntwo\n').rows()
        check([(row['lsn'], row['repeated']) for row in repeated] == [(row['lsn'], True) for row in tried], repeated)
        refused = here.cairn('append', 'a', '--json', stdin=b'three\n')
        check(refused.status == 1 and refused.rows()[0]['error'] == 'sealed', refused.rows())
        check(here.ok('read', 'b').out == b'one\ntwo\n')
        check({row['log']: bool(row['sealed']) for row in here.ok('log', 'list', '--json').rows()} == {'a': True, 'b': False})
        here.ok('log', 'set', 'a', '--open')
        here.ok('append', 'a', stdin=b'three\n')
        refused = here.cairn('log', 'copy', 'a', '--to', here.file)
        check(refused.status == 1 and b'--as' in refused.err, refused.err)


def test_no_switch_without_a_member_that_may_have_accepted_alone():
    with Cluster(3, *CALM) as here, Cluster(1, *CALM) as there:
        here.ok('log', 'create', 'a', '--policy', 'ap')
        here.ok('append', 'a', stdin=b'line\n' * 10)
        here.kill('n3')
        until('n3 is missed', lambda: 'n3' not in here.status('a')['n1']['hears'])
        refused = copy(here, there, '--switch')
        check(refused.status == 3 and b'n3' in refused.err and b'sealed' not in refused.err, refused.status, refused.err)
        here.ok('append', 'a', stdin=b'still taken\n')
        here.ok('member', 'remove', 'n3')
        done = copy(here, there, '--switch')
        check(done.status == 0, done.err)
        check(entries(here, 'a') == entries(there, 'a'), entries(here, 'a'), entries(there, 'a'))


def test_what_a_copy_cannot_follow_it_says():
    with Cluster(1, *CALM) as here, Cluster(1, *CALM) as there:
        refused = copy(here, there)
        check(refused.status == 1 and b"no log 'a'" in refused.err, refused.err)
        here.ok('log', 'create', 'a', '--policy', 'cp')
        there.ok('log', 'create', 'a', '--policy', 'cp')
        refused = copy(here, there)
        check(refused.status == 1 and b'no copy is under way' in refused.err, refused.err)
        here.ok('append', 'a', stdin=b'x\n' * 10)
        copier = here.start('log', 'copy', 'a', '--to', there.file, '--as', 'b')
        until('it is copied', lambda: there.cairn('read', 'b').out == b'x\n' * 10)
        copier.send_signal(signal.SIGTERM)
        check(copier.wait() == 0)
        # Another log that takes the name's place is not what was copied.
        there.ok('log', 'set', 'b', '--open')
        there.ok('append', 'b', stdin=b'of others\n')
        refused = here.cairn('log', 'copy', 'a', '--to', there.file, '--as', 'b')
        check(refused.status == 1 and b'no copy is under way' in refused.err, refused.err)


def test_what_is_left_of_a_removed_member_is_waited_for():
    with Cluster(5, *CALM) as here, Cluster(1, *CALM) as there:
        here.ok('log', 'create', 'a', '--policy', 'ap')
        here.ok('append', 'a', stdin=b'before\n')
        here.ok('fault', 'partition', 'n1,n2,n3|n4,n5')
        until('n4 accepts alone', lambda: 'n1' not in here.status('a')['n4']['hears'])
        here.ok('append', 'a', '--via', 'n4', '--ack', 'local', stdin=b'alone\n' * 500)
        until('n5 has a copy of it', lambda: here.cairn('read', 'a', '--via', 'n5', '--tentative').out.count(b'alone') == 500)
        here.kill('n4')
        here.ok('member', 'remove', 'n4', '--log', 'a')
        refused = copy(here, there, '--switch')
        check(refused.status == 3 and b'n5' in refused.err, refused.status, refused.err)
        here.ok('fault', 'heal')
        until('it is switched over', lambda: copy(here, there, '--switch').status == 0)
        check(there.ok('read', 'a').out.count(b'alone') == 500)


def test_a_sealed_log_takes_nothing_of_its_copys_writer_either():
    with Cluster(1, *CALM) as here, Cluster(1, *CALM) as there:
        here.ok('log', 'create', 'a', '--policy', 'cp')
        check(copy(here, there, '--switch').status == 0)
        writer = here.status('a')['n1']['sealed']
        refused = here.cairn('append', 'a', '--producer', writer, '--json', stdin=b'late\n')
        check(refused.rows()[0]['error'] == 'sealed', refused.rows())
        there.ok('append', 'a', stdin=b'goes on\n' * 3)
        back = copy(there, here)
        check(back.status == 1 and b'copied elsewhere itself' in back.err, back.err)
        check(here.ok('read', 'a').out == b'')


def test_a_log_is_copied_from_where_it_begins_and_a_copy_again():
    with Cluster(1, *CALM) as here:
        here.ok('log', 'create', 'a', '--policy', 'cp', '--retain-bytes', '1GiB')
        here.ok('append', 'a', stdin=b''.join(b'%d\n' % i for i in range(100)))
        here.ok('log', 'trim', 'a', '--before', 50)
        for source, name in (('a', 'b'), ('b', 'c')):
            copier = here.start('log', 'copy', source, '--to', here.file, '--as', name)
            until('it is copied', lambda: here.cairn('read', name).out.splitlines()[-1:] == [b'99'])
            copier.send_signal(signal.SIGINT)
            check(copier.wait() == 0)
            here.ok('log', 'copy', source, '--to', here.file, '--as', name, '--switch')
            check(here.status(name)['n1']['retain_bytes'] == 1 << 30)
            check(entries(here, source) == entries(here, name), source)


def test_a_member_that_lags_hides_nothing():
    with Cluster(3, *CALM) as here, Cluster(1, *CALM) as there:
        here.ok('log', 'create', 'a', '--policy', 'cp')
        here.ok('append', 'a', '--ack', 'all', stdin=b'line\n' * 3)
        here.ok('fault', 'partition', 'n1|n2,n3')
        leader = here.leader('a', ['n2', 'n3'])
        here.ok('append', 'a', '--via', leader, stdin=b''.join(b'%d\n' % i for i in range(2000)))
        for again in range(2):
            copier = here.start('log', 'copy', 'a', '--to', there.file)
            until('it is copied', lambda: there.cairn('read', 'a').out.endswith(b'\n1999\n'))
            copier.send_signal(signal.SIGKILL)
            copier.wait()
        here.ok('fault', 'heal')
        until('it is switched over', lambda: copy(here, there, '--switch').status == 0)
        check(entries(here, 'a') == entries(there, 'a'))
