"""HTML, and the XHTML of EPUBs: the main text, line by line, without what is around it on every page of a site."""

from __future__ import annotations

from lxml import etree

_SKIPPED = frozenset(
    (
        *("aside", "button", "footer", "form", "head", "header", "iframe", "math", "nav", "noscript", "object"),
        *("script", "select", "style", "svg", "template"),
    )
)
_INLINE = frozenset(
    (
        *("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "del", "dfn", "em", "font", "i", "ins"),
        *("kbd", "mark", "q", "ruby", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "tt", "u"),
        *("var", "wbr"),
    )
)
_MAIN = (".//main", ".//*[@role='main']", ".//article")
_ENOUGH = 200  # characters of a part that calls itself the main one


def main_text(page: bytes) -> str:
    """The text of the part that says it is the main one, or of the whole page without its menus; "" where none is."""
    parser = etree.HTMLParser(
        no_network=True, huge_tree=False, remove_comments=True, remove_pis=True, encoding=_encoding(page)
    )
    try:
        root = etree.fromstring(page, parser)
    except etree.XMLSyntaxError:
        return ""
    if root is None:
        return ""
    for path in _MAIN:
        parts = root.findall(path)
        if len(parts) == 1 and len(text := _lines(parts[0])) >= _ENOUGH:
            return text
    return _lines(root)


def _encoding(page: bytes) -> str | None:
    """UTF-8 where it is that; else what the page says, or lxml guesses."""
    try:
        page.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return "utf-8"


def _lines(root: etree._Element) -> str:
    """What stands between the tags, a line for each block; with no recursion, as pages may be nested deeply."""
    words: list[str] = []
    skipped: etree._Element | None = None
    for event, element in etree.iterwalk(root, events=("start", "end")):
        name = element.tag
        if not isinstance(name, str):
            continue
        name = etree.QName(name).localname
        if skipped is not None:
            if event == "end" and element is skipped:
                skipped = None
                words += ["\n", element.tail or ""] if element is not root else []
            continue
        if event == "start" and name in _SKIPPED and element is not root:
            skipped = element
            continue
        if name not in _INLINE:
            words.append("\n")
        text = element.text if event == "start" else element.tail if element is not root else None
        words.append(" ".join(text.split()).join((" " * text[:1].isspace(), " " * text[-1:].isspace())) if text else "")
    lines = (" ".join(line.split()) for line in "".join(words).split("\n"))
    return "\n".join(line for line in lines if line)
