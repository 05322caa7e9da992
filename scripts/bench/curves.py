"""Curves of bench.py as SVG: one line on two logarithmic axes, readable on light and dark pages."""
import html
import math
import re

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 300, 220, 54, 14, 30, 44


def file_name(result, row):
    machine = result["hardware"].get("held_to") or result["hardware"]["instruction_sets"][-1]
    return f"scaling-{re.sub('[^a-z0-9]+', '-', ' '.join((machine, result['model'], row['curve'])).lower())}.svg"


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def scale(values, begin, end):
    """Position of a value between `begin` and `end`, logarithmic, with some room on both sides."""
    low, high = math.log(min(values)), math.log(max(values))
    room = max(0.05 * (high - low), 0.02)
    return lambda v: begin + (math.log(v) - low + room) / (high - low + 2 * room) * (end - begin)


def svg(row):
    x, y = scale(row["x"], LEFT, WIDTH - RIGHT), scale(row["y"], HEIGHT - BOTTOM, TOP)
    points = [(x(a), y(b), a, b) for a, b in zip(row["x"], row["y"])]
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
             f'font-family="sans-serif" font-size="10">',
             "<style>text{fill:#333}.l{stroke:#666}.c{stroke:#1f6fb4;fill:none}.p{fill:#1f6fb4}"
             "@media(prefers-color-scheme:dark){text{fill:#ccc}.l{stroke:#999}.c{stroke:#6cb2eb}.p{fill:#6cb2eb}}</style>",
             f"<title>{html.escape(row['curve'])}</title>",
             f'<text x="{WIDTH / 2}" y="14" text-anchor="middle" font-size="12">{html.escape(row["curve"])}</text>',
             f'<path class="l" fill="none" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>',
             f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{html.escape(row["x_label"])}</text>',
             f'<text x="12" y="{(TOP + HEIGHT - BOTTOM) / 2}" text-anchor="middle" transform="rotate(-90 12 {(TOP + HEIGHT - BOTTOM) / 2})">'
             f'{html.escape(row["y_label"])}</text>']
    parts.append('<path class="c" stroke-width="1.5" d="M' + "L".join(f"{px:.1f} {py:.1f}" for px, py, _, _ in points) + '"/>')
    for px, py, a, b in points:
        parts.append(f'<circle class="p" cx="{px:.1f}" cy="{py:.1f}" r="2.5"/>')
        parts.append(f'<text x="{px:.1f}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle">{number(a)}</text>')
        parts.append(f'<text x="{px:.1f}" y="{py - 6:.1f}" text-anchor="middle">{number(b)}</text>')
    return "\n".join(parts) + "\n</svg>\n"
