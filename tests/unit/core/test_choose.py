import pytest

from frugalseg.core.choose import choose, nearest, unknown_name
from frugalseg.core.errors import UnknownNameError

TABLE = {"entropy_patches": 1, "random_patches": 2, "random_points": 3}


def test_a_known_name_gives_its_entry():
    assert choose("selector", "random_patches", TABLE) == 2


def test_an_unknown_name_gets_the_nearest_and_the_list():
    with pytest.raises(UnknownNameError) as caught:
        choose("selector", "entropy_patch", TABLE)
    assert str(caught.value) == (
        "There is no selector named 'entropy_patch'. Did you mean 'entropy_patches'? "
        "Known: entropy_patches, random_patches, random_points."
    )


def test_nothing_is_guessed_where_nothing_is_near():
    assert nearest("zzz", TABLE) is None
    assert "Did you mean" not in unknown_name("selector", "zzz", TABLE)


def test_an_empty_table_says_so():
    assert unknown_name("class", "road", []) == "There is no class named 'road'. Known: (none)."
