"""What a log keeps: by size, by age, by asking; and who was away meanwhile."""
import os
import time

from harness import CALM, Cluster, check, run, until
from test_durable import DISK, begin_all, end_all, stop_all
from test_partition import cut_off


def first_lsns(cluster, log):
    return {name: row['first_lsn'] for name, row in cluster.status(log).items()}


def lines(first, last):
    return b''.join(b'%d\n' % i for i in range(first, last + 1))


def test_what_is_trimmed_is_gone_on_every_node_and_nothing_else():
    for options in ((), DISK):
        with Cluster(3, *options, *CALM) as cluster:
            cluster.ok('log', 'create', 't', '--policy', 'cp')
            rows = cluster.ok('append', 't', '--json', stdin=lines(1, 1000)).rows()
            lsns = [row['lsn'] for row in rows]
            told = cluster.ok('log', 'trim', 't', '--before', lsns[500], '--json').rows()
            check([row['first_lsn'] for row in told] == 3 * [lsns[500]], told)
            for node in cluster.names:
                check(cluster.read('t', node) == lines(501, 1000), node)
                refused = cluster.cairn('read', 't', '--via', node, '--from', lsns[499], '--level', 'stale')
                check(refused.status == 1 and b'older than what the log still has' in refused.err, refused.err)
                check(b'(--from %d is where it begins)' % lsns[500] in refused.err, refused.err)
            # Less than was trimmed brings nothing back.
            cluster.ok('log', 'trim', 't', '--before', 2)
            # What is not there yet is not trimmed ahead of time.
            refused = cluster.cairn('log', 'trim', 't', '--before', lsns[-1] + 2)
            check(refused.status == 1 and b'nothing is trimmed' in refused.err, refused.status, refused.err)
            cluster.converged('t')
            # Who comes back without its memory, or from its disk, has the same.
            if options:
                end_all(cluster)
                begin_all(cluster)
            else:
                cluster.kill('n2')
                cluster.restart('n2')
            cluster.ok('append', 't', stdin=lines(1001, 1010))
            cluster.converged('t')
            until('each begins there', lambda: set(first_lsns(cluster, 't').values()) == {lsns[500]})
            for node in cluster.names:
                check(cluster.read('t', node) == lines(501, 1010), node)
            check(cluster.cairn('log', 'trim', 't').status == 2)
            check(cluster.cairn('log', 'trim', 'other', '--before', 5).status == 1)


def kept(cluster, log, node):
    """What the node still has. A read that is overtaken while the log is cut short is told so, and asked again."""
    result = None

    def read():
        nonlocal result
        result = cluster.cairn('read', log, '--via', node)
        check(result.status == 0 or b'older than what the log still has' in result.err, result)
        return result.status == 0
    until('a read is not overtaken', read)
    return result.out


def test_a_log_keeps_what_it_was_told_to():
    with Cluster(3, *CALM, '--clock-bound-ms', 1000) as cluster:
        cluster.ok('log', 'create', 'big', '--policy', 'cp', '--retain-bytes', '8M')
        cluster.ok('log', 'create', 'young', '--policy', 'cp', '--retain-age', '1s')
        cluster.ok('log', 'create', 'all', '--policy', 'cp')
        payload = b''.join(b'%d %s\n' % (i, b'x' * 4000) for i in range(6000))
        for log in ('big', 'all'):
            cluster.ok('append', log, stdin=payload)
        cluster.ok('append', 'young', stdin=lines(1, 100))
        until('it is too old', lambda: kept(cluster, 'young', 'n1') == b'')
        until('what is more than 8 MiB is gone', lambda: all(
            8 << 20 <= len(kept(cluster, 'big', node)) <= 20 << 20 for node in cluster.names))
        check(payload.endswith(cluster.read('big', 'n1')))
        check(cluster.read('all', 'n3') == payload)
        # Changed while it runs.
        cluster.ok('log', 'set', 'young', '--retain-age', '0')
        cluster.ok('append', 'young', stdin=lines(1, 10))
        cluster.ok('log', 'set', 'all', '--retain-bytes', '4M')
        until('the log that kept all keeps less', lambda: all(
            len(kept(cluster, 'all', node)) < 16 << 20 for node in cluster.names))
        check(cluster.read('young', 'n1') == lines(1, 10))
        row = {r['log']: r for r in cluster.ok('log', 'list', '--json').rows()}['all']
        check(row['retain_bytes'] == 4 << 20 and row['policy'] == 'cp', row)
        for bad in ('1x', 'many', '-1', '', '99999999999T'):
            check(cluster.cairn('log', 'set', 'all', '--retain-bytes', bad).status == 2, bad)
        for bad in ('1w', '300000d', '60000', '999ms'):
            check(cluster.cairn('log', 'set', 'all', '--retain-age', bad).status == 2, bad)
        # The most that is taken is applied.
        cluster.ok('log', 'set', 'all', '--retain-age', '36500d', '--retain-bytes', '1048576T')
        row = {r['log']: r for r in cluster.ok('log', 'list', '--json').rows()}['all']
        check(row['retain_age_ms'] == 36500 * 86400000 and row['retain_bytes'] == 1 << 60, row)
        check(cluster.cairn('log', 'set', 'all').status == 2)


