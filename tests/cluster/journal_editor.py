"""Writes another history into the journal of a node that is stopped, with every checksum right: as if it had committed in a
later term what the others have not."""
import contextlib
import os
import struct

import journal_reader as reader

HEAD_DIGEST, HEAD_TERM, HEAD_PREV = 56, 64, 128


def _put(data, offset, body):
    """The block's head as it stands in data, with this body, and right checksums; it says no digest."""
    data[offset + HEAD_DIGEST:offset + HEAD_DIGEST + 8] = bytes(8)
    data[offset + reader.HEAD:offset + reader.HEAD + len(body)] = body
    data[offset + 24:offset + 28] = struct.pack('<I', reader.crc32c(body))
    data[offset + 4:offset + 8] = struct.pack('<I', reader.crc32c(bytes(data[offset + 8:offset + reader.HEAD])))


def _other_bytes(body):
    """Each record with another first letter."""
    body, at = bytearray(body), 0
    while at < len(body):
        payload_bytes, _, _, _, key_bytes, _, _, _ = reader.RECORD.unpack_from(body, at)
        size = reader.RECORD.size + key_bytes + payload_bytes
        if payload_bytes:
            body[at + reader.RECORD.size + key_bytes] ^= 0x20
        body[at + 4:at + 8] = struct.pack('<I', reader.crc32c(bytes(body[at + 8:at + size])))
        at += (size + 7) // 8 * 8
    return bytes(body)


def rewrite_from(directory, log, lsn):
    """From that lsn on the log's trunk is of the next term, and of other bytes. Returns how many blocks were changed."""
    directory = reader.journal_of(directory)
    blocks = [b for b in reader.blocks(directory) if b and b['log'] == log and b['kind'] in (reader.ENTRIES, reader.TAIL,
                                                                                            reader.STATE)]
    term, changed, files = max(b['term'] for b in blocks) + 1, 0, {}
    for block in blocks:
        data = files.setdefault(block['file'], bytearray(open(os.path.join(
            directory, f'journal-{block["file"]:08d}'), 'rb').read()))
        at = block['at']
        later = block['first'] >= lsn
        if block['kind'] == reader.STATE or not later:
            continue
        data[at + HEAD_TERM:at + HEAD_TERM + 8] = struct.pack('<Q', term)
        if block['kind'] == reader.TAIL:  # and all of it is committed
            data[at + 48:at + 56] = struct.pack('<Q', block['first'])
        if block['kind'] == reader.TAIL or block['first'] > lsn:
            data[at + HEAD_PREV:at + HEAD_PREV + 8] = struct.pack('<Q', term)
        _put(data, at, _other_bytes(block['body']) if block['kind'] == reader.ENTRIES else block['body'])
        changed += 1
    for number, data in files.items():
        with open(os.path.join(directory, f'journal-{number:08d}'), 'r+b') as file:
            file.write(data)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(directory, 'checkpoint'))
    return changed
