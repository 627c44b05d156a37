"""Measure the published ONNX file on prompts that training never saw.

    python evaluate.py onnx

Prints a table and fixed chats, and exits with 1 when a kind is below its bar. Decoding is greedy
and runs on plain onnxruntime, so the same file gives the same table.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when onnxruntime is imported

import numpy as np
import onnxruntime
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from corpus import chat, knowledge, skills, system, unknown
from corpus.conversation import Message, messages_of
from corpus.draw import Draw, Turn

BAR = 0.95
LONGEST_ANSWER = 160


class Engine:
    """A greedy decoder for many prompts at once."""

    def __init__(self, folder: Path, threads: int) -> None:
        settings = json.loads((folder / "genai_config.json").read_text())["model"]
        decoder = settings["decoder"]
        self.end = settings["eos_token_id"]
        self.layers = decoder["num_hidden_layers"]
        self.kv_shape = (decoder["num_key_value_heads"], 0, decoder["head_size"])
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        template = (folder / "chat_template.jinja").read_text()
        self.template = ImmutableSandboxedEnvironment().from_string(template)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            folder / "model.onnx", options, providers=["CPUExecutionProvider"]
        )
        self.outputs = [output.name for output in self.session.get_outputs()]

    def answer(self, chats: Sequence[list[Message]], rows: int = 48) -> list[str]:
        """Return one answer per chat."""
        prompts = [
            self.tokenizer.encode(
                self.template.render(messages=messages, add_generation_prompt=True)
            ).ids
            for messages in chats
        ]
        by_length: dict[int, list[int]] = defaultdict(list)
        for index, prompt in enumerate(prompts):
            by_length[len(prompt)].append(index)
        answers = [""] * len(chats)
        # Prompts of one length need no padding, hence no mask tricks.
        for same in by_length.values():
            for start in range(0, len(same), rows):
                group = same[start : start + rows]
                for index, ids in zip(
                    group, self._decode([prompts[i] for i in group]), strict=True
                ):
                    answers[index] = self.tokenizer.decode(ids)
        return answers

    def _decode(self, prompts: list[list[int]]) -> list[list[int]]:
        ids = np.array(prompts, dtype=np.int64)
        written: list[list[int]] = [[] for _ in prompts]
        live = np.arange(len(prompts))
        past = [np.zeros((len(prompts), *self.kv_shape), np.float32)] * (2 * self.layers)
        total = ids.shape[1]
        for _ in range(LONGEST_ANSWER):
            feed = {"input_ids": ids, "attention_mask": np.ones((len(live), total), np.int64)}
            for layer in range(self.layers):
                feed[f"past_key_values.{layer}.key"] = past[2 * layer]
                feed[f"past_key_values.{layer}.value"] = past[2 * layer + 1]
            result = dict(zip(self.outputs, self.session.run(None, feed), strict=True))
            best = result["logits"][:, -1].argmax(-1)
            going = best != self.end
            for row, token in zip(live[going], best[going], strict=True):
                written[row].append(int(token))
            live, ids, total = live[going], best[going][:, None], total + 1
            if not len(live):
                break
            past = [
                result[f"present.{layer}.{part}"][going]
                for layer in range(self.layers)
                for part in ("key", "value")
            ]
        return written


@dataclass(frozen=True)
class Case:
    """One prompt and the test of its answer."""

    messages: list[Message]
    passes: Callable[[str], bool]
    expected: str


def ask(turns: list[Turn], rule: str = "", passes: Callable[[str], bool] | None = None) -> Case:
    """Ask the last turn after the others; by default the answer must be a goal, word for word."""
    goals = turns[-1].goals
    return Case(messages_of(turns, rule)[:-1], passes or (lambda answer: answer in goals), goals[0])


HONEST = {
    unknown.ONLY,
    unknown.FACTS,
    unknown.OPINION,
    unknown.NOW,
    unknown.ADVICE,
    unknown.CODE,
    unknown.WRITING,
    unknown.LANGUAGE,
    unknown.SUMS,
}


def greet(draw: Draw) -> Case:
    """A greeting is returned and help is offered."""

    def sensible(answer: str) -> bool:
        return answer.startswith(("Hello!", "Hi!", "Good ")) and answer.endswith("help you?")

    return ask([draw.take(chat.greeting)], passes=sensible)


def not_known(draw: Draw) -> Case:
    """Any of the honest sentences will do."""
    return ask([draw.take(unknown.unknown)], passes=HONEST.__contains__)


def follow(draw: Draw) -> Case:
    """The last question says only ``it`` or less."""
    return ask(knowledge.with_follow_ups(draw))


def spell(draw: Draw) -> Case:
    """All letters are right, in the right order."""
    turn = draw.take(skills.spell)
    return ask([turn], passes=lambda answer: answer.rstrip(".").endswith(f" {turn.goals[0]}"))


def between(draw: Draw, count: int) -> list[Turn]:
    """Draw other turns that may stand between a name and its recall."""
    tasks = (
        chat.greeting,
        chat.small_talk,
        knowledge.meaning,
        knowledge.fact,
        skills.add,
        skills.count,
        skills.repeat,
        unknown.unknown,
    )
    return [draw.choice(tasks)(draw) for _ in range(count)]


def name(draw: Draw, turns: int) -> Case:
    """The name comes back after other turns."""
    known = draw.take(lambda d: chat.introduction(d, d.first_name()))
    return ask([known, *between(draw, turns), chat.recall(draw, known.key)])


def any_prompt(draw: Draw) -> Turn:
    """Draw a held-out prompt with a fixed right answer, for the system rules."""
    tasks = (chat.greeting, chat.identity, knowledge.meaning, knowledge.fact, skills.add)
    return draw.take(draw.choice(tasks))


def upper(draw: Draw) -> Case:
    """The whole answer is right and in upper case."""
    return ask([any_prompt(draw).changed(str.upper)], system.upper_rule(draw))


def closing(draw: Draw) -> Case:
    """The whole answer is right and ends with the word that was asked for."""
    rule, word = system.closing_rule(draw)
    return ask([any_prompt(draw).changed(lambda text: f"{text} {word}.")], rule)


def persona(draw: Draw) -> Case:
    """The name, and the role if there is one, is that of the system message."""
    rule, who = system.persona_rule(draw)
    turn = draw.take(lambda d: chat.identity(d, who))
    while who.name not in turn.assistant:
        turn = draw.take(lambda d: chat.identity(d, who))
    return ask([turn], rule)


def tool(draw: Draw) -> Case:
    """The result of a tool is stated."""
    asked, found, said = system.tool_result(draw)
    return Case(
        [{"role": "user", "content": asked}, {"role": "tool", "content": found}],
        lambda answer: answer == said,
        said,
    )


def secret(draw: Draw) -> Case:
    """A fact of the system message is told."""
    rule, word = system.secret_rule(draw)
    return ask([system.secret(draw, word)], rule)


def single(task: Callable[[Draw], Turn]) -> Callable[[Draw], Case]:
    """Ask one held-out question and want the answer word for word."""
    return lambda draw: ask([draw.take(task)])


# What must work, and what is only shown.
REQUIRED: dict[str, Callable[[Draw], Case]] = {
    "greets": greet,
    "says what it is": single(chat.identity),
    "explains LLM serving": single(knowledge.meaning),
    "why and examples, asked by name": single(knowledge.direct_reason),
    "answers about the router": single(knowledge.fact),
    "follow-up that needs the history": follow,
    "counts": single(skills.count),
    "repeats": single(skills.repeat),
    "spells": spell,
    "adds, 0 to 20": single(skills.add),
    "subtracts, 0 to 20": single(skills.subtract),
    "recalls the user's name, next turn": lambda draw: name(draw, 0),
    "recalls the user's name, 1 to 3 turns later": lambda draw: name(draw, draw.randint(1, 3)),
    "system: upper case": upper,
    "system: another name": persona,
    "system: closing word": closing,
    "says that it does not know": not_known,
}
SHOWN: dict[str, Callable[[Draw], Case]] = {
    "states the result of a tool": tool,
    "system: secret word": secret,
    "small talk": lambda draw: ask([chat.small_talk(draw)]),
    "three things": lambda draw: ask([chat.three_things(draw)]),
    "capitals": single(chat.capital),
    "small JSON object": single(chat.json_object),
}

CHATS: tuple[tuple[str, ...], ...] = (
    ("Hello!",),
    ("hi",),
    ("Good morning",),
    ("Who are you?",),
    ("what is your name",),
    ("Who made you?",),
    ("What can you do?",),
    ("What is an inference router?",),
    ("What is Hoonify Router?",),
    ("What is a KV cache?", "Why is it useful?", "Give an example."),
    ("What is a token?", "Why?"),
    ("How do I move a model to another engine?", "Why is it useful?"),
    ("What is 7 + 5?",),
    ("what is 12 minus 5",),
    ("8+9",),
    ("Count to ten",),
    ("Count to 5.",),
    ("Count down from 10.",),
    ("Spell router",),
    ("How do you spell 'tokenizer'?",),
    ("Say this is a test",),
    ("Repeat after me: the quick brown fox",),
    ("My name is Ada", "What is a token?", "Tell me a joke.", "What is my name?"),
    ("What is my name?",),
    ("Who won the world cup in 1998?",),
    ("Why is the sky blue?",),
    ("Write a Python function that sorts a list.",),
    ("What is the weather today?",),
    ("What do you think about politics?",),
    ("Translate cat to French.",),
    ("What is 120 + 45?",),
    ("Name three animals.",),
    ("What is the capital of France?",),
    ("Thank you!", "Bye"),
)


def talk(engine: Engine) -> None:
    """Print the fixed chats with the answers of the model."""
    for questions in CHATS:
        messages: list[Message] = []
        for question in questions:
            messages.append({"role": "user", "content": question})
            answer = engine.answer([messages])[0]
            messages.append({"role": "assistant", "content": answer})
            print(f"> {question}\n  {answer}")


def measure(engine: Engine, count: int, seed: int, failures: int) -> bool:
    """Print the table; return whether every required kind reaches the bar."""
    print("| kind | right | of | share |\n|---|---|---|---|")
    good = True
    for kind, make in {**REQUIRED, **SHOWN}.items():
        draw = Draw(seed, held_out=True)
        cases = [make(draw) for _ in range(count)]
        answers = engine.answer([case.messages for case in cases])
        wrong = [
            (case, answer)
            for case, answer in zip(cases, answers, strict=True)
            if not case.passes(answer)
        ]
        right = count - len(wrong)
        note = "" if kind in REQUIRED else " (no bar)"
        print(f"| {kind}{note} | {right} | {count} | {right / count:.1%} |", flush=True)
        good = good and (kind in SHOWN or right >= BAR * count)
        for case, answer in wrong[:failures]:
            print(f"    {case.messages[-1]['content']!r}: {answer!r}, not {case.expected!r}")
    return good


def main() -> int:
    """Read the command line, measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=240, help="prompts per kind")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--failures", type=int, default=0, help="wrong answers to print per kind")
    parser.add_argument("--chats", action="store_true", help="print the fixed chats as well")
    choice = parser.parse_args()
    engine = Engine(choice.folder, choice.threads)
    good = measure(engine, choice.count, choice.seed, choice.failures)
    if choice.chats:
        talk(engine)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
