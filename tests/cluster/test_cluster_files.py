"""Wrong cluster files: one line that names place and mend, exit status 1, at once, whatever the file is and by whatever command."""
import concurrent.futures
import os
import re
import shutil
import subprocess
import tempfile
import time

import bad_cluster_files
from harness import BINARY, check
from harness import run as cairn

GOOD = '\n'.join(bad_cluster_files.GOOD).encode() + b'\n'
NOBODY = 65534
LIMIT_S = 1
COMMANDS = (('status',), ('append', 'x'), ('read', 'x'), ('tail', 'x'), ('log', 'list'), ('log', 'create', 'x', '--policy', 'cp'), ('events',),
            ('fault', 'heal'), ('view', 'x', '--resolve', 'lww'), ('top', '--count', 1), ('member', 'promote', 'n1'), ('cluster', 'show'),
            ('cluster', 'set', '--timeout-us', 50000), ('cluster', 'bootstrap'), ('server', '--node', 'n1'), ('server', '--node', 'n1', '--check'))


class Place:
    """A directory for files, which everybody may read."""

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix='cairn-test-')
        os.chmod(self.dir, 0o755)
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir)

    def file(self, name, content):
        path = os.path.join(self.dir, name + '.yaml')
        with open(path, 'wb') as file:
            file.write(content)
        return path


def run(args, path, prefix=()):
    """By how long it took at the quickest: a busy machine may keep anything waiting."""
    for _ in range(3):
        started = time.monotonic()
        done = subprocess.run([*prefix, BINARY, *map(str, args), '--cluster', path], input=b'', capture_output=True, timeout=20)
        took_s = time.monotonic() - started
        if took_s < LIMIT_S:
            break
    return done, took_s


def refused(name, args, path, line, word, prefix=()):
    """What is wrong with how it was refused; '': nothing."""
    done, took_s = run(args, path, prefix)
    said = done.stderr.decode(errors='replace')
    place = rf', line {line}(, column \d+)?: ' if line else ': '
    if not re.fullmatch(rf'cairn: cluster file {re.escape(path)}{place}[^\n]+ \([^\n]+\)\n', said) or word not in said[len(path):]:
        return f'{name}, {args}: not line {line} and "{word}" in {said!r}'
    if done.returncode != 1 or done.stdout:
        return f'{name}, {args}: exit status {done.returncode}, said {done.stdout!r}'
    return '' if took_s < LIMIT_S else f'{name}, {args}: took {took_s:.1f} s'


def all_refused(jobs):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        wrong = [told for told in pool.map(lambda job: refused(*job), jobs) if told]
    check(not wrong, f'{len(wrong)} of {len(jobs)}:', *('\n      ' + told for told in wrong))


def test_every_wrong_file_is_refused_by_its_line():
    rows = list(bad_cluster_files.rows())
    check(len(rows) >= 200, len(rows))
    with Place() as place:
        all_refused([(name, ('server', '--node', 'n1', '--check'), place.file(name, text), line, word) for name, line, word, text in rows])


def test_every_command_refuses_them():
    chosen = ('memory_mib-0', 'cluster-1', 'auto_create-2', 'name-0', 'directory-5', 'key-0', 'cluster-twice', 'a-second-document', 'empty',
              'byte-order-mark', 'zero-in-a-value', 'heartbeat_us-of-5000')
    rows = {name: (line, word, text) for name, line, word, text in bad_cluster_files.rows()}
    with Place() as place:
        jobs = []
        for i, name in enumerate(chosen):
            line, word, text = rows[name]
            path = place.file(name, text)
            # Each command has some of them, and each of them some commands.
            jobs += [(name, args, path, line, word) for j, args in enumerate(COMMANDS) if (i + j) % 3 == 0]
        all_refused(jobs)


def odd_files(place):
    fifo = os.path.join(place.dir, 'fifo.yaml')
    os.mkfifo(fifo)
    large = place.file('large', GOOD)
    os.truncate(large, 100 << 20)
    loop = os.path.join(place.dir, 'loop.yaml')
    os.symlink(loop, loop)
    return ((fifo, 'no regular file'), (large, 'bytes'), (loop, 'symbolic links'), (place.dir, 'directory'), ('/dev/null', 'no regular file'),
            ('/dev/zero', 'no regular file'), (os.path.join(place.dir, 'none.yaml'), 'No such file'), (place.file('empty', b''), 'nothing'),
            (os.path.join(large, 'x'), 'Not a directory'), (place.file('comments', b'# a\n'), 'nothing'))


