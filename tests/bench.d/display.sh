# See tests/bench. Server and load generator share the machine, so the processor time per request says more than the rate.
rounds=${1:-5} seconds=${2:-8} connections=64 people=50000
cargo build --release -q -p yima -p yima-tests --bin yima --bin bare-hyper
bin=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release

dir=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait; rm -rf "$dir"' EXIT
free_port() { while :; do p=$((RANDOM % 20000 + 20000)); (: </dev/tcp/127.0.0.1/$p) 2>/dev/null || { echo $p; return; }; done; }
yima_port=$(free_port) rival_port=$(free_port) admin_port=$(free_port)

YIMA_READ_API__BIND=127.0.0.1:$yima_port YIMA_WRITER__BIND=127.0.0.1:$(free_port) YIMA_ADMIN__LISTEN=127.0.0.1:$admin_port \
    "$bin/yima" --data-dir "$dir/data" --population $people >/dev/null 2>"$dir/log" & yima=$!; pids+=($yima)
until curl -sf "http://127.0.0.1:$admin_port/health/ready" >/dev/null; do kill -0 $yima || { cat "$dir/log"; exit 1; }; sleep 0.1; done
"$bin/yima" --data-dir "$dir/data" sessions --count $people >"$dir/sessions"

answer=$(curl -si "http://127.0.0.1:$yima_port/v1/display" -H "Authorization: Bearer $(head -1 "$dir/sessions")")
body=$(printf '%s' "$answer" | sed '1,/^\r$/d' | wc -c)
# hyper's own status line, content-length and date stay; the rest of our header becomes padding.
header=$(($(printf '%s' "$answer" | wc -c) - body - 17 - 21 - 37 - 2 - 13))
"$bin/bare-hyper" $rival_port "$body" "$header" & rival=$!; pids+=($rival)
until (: </dev/tcp/127.0.0.1/$rival_port) 2>/dev/null; do :; done
bytes() { curl -si "http://127.0.0.1:$1/v1/display" -H "Authorization: Bearer $(head -1 "$dir/sessions")" | wc -c; }
echo "answer: $(bytes $yima_port) bytes of yima, $(bytes $rival_port) of bare hyper; $connections connections, $people people"

ticks() { awk '{print $14 + $15}' "/proc/$1/stat"; }
measure() { # name, pid, port → rate, processor µs a request, p50, p99, p99.9 (µs), failed
    local before after result
    before=$(ticks "$2")
    result=$(wrk -t1 -c$connections -d"$4"s -s tests/bench.d/display.lua "http://127.0.0.1:$3" -- "$dir/sessions" | grep RESULT)
    after=$(ticks "$2")
    echo "$result" | awk -v name="$1" -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" \
        '{printf "%s %.0f %.2f %d %d %d %d\n", name, $2 / $3 * 1e6, ticks / hz * 1e6 / $2, $4, $5, $6, $7}'
}
measure warm $yima $yima_port 4 >/dev/null # everyone is in memory now
measure warm $rival $rival_port 2 >/dev/null
for round in $(seq "$rounds"); do
    measure yima $yima $yima_port "$seconds"
    measure hyper $rival $rival_port "$seconds"
done | tee "$dir/rounds" | awk '{printf "%-6s %7d/s  %6.2f µs cpu  p50 %d  p99 %d  p99.9 %d µs  failed %d\n", $1, $2, $3, $4, $5, $6, $7}'

median() { awk -v name="$1" -v column="$2" '$1 == name {print $column}' "$dir/rounds" | sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
echo
for name in yima hyper; do
    printf '%-6s median %d/s, %s µs processor time a request, p50 %d, p99 %d, p99.9 %d µs\n' $name "$(median $name 2)" \
        "$(median $name 3)" "$(median $name 4)" "$(median $name 5)" "$(median $name 6)"
done
awk -v a="$(median yima 2)" -v b="$(median hyper 2)" 'BEGIN {printf "ratio of yima to bare hyper: %.2f\n", a / b}'
