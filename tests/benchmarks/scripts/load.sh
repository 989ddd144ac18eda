# See tests/bench. wrk and `yima load` ask one service in turn, in one run: first each as fast as it can over the same
# connections, then `yima load` at a fixed rate. Both have one thread and the same sessions. The service has a core of
# its own, and so has the generator: on shared cores a cheaper generator would leave the service more, and seem faster.
rounds=${1:-5} seconds=${2:-5} connections=64 people=50000
cargo build --profile dist -q -p yima -p yima-benchmarks --bin yima
. tests/benchmarks/scripts/common.sh

dir=$(mktemp -d)
pid=''
trap 'kill $pid 2>/dev/null; wait; rm -rf "$dir"' EXIT
port=$(free_port) admin_port=$(free_port)
YIMA_READ_API__BIND=127.0.0.1:$port YIMA_WRITER__BIND=127.0.0.1:$(free_port) YIMA_ADMIN__LISTEN=127.0.0.1:$admin_port \
    taskset -c 0 "$bin/yima" --data-dir "$dir/data" --population $people >/dev/null 2>"$dir/log" & pid=$!
wait_until_ready
"$bin/yima" --data-dir "$dir/data" sessions --count $people >"$dir/sessions"

# mix RATE SECONDS [CONNECTIONS]
mix() {
    cat <<END
[target]
read = "http://127.0.0.1:$port"
[clients]
connections = ${3:-$connections}
[people]
sessions = "sessions"
[mix]
display = 1
[[phases]]
duration_s = $2
rate = $1
END
}
# Both print: name, rate, processor µs of the service a request, p50, p99, p99.9 (µs), failed, processor µs of the
# generator a request.
ticks() { awk '{print $14 + $15}' "/proc/$pid/stat"; }
children() { awk '{print $16 + $17}' "/proc/$1/stat"; } # ticks of a shell's generators, which have ended
wrk_() { # SECONDS
    taskset -c 1 wrk -t1 -c$connections -d"$1"s -s tests/benchmarks/scripts/display.lua "http://127.0.0.1:$port" -- \
        "$dir/sessions" >"$dir/out"
    awk '/RESULT/ {printf "%.0f %d %d %d %d %d", $2 / $3 * 1e6, $4, $5, $6, $7, $2}' "$dir/out" >"$dir/figures"
}
load_() { # SECONDS [RATE]
    mix "${2:-\"max\"}" "$1" >"$dir/mix.toml"
    taskset -c 1 "$bin/yima" --data-dir "$dir/data" load "$dir/mix.toml" --json "$dir/report" >/dev/null
    node -e '
        const { phases: [{ all }] } = JSON.parse(require("fs").readFileSync(process.argv[1]))
        const failed = all.wanted - (all.statuses["200"] ?? 0)
        const times = process.argv[2] ? all.all : all.from_sending
        const us = ["p50", "p99", "p99_9"].map((at) => Math.round(times[at] * 1000))
        process.stdout.write([Math.round(all.answered_per_s), ...us, failed, all.wanted].join(" "))
    ' "$dir/report" "${2-}" >"$dir/figures"
}
measure() { # NAME COMMAND…
    local before mine shell=$BASHPID
    before=$(ticks) mine=$(children "$shell")
    "${@:2}"
    before=$(($(ticks) - before)) mine=$(($(children "$shell") - mine))
    awk -v name="$1" -v used="$before" -v mine="$mine" -v hz="$(getconf CLK_TCK)" \
        '{of = 1e6 / hz / $6; printf "%s %d %.2f %d %d %d %d %.2f\n", name, $1, used * of, $2, $3, $4, $5, mine * of}' \
        "$dir/figures"
}
wrk_ 3 # now every view is in memory
half=$(awk '{printf "%d", $1 / 2}' "$dir/figures")
for _ in $(seq "$rounds"); do
    measure wrk wrk_ "$seconds"
    measure load load_ "$seconds"
    measure load-half load_ "$seconds" "$half"
done | tee "$dir/rounds" |
    awk '{printf "%-10s %7d/s  %6.2f µs cpu  p50 %d  p99 %d  p99.9 %d µs  failed %d  generator %.2f µs\n",
        $1, $2, $3, $4, $5, $6, $7, $8}'

median() { # name, column
    awk -v name="$1" -v column="$2" '$1 == name {print $column}' "$dir/rounds" |
        sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'
}
echo
for figure in "rate 2" "processor time a request 3" "p50 4" "p99 5" "generator's processor time 8"; do
    column=${figure##* }
    # Of each round's own ratio: what else the machine does changes between rounds.
    ratio=$(awk -v column="$column" '$1 == "wrk" {wrk = $column} $1 == "load" {print $column / wrk}' "$dir/rounds" |
        sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}')
    printf '%s: wrk %s, yima load %s, ratio within a round %.3f (medians)\n' "${figure% *}" "$(median wrk "$column")" \
        "$(median load "$column")" "$ratio"
done
awk -v wanted="$half" -v got="$(median load-half 2)" \
    'BEGIN {printf "at half the rate: wanted %d/s, answered %d/s, ratio %.3f\n", wanted, got, got / wanted}'
