"""Reading a graph's shape through a driver that is made up, and comparing two shapes."""

import enum
from types import SimpleNamespace

import pytest

from harness.measure.model import GraphTopology
from harness.measure.topology import MOST_DIFFERENCES, _DriverError, _read, differences, ordered


def chain(*names):
    nodes = tuple(("kernel", name) for name in names)
    return GraphTopology(nodes, tuple((at, at + 1) for at in range(len(names) - 1)))


class Result(enum.IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1


class NodeType(enum.IntEnum):
    CU_GRAPH_NODE_TYPE_KERNEL = 0
    CU_GRAPH_NODE_TYPE_MEMCPY = 1
    CU_GRAPH_NODE_TYPE_EVENT_RECORD = 7


class FakeDriver:
    """A graph of three kernels and a copy: 10 -> 11 -> 13, 10 -> 12 -> 13, as bindings show it.

    Kernel 12 was launched through a CUkernel, so its function handle is null.
    """

    CUresult = Result
    CUgraphNodeType = NodeType

    def __init__(self, version, order=(10, 11, 12, 13)):
        self.order = list(order)
        if version == 12:
            self.cuGraphGetEdges_v2 = self.cuGraphGetEdges
            self.cuGraphGetEdges = self._lossy

    def _lossy(self, graph, count=0):
        return (Result.CUDA_ERROR_INVALID_VALUE, None, None, None)

    def cuGraphGetNodes(self, graph, count=0):
        return Result.CUDA_SUCCESS, self.order[:count], len(self.order)

    def cuGraphGetEdges(self, graph, count=0):
        edges = [(10, 11), (10, 12), (11, 13), (12, 13)][:count]
        sources, targets = [a for a, _ in edges], [b for _, b in edges]
        return Result.CUDA_SUCCESS, sources, targets, [None] * count, 4

    def cuGraphNodeGetType(self, node):
        return Result.CUDA_SUCCESS, NodeType(1 if node == 13 else 0)

    def cuGraphKernelNodeGetParams(self, node):
        func, kern = (0, 900 + node) if node == 12 else (500 + node, 0)
        return Result.CUDA_SUCCESS, SimpleNamespace(func=func, kern=kern)

    def cuFuncGetName(self, func):
        return Result.CUDA_SUCCESS, f"_Zfunc{func}".encode()

    def cuKernelGetName(self, kern):
        return Result.CUDA_SUCCESS, f"_Zkern{kern}".encode()


DIAMOND = GraphTopology(
    (("kernel", "_Zfunc510"), ("kernel", "_Zfunc511"), ("kernel", "_Zkern912"), ("memcpy", "")),
    ((0, 1), (0, 2), (1, 3), (2, 3)),
)


@pytest.mark.parametrize("version", [12, 13])
def test_nodes_edges_and_mangled_names_are_read_with_either_version(version):
    assert _read(FakeDriver(version), "graph") == DIAMOND


def test_nodes_follow_what_they_depend_on_in_whatever_order_the_driver_gives_them():
    found = _read(FakeDriver(13, order=(13, 11, 12, 10)), "graph")
    assert found == DIAMOND


def test_an_error_of_the_driver_is_named():
    driver = FakeDriver(13)
    driver.cuGraphNodeGetType = lambda node: (Result.CUDA_ERROR_INVALID_VALUE, None)
    with pytest.raises(_DriverError, match="CUDA_ERROR_INVALID_VALUE"):
        _read(driver, "graph")


def test_independent_nodes_keep_their_order():
    nodes = [("kernel", name) for name in "cab"]
    assert ordered(nodes, []).nodes == tuple(nodes)


def test_a_chain_is_one_branch_and_a_diamond_two():
    assert chain("a", "b", "c").branches == 1
    assert DIAMOND.branches == 2
    assert GraphTopology((("kernel", "a"), ("kernel", "b")), ()).branches == 2


def test_equal_graphs_have_no_differences():
    assert differences(chain("a", "b"), chain("a", "b")) == []


def test_an_inserted_node_is_one_difference_not_one_per_node_after_it():
    assert differences(chain("a", "c", "d"), chain("a", "b", "c", "d")) == [
        "node 1 only in the second: kernel b"
    ]


def test_a_replaced_kernel_shows_both_names():
    assert differences(chain("a", "b"), chain("a", "x")) == [
        "node 1 only in the first: kernel b",
        "node 1 only in the second: kernel x",
    ]


def test_a_lost_dependency_is_a_difference():
    loose = GraphTopology(chain("a", "b").nodes, ())
    assert differences(chain("a", "b"), loose) == ["edge 0 -> 1 only in the first"]


def test_many_differences_are_counted_instead_of_listed():
    lines = differences(chain(*"abcdefghijklmnopqrst"), chain("z"))
    assert len(lines) == MOST_DIFFERENCES + 1
    assert lines[-1] == f"and {21 - MOST_DIFFERENCES} more"
