"""Seeds of engines that share a process."""

import threading

import torch

from deployments.torch_seeding import seeded

CPU = torch.device("cpu")


def test_whoever_draws_from_a_seed_draws_alone() -> None:
    torch.manual_seed(3)
    alone = torch.rand(4).tolist()
    drawn: dict[str, list[float]] = {}
    begun = threading.Event()

    def other() -> None:
        begun.set()
        with seeded(3, CPU):
            drawn["other"] = torch.rand(4).tolist()

    thread = threading.Thread(target=other)
    with seeded(3, CPU):
        first = torch.rand(2).tolist()
        thread.start()
        begun.wait()
        # Long enough for the other one to draw, if it could.
        thread.join(0.3)
        assert "other" not in drawn
        drawn["mine"] = first + torch.rand(2).tolist()
    thread.join()
    assert drawn == {"mine": alone, "other": alone}


def test_afterwards_nothing_was_drawn() -> None:
    torch.manual_seed(5)
    expected = torch.rand(2).tolist()
    torch.manual_seed(5)
    with seeded(-(2**62), CPU):
        torch.rand(7)
    assert torch.rand(2).tolist() == expected
