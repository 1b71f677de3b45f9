"""Reads a node's journal by docs/format.md alone: another pair of eyes beside the node's own."""
import json
import os
import struct

SECTOR = 4096
BLOCK = struct.Struct('<IIQIIIIIBBBBQQQ')  # the head of a block, up to its place on the trunk
PLACE = struct.Struct('<QQQQQQIIIBBHQ')
HEAD = 136
RECORD = struct.Struct('<IIQQHBBI')
BEGIN, ENTRIES, BRANCH, STATE, TAIL, BASE, TRIM, PRODUCERS = range(1, 9)
LAST = 4  # flag: of its write


def _table():
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
        table.append(crc)
    return table


TABLE = _table()


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xffffffff


def block_at(data, offset, number):
    """The block at an offset of a file's bytes, or None where none is whole there."""
    if offset + HEAD > len(data):
        return None
    magic, head_crc, file, at, body_bytes, body_crc, log, _, kind, flags, _, _, durable, commit, _ = \
        BLOCK.unpack_from(data, offset)
    body = data[offset + HEAD:offset + HEAD + body_bytes]
    if magic != 0x4b4c4243 or head_crc != crc32c(data[offset + 8:offset + HEAD]) or (file, at) != (number, offset) or \
            len(body) != body_bytes or body_crc != crc32c(body):
        return None
    place = PLACE.unpack_from(data, offset + 64)
    return {'kind': kind, 'log': log, 'flags': flags, 'durable': durable, 'commit': commit, 'body': body, 'term': place[0],
            'first': place[1], 'first_seq': place[2], 'count': place[6], 'file': number, 'at': offset, 'end': offset + HEAD + body_bytes}


def journal_of(directory, worker=0):
    """Of a node's directory the worker's own; where it is one already, that."""
    own = os.path.join(directory, f'w{worker}')
    return own if os.path.isdir(own) else directory


def blocks(directory):
    """All blocks in order, and None for each stretch that is damaged."""
    directory = journal_of(directory)
    numbers = sorted(int(name[8:]) for name in os.listdir(directory) if name.startswith('journal-') and '.' not in name)
    files = {number: open(os.path.join(directory, f'journal-{number:08d}'), 'rb').read() for number in numbers}
    ends = {}
    for number in numbers:
        first = block_at(files[number], SECTOR, number)
        if first and first['kind'] == BEGIN:
            ends[first['first']] = first['first_seq']
            ends.update((between, SECTOR) for between in numbers if first['first'] < between < number)
    for number in numbers:
        data, offset = files[number], SECTOR
        end = ends.get(number, len(data))
        while offset < end:
            block = block_at(data, offset, number)
            if block:
                yield block
                offset = block['end']
                if block['flags'] & LAST:
                    offset += -offset % SECTOR
            else:
                behind = [at for at in range(offset + SECTOR - offset % SECTOR, end, SECTOR) if block_at(data, at, number)]
                known = any(block_at(data, at, number)['durable'] > number << 32 | offset for at in behind)
                if number not in ends and not known:
                    break  # a write that was cut off, or the end
                yield None
                offset = behind[0] if behind else end


def records(body):
    at = 0
    while at < len(body):
        payload_bytes, crc, _, _, key_bytes, kind, _, _ = RECORD.unpack_from(body, at)
        size = RECORD.size + key_bytes + payload_bytes
        assert crc == crc32c(body[at + 8:at + size]), 'a record does not match its checksum'
        yield kind, body[at + RECORD.size + key_bytes:at + size]
        at += (size + 7) // 8 * 8


def read_journal(directory, name):
    """The payloads of a log's trunk by lsn (None: a control entry), and how many stretches are damaged."""
    trunks, damaged, number = {}, 0, None
    for block in blocks(directory):
        if block is None:
            damaged += 1
            continue
        if block['kind'] == BASE and block['body'][:8] == bytes(8):
            trunks[block['log']] = []
        if block['kind'] != ENTRIES:
            continue
        trunk = trunks.setdefault(block['log'], [])
        if block['first'] > len(trunk) + 1:
            continue  # something before is lost
        for lsn, (kind, payload) in enumerate(records(block['body']), block['first']):
            if lsn <= len(trunk) and trunk[lsn - 1][0] == block['term']:
                continue  # the same, written again
            del trunk[lsn - 1:]
            trunk.append((block['term'], payload if kind == 0 else None))
    trunks = {log: [payload for _, payload in trunk] for log, trunk in trunks.items()}
    for lsn, payload in enumerate(trunks.get(0, []), 1):
        entry = json.loads(payload) if payload else {}
        if entry.get('op') == 'create' and entry['name'] == name:
            number = lsn
    return trunks.get(number, []), damaged
