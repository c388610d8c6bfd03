"""Registration of images, judged by the points that the transform returns; brains with a known way into the CCF."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from warped_brains import ZYX_AXES, Warped, bent, lying, small_brain, warped

from neuropack.errors import InputError, UsageError
from neuropack.space import image_registration
from neuropack.space.fields import DisplacementField
from neuropack.space.formats.registration import read_registration, write_registration
from neuropack.space.frames import CCF
from neuropack.space.grids import Grid
from neuropack.space.image_registration import PLACED, ImageFit, register_images
from neuropack.space.landmarks import fit
from neuropack.space.rasters import Raster, jacobian, similarity, stack_raster, template_raster
from neuropack.space.transforms import Affine

VOXEL = 200.0  # of the small brain, um


@pytest.fixture(scope="module")
def small() -> Raster:
    return template_raster(small_brain(), "small template", 10**8)


def registered(stack: Warped, template: Raster, kind: image_registration.ImageKind = "affine") -> ImageFit:
    return register_images(
        stack_raster(stack.values, stack.voxel_zyx_um), template, kind, orientation=ZYX_AXES, source="stack"
    )


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 3))])
def test_a_warped_standard_brain_is_placed_within_a_voxel(
    seed: int, data_file: Callable[[str], Path], record_property: Callable[[str, object], None]
) -> None:
    brain = template_raster(tifffile.imread(data_file("ccf/downsampled_standard.tiff")), "standard", 10**8)
    stack = warped(brain, bent(seed), seed=seed)
    found = registered(stack, brain, "bspline")
    before = float(np.median(stack.error(lying(ZYX_AXES, stack_raster(stack.values, (100, 100, 100)).extent_um))))
    after = float(np.median(stack.error(found.transform)))
    record_property("median_error_um", (before, after))
    assert before > 300  # or the brain was hardly warped, and to find the way back proves nothing
    assert after < 100, f"seed {seed}: median error {before:.0f} um before, {after:.1f} um after"
    assert after < 25  # what is measured is 8: a loss of accuracy shall be seen long before the goal is missed
    assert found.problems == ()
    assert found.after.mutual_information > 2 * found.before.mutual_information


@pytest.mark.parametrize("voxel_zyx_um", [(200, 200, 200), (100, 100, 100), (200, 100, 50), (120, 300, 200)])
def test_a_brain_in_place_stays_there_whatever_its_voxels(
    voxel_zyx_um: tuple[float, float, float], small: Raster
) -> None:
    stack = warped(small, lambda p: p, voxel_zyx_um=voxel_zyx_um)
    found = registered(stack, small)
    offset = np.mean(found.transform(stack.inside) - stack.truth(stack.inside), axis=0)
    assert np.abs(offset).max() < 0.03 * VOXEL  # half a voxel of either image would be 0.125 of that or more
    assert stack.error(found.transform).max() < 0.15 * VOXEL
    assert found.problems == ()  # the similarity did not rise, for nothing moved


@pytest.mark.parametrize("orientation", ["SPR", "PIR", "RAI", "ASL"])
def test_every_orientation_lands_at_its_place(orientation: str, small: Raster) -> None:
    stack = warped(small, bent(7, 60.0), orientation=orientation, voxel_zyx_um=(200, 200, 200))
    found = register_images(
        stack_raster(stack.values, stack.voxel_zyx_um), small, "affine", orientation=orientation
    )
    assert np.median(stack.error(found.transform)) < 0.8 * VOXEL
    wrong = register_images(
        stack_raster(stack.values, stack.voxel_zyx_um), small, "affine", orientation=orientation[::-1]
    )
    assert np.median(stack.error(wrong.transform)) > 5 * VOXEL
    assert wrong.after.mutual_information < found.after.mutual_information
    assert found.problems == ()
    (problem,) = wrong.problems  # but left and right, of which the numbers know nothing
    letters = problem.partition("grew towards ")[2][:3]
    assert letters.translate(str.maketrans("L", "R")) == orientation.replace("L", "R"), problem


def test_the_same_images_give_the_same_transform_and_files_hold_it(small: Raster, tmp_path: Path) -> None:
    stack = warped(small, bent(1, 80.0), voxel_zyx_um=(200, 200, 200))
    first, second = (registered(stack, small, "bspline").transform for _ in range(2))
    assert np.array_equal(first(stack.inside), second(stack.inside))
    write_registration(tmp_path / "xfm.json", first, {"stack": "xyz", PLACED: ("AP", "DV", "LR")})
    back = read_registration(tmp_path / "xfm.json")
    assert (back.source, back.target) == ("stack", CCF)
    assert np.array_equal(back(stack.inside), first(stack.inside))
    assert '"unit": "micrometer"' in (tmp_path / "xfm.json").read_text()
    there = first(stack.inside[:200])
    assert np.abs(first.inverse()(there) - stack.inside[:200]).max() < 0.01


@pytest.mark.parametrize("kind", ["affine", "thin_plate"])
def test_a_part_of_a_brain_is_refined_from_landmarks(kind: str, small: Raster) -> None:
    stack = warped(
        small,
        bent(2, 100.0),
        voxel_zyx_um=(100, 100, 100),
        corner_um=(3000, 4000, 1500),
        size_xyz_um=(5000, 5500, 4500),
    )
    rough = stack.inside[:14]
    noise = np.random.default_rng(4).normal(0, 150, rough.shape)
    initial = fit(rough, stack.truth(rough) + noise, kind, "stack", CCF).transform  # type: ignore[arg-type]
    found = register_images(stack_raster(stack.values, (100, 100, 100)), small, initial=initial)
    before, after = np.median(stack.error(initial)), np.median(stack.error(found.transform))
    assert after < 0.5 * before
    assert after < 0.5 * VOXEL
    assert found.initial is initial


def test_a_bent_first_placement_goes_before_what_elastix_found(small: Raster) -> None:
    """elastix is told samples of it; the transform that comes out has the placement itself in it."""
    stack = warped(small, lambda p: p, voxel_zyx_um=(200, 200, 200))
    size = stack_raster(stack.values, stack.voxel_zyx_um).extent_um
    vectors = np.zeros((8, 8, 8, 3))
    vectors[3:5, 3:5, 3:5] = 250
    field = DisplacementField("bent", CCF, vectors, Grid(np.zeros(3), np.array([1900, 1200, 1700.0])))
    lies = lying(ZYX_AXES, size)
    initial = Affine("stack", "bent", lies.matrix).then(field)
    found = register_images(stack_raster(stack.values, stack.voxel_zyx_um), small, initial=initial)
    assert np.median(stack.error(found.transform)) < 0.2 * VOXEL
    assert stack.error(initial).max() > VOXEL


def test_a_stack_may_be_bright_where_the_template_is_dark(small: Raster) -> None:
    stack = warped(small, bent(3, 100.0), voxel_zyx_um=(200, 200, 200))
    values = np.where(stack.values > 100, 260 - 0.8 * stack.values, stack.values).astype("f4")
    inverted = replace(stack, values=values)
    found = registered(inverted, small, "bspline")
    assert np.median(stack.error(found.transform)) < 0.3 * VOXEL


def test_a_similarity_that_did_not_rise_is_a_problem(small: Raster, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = warped(small, lambda p: p, voxel_zyx_um=(200, 200, 200))
    shift = Affine(PLACED, CCF, np.column_stack([np.eye(3), (900.0, -700, 800)]))
    monkeypatch.setattr(image_registration, "run_elastix", lambda *_: shift)
    found = registered(stack, small)
    assert found.after.mutual_information < found.before.mutual_information
    assert found.moved_um > 1000
    assert len(found.problems) == 1
    assert found.problems[0].startswith("the similarity did not rise: mutual information ")


def test_a_fold_is_a_problem(small: Raster, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = warped(small, lambda p: p, voxel_zyx_um=(200, 200, 200))
    vectors = np.zeros((12, 8, 10, 3))
    vectors[5, 4, 5] = (0, 0, -3000.0)
    fold = DisplacementField(PLACED, CCF, vectors, Grid(np.zeros(3), np.full(3, 1200.0)))
    monkeypatch.setattr(image_registration, "run_elastix", lambda *_: fold)
    found = registered(stack, small)
    assert 0 < found.jacobian.folded_percent < 10
    assert found.jacobian.smallest < 0
    assert any(problem.startswith("the transform folds space over itself in ") for problem in found.problems)


def test_a_mirrored_stack_is_no_fold() -> None:
    points = np.random.default_rng(0).uniform(0, 1000, (50, 3))
    mirror = Affine("a", "b", np.diag([-1.0, 2, 1])[:, [0, 1, 2, 0]] * [1, 1, 1, 0])
    found = jacobian(mirror, points, (10, 10, 10))
    assert (found.smallest, found.largest, found.folded_percent) == pytest.approx((2, 2, 0))


def test_similarity_of_known_values() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, (2, 200_000))
    assert similarity(a, 5 - 3 * a).mutual_information == pytest.approx(np.log(2), abs=1e-4)
    assert similarity(a, 5 - 3 * a).correlation == pytest.approx(-1)
    assert similarity(a, b).mutual_information == pytest.approx(0, abs=1e-4)
    assert similarity(a, np.zeros(len(a))).correlation == 0


def test_a_fine_template_is_averaged() -> None:
    values = np.random.default_rng(0).integers(0, 100, (132, 80, 114))
    coarse = template_raster(values, "t", 132 * 80 * 114 // 8)
    assert coarse.voxel_um == (200, 200, 200)
    assert coarse.values.shape == (66, 40, 57)
    assert coarse.values[1, 2, 3] == pytest.approx(values[2:4, 4:6, 6:8].mean())
    assert coarse.position([(0, 0, 0)]).tolist() == [[100, 100, 100]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((20, 20)), "is no volume"),
        (np.ones((1, 20, 20)), "is no volume"),
        (np.full((20, 20, 20), 7), "is blank"),
        (np.where(np.arange(8000).reshape(20, 20, 20) == 5, np.nan, 1), "no finite numbers"),
    ],
)
def test_what_is_no_image_of_a_brain(values: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        stack_raster(values, (10, 10, 10))


def test_a_template_of_another_shape() -> None:
    with pytest.raises(InputError, match="axes stand in another order"):
        template_raster(np.zeros((114, 80, 132)), "t.tif", 10**8)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "how the stack lies"),
        ({"orientation": "SPR", "initial": Affine.identity("stack", CCF)}, "stated twice"),
        ({"orientation": "SIR"}, "is no orientation"),
        ({"orientation": "SP"}, "is no orientation"),
        ({"initial": Affine.identity("other", CCF)}, "between other frames"),
        ({"orientation": "SPR", "kind": "rigid"}, "no kind of registration"),
    ],
)
def test_what_is_no_registration(given: dict[str, object], message: str, small: Raster) -> None:
    with pytest.raises(UsageError, match=message):
        register_images(replace(small), small, **given)  # type: ignore[arg-type]


def test_a_stack_that_lies_elsewhere(small: Raster) -> None:
    away = Affine("stack", CCF, np.column_stack([np.eye(3), np.full(3, 1e6)]))
    with pytest.raises(InputError, match="elastix gave up"):
        register_images(replace(small), small, initial=away)


def test_without_the_extra(small: Raster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "itk", None)
    with pytest.raises(UsageError, match=r"pip install neuropack\[register\]"):
        register_images(replace(small), small, orientation="RIP")
