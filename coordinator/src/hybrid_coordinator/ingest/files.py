"""Which files of a folder are worth reading: text, not ignored, not huge, not generated."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

MAX_FILE_BYTES = 1024 * 1024
_PEEK = 8192
_LONGEST_MEAN_LINE = 400
_GENERATED = frozenset(
    {
        *("package-lock.json", "yarn.lock", "pnpm-lock.yaml", "Cargo.lock", "poetry.lock"),
        *("flake.lock", "uv.lock", "go.sum", "Gemfile.lock", "composer.lock"),
    }
)
_ALWAYS = GitIgnoreSpec.from_lines([".git/", ".hg/", ".svn/", "node_modules/", "__pycache__/"])


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to read. ``path`` is relative to the root, with forward slashes."""

    path: str
    location: Path


@dataclass(frozen=True, slots=True)
class _Rules:
    """The ignore rules that one folder adds; they apply below it."""

    folder: str
    spec: GitIgnoreSpec

    def verdict(self, path: str) -> bool | None:
        """Ignored, explicitly kept, or nothing said."""
        return self.spec.check_file(path.removeprefix(self.folder)).include


def find_files(root: Path) -> Iterator[SourceFile]:
    """Every file under ``root`` that git would track and a person could read, in path order.

    ``.gitignore`` files count at every level, a deeper one last, and so does
    ``.git/info/exclude``. Links are not followed.
    """
    if root.is_file():
        yield SourceFile(root.name, root)
        return
    rules = [_Rules("", _ALWAYS)]
    exclude = root / ".git" / "info" / "exclude"
    if exclude.is_file():
        rules.append(_Rules("", _spec(exclude)))
    yield from _walk(root, "", rules)


def read_text(location: Path) -> str | None:
    """The text of a file, or None where it is binary, too large or generated."""
    try:
        with location.open("rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_FILE_BYTES:
                return None
            data = file.read(MAX_FILE_BYTES + 1)
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        return None
    if b"\0" in data[:_PEEK] or location.name in _GENERATED:
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    lines = text.count("\n") + 1
    return None if len(text) / lines > _LONGEST_MEAN_LINE else text


def _walk(root: Path, folder: str, inherited: list[_Rules]) -> Iterator[SourceFile]:
    rules = inherited
    own = root / folder / ".gitignore"
    if own.is_file():
        rules = [*inherited, _Rules(folder, _spec(own))]
    try:
        entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
    except PermissionError:
        return
    for entry in entries:
        path = folder + entry.name
        if entry.is_dir(follow_symlinks=False):
            if not _ignored(path + "/", rules):
                yield from _walk(root, path + "/", rules)
        elif entry.is_file(follow_symlinks=False) and not _ignored(path, rules):
            yield SourceFile(path, Path(entry.path))


def _ignored(path: str, rules: list[_Rules]) -> bool:
    for rule in reversed(rules):
        verdict = rule.verdict(path)
        if verdict is not None:
            return verdict
    return False


def _spec(file: Path) -> GitIgnoreSpec:
    return GitIgnoreSpec.from_lines(file.read_text(encoding="utf-8", errors="replace").splitlines())
