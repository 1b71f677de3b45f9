"""Lines of a target's decoders that its inputs reach: coverage.py BINARY PROFILE FILE[:FUNCTION,...] ...

Of a file without functions all count. One line a file; with --missing, the lines that are not reached too."""
import json
import subprocess
import sys


def counts_of_lines(segments):
    """How often each line was reached, of those that hold code, from where counts change (line, column, count, has count, entry, gap).

    What stands between two statements (a gap) is no code."""
    lines, by_line, before = {}, {}, None
    for segment in segments:
        by_line.setdefault(segment[0], []).append(segment)
    for line in range(segments[0][0], segments[-1][0] + 1):
        here = by_line.get(line, [])
        known = [s[2] for s in [before, *here] if s is not None and s[3] and not s[5]]
        if known:
            lines[line] = max(known)
        before = here[-1] if here else before
    return lines


def ranges(functions, filename, names):
    """Where they stand; of a name that is not there: an error, so that no decoder is left out by a change of name."""
    found = {}
    for function in functions:
        name = function['name'].split(':')[-1]
        if function['filenames'][0] == filename and name in names:
            found[name] = (function['regions'][0][0], function['regions'][0][2])
    missing = [name for name in names if name not in found]
    if missing:
        sys.exit(f'coverage: {filename} has no function {", ".join(missing)}')
    return found.values()


def main():
    arguments = sys.argv[1:]
    tell_missing = '--missing' in arguments
    binary, profile, *decoders = [a for a in arguments if a != '--missing']
    done = subprocess.run(['llvm-cov', 'export', '-instr-profile', profile, binary], stdout=subprocess.PIPE, check=True)
    data = json.loads(done.stdout)['data'][0]
    for decoder in decoders:
        path, _, names = decoder.partition(':')
        file = next((f for f in data['files'] if f['filename'].endswith('/' + path)), None)
        if file is None:
            sys.exit(f'coverage: the target does not hold {path}')
        lines = counts_of_lines(file['segments'])
        if names:
            within = list(ranges(data['functions'], file['filename'], names.split(',')))
            lines = {line: count for line, count in lines.items() if any(a <= line <= b for a, b in within)}
        reached = sum(count > 0 for count in lines.values())
        print(f'{decoder}: {reached} of {len(lines)} lines, {100 * reached / len(lines):.0f} %')
        if tell_missing:
            print('   not reached:', *(line for line, count in sorted(lines.items()) if count == 0))


main()
