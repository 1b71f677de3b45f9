"""Nodes that are neither well nor gone: who owes acknowledgements, whose worker hangs; and timeouts that are learned."""
import ctypes
import os
import shutil
import threading

from harness import Cluster, check, until

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000


def test_a_follower_that_owes_acknowledgements_is_named():
    with Cluster() as cluster:
        cluster.ok('log', 'create', 'k', '--policy', 'cp')
        cluster.ok('append', 'k', stdin=b'before\n')
        leader = cluster.leader('k')
        slow = next(n for n in cluster.names if n != leader)
        cluster.ok('fault', 'link', f'{leader}>{slow}', 'delay_us=120000')
        until('it is in reach again', lambda: slow in cluster.status('k')[leader]['hears'] and
              leader in cluster.status('k')[slow]['hears'])

        def named():
            cluster.ok('append', 'k', stdin=b'meanwhile\n')
            return slow in cluster.status('k')[leader]['slow']
        until('it is named', named)
        told = [e for e in cluster.events('peer_slow') if e['peer'] == slow and e['node'] == leader]
        named_ns, reasons = told[0]['t_ns'], [e['reason'] for e in told]
        check(reasons and (f'{slow} is slow: it has owed lsn' in reasons[0] or 'late' in reasons[0]), reasons)
        check(b'slow' in cluster.ok('status').out)
        cluster.ok('fault', 'heal')
        until('it keeps up again', lambda: slow not in cluster.status('k')[leader]['slow'])
        # On a busy machine it may have gone out of reach instead: then that is what was told.
        until('that is told', lambda: [e for kind in ('peer_steady', 'partition_suspected') for e in cluster.events(kind)
                                       if e['peer'] == slow and e['node'] == leader and e['t_ns'] > named_ns])
        cluster.converged('k')


class Held:
    """One thread of a process stands still; the others go on. Whatever ptrace does, one thread does."""

    def __init__(self, thread):
        self.thread, self.let_go, self.held, self.error = thread, threading.Event(), threading.Event(), None
        self.tracer = threading.Thread(target=self.run)

    def run(self):
        libc = ctypes.CDLL(None, use_errno=True)
        libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        if libc.ptrace(PTRACE_SEIZE, self.thread, None, None) != 0:
            self.error = os.strerror(ctypes.get_errno())
        else:
            libc.ptrace(PTRACE_INTERRUPT, self.thread, None, None)
            os.waitpid(self.thread, WALL)
        self.held.set()
        self.let_go.wait()
        if self.error is None:
            libc.ptrace(PTRACE_DETACH, self.thread, None, None)

    def __enter__(self):
        self.tracer.start()
        self.held.wait()
        check(self.error is None, 'the thread cannot be held:', self.error)

    def __exit__(self, *_):
        self.let_go.set()
        self.tracer.join()


def worker_threads(pid):
    threads = []
    for task in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{task}/comm') as file:
            if file.read().startswith('cairn-worker'):
                threads.append(int(task))
    check(threads, 'no worker thread among', os.listdir(f'/proc/{pid}/task'))
    return threads


def test_a_hung_worker_is_told_from_a_dead_node():
    with Cluster() as cluster:
        cluster.ok('log', 'create', 'k', '--policy', 'cp')
        cluster.ok('append', 'k', stdin=b'before\n')
        with Held(worker_threads(cluster.pid('n2'))[0]):
            until('the others miss it', lambda: 'n2' not in cluster.status('k')['n1']['hears'])
            until('it says so itself', lambda: cluster.status('k')['n2']['worker_hung'])
            check(b'HUNG' in cluster.ok('status').out)
            event = cluster.events('worker_hung')[0]
            check(event['node'] == 'n2' and 'no turn' in event['reason'], event)
            cluster.ok('append', 'k', '--via', cluster.leader('k', ['n1', 'n3']), stdin=b'meanwhile\n')
        until('it takes turns again', lambda: not cluster.status('k')['n2']['worker_hung'])
        until('that is told', lambda: cluster.events('worker_back'))
        cluster.converged('k')
        check(cluster.read('k', 'n2') == b'before\nmeanwhile\n')


def test_a_cut_is_noticed_however_long_the_ceiling():
    with Cluster(3, '--durability', 'disk') as cluster:
        text = open(cluster.file).read()
        for key, value in (('heartbeat_us', 2000), ('timeout_us', 40000), ('timeout_ceiling_us', 500000)):
            check(f'{key}: 0\n' in text, text)
            text = text.replace(f'{key}: 0\n', f'{key}: {value}\n')
        open(cluster.file, 'w').write(text)
        # What a cluster has agreed on a file does not change: another is founded.
        for name in cluster.names:
            cluster.kill(name)
            shutil.rmtree(os.path.join(cluster.dir, name))
        for name in cluster.names:
            cluster.restart(name)
        until('another cluster is founded', lambda: cluster.cairn('cluster', 'bootstrap').status == 0)
        cluster.leader('_catalog')
        cluster.ok('log', 'create', 'k', '--policy', 'adaptive')
        cut = cluster.ok('fault', 'partition', 'n1,n2|n3', '--json').rows()[0]['t_ns']
        until('n3 is alone', lambda: cluster.status('k')['n3']['mode'] == 'AP')
        seen = [e['t_ns'] for e in cluster.events('mode_changed', cut) if e['node'] == 'n3' and e['log'] == 'k'][0]
        # Not before the agreed timeout, less a heartbeat and a rest's pace.
        check(seen - cut >= 20_000_000, seen - cut)
        cluster.ok('fault', 'heal')
        cluster.converged('k')
