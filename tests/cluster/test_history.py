"""The judge of histories is fed wrong ones, and sound ones beside them. Those with a source are told as facts of other
checkers' own tests, in terms of a log."""
import copy

import history
from harness import check


def log(*lines, policy='cp', **more):
    """Lines at lsn 2 and on, of n1, by one producer each client."""
    return {'policy': policy, 'entries': [entry(lsn, line) for lsn, line in enumerate(lines, 2)], **more}


def entry(lsn, line, **more):
    return {'lsn': lsn, 'term': 1, 'origin': 'n1', 'incarnation': 1, 'seq': lsn, 'fork_lsn': lsn - 1, 'hlc': 1000 + lsn,
            'producer': line.rsplit(' ', 1)[0], 'payload': line, **more}


def acked(lsn, ack='majority', **more):
    return {'lsn': lsn, 'term': 1, 'ack': ack, 'repeated': False, **more}


def branch(origin, seq):
    return {'branch': {'origin': origin, 'seq': seq}, 'fork_lsn': 1, 'ack': 'local', 'repeated': False}


def unknown():
    return {'error': 'unknown', 'producer': 1, 'seq': 1}


def refused(error='no_quorum'):
    return {'error': error, 'detail': 'reaching 1 of 3'}


def append(client, rows, began=0.0, ended=1.0, first=0, asked=None, name='a', status=None):
    return {'client': client, 'log': name, 'asked': asked, 'began': began, 'ended': ended,
            'lines': [f'{client} {first + i}' for i in range(len(rows))], 'rows': rows,
            'status': history.exit_status(rows) if status is None else status}


def read(*entries, began=2.0, ended=3.0, from_lsn=1, to_lsn=None, name='a', node='n2'):
    return {'log': name, 'node': node, 'from': from_lsn, 'to': to_lsn, 'began': began, 'ended': ended, 'status': 0,
            'entries': list(entries)}


def told(appends, reads, logs=None, forgot=(), restarted=()):
    return {'logs': logs or {'a': log('x 0', 'x 1', 'x 2')}, 'appends': appends, 'reads': reads, 'forgot': list(forgot),
            'restarted': list(restarted)}


def sound():
    return told([append('x', [acked(2), acked(3), acked(4)])], [read(*log('x 0', 'x 1', 'x 2')['entries'])])


def accepts(made):
    history.judge(copy.deepcopy(made))


def rejects(made, *words):
    said = history.says_no(made, lambda _: None)
    check(said is not None, 'not rejected; wanted:', *words)
    for word in words:
        check(word in said, f'"{word}" is missing in:', said)


def changed(change, made=None):
    made = made or sound()
    change(made)
    return made


def test_a_sound_history_is_accepted_and_each_way_to_make_it_wrong_rejected():
    accepts(sound())
    history.check_that_it_can_say_no(sound())


def test_lines_are_compared_with_answers():
    for count in (1, 2, 3):
        rejects(changed(lambda h: h['appends'][0]['rows'].__delitem__(slice(-count, None))), 'given 3 lines and answered')
    rejects(changed(lambda h: h['appends'][0]['rows'].append(acked(5))), 'given 3 lines and answered 4')
    rejects(changed(lambda h: h['appends'][0]['rows'].reverse()), 'was told to be at')
    rejects(changed(lambda h: h['appends'][0]['rows'].__setitem__(1, {'lsn': 3, 'term': 1, 'repeated': False, 'ack': '?'})),
            'without a level')
    rejects(changed(lambda h: h['appends'][0]['rows'][1].__delitem__('lsn')), 'without a place')


def test_exit_status_is_compared_with_rows():
    rows = [acked(2), unknown(), refused()]
    logs = {'a': log('x 0', 'x 1')}
    for status in range(5):
        made = told([append('x', rows, status=status)], [read(*logs['a']['entries'])], logs)
        accepts(made) if status == 4 else rejects(made, 'ended with')
    for rows, right in (([acked(2)], 0), ([acked(2), refused()], 3), ([acked(2), refused('full')], 1),
                        ([acked(2), refused('full'), refused()], 1), ([acked(2), refused(), refused('full')], 3)):
        for status in range(5):
            made = told([append('x', rows, status=status)], [read(entry(2, 'x 0'))], {'a': log('x 0')})
            accepts(made) if status == right else rejects(made, 'ended with')


def test_who_found_no_node_gave_nothing():
    logs = {'a': log('x 0')}
    nobody = dict(append('y', [unknown()], status=3), rows=[])
    accepts(told([append('x', [acked(2)]), nobody], [read(*logs['a']['entries'])], logs))
    rejects(told([append('x', [acked(2)]), dict(nobody, status=0)], [read()], logs), 'given 1 lines and answered 0')
    logs = {'a': log('x 0', 'y 0')}
    rejects(told([append('x', [acked(2)]), nobody], [read(*logs['a']['entries'])], logs), 'was refused and is there')


