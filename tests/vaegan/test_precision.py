from pathlib import Path

import pytest
import torch

from vaegan import precision
from vaegan.precision import choose_precision, full_precision, has_bfloat16_units, set_tf32


def get_settings() -> tuple[bool, bool, str, bool]:
    cudnn = torch.backends.cudnn
    return cudnn.allow_tf32, cudnn.deterministic, torch.get_float32_matmul_precision(), torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("deterministic", [True, False])
def test_precision_is_full_inside_and_restored_after_an_error(
    deterministic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        with full_precision(torch.device("cpu"), deterministic):
            assert get_settings() == (False, deterministic, "highest", False)
            raise KeyError

    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", torch.backends.cudnn.allow_tf32)
    before = torch.get_float32_matmul_precision()
    try:
        set_tf32(True)
        with torch.autocast("cpu"):
            assert get_settings() == (True, False, "high", True)
            with pytest.raises(KeyError):
                fail()
            assert get_settings() == (True, False, "high", True)
        set_tf32(False)
        assert get_settings() == (False, False, "highest", False)
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(
    ("dtype", "has_units", "launched", "expected"),
    [
        ("float32", True, None, "bf16"), ("float32", False, None, "fp32"), ("float32", False, "no", "fp32"),
        ("float32", False, "bf16", "bf16"), ("float64", True, None, "fp32"),
    ],
)  # fmt: skip
def test_auto_is_a_function_of_the_device_and_the_type(
    dtype: str, has_units: bool, launched: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_bfloat16_units", lambda: has_units)
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    if launched is not None:
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", launched)
    assert choose_precision(dtype) == expected


def test_a_cpu_has_units_for_bfloat16_if_it_has_amx() -> None:
    cpu = Path("/proc/cpuinfo")
    if torch.cuda.is_available() or not cpu.exists() or torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        pytest.skip("no CPU of Linux")
    assert has_bfloat16_units() == ("amx_tile" in cpu.read_text())
