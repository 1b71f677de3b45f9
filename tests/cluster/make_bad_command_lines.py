#!/usr/bin/env python3
"""Writes bad_command_lines.txt, from the grammar of the commands and what is wrong with each kind of value.

One line each: exit status, a word that the error must hold, the command line as a shell reads it ($'...' where it holds
what cannot be seen). test_command_lines.py runs them. A flag that is new, or goes, is changed here, and then

    tests/cluster/make_bad_command_lines.py > tests/cluster/bad_command_lines.txt
"""

LSN_MAX = 2 ** 56 - 1
PRODUCER_MAX = 2 ** 63 - 1
TERMINAL = '\x1b[31mred\x1b[0m'
# Of no number, whatever its range.
NO_NUMBERS = ('', '-1', '+1', ' 7', '7 ', '0x10', '010', '1e3', '1.0', 'nan', 'inf', '7x', '1,000', '18446744073709551616',
              '99999999999999999999999', '7\n', '\u0667', TERMINAL, '--5')
NO_NAMES = ('', '.a', 'a b', 'a/b', '../a', 'a\n', 'ä', 'a' * 64, TERMINAL)


def number(least, most, *more):
    """What is wrong with a flag whose values are whole numbers from least to most."""
    return (*NO_NUMBERS, *([str(least - 1)] if least > 0 else []), str(most + 1), *more)


def words(*known):
    return ('', known[0].upper(), known[0] + ' ', known[0] + '|' + known[-1], known[0][:-1], 'none', TERMINAL)


FILE = ('',)
NODE = (*NO_NAMES, 'n1,n2', 'n 1')
NODES = ('', ',', 'n1,', ',n1', 'n1,,n2', 'n1;n2', 'n1, n2', 'a' * 64, TERMINAL)
LOG = (*NO_NAMES, '_other')
ACK, LEVEL = words('local', 'all'), words('stale', 'linearizable')
DURATION = ('', '5', '-1s', '+1s', '1.5h', '1 h', 'h', '1w', '1S', '0x1s', 'nan', 'infs', '1s2', '1h30m', '1s ', TERMINAL)
AGE = (*DURATION, '999ms', '1ns', '1000001us', '36501d', '300000d', '18446744073709551616s', '18446744073709551615d', '213504d')
LAG = (*DURATION, '0', '0s', '999ns', '2h', '3600001ms', '1d', '18446744073709551s')
SIZE = ('', '-1', '+1', '1k', '1KB', '1.5G', '1 G', 'G', 'nan', '0x10', '010', '1048577T', '99999999999T',
        '18446744073709551616', '16777216T', '1P', TERMINAL)
MOMENT = ('', '0', '-1', 'yesterday', '10 m', '1w', '2026-11-27', '2026-02-30T00:00:00Z', '2026-13-01T00:00:00Z',
          '2026-11-27T06:00:00', '2026-11-27T06:00:00+01:00', '2026-1-1T0:0:0Z', ' 2026-11-27T06:00:00Z', '1969-12-31T23:59:59Z',
          '9999-01-01T00:00:00Z', '9223372036854775808', '300000d', 'nan', TERMINAL)
PRODUCER = ('', '0', '-1', '1.0', '0x5', '007', 'nan', '9223372036854775808', '18446744073709551615', '18446744073709551616',
            '5@', '5@7', '@00000000000000000000000000000001', '5@0000000000000000000000000000000g',
            '5@000000000000000000000000000000011', TERMINAL)
ADDRESS = ('', '0', '65536', '-1', 'x', ':9', '127.0.0.1:', 'localhost:9100', '[::1]x9100', '9100 ', '0x1f', TERMINAL)
CHARACTER = ('', 'ab', 'ä', '\n', '\t\t')
MEMORY = number(64, 2 ** 24)
CLOCK_BOUND = number(100, 3600000)
DURABILITY, PROFILE, IDLE = words('memory', 'disk'), words('shared', 'wan'), words('sleep', 'spin')

