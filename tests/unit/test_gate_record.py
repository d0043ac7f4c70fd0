"""What is kept of a server's answers about itself, and for how long it holds."""

from ollamactl.gate.message import AnswerHead, RequestHead
from ollamactl.gate.record import MOST_ANSWERS, MOST_BYTES, Records, key
from ollamactl.gate.uses import asks_what_is_loaded, changes_models, polls

DATED = b"Content-Type: application/json\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
NOW = "Tue, 01 Dec 2026 12:00:00 GMT"


def asked(method: str, target: str, *fields: tuple[bytes, bytes]) -> RequestHead:
    return RequestHead(method.encode(), target.encode(), 1, b"localhost", fields, b"", 0, True, False)


def answer(status: int = 200, length: int | None = None) -> AnswerHead:
    return AnswerHead(status, b"OK", DATED, length, False, True)


def test_who_asks_how_things_are_needs_no_model() -> None:
    for method, target in (
        ("GET", "/"), ("HEAD", "/"), ("GET", "/api/tags"), ("GET", "/api/version?x=1"), ("GET", "/api/ps"),
        ("GET", "/v1/models"), ("GET", "/v1/models/llama3"), ("POST", "/api/show"), ("OPTIONS", "/api/chat"),
        ("GET", "/favicon.ico"),
    ):  # fmt: skip
        assert polls(asked(method, target)), (method, target)
    for method, target in (
        ("POST", "/api/generate"), ("POST", "/api/chat"), ("POST", "/api/embed"), ("POST", "/v1/chat/completions"),
        ("POST", "/v1/messages"), ("POST", "/api/pull"), ("DELETE", "/api/delete"), ("POST", "/"),
        ("HEAD", "/api/blobs/sha256:1"),
    ):  # fmt: skip
        assert not polls(asked(method, target)), (method, target)
    assert asks_what_is_loaded(asked("GET", "/api/ps?x"))
    assert not asks_what_is_loaded(asked("GET", "/api/tags"))


def test_an_answer_is_given_again_with_todays_date() -> None:
    records, tags = Records("print"), asked("GET", "/api/tags")
    records.put(key(tags, b""), answer(), b"{}", to_head=False)

    found = records.get(key(tags, b""))

    assert found
    said = found.answer(tags, NOW, close=False)
    assert (
        said
        == f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: {NOW}\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    )
    assert said.count(b"Date:") == 1


def test_to_head_goes_the_length_of_what_get_would_bring_and_nothing_else() -> None:
    records, head = Records("print"), asked("HEAD", "/")
    records.put(key(head, b""), answer(length=17), b"", to_head=True)

    found = records.get(key(head, b""))

    assert found
    assert found.answer(head, NOW, close=True).endswith(b"Content-Length: 17\r\nConnection: close\r\n\r\n")


def test_another_origin_or_another_model_is_another_question() -> None:
    plain, page = asked("GET", "/api/tags"), asked("GET", "/api/tags", (b"Origin", b"http://a.example"))
    assert key(plain, b"") != key(page, b"")
    assert key(plain, b'{"model":"a"}') != key(plain, b'{"model":"b"}')


def test_errors_that_may_pass_and_long_answers_are_not_kept_and_the_oldest_goes_first() -> None:
    records = Records("print")
    records.put(key(asked("GET", "/a"), b""), answer(500), b"", to_head=False)
    records.put(key(asked("GET", "/b"), b""), answer(), b"x" * (MOST_BYTES + 1), to_head=False)
    assert not records.changed
    for number in range(MOST_ANSWERS + 1):
        records.put(key(asked("GET", f"/{number}"), b""), answer(), b"", to_head=False)
    assert records.get(key(asked("GET", "/0"), b"")) is None
    assert records.get(key(asked("GET", "/1"), b"")) is not None


def test_what_is_not_there_is_kept_until_models_change() -> None:
    records, missing = Records("print"), asked("POST", "/api/show")
    records.put(key(missing, b"x"), answer(404), b"{}", to_head=False)
    assert records.get(key(missing, b"x"))

    records.clear()

    assert records.get(key(missing, b"x")) is None
    assert [changes_models(asked("POST", target)) for target in ("/api/pull", "/api/chat")] == [True, False]


def test_an_answer_is_wanted_once_a_moment_and_again_once_models_have_changed() -> None:
    records, tags = Records("print"), asked("GET", "/api/tags")
    assert [records.wanted(tags, b"", moment) for moment in (1.0, 1.0, 2.0, 2.0)] == [True, False, True, False]
    assert records.wanted(asked("GET", "/"), b"", 2.0)

    records.clear()

    assert records.wanted(tags, b"", 2.0)


def test_what_was_written_down_holds_for_the_same_fingerprint_alone() -> None:
    records, tags = Records("print"), asked("GET", "/api/tags")
    records.put(key(tags, b"x"), answer(), b"\x00\xff", to_head=False)
    same, other, broken = Records("print"), Records("another"), Records("print")
    for each in (same, other):
        each.load(records.dump())
    broken.load(b'{"fingerprint": "print", "answers": [[1]]}')

    assert same.get(key(tags, b"x")) == records.get(key(tags, b"x"))
    assert other.get(key(tags, b"x")) is None
    assert broken.get(key(tags, b"x")) is None
