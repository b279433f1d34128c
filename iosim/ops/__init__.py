"""The operations on fast memory, one row of a table each: shapes, temporaries, flops, words of pseudo-code, numpy.

A row says everything that the interpreters need to know, so that a new operation is a new row. An operation reads and
updates views of tiles; it moves nothing. `scratch` words of fast memory are its own while it runs: they count against
the capacity. The numpy function is the definition of what the operation means: it updates its first `updates`
arguments in place.

Flops are arithmetic operations (`+ - * / max exp sqrt`, one each) of the plain way to evaluate the definition.
"""

from __future__ import annotations

from iosim.ops.causal import CAUSAL
from iosim.ops.matrices import MATRICES
from iosim.ops.operation import Op as Op
from iosim.ops.polynomial import POLYNOMIAL
from iosim.ops.polynomial import features as features
from iosim.ops.softmax import SOFTMAX

OPS: dict[str, Op] = {op.name: op for op in (*MATRICES, *SOFTMAX, *POLYNOMIAL, *CAUSAL)}
