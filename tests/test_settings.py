"""Settings: what is unknown or not taken is refused, wherever it was given."""

import pytest

from nbgraph.config import Settings
from nbgraph.errors import SettingsError


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        (
            "NBGRAPH_MODEL_FOLDERS",
            "/tmp",
            r"cannot be '/tmp': write a list as JSON, \[\"/tmp\"\] \(folders with models",
        ),
        ("NBGRAPH_MODEL_FOLDERS", "5", "cannot be 5: input should be a valid list"),
        ("NBGRAPH_CACHE_ENTRIES", "abc", r"cannot be 'abc': input should be a valid integer.*\(invocation cache: "),
        ("NBGRAPH_BATCH_SIZE", "0", "cannot be '0': input should be greater than or equal to 1"),
    ],
)
def test_a_bad_environment_variable_is_named_with_what_it_takes(monkeypatch, variable, value, said):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"^{variable} {said}"):
        Settings()


def test_folders_in_the_environment_are_a_list_as_json(monkeypatch, tmp_path):
    monkeypatch.setenv("NBGRAPH_MODEL_FOLDERS", f'["{tmp_path}"]')
    assert Settings().model_folders == [tmp_path]


def test_a_misspelt_setting_is_told_the_near_one():
    with pytest.raises(SettingsError, match="there is no setting 'devise'; did you mean 'device'"):
        Settings(devise="cpu")  # pyright: ignore[reportCallIssue]


def test_a_bad_value_is_told_under_the_name_it_was_given_by():
    with pytest.raises(SettingsError, match="^cache_bytes cannot be 'x': .*; batch_size cannot be 0: "):
        Settings(batch_size=0, cache_bytes="x")  # pyright: ignore[reportArgumentType]


def test_variables_of_other_programs_and_other_lines_of_the_env_file_are_no_matter(monkeypatch, tmp_path):
    monkeypatch.setenv("NBGRAPH_DEVISE", "cpu")
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("OTHER=1\nNBGRAPH_BATCH_SIZE=3\n")
    assert Settings().batch_size == 3
