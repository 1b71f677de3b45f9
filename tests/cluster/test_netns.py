"""Nodes in network namespaces of their own, whose links are cut from outside."""
import json
import os
import signal
import subprocess
import tempfile
import time

from harness import BINARY, CALM, Cluster, check, until


def ip(*arguments):
    subprocess.run(['ip', *map(str, arguments)], check=True, capture_output=True)


def tc(*arguments):
    subprocess.run(['tc', *map(str, arguments)], check=True, capture_output=True)


def needs_namespaces(test):
    """Skips, and says so, where namespaces cannot be made at all: not root, or a container that forbids it."""
    def run_or_skip():
        made = subprocess.run(['ip', 'netns', 'add', 'cairn-probe'], capture_output=True, text=True)
        if made.returncode != 0:
            print(f'      skipped: no network namespaces here: {made.stderr.strip()}')
            return
        ip('netns', 'del', 'cairn-probe')
        test()
    return run_or_skip


def namespaces():
    done = subprocess.run(['ip', 'netns'], capture_output=True, text=True)
    return {line.split()[0] for line in done.stdout.splitlines() if line.startswith('cairn-')}


def in_client_namespace(code):
    return subprocess.run(['ip', 'netns', 'exec', 'cairn-c', 'python3', '-c', code], capture_output=True, text=True)


PING = '''
import socket, struct, sys
def fold(data):
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
sock.settimeout(5)
for number in range(1, 4):
    head = struct.pack('!BBHHH', 8, 0, 0, 7, number)
    body = b'are you there...'
    sock.sendto(struct.pack('!BBHHH', 8, 0, fold(head + body), 7, number) + body, (f'10.202.0.{number}', 0))
    answer, sender = sock.recvfrom(2048)
    assert sender[0] == f'10.202.0.{number}' and answer[20] == 0 and answer[28:] == body, (sender, answer)
print('answered')
'''


@needs_namespaces
def test_nodes_answer_arp_and_ping_and_shrug_off_strangers():
    with Cluster(3, '--transport', 'netns') as cluster:
        check(namespaces() == {'cairn-n1', 'cairn-n2', 'cairn-n3', 'cairn-net', 'cairn-c'}, namespaces())
        done = in_client_namespace(PING)
        check(done.stdout == 'answered\n', done.stdout, done.stderr)
        noise = ('import os, socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n'
                 'for i in range(3000): s.sendto(os.urandom(i % 1400), ("10.202.0.%d" % (1 + i % 3), 7400))')
        check(in_client_namespace(noise).returncode == 0)
        cluster.ok('append', 'x', stdin=b'still here\n')
        cluster.converged('x')
        other = subprocess.run([BINARY, 'dev', '--transport', 'netns', '--detach', '--dir', cluster.dir + '-2'],
                               capture_output=True)
        check(other.returncode == 1 and b'in use by process' in other.stderr, other.stderr)
        os.rmdir(cluster.dir + '-2') if not os.listdir(cluster.dir + '-2') else None
        subprocess.run(['rm', '-rf', cluster.dir + '-2'])
    check(namespaces() == set(), namespaces())


@needs_namespaces
def test_a_link_taken_down_is_noticed_and_put_up_merges():
    with Cluster(3, '--transport', 'netns') as cluster:
        cluster.ok('log', 'create', 'feed', '--policy', 'adaptive')
        cluster.ok('log', 'create', 'bank', '--policy', 'cp')
        cluster.ok('append', 'feed', stdin=b'before\n')
        for round in range(3):
            ip('-n', 'cairn-net', 'link', 'set', 'n3', 'down')
            until('n3 accepts alone', lambda: cluster.status('feed')['n3']['mode'] == 'AP')
            check(cluster.cairn('append', 'bank', '--via', 'n3', stdin=b'no\n').status == 3)
            alone = b''.join(b'alone %d\n' % i for i in range(500))
            cluster.ok('append', 'feed', '--via', 'n3', stdin=alone)
            cluster.ok('append', 'feed', '--via', cluster.leader('feed', ['n1', 'n2']), stdin=b'together\n')
            ip('-n', 'cairn-net', 'link', 'set', 'n3', 'up')
            cluster.converged('feed')
            check(len(cluster.read('feed', 'n1').splitlines()) == 1 + 501 * (round + 1))


