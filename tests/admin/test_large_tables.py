"""Lists of history show, count and search their newest rows, however many there are."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from monitoring.admin.large import AtLeast, FirstRows
from monitoring.models import BackgroundTask, MonitorRun
from tests.admin.data import run, url
from tests.factories import execution

pytestmark = pytest.mark.django_db


@pytest.fixture
def _ten_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.admin.large.MOST_ROWS", 10)


def found(client: Client, text: str) -> list[str]:
    page = client.get(url(BackgroundTask, "changelist"), {"q": text}).context["cl"]
    return sorted(row.task_name for row in page.result_list)


@pytest.mark.parametrize(("rows", "count"), [(9, "9"), (10, "10"), (11, "10+")])
@pytest.mark.usefixtures("_ten_at_most")
def test_a_count_says_where_it_stopped(root: Client, rows: int, count: str) -> None:
    for _ in range(rows):
        run()

    page = root.get(url(MonitorRun, "changelist"))

    assert f"{count} checks" in page.content.decode()
    assert int(page.context["cl"].result_count) == min(rows, 10)


@pytest.mark.usefixtures("_ten_at_most")
def test_pages_end_where_the_count_does(root: Client) -> None:
    for _ in range(15):
        run()
    pages = FirstRows(MonitorRun.objects.order_by("-pk"), 4)

    assert pages.num_pages == 3
    assert len(pages.page(3).object_list) == 2


def test_a_count_that_stopped_is_a_number() -> None:
    assert AtLeast(10) + 1 == 11
    assert f"{AtLeast(10)!s}" == "10+"


@pytest.mark.usefixtures("_ten_at_most")
class TestTheSearch:
    @pytest.fixture(autouse=True)
    def _rows(self) -> None:
        execution("old", task_id="id-of-the-old", errors="boom")
        for number in range(10):
            execution(f"new {number}", errors="boom" if number == 3 else "")

    def test_looks_among_the_newest(self, root: Client) -> None:
        assert found(root, "boom") == ["new 3"]
        assert len(found(root, "new")) == 10
        assert found(root, "old") == []

    def test_finds_a_whole_id_wherever_it_is(self, root: Client) -> None:
        assert found(root, "id-of-the-old") == ["old"]

    def test_looks_among_the_newest_that_the_filters_pick(self, root: Client) -> None:
        address = url(BackgroundTask, "changelist")

        page: Any = root.get(address, {"q": "boom", "task_name": "old"}).context["cl"]

        assert [row.task_name for row in page.result_list] == ["old"]
