"""Every family module is listed, and has the names that every family has."""

from pathlib import Path

import pytest

from export.hf import families
from export.hf.families import FAMILIES, MODULES

SHARED = {"__init__", "parts", "windows"}


def test_the_list_names_every_family_module_in_alphabetical_order() -> None:
    assert isinstance(families.__file__, str)
    modules = {path.stem for path in Path(families.__file__).parent.glob("*.py")}
    assert list(MODULES) == sorted(modules - SHARED)
    assert len(FAMILIES) == len(MODULES)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_every_family_has_the_same_names(model_type: str) -> None:
    family = FAMILIES[model_type]
    assert model_type == family.MODEL_TYPE
    assert isinstance(family.PREFIX, str)
    assert isinstance(family.NOT_WEIGHTS, tuple)
    assert all(callable(each) for each in (family.context, family.describe, family.sources))