@needs_namespaces
def test_a_one_way_link_is_told_from_a_dead_node():
    with Cluster(3, '--transport', 'netns') as cluster:
        cluster.ok('log', 'create', 'bank', '--policy', 'cp')
        # What n3 sends is lost; what is sent to it arrives.
        tc('-n', 'cairn-n3', 'qdisc', 'add', 'dev', 'eth0', 'root', 'blackhole')
        until('n3 knows that nobody hears it', lambda: cluster.status('bank')['n3']['mode'] == 'DENIED')
        check(len(cluster.status('bank')['n3']['hears']) == 3, 'n3 hears all')
        check('n3' not in cluster.status('bank')['n1']['hears'])
        said = [e['reason'] for e in cluster.events('partition_suspected') if e['node'] == 'n3']
        check(any('does not hear this node' in reason for reason in said), said)
        cluster.ok('append', 'bank', '--via', cluster.leader('bank', ['n1', 'n2']), stdin=b'on\n')
        tc('-n', 'cairn-n3', 'qdisc', 'del', 'dev', 'eth0', 'root')
        cluster.converged('bank')


@needs_namespaces
def test_each_worker_hears_what_is_for_it_on_a_shared_interface():
    with Cluster(3, '--transport', 'netns', '--workers', '3', *CALM) as cluster:
        for worker in range(3):
            log = f'log{worker}'
            cluster.ok('log', 'create', log, '--policy', 'cp', '--worker', worker)
            cluster.ok('append', log, '--ack', 'all', stdin=b'held by all\n')
            check(all(len(row['hears']) == 3 for row in cluster.status(log).values()), cluster.status(log))


def hears(cluster, node):
    return set(cluster.status('bank').get(node, {}).get('hears', ()))


@needs_namespaces
def test_an_nft_rule_cuts_two_nodes_from_each_other():
    with Cluster(3, '--transport', 'netns') as cluster:
        cluster.ok('log', 'create', 'bank', '--policy', 'cp')
        for one, other in (('n1', 'n3'), ('n3', 'n1')):
            link = subprocess.run(['ip', '-n', 'cairn-' + other, '-j', 'link', 'show', 'eth0'], check=True, capture_output=True)
            rules = (f'table netdev {one} {{ chain cut {{ type filter hook ingress device "{one}" priority 0; '
                     f'ether daddr {json.loads(link.stdout)[0]["address"]} drop; }}; }}')
            subprocess.run(['ip', 'netns', 'exec', 'cairn-net', 'nft', rules], check=True)
        until('n1 and n3 do not hear each other', lambda: 'n3' not in hears(cluster, 'n1') and
              'n1' not in hears(cluster, 'n3') and len(hears(cluster, 'n2')) == 3)
        said = [e['reason'] for e in cluster.events('partition_suspected') if e['node'] in ('n1', 'n3')]
        check(any('n2 said it hears it' in reason for reason in said), said)
        cluster.ok('append', 'bank', stdin=b'on\n')

        def leads_on():
            leader, since_ns = cluster.leader('bank'), time.monotonic_ns()
            term = cluster.status('bank')[leader]['term']
            time.sleep(0.3)
            if cluster.status('bank')[leader]['term'] == term and cluster.leader('bank') == leader:
                return True
            # Only a machine that is busy cuts off n2 too: then somebody says so.
            events = cluster.events('partition_suspected', since_ns)
            check([e for e in events if 'n2' in (e['node'], e['peer'])], 'the leader was replaced without a reason', events)
            return False
        # Both reach a majority, so whoever leads goes on leading.
        until('whoever leads goes on leading', leads_on)
        for node in ('n1', 'n3'):
            subprocess.run(['ip', 'netns', 'exec', 'cairn-net', 'nft', 'delete', 'table', 'netdev', node], check=True)
        until('all hear all', lambda: all(len(hears(cluster, node)) == 3 for node in cluster.names))
        cluster.converged('bank')
        check(cluster.read('bank', 'n3') == b'on\n')


