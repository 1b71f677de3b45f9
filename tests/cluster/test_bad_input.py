"""What users get wrong: one line that says what and what to do, the right exit status, no hang."""
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time

from harness import BINARY, CALM, Cluster, check, run, stop_process, until

GOOD = 'cluster: 7\ndirectory: /tmp/cairn-nowhere\nnodes:\n  - name: n1\n  - name: n2\n  - name: n3\n'


def complains(result, status, *words):
    lines = result.err.decode().strip().splitlines()
    check(result.status == status, 'status', result.status, 'not', status, ':', result.err.decode())
    check(len(lines) == 1 and lines[0].startswith('cairn: '), 'not one line:', lines)
    for word in words:
        check(word in lines[0], f'"{word}" is missing in:', lines[0])


def with_file(text, suffix='.yaml'):
    file = tempfile.NamedTemporaryFile('w', suffix=suffix, delete=False)
    file.write(text)
    file.close()
    return file.name


def checked(text):
    name = with_file(text)
    try:
        return run('server', '--node', 'n1', '--cluster', name, '--check')
    finally:
        os.unlink(name)


def test_unknown_commands_and_flags():
    complains(run('frobnicate'), 2, 'frobnicate', '--help')
    complains(run('append', 'x', '--colour', 'red'), 2, '--colour', '--help')
    complains(run('append', 'x', '--ack', 'most'), 2, '--ack', 'most', 'majority')
    complains(run('append'), 2, 'missing', 'usage')
    complains(run('read', 'x', '--from', '-1'), 2, '--from')
    complains(run('demo', '--nodes', 99), 2, '--nodes')
    complains(run('log', 'destroy', 'x'), 2, 'destroy')
    complains(run('bench', 'speed'), 2, 'speed')
    complains(run('dev', '--durability', 'paper'), 2, 'disk')
    check(run().status == 2)


def test_nothing_is_made_to_be_stopped():
    with tempfile.TemporaryDirectory() as directory:
        place = os.path.join(directory, 'dev')
        complains(run('dev', '--stop', '--dir', place), 1, place, 'No such file')
        check(not os.path.exists(place))


def test_help_is_there_for_every_command():
    for command in ('demo', 'dev', 'server', 'log', 'append', 'read', 'tail', 'status', 'events', 'fault', 'bench'):
        result = run(command, '--help')
        check(result.status == 0 and b'usage: cairn ' + command.encode() in result.out, command)


def test_cluster_files():
    check(checked(GOOD).status == 0)
    complains(run('status', '--cluster', '/no/such.yaml'), 1,
              '/no/such.yaml', 'No such file')
    complains(checked('cluster: 7\nnodes: [\n'), 1, 'line')
    complains(checked(GOOD.replace('n3', 'n2')), 1, 'line 6', 'n2', 'twice')
    complains(checked(GOOD + 'colour: red\n'), 1, 'line', 'colour')
    complains(checked(GOOD.replace('cluster: 7', 'cluster: seven')), 1, 'line 1')
    complains(checked('cluster: 7\ndirectory: /tmp/x\n'), 1, 'nodes')
    complains(checked(GOOD.replace('/tmp/cairn-nowhere', 'relative')), 1, 'absolute')
    complains(checked(GOOD + 'transport: ring\n'), 1, 'ring', 'memif')
    complains(checked(GOOD + 'transport: pigeon\n'), 1, 'line')
    complains(checked(GOOD + 'memory_mib: 1\n'), 1, 'memory_mib', '64')
    check(checked(GOOD + 'heartbeat_us: 500\ntimeout_us: 5000\ntimeout_ceiling_us: 50000\n').status == 0)
    complains(checked(GOOD + 'heartbeat_us: 5000\n'), 1, 'heartbeat_us 5000', 'timeout_us 10000', 'three')
    complains(checked(GOOD + 'timeout_floor_us: 5000\n'), 1, 'line', 'timeout_floor_us')
    complains(checked(GOOD + 'timeout_ceiling_us: 9000\n'), 1, 'timeout_ceiling_us 9000', 'timeout_us 10000')
    name = with_file(GOOD)
    complains(run('server', '--node', 'n9', '--cluster', name, '--check'), 2, 'n9')
    os.unlink(name)


