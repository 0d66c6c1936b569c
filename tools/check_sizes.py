"""Hold the house rule on sizes: a module has at most 400 lines, a function 40 beside its docstring."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

MODULE_LINES = 400
FUNCTION_LINES = 40
FOLDERS = ("src", "tests", "benchmarks", "tools")


def oversized(path: Path) -> Iterator[str]:
    """Every breach of the rule in one file, as `path:line: what`."""
    text = path.read_text(encoding="utf-8")
    lines = len(text.splitlines())
    if lines > MODULE_LINES:
        yield f"{path}:1: {lines} lines, at most {MODULE_LINES} make a module"
    for node in ast.walk(ast.parse(text, str(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = function_length(node)
            if length > FUNCTION_LINES:
                yield f"{path}:{node.lineno}: {node.name} has {length} lines, at most {FUNCTION_LINES}"


def function_length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end, less the docstring."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node, clean=False) is not None:
        docstring = node.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


def main() -> int:
    """Print every breach; the exit code is 1 when there is one."""
    paths = sorted(
        path for folder in FOLDERS for path in Path(folder).rglob("*.py") if "node_modules" not in path.parts
    )
    breaches = [breach for path in paths for breach in oversized(path)]
    print("\n".join(breaches) if breaches else f"Sizes: {len(paths)} modules within the limits")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
