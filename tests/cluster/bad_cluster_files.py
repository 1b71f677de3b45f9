#!/usr/bin/env python3
"""Wrong cluster files, each with one mistake, from the grammar of docs/operations.md.

    bad_cluster_files.py            writes bad_cluster_files.txt beside this file
    bad_cluster_files.py --check    says whether that is what is kept there

A row each: what it is, the line that has to be named (0: none), a word that has to be said, the text. They are kept so that a
refusal which is lost shows, whatever this program makes by then. Which line and word a case expects is written here, never
taken from what cairn says."""
import os
import re
import sys

KEPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'bad_cluster_files.txt')
GOOD = [
    'cluster: 7',
    'transport: memif',
    'profile: shared',
    'memory_mib: 64',
    'memory_at_start: false',
    'durability: memory',
    'auto_create: false',
    'flap_hold_ms: 0',
    'heartbeat_us: 1000',
    'timeout_us: 10000',
    'timeout_ceiling_us: 20000',
    'clock_bound_ms: 1000',
    'directory: /tmp/cairn-nowhere',
    'clients:',
    '  users:',
    '    - daemon',
    '    - 1001',
    '  group: daemon',
    'nodes:',
    '  - name: n1',
    '  - name: n2',
]
KEYS = [line.split(':')[0] for line in GOOD if not line.startswith(' ')]
NUMBERS = ['memory_mib', 'flap_hold_ms', 'heartbeat_us', 'timeout_us', 'timeout_ceiling_us', 'clock_bound_ms']
NO_NUMBERS = ['64.9', '0100', '00', '0x40', '1e3', '-64', '+64', '1_000', '64 64', '~', 'null', '', 'many', '"64"', "'64'", '[64]', '{64: 1}',
              '18446744073709551616', '4294967296', '64MB', '!!int 64', '&a 64', '*a', '|\n  64', '64\n  65']
NO_BOOLS = ['yes', 'no', 'n', 'on', 'True', 'FALSE', '~', '', '1', '"true"', 'truefalse', '[true]', '!!bool true']
NO_WORDS = ['pigeon', 'MEMIF', '0', '~', '', '[memif]', '!!str memif', 'memif memif', '"memif\\n"']
NO_IDS = ['seven', '1a2b3c4d', '0x', '0x123456789', '0X7', '0xg', '07', '-7', '7.0', '4294967296', '"7"', "'0x7'", '~', '', '7 8', '[7]']
NO_DIRECTORIES = ['relative', './x', '~', '', '""', '"/a\\nb"', '"/a\\0b"', '"/a\\x1bb"', '"/a\\x7f"', '"/a\\Nb"', '/' + 'a' * 255, '[/a]', '|\n  /a',
                  '>\n  /a', '/a\n  b', '"/a', '!!str /a', '*a']
NO_NAMES = ['../../x', '"a\\nb"', '"a\\0b"', '.hidden', '-n1', 'a b', 'a/b', '', '""', 'n' * 64, '[n1]', '{a: b}', 'd\u00e9j\u00e0', '*a', '&a n1', '!!str n1',
            'n1:n2', 'n1\n      n2']
NO_ACCOUNTS = ['007', '-1', 'a b', 'a:b', '', '"a\\nb"', '4294967295', 'a' * 64, '[a]', '0x10', '1.5', '.a', '*a']
# Parts of a value that are no value at all, and what says so instead of the key.
SAID = {'!!': 'tag', '&a': 'anchor', '*a': 'alias', '"/a': 'no YAML'}


def word_for(value, key):
    return next((said for begin, said in SAID.items() if value == begin or value.startswith(begin) and begin != '"/a'), key)


def changed(line, text):
    """The file with that line (from 1 on) replaced."""
    return '\n'.join(GOOD[:line - 1] + [text] + GOOD[line:]) + '\n'


def line_of(key):
    return next(i for i, line in enumerate(GOOD, 1) if line.startswith(key + ':'))


