"""What clients of a cluster gave, were answered and read, and what its logs hold in the end: is it as promised?

A history is plain data, so that one can be written by hand, kept in a file and made wrong on purpose:

    {'logs':    {NAME: {'policy': 'cp', 'when_cut': 'deny', 'entries': [the rows of a last read of all of it]}},
     'appends': [{'client': NAME, 'log': NAME, 'asked': None or a level, 'began': s, 'ended': s,
                  'lines': [what was given], 'rows': [what was answered], 'status': the exit status}],
     'reads':   [{'log': NAME, 'node': NAME, 'from': lsn, 'to': lsn or None, 'began': s, 'ended': s,
                  'status': the exit status, 'entries': [rows]}],  current ones: linearizable, or as `ca` gives them
     'forgot':  [nodes that have lost their memory],
     'restarted': [nodes that have had more lives than one]}

Every line is given once in all of a history. judge() raises harness.Failed at the first thing that is wrong.
"""
import collections
import copy

from harness import Failed, TooFew, check

LEVELS = ['local', 'majority', 'all']
# Refusals that a command ends with 3 for; other errors are 1 (cli/cli.c).
REFUSED = {'no_quorum', 'denied', 'no_leader', 'not_leader', 'not_member', 'recovering', 'out_of_order', 'timeout', 'behind'}
# Of all answers, and of one log's, at least: a producer whose node died with what it wrote is refused for long.
ACKED_SHARE, LOG_SHARE, ANSWERS_FEW = 0.3, 0.05, 100


def is_acked(row):
    return 'error' not in row


def is_agreed(row):
    """Acknowledged by a majority at least: at its place for good."""
    return is_acked(row) and row['ack'] != 'local' and 'branch' not in row


def is_nobody_there(append):
    """It found no node when it began: no line was given to anybody."""
    return not append['rows'] and append['status'] in (1, 3)


def exit_status(rows):
    """The first refusal's, unless an outcome is unknown."""
    errors = [row['error'] for row in rows if 'error' in row]
    if 'unknown' in errors:
        return 4
    return 0 if not errors else 3 if errors[0] in REFUSED else 1


def check_answers(append):
    who, rows, lines = (append['client'], append['log']), append['rows'], append['lines']
    if is_nobody_there(append):
        return
    check(len(rows) == len(lines), who, 'was given', len(lines), 'lines and answered', len(rows))
    check(append['status'] == exit_status(rows), who, 'ended with', append['status'], 'not', exit_status(rows))
    for line, row in zip(lines, rows):
        check(is_acked(row) or isinstance(row['error'], str), who, 'row without an outcome', row)
        check(not is_acked(row) or row['ack'] in LEVELS, who, 'row without a level', row)
        check(not is_acked(row) or ('branch' in row) != ('lsn' in row), who, 'row without a place', row)


def least(log, asked):
    if asked is not None:
        return asked
    return {'cp': 'majority', 'adaptive': 'local', 'ap': 'local',
            'ca': 'majority' if log.get('when_cut') == 'cp' else 'all'}[log['policy']]


def check_levels(log, append):
    wanted = least(log, append['asked'])
    for line, row in zip(append['lines'], append['rows']):
        if not is_acked(row):
            continue
        check(LEVELS.index(row['ack']) >= LEVELS.index(wanted), append['log'], 'answers less than', wanted, 'for', line, row)
        check('branch' not in row or row['ack'] == 'local', append['log'], 'says more of a branch than it is worth', row)


def check_trunk(name, entries, given):
    """In order, each once, of somebody who gave it; no sequence twice and no clock back where one node wrote."""
    origins, lsn = collections.defaultdict(list), 0
    seen, last = set(), {}
    for entry in entries:
        line = entry['payload']
        check(entry['lsn'] > lsn, f'{name}: lsn {entry["lsn"]} comes after {lsn}')
        lsn = entry['lsn']
        check(line in given, f'{name}: {line!r} at lsn {lsn} was given by nobody')
        check(line not in seen, f'{name}: {line!r} is doubled, again at lsn {lsn}')
        seen.add(line)
        client, number = given[line]
        producer = client, entry.get('producer')
        check(number > last.get(producer, -1), f'{name}: of {client}, {number} comes after {last.get(producer)}')
        last[producer] = number
        if 'seq' in entry:
            origins[entry['origin'], entry['incarnation']].append((entry['seq'], entry['hlc']))
    for origin, places in origins.items():
        places.sort()
        for (seq, hlc), (next_seq, next_hlc) in zip(places, places[1:]):
            check(seq < next_seq, f'{name}: two entries of {origin} have sequence {seq}')
            check(hlc < next_hlc, f'{name}: the clock of {origin} goes back after sequence {seq}')


