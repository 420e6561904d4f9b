# Lemonade's daemon `lemond` and its command line `lemonade`, from source. llama.cpp is not part of it: the
# module hands it over by path and forbids the download of foreign binaries. Not for its desktop app, its
# tray or its web app, which want npm and cargo. nixpkgs' own `lemonade` is another program.
{
  lib,
  stdenv,
  fetchFromGitHub,
  cli11,
  cmake,
  curl,
  httplib,
  libcap,
  libdrm,
  libwebsockets,
  mbedtls,
  ninja,
  nlohmann_json,
  openssl,
  pkg-config,
  systemdLibs,
  versionCheckHook,
  zstd,
}:
stdenv.mkDerivation (finalAttrs: {
  pname = "lemonade-server";
  version = "11.7.0";

  src = fetchFromGitHub {
    owner = "lemonade-sdk";
    repo = "lemonade";
    tag = "v${finalAttrs.version}";
    hash = "sha256-7YpBGChrULI1iDvTGo9ij8bIUAYVOvBw88fGyG5AujI=";
  };

  strictDeps = true;

  nativeBuildInputs = [
    cmake
    ninja
    pkg-config
  ];

  # Every library that its CMakeLists.txt would otherwise download with FetchContent is here. httplib in
  # nixpkgs is a header, which takes TLS from mbedTLS, as in the project's own releases.
  buildInputs = [
    cli11
    curl
    httplib
    libcap
    libdrm
    libwebsockets
    mbedtls
    nlohmann_json
    openssl
    systemdLibs
    zstd
  ];

  cmakeFlags = [
    (lib.cmakeBool "BUILD_TESTING" false)
    (lib.cmakeBool "BUILD_WEB_APP" false)
    (lib.cmakeBool "BUILD_TAURI_APP" false)
    # A library that is missing, or older than it wants, is an error here and not a download.
    (lib.cmakeBool "FETCHCONTENT_FULLY_DISCONNECTED" true)
    (lib.cmakeFeature "LEMONADE_SYSTEMD_UNIT_NAME" "lemonade-server.service")
  ];

  # Where it looks for its model registry and its distribution's defaults.
  postPatch = ''
    substituteInPlace src/cpp/server/utils/platform/path_linux.cpp \
      --replace-fail '"/usr/local/share/lemonade-server"' "\"$out/share/lemonade-server\"" \
      --replace-fail '"/opt/share/lemonade-server"' "\"$out/share/lemonade-server\"" \
      --replace-fail '"/usr/share/lemonade-server"' "\"$out/share/lemonade-server\""
    substituteInPlace src/cpp/server/config_file.cpp \
      --replace-fail '"/usr/share/lemonade/defaults.json"' "\"$out/share/lemonade/defaults.json\""
  '';

  # Its install rules also write below /etc and /usr, whatever the prefix is: a file for secrets and links
  # to its units. Installed into a folder aside, what is not below the prefix stays there.
  installPhase = ''
    runHook preInstall
    DESTDIR="$NIX_BUILD_TOP/installed" cmake --install .
    mv "$NIX_BUILD_TOP/installed$out" "$out"
    runHook postInstall
  '';

  # The module brings its own unit and user.
  postInstall = ''
    rm -r "$out/lib/systemd" "$out/lib/sysusers.d" "$out/share/lemonade-server/examples"
    rmdir --ignore-fail-on-non-empty "$out/lib"
  '';

  doInstallCheck = true;
  nativeInstallCheckInputs = [ versionCheckHook ];
  # It looks for its cache folder before it prints anything.
  versionCheckKeepEnvironment = [ "HOME" ];

  meta = {
    description = "Server for language models on local hardware, with an OpenAI-compatible API";
    homepage = "https://lemonade-server.ai";
    changelog = "https://github.com/lemonade-sdk/lemonade/releases/tag/v${finalAttrs.version}";
    license = [
      lib.licenses.asl20
      # aixlog, the logging header in its tree
      lib.licenses.mit
    ];
    mainProgram = "lemond";
    platforms = [
      "x86_64-linux"
      "aarch64-linux"
    ];
  };
})
