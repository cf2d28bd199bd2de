"""The `<integration>` block that `up` prints."""

import socket
from pathlib import Path

from console.arrivals import welcome
from console.embedded.options import StackOptions
from console.embedded.plan import make_plan


def test_block_names_the_host_when_the_file_opens_the_receiver(tmp_path: Path) -> None:
    """A receiver that `tocsin.yaml` lets listen on all addresses is told of by the host's name."""
    first = make_plan(StackOptions(data_dir=tmp_path))
    port = first.state.ports["receiver"]
    file = tmp_path / "tocsin.yaml"
    open_to_all = file.read_text().replace(f"127.0.0.1:{port}", f"0.0.0.0:{port}")
    file.write_text(open_to_all)
    plan = make_plan(StackOptions(data_dir=tmp_path, insecure=True))
    printed = welcome(plan.endpoints({}))
    hook = f"http://{socket.gethostname()}:{port}/v1/hook/{plan.state.secrets['capability']}"
    assert f"<hook_url>{hook}</hook_url>" in printed
