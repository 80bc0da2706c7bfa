"""Channels: their names, what is taken for an address, and what an answer means."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.channels import (
    HIDDEN,
    LOCAL_SCHEMES,
    channel_of,
    judge_answer,
    masked,
    read_channel_name,
    read_channel_names,
    scheme_of,
)
from monitoring.core.fields import InvalidValueError, is_address
from monitoring.core.recipients import resolve_recipients
from monitoring.core.retries import Fault

URL = "json://user:pa55word@hooks.example.com:8443/T0KEN/s3cr%20et?key=0123456789"


class TestAName:
    @pytest.mark.parametrize("name", ["ops-slack", "Rufbereitschaft (Köln)", "x" * 100])
    def test_is_taken_as_it_is(self, name: str) -> None:
        assert read_channel_name(name) == name

    @pytest.mark.parametrize(
        ("name", "error"),
        [
            ("", "the channel name must be a non-empty text"),
            (7, "the channel name must be a non-empty text"),
            ("x" * 101, "the channel name is longer than 100 characters"),
            ("ops@slack", "one line without @ or spaces around it"),
            (" ops", "one line without @ or spaces around it"),
            ("a\nb", "one line without @ or spaces around it"),
        ],
    )
    def test_is_refused_with_what_is_wrong_with_it(self, name: object, error: str) -> None:
        with pytest.raises(InvalidValueError, match=error):
            read_channel_name(name)

    def test_stands_once_in_a_list(self) -> None:
        assert read_channel_names(["b", "a", "b"]) == ("b", "a")

    @given(st.text(max_size=120))
    def test_is_never_a_mail_address(self, text: str) -> None:
        try:
            name = read_channel_name(text)
        except InvalidValueError:
            return
        assert not is_address(name)
        assert channel_of(name) == name

    @given(st.emails())
    def test_an_address_is_never_a_channel(self, address: str) -> None:
        assert channel_of(address) == ""


class TestWhoIsTold:
    @pytest.mark.parametrize(
        ("notify_to", "channels", "recipients"),
        [
            (["a@example.com"], ["ops"], ("a@example.com", "ops")),
            ([], ["ops", "chat"], ("ops", "chat")),
            ([], [], ("root@example.com",)),
        ],
        ids=["both", "channels alone: no superuser", "neither: superusers"],
    )
    def test_a_rule_tells_its_addresses_and_channels(
        self, notify_to: list[str], channels: list[str], recipients: tuple[str, ...]
    ) -> None:
        assert resolve_recipients(notify_to, ["root@example.com"], channels) == recipients


class TestAnAddress:
    @pytest.mark.parametrize(
        ("url", "scheme"),
        [("slack://a/b/c", "slack"), ("JSONS://host/x", "jsons"), ("46elks://u:p@1", "46elks")],
    )
    def test_says_what_kind_of_service_it_is(self, url: str, scheme: str) -> None:
        assert scheme_of(url) == scheme

    @pytest.mark.parametrize("url", ["", "hooks.slack.com", "slack:/x", "json://", "json:// x"])
    def test_is_refused_if_it_is_none_without_telling_it(self, url: str) -> None:
        with pytest.raises(InvalidValueError, match='must be an address such as "slack://…"'):
            scheme_of(url)

    @pytest.mark.parametrize("rest", ["x", ""])
    @pytest.mark.parametrize("scheme", sorted(LOCAL_SCHEMES))
    def test_that_acts_on_this_machine_is_refused(self, scheme: str, rest: str) -> None:
        with pytest.raises(InvalidValueError, match="acts on this machine"):
            scheme_of(f"{scheme.upper()}://{rest}")


class TestAnAnswer:
    def test_that_accepts_is_no_refusal(self) -> None:
        assert judge_answer({"ok": True, "status": 200, "refused": [], "said": []}, URL) is None

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 422])
    def test_that_nothing_can_change_is_for_good(self, status: int) -> None:
        refusal = judge_answer({"ok": False, "status": status, "said": []}, URL)

        assert refusal is not None
        assert refusal.fault is Fault.REFUSED
        assert refusal.text.startswith(f"{status} ")

    @pytest.mark.parametrize(
        "status", [None, 200, 302, 408, 409, 423, 425, 429, 500, 502, 503, 599]
    )
    def test_that_may_change_is_for_now(self, status: int | None) -> None:
        refusal = judge_answer({"ok": False, "status": status, "said": []}, URL)

        assert refusal is not None
        assert refusal.fault is Fault.DEFERRED
        assert refusal.text

    def test_of_the_guard_is_for_good_and_names_the_host(self) -> None:
        answer = {
            "ok": False,
            "status": 302,
            "refused": ["10.0.0.5 (hooks.example.com) is private"],
        }

        refusal = judge_answer(answer, URL)

        assert refusal is not None
        assert refusal.fault is Fault.REFUSED
        assert refusal.text == "10.0.0.5 (hooks.example.com) is private"

    def test_of_the_service_itself_counts_more_than_what_the_guard_kept_it_from(self) -> None:
        answer = {"ok": False, "status": 503, "refused": ["it would read a file"], "said": []}

        refusal = judge_answer(answer, URL)

        assert refusal is not None
        assert (refusal.fault, refusal.text) == (Fault.DEFERRED, "503 Service Unavailable")

    def test_that_no_service_understands_is_for_good(self) -> None:
        refusal = judge_answer({"ok": False, "wrong": "no service understands this"}, URL)

        assert refusal is not None
        assert refusal.fault is Fault.REFUSED

    def test_is_told_without_the_address(self) -> None:
        said = [f"failed to send to {URL}", "T0KEN of hooks.example.com is not valid"]

        refusal = judge_answer({"ok": False, "status": 500, "said": said}, URL)

        assert refusal is not None
        assert refusal.text == (
            f"500 Internal Server Error: failed to send to {HIDDEN}: {HIDDEN} of {HIDDEN} is not "
            "valid"
        )

    @given(
        st.dictionaries(
            st.sampled_from(["ok", "status", "refused", "wrong", "said"]),
            st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()),
        )
    )
    def test_of_any_shape_is_judged(self, answer: dict[str, Any]) -> None:
        refusal = judge_answer(answer, URL)

        assert (refusal is None) == (answer.get("ok") is True)


class TestTheMask:
    @given(
        st.lists(st.from_regex(r"[A-Za-z0-9]{4,20}", fullmatch=True), min_size=1, max_size=5),
        st.text(max_size=20),
        st.text(max_size=20),
    )
    def test_leaves_no_part_of_an_address(self, parts: list[str], before: str, after: str) -> None:
        url = "slack://" + "/".join(parts)

        for part in (*parts, url):
            text = masked(f"{before}{part}{after}", url)
            assert part.casefold() not in text.casefold() or part.casefold() in HIDDEN

    def test_hides_what_is_written_in_another_way(self) -> None:
        assert "s3cr et" not in masked("token 's3cr et'", URL)

    def test_leaves_the_rest_as_it_is(self) -> None:
        assert masked("Page not found., error=404.", URL) == "Page not found., error=404."
