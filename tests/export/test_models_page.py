"""The example and the table of families in docs/models.md agree with the code."""

import re
from pathlib import Path

from export.hf.families import FAMILIES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/models.md").read_text()


def test_the_family_that_the_page_adds_is_one_of_those_that_are_tested() -> None:
    (code,) = re.findall(r'```python\n(""".*?)```', PAGE, re.DOTALL)
    assert code == (ROOT / "export/hf/families/olmo.py").read_text()
    assert "olmo" in FAMILIES


def test_every_family_stands_in_the_table() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert listed == sorted(FAMILIES)
