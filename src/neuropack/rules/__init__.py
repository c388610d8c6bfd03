"""Rules over a release: a rule is data plus one function, loaded by path, and a problem is a value.

The rules that ship lie in validators/; a lab's own folder of rules is loaded the same way.
"""

from __future__ import annotations

from neuropack.issue import Where
from neuropack.rules.release_files import ReleaseFiles
from neuropack.rules.rule import Finding, Rule, load_rules, rule
from neuropack.rules.run import check

__all__ = ["Finding", "ReleaseFiles", "Rule", "Where", "check", "load_rules", "rule"]
