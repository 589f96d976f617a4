"""model/cascade/llm/llama_cpp.py on the real models."""

import itertools
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest
from jsonschema import Draft202012Validator

from vivavoce.model.cascade.llm import CONTEXT_FULL, Piece, Prompt, Stopped
from vivavoce.model.cascade.llm import llama_cpp as llama
from vivavoce.model.cascade.llm.llama_cpp import LlamaModel, LlamaSlot
from vivavoce.model.dialogue import Item, Message, TextToken, Tool, ToolCall, Working
from vivavoce.model.errors import DamagedModel, DialogueError, MissingModel
from vivavoce.model.store import Store
from vivavoce.model.tool_schemas import checkable

pytestmark = [pytest.mark.models, pytest.mark.slow]

BRIEF = "You are a voice assistant. Answer in one short sentence."
WEATHER = Tool(
    "weather",
    "The weather in a city",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
TIMER = Tool(
    "timer",
    "Starts a timer",
    {"type": "object", "properties": {"seconds": {"type": "integer"}}, "required": ["seconds"]},
)
PATIENCE = 120.0


@pytest.fixture(scope="module")
def model(models: Store) -> Iterator[LlamaModel]:
    """The default model, with two slots."""
    (file,) = models.path("qwen2.5-0.5b").glob("*.gguf")
    model = LlamaModel(file, slots=2, threads=2)
    yield model
    model.close()


@pytest.fixture(scope="module")
def small(models: Store) -> Path:
    """The fast tier's file."""
    (file,) = models.path("smollm2-135m").glob("*.gguf")
    return file


@pytest.fixture
def slot(model: LlamaModel) -> Iterator[LlamaSlot]:
    slot = model.open()
    yield slot
    slot.close()


def prompt_of(*texts: str, tools: tuple[Tool, ...] = (), choice: str = "auto") -> Prompt:
    items: list[Item] = [Message(str(n), "assistant" if n % 2 else "user", text) for n, text in enumerate(texts)]
    return Prompt(BRIEF, tuple(items), tools, choice)


def answer(
    slot: LlamaSlot, prompt: Prompt, max_tokens: int = 40, on_piece: Callable[[int], None] = lambda count: None
) -> tuple[list[Piece], Stopped]:
    """All pieces but the last, and the last. `on_piece` is called with the number of pieces so far."""
    queue = SimpleQueue[Piece]()
    slot.generate(prompt, max_tokens, queue.put)
    pieces: list[Piece] = []
    while not isinstance(piece := queue.get(timeout=PATIENCE), Stopped):
        if not isinstance(piece, Working):
            pieces.append(piece)
            on_piece(len(pieces))
    return pieces, piece


def word(queue: SimpleQueue[Piece]) -> Piece:
    """The next piece that is no sign of life."""
    while isinstance(piece := queue.get(timeout=PATIENCE), Working):
        pass
    return piece


def words(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, TextToken))


def calls(pieces: list[Piece]) -> list[tuple[str, dict[str, object]]]:
    """The complete calls, with their arguments parsed."""
    texts = dict[str, str]()
    complete = []
    for piece in pieces:
        assert isinstance(piece, ToolCall)
        texts[piece.call_id] = texts.get(piece.call_id, "") + piece.arguments
        if piece.final:
            complete.append((piece.name, json.loads(texts[piece.call_id])))
    assert len(complete) == len(texts)
    return complete


def test_a_question_gets_its_answer_and_the_same_one_again(slot: LlamaSlot) -> None:
    prompt = prompt_of("What is the capital of France?")
    first, stopped = answer(slot, prompt)
    assert "Paris" in words(first)
    assert stopped.reason == "stop"
    assert stopped.usage.input_text > 20
    assert stopped.usage.output_text >= sum(isinstance(piece, TextToken) for piece in first)
    assert words(answer(slot, prompt)[0]) == words(first)


def test_a_second_turn_has_the_first_cached(slot: LlamaSlot) -> None:
    first, before = answer(slot, prompt_of("My name is Anna."))
    second, after = answer(slot, prompt_of("My name is Anna.", words(first), "What is my name?"))
    assert words(second)
    assert after.usage.input_text > before.usage.input_text + before.usage.output_text - 1
    assert after.usage.cached >= before.usage.input_text - 1


