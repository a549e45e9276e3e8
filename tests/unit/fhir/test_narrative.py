"""The gate for narratives: formatting passes, whatever acts or reaches out does not."""

from __future__ import annotations

import pytest

from nirantar.fhir.narrative import broken_rule


def div(inner: str) -> str:
    """A narrative with this inside."""
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{inner}</div>'


@pytest.mark.parametrize(
    "inner",
    [
        "text",
        "कमला देवी &amp; &#2325;",
        "<h1>a</h1><ul><li><b>b</b></li></ul>",
        '<table border="1" class="x"><tr><td colspan="2">1</td></tr></table>',
        '<p style="color: red; font-weight: bold" title="x" xml:lang="hi" lang="hi">a</p>',
        '<a href="https://example.org/a?b=c:d">a</a><a href="#x" name="y">b</a><a href="Patient/1?x=a:b">c</a>',
        '<img src="data:image/png;base64,iVBORw0KGgo=" alt="x"/>',
        "<!-- a comment -->a",
    ],
)
def test_formatting_passes(inner: str) -> None:
    """What R4 allows in a narrative is taken."""
    assert broken_rule(div(inner)) is None


@pytest.mark.parametrize(
    "inner",
    [
        "<script>a</script>",
        "<SCRIPT>a</SCRIPT>",
        "<style>a</style>",
        '<object data="a"/>a',
        '<embed src="a"/>a',
        '<link href="a"/>a',
        '<meta content="a"/>a',
        "<base/>a",
        "<button>a</button>",
        "<video>a</video>",
        '<p onmouseover="a">a</p>',
        '<p ONCLICK="a">a</p>',
        '<a href="javascript:a">a</a>',
        '<a href="JaVaScRiPt:a">a</a>',
        '<a href="java&#9;script:a">a</a>',
        '<a href="&#xA0;javascript:a">a</a>',
        '<a href="vbscript:a">a</a>',
        '<a href="data:text/html,a">a</a>',
        '<img src="data:image/svg+xml;base64,aaaa"/>',
        '<img srcset="https://example.org"/>',
        '<a xmlns:x="http://www.w3.org/1999/xlink" x:href="javascript:a">a</a>',
        '<p style="width: expression(a)">a</p>',
        '<p style="background:u\\72l(a)">a</p>',
        '<p style="background:ur/**/l(a)">a</p>',
        '<p style="position: fixed">a</p>',
        '<svg xmlns="http://www.w3.org/2000/svg"><a>a</a></svg>',
        '<x:p xmlns:x="urn:x">a</x:p>',
        "<?php a ?>a",
        "a&nbsp;b",
        "a & b",
        "<p>a",
        "a</div><div>b",
        "",
        " &#10; <p/>",
    ],
)
def test_what_acts_or_is_broken_is_refused(inner: str) -> None:
    """An allow-list: unknown elements, attributes, schemes and styles are refused without being listed."""
    assert broken_rule(div(inner)) is not None


def test_an_entity_bomb_is_refused_before_it_grows() -> None:
    """Entities cannot be declared, so they cannot multiply."""
    declarations = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 50}">' for n in range(1, 10))
    assert "document type" in str(broken_rule(f'<!DOCTYPE d [<!ENTITY e0 "x">{declarations}]>' + div("&e9;")))


def test_deep_nesting_is_only_text() -> None:
    """Depth costs memory in proportion, not the stack."""
    assert broken_rule(div("<b>" * 100_000 + "a" + "</b>" * 100_000)) is None
    assert broken_rule(div("<b>" * 100_000)) is not None
