"""Copies of what nodes are given and return, so that changing a value in place changes no other result."""

from nbgraph.invocations.node_output import BaseInvocationOutput
from nbgraph.invocations.node_type import NodeType
from nbgraph.invocations.plain_numbers import with_plain_numbers
from nbgraph.invocations.types import NodeValue
from nbgraph.services.shared.defensive_copy import SMALL, defensive_copy


def copy_inputs(values: dict[str, NodeValue]) -> None:
    """Replace lists, dicts, models and the like by copies, for a node that may change them in place."""
    for name, value in values.items():
        if type(value) not in SMALL:
            values[name] = defensive_copy(value)


def kept_output(output: NodeValue, node_type: NodeType) -> BaseInvocationOutput:
    """Return the output as it is kept: with containers of its own where somebody else may hold them too.

    Single numbers of numpy and torch that a person's node returns become Python's; arrays and tensors stay.

    Raises
    ------
    TypeError
        If it is not what the node is annotated to return.
    """
    if not isinstance(output, node_type.output_class):
        wanted = node_type.output_class.__name__
        raise TypeError(f"invoke returned {type(output).__name__}, and is annotated to return {wanted}")
    if not node_type.copies_output:
        return output
    kept: BaseInvocationOutput = defensive_copy(output)
    if node_type.is_foreign:
        values = vars(kept)
        values.update([(name, with_plain_numbers(value, arrays=False)) for name, value in values.items()])
    return kept
