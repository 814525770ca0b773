"""Writes the tables of packages and modules in docs/ from docstrings: `python -m tests.module_tables`."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOPS = ("contract", "deployments", "export", "modelserver", "bench")
ARCHITECTURE = ROOT / "docs/architecture.md"
MODULES = ROOT / "docs/modules.md"
BEGIN, END = "<!-- packages: written by python -m tests.module_tables -->\n", "<!-- end of packages -->\n"


def packages() -> Iterator[Path]:
    """The packages, a folder before those in it."""
    for top in TOPS:
        yield from sorted(path.parent for path in (ROOT / top).rglob("__init__.py"))


def modules(package: Path) -> list[Path]:
    return sorted(path for path in package.glob("*.py") if path.name != "__init__.py")


def sentence(file: Path) -> str:
    """The docstring's first line, as a table's cell."""
    docstring = ast.get_docstring(ast.parse(file.read_text())) or ""
    return docstring.partition("\n")[0].removesuffix(" Pure.").replace("|", "\\|")


def package_table() -> str:
    rows = [
        f"| `{_name(package)}` | {sentence(package / '__init__.py')} | "
        f"{', '.join(f'`{module.stem}`' for module in modules(package))} |"
        for package in packages()
    ]
    return "\n".join(["| package | what it holds | modules |", "| --- | --- | --- |", *rows]) + "\n"


def module_page() -> str:
    parts = [
        "# Modules",
        "One line for every module, from its docstring: written by `python -m tests.module_tables`, and held "
        "against the tree by a test. [architecture.md](architecture.md) says how they work together.",
    ]
    for package in packages():
        parts.append(f"## {_name(package)}\n{sentence(package / '__init__.py')}")
        rows = [f"| `{module.stem}` | {sentence(module)} |" for module in modules(package)]
        if rows:
            parts.append("\n".join(["| module | role |", "| --- | --- |", *rows]))
    return "\n\n".join(parts) + "\n"


def architecture(page: str) -> str:
    """`page` with its table of packages as the tree has it."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{package_table()}{END}{after}"


def _name(package: Path) -> str:
    return f"{package.relative_to(ROOT)}/"


if __name__ == "__main__":
    MODULES.write_text(module_page())
    ARCHITECTURE.write_text(architecture(ARCHITECTURE.read_text()))
