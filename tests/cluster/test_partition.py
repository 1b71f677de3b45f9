"""Partitions between real processes: who refuses, who goes on, and what is left after the heal."""
import time

from harness import Cluster, check, until


def cut_off(cluster, node):
    rest = ','.join(n for n in cluster.names if n != node)
    return cluster.ok('fault', 'partition', f'{rest}|{node}', '--json').rows()[0]['t_ns']


def test_cp_refuses_on_the_cut_off_side_and_goes_on_on_the_other():
    with Cluster() as cluster:
        cluster.ok('log', 'create', 'bank', '--policy', 'cp')
        cluster.ok('append', 'bank', stdin=b'before\n')
        cut_off(cluster, 'n3')
        until('n3 denies', lambda: cluster.status('bank')['n3']['mode'] == 'DENIED')
        refused = cluster.cairn('append', 'bank', '--via', 'n3', '--json', stdin=b'lost\n')
        check(refused.status == 3, refused.status, refused.out)
        row = refused.rows()[0]
        check(row['error'] == 'no_quorum' and 'reaching 1' in row['detail'] and 'need 2' in row['detail'], row)
        check(cluster.cairn('read', 'bank', '--via', 'n3').status == 3)
        check(cluster.ok('read', 'bank', '--via', 'n3', '--level', 'stale').out == b'before\n')
        leader = cluster.leader('bank', ['n1', 'n2'])
        cluster.ok('append', 'bank', '--via', leader, stdin=b'after\n')
        cluster.ok('fault', 'heal')
        cluster.converged('bank')
        check(cluster.read('bank', 'n3') == b'before\nafter\n')


def test_adaptive_accepts_on_both_sides_and_merges():
    with Cluster() as cluster:
        cluster.ok('log', 'create', 'feed', '--policy', 'adaptive')
        cluster.ok('append', 'feed', stdin=b'before\n')
        cut_off(cluster, 'n3')
        until('n3 accepts alone', lambda: cluster.status('feed')['n3']['mode'] == 'AP')
        alone = b''.join(b'alone %d\n' % i for i in range(5000))
        rows = cluster.ok('append', 'feed', '--via', 'n3', '--json', stdin=alone).rows()
        check(len(rows) == 5000 and all(r['branch']['origin'] == 'n3' and r['ack'] == 'local' for r in rows), rows[0])
        together = b''.join(b'together %d\n' % i for i in range(5000))
        cluster.ok('append', 'feed', '--via', cluster.leader('feed', ['n1', 'n2']), stdin=together)
        check(cluster.ok('read', 'feed', '--via', 'n3', '--tentative').out == b'before\n' + alone)
        healed = time.monotonic_ns()
        cluster.ok('fault', 'heal')
        cluster.converged('feed')
        lines = cluster.read('feed', 'n1').splitlines(True)
        check(b''.join(l for l in lines if l.startswith(b'alone')) == alone, 'the branch is not there once and in order')
        check(b''.join(l for l in lines if l.startswith(b'together')) == together)
        check(len(lines) == 10001)
        check(cluster.read('feed', 'n3') == cluster.read('feed', 'n1'))
        seen = [e['to'] for e in cluster.events('mode_changed', healed) if e['node'] == 'n3' and e['log'] == 'feed']
        check(seen == ['MERGING', 'CP'], seen)


def test_ap_accepts_with_every_node_alone():
    with Cluster() as cluster:
        cluster.ok('log', 'create', 'social', '--policy', 'ap')
        cluster.ok('fault', 'partition', 'n1|n2|n3')
        until('all are alone', lambda: all(len(r['hears']) == 1 for r in cluster.status('social').values()))
        for node in cluster.names:
            data = b''.join(b'%s %d\n' % (node.encode(), i) for i in range(500))
            check(len(cluster.ok('append', 'social', '--via', node, '--json', stdin=data).rows()) == 500)
            check(cluster.cairn('read', 'social', '--via', node).status == 0)
        cluster.ok('fault', 'heal')
        cluster.converged('social')
        lines = cluster.read('social', 'n2').splitlines(True)
        check(len(lines) == 1500)
        for node in cluster.names:
            mine = [l for l in lines if l.startswith(node.encode())]
            check(mine == [b'%s %d\n' % (node.encode(), i) for i in range(500)], 'out of order:', node)


def test_a_cut_off_leader_moves_what_it_acknowledged_alone_to_its_branch():
    with Cluster() as cluster:
        cluster.ok('log', 'create', 'local', '--policy', 'cp')
        leader = cluster.leader('local')
        cut_off(cluster, leader)
        # Within the detection time the old leader still acknowledges at `local`.
        acked = [r for r in cluster.cairn('append', 'local', '--via', leader, '--ack', 'local', '--json',
                                          '--deadline-ms', 2000, stdin=b'%s\n' % b'x').rows() if 'error' not in r]
        others = [n for n in cluster.names if n != leader]
        cluster.ok('append', 'local', '--via', cluster.leader('local', others), stdin=b'majority\n')
        cluster.ok('fault', 'heal')
        cluster.converged('local')
        lines = cluster.read('local', leader).splitlines()
        check(lines.count(b'majority') == 1 and lines.count(b'x') == len(acked), lines, acked)


def test_detection_keeps_its_promise_in_an_idle_cluster():
    """Not a timed assertion of speed: the promise is 11 ms, the bound here only catches a detector
    that does not work while its node sleeps."""
    with Cluster() as cluster:
        cluster.ok('log', 'create', 'd', '--policy', 'cp')
        time.sleep(0.5)
        cut = cut_off(cluster, 'n3')
        until('n3 denies', lambda: cluster.status('d')['n3']['mode'] == 'DENIED')
        event = next(e for e in cluster.events('mode_changed', cut - 10**8)
                     if e['node'] == 'n3' and e['log'] == 'd' and e['to'] == 'DENIED')
        check(event['t_ns'] - cut < 5 * 10**9, event)


def test_a_policy_changes_while_the_log_runs():
    with Cluster() as cluster:
        cluster.ok('log', 'create', 'p', '--policy', 'cp')
        cluster.ok('log', 'set', 'p', '--policy', 'adaptive')
        check({r['policy'] for r in cluster.status('p').values()} == {'adaptive'})
        cut_off(cluster, 'n3')
        until('n3 accepts alone', lambda: cluster.status('p')['n3']['mode'] == 'AP')
        cluster.ok('append', 'p', '--via', 'n3', stdin=b'kept\n')
        cluster.ok('fault', 'heal')
        cluster.converged('p')
        check(cluster.read('p', 'n1') == b'kept\n')