def test_what_this_machine_lacks_is_said_by_a_check():
    for clients, word in (('users: [no-such-user]', 'no-such-user'), ('group: no-such-group', 'no-such-group')):
        complains(checked(GOOD + f'clients:\n  {clients}\n'), 1, word, 'getent')
    complains(checked(GOOD.replace('name: n1', 'name: n1\n    cpus: [1000]')), 1, "'n1'", '1000')


def test_no_cluster_named():
    environment = {k: v for k, v in os.environ.items() if k != 'CAIRN_CLUSTER'}
    done = subprocess.run([BINARY, 'status'], capture_output=True, env=environment, timeout=10)
    check(done.returncode == 2 and b'CAIRN_CLUSTER' in done.stderr)


def test_a_cluster_that_is_down():
    name = with_file(GOOD)
    for command in (('status',), ('append', 'x'), ('read', 'x'), ('tail', 'x'), ('log', 'list'), ('log', 'create', 'x', '--policy', 'cp'),
                    ('events',), ('fault', 'heal')):
        complains(run(*command, '--cluster', name), 1, 'down')
    os.unlink(name)


def test_unreadable_input():
    with Cluster(1) as cluster:
        complains(cluster.cairn('append', 'x', '--file', '/no/such'), 1, '/no/such', 'No such file')
        complains(cluster.cairn('append', 'x', '--file', '/tmp'), 1, '/tmp', 'directory')
        cluster.ok('log', 'create', 'x', '--policy', 'cp')
        complains(cluster.cairn('append', 'x', stdin=b'a\n' + b'y' * ((1 << 20) + 1) + b'\n'), 1, 'line 2', '1 MiB')
        complains(cluster.cairn('read', 'nothing'), 1, 'nothing', 'create')
        complains(cluster.cairn('log', 'create', '../x', '--policy', 'cp'), 2, '../x')
        complains(cluster.cairn('log', 'create', 'x', '--policy', 'ap'), 1, 'exists', 'cp')
    complains(run('demo', '--input', '/no/such'), 1, '/no/such', 'No such file')
    complains(run('demo', '--input', '/dev/null'), 1, '/dev/null')
    complains(run('demo', '--report', '/no/such/place.html'), 1, '/no/such/place.html')


def test_a_node_that_is_running_already():
    with Cluster(1) as cluster:
        refused = cluster.cairn('server', '--node', 'n1', '--cluster', cluster.file)
        said = refused.err.splitlines()
        check(refused.status == 1 and len(said) == 2 and b'waiting: for the process that is node n1' in said[0], refused.err)
        check(b'n1' in said[1] and b'running already' in said[1], said)
        complains(run('dev', '--detach', '--dir', cluster.dir, '--nodes', 1), 1, 'is running', '--stop')
        check(cluster.cairn('status').status == 0)


def test_a_link_that_cannot_be_made():
    """Something that no node made is where the socket of a link is to be."""
    directory = tempfile.mkdtemp(prefix='cairn-test-')
    name = with_file(GOOD.replace('/tmp/cairn-nowhere', directory))
    os.makedirs(os.path.join(directory, 'links', '0-1.sock'), 0o700)
    try:
        complains(run('server', '--node', 'n1', '--cluster', name), 1, '0-1.sock', 'cannot be made')
        with open(os.path.join(directory, 'links', 'secret'), 'w') as file:
            file.write('short')
        complains(run('server', '--node', 'n1', '--cluster', name), 1, 'secret', 'delete it')
        shutil.rmtree(os.path.join(directory, 'links'))
        with open(os.path.join(directory, 'links'), 'w'):
            pass
        complains(run('server', '--node', 'n1', '--cluster', name), 1, 'links', 'directory')
    finally:
        os.unlink(name)
        shutil.rmtree(directory)


def test_a_closed_stdout():
    with Cluster(1) as cluster:
        cluster.ok('log', 'create', 'x', '--policy', 'cp')
        cluster.ok('append', 'x', stdin=b'line\n' * 100000)
        for command in (('read', 'x'), ('status',), ('events',)):
            with open('/dev/full', 'wb') as full:
                done = subprocess.run([BINARY, *command, '--cluster', cluster.file], stdout=full,
                                      stderr=subprocess.PIPE, timeout=20)
            check(done.returncode == 1 and b'standard output' in done.stderr, command, done.stderr)
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([BINARY, 'read', 'x', '--cluster', cluster.file], stdout=writer, stderr=subprocess.PIPE,
                              timeout=20)
        os.close(writer)
        check(done.returncode == 1 and done.stderr.count(b'\n') == 1, done.stderr)


