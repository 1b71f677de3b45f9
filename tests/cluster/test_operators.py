#!/usr/bin/env python3
"""Rounds of operators' acts (operators.py) on real processes under load, each on a cluster of its own.

As a test: CAIRN_OPERATOR_ROUNDS=N (default 3), CAIRN_OPERATOR_SEED=S, CAIRN_OPERATOR_ACTS=name,name. For many:

    tests/cluster/test_operators.py --rounds 1000 --seed 1 --ledger FILE [--acts name,name] [--list] [--keep-going]

The ledger is a file of JSON Lines: a row for each round (commit, seed, act, result) and one for the range at its end. Rounds
that it says passed on this commit are not played again. A round with too few acknowledgements to show anything, whose disk
stood still for seconds, is played again, up to five times; its rows say `stood`.
"""
import argparse
import json
import os
import subprocess
import sys
import time

from harness import ROOT, Failed, TooFew, check, disk_stood_s
from operators import ACTS, chosen_act, play_round

STOOD_S, TIMES = 2, 5


def commit():
    def git(*args):
        return subprocess.run(['git', '-C', ROOT, *args], capture_output=True, text=True).stdout.strip()
    return git('rev-parse', 'HEAD') + ('+' if git('status', '--porcelain', '--untracked-files=no') else '')


class Ledger:
    def __init__(self, path):
        self.path, self.rows, self.commit = path, [], commit()
        if path and os.path.exists(path):
            with open(path) as file:
                self.rows = [json.loads(line) for line in file if line.strip()]

    def has_passed(self, seed, name, durability):
        """Not what was played on a tree with changes of its own."""
        return not self.commit.endswith('+') and any(
            row.get('result') == 'passed' and row['commit'] == self.commit and row['seed'] == seed and row['act'] == name and
            row['durability'] == durability for row in self.rows)

    def note(self, **row):
        row = {'commit': self.commit, **row}
        self.rows.append(row)
        if self.path:
            with open(self.path, 'a') as file:
                file.write(json.dumps(row) + '\n')


def play(seed, name, durability, workers):
    """The row of one round."""
    began, stood_s = time.monotonic(), disk_stood_s()
    row = {'seed': seed, 'act': name, 'durability': durability, 'workers': workers}
    try:
        row.update(result='passed', **play_round(seed, name, durability, workers))
    except (Failed, subprocess.TimeoutExpired) as failed:
        stood = isinstance(failed, TooFew) and disk_stood_s() - stood_s > STOOD_S
        row.update(result='stood' if stood else 'failed', why=str(failed)[:2000])
    return {**row, 'seconds': round(time.monotonic() - began, 1), 'disk_stood_s': round(disk_stood_s() - stood_s, 1)}


def play_range(first, rounds, names, ledger, keep_going=False, tell=print):
    failed = played = 0
    for seed in range(first, first + rounds):
        name, durability, workers = chosen_act(seed, names)
        if ledger.has_passed(seed, name, durability):
            continue
        for _ in range(TIMES):
            row = play(seed, name, durability, workers)
            ledger.note(**row)
            tell(f'      {seed} {name} ({durability}, {workers} workers): {row["result"]} in {row["seconds"]} s, {row.get("acked", 0)} of '
                 f'{row.get("answered", 0)} taken, {row.get("reads", 0)} current reads, the disk stood for {row["disk_stood_s"]} s '
                 f'{row.get("why", "")}')
            if row['result'] != 'stood':
                break
        played += 1
        failed += row['result'] != 'passed'
        if failed and not keep_going:
            break
    ledger.note(first=first, last=first + rounds - 1, acts=len(names), played=played, failed=failed,
                result='range failed' if failed else 'range passed')
    return failed


def chosen(text):
    names = [name for name in (text or '').split(',') if name] or [name for name in ACTS if not ACTS[name].not_yet]
    check(all(name in ACTS for name in names), 'no such act among:', names)
    return names


def test_operators_lose_double_and_hide_nothing():
    rounds, first = int(os.environ.get('CAIRN_OPERATOR_ROUNDS', 3)), int(os.environ.get('CAIRN_OPERATOR_SEED', 1))
    ledger = Ledger(os.environ.get('CAIRN_OPERATOR_LEDGER'))
    failed = play_range(first, rounds, chosen(os.environ.get('CAIRN_OPERATOR_ACTS')), ledger)
    check(not failed, ledger.rows[-2] if failed else '')


def test_a_ledger_is_gone_on_from():
    ledger = Ledger(None)
    ledger.commit = 'here'
    ledger.note(seed=4, act='reboot', durability='disk', result='passed')
    ledger.note(seed=5, act='reboot', durability='disk', result='failed')
    check(ledger.has_passed(4, 'reboot', 'disk'))
    check(not ledger.has_passed(5, 'reboot', 'disk') and not ledger.has_passed(4, 'hang', 'disk'))
    ledger.commit = 'elsewhere'
    check(not ledger.has_passed(4, 'reboot', 'disk'))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--ledger')
    parser.add_argument('--acts')
    parser.add_argument('--list', action='store_true')
    parser.add_argument('--keep-going', action='store_true')
    options = parser.parse_args()
    if options.list:
        for name, function in ACTS.items():
            print(f'{name:26} {", ".join(function.on)}{", root" if function.root else ""}{", beyond" if function.beyond else ""}'
                  f'{": not yet, " + function.not_yet if function.not_yet else ""}')
        return 0
    failed = play_range(options.seed, options.rounds, chosen(options.acts), Ledger(options.ledger), options.keep_going,
                        lambda text: print(text, flush=True))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
