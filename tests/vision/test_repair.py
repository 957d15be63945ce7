import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision import ctc
from vision.grammar import is_plate
from vision.repair import trail

CHARACTERS = ["", *"沪浙AO0DQ8B12345警"]
texts = st.text("沪A0O18B", max_size=9)


def steps(*seen: dict[str, float]) -> np.ndarray:
    """One step per character seen, each followed by a blank; what is not named shares nothing."""
    rows = []
    for probabilities in seen:
        row = np.zeros(len(CHARACTERS), np.float32)
        for character, probability in probabilities.items():
            row[CHARACTERS.index(character)] = probability
        row[0] = max(0.0, 1 - sum(probabilities.values()))
        blank = np.zeros_like(row)
        blank[0] = 1
        rows += [row, row, blank]
    return np.array(rows)


def certain(text: str) -> list[dict[str, float]]:
    return [{character: 0.99} for character in text]


@given(texts, texts)
def test_the_trail_leads_from_what_was_read_to_the_plate(read: str, plate: str) -> None:
    changes = trail(read, plate, because="a test")
    assert (changes == ()) == (read == plate)
    rebuilt = len(read) + sum(not c.was for c in changes) - sum(not c.now for c in changes)
    assert rebuilt == len(plate)
    assert all(c.now == plate[c.at : c.at + 1] for c in changes if c.now)


def test_a_letter_o_is_a_zero_and_the_trail_says_why() -> None:
    (change,) = trail("沪A12O45", "沪A12045")
    assert (change.at, change.was, change.now) == (4, "O", "0")
    assert change.why == "O→0 at 5: letters O and I do not occur"


def test_a_lost_province_and_a_character_too_many_are_told() -> None:
    assert trail("A12345", "沪A12345")[0].why == "nothing→沪 at 1: a province stands there"
    assert trail("沪A123451", "沪A12345")[0].why.startswith("1 dropped at 8")


def test_a_reader_that_is_right_is_not_overruled() -> None:
    spelt = ctc.plate(steps(*certain("沪A12345")), CHARACTERS)
    assert spelt is not None
    assert spelt.text == "沪A12345" == ctc.greedy(steps(*certain("沪A12345")), CHARACTERS).text
    assert spelt.confidences == pytest.approx([0.99] * 7)


def test_the_grammar_chooses_among_what_the_reader_saw() -> None:
    seen = [*certain("沪A12"), {"O": 0.6, "0": 0.3}, *certain("45")]
    assert ctc.greedy(steps(*seen), CHARACTERS).text == "沪A12O45"
    spelt = ctc.plate(steps(*seen), CHARACTERS)
    assert spelt is not None
    assert spelt.text == "沪A12045"
    assert spelt.confidences[4] == pytest.approx(0.3)
    assert ctc.alternatives(steps(*seen), CHARACTERS, spelt)[4] == (("O", 0.6),)


def test_a_digit_read_where_the_office_letter_stands_gives_way() -> None:
    spelt = ctc.plate(steps(*certain("沪"), {"0": 0.7, "D": 0.2}, *certain("12345")), CHARACTERS)
    assert spelt is not None
    assert spelt.text == "沪D12345"


def test_the_same_character_twice_is_not_swallowed() -> None:
    spelt = ctc.plate(steps(*certain("沪A11888")), CHARACTERS)
    assert spelt is not None
    assert spelt.text == "沪A11888"


def test_all_eight_characters_of_a_new_energy_plate_are_kept() -> None:
    spelt = ctc.plate(steps(*certain("沪AD12345")), CHARACTERS)
    assert spelt is not None
    assert spelt.text == "沪AD12345"


def test_a_line_that_spells_no_plate_gives_none() -> None:
    assert ctc.plate(steps(*certain("警警")), CHARACTERS) is None


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_whatever_is_decoded_is_a_plate_with_a_figure_for_each_character(seed: int, length: int) -> None:
    rows = np.random.default_rng(seed).dirichlet([0.2] * len(CHARACTERS), length).astype(np.float32)
    spelt = ctc.plate(rows, CHARACTERS)
    if spelt:
        assert is_plate(spelt.text)
        assert len(spelt.text) == len(spelt.confidences) == len(spelt.steps)
        assert all(0 <= p <= 1 for p in spelt.confidences)
        assert list(spelt.steps) == sorted(spelt.steps)
