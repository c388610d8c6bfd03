"""The peer neuroconv as its users write NWB, all channels: python neuroconv_write.py IN OUT CHANNELS PLANES.

Its interface takes one channel of a TIFF whose pages go channel first, then plane; several of them make one file.
Compression and chunks are its own defaults (gzip 4 without a byte shuffle, whole planes).
"""

import sys
from datetime import UTC, datetime

from neuroconv import ConverterPipe
from neuroconv.datainterfaces import TiffImagingInterface

source, destination, channels, planes = sys.argv[1:]
parts = {
    f"channel{c}": TiffImagingInterface(
        file_paths=[source],
        sampling_frequency=1.0,
        dimension_order="CZT",
        num_channels=int(channels),
        channel_name=str(c),
        num_planes=int(planes),
    )
    for c in range(int(channels))
}
converter = ConverterPipe(data_interfaces=parts)
metadata = converter.get_metadata()
metadata["NWBFile"]["session_start_time"] = datetime(2026, 1, 2, tzinfo=UTC)
for c, series in enumerate(metadata["Ophys"]["MicroscopySeries"].values()):
    series["name"] = f"Channel{c}"
converter.run_conversion(nwbfile_path=destination, metadata=metadata, overwrite=True)
