"""Names that look alike."""

import disarm
import pytest

from oasst.core.text.lookalikes import SKELETON_LIMIT, impersonates_staff, skeleton

ALIKE = [
    ("Alice", "\u0410lice"),  # a Cyrillic A
    ("Alice", "ALICE"),
    ("Alice", "A1ice"),
    ("Alice", "AIice"),  # a capital I
    ("Alice", "Al\u0131ce"),  # without its dot
    ("Alice", "\uff21lice"),
    ("Alice", "\U0001d400lice"),
    ("Alice", "Al\u200bice"),
    ("Alice", "Ali\u034fce"),
    ("Alice", "Alice\u3164"),
    *(("Ada", f"A{one}da{one}") for one in ("\u17b4", "\u17b5", "\u180b", "\u180f", "\u2065", "\ufff0", "\ufff8")),
    *(("Ada", f"Ada{one}") for one in ("\U000e0080", "\U000e0100", "\U000e0fff", "\U0001bca0", "\U0001d173")),
    ("Jane Doe", "Jane\u00a0\u2003Doe"),
    ("paypal", "\u0440\u0430\u0443\u0440\u0430\u04cf"),
    ("modern", "rnodern"),
    ("Stra\u00dfe", "STRASSE"),
    ("\u0418\u0432\u0430\u043d", "\u0418\u0412\u0410\u041d"),
    ("istanbul", "\u0130STANBUL"),
    ("Jane Doe", "JaneDoe"),
    ("modern", "moder n"),
    ("Dana (demo)", "Dana(demo)"),
    ("Dana (demo)", "dana (demo)."),
    ("O'Neil", "O\u2019Neil"),
]
DIFFERENT = [
    ("Jos\u00e9", "Jose"),
    ("Alice", "Alicia"),
    ("\u674e\u660e", "\u674e\u5a1c"),
    ("\U0001f389", "\U0001f38a"),
    ("Dana", "Dana (demo)"),
    ("???", "!!!"),
    ("\ue000", "\ue001"),  # which the library does not know
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_alike(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other) != ""


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different(one: str, other: str) -> None:
    assert "" != skeleton(one) != skeleton(other) != ""


@pytest.mark.parametrize("name", [one for pair in (*ALIKE, *DIFFERENT) for one in pair])
def test_the_skeleton_of_a_skeleton(name: str) -> None:
    assert skeleton(skeleton(name)) == skeleton(name)


def test_the_longest_name_fits_its_column() -> None:
    assert len(skeleton("\ufdfa" * 256)) == SKELETON_LIMIT
    assert skeleton("") == ""


@pytest.mark.parametrize(
    "name", ["\u0410dmin", "\U0001f1e6dmin", "Admin \U0001f6e1\ufe0f", "Mo \u2713 moderator", "Op\u0435n Assistant"]
)
def test_the_house(name: str) -> None:
    assert impersonates_staff(name)


@pytest.mark.parametrize(
    "name",
    [
        "admin1",
        "1admin",
        "Admin_2",
        "m0d3",
        "staff 007",
        "ad\u043cin\u0661",
        "Модератор",
        "АДМИНИСТРАТОР",
        "Administrador",
        "Modérateur",
        "Moderatorin",
        "Amministratore",
        "Administratör",
        "管理员",
        "小王管理员",
        "관리자",
        "管理者",
        "مدير",
        "Διαχειριστής",
        "व्यवस्थापक",
    ],
)
def test_the_house_with_a_number_and_in_other_languages(name: str) -> None:
    assert impersonates_staff(name)


@pytest.mark.parametrize(
    "name",
    [
        "Pervez مشرف",
        "Moderato",
        "Admiral",
        "Adriana",
        "Modena 3",
        "R2D2",
        "Agent 007",
        "Joan Root 2",
        "4711",
        "Мария",
        "Модест",
        "出版主任",
        "王小明",
        "김관리",
        "Supporter",
        "Dimitri",
        "Massimo",
    ],
)
def test_honest_names(name: str) -> None:
    assert not impersonates_staff(name)


def test_the_tables_are_those_with_which_names_were_stored() -> None:
    """Another version of the library may give other skeletons, and then needs a migration that recomputes all of them
    (docs/decisions/0078) and new values here.
    """
    assert (disarm.CONFUSABLES_VERSION, disarm.KEY_SCHEMA_VERSION) == ("17.0.0", 10)
