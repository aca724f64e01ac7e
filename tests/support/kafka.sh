#!/usr/bin/env bash
# Starts and stops a real Apache Kafka (KRaft, one to three brokers) in a folder, on free ports, for tests and measurements.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/support/lib.sh
source "$here/lib.sh"

usage() {
    cat <<'TEXT'
Usage: kafka.sh start DIR [--brokers N] [NAME=VALUE…]    start N brokers (default 1), print bootstrap.servers; settings go to each server.properties
       kafka.sh stop DIR [--now]                         controlled shutdown, or kill -9 for a cluster that is thrown away
       kafka.sh kill DIR BROKER                          kill -9 for one broker (1, 2, 3)
       kafka.sh revive DIR BROKER                        start it again on its old port and data
       kafka.sh topic DIR NAME:PARTITIONS[,CONFIG=VALUE…]…  create topics, replicated to all brokers
       kafka.sh topics DIR                               list topics with their partitions
       kafka.sh bootstrap DIR                            print bootstrap.servers
       kafka.sh tool DIR CLASS [ARGUMENT…]               one of Kafka's own tools, such as org.apache.kafka.tools.ConsumerGroupCommand
       kafka.sh fetch                                    only resolve the jars into the cache

Everything is below DIR/kafka. The jars come by Maven, once, into ${XDG_CACHE_HOME:-~/.cache}/postrider/kafka-VERSION (PR_KAFKA_JARS names a
folder to take instead). PR_KAFKA_HEAP is a broker's heap, 512m by default.
TEXT
}

pom=$here/kafka/pom.xml
heap=${PR_KAFKA_HEAP:-512m}

jars() {
    local version cache
    if [[ -n ${PR_KAFKA_JARS:-} ]]; then
        echo "$PR_KAFKA_JARS"
        return
    fi
    version=$(sed -n 's/.*<kafka.version>\(.*\)<.*/\1/p' "$pom")
    cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/postrider/kafka-$version
    if [[ ! -d $cache ]]; then
        need mvn maven
        mkdir -p "$(dirname "$cache")"
        draft=$(mktemp -d "$cache.XXXXXX")
        trap 'rm -rf "$draft"' EXIT
        echo "kafka.sh: fetching Apache Kafka $version (about 60 MB, once)" >&2
        # Whatever it is told, it resets the colour of a terminal that is none.
        MAVEN_OPTS="${MAVEN_OPTS:-} -XX:-UsePerfData" mvn -q -B --strict-checksums -f "$pom" dependency:copy-dependencies \
            -DincludeScope=runtime -DoutputDirectory="$draft" 2>&1 | sed $'s/\033\\[[0-9;]*m//g' >&2 \
            || die "Maven could not resolve Apache Kafka $version; its message is above"
        # By a rename, so that two runs at once never see half a folder; who comes second drops his own.
        mv -T "$draft" "$cache" 2>/dev/null || true
    fi
    echo "$cache"
}

run_tool() {
    java "${java_options[@]}" -cp "$(jars)/*" -Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto "-Dlog4j.configuration=file:$here/kafka/tools-log4j.properties" "$@"
}

bootstrap() {
    paste -sd, "$kafka/bootstrap"
}

# write_properties ID BROKERS VOTERS BROKER_PORT CONTROLLER_PORT [NAME=VALUE…]
write_properties() {
    local id=$1 brokers=$2 voters=$3 port=$4 controller=$5 setting
    shift 5
    mkdir -p "$kafka/$id"
    cat >"$kafka/$id/server.properties" <<TEXT
process.roles=broker,controller
node.id=$id
controller.quorum.voters=$voters
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$kafka/$id/data
default.replication.factor=$brokers
min.insync.replicas=$((brokers > 1 ? 2 : 1))
offsets.topic.replication.factor=$brokers
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=$brokers
transaction.state.log.min.isr=$((brokers > 1 ? 2 : 1))
transaction.state.log.num.partitions=2
unclean.leader.election.enable=false
auto.create.topics.enable=false
# A test's group has one or two members, all there at once: nothing to wait for.
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
TEXT
    # Later lines win in a properties file.
    for setting in "$@"; do
        [[ $setting == *=* ]] || die "$setting: expected NAME=VALUE"
        echo "$setting" >>"$kafka/$id/server.properties"
    done
}

