"""Who leads and who votes, changed while real processes run."""
import subprocess

from harness import CALM, Cluster, check, until


def test_leadership_is_handed_over():
    with Cluster() as cluster:
        cluster.ok('log', 'create', 'a', '--policy', 'cp')
        for name in ('n2', 'n3', 'n1', 'n1'):
            cluster.ok('member', 'transfer', name, '--log', 'a')
            check(cluster.leader('a') == name)
            cluster.ok('append', 'a', '--via', name, stdin=name.encode())
        check(cluster.cairn('member', 'transfer', 'n9').status == 2)
        check(cluster.cairn('member', 'destroy', 'n1').status == 2)


def test_a_member_goes_and_comes_back():
    with Cluster() as cluster:
        cluster.ok('log', 'create', 'a', '--policy', 'cp')
        cluster.ok('append', 'a', stdin=b'before\n')
        leader = cluster.leader('a')
        cluster.ok('member', 'remove', leader, '--log', 'a')
        rest = [name for name in cluster.names if name != leader]
        check(cluster.leader('a', rest) in rest)
        row = until('it knows', lambda: cluster.status('a')[rest[0]] if leader not in cluster.status('a')[rest[0]]['voters'] else None)
        check(sorted(row['voters']) == sorted(rest), row)
        cluster.ok('append', 'a', stdin=b'without it\n')
        cluster.ok('member', 'add', leader, '--log', 'a', '--learner')
        until('it learns', lambda: cluster.status('a')[leader]['role'] == 'learner')
        cluster.ok('append', 'a', stdin=b'with a learner\n')
        cluster.ok('member', 'promote', leader, '--log', 'a')
        until('it votes', lambda: sorted(cluster.status('a')[leader]['voters']) == cluster.names)
        cluster.ok('append', 'a', stdin=b'with it\n')
        cluster.converged('a')
        check(cluster.read('a', leader) == b'before\nwithout it\nwith a learner\nwith it\n', cluster.read('a', leader))


def test_a_log_of_two_takes_a_third():
    with Cluster() as cluster:
        cluster.ok('log', 'create', 'two', '--policy', 'cp', '--members', 'n1,n2')
        check(cluster.status('two')['n1']['voters'] == ['n1', 'n2'])
        cluster.ok('append', 'two', stdin=b'one\ntwo\n')
        cluster.ok('member', 'add', 'n3', '--log', 'two')
        until('all vote', lambda: cluster.status('two')['n3']['voters'] == cluster.names)
        cluster.converged('two')
        check(cluster.cairn('log', 'create', 'x', '--policy', 'cp', '--members', 'n1,n9').status == 2)


def test_who_is_no_member_serves_nothing_and_names_one():
    with Cluster(5, *CALM) as cluster:
        cluster.ok('log', 'create', 'far', '--policy', 'cp', '--members', 'n3,n4,n5')
        cluster.ok('append', 'far', stdin=b'one\ntwo\n')
        for level in ('stale', 'linearizable'):
            refused = cluster.cairn('read', 'far', '--via', 'n1', '--level', level)
            check(refused.status == 3 and b'no member' in refused.err, level, refused.status, refused.err)
        check(cluster.ok('read', 'far').out == b'one\ntwo\n')
        cluster.ok('append', 'far', '--via', 'n1', stdin=b'three\n')
        tail = cluster.start('tail', 'far', '--via', 'n5', stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        check(tail.stdout.readline() == b'one\n')
        cluster.ok('member', 'remove', 'n5', '--log', 'far')
        check(tail.wait(20) == 3, 'a tail at a node that left')
        check(cluster.cairn('read', 'far', '--via', 'n5', '--level', 'stale').status == 3)
        # Its trunk still counts it, since it is sent nothing any more; it knows better.
        check(cluster.status('far')['n5']['role'] == 'none', cluster.status('far')['n5'])


def test_what_does_not_run_is_named_and_not_waited_for():
    with Cluster(3, *CALM) as cluster:
        cluster.ok('log', 'create', 'a', '--policy', 'cp')
        cluster.ok('log', 'create', 'b', '--policy', 'cp')
        cluster.converged('b')
        for log in ('a', '_catalog'):
            cluster.ok('member', 'remove', 'n3', '--log', log)
        cluster.kill('n3')
        until('n3 is missed', lambda: all('n3' not in row['hears'] for row in cluster.status('a').values()))
        led = cluster.cairn('member', 'transfer', 'n3', '--log', 'b', limit_s=12)
        check(led.status == 3 and b'n3 is not heard, and cannot lead' in led.err, led.status, led.err)
        added = cluster.cairn('member', 'add', 'n3', limit_s=12)
        check(added.status == 3 and b'n3 is not heard' in added.err and added.err.count(b'n3 is not heard') == 1, added.status, added.err)
        for args in (('status',), ('cluster', 'show'), ('events',), ('read', 'a'), ('append', 'a', '--deadline-ms', 500)):
            silent = cluster.cairn(*args, '--via', 'n3', stdin=b'x\n')
            check(silent.status == 1 and b'n3 does not answer' in silent.err and b'cairn dev' not in silent.err and b'is down' not in silent.err,
                  args, silent.status, silent.err)
        cluster.restart('n3')
        until('n3 is heard', lambda: all('n3' in row['hears'] for row in cluster.status('a').values()))
        done = cluster.ok('member', 'add', 'n3')
        check(sorted(done.out.splitlines()) == [b'n3: _catalog: done', b'n3: a: done', b'n3: b: done'], done.out)
        for name in ('n1', 'n2', 'n3'):
            cluster.kill(name)
        down = cluster.cairn('status')
        check(down.status == 1 and b'the cluster is down' in down.err and b'cairn dev' in down.err, down.status, down.err)
