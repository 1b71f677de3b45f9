"""What other users of the machine may do to a node and to whoever starts one: nothing. Only root can be two users, so for anybody else
these tests have nothing to try."""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

from harness import BINARY, CALM, Cluster, check, run, until

NOBODY = 65534


def is_root():
    if os.geteuid() != 0:
        print('      (skipped: not root, so there is no other user to be)')
    return os.geteuid() == 0


@contextlib.contextmanager
def a_place():
    """A directory that everybody may look into, as /tmp is, but for this test alone."""
    place = tempfile.mkdtemp(prefix='cairn-test-')
    try:
        os.chmod(place, 0o1777)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def as_nobody(*command):
    return subprocess.run(['setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}', '--clear-groups', *command],
                          capture_output=True, timeout=20)


def trap(place, text):
    """A directory that another user has made where one of root's is to be, with a cluster file in it."""
    home = os.path.join(place, 'home')
    check(as_nobody('mkdir', '-m', '777', home).returncode == 0, 'nobody cannot make a directory')
    check(as_nobody('sh', '-c', 'cat >"$0/cluster.yaml" <<END\n' + text + '\nEND', home).returncode == 0, 'nor a file in it')
    return home


def a_server():
    """Somebody's, of another program."""
    return subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)', 'server', '--node', 'n1'])


def refuses(place, home, *args, why):
    result = run(*args, '--dir', home)
    check(result.status == 1 and why in result.err and len(result.err.splitlines()) == 1, args, result.status, result.err)


CLUSTER = 'cluster: 1\ndirectory: {}\nnodes:\n  - name: n1\n'


def test_a_directory_of_another_user_is_not_believed():
    if not is_root():
        return
    with a_place() as place:
        home = trap(place, CLUSTER.format(os.path.join(place, 'home')))
        victim = a_server()
        as_nobody('sh', '-c', f'echo {victim.pid} >{home}/n1.pid; : >{home}/n1.lock')
        holder = subprocess.Popen(['flock', f'{home}/n1.lock', 'sleep', '60'], user=NOBODY, group=NOBODY, extra_groups=[],
                                  start_new_session=True)
        try:
            for args in (('dev', '--detach'), ('dev', '--detach', '--durability', 'disk'), ('dev', '--stop')):
                refuses(place, home, *args, why=b'it belongs to uid 65534')
            server = run('server', '--node', 'n1', '--cluster', os.path.join(home, 'cluster.yaml'))
            check(server.status == 1 and b'it belongs to uid 65534' in server.err, server.status, server.err)
            check(victim.poll() is None, 'a process that another user named was ended')
        finally:
            os.killpg(holder.pid, signal.SIGKILL)
            victim.kill()
            victim.wait()
            holder.wait()
        check(sorted(os.listdir(home)) == ['cluster.yaml', 'n1.lock', 'n1.pid'], os.listdir(home))


def test_a_directory_that_others_may_change_is_refused_with_what_to_do():
    if not is_root():
        return
    with a_place() as place:
        home = os.path.join(place, 'home')
        os.mkdir(home, 0o700)
        os.chmod(home, 0o777)
        refuses(place, home, 'dev', '--detach', why=b'others may write to it')
        os.chmod(home, 0o700)
        above = os.path.join(place, 'above')
        as_nobody('mkdir', '-m', '755', above)
        os.mkdir(os.path.join(above, 'home'), 0o700)
        refuses(place, os.path.join(above, 'home'), 'dev', '--detach', why=b'somebody else may put another in its place')
        with open(os.path.join(place, 'file'), 'w'):
            pass
        refuses(place, os.path.join(place, 'file'), 'dev', '--detach', why=b'directory')


def test_a_pid_file_that_outlived_its_process_names_nobody():
    with Cluster(1) as cluster:
        old = cluster.pid('n1')
        cluster.kill('n1')
        other = a_server()
        try:
            with open(os.path.join(cluster.dir, 'n1.pid'), 'w') as file:
                file.write(f'{other.pid}\n')
            check(run('dev', '--stop', '--dir', cluster.dir).status == 0)
            check(other.poll() is None, 'a process that has the number of a node was ended')
        finally:
            other.kill()
            other.wait()
        check(old != other.pid)


