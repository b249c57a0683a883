import sys

from frugalseg.training.memory import keep_freed_memory


def test_it_says_whether_the_allocator_took_it(monkeypatch):
    assert isinstance(keep_freed_memory(), bool)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
