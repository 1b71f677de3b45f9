"""Logs in memory, of nodes that keep a journal: what such a log had is gone with its nodes, and nobody takes that for nothing."""
import signal

from harness import check, until
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
