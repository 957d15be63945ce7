"""Labelled images for measuring: a CSV of paths and truths."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

Progress = Callable[[Iterable[tuple[Path, str]]], Iterable[tuple[Path, str]]]
"""Passes the images through, showing how far we are."""


class LabelsError(Exception):
    """The labels are missing, or not what they should be; the message says which file and what."""


def read_labels(labels: Path, column: str) -> list[tuple[Path, str]]:
    """Rows of a CSV with the columns `file` (relative to the CSV) and `column`. Raises LabelsError."""
    try:
        with labels.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LabelsError(f"{labels}: {error}") from error
    if not rows or not {"file", column} <= rows[0].keys():
        raise LabelsError(f"{labels}: needs the columns file,{column} and at least one row")
    found = [(labels.parent / row["file"], row[column] or "") for row in rows]
    if missing := [image for image, _ in found if not image.is_file()]:
        raise LabelsError(f"{labels}: {len(missing)} images are missing, the first is {missing[0]}")
    return found


T = TypeVar("T")


def timed(look: Callable[[bytes], T], image: Path) -> tuple[T, float]:
    """What a look gave, and how long it took, ms."""
    data = image.read_bytes()
    started = time.perf_counter()
    found = look(data)
    return found, (time.perf_counter() - started) * 1000
