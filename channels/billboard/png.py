"""A picture of a board as it will look: one dot per diode, with the glyphs of a 16 px bitmap font."""

import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from channels.billboard.characters import columns
from channels.billboard.fitting import Layout
from channels.billboard.levels import Rgb, shown

FONT = Path(__file__).parent.parent / "fonts" / "unifont-latin-400-normal.woff2"
FONT_PX = 16  # the size at which Unifont is exact; others are drawn from it
MOST_PIXELS = 16_000_000  # of the picture: a video wall is shown with smaller dots
_ZOOMS = (6, 5, 4, 3, 2, 1)
_OFF: Rgb = (38, 34, 32)
_BACK: Rgb = (8, 8, 8)
_FRAME: Rgb = (72, 72, 76)


def render_png(layout: Layout, width: int, height: int, glyph: int = 16, level: str | None = None) -> bytes:
    """The pages of `layout` one under the other, each in its frame, as PNG.

    `width`, `height`, `glyph` in px as for fit. A running line is cut into screens. Raises KeyError for an unknown level.
    """
    room = width // (glyph // 2)
    pages = [page for lines in layout.pages for page in _screens(lines, room, height // glyph)]
    gap = max(2, glyph // 4)
    size = (width + 2 * gap, len(pages) * (height + gap) + gap)
    zoom = next((z for z in _ZOOMS if size[0] * size[1] * z * z <= MOST_PIXELS), 1)
    if size[0] > 400:
        zoom = min(zoom, 4)
    lit = Image.new("1", size)
    panel = Image.new("L", size)
    for at, page in enumerate(pages):
        top = gap + at * (height + gap)
        panel.paste(255, (gap, top, gap + width, top + height))
        _draw(lit, page, (gap, top), glyph)
    return _dotted(lit, panel, zoom, shown(level).rgb)


def _screens(lines: Sequence[str], room: int, rows: int) -> list[list[str]]:
    """The lines as they are; a line that runs, cut to what is seen at once."""
    cut: list[str] = []
    for line in lines:
        used, start = 0, 0
        for at, character in enumerate(line):
            if used + columns(character) > room:
                cut.append(line[start:at])
                used, start = 0, at
            used += columns(character)
        cut.append(line[start:])
    return [cut[at : at + rows] for at in range(0, len(cut), rows)]


def _draw(lit: Image.Image, page: Sequence[str], corner: tuple[int, int], glyph: int) -> None:
    for row, line in enumerate(page):
        x = corner[0]
        for character in line:
            cell = columns(character) * glyph // 2
            if not character.isspace():
                bits = _bitmap(character, glyph)
                lit.paste(1, (x + max(0, cell - bits.width) // 2, corner[1] + row * glyph), bits)
            x += cell


@lru_cache(maxsize=4096)
def _bitmap(character: str, glyph: int) -> Image.Image:
    """One character, black and white. Drawn at 16 px and enlarged by whole steps, so that strokes stay even."""
    step = max(1, glyph // FONT_PX)
    size = FONT_PX if step * FONT_PX == glyph else glyph
    font = _font(size)
    bits = Image.new("1", (max(1, round(font.getlength(character))), size))
    ImageDraw.Draw(bits).text((0, 0), character, fill=1, font=font)
    return bits.resize((bits.width * step, bits.height * step)) if size != glyph else bits


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FONT), size)


def _dotted(lit: Image.Image, panel: Image.Image, zoom: int, colour: Rgb) -> bytes:
    size = (lit.width * zoom, lit.height * zoom)
    near = Image.Resampling.NEAREST
    dots = Image.new("L", size)
    dot = _dot(zoom)
    for x in range(0, size[0], zoom):
        dots.paste(dot, (x, 0))
    row = dots.crop((0, 0, size[0], zoom))
    for y in range(zoom, size[1], zoom):
        dots.paste(row, (0, y))
    diodes = Image.composite(Image.new("RGB", size, colour), Image.new("RGB", size, _OFF), lit.resize(size, near))
    shining = Image.composite(diodes, Image.new("RGB", size, _BACK), dots)
    whole = Image.composite(shining, Image.new("RGB", size, _FRAME), panel.resize(size, near))
    out = io.BytesIO()
    whole.save(out, "PNG")
    return out.getvalue()


def _dot(zoom: int) -> Image.Image:
    """One diode: round where there is room for a round thing."""
    big = Image.new("L", (zoom * 8, zoom * 8))
    edge = zoom * 8 // 12 if zoom >= 3 else 0
    ImageDraw.Draw(big).ellipse((edge, edge, zoom * 8 - 1 - edge, zoom * 8 - 1 - edge), fill=255)
    return big.resize((zoom, zoom), Image.Resampling.BOX) if zoom >= 3 else Image.new("L", (zoom, zoom), 255)
