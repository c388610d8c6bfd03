"""Both formats in one pass from Python, where the command line cannot say it: python both_write.py IN OUT OUT."""

import sys
from pathlib import Path

from neuropack.convert import convert
from neuropack.readers import open_volume

source, *destinations = map(Path, sys.argv[1:])
with open_volume(source) as volume:
    convert(volume, destinations)
