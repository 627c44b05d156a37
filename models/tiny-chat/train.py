"""Train tiny-chat from nothing on conversations that are generated on the way.

    python train.py work

The run is counted in steps, never in seconds, so that a busy machine gives the same recipe. It
saves a checkpoint now and then and goes on from it when started again.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from corpus.conversation import (
    BROAD,
    ENDS_OF_WORDS,
    EVEN,
    EXACT,
    FINISH,
    LETTERS,
    PLAIN_WORDINGS,
    PRACTICE,
    Message,
    Mixture,
    stream,
)
from model import Llama, Shape
from muon import Muon
from tokenizer import END, PAD, ROLES

Example = tuple[list[int], list[bool]]  # tokens, and which of them the model must learn to write


@dataclass(frozen=True)
class Phase:
    """A part of the run: until which step, what is read, and how fast it is learned."""

    until: int
    mixture: Mixture
    copies: float  # share of the batches that are random tokens to repeat
    rates: tuple[float, float]  # share of the full learning rates at the start and at the end


PHASES = (
    Phase(60, BROAD, 0.5, (0.0, 1.0)),
    Phase(350, BROAD, 0.5, (1.0, 1.0)),
    Phase(1000, BROAD, 0.0, (1.0, 1.0)),
    Phase(1120, PRACTICE, 0.35, (1.0, 1.0)),
    Phase(1250, PRACTICE, 0.35, (1.0, 0.93)),
    # From here on the rates are low: before, each step unlearned what others had learned.
    Phase(1500, PRACTICE, 0.1, (0.45, 0.38)),
    Phase(1750, FINISH, 0.03, (0.38, 0.3)),
    Phase(2000, LETTERS, 0.02, (0.33, 0.227)),
    Phase(2250, EVEN, 0.02, (0.227, 0.124)),
    Phase(2580, EXACT, 0.02, (0.15, 0.0)),
    # Without random tokens: they teach to repeat the space before the first word as well.
    Phase(2730, EXACT, 0.0, (0.13, 0.0)),
    Phase(3010, PLAIN_WORDINGS, 0.0, (0.26, 0.0)),
    Phase(3230, ENDS_OF_WORDS, 0.0, (0.26, 0.0)),
)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the outcome of a run."""

    steps: int = PHASES[-1].until
    batch_tokens: int = 6144
    adam_rate: float = 3e-3  # embedding and norms
    muon_rate: float = 0.02  # weight matrices
    seed: int = 1
    conversations: int = 1500  # drawn and sorted by length together


def encode(tokenizer: Tokenizer, conversations: list[list[Message]], limit: int) -> list[Example]:
    """Turn conversations into tokens exactly as the chat template does."""
    encoded = iter(
        tokenizer.encode_batch(
            [message["content"] for messages in conversations for message in messages]
        )
    )
    examples = []
    for messages in conversations:
        ids: list[int] = []
        learn: list[bool] = []
        for message in messages:
            text = next(encoded).ids
            ids += [ROLES[message["role"]], *text, END]
            learn += [False] + [message["role"] == "assistant"] * (len(text) + 1)
        examples.append((ids[:limit], learn[:limit]))
    return examples


def copy_example(
    rng: random.Random, starts: list[list[int]], vocabulary: int, length: int
) -> Example:
    """Repeat random tokens three times.

    Looking back for what came next is the skill behind echoing, names and spelling, and it appears
    much sooner when nothing else can help.
    """
    tokens = [rng.randrange(len(ROLES) + 2 + 256, vocabulary) for _ in range(length)]
    ids: list[int] = []
    learn: list[bool] = []
    for _ in range(3):
        start = [ROLES["user"], *rng.choice(starts), *tokens, END, ROLES["assistant"]]
        ids += [*start, *tokens, END]
        learn += [False] * len(start) + [True] * (len(tokens) + 1)
    return ids, learn


def pad(examples: list[Example]) -> tuple[Tensor, Tensor]:
    """Put examples into one rectangle."""
    width = max(len(ids) for ids, _ in examples)
    ids = torch.full((len(examples), width), PAD)
    learn = torch.zeros((len(examples), width), dtype=torch.bool)
    for row, (tokens, flags) in enumerate(examples):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        learn[row, : len(flags)] = torch.tensor(flags)
    return ids, learn


