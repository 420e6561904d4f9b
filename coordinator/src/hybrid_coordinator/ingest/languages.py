"""Which language a file is in, and its parser where one is installed."""

from __future__ import annotations

import importlib
import re
from functools import cache
from pathlib import PurePosixPath

from tree_sitter import Language, Parser

# Extension → (name, grammar module, its function).
_GRAMMARS: dict[str, tuple[str, str, str]] = {
    **dict.fromkeys(("py", "pyi"), ("python", "tree_sitter_python", "language")),
    **dict.fromkeys(
        ("js", "mjs", "cjs", "jsx"), ("javascript", "tree_sitter_javascript", "language")
    ),
    **dict.fromkeys(
        ("ts", "mts", "cts"), ("typescript", "tree_sitter_typescript", "language_typescript")
    ),
    "tsx": ("tsx", "tree_sitter_typescript", "language_tsx"),
    "rs": ("rust", "tree_sitter_rust", "language"),
    "go": ("go", "tree_sitter_go", "language"),
    "java": ("java", "tree_sitter_java", "language"),
    **dict.fromkeys(("c", "h"), ("c", "tree_sitter_c", "language")),
    **dict.fromkeys(("cc", "cpp", "cxx", "hpp", "hh"), ("cpp", "tree_sitter_cpp", "language")),
    "cs": ("c-sharp", "tree_sitter_c_sharp", "language"),
    **dict.fromkeys(("sh", "bash"), ("bash", "tree_sitter_bash", "language")),
    "nix": ("nix", "tree_sitter_nix", "language"),
    "rb": ("ruby", "tree_sitter_ruby", "language"),
    "php": ("php", "tree_sitter_php", "language_php"),
    "lua": ("lua", "tree_sitter_lua", "language"),
    "kt": ("kotlin", "tree_sitter_kotlin", "language"),
}
# Where one package has several grammars on PyPI, nixpkgs has one for each, its function always
# called "language": function → that package.
_ALONE = {
    "language_typescript": "tree_sitter_typescript",
    "language_tsx": "tree_sitter_tsx",
    "language_php": "tree_sitter_php",
}
_BY_LINES = {
    **dict.fromkeys(("txt", "rst", "adoc", "org"), "text"),
    **dict.fromkeys(("yml", "yaml"), "yaml"),
    **{name: name for name in ("toml", "json", "ini", "cfg", "conf", "sql", "css", "scss")},
    **{name: name for name in ("html", "xml", "proto", "graphql", "swift", "scala", "zig", "el")},
    **dict.fromkeys(("ex", "exs"), "elixir"),
    "hs": "haskell",
    "ml": "ocaml",
    "tf": "terraform",
}
_BY_NAME = {"Makefile": "make", "Dockerfile": "dockerfile", "Jenkinsfile": "groovy"}
_MARKDOWN = frozenset({"md", "markdown", "mdx"})

_FRAMEWORKS = {
    "fastapi": re.compile(r"^\s*(?:from|import)\s+fastapi\b", re.M),
    "django": re.compile(r"^\s*(?:from|import)\s+django\b", re.M),
    "flask": re.compile(r"^\s*(?:from|import)\s+flask\b", re.M),
    "starlette": re.compile(r"^\s*(?:from|import)\s+starlette\b", re.M),
    "pytest": re.compile(r"^\s*(?:from|import)\s+pytest\b", re.M),
    "react": re.compile(r"""from\s+['"]react['"]|require\(['"]react['"]\)"""),
    "vue": re.compile(r"""from\s+['"]vue['"]"""),
    "express": re.compile(r"""from\s+['"]express['"]|require\(['"]express['"]\)"""),
    "spring": re.compile(r"^\s*import\s+org\.springframework\b", re.M),
    "tokio": re.compile(r"^\s*use\s+tokio\b", re.M),
    "nixos": re.compile(r"\b(?:mkEnableOption|systemd\.services|environment\.systemPackages)\b"),
}


def language_of(path: str) -> str | None:
    """The language by the file's name; None where it is not one to read."""
    name = PurePosixPath(path).name
    extension = name.rpartition(".")[2].lower() if "." in name else ""
    if extension in _MARKDOWN:
        return "markdown"
    if extension in _GRAMMARS:
        return _GRAMMARS[extension][0]
    return _BY_LINES.get(extension) or _BY_NAME.get(name)


@cache
def parser_for(extension: str) -> Parser | None:
    """The parser for files of ``extension``; None where its grammar is not installed."""
    if extension not in _GRAMMARS:
        return None
    _, module, function = _GRAMMARS[extension]
    language = _language(module, function)
    if language is None and function in _ALONE:
        language = _language(_ALONE[function], "language")
    return None if language is None else Parser(language)


def _language(module: str, function: str) -> Language | None:
    try:
        grammar = importlib.import_module(module)
    except ImportError:
        return None
    get = getattr(grammar, function, None)
    return None if get is None else Language(get())


def framework_of(text: str) -> str:
    """The first framework whose imports are in ``text``; empty for none."""
    return next((name for name, seen in _FRAMEWORKS.items() if seen.search(text)), "")
