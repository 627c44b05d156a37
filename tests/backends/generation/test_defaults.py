"""What is sampled where the client says nothing."""

from __future__ import annotations

from hoonify_backends.generation.defaults import SamplingDefaults, default_sampling
from hoonify_backends.generation.sampling import Sampling
from hoonify_backends.onnxruntime.model_folder import Search

SEARCH = Search(do_sample=True, temperature=0.3, top_k=40, top_p=0.9, repetition_penalty=1.1)


def test_the_models_own_sampling_counts_where_nobody_says_anything() -> None:
    """The operator's wish wins over it, a zero too."""
    assert default_sampling(SamplingDefaults(), SEARCH) == Sampling(0.3, 0.9, 40, 0.0, 1.1)
    own = SamplingDefaults(temperature=0.0, top_k=0, min_p=0.1, repetition_penalty=1.0)
    assert default_sampling(own, SEARCH) == Sampling(0.0, 0.9, 0, 0.1, 1.0)


def test_a_model_that_is_not_sampled_is_greedy_by_default() -> None:
    """Its other numbers say nothing then, and do not limit a client that wants randomness."""
    search = Search(do_sample=False, temperature=0.7, top_k=1, top_p=0.5)
    assert default_sampling(SamplingDefaults(), search) == Sampling(temperature=0.0)
    assert default_sampling(SamplingDefaults(), Search()) == Sampling(temperature=0.0)


def test_a_penalty_counts_for_a_greedy_model_too() -> None:
    """It changes which token is the likeliest."""
    search = Search(do_sample=False, repetition_penalty=1.2)
    wanted = Sampling(temperature=0.0, repetition_penalty=1.2)
    assert default_sampling(SamplingDefaults(), search) == wanted