def batches(
    recipe: Recipe, tokenizer: Tokenizer, limit: int, seed: int, mixture: Mixture
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of conversations of similar length, the same ones for the same seed."""
    rng = random.Random(seed)
    conversations = stream(seed, mixture)
    while True:
        examples = encode(tokenizer, list(islice(conversations, recipe.conversations)), limit)
        examples.sort(key=lambda example: len(example[0]))
        groups: list[list[Example]] = [[]]
        for example in examples:
            # Sorted by length, so the newest one is the widest.
            if len(example[0]) * (len(groups[-1]) + 1) > recipe.batch_tokens:
                groups.append([])
            groups[-1].append(example)
        rng.shuffle(groups)
        for group in groups:
            yield pad(group)


def copy_batches(recipe: Recipe, tokenizer: Tokenizer) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches of random tokens to repeat."""
    rng = random.Random(recipe.seed + 1)
    starts = [tokenizer.encode(text).ids for text in ("Repeat after me:", "Say:", "Echo:", "Spell")]
    while True:
        length = rng.randint(2, 14)
        rows = recipe.batch_tokens // (6 * length + 24)
        yield pad(
            [copy_example(rng, starts, tokenizer.get_vocab_size(), length) for _ in range(rows)]
        )


def mixed(recipe: Recipe, tokenizer: Tokenizer, limit: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the batches of the whole run in order."""
    rng = random.Random(recipe.seed + 2)
    copies = copy_batches(recipe, tokenizer)
    talks = {
        mixture: batches(recipe, tokenizer, limit, recipe.seed + 10 * place, mixture)
        for place, mixture in enumerate(
            (BROAD, PRACTICE, FINISH, LETTERS, EVEN, EXACT, PLAIN_WORDINGS, ENDS_OF_WORDS)
        )
    }
    start = 0
    for phase in PHASES:
        for _ in range(start, phase.until):
            copying = phase.copies and rng.random() < phase.copies
            yield next(copies if copying else talks[phase.mixture])
        start = phase.until


def rate(step: int) -> float:
    """Return the share of the full learning rates at a step."""
    start = 0
    for phase in PHASES:
        if step < phase.until:
            first, last = phase.rates
            return first + (last - first) * (step + 1 - start) / (phase.until - start)
        start = phase.until
    return 0.0


class Training:
    """One run with its network, its optimizers and its folder."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.folder = recipe, folder
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer" / "tokenizer.json"))
        self.model = Llama(Shape(vocabulary=self.tokenizer.get_vocab_size()))
        matrices = [p for p in self.model.layers.parameters() if p.dim() == 2]
        others = [p for p in self.model.parameters() if p.dim() == 1]
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(
                [
                    {"params": [self.model.embed_tokens.weight], "weight_decay": 0.02},
                    {"params": others, "weight_decay": 0.0},
                ],
                lr=recipe.adam_rate,
                betas=(0.9, 0.98),
                eps=1e-9,
            ),
            Muon(matrices, lr=recipe.muon_rate),
        ]
        self.done = 0
        self.tokens = 0
        self.seconds = 0.0
        self.cpu_seconds = 0.0

    @property
    def checkpoint(self) -> Path:
        """Return the file from which an interrupted run goes on."""
        return self.folder / "checkpoint.pt"

    def resume(self) -> None:
        """Go on from the last checkpoint, if there is one."""
        if not self.checkpoint.exists():
            return
        state = torch.load(self.checkpoint, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.done, self.tokens = state["done"], state["tokens"]
        self.seconds, self.cpu_seconds = state["seconds"], state["cpu_seconds"]

    def save(self) -> None:
        """Write the checkpoint and the weights; the rename makes both safe to interrupt."""
        state = {
            "model": self.model.state_dict(),
            "done": self.done,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        fresh = self.checkpoint.with_suffix(".new")
        torch.save(state, fresh)
        fresh.replace(self.checkpoint)
        save_file(
            self.model.hugging_face_weights(),
            self.folder / "weights.new",
            metadata={"format": "pt"},
        )
        (self.folder / "weights.new").replace(self.folder / "weights.safetensors")

    def step(self, ids: Tensor, learn: Tensor) -> float:
        """Learn from one batch and return its loss."""
        share = rate(self.done)
        for optimizer, full in zip(
            self.optimizers, (self.recipe.adam_rate, self.recipe.muon_rate), strict=True
        ):
            for group in optimizer.param_groups:
                group["lr"] = full * share
        wanted = learn[:, 1:]
        hidden = self.model(ids)[:, :-1][wanted]
        loss = F.cross_entropy(self.model.logits(hidden), ids[:, 1:][wanted])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return loss.item()

    def run(self, until: int, save_every: int) -> None:
        """Train up to a step."""
        smooth = 0.0
        wall, cpu = time.monotonic(), time.process_time()
        past_wall, past_cpu = self.seconds, self.cpu_seconds
        stream_of_batches = mixed(self.recipe, self.tokenizer, self.model.shape.context)
        for number, (ids, learn) in enumerate(stream_of_batches):
            if number < self.done:
                continue  # drawn again after a resume, so that the order stays the same
            if self.done >= until:
                break
            loss = self.step(ids, learn)
            self.done += 1
            self.tokens += int((ids != PAD).sum())
            self.seconds = past_wall + time.monotonic() - wall
            self.cpu_seconds = past_cpu + time.process_time() - cpu
            smooth = loss if not smooth else 0.95 * smooth + 0.05 * loss
            if self.done % 25 == 0:
                print(
                    f"step {self.done} loss {smooth:.4f} tokens {self.tokens / 1e6:.2f}M "
                    f"time {self.seconds:.0f}s cpu {self.cpu_seconds:.0f}s",
                    flush=True,
                )
            if self.done % save_every == 0:
                self.save()
        self.save()
        summary = {
            "steps": self.done,
            "tokens": self.tokens,
            "seconds": round(self.seconds),
            "cpu_seconds": round(self.cpu_seconds),
            "loss": round(smooth, 4),
        }
        (self.folder / "summary.json").write_text(json.dumps(summary) + "\n")


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="holds tokenizer/ and receives the weights")
    parser.add_argument("--until", type=int, help="stop early, for a trial")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save-every", type=int, default=250)
    choice = parser.parse_args()
    torch.set_num_threads(choice.threads)
    training = Training(Recipe(), choice.folder)
    training.resume()
    count = sum(p.numel() for p in training.model.parameters())
    print(f"{count:,} parameters, from step {training.done}", flush=True)
    training.run(choice.until or Recipe.steps, choice.save_every)


if __name__ == "__main__":
    main()
