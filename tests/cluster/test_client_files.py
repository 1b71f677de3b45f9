"""Clients whose cluster file lists the nodes otherwise than the cluster has agreed on: the agreed list counts."""
import os

from harness import CALM, Cluster, check, run, until
from machines import Machines

# What a client may ask for, of which it names a node or not.
COMMANDS = (('append', 'ap', '--via', 'n1'), ('append', 'cp'), ('read', 'cp', '--via', 'n1'), ('view', 'cp'), ('log', 'set', 'cp', '--retain-age', '5m'),
            ('log', 'trim', 'cp', '--before', 2), ('log', 'list'), ('log', 'create', 'new', '--policy', 'cp'), ('member', 'transfer', 'n1', '--log', 'cp'),
            ('member', 'remove', 'n1', '--log', 'cp'), ('member', 'replace', 'n1'), ('cluster', 'show', '--via', 'n1'), ('cluster', 'remove', 'n3'),
            ('cluster', 'set', '--timeout-us', 300000), ('cluster', 'recover', '--from', 'n1', '--without', 'n3'), ('status',), ('events', '--via', 'n1'),
            ('fault', 'partition', 'n1|n2,n3'), ('log', 'adopt', 'cp', '--from', 'n1'))


def with_logs(cluster):
    for log, policy in (('cp', 'cp'), ('ap', 'ap')):
        cluster.ok('log', 'create', log, '--policy', policy)
        cluster.ok('append', log, stdin=b'one\ntwo\nthree\n')
    cluster.converged('cp')
    cluster.ok('member', 'transfer', 'n3', '--log', 'cp')


def listing(cluster, *names):
    """A copy of the cluster's file with the nodes so."""
    with open(cluster.file) as file:
        head = file.read().partition('nodes:')[0]
    path = os.path.join(cluster.dir, 'other.yaml')
    with open(path, 'w') as file:
        file.write(head + 'nodes:\n' + ''.join(f'  - name: {name}\n' for name in names))
    return path


def test_another_order_or_name_is_refused_before_anything_is_done():
    with Cluster(3, *CALM) as cluster:
        with_logs(cluster)
        before = cluster.status('cp')
        # What is named: the first line that is not as it was agreed on.
        for names, says in ((('n2', 'n1', 'n3'), b"node 2 is 'n1' here, but the cluster has agreed on 'n2'"),
                            (('n1', 'nx', 'n3'), b"node 2 is 'nx' here, but the cluster has agreed on 'n2'"),
                            (('n3', 'n1'), b"node 2 is 'n1' here, but the cluster has agreed on 'n2'"),
                            (('n1', 'n2', 'nx'), b"node 3 is 'nx' here, but the cluster has agreed on 'n3'")):
            path = listing(cluster, *names)
            for args in COMMANDS:
                refused = run(*args, '--cluster', path, stdin=b'x\n', limit_s=5)
                check(refused.status == 1 and says in refused.err and b', line ' in refused.err and not refused.out and
                      refused.err.count(b'\n') == 1, names, args, refused.status, refused.out, refused.err)
        after = cluster.status('cp')
        for key in ('voters', 'retain_age_ms', 'first_lsn'):
            check(before['n1'][key] == after['n1'][key], key, before['n1'], after['n1'])
        for log in ('cp', 'ap'):
            check(cluster.read(log, 'n1') == b'one\ntwo\nthree\n', log)
        check(cluster.status('new') == {})


def test_nodes_that_the_file_lists_beyond_count_nowhere():
    with Cluster(3, *CALM) as cluster:
        with_logs(cluster)
        path = listing(cluster, 'n1', 'n2', 'n3', 'n4', 'n5')

        def ok(*args):
            done = run(*args, '--cluster', path, stdin=b'x\n', limit_s=9)
            check(done.status == 0 and b'n4' not in done.err, args, done.status, done.out, done.err)
            return done
        for args in (('log', 'set', 'cp', '--retain-age', '5m'), ('log', 'create', 'b', '--policy', 'cp'), ('cluster', 'set', '--timeout-us', 250000), ('status',),
                     ('fault', 'partition', 'n1|n2,n3'), ('fault', 'heal'), ('append', 'cp'), ('events',)):
            check(b' of 5' not in ok(*args).err, args)
        for args in (('member', 'add', 'n4'), ('member', 'replace', 'n4'), ('log', 'create', 'c', '--policy', 'cp', '--members', 'n1,n4'),
                     ('fault', 'link', 'n4>n1', 'drop=1'), ('cluster', 'recover', '--from', 'n4')):
            refused = run(*args, '--cluster', path, limit_s=5)
            check(refused.status == 2 and b"'cairn cluster add n4' first" in refused.err, args, refused.status, refused.err)
        needless = run('cluster', 'recover', '--from', 'n1', '--without', 'n2', '--cluster', path)
        check(needless.status == 1 and b'nothing need be given up' in needless.err, needless.status, needless.err)
        cluster.kill('n2')
        until('n2 is missed', lambda: all('n2' not in row['hears'] for row in cluster.status('cp').values()))
        for args in (('log', 'set', 'cp', '--retain-age', '6m'), ('log', 'trim', 'cp', '--before', 2)):
            check(b'in force on 2 of 3 nodes' in ok(*args).err, args)
        needless = run('cluster', 'recover', '--from', 'n1', '--without', 'n2', '--cluster', path)
        check(needless.status == 1 and b'nothing need be given up' in needless.err, needless.status, needless.err)


def test_a_cluster_is_founded_as_its_nodes_have_it():
    with Machines() as m:
        m.start()
        until('all can be asked', lambda: m.cairn('status', '--json').status == 0)
        old = m.file + '.old'
        m.write_file(old, names=['n1', 'n2'])
        until('it is founded', lambda: b'of 3 nodes' in run('cluster', 'bootstrap', '--cluster', old).out)


def test_nodes_that_the_file_lacks_are_known_to_all_commands():
    with Machines(nodes=4) as m:
        m.with_log()
        for names in (['n1', 'n2'], ['n1', 'n4'], ['n4']):
            old = m.file + '.old'
            m.write_file(old, names=names)
            shown = run('cluster', 'show', '--via', 'n3', '--json', '--cluster', old)
            check(shown.status == 0 and len(shown.rows()) == 4, names, shown.status, shown.err)
            needless = run('cluster', 'recover', '--from', 'n4', '--without', 'n3', '--cluster', old)
            check(needless.status == 1 and b'nothing need be given up' in needless.err, names, needless.status, needless.err)
            for node in m.names:
                # On a busy machine another may be elected meanwhile.
                until(f'{node} leads, by {names}', lambda node=node: run('member', 'transfer', node, '--log', 'a', '--cluster', old).status == 0)
                told = run('append', 'a', '--via', node, '--json', '--cluster', old, stdin=b'x\n')
                check(told.status == 0, names, node, told.status, told.out)
                rows = [run('read', 'a', '--from', told.rows()[0]['lsn'], '--json', '--cluster', file).rows() for file in (old, m.file)]
                check(rows[0] == rows[1] and rows[0], names, node, rows)
        # Whether there is a journal is agreed on, too.
        m.write_file(m.file + '.old', durability='memory')
        made = run('log', 'create', 'kept', '--policy', 'cp', '--durability', 'disk', '--cluster', m.file + '.old')
        check(made.status == 0, made.status, made.err)
