# See tests/bench. A first start with many people, and the memory of the process after a million of them have read their
# displays.
people=${1:-13000000} readers=$((people < 1000000 ? people : 1000000))
cargo build --profile dist -q -p yima --bin yima
. tests/benchmarks/scripts/common.sh

dir=$(mktemp -d -p "${BENCH_DIR:-/var/tmp}")
trap 'kill $pid 2>/dev/null; wait; rm -rf "$dir"' EXIT
port=$(free_port) admin_port=$(free_port)
resident() { awk '/^VmRSS/ {printf "%d MB resident", $2 / 1024}' /proc/$pid/status; }
start() { # name
    local start seconds
    start=$(date +%s.%N)
    YIMA_LIFECYCLE__DRAIN_WAIT_MS=0 YIMA_READ_API__CACHE__MEMORY_BYTES=1500000000 YIMA_READ_API__BIND=127.0.0.1:$port \
        YIMA_WRITER__BIND=127.0.0.1:$(free_port) YIMA_ADMIN__LISTEN=127.0.0.1:$admin_port \
        "$bin/yima" --data-dir "$dir/data" --population "$people" >/dev/null 2>>"$dir/log" & pid=$!
    wait_until_ready
    seconds=$(awk "BEGIN {printf \"%.1f\", $(date +%s.%N) - $start}")
    echo "$1 with $people people: ready after $seconds s, $(resident), $(du -sm "$dir/data" | cut -f1) MB on disk"
}
start "first start"
kill $pid; wait $pid || true
start "second start"
"$bin/yima" --data-dir "$dir/data" sessions --count $readers >"$dir/sessions"
metric() { # name → its sum over all labels
    curl -sf "http://127.0.0.1:$admin_port/metrics" |
        awk -v name="$1" 'index($1, name) == 1 {sum += $2} END {printf "%d", sum}'
}
# For as long as one display of every session takes.
wrk -t1 -c64 -d$((readers / 25000 + 3))s -s tests/benchmarks/scripts/display.lua "http://127.0.0.1:$port" -- \
    "$dir/sessions" | grep RESULT >"$dir/result"
displays=$(awk '{printf "%d displays, p50 %d, p99 %d µs", $2, $4, $5}' "$dir/result")
echo "$(metric cache_memory_entries) views in memory: $(resident); $displays"
