"""Aligned faces to embeddings: dlib's network in onnxruntime, converted once per machine and kept in a cache.

The cache file is the SHA-256 of the model followed by the model. Its name holds the hash of the source and the
version of our converter, so another network or another converter never meets an old file. What does not match its
hash is built anew; where nothing can be written the model lives in memory only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from vision.resnet import CHIP_PX, ModelError, convert

Chips = NDArray[np.uint8]
"""Aligned faces, RGB, uint8[n, 150, 150, 3]."""

CONVERTER = 1
"""Raise it when `vision.resnet` builds another graph from the same weights."""
_MODELS = "face_recognition_models"
_DIGEST_BYTES = hashlib.sha256().digest_size


def model_file(name: str) -> Path:
    """A file of the package face_recognition_models, found without importing it (it needs the deprecated
    pkg_resources). Raises ModelError.
    """
    spec = find_spec(_MODELS)
    if spec is None or spec.origin is None:
        raise ModelError(f"{_MODELS} is not installed")
    return Path(spec.origin).parent / "models" / name


def cache_dir() -> Path:
    """$LINLI_CACHE, else linli below the XDG cache directory."""
    if named := os.environ.get("LINLI_CACHE"):
        return Path(named)
    xdg = os.environ.get("XDG_CACHE_HOME")
    home = Path(xdg) if xdg and Path(xdg).is_absolute() else Path(os.environ.get("HOME") or tempfile.gettempdir())
    return home / "linli" if xdg else home / ".cache" / "linli"


def _read(path: Path) -> bytes | None:
    """The model in a cache file; None when there is none, or not the one that was written."""
    try:
        held = path.read_bytes()
    except OSError:
        return None
    digest, model = held[:_DIGEST_BYTES], held[_DIGEST_BYTES:]
    return model if hashlib.sha256(model).digest() == digest else None


def _write(path: Path, model: bytes) -> None:
    """Whole or not at all. A directory that cannot be written costs time at the next start, nothing else."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(hashlib.sha256(model).digest())
                out.write(model)
                out.flush()
                os.fsync(out.fileno())
            Path(temporary).replace(path)
        except OSError:
            Path(temporary).unlink()


def converted(source: Path, cache: Path) -> bytes:
    """The ONNX model of dlib's `.dat`, from the cache when it is there and whole. Raises ModelError, OSError."""
    weights = source.read_bytes()
    path = cache / f"{source.stem}-{hashlib.sha256(weights).hexdigest()[:32]}-{CONVERTER}.onnx"
    model = _read(path)
    if model is None:
        model = bytes(convert(weights).SerializeToString())
        _write(path, model)
    return model


class Embedder:
    """Embeds aligned faces on one thread. May be called from several threads."""

    def __init__(self, source: Path | None = None, cache: Path | None = None) -> None:
        source = source or model_file("dlib_face_recognition_resnet_model_v1.dat")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors
        self._session = onnxruntime.InferenceSession(
            converted(source, cache or cache_dir()), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, chips: Chips) -> NDArray[np.float32]:
        """uint8[n, 150, 150, 3] RGB to float32[n, 128]; within 1e-5 of dlib's `compute_face_descriptor`.
        Raises ValueError for another shape.
        """
        if chips.dtype != np.uint8 or chips.shape[1:] != (CHIP_PX, CHIP_PX, 3):
            raise ValueError(f"an aligned face is uint8[{CHIP_PX}, {CHIP_PX}, 3], not {chips.dtype}{chips.shape[1:]}")
        (embeddings,) = self._session.run(None, {"chips": chips})
        return np.asarray(embeddings, dtype=np.float32)