def test_levels():
    for policy, when_cut, asked, ack, right in (
            ('cp', None, None, 'majority', True), ('cp', None, None, 'local', False), ('cp', None, 'all', 'majority', False),
            ('cp', None, 'all', 'all', True), ('cp', None, 'local', 'local', True), ('ca', None, None, 'majority', False),
            ('ca', None, None, 'all', True), ('ca', 'cp', None, 'majority', True), ('ca', 'cp', 'all', 'majority', False),
            ('ap', None, None, 'local', True), ('ap', None, 'majority', 'local', False)):
        logs = {'a': log('x 0', policy=policy, when_cut=when_cut)}
        made = told([append('x', [acked(2, ack)], asked=asked)], [read(entry(2, 'x 0'))], logs)
        accepts(made) if right else rejects(made, 'answers less than')


def test_what_is_on_a_branch_is_one_nodes_word():
    logs = {'a': log('x 0', policy='adaptive')}
    made = told([append('x', [dict(branch('n1', 2), ack='majority')])], [read(entry(2, 'x 0'))], logs)
    rejects(made, 'says more of a branch')
    made['appends'][0]['rows'][0]['ack'] = 'local'
    accepts(made)
    made['appends'][0]['asked'] = 'majority'
    rejects(made, 'answers less than')


def test_places_told_are_compared_with_places_found():
    rejects(changed(lambda h: h['appends'][0]['rows'].__setitem__(2, acked(9))), 'told to be at')
    rejects(changed(lambda h: h['appends'][0]['rows'][0].__setitem__('term', 2)), 'told to be at')
    logs = {'a': {'policy': 'adaptive', 'entries': [entry(2, 'x 0', origin='n2', seq=7), entry(3, 'x 1', origin='n2', seq=8)]}}
    rows = [branch('n2', 7), branch('n2', 8)]
    reads = [read(*logs['a']['entries'])]
    accepts(told([append('x', rows)], reads, logs))
    rejects(told([append('x', [branch('n2', 8), branch('n2', 7)])], reads, logs), 'told to be at')
    # It came by another's branch, where it was repeated: nothing is in its own place.
    accepts(told([append('x', [branch('n3', 1), branch('n2', 8)])], reads, logs))
    # Sequences of a former life say nothing.
    accepts(told([append('x', [branch('n2', 8), branch('n2', 7)])], reads, logs, restarted=['n2']))


def test_lost_doubled_refused_invented_and_out_of_order():
    """The total queue of Jepsen's checker tests: everything that is enqueued comes out, nothing twice, nothing else."""
    def with_lines(*lines):
        made = sound()
        made['logs']['a'] = log(*lines)
        made['reads'] = [read(*made['logs']['a']['entries'])]
        return made
    rejects(with_lines('x 0', 'x 1'), 'acknowledged and is lost')
    rejects(with_lines('x 0', 'x 1', 'x 2', 'x 2'), 'doubled')
    rejects(with_lines('x 0', 'x 1', 'x 2', 'z 0'), 'given by nobody')
    rejects(with_lines('x 0', 'x 2', 'x 1'), 'comes after')
    two = changed(lambda h: h['appends'][0].update(rows=[acked(2), refused(), unknown()], status=4))
    rejects(two, 'was refused and is there')
    two['logs']['a'] = {'policy': 'cp', 'entries': [entry(2, 'x 0'), entry(4, 'x 2')]}
    two['reads'] = [read(*two['logs']['a']['entries'])]
    accepts(two)  # the unknown one has come
    two['logs']['a'] = log('x 0')
    two['reads'] = [read(entry(2, 'x 0'))]
    accepts(two)  # or not


def test_an_entry_that_was_refused_is_seen_by_nobody():
    """G1a of a queue (Jepsen's Redpanda tests): two sends fail, and a poll shows one of them."""
    logs = {'a': log('y 0', 'x 0')}
    rejects(told([append('x', [refused()]), append('y', [acked(2)])], [read(*logs['a']['entries'])], logs),
            'was refused and is there')


def test_one_place_holds_one_entry():
    """Inconsistent offsets (ditto): a and b are read where c is acknowledged at b's place."""
    logs = {'a': log('a 0', 'b 0')}
    rejects(told([append('a', [acked(2)]), append('b', [unknown()]), append('c', [acked(3)])],
                 [read(*logs['a']['entries'])], logs), 'acknowledged and is lost')
    logs = {'a': log('a 0', 'c 0')}
    rejects(told([append('a', [acked(2)]), append('b', [unknown()]), append('c', [acked(3)])],
                 [read(entry(2, 'a 0'), entry(3, 'b 0'))], logs), 'a read at n2 shows')


def test_what_stands_before_an_entry_that_is_shown_is_shown():
    """Lost update and poll skip (ditto): a and b are acknowledged, c behind them is read and they are not."""
    logs = {'a': log('a 0', 'b 0', 'c 0', 'd 0')}
    sends = [append('a', [acked(2)]), append('b', [acked(3)]), append('c', [unknown()]), append('d', [acked(5)])]
    rejects(told(sends, [read(entry(4, 'c 0'))], logs), 'leaves out')
    rejects(told(sends, [read(entry(2, 'a 0'), entry(3, 'b 0'), entry(5, 'd 0'))], logs), 'leaves out')
    logs = {'a': {'policy': 'cp', 'entries': [entry(4, 'c 0')]}}
    rejects(told(sends, [read(entry(4, 'c 0'))], logs), 'acknowledged and is lost')


