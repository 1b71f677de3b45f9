"""Logs in memory, of nodes that keep a journal: what such a log had is gone with its nodes, and nobody takes that for nothing."""
import os
import shutil
import signal
import time

from harness import CALM, Cluster, check, until
from machines import LINES, Machines


def roles(m, log='m'):
    return {node: row['role'] for node, row in m.rows(log).items()}


def made(m):
    m.start().found()
    m.ok('log', 'create', 'm', '--policy', 'cp', '--durability', 'memory')
    m.serves('m')
    m.ok('append', 'm', '--ack', 'all', stdin=LINES)
    until('all hold it', lambda: all(m.holds(node, 'm') == LINES for node in m.names))
    return m


def test_who_lost_it_does_not_vote_for_less():
    with Machines() as m:
        made(m)
        # n3 never hears of it; then n1 hangs, and n2, which comes back without it, would be a majority with n3.
        m.running['n3'].send_signal(signal.SIGSTOP)
        m.ok('append', 'm', stdin=b'of two\n')
        m.running['n1'].send_signal(signal.SIGSTOP)
        m.stop('n2')
        m.start('n2')
        m.running['n3'].send_signal(signal.SIGCONT)
        m.serves('_catalog', ('n2', 'n3'))
        check(m.cairn('append', 'm', '--deadline-ms', 1500, stdin=b'of others\n').status != 0)
        check(roles(m)['n2'] == 'recovering' and 'leader' not in roles(m).values(), roles(m))
        m.running['n1'].send_signal(signal.SIGCONT)
        for node in m.names:
            until(f'{node} holds it', lambda: m.holds(node, 'm') == LINES + b'of two\n')


def test_what_one_holds_goes_on_by_decision():
    with Machines() as m:
        made(m)
        early = m.cairn('log', 'adopt', 'm', '--from', 'n1')
        check(early.status == 1 and b'nothing to decide' in early.err, early.err)
        m.stop('n2', 'n3')
        m.start('n2', 'n3')
        until('two have forgotten', lambda: sorted(roles(m).values()).count('recovering') == 2)
        wrong = m.cairn('log', 'adopt', 'm', '--from', 'n2')
        check(wrong.status == 1 and b'n1' in wrong.err, wrong.out, wrong.err)
        shown = m.ok('log', 'adopt', 'm')
        check(b'from n1' in shown.out and b'from n2' not in shown.out, shown.out)
        m.ok('log', 'adopt', 'm', '--from', 'n1')
        m.serves('m')
        m.ok('append', 'm', '--ack', 'all', stdin=b'on\n')
        for node in m.names:
            until(f'{node} holds it', lambda: m.holds(node, 'm') == LINES + b'on\n')


def test_when_all_are_gone_the_log_is_empty_by_decision():
    with Machines() as m:
        made(m)
        m.ok('log', 'create', 'd', '--policy', 'cp')
        m.serves('d')
        m.stop(how=signal.SIGTERM)
        m.start()
        m.serves('d')
        until('all have forgotten', lambda: list(roles(m).values()) == ['recovering'] * 3)
        refused = m.cairn('append', 'm', '--deadline-ms', 500, stdin=b'x\n')
        check(refused.status != 0, refused.out)
        m.ok('log', 'adopt', 'm', '--from', 'n2')
        m.serves('m')
        m.ok('append', 'm', '--ack', 'all', stdin=b'anew\n')
        for node in m.names:
            until(f'{node} holds it', lambda: m.holds(node, 'm') == b'anew\n')
        again = m.cairn('log', 'adopt', 'm', '--from', 'n1')
        check(again.status == 1 and b'nothing to decide' in again.err, again.err)


def test_who_once_lost_its_directory_forgets_no_less_later():
    with Machines() as m:
        made(m)
        m.stop('n2')
        m.wipe('n2')
        m.start('n2')
        m.serves('m')
        until('n2 holds it', lambda: m.holds('n2', 'm') == LINES)
        until('that is kept', lambda: 'forgotten 0\n' in open(os.path.join(m.own('n2'), 'identity')).read())
        m.stop('n2', 'n3')
        m.start('n2', 'n3')
        m.serves('_catalog')
        until('two have forgotten', lambda: sorted(roles(m).values()).count('recovering') == 2)
        check('leader' not in roles(m).values(), roles(m))


