"""Durable logs, in real processes: killed, out of space, damaged, without io_uring."""
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import tempfile
import time

from harness import BINARY, CALM, Cluster, Failed, check, is_gone, run, until
from journal_reader import ENTRIES, HEAD, TAIL, blocks, crc32c, read_journal

DISK = ('--durability', 'disk')


def end_all(cluster):
    """kill -9 of every node at once."""
    pids = [cluster.pid(node) for node in cluster.names]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    until('all nodes are gone', lambda: all(is_gone(pid) for pid in pids))


def begin_all(cluster):
    result = run('dev', '--detach', '--dir', cluster.dir, '--allow-faults')
    check(result.status == 0, 'dev did not start again:', result.err.decode())


def stop_all(cluster):
    check(run('dev', '--stop', '--dir', cluster.dir).status == 0)


def directories(cluster):
    return [os.path.join(cluster.dir, node, 'w0') for node in cluster.names]


def test_a_clean_stop_leaves_the_next_start_nothing_to_read():
    def lines(first, last):
        return b''.join(b'%d\n' % i for i in range(first, last + 1))

    def checkpoints(cluster):
        return [os.path.join(d, 'checkpoint') for d in directories(cluster)]

    with Cluster(3, *DISK, *CALM) as cluster:
        cluster.ok('log', 'create', 'big', '--policy', 'cp')
        cluster.ok('log', 'create', 'small', '--policy', 'adaptive')
        payload = b''.join(b'%d %s\n' % (i, b'x' * 4000) for i in range(10000))
        cluster.ok('append', 'big', stdin=payload)
        cluster.ok('append', 'small', '--producer', 77, '--seq', 1, stdin=lines(1, 100))
        cluster.converged('big')
        cluster.converged('small')
        stop_all(cluster)
        check(all(os.path.getsize(path) > 0 for path in checkpoints(cluster)))
        check(run('inspect', '--digest', *directories(cluster)).status == 0)
        begin_all(cluster)
        for name in cluster.names:
            with open(os.path.join(cluster.dir, name + '.log')) as file:
                said = file.read()
                check('goes on from its checkpoint' in said, name, said)
        check(cluster.read('big', 'n2') == payload and cluster.read('small', 'n3') == lines(1, 100))
        check(cluster.ok('append', 'small', '--json', '--producer', 77, '--seq', 100, stdin=b'100\n').rows()[0]['repeated'])
        # A later crash goes on from there; what is trimmed meanwhile stays so.
        cluster.ok('append', 'small', stdin=lines(101, 200))
        cluster.ok('append', 'big', stdin=payload)
        first = cluster.ok('append', 'small', '--json', stdin=lines(201, 201)).rows()[0]['lsn']
        cluster.ok('log', 'trim', 'small', '--before', first)
        end_all(cluster)
        begin_all(cluster)
        cluster.converged('big')
        for node in cluster.names:
            check(cluster.read('big', node) == payload + payload, node)
            # A node that comes back knows of a trim as soon as it hears what is committed.
            until('what is trimmed is gone', lambda: cluster.read('small', node) == lines(201, 201))
        # One that is damaged is not used; nor does it do harm.
        stop_all(cluster)
        for at, path in enumerate(checkpoints(cluster)):
            with open(path, 'r+b') as file:
                file.seek(at * 40 + 3)
                byte = file.read(1)
                file.seek(at * 40 + 3)
                file.write(bytes([byte[0] ^ 0x40]))
        begin_all(cluster)
        cluster.converged('big')
        check(cluster.read('big', 'n1') == payload + payload and cluster.read('small', 'n1') == lines(201, 201))
        # Stopped in the middle of it: nothing acknowledged is lost.
        producer = cluster.start('append', 'small', '--json', '--deadline-ms', 300, stdin=subprocess.PIPE,
                                 stdout=open(os.path.join(cluster.dir, 'rows'), 'wb'), stderr=subprocess.DEVNULL)
        producer.stdin.write(lines(1000, 20999))
        producer.stdin.flush()
        time.sleep(0.03)
        stop_all(cluster)
        producer.kill()
        producer.wait()
        begin_all(cluster)
        cluster.converged('small')
        kept = {row['lsn']: row['payload'] for row in cluster.ok('read', 'small', '--json').rows()}
        acked = 0
        for at, row in enumerate(open(os.path.join(cluster.dir, 'rows')).read().splitlines()):
            if row.endswith('}') and 'lsn' in json.loads(row):
                check(kept[json.loads(row)['lsn']] == str(1000 + at), row)
                acked += 1
        check(acked > 0)


