# See tests/bench. Server and load generator share the machine, so the processor time per request says more than the rate.
what=$1 rounds=${2:-5} seconds=${3:-5} connections=64
case $what in
    display) path=/v1/display people=50000 rivals="hyper nginx varnish" ;;
    scan) path=/v1/scan people=2000 rivals="hyper" ;;
esac
cargo build --release -q -p yima -p yima-tests --bin yima --bin bare-hyper
. tests/bench.d/common.sh

dir=$(mktemp -d)
declare -A pid port
trap 'kill "${pid[@]}" 2>/dev/null; wait; rm -rf "$dir"' EXIT
for name in yima $rivals; do port[$name]=$(free_port); done
admin_port=$(free_port)
listening() { until (: </dev/tcp/127.0.0.1/"${port[$1]}") 2>/dev/null; do kill -0 "${pid[$1]}" || { cat "$dir/$1.log"; exit 1; }; sleep 0.1; done; }

# Codes are asked for once and scanned all the time, by one checkpoint.
YIMA_READ_API__CODE_LIFETIME_S=3600 YIMA_READ_API__LIMITS__SCAN__REQUESTS=100000000 YIMA_READ_API__LIMITS__SCAN__WINDOW_S=1 \
    YIMA_READ_API__BIND=127.0.0.1:${port[yima]} YIMA_WRITER__BIND=127.0.0.1:$(free_port) YIMA_ADMIN__LISTEN=127.0.0.1:$admin_port \
    "$bin/yima" --data-dir "$dir/data" --population $people >/dev/null 2>"$dir/yima.log" & pid[yima]=$!
listening yima
until curl -sf "http://127.0.0.1:$admin_port/health/ready" >/dev/null; do sleep 0.1; done
yima_url=http://127.0.0.1:${port[yima]}
"$bin/yima" --data-dir "$dir/data" sessions --count $people >"$dir/requests"
if [[ $what = scan ]]; then
    while read -r session; do printf 'url = "%s/v1/code"\nheader = "Authorization: Bearer %s"\nfail\nnext\n' "$yima_url" "$session"; done <"$dir/requests" | head -n -1 >"$dir/curl"
    curl --no-progress-meter -K "$dir/curl" | grep -o 'YM1:[^"]*' >"$dir/codes"
    guard=$(curl -sf "$yima_url/v1/sessions" -X POST -H "Authorization: Bearer $("$bin/yima" --data-dir "$dir/data" token checkpoint)" | grep -o '"session":"[^"]*' | cut -d'"' -f4)
    { echo "$guard"; cat "$dir/codes"; } >"$dir/requests"
fi

request() { # port → the whole answer to the first request
    if [[ $what = scan ]]; then
        curl -si "http://127.0.0.1:$1$path" -H "Authorization: Bearer $guard" -H 'Content-Type: application/json' -d "{\"code\":\"$(head -1 "$dir/codes")\"}"
    else
        curl -si "http://127.0.0.1:$1$path" -H "Authorization: Bearer $(head -1 "$dir/requests")"
    fi
}
answer=$(request "${port[yima]}")
body=$(printf '%s' "$answer" | sed '1,/^\r$/d' | wc -c)
# hyper's own status line, content-length and date stay; the rest of our header becomes padding.
header=$(($(printf '%s' "$answer" | wc -c) - body - 17 - 21 - 37 - 2 - 13))

start_hyper() { "$bin/bare-hyper" "${port[hyper]}" "$body" "$header" & pid[hyper]=$!; listening hyper; }
# Both answer from their caches what bare hyper gave them once, the same to everybody.
start_nginx() {
    temporary=$(for kind in client_body proxy fastcgi uwsgi scgi; do echo "${kind}_temp_path $dir/nginx-$kind;"; done)
    cat >"$dir/nginx.conf" <<END
daemon off; user root; worker_processes auto; pid $dir/nginx.pid; error_log stderr;
events { worker_connections 1024; }
http {
    access_log off; keepalive_requests 100000000; tcp_nodelay on; $temporary
    proxy_cache_path $dir/nginx-cache keys_zone=all:10m;
    server {
        listen 127.0.0.1:${port[nginx]} backlog=1024;
        location / { proxy_pass http://127.0.0.1:${port[hyper]}; proxy_cache all; proxy_cache_key \$uri; proxy_cache_valid 200 1d; }
    }
}
END
    /usr/sbin/nginx -e stderr -p "$dir" -c "$dir/nginx.conf" 2>"$dir/nginx.log" & pid[nginx]=$!
    listening nginx
}
start_varnish() {
    cat >"$dir/varnish.vcl" <<END
vcl 4.1;
backend hyper { .host = "127.0.0.1"; .port = "${port[hyper]}"; }
sub vcl_recv { unset req.http.Authorization; return (hash); }
sub vcl_backend_response { set beresp.ttl = 1d; }
END
    /usr/sbin/varnishd -F -j none -T none -s malloc,64m -a "127.0.0.1:${port[varnish]}" -f "$dir/varnish.vcl" -n "$dir/varnish" 2>"$dir/varnish.log" & pid[varnish]=$!
    listening varnish
}
for rival in $rivals; do start_"$rival"; done
for name in yima $rivals; do printf '%s: %d bytes, ' "$name" "$(request "${port[$name]}" | wc -c)"; done
echo "an answer; $connections connections, $people people"

ticks() { for p in "$1" $(pgrep -P "$1"); do cat "/proc/$p/stat"; done | awk '{sum += $14 + $15} END {print sum}'; }
measure() { # name, seconds → rate, processor µs a request, p50, p99, p99.9 (µs), failed
    local before after result
    before=$(ticks "${pid[$1]}")
    result=$(wrk -t1 -c$connections -d"$2"s -s "tests/bench.d/$what.lua" "http://127.0.0.1:${port[$1]}" -- "$dir/requests" | grep RESULT)
    after=$(ticks "${pid[$1]}")
    echo "$result" | awk -v name="$1" -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" \
        '{printf "%s %.0f %.2f %d %d %d %d\n", name, $2 / $3 * 1e6, ticks / hz * 1e6 / $2, $4, $5, $6, $7}'
}
for name in yima $rivals; do measure "$name" 3 >/dev/null; done # everyone is in memory now
for round in $(seq "$rounds"); do
    for name in yima $rivals; do measure "$name" "$seconds"; done
done | tee "$dir/rounds" | awk '{printf "%-7s %7d/s  %6.2f µs cpu  p50 %d  p99 %d  p99.9 %d µs  failed %d\n", $1, $2, $3, $4, $5, $6, $7}'

median() { awk -v name="$1" -v column="$2" '$1 == name {print $column}' "$dir/rounds" | sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
echo
for name in yima $rivals; do
    printf '%-7s median %d/s, %s µs processor time a request, p50 %d, p99 %d, p99.9 %d µs\n' "$name" "$(median "$name" 2)" \
        "$(median "$name" 3)" "$(median "$name" 4)" "$(median "$name" 5)" "$(median "$name" 6)"
done
for rival in $rivals; do
    awk -v a="$(median yima 2)" -v b="$(median "$rival" 2)" -v name="$rival" 'BEGIN {printf "yima does %.2f of what %s does\n", a / b, name}'
done
