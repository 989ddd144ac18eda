# See tests/bench. Server and load generator share the machine: processor time per request says more than the rate.
what=$1 rounds=${2:-5} seconds=${3:-5} connections=${4:-64}
case $what in
    display) path=/v1/display people=50000 rivals="hyper nginx varnish" secure= ;;
    tls) path=/v1/display people=50000 rivals="hyper plain nginx" secure="yima nginx" ;;
    scan) path=/v1/scan people=2000 rivals="hyper" secure= ;;
esac
cargo build --profile dist -q -p yima -p yima-benchmarks --bin yima --bin bare-hyper
if ((connections > 1000)); then
    rivals=${rivals% varnish} # it has a thread for each
    ulimit -n $((connections + 1000))
    # All are one peer's.
    export YIMA_READ_API__HTTP__MAX_CONNECTIONS=$((connections + 500))
    export YIMA_READ_API__HTTP__MAX_CONNECTIONS_PER_PEER=$((connections + 500))
fi
. tests/benchmarks/scripts/common.sh

dir=$(mktemp -d)
declare -A pid port
trap 'kill "${pid[@]}" 2>/dev/null; wait; rm -rf "$dir"' EXIT
for name in yima $rivals; do port[$name]=$(free_port); done
admin_port=$(free_port)
url() { [[ " $secure " = *" $1 "* ]] && echo "https://127.0.0.1:${port[$1]}" || echo "http://127.0.0.1:${port[$1]}"; }
wait_until_listening() { # name
    until (: </dev/tcp/127.0.0.1/"${port[$1]}") 2>/dev/null; do
        kill -0 "${pid[$1]}" || { cat "$dir/$1.log"; exit 1; }
        sleep 0.1
    done
}

start() { # name, directory
    YIMA_READ_API__BIND=127.0.0.1:${port[$1]} YIMA_WRITER__BIND=127.0.0.1:$(free_port) \
        YIMA_ADMIN__LISTEN=127.0.0.1:$admin_port \
        "$bin/yima" --data-dir "$2" --population "$people" >/dev/null 2>"$dir/$1.log" & pid[$1]=$!
    wait_until_listening "$1"
    until curl -sf "http://127.0.0.1:$admin_port/health/ready" >/dev/null; do sleep 0.1; done
}
# Codes are issued once and scanned again and again, by one checkpoint.
export YIMA_READ_API__CODE_LIFETIME_S=3600
export YIMA_READ_API__LIMITS__SCAN__REQUESTS=100000000 YIMA_READ_API__LIMITS__SCAN__WINDOW_S=1
export YIMA_READ_API__LIMITS__SCAN__BURST=100000000
if [[ $secure ]]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1 \
        -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>/dev/null
    # Settings of the generator: TLS 1.2 at most. Without them it speaks 1.3 with every server here.
    printf '%s\n' 'openssl_conf = all' '[all]' 'ssl_conf = ssl' '[ssl]' 'system_default = tls12' \
        '[tls12]' 'MaxProtocol = TLSv1.2' >"$dir/tls12.cnf"
    YIMA_READ_API__TLS__CERT_FILE=$dir/cert.pem YIMA_READ_API__TLS__KEY_FILE=$dir/key.pem start yima "$dir/data"
else
    start yima "$dir/data"
fi
# yima without TLS, with the same keys, so the same people and sessions.
start_plain() {
    mkdir "$dir/plain"
    cp -a "$dir/data/keys" "$dir/plain/"
    admin_port=$(free_port)
    start plain "$dir/plain"
}
yima_url=$(url yima)
"$bin/yima" --data-dir "$dir/data" sessions --count "$people" >"$dir/requests"
if [[ $what = scan ]]; then
    while read -r session; do
        printf 'url = "%s/v1/code"\nheader = "Authorization: Bearer %s"\nfail\nnext\n' "$yima_url" "$session"
    done <"$dir/requests" | head -n -1 >"$dir/curl"
    curl --no-progress-meter -K "$dir/curl" | grep -o 'YM1:[^"]*' >"$dir/codes"
    token=$("$bin/yima" --data-dir "$dir/data" token checkpoint)
    checkpoint=$(curl -sf "$yima_url/v1/sessions" -X POST -H "Authorization: Bearer $token" |
        grep -o '"session":"[^"]*' | cut -d'"' -f4)
    { echo "$checkpoint"; cat "$dir/codes"; } >"$dir/requests"
fi

request() { # name → the whole answer to the first request
    if [[ $what = scan ]]; then
        curl -ski "$(url "$1")$path" -H "Authorization: Bearer $checkpoint" -H 'Content-Type: application/json' \
            -d "{\"code\":\"$(head -1 "$dir/codes")\"}"
    else
        curl -ski "$(url "$1")$path" -H "Authorization: Bearer $(head -1 "$dir/requests")"
    fi
}
answer=$(request yima)
body=$(printf '%s' "$answer" | sed '1,/^\r$/d' | wc -c)
# hyper sends its own status line, content-length and date; padding stands for the rest of yima's header.
header=$(($(printf '%s' "$answer" | wc -c) - body - 17 - 21 - 37 - 2 - 13))