class Trunk:
    """What a log holds in the end, by line and by place."""

    def __init__(self, entries):
        self.entries = entries
        self.lines = {entry['payload']: entry for entry in entries}
        self.lsns = {entry['lsn']: entry for entry in entries}
        self.branches = collections.defaultdict(list)
        for entry in entries:
            if 'seq' in entry:
                self.branches[entry['origin'], entry['seq']].append(entry)


def is_forgiven(row, forgot):
    """One node's word, and that node has lost its memory since; of the trunk's it is not said which."""
    return row['ack'] == 'local' and (row['branch']['origin'] in forgot if 'branch' in row else bool(forgot))


def check_place(history, append, line, row, trunk):
    """Where it was told to be, there it is."""
    told = f'{append["log"]}: {line!r} was told to be at'
    if is_agreed(row) and row['lsn'] != 0:
        found = trunk.lsns.get(row['lsn'])
        check(found is not None and found['payload'] == line, told, row, 'and there is', found)
        check(found['term'] == row['term'], told, row, 'and there is', found)
    elif 'branch' in row:
        place = row['branch']['origin'], row['branch']['seq']
        there = trunk.branches[place]
        # Repeated elsewhere it may have come to the trunk by another's branch; in its place is nothing else then.
        if not row['repeated'] and place[0] not in history['restarted']:
            check(not there or any(entry['payload'] == line for entry in there), told, place, 'and there is', there)


def check_outcomes(history, append, trunk):
    log, forgot = append['log'], history['forgot']
    rows = [{'error': 'nobody'}] * len(append['lines']) if is_nobody_there(append) else append['rows']
    for line, row in zip(append['lines'], rows):
        if not is_acked(row):
            check(row['error'] == 'unknown' or line not in trunk.lines, f'{log}: {line!r} was refused and is there', row)
            continue
        check(line in trunk.lines or is_forgiven(row, forgot), f'{log}: {line!r} was acknowledged and is lost', row)
        check_place(history, append, line, row, trunk)


def agreed_lsns(append):
    return [row['lsn'] for row in append['rows'] if is_agreed(row) and row['lsn'] != 0 and not row['repeated']]


def check_append_order(log, appends):
    """What was given after another was answered stands behind it."""
    by_end, highest, who = sorted(appends, key=lambda a: a['ended']), 0, None
    ended = iter(by_end)
    former = next(ended, None)
    for append in sorted(appends, key=lambda a: a['began']):
        while former is not None and former['ended'] <= append['began']:
            for lsn in agreed_lsns(former):
                if lsn > highest:
                    highest, who = lsn, former['client']
            former = next(ended, None)
        for lsn in agreed_lsns(append):
            check(lsn > highest, f'{log}: lsn {lsn} of {append["client"]} was given after lsn {highest} of {who} was answered')


def check_read(log, read, trunk, known):
    """known: lsns that were answered, or shown, before it began."""
    shown = [entry['lsn'] for entry in read['entries']]
    end = max(shown, default=0)
    for entry in read['entries']:
        found = trunk.lsns.get(entry['lsn'])
        check(found is not None and found['payload'] == entry['payload'], f'{log}: a read at {read["node"]} shows', entry,
              'and there is', found)
    wanted = [lsn for lsn in trunk.lsns if read['from'] <= lsn <= end]
    check(sorted(wanted) == shown, f'{log}: a read at {read["node"]} leaves out', sorted(set(wanted) - set(shown)))
    last, places = read['to'] or max(trunk.lsns, default=0), set(shown)
    for lsn in known:
        check(lsn < read['from'] or lsn > last or lsn in places, f'{log}: a current read at {read["node"]} is stale: lsn {lsn}',
              'was known before it began, and it ends at', end)


def check_reads(log, appends, reads, trunk):
    facts = [(append['ended'], lsn) for append in appends for lsn in agreed_lsns(append)]
    facts += [(read['ended'], entry['lsn']) for read in reads for entry in read['entries']]
    for read in reads:
        check_read(log, read, trunk, {lsn for at, lsn in facts if at <= read['began']})


def enough(condition, what):
    if not condition:
        raise TooFew(what)


