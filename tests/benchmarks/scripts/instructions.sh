# See tests/bench. Times vary with the machine; the instructions of a request, without the kernel's, hardly do.
people=1000
cargo build --profile dist -q -p yima -p yima-benchmarks --bin yima --bin bare-hyper
. tests/benchmarks/scripts/common.sh

dir=$(mktemp -d)
pid='' sink=''
trap 'kill $pid $sink 2>/dev/null; wait; rm -rf "$dir"' EXIT
port=$(free_port) admin_port=$(free_port)

start() { # program, arguments; with one worker: valgrind runs one thread at a time anyway
    TOKIO_WORKER_THREADS=1 valgrind -q --tool=callgrind --callgrind-out-file="$dir/out" "$@" >/dev/null 2>"$dir/log" &
    pid=$!
    until (: </dev/tcp/127.0.0.1/"$port") 2>/dev/null; do kill -0 "$pid" || { cat "$dir/log"; exit 1; }; sleep 0.1; done
}
request() { # seconds → number of answers
    wrk -t1 -c8 -d"$1"s -s tests/benchmarks/scripts/display.lua "http://127.0.0.1:$port" -- "$dir/sessions" |
        awk '/RESULT/ {print $2}'
}
count() { # name
    local answered
    request 3 >/dev/null # now every view is in memory
    callgrind_control --zero $pid >/dev/null
    answered=$(request 10)
    callgrind_control --dump $pid >/dev/null
    kill $pid; wait $pid 2>/dev/null || true
    awk -v n="$answered" -v name="$1" '/^(summary|totals):/ {sum = $2}
        END {printf "%s: %d instructions a request, of %d requests\n", name, sum / n, n}' "$dir/out.1"
    callgrind_annotate --inclusive=yes "$dir/out.1" 2>/dev/null |
        grep -oE '^ *[0-9,]+ \([ 0-9.]+%\).*' >"$dir/$1.functions" || true
    rm -f "$dir"/out*
}

start_yima() {
    YIMA_READ_API__BIND=127.0.0.1:$port YIMA_WRITER__BIND=127.0.0.1:$(free_port) \
        YIMA_ADMIN__LISTEN=127.0.0.1:$admin_port start "$bin/yima" --data-dir "$dir/data" --population "$people"
    wait_until_ready
}

start_yima
"$bin/yima" --data-dir "$dir/data" sessions --count "$people" >"$dir/sessions"
count yima
start_yima
# At the highest level displays are refused.
curl -sf -X PUT -H 'content-type: application/json' -d '{"level":8,"for_s":3600,"why":"benchmark"}' \
    "http://127.0.0.1:$admin_port/level" >/dev/null
count "yima, refused"
sink_port=$(free_port)
"$bin/bare-hyper" "$sink_port" 0 0 & sink=$! # a collector: accepts traces, answers with nothing
for rate in 0 0.001 1; do
    YIMA_TELEMETRY__OTLP_ENDPOINT=http://127.0.0.1:$sink_port/v1/traces YIMA_TELEMETRY__SAMPLE_RATE=$rate \
        start_yima
    count "yima, traced: $rate"
done
start "$bin/bare-hyper" "$port" 400 300
count hyper
echo "By function, with the functions that it calls:"
functions='Session::open|RateLimiter::take|ViewCache::peek|display::.*respond|HeaderMap|Server.*(parse|encode)'
grep -E "$functions|EdgeFuture|Series::record" "$dir/yima.functions" | cut -c1-150 | head -20
