"""One page from the JSON that scripts/bench left: a table of medians, and a bar of each."""
import glob
import html
import json
import os
import statistics
import sys

KEYS = [('p50_ns', 'p50 us', 1e3), ('p99_ns', 'p99 us', 1e3), ('p999_ns', 'p99.9 us', 1e3),
        ('p9999_ns', 'p99.99 us', 1e3), ('raw_rtt_p50_ns', 'raw p50 us', 1e3), ('ratio_p50', 'x raw', 1),
        ('entries_per_s', 'M entries/s', 1e6)]


def main(folder):
    rows = []
    for path in sorted(glob.glob(os.path.join(folder, '*-*.json'))):
        with open(path) as file:
            runs = [json.loads(line) for line in file if line.strip()]
        if runs:
            rows.append((runs[0], {key: statistics.median(run[key] for run in runs) for key, _, _ in KEYS}, len(runs)))
    out = ['<!doctype html><html lang="en"><head><meta charset="utf-8"><title>cairn bench</title><style>'
           'body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2em auto;color:#1d2733;background:#fff}'
           'table{border-collapse:collapse}td,th{padding:.3em 1em .3em 0;text-align:right;border-bottom:1px solid #dde3ea}'
           'td:first-child,th:first-child{text-align:left}</style></head><body><h1>cairn bench</h1>'
           '<p>Medians over the runs; every figure stands beside the raw transport of the same run.</p><table><tr><th>bench</th>']
    out += [f'<th>{title}</th>' for _, title, _ in KEYS] + ['<th>runs</th></tr>']
    for first, medians, count in rows:
        name = f"{first['bench']}, {first['transport']}, ack {first['ack']}, {first['payload_bytes']} B"
        out.append(f'<tr><td>{html.escape(name)}</td>')
        out += [f'<td>{medians[key] / unit:.2f}</td>' for key, _, unit in KEYS]
        out.append(f'<td>{count}</td></tr>')
        print(f'{name:45}' + ''.join(f'  {title} {medians[key] / unit:.2f}' for key, title, unit in KEYS))
    out.append('</table></body></html>')
    with open(os.path.join(folder, 'index.html'), 'w') as file:
        file.write(''.join(out))
    print(f'bench: {len(rows)} benches, {os.path.join(folder, "index.html")}')


if __name__ == '__main__':
    main(sys.argv[1])
