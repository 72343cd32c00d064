"""The language of templates: Jinja2 cut down to what a text for the public needs, checked before it is compiled.

Compiling is executing: Jinja folds constants, so `{{ 'a' * 10**9 }}` eats memory when a template is saved. `env.parse` does
not fold, so the syntax tree is read first and everything outside a list of 19 node types is refused. The sandbox is the
second wall, not the first. Source: security.md §4 of the fact sheets; Jinja2 advisories CVE-2024-56326, CVE-2025-27516.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.exceptions import TemplateRuntimeError, UndefinedError
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.sandbox import ImmutableSandboxedEnvironment

from broadcaster.compose import template_values as values
from broadcaster.compose.template_text import forbidden, hint, shown

__all__ = ["ENVIRONMENT", "Names", "TemplateRuntimeError", "UndefinedError", "check"]

MAX_SOURCE = 8 * 1024  # bytes of UTF-8
MAX_NODES = 600
MAX_DEPTH = 8  # of expressions and blocks inside one another
MAX_LOOPS = 2
MAX_CONST = 2_000  # characters
MAX_INTEGER = 10**9
MAX_FAULTS = 50  # a person mends a handful at a time

ALLOWED = frozenset(
    {
        nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Const, nodes.Filter,
        nodes.If, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Keyword,
        nodes.Add, nodes.Sub, nodes.Neg, nodes.For,
    }
)  # fmt: skip
LOOP_PARTS = frozenset({"index", "first", "last", "length"})


def _join(value: tuple[str, ...], separator: str = "") -> str:
    """Jinja's own join also takes a string; two in a row would make 2 GB out of 500 characters."""
    if not isinstance(value, tuple):
        raise TypeError("join takes a list")
    return separator.join(value)


_OURS: Mapping[str, Callable[..., object]] = {
    "join": _join,
    "year": values.with_year,
    "short": values.short,
    "weekday": values.weekday,
    "grouped": values.grouped,
}
_JINJAS = "upper lower capitalize title trim truncate length first last default abs".split()  # noqa: SIM905
FILTERS: Mapping[str, Callable[..., object]] = {name: JINJA_FILTERS[name] for name in _JINJAS} | dict(_OURS)


def _environment() -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True, cache_size=0
    )  # plain text goes to phones, speech and boards: an escaped & would be read aloud
    made.globals, made.tests, made.filters = {}, {}, dict(FILTERS)
    return made


