"""What our modules ask of nixpkgs' services: nginx, Prometheus, Grafana, Redis, Qdrant, Ollama.

Read from the evaluated options of those services, since nothing of ours makes their units.
"""

from __future__ import annotations

from typing import Any

from tests.nix.evaluation import evaluate
from tests.nix.requirement import need_library
from tests.nix.units import parse

need_library()


def _host(options: str, value: str) -> Any:
    """`value` of the configuration of a host with these lines; no assertion may fail."""
    found = evaluate(
        'let node = import "${here}/evaluate.nix" { modules = [ "${here}/../../modules" '
        f"({{ pkgs, ... }}: {{ services.hybrid-ai.enable = true; {options} }}) ]; }};"
        f" inherit (node) config; in {{ inherit (node) failed; value = {value}; }}"
    )
    assert found["failed"] == []
    return found["value"]


_NGINX = (
    'services.hybrid-ai = { coordinator.apiKeysFile = "/run/keys/api";'
    ' nginx = { enable = true; virtualHost = "ai.example.org"; %s }; };'
)


def test_nginx_gets_its_certificate_by_acme_unless_it_is_given_one() -> None:
    host = 'config.services.nginx.virtualHosts."ai.example.org"'
    acme = _host(_NGINX % "", f"{{ inherit ({host}) enableACME forceSSL; }}")
    assert acme == {"enableACME": True, "forceSSL": True}
    given = _host(
        _NGINX % 'certificate = "/srv/a.pem"; certificateKey = "/srv/a.key";',
        f"{{ inherit ({host}) enableACME forceSSL sslCertificate sslCertificateKey; }}",
    )
    assert given == {
        "enableACME": False,
        "forceSSL": True,
        "sslCertificate": "/srv/a.pem",
        "sslCertificateKey": "/srv/a.key",
    }


def test_nginx_passes_streams_on_as_they_come_and_hides_the_metrics() -> None:
    locations = _host(_NGINX % "", 'config.services.nginx.virtualHosts."ai.example.org".locations')
    assert locations["/"]["proxyPass"] == "http://127.0.0.1:8092"
    assert "proxy_buffering off;" in locations["/"]["extraConfig"]
    assert locations["= /metrics"]["return"] == "404"


def test_the_coordinator_accepts_the_name_that_nginx_serves() -> None:
    hosts = _host(
        _NGINX % "", "config.services.hybrid-ai.coordinator.settings.server.allowed_hosts"
    )
    assert hosts == ["ai.example.org"]


def test_prometheus_scrapes_the_coordinator_with_a_key_of_its_own() -> None:
    options = (
        "services.prometheus.enable = true; services.hybrid-ai ="
        ' { coordinator.apiKeysFile = "/run/keys/api"; coordinator.port = 9000;'
        " monitoring.prometheus = { enable = true; "
        ' apiKeyFile = "/run/keys/prometheus"; }; };'
    )
    found = _host(
        options,
        "{ scrapes = config.services.prometheus.scrapeConfigs;"
        ' unit = node.units."prometheus.service"; }',
    )
    [scrape] = found["scrapes"]
    assert scrape["static_configs"][0]["targets"] == ["127.0.0.1:9000"]
    credential = scrape["authorization"]["credentials_file"].rsplit("/", 1)[1]
    loaded = parse("x", found["unit"]).values("Service", "LoadCredential")
    assert loaded == [f"{credential}:/run/keys/prometheus"]


def test_grafana_gets_prometheus_as_its_source() -> None:
    [source] = _host(
        "services.prometheus = { enable = true; port = 9999; }; services.grafana.enable = true;"
        " services.hybrid-ai.monitoring = { prometheus.enable = true; grafana.enable = true; };",
        "config.services.grafana.provision.datasources.settings.datasources",
    )
    assert source["type"] == "prometheus"
    assert source["url"] == "http://127.0.0.1:9999"