def wrong_values():
    for keys, values in ((NUMBERS, NO_NUMBERS), (['memory_at_start', 'auto_create'], NO_BOOLS), (['transport', 'profile', 'durability'], NO_WORDS),
                         (['cluster'], NO_IDS), (['directory'], NO_DIRECTORIES)):
        for key in keys:
            for i, value in enumerate(values):
                at = line_of(key)
                yield f'{key}-{i}', at, word_for(value, key), changed(at, f'{key}: {value}')
    for key, value in (('memory_mib', '63'), ('memory_mib', '17TiB'), ('memory_mib', '1KiB'), ('memory_mib', '64mib'), ('flap_hold_ms', '1500us'),
                       ('flap_hold_ms', '1m'), ('clock_bound_ms', '99'), ('clock_bound_ms', '2h'), ('clock_bound_ms', '3600001'),
                       ('clock_bound_ms', '99999us'), ('heartbeat_us', '5000'), ('heartbeat_us', '9'), ('heartbeat_us', '1ns'),
                       ('heartbeat_us', '18446744073709551615s'), ('timeout_us', '2999'), ('timeout_us', '61s'), ('timeout_ceiling_us', '9000')):
        # The two have to fit each other: the heartbeat's line is named.
        at = line_of('heartbeat_us' if (key, value) in (('timeout_us', '2999'), ('timeout_us', '61s')) else key)
        yield f'{key}-of-{value}', at, key, changed(line_of(key), f'{key}: {value}')
    yield 'transport-ring', 2, 'ring', changed(2, 'transport: ring')


def wrong_lists():
    for i, value in enumerate(NO_NAMES):
        shown = value if value.isascii() and '"' not in value and '\n' not in value and 0 < len(value) < 60 and value[0] not in '[{*&!' else 'name'
        yield f'name-{i}', 21, word_for(value, shown), changed(21, f'  - name: {value}')
    for i, value in enumerate(NO_ACCOUNTS):
        yield f'user-{i}', 16, word_for(value, 'users'), changed(16, f'    - {value}')
        yield f'group-{i}', 18, word_for(value, 'group'), changed(18, f'  group: {value}')
    yield 'name-twice', 21, 'twice', changed(21, '  - name: n1')
    yield 'user-twice', 17, 'twice', changed(17, '    - daemon')
    yield 'node-is-a-word', 21, 'key: value', changed(21, '  - n2')
    yield 'node-is-a-list', 21, 'key: value', changed(21, '  - [n2]')
    yield 'node-has-more', 22, 'address', changed(21, '  - name: n2\n    address: 1')
    yield 'node-has-two-names', 22, 'twice', changed(21, '  - name: n2\n    name: n3')
    yield 'node-has-another', 21, 'nom', changed(21, '  - nom: n2')
    yield 'node-is-empty', 21, 'missing', changed(21, '  - {}')
    yield 'node-is-nothing', 21, 'key: value', changed(21, '  -')
    yield 'nodes-too-many', 36, '16', changed(21, '\n'.join(f'  - name: m{i}' for i in range(16)))
    nodes = '\n'.join(GOOD[:18]) + '\n'
    for i, value in enumerate(('', 'n1', '{name: n1}', '[]', '[n1]', '[[[[[[n1]]]]]]', '*a', '&a [{name: n1}]', '!!seq [{name: n1}]')):
        yield f'nodes-{i}', 19, word_for(value, 'nodes' if '[n1]' not in value and '[[' not in value else 'key: value'), nodes + f'nodes: {value}\n'
    rest = GOOD[18:]
    for i, (lines, at, word) in enumerate((
            (['clients:'], 14, 'key: value'), (['clients: {}'], 14, 'nothing'), (['clients: alice'], 14, 'key: value'), (['clients: [alice]'], 14, 'key: value'),
            (['clients:', '  users: alice'], 15, 'users'), (['clients:', '  users: []'], 15, 'users'), (['clients:', '  users:'], 15, 'users'),
            (['clients:', '  users: {a: b}'], 15, 'users'), (['clients:', '  user: [a]'], 15, 'user'),
            (['clients:', '  group: a', '  group: b'], 16, 'twice'), (['clients:', '  group: a', '  gid: 7'], 16, 'gid'),
            (['clients:', '  users:'] + [f'    - {j}' for j in range(17)], 32, '16'), (['clients: *a'], 14, 'alias'))):
        yield f'clients-{i}', at, word, '\n'.join(GOOD[:13] + lines + rest) + '\n'