start_hyper() { "$bin/bare-hyper" "${port[hyper]}" "$body" "$header" & pid[hyper]=$!; wait_until_listening hyper; }
# nginx and Varnish answer every request from their caches with the answer that bare hyper gave once.
start_nginx() {
    local nginx_tls=
    [[ $secure ]] && nginx_tls="ssl; ssl_certificate $dir/cert.pem; ssl_certificate_key $dir/key.pem;
        ssl_protocols TLSv1.2 TLSv1.3"
    temporary=$(for kind in client_body proxy fastcgi uwsgi scgi; do echo "${kind}_temp_path $dir/nginx-$kind;"; done)
    cat >"$dir/nginx.conf" <<END
daemon off; user root; worker_processes auto; pid $dir/nginx.pid; error_log stderr;
events { worker_connections $((2 * connections + 1024)); }
http {
    access_log off; keepalive_requests 100000000; tcp_nodelay on; $temporary
    proxy_cache_path $dir/nginx-cache keys_zone=all:10m;
    server {
        listen 127.0.0.1:${port[nginx]} backlog=1024 $nginx_tls;
        location / {
            proxy_pass http://127.0.0.1:${port[hyper]};
            proxy_cache all; proxy_cache_key \$uri; proxy_cache_valid 200 1d;
        }
    }
}
END
    /usr/sbin/nginx -e stderr -p "$dir" -c "$dir/nginx.conf" 2>"$dir/nginx.log" & pid[nginx]=$!
    wait_until_listening nginx
}
start_varnish() {
    cat >"$dir/varnish.vcl" <<END
vcl 4.1;
backend hyper { .host = "127.0.0.1"; .port = "${port[hyper]}"; }
sub vcl_recv { unset req.http.Authorization; return (hash); }
sub vcl_backend_response { set beresp.ttl = 1d; }
END
    /usr/sbin/varnishd -F -j none -T none -s malloc,64m -a "127.0.0.1:${port[varnish]}" -f "$dir/varnish.vcl" \
        -n "$dir/varnish" 2>"$dir/varnish.log" & pid[varnish]=$!
    wait_until_listening varnish
}
for rival in $rivals; do start_"$rival"; done
for name in yima $rivals; do printf '%s: %d bytes, ' "$name" "$(request "$name" | wc -c)"; done
echo "an answer; $connections connections, $people people"

ticks() { for p in "$1" $(pgrep -P "$1"); do cat "/proc/$p/stat"; done | awk '{sum += $14 + $15} END {print sum}'; }
# measure NAME SECONDS [new|new-tls12]: with `new` a connection for each request, with `new-tls12` TLS 1.2 in place of
# 1.3 too. Prints name, rate, processor µs a request, p50, p99, p99.9 (µs), failed.
measure() {
    local before after result openssl=/dev/null
    [[ ${3-} = new-tls12 ]] && openssl=$dir/tls12.cnf
    before=$(ticks "${pid[$1]}")
    result=$(OPENSSL_CONF=$openssl wrk -t$((connections > 1000 ? 2 : 1)) -c$connections -d"$2"s --timeout 10s \
        -s "tests/benchmarks/scripts/${what/tls/display}.lua" "$(url "$1")" -- "$dir/requests" "${3:+new}" | grep RESULT)
    after=$(ticks "${pid[$1]}")
    echo "$result" | awk -v name="$1${3:+-$3}" -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" \
        '{printf "%s %.0f %.2f %d %d %d %d\n", name, $2 / $3 * 1e6, ticks / hz * 1e6 / $2, $4, $5, $6, $7}'
}
for name in yima $rivals; do connections=64 measure "$name" 3 >/dev/null; done # now every view is in memory
if ((connections > 1000)); then
    resident() { # name → kB
        for p in "${pid[$1]}" $(pgrep -P "${pid[$1]}"); do cat "/proc/$p/status"; done |
            awk '/^VmRSS/ {sum += $2} END {print sum}'
    }
    for name in yima $rivals; do
        before=$(resident "$name")
        measure "$name" 6 >/dev/null & measuring=$!
        sleep 4
        after=$(resident "$name")
        wait $measuring
        awk -v name="$name" -v kb=$((after - before)) -v n="$connections" \
            'BEGIN {printf "%-9s %.1f kB resident more for each of %d connections\n", name, kb / n, n}'
    done
fi
for _ in $(seq "$rounds"); do
    for name in yima $rivals; do measure "$name" "$seconds"; done
    if [[ $secure ]]; then
        for name in yima plain nginx; do measure "$name" "$seconds" new; done
        for name in yima nginx; do measure "$name" "$seconds" new-tls12; done
    fi
done | tee "$dir/rounds" |
    awk '{printf "%-15s %7d/s  %6.2f µs cpu  p50 %d  p99 %d  p99.9 %d µs  failed %d\n", $1, $2, $3, $4, $5, $6, $7}'

median() { # name, column
    awk -v name="$1" -v column="$2" '$1 == name {print $column}' "$dir/rounds" |
        sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'
}
echo
measured="yima $rivals ${secure:+yima-new plain-new nginx-new yima-new-tls12 nginx-new-tls12}"
for name in $measured; do
    printf '%-15s median %d/s, %s µs processor time a request, p50 %d, p99 %d, p99.9 %d µs\n' "$name" \
        "$(median "$name" 2)" "$(median "$name" 3)" "$(median "$name" 4)" "$(median "$name" 5)" "$(median "$name" 6)"
done
for rival in $rivals ${secure:+plain-new nginx-new nginx-new-tls12}; do
    ours=yima${rival#"${rival%%-*}"}
    awk -v a="$(median "$ours" 2)" -v b="$(median "$rival" 2)" -v ours="$ours" -v name="$rival" \
        'BEGIN {printf "%s: %.2f of the rate of %s\n", ours, a / b, name}'
done