def test_the_default_directory_is_the_users_own():
    with a_place() as place:
        runtime = os.path.join(place, 'runtime')
        os.mkdir(runtime, 0o700)
        env = {**os.environ, 'XDG_RUNTIME_DIR': runtime}
        try:
            started = run('dev', '--detach', '--nodes', 1, '--memory-mib', 64, '--json', env=env)
            check(started.status == 0, started.status, started.err)
            home = os.path.join(runtime, 'cairn-dev')
            check(started.rows()[0]['cluster'] == os.path.join(home, 'cluster.yaml'), started.out)
            check(os.stat(home).st_mode & 0o777 == 0o700, oct(os.stat(home).st_mode))
            for name in os.listdir(home):
                mode = os.lstat(os.path.join(home, name)).st_mode & 0o077
                check(mode == 0 or name.endswith('.sock') or name in ('cluster.yaml', 'n1.pid'), name, oct(mode))
        finally:
            check(run('dev', '--stop', env=env).status == 0)


def a_way_to(place, above, owner):
    """A link that leads there, whose owner may make it lead elsewhere; and a cluster file whose directory is by way of it."""
    way = os.path.join(place, 'way')
    os.symlink(above, way)
    os.lchown(way, owner, owner)
    file = os.path.join(place, 'way.yaml')
    with open(file, 'w') as text:
        text.write(CLUSTER.format(way + '/home') + 'memory_mib: 64\n')
    return way, file


def test_no_link_of_another_user_leads_to_the_directory():
    if not is_root():
        return
    with a_place() as place:
        home = os.path.join(place, 'above', 'home')
        os.makedirs(home, 0o700)
        way, file = a_way_to(place, os.path.dirname(home), NOBODY)
        for args in (('server', '--node', 'n1', '--cluster', file), ('dev', '--detach', '--dir', way), ('dev', '--detach', '--dir', way + '/home'),
                     ('dev', '--detach', '--dir', way + '/more'), ('dev', '--stop', '--dir', way + '/home')):
            refused = run(*args, limit_s=10)
            check(refused.status == 1 and b'a link on the way to it belongs to somebody else' in refused.err and refused.err.count(b'\n') == 1,
                  args, refused.status, refused.err)
        check(os.listdir(home) == [] and os.listdir(os.path.dirname(home)) == ['home'], os.listdir(home))
        # Nor one of root's own, in a directory of theirs.
        theirs = os.path.join(place, 'theirs')
        as_nobody('mkdir', '-m', '755', theirs)
        os.symlink(home, os.path.join(theirs, 'way'))
        refuses(place, os.path.join(theirs, 'way'), 'dev', '--detach', why=b'may be replaced by others')


def test_a_directory_is_what_its_links_led_to_when_the_node_began():
    with a_place() as place:
        home, other = os.path.join(place, 'above', 'home'), os.path.join(place, 'elsewhere', 'home')
        os.makedirs(home, 0o700)
        os.makedirs(other, 0o700)
        way, file = a_way_to(place, os.path.dirname(home), os.geteuid())
        victim = os.path.join(place, 'victim')
        with open(victim, 'w') as text:
            text.write('precious')
        os.symlink(victim, os.path.join(home, 'n1.pid.new'))
        server = subprocess.Popen([BINARY, 'server', '--node', 'n1', '--cluster', file], stderr=subprocess.DEVNULL)
        try:
            until('the node listens', lambda: os.path.exists(os.path.join(home, 'n1.sock')))
            os.unlink(way)
            os.symlink(os.path.dirname(other), way)
            server.terminate()
            check(server.wait(20) == 0)
        finally:
            server.kill()
            server.wait()
        left = os.listdir(home)
        check('n1.pid' not in left and 'n1.sock' not in left and 'n1.lock' in left and os.listdir(other) == [], left, os.listdir(other))
        check(open(victim).read() == 'precious', 'another file was written by way of a link')