def test_a_prompt_that_was_prefilled_is_cached(slot: LlamaSlot) -> None:
    slot.prefill(prompt_of("Please tell me, in a word or two, what they call the biggest of"))
    assert slot._prefill is not None
    slot._prefill.result(PATIENCE)  # an answer that is asked for sooner takes its place
    _, stopped = answer(slot, prompt_of("Please tell me, in a word or two, what they call the biggest of all animals."))
    usage = stopped.usage
    assert usage.input_text - usage.cached < 15
    assert usage.cached > 30


def test_the_limit_cuts_the_reply(slot: LlamaSlot) -> None:
    pieces, stopped = answer(slot, prompt_of("Count from one to fifty."), max_tokens=5)
    assert stopped.reason == "length"
    assert stopped.usage.output_text == 5
    assert 1 <= len(pieces) <= 5


def test_a_cancelled_reply_ends_within_a_token(slot: LlamaSlot) -> None:
    queue, after = SimpleQueue[Piece](), 0
    generation = slot.generate(prompt_of("Tell me a long story of a king."), 400, queue.put)
    for _ in range(3):
        assert isinstance(word(queue), TextToken)
    waiting = queue.qsize()
    generation.cancel()
    generation.cancel()
    while not isinstance(piece := word(queue), Stopped):
        after += 1
    assert piece.reason == "cancelled"
    assert after - waiting <= 1


def test_a_new_reply_cancels_the_one_before(slot: LlamaSlot) -> None:
    queue = SimpleQueue[Piece]()
    slot.generate(prompt_of("Tell me a long story of a king."), 400, queue.put)
    word(queue)
    pieces, stopped = answer(slot, prompt_of("What is the capital of France?"))
    assert stopped.reason == "stop"
    assert "Paris" in words(pieces)
    while not isinstance(piece := queue.get(timeout=PATIENCE), Stopped):
        pass
    assert piece.reason == "cancelled"


def test_a_reply_that_is_cancelled_before_it_begins_says_nothing(slot: LlamaSlot) -> None:
    blocked, queue = SimpleQueue[Piece](), SimpleQueue[Piece]()
    slot.generate(prompt_of("Tell me a long story of a king."), 400, blocked.put)
    slot.generate(prompt_of("Hello"), 10, queue.put).cancel()
    assert queue.get(timeout=PATIENCE) == Stopped("cancelled")


@pytest.mark.parametrize(
    ("choice", "question", "allowed"),
    [
        ("required", "What is the weather in Rome?", {"weather", "timer"}),
        ("timer", "I have to boil an egg for two minutes. It is cold in Rome.", {"timer"}),
    ],
)
def test_a_call_is_always_valid(slot: LlamaSlot, choice: str, question: str, allowed: set[str]) -> None:
    pieces, stopped = answer(slot, prompt_of(question, tools=(WEATHER, TIMER), choice=choice), max_tokens=160)
    assert stopped.reason == "stop"
    assert calls(pieces)
    for name, arguments in calls(pieces):
        assert name in allowed
        assert [type(value) for value in arguments.values()] == [str if name == "weather" else int]


def test_with_tools_the_model_may_still_talk(slot: LlamaSlot) -> None:
    pieces, _ = answer(slot, prompt_of("Tell me who you are, please.", tools=(TIMER,)))
    assert words(pieces) or calls(pieces)
    pieces, _ = answer(slot, prompt_of("Set a timer of ten seconds.", tools=(TIMER,), choice="none"))
    assert words(pieces)


def of(field: dict[str, object]) -> dict[str, object]:
    return {"type": "object", "properties": {"x": field}, "required": ["x"]}


@pytest.mark.parametrize(
    "parameters",
    [
        of({"type": "string", "pattern": "^(?!\\.)[a-z.]+$"}),
        of({"type": "string", "format": "phone"}),
        {"type": "OBJECT", "properties": {"x": {"type": "STRING"}}, "required": ["x"]},
        of({"type": "array", "items": {"type": "string"}, "uniqueItems": True}),
        of({"type": "string"}) | {"required": ["x", "y"]},
        of({"$ref": "#/$defs/City"}) | {"$defs": {"City": {"enum": ["zq-17", "zq-18"]}}},
        {"type": "object", "properties": {"x": {"type": "string"}, "next": {"$ref": "#"}}, "required": ["x"]},
        of({"oneOf": [{"type": "integer", "multipleOf": 5}, {"type": "null"}]}),
    ],
)
def test_a_call_comes_whatever_keywords_the_schema_has(slot: LlamaSlot, parameters: dict[str, object]) -> None:
    tool = Tool("set_it", "Sets the light.", parameters)
    prompt = prompt_of("Please set the light in Paris to 5.", tools=(tool,), choice="required")
    pieces, stopped = answer(slot, prompt, max_tokens=160)
    if stopped.reason == "error":  # a small model may fail twice to find a value that only the check knows
        assert "in a way that does not fit" in stopped.error
        return
    assert stopped.reason == "stop"
    for name, arguments in calls(pieces):
        assert name == "set_it"
        Draft202012Validator(checkable(parameters)).validate(arguments)