def check_share(history):
    """A history in which nothing was taken shows nothing."""
    taken, answered = collections.Counter(), collections.Counter()
    for append in history['appends']:
        answered[append['log']] += len(append['rows'])
        taken[append['log']] += sum(map(is_acked, append['rows']))
    for log in history['logs']:
        enough(answered[log] > 0 and taken[log] > 0, f'{log}: of {answered[log]} answers none is an acknowledgement')
        enough(answered[log] < ANSWERS_FEW or taken[log] >= LOG_SHARE * answered[log],
               f'{log}: of {answered[log]} answers only {taken[log]} are acknowledgements')
        enough(any(read['log'] == log and read['status'] == 0 for read in history['reads']),
               f'{log}: no current read was answered')
    answers, acks = sum(answered.values()), sum(taken.values())
    enough(answers < ANSWERS_FEW or acks >= ACKED_SHARE * answers, f'of {answers} answers only {acks} are acknowledgements')
    return answers, acks


def judge(history):
    """Raises where the history is not as promised; returns how many answers there were, and acknowledgements."""
    given = collections.defaultdict(dict)
    for append in history['appends']:
        check_answers(append)
        check_levels(history['logs'][append['log']], append)
        for number, line in enumerate(append['lines']):
            check(line not in given[append['log']], 'this is no history:', line, 'is given twice')
            given[append['log']][line] = append['client'], number
    for name, log in history['logs'].items():
        appends = [append for append in history['appends'] if append['log'] == name]
        trunk = Trunk(log['entries'])
        check_trunk(name, log['entries'], given[name])
        for append in appends:
            check_outcomes(history, append, trunk)
        check_append_order(name, appends)
        check_reads(name, appends, [r for r in history['reads'] if r['log'] == name and r['status'] == 0], trunk)
    return check_share(history)


# Histories made wrong: what a judge that looks must say no to.


def last_answers_taken(history):
    for append in history['appends']:
        del append['rows'][-3:]


def all_unknown(history):
    for append in history['appends']:
        append['rows'] = [{'error': 'unknown', 'producer': 1, 'seq': 1} for _ in append['rows']]
        append['status'] = 4 if append['rows'] else append['status']


def exit_status_wrong(history):
    append = next(append for append in history['appends'] if append['rows'])
    append['status'] = 4 if append['status'] == 0 else 0


def agreed_entry(history):
    """A log, and where in it stands what a majority acknowledged."""
    for append in history['appends']:
        for line, row in zip(append['lines'], append['rows']):
            if is_agreed(row) and row['lsn'] != 0:
                entries = history['logs'][append['log']]['entries']
                return entries, next(i for i, entry in enumerate(entries) if entry['payload'] == line), append, row
    raise Failed('nothing is acknowledged by a majority in this history')


def one_lost(history):
    entries, place, _, _ = agreed_entry(history)
    del entries[place]


def one_doubled(history):
    entries, place, _, _ = agreed_entry(history)
    entries.append(dict(entries[place], lsn=entries[-1]['lsn'] + 1))


def one_elsewhere(history):
    _, _, _, row = agreed_entry(history)
    row['lsn'] += 1


def answers_swapped(history):
    for append in history['appends']:
        agreed = [i for i, row in enumerate(append['rows']) if is_agreed(row) and row['lsn'] != 0]
        if len(agreed) >= 2:
            rows, (one, other) = append['rows'], agreed[:2]
            rows[one], rows[other] = rows[other], rows[one]
            return
    raise Failed('nobody has two acknowledgements by a majority in this history')


def one_of_less(history):
    for append in history['appends']:
        for row in append['rows']:
            if is_acked(row) and least(history['logs'][append['log']], append['asked']) != 'local':
                row['ack'] = 'local'
                return
    raise Failed('nobody asked for more than local in this history')


def one_refused_found(history):
    _, place, append, row = agreed_entry(history)
    place = append['rows'].index(row)
    append['rows'][place] = {'error': 'no_quorum', 'detail': 'made up'}
    append['status'] = exit_status(append['rows'])


def one_invented(history):
    entries, place, _, _ = agreed_entry(history)
    entries[place] = dict(entries[place], payload='nobody gave this')


def reads_stale(history):
    for read in history['reads']:
        read['entries'] = []


WRONG = [last_answers_taken, all_unknown, exit_status_wrong, answers_swapped, one_lost, one_doubled, one_elsewhere,
         one_of_less, one_refused_found, one_invented, reads_stale]


def says_no(history, wrong):
    """What is said of the history made wrong; None: nothing, which is a fault of the judge."""
    made = copy.deepcopy(history)
    wrong(made)
    try:
        judge(made)
    except Failed as failed:
        return str(failed)
    return None


def check_that_it_can_say_no(history):
    for wrong in WRONG:
        check(says_no(history, wrong) is not None, 'the judge says nothing of', wrong.__name__)
