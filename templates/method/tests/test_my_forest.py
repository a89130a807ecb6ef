"""The method keeps zoobench's contract."""

from my_forest import METHOD

from zoobench.testing import check_method


def test_it_keeps_the_contract() -> None:
    check_method(METHOD)
