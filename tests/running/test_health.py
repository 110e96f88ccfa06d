from __future__ import annotations

import pytest

from flowpack.errors import ServingError
from flowpack.running.health import wait_for_health, what_it_said

NOWHERE = "http://127.0.0.1:1"


def test_a_server_that_ends_is_told_in_its_own_words() -> None:
    with pytest.raises(ServingError) as caught:
        wait_for_health(NOWHERE, alive=lambda: False, timeout=60, logs=lambda: "ImportError: no module\n")
    assert "stopped before it was healthy" in caught.value.message
    assert caught.value.detail == "ImportError: no module"


def test_a_server_that_does_not_answer_in_time() -> None:
    with pytest.raises(ServingError) as caught:
        wait_for_health(NOWHERE, alive=lambda: True, timeout=0.2, logs=lambda: "still loading")
    assert "did not answer within 0.2 s" in caught.value.message
    assert caught.value.detail == "still loading"


def test_of_a_long_log_the_end_is_shown_or_the_launcher_s_own_explanation() -> None:
    noise = "\n".join(f"line {number}" for number in range(100))
    assert what_it_said(noise).splitlines()[0] == "line 60"
    explained = f"{noise}\ncannot start: 1 setting is missing\n  KEY  (connection 'c', api_key)\n"
    assert what_it_said(explained) == "cannot start: 1 setting is missing\n  KEY  (connection 'c', api_key)"
