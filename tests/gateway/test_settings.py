"""Settings are checked whole before anything starts, and an error names the setting."""

from pathlib import Path

import pytest

from gateway.settings import Settings, SettingsError, load

DEPLOYED = Path(__file__).resolve().parents[2] / "deploy" / "linli.toml"


def written(folder: Path, text: str) -> Path:
    path = folder / "linli.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_everything_has_a_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LINLI_CONFIG", raising=False)
    assert load() == Settings()


def test_the_deployed_example_is_valid() -> None:
    settings = load(DEPLOYED)
    assert (settings.data_dir, settings.mqtt.listen) == ("/var/lib/linli", "0.0.0.0:1883")


def test_a_named_file_that_is_missing_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINLI_CONFIG", str(tmp_path / "nowhere.toml"))
    with pytest.raises(SettingsError, match=r"nowhere\.toml: there is no such settings file"):
        load()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data_dir = ", "not readable as TOML"),
        ("colour = 'red'", "colour"),
        ("[mqtt]\nlisten_to = 'x'", "listen_to"),
        ("[faces]\nthreshold = 2.0", r"faces\.threshold"),
        ("[http]\nport = 'eighty'", r"http\.port"),
        ("[http]\nport = 70000", r"http\.port"),
        ("zone = 'Mars/Base'", "Mars/Base"),
        ("[mqtt]\nsync = 'sometimes'", r"mqtt\.sync"),
        ("[faces]\nengine = 'magic'", r"faces\.engine"),
        ("[retention]\nevents_days = -1", r"retention\.events_days"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load(written(tmp_path, text))


def test_overrides_are_merged_section_by_section(tmp_path: Path) -> None:
    path = written(tmp_path, "[http]\nhost = '0.0.0.0'\nport = 1")
    assert load(path, {"http": {"port": 2}}).http == Settings().http.__class__(host="0.0.0.0", port=2)


def test_a_command_thingsboard_may_send_has_to_exist(tmp_path: Path) -> None:
    file = tmp_path / "linli.toml"
    file.write_text('[thingsboard]\ncommands = ["open_sesame"]', encoding="utf-8")
    with pytest.raises(SettingsError, match=r"thingsboard\.commands: there is no 'open_sesame'"):
        load(file)