# A command that would be right but for what is put behind it, and what each of its flags cannot be; None: it takes no value.
GRAMMAR = (
    (('append', 'x'), {
        'cluster': FILE, 'file': FILE, 'whole': None, 'ack': ACK, 'durability': DURABILITY, 'key-until': CHARACTER, 'via': NODE,
        'session': FILE, 'deadline-ms': number(1, 86400000, '18446744073710', '86400001'), 'producer': PRODUCER, 'json': None}),
    (('append', 'x', '--producer', '7'), {'epoch': number(0, 2 ** 32 - 1), 'seq': number(1, LSN_MAX)}),
    (('read', 'x'), {
        'cluster': FILE, 'from': number(0, LSN_MAX, str(2 ** 63)), 'since': MOMENT, 'to': number(1, LSN_MAX), 'via': NODE,
        'level': LEVEL, 'max-lag': LAG, 'session': FILE, 'tentative': None, 'json': None}),
    (('tail', 'x'), {'cluster': FILE, 'from': number(0, LSN_MAX), 'since': MOMENT, 'to': number(1, LSN_MAX), 'level': LEVEL}),
    (('view', 'x'), {'cluster': FILE, 'resolve': words('siblings', 'set'), 'via': NODE, 'level': LEVEL, 'committed': None}),
    (('log', 'create', 'x', '--policy', 'cp'), {
        'deny': words('writes', 'both'), 'when-cut': words('deny', 'cp'), 'members': NODES, 'durability': DURABILITY,
        'retain-bytes': SIZE, 'retain-age': AGE, 'worker': number(0, 15)}),
    (('log', 'set', 'x'), {'policy': words('cp', 'ca'), 'retain-bytes': SIZE, 'retain-age': AGE, 'json': None}),
    (('log', 'copy', 'x'), {'to': FILE, 'as': LOG, 'worker': number(0, 15), 'switch': None}),
    (('log', 'trim', 'x'), {'before': number(2, LSN_MAX, str(2 ** 63), str(2 ** 63 - 1))}),
    (('log', 'adopt', 'x'), {'from': NODE, 'without': NODES}),
    (('log', 'list'), {'cluster': FILE, 'json': None}),
    (('member', 'add', 'n1'), {'log': LOG, 'learner': None}),
    (('status',), {'cluster': FILE, 'via': NODE, 'json': None}),
    (('events',), {'cluster': FILE, 'follow': None, 'json': None}),
    (('top',), {'log': LOG, 'interval-ms': number(10, 86400000), 'count': number(0, 2 ** 32 - 1)}),
    (('cluster', 'set'), {
        'heartbeat-us': number(10, 20000000), 'timeout-us': number(30, 60000000), 'clock-bound-ms': CLOCK_BOUND,
        'memory-mib': MEMORY}),
    (('cluster', 'show'), {'via': NODE, 'cluster': FILE}),
    (('cluster', 'recover', '--from', 'n1'), {'without': NODES}),
    (('server', '--check'), {'node': NODE}),
    (('server', '--check', '--node', 'n1'), {
        'idle': IDLE, 'metrics': ADDRESS, 'scrub-mib-s': number(0, 10000), 'no-uring': None, 'keep-damage': None}),
    (('dev', '--detach'), {
        'nodes': number(1, 9), 'dir': FILE, 'transport': words('memif', 'netns'), 'durability': DURABILITY, 'profile': PROFILE,
        'clock-bound-ms': CLOCK_BOUND, 'memory-mib': MEMORY, 'workers': number(1, 16), 'idle': IDLE, 'metrics': number(1, 65535),
        'allow-faults': None}),
    (('demo',), {'input': FILE, 'nodes': number(3, 5), 'workers': number(1, 3), 'report': FILE, 'json': None}),
    (('inspect', '/no/such'), {'log': LOG, 'digest': None, 'verify': None}),
    (('sim',), {
        'seed': number(0, 2 ** 63 - 1 - 10 ** 9), 'runs': number(1, 10 ** 9), 'jobs': number(1, 64),
        'profile': words('swarm', 'nodes'), 'workers': number(1, 3), 'durability': DURABILITY, 'without': ('', 'nothing', 'crash,', 'crash,,drop'),
        'ms': number(1, 86400000), 'messages': number(1, 10 ** 12), 'trace': FILE, 'scenario': ('', 'no-such')}),
    (('bench', 'latency'), {
        'transport': words('memif', 'ring'), 'ack': ACK, 'durability': DURABILITY, 'dir': FILE, 'payload-bytes': number(0, 524288),
        'rate': number(1, 10 ** 9), 'in-flight': number(1, 8192), 'seconds': number(1, 3600), 'runs': number(1, 10 ** 6),
        'profile': PROFILE}),
    (('bench', 'throughput', '--transport', 'ring'), {'workers': number(1, 16)}),
    (('bench', 'consistency'), {'report': FILE, 'seconds': number(1, 3600)}),
)
SHARES = ('', 'nan', 'inf', '-0.1', '1.1', '2', '.5', '0.', '0.5x', '1e-1', '0x0', '+1', ' 1', '01', TERMINAL)
EFFECTS = {'drop': SHARES, 'dup': SHARES, 'reorder': SHARES, 'corrupt': SHARES,
           'delay_us': (*SHARES[:4], '10000001', '1e3', '50us', '-1', TERMINAL)}