def test_killed_all_at_once_under_load_nothing_acknowledged_is_lost():
    rounds, rng = int(os.environ.get('CAIRN_KILLS', '8')), random.Random(3)
    with Cluster(3, *DISK) as cluster:
        cluster.ok('log', 'create', 'k', '--policy', 'cp')
        acked = {}
        for number in range(rounds):
            with open(os.path.join(cluster.dir, 'rows'), 'wb') as out:
                producer = cluster.start('append', 'k', '--json', '--deadline-ms', 300, stdin=subprocess.PIPE, stdout=out,
                                         stderr=subprocess.DEVNULL)
                lines = [b'%d %d' % (number, i) for i in range(20000)]
                producer.stdin.write(b'\n'.join(lines) + b'\n')
                producer.stdin.flush()
                time.sleep(rng.uniform(0.005, 0.12))
                end_all(cluster)
                time.sleep(0.05)
                producer.kill()
                producer.wait()
                producer.stdin = None
            with open(os.path.join(cluster.dir, 'rows')) as rows:
                for line, row in zip(lines, rows):
                    if '"lsn"' in row and row.endswith('}\n'):
                        acked[line] = int(row.split('"lsn":')[1].split(',')[0])
            begin_all(cluster)
            cluster.leader('k')
        check(len(acked) > 0, 'nothing was acknowledged: the test shows nothing')
        cluster.converged('k')
        at = {row['lsn']: row['payload'].encode() for row in cluster.ok('read', 'k', '--json').rows()}
        lost = [line for line, lsn in acked.items() if at.get(lsn) != line]
        check(not lost, len(lost), 'of', len(acked), 'acknowledged entries are lost, such as', lost[:3])
        check(len(set(at.values())) == len(at), 'an entry stands twice')


def test_more_than_memory_holds_comes_back_byte_for_byte_also_after_a_kill():
    with Cluster(3, *DISK, *CALM, '--memory-mib', 64) as cluster:
        path = os.path.join(cluster.dir, 'input')
        with open(path, 'wb') as file:
            for i in range(60000):
                file.write(b'%08d' % i + bytes([97 + i % 26]) * 2991 + b'\n')
        cluster.ok('append', 'b', '--file', path)
        with open(path, 'rb') as file:
            expected = file.read()
        check(len(os.listdir(directories(cluster)[0])) > 2, 'it fits one file: the test shows nothing')
        for node in cluster.names:
            with open(f'/proc/{cluster.pid(node)}/status') as status:
                resident_kib = int(status.read().split('VmRSS:')[1].split()[0])
            check(resident_kib < 160 << 10, node, 'takes', resident_kib, 'KiB')
        check(cluster.read('b', 'n1') == expected, 'what is read differs')
        end_all(cluster)
        begin_all(cluster)
        cluster.converged('b')
        check(cluster.read('b', 'n2') == expected, 'what is read after the kill differs')


def test_a_branch_outlives_its_node_and_is_merged():
    with Cluster(3, *DISK) as cluster:
        cluster.ok('log', 'create', 'p', '--policy', 'adaptive')
        cluster.ok('append', 'p', stdin=b'before\n')
        cluster.ok('fault', 'partition', 'n1,n2|n3')
        until('n3 accepts alone', lambda: cluster.status('p')['n3']['mode'] == 'AP')
        rows = cluster.ok('append', 'p', '--via', 'n3', '--ack', 'local', '--json', stdin=b'a\nb\nc\n').rows()
        check(all('branch' in row for row in rows), rows)
        cluster.kill('n3')
        cluster.restart('n3')
        until('n3 is back', lambda: 'n3' in cluster.status('p'))
        cluster.ok('fault', 'heal')
        cluster.converged('p')
        check(cluster.read('p', 'n1').split() == [b'before', b'a', b'b', b'c'], cluster.read('p', 'n1'))