def test_an_invalid_schema_is_an_error_instead_of_a_wrong_call(slot: LlamaSlot) -> None:
    nonsense = Tool("qqxz", "The weather in a city", {"type": "object", "properties": {"a": {"type": "nonsense"}}})
    pieces, stopped = answer(
        slot, prompt_of("What is the weather in Rome?", tools=(nonsense,), choice="required"), max_tokens=60
    )
    assert not pieces
    assert "parameters.properties.a.type is no type of a JSON schema: 'nonsense'" in stopped.error


def test_a_conversation_that_is_too_long_loses_its_beginning(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama, "SLOT_TOKENS", 512)
    monkeypatch.setattr(llama, "MAX_CHARS", 1200)
    model = LlamaModel(small, slots=1, threads=2)
    slot = model.open()
    try:
        _, stopped = answer(slot, prompt_of(*["word " * 20] * 41), max_tokens=3)
        assert stopped.reason in ("length", "stop")
        assert 100 < stopped.usage.input_text < 400
        _, stopped = answer(slot, prompt_of(*["語" * 70] * 15), max_tokens=3)  # several tokens a character
        assert stopped.reason in ("length", "stop")
        assert stopped.usage.input_text < 512
        _, stopped = answer(slot, prompt_of("語" * 1000), max_tokens=3)
        assert (stopped.reason, stopped.error) == ("error", CONTEXT_FULL)
    finally:
        slot.close()
        model.close()


def test_slots_are_released_once(model: LlamaModel) -> None:
    slots = [model.open(), model.open()]
    with pytest.raises(DialogueError, match="places of the language model are taken"):
        model.open()
    slots[0].close()
    slots[0].close()
    slots[0] = model.open()
    with pytest.raises(DialogueError):
        model.open()
    for slot in slots:
        slot.close()


def test_two_conversations_do_not_mix(model: LlamaModel) -> None:
    first, second = model.open(), model.open()
    queue = SimpleQueue[Piece]()
    first.generate(prompt_of("My name is Anna. What is my name?"), 20, queue.put)
    pieces, _ = answer(second, prompt_of("My name is Bruno. What is my name?"), max_tokens=20)
    said = ""
    while not isinstance(piece := queue.get(timeout=PATIENCE), Stopped):
        said += words([piece])
    first.close()
    second.close()
    assert said
    assert "Bruno" not in said
    assert words(pieces)
    assert "Anna" not in words(pieces)


# --- long prompts --------------------------------------------------------------------------------------------------

PEARS = "We sell apples and pears at fair prices. "
LONG = Prompt(f"You are a shop assistant. {PEARS * 450}", prompt_of("Hello").items)
"""4 500 tokens: a minute and a half on one thread."""


def until_stopped(queue: SimpleQueue[Piece]) -> list[Piece]:
    pieces = [queue.get(timeout=PATIENCE)]
    while not isinstance(pieces[-1], Stopped):
        pieces.append(queue.get(timeout=PATIENCE))
    return pieces


@pytest.fixture
def alone(small: Path) -> Iterator[LlamaModel]:
    """A model with one slot."""
    model = LlamaModel(small, slots=1, threads=1)
    yield model
    model.close()


def test_while_a_prompt_is_read_there_are_signs_of_life_and_it_can_be_given_up(
    model: LlamaModel, slot: LlamaSlot
) -> None:
    queue = SimpleQueue[Piece]()
    generation = slot.generate(LONG, 10, queue.put)
    assert [queue.get(timeout=PATIENCE) for _ in range(3)] == [Working()] * 3
    began = time.monotonic()
    generation.cancel()
    assert until_stopped(queue)[-1] == Stopped("cancelled")
    assert time.monotonic() - began < 10, "within a piece, where the whole takes a minute"
    began = time.monotonic()
    pieces, stopped = answer(slot, prompt_of("What is the capital of France?"))
    assert "Paris" in words(pieces)
    assert stopped.reason == "stop"


