"""Attention on PyTorch tensors, and inside a model of the transformers library; on the CPU, in Triton's interpreter.

Needs the extra `[torch]`; Triton must not have been imported without its interpreter, so the tests run in a process that
sets TRITON_INTERPRET=1 first.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

pytestmark = pytest.mark.slow

HAS_TORCH = all(find_spec(name) for name in ("torch", "transformers", "triton"))
IS_INSIDE = os.environ.get("TRITON_INTERPRET") == "1" and HAS_TORCH
inside = pytest.mark.skipif(not IS_INSIDE, reason="needs PyTorch, transformers and TRITON_INTERPRET=1")


@pytest.mark.skipif(IS_INSIDE or not HAS_TORCH, reason="needs PyTorch and transformers")
def test_in_a_process_with_triton_s_interpreter() -> None:
    """All other tests of this file, in a process of their own."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "slow", "-p", "no:cacheprovider", __file__]
    found = subprocess.run(
        command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout[-3000:]
    assert "passed" in found.stdout


@inside
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("n", "n_k", "kv_heads"), [(20, 20, 2), (3, 20, 1), (1, 9, 2)])
def test_flash2_is_pytorch_s_attention(n: int, n_k: int, kv_heads: int, causal: bool) -> None:
    """Ragged tiles, fewer queries than keys, shared key heads, any scale."""
    import torch

    from iosim.gpu import attention

    generator = torch.Generator().manual_seed(0)
    q = torch.randn((2, 2, n, 16), generator=generator)
    k, v = (torch.randn((2, kv_heads, n_k, 16), generator=generator) for _ in range(2))
    found = attention(q, k, v, causal=causal, scale=0.3, B_r=16, B_c=16, e=16, e_v=16)
    keep = torch.ones((n, n_k), dtype=torch.bool).tril(n_k - n) if causal else None
    kk, vv = (x.repeat_interleave(2 // kv_heads, dim=1) for x in (k, v))
    wanted = torch.nn.functional.scaled_dot_product_attention(q, kk, vv, attn_mask=keep, scale=0.3)
    assert found.shape == q.shape
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@inside
def test_a_model_runs_with_it_by_name() -> None:
    """A tiny Llama with random weights: the same logits as with PyTorch's attention, whole and token by token."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from iosim.gpu import register

    register("iosim-two", algo="flash2")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 50}
    config = LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=64)
    model = LlamaForCausalLM(config).eval()
    tokens = torch.randint(0, 50, (2, 11))
    found = {}
    for name in ("sdpa", "iosim-two"):
        model.set_attn_implementation(name)
        with torch.no_grad():
            found[name] = model(tokens).logits, model.generate(tokens[:1, :5], max_new_tokens=3, do_sample=False)
    torch.testing.assert_close(found["sdpa"][0], found["iosim-two"][0], rtol=1e-4, atol=1e-4)
    assert found["sdpa"][1].tolist() == found["iosim-two"][1].tolist()


@inside
def test_a_mask_with_padding_is_refused() -> None:
    """What no kernel here does is an error, not another result."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from iosim.errors import UsageError
    from iosim.gpu import register

    register("iosim", algo="flash2")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "vocab_size": 10}
    model = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=1, attn_implementation="iosim")).eval()
    mask = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]])
    with torch.no_grad(), pytest.raises(UsageError, match="neither full nor causal"):
        model(torch.ones((2, 4), dtype=torch.long), attention_mask=mask)


@inside
def test_tensors_that_do_not_fit_are_refused() -> None:
    """Shapes and formats are looked at before anything runs."""
    import torch

    from iosim.errors import UsageError
    from iosim.gpu import attention

    q = torch.zeros((1, 2, 4, 8))
    with pytest.raises(UsageError, match="kv_heads a divisor of heads"):
        attention(q, torch.zeros((1, 3, 4, 8)), torch.zeros((1, 3, 4, 8)))
    with pytest.raises(UsageError, match=r"tensors of float16, float32; allowed: one of"):
        attention(q, q.half(), q.half())
    with pytest.raises(UsageError, match="tensors of float64"):
        attention(q.double(), q.double(), q.double())


@inside
def test_a_kernel_of_low_precision_is_as_good_as_the_format() -> None:
    """`iosim gpu run` in the interpreter: fp16 words, fp32 sums; exit code 0."""
    from click.testing import CliRunner

    from iosim.cli import main

    tiles = "B_r=32,B_c=16,e=16,e_v=16"
    arguments = ["gpu", "run", "--algo", "flash2", "--n", "64", "--d", "16", "--tiles", tiles, "--dtype", "fp16"]
    result = CliRunner().invoke(main, [*arguments, "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert "verdict: the values are as good as the format allows" in result.stdout
    # Q and O once, K and V for each of two row tiles: 64 rows of 16 words of 2 bytes
    (line,) = [line.split() for line in result.stdout.splitlines() if line.startswith("  K ")]
    assert line == ["K", "4,096", "0"]