def wrong_keys():
    whole = '\n'.join(GOOD) + '\n'
    for key in KEYS:
        at = line_of(key)
        value = GOOD[at - 1][len(key):]
        yield f'{key}-misspelt', at, key[:-1], changed(at, key[:-1] + value)
        yield f'{key}-upper-case', at, key.upper(), changed(at, key.upper() + value)
        yield f'{key}-twice', len(GOOD) + 1, 'twice', whole + f'{key}: 1\n'
        yield f'{key}-with-a-tag', at, 'tag', changed(at, f'!!str {key}{value}')
        yield f'{key}-with-an-anchor', at, 'anchor', changed(at, f'&a {key}{value}')
        # What stands alone at the beginning is YAML, though no mapping.
        yield f'{key}-without-a-colon', at, 'no YAML' if at > 1 else 'key: value', changed(at, key + value.replace(':', ''))
        if key == 'nodes':
            yield f'{key}-indented', at, 'no YAML', changed(at, f' {key}{value}')
        elif at > 1:
            # It goes on with the value of the line above.
            yield f'{key}-indented', at - 1, 'several lines', changed(at, f' {key}{value}')
    for key in ('cluster', 'directory', 'nodes'):
        first = line_of(key) - 1
        kept = GOOD[:first] + ([] if key == 'nodes' else GOOD[first + 1:])
        yield f'{key}-missing', 0, key, '\n'.join(kept) + '\n'
    for i, (key, word) in enumerate((('colour', 'colour'), ('timeout_floor_us', 'timeout_floor_us'), ('7', '7'), ('~', '~'), ('""', 'a key'), ('<<', '<<'),
                                     ('"cluster\\0"', 'x00'), ('"a\\nb"', 'a'), ('k' * 500, 'k'), ('[a]', 'a key'), ('{a: b}', 'a key'), ('*a ', 'alias'))):
        yield f'key-{i}', len(GOOD) + 1, word if key != '""' else "''", whole + f'{key}: 1\n'


def wrong_documents():
    whole = '\n'.join(GOOD) + '\n'
    end = len(GOOD) + 1
    yield 'empty', 0, 'nothing', ''
    yield 'only-comments', 0, 'nothing', '# a\n\n  # b\n'
    yield 'only-blanks', 0, 'nothing', '\n   \n\n'
    yield 'only-a-word', 1, 'key: value', 'cluster\n'
    yield 'only-a-list', 1, 'key: value', '- cluster: 7\n'
    yield 'only-a-start', 2, 'key: value', '---\n'
    yield 'only-an-end', 1, 'YAML', '...\n...\nx\n'
    yield 'a-second-document', end, 'second', whole + '---\n' + whole
    yield 'a-second-start', end, 'second', whole + '---\n'
    yield 'after-its-end', end + 1, 'YAML', whole + '...\ncluster: 8\n'
    yield 'a-directive', 1, 'directive', '%YAML 1.1\n---\n' + whole
    yield 'a-tag-directive', 1, 'directive', '%TAG ! !x\n---\n' + whole
    yield 'another-yaml', 1, 'YAML', '%YAML 9.9\n---\n' + whole
    yield 'a-bracket-left-open', 20, 'YAML', whole.replace('nodes:', 'nodes: [')
    yield 'json-cut-short', 2, 'YAML', '{"cluster": 7,\n'
    yield 'deep-list', 1, '', '[' * 20000
    yield 'deep-mapping', 1, '', '{a: ' * 10000
    yield 'deep-keys', 1, 'key', '? ' * 20000
    yield 'deep-items', 1, 'key: value', '- ' * 20000
    yield 'a-tab', end, 'YAML', whole + '\tx: 1\n'
    yield 'a-line-of-words', end, 'YAML', whole + 'x y\n'
    yield 'a-key-of-lines', end, 'YAML', whole + 'a\nb: 1\n'
    yield 'c-code', 1, 'key: value', 'int main(void)\n'
    yield 'percent', 1, 'YAML', '%\n' + whole
    yield 'at-sign', end, 'YAML', whole + '@x: 1\n'
    yield 'backtick', end, 'YAML', whole + '`x`: 1\n'


