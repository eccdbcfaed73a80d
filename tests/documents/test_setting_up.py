"""What `make` says and makes before the first picture, and the versions it asks for."""

import os
import re
import stat
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import nbgraph

ROOT = Path(__file__).parents[2]
PINS = [Requirement(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line]
OLD_PYTHON = f"""\
#!/bin/sh
exec "{sys.executable}" -c 'import sys; sys.version_info = (3, 10, 13); exec(sys.argv[1])' "$2"
"""


def install(venv: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The step of the Makefile that makes the environment; no package index is asked."""
    command = ["make", f"VENV={venv}", f"{venv}/.installed", *(f"{name}={value}" for name, value in variables.items())]
    offline = os.environ | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}
    return subprocess.run(command, cwd=ROOT, env=offline, capture_output=True, text=True)


def test_a_python_that_is_too_old_is_named_and_leaves_nothing_behind(tmp_path):
    old = tmp_path / "python3.10"
    old.write_text(OLD_PYTHON)
    old.chmod(old.stat().st_mode | stat.S_IXUSR)
    done = install(tmp_path / "venv", PYTHON=str(old))
    assert done.returncode != 0
    assert f"nbgraph needs Python 3.11 or newer, which '{old}' is not" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_an_environment_that_was_left_without_pip_is_made_anew(tmp_path):
    """As Debian leaves one where python3-venv is missing."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    install(tmp_path / "venv", PYTHON=sys.executable)
    subprocess.run([tmp_path / "venv/bin/python", "-m", "pip", "--version"], check=True, capture_output=True)


def oldest_python() -> Version:
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    return Version(asked.removeprefix(">=") + ".0")


def asked_python(pin: Requirement) -> SpecifierSet:
    """What the installed version of a pinned package asks for; nothing if it is not installed, as what builds is."""
    try:
        return SpecifierSet(distribution(pin.name).metadata.get("Requires-Python") or "")
    except PackageNotFoundError:
        return SpecifierSet("")


def test_every_pinned_version_may_be_installed_on_the_oldest_python():
    asked = {pin.name: asked_python(pin) for pin in PINS}
    assert asked["torch"]
    assert {name: str(versions) for name, versions in asked.items() if oldest_python() not in versions} == {}


def test_what_the_readme_links_to_is_in_the_source_distribution():
    included = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["sdist"]
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text())
    assert {Path(link).parts[0] for link in links} <= set(included["include"])


def test_type_checkers_are_told_that_the_package_has_types():
    assert (Path(nbgraph.__file__).parent / "py.typed").is_file()


def test_no_two_files_of_tests_have_the_same_name():
    """As folders of tests are no packages, plain `pytest` would refuse the second one."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
