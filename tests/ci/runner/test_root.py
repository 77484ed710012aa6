"""The root pipeline on the recorded GitLab: it generates the child pipelines, starts one, and publishes its reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ci.runner.site import ROOT, site
from tests.ci.runner.test_life import MERGE_REQUEST, files_of, stages_of
from tests.needs import need

pytestmark = [pytest.mark.needs("components"), pytest.mark.slow, pytest.mark.long]


def test_the_root_pipeline_starts_a_child_and_publishes_its_reports(tmp_path: Path) -> None:
    with site("local/workstation", tmp_path, need("components")) as here:
        text = (ROOT / ".gitlab-ci.yml").read_text()
        root = here.finish(here.start(text, {**MERGE_REQUEST, "SITES": "local/workstation"}))
        assert root.results == {"generate": "success", "local-workstation": "success", "junit": "success"}, {
            name: job.log for name, job in root.jobs.items()
        }
        child = root.jobs["local-workstation"].child
        assert child is not None
        assert set(child.results.values()) == {"success"}
        assert stages_of(child)["smoke"] == ("pass", "2 pass")
        published = files_of(root.jobs["junit"])
        assert {
            f"results/local-workstation/{stage}/stage.xml" for stage in ("setup", "install", "control", "smoke")
        } <= set(published)
        (report,) = (name for name in published if "/smoke/" in name and name.endswith("junit.xml"))
        assert b"psij/quick@local" in published[report]
        assert set(root.jobs["junit"].artifacts) == {"archive", "junit"}