# By hand: what is wrong with a line as a whole.
WHOLE = (
    (2, 'frobnicate', 'frobnicate'), (2, 'unknown command', ''), (2, '--colour', '--colour'), (2, 'unknown command', TERMINAL),
    (2, 'argument', '--version', 'x'), (2, 'argument', '--help', 'x'), (2, 'NAME', 'append'), (2, 'NAME', 'read'), (2, 'NAME', 'tail'), (2, 'NAME', 'view'),
    (2, "'c'", 'append', 'a', 'b', 'c'), (2, "'b'", 'read', 'a', 'b'), (2, "'b'", 'tail', 'a', 'b'), (2, "'b'", 'view', 'a', 'b'),
    (2, "'x'", 'status', 'x'), (2, "'x'", 'events', 'x'), (2, "'x'", 'top', 'x'), (2, "'x'", 'server', '--node', 'n1', 'x'),
    (2, "'x'", 'dev', 'x'), (2, "'x'", 'sim', 'x'), (2, "'x'", 'log', 'list', 'x'), (2, "'y'", 'log', 'create', 'x', 'y'),
    (2, "'x'", 'cluster', 'show', 'x'), (2, "'x'", 'cluster', 'bootstrap', 'x'), (2, "'x'", 'bench', 'latency', 'x'),
    (2, "'n2'", 'cluster', 'add', 'n4', 'n2'), (2, "'n2'", 'member', 'add', 'n1', 'n2'), (2, "'n1'", 'fault', 'heal', 'n1'),
    (2, 'DIR', 'inspect'), (1, '/no/such', 'inspect', '/no/such'), (2, 'create', 'log'), (2, 'promote', 'member'),
    (2, 'bootstrap', 'cluster'), (2, 'partition', 'fault'), (2, 'latency', 'bench'), (2, 'destroy', 'log', 'destroy', 'x'),
    (2, 'kick', 'member', 'kick', 'n1'), (2, 'grow', 'cluster', 'grow'), (2, 'speed', 'bench', 'speed'), (2, 'cut', 'fault', 'cut'),
    (2, 'NODE', 'member', 'add'), (2, 'NODE', 'cluster', 'add'), (2, 'NODE', 'cluster', 'remove'), (2, 'NAME', 'log', 'create'),
    (2, 'NAME', 'log', 'set'), (2, 'NAME', 'log', 'trim'), (2, 'NAME', 'log', 'adopt'), (2, 'NAME', 'log', 'copy'), (2, 'no-such', 'demo', 'no-such'),
    (2, '--policy', 'log', 'create', 'x'), (2, '--before', 'log', 'trim', 'x'), (2, '--to', 'log', 'copy', 'x'), (2, 'nothing to change', 'log', 'set', 'x'),
    (2, '--timeout-us', 'cluster', 'set'), (2, '--from', 'cluster', 'recover'), (2, '--node', 'server'), (2, '--node', 'server', '--check'),
    (2, 'cluster recover', 'log', 'adopt', '_catalog', '--from', 'n1'), (2, '--producer', 'append', 'x', '--seq', '5'),
    (2, '--producer', 'append', 'x', '--epoch', '5'), (2, '--file', 'append', 'x', '-', '--file', 'y'), (2, 'input', 'append', 'x', ''),
    (1, '/no/such', 'append', 'x', '/no/such'), (1, '/no/such', 'append', 'x', '--file', '/no/such'),
    (2, "'-x'", 'log', 'create', '--policy', 'cp', '--', '-x'), (2, "'-x'", 'read', '--', '-x'), (2, "'-y'", 'append', '--', '-y', 'f'),
    (2, '--to', 'read', 'x', '--from', '5', '--to', '3'), (2, '--to', 'tail', 'x', '--from', '5', '--to', '4'),
    (2, '--from', 'read', 'x', '--from', '5', '--since', '10m'), (2, '--session', 'read', 'x', '--level', 'session'),
    (2, 'session', 'read', 'x', '--session', 'f', '--level', 'stale'), (2, '--max-lag', 'read', 'x', '--max-lag', '1s', '--level', 'lease'),
    (2, '--max-lag', 'tail', 'x', '--max-lag', '1s'), (2, '--session', 'tail', 'x', '--session', 'f'),
    (2, '--stop', 'dev', '--stop', '--nodes', '3'), (2, '--stop', 'dev', '--stop', '--detach'), (2, '65533', 'dev', '--metrics', '65534'),
    (2, 'demo bank', 'demo', 'bank', '--nodes', '3'), (2, 'demo bank', 'demo', 'bank', '--workers', '2'), (2, 'demo bank', 'demo', 'bank', '--input', 'x'),
    (2, '--shrink', 'sim', '--shrink', '--scenario', 'all'), (2, '--list', 'sim', '--list', '--seed', '5'),
    (2, 'memif', 'bench', 'latency', '--durability', 'disk', '--transport', 'ring'), (2, 'latency', 'bench', 'throughput', '--rate', '5'),
    (2, 'consistency', 'bench', 'latency', '--report', 'x'), (2, '--runs', 'bench', 'consistency', '--runs', '5'),
    (2, '--transport ring', 'bench', 'throughput', '--workers', '2'), (2, 'throughput', 'bench', 'latency', '--workers', '2'),
    (2, 'create', 'log', 'set', 'x', '--durability', 'disk'), (2, 'create', 'log', 'set', 'x', '--members', 'n1'),
    (2, '--policy', 'log', 'list', '--policy', 'cp'), (2, 'adopt', 'log', 'create', 'x', '--policy', 'cp', '--from', 'n1'),
    (2, 'trim', 'log', 'set', 'x', '--before', '5'), (2, '--learner', 'member', 'remove', 'n1', '--learner'),
    (2, '--log', 'member', 'replace', 'n1', '--log', 'x'), (2, 'show', 'cluster', 'bootstrap', '--via', 'n1'),
    (2, 'set', 'cluster', 'show', '--timeout-us', '50000'), (2, 'recover', 'cluster', 'add', 'n4', '--from', 'n1'),
    (2, "'n9'", 'status', '--via', 'n9'), (2, "'n9'", 'read', 'x', '--via', 'n9'), (2, "'n9'", 'append', 'x', '--via', 'n9'),
    (2, "'n9'", 'view', 'x', '--via', 'n9'), (2, "'n9'", 'server', '--check', '--node', 'n9'), (2, "'n9'", 'member', 'add', 'n9'),
    (2, "'n9'", 'log', 'adopt', 'x', '--from', 'n9'), (2, "'n9'", 'cluster', 'recover', '--from', 'n9'),
    (2, 'named twice', 'log', 'create', 'x', '--policy', 'cp', '--members', 'n1,n2,n1'),
    (2, "'n9'", 'log', 'create', 'x', '--policy', 'cp', '--members', 'n1,n9'), (2, 'named twice', 'log', 'adopt', 'x', '--without', 'n2,n2'),
    (2, "'n9'", 'fault', 'partition', 'n1|n9'), (2, "'n9'", 'fault', 'link', 'n1>n9', 'drop=1'), (2, "'n1'", 'fault', 'partition', 'n1|n1'),
    (2, 'nobody', 'fault', 'partition', ''), (2, 'nobody', 'fault', 'partition', 'n1||n2'), (2, 'nobody', 'fault', 'partition', '|n1'),
    (2, "''", 'fault', 'partition', 'n1,|n2'), (2, "' n2'", 'fault', 'partition', 'n1, n2|n3'), (2, 'n1>n3', 'fault', 'link', 'n1', 'drop=1'),
    (2, 'two nodes', 'fault', 'link', 'n1>n1', 'drop=1'), (2, 'EFFECT', 'fault', 'link', 'n1>n2'), (2, 'drop=', 'fault', 'link', 'n1>n2', 'loss=1'),
    (2, 'drop=', 'fault', 'link', 'n1>n2', 'drop'), (2, 'drop= is given twice', 'fault', 'link', 'n1>n2', 'drop=1', 'drop=1'),
    (2, '\\x1b', 'fault', 'partition', TERMINAL), (2, '\\x1b', 'member', 'add', TERMINAL), (2, '\\x1b', 'log', TERMINAL),
    (2, 'EFFECT', 'fault', 'link'), (2, "n1,n2|n3", 'fault', 'partition'), (1, '/no/such', 'status', '--cluster', '/no/such'),
    (1, 'down', 'status'), (1, 'down', 'read', 'x'), (1, 'down', 'append', 'x'), (1, 'down', 'log', 'list'), (1, 'down', 'fault', 'heal'),
)
# Commands that take a log's name as their argument, and what goes with it.
NAMED = (('append',), ('read',), ('tail',), ('view',), ('log', 'create'), ('log', 'set'), ('log', 'trim'), ('log', 'copy'))
ALSO = {('log', 'copy'): ('--to', 'x'), ('log', 'create'): ('--policy', 'cp'), ('log', 'set'): ('--policy', 'cp'), ('log', 'trim'): ('--before', '5')}