def test_closing_returns_at_once_and_the_next_conversation_has_the_slot(alone: LlamaModel) -> None:
    slot, queue = alone.open(), SimpleQueue[Piece]()
    slot.prefill(LONG)
    slot.generate(LONG, 10, queue.put)
    assert queue.get(timeout=PATIENCE) == Working()
    began = time.monotonic()
    slot.close()
    following = alone.open()
    assert time.monotonic() - began < 0.1
    assert words(answer(following, prompt_of("Hello"), max_tokens=3)[0])
    assert time.monotonic() - began < 20
    assert until_stopped(queue)[-1] == Stopped("cancelled")
    following.close()


def test_a_reply_does_not_wait_until_another_prompt_is_read(alone: LlamaModel) -> None:
    slot = alone.open()
    slot.prefill(LONG)
    time.sleep(0.5)
    began = time.monotonic()
    assert words(answer(slot, prompt_of("Hello"), max_tokens=3)[0])
    assert time.monotonic() - began < 20
    slot.close()


def test_what_a_prompt_that_was_given_up_has_in_common_with_the_next_is_not_read_again(alone: LlamaModel) -> None:
    slot = alone.open()
    start = "word " * 400
    slot.prefill(prompt_of(start))
    for number in range(4):
        time.sleep(0.2)
        slot.prefill(prompt_of(f"{start} and {number}"))
    _, stopped = answer(slot, prompt_of(f"{start} and 3 more?"), max_tokens=2)
    assert stopped.usage.cached >= 60, "one piece at least"
    slot.close()


SUBJECTS = "order invoice shipping return complaint appointment contract payment address warranty".split()  # noqa: SIM905
SUBJECTS += "product stock store price coupon loyalty newsletter account password delivery".split()  # noqa: SIM905
FUNCTIONS = tuple(
    Tool(
        f"get_{name}_information",
        f"Retrieves the {name} information of a customer. Use it when the caller asks about the {name}.",
        {
            "type": "object",
            "properties": {
                "customer_id": {"type": "string", "description": "The customer's identifier, eight digits."},
                "channel": {"type": "string", "enum": ["phone", "email", "store"]},
            },
            "required": ["customer_id"],
        },
    )
    for name in SUBJECTS
)


@pytest.mark.parametrize(
    ("instructions", "tools", "fits"),
    [
        ("Be kind.", (), True),
        (PEARS * 195, FUNCTIONS, True),
        (PEARS * 600, (), False),
        ("word " * 13_000, (), False),
        ("語" * 5_000, (), True),
        ("語" * 6_000, (), False),
    ],
)
def test_it_is_known_beforehand_what_fits(
    model: LlamaModel, instructions: str, tools: tuple[Tool, ...], fits: bool
) -> None:
    until = time.monotonic() + PATIENCE
    while not model.counter.exact and time.monotonic() < until:
        time.sleep(0.1)
    began = time.monotonic()
    assert model.fits(Prompt(instructions, (), tools)) is fits
    assert time.monotonic() - began < 1


def threads_of_the_process() -> int:
    return len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else threading.active_count()


def memory() -> int:
    """Resident bytes of this process that are not shared."""
    pages = Path("/proc/self/statm").read_text().split()
    return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE")


def growth(sizes: list[int]) -> float:
    """What is added each time: the median of the slopes between any two (Theil and Sen). An allocator that takes a
    large piece once, or gives one back, does not change it."""
    pairs = itertools.combinations(enumerate(sizes), 2)
    return statistics.median((later - earlier) / (n - m) for (m, earlier), (n, later) in pairs)


CLOSED_AT_ONCE = """
import os, sys
from pathlib import Path
from vivavoce.model.cascade.llm import llama_cpp

if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core: threads begin late
for _ in range(12):
    llama_cpp._load(Path(sys.argv[1]), 1, 1, counts=True)
print("closed")
"""


