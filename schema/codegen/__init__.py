"""From the LinkML modules to the committed files; needed only by developers, through schema/generate.py."""