def test_a_decision_is_about_one_loss():
    with Machines() as m:
        made(m)
        m.stop('n2', 'n3')
        m.start('n2', 'n3')
        until('two have forgotten', lambda: sorted(roles(m).values()).count('recovering') == 2)
        m.ok('log', 'adopt', 'm', '--from', 'n1')
        m.serves('m')
        m.ok('append', 'm', '--ack', 'all', stdin=b'on\n')
        until('all vote', lambda: all(len(row['voters']) == 3 for row in m.rows('m').values()))
        # The next loss is another's to decide, also where the node that it was decided for is among those that forgot.
        m.stop('n1', 'n2')
        m.start('n1', 'n2')
        m.serves('_catalog')
        until('two have forgotten again', lambda: sorted(roles(m).values()).count('recovering') == 2)
        check(m.cairn('append', 'm', '--deadline-ms', 1500, stdin=b'x\n').status != 0)
        check('leader' not in roles(m).values() and m.rows('m')['n3']['stopped'] == '', m.rows('m'))
        m.ok('log', 'adopt', 'm', '--from', 'n3')
        m.serves('m')
        for node in m.names:
            until(f'{node} holds it', lambda: m.holds(node, 'm') == LINES + b'on\n')
        # And where all forget.
        m.stop(how=signal.SIGTERM)
        m.start()
        m.serves('_catalog')
        until('all have forgotten', lambda: list(roles(m).values()) == ['recovering'] * 3)
        check(m.cairn('append', 'm', '--deadline-ms', 1500, stdin=b'x\n').status != 0)
        check(list(roles(m).values()) == ['recovering'] * 3, roles(m))


def test_a_decision_about_journals_is_about_one_loss_too():
    with Machines() as m:
        m.write_file(m.file, memory_mib=256, more='workers: 2\n')
        m.start().found()
        m.ok('log', 'create', 'd', '--policy', 'cp', '--worker', '1')
        m.serves('d')
        m.ok('append', 'd', '--ack', 'all', stdin=LINES)
        for gone, left in ((('n2', 'n3'), 'n1'), (('n1', 'n2'), 'n3')):
            m.stop(*gone)
            for node in gone:
                shutil.rmtree(m.journal(node, 1))
            m.start(*gone)
            m.serves('_catalog')
            until('two have forgotten', lambda: sorted(roles(m, 'd').values()).count('recovering') == 2)
            check(m.cairn('append', 'd', '--deadline-ms', 1500, stdin=b'x\n').status != 0)
            check('leader' not in roles(m, 'd').values() and m.rows('d')[left]['stopped'] == '', m.rows('d'))
            m.ok('log', 'adopt', 'd', '--from', left)
            m.serves('d')
            for node in m.names:
                until(f'{node} holds it', lambda: m.holds(node, 'd') == LINES)
            until('all vote', lambda: all(len(row['voters']) == 3 for row in m.rows('d').values()))


def test_a_log_that_is_lost_keeps_no_other_waiting():
    with Machines() as m:
        m.write_file(m.file, memory_mib=256, more='workers: 2\n')
        m.start().found()
        for log, durability in (('m', 'memory'), ('d', 'disk')):
            m.ok('log', 'create', log, '--policy', 'cp', '--durability', durability, '--worker', '1')
            m.serves(log)
            m.ok('append', log, '--ack', 'all', stdin=LINES)
        m.stop('n2', 'n3')
        m.start('n2', 'n3')
        until('two have forgotten', lambda: sorted(roles(m).values()).count('recovering') == 2)
        for node in ('n2', 'n3'):
            m.stop(node)
            shutil.rmtree(m.journal(node, 1))
            m.start(node)
            m.says(node, f'worker 1 of node {node} has forgotten')
            m.serves('d')
            until('that is over', lambda: 'forgetful 0\n' in open(os.path.join(m.own(node), 'identity')).read())
        # The journals say so too, within 20 ms of rest.
        time.sleep(1)
        # Both have all that they promised of it.
        m.stop('n2', 'n3')
        m.start('n2', 'n3')
        m.serves('d')
        check(m.ok('read', 'd').out == LINES)


def test_what_is_lost_is_said_and_keeps_nobody_from_starting():
    options = ('--durability', 'disk', *CALM)
    with Cluster(3, *options) as cluster:
        for log, durability in (('m', 'memory'), ('d', 'disk')):
            cluster.ok('log', 'create', log, '--policy', 'cp', '--durability', durability)
            cluster.ok('append', log, stdin=LINES)
        check(b'lost' not in cluster.ok('status').out)
        cluster.ok('dev', '--stop', '--dir', cluster.dir)
        again = cluster.ok('dev', '--detach', '--dir', cluster.dir, *options)
        check(b"m is lost" in again.err and b'log adopt m' in again.err, again.err)
        check(cluster.ok('read', 'd').out == LINES)
        shown = cluster.ok('status').out
        check(shown.count(b'm is lost') == 1 and b'd is lost' not in shown, shown)
        check({row['log'] for row in cluster.ok('status', '--json').rows() if row['lost']} == {'m'})
        cluster.ok('log', 'adopt', 'm', '--from', 'n1')
        until('it is led', lambda: cluster.cairn('append', 'm', stdin=b'x\n').status == 0)
        check(b'lost' not in cluster.ok('status').out)
