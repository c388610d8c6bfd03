"""Planted paths of a disk, patients, accounts and addresses in every kind of text; and what only looks like one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from planted import metadata
from plants import Plants
from small_release import FOLDER, IMAGE, NWB, SIDECAR, SWC

from defects import edited, hdf5, ome
from neuropack.manifest import digest_of

PRIVACY = Plants()


def in_nwb(root: Path, path: str, value: Any) -> None:
    """A text dataset in the NWB file, or an attribute where the path has an @."""
    with hdf5(root) as file:
        place, _, name = path.partition("@")
        if name:
            file[place].attrs[name] = value
        else:
            file[place] = value
    redigest(root, 1, NWB)


def redigest(root: Path, output: int, name: str) -> None:
    with metadata(root) as document:
        document["processings"][0]["outputs"][output]["sha256"] = digest_of(root / name)
        if name == IMAGE:
            document["image_stacks"][0]["digest"] = digest_of(root / name)


def in_sidecar(root: Path, **fields: Any) -> None:
    with edited(root / SIDECAR) as sidecar:
        sidecar.update(fields)


def in_swc(root: Path, comment: str) -> None:
    file = root / SWC
    file.write_text(f"# {comment}\n{file.read_text()}")


# ------------------------------------------------------------------------------------- places on a disk


@PRIVACY.defect("privacy.local-paths", r"C:\Users\jdoe\Desktop\brain.czi")
def path_of_windows_in_the_metadata(root: Path) -> None:
    with metadata(root) as document:
        document["image_stacks"][0]["raw_file"] = r"C:\Users\jdoe\Desktop\brain.czi"


@PRIVACY.defect("privacy.local-paths", "/home/jdoe/data/brain.czi")
def path_of_linux_in_the_settings(root: Path) -> None:
    with metadata(root) as document:
        document["processings"][0]["parameters"] = '{"source": "/home/jdoe/data/brain.czi"}'


@PRIVACY.defect("privacy.local-paths", r"D:\\scans\\brain.czi")
def path_in_json_in_json(root: Path) -> None:
    with metadata(root) as document:
        document["processings"][0]["parameters"] = r'{"source": "D:\\scans\\brain.czi"}'


@PRIVACY.defect("privacy.local-paths", r"\\nas01\microscopy\brain.czi")
def path_of_a_server_in_a_sidecar(root: Path) -> None:
    in_sidecar(root, OtherAcquisitionParameters=r"saved to \\nas01\microscopy\brain.czi")


@PRIVACY.defect("privacy.local-paths", "file:///Volumes/disk/brain.czi")
def address_of_a_file_in_an_image(root: Path) -> None:
    with ome(root) as node:
        node["attributes"]["source"] = "file:///Volumes/disk/brain.czi"
    redigest(root, 0, IMAGE)


@PRIVACY.defect("privacy.local-paths", "E:/recordings/brain.czi")
def path_in_a_description_in_nwb(root: Path) -> None:
    in_nwb(root, "acquisition/stack/EYFP@comments", "from E:/recordings/brain.czi")


@PRIVACY.defect("privacy.local-paths", "/mnt/nas/jdoe")
def path_in_a_list_in_nwb(root: Path) -> None:
    in_nwb(root, "general/related_publications", ["a paper", "/mnt/nas/jdoe/paper.pdf"])


@PRIVACY.defect("privacy.local-paths", "/Users/jdoe/traces/n1.swc")
def path_in_the_comment_of_a_skeleton(root: Path) -> None:
    in_swc(root, "saved as /Users/jdoe/traces/n1.swc")


@PRIVACY.defect("privacy.local-paths", r"C:\traces")
def path_in_a_table(root: Path) -> None:
    (root / "derivatives/nwb/files_objects.tsv").write_text("label\tsource\n1\tn/a\n2\tC:\\traces\\n2.swc\n")


@PRIVACY.defect("privacy.local-paths", "smb://nas01/share/brain.czi")
def address_of_a_share_in_the_readme(root: Path) -> None:
    with (root / "README.md").open("a") as file:
        file.write("\nThe raw file is smb://nas01/share/brain.czi\n")


@PRIVACY.defect("privacy.local-paths", r"C:\Users\jdoe")
def path_in_ome_xml(root: Path) -> None:
    text = '<OME><Image Name="brain"/><StructuredAnnotations>C:\\Users\\jdoe\\a.czi</StructuredAnnotations></OME>'
    tifffile.imwrite(root / "derivatives/nwb/overview.ome.tif", np.zeros((8, 8), "u1"), description=text)


@PRIVACY.twin
def what_looks_like_a_path(root: Path) -> None:
    in_sidecar(
        root,
        Web="https://institute.edu/home/jdoe/brain and s3://bucket/tmp/x or https://x.org/?file=/home/me/x",
        Pointer="/image_stacks/0/path",
        Hdf5="/acquisition/stack/EYFP/data",
        Relative="sub-M01/ses-01/micr/../micr/home/x",
        Ratio="a:b 1:/2 c:d, EYFP:tdTomato, z:y:x",
        Bids="bids:raw:sub-M01/x.ome.zarr",
        Regular=r"\d+\.\d+ and \\ and a\b",
        Curie="UBERON:0000955",
        Doi="doi:10.5281/zenodo.1",
        And="and/or, EYFP/tdTomato, /home, /tmp, home/office",
    )
    in_swc(root, "ORIGINAL_SOURCE https://institute.edu/home/n1.swc, 3D/C:2")


# ---------------------------------------------------------------------------------------------- patients


@PRIVACY.defect("privacy.patients", "PatientName: Doe^John")
def patient_in_a_sidecar(root: Path) -> None:
    in_sidecar(root, PatientName="Doe^John")


@PRIVACY.defect("privacy.patients", "date_of_birth: 1971-02-03")
def day_of_birth_in_an_image(root: Path) -> None:
    with ome(root) as node:
        node["attributes"]["donor"] = {"date_of_birth": "1971-02-03"}
    redigest(root, 0, IMAGE)


@PRIVACY.defect("privacy.patients", "MRN: 0012345")
def record_number_in_nwb(root: Path) -> None:
    in_nwb(root, "general/notes", "resected tissue, MRN: 0012345")


@PRIVACY.defect("privacy.patients", "ssn: 078-05-1120")
def column_of_insurance_numbers(root: Path) -> None:
    (root / "derivatives/nwb/donors_objects.tsv").write_text("donor\tssn\n1\tn/a\n2\t078-05-1120\n")


@PRIVACY.twin
def day_of_birth_of_a_mouse(root: Path) -> None:
    in_nwb(root, "general/subject/date_of_birth", "2025-11-07T00:00:00+00:00")


@PRIVACY.twin
def a_patient_of_whom_nothing_is_said(root: Path) -> None:
    in_sidecar(root, PatientName="n/a", PatientID="", Patience="needed", Note="patients: none; no patient's name")


# ---------------------------------------------------------------------------------------------- accounts


@PRIVACY.defect("privacy.accounts", "UserName: jdoe")
def user_of_the_microscope_in_a_sidecar(root: Path) -> None:
    in_sidecar(root, Acquisition={"UserName": "jdoe"})


@PRIVACY.defect("privacy.accounts", "host_name: LSM880-PC")
def machine_in_nwb(root: Path) -> None:
    in_nwb(root, "general/devices/microscope@host_name", "LSM880-PC")


@PRIVACY.defect("privacy.accounts", "User name: jdoe")
def user_in_the_comment_of_a_skeleton(root: Path) -> None:
    in_swc(root, "User name: jdoe")


@PRIVACY.defect("privacy.accounts", 'UserName="jdoe')
def user_in_ome_xml(root: Path) -> None:
    (root / FOLDER / "METADATA.xml").write_text('<OME>\n<Experimenter ID="E:0" UserName="jdoe"/>\n</OME>\n')


@PRIVACY.twin
def users_who_are_nobody(root: Path) -> None:
    in_sidecar(
        root,
        UserName="unknown",
        sources={"acquired": "user"},
        Text="the user names the file; hosts: rabbit; a user-defined name",
        host="rabbit",
    )


# --------------------------------------------------------------------------------------------- addresses


@PRIVACY.defect("privacy.addresses", "john.roe@institute.edu")
def address_of_a_colleague_in_the_readme(root: Path) -> None:
    with (root / "README.md").open("a") as file:
        file.write("\nAsk jane@example.org, contact@lab.edu, or john.roe@institute.edu, for the key.\n")
    with metadata(root) as document:
        document["dataset"]["contact"]["email"] = "contact@lab.edu"


@PRIVACY.defect("privacy.addresses", "john.roe@institute.edu")
def address_of_a_colleague_in_nwb(root: Path) -> None:
    in_nwb(root, "general/notes", "traced by John Roe <john.roe@institute.edu>")


@PRIVACY.twin
def addresses_that_are_given_out(root: Path) -> None:
    with metadata(root) as document:
        document["dataset"]["contact"]["email"] = "Jane@Institute.edu"
    with (root / "README.md").open("a") as file:
        file.write("\njane@institute.edu, someone@example.org, icon@2x.png, git@github.com:lab/x.git, 5 @ 3.4.um\n")
    with (root / "LICENSE").open("a") as file:
        file.write("\nQuestions: info@opendatacommons.org\n")