def wrong_values():
    for command, flags in GRAMMAR:
        for flag, values in flags.items():
            for i, value in enumerate(values or ()):
                # Behind an equals sign also what would be taken for the next flag.
                yield (2, '--' + flag, *command, *((f'--{flag}={value}',) if i % 2 or value[:2] == '--' else (f'--{flag}', value)))
    for effect, values in EFFECTS.items():
        for value in values:
            yield 2, effect + '=', 'fault', 'link', 'n1>n2', f'{effect}={value}'


def wrong_flags():
    for command, flags in GRAMMAR:
        for flag, values in flags.items():
            # Abbreviations, another case, one dash: none is the flag.
            yield 2, 'unknown option', *command, '--' + flag[:-1]
            yield 2, 'unknown option', *command, '--' + flag.upper()
            if values is None:
                yield 2, 'takes no value', *command, f'--{flag}=yes'
            else:
                yield 2, 'missing', *command, '--' + flag
                yield 2, 'missing', *command, '--' + flag, '--json'
                yield 2, 'given twice', *command, '--' + flag, '1', f'--{flag}=1'
        yield 2, '-x', *command, '-x'


def wrong_names():
    for command in NAMED:
        for name in (*NO_NAMES, '_catalog', '_other'):
            yield 2, 'belong to the system' if name[:1] == '_' else 'letters', *command, name, *ALSO.get(command, ())


def shown(word):
    """As a shell reads it."""
    if word and all(c.isalnum() and c.isascii() or c in '-_./=,:@+' for c in word):
        return word
    if word.isprintable():
        return "'" + word + "'"
    return "$'" + ''.join(c if c.isprintable() else f'\\x{ord(c):02x}' for c in word) + "'"


def main():
    print('# By make_bad_command_lines.py: exit status, a word of the error, and the command line.')
    seen = set()
    for status, word, *line in (*WHOLE, *wrong_names(), *wrong_values(), *wrong_flags()):
        text = ' '.join(shown(argument) for argument in line)
        if text not in seen:
            print(f'{status}\t{word}\t{text}')
        seen.add(text)


if __name__ == '__main__':
    main()
