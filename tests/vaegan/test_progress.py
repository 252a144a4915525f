from vaegan.progress import nest_progress


def test_the_progress_of_a_part_is_that_of_the_whole() -> None:
    steps: list[tuple[int, int]] = []
    first, second = (nest_progress(lambda *step: steps.append(step), before, 6, 16) for before in (0, 10))
    for callback in (first, second):
        callback(1, 3)
        callback(3, 3)
    assert steps == [(2, 16), (6, 16), (12, 16), (16, 16)]
