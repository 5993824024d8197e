"""Which machine this is, over a firmware, a credential folder and an override that the test writes."""

import pytest

from tillwatch.agent.enrolment.machine import CREDENTIALS, Machine, serial_of, system_of
from tillwatch.agent.enrolment.serials import SerialError


class Firmware:
    def __init__(self, folder):
        self.sysfs = folder / "sys"
        self.config = folder / "etc"
        self.credentials = folder / "run"
        self.config.mkdir()

    def write(self, place, name, text):
        file = {"dmi": self.sysfs / "class/dmi/id", "etc": self.config, "credential": self.credentials}[place] / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
        return file

    def told(self):
        environ = {CREDENTIALS: str(self.credentials)} if self.credentials.exists() else {}
        found = serial_of(self.config, sysfs=self.sysfs, environ=environ)
        return found.serial, found.source


@pytest.fixture
def firmware(tmp_path):
    return Firmware(tmp_path)


def test_the_label_of_the_case_comes_first(firmware):
    firmware.write("dmi", "product_serial", "5cg9231x4k\n")
    firmware.write("dmi", "board_serial", "PF00BOARD\n")
    assert firmware.told() == ("5CG9231X4K", "firmware, product_serial")


def test_a_placeholder_leaves_it_to_the_board(firmware):
    firmware.write("dmi", "product_serial", "To Be Filled By O.E.M.\n")
    firmware.write("dmi", "board_serial", "PF00BOARD\n")
    assert firmware.told() == ("PF00BOARD", "firmware, board_serial")


def test_the_service_is_handed_what_only_root_reads(firmware):
    firmware.write("credential", "product_serial", "none")
    firmware.write("credential", "board_serial", "PF00BOARD\n")
    assert firmware.told() == ("PF00BOARD", "firmware, board_serial")


def test_an_arm_board_has_a_device_tree(firmware, tmp_path):
    file = tmp_path / "sys/firmware/devicetree/base/serial-number"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"10000000a3b4c5d6\0")
    assert firmware.told() == ("10000000A3B4C5D6", "device tree")


def test_the_override_wins_and_is_answered_for(firmware):
    firmware.write("dmi", "product_serial", "5cg9231x4k\n")
    file = firmware.write("etc", "serial", "NCR-6688-0042\n")
    assert firmware.told() == ("NCR-6688-0042", str(file))
    file.write_text("n/a\n")
    with pytest.raises(SerialError, match=f"{file}: 'n/a' is what makers leave"):
        firmware.told()


def test_a_machine_without_a_serial_is_told_what_to_do(firmware):
    firmware.write("dmi", "product_serial", "Default string\n")
    firmware.write("dmi", "board_serial", "0\n")
    with pytest.raises(SerialError) as caught:
        firmware.told()
    text = str(caught.value)
    assert "'Default string' is what makers leave in the place of a serial number" in text
    assert f"into {firmware.config / 'serial'}" in text
    assert "tillwatch-agent enrol TOKEN" in text


def test_no_firmware_at_all(firmware):
    with pytest.raises(SerialError, match="nothing tells one"):
        firmware.told()


def test_the_id_of_the_system_is_kept_as_a_digest_only(tmp_path):
    file = tmp_path / "machine-id"
    assert system_of(file) == ""
    file.write_text("uninitialized\n")
    assert system_of(file) == ""
    file.write_text("0c5b1a2e7d3f4a5b8c9d0e1f2a3b4c5d\n")
    digest = system_of(file)
    assert len(digest) == 16
    assert digest not in file.read_text()


@pytest.mark.parametrize(
    ("then", "now", "said"),
    [
        (Machine("A111", "s1"), Machine("A111", "s1"), ""),
        (Machine("A111", "s1"), Machine("B222", "s1"), "serial number B222, enrolled with A111"),
        (Machine("A111", "s1"), Machine("A111", "s2"), "another operating system's id than when it was enrolled"),
        (Machine("A111", "s1"), Machine("", "s1"), ""),
        (Machine("", ""), Machine("B222", "s2"), ""),
    ],
)
def test_what_cannot_be_told_is_no_difference(then, now, said):
    assert then.differs(now) == said