def test_more_logs_than_the_memory_takes():
    with Cluster(3, '--memory-mib', 64) as cluster:
        made = 0
        while True:
            result = cluster.cairn('log', 'create', f'log{made}', '--policy', 'adaptive')
            if result.status != 0:
                break
            made += 1
        complains(result, 1, 'memory_mib', '64')
        check(made == 5, made)
        for i in range(made):
            cluster.cairn('append', f'log{i}', '--json', stdin=b'x' * 500000 + b'\n' + b'y' * 500000 + b'\n')
        # With every segment taken, leaders still change.
        leader = cluster.leader('log0')
        cluster.ok('fault', 'partition', leader + '|' + ','.join(n for n in cluster.names if n != leader))
        others = [n for n in cluster.names if n != leader]
        for i in range(made):
            check(cluster.leader(f'log{i}', others) in others)
        cluster.ok('fault', 'heal')
        for i in range(made):
            cluster.converged(f'log{i}')


def test_a_full_log_refuses_and_keeps_what_it_has():
    with Cluster(1, '--memory-mib', 64) as cluster:
        cluster.ok('log', 'create', 'x', '--policy', 'cp')
        line = b'z' * 100000 + b'\n'
        result = cluster.cairn('append', 'x', '--json', stdin=line * 1000)
        rows = result.rows()
        acked = sum('lsn' in row for row in rows)
        check(result.status == 1 and len(rows) == 1000, result.status, len(rows))
        check(0 < acked < 1000 and {row['error'] for row in rows if 'error' in row} == {'full'}, acked)
        check(cluster.read('x', 'n1') == line * acked)


def test_who_connects_to_a_port_and_hangs_up_at_once_harms_no_node():
    """As a node does that is killed while it connects."""
    with Cluster() as cluster:
        cluster.ok('log', 'create', 'k', '--policy', 'cp')
        for _ in range(200):
            for name in ('0-1', '0-2', '1-2'):
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
                    sock.connect(os.path.join(cluster.dir, 'links', f'{name}.sock'))
        until('every node answers', lambda: len(cluster.status('k')) == 3)
        cluster.ok('append', 'k', stdin=b'after\n')
        cluster.converged('k')


def test_a_producer_of_no_time_is_refused_and_costs_nobody_else():
    with Cluster(3) as cluster:
        cluster.ok('log', 'create', 'x', '--policy', 'cp')
        for producer in (2 ** 64 - 1, 2 ** 63):
            complains(cluster.cairn('append', 'x', '--producer', producer, '--seq', 1, stdin=b'no\n'), 2, '--producer',
                      '9223372036854775807')
        for producer in (2 ** 63 - 1, 2 ** 62 + 2 ** 61):
            refused = cluster.cairn('append', 'x', '--producer', producer, '--seq', 1, stdin=b'no\n')
            check(refused.status != 0 and b'out of its range' in refused.out + refused.err, refused.out, refused.err)
        cluster.ok('append', 'x', stdin=b'yes\n')
        check(cluster.read('x', 'n1') == b'yes\n')


def test_a_session_that_cannot_be_kept_is_refused_before_anything_is_done():
    with Cluster() as cluster:
        cluster.ok('log', 'create', 'a', '--policy', 'cp')
        nowhere, empty = '/nonexistent-directory/session', os.path.join(cluster.dir, 'empty')
        with open(empty, 'w'):
            pass
        for command in ('append', 'read'):
            complains(cluster.cairn(command, 'a', '--session', nowhere, stdin=b'x\n'), 1, nowhere, 'No such file')
            complains(cluster.cairn(command, 'a', '--session', empty, stdin=b'x\n'), 1, empty, 'it is empty')
        check(cluster.read('a', 'n1') == b'', cluster.read('a', 'n1'))
        session = os.path.join(cluster.dir, 'session')
        cluster.ok('append', 'a', '--session', session, stdin=b'kept\n')
        check(cluster.ok('read', 'a', '--session', session).out == b'kept\n')


