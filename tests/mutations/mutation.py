"""One mutation: a small change to the product's code, and the test that must fail because of it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """Names its code by syntax, so that a mutation survives new comments, new line breaks and moved modules.

    Python: `of` is the qualified name of a function, class or variable (`Runner.stop`), after the module's name if it
    is not unique (`runner.stop`), or the name of a module. `remove` is code there that is removed: statements, elements
    of a list, operands of `and` or `or`, arguments of a call. `replace` is code that is replaced by `by`.
    Other files: `of` is the end of the path (`socket.js`, `docker-compose.yml`); `replace` may be any part of the text.

    The code must occur exactly once. `fails` is the name of the test, with its parameters, and after the name of its
    module if it is not unique (`test_feed::test_…`).
    """

    fault: str
    of: str
    remove: str = ""
    replace: str = ""
    by: str = ""
    fails: str
