"""What operators do to directories, files and starts: nothing acknowledged is lost by it, and what cannot be promised is
refused by name. Real processes, with cairn server started by hand, as on machines of their own."""
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time

from harness import CALM, Cluster, Failed, check, run, stop_process, until
from machines import LINES, Machines


def test_a_cluster_comes_to_be_once_and_by_command():
    with Machines() as m:
        m.start('n1', 'n2')
        m.says('n1', 'n1 waits')
        refused = until('it refuses', lambda: (r := m.cairn('cluster', 'bootstrap')).status == 1 and b'n3' in r.err and r)
        check(b'not heard waiting' in refused.err, refused.err)
        m.start('n3').found()
        again = m.cairn('cluster', 'bootstrap')
        check(again.status == 1 and b'already' in again.err, again.status, again.err)
        shown = m.ok('cluster', 'show', '--json').rows()
        check(len({row['member'] for row in shown}) == 3 and all(row['start'] == 1 for row in shown), shown)


def test_a_directory_runs_once_whatever_is_cleaned_up_around_it():
    """Without its lock, socket and pid file, by name, a running node is hidden: a second process found all of its state."""
    with Machines() as m:
        m.with_log()
        first = m.running['n1']
        for name in ('n1.lock', 'n1.sock'):
            os.unlink(os.path.join(m.dir, name))
        m.start('n1')
        status, said = m.ended('n1')
        m.running['n1'] = first
        check(status == 1 and 'running already' in said, status, said)
        check(first.poll() is None, 'the first one ended')
        m.stop('n1')
        m.start('n1')
        m.serves()
        until('n1 holds all', lambda: m.holds('n1') == LINES)


def test_a_replaced_disk_recovers_and_waits_for_a_majority_to_recover_from():
    with Machines() as m:
        m.with_log()
        m.stop('n3')
        m.ok('append', 'a', '--via', 'n1', stdin=b'while n3 is away\n')
        m.stop('n2', 'n1')
        m.wipe('n2')
        m.start('n2', 'n3')
        m.says('n2', 'has forgotten')
        time.sleep(1)
        check(m.cairn('append', 'a', '--via', 'n3', '--deadline-ms', 500, stdin=b'x\n').status != 0, 'n2 counted')
        m.start('n1')
        m.serves()
        for node in m.names:
            until(f'{node} holds all', lambda: m.holds(node) == LINES + b'while n3 is away\n')


def test_two_of_three_wiped_invent_nothing():
    with Machines() as m:
        m.with_log()
        m.stop()
        m.wipe('n2')
        m.wipe('n3')
        m.start('n2', 'n3')
        m.says('n2', 'waits')
        time.sleep(1)
        check(m.cairn('append', 'a', '--deadline-ms', 500, stdin=b'x\n').status != 0, 'two without a state took it')
        m.start('n1')
        m.says('n2', 'has forgotten')
        time.sleep(1)
        check(m.rows('a')['n1']['last_lsn'] > 200, 'n1 lost what it had')
        check(m.cairn('append', 'a', '--deadline-ms', 500, stdin=b'x\n').status != 0, 'a majority was invented')


def test_a_backup_is_the_way_back_where_all_have_forgotten():
    with Machines() as m:
        m.with_log()
        m.stop(how=signal.SIGTERM)
        backup = m.own('n1') + '.backup'
        shutil.copytree(m.own('n1'), backup)
        m.start()
        m.serves()
        m.stop()
        for node in ('n2', 'n3'):
            m.wipe(node)
        m.start()
        for node in ('n2', 'n3'):
            m.says(node, 'has forgotten')
            m.is_met('n1', 3)
        m.stop()
        # The others know of lives of n1 that the backup lacks, and hold nothing.
        m.wipe('n1')
        shutil.copytree(backup, m.own('n1'))
        m.start()
        m.says('n1', 'a life that others know of')
        until('all can be asked', lambda: set(m.rows('_catalog')) == set(m.names))
        refused = m.cairn('cluster', 'recover', '--from', 'n1')
        check(refused.status == 1 and b'put a backup back on one and take the directories of all others away' in refused.err,
              refused.status, refused.err)
        m.stop()
        for node in m.names:
            m.wipe(node)
        shutil.copytree(backup, m.own('n1'))
        m.start()
        for node in ('n2', 'n3'):
            until(f'{node} has forgotten again', lambda: m.log(node).count('has forgotten') >= 2)
        until('all can be asked', lambda: set(m.rows('_catalog')) == set(m.names))
        m.ok('cluster', 'recover', '--from', 'n1')
        m.serves()
        m.ok('append', 'a', '--ack', 'all', stdin=b'after all that\n')
        for node in m.names:
            until(f'{node} holds all', lambda: m.holds(node) == LINES + b'after all that\n')