def test_a_session_is_written_through_no_link_and_waits_for_no_pipe():
    with tempfile.TemporaryDirectory() as place, Cluster(1) as cluster:
        cluster.ok('log', 'create', 'k', '--policy', 'cp')
        session, victim = os.path.join(place, 's'), os.path.join(place, 'victim')
        with open(victim, 'w') as file:
            file.write('precious')
        traps = (os.mkfifo, lambda path: os.symlink(victim, path), lambda path: os.link(victim, path), os.mkdir)
        for number, trap in enumerate(traps):
            trap(session + '.new')
            cluster.ok('append', 'k', '--session', session, stdin=b'x\n', limit_s=10)
            check(cluster.ok('read', 'k', '--session', session, limit_s=10).out == b'x\n' * (number + 1))
            check(stat.S_ISREG(os.lstat(session).st_mode) and sorted(os.listdir(place)) == ['s', 's.new', 'victim'], os.listdir(place))
            check(open(victim).read() == 'precious', 'another file was written by way of a link')
            os.rmdir(session + '.new') if trap is os.mkdir else os.unlink(session + '.new')


def test_a_session_of_another_user_in_a_common_directory_is_refused_before_anything_is_done():
    if os.geteuid() != 0:
        print('      (skipped: not root, so there is no other user to be)')
        return
    with tempfile.TemporaryDirectory() as place, Cluster(1) as cluster:
        cluster.ok('log', 'create', 'k', '--policy', 'cp')
        os.chmod(place, 0o1777)
        session = os.path.join(place, 's')
        cluster.ok('append', 'k', '--session', session, stdin=b'x\n')
        os.chmod(session, 0o644)
        os.chmod(cluster.dir, 0o711)
        os.chmod(cluster.file, 0o644)
        refused = subprocess.run(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', BINARY, 'append', 'k', '--session', session,
                                  '--cluster', cluster.file], input=b'y\n', capture_output=True, timeout=20)
        check(refused.returncode == 1 and b'cannot be written: Operation not permitted' in refused.stderr, refused)
        check(os.listdir(place) == ['s'], os.listdir(place))


