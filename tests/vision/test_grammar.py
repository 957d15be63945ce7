import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.grammar import ALPHABET, GRAMMARS, clean, follow, grammar_of, is_plate, place_says


@pytest.mark.parametrize(
    "plate",
    [
        "沪A12345",
        "京AB1234",
        "粤B1C2D3",
        "粤Z1234港",
        "粤Z1234澳",
        "川A1234学",
        "浙A1234警",
        "沪AD12345",
        "沪A12345D",
        "粤BF1234",
        "粤BDA1234",
        "鲁B1234挂",
        "京O12345",
        "沪A0012领",
        "014578使",
    ],
)
def test_plates_of_every_kind_are_valid(plate: str) -> None:
    assert is_plate(plate)


@pytest.mark.parametrize(
    "text",
    ["", "AB1234", "沪112345", "沪A1234", "沪A1234I", "沪A123456", "沪ABCDEF", "沪AD1234D5", "港A12345", "沪A12学45"],
)
def test_what_no_authority_issues_is_not_valid(text: str) -> None:
    assert not is_plate(text)


@given(st.text(max_size=12))
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert clean(clean(text)) == clean(text)


def test_separators_go_and_letters_are_capitals() -> None:
    assert clean(" 沪a·12-3 4.5_") == "沪A12345"


def plates() -> st.SearchStrategy[str]:
    """Any text some grammar allows, place by place, the bound on letters aside."""
    return st.sampled_from(GRAMMARS).flatmap(
        lambda grammar: st.tuples(*(st.sampled_from(place) for place in grammar.places)).map("".join)
    )


@given(plates().filter(is_plate))
def test_every_plate_can_be_spelt_by_following_its_beginnings(plate: str) -> None:
    assert all(plate[at] in follow(plate[:at]) for at in range(len(plate)))


@given(st.text(sorted(ALPHABET), max_size=9))
def test_what_follows_nothing_is_no_beginning(text: str) -> None:
    spelt = all(text[at] in follow(text[:at]) for at in range(len(text)))
    assert spelt == (any(grammar.begins(text) for grammar in GRAMMARS) or not text)


@pytest.mark.parametrize(
    ("plate", "name"),
    [
        ("沪A12345", "ordinary"),
        ("沪AD12345", "new_energy_small"),
        ("沪A12345D", "new_energy_large"),
        ("浙A1234警", "police"),
        ("鲁B1234挂", "trailer"),
        ("粤Z1234港", "hong_kong_macau"),
        ("014578使", "embassy"),
        ("使014578", "embassy_2007"),
        ("VA12345", "military"),
        ("WJ京12345", "armed_police"),
        ("WJ12345", "armed_police_central"),
        ("川X1234应急", "rescue"),
    ],
)
def test_a_plate_is_named_by_its_grammar(plate: str, name: str) -> None:
    found = grammar_of(plate)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("text", ["VA1234", "MA12345", "WJ港12345", "粤A1234港", "川X1234应", "沪ABCD12"])
def test_what_only_resembles_a_special_plate_is_none(text: str) -> None:
    assert grammar_of(text) is None


@pytest.mark.parametrize(
    ("text", "at", "says"),
    [
        ("沪A12345", 0, "a province"),
        ("沪A12345", 1, "a letter"),
        ("沪A12345", 2, "a letter or digit, never I or O"),
        ("沪AD12345", 7, "a digit"),
        ("014578使", 6, "a use mark"),
    ],
)
def test_a_place_says_in_words_what_may_stand_there(text: str, at: int, says: str) -> None:
    assert place_says(text, at) == says
