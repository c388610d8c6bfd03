"""What a text tells of people and machines, and what it does not."""

from __future__ import annotations

import pytest

from neuropack.rules.private import told, told_by_text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"C:\Users\jdoe\a b.czi", ("place", r"C:\Users\jdoe\a")),
        (r"saved:D:\data", ("place", r"D:\data")),
        ("e:/scans/x.nd2", ("place", "e:/scans/x.nd2")),
        (r"\\nas\share\x", ("place", r"\\nas\share\x")),
        ("path=/home/jdoe/x.tif;", ("place", "/home/jdoe/x.tif")),
        ("file://localhost/x", ("place", "file://localhost/x")),
        ("(/private/var/folders/x)", ("place", "/private/var/folders/x")),
        ("Patient ID: 4711", ("person", "Patient ID: 4711")),
        ("User Name = jdoe", ("account", "User Name = jdoe")),
        ("user name: unknown, host name: PC-7", ("account", "host name: PC-7")),
        ("<a.b@lab.edu>, c@lab.edu", ("address", "a.b@lab.edu, c@lab.edu")),
        *(
            (text, None)
            for text in (
                "https://lab.edu/home/jdoe/x s3://bucket/home/x",
                "sub/home/x ./home/x ../tmp/x /homes/x",
                "/acquisition/stack/EYFP/data",
                "http://c:80/x UBERON:0000955 a:/ 1:/2",
                r"\d+\.\w \\ \n",
                "the users name it; patient people",
                "icon@2x.png a@b a@localhost @home 5 @ 3.um",
            )
        ),
    ],
)
def test_texts(text: str, found: tuple[str, str] | None) -> None:
    assert told_by_text(text) == found


def test_the_name_of_a_field_tells_as_well() -> None:
    assert told("UserName", "jdoe") == ("account", "UserName: jdoe")
    assert told("host", "rabbit") is None
    assert told("user", True) is None
    assert told("MRN", 4711) == ("person", "MRN: 4711")
    assert told("date_of_birth", "2025-11-07") == ("person", "date_of_birth: 2025-11-07")
    assert told("date_of_birth", "2025-11-07", animal=True) is None
