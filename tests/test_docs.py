"""What the documentation shows runs as it stands there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")) if "```python" in page.read_text("utf-8")
)
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
@pytest.mark.filterwarnings("ignore::peephole.tasks.EchoWarning")  # after three epochs there may be nothing better
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = FENCE.findall(page.read_text("utf-8"))
    exec(compile("\n".join(blocks), str(page), "exec"), {})


LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(page: str) -> None:
    missing = [link for link in LINK.findall((ROOT / page).read_text("utf-8")) if not (ROOT / link).exists()]
    assert not missing


def test_every_dependency_is_pinned_and_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    groups = [project["project"]["dependencies"], project["build-system"]["requires"]]
    groups += list(project["project"]["optional-dependencies"].values())
    names = {re.split(r"[<>=]", requirement)[0] for group in groups for requirement in group}
    pinned = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()}
    described = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    assert not {name for name in names if f" {name}" not in described}
    not_built_yet = {"fastapi", "uvicorn", "ray"}
    assert names - pinned - not_built_yet == set()
