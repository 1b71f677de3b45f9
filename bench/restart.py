#!/usr/bin/env python3
"""What a node takes that holds a large log: memory while it grows, and how long until it serves again.

    bench/restart.py [--gib 10] [--dir DIR] [--memory-mib 256] [--json FILE]

One node with a durable log. It is filled with entries of 4 KiB; meanwhile its resident memory is looked at. Then it is
killed (-9) and started, three times, the page cache dropped before each where that is allowed; then stopped and
started, three times. Ready is when it has a leader and gives its last entry. Beside it the journal's files are read
from beginning to end with O_DIRECT, which is what the disk gives.
"""
import argparse
import json
import mmap
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'cluster'))
from harness import BINARY, is_gone
PAYLOAD_BYTES = 4096 - 1


class Node:
    def __init__(self, parent, memory_mib):
        self.dir = tempfile.mkdtemp(prefix='cairn-restart-', dir=parent)
        self.env = dict(os.environ, CAIRN_CLUSTER=os.path.join(self.dir, 'cluster.yaml'))
        self.process = None
        self.run('dev', '--detach', '--dir', self.dir, '--nodes', '1', '--durability', 'disk', '--memory-mib', str(memory_mib))

    def run(self, *arguments, **more):
        return subprocess.run([BINARY, *arguments], env=self.env, check=True, stdout=subprocess.PIPE, **more)

    def pid(self):
        with open(os.path.join(self.dir, 'n1.pid')) as file:
            return int(file.read())

    def resident_kib(self):
        with open(f'/proc/{self.pid()}/status') as status:
            return int(status.read().split('VmRSS:')[1].split()[0])

    def end(self, how):
        pid = self.pid()
        os.kill(pid, how)
        while not is_gone(pid):
            time.sleep(0.01)
        if self.process is not None:
            self.process.wait()

    def start(self):
        """Seconds until it leads and serves."""
        began = time.monotonic()
        with open(os.path.join(self.dir, 'n1.log'), 'ab') as log:
            self.process = subprocess.Popen([BINARY, 'server', '--node', 'n1', '--cluster', self.env['CAIRN_CLUSTER']],
                                            stderr=log, stdout=log)
        while True:
            done = subprocess.run([BINARY, 'status', '--json'], env=self.env, capture_output=True)
            rows = [json.loads(line) for line in done.stdout.splitlines()]
            if any(row['log'] == 'big' and row['role'] == 'leader' for row in rows):
                return time.monotonic() - began
            if self.process.poll() is not None:
                sys.exit('restart: the node ended: see ' + os.path.join(self.dir, 'n1.log'))
            time.sleep(0.002)

    def said(self):
        with open(os.path.join(self.dir, 'n1.log')) as file:
            return [line for line in file.read().split('\n') if 'ready' in line or 'read' in line][-3:]

    def close(self):
        subprocess.run([BINARY, 'dev', '--stop', '--dir', self.dir], env=self.env, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def fill(node, gib):
    """MiB of memory at most while so much is appended, and seconds."""
    entries, most, done = (gib << 30) // (PAYLOAD_BYTES + 1), 0, threading.Event()

    def watch():
        nonlocal most
        while not done.wait(0.1):
            most = max(most, node.resident_kib())
    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.monotonic()
    producer = subprocess.Popen([BINARY, 'append', 'big'], env=node.env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    block = b''.join(bytes([97 + i % 26]) * PAYLOAD_BYTES + b'\n' for i in range(256))
    for _ in range(entries // 256):
        producer.stdin.write(block)
    producer.stdin.close()
    status = producer.wait()
    done.set()
    watcher.join()
    if status != 0:
        sys.exit(f'restart: append ended with {status}')
    return most / 1024, time.monotonic() - began


def drop_cache():
    os.sync()
    try:
        with open('/proc/sys/vm/drop_caches', 'w') as file:
            file.write('1')
    except OSError:
        return False
    # The journal is cold then; the program is not what is measured.
    subprocess.run([BINARY, '--version'], stdout=subprocess.DEVNULL)
    with open(BINARY, 'rb') as file:
        file.read()
    return True


def raw_read(directory):
    """Bytes of the journal, and MB/s at which they come."""
    buffer, total, began = mmap.mmap(-1, 4 << 20), 0, time.monotonic()
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        if os.path.getsize(path) < 1 << 20:
            continue
        fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
        while (got := os.readv(fd, [buffer])) > 0:
            total += got
        os.close(fd)
    return total, total / 1e6 / (time.monotonic() - began)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--gib', type=int, default=10)
    parser.add_argument('--dir', default=None)
    parser.add_argument('--memory-mib', type=int, default=256)
    parser.add_argument('--json')
    options = parser.parse_args()
    node = Node(options.dir, options.memory_mib)
    try:
        resident_mib, fill_s = fill(node, options.gib)
        raws, killed, stopped, dropped = [], [], [], False
        for _ in range(3):
            node.end(signal.SIGKILL)
            dropped = drop_cache()
            journal_bytes, raw = raw_read(os.path.join(node.dir, 'n1'))
            dropped = drop_cache()
            raws.append(raw)
            killed.append(node.start())
        after_mib = node.resident_kib() / 1024
        for _ in range(3):
            node.end(signal.SIGTERM)
            drop_cache()
            stopped.append(node.start())
        raw, killed_s = statistics.median(raws), statistics.median(killed)
        rate = journal_bytes / 1e6 / killed_s
        row = {'journal_bytes': journal_bytes, 'fill_s': round(fill_s, 1), 'resident_mib_most': round(resident_mib),
               'resident_mib_after_restart': round(after_mib), 'page_cache_dropped': dropped, 'raw_read_mb_s': round(raw),
               'after_kill_s': [round(s, 3) for s in killed], 'after_kill_mb_s': round(rate),
               'after_kill_ratio': round(rate / raw, 2), 'after_stop_ms': [round(s * 1000, 1) for s in stopped]}
        print(json.dumps(row))
        if options.json:
            with open(options.json, 'w') as file:
                json.dump(row, file)
    finally:
        node.close()


if __name__ == '__main__':
    main()
