"""docs/cluster.md shows the job script that dask-jobqueue writes."""

import re
from pathlib import Path

from tests.processes import run_python

PAGE = (Path(__file__).parents[2] / "docs/cluster.md").read_text()


def test_the_job_script_for_slurm_is_the_one_that_is_shown(tmp_path: Path) -> None:
    code, script = re.findall(r"```(?:py|sh)\n(.*?)```", PAGE[PAGE.index("## SLURM") :], re.DOTALL)[:2]
    write = "with cluster:\n    print(cluster.job_script())\n"
    # in a process of its own: the package replaces what an interrupt does in the one that imports it
    ended = run_python("-c", code.partition("cluster.adapt")[0] + write, cwd=tmp_path)
    assert re.sub(r"tcp://\S+", "tcp://10.0.0.5:8786", ended.stdout).strip() == script.strip(), ended.stderr