write_cluster() {
    local brokers=$1 id voters='' ports
    shift
    rm -rf "$kafka"
    mkdir -p "$kafka/tmp"
    read -ra ports < <(free_ports $((2 * brokers)))
    for ((id = 1; id <= brokers; id++)); do
        voters+=${voters:+,}$id@127.0.0.1:${ports[brokers + id - 1]}
        echo "127.0.0.1:${ports[id - 1]}" >>"$kafka/bootstrap"
    done
    for ((id = 1; id <= brokers; id++)); do
        write_properties "$id" "$brokers" "$voters" "${ports[id - 1]}" "${ports[brokers + id - 1]}" "$@"
    done
}

# The same cluster id for all folders of a cluster; 16 bytes as Kafka writes them.
format_storage() {
    local cluster id
    cluster=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')
    # A leading dash would look like an option.
    cluster=k${cluster:1}
    for id in "$kafka"/[0-9]*; do
        run_tool kafka.tools.StorageTool format -t "$cluster" -c "$id/server.properties" >"$id/format.log" 2>&1 \
            || die "kafka-storage failed: $(tail -n 3 "$id/format.log")"
    done
}

launch() {
    local id=$1 classes
    classes=$(jars)
    setsid java "${java_options[@]}" "-Xmx$heap" "-Xms$heap" -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -Djava.awt.headless=true "-Dlog4j.configuration=file:$here/kafka/log4j.properties" \
        -cp "$classes/*" kafka.Kafka "$kafka/$id/server.properties" >>"$kafka/$id/log" 2>&1 </dev/null &
    echo $! >"$kafka/$id/pid"
    # Between fork and exec the child still has our own command line.
    wait_until 5 is_running "$kafka/$id/pid" "$id/server.properties" || true
}

brokers_seen() {
    # kcat repeats a broker's name when it says which one answered; the listing has one line each.
    [[ $(timeout 5 kcat -b "$(bootstrap)" -L -m 2 2>/dev/null | grep -c '^  broker ') -eq $1 ]]
}

all_up() {
    local id
    for id in "$kafka"/[0-9]*; do
        is_running "$id/pid" "$id/server.properties" || return 2
    done
    brokers_seen "$1"
}

wait_for_cluster() {
    local brokers=$1 deadline=$((SECONDS + 90)) status
    while ((SECONDS < deadline)); do
        status=0
        all_up "$brokers" || status=$?
        ((status == 0)) && return 0
        ((status == 2)) && return 1
        sleep 0.2
    done
    return 1
}

start() {
    local brokers=1 try id
    if [[ ${1:-} == --brokers ]]; then
        brokers=${2:?--brokers: how many?}
        shift 2
    fi
    [[ $brokers == [123] ]] || die "--brokers $brokers: 1 to 3"
    [[ ! -e $kafka/bootstrap ]] || die "$kafka: there is a cluster already"
    jars >/dev/null
    # A second try has other ports, should somebody have taken one in between.
    for try in 1 2; do
        write_cluster "$brokers" "$@"
        format_storage
        for ((id = 1; id <= brokers; id++)); do
            launch "$id"
        done
        wait_for_cluster "$brokers" && break
        stop --now
        ((try == 1)) || die "Kafka did not start: $(tail -n 5 "$kafka"/1/log)"
    done
    bootstrap
}

