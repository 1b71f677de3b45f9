"""The simulator: production nodes in virtual time. Long runs are `cairn sim --runs 2000`."""
import os
import re
import tempfile

from harness import ROOT, check, run


def test_every_scenario_holds():
    result = run('sim', '--scenario', 'all', '--json', limit_s=600)
    bad = [row['scenario'] for row in result.rows() if row['violations'] != 0]
    listed = [row['scenario'] for row in run('sim', '--list', '--json').rows()]
    check(result.status == 0 and not bad, 'violated:', bad, result.err.decode()[-2000:])
    check(sorted(row['scenario'] for row in result.rows()) == sorted(listed) and len(listed) > 50)


def test_random_runs_hold():
    result = run('sim', '--runs', 60, '--json', limit_s=600)
    check(result.status == 0, result.err.decode()[-4000:])
    check(b'damaged' not in result.err, 'what is injected is told as news:', result.err.decode()[-1000:])
    check(len(result.rows()) == 60)
    for row in result.rows():
        check(row['violations'] == 0 and row['messages'] >= 100000 and len(row['faults']) >= 3, row)


def test_seeds_that_failed_once_hold():
    with open(os.path.join(ROOT, 'sim', 'seeds')) as file:
        seeds = re.findall(r'^(\d+)(d?)(?:w(\d))?(?:/(\d+))?', file.read(), re.M)
    check(len(seeds) > 10)
    for seed, disk, workers, messages in seeds:
        result = run('sim', '--seed', seed, '--durability', 'disk' if disk else 'memory', '--messages', messages or 100000,
                     *(['--workers', workers] if workers else []), limit_s=120)
        check(result.status == 0, 'seed', seed, result.err.decode()[-4000:])


def test_whatever_of_a_closed_file_is_damaged_is_made_good():
    # Every byte in turn: cairn sim --scenario any-damage --runs 126000
    for seed in range(1, 150 * 1201, 1201):
        result = run('sim', '--scenario', 'any-damage', '--seed', seed, limit_s=60)
        check(result.status == 0, 'seed', seed, result.err.decode()[-2000:])


def test_one_seed_gives_one_trace():
    alone = run('sim', '--seed', 11, '--json').rows()[0]
    among = [row for row in run('sim', '--seed', 10, '--runs', 3, '--json').rows() if row['seed'] == 11][0]
    other = run('sim', '--seed', 12, '--json').rows()[0]
    check(alone == among, alone, among)
    check(alone['trace'] != other['trace'])


def test_this_machine_plays_what_others_played():
    with open(os.path.join(ROOT, 'sim', 'traces')) as file:
        pinned = dict(line.split() for line in file)
    rows = run('sim', '--runs', len(pinned), '--messages', 20000, '--json').rows()
    check({str(r['seed']): r['trace'] for r in rows} == pinned,
          'other traces: after a change of what nodes do scripts/traces --pin writes them anew', rows, pinned)


def test_a_trace_can_be_followed():
    with tempfile.TemporaryDirectory() as folder:
        text, page = os.path.join(folder, 'trace.txt'), os.path.join(folder, 'trace.html')
        check(run('sim', '--scenario', 'prevote-rejoin', '--trace', text).status == 0)
        check(run('sim', '--scenario', 'prevote-rejoin', '--trace', page).status == 0)
        with open(text) as file:
            lines = file.read()
        check('leads log a in term' in lines and 'append log' in lines and 'is cut off' in lines)
        with open(page) as file:
            check('<svg' in file.read())
        check(run('sim', '--seed', 1, '--trace', os.path.join(folder, 'no', 'such')).status == 1)


def test_a_run_that_holds_is_not_shrunk():
    result = run('sim', '--seed', 5, '--shrink', '--messages', 20000)
    check(result.status == 0 and b'does not fail' in result.out, result.out, result.err)


def test_what_sim_cannot_do_it_says():
    for arguments in (['--scenario', 'nope'], ['--without', 'nope'], ['--runs', '0'], ['--profile', 'nope'],
                      ['--jobs', '1000', '--runs', '5000']):
        result = run('sim', *arguments)
        check(result.status == 2 and result.err, arguments, result.status, result.err)
