"""Make matplotlib's SVG fit for a page: the page's colours, a title for screen readers, ids that do not clash."""

from __future__ import annotations

import re
from xml.etree import ElementTree

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
BLACK = "#000000"
FONT_SIZE = re.compile(r"[\d.]+px")
STANDALONE = "<style>svg{color:#1b1d21}@media(prefers-color-scheme:dark){svg{color:#e4e6ea}}</style>"
"""What the text's colour is where no page says so."""

ElementTree.register_namespace("", SVG)
ElementTree.register_namespace("xlink", XLINK)


def themed(svg: str, name: str, title: str) -> str:
    """An `<svg>` element with text and axes in the page's colour, a title, and ids that begin with `name`."""
    root = ElementTree.fromstring(svg)
    root.remove(_only(root, "metadata"))
    for element in root.iter():
        for key, value in element.items():
            element.set(key, _of_page(key, value, name))
    for text in root.iter(f"{{{SVG}}}text"):
        text.set("fill", "currentColor")
    heading = ElementTree.Element(f"{{{SVG}}}title", {"id": f"{name}-title"})
    heading.text = title
    root.insert(0, heading)
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title")
    return ElementTree.tostring(root, encoding="unicode")


def standalone(svg: str) -> str:
    """The same as a file of its own, which chooses its text's colour by itself."""
    start = svg.index(">") + 1  # of the root element: attributes hold no bare ">"
    return f"{svg[:start]}{STANDALONE}{svg[start:]}\n"


def without_styles(svg: str) -> str:
    """The same drawn by attributes alone, for a page whose policy lets no style stand in its markup."""
    root = ElementTree.fromstring(svg)
    for parent in root.iter():
        for style in parent.findall(f"{{{SVG}}}style"):
            parent.remove(style)
    root.set("stroke-linejoin", "round")  # what matplotlib's style sheet says of everything
    for element in root.iter():
        for rule in filter(str.strip, element.attrib.pop("style", "").split(";")):
            name, value = (part.strip() for part in rule.split(":", 1))
            if name == "font":  # a short form is not an attribute; the family is the page's
                name, value = "font-size", FONT_SIZE.findall(value)[0]
            element.set(name, value)
    return ElementTree.tostring(root, encoding="unicode")


def _of_page(key: str, value: str, name: str) -> str:
    """The value of an attribute, with ids and references to them under `name`, and black as the text's colour."""
    if key == "id":
        return f"{name}-{value}"
    if key.endswith("href"):
        return value.replace("#", f"#{name}-", 1)
    return value.replace("url(#", f"url(#{name}-").replace(BLACK, "currentColor")


def _only(root: ElementTree.Element, tag: str) -> ElementTree.Element:
    found = root.find(f"{{{SVG}}}{tag}")
    assert found is not None, f"matplotlib wrote no {tag}"
    return found
