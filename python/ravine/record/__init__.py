"""Recording: a Python function of tensors becomes a program, which runs again while what it depends on holds.

What the other folders use of it stands in this list.
"""

from ._arguments import Inputs, flatten_outputs, split_inputs
from ._compile import Compiled, Recording, compile_recording, eager_result, record
from ._convert import FLOATING, as_array, is_number, number_dtype, plain_array
from ._function import compile
from ._hooks import Hook, HookedCall, gradients_for_hooks_too
from ._mean import means_in
from ._parameter import Buffer, Parameter, State, copies_of, restore_state
from ._places import add_place, gradients, place_of, place_of_node
from ._programs import ProgramCache
from ._quotient import Quotient
from ._scalar import Scalar
from ._settings import set_conv_precision, set_program_cache_size
from ._signature import Reader, mode_of
from ._tensor import (
    Operand,
    Tensor,
    apply,
    apply_all,
    as_operand,
    as_tensor,
    dtype_name,
    known_numbers,
    operand_dtype,
    target_dtype,
)
from ._thread import current, eager, eager_mode, own_modes, part_of_step, recording_into, thread
from ._trace import Trace
from ._versions import Versioned, new_version
from ._weighted import denominator_of, mean_of, quotient, weighted

__all__ = [
    "FLOATING",
    "Buffer",
    "Compiled",
    "Hook",
    "HookedCall",
    "Inputs",
    "Operand",
    "Parameter",
    "ProgramCache",
    "Quotient",
    "Reader",
    "Recording",
    "Scalar",
    "State",
    "Tensor",
    "Trace",
    "Versioned",
    "add_place",
    "apply",
    "apply_all",
    "as_array",
    "as_operand",
    "as_tensor",
    "compile",
    "compile_recording",
    "copies_of",
    "current",
    "denominator_of",
    "dtype_name",
    "eager",
    "eager_mode",
    "eager_result",
    "flatten_outputs",
    "gradients",
    "gradients_for_hooks_too",
    "is_number",
    "known_numbers",
    "mean_of",
    "means_in",
    "mode_of",
    "new_version",
    "number_dtype",
    "operand_dtype",
    "own_modes",
    "part_of_step",
    "place_of",
    "place_of_node",
    "plain_array",
    "quotient",
    "record",
    "recording_into",
    "restore_state",
    "set_conv_precision",
    "set_program_cache_size",
    "split_inputs",
    "target_dtype",
    "thread",
    "weighted",
]