def test_a_pipe_in_the_place_of_what_a_node_keeps_is_not_waited_for():
    with Cluster(1, '--durability', 'disk', '--memory-mib', 64) as cluster:
        run('dev', '--stop', '--dir', cluster.dir)
        own = os.path.join(cluster.dir, 'n1')
        serve = ('server', '--node', 'n1', '--cluster', cluster.file)
        for name, said in (('identity', b'damaged'), ('identity.new', b'cannot be written')):
            path = os.path.join(own, name)
            if os.path.exists(path):
                os.rename(path, path + '.kept')
            os.mkfifo(path)
            refused = run(*serve, limit_s=20)
            check(refused.status == 1 and said in refused.err, name, refused.status, refused.err)
            os.unlink(path)
            if os.path.exists(path + '.kept'):
                os.rename(path + '.kept', path)
        os.mkfifo(os.path.join(own, 'w0', 'checkpoint.new'))
        server = cluster.start(*serve, stderr=subprocess.DEVNULL)
        cluster.leader('_catalog')
        server.terminate()
        check(server.wait(20) == 0 and os.path.exists(os.path.join(own, 'w0', 'checkpoint')), os.listdir(own))
        # More than there is of an identity, or of a secret, is none.
        secret = os.path.join(cluster.dir, 'links', 'secret')
        with open(secret, 'a') as file:
            file.write('0')
        refused = run(*serve, limit_s=20)
        check(refused.status == 1 and b"its file 'secret'" in refused.err, refused.status, refused.err)
        os.truncate(secret, os.path.getsize(secret) - 1)
        with open(os.path.join(own, 'identity'), 'ab') as file:
            file.write(b'more\n')
        refused = run(*serve, limit_s=20)
        check(refused.status == 1 and b'damaged' in refused.err, refused.status, refused.err)


def test_a_binary_that_was_deleted_starts_no_other_of_a_name_like_its_own():
    with a_place() as place:
        os.mkdir(os.path.join(place, 'bin'))
        binary, home, mark = (os.path.join(place, name) for name in ('bin/cairn', 'home', 'mark'))
        shutil.copy(os.path.realpath(BINARY), binary)
        running = os.open(binary, os.O_RDONLY)
        os.unlink(binary)
        for name in ('cairn', 'cairn (deleted)'):
            with open(os.path.join(place, 'bin', name), 'w') as impostor:
                impostor.write(f'#!/bin/sh\n: >{mark}\nexit 1\n')
            os.chmod(impostor.name, 0o755)
        try:
            started = subprocess.run(['cairn', 'dev', '--detach', '--nodes', '1', '--memory-mib', '64', '--dir', home],
                                     executable=f'/proc/self/fd/{running}', pass_fds=[running], capture_output=True, timeout=60)
            check(not os.path.exists(mark), "another's file was executed")
            check(started.returncode == 0 and os.path.exists(os.path.join(home, 'n1.sock')), started.stderr)
        finally:
            os.close(running)
            run('dev', '--stop', '--dir', home)


