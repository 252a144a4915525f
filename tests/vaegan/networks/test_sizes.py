from vaegan.networks.sizes import count_levels, get_channels


def test_every_multiple_of_8_can_be_halved_to_a_small_base() -> None:
    for size in range(8, 257, 8):
        count, base = count_levels(size)
        assert base * 2**count == size and (base <= 4 or base % 2)
    assert [get_channels(8, level) for level in range(6)] == [8, 16, 32, 64, 64, 64]
