"""Settings: what an operator may decide, where each value came from, and what is wrong with a bad one.

`table` is the one list of all settings; environment names, TOML keys, flags, help texts and the reference
are derived from it. A value given as text is read by its `kinds` entry. `sources` collects what the TOML
file, the environment and the flags give, later ones winning, into one frozen `Settings`; `checks` judges
those that depend on each other. Whatever is wrong raises `SettingsError` with one readable line. The parts
of the server never see `Settings`: the composition root hands them plain values.
"""

from hubbub.settings.kinds import LONGEST, Rate, SettingsError, duration_text, parse_duration
from hubbub.settings.reference import Described, describe, reference
from hubbub.settings.secret import load_or_create_secret, made_secret, signing_secret
from hubbub.settings.sources import DEVELOPMENT, load_settings
from hubbub.settings.table import ROWS, Row, Settings

__all__ = [
    "DEVELOPMENT",
    "LONGEST",
    "ROWS",
    "Described",
    "Rate",
    "Row",
    "Settings",
    "SettingsError",
    "describe",
    "duration_text",
    "load_or_create_secret",
    "load_settings",
    "made_secret",
    "parse_duration",
    "reference",
    "signing_secret",
]
