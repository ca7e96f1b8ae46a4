"""The code that decides a result, found rather than listed.

Starting from the functions that make a result, every name is followed to its definition, through
imports, within this package. The definitions that are reached are hashed by what they mean: comments,
docstrings, layout and the wording of errors do not count. Modules that only show results (named
`pictures`, `..._pictures` or `card`) are not followed, so that a new colour makes nothing stale;
neither is what stores, carries and orders results (the lake, worker processes, settings).

A text that is the name of one of our modules, or `module:function`, counts as a reference to it. Of the
libraries that compute, the installed version counts where they are used. What no name can show (a
function fetched by `getattr`) is stated as a declared version beside the functions.

Reading all sources costs most of a second. What was found is noted beside Python's own compiled files
and valid for these very sources and libraries.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from threading import get_ident
from types import ModuleType
from typing import Any

import battery_platform

PACKAGE = battery_platform.__name__
ROOT = Path(battery_platform.__file__).parent
WHOLE = "*"
"""In place of a name: everything that a module defines."""
SHOWS_ONLY = ("pictures", "card")
CARRIES_ONLY = ("store", "compute", "made", "settings", "errors")

LIBRARIES = {
    "pybamm": "pybamm",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "xgboost": "xgboost-cpu",
}
"""Libraries whose results may differ between releases, and the distributions that bring them."""

Maker = Callable[..., Any] | type | ModuleType | str
"""A function, class or module; or its name as `module:function`, so that it need not be imported."""
Symbol = tuple[str, str]
"""A module and a name in it; of a library its name and nothing."""


def fingerprint(*makers: Maker, declared: str = "", without: Iterable[Maker] = ()) -> str:
    """Changes when any definition changes that these functions, classes or modules can reach.

    `without` names what is not followed: a table that dispatches to many functions, of which the ones
    that are really used stand among the makers.
    """
    roots = frozenset(_symbol(maker) for maker in makers)
    cut = frozenset(_symbol(maker) for maker in without)
    return _digest(roots, cut, declared)


def reached(*makers: Maker, without: Iterable[Maker] = ()) -> frozenset[Symbol]:
    """The definitions that decide what these makers make."""
    cut = frozenset(_symbol(maker) for maker in without)
    return _closure(frozenset(_symbol(maker) for maker in makers), cut)


def forget_sources() -> None:
    """Read the source files anew: for whoever changes them while the process runs."""
    for cached in (_path, _module, _closure, _digest, _noted):
        cached.cache_clear()


@lru_cache(maxsize=1024)
def _digest(roots: frozenset[Symbol], cut: frozenset[Symbol], declared: str) -> str:
    question = repr((sorted(roots), sorted(cut), declared))
    notes = {} if _OUTSIDE else _noted()
    if question not in notes:
        notes[question] = _worked_out(roots, cut, declared)
        if not _OUTSIDE:
            _note(notes)
    return notes[question]


def _worked_out(roots: frozenset[Symbol], cut: frozenset[Symbol], declared: str) -> str:
    hasher = hashlib.blake2b(declared.encode(), digest_size=8)
    for module, name in sorted(_closure(roots, cut)):
        state = _module(module).meaning(name) if name else _release(module)
        hasher.update(f"{module}:{name}={state};".encode())
    return hasher.hexdigest()


NOTES = "__pycache__/fingerprints.json"


@lru_cache(maxsize=1)
def _noted() -> dict[str, str]:
    """Fingerprints by what was asked, as they were worked out from the sources as they are."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        notes = json.loads((ROOT / NOTES).read_text(encoding="utf-8"))
        if notes["sources"] == _sources():
            return dict(notes["fingerprints"])
    return {}


def _note(fingerprints: dict[str, str]) -> None:
    with contextlib.suppress(OSError):  # an installation that may only be read works all the same
        place = ROOT / NOTES
        place.parent.mkdir(exist_ok=True)
        fresh = place.with_suffix(f".{os.getpid()}.{get_ident()}")
        fresh.write_text(
            json.dumps({"sources": _sources(), "fingerprints": fingerprints}), encoding="utf-8"
        )
        fresh.replace(place)


def _sources() -> str:
    """Changes with any source file of the package, and with a release of a library that computes."""
    hasher = hashlib.blake2b(digest_size=8)
    for path in sorted(ROOT.rglob("*.py")):
        state = path.stat()
        hasher.update(f"{path} {state.st_size} {state.st_mtime_ns} {state.st_ctime_ns};".encode())
    for library in LIBRARIES:
        hasher.update(f"{library} {_release(library)};".encode())
    return hasher.hexdigest()


