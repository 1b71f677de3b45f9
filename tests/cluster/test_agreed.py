"""What the nodes of a cluster agree on, changed while it runs: timing, memory, who is of it."""
import os
import signal
import subprocess
import threading

from harness import BINARY, CALM, Cluster, check, run, until
from machines import LINES, Machines
from raw_client import append_to_catalog

APPENDS_S = 40


class Load:
    """Appends all the while; what was acknowledged, in order."""

    def __init__(self, file, log):
        self.process = subprocess.Popen([BINARY, 'append', log, '--cluster', file, '--json', '--deadline-ms', '20000'],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.ended, self.given = threading.Event(), 0
        self.thread = threading.Thread(target=self.feed)
        self.thread.start()

    def feed(self):
        while not self.ended.wait(0.002):
            self.process.stdin.write(b'load %d\n' % self.given)
            self.process.stdin.flush()
            self.given += 1
        self.process.stdin.close()

    def end(self):
        self.ended.set()
        self.thread.join()
        out = self.process.stdout.read()
        self.process.wait()
        rows = [row for row in out.splitlines() if row]
        check(len(rows) == self.given, len(rows), 'answers of', self.given)
        check(all(b'"lsn"' in row for row in rows), [row for row in rows if b'"lsn"' not in row][:3])
        return b''.join(b'load %d\n' % i for i in range(self.given))


def agreed(m, node):
    rows = m.cairn('cluster', 'show', '--via', node, '--json').rows()
    return {**rows[0]['agreed'], 'members': [row['node'] for row in rows]} if rows and 'agreed' in rows[0] else {}


def timeouts(m):
    return {row['node']: row['agreed_timeout_ms'] for row in m.cairn('status', '--json').rows() if row['log'] == 'a'}


def test_timing_changes_while_it_runs():
    with Cluster(3, *CALM, '--durability', 'disk') as cluster:
        cluster.ok('log', 'create', 'a', '--policy', 'cp')
        load = Load(cluster.file, 'a')
        for timeout_us in (400000, 60000, 300000):
            cluster.ok('cluster', 'set', '--timeout-us', timeout_us)
            check(set(timeouts(cluster).values()) == {timeout_us / 1000}, timeouts(cluster))
            check(cluster.ok('read', 'a', '--level', 'lease', '--from', 1, '--to', 2).status == 0)
        cluster.ok('cluster', 'set', '--heartbeat-us', 5000, '--clock-bound-ms', 5000)
        shown = [agreed(cluster, node) for node in cluster.names]
        check(all(row == shown[0] for row in shown) and shown[0]['heartbeat_us'] == 5000 and
              shown[0]['clock_bound_ms'] == 5000 and shown[0]['timeout_us'] == 300000, shown)
        lines = load.end()
        for args, says in ((('--timeout-us', 9000), b'at least three'), (('--timeout-us', 300000), b'so already'), (('--memory-mib', 1024), b'512 less')):
            refused = cluster.cairn('cluster', 'set', *args)
            check(refused.status == 1 and says in refused.err, args, refused.status, refused.err)
        refused = cluster.cairn('cluster', 'set', '--clock-bound-ms', 5)
        check(refused.status == 2 and b'100 to 3600000 ms' in refused.err, refused.status, refused.err)
        check(cluster.cairn('cluster', 'set').status == 2 and cluster.cairn('cluster', 'add').status == 2)
        # It is kept: all come back to it, and no sooner.
        check(run('dev', '--stop', '--dir', cluster.dir).status == 0)
        check(run('dev', '--detach', '--dir', cluster.dir).status == 0)
        check([agreed(cluster, node) for node in cluster.names] == shown, shown)
        check(set(timeouts(cluster).values()) == {300.0}, timeouts(cluster))
        cluster.converged('a')
        check(cluster.read('a', 'n2') == lines)


def test_a_file_that_states_it_otherwise_is_named():
    with Machines() as m:
        m.with_log()
        m.ok('cluster', 'set', '--timeout-us', 300000)
        m.stop('n2')
        other = os.path.join(m.dir, 'other.yaml')
        m.write_file(other, more='timeout_us: 200000\n')
        for args in ((), ('--check',)):
            refused = run('server', '--node', 'n2', '--cluster', other, *args)
            check(refused.status == 1 and b'line 6' in refused.err and b'300000' in refused.err, refused.status, refused.err)
        m.write_file(other, memory_mib=64)
        refused = run('server', '--node', 'n2', '--cluster', other, '--check')
        check(refused.status == 1 and b'64 less' in refused.err, refused.status, refused.err)
        m.write_file(other, more='timeout_us: 300000\n')
        check(run('server', '--node', 'n2', '--cluster', other, '--check').status == 0)
        m.start('n2', file=other)
        m.serves()
        check(agreed(m, 'n2')['timeout_us'] == 300000)


def test_who_was_cut_off_comes_to_it_later():
    with Cluster(3, *CALM) as cluster:
        cluster.ok('log', 'create', 'a', '--policy', 'cp')
        cluster.ok('fault', 'partition', 'n1,n2|n3')
        until('n3 is missed', lambda: 'n3' not in cluster.status('a')['n1']['hears'])
        noted = cluster.ok('cluster', 'set', '--timeout-us', 350000)
        check(b'2 of 3' in noted.err, noted.err)
        check(agreed(cluster, 'n1')['timeout_us'] == 350000 and agreed(cluster, 'n3')['timeout_us'] == 200000)
        cluster.ok('fault', 'heal')
        until('n3 has it too', lambda: agreed(cluster, 'n3') == agreed(cluster, 'n1'))
        cluster.ok('append', 'a', stdin=b'x\n')
        cluster.converged('a')


def grow(m, node, cut):
    m.names.append(node)
    m.write_file(f'{m.file}.{node}')
    m.start(node, file=f'{m.file}.{node}')
    m.says(node, f'{node} waits')
    m.ok('cluster', 'add', node)
    m.write_file(m.file)
    m.says(node, 'serves in its life 1')
    cut()
    m.ok('member', 'add', node)


def test_three_grow_to_five_under_load():
    with Machines() as m:
        m.with_log()
        load = Load(m.file, 'a')
        grow(m, 'n4', lambda: None)
        check(sorted(m.rows('a')['n1']['voters']) == ['n1', 'n2', 'n3', 'n4'], m.rows('a')['n1'])
        stopped = m.running['n3']

        def cut():
            # A member hangs for as long as the other joins: the majority of what votes goes on.
            stopped.send_signal(signal.SIGSTOP)
            m.is_missed('n3')
        grow(m, 'n5', cut)
        stopped.send_signal(signal.SIGCONT)
        m.serves()
        check(sorted(m.rows('a')['n5']['voters']) == m.names, m.rows('a')['n5'])
        lines = load.end()
        for node in m.names:
            until(f'{node} holds all', lambda node=node: m.holds(node) == LINES + lines)
        # A client whose cluster file lists three finds who leads.
        m.write_file(m.file + '.old', names=m.names[:3])
        m.ok('member', 'transfer', 'n5')
        for args in (('append', 'a', '--deadline-ms', 5000), ('member', 'transfer', 'n4'), ('log', 'set', 'a', '--policy', 'cp')):
            old = run(*args, '--cluster', m.file + '.old', stdin=b'by an old file\n')
            check(old.status == 0, args, old.status, old.out, old.err)
        lines += b'by an old file\n'
        # Any two may be lost now; and all come back as five.
        m.stop('n1', 'n2')
        m.ok('append', 'a', stdin=b'three of five\n')
        m.stop('n3', 'n4', 'n5')
        m.start()
        m.serves()
        check(all(agreed(m, node) == agreed(m, 'n1') for node in m.names), agreed(m, 'n1'))
        check(agreed(m, 'n1')['members'] == m.names)
        for node in m.names:
            until(f'{node} holds all', lambda node=node: m.holds(node) == LINES + lines + b'three of five\n')
        # New logs are on all of them.
        m.ok('log', 'create', 'b', '--policy', 'cp')
        m.serves('b')
        check(sorted(m.rows('b')['n1']['voters']) == m.names)


def test_who_is_removed_takes_no_part():
    # The first of all, which commands ask first: it knows of no log yet when it is to be a member of all.
    with Machines(nodes=4) as m:
        m.with_log()
        refused = m.cairn('cluster', 'remove', 'n1')
        check(refused.status == 1 and b'member of log' in refused.err, refused.status, refused.err)
        m.ok('member', 'remove', 'n1')
        m.ok('cluster', 'remove', 'n1')
        status, said = m.ended('n1')
        check(status == 1 and 'was removed' in said, status, said)
        m.names.remove('n1')
        check(agreed(m, 'n2')['members'] == m.names, agreed(m, 'n2'))
        again = m.cairn('cluster', 'remove', 'n1')
        check(again.status == 1 and b'not of the cluster' in again.err, again.err)
        # It comes back with its directory, and is refused; with an empty one, by a word, it is another member.
        m.start('n1')
        check(m.ended('n1')[0] == 1)
        m.wipe('n1')
        m.start('n1')
        m.says('n1', 'has no place for it')
        m.ok('cluster', 'add', 'n1')
        m.ok('member', 'add', 'n1')
        m.names.append('n1')
        m.serves()
        m.hold_all()
        m.stop()
        m.start()
        m.serves()
        m.hold_all()


def test_commands_count_who_is_of_the_cluster_now():
    with Machines(nodes=5) as m:
        m.with_log()
        # With a file that lists fewer than there are, every command knows all.
        old = m.file + '.old'
        m.write_file(old, names=m.names[:3])
        for args in (('append', 'a', '--via', 'n5'), ('read', 'a', '--via', 'n5'), ('view', 'a', '--via', 'n4'), ('events', '--via', 'n4'),
                     ('member', 'transfer', 'n4'), ('member', 'transfer', 'n1')):
            seen = run(*args, '--cluster', old)
            check(seen.status == 0, args, seen.status, seen.err)
        for args in (('partition', 'n1,n4|n3'), ('link', 'n4>n1', 'drop=1')):
            refused = run('fault', *args, '--cluster', old)
            check(refused.status == 1 and b'--allow-faults' in refused.err, args, refused.status, refused.err)
        # A refusal counts those that vote.
        m.ok('member', 'remove', 'n5')
        m.ok('cluster', 'remove', 'n5')
        m.stop('n1', 'n2')
        until('n3 tells so', lambda: b'no quorum: reaching 2 of 4, need 3' in
              m.cairn('append', 'a', '--via', 'n3', '--deadline-ms', 500, stdin=b'x\n').out)
        refused = m.cairn('read', 'a', '--via', 'n3', '--level', 'linearizable')
        check(refused.status == 3 and b'reaching 2 of 4, need 3' in refused.err, refused.err)
        m.start('n1', 'n2')
        m.names.remove('n5')
        m.serves()
        m.ok('member', 'remove', 'n4')
        m.ok('cluster', 'remove', 'n4')
        m.ended('n4')
        m.names.remove('n4')
        well = m.ok('log', 'set', 'a', '--retain-bytes', '1G')
        check(well.err == b'', well.err)
        seen = m.ok('status')
        check(seen.err == b'' and b'n4' not in seen.out.split(b'\nhears')[1], seen.out, seen.err)
        m.stop('n3')
        m.is_missed('n3')
        for args in (('log', 'set', 'a', '--retain-bytes', '2G'), ('log', 'trim', 'a', '--before', 2)):
            seen = m.ok(*args)
            check(b'in force on 2 of 3 nodes' in seen.err and b'n4' not in seen.err, args, seen.err)
        refused = m.cairn('fault', 'partition', 'n1,n4|n2')
        check(refused.status == 2 and b"'n4' was removed" in refused.err, refused.status, refused.err)


def test_memory_that_logs_need_is_not_given_up():
    with Cluster(3, *CALM) as cluster:
        for i in range(8):
            cluster.ok('log', 'create', f'l{i}', '--policy', 'cp')
        refused = cluster.cairn('cluster', 'set', '--memory-mib', 64)
        check(refused.status == 1 and b'24 less than the 8 logs need' in refused.err, refused.status, refused.err)
        cluster.ok('cluster', 'set', '--memory-mib', 88)
        refused = cluster.cairn('log', 'create', 'one-more', '--policy', 'cp')
        check(refused.status != 0, refused.err)
        cluster.ok('cluster', 'set', '--memory-mib', 128)
        cluster.ok('log', 'create', 'one-more', '--policy', 'cp')


def test_who_is_removed_while_it_is_a_member_ends_and_says_so():
    """The command refuses that; an entry of the catalog cannot."""
    with Machines() as m:
        m.with_log()
        append_to_catalog(m, b'{"op":"agree","remove":"n3"}')
        status, said = m.ended('n3')
        check(status == 1 and 'was removed' in said, status, said)
        m.start('n3')
        status, said = m.ended('n3')
        check(status == 1 and 'was removed' in said, status, said)
        m.ok('append', 'a', stdin=b'two of three go on\n')
        # What makes no sense there changes nothing, and ends nobody.
        for text in (b'{"op":"agree"}', b'{"op":"agree","timeout_us":-1}', b'{"op":"agree","add":"n9"}',
                     b'{"op":"agree","add":"n9","member":"zz"}', b'{"op":"agree","remove":7}', b'{"op":"agree","memory_mib":1e99}',
                     b'{"op":"agree","add":"../n9","member":"00000000000000000000000000000001"}',
                     b'{"op":"agree","add":"_n9","member":"00000000000000000000000000000001"}'):
            append_to_catalog(m, text)
        check(agreed(m, 'n1') == agreed(m, 'n2') and agreed(m, 'n1')['members'] == ['n1', 'n2'], agreed(m, 'n1'))
        m.ok('append', 'a', stdin=b'and on\n')


def test_decisions_after_a_change_leave_what_was_agreed_on():
    """A file that states what is in force now, a member replaced, then a cluster that goes on from one."""
    with Machines() as m:
        m.with_log()
        m.ok('cluster', 'set', '--timeout-us', 300000)
        m.write_file(m.file, more='timeout_us: 300000\n')
        m.stop('n3')
        m.is_missed('n3')
        m.ok('member', 'replace', 'n3')
        m.wipe('n3')
        m.start('n3')
        m.serves()
        check(all(agreed(m, node) == agreed(m, 'n1') for node in m.names), [agreed(m, node) for node in m.names])
        m.stop('n2', 'n3')
        until('n1 goes on', lambda: m.cairn('cluster', 'recover', '--from', 'n1', '--without', 'n2,n3').status == 0)
        m.start('n2', 'n3')
        for node in ('n2', 'n3'):
            until(f'{node} is back', lambda node=node: m.cairn('member', 'add', node).status == 0, 40)
        m.serves()
        m.hold_all()
        check(all(agreed(m, node) == agreed(m, 'n1') and agreed(m, node)['timeout_us'] == 300000 for node in m.names),
              [agreed(m, node) for node in m.names])