TRIES = """
import json, os, signal, socket, sys
home, pids = sys.argv[1], [int(pid) for pid in sys.argv[2:]]
done = []

def tries(what, attempt):
    try:
        if attempt() is not False:
            done.append(what)
    except OSError:
        pass

def asks(path, kind, request):
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.settimeout(2)
        sock.connect(path)
        sock.sendall(request)
        answer = sock.recv(65536)
        return bool(answer) and json.loads(answer).get('error') != 'forbidden'

names = ['cluster.yaml', 'links', 'links/secret', 'links/0-1.sock', 'n1', 'n1/identity', 'n1/w0', 'n1/w0/journal-00000001', 'n1.lock', 'n1.log',
         'n1.pid', 'n1.sock', 'n1.bell']
for name in names:
    path = os.path.join(home, name)
    if name != 'cluster.yaml':
        tries('reads ' + name, lambda: open(path, 'rb').read(1))
    tries('writes ' + name, lambda: open(path, 'r+b'))
    tries('cuts ' + name, lambda: os.truncate(path, 0))
    tries('takes away ' + name, lambda: os.unlink(path))
    tries('renames ' + name, lambda: os.rename(path, path + '.old'))
    tries('puts a link beside ' + name, lambda: os.symlink('/etc/passwd', path + '.link'))
    tries('makes it its own ' + name, lambda: os.chown(path, os.getuid(), -1))
    tries('opens it for all ' + name, lambda: os.chmod(path, 0o777))
tries('lists the directory', lambda: os.listdir(home))
for command in ('attach', 'open', 'status', 'events', 'cluster', 'faults', 'bootstrap', 'recover', 'replace', 'bell'):
    tries('asks ' + command, lambda: asks(os.path.join(home, 'n1.sock'), socket.SOCK_STREAM,
                                          json.dumps({'cmd': command, 'system': True}).encode() + b'\\n'))
for link in ('0-1', '0-2', '1-2'):
    tries('connects to link ' + link,
          lambda: socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect(os.path.join(home, 'links', link + '.sock')))
with open('/proc/net/unix') as table:
    for line in table:
        name = line.split()[-1]
        if name.startswith('@') and 'cairn' in name:
            done.append('finds an abstract socket ' + name)
for pid in pids:
    tries('ends a process', lambda: os.kill(pid, signal.SIGTERM))
    tries('stops a process', lambda: os.kill(pid, signal.SIGSTOP))
    for what in ('mem', 'environ', 'maps'):
        tries(f'reads its {what}', lambda: open(f'/proc/{pid}/{what}', 'rb').read(1))
    for fd in range(64):
        tries(f'opens its descriptor {fd}', lambda: os.open(f'/proc/{pid}/fd/{fd}', os.O_RDONLY))
for path in os.environ['SHARED'].split(':'):
    if path:
        tries('opens ' + path, lambda: open(path, 'rb'))
print('\\n'.join(done))
"""

ASK_TO_RECOVER = """
import socket, sys
node = socket.socket(socket.AF_UNIX)
node.connect(sys.argv[1])
node.sendall(b'{"cmd":"recover"}\\n')
print(node.recv(4096).decode())
"""

COMMANDS = (
    ('status',), ('append', 'k'), ('read', 'k'), ('tail', 'k'), ('view', 'k', '--resolve', 'lww'), ('events',), ('top', '--count', '1'),
    ('log', 'list'), ('log', 'create', 'x', '--policy', 'cp'), ('log', 'set', 'k', '--retain-age', '1s'), ('log', 'trim', 'k', '--before', '2'),
    ('log', 'adopt', 'k', '--from', 'n1'), ('cluster', 'show'), ('cluster', 'set', '--timeout-us', '900000'), ('cluster', 'add', 'n9'),
    ('cluster', 'remove', 'n3'), ('cluster', 'bootstrap'), ('cluster', 'recover', '--from', 'n1', '--without', 'n2,n3'),
    ('member', 'replace', 'n3'), ('member', 'remove', 'n3'), ('member', 'transfer', 'n2'), ('fault', 'partition', 'n1|n2,n3'), ('fault', 'heal'),
    ('server', '--node', 'n1'),
)


def owned_by(uid):
    """What runs a command as that user."""
    return [] if uid == 0 else ['setpriv', f'--reuid={uid}', f'--regid={uid}', '--clear-groups']