def test_what_is_no_file_to_be_read_is_refused_by_every_command():
    with Place() as place:
        all_refused([(path, args, path, 0, word) for path, word in odd_files(place) for args in COMMANDS])


def test_a_file_that_may_not_be_read_is_refused():
    with Place() as place:
        path = place.file('secret', GOOD)
        os.chmod(path, 0)
        prefix = ('setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}', '--clear-groups') if os.geteuid() == 0 else ()
        all_refused([('unreadable', args, path, 0, 'Permission denied', prefix) for args in (('status',), ('server', '--node', 'n1', '--check'))])


def test_a_path_is_told_in_one_line():
    with Place() as place:
        directory = os.path.join(place.dir, 'a\n\x1b[31m' + 'b' * 200)
        os.mkdir(directory)
        path = os.path.join(directory, 'c' * 250)
        with open(path, 'wb') as file:
            file.write(GOOD.replace(b'64', b'64.9'))
        done, _ = run(('status',), path)
        check(done.returncode == 1 and done.stderr.count(b'\n') == 1 and b'\x1b' not in done.stderr and done.stderr.endswith(b'GiB)\n') and
              b'ccc, line 4, column 13: ' in done.stderr, done.stderr)


def test_line_ends_of_other_systems_are_read():
    with Place() as place:
        for name, text in (('plain', GOOD), ('crlf', GOOD.replace(b'\n', b'\r\n')), ('no-end', GOOD.rstrip(b'\n')), ('started', b'---\n' + GOOD + b'...\n')):
            done, _ = run(('server', '--node', 'n1', '--check'), place.file(name, text))
            check(done.returncode == 0 and b'fine' in done.stdout, name, done.stderr)


def test_a_directory_that_looks_like_a_comment_is_written_and_read_back():
    with Place() as place:
        directory = os.path.join(place.dir, 'a #b: "c"')
        started = subprocess.run([BINARY, 'dev', '--detach', '--dir', directory, '--nodes', '1', '--memory-mib', '64'], capture_output=True, timeout=60)
        try:
            path = os.path.join(directory, 'cluster.yaml')
            check(started.returncode == 0, started.stderr)
            check(os.path.exists(os.path.join(directory, 'n1.sock')) and not any('.new' in name for name in os.listdir(directory)), os.listdir(directory))
            check(run(('status',), path)[0].returncode == 0)
        finally:
            subprocess.run([BINARY, 'dev', '--stop', '--dir', directory], capture_output=True, timeout=60)


def test_what_dev_prints_is_for_a_shell():
    with tempfile.TemporaryDirectory() as place:
        directory = os.path.join(place, "it's a $HOME of `its` own")
        made = cairn('dev', '--detach', '--nodes', 1, '--memory-mib', 64, '--dir', directory)
        try:
            check(made.status == 0, made.out, made.err)
            told = subprocess.run(['sh', '-c', made.out.decode().splitlines()[0] + '; printf %s "$CAIRN_CLUSTER"'], stdout=subprocess.PIPE)
            check(told.stdout.decode() == os.path.join(directory, 'cluster.yaml'), made.out, told.stdout)
        finally:
            cairn('dev', '--stop', '--dir', directory)
        for wrong in (('--memory-mib', 1), ('--idle', 'zzz'), ('--nodes', 0)):
            refused = cairn('dev', '--detach', '--dir', os.path.join(place, 'none'), *wrong)
            check(refused.status == 2 and not os.path.exists(os.path.join(place, 'none')), wrong, refused.status, refused.err)


def test_dev_leaves_a_file_that_it_cannot_read():
    with Place() as place:
        path = place.file('cluster', GOOD.replace(b'64', b'64.9'))
        os.chmod(place.dir, 0o700)
        for more in (('--detach',), ('--stop',)):
            done = subprocess.run([BINARY, 'dev', '--dir', place.dir, *more], capture_output=True, timeout=20)
            check(done.returncode == 1 and b'line 4, column 13' in done.stderr and done.stderr.count(b'\n') == 1, done.stderr)
        check(os.listdir(place.dir) == ['cluster.yaml'] and b'64.9' in open(path, 'rb').read(), os.listdir(place.dir))


def test_what_is_kept_is_what_the_grammar_gives():
    done = subprocess.run(['python3', bad_cluster_files.__file__, '--check'], capture_output=True, timeout=20)
    check(done.returncode == 0, done.stdout, done.stderr)
