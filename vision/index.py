"""Vectors by row number: written in place, scanned while written, exact or in half precision.

Rows live in blocks that are allocated whole and never move, so a writer needs no rebuild and a scan no lock. A row
that is forgotten is overwritten with a vector nothing is near to, and used again. A scan may meet a row in the middle
of being written: what it gives are candidates, to be measured again (`measure`) by somebody who holds the writers off.

Up to `exact_rows` rows faiss compares float32. Above, memory is what limits, so each block also keeps its rows in half
precision for scanning: half the bytes, and an error that has a bound (`slack`).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import faiss

Vectors = NDArray[np.float32]
Rows = NDArray[np.int64]

EXACT_ROWS = 200_000
BLOCK_ROWS = 65_536
GONE = 1e4
"""Every number of a row that holds nobody; the numbers of an embedding are below 1."""
FAR = 1e3
"""Nothing real is this far away, L2."""
HALF_PRECISION = 2.0**-11
"""Largest relative error of a number rounded to IEEE 754 binary16."""
ROUNDING = 1e-5
"""Of a float32 distance, L2, generously."""


@cache
def _faiss() -> Any:
    """Loaded with the first vector: 40 MB and a third of a second that a gateway without residents need not pay."""
    import faiss  # noqa: PLC0415 - see above

    faiss.omp_set_num_threads(1)  # one search must not take every core from the gateway
    return faiss


class _Block:
    """`used` rows from the front have been written at least once."""

    def __init__(self, rows: int, width: int) -> None:
        self.vectors: Vectors = np.empty((rows, width), np.float32)  # pages come as they are written
        self.used = 0
        self._half: faiss.IndexScalarQuantizer | None = None
        self._half_rows: NDArray[np.float16] | None = None

    def write(self, at: int, vectors: Vectors) -> None:
        end = at + len(vectors)
        self.vectors[at:end] = vectors
        if self._half_rows is not None:
            self._half_rows[at:end] = vectors
        self.used = max(self.used, end)

    def halve(self) -> None:
        """From now on scanned in half precision."""
        if self._half is not None:
            return
        faiss = _faiss()
        rows, width = self.vectors.shape
        self.vectors[self.used :] = GONE
        half = faiss.IndexScalarQuantizer(width, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_L2)
        half.add(self.vectors)
        codes = faiss.rev_swig_ptr(half.codes.data(), rows * width * 2)  # a view: rows are changed in place
        self._half_rows = codes.view(np.float16).reshape(rows, width)
        self._half = half

    def scan(self, wanted: Vectors, k: int) -> tuple[Rows, Vectors]:
        """Row numbers in this block and squared distances of the k nearest, roughly, in no particular order."""
        used, half = self.used, self._half
        k = min(k, used)
        if half is not None:
            squares, rows = half.search(wanted[None], k)
        else:
            squares, rows = _faiss().knn(wanted[None], self.vectors[:used], k)
        return rows[0], squares[0]


class Index:
    """One thread may write at a time; any number may `scan` meanwhile."""

    def __init__(self, width: int, *, exact_rows: int = EXACT_ROWS, block_rows: int = BLOCK_ROWS) -> None:
        self._width, self._exact_rows, self._block_rows = width, exact_rows, block_rows
        self._blocks: list[_Block] = []
        self._free: list[int] = []
        self._rows = 0
        self._norm = 0.0

    @property
    def rows(self) -> int:
        """Rows ever used, free ones included."""
        return self._rows

    @property
    def slack(self) -> float:
        """How far a scanned distance may be from the true one, L2."""
        return ROUNDING + (self._norm * HALF_PRECISION if self._rows > self._exact_rows else 0.0)

    def add(self, vectors: Vectors) -> list[int]:
        """Write float32[n, width]; the rows they are in now."""
        if not len(vectors):
            return []
        self._norm = max(self._norm, float(np.linalg.norm(vectors, axis=1).max()))
        rows: list[int] = []
        while self._free and len(rows) < len(vectors):
            row = self._free.pop()
            self._write(row, vectors[len(rows)][None])
            rows.append(row)
        while len(rows) < len(vectors):
            rows += self._append(vectors[len(rows) :])
        if self._rows > self._exact_rows:
            for block in self._blocks:
                block.halve()
        return rows

    def forget(self, rows: list[int]) -> None:
        """Overwrite rows: their numbers are gone when this returns."""
        for row in rows:
            self._write(row, np.full((1, self._width), GONE, np.float32))
        self._free += rows

    def measure(self, rows: Rows, wanted: Vectors) -> Vectors:
        """True distances, L2, float32[n]. Only for who holds the writers off."""
        found = np.empty((len(rows), self._width), np.float32)
        block, at = np.divmod(rows, self._block_rows)
        for number in np.unique(block):
            here = block == number
            found[here] = self._blocks[number].vectors[at[here]]
        found -= wanted
        distances: Vectors = np.sqrt(np.einsum("ij,ij->i", found, found))
        return distances

    def scan(self, wanted: Vectors, k: int) -> tuple[Rows, float]:
        """Rows that may be the k nearest, and the distance, L2, within `slack`, below which none is missing (infinite
        when every row in use is among them).
        """
        blocks = list(self._blocks)
        found = [block.scan(wanted, k) for block in blocks if block.used]
        if not found:
            return np.empty(0, np.int64), float("inf")
        rows = np.concatenate([r + i * self._block_rows for i, (r, _) in enumerate(found)])
        squares = np.concatenate([s for _, s in found])
        real = (squares < FAR**2) & (rows >= 0)
        rows, squares = rows[real], squares[real]
        if len(rows) < k:
            return rows, float("inf")
        nearest = np.argpartition(squares, k - 1)[:k]
        return rows[nearest], float(np.sqrt(squares[nearest].max()))

    def _append(self, vectors: Vectors) -> range:
        """As many as fit in the last block."""
        at = self._rows % self._block_rows
        if not at and self._rows == len(self._blocks) * self._block_rows:
            self._blocks.append(_Block(self._block_rows, self._width))
        here = vectors[: self._block_rows - at]
        self._blocks[-1].write(at, here)
        first, self._rows = self._rows, self._rows + len(here)
        return range(first, self._rows)

    def _write(self, row: int, vectors: Vectors) -> None:
        block, at = divmod(row, self._block_rows)
        self._blocks[block].write(at, vectors)
