"""What other users of the machine may do to a node and to whoever starts one: nothing. Only root can be two users, so for anybody else
these tests have nothing to try."""
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile

from harness import Cluster, check, run

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