ENVIRONMENT = _environment()


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a template is refused, and where. Lines and columns count from 1."""

    line: int
    column: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Names:
    """What a template may name: facts with their types, choices with their codes, slots."""

    types: Mapping[str, str]  # fact -> text | integer | date | time | phone | choice | link | list
    choices: Mapping[str, frozenset[str]] = field(default_factory=dict)
    slots: tuple[str, ...] = ()
    slots_elsewhere: frozenset[str] = frozenset()  # only to say it better: this channel cannot fill them


@dataclass(frozen=True, slots=True)
class Checked:
    """A template after the check: the facts and slots it really uses, and what is wrong with it."""

    facts: frozenset[str]
    slots: frozenset[str]
    faults: tuple[Fault, ...]


_NAMES_OF_NODES = {
    nodes.Call: "a call", nodes.Getitem: "[...]", nodes.Mul: "multiplication", nodes.Pow: "a power",
    nodes.Mod: "%", nodes.Concat: "~", nodes.Test: "a test (is ...)", nodes.Macro: "a macro", nodes.Div: "division",
    nodes.Assign: "set", nodes.AssignBlock: "set", nodes.FilterBlock: "a filter block", nodes.FloorDiv: "division",
    nodes.CallBlock: "a call block", nodes.Tuple: "a tuple", nodes.List: "a list", nodes.Dict: "a dictionary",
}  # fmt: skip


def check(source: str, names: Names) -> Checked:
    """Read a template without compiling it. Never raises for what is written in it."""
    if (fault := _source_fault(source)) is not None:
        return _refused(fault)
    try:
        tree = ENVIRONMENT.parse(source)
    except TemplateSyntaxError as error:
        return _refused(Fault(error.lineno, _column(source, error.lineno, ""), "syntax", error.message or "?"))
    except RecursionError:
        return _refused(Fault(1, 1, "too-deep", f"nested more than {MAX_DEPTH} deep"))
    except ValueError:  # Python refuses to read an integer of more than 4,300 digits
        return _refused(Fault(1, 1, "constant", "a number is too long"))
    walk = _Walk(source, names)
    walk.run(tree)
    return Checked(frozenset(walk.facts), frozenset(walk.slots), tuple(walk.faults))


def _refused(fault: Fault) -> Checked:
    return Checked(frozenset(), frozenset(), (fault,))


def _source_fault(source: str) -> Fault | None:
    if len(source.encode("utf-8", "surrogatepass")) > MAX_SOURCE:
        return Fault(1, 1, "too-long", f"a template holds at most {MAX_SOURCE} bytes")
    if (bad := forbidden(source, allowed="\n")) is not None:
        before = source[: source.index(bad)]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return Fault(line, column, "forbidden-character", f"delete the character {shown(bad)}")
    return None


def _column(source: str, line: int, token: str) -> int:
    """Jinja tells lines only: the column of `token` in its line, else of the first bracket, else 1."""
    lines = source.split("\n")
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    found = re.search(rf"(?<!\w){re.escape(token)}(?!\w)" if token else r"\{[{%]", text)
    return found.start() + 1 if found else 1


class _Enough(Exception):
    """Too many nodes or faults: no use in reading on."""


class _Walk:
    """One walk over one tree. `loops` holds the loop variables around the node."""

    def __init__(self, source: str, names: Names) -> None:
        self._source, self._names = source, names
        self._count = 0
        self._line = 1  # Jinja leaves some nodes without one
        self.facts: set[str] = set()
        self.slots: set[str] = set()
        self.faults: list[Fault] = []

    def run(self, tree: nodes.Template) -> None:
        with suppress(_Enough):
            self._visit(tree, 0, ())

    def _fault(self, node: nodes.Node, code: str, message: str, token: str = "") -> None:
        line = node.lineno or self._line
        self.faults.append(Fault(line, _column(self._source, line, token), code, message))
        if len(self.faults) >= MAX_FAULTS:
            raise _Enough

    def _visit(self, node: nodes.Node, depth: int, loops: tuple[str, ...]) -> None:
        self._count += 1
        self._line = node.lineno or self._line
        if self._count > MAX_NODES:
            self._fault(node, "too-many-nodes", f"more than {MAX_NODES} parts: write a shorter template")
            raise _Enough
        if type(node) not in ALLOWED:
            what = _NAMES_OF_NODES.get(type(node), type(node).__name__.lower())
            return self._fault(node, "not-allowed", f"{what} is not allowed in a template")
        deeper = depth + isinstance(node, nodes.Expr | nodes.If | nodes.For)
        if deeper > MAX_DEPTH:
            return self._fault(node, "too-deep", f"nested more than {MAX_DEPTH} deep")
        if (rule := _RULES.get(type(node))) is not None:
            return rule(self, node, deeper, loops)
        return self._children(node, deeper, loops)

    def _children(self, node: nodes.Node, depth: int, loops: tuple[str, ...]) -> None:
        for child in node.iter_child_nodes():
            self._visit(child, depth, loops)

    def _output(self, node: nodes.Output, depth: int, loops: tuple[str, ...]) -> None:
        for child in node.nodes:
            if isinstance(child, nodes.Name) and child.name in self._names.slots and not loops:
                self._count += 1
                self.slots.add(child.name)
            else:
                self._visit(child, depth, loops)

    def _name(self, node: nodes.Name, _depth: int, loops: tuple[str, ...]) -> None:
        name = node.name
        if name in loops:
            return
        if name in self._names.types:
            self.facts.add(name)
        elif name in self._names.slots:
            message = f'the slot "{name}" may only stand as {{{{ {name} }}}}, outside any condition, filter or loop'
            self._fault(node, "slot-not-bare", message, name)
        elif name in self._names.slots_elsewhere:
            self._fault(node, "slot-not-here", f'the slot "{name}" cannot be filled on this channel', name)
        else:
            known = [*self._names.types, *self._names.slots, *loops]
            self._fault(node, "unknown-name", f'"{name}" is not declared{hint(name, known)}', name)

    def _getattr(self, node: nodes.Getattr, _depth: int, loops: tuple[str, ...]) -> None:
        of_loop = isinstance(node.node, nodes.Name) and node.node.name == "loop" and bool(loops)
        if not of_loop or node.attr not in LOOP_PARTS:
            parts = ", ".join(sorted(LOOP_PARTS))
            self._fault(node, "not-allowed", f'".{node.attr}": only loop has parts here ({parts})', node.attr)

    def _const(self, node: nodes.Const, _depth: int, _loops: tuple[str, ...]) -> None:
        value = node.value
        if isinstance(value, str):
            if len(value) > MAX_CONST:
                self._fault(node, "constant", f"a text in quotes holds at most {MAX_CONST} characters")
            if (bad := forbidden(value, allowed="\n")) is not None:
                self._fault(node, "forbidden-character", f"a text in quotes makes the character {shown(bad)}")
        elif not isinstance(value, int) or abs(value) > MAX_INTEGER:
            self._fault(node, "constant", "only texts, whole numbers up to a thousand million, true and false")

    def _filter(self, node: nodes.Filter, depth: int, loops: tuple[str, ...]) -> None:
        if node.name not in FILTERS:
            message = f'there is no filter "{node.name}"{hint(node.name, FILTERS)}'
            return self._fault(node, "unknown-filter", message, node.name)
        if node.node is None or node.dyn_args is not None or node.dyn_kwargs is not None:
            return self._fault(node, "not-allowed", f'"{node.name}" takes plain values only', node.name)
        if node.name == "join" and not self._is_list(node.node):
            return self._fault(node, "join-of-list", "join takes the name of a list", node.name)
        return self._children(node, depth, loops)

    def _for(self, node: nodes.For, depth: int, loops: tuple[str, ...]) -> None:
        if node.recursive or len(loops) >= MAX_LOOPS:
            return self._fault(node, "loop", f"loops: not recursive, at most {MAX_LOOPS} inside one another")
        if not self._is_list(node.iter):
            return self._fault(node, "loop", "a loop goes over the name of a list")
        target = node.target
        if not isinstance(target, nodes.Name) or target.name in {
            *self._names.types,
            *self._names.slots,
            *loops,
            "loop",
        }:
            return self._fault(node, "loop", "a loop needs one new name: {% for item in items %}")
        self._visit(node.iter, depth, loops)
        inner = (*loops, target.name)
        for part in ([node.test] if node.test is not None else []) + node.body:
            self._visit(part, depth, inner)
        for part in node.else_:
            self._visit(part, depth, loops)
        return None

    def _is_list(self, node: nodes.Node) -> bool:
        return isinstance(node, nodes.Name) and self._names.types.get(node.name) == "list"

    def _compare(self, node: nodes.Compare, depth: int, loops: tuple[str, ...]) -> None:
        sides = [node.expr, *(operand.expr for operand in node.ops)]
        chosen = [side.name for side in sides if isinstance(side, nodes.Name) and side.name in self._names.choices]
        for name in chosen:
            codes = self._names.choices[name]
            for side in sides:
                if isinstance(side, nodes.Const) and side.value not in codes:
                    message = f'"{name}" is never "{side.value}"{hint(str(side.value), codes)}'
                    self._fault(node, "unknown-choice", message, str(side.value))
        self._children(node, depth, loops)

    def _arithmetic(self, node: nodes.Node, depth: int, loops: tuple[str, ...]) -> None:
        """+ and - are for whole numbers: added texts would be one more way to grow an output."""
        for side in node.iter_child_nodes():
            if not self._is_number(side):
                self._fault(node, "numbers-only", "+ and - take whole numbers only")
        self._children(node, depth, loops)

    def _is_number(self, node: nodes.Node) -> bool:
        if isinstance(node, nodes.Name):
            return self._names.types.get(node.name) == "integer"
        if isinstance(node, nodes.Const):
            return isinstance(node.value, int)
        counted = isinstance(node, nodes.Filter) and node.name in {"length", "abs"}
        return counted or isinstance(node, nodes.Add | nodes.Sub | nodes.Neg | nodes.Getattr)


_RULES: Mapping[type[nodes.Node], Callable[..., None]] = {  # each takes its own kind of node
    nodes.Output: _Walk._output,
    nodes.Name: _Walk._name,
    nodes.Getattr: _Walk._getattr,
    nodes.Const: _Walk._const,
    nodes.Filter: _Walk._filter,
    nodes.For: _Walk._for,
    nodes.Compare: _Walk._compare,
    nodes.Add: _Walk._arithmetic,
    nodes.Sub: _Walk._arithmetic,
    nodes.Neg: _Walk._arithmetic,
}
