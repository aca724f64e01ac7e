# Installs the Debian packages that a purpose needs, and nothing that is there; sourced by quickstart and run-tests, or run by itself.
# shellcheck shell=bash
#
#   pr_setup build run        to compile the programs, and to run them with a private PostgreSQL
#   pr_setup build run test   for ./run-tests as well
#   pr_setup kafka            Java and Maven, for a real Apache Kafka
#
# Returns at once when nothing is missing. As root it uses apt-get, otherwise sudo; where neither works it prints the command and returns 2.

# Alternatives are separated by |: any of them will do, the first that the release has is installed.
pr_packages() {
    case $1 in
        build)
            echo gcc libc6-dev cmake ninja-build "pkgconf|pkg-config" librdkafka-dev "libcurl4-openssl-dev|libcurl4-gnutls-dev" libpq-dev \
                "libmsgpack-dev|libmsgpack-c-dev" libevent-dev libjansson-dev libmicrohttpd-dev libssl-dev libinih-dev libxxhash-dev \
                zlib1g-dev uthash-dev libbsd-dev
            ;;
        run) echo "postgresql-15|postgresql-16|postgresql-17|postgresql" "postgresql-client-15|postgresql-client" jq procps util-linux python3 ;;
        test) echo git libcmocka-dev binutils iproute2 kcat curl pmccabe shellcheck "clang-format-14|clang-format" "postgresql-15-pgtap|postgresql-17-pgtap" \
            libc-ares2 faketime ;;
        kafka) echo "openjdk-17-jre-headless|openjdk-21-jre-headless|default-jre-headless" maven kcat ;;
        clang) echo "clang-14|clang" "libclang-rt-14-dev|libclang-rt-dev" ;;
        *)
            echo "setup: no such purpose: $1" >&2
            return 2
            ;;
    esac
}

# Of the packages given, those of which no alternative is installed.
pr_missing() {
    local installed wanted name found names
    read -ra names <<<"${*//|/ }"
    # It fails when any is unknown, which is no error here.
    installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${names[@]}" 2>/dev/null | sed -n 's/ installed$//p') || true
    for wanted in "$@"; do
        found=
        for name in ${wanted//|/ }; do
            grep -qxF -- "$name" <<<"$installed" && found=yes && break
        done
        [[ $found ]] || echo "$wanted"
    done
}

# The first alternative that this release has.
pr_choose() {
    local wanted name
    for wanted in "$@"; do
        for name in ${wanted//|/ }; do
            if apt-cache show "$name" >/dev/null 2>&1; then
                echo "$name"
                continue 2
            fi
        done
        echo "${wanted%%|*}"
    done
}

# In a shell of its own, for its traps.
pr_install() (
    as_root=$1
    shift
    folder=/etc/postgresql-common/createcluster.d
    apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends)
    echo "setup: $# packages are missing: ${as_root:+$as_root }apt-get update and install" >&2
    $as_root "${apt[@]}" update >/dev/null || return
    # Only now the alternatives are known.
    read -ra chosen <<<"$(pr_choose "$@" | paste -sd' ')"
    echo "setup: installing ${chosen[*]}" >&2
    if [[ " ${chosen[*]} " == *" postgresql"* ]]; then
        # A server package would make a cluster of its own and start it; ours are private.
        trap '$as_root rm -f "$folder/postrider.conf"; $as_root rmdir --ignore-fail-on-non-empty "$folder"' EXIT
        trap 'exit 130' INT
        trap 'exit 143' TERM HUP
        $as_root mkdir -p "$folder"
        echo 'create_main_cluster = false' | $as_root tee "$folder/postrider.conf" >/dev/null
    fi
    $as_root "${apt[@]}" install "${chosen[@]}" >/dev/null
)

pr_setup() {
    local purpose packages=() missing=() as_root='' status=0
    if ! command -v dpkg-query >/dev/null; then
        echo "setup: not a Debian system: install the equivalents of $(for purpose in "$@"; do pr_packages "$purpose"; done | paste -sd' ')" >&2
        return 0
    fi
    for purpose in "$@"; do
        read -ra missing <<<"$(pr_packages "$purpose")" || return 2
        packages+=("${missing[@]}")
    done
    mapfile -t missing < <(pr_missing "${packages[@]}" | awk '!seen[$0]++')
    ((${#missing[@]})) || return 0
    if [[ $(id -u) -ne 0 ]]; then
        if ! command -v sudo >/dev/null || { [[ ! -t 0 ]] && ! sudo -n true 2>/dev/null; }; then
            mapfile -t missing < <(pr_choose "${missing[@]}")
            printf 'setup: packages are missing and this user may not install them. Run as root, then start again:\n\n    bash %s %s\n\nIt installs with apt-get: %s\n' \
                "$(readlink -f "${BASH_SOURCE[0]}")" "$*" "${missing[*]}" >&2
            return 2
        fi
        as_root=sudo
    fi
    pr_install "$as_root" "${missing[@]}" || status=$?
    if ((status > 128)); then return "$status"; fi
    if ((status != 0)); then
        echo "setup: apt-get failed; its message is above" >&2
        return 2
    fi
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    set -euo pipefail
    pr_setup "${@:-build}"
fi
