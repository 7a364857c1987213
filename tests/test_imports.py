"""Imports go one way, so that each part can be read without those above it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# From the bottom up; a module may import from its own line and those before.
LAYERS = [
    {"typesetting", "transcripts", "pauses", "logs", "outages", "close_codes", "unsent", "crowd"},
    {"transitions"},
    {"models", "captions"},
    {"events"},
    {"audio", "broadcast", "database", "metrics", "people", "origins", "outbox", "workers", "samples"},
    {"engines"},
    {"queue", "exports", "hearing"},
    {"library_rows"},
    {"library"},
    {"jobs"},
    {"preemption"},
    {"attempt", "cursor"},
    {"feed"},
    {"runner", "feeds"},
    {
        "consumers",
        "library_consumer",
        "forms",
        "views",
        "admin",
        "routing",
        "urls",
        "management",
        "apps",
        "templatetags",
    },
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted names that a file imports, at any depth of it."""
    tree = ast.parse(path.read_text())
    # What only a type checker imports orders nothing.
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)


def files(package: str) -> list[Path]:
    return [path for path in (ROOT / package).rglob("*.py") if "migrations" not in path.parts]


@pytest.mark.parametrize(
    ("package", "forbidden"), [("uploads", ("streaming", "transcribe_site")), ("streaming", ("transcribe_site",))]
)
def test_no_app_imports_from_those_above_it(package: str, forbidden: tuple[str, ...]) -> None:
    wrong = [(path.name, name) for path in files(package) for name in imports(path) if name.split(".")[0] in forbidden]
    assert wrong == []


def test_inside_streaming_imports_go_one_way() -> None:
    wrong = []
    for path in files("streaming"):
        part = path.relative_to(ROOT / "streaming").parts[0].removesuffix(".py")
        if part == "__init__":
            continue
        assert part in LEVEL, f"{part} has no place in LAYERS"
        for name in imports(path):
            package, _, rest = name.partition(".")
            if package == "streaming" and LEVEL[rest.split(".")[0]] > LEVEL[part]:
                wrong.append((part, name))
    assert wrong == []


def test_consumers_and_feeds_know_no_engine_and_engines_know_no_viewer() -> None:
    of = {path.relative_to(ROOT).as_posix(): list(imports(path)) for path in files("streaming")}
    for path, names in of.items():
        if path in ("streaming/consumers.py", "streaming/feed.py", "streaming/feeds.py"):
            assert not [name for name in names if name.startswith("streaming.engines")], path
        if path.startswith("streaming/engines/"):
            watched = (
                "streaming.feed",
                "streaming.broadcast",
                "streaming.consumers",
                "streaming.jobs",
                "streaming.models",
            )
            assert not [name for name in names if name.startswith(watched)], path
