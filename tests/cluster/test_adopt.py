"""Replicas of one log that contradict each other: it stops, on all nodes, until somebody decides whose history goes on."""
import contextlib
import signal
import time

import journal_editor
from harness import check, run, until
from journal_reader import read_journal
from machines import LINES, Machines

FIRST, LAST = LINES[:LINES.index(b'line 100')], LINES[LINES.index(b'line 100'):]
LAST_LINE = len(b'line 199\n')
OTHER = b''.join(line[:1].swapcase() + line[1:] for line in LAST.splitlines(keepends=True))


@contextlib.contextmanager
def two_histories():
    """n3 has, where the others have LAST, OTHER, committed in a later term; and a log beside that nothing is wrong with."""
    with Machines() as m:
        m.start().found()
        for log in ('a', 'beside'):
            m.ok('log', 'create', log, '--policy', 'cp')
            m.serves(log)
        m.ok('append', 'a', '--ack', 'all', stdin=FIRST)
        m.serves()
        until('all hold it', lambda: all(m.holds(node) == FIRST for node in m.names))
        lsn = m.rows('a')['n3']['last_lsn'] + 1
        # Nothing is under way of them any more, so LAST begins a block.
        m.ok('append', 'a', '--ack', 'all', stdin=LAST[:-LAST_LINE])
        until('all hold it', lambda: all(m.holds(node) == LINES[:-LAST_LINE] for node in m.names))
        # With a further entry they write down that those before are committed.
        m.ok('append', 'a', '--ack', 'all', stdin=LAST[-LAST_LINE:])
        until('all hold it', lambda: all(m.holds(node) == LINES for node in m.names))
        number = m.rows('a')['n3']['id']
        m.stop()
        check(journal_editor.rewrite_from(m.own('n3'), number, lsn) > 0, 'nothing was rewritten')
        m.start()
        until('the log has stopped on all', lambda: [r['stopped'] for r in m.rows('a').values()] == ['log'] * 3)
        yield m


def check_goes_on(m, lines):
    m.serves()
    m.ok('append', 'a', '--ack', 'all', stdin=b'decided\n')
    for node in m.names:
        until(f'{node} holds what was decided for', lambda: m.holds(node) == lines + b'decided\n')
    check(all(set(row['voters']) == set(m.names) for row in m.rows('a').values()), m.rows('a'))
    check(len({row['digest'] for row in m.rows('a').values()}) == 1, m.rows('a'))


def check_stands(m, lines):
    """The decision is of the log, not of the nodes' lives."""
    for _ in range(2):
        m.stop()
        m.start()
        m.serves()
        for node in m.names:
            until(f'{node} holds what was decided for', lambda: m.holds(node) == lines + b'decided\n')
    again = m.cairn('log', 'adopt', 'a', '--from', 'n1')
    check(again.status == 1 and b'nothing to decide' in again.err, again.status, again.err)
    m.stop(how=signal.SIGTERM)
    seen = run('inspect', '--digest', *(m.own(node) for node in m.names))
    check(seen.status == 0, seen.out, seen.err)
    for node in m.names:
        payloads, damaged = read_journal(m.own(node), 'a')
        held = b''.join(payload + b'\n' for payload in payloads if payload is not None)
        check(damaged == 0 and held == lines + b'decided\n', node, damaged, held[-200:])


def test_what_most_hold_is_adopted():
    with two_histories() as m:
        refused = m.cairn('append', 'a', '--deadline-ms', 500, stdin=b'x\n')
        check(refused.status != 0 and b'contradict each other' in refused.out, refused.out, refused.err)
        waits = m.cairn('append', 'a', '--deadline-ms', 1500, stdin=b'x\n')
        check(waits.status != 0 and b"waiting: for log 'a'" in waits.err, waits.out, waits.err)
        m.ok('append', 'beside', stdin=b'goes on\n')
        asked = m.cairn('log', 'adopt', 'a')
        check(asked.status == 0 and b'--from' in asked.err, asked.status, asked.err)
        # Who holds the same gives nothing up for the other. Whether both know all of it as committed is a matter of luck.
        rows = m.rows('a')
        alike = all(rows['n1'][key] == rows['n2'][key] and rows['n1']['last_lsn'] == rows['n1']['commit_lsn']
                    for key in ('last_lsn', 'commit_lsn', 'digest'))
        for node, other in ((b'n1', b'n2'), (b'n2', b'n1'), (b'n3', b'')):
            line = next(line for line in asked.out.splitlines() if b' from %s:' % node in line)
            given_up = line[line.index(b'gives up'):]
            check((b'what n3' in given_up) == (node != b'n3') and (not alike or not other or other not in given_up), line)
        for node in m.names:
            check(b'from %s: goes on behind lsn' % node.encode() in asked.out, asked.out)
        m.ok('log', 'adopt', 'a', '--from', 'n1')
        check_goes_on(m, LINES)
        check_stands(m, LINES)


def test_nothing_is_trimmed_of_a_log_that_has_stopped():
    """What somebody has to choose from is kept on every node."""
    with two_histories() as m:
        m.cairn('log', 'trim', 'a', '--before', 50)
        until('every node knows that', lambda: all(row['trim_before'] == 50 for row in m.rows('a').values()))
        time.sleep(0.5)
        check(all(row['first_lsn'] == 1 for row in m.rows('a').values()), m.rows('a'))


def test_what_one_holds_is_adopted():
    with two_histories() as m:
        rows = m.ok('log', 'adopt', 'a', '--from', 'n3', '--json').rows()
        chosen = [row['from'] for row in rows if row.get('chosen')]
        check(chosen == ['n3'] and len([row for row in rows if 'chosen' in row]) == 3, rows)
        check_goes_on(m, FIRST + OTHER)
        check_stands(m, FIRST + OTHER)


def test_who_is_away_is_named_and_gives_up_what_it_holds():
    with two_histories() as m:
        m.stop('n2')
        refused = m.cairn('log', 'adopt', 'a', '--from', 'n3')
        check(refused.status == 3 and b'n2 does not answer' in refused.err, refused.status, refused.err)
        m.ok('log', 'adopt', 'a', '--from', 'n3', '--without', 'n2')
        m.start('n2')
        m.ok('member', 'add', 'n2', '--log', 'a')
        check_goes_on(m, FIRST + OTHER)
        check_stands(m, FIRST + OTHER)


def test_what_cannot_be_decided_is_refused_by_name():
    with Machines() as m:
        m.with_log()
        for args, status, text in ((('a', '--from', 'n1'), 1, b"'a' has not stopped"),
                                   (('b', '--from', 'n1'), 1, b"no log 'b'"),
                                   (('b',), 1, b"no log 'b'"),
                                   (('a', '--from', 'n9'), 2, b'n9'),
                                   (('a', '--from', 'n1', '--without', 'n9'), 2, b'n9'),
                                   (('_catalog', '--from', 'n1'), 2, b'cluster recover'),
                                   (('--from', 'n1'), 2, b'NAME')):
            refused = m.cairn('log', 'adopt', *args)
            check(refused.status == status and text in refused.err, args, refused.status, refused.err)
        refused = m.cairn('log', 'set', 'a', '--from', 'n1')
        check(refused.status == 2, refused.status, refused.err)
        m.serves()