def test_a_copy_of_a_branch_outlives_its_holders_kill():
    with Cluster(5, *DISK) as cluster:
        alone = b''.join(b'alone %d\n' % i for i in range(3000))
        cluster.branch_with_copy('feed', alone)
        time.sleep(0.5)
        cluster.kill('n4')
        cluster.kill('n5')
        row = next(r for r in run('inspect', os.path.join(cluster.dir, 'n4'), '--json').rows() if r.get('log') == 'feed')
        check(row['copy_entries'] == 3000 and row['branch_entries'] == 0, row)
        # Nothing of n5 ever comes back.
        shutil.rmtree(os.path.join(cluster.dir, 'n5'))
        cluster.restart('n4')
        cluster.ok('fault', 'heal')
        until('the copy is merged', lambda: cluster.read('feed', 'n1') == b'before\n' + alone)
        cluster.converged('feed', ['n1', 'n2', 'n3', 'n4'])


def test_stopped_nodes_hold_the_same_as_two_readers_see_it():
    with Cluster(3, *DISK, *CALM) as cluster:
        cluster.ok('append', 's', stdin=b''.join(b'line %d\n' % i for i in range(3000)))
        cluster.converged('s')
        stop_all(cluster)
        compared = run('inspect', '--digest', '--json', *directories(cluster))
        check(compared.status == 0 and compared.rows()[-1]['identical'], compared.out)
        for directory in directories(cluster):
            rows = run('inspect', directory, '--json', '--verify')
            check(rows.status == 0, rows.err)
            log = [row for row in rows.rows() if row.get('log') == 's'][0]
            entries, damaged = read_journal(directory, 's')
            check(not damaged and [e for e in entries if e] == [b'line %d' % i for i in range(3000)])
            check(log['last_lsn'] == len(entries), log, len(entries))
        begin_all(cluster)


def damage(path, offset, bytes_written=b'\xff'):
    with open(path, 'r+b') as file:
        file.seek(offset)
        old = file.read(len(bytes_written))
        file.seek(offset)
        file.write(bytes(a ^ b for a, b in zip(old, bytes_written)))


def forge(path, offset, form, at, value):
    """A number in a block's header, and the header's checksum made right."""
    with open(path, 'r+b') as file:
        file.seek(offset)
        head = bytearray(file.read(HEAD))
        struct.pack_into(form, head, at, value)
        struct.pack_into('<I', head, 4, crc32c(bytes(head[8:])))
        file.seek(offset)
        file.write(head)


def test_damage_is_told_and_mended_from_the_others():
    with Cluster(3, *DISK) as cluster:
        cluster.ok('append', 'd', stdin=b''.join(b'line %d\n' % i for i in range(5000)))
        cluster.converged('d')
        stop_all(cluster)
        found = [block for block in blocks(directories(cluster)[1]) if block['kind'] == ENTRIES and block['count'] > 10]
        damage(os.path.join(directories(cluster)[1], f"journal-{found[0]['file']:08d}"), found[0]['at'] + 300)
        told = run('inspect', directories(cluster)[1], '--verify', '--json')
        check(told.status == 1 and told.rows()[0]['damaged'], told.out)
        entries, damaged = read_journal(directories(cluster)[1], 'd')
        check(damaged, 'the other reader does not see it')
        begin_all(cluster)
        cluster.converged('d')
        check(cluster.events('damaged'), 'no event says so')
        check(cluster.read('d', 'n2').count(b'\n') == 5000)


