"""The tool finds code by name and syntax, changes only that code, and rejects missing or ambiguous code."""

import ast
from pathlib import Path

import pytest

from tests.mutations import code
from tests.mutations.code import NoMatch, mutate, node_id
from tests.mutations.mutation import Mutation

SOURCE = '''"""A module."""
LIMITS = ("one", "two", "three")

class Queue:
    def put(self, item, **rest):
        """Add an item."""
        if (
            item is None  # nothing to add
            or self.is_closed
        ):
            return False
        self.items.append(item, key=rest)  # the last place
        self.log({"item": item, "count": 1})
        return True

    def get(self):
        self.items.append(None)
        return self.items.pop()
'''
SCRIPT = """// Opens the socket.
open() {
  this.timer = setTimeout(
    () => this.ask(), // soon
    quietMs,
  );
}
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one module, one script and one test module."""
    for path, text in (
        ("streaming/rooms/queues.py", SOURCE),
        ("static/js/socket.js", SCRIPT),
        ("tests/test_queue.py", "def test_puts(): ...\nasync def test_gets(): ...\n"),
        ("tests/rooms/test_rooms.py", "def test_gets(): ...\n"),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    for find in (code._names, code._tests):
        find.cache_clear()
    monkeypatch.setattr(code, "ROOT", tmp_path)
    yield tmp_path
    for find in (code._names, code._tests):
        find.cache_clear()


def mutation(of: str, remove: str = "", replace: str = "", by: str = "", fails: str = "test_puts") -> Mutation:
    return Mutation(fault="", of=of, remove=remove, replace=replace, by=by, fails=fails)


@pytest.mark.parametrize(
    ("of", "remove", "old", "new"),
    [
        ("Queue.put", "self.items.append(item, key=rest)", "self.items.append(item, key=rest)", "pass"),
        ("queues.Queue.put", "self.is_closed", "item is None or self.is_closed", "item is None"),
        ("put", "key=rest", "append(item, key=rest)", "append(item)"),
        ("put", "'item'", "{'item': item, 'count': 1}", "{'count': 1}"),
        ("LIMITS", "'one', 'two'", "('one', 'two', 'three')", "('three',)"),
        (
            "Queue",
            "self.items.append(None)\nreturn self.items.pop()",
            "self.items.append(None)\n        return self.items.pop()",
            "pass",
        ),
    ],
)
def test_removes_code_whatever_its_layout_and_comments(of: str, remove: str, old: str, new: str, project: Path) -> None:
    before = ast.unparse(ast.parse(SOURCE))
    assert before.count(old) == 1
    assert mutate(mutation(of, remove)) == (project / "streaming/rooms/queues.py", before.replace(old, new))


def test_replaces_an_expression_and_a_statement() -> None:
    assert "if False:" in mutate(mutation("put", replace="item is None or self.is_closed", by="False"))[1]
    assert "return 0\n" in mutate(mutation("put", replace="return True", by="self.count += 1; return 0"))[1]


@pytest.mark.parametrize(
    ("of", "code"),
    [
        ("put", "self.items.append(None)"),  # in another function
        ("Queue", "item"),  # more than once
        ("Stack.put", "return True"),  # no such class
        ("put", "item is None or self.is_closed"),  # an `if` needs its condition
        ("socket.js", "this.close()"),
    ],
)
def test_refuses_code_that_is_missing_or_ambiguous(of: str, code: str) -> None:
    with pytest.raises(NoMatch):
        mutate(mutation(of, code))


def test_changes_a_script_whatever_its_layout_and_comments(project: Path) -> None:
    path, text = mutate(
        mutation("socket.js", replace="this.timer = setTimeout(() => this.ask(), quietMs,);", by="later();")
    )
    assert (path, text) == (project / "static/js/socket.js", "// Opens the socket.\nopen() {\n  later();\n}\n")


def test_finds_a_test_by_its_name_and_if_that_is_ambiguous_by_its_module() -> None:
    assert node_id(mutation("", fails="test_puts[1-a::b]")) == "tests/test_queue.py::test_puts[1-a::b]"
    assert node_id(mutation("", fails="test_rooms::test_gets")) == "tests/rooms/test_rooms.py::test_gets"
    for name in ("test_gets", "test_ends"):
        with pytest.raises(NoMatch):
            node_id(mutation("", fails=name))
