"""The `binder/` folder, by the rules of repo2docker, and its steps in an environment of its own."""

import os
import re
import socket
import stat
import subprocess
import sysconfig
import time
import tomllib
import venv
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
BINDER = ROOT / "binder"
ALLOWED = {"environment.yml", "postBuild", "start", "apt.txt"}
RULED_OUT_BY_ENVIRONMENT_YML = {"requirements.txt", "Pipfile", "setup.py", "runtime.txt", "Dockerfile"}
CONDA_NAMES = {"pytorch-cpu": "torch", "matplotlib-base": "matplotlib"}


def environment() -> dict:
    return yaml.safe_load((BINDER / "environment.yml").read_text())


def requirements(lines: list[str]) -> dict[str, Requirement]:
    found = [Requirement(re.sub(r"(?<![<>=!~])=(?!=)", "==", line)) for line in lines]
    return {canonicalize_name(CONDA_NAMES.get(each.name, each.name)): each for each in found}


def test_the_folder_holds_one_environment_file_and_only_files_that_repo2docker_reads():
    names = {path.name for path in BINDER.iterdir()}
    assert "environment.yml" in names
    assert names <= ALLOWED
    assert not names & RULED_OUT_BY_ENVIRONMENT_YML
    assert not (ROOT / ".binder").exists()


def test_the_environment_names_only_public_channels_and_what_the_package_asks_for():
    assert set(environment()) == {"name", "channels", "dependencies"}
    assert environment()["channels"] == ["conda-forge"]
    ours = {
        canonicalize_name(each.name): each
        for each in map(Requirement, tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])
    }
    given = requirements(environment()["dependencies"])
    assert {"python", "torch"} <= given.keys()
    for name in given.keys() & ours.keys():
        assert given[name].specifier == ours[name].specifier, name


def test_post_build_can_be_executed_and_begins_with_its_interpreter():
    script = BINDER / "postBuild"
    assert script.stat().st_mode & stat.S_IXUSR
    assert script.read_text().startswith("#!/usr/bin/env bash\n")
    assert b"\r" not in script.read_bytes()


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """An environment in which `postBuild` has run; what `environment.yml` installs comes from this one."""
    folder = tmp_path_factory.mktemp("binder")
    venv.create(folder / "env", with_pip=True)
    packages = next((folder / "env").glob("lib/python*/site-packages"))
    (packages / "conda_part.pth").write_text(sysconfig.get_path("purelib") + "\n")
    path = f"{folder / 'env' / 'bin'}:{os.environ['PATH']}"
    home = folder / "home"
    home.mkdir()
    variables = {"PATH": path, "HOME": str(home), "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "")}
    variables |= {name: value for name, value in os.environ.items() if name.lower().startswith(("pip_", "npm_"))}
    done = subprocess.run(
        [BINDER / "postBuild"], cwd=ROOT, env={k: v for k, v in variables.items() if v}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return folder / "env"


def test_post_build_installs_the_package_with_its_front_end(built):
    code = "import nbgraph; print(nbgraph.__file__)"
    printed = subprocess.run([built / "bin" / "python", "-P", "-c", code], cwd=built, capture_output=True, text=True)
    home = Path(printed.stdout.strip()).parent
    assert home.is_relative_to(built), printed.stderr
    assert list(home.glob("widgets/static/*.js"))


def test_the_server_opens_the_first_notebook(built):
    with socket.create_server(("localhost", 0)) as taken:
        port = taken.getsockname()[1]
    options = ["--allow-root", "--no-browser", f"--port={port}", f"--ServerApp.root_dir={ROOT}"]
    command = [built / "bin" / "python", "-m", "jupyterlab", *options, "--IdentityProvider.token="]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        try:
            opened = urlsplit(address_of_first_page(f"http://localhost:{port}/")).path
        finally:
            server.terminate()
    assert opened.startswith("/lab/tree/")
    assert (ROOT / opened.removeprefix("/lab/tree/")).is_file()


def address_of_first_page(url: str, patience: float = 60) -> str:
    """Where a server that is still starting sends its visitor."""
    deadline = time.monotonic() + patience
    while True:
        try:
            with urlopen(url) as page:
                return page.url
        except URLError:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.2)