def wrong_bytes():
    whole = '\n'.join(GOOD).encode() + b'\n'
    end = len(GOOD) + 1
    yield 'byte-order-mark', 1, 'byte order mark', b'\xef\xbb\xbf' + whole
    yield 'byte-order-mark-within', end, 'control', whole + b'# \xef\xbb\xbf\n'
    yield 'utf-16', 1, 'UTF-8', b'\xff\xfe' + whole.decode().encode('utf-16-le')
    yield 'utf-16-without-mark', 1, 'zero', whole.decode().encode('utf-16-le')
    yield 'latin-1', end, 'UTF-8', whole + b'# \xe9\n'
    yield 'overlong', end, 'UTF-8', whole + b'# \xc0\x80\n'
    yield 'surrogate', end, 'UTF-8', whole + b'# \xed\xa0\x80\n'
    yield 'cut-short', end, 'UTF-8', whole + b'# \xc3'
    yield 'zero', end, 'zero', whole + b'# \0\n'
    yield 'zero-in-a-value', 4, 'zero', whole.replace(b'64', b'64\0', 1)
    yield 'zero-at-the-end', end, 'zero', whole + b'\0'
    yield 'only-zeroes', 1, 'zero', b'\0' * 4096
    yield 'escape', end, 'control', whole + b'# \x1b[2J\n'
    yield 'form-feed', end, 'control', whole + b'\f\n'
    yield 'carriage-return', end, 'carriage return', whole + b'# a\rb\n'
    yield 'old-macintosh', 1, 'carriage return', whole.replace(b'\n', b'\r')
    yield 'next-line', 1, 'control', whole.replace(b'\n', b'\xc2\x85', 1)
    yield 'line-separator', 1, 'control', whole.replace(b'\n', b'\xe2\x80\xa8', 1)
    yield 'an-elf', 1, 'control', b'\x7fELF\x02\x01\x01' + b'\0' * 64
    yield 'a-gzip', 1, 'control', b'\x1f\x8b\x08' + b'\0' * 64
    yield 'too-large', 0, '65536', whole + b'# ' + b'x' * 65536 + b'\n'


def cases():
    for group in (wrong_values, wrong_lists, wrong_keys, wrong_documents, wrong_bytes):
        for name, line, word, text in group():
            yield name, line, word, text if isinstance(text, bytes) else text.encode()


def escaped(part):
    """What is there a thousand times or more is written once, as <COUNT times WHAT>."""
    plain, out, at = lambda part: part.decode('latin-1').encode('unicode_escape').decode().replace('<', '\\x3c'), '', 0
    for run in re.finditer(rb'(.{1,4}?)\1{999,}', part, re.S):
        out += f'{plain(part[at:run.start()])}<{len(run[0]) // len(run[1])} times {plain(run[1])}>'
        at = run.end()
    return out + plain(part[at:])


def good_lines(first, last):
    return ''.join(line + '\n' for line in GOOD[first - 1:last]).encode()


def shown(text):
    """In one line; those at either end that are as in GOOD are written as <lines FIRST-LAST>."""
    before = max(i for i in range(len(GOOD) + 1) if text.startswith(good_lines(1, i)))
    rest = text[len(good_lines(1, before)):]
    after = min(i for i in range(before + 1, len(GOOD) + 2) if rest.endswith(good_lines(i, len(GOOD))))
    rest = rest[:len(rest) - len(good_lines(after, len(GOOD)))]
    return (f'<lines 1-{before}>' if before else '') + escaped(rest) + (f'<lines {after}-{len(GOOD)}>' if after <= len(GOOD) else '')


def hidden(text):
    """The bytes of what shown() gave."""
    def plain(part):
        return part.encode().decode('unicode_escape').encode('latin-1')
    before, found, rest = text.partition('<')
    if not found:
        return plain(text)
    what, _, after = rest.partition('>')
    if what.startswith('lines '):
        first, last = what[6:].split('-')
        return plain(before) + good_lines(int(first), int(last)) + hidden(after)
    times, _, part = what.partition(' times ')
    return plain(before) + plain(part) * int(times) + hidden(after)


def rows():
    """Those that are kept: name, line, word, bytes."""
    with open(KEPT) as file:
        for row in file:
            if not row.startswith('#'):
                name, line, word, text = row.rstrip('\n').split('\t')
                yield name, int(line), word, hidden(text)


def main():
    lines = ['# bad_cluster_files.py makes this: what, line (0: none), word, text. Tabs between them.\n']
    for name, line, word, text in cases():
        assert hidden(shown(text)) == text and '\t' not in word, name
        lines.append(f'{name}\t{line}\t{word}\t{shown(text)}\n')
    assert len({line.split('\t')[0] for line in lines}) == len(lines), 'two cases of one name'
    if '--check' in sys.argv:
        with open(KEPT) as file:
            same = file.read() == ''.join(lines)
        print('bad cluster files:', f'{len(lines) - 1} as kept' if same else 'others are kept')
        return 0 if same else 1
    with open(KEPT, 'w') as file:
        file.write(''.join(lines))
    print('bad cluster files:', len(lines) - 1)
    return 0


if __name__ == '__main__':
    sys.exit(main())