@lru_cache(maxsize=1024)
def _closure(roots: frozenset[Symbol], cut: frozenset[Symbol]) -> frozenset[Symbol]:
    for module_name, name in roots:
        defined = _module(module_name).statements
        if name != WHOLE and name not in defined and name not in _module(module_name).imports:
            raise ValueError(f"{module_name} defines no {name}")
    seen: set[Symbol] = set()
    waiting = list(roots)
    carries_only = set(CARRIES_ONLY) - {_folder(module) for module, _ in roots}
    while waiting:
        module_name, name = waiting.pop()
        if not name:
            seen.add((module_name, name))
            continue
        if (module_name, name) in seen or _is_cut(module_name, name, cut):
            continue
        if _folder(module_name) in carries_only:
            continue
        module = _module(module_name)
        if name == WHOLE:
            waiting += [(module_name, own) for own in module.statements]
            continue
        if name in module.imports:
            waiting += _targets(module.imports[name])
        if name not in module.statements:
            continue
        seen.add((module_name, name))
        waiting.append((module_name, EFFECTS))
        waiting += module.references(name)
    return frozenset(seen)


@lru_cache(maxsize=64)
def _release(library: str) -> str:
    """Major and minor version of a library: a patch that changes results is a fault of its own."""
    return ".".join(version(LIBRARIES[library]).split(".")[:2])


def _is_cut(module: str, name: str, cut: frozenset[Symbol]) -> bool:
    stem = module.rpartition(".")[2]
    shows = stem in SHOWS_ONLY or stem.endswith("_pictures")
    return shows or (module, name) in cut or (module, WHOLE) in cut


def _folder(module: str) -> str:
    """The folder of the package that a module stands in, or its name if it stands in none."""
    return module.removeprefix(f"{PACKAGE}.").partition(".")[0]


EFFECTS = "<statements>"
"""What a module does when it is imported beside defining names: it counts as soon as one of its
definitions is reached.
"""


@dataclass
class _Module:
    """The top level of a source file: what it defines, and where its imported names come from."""

    name: str
    statements: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, Symbol] = field(default_factory=dict)
    _meanings: dict[str, str] = field(default_factory=dict)

    def meaning(self, name: str) -> str:
        """Hash of the statements behind a name."""
        if name not in self._meanings:
            hasher = hashlib.blake2b(digest_size=8)
            for statement in self.statements[name]:
                hasher.update("".join(_words(statement)).encode("utf-8", "surrogatepass"))
            self._meanings[name] = hasher.hexdigest()
        return self._meanings[name]

    def references(self, name: str) -> list[Symbol]:
        """What the statements behind a name refer to, in this package."""
        found: list[Symbol] = []
        for statement in self.statements[name]:
            found += self._references_of(statement)
        return found

    def _references_of(self, statement: ast.stmt) -> Iterator[Symbol]:
        names = dict(self.imports)
        for node in ast.walk(statement):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names |= _imported(node)
        for node in _meaningful(statement):
            if isinstance(node, ast.Attribute):
                yield from _of_module(node, names)
            elif isinstance(node, ast.Name):
                if node.id in names:
                    yield from _targets(names[node.id], as_whole=False)
                    library = names[node.id][0].partition(".")[0]
                    if library in LIBRARIES:
                        yield library, ""
                elif node.id in self.statements:
                    yield self.name, node.id
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from _named_in(node.value)


def _of_module(node: ast.Attribute, names: dict[str, Symbol]) -> Iterator[Symbol]:
    """`module.name`, where the module is one of ours; longer chains come by their inner part."""
    if isinstance(node.value, ast.Name) and node.value.id in names:
        module = _as_module(names[node.value.id])
        if module:
            yield module, node.attr


def _named_in(text: str) -> Iterator[Symbol]:
    """A module, or `module:function`, that is imported by its name."""
    module, _, name = text.partition(":")
    if module.startswith(PACKAGE + ".") and " " not in module and _path(module) is not None:
        yield module, name or WHOLE


def _targets(imported: Symbol, as_whole: bool = True) -> list[Symbol]:
    """Where an imported name leads; a bare mention of a module leads nowhere by itself."""
    module = _as_module(imported)
    if module:
        return [(module, WHOLE)] if as_whole else []
    return [imported] if _path(imported[0]) is not None else []


