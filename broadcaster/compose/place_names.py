"""From what people write to a place: a code of any width, or names from the top down, with or without blanks between."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator

from broadcaster.compose.cells import CellProblem
from broadcaster.compose.places import WIDTHS, prefix_of, read_places
from broadcaster.installation import Installation
from broadcaster.model import BadInput
from broadcaster.store import places as stored
from broadcaster.store.places import PlaceRow

LONGEST = 80
SHOWN = 5  # candidates in a message
_BETWEEN = re.compile(r"[\s/>\\|,，、·\-—]+")
_ASIDE = re.compile(r"[(（].*?[)）]")
_PEOPLES = "满|朝鲜|蒙古|锡伯|达斡尔|鄂温克|鄂伦春|回|藏|羌|彝|白|傣|哈尼|壮|苗|侗|瑶|土家|布依|黎|畲|各"
_SELF_RULED = re.compile(rf"^(.+?)(?:(?:{_PEOPLES})族)+自治(州|县|旗)$")
_ENDINGS = (
    ("村民委员会", "村"), ("村委会", "村"), ("社区居民委员会", "社区"), ("社区居委会", "社区"), ("居民委员会", ""), ("居委会", ""),
    ("街道办事处", "街道"), ("街道", "街道办事处"), ("街道", "街道办"),
)  # fmt: skip
_TOP_ENDINGS = ("省", "市", "州", "县", "区", "旗", "自治区")


def _also(row: PlaceRow) -> Iterator[str]:
    """Other ways to write a name: without what stands in brackets, with the short ending, without 市 or 县."""
    name = _ASIDE.sub("", row.name)
    yield name
    ruled = _SELF_RULED.match(name)
    if ruled:
        yield ruled[1]
        yield ruled[1] + ruled[2]
    if row.level <= 3:
        yield from (name[: -len(e)] for e in _TOP_ENDINGS if name.endswith(e) and len(name) - len(e) >= 2)
    else:
        yield from (name[: -len(e)] + short for e, short in _ENDINGS if name.endswith(e) and len(name) - len(e) >= 2)


def _plain(written: str) -> str:
    return _BETWEEN.sub("", unicodedata.normalize("NFKC", written))


class PlaceNames:
    """A tree of places by everything that people call them."""

    def __init__(self, rows: Iterable[PlaceRow]) -> None:
        self._rows = {row.code: row for row in rows}
        self._names: dict[str, set[str]] = defaultdict(set)
        self._official: dict[str, set[str]] = defaultdict(set)
        self._known: dict[str, str | CellProblem] = {}
        for row in self._rows.values():
            self._official[_plain(row.name)].add(row.code)
            for name in {row.name, *_also(row)}:
                self._names[_plain(name)].add(row.code)

    @property
    def root(self) -> str | None:
        """The one province of the tree; None where there is none or several."""
        tops = [row.code for row in self._rows.values() if row.parent is None]
        return tops[0] if len(tops) == 1 else None

    def code(self, written: str) -> str:
        """The 12-digit code. Raises CellProblem place-missing, place-unknown, place-ambiguous (with the candidates)."""
        known = self._known.get(written)
        if known is None:
            try:
                known = self._find(written)
            except CellProblem as problem:
                known = problem
            self._known[written] = known
        if isinstance(known, CellProblem):
            raise CellProblem(known.code, known.message)
        return known

    def path(self, code: str) -> str:
        """Names from the province down, with the code."""
        names = []
        at: str | None = code
        while at:
            names.append(self._rows[at].name)
            at = self._rows[at].parent
        return f"{''.join(reversed(names))} ({prefix_of(code)})"

    def _find(self, written: str) -> str:
        text = _plain(written).removesuffix(".0")
        if not text:
            raise CellProblem("place-missing", "there is no place")
        if text.isascii() and text.isdigit():
            return self._by_digits(text)
        # Official names first: 通化市 is the city even where 通化县 is also called 通化.
        for names in (self._official, self._names):
            found = sorted(set(self._walk(text[:LONGEST], "", names)))
            if len(found) == 1:
                return found[0]
            if found:
                listed = "; ".join(map(self.path, found[:SHOWN])) + ("; ..." if len(found) > SHOWN else "")
                raise CellProblem("place-ambiguous", f"{text[:LONGEST]} could be {len(found)} places: {listed}")
        raise CellProblem(
            "place-unknown", f"no place is called {text[:LONGEST]}; give its code, or names from the city down"
        )

    def _by_digits(self, digits: str) -> str:
        code = digits.ljust(12, "0")
        if len(digits) not in WIDTHS or code not in self._rows:
            raise CellProblem("place-unknown", f"no place has the code {digits[:20]}; codes have 6, 9 or 12 digits")
        return code

    def _walk(self, text: str, under: str, names: dict[str, set[str]]) -> Iterator[str]:
        """Codes whose names, each under the one before, make up the whole text. Levels may be left out."""
        for end in range(len(text), 1, -1):
            for code in names.get(text[:end], ()):
                prefix = prefix_of(code)
                if prefix.startswith(under) and len(prefix) > len(under):
                    if end == len(text):
                        yield code
                    else:
                        yield from self._walk(text[end:], prefix, names)


def shipped_names() -> PlaceNames:
    """Over the shipped tree, where there is no installation to ask."""
    return PlaceNames(read_places())


def names_of(inst: Installation) -> PlaceNames:
    """Over the tree of an installation. Raises BadInput places-missing where it was never loaded."""
    with inst.store.read() as conn:
        rows = stored.every_place(conn)
    if not rows:
        raise BadInput("places-missing", "no places are loaded yet; type: broadcaster init")
    return PlaceNames(rows)
