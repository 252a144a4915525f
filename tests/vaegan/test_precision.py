import pytest
import torch

from vaegan.precision import full_precision, set_tf32


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
