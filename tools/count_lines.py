"""Lines of code of the package: without blanks, comments, docstrings and imports. count_lines.py [FOLDER]"""

from __future__ import annotations

import ast
import pathlib
import sys
import tokenize


def code_lines(path: pathlib.Path) -> int:
    """Return how many lines of a file hold code that is neither docstring nor import."""
    with tokenize.open(path) as stream:
        text = stream.read()
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING}
    lines: set[int] = set()
    with path.open("rb") as stream:
        for token in tokenize.tokenize(stream.readline):
            if token.type not in skipped and token.type != tokenize.ENDMARKER:
                lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        is_text = (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        )
        if is_text or isinstance(node, ast.Import | ast.ImportFrom):
            lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def main(folder: pathlib.Path) -> None:
    """Print the lines of each folder of the package, and the part of commands and reports."""
    by_folder: dict[str, int] = {}
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder).parts[0] if path.parent != folder else "."
        by_folder[name] = by_folder.get(name, 0) + code_lines(path)
    total = sum(by_folder.values())
    for name, count in sorted(by_folder.items(), key=lambda item: -item[1]):
        print(f"{name:14}{count:7}")
    shown = by_folder.get("cli", 0) + by_folder.get("report", 0)
    print(f"{'all':14}{total:7}\ncli + report {100 * shown / total:.1f} %")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "aiida_siox"))
