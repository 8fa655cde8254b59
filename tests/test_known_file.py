"""A file of declared differences: what is accepted, and what is refused with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.align.checks import CHECKS
from harness.align.declaration import NEEDS, OF_KERNELS, versions_of_all
from harness.align.known import read_known
from harness.cli import main
from harness.errors import InputError

HEAD = '[[known]]\nname = "a"\nreason = "r"\neffect = "e"\n'
END = "expires = 2027-03-31\n"
KERNEL = HEAD + END + 'kernel = "gather"\n'
CHECK = HEAD + END + "check = "


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "known.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_known(path)
    assert str(path) in caught.value.what
    return str(caught.value)


def read(tmp_path: Path, text: str):
    path = tmp_path / "known.toml"
    path.write_text(text)
    return read_known(path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('case = "vllm"', "has a case that is no table: 'vllm'; write { framework"),
        ('case = ["a"]', "has a case that is no table"),
        ('case = { frmework = "vllm" }', "unknown field of a case 'frmework'; use only op,"),
        ("case = { tp = 1.5 }", "tp = 1.5; give a text or a whole number"),
        ('versions = "vllm>=1"', "has a versions that is no table"),
        ("versions = { vllm = 1 }", "ties vllm to 1"),
        ('versions = { vllm = "" }', "ties vllm to ''"),
        ('versions = { vllm = "new" }', "versions that cannot be read"),
        ('matching = ["x"]', "has matching, which says nothing of a kernel without a check"),
        ("most = 0.1", "has most, which says nothing of a kernel without a check"),
        ('kernl = "x"', "has an unknown field 'kernl'; use only name,"),
    ],
)
def test_a_field_of_another_kind_is_refused_with_what_to_write(tmp_path: Path, line, said):
    assert said in refused(tmp_path, KERNEL + line)


@pytest.mark.parametrize("most", ["inf", "nan", "true", "5", "1.0", "0.0", "-0.1", '"5%"'])
def test_a_bound_is_a_fraction_below_one(tmp_path: Path, most):
    said = refused(tmp_path, CHECK + f'"latency"\nmost = {most}')
    assert "give a fraction above 0 and below 1" in said


@pytest.mark.parametrize("texts", ['"rotary"', "[1]", "3"])
def test_findings_are_a_list_of_texts(tmp_path: Path, texts):
    said = refused(tmp_path, CHECK + f'"data flow"\nmatching = {texts}')
    assert "has a matching that is no list of texts" in said


@pytest.mark.parametrize("pattern", [".*", "|", ".", "", "(?!x)", "("])
def test_an_expression_that_finds_anything_is_refused(tmp_path: Path, pattern):
    refused(tmp_path, HEAD + END + f"kernel = '{pattern}'")
    if pattern not in ("", "(?!x)"):
        refused(tmp_path, CHECK + f"\"data flow\"\nmatching = ['{pattern}+']")


def test_every_check_says_what_of_it_can_be_declared(tmp_path: Path):
    for check in CHECKS:
        said = refused(tmp_path, CHECK + f'"{check}"')
        if check in NEEDS:
            assert f"needs {NEEDS[check]}: it would cover all of the check {check!r}" in said
        elif check in OF_KERNELS:
            assert "name the kernels (kernel) instead" in said
        else:
            assert "says whether the recording can be trusted" in said
    assert OF_KERNELS | NEEDS.keys() <= CHECKS.keys()


def test_a_bound_does_not_stand_for_what_a_check_needs(tmp_path: Path):
    assert "needs matching" in refused(tmp_path, CHECK + '"call parity"\nmost = 0.1')
    said = refused(tmp_path, CHECK + '"latency"\nmost = 0.1\nkernel = "gather"')
    assert "has kernel, which says nothing of the check 'latency'" in said


def test_keys_beside_the_tables_and_misspelt_tables_are_refused(tmp_path: Path):
    assert "unknown key 'knwon'" in refused(tmp_path, KERNEL.replace("[[known]]", "[[knwon]]"))
    assert "unknown key 'title'" in refused(tmp_path, 'title = "x"\n' + KERNEL)
    assert "no list of tables" in refused(tmp_path, KERNEL.replace("[[known]]", "[known]"))
    assert "is no table" in refused(tmp_path, "known = [1]")
    assert read(tmp_path, "# none left\n") == ()


def test_two_declarations_of_one_name_are_refused(tmp_path: Path):
    assert "declares 'a' twice" in refused(tmp_path, KERNEL + KERNEL)


@pytest.mark.parametrize("tie", [">=0.26", "!=0.27", ">0.1,!=0.2"])
def test_a_tie_without_an_upper_bound_is_no_end(tmp_path: Path, tie):
    endless = HEAD + f'kernel = "gather"\nversions = {{ vllm = "{tie}" }}\n'
    assert "needs an end" in refused(tmp_path, endless)
    (one,) = read(tmp_path, endless + END)
    assert one.versions == {"vllm": tie}


@pytest.mark.parametrize("tie", [">=0.26,<0.27", "==0.26.*", "~=0.26.1", "<=1"])
def test_a_tie_with_an_upper_bound_is_an_end(tmp_path: Path, tie):
    (one,) = read(tmp_path, HEAD + f'kernel = "gather"\nversions = {{ vllm = "{tie}" }}')
    assert one.expires is None


def test_the_forms_that_the_manual_shows_are_accepted(tmp_path: Path):
    bodies = (
        'kernel = "gather"\ncase = { framework = "vllm", tp = 8 }',
        'check = "launch"\nkernel = "gather"',
        "check = \"data flow\"\nmatching = ['rotary_emb in\\.x: .*']",
        'check = "numerics"\nmost = 0.05',
        'check = "kernel latency"\nmost = 0.05',
        'check = "kernel latency"\nkernel = "gather"\nmost = 0.05',
    )
    text = "\n".join(HEAD.replace('"a"', f'"{at}"') + END + body for at, body in enumerate(bodies))
    made = read(tmp_path, text)
    assert [one.concern for one in made] == [
        "kernel gather",
        "launch of kernel gather",
        "data flow in rotary_emb in\\.x: .*",
        "numerics up to 0.05",
        "kernel latency up to 0.05",
        "kernel latency of kernel gather up to 0.05",
    ]


@pytest.mark.parametrize("text", [KERNEL + 'case = "vllm"', KERNEL + 'case = ["a"]'])
def test_the_command_ends_with_2_and_one_line(tmp_path: Path, text, capsys):
    path = tmp_path / "known.toml"
    path.write_text(text)
    with pytest.raises(SystemExit) as ended:
        main(["compare", "--op", "dsa", "--known", str(path)])
    assert ended.value.code == 2
    assert "has a case that is no table" in capsys.readouterr().err


def test_versions_of_a_comparison_are_those_known_of_every_side(tmp_path: Path):
    here, there = {"vllm": "0.26.1", "torch": "2.9"}, {"vllm": "0.27", "cuda": "13"}
    assert versions_of_all(here, there) == {"vllm": "0.26.1 and 0.27"}
    (one,) = read(tmp_path, HEAD + 'kernel = "g"\nversions = { vllm = ">=0.26,<0.27" }')
    assert one.other_versions(versions_of_all(here, here)) == ""
    assert "here is 0.26.1 and 0.27" in one.other_versions(versions_of_all(here, there))
    assert "is not known" in one.other_versions(versions_of_all(here, {}))
    assert versions_of_all() == {}
