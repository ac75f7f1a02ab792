"""The programs in `docs/scaling.md` are found, whether or not their frameworks are installed."""

from __future__ import annotations

import pytest

from tests.scaling import recipes


def test_a_program_is_found_under_its_heading_alone(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: object) -> None:
    page = "### A\n\ntext\n\n### B\n\n```py\nvalue = 3\n```\n"
    monkeypatch.setattr(recipes, "PAGE", type("Page", (), {"name": "p.md", "read_text": lambda self, encoding: page})())
    assert recipes.recipe("B")["value"] == 3
    with pytest.raises(LookupError, match=r"p\.md has no program under 'A'"):
        recipes.recipe("A")


@pytest.mark.skipif(not recipes.PAGE.is_file(), reason="the sources are not beside the tests")
def test_the_recipe_for_dask_needs_no_dask() -> None:
    assert callable(recipes.recipe("Dask")["infer"])
