"""Cuts a program along its syntax: whole definitions where they fit, their parts where not.

Split, then merge (after Zhang et al., cAST, arXiv 2506.15655): neighbours that
are small together become one piece, a node that is too large is cut into its
children, and each piece knows the definitions around and in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tree_sitter import Node, Parser

from hybrid_coordinator.ingest.pieces import MAX_SIZE, Piece, cut_by_lines, size_of

_DEFINITIONS = (
    *("function", "class", "method", "struct", "enum", "trait", "impl", "interface", "module"),
    *("type_alias", "type_item", "type_spec", "namespace", "constructor", "object_declaration"),
)
_MOST_NAMES = 8
_DEEPEST = 200
_SCRAP = 120


@dataclass(slots=True)
class _Run:
    """Consecutive nodes that will be one piece, as byte offsets."""

    start: int = 0
    end: int = 0
    size: int = 0
    names: list[str] = field(default_factory=list)


def cut_code(text: str, parser: Parser) -> Iterator[Piece]:
    """The pieces of a program, in order; together they hold all its code."""
    data = text.encode()
    tree = parser.parse(data)
    held: Piece | None = None
    for piece in _Cutter(data).cut(tree.root_node, (), 0):
        if held is not None and (joined := _joined(held, piece)):
            held = joined
            continue
        if held is not None:
            yield held
        held = piece
    if held is not None:
        yield held


def _joined(first: Piece, second: Piece) -> Piece | None:
    """A scrap (the line that opens a class, say) together with what follows it."""
    gap = second.start_line - first.end_line
    if gap < 1 or size_of(first.text) > _SCRAP:
        return None
    text = first.text + "\n" * gap + second.text
    names = tuple(dict.fromkeys((*first.names, *second.names)))[:_MOST_NAMES]
    return Piece(text, first.start_line, second.end_line, names)


class _Cutter:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def cut(self, node: Node, around: tuple[str, ...], depth: int) -> Iterator[Piece]:
        run = _Run(node.start_byte, node.start_byte)
        for child in node.children:
            size = size_of(self._text(child.start_byte, child.end_byte))
            if size > MAX_SIZE:
                yield from self._flush(run, around)
                yield from self._cut_large(child, around, depth)
                run = _Run(child.end_byte, child.end_byte)
                continue
            if run.size and run.size + size > MAX_SIZE:
                yield from self._flush(run, around)
                run = _Run(child.start_byte, child.start_byte)
            run.end = child.end_byte
            run.size += size
            run.names += self._names(child)
        run.end = max(run.end, node.end_byte) if not node.children else run.end
        yield from self._flush(run, around)

    def _cut_large(self, node: Node, around: tuple[str, ...], depth: int) -> Iterator[Piece]:
        inside = around
        if name := self._name(node):
            inside = (*around, name)
        if depth < _DEEPEST and self._covered(node):
            yield from self.cut(node, inside, depth + 1)
        else:
            text = self._text(node.start_byte, node.end_byte)
            yield from cut_by_lines(text, node.start_point.row + 1, inside)

    def _covered(self, node: Node) -> bool:
        """Whether the children hold all of the node's text; a long string's do not."""
        own = size_of(self._text(node.start_byte, node.end_byte))
        return own == sum(size_of(self._text(c.start_byte, c.end_byte)) for c in node.children)

    def _flush(self, run: _Run, around: tuple[str, ...]) -> Iterator[Piece]:
        # From the start of the first line, so that the indentation is kept.
        line = self._data.rfind(b"\n", 0, run.start) + 1
        start = line if not self._data[line : run.start].strip() else run.start
        text = self._text(start, run.end)
        if not text.strip():
            return
        first = self._data.count(b"\n", 0, start) + 1 + _leading_lines(text)
        body = text.strip("\n").rstrip()
        last = first + body.count("\n")
        names = tuple(dict.fromkeys(run.names))[:_MOST_NAMES]
        yield Piece(body, first, last, (*around, *names))

    def _names(self, node: Node) -> list[str]:
        """The definitions in a small node, to the second level."""
        found = [name] if (name := self._name(node)) else []
        for child in node.children:
            if (name := self._name(child)) and len(found) < _MOST_NAMES:
                found.append(name)
        return found

    def _name(self, node: Node) -> str | None:
        """What a definition is called, with what it is: ``class Foo``."""
        kind = next((word for word in _DEFINITIONS if word in node.type), None)
        if kind is None or not node.is_named:
            inner = node.child_by_field_name("definition")  # a decorated definition
            return self._name(inner) if inner is not None else None
        name = node.child_by_field_name("name") or node.child_by_field_name("declarator")
        if name is None:
            return None
        text = self._text(name.start_byte, name.end_byte).partition("(")[0].strip()
        return f"{kind} {text}"[:120] if text else None

    def _text(self, start: int, end: int) -> str:
        return self._data[start:end].decode(errors="replace")


def _leading_lines(text: str) -> int:
    return len(text) - len(text.lstrip("\n"))