def test_numbers_that_cannot_be_are_damage_whatever_their_sums():
    with Cluster(3, *DISK) as cluster:
        cluster.ok('append', 'd', stdin=b''.join(b'line %d\n' % i for i in range(500)))
        cluster.converged('d')
        stop_all(cluster)
        directory = directories(cluster)[1]
        places = [('<Q', 64, 2 ** 64 - 1), ('<I', 120, 2 ** 32 - 1), ('<Q', 80, 2 ** 40)]  # term, life, sequence
        found = [block for block in blocks(directory) if block and block['kind'] == ENTRIES and block['count'] > 1]
        for block, (form, at, value) in zip(found, places):
            forge(os.path.join(directory, f"journal-{block['file']:08d}"), block['at'], form, at, value)
        tail = [block for block in blocks(directory) if block and block['kind'] == TAIL][-1]
        forge(os.path.join(directory, f"journal-{tail['file']:08d}"), tail['at'], '<Q', 64, 2 ** 64 - 1)
        told = run('inspect', directory, '--verify', '--json')
        check(told.status == 1 and len(told.rows()[0]['damaged']) >= 2, told.out)
        check(b'numbers that cannot be' in told.out + told.err, told.out, told.err)
        begin_all(cluster)
        cluster.converged('d')
        check(cluster.read('d', 'n2').count(b'\n') == 500)
        check(all(row['term'] < 1000 for row in cluster.status('d').values()), cluster.status('d'))


def test_damage_at_rest_is_found_while_the_node_runs():
    with Cluster(3, *DISK, *CALM) as cluster:
        lines = b''.join(b'line %d\n' % i for i in range(5000))
        cluster.ok('append', 'd', stdin=lines)
        cluster.converged('d')
        # Each start writes to a new file; the oldest is at rest.
        for _ in range(2):
            end_all(cluster)
            begin_all(cluster)
            cluster.ok('append', 'd', stdin=b'more\n')
            lines += b'more\n'
            cluster.converged('d')
        found = [block for block in blocks(directories(cluster)[1]) if block['kind'] == ENTRIES and block['count'] > 10]
        damage(os.path.join(directories(cluster)[1], f"journal-{found[0]['file']:08d}"), found[0]['at'] + 300)
        until('it is found', lambda: cluster.events('damaged'), 30)
        told = cluster.events('damaged')
        check([(e['node'], e['log']) for e in told] == [('n2', 'd')] and 'lsn' in told[0]['reason'], told)
        check(cluster.read('d', 'n2') == lines)
        # Everybody is there: the node starts anew by itself, as the same process, and takes it from the others.
        pid = cluster.pid('n2')
        until('it has started anew', lambda: [e for e in cluster.events('damaged')
                                              if e['node'] == 'n2' and 'does not lead' in e['reason']], 30)
        check(cluster.pid('n2') == pid)
        cluster.converged('d')
        check(cluster.read('d', 'n2') == lines)
        # What is known is no news.
        time.sleep(6)
        check(not [e for e in cluster.events('damaged') if 'journal-' in e['reason']], cluster.events('damaged'))


def test_a_full_disk_refuses_and_goes_on_when_there_is_space():
    if os.geteuid() != 0:
        return
    place, said = tempfile.mkdtemp(prefix='cairn-full-'), tempfile.TemporaryFile()
    mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64m,mode=700', 'none', place], stderr=subprocess.DEVNULL).returncode == 0
    try:
        if not mounted:
            return
        ballast = os.path.join(place, 'ballast')
        with open(ballast, 'wb') as file:
            file.write(bytes(20 << 20))
        started = run('dev', '--detach', '--dir', place, '--nodes', 3, '--memory-mib', 128, *DISK)
        check(started.status == 0, started.err)
        env = {'CAIRN_CLUSTER': os.path.join(place, 'cluster.yaml')}
        check(run('log', 'create', 'f', '--policy', 'cp', env=env).status == 0)
        line = b'x' * 4000 + b'\n'
        result = run('append', 'f', '--json', '--deadline-ms', 200, env=env, stdin=line * 3000)
        acked = [row['lsn'] for row in result.rows() if 'lsn' in row]
        errors = {row['error'] for row in result.rows() if 'error' in row}
        # The nodes whose disk is full refuse, or do not take what another leads: nothing more is acknowledged.
        check(acked and errors and errors <= {'no_space', 'unknown', 'no_leader', 'no_quorum', 'timeout'}, len(acked), errors)
        check(result.status != 0, result.status)
        reads = [run('read', 'f', '--level', 'stale', '--via', node, env=env) for node in ('n1', 'n2', 'n3')]
        check(all(read.status == 0 for read in reads), 'reads stop too', [read.err for read in reads])
        check(max(read.out.count(b'\n') for read in reads) >= len(acked), 'what is acknowledged is not there')
        os.unlink(ballast)
        until('it takes entries again', lambda: run('append', 'f', '--deadline-ms', 1000, env=env, stdin=b'again\n').status == 0)
        check(run('read', 'f', env=env).out.count(b'\n') >= len(acked) + 1)
    finally:
        run('dev', '--stop', '--dir', place)
        if mounted:
            until('the disk can be taken away', lambda: subprocess.run(['umount', place], stderr=subprocess.DEVNULL).returncode == 0)
        shutil.rmtree(place, ignore_errors=True)


