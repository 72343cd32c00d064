"""The language of templates: what is refused before anything is compiled, and what stays possible."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcaster.compose import template_language as language
from broadcaster.compose.template_language import ENVIRONMENT, MAX_NODES, Names, check
from broadcaster.compose.template_render import Compiled, Rendered
from broadcaster.compose.template_values import LEVELS, Day, Word
from broadcaster.model import BadInput

NAMES = Names(
    types={
        "place": "text", "link": "link", "days": "integer", "starts": "date", "at": "time", "phone": "phone",
        "level": "choice", "villages": "list", "roads": "list",
    },
    choices={"level": frozenset(LEVELS)},
    slots=("name", "premises"),
)  # fmt: skip
FACTS = {
    "place": "敦化市",
    "link": "",
    "days": 3,
    "starts": Day(date(2027, 3, 15), "zh-CN"),
    "at": "8点",
    "phone": "13844112119",
    "level": Word("red", "红色"),
    "villages": ("甲村", "乙村"),
    "roads": (),
}

HOSTILE = {
    # execution while compiling, and sizes that explode
    "repeat": "{{ 'a' * 1000000000 }}",
    "repeat in length": "{{ ('a' * 100000000)|length }}",
    "repeat a fact": "{{ place * 99999999 }}",
    "power": "{{ 2 ** 100000000 }}",
    "power of a fact": "{{ days ** days }}",
    "format by percent": "{{ '%0999999999d' % 1 }}",
    "format filter": "{{ '%0999999999d'|format(1) }}",
    "tilde": "{{ place ~ place }}",
    "added texts": "{{ place + place }}",
    "added constants": "{{ 'a' + 'a' }}",
    "centre": "{{ 'a'|center(1000000000) }}",
    "indent": "{{ place|indent(1000000) }}",
    "wordwrap": "{{ place|wordwrap(1) }}",
    "replace": "{{ place|replace('', 'aaaaaaaaaaaaaaaa') }}",
    "batch": "{{ villages|batch(100000000, 'x')|list }}",
    "slice": "{{ villages|slice(100000000)|list }}",
    "join twice": "{{ place|join('aaaaaaaa')|join('aaaaaaaa') }}",
    "join of a join": "{{ villages|join('aaaa')|join('aaaa') }}",
    "division": "{{ days / 0 }}",
    "floor division": "{{ days // 0 }}",
    "range": "{% for i in range(100000) %}x{% endfor %}",
    "loop over digits": "{% for i in '0123456789' %}x{% endfor %}",
    "loop over a text": "{% for i in place %}x{% endfor %}",
    "loop over a filter": "{% for i in villages|list %}x{% endfor %}",
    "loop over a list made here": "{% for i in [1, 2, 3] %}x{% endfor %}",
    "loop over an attribute": "{% for i in place.x %}x{% endfor %}",
    "recursive loop": "{% for v in villages recursive %}{{ loop(villages) }}{% endfor %}",
    "three loops": (
        "{% for a in villages %}{% for b in villages %}{% for c in villages %}x{% endfor %}{% endfor %}{% endfor %}"
    ),
    "loop with two targets": "{% for a, b in villages %}x{% endfor %}",
    "loop that hides a fact": "{% for place in villages %}{{ place }}{% endfor %}",
    "loop that hides a slot": "{% for name in villages %}{{ name }}{% endfor %}",
    "lipsum": "{{ lipsum(n=100000) }}",
    "integer of 5,000 digits": "{{ " + "9" * 5000 + " }}",
    "integer of 11 digits": "{{ 99999999999 }}",
    "a float": "{{ 1e300 }}",
    "a long constant": "{{ '" + "a" * 2001 + "' }}",
    "nothing": "{{ none }}",
    "deep brackets": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "deep minus": "{{ " + "-" * 3000 + "1 }}",
    "deep not": "{{ " + "not " * 1500 + "days }}",
    "deep filters": "{{ place" + "|upper" * 900 + " }}",
    "a long sum": "{{ 1" + "+1" * 2000 + " }}",
    "deep conditions": "{% if days %}" * 200 + "x" + "{% endif %}" * 200,
    "many outputs": "{{ place }}" * 700,
    "nine kilobytes": "火" * 3000,
    # escapes from the sandbox
    "class": "{{ ''.__class__.__mro__ }}",
    "class of nothing": "{{ ().__class__ }}",
    "class of a fact": "{{ place.__class__ }}",
    "attr filter": "{{ place|attr('format') }}",
    "stored format": "{% set f = '{0.__class__}'.format %}{{ f(place) }}",
    "format_map": "{{ '{a}'.format_map({'a': 1}) }}",
    "map attribute": "{{ villages|map(attribute='__class__')|list }}",
    "select": "{{ villages|select('string')|list }}",
    "xmlattr": "{{ {'a b': 1}|xmlattr }}",
    "getitem": "{{ villages[0] }}",
    "getitem by name": "{{ place['__class__'] }}",
    "slice brackets": "{{ place[0:1] }}",
    "a method": "{{ place.upper() }}",
    "a method of a date": "{{ starts.day.replace(year=1) }}",
    "an attribute of a date": "{{ starts.day }}",
    "an attribute of a choice": "{{ level.code }}",
    "cycler": "{{ cycler('a', 'b').next() }}",
    "joiner": "{{ joiner() }}",
    "namespace": "{% set n = namespace(a='x') %}",
    "self": "{{ self._TemplateReference__context }}",
    "config": "{{ config }}",
    "caller": "{{ caller() }}",
    "loop outside": "{{ loop.index }}",
    "loop itself": "{% for v in villages %}{{ loop }}{% endfor %}",
    "a part of loop": "{% for v in villages %}{{ loop.cycle('a') }}{% endfor %}",
    "a private part of loop": "{% for v in villages %}{{ loop._iterator }}{% endfor %}",
    "star arguments": "{{ place|default(*villages) }}",
    "double star arguments": "{{ place|default(**villages) }}",
    "test": "{{ place is defined }}",
    "a tuple": "{{ ('a', 'b') }}",
    "a dictionary": "{{ {'a': 1} }}",
    # statements
    "set": "{% set a = 1 %}",
    "set block": "{% set a %}x{% endset %}",
    "macro": "{% macro m() %}{{ m() }}{% endmacro %}",
    "call block": "{% call place() %}x{% endcall %}",
    "filter block": "{% filter upper %}x{% endfilter %}",
    "import": "{% import 'a' as b %}",
    "from import": "{% from 'a' import b %}",
    "include": "{% include '/etc/passwd' %}",
    "extends": "{% extends 'a' %}",
    "block": "{% block a %}x{% endblock %}",
    "with": "{% with a = 1 %}x{% endwith %}",
    "autoescape": "{% autoescape false %}x{% endautoescape %}",
    "do": "{% do place.upper() %}",
    "trans": "{% trans %}x{% endtrans %}",
    "debug": "{% debug %}",
    "continue": "{% for v in villages %}{% continue %}{% endfor %}",
    # slots
    "slot in a filter": "{{ name|upper }}",
    "slot in a condition": "{% if name %}x{% endif %}",
    "slot compared": "{{ 'a' if name == 'a' else 'b' }}",
    "slot as an argument": "{{ place|default(name) }}",
    "slot in a loop": "{% for v in villages %}{{ name }}{% endfor %}",
    "slot looped over": "{% for c in name %}{{ c }}{% endfor %}",
    "slot's part": "{{ name.first }}",
    # characters and syntax
    "bidi": "火\u202e警",
    "zero width": "火\u200b警",
    "control": "火\x07警",
    "tab": "火\t警",
    "mark of a slot": "火\ue000警",
    "mark of a slot in a constant": "{{ '\\ue000' }}",
    "bidi in a constant": "{{ '\\u202e' }}",
    "Hangul filler": "불\u3164조심",
    "tag character": "火\U000e0041警",
    "unknown name": "{{ plcae }}",
    "unknown filter": "{{ place|safe }}",
    "unknown choice": "{{ 'x' if level == 'crimson' else 'y' }}",
    "not closed": "{{ place",
    "block not closed": "{% if days %}x",
    "end without a beginning": "{% endif %}",
    "bad escape": "{{ '\\N{NO SUCH NAME}' }}",
    "nothing to print": "{{ }}",
}


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_template_is_refused_before_anything_is_compiled(source, monkeypatch):
    def compiled(*_args, **_kwargs):
        raise AssertionError("compiled before the check refused it")

    monkeypatch.setattr(ENVIRONMENT, "compile", compiled)
    assert check(source, NAMES).faults
    with pytest.raises(BadInput):
        Compiled(source, NAMES)


def test_the_corpus_is_not_smaller_than_the_one_it_follows():
    assert len(HOSTILE) >= 57


@pytest.mark.parametrize("source", ["{{ place }}" * 700, "{{ place|upper }}" * 450, "{% if days %}{% endif %}" * 340])
def test_the_walk_stops_at_its_limit_of_nodes(source):
    walk = language._Walk(source, NAMES)
    walk.run(ENVIRONMENT.parse(source))
    assert [fault.code for fault in walk.faults] == ["too-many-nodes"]
    assert walk._count == MAX_NODES + 1


def test_the_walk_does_not_go_down_a_tree_that_is_too_deep():
    walk = language._Walk("", NAMES)
    walk.run(ENVIRONMENT.parse("{{ 1" + "+1" * 2000 + " }}"))
    assert "too-deep" in {fault.code for fault in walk.faults}
    assert walk._count < 30


def test_a_template_full_of_faults_is_told_a_handful():
    assert len(check("{{ wrong }}" * 300, NAMES).faults) == language.MAX_FAULTS


def test_nineteen_kinds_of_node_and_sixteen_filters_are_allowed():
    assert len(language.ALLOWED) == 19
    assert len(language.FILTERS) == 16


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ starts }}起，{{ place }}", "3月15日起，敦化市"),
        ("{% if level == 'red' %}红{% elif level == 'blue' %}蓝{% else %}无{% endif %}", "红"),
        ("{{ level }}{{ level|default('x') }}", "红色红色"),
        (
            "{% for v in villages %}{{ loop.index }}{{ v }}{% if not loop.last %}、{% endif %}{% endfor %}",
            "1甲村、2乙村",
        ),
        (
            "{% for v in villages %}{% for r in roads %}x{% else %}{{ v }}无路 {% endfor %}{% endfor %}",
            "甲村无路 乙村无路",
        ),
        ("{{ villages|join('、') }}共{{ villages|length }}村", "甲村、乙村共2村"),
        ("{{ days + 1 }}天，{{ 2 - days }}", "4天，-1"),
        ("{{ '长' if days > 2 and days <= 7 else '短' }}", "长"),
        ("{{ phone|grouped }}", "138 4411 2119"),
        ("{{ starts|year }}（{{ starts|weekday }}）", "2027年3月15日（星期一）"),
        ("{% raw %}{{ 照样 }}{% endraw %}", "{{ 照样 }}"),
        ("{# 说明 #}火警119", "火警119"),
        ("{{ place|truncate(2, killwords=true, end='', leeway=0) }}", "敦化"),
        ("{{ link|default('无链接', true) }}", "无链接"),
    ],
)
def test_what_an_author_needs_is_possible(source, text):
    assert check(source, NAMES).faults == ()
    pieces, slots = Compiled(source, NAMES).render(FACTS, 1000)
    assert (pieces, slots) == ((text,), ())


def test_an_unknown_name_is_told_with_its_place_and_the_likely_one():
    (fault,) = check("火警\n请到{{ palce }}", NAMES).faults
    assert (fault.line, fault.column, fault.code) == (2, 6, "unknown-name")
    assert 'did you mean "place"?' in fault.message


def test_a_slot_of_another_channel_is_told_as_such():
    names = Names(types={}, slots_elsewhere=frozenset({"name"}))
    assert [fault.code for fault in check("{{ name }}", names).faults] == ["slot-not-here"]


def test_the_check_tells_which_facts_and_slots_are_used():
    checked = check("{{ name }}{% if level == 'red' %}{{ premises }}{{ place }}{% endif %}", NAMES)
    assert checked.facts == {"level", "place"}
    assert checked.slots == {"name", "premises"}


def test_slots_stay_open_and_pieces_alternate_with_them():
    pieces, slots = Compiled("{{ name }}，{{ premises }}火警{{ name }}", NAMES).render(FACTS, 1000)
    assert pieces == ("", "，", "火警", "")
    assert slots == ("name", "premises", "name")


def test_a_slot_in_a_branch_is_open_only_where_the_branch_is_taken():
    source = "{% if level == 'blue' %}{{ name }}{% endif %}注意"
    assert Compiled(source, NAMES).render(FACTS, 1000) == (("注意",), ())


@pytest.mark.parametrize(
    "value", ["{{ 7*7 }}", "{% for v in villages %}x{% endfor %}", "\ue000", "{0.__class__}", "%s"]
)
def test_a_slot_value_never_passes_through_the_template_engine(value):
    pieces, slots = Compiled("{{ name }}您好", NAMES).render(FACTS, 1000)
    assert Rendered(pieces, slots).text({"name": value}) == f"{value}您好"


def test_a_fact_that_looks_like_a_template_is_only_a_text():
    pieces, _ = Compiled("{{ place }}", NAMES).render({**FACTS, "place": "{{ 7*7 }}"}, 1000)
    assert pieces == ("{{ 7*7 }}",)


def test_a_missing_slot_value_stops():
    with pytest.raises(BadInput) as stopped:
        Rendered(("", "您好"), ("name",)).text({})
    assert stopped.value.code == "missing-slot"


def test_a_fact_that_is_not_there_stops_the_text():
    with pytest.raises(BadInput) as stopped:
        Compiled("{{ place }}", NAMES).render({}, 1000)
    assert stopped.value.code == "missing-fact"


def test_a_text_without_slots_may_not_hold_their_marks_either():
    with pytest.raises(BadInput) as stopped:
        Compiled("{{ place }}", Names(types={"place": "text"})).render({"place": "\ue000"}, 1000)
    assert stopped.value.code == "forbidden-character"


@pytest.mark.parametrize(
    "source", ["{{ place|truncate(1, true, 'long end', 0) }}", "{{ place < 3 }}", "{{ place|abs }}"]
)
def test_what_cannot_be_worked_out_is_told_and_never_raised_raw(source):
    with pytest.raises(BadInput) as stopped:
        Compiled(source, NAMES).render(FACTS, 1000)
    assert stopped.value.code == "render-failed"


def test_an_output_stops_at_its_cap():
    source = "{% for v in villages %}{% for r in roads %}火火火火火火火火火火{{ v }}{% endfor %}{% endfor %}"
    many = {**FACTS, "villages": ("村",) * 50, "roads": ("路",) * 50}
    with pytest.raises(BadInput) as stopped:
        Compiled(source, NAMES).render(many, 1000)
    assert stopped.value.code == "output-too-long"


def test_a_text_is_tidied():
    source = "{% if days %}\n火警 \u3000\n{% endif %}\n\n\n\ne\u0301\u00a0119  \n\n"
    assert Compiled(source, NAMES).render(FACTS, 1000)[0] == ("火警\n\né 119",)


TOKENS = [
    *("{{", "}}", "{%", "%}", "{%-", "-%}", "{#", "#}", "(", ")", "[", "]", "{", "}", ",", ".", ":", "|", "\\"),
    *("+", "-", "*", "/", "~", "==", "!=", "<", ">", "=", "'red'", "'x'", "1", "99", "true", "none", "火", "\n"),
    *("if", "elif", "else", "endif", "for", "in", "endfor", "not", "and", "or", "is", "set", "macro", "raw", "endraw"),
    *("place", "days", "level", "villages", "name", "loop", "loop.last", "upper", "join", "default", "truncate"),
]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(TOKENS), max_size=40))
def test_whatever_is_written_is_refused_or_rendered_but_never_breaks(tokens):
    source = " ".join(tokens)
    if check(source, NAMES).faults:
        return
    try:
        pieces, slots = Compiled(source, NAMES).render(FACTS, 1000)
    except BadInput as error:
        assert error.code in {"render-failed", "missing-fact", "output-too-long"}
    else:
        assert len(pieces) == len(slots) + 1