def test_a_model_that_is_closed_at_once_ends(small: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLOSED_AT_ONCE, small], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.stdout == "closed\n"


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="reads Linux' /proc")
def test_closing_frees_threads_memory_and_socket_and_prints_nothing(
    small: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def use() -> None:
        model = LlamaModel(small, slots=1, threads=2)
        slot = model.open()
        answer(slot, prompt_of("Hello"), max_tokens=3)
        slot.close()
        model.close()

    use()  # allocates what stays for the process
    baseline, files = threads_of_the_process(), len(os.listdir("/proc/self/fd"))
    held = []
    for _ in range(7):
        use()
        held.append(memory())
    end = time.monotonic() + 5
    while threads_of_the_process() > baseline and time.monotonic() < end:
        time.sleep(0.01)  # the kernel's list of threads lags behind
    assert threads_of_the_process() <= baseline
    assert growth(held) < 10e6, "of the 98 MB of the model and the memory of its context"
    assert len(os.listdir("/proc/self/fd")) == files
    assert capfd.readouterr() == ("", "")


def test_conversations_are_dealt_out_to_copies_and_keep_their_own_cache(small: Path) -> None:
    model = LlamaModel(small, slots=3, threads=1, copies=2)
    try:
        slots = [model.open() for _ in range(3)]
        with pytest.raises(DialogueError, match="taken"):
            model.open()
        prompts = [prompt_of(f"My name is {name}. What is my name?") for name in ("Anna", "Bob", "Carl")]
        for _ in range(2):  # all at the same time, and once more
            queues = [SimpleQueue[Piece]() for _ in slots]
            for prompt, slot, queue in zip(prompts, slots, queues, strict=True):
                slot.generate(prompt, 5, queue.put)
            ends = []
            for queue in queues:
                while not isinstance(piece := queue.get(timeout=PATIENCE), Stopped):
                    pass
                ends.append(piece)
        assert all(end.usage.cached >= end.usage.input_text - 1 for end in ends), "its own words, and in its own copy"
        assert model.lateness > -1, "three that answer at the same time are timed"
        for slot in slots:
            slot.close()
        first, second = model.open(), model.open()
        assert {first.number % 2, second.number % 2} == {0, 1}, "two conversations never share a copy while one is free"
        first.close()
        second.close()
    finally:
        model.close()


def test_a_long_prefill_does_not_count_as_lateness(small: Path) -> None:
    model = LlamaModel(small, slots=2, threads=1)
    one, other = model.open(), model.open()
    began = time.monotonic()
    _, stopped = answer(one, prompt_of("word " * 300 + "What is this?"), max_tokens=2)
    assert stopped.usage.input_text - stopped.usage.cached > 300
    took = time.monotonic() - began
    assert model.lateness <= max(0.0, took - llama.FIRST_TOKEN - 300 * llama.READ)
    one.close()
    other.close()
    model.close()


def test_a_conversation_alone_is_never_late(small: Path) -> None:
    model = LlamaModel(small, slots=2, threads=1)
    slot = model.open()
    answer(slot, prompt_of("word " * 300 + "What is this?"), max_tokens=2)
    assert model.lateness == 0.0
    slot.close()
    model.close()


def listening_sockets() -> set[str]:
    """TCP sockets of this process that take connections, as Linux names them."""
    links = {f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")}
    own = {os.readlink(link) for link in links if os.path.lexists(link)}
    lines = [line for table in ("tcp", "tcp6") for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]]
    listening = {f"socket:[{line.split()[9]}]" for line in lines if line.split()[3] == "0A"}
    return own & listening


@pytest.mark.skipif(not os.path.isdir("/proc/self/net"), reason="reads Linux' /proc")
def test_the_model_cannot_be_reached_from_outside(models: Store) -> None:
    before = listening_sockets()
    another = LlamaModel(next(models.path("smollm2-135m").glob("*.gguf")), slots=1, threads=1)
    assert listening_sockets() <= before, "listens on a port"
    another.close()
    names = [line.split()[-1] for line in Path("/proc/self/net/unix").read_text().splitlines() if "vivavoce-" in line]
    assert not [name for name in names if os.path.exists(name)]


def test_a_file_that_is_missing_or_not_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingModel, match=r"none\.gguf"):
        LlamaModel(tmp_path / "none.gguf", 1, 1)
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + bytes(1000))
    with pytest.raises(DamagedModel, match=r"bad\.gguf cannot be loaded"):
        LlamaModel(tmp_path / "bad.gguf", 1, 1)
