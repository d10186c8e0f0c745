"""DOCX and EPUB: packages of XML, unpacked no further than the limits allow."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from io import BytesIO
from lzma import LZMAError
from pathlib import Path
from typing import IO
from urllib.parse import unquote
from zlib import error as ZlibError  # noqa: N812  # an exception, named as one

from lxml import etree

from harvester.reading.outcome import Limits, Raw, Unreadable
from harvester.reading.web_page import main_text

_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_ENTRIES = 20_000
_BLOCK = 65_536
_BROKEN = (
    zipfile.BadZipFile,
    ZlibError,
    LZMAError,
    EOFError,
    LookupError,
    NotImplementedError,
    etree.XMLSyntaxError,
    OSError,
)


def find_package(path: Path) -> str | None:
    """`docx` or `epub` by the parts that a package has, None where it is another one."""
    try:
        with zipfile.ZipFile(path) as package:
            names = set(package.namelist())
    except _BROKEN as error:
        raise Unreadable("damaged") from error
    if "word/document.xml" in names:
        return "docx"
    return "epub" if "META-INF/container.xml" in names else None


def read_docx(path: Path, limits: Limits) -> Raw:
    """Paragraph by paragraph; a page begins where Word last saw one begin, or where the writer wants one.

    Raises:
        Unreadable: damaged, or unpacks to more than the limits allow.
    """
    with _Package(path, limits) as package:
        pages: list[list[str]] = [[]]
        length = 0
        stream = package.open("word/document.xml")
        names = [_WORD + name for name in ("t", "tab", "br", "cr", "p", "lastRenderedPageBreak")]
        for _, element in etree.iterparse(stream, tag=names, resolve_entities=False, no_network=True, load_dtd=False):
            name = element.tag.removeprefix(_WORD)
            breaks = name == "br" and element.get(f"{_WORD}type") == "page"
            if name == "lastRenderedPageBreak" or breaks:
                pages.append([])
            text = {"t": element.text or "", "tab": "\t", "lastRenderedPageBreak": ""}.get(name, "\n")
            pages[-1].append(text)
            length += len(text)
            element.clear()
            if name == "p" and (parent := element.getparent()) is not None:
                del parent[: parent.index(element)]  # what was read does not stay in memory
            if length > limits.characters:
                break
    texts = ["".join(page) for page in pages]
    return Raw(texts[: limits.pages], len(texts))


def read_epub(path: Path, limits: Limits) -> Raw:
    """Part by part, in the order in which they are to be read.

    Raises:
        Unreadable: encrypted, damaged, or unpacks to more than the limits allow.
    """
    with _Package(path, limits) as package:
        book = package.attributes("META-INF/container.xml", "rootfile", "full-path")[0]
        contents = package.tree(book)
        files = {item.get("id"): item.get("href", "") for item in contents.iterfind(".//{*}manifest/{*}item")}
        spine = [files.get(item.get("idref"), "") for item in contents.iterfind(".//{*}spine/{*}itemref")]
        parts = [posixpath.normpath(posixpath.join(posixpath.dirname(book), unquote(name))) for name in spine if name]
        if package.encrypted() & set(parts):
            raise Unreadable("encrypted")
        pages = []
        length = 0
        for name in parts[: limits.pages]:
            pages.append(main_text(package.read(name)))
            length += len(pages[-1])
            if length > limits.characters:
                break
    return Raw(pages, len(parts))


class _Package:
    """A zip file of which no more is unpacked, over all its entries together, than the limits allow."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path = path
        self._limits = limits
        self._left = limits.size

    def __enter__(self) -> _Package:
        try:
            self._zip = zipfile.ZipFile(self._path)
        except _BROKEN as error:
            raise Unreadable("damaged") from error
        if len(self._zip.namelist()) > _ENTRIES:
            raise Unreadable("too-big")
        if any(entry.flag_bits & 1 for entry in self._zip.infolist()):
            raise Unreadable("encrypted")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._zip.close()
        if isinstance(error, _BROKEN):
            raise Unreadable("damaged") from error

    def open(self, name: str) -> _Measured:
        """The unpacked bytes of an entry, as they are needed."""
        return _Measured(self, self._zip.open(name))

    def read(self, name: str) -> bytes:
        """An entry that is wanted whole, and so is no larger than a page may be."""
        return b"".join(self._blocks(name))

    def _blocks(self, name: str) -> Iterator[bytes]:
        size = 0
        with self._zip.open(name) as entry:
            while block := entry.read(_BLOCK):
                size += len(block)
                self.take(len(block))
                if size > self._limits.page_size:
                    raise Unreadable("too-big")
                yield block

    def tree(self, name: str) -> etree._Element:
        """An entry that is XML; entities stay what they are."""
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
        return etree.parse(BytesIO(self.read(name)), parser).getroot()

    def encrypted(self) -> set[str]:
        """The entries that a lock is on: of whole books, as shops sell them, and not of their typefaces alone."""
        if "META-INF/encryption.xml" not in self._zip.namelist():
            return set()
        return set(map(unquote, self.attributes("META-INF/encryption.xml", "CipherReference", "URI")))

    def attributes(self, name: str, element: str, attribute: str) -> list[str]:
        """What all elements of a name in an XML entry have as an attribute."""
        return [found.get(attribute, "") for found in self.tree(name).iterfind(f".//{{*}}{element}")]

    def take(self, size: int) -> None:
        """So many bytes more are unpacked."""
        self._left -= size
        if self._left < 0:
            raise Unreadable("too-big")


class _Measured:
    """An entry as a file to be read, counted as it unpacks."""

    def __init__(self, package: _Package, entry: IO[bytes]) -> None:
        self._package = package
        self._entry = entry

    def read(self, size: int = _BLOCK) -> bytes:
        """At most so many bytes more."""
        block = self._entry.read(size)
        self._package.take(len(block))
        return block