def test_two_reads_agree_on_an_order():
    """Incompatible orders of a list that is appended to (Elle): one reads [a, b], another [b, a]."""
    logs = {'a': log('a 0', 'b 0')}
    sends = [append('a', [acked(2)]), append('b', [acked(3)])]
    accepts(told(sends, [read(entry(2, 'a 0'), entry(3, 'b 0')), read(entry(2, 'a 0'), entry(3, 'b 0'), node='n3')], logs))
    rejects(told(sends, [read(entry(2, 'a 0'), entry(3, 'b 0')), read(entry(2, 'b 0'), entry(3, 'a 0'), node='n3')], logs),
            'a read at n3 shows')


def test_a_register_that_two_read_while_it_is_written():
    """Porcupine's first register: put over [0, 100], seen by a read in [25, 75], not by another in [30, 60]: sound. And its
    second: seen in [10, 30], not in [40, 90], while the put goes on: not so. Then the same with reads that take no time."""
    logs = {'a': log('x 0')}
    put = append('x', [acked(2)], began=0, ended=100)
    last = read(entry(2, 'x 0'), began=200, ended=201)
    for first, second, right in (((25, 75), (30, 60), True), ((10, 30), (40, 90), False),
                                 ((25, 75), (30, 30), True), ((10, 10), (40, 90), False), ((10, 40), (40, 40), False)):
        made = told([put], [read(entry(2, 'x 0'), began=first[0], ended=first[1]),
                            read(began=second[0], ended=second[1], node='n3'), last], logs)
        accepts(made) if right else rejects(made, 'is stale')


def test_a_read_after_the_answer_shows_it():
    """Jepsen's set and Knossos' register: written, answered, and a later read is without it; while it is written either will
    do; where the outcome is unknown it may come at any time."""
    logs = {'a': log('x 0', 'x 1')}
    first, both = [entry(2, 'x 0')], logs['a']['entries']
    for began, right in ((1.0, False), (0.9, True)):
        made = told([append('x', [acked(2), acked(3)])], [read(*first, began=began, ended=began + 1), read(*both, began=9)], logs)
        accepts(made) if right else rejects(made, 'is stale')
    accepts(told([append('x', [acked(2), unknown()])], [read(*first), read(*both, began=9)], logs))
    # A read of a part says nothing of the rest.
    accepts(told([append('x', [acked(2), acked(3)])], [read(*first, to_lsn=2), read(*both, began=9)], logs))


def test_appends_stand_in_the_order_of_their_answers():
    logs = {'a': log('y 0', 'x 0')}
    reads = [read(*logs['a']['entries'], began=9)]
    rejects(told([append('x', [acked(3)], 0, 1), append('y', [acked(2)], 2, 3)], reads, logs), 'was given after')
    accepts(told([append('x', [acked(3)], 0, 2), append('y', [acked(2)], 1, 3)], reads, logs))


def test_sequences_and_clocks_of_one_node_rise():
    rejects(changed(lambda h: h['logs']['a']['entries'][1].__setitem__('seq', 2)), 'have sequence')
    rejects(changed(lambda h: h['logs']['a']['entries'][1].__setitem__('hlc', 5)), 'goes back')
    rejects(changed(lambda h: h['logs']['a']['entries'].reverse()), 'comes after')


def test_one_nodes_word_dies_with_its_memory_and_no_other():
    logs = {'a': log('y 0', policy='adaptive')}
    reads = [read(*logs['a']['entries'])]
    for row, forgot, right in ((branch('n3', 1), ['n3'], True), (branch('n3', 1), ['n1'], False), (branch('n3', 1), [], False),
                               (acked(3, 'local'), ['n1'], True), (acked(3, 'local'), [], False),
                               (acked(3), ['n1'], False)):
        made = told([append('y', [acked(2)]), append('x', [row])], reads, logs, forgot=forgot)
        accepts(made) if right else rejects(made, 'acknowledged and is lost')


def test_a_history_in_which_little_is_taken_shows_nothing():
    rows = [acked(2)] + [unknown()] * 199
    logs = {'a': log('x 0')}
    rejects(told([append('x', rows)], [read(*logs['a']['entries'])], logs), 'only 1 are acknowledgements')
    rows = [acked(lsn) for lsn in range(2, 42)] + [unknown()] * 160
    logs = {'a': log(*(f'x {i}' for i in range(40)))}
    rejects(told([append('x', rows)], [read(*logs['a']['entries'])], logs), 'of 200 answers only 40 are acknowledgements')
    logs = {'a': log('x 0')}
    rejects(told([append('x', [unknown()] * 3)], [read()], {'a': log()}), 'none is an acknowledgement')
    rejects(told([append('x', [acked(2)])], [], logs), 'no current read was answered')
