"""Settings come from the environment and the command line, and a wrong one is named."""

from __future__ import annotations

import pytest

from streams.settings import Settings, SettingsError, load_settings


def test_the_command_line_wins_over_the_environment() -> None:
    """Later sources win; text becomes numbers and booleans."""
    environment = {
        "FOREWARN_BROKER": "a:1",
        "FOREWARN_COMMIT_INTERVAL_MS": "50",
        "FOREWARN_UNTIL_END": "true",
    }
    settings = load_settings(environment, {"broker": "b:2"})

    assert (settings.broker, settings.commit_interval_ms, settings.until_end) == ("b:2", 50, True)


def test_defaults_hold_without_anything() -> None:
    """No variable is needed."""
    assert load_settings({}) == Settings()


def test_variables_of_others_are_left_alone() -> None:
    """Only the names of settings are read."""
    assert load_settings({"FOREWARN_SOMETHING_ELSE": "1", "HOME": "/"}) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("FOREWARN_COMMIT_INTERVAL_MS", "soon", "commit_interval_ms"),
        ("FOREWARN_COMMIT_INTERVAL_MS", "0", "commit_interval_ms"),
        ("FOREWARN_TOPIC_PREFIX", "no spaces", "topic_prefix"),
        ("FOREWARN_CLOCK", "sundial", "clock"),
        ("FOREWARN_HEARTBEAT_INTERVAL_MS", "10000", "session_timeout_ms"),
    ],
)
def test_a_value_that_does_not_fit_is_named(name: str, value: str, said: str) -> None:
    """The message names the setting."""
    with pytest.raises(SettingsError, match=said):
        load_settings({name: value})


def test_an_unknown_name_on_the_command_line_names_the_nearest() -> None:
    """A slip of the pen is not silently ignored."""
    with pytest.raises(SettingsError, match="did you mean broker"):
        load_settings({}, {"brokr": "x"})
