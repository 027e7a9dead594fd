"""Whether replicas fit on machines, with answers worked out by hand."""

import pytest

from serve_app.launch.placements import Need, left_over, node


def need(name: str, gpus: float, cpus: float = 0, pieces: int = 1, replicas: int = 1) -> Need:
    return Need(name, gpus, cpus, pieces, replicas, replicas)


@pytest.mark.parametrize(
    ("wanted", "machines", "missing"),
    [
        # Shares of one GPU go onto it as long as they are no more than one, however they add up.
        ([need("tenths", 0.1, replicas=10)], ["1:1"], []),
        ([need("tenths", 0.1, replicas=11)], ["1:1"], ["tenths"]),
        # Three shares of 0.6 need three GPUs, although they are 1.8 of them together.
        ([need("large", 0.6, replicas=3)], ["2:8"], ["large"]),
        ([need("large", 0.6, replicas=3)], ["3:8"], []),
        # Large and small ones fill up: 0.6 + 0.4 twice.
        ([need("small", 0.4, replicas=2), need("large", 0.6, replicas=2)], ["2:8"], []),
        # A whole GPU is one that nobody has a share of.
        ([need("whole", 2), need("share", 0.1)], ["2:8"], ["share"]),
        ([need("whole", 2), need("share", 0.1)], ["2:8", "1:1"], []),
        # One process cannot be on two machines, but the parts of a model can be.
        ([need("whole", 2)], ["1:8", "1:8"], ["whole"]),
        ([need("parts", 1, pieces=2)], ["1:8", "1:8"], []),
        # CPUs are those of a machine.
        ([need("busy", 0, cpus=3, replicas=2)], ["0:4", "0:2"], ["busy"]),
        ([need("busy", 0, cpus=3, replicas=2)], ["0:4", "0:3"], []),
        # What needs no GPU leaves the CPUs of machines that have some.
        ([need("chat", 1, cpus=4), need("media", 0, cpus=4)], ["1:4", "0:4"], []),
        ([need("nothing", 0)], [], ["nothing"]),
    ],
)
def test_what_has_no_room(wanted: list[Need], machines: list[str], missing: list[str]) -> None:
    assert left_over(wanted, [node(text) for text in machines]) == missing


def test_all_replicas_or_those_that_are_always_there() -> None:
    wanted = [Need("chat", 1, 1, 1, least=1, most=3)]
    assert left_over(wanted, [node("1:4")]) == []
    assert left_over(wanted, [node("1:4")], at_most=True) == ["chat", "chat"]


@pytest.mark.parametrize("text", ["", "8", "8:", ":8", "-1:8", "1.5:8", "8:96:1", "a:b", "8: 96"])
def test_what_is_no_machine(text: str) -> None:
    with pytest.raises(ValueError, match="is not GPUS:CPUS"):
        node(text)