def _as_module(imported: Symbol) -> str:
    """The module that an imported name stands for, if it stands for one of ours."""
    module, name = imported
    if name == WHOLE:
        return module if _path(module) is not None else ""
    inner = f"{module}.{name}"
    return inner if _path(inner) is not None else ""


@lru_cache(maxsize=2048)
def _path(module: str) -> Path | None:
    """The source file of one of our modules."""
    if module != PACKAGE and not module.startswith(PACKAGE + "."):
        loaded = sys.modules.get(module)
        source = getattr(loaded, "__file__", None)
        return Path(source) if source and module in _OUTSIDE else None
    place = ROOT.joinpath(*module.split(".")[1:])
    if place.is_dir():
        return place / "__init__.py"
    source_file = place.with_suffix(".py")
    return source_file if source_file.is_file() else None


_OUTSIDE: set[str] = set()
"""Modules beyond this package whose functions were given as makers, such as a plant's own."""


@lru_cache(maxsize=2048)
def _module(name: str) -> _Module:
    path = _path(name)
    if path is None:
        raise ValueError(f"{name} is no module of {PACKAGE}")
    made = _Module(name)
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            made.imports |= _imported(statement)
        elif _only_for_types(statement):
            for inner in ast.walk(statement):
                if isinstance(inner, ast.Import | ast.ImportFrom):
                    made.imports |= _imported(inner)
        elif not _is_docstring(statement):
            for bound in _bound(statement) or [EFFECTS]:
                made.statements.setdefault(bound, []).append(statement)
    return made


def _only_for_types(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.If)
        and isinstance(statement.test, ast.Name)
        and statement.test.id == "TYPE_CHECKING"
    )


def _bound(statement: ast.stmt) -> list[str]:
    """The names that a statement of the top level defines."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return [
            node.id
            for target in targets
            for node in ast.walk(target)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        ]
    return []


def _imported(node: ast.Import | ast.ImportFrom) -> dict[str, Symbol]:
    """The names that an import binds, and what they stand for."""
    if isinstance(node, ast.ImportFrom):
        module = node.module or ""
        return {alias.asname or alias.name: (module, alias.name) for alias in node.names}
    return {
        alias.asname or alias.name.partition(".")[0]: (
            alias.name if alias.asname else alias.name.partition(".")[0],
            WHOLE,
        )
        for alias in node.names
    }


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


_WITHOUT_MEANING = ("ctx", "type_comment", "kind", "type_ignores", "lineno", "returns")


def _children(node: ast.AST) -> Iterator[tuple[str, Any]]:
    """The parts of a node that count: no docstrings, and of an error only which one is raised."""
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        yield "exc", node.exc.func
        return
    for name in node._fields:
        value = getattr(node, name, None)
        if name in _WITHOUT_MEANING or value is None or value == []:
            continue
        if isinstance(value, list):
            value = [child for child in value if not _is_docstring(child)]
        yield name, value


def _words(node: Any) -> Iterator[str]:
    """A node as text that is the same for the same meaning."""
    if isinstance(node, ast.AST):
        yield f"({type(node).__name__}"
        for name, value in _children(node):
            yield f" {name}="
            yield from _words(value)
        yield ")"
    elif isinstance(node, list):
        yield "["
        for child in node:
            yield from _words(child)
        yield "]"
    else:
        yield f"{type(node).__name__}:{node!r}"


def _meaningful(node: Any) -> Iterator[ast.AST]:
    """All nodes that count, and what annotations name: types are built by the code behind them."""
    if isinstance(node, ast.AST):
        yield node
        for _, value in _children(node):
            yield from _meaningful(value)
        returns = getattr(node, "returns", None)
        if returns is not None:
            yield from _meaningful(returns)
    elif isinstance(node, list):
        for child in node:
            yield from _meaningful(child)


def _symbol(maker: Maker) -> Symbol:
    if isinstance(maker, str):
        module, _, name = maker.partition(":")
        return module, name or WHOLE
    if isinstance(maker, ModuleType):
        return maker.__name__, WHOLE
    module, name = maker.__module__, maker.__qualname__.partition(".")[0]
    if not module.startswith(PACKAGE + "."):
        _OUTSIDE.add(module)
    return module, name
