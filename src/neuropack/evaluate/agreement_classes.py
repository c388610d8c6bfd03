"""Agreement of annotators on the classes of objects: kappa, which takes off what chance alone would agree on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from neuropack.evaluate.agreement import Measured, Score, score_table

if TYPE_CHECKING:
    import pyarrow as pa

ALL = "all"
_ONE_CLASS = "only one class was given, so chance alone agrees on everything"


def class_agreement(annotators: Mapping[str, Mapping[str, str]]) -> pa.Table:
    """Agreement of two or more annotators on the classes of objects.

    For each pair, over the objects that both classed: percent agreement (a fraction), Cohen's kappa (1960), and the
    prevalence of each class. For three or more also Fleiss' kappa (1971), over the objects that all classed. An
    object has a row of its own only where one of the two did not class it.

    Args:
        annotators: the class of each object, by annotator.

    Returns:
        A table with the columns of `neuropack.evaluate.agreement.Score`; `n` is the number of objects.
    """
    scores: list[Score] = []
    for a, b in combinations(annotators, 2):
        both = sorted(annotators[a].keys() & annotators[b].keys())
        pairs = [(annotators[a][name], annotators[b][name]) for name in both]
        scores += [Score(ALL, a, b, *one) for one in pair_agreement(pairs)]
        for one, other in ((a, b), (b, a)):
            for name in sorted(annotators[one].keys() - annotators[other].keys()):
                scores.append(Score(name, a, b, "classed by both", None, 0, None, f"not classed by {other}"))
    if len(annotators) > 2:
        shared = sorted(set.intersection(*(set(mine) for mine in annotators.values())))
        ratings = [[mine[name] for mine in annotators.values()] for name in shared]
        scores.append(Score(ALL, ALL, ALL, *fleiss_kappa(ratings)))
    return score_table(scores)


def pair_agreement(pairs: Sequence[tuple[str, str]]) -> list[Measured]:
    """Percent agreement, Cohen's kappa and the prevalence of each class, of the classes that two annotators gave.

    kappa = (p_o - p_e) / (1 - p_e): the agreement that is seen, and that of two who draw classes by chance, each as
    often as they gave them. Where both gave the same single class to everything it means nothing.
    """
    n = len(pairs)
    if not n:
        reason = "no object was classed by both"
        return [Measured(name, None, 0, None, reason) for name in ("percent agreement", "Cohen's kappa")]
    seen = sum(x == y for x, y in pairs) / n
    first, second = Counter(x for x, _ in pairs), Counter(y for _, y in pairs)
    chance = sum(first[word] * second[word] for word in first) / n**2
    kappa = (seen - chance) / (1 - chance) if chance < 1 else None
    given = first + second
    return [
        Measured("percent agreement", seen, n),
        Measured("Cohen's kappa", kappa, n, None, None if kappa is not None else _ONE_CLASS),
        *(Measured(f"prevalence of {word}", given[word] / (2 * n), n) for word in sorted(given)),
    ]


def fleiss_kappa(ratings: Sequence[Sequence[str]]) -> Measured:
    """Fleiss' kappa of the classes that each of several annotators gave to each object.

    Args:
        ratings: a row for each object, a class of each annotator; as many in every row, two or more.
    """
    name, n = "Fleiss' kappa", len(ratings)
    if not n:
        return Measured(name, None, 0, None, "no object was classed by all")
    words = sorted({word for row in ratings for word in row})
    table = np.array([[row.count(word) for word in words] for row in map(list, ratings)], float)
    raters = table[0].sum()
    seen = float(((table**2).sum(axis=1) - raters).mean() / (raters * (raters - 1)))
    chance = float(((table.sum(axis=0) / table.sum()) ** 2).sum())
    if chance >= 1:
        return Measured(name, None, n, None, _ONE_CLASS)
    return Measured(name, (seen - chance) / (1 - chance), n)
