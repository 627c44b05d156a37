"""Build the byte-level BPE tokenizer from generated conversations.

    python tokenizer.py work/tokenizer

A small vocabulary makes most words two or three short tokens, which helps spelling and copying.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from corpus.conversation import stream

VOCABULARY = 1280
CONTEXT = 1024
CONVERSATIONS = 30_000
SEED = 77  # not a seed of the training stream
PAD, END = 0, 1
ROLES = {"system": 2, "user": 3, "assistant": 4, "tool": 5}
SPECIAL = ["<|pad|>", "<|end|>"] + [f"<|{role}|>" for role in ROLES]
TEMPLATE = Path(__file__).with_name("chat_template.jinja")

# A word with the mark or space before it, one number of up to two digits (so that every number of
# the sums is one token), a run of marks, white space.
SPLIT = r"[^\r\n\p{L}\p{N}]?\p{L}+| ?\p{N}{1,2}| ?[^\s\p{L}\p{N}]+|\s*[\r\n]+|\s+(?!\S)|\s+"


def texts() -> Iterator[str]:
    """Yield the text of every message."""
    for conversation in islice(stream(SEED), CONVERSATIONS):
        for message in conversation:
            yield message["content"]
    # Results of sums above twenty are rare in the text, but each should be one token as well.
    for _ in range(500):
        yield ", ".join(str(number) for number in range(41))


def train() -> Tokenizer:
    """Train the tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.train_from_iterator(
        texts(),
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=SPECIAL,
            show_progress=False,
            min_frequency=3,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """Write the files from which every engine loads the tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    template = TEMPLATE.read_text()
    names = {
        "eos_token": "<|end|>",
        "pad_token": "<|pad|>",
        "additional_special_tokens": SPECIAL[2:],
    }
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": CONTEXT,
        "clean_up_tokenization_spaces": False,
        "bos_token": None,
        "unk_token": None,
        "add_bos_token": False,
        **names,
        "added_tokens_decoder": {
            str(index): {
                "content": text,
                "lstrip": False,
                "normalized": False,
                "rstrip": False,
                "single_word": False,
                "special": True,
            }
            for index, text in enumerate(SPECIAL)
        },
        "chat_template": template,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n")
    (folder / "special_tokens_map.json").write_text(json.dumps(names, indent=1) + "\n")
    (folder / "chat_template.jinja").write_text(template)


if __name__ == "__main__":
    save(train(), Path(sys.argv[1]))
