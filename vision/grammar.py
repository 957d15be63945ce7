"""What a number plate of mainland China can say, place by place. Standard library and msgspec only.

Sources: GA 36-2018 (civil plates: ordinary, police, coach, trailer, embassy, consulate, Hong Kong and Macau, new
energy), the military plates in use since 2013, those of the Armed Police (WJ), and of fire and rescue (应急). Text has
no separators and is in capitals. What can be written on a plate is a table here; everything else follows from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, lru_cache

from msgspec import Struct

PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
DIGITS = "0123456789"
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
"""No I and no O: they would be read as 1 and 0 (GA 36-2018, 5.2)."""
OFFICES = LETTERS + "O"
"""The letter after the province; O is the authorities' own."""
NEW_ENERGY = "ABCDEFGHJK"
"""D and its successors A B C E: electric; F and its successors G H J K: other new energy."""
MILITARY = "VZKHEBSLJNGC"
"""First letter of a military plate: the service or command."""
_ANY = LETTERS + DIGITS


class Grammar(Struct, frozen=True, kw_only=True):
    """One kind of plate. `places`: what may stand in each place. `letters`: most letters in the serial, which is
    everything after the second place. `rows`: rows such plates may be printed in (2: the first two places above).
    """

    name: str
    places: tuple[str, ...]
    letters: int = 9
    rows: tuple[int, ...] = (1,)

    def begins(self, text: str) -> bool:
        """May a plate of this kind begin with `text`?"""
        return (
            len(text) <= len(self.places)
            and all(character in place for character, place in zip(text, self.places, strict=False))
            and sum(character in LETTERS for character in text[2:]) <= self.letters
        )

    def matches(self, text: str) -> bool:
        return len(text) == len(self.places) and self.begins(text)


def _marked(name: str, marks: str, office: str = OFFICES, rows: tuple[int, ...] = (1,)) -> Grammar:
    """Province, letter, four of letters and digits, and a use mark."""
    return Grammar(name=name, places=(PROVINCES, office, *[_ANY] * 4, marks), letters=2, rows=rows)


GRAMMARS = (
    Grammar(name="ordinary", places=(PROVINCES, OFFICES, *[_ANY] * 5), letters=2, rows=(1, 2)),
    Grammar(name="new_energy_small", places=(PROVINCES, LETTERS, NEW_ENERGY, _ANY, *[DIGITS] * 4), letters=2),
    Grammar(name="new_energy_large", places=(PROVINCES, LETTERS, *[DIGITS] * 5, NEW_ENERGY), letters=1),
    _marked("police", "警", rows=(1, 2)),
    _marked("coach", "学", rows=(1, 2)),
    _marked("trailer", "挂", rows=(1, 2)),
    _marked("hong_kong_macau", "港澳", "Z"),
    Grammar(name="embassy", places=(*[DIGITS] * 6, "使"), rows=(1, 2)),
    Grammar(name="embassy_2007", places=("使", *[DIGITS] * 6), rows=(1, 2)),
    Grammar(name="consulate", places=(PROVINCES, OFFICES, *[DIGITS] * 4, "领"), rows=(1, 2)),
    Grammar(name="consulate_2007", places=(PROVINCES, *[DIGITS] * 5, "领"), rows=(1, 2)),
    Grammar(name="consulate_short", places=(PROVINCES, *[DIGITS] * 4, "领"), rows=(1, 2)),
    Grammar(name="consulate_long", places=(PROVINCES, OFFICES, *[DIGITS] * 5, "领"), rows=(1, 2)),
    Grammar(name="military", places=(MILITARY, LETTERS, *[DIGITS] * 5), rows=(1, 2)),
    Grammar(name="armed_police", places=("W", "J", PROVINCES, *[DIGITS] * 4, _ANY), rows=(1, 2)),
    Grammar(name="armed_police_central", places=("W", "J", *[DIGITS] * 4, _ANY), rows=(1, 2)),
    Grammar(name="rescue", places=(PROVINCES, "XS", *[DIGITS] * 4, "应", "急")),
)
"""In order of how common they are: where two match, the first names the plate."""

ALPHABET = frozenset(character for grammar in GRAMMARS for place in grammar.places for character in place)
_SEPARATORS = re.compile(r"[^\w]|_")


def clean(text: str) -> str:
    """Without dots, spaces, dashes and brackets, in capitals."""
    return _SEPARATORS.sub("", text).upper()


def grammar_of(text: str) -> Grammar | None:
    """The kind of plate a text without separators is; None when no authority issues it."""
    return next((grammar for grammar in GRAMMARS if grammar.matches(text)), None)


def is_plate(text: str) -> bool:
    """Is this, without separators, a number plate of mainland China by its grammar?"""
    return grammar_of(text) is not None


@cache
def _next_of(grammar: Grammar, length: int, full: bool) -> frozenset[str]:
    """What may follow `length` characters; `full`: the serial has all the letters it may have."""
    if length == len(grammar.places):
        return frozenset()
    place = frozenset(grammar.places[length])
    return place - frozenset(LETTERS) if full and length >= 2 else place


@lru_cache(maxsize=4096)
def follow(prefix: str) -> frozenset[str]:
    """Every character that may come after `prefix` in some plate; empty at the end, or where nothing begins so."""
    letters = sum(character in LETTERS for character in prefix[2:])
    found: Iterable[frozenset[str]] = (
        _next_of(grammar, len(prefix), letters >= grammar.letters) for grammar in GRAMMARS if grammar.begins(prefix)
    )
    return frozenset().union(*found)


def place_says(plate: str, at: int) -> str:
    """In a few words, what may stand at `at` (from 0) of plates of this kind: for the trail of a repair."""
    grammar = grammar_of(plate)
    if grammar is None:
        return "no plate"
    place = frozenset(grammar.places[at])
    if place <= frozenset(PROVINCES):
        return "a province"
    if not place & frozenset(OFFICES + DIGITS):
        return "a use mark"
    if not place & frozenset(DIGITS):
        return "a letter"
    return "a digit" if not place & frozenset(LETTERS) else "a letter or digit, never I or O"
