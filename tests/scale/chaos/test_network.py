"""That a machine which is cut off is, and that it comes back: what the chaos of the large installation rests on."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.scale.chaos.network import Network, network

pytestmark = [
    # Chromium gives up what it loads when an interface of the machine comes or goes (ERR_NETWORK_CHANGED): not beside the tests of pages.
    pytest.mark.long,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root"),
]


def _reaches(net: Network, one: str, other: str) -> bool:
    # An ARP entry is made by an answer alone; a closed port answers with a refusal, a machine that is cut off not at all.
    code = "import socket, sys\ntry:\n    socket.create_connection((sys.argv[1], 9), 0.5)\nexcept ConnectionRefusedError:\n    pass\n"
    told = ("python3", "-c", code, other)
    return subprocess.run((*net.inside(one), *told), capture_output=True, check=False).returncode == 0


def test_who_is_cut_off_reaches_nobody_until_mended() -> None:
    with network(["a", "b", "c"], os.getpid() % 1000) as net:
        assert _reaches(net, "a", "b")
        net.cut("b")
        assert not _reaches(net, "a", "b")
        assert not _reaches(net, "b", "c")
        assert _reaches(net, "a", "c")
        net.mend("b")
        assert _reaches(net, "a", "b")
        with net.apart("a", "b"):
            assert not _reaches(net, "a", "b")
            assert not _reaches(net, "b", "a")
            assert _reaches(net, "a", "c")
        assert _reaches(net, "b", "a")
    left = subprocess.run(("ip", "netns", "list"), capture_output=True, text=True, check=True).stdout
    assert net.space("a") not in left.split()
