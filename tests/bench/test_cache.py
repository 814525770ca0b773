"""Things that are made once."""

from pathlib import Path

import pytest

from bench.random_model.servables import Cache


def test_a_thing_is_made_once_under_one_key(tmp_path: Path):
    made: list[Path] = []

    def make(path: Path) -> None:
        made.append(path)
        path.mkdir()

    cache = Cache(tmp_path)
    assert cache.made("a/b", "1", make) == cache.made("a/b", "1", make) == tmp_path / "a/b"
    assert made == [tmp_path / "a/b"]


def test_another_key_makes_it_anew_from_nothing(tmp_path: Path):
    cache = Cache(tmp_path)
    (cache.made("a", "1", Path.mkdir) / "old").touch()
    assert list(cache.made("a", "2", Path.mkdir).iterdir()) == []


def test_what_was_left_half_made_is_made_anew(tmp_path: Path):
    def fail(path: Path) -> None:
        path.mkdir()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        Cache(tmp_path).made("a", "1", fail)
    assert Cache(tmp_path).made("a", "1", Path.mkdir).is_dir()


def test_a_thing_that_cannot_be_made_anew_is_not_taken_for_made(tmp_path: Path):
    def fail(_path: Path) -> None:
        raise RuntimeError

    cache = Cache(tmp_path)
    cache.made("a", "1", Path.mkdir)
    with pytest.raises(RuntimeError):
        cache.made("a", "2", fail)
    made_again = []
    cache.made("a", "1", made_again.append)
    assert made_again == [tmp_path / "a"]