def test_two_of_three_wiped_go_on_from_the_third_by_command():
    with Machines() as m:
        m.with_log()
        for without in ((), ('--without', 'n2'), ('--without', 'n2,n3')):
            refused = m.cairn('cluster', 'recover', '--from', 'n1', *without)
            check(refused.status == 1 and b'more than half of all nodes are well' in refused.err, refused.status, refused.err)
            check(refused.out == b'' and b'--without' not in refused.err, refused.out, refused.err)
        m.stop()
        m.wipe('n2')
        m.wipe('n3')
        m.start('n1', 'n2')
        m.says('n2', 'has forgotten')
        refused = m.cairn('cluster', 'recover', '--from', 'n1')
        check(refused.status == 3 and b'n3 does not answer' in refused.err, refused.status, refused.err)
        m.start('n3')
        m.says('n3', 'has forgotten')
        for without in ((), ('--without', 'n1')):
            refused = m.cairn('cluster', 'recover', '--from', 'n3', *without)
            check(refused.status == 1 and b'n3 has forgotten' in refused.err and b'choose another' in refused.err, refused.status, refused.err)
            check(refused.out == b'' and b'--without' not in refused.err, refused.out, refused.err)
        said = m.ok('cluster', 'recover', '--from', 'n1').out
        check(b'goes on behind lsn' in said, said)
        m.serves()
        m.ok('append', 'a', stdin=b'after all that\n')
        check(all(set(r['voters']) == {'n1', 'n2', 'n3'} for r in m.rows('a').values()), m.rows('a'))
        for node in m.names:
            until(f'{node} holds all', lambda: m.holds(node) == LINES + b'after all that\n')
        m.stop('n1')
        m.serves(nodes=['n2', 'n3'])


def test_nothing_is_given_up_on_the_lesser_side_of_a_cut():
    with Cluster(3, *CALM) as cluster:
        cluster.ok('log', 'create', 'a', '--policy', 'cp')
        cluster.ok('fault', 'partition', 'n1|n2,n3')
        until('n1 is missed', lambda: cluster.status('a')['n2']['hears'] == ['n2', 'n3'] and cluster.status('a')['n1']['hears'] == ['n1'])
        until('the others lead', lambda: cluster.leader('a') != 'n1' and cluster.leader('_catalog') != 'n1')
        for without in ((), ('--without', 'n2'), ('--without', 'n2,n3')):
            refused = cluster.cairn('cluster', 'recover', '--from', 'n1', *without)
            check(refused.status == 1 and b'nothing need be given up' in refused.err and b'n1 is cut off' in refused.err, refused.status, refused.err)
            check(b'--without' not in refused.err and refused.out == b'', refused.out, refused.err)
        # All three cut off from each other: there is nobody to recover from.
        cluster.ok('fault', 'partition', 'n1|n2|n3')
        until('each hears itself', lambda: all(row['hears'] == [node] for node, row in cluster.status('a').items()))
        refused = cluster.cairn('cluster', 'recover', '--from', 'n1')
        check(refused.status == 1 and b'n2 has a state of its own' in refused.err, refused.status, refused.err)