def until_read(log, env):
    refused = []

    def done():
        result = run('read', log, '--level', 'linearizable', env=env)
        refused.append(result.err.decode())
        return result.status == 0 and result
    try:
        return until('it is read', done)
    except Failed as failed:
        status, events = run('status', env=env), run('events', env=env)
        raise Failed(f'{failed}: {refused[-1]} {status.out.decode()} {events.out.decode()[-6000:]}')


def test_a_full_disk_is_helped_by_a_trim_and_nodes_start_on_it():
    if os.geteuid() != 0:
        return
    place, said = tempfile.mkdtemp(prefix='cairn-full-'), tempfile.TemporaryFile()
    mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64m,mode=700', 'none', place], stderr=subprocess.DEVNULL).returncode == 0
    started = []
    try:
        if not mounted:
            return
        check(run('dev', '--detach', '--dir', place, '--nodes', 3, '--memory-mib', 128, '--profile', 'wan', *DISK).status == 0)
        env = {'CAIRN_CLUSTER': os.path.join(place, 'cluster.yaml')}
        check(run('log', 'create', 'f', '--policy', 'cp', env=env).status == 0)
        result = run('append', 'f', '--json', '--deadline-ms', 500, env=env, stdin=(b'x' * 1000 + b'\n') * 20000)
        acked = [row['lsn'] for row in result.rows() if 'lsn' in row]
        errors = [row['error'] for row in result.rows() if 'error' in row]
        check(acked and 'no_space' in errors, len(acked), set(errors))
        pids = [int(open(os.path.join(place, f'n{i}.pid')).read()) for i in (1, 2, 3)]
        for again in range(3):
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            for pid in pids:
                until('it is gone', lambda pid=pid: is_gone(pid))
            for node in ('n1', 'n2', 'n3'):
                started.append(subprocess.Popen([BINARY, 'server', '--node', node, '--cluster', env['CAIRN_CLUSTER']],
                                                stderr=said))
            until('all have started', lambda: len([row for row in run('status', '--json', env=env).rows() if row['log'] == 'f']) == 3)
            pids = [process.pid for process in started[-3:]]
        until('somebody leads', lambda: [row for row in run('status', '--json', env=env).rows()
                                         if row['log'] == 'f' and row['role'] == 'leader'])
        read = until_read('f', env)
        check(read.out.count(b'\n') >= len(acked), 'acknowledged and not there', read.out.count(b'\n'), len(acked))
        trimmed = run('log', 'trim', 'f', '--before', max(acked), env=env)
        check(trimmed.status == 0, trimmed.err)
        until('it takes entries again', lambda: run('append', 'f', '--deadline-ms', 1000, env=env, stdin=b'again\n').status == 0, 40)
    except BaseException as error:
        said.seek(0)
        raise AssertionError(f'{error}; the nodes said:\n{said.read().decode()}') from error
    finally:
        said.close()
        for process in started:
            process.kill()
            process.wait()
        run('dev', '--stop', '--dir', place)
        if mounted:
            until('the disk can be taken away', lambda: subprocess.run(['umount', place], stderr=subprocess.DEVNULL).returncode == 0)
        shutil.rmtree(place, ignore_errors=True)


