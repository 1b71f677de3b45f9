"""Commands in a binary that looks for leaks (scripts/sanitize): every one of them gives back what it took. Elsewhere there is
nothing to see, and nothing is run."""
import os

from harness import Cluster, check, is_sanitized, run

COMMANDS = (
    ('log', 'create', 'k', '--policy', 'cp'), ('status',), ('status', '--json'), ('log', 'list'), ('append', 'k'), ('append', 'k', '--json'),
    ('read', 'k'), ('read', 'k', '--json'), ('view', 'k', '--resolve', 'lww'), ('events',), ('events', '--json'),
    ('top', '--count', '1', '--interval-ms', '100'), ('cluster', 'show'), ('cluster', 'show', '--json'), ('log', 'set', 'k', '--retain-age', '1d'),
    ('log', 'trim', 'k', '--before', '2'), ('log', 'adopt', 'k'), ('log', 'adopt', 'k', '--from', 'n1'), ('member', 'transfer', 'n2'),
    ('fault', 'link', 'n1>n2', 'drop=0.1'), ('fault', 'heal'), ('cluster', 'set', '--timeout-us', '300000'), ('cluster', 'add', 'n9'),
    ('cluster', 'remove', 'n9'), ('cluster', 'recover', '--from', 'n1'), ('member', 'replace', 'n3'), ('member', 'remove', 'n3'),
    ('member', 'add', 'n3'), ('cluster', 'bootstrap'), ('read', 'nosuch'), ('append', '_catalog'), ('server', '--node', 'n1', '--check'),
    ('server', '--node', 'n1'),
)
ALONE = (('sim', '--seed', '3', '--messages', '2000'), ('sim', '--list'), ('status', '--cluster', '/no/such'), ('status', '--help'), ('nonsense',))


def gives_back(args):
    done = run(*args, stdin=b'some thing\n', env={'ASAN_OPTIONS': 'detect_leaks=1'})
    check(b'LeakSanitizer' not in done.err, args, done.status, done.err.decode()[-3000:])


def test_every_command_gives_back_what_it_took():
    if not is_sanitized():
        print('      (skipped: the binary does not look for leaks)')
        return
    with Cluster(3, '--profile', 'wan', '--durability', 'disk') as cluster:
        for args in COMMANDS:
            gives_back((*args, '--cluster', cluster.file))
        run('dev', '--stop', '--dir', cluster.dir)
        gives_back(('inspect', '--digest', *(os.path.join(cluster.dir, node) for node in cluster.names)))
        gives_back(('status', '--cluster', cluster.file))
    for args in ALONE:
        gives_back(args)
