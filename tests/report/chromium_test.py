#!/usr/bin/env python3
"""The report in headless Chromium, light and dark, wide and narrow: everything is there, readable, and nothing is asked for.

Environment: SAFETYLOCK_BINARY. What the pictures must show is computed here from the result files.
"""
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

import sample_results
from chromium import Chromium

BINARY = os.environ["SAFETYLOCK_BINARY"]
SECTIONS = ["summary", "effect", "answers", "heads", "transfer", "sweep", "costs", "provenance"]
VIEWS = [(scheme, width, height) for scheme in ("light", "dark") for width, height in ((1280, 900), (360, 740))]


def report(output, files, *args):
    result = subprocess.run([BINARY, "report", *map(str, files), "-o", str(output), *map(str, args)], capture_output=True,
                            timeout=300)
    if result.returncode != 0:
        raise AssertionError(result.stderr.decode())
    return result


def colours(png):
    """How many different pixels a PNG (8 bits a channel, not interlaced) holds."""
    position, data, width, channels = 8, b"", 0, 0
    while position < len(png):
        length, kind = struct.unpack(">I4s", png[position:position + 8])
        chunk = png[position + 8:position + 8 + length]
        if kind == b"IHDR":
            width, _, depth, colour = struct.unpack(">IIBB", chunk[:10])
            assert depth == 8 and colour in (2, 6), (depth, colour)
            channels = 3 if colour == 2 else 4
        elif kind == b"IDAT":
            data += chunk
        position += 12 + length
    raw, stride = zlib.decompress(data), width * channels
    seen, above = set(), bytearray(stride)
    for row in range(len(raw) // (stride + 1)):
        kind, line = raw[row * (stride + 1)], bytearray(raw[row * (stride + 1) + 1:(row + 1) * (stride + 1)])
        for i in range(stride):
            left = line[i - channels] if i >= channels else 0
            corner = above[i - channels] if i >= channels else 0
            if kind == 1:
                add = left
            elif kind == 2:
                add = above[i]
            elif kind == 3:
                add = (left + above[i]) // 2
            elif kind == 4:
                estimate = left + above[i] - corner
                add = min((left, above[i], corner), key=lambda v: abs(estimate - v))
            else:
                add = 0
            line[i] = (line[i] + add) & 255
        seen.update(bytes(line[i:i + channels]) for i in range(0, stride, channels))
        above = line
    return len(seen)


# Relative luminance and contrast: https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio. The ground of a text is that of the nearest
# element with a colour of its own; text in pictures stands on the page.
CONTRAST = """(() => {
  const parse = c => c.match(/[\\d.]+/g).map(Number);
  const light = c => { const [r, g, b] = parse(c).slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
      const v = parse(c); if (v.length < 4 || v[3] > 0) return c; } return 'rgb(255, 255, 255)'; };
  let least = [99, ''];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || e.closest('title')) continue;
    const style = getComputedStyle(e), a = light(e instanceof SVGElement ? style.fill : style.color), b = light(ground(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < least[0]) least = [ratio, e.tagName + '.' + (e.getAttribute('class') || '') + ': ' + e.textContent.slice(0, 40)];
  }
  return least;
})()"""

# Text of a picture outside of its frame, or smaller on the screen than 11 pixels.
BAD_TEXT = """[...document.querySelectorAll('svg text')].filter(t => t.getClientRects().length).flatMap(t => {
  const svg = t.ownerSVGElement, a = t.getBoundingClientRect(), b = svg.getBoundingClientRect(), bad = [];
  if (a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1) bad.push('cut: ' + t.textContent);
  if (parseFloat(getComputedStyle(t).fontSize) * b.width / svg.viewBox.baseVal.width < 11) bad.push('tiny: ' + t.textContent);
  return bad;
})"""

# Boxes that reach beyond the page's right edge, but for what lies in a container that scrolls. (Inline ones are clipped by theirs:
# thousands of accents on one letter make it wide.)
TOO_WIDE = """[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll') && e.getClientRects().length && getComputedStyle(e).display !== 'inline' &&
  e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5).map(e => e.tagName + ' ' + e.className)"""

# Heading levels in order, none left out.
HEADINGS = "[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])"


class PageCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.browser = Chromium().__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.browser.__exit__()
        cls.temporary.cleanup()

    def open(self, path, scheme="light", width=1280, height=900):
        self.browser.open(path, width, height, scheme)

    def assert_sound(self, path):
        self.assertEqual(self.browser.complaints(), [])
        self.assertEqual(self.browser.requests(), [f"file://{path}"])
        self.assertEqual(self.browser.evaluate(TOO_WIDE), [])
        self.assertLessEqual(self.browser.evaluate("document.documentElement.scrollWidth"),
                             self.browser.evaluate("document.documentElement.clientWidth"))
        self.assertEqual(self.browser.evaluate(BAD_TEXT), [])


class PagesTest(PageCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.samples = sample_results.write_samples(cls.folder)
        cls.page = cls.folder / "report.html"
        report(cls.page, cls.samples.values(), "--data-json", cls.folder / "report.json", "--csv", cls.folder / "report.csv")
        cls.content = {name: json.loads(path.read_text()) for name, path in cls.samples.items()}

    def test_sound_in_every_view(self):
        for scheme, width, height in VIEWS:
            with self.subTest(scheme=scheme, width=width):
                self.open(self.page, scheme, width, height)
                self.assert_sound(self.page)
                ids = self.browser.evaluate("[...document.querySelectorAll('section')].map(s => s.id)")
                self.assertEqual(ids, SECTIONS)
                for name in SECTIONS:
                    self.assertGreater(self.browser.evaluate(f"document.getElementById('{name}').offsetHeight"), 60, name)
                ratio, where = self.browser.evaluate(CONTRAST)
                self.assertGreaterEqual(ratio, 4.5, where)
                self.browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
                self.assertEqual(self.browser.evaluate(TOO_WIDE), [])

    def test_dark_is_dark_and_light_is_light(self):
        for scheme, dark in (("light", False), ("dark", True)):
            self.open(self.page, scheme)
            red = self.browser.evaluate("+getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
            self.assertEqual(red < 60, dark)

    def test_pictures_are_drawn(self):
        self.open(self.page, width=800, height=600)
        for name in ("effect", "heads", "transfer", "sweep"):
            box = self.browser.evaluate(f"""(r => ({{x: r.x + scrollX, y: r.y + scrollY, width: r.width, height: r.height, scale: 1}}))(
                document.querySelector('#{name} svg').getBoundingClientRect())""")
            self.assertGreater(colours(self.browser.screenshot(clip=box)), 20, name)

    def test_structure(self):
        self.open(self.page)
        levels = self.browser.evaluate(HEADINGS)
        self.assertEqual(levels.count(1), 1)
        for before, after in zip(levels, levels[1:]):
            self.assertLessEqual(after, before + 1)
        self.assertEqual(self.browser.evaluate("[...document.querySelectorAll('svg')].filter(s => !s.ariaLabel).length"), 0)
        self.assertEqual(self.browser.evaluate("[...document.querySelectorAll('th')].filter(t => !t.scope).length"), 0)
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('#answers details[open] .answer').length"),
                         self.browser.evaluate("document.querySelectorAll('#answers h3 ~ details[open] .answer').length"))
        self.assertFalse(self.browser.evaluate("document.querySelector('#answers details').open"))

    def test_the_map_shows_every_head(self):
        extract = self.content["extract"]
        self.open(self.page)
        cells = self.browser.evaluate("""[...document.querySelectorAll('#heads .heat rect')].filter(r => r.firstElementChild).map(
            r => ({text: r.textContent, x: r.getBoundingClientRect().x, y: r.getBoundingClientRect().y,
                   fill: getComputedStyle(r).fill}))""")
        self.assertEqual(len(cells), 28 * 12)
        by_place = {tuple(map(int, c["text"].replace(":", ",").replace("layer", "").replace("head", "").split(",")[:2])): c
                    for c in cells}
        marks = self.browser.evaluate("""[...document.querySelectorAll('#heads .mark')].map(
            r => [r.getBoundingClientRect().x, r.getBoundingClientRect().y])""")
        for rank, head in enumerate(extract["ranking"]):
            cell = by_place[head["layer"], head["head"]]
            self.assertIn(f"rank {rank + 1}", cell["text"])
            self.assertAlmostEqual(float(cell["text"].split(": ")[1].split(" ")[0]), 100 * head["accuracy"], delta=0.051)
            marked = any(abs(x - cell["x"]) < 3 and abs(y - cell["y"]) < 3 for x, y in marks)
            self.assertEqual(marked, rank < len(extract["heads"]), head)
        # On a light page a better head is never lighter.
        def lightness(cell):
            return sum(map(int, cell["fill"][4:-1].split(",")))
        order = [lightness(by_place[h["layer"], h["head"]]) for h in extract["ranking"]]
        self.assertEqual(order, sorted(order))

    def test_bars_are_as_long_as_the_shares(self):
        runs = self.content["evaluate"]["runs"]
        shares = [self.content["base"]["runs"]["unlocked"], runs["unlocked"], runs["locked"]]
        self.open(self.page)
        widths = self.browser.evaluate("""[...document.querySelector('#effect svg').querySelectorAll('.bar')].map(
            r => r.getBoundingClientRect().width)""")
        for width, run in zip(widths, shares):
            expected = widths[1] * run["sets"]["harmful"]["answered"]["value"] / runs["unlocked"]["sets"]["harmful"]["answered"]["value"]
            self.assertAlmostEqual(width, expected, delta=1.5)

    def test_no_mouse_is_needed(self):
        """Details, links and scrolling containers are all that can be operated, and the keyboard reaches each."""
        self.open(self.page, width=360, height=740)
        self.assertEqual(self.browser.evaluate("[...document.querySelectorAll('.scroll')].filter(e => e.tabIndex !== 0).length"), 0)
        self.assertEqual(self.browser.evaluate(
            "[...document.querySelectorAll('nav a')].filter(a => !document.querySelector(a.getAttribute('href'))).length"), 0)

    def test_print(self):
        self.open(self.page)
        pdf = self.browser.pdf()
        self.assertTrue(pdf.startswith(b"%PDF"))
        self.assertGreater(pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page "), 2)
        # Ink on paper, whatever the reader's screen.
        self.browser.command("Emulation.setEmulatedMedia", media="print",
                             features=[{"name": "prefers-color-scheme", "value": "dark"}])
        self.assertEqual(self.browser.evaluate("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)")
        # A4 between its margins: nothing is cut off, and what was folded is printed, but for the answers.
        self.browser.command("Emulation.setDeviceMetricsOverride", width=718, height=1000, deviceScaleFactor=1, mobile=False)
        self.assertEqual(self.browser.evaluate(TOO_WIDE.replace("!e.closest('.scroll') && ", "")), [])
        shown = "[...document.querySelectorAll('%s')].filter(e => e.checkVisibility({contentVisibilityAuto: true})).length"
        self.assertGreater(self.browser.evaluate(shown % "#provenance td"), 20)
        self.assertEqual(self.browser.evaluate(shown % "#answers details:not([open]) .answer"), 0)

    def test_each_file_alone(self):
        for name, path in self.samples.items():
            with self.subTest(file=name):
                page = self.folder / f"{name}.html"
                report(page, [path])
                self.open(page, width=360, height=740)
                self.assert_sound(page)
                ids = self.browser.evaluate("[...document.querySelectorAll('section')].map(s => s.id)")
                self.assertEqual(ids, SECTIONS)
                self.assertGreaterEqual(self.browser.evaluate("document.querySelectorAll('.missing code').length"), 3)

    def test_a_large_model(self):
        extract = sample_results.extract(sample_results.random.Random(1), layers=80, heads=64)
        path = self.folder / "large.json"
        path.write_text(json.dumps(extract))
        page = self.folder / "large.html"
        report(page, [path])
        for width in (360, 1280):
            self.open(page, width=width)
            self.assert_sound(page)
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('#heads .heat rect title').length"), 80 * 64)


class HostileTest(PageCase):
    TEXTS = ["</p><script>document.title='owned'</script>", "\"><img src=x onerror=\"document.title='owned'\">",
             "<style>body{display:none}</style>", "<svg/onload=document.title='owned'>", "<iframe src=//example.com></iframe>",
             "<link rel=stylesheet href=//example.com/x.css>", "<meta http-equiv=refresh content='0;url=//example.com'>",
             "<a href=javascript:alert(1)>x</a>", "]]></title></style><!--", "\u202egpj.exe\u2066", "\u0000\u001b[2J\u0007",
             "w" * 100_000, "\u0e01" + "\u0e49" * 3000, "\u05d0\u05d1" * 2000, "a\n" * 5000]

    def test_texts_of_files_stay_texts(self):
        for i, text in enumerate(self.TEXTS):
            with self.subTest(text=text[:40]):
                paths = sample_results.write_samples(self.folder)
                content = json.loads(paths["evaluate"].read_text())
                content["model"] = content["lock"]["path"] = content["settings"]["system"] = text
                # benign prompts whose outcome changes are shown without a click
                for run in content["runs"].values():
                    for result in run["sets"]["benign"]["results"]:
                        result["prompt"], result["reply"] = text, text
                paths["evaluate"].write_text(json.dumps(content))
                page = self.folder / f"hostile{i}.html"
                report(page, [paths["evaluate"], paths["extract"]], "--title", text[:1000].replace("\0", ""))
                self.open(page, width=360, height=740)
                self.browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
                self.assert_sound(page)
                self.assertNotEqual(self.browser.evaluate("document.title"), "owned")
                self.assertEqual(self.browser.evaluate("document.querySelectorAll('script,img,iframe,link,object,embed,form').length"), 0)
                self.assertEqual(self.browser.evaluate("document.querySelectorAll('style').length"), 1)
                self.assertGreater(self.browser.evaluate("document.body.offsetHeight"), 500)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
