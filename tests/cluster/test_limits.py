"""What a process may not use: a line says what is missing and how much it takes, and what can go on goes on."""
import os
import shutil
import subprocess
import tempfile

from harness import BINARY, check, is_sanitized, run

LINES = b''.join(b'%0900d\n' % i for i in range(30000))


def dev(*wrapped):
    """A durable node that was started under such limits: what it said at its start, and its directory."""
    place = tempfile.mkdtemp(prefix='cairn-test-')
    started = subprocess.run([*wrapped, BINARY, 'dev', '--detach', '--nodes', '1', '--durability', 'disk', '--memory-mib', '64', '--dir', place],
                             capture_output=True, timeout=60)
    return started, place


def goes_on(*wrapped):
    started, place = dev(*wrapped)
    file = os.path.join(place, 'cluster.yaml')
    try:
        check(started.returncode == 0, started.stderr)
        check(run('log', 'create', 'k', '--policy', 'cp', '--cluster', file).status == 0)
        check(run('append', 'k', '--cluster', file, stdin=LINES).status == 0)
        check(run('read', 'k', '--cluster', file).out == LINES)
        with open(os.path.join(place, 'n1.log')) as said:
            return said.read()
    finally:
        run('dev', '--stop', '--dir', place)
        shutil.rmtree(place)


def refuses(limit, *words):
    started, place = dev('prlimit', limit)
    shutil.rmtree(place)
    said = started.stderr.decode()
    check(started.returncode == 1 and len(said.splitlines()) == 1, started.returncode, said)
    for word in words:
        check(word in said, f'"{word}" is missing in', said)


def test_too_little_is_said_with_how_much_it_takes():
    refuses('--nofile=12', '12 files', '32', 'ulimit -n')
    refuses('--fsize=100000', '97 KiB', '16 MiB', 'ulimit -f')
    # A sanitizer wants more of the address space for itself.
    if not is_sanitized():
        refuses('--as=200000000', 'no memory for the logs', 'memory_mib')


def test_files_of_a_journal_are_no_larger_than_they_may_be():
    goes_on('prlimit', '--fsize=17000000')


def test_few_descriptors_cost_speed_alone():
    check('no io_uring for the journal' in goes_on('prlimit', '--nofile=40'))


def test_pages_that_may_not_be_locked_are_not_missed():
    goes_on('prlimit', '--memlock=65536')


def test_nothing_is_kept_in_dev_shm():
    if os.geteuid() == 0:
        goes_on('unshare', '-m', 'sh', '-c', 'mount -t tmpfs -o ro tmpfs /dev/shm 2>/dev/null; exec "$@"', 'sh')
    else:
        print('      (skipped: not root)')


def test_a_file_as_large_as_it_may_be_is_a_full_disk():
    """A command that writes one is not ended by a signal, and leaves no half of it."""
    with tempfile.TemporaryDirectory(prefix='cairn-test-') as place:
        done = subprocess.run(['prlimit', '--fsize=100', BINARY, 'dev', '--detach', '--dir', place], capture_output=True, timeout=60)
        check(done.returncode == 1 and b'cluster.yaml' in done.stderr and b'File too large' in done.stderr, done.returncode, done.stderr)
        check(os.listdir(place) == [], os.listdir(place))
