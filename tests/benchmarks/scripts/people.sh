# See tests/bench. A first start with many people, and what the process holds in memory when a million of them have asked.
people=${1:-13000000} asking=$((people < 1000000 ? people : 1000000))
cargo build --release -q -p yima --bin yima
. tests/benchmarks/scripts/common.sh

dir=$(mktemp -d -p "${BENCH_DIR:-/var/tmp}")
trap 'kill $pid 2>/dev/null; wait; rm -rf "$dir"' EXIT
port=$(free_port) admin_port=$(free_port)
ready() { until curl -sf "http://127.0.0.1:$admin_port/health/ready" >/dev/null; do kill -0 $pid || { cat "$dir/log"; exit 1; }; sleep 0.1; done; }
resident() { awk '/^VmRSS/ {printf "%d MB resident", $2 / 1024}' /proc/$pid/status; }
begin() {
    began=$(date +%s.%N)
    YIMA_LIFECYCLE__DRAIN_WAIT_MS=0 YIMA_READ_API__CACHE__MEMORY_BYTES=1500000000 \
        YIMA_READ_API__BIND=127.0.0.1:$port YIMA_WRITER__BIND=127.0.0.1:$(free_port) YIMA_ADMIN__LISTEN=127.0.0.1:$admin_port \
        "$bin/yima" --data-dir "$dir/data" --population "$people" >/dev/null 2>>"$dir/log" & pid=$!
    ready
    echo "$1 with $people people: ready after $(awk "BEGIN {printf \"%.1f\", $(date +%s.%N) - $began}") s, $(resident), $(du -sm "$dir/data" | cut -f1) MB on disk"
}
begin "first start"
kill $pid; wait $pid || true
begin "second start"
"$bin/yima" --data-dir "$dir/data" sessions --count $asking >"$dir/sessions"
metric() { curl -sf "http://127.0.0.1:$admin_port/metrics" | awk -v name="$1" 'index($1, name) == 1 {sum += $2} END {printf "%d", sum}'; }
# As long as it takes to ask for everybody once.
wrk -t1 -c64 -d$((asking / 25000 + 3))s -s tests/benchmarks/scripts/display.lua "http://127.0.0.1:$port" -- "$dir/sessions" | grep RESULT >"$dir/result"
echo "$(metric cache_memory_entries) views in memory: $(resident); $(awk '{printf "%d displays, p50 %d, p99 %d µs", $2, $4, $5}' "$dir/result")"
