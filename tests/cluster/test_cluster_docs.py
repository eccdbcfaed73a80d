"""docs/cluster.md shows the job script that dask-jobqueue writes."""

import re
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).parents[2] / "docs/cluster.md").read_text()


def test_the_job_script_for_slurm_is_the_one_that_is_shown():
    code, script = re.findall(r"```(?:py|sh)\n(.*?)```", PAGE[PAGE.index("## SLURM") :], re.DOTALL)[:2]
    names: dict[str, Any] = {}
    exec(code.partition("cluster.adapt")[0], names)
    with names["cluster"] as cluster:
        written = re.sub(r"tcp://\S+", "tcp://10.0.0.5:8786", cluster.job_script())
    assert written.strip() == script.strip()
