"""The picture of a board shows the glyphs, in the level's colour, every page of them."""

import io

import pytest
from PIL import Image

from channels.billboard import Layout, fit
from channels.billboard.levels import BLUE, COLOURS, GREEN, LEVEL_WORDS, ORANGE, RED, YELLOW, shown, with_level
from channels.billboard.png import render_png


def picture(png: bytes) -> Image.Image:
    assert png.startswith(b"\x89PNG\r\n")
    return Image.open(io.BytesIO(png)).convert("RGB")


def lit(image: Image.Image, board: tuple[int, int], page: int = 0, gap: int = 4) -> list[str]:
    """The dots of a page as text, `#` where the middle of a dot shines."""
    zoom = image.width // (board[0] + 2 * gap)
    top = gap + page * (board[1] + gap)
    middle = [zoom // 2 + zoom * (gap + x) for x in range(board[0])]
    rows = [zoom // 2 + zoom * (top + y) for y in range(board[1])]
    return ["".join("#" if max(image.getpixel((x, y))) > 120 else "." for x in middle) for y in rows]


def test_a_character_is_drawn_dot_by_dot() -> None:
    dots = lit(picture(render_png(fit("火", 16, 16), 16, 16)), (16, 16))
    assert sum(row.count("#") for row in dots) > 20
    # The trunk of 火 runs down from the top, its legs spread at the foot.
    assert dots[1][6:9].count("#") == 1
    assert dots[13].index("#") < 6
    assert dots[13].rindex("#") > 9


def test_characters_differ_and_stand_in_their_columns() -> None:
    board = (64, 16)
    dots = lit(picture(render_png(fit("林 A林", *board), *board)), board)
    first, blank, letter, second = ([row[a:b] for row in dots] for a, b in ((0, 16), (16, 24), (24, 32), (32, 48)))
    assert first == second
    assert any("#" in row for row in letter)
    assert not any("#" in row for row in blank)


def test_a_larger_glyph_is_the_same_one_enlarged() -> None:
    small = lit(picture(render_png(fit("火", 32, 16), 32, 16)), (32, 16))
    large = lit(picture(render_png(fit("火", 32, 32, glyph=32), 32, 32, glyph=32)), (32, 32), gap=8)
    assert [row[::2] for row in large[::2]] == [row[:16] for row in small]


@pytest.mark.parametrize("glyph", [16, 24, 32, 48])
@pytest.mark.parametrize("text", ["险", "불", "9", "。", "“"])
def test_every_size_and_script_has_glyphs(text: str, glyph: int) -> None:
    board = (glyph * 2, glyph)
    dots = lit(picture(render_png(fit(text, *board, glyph=glyph), *board, glyph=glyph)), board, gap=max(2, glyph // 4))
    assert any("#" in row for row in dots)


def test_every_page_is_shown() -> None:
    layout = Layout((("一", "二"), ("三",)), 6.0)
    image = picture(render_png(layout, 32, 32))
    zoom = image.width // (32 + 8)
    assert image.height == (4 + 2 * (32 + 4)) * zoom
    pages = [lit(image, (32, 32), page) for page in (0, 1)]
    assert pages[0] != pages[1]
    assert not any("#" in row for row in pages[1][16:])


def test_a_running_line_is_shown_screen_by_screen() -> None:
    layout = fit("森林防火人人有责", 64, 16, mode="scroll")
    image = picture(render_png(layout, 64, 16))
    assert image.height == (4 + 2 * (16 + 4)) * (image.width // 72)


@pytest.mark.parametrize("level", [None, *LEVEL_WORDS])
def test_the_level_gives_the_colour(level: str | None) -> None:
    image = picture(render_png(fit("火", 16, 16), 16, 16, level=level))
    colours = {colour for _, colour in image.getcolors(10**6) or []}
    assert shown(level).rgb in colours


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(KeyError):
        render_png(fit("火", 16, 16), 16, 16, level="purple")


def test_the_picture_of_a_video_wall_stays_small() -> None:
    image = picture(render_png(fit("火" * 40, 1920, 1080, glyph=64), 1920, 1080, glyph=64))
    assert image.width * image.height <= 16_000_000


def test_two_colours_show_blue_and_orange_as_something_else() -> None:
    assert shown("blue", "dual").rgb == GREEN
    assert shown("orange", "dual").rgb == shown("orange", "seven").rgb == YELLOW
    assert [shown(level, "dual").exact for level in LEVEL_WORDS] == [False, True, False, True]
    assert [shown(level, "full").rgb for level in LEVEL_WORDS] == [BLUE, YELLOW, ORANGE, RED]
    assert {shown(level, "single").rgb for level in LEVEL_WORDS} == {RED}
    assert all(set(row) == set(LEVEL_WORDS) for row in COLOURS.values())


@pytest.mark.parametrize(
    ("text", "level", "language", "expected"),
    [
        ("林区火险", "blue", "zh-CN", "[蓝色]林区火险"),
        ("火险橙色预警", "orange", "zh-CN", "火险橙色预警"),
        ("火险红预警", "red", "zh-CN", "火险红预警"),
        ("红星林场火险", "red", "zh-CN", "[红色]红星林场火险"),
        ("산불 위험", "yellow", "ko", "[황색] 산불 위험"),
        ("RED warning", "red", "en", "RED warning"),
        ("林区火险", None, "zh-CN", "林区火险"),
    ],
)
def test_the_word_of_the_level_is_always_in_the_text(
    text: str, level: str | None, language: str, expected: str
) -> None:
    assert with_level(text, level, language) == expected
