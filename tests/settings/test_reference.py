"""The settings page and the table of settings say the same."""

from pathlib import Path

from hubbub.settings import ROWS, reference

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_holds_the_table() -> None:
    """`docs/settings.md` ends with the reference as the code has it; when it does not, paste this one in."""
    assert PAGE.read_text().endswith("\n\n" + reference())


def test_every_row_can_be_explained() -> None:
    """Names that can be typed, and a meaning in one line for each."""
    for row in ROWS.values():
        assert row.flag.removeprefix("--").replace("-", "").isalpha()
        assert row.environment.removeprefix("HUBBUB_").replace("_", "").isalpha()
        assert row.about[0].isupper()
        assert "\n" not in row.about + row.kind.wanted
        assert not row.about.endswith(".")
