"""Where the stage was when an ND2 file was taken, counted along the axes of its images.

The file states where the centre of a frame lay, how the camera was turned, and which axes of the stage count
backwards. Nikon's library describes the camera's matrix as one that takes a direction in the image (x to the right,
y down) to one of a stage without such axes; their signs then make it one of the stage that there is, whether the
program used the stage for the picture or not. The inverse takes positions of the stage to the image's own axes.
NIS-Elements does the same where it crops an image: its new position is the old one and whole pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from neuropack.volume import VoxelSize

if TYPE_CHECKING:
    from nd2 import ND2File
    from nd2.structures import Metadata, XYPosLoop, ZStackLoop

_LEAST = 0.1  # determinant of a matrix that turns; of one that only turns and mirrors it is 1 or -1


def origins(file: ND2File, metadata: Metadata, count: int, voxel_um: VoxelSize) -> list[VoxelSize]:
    """The centre (z, y, x) of the first voxel of each position, micrometre; None along an axis that is not stated.

    Along an axis on which the stage counts against the image, it has the opposite sign.
    """
    if file.is_legacy:
        return [(None, None, None)] * count
    raw = cast(Any, file)._rdr._cached_raw_metadata()
    loops = {loop.type: loop for loop in file.experiment}
    stack, listed = cast("ZStackLoop | None", loops.get("ZStackLoop")), cast(Any, loops.get("XYPosLoop"))
    places = [(raw.get("dXPos"), raw.get("dYPos"), raw.get("dZPos"))] * count
    if listed is not None and len(listed.parameters.points) == count:
        places = _listed(listed, stack, raw.get("dZPos"))
    falls = stack is not None and not stack.parameters.bottomToTop
    turn, (_, step_y, step_x) = _turn(metadata, raw), voxel_um
    height, width = file.attributes.heightPx, file.attributes.widthPx or 0
    found: list[VoxelSize] = []
    for x, y, z in places:
        corner: list[float | None] = [0.0 - z if falls and z is not None else z, None, None]
        if turn is not None and x is not None and y is not None and step_y is not None and step_x is not None:
            along_x, along_y = (turn @ [x, y]).tolist()
            corner[1:] = along_y - (height - 1) / 2 * step_y, along_x - (width - 1) / 2 * step_x
        known = [float(um) if um is not None and np.isfinite(um) else None for um in corner]
        found.append((known[0], known[1], known[2]))
    return found


def _listed(listed: XYPosLoop, stack: ZStackLoop | None, first_z: float | None) -> list[Any]:
    """The stage (x, y) of each position of a list, and where (z) the first plane was.

    A list that sets z states it of the plane at which the stack is at home; else there is one z for all, that of
    the first frame of the file.
    """
    before = 0.0  # from the first plane to the one at home
    if stack is not None:
        steps = stack.parameters.homeIndex
        before = steps * stack.parameters.stepUm
        if not stack.parameters.bottomToTop:
            before = (steps - stack.count + 1) * stack.parameters.stepUm
    places = (point.stagePositionUm for point in listed.parameters.points)
    return [(x, y, z - before if listed.parameters.isSettingZ else first_z) for x, y, z in places]


def _turn(metadata: Metadata, raw: Any) -> Any:
    """The matrix (2, 2) from directions (x, y) of the stage to those of the image; None where there is none."""
    if not metadata.channels:
        return None
    camera = np.array(metadata.channels[0].volume.cameraTransformationMatrix, np.float64).reshape(2, 2)
    samples = (raw.get("sPicturePlanes") or {}).get("sSampleSetting") or {}
    device: dict[str, Any] = next((s["pDeviceSetting"] for s in samples.values() if s.get("pDeviceSetting")), {})
    signs = [-1.0 if device.get(f"m_i{axis}Orientation0") == -1 else 1.0 for axis in "XY"]
    if not np.isfinite(camera).all() or abs(np.linalg.det(camera)) < _LEAST:
        return None
    return np.linalg.inv(np.diag(signs) @ camera)
