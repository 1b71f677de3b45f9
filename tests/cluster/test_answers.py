"""Nodes that answer nonsense, as one of another release would, or somebody who means harm: no command believes it, ends by it, or
waits for ever."""
import array
import contextlib
import itertools
import json
import os
import socket
import tempfile
import threading

from harness import check, run

COMMANDS = (
    ('status',), ('status', '--json'), ('log', 'list'), ('log', 'create', 'x', '--policy', 'cp'), ('log', 'set', 'k', '--retain-age', '1s'),
    ('log', 'trim', 'k', '--before', 2), ('log', 'adopt', 'k', '--from', 'n1'), ('append', 'k', '--deadline-ms', 300), ('read', 'k'),
    ('view', 'k', '--resolve', 'lww'), ('events',), ('top', '--count', 1, '--interval-ms', 100), ('cluster', 'show'), ('cluster', 'bootstrap'),
    ('cluster', 'set', '--timeout-us', 900000), ('cluster', 'add', 'n9'), ('cluster', 'remove', 'n2'), ('cluster', 'recover', '--from', 'n1'),
    ('member', 'replace', 'n2'), ('member', 'add', 'n2'), ('fault', 'heal'),
)

ROW = {'node': 'n1', 'log': 'k', 'id': 1, 'role': 'leader', 'leader': 'n1', 'term': 1, 'mode': 'CP', 'policy': 'cp', 'deny': 'writes', 'commit_lsn': 1,
       'last_lsn': 1, 'first_lsn': 1, 'branch_entries': 0, 'digest': '0', 'hears': ['n1'], 'voters': ['n1'], 'learners': [], 'durability': 'disk',
       'safe_to_restart': True, 'stopped': ''}
WRONG = (None, True, -1, 2 ** 63 - 1, 1.5, '', 'x' * 5000, '\x1b[31m\n', [], ['n1'] * 100, [[[]]], {}, {'a': {}})


def answers():
    """What a node may say to whatever it is asked."""
    yield from (b'{}\n', b'[]\n', b'null\n', b'\n', b'{"ok":true}\n', b'{"ok":false}\n', b'{"ok":false,"error":7,"detail":[]}\n', b'\xff\xfe\n',
                b'{"ok":true,"rows":' + b'[' * 5000 + b']' * 5000 + b'}\n', b'{"ok":true', b'', b'{"ok":true,"ok":false}\n')
    for key in ('rows', 'seats', 'reach', 'matrix', 'standing', 'cluster', 'agreed_lsn', 'next', 'id', 'state', 'detail', 'error'):
        for wrong in WRONG:
            yield json.dumps({'ok': True, 'rows': [ROW], 'seats': ['n1', 'n2'], 'reach': ['n1'], key: wrong}).encode() + b'\n'
    for key, wrong in itertools.product(ROW, WRONG):
        yield json.dumps({'ok': True, 'rows': [{**ROW, key: wrong}], 'standing': {'standing': 'member'}, 'cluster': '0' * 32}).encode() + b'\n'


class Liar:
    """Listens where a node would; each connection gets the answer of the day to each of its lines, and some memory that is none."""

    def __init__(self, path):
        self.answer, self.passes, self.listener, self.ended = b'{}\n', None, socket.socket(socket.AF_UNIX), False
        self.listener.bind(path)
        self.listener.listen(64)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while not self.ended:
            with contextlib.suppress(OSError):
                threading.Thread(target=self.serve, args=(self.listener.accept()[0],), daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(OSError), connection:
            connection.settimeout(5)
            while connection.recv(65536):
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', self.passes))] if self.passes else []
                connection.sendmsg([self.answer or b' '], rights)
                if not self.answer.endswith(b'\n'):
                    return

    def close(self):
        self.ended = True
        self.listener.close()


@contextlib.contextmanager
def liars():
    with tempfile.TemporaryDirectory(prefix='cairn-test-') as home:
        file = os.path.join(home, 'cluster.yaml')
        with open(file, 'w') as text:
            text.write(f'cluster: 1\ndirectory: {home}\nnodes:\n  - name: n1\n  - name: n2\n')
        nodes = [Liar(os.path.join(home, node + '.sock')) for node in ('n1', 'n2')]
        try:
            yield file, nodes
        finally:
            for node in nodes:
                node.close()


def check_ends(args, answer, file):
    done = run(*args, '--cluster', file, stdin=b'x\n', limit_s=40)
    check(done.status in (0, 1, 2, 3, 4), args, answer[:200], done.status, done.err)
    check(b'\x1b' not in done.out + done.err, args, answer[:200], done.out, done.err)
    check(all(line.startswith(b'cairn: ') for line in done.err.splitlines()), args, answer[:200], done.err)


def test_no_answer_leads_a_command_astray():
    """Each answer to one command after the other: every pair comes up over the seeds of many runs."""
    turn = int.from_bytes(os.urandom(2), 'little')
    with liars() as (file, nodes):
        quick = [args for args in COMMANDS if args[0] not in ('member',) and args[1:2] not in (('create',), ('set',), ('trim',), ('add',), ('remove',))]
        for i, answer in enumerate(answers()):
            for node in nodes:
                node.answer = answer
            check_ends(quick[(i + turn) % len(quick)], answer, file)


def test_every_command_says_what_it_does_not_understand():
    with liars() as (file, nodes):
        for node in nodes:
            node.answer = b'{"ok":true,"rows":[],"seats":[]}\n'
        for args in COMMANDS:
            check_ends(args, node.answer, file)


def test_memory_that_is_none_of_a_nodes_is_not_mapped():
    """Whoever hands it over could cut it off."""
    with liars() as (file, nodes):
        plain = os.memfd_create('plain')
        sealed = os.memfd_create('sealed', os.MFD_ALLOW_SEALING)
        for size in (0, 1, 4096, 8192, 8193, 3 * 4096):
            os.ftruncate(plain, size)
            for passes in ([plain], [plain, plain], [os.open('/dev/null', os.O_RDWR)]):
                for node in nodes:
                    node.answer, node.passes = b'{"ok":true,"id":1,"seats":["n1","n2"]}\n', passes
                for args in (('append', 'k', '--deadline-ms', 100), ('read', 'k')):
                    check_ends(args, node.answer, file)
        os.close(sealed)
