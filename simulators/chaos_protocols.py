"""What a chaos run speaks besides native, by protocol."""

from __future__ import annotations

from simulators.chaos_records import RECORDS
from simulators.chaos_states import STATES
from simulators.chaos_words import Words

WORDS: dict[str, Words] = {words.protocol: words for words in (*RECORDS, *STATES)}