def test_logs_that_would_wait_for_what_was_replaced_are_named_first():
    with Machines() as m:
        m.with_log()
        for log, members in (('alone', 'n2'), ('two', 'n1,n2'), ('others', 'n1,n3')):
            m.ok('log', 'create', log, '--policy', 'cp', '--members', members)
            m.ok('append', log, stdin=b'x\n')
        running = m.cairn('member', 'replace', 'n2')
        check(running.status == 1 and b'stop it first' in running.err and b'alone' not in running.err, running.status, running.err)
        m.stop('n2')
        m.is_missed('n2')
        refused = m.cairn('member', 'replace', 'n2')
        check(refused.status == 1 and refused.out == b'' and b'--anyway' in refused.err, refused.status, refused.err)
        for says in (b"log 'alone' is held by n2 alone", b"log 'two' has no majority"):
            check(says in refused.err, says, refused.err)
        check(refused.err.count(b'\n') == 3, refused.err)
        # Nothing was decided: it comes back with all.
        m.start('n2')
        m.serves()
        until('its logs go on', lambda: all(m.cairn('append', log, '--deadline-ms', 500, stdin=b'y\n').status == 0 for log in ('alone', 'two')))
        m.stop('n2')
        m.is_missed('n2')
        done = m.ok('member', 'replace', 'n2', '--anyway')
        check(b"log 'alone'" in done.err and b"log 'two'" in done.err and b'counts no more' in done.out, done.out, done.err)


def test_what_was_decided_to_go_on_without_comes_back_with_nothing_and_keeps_its_files():
    with Machines() as m:
        m.with_log()
        m.stop('n1')
        m.ok('append', 'a', '--via', 'n2', stdin=b'that n1 never saw\n')
        m.stop('n2', 'n3')
        m.start('n1')
        until('n1 can be asked', lambda: m.cairn('status', '--via', 'n1', '--json').status == 0)
        refused = m.cairn('cluster', 'recover', '--from', 'n1', '--without', 'n2')
        check(refused.status == 3 and b'n3 does not answer' in refused.err, refused.status, refused.err)
        m.ok('cluster', 'recover', '--from', 'n1', '--without', 'n2,n3')
        m.ok('append', 'a', '--via', 'n1', stdin=b'decided\n')
        m.stop('n1')
        m.start('n1')
        m.serves(nodes=['n1'])
        m.start('n2', 'n3')
        for node in ('n2', 'n3'):
            m.says(node, 'a life that others know of')
            m.ok('member', 'add', node)
        m.serves()
        for node in m.names:
            try:
                until(f'{node} holds what was decided', lambda: m.holds(node) == LINES + b'decided\n')
            except Failed as failed:
                raise Failed(f'{failed}: {m.holds(node)[-200:]} {m.rows("a")}')
            check(node == 'n1' or any(f.startswith('aside-') for f in os.listdir(m.journal(node))), os.listdir(m.journal(node)))


def test_what_was_decided_for_who_did_not_wait_is_no_answer_to_others():
    with Machines() as m:
        m.with_log()
        m.stop('n3')
        m.is_missed('n3')
        with socket.socket(socket.AF_UNIX) as asked:  # as a command that is ended before it hears what became of it
            asked.connect(os.path.join(m.dir, 'n1.sock'))
            asked.sendall(b'{"cmd":"replace","node":"n3","ask":7}\n')
            check(b'asked' in asked.recv(4096))
        time.sleep(0.5)
        other = m.cairn('member', 'replace', 'n2')
        check(other.status == 1 and b'stop it first' in other.err, other.status, other.out, other.err)
        m.ok('member', 'replace', 'n3')


def test_a_member_that_was_replaced_is_never_believed_again():
    with Machines() as m:
        m.with_log()
        refused = m.cairn('member', 'replace', 'n3')
        check(refused.status == 1 and b'stop it first' in refused.err, refused.status, refused.err)
        m.stop('n3')
        m.is_missed('n3')
        m.ok('member', 'replace', 'n3')
        shutil.copytree(m.own('n3'), m.own('n3') + '.old')
        m.wipe('n3')
        m.start('n3')
        m.serves()
        m.ok('append', 'a', stdin=b'with the new one\n')
        until('n3 holds all', lambda: m.holds('n3') == LINES + b'with the new one\n')
        m.put_back('n3', m.own('n3') + '.old')
        until('n3 holds all', lambda: m.holds('n3') == LINES + b'with the new one\n')


