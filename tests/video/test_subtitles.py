from __future__ import annotations

import struct

import pytest

from codecvsr.video.subtitles import parse_subrip, parse_timed_text, write_subrip, write_timed_text

UNCHANGED = [
    "plain",
    "",
    "two\nlines",
    "Hello <i>you</i>",
    "<b>a<i>b</i></b><u>c</u> zw\u00f6lf \U0001f600<i>!</i>",
    "5 < 6 > 4",
]


@pytest.mark.parametrize("text", UNCHANGED)
def test_there_and_back(text):
    styled = parse_subrip(text.encode())
    assert not styled.lost
    again = parse_timed_text(write_timed_text(styled))
    assert again == styled
    assert parse_subrip(write_subrip(again)) == styled
    assert write_subrip(styled).decode() == text


def test_a_known_sample():
    sample = b"\x00\tHello you\x00\x00\x00\x16styl\x00\x01\x00\x06\x00\t\x00\x01\x02\x10\xff\xff\xff\xff"
    assert write_timed_text(parse_subrip(b"Hello <i>you</i>")) == sample
    assert write_subrip(parse_timed_text(sample)) == b"Hello <i>you</i>"


def test_text_of_old_files_keeps_its_letters():
    styled = parse_subrip("déjà vu – 5 €".encode("cp1252"))
    assert styled.text == "déjà vu – 5 €" and not styled.lost
    assert parse_subrip("déjà".encode()).text == "déjà"
    assert parse_subrip(b"\x81").lost  # no letter in either


@pytest.mark.parametrize("text", ['<font color="red">x</font>', "{\\an8}x", "<s>x</s>"])
def test_other_markup_is_left_out_and_said_so(text):
    styled = parse_subrip(text.encode())
    assert styled.text == "x" and styled.lost


def test_other_boxes_and_colours_are_said_to_be_lost():
    plain = write_timed_text(parse_subrip(b"<i>x</i>"))
    assert parse_timed_text(plain + struct.pack(">I4sHH", 12, b"hlit", 0, 1)).lost
    assert parse_timed_text(plain[:-4] + b"\xff\x00\x00\xff").lost
    assert not parse_timed_text(b"\0\0").lost and parse_timed_text(b"\0\0").text == ""


@pytest.mark.parametrize("sample", [b"", b"\0", b"\0\x09abc", b"\0\0\0\0\0\x04styl", b"\0\0\0\0\0\x0astyl\xff\xff"])
def test_damaged_samples_do_no_harm(sample):
    parse_timed_text(sample)


def test_sixteen_bit_text():
    raw = "\ufeffhi".encode("utf-16-be")
    assert parse_timed_text(struct.pack(">H", len(raw)) + raw).text == "hi"


def test_a_text_too_long_for_a_sample():
    with pytest.raises(ValueError, match="a subtitle of 70000 bytes"):
        write_timed_text(parse_subrip(b"x" * 70000))