stop() {
    local id ids=() job jobs=()
    for id in "$kafka"/[0-9]*; do
        [[ -d $id ]] && ids+=("$id")
    done
    # All at once: with one controller gone, the others would wait for each other.
    for id in "${ids[@]}"; do
        if [[ ${1:-} == --now ]]; then
            end_process "$id/pid" "$id/server.properties" KILL 10 &
        else
            end_process "$id/pid" "$id/server.properties" TERM 30 &
        fi
        jobs+=($!)
    done
    # Not for all children: a broker is one as well.
    for job in "${jobs[@]}"; do
        wait "$job"
    done
}

kill_broker() {
    [[ -d $kafka/$1 ]] || die "$1: no such broker"
    end_process "$kafka/$1/pid" "$kafka/$1/server.properties" KILL 10
}

revive() {
    [[ -d $kafka/$1 ]] || die "$1: no such broker"
    is_running "$kafka/$1/pid" "$kafka/$1/server.properties" && return 0
    launch "$1"
    wait_until 120 brokers_seen "$(wc -l <"$kafka/bootstrap")" || die "broker $1 did not come back: $(tail -n 3 "$kafka/$1/log")"
}

# create_topic NAME:PARTITIONS[,CONFIG=VALUE…]
create_topic() {
    local parts name rest config arguments=()
    IFS=, read -ra parts <<<"$1"
    name=${parts[0]%:*}
    rest=${parts[0]##*:}
    [[ $name != "${parts[0]}" && $rest =~ ^[0-9]+$ ]] || die "$1: expected NAME:PARTITIONS"
    for config in "${parts[@]:1}"; do
        arguments+=(--config "$config")
    done
    run_tool org.apache.kafka.tools.TopicCommand --bootstrap-server "$(bootstrap)" --create --topic "$name" --partitions "$rest" \
        --replication-factor "$(wc -l <"$kafka/bootstrap")" "${arguments[@]}" >/dev/null
}

create_topics() {
    local topic job jobs=()
    # Most of the time is a JVM's start; two at once use the two CPUs that are there at the least.
    for topic in "$@"; do
        create_topic "$topic" &
        jobs+=($!)
        if ((${#jobs[@]} == 2)); then
            wait "${jobs[0]}"
            jobs=("${jobs[@]:1}")
        fi
    done
    for job in "${jobs[@]}"; do
        wait "$job"
    done
    # The controller has them now; the brokers learn of them a moment later.
    for topic in "$@"; do
        wait_until 10 has_topic "${topic%%,*}" || die "$topic: created, but no broker shows it"
    done
}

has_topic() {
    list_topics | grep -xF -- "$1" >/dev/null
}

list_topics() {
    timeout 10 kcat -b "$(bootstrap)" -L | sed -n 's/^  topic "\(.*\)" with \([0-9]*\) partitions.*/\1:\2/p'
}

main() {
    case ${1:-} in
        -h | --help)
            usage
            return
            ;;
        fetch)
            jars
            return
            ;;
        start | stop | kill | revive | topic | topics | bootstrap | tool) ;;
        *)
            usage >&2
            exit 2
            ;;
    esac
    [[ -n ${2:-} ]] || die "$1: which folder?"
    need java openjdk-17-jre-headless
    need kcat kcat
    need python3 python3
    if [[ $1 == start ]]; then
        mkdir -p "$2"
    fi
    local verb=$1
    kafka=$(cd "$2" && pwd)/kafka || die "$2: no such folder"
    # What Kafka unpacks into the temporary folder it leaves there when it is killed.
    java_options=(-XX:-UsePerfData "-Djava.io.tmpdir=$kafka/tmp")
    shift 2
    # Ctrl-C reaches the tools as well: whoever pressed it need not be told that they failed.
    trap 'exit 130' INT
    case $verb in
        start) start "$@" ;;
        stop) stop "$@" ;;
        kill) kill_broker "${1:?which broker?}" ;;
        revive) revive "${1:?which broker?}" ;;
        topic) create_topics "$@" ;;
        topics) list_topics ;;
        bootstrap) bootstrap ;;
        tool) run_tool "$@" ;;
    esac
}

main "$@"
