"""What the documentation says of the tree is so."""

import re

import pytest

from tests import module_tables
from tests.module_tables import ARCHITECTURE, MODULES, ROOT, packages

README = (ROOT / "README.md").read_text()
HINT = "run `python -m tests.module_tables`"


def test_the_tables_of_packages_and_modules_are_those_of_the_tree() -> None:
    page = ARCHITECTURE.read_text()
    assert page == module_tables.architecture(page), HINT
    assert MODULES.read_text() == module_tables.module_page(), HINT


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(file.relative_to(ROOT))
        for package in packages()
        for file in (package / "__init__.py", *module_tables.modules(package))
        if not module_tables.sentence(file)
    ]
    assert not silent


def test_the_tree_in_the_readme_has_every_package_and_no_other() -> None:
    tree = README.partition("## The tree")[2].partition("```\n")[2].partition("```")[0]
    named, folder = set(), {0: ""}
    for line in tree.splitlines():
        if match := re.match(r"( *)([\w/]+)/ ", line):
            depth = len(match[1])
            folder[depth] = folder.get(depth - 2, "") + f"{match[2]}/" if depth else f"{match[2]}/"
            named.add(folder[depth])
    there = {f"{package.relative_to(ROOT)}/" for package in packages()}
    assert named >= there, f"not in the README: {sorted(there - named)}"
    missing = [name for name in named if not (ROOT / name).is_dir()]
    assert not missing, f"only in the README: {missing}"


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_links_and_paths_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)
    assert not [link for link in links if not ((ROOT / page).parent / link).exists()]
    paths = re.findall(
        r"`((?:contract|deployments|export|modelserver|bench|tests|docs|cluster)/[\w./]+)`", text
    )
    made_here = ("bench/results/",)
    assert not [path for path in paths if not path.startswith(made_here) and not (ROOT / path).exists()]
