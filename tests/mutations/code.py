"""Finds the code and the test that a mutation names. Called by the command and by the tool's own tests.

Python is compared as a syntax tree, so comments, quotes and line breaks do not matter. In other languages any white
space and comments may stand between two words.
"""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from tests.mutations.mutation import Mutation

ROOT = Path(__file__).parents[2]
PACKAGES = ("streaming", "transcribe_site", "uploads")
FOLDERS = ("static", "templates", "deploy")
FILES = ("docker-compose.yml", "Dockerfile")
IGNORED = r"(?:\s|//[^\n]*|/\*.*?\*/|\{#.*?#\}|<!--.*?-->)*"
TEST = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)

Change = tuple[Path, Callable[[], str]]  # a file, and a function that returns its text after the change


class NoMatch(ValueError):
    """The code or the test of a mutation is missing, or occurs more than once."""


def mutate(mutation: Mutation) -> tuple[Path, str]:
    """Return the path of the file that a mutation changes, and its text afterwards. Raises `NoMatch`."""
    found = [*_changes_in_text(mutation), *_changes_in_python(mutation)]
    if len(found) != 1:
        raise NoMatch(f"{mutation.of} has {len(found)} times: {mutation.remove or mutation.replace}")
    path, change = found[0]
    return path, change()


def node_id(mutation: Mutation) -> str:
    """Return pytest's node id of the test of a mutation. Raises `NoMatch`."""
    name, bracket, parameters = mutation.fails.partition("[")
    module, _, name = name.rpartition("::")
    found = [path for path, names in _tests().items() if name in names]
    if len(found) > 1:
        found = [path for path in found if f"/{path.with_suffix('')}".endswith(f"/{module}")]
    if len(found) != 1:
        raise NoMatch(f"{len(found)} tests are called {mutation.fails}")
    return f"{found[0].relative_to(ROOT)}::{name}{bracket}{parameters}"


@cache
def _tests() -> dict[Path, set[str]]:
    """Return the names of the tests in each test module."""
    return {path: set(TEST.findall(path.read_text())) for path in (ROOT / "tests").rglob("test_*.py")}


def _changes_in_text(mutation: Mutation) -> Iterator[Change]:
    words = re.findall(r"\w+|[^\w\s]", mutation.remove or mutation.replace)
    pattern = re.compile(IGNORED.join(map(re.escape, words)), re.DOTALL)
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    for path in [*paths, *(ROOT / name for name in FILES)]:
        if f"/{path}".endswith(f"/{mutation.of}"):
            text = path.read_text()
            for match in pattern.finditer(text):
                yield path, lambda text=text, at=match: text[: at.start()] + mutation.by + text[at.end() :]


def _changes_in_python(mutation: Mutation) -> Iterator[Change]:
    for path, names in _names().items():
        if any(_is_called(name, mutation.of) for name in names):
            tree = ast.parse(path.read_text())
            for name, scope in _definitions(tree, _module(path)):
                if _is_called(name, mutation.of):
                    for change in _changes_in_scope(scope, mutation):
                        yield path, lambda tree=tree, change=change: change() or ast.unparse(tree)


def _is_called(name: str, end: str) -> bool:
    return f".{name}".endswith(f".{end}")


@cache
def _names() -> dict[Path, list[str]]:
    """Return the qualified names of the definitions of each module."""
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return {path: [name for name, _ in _definitions(ast.parse(path.read_text()), _module(path))] for path in paths}


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _definitions(node: ast.AST, name: str) -> Iterator[tuple[str, ast.AST]]:
    """Yield a module, and the functions, classes and variables in it, with their qualified names."""
    if isinstance(node, ast.Module):
        yield name, node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):  # defines nothing that has a name
            continue
        inner = name
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{name}.{child.name}"
            yield inner, child
        elif isinstance(child, ast.Assign | ast.AnnAssign):
            for target in child.targets if isinstance(child, ast.Assign) else [child.target]:
                if isinstance(target, ast.Name):
                    yield f"{name}.{target.id}", child
        yield from _definitions(child, inner)


def _changes_in_scope(scope: ast.AST, mutation: Mutation) -> Iterator[Callable[[], None]]:
    """Yield a function for each place that matches, which changes the tree there."""
    code = mutation.remove or mutation.replace
    for read, default in ((_statements, [ast.Pass()]), (_arguments, [])):
        old, new = read(code), read(mutation.by) or default
        for parent in ast.walk(scope):
            for field, value in ast.iter_fields(parent):
                if isinstance(value, list):
                    for start in range(len(value)):
                        if _is_same(value[start : start + len(old)], old):
                            span = slice(start, start + len(old))
                            yield lambda parent=parent, field=field, span=span, new=new: _put(parent, field, span, new)
                elif not isinstance(parent, ast.Expr) and _is_same([value], old):  # an `Expr` matched as a statement
                    if len(new) != 1:
                        raise NoMatch(f"{mutation.of}: an expression can only be replaced by one expression: {code}")
                    yield lambda parent=parent, field=field, new=new: setattr(parent, field, new[0])


def _put(parent: ast.AST, field: str, span: slice, new: list[ast.AST]) -> None:
    getattr(parent, field)[span] = new
    if isinstance(parent, ast.Dict) and not new:  # a key was removed
        del parent.values[span]


def _statements(code: str) -> list[ast.AST]:
    """Return code as statements; none if it is not."""
    try:
        return list(ast.parse(code).body)
    except SyntaxError:
        return []


def _arguments(code: str) -> list[ast.AST]:
    """Return code as the arguments of a call, or the elements of a list; none if it is not."""
    try:
        call = ast.parse(f"f({code}\n)", mode="eval").body
    except SyntaxError:
        return []
    return [*call.args, *call.keywords] if isinstance(call, ast.Call) else []


def _is_same(found: list[object], wanted: list[ast.AST]) -> bool:
    """Whether two lists of nodes are the same code, and not empty."""
    return (
        [type(node) for node in found] == [type(node) for node in wanted] != []
        and list(map(ast.dump, found)) == list(map(ast.dump, wanted))  # type: ignore[arg-type]
    )