def test_a_session_is_one_whole_line_or_none():
    with tempfile.TemporaryDirectory() as place, Cluster(1) as cluster:
        cluster.ok('log', 'create', 'k', '--policy', 'cp')
        session = os.path.join(place, 's')
        cluster.ok('append', 'k', '--session', session, stdin=b'x\n')
        with open(session, 'rb') as file:
            good = file.read()
        for wrong in (good[:-1], good + good, good + b'\n', good + b'x', good[:-1] + b'\0\n', good[:-1] + b'\0more\n', good[:-1] + b' ' * 8000 + b'\n',
                      good + b' ' * 8000, b'\0' + good, b'\n' + good, good[:-1] + b'\r\n', good[:len(good) // 2]):
            with open(session, 'wb') as file:
                file.write(wrong)
            for command in ('append', 'read'):
                complains(cluster.cairn(command, 'k', '--session', session, stdin=b'y\n'), 1, session, 'remove it to begin a new one')
            with open(session, 'rb') as file:
                check(file.read() == wrong, 'a session that was refused has been written')
        check(cluster.read('k', 'n1') == b'x\n', cluster.read('k', 'n1'))


def test_a_pipe_that_is_named_as_a_file_is_waited_for_by_nobody():
    with tempfile.TemporaryDirectory() as place, Cluster(1) as cluster:
        cluster.ok('log', 'create', 'k', '--policy', 'cp')
        pipe = os.path.join(place, 'pipe')
        os.mkfifo(pipe)
        for args in (('append', 'k', '--session', pipe), ('read', 'k', '--session', pipe), ('demo', '--input', pipe), ('demo', '--report', pipe),
                     ('demo', 'bank', '--report', pipe), ('sim', '--trace', pipe), ('bench', 'consistency', '--report', pipe),
                     ('status', '--cluster', pipe)):
            complains(run(*args, stdin=b'x\n', limit_s=10, env={'CAIRN_CLUSTER': cluster.file}), 1, pipe)
        complains(run('sim', '--trace', os.path.join(place, 'none', 'x')), 1, 'none', 'No such file')


def has_reader(pipe):
    """A descriptor that writes to it; None: nobody reads from it yet."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


def test_who_reads_a_report_or_a_trace_from_a_pipe_gets_it():
    with tempfile.TemporaryDirectory() as place:
        pipe = os.path.join(place, 'pipe')
        os.mkfifo(pipe)
        for args, words in ((('sim', '--seed', 1, '--messages', 1000, '--trace', pipe), b'\n'), (('demo', 'shop', '--report', pipe), b'</html>\n')):
            reader = subprocess.Popen(['cat', pipe], stdout=subprocess.PIPE)
            try:
                held = until('somebody reads', lambda: has_reader(pipe))
                result = run(*args, limit_s=30)
                os.close(held)
                check(result.status == 0, result.err)
                took, _ = reader.communicate(timeout=10)
                check(len(took) > 1000 and took.endswith(words), args, took[-100:])
            finally:
                reader.kill()
                reader.wait()
        # The reader may go, too, while there is nothing to read yet.
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        writer = subprocess.Popen([BINARY, 'sim', '--seed', '1', '--messages', '50000', '--trace', pipe], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        until('it has the pipe open', lambda: pipe in [os.path.realpath(f'/proc/{writer.pid}/fd/{fd}') for fd in os.listdir(f'/proc/{writer.pid}/fd')])
        os.close(reader)
        out, err = writer.communicate(timeout=30)
        check(writer.returncode == 1 and err.count(b'\n') == 1 and b'nobody reads from it' in err, err)


def test_a_journal_of_links_or_pipes_is_not_read():
    with Cluster(1, '--durability', 'disk') as cluster:
        run('dev', '--stop', '--dir', cluster.dir)
        directory = os.path.join(cluster.dir, 'n1', 'w0')
        path = os.path.join(directory, 'journal-00000009')
        for make in (lambda path: os.symlink('/etc/passwd', path), os.mkfifo):
            make(path)
            complains(run('server', '--node', 'n1', '--cluster', cluster.file, limit_s=10), 1, path)
            complains(run('inspect', directory, limit_s=10), 1, path)
            os.unlink(path)
        # A checkpoint only spares it reading.
        os.unlink(os.path.join(directory, 'checkpoint'))
        os.mkfifo(os.path.join(directory, 'checkpoint'))
        cluster.restart('n1')
        cluster.leader('_catalog')


def test_what_contradicts_itself_or_what_is_there():
    with Cluster() as cluster:
        cluster.ok('log', 'create', 'two', '--policy', 'cp', '--members', 'n1,n2')
        cluster.ok('log', 'create', 'two', '--policy', 'cp', '--members', 'n2,n1')
        cluster.ok('log', 'create', 'two', '--policy', 'cp')
        complains(cluster.cairn('log', 'create', 'two', '--policy', 'cp', '--members', 'n1,n3'), 1, 'exists', 'n1,n2')
        for members in ('', ',', 'n1,', 'n1,n1'):
            complains(cluster.cairn('log', 'create', 'x', '--policy', 'cp', '--members', members), 2, f"'{members}'")
        for verb in ('create', 'set'):
            complains(cluster.cairn('log', verb, 'x', '--policy', 'cp', '--when-cut', 'cp'), 2, '--when-cut', 'ca')
        for args in (('top', '--log', 'nosuch', '--count', 1), ('log', 'adopt', 'nosuch')):
            complains(cluster.cairn(*args), 1, "no log 'nosuch'")
        complains(cluster.cairn('member', 'add', 'n2', '--log', 'two', '--learner'), 1, 'n2 votes')
        cluster.ok('member', 'remove', 'n2', '--log', 'two')
        complains(cluster.cairn('member', 'remove', 'n1', '--log', 'two'), 1, 'n1 is the last that votes')
        big = os.path.join(cluster.dir, 'big')
        with open(big, 'wb') as file:
            file.write(b'x' * (2 << 20))
        refused = cluster.cairn('append', 'two', '--whole', '--file', big)
        complains(refused, 1, big, '1 MiB')
        check(b'line' not in refused.err, refused.err)


def test_no_quorum_is_said_soon():
    with Cluster(3, *CALM) as cluster:
        cluster.ok('log', 'create', 'a', '--policy', 'cp')
        stopped = [cluster.pid(node) for node in ('n2', 'n3')]
        for pid in stopped:
            stop_process(pid)
        for args in (('member', 'transfer', 'n2', '--log', 'a'), ('member', 'remove', 'n3', '--log', 'a')):
            begun_s = time.monotonic()
            refused = cluster.cairn(*args)
            check(refused.status == 3 and b'no quorum: reaching 1 of 3, need 2' in refused.err, args, refused.status, refused.err)
            check(time.monotonic() - begun_s < 8, 'took', time.monotonic() - begun_s)
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