@needs_namespaces
def test_a_cluster_whose_parent_is_killed_leaves_nothing_behind():
    directory = tempfile.mkdtemp(prefix='cairn-test-')
    for how in (signal.SIGINT, signal.SIGKILL):
        dev = subprocess.Popen([BINARY, 'dev', '--transport', 'netns', '--dir', directory, '--memory-mib', '256'],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        check(b'ready' in dev.stdout.readline() + dev.stdout.readline())
        check(len(namespaces()) == 5, namespaces())
        dev.send_signal(how)
        dev.wait()
        until(f'nothing is left after {how.name}', lambda: namespaces() == set())
        until('no node is left', lambda: not any(f.endswith('.pid') and running(os.path.join(directory, f))
                                                 for f in os.listdir(directory)))
    subprocess.run(['rm', '-rf', directory])


def running(pid_file):
    try:
        with open(pid_file) as file:
            os.kill(int(file.read()), 0)
        return True
    except (OSError, ValueError):
        return False


@needs_namespaces
def test_a_flapping_link_costs_a_handful_of_mode_changes_and_loses_nothing():
    seconds = float(os.environ.get('CAIRN_FLAP_SECONDS', 6))
    with Cluster(3, '--transport', 'netns') as cluster:
        cluster.ok('log', 'create', 'feed', '--policy', 'adaptive')
        began, given = time.monotonic_ns(), 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            ip('-n', 'cairn-net', 'link', 'set', 'n3', 'down')
            time.sleep(0.045)
            ip('-n', 'cairn-net', 'link', 'set', 'n3', 'up')
            cluster.ok('append', 'feed', '--via', 'n3', stdin=b'%d\n' % given)
            given += 1
            time.sleep(0.03)
        cluster.converged('feed')
        changes = [e for e in cluster.events('mode_changed', began) if e['node'] == 'n3' and e['log'] == 'feed']
        check(len(changes) <= 24, len(changes), 'changes of mode in', given, 'flaps')
        lines = cluster.read('feed', 'n1').splitlines()
        check(lines == [b'%d' % i for i in range(given)], given, lines[-3:])


METRICS = 'import urllib.request; print(urllib.request.urlopen("http://127.0.0.1:%d/metrics", timeout=5).read().decode())'


def dropped(node, port, reason):
    done = subprocess.run(['ip', 'netns', 'exec', f'cairn-{node}', 'python3', '-c', METRICS % port], capture_output=True,
                          text=True, check=True)
    line = f'cairn_frames_dropped_total{{node="{node}",reason="{reason}"}} '
    return next(int(row[len(line):]) for row in done.stdout.splitlines() if row.startswith(line))


@needs_namespaces
def test_a_bridge_that_floods_brings_nobody_what_is_for_others():
    port = 9100
    with Cluster(3, '--transport', 'netns', '--metrics', port) as cluster:
        cluster.ok('log', 'create', 'bank', '--policy', 'cp')
        # It forgets at once where anybody is, so everybody sees everything.
        ip('-n', 'cairn-net', 'link', 'set', 'br0', 'type', 'bridge', 'ageing_time', 0)
        before = [dropped(node, port + i, 'mac') for i, node in enumerate(cluster.names)]
        for round in range(3):
            lines = b''.join(b'line %d\n' % i for i in range(500))
            cluster.ok('append', 'bank', stdin=lines)
            leader = cluster.leader('bank')
            ip('-n', 'cairn-net', 'link', 'set', leader, 'down')
            cluster.leader('bank', [node for node in cluster.names if node != leader])
            ip('-n', 'cairn-net', 'link', 'set', leader, 'up')
            cluster.converged('bank')
            check(cluster.read('bank', leader).count(b'\n') == 500 * (round + 1))
        check(not cluster.events('diverged'), cluster.events('diverged'))
        for i, node in enumerate(cluster.names):
            check(dropped(node, port + i, 'mac') > before[i] + 100, node, 'was not flooded')
            check(dropped(node, port + i, 'to') == 0 and dropped(node, port + i, 'from') == 0)
