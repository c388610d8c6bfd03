"""The peer neuroconv as its users write NWB, one of the channels: python neuroconv_write.py IN OUT PLANES."""

import sys
from datetime import UTC, datetime

from neuroconv.datainterfaces import TiffImagingInterface

source, destination, planes = sys.argv[1:]
interface = TiffImagingInterface(
    file_paths=[source],
    sampling_frequency=1.0,
    dimension_order="CZT",
    num_channels=3,
    channel_name="0",
    num_planes=int(planes),
)
metadata = interface.get_metadata()
metadata["NWBFile"]["session_start_time"] = datetime(2026, 1, 2, tzinfo=UTC)
interface.run_conversion(nwbfile_path=destination, metadata=metadata, overwrite=True)