def test_without_io_uring_a_thread_writes():
    with Cluster(3, *DISK) as cluster:
        for node in cluster.names:
            cluster.kill(node)
        for node in cluster.names:
            cluster.start('server', '--node', node, '--cluster', cluster.file, '--no-uring', stderr=subprocess.DEVNULL)
        cluster.leader('_catalog')
        cluster.ok('append', 'u', stdin=b'one\ntwo\n')
        end_all(cluster)
        begin_all(cluster)
        cluster.converged('u')
        check(cluster.read('u', 'n1') == b'one\ntwo\n')


def test_what_does_not_fit_the_journal_is_refused_with_a_reason():
    with Cluster(3, *DISK) as cluster:
        cluster.ok('append', 'x', stdin=b'one\n')
        stop_all(cluster)
        result = run('dev', '--detach', '--dir', cluster.dir, '--durability', 'memory')
        check(result.status == 1 and b'durable cluster' in result.err, result.err)
        one, other = (os.path.dirname(path) for path in directories(cluster)[:2])
        shutil.rmtree(one)
        shutil.copytree(other, one)
        result = run('server', '--node', 'n1', '--cluster', cluster.file)
        check(result.status == 1 and b'mixed up' in result.err, result.err)
        check(run('inspect', os.path.join(cluster.dir, 'no-such')).status == 1)
        shutil.rmtree(one)
        begin_all(cluster)
        cluster.converged('x')
    with Cluster(1) as cluster:
        result = cluster.cairn('log', 'create', 'm', '--policy', 'cp', '--durability', 'disk')
        check(result.status == 1 and b'no journal' in result.err, result.err)
        cluster.ok('log', 'create', 'm', '--policy', 'cp')
        check(cluster.cairn('append', 'm', '--durability', 'disk', stdin=b'x\n').status == 3)


def test_memory_is_there_at_the_start_where_asked():
    def resident_mib(cluster):
        with open(f'/proc/{cluster.pid("n1")}/status') as file:
            return next(int(line.split()[1]) >> 10 for line in file if line.startswith('VmRSS'))

    with Cluster(1, *DISK, *CALM, '--memory-mib', '128') as cluster:
        path = os.path.join(cluster.dir, 'cluster.yaml')
        check(resident_mib(cluster) < 128, 'pages exist that nobody needs')
        stop_all(cluster)
        with open(path) as file:
            text = file.read()
        check('memory_at_start: false\n' in text, text)
        with open(path, 'w') as file:
            file.write(text.replace('memory_at_start: false', 'memory_at_start: true'))
        begin_all(cluster)
        check(resident_mib(cluster) >= 128, 'pages are missing')


def test_less_memory_than_a_branch_needs_is_said_at_the_start():
    with Cluster(3, *DISK, *CALM, '--memory-mib', '256') as cluster:
        path = os.path.join(cluster.dir, 'cluster.yaml')
        cluster.ok('cluster', 'set', '--memory-mib', '64')
        cluster.ok('log', 'create', 'a', '--policy', 'ap')
        for node in ('n2', 'n3'):
            os.kill(cluster.pid(node), signal.SIGKILL)
        until('n1 is alone', lambda: cluster.status('a')['n1']['hears'] == ['n1'])
        lines = [b'%d %s' % (i, b'x' * 60000) for i in range(1000)]
        cluster.ok('append', 'a', '--via', 'n1', '--ack', 'local', stdin=b'\n'.join(lines) + b'\n')
        stop_all(cluster)
        with open(path) as file:
            text = file.read()
        with open(path, 'w') as file:
            file.write(text.replace('memory_mib: 256', 'memory_mib: 64'))
        refused = run('server', '--node', 'n1', '--cluster', path)
        check(refused.status == 1 and b'larger memory_mib' in refused.err and b'take' not in refused.err, refused.err)
        with open(path, 'w') as file:
            file.write(text)
        begin_all(cluster)
        until('all is merged', lambda: cluster.ok('read', 'a').out.splitlines() == lines)