def test_who_was_replaced_while_it_was_away_brings_nothing_back():
    with Machines() as m:
        m.with_log()
        m.stop('n3')
        m.is_missed('n3')
        m.ok('member', 'replace', 'n3')
        m.start('n3')
        m.says('n3', 'a life that others know of')
        m.serves()
        m.hold_all()
        check(any(f.startswith('aside-') for f in os.listdir(m.journal('n3'))), os.listdir(m.journal('n3')))


def test_a_rolling_reboot_without_run_loses_nothing():
    with Machines('memory') as m:
        m.with_log()
        for node in m.names:
            m.stop(node)
            m.wipe(node)
            m.start(node)
            m.serves()
            until('it is safe to go on', lambda: all(r['safe_to_restart'] for r in m.rows('a').values()))
        m.hold_all()


def test_a_life_without_the_volume_is_doubted_when_it_returns():
    with Machines() as m:
        m.with_log()
        m.stop('n2')
        aside = m.own('n2') + '.volume'
        os.rename(m.own('n2'), aside)
        m.start('n2')
        m.serves()
        m.ok('append', 'a', stdin=b'without the volume\n')
        m.put_back('n2', aside)
        until('n2 holds all', lambda: m.holds('n2') == LINES + b'without the volume\n')


def test_an_old_copy_of_a_directory_is_told_by_the_others():
    with Machines() as m:
        m.with_log()
        m.stop('n2', how=signal.SIGTERM)
        shutil.copytree(m.own('n2'), m.own('n2') + '.backup')
        m.start('n2')
        m.serves()
        m.ok('append', 'a', stdin=b'after the backup\n')
        # A life that ends before others have met it (they take no word of it until then) is missed by nobody.
        m.is_met('n2', 2)
        m.put_back('n2', m.own('n2') + '.backup')
        until('n2 holds all', lambda: m.holds('n2') == LINES + b'after the backup\n')


def test_intact_chains_elect_after_all_have_lost_power():
    with Machines() as m:
        m.with_log()
        for _ in range(3):
            m.stop()
            m.start()
            m.serves()
        m.hold_all()


def test_a_file_that_says_otherwise_than_was_agreed_on_is_refused_by_its_line():
    cases = (
        ({'names': ['n1', 'n2', 'n3', 'n4', 'n5']}, 'line 7: 5 nodes are listed, but the cluster has agreed on 3'),
        ({'names': ['n2', 'n1', 'n3']}, "line 8: node 1 is 'n2' here"),
        ({'memory_mib': 64}, 'line 4: memory_mib is 64, 64 less'),
        ({'number': 7}, 'line 1: cluster is 7 here'),
        ({'more': 'timeout_us: 900000\n'}, 'line 6: timeout_us is 900000 here'),
        ({'more': 'clock_bound_ms: 30000\n'}, 'line 6: clock_bound_ms is 30000 here, but the cluster has agreed on 60000'),
    )
    with Machines() as m:
        m.with_log()
        m.stop('n2')
        for change, complaint in cases:
            other = os.path.join(m.dir, 'other.yaml')
            m.write_file(other, **change)
            m.start('n2', file=other)
            status, said = m.ended('n2')
            check(status == 1 and complaint in said, change, status, said)
        m.start('n2')
        m.serves()
        m.hold_all()


def test_who_has_no_state_is_told_what_its_file_says_otherwise():
    """It cannot know by itself: the others tell it."""
    cases = (({'memory_mib': 64}, 'line 4: memory_mib is 64, 64 less'),
             ({'more': 'timeout_us: 900000\n'}, 'line 6: timeout_us is 900000 here'),
             ({'durability': 'memory'}, 'line 5: durability is memory here, but the cluster has agreed on disk'))
    with Machines() as m:
        m.with_log()
        m.stop('n3')
        for change, complaint in cases:
            m.wipe('n3')
            other = os.path.join(m.dir, 'other.yaml')
            m.write_file(other, **change)
            m.start('n3', file=other)
            status, said = m.ended('n3')
            check(status == 1 and complaint in said, change, status, said)
        # With the file put right it recovers, from the same directory too.
        m.start('n3')
        m.serves()
        m.hold_all()


