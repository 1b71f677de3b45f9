"""Every kept wrong command line is refused in one line that names what is wrong, with the right status, at once, and nothing
is done."""
import codecs
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile
import time

from harness import BINARY, check, run

HERE = os.path.dirname(os.path.abspath(__file__))
KEPT = os.path.join(HERE, 'bad_command_lines.txt')
LIMIT_S = 2
LINES_MIN = 500
WORKERS = 2
# There is a cluster file, and none of its nodes runs.
CLUSTER = 'cluster: 7\ndirectory: {0}/nodes\nnodes:\n  - name: n1\n  - name: n2\n  - name: n3\n'
WORD = re.compile(r"\$'([^']*)'|'([^']*)'|(\S+)")
COMMANDS = ('demo', 'dev', 'server', 'cluster', 'log', 'member', 'append', 'read', 'tail', 'view', 'status', 'top', 'events', 'fault',
            'inspect', 'sim', 'bench')
VERBS = {'log': ('create', 'set', 'trim', 'adopt', 'list'), 'member': ('add', 'remove', 'promote', 'transfer', 'replace'),
         'cluster': ('bootstrap', 'show', 'set', 'add', 'remove', 'recover'), 'fault': ('partition', 'link', 'heal'),
         'bench': ('latency', 'throughput', 'consistency')}


def arguments_of(line):
    """As a shell reads it."""
    return [codecs.decode(escaped, 'unicode_escape') if escaped else plain or word
            for escaped, plain, word in WORD.findall(line)]


def kept():
    with open(KEPT, encoding='utf-8') as file:
        for line in file:
            if not line.startswith('#'):
                status, word, command = line.rstrip('\n').split('\t')
                yield int(status), word, command


def objection(place, status, word, command):
    """What is wrong with how the line was refused; '': nothing."""
    environment = {**os.environ, 'CAIRN_CLUSTER': os.path.join(place, 'cluster.yaml')}
    began = time.monotonic()
    try:
        done = subprocess.run([BINARY, *arguments_of(command)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, cwd=place, env=environment, timeout=10 * LIMIT_S)
    except subprocess.TimeoutExpired:
        return f'{command}: does not end'
    took_s, said = time.monotonic() - began, done.stderr.decode(errors='replace')
    wrong = [text for is_wrong, text in (
        (done.returncode != status, f'status {done.returncode}, not {status}'),
        (said.count('\n') != 1 or not said.startswith('cairn: '), 'not one line'),
        (word not in said, f'"{word}" is not in it'),
        (not said.rstrip('\n').isprintable() or '(null)' in said, 'it cannot be shown'),
        (done.stdout != b'', f'on stdout {done.stdout[:80]}'),
        (took_s > LIMIT_S, f'{took_s:.1f} s')) if is_wrong]
    return f'{command}: {", ".join(wrong)}: {said}' if wrong else ''


def test_what_is_wrong_is_refused_in_one_line_that_says_so():
    lines = list(kept())
    check(len(lines) >= LINES_MIN, 'only', len(lines), 'lines are kept')
    with tempfile.TemporaryDirectory(prefix='cairn-test-') as place:
        with open(os.path.join(place, 'cluster.yaml'), 'w') as file:
            file.write(CLUSTER.format(place))
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            wrong = [text for text in pool.map(lambda line: objection(place, *line), lines) if text]
        left = sorted(os.listdir(place))
    check(not wrong, f'{len(wrong)} of {len(lines)} lines:\n', '\n'.join(wrong[:20]))
    check(left == ['cluster.yaml'], 'something was done:', left)


def test_the_kept_lines_are_those_of_the_grammar():
    made = subprocess.run([sys.executable, os.path.join(HERE, 'make_bad_command_lines.py')], stdout=subprocess.PIPE, check=True,
                          env={**os.environ, 'PYTHONIOENCODING': 'utf-8'})
    with open(KEPT, 'rb') as file:
        check(file.read() == made.stdout, 'make_bad_command_lines.py writes others: make them anew')


def test_help_of_every_command_and_verb_states_ranges():
    for command in COMMANDS:
        for verb in (None, *VERBS.get(command, ())):
            result = run(command, *([verb] if verb else []), '--help')
            text = result.out.decode()
            check(result.status == 0 and text.startswith(f'usage: cairn {command}') and not result.err, command, verb, result.err)
            for line in text.splitlines():
                if re.match(r'  \S+( |=)(N|SIZE|TIME)( |$)', line):
                    check(re.search(r'\(.*\d+\w* to \d+', line), command, verb, 'no range:', line)
