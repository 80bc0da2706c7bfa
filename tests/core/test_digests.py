"""Many messages to one recipient become one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from monitoring.core.digests import MOST_TASKS, Topic, digest_facts, topic_of
from tests.core.building import NOW

FACTS = {
    "task_name": "sync",
    "rule_name": "Nightly",
    "current_status": "Stopped",
    "expected_statuses": "Completed",
    "explanation": "It stopped.",
    "opened_at": NOW.isoformat(),
    "dependent_tasks": [],
    "not_checked_from": None,
}


def told(**fields: Any) -> tuple[int, dict[str, Any]]:
    return 7, FACTS | fields


@pytest.mark.parametrize(
    ("topic", "subject", "kind"),
    [
        (Topic.FAILED, "[ALERT] 2 tasks failed their status check", "alert"),
        (Topic.UNKNOWN, "[ALERT] 2 tasks cannot be checked", "alert"),
        (Topic.RECOVERED, "[RESOLVED] 2 tasks are fine again", "recovery"),
    ],
)
def test_the_subject_counts_them(topic: Topic, subject: str, kind: str) -> None:
    digest = digest_facts(topic, [told(), told()], NOW)

    assert (digest["subject"], digest["kind"], digest["count"]) == (subject, kind, 2)


def test_those_that_most_others_depend_on_come_first() -> None:
    digest = digest_facts(
        Topic.FAILED,
        [
            told(task_name="none"),
            told(task_name="two", dependent_tasks=["a", "b", "b"]),
            told(task_name="one", dependent_tasks=["a"]),
        ],
        NOW,
    )

    tasks = [(task["task_name"], task["dependents"]) for task in digest["tasks"]]
    assert tasks == [("two", 2), ("one", 1), ("none", 0)]


def test_a_hundred_are_listed_and_the_rest_is_counted() -> None:
    digest = digest_facts(Topic.FAILED, [told()] * 137, NOW)

    assert (digest["count"], len(digest["tasks"]), digest["more"]) == (137, MOST_TASKS, 37)


def test_each_names_its_event_for_a_link() -> None:
    assert digest_facts(Topic.FAILED, [told()], NOW)["tasks"][0]["event_id"] == 7


def test_a_gap_that_one_admits_is_admitted() -> None:
    digest = digest_facts(Topic.FAILED, [told(), told(not_checked_from="2026-03-10")], NOW)

    assert digest["not_checked_from"] == "2026-03-10"


def test_facts_that_an_older_release_wrote_are_enough() -> None:
    digest = digest_facts(Topic.FAILED, [(None, {"task_name": "sync"})], NOW)

    assert json.loads(json.dumps(digest)) == digest


@pytest.mark.parametrize(
    ("kind", "verdict", "topic"),
    [
        ("alert", "no_execution", Topic.FAILED),
        ("reminder", "status_mismatch", Topic.FAILED),
        ("alert", "unknown", Topic.UNKNOWN),
        ("recovery", "ok", Topic.RECOVERED),
    ],
)
def test_different_things_are_told_apart(kind: str, verdict: str, topic: Topic) -> None:
    assert topic_of(kind, verdict) is topic
