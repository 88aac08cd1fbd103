#!/usr/bin/env python3
"""Turns the samples of perf/compare into a table, and with a prefix into PREFIX.txt, .json and .svg as well.

report.py SAMPLES ABOUT [PREFIX]: a sample is a line of round, row, side, figure. Of each figure more is better. A ratio
is this mount's figure over the peer's of the same round; its median is over the rounds, with the least and the most.
"""
import json
import sys
from html import escape
from statistics import median

OURS, RING = 'ours', 'uring'


def read(path):
    """{row: {side: {round: figure}}}, rows in the order they were measured in."""
    table = {}
    for line in open(path):
        number, row, side, figure = line.rstrip('\n').split('\t')
        if figure and figure != 'null':
            table.setdefault(row, {}).setdefault(side, {})[int(number)] = float(figure)
    return table


def compare(sides):
    """For each peer its median and the ratio's median, least and most. Of the ring: it against the device."""
    result = {}
    for side, figures in sides.items():
        entry = {'median': median(figures.values()), 'rounds': list(figures.values())}
        ours = sides.get(OURS, {})
        common = sorted(figures.keys() & ours.keys())
        if side != OURS and common:
            pairs = [(figures[n], ours[n]) if side == RING else (ours[n], figures[n]) for n in common]
            ratios = [a / b for a, b in pairs if b]
            if ratios:
                entry['ratio'] = {'median': median(ratios), 'min': min(ratios), 'max': max(ratios)}
        result[side] = entry
    return result


def text(rows, about):
    lines = about.splitlines() + [
        '', 'medians; in brackets ours / peer: median (least..most of the rounds). uring: io_uring / device.', '']
    for row, sides in rows.items():
        lines.append(f"{row:34} {'ours':>16} {sides[OURS]['median']:>10.0f}" if OURS in sides else row)
        for side, entry in sides.items():
            if side == OURS:
                continue
            ratio = entry.get('ratio')
            shown = f"  [{ratio['median']:.2f} ({ratio['min']:.2f}..{ratio['max']:.2f})]" if ratio else ''
            lines.append(f"{'':34} {side:>16} {entry['median']:>10.0f}{shown}")
    return '\n'.join(lines) + '\n'


def svg(rows):
    """A bar per side and row, as a share of the row's best."""
    width, left, bar, label = 900, 250, 13, 110
    colours = {OURS: '#1f6feb', RING: '#54aeff'}
    y, parts = 10, []
    for row, sides in rows.items():
        best = max(entry['median'] for entry in sides.values()) or 1
        parts.append(f'<text x="{left - label}" y="{y + 11}" text-anchor="end" font-weight="bold">{escape(row)}</text>')
        for side, entry in sides.items():
            length = (width - left - 90) * entry['median'] / best
            parts.append(f'<text x="{left - 6}" y="{y + 11}" text-anchor="end">{escape(side)}</text>'
                         f'<rect x="{left}" y="{y + 1}" width="{length:.1f}" height="{bar - 2}" fill="{colours.get(side, "#8c959f")}"/>'
                         f'<text x="{left + length + 4:.1f}" y="{y + 11}">{entry["median"]:.0f}</text>')
            y += bar
        y += 9
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{-label} 0 {width + label} {y}" font-family="sans-serif" font-size="10">'
            f'<rect x="{-label}" width="{width + label}" height="{y}" fill="white"/>' + '\n'.join(parts) + '</svg>\n')


def main():
    samples, about, prefix = sys.argv[1], open(sys.argv[2]).read(), sys.argv[3] if len(sys.argv) > 3 else ''
    rows = {row: compare(sides) for row, sides in read(samples).items()}
    table = text(rows, about)
    print(table, end='')
    if prefix:
        open(prefix + '.txt', 'w').write(table)
        json.dump({'about': about.splitlines(), 'rows': rows}, open(prefix + '.json', 'w'), indent=1)
        open(prefix + '.svg', 'w').write(svg(rows))


main()
