"""What a cluster shows of itself while it runs: metrics for Prometheus, and `cairn top`."""
import json
import os
import re
import socket
import subprocess
import urllib.error
import urllib.request

from harness import CALM, Cluster, check, run, until

SAMPLE = re.compile(r'([a-z_]+)\{(.*)\} (\S+)')
LABEL = re.compile(r'([a-z]+)="([^"]*)",?')


def free_ports(count):
    """The first of so many ports in a row that nobody has."""
    while True:
        with socket.socket() as first:
            first.bind(('127.0.0.1', 0))
            port = first.getsockname()[1]
        try:
            for i in range(count):
                with socket.socket() as other:
                    other.bind(('127.0.0.1', port + i))
            return port
        except (OSError, OverflowError):
            pass


def get(port, path='/metrics', **more):
    request = urllib.request.Request(f'http://127.0.0.1:{port}{path}', **more)
    with urllib.request.urlopen(request, timeout=10) as answer:
        check(answer.headers['Content-Type'].startswith('text/plain; version=0.0.4'), answer.headers)
        return answer.read().decode()


class Metrics:
    """A strict reader: a family is told once, with all its samples behind it, each once."""

    def __init__(self, text):
        self.samples, self.types = {}, {}
        family = None
        for line in text.splitlines():
            if line.startswith('# HELP '):
                continue
            if line.startswith('# TYPE '):
                family, kind = line.split()[2:]
                check(family not in self.types, 'told twice:', family)
                self.types[family] = kind
                continue
            name, labels, value = SAMPLE.fullmatch(line).groups()
            stem = re.sub('_(bucket|sum|count)$', '', name) if self.types[family] == 'histogram' else name
            check(stem == family, 'a sample outside its family:', line)
            key = (name, frozenset(LABEL.findall(labels)))
            check(key not in self.samples, 'twice:', line)
            self.samples[key] = float(value)

    def get(self, name, **labels):
        return self.samples.get((name, frozenset(labels.items())))

    def buckets(self, **labels):
        """Of a histogram: (bound, samples up to there), rising."""
        found = []
        for (name, these), value in self.samples.items():
            these = dict(these)
            if name == 'cairn_append_seconds_bucket' and all(these[k] == v for k, v in labels.items()):
                found.append((float(these['le']), value))
        return sorted(found)


def test_metrics_say_what_was_done():
    port = free_ports(3)
    with Cluster(3, '--metrics', port, *CALM) as cluster:
        cluster.ok('log', 'create', 'k', '--policy', 'cp')
        leader = cluster.leader('k')
        lines = b''.join(b'entry %d\n' % i for i in range(1000))
        cluster.ok('append', 'k', '--via', leader, stdin=lines)
        cluster.ok('append', 'k', '--via', leader, '--ack', 'all', stdin=b'for all\n')
        check(cluster.read('k', leader) == lines + b'for all\n')
        cluster.converged('k')
        at = port + cluster.names.index(leader)
        labels = {'node': leader, 'log': 'k'}
        until('they are told', lambda: Metrics(get(at)).get('cairn_log_read_total', **labels) == 1001)
        metrics = Metrics(get(at))
        row = cluster.status('k')[leader]
        check(metrics.get('cairn_log_appended_total', **labels) == 1001)
        check(metrics.get('cairn_log_appended_bytes_total', **labels) > 1000 * len('entry 0'))
        check(metrics.get('cairn_log_commit_lsn', **labels) == row['commit_lsn'])
        check(metrics.get('cairn_log_leads', **labels) == 1)
        check(metrics.get('cairn_log_mode', mode='CP', **labels) == 1)
        check(metrics.get('cairn_log_mode', mode='AP', **labels) == 0)
        check(metrics.get('cairn_append_seconds_count', ack='majority', **labels) == 1000)
        check(metrics.get('cairn_append_seconds_count', ack='all', **labels) == 1)
        check(metrics.get('cairn_append_seconds_count', ack='local', **labels) is None)
        buckets = metrics.buckets(log='k', ack='majority')
        check(buckets[-1] == (float('inf'), 1000) and buckets == sorted(buckets, key=lambda b: b[1]), buckets)
        check(0 < metrics.get('cairn_append_seconds_sum', ack='majority', **labels) < 1000 * buckets[-2][0])
        check(metrics.get('cairn_events_total', node=leader, event='leader') >= 1)
        other = next(n for n in cluster.names if n != leader)
        check(metrics.get('cairn_peer_heard', node=leader, peer=other) == 1)
        follower = Metrics(get(port + cluster.names.index(other)))
        check(follower.get('cairn_log_leads', node=other, log='k') == 0)
        cluster.kill(other)
        until('it is not heard', lambda: Metrics(get(at)).get('cairn_peer_heard', node=leader, peer=other) == 0)


