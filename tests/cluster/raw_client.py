"""A client that is written against wire/protocol.h alone, byte by byte, so that it can be slow, wrong or hostile."""
import array
import json
import mmap
import os
import socket
import struct
import time

from harness import Failed, check
from journal_reader import crc32c

PAGE = 4096
REQUEST = struct.Struct('<IBBHIIQQQ')
ANSWER = struct.Struct('<IBBBBQQQQQQIBBBB')
APPEND, READ, CANCEL, MEMBER = range(1, 5)
ENDED = 3


def record(payload, producer=0, seq=0):
    """As an append carries it."""
    head = struct.pack('<QQHBBI', producer, seq, 0, 0, 0, 0)
    body = struct.pack('<II', len(payload), crc32c(head + payload)) + head + payload
    return body + bytes(-len(body) % 8)


class RawClient:
    """Its rings are its own: it reads what it likes, when it likes."""

    def __init__(self, cluster, node, system=False, worker=0):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(os.path.join(cluster.dir, node + '.sock'))
        self.socket.sendall(json.dumps({'cmd': 'attach', 'system': system, 'worker': worker}).encode() + b'\n')
        answer, passed, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(8))
        while not answer.endswith(b'\n'):
            answer += self.socket.recv(65536)
        check(json.loads(answer)['ok'], answer)
        descriptor, *others = array.array('i', passed[0][2])
        check(not others, 'a client was given more than its own rings')
        self.ring_bytes = (os.fstat(descriptor).st_size - 2 * PAGE) // 2
        self.memory = mmap.mmap(descriptor, 0)
        os.close(descriptor)
        self.head = self.tail = 0

    def close(self):
        self.socket.close()
        self.memory.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def number_of(self, log):
        self.socket.sendall(json.dumps({'cmd': 'open', 'log': log}).encode() + b'\n')
        return json.loads(self.socket.recv(65536))['id']

    def _copy(self, base, position, data):
        at = position % self.ring_bytes
        first = data[:self.ring_bytes - at]
        self.memory[base + at:base + at + len(first)] = first
        self.memory[base:base + len(data) - len(first)] = data[len(first):]

    def room(self):
        tail = struct.unpack_from('Q', self.memory, 64)[0]
        return self.ring_bytes - (self.head - tail)

    def taken(self):
        """Has the node read all that was put?"""
        return struct.unpack_from('Q', self.memory, 64)[0] == self.head

    def put_bytes(self, data):
        end = time.monotonic() + 10
        while self.room() < len(data):
            check(time.monotonic() < end, 'the node takes nothing for 10 s')
            time.sleep(0.001)
        self._copy(2 * PAGE, self.head, data)
        self.head += len(data)
        # In the machine's own order, so at once: what has an order of its own is written byte by byte.
        struct.pack_into('Q', self.memory, 0, self.head)

    def put(self, kind, log=0, level=0, flags=0, token=0, first=0, last=0, body=b''):
        self.put_bytes(REQUEST.pack(REQUEST.size + len(body), kind, level, flags, log, 0, token, first, last) + body)

    def answers_waiting(self):
        return struct.unpack_from('Q', self.memory, PAGE)[0] - self.tail

    def take(self):
        """The next answer: kind, error, token, lsn; None: none is there."""
        if self.answers_waiting() < ANSWER.size:
            return None
        at, base = self.tail % self.ring_bytes, 2 * PAGE + self.ring_bytes
        head = (self.memory[base + at:base + min(at + ANSWER.size, self.ring_bytes)] +
                self.memory[base:base + max(0, at + ANSWER.size - self.ring_bytes)])
        size, kind, error, _, _, token, lsn = ANSWER.unpack(head)[:7]
        check(ANSWER.size <= size <= self.answers_waiting(), 'an answer of', size, 'bytes')
        self.tail += (size + 7) // 8 * 8
        struct.pack_into('Q', self.memory, PAGE + 64, self.tail)
        return kind, error, token, lsn

    def take_all(self, count, limit_s=20):
        """So many answers."""
        found, end = [], time.monotonic() + limit_s
        while len(found) < count:
            answer = self.take()
            if answer:
                found.append(answer)
                continue
            check(time.monotonic() < end, 'of', count, 'answers only', len(found), 'came')
            time.sleep(0.001)
        return found


def append_to_catalog(cluster, text):
    """As an administrator's command does, but whatever the text is."""
    producer, end = int.from_bytes(os.urandom(4), 'little') | 1 << 40, time.monotonic() + 10
    while time.monotonic() < end:
        for node in cluster.names:
            try:
                with RawClient(cluster, node, system=True) as client:
                    client.put(APPEND, log=0, level=2, token=1, body=record(text, producer, 1))
                    if client.take_all(1)[0][1] == 0:
                        return
            except (OSError, Failed):
                pass  # it is not there, or takes none now
        time.sleep(0.05)
    raise AssertionError('no node takes an entry of the catalog')