def test_a_flipped_bit_in_who_a_node_is_is_damage():
    with Machines('memory') as m:
        m.with_log()
        m.stop('n2')
        path = os.path.join(m.own('n2'), 'identity')
        with open(path, 'r+b') as file:
            text = file.read()
            file.seek(text.index(b'born ') + 5)
            file.write(b'1' if text[text.index(b'begun ') + 6:][:1] == b'0' else b'0')
        m.start('n2')
        status, said = m.ended('n2')
        check(status == 1 and 'damaged' in said and 'recovers' in said, status, said)
        m.wipe('n2')
        m.start('n2')
        m.serves()
        m.hold_all()


def test_a_directory_of_another_node_or_cluster_is_refused():
    with Machines() as m, Machines() as other:
        m.with_log()
        other.start().found()
        m.stop('n2', 'n3')
        other.stop('n2')
        aside = m.own('n2') + '.aside'
        os.rename(m.own('n2'), aside)
        shutil.copytree(m.own('n3'), m.own('n2'))
        m.start('n2')
        status, said = m.ended('n2')
        check(status == 1 and 'mixed up' in said, status, said)
        m.wipe('n2')
        shutil.copytree(other.own('n2'), m.own('n2'))
        m.start('n2')
        status, said = m.ended('n2')
        check(status == 1 and 'cluster is' in said, status, said)
        m.wipe('n2')
        os.rename(aside, m.own('n2'))
        m.start('n2', 'n3')
        m.serves()
        m.hold_all()


def test_a_producer_of_another_cluster_is_refused_by_name():
    with Cluster(1) as one, Cluster(1) as other:
        for cluster in (one, other):
            cluster.ok('log', 'create', 's', '--policy', 'cp')
            cluster.ok('append', 's', '--producer', 900, stdin=b'one\n')
        name = '900@' + one.ok('cluster', 'show', '--json').rows()[0]['cluster']
        repeated = one.ok('append', 's', '--producer', name, '--seq', 1, '--json', stdin=b'one\n').rows()
        check(repeated[0]['repeated'] and repeated[0]['lsn'], repeated)
        refused = other.cairn('append', 's', '--producer', name, '--seq', 2, stdin=b'two\n')
        check(refused.status == 1 and b'is of cluster' in refused.err, refused.status, refused.err)
        check(other.ok('read', 's').out == b'one\n')
        for wrong in ('900@', '900@12', 'x', '0', '900 ', '-1', '99999999999999999999', '9' * 40):
            refused = one.cairn('append', 's', f'--producer={wrong}', stdin=b'two\n')
            check(refused.status == 2 and b'--producer' in refused.err, wrong, refused.status, refused.err)
        pid = one.pid('n1')
        process = one.start('append', 's', '--deadline-ms', 1500, '--json', stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process.stdin.write(b'first\n')
        process.stdin.flush()
        check(json.loads(process.stdout.readline()).get('lsn'), 'the first line was not taken')
        stop_process(pid)
        try:
            process.stdin.write(b'never told\n')
            process.stdin.close()
            row = json.loads(process.stdout.readline())
        finally:
            os.kill(pid, signal.SIGCONT)
        check(row['error'] == 'unknown' and row['cluster'] == name[4:], row)
        process.stdout.close()
        process.wait()


def test_a_session_of_another_cluster_is_refused_by_name():
    with Cluster(1) as one, Cluster(1) as other:
        session = os.path.join(one.dir, 'session')
        for cluster in (one, other):
            cluster.ok('log', 'create', 's', '--policy', 'cp')
            cluster.ok('append', 's', stdin=b'one\ntwo\n')
        one.ok('append', 's', '--session', session, stdin=b'mine\n')
        check(one.ok('read', 's', '--session', session).out == b'one\ntwo\nmine\n')
        for args in (('append', 's'), ('read', 's')):
            refused = other.cairn(*args, '--session', session, stdin=b'not there\n')
            check(refused.status == 1 and b'is of cluster' in refused.err, args, refused.status, refused.err)
        check(other.ok('read', 's').out == b'one\ntwo\n')
        check(one.ok('read', 's', '--session', session).status == 0)
