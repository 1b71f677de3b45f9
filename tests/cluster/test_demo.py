"""The stories of `cairn demo`."""
import os
import re
import signal
import subprocess
import tempfile

from harness import BINARY, about_time, check, run, until


def play(story):
    with tempfile.TemporaryDirectory() as directory:
        page = os.path.join(directory, 'page.html')
        done = run('demo', story, '--json', '--report', page)
        check(done.status == 0, done.out, done.err)
        rows = done.rows()
        check(rows[-1]['step'] == 'result' and rows[-1]['holds'] and rows[-1]['story'] == story, rows[-1])
        with open(page) as file:
            text = file.read()
        check(text.startswith('<!doctype html>') and text.endswith('</html>\n') and '<rect' in text)
        return rows


def test_the_bank_refuses_rather_than_be_wrong():
    rows = play('bank')
    asked = [r['text'] for r in rows if r.get('text', '').startswith('ann asks')]
    check(asked.count('ann asks: 20') == 4 and 'ann asks: cannot say for sure' in asked, asked)
    check(rows[-1]['refused'] == 2, rows[-1])


def test_the_social_feed_takes_everything():
    rows = play('social')
    check(rows[-1]['refused'] == 0 and rows[-1]['accepted'] == 17, rows[-1])
    check(sum(r.get('text') == 'shows 3 authors, the cat has 10 likes' for r in rows) == 3)


def test_the_shop_has_one_cart_and_one_price():
    rows = play('shop')
    check(sum(r.get('text') == 'cart: kettle, tea; kettle 17' for r in rows) == 3)


def test_there_is_no_other_story():
    done = run('demo', 'casino')
    check(done.status == 2 and b'bank, social, shop' in done.err, done.err)
    check(run('demo', 'bank', '--input', '/etc/services').status == 2)


def test_a_page_that_cannot_be_written_is_said_at_once():
    for args in (('demo', 'bank'), ('demo',), ('bench', 'consistency')):
        refused = run(*args, '--report', '/nonexistent-directory/page.html')
        check(refused.status == 1 and refused.out == b'' and b'page.html: cannot be written' in refused.err, refused.out, refused.err)


@about_time
def test_the_price_list_has_every_row():
    the_price_list('memory')


@about_time
def test_the_price_list_on_disk_has_every_row():
    the_price_list('disk', '--durability', 'disk', '--dir', tempfile.gettempdir())


def test_a_bench_that_is_interrupted_takes_its_files_away():
    for whom, end in (('both', signal.SIGINT), ('first', signal.SIGTERM)):
        with tempfile.TemporaryDirectory(prefix='cairn-test-') as folder:
            bench = subprocess.Popen([BINARY, 'bench', 'latency', '--durability', 'disk', '--dir', folder, '--seconds', '60'],
                                     stdout=subprocess.DEVNULL, start_new_session=True,
                                     # What a shell's background ignores this process is to obey.
                                     preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
            try:
                until('the nodes have journals', lambda: [f for _, _, files in os.walk(folder) for f in files
                                                          if f.startswith('journal')])
                (os.killpg if whom == 'both' else os.kill)(bench.pid, end)
                check(bench.wait(20) == -end, bench.returncode)
                check(os.listdir(folder) == [], os.listdir(folder))
                until('its processes are gone', lambda: group_is_gone(bench.pid))
            finally:
                if not group_is_gone(bench.pid):
                    os.killpg(bench.pid, signal.SIGKILL)
                bench.wait()


def group_is_gone(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def the_price_list(durability, *options):
    with tempfile.TemporaryDirectory(prefix='cairn-test-') as folder:
        report = os.path.join(folder, 'report.html')
        done = run('bench', 'consistency', '--seconds', 1, '--json', '--report', report, *options, limit_s=180)
        check(done.status == 0, done.err)
        with open(report) as file:
            page = file.read()
    # A curve for each level and the raw transport, in two plots; a bar for each append's level, and four for each cut.
    check(page.count('<polyline') == 6 + 7 + 2 and page.count("height='18'") >= 6 + 4 * 4, 'the page lacks plots')
    for plot in ('appends a second', 'share of appends served on each side', 'p99 of live appends'):
        check(f"aria-label='{plot}'" in page, 'the page lacks', plot)
    check(page.endswith('</body></html>\n') and not re.search(r"[ ',]-?(nan|inf)\b", page), 'the page is not whole')
    check({r['durability'] for r in done.rows() if r['phase'] != 'partition'} == {durability})
    rows = done.rows()
    check([r['phase'] for r in rows] == ['append'] * 6 + ['read'] * 7 + ['partition'] * 4, [r['phase'] for r in rows])
    cut = {r['policy']: r for r in rows[-4:]}
    check(cut['cp']['minority_served'] == 0 and cut['cp']['majority_refused'] == 0, cut['cp'])
    check(cut['ca']['majority_served'] == 0 and cut['ca']['minority_served'] == 0, cut['ca'])
    check(cut['adaptive']['minority_refused'] == 0 and cut['adaptive']['branch_entries'] > 0, cut['adaptive'])
    check(cut['ap']['minority_refused'] == 0 and cut['ap']['majority_refused'] == 0, cut['ap'])
