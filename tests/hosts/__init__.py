import pytest

# Tests that hosts share stand there, and shall say as much when they fail.
pytest.register_assert_rewrite("tests.hosts.contract")