@contextlib.contextmanager
def a_cluster_of(uid):
    """Durable, in a directory that everybody may pass through, with a log that holds something."""
    with a_place() as place:
        home = os.path.join(place, 'home')
        dev = [*owned_by(uid), BINARY, 'dev', '--dir', home]
        started = subprocess.run([*dev, '--detach', '--durability', 'disk', '--memory-mib', '64', '--allow-faults', *CALM],
                                 capture_output=True, timeout=60)
        try:
            check(started.returncode == 0, started.stderr)
            os.chmod(home, 0o711)
            file = os.path.join(home, 'cluster.yaml')
            mine = lambda *args, **more: subprocess.run([*owned_by(uid), BINARY, *args, '--cluster', file], capture_output=True, timeout=60,
                                                        **more)
            check(mine('log', 'create', 'k', '--policy', 'cp').returncode == 0)
            check(mine('append', 'k', input=b'held\n').returncode == 0)
            yield home, file, mine
        finally:
            subprocess.run([*dev, '--stop'], capture_output=True, timeout=60)


def shared_by(pids):
    """What these processes have mapped of places that others may look into."""
    found = set()
    for pid in pids:
        with open(f'/proc/{pid}/maps') as maps:
            found |= {line.split()[-1] for line in maps if line.split()[-1].startswith(('/dev/shm/', '/dev/hugepages/', '/run/', '/tmp/'))}
    # The binary may stand anywhere, and anybody may read it.
    return ':'.join(sorted(found - {os.path.realpath(BINARY)}))


def tried_by_nobody(home, pids):
    return subprocess.run(['setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}', '--clear-groups', sys.executable, '-c', TRIES, home,
                           *map(str, pids)], capture_output=True, timeout=20, env={**os.environ, 'SHARED': shared_by(pids)})


def check_that_nobody_can(uid):
    with a_cluster_of(uid) as (home, file, mine):
        pids = [int(open(os.path.join(home, f'n{i}.pid')).read()) for i in (1, 2, 3)]
        tried = tried_by_nobody(home, pids)
        check(tried.returncode == 0 and tried.stdout.strip() == b'', tried.stdout.decode(), tried.stderr.decode())
        for args in COMMANDS:
            refused = as_nobody(BINARY, *args, '--cluster', file)
            check(refused.returncode in (1, 2) and refused.stdout == b'' and refused.stderr.startswith(b'cairn: '), args,
                  refused.returncode, refused.stdout, refused.stderr)
            # It is not told that the cluster is down, nor to start another one.
            check(args[0] == 'server' or refused.returncode == 2 or b'is down' not in refused.stderr and b'under \'clients\'' in refused.stderr,
                  args, refused.stderr)
        for args in (('dev', '--stop', '--dir', home), ('inspect', os.path.join(home, 'n1'))):
            refused = as_nobody(BINARY, *args)
            check(refused.returncode == 1 and refused.stdout == b'', args, refused.returncode, refused.stdout, refused.stderr)
        rows = [json.loads(line) for line in mine('status', '--json').stdout.splitlines()]
        check({row['node'] for row in rows} == {'n1', 'n2', 'n3'} and {row['log'] for row in rows} == {'_catalog', 'k'}, rows)
        check(mine('read', 'k').stdout == b'held\n')
        check([int(open(os.path.join(home, f'n{i}.pid')).read()) for i in (1, 2, 3)] == pids, 'a node was started anew')


def test_a_user_who_is_not_named_can_do_nothing_to_a_node_of_root():
    if is_root():
        check_that_nobody_can(0)


def test_a_user_who_is_not_named_can_do_nothing_to_a_node_of_another():
    if is_root():
        check_that_nobody_can(12345)


NAMED, IN_GROUP = 23456, 23457


def as_user(uid, gid, *command, **more):
    return subprocess.run(['setpriv', f'--reuid={uid}', f'--regid={gid}', '--clear-groups', *command], capture_output=True, timeout=60,
                          **more)


GREEDY = """
import json, socket, sys, time
held, attached = [], 0
for _ in range(100):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(sys.argv[1])
    try:
        sock.sendall(b'{"cmd":"attach"}\\n')
        attached += json.loads(sock.recv(65536))['ok']
    except OSError:
        continue  # it was turned away
    held.append(sock)
print(attached, flush=True)
time.sleep(60)
"""


