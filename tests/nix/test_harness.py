"""The stand-ins of NixOS are as strict as NixOS where a mistake in a module would show.

So that what passes here is not refused there. Our own modules are in `test_modules.py`.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.nix.evaluation import evaluate
from tests.nix.requirement import need_library
from tests.nix.units import parse
from tests.testbed.nix import NixError

need_library()


def _node(module: str) -> Any:
    return evaluate(
        'let node = import "${here}/evaluate.nix" { modules = [ '
        f"({module}) ]; }}; in {{ inherit (node) units links store packages; }}"
    )


def _service(lines: str) -> str:
    return f"{{ pkgs, lib, ... }}: {{ systemd.services.x = {{ {lines} }}; }}"


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (_service("serviceconfig.ExecStart = [ ];"), "serviceconfig' does not exist"),
        ("{ services.ollama.acceleration = null; }", "services.ollama.acceleration' does not"),
        ("{ services.qdrant.port = 1; }", "services.qdrant.port' does not exist"),
        (_service('wants = [ "qdrant" ];'), "is not of type"),
        (_service('serviceConfig.Type = "notifying";'), "Type cannot be notifying"),
        (_service('serviceConfig.Restart = "sometimes";'), "Restart cannot be sometimes"),
        (_service('startLimitBurst = "5";'), "is not of type .signed integer"),
        (_service("path = [ pkgs.no-such-package ];"), "no-such-package"),
    ],
)
def test_what_nixos_does_not_have_is_an_error(module: str, says: str) -> None:
    with pytest.raises(NixError, match=says):
        _node(module)


def test_a_list_and_a_single_value_for_one_key_are_refused() -> None:
    two = (
        '{ imports = [ { systemd.services.x.serviceConfig.ExecStart = [ "/bin/a" ]; }'
        ' { systemd.services.x.serviceConfig.ExecStart = "/bin/b"; } ]; }'
    )
    with pytest.raises(NixError, match="a list in one place and a single value in another"):
        _node(two)


def test_lists_add_up_and_a_default_gives_way() -> None:
    node = _node(
        "{ lib, ... }: { imports = ["
        ' { systemd.services.x.serviceConfig.LoadCredential = [ "a:/a" ]; }'
        ' { systemd.services.x.serviceConfig.LoadCredential = [ "b:/b" ]; }'
        ' { systemd.services.x.serviceConfig.UMask = "0022"; } ];'
        ' systemd.services.x.serviceConfig.UMask = lib.mkDefault "0077"; }'
    )
    unit = parse("x", node["units"]["x.service"])
    assert sorted(unit.values("Service", "LoadCredential")) == ["a:/a", "b:/b"]
    assert unit.value("Service", "UMask") == "0022"


def test_two_different_values_for_one_key_are_refused() -> None:
    two = (
        '{ imports = [ { systemd.services.x.serviceConfig.UMask = "0077"; }'
        ' { systemd.services.x.serviceConfig.UMask = "0022"; } ]; }'
    )
    with pytest.raises(NixError, match="conflicting definition"):
        _node(two)


def test_a_unit_is_written_as_systemd_reads_it() -> None:
    node = _node(
        _service(
            'description = "An example"; after = [ "a.service" "b.service" ];'
            ' wantedBy = [ "multi-user.target" ]; startLimitBurst = 3;'
            ' environment.A = "two \\"words\\" 100%"; environment.PATH = lib.mkForce "/bin";'
            ' serviceConfig = { ExecStart = "/bin/true"; NoNewPrivileges = true;'
            ' RestrictAddressFamilies = [ "AF_UNIX" "AF_INET" ]; WatchdogSec = 30; };'
        )
    )
    assert node["units"]["x.service"] == (
        "[Unit]\n"
        "After=a.service b.service\n"
        "Description=An example\n"
        "StartLimitBurst=3\n"
        "\n"
        "[Service]\n"
        'Environment="A=two \\"words\\" 100%"\n'
        'Environment="PATH=/bin"\n'
        "ExecStart=/bin/true\n"
        "NoNewPrivileges=true\n"
        "RestrictAddressFamilies=AF_UNIX\n"
        "RestrictAddressFamilies=AF_INET\n"
        "WatchdogSec=30\n"
        "\n"
        "[Install]\n"
        "WantedBy=multi-user.target\n"
    )
    assert node["links"] == {"multi-user.target.wants/x.service": "../x.service"}


def test_a_script_becomes_a_file_and_what_it_names_is_found_too() -> None:
    node = _node(
        _service(
            'script = "cat ${pkgs.writeText "greeting" "hello ${pkgs.jq}"}";'
            ' startAt = "daily"; path = [ pkgs.curl ];'
        )
    )
    texts = {
        path.split("-", 1)[1]: text
        for path, inside in node["store"]["files"].items()
        for text in inside.values()
    }
    assert texts.keys() == {"x-start", "greeting"}
    assert texts["x-start"].startswith("#!/nix/store/")
    assert {"jq", "curl", "bash", "coreutils"} <= set(node["packages"].values())
    assert parse("x", node["units"]["x.timer"]).value("Timer", "OnCalendar") == "daily"


def test_a_folder_that_is_built_is_rendered_with_its_files_and_links() -> None:
    node = _node(
        _service(
            'serviceConfig.ExecStart = lib.getExe (pkgs.writeShellApplication { name = "tool";'
            ' text = "true"; }); environment.MODELS = "${pkgs.linkFarm "models"'
            ' [ { name = "a.gguf"; path = "/srv/a.gguf"; } ]}";'
        )
    )
    [tool] = [inside for name, inside in node["store"]["files"].items() if "-tool" in name]
    assert tool["/bin/tool"].endswith("true\n")
    [models] = node["store"]["links"].values()
    assert models == {"/a.gguf": "/srv/a.gguf"}


def test_a_disabled_unit_is_masked() -> None:
    node = _node(_service("enable = false;"))
    assert node["units"] == {}
    assert node["links"] == {"x.service": "/dev/null"}