def test_grafana_gets_the_board_and_prometheus_the_rules() -> None:
    found = _host(
        "services.prometheus.enable = true; services.grafana.enable = true;"
        " services.hybrid-ai.monitoring = { grafana.enable = true;"
        " prometheus = { enable = true; alerts.enable = true; }; };",
        "{ inherit (config.services.grafana.provision.dashboards.settings) providers;"
        " board = builtins.readDir (builtins.head"
        " config.services.grafana.provision.dashboards.settings.providers).options.path;"
        " rules = map builtins.readFile config.services.prometheus.ruleFiles; }",
    )
    [provider] = found["providers"]
    assert provider["name"] == "hybrid-ai"
    assert found["board"] == {"hybrid-ai.json": "regular"}
    [rules] = found["rules"]
    assert "HybridAiDown" in rules


def test_neither_has_anything_of_ours_unless_asked() -> None:
    found = _host(
        "services.prometheus.enable = true; services.grafana.enable = true;",
        "{ inherit (config.services.prometheus) ruleFiles scrapeConfigs;"
        " boards = config.services.grafana.provision.dashboards.settings; }",
    )
    assert found == {"ruleFiles": [], "scrapeConfigs": [], "boards": None}


def test_the_headers_of_traces_are_a_credential_and_a_collector_elsewhere_may_be_reached() -> None:
    found = _host(
        'services.hybrid-ai.coordinator.settings.tracing = { endpoint = "https://otlp.example.org";'
        ' headers_file = "/run/keys/tracing"; };',
        "{ inherit (config.services.hybrid-ai.coordinator) loadedCredentials leavesMachine;"
        ' unit = node.units."hybrid-coordinator.service"; }',
    )
    assert found["loadedCredentials"] == {"settings-tracing": "/run/keys/tracing"}
    loaded = parse("x", found["unit"]).values("Service", "LoadCredential")
    assert loaded == ["settings-tracing:/run/keys/tracing"]
    assert found["leavesMachine"] is True
    near = _host(
        'services.hybrid-ai.coordinator.settings.tracing.endpoint = "http://127.0.0.1:4318";',
        "config.services.hybrid-ai.coordinator.leavesMachine",
    )
    assert near is False


def test_redis_is_on_a_socket_that_only_its_group_opens() -> None:
    found = _host(
        "",
        "{ server = config.services.redis.servers.hybrid-ai;"
        ' unit = node.units."hybrid-coordinator.service";'
        " settings = config.services.hybrid-ai.coordinator.settings.redis; }",
    )
    server = found["server"]
    assert server["port"] == 0
    assert found["settings"]["url"] == f"unix://{server['unixSocket']}"
    assert server["group"] in parse("x", found["unit"]).values("Service", "SupplementaryGroups")


def test_one_port_option_moves_qdrant_and_its_client() -> None:
    found = _host(
        "services.hybrid-ai.qdrant.port = 7333;",
        "{ server = config.services.qdrant.settings.service;"
        " client = config.services.hybrid-ai.coordinator.settings.qdrant.url; }",
    )
    assert found["server"]["http_port"] == 7333
    assert found["server"]["host"] == "127.0.0.1"
    assert found["client"] == "http://127.0.0.1:7333"


def test_acceleration_chooses_the_package_of_ollama() -> None:
    name = _host(
        'services.hybrid-ai.ollama.acceleration = "rocm";', "config.services.ollama.package.name"
    )
    assert name == "ollama-rocm"


def test_the_old_names_of_the_package_and_the_firewall_still_work() -> None:
    found = _host(
        "services.hybrid-ai = { package = pkgs.jq; openFirewall = true;"
        ' coordinator.host = "192.168.1.2"; coordinator.apiKeysFile = "/run/keys/api"; };',
        "{ inherit (config.networking.firewall) allowedTCPPorts;"
        " package = config.services.hybrid-ai.coordinator.package.name; }",
    )
    assert found == {"allowedTCPPorts": [8092], "package": "jq"}


def test_the_ports_stay_closed_unless_asked_for() -> None:
    assert _host("", "config.networking.firewall.allowedTCPPorts") == []
