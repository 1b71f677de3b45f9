#!/usr/bin/env python3
"""Runs every test: the units (by meson) and the ones with real processes. `run.py NAME` runs those
whose name holds NAME, --processes leaves the units out. The last line is the sum."""
import argparse
import importlib.util
import os
import re
import subprocess
import sys
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'cluster'))


def units(pattern):
    command = ['meson', 'test', '-C', os.path.join(ROOT, 'build'), '--print-errorlogs', '--no-rebuild']
    names = subprocess.run(command + ['--list'], capture_output=True, text=True).stdout.split('\n')
    names = [n.split(' / ')[-1].strip() for n in names if n and not n.startswith('ninja')]
    chosen = [n for n in names if pattern in n]
    if not names:
        print('FAIL  the units are not built (scripts/build)')
        return 0, 1
    if not chosen:
        return 0, 0
    done = subprocess.run(command + chosen, stdout=subprocess.PIPE, text=True)
    ok = re.search(r'^Ok:\s+(\d+)', done.stdout, re.M)
    passed = int(ok.group(1)) if ok else 0
    if passed != len(chosen):
        print(done.stdout)
    return passed, len(chosen) - passed


def cluster_tests():
    folder = os.path.join(ROOT, 'tests', 'cluster')
    for file in sorted(os.listdir(folder)):
        if not file.startswith('test_') or not file.endswith('.py'):
            continue
        spec = importlib.util.spec_from_file_location(file[:-3], os.path.join(folder, file))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for name, function in list(vars(module).items()):
            if name.startswith('test_') and callable(function):
                yield f'{file[5:-3]}: {name[5:].replace("_", " ")}', f'{file} {name}', function


def main():
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument('name', nargs='?', default='', metavar='NAME', help='a part of the name; default: every test')
    parser.add_argument('--processes', action='store_true', help='leave the units out')
    options = parser.parse_args()
    pattern = options.name
    passed, failed = (0, 0) if options.processes else units(pattern)
    sanitized = None
    for title, full, function in cluster_tests():
        if pattern not in full:
            continue
        if sanitized is None:
            sanitized = sys.modules['harness'].is_sanitized()
        if sanitized and getattr(function, 'is_about_time', False):
            print(f'left  {title}: it is about time', flush=True)
            continue
        # What a build, or the test before, left to be written would be written beside this one, whose nodes then wait for
        # their disk for seconds.
        os.sync()
        started = time.monotonic()
        try:
            function()
            passed += 1
            print(f'ok    {title} ({time.monotonic() - started:.1f} s)', flush=True)
        except BaseException as error:
            failed += 1
            print(f'FAIL  {title}\n      {type(error).__name__}: {error}', flush=True)
            if type(error).__name__ not in ('Failed', 'TooFew', 'TimeoutExpired'):
                traceback.print_exc()
            if isinstance(error, KeyboardInterrupt):
                break
    print(f'{passed} passed, {failed} failed')
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
