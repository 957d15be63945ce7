"""dlib's face ResNet as an ONNX graph: the same weights, run by a faster engine.

A `.dat` of dlib is a stream of layers, input side first, each led by its name. We read only what holds weights: 29
convolutions, each followed by an affine layer (a batch norm frozen after training), and one matrix at the end.
The network's shape is not in the file but in a C++ type, `anet_type` of dlib's dnn_face_recognition_ex.cpp
(http://dlib.net/dnn_face_recognition_ex.cpp.html); `STAGES` is that type.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

Weights = NDArray[np.float32]

CHIP_PX = 150
"""Side of the aligned face the network takes, px."""
OPSET = 18
IR_VERSION = 9
MEAN = (122.782, 117.001, 104.298)
"""Subtracted from R, G, B (dlib's `input_rgb_image_sized`), before dividing by 256."""
STAGES = ((32, 3, False), (64, 3, True), (128, 2, True), (256, 2, True), (256, 0, True))
"""Channels, plain residual blocks, and whether a down-sampling block comes before them."""
CONVOLUTIONS = 29

_LAYER = re.compile(rb"\x01(?:\x05con_4|\x07affine_|\x04fc_2)")
"""A length in one byte, then the name: how dlib writes a string."""
_TENSOR_VERSION = 2


class ModelError(Exception):
    """The file is not the face network we know; the message says what is wrong."""


class _Convolution(Struct, frozen=True, eq=False):
    """With the affine layer that follows multiplied in. `kernel`: float32[out, in, side, side]."""

    kernel: Weights
    bias: Weights
    stride: int
    padding: int


class _Reader:
    """dlib's serialization: an integer is a head byte (sign, number of bytes) and little-endian bytes."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    def integer(self) -> int:
        head = self._data[self._at : self._at + 1]
        size = head[0] & 0x0F if head else 0
        body = self._data[self._at + 1 : self._at + 1 + size]
        if not 1 <= size <= 8 or len(body) != size:
            raise ModelError("a number is cut short")
        self._at += 1 + size
        value = int.from_bytes(body, "little")
        return -value if head[0] & 0x80 else value

    def tensor(self) -> Weights:
        """The numbers of a tensor, flat."""
        if self.integer() != _TENSOR_VERSION:
            raise ModelError("a tensor of an unknown version")
        count = int(np.prod([self.integer() for _ in range(4)], dtype=np.int64))
        if not 0 < count * 4 <= len(self._data) - self._at:
            raise ModelError("a tensor reaches past the end of the file")
        numbers = np.frombuffer(self._data, "<f4", count, self._at).astype(np.float32)
        self._at += count * 4
        return numbers


def _fold(params: Weights, shape: Sequence[int], affine: Weights) -> _Convolution:
    """A convolution and the affine layer after it, as one convolution."""
    filters, rows, columns, stride, _, padding, _ = shape
    if affine.size != 2 * filters or (params.size - filters) % (filters * rows * columns):
        raise ModelError("a convolution whose weights do not fit its size")
    gamma, beta = affine[:filters], affine[filters:]
    kernel = params[:-filters].reshape(filters, -1, rows, columns) * gamma[:, None, None, None]
    return _Convolution(kernel=kernel, bias=params[-filters:] * gamma + beta, stride=stride, padding=padding)


def parse(data: bytes) -> tuple[list[_Convolution], Weights]:
    """Convolutions, input side first, and the last matrix, float32[256, 128]. Raises ModelError."""
    convolutions: list[_Convolution] = []
    waiting: tuple[Weights, list[int]] | None = None
    matrix: Weights | None = None
    for layer in _LAYER.finditer(data):
        name, reader = layer.group()[2:], _Reader(data, layer.end())
        if name == b"con_4":
            waiting = reader.tensor(), [reader.integer() for _ in range(7)]
        elif name == b"affine_":
            if waiting is None:
                raise ModelError("an affine layer without its convolution")
            convolutions.append(_fold(*waiting, reader.tensor()))
            waiting = None
        else:
            outputs, inputs = reader.integer(), reader.integer()
            matrix = reader.tensor()
            if matrix.size != outputs * inputs:
                raise ModelError("a last layer whose weights do not fit its size")
            matrix = matrix.reshape(inputs, outputs)
    if len(convolutions) != CONVOLUTIONS or matrix is None:
        raise ModelError(f"{len(convolutions)} convolutions instead of {CONVOLUTIONS}, or no last layer")
    return convolutions, matrix


class _Graph:
    """Collects nodes; each step gives the name of its output."""

    def __init__(self, convolutions: Sequence[_Convolution]) -> None:
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []
        self._convolutions = iter(convolutions)

    def weight(self, values: NDArray[np.generic]) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def step(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def convolve(self, x: str, size: int) -> tuple[str, int, int]:
        """The next convolution on a map of this side: output, its channels, its side."""
        c = next(self._convolutions)
        filters, _, side, _ = c.kernel.shape
        y = self.step("Conv", x, self.weight(c.kernel), self.weight(c.bias), strides=[c.stride] * 2,
                      pads=[c.padding] * 4, kernel_shape=[side, side])  # fmt: skip
        return y, filters, (size + 2 * c.padding - side) // c.stride + 1

    def padded(self, x: str, channels: int, side: int) -> str:
        """More zero channels, and zeros at the right and below: dlib's `add_prev` of maps of unequal size."""
        if not channels and not side:
            return x
        return self.step("Pad", x, self.weight(np.array([0, 0, 0, 0, 0, channels, side, side], np.int64)))

    def block(self, x: str, channels: int, size: int, *, down: bool) -> tuple[str, int, int]:
        """A residual block; a down-sampling one has a 2x2 average pool as its shortcut."""
        y, _, half = self.convolve(x, size)
        y, filters, half = self.convolve(self.step("Relu", y), half)
        short, shortened = x, size
        if down:
            short, shortened = self.step("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2]), (size - 2) // 2 + 1
        side = max(half, shortened)
        short = self.padded(short, filters - channels, side - shortened)
        total = self.step("Add", self.padded(y, 0, side - half), short)
        return self.step("Relu", total), filters, side


def convert(data: bytes) -> ModelProto:
    """The network of a `.dat` as ONNX: "chips" uint8[n, 150, 150, 3] RGB to "embeddings" float32[n, 128].
    Raises ModelError.
    """
    convolutions, matrix = parse(data)
    graph = _Graph(convolutions)
    x = graph.step("Cast", "chips", to=TensorProto.FLOAT)
    x = graph.step("Sub", x, graph.weight(np.array(MEAN, np.float32)))
    x = graph.step("Mul", x, graph.weight(np.array(1 / 256, np.float32)))
    x, channels, size = graph.convolve(graph.step("Transpose", x, perm=[0, 3, 1, 2]), CHIP_PX)
    x = graph.step("MaxPool", graph.step("Relu", x), kernel_shape=[3, 3], strides=[2, 2])
    size = (size - 3) // 2 + 1
    for filters, plain, down in STAGES:
        for first in [True] * down + [False] * plain:
            x, channels, size = graph.block(x, channels, size, down=first)
        if channels != filters:
            raise ModelError(f"{channels} channels where {filters} belong")
    pooled = graph.step("Flatten", graph.step("GlobalAveragePool", x))
    graph.nodes.append(helper.make_node("MatMul", [pooled, graph.weight(matrix)], ["embeddings"]))
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "dlib_face_recognition_resnet_v1",
            [helper.make_tensor_value_info("chips", TensorProto.UINT8, ["n", CHIP_PX, CHIP_PX, 3])],
            [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["n", 128])],
            graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    checker.check_model(model)
    return model