def test_only_metrics_are_served():
    port = free_ports(1)
    with Cluster(1, '--metrics', port) as cluster:
        for path, method, status in (('/', 'GET', 404), ('/metrics', 'POST', 405), ('/metrics/../x', 'GET', 404)):
            try:
                get(port, path, method=method, data=b'x' * 100000 if method == 'POST' else None)
                check(False, path, 'was answered')
            except urllib.error.HTTPError as refused:
                check(refused.code == status, path, refused.code)
        # Whoever asks and never reads, or says nothing, keeps nobody else from it.
        held = [socket.create_connection(('127.0.0.1', port)) for _ in range(4)]
        for sock in held:
            sock.sendall(b'GET /metrics HTTP/1.1\r\nHost: x\r\n')
        check(Metrics(get(port)).get('cairn_node_start', node='n1') == 1)
        for sock in held:
            sock.close()
        second = run('server', '--node', 'n1', '--cluster', cluster.file, '--metrics', port)
        check(second.status == 1, second.status, second.err)
    for wrong in ('', 'x', '0', '65536', ':9', '127.0.0.1:', 'localhost:9100', '[::1]x9100'):
        with Cluster(1) as cluster:
            cluster.ok('dev', '--stop', '--dir', cluster.dir)
            told = cluster.cairn('server', '--node', 'n1', '--cluster', cluster.file, '--metrics', wrong)
            check(told.status == 2 and b'--metrics does not take' in told.err, wrong, told.status, told.err)
    with socket.socket() as taken, Cluster(1) as cluster:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        cluster.ok('dev', '--stop', '--dir', cluster.dir)
        told = cluster.cairn('server', '--node', 'n1', '--cluster', cluster.file, '--metrics', taken.getsockname()[1])
        check(told.status == 1 and b'in use' in told.err, told.status, told.err)


def test_every_node_knows_whom_every_other_hears():
    def row(node, via):
        """What `status --via` draws: what stands in the node's row of the matrix."""
        lines = cluster.ok('status', '--via', via).out.decode().split('\nhears ')[1].splitlines()
        return next(l for l in lines[1:] if l.split()[0] == node)

    with Cluster() as cluster:
        cluster.ok('log', 'create', 'k', '--policy', 'cp')
        until('n1 knows whom n2 hears', lambda: re.match(r'n2 +\d+\.\dms +- +\d+\.\dms +as n1 heard', row('n2', 'n1')))
        # n3 hears both others, and n2 does not hear it.
        cluster.ok('fault', 'link', 'n3>n2', 'drop=1')
        until('n1 knows that n2 does not hear n3', lambda: re.match(r'n2 +\d+\.\dms +- +NO', row('n2', 'n1')))
        check(re.match(r'n3 +\d+\.\dms +\d+\.\dms +-', row('n3', 'n1')), row('n3', 'n1'))
        cluster.kill('n2')
        until('what n2 said last is said', lambda: re.search(r'as n1 heard \d+ ms ago', row('n2', 'n1')))


def test_top_shows_rates():
    with Cluster(3, *CALM) as cluster:
        cluster.ok('log', 'create', 'k', '--policy', 'cp')
        cluster.ok('log', 'create', 'other', '--policy', 'cp')
        leader = cluster.leader('k')
        top = cluster.start('top', '--json', '--log', 'k', '--interval-ms', 300, '--count', 4, stdout=subprocess.PIPE)
        sent = 0
        while top.poll() is None:
            cluster.ok('append', 'k', '--via', leader, stdin=b'x\n' * 500)
            sent += 500
        rows = [json.loads(line) for line in top.stdout.read().splitlines()]
        check(top.returncode == 0 and {r['log'] for r in rows} == {'k'} and len(rows) == 12, rows)
        mine = [r for r in rows if r['node'] == leader]
        appended = sum(r['appends_per_s'] * r['interval_ms'] / 1000 for r in mine)
        check(0 < appended <= sent + 1, appended, sent)
        busy = [r for r in mine if 'majority' in r]
        check(busy and all(0 < r['majority']['p50_ns'] <= r['majority']['p99_ns'] for r in busy), mine)
        check(sum(r['majority']['appends'] for r in busy) <= sent, busy)
        text = cluster.ok('top', '--interval-ms', 50, '--count', 1).out.decode()
        check('\x1b' not in text, 'control sequences where there is no terminal')
        check(re.search(rf'^{leader} +k +leader +CP ', text, re.M) and re.search('^n2 +other', text, re.M), text)
        check('s ago' in text and 'leads in term' in text, text)
        check(cluster.cairn('top', '--interval-ms', 1).status == 2)
    check(cluster.cairn('top', '--count', 1).status == 1)


def test_events_of_a_life_before_are_not_waited_for():
    """Who counted more events than this life of the node has had is shown them from the beginning."""
    def asked(next_event):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(os.path.join(cluster.dir, 'n1.sock'))
            client.sendall(json.dumps({'cmd': 'events', 'next': next_event}).encode() + b'\n')
            return json.loads(client.makefile().readline())

    with Cluster(1) as cluster:
        cluster.ok('log', 'create', 'k', '--policy', 'cp')
        rows = asked(0)['rows']
        for beyond in (2 ** 63 - 1, -1, len(rows) + 1000):
            answer = asked(beyond)
            check(answer['rows'][:len(rows)] == rows and answer['next'] >= len(rows), beyond, answer)
