"""Which XHTML a resource's narrative may hold: formatting, links and pictures, nothing that acts.

An allow-list after https://hl7.org/fhir/R4/narrative.html#rules (invariants txt-1 and txt-2). It is a gate, not a
cleaner: a narrative that breaks a rule is refused, never repaired.
"""

from __future__ import annotations

import re
from typing import Final
from xml.parsers import expat

_XHTML: Final = "http://www.w3.org/1999/xhtml"
_SEPARATOR: Final = " "

_ELEMENTS: Final = frozenset(
    {
        "a", "abbr", "acronym", "b", "big", "blockquote", "br", "caption", "cite", "code", "col", "colgroup", "dd",
        "dfn", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "li", "ol", "p", "pre",
        "q", "samp", "small", "span", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr",
        "tt", "ul", "var", "kbd",
    }
)  # fmt: skip
_ATTRIBUTES: Final = frozenset(
    {
        "abbr", "align", "alt", "axis", "border", "bordercolor", "cellhalign", "cellpadding", "cellspacing",
        "cellvalign", "char", "charoff", "charset", "class", "colspan", "dir", "frame", "headers", "height", "href",
        "hreflang", "id", "lang", "longdesc", "name", "nowrap", "rel", "rev", "rowspan", "rules", "scope", "span",
        "src", "start", "style", "summary", "tabindex", "title", "type", "valign", "value", "width",
        "{http://www.w3.org/XML/1998/namespace}lang",
    }
)  # fmt: skip
_LINK_ATTRIBUTES: Final = frozenset({"href", "src", "longdesc"})
_SAFE_LINK: Final = re.compile(
    r"(?:https?:|mailto:|tel:|urn:|#|data:image/(?:png|jpeg|gif);base64,|[^:]*\Z|[^:]*[/?#])", re.IGNORECASE
)
_UNSAFE_STYLE: Final = re.compile(
    r"url\s*\(|expression|javascript|@import|behavio|-moz-binding|\\|/\*|position\s*:", re.IGNORECASE
)
_BLANK_OR_CONTROL: Final = re.compile(r"[\x00-\x20\x7f-\xa0]")


class _Refused(Exception):
    """Stops the parser at the first broken rule."""


class _Rules:
    """The parser's handlers: what an element, an attribute and the text must be."""

    def __init__(self) -> None:
        self.depth = 0
        self.has_content = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(_SEPARATOR)
        if self.depth == 0 and (namespace, local) != (_XHTML, "div"):
            raise _Refused("must be one div in the XHTML namespace (txt-1)")
        if namespace != _XHTML or local not in _ELEMENTS:
            raise _Refused("has an element that a FHIR narrative may not have (txt-1)")
        self.depth += 1
        self.has_content = self.has_content or local == "img"
        for attribute, value in attributes.items():
            self._check_attribute(_clark(attribute), value)

    def _check_attribute(self, name: str, value: str) -> None:
        if name not in _ATTRIBUTES:
            raise _Refused("has an attribute that a FHIR narrative may not have (txt-1)")
        if name in _LINK_ATTRIBUTES and not _SAFE_LINK.match(_BLANK_OR_CONTROL.sub("", value)):
            raise _Refused("has a link of a kind that a FHIR narrative may not have (txt-1)")
        if name == "style" and _UNSAFE_STYLE.search(value):
            raise _Refused("has a style that reaches outside the narrative (txt-1)")

    def end(self, _name: str) -> None:
        self.depth -= 1

    def text(self, text: str) -> None:
        self.has_content = self.has_content or not text.isspace()

    def refuse(self, *_arguments: object) -> None:
        raise _Refused("must not have a document type, entity declaration or processing instruction (txt-1)")


def _clark(name: str) -> str:
    namespace, _, local = name.rpartition(_SEPARATOR)
    return f"{{{namespace}}}{local}" if namespace else local


def broken_rule(xhtml: str) -> str | None:
    """The first rule that the text of a Narrative.div breaks, as a sentence without its content, or None."""
    rules = _Rules()
    parser = expat.ParserCreate("UTF-8", _SEPARATOR)
    parser.StartElementHandler = rules.start
    parser.EndElementHandler = rules.end
    parser.CharacterDataHandler = rules.text
    parser.StartDoctypeDeclHandler = rules.refuse
    parser.ProcessingInstructionHandler = rules.refuse
    try:
        parser.Parse(xhtml.encode(), True)
    except expat.ExpatError:
        return "is not well-formed XHTML (txt-1)"
    except _Refused as refused:
        return str(refused)
    return None if rules.has_content else "must have text or a picture (txt-2)"