def check_shares(home, file):
    """One user takes all that it gets: another, and administrators, are served."""
    greedy = subprocess.Popen(['setpriv', f'--reuid={NAMED}', f'--regid={NAMED}', '--clear-groups', sys.executable, '-c', GREEDY,
                               os.path.join(home, 'n1.sock')], stdout=subprocess.PIPE)
    try:
        attached = int(greedy.stdout.readline())
        check(10 < attached < 50, attached)
        served = as_user(NAMED + 7, IN_GROUP, BINARY, 'append', 'k', '--cluster', file, input=b'other\n')
        check(served.returncode == 0, served.stdout, served.stderr)
        check(run('append', 'k', '--cluster', file, stdin=b'root\n').status == 0)
        full = as_user(NAMED, NAMED, BINARY, 'status', '--cluster', file)
        check(full.returncode == 1 and b'no place for another connection of this user' in full.stderr, full.returncode, full.stderr)
    finally:
        greedy.kill()
        greedy.wait()


def test_who_is_named_is_a_client_and_no_administrator():
    if not is_root():
        return
    with a_place() as place:
        home = os.path.join(place, 'home')
        file = os.path.join(home, 'cluster.yaml')
        os.mkdir(home, 0o700)
        with open(file, 'w') as text:
            text.write(f'cluster: 5\ntransport: memif\nmemory_mib: 64\nprofile: wan\ndirectory: {home}\n'
                       f'clients:\n  users: [{NAMED}]\n  group: {IN_GROUP}\nnodes:\n  - name: n1\n')
        started = run('dev', '--detach', '--nodes', 1, '--dir', home, '--memory-mib', 64, '--allow-faults', *CALM)
        try:
            check(started.status == 0, started.err)
            check(os.stat(home).st_mode & 0o777 == 0o711, oct(os.stat(home).st_mode))
            check(run('log', 'create', 'k', '--policy', 'cp', '--cluster', file).status == 0)
            for uid, gid in ((NAMED, NAMED), (NAMED + 7, IN_GROUP)):
                client = lambda *args, **more: as_user(uid, gid, BINARY, *args, '--cluster', file, **more)
                check(client('append', 'k', input=b'mine\n').returncode == 0)
                check(client('read', 'k').stdout.endswith(b'mine\n'))
                check(client('status').returncode == 0 and client('events').returncode == 0)
                for args in (('log', 'create', 'x', '--policy', 'cp'), ('log', 'set', 'k', '--retain-age', '1s'),
                             ('log', 'trim', 'k', '--before', '2'), ('cluster', 'set', '--timeout-us', '900000'), ('member', 'transfer', 'n1'),
                             ('fault', 'heal'), ('cluster', 'bootstrap')):
                    refused = client(*args)
                    check(refused.returncode == 1 and b'administrator' in refused.stderr, args, refused.returncode, refused.stderr)
                # The command sees by itself that nothing need be given up; the node is asked past it.
                check(b'nothing need be given up' in client('cluster', 'recover', '--from', 'n1').stderr)
                asked = as_user(uid, gid, sys.executable, '-c', ASK_TO_RECOVER, os.path.join(home, 'n1.sock'))
                check(b'only an administrator' in asked.stdout, asked.stdout, asked.stderr)
            check_shares(home, file)
            refused = as_nobody(BINARY, 'status', '--cluster', file)
            check(refused.returncode == 1 and b'uid 65534 may not be a client' in refused.stderr, refused.stderr)
            tried = tried_by_nobody(home, [int(open(os.path.join(home, 'n1.pid')).read())])
            check(tried.returncode == 0 and tried.stdout.strip() == b'', tried.stdout.decode(), tried.stderr.decode())
        finally:
            run('dev', '--stop', '--dir', home)
        with open(file, 'a') as text:
            text.write('  - name: n2\n')
        with open(file) as text:
            changed = text.read().replace(str(NAMED), 'nobody-has-this-name')
        with open(file, 'w') as text:
            text.write(changed)
        refused = run('server', '--node', 'n1', '--cluster', file)
        check(refused.status == 1 and b"'nobody-has-this-name'" in refused.err, refused.status, refused.err)