def test_who_was_away_while_it_was_trimmed_begins_there_and_repeats_nothing():
    with Cluster() as cluster:
        cluster.ok('log', 'create', 'feed', '--policy', 'adaptive')
        cut_off(cluster, 'n3')
        until('n3 accepts alone', lambda: cluster.status('feed')['n3']['mode'] == 'AP')
        mine = ('--producer', 77, '--seq', 1)
        cluster.ok('append', 'feed', '--via', 'n3', *mine, stdin=b'once\n')
        leader = cluster.leader('feed', ['n1', 'n2'])
        cluster.ok('append', 'feed', '--via', leader, *mine, stdin=b'once\n')
        last = cluster.ok('append', 'feed', '--via', leader, '--json', stdin=lines(1, 1000)).rows()[-1]['lsn']
        cluster.ok('log', 'trim', 'feed', '--before', last)
        cluster.ok('fault', 'heal')
        cluster.converged('feed')
        until('it begins there', lambda: first_lsns(cluster, 'feed')['n3'] >= last)
        for node in cluster.names:
            check(cluster.read('feed', node) == b'1000\n', node, cluster.read('feed', node))
        check(any(e['node'] == 'n3' for e in cluster.events('rebased')))
        row = cluster.ok('append', 'feed', '--json', *mine, stdin=b'once\n').rows()[0]
        check(row.get('repeated'), row)


def test_a_read_by_time_begins_there():
    for options, block in (((), b'%d %d\n'), ((*DISK, '--memory-mib', 64), b'%d %d ' + 4000 * b'x' + b'\n')):
        with Cluster(3, *options, *CALM) as cluster:
            cluster.ok('log', 'create', 't', '--policy', 'cp')
            moments, rounds = [], []
            for i in range(4):
                moments.append(time.time_ns())
                rounds.append(b''.join(block % (i, j) for j in range(8000)))
                cluster.ok('append', 't', stdin=rounds[i])
                time.sleep(0.02)
            cluster.converged('t')
            for end in (end_all, stop_all, None) if options else (None,):
                for node in cluster.names:
                    for i, moment in enumerate(moments):
                        check(cluster.read('t', node, '--since', moment) == b''.join(rounds[i:]), node, i, end)
                    check(cluster.read('t', node, '--since', time.time_ns()) == b'')
                if end:
                    end(cluster)
                    begin_all(cluster)
                    cluster.converged('t')
            everything = b''.join(rounds)
            check(cluster.read('t', 'n1', '--since', '1h') == everything)
            check(cluster.read('t', 'n2', '--since', '2001-02-03T04:05:06Z') == everything)
            check(cluster.read('t', 'n3', '--since', '0ms') == b'')
            check(cluster.cairn('read', 't', '--since', 'yesterday').status == 2)
            check(cluster.cairn('read', 't', '--since', '1h', '--from', 5).status == 2)


def test_a_read_by_time_finds_its_beginning_among_what_was_merged():
    with Cluster(3) as cluster:
        cluster.ok('log', 'create', 't', '--policy', 'adaptive')
        cluster.ok('append', 't', stdin=lines(1, 10))
        cut_off(cluster, 'n3')
        until('n3 accepts alone', lambda: cluster.status('t')['n3']['mode'] == 'AP')
        cluster.ok('append', 't', '--via', 'n3', stdin=lines(100, 110))
        time.sleep(0.02)
        moment = time.time_ns()
        cluster.ok('append', 't', '--via', 'n1', stdin=lines(11, 20))
        cluster.ok('fault', 'heal')
        cluster.converged('t')
        # What was accepted before stands behind it on the trunk.
        for node in cluster.names:
            check(cluster.read('t', node, '--since', moment) == lines(11, 20) + lines(100, 110), node)
