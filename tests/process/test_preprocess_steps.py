"""Steps of preprocessing find what a simulated microscope did, and make images that do not hang on their blocks."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuropack import simulate
from neuropack.errors import InputError, NeuropackError, UsageError
from neuropack.process.preprocess import align, denoise, depth, shading, stripes, unmix
from neuropack.process.preprocess.recipe import Recipe, checked_steps
from neuropack.process.preprocess.run import preprocess
from neuropack.process.preprocess.samples import sampled
from neuropack.simulate import Optics
from neuropack.volume import Volume, from_array

STEP = (2.0, 0.5, 0.5)
MIXING = ((1.0, 0.18, 0.02), (0.12, 1.0, 0.15), (0.01, 0.25, 1.0))


def volume_of(array: np.ndarray, axes: str = "CZYX") -> Volume:
    return from_array(array, axes, path="stack.tif", voxel_size_um=STEP)


@cache
def simulated(neurons: int = 8, **optics: Any) -> simulate.SimulatedStack:
    made = simulate.stack(3, (24, 160, 160), STEP, neurons, optics=Optics(**optics))
    return made


@cache
def pixels(neurons: int = 8, **optics: Any) -> np.ndarray:
    return np.asarray(simulated(neurons, **optics).volume)


def image(neurons: int = 8, **optics: Any) -> Volume:
    return volume_of(pixels(neurons, **optics))


def recipe(*steps: Any) -> Recipe:
    faults: list[Any] = []
    made = checked_steps("test", list(steps), faults)
    assert not faults
    return made


def test_shift_and_stretch_are_found_within_a_tenth_of_a_voxel() -> None:
    shift = np.array([[0, 0, 0], [0.7, -1.3, 0.4], [-0.6, 2.2, -0.9]])
    scale = (1.0, 1.004, 0.997)
    moved = image(8, shift_um=tuple(map(tuple, shift * STEP)), scale=scale)
    found = align.estimate_alignment(moved, reference=0)
    assert np.abs(np.array(found["shift"]) - shift).max() < 0.1
    assert np.abs(np.array(found["scale"])[:, 1:] - np.array(scale)[:, None]).max() < 0.0015
    assert 0 < np.max(found["residual"]) < 0.3
    back = align.aligned(moved, found, order=3)
    left = align.estimate_alignment(back, reference=0)
    assert np.abs(left["shift"]).max() < 0.1
    assert np.abs(np.array(left["scale"]) - 1).max() < 0.0015


def test_channels_that_lie_on_each_other_stay_where_they_are() -> None:
    found = align.estimate_alignment(image())
    assert np.abs(found["shift"]).max() < 0.1
    assert found["shift"][found["reference"]] == [0, 0, 0]


def test_known_places_are_read_between_voxels() -> None:
    ramp = np.broadcast_to(np.arange(40, dtype=np.float32), (2, 6, 8, 40)).copy()
    found = align.stated_alignment(volume_of(ramp), [[0, 0, 0], [0, 0, 0.25]], None)
    for order in (1, 3):
        moved = np.asarray(align.aligned(volume_of(ramp), found, order=order))
        assert np.allclose(moved[0], ramp[0])
        assert np.allclose(moved[1, :, :, 4:-4], ramp[1, :, :, 4:-4] + 0.25)


@pytest.mark.parametrize("nonnegative", [True, False])
def test_a_matrix_that_is_given_is_undone(nonnegative: bool) -> None:
    light = np.zeros((3, 4, 16, 16))
    light[:, 1, 3:6, 3:9] = np.array([900.0, 0, 300])[:, None, None]
    light[1, 2, 8:, 8:] = 700
    seen = np.einsum("ij,jzyx->izyx", MIXING, light) + 100
    found = unmix.estimate_unmixing(volume_of(seen.astype(np.float32)), matrix=MIXING)
    back = np.asarray(unmix.unmixed(volume_of(seen.astype(np.float32)), found, nonnegative=nonnegative))
    assert np.abs(back - 100 - light).max() < 0.1


def test_light_below_zero_is_ruled_out_by_the_nearest_light_that_is_not() -> None:
    seen = np.full((3, 1, 8, 8), 0.0, np.float32)
    seen[:, 0, 2, 2] = (100, 0, 0)  # less in the second channel than the first leaks there
    found = {"matrix": [list(row) for row in MIXING], "background": [0.0, 0.0, 0.0]}
    back = np.asarray(unmix.unmixed(volume_of(seen), found))[:, 0, 2, 2]
    assert back.min() == 0
    from scipy.optimize import nnls

    assert np.allclose(back, nnls(np.array(MIXING), seen[:, 0, 2, 2].astype(float))[0], atol=0.01)


def test_a_matrix_is_estimated_from_the_colours_of_neurons() -> None:
    found = unmix.estimate_unmixing(image(20, mixing=MIXING, attenuation_um=1e9))
    wrong = np.abs(np.array(found["matrix"]) - MIXING)
    assert wrong.max() < 0.1
    assert wrong.sum() < 0.35 * np.abs(np.eye(3) - MIXING).sum()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1, 0.1\n0.1, 1\n", "does not fit the image"),
        ("1 0 0\n1 0 0\n0 0 1\n", "cannot be inverted"),
        ("1 0 0\n0 1 0\n0 0 nan\n", "no number"),
        ("1 0 0\n0 one 0\n", "something else"),
        ("", "does not fit the image"),
    ],
)
def test_a_matrix_that_cannot_be_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "matrix.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(NeuropackError, match=complaint):
        unmix.estimate_unmixing(image(), matrix=unmix.read_matrix(path))


def test_stripes_are_found_and_evened() -> None:
    made = simulated(8, stripes=0.1)
    striped = volume_of(np.asarray(made.volume))
    found = stripes.estimate_stripes(striped, dark=100)
    before, after = (
        np.log(np.median(np.asarray(v)[0].reshape(24, -1), axis=1) - 100)
        for v in (striped, stripes.stripes_evened(striped, found))
    )
    assert np.std(after) < 0.4 * np.std(before)


def test_a_flat_field_is_found_in_the_background() -> None:
    box = (slice(0, 6), slice(0, 160), slice(0, 192))
    truth = Optics(vignetting=0.5).illumination((6, 160, 192), box)
    planes = np.array([200.0, 300, 150, 220, 260, 180])[:, None, None]  # each as bright as it likes
    light = 100 + planes * truth + np.random.default_rng(0).normal(0, 15, (2, 6, 160, 192))
    light[:, :, 20:60, 30:90] += 3000  # a soma is no light of the microscope
    found = shading.estimate_flat_field(volume := volume_of(light.astype(np.float32)), dark=100)
    for channel in range(2):
        ratio = truth / shading.field(found, channel, (160, 192), box[1:])
        assert np.std(ratio / ratio.mean()) < 0.15 * np.std(truth / truth.mean())
    even = np.asarray(shading.flat_fielded(volume, found))[0, 1, 80:]
    assert abs(even[-20:, -20:].mean() / even[:20, 86:106].mean() - 1) < 0.05


def test_a_flat_field_of_tiles_repeats() -> None:
    found = {"tile": [10, 20], "degree": 1, "coefficients": [[0.1, -0.2]], "dark": [0.0]}
    whole = shading.field(found, 0, (30, 40), (slice(0, 30), slice(0, 40)))
    assert np.array_equal(whole[:10, :20], whole[20:, 20:])
    assert np.array_equal(shading.field(found, 0, (30, 40), (slice(7, 23), slice(5, 33))), whole[7:23, 5:33])


def test_a_measured_flat_field_is_divided_by() -> None:
    flat = np.linspace(0.5, 1.5, 32, dtype=np.float32)[None, None, :] * np.ones((1, 16, 1), np.float32)
    light = 100 + 400 * np.broadcast_to(flat, (2, 3, 16, 32))
    even = shading.reference_divided(volume_of(light.astype(np.float32)), 100 + 1000 * flat, 100.0, {})
    assert np.allclose(np.asarray(even), 500, atol=0.5)


def test_a_background_becomes_even() -> None:
    y, x = np.mgrid[:128, :128] / 128
    noise = np.random.default_rng(0).normal(0, 5, (1, 8, 128, 128))
    found = shading.estimate_background(volume := volume_of((300 + 100 * y - 60 * x + noise).astype(np.float32)))
    left = np.asarray(shading.background_evened(volume, found))[0].mean(axis=0)
    assert np.std(left[16:-16, 16:-16]) < 0.15 * np.std(100 * y - 60 * x)
    assert abs(left.mean() - found["level"][0]) < 3


def test_a_thick_dendrite_is_no_background() -> None:
    pixels = np.random.default_rng(0).poisson(40, (1, 16, 160, 160)).astype(np.float32)
    pixels[:, :, :70, :40] += 900
    found = shading.estimate_background(volume_of(pixels))
    assert np.abs(np.array(found["values"]) - 40).max() < 3


def test_stripes_are_seen_where_counts_are_few() -> None:
    light = 3 * np.exp(np.random.default_rng(1).normal(0, 0.1, 30))
    counts = np.random.default_rng(0).poisson(light[:, None, None], (1, 30, 128, 128)).astype(np.uint8)
    gain = np.array(stripes.estimate_stripes(volume_of(counts), dark=0)["gain"][0])
    assert np.std(np.log(gain) - np.log(light)) < 0.06
    assert 0.75 < gain.min() < gain.max() < 1.33


def test_structure_and_noise_are_no_stripes() -> None:
    rng = np.random.default_rng(0)
    dim = rng.poisson(30, (1, 24, 128, 128)).astype(np.uint16)
    dim[0, 10:12, :, :48] += 60  # fills two planes in part
    gain = np.log(stripes.estimate_stripes(volume_of(dim), dark=0)["gain"][0])
    assert np.abs(gain).max() < 0.01
    dim[0, 18] = np.rint(1.2 * dim[0, 18])
    gain = np.log(stripes.estimate_stripes(volume_of(dim), dark=0)["gain"][0])
    assert abs(gain[18] - np.log(1.2)) < 0.02 and np.abs(np.delete(gain, 18)).max() < 0.02
    skewed = rng.gamma(1, 40, (4, 1, 24, 128, 128)).astype(np.float32)
    skewed[0, :, 9] = skewed[:, :, 9].mean(axis=0)  # the mean of four: as bright, and less noisy
    gain = np.log(stripes.estimate_stripes(volume_of(skewed[0]), dark=0)["gain"][0])
    assert abs(gain[9]) < 0.13  # of which the median of the voxels is brighter by 0.28
    small = stripes.estimate_stripes(volume_of(dim[:, :, :8, :8]), dark=0)
    assert small["error"] == [None] and set(small["gain"][0]) == {1.0}


def test_channels_help_each_other_to_see_how_light_falls() -> None:
    falls = [depth._Fall(s, e, np.empty((0, 4))) for s, e in ((-0.02, 0.01), (-0.03, 0.001), (0.5, 0.4))]
    low, middle, high = depth._drawn_together([*falls[:2], None])[:2] + depth._drawn_together(falls)[2:]
    assert low is not None and middle is not None and high is not None
    assert -0.03 < low.slope < -0.029 and abs(middle.slope + 0.03) < 1e-3 and abs(high.slope) < 0.04
    assert low.error < 0.002 and high.error < 0.01
    apart = depth._drawn_together([depth._Fall(s, 1e-4, np.empty((0, 4))) for s in (-0.01, -0.05)])
    assert [round(one.slope, 3) for one in apart if one is not None] == [-0.01, -0.05]
    assert depth._drawn_together([None]) == [None] and depth._drawn_together(falls[:1]) == falls[:1]


def test_light_that_falls_with_depth_is_made_up_for() -> None:
    lengths = [60.0, 80.0, 100.0]
    found = depth.known_attenuation(image(), lengths)
    evened = np.asarray(depth.depth_evened(image(), found, most=100))
    raw, level = np.asarray(image()).astype(float), np.array(found["background"])[:, None, None]
    gain = np.exp(23 * 2 / np.array(lengths))[:, None, None]
    assert np.allclose(evened[:, 23], level + (raw[:, 23] - level) * gain, rtol=1e-4)
    assert np.array_equal(evened[:, 0], raw[:, 0])
    found = depth.estimate_attenuation(image(12, attenuation_um=40.0))
    truth = -STEP[0] / np.array([40 * (e / 600) ** 2 for e in (450, 527, 581)])
    assert np.abs(np.array(found["slope"]) / truth - 1).max() < 0.6
    monotone = depth.estimate_attenuation(image(12, attenuation_um=40.0), monotone=True)
    assert all(np.diff(left).max() <= 1e-12 for left in monotone["left"])


def test_seams_of_tiles_are_evened() -> None:
    gains = np.array([[1.0, 1.2, 0.9], [0.8, 1.1, 1.05]])
    rng = np.random.default_rng(1)
    light = 50 + 200 * np.kron(gains, np.ones((48, 48))) + rng.normal(0, 4, (1, 6, 96, 144))
    mosaic = volume_of(light.astype(np.float32))
    found = stripes.estimate_seams(mosaic, tile=[48, 48], dark=50)
    wanted = gains / np.exp(np.log(gains).mean())
    assert np.abs(np.array(found["gain"][0]) / wanted - 1).max() < 0.01
    even = np.asarray(stripes.seams_evened(mosaic, found))
    assert np.std(even.mean(axis=(0, 1))) < 4
    with pytest.raises(UsageError, match="no seams"):
        stripes.estimate_seams(mosaic, tile=[96, 144])


@pytest.mark.parametrize(("method", "least"), [("guided", 3.5), ("gaussian", 1.5)])
def test_noise_becomes_less(method: denoise.Method, least: float) -> None:
    made = simulated()
    raw, truth = np.asarray(made.volume).astype(float), np.asarray(made.clean).astype(float)
    found = denoise.estimate_noise(image())
    assert np.allclose(np.sqrt(found["floor"]), np.sqrt((3 + 1.44) * 1600), rtol=0.05)
    clean = np.asarray(denoise.denoised(image(), found, method=method, strength=1.0 if method == "guided" else 0.7))
    gain = 10 * np.log10(((raw - truth) ** 2).mean() / ((clean - truth) ** 2).mean())
    assert gain > least


def test_noise_units_have_noise_of_width_one() -> None:
    made = preprocess(image(2), recipe("noise_units")).volume
    assert made.dtype == np.float32
    values = np.asarray(made)
    assert abs(np.median(values)) < 0.2
    assert abs(np.median(np.abs(values)) / 0.6745 - 1) < 0.25


EVERYTHING = (
    {"stripes": {"dark": 100}},
    {"seams": {"tile": [80, 80], "dark": 100}},
    {"flat_field": {"dark": 100}},
    "background",
    {"depth": {"length_um": [100, 120, 140]}},
    {"align": {"shift": [[0, 0, 0], [0.4, -1.2, 0.3], [0, 2.6, 0]]}},
    {"unmix": {"matrix": [list(row) for row in MIXING]}},
    "denoise",
)


def test_an_image_is_the_same_however_it_is_read() -> None:
    made = preprocess(image(), recipe(*EVERYTHING))
    whole = np.asarray(made.volume)
    assert whole.dtype == np.uint16
    for box in ((1, 3, 2, 9, 5, 60, 70, 160), (0, 3, 20, 24, 90, 91, 0, 160), (2, 3, 0, 1, 0, 1, 0, 1)):
        part = tuple(slice(a, b) for a, b in zip(box[::2], box[1::2], strict=True))
        assert np.array_equal(made.volume.read(part), whole[part])
    again = preprocess(image(), recipe(*EVERYTHING), found=made.found)
    assert np.array_equal(np.asarray(again.volume), whole)
    assert again.volume.made_by == made.volume.made_by
    seen = np.zeros(whole.shape, int)
    for box in made.volume.native_blocks():
        seen[box] += 1
    assert (seen == 1).all()


def test_the_sampled_blocks_are_bounded_and_inside() -> None:
    blocks = sampled(image(), (8, 32, 32), 7, 0)
    assert 1 < len(blocks) <= 7
    assert all(block.voxels.shape == (3, 8, 32, 32) for block in blocks)
    assert len({block.corner for block in blocks}) == len(blocks)
    thin = volume_of(np.zeros((1, 1, 4, 4), np.uint8))
    assert sampled(thin, (8, 32, 32), 7, 0)[0].voxels.shape == (1, 1, 4, 4)


ALL = ("stripes", "flat_field", "background", "depth", "align", "unmix", "denoise", "noise_units")


@pytest.mark.parametrize("step", ALL)
@pytest.mark.parametrize(
    "shape", [(1, 9, 40, 40), (3, 1, 64, 64), (5, 6, 40, 40), (2, 2, 3, 3), (1, 1, 1, 1)], ids=str
)
def test_a_constant_image_is_refused_or_stays(step: str, shape: tuple[int, ...]) -> None:
    constant = volume_of(np.full(shape, 120, np.uint16))
    try:
        made = np.asarray(preprocess(constant, recipe(step)).volume)
    except NeuropackError as error:
        assert error.found  # what was seen stands in the message
        return
    assert np.array_equal(made, np.asarray(constant))


@pytest.mark.parametrize("step", ALL)
def test_values_that_are_no_numbers_are_found(step: str) -> None:
    values = np.random.default_rng(0).normal(300, 20, (2, 8, 40, 40)).astype(np.float32)
    values[1, 4, 20, 20] = np.nan
    with pytest.raises(InputError, match="no numbers"):
        np.asarray(preprocess(volume_of(values), recipe(step)).volume)


def test_values_that_are_no_numbers_are_found_where_no_block_was_sampled() -> None:
    values = np.random.default_rng(0).normal(300, 20, (1, 8, 40, 40)).astype(np.float32)
    found = preprocess(volume_of(values), recipe("background")).found
    made = preprocess(volume_of(values), recipe("background"), found=found).volume
    values[0, 4, 20, 20] = np.inf
    with pytest.raises(InputError, match="no numbers"):
        np.asarray(made)


@pytest.mark.parametrize("method", ["guided", "gaussian", "median"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_no_filter_hides_or_stumbles_over_what_is_no_number(method: str, value: float) -> None:
    values = np.random.default_rng(0).normal(300, 20, (1, 8, 40, 40)).astype(np.float32)
    steps = recipe({"denoise": {"method": method}})
    found = preprocess(volume_of(values), steps).found
    made = preprocess(volume_of(values), steps, found=found).volume
    values[0, 4, 20, 20] = value
    with pytest.raises(InputError, match="no numbers"):
        np.asarray(made)
    values[0, 4, 20, 20] = np.nan
    seen = np.asarray(denoise.denoised(volume_of(values), found[0]))
    assert np.isnan(seen[0, 4, 20, 20])


@pytest.mark.parametrize("dtype", [np.uint32, np.int32, np.uint64, np.int64])
def test_the_largest_whole_numbers_stay_the_largest(dtype: type) -> None:
    top = np.full((1, 2, 4, 4), np.iinfo(dtype).max, dtype)
    made = np.asarray(preprocess(volume_of(top), recipe({"align": {"shift": [[0, 0, 0]]}})).volume)
    assert (made > 0.999999 * float(np.iinfo(dtype).max)).all()


def test_whole_numbers_may_be_written_with_a_point() -> None:
    for step, key in (("align", "reference"), ("flat_field", "degree"), ("stripes", "window")):
        written, plain = recipe({step: {key: 3.0}}), recipe({step: {key: 3}})
        assert type(written.tasks[0].parameters[key]) is int
        assert written == plain


def test_a_dark_image_of_all_channels_goes_with_a_flat_field_of_one() -> None:
    flat = np.full((1, 16, 32), 1000, np.float32)
    dark = np.array([100, 200], np.float32)[:, None, None] * np.ones((1, 16, 32), np.float32)
    light = np.full((2, 3, 16, 32), 500, np.float32)
    for one, other in ((flat, dark), (np.repeat(flat, 2, axis=0), dark[:1])):
        assert np.allclose(np.asarray(shading.reference_divided(volume_of(light), one, other, {})), 500)


def test_light_that_would_be_gone_is_refused_and_not_divided_by() -> None:
    deep = volume_of(np.random.default_rng(0).poisson(300, (1, 700, 8, 8)).astype(np.uint16))
    with pytest.raises(UsageError, match="no light would be left"):
        preprocess(deep, recipe({"depth": {"length_um": [1]}}))
    assert np.isfinite(np.asarray(preprocess(deep, recipe({"depth": {"length_um": [3]}})).volume)).all()
    assert not len(depth._followed([], 0, 0.0, 1.0, 2.0, 2000))


def test_what_would_take_all_memory_is_refused() -> None:
    far = {"align": {"shift": [[0, 0, 0], [0, 1e9, 0], [0, 0, 0]]}}
    with pytest.raises(UsageError, match="too far apart"):
        preprocess(image(), recipe(far))
    wide = volume_of(np.broadcast_to(np.uint8(9), (1, 1, 20_000, 20_000)))
    with pytest.raises(UsageError, match="too many tiles"):
        preprocess(wide, recipe({"seams": {"tile": [24, 24]}}))


def test_one_channel_has_nothing_to_align_or_unmix() -> None:
    one = volume_of(np.asarray(image())[:1])
    for step in ("align", "unmix"):
        with pytest.raises(UsageError, match="two channels or more"):
            preprocess(one, recipe(step))


def test_channels_without_common_structure_are_told() -> None:
    rng = np.random.default_rng(0)
    noise = volume_of(rng.poisson(200, (2, 16, 96, 96)).astype(np.uint16))
    with pytest.raises(InputError, match="share no structure"):
        preprocess(noise, recipe("align"))
    with pytest.raises(UsageError, match="no such reference"):
        preprocess(noise, recipe({"align": {"reference": 2}}))


def test_one_plane_and_five_channels_are_aligned() -> None:
    flat = np.asarray(image())[:, 8:16].max(axis=1, keepdims=True)
    five = np.concatenate([flat, np.roll(flat[:2], 2, axis=-1)])
    found = preprocess(volume_of(five), recipe({"align": {"reference": 0, "stretch": False}})).found[0]
    assert np.allclose(found["shift"][3], [0, 0, 2], atol=0.1)
    assert found["shift"][4][0] == 0


def test_every_time_point_is_preprocessed() -> None:
    stack = np.asarray(image())[:, :8, :64, :64]
    film = volume_of(np.stack([stack, stack[..., ::-1]]), "TCZYX")
    made = preprocess(film, recipe({"align": {"shift": [[0, 0, 0], [0, 1, 0], [0, 0, 0]]}}))
    values = np.asarray(made.volume)
    assert values.shape == film.shape
    assert np.array_equal(values[1, 1, :, :-1], np.asarray(film)[1, 1, :, 1:])


def test_saturated_light_is_told() -> None:
    clipped = np.minimum(pixels(), 1500)
    first = preprocess(volume_of(clipped), recipe("background"))
    assert preprocess(volume_of(clipped), recipe("background"), found=first.found).saturated is None
    parts = first.saturated or ()
    assert len(parts) == 3 and all(0.0001 < part < 0.2 for part in parts)
    assert preprocess(image(), recipe("background")).saturated == (0, 0, 0)


def test_lengths_for_another_number_of_channels_are_refused() -> None:
    with pytest.raises(UsageError, match="length_um"):
        preprocess(image(), recipe({"depth": {"length_um": [100]}}))
    with pytest.raises(UsageError, match="shift of align"):
        preprocess(image(), recipe({"align": {"shift": [[0, 0, 0]]}}))
